//! [`Chained`]: what every policy has to respect where objects are parts of prompts.

use std::ops::ControlFlow;

use super::tree::Tree;
use super::{Facts, Leaving, ObjectId, Policy};

/// A policy that lets orphans leave first and children before their parents; otherwise that of `P`.
///
/// Takes 28 bytes for each object that has a parent or a child, and none for others unless they are
/// hidden. Every call takes constant time beside that of the inner policy.
#[derive(Debug)]
pub struct Chained<P> {
    inner: P,
    tree: Tree,
}

impl<P: Policy> Chained<P> {
    /// Puts the rules of prompts before a policy without objects.
    #[must_use]
    pub fn new(inner: P) -> Self {
        let tree = Tree::new();
        Self { inner, tree }
    }

    /// Returns the policy.
    #[must_use]
    pub fn inner(&self) -> &P {
        &self.inner
    }
}

impl<P: Policy> Chained<P> {
    /// Visits what may leave in the search that has begun.
    fn search(&mut self, visit: &mut dyn FnMut(ObjectId, bool) -> ControlFlow<()>) {
        let Self { inner, tree } = self;
        if tree.visit_orphans(visit).is_continue() {
            inner.victims(&mut |id| tree.visit(id, visit));
        }
    }
}

impl<P: Policy> Policy for Chained<P> {
    fn insert(&mut self, id: ObjectId, facts: &Facts) {
        self.tree.insert(id, facts.key_hash, facts.parent);
        self.inner.insert(id, facts);
    }

    fn used(&mut self, id: ObjectId) {
        self.inner.used(id);
    }

    fn used_all(&mut self, ids: &[ObjectId]) {
        self.inner.used_all(ids);
    }

    fn remove(&mut self, id: ObjectId, key_hash: u64, why: Leaving) {
        self.inner.remove(id, key_hash, why);
        self.tree.remove(id, key_hash);
    }

    fn hide(&mut self, id: ObjectId) {
        if !self.tree.is_hidden(id) {
            self.tree.set_hidden(id, true);
            self.inner.hide(id);
        }
    }

    fn show(&mut self, id: ObjectId) {
        if self.tree.is_hidden(id) {
            self.tree.set_hidden(id, false);
            self.inner.show(id);
        }
    }

    fn victims(&mut self, visit: &mut dyn FnMut(ObjectId) -> ControlFlow<()>) {
        self.tree.begin_search();
        self.search(&mut |id, _| visit(id));
    }

    fn victims_beside(
        &mut self,
        spared: ObjectId,
        visit: &mut dyn FnMut(ObjectId, bool) -> ControlFlow<()>,
    ) {
        self.tree.begin_search();
        self.tree.spare(spared);
        self.search(&mut |id, stays| visit(id, stays || id == spared));
    }

    /// Returns nothing for an orphan, otherwise what the inner policy says.
    fn worth(&self, id: ObjectId) -> f64 {
        if self.tree.is_orphan(id) {
            return 0.0;
        }
        self.inner.worth(id)
    }

    fn parent(&self, id: ObjectId) -> Option<ObjectId> {
        self.tree.parent(id)
    }

    fn children(&self, id: ObjectId, visit: &mut dyn FnMut(ObjectId) -> ControlFlow<()>) {
        let _ = self.tree.children(id).try_for_each(visit);
    }
}
