//! Figures and health over HTTP, for Prometheus and for whoever restarts nodes.

use std::sync::Arc;

use axum::{Router, extract::State, http::StatusCode, routing::get};
use mc_segment::MetricsPublisher;
use mc_store::StoreMetrics;
use metrics::{counter, gauge};
use metrics_exporter_prometheus::{PrometheusBuilder, PrometheusRecorder};
use parking_lot::Mutex;

use super::Shared;

/// The figures of one node, with a recorder of their own: several nodes may be
/// in one process.
struct Figures {
    node: Arc<Shared>,
    recorder: PrometheusRecorder,
    /// Held while one page is made.
    published: Mutex<(StoreMetrics, MetricsPublisher)>,
}

/// Returns `/metrics` and `/healthz`.
pub(crate) fn router(node: Arc<Shared>) -> Router {
    let segments = MetricsPublisher::new(node.store.pool().clone());
    let figures = Figures {
        node,
        recorder: PrometheusBuilder::new().build_recorder(),
        published: Mutex::new((StoreMetrics::default(), segments)),
    };
    Router::new()
        .route("/metrics", get(page))
        .route("/healthz", get(health))
        .with_state(Arc::new(figures))
}

async fn page(State(figures): State<Arc<Figures>>) -> String {
    let mut published = figures.published.lock();
    metrics::with_local_recorder(&figures.recorder, || {
        let (store, segments) = &mut *published;
        store.publish(&figures.node.store);
        segments.publish();
        let node = &figures.node;
        gauge!("mc_cluster_puts_in_flight").set(node.puts.len() as f64);
        gauge!("mc_cluster_leases").set(node.leases.len() as f64);
        let takes_puts = u8::from(node.standing.takes_puts());
        gauge!("mc_cluster_takes_puts").set(f64::from(takes_puts));
        let drained = node.drained.now();
        counter!("mc_cluster_drain_moved_objects_total").absolute(drained.moved_objects);
        counter!("mc_cluster_drain_moved_bytes_total").absolute(drained.moved_bytes);
        counter!("mc_cluster_drain_lost_objects_total").absolute(drained.lost_objects);
        counter!("mc_cluster_drain_lost_bytes_total").absolute(drained.lost_bytes);
        gauge!("mc_cluster_drain_left_objects").set(drained.left_objects as f64);
        gauge!("mc_cluster_drain_left_bytes").set(drained.left_bytes as f64);
    });
    figures.recorder.handle().render()
}

async fn health(State(figures): State<Arc<Figures>>) -> (StatusCode, &'static str) {
    match figures.node.standing.takes_puts() {
        true => (StatusCode::OK, "takes puts\n"),
        false => (StatusCode::SERVICE_UNAVAILABLE, "takes no puts\n"),
    }
}
