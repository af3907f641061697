//! The nodes of the tree and their entries.
//!
//! Where an entry lies in a node, and which one is looked for, is as good as
//! random to the processor. So whatever looks at a node looks at all of its
//! entries, the vacant ones too, and branches on none of them.

use core::hint::select_unpredictable;

use crate::slab::NIL;

/// Entries of a node at most: two levels reach a few hundred holes, six a million.
pub(super) const FANOUT: usize = 20;
/// Entries that stay when a full node is split.
pub(super) const HALF: u32 = 10;
const _: () = assert!(2 * HALF as usize == FANOUT, "a split leaves two halves");
/// Entries are counted by groups.
const GROUP: usize = 5;
const GROUPS: usize = FANOUT / GROUP;
/// A node of at most so many entries is merged with a neighbor if there is one
/// that leaves room for a few more.
pub(super) const SPARSE: usize = FANOUT / 4;
pub(super) const MERGED_MAX: usize = FANOUT * 3 / 4;

/// An entry of a leaf is a hole, one of an inner node a child.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Entry {
    /// Offset of the hole, or of the first hole below.
    pub(super) offset: u64,
    /// Bytes of the hole, or of the largest one below.
    pub(super) largest: u64,
    /// Index of the hole, or of the child.
    pub(super) link: u32,
}

impl Entry {
    /// What stands behind the entries: behind every offset, too small for any
    /// request, and no link.
    pub(super) const VACANT: Self = Self {
        offset: u64::MAX,
        largest: 0,
        link: NIL,
    };
}

/// Where an entry is: what is known of each child, and of each hole.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Lane {
    pub(super) node: u32,
    /// The position among the entries of the node.
    pub(super) place: u32,
}

impl Lane {
    pub(super) const NONE: Self = Self {
        node: NIL,
        place: 0,
    };
}

/// A node of the tree.
#[derive(Clone, Copy, Debug)]
pub(super) struct TreeNode {
    /// [`Lane::NONE`] in the root; of a vacant node, it names the next one in their list.
    pub(super) lane: Lane,
    pub(super) len: u32,
    pub(super) is_leaf: bool,
    /// The entries, and [`Entry::VACANT`] behind them.
    offsets: [u64; FANOUT],
    largest: [u64; FANOUT],
    links: [u32; FANOUT],
}

impl TreeNode {
    pub(super) const fn new(is_leaf: bool) -> Self {
        Self {
            lane: Lane::NONE,
            len: 0,
            is_leaf,
            offsets: [Entry::VACANT.offset; FANOUT],
            largest: [Entry::VACANT.largest; FANOUT],
            links: [Entry::VACANT.link; FANOUT],
        }
    }

    #[inline]
    pub(super) fn len(&self) -> usize {
        (self.len as usize).min(FANOUT)
    }

    #[inline]
    pub(super) fn entry(&self, at: usize) -> Entry {
        Entry {
            offset: self.offsets[at],
            largest: self.largest[at],
            link: self.links[at],
        }
    }

    /// Returns the entries in address order.
    pub(super) fn entries(&self) -> impl Iterator<Item = Entry> + '_ {
        (0..self.len()).map(|at| self.entry(at))
    }

    #[inline]
    pub(super) fn link(&self, at: usize) -> u32 {
        self.links[at]
    }

    /// Returns how many entries begin at or before `offset`.
    #[inline]
    pub(super) fn count_to(&self, offset: u64) -> usize {
        let is_before = |at: usize| usize::from(self.offsets[at] <= offset);
        // The last of each group tells in which one the count ends.
        let groups: usize = (0..GROUPS)
            .map(|group| is_before(group * GROUP + GROUP - 1))
            .sum();
        let start = groups.min(GROUPS - 1) * GROUP;
        let here: usize = (start..start + GROUP).map(is_before).sum();
        start + here
    }

    /// Returns the first entry of at least `size` bytes.
    #[inline]
    pub(super) fn first_of(&self, size: u64) -> Option<usize> {
        let lanes = self.largest.iter().enumerate().rev();
        let first = lanes.fold(FANOUT, |first, (at, &largest)| {
            select_unpredictable(largest >= size, at, first)
        });
        (first != FANOUT).then_some(first)
    }

    /// Returns the last entry of at least `size` bytes.
    #[inline]
    pub(super) fn last_of(&self, size: u64) -> Option<usize> {
        let lanes = self.largest.iter().enumerate();
        let last = lanes.fold(FANOUT, |last, (at, &largest)| {
            select_unpredictable(largest >= size, at, last)
        });
        (last != FANOUT).then_some(last)
    }

    /// As [`last_of`](Self::last_of), among the first `end` entries.
    pub(super) fn last_of_first(&self, end: usize, size: u64) -> Option<usize> {
        self.largest[..end]
            .iter()
            .rposition(|&largest| largest >= size)
    }

    /// Returns the most of `largest`, 0 without entries.
    #[inline]
    pub(super) fn most(&self) -> u64 {
        self.largest.iter().fold(0, |most, &size| {
            select_unpredictable(size > most, size, most)
        })
    }

    #[inline]
    pub(super) fn insert(&mut self, at: usize, entry: Entry) {
        debug_assert!(at <= self.len() && self.len() < FANOUT);
        open(&mut self.offsets, at);
        open(&mut self.largest, at);
        open(&mut self.links, at);
        self.put(at, entry);
        self.len += 1;
    }

    /// Adds an entry behind all others.
    #[inline]
    pub(super) fn push(&mut self, entry: Entry) {
        self.put(self.len(), entry);
        self.len += 1;
    }

    #[inline]
    pub(super) fn remove(&mut self, at: usize) {
        debug_assert!(at < self.len());
        close(&mut self.offsets, at, Entry::VACANT.offset);
        close(&mut self.largest, at, Entry::VACANT.largest);
        close(&mut self.links, at, Entry::VACANT.link);
        self.len -= 1;
    }

    /// Replaces an entry.
    #[inline]
    pub(super) fn put(&mut self, at: usize, entry: Entry) {
        self.offsets[at] = entry.offset;
        self.largest[at] = entry.largest;
        self.links[at] = entry.link;
    }

    /// Keeps the first entries only.
    pub(super) fn truncate(&mut self, len: u32) {
        for at in len as usize..self.len() {
            self.put(at, Entry::VACANT);
        }
        self.len = len;
    }
}

/// Moves the lanes from `at` on up by one; the last is vacant.
#[inline]
fn open<T: Copy>(lanes: &mut [T; FANOUT], at: usize) {
    lanes.copy_within(at..FANOUT - 1, at + 1);
}

/// Moves the lanes behind `at` down by one; the last becomes vacant.
#[inline]
fn close<T: Copy>(lanes: &mut [T; FANOUT], at: usize, vacant: T) {
    lanes.copy_within(at + 1.., at);
    lanes[FANOUT - 1] = vacant;
}
