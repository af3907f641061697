//! Where requests go, and when they are refused.
#![expect(clippy::unwrap_used, reason = "a failed set-up fails the test")]

use std::collections::BTreeMap;

use crate::common::{info, mount_sizes, pool};
use mc_segment::{
    Fit, PlaceRequest, PlacedBuffer, PlacementError, ReplicaPolicy, Replicas, Segment, SegmentId,
    SegmentInfo, SegmentPool, Strategy,
};

fn ids(buffers: &[PlacedBuffer]) -> Vec<u128> {
    buffers.iter().map(|buffer| buffer.segment_id().0).collect()
}

/// Places single buffers and counts them by segment.
fn spread(pool: &SegmentPool, request: &PlaceRequest<'_>, count: usize) -> BTreeMap<u128, usize> {
    let mut counts = BTreeMap::new();
    let held: Vec<_> = (0..count)
        .flat_map(|_| pool.place(request).unwrap())
        .collect();
    for buffer in &held {
        *counts.entry(buffer.segment_id().0).or_default() += 1;
    }
    counts
}

fn free_bytes(pool: &SegmentPool) -> u64 {
    pool.stats().total.free_bytes
}

#[test]
fn requests_that_make_no_sense_are_refused_with_the_value() {
    let pool = pool(Strategy::Random, 0);
    mount_sizes(&pool, &[1000]);
    let refused = |request: PlaceRequest<'_>| pool.place(&request).unwrap_err();
    let sane = PlaceRequest::new(10);
    assert_eq!(refused(PlaceRequest::new(0)), PlacementError::ZeroSize);
    let odd = PlaceRequest { align: 3, ..sane };
    assert_eq!(
        refused(odd),
        PlacementError::AlignNotPowerOfTwo { align: 3 }
    );
    let no_extents = PlaceRequest {
        max_extents: 0,
        ..sane
    };
    assert_eq!(refused(no_extents), PlacementError::ZeroExtents);
    let with = |count, policy| PlaceRequest {
        replicas: Replicas { count, policy },
        ..sane
    };
    assert_eq!(
        refused(with(0, ReplicaPolicy::Exact)),
        PlacementError::ZeroReplicas
    );
    assert_eq!(
        refused(with(0, ReplicaPolicy::BestEffort)),
        PlacementError::ZeroReplicas
    );
    assert_eq!(
        refused(with(2, ReplicaPolicy::AtLeast(0))),
        PlacementError::ZeroReplicas
    );
    assert_eq!(
        refused(with(2, ReplicaPolicy::AtLeast(3))),
        PlacementError::LeastAboveCount { least: 3, count: 2 }
    );
    assert_eq!(
        refused(with(2, ReplicaPolicy::Exact)),
        PlacementError::TooFewNames {
            asked: 10,
            required: 2,
            names: 1
        }
    );
    assert_eq!(
        refused(PlaceRequest::new(1001)),
        PlacementError::NoSegment {
            asked: 1001,
            align: 1,
            segments: 1,
            largest_bytes: 1000
        }
    );
    let excluded = [SegmentId(1)];
    assert!(matches!(
        refused(PlaceRequest {
            excluded: &excluded,
            preferred: &excluded,
            ..sane
        }),
        PlacementError::NoSegment { segments: 0, .. }
    ));
}

#[test]
fn the_policy_tells_when_fewer_replicas_are_a_success() {
    for strategy in Strategy::ALL {
        let pool = pool(strategy, 1);
        mount_sizes(&pool, &[100, 1000, 1000, 100]);
        let with = |policy| PlaceRequest {
            replicas: Replicas { count: 4, policy },
            ..PlaceRequest::new(500)
        };
        let exact = pool.place(&with(ReplicaPolicy::Exact)).unwrap_err();
        assert_eq!(
            exact,
            PlacementError::TooFewNames {
                asked: 500,
                required: 4,
                names: 2
            }
        );
        assert!(pool.place(&with(ReplicaPolicy::AtLeast(3))).is_err());
        assert_eq!(
            free_bytes(&pool),
            2200,
            "{strategy}: nothing is left allocated"
        );

        for policy in [ReplicaPolicy::AtLeast(2), ReplicaPolicy::BestEffort] {
            let mut placed = ids(&pool.place(&with(policy)).unwrap());
            placed.sort_unstable();
            assert_eq!(placed, [2, 3], "{strategy}");
        }
        let _first = pool.place_in(SegmentId(2), 600, 1).unwrap();
        assert_eq!(
            pool.place(&with(ReplicaPolicy::AtLeast(2))).unwrap_err(),
            PlacementError::NoSpace {
                asked: 500,
                required: 2,
                placed: 1,
                segments: 2,
                free_bytes: 900,
                largest_hole: 500
            }
        );
        let _second = pool.place_in(SegmentId(3), 600, 1).unwrap();
        assert!(matches!(
            pool.place(&with(ReplicaPolicy::BestEffort)),
            Err(PlacementError::NoSpace {
                placed: 0,
                required: 1,
                ..
            })
        ));
    }
}

#[test]
fn replicas_are_under_distinct_names() {
    for strategy in Strategy::ALL {
        let pool = pool(strategy, 5);
        for id in 1..=6 {
            let name = format!("name-{}", id % 3);
            let host = format!("host-{}", id % 2);
            let info = SegmentInfo {
                name,
                host,
                ..info(id, 1000)
            };
            pool.mount(Segment::remote(info)).unwrap();
        }
        for key_hash in 0..50 {
            let request = PlaceRequest {
                replicas: Replicas {
                    count: 5,
                    policy: ReplicaPolicy::BestEffort,
                },
                host: "host-1",
                key_hash: Some(key_hash),
                ..PlaceRequest::new(10)
            };
            let buffers = pool.place(&request).unwrap();
            let mut names: Vec<_> = buffers
                .iter()
                .map(|one| one.segment().name.as_str())
                .collect();
            names.sort_unstable();
            assert_eq!(names, ["name-0", "name-1", "name-2"], "{strategy}");
        }
    }
}

#[test]
fn excluded_beats_preferred_and_preferred_beats_the_strategy() {
    for strategy in Strategy::ALL {
        let pool = pool(strategy, 2);
        mount_sizes(&pool, &[1000; 5]);
        let (preferred, excluded) = ([SegmentId(9), SegmentId(2), SegmentId(4)], [SegmentId(2)]);
        for _ in 0..20 {
            let request = PlaceRequest {
                preferred: &preferred,
                ..PlaceRequest::new(10)
            };
            assert_eq!(ids(&pool.place(&request).unwrap()), [2], "{strategy}");
            let request = PlaceRequest {
                excluded: &excluded,
                ..request
            };
            assert_eq!(ids(&pool.place(&request).unwrap()), [4], "{strategy}");
            let request = PlaceRequest {
                replicas: Replicas::exact(4),
                ..request
            };
            let mut placed = ids(&pool.place(&request).unwrap());
            assert_eq!(placed[0], 4, "{strategy}");
            placed.sort_unstable();
            assert_eq!(placed, [1, 3, 4, 5], "{strategy}");
        }
    }
}

#[test]
fn siblings_with_one_name_are_all_used() {
    for strategy in Strategy::ALL {
        let pool = pool(strategy, 3);
        for id in 1..=4 {
            let info = SegmentInfo {
                name: "one".to_owned(),
                host: "host".to_owned(),
                ..info(id, 1000)
            };
            pool.mount(Segment::remote(info)).unwrap();
        }
        let request = PlaceRequest {
            host: "host",
            ..PlaceRequest::new(1000)
        };
        assert_eq!(spread(&pool, &request, 4).len(), 4, "{strategy}");
        assert_eq!(pool.segments().len(), 4);
    }
}

#[test]
fn a_lone_segment_with_room_is_found_among_many_full_ones() {
    for strategy in Strategy::ALL {
        let pool = pool(strategy, 4);
        mount_sizes(&pool, &[64; 300]);
        let mut held: Vec<_> = (0..300)
            .map(|_| pool.place(&PlaceRequest::new(64)).unwrap().remove(0))
            .collect();
        assert!(pool.place(&PlaceRequest::new(1)).is_err(), "{strategy}");
        for room in [0, 150, 299] {
            let freed = held.swap_remove(room);
            let id = freed.segment_id();
            drop(freed);
            let found = pool.place(&PlaceRequest::new(64)).unwrap().remove(0);
            assert_eq!(found.segment_id(), id, "{strategy}");
            held.push(found);
        }
    }
}

#[test]
fn random_choices_are_even_and_weighted_ones_as_the_capacities() {
    let even = pool(Strategy::Random, 6);
    mount_sizes(&even, &[1 << 20; 10]);
    for (id, count) in spread(&even, &PlaceRequest::new(1), 10_000) {
        assert!((800..1200).contains(&count), "{id}: {count}");
    }
    let weighted = pool(Strategy::CapacityWeighted, 6);
    mount_sizes(&weighted, &[1 << 20, 3 << 20]);
    let counts = spread(&weighted, &PlaceRequest::new(1), 10_000);
    assert!((2200..2800).contains(&counts[&1]), "{counts:?}");
}

#[test]
fn equal_seeds_and_calls_give_equal_places() {
    for strategy in Strategy::ALL {
        let run = |seed| {
            let pool = pool(strategy, seed);
            mount_sizes(&pool, &[1 << 20; 20]);
            let requests = (1..200).map(PlaceRequest::new);
            let buffers: Vec<_> = requests.flat_map(|one| pool.place(&one).unwrap()).collect();
            ids(&buffers)
        };
        assert_eq!(run(1), run(1), "{strategy}");
        assert_ne!(run(1), run(2), "{strategy}");
    }
}

#[test]
fn a_fresh_segment_is_given_no_more_than_twice_its_share() {
    for strategy in [Strategy::FreeRatioFirst, Strategy::CapacityWeighted] {
        for count in [3, 10, 40] {
            let pool = pool(strategy, 8);
            mount_sizes(&pool, &vec![1 << 20; count]);
            let _fill: Vec<_> = pool
                .segments()
                .iter()
                .map(|segment| pool.place_in(segment.id, 1 << 19, 1).unwrap())
                .collect();
            pool.mount(Segment::remote(info(1000, 1 << 20))).unwrap();
            let counts = spread(&pool, &PlaceRequest::new(1), 20_000);
            let share = 20_000 / (count + 1);
            let fresh = counts[&1000];
            assert!(
                fresh < share * 22 / 10,
                "{strategy} of {count}: {fresh}, share {share}"
            );
            assert!(
                fresh > share * 14 / 10,
                "{strategy} of {count}: {fresh}, share {share}"
            );
        }
    }
}

#[test]
fn a_fresh_segment_that_has_caught_up_is_like_the_others() {
    let pool = pool(Strategy::FreeRatioFirst, 9);
    mount_sizes(&pool, &[100_000; 9]);
    let mut held: Vec<_> = pool
        .segments()
        .iter()
        .map(|segment| pool.place_in(segment.id, 30_000, 1).unwrap())
        .collect();
    pool.mount(Segment::remote(info(1000, 100_000))).unwrap();
    let mut place = |count: usize| {
        held.extend((0..count).flat_map(|_| pool.place(&PlaceRequest::new(10)).unwrap()));
    };
    // The fresh segment gains on the others by as much again as they are given.
    place(60_000);
    let free: Vec<_> = pool
        .stats()
        .segments
        .iter()
        .map(|one| one.space.free_bytes)
        .collect();
    let (least, most) = (free.iter().min().unwrap(), free.iter().max().unwrap());
    assert!(most - least < 1000, "{free:?}");
}

#[test]
fn the_tightest_hole_is_kept_for_what_fits_it() {
    let pool = pool(Strategy::BestHole, 10);
    mount_sizes(&pool, &[5000, 300, 1000]);
    assert_eq!(ids(&pool.place(&PlaceRequest::new(200)).unwrap()), [2]);
    let _held = pool.place(&PlaceRequest::new(200)).unwrap();
    assert_eq!(ids(&pool.place(&PlaceRequest::new(200)).unwrap()), [3]);
    assert_eq!(ids(&pool.place(&PlaceRequest::new(1001)).unwrap()), [1]);
}

#[test]
fn local_first_follows_the_ring_of_hosts() {
    let pool = pool(Strategy::LocalFirst, 11);
    // Two names on each of the hosts b, d and f, and one without a host.
    for (id, host) in (1..).zip(["b", "b", "d", "d", "f", "f", ""]) {
        let host = host.to_owned();
        pool.mount(Segment::remote(SegmentInfo {
            host,
            ..info(id, 100)
        }))
        .unwrap();
    }
    let first = |host, key_hash| {
        let request = PlaceRequest {
            host,
            key_hash: Some(key_hash),
            ..PlaceRequest::new(100)
        };
        ids(&pool.place(&request).unwrap())[0]
    };
    // The own host, or the next greater one, or the first after the last.
    for (host, names) in [
        ("b", [1, 2]),
        ("a", [1, 2]),
        ("c", [3, 4]),
        ("f", [5, 6]),
        ("g", [1, 2]),
    ] {
        assert_eq!([first(host, 0), first(host, 1)], names, "{host}");
        assert_eq!(first(host, 2), names[0], "{host}");
    }
    // Replicas begin at hosts of their own.
    let replicas = |count| PlaceRequest {
        host: "d",
        replicas: Replicas::exact(count),
        ..PlaceRequest::new(100)
    };
    assert_eq!(ids(&pool.place(&replicas(3)).unwrap()), [3, 5, 1]);
    assert_eq!(ids(&pool.place(&replicas(7)).unwrap()).len(), 7);
    // Full hosts are passed over in the order of the ring, those without come last.
    let request = PlaceRequest {
        host: "d",
        ..PlaceRequest::new(100)
    };
    let held: Vec<_> = (0..7)
        .map(|_| pool.place(&request).unwrap().remove(0))
        .collect();
    assert_eq!(ids(&held), [3, 4, 5, 6, 1, 2, 7]);
}

#[test]
fn aligned_requests_pass_over_segments_whose_base_is_not() {
    for strategy in Strategy::ALL {
        let pool = pool(strategy, 12);
        for (id, base) in [(1, 0x10_0200), (2, 0x20_1000), (3, 0x30_0040)] {
            let info = SegmentInfo {
                base,
                ..info(id, 1 << 16)
            };
            pool.mount(Segment::remote(info)).unwrap();
        }
        for _ in 0..15 {
            let request = PlaceRequest {
                align: 4096,
                ..PlaceRequest::new(100)
            };
            let buffer = pool.place(&request).unwrap().remove(0);
            assert_eq!(buffer.segment_id().0, 2, "{strategy}");
            assert_eq!(buffer.address() % 4096, 0, "{strategy}");
        }
        let request = PlaceRequest {
            align: 1 << 20,
            ..PlaceRequest::new(100)
        };
        assert!(matches!(
            pool.place(&request),
            Err(PlacementError::NoSegment {
                align: 1_048_576,
                segments: 3,
                ..
            })
        ));
    }
}

#[test]
fn what_a_published_fit_finds_no_place_for_in_an_empty_segment_is_not_worth_evicting() {
    for fit in [Fit::BinCeil, Fit::BinExact] {
        // Bins of so many bytes are 960 and 1024.
        let pool = pool(Strategy::Random, 0);
        let mut one = info(1, 1000);
        one.options.fit = fit;
        let base = one.base;
        pool.mount(Segment::remote(one)).unwrap();
        let refused = |request: PlaceRequest<'_>| pool.place(&request).map(drop).unwrap_err();
        for size in [961, 1000] {
            let refusal = refused(PlaceRequest::new(size));
            let is_told = matches!(refusal, PlacementError::NoSegment { segments: 1, .. });
            assert!(is_told, "{fit:?}, {size} bytes: {refusal}");
        }
        let in_pieces = PlaceRequest {
            max_extents: 2,
            ..PlaceRequest::new(970)
        };
        // Around what is in the middle, there would be room for two.
        let _held = pool.place_at(SegmentId(1), base + 512, 1).unwrap();
        assert_eq!(pool.place(&in_pieces).unwrap()[0].extents().len(), 2);
        let _all = pool.place(&PlaceRequest::new(480)).unwrap();
        for request in [in_pieces, PlaceRequest::new(960)] {
            let is_told = matches!(refused(request), PlacementError::NoSpace { .. });
            assert!(is_told, "{fit:?}: {request:?}");
        }
    }
}
