//! What to evict to make a hole: the cheapest run of neighbors that is large
//! enough once they are gone.

use alloc::{collections::VecDeque, vec::Vec};

use crate::{
    allocation::Allocation,
    allocator::OffsetAllocator,
    space::{Content, Space, Span},
};

/// A contiguous stretch that becomes one hole when its allocations are freed.
#[derive(Clone, Debug, PartialEq, Eq)]
#[cfg_attr(feature = "serde", derive(serde::Serialize))]
pub struct Window {
    /// Offset of the hole that results.
    pub offset: u64,
    /// Bytes of the hole that results.
    pub size: u64,
    /// Sum of the costs of the victims.
    pub cost: u128,
    /// The allocations to free, in address order; none if a hole fits already.
    pub victims: Vec<Allocation>,
}

impl OffsetAllocator {
    /// Returns the window whose eviction makes room for `size` bytes at a
    /// multiple of `align`, a power of two, at the least total cost.
    ///
    /// `cost` tells what evicting an allocation costs, in any unit; `None`
    /// pins it, and no window contains it. Of windows that cost the same, the
    /// one at the lowest offset is returned. Takes time linear in the number
    /// of nodes and calls `cost` once per allocation; see
    /// [`cheapest_window_near`](Self::cheapest_window_near) for a bounded
    /// search.
    ///
    /// Returns `None` if pinned allocations leave no such window, if `size` is
    /// zero or exceeds the capacity, or if `align` is not a power of two.
    ///
    /// A window is about bytes: at the limit of live allocations one without
    /// victims is no room yet, as
    /// [`largest_hole_below_limit`](Self::largest_hole_below_limit) tells.
    ///
    /// # Examples
    ///
    /// ```
    /// use mc_offset::OffsetAllocator;
    ///
    /// let mut allocator = OffsetAllocator::new(100)?;
    /// let blocks: Vec<_> = (0..10).map(|_| allocator.allocate(10)).collect::<Result<_, _>>()?;
    /// // Old blocks are cheap to evict; the oldest of all is pinned.
    /// let cost = |block: &_| blocks.iter().position(|b| b == block).filter(|&age| age > 0);
    /// let window = allocator
    ///     .cheapest_window(25, 1, |block| cost(block).map(|cost| cost as u64))
    ///     .expect("ten blocks hold 25 bytes");
    /// assert_eq!(window.victims, blocks[1..4]);
    /// assert_eq!((window.offset, window.size, window.cost), (10, 30, 6));
    /// # Ok::<(), Box<dyn std::error::Error>>(())
    /// ```
    pub fn cheapest_window(
        &self,
        size: u64,
        align: u64,
        cost: impl FnMut(&Allocation) -> Option<u64>,
    ) -> Option<Window> {
        let mut search = self.window_search(size, align)?;
        search.scan(self.space().spans(), cost);
        search.finish(self.space())
    }

    /// As [`cheapest_window`](Self::cheapest_window) among the windows that
    /// contain or touch one of `candidates`, such as the least recently used
    /// objects.
    ///
    /// Looks at the nodes within `size + align` bytes on either side of each
    /// candidate; a candidate that is not live is passed over.
    pub fn cheapest_window_near(
        &self,
        candidates: impl IntoIterator<Item = Allocation>,
        size: u64,
        align: u64,
        mut cost: impl FnMut(&Allocation) -> Option<u64>,
    ) -> Option<Window> {
        let mut search = self.window_search(size, align)?;
        let reach = size.saturating_add(align);
        for candidate in candidates {
            if !self.is_live(candidate) {
                continue;
            }
            let space = self.space();
            let candidate = space.span_of(candidate);
            let end = candidate.end().saturating_add(reach);
            let mut first = candidate;
            while candidate.offset - first.offset < reach
                && let Some(before) = space.span_before(&first)
            {
                first = before;
            }
            let spans = core::iter::successors(Some(first), |span| space.span_after(span));
            search.scan(spans.take_while(|span| span.offset < end), &mut cost);
        }
        search.finish(self.space())
    }

    fn window_search(&self, size: u64, align: u64) -> Option<WindowSearch> {
        let charge = self
            .charged_size(size)
            .filter(|_| align.is_power_of_two())?;
        Some(WindowSearch {
            charge,
            step: self.options().step(align),
            best: None,
        })
    }
}

/// The best window so far.
#[derive(Clone, Copy, Debug)]
struct Best {
    cost: u128,
    first: Span,
    end: u64,
}

/// A search for the cheapest window over one or more parts of the range.
#[derive(Debug)]
struct WindowSearch {
    charge: u64,
    step: u64,
    best: Option<Best>,
}

impl WindowSearch {
    /// Slides a window over spans that follow one another.
    fn scan(
        &mut self,
        spans: impl Iterator<Item = Span>,
        mut cost: impl FnMut(&Allocation) -> Option<u64>,
    ) {
        let mut window: VecDeque<(Span, u64)> = VecDeque::new();
        let mut total: u128 = 0;
        for span in spans {
            let span_cost = match &span.content {
                Content::Live(allocation) => cost(allocation),
                Content::Free => Some(0),
            };
            if let Some(span_cost) = span_cost {
                window.push_back((span, span_cost));
                total += u128::from(span_cost);
                self.shrink(&mut window, &mut total, span.end());
                self.judge(&window, total, span.end());
            } else {
                window.clear();
                total = 0;
            }
        }
    }

    /// Drops spans at the low end while the rest is large enough.
    fn shrink(&self, window: &mut VecDeque<(Span, u64)>, total: &mut u128, end: u64) {
        while let Some((first, cost)) = window.front()
            && self.fits(first.end(), end)
        {
            *total -= u128::from(*cost);
            window.pop_front();
        }
    }

    fn judge(&mut self, window: &VecDeque<(Span, u64)>, total: u128, end: u64) {
        let Some(&(first, _)) = window.front() else {
            return;
        };
        let is_better = self.best.is_none_or(|best| total < best.cost);
        if is_better && self.fits(first.offset, end) {
            self.best = Some(Best {
                cost: total,
                first,
                end,
            });
        }
    }

    fn fits(&self, start: u64, end: u64) -> bool {
        let aligned = start.checked_next_multiple_of(self.step);
        let room = aligned.and_then(|at| end.checked_sub(at));
        room.is_some_and(|room| room >= self.charge)
    }

    /// Reads the victims of the best window and the hole that they leave.
    fn finish(self, space: &Space) -> Option<Window> {
        let Best { cost, first, end } = self.best?;
        // Holes beside the window become part of the hole.
        let before = space.free_before(&first);
        let mut victims = Vec::new();
        let mut next = Some(first);
        while let Some(span) = next.filter(|span| span.offset < end) {
            if let Content::Live(allocation) = span.content {
                victims.push(allocation);
            }
            next = space.span_after(&span);
        }
        Some(Window {
            offset: first.offset - before,
            size: before + (end - first.offset) + next.map_or(0, |span| span.free_bytes()),
            cost,
            victims,
        })
    }
}
