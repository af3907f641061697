//! The holes by address: a B+ tree that knows the largest hole of each subtree.
//!
//! Every node has up to [`FANOUT`] entries in address order. An entry of a leaf
//! is a hole, an entry of an inner node is a child with the offset of its first
//! and the size of its largest hole:
//!
//! ```text
//!  inner   offset   0    900         an entry is a child:
//!          largest 400   250         where its holes begin, the largest of them
//!                   │     └─────────────┐
//!  leaf    offset   0   500  700      900  1200
//!          largest  60  400   10      250   30      an entry is a hole
//! ```
//!
//! Whoever asks for the holes of an alignment gets a [plane](Plane): for each
//! node, the most bytes that a hole below it has behind a multiple.

use alloc::{collections::BinaryHeap, vec::Vec};
use core::ops::ControlFlow;

use crate::{
    slab::{NIL, SlabFull},
    steps,
};

/// Entries of a node at most: two levels reach a thousand holes, five a million.
const FANOUT: usize = 32;
/// Entries that stay when a full node is split.
const HALF: u32 = 16;
const _: () = assert!(2 * HALF as usize == FANOUT, "a split leaves two halves");
/// A node of at most so many entries is merged with a neighbor if there is one
/// that leaves room for a few more.
const SPARSE: usize = FANOUT / 4;
const MERGED_MAX: usize = FANOUT * 3 / 4;

/// Changes without a lookup that a small index survives.
const IDLE_CHANGES_MIN: u32 = 64;

/// An entry of a leaf is a hole, one of an inner node a child.
#[derive(Clone, Copy, Debug)]
struct Entry {
    /// Offset of the hole, or of the first hole below.
    offset: u64,
    /// Bytes of the hole, or of the largest one below.
    largest: u64,
    /// Index of the hole, or of the child.
    link: u32,
}

/// A node of the tree.
#[derive(Clone, Copy, Debug)]
struct TreeNode {
    /// [`NIL`] in the root; the next one in the list of vacant nodes.
    parent: u32,
    len: u32,
    is_leaf: bool,
    /// The most of `largest`, 0 without entries.
    most: u64,
    offsets: [u64; FANOUT],
    largest: [u64; FANOUT],
    links: [u32; FANOUT],
}

impl TreeNode {
    const fn new(parent: u32, is_leaf: bool) -> Self {
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
    fn len(&self) -> usize {
        (self.len as usize).min(FANOUT)
    }

    #[inline]
    fn entry(&self, at: usize) -> Entry {
        Entry {
            offset: self.offsets[at],
            largest: self.largest[at],
            link: self.links[at],
        }
    }

    /// Returns the entries in address order.
    fn entries(&self) -> impl Iterator<Item = Entry> + '_ {
        (0..self.len()).map(|at| self.entry(at))
    }

    #[inline]
    fn links(&self) -> &[u32] {
        &self.links[..self.len()]
    }

    /// Returns the position of an entry by its link.
    #[inline]
    fn position(&self, link: u32) -> usize {
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
    fn count_to(&self, offset: u64) -> usize {
        let offsets = &self.offsets[..self.len()];
        offsets.iter().filter(|&&other| other <= offset).count()
    }

    /// Finds the most of `largest` anew.
    fn recount(&mut self) {
        let largest = &self.largest[..self.len()];
        self.most = largest.iter().fold(0, |most, &size| most.max(size));
    }

    fn insert(&mut self, at: usize, entry: Entry) {
        let len = self.len();
        self.offsets.copy_within(at..len, at + 1);
        self.largest.copy_within(at..len, at + 1);
        self.links.copy_within(at..len, at + 1);
        self.put(at, entry);
        self.len += 1;
        self.most = self.most.max(entry.largest);
    }

    fn remove(&mut self, at: usize) {
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
    fn replace(&mut self, at: usize, entry: Entry) -> bool {
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
    fn put(&mut self, at: usize, entry: Entry) {
        self.offsets[at] = entry.offset;
        self.largest[at] = entry.largest;
        self.links[at] = entry.link;
    }

    /// Keeps the first entries only.
    fn truncate(&mut self, len: u32) {
        self.len = len;
        self.recount();
    }
}

/// What a search by room has come to.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
enum Reached {
    Node(u32),
    Hole(u32),
}

/// The room that the holes have for one alignment.
#[derive(Debug)]
pub(super) struct Plane {
    /// Bytes to whose multiples requests are aligned.
    step: u64,
    /// For each node of the tree, the most bytes of a hole below it that lie
    /// behind a multiple of the step.
    rooms: Vec<u64>,
    /// Changes since the last lookup.
    idle_changes: u32,
}

/// Returns the bytes of a hole from its first multiple of `step` on.
#[inline]
pub(super) fn room_in(offset: u64, size: u64, step: u64) -> u64 {
    let skipped = if step.is_power_of_two() {
        offset.wrapping_neg() & (step - 1)
    } else {
        (step - offset % step) % step
    };
    size.saturating_sub(skipped)
}

/// Holes in address order, searchable by address, by size, and by the room
/// that they have for an alignment.
#[derive(Debug)]
pub(crate) struct AddressIndex {
    nodes: Vec<TreeNode>,
    /// Head and length of the list of vacant nodes, linked by `parent`.
    vacant: u32,
    vacant_len: u32,
    root: u32,
    /// Nodes on the way from the root to a leaf.
    levels: u32,
    /// The leaf of each hole, by the hole's index.
    leaves: Vec<u32>,
    len: u32,
    /// Changes since the last lookup.
    idle_changes: u32,
    planes: Vec<Plane>,
}

impl AddressIndex {
    pub(crate) fn new() -> Result<Self, SlabFull> {
        let mut nodes = Vec::new();
        nodes.try_reserve_exact(4)?;
        nodes.push(TreeNode::new(NIL, true));
        Ok(Self {
            nodes,
            vacant: NIL,
            vacant_len: 0,
            root: 0,
            levels: 1,
            leaves: Vec::new(),
            len: 0,
            idle_changes: 0,
            planes: Vec::new(),
        })
    }

    pub(crate) fn heap_bytes(&self) -> usize {
        let rooms = self.planes.iter().map(|plane| plane.rooms.capacity());
        self.nodes.capacity() * size_of::<TreeNode>()
            + self.leaves.capacity() * size_of::<u32>()
            + self.planes.capacity() * size_of::<Plane>()
            + rooms.sum::<usize>() * size_of::<u64>()
    }

    /// Returns whether the index costs more than it is worth.
    #[inline]
    pub(crate) fn is_idle(&self) -> bool {
        self.idle_changes > self.len.max(IDLE_CHANGES_MIN)
    }

    /// Returns whether one hole with an index below `end` can be added.
    #[inline]
    pub(crate) fn has_room(&self, end: u32) -> bool {
        self.leaves.len() >= end as usize && self.spare_nodes() > self.levels as usize
    }

    /// Makes sure that one hole with an index below `end` can be added.
    #[cold]
    pub(crate) fn reserve(&mut self, end: u32) -> Result<(), SlabFull> {
        let missing = (end as usize).saturating_sub(self.leaves.len());
        self.leaves.try_reserve_exact(missing)?;
        self.leaves.resize(self.leaves.len() + missing, NIL);
        // A split of every level, and a new root.
        let added = (self.levels as usize + 1).saturating_sub(self.vacant_len as usize);
        self.nodes.try_reserve(added)?;
        let nodes = self.nodes.capacity();
        // A plane without room can be made anew when it is asked for.
        self.planes.retain_mut(|plane| {
            let missing = nodes - plane.rooms.len();
            plane.rooms.try_reserve_exact(missing).is_ok()
        });
        Ok(())
    }

    #[inline]
    fn spare_nodes(&self) -> usize {
        self.nodes.capacity() - self.nodes.len() + self.vacant_len as usize
    }

    /// Adds a hole that touches no other; there is [room](Self::has_room).
    pub(crate) fn insert(&mut self, hole: u32, offset: u64, size: u64) {
        let leaf = self.leaf_at(offset);
        let at = self.node(leaf).count_to(offset);
        let entry = Entry {
            offset,
            largest: size,
            link: hole,
        };
        self.insert_entry(leaf, at, entry);
        self.len += 1;
        self.note_change();
    }

    /// Removes a hole.
    pub(crate) fn remove(&mut self, hole: u32) {
        let leaf = self.leaf_of(hole);
        let at = self.node(leaf).position(hole);
        self.remove_entry(leaf, at);
        self.leaves[hole as usize] = NIL;
        self.len -= 1;
        self.note_change();
    }

    /// Moves the ends of a hole, which stays between its neighbors.
    #[inline]
    pub(crate) fn reshape(&mut self, hole: u32, offset: u64, size: u64) {
        let leaf = self.leaf_of(hole);
        let node = &mut self.nodes[leaf as usize];
        let at = node.position(hole);
        let entry = Entry {
            offset,
            largest: size,
            link: hole,
        };
        let is_summary = node.replace(at, entry);
        if is_summary || !self.planes.is_empty() {
            self.refresh_up(leaf);
        }
        self.note_change();
    }

    /// Returns the size of the largest hole, 0 if there is none.
    #[inline]
    pub(crate) fn largest(&self) -> u64 {
        self.node(self.root).most
    }

    /// Returns the hole with the highest offset that is at most `offset`.
    pub(crate) fn at_or_before(&mut self, offset: u64) -> Option<u32> {
        self.idle_changes = 0;
        let mut at = self.root;
        loop {
            steps::note(1);
            let node = self.node(at);
            let link = node.links[node.count_to(offset).checked_sub(1)?];
            if node.is_leaf {
                return Some(link);
            }
            at = link;
        }
    }

    /// Returns the hole of at least `size` bytes with the lowest offset.
    pub(crate) fn first_fit(&mut self, size: u64) -> Option<u32> {
        self.idle_changes = 0;
        let mut at = self.root;
        loop {
            steps::note(1);
            let node = self.node(at);
            let found = node.largest[..node.len()]
                .iter()
                .position(|&largest| largest >= size)?;
            if node.is_leaf {
                return Some(node.links[found]);
            }
            at = node.links[found];
        }
    }

    /// Returns the hole of at least `size` bytes with the highest offset.
    #[inline]
    pub(crate) fn last_fit(&mut self, size: u64) -> Option<u32> {
        self.idle_changes = 0;
        self.last_fit_below(self.root, size)
    }

    /// As [`last_fit`](Self::last_fit), among the holes before one.
    pub(crate) fn last_fit_before(&mut self, hole: u32, size: u64) -> Option<u32> {
        self.idle_changes = 0;
        let (mut at, mut link) = (self.leaf_of(hole), hole);
        loop {
            steps::note(1);
            let node = self.node(at);
            let before = &node.largest[..node.position(link)];
            match before.iter().rposition(|&largest| largest >= size) {
                Some(found) if node.is_leaf => return Some(node.links[found]),
                Some(found) => return self.last_fit_below(node.links[found], size),
                None if node.parent == NIL => return None,
                None => (at, link) = (node.parent, at),
            }
        }
    }

    #[inline]
    fn last_fit_below(&self, from: u32, size: u64) -> Option<u32> {
        let mut at = from;
        loop {
            steps::note(1);
            let node = self.node(at);
            let found = node.largest[..node.len()]
                .iter()
                .rposition(|&largest| largest >= size)?;
            if node.is_leaf {
                return Some(node.links[found]);
            }
            at = node.links[found];
        }
    }

    /// Returns the hole with the lowest offset that has `size` bytes behind a
    /// multiple of `step`.
    ///
    /// The first such call for a step reads all holes; after that they are
    /// followed until the step has not been asked for in as many changes as
    /// there are holes.
    pub(crate) fn first_room(&mut self, step: u64, size: u64) -> Result<Option<u32>, SlabFull> {
        self.idle_changes = 0;
        let plane = self.follow(step)?;
        let plane = &self.planes[plane];
        let mut at = self.root;
        if plane.rooms[at as usize] < size {
            return Ok(None);
        }
        loop {
            steps::note(1);
            let node = self.node(at);
            let has_room = |entry: &Entry| {
                entry.largest >= size
                    && if node.is_leaf {
                        room_in(entry.offset, entry.largest, step) >= size
                    } else {
                        plane.rooms[entry.link as usize] >= size
                    }
            };
            let found = node.entries().find(has_room);
            let link = found.expect("a plane counts rooms that are there").link;
            if node.is_leaf {
                return Ok(Some(link));
            }
            at = link;
        }
    }

    /// Hands out holes with the bytes that they have behind a multiple of
    /// `step`, the most first, for as long as `take` wants more.
    ///
    /// Takes O(log holes) for each, and no plane where `is_every_offset` says
    /// that all holes begin at a multiple.
    pub(crate) fn largest_rooms(
        &mut self,
        step: u64,
        is_every_offset: bool,
        take: impl FnMut(u64, u32) -> ControlFlow<()>,
    ) -> Result<(), SlabFull> {
        self.idle_changes = 0;
        let plane = if is_every_offset {
            None
        } else {
            let plane = self.follow(step)?;
            Some(&self.planes[plane])
        };
        self.largest_entries(plane, take)
    }

    /// Hands out holes by their room in a plane, or by their size without one,
    /// the most first.
    pub(super) fn largest_entries(
        &self,
        plane: Option<&Plane>,
        mut take: impl FnMut(u64, u32) -> ControlFlow<()>,
    ) -> Result<(), SlabFull> {
        let mut heap: BinaryHeap<(u64, Reached)> = BinaryHeap::new();
        heap.try_reserve(FANOUT)?;
        heap.push((u64::MAX, Reached::Node(self.root)));
        while let Some((room, reached)) = heap.pop() {
            steps::note(1);
            let at = match reached {
                Reached::Node(at) => at,
                Reached::Hole(hole) if take(room, hole).is_break() => break,
                Reached::Hole(_) => continue,
            };
            let node = self.node(at);
            heap.try_reserve(node.len())?;
            heap.extend(node.entries().map(|entry| {
                let link = entry.link;
                match (plane, node.is_leaf) {
                    (None, true) => (entry.largest, Reached::Hole(link)),
                    (None, false) => (entry.largest, Reached::Node(link)),
                    (Some(plane), true) => {
                        let room = room_in(entry.offset, entry.largest, plane.step);
                        (room, Reached::Hole(link))
                    }
                    (Some(plane), false) => (plane.rooms[link as usize], Reached::Node(link)),
                }
            }));
        }
        Ok(())
    }

    /// Returns the position of the plane of a step, which is made if there is
    /// none.
    fn follow(&mut self, step: u64) -> Result<usize, SlabFull> {
        let found = self.planes.iter().position(|plane| plane.step == step);
        let at = match found {
            Some(at) => at,
            None => self.add_plane(step)?,
        };
        self.planes[at].idle_changes = 0;
        Ok(at)
    }

    #[cold]
    fn add_plane(&mut self, step: u64) -> Result<usize, SlabFull> {
        let mut rooms = Vec::new();
        rooms.try_reserve_exact(self.nodes.capacity())?;
        self.planes.try_reserve(1)?;
        rooms.resize(self.nodes.len(), 0);
        self.planes.push(Plane {
            step,
            rooms,
            idle_changes: 0,
        });
        let at = self.planes.len() - 1;
        // Leaves in the order of the table, which the processor reads ahead;
        // what is above them are few.
        for (leaf, node) in (0..).zip(&self.nodes) {
            if node.is_leaf {
                steps::note(1);
                let room = self.room_below(&self.planes[at], leaf);
                self.planes[at].rooms[leaf as usize] = room;
            }
        }
        self.fill_inner(at, self.root);
        Ok(at)
    }

    fn fill_inner(&mut self, plane: usize, at: u32) {
        if self.node(at).is_leaf {
            return;
        }
        steps::note(1);
        for child in 0..self.node(at).len() {
            self.fill_inner(plane, self.node(at).links[child]);
        }
        let room = self.room_below(&self.planes[plane], at);
        self.planes[plane].rooms[at as usize] = room;
    }

    /// Returns what a plane says of a node, by those below it.
    fn room_below(&self, plane: &Plane, at: u32) -> u64 {
        let node = self.node(at);
        let rooms = node.entries().map(|entry| {
            if node.is_leaf {
                room_in(entry.offset, entry.largest, plane.step)
            } else {
                plane.rooms[entry.link as usize]
            }
        });
        rooms.max().unwrap_or(0)
    }

    #[inline]
    fn node(&self, at: u32) -> &TreeNode {
        &self.nodes[at as usize]
    }

    #[inline]
    fn leaf_of(&self, hole: u32) -> u32 {
        self.leaves[hole as usize]
    }

    #[inline]
    fn note_change(&mut self) {
        self.idle_changes += 1;
        if !self.planes.is_empty() {
            self.age_planes();
        }
    }

    /// Drops the planes that cost more than they are worth.
    fn age_planes(&mut self) {
        let limit = self.len.max(IDLE_CHANGES_MIN);
        self.planes.retain_mut(|plane| {
            plane.idle_changes += 1;
            plane.idle_changes <= limit
        });
    }

    /// Returns the leaf in which a hole at `offset` belongs.
    fn leaf_at(&self, offset: u64) -> u32 {
        let mut at = self.root;
        loop {
            steps::note(1);
            let node = self.node(at);
            if node.is_leaf {
                return at;
            }
            at = node.links[node.count_to(offset).saturating_sub(1)];
        }
    }

    /// Makes `at` the parent of a child, or the leaf of a hole.
    #[inline]
    fn adopt(&mut self, at: u32, link: u32) {
        if self.node(at).is_leaf {
            self.leaves[link as usize] = at;
        } else {
            self.nodes[link as usize].parent = at;
        }
    }

    fn insert_entry(&mut self, at: u32, position: usize, entry: Entry) {
        let (at, position) = if self.node(at).len() == FANOUT {
            self.split(at, position)
        } else {
            (at, position)
        };
        self.nodes[at as usize].insert(position, entry);
        self.adopt(at, entry.link);
        self.refresh_up(at);
    }

    /// Moves the upper half of a full node to a new one behind it; returns
    /// where an entry at `position` goes now.
    fn split(&mut self, at: u32, position: usize) -> (u32, usize) {
        let half = HALF as usize;
        steps::note(1);
        let TreeNode {
            parent, is_leaf, ..
        } = *self.node(at);
        let parent = if parent == NIL {
            self.grow_root()
        } else {
            parent
        };
        let upper = self.add_node(parent, is_leaf);
        for from in half..FANOUT {
            let entry = self.node(at).entry(from);
            self.nodes[upper as usize].insert(from - half, entry);
            self.adopt(upper, entry.link);
        }
        self.nodes[at as usize].truncate(HALF);
        self.refresh_planes(upper);
        let behind = self.node(parent).position(at) + 1;
        let entry = self.summary(upper);
        self.insert_entry(parent, behind, entry);
        self.refresh_up(at);
        if position > half {
            (upper, position - half)
        } else {
            (at, position)
        }
    }

    /// Puts a new root above the old one and returns it.
    fn grow_root(&mut self) -> u32 {
        let old = self.root;
        let root = self.add_node(NIL, false);
        let entry = self.summary(old);
        self.nodes[root as usize].insert(0, entry);
        self.adopt(root, old);
        self.root = root;
        self.levels += 1;
        self.refresh_planes(root);
        root
    }

    fn remove_entry(&mut self, at: u32, position: usize) {
        steps::note(1);
        self.nodes[at as usize].remove(position);
        let TreeNode { parent, .. } = *self.node(at);
        if parent == NIL {
            self.refresh_planes(at);
            self.lower_root();
            return;
        }
        let len = self.node(at).len();
        if len > SPARSE {
            self.refresh_up(at);
            return;
        }
        let place = self.node(parent).position(at);
        if let Some(lower_place) = self.place_to_merge(parent, place) {
            let [lower, upper] = [0, 1].map(|next| self.node(parent).links[lower_place + next]);
            self.append(lower, upper);
            self.refresh_up(lower);
            self.vacate(upper);
            self.remove_entry(parent, lower_place + 1);
        } else if len == 0 {
            self.vacate(at);
            self.remove_entry(parent, place);
        } else {
            self.refresh_up(at);
        }
    }

    /// Returns the lower of two neighbors that can become one node, of which
    /// one is at `place` below `parent`.
    fn place_to_merge(&self, parent: u32, place: usize) -> Option<usize> {
        let children = self.node(parent).links();
        let len = |at: usize| self.node(children[at]).len();
        let can_merge = |&lower: &usize| {
            let (here, there) = (len(lower), len(lower + 1));
            here + there <= MERGED_MAX || here.min(there) == 0
        };
        let before = place.checked_sub(1).filter(can_merge);
        before.or_else(|| Some(place).filter(|at| at + 1 < children.len() && can_merge(at)))
    }

    /// Moves all entries of `upper` behind those of `lower`.
    fn append(&mut self, lower: u32, upper: u32) {
        let start = self.node(lower).len();
        for from in 0..self.node(upper).len() {
            let entry = self.node(upper).entry(from);
            self.nodes[lower as usize].insert(start + from, entry);
            self.adopt(lower, entry.link);
        }
    }

    /// Takes away roots with one child.
    fn lower_root(&mut self) {
        while !self.node(self.root).is_leaf && self.node(self.root).len() == 1 {
            let old = self.root;
            self.root = self.node(old).links[0];
            self.nodes[self.root as usize].parent = NIL;
            self.levels -= 1;
            self.vacate(old);
        }
    }

    fn add_node(&mut self, parent: u32, is_leaf: bool) -> u32 {
        let node = TreeNode::new(parent, is_leaf);
        if self.vacant == NIL {
            debug_assert!(
                self.nodes.len() < self.nodes.capacity(),
                "room was reserved"
            );
            self.nodes.push(node);
            for plane in &mut self.planes {
                plane.rooms.push(0);
            }
            return index(self.nodes.len() - 1);
        }
        let at = self.vacant;
        self.vacant = self.node(at).parent;
        self.vacant_len -= 1;
        self.nodes[at as usize] = node;
        at
    }

    fn vacate(&mut self, at: u32) {
        let node = &mut self.nodes[at as usize];
        node.parent = self.vacant;
        node.truncate(0);
        self.vacant = at;
        self.vacant_len += 1;
    }

    /// Returns the entry that stands for a node in its parent.
    #[inline]
    fn summary(&self, at: u32) -> Entry {
        let node = self.node(at);
        Entry {
            offset: node.offsets[0],
            largest: node.most,
            link: at,
        }
    }

    /// Carries what changed in a node over to those above it.
    fn refresh_up(&mut self, from: u32) {
        self.refresh_planes(from);
        let mut at = from;
        loop {
            steps::note(1);
            let parent = self.node(at).parent;
            if parent == NIL {
                return;
            }
            let entry = self.summary(at);
            let node = &mut self.nodes[parent as usize];
            let place = node.position(at);
            let was = node.entry(place);
            if was.offset == entry.offset && was.largest == entry.largest {
                return;
            }
            node.replace(place, entry);
            at = parent;
        }
    }

    /// Carries what changed in a node over to the planes.
    #[inline]
    fn refresh_planes(&mut self, from: u32) {
        for plane in 0..self.planes.len() {
            self.refresh_plane(plane, from);
        }
    }

    #[cold]
    fn refresh_plane(&mut self, plane: usize, from: u32) {
        let mut at = from;
        while at != NIL {
            steps::note(1);
            let room = self.room_below(&self.planes[plane], at);
            let known = &mut self.planes[plane].rooms[at as usize];
            if *known == room {
                return;
            }
            *known = room;
            at = self.node(at).parent;
        }
    }

    /// Panics unless the tree holds exactly `holes`, which come in address
    /// order as (index, offset, size).
    pub(crate) fn check_invariants(&self, holes: impl Iterator<Item = (u32, u64, u64)>) {
        let mut expected = holes;
        let counted = self.check_subtree(self.root, NIL, self.levels, &mut expected);
        assert!(
            expected.next().is_none(),
            "a hole is missing from the address index"
        );
        assert_eq!(counted, self.len, "the address index miscounts");
    }

    fn check_subtree(
        &self,
        at: u32,
        parent: u32,
        levels: u32,
        expected: &mut impl Iterator<Item = (u32, u64, u64)>,
    ) -> u32 {
        let node = self.node(at);
        assert_eq!(node.parent, parent, "tree node {at} names another parent");
        assert_eq!(node.is_leaf, levels == 1, "leaf {at} is at another level");
        let most = node.entries().map(|entry| entry.largest).max();
        assert_eq!(node.most, most.unwrap_or(0), "the most of node {at}");
        for plane in &self.planes {
            let known = plane.rooms[at as usize];
            assert_eq!(known, self.room_below(plane, at), "room below node {at}");
        }
        if node.is_leaf {
            for entry in node.entries() {
                let found = (entry.link, entry.offset, entry.largest);
                assert_eq!(expected.next(), Some(found), "address index");
                assert_eq!(self.leaf_of(entry.link), at, "leaf of hole {}", entry.link);
            }
            return node.len;
        }
        assert!(node.len > 0, "tree node {at} is empty");
        let mut counted = 0;
        for entry in node.entries() {
            counted += self.check_subtree(entry.link, at, levels - 1, expected);
            let Entry {
                offset, largest, ..
            } = self.summary(entry.link);
            assert_eq!(
                (entry.offset, entry.largest),
                (offset, largest),
                "what tree node {at} knows of {} is wrong",
                entry.link
            );
        }
        counted
    }
}

/// Returns a position in the table of nodes, which are fewer than holes.
#[expect(
    clippy::cast_possible_truncation,
    reason = "there are fewer nodes than holes"
)]
fn index(position: usize) -> u32 {
    position as u32
}

#[cfg(test)]
mod tests {
    use alloc::collections::BTreeMap;

    use rand::{RngExt, SeedableRng};
    use rand_xoshiro::Xoshiro256PlusPlus;

    use super::*;

    /// Returns an index of `holes` holes of five bytes, ten bytes apart.
    fn comb(holes: u32) -> AddressIndex {
        let mut index = AddressIndex::new().unwrap();
        for hole in 0..holes {
            index.reserve(hole + 1).unwrap();
            index.insert(hole, 10 * u64::from(hole), 5);
        }
        index
    }

    #[test]
    fn lookups_agree_with_a_sorted_map_under_random_changes() {
        let mut rng = Xoshiro256PlusPlus::seed_from_u64(7);
        let mut index = AddressIndex::new().unwrap();
        let mut model: BTreeMap<u64, (u32, u64)> = BTreeMap::new();
        let mut spare: Vec<u32> = (0..3000).collect();
        for turn in 0..20_000 {
            let is_emptying = turn / 4000 % 2 == 1;
            // Every hole lies in a cell of its own of 100 bytes.
            let cell = rng.random_range(0..5000) * 100;
            let (offset, size) = (cell + rng.random_range(0..40), rng.random_range(1..50));
            let in_cell = model
                .range(cell..cell + if is_emptying { 1000 } else { 100 })
                .next()
                .map(|(&at, &hole)| (at, hole));
            match in_cell {
                Some((at, (hole, _))) if is_emptying || rng.random_ratio(1, 2) => {
                    index.remove(hole);
                    model.remove(&at);
                    spare.push(hole);
                }
                Some((at, (hole, _))) if at / 100 == cell / 100 => {
                    index.reshape(hole, offset, size);
                    model.remove(&at);
                    model.insert(offset, (hole, size));
                }
                Some(_) => {}
                None => {
                    let Some(hole) = spare.pop() else { continue };
                    index.reserve(3000).unwrap();
                    index.insert(hole, offset, size);
                    model.insert(offset, (hole, size));
                }
            }
            if turn % 64 == 0 {
                let holes = model.iter().map(|(&at, &(hole, size))| (hole, at, size));
                index.check_invariants(holes);
            }
            check_lookups(&mut index, &model, &mut rng);
        }
    }

    fn check_lookups(
        index: &mut AddressIndex,
        model: &BTreeMap<u64, (u32, u64)>,
        rng: &mut Xoshiro256PlusPlus,
    ) {
        let wanted = rng.random_range(1..60);
        let mut fitting = model.values().filter(|&&(_, size)| size >= wanted);
        let (first, last) = (fitting.clone().next(), fitting.next_back());
        assert_eq!(index.first_fit(wanted), first.map(|&(hole, _)| hole));
        assert_eq!(index.last_fit(wanted), last.map(|&(hole, _)| hole));
        let largest = model.values().map(|&(_, size)| size).max();
        assert_eq!(index.largest(), largest.unwrap_or(0));
        let at = rng.random_range(0..500_000);
        let before = model.range(..=at).next_back();
        let found = before.map(|(_, &(hole, _))| hole);
        assert_eq!(index.at_or_before(at), found);
        if let Some((&at, &(hole, _))) = before {
            let mut earlier = model.range(..at).rev();
            let fitting = earlier.find(|&(_, &(_, size))| size >= wanted);
            let fitting = fitting.map(|(_, &(hole, _))| hole);
            assert_eq!(index.last_fit_before(hole, wanted), fitting);
        }
        let step = [8, 16, 24][rng.random_range(0..3)];
        let rooms = model
            .iter()
            .map(|(&at, &(hole, size))| (hole, room_in(at, size, step)));
        let first = rooms.clone().find(|&(_, room)| room >= wanted);
        let found = index.first_room(step, wanted).unwrap();
        assert_eq!(found, first.map(|(hole, _)| hole));
        for (step, is_every_offset) in [(step, false), (1, true)] {
            let rooms = model
                .iter()
                .map(|(&at, &(_, size))| room_in(at, size, step));
            let mut rooms: Vec<u64> = rooms.collect();
            rooms.sort_unstable_by(|a, b| b.cmp(a));
            rooms.truncate(50);
            let mut found = Vec::new();
            let mut take = |room, _| {
                found.push(room);
                if found.len() < 50 {
                    ControlFlow::Continue(())
                } else {
                    ControlFlow::Break(())
                }
            };
            index
                .largest_rooms(step, is_every_offset, &mut take)
                .unwrap();
            assert_eq!(found, rooms);
        }
    }

    #[test]
    fn rooms_begin_at_multiples() {
        for (offset, size, step, expected) in [
            (0, 10, 8, 10),
            (1, 10, 8, 3),
            (8, 10, 8, 10),
            (1, 7, 8, 0),
            (7, 10, 24, 0),
            (20, 10, 24, 6),
            (u64::MAX - 9, 9, 1 << 63, 0),
        ] {
            assert_eq!(room_in(offset, size, step), expected, "{offset}");
        }
    }

    #[test]
    fn idle_after_more_changes_without_a_lookup_than_holes() {
        for (holes, changes) in [(1, 64_u32), (100, 100)] {
            let mut index = comb(holes);
            for turn in 0..3 {
                let _ = index.last_fit(1);
                for change in 0..changes {
                    assert!(!index.is_idle(), "turn {turn}, change {change}");
                    index.reshape(0, 0, 1 + u64::from(change) % 5);
                }
                assert!(!index.is_idle());
                index.remove(0);
                assert!(index.is_idle());
                let _ = index.at_or_before(0);
                assert!(!index.is_idle(), "a lookup starts the count anew");
                index.insert(0, 0, 5);
            }
        }
    }

    #[test]
    fn a_step_is_followed_until_it_is_idle() {
        let mut index = comb(100);
        assert_eq!(index.first_room(20, 6).unwrap(), None);
        for change in 0..=100 {
            assert_eq!(index.planes.len(), 1, "change {change}");
            index.reshape(0, 0, 5);
        }
        assert!(index.planes.is_empty());
    }

    #[test]
    fn paths_are_short_in_whichever_order_holes_come_and_go() {
        let mut index = comb(1 << 15);
        assert!(index.levels <= 4, "{} levels", index.levels);
        for hole in (0..1 << 15).filter(|hole| hole % 64 != 0) {
            index.remove(hole);
        }
        assert!(index.levels <= 3, "{} levels", index.levels);
        for hole in (0..1 << 15).step_by(64) {
            index.remove(hole);
        }
        assert_eq!((index.levels, index.len), (1, 0));
        assert_eq!(index.vacant_len as usize + 1, index.nodes.len());
    }

    #[test]
    #[should_panic(expected = "a hole is missing from the address index")]
    fn a_missing_hole_is_noticed() {
        let index = comb(1);
        index.check_invariants([(0, 0, 5), (1, 20, 5)].into_iter());
    }

    #[test]
    fn heap_bytes_are_those_of_the_tables() {
        let mut index = comb(100);
        let tables = |index: &AddressIndex| {
            index.nodes.capacity() * size_of::<TreeNode>() + 4 * index.leaves.capacity()
        };
        assert_eq!(index.heap_bytes(), tables(&index));
        let _ = index.first_room(64, 1).unwrap();
        assert!(index.heap_bytes() >= tables(&index) + 8 * index.nodes.len());
    }
}
