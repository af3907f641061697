//! What keeps the tree in shape: nodes are split, merged and vacated, and
//! those above them follow.

use super::{
    AddressIndex, Entry, TreeNode, index,
    tree_node::{FANOUT, HALF, Lane, MERGED_MAX, SPARSE},
};
use crate::{slab::NIL, steps};

impl AddressIndex {
    /// Tells the entries of a node from a position on where they are.
    fn tell_lanes(&mut self, at: u32, from: usize) {
        let is_leaf = self.node(at).is_leaf;
        for place in from..self.node(at).len() {
            let link = self.node(at).link(place) as usize;
            let lane = if is_leaf {
                &mut self.lanes[link]
            } else {
                &mut self.nodes[link].lane
            };
            *lane = Lane {
                node: at,
                place: index(place),
            };
        }
    }

    /// Adds a hole.
    pub(super) fn insert_hole(&mut self, hole: Entry) {
        let leaf = self.leaf_for(hole);
        let place = self.node(leaf).count_to(hole.offset);
        let is_full = self.node(leaf).len() == FANOUT;
        let (leaf, place) = self.split_if_full(leaf, place);
        self.nodes[leaf as usize].insert(place, hole);
        self.tell_lanes(leaf, place);
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

    /// Removes the hole at a place of a leaf.
    #[inline(never)]
    pub(super) fn remove_hole(&mut self, Lane { node: leaf, place }: Lane) {
        let node = &mut self.nodes[leaf as usize];
        let hole = node.entry(place as usize);
        node.remove(place as usize);
        let (lane, is_sparse) = (node.lane, node.len() <= SPARSE);
        self.tell_lanes(leaf, place as usize);
        if is_sparse || lane == Lane::NONE || !self.planes.is_empty() {
            self.shrink(leaf);
            return;
        }
        // Most holes are neither the first nor the largest of their leaf.
        let known = self.node(lane.node).entry(lane.place as usize);
        if known.offset == hole.offset || known.largest == hole.largest {
            self.refresh_up(leaf);
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
        self.tell_lanes(at, position);
        self.refresh_up(at);
    }

    /// Moves the upper half of a full node to a new one behind it; returns
    /// where an entry at `position` goes now.
    pub(super) fn split(&mut self, at: u32, position: usize) -> (u32, usize) {
        let half = HALF as usize;
        steps::note(1);
        if self.node(at).lane == Lane::NONE {
            self.grow_root();
        }
        let &TreeNode { lane, is_leaf, .. } = self.node(at);
        let upper = self.add_node(is_leaf);
        for from in half..FANOUT {
            let entry = self.node(at).entry(from);
            self.nodes[upper as usize].push(entry);
        }
        self.tell_lanes(upper, 0);
        self.nodes[at as usize].truncate(HALF);
        self.refresh_planes(upper);
        let entry = self.summary(upper);
        self.insert_child(lane.node, lane.place as usize + 1, entry);
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
        self.tell_lanes(root, 0);
        self.root = root;
        self.levels += 1;
        self.refresh_planes(root);
    }

    /// Removes a child of an inner node.
    fn remove_child(&mut self, at: u32, position: usize) {
        self.nodes[at as usize].remove(position);
        self.tell_lanes(at, position);
        self.shrink(at);
    }

    /// Tells those above a node that an entry of it is gone; merges it with one
    /// beside it, if together they are few.
    fn shrink(&mut self, at: u32) {
        steps::note(1);
        let Lane {
            node: parent,
            place,
        } = self.node(at).lane;
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
        let place = place as usize;
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
        self.tell_lanes(lower, start);
    }

    /// Takes away roots with one child.
    pub(super) fn lower_root(&mut self) {
        while !self.node(self.root).is_leaf && self.node(self.root).len() == 1 {
            let old = self.root;
            self.root = self.node(old).link(0);
            self.nodes[self.root as usize].lane = Lane::NONE;
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
        self.vacant = self.node(at).lane.node;
        self.vacant_len -= 1;
        self.nodes[at as usize] = node;
        at
    }

    pub(super) fn vacate(&mut self, at: u32) {
        let node = &mut self.nodes[at as usize];
        node.lane.node = self.vacant;
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
        let Lane {
            node: parent,
            place,
        } = self.node(from).lane;
        if parent == NIL {
            return;
        }
        // Whether something has changed is as good as random: it is written.
        let entry = self.summary(from);
        let node = &mut self.nodes[parent as usize];
        node.put(place as usize, entry);
        if node.lane != Lane::NONE {
            self.refresh_above(parent);
        }
    }

    /// As [`refresh_up`](Self::refresh_up), without the planes, as far as
    /// something has changed.
    fn refresh_above(&mut self, from: u32) {
        let mut at = from;
        loop {
            steps::note(1);
            let Lane {
                node: parent,
                place,
            } = self.node(at).lane;
            if parent == NIL {
                return;
            }
            let entry = self.summary(at);
            let node = &mut self.nodes[parent as usize];
            let place = place as usize;
            if node.entry(place) == entry {
                return;
            }
            node.put(place, entry);
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
            at = self.node(at).lane.node;
        }
    }
}
