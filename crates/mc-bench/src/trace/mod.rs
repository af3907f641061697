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
//! [`BLOCK_TOKENS`] tokens that the prompt consists of; the last one may be partial. Equal ids mean
//! equal prefixes up to the end of the block. [`layout`] turns blocks into objects with sizes,
//! [`generate`] makes a trace of this crate's own.

pub mod generate;
pub mod layout;

use std::io::{self, BufRead};

use serde::{Deserialize, Serialize};

/// Tokens of a block.
pub const BLOCK_TOKENS: u64 = 512;

/// The trace that this crate ships; [`generate`] makes it of [`generate::Conversations::SHIPPED`].
pub const SHIPPED: &str = include_str!("../../traces/conversations.jsonl");

/// Name of the shipped trace in every output.
pub const SHIPPED_NAME: &str = "conversations";

/// One request of a trace.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
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
}

/// The requests of a trace, by arrival.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Trace {
    /// The requests; those of one millisecond in the order of their lines.
    pub requests: Vec<TraceRequest>,
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
    /// Not JSON, or not with the four fields.
    #[error("not a request: {0}")]
    NotARequest(#[from] serde_json::Error),
    /// Not text.
    #[error("not UTF-8: {0}")]
    NotText(#[from] std::str::Utf8Error),
    /// More or fewer ids than the prompt has blocks.
    #[error(
        "{input_tokens} tokens are {blocks} blocks of {BLOCK_TOKENS}, but hash_ids has {hash_ids}"
    )]
    BlockCount {
        /// Tokens of the prompt.
        input_tokens: u32,
        /// Blocks that they make.
        blocks: u64,
        /// Ids of the line.
        hash_ids: u64,
    },
}

impl Trace {
    /// Reads a trace.
    ///
    /// # Errors
    ///
    /// Returns the number of the line that is malformed, unless such lines are to be skipped, or that
    /// cannot be read; a trace without requests is an error either way.
    ///
    /// # Examples
    ///
    /// ```
    /// use mc_bench::trace::{BadLines, Trace};
    ///
    /// let text = r#"{"timestamp": 5, "input_length": 513, "output_length": 1, "hash_ids": [4, 9]}"#;
    /// let trace = Trace::read(text.as_bytes(), BadLines::Refuse)?;
    /// assert_eq!(trace.requests[0].block_tokens(1), 1);
    /// # Ok::<(), mc_bench::trace::TraceError>(())
    /// ```
    pub fn read(mut text: impl BufRead, bad_lines: BadLines) -> Result<Self, TraceError> {
        let mut trace = Self::default();
        let mut bytes = Vec::new();
        for line in 1.. {
            bytes.clear();
            let unreadable = |source| TraceError::Unreadable { line, source };
            if text.read_until(b'\n', &mut bytes).map_err(unreadable)? == 0 {
                break;
            }
            match TraceRequest::parse(&bytes) {
                Ok(request) => trace.requests.push(request),
                Err(_) if bad_lines == BadLines::Skip => trace.skipped_lines += 1,
                Err(source) => return Err(TraceError::Malformed { line, source }),
            }
        }
        if trace.requests.is_empty() {
            let skipped_lines = trace.skipped_lines;
            return Err(TraceError::Empty { skipped_lines });
        }
        trace.requests.sort_by_key(|request| request.arrival_ms);
        Ok(trace)
    }

    /// Returns the trace that this crate ships.
    ///
    /// # Panics
    ///
    /// Never: the tests read it too.
    #[must_use]
    pub fn shipped() -> Self {
        Self::read(SHIPPED.as_bytes(), BadLines::Refuse).expect("the shipped trace is well-formed")
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
}

impl TraceRequest {
    /// Reads one line.
    ///
    /// # Errors
    ///
    /// Returns what is wrong with it.
    pub fn parse(line: &[u8]) -> Result<Self, LineError> {
        let request: Self = serde_json::from_str(std::str::from_utf8(line)?)?;
        let input_tokens = request.input_tokens;
        let blocks = u64::from(input_tokens).div_ceil(BLOCK_TOKENS);
        let hash_ids = request.blocks.len() as u64;
        if blocks != hash_ids {
            return Err(LineError::BlockCount {
                input_tokens,
                blocks,
                hash_ids,
            });
        }
        Ok(request)
    }

    /// Returns the tokens in the block at a position of the prompt; 0 past its end.
    #[must_use]
    pub fn block_tokens(&self, position: usize) -> u64 {
        let before = BLOCK_TOKENS.saturating_mul(position as u64);
        u64::from(self.input_tokens)
            .saturating_sub(before)
            .min(BLOCK_TOKENS)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const GOOD: &str =
        r#"{"timestamp": 9, "input_length": 1025, "output_length": 3, "hash_ids": [0, 1, 2]}"#;

    #[track_caller]
    fn refuses(line: &str, part: &str) {
        let text = format!("{GOOD}\n{line}\n{GOOD}\n");
        let error = Trace::read(text.as_bytes(), BadLines::Refuse).unwrap_err();
        let TraceError::Malformed { line: 2, source } = &error else {
            panic!("{error}");
        };
        assert!(source.to_string().contains(part), "{source}");
        let trace = Trace::read(text.as_bytes(), BadLines::Skip).unwrap();
        assert_eq!((trace.requests.len(), trace.skipped_lines), (2, 1));
    }

    #[test]
    fn malformed_lines_are_named_or_counted() {
        refuses("", "EOF");
        refuses("{", "EOF");
        refuses("[]", "invalid length 0");
        refuses(&GOOD.replace("hash_ids", "hashes"), "hash_ids");
        refuses(&GOOD.replace("1025", "-1"), "-1");
        refuses(&GOOD.replace("1025", "4294967296"), "4294967296");
        refuses(&GOOD.replace("1025", "1024"), "1024 tokens are 2 blocks");
        refuses(&GOOD.replace(", 2]", "]"), "hash_ids has 2");
        refuses(&format!("{GOOD} {GOOD}"), "trailing characters");
    }

    #[test]
    fn bytes_that_are_no_text_are_malformed() {
        let error = Trace::read(&b"\xff\n"[..], BadLines::Refuse).unwrap_err();
        assert!(matches!(error, TraceError::Malformed { line: 1, .. }));
    }

    #[test]
    fn traces_without_requests_are_refused() {
        for (text, skipped) in [("", 0), ("x\ny", 2)] {
            let error = Trace::read(text.as_bytes(), BadLines::Skip).unwrap_err();
            assert!(
                matches!(error, TraceError::Empty { skipped_lines } if skipped_lines == skipped)
            );
        }
    }

    #[test]
    fn last_blocks_have_the_tokens_that_are_left() {
        let request = TraceRequest::parse(GOOD.as_bytes()).unwrap();
        let tokens: Vec<u64> = (0..4).map(|at| request.block_tokens(at)).collect();
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
        let trace = Trace::read(text.as_bytes(), BadLines::Refuse).unwrap();
        let order: Vec<u32> = trace
            .requests
            .iter()
            .map(|request| request.output_tokens)
            .collect();
        assert_eq!(order, [2, 1, 3]);
    }
}
