//! What keeps the tree in shape: nodes are split, merged and vacated, and
//! those above them follow.

use super::{
    AddressIndex, Entry, TreeNode, index,
    tree_node::{FANOUT, HALF, MERGED_MAX, SPARSE},
};
use crate::{slab::NIL, steps};

impl AddressIndex {
    /// Tells the entries of a node from a position on that they are its own.
    fn claim(&mut self, at: u32, from: usize) {
        let is_leaf = self.node(at).is_leaf;
        for place in from..self.node(at).len() {
            let link = self.node(at).link(place) as usize;
            if is_leaf {
                self.leaves[link] = at;
            } else {
                self.nodes[link].parent = at;
            }
        }
    }

    /// Adds a hole.
    pub(super) fn insert_hole(&mut self, entry: Entry) {
        let leaf = self.leaf_for(entry);
        let place = self.node(leaf).count_to(entry.offset);
        let is_full = self.node(leaf).len() == FANOUT;
        let (leaf, place) = self.split_if_full(leaf, place);
        self.nodes[leaf as usize].insert(place, entry);
        self.leaves[entry.link as usize] = leaf;
        if is_full || !self.planes.is_empty() {
            self.refresh_up(leaf);
        }
    }

    /// Returns the leaf in which a hole belongs, and tells the nodes above it of
    /// the hole.
    fn leaf_for(&mut self, hole: Entry) -> u32 {
        let mut at = self.root;
        loop {
            steps::note(1);
            let node = &mut self.nodes[at as usize];
            if node.is_leaf {
                return at;
            }
            let place = node.count_to(hole.offset).saturating_sub(1);
            let known = node.entry(place);
            let entry = Entry {
                offset: known.offset.min(hole.offset),
                largest: known.largest.max(hole.largest),
                link: known.link,
            };
            node.put(place, entry);
            at = known.link;
        }
    }

    /// Removes a hole from its leaf.
    #[inline(never)]
    pub(super) fn remove_hole(&mut self, leaf: u32, hole: u32) {
        let node = &mut self.nodes[leaf as usize];
        let place = node.place_of(hole);
        let removed = node.entry(place);
        node.remove(place);
        let (parent, is_sparse) = (node.parent, node.len() <= SPARSE);
        if is_sparse || parent == NIL || !self.planes.is_empty() {
            self.shrink(leaf);
            return;
        }
        // Most holes are neither the first nor the largest of their leaf.
        let above = self.node(parent);
        let place = above.place_of(leaf);
        let known = above.entry(place);
        if known.offset == removed.offset || known.largest == removed.largest {
            self.refresh_entry(parent, place);
        }
    }

    fn split_if_full(&mut self, at: u32, place: usize) -> (u32, usize) {
        if self.node(at).len() == FANOUT {
            self.split(at, place)
        } else {
            (at, place)
        }
    }

    /// Adds a child to an inner node.
    fn insert_child(&mut self, at: u32, position: usize, entry: Entry) {
        let (at, position) = self.split_if_full(at, position);
        self.nodes[at as usize].insert(position, entry);
        self.nodes[entry.link as usize].parent = at;
        self.refresh_up(at);
    }

    /// Moves the upper half of a full node to a new one behind it; returns
    /// where an entry at `position` goes now.
    pub(super) fn split(&mut self, at: u32, position: usize) -> (u32, usize) {
        let half = HALF as usize;
        steps::note(1);
        if self.node(at).parent == NIL {
            self.grow_root();
        }
        let &TreeNode {
            parent, is_leaf, ..
        } = self.node(at);
        let upper = self.add_node(is_leaf);
        for from in half..FANOUT {
            let entry = self.node(at).entry(from);
            self.nodes[upper as usize].push(entry);
        }
        self.claim(upper, 0);
        self.nodes[at as usize].truncate(HALF);
        self.refresh_planes(upper);
        let entry = self.summary(upper);
        self.insert_child(parent, self.node(parent).place_of(at) + 1, entry);
        self.refresh_up(at);
        if position > half {
            (upper, position - half)
        } else {
            (at, position)
        }
    }

    /// Puts a new root above the old one.
    fn grow_root(&mut self) {
        let old = self.root;
        let root = self.add_node(false);
        let entry = self.summary(old);
        self.nodes[root as usize].push(entry);
        self.nodes[old as usize].parent = root;
        self.root = root;
        self.levels += 1;
        self.refresh_planes(root);
    }

    /// Removes a child of an inner node.
    fn remove_child(&mut self, at: u32, position: usize) {
        self.nodes[at as usize].remove(position);
        self.shrink(at);
    }

    /// Tells those above a node that an entry of it is gone; merges it with one
    /// beside it, if together they are few.
    fn shrink(&mut self, at: u32) {
        steps::note(1);
        let parent = self.node(at).parent;
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
        let place = self.node(parent).place_of(at);
        if let Some(lower_place) = self.place_to_merge(parent, place) {
            let [lower, upper] = [0, 1].map(|next| self.node(parent).link(lower_place + next));
            self.append(lower, upper);
            self.refresh_up(lower);
            self.vacate(upper);
            self.remove_child(parent, lower_place + 1);
        } else if len == 0 {
            self.vacate(at);
            self.remove_child(parent, place);
        } else {
            self.refresh_up(at);
        }
    }

    /// Returns the lower of two neighbors that can become one node, of which
    /// one is at `place` below `parent`.
    pub(super) fn place_to_merge(&self, parent: u32, place: usize) -> Option<usize> {
        let children = self.node(parent);
        let len = |at: usize| self.node(children.link(at)).len();
        let can_merge = |&lower: &usize| {
            let (here, there) = (len(lower), len(lower + 1));
            here + there <= MERGED_MAX || here.min(there) == 0
        };
        let before = place.checked_sub(1).filter(can_merge);
        before.or_else(|| Some(place).filter(|at| at + 1 < children.len() && can_merge(at)))
    }

    /// Moves all entries of `upper` behind those of `lower`.
    pub(super) fn append(&mut self, lower: u32, upper: u32) {
        let start = self.node(lower).len();
        for from in 0..self.node(upper).len() {
            let entry = self.node(upper).entry(from);
            self.nodes[lower as usize].push(entry);
        }
        self.claim(lower, start);
    }

    /// Takes away roots with one child.
    pub(super) fn lower_root(&mut self) {
        while !self.node(self.root).is_leaf && self.node(self.root).len() == 1 {
            let old = self.root;
            self.root = self.node(old).link(0);
            self.nodes[self.root as usize].parent = NIL;
            self.levels -= 1;
            self.vacate(old);
        }
    }

    fn add_node(&mut self, is_leaf: bool) -> u32 {
        let node = TreeNode::new(is_leaf);
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

    pub(super) fn vacate(&mut self, at: u32) {
        let node = &mut self.nodes[at as usize];
        node.parent = self.vacant;
        node.truncate(0);
        self.vacant = at;
        self.vacant_len += 1;
    }

    /// Returns the entry that stands for a node in its parent.
    #[inline]
    pub(super) fn summary(&self, at: u32) -> Entry {
        let node = self.node(at);
        Entry {
            offset: node.entry(0).offset,
            largest: node.most(),
            link: at,
        }
    }

    /// Carries what changed in a node over to those above it.
    #[inline]
    pub(super) fn refresh_up(&mut self, from: u32) {
        if !self.planes.is_empty() {
            self.refresh_planes(from);
        }
        let parent = self.node(from).parent;
        if parent != NIL {
            self.refresh_entry(parent, self.node(parent).place_of(from));
        }
    }

    /// Carries what changed in a child of a node over to its entry and to those
    /// above the node, as far as that makes a difference.
    fn refresh_entry(&mut self, mut at: u32, mut place: usize) {
        loop {
            steps::note(1);
            let known = self.node(at).entry(place);
            let entry = self.summary(known.link);
            if entry == known {
                return;
            }
            let node = &mut self.nodes[at as usize];
            node.put(place, entry);
            let parent = node.parent;
            if parent == NIL {
                return;
            }
            place = self.node(parent).place_of(at);
            at = parent;
        }
    }

    /// Carries what changed in a node over to the planes.
    #[cold]
    pub(super) fn refresh_planes(&mut self, from: u32) {
        for plane in 0..self.planes.len() {
            self.refresh_plane(plane, from);
        }
    }

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
}
