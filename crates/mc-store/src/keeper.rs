//! The thread that compacts the journal of a store, and tells it how segments are.

use std::{
    panic::{AssertUnwindSafe, catch_unwind},
    sync::{
        Arc,
        atomic::{AtomicBool, Ordering},
    },
    thread::{self, JoinHandle},
    time::Duration,
};

use crate::{
    book::{mounted, places, tenant_record},
    claims::Away,
    journal::{JournalError, Record, Reservation, encode_segment},
    object::Object,
    policy::ObjectId,
    process::Process,
    shared::Shared,
};

/// How often the thread looks whether a compaction is worth while, and states of segments are to be told.
const LOOK_EVERY: Duration = Duration::from_millis(100);

/// Compacts the journal of a store, and tells it the states of segments, in a thread that ends when this is
/// dropped.
#[derive(Debug)]
pub(crate) struct Keeper {
    stop: Arc<AtomicBool>,
    thread: Option<JoinHandle<()>>,
    process: Process,
}

impl Keeper {
    /// Starts the thread; without one, which the system may refuse, the journal
    /// grows.
    pub(crate) fn start(shared: &Arc<Shared>) -> Self {
        let stop = Arc::new(AtomicBool::new(false));
        let (is_over, kept) = (Arc::clone(&stop), Arc::clone(shared));
        let keep = move || {
            let book = kept.book.as_ref();
            // Of a segment that changes its state no call of the store knows.
            let tell_states = || book.map(|book| book.tell_segments(&kept.pool));
            while !is_over.load(Ordering::Acquire) {
                let _ = tell_states();
                if book.is_some_and(|book| book.journal().wants_compaction()) {
                    // If it fails, as by a clock that panics, the next look tries again.
                    let compact = || kept.compact_journal(&is_over);
                    let _ = catch_unwind(AssertUnwindSafe(compact));
                }
                thread::park_timeout(LOOK_EVERY);
            }
            let _ = tell_states();
        };
        let named = thread::Builder::new().name("mc-store journal".to_owned());
        Self {
            stop,
            thread: named.spawn(keep).ok(),
            process: Process::current(),
        }
    }
}

impl Drop for Keeper {
    fn drop(&mut self) {
        self.stop.store(true, Ordering::Release);
        // A child that was forked has no such thread.
        let thread = self.thread.take().filter(|_| self.process.is_current());
        if let Some(thread) = thread {
            thread.thread().unpark();
            // It panics nowhere, and there is nobody to tell.
            let _ = thread.join();
        }
    }
}

impl Shared {
    /// Writes all that the store holds as a new snapshot, and lets the journal
    /// forget what was before; gives up when `is_over`.
    pub(crate) fn compact_journal(&self, is_over: &AtomicBool) -> Result<(), JournalError> {
        let Some(book) = &self.book else {
            return Ok(());
        };
        let mut compaction = book.journal().begin_compaction()?;
        for (_, info, state) in book.told_segments() {
            let document = encode_segment(&info, state);
            compaction.write(&mounted(&info, &document))?;
        }
        for tenant in self.tenants.all() {
            compaction.write(&tenant_record(&tenant))?;
        }
        // What is read from here on was so after the compaction began. A put that ends meanwhile has a
        // later record of that. One whose deadline passes goes into limbo, and so does what an object
        // had that is detached: so limbo comes last, and a place is written twice at worst.
        for pending in self.index.in_flight() {
            if let Some(record) = book.pending_record(&pending) {
                compaction.write(&record)?;
            }
        }
        for id in self.by_last_use() {
            if is_over.load(Ordering::Acquire) {
                return Ok(());
            }
            // One that has left has a later record, and so has one that came in its stead.
            let stays = |object: &Object| object.claims.away() != Some(Away::Gone);
            let object = self.index.object(id).filter(Object::is_readable);
            if let Some(object) = object.filter(stays) {
                compaction.write(&book.record(0, &object))?;
            }
        }
        let mut kept = Vec::new();
        self.limbo.for_each(|until, one| {
            kept.push((until, one.number, places(one.places())));
        });
        for (until, put, places) in kept {
            let deadline = book.wall_time(until);
            compaction.write(&Record::Reserved(Reservation {
                put,
                key: &[],
                deadline,
                places,
            }))?;
        }
        compaction.finish()
    }

    /// Returns the ids of the objects, those first whose last use is the longest
    /// ago. Whoever held the objects would keep their places from being free.
    fn by_last_use(&self) -> Vec<ObjectId> {
        let now = self.now().into();
        let mut idle = Vec::new();
        self.index
            .for_each_object(|object| idle.push((object.idle(now), object.id)));
        idle.sort_by_key(|&(idle, _)| std::cmp::Reverse(idle));
        idle.into_iter().map(|(_, id)| id).collect()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_child_that_drops_its_copy_waits_for_no_thread() {
        let (end, ended) = std::sync::mpsc::channel::<()>();
        // It goes on, as in the parent.
        let thread = thread::spawn(move || {
            let _ = ended.recv();
        });
        drop(Keeper {
            stop: Arc::default(),
            thread: Some(thread),
            process: Process::other(),
        });
        end.send(()).unwrap();
    }
}
