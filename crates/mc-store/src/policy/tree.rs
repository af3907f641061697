//! [`Tree`]: which object comes before which, with the places of those that have left.
//!
//! ```text
//!       a ── b ── c ── d        b left: its place in the tree stays as a *gap*, known by the hash of
//!             ╲                 its key, for as long as it has children. c and e are orphans. If b
//!              e                comes back, it takes the gap's place, and all is as before.
//! ```

use std::collections::BTreeMap;
use std::ops::ControlFlow;

use super::table::Table;
use super::{ObjectId, Parent};

/// No node, or no object.
const NONE: u32 = u32::MAX;

/// Steps down to a leaf that are made for one victim at most, so that its time is bounded. What is
/// below leaves next, as it is orphaned.
const DESCENT_MAX: usize = 64;

/// Steps up a prompt that are made for one call at most: to spare what comes before that which is
/// stored, and to see whether a new object's parent is below it, where its children were there before.
pub(crate) const DEPTH_SEEN: usize = 1 << 14;

/// Objects by what comes before them: 28 bytes for each that has a parent or a child, 4 for one that
/// is hidden, and none for others.
#[derive(Debug)]
pub(super) struct Tree {
    /// The objects that have a node or are hidden.
    objects: Table<Member>,
    /// All objects, those included of which there is nothing to know.
    len: usize,
    nodes: Table<Node>,
    vacant: Vec<u32>,
    /// Gaps by the hash of the key that left.
    gaps: BTreeMap<u64, u32>,
    /// The same by node, so that their order is that of no hash.
    gap_hashes: BTreeMap<u32, u64>,
    /// Goes up by two with each search for victims, so that a search visits each object once.
    search: u32,
    /// The node of an object that stays in this search, as long as nobody has asked whether another
    /// comes before it.
    spared: u32,
}

/// The node of an object, and a bit that is set iff the object is hidden.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
struct Member(u32);

/// A place in the tree of prompts.
#[derive(Clone, Copy, Debug, Default)]
struct Node {
    /// The object, or [`NONE`] iff the node is a gap.
    object: u32,
    parent: u32,
    /// Hidden children come after visible ones.
    first_child: u32,
    /// Neighbors in the ring of its parent's children.
    next: u32,
    previous: u32,
    /// The last search that visited it; one more, if a search is to find that it stays.
    visited: u32,
}

/// An end of a list of children.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum End {
    First,
    Last,
}

impl Member {
    const HIDDEN: u32 = 1 << 31;

    /// A visible object without a node, about which there is nothing to know.
    const PLAIN: Self = Self::new(NONE, false);

    const fn new(node: u32, is_hidden: bool) -> Self {
        let hidden = if is_hidden { Self::HIDDEN } else { 0 };
        Self(node & !Self::HIDDEN | hidden)
    }

    const fn is_hidden(self) -> bool {
        self.0 & Self::HIDDEN != 0
    }

    const fn node(self) -> u32 {
        match self.0 & !Self::HIDDEN {
            0x7fff_ffff => NONE,
            node => node,
        }
    }
}

impl Tree {
    pub(super) fn new() -> Self {
        Self {
            objects: Table::new(),
            len: 0,
            nodes: Table::new(),
            vacant: Vec::new(),
            gaps: BTreeMap::new(),
            gap_hashes: BTreeMap::new(),
            search: 0,
            spared: NONE,
        }
    }

    pub(super) fn insert(&mut self, object: ObjectId, key_hash: u64, parent: Parent) {
        self.len += 1;
        if let Some(gap) = self.gaps.remove(&key_hash) {
            self.gap_hashes.remove(&gap);
            self.node_mut(gap).object = object.0;
            self.set_member(object.0, Member::new(gap, false));
        }
        if parent == Parent::Gone(key_hash) {
            return;
        }
        if let Some(parent) = self.parent_node(parent) {
            let node = match self.member(object.0).node() {
                NONE => self.add_node(object.0),
                node => node,
            };
            // Keys can name each other: what is below an object does not come before it.
            if self.node(node).first_child == NONE || !self.may_be_below(parent, node) {
                self.link(node, parent, End::First);
            }
        }
    }

    /// Returns whether a node is another or below it; true, too, if it is deeper than is looked.
    fn may_be_below(&self, mut at: u32, top: u32) -> bool {
        for _ in 0..DEPTH_SEEN {
            match self.node(at).parent {
                _ if at == top => return true,
                NONE => return false,
                parent => at = parent,
            }
        }
        true
    }

    /// Returns the object that comes before another, if it is stored.
    pub(super) fn parent(&self, object: ObjectId) -> Option<ObjectId> {
        let at = self.member(object.0).node();
        if at == NONE {
            return None;
        }
        let parent = self.node(at).parent;
        let object = (parent != NONE).then(|| self.node(parent).object)?;
        (object != NONE).then_some(ObjectId(object))
    }

    /// Returns the objects right behind another.
    pub(super) fn children(&self, object: ObjectId) -> impl Iterator<Item = ObjectId> {
        let node = self.member(object.0).node();
        let first = match node {
            NONE => NONE,
            node => self.node(node).first_child,
        };
        let next = move |at: &u32| Some(self.node(*at).next).filter(|next| *next != first);
        let nodes = std::iter::successors((first != NONE).then_some(first), next);
        nodes.map(|at| ObjectId(self.node(at).object))
    }

    pub(super) fn remove(&mut self, object: ObjectId, key_hash: u64) {
        let at = self.member(object.0).node();
        self.objects.take(object.0);
        self.len -= 1;
        if self.len == 0 {
            self.objects = Table::new();
        }
        if at == NONE {
            return;
        }
        let parent = self.node(at).parent;
        self.unlink(at);
        self.node_mut(at).object = NONE;
        self.gaps.insert(key_hash, at);
        self.gap_hashes.insert(at, key_hash);
        self.drop_if_lone(at);
        if parent != NONE {
            self.drop_if_lone(parent);
        }
    }

    pub(super) fn is_hidden(&self, object: ObjectId) -> bool {
        self.member(object.0).is_hidden()
    }

    pub(super) fn set_hidden(&mut self, object: ObjectId, is_hidden: bool) {
        let node = self.member(object.0).node();
        self.set_member(object.0, Member::new(node, is_hidden));
        if node == NONE || self.node(node).next == node {
            return;
        }
        let parent = self.node(node).parent;
        self.unlink(node);
        let end = if is_hidden { End::Last } else { End::First };
        self.link(node, parent, end);
    }

    pub(super) fn is_orphan(&self, object: ObjectId) -> bool {
        let at = self.member(object.0).node();
        if at == NONE {
            return false;
        }
        let parent = self.node(at).parent;
        parent != NONE && self.node(parent).object == NONE
    }

    /// Begins a search for victims.
    pub(super) fn begin_search(&mut self) {
        self.search = self.search.wrapping_add(2);
        self.spared = NONE;
    }

    /// Has the search say of what comes before an object that it stays.
    pub(super) fn spare(&mut self, object: ObjectId) {
        self.spared = self.member(object.0).node();
    }

    /// Marks what comes before the spared object. Takes a step for each, so it is put off until
    /// something with children would leave.
    fn mark_line(&mut self) {
        let mut at = std::mem::replace(&mut self.spared, NONE);
        for _ in 0..DEPTH_SEEN {
            if at == NONE {
                return;
            }
            let search = self.search;
            let node = self.node_mut(at);
            if node.visited != search {
                node.visited = search.wrapping_add(1);
            }
            at = node.parent;
        }
    }

    fn member(&self, object: u32) -> Member {
        self.objects.get(object).unwrap_or(Member::PLAIN)
    }

    fn set_member(&mut self, object: u32, member: Member) {
        if member == Member::PLAIN {
            self.objects.take(object);
        } else {
            self.objects.insert(object, member);
        }
    }

    fn node(&self, at: u32) -> Node {
        self.nodes.get(at).expect("links name nodes")
    }

    fn node_mut(&mut self, at: u32) -> &mut Node {
        self.nodes.get_mut(at).expect("links name nodes")
    }

    fn add_node(&mut self, object: u32) -> u32 {
        let at = self.vacant.pop();
        let at = at.unwrap_or_else(|| u32::try_from(self.nodes.len()).expect("ids have 32 bits"));
        let node = Node {
            object,
            parent: NONE,
            first_child: NONE,
            next: at,
            previous: at,
            visited: self.search,
        };
        self.nodes.insert(at, node);
        if object != NONE {
            let is_hidden = self.member(object).is_hidden();
            self.set_member(object, Member::new(at, is_hidden));
        }
        at
    }

    /// Gives a node up if nothing hangs on it: no parent, no child, and its object needs none.
    fn drop_if_lone(&mut self, at: u32) {
        let node = self.node(at);
        if node.parent != NONE || node.first_child != NONE {
            return;
        }
        if node.object == NONE {
            let hash = self.gap_hashes.remove(&at).expect("gaps have hashes");
            self.gaps.remove(&hash);
        } else {
            let is_hidden = self.member(node.object).is_hidden();
            self.set_member(node.object, Member::new(NONE, is_hidden));
        }
        self.nodes.remove(at);
        self.vacant.push(at);
        if self.nodes.len() == 0 {
            self.vacant = Vec::new();
        }
    }

    /// Returns the node of what comes before a new object.
    fn parent_node(&mut self, parent: Parent) -> Option<u32> {
        match parent {
            Parent::None => None,
            Parent::Stored(parent) => match self.member(parent.0).node() {
                NONE => Some(self.add_node(parent.0)),
                node => Some(node),
            },
            Parent::Gone(hash) => {
                if let Some(&gap) = self.gaps.get(&hash) {
                    return Some(gap);
                }
                let gap = self.add_node(NONE);
                self.gaps.insert(hash, gap);
                self.gap_hashes.insert(gap, hash);
                Some(gap)
            }
        }
    }

    /// Makes a node a child of another.
    fn link(&mut self, at: u32, parent: u32, end: End) {
        let first = self.node(parent).first_child;
        self.node_mut(at).parent = parent;
        if first == NONE {
            self.node_mut(parent).first_child = at;
            return;
        }
        let last = self.node(first).previous;
        self.node_mut(last).next = at;
        self.node_mut(first).previous = at;
        let node = self.node_mut(at);
        (node.next, node.previous) = (first, last);
        if end == End::First {
            self.node_mut(parent).first_child = at;
        }
    }

    /// Takes a node out of its parent's children.
    fn unlink(&mut self, at: u32) {
        let node = self.node(at);
        if node.parent == NONE {
            return;
        }
        if node.next == at {
            self.node_mut(node.parent).first_child = NONE;
        } else {
            self.node_mut(node.previous).next = node.next;
            self.node_mut(node.next).previous = node.previous;
            if self.node(node.parent).first_child == at {
                self.node_mut(node.parent).first_child = node.next;
            }
        }
        let node = self.node_mut(at);
        (node.parent, node.next, node.previous) = (NONE, at, at);
    }

    /// Visits, after what is below it, an object that this search has not visited yet; says of each
    /// whether it stays.
    pub(super) fn visit(
        &mut self,
        object: ObjectId,
        visit: &mut dyn FnMut(ObjectId, bool) -> ControlFlow<()>,
    ) -> ControlFlow<()> {
        match self.member(object.0).node() {
            NONE => visit(object, false),
            at if self.is_to_visit(at) => self.visit_below(at, visit),
            _ => ControlFlow::Continue(()),
        }
    }

    /// Visits the objects whose parent has gone, and what is below them.
    pub(super) fn visit_orphans(
        &mut self,
        visit: &mut dyn FnMut(ObjectId, bool) -> ControlFlow<()>,
    ) -> ControlFlow<()> {
        let mut from = 0;
        while let Some((&gap, _)) = self.gap_hashes.range(from..).next() {
            from = gap + 1;
            while let Some(orphan) = self.child_to_visit(gap) {
                self.visit_below(orphan, visit)?;
            }
        }
        ControlFlow::Continue(())
    }

    fn visit_below(
        &mut self,
        top: u32,
        visit: &mut dyn FnMut(ObjectId, bool) -> ControlFlow<()>,
    ) -> ControlFlow<()> {
        let mut at = top;
        loop {
            for _ in 0..DESCENT_MAX {
                match self.child_to_visit(at) {
                    Some(child) => at = child,
                    None => break,
                }
            }
            if self.node(at).first_child != NONE {
                self.mark_line();
            }
            let search = self.search;
            let node = self.node_mut(at);
            let (parent, object) = (node.parent, node.object);
            let before = std::mem::replace(&mut node.visited, search);
            visit(ObjectId(object), before == search.wrapping_add(1))?;
            if at == top {
                return ControlFlow::Continue(());
            }
            let next = self.node(at).next;
            at = self.sibling_to_visit(next, parent).unwrap_or(parent);
        }
    }

    /// Returns the first child that is visible and not visited yet.
    fn child_to_visit(&self, at: u32) -> Option<u32> {
        let first = self.node(at).first_child;
        if first == NONE {
            None
        } else if self.is_to_visit(first) {
            Some(first)
        } else {
            self.sibling_to_visit(first, at)
        }
    }

    /// Returns the first to visit from a child on, up to the end of the ring or to a hidden one, after
    /// which all are hidden. Those that are passed were visited by this search, so that it has paid
    /// for the steps.
    fn sibling_to_visit(&self, from: u32, parent: u32) -> Option<u32> {
        let first = self.node(parent).first_child;
        let mut at = from;
        loop {
            if self.is_to_visit(at) {
                return Some(at);
            }
            if self.member(self.node(at).object).is_hidden() {
                return None;
            }
            at = self.node(at).next;
            if at == first {
                return None;
            }
        }
    }

    fn is_to_visit(&self, at: u32) -> bool {
        let node = self.node(at);
        node.visited != self.search && !self.member(node.object).is_hidden()
    }
}
