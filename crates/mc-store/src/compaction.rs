//! How much may be copied so that objects need not leave.

use std::fmt;

use serde::{Deserialize, Serialize};

/// How many bytes a put that finds no hole may move to make one.
///
/// With moves, who leaves does not depend on what lies beside it: of the next
/// ones in order, without the beginnings of prompts whose ends are among them,
/// those leave that fit best, as far as bytes are short, and what is left
/// between holes is copied together. Where the budget is not enough,
/// the neighbors leave that are worth least together.
///
/// Puts of several replicas move nothing. Objects that are leased, pinned or in
/// several pieces never move, and neither does what is not the store's. A put
/// that is refused has evicted nothing, unless a lease ended its moves after
/// somebody had left for them, or others took the room, and meanwhile all the
/// rest came into use. Memory of other hosts is left as it is unless
/// the store has a [copier](crate::StoreOptions::copier).
///
/// # Examples
///
/// ```
/// use mc_store::{Compaction, StoreOptions};
///
/// let options = StoreOptions {
///     compaction: Compaction::moving(1.0),
///     ..StoreOptions::default()
/// };
/// # let _ = options;
/// ```
#[derive(Clone, Copy, Debug, PartialEq, Serialize, Deserialize)]
pub struct Compaction {
    /// Bytes that a put may move for each byte that it places; at least 0,
    /// which turns compaction off.
    pub moved_per_placed: f64,
    /// The most bytes that one put may move.
    pub bytes_per_call_max: u64,
}

/// A number that is no budget: it is negative, infinite, or none.
///
/// Compared by its bits, so that each equals itself.
#[derive(Clone, Copy, Debug)]
pub struct NotABudget(pub f64);

impl PartialEq for NotABudget {
    fn eq(&self, other: &Self) -> bool {
        self.0.to_bits() == other.0.to_bits()
    }
}

impl Eq for NotABudget {}

impl fmt::Display for NotABudget {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.0.fmt(f)
    }
}

impl Compaction {
    /// Nothing is moved.
    pub const OFF: Self = Self {
        moved_per_placed: 0.0,
        bytes_per_call_max: 0,
    };

    /// Returns a budget of so many bytes moved for each that is placed, and at
    /// most 64 MiB a call, some ten milliseconds.
    #[must_use]
    pub const fn moving(moved_per_placed: f64) -> Self {
        Self {
            moved_per_placed,
            bytes_per_call_max: 64 << 20,
        }
    }

    /// Returns whether the numbers make sense.
    pub(crate) fn is_valid(self) -> bool {
        self.moved_per_placed.is_finite() && self.moved_per_placed >= 0.0
    }

    /// Returns the bytes that may be moved to place some bytes.
    pub(crate) fn budget(self, placed_bytes: u64) -> u64 {
        #[expect(
            clippy::cast_possible_truncation,
            clippy::cast_sign_loss,
            reason = "it is not negative; what is out of range is clamped, and the fraction dropped"
        )]
        let bytes = (self.moved_per_placed * placed_bytes as f64) as u64;
        bytes.min(self.bytes_per_call_max)
    }
}

impl Default for Compaction {
    /// Returns [`OFF`](Self::OFF): who wants moves says how many.
    fn default() -> Self {
        Self::OFF
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[track_caller]
    fn check(moved_per_placed: f64, bytes_per_call_max: u64, placed: u64, budget: u64) {
        let compaction = Compaction {
            moved_per_placed,
            bytes_per_call_max,
        };
        assert!(compaction.is_valid());
        assert_eq!(compaction.budget(placed), budget, "{compaction:?}");
    }

    #[test]
    fn the_budget_is_a_share_of_what_is_placed_up_to_a_limit() {
        check(0.0, u64::MAX, 1000, 0);
        check(0.25, 1000, 1003, 250);
        check(2.0, 1000, 499, 998);
        check(2.0, 1000, 501, 1000);
        check(1e300, u64::MAX, u64::MAX, u64::MAX);
        for nonsense in [-1.0, f64::NAN, f64::INFINITY] {
            let compaction = Compaction {
                moved_per_placed: nonsense,
                ..Compaction::OFF
            };
            assert!(!compaction.is_valid(), "{nonsense}");
        }
    }
}
