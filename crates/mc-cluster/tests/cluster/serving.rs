//! What is put is what is got, on one node and on several.

use std::time::Duration;

use crate::common::{calls, client, commit, contents, lookup, members, reserve, runtime, start};
use bytes::Bytes;
use mc_cluster::{
    Client, ClientError, ClientOptions,
    wire::{CommitRequest, Outcome, ReadRequest, ReleaseRequest, commit_request},
};

#[test]
fn objects_of_all_sizes_come_back_as_they_were() {
    runtime().block_on(async {
        let node = start("a").await;
        let client = client(&[("a", &node)]);
        for size in [1, 63, 64, 65, 4096, 1 << 20, (1 << 20) + 1, 3_274_752] {
            let key = format!("object of {size}");
            let bytes = contents(key.as_bytes(), size);
            let copies = client.put(key.as_bytes(), bytes.clone()).await.unwrap();
            assert_eq!(copies, 1);
            assert_eq!(client.get(key.as_bytes()).await.unwrap(), Some(bytes));
        }
        assert_eq!(client.get(b"nothing").await.unwrap(), None);
        let counts = client.counts();
        assert_eq!((counts.hits, counts.misses, counts.corrupt), (8, 1, 0));
        node.stop().await;
    });
}

#[test]
fn a_prompt_is_read_up_to_its_first_gap_over_all_hosts() {
    runtime().block_on(async {
        let (a, b, c) = (start("a").await, start("b").await, start("c").await);
        let nodes = [("a", &a), ("b", &b), ("c", &c)];
        let client = client(&nodes);
        let keys: Vec<_> = (0..1000).map(|n| format!("block {n}")).collect();
        let object = |key: &String| {
            let bytes = contents(key.as_bytes(), 100 + key.len());
            (Bytes::from(key.clone()), bytes)
        };
        let put = client.put_many(keys.iter().map(object).collect()).await;
        assert!(put.into_iter().all(|copies| copies.unwrap() == 1));
        for node in [&a, &b, &c] {
            let objects = node.store().stats().objects;
            assert!((200..500).contains(&objects), "{objects} on one of three");
        }
        let all = client.get_prefix(&keys).await.unwrap();
        let expected: Vec<_> = keys.iter().map(|key| object(key).1).collect();
        assert_eq!(all, expected);
        assert!(client.remove(b"block 613").await.unwrap());
        assert!(!client.remove(b"block 613").await.unwrap());
        let some = client.get_prefix(&keys).await.unwrap();
        assert_eq!(some, expected[..613]);
        assert_eq!(client.get_prefix::<&[u8]>(&[]).await.unwrap().len(), 0);
    });
}

#[test]
fn a_key_that_is_stored_is_put_already() {
    runtime().block_on(async {
        let node = start("a").await;
        let client = client(&[("a", &node)]);
        for _ in 0..2 {
            let put = client.put(b"key", Bytes::from_static(b"bytes")).await;
            assert_eq!(put.unwrap(), 1);
        }
        assert_eq!(node.store().stats().committed, 1);
        let too_large = Bytes::from(vec![0; 9 << 20]);
        let refused = client.put(b"large", too_large).await.unwrap_err();
        let ClientError::Refused { outcome } = refused else {
            panic!("{refused}");
        };
        assert!(
            matches!(outcome, Outcome::NoRoom | Outcome::Impossible),
            "{outcome:?}"
        );
    });
}

#[test]
fn replicas_are_on_as_many_hosts_and_one_suffices() {
    runtime().block_on(async {
        let (a, b, c) = (start("a").await, start("b").await, start("c").await);
        let mut options = ClientOptions::default();
        options.replicas = 2;
        let client = Client::new(members(&[("a", &a), ("b", &b), ("c", &c)]), options);
        let mut copies = 0;
        for n in 0..60 {
            let key = format!("key {n}");
            let bytes = contents(key.as_bytes(), 1000);
            copies += client.put(key.as_bytes(), bytes).await.unwrap();
        }
        assert_eq!(copies, 120);
        let objects = [&a, &b, &c].map(|node| node.store().stats().objects);
        assert_eq!(objects.iter().sum::<u64>(), 120);
        b.stop().await;
        for n in 0..60 {
            let key = format!("key {n}");
            let bytes = client.get(key.as_bytes()).await.unwrap();
            assert_eq!(bytes, Some(contents(key.as_bytes(), 1000)), "{key}");
        }
    });
}

#[test]
fn a_leased_object_stays_until_it_is_released_whatever_others_do() {
    runtime().block_on(async {
        let node = start("a").await;
        let mut calls = calls(&node);
        let reserved = reserve(&mut calls, b"key", 100, 5000).await;
        assert_eq!(commit(&mut calls, &reserved, 7).await, Outcome::Done);
        let first = lookup(&mut calls, &[b"key"], 5000).await;
        let second = lookup(&mut calls, &[b"key", b"none", b"key"], 5000).await;
        assert_eq!(second.objects.len(), 1);
        assert_eq!(second.objects[0].checksum, Some(7));
        assert_eq!(second.epoch, reserved.epoch);
        assert_eq!(second.objects[0].extents, reserved.items[0].extents);
        let removed = client(&[("a", &node)]).remove(b"key").await.unwrap();
        assert!(removed);
        let read = async |lease: u64| {
            let request = ReadRequest {
                life: reserved.life,
                lease,
                objects: vec![0],
            };
            let mut calls = calls.clone();
            let mut stream = calls.read(request).await?.into_inner();
            Ok::<_, tonic::Status>(stream.message().await?.unwrap().bytes.len())
        };
        assert_eq!(read(first.lease).await.unwrap(), 100);
        let request = ReleaseRequest {
            leases: vec![first.lease, 999],
            life: reserved.life,
        };
        let released = calls.clone().release(request).await.unwrap().into_inner();
        let outcomes: Vec<_> = released.outcomes().collect();
        assert_eq!(outcomes, [Outcome::Done, Outcome::Unknown]);
        assert!(read(first.lease).await.is_err());
        assert_eq!(
            read(second.lease).await.unwrap(),
            100,
            "its own lease holds"
        );
    });
}

#[test]
fn numbers_of_another_life_are_refused() {
    runtime().block_on(async {
        let node = start("a").await;
        let mut calls = calls(&node);
        let reserved = reserve(&mut calls, b"key", 100, 5000).await;
        let item = commit_request::Item {
            put: reserved.items[0].put,
            checksum: None,
        };
        let request = CommitRequest {
            items: vec![item],
            life: reserved.life ^ 1,
        };
        let refused = calls.commit(request).await.unwrap_err();
        assert_eq!(refused.code(), tonic::Code::FailedPrecondition);
        assert_eq!(commit(&mut calls, &reserved, 0).await, Outcome::Done);
    });
}

#[test]
fn a_client_gives_its_leases_back() {
    runtime().block_on(async {
        let node = start("a").await;
        let client = client(&[("a", &node)]);
        client.put(b"key", Bytes::from_static(b"x")).await.unwrap();
        client.get(b"key").await.unwrap().unwrap();
        let mut calls = calls(&node);
        crate::common::soon("the release", Duration::from_secs(3), async || {
            crate::common::stats(&mut calls).await.leases == 0
        })
        .await;
    });
}
