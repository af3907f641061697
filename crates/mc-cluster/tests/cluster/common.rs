//! Nodes and clients in this process.

use std::{
    io::{Read, Write},
    net::{SocketAddr, TcpStream},
    time::{Duration, Instant},
};

use bytes::Bytes;
use mc_arena::PagePolicy;
use mc_cluster::{
    Client, ClientOptions, Member, Members, Node, NodeOptions,
    client::{Calls, Connection, Incoming, Outgoing, Space, Streams, Transport},
    wire::{
        CommitRequest, LookupRequest, LookupResponse, Outcome, ReserveRequest, ReserveResponse,
        StatsRequest, StatsResponse, WriteRequest, commit_request, reserve_request,
    },
};
use tokio::runtime::{Builder, Runtime};
use tonic::{Code, Response, Status};

pub(crate) const NODE_BYTES: u64 = 8 << 20;

pub(crate) fn runtime() -> Runtime {
    Runtime::new().unwrap()
}

/// Returns a runtime in which nothing else goes on while a future is polled.
pub(crate) fn one_thread() -> Runtime {
    Builder::new_current_thread().enable_all().build().unwrap()
}

pub(crate) fn options(name: &str) -> NodeOptions {
    let mut options = NodeOptions::new(name, NODE_BYTES);
    options.memory.pages = PagePolicy::Off;
    options
}

pub(crate) async fn start(name: &str) -> Node {
    Node::start(options(name)).await.unwrap()
}

pub(crate) fn members(nodes: &[(&str, &Node)]) -> Members {
    let member = |(name, node): &(&str, &Node)| Member::new(*name, node.address().to_string());
    Members::fixed(nodes.iter().map(member).collect()).unwrap()
}

pub(crate) fn client(nodes: &[(&str, &Node)]) -> Client {
    Client::new(members(nodes), ClientOptions::default())
}

/// Returns the calls of a node themselves.
pub(crate) fn calls(node: &Node) -> Calls {
    let address = node.address().to_string();
    Connection::default().calls(&address).unwrap()
}

/// Returns the code that a call was refused with, if it was.
pub(crate) fn refusal<T>(answer: Result<Response<T>, Status>) -> Option<Code> {
    answer.err().map(|status| status.code())
}

/// Returns bytes that tell the object of a key from those of all others.
pub(crate) fn contents(key: &[u8], len: usize) -> Bytes {
    let mut seed = u64::from(crc32fast::hash(key)) << 17 | 1;
    let bytes = (0..len).map(|_| {
        seed ^= seed << 13;
        seed ^= seed >> 7;
        seed ^= seed << 17;
        seed.to_le_bytes()[3]
    });
    bytes.collect()
}

pub(crate) fn item(key: &[u8], bytes: u64) -> reserve_request::Item {
    reserve_request::Item {
        key: Bytes::copy_from_slice(key),
        bytes,
        ..Default::default()
    }
}

pub(crate) async fn reserve(calls: &mut Calls, key: &[u8], bytes: u64, ms: u64) -> ReserveResponse {
    let request = ReserveRequest {
        items: vec![item(key, bytes)],
        deadline_ms: ms,
    };
    calls.reserve(request).await.unwrap().into_inner()
}

pub(crate) fn write_request(
    reserved: &ReserveResponse,
    offset: u64,
    bytes: &Bytes,
) -> WriteRequest {
    WriteRequest {
        life: reserved.life,
        put: reserved.items[0].put,
        offset,
        bytes: bytes.clone(),
    }
}

pub(crate) async fn commit(
    calls: &mut Calls,
    reserved: &ReserveResponse,
    checksum: u32,
) -> Outcome {
    let request = CommitRequest {
        items: vec![commit_request::Item {
            put: reserved.items[0].put,
            checksum: Some(checksum),
            ..Default::default()
        }],
        life: reserved.life,
    };
    let committed = calls.commit(request).await.unwrap().into_inner();
    committed.outcomes().next().unwrap()
}

pub(crate) async fn lookup(calls: &mut Calls, keys: &[&[u8]], lease_ms: u64) -> LookupResponse {
    let keys = keys.iter().map(|key| Bytes::copy_from_slice(key));
    let request = LookupRequest {
        keys: keys.collect(),
        lease_ms,
        all_keys: false,
    };
    calls.lookup(request).await.unwrap().into_inner()
}

pub(crate) async fn stats(calls: &mut Calls) -> StatsResponse {
    calls.stats(StatsRequest {}).await.unwrap().into_inner()
}

/// Asks for a page over HTTP; returns it with its head.
pub(crate) async fn page(address: SocketAddr, path: &'static str) -> String {
    let ask = move || {
        let mut stream = TcpStream::connect(address).unwrap();
        let request = format!("GET {path} HTTP/1.1\r\nHost: x\r\nConnection: close\r\n\r\n");
        stream.write_all(request.as_bytes()).unwrap();
        let mut page = String::new();
        stream.read_to_string(&mut page).unwrap();
        page
    };
    tokio::task::spawn_blocking(ask).await.unwrap()
}

/// Waits until something is so, or panics after a time.
#[track_caller]
pub(crate) fn soon<'a>(
    what: &'a str,
    time: Duration,
    mut is_so: impl AsyncFnMut() -> bool + 'a,
) -> impl Future<Output = ()> + 'a {
    let end = Instant::now() + time;
    async move {
        while !is_so().await {
            assert!(Instant::now() < end, "{what} not within {time:?}");
            tokio::time::sleep(Duration::from_millis(20)).await;
        }
    }
}

/// Waits until the figures of a node are so, or panics after some seconds.
#[track_caller]
pub(crate) fn soon_told<'a>(
    calls: &'a mut Calls,
    what: &'a str,
    is_so: impl Fn(&StatsResponse) -> bool + 'a,
) -> impl Future<Output = ()> + 'a {
    let is_so = async move || is_so(&stats(calls).await);
    soon(what, Duration::from_secs(3), is_so)
}

/// Moves bytes as clients do, after a pause.
#[derive(Default)]
pub(crate) struct Slow {
    /// The pause before bytes are written.
    pub(crate) write: Duration,
    /// The epoch of a node, and the pause before bytes are read from it.
    pub(crate) read_of: Option<(u64, Duration)>,
}

impl Transport for Slow {
    async fn write(
        &self,
        calls: Calls,
        space: &Space,
        objects: Vec<Outgoing>,
    ) -> Result<(), Status> {
        tokio::time::sleep(self.write).await;
        Streams.write(calls, space, objects).await
    }

    async fn read(
        &self,
        calls: Calls,
        space: &Space,
        lease: u64,
        objects: Vec<Incoming>,
    ) -> Result<Vec<Bytes>, Status> {
        if let Some((epoch, time)) = self.read_of
            && epoch == space.epoch
        {
            tokio::time::sleep(time).await;
        }
        Streams.read(calls, space, lease, objects).await
    }
}
