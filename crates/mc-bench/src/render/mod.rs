//! Output formats of a document. Each format is one file with one function.

mod csv;
mod json;
mod markdown;
mod table;

pub use self::{csv::csv, json::json, markdown::markdown, table::table};

use serde_json::Value;

use crate::number::with_spread;
use crate::record::{Field, Run};
use crate::workload;

/// How much of the runs people are shown.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Width {
    /// What fits a screen: the fields that have a heading.
    Screen,
    /// Every field but curves.
    Wide,
}

/// Ends the name of the field that holds the spread of another.
const SPREAD: &str = "_spread";

/// The runs of one workload as text cells under their headings, for people to read.
struct Grid {
    workload: String,
    headings: Vec<String>,
    rows: Vec<Vec<Cell>>,
}

/// One cell; numbers are aligned to the right.
struct Cell {
    text: String,
    is_number: bool,
}

/// Groups runs by workload, in the order of their first appearance.
fn grids(runs: &[Run], width: Width) -> Vec<Grid> {
    let by_workload = runs.chunk_by(|a, b| a.text("workload") == b.text("workload"));
    by_workload.map(|group| Grid::new(group, width)).collect()
}

/// Returns the fields of runs that are no curves, in the order of their first appearance.
fn scalar_fields<'a>(runs: impl IntoIterator<Item = &'a Run>) -> Vec<&'a str> {
    let mut names = Vec::new();
    for run in runs {
        for (name, value) in run.fields() {
            if !value.is_array() && !names.contains(&name) {
                names.push(name);
            }
        }
    }
    names
}

impl Grid {
    fn new(runs: &[Run], width: Width) -> Self {
        let workload = runs[0].text("workload").unwrap_or_default();
        let declared = workload::by_name(workload).map_or_else(Vec::new, |known| (known.fields)());
        let heading = |name: &str| {
            let field: Option<&Field> = declared.iter().find(|field| field.name == name);
            field.map_or("", |field| field.heading).to_owned()
        };
        let has_value = |name: &&str| {
            runs.iter()
                .any(|run| run.value(name).is_some_and(|value| !value.is_null()))
        };
        let names = scalar_fields(runs).into_iter().filter(has_value);
        let columns: Vec<(&str, String)> = match width {
            Width::Wide => names
                .filter(|name| *name != "workload" && !name.ends_with(SPREAD))
                .map(|name| (name, name.to_owned()))
                .collect(),
            Width::Screen => names
                .map(|name| (name, heading(name)))
                .filter(|(_, heading)| !heading.is_empty())
                .collect(),
        };
        let cells = |run: &Run| {
            columns
                .iter()
                .map(|(name, _)| Cell::new(run, name))
                .collect()
        };
        Self {
            workload: workload.to_owned(),
            rows: runs.iter().map(cells).collect(),
            headings: columns.into_iter().map(|(_, heading)| heading).collect(),
        }
    }
}

impl Cell {
    fn new(run: &Run, name: &str) -> Self {
        let spread = run.value(&format!("{name}{SPREAD}"));
        let (text, is_number) = match (run.value(name), spread) {
            (Some(Value::Number(number)), Some(spread)) => {
                let (number, spread) = (number.as_f64().unwrap_or_default(), spread.as_f64());
                let text = if number < 1e6 {
                    with_spread(number, spread)
                } else {
                    let millions = with_spread(number / 1e6, spread.map(|spread| spread / 1e6));
                    format!("{millions} M")
                };
                (text, true)
            }
            (Some(Value::String(text)), _) => (text.clone(), false),
            (Some(Value::Number(number)), _) if number.is_u64() => (number.to_string(), true),
            (Some(Value::Number(number)), _) => (short(number.as_f64().unwrap_or_default()), true),
            _ => (String::new(), false),
        };
        Self { text, is_number }
    }
}

/// Returns a number with the digits that mean something: ratios to 1e-4, times to 0.1.
fn short(number: f64) -> String {
    if number.abs() < 2.0 {
        format!("{number:.4}")
    } else {
        format!("{number:.1}")
    }
}
