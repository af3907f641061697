//! Policies as words: what [`FromStr`](std::str::FromStr) and [`Display`](std::fmt::Display) of a policy
//! agree on, and the error for anything else.

/// A text that names no policy of the kind asked for.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("{value:?} is not accepted: use {accepted}")]
#[non_exhaustive]
pub struct ParsePolicyError {
    /// The first 64 characters of the text.
    pub value: Box<str>,
    /// What is accepted.
    pub accepted: &'static str,
}

/// Characters of a refused text that an error repeats.
const VALUE_CHARS_MAX: usize = 64;

impl ParsePolicyError {
    pub(crate) fn new(text: &str, accepted: &'static str) -> Self {
        Self {
            value: text.chars().take(VALUE_CHARS_MAX).collect(),
            accepted,
        }
    }
}

/// Returns the word of a text in lower case, and what follows a colon.
pub(crate) fn split(text: &str) -> (String, Option<&str>) {
    let (word, argument) = match text.split_once(':') {
        Some((word, argument)) => (word, Some(argument.trim())),
        None => (text, None),
    };
    (word.trim().to_ascii_lowercase(), argument)
}
