//! Whose a value is: a child that was forked has a copy of it, but not its threads, nor the right to end
//! what is the parent's.

use std::process;

/// The process that made a value.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Process(u32);

impl Process {
    pub(crate) fn current() -> Self {
        Self(process::id())
    }

    pub(crate) fn is_current(self) -> bool {
        self == Self::current()
    }

    /// Returns one that is not this one.
    #[cfg(test)]
    pub(crate) const fn other() -> Self {
        Self(0)
    }
}
