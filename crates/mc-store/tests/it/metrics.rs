//! The counters of a store, as an exporter shows them.

#![cfg(feature = "metrics")]
#![expect(clippy::unwrap_used, reason = "a failed set-up fails the test")]

use std::collections::BTreeMap;

use crate::common::{mount_sizes, pool};
use mc_segment::Strategy;
use mc_store::{ObjectStore, PutRequest, StoreMetrics, StoreOptions};
use metrics_exporter_prometheus::{PrometheusBuilder, PrometheusHandle};

/// Returns what is shown, by name and labels.
fn series(exporter: &PrometheusHandle) -> BTreeMap<String, f64> {
    let page = exporter.render();
    let lines = page.lines().filter(|line| !line.is_empty());
    let samples = lines.filter(|line| !line.starts_with('#'));
    let parsed = samples.map(|line| {
        let (name, value) = line.rsplit_once(' ').unwrap();
        (name.to_owned(), value.parse().unwrap())
    });
    parsed.collect()
}

#[test]
fn series_follow_a_store() {
    let recorder = PrometheusBuilder::new().build_recorder();
    let exporter = recorder.handle();
    metrics::with_local_recorder(&recorder, || {
        let pool = pool(Strategy::Random, 0);
        mount_sizes(&pool, &[100]);
        let store = ObjectStore::new(pool, StoreOptions::default()).unwrap();
        for key in [b"a", b"b"] {
            store
                .put(key, &PutRequest::new(60))
                .unwrap()
                .commit()
                .unwrap();
        }
        assert!(store.put(b"b", &PutRequest::new(1)).is_err());
        assert!(store.get(b"a").is_none() && store.get(b"b").is_some());
        StoreMetrics::default().publish(&store);
    });
    let expected = [
        ("mc_store_objects", 1.0),
        ("mc_store_live_bytes", 60.0),
        ("mc_store_hits_total", 1.0),
        ("mc_store_misses_total", 1.0),
        (r#"mc_store_refusals_total{cause="key_taken"}"#, 1.0),
        (r#"mc_store_evictions_total{cause="on_demand"}"#, 1.0),
        (r#"mc_store_evicted_bytes_total{cause="on_demand"}"#, 60.0),
        (r#"mc_store_evicted_bytes_total{cause="watermark"}"#, 0.0),
    ];
    check(
        &exporter,
        &expected.map(|(name, value)| (name.to_owned(), value)),
    );
}

#[track_caller]
fn check(exporter: &PrometheusHandle, expected: &[(String, f64)]) {
    let shown = series(exporter);
    for (name, value) in expected {
        assert_eq!(shown.get(name), Some(value), "{name} in {shown:?}");
    }
}
