//! Output formats of a document. Each format is one file with one function.

mod csv;
mod json;
mod markdown;
mod table;

pub use self::{csv::csv, json::json, markdown::markdown, table::table};

use crate::record::{Run, Value};

/// The runs of one workload as text cells under their headings, for people to read.
///
/// A field that no run of the workload has does not appear; one that only some runs have leaves
/// empty cells in the others.
struct Grid {
    workload: String,
    headings: Vec<&'static str>,
    rows: Vec<Vec<Cell>>,
}

/// One cell; numbers are aligned to the right.
struct Cell {
    text: String,
    is_number: bool,
}

/// Groups runs by workload, in the order of their first appearance.
fn grids(runs: &[Run]) -> Vec<Grid> {
    let mut groups: Vec<(&str, Vec<&Run>)> = Vec::new();
    for run in runs {
        let workload = run.text("workload").unwrap_or_default();
        match groups.iter_mut().find(|(known, _)| *known == workload) {
            Some((_, group)) => group.push(run),
            None => groups.push((workload, vec![run])),
        }
    }
    groups
        .into_iter()
        .map(|(workload, group)| Grid::new(workload, &group))
        .collect()
}

/// Returns the scalar fields of the runs, in the order of their first appearance.
fn scalar_fields<'a>(runs: impl IntoIterator<Item = &'a Run>) -> Vec<&'static str> {
    let mut names = Vec::new();
    for run in runs {
        for (name, value) in run.fields() {
            if !matches!(value, Value::List(_)) && !names.contains(&name) {
                names.push(name);
            }
        }
    }
    names
}

impl Grid {
    fn new(workload: &str, runs: &[&Run]) -> Self {
        let mut headings = scalar_fields(runs.iter().copied());
        headings.retain(|&heading| heading != "workload");
        let cells = |run: &&Run| {
            headings
                .iter()
                .map(|name| Cell::new(run.value(name)))
                .collect()
        };
        let rows = runs.iter().map(cells).collect();
        Self {
            workload: workload.to_owned(),
            headings,
            rows,
        }
    }
}

impl Cell {
    fn new(value: Option<&Value>) -> Self {
        let (text, is_number) = match value {
            Some(Value::Text(text)) => (text.clone(), false),
            Some(Value::Count(count)) => (count.to_string(), true),
            Some(&Value::Real(number)) => (short(number), true),
            Some(Value::List(_)) | None => (String::new(), false),
        };
        Self { text, is_number }
    }
}

/// Returns a number with the digits that mean something: ratios to 1e-6, times to 0.1.
fn short(number: f64) -> String {
    if number.abs() < 2.0 {
        format!("{number:.6}")
    } else {
        format!("{number:.1}")
    }
}
