//! What is published to a recorder, and what becomes of it.
#![cfg(feature = "metrics")]

mod common;

use std::collections::BTreeMap;

use common::{info, mount_sizes, pool};
use mc_segment::{MetricsPublisher, Request, Segment, SegmentId, SegmentInfo, Strategy};
use metrics_util::debugging::{DebugValue, DebuggingRecorder, Snapshotter};

/// Returns the series by name and labels, in text.
fn series(snapshotter: &Snapshotter) -> BTreeMap<String, f64> {
    let entries = snapshotter.snapshot().into_vec().into_iter();
    let text = entries.map(|(key, _, _, value)| {
        let key = key.key();
        let labels: Vec<_> = key.labels().map(|label| label.value()).collect();
        let value = match value {
            DebugValue::Gauge(gauge) => gauge.into_inner(),
            DebugValue::Counter(count) => count as f64,
            DebugValue::Histogram(_) => panic!("no histogram is published"),
        };
        (format!("{} {}", key.name(), labels.join(" ")), value)
    });
    text.collect()
}

#[test]
fn series_follow_the_pool_and_those_of_a_segment_that_left_end_at_zero() {
    let recorder = DebuggingRecorder::new();
    let snapshotter = recorder.snapshotter();
    metrics::with_local_recorder(&recorder, || {
        let pool = pool(Strategy::Random, 0);
        mount_sizes(&pool, &[1000]);
        let sibling = SegmentInfo {
            name: "segment-1".to_owned(),
            ..info(2, 500)
        };
        pool.mount(Segment::remote(sibling)).unwrap();
        let _held = pool.place_in(SegmentId(1), 300, 1).unwrap();
        assert!(pool.place(&Request::new(701)).is_err());
        assert!(pool.place(&Request::new(0)).is_err());
        let mut publisher = MetricsPublisher::new(pool.clone());
        publisher.publish();

        let first = "00000000000000000000000000000001 segment-1";
        let second = "00000000000000000000000000000002 segment-1";
        let published = series(&snapshotter);
        let value = |name: &str| published[name];
        assert_eq!(value(&format!("mc_segment_capacity_bytes {first}")), 1000.0);
        assert_eq!(value(&format!("mc_segment_capacity_bytes {second}")), 500.0);
        assert_eq!(value(&format!("mc_segment_live_bytes {first}")), 300.0);
        assert_eq!(
            value(&format!("mc_segment_largest_hole_bytes {first}")),
            700.0
        );
        assert_eq!(
            value(&format!("mc_segment_refusals_total {first} full")),
            1.0
        );
        assert_eq!(value("mc_pool_requests_total invalid"), 1.0);
        assert_eq!(value("mc_pool_requests_total no_space"), 1.0);

        pool.begin_unmount(SegmentId(1)).unwrap();
        pool.finish_unmount(SegmentId(1)).unwrap();
        publisher.publish();
        let published = series(&snapshotter);
        assert_eq!(
            published[&format!("mc_segment_capacity_bytes {first}")],
            0.0
        );
        assert_eq!(published[&format!("mc_segment_live_bytes {first}")], 0.0);
        assert_eq!(
            published[&format!("mc_segment_capacity_bytes {second}")],
            500.0
        );
    });
}

#[test]
fn series_follow_a_store() {
    use mc_segment::{ObjectStore, StoreOptions};
    let recorder = DebuggingRecorder::new();
    let snapshotter = recorder.snapshotter();
    metrics::with_local_recorder(&recorder, || {
        let pool = pool(Strategy::Random, 0);
        mount_sizes(&pool, &[100]);
        let store = ObjectStore::new(pool, StoreOptions::default()).unwrap();
        for key in [b"a", b"b"] {
            store.put(key, &Request::new(60)).unwrap().commit();
        }
        assert!(store.put(b"b", &Request::new(1)).is_err());
        assert!(store.get(b"a").is_none() && store.get(b"b").is_some());
        store.publish_metrics();
    });
    let published = series(&snapshotter);
    let expected = [
        ("mc_store_objects ", 1.0),
        ("mc_store_live_bytes ", 60.0),
        ("mc_store_hits_total ", 1.0),
        ("mc_store_misses_total ", 1.0),
        ("mc_store_refusals_total key_taken", 1.0),
        ("mc_store_evictions_total on_demand", 1.0),
        ("mc_store_evicted_bytes_total on_demand", 60.0),
        ("mc_store_evicted_bytes_total watermark", 0.0),
    ];
    for (name, value) in expected {
        assert_eq!(published.get(name), Some(&value), "{name}");
    }
}
