//! The error of a child that asks for memory of its parent.

/// What was asked for belongs to the process that mapped it, and a child was forked since.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[error(
    "the memory belongs to process {owner_pid}, from which this one ({this_pid}) was forked without it; \
     map it anew here, or start children by exec"
)]
#[non_exhaustive]
pub struct OtherProcess {
    /// The process that mapped the memory.
    pub owner_pid: u32,
    /// The process that asked.
    pub this_pid: u32,
}
