//! The calls of clients.

use std::{
    pin::Pin,
    sync::{Arc, Weak},
    time::Duration,
};

use bytes::Bytes;
use futures_util::Stream;
use mc_store::Removal;
use tokio::{
    task,
    time::{Instant, timeout},
};
use tonic::{Request, Response, Status, Streaming};

use super::{
    Shared,
    chunks::checksum,
    leases, outcome,
    puts::{self, WriteRefused},
    reading,
};
use crate::{
    standing,
    time::{after, millis},
    wire::{
        AbortRequest, AbortResponse, CommitRequest, CommitResponse, LookupRequest, LookupResponse,
        MemoryRequest, MemoryResponse, Outcome, ReadRequest, ReadResponse, ReleaseRequest,
        ReleaseResponse, RemoveRequest, RemoveResponse, ReserveRequest, ReserveResponse,
        StatsRequest, StatsResponse, WriteRequest, WriteResponse, node_server,
        remove_request::Mode,
    },
};

/// Answers the calls of clients, each checked against the limits first.
///
/// It holds the node for as long as a call works, and not between two messages: a
/// client that stalls keeps no memory of a node that has stopped.
#[derive(Clone, Debug)]
pub(crate) struct Service(Weak<Shared>);

impl Service {
    pub(crate) fn new(node: &Arc<Shared>) -> Self {
        Self(Arc::downgrade(node))
    }
}

/// Returns the node, unless it has stopped.
pub(super) fn running(node: &Weak<Shared>) -> Result<Arc<Shared>, Status> {
    let node = node.upgrade();
    node.ok_or_else(|| Status::unavailable("the node has stopped"))
}

#[tonic::async_trait]
impl node_server::Node for Service {
    type ReadStream = Pin<Box<dyn Stream<Item = Result<ReadResponse, Status>> + Send>>;

    async fn reserve(
        &self,
        request: Request<ReserveRequest>,
    ) -> Result<Response<ReserveResponse>, Status> {
        let request = request.into_inner();
        let node = running(&self.0)?;
        node.check_batch(request.items.len())?;
        node.check_standing()?;
        let most = node.limits.put_deadline_max;
        let now = Instant::now();
        let until = after(now, granted(request.deadline_ms, most));
        let items = request.items.iter();
        let items = items.map(|item| node.puts.reserve(&node.store, item, until));
        Ok(Response::new(ReserveResponse {
            items: items.collect(),
            life: node.life,
            epoch: node.epoch,
            chunk_bytes_max: node.limits.chunk_bytes_max as u64,
            granted_ms: millis(until - now),
        }))
    }

    async fn commit(
        &self,
        request: Request<CommitRequest>,
    ) -> Result<Response<CommitResponse>, Status> {
        let request = request.into_inner();
        let node = running(&self.0)?;
        node.check_batch(request.items.len())?;
        node.check_life(request.life)?;
        node.check_standing()?;
        let mut items = Vec::with_capacity(request.items.len());
        for item in &request.items {
            items.push(node.puts.prepare(item).await);
        }
        let _under_way = node.commits.read();
        node.check_standing()?;
        let outcomes = items.into_iter().map(|item| puts::commit(item).into());
        Ok(Response::new(CommitResponse {
            outcomes: outcomes.collect(),
        }))
    }

    async fn abort(
        &self,
        request: Request<AbortRequest>,
    ) -> Result<Response<AbortResponse>, Status> {
        let request = request.into_inner();
        let node = running(&self.0)?;
        node.check_batch(request.puts.len())?;
        node.check_life(request.life)?;
        let outcomes = request.puts.iter().map(|&put| node.puts.abort(put).into());
        Ok(Response::new(AbortResponse {
            outcomes: outcomes.collect(),
        }))
    }

    async fn lookup(
        &self,
        request: Request<LookupRequest>,
    ) -> Result<Response<LookupResponse>, Status> {
        let request = request.into_inner();
        let node = running(&self.0)?;
        node.check_batch(request.keys.len())?;
        let found = leases::find(&node.store, &request.keys, request.all_keys);
        let objects = found.iter().map(|lease| leases::describe(lease.as_ref()));
        let mut response = LookupResponse {
            objects: objects.collect(),
            life: node.life,
            epoch: node.epoch,
            settled_ms: Some(millis(node.settled())),
            ..Default::default()
        };
        if request.lease_ms > 0 && found.iter().any(Option::is_some) {
            let time = granted(request.lease_ms, node.limits.lease_max);
            let now = Instant::now();
            let kept = node.leases.keep(found, now, after(now, time));
            response.lease = kept.map_err(|leases::TooMany| {
                let most = node.limits.leased_max;
                Status::resource_exhausted(format!("more than {most} objects would be leased"))
            })?;
            response.granted_ms = millis(time);
        }
        Ok(Response::new(response))
    }

    async fn release(
        &self,
        request: Request<ReleaseRequest>,
    ) -> Result<Response<ReleaseResponse>, Status> {
        let request = request.into_inner();
        let node = running(&self.0)?;
        node.check_batch(request.leases.len())?;
        node.check_life(request.life)?;
        let leases = request.leases.iter();
        let now = Instant::now();
        let outcomes = leases.map(|&lease| node.leases.release(lease, now).into());
        Ok(Response::new(ReleaseResponse {
            outcomes: outcomes.collect(),
        }))
    }

    async fn remove(
        &self,
        request: Request<RemoveRequest>,
    ) -> Result<Response<RemoveResponse>, Status> {
        let request = request.into_inner();
        let node = running(&self.0)?;
        node.check_batch(request.keys.len())?;
        let settled_ms = Some(millis(node.settled()));
        let removal = match request.mode() {
            Mode::IfIdle => Some(Removal::IfIdle),
            Mode::Detach => Some(Removal::Detach),
            Mode::IfDamaged => None,
            Mode::Unspecified => {
                let text = format!("{} is no mode of removal", request.mode);
                return Err(Status::invalid_argument(text));
            }
        };
        let mut outcomes = Vec::with_capacity(request.keys.len());
        for key in &request.keys {
            let outcome = match removal {
                Some(removal) => node.remove(key, removal),
                None => node.remove_damaged(key).await,
            };
            outcomes.push(outcome.into());
        }
        Ok(Response::new(RemoveResponse {
            outcomes,
            settled_ms,
        }))
    }

    async fn stats(&self, _: Request<StatsRequest>) -> Result<Response<StatsResponse>, Status> {
        Ok(Response::new(running(&self.0)?.describe()))
    }

    async fn write(
        &self,
        request: Request<Streaming<WriteRequest>>,
    ) -> Result<Response<WriteResponse>, Status> {
        let mut stream = request.into_inner();
        let pause_max = running(&self.0)?.limits.pause_max;
        let paused = |_| Status::deadline_exceeded(format!("the stream paused for {pause_max:?}"));
        let mut written_bytes = 0;
        loop {
            let chunk = timeout(pause_max, stream.message()).await;
            let chunk = chunk.map_err(paused)??;
            let Some(chunk) = chunk else {
                return Ok(Response::new(WriteResponse { written_bytes }));
            };
            running(&self.0)?.write(&chunk)?;
            written_bytes += chunk.bytes.len() as u64;
        }
    }

    async fn read(
        &self,
        request: Request<ReadRequest>,
    ) -> Result<Response<Self::ReadStream>, Status> {
        let request = request.into_inner();
        let node = running(&self.0)?;
        node.check_batch(request.objects.len())?;
        node.check_life(request.life)?;
        let stream = reading::read(&node, request)?;
        Ok(Response::new(Box::pin(stream)))
    }

    async fn memory(
        &self,
        request: Request<MemoryRequest>,
    ) -> Result<Response<MemoryResponse>, Status> {
        let node = running(&self.0)?;
        node.check_life(request.into_inner().life)?;
        let mut response = MemoryResponse {
            epoch: node.epoch,
            bytes: node.capacity_bytes,
            ..Default::default()
        };
        if let Some(reachable) = &node.reachable {
            response.engine.clone_from(&reachable.engine);
            response.description = reachable.description();
        }
        Ok(Response::new(response))
    }
}

/// Returns the time that is granted of what was asked for.
fn granted(asked_ms: u64, most: Duration) -> Duration {
    match asked_ms {
        0 => most,
        asked => Duration::from_millis(asked).min(most),
    }
}

impl Shared {
    fn check_batch(&self, items: usize) -> Result<(), Status> {
        let most = self.limits.batch_max;
        if items > most {
            let text = format!("{items} items in one call; at most {most} are accepted");
            return Err(Status::invalid_argument(text));
        }
        Ok(())
    }

    /// Refuses numbers that another process gave out.
    fn check_life(&self, life: u64) -> Result<(), Status> {
        if life != self.life {
            let text = format!("life {life:x} is over; this one is {:x}", self.life);
            return Err(Status::failed_precondition(text));
        }
        Ok(())
    }

    /// Refuses what makes objects, once the node may not be a member any more or
    /// cannot write its journal.
    fn check_standing(&self) -> Result<(), Status> {
        match self.takes_puts() {
            true => Ok(()),
            false => Err(standing::refusal()),
        }
    }

    fn write(&self, chunk: &WriteRequest) -> Result<(), Status> {
        self.check_life(chunk.life)?;
        self.check_standing()?;
        let WriteRequest {
            put, offset, bytes, ..
        } = chunk;
        let written = self.puts.write(*put, *offset, bytes, Instant::now());
        written.map_err(|refused| match refused {
            WriteRefused::Unknown => Status::not_found(format!("put {put} is over")),
            WriteRefused::Bytes(error) => {
                Status::out_of_range(format!("put {put} was not written: {error}"))
            }
        })
    }

    fn remove(&self, key: &[u8], removal: Removal) -> Outcome {
        match self.store.remove(key, removal) {
            Ok(()) => Outcome::Done,
            Err(error) => outcome::of_remove(error),
        }
    }

    /// Removes an object whose bytes have not the checksum that was told at their
    /// commit, and no other that is stored under its key.
    async fn remove_damaged(self: &Arc<Self>, key: &Bytes) -> Outcome {
        let Some(lease) = self.store.get(key) else {
            return Outcome::Unknown;
        };
        let copy = |offset, into: &mut [u8]| lease.read_at(offset, into).ok();
        let found = checksum(lease.size(), copy).await;
        let Some(found) = found else {
            return Outcome::Failed;
        };
        if lease.checksum().is_none_or(|told| told == found) {
            return Outcome::Exists;
        }
        drop(lease);
        // It drops what has another checksum, and copies all of it. One at a time, so
        // that nobody takes much memory by it.
        let turn = Arc::clone(&self.damaged).acquire_owned().await;
        let (node, key) = (Arc::clone(self), key.clone());
        let read = task::spawn_blocking(move || {
            let read = node.store.read(&key).map(|bytes| bytes.is_some());
            drop(turn);
            read
        });
        match read.await {
            Ok(Ok(false)) => Outcome::Done,
            // Another was put meanwhile.
            Ok(Ok(true)) => Outcome::Exists,
            Ok(Err(_)) | Err(_) => Outcome::Failed,
        }
    }

    fn describe(&self) -> StatsResponse {
        let stats = self.store.stats();
        StatsResponse {
            name: self.name.clone(),
            life: self.life,
            epoch: self.epoch,
            capacity_bytes: self.capacity_bytes,
            live_bytes: stats.live_bytes,
            objects: stats.objects,
            puts_in_flight: stats.in_flight,
            lingering: stats.lingering,
            leases: self.leases.len() as u64,
            hits: stats.hits,
            misses: stats.misses,
            evicted: stats.on_demand.objects
                + stats.by_watermark.objects
                + stats.by_shrinking.objects,
            expired: stats.expired,
            takes_puts: self.takes_puts(),
            batch_max: self.limits.batch_max as u64,
            chunk_bytes_max: self.limits.chunk_bytes_max as u64,
        }
    }
}
