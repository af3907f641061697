//! The JSON document: one run per line, so that two documents can be compared by line.

use std::io::{self, Write};

use crate::record::Document;

/// Writes the document as JSON.
///
/// # Errors
///
/// Returns what the writer returns.
pub fn json(document: &Document, out: &mut impl Write) -> io::Result<()> {
    write!(out, "{{\"schema\": {}, \"machine\": ", document.schema)?;
    serde_json::to_writer(&mut *out, &document.machine)?;
    write!(out, ",\n \"runs\": ")?;
    array(&document.runs, out)?;
    write!(out, ",\n \"skipped\": ")?;
    array(&document.skipped, out)?;
    writeln!(out, "}}")
}

fn array<T: serde::Serialize>(items: &[T], out: &mut impl Write) -> io::Result<()> {
    write!(out, "[")?;
    for (index, item) in items.iter().enumerate() {
        write!(out, "{}", if index == 0 { "\n  " } else { ",\n  " })?;
        serde_json::to_writer(&mut *out, item)?;
    }
    write!(out, "]")
}
