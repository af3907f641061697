//! What an exporter shows, and what becomes of it.
#![cfg(feature = "metrics")]
#![expect(clippy::unwrap_used, reason = "a failed set-up fails the test")]

use std::{collections::BTreeMap, thread, time::Duration};

use crate::common::{info, mount_sizes, pool};
use mc_segment::{
    MetricsPublisher, PlaceRequest, Segment, SegmentId, SegmentInfo, SegmentPool, Strategy,
};
use metrics_exporter_prometheus::{PrometheusBuilder, PrometheusHandle};
use metrics_util::MetricKindMask;

const FIRST: &str = r#"segment="00000000000000000000000000000001",name="segment-1""#;
const SECOND: &str = r#"segment="00000000000000000000000000000002",name="segment-1""#;

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

/// Returns a pool of two segments that share a name.
fn two_siblings() -> SegmentPool {
    let pool = pool(Strategy::Random, 0);
    mount_sizes(&pool, &[1000]);
    let sibling = SegmentInfo {
        name: "segment-1".to_owned(),
        ..info(2, 500)
    };
    pool.mount(Segment::remote(sibling)).unwrap();
    pool
}

#[test]
fn series_follow_the_pool_and_those_of_a_segment_that_left_become_zero() {
    let recorder = PrometheusBuilder::new().build_recorder();
    let exporter = recorder.handle();
    metrics::with_local_recorder(&recorder, || {
        let pool = two_siblings();
        let _held = pool.place_in(SegmentId(1), 300, 1).unwrap();
        assert!(pool.place(&PlaceRequest::new(701)).is_err());
        assert!(pool.place(&PlaceRequest::new(0)).is_err());
        let mut publisher = MetricsPublisher::new(pool.clone());
        publisher.publish();
        check(
            &exporter,
            &[
                (format!("mc_segment_capacity_bytes{{{FIRST}}}"), 1000.0),
                (format!("mc_segment_capacity_bytes{{{SECOND}}}"), 500.0),
                (format!("mc_segment_live_bytes{{{FIRST}}}"), 300.0),
                (format!("mc_segment_largest_hole_bytes{{{FIRST}}}"), 700.0),
                (
                    format!("mc_segment_refusals_total{{{FIRST},cause=\"full\"}}"),
                    1.0,
                ),
                (
                    r#"mc_pool_requests_total{outcome="invalid"}"#.to_owned(),
                    1.0,
                ),
                (
                    r#"mc_pool_requests_total{outcome="no_space"}"#.to_owned(),
                    1.0,
                ),
            ],
        );

        unmount(&pool, SegmentId(1));
        publisher.publish();
        check(
            &exporter,
            &[
                (format!("mc_segment_capacity_bytes{{{FIRST}}}"), 0.0),
                (format!("mc_segment_live_bytes{{{FIRST}}}"), 0.0),
                (format!("mc_segment_capacity_bytes{{{SECOND}}}"), 500.0),
            ],
        );
    });
}

#[test]
fn series_of_a_segment_that_left_are_gone_after_the_idle_timeout() {
    let idle = Duration::from_millis(20);
    let builder = PrometheusBuilder::new().idle_timeout(MetricKindMask::ALL, Some(idle));
    let recorder = builder.build_recorder();
    let exporter = recorder.handle();
    metrics::with_local_recorder(&recorder, || {
        let pool = two_siblings();
        let mut publisher = MetricsPublisher::new(pool.clone());
        publisher.publish();
        let before = series(&exporter);
        let of = |labels: &str| before.keys().filter(|name| name.contains(labels)).count();
        // Gauges of seven sums, counters of three causes, and of four outcomes.
        assert_eq!((of(FIRST), of(SECOND), before.len()), (10, 10, 24));

        unmount(&pool, SegmentId(1));
        publisher.publish();
        assert!(series(&exporter).keys().any(|name| name.contains(FIRST)));
        thread::sleep(2 * idle);
        // What has been touched since the last look is not idle, however slow
        // the machine is.
        publisher.publish();
        let after = series(&exporter);
        assert!(after.keys().all(|name| !name.contains(FIRST)), "{after:?}");
        let rest = before.keys().filter(|name| !name.contains(FIRST));
        assert!(rest.eq(after.keys()), "{after:?}");

        mount_sizes(&pool, &[1000]);
        publisher.publish();
        assert!(series(&exporter).keys().eq(before.keys()));
    });
}

fn unmount(pool: &SegmentPool, id: SegmentId) {
    pool.begin_unmount(id).unwrap();
    pool.finish_unmount(id).unwrap();
}

#[track_caller]
fn check(exporter: &PrometheusHandle, expected: &[(String, f64)]) {
    let shown = series(exporter);
    for (name, value) in expected {
        assert_eq!(shown.get(name), Some(value), "{name} in {shown:?}");
    }
}
