//! What is put is what is got, on one node and on several.

use crate::common::{
    calls, client, commit, contents, lookup, members, options, refusal, reserve, runtime,
    soon_told, start, stats, write_request,
};
use bytes::Bytes;
use futures_util::stream;
use mc_cluster::{
    Client, ClientError, ClientOptions, Node,
    wire::{
        AbortRequest, CommitRequest, LookupRequest, Outcome, ReadRequest, ReleaseRequest,
        RemoveRequest, WriteRequest, commit_request, remove_request::Mode,
    },
};
use tonic::Code;

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
        assert_eq!(outcome, Outcome::Impossible);
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
        let request = RemoveRequest {
            keys: vec![Bytes::from_static(b"key"), Bytes::from_static(b"none")],
            mode: Mode::IfIdle.into(),
        };
        let removed = calls.remove(request).await.unwrap().into_inner();
        let outcomes: Vec<_> = removed.outcomes().collect();
        assert_eq!(outcomes, [Outcome::Leased, Outcome::Unknown]);
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
fn lookups_of_all_keys_say_which_are_missing() {
    runtime().block_on(async {
        let mut options = options("a");
        options.limits.chunk_bytes_max = 64;
        let node = Node::start(options).await.unwrap();
        let client = client(&[("a", &node)]);
        for key in [b"a", b"c"] {
            client.put(key, contents(key, 150)).await.unwrap();
        }
        let mut calls = calls(&node);
        let mut request = LookupRequest {
            keys: [&b"a"[..], b"b", b"c"].map(Bytes::from_static).to_vec(),
            lease_ms: 0,
            all_keys: true,
        };
        let found = calls.lookup(request.clone()).await.unwrap().into_inner();
        assert_eq!((found.lease, found.granted_ms), (0, 0), "none asked for");
        request.lease_ms = 5000;
        let found = calls.lookup(request).await.unwrap().into_inner();
        let missing = found.objects.iter().map(|object| object.is_missing);
        assert_eq!(missing.collect::<Vec<_>>(), [false, true, false]);
        let mut request = ReadRequest {
            life: found.life,
            lease: found.lease,
            objects: Vec::new(),
        };
        let mut chunks = calls.read(request.clone()).await.unwrap().into_inner();
        let mut read = Vec::new();
        while let Some(chunk) = chunks.message().await.unwrap() {
            read.push((chunk.object, chunk.offset, chunk.bytes));
        }
        let expected = [(0, b"a"), (2, b"c")].map(|(object, key)| {
            let bytes = contents(key, 150);
            [0..64, 64..128, 128..150].map(|range| (object, range.start as u64, bytes.slice(range)))
        });
        assert_eq!(read, expected.as_flattened(), "in messages of 64 bytes");
        request.objects = vec![1];
        let mut chunks = calls.read(request).await.unwrap().into_inner();
        let refused = chunks.message().await.unwrap_err();
        assert_eq!(refused.code(), Code::InvalidArgument);
    });
}

#[test]
fn numbers_of_another_life_are_refused() {
    runtime().block_on(async {
        let node = start("a").await;
        let mut calls = calls(&node);
        let reserved = reserve(&mut calls, b"key", 100, 5000).await;
        let other = reserve(&mut calls, b"other", 100, 5000).await;
        commit(&mut calls, &other, 0).await;
        let lease = lookup(&mut calls, &[b"other"], 5000).await.lease;
        let (life, put) = (reserved.life ^ 1, reserved.items[0].put);
        let items = vec![commit_request::Item {
            put,
            checksum: None,
            ..Default::default()
        }];
        let write = WriteRequest {
            life,
            ..write_request(&reserved, 0, &contents(b"key", 100))
        };
        let (puts, leases) = (vec![put], vec![lease]);
        let read = ReadRequest {
            life,
            lease,
            objects: Vec::new(),
        };
        let refused = [
            refusal(calls.commit(CommitRequest { items, life }).await),
            refusal(calls.write(stream::iter([write])).await),
            refusal(calls.abort(AbortRequest { puts, life }).await),
            refusal(calls.read(read).await),
            refusal(calls.release(ReleaseRequest { leases, life }).await),
        ];
        assert_eq!(refused, [Some(Code::FailedPrecondition); 5]);
        assert_eq!(stats(&mut calls).await.leases, 1);
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
        soon_told(&mut calls, "the release", |stats| stats.leases == 0).await;
    });
}

#[test]
fn a_removal_that_a_host_refuses_is_no_answer_that_there_was_nothing() {
    runtime().block_on(async {
        let node = start("a").await;
        let client = client(&[("a", &node)]);
        client.put(b"key", Bytes::from_static(b"x")).await.unwrap();
        assert!(node.store().pin(b"key"));
        let refused = client.remove(b"key").await.unwrap_err();
        let outcome = Outcome::Pinned;
        assert!(
            matches!(refused, ClientError::Refused { outcome: why } if why == outcome),
            "{refused}"
        );
        assert!(node.store().unpin(b"key"));
        assert!(client.remove(b"key").await.unwrap());
        assert!(!client.remove(b"key").await.unwrap());
    });
}

#[test]
fn all_leases_of_many_batches_are_given_back() {
    runtime().block_on(async {
        let mut limited = options("a");
        limited.limits.batch_max = 2;
        let node = Node::start(limited).await.unwrap();
        let mut batches = ClientOptions::default();
        batches.batch = 2;
        let client = Client::new(members(&[("a", &node)]), batches);
        let keys: Vec<_> = (0..10).map(|n| format!("key {n}")).collect();
        let objects = keys
            .iter()
            .map(|key| (key.clone().into(), contents(b"", 10)));
        client.put_many(objects.collect()).await;
        assert_eq!(client.get_prefix(&keys).await.unwrap().len(), 10);
        let mut calls = calls(&node);
        soon_told(&mut calls, "the release", |stats| stats.leases == 0).await;
    });
}
