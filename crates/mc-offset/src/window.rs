//! What to evict to make a hole: the cheapest run of neighbors that is large
//! enough once they are gone.

use alloc::{collections::VecDeque, vec::Vec};

use crate::{
    allocation::Allocation,
    allocator::OffsetAllocator,
    nodes::{ANCHOR, Content},
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
        search.scan(self, self.chain.node(ANCHOR).next, 0, u64::MAX, cost);
        search.finish(self)
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
            let (mut node, mut start) = (candidate.node(), candidate.offset());
            while candidate.offset() - start < reach && self.chain.node(node).prev != ANCHOR {
                node = self.chain.node(node).prev;
                start -= self.content_bytes(self.chain.node(node).content());
            }
            let end = candidate
                .offset()
                .saturating_add(self.charge(candidate.size()));
            search.scan(self, node, start, end.saturating_add(reach), &mut cost);
        }
        search.finish(self)
    }

    fn window_search(&self, size: u64, align: u64) -> Option<WindowSearch> {
        let is_possible = size != 0 && size <= self.capacity() && align.is_power_of_two();
        let charge = is_possible.then(|| self.charge(size))?;
        Some(WindowSearch {
            charge,
            align,
            best: None,
        })
    }
}

/// One node of the window that is slid over the chain.
#[derive(Clone, Copy, Debug)]
struct Span {
    node: u32,
    offset: u64,
    end: u64,
    cost: u64,
}

/// The best window so far, as its cost, first node, offset, and end.
type Best = (u128, u32, u64, u64);

/// A search for the cheapest window over one or more parts of the chain.
#[derive(Debug)]
struct WindowSearch {
    charge: u64,
    align: u64,
    best: Option<Best>,
}

impl WindowSearch {
    /// Slides a window from `node`, which begins at `offset`, over the nodes
    /// that begin before `end`.
    fn scan(
        &mut self,
        allocator: &OffsetAllocator,
        node: u32,
        offset: u64,
        end: u64,
        mut cost: impl FnMut(&Allocation) -> Option<u64>,
    ) {
        let mut window: VecDeque<Span> = VecDeque::new();
        let mut total: u128 = 0;
        let (mut node, mut offset) = (node, offset);
        while node != ANCHOR && offset < end {
            let content = allocator.chain.node(node).content();
            let span_end = offset + allocator.content_bytes(content);
            let span_cost = match content {
                Content::Allocation { requested, serial } => {
                    cost(&Allocation::new(offset, requested, serial, node))
                }
                Content::Hole(_) | Content::Parked { .. } | Content::Anchor => Some(0),
            };
            if let Some(span_cost) = span_cost {
                window.push_back(Span {
                    node,
                    offset,
                    end: span_end,
                    cost: span_cost,
                });
                total += u128::from(span_cost);
                self.shrink(&mut window, &mut total, span_end);
                self.judge(&window, total, span_end);
            } else {
                window.clear();
                total = 0;
            }
            offset = span_end;
            node = allocator.chain.node(node).next;
        }
    }

    /// Drops spans at the low end while the rest is large enough.
    fn shrink(&self, window: &mut VecDeque<Span>, total: &mut u128, end: u64) {
        while let Some(first) = window.front()
            && self.fits(first.end, end)
        {
            *total -= u128::from(first.cost);
            window.pop_front();
        }
    }

    fn judge(&mut self, window: &VecDeque<Span>, total: u128, end: u64) {
        let Some(first) = window.front() else { return };
        let is_better = self.best.is_none_or(|(cost, ..)| total < cost);
        if is_better && self.fits(first.offset, end) {
            self.best = Some((total, first.node, first.offset, end));
        }
    }

    fn fits(&self, start: u64, end: u64) -> bool {
        let aligned = start.checked_next_multiple_of(self.align);
        let room = aligned.and_then(|at| end.checked_sub(at));
        room.is_some_and(|room| room >= self.charge)
    }

    /// Reads the victims of the best window and the hole that they leave.
    fn finish(self, allocator: &OffsetAllocator) -> Option<Window> {
        let (cost, first, start, end) = self.best?;
        let mut victims = Vec::new();
        let (mut node, mut offset) = (first, start);
        while offset < end {
            let content = allocator.chain.node(node).content();
            if let Content::Allocation { requested, serial } = content {
                victims.push(Allocation::new(offset, requested, serial, node));
            }
            offset += allocator.content_bytes(content);
            node = allocator.chain.node(node).next;
        }
        // Holes beside the window become part of the hole.
        let hole_bytes = |node| match allocator.chain.node(node).content() {
            content @ (Content::Hole(_) | Content::Parked { .. }) => {
                allocator.content_bytes(content)
            }
            Content::Allocation { .. } | Content::Anchor => 0,
        };
        let before = hole_bytes(allocator.chain.node(first).prev);
        let size = before + (end - start) + hole_bytes(node);
        Some(Window {
            offset: start - before,
            size,
            cost,
            victims,
        })
    }
}
