//! The arena: slices out of a pool by one atomic addition each.
//!
//! Key types: [`Arena`], [`ArenaStats`], [`SliceError`]. The protocol is in `cursor.rs`, the memory in
//! `pool.rs`; this file joins them in the one place where a claim becomes a slice. Chunks are in
//! `chunk.rs`.

use std::{num::NonZeroU64, slice};

use crossbeam_utils::CachePadded;

use crate::{
    cursor::{CAPACITY_UNITS_MAX, Claim, Cursor, Exhausted},
    mapping::{OtherProcess, Process},
    named::Contents,
    pool::Pool,
    sync::{AtomicU64, Ordering},
};

/// Alignment of every slice unless more is asked for, in bytes: one cache line, so that two slices
/// never share one.
pub const ALIGN_DEFAULT: usize = 64;

/// Hands out a [`Pool`], from its start to its end.
///
/// Slices are zeroed, disjoint, and live as long as the arena; nothing is given back one by one.
///
/// ```text
/// pool    |####|##|pad|########|..............................|
///          ^        ^           ^ position                    ^ capacity
///          slices, each at a multiple of the arena's alignment
/// ```
#[derive(Debug)]
pub struct Arena {
    /// Read on every allocation and written never, so it shares no line with the cursor's word.
    pool: Pool,
    /// That of the pool.
    process: Process,
    /// Bytes from the start of the pool to its first address that is a multiple of the alignment.
    origin_bytes: usize,
    align_log2: u32,
    cursor: Cursor,
    cold: CachePadded<ColdCounts>,
}

/// Counts that no successful allocation touches, off the cursor's cache line.
#[derive(Debug)]
struct ColdCounts {
    /// Requests refused since the last reset. Added to by the refused; Relaxed, a statistic.
    refusals: AtomicU64,
    /// Slices handed out by chunks since the last reset. Added to by a chunk when it is dropped;
    /// Relaxed, a statistic.
    chunk_allocations: AtomicU64,
}

/// What an arena has handed out since it was made or last reset.
///
/// The position never goes back between two resets, so `reserved_bytes` is its own peak.
#[cfg_attr(feature = "serde", derive(serde::Serialize, serde::Deserialize))]
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
#[non_exhaustive]
pub struct ArenaStats {
    /// Bytes that can be handed out in all.
    pub capacity_bytes: u64,
    /// Bytes handed out, rounding, alignment padding and leased chunks included; at most the capacity.
    pub reserved_bytes: u64,
    /// Slices handed out, directly and by chunks that have been dropped.
    pub allocations: u64,
    /// Requests refused.
    pub refusals: u64,
}

/// Why an arena did not hand out a slice.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum SliceError {
    /// A slice of no bytes.
    #[error("a slice of zero bytes was asked for")]
    ZeroSize,
    /// An alignment that is not a power of two.
    #[error("alignment {align} is not a power of two")]
    InvalidAlign {
        /// The alignment asked for, in bytes.
        align: usize,
    },
    /// The size exceeds the address space once rounded up to the alignment.
    #[error("{asked_bytes} bytes rounded up to the arena's alignment exceed the address space")]
    Overflow {
        /// Bytes asked for.
        asked_bytes: usize,
    },
    /// Less is left in the arena.
    #[error("{asked_bytes} bytes aligned to {align} asked for, {left_bytes} are left")]
    Full {
        /// Bytes asked for.
        asked_bytes: usize,
        /// Alignment asked for, or the arena's if greater, in bytes.
        align: usize,
        /// Bytes between the position and the capacity.
        left_bytes: u64,
    },
    /// The arena was made by a process that this one was forked from.
    #[error(transparent)]
    OtherProcess(#[from] OtherProcess),
}

/// Why a pool could not become an arena.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum ArenaError {
    /// An alignment that is not a power of two.
    #[error("arena alignment {align} is not a power of two")]
    InvalidAlign {
        /// The alignment asked for, in bytes.
        align: usize,
    },
    /// The pool has not one address of that alignment with room behind it.
    #[error("a pool of {pool_bytes} bytes holds nothing aligned to {align}; map a larger one")]
    PoolTooSmall {
        /// Length of the pool.
        pool_bytes: usize,
        /// The alignment asked for, in bytes.
        align: usize,
    },
    /// More alignment units than the cursor counts (2^39).
    #[error(
        "a pool of {pool_bytes} bytes has too many units of {align}; choose a greater alignment"
    )]
    PoolTooLarge {
        /// Length of the pool.
        pool_bytes: usize,
        /// The alignment asked for, in bytes.
        align: usize,
    },
    /// The pool holds the bytes of an earlier process, and an arena begins with zeros.
    #[error(
        "the pool holds the bytes of epoch {epoch}; lend them with PoolBytes, or remove the file to begin anew"
    )]
    HoldsBytes {
        /// Incarnation of the bytes.
        epoch: u64,
    },
    /// The pool was mapped by a process that this one was forked from.
    #[error(transparent)]
    OtherProcess(#[from] OtherProcess),
}

impl Arena {
    /// Returns an arena over `pool` whose slices are aligned to [`ALIGN_DEFAULT`].
    ///
    /// # Errors
    ///
    /// [`ArenaError::PoolTooLarge`] beyond 32 TiB; use [`with_align`](Self::with_align) there.
    /// [`ArenaError::HoldsBytes`] for a pool that was found in a file.
    pub fn new(pool: Pool) -> Result<Self, ArenaError> {
        Self::with_align(pool, ALIGN_DEFAULT)
    }

    /// Returns an arena over `pool` whose slices are all aligned to `align` bytes, or to
    /// [`ALIGN_DEFAULT`] if that is more.
    ///
    /// What lies before the first such address of the pool is not used: give a pool behind a coarse
    /// arena the same alignment, with [`PoolOptions::align`](crate::PoolOptions::align). Foreign memory
    /// is overwritten with zeros.
    ///
    /// # Errors
    ///
    /// See [`ArenaError`].
    pub fn with_align(mut pool: Pool, align: usize) -> Result<Self, ArenaError> {
        let process = *pool.process();
        process.check()?;
        if !align.is_power_of_two() {
            return Err(ArenaError::InvalidAlign { align });
        }
        let align = align.max(ALIGN_DEFAULT);
        let pool_bytes = pool.len();
        let start = pool.as_ptr().addr();
        let aligned = start
            .checked_next_multiple_of(align)
            .ok_or(ArenaError::PoolTooSmall { pool_bytes, align })?;
        let origin_bytes = aligned - start;
        let capacity_units = (pool_bytes.saturating_sub(origin_bytes) / align) as u64;
        if capacity_units == 0 {
            return Err(ArenaError::PoolTooSmall { pool_bytes, align });
        }
        if capacity_units > CAPACITY_UNITS_MAX {
            return Err(ArenaError::PoolTooLarge { pool_bytes, align });
        }
        match (pool.contents(), pool.epoch()) {
            (Contents::Kept, epoch) => {
                let epoch = epoch.unwrap_or(0);
                return Err(ArenaError::HoldsBytes { epoch });
            }
            (Contents::Foreign, _) => pool.zero_prefix(pool_bytes),
            (Contents::Zeroed, _) => {}
        }
        let cursor = Cursor::new((aligned / align) as u64, capacity_units);
        let cold = ColdCounts {
            refusals: AtomicU64::new(0),
            chunk_allocations: AtomicU64::new(0),
        };
        Ok(Self {
            pool,
            process,
            origin_bytes,
            align_log2: align.trailing_zeros(),
            cursor,
            cold: CachePadded::new(cold),
        })
    }

    /// Returns `size` zeroed bytes at a multiple of the arena's alignment.
    ///
    /// Any number of threads may call this at once; it takes one atomic addition, no lock and no
    /// system call.
    ///
    /// # Errors
    ///
    /// [`SliceError::ZeroSize`], [`SliceError::Overflow`], or [`SliceError::Full`]; a request that
    /// fits what is left is never refused. [`SliceError::OtherProcess`] in a child.
    #[inline]
    pub fn allocate(&self, size: usize) -> Result<&mut [u8], SliceError> {
        if !self.process.is_current() {
            return Err(self.refuse_child());
        }
        let Some(units) = self.units(size) else {
            return Err(self.refuse_size(size));
        };
        match self.cursor.claim(units) {
            Ok(claim) => Ok(self.slice(claim, size)),
            Err(exhausted) => Err(self.refuse(size, self.align(), exhausted)),
        }
    }

    /// Returns `size` zeroed bytes at an address that is a multiple of `align`.
    ///
    /// The address itself is aligned, whatever the pages: 2 MiB on base pages too.
    ///
    /// # Errors
    ///
    /// As [`allocate`](Self::allocate), and [`SliceError::InvalidAlign`] unless `align` is a power of
    /// two.
    pub fn allocate_aligned(&self, size: usize, align: usize) -> Result<&mut [u8], SliceError> {
        if !align.is_power_of_two() {
            self.cold.refusals.fetch_add(1, Ordering::Relaxed);
            return Err(SliceError::InvalidAlign { align });
        }
        if align <= self.align() {
            return self.allocate(size);
        }
        self.process.check()?;
        let units = self.units(size).ok_or_else(|| self.refuse_size(size))?;
        let claim = self
            .cursor
            .claim_aligned(units, (align >> self.align_log2) as u64);
        claim
            .map(|claim| self.slice(claim, size))
            .map_err(|exhausted| self.refuse(size, align, exhausted))
    }

    /// Takes everything back: no slice survives, because each borrows the arena, and what was handed
    /// out is zero again.
    ///
    /// Costs a write to every byte handed out, or one system call if the pool is private and lazily
    /// populated, whose memory goes back to the system. Does nothing in a child.
    pub fn reset(&mut self) {
        if !self.process.is_current() {
            return;
        }
        let reserved_bytes = self.bytes(self.cursor.position_units());
        self.cursor.reset();
        self.cold.refusals.store(0, Ordering::Relaxed);
        self.cold.chunk_allocations.store(0, Ordering::Relaxed);
        // At most the capacity, which is at most the length of the pool.
        let used = usize::try_from(reserved_bytes)
            .unwrap_or(usize::MAX)
            .saturating_add(self.origin_bytes);
        self.pool.zero_prefix(used.min(self.pool.len()));
    }

    /// Returns what has been handed out.
    ///
    /// While other threads allocate, the numbers may be from slightly different moments.
    #[must_use]
    pub fn stats(&self) -> ArenaStats {
        ArenaStats {
            capacity_bytes: self.bytes(self.cursor.capacity_units()),
            reserved_bytes: self.bytes(self.cursor.position_units()),
            allocations: self.cursor.claims() + self.cold.chunk_allocations.load(Ordering::Relaxed),
            refusals: self.cold.refusals.load(Ordering::Relaxed),
        }
    }

    /// Says whether an address lies inside the pool, handed out or not.
    #[inline]
    #[must_use]
    pub fn owns(&self, address: *const u8) -> bool {
        self.pool.owns(address)
    }

    /// Returns the pool that the slices come from.
    #[must_use]
    pub fn pool(&self) -> &Pool {
        &self.pool
    }

    /// Returns the alignment of every slice, in bytes.
    #[inline]
    #[must_use]
    pub fn align(&self) -> usize {
        1 << self.align_log2
    }

    /// Refuses a size that no slice has, for `chunk.rs`.
    pub(crate) fn check_size(&self, size: usize) -> Result<(), SliceError> {
        match self.units(size) {
            Some(_) => Ok(()),
            None => Err(self.refuse_size(size)),
        }
    }

    /// Returns the process that has the arena.
    #[inline]
    pub(crate) fn process(&self) -> Process {
        self.process
    }

    /// Leases a chunk for `chunk.rs`: like [`allocate`](Self::allocate), but not counted.
    pub(crate) fn lease(&self, size: usize) -> Result<&mut [u8], SliceError> {
        self.process.check()?;
        let units = self.units(size).ok_or_else(|| self.refuse_size(size))?;
        let claim = self
            .cursor
            .lease(units)
            .map_err(|exhausted| SliceError::Full {
                asked_bytes: size,
                align: self.align(),
                left_bytes: self.bytes(exhausted.left_units),
            })?;
        Ok(self.slice(claim, size))
    }

    /// Counts what a chunk has handed out.
    pub(crate) fn note_chunk_allocations(&self, allocations: u64) {
        self.cold
            .chunk_allocations
            .fetch_add(allocations, Ordering::Relaxed);
    }

    /// Turns a claim into the slice it stands for.
    #[inline]
    #[expect(
        unsafe_code,
        reason = "the one place where a claimed range becomes an exclusive slice"
    )]
    #[expect(
        clippy::mut_from_ref,
        reason = "the claim, not the borrow of the arena, proves exclusiveness"
    )]
    #[expect(
        clippy::needless_pass_by_value,
        reason = "a claim is spent: it must not make a second slice"
    )]
    #[expect(
        clippy::cast_possible_truncation,
        reason = "positions of claims lie inside the pool, whose length is a usize"
    )]
    fn slice(&self, claim: Claim, size: usize) -> &mut [u8] {
        debug_assert!(size as u64 <= self.bytes(claim.units()));
        debug_assert!(claim.start_units() + claim.units() <= self.cursor.capacity_units());
        let start = self.origin_bytes + ((claim.start_units() as usize) << self.align_log2);
        let base = self.pool.as_mut_ptr().wrapping_add(start);
        // SAFETY: (1) the range lies inside the pool, which is this process's own (every caller has
        // asked): the cursor grants only claims that end at or
        // before its capacity, which `with_align` derived from the pool's length, and `size` is at most
        // the claim's (`units`, called with the same size by every caller); (2) the pool keeps the
        // bytes mapped, initialised and out of reach of other writers for as long as the arena, which
        // the slice borrows; (3) no other slice overlaps: the cursor grants a range once, a claim is
        // neither `Copy` nor `Clone` and is consumed here, and `reset` takes `&mut self`.
        unsafe { slice::from_raw_parts_mut(base, size) }
    }

    /// Returns the units that hold `size` bytes; `None` for no bytes and for more than can be counted.
    #[inline]
    fn units(&self, size: usize) -> Option<NonZeroU64> {
        let rounded = size.checked_add(self.align() - 1)?;
        NonZeroU64::new((rounded >> self.align_log2) as u64)
    }

    #[inline]
    fn bytes(&self, units: u64) -> u64 {
        units << self.align_log2
    }

    #[cold]
    fn refuse_size(&self, size: usize) -> SliceError {
        self.cold.refusals.fetch_add(1, Ordering::Relaxed);
        if size == 0 {
            SliceError::ZeroSize
        } else {
            SliceError::Overflow { asked_bytes: size }
        }
    }

    #[cold]
    fn refuse_child(&self) -> SliceError {
        SliceError::OtherProcess(self.process.other())
    }

    #[cold]
    fn refuse(&self, size: usize, align: usize, exhausted: Exhausted) -> SliceError {
        self.cold.refusals.fetch_add(1, Ordering::Relaxed);
        SliceError::Full {
            asked_bytes: size,
            align,
            left_bytes: self.bytes(exhausted.left_units),
        }
    }
}
