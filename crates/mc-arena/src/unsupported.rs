//! What the crate offers where it cannot map memory: the same types, and errors instead of values.
//!
//! Sizes, configuration, the inventory of a system's files and the planner work everywhere.

#[path = "mapping/claims.rs"]
mod claims;
#[path = "named/contents.rs"]
mod contents;
#[path = "named/error.rs"]
mod file_error;
mod nothing;
#[path = "mapping/other_process.rs"]
mod other_process;
mod process;

pub(crate) mod mapping {
    pub(crate) use super::nothing::OwnedBytes;
    pub use super::{claims::ClaimError, other_process::OtherProcess, process::Process};
}

pub(crate) mod named {
    pub use super::{contents::Contents, file_error::FileError};
}

pub(crate) mod pool {
    pub(crate) use super::nothing::Verification;
    pub use super::nothing::{Pool, Residency};
}

pub(crate) mod bytes {
    pub use super::nothing::{DeviceBytes, PoolBytes, ReadBytes, WriteBytes};
}

pub(crate) mod shared {
    pub use super::nothing::{SharedView, ViewError};
}
