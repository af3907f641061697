//! Why a journal refuses.

use std::{io, path::PathBuf, sync::Arc};

use thiserror::Error;

use super::frame::PAYLOAD_BYTES_MAX;

/// Why a directory was not opened; what it holds is what it was.
#[derive(Debug, Error)]
#[non_exhaustive]
pub enum OpenError {
    /// A process has it open.
    #[error("{} is in use{}; only one process can have it open", path.display(), by(*.process))]
    InUse {
        /// The directory.
        path: PathBuf,
        /// The process, if it has said so.
        process: Option<u32>,
    },
    /// A file, or the directory, cannot be made or read.
    #[error("cannot open {}", path.display())]
    Io {
        /// Which one.
        path: PathBuf,
        /// What the system says.
        source: io::Error,
    },
    /// A file was written by another version of this format.
    #[error("{} has version {found} of the format, where {} is read", path.display(), super::record::VERSION)]
    Version {
        /// The file.
        path: PathBuf,
        /// Its version.
        found: u8,
    },
    /// The first file cannot be made.
    #[error("no journal can be begun")]
    Begin(#[from] JournalError),
}

/// Why a record was not written.
#[derive(Clone, Debug, Error)]
#[non_exhaustive]
pub enum JournalError {
    /// The record is longer than any may be; nothing has changed.
    #[error(
        "a record of {record_bytes} bytes is longer than the {PAYLOAD_BYTES_MAX} that are read"
    )]
    TooLong {
        /// Bytes of the record.
        record_bytes: usize,
    },
    /// A compaction goes on; nothing has changed.
    #[error("another compaction goes on")]
    Compacting,
    /// The system refused a step. If it was one of a compaction, the compaction
    /// is off; otherwise no more records are written, as they would tell of
    /// what follows from something that is not there.
    #[error("the journal stops: cannot {step} {}", path.display())]
    Io {
        /// What was to be done.
        step: &'static str,
        /// With which file.
        path: PathBuf,
        /// What the system says.
        source: Arc<io::Error>,
    },
}

impl JournalError {
    /// Returns what turns an error of the system into one of a step.
    pub(super) fn at(step: &'static str, path: &std::path::Path) -> impl FnOnce(io::Error) -> Self {
        move |source| Self::Io {
            step,
            path: path.to_owned(),
            source: Arc::new(source),
        }
    }
}

fn by(process: Option<u32>) -> String {
    process.map_or_else(String::new, |process| format!(" by process {process}"))
}
