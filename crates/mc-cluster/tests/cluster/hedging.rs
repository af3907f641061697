//! A replica that is slow or frozen costs no more than the delay of the hedge.

use std::{
    sync::{
        Arc,
        atomic::{AtomicBool, Ordering},
    },
    time::{Duration, Instant},
};

use bytes::Bytes;
use mc_cluster::{Client, ClientOptions, Member, Members, Node, Token, client::Route};
use tokio::{
    io::copy_bidirectional,
    net::{TcpListener, TcpStream},
};

use crate::common::{Slow, calls, contents, members, runtime, soon, start, stats};

/// Passes bytes on to a node, unless it is frozen: then it accepts and says
/// nothing, as a process that was stopped.
async fn gate(node: &Node) -> (String, Arc<AtomicBool>) {
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let address = listener.local_addr().unwrap().to_string();
    let is_frozen = Arc::new(AtomicBool::new(false));
    let (target, frozen) = (node.address(), Arc::clone(&is_frozen));
    tokio::spawn(async move {
        loop {
            let (mut client, _) = listener.accept().await.unwrap();
            let mut node = TcpStream::connect(target).await.unwrap();
            let frozen = Arc::clone(&frozen);
            tokio::spawn(async move {
                let passing = copy_bidirectional(&mut client, &mut node);
                let freeze = async {
                    while !frozen.load(Ordering::Relaxed) {
                        tokio::time::sleep(Duration::from_millis(2)).await;
                    }
                };
                tokio::select! {
                    _ = passing => {}
                    () = freeze => std::future::pending().await,
                }
            });
        }
    });
    (address, is_frozen)
}

/// Two nodes, each behind a gate.
struct Two {
    nodes: [Node; 2],
    frozen: [Arc<AtomicBool>; 2],
    members: Members,
}

async fn two() -> Two {
    let (a, b) = (start("a").await, start("b").await);
    let ((at_a, a_frozen), (at_b, b_frozen)) = (gate(&a).await, gate(&b).await);
    let members = vec![Member::new("a", at_a), Member::new("b", at_b)];
    Two {
        nodes: [a, b],
        frozen: [a_frozen, b_frozen],
        members: Members::fixed(members).unwrap(),
    }
}

impl Two {
    fn client(&self, hedge: Option<Duration>) -> Client {
        Client::new(self.members.clone(), options(hedge))
    }

    /// Returns which of the nodes is asked first for a key.
    fn first(&self, key: &str) -> usize {
        let route = Route::new(self.members.now());
        usize::from(route.owners(key.as_bytes(), 1)[0].name == "b")
    }
}

fn options(hedge: Option<Duration>) -> ClientOptions {
    let mut options = ClientOptions::default();
    options.replicas = 2;
    options.hedge = hedge;
    options
}

const DELAY: Duration = Duration::from_millis(40);

fn keys() -> Vec<String> {
    (0..40).map(|n| format!("key {n}")).collect()
}

fn object(key: &str) -> (Bytes, Bytes) {
    (key.to_owned().into(), contents(key.as_bytes(), 3000))
}

#[test]
fn a_frozen_replica_costs_the_delay_and_is_left_alone_later() {
    runtime().block_on(async {
        let two = two().await;
        let client = two.client(Some(DELAY));
        let (keys, objects): (Vec<_>, Vec<_>) = keys()
            .into_iter()
            .map(|key| (key.clone(), object(&key)))
            .unzip();
        let put = client.put_many(objects.clone()).await;
        assert!(put.into_iter().all(|copies| copies.unwrap() == 2));
        let expected: Vec<_> = objects.into_iter().map(|(_, bytes)| bytes).collect();
        assert_eq!(client.get_prefix(&keys).await.unwrap(), expected);
        two.frozen[0].store(true, Ordering::Relaxed);
        tokio::time::sleep(Duration::from_millis(20)).await;
        let start = Instant::now();
        assert_eq!(client.get_prefix(&keys).await.unwrap(), expected);
        let time = start.elapsed();
        assert!((DELAY..Duration::from_secs(1)).contains(&time), "{time:?}");
        let counts = client.counts();
        assert!(counts.hedged >= 1 && counts.hedges_won >= 1, "{counts:?}");
        assert_eq!((counts.hits, counts.misses, counts.corrupt), (80, 0, 0));
        // What nobody waits for any more is still noted: then nothing is hedged.
        soon("its silence is noted", Duration::from_secs(5), async || {
            client.counts().unanswered > 0
        })
        .await;
        let hedged = client.counts().hedged;
        assert_eq!(client.get_prefix(&keys).await.unwrap(), expected);
        assert_eq!(client.counts().hedged, hedged);
    });
}

#[test]
fn nothing_is_hedged_unless_asked_for_or_late() {
    runtime().block_on(async {
        let two = two().await;
        let late = Some(Duration::from_secs(20));
        for hedge in [None, late] {
            let client = two.client(hedge);
            let objects: Vec<_> = keys().iter().map(|key| object(key)).collect();
            client.put_many(objects).await;
            assert_eq!(client.get_prefix(&keys()).await.unwrap().len(), 40);
            assert_eq!(client.get(b"nothing").await.unwrap(), None);
            let counts = client.counts();
            assert_eq!((counts.hedged, counts.hedges_won), (0, 0));
        }
        // Without it, a frozen one costs the time of a call.
        two.frozen[two.first("key 1")].store(true, Ordering::Relaxed);
        tokio::time::sleep(Duration::from_millis(20)).await;
        let start = Instant::now();
        let read = two.client(None).get(b"key 1").await.unwrap();
        assert_eq!(read, Some(object("key 1").1));
        assert!(start.elapsed() >= Duration::from_secs(1));
    });
}

#[test]
fn a_slow_replica_that_alone_has_an_object_is_waited_for() {
    runtime().block_on(async {
        let two = two().await;
        let client = two.client(Some(Duration::from_millis(1)));
        let key = "key 7";
        let first = two.first(key);
        // Only the first owner has it; the other is asked and lacks it.
        let alone = Member::new("it", two.nodes[first].address().to_string());
        let alone = Members::fixed(vec![alone]).unwrap();
        let put = Client::new(alone, ClientOptions::default());
        put.put(key.as_bytes(), object(key).1).await.unwrap();
        for _ in 0..20 {
            let read = client.get(key.as_bytes()).await.unwrap();
            assert_eq!(read, Some(object(key).1));
            assert_eq!(client.get(b"nothing").await.unwrap(), None);
        }
    });
}

#[test]
fn bytes_that_do_not_come_are_read_from_another_replica() {
    runtime().block_on(async {
        let two = two().await;
        let epoch = stats(&mut calls(&two.nodes[0])).await.epoch;
        let time = Duration::from_secs(60);
        let transport = Slow {
            read_of: Some((epoch, time)),
            ..Slow::default()
        };
        let client = Client::with_transport(two.members.clone(), options(Some(DELAY)), transport);
        let objects: Vec<_> = keys().iter().map(|key| object(key)).collect();
        let put = client.put_many(objects.clone()).await;
        assert!(put.into_iter().all(|copies| copies.unwrap() == 2));
        let start = Instant::now();
        let read = client.get_prefix(&keys()).await.unwrap();
        let time = start.elapsed();
        let expected: Vec<_> = objects.into_iter().map(|(_, bytes)| bytes).collect();
        assert_eq!(read, expected);
        assert!(time < Duration::from_secs(1), "{time:?}");
        assert!(client.counts().hedges_won >= 1);
        soon(
            "leases are given back",
            Duration::from_secs(5),
            async || {
                let [a, b] = &two.nodes;
                stats(&mut calls(a)).await.leases + stats(&mut calls(b)).await.leases == 0
            },
        )
        .await;
    });
}

#[test]
fn a_replica_that_refuses_does_not_undo_what_the_other_has() {
    runtime().block_on(async {
        let a = start("a").await;
        let mut closed = crate::common::options("b");
        closed.token = Some(Token::new("another").unwrap());
        let b = Node::start(closed).await.unwrap();
        let members = members(&[("a", &a), ("b", &b)]);
        let route = Route::new(members.now());
        let is_first = |key: &String| route.owners(key.as_bytes(), 1)[0].name == "a";
        let key = keys().into_iter().find(is_first).unwrap();
        let alone = crate::common::client(&[("a", &a)]);
        alone.put(key.as_bytes(), object(&key).1).await.unwrap();
        // The refusal is there long before the bytes.
        let epoch = stats(&mut calls(&a)).await.epoch;
        let time = DELAY * 5;
        let transport = Slow {
            read_of: Some((epoch, time)),
            ..Slow::default()
        };
        let client = Client::with_transport(members.clone(), options(Some(DELAY)), transport);
        let read = client.get(key.as_bytes()).await.unwrap();
        assert_eq!(read, Some(object(&key).1));
        let counts = client.counts();
        assert_eq!((counts.hedged, counts.hedges_won), (1, 0));
        // Nor before them, when both are asked where it is.
        let client = Client::new(members, options(Some(Duration::ZERO)));
        for _ in 0..100 {
            let read = client.get(key.as_bytes()).await.unwrap();
            assert_eq!(read, Some(object(&key).1));
        }
    });
}
