//! The common look: one colour and one marker per subject in every figure, one font, one grid.
//!
//! Colours are those of Okabe and Ito and one of Tol's, which stay distinct under the common kinds of colour
//! blindness; markers tell the series apart in black and white.

use anyhow::anyhow;
use plotters::chart::MeshStyle;
use plotters::coord::Shift;
use plotters::coord::ranged1d::ValueFormatter;
use plotters::element::DashedPathElement;
use plotters::prelude::*;
use plotters::style::text_anchor::{HPos, Pos, VPos};

pub(super) type Area<'a> = DrawingArea<SVGBackend<'a>, Shift>;

const FONT: &str = "Helvetica, Arial, sans-serif";
const INK: RGBColor = RGBColor(40, 40, 40);
pub(super) const GRID: RGBColor = RGBColor(226, 226, 226);
const LINE_WIDTH: u32 = 2;
const MARKER_RADIUS: i32 = 4;
const LEGEND_STEP: i32 = 26;
/// Height of the strip at the bottom that holds a legend in one row.
const LEGEND_ROW_HEIGHT: u32 = 36;

/// How one series is drawn.
#[derive(Clone, Copy)]
pub(super) struct Series {
    pub(super) name: &'static str,
    pub(super) color: RGBColor,
    pub(super) marker: Marker,
    pub(super) line: Line,
}

/// The shape at a data point.
#[derive(Clone, Copy)]
pub(super) enum Marker {
    Circle,
    Square,
    Triangle,
    Diamond,
    Cross,
    Plus,
    Ring,
    OpenSquare,
    None,
}

/// What connects data points.
#[derive(Clone, Copy)]
pub(super) enum Line {
    Solid,
    Dashed,
    None,
}

const fn series(name: &'static str, rgb: [u8; 3], marker: Marker, line: Line) -> Series {
    Series {
        name,
        color: RGBColor(rgb[0], rgb[1], rgb[2]),
        marker,
        line,
    }
}

pub(super) const BIN_EXACT: Series = series("bin-exact", [213, 94, 0], Marker::Square, Line::Solid);
pub(super) const BIN_CEIL: Series =
    series("bin-ceil", [230, 159, 0], Marker::Triangle, Line::Solid);
pub(super) const GOOD_FIT: Series = series("good-fit", [0, 114, 178], Marker::Circle, Line::Solid);
pub(super) const ADAPTIVE: Series = series("adaptive", [136, 34, 85], Marker::Plus, Line::Solid);
pub(super) const DEFAULT: Series = series("default", [51, 34, 136], Marker::Diamond, Line::Solid);
pub(super) const BELADY: Series = series("Belady", [140, 140, 140], Marker::None, Line::Dashed);
pub(super) const EXTENTS_2: Series = series("extents-2", [0, 158, 115], Marker::None, Line::Dashed);
pub(super) const EXTENTS_4: Series = series("extents-4", [0, 158, 115], Marker::None, Line::Solid);
pub(super) const SLOTS: Series = series("slots", [200, 180, 30], Marker::Square, Line::Solid);
pub(super) const SHARED: Series = series("shared", [86, 180, 233], Marker::Diamond, Line::Solid);
pub(super) const MUTEX: Series = series("mutex", [213, 94, 0], Marker::Square, Line::Solid);
pub(super) const OFFSET_ALLOCATOR: Series = series(
    "offset-allocator",
    [204, 121, 167],
    Marker::Cross,
    Line::Solid,
);
pub(super) const RANGE_ALLOC: Series = series(
    "range-alloc",
    [0, 158, 115],
    Marker::OpenSquare,
    Line::Solid,
);
pub(super) const BUDDY: Series = series("buddy", [140, 140, 140], Marker::Ring, Line::Solid);
pub(super) const ORACLE: Series = series("oracle", [40, 40, 40], Marker::None, Line::Dashed);
pub(super) const ARENA: Series = series("arena", [0, 114, 178], Marker::Circle, Line::Solid);
pub(super) const THREAD_CHUNK: Series =
    series("thread-chunk", [136, 34, 85], Marker::Plus, Line::Solid);
pub(super) const MMAP: Series = series("mmap", [213, 94, 0], Marker::Square, Line::Solid);
pub(super) const HUGEPAGE_RS: Series =
    series("hugepage-rs", [230, 159, 0], Marker::Triangle, Line::Solid);
pub(super) const MALLOC: Series = series("malloc", [140, 140, 140], Marker::Ring, Line::Solid);
pub(super) const BUMPALO: Series =
    series("bumpalo", [0, 158, 115], Marker::OpenSquare, Line::Solid);
pub(super) const RANDOM_BIN_CEIL: Series = series(
    "random-bin-ceil",
    [230, 159, 0],
    Marker::Triangle,
    Line::Solid,
);
pub(super) const RANDOM_SEGMENT: Series =
    series("random-segment", [140, 140, 140], Marker::Ring, Line::Solid);
pub(super) const FREE_RATIO_FIRST: Series = series(
    "free-ratio-first",
    [213, 94, 0],
    Marker::Square,
    Line::Solid,
);
pub(super) const LOCAL_FIRST: Series = series(
    "local-first",
    [0, 158, 115],
    Marker::OpenSquare,
    Line::Solid,
);
pub(super) const CAPACITY_WEIGHTED: Series = series(
    "capacity-weighted",
    [0, 114, 178],
    Marker::Circle,
    Line::Solid,
);
pub(super) const BEST_HOLE: Series = series("best-hole", [136, 34, 85], Marker::Plus, Line::Solid);
pub(super) const MC_STORE: Series = series("mc-store", [0, 114, 178], Marker::Circle, Line::Solid);
pub(super) const QUICK_CACHE: Series =
    series("quick_cache", [213, 94, 0], Marker::Square, Line::Solid);
pub(super) const MOKA: Series = series("moka", [0, 158, 115], Marker::Triangle, Line::Solid);
pub(super) const FOYER_MEMORY: Series =
    series("foyer-memory", [204, 121, 167], Marker::Cross, Line::Solid);
pub(super) const VICTIM_MAX: Series = series(
    "aggressor, longest",
    [0, 114, 178],
    Marker::Circle,
    Line::None,
);
pub(super) const VICTIM_P999: Series = series(
    "aggressor, 99.9 %",
    [213, 94, 0],
    Marker::Square,
    Line::None,
);
pub(super) const CONTROL_MAX: Series =
    series("control, longest", [0, 114, 178], Marker::Ring, Line::None);
pub(super) const CONTROL_P999: Series = series(
    "control, 99.9 %",
    [213, 94, 0],
    Marker::OpenSquare,
    Line::None,
);
pub(super) const PUBLISHED_BEFORE: Series =
    series("published before", [150, 60, 0], Marker::Ring, Line::None);
pub(super) const PUBLISHED_AFTER: Series = series(
    "published after",
    [150, 95, 0],
    Marker::OpenSquare,
    Line::None,
);

/// Draws a figure of a size into SVG text.
pub(super) fn svg(
    (width, height): (u32, u32),
    draw: impl FnOnce(&Area<'_>) -> anyhow::Result<()>,
) -> anyhow::Result<String> {
    let mut text = String::new();
    {
        let area = SVGBackend::with_string(&mut text, (width, height)).into_drawing_area();
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

/// Returns the style of a text whose anchor is its centre.
pub(super) fn centered(size: i32) -> TextStyle<'static> {
    text(size).pos(Pos::new(HPos::Center, VPos::Center))
}

/// Draws a title at the top of a figure and returns the rest.
pub(super) fn titled<'a>(area: &Area<'a>, title: &str) -> anyhow::Result<Area<'a>> {
    let (head, body) = area.split_vertically(40);
    let (width, _) = head.dim_in_pixel();
    let middle = i32::try_from(width / 2)?;
    head.draw_text(title, &centered(19), (middle, 22))
        .map_err(failed)?;
    Ok(body)
}

/// Returns the grid and axes of a chart, to be given labels of a size and descriptions of another.
pub(super) fn mesh<'a, 'b, X, Y, XT, YT>(
    chart: &'b mut ChartContext<'a, SVGBackend<'a>, Cartesian2d<X, Y>>,
    label_size: i32,
    description_size: i32,
) -> MeshStyle<'a, 'b, X, Y, SVGBackend<'a>>
where
    X: Ranged<ValueType = XT> + ValueFormatter<XT>,
    Y: Ranged<ValueType = YT> + ValueFormatter<YT>,
{
    let mut mesh = chart.configure_mesh();
    mesh.light_line_style(WHITE)
        .bold_line_style(GRID)
        .axis_style(INK)
        .label_style(text(label_size))
        .axis_desc_style(text(description_size));
    mesh
}

/// Draws panels, each by its key and title, side by side below the title of the figure, and the series that
/// they share as one row at the bottom, the last first, from a pixel on with a distance.
pub(super) fn panels(
    figure: &Area<'_>,
    title: &str,
    panels: &[(&str, &str)],
    (series, left, step): (&[Series], i32, i32),
    draw: impl Fn(&Area<'_>, &str, &str) -> anyhow::Result<()>,
) -> anyhow::Result<()> {
    let body = titled(figure, title)?;
    let (_, height) = body.dim_in_pixel();
    let (above, strip) = body.split_vertically(height - LEGEND_ROW_HEIGHT);
    for (area, (key, title)) in above.split_evenly((1, panels.len())).iter().zip(panels) {
        draw(area, key, title)?;
    }
    let (x, y) = strip.get_pixel_range();
    for (index, series) in series.iter().rev().enumerate() {
        let left = x.start + left + step * i32::try_from(index)?;
        legend(figure, (left, y.start + 14), &[(*series, series.name)])?;
    }
    Ok(())
}

/// Draws one line and one marker per series below each other, from a pixel of the figure on.
pub(super) fn legend(
    figure: &Area<'_>,
    (left, top): (i32, i32),
    entries: &[(Series, &str)],
) -> anyhow::Result<()> {
    let name_style = text(14).pos(Pos::new(HPos::Left, VPos::Center));
    for (index, (series, name)) in entries.iter().enumerate() {
        let y = top + LEGEND_STEP * i32::try_from(index)?;
        series.draw_line(figure, &[(left, y), (left + 36, y)])?;
        series.draw_marker(figure, (left + 18, y))?;
        figure
            .draw_text(name, &name_style, (left + 46, y))
            .map_err(failed)?;
    }
    Ok(())
}

impl Series {
    /// Draws the series through pixels of the figure.
    pub(super) fn draw(self, figure: &Area<'_>, points: &[(i32, i32)]) -> anyhow::Result<()> {
        self.draw_line(figure, points)?;
        points
            .iter()
            .try_for_each(|&point| self.draw_marker(figure, point))
    }

    fn draw_line(self, figure: &Area<'_>, points: &[(i32, i32)]) -> anyhow::Result<()> {
        let stroke = self.color.stroke_width(LINE_WIDTH);
        let drawn = match self.line {
            Line::Solid => figure.draw(&PathElement::new(points, stroke)),
            Line::Dashed => figure.draw(&DashedPathElement::new(
                points.iter().copied(),
                6,
                4,
                stroke,
            )),
            Line::None => Ok(()),
        };
        drawn.map_err(failed)
    }

    fn draw_marker(self, figure: &Area<'_>, (x, y): (i32, i32)) -> anyhow::Result<()> {
        let (filled, stroke) = (self.color.filled(), self.color.stroke_width(LINE_WIDTH));
        let r = MARKER_RADIUS;
        let square = [
            (x - r, y - r),
            (x + r, y - r),
            (x + r, y + r),
            (x - r, y + r),
            (x - r, y - r),
        ];
        let drawn = match self.marker {
            Marker::Circle => figure.draw(&Circle::new((x, y), r, filled)),
            Marker::Ring => figure.draw(&Circle::new((x, y), r, stroke)),
            Marker::Square => figure.draw(&Polygon::new(square, filled)),
            Marker::OpenSquare => figure.draw(&PathElement::new(square, stroke)),
            Marker::Triangle => {
                let corners = [(x - r, y + r), (x + r, y + r), (x, y - r)];
                figure.draw(&Polygon::new(corners, filled))
            }
            Marker::Diamond => {
                let r = r + 1;
                let corners = [(x - r, y), (x, y - r), (x + r, y), (x, y + r)];
                figure.draw(&Polygon::new(corners, filled))
            }
            Marker::Cross => figure
                .draw(&PathElement::new([(x - r, y - r), (x + r, y + r)], stroke))
                .and_then(|()| {
                    figure.draw(&PathElement::new([(x - r, y + r), (x + r, y - r)], stroke))
                }),
            Marker::Plus => figure
                .draw(&PathElement::new([(x - r, y), (x + r, y)], stroke))
                .and_then(|()| figure.draw(&PathElement::new([(x, y - r), (x, y + r)], stroke))),
            Marker::None => Ok(()),
        };
        drawn.map_err(failed)
    }
}

/// Returns a size given as its binary logarithm: `32 B`, `1 KiB`, `32 MiB`.
pub(super) fn bytes(log2: f64) -> String {
    let units = ["B", "KiB", "MiB", "GiB", "TiB"];
    let mut size = log2.exp2().round();
    let mut unit = 0;
    while size >= 1024.0 && unit + 1 < units.len() {
        size /= 1024.0;
        unit += 1;
    }
    format!("{size} {}", units[unit])
}
