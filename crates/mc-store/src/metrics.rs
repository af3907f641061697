//! The figures of a store for the facade of the crate `metrics`.

use metrics::{counter, gauge, histogram};

use crate::{
    ObjectStore,
    stats::{Counted, TimeHistogram},
};

/// What was published so far of the histograms, which the facade adds to.
#[derive(Clone, Debug, Default)]
pub struct StoreMetrics {
    lifetime: TimeHistogram,
    idle_before_eviction: TimeHistogram,
    reuse_gap: TimeHistogram,
}

impl StoreMetrics {
    /// Publishes what [`stats`](ObjectStore::stats) returns to whatever recorder
    /// of the crate `metrics` is installed; the segments below the store are
    /// published by a [`MetricsPublisher`](mc_segment::MetricsPublisher).
    ///
    /// | series | labels | |
    /// |---|---|---|
    /// | `mc_store_objects`, `_pinned`, `_in_flight`, `_lingering`, `_live_bytes` | | gauges |
    /// | `mc_store_useful_bytes`, `_charged_bytes` | | gauges: bytes of objects, and bytes that segments have given |
    /// | `mc_store_hits_total`, `_misses_total`, `_committed_total`, `_committed_bytes_total`, `_abandoned_total`, `_expired_total`, `_removed_total` | | counters |
    /// | `mc_store_moved_total`, `_moved_bytes_total`, `_moves_ended_total`, `_moves_ended_bytes_total` | | counters |
    /// | `mc_store_refusals_total` | `cause` | counter: `key_taken`, `too_large`, `no_space`, `quota`, `impossible`, `journal` |
    /// | `mc_store_tenant_used_bytes`, `_guaranteed_bytes`, `_objects` | `tenant` | gauges |
    /// | `mc_store_tenant_evicted_bytes_total`, `_refused_total` | `tenant` | counters |
    /// | `mc_store_evictions_total`, `_evicted_bytes_total` | `cause` | counters: `on_demand`, `watermark`, `unreadable`, `corrupt` |
    /// | `mc_store_placed_bytes_on_demand_total` | | counter |
    /// | `mc_store_lifetime_seconds`, `_idle_before_eviction_seconds`, `_reuse_gap_seconds` | | histograms, exact to a factor of two |
    pub fn publish(&mut self, store: &ObjectStore) {
        let stats = store.stats();
        gauge!("mc_store_objects").set(stats.objects as f64);
        gauge!("mc_store_pinned").set(stats.pinned as f64);
        gauge!("mc_store_in_flight").set(stats.in_flight as f64);
        gauge!("mc_store_lingering").set(stats.lingering as f64);
        gauge!("mc_store_live_bytes").set(stats.live_bytes as f64);
        gauge!("mc_store_useful_bytes").set(stats.useful_bytes as f64);
        let space = store.pool().stats().total;
        let charged = space.live_bytes + space.rounding_bytes;
        gauge!("mc_store_charged_bytes").set(charged as f64);
        counter!("mc_store_hits_total").absolute(stats.hits);
        counter!("mc_store_misses_total").absolute(stats.misses);
        counter!("mc_store_committed_total").absolute(stats.committed);
        counter!("mc_store_committed_bytes_total").absolute(stats.committed_bytes);
        counter!("mc_store_abandoned_total").absolute(stats.abandoned);
        counter!("mc_store_expired_total").absolute(stats.expired);
        counter!("mc_store_removed_total").absolute(stats.removed);
        counter!("mc_store_moved_total").absolute(stats.moved.objects);
        counter!("mc_store_moved_bytes_total").absolute(stats.moved.bytes);
        counter!("mc_store_moves_ended_total").absolute(stats.moves_ended.objects);
        counter!("mc_store_moves_ended_bytes_total").absolute(stats.moves_ended.bytes);
        counter!("mc_store_placed_bytes_on_demand_total").absolute(stats.placed_bytes_on_demand);
        let refused = stats.refused;
        for (cause, count) in [
            ("key_taken", refused.key_taken),
            ("too_large", refused.too_large),
            ("no_space", refused.no_space),
            ("quota", refused.quota),
            ("impossible", refused.impossible),
            ("journal", refused.journal),
        ] {
            counter!("mc_store_refusals_total", "cause" => cause).absolute(count);
        }
        for (name, tenant) in stats.tenants {
            let label = [("tenant", name)];
            gauge!("mc_store_tenant_used_bytes", &label).set(tenant.used_bytes as f64);
            gauge!("mc_store_tenant_guaranteed_bytes", &label).set(tenant.guaranteed_bytes as f64);
            gauge!("mc_store_tenant_objects", &label).set(tenant.stored.objects as f64);
            counter!("mc_store_tenant_evicted_bytes_total", &label).absolute(tenant.evicted.bytes);
            counter!("mc_store_tenant_refused_total", &label).absolute(tenant.refused);
        }
        publish_evictions("on_demand", &stats.on_demand);
        publish_evictions("watermark", &stats.by_watermark);
        publish_evictions("shrinking", &stats.by_shrinking);
        publish_evictions("unreadable", &stats.unreadable);
        publish_evictions("corrupt", &stats.corrupt);
        for (name, now, before) in [
            (
                "mc_store_lifetime_seconds",
                stats.lifetime,
                &mut self.lifetime,
            ),
            (
                "mc_store_idle_before_eviction_seconds",
                stats.idle_before_eviction,
                &mut self.idle_before_eviction,
            ),
            (
                "mc_store_reuse_gap_seconds",
                stats.reuse_gap,
                &mut self.reuse_gap,
            ),
        ] {
            publish_since(name, &now, before);
            *before = now;
        }
    }
}

fn publish_evictions(cause: &'static str, evictions: &Counted) {
    counter!("mc_store_evictions_total", "cause" => cause).absolute(evictions.objects);
    counter!("mc_store_evicted_bytes_total", "cause" => cause).absolute(evictions.bytes);
}

/// Publishes the times that were added since a histogram was published last,
/// each as the upper end of its bucket.
fn publish_since(name: &'static str, now: &TimeHistogram, before: &TimeHistogram) {
    let series = histogram!(name);
    for (place, (now, before)) in now.counts.iter().zip(before.counts).enumerate() {
        let added = usize::try_from(now - before).unwrap_or(usize::MAX);
        series.record_many(TimeHistogram::upper_end(place).as_secs_f64(), added);
    }
}
