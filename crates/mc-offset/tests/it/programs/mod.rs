//! The programs that fuzzing runs on bytes, which `corpus.rs` and the targets
//! in `fuzz/` share.

pub(crate) mod operations;
pub(crate) mod snapshot_bytes;
