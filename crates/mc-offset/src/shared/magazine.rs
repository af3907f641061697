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

/// Blocks of one size that a magazine holds at most. Over a random sequence of
/// frees and requests the blocks of a size wander between none and all, and
/// reach either end, where the core is needed, about once in so many requests.
#[cfg(not(loom))]
const CAPACITY: usize = 64;
#[cfg(loom)]
const CAPACITY: usize = 1;

/// Sizes that a magazine keeps blocks of, and requests that it looks back for
/// a size to come again.
const SIZES: usize = 4;

/// One thread's blocks, and the sizes that are worth keeping.
///
/// All fields but `is_occupied` and `recent` are written only by the thread
/// that set `is_occupied`, which makes `Relaxed` enough for them: setting it
/// acquires what clearing it released. Read without occupation, they are hints.
#[derive(Debug)]
pub(super) struct Magazine {
    /// Set by compare-exchange with `Acquire`, cleared with `Release`: the
    /// partner of each is the other.
    is_occupied: AtomicBool,
    stacks: [Stack; SIZES],
    recent: SizeRing,
}

/// The blocks of one size.
#[derive(Debug)]
struct Stack {
    /// Changed only while `len` is 0; 0 before the first change.
    size: AtomicU64,
    /// Blocks in the first entries.
    len: AtomicUsize,
    entries: [Entry; CAPACITY],
}

/// The parts of a token but its size, each in an atomic of its own.
#[derive(Debug)]
struct Entry {
    offset: AtomicU64,
    serial: AtomicU64,
    node: AtomicU64,
}

/// The last few sizes that were missed. Any thread may write; one that is lost
/// or doubled by a race delays the size its stack, nothing else.
#[derive(Debug)]
struct SizeRing {
    sizes: [AtomicU64; SIZES],
    next: AtomicUsize,
}

impl Magazine {
    pub(super) fn new() -> Self {
        Self {
            is_occupied: AtomicBool::new(false),
            stacks: array::from_fn(|_| Stack::new()),
            recent: SizeRing::new(),
        }
    }

    /// Takes out a block of exactly `size` bytes at a multiple of `align`.
    #[inline]
    pub(super) fn take(&self, size: u64, align: u64) -> Option<Allocation> {
        let stack = self.stack_of(size)?;
        if stack.len() == 0 {
            return None;
        }
        let _occupied = self.occupy()?;
        stack.pop(size, align)
    }

    /// Keeps a block if its size is in use, there is room, and the magazine is
    /// not occupied; raises the flag `own` with the first one.
    #[inline]
    pub(super) fn put(&self, block: Allocation, flags: &Flags, own: usize) -> bool {
        let Some(stack) = self.stack_of(block.size()) else {
            return false;
        };
        if stack.len() == CAPACITY {
            return false;
        }
        let Some(_occupied) = self.occupy() else {
            return false;
        };
        let has_room = stack.size() == block.size() && stack.len() < CAPACITY;
        if has_room {
            flags.raise(own);
            stack.push(block);
        }
        has_room
    }

    /// Lowers the flag `own` if the magazine is empty.
    #[inline]
    pub(super) fn settle(&self, flags: &Flags, own: usize) {
        if !self.is_empty_hint() {
            return;
        }
        if let Some(_occupied) = self.occupy()
            && self.is_empty_hint()
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
    /// within a few requests it gets an empty stack, if there is one.
    #[inline]
    pub(super) fn miss(&self, size: u64) {
        if self.stack_of(size).is_some() {
            return;
        }
        if self.recent.contains(size) {
            self.adopt(size);
        } else {
            self.recent.push(size);
        }
    }

    /// Returns whether the magazine looked empty a moment ago.
    #[inline]
    pub(super) fn is_empty_hint(&self) -> bool {
        self.stacks.iter().all(|stack| stack.len() == 0)
    }

    /// Gives a size an empty stack; of several, one that has had no size yet.
    #[cold]
    fn adopt(&self, size: u64) {
        let Some(_occupied) = self.occupy() else {
            return;
        };
        let empty = self.stacks.iter().filter(|stack| stack.len() == 0);
        if let Some(stack) = empty.min_by_key(|stack| stack.size() != 0)
            && self.stack_of(size).is_none()
        {
            stack.size.store(size, Ordering::Relaxed);
        }
    }

    /// Returns the stack of a size.
    #[inline]
    fn stack_of(&self, size: u64) -> Option<&Stack> {
        self.stacks.iter().find(|stack| stack.size() == size)
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
        magazine.stacks.iter().flat_map(Stack::blocks)
    }

    /// Empties the magazine and lowers its flag `own`.
    pub(super) fn finish(self, flags: &Flags, own: usize) {
        let Occupied(magazine) = self.0;
        for stack in &magazine.stacks {
            stack.len.store(0, Ordering::Relaxed);
        }
        if flags.is_raised(own) {
            flags.lower(own);
        }
    }
}

/// All but `new`, `size` and `len` need the magazine occupied.
impl Stack {
    fn new() -> Self {
        Self {
            size: AtomicU64::new(0),
            len: AtomicUsize::new(0),
            entries: array::from_fn(|_| Entry::new()),
        }
    }

    #[inline]
    fn size(&self) -> u64 {
        self.size.load(Ordering::Relaxed)
    }

    #[inline]
    fn len(&self) -> usize {
        self.len.load(Ordering::Relaxed)
    }

    /// Takes out the last block at a multiple of `align`, if the blocks are of
    /// `size` still.
    #[inline]
    fn pop(&self, size: u64, align: u64) -> Option<Allocation> {
        if self.size() != size {
            return None;
        }
        let len = self.len();
        let found = (0..len).rev().find(|&at| {
            let offset = self.entries[at].offset.load(Ordering::Relaxed);
            offset & (align - 1) == 0
        })?;
        let block = self.entries[found].load(size);
        if found + 1 < len {
            self.entries[found].store(self.entries[len - 1].load(size));
        }
        self.len.store(len - 1, Ordering::Relaxed);
        Some(block)
    }

    #[inline]
    fn push(&self, block: Allocation) {
        let len = self.len();
        self.entries[len].store(block);
        self.len.store(len + 1, Ordering::Relaxed);
    }

    fn blocks(&self) -> impl Iterator<Item = Allocation> {
        let size = self.size();
        self.entries[..self.len()]
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
