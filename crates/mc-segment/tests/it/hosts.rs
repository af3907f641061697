//! Replicas on distinct hosts as long as there are any, then under distinct
//! names, under every strategy, at once or one after the other.
#![expect(clippy::unwrap_used, reason = "a failed set-up fails the test")]

use std::collections::BTreeSet;

use crate::common::{info, pool};
use mc_segment::{
    PlaceRequest, PlacedBuffer, PlacementError, Replicas, Segment, SegmentId, SegmentInfo,
    SegmentPool, Strategy,
};

/// Mounts segments of 1 MiB with these hosts and names, with ids from 1 on.
fn mounted(strategy: Strategy, seed: u64, segments: &[(&str, &str)]) -> SegmentPool {
    let pool = pool(strategy, seed);
    for (id, (host, name)) in (1..).zip(segments) {
        let info = SegmentInfo {
            host: (*host).to_owned(),
            name: (*name).to_owned(),
            ..info(id, 1 << 20)
        };
        pool.mount(Segment::remote(info)).unwrap();
    }
    pool
}

fn hosts(buffers: &[PlacedBuffer]) -> BTreeSet<&str> {
    buffers
        .iter()
        .map(|buffer| &*buffer.segment().host)
        .collect()
}

fn names(buffers: &[PlacedBuffer]) -> BTreeSet<&str> {
    buffers
        .iter()
        .map(|buffer| &*buffer.segment().name)
        .collect()
}

const SIX: [(&str, &str); 6] = [
    ("a", "1"),
    ("a", "2"),
    ("b", "3"),
    ("b", "4"),
    ("c", "5"),
    ("c", "6"),
];

/// Calls `check` for every strategy and several requests of `count` replicas.
fn each(count: u32, mut check: impl FnMut(Strategy, u64, PlaceRequest<'static>)) {
    for strategy in Strategy::ALL {
        for key in 0..200 {
            let request = PlaceRequest {
                replicas: Replicas::exact(count),
                host: if key % 2 == 0 { "b" } else { "" },
                key_hash: Some(key),
                ..PlaceRequest::new(1000)
            };
            check(strategy, key, request);
        }
    }
}

#[test]
fn two_or_three_replicas_are_on_as_many_of_three_hosts() {
    for count in [2, 3] {
        each(count, |strategy, key, request| {
            let pool = mounted(strategy, key, &SIX);
            let buffers = pool.place(&request).unwrap();
            assert_eq!(hosts(&buffers).len(), count as usize, "{strategy}");
        });
    }
}

#[test]
fn more_replicas_than_hosts_are_on_all_hosts_and_under_distinct_names() {
    each(5, |strategy, key, request| {
        let pool = mounted(strategy, key, &SIX);
        let buffers = pool.place(&request).unwrap();
        assert_eq!(hosts(&buffers).len(), 3, "{strategy}");
        assert_eq!(names(&buffers).len(), 5, "{strategy}");
    });
}

#[test]
fn a_host_without_room_gives_way_to_another_segment_of_one_that_has_a_replica() {
    each(2, |strategy, key, request| {
        let pool = mounted(strategy, key, &SIX[..4]);
        let _full: Vec<_> = [1, 2]
            .map(|id| pool.place_in(SegmentId(id), 1 << 20, 1).unwrap())
            .into();
        let buffers = pool.place(&request).unwrap();
        assert_eq!(hosts(&buffers), BTreeSet::from(["b"]), "{strategy}");
        assert_eq!(names(&buffers).len(), 2);
    });
}

#[test]
fn an_unknown_host_counts_as_one_of_its_own() {
    let segments = [("a", "1"), ("a", "2"), ("", "3"), ("", "4")];
    each(3, |strategy, key, request| {
        let pool = mounted(strategy, key, &segments);
        let buffers = pool.place(&request).unwrap();
        let on_a = buffers.iter().filter(|buffer| buffer.segment().host == "a");
        assert_eq!(on_a.count(), 1, "{strategy}");
    });
}

#[test]
fn a_replica_that_comes_later_is_apart_from_those_before() {
    each(1, |strategy, key, request| {
        let pool = mounted(strategy, key, &SIX);
        let mut held: Vec<PlacedBuffer> = Vec::new();
        for count in 1..=6 {
            let beside: Vec<&PlacedBuffer> = held.iter().collect();
            let request = PlaceRequest {
                beside: &beside,
                ..request
            };
            let placed = pool.place(&request).unwrap();
            held.extend(placed);
            assert_eq!(hosts(&held).len(), count.min(3), "{strategy}");
            assert_eq!(names(&held).len(), count);
        }
        let beside: Vec<&PlacedBuffer> = held.iter().collect();
        let refusal = pool
            .place(&PlaceRequest {
                beside: &beside,
                ..request
            })
            .unwrap_err();
        let none_left = PlacementError::TooFewNames {
            asked: 1000,
            required: 1,
            names: 0,
        };
        assert_eq!(refusal, none_left);
    });
}

#[test]
fn replicas_in_segments_that_are_closed_keep_their_hosts_and_names() {
    each(1, |strategy, key, request| {
        let pool = mounted(strategy, key, &SIX);
        let held = pool.place_in(SegmentId(1), 10, 1).unwrap();
        pool.drain(SegmentId(1)).unwrap();
        let request = PlaceRequest {
            beside: &[&held],
            ..request
        };
        assert_ne!(
            pool.place(&request).unwrap()[0].segment().host,
            "a",
            "{strategy}"
        );
        pool.begin_unmount(SegmentId(1)).unwrap();
        pool.finish_unmount(SegmentId(1)).unwrap();
        assert_ne!(
            pool.place(&request).unwrap()[0].segment().host,
            "a",
            "{strategy}"
        );
    });
}

#[test]
fn preferred_segments_are_not_preferred_to_another_host() {
    each(2, |strategy, key, request| {
        let pool = mounted(strategy, key, &SIX);
        let preferred = [SegmentId(1), SegmentId(2)];
        let request = PlaceRequest {
            preferred: &preferred,
            ..request
        };
        let buffers = pool.place(&request).unwrap();
        assert_eq!(buffers[0].segment_id(), SegmentId(1), "{strategy}");
        assert_ne!(buffers[1].segment().host, "a");
    });
}
