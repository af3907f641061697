//! Why a file cannot hold a pool.

use std::{
    io,
    path::{Path, PathBuf},
};

/// Why a file cannot hold a pool. A file that is not a pool is left as it was.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum FileError {
    /// A process has the pool; the kernel lets go of it when that process ends.
    #[error("{} is in use by another pool, here or in another process; close that one first", path.display())]
    InUse {
        /// The file.
        path: PathBuf,
    },
    /// The file holds something that no pool wrote; of a device, its first MiB counts.
    #[error("{} holds something that is not a pool; name another file, or remove this one", path.display())]
    NotAPool {
        /// The file.
        path: PathBuf,
    },
    /// The pool was written in a format that this version does not read.
    #[error("{} holds a pool of format {found}, this version reads 1; remove it to begin anew", path.display())]
    Version {
        /// The file.
        path: PathBuf,
        /// The format of the file.
        found: u32,
    },
    /// The pool in the file has another size than the one asked for.
    #[error(
        "{} holds a pool of {stored_bytes} bytes, {asked_bytes} were asked for; ask for that size, or remove the \
         file to begin anew",
        path.display()
    )]
    SizeDiffers {
        /// The file.
        path: PathBuf,
        /// Bytes of the pool in the file.
        stored_bytes: u64,
        /// Bytes asked for, in whole pages.
        asked_bytes: u64,
    },
    /// The pages of the file are not those that the policy demands.
    #[error(
        "{} is backed in pages of {page_bytes} bytes, which the page policy of the pool excludes; name a file \
         on another file system, or prefer pages instead of requiring or forbidding them",
        path.display()
    )]
    Pages {
        /// The file.
        path: PathBuf,
        /// Bytes of its pages.
        page_bytes: usize,
    },
    /// The pool was written where pages have another size, and begins behind one of them.
    #[error(
        "{} holds a pool that was written in pages of {stored_bytes} bytes and has pages of {page_bytes} here; put \
         it back where it was written, or remove it to begin anew",
        path.display()
    )]
    PagesDiffer {
        /// The file.
        path: PathBuf,
        /// Bytes of the pages that the pool was written in.
        stored_bytes: u64,
        /// Bytes of the pages behind the file now.
        page_bytes: u64,
    },
    /// The device is too short.
    #[error("{} has {device_bytes} bytes, the pool needs {needed_bytes} with its header; ask for less", path.display())]
    DeviceTooSmall {
        /// The device.
        path: PathBuf,
        /// Bytes of the device.
        device_bytes: u64,
        /// Bytes of the pool and its header.
        needed_bytes: u64,
    },
    /// The system refused a step.
    #[error("{} cannot hold a pool: {step} was refused", path.display())]
    Io {
        /// The file.
        path: PathBuf,
        /// The step.
        step: &'static str,
        /// What the system answered.
        source: io::Error,
    },
}

pub(super) fn io_error(path: &Path, step: &'static str, source: io::Error) -> FileError {
    FileError::Io {
        path: path.into(),
        step,
        source,
    }
}
