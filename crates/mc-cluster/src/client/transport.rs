//! How bytes get to nodes and back.

use std::{collections::HashMap, time::Duration};

use bytes::{Bytes, BytesMut};
use futures_util::stream;
use tokio::time::Instant;
use tonic::Status;

use super::host::Calls;
use crate::{
    standing::Moment,
    time::after,
    wire::{Extent, ReadRequest, WriteRequest},
};

/// Moves the bytes of objects between this process and the memory of nodes.
///
/// A transport that reaches memory itself uses the extents, in the incarnation
/// of the epoch; one that asks the node uses the numbers.
pub trait Transport: Send + Sync + 'static {
    /// Writes objects into space that one node has reserved.
    fn write(
        &self,
        calls: Calls,
        space: &Space,
        objects: Vec<Outgoing>,
    ) -> impl Future<Output = Result<(), Status>> + Send;

    /// Reads objects of one lease, in the order asked for.
    fn read(
        &self,
        calls: Calls,
        space: &Space,
        lease: u64,
        objects: Vec<Incoming>,
    ) -> impl Future<Output = Result<Vec<Bytes>, Status>> + Send;

    /// Says whether bytes of a write may still arrive that failed, or that
    /// nobody waited for. If so, the client leaves its space to the deadline of
    /// the put instead of giving it back.
    ///
    /// No by default, as nodes check for each message whether the put is over.
    fn may_write_late(&self, space: &Space) -> bool {
        let _ = space;
        false
    }
}

/// Whose memory objects are in.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub struct Space {
    /// The process that gave the numbers out.
    pub life: u64,
    /// The incarnation of its memory.
    pub epoch: u64,
    /// Bytes of an object that it accepts in one message.
    pub chunk_bytes_max: usize,
    /// Until when the objects are where they are: the deadline of the puts, or
    /// the end of the lease, counted from before it was asked for. This clock
    /// stands while the machine is suspended: [`is_over`](Self::is_over) looks at
    /// another as well.
    pub until: Instant,
    /// The same on a clock that runs on.
    ends: Moment,
}

/// When something was asked for, on both clocks.
#[derive(Clone, Copy, Debug)]
pub(super) struct Since {
    at: Instant,
    moment: Moment,
}

/// An object on its way to a node.
#[derive(Clone, Debug)]
#[non_exhaustive]
pub struct Outgoing {
    /// The number of the put.
    pub put: u64,
    /// Where its space is.
    pub extents: Vec<Extent>,
    /// The bytes: as many as the extents have.
    pub bytes: Bytes,
}

/// An object that is to be read.
#[derive(Clone, Debug)]
#[non_exhaustive]
pub struct Incoming {
    /// Which of the objects of the lease.
    pub object: u32,
    /// Where it is.
    pub extents: Vec<Extent>,
    /// Its bytes.
    pub bytes: usize,
}

/// Bytes as streams of the nodes' service: wherever a node is reached.
#[derive(Clone, Copy, Debug, Default)]
pub struct Streams;

impl Since {
    pub(super) fn now() -> Self {
        Self {
            at: Instant::now(),
            moment: Moment::now(),
        }
    }
}

impl Space {
    pub(super) fn new(
        life: u64,
        epoch: u64,
        chunk_bytes_max: usize,
        since: Since,
        granted: Duration,
    ) -> Self {
        Self {
            life,
            epoch,
            chunk_bytes_max,
            until: after(since.at, granted),
            ends: since.moment.after(granted),
        }
    }

    /// Returns whether the time that was granted has passed, also while this
    /// machine was suspended.
    #[must_use]
    pub fn is_over(&self) -> bool {
        Instant::now() >= self.until || Moment::now() >= self.ends
    }
}

impl Outgoing {
    pub(crate) fn new(put: u64, extents: Vec<Extent>, bytes: Bytes) -> Self {
        Self {
            put,
            extents,
            bytes,
        }
    }
}

impl Incoming {
    pub(crate) fn new(object: u32, extents: Vec<Extent>, bytes: usize) -> Self {
        Self {
            object,
            extents,
            bytes,
        }
    }
}

impl Transport for Streams {
    async fn write(
        &self,
        mut calls: Calls,
        space: &Space,
        objects: Vec<Outgoing>,
    ) -> Result<(), Status> {
        let total: u64 = objects.iter().map(|object| object.bytes.len() as u64).sum();
        let (life, most) = (space.life, space.chunk_bytes_max.max(1));
        let chunks = objects.into_iter().flat_map(move |object| {
            (0..object.bytes.len()).step_by(most).map(move |offset| {
                let end = object.bytes.len().min(offset + most);
                WriteRequest {
                    life,
                    put: object.put,
                    offset: offset as u64,
                    bytes: object.bytes.slice(offset..end),
                }
            })
        });
        let written = calls.write(stream::iter(chunks)).await?.into_inner();
        match written.written_bytes == total {
            true => Ok(()),
            false => Err(Status::data_loss("the node has not written all bytes")),
        }
    }

    async fn read(
        &self,
        mut calls: Calls,
        space: &Space,
        lease: u64,
        objects: Vec<Incoming>,
    ) -> Result<Vec<Bytes>, Status> {
        let request = ReadRequest {
            life: space.life,
            lease,
            objects: objects.iter().map(|object| object.object).collect(),
        };
        let mut chunks = calls.read(request).await?.into_inner();
        let mut places: HashMap<u32, Reading> = HashMap::new();
        for (place, object) in objects.iter().enumerate() {
            places.insert(object.object, Reading::new(place, object.bytes));
        }
        let mut read = vec![Bytes::new(); objects.len()];
        while let Some(chunk) = chunks.message().await? {
            let wrong = || Status::data_loss("the node sent other bytes than it was asked for");
            let reading = places.get_mut(&chunk.object).ok_or_else(wrong)?;
            if let Some(bytes) = reading.take(chunk.offset, chunk.bytes).ok_or_else(wrong)? {
                read[reading.place] = bytes;
            }
        }
        let is_short = places.values().any(|reading| !reading.is_whole());
        match is_short {
            true => Err(Status::data_loss(
                "the node ended before all bytes were sent",
            )),
            false => Ok(read),
        }
    }
}

/// The bytes of an object as they come in.
struct Reading {
    place: usize,
    bytes: usize,
    have: BytesMut,
    taken: usize,
}

impl Reading {
    fn new(place: usize, bytes: usize) -> Self {
        Self {
            place,
            bytes,
            have: BytesMut::new(),
            taken: 0,
        }
    }

    fn is_whole(&self) -> bool {
        self.taken == self.bytes
    }

    /// Takes the next bytes, and returns all of them once they are there;
    /// nothing if they are not those that come next.
    fn take(&mut self, offset: u64, chunk: Bytes) -> Option<Option<Bytes>> {
        let end = self.taken.checked_add(chunk.len())?;
        if offset != self.taken as u64 || end > self.bytes || chunk.is_empty() {
            return None;
        }
        self.taken = end;
        if chunk.len() == self.bytes {
            // One message had all of it.
            return Some(Some(chunk));
        }
        if self.have.is_empty() {
            self.have.reserve(self.bytes);
        }
        self.have.extend_from_slice(&chunk);
        let whole = self
            .is_whole()
            .then(|| std::mem::take(&mut self.have).freeze());
        Some(whole)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_time_is_over_when_either_clock_has_passed_it() {
        let minute = Duration::from_secs(60);
        let space = |since| Space::new(1, 1, 1, since, minute);
        let now = Since::now();
        assert!(!space(now).is_over());
        let at = now.at - minute;
        assert!(space(Since { at, ..now }).is_over());
        // The machine was suspended: only one of them has gone on.
        let long_ago = Space {
            ends: Moment::now(),
            ..space(now)
        };
        assert!(long_ago.is_over());
    }
}
