//! Figures of the page, drawn as SVG so that they stay sharp and can be compared as text.

mod arena_time;
mod eviction;
mod hit_rate;
mod mean_by_workload;
mod occupancy;
mod population_time;
mod random_distribution;
mod stall;
mod style;
mod throughput_by_threads;
mod time_by_size;
mod utilization_by_segments;
mod utilization_by_size;

pub(crate) use self::arena_time::ARENA_TIME;
pub(crate) use self::eviction::EVICTION;
pub(crate) use self::hit_rate::{HIT_RATE, belady_rates, hit_rates, saved_share};
pub(crate) use self::mean_by_workload::MEAN_BY_WORKLOAD;
pub(crate) use self::occupancy::OCCUPANCY;
pub(crate) use self::population_time::POPULATION_TIME;
pub(crate) use self::random_distribution::RANDOM_DISTRIBUTION;
pub(crate) use self::stall::STALL;
pub(crate) use self::throughput_by_threads::{STORE_THROUGHPUT, THROUGHPUT_BY_THREADS};
pub(crate) use self::time_by_size::TIME_BY_SIZE;
pub(crate) use self::utilization_by_segments::UTILIZATION_BY_SEGMENTS;
pub(crate) use self::utilization_by_size::UTILIZATION_BY_SIZE;

use crate::data::Data;

/// One figure.
pub(crate) struct Figure {
    /// File name in the directory of figures.
    pub(crate) file: &'static str,
    /// What it shows, in one sentence.
    pub(crate) caption: &'static str,
    /// Returns the figure as SVG.
    pub(crate) draw: fn(&Data) -> anyhow::Result<String>,
}
