//! What is there after a restart: with a file all of it, without one nothing.

use crate::common::{calls, client, contents, lookup, options, reserve, runtime, stats};
use mc_cluster::{Node, NodeOptions, wire::Outcome};

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
