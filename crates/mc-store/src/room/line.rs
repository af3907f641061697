//! What comes before that which is put in its prompt, and so does not leave for it.

use std::collections::HashSet;

use super::Room;
use crate::{
    asker::Behind,
    order::SLICE,
    policy::{DEPTH_SEEN, ObjectId},
    shared::Shared,
};

impl Shared {
    /// Returns what comes before that which is put, if it is stored.
    pub(super) fn stored_before(&self, behind: Behind<'_>) -> Option<ObjectId> {
        match behind {
            Behind::Nothing => None,
            Behind::Object(id) => Some(id),
            Behind::Key(key) => {
                let hashed = self.index.hash(key);
                let shard = self.index.read(hashed);
                shard.stored(hashed).map(|object| object.id)
            }
        }
    }
}

impl Room<'_> {
    /// Returns the object that is spared and those before it in its prompt, as many as are
    /// looked at.
    pub(super) fn line(&self) -> &HashSet<ObjectId> {
        self.line.get_or_init(|| {
            let mut line = HashSet::new();
            let mut next = self.rights.spared;
            while next.is_some() && line.len() < DEPTH_SEEN {
                let ranks = self.shared.order.lock();
                for _ in 0..SLICE {
                    // Nobody comes before himself, whatever a policy says.
                    next = next.filter(|&id| line.insert(id));
                    next = next.and_then(|id| ranks.parent(id));
                }
            }
            line
        })
    }
}
