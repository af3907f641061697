//! What a replay is asked for beside subjects and operations.

use std::fs::File;
use std::io::BufReader;
use std::path::{Path, PathBuf};

use crate::trace::layout::{LAYOUTS, Layout, MODELS, Model, model};
use crate::trace::{BadLines, SHIPPED_NAME, Trace, TraceError};

/// What to replay, and against how much room.
///
/// Nothing in it stands for the shipped trace in all layouts, at the capacities of the page.
#[derive(Clone, Debug, Default)]
pub struct ReplayOptions {
    /// File of the trace.
    pub trace: Option<PathBuf>,
    /// What to do with its malformed lines.
    pub bad_lines: BadLines,
    /// Bytes of the pool, each a row.
    pub capacities_bytes: Vec<u64>,
    /// Segments that the pool is divided into.
    pub segments: Option<u32>,
    /// Names of layouts, each a row.
    pub layouts: Vec<String>,
    /// Model whose tokens are stored.
    pub model: Option<String>,
    /// Bytes of one token instead.
    pub token_bytes: Option<u64>,
    /// Name of the eviction.
    pub eviction: Option<String>,
}

/// Why a trace cannot be replayed.
#[derive(Debug, thiserror::Error)]
pub enum ReplayError {
    /// The file cannot be opened.
    #[error("cannot open {}", path.display())]
    Open {
        /// The file.
        path: PathBuf,
        /// What the system says.
        source: std::io::Error,
    },
    /// The file is no trace.
    #[error("cannot replay {}", path.display())]
    Trace {
        /// The file.
        path: PathBuf,
        /// Which line is wrong.
        source: TraceError,
    },
    /// An option has a value that is not accepted.
    #[error("--{option} {value} is not accepted; accepted: {accepted}")]
    Value {
        /// Name of the option.
        option: &'static str,
        /// The value as given.
        value: String,
        /// What is accepted.
        accepted: String,
    },
    /// The sizes of a layout are its own.
    #[error("layout {layout} takes no --{option}: its sizes are fixed")]
    FixedSizes {
        /// Name of the layout.
        layout: &'static str,
        /// Name of the option.
        option: &'static str,
    },
    /// Two options say the same thing differently.
    #[error("--model and --bytes-per-token exclude each other")]
    ModelAndBytes,
    /// Another workload was asked to replay.
    #[error("{workload} takes no --{option}: only replay does")]
    NoReplay {
        /// The workload.
        workload: &'static str,
        /// Name of the option.
        option: &'static str,
    },
}

/// Names of the evictions.
pub(super) const EVICTIONS: [&str; 2] = ["lru", "window"];

/// Model of the layouts of one model where none is named.
const DEFAULT_MODEL: Model = MODELS[2];

/// Segments at most: each has tables of its own.
const SEGMENTS_MAX: u32 = 4_096;

/// Bytes of a token at most, so that no size of an object overflows.
const TOKEN_BYTES_MAX: u64 = 1 << 40;

impl ReplayOptions {
    /// Returns the first option that asks for something.
    #[must_use]
    pub fn first_given(&self) -> Option<&'static str> {
        let given = [
            ("trace", self.trace.is_some()),
            ("skip-bad", self.bad_lines == BadLines::Skip),
            ("capacity", !self.capacities_bytes.is_empty()),
            ("segments", self.segments.is_some()),
            ("layout", !self.layouts.is_empty()),
            ("model", self.model.is_some()),
            ("bytes-per-token", self.token_bytes.is_some()),
            ("eviction", self.eviction.is_some()),
        ];
        let first = given.into_iter().find(|(_, is_given)| *is_given);
        first.map(|(option, _)| option)
    }

    /// Checks all that can be checked without the trace.
    ///
    /// # Errors
    ///
    /// Returns the first value that is not accepted.
    pub fn validate(&self) -> Result<(), ReplayError> {
        self.layouts().map(drop)?;
        self.segments().map(drop)?;
        self.evictions().map(drop)?;
        match self.capacities_bytes.iter().find(|&&bytes| bytes == 0) {
            Some(bytes) => Err(refused("capacity", bytes, "at least 1 byte")),
            None => Ok(()),
        }
    }

    /// Returns the trace and its name in the output.
    pub(super) fn read(&self) -> Result<(Trace, String), ReplayError> {
        let Some(path) = &self.trace else {
            return Ok((Trace::shipped(), SHIPPED_NAME.to_owned()));
        };
        let file = File::open(path).map_err(|source| ReplayError::Open {
            path: path.clone(),
            source,
        })?;
        let trace = Trace::read(BufReader::new(file), self.bad_lines);
        let trace = trace.map_err(|source| ReplayError::Trace {
            path: path.clone(),
            source,
        })?;
        Ok((trace, stem(path)))
    }

    pub(super) fn layouts(&self) -> Result<Vec<Layout>, ReplayError> {
        let sized_by = match (&self.model, self.token_bytes) {
            (Some(_), Some(_)) => return Err(ReplayError::ModelAndBytes),
            (Some(_), None) => Some("model"),
            (None, Some(_)) => Some("bytes-per-token"),
            (None, None) => None,
        };
        let token_bytes = self.token_bytes()?;
        let is_sized = |name: &&str| sized_by.is_none() || Layout::is_sized(name);
        let names: Vec<&str> = match self.layouts.as_slice() {
            [] => LAYOUTS.iter().copied().filter(is_sized).collect(),
            names => names.iter().map(String::as_str).collect(),
        };
        let layout = |name: &str| {
            let layout = Layout::named(name, token_bytes)
                .ok_or_else(|| refused("layout", name, &LAYOUTS.join(", ")))?;
            match sized_by {
                Some(option) if !Layout::is_sized(name) => Err(ReplayError::FixedSizes {
                    layout: layout.name,
                    option,
                }),
                _ => Ok(layout),
            }
        };
        names.into_iter().map(layout).collect()
    }

    fn token_bytes(&self) -> Result<u64, ReplayError> {
        if let Some(bytes) = self.token_bytes {
            let is_accepted = (1..=TOKEN_BYTES_MAX).contains(&bytes);
            let accepted = format!("1 to {TOKEN_BYTES_MAX}");
            return if is_accepted {
                Ok(bytes)
            } else {
                Err(refused("bytes-per-token", bytes, &accepted))
            };
        }
        let Some(name) = &self.model else {
            return Ok(DEFAULT_MODEL.token_bytes);
        };
        let names: Vec<&str> = MODELS.iter().map(|model| model.name).collect();
        let found = model(name).map(|model| model.token_bytes);
        found.ok_or_else(|| refused("model", name, &names.join(", ")))
    }

    pub(super) fn segments(&self) -> Result<u32, ReplayError> {
        let segments = self.segments.unwrap_or(1);
        if (1..=SEGMENTS_MAX).contains(&segments) {
            return Ok(segments);
        }
        let accepted = format!("1 to {SEGMENTS_MAX}");
        Err(refused("segments", segments, &accepted))
    }

    pub(super) fn evictions(&self) -> Result<Vec<&'static str>, ReplayError> {
        let Some(name) = &self.eviction else {
            return Ok(EVICTIONS.to_vec());
        };
        let known = EVICTIONS.iter().copied().find(|known| known == name);
        let known = known.ok_or_else(|| refused("eviction", name, &EVICTIONS.join(", ")))?;
        Ok(vec![known])
    }
}

fn refused(option: &'static str, value: impl ToString, accepted: &str) -> ReplayError {
    ReplayError::Value {
        option,
        value: value.to_string(),
        accepted: accepted.to_owned(),
    }
}

/// Returns the name of a file without directory and extension.
fn stem(path: &Path) -> String {
    let stem = path.file_stem().unwrap_or(path.as_os_str());
    stem.to_string_lossy().into_owned()
}
