//! What happens to keys, told to those who want to know.

use std::{
    collections::VecDeque,
    sync::{
        Arc, Weak,
        atomic::{AtomicBool, Ordering},
    },
};

use mc_segment::SegmentId;
use parking_lot::Mutex;

use crate::stats::Cause;

/// Something that happened to an object.
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub struct Event {
    /// Key of the object.
    pub key: Box<[u8]>,
    /// Bytes of all its replicas.
    pub bytes: u64,
    /// What happened.
    pub kind: EventKind,
}

/// What happened to an object.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum EventKind {
    /// It is readable from now on.
    Committed,
    /// It is gone, for this cause.
    Left(Cause),
    /// A replica is elsewhere, or there is another.
    Moved {
        /// The segment that it left; that which it is in if it is another.
        from: SegmentId,
        /// The segment that it is in.
        to: SegmentId,
    },
    /// A replica is at another place of the same segment, so that holes became
    /// one; its descriptor has changed.
    MovedWithin {
        /// The segment.
        segment: SegmentId,
    },
}

/// Events of a store from the call of [`events`](crate::ObjectStore::events)
/// on, in a queue of its own.
///
/// Nothing waits for the reader: a queue that is full drops its oldest event
/// and counts it. Reading calls nothing of the store, so it is safe from
/// everywhere.
#[derive(Debug)]
pub struct Events {
    queue: Arc<Queue>,
}

#[derive(Debug)]
struct Queue {
    capacity: usize,
    waiting: Mutex<Waiting>,
}

#[derive(Debug, Default)]
struct Waiting {
    events: VecDeque<Event>,
    missed: u64,
}

impl Events {
    /// Returns the oldest event that was not read.
    pub fn try_next(&self) -> Option<Event> {
        self.queue.waiting.lock().events.pop_front()
    }

    /// Returns all events that were not read, the oldest first.
    pub fn drain(&self) -> Vec<Event> {
        self.queue.waiting.lock().events.drain(..).collect()
    }

    /// Returns how many events were dropped because the queue was full.
    #[must_use]
    pub fn missed(&self) -> u64 {
        self.queue.waiting.lock().missed
    }
}

/// Those who listen to a store.
#[derive(Debug, Default)]
pub(crate) struct Listeners {
    queues: Mutex<Vec<Weak<Queue>>>,
    /// Whether anybody listens; a hint, so `Relaxed`.
    has_some: AtomicBool,
}

impl Listeners {
    pub(crate) fn listen(&self, capacity: usize) -> Events {
        let queue = Arc::new(Queue {
            capacity: capacity.max(1),
            waiting: Mutex::default(),
        });
        self.queues.lock().push(Arc::downgrade(&queue));
        self.has_some.store(true, Ordering::Relaxed);
        Events { queue }
    }

    /// Tells an event that is made only if anybody listens.
    #[inline]
    pub(crate) fn tell(&self, event: impl FnOnce() -> Event) {
        if self.has_some.load(Ordering::Relaxed) {
            self.tell_all(event());
        }
    }

    #[cold]
    fn tell_all(&self, event: Event) {
        let mut queues = self.queues.lock();
        queues.retain(|queue| match queue.upgrade() {
            Some(queue) => {
                queue.push(event.clone());
                true
            }
            None => false,
        });
        self.has_some.store(!queues.is_empty(), Ordering::Relaxed);
    }
}

impl Queue {
    fn push(&self, event: Event) {
        let mut waiting = self.waiting.lock();
        if waiting.events.len() == self.capacity {
            waiting.events.pop_front();
            waiting.missed += 1;
        }
        waiting.events.push_back(event);
    }
}
