//! Filling a pool: from empty, and after empty segments have joined.

use mc_segment::PlacedBuffer;

use super::cluster::Cluster;
use super::measure::{Outcome, stddev, stddev_of};

/// Refusals in a row after which a pool counts as full.
const REFUSALS_MAX: u32 = 10;

/// Puts from one sample to the next.
const SAMPLE_INTERVAL: u64 = 100;

/// Utilization at which the empty segments join.
const SCALE_OUT_AT: f64 = 0.5;

/// Share of the capacity that is placed after that.
const SCALE_OUT_PLACED: f64 = 0.3;

/// Below so much deviation the segments count as even.
const EVEN_STDDEV: f64 = 0.1;

/// What has been placed in each segment, where nothing is freed: a sample of it does not have to ask
/// every allocator.
#[derive(Default)]
struct Live {
    buffers: Vec<PlacedBuffer>,
    /// In the order of the ids.
    bytes: Vec<u64>,
}

impl Live {
    fn keep(&mut self, placed: Vec<PlacedBuffer>) {
        for buffer in &placed {
            let id = usize::try_from(buffer.segment_id().0).expect("ids count the segments");
            if self.bytes.len() <= id {
                self.bytes.resize(id + 1, 0);
            }
            self.bytes[id] += buffer.size();
        }
        self.buffers.extend(placed);
    }

    fn utilization(&self, cluster: &Cluster) -> f64 {
        self.bytes.iter().sum::<u64>() as f64 / cluster.capacity() as f64
    }

    /// Returns the standard deviation over the segments of their utilization.
    fn stddev(&self, cluster: &Cluster) -> f64 {
        let capacities = cluster.capacities.iter().enumerate();
        let bytes = |id| self.bytes.get(id).copied().unwrap_or(0) as f64;
        stddev(capacities.map(|(id, &capacity)| bytes(id) / capacity as f64))
    }
}

/// Places objects until the puts are done or the pool is full; utilization is that at the end.
pub(super) fn up(cluster: Cluster, size: u64, replicas: u32, puts: u64) -> Outcome {
    let mut outcome = Outcome::new();
    let mut live = Live::default();
    fill(&cluster, size, replicas, puts, &mut outcome, |placed, _| {
        live.keep(placed);
    });
    let stats = cluster.pool.stats();
    outcome.utilization_mean = stats.total.utilization();
    outcome.fragmentation_mean = stats.total.fragmentation();
    outcome.utilization_stddev = stddev_of(&stats);
    outcome
}

/// Fills a pool to one half, adds empty segments and goes on; fragmentation is that at the end.
///
/// Beside the usual it reports the share of the puts after which the segments were even for good
/// (`converged_at`, 1 if they never were), and how many times their share of the capacity the new
/// segments were given of the first tenth of the puts (`new_segments_load`).
pub(super) fn scale_out(mut cluster: Cluster, size: u64, replicas: u32) -> Outcome {
    let mut live = Live::default();
    let (old_capacity, old_count) = (cluster.capacity() as f64, cluster.capacities.len());
    let mut live_bytes = 0.0;
    let mut put = 0;
    while live_bytes < SCALE_OUT_AT * old_capacity
        && let Ok(placed) = cluster.pool.place(&cluster.request(size, replicas, put))
    {
        live_bytes += (placed.len() as u64 * size) as f64;
        live.keep(placed);
        put += 1;
    }

    cluster.grow();
    let replica_bytes = size as f64 * f64::from(replicas);
    let wanted = cluster.capacity() as f64 * SCALE_OUT_PLACED / replica_bytes;
    #[expect(
        clippy::cast_possible_truncation,
        clippy::cast_sign_loss,
        reason = "below 2^20 and positive"
    )]
    let puts = (wanted as u64).max(SAMPLE_INTERVAL);
    let interval = SAMPLE_INTERVAL.min(puts / 10).max(1);
    let mut outcome = Outcome::new();
    let mut utilizations = Vec::new();
    let (mut early, mut early_new) = (0_u64, 0_u64);
    let mut even_since = None;
    fill(
        &cluster,
        size,
        replicas,
        puts,
        &mut outcome,
        |placed, done| {
            if done <= puts / 10 {
                early += placed.len() as u64;
                let is_new = |buffer: &&PlacedBuffer| buffer.segment_id().0 >= old_count as u128;
                early_new += placed.iter().filter(is_new).count() as u64;
            }
            live.keep(placed);
            if done.is_multiple_of(interval) {
                utilizations.push(live.utilization(&cluster));
                let is_even = live.stddev(&cluster) < EVEN_STDDEV;
                even_since = is_even.then(|| even_since.unwrap_or(done));
            }
        },
    );
    outcome.utilization_mean = utilizations.iter().sum::<f64>() / utilizations.len() as f64;
    let stats = cluster.pool.stats();
    outcome.fragmentation_mean = stats.total.fragmentation();
    outcome.utilization_stddev = stddev_of(&stats);
    let new_capacity = 1.0 - old_capacity / cluster.capacity() as f64;
    let converged_at = even_since.map_or(1.0, |done| done as f64 / puts as f64);
    let new_load = early_new as f64 / early.max(1) as f64 / new_capacity;
    outcome.joined = Some([converged_at, new_load]);
    outcome
}

/// Times puts; hands on what was placed and the number of puts so far.
fn fill(
    cluster: &Cluster,
    size: u64,
    replicas: u32,
    puts: u64,
    outcome: &mut Outcome,
    mut placed: impl FnMut(Vec<PlacedBuffer>, u64),
) {
    let mut refusals = 0;
    for put in 0..puts {
        let request = cluster.request(size, replicas, put);
        let result = outcome.clock.time(|| cluster.pool.place(&request));
        let buffers = result.unwrap_or_default();
        outcome.count(&buffers, replicas);
        if buffers.is_empty() {
            refusals += 1;
            outcome.wrongly_refused += u64::from(cluster.has_room(size));
        } else {
            refusals = 0;
        }
        placed(buffers, put + 1);
        if refusals == REFUSALS_MAX {
            break;
        }
    }
}
