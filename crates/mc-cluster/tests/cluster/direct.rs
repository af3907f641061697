//! Bytes past the nodes, by an engine over the memory of this process: what the client checks in the
//! place of the node.

use std::{
    fs::{File, OpenOptions},
    ops::Range,
    os::unix::fs::FileExt,
    sync::{
        Arc, Mutex,
        atomic::{AtomicBool, AtomicU64, Ordering},
    },
    time::Duration,
};

use bytes::Bytes;
use futures_util::FutureExt;
use mc_arena::{ClaimError, PoolBytes};
use mc_cluster::{
    Client, ClientOptions, Node,
    client::{Direct, DirectCounts},
    engine::{Engine, EngineError, Reach, ReachError, RegisteredMemory},
    wire::{MemoryRequest, Outcome},
};
use tokio::time::{Instant, sleep};

use crate::common::{
    calls, commit, contents, members, one_thread, options, reserve, runtime, soon, soon_told,
    start, stats, write_request,
};

/// Tells the address of the memory, and keeps it.
#[derive(Debug, Default)]
struct Local(Mutex<Option<PoolBytes>>);

impl Engine for Local {
    fn name(&self) -> &str {
        "local"
    }

    fn register(&self, memory: PoolBytes) -> Result<RegisteredMemory, EngineError> {
        let address = memory.pool().as_ptr() as u64;
        *self.0.lock().unwrap() = Some(memory.clone());
        Ok(RegisteredMemory::new(
            address.to_le_bytes().to_vec(),
            memory,
        ))
    }
}

/// Has no memory for it.
#[derive(Debug)]
struct Refuses;

impl Engine for Refuses {
    fn name(&self) -> &str {
        "refuses"
    }

    fn register(&self, _: PoolBytes) -> Result<RegisteredMemory, EngineError> {
        Err("no device".into())
    }
}

/// Reads and writes the memory of this process as a file, behind the back of
/// whoever owns it.
#[derive(Debug, Default)]
struct Faults {
    cannot_connect: AtomicBool,
    cannot_begin: AtomicBool,
    fails: AtomicBool,
    /// Connecting and moving take so long, in milliseconds.
    connect_ms: AtomicU64,
    delay_ms: AtomicU64,
    connected: AtomicU64,
    writes: AtomicU64,
}

struct Memory {
    file: File,
    address: u64,
}

#[derive(Clone, Default)]
struct Back(Arc<Faults>);

impl Back {
    async fn begin(&self) -> Result<(), ReachError> {
        if self.0.cannot_begin.load(Ordering::Relaxed) {
            return Err(ReachError::NotBegun("no room".into()));
        }
        let delay = self.0.delay_ms.load(Ordering::Relaxed);
        sleep(Duration::from_millis(delay)).await;
        match self.0.fails.load(Ordering::Relaxed) {
            true => Err(ReachError::Failed("the cable was pulled".into())),
            false => Ok(()),
        }
    }
}

impl Reach for Back {
    type Memory = Memory;

    fn name(&self) -> &str {
        "local"
    }

    async fn connect(&self, description: Bytes) -> Result<Memory, EngineError> {
        if self.0.cannot_connect.load(Ordering::Relaxed) {
            return Err("no way".into());
        }
        self.0.connected.fetch_add(1, Ordering::Relaxed);
        let delay = self.0.connect_ms.load(Ordering::Relaxed);
        sleep(Duration::from_millis(delay)).await;
        let mut options = OpenOptions::new();
        Ok(Memory {
            file: options.read(true).write(true).open("/proc/self/mem")?,
            address: u64::from_le_bytes(description[..].try_into()?),
        })
    }

    async fn write(
        &self,
        memory: &Arc<Memory>,
        objects: Vec<(Vec<Range<u64>>, Bytes)>,
        _: Instant,
    ) -> Result<(), ReachError> {
        self.begin().await?;
        self.0.writes.fetch_add(1, Ordering::Relaxed);
        for (ranges, mut bytes) in objects {
            for range in ranges {
                let piece = bytes.split_to(len(&range));
                let written = memory
                    .file
                    .write_all_at(&piece, memory.address + range.start);
                written.map_err(|error| ReachError::Failed(error.into()))?;
            }
        }
        Ok(())
    }

    async fn read(
        &self,
        memory: &Arc<Memory>,
        objects: Vec<Vec<Range<u64>>>,
        _: Instant,
    ) -> Result<Vec<Bytes>, ReachError> {
        self.begin().await?;
        let mut all = Vec::new();
        for ranges in objects {
            let mut object = Vec::new();
            for range in ranges {
                let start = object.len();
                object.resize(start + len(&range), 0);
                let read = memory
                    .file
                    .read_exact_at(&mut object[start..], memory.address + range.start);
                read.map_err(|error| ReachError::Failed(error.into()))?;
            }
            all.push(object.into());
        }
        Ok(all)
    }
}

fn len(range: &Range<u64>) -> usize {
    usize::try_from(range.end - range.start).unwrap()
}

async fn start_reachable() -> Node {
    let mut options = options("a");
    options.engine = Some(Arc::new(Local::default()));
    Node::start(options).await.unwrap()
}

/// A client of one node, with its transport and what goes wrong with that.
struct Reacher {
    client: Client<Direct<Back>>,
    direct: Direct<Back>,
    faults: Arc<Faults>,
}

fn reacher(node: &Node, options: ClientOptions) -> Reacher {
    let back = Back::default();
    let faults = Arc::clone(&back.0);
    let direct = Direct::new(back);
    Reacher {
        client: Client::with_transport(members(&[("a", node)]), options, direct.clone()),
        direct,
        faults,
    }
}

#[track_caller]
fn check_counts(counts: DirectCounts, [direct, streamed, failed]: [u64; 3]) {
    assert_eq!(
        (counts.direct, counts.streamed, counts.failed),
        (direct, streamed, failed)
    );
}

#[test]
fn objects_go_past_the_node_and_come_back() {
    runtime().block_on(async {
        let node = start_reachable().await;
        let Reacher {
            client,
            direct,
            faults,
        } = reacher(&node, ClientOptions::default());
        let keys: Vec<_> = (0..100).map(|key| format!("key {key}")).collect();
        let object = |key: &String| (Bytes::from(key.clone()), contents(key.as_bytes(), 10_000));
        let put = client.put_many(keys.iter().map(object).collect()).await;
        assert!(put.into_iter().all(|copies| copies.unwrap() == 1));
        let read = client.get_prefix(&keys).await.unwrap();
        let expected: Vec<_> = keys.iter().map(|key| object(key).1).collect();
        assert_eq!(read, expected);
        check_counts(direct.counts(), [200, 0, 0]);
        assert_eq!(faults.connected.load(Ordering::Relaxed), 1, "once for all");
        // Those who have no engine read and write the same objects.
        let plain = crate::common::client(&[("a", &node)]);
        assert_eq!(plain.get_prefix(&keys).await.unwrap(), expected);
        plain.put(b"plain", contents(b"plain", 700)).await.unwrap();
        let read = client.get(b"plain").await.unwrap();
        assert_eq!(read, Some(contents(b"plain", 700)));
    });
}

#[test]
fn a_node_without_the_engine_gets_streams() {
    runtime().block_on(async {
        let node = start("a").await;
        let it = reacher(&node, ClientOptions::default());
        it.client.put(b"key", contents(b"key", 500)).await.unwrap();
        let read = it.client.get(b"key").await.unwrap();
        assert_eq!(read, Some(contents(b"key", 500)));
        check_counts(it.direct.counts(), [0, 2, 0]);
        let request = MemoryRequest {
            life: stats(&mut calls(&node)).await.life ^ 1,
        };
        let refused = calls(&node).memory(request).await.unwrap_err();
        assert!(refused.message().contains("is over"), "{refused}");
    });
}

#[test]
fn what_the_engine_cannot_reach_or_begin_goes_as_streams() {
    runtime().block_on(async {
        let node = start_reachable().await;
        for fault in [
            |faults: &Faults| faults.cannot_connect.store(true, Ordering::Relaxed),
            |faults: &Faults| faults.cannot_begin.store(true, Ordering::Relaxed),
        ] {
            let it = reacher(&node, ClientOptions::default());
            fault(&it.faults);
            it.client.put(b"key", contents(b"key", 500)).await.unwrap();
            let read = it.client.get(b"key").await.unwrap();
            assert_eq!(read, Some(contents(b"key", 500)));
            check_counts(it.direct.counts(), [0, 2, 0]);
            assert!(it.client.remove(b"key").await.unwrap());
        }
    });
}

#[test]
fn a_read_that_fails_goes_as_a_stream_and_the_engine_is_left_alone() {
    runtime().block_on(async {
        let node = start_reachable().await;
        let it = reacher(&node, ClientOptions::default());
        it.client.put(b"key", contents(b"key", 500)).await.unwrap();
        it.faults.fails.store(true, Ordering::Relaxed);
        let read = it.client.get(b"key").await.unwrap();
        assert_eq!(read, Some(contents(b"key", 500)));
        check_counts(it.direct.counts(), [1, 1, 1]);
        it.faults.fails.store(false, Ordering::Relaxed);
        it.client.get(b"key").await.unwrap().unwrap();
        check_counts(it.direct.counts(), [1, 2, 1]);
    });
}

#[test]
fn the_space_of_a_write_that_failed_stays_taken_past_its_deadline() {
    runtime().block_on(async {
        let node = start_reachable().await;
        let mut options = ClientOptions::default();
        options.patience = Duration::from_millis(300);
        options.call_time = Duration::from_millis(300);
        let it = reacher(&node, options);
        it.client.put(b"key 1", contents(b"1", 500)).await.unwrap();
        it.faults.fails.store(true, Ordering::Relaxed);
        let put = it.client.put(b"key 2", contents(b"2", 500)).await;
        put.unwrap_err();
        let mut calls = calls(&node);
        assert_eq!(stats(&mut calls).await.puts_in_flight, 1, "nobody gave up");
        soon("the put ends", Duration::from_secs(5), async || {
            stats(&mut calls.clone()).await.puts_in_flight == 0
        })
        .await;
        // Far longer than it takes to come back where only the node writes.
        sleep(Duration::from_millis(1500)).await;
        assert_eq!(stats(&mut calls).await.lingering, 1);
    });
}

#[test]
fn a_write_that_nobody_waits_for_is_not_given_up_at_the_node() {
    runtime().block_on(async {
        let node = start_reachable().await;
        let mut options = ClientOptions::default();
        options.patience = Duration::from_millis(1000);
        options.call_time = Duration::from_millis(200);
        let it = reacher(&node, options);
        it.client.put(b"key 1", contents(b"1", 500)).await.unwrap();
        it.faults.delay_ms.store(2000, Ordering::Relaxed);
        let put = it.client.put(b"key 2", contents(b"2", 500));
        put.await.unwrap_err();
        check_counts(it.direct.counts(), [1, 0, 1]);
        let stats = stats(&mut calls(&node)).await;
        assert_eq!(stats.puts_in_flight + stats.lingering, 1);
    });
}

#[test]
fn space_that_nothing_was_written_to_is_given_back_whatever_was_written_before() {
    one_thread().block_on(async {
        let node = start_reachable().await;
        let it = reacher(&node, ClientOptions::default());
        it.client.put(b"key 1", contents(b"1", 500)).await.unwrap();
        check_counts(it.direct.counts(), [1, 0, 0]);
        let mut calls = calls(&node);
        let mut put = Box::pin(it.client.put(b"key 2", contents(b"2", 500)));
        // It asks for space, and takes no answer.
        assert!((&mut put).now_or_never().is_none());
        soon_told(&mut calls, "the space", |stats| stats.puts_in_flight == 1).await;
        drop(put);
        soon_told(&mut calls, "its end", |stats| {
            stats.puts_in_flight + stats.lingering == 0
        })
        .await;
    });
}

#[test]
fn nothing_is_written_after_the_deadline_that_the_node_granted() {
    runtime().block_on(async {
        let mut options = options("a");
        options.engine = Some(Arc::new(Local::default()));
        options.limits.put_deadline_max = Duration::from_millis(50);
        let node = Node::start(options).await.unwrap();
        let it = reacher(&node, ClientOptions::default());
        it.faults.connect_ms.store(200, Ordering::Relaxed);
        // The client asks for longer than it gets, and is connected too late for its first try.
        it.client.put(b"key", contents(b"key", 500)).await.unwrap();
        assert!(it.client.counts().retried >= 1);
        assert_eq!(it.faults.writes.load(Ordering::Relaxed), 1);
        check_counts(it.direct.counts(), [1, 0, 0]);
        assert_eq!(stats(&mut calls(&node)).await.lingering, 1);
    });
}

#[test]
fn bytes_that_come_after_the_end_of_the_lease_are_none() {
    runtime().block_on(async {
        let node = start_reachable().await;
        let mut options = ClientOptions::default();
        options.lease = Duration::from_millis(100);
        let it = reacher(&node, options);
        it.client.put(b"key", contents(b"key", 500)).await.unwrap();
        it.client.get(b"key").await.unwrap().unwrap();
        it.faults.delay_ms.store(200, Ordering::Relaxed);
        assert_eq!(it.client.get(b"key").await.unwrap(), None);
        check_counts(it.direct.counts(), [2, 0, 0]);
    });
}

#[test]
fn the_next_life_of_a_node_is_connected_to_anew() {
    runtime().block_on(async {
        let first = start_reachable().await;
        let it = reacher(&first, ClientOptions::default());
        it.client.put(b"key", contents(b"key", 500)).await.unwrap();
        let mut again = options("a");
        again.engine = Some(Arc::new(Local::default()));
        again.listen = first.address();
        first.stop().await;
        let node = Node::start(again).await.unwrap();
        assert_eq!(it.client.get(b"key").await.unwrap(), None);
        soon("a put goes", Duration::from_secs(5), async || {
            it.client.put(b"key", contents(b"new", 500)).await.is_ok()
        })
        .await;
        let read = it.client.get(b"key").await.unwrap();
        assert_eq!(read, Some(contents(b"new", 500)));
        assert_eq!(it.faults.connected.load(Ordering::Relaxed), 2);
        assert_eq!(it.direct.counts().streamed, 0);
        node.stop().await;
    });
}

#[test]
fn the_node_writes_to_space_that_an_engine_may_write_to_and_commits_it() {
    runtime().block_on(async {
        let engine = Arc::new(Local::default());
        let mut options = options("a");
        options.engine = Some(engine.clone());
        let node = Node::start(options).await.unwrap();
        let mut calls = calls(&node);
        let reserved = reserve(&mut calls, b"key", 100, 5000).await;
        let memory = engine.0.lock().unwrap().take().unwrap();
        let start = usize::try_from(reserved.items[0].extents[0].address).unwrap();
        let slice = memory.read(start..start + 100).map(drop);
        assert!(matches!(slice, Err(ClaimError::OfDevice { .. })), "a slice");
        let bytes = contents(b"key", 100);
        let request = write_request(&reserved, 0, &bytes);
        let written = calls.write(futures_util::stream::iter([request])).await;
        assert_eq!(written.unwrap().into_inner().written_bytes, 100);
        let checksum = crc32fast::hash(&bytes);
        assert_eq!(commit(&mut calls, &reserved, checksum).await, Outcome::Done);
        let client = crate::common::client(&[("a", &node)]);
        assert_eq!(client.get(b"key").await.unwrap(), Some(bytes));
    });
}

#[test]
fn a_node_whose_engine_does_not_take_the_memory_does_not_start() {
    runtime().block_on(async {
        let mut options = options("a");
        options.engine = Some(Arc::new(Refuses));
        let error = Node::start(options).await.unwrap_err();
        let text = error.to_string();
        assert!(text.contains("registered with its engine"), "{text}");
    });
}
