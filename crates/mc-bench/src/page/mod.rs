//! What a workload says about itself: text, tables and figures, all made from its document.
//!
//! Every workload declares a [`Page`]; the compiler misses what is left out. Nothing here reads or writes files.

pub mod across;
pub mod chart;
pub mod markdown;

use crate::record::{Document, FieldError};

use self::across::Across;
use self::chart::Drawing;

/// What is made from a document, if its fields are as declared.
pub type Made<T> = Result<T, FieldError>;

/// A workload's part of the generated documents.
#[derive(Clone, Copy, Debug)]
pub struct Page {
    /// Heading of its sections.
    pub heading: &'static str,
    /// What it models, with its parameters: Markdown paragraphs.
    pub models: &'static str,
    /// What it does not model, in whole sentences.
    pub omits: &'static str,
    /// Returns what came out in a sentence or two; nothing if too little was measured.
    pub result: fn(&Document) -> Made<Option<String>>,
    /// Returns all tables, in Markdown.
    pub tables: fn(&Document) -> Made<String>,
    /// Its figures.
    pub figures: &'static [Figure],
    /// Returns its lines of the README's table.
    pub headlines: fn(&Document) -> Made<Vec<Headline>>,
    /// Returns its figures for the tables that compare allocators over workloads.
    pub across: Option<fn(&Document) -> Made<Across>>,
}

/// One figure.
#[derive(Clone, Copy, Debug)]
pub struct Figure {
    /// File name in the directory of figures.
    pub file: &'static str,
    /// What it shows, in one sentence.
    pub caption: &'static str,
    /// Where it stands.
    pub place: Place,
    /// Returns what is drawn.
    pub draw: fn(&Document) -> Made<Drawing>,
}

impl Figure {
    pub(crate) const fn new(
        place: Place,
        file: &'static str,
        caption: &'static str,
        draw: fn(&Document) -> Made<Drawing>,
    ) -> Self {
        Self {
            file,
            caption,
            place,
            draw,
        }
    }
}

/// Where a figure stands.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Place {
    /// Among the results.
    Results,
    /// Beside the full tables.
    Tables,
}

/// A line of the README's table.
#[derive(Clone, Debug)]
pub struct Headline {
    /// What counts in it.
    pub measure: Measure,
    /// Of what, and the unit.
    pub title: &'static str,
    /// The published design, what is in use today, these crates, the bound.
    pub cells: [Option<String>; 4],
}

/// What counts, the most important first.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Measure {
    /// Tokens found.
    Hits,
    /// Share of the memory that is of use.
    Utilization,
    /// Time of one thread.
    Time,
    /// What several threads do.
    Threads,
}

/// Returns no lines for the README's table.
///
/// # Errors
///
/// Never.
pub fn no_headlines(_: &Document) -> Made<Vec<Headline>> {
    Ok(Vec::new())
}
