//! Nodes and clients in processes of their own, with the library as it is installed.
//!
//! Without it, one line says that a test did not run, unless `MC_REQUIRE_NIXL` is set: then it fails.
#![expect(clippy::unwrap_used, reason = "a failed set-up fails the test")]
#![expect(clippy::print_stdout, reason = "says what did not run")]

use std::{
    io::{BufRead, BufReader},
    process::{Child, Command, Stdio},
    sync::Arc,
    time::Duration,
};

use bytes::Bytes;
use mc_arena::PagePolicy;
use mc_cluster::{
    Client, ClientOptions, Members, Node, NodeOptions,
    client::{Calls, Connection, Direct},
    engine::{Reach, ReachError},
    wire::{MemoryRequest, ReserveRequest, StatsRequest, StatsResponse, reserve_request},
};
use mc_nixl::{NixlError, NixlMemory, NixlOptions, NixlReach};
use tokio::{
    runtime::Runtime,
    task::JoinSet,
    time::{Instant, sleep},
};

/// A block of keys and values of a model, as in the published comparisons.
const BLOCK_BYTES: usize = 3_274_752;

/// A node, killed at the end.
struct Served {
    child: Child,
    address: String,
}

impl Served {
    fn start(listen: &str) -> Self {
        let mut command = Command::new(env!("CARGO_BIN_EXE_mc-nixl"));
        command.args(["node", "--name", "a", "--size", "64mb", "--small-pages"]);
        command.args(["--listen", listen]).stdout(Stdio::piped());
        let mut child = command.spawn().unwrap();
        let mut line = String::new();
        let output = child.stdout.take().unwrap();
        BufReader::new(output).read_line(&mut line).unwrap();
        let address = line.trim().strip_prefix("listening on ").unwrap();
        let address = address.to_owned();
        Self { child, address }
    }

    fn members(&self) -> Members {
        Members::parse(&format!("a={}", self.address)).unwrap()
    }

    fn calls(&self) -> Calls {
        Connection::default().calls(&self.address).unwrap()
    }

    async fn stats(&self) -> StatsResponse {
        let stats = self.calls().stats(StatsRequest {}).await;
        stats.unwrap().into_inner()
    }

    fn signal(&self, signal: &str) {
        let id = self.child.id().to_string();
        let sent = Command::new("kill").args([signal, &id]).status();
        assert!(sent.unwrap().success());
    }
}

impl Drop for Served {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

/// Returns a client's end, or says that the test does not run.
fn reach() -> Option<NixlReach> {
    let mut options = NixlOptions::default();
    options.buffer_bytes = 64 << 20;
    match NixlReach::new(&options) {
        Ok(reach) => Some(reach),
        Err(error @ (NixlError::NoLibrary | NixlError::NoDevices)) => {
            let is_required = std::env::vars_os().any(|(name, _)| name == "MC_REQUIRE_NIXL");
            assert!(!is_required, "{error}");
            println!("a test with NIXL did not run: {error}");
            None
        }
        Err(error) => panic!("{error}: {:?}", std::error::Error::source(&error)),
    }
}

/// Returns bytes that tell an object from all others.
fn contents(number: u64, len: usize) -> Bytes {
    let mut seed = number << 17 | 1;
    let bytes = (0..len).map(|_| {
        seed ^= seed << 13;
        seed ^= seed >> 7;
        seed ^= seed << 17;
        seed.to_le_bytes()[3]
    });
    bytes.collect()
}

fn client(members: Members, direct: &Direct<NixlReach>) -> Client<Direct<NixlReach>> {
    Client::with_transport(members, ClientOptions::default(), direct.clone())
}

#[test]
fn a_block_and_many_small_objects_go_by_nixl_and_come_back() {
    let Some(reach) = reach() else { return };
    Runtime::new().unwrap().block_on(async {
        let node = Served::start("127.0.0.1:0");
        let direct = Direct::new(reach);
        let client = client(node.members(), &direct);
        let block = contents(1, BLOCK_BYTES);
        for _ in 0..20 {
            client.put(b"block", block.clone()).await.unwrap();
            assert_eq!(client.get(b"block").await.unwrap().unwrap(), block);
            assert!(client.remove(b"block").await.unwrap());
        }
        let keys: Vec<String> = (0..2000).map(|key| format!("key {key}")).collect();
        let object = |number: usize| contents(number as u64 + 2, 1 + number * 7919 % 20_000);
        let objects = keys.iter().enumerate();
        let objects = objects.map(|(number, key)| (Bytes::from(key.clone()), object(number)));
        let put = client.put_many(objects.collect()).await;
        assert!(put.into_iter().all(|copies| copies.unwrap() == 1));
        let read = client.get_prefix(&keys).await.unwrap();
        assert_eq!(read.len(), keys.len());
        for (number, bytes) in read.iter().enumerate() {
            assert_eq!(*bytes, object(number), "{number}");
        }
        let counts = direct.counts();
        let expected = (2 * (20 + 2000), 0, 0);
        assert_eq!((counts.direct, counts.streamed, counts.failed), expected);
        assert_eq!(client.counts().corrupt, 0);
        // By gRPC the same bytes are there.
        let plain = Client::new(node.members(), ClientOptions::default());
        let read = plain.get(keys[1999].as_bytes()).await.unwrap();
        assert_eq!(read.unwrap(), object(1999));
    });
}

#[test]
fn more_than_the_buffers_hold_goes_in_several_requests_or_by_grpc() {
    let Some(reach) = reach() else { return };
    Runtime::new().unwrap().block_on(async {
        let node = Served::start("127.0.0.1:0");
        let direct = Direct::new(reach);
        let client = client(node.members(), &direct);
        // A quarter of the buffers, and one byte more; both are more than one request moves.
        let (fits, is_larger) = (contents(1, 16 << 20), contents(2, (16 << 20) + 1));
        client.put(b"fits", fits.clone()).await.unwrap();
        assert_eq!(client.get(b"fits").await.unwrap().unwrap(), fits);
        assert_eq!(direct.counts().streamed, 0);
        client.put(b"larger", is_larger.clone()).await.unwrap();
        assert_eq!(client.get(b"larger").await.unwrap().unwrap(), is_larger);
        let counts = direct.counts();
        assert_eq!((counts.direct, counts.streamed, counts.failed), (3, 1, 0));
    });
}

#[test]
fn a_node_that_is_killed_and_comes_back_is_reached_in_its_next_life() {
    let Some(reach) = reach() else { return };
    Runtime::new().unwrap().block_on(async {
        let mut node = Served::start("127.0.0.1:0");
        let direct = Direct::new(reach);
        let client = client(node.members(), &direct);
        client.put(b"key", contents(1, 100_000)).await.unwrap();
        let life = node.stats().await.life;
        node.child.kill().unwrap();
        node.child.wait().unwrap();
        assert_eq!(client.get(b"key").await.unwrap(), None, "nobody answers");
        let address = node.address.clone();
        drop(node);
        let node = Served::start(&address);
        assert_ne!(node.stats().await.life, life);
        assert_eq!(
            client.get(b"key").await.unwrap(),
            None,
            "of the life before"
        );
        let bytes = contents(2, 100_000);
        client.put(b"key", bytes.clone()).await.unwrap();
        assert_eq!(client.get(b"key").await.unwrap().unwrap(), bytes);
        let counts = direct.counts();
        assert_eq!((counts.direct, counts.streamed), (3, 0));
    });
}

#[test]
fn a_node_without_the_engine_gets_streams() {
    let Some(reach) = reach() else { return };
    Runtime::new().unwrap().block_on(async {
        let mut options = NodeOptions::new("a", 64 << 20);
        options.memory.pages = PagePolicy::Off;
        let node = Node::start(options).await.unwrap();
        let members = Members::parse(&format!("a={}", node.address())).unwrap();
        let direct = Direct::new(reach);
        let client = client(members, &direct);
        let block = contents(1, BLOCK_BYTES);
        client.put(b"block", block.clone()).await.unwrap();
        assert_eq!(client.get(b"block").await.unwrap().unwrap(), block);
        let counts = direct.counts();
        assert_eq!((counts.direct, counts.streamed), (0, 2));
        node.stop().await;
    });
}

/// What a client knows of a node that has reserved space for one object.
struct Reserved {
    memory: Arc<NixlMemory>,
    put: std::ops::Range<u64>,
}

async fn reserve(node: &Served, reach: &NixlReach, bytes: u64) -> Reserved {
    let mut calls = node.calls();
    let life = node.stats().await.life;
    let described = calls.memory(MemoryRequest { life }).await.unwrap();
    let description = described.into_inner().description;
    let memory = Arc::new(reach.connect(description).await.unwrap());
    let request = ReserveRequest {
        items: vec![reserve_request::Item {
            key: "key".into(),
            bytes,
            ..Default::default()
        }],
        deadline_ms: 10_000,
    };
    let reserved = calls.reserve(request).await.unwrap().into_inner();
    let extent = &reserved.items[0].extents[0];
    let put = extent.address..extent.address + extent.bytes;
    Reserved { memory, put }
}

/// Says whether a process that is frozen takes no bytes, or that the test does not run.
fn is_tcp_alone() -> bool {
    let mut variables = std::env::vars_os();
    let is_so =
        variables.any(|(name, value)| name == "UCX_TLS" && value.to_string_lossy() == "tcp,self");
    if !is_so {
        println!("a test with a frozen node did not run: it needs UCX_TLS=tcp,self");
    }
    is_so
}

#[test]
fn a_write_to_a_frozen_node_ends_in_time_and_its_buffers_stay_taken_until_it_has() {
    let Some(reach) = reach() else { return };
    if !is_tcp_alone() {
        return;
    }
    Runtime::new().unwrap().block_on(async {
        let node = Served::start("127.0.0.1:0");
        let bytes = contents(1, 8 << 20);
        let Reserved { memory, put } = reserve(&node, &reach, 8 << 20).await;
        node.signal("-STOP");
        let objects = vec![(vec![put.clone()], bytes.clone())];
        let start = Instant::now();
        let until = start + Duration::from_secs(2);
        let written = reach.write(&memory, objects, until).await;
        assert!(matches!(written, Err(ReachError::Failed(_))), "{written:?}");
        assert!(start.elapsed() < Duration::from_secs(10));
        assert_eq!(reach.lingering(), 1);
        node.signal("-CONT");
        let end = Instant::now() + Duration::from_secs(20);
        while reach.lingering() > 0 {
            assert!(Instant::now() < end, "it never ends");
            sleep(Duration::from_millis(10)).await;
        }
        // It arrived late, where nobody else has anything before deadline and margin have passed.
        let later = Instant::now() + Duration::from_secs(5);
        let read = reach.read(&memory, vec![vec![put]], later).await.unwrap();
        assert!(read[0] == bytes);
    });
}

#[test]
fn buffers_that_a_frozen_node_kept_come_back_to_who_needs_them() {
    let Some(reach) = reach().map(Arc::new) else {
        return;
    };
    if !is_tcp_alone() {
        return;
    }
    Runtime::new().unwrap().block_on(async {
        let node = Served::start("127.0.0.1:0");
        let bytes = contents(1, 8 << 20);
        let Reserved { memory, put } = reserve(&node, &reach, 8 << 20).await;
        node.signal("-STOP");
        // All buffers, and one more.
        let until = Instant::now() + Duration::from_secs(2);
        let mut writes = JoinSet::new();
        for _ in 0..9 {
            let (reach, memory) = (Arc::clone(&reach), Arc::clone(&memory));
            let objects = vec![(vec![put.clone()], bytes.clone())];
            writes.spawn(async move { reach.write(&memory, objects, until).await });
        }
        let written = writes.join_all().await;
        let is_begun = |it: &&Result<(), ReachError>| matches!(it, Err(ReachError::Failed(_)));
        assert_eq!(written.iter().filter(is_begun).count(), 8, "{written:?}");
        node.signal("-CONT");
        // Nobody asks how many there are.
        let end = Instant::now() + Duration::from_secs(20);
        let read = loop {
            let later = Instant::now() + Duration::from_secs(5);
            match reach.read(&memory, vec![vec![put.clone()]], later).await {
                Ok(read) => break read,
                Err(error) => assert!(Instant::now() < end, "{error:?}"),
            }
            sleep(Duration::from_millis(50)).await;
        };
        assert!(read[0] == bytes);
    });
}

#[test]
fn ranges_beyond_the_memory_are_refused_before_the_library_sees_them() {
    let Some(reach) = reach() else { return };
    Runtime::new().unwrap().block_on(async {
        let node = Served::start("127.0.0.1:0");
        let Reserved { memory, .. } = reserve(&node, &reach, 100).await;
        let until = Instant::now() + Duration::from_secs(5);
        for range in [64 << 40..(64 << 40) + 10, u64::MAX - 10..u64::MAX] {
            let read = reach.read(&memory, vec![vec![range]], until).await;
            assert!(matches!(read, Err(ReachError::NotBegun(_))), "{read:?}");
        }
        let wrong = reach.connect(Bytes::from_static(b"no description")).await;
        wrong.unwrap_err();
    });
}

#[test]
fn without_the_library_a_node_says_so_and_clients_use_grpc() {
    Runtime::new().unwrap().block_on(async {
        let mut options = NodeOptions::new("a", 8 << 20);
        options.memory.pages = PagePolicy::Off;
        let node = Node::start(options).await.unwrap();
        let members = format!("a={}", node.address());
        let command = |arguments: &[&str]| {
            let mut command = Command::new(env!("CARGO_BIN_EXE_mc-nixl"));
            command.env_remove("LD_LIBRARY_PATH").args(arguments);
            command.output().unwrap()
        };
        let refused = command(&["node", "--name", "b", "--size", "8mb"]);
        assert_eq!(refused.status.code(), Some(1));
        let text = String::from_utf8(refused.stderr).unwrap();
        assert!(text.contains("LD_LIBRARY_PATH"), "{text}");
        let put = command(&["put", "--members", &members, "key", "Cargo.toml"]);
        let text = String::from_utf8(put.stderr).unwrap();
        assert!(put.status.success() && text.contains("gRPC"), "{text}");
        let client = Client::new(Members::parse(&members).unwrap(), ClientOptions::default());
        let stored = client.get(b"key").await.unwrap().unwrap();
        assert_eq!(stored, std::fs::read("Cargo.toml").unwrap());
    });
}
