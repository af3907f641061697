//! The bytes of leased objects as a stream.

use std::{
    collections::VecDeque,
    sync::{Arc, Weak},
};

use bytes::Bytes;
use futures_util::{Stream, stream};
use mc_store::Lease;
use tokio::time::Instant;
use tonic::Status;

use super::{Shared, service::running};
use crate::wire::{ReadRequest, ReadResponse};

/// What is left to be read. It holds neither lease nor node: a reader that stalls
/// keeps nothing beyond the time that was granted.
struct Cursor {
    node: Weak<Shared>,
    lease: u64,
    objects: VecDeque<u32>,
    /// Bytes of the first of the objects that were read.
    offset: u64,
}

/// Streams objects of a lease.
pub(crate) fn read(
    node: &Arc<Shared>,
    request: ReadRequest,
) -> Result<impl Stream<Item = Result<ReadResponse, Status>> + use<>, Status> {
    let held = node.leased(request.lease)?;
    let objects = match request.objects.is_empty() {
        false => request.objects.into(),
        true => (0..held.len())
            .filter(|&object| held[object].is_some())
            .filter_map(|object| u32::try_from(object).ok())
            .collect(),
    };
    let cursor = Cursor {
        node: Arc::downgrade(node),
        lease: request.lease,
        objects,
        offset: 0,
    };
    Ok(stream::try_unfold(cursor, async |mut cursor| {
        let chunk = cursor.next()?;
        Ok(chunk.map(|chunk| (chunk, cursor)))
    }))
}

impl Cursor {
    /// Copies the next bytes out.
    fn next(&mut self) -> Result<Option<ReadResponse>, Status> {
        let Some(&object) = self.objects.front() else {
            return Ok(None);
        };
        let node = running(&self.node)?;
        let held = node.leased(self.lease)?;
        let place = usize::try_from(object).unwrap_or(usize::MAX);
        let lease = held.get(place).and_then(Option::as_ref);
        let lease = lease.ok_or_else(|| {
            Status::invalid_argument(format!("object {object} is not in the lease"))
        })?;
        let bytes = self.copy(lease, node.limits.chunk_bytes_max)?;
        let response = ReadResponse {
            object,
            offset: self.offset,
            bytes,
        };
        self.offset += response.bytes.len() as u64;
        if self.offset == lease.size() {
            self.objects.pop_front();
            self.offset = 0;
        }
        Ok(Some(response))
    }

    /// Copies bytes of the piece that the offset is in, as many as one message
    /// may have.
    fn copy(&self, lease: &Lease, bytes_max: usize) -> Result<Bytes, Status> {
        let gone = || Status::data_loss("the memory of the object went away");
        let mut readable = lease.replicas().filter(|replica| replica.is_readable());
        let replica = readable.next().ok_or_else(gone)?;
        let mut start = 0;
        for (piece, extent) in replica.extents().enumerate() {
            let end = start + extent.size;
            if self.offset < end {
                let lent = replica.bytes(piece).map_err(|_| gone())?;
                let from = usize::try_from(self.offset - start).map_err(|_| gone())?;
                let rest = &lent[from..];
                let len = rest.len().min(bytes_max);
                return Ok(Bytes::copy_from_slice(&rest[..len]));
            }
            start = end;
        }
        Err(gone())
    }
}

impl Shared {
    /// Returns the objects of a lease, unless it is over.
    fn leased(&self, lease: u64) -> Result<Arc<[Option<Lease>]>, Status> {
        let objects = self.leases.objects(lease, Instant::now());
        objects.ok_or_else(|| Status::not_found(format!("lease {lease} is over")))
    }
}
