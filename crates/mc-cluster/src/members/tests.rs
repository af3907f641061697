//! Following members in an etcd that loses its leader or begins anew.

use std::{collections::BTreeMap, net::SocketAddr, sync::Arc, time::Duration};

use futures_util::{Stream, StreamExt, stream};
use parking_lot::Mutex;
use tokio::{net::TcpListener, runtime::Runtime, time::timeout};
use tonic::{
    Request, Response, Status, Streaming,
    transport::{Server, server::TcpIncoming},
};

use super::{
    Etcd, Members,
    interface::{
        KeyValue, RangeRequest, RangeResponse, ResponseHeader, TxnRequest, TxnResponse,
        WatchRequest, WatchResponse,
        kv_server::{Kv, KvServer},
        watch_server::{Watch, WatchServer},
    },
};

/// As one member of etcd: it answers ranges, and tells those who watch of nothing.
#[derive(Clone)]
struct StandIn(Arc<Mutex<State>>);

struct State {
    revision: i64,
    entries: BTreeMap<String, String>,
    has_leader: bool,
}

impl StandIn {
    fn new(revision: i64, names: &[&str]) -> Self {
        let stand_in = Self(Arc::new(Mutex::new(State {
            revision,
            entries: BTreeMap::new(),
            has_leader: true,
        })));
        stand_in.set(names);
        stand_in
    }

    fn set(&self, names: &[&str]) {
        let entry = |name: &&str| {
            let value = format!(r#"{{"name":"{name}","address":"h:1","weight":1}}"#);
            (format!("/mc-cluster/members/{name}"), value)
        };
        self.0.lock().entries = names.iter().map(entry).collect();
    }

    /// Serves at an address, at any free port where it is 0.
    fn serve(&self, address: SocketAddr) -> Served {
        let runtime = Runtime::new().unwrap();
        let listener = runtime.block_on(TcpListener::bind(address)).unwrap();
        let address = listener.local_addr().unwrap();
        let served = Server::builder()
            .add_service(KvServer::new(self.clone()))
            .add_service(WatchServer::new(self.clone()))
            .serve_with_incoming(TcpIncoming::from(listener));
        runtime.spawn(served);
        Served { address, runtime }
    }
}

/// What ends with all of its connections, as a process.
struct Served {
    address: SocketAddr,
    runtime: Runtime,
}

#[tonic::async_trait]
impl Kv for StandIn {
    async fn range(&self, _: Request<RangeRequest>) -> Result<Response<RangeResponse>, Status> {
        let state = self.0.lock();
        if !state.has_leader {
            return Err(Status::unavailable("etcdserver: no leader"));
        }
        let kvs = state.entries.iter().map(|(key, value)| KeyValue {
            key: key.clone().into(),
            value: value.clone().into(),
            mod_revision: state.revision,
            ..KeyValue::default()
        });
        Ok(Response::new(RangeResponse {
            header: Some(ResponseHeader {
                revision: state.revision,
            }),
            kvs: kvs.collect(),
        }))
    }

    async fn txn(&self, _: Request<TxnRequest>) -> Result<Response<TxnResponse>, Status> {
        Err(Status::unimplemented("nobody registers here"))
    }
}

#[tonic::async_trait]
impl Watch for StandIn {
    type WatchStream = std::pin::Pin<Box<dyn Stream<Item = Result<WatchResponse, Status>> + Send>>;

    /// etcd ends a stream that lost its leader only where that was asked for.
    async fn watch(
        &self,
        request: Request<Streaming<WatchRequest>>,
    ) -> Result<Response<Self::WatchStream>, Status> {
        let wants_leader = request.metadata().contains_key("hasleader");
        let state = Arc::clone(&self.0);
        let ended = stream::once(async move {
            while !wants_leader || state.lock().has_leader {
                tokio::time::sleep(Duration::from_millis(5)).await;
            }
            Err(Status::unavailable("etcdserver: no leader"))
        });
        let created = stream::once(async { Ok(WatchResponse::default()) });
        Ok(Response::new(Box::pin(created.chain(ended))))
    }
}

/// Waits until the members have these names.
async fn are(members: &Members, names: &[&str]) {
    let mut changes = members.changes();
    let wanted = |list: &Arc<[super::Member]>| {
        list.iter()
            .map(|member| &*member.name)
            .eq(names.iter().copied())
    };
    let changed = timeout(Duration::from_secs(10), changes.wait_for(wanted)).await;
    assert!(changed.is_ok(), "{:?}, not {names:?}", members.now());
}

fn follow(runtime: &Runtime, address: SocketAddr) -> Members {
    let etcd = Etcd::new(vec![format!("http://{address}")]);
    runtime.block_on(Members::watch(etcd)).unwrap()
}

fn any() -> SocketAddr {
    SocketAddr::from(([127, 0, 0, 1], 0))
}

#[test]
fn members_of_an_etcd_that_began_anew_are_found_and_the_others_are_gone() {
    let runtime = Runtime::new().unwrap();
    let before = StandIn::new(100, &["a", "b"]).serve(any());
    let members = follow(&runtime, before.address);
    runtime.block_on(are(&members, &["a", "b"]));
    drop(before.runtime);
    // Its revisions are below those that are known.
    let _after = StandIn::new(5, &["b", "c"]).serve(before.address);
    runtime.block_on(are(&members, &["b", "c"]));
}

#[test]
fn changes_that_an_etcd_without_a_leader_did_not_tell_are_found_when_it_has_one() {
    let runtime = Runtime::new().unwrap();
    let etcd = StandIn::new(100, &["a"]);
    let served = etcd.serve(any());
    let members = follow(&runtime, served.address);
    etcd.0.lock().has_leader = false;
    std::thread::sleep(Duration::from_millis(600));
    runtime.block_on(are(&members, &["a"]));
    etcd.set(&["a", "b"]);
    etcd.0.lock().has_leader = true;
    runtime.block_on(are(&members, &["a", "b"]));
}

#[test]
fn more_members_are_read_than_a_message_has_by_default() {
    let runtime = Runtime::new().unwrap();
    // 4 MiB, as gRPC has it.
    let names: Vec<_> = (0..10_000).map(|n| format!("{n:0500}")).collect();
    let names: Vec<_> = names.iter().map(String::as_str).collect();
    let served = StandIn::new(100, &names).serve(any());
    let members = follow(&runtime, served.address);
    assert_eq!(members.now().len(), names.len());
}
