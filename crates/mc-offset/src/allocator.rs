//! The single-threaded allocator: placing, freeing, splitting, coalescing.
//!
//! [`Chain`] says what lies beside what, [`Holes`] finds holes by size, and
//! this file keeps the two in step. The choice of a hole is in
//! `search.rs`, what can be asked in `report.rs`.

use core::{hint::select_unpredictable, ops::Range};

use crate::{
    allocation::{Allocation, Serials},
    error::{AllocError, FreeError, OptionsError},
    holes::{Hole, Holes},
    nodes::{ANCHOR, Chain, Node},
    options::Options,
    parked::Parked,
    slab::SlabFull,
    trend::Trend,
};

/// Places objects in an address range of up to 2^64 − 1 bytes that it never
/// touches.
///
/// See the [crate documentation](crate) for the model and the guarantees.
/// For use from several threads see `SharedAllocator` (feature `std`).
///
/// # Examples
///
/// ```
/// use mc_offset::{AllocError, OffsetAllocator};
///
/// let mut allocator = OffsetAllocator::new(1000)?;
/// let a = allocator.allocate(600)?;
/// let b = allocator.allocate(400)?;
/// assert_eq!((a.offset(), b.offset()), (0, 600));
/// assert_eq!(
///     allocator.allocate(1),
///     Err(AllocError::NoHole { asked: 1, free: 0, largest_hole: 0 }),
/// );
/// allocator.free(a)?;
/// assert!(allocator.free(a).is_err(), "a second free is refused");
/// # Ok::<(), Box<dyn std::error::Error>>(())
/// ```
#[derive(Debug)]
pub struct OffsetAllocator {
    pub(crate) options: Options,
    pub(crate) chain: Chain,
    pub(crate) holes: Holes,
    /// The block freed last: a hole that is not in `holes`. Every operation
    /// that changes anything else settles it first.
    pub(crate) parked: Parked,
    /// Whether a block that is freed will be asked for as it is: set when a
    /// request uses up a whole hole, cleared when a parked block is not taken.
    pub(crate) sizes_repeat: bool,
    pub(crate) serials: Serials,
    /// What adaptive fit follows.
    pub(crate) trend: Trend,
    /// Sum of the sizes asked for of the live allocations.
    pub(crate) live_bytes: u64,
    /// Sum of what they are charged: `capacity` − `charged_bytes` is free.
    pub(crate) charged_bytes: u64,
}

impl OffsetAllocator {
    /// Makes an allocator for `capacity` bytes with the default options.
    ///
    /// # Errors
    ///
    /// [`OptionsError::ZeroCapacity`], or [`OptionsError::OutOfMemory`] if the
    /// heap cannot hold the first nodes.
    pub fn new(capacity: u64) -> Result<Self, OptionsError> {
        Self::with_options(Options::new(capacity))
    }

    /// Makes an allocator; all of its capacity is one hole.
    ///
    /// # Errors
    ///
    /// An [`OptionsError`] that names the option that cannot be had.
    pub fn with_options(options: Options) -> Result<Self, OptionsError> {
        options.validate()?;
        let (chain, holes) = empty_tables(&options)?;
        Ok(Self {
            options,
            chain,
            holes,
            parked: Parked::NONE,
            sizes_repeat: true,
            serials: Serials::new(),
            trend: Trend::new(),
            live_bytes: 0,
            charged_bytes: 0,
        })
    }

    /// Finds a place for `size` bytes.
    ///
    /// Takes constant time where a hole is found in the bins that the
    /// [`Fit`](crate::Fit) looks at first; a request that only the last holes
    /// of the highest bin could take reads all of those.
    ///
    /// # Errors
    ///
    /// [`ZeroSize`](AllocError::ZeroSize), [`TooLarge`](AllocError::TooLarge),
    /// [`NoHole`](AllocError::NoHole) (for fits other than `BinExact` and
    /// `BinCeil` only if no hole has the size),
    /// [`LimitReached`](AllocError::LimitReached), or
    /// [`OutOfMemory`](AllocError::OutOfMemory).
    #[inline]
    pub fn allocate(&mut self, size: u64) -> Result<Allocation, AllocError> {
        if let Some(allocation) = self.reuse_parked(size) {
            return Ok(allocation);
        }
        if size > self.holes.largest_bound() && !self.parked.is_some() {
            return self.refuse(size);
        }
        self.serve(size)
    }

    /// Finds a place for `size` bytes, whatever there is to decide.
    ///
    /// In a function of its own: a processor that is fetching the node of one
    /// victim goes on to the next only if few instructions lie between them,
    /// registers that a longer function saves among them; and here are enough
    /// registers for the search, which a caller with a lock has not left.
    #[inline(never)]
    pub(crate) fn serve(&mut self, size: u64) -> Result<Allocation, AllocError> {
        self.decide(size)
    }

    /// What [`serve`](Self::serve) does, in the function of its caller.
    #[inline(always)]
    pub(crate) fn decide(&mut self, size: u64) -> Result<Allocation, AllocError> {
        let charge = self.admit(size)?;
        if self.parked.is_some() {
            if let Some(allocation) = self.unpark(size, charge) {
                return Ok(allocation);
            }
            self.settle();
        }
        let Some((hole, at)) = self.find(charge) else {
            return Err(self.no_hole(size));
        };
        self.carve(hole, at, size, charge)
    }

    /// Refuses a request for more bytes than any hole has.
    fn refuse(&mut self, size: u64) -> Result<Allocation, AllocError> {
        self.admit(size)?;
        Err(self.no_hole(size))
    }

    /// Finds a place for `size` bytes at a multiple of `align`, a power of
    /// two.
    ///
    /// The bytes skipped to reach the multiple stay free. Takes constant time
    /// where a hole of `size + align` bytes or one of the first holes looked
    /// at will do; otherwise it reads the holes of the bins from the size's
    /// own upwards.
    ///
    /// # Errors
    ///
    /// As [`allocate`](Self::allocate), and
    /// [`AlignNotPowerOfTwo`](AllocError::AlignNotPowerOfTwo).
    pub fn allocate_aligned(&mut self, size: u64, align: u64) -> Result<Allocation, AllocError> {
        if !align.is_power_of_two() {
            return Err(AllocError::AlignNotPowerOfTwo { align });
        }
        if align <= self.options.granule {
            return self.allocate(size);
        }
        let charge = self.admit(size)?;
        self.settle();
        let Some((hole, at)) = self.find_aligned(charge, align) else {
            return Err(self.no_hole(size));
        };
        self.carve(hole, at, size, charge)
    }

    /// Gives the bytes of an allocation back and merges them with the holes
    /// beside them, in constant time.
    ///
    /// # Errors
    ///
    /// [`NotLive`](FreeError::NotLive) if the token was freed before or is
    /// another allocator's; [`OutOfMemory`](FreeError::OutOfMemory) if the
    /// heap cannot hold the record of a new hole, which leaves the allocation
    /// live.
    #[inline]
    pub fn free(&mut self, allocation: Allocation) -> Result<(), FreeError> {
        if self.park(allocation) {
            Ok(())
        } else {
            self.release_apart(allocation)
        }
    }

    /// As [`release`](Self::release), in a function of its own, as
    /// [`serve`](Self::serve) is.
    #[inline(never)]
    fn release_apart(&mut self, allocation: Allocation) -> Result<(), FreeError> {
        self.release(allocation)
    }

    /// Frees an allocation that is not to be parked.
    #[inline(always)]
    pub(crate) fn release(&mut self, allocation: Allocation) -> Result<(), FreeError> {
        let (index, serial) = (allocation.node(), allocation.serial());
        let Some(&Node { prev, next, .. }) = self.chain.allocation(index, serial) else {
            return Err(not_live(allocation));
        };
        self.settle();
        let (offset, size) = (allocation.offset(), allocation.size());
        let charge = self.charge(size);
        if self.chain.hole_bit(prev) | self.chain.hole_bit(next) != 0 {
            self.merge(index, prev, next, offset, charge);
        } else {
            self.holes.reserve_one()?;
            let hole = self.holes.insert(offset, charge, index);
            self.chain.set_hole(index, hole);
        }
        self.live_bytes -= size;
        self.charged_bytes -= charge;
        Ok(())
    }

    /// Frees every allocation and makes all tokens stale.
    ///
    /// # Errors
    ///
    /// [`OptionsError::OutOfMemory`] if the heap cannot hold the first nodes
    /// of the fresh state; nothing is freed then.
    pub fn reset(&mut self) -> Result<(), OptionsError> {
        (self.chain, self.holes) = empty_tables(&self.options)?;
        self.parked = Parked::NONE;
        (self.live_bytes, self.charged_bytes) = (0, 0);
        Ok(())
    }

    /// Returns the bytes that a request of `size` would take from the holes:
    /// `size` rounded up to the granule and, for
    /// [`Fit::BinCeil`](crate::Fit::BinCeil), to a bin;
    /// `None` if that exceeds the capacity or `size` is zero.
    pub fn charged_size(&self, size: u64) -> Option<u64> {
        self.options.charged_size(size)
    }

    /// Checks a request against everything but the holes and returns its
    /// charge.
    #[inline]
    pub(crate) fn admit(&self, size: u64) -> Result<u64, AllocError> {
        let capacity = self.options.capacity;
        if size == 0 {
            return Err(AllocError::ZeroSize);
        }
        if size > capacity {
            return Err(AllocError::TooLarge {
                asked: size,
                capacity,
            });
        }
        match self.options.max_allocations {
            Some(limit) if self.allocation_count() >= limit => {
                Err(AllocError::LimitReached { limit })
            }
            _ => Ok(self.charge(size)),
        }
    }

    /// Returns the charge of a size that is at most the capacity.
    #[inline]
    pub(crate) fn charge(&self, size: u64) -> u64 {
        self.options.charge(size)
    }

    /// Takes `charge` bytes at offset `at` out of a hole that has them; what
    /// is left before and after them stays free.
    // Always: the token is not copied through memory then.
    #[inline(always)]
    pub(crate) fn carve(
        &mut self,
        hole: u32,
        at: u64,
        size: u64,
        charge: u64,
    ) -> Result<Allocation, AllocError> {
        let &Hole {
            offset: start,
            size: room,
            node: hole_node,
            ..
        } = self.holes.hole(hole);
        let (end, hole_end) = (at + charge, start + room);
        debug_assert!(start <= at && end <= hole_end);
        let serial = self.serials.issue();
        let is_inside = (at - start).min(hole_end - end) != 0;
        let node = if charge == room {
            self.sizes_repeat = true;
            self.holes.remove(hole);
            self.chain.fill_hole(hole_node, size, serial);
            hole_node
        } else if is_inside {
            self.carve_inside(hole, at..end, size, serial)?
        } else {
            // Which end is taken is as good as random: no branch.
            self.chain.reserve(1)?;
            let is_front = at == start;
            let after = self.chain.node(hole_node).next;
            let rest = select_unpredictable(is_front, end, start);
            let next = select_unpredictable(is_front, hole_node, after);
            self.holes.reshape(hole, rest, room - charge);
            self.chain.insert_allocation(next, size, serial)
        };
        self.live_bytes += size;
        self.charged_bytes += charge;
        Ok(Allocation::new(at, size, serial, node))
    }

    /// Cuts the bytes of an allocation out of a hole that begins before and
    /// ends behind them, and returns its node.
    fn carve_inside(
        &mut self,
        hole: u32,
        taken: Range<u64>,
        size: u64,
        serial: u64,
    ) -> Result<u32, AllocError> {
        let &Hole {
            offset: start,
            size: room,
            node: hole_node,
            ..
        } = self.holes.hole(hole);
        self.chain.reserve(2)?;
        self.holes.reserve_one()?;
        self.holes.reshape(hole, start, taken.start - start);
        let back = self.chain.insert_before(self.chain.node(hole_node).next);
        let back_hole = self.holes.insert(taken.end, start + room - taken.end, back);
        self.chain.set_hole(back, back_hole);
        Ok(self.chain.insert_allocation(back, size, serial))
    }

    /// Merges `charge` bytes at `offset`, an allocation's, with the holes
    /// beside its node, of which there is at least one.
    #[inline]
    fn merge(&mut self, index: u32, prev: u32, next: u32, offset: u64, charge: u64) {
        // Which of them is a hole is as good as random: no branch.
        let (below, above) = (self.chain.hole_bit(prev), self.chain.hole_bit(next));
        self.chain.remove(index);
        let neighbor = select_unpredictable(below != 0, prev, next);
        let hole = self.chain.hole_of(neighbor);
        let &Hole {
            offset: start,
            size: mut room,
            ..
        } = self.holes.hole(hole);
        if below & above != 0 {
            let above = self.chain.hole_of(next);
            room += self.holes.hole(above).size;
            self.holes.remove(above);
            self.chain.remove_hole(next);
        }
        self.holes.reshape(hole, start.min(offset), room + charge);
        if self.chain.is_mostly_vacant() {
            self.chain.trim();
        }
        if self.holes.is_mostly_vacant() {
            self.holes.trim();
        }
        if self.chain.len() == 1 && self.chain.has_grown() {
            self.start_over();
        }
    }

    /// Gives the tables that were grown for allocations that are gone back.
    #[cold]
    fn start_over(&mut self) {
        debug_assert_eq!(self.allocation_count(), 0);
        if let Ok(tables) = empty_tables(&self.options) {
            (self.chain, self.holes) = tables;
        }
    }

    #[cold]
    pub(crate) fn no_hole(&mut self, asked: u64) -> AllocError {
        let free = self.free_bytes();
        let largest_hole = self.holes.tighten_bound().min(free);
        AllocError::NoHole {
            asked,
            free,
            largest_hole,
        }
    }
}

/// Returns the tables of an allocator without allocations.
fn empty_tables(options: &Options) -> Result<(Chain, Holes), SlabFull> {
    let mut chain = Chain::new()?;
    let mut holes = Holes::new(options.fit.scale(), options.capacity)?;
    chain.reserve(1)?;
    holes.reserve_one()?;
    let node = chain.insert_before(ANCHOR);
    let hole = holes.insert(0, options.capacity, node);
    chain.set_hole(node, hole);
    Ok((chain, holes))
}

#[cold]
pub(crate) fn not_live(allocation: Allocation) -> FreeError {
    FreeError::NotLive {
        offset: allocation.offset(),
        size: allocation.size(),
    }
}
