//! The sums of a pool for the facade of the crate `metrics`.

use std::{collections::BTreeMap, sync::Arc};

use metrics::{counter, gauge};

use crate::{
    id::SegmentId,
    pool::SegmentPool,
    stats::{PoolStats, SegmentStats, SpaceStats},
};

/// Publishes a pool to whatever recorder of the crate `metrics` is installed.
///
/// | series | labels | |
/// |---|---|---|
/// | `mc_segment_capacity_bytes`, `_live_bytes`, `_free_bytes`, `_largest_hole_bytes`, `_rounding_bytes`, `_allocations` | `segment`, `name` | gauges, as in [`SpaceStats`] |
/// | `mc_segment_fragmentation_ratio` | `segment`, `name` | gauge from 0 to 1 |
/// | `mc_segment_refusals_total` | `segment`, `name`, `cause` | counter: `full`, `fragmented`, `tables` |
/// | `mc_pool_requests_total` | `outcome` | counter: `partial`, `invalid`, `impossible`, `no_space` |
///
/// Segments with one name have series of their own, as the id is a label. The
/// series of a store are published by the crate `mc-store`.
///
/// # Segments that leave
///
/// The facade has no call that removes a series. Those of a segment are touched
/// while it is mounted, and its gauges become zero once when it is gone; then
/// they are idle, and exporters drop what is idle if they are told to. Publish
/// more often than their timeout, as it applies to all series:
///
/// ```
/// use std::time::Duration;
///
/// use mc_segment::{MetricsPublisher, SegmentPoolOptions, SegmentPool};
/// use metrics_exporter_prometheus::PrometheusBuilder;
/// use metrics_util::MetricKindMask;
///
/// let exporter = PrometheusBuilder::new()
///     .idle_timeout(MetricKindMask::ALL, Some(Duration::from_secs(60)))
///     .install_recorder()?;
/// let mut publisher = MetricsPublisher::new(SegmentPool::new(SegmentPoolOptions::default()));
/// // Every few seconds, as often as the page is read:
/// publisher.publish();
/// assert!(exporter.render().contains("mc_pool_requests_total"));
/// # Ok::<(), Box<dyn std::error::Error>>(())
/// ```
///
/// The timeout counts from the time when the exporter first saw the last value.
#[derive(Debug)]
pub struct MetricsPublisher {
    pool: SegmentPool,
    /// The segments of the last time, and their names.
    published: BTreeMap<SegmentId, Arc<str>>,
}

impl MetricsPublisher {
    /// Makes a publisher that has published nothing.
    #[must_use]
    pub fn new(pool: SegmentPool) -> Self {
        Self {
            pool,
            published: BTreeMap::new(),
        }
    }

    /// Publishes the sums of this moment; those of segments that have gone
    /// since the last time become zero.
    ///
    /// Takes the locks of the segments in turn, as [`SegmentPool::stats`].
    pub fn publish(&mut self) {
        let stats = self.pool.stats();
        let present = stats.segments.iter();
        let present = present.map(|segment| (segment.id, Arc::clone(&segment.name)));
        let gone = std::mem::replace(&mut self.published, present.collect());
        for (id, name) in &gone {
            if !self.published.contains_key(id) {
                publish_space(*id, name, &SpaceStats::default());
            }
        }
        stats.segments.iter().for_each(publish_segment);
        publish_requests(&stats);
    }
}

fn publish_segment(segment: &SegmentStats) {
    publish_space(segment.id, &segment.name, &segment.space);
    let causes = [
        ("full", segment.refusals.full),
        ("fragmented", segment.refusals.fragmented),
        ("tables", segment.refusals.tables),
    ];
    for (cause, count) in causes {
        let (id, name) = (segment.id.to_string(), segment.name.to_string());
        counter!("mc_segment_refusals_total", "segment" => id, "name" => name, "cause" => cause)
            .absolute(count);
    }
}

fn publish_space(id: SegmentId, name: &str, space: &SpaceStats) {
    let set = |series: &'static str, value: f64| {
        let (id, name) = (id.to_string(), name.to_owned());
        gauge!(series, "segment" => id, "name" => name).set(value);
    };
    set("mc_segment_capacity_bytes", space.capacity as f64);
    set("mc_segment_live_bytes", space.live_bytes as f64);
    set("mc_segment_free_bytes", space.free_bytes as f64);
    set("mc_segment_largest_hole_bytes", space.largest_hole as f64);
    set("mc_segment_rounding_bytes", space.rounding_bytes as f64);
    set("mc_segment_allocations", space.allocations as f64);
    set("mc_segment_fragmentation_ratio", space.fragmentation());
}

fn publish_requests(stats: &PoolStats) {
    let outcomes = [
        ("partial", stats.requests.partial),
        ("invalid", stats.requests.invalid),
        ("impossible", stats.requests.impossible),
        ("no_space", stats.requests.no_space),
    ];
    for (outcome, count) in outcomes {
        counter!("mc_pool_requests_total", "outcome" => outcome).absolute(count);
    }
}
