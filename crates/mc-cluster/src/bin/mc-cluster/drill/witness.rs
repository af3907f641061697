//! What a drill has seen, and whether it is what was promised.

use std::{
    collections::{BTreeMap, BTreeSet},
    error::Error,
    time::Instant,
};

use bytes::Bytes;
use mc_cluster::{
    client::Calls,
    wire::{Extent, LookupRequest, ReadRequest, ReleaseRequest},
};
use tonic::Status;

use super::{
    attempt::contents,
    processes::{Cluster, NODE_OF_FILE, NODES},
};
use crate::common::console::tell;

#[derive(Debug, Default)]
pub(super) struct Witness {
    /// Objects that were acknowledged, with their sizes and the nodes that have
    /// them.
    objects: BTreeMap<String, (usize, BTreeSet<usize>)>,
    /// Ranges that a writer or a reader has, and until when.
    ranges: Vec<Range>,
    pub(super) wrong_bytes: u64,
    given_twice: u64,
    lost_with_their_host: u64,
    lost: u64,
    leaked: u64,
    pub(super) accepted_late: u64,
    right: u64,
}

#[derive(Debug)]
struct Range {
    node: usize,
    epoch: u64,
    extent: Extent,
    until: Instant,
}

impl Witness {
    /// Takes note of ranges that are somebody's until a moment; none of them may
    /// be another's.
    pub(super) fn give(&mut self, node: usize, epoch: u64, extents: &[Extent], until: Instant) {
        let now = Instant::now();
        self.ranges.retain(|range| now < range.until);
        for extent in extents {
            let overlaps = |range: &&Range| {
                let other = &range.extent;
                (range.node, range.epoch) == (node, epoch)
                    && extent.address < other.address + other.bytes
                    && other.address < extent.address + extent.bytes
            };
            self.given_twice += self.ranges.iter().filter(overlaps).count() as u64;
            self.ranges.push(Range {
                node,
                epoch,
                extent: *extent,
                until,
            });
        }
    }

    /// Takes note that ranges are nobody's any more.
    pub(super) fn take_back(&mut self, node: usize, extents: &[Extent]) {
        self.ranges
            .retain(|range| range.node != node || !extents.contains(&range.extent));
    }

    /// Takes note of an object that was put, and of who has it.
    pub(super) async fn put(&mut self, cluster: &Cluster, key: &str, size: usize) {
        let mut nodes = BTreeSet::new();
        for node in 0..NODES {
            if let Ok(Some(_)) = read(cluster.calls(node), key).await {
                nodes.insert(node);
            }
        }
        if !nodes.is_empty() {
            self.objects.insert(key.to_owned(), (size, nodes));
        }
    }

    pub(super) fn removed(&mut self, key: &str) {
        self.objects.remove(key);
    }

    pub(super) fn objects(&self) -> usize {
        self.objects.len()
    }

    /// Returns some key that was put, by a number.
    pub(super) fn some_key(&self, number: usize) -> Option<String> {
        let len = self.objects.len().max(1);
        self.objects.keys().nth(number % len).cloned()
    }

    pub(super) fn check_bytes(&mut self, key: &str, bytes: &Bytes) {
        let size = self.objects.get(key).map_or(bytes.len(), |(size, _)| *size);
        match *bytes == contents(key.as_bytes(), size) {
            true => self.right += 1,
            false => self.wrong_bytes += 1,
        }
    }

    /// Takes note that a node was killed: what was in memory of its own is gone,
    /// and its readers have to come again.
    pub(super) fn killed(&mut self, node: usize) {
        if node == NODE_OF_FILE {
            return;
        }
        for (_, nodes) in self.objects.values_mut() {
            nodes.remove(&node);
        }
        let before = self.objects.len();
        self.objects.retain(|_, (_, nodes)| !nodes.is_empty());
        self.lost_with_their_host += (before - self.objects.len()) as u64;
    }

    /// Reads every object from each node that has to have it.
    pub(super) async fn look_at_all(&mut self, cluster: &Cluster) -> Result<(), Box<dyn Error>> {
        let mut lost = Vec::new();
        let all: Vec<_> = self
            .objects
            .iter()
            .map(|(key, (_, nodes))| (key.clone(), nodes.clone()))
            .collect();
        for (key, nodes) in all {
            for node in nodes {
                match read(cluster.calls(node), &key).await? {
                    Some(bytes) => self.check_bytes(&key, &bytes),
                    None => lost.push(key.clone()),
                }
            }
        }
        for key in lost {
            self.lost += 1;
            self.objects.remove(&key);
        }
        Ok(())
    }

    pub(super) async fn look_for_leaks(&mut self, cluster: &Cluster) -> Result<(), Box<dyn Error>> {
        for node in 0..NODES {
            let stats = cluster.stats(node).await?;
            self.leaked += stats.puts_in_flight + stats.lingering + stats.leases;
        }
        Ok(())
    }

    pub(super) fn report(&self, kills: u32) -> Result<(), Box<dyn Error>> {
        for (what, count) in [
            ("kills and freezes", u64::from(kills)),
            ("objects read and right", self.right),
            (
                "objects lost with the memory of their host",
                self.lost_with_their_host,
            ),
            ("objects lost otherwise", self.lost),
            ("objects with wrong bytes", self.wrong_bytes),
            ("ranges given twice", self.given_twice),
            (
                "puts taken after the membership was over",
                self.accepted_late,
            ),
            (
                "puts, leases and ranges left past the deadline",
                self.leaked,
            ),
        ] {
            tell(&format!("{count:>7}  {what}"))?;
        }
        let broken =
            self.lost + self.wrong_bytes + self.given_twice + self.accepted_late + self.leaked;
        match (broken, self.right) {
            (0, 1..) => Ok(()),
            (0, 0) => Err("nothing was read".into()),
            _ => Err("a promise was broken".into()),
        }
    }
}

/// Reads an object from one node.
async fn read(mut calls: Calls, key: &str) -> Result<Option<Bytes>, Status> {
    let request = LookupRequest {
        keys: vec![Bytes::copy_from_slice(key.as_bytes())],
        // Given back at once; a machine that is busy may need some of it.
        lease_ms: 10_000,
        all_keys: false,
    };
    let found = calls.lookup(request).await?.into_inner();
    if found.objects.is_empty() {
        return Ok(None);
    }
    let request = ReadRequest {
        life: found.life,
        lease: found.lease,
        objects: Vec::new(),
    };
    let mut chunks = calls.read(request).await?.into_inner();
    let mut bytes = Vec::new();
    while let Some(chunk) = chunks.message().await? {
        bytes.extend_from_slice(&chunk.bytes);
    }
    let request = ReleaseRequest {
        leases: vec![found.lease],
        life: found.life,
    };
    calls.release(request).await?;
    Ok(Some(bytes.into()))
}
