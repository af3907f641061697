//! Pools of remote segments on ten hosts, as the published benchmark makes them.

use mc_segment::{
    Fit, PlaceRequest, ReplicaPolicy, Replicas, Segment, SegmentId, SegmentInfo, SegmentOptions,
    SegmentPool, SegmentPoolOptions,
};

use super::Entry;

/// First address of the first segment.
const BASE: u64 = 1 << 32;

/// Hosts of a cluster, if it has as many segments.
const HOSTS: usize = 10;

/// A pool, and what was mounted in it.
pub(super) struct Cluster {
    pub(super) pool: SegmentPool,
    /// Bytes of each segment, in the order of the ids.
    pub(super) capacities: Vec<u64>,
    hosts: Vec<String>,
    segment_bytes: u64,
    fit: Fit,
}

impl Cluster {
    pub(super) fn new(segments: usize, bytes: u64, entry: &Entry, seed: u64) -> Self {
        let mut cluster = Self {
            pool: SegmentPool::new(SegmentPoolOptions {
                strategy: entry.strategy,
                seed,
            }),
            capacities: Vec::new(),
            hosts: Vec::new(),
            segment_bytes: bytes,
            fit: entry.fit,
        };
        let per_host = segments.div_ceil(HOSTS).max(1);
        for index in 0..segments {
            let host = format!("node_{}", index / per_host);
            let name = format!("{host}_seg_{}", index % per_host);
            cluster.mount(name, host, bytes);
        }
        cluster
    }

    /// Adds half as many empty segments again, each on a host of its own.
    pub(super) fn grow(&mut self) {
        for index in 0..(self.capacities.len() / 2).max(1) {
            let host = format!("new_node_{index}");
            self.mount(host.clone(), host, self.segment_bytes);
        }
    }

    fn mount(&mut self, name: String, host: String, size: u64) {
        let index = self.capacities.len() as u64;
        let info = SegmentInfo {
            host: host.clone(),
            options: SegmentOptions {
                fit: self.fit,
                ..SegmentOptions::default()
            },
            ..SegmentInfo::new(
                SegmentId(index.into()),
                name,
                BASE + index * 2 * self.segment_bytes,
                size,
            )
        };
        let mounted = self.pool.mount(Segment::remote(info));
        mounted.expect("the ranges of a cluster are disjoint");
        self.capacities.push(size);
        if self.hosts.last() != Some(&host) {
            self.hosts.push(host);
        }
    }

    pub(super) fn capacity(&self) -> u64 {
        self.capacities.iter().sum()
    }

    /// Returns whether a segment has a hole of a size that a put may not be refused for: with the
    /// published fit, which does not find every hole, there is none.
    pub(super) fn has_room(&self, size: u64) -> bool {
        let stats = self.pool.stats();
        let mut segments = stats.segments.iter();
        self.fit != Fit::BinCeil && segments.any(|segment| segment.space.largest_hole >= size)
    }

    /// Returns the request of a put: the hosts write in turn, and as many replicas as there is room
    /// for are a success.
    pub(super) fn request(&self, size: u64, replicas: u32, put: u64) -> PlaceRequest<'_> {
        let writer = put % self.hosts.len() as u64;
        PlaceRequest {
            replicas: Replicas {
                count: replicas,
                policy: ReplicaPolicy::BestEffort,
            },
            host: &self.hosts[usize::try_from(writer).expect("below the number of hosts")],
            // Any number that has nothing to do with the host.
            key_hash: Some(put.wrapping_mul(0x9E37_79B9_7F4A_7C15) >> 32),
            ..PlaceRequest::new(size)
        }
    }
}
