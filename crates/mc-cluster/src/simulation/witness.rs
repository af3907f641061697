//! Looks at every answer of the nodes of a scene, and knows what was promised.

use std::{collections::BTreeMap, pin::Pin, sync::Arc, time::Duration};

use futures_util::Stream;
use parking_lot::Mutex;
use tokio::time::Instant;
use tonic::{Request, Response, Status, Streaming};

use super::registry::Registry;
use crate::{
    node::Service,
    wire::{
        AbortRequest, AbortResponse, CommitRequest, CommitResponse, Extent, LookupRequest,
        LookupResponse, MemoryRequest, MemoryResponse, Outcome, ReadRequest, ReadResponse,
        ReleaseRequest, ReleaseResponse, RemoveRequest, RemoveResponse, ReserveRequest,
        ReserveResponse, StatsRequest, StatsResponse, WriteRequest, WriteResponse,
        node_server::Node,
    },
};

/// Promises that were broken in a scene.
#[derive(Clone, Debug, Default)]
pub(super) struct Oracle(Arc<Mutex<Vec<String>>>);

/// The service of one life of a node, and what it has promised.
#[derive(Clone, Debug)]
pub(crate) struct Watched {
    service: Service,
    life: Life,
    given: Arc<Mutex<Given>>,
}

/// Who a node is.
#[derive(Clone, Debug)]
pub(super) struct Life {
    pub(super) name: String,
    pub(super) number: u64,
    pub(super) registry: Registry,
    pub(super) oracle: Oracle,
    /// How long behind its deadline the space of a put stays taken.
    pub(super) margin: Duration,
    pub(super) put_deadline_max: Duration,
}

/// Ranges that nobody may write to but who has them.
#[derive(Debug, Default)]
struct Given {
    puts: Holders,
    leases: Holders,
}

/// Who has ranges, and until when.
#[derive(Debug, Default)]
struct Holders {
    holders: BTreeMap<u64, (Vec<Extent>, Instant)>,
    /// Exactly the ranges of the holders: begin and holder, and end. Those that
    /// begin at different places have nothing in common, or a promise was broken
    /// when the later one was given.
    ranges: BTreeMap<(u64, u64), u64>,
}

impl Oracle {
    pub(super) fn broken(&self, what: String) {
        self.0.lock().push(what);
    }

    pub(super) fn take_all(&self) -> Vec<String> {
        std::mem::take(&mut *self.0.lock())
    }
}

impl Watched {
    pub(super) fn new(service: Service, life: Life) -> Self {
        Self {
            service,
            life,
            given: Arc::default(),
        }
    }

    /// Looks at space that was given out for puts.
    fn note_reserved(&self, asked_ms: u64, answer: &ReserveResponse) {
        let now = Instant::now();
        let asked = Duration::from_millis(asked_ms);
        let time = match asked_ms {
            0 => self.life.put_deadline_max,
            _ => asked.min(self.life.put_deadline_max),
        };
        let until = now + time + self.life.margin;
        let mut given = self.given.lock();
        given.end_late(now);
        for item in answer.items.iter().filter(|item| item.put != 0) {
            self.check_member("a put was reserved");
            if let Some(other) = given.overlap(&item.extents) {
                let name = &self.life.name;
                let text = format!("{name} gave put {} a range of {other}", item.put);
                self.life.oracle.broken(text);
            }
            given.puts.insert(item.put, item.extents.clone(), until);
        }
    }

    fn note_looked_up(&self, answer: &LookupResponse) {
        if answer.lease == 0 {
            return;
        }
        let until = Instant::now() + Duration::from_millis(answer.granted_ms);
        let objects = answer.objects.iter();
        let extents = objects.flat_map(|object| object.extents.iter().copied());
        let extents = extents.collect();
        self.given
            .lock()
            .leases
            .insert(answer.lease, extents, until);
    }

    fn check_member(&self, what: &str) {
        let Life {
            name,
            number,
            registry,
            oracle,
            ..
        } = &self.life;
        if !registry.holds(name, *number) {
            oracle.broken(format!("{what} by {name}, which is no member"));
        }
    }
}

impl Given {
    /// Forgets what has ended. Leases end first here, where they are counted
    /// from a moment that is not earlier.
    fn end_late(&mut self, now: Instant) {
        self.puts.end_late(now);
        self.leases.end_late(now);
    }

    /// Returns who has a part of a range.
    fn overlap(&self, extents: &[Extent]) -> Option<String> {
        let put = self.puts.overlap(extents);
        let put = put.map(|put| format!("put {put}"));
        put.or_else(|| {
            let lease = self.leases.overlap(extents);
            lease.map(|lease| format!("lease {lease}"))
        })
    }
}

impl Holders {
    fn insert(&mut self, holder: u64, extents: Vec<Extent>, until: Instant) {
        for extent in &extents {
            let end = extent.address + extent.bytes;
            self.ranges.insert((extent.address, holder), end);
        }
        self.holders.insert(holder, (extents, until));
    }

    fn remove(&mut self, holder: u64) {
        let Some((extents, _)) = self.holders.remove(&holder) else {
            return;
        };
        for extent in extents {
            self.ranges.remove(&(extent.address, holder));
        }
    }

    fn end_late(&mut self, now: Instant) {
        let late = self.holders.iter().filter(|(_, (_, until))| *until <= now);
        let late: Vec<_> = late.map(|(holder, _)| *holder).collect();
        late.into_iter().for_each(|holder| self.remove(holder));
    }

    /// Returns who has a part of a range.
    fn overlap(&self, extents: &[Extent]) -> Option<u64> {
        extents.iter().find_map(|extent| {
            let end = extent.address + extent.bytes;
            let before = self.ranges.range(..(end, 0)).next_back()?;
            let (&(_, holder), &other_end) = before;
            (extent.address < other_end).then_some(holder)
        })
    }
}

#[tonic::async_trait]
impl Node for Watched {
    type ReadStream = Pin<Box<dyn Stream<Item = Result<ReadResponse, Status>> + Send>>;

    async fn reserve(
        &self,
        request: Request<ReserveRequest>,
    ) -> Result<Response<ReserveResponse>, Status> {
        let asked = request.get_ref().deadline_ms;
        let answer = self.service.reserve(request).await?;
        self.note_reserved(asked, answer.get_ref());
        Ok(answer)
    }

    async fn commit(
        &self,
        request: Request<CommitRequest>,
    ) -> Result<Response<CommitResponse>, Status> {
        let puts: Vec<_> = request
            .get_ref()
            .items
            .iter()
            .map(|item| item.put)
            .collect();
        let answer = self.service.commit(request).await?;
        for (put, outcome) in puts.into_iter().zip(answer.get_ref().outcomes()) {
            self.given.lock().puts.remove(put);
            if outcome == Outcome::Done {
                self.check_member("a put was committed");
            }
        }
        Ok(answer)
    }

    async fn abort(
        &self,
        request: Request<AbortRequest>,
    ) -> Result<Response<AbortResponse>, Status> {
        let puts = request.get_ref().puts.clone();
        let answer = self.service.abort(request).await?;
        let mut given = self.given.lock();
        puts.into_iter().for_each(|put| given.puts.remove(put));
        drop(given);
        Ok(answer)
    }

    async fn lookup(
        &self,
        request: Request<LookupRequest>,
    ) -> Result<Response<LookupResponse>, Status> {
        let answer = self.service.lookup(request).await?;
        self.note_looked_up(answer.get_ref());
        Ok(answer)
    }

    async fn release(
        &self,
        request: Request<ReleaseRequest>,
    ) -> Result<Response<ReleaseResponse>, Status> {
        let leases = request.get_ref().leases.clone();
        let answer = self.service.release(request).await?;
        let mut given = self.given.lock();
        leases
            .into_iter()
            .for_each(|lease| given.leases.remove(lease));
        drop(given);
        Ok(answer)
    }

    async fn remove(
        &self,
        request: Request<RemoveRequest>,
    ) -> Result<Response<RemoveResponse>, Status> {
        self.service.remove(request).await
    }

    async fn stats(
        &self,
        request: Request<StatsRequest>,
    ) -> Result<Response<StatsResponse>, Status> {
        self.service.stats(request).await
    }

    async fn memory(
        &self,
        request: Request<MemoryRequest>,
    ) -> Result<Response<MemoryResponse>, Status> {
        self.service.memory(request).await
    }

    async fn write(
        &self,
        request: Request<Streaming<WriteRequest>>,
    ) -> Result<Response<WriteResponse>, Status> {
        self.service.write(request).await
    }

    async fn read(
        &self,
        request: Request<ReadRequest>,
    ) -> Result<Response<Self::ReadStream>, Status> {
        self.service.read(request).await
    }
}
