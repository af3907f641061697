//! Figures, drawn as SVG so that they stay sharp and can be compared as text. What is drawn where is declared by
//! the workloads; this is how it looks.

mod axis;
mod chart;
mod pools;
mod style;

use mc_bench::page::chart::Drawing;

/// Returns a drawing as SVG.
pub(crate) fn svg(drawing: &Drawing) -> anyhow::Result<String> {
    match drawing {
        Drawing::Chart(chart) => chart::draw(chart),
        Drawing::Pools(pools) => pools::draw(pools),
    }
}
