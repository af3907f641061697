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
//! Holes that come one after another wait beside the tree, up to
//! [`WAITING_MAX`] of them, and are put into it together.
//!
//! Whoever asks for the holes of an alignment gets a [plane](Plane): for each
//! node, the most bytes that a hole below it has behind a multiple.

mod shape;
mod tree_node;

use alloc::{collections::BinaryHeap, vec::Vec};
use core::{mem, ops::ControlFlow};

use crate::{
    slab::{NIL, SlabFull},
    steps,
};

use self::tree_node::{Entry, FANOUT, Lane, TreeNode};

/// Holes that wait at most, before they are put into the tree.
const WAITING_MAX: usize = 16;

/// Changes without a lookup that a small index survives.
const IDLE_CHANGES_MIN: u32 = 64;

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
    /// Head and length of the list of vacant nodes, linked by their lanes.
    vacant: u32,
    vacant_len: u32,
    root: u32,
    /// Nodes on the way from the root to a leaf.
    levels: u32,
    /// Where each hole is, by the hole's index; at [`Lane::NONE`] while it
    /// waits.
    lanes: Vec<Lane>,
    /// The holes that came last and are not in the tree yet, and
    /// [`Entry::VACANT`] behind them. Each change but another hole puts them
    /// there first, so that the tree is the same as without.
    waiting: [Entry; WAITING_MAX],
    waiting_len: usize,
    len: u32,
    /// Changes since the last lookup.
    idle_changes: u32,
    planes: Vec<Plane>,
}

impl AddressIndex {
    pub(crate) fn new() -> Result<Self, SlabFull> {
        let mut nodes = Vec::new();
        nodes.try_reserve_exact(4)?;
        nodes.push(TreeNode::new(true));
        Ok(Self {
            nodes,
            vacant: NIL,
            vacant_len: 0,
            root: 0,
            levels: 1,
            lanes: Vec::new(),
            waiting: [Entry::VACANT; WAITING_MAX],
            waiting_len: 0,
            len: 0,
            idle_changes: 0,
            planes: Vec::new(),
        })
    }

    pub(crate) fn heap_bytes(&self) -> usize {
        let rooms = self.planes.iter().map(|plane| plane.rooms.capacity());
        self.nodes.capacity() * size_of::<TreeNode>()
            + self.lanes.capacity() * size_of::<Lane>()
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
        self.lanes.len() >= end as usize && self.spare_nodes() >= self.nodes_for_one_more()
    }

    /// Makes sure that one hole with an index below `end` can be added.
    #[cold]
    pub(crate) fn reserve(&mut self, end: u32) -> Result<(), SlabFull> {
        let missing = (end as usize).saturating_sub(self.lanes.len());
        self.lanes.try_reserve_exact(missing)?;
        self.lanes.resize(self.lanes.len() + missing, Lane::NONE);
        let added = self
            .nodes_for_one_more()
            .saturating_sub(self.vacant_len as usize);
        self.nodes.try_reserve(added)?;
        let nodes = self.nodes.capacity();
        // A plane without room can be made anew when it is asked for.
        self.planes.retain_mut(|plane| {
            let missing = nodes - plane.rooms.len();
            plane.rooms.try_reserve_exact(missing).is_ok()
        });
        Ok(())
    }

    /// Returns how many nodes it can take to add all holes that wait and one
    /// more: a split of every level, and a new root.
    #[inline]
    fn nodes_for_one_more(&self) -> usize {
        (self.waiting_len + 1) * (self.levels as usize + 1)
    }

    #[inline]
    fn spare_nodes(&self) -> usize {
        self.nodes.capacity() - self.nodes.len() + self.vacant_len as usize
    }

    /// Adds a hole that touches no other; there is [room](Self::has_room).
    ///
    /// It waits until something else is asked of the index or too many do: a
    /// processor that is fetching the node of one victim goes on to the next
    /// only if few instructions lie between them.
    #[inline]
    pub(crate) fn insert(&mut self, hole: u32, offset: u64, size: u64) {
        if self.waiting_len == WAITING_MAX {
            self.put_waiting();
        }
        self.waiting[self.waiting_len] = Entry {
            offset,
            largest: size,
            link: hole,
        };
        self.waiting_len += 1;
        self.len += 1;
        self.note_change();
    }

    /// Puts the holes that wait, if there are any, into the tree.
    #[inline]
    fn settle(&mut self) {
        if self.waiting_len != 0 {
            self.put_waiting();
        }
    }

    #[inline(never)]
    fn put_waiting(&mut self) {
        for at in 0..mem::take(&mut self.waiting_len) {
            let entry = mem::replace(&mut self.waiting[at], Entry::VACANT);
            self.insert_hole(entry);
        }
    }

    /// Makes the tree ready for a lookup, and takes note of that.
    #[inline]
    fn start_lookup(&mut self) {
        self.settle();
        self.idle_changes = 0;
    }

    /// Removes a hole.
    #[inline]
    pub(crate) fn remove(&mut self, hole: u32) {
        self.settle();
        let lane = mem::replace(&mut self.lanes[hole as usize], Lane::NONE);
        self.remove_hole(lane);
        self.len -= 1;
        self.note_change();
    }

    /// Moves the ends of a hole, which stays between its neighbors.
    #[inline]
    pub(crate) fn reshape(&mut self, hole: u32, offset: u64, size: u64) {
        self.settle();
        let Lane { node: leaf, place } = self.lanes[hole as usize];
        let entry = Entry {
            offset,
            largest: size,
            link: hole,
        };
        self.nodes[leaf as usize].put(place as usize, entry);
        self.refresh_up(leaf);
        self.note_change();
    }

    /// Returns the size of the largest hole, 0 if there is none.
    #[inline]
    pub(crate) fn largest(&self) -> u64 {
        let waiting = self.waiting.iter().map(|entry| entry.largest);
        waiting.fold(self.node(self.root).most(), u64::max)
    }

    /// Returns the hole with the highest offset that is at most `offset`.
    pub(crate) fn at_or_before(&mut self, offset: u64) -> Option<u32> {
        self.start_lookup();
        let mut at = self.root;
        loop {
            steps::note(1);
            let node = self.node(at);
            let link = node.link(node.count_to(offset).checked_sub(1)?);
            if node.is_leaf {
                return Some(link);
            }
            at = link;
        }
    }

    /// Returns the hole of at least `size` bytes with the lowest offset.
    pub(crate) fn first_fit(&mut self, size: u64) -> Option<u32> {
        self.start_lookup();
        let mut at = self.root;
        loop {
            steps::note(1);
            let node = self.node(at);
            let link = node.link(node.first_of(size)?);
            if node.is_leaf {
                return Some(link);
            }
            at = link;
        }
    }

    /// Returns the hole of at least `size` bytes with the highest offset.
    #[inline]
    pub(crate) fn last_fit(&mut self, size: u64) -> Option<u32> {
        self.start_lookup();
        self.last_fit_below(self.root, size)
    }

    /// As [`last_fit`](Self::last_fit), among the holes before one.
    pub(crate) fn last_fit_before(&mut self, hole: u32, size: u64) -> Option<u32> {
        self.start_lookup();
        let mut lane = self.lanes[hole as usize];
        while lane != Lane::NONE {
            steps::note(1);
            let node = self.node(lane.node);
            match node.last_of_first(lane.place as usize, size) {
                Some(found) if node.is_leaf => return Some(node.link(found)),
                Some(found) => return self.last_fit_below(node.link(found), size),
                None => lane = node.lane,
            }
        }
        None
    }

    #[inline]
    fn last_fit_below(&self, from: u32, size: u64) -> Option<u32> {
        let mut at = from;
        loop {
            steps::note(1);
            let node = self.node(at);
            let link = node.link(node.last_of(size)?);
            if node.is_leaf {
                return Some(link);
            }
            at = link;
        }
    }

    /// Returns the hole with the lowest offset that has `size` bytes behind a
    /// multiple of `step`.
    ///
    /// The first such call for a step reads all holes; after that they are
    /// followed until the step has not been asked for in as many changes as
    /// there are holes.
    pub(crate) fn first_room(&mut self, step: u64, size: u64) -> Result<Option<u32>, SlabFull> {
        self.start_lookup();
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
        self.start_lookup();
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
            self.fill_inner(plane, self.node(at).link(child));
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

    /// Panics unless the tree holds exactly `holes`, which come in address
    /// order as (index, offset, size).
    pub(crate) fn check_invariants(&self, holes: impl Iterator<Item = (u32, u64, u64)>) {
        let (waiting, behind) = self.waiting.split_at(self.waiting_len);
        assert!(behind.iter().all(|&entry| entry == Entry::VACANT));
        let mut expected = holes.filter(|&(hole, offset, largest)| {
            let link = hole;
            !waiting.contains(&Entry {
                offset,
                largest,
                link,
            })
        });
        let counted = self.check_subtree(self.root, Lane::NONE, self.levels, &mut expected);
        assert!(
            expected.next().is_none(),
            "a hole is missing from the address index"
        );
        let counted = counted + index(waiting.len());
        assert_eq!(counted, self.len, "the address index miscounts");
    }

    fn check_subtree(
        &self,
        at: u32,
        lane: Lane,
        levels: u32,
        expected: &mut impl Iterator<Item = (u32, u64, u64)>,
    ) -> u32 {
        let node = self.node(at);
        assert_eq!(node.lane, lane, "tree node {at} is elsewhere");
        assert_eq!(node.is_leaf, levels == 1, "leaf {at} is at another level");
        for place in node.len()..FANOUT {
            assert_eq!(node.entry(place), Entry::VACANT, "behind tree node {at}");
        }
        for plane in &self.planes {
            let known = plane.rooms[at as usize];
            assert_eq!(known, self.room_below(plane, at), "room below node {at}");
        }
        let lanes = (0..).map(|place| Lane { node: at, place });
        if node.is_leaf {
            for (entry, lane) in node.entries().zip(lanes) {
                let found = (entry.link, entry.offset, entry.largest);
                assert_eq!(expected.next(), Some(found), "address index");
                let known = self.lanes[entry.link as usize];
                assert_eq!(known, lane, "lane of hole {}", entry.link);
            }
            return node.len;
        }
        assert!(node.len > 0, "tree node {at} is empty");
        let mut counted = 0;
        for (entry, lane) in node.entries().zip(lanes) {
            counted += self.check_subtree(entry.link, lane, levels - 1, expected);
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
mod tests;
