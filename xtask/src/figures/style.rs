//! The common look: one colour and one marker mean one name in every figure.
//!
//! Colours are those of Okabe and Ito with some of Tol's, which stay distinct under the common kinds of colour
//! blindness; markers tell the series apart in black and white.

use anyhow::anyhow;
use plotters::coord::Shift;
use plotters::element::DashedPathElement;
use plotters::prelude::*;
use plotters::style::text_anchor::{HPos, Pos, VPos};

pub(super) type Area<'a> = DrawingArea<SVGBackend<'a>, Shift>;

/// A place in pixels.
pub(super) type Pixel = (i32, i32);

const FONT: &str = "Helvetica, Arial, sans-serif";
pub(super) const INK: RGBColor = RGBColor(40, 40, 40);
pub(super) const GRID: RGBColor = RGBColor(226, 226, 226);
const LINE_WIDTH: u32 = 2;
const MARKER_RADIUS: i32 = 4;

pub(super) const BLUE: RGBColor = RGBColor(0, 114, 178);
const VERMILLION: RGBColor = RGBColor(213, 94, 0);
const ORANGE: RGBColor = RGBColor(230, 159, 0);
pub(super) const GREEN: RGBColor = RGBColor(0, 158, 115);
const PURPLE: RGBColor = RGBColor(204, 121, 167);
const SKY: RGBColor = RGBColor(86, 180, 233);
const WINE: RGBColor = RGBColor(136, 34, 85);
const INDIGO: RGBColor = RGBColor(51, 34, 136);
const OLIVE: RGBColor = RGBColor(140, 125, 20);
const BROWN: RGBColor = RGBColor(150, 60, 0);
const GREY: RGBColor = RGBColor(130, 130, 130);

/// The shape at a data point.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Marker {
    Circle,
    Square,
    Triangle,
    Diamond,
    Cross,
    Plus,
    Ring,
    OpenSquare,
}

/// How one name is drawn.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Style {
    pub(super) color: RGBColor,
    pub(super) marker: Marker,
}

/// Every name that has a look of its own.
const STYLES: [(&str, RGBColor, Marker); 39] = [
    ("bin-exact", VERMILLION, Marker::Square),
    ("bin-ceil", ORANGE, Marker::Triangle),
    ("good-fit", BLUE, Marker::Circle),
    ("adaptive", WINE, Marker::Plus),
    ("shared", SKY, Marker::Diamond),
    ("extents-2", GREEN, Marker::Circle),
    ("extents-4", GREEN, Marker::Diamond),
    ("slots", OLIVE, Marker::Square),
    ("offset-allocator", PURPLE, Marker::Cross),
    ("range-alloc", GREEN, Marker::OpenSquare),
    ("buddy", GREY, Marker::Ring),
    ("oracle", INK, Marker::Cross),
    ("bound", INK, Marker::Plus),
    ("mutex", VERMILLION, Marker::OpenSquare),
    ("published", BROWN, Marker::Triangle),
    ("default", INDIGO, Marker::Diamond),
    ("random-bin-ceil", ORANGE, Marker::Diamond),
    ("random-segment", GREY, Marker::Circle),
    ("free-ratio-first", VERMILLION, Marker::Triangle),
    ("local-first", GREEN, Marker::Plus),
    ("capacity-weighted", BLUE, Marker::Triangle),
    ("best-hole", WINE, Marker::Square),
    ("mc-store", INDIGO, Marker::Circle),
    ("quick_cache", VERMILLION, Marker::Circle),
    ("moka", GREEN, Marker::Square),
    ("foyer-memory", PURPLE, Marker::Square),
    ("longest wait", BLUE, Marker::OpenSquare),
    ("99.9 % of the calls", VERMILLION, Marker::Plus),
    ("control, longest wait", GREY, Marker::OpenSquare),
    ("control, 99.9 %", GREY, Marker::Plus),
    ("layout dsa-pair", BLUE, Marker::Plus),
    ("layout blocks", INDIGO, Marker::Triangle),
    ("layout pages", SKY, Marker::Circle),
    ("layout mixed", PURPLE, Marker::Circle),
    ("layout hybrid", OLIVE, Marker::Triangle),
    ("sizes random", SKY, Marker::Triangle),
    ("sizes loguniform", PURPLE, Marker::Diamond),
    ("sizes bimodal", OLIVE, Marker::Circle),
    ("sizes pages", INDIGO, Marker::OpenSquare),
];

/// Looks that no name has, for those that are not in the table.
const SPARE: [(RGBColor, Marker); 6] = [
    (BROWN, Marker::Circle),
    (INDIGO, Marker::Square),
    (OLIVE, Marker::Diamond),
    (SKY, Marker::Ring),
    (WINE, Marker::Triangle),
    (GREY, Marker::Cross),
];

impl Style {
    /// Returns the look of a name; of the names of a chart that have none of their own each gets another.
    pub(super) fn of(name: &str, unknown: &mut Vec<String>) -> Self {
        let known = STYLES.iter().find(|(known, ..)| *known == name);
        let (color, marker) = known.map_or_else(
            || {
                let place = unknown
                    .iter()
                    .position(|known| known == name)
                    .unwrap_or_else(|| {
                        unknown.push(name.to_owned());
                        unknown.len() - 1
                    });
                SPARE[place % SPARE.len()]
            },
            |&(_, color, marker)| (color, marker),
        );
        Self { color, marker }
    }
}

/// Draws a figure of a size into SVG text. Its ground is white, so that it reads the same on a dark page.
pub(super) fn svg(
    size: (u32, u32),
    draw: impl FnOnce(&Area<'_>) -> anyhow::Result<()>,
) -> anyhow::Result<String> {
    let mut text = String::new();
    {
        let area = SVGBackend::with_string(&mut text, size).into_drawing_area();
        area.fill(&WHITE).map_err(failed)?;
        draw(&area)?;
        area.present().map_err(failed)?;
    }
    if !text.ends_with('\n') {
        text.push('\n');
    }
    Ok(text)
}

/// Turns an error of the drawing library, which is not `Send`, into one that is.
pub(super) fn failed(error: impl std::fmt::Display) -> anyhow::Error {
    anyhow!("cannot draw: {error}")
}

/// Returns the style of a text in pixels.
pub(super) fn text(size: i32) -> TextStyle<'static> {
    TextStyle::from((FONT, size).into_font()).color(&INK)
}

/// Writes a text beside or around a place.
pub(super) fn write(
    area: &Area<'_>,
    words: &str,
    size: i32,
    side: HPos,
    at: Pixel,
) -> anyhow::Result<()> {
    let style = text(size).pos(Pos::new(side, VPos::Center));
    area.draw_text(words, &style, at).map_err(failed)
}

/// Returns about as many pixels as a text takes.
pub(super) fn width_of(words: &str, size: i32) -> i32 {
    let characters = i32::try_from(words.chars().count()).unwrap_or(i32::MAX / 100);
    characters * size * 11 / 20
}

/// Draws a line through places.
pub(super) fn line(
    area: &Area<'_>,
    color: RGBColor,
    is_dashed: bool,
    points: &[Pixel],
) -> anyhow::Result<()> {
    let stroke = color.stroke_width(LINE_WIDTH);
    let drawn = if is_dashed {
        area.draw(&DashedPathElement::new(
            points.iter().copied(),
            6,
            4,
            stroke,
        ))
    } else {
        area.draw(&PathElement::new(points, stroke))
    };
    drawn.map_err(failed)
}

/// Fills a rectangle.
pub(super) fn rectangle(
    area: &Area<'_>,
    color: RGBColor,
    from: Pixel,
    to: Pixel,
) -> anyhow::Result<()> {
    let filled = Rectangle::new([from, to], color.filled());
    area.draw(&filled).map_err(failed)
}

/// Draws the marker of a style.
pub(super) fn mark(area: &Area<'_>, style: Style, (x, y): Pixel) -> anyhow::Result<()> {
    let (filled, stroke) = (style.color.filled(), style.color.stroke_width(LINE_WIDTH));
    let r = MARKER_RADIUS;
    let square = [
        (x - r, y - r),
        (x + r, y - r),
        (x + r, y + r),
        (x - r, y + r),
        (x - r, y - r),
    ];
    let strokes = |lines: [[Pixel; 2]; 2]| {
        let mut lines = lines.into_iter();
        lines.try_for_each(|ends| area.draw(&PathElement::new(ends, stroke)))
    };
    let drawn = match style.marker {
        Marker::Circle => area.draw(&Circle::new((x, y), r, filled)),
        Marker::Ring => area.draw(&Circle::new((x, y), r, stroke)),
        Marker::Square => area.draw(&Polygon::new(square, filled)),
        Marker::OpenSquare => area.draw(&PathElement::new(square, stroke)),
        Marker::Triangle => area.draw(&Polygon::new(
            [(x - r, y + r), (x + r, y + r), (x, y - r)],
            filled,
        )),
        Marker::Diamond => {
            let r = r + 1;
            area.draw(&Polygon::new(
                [(x - r, y), (x, y - r), (x + r, y), (x, y + r)],
                filled,
            ))
        }
        Marker::Cross => strokes([
            [(x - r, y - r), (x + r, y + r)],
            [(x - r, y + r), (x + r, y - r)],
        ]),
        Marker::Plus => strokes([[(x - r, y), (x + r, y)], [(x, y - r), (x, y + r)]]),
    };
    drawn.map_err(failed)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn no_two_names_look_alike() {
        let table = STYLES
            .iter()
            .map(|(name, color, marker)| (*name, *color, *marker));
        let spare = SPARE
            .iter()
            .map(|(color, marker)| ("spare", *color, *marker));
        let all: Vec<_> = table.chain(spare).collect();
        for (index, (name, color, marker)) in all.iter().enumerate() {
            let before = all[..index]
                .iter()
                .find(|(_, one, other)| (one, other) == (color, marker));
            assert_eq!(
                before.map(|(before, ..)| before),
                None,
                "{name} looks like another"
            );
        }
    }
}
