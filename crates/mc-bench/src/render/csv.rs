//! Comma-separated values: one header, one line per run, machine and commit in every line.

use std::io::{self, Write};

use serde_json::Value;

use crate::record::{Document, Run};

use super::scalar_fields;

/// Writes the runs as comma-separated values; fields a run does not have are empty.
///
/// # Errors
///
/// Returns what the writer returns.
pub fn csv(document: &Document, out: &mut impl Write) -> io::Result<()> {
    let names = scalar_fields(&document.runs);
    let machine = &document.machine;
    let cores = machine.cores.to_string();
    let columns = [
        ("cpu", machine.cpu.as_str()),
        ("cores", &cores),
        ("kernel", &machine.kernel),
        ("rustc", &machine.rustc),
        ("commit", &machine.commit),
    ];
    let header: Vec<&str> = names
        .iter()
        .copied()
        .chain(columns.iter().map(|(name, _)| *name))
        .collect();
    writeln!(out, "{}", header.join(","))?;
    for run in &document.runs {
        let mut cells: Vec<String> = names.iter().map(|name| cell(run, name)).collect();
        cells.extend(columns.iter().map(|(_, text)| quoted(text)));
        writeln!(out, "{}", cells.join(","))?;
    }
    Ok(())
}

fn cell(run: &Run, name: &str) -> String {
    match run.value(name) {
        Some(Value::String(text)) => quoted(text),
        Some(Value::Number(number)) => number.to_string(),
        _ => String::new(),
    }
}

/// Quotes a text where RFC 4180 asks for it.
fn quoted(text: &str) -> String {
    if text.contains([',', '"', '\n']) {
        format!("\"{}\"", text.replace('"', "\"\""))
    } else {
        text.to_owned()
    }
}

#[cfg(test)]
mod tests {
    use super::quoted;

    #[test]
    fn only_delimiters_are_quoted() {
        for (text, expected) in [("a b", "a b"), ("a,b", "\"a,b\""), ("a\"b", "\"a\"\"b\"")] {
            assert_eq!(quoted(text), expected);
        }
    }
}
