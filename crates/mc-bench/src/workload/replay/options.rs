//! What a replay is asked for beside subjects and operations.

use std::fmt::Display;
use std::fs::File;
use std::io::BufReader;
use std::path::{Path, PathBuf};

use mc_arena::size::parse_bytes;
use mc_segment::Strategy;
use mc_store::{Compaction, PolicyKind};

use crate::trace::layout::{LAYOUTS, Layout, MODELS, Model};
use crate::trace::{BLOCK_TOKENS, BadLines, SHIPPED_NAME, Trace, TraceError};

/// What to replay, and against how much room: what only `replay` takes.
///
/// Nothing in it stands for the shipped trace in all layouts, at the capacities of the page.
#[derive(Clone, Debug, Default, clap::Args)]
pub struct ReplayOptions {
    /// Trace to replay; without it the one that is shipped
    #[arg(long, value_name = "FILE")]
    pub trace: Option<PathBuf>,
    /// Count malformed lines of the trace instead of refusing it
    #[arg(long)]
    pub skip_bad: bool,
    /// Size of the store, such as 64GiB, repeatable; without it shares of the bytes of all blocks
    #[arg(long = "capacity", value_name = "SIZE", value_parser = parse_bytes)]
    pub capacities_bytes: Vec<u64>,
    /// The same as percent of the bytes of all blocks, repeatable
    #[arg(long = "capacity-percent", value_name = "P")]
    pub capacities_percent: Vec<f64>,
    /// Segments that the store is divided into; without it one
    #[arg(long, value_name = "N")]
    pub segments: Option<u32>,
    /// Copies of each object, each in a segment of its own; without it one
    #[arg(long, value_name = "N")]
    pub replicas: Option<u32>,
    /// Pieces that an object may be in; without it one
    #[arg(long, value_name = "N")]
    pub extents: Option<u32>,
    /// Strategy that chooses segments, such as best-hole
    #[arg(long, value_name = "NAME")]
    pub strategy: Option<Strategy>,
    /// Policy of bin-ceil and adaptive, such as tail-first, repeatable; without it lru
    #[arg(long = "policy", value_name = "NAME")]
    pub policies: Vec<PolicyKind>,
    /// Tokens of a block of the trace; without it 512, as the shipped one has
    #[arg(long, value_name = "N")]
    pub block_tokens: Option<u64>,
    /// Layout of the blocks, repeatable; without it all
    #[arg(long = "layout", value_name = "NAME")]
    pub layouts: Vec<String>,
    /// Model whose tokens are stored, in layouts that let it be chosen
    #[arg(long, value_name = "NAME")]
    pub model: Option<String>,
    /// Bytes of one token instead of a model
    #[arg(long = "bytes-per-token", value_name = "N", value_parser = parse_bytes)]
    pub token_bytes: Option<u64>,
    /// Who is evicted, lru or window; without it both
    #[arg(long, value_name = "NAME")]
    pub eviction: Option<String>,
    /// Of replay: bytes that a put may move for each that it stores, if it finds no hole
    #[arg(long, value_name = "RATIO")]
    pub compaction: Option<f64>,
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
    /// The objects of a trace have more bytes together than can be counted.
    #[error("the objects that {trace} asks for have more than {most} bytes together as {layout}")]
    TooManyBytes {
        /// Name of the trace.
        trace: String,
        /// Name of the layout.
        layout: &'static str,
        /// The most that is accepted.
        most: u64,
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

/// How objects are placed.
#[derive(Clone, Copy, Debug)]
pub(super) struct Placing {
    pub(super) replicas: u32,
    pub(super) extents: u32,
    pub(super) strategy: Strategy,
}

/// Tokens of a block at most, so that its pages can be counted in a byte.
const BLOCK_TOKENS_MAX: u64 = 16_384;

/// Replicas and pieces at most.
const COUNT_MAX: u32 = 1_024;

/// Segments at most: each has tables of its own.
const SEGMENTS_MAX: u32 = 4_096;

/// Bytes of a store at most: those that one segment may have.
pub(super) const CAPACITY_MAX: u64 = i64::MAX as u64;

/// Percent of the bytes of all blocks at most.
pub(super) const PERCENT_MAX: u64 = 1_000;

/// Budget of moves at most.
const COMPACTION_MAX: f64 = 1e6;

/// Bytes of a token at most, so that no size of an object overflows.
const TOKEN_BYTES_MAX: u64 = 1 << 40;

impl ReplayOptions {
    /// Returns the first option that asks for something.
    #[must_use]
    pub fn first_given(&self) -> Option<&'static str> {
        let given = [
            ("trace", self.trace.is_some()),
            ("skip-bad", self.skip_bad),
            ("capacity", !self.capacities_bytes.is_empty()),
            ("capacity-percent", !self.capacities_percent.is_empty()),
            ("segments", self.segments.is_some()),
            ("replicas", self.replicas.is_some()),
            ("extents", self.extents.is_some()),
            ("strategy", self.strategy.is_some()),
            ("policy", !self.policies.is_empty()),
            ("block-tokens", self.block_tokens.is_some()),
            ("layout", !self.layouts.is_empty()),
            ("model", self.model.is_some()),
            ("bytes-per-token", self.token_bytes.is_some()),
            ("eviction", self.eviction.is_some()),
            ("compaction", self.compaction.is_some()),
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
        self.placing().map(drop)?;
        self.block_tokens().map(drop)?;
        self.compaction().map(drop)?;
        let is_no_share = |percent: &&f64| !(**percent > 0.0 && **percent <= PERCENT_MAX as f64);
        if let Some(percent) = self.capacities_percent.iter().find(is_no_share) {
            let accepted = format!("more than 0, up to {PERCENT_MAX}");
            return Err(refused("capacity-percent", percent, &accepted));
        }
        // A byte for each segment.
        let (least, most) = (u64::from(self.segments()?), CAPACITY_MAX);
        let is_no_size = |bytes: &&u64| !(least..=most).contains(*bytes);
        if let Some(bytes) = self.capacities_bytes.iter().find(is_no_size) {
            let accepted = match least {
                1 => format!("at least 1 byte, up to {most}"),
                _ => format!("at least 1 byte for each of {least} segments, up to {most}"),
            };
            return Err(refused("capacity", bytes, &accepted));
        }
        self.trace
            .as_deref()
            .map_or(Ok(()), |path| open(path).map(drop))
    }

    /// Returns the trace and its name in the output.
    pub(super) fn read(&self) -> Result<(Trace, String), ReplayError> {
        let Some(path) = &self.trace else {
            return Ok((Trace::shipped(), SHIPPED_NAME.to_owned()));
        };
        let file = open(path)?;
        let block_tokens = self.block_tokens()?;
        let bad_lines = if self.skip_bad {
            BadLines::Skip
        } else {
            BadLines::Refuse
        };
        let trace = Trace::read(BufReader::new(file), bad_lines, block_tokens);
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
            names => each_once(names.iter().map(String::as_str)),
        };
        let layout = |name: &str| {
            let layout = Layout::named(name, token_bytes);
            let layout = layout.ok_or_else(|| refused("layout", name, &LAYOUTS.join(", ")))?;
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
            return within("bytes-per-token", bytes, 1, TOKEN_BYTES_MAX);
        }
        let Some(name) = &self.model else {
            return Ok(DEFAULT_MODEL.token_bytes);
        };
        let names: Vec<&str> = MODELS.iter().map(|model| model.name).collect();
        Ok(MODELS[place_of("model", name, &names)?].token_bytes)
    }

    pub(super) fn segments(&self) -> Result<u32, ReplayError> {
        within("segments", self.segments.unwrap_or(1), 1, SEGMENTS_MAX)
    }

    pub(super) fn block_tokens(&self) -> Result<u64, ReplayError> {
        let tokens = self.block_tokens.unwrap_or(BLOCK_TOKENS);
        match &self.trace {
            Some(_) => within("block-tokens", tokens, 1, BLOCK_TOKENS_MAX),
            // The blocks of the shipped trace are what they are.
            None => within("block-tokens", tokens, BLOCK_TOKENS, BLOCK_TOKENS),
        }
    }

    /// Returns the budget of moves; nothing is moved if none is given.
    pub(super) fn compaction(&self) -> Result<Compaction, ReplayError> {
        let Some(moved_per_placed) = self.compaction else {
            return Ok(Compaction::OFF);
        };
        let moved_per_placed = within("compaction", moved_per_placed, 0.0, COMPACTION_MAX)?;
        Ok(Compaction {
            moved_per_placed,
            bytes_per_call_max: u64::MAX,
        })
    }

    /// Returns copies, pieces and the strategy.
    pub(super) fn placing(&self) -> Result<Placing, ReplayError> {
        // Each copy is in a segment of its own.
        let copies_max = self.segments()?.min(COUNT_MAX);
        Ok(Placing {
            replicas: within("replicas", self.replicas.unwrap_or(1), 1, copies_max)?,
            extents: within("extents", self.extents.unwrap_or(1), 1, COUNT_MAX)?,
            strategy: self.strategy.unwrap_or_default(),
        })
    }

    pub(super) fn evictions(&self) -> Result<Vec<&'static str>, ReplayError> {
        match &self.eviction {
            None => Ok(EVICTIONS.to_vec()),
            Some(name) => Ok(vec![EVICTIONS[place_of("eviction", name, &EVICTIONS)?]]),
        }
    }
}

/// Returns what was given, without what was given before.
pub(super) fn each_once<T: PartialEq>(given: impl IntoIterator<Item = T>) -> Vec<T> {
    let mut once = Vec::new();
    for value in given {
        if !once.contains(&value) {
            once.push(value);
        }
    }
    once
}

fn open(path: &Path) -> Result<File, ReplayError> {
    File::open(path).map_err(|source| ReplayError::Open {
        path: path.to_owned(),
        source,
    })
}

/// Returns where an option's value is in the list of what is accepted.
fn place_of(option: &'static str, value: &str, accepted: &[&str]) -> Result<usize, ReplayError> {
    let place = accepted.iter().position(|known| *known == value);
    place.ok_or_else(|| refused(option, value, &accepted.join(", ")))
}

/// Returns a value that lies within its limits.
fn within<T: PartialOrd + Display>(
    option: &'static str,
    value: T,
    least: T,
    most: T,
) -> Result<T, ReplayError> {
    if least <= value && value <= most {
        return Ok(value);
    }
    let accepted = match least < most {
        true => format!("{least} to {most}"),
        false => least.to_string(),
    };
    Err(refused(option, value, &accepted))
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
