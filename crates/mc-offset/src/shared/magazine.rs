//! A few freed blocks of the sizes in use, kept back for the next request of
//! the same size.
//!
//! A block in a magazine is still allocated as far as the core knows. One
//! thread at a time occupies a magazine; one that finds it occupied goes to
//! the core instead of waiting, except to empty it.

use core::array;

use super::flags::Flags;
use crate::{
    allocation::Allocation,
    sync::{AtomicBool, AtomicU64, AtomicUsize, Ordering, yield_now},
};

/// Sizes that a magazine keeps blocks of, and requests that it looks back for
/// a size to come again.
const SIZES: usize = 4;

/// Blocks of one size that a magazine holds at most. Where requests and frees
/// of several sizes alternate at random, a shelf of so many is found empty or
/// full, and the core is needed, in a few of a hundred operations.
#[cfg(not(loom))]
const SHELF_LEN: usize = 64;
#[cfg(loom)]
const SHELF_LEN: usize = 1;

/// One thread's blocks, by size.
///
/// All fields but `is_occupied` and `recent` are written only by the thread
/// that set it, which makes `Relaxed` enough for them: setting it acquires
/// what clearing it released. Read without occupation they are hints.
#[derive(Debug)]
pub(super) struct Magazine {
    /// Set by compare-exchange with `Acquire`, cleared with `Release`: the
    /// partner of each is the other.
    is_occupied: AtomicBool,
    /// Blocks on all shelves. Stored with `Release`, so that who reads 0 also
    /// sees where the blocks went.
    len: AtomicUsize,
    /// Blocks ever put in, modulo 2^64. Stored with `Release` after `len`, so
    /// that who sees a block counted here also sees it there.
    puts: AtomicU64,
    /// Bit [`mark`]`(size)` is set if a shelf is for `size`, and perhaps
    /// otherwise: what every request and every free looks at first.
    marks: AtomicU64,
    /// Bytes of the blocks on each shelf, 0 while it is for no size.
    sizes: [AtomicU64; SIZES],
    recent: RecentSizes,
    /// The shelf whose size is replaced next.
    next_shelf: AtomicUsize,
    shelves: [Shelf; SIZES],
}

/// Blocks of one size.
#[derive(Debug)]
struct Shelf {
    /// Blocks in the first entries.
    len: AtomicUsize,
    entries: [Entry; SHELF_LEN],
}

/// The parts of a token that its size does not tell, each in an atomic of its
/// own.
#[derive(Debug)]
struct Entry {
    offset: AtomicU64,
    serial: AtomicU64,
    node: AtomicU64,
}

/// The last few sizes asked for. Any thread may write; a size that is lost or
/// doubled by a race costs a block its place in the magazine, nothing else.
#[derive(Debug)]
struct RecentSizes {
    sizes: [AtomicU64; SIZES],
    next: AtomicUsize,
}

impl Magazine {
    pub(super) fn new() -> Self {
        Self {
            is_occupied: AtomicBool::new(false),
            len: AtomicUsize::new(0),
            puts: AtomicU64::new(0),
            marks: AtomicU64::new(0),
            sizes: array::from_fn(|_| AtomicU64::new(0)),
            recent: RecentSizes::new(),
            next_shelf: AtomicUsize::new(0),
            shelves: array::from_fn(|_| Shelf::new()),
        }
    }

    /// Takes out a block of exactly `size` bytes at a multiple of `align`.
    #[inline]
    pub(super) fn take(&self, size: u64, align: u64) -> Option<Allocation> {
        let at = self.shelf(size)?;
        let shelf = &self.shelves[at];
        if shelf.len.load(Ordering::Relaxed) == 0 {
            return None;
        }
        let occupied = self.occupy()?;
        if self.size_of(at) != size {
            return None;
        }
        let block = shelf.take(size, align)?;
        occupied.add_len(usize::MAX);
        Some(block)
    }

    /// Keeps a block if its size is in use, there is room, and the magazine is
    /// not occupied; raises the flag `own` with the first one.
    #[inline]
    pub(super) fn put(&self, block: Allocation, flags: &Flags, own: usize) -> bool {
        let Some(at) = self.shelf(block.size()) else {
            return false;
        };
        let shelf = &self.shelves[at];
        if shelf.len.load(Ordering::Relaxed) == SHELF_LEN {
            return false;
        }
        let Some(occupied) = self.occupy() else {
            return false;
        };
        let len = shelf.len.load(Ordering::Relaxed);
        // The size of a shelf may have changed before it was occupied.
        let has_room = len < SHELF_LEN && self.size_of(at) == block.size();
        if has_room {
            flags.raise(own);
            shelf.entries[len].store(block);
            shelf.len.store(len + 1, Ordering::Relaxed);
            occupied.add_len(1);
            let puts = self.puts.load(Ordering::Relaxed);
            self.puts.store(puts.wrapping_add(1), Ordering::Release);
        }
        has_room
    }

    /// Returns the blocks ever put in, if none of them is left. Two equal
    /// answers mean that there was none in between.
    #[inline]
    pub(super) fn puts_if_empty(&self) -> Option<u64> {
        let puts = self.puts.load(Ordering::Acquire);
        (self.len.load(Ordering::Acquire) == 0).then_some(puts)
    }

    /// Takes note that `size` was asked for and not here; returns whether it
    /// comes again within a few requests and deserves a shelf.
    #[inline]
    pub(super) fn miss(&self, size: u64) -> bool {
        if self.shelf(size).is_some() {
            return false;
        }
        let comes_again = self.recent.contains(size);
        if !comes_again {
            self.recent.push(size);
        }
        comes_again
    }

    /// Makes a shelf one for `size`, unless the magazine is occupied, after
    /// `reclaim` has made the blocks on it findable elsewhere.
    #[cold]
    pub(super) fn adopt(
        &self,
        size: u64,
        reclaim: impl FnOnce(&mut dyn Iterator<Item = Allocation>),
    ) {
        let Some(occupied) = self.occupy() else {
            return;
        };
        if self.shelf(size).is_some() {
            // Another thread with this magazine was first.
            return;
        }
        let next = self.next_shelf.load(Ordering::Relaxed);
        self.next_shelf.store((next + 1) % SIZES, Ordering::Relaxed);
        let shelf = &self.shelves[next];
        let len = shelf.len.load(Ordering::Relaxed);
        reclaim(&mut shelf.blocks(self.size_of(next)));
        shelf.len.store(0, Ordering::Relaxed);
        self.sizes[next].store(size, Ordering::Relaxed);
        let marks = (0..SIZES).fold(0, |marks, at| marks | mark(self.size_of(at)));
        self.marks.store(marks, Ordering::Relaxed);
        occupied.add_len(len.wrapping_neg());
    }

    /// Makes a magazine that was left occupied as good as new.
    pub(super) fn reopen(&self) {
        self.marks.store(0, Ordering::Relaxed);
        for size in self.sizes.iter().chain(&self.recent.sizes) {
            size.store(0, Ordering::Relaxed);
        }
        for next in [&self.next_shelf, &self.recent.next] {
            next.store(0, Ordering::Relaxed);
        }
        self.is_occupied.store(false, Ordering::Release);
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
    fn occupy(&self) -> Option<Occupied<'_>> {
        let free =
            self.is_occupied
                .compare_exchange(false, true, Ordering::Acquire, Ordering::Relaxed);
        free.ok().map(|_| Occupied(self))
    }
}

/// Ends the occupation when dropped.
struct Occupied<'a>(&'a Magazine);

impl Occupied<'_> {
    #[inline]
    fn len(&self) -> usize {
        self.0.len.load(Ordering::Relaxed)
    }

    /// Adds to the count of blocks, modulo the word.
    #[inline]
    fn add_len(&self, added: usize) {
        self.0
            .len
            .store(self.len().wrapping_add(added), Ordering::Release);
    }
}

impl Drop for Occupied<'_> {
    #[inline]
    fn drop(&mut self) {
        self.0.is_occupied.store(false, Ordering::Release);
    }
}

/// An occupied magazine whose blocks are on their way out.
pub(super) struct Drain<'a>(Occupied<'a>);

impl Drain<'_> {
    /// Returns the blocks; each has to find another place.
    pub(super) fn blocks(&self) -> impl Iterator<Item = Allocation> {
        let Occupied(magazine) = self.0;
        let shelves = magazine.shelves.iter().enumerate();
        shelves.flat_map(|(at, shelf)| shelf.blocks(magazine.size_of(at)))
    }

    /// Empties the magazine and lowers its flag `own`.
    pub(super) fn finish(&self, flags: &Flags, own: usize) {
        let Self(Occupied(magazine)) = self;
        for shelf in &magazine.shelves {
            shelf.len.store(0, Ordering::Relaxed);
        }
        magazine.len.store(0, Ordering::Release);
        if flags.is_raised(own) {
            flags.lower(own);
        }
    }
}

impl Shelf {
    fn new() -> Self {
        Self {
            len: AtomicUsize::new(0),
            entries: array::from_fn(|_| Entry::new()),
        }
    }

    /// Takes out the block that was put in last of those at a multiple of
    /// `align`; the magazine is occupied.
    #[inline]
    fn take(&self, size: u64, align: u64) -> Option<Allocation> {
        let len = self.len.load(Ordering::Relaxed);
        let is_aligned = |entry: &Entry| entry.offset.load(Ordering::Relaxed) & (align - 1) == 0;
        let found = self.entries[..len].iter().rposition(is_aligned)?;
        let block = self.entries[found].load(size);
        if found + 1 < len {
            self.entries[found].store(self.entries[len - 1].load(size));
        }
        self.len.store(len - 1, Ordering::Relaxed);
        Some(block)
    }

    fn blocks(&self, size: u64) -> impl Iterator<Item = Allocation> {
        let len = self.len.load(Ordering::Relaxed);
        self.entries[..len]
            .iter()
            .map(move |entry| entry.load(size))
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

impl RecentSizes {
    fn new() -> Self {
        Self {
            sizes: array::from_fn(|_| AtomicU64::new(0)),
            next: AtomicUsize::new(0),
        }
    }

    #[inline]
    fn contains(&self, size: u64) -> bool {
        self.sizes
            .iter()
            .any(|slot| slot.load(Ordering::Relaxed) == size)
    }

    #[inline]
    fn push(&self, size: u64) {
        let next = self.next.load(Ordering::Relaxed);
        self.sizes[next % SIZES].store(size, Ordering::Relaxed);
        self.next.store(next.wrapping_add(1), Ordering::Relaxed);
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
mod tests {
    use alloc::{collections::BTreeSet, vec::Vec};

    use super::*;

    /// The flag of the magazines below.
    const OWN: usize = 3;

    fn block(size: u64, node: u32) -> Allocation {
        Allocation::new(u64::from(node) * size, size, 4, node)
    }

    /// Returns a magazine with a shelf for each of the sizes, and flags.
    fn with_shelves(sizes: &[u64]) -> (Magazine, Flags) {
        let magazine = Magazine::new();
        for &size in sizes {
            magazine.adopt(size, |blocks| assert_eq!(blocks.count(), 0));
        }
        (magazine, Flags::new())
    }

    #[test]
    fn a_magazine_is_empty_when_the_last_block_is_taken() {
        let (magazine, flags) = with_shelves(&[10, 20]);
        assert_eq!(magazine.puts_if_empty(), Some(0));
        for (size, node) in [(10, 1), (10, 2), (20, 3)] {
            assert!(magazine.put(block(size, node), &flags, OWN));
            assert_eq!(magazine.puts_if_empty(), None);
        }
        assert_eq!(magazine.take(10, 1), Some(block(10, 2)));
        assert_eq!(magazine.take(20, 1), Some(block(20, 3)));
        assert_eq!(magazine.puts_if_empty(), None);
        assert_eq!(magazine.take(10, 1), Some(block(10, 1)));
        assert_eq!(magazine.puts_if_empty(), Some(3));
        assert!(flags.is_raised(OWN), "only a drain lowers it");
    }

    #[test]
    fn a_drain_meets_every_block_and_lowers_the_flag() {
        let (magazine, flags) = with_shelves(&[10, 20]);
        let blocks = [block(10, 1), block(10, 2), block(20, 3)];
        for block in blocks {
            assert!(magazine.put(block, &flags, OWN));
        }
        let drain = magazine.drain();
        assert_eq!(drain.blocks().collect::<Vec<_>>(), blocks);
        assert_eq!(magazine.take(10, 1), None, "it is occupied");
        assert!(!magazine.put(block(20, 4), &flags, OWN), "it is occupied");
        drain.finish(&flags, OWN);
        drop(drain);
        assert!(flags.snapshot().is_clear());
        assert_eq!(magazine.puts_if_empty(), Some(3));
        assert_eq!(magazine.take(10, 1), None);
        assert!(magazine.put(block(20, 4), &flags, OWN));
    }

    #[test]
    fn sizes_with_one_mark_have_a_shelf_each() {
        // The mark of a shelf without a size is among them.
        let alike = || (1..).filter(|&size| mark(size) == mark(0)).take(SIZES);
        let (magazine, flags) = with_shelves(&alike().collect::<Vec<_>>());
        for size in alike() {
            assert!(magazine.put(block(size, 1), &flags, OWN), "{size} bytes");
        }
        for count in 1..=2 {
            let (magazine, _) = with_shelves(&alike().take(count).collect::<Vec<_>>());
            for (at, size) in alike().enumerate() {
                assert_eq!(magazine.shelf(size).is_some(), at < count, "{size} bytes");
            }
        }
    }

    #[test]
    fn marks_of_sizes_at_common_steps_mostly_differ() {
        for step in [1, 100, 4096, 1 << 20] {
            let marks: BTreeSet<u64> = (1..=64).map(|number| mark(number * step)).collect();
            assert!(marks.iter().all(|mark| mark.is_power_of_two()));
            assert!(marks.len() > 32, "{} marks of 64 sizes", marks.len());
        }
    }
}
