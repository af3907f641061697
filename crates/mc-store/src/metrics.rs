//! The counters of a store for the facade of the crate `metrics`.

use metrics::{counter, gauge};

use super::{Evictions, ObjectStore};

impl ObjectStore {
    /// Publishes what [`stats`](Self::stats) returns to whatever recorder of
    /// the crate `metrics` is installed; the segments below the store are
    /// published by a [`MetricsPublisher`](mc_segment::MetricsPublisher).
    ///
    /// | series | labels | |
    /// |---|---|---|
    /// | `mc_store_objects`, `_pinned`, `_in_flight`, `_live_bytes` | | gauges |
    /// | `mc_store_hits_total`, `_misses_total`, `_committed_total`, `_committed_bytes_total`, `_abandoned_total`, `_removed_total` | | counters |
    /// | `mc_store_refusals_total` | `cause` | counter: `key_taken`, `too_large`, `no_space`, `impossible` |
    /// | `mc_store_evictions_total`, `_evicted_bytes_total` | `cause` | counters: `on_demand`, `watermark`, `unreadable` |
    /// | `mc_store_placed_bytes_on_demand_total` | | counter |
    pub fn publish_metrics(&self) {
        let stats = self.stats();
        gauge!("mc_store_objects").set(stats.objects as f64);
        gauge!("mc_store_pinned").set(stats.pinned as f64);
        gauge!("mc_store_in_flight").set(stats.in_flight as f64);
        gauge!("mc_store_live_bytes").set(stats.live_bytes as f64);
        counter!("mc_store_hits_total").absolute(stats.hits);
        counter!("mc_store_misses_total").absolute(stats.misses);
        counter!("mc_store_committed_total").absolute(stats.committed);
        counter!("mc_store_committed_bytes_total").absolute(stats.committed_bytes);
        counter!("mc_store_abandoned_total").absolute(stats.abandoned);
        counter!("mc_store_removed_total").absolute(stats.removed);
        counter!("mc_store_placed_bytes_on_demand_total").absolute(stats.placed_bytes_on_demand);
        let refused = stats.refused;
        for (cause, count) in [
            ("key_taken", refused.key_taken),
            ("too_large", refused.too_large),
            ("no_space", refused.no_space),
            ("impossible", refused.impossible),
        ] {
            counter!("mc_store_refusals_total", "cause" => cause).absolute(count);
        }
        publish_evictions("on_demand", &stats.on_demand);
        publish_evictions("watermark", &stats.by_watermark);
        publish_evictions("unreadable", &stats.unreadable);
    }
}

fn publish_evictions(cause: &'static str, evictions: &Evictions) {
    counter!("mc_store_evictions_total", "cause" => cause).absolute(evictions.objects);
    counter!("mc_store_evicted_bytes_total", "cause" => cause).absolute(evictions.bytes);
}
