//! Memory policies in the layout that `mbind(2)` reads.

use nix::libc;

/// Memory policy of a range, as `mbind(2)` takes it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum BindMode {
    Bind,
    Prefer,
    Interleave,
}

/// A set of NUMA nodes, in the layout that `mbind(2)` reads.
#[derive(Clone, Debug, Default)]
pub(crate) struct NodeMask {
    pub(super) words: [libc::c_ulong; NodeMask::WORDS],
}

impl NodeMask {
    pub(super) const WORD_BITS: usize = libc::c_ulong::BITS as usize;
    /// 1024 nodes, the most that Linux can be configured for.
    pub(super) const WORDS: usize = 1024 / Self::WORD_BITS;

    /// Adds a node; returns false if no kernel has that many.
    pub(crate) fn insert(&mut self, node: u32) -> bool {
        let node = node as usize;
        let Some(word) = self.words.get_mut(node / Self::WORD_BITS) else {
            return false;
        };
        *word |= 1 << (node % Self::WORD_BITS);
        true
    }
}

impl BindMode {
    /// Returns the number that the system call takes.
    pub(super) fn number(self) -> libc::c_int {
        match self {
            Self::Bind => libc::MPOL_BIND,
            Self::Prefer => libc::MPOL_PREFERRED,
            Self::Interleave => libc::MPOL_INTERLEAVE,
        }
    }
}
