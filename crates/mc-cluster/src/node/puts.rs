//! Puts that clients have not committed yet.

use std::sync::Arc;

use bytes::Bytes;
use mc_arena::{ClaimError, DeviceBytes, PoolBytes};
use mc_store::{ObjectStore, Put, PutRequest};
use parking_lot::Mutex;
use tokio::time::Instant;

use super::{chunks::checksum, outcome, timed::Timed};
use crate::{
    time::after,
    wire::{Extent, Outcome, commit_request, reserve_request, reserve_response},
};

/// Puts by the number that their client knows.
#[derive(Debug)]
pub(crate) struct Puts {
    puts_max: usize,
    /// What clients write to by an engine, if they do.
    memory: Option<PoolBytes>,
    /// Held for one look-up each. A put is taken out of its own lock by whoever
    /// ends it, so that nobody writes to it afterwards.
    puts: Mutex<Timed<Shared>>,
}

type Shared = Arc<Mutex<Option<Reserved>>>;

#[derive(Debug)]
struct Reserved {
    /// The space, as long as only an engine may write to it: nobody else gets a
    /// slice of it meanwhile.
    lent: Vec<DeviceBytes>,
    put: Put,
}

/// Why bytes were not written to a put.
#[derive(Debug)]
pub(crate) enum WriteRefused {
    /// No such put, or it is over.
    Unknown,
    /// Beyond its end, or its memory went away.
    Bytes(mc_segment::BytesError),
}

impl Puts {
    pub(crate) fn new(puts_max: usize, memory: Option<PoolBytes>) -> Self {
        Self {
            puts_max,
            memory,
            puts: Mutex::new(Timed::new()),
        }
    }

    pub(crate) fn len(&self) -> usize {
        self.puts.lock().len()
    }

    /// Reserves space until a moment, whatever time those before it in its batch took.
    pub(crate) fn reserve(
        &self,
        store: &ObjectStore,
        item: &reserve_request::Item,
        until: Instant,
    ) -> reserve_response::Item {
        let refused = |outcome: Outcome| reserve_response::Item {
            outcome: outcome.into(),
            ..Default::default()
        };
        if self.len() >= self.puts_max {
            return refused(Outcome::NoRoom);
        }
        // The put holds both keys.
        let parent_bytes = item.parent.as_ref().map_or(0, Bytes::len);
        if parent_bytes > store.options().key_bytes_max {
            return refused(Outcome::TooLarge);
        }
        let request = PutRequest {
            align: item.align.max(1),
            max_extents: item.extents_max.max(1),
            parent: item.parent.as_deref(),
            deadline: Some(until.saturating_duration_since(Instant::now())),
            ..PutRequest::new(item.bytes)
        };
        let put = match store.put(&item.key, &request) {
            Ok(put) => put,
            Err(error) => return refused(outcome::of_put(&error)),
        };
        // Not before the store has ended it, which read a clock of its own, and later.
        let until = until.max(after(Instant::now(), put.left()));
        let extents = extents(&put);
        let Ok(lent) = self.lend(&extents) else {
            return refused(Outcome::Failed);
        };
        let put = Arc::new(Mutex::new(Some(Reserved { lent, put })));
        let mut puts = self.puts.lock();
        if puts.len() >= self.puts_max {
            // Other calls came first. The put ends when the lock is released.
            return refused(Outcome::NoRoom);
        }
        reserve_response::Item {
            outcome: Outcome::Done.into(),
            put: puts.insert(until, put),
            extents,
        }
    }

    /// Copies bytes into the space of a put.
    pub(crate) fn write(
        &self,
        put: u64,
        offset: u64,
        bytes: &[u8],
        now: Instant,
    ) -> Result<(), WriteRefused> {
        let shared = self.puts.lock().get(put, now).cloned();
        let shared = shared.ok_or(WriteRefused::Unknown)?;
        let mut put = shared.lock();
        let put = put.as_mut().ok_or(WriteRefused::Unknown)?;
        // The client has no engine, or does not reach the node by it.
        put.lent.clear();
        let mut space = put.put.replicas_mut();
        let replica = space.first_mut().ok_or(WriteRefused::Unknown)?;
        let written = replica.write_at(offset, bytes);
        written.map_err(WriteRefused::Bytes)
    }

    /// Takes a put out that is to be committed, once its bytes were compared if
    /// that is asked for. What is not as it should be is given up.
    pub(crate) async fn prepare(&self, item: &commit_request::Item) -> Result<Put, Outcome> {
        let mut put = self.take(item.put).ok_or(Outcome::Unknown)?;
        let Some(checksum) = item.checksum else {
            return Ok(put);
        };
        if item.is_compared && checksum_of(&put).await != Some(checksum) {
            return Err(Outcome::Damaged);
        }
        put.set_checksum(checksum);
        Ok(put)
    }

    /// Gives the space of a put back, which its client does not write to any
    /// more.
    pub(crate) fn abort(&self, put: u64) -> Outcome {
        match self.take(put) {
            Some(_) => Outcome::Done,
            None => Outcome::Unknown,
        }
    }

    /// Lets go of puts that are late. The store has to have ended them before,
    /// so that their space stays taken for the margin.
    pub(crate) fn end_late(&self, now: Instant) {
        let late = self.puts.lock().take_due(now);
        drop(late);
    }

    fn take(&self, put: u64) -> Option<Put> {
        let shared = self.puts.lock().remove(put)?;
        let reserved = shared.lock().take()?;
        Some(reserved.put)
    }

    fn lend(&self, extents: &[Extent]) -> Result<Vec<DeviceBytes>, ClaimError> {
        let Some(memory) = &self.memory else {
            return Ok(Vec::new());
        };
        let place = |at: u64| usize::try_from(at).unwrap_or(usize::MAX);
        let lend = |extent: &Extent| {
            let end = extent.address.saturating_add(extent.bytes);
            memory.lend_to_device(place(extent.address)..place(end))
        };
        extents.iter().map(lend).collect()
    }
}

/// Makes an object readable that was prepared.
pub(crate) fn commit(prepared: Result<Put, Outcome>) -> Outcome {
    match prepared.map(Put::commit) {
        Ok(Ok(())) => Outcome::Done,
        Ok(Err(error)) => outcome::of_commit(&error),
        Err(refused) => refused,
    }
}

/// Returns the checksum of the bytes that were written, if they can be read.
async fn checksum_of(put: &Put) -> Option<u32> {
    let size = put.replicas().first()?.size();
    let copy = |offset, into: &mut [u8]| put.replicas().first()?.read_at(offset, into).ok();
    checksum(size, copy).await
}

fn extents(put: &Put) -> Vec<Extent> {
    let space = put.replicas();
    let replica = space.first();
    replica.map_or_else(Vec::new, outcome::extents)
}

#[cfg(test)]
mod tests {
    use std::{
        sync::atomic::{AtomicBool, Ordering},
        thread::sleep,
        time::Duration,
    };

    use mc_arena::PagePolicy;
    use mc_store::Clock;

    use super::{
        super::{GRACE, NodeOptions, Shared},
        *,
    };
    use crate::standing::{Moment, Standing};

    fn reserve(node: &Shared, key: &'static [u8], until: Instant) -> Outcome {
        let item = reserve_request::Item {
            key: key.into(),
            bytes: 6 << 20,
            ..Default::default()
        };
        node.puts.reserve(&node.store, &item, until).outcome()
    }

    fn end_late(node: &Shared) {
        let _ = node.store.stats();
        node.puts.end_late(Instant::now() - GRACE);
    }

    #[test]
    fn a_put_whose_call_was_held_up_keeps_its_space_for_the_margin() {
        let mut options = NodeOptions::new("a", 8 << 20);
        options.memory.pages = PagePolicy::Off;
        options.limits.put_margin = Duration::from_secs(20);
        let standing = Arc::new(Standing::new(Moment::FOR_EVER));
        // The process is stopped when the store is about to read its clock.
        let stops = Arc::new(AtomicBool::new(false));
        let (stop, start) = (Arc::clone(&stops), Instant::now());
        let clock = Clock::new(move || {
            if stop.swap(false, Ordering::Relaxed) {
                sleep(Duration::from_millis(500));
            }
            start.elapsed()
        });
        let node = Shared::open(&options, standing, 1, clock).unwrap();
        let soon = || Instant::now() + Duration::from_millis(200);
        stops.store(true, Ordering::Relaxed);
        assert_eq!(reserve(&node, b"key", soon()), Outcome::Done);
        end_late(&node);
        assert_eq!(reserve(&node, b"other", soon()), Outcome::NoRoom);
        sleep(Duration::from_millis(250) + GRACE);
        end_late(&node);
        assert_eq!(node.puts.len(), 0);
        assert_eq!(reserve(&node, b"other", soon()), Outcome::NoRoom);
    }
}
