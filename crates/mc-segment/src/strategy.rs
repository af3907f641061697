//! Which of the segments that can take a request is given it.

use std::{fmt, str::FromStr};

use serde::{Deserialize, Serialize};
use thiserror::Error;

/// Which of the segments that can take a request is given it.
///
/// None of them refuses what some segment can take.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
#[non_exhaustive]
pub enum Strategy {
    /// Any, with equal chances.
    Random,
    /// Of six at random, the one with the greatest share of free bytes. A
    /// segment that is new to a pool in use is given no more than twice its
    /// share of the capacity until it has caught up.
    FreeRatioFirst,
    /// Those of the writer's host, then those of the hosts after it, in a ring
    /// of all hosts in the order of their names. On a host, the hash of the key
    /// tells where to begin. The second replica begins at the second host, and
    /// so on. Without a host, any.
    LocalFirst,
    /// Of two at random, the one with the greater share of free bytes; the
    /// chances are as the capacities. So a new segment is given at most twice
    /// its share.
    #[default]
    CapacityWeighted,
    /// The one whose largest hole is the least that fits, so that large holes
    /// are kept for large objects.
    BestHole,
}

/// Text that names no strategy.
#[derive(Clone, Debug, PartialEq, Eq, Error)]
#[error(
    "{name:?} is not a strategy; use random, free-ratio-first, local-first, capacity-weighted or best-hole"
)]
pub struct StrategyError {
    /// The text.
    pub name: Box<str>,
}

impl Strategy {
    /// All strategies.
    pub const ALL: [Self; 5] = [
        Self::Random,
        Self::FreeRatioFirst,
        Self::LocalFirst,
        Self::CapacityWeighted,
        Self::BestHole,
    ];

    /// Returns the name, which [`FromStr`] takes.
    #[must_use]
    pub const fn name(self) -> &'static str {
        match self {
            Self::Random => "random",
            Self::FreeRatioFirst => "free-ratio-first",
            Self::LocalFirst => "local-first",
            Self::CapacityWeighted => "capacity-weighted",
            Self::BestHole => "best-hole",
        }
    }
}

impl fmt::Display for Strategy {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.pad(self.name())
    }
}

impl FromStr for Strategy {
    type Err = StrategyError;

    fn from_str(text: &str) -> Result<Self, StrategyError> {
        let mut all = Self::ALL.into_iter();
        all.find(|strategy| strategy.name() == text)
            .ok_or_else(|| StrategyError { name: text.into() })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_are_parsed_and_others_are_refused_with_those_accepted() {
        for strategy in Strategy::ALL {
            assert_eq!(strategy.name().parse(), Ok(strategy));
        }
        let refused = "best_hole".parse::<Strategy>().unwrap_err().to_string();
        assert!(refused.contains("\"best_hole\""), "{refused}");
        for strategy in Strategy::ALL {
            assert!(refused.contains(strategy.name()), "{refused}");
        }
    }
}
