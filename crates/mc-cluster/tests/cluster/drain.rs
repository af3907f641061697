//! A node that stops moves its objects to others, which clients find there.

use std::{
    sync::{
        Arc,
        atomic::{AtomicBool, Ordering},
    },
    time::{Duration, Instant},
};

use crate::common::{
    NODE_BYTES, Slow, calls, commit, contents, item, lookup, members, refusal, reserve, runtime,
    soon, start, stats, write_request,
};
use bytes::Bytes;
use futures_util::stream;
use mc_cluster::{
    Client, ClientOptions, DrainOptions, Drained, Member, Members, Node,
    client::{Calls, Route},
    wire::{AbortRequest, CommitRequest, Outcome, ReserveRequest, ReserveResponse, commit_request},
};
use tokio::{
    io::{AsyncReadExt, AsyncWriteExt},
    net::{
        TcpListener, TcpStream,
        tcp::{OwnedReadHalf, OwnedWriteHalf},
    },
};
use tonic::Code;

fn key(number: usize) -> String {
    format!("key {number}")
}

#[test]
fn objects_of_a_node_that_stops_are_found_on_the_others() {
    for replicas in [1, 2] {
        runtime().block_on(async {
            let (a, mut b, c) = (start("a").await, start("b").await, start("c").await);
            let members = members(&[("a", &a), ("b", &b), ("c", &c)]);
            let mut options = ClientOptions::default();
            options.replicas = replicas;
            let client = Client::new(members.clone(), options);
            for n in 0..120 {
                let bytes = contents(key(n).as_bytes(), 1000 + n);
                let copies = client.put(key(n).as_bytes(), bytes).await.unwrap();
                assert_eq!(copies, replicas);
            }
            // One that is more than a chunk, and one that was stored without a checksum.
            let large = contents(b"large", (1 << 20) + 77);
            put_to(&b, b"large", &large).await;
            let before = b.store().stats().objects;
            let mut drain = DrainOptions::new(members.clone());
            drain.replicas = replicas;
            let drained = b.drain(drain).await;
            assert_eq!(drained.moved_objects, before, "{drained}");
            assert_eq!((drained.lost_objects, drained.left_objects), (0, 0));
            b.stop().await;
            // The first read of each, by a client that knows nothing of this.
            let fresh = Client::new(members, ClientOptions::default());
            for n in 0..120 {
                let bytes = fresh.get(key(n).as_bytes()).await.unwrap();
                assert_eq!(bytes, Some(contents(key(n).as_bytes(), 1000 + n)), "{n}");
            }
            assert_eq!(fresh.get(b"large").await.unwrap(), Some(large));
            let objects = a.store().stats().objects + c.store().stats().objects;
            assert_eq!(objects, replicas as u64 * 121, "as many copies as before");
        });
    }
}

#[test]
fn what_a_node_moved_away_is_found_by_clients_that_start_when_it_is_back() {
    runtime().block_on(async {
        let (a, mut b, c) = (start("a").await, start("b").await, start("c").await);
        let before = members(&[("a", &a), ("b", &b), ("c", &c)]);
        let client = Client::new(before.clone(), ClientOptions::default());
        let keys: Vec<_> = (0..120).map(key).collect();
        for key in &keys {
            let bytes = contents(key.as_bytes(), 100);
            assert_eq!(client.put(key.as_bytes(), bytes).await.unwrap(), 1);
        }
        let moved = b.drain(DrainOptions::new(before)).await.moved_objects;
        assert!(moved > 20, "{moved}");
        b.stop().await;
        let b = start("b").await;
        let after = members(&[("a", &a), ("b", &b), ("c", &c)]);
        let route = Route::new(after.now());
        let is_moved = |key: &&String| route.owners(key.as_bytes(), 1)[0].name == "b";
        let removed = keys.iter().find(is_moved).unwrap();
        let start = || Client::new(after.clone(), ClientOptions::default());
        let mut options = ClientOptions::default();
        options.former_for = Duration::ZERO;
        let looks_nowhere_else = Client::new(after.clone(), options);
        let found = looks_nowhere_else.get(removed.as_bytes()).await;
        assert_eq!(found.unwrap(), None, "its owner has nothing");
        // What is removed is removed there as well.
        assert!(start().remove(removed.as_bytes()).await.unwrap());
        assert_eq!(start().get(removed.as_bytes()).await.unwrap(), None);
        let kept: Vec<_> = keys.iter().filter(|&key| key != removed).collect();
        let newcomer = start();
        let found = newcomer.get_prefix(&kept).await.unwrap();
        let expected = kept.iter().map(|key| contents(key.as_bytes(), 100));
        assert_eq!(found, expected.collect::<Vec<_>>());
        // They are with their owner again.
        let are_back = async || newcomer.counts().promoted == moved - 1;
        soon("all are back", Duration::from_secs(10), are_back).await;
        assert_eq!(b.store().stats().objects, moved - 1);
    });
}

#[test]
fn a_node_that_drains_takes_no_puts_and_is_read_on() {
    runtime().block_on(async {
        let (mut a, b) = (start("a").await, start("b").await);
        let bytes = contents(b"key", 100);
        put_to(&a, b"key", &bytes).await;
        let reserved = reserve(&mut calls(&a), b"late", 10, 5000).await;
        let members = members(&[("a", &a), ("b", &b)]);
        a.drain(DrainOptions::new(members.clone())).await;
        let mut calls = calls(&a);
        let request = ReserveRequest {
            items: vec![item(b"other", 10)],
            deadline_ms: 0,
        };
        let commit = CommitRequest {
            items: vec![commit_request::Item {
                put: reserved.items[0].put,
                ..Default::default()
            }],
            life: reserved.life,
        };
        let refused = [
            refusal(calls.reserve(request).await),
            refusal(calls.commit(commit).await),
        ];
        assert_eq!(refused, [Some(Code::Unavailable); 2]);
        assert_eq!(lookup(&mut calls, &[b"key"], 1000).await.objects.len(), 1);
        assert!(!stats(&mut calls).await.takes_puts);
        // Who puts finds another host, and goes on to read what is there alone.
        put_to(&b, b"unrelated", &bytes).await;
        let client = Client::new(members, ClientOptions::default());
        for n in 0..20 {
            let bytes = contents(key(n).as_bytes(), 100);
            assert_eq!(client.put(key(n).as_bytes(), bytes).await.unwrap(), 1);
        }
        assert_eq!(client.counts().unanswered, 0, "a refusal is an answer");
        assert_eq!(client.get(b"key").await.unwrap(), Some(bytes));
    });
}

#[test]
fn objects_are_moved_in_batches_as_the_limits_allow() {
    runtime().block_on(async {
        let limited = async |name| {
            let mut options = crate::common::options(name);
            options.limits.batch_max = 4;
            Node::start(options).await.unwrap()
        };
        let (mut a, b) = (limited("a").await, limited("b").await);
        for n in 0..30 {
            put_to(&a, key(n).as_bytes(), &contents(key(n).as_bytes(), 100)).await;
        }
        let members = members(&[("a", &a), ("b", &b)]);
        let drained = a.drain(DrainOptions::new(members)).await;
        assert_eq!((drained.moved_objects, drained.lost_objects), (30, 0));
    });
}

#[test]
fn what_was_used_last_goes_first() {
    runtime().block_on(async {
        let (mut a, b) = (start("a").await, start("b").await);
        for n in 0..10 {
            put_to(&a, key(n).as_bytes(), &contents(key(n).as_bytes(), 100)).await;
        }
        for used in [3, 7] {
            // Times are told apart by hundredths of a second.
            tokio::time::sleep(Duration::from_millis(30)).await;
            lookup(&mut calls(&a), &[key(used).as_bytes()], 1).await;
        }
        let events = b.store().events(100);
        a.drain(DrainOptions::new(members(&[("a", &a), ("b", &b)])))
            .await;
        let mut came = Vec::new();
        while let Some(event) = events.try_next() {
            came.push(event.key.into_vec());
        }
        assert_eq!(came.len(), 10);
        assert_eq!(came[..2], [key(7).into_bytes(), key(3).into_bytes()]);
    });
}

#[test]
fn the_budget_ends_a_drain_and_what_is_left_is_told() {
    runtime().block_on(async {
        let mut a = start("a").await;
        for n in 0..5 {
            put_to(&a, key(n).as_bytes(), &contents(key(n).as_bytes(), 100)).await;
        }
        // It listens and never answers.
        let mute = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let address = mute.local_addr().unwrap().to_string();
        let members = Members::fixed(vec![Member::new("mute", address)]).unwrap();
        let mut drain = DrainOptions::new(members);
        drain.budget = Duration::from_millis(400);
        let start = Instant::now();
        let drained = a.drain(drain).await;
        let time = start.elapsed();
        assert!((350..3000).contains(&time.as_millis()), "{time:?}");
        assert_eq!((drained.left_objects, drained.left_bytes), (5, 500));
        assert_eq!(drained.moved_objects, 0);
        // Without others there is nothing to wait for.
        let nobody = Members::fixed(vec![Member::new("a", "127.0.0.1:1")]).unwrap();
        let mut alone = start_with_one().await;
        let drained = alone.drain(DrainOptions::new(nobody)).await;
        assert_eq!((drained.left_objects, drained.moved_objects), (1, 0));
    });
}

#[test]
fn keys_that_others_are_putting_hold_up_no_others() {
    runtime().block_on(async {
        let (mut a, b) = (start("a").await, start("b").await);
        for n in 0..400 {
            put_to(&a, key(n).as_bytes(), &contents(key(n).as_bytes(), 100)).await;
        }
        // Somebody began to put some of them, and is gone.
        for n in (0..400).step_by(20) {
            reserve(&mut calls(&b), key(n).as_bytes(), 100, 60_000).await;
        }
        let mut drain = DrainOptions::new(members(&[("a", &a), ("b", &b)]));
        drain.budget = Duration::from_secs(12);
        let drained = a.drain(drain).await;
        assert_eq!((drained.moved_objects, drained.lost_objects), (380, 0));
        assert_eq!(drained.left_objects, 20);
    });
}

#[test]
fn damaged_objects_are_not_moved_and_a_receiver_compares_what_it_got() {
    runtime().block_on(async {
        let (mut a, b) = (start("a").await, start("b").await);
        let bytes = contents(b"key", 100);
        let mut calls = calls(&a);
        for (key, checksum) in [(&b"good"[..], crc32fast::hash(&bytes)), (b"bad", 1)] {
            let reserved = reserve(&mut calls, key, 100, 5000).await;
            let request = write_request(&reserved, 0, &bytes);
            calls.write(stream::iter([request])).await.unwrap();
            assert_eq!(commit(&mut calls, &reserved, checksum).await, Outcome::Done);
        }
        let drained = a.drain(DrainOptions::new(members(&[("b", &b)]))).await;
        assert_eq!((drained.moved_objects, drained.lost_objects), (1, 1));
        assert_eq!(b.store().stats().objects, 1);
        let mut calls = crate::common::calls(&b);
        let reserved = reserve(&mut calls, b"wrong", 100, 5000).await;
        let request = write_request(&reserved, 0, &bytes);
        calls.write(stream::iter([request])).await.unwrap();
        let commit = CommitRequest {
            items: vec![commit_request::Item {
                put: reserved.items[0].put,
                checksum: Some(1),
                is_compared: true,
            }],
            life: reserved.life,
        };
        let committed = calls.commit(commit).await.unwrap().into_inner();
        assert_eq!(committed.outcomes().next(), Some(Outcome::Damaged));
        let stats = stats(&mut calls).await;
        assert_eq!((stats.objects, stats.puts_in_flight), (1, 0), "given up");
    });
}

/// Drains a node of `key` and `other` to another one, where a put of `key` is under way. Once `other` has
/// moved, `key` is removed, and the put ends as it is told to.
async fn drain_while_the_key_is_put<T>(
    a: &mut Node,
    b: &Node,
    members: &Members,
    end: impl AsyncFnOnce(&mut Calls, &ReserveResponse) -> T,
) -> (Drained, T) {
    put_to(a, b"key", &contents(b"key", 100)).await;
    put_to(a, b"other", &contents(b"other", 100)).await;
    let reserved = reserve(&mut calls(b), b"key", 100, 20_000).await;
    let client = Client::new(members.clone(), ClientOptions::default());
    let remove = async {
        let mut to_b = calls(b);
        soon("the other", Duration::from_secs(5), async || {
            stats(&mut to_b).await.objects == 1
        })
        .await;
        assert!(client.remove(b"key").await.unwrap());
        end(&mut to_b, &reserved).await
    };
    tokio::join!(a.drain(DrainOptions::new(members.clone())), remove)
}

#[test]
fn what_is_removed_while_it_is_moved_is_nowhere() {
    runtime().block_on(async {
        let (mut a, b) = (start("a").await, start("b").await);
        let members = members(&[("a", &a), ("b", &b)]);
        let end = async |calls: &mut Calls, reserved: &_| abort(calls, reserved).await;
        let (drained, ()) = drain_while_the_key_is_put(&mut a, &b, &members, end).await;
        assert_eq!((drained.moved_objects, drained.lost_objects), (1, 0));
        assert_eq!(drained.left_objects, 0);
        let client = Client::new(members, ClientOptions::default());
        assert_eq!(client.get(b"key").await.unwrap(), None);
        assert!(client.get(b"other").await.unwrap().is_some());
    });
}

#[test]
fn what_is_put_anew_while_the_old_is_moved_stays() {
    runtime().block_on(async {
        let (mut a, b) = (start("a").await, start("b").await);
        let members = members(&[("a", &a), ("b", &b)]);
        // It is put after the removal, by who began before.
        let end = async |calls: &mut Calls, reserved: &_| commit(calls, reserved, 7).await;
        let (drained, committed) = drain_while_the_key_is_put(&mut a, &b, &members, end).await;
        assert_eq!(committed, Outcome::Done);
        assert_eq!((drained.moved_objects, drained.left_objects), (1, 0));
        assert!(b.store().exists(b"key"));
    });
}

/// Passes bytes on to a node, while it is not held.
async fn valve(node: &Node) -> (String, Arc<AtomicBool>) {
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let address = listener.local_addr().unwrap().to_string();
    let held = Arc::new(AtomicBool::new(false));
    let (target, is_held) = (node.address(), Arc::clone(&held));
    tokio::spawn(async move {
        loop {
            let (client, _) = listener.accept().await.unwrap();
            let node = TcpStream::connect(target).await.unwrap();
            let (from_client, mut to_client) = client.into_split();
            let (mut from_node, to_node) = node.into_split();
            tokio::spawn(async move { tokio::io::copy(&mut from_node, &mut to_client).await });
            tokio::spawn(pass(from_client, to_node, Arc::clone(&is_held)));
        }
    });
    (address, held)
}

async fn pass(mut from: OwnedReadHalf, mut to: OwnedWriteHalf, is_held: Arc<AtomicBool>) {
    let mut bytes = vec![0; 64 << 10];
    while let Ok(len @ 1..) = from.read(&mut bytes).await {
        while is_held.load(Ordering::Relaxed) {
            tokio::time::sleep(Duration::from_millis(1)).await;
        }
        if to.write_all(&bytes[..len]).await.is_err() {
            return;
        }
    }
}

#[test]
fn a_removal_that_overtakes_a_move_reaches_what_was_moved() {
    runtime().block_on(async {
        let (mut a, b) = (start("a").await, start("b").await);
        let (at_a, is_held) = valve(&a).await;
        let at_b = b.address().to_string();
        let list = vec![Member::new("a", at_a), Member::new("b", at_b)];
        let list = Members::fixed(list).unwrap();
        put_to(&a, b"key", &contents(b"key", 100)).await;
        let reserved = reserve(&mut calls(&b), b"key", 100, 20_000).await;
        let client = Client::new(list.clone(), ClientOptions::default());
        let drain = a.drain(DrainOptions::new(list));
        let remove = async {
            // The client learns that another owns the keys of a node that drains.
            for n in 0..20 {
                client
                    .put(key(n).as_bytes(), contents(b"", 10))
                    .await
                    .unwrap();
            }
            is_held.store(true, Ordering::Relaxed);
            let (asking, mut to_b) = (client.clone(), calls(&b));
            let removal = tokio::spawn(async move { asking.remove(b"key").await });
            // The owner has said that it has nothing, and is given it now.
            tokio::time::sleep(Duration::from_millis(100)).await;
            abort(&mut to_b, &reserved).await;
            [removal]
        };
        let (drained, [removal]) = tokio::join!(drain, remove);
        assert_eq!(drained.moved_objects, 1, "it was there until then");
        is_held.store(false, Ordering::Relaxed);
        assert!(removal.await.unwrap().unwrap());
        assert_eq!(client.get(b"key").await.unwrap(), None);
    });
}

#[test]
fn what_is_removed_while_it_is_promoted_is_nowhere() {
    runtime().block_on(async {
        let (a, b) = (start("a").await, start("b").await);
        let members = members(&[("a", &a), ("b", &b)]);
        let route = Route::new(members.now());
        let is_of_b = |key: &String| route.owners(key.as_bytes(), 1)[0].name == "b";
        let mut keys = (0..).map(key).filter(is_of_b);
        let (removed, kept) = (keys.next().unwrap(), keys.next().unwrap());
        for key in [&removed, &kept] {
            put_to(&a, key.as_bytes(), &contents(key.as_bytes(), 100)).await;
        }
        let slow = Slow {
            write: Duration::from_millis(300),
            ..Slow::default()
        };
        let client = Client::with_transport(members, ClientOptions::default(), slow);
        let found = client.get_prefix(&[&removed, &kept]).await.unwrap();
        assert_eq!(found.len(), 2, "where they were put");
        // Both are on their way to the owner.
        let mut to_b = calls(&b);
        soon("the puts", Duration::from_secs(5), async || {
            stats(&mut to_b).await.puts_in_flight == 2
        })
        .await;
        assert!(client.remove(removed.as_bytes()).await.unwrap());
        soon("the end of them", Duration::from_secs(5), async || {
            let stats = stats(&mut to_b).await;
            stats.puts_in_flight == 0 && client.counts().promoted == 1
        })
        .await;
        assert_eq!(client.get(removed.as_bytes()).await.unwrap(), None);
        assert_eq!(b.store().stats().objects, 1);
        assert!(b.store().exists(kept.as_bytes()));
    });
}

#[test]
fn a_second_drain_tells_what_became_of_all() {
    runtime().block_on(async {
        let (mut a, b) = (start("a").await, start("b").await);
        for n in 0..3 {
            put_to(&a, key(n).as_bytes(), &contents(key(n).as_bytes(), 100)).await;
        }
        let nobody = Members::fixed(vec![Member::new("a", "127.0.0.1:1")]).unwrap();
        let drained = a.drain(DrainOptions::new(nobody)).await;
        assert_eq!((drained.moved_objects, drained.left_objects), (0, 3));
        let both = members(&[("a", &a), ("b", &b)]);
        for _ in 0..2 {
            let drained = a.drain(DrainOptions::new(both.clone())).await;
            assert_eq!((drained.moved_objects, drained.moved_bytes), (3, 300));
            assert_eq!((drained.left_objects, drained.left_bytes), (0, 0));
        }
    });
}

async fn abort(calls: &mut Calls, reserved: &ReserveResponse) {
    let request = AbortRequest {
        puts: vec![reserved.items[0].put],
        life: reserved.life,
    };
    calls.abort(request).await.unwrap();
}

async fn start_with_one() -> Node {
    let node = start("a").await;
    put_to(&node, b"key", &contents(b"key", 100)).await;
    node
}

/// Puts an object to a node, whoever owns its key, with a checksum of its bytes.
async fn put_to(node: &Node, key: &[u8], bytes: &Bytes) {
    assert!((bytes.len() as u64) < NODE_BYTES);
    let members = Members::fixed(vec![Member::new("it", node.address().to_string())]).unwrap();
    let client = Client::new(members, ClientOptions::default());
    assert_eq!(client.put(key, bytes.clone()).await.unwrap(), 1);
}
