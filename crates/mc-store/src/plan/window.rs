//! The neighbors that are worth least together.

use std::ops::Range;

use mc_segment::{Block, SegmentId, cheapest_window};

use super::{Demand, Found, whole};
use crate::object::{WeakObject, WeakObjects};

/// Weighs stretches of blocks against each other.
#[derive(Debug)]
pub(crate) struct WindowSearch<'a> {
    demand: &'a Demand<'a>,
    best: Option<(f64, Found)>,
}

/// The largest cost of a window search: sums of 2^32 of them fit a word.
const COST_MAX: f64 = (1_u64 << 32) as f64;

impl<'a> WindowSearch<'a> {
    pub(crate) fn new(demand: &'a Demand<'a>) -> Self {
        Self { demand, best: None }
    }

    /// Looks for a window among blocks of a segment that touch. `worths` has
    /// the object of each block and what is lost with it, or nothing where
    /// nobody may leave; holes are not looked up. `needed` are the bytes of the
    /// hole. At the limit of allocations a hole alone is not enough: somebody
    /// has to leave.
    pub(crate) fn look(
        &mut self,
        segment: SegmentId,
        needed: u64,
        blocks: &[Block],
        worths: &[Option<(WeakObject, f64)>],
        is_at_limit: bool,
    ) {
        // The search counts in whole numbers, which lose no digits to one
        // another; they are shares of the largest worth.
        let all = worths.iter().flatten().map(|&(_, worth)| worth);
        let largest = all.fold(f64::MIN_POSITIVE, f64::max);
        // Asked about in the order of the blocks.
        let mut costs = blocks.iter().zip(worths);
        let window = cheapest_window(blocks, needed, self.demand.align, |block| {
            let (_, worth) = costs.find(|(other, _)| other.address == block.address)?;
            let (_, worth) = worth.as_ref()?;
            Some(whole(worth / largest * COST_MAX))
        });
        let Some(window) = window else {
            return;
        };
        let mut range = window.blocks;
        let leaving = |range: &Range<usize>| worths[range.clone()].iter().flatten();
        if is_at_limit && leaving(&range).next().is_none() {
            let all = (0..).zip(worths);
            let may_leave = all.filter_map(|(place, one)| Some((place, one.as_ref()?.1)));
            let Some((least, _)) = may_leave.min_by(|(_, a), (_, b)| a.total_cmp(b)) else {
                return;
            };
            range = least..least + 1;
        }
        let cost = leaving(&range).map(|(_, worth)| worth).sum();
        if self.best.as_ref().is_some_and(|(least, _)| *least <= cost) {
            return;
        }
        let mut victims: WeakObjects = leaving(&range).map(|&(object, _)| object).collect();
        victims.sort_unstable_by_key(|object| object.id);
        victims.dedup_by_key(|object| object.id);
        // A hole without victims is one that came while the search went on.
        self.best = Some((cost, Found { segment, victims }));
    }

    pub(crate) fn has_found(&self) -> bool {
        self.best.is_some()
    }

    /// Returns the best window.
    pub(crate) fn found(self) -> Option<Found> {
        self.best.map(|(_, found)| found)
    }
}
