//! How a pool places.

use serde::{Deserialize, Serialize};

use crate::strategy::Strategy;

/// How a pool places.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct SegmentPoolOptions {
    /// Which segment is given a request.
    pub strategy: Strategy,
    /// What the random choices of the strategies follow from: on one thread,
    /// equal seeds and calls give equal places.
    pub seed: u64,
}

impl Default for SegmentPoolOptions {
    /// Returns the default strategy and a fixed seed.
    fn default() -> Self {
        Self {
            strategy: Strategy::default(),
            seed: 0,
        }
    }
}
