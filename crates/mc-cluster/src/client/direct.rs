//! Bytes past the nodes: an engine writes and reads their memory itself.
//!
//! A node does not see these writes, so the client keeps what it would have checked: extents lie in the
//! memory that the node has described, of the life and the epoch that they were given out in; nothing is
//! begun after a deadline, nothing counts that was read after the end of its lease.

use std::{
    collections::HashMap,
    fmt,
    ops::Range,
    sync::{
        Arc,
        atomic::{AtomicU64, Ordering},
    },
    time::Duration,
};

use bytes::Bytes;
use parking_lot::Mutex;
use tokio::{
    sync::watch,
    time::{Instant, timeout},
};
use tonic::Status;

use super::{
    host::Calls,
    transport::{Incoming, Outgoing, Space, Streams, Transport},
};
use crate::{
    engine::{Reach, ReachError},
    wire::{Extent, MemoryRequest},
};

/// Bytes by an engine, and as [`Streams`] where that does not reach a node: it
/// has no such engine, or is older, or cannot be connected to. Clones share
/// connections and counts.
///
/// A node is connected to when its memory is first needed, once for each of its
/// lives.
pub struct Direct<R: Reach> {
    shared: Arc<Shared<R>>,
}

struct Shared<R: Reach> {
    reach: R,
    /// By the life of the node. Held for look-ups, and for dropping what was not
    /// used for long.
    links: Mutex<HashMap<u64, Link<R::Memory>>>,
    counts: Counts,
}

/// The way to the memory of one life of a node.
struct Link<M> {
    state: watch::Sender<State<M>>,
    used: Instant,
    /// Whether anything was ever written by it.
    has_written: bool,
}

enum State<M> {
    Connecting,
    Reached(Arc<Reached<M>>),
    /// It is not reached; another try is worth while from then on.
    Away(Instant),
}

/// The memory of one life of a node.
#[derive(Debug)]
struct Reached<M> {
    memory: Arc<M>,
    epoch: u64,
    /// Where it ends.
    bytes: u64,
}

/// What moved how so far.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
#[non_exhaustive]
pub struct DirectCounts {
    /// Objects that the engine moved.
    pub direct: u64,
    /// Objects that went as streams instead.
    pub streamed: u64,
    /// Transfers that failed, or that nobody waited for until their end.
    pub failed: u64,
}

/// The same, written by any task. Figures, so `Relaxed`.
#[derive(Debug, Default)]
struct Counts {
    direct: AtomicU64,
    streamed: AtomicU64,
    failed: AtomicU64,
}

/// How long connecting may take, and how much of that an operation waits before
/// its bytes go as streams.
const CONNECT_TIME: Duration = Duration::from_secs(5);
const CONNECT_WAIT: Duration = Duration::from_millis(500);

/// How long memory is left alone that was not reached.
const AWAY_TIME: Duration = Duration::from_secs(30);

/// How long a life is remembered that nobody asks for.
const UNUSED_MAX: Duration = Duration::from_secs(600);

impl<R: Reach> Direct<R> {
    /// Makes a transport of an engine.
    #[must_use]
    pub fn new(reach: R) -> Self {
        Self {
            shared: Arc::new(Shared {
                reach,
                links: Mutex::default(),
                counts: Counts::default(),
            }),
        }
    }

    /// Returns what moved how so far.
    #[must_use]
    pub fn counts(&self) -> DirectCounts {
        let counts = &self.shared.counts;
        let read = |count: &AtomicU64| count.load(Ordering::Relaxed);
        DirectCounts {
            direct: read(&counts.direct),
            streamed: read(&counts.streamed),
            failed: read(&counts.failed),
        }
    }

    /// Returns the memory that objects are in, if the engine reaches it.
    async fn reached(&self, calls: &Calls, space: &Space) -> Option<Arc<Reached<R::Memory>>> {
        let mut state = self.link(calls, space.life);
        let is_settled = |state: &State<_>| !matches!(state, State::Connecting);
        let settled = timeout(CONNECT_WAIT, state.wait_for(is_settled)).await;
        match &*settled.ok()?.ok()? {
            State::Reached(reached) if reached.epoch == space.epoch => Some(Arc::clone(reached)),
            _ => None,
        }
    }

    /// Returns how it stands with a life of a node, which is connected to if that
    /// was not tried, or some time ago.
    fn link(&self, calls: &Calls, life: u64) -> watch::Receiver<State<R::Memory>> {
        let now = Instant::now();
        let mut links = self.shared.links.lock();
        if let Some(link) = links.get_mut(&life) {
            link.used = now;
            let is_due = matches!(*link.state.borrow(), State::Away(until) if until <= now);
            if !is_due {
                return link.state.subscribe();
            }
        }
        links.retain(|_, link| now < link.used + UNUSED_MAX);
        let link = links.entry(life).or_insert_with(|| Link {
            state: watch::Sender::new(State::Connecting),
            used: now,
            has_written: false,
        });
        link.state.send_replace(State::Connecting);
        let state = link.state.subscribe();
        drop(links);
        let (shared, calls) = (Arc::clone(&self.shared), calls.clone());
        // In a task of its own, so that it ends whoever stops waiting for it.
        tokio::spawn(async move {
            let reached = timeout(CONNECT_TIME, shared.connect(calls, life)).await;
            let state = match reached {
                Ok(Some(reached)) => State::Reached(Arc::new(reached)),
                Ok(None) | Err(_) => State::Away(Instant::now() + AWAY_TIME),
            };
            shared.note(life, state);
        });
        state
    }
}

impl<R: Reach> Shared<R> {
    async fn connect(&self, mut calls: Calls, life: u64) -> Option<Reached<R::Memory>> {
        // A node of an earlier version does not know the call.
        let described = calls.memory(MemoryRequest { life }).await.ok()?;
        let described = described.into_inner();
        if described.engine != self.reach.name() {
            return None;
        }
        let memory = self.reach.connect(described.description).await.ok()?;
        Some(Reached {
            memory: Arc::new(memory),
            epoch: described.epoch,
            bytes: described.bytes,
        })
    }

    fn note(&self, life: u64, state: State<R::Memory>) {
        if let Some(link) = self.links.lock().get(&life) {
            link.state.send_replace(state);
        }
    }
}

impl<M> Reached<M> {
    /// Returns where an object is, if the node may have said so: in its memory,
    /// and as long as the object.
    fn ranges(&self, extents: &[Extent], bytes: usize) -> Result<Vec<Range<u64>>, Status> {
        let mut rest = bytes as u64;
        let mut ranges = Vec::with_capacity(extents.len());
        for &Extent { address, bytes } in extents {
            let end = address.checked_add(bytes);
            let end = end.filter(|&end| bytes > 0 && end <= self.bytes);
            let (Some(end), Some(left)) = (end, rest.checked_sub(bytes)) else {
                return Err(self.refusal(address, bytes));
            };
            ranges.push(address..end);
            rest = left;
        }
        match rest {
            0 => Ok(ranges),
            _ => Err(Status::data_loss(format!(
                "the node has places for all but {rest} of {bytes} bytes"
            ))),
        }
    }

    fn refusal(&self, address: u64, bytes: u64) -> Status {
        let all = self.bytes;
        Status::data_loss(format!(
            "{bytes} bytes at {address} are no part of the object in {all} bytes of memory"
        ))
    }
}

impl<R: Reach> Transport for Direct<R> {
    async fn write(
        &self,
        calls: Calls,
        space: &Space,
        objects: Vec<Outgoing>,
    ) -> Result<(), Status> {
        let shared = &*self.shared;
        let Some(reached) = self.reached(&calls, space).await else {
            add(&shared.counts.streamed, objects.len());
            return Streams.write(calls, space, objects).await;
        };
        let mut pieces = Vec::with_capacity(objects.len());
        for object in &objects {
            let ranges = reached.ranges(&object.extents, object.bytes.len())?;
            pieces.push((ranges, object.bytes.clone()));
        }
        if space.is_over() {
            return Err(Status::aborted("the time of the put is over"));
        }
        if let Some(link) = shared.links.lock().get_mut(&space.life) {
            link.has_written = true;
        }
        let under_way = UnderWay::new(shared, space.life);
        let written = shared
            .reach
            .write(&reached.memory, pieces, space.until)
            .await;
        match written {
            Ok(()) => {
                under_way.end();
                add(&shared.counts.direct, objects.len());
                Ok(())
            }
            Err(ReachError::NotBegun(_)) => {
                under_way.end();
                add(&shared.counts.streamed, objects.len());
                Streams.write(calls, space, objects).await
            }
            // Another way to the same place could be overtaken by what is under way.
            Err(error) => Err(Status::aborted(describe(&error))),
        }
    }

    async fn read(
        &self,
        calls: Calls,
        space: &Space,
        lease: u64,
        objects: Vec<Incoming>,
    ) -> Result<Vec<Bytes>, Status> {
        let shared = &*self.shared;
        if let Some(reached) = self.reached(&calls, space).await {
            let ranges = objects
                .iter()
                .map(|object| reached.ranges(&object.extents, object.bytes));
            let ranges = ranges.collect::<Result<Vec<_>, _>>()?;
            let under_way = UnderWay::new(shared, space.life);
            let read = shared
                .reach
                .read(&reached.memory, ranges, space.until)
                .await;
            match read {
                Ok(_) if space.is_over() => {
                    under_way.end();
                    return Err(Status::not_found("the lease ended before all was read"));
                }
                Ok(read) => {
                    under_way.end();
                    add(&shared.counts.direct, objects.len());
                    return Ok(read);
                }
                Err(ReachError::NotBegun(_)) => under_way.end(),
                Err(ReachError::Failed(_)) => drop(under_way),
            }
        }
        add(&shared.counts.streamed, objects.len());
        Streams.read(calls, space, lease, objects).await
    }

    fn may_write_late(&self, space: &Space) -> bool {
        let links = self.shared.links.lock();
        links.get(&space.life).is_some_and(|link| link.has_written)
    }
}

/// A transfer; the life is left alone for a while if it does not end well.
struct UnderWay<'a, R: Reach>(Option<(&'a Shared<R>, u64)>);

impl<'a, R: Reach> UnderWay<'a, R> {
    fn new(shared: &'a Shared<R>, life: u64) -> Self {
        Self(Some((shared, life)))
    }

    fn end(mut self) {
        self.0 = None;
    }
}

impl<R: Reach> Drop for UnderWay<'_, R> {
    fn drop(&mut self) {
        if let Some((shared, life)) = self.0 {
            add(&shared.counts.failed, 1);
            shared.note(life, State::Away(Instant::now() + AWAY_TIME));
        }
    }
}

impl<R: Reach> Clone for Direct<R> {
    fn clone(&self) -> Self {
        Self {
            shared: Arc::clone(&self.shared),
        }
    }
}

impl<R: Reach> fmt::Debug for Direct<R> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Direct")
            .field("engine", &self.shared.reach.name())
            .field("counts", &self.counts())
            .finish_non_exhaustive()
    }
}

fn add(sum: &AtomicU64, more: usize) {
    sum.fetch_add(more as u64, Ordering::Relaxed);
}

fn describe(error: &ReachError) -> String {
    match error {
        ReachError::NotBegun(source) | ReachError::Failed(source) => format!("{error}: {source}"),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[track_caller]
    fn check(extents: &[(u64, u64)], bytes: usize, expected: Option<&[(u64, u64)]>) {
        let reached = Reached {
            memory: Arc::new(()),
            epoch: 1,
            bytes: 1000,
        };
        let extents = extents
            .iter()
            .map(|&(address, bytes)| Extent { address, bytes });
        let ranges = reached.ranges(&extents.collect::<Vec<_>>(), bytes);
        let ranges = ranges.ok().map(|ranges| {
            let ends = ranges.iter().map(|range| (range.start, range.end));
            ends.collect::<Vec<_>>()
        });
        assert_eq!(ranges.as_deref(), expected);
    }

    #[test]
    fn places_are_within_the_memory_and_as_long_as_the_object() {
        check(&[(0, 1000)], 1000, Some(&[(0, 1000)]));
        check(&[(900, 100), (0, 20)], 120, Some(&[(900, 1000), (0, 20)]));
        check(&[(901, 100)], 100, None);
        check(&[(u64::MAX, 100)], 100, None);
        check(&[(u64::MAX - 99, 100)], 100, None);
        check(&[(0, 100)], 99, None);
        check(&[(0, 100)], 101, None);
        check(&[(0, 100), (200, 0)], 100, None);
        check(&[(0, u64::MAX), (0, 101)], 100, None);
        check(&[], 100, None);
    }
}
