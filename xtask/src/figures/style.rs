//! The common look: one colour means one thing in every figure, and one marker with it one name.
//!
//! What has no look of its own is grey. All colours can be read on white; markers and the names beside the lines tell
//! the series apart without them.

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

/// Shades of the store, from dark to light.
pub(super) const STORE: [RGBColor; 5] = [
    RGBColor(45, 25, 120),
    RGBColor(80, 60, 165),
    RGBColor(112, 95, 195),
    RGBColor(140, 125, 215),
    RGBColor(190, 110, 220),
];

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

impl Marker {
    const ALL: [Self; 8] = [
        Self::Circle,
        Self::Square,
        Self::Triangle,
        Self::Diamond,
        Self::Cross,
        Self::Plus,
        Self::Ring,
        Self::OpenSquare,
    ];
}

/// How one name is drawn.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Style {
    pub(super) color: RGBColor,
    pub(super) marker: Marker,
}

/// A thing: its colour, and the names of what is drawn of it.
type Thing = (RGBColor, &'static [(&'static str, Marker)]);

/// Every thing that has a look of its own.
const THINGS: [Thing; 25] = {
    use Marker::{Circle, Cross, Diamond, OpenSquare, Plus, Ring, Square, Triangle};
    [
        // What no subject can be expected to exceed.
        (
            INK,
            &[
                ("oracle", Cross),
                ("bound", Cross),
                ("control, longest wait", OpenSquare),
                ("control, 99.9 %", Plus),
            ],
        ),
        // The published design.
        (
            RGBColor(200, 120, 0),
            &[
                ("bin-ceil", Triangle),
                ("random-bin-ceil", Triangle),
                ("published", Triangle),
            ],
        ),
        (RGBColor(215, 15, 15), &[("bin-exact", Square)]),
        (RGBColor(0, 60, 110), &[("good-fit", Square)]),
        (RGBColor(0, 114, 178), &[("adaptive", Circle)]),
        (RGBColor(0, 156, 180), &[("shared", Diamond)]),
        (
            RGBColor(0, 145, 105),
            &[("extents-2", Circle), ("extents-4", Diamond)],
        ),
        (RGBColor(85, 80, 0), &[("slots", Square)]),
        (RGBColor(245, 84, 132), &[("mutex", OpenSquare)]),
        (RGBColor(180, 0, 120), &[("offset-allocator", Cross)]),
        (RGBColor(115, 150, 0), &[("range-alloc", OpenSquare)]),
        (RGBColor(144, 144, 144), &[("buddy", Ring)]),
        (RGBColor(0, 108, 0), &[("moka", Square)]),
        (RGBColor(132, 12, 36), &[("quick_cache", Circle)]),
        (RGBColor(132, 72, 24), &[("foyer-memory", Diamond)]),
        (RGBColor(150, 75, 130), &[("random-segment", Circle)]),
        (RGBColor(150, 130, 30), &[("free-ratio-first", Diamond)]),
        (RGBColor(0, 100, 75), &[("local-first", Plus)]),
        (RGBColor(220, 40, 200), &[("capacity-weighted", Circle)]),
        (RGBColor(190, 125, 95), &[("best-hole", Square)]),
        // The store: in the layouts of a trace, with mixtures of sizes, as it is, beside an aggressor.
        (
            STORE[0],
            &[("layout blocks", Triangle), ("sizes random", Diamond)],
        ),
        (
            STORE[1],
            &[
                ("mc-store", Circle),
                ("default", Circle),
                ("layout dsa-pair", Plus),
                ("sizes pages", Square),
            ],
        ),
        (
            STORE[2],
            &[
                ("longest wait", OpenSquare),
                ("99.9 % of the calls", Plus),
                ("layout hybrid", Square),
                ("sizes loguniform", Triangle),
            ],
        ),
        (
            STORE[3],
            &[("layout pages", Cross), ("sizes bimodal", OpenSquare)],
        ),
        (STORE[4], &[("layout mixed", Circle)]),
    ]
};

/// The look of what is in no thing, a marker for each name of a chart.
const SPARE: RGBColor = RGBColor(95, 95, 95);

impl Style {
    /// Returns the look of a name; `unknown` has the names of the chart so far that have none of their own.
    pub(super) fn of(name: &str, unknown: &mut Vec<String>) -> Self {
        for (color, names) in THINGS {
            if let Some(&(_, marker)) = names.iter().find(|(known, _)| *known == name) {
                return Self { color, marker };
            }
        }
        if !unknown.iter().any(|known| known == name) {
            unknown.push(name.to_owned());
        }
        let place = unknown.iter().position(|known| known == name);
        Self {
            color: SPARE,
            marker: Marker::ALL[place.unwrap_or_default() % Marker::ALL.len()],
        }
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

    /// Returns how different two colours look, from 0 to about 765: their distance in red, green and blue, weighted
    /// as the eye does (Riemersma's approximation).
    fn difference(one: RGBColor, other: RGBColor) -> f64 {
        let [red, green, blue] = [(one.0, other.0), (one.1, other.1), (one.2, other.2)]
            .map(|(one, other)| f64::from(one) - f64::from(other));
        let mean = f64::midpoint(one.0.into(), other.0.into()) / 256.0;
        ((2.0 + mean) * red * red + 4.0 * green * green + (3.0 - mean) * blue * blue).sqrt()
    }

    /// Returns the contrast to white (WCAG 2).
    fn contrast(RGBColor(red, green, blue): RGBColor) -> f64 {
        let linear = |part: u8| (f64::from(part) / 255.0).powf(2.2);
        1.05 / (0.2126 * linear(red) + 0.7152 * linear(green) + 0.0722 * linear(blue) + 0.05)
    }

    #[test]
    fn no_two_things_have_a_colour_in_common_and_all_can_be_read() {
        let colors: Vec<RGBColor> = THINGS
            .iter()
            .map(|(color, _)| *color)
            .chain([SPARE])
            .collect();
        for (index, &color) in colors.iter().enumerate() {
            let alike = colors[..index]
                .iter()
                .find(|other| difference(color, **other) < 75.0);
            assert_eq!(alike, None, "{color:?} looks like another");
            assert!(contrast(color) >= 3.0, "{color:?} cannot be read on white");
        }
    }

    #[test]
    fn names_of_a_thing_have_markers_of_their_own_or_are_one() {
        // The published design and the store whose options nobody has set, by the names of several workloads.
        let same = [
            &["bin-ceil", "random-bin-ceil", "published"][..],
            &["mc-store", "default"],
            &["oracle", "bound"],
        ];
        let mut seen: Vec<(&str, Style)> = Vec::new();
        for (name, _) in THINGS.iter().flat_map(|(_, names)| *names) {
            let style = Style::of(name, &mut Vec::new());
            for (other, _) in seen.iter().filter(|(_, known)| *known == style) {
                let is_one = same
                    .iter()
                    .any(|same| same.contains(name) && same.contains(other));
                assert!(is_one, "{name} looks like {other}");
            }
            seen.push((name, style));
        }
    }

    #[test]
    fn names_without_a_look_are_grey_and_differ() {
        let mut unknown = Vec::new();
        let [one, other, again] = ["a", "b", "a"].map(|name| Style::of(name, &mut unknown));
        assert_eq!((one.color, other.color), (SPARE, SPARE));
        assert!(one == again && one != other);
    }
}
