//! Panels with axes. Lines have their names at their ends; what has no line has a legend above.

use mc_bench::page::chart::{Chart, Mark, Panel, Scale, Series};
use plotters::prelude::*;
use plotters::style::text_anchor::{HPos, Pos, VPos};

use super::axis::Laid;
use super::style::{self, Area, GRID, INK, Pixel, Style, failed};

const TITLE_HEIGHT: i32 = 40;
const LEGEND_HEIGHT: i32 = 24;
const ROW_HEIGHT: i32 = 34;

/// Height of the panels of a row: of one, two and three.
const PANEL_HEIGHTS: [i32; 3] = [400, 380, 320];

/// Width of a figure of one panel, and of more.
const WIDTHS: [i32; 2] = [900, 1080];

/// Size of the text beside a line, and the least distance of two.
const LABEL_SIZE: i32 = 12;
const LABEL_STEP: i32 = 14;

pub(super) fn draw(chart: &Chart) -> anyhow::Result<String> {
    let rows = chart.panels.len().div_ceil(chart.columns);
    let width = WIDTHS[usize::from(chart.columns > 1)];
    let legend = legend_rows(chart, width);
    let panel_height = match chart.panels.first().map(|panel| &panel.y.scale) {
        Some(Scale::Rows(names)) => 60 + ROW_HEIGHT * i32::try_from(names.len())?,
        _ => PANEL_HEIGHTS[chart.columns.min(PANEL_HEIGHTS.len()) - 1],
    };
    let head = TITLE_HEIGHT + LEGEND_HEIGHT * i32::try_from(legend.len())?;
    let size = (
        u32::try_from(width)?,
        u32::try_from(head + panel_height * i32::try_from(rows)?)?,
    );
    style::svg(size, |figure| {
        style::write(figure, &chart.title, 18, HPos::Center, (width / 2, 22))?;
        let mut unknown = Vec::new();
        for (row, entries) in (0..).zip(&legend) {
            draw_legend(
                figure,
                entries,
                TITLE_HEIGHT + LEGEND_HEIGHT * row + 8,
                &mut unknown,
            )?;
        }
        let (_, body) = figure.split_vertically(head);
        let areas = body.split_evenly((rows, chart.columns));
        for (panel, area) in chart.panels.iter().zip(&areas) {
            draw_panel(figure, area, panel, &mut unknown)?;
        }
        Ok(())
    })
}

/// Whether a series has its name at its end.
fn has_end(series: &Series) -> bool {
    matches!(series.mark, Mark::Line | Mark::Bound)
}

/// Returns the rows of the legend: all series of the first panel, if some have no name at their ends.
fn legend_rows(chart: &Chart, width: i32) -> Vec<Vec<&Series>> {
    let mut rows: Vec<Vec<&Series>> = Vec::new();
    let needs = |panel: &&Panel| panel.series.iter().any(|series| !has_end(series));
    let panel = chart.panels.first().filter(needs);
    let mut left = 0;
    for series in panel.iter().flat_map(|panel| &panel.series) {
        let wide = entry_width(series);
        if left < wide {
            rows.push(Vec::new());
            left = width - 60;
        }
        left -= wide;
        rows.last_mut().expect("a row has been begun").push(series);
    }
    rows
}

fn entry_width(series: &Series) -> i32 {
    style::width_of(&series.label, 14) + 62
}

fn draw_legend(
    figure: &Area<'_>,
    entries: &[&Series],
    y: i32,
    unknown: &mut Vec<String>,
) -> anyhow::Result<()> {
    let mut x = 40;
    for series in entries {
        let style = Style::of(&series.name, unknown);
        let swatch = [(x, y), (x + 28, y)];
        match series.mark {
            Mark::Points => style::mark(figure, style, (x + 14, y))?,
            Mark::Bound | Mark::Line => {
                style::line(figure, style.color, series.mark == Mark::Bound, &swatch)?;
            }
        }
        style::write(figure, &series.label, 14, HPos::Left, (x + 36, y))?;
        x += entry_width(series);
    }
    Ok(())
}

fn draw_panel(
    figure: &Area<'_>,
    area: &Area<'_>,
    panel: &Panel,
    unknown: &mut Vec<String>,
) -> anyhow::Result<()> {
    let values = |of: fn(&(f64, f64)) -> f64| -> Vec<f64> {
        panel
            .series
            .iter()
            .flat_map(|series| series.points.iter().map(of))
            .collect()
    };
    let x = Laid::out(&panel.x, &values(|point| point.0));
    let y = Laid::out(&panel.y, &values(|point| point.1));
    let names: &[String] = match &panel.y.scale {
        Scale::Rows(names) => names,
        _ => &[],
    };
    let (left, right) = margins(panel, names);
    let mut builder = ChartBuilder::on(area);
    builder
        .margin(10)
        .margin_right(right)
        .x_label_area_size(46)
        .y_label_area_size(left);
    if !panel.title.is_empty() {
        builder.caption(&panel.title, style::text(15));
    }
    let mut context = builder
        .build_cartesian_2d(x.clone(), y.clone())
        .map_err(failed)?;
    context
        .configure_mesh()
        .light_line_style(WHITE)
        .bold_line_style(GRID)
        .axis_style(INK)
        .label_style(style::text(13))
        .axis_desc_style(style::text(14))
        .x_labels(x.ticks.len().max(1))
        .y_labels(y.ticks.len())
        .x_desc(panel.x.label)
        .y_desc(panel.y.label)
        .x_label_formatter(&|place| x.name(*place))
        .y_label_formatter(&|place| y.name(*place))
        .draw()
        .map_err(failed)?;
    let plot = context.plotting_area();
    let pixel =
        |point: &(f64, f64)| Some(plot.map_coordinate(&(x.place(point.0)?, y.place(point.1)?)));
    let (xs, ys) = plot.get_pixel_range();
    for (row, name) in (0_u32..).map(f64::from).zip(names) {
        if let Some((_, middle)) = y
            .place(row)
            .map(|place| plot.map_coordinate(&(x.range.start, place)))
        {
            style::write(figure, name, 14, HPos::Right, (xs.start - 10, middle))?;
        }
    }
    if let Some((at, words)) = &panel.rule
        && let Some(place) = x.place(*at)
    {
        let (at, _) = plot.map_coordinate(&(place, y.range.start));
        style::line(figure, GRID, true, &[(at, ys.start), (at, ys.end)])?;
        style::write(figure, words, 11, HPos::Left, (at + 4, ys.end - 10))?;
    }
    draw_all(figure, panel, unknown, pixel, ys.start..ys.end)
}

/// Returns the pixels for names at the left and for those at the ends of lines.
fn margins(panel: &Panel, names: &[String]) -> (i32, i32) {
    let has_legend = panel.series.iter().any(|series| !has_end(series));
    let labels = panel
        .series
        .iter()
        .filter(|_| !has_legend)
        .map(|series| style::width_of(&series.label, LABEL_SIZE));
    let right = labels.max().unwrap_or(10) + 14;
    let left = names
        .iter()
        .map(|name| style::width_of(name, 14))
        .max()
        .unwrap_or(44)
        + 14;
    (left, right)
}

/// Draws all series of a panel, and their names at their ends unless there is a legend.
fn draw_all(
    figure: &Area<'_>,
    panel: &Panel,
    unknown: &mut Vec<String>,
    pixel: impl Fn(&(f64, f64)) -> Option<Pixel>,
    ys: std::ops::Range<i32>,
) -> anyhow::Result<()> {
    let has_legend = panel.series.iter().any(|series| !has_end(series));
    let mut ends = Vec::new();
    for series in &panel.series {
        let style = Style::of(&series.name, unknown);
        let pixels: Vec<Pixel> = series.points.iter().filter_map(&pixel).collect();
        draw_series(figure, series, style, &pixels)?;
        if let (false, Some(last)) = (has_legend, pixels.last()) {
            ends.push((*last, style.color, series.label.as_str()));
        }
    }
    draw_ends(figure, ends, ys)
}

fn draw_series(
    figure: &Area<'_>,
    series: &Series,
    style: Style,
    pixels: &[Pixel],
) -> anyhow::Result<()> {
    if series.mark != Mark::Points {
        style::line(figure, style.color, series.mark == Mark::Bound, pixels)?;
    }
    let is_marked = matches!(series.mark, Mark::Line | Mark::Points);
    let mut marked = pixels.iter().filter(|_| is_marked);
    marked.try_for_each(|&pixel| style::mark(figure, style, pixel))
}

/// Writes names beside the ends of lines, so far apart that they can be read.
fn draw_ends(
    figure: &Area<'_>,
    mut ends: Vec<(Pixel, RGBColor, &str)>,
    ys: std::ops::Range<i32>,
) -> anyhow::Result<()> {
    ends.sort_by_key(|((_, y), ..)| *y);
    let mut heights: Vec<i32> = Vec::new();
    for ((_, y), ..) in &ends {
        let least = heights.last().map_or(ys.start, |above| above + LABEL_STEP);
        heights.push((*y).max(least));
    }
    // What has been pushed onto the axis or below it pushes back.
    let mut most = ys.end - LABEL_STEP / 2;
    for height in heights.iter_mut().rev() {
        *height = (*height).min(most);
        most = *height - LABEL_STEP;
    }
    let x = ends.iter().map(|((x, _), ..)| *x).max().unwrap_or_default();
    for ((_, color, words), height) in ends.iter().zip(heights) {
        let style = style::text(LABEL_SIZE).color(color);
        let style = style.pos(Pos::new(HPos::Left, VPos::Center));
        figure
            .draw_text(words, &style, (x + 8, height))
            .map_err(failed)?;
    }
    Ok(())
}
