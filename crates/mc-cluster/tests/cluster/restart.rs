//! What is there after a restart: with a file all of it, without one nothing.

use std::{
    fs,
    net::SocketAddr,
    time::{Duration, Instant},
};

use crate::common::{
    calls, client, contents, lookup, options, page, reserve, runtime, start, stats, write_request,
};
use futures_util::{StreamExt, stream};
use mc_cluster::{
    Node, NodeOptions,
    wire::{Outcome, ReadRequest},
};
use tokio::{
    io::{AsyncReadExt, AsyncWriteExt},
    net::TcpStream,
};
use tonic::Code;

const KEYS: u32 = 50;

async fn put_and_restart(options: NodeOptions) -> Node {
    let node = Node::start(options.clone()).await.unwrap();
    let client = client(&[("a", &node)]);
    for key in 0..KEYS {
        let key = key.to_le_bytes();
        client.put(&key, contents(&key, 3000)).await.unwrap();
    }
    let before = stats(&mut calls(&node)).await;
    node.stop().await;
    let again = Node::start(options).await.unwrap();
    let after = stats(&mut calls(&again)).await;
    assert_ne!(after.life, before.life);
    match again.store().stats().objects {
        0 => assert!(after.epoch > before.epoch, "other bytes, a later epoch"),
        _ => assert_eq!(after.epoch, before.epoch, "the same bytes, the same epoch"),
    }
    again
}

#[test]
fn objects_in_a_file_are_served_again() {
    let directory = tempfile::tempdir().unwrap();
    runtime().block_on(async {
        let mut options = options("a");
        options.memory.file = Some(directory.path().join("memory"));
        let node = put_and_restart(options).await;
        let client = client(&[("a", &node)]);
        for key in 0..KEYS {
            let key = key.to_le_bytes();
            let got = client.get(&key).await.unwrap();
            assert_eq!(got, Some(contents(&key, 3000)));
        }
        assert_eq!(client.counts().corrupt, 0);
    });
}

#[test]
fn without_a_file_there_is_none_of_the_old_ones() {
    runtime().block_on(async {
        let node = put_and_restart(options("a")).await;
        let mut calls = calls(&node);
        let key = 0_u32.to_le_bytes();
        assert!(lookup(&mut calls, &[&key], 100).await.objects.is_empty());
        let reserved = reserve(&mut calls, &key, 3000, 100).await;
        assert_eq!(reserved.items[0].outcome(), Outcome::Done);
    });
}

#[test]
fn clients_that_stall_keep_no_memory_of_a_node_that_has_stopped() {
    runtime().block_on(async {
        let directory = tempfile::tempdir().unwrap();
        let mut options = options("a");
        options.memory.file = Some(directory.path().join("pool"));
        options.http = Some(SocketAddr::from(([127, 0, 0, 1], 0)));
        let node = Node::start(options.clone()).await.unwrap();
        let bytes = contents(b"key", 6 << 20);
        let putting = client(&[("a", &node)]);
        putting.put(b"key", bytes.clone()).await.unwrap();
        // One reads the first message of many.
        let mut calls = calls(&node);
        let found = lookup(&mut calls, &[b"key"], 60_000).await;
        let request = ReadRequest {
            life: found.life,
            lease: found.lease,
            objects: Vec::new(),
        };
        let mut read = calls.read(request).await.unwrap().into_inner();
        assert!(read.message().await.unwrap().is_some());
        // One writes no more, and one has asked for half a page.
        let reserved = reserve(&mut calls, b"other", 100, 60_000).await;
        let first = write_request(&reserved, 0, &bytes.slice(..10));
        let mut writing = calls.clone();
        let stalled = stream::iter([first]).chain(stream::pending());
        let written = tokio::spawn(async move { writing.write(stalled).await });
        let http = node.http_address().unwrap();
        let mut page = TcpStream::connect(http).await.unwrap();
        page.write_all(b"GET /metrics HTTP/1.1\r\nHost: x\r\n\r\nGET")
            .await
            .unwrap();
        assert!(page.read(&mut [0; 1000]).await.unwrap() > 0);
        let start = Instant::now();
        node.stop().await;
        assert!(start.elapsed() < Duration::from_secs(7));
        let again = Node::start(options).await.unwrap();
        let serving = client(&[("a", &again)]);
        assert_eq!(serving.get(b"key").await.unwrap(), Some(bytes));
        let end = loop {
            match read.message().await {
                Ok(Some(_)) => {}
                end => break end.map(|_| ()),
            }
        };
        assert_eq!(end.unwrap_err().code(), Code::Unavailable);
        written.abort();
    });
}

#[test]
fn a_node_that_cannot_write_its_journal_takes_no_puts_and_is_read_on() {
    runtime().block_on(async {
        let directory = tempfile::tempdir().unwrap();
        let mut options = options("a");
        options.memory.file = Some(directory.path().join("memory"));
        options.http = Some(SocketAddr::from(([127, 0, 0, 1], 0)));
        let (a, b) = (Node::start(options).await.unwrap(), start("b").await);
        let client = client(&[("a", &a), ("b", &b)]);
        // Long keys, so that the journal soon needs another file.
        let keys: Vec<_> = (0..600).map(|n| format!("{n:04000}")).collect();
        let object = |key: &String| (key.clone().into(), contents(key.as_bytes(), 100));
        let (before, after) = keys.split_at(20);
        for copies in client.put_many(before.iter().map(object).collect()).await {
            assert_eq!(copies.unwrap(), 1);
        }
        fs::remove_dir_all(directory.path().join("memory.journal")).unwrap();
        // Those that find out as well.
        for copies in client.put_many(after.iter().map(object).collect()).await {
            assert_eq!(copies.unwrap(), 1);
        }
        assert!(!a.takes_puts());
        let told = stats(&mut calls(&a)).await;
        assert!(!told.takes_puts);
        let found = lookup(&mut calls(&a), &[b"key"], 0).await;
        assert_eq!(found.settled_ms, Some(0), "others have its keys");
        let health = page(a.http_address().unwrap(), "/healthz").await;
        assert!(health.starts_with("HTTP/1.1 503"), "{health}");
        let figures = page(a.http_address().unwrap(), "/metrics").await;
        assert!(figures.contains("mc_cluster_takes_puts 0"), "{figures}");
        // Also by a client that knows nothing of it.
        let fresh = crate::common::client(&[("a", &a), ("b", &b)]);
        let expected: Vec<_> = keys.iter().map(|key| object(key).1).collect();
        assert_eq!(fresh.get_prefix(&keys).await.unwrap(), expected);
    });
}
