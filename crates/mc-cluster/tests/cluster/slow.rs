//! Over a slow link, what has come or gone counts, whatever becomes of the rest.

use std::{
    sync::{Arc, Mutex},
    time::Duration,
};

use bytes::Bytes;
use mc_cluster::{
    Client, ClientOptions, Node,
    client::{Calls, Incoming, Outgoing, Space, Streams, Transport},
};
use tokio::time::sleep;
use tonic::Status;

use crate::common::{contents, members, options, runtime};

const OBJECT_BYTES: usize = 1 << 20;

/// Moves bytes as nodes do, each object in a time of its own; writes none of the
/// first calls.
#[derive(Clone, Default)]
struct Link {
    object_time: Duration,
    /// Objects of each write that was begun.
    writes: Arc<Mutex<Vec<usize>>>,
    writes_fail: usize,
}

impl Transport for Link {
    async fn write(
        &self,
        calls: Calls,
        space: &Space,
        objects: Vec<Outgoing>,
    ) -> Result<(), Status> {
        let writes = {
            let mut writes = self.writes.lock().unwrap();
            writes.push(objects.len());
            writes.len()
        };
        if writes <= self.writes_fail {
            return Err(Status::unavailable("the link is down"));
        }
        Streams.write(calls, space, objects).await
    }

    async fn read(
        &self,
        calls: Calls,
        space: &Space,
        lease: u64,
        objects: Vec<Incoming>,
    ) -> Result<Vec<Bytes>, Status> {
        sleep(self.object_time * u32::try_from(objects.len()).unwrap()).await;
        Streams.read(calls, space, lease, objects).await
    }
}

async fn large_node() -> Node {
    let mut options = options("a");
    options.memory.bytes = 80 << 20;
    Node::start(options).await.unwrap()
}

fn objects(count: usize) -> Vec<(Bytes, Bytes)> {
    let bytes = contents(b"all", OBJECT_BYTES);
    let object = |n| (format!("key {n}").into(), bytes.clone());
    (0..count).map(object).collect()
}

#[test]
fn objects_that_take_longer_than_a_lease_are_read_under_several() {
    runtime().block_on(async {
        let node = large_node().await;
        let objects = objects(60);
        crate::common::client(&[("a", &node)])
            .put_many(objects.clone())
            .await;
        let link = Link {
            object_time: Duration::from_millis(35),
            ..Link::default()
        };
        let mut options = ClientOptions::default();
        options.lease = Duration::from_millis(1500);
        let client = Client::with_transport(members(&[("a", &node)]), options, link);
        let keys: Vec<_> = objects.iter().map(|(key, _)| key).collect();
        let read = client.get_prefix(&keys).await.unwrap();
        assert_eq!(read.len(), objects.len());
        assert!(read.iter().all(|bytes| *bytes == objects[0].1));
    });
}

#[test]
fn objects_are_put_with_calls_that_are_not_large() {
    runtime().block_on(async {
        let node = large_node().await;
        let link = Link::default();
        let members = members(&[("a", &node)]);
        let client = Client::with_transport(members, ClientOptions::default(), link.clone());
        for copies in client.put_many(objects(40)).await {
            assert_eq!(copies.unwrap(), 1);
        }
        assert_eq!(*link.writes.lock().unwrap(), [16, 16, 8]);
    });
}

#[test]
fn a_host_whose_link_is_down_is_tried_once_in_each_round() {
    runtime().block_on(async {
        let node = large_node().await;
        let link = Link {
            writes_fail: 1,
            ..Link::default()
        };
        let members = members(&[("a", &node)]);
        let client = Client::with_transport(members, ClientOptions::default(), link.clone());
        for copies in client.put_many(objects(40)).await {
            assert_eq!(copies.unwrap(), 1);
        }
        assert_eq!(*link.writes.lock().unwrap(), [16, 16, 16, 8]);
    });
}
