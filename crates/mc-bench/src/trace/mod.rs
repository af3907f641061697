//! Request traces: which blocks of which prompts a store is asked for, in the order of arrival.
//!
//! A trace is a text of JSON lines, one request each, in the format of the public traces of LLM
//! services:
//!
//! ```text
//! {"timestamp": 120, "input_length": 700, "output_length": 90, "hash_ids": [0, 17]}
//! ```
//!
//! `timestamp` counts milliseconds, the lengths count tokens, and `hash_ids` names the blocks of
//! [`BLOCK_TOKENS`] tokens, or as many as the reader is told, that the prompt consists of; the last one
//! may be partial or have no id. Equal ids mean equal prefixes up to the end of the block. Timestamps
//! and lengths of answers may be missing, ids may be texts, and the same fields may come as a JSON
//! array or as comma-separated values. Lines `key bytes` are requests for single objects. [`layout`]
//! turns blocks into objects with sizes, [`generate`] makes a trace of this crate's own.

pub mod generate;
pub mod layout;
mod read;

use std::io::{self, BufRead};

use serde::Serialize;

/// Tokens of a block, unless a trace has others.
pub const BLOCK_TOKENS: u64 = 512;

/// The trace that this crate ships; [`generate`] makes it of [`generate::Conversations::SHIPPED`].
pub const SHIPPED: &str = include_str!("../../traces/conversations.jsonl");

/// Name of the shipped trace in every output.
pub const SHIPPED_NAME: &str = "conversations";

/// One request of a trace.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct TraceRequest {
    /// Arrival, in milliseconds since the trace began.
    #[serde(rename = "timestamp")]
    pub arrival_ms: u64,
    /// Tokens of the prompt.
    #[serde(rename = "input_length")]
    pub input_tokens: u32,
    /// Tokens of the answer.
    #[serde(rename = "output_length")]
    pub output_tokens: u32,
    /// Blocks of the prompt, the first tokens first.
    #[serde(rename = "hash_ids")]
    pub blocks: Vec<u64>,
    /// Bytes of the one object that is asked for, if that is no prompt.
    #[serde(skip)]
    pub object_bytes: Option<u64>,
}

/// The requests of a trace, by arrival.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Trace {
    /// The requests; those of one millisecond in the order of their lines.
    pub requests: Vec<TraceRequest>,
    /// Tokens of a full block.
    pub block_tokens: u64,
    /// Lines that were passed over because they are malformed.
    pub skipped_lines: u64,
}

/// What to do with a malformed line.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum BadLines {
    /// It ends the reading.
    #[default]
    Refuse,
    /// It is counted and passed over.
    Skip,
}

/// Why a trace cannot be read.
#[derive(Debug, thiserror::Error)]
pub enum TraceError {
    /// A line is not a request.
    #[error("line {line} of the trace is malformed")]
    Malformed {
        /// Its number, from 1.
        line: u64,
        /// What is wrong with it.
        source: LineError,
    },
    /// An entry of a JSON array is not a request.
    #[error("entry {entry} of the trace is malformed")]
    MalformedEntry {
        /// Its number, from 1.
        entry: u64,
        /// What is wrong with it.
        source: LineError,
    },
    /// The file cannot be read any further.
    #[error("line {line} of the trace cannot be read")]
    Unreadable {
        /// The number of the line, from 1.
        line: u64,
        /// What the system says.
        source: io::Error,
    },
    /// No line is a request.
    #[error("the trace has no requests; {skipped_lines} lines are malformed")]
    Empty {
        /// Lines that were passed over.
        skipped_lines: u64,
    },
}

/// Why a line is not a request.
#[derive(Debug, thiserror::Error)]
pub enum LineError {
    /// A field is missing or has no value that it may have.
    #[error("not a request: {field} is missing or not {}", accepted(field))]
    Field {
        /// Its name.
        field: &'static str,
    },
    /// Not a key and a number of bytes.
    #[error("not an object: a key and its bytes, at least 1, are accepted")]
    NotAnObject,
    /// Not JSON.
    #[error("not a request")]
    NotARequest(#[from] serde_json::Error),
    /// Not text.
    #[error("not UTF-8")]
    NotText(#[from] std::str::Utf8Error),
    /// More cells than the header names.
    #[error(
        "{cells} cells for {columns} columns; lists with commas in them are accepted in quotes"
    )]
    CellCount {
        /// Cells of the line.
        cells: usize,
        /// Columns of the header.
        columns: usize,
    },
    /// More or fewer ids than the prompt has blocks.
    #[error(
        "{input_tokens} tokens are {blocks} blocks of {block_tokens}, but hash_ids has {hash_ids}"
    )]
    BlockCount {
        /// Tokens of the prompt.
        input_tokens: u32,
        /// Tokens of a full block.
        block_tokens: u64,
        /// Blocks that they make.
        blocks: u64,
        /// Ids of the line.
        hash_ids: u64,
    },
}

/// Returns what is accepted as a field.
fn accepted(field: &str) -> &'static str {
    match field {
        "timestamp" => "a number",
        "hash_ids" => "a list of whole numbers and texts",
        _ => "a whole number from 0 to 4294967295",
    }
}

impl Trace {
    /// Reads a trace whose blocks have so many tokens.
    ///
    /// # Panics
    ///
    /// Panics if blocks have no tokens.
    ///
    /// # Errors
    ///
    /// Returns the number of the line that is malformed, unless such lines are to be skipped, or that
    /// cannot be read; a trace without requests is an error either way.
    ///
    /// # Examples
    ///
    /// ```
    /// use mc_bench::trace::{BLOCK_TOKENS, BadLines, Trace};
    ///
    /// let text = r#"{"timestamp": 5, "input_length": 513, "output_length": 1, "hash_ids": [4, 9]}"#;
    /// let trace = Trace::read(text.as_bytes(), BadLines::Refuse, BLOCK_TOKENS)?;
    /// assert_eq!(trace.block_tokens(&trace.requests[0], 1), 1);
    /// # Ok::<(), mc_bench::trace::TraceError>(())
    /// ```
    pub fn read(
        text: impl BufRead,
        bad_lines: BadLines,
        block_tokens: u64,
    ) -> Result<Self, TraceError> {
        read::read(text, bad_lines, block_tokens)
    }

    /// Returns the trace that this crate ships.
    ///
    /// # Panics
    ///
    /// Never: the tests read it too.
    #[must_use]
    pub fn shipped() -> Self {
        Self::read(SHIPPED.as_bytes(), BadLines::Refuse, BLOCK_TOKENS)
            .expect("the shipped trace is well-formed")
    }

    /// Returns the trace as JSON lines.
    ///
    /// # Panics
    ///
    /// Never: numbers and lists of numbers can always be written.
    #[must_use]
    pub fn to_text(&self) -> String {
        let line = |request| serde_json::to_string(request).expect("numbers can be written") + "\n";
        self.requests.iter().map(line).collect()
    }

    /// Returns the tokens in the block at a position of a prompt; 0 past its end.
    #[must_use]
    pub fn block_tokens(&self, request: &TraceRequest, position: usize) -> u64 {
        let before = self.block_tokens.saturating_mul(position as u64);
        u64::from(request.input_tokens)
            .saturating_sub(before)
            .min(self.block_tokens)
    }
}

#[cfg(test)]
mod tests {
    use std::error::Error as _;

    use super::*;

    const GOOD: &str =
        r#"{"timestamp": 9, "input_length": 1025, "output_length": 3, "hash_ids": [0, 1, 2]}"#;

    #[track_caller]
    fn refuses(line: &str, part: &str) {
        let text = format!("{GOOD}\n{line}\n{GOOD}\n");
        let error = Trace::read(text.as_bytes(), BadLines::Refuse, BLOCK_TOKENS).unwrap_err();
        let TraceError::Malformed { line: 2, source } = &error else {
            panic!("{error}");
        };
        let cause = source.source().map(ToString::to_string);
        let said = format!("{source}: {}", cause.unwrap_or_default());
        assert!(said.contains(part), "{said}");
        let trace = Trace::read(text.as_bytes(), BadLines::Skip, BLOCK_TOKENS).unwrap();
        assert_eq!((trace.requests.len(), trace.skipped_lines), (2, 1));
    }

    #[test]
    fn malformed_lines_are_named_or_counted() {
        refuses("{", "EOF");
        refuses("[]", "input_length");
        refuses(&GOOD.replace("hash_ids", "hashes"), "hash_ids");
        refuses(&GOOD.replace("1025", "-1"), "input_length");
        refuses(&GOOD.replace("1025", "4294967296"), "input_length");
        refuses(&GOOD.replace("1025", "1024"), "1024 tokens are 2 blocks");
        refuses(&GOOD.replace(", 1, 2]", "]"), "hash_ids has 1");
        refuses(&format!("{GOOD} {GOOD}"), "trailing characters");
    }

    #[test]
    fn bytes_that_are_no_text_are_malformed() {
        let error = Trace::read(&b"\xff\n"[..], BadLines::Refuse, BLOCK_TOKENS).unwrap_err();
        assert!(matches!(error, TraceError::Malformed { line: 1, .. }));
    }

    #[test]
    fn traces_without_requests_are_refused() {
        for (text, skipped) in [("", 0), ("x\ny", 2)] {
            let error = Trace::read(text.as_bytes(), BadLines::Skip, BLOCK_TOKENS).unwrap_err();
            assert!(
                matches!(error, TraceError::Empty { skipped_lines } if skipped_lines == skipped)
            );
        }
    }

    #[test]
    fn last_blocks_have_the_tokens_that_are_left() {
        let trace = Trace::read(GOOD.as_bytes(), BadLines::Refuse, BLOCK_TOKENS).unwrap();
        let tokens = (0..4).map(|at| trace.block_tokens(&trace.requests[0], at));
        let tokens: Vec<u64> = tokens.collect();
        assert_eq!(tokens, [512, 512, 1, 0]);
    }

    #[test]
    fn requests_are_sorted_by_arrival_and_lines_of_one_time_keep_their_order() {
        let line = |at: u64, output: u64| {
            format!(
                "{{\"timestamp\": {at}, \"input_length\": 0, \"output_length\": {output}, \"hash_ids\": []}}\n"
            )
        };
        let text = [line(5, 1), line(3, 2), line(5, 3)].concat();
        let trace = Trace::read(text.as_bytes(), BadLines::Refuse, BLOCK_TOKENS).unwrap();
        let order: Vec<u32> = trace
            .requests
            .iter()
            .map(|request| request.output_tokens)
            .collect();
        assert_eq!(order, [2, 1, 3]);
    }
}
