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

/// Blocks that a magazine holds at most.
#[cfg(not(loom))]
const CAPACITY: usize = 16;
#[cfg(loom)]
const CAPACITY: usize = 1;

/// Sizes that a magazine keeps blocks of, and requests that it looks back for
/// a size to come again.
const SIZES: usize = 4;

/// One thread's blocks, and the sizes that are worth keeping.
///
/// All fields but `is_occupied` are written only by the thread that set it,
/// which makes `Relaxed` enough for them: setting it acquires what clearing it
/// released. Read without occupation, `len` and the sizes are hints.
#[derive(Debug)]
pub(super) struct Magazine {
    /// Set by compare-exchange with `Acquire`, cleared with `Release`: the
    /// partner of each is the other.
    is_occupied: AtomicBool,
    /// Blocks in the first entries.
    len: AtomicUsize,
    entries: [Entry; CAPACITY],
    hot: SizeRing,
    recent: SizeRing,
}

/// The parts of a token, each in an atomic of its own.
#[derive(Debug)]
struct Entry {
    offset: AtomicU64,
    size: AtomicU64,
    serial: AtomicU64,
    node: AtomicU64,
}

/// The last few sizes put in. Any thread may write; a size that is lost or
/// doubled by a race costs a block its place in the magazine, nothing else.
#[derive(Debug)]
struct SizeRing {
    sizes: [AtomicU64; SIZES],
    next: AtomicUsize,
}

impl Magazine {
    pub(super) fn new() -> Self {
        Self {
            is_occupied: AtomicBool::new(false),
            len: AtomicUsize::new(0),
            entries: array::from_fn(|_| Entry::new()),
            hot: SizeRing::new(),
            recent: SizeRing::new(),
        }
    }

    /// Takes out a block of exactly `size` bytes at a multiple of `align`.
    #[inline]
    pub(super) fn take(&self, size: u64, align: u64) -> Option<Allocation> {
        if self.is_empty_hint() {
            return None;
        }
        let occupied = self.occupy()?;
        let len = occupied.len();
        let found = (0..len).rev().find(|&at| {
            let entry = &self.entries[at];
            entry.size.load(Ordering::Relaxed) == size
                && entry.offset.load(Ordering::Relaxed) & (align - 1) == 0
        })?;
        let block = self.entries[found].load();
        if found + 1 < len {
            self.entries[found].store(self.entries[len - 1].load());
        }
        self.len.store(len - 1, Ordering::Relaxed);
        Some(block)
    }

    /// Keeps a block if its size is in use, there is room, and the magazine is
    /// not occupied; raises the flag `own` with the first one.
    #[inline]
    pub(super) fn put(&self, block: Allocation, flags: &Flags, own: usize) -> bool {
        if !self.hot.contains(block.size()) || self.len.load(Ordering::Relaxed) == CAPACITY {
            return false;
        }
        let Some(occupied) = self.occupy() else {
            return false;
        };
        let len = occupied.len();
        let has_room = len < CAPACITY;
        if has_room {
            flags.raise(own);
            self.entries[len].store(block);
            self.len.store(len + 1, Ordering::Relaxed);
        }
        has_room
    }

    /// Lowers the flag `own` if the magazine is empty.
    #[inline]
    pub(super) fn settle(&self, flags: &Flags, own: usize) {
        if !self.is_empty_hint() {
            return;
        }
        if let Some(occupied) = self.occupy()
            && occupied.len() == 0
            && flags.is_raised(own)
        {
            flags.lower(own);
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

    /// Takes note that `size` was asked for and not here: the second time
    /// within a few requests it becomes a size that is kept.
    #[inline]
    pub(super) fn miss(&self, size: u64) {
        if self.hot.contains(size) {
            return;
        }
        if self.recent.contains(size) {
            self.hot.push(size);
        } else {
            self.recent.push(size);
        }
    }

    /// Returns whether the magazine looked empty a moment ago.
    #[inline]
    pub(super) fn is_empty_hint(&self) -> bool {
        self.len.load(Ordering::Relaxed) == 0
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
        magazine.entries[..self.0.len()].iter().map(Entry::load)
    }

    /// Empties the magazine and lowers its flag `own`.
    pub(super) fn finish(self, flags: &Flags, own: usize) {
        let Occupied(magazine) = self.0;
        magazine.len.store(0, Ordering::Relaxed);
        if flags.is_raised(own) {
            flags.lower(own);
        }
    }
}

impl Entry {
    fn new() -> Self {
        Self {
            offset: AtomicU64::new(0),
            size: AtomicU64::new(0),
            serial: AtomicU64::new(0),
            node: AtomicU64::new(0),
        }
    }

    #[inline]
    fn store(&self, block: Allocation) {
        self.offset.store(block.offset(), Ordering::Relaxed);
        self.size.store(block.size(), Ordering::Relaxed);
        self.serial.store(block.serial(), Ordering::Relaxed);
        self.node.store(block.node().into(), Ordering::Relaxed);
    }

    #[inline]
    #[expect(
        clippy::cast_possible_truncation,
        reason = "only node indices are stored"
    )]
    fn load(&self) -> Allocation {
        Allocation::new(
            self.offset.load(Ordering::Relaxed),
            self.size.load(Ordering::Relaxed),
            self.serial.load(Ordering::Relaxed),
            self.node.load(Ordering::Relaxed) as u32,
        )
    }
}

impl SizeRing {
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
