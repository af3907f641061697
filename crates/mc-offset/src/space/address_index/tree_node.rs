//! The nodes of the tree and their entries.

use crate::slab::NIL;

/// Entries of a node at most: two levels reach a thousand holes, five a million.
pub(super) const FANOUT: usize = 32;
/// Entries that stay when a full node is split.
pub(super) const HALF: u32 = 16;
const _: () = assert!(2 * HALF as usize == FANOUT, "a split leaves two halves");
/// A node of at most so many entries is merged with a neighbor if there is one
/// that leaves room for a few more.
pub(super) const SPARSE: usize = FANOUT / 4;
pub(super) const MERGED_MAX: usize = FANOUT * 3 / 4;

/// An entry of a leaf is a hole, one of an inner node a child.
#[derive(Clone, Copy, Debug)]
pub(super) struct Entry {
    /// Offset of the hole, or of the first hole below.
    pub(super) offset: u64,
    /// Bytes of the hole, or of the largest one below.
    pub(super) largest: u64,
    /// Index of the hole, or of the child.
    pub(super) link: u32,
}

/// A node of the tree.
#[derive(Clone, Copy, Debug)]
pub(super) struct TreeNode {
    /// [`NIL`] in the root; the next one in the list of vacant nodes.
    pub(super) parent: u32,
    pub(super) len: u32,
    pub(super) is_leaf: bool,
    /// The most of `largest`, 0 without entries.
    pub(super) most: u64,
    pub(super) offsets: [u64; FANOUT],
    pub(super) largest: [u64; FANOUT],
    pub(super) links: [u32; FANOUT],
}

impl TreeNode {
    pub(super) const fn new(parent: u32, is_leaf: bool) -> Self {
        Self {
            parent,
            len: 0,
            is_leaf,
            most: 0,
            offsets: [0; FANOUT],
            largest: [0; FANOUT],
            links: [NIL; FANOUT],
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
    pub(super) fn links(&self) -> &[u32] {
        &self.links[..self.len()]
    }

    /// Returns the position of an entry by its link.
    #[inline]
    pub(super) fn position(&self, link: u32) -> usize {
        // Eight are compared at a time. Behind the entries lie copies of what
        // was there, so that the first match is the one.
        const LANES: usize = 8;
        for (at, lanes) in self.links.chunks_exact(LANES).enumerate() {
            if lanes
                .iter()
                .fold(false, |is_here, &other| is_here | (other == link))
            {
                let lane = lanes.iter().position(|&other| other == link);
                return at * LANES + lane.unwrap_or(0);
            }
        }
        unreachable!("a node of the address index lists what names it as parent")
    }

    /// Returns how many entries begin at or before `offset`.
    #[inline]
    pub(super) fn count_to(&self, offset: u64) -> usize {
        let offsets = &self.offsets[..self.len()];
        offsets.iter().filter(|&&other| other <= offset).count()
    }

    /// Finds the most of `largest` anew.
    pub(super) fn recount(&mut self) {
        let largest = &self.largest[..self.len()];
        self.most = largest.iter().fold(0, |most, &size| most.max(size));
    }

    pub(super) fn insert(&mut self, at: usize, entry: Entry) {
        let len = self.len();
        self.offsets.copy_within(at..len, at + 1);
        self.largest.copy_within(at..len, at + 1);
        self.links.copy_within(at..len, at + 1);
        self.put(at, entry);
        self.len += 1;
        self.most = self.most.max(entry.largest);
    }

    pub(super) fn remove(&mut self, at: usize) {
        let len = self.len();
        let largest = self.largest[at];
        self.offsets.copy_within(at + 1..len, at);
        self.largest.copy_within(at + 1..len, at);
        self.links.copy_within(at + 1..len, at);
        self.len -= 1;
        if largest == self.most {
            self.recount();
        }
    }

    /// Replaces an entry; returns whether what stands for the node in its
    /// parent changes.
    #[inline]
    pub(super) fn replace(&mut self, at: usize, entry: Entry) -> bool {
        let (was, most) = (self.largest[at], self.most);
        self.put(at, entry);
        if entry.largest >= most {
            self.most = entry.largest;
        } else if was == most {
            self.recount();
        }
        at == 0 || self.most != most
    }

    #[inline]
    pub(super) fn put(&mut self, at: usize, entry: Entry) {
        self.offsets[at] = entry.offset;
        self.largest[at] = entry.largest;
        self.links[at] = entry.link;
    }

    /// Keeps the first entries only.
    pub(super) fn truncate(&mut self, len: u32) {
        self.len = len;
        self.recount();
    }
}
