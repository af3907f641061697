//! What breaks on the way or on a host is a miss, and is counted.

use std::{
    sync::{
        Arc,
        atomic::{AtomicBool, Ordering},
    },
    time::{Duration, Instant},
};

use crate::common::{
    Slow, calls, client, commit, contents, lookup, members, one_thread, options, reserve, runtime,
    soon, soon_told, start, write_request,
};
use bytes::Bytes;
use futures_util::{FutureExt, stream};
use mc_cluster::{
    Client, ClientOptions, Member, Members, Node,
    client::{Calls, Incoming, Outgoing, Route, Space, Streams, Transport},
    wire::{Outcome, RemoveRequest, remove_request::Mode},
};
use mc_store::{PutRequest, Removal};
use tonic::Status;

/// Moves bytes as nodes do, and turns one bit over while it is told to.
struct Faulty(&'static AtomicBool);

impl Transport for Faulty {
    async fn write(
        &self,
        calls: Calls,
        space: &Space,
        objects: Vec<Outgoing>,
    ) -> Result<(), Status> {
        Streams.write(calls, space, objects).await
    }

    async fn read(
        &self,
        calls: Calls,
        space: &Space,
        lease: u64,
        objects: Vec<Incoming>,
    ) -> Result<Vec<Bytes>, Status> {
        let mut read = Streams.read(calls, space, lease, objects).await?;
        if self.0.load(Ordering::Relaxed) {
            let mut bytes = read[0].to_vec();
            bytes[0] ^= 1;
            read[0] = bytes.into();
        }
        Ok(read)
    }
}

#[test]
fn bytes_that_change_on_the_way_are_a_miss_and_the_object_stays() {
    static IS_FAULTY: AtomicBool = AtomicBool::new(true);
    runtime().block_on(async {
        let node = start("a").await;
        let members = members(&[("a", &node)]);
        let client = Client::with_transport(members, ClientOptions::default(), Faulty(&IS_FAULTY));
        let bytes = contents(b"key", 1000);
        client.put(b"key", bytes.clone()).await.unwrap();
        assert_eq!(client.get(b"key").await.unwrap(), None);
        let counts = client.counts();
        assert_eq!((counts.corrupt, counts.hits, counts.misses), (1, 0, 1));
        IS_FAULTY.store(false, Ordering::Relaxed);
        tokio::time::sleep(Duration::from_millis(100)).await;
        assert_eq!(client.get(b"key").await.unwrap(), Some(bytes));
    });
}

#[test]
fn an_object_that_is_damaged_where_it_is_stored_leaves() {
    runtime().block_on(async {
        let node = start("a").await;
        let client = client(&[("a", &node)]);
        let mut calls = calls(&node);
        let reserved = reserve(&mut calls, b"key", 100, 5000).await;
        let bytes = contents(b"key", 100);
        let request = write_request(&reserved, 0, &bytes);
        calls.write(stream::iter([request])).await.unwrap();
        let wrong = crc32fast::hash(&bytes) ^ 1;
        assert_eq!(commit(&mut calls, &reserved, wrong).await, Outcome::Done);
        assert_eq!(client.get(b"key").await.unwrap(), None);
        assert_eq!(client.counts().corrupt, 1);
        soon_told(&mut calls, "the object leaves", |stats| stats.objects == 0).await;
        client.put(b"key", bytes.clone()).await.unwrap();
        assert_eq!(client.get(b"key").await.unwrap(), Some(bytes));
    });
}

#[test]
fn an_object_that_goes_while_it_is_looked_at_was_not_damaged() {
    runtime().block_on(async {
        let node = start("a").await;
        let ends = Arc::new(AtomicBool::new(false));
        let (store, ended) = (node.store().clone(), Arc::clone(&ends));
        let others = std::thread::spawn(move || {
            let mut rounds = 0;
            while !ended.load(Ordering::Relaxed) {
                let mut put = store.put(b"key", &PutRequest::new(64)).unwrap();
                put.write(0, &[7; 64]).unwrap();
                put.set_checksum(crc32fast::hash(&[7; 64]));
                put.commit().unwrap();
                store.remove(b"key", Removal::Detach).unwrap();
                rounds += 1;
            }
            rounds
        });
        let mut calls = calls(&node);
        let request = RemoveRequest {
            keys: vec![Bytes::from_static(b"key"); 1000],
            mode: Mode::IfDamaged.into(),
        };
        let mut seen = [0; 2];
        for _ in 0..100 {
            let removed = calls.remove(request.clone()).await.unwrap().into_inner();
            for outcome in removed.outcomes() {
                match outcome {
                    Outcome::Exists => seen[0] += 1,
                    Outcome::Unknown => seen[1] += 1,
                    other => panic!("{other:?} of an object that is as it was put"),
                }
            }
        }
        ends.store(true, Ordering::Relaxed);
        let rounds = others.join().unwrap();
        assert!(
            rounds > 100 && seen.iter().all(|&times| times > 100),
            "{rounds}, {seen:?}"
        );
    });
}

#[test]
fn another_replica_is_read_where_one_is_damaged() {
    runtime().block_on(async {
        let (a, b) = (start("a").await, start("b").await);
        let mut options = ClientOptions::default();
        options.replicas = 2;
        let client = Client::new(members(&[("a", &a), ("b", &b)]), options);
        let bytes = contents(b"key", 100);
        // The first owner has it with another checksum.
        let list = members(&[("a", &a), ("b", &b)]).now();
        let first = Route::new(list).owners(b"key", 1)[0].name.clone();
        let mut first = calls(if first == "a" { &a } else { &b });
        let reserved = reserve(&mut first, b"key", 100, 5000).await;
        commit(&mut first, &reserved, 12345).await;
        assert_eq!(client.put(b"key", bytes.clone()).await.unwrap(), 2);
        assert_eq!(client.get(b"key").await.unwrap(), Some(bytes));
        assert_eq!(client.counts().corrupt, 1);
    });
}

#[test]
fn a_host_that_goes_costs_its_objects_and_then_no_time() {
    runtime().block_on(async {
        let (a, b, c) = (start("a").await, start("b").await, start("c").await);
        let nodes = members(&[("a", &a), ("b", &b), ("c", &c)]);
        let client = Client::new(nodes.clone(), ClientOptions::default());
        let route = Route::new(nodes.now());
        let keys: Vec<_> = (0..90).map(|n| format!("key {n}")).collect();
        for key in &keys {
            let bytes = contents(key.as_bytes(), 500);
            client.put(key.as_bytes(), bytes).await.unwrap();
        }
        let gone = b.address();
        b.stop().await;
        for key in &keys {
            let was_there = route.owners(key.as_bytes(), 1)[0].name == "b";
            let got = client.get(key.as_bytes()).await.unwrap();
            let expected = (!was_there).then(|| contents(key.as_bytes(), 500));
            assert_eq!(got, expected, "{key}");
        }
        // Others stand in.
        let start = Instant::now();
        for key in &keys {
            let bytes = contents(key.as_bytes(), 500);
            client.put(key.as_bytes(), bytes.clone()).await.unwrap();
            assert_eq!(client.get(key.as_bytes()).await.unwrap(), Some(bytes));
        }
        let time = start.elapsed();
        assert!(time < Duration::from_secs(5), "{time:?} for 90 keys");
        // It comes back empty: what others kept for it is found, and put to it.
        let mut again = options("b");
        again.listen = gone;
        let b = Node::start(again).await.unwrap();
        tokio::time::sleep(Duration::from_millis(2500)).await;
        for key in &keys {
            let got = client.get(key.as_bytes()).await.unwrap();
            assert_eq!(got, Some(contents(key.as_bytes(), 500)), "{key}");
        }
        soon("promotion", Duration::from_secs(5), async || {
            b.store().stats().objects > 10
        })
        .await;
        assert!(client.counts().promoted > 10);
    });
}

#[test]
fn without_anybody_there_puts_end_and_gets_find_nothing() {
    runtime().block_on(async {
        let nobody = Members::fixed(vec![Member::new("a", "127.0.0.1:1")]).unwrap();
        let mut options = ClientOptions::default();
        options.patience = Duration::from_millis(300);
        for members in [nobody, Members::parse("").unwrap()] {
            let client = Client::new(members, options.clone());
            let start = Instant::now();
            assert!(client.put(b"key", Bytes::from_static(b"x")).await.is_err());
            assert_eq!(client.get(b"key").await.unwrap(), None);
            assert!(start.elapsed() < Duration::from_secs(5));
        }
    });
}

#[test]
fn a_client_that_is_gone_leaves_nothing_past_its_deadline() {
    runtime().block_on(async {
        let mut options = options("a");
        options.limits.put_margin = Duration::from_millis(300);
        let node = Node::start(options).await.unwrap();
        let mut calls = calls(&node);
        let reserved = reserve(&mut calls, b"key", 6 << 20, 300).await;
        // Its space is taken, also for others, until the margin is over.
        let other = reserve(&mut calls, b"other", 6 << 20, 300).await;
        assert_eq!(other.items[0].outcome(), Outcome::NoRoom);
        tokio::time::sleep(Duration::from_millis(400)).await;
        let other = reserve(&mut calls, b"other", 6 << 20, 300).await;
        assert_eq!(other.items[0].outcome(), Outcome::NoRoom);
        assert_eq!(commit(&mut calls, &reserved, 0).await, Outcome::Expired);
        soon("the space", Duration::from_secs(3), async || {
            let other = reserve(&mut calls, b"other", 6 << 20, 300).await;
            other.items[0].outcome() == Outcome::Done
        })
        .await;
        assert!(lookup(&mut calls, &[b"key"], 1).await.objects.is_empty());
    });
}

#[test]
fn a_put_that_nobody_waits_for_gives_its_space_and_its_key_back() {
    runtime().block_on(async {
        let node = start("a").await;
        let slow = Slow {
            write: Duration::from_secs(3_600),
            ..Slow::default()
        };
        let hangs =
            Client::with_transport(members(&[("a", &node)]), ClientOptions::default(), slow);
        let bytes = contents(b"key", 6 << 20);
        let put = hangs.put(b"key", bytes.clone());
        let time = Duration::from_millis(300);
        assert!(tokio::time::timeout(time, put).await.is_err());
        let start = Instant::now();
        client(&[("a", &node)]).put(b"key", bytes).await.unwrap();
        assert!(
            start.elapsed() < Duration::from_secs(2),
            "not at the deadline"
        );
    });
}

#[test]
fn a_lookup_that_nobody_waits_for_gives_its_lease_back() {
    one_thread().block_on(async {
        let node = start("a").await;
        let client = client(&[("a", &node)]);
        client.put(b"key", contents(b"key", 500)).await.unwrap();
        let mut calls = calls(&node);
        let mut get = Box::pin(client.get(b"key"));
        // It asks, and takes no answer.
        assert!((&mut get).now_or_never().is_none());
        soon_told(&mut calls, "the lease", |stats| stats.leases == 1).await;
        drop(get);
        soon_told(&mut calls, "its end", |stats| stats.leases == 0).await;
    });
}

#[test]
fn a_reservation_that_nobody_waits_for_gives_its_space_back() {
    one_thread().block_on(async {
        let node = start("a").await;
        let client = client(&[("a", &node)]);
        client.put(b"other", contents(b"other", 500)).await.unwrap();
        let mut calls = calls(&node);
        let mut put = Box::pin(client.put(b"key", contents(b"key", 6 << 20)));
        assert!((&mut put).now_or_never().is_none());
        soon_told(&mut calls, "the space", |stats| stats.puts_in_flight == 1).await;
        drop(put);
        soon_told(&mut calls, "its end", |stats| stats.puts_in_flight == 0).await;
    });
}
