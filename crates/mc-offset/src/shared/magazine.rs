//! A few freed blocks of the sizes in use, kept back for the next request of
//! the same size.
//!
//! A block in a magazine is still allocated as far as the core knows. The
//! thread that frees a block keeps it, whoever allocated it. One thread at a
//! time occupies a magazine; one that finds it occupied goes to the core
//! instead of waiting, except to empty it.

use alloc::{boxed::Box, vec::Vec};
use core::array;
use std::sync::OnceLock;

use super::{MAGAZINE_COUNT, flags::Flags};
use crate::{
    allocation::Allocation,
    sync::{AtomicU64, AtomicUsize, Ordering, yield_now},
};

/// Sizes that a magazine keeps blocks of.
pub(super) const SIZES: usize = 4;

/// Blocks of one size that a magazine holds at most. Where requests and frees
/// of several sizes alternate at random, a shelf of so many is found empty or
/// full, and the core is needed, in a few of a hundred operations.
#[cfg(not(loom))]
const SHELF_LEN: usize = 64;
#[cfg(loom)]
const SHELF_LEN: usize = 1;

/// Blocks that a full shelf gives back at once.
const SPILL_LEN: usize = SHELF_LEN.div_ceil(2);

const OCCUPIED: u64 = 1;
/// One block put in, in the bits above the lowest.
const PUT: u64 = 2;

/// The magazines of an allocator, each at the number of its flag.
#[derive(Debug)]
pub(super) struct Magazines([Magazine; MAGAZINE_COUNT]);

impl Magazines {
    pub(super) fn new(flags: &'static Flags) -> Self {
        Self(array::from_fn(|own| Magazine::new(flags, own)))
    }

    /// Returns the magazine of a number, which threads beyond the number of
    /// magazines share.
    #[inline]
    pub(super) fn get(&self, number: usize) -> &Magazine {
        &self.0[number % MAGAZINE_COUNT]
    }

    pub(super) fn iter(&self) -> impl Iterator<Item = &Magazine> {
        self.0.iter()
    }
}

/// One thread's blocks, by size.
///
/// All fields but `state` are written only by the thread that occupies the
/// magazine, which makes `Relaxed` enough for them: occupying it acquires
/// what leaving it released. Read without occupation they are hints, but for
/// what [`most_kept`](Self::most_kept) says.
#[derive(Debug)]
#[repr(align(128))]
pub(super) struct Magazine {
    /// Bit 0: some thread occupies the magazine; set by compare-exchange with
    /// `Acquire`, cleared with `Release`: the partner of each is the other.
    /// Bits 1..64: blocks ever put in, modulo 2^63.
    state: AtomicU64,
    /// Bit [`mark`]`(size)` is set if a shelf is for `size`, and perhaps
    /// otherwise: what every request and every free looks at first.
    marks: AtomicU64,
    /// Bytes of the blocks on each shelf, 0 while it is for no size.
    sizes: [AtomicU64; SIZES],
    /// Blocks on each shelf, in its first entries. Stored with `Release`, so
    /// that who reads one also sees the magazine occupied if it is.
    lens: [AtomicUsize; SIZES],
    /// The shelf whose size is replaced next.
    next_shelf: AtomicUsize,
    flags: &'static Flags,
    /// The magazine's flag.
    own: usize,
    /// Made with the first shelf that is for a size.
    shelves: OnceLock<Box<[Shelves; 1]>>,
}

type Shelves = [[Entry; SHELF_LEN]; SIZES];

#[cfg(not(loom))]
const _: () = assert!(
    size_of::<Magazine>() == 128,
    "what an idle magazine takes is two lines"
);

/// The parts of a token that its size does not tell, each in an atomic of its
/// own.
#[derive(Debug)]
struct Entry {
    offset: AtomicU64,
    serial: AtomicU64,
    node: AtomicU64,
}

/// What became of a block that was to be kept.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Put {
    Kept,
    /// Its shelf is full.
    Full,
    /// It has no shelf, none should be kept, or the magazine is occupied.
    Declined,
}

/// What a magazine held at most at one moment.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Kept {
    pub(super) blocks: u64,
    /// Bytes that they take from the holes.
    pub(super) bytes: u64,
    /// Tells states apart: two equal ones mean that no block came in between.
    pub(super) puts: u64,
}

impl Magazine {
    pub(super) fn new(flags: &'static Flags, own: usize) -> Self {
        Self {
            state: AtomicU64::new(0),
            marks: AtomicU64::new(0),
            sizes: array::from_fn(|_| AtomicU64::new(0)),
            lens: array::from_fn(|_| AtomicUsize::new(0)),
            next_shelf: AtomicUsize::new(0),
            flags,
            own,
            shelves: OnceLock::new(),
        }
    }

    /// Makes the shelves, if the heap has room for them.
    fn make_shelves(&self) -> Option<()> {
        if self.shelves.get().is_none() {
            let mut shelves: Vec<Shelves> = Vec::new();
            shelves.try_reserve_exact(1).ok()?;
            shelves.push(array::from_fn(|_| array::from_fn(|_| Entry::new())));
            let shelves: Box<[Shelves; 1]> = shelves.into_boxed_slice().try_into().ok()?;
            let _ = self.shelves.set(shelves);
        }
        Some(())
    }

    /// Returns the entries of a shelf; there are some if it is for a size.
    #[inline]
    fn entries(&self, shelf: usize) -> Option<&[Entry; SHELF_LEN]> {
        Some(&self.shelves.get()?[0][shelf])
    }

    /// Takes out a block of exactly `size` bytes at a multiple of `align`.
    #[inline]
    pub(super) fn take(&self, size: u64, align: u64) -> Option<Allocation> {
        let at = self.shelf(size)?;
        if self.len(at) == 0 {
            return None;
        }
        let occupied = self.occupy()?;
        occupied.take(at, size, align)
    }

    /// Keeps a block if its size is in use, there is room, and the magazine is
    /// not occupied.
    #[inline]
    pub(super) fn put(&self, block: Allocation) -> Put {
        let Some(at) = self.shelf(block.size()) else {
            return Put::Declined;
        };
        if !self.flags.is_keeping() {
            return Put::Declined;
        }
        if self.len(at) == SHELF_LEN {
            return Put::Full;
        }
        match self.occupy() {
            Some(mut occupied) => occupied.put(at, block),
            None => Put::Declined,
        }
    }

    /// Returns whether a shelf is for `size`.
    pub(super) fn is_for(&self, size: u64) -> bool {
        self.shelf(size).is_some()
    }

    /// Returns no less than what the magazine holds when the call ends, if
    /// nobody occupies it and no block is put in before that is asked again
    /// and answered with equal `puts`.
    ///
    /// Whoever puts a block in occupies the magazine before the count of its
    /// shelf grows, so that such a count is never read between two equal
    /// answers; what is taken out meanwhile leaves less than was counted.
    pub(super) fn most_kept(&self, charge: impl Fn(u64) -> u64) -> Option<Kept> {
        let puts = self.puts()?;
        let mut kept = Kept {
            blocks: 0,
            bytes: 0,
            puts,
        };
        for at in 0..SIZES {
            let len = self.lens[at].load(Ordering::Acquire) as u64;
            kept.blocks += len;
            let charged = len.saturating_mul(charge(self.size_of(at)));
            kept.bytes = kept.bytes.saturating_add(charged);
        }
        (self.puts()? == puts).then_some(kept)
    }

    /// Returns how many blocks the magazine holds: a hint while it is used.
    pub(super) fn kept_about(&self) -> u64 {
        (0..SIZES).map(|at| self.len(at) as u64).sum()
    }

    /// Returns the blocks ever put in, if none is left. The magazine stays empty
    /// for as long as [`puts`](Self::puts) answers the same, by the reasons of
    /// [`most_kept`](Self::most_kept).
    #[inline]
    pub(super) fn puts_if_empty(&self) -> Option<u64> {
        let puts = self.puts()?;
        let is_empty = |len: &AtomicUsize| len.load(Ordering::Acquire) == 0;
        self.lens.iter().all(is_empty).then_some(puts)
    }

    /// Returns the blocks ever put in, unless the magazine is occupied.
    #[inline]
    pub(super) fn puts(&self) -> Option<u64> {
        let state = self.state.load(Ordering::Acquire);
        (state & OCCUPIED == 0).then_some(state)
    }

    /// Makes a shelf one for `size`, unless the magazine is occupied, after
    /// `reclaim` has made the blocks on it findable elsewhere.
    #[cold]
    pub(super) fn adopt(
        &self,
        size: u64,
        reclaim: impl FnOnce(&mut dyn Iterator<Item = Allocation>),
    ) {
        let Some((_occupied, ())) = self.occupy().zip(self.make_shelves()) else {
            return;
        };
        if self.shelf(size).is_some() {
            // Another thread with this magazine was first.
            return;
        }
        let next = self.next_shelf.load(Ordering::Relaxed);
        self.next_shelf.store((next + 1) % SIZES, Ordering::Relaxed);
        reclaim(&mut self.blocks(next));
        self.lens[next].store(0, Ordering::Release);
        self.sizes[next].store(size, Ordering::Relaxed);
        let marks = (0..SIZES).fold(0, |marks, at| marks | mark(self.size_of(at)));
        self.marks.store(marks, Ordering::Relaxed);
    }

    /// Moves all blocks of `size` bytes here from another magazine, as far as
    /// there is room and nobody occupies either.
    #[cold]
    pub(super) fn take_over(&self, other: &Self, size: u64) {
        let (Some(here), Some(there)) = (self.shelf(size), other.shelf(size)) else {
            return;
        };
        if other.len(there) == 0 {
            return;
        }
        let Some((mut own, others)) = self.occupy().zip(other.occupy()) else {
            return;
        };
        if other.size_of(there) != size {
            return;
        }
        // Each is here before it is gone from there, to whoever counts.
        let mut left = other.len(there);
        for block in other.blocks(there).rev() {
            if own.put(here, block) != Put::Kept {
                break;
            }
            left -= 1;
        }
        other.lens[there].store(left, Ordering::Release);
        drop(others);
    }

    /// Gives the blocks that have been on a full shelf the longest to `free`,
    /// and puts `block` on it instead.
    #[cold]
    pub(super) fn spill(&self, block: Allocation, mut free: impl FnMut(Allocation)) {
        let size = block.size();
        let Some((at, mut occupied)) = self.shelf(size).zip(self.occupy()) else {
            return free(block);
        };
        if self.size_of(at) == size
            && self.len(at) == SHELF_LEN
            && let Some(entries) = self.entries(at)
        {
            let (spilled, rest) = entries.split_at(SPILL_LEN);
            spilled.iter().for_each(|entry| free(entry.load(size)));
            for (entry, kept) in entries.iter().zip(rest) {
                entry.store(kept.load(size));
            }
            self.lens[at].store(SHELF_LEN - SPILL_LEN, Ordering::Release);
        }
        if occupied.put(at, block) != Put::Kept {
            free(block);
        }
    }

    /// Occupies the magazine to empty it, waiting for the thread that does.
    pub(super) fn drain(&self) -> Drain<'_> {
        loop {
            match self.occupy() {
                Some(occupied) => return Drain(occupied),
                None => yield_now(),
            }
        }
    }

    /// Returns the shelf of a size, which may be another's unless the magazine
    /// is occupied.
    #[inline]
    fn shelf(&self, size: u64) -> Option<usize> {
        if self.marks.load(Ordering::Relaxed) & mark(size) == 0 {
            return None;
        }
        (0..SIZES).find(|&at| self.size_of(at) == size)
    }

    #[inline]
    fn size_of(&self, shelf: usize) -> u64 {
        self.sizes[shelf].load(Ordering::Relaxed)
    }

    #[inline]
    fn len(&self, shelf: usize) -> usize {
        self.lens[shelf].load(Ordering::Relaxed)
    }

    fn blocks(&self, shelf: usize) -> impl DoubleEndedIterator<Item = Allocation> {
        let size = self.size_of(shelf);
        let entries = self
            .entries(shelf)
            .map_or(&[][..], |entries| &entries[..self.len(shelf)]);
        entries.iter().map(move |entry| entry.load(size))
    }

    #[inline]
    fn occupy(&self) -> Option<Occupied<'_>> {
        let state = self.state.load(Ordering::Relaxed) & !OCCUPIED;
        let free = self.state.compare_exchange(
            state,
            state | OCCUPIED,
            Ordering::Acquire,
            Ordering::Relaxed,
        );
        free.ok().map(|state| Occupied {
            magazine: self,
            left: state,
        })
    }
}

/// Ends the occupation when dropped.
struct Occupied<'a> {
    magazine: &'a Magazine,
    /// The state that is left behind.
    left: u64,
}

impl Occupied<'_> {
    /// Takes out the block of a shelf that was put in last of those at a
    /// multiple of `align`.
    #[inline]
    fn take(&self, at: usize, size: u64, align: u64) -> Option<Allocation> {
        let magazine = self.magazine;
        // The size of a shelf may have changed before it was occupied.
        if magazine.size_of(at) != size {
            return None;
        }
        let last = magazine.len(at).checked_sub(1)?;
        let entries = magazine.entries(at)?;
        let is_aligned = |entry: &Entry| entry.offset.load(Ordering::Relaxed) & (align - 1) == 0;
        let found = if is_aligned(&entries[last]) {
            last
        } else {
            entries[..last].iter().rposition(is_aligned)?
        };
        let block = entries[found].load(size);
        if found != last {
            entries[found].store(entries[last].load(size));
        }
        magazine.lens[at].store(last, Ordering::Release);
        Some(block)
    }

    /// Puts a block on a shelf if that is still for its size and has room;
    /// raises the magazine's flag with the first one.
    #[inline]
    fn put(&mut self, at: usize, block: Allocation) -> Put {
        let magazine = self.magazine;
        let len = magazine.len(at);
        // The size of a shelf may have changed before it was occupied.
        if magazine.size_of(at) != block.size() {
            return Put::Declined;
        }
        let Some(entry) = magazine.entries(at).and_then(|entries| entries.get(len)) else {
            return Put::Full;
        };
        magazine.flags.raise(magazine.own);
        entry.store(block);
        magazine.lens[at].store(len + 1, Ordering::Release);
        self.left = self.left.wrapping_add(PUT);
        Put::Kept
    }
}

impl Drop for Occupied<'_> {
    #[inline]
    fn drop(&mut self) {
        self.magazine.state.store(self.left, Ordering::Release);
    }
}

/// An occupied magazine whose blocks are on their way out.
pub(super) struct Drain<'a>(Occupied<'a>);

impl Drain<'_> {
    /// Returns the blocks; each has to find another place.
    pub(super) fn blocks(&self) -> impl Iterator<Item = Allocation> {
        let magazine = self.0.magazine;
        (0..SIZES).flat_map(|shelf| magazine.blocks(shelf))
    }

    /// Empties the magazine and lowers its flag.
    pub(super) fn finish(&self) {
        let Magazine {
            lens, flags, own, ..
        } = self.0.magazine;
        for len in lens {
            len.store(0, Ordering::Release);
        }
        if flags.is_raised(*own) {
            flags.lower(*own);
        }
    }

    /// As [`finish`](Self::finish), and leaves the magazine occupied: nothing
    /// is put in or taken out from here on.
    pub(super) fn finish_for_good(mut self) {
        self.finish();
        self.0.left |= OCCUPIED;
    }
}

impl Entry {
    fn new() -> Self {
        Self {
            offset: AtomicU64::new(0),
            serial: AtomicU64::new(0),
            node: AtomicU64::new(0),
        }
    }

    #[inline]
    fn store(&self, block: Allocation) {
        self.offset.store(block.offset(), Ordering::Relaxed);
        self.serial.store(block.serial(), Ordering::Relaxed);
        self.node.store(block.node().into(), Ordering::Relaxed);
    }

    #[inline]
    #[expect(
        clippy::cast_possible_truncation,
        reason = "only node indices are stored"
    )]
    fn load(&self, size: u64) -> Allocation {
        Allocation::new(
            self.offset.load(Ordering::Relaxed),
            size,
            self.serial.load(Ordering::Relaxed),
            self.node.load(Ordering::Relaxed) as u32,
        )
    }
}

/// Returns the bit that stands for a size in `Magazine::marks`. Sizes that come
/// at a common step mostly have different ones.
#[inline]
fn mark(size: u64) -> u64 {
    /// 2^64 divided by the golden ratio.
    const GOLDEN: u64 = 0x9E37_79B9_7F4A_7C15;
    const MARK_BITS: u32 = u64::BITS.ilog2();

    1 << (size.wrapping_mul(GOLDEN) >> (u64::BITS - MARK_BITS))
}

#[cfg(test)]
#[cfg(not(loom))]
mod tests;
