//! Slots of one size: [`SlotAllocator`] and the index it hands out.
//!
//! Each file below knows one thing: `geometry` the arithmetic of the bitmap's shape, `bitmap` which
//! slots are free, `shard` how many of a region may still be promised, `tip` where to try again after
//! a refusal. This file takes a promise from the second before it claims a bit in the first.

use alloc::boxed::Box;
use core::fmt;
use core::ops::RangeTo;

use crate::sync;

mod bitmap;
mod error;
mod geometry;
mod live;
mod shard;
mod tip;

pub use error::{SlotAllocAtError, SlotAllocError, SlotFreeError, SlotLayoutError};
pub use live::LiveSlots;

use bitmap::Bitmap;
use geometry::Geometry;
use shard::Shard;
use tip::Tip;

/// Names one slot of a [`SlotAllocator`]: slots are numbered from 0 in address order.
///
/// An index carries no generation. See the [limits](SlotAllocator#limits).
#[derive(Clone, Copy, Debug, Eq, Hash, Ord, PartialEq, PartialOrd)]
pub struct SlotIndex(u32);

impl SlotIndex {
    /// Returns the name of slot number `index`.
    #[must_use]
    pub const fn new(index: u32) -> Self {
        Self(index)
    }

    /// Returns the number of the slot.
    #[must_use]
    pub const fn as_u32(self) -> u32 {
        self.0
    }
}

/// Allocator of slots of one size in an address range it never touches, for any number of threads.
///
/// For segments that hold objects of one size: a slot costs little more than one bit, and no call waits
/// for another.
///
/// ```text
///                    region 0                      region 1
///
///  balances     2 free, 7 put back           0 free, 9 put back           exact
///
///  level 2      [ 1 0 … ]                    [ 1 0 … ]                    advice: which words
///                 |                            |                         below to try
///  level 1      [ 1 1 0 … ] [ 0 … ] …        [ 1 0 0 … ] [ 0 … ] …
///                 | |                          |
///  level 0      [ 0100… ] [ 1000… ] …        [ 0000… ] [ 0000… ] …        exact: 1 is free
///    slots        0–63     64–127
/// ```
///
/// A request takes one off the balance of a region, which promises it a slot there, then claims
/// whichever free bit it finds. A slot that comes back has its bit set first and is counted last. So
/// there is a bit for every promise, and a refusal depends on at most 8 balances and on nothing else:
/// the levels of advice may lag behind.
///
/// # Guarantees
///
/// - No slot is handed out twice, and none is lost: at rest as many slots can be allocated as are not
///   live.
/// - [`allocate`](Self::allocate) fails only if there was a moment during the call at which every slot
///   was live, or promised to a call in progress. It is never refused while some slot stays free, nor
///   while free slots move about.
/// - All operations are lock-free. What the owner of a slot did before [`free`](Self::free) happens
///   before what the next owner does after [`allocate`](Self::allocate).
/// - [`free`](Self::free) takes O(1) steps, at most one for each of four levels. So does [`allocate`](Self::allocate) while the word that it tries
///   first, most often that of the slot freed last, has a free slot; otherwise it searches in
///   O(log slots), plus one step for each word whose advice is out of date, which a free has paid for
///   once. A refusal that nobody disturbs reads each balance at most three times.
/// - [`metadata_bytes`](Self::metadata_bytes) is 0.127 bytes a slot at 2^24 slots.
///
/// # Limits
///
/// - A slot has no generation: that would take more memory than its bit. Freeing a free slot is an
///   error, but a stale index whose slot has been handed out again is taken for the new owner's.
/// - At most 2^32 − 1 slots.
/// - Threads that use the slots of one region share its balance. Regions have 32768 slots or more, so
///   an allocator of fewer has one balance.
/// - Put-backs are counted modulo 2^32: a refusal could be wrong if a call were suspended between two
///   readings for exactly that many of them and found all slots live before and after.
///
/// # Examples
///
/// ```
/// use mc_offset::{SlotAllocator, SlotFreeError};
///
/// let slots = SlotAllocator::new(4096, 1000)?;
/// let first = slots.allocate()?;
/// let second = slots.allocate()?;
/// assert_ne!(first, second);
/// assert_eq!(slots.offset_of(second) % 4096, 0);
///
/// slots.free(first)?;
/// let index = first.as_u32();
/// assert_eq!(slots.free(first), Err(SlotFreeError::NotLive { index }));
/// assert_eq!(slots.live_slots().collect::<Vec<_>>(), [second]);
/// # Ok::<(), Box<dyn std::error::Error>>(())
/// ```
pub struct SlotAllocator {
    /// Not zero; times the number of slots it is less than 2^64.
    slot_bytes: u64,
    bitmap: Bitmap,
    /// One for each region. At rest a balance is the number of bits set in the region's words of
    /// level 0.
    shards: Box<[Shard]>,
    tip: Tip,
}

impl SlotAllocator {
    /// Makes an allocator of `slots` free slots of `slot_bytes` bytes each, at offsets from 0 on.
    ///
    /// # Errors
    ///
    /// If either number is zero, or the end of the last slot is above 2^64 − 1.
    pub fn new(slot_bytes: u64, slots: u32) -> Result<Self, SlotLayoutError> {
        if slot_bytes == 0 {
            return Err(SlotLayoutError::ZeroSlotBytes);
        }
        if slots == 0 {
            return Err(SlotLayoutError::NoSlots {
                slot_bytes,
                range_bytes: 0,
            });
        }
        if slot_bytes.checked_mul(u64::from(slots)).is_none() {
            return Err(SlotLayoutError::RangeTooLong { slot_bytes, slots });
        }
        let geometry = Geometry::new(slots);
        let shards = (0..geometry.shards())
            .map(|shard| {
                Shard::new(
                    geometry.shard_slots(shard),
                    geometry.words_of(shard, 0).start,
                )
            })
            .collect();
        Ok(Self {
            slot_bytes,
            bitmap: Bitmap::new(geometry),
            shards,
            tip: Tip::new(),
        })
    }

    /// Makes an allocator of as many slots of `slot_bytes` bytes as lie in `range`; bytes at its end
    /// that make no whole slot are not used.
    ///
    /// # Errors
    ///
    /// If `slot_bytes` is zero, or the range holds no slot or more than 2^32 − 1.
    ///
    /// # Examples
    ///
    /// ```
    /// let slots = mc_offset::SlotAllocator::filling(..10_000, 4096)?;
    /// assert_eq!(slots.capacity(), 2);
    /// # Ok::<(), mc_offset::SlotLayoutError>(())
    /// ```
    pub fn filling(range: RangeTo<u64>, slot_bytes: u64) -> Result<Self, SlotLayoutError> {
        let range_bytes = range.end;
        let slots = range_bytes
            .checked_div(slot_bytes)
            .ok_or(SlotLayoutError::ZeroSlotBytes)?;
        if slots == 0 {
            return Err(SlotLayoutError::NoSlots {
                slot_bytes,
                range_bytes,
            });
        }
        match u32::try_from(slots) {
            Ok(slots) => Self::new(slot_bytes, slots),
            Err(_) => Err(SlotLayoutError::TooManySlots {
                slot_bytes,
                slots,
                slots_max: u32::MAX,
            }),
        }
    }

    /// Hands out a free slot.
    ///
    /// Which one is not specified; it tends to be one that was freed lately.
    ///
    /// # Errors
    ///
    /// If at one moment during the call every slot was live or promised to a call in progress.
    #[inline]
    pub fn allocate(&self) -> Result<SlotIndex, SlotAllocError> {
        let home = self.bitmap.geometry().home_of(sync::thread_hint());
        let first = self.tip.take().unwrap_or(home);
        if self.shards[first].promise() {
            return Ok(self.claim_promised(first));
        }
        self.allocate_away(home)
    }

    /// Hands out `slot`, as when live slots written down elsewhere are restored.
    ///
    /// # Errors
    ///
    /// If there is no such slot, or it is live. Beside other calls in progress, also if all free slots
    /// of its region are promised to them.
    ///
    /// A call that loses its slot to another one at the last moment counts as one live slot of the
    /// region until it returns.
    pub fn allocate_at(&self, slot: SlotIndex) -> Result<(), SlotAllocAtError> {
        let SlotIndex(index) = slot;
        let slots = self.capacity();
        if index >= slots {
            return Err(SlotAllocAtError::OutOfRange { index, slots });
        }
        if !self.bitmap.is_free(index) {
            return Err(SlotAllocAtError::Live { index });
        }
        let (_, number) = self.place_of(slot);
        let shard = &self.shards[number];
        if !shard.promise() {
            return Err(SlotAllocAtError::Promised { index });
        }
        if !self.bitmap.claim_at(index) {
            shard.put_back();
            return Err(SlotAllocAtError::Live { index });
        }
        Ok(())
    }

    /// Takes `slot` back.
    ///
    /// # Errors
    ///
    /// If there is no such slot, or it is free already; nothing changes then.
    #[inline]
    pub fn free(&self, slot: SlotIndex) -> Result<(), SlotFreeError> {
        let SlotIndex(index) = slot;
        let slots = self.capacity();
        if index >= slots {
            return Err(SlotFreeError::OutOfRange { index, slots });
        }
        if !self.bitmap.release(index) {
            return Err(SlotFreeError::NotLive { index });
        }
        let (word, number) = self.place_of(slot);
        let shard = &self.shards[number];
        shard.recommend(word);
        shard.put_back();
        self.tip.give(number);
        Ok(())
    }

    /// Returns the number of slots, live and free.
    #[must_use]
    #[inline]
    pub fn capacity(&self) -> u32 {
        self.bitmap.geometry().slots()
    }

    /// Returns the size of the range that the slots cover, in bytes.
    #[must_use]
    pub fn capacity_bytes(&self) -> u64 {
        self.slot_bytes * u64::from(self.capacity())
    }

    /// Returns the size of one slot, in bytes.
    #[must_use]
    pub fn slot_bytes(&self) -> u64 {
        self.slot_bytes
    }

    /// Returns the number of slots that are live or promised to calls in progress.
    ///
    /// Exact at rest; beside calls in progress each region is counted at a moment of its own. Reads at
    /// most 8 words.
    #[must_use]
    pub fn live_count(&self) -> u32 {
        self.capacity() - self.free_count()
    }

    /// Returns the number of slots that [`live_count`](Self::live_count) leaves.
    #[must_use]
    pub fn free_count(&self) -> u32 {
        // A slot that moves between regions during the sum can be counted in both.
        let free = self.shards.iter().fold(0, |sum: u32, shard| {
            sum.saturating_add(shard.read().free_slots())
        });
        free.min(self.capacity())
    }

    /// Tells whether `slot` is live; a slot that the allocator does not have is not.
    #[must_use]
    pub fn is_live(&self, slot: SlotIndex) -> bool {
        slot.0 < self.capacity() && !self.bitmap.is_free(slot.0)
    }

    /// Returns an iterator over the live slots, in address order.
    #[must_use]
    pub fn live_slots(&self) -> LiveSlots<'_> {
        LiveSlots::new(&self.bitmap)
    }

    /// Returns the offset of the first byte of `slot`.
    ///
    /// # Panics
    ///
    /// If the allocator has no such slot.
    #[must_use]
    #[inline]
    pub fn offset_of(&self, slot: SlotIndex) -> u64 {
        let SlotIndex(index) = slot;
        let slots = self.capacity();
        assert!(
            index < slots,
            "slot {index} of an allocator of {slots} slots"
        );
        u64::from(index) * self.slot_bytes
    }

    /// Returns the slot, live or free, in which the byte at `offset` lies.
    #[must_use]
    #[inline]
    pub fn slot_at(&self, offset: u64) -> Option<SlotIndex> {
        let index = u32::try_from(offset / self.slot_bytes).ok()?;
        (index < self.capacity()).then_some(SlotIndex(index))
    }

    /// Returns the memory that the allocator occupies, in bytes, itself included.
    #[must_use]
    pub fn metadata_bytes(&self) -> usize {
        size_of::<Self>() + self.bitmap.heap_bytes() + size_of_val(&*self.shards)
    }

    /// Checks that the balances, the bits and the levels above them agree.
    ///
    /// A test aid, in O(slots), for an allocator at rest: beside calls in progress it may panic.
    ///
    /// # Panics
    ///
    /// Naming the region, or the level and the word, that disagrees.
    pub fn check_invariants(&self) {
        self.bitmap.check_invariants();
        for (number, shard) in self.shards.iter().enumerate() {
            let words = self.bitmap.geometry().words_of(number, 0);
            assert!(
                words.contains(&shard.likely_word()),
                "region {number} recommends a foreign word"
            );
            let bits: u32 = words
                .map(|word| self.bitmap.free_bits(word).count_ones())
                .sum();
            assert_eq!(
                shard.read().free_slots(),
                bits,
                "region {number}: balance and bits differ"
            );
        }
    }

    /// Returns the word that has the bit of `slot`, and the number of the shard that counts it.
    #[inline]
    fn place_of(&self, slot: SlotIndex) -> (usize, usize) {
        let (word, _) = geometry::bit_of(slot.0);
        (word, self.bitmap.geometry().shard_of(word))
    }

    /// Claims a slot of shard number `number`, which has promised one.
    #[inline]
    fn claim_promised(&self, number: usize) -> SlotIndex {
        let shard = &self.shards[number];
        if let Some(index) = self.bitmap.claim_in(shard.likely_word()) {
            return SlotIndex(index);
        }
        let slot = SlotIndex(self.bitmap.claim_any(number));
        shard.recommend(self.place_of(slot).0);
        slot
    }

    /// Hands out a slot of any shard, `home` first, when the first shard tried had none.
    ///
    /// Refuses after two surveys that found nothing, and no slot put back between them. Only putting
    /// back raises a balance, so at the end of the first survey all were zero at once. Otherwise some
    /// call has put a slot back meanwhile, and the search goes on.
    #[inline(never)]
    fn allocate_away(&self, home: usize) -> Result<SlotIndex, SlotAllocError> {
        loop {
            let (put_backs, mut candidates) = self.survey();
            if candidates == 0 && (self.shards.len() == 1 || self.survey() == (put_backs, 0)) {
                self.tip.ask();
                let (slot_bytes, slots) = (self.slot_bytes, self.capacity());
                return Err(SlotAllocError::Exhausted { slot_bytes, slots });
            }
            while candidates != 0 {
                // From home on, so that threads without a slot at home spread out.
                let from_home = candidates >> home << home;
                let nearest = if from_home != 0 {
                    from_home
                } else {
                    candidates
                };
                let number = nearest.trailing_zeros() as usize;
                if self.shards[number].promise() {
                    return Ok(self.claim_promised(number));
                }
                candidates &= !(1 << number);
            }
        }
    }

    /// Reads every balance, and returns how many times slots were put back in all, and a word with a
    /// bit for each shard that has slots to promise.
    ///
    /// Without branches on what it reads: which region has a slot cannot be predicted.
    #[inline]
    fn survey(&self) -> (u64, u32) {
        let mut put_backs = 0;
        let mut candidates = 0;
        for (number, shard) in self.shards.iter().enumerate() {
            let reading = shard.read();
            put_backs += reading.put_backs();
            candidates |= u32::from(reading.free_slots() != 0) << number;
        }
        (put_backs, candidates)
    }
}

impl fmt::Debug for SlotAllocator {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("SlotAllocator")
            .field("slot_bytes", &self.slot_bytes)
            .field("capacity", &self.capacity())
            .field("live_count", &self.live_count())
            .finish_non_exhaustive()
    }
}

#[cfg(all(test, not(loom)))]
mod tests {
    use super::*;

    #[test]
    fn the_word_that_had_a_slot_is_tried_first_from_then_on() {
        let allocator = SlotAllocator::new(1, 128).unwrap();
        for taken in 0..65 {
            assert_eq!(allocator.shards[0].likely_word(), 0, "{taken} taken");
            assert!(allocator.allocate().is_ok());
        }
        assert_eq!(allocator.shards[0].likely_word(), 1);
    }

    #[test]
    fn a_survey_tells_who_has_slots_and_how_many_came_back() {
        let allocator = SlotAllocator::new(1, 32_769).unwrap();
        assert_eq!(allocator.survey(), (0, 0b11));
        let slots = [0, 1, 32_768].map(SlotIndex);
        assert!(
            slots
                .iter()
                .all(|&slot| allocator.allocate_at(slot).is_ok())
        );
        assert_eq!(allocator.survey(), (0, 0b01), "the second region had one");
        assert!(slots.iter().all(|&slot| allocator.free(slot).is_ok()));
        assert_eq!(allocator.survey(), (3, 0b11));
    }

    #[test]
    #[should_panic(expected = "region 0: balance and bits differ")]
    fn a_slot_that_no_balance_counts_is_noticed() {
        let allocator = SlotAllocator::new(1, 100).unwrap();
        assert!(allocator.bitmap.claim_at(7));
        allocator.check_invariants();
    }
}
