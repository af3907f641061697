//! Pinning objects.

use std::thread;

use crate::{ObjectStore, claims::Away};

impl ObjectStore {
    /// Keeps an object from being evicted until it is unpinned; returns whether
    /// it is stored.
    pub fn pin(&self, key: &[u8]) -> bool {
        self.set_pinned(key, true)
    }

    /// Lets a pinned object be evicted again, as if it was used now; returns
    /// whether it is stored.
    pub fn unpin(&self, key: &[u8]) -> bool {
        self.set_pinned(key, false)
    }

    fn set_pinned(&self, key: &[u8], is_pinned: bool) -> bool {
        let shared = &*self.shared;
        let now = shared.now();
        let hashed = shared.index.hash(key);
        let (mut ranks, object, is_changed) = loop {
            // Looked up under the lock, as a move puts another object there.
            let ranks = shared.order.lock();
            let Some(object) = shared.index.read(hashed).stored(hashed).cloned() else {
                return false;
            };
            if !object.is_readable() {
                drop(ranks);
                shared.drop_dead(object, now);
                return false;
            }
            match object.claims.set_pinned(is_pinned) {
                Ok(is_changed) => break (ranks, object, is_changed),
                Err(Away::Gone) => return false,
                Err(Away::Undecided) => {
                    drop(ranks);
                    thread::yield_now();
                }
            }
        };
        if is_changed {
            ranks.note_pin(&object, is_pinned, now);
            if let Some(book) = &shared.book {
                // Under the lock of the shard, as all that is written of a key.
                let _shard = shared.index.write_at(object.id);
                let _ = book.pinned(key, is_pinned);
            }
        }
        true
    }
}
