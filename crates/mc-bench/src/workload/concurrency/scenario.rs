//! The scenarios, their parameters, and the state that each starts from.

use crate::workload::RequestError;

use super::subject::{Holes, SUCCESS_BYTES, Shareable};

const KIB: u64 = 1 << 10;
const MIB: u64 = 1 << 20;

/// Bytes of the pool, as published.
const POOL_BYTES: u64 = 1 << 30;

/// Percent of the pool that one allocation takes before the refusals, as published.
const HIGH_WATER_PERCENT: u64 = 90;

/// Request that is refused, as published.
pub(super) const FAILED_BYTES: u64 = 128 * MIB;

/// Blocks that fill the pool before every fifth is freed, as published.
const FRAGMENTATION_BLOCK_BYTES: u64 = 4 * MIB;
const FRAGMENTATION_STRIDE: usize = 5;

/// Requests out of [`MIXED_SLOTS`] that are refused in the mix: a ratio of 0.05, as published.
pub(super) const MIXED_FAILURES: u64 = 500;
pub(super) const MIXED_SLOTS: u64 = 10_000;

/// Objects that each thread of the churn keeps.
pub(super) const CHURN_LIVE: usize = 4_096;

/// Sizes of those objects, each as likely as the others: pages of keys and values of small models.
pub(super) const CHURN_SIZES: [u64; 4] = [4 * KIB, 16 * KIB, 64 * KIB, 256 * KIB];

/// Pool of the churn for each thread. The live set takes 340 MiB of it, whatever the number of
/// threads.
const CHURN_POOL_BYTES: u64 = 512 * MIB;
const _: () = assert!(
    CHURN_LIVE as u64 * (CHURN_SIZES[0] + CHURN_SIZES[1] + CHURN_SIZES[2] + CHURN_SIZES[3]) / 4
        < CHURN_POOL_BYTES * 3 / 4,
    "the live set leaves a quarter of the pool free"
);

/// Sizes of the churn in which none comes twice, log-uniform: the smallest and the largest.
pub(super) const CHURN_RANDOM_BYTES_MIN: u64 = 4 * KIB;
pub(super) const CHURN_RANDOM_BYTES_MAX: u64 = MIB;

/// Pool of that churn for each thread. The live set takes 753 MiB of it on average: the mean size is
/// the difference of the limits over the natural logarithm of their ratio.
const CHURN_RANDOM_POOL_BYTES: u64 = 1_280 * MIB;
const _: () = assert!(
    CHURN_LIVE as u64 * (CHURN_RANDOM_BYTES_MAX - CHURN_RANDOM_BYTES_MIN) * 1_000 / 5_545
        < CHURN_RANDOM_POOL_BYTES * 5 / 8,
    "the live set leaves three eighths of the pool free"
);

/// Every scenario, in the order of the output.
pub(super) const SCENARIOS: [Scenario; 7] = [
    Scenario::CapacityFailed,
    Scenario::FragmentationFailed,
    Scenario::HighWaterMixed,
    Scenario::SuccessfulAllocateFree,
    Scenario::Churn,
    Scenario::ChurnRandom,
    Scenario::RemoteFree,
];

/// What the threads do and in which state of the pool.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Scenario {
    /// Refusals: one allocation takes nine tenths of the pool.
    CapacityFailed,
    /// Refusals: enough bytes are free, but no hole is large enough.
    FragmentationFailed,
    /// A small object allocated and freed at once, and now and then a refusal.
    HighWaterMixed,
    /// A small object allocated and freed at once in an empty pool.
    SuccessfulAllocateFree,
    /// A random object of the thread's live set replaced by one of a random size.
    Churn,
    /// The same with sizes of which none comes twice.
    ChurnRandom,
    /// A small object allocated by one thread and freed by another.
    RemoteFree,
}

/// One phase: what runs, on how many threads and for how long.
#[derive(Clone, Copy, Debug)]
pub(super) struct Load {
    pub(super) scenario: Scenario,
    pub(super) threads: usize,
    /// Operations of each thread.
    pub(super) iterations: u64,
    pub(super) seed: u64,
}

impl Scenario {
    pub(super) const fn name(self) -> &'static str {
        match self {
            Self::CapacityFailed => "capacity_failed",
            Self::FragmentationFailed => "fragmentation_failed",
            Self::HighWaterMixed => "high_water_mixed",
            Self::SuccessfulAllocateFree => "successful_allocate_free",
            Self::Churn => "churn",
            Self::ChurnRandom => "churn_random",
            Self::RemoteFree => "remote_free",
        }
    }

    /// Returns whether all requests are of [`SUCCESS_BYTES`].
    pub(super) const fn has_one_size(self) -> bool {
        matches!(self, Self::SuccessfulAllocateFree | Self::RemoteFree)
    }

    /// Returns the largest size that the threads ask for.
    pub(super) const fn request_bytes(self) -> u64 {
        match self {
            Self::CapacityFailed | Self::FragmentationFailed | Self::HighWaterMixed => FAILED_BYTES,
            Self::SuccessfulAllocateFree | Self::RemoteFree => SUCCESS_BYTES,
            Self::Churn => CHURN_SIZES[CHURN_SIZES.len() - 1],
            Self::ChurnRandom => CHURN_RANDOM_BYTES_MAX,
        }
    }

    /// Brings a fresh subject into the state that the scenario starts from.
    ///
    /// The tokens returned keep it there and have to be freed at the end.
    pub(super) fn prepare<S: Shareable>(self, subject: &S) -> Result<Vec<S::Token>, RequestError> {
        let kept = match self {
            Self::CapacityFailed | Self::HighWaterMixed => {
                let high_water_bytes = POOL_BYTES / 100 * HIGH_WATER_PERCENT;
                subject.allocate(high_water_bytes).into_iter().collect()
            }
            Self::FragmentationFailed => fragment(subject),
            Self::SuccessfulAllocateFree | Self::Churn | Self::ChurnRandom | Self::RemoteFree => {
                Vec::new()
            }
        };
        self.check(subject.holes())?;
        Ok(kept)
    }

    /// Checks that what the scenario expects to be refused, or served, has to be.
    fn check(self, holes: Holes) -> Result<(), RequestError> {
        let Holes {
            free_bytes,
            largest_bytes,
        } = holes;
        let is_met = match self {
            Self::CapacityFailed => largest_bytes < FAILED_BYTES,
            Self::FragmentationFailed => free_bytes >= FAILED_BYTES && largest_bytes < FAILED_BYTES,
            Self::HighWaterMixed => (SUCCESS_BYTES..FAILED_BYTES).contains(&largest_bytes),
            Self::SuccessfulAllocateFree | Self::Churn | Self::ChurnRandom | Self::RemoteFree => {
                largest_bytes >= self.request_bytes()
            }
        };
        if is_met {
            return Ok(());
        }
        Err(RequestError::Precondition {
            scenario: self.name(),
            free_bytes,
            largest_hole_bytes: largest_bytes,
            request_bytes: self.request_bytes(),
        })
    }
}

impl Load {
    pub(super) fn pool_bytes(&self) -> u64 {
        match self.scenario {
            Scenario::Churn => CHURN_POOL_BYTES * self.threads as u64,
            Scenario::ChurnRandom => CHURN_RANDOM_POOL_BYTES * self.threads as u64,
            _ => POOL_BYTES,
        }
    }
}

/// Fills the pool with blocks, frees every fifth and returns the others.
fn fragment<S: Shareable>(subject: &S) -> Vec<S::Token> {
    let blocks = std::iter::from_fn(|| subject.allocate(FRAGMENTATION_BLOCK_BYTES));
    let mut kept = Vec::new();
    for (index, block) in blocks.collect::<Vec<_>>().into_iter().enumerate() {
        if index % FRAGMENTATION_STRIDE == 0 {
            subject.free(block);
        } else {
            kept.push(block);
        }
    }
    kept
}

#[cfg(test)]
mod tests {
    use super::*;

    #[track_caller]
    fn check(scenario: Scenario, free_bytes: u64, largest_bytes: u64, is_met: bool) {
        let holes = Holes {
            free_bytes,
            largest_bytes,
        };
        let checked = scenario.check(holes);
        assert_eq!(checked.is_ok(), is_met, "{scenario:?} with {holes:?}");
        if let Err(error) = checked {
            assert!(error.to_string().contains(scenario.name()), "{error}");
        }
    }

    #[test]
    fn scenarios_refuse_a_pool_that_would_surprise_them() {
        let (small, large) = (FAILED_BYTES - 1, FAILED_BYTES);
        check(Scenario::CapacityFailed, small, small, true);
        check(Scenario::CapacityFailed, large, large, false);
        check(Scenario::FragmentationFailed, large, small, true);
        check(Scenario::FragmentationFailed, small, small, false);
        check(Scenario::FragmentationFailed, large, large, false);
        check(Scenario::HighWaterMixed, small, small, true);
        check(Scenario::HighWaterMixed, large, SUCCESS_BYTES - 1, false);
        check(Scenario::SuccessfulAllocateFree, 0, 0, false);
        check(Scenario::Churn, large, small, true);
        check(Scenario::ChurnRandom, large, MIB, true);
        check(Scenario::ChurnRandom, large, MIB - 1, false);
        check(Scenario::RemoteFree, large, SUCCESS_BYTES, true);
    }
}
