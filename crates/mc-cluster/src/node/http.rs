//! Figures and health over HTTP, for Prometheus and for whoever restarts nodes.

use std::{
    ops::Range,
    sync::{Arc, Weak},
};

use axum::{Router, extract::State, http::StatusCode, routing::get};
use mc_segment::MetricsPublisher;
use mc_store::StoreMetrics;
use metrics::{counter, gauge};
use metrics_exporter_prometheus::{Matcher, PrometheusBuilder, PrometheusRecorder};
use parking_lot::Mutex;

use super::{
    Shared,
    ages::{self, Ages},
};

/// The powers of two of hundredths of a second that have buckets: up to four
/// months, as the store counts.
const TIMES: Range<u32> = 0..31;

/// The figures of one node, with a recorder of their own: several nodes may be
/// in one process.
pub(super) struct Figures {
    recorder: PrometheusRecorder,
    /// Held while one page is made.
    published: Mutex<Published>,
}

/// What is told apart from what was published before.
struct Published {
    store: StoreMetrics,
    segments: MetricsPublisher,
    leases_held: Ages,
}

/// Returns `/metrics` and `/healthz` of a node, which connections do not hold.
pub(crate) fn router(node: &Arc<Shared>) -> Router {
    Router::new()
        .route("/metrics", get(page))
        .route("/healthz", get(health))
        .with_state(Arc::downgrade(node))
}

impl Figures {
    fn new(node: &Shared) -> Self {
        Self {
            recorder: recorder(),
            published: Mutex::new(Published {
                store: StoreMetrics::default(),
                segments: MetricsPublisher::new(node.store.pool().clone()),
                leases_held: Ages::default(),
            }),
        }
    }
}

/// Returns a recorder that keeps times as they are counted: by powers of two,
/// which can be added up over nodes.
fn recorder() -> PrometheusRecorder {
    let places: Vec<_> = TIMES
        .map(|place| 0.01 * f64::from(1_u32 << place))
        .collect();
    let builder = PrometheusBuilder::new();
    let store = Matcher::Prefix("mc_store_".to_owned());
    let leases = Matcher::Full("mc_cluster_lease_seconds".to_owned());
    let leases_held: Vec<_> = ages::ends().collect();
    let builder = builder.set_buckets_for_metric(store, &places);
    let builder = builder.and_then(|it| it.set_buckets_for_metric(leases, &leases_held));
    builder.expect("there are buckets").build_recorder()
}

async fn page(State(node): State<Weak<Shared>>) -> Result<String, StatusCode> {
    let node = node.upgrade().ok_or(StatusCode::SERVICE_UNAVAILABLE)?;
    let figures = node.figures.get_or_init(|| Figures::new(&node));
    let mut published = figures.published.lock();
    metrics::with_local_recorder(&figures.recorder, || {
        published.store.publish(&node.store);
        published.segments.publish();
        gauge!("mc_cluster_puts_in_flight").set(node.puts.len() as f64);
        gauge!("mc_cluster_leases").set(node.leases.len() as f64);
        let leases = node.leases.figures();
        gauge!("mc_cluster_leased_objects").set(leases.objects as f64);
        counter!("mc_cluster_leases_expired_total").absolute(leases.expired);
        let held = leases.held.clone();
        held.publish_since(&published.leases_held, "mc_cluster_lease_seconds");
        published.leases_held = leases.held;
        let takes_puts = u8::from(node.takes_puts());
        gauge!("mc_cluster_takes_puts").set(f64::from(takes_puts));
        let drained = node.drained.now();
        counter!("mc_cluster_drain_moved_objects_total").absolute(drained.moved_objects);
        counter!("mc_cluster_drain_moved_bytes_total").absolute(drained.moved_bytes);
        counter!("mc_cluster_drain_lost_objects_total").absolute(drained.lost_objects);
        counter!("mc_cluster_drain_lost_bytes_total").absolute(drained.lost_bytes);
        gauge!("mc_cluster_drain_left_objects").set(drained.left_objects as f64);
        gauge!("mc_cluster_drain_left_bytes").set(drained.left_bytes as f64);
    });
    Ok(figures.recorder.handle().render())
}

async fn health(State(node): State<Weak<Shared>>) -> (StatusCode, &'static str) {
    let node = node.upgrade();
    match node.is_some_and(|node| node.takes_puts()) {
        true => (StatusCode::OK, "takes puts\n"),
        false => (StatusCode::SERVICE_UNAVAILABLE, "takes no puts\n"),
    }
}
