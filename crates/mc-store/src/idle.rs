//! A thread that moves objects together while nobody puts.

use std::{
    io,
    sync::{
        Arc,
        atomic::{AtomicBool, Ordering},
    },
    thread::{self, JoinHandle},
    time::Duration,
};

use crate::{ObjectStore, process::Process, shared::Shared};

/// How often the thread looks whether there is something to do.
const LOOK_EVERY: Duration = Duration::from_millis(50);
const LOOKS_PER_SECOND: u64 = 20;
const _: () = assert!(LOOK_EVERY.as_millis() * LOOKS_PER_SECOND as u128 == 1000);

/// A thread that [compacts](ObjectStore::compact) a store while it is idle.
///
/// Dropping it ends the thread, after the move that it is about to make, and
/// waits for that. It has a clone of the store, which lives as long.
#[derive(Debug)]
#[must_use = "the thread ends when this is dropped"]
pub struct IdleCompactor {
    stop: Arc<AtomicBool>,
    thread: Option<JoinHandle<()>>,
    process: Process,
}

impl ObjectStore {
    /// Starts a thread that makes holes ahead, as [`compact`](Self::compact)
    /// does, and copies `bytes_per_second` at most.
    ///
    /// It works while nothing is put or removed, a twentieth of a second after
    /// the last change at the earliest, and makes one move at a time; objects
    /// larger than what it may copy in a second stay where they are. Once it
    /// has found nothing to do, it looks at a few counts 20 times a second until
    /// something is put or removed.
    ///
    /// # Errors
    ///
    /// That of the system if there is no thread to be had.
    ///
    /// # Examples
    ///
    /// ```
    /// use mc_segment::{SegmentPool, SegmentPoolOptions};
    /// use mc_store::{ObjectStore, StoreOptions};
    ///
    /// let pool = SegmentPool::new(SegmentPoolOptions::default());
    /// let store = ObjectStore::new(pool, StoreOptions::default())?;
    /// let compactor = store.compact_when_idle(256 << 20)?;
    /// // Puts and gets go on.
    /// drop(compactor);
    /// # Ok::<(), Box<dyn std::error::Error>>(())
    /// ```
    pub fn compact_when_idle(&self, bytes_per_second: u64) -> io::Result<IdleCompactor> {
        let stop = Arc::new(AtomicBool::new(false));
        let mut idler = Idler {
            store: self.clone(),
            bytes_per_second,
            allowed: 0,
            seen: Changes::default(),
            is_done: false,
        };
        let is_over = Arc::clone(&stop);
        let named = thread::Builder::new().name("mc-store compactor".to_owned());
        let thread = named.spawn(move || {
            while !is_over.load(Ordering::Acquire) {
                idler.look(&is_over);
                thread::park_timeout(LOOK_EVERY);
            }
        })?;
        let thread = Some(thread);
        Ok(IdleCompactor {
            stop,
            thread,
            process: Process::current(),
        })
    }
}

impl Drop for IdleCompactor {
    fn drop(&mut self) {
        self.stop.store(true, Ordering::Release);
        // A child that was forked has no such thread.
        let thread = self.thread.take().filter(|_| self.process.is_current());
        if let Some(thread) = thread {
            thread.thread().unpark();
            // A clock or a listener of the caller that panics there ends the thread, and no more.
            let _ = thread.join();
        }
    }
}

/// What changes when something is put or leaves.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
struct Changes {
    committed: u64,
    objects: u64,
    in_flight: u64,
    live_bytes: u64,
}

impl Changes {
    fn read(shared: &Shared) -> Self {
        let (objects, in_flight) = shared.index.counts();
        let figures = &shared.order.lock().figures;
        Self {
            committed: figures.committed,
            objects,
            in_flight,
            live_bytes: figures.live_bytes,
        }
    }
}

/// What the thread does between two looks.
#[derive(Debug)]
struct Idler {
    store: ObjectStore,
    bytes_per_second: u64,
    /// Bytes that may be copied now: what a second allows, at most.
    allowed: u64,
    seen: Changes,
    /// Nothing was left to do, with all that a second allows, since something changed last.
    is_done: bool,
}

impl Idler {
    fn look(&mut self, is_over: &AtomicBool) {
        let more = (self.bytes_per_second / LOOKS_PER_SECOND).max(1);
        self.allowed = (self.allowed + more).min(self.bytes_per_second);
        let now = Changes::read(&self.store.shared);
        if now != self.seen {
            (self.seen, self.is_done) = (now, false);
            return;
        }
        let is_quiet = || {
            let has_changed = Changes::read(&self.store.shared) != now;
            !has_changed && !is_over.load(Ordering::Acquire)
        };
        if self.is_done || self.allowed == 0 {
            return;
        }
        let compacted = self.store.compact_while(self.allowed, is_quiet);
        self.is_done = compacted.bytes == 0 && self.allowed == self.bytes_per_second;
        self.allowed -= compacted.bytes;
    }
}
