//! A document as one HTML file to look at, with nothing that has to be fetched.
//!
//! The page is `report.html`; all that is known of a run is in the document that is put into it, and a script
//! of its own draws curves, map and table.

use std::io::{self, Write};

use crate::record::Document;
use crate::render;

/// The page around the document.
const PAGE: &str = include_str!("report.html");

/// Stands where the document goes.
const DOCUMENT: &str = "{{document}}";

/// Writes the page of a document.
///
/// # Errors
///
/// Returns what the writer returns.
///
/// # Panics
///
/// Panics if the page has no place for the document.
pub fn html(document: &Document, out: &mut impl Write) -> io::Result<()> {
    let (before, after) = PAGE
        .split_once(DOCUMENT)
        .expect("the page has a place for it");
    let mut json = Vec::new();
    render::json(document, &mut json)?;
    // Within a script, "<" could begin its end or a comment; JSON has it in strings alone.
    let json = String::from_utf8_lossy(&json).replace('<', "\\u003c");
    write!(out, "{before}{json}{after}")
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::machine::Machine;
    use crate::record::{Run, SCHEMA};

    #[test]
    fn text_of_a_document_stays_within_its_script() {
        let mut run = Run::default();
        run.set("trace", "</script><!--");
        let document = Document {
            schema: SCHEMA,
            machine: Machine::this(),
            runs: vec![run],
            skipped: Vec::new(),
        };
        let mut page = Vec::new();
        html(&document, &mut page).unwrap();
        let page = String::from_utf8(page).unwrap();
        assert_eq!(
            page.matches("</script>").count(),
            PAGE.matches("</script>").count()
        );
        assert!(page.contains(r"\u003c/script>\u003c!--"));
        assert!(!page.contains(DOCUMENT));
    }
}
