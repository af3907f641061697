//! The bump cursor: the lock-free protocol of the arena, without any memory behind it.
//!
//! Key types: [`Cursor`] and the [`Claim`] it grants. Positions count *units* of the arena's
//! alignment from its first aligned address. [`crate::Arena`] turns claims into slices; this file
//! never sees a pointer, which is what lets loom explore it.
//!
//! # Protocol
//!
//! ```text
//! 0                               fence          capacity
//! |== claimed ==|.......... free ....|....... free ...|
//!               ^ position           `-- from here on only compare-exchange
//! ```
//!
//! 1. Below the fence a small request is one `fetch_add`: a claim is granted iff it ends at or
//!    before the capacity.
//! 2. Whoever ends past the fence raises `is_fenced`, and every later request takes the
//!    compare-exchange path, which never moves the position past the capacity.
//! 3. Should so many `fetch_add`s be in flight at the fence that one passes the capacity all the
//!    same, exactly one of them started at or before it: the *crosser*. Until it acts, the position
//!    stays past the capacity, so nobody is granted anything and its own start is still the true
//!    position. It swaps that start back in, which erases what the others added in between; they wait
//!    for that swap and then take the compare-exchange path.
//!
//! Undoing an overshoot with `fetch_sub` instead would be wrong. With 5 units left, let A add 10 and
//! B add 3; both fail; A subtracts; C adds 2, starts 3 units too high because of B, and is granted;
//! B subtracts; the next request overlaps C's.
#![cfg_attr(
    not(loom),
    expect(
        unreachable_pub,
        reason = "exported under cfg(loom), to the models in tests/loom.rs"
    )
)]

use std::num::NonZeroU64;

use crossbeam_utils::CachePadded;

use crate::sync::{AtomicBool, AtomicU64, Ordering, spin_loop};

/// Bits of the word that hold the position: 2^40 units of 64 bytes are 64 TiB.
const POSITION_BITS: u32 = 40;
const POSITION_MASK: u64 = (1 << POSITION_BITS) - 1;
/// One granted claim, in the field above the position (24 bits).
const ONE_CLAIM: u64 = 1 << POSITION_BITS;
/// Words from here on have their claim count at its maximum: the next claim carries out of the word.
const LAST_COUNT: u64 = u64::MAX << POSITION_BITS;

/// The fenced tail is this fraction of the capacity.
const FENCED_FRACTION: u64 = 64;
/// This many `fetch_add`s of the largest size in flight at once still end inside the fenced tail. More of
/// them are repaired, as step 3 of the protocol says; fewer would be a lower limit on the size, which
/// slices of a few mebibytes would feel in every pool of a few gibibytes.
const FETCH_ADDS_IN_FLIGHT: u64 = 16;
/// Largest request served by `fetch_add`, whatever the capacity.
const FETCH_ADD_UNITS_MAX: u64 = 1 << 16;
/// Linux numbers threads below `PID_MAX_LIMIT`, 2^22; no more than that can be inside `fetch_add`.
const THREADS_MAX: u64 = 1 << 22;

/// Largest capacity, in units, for which an overshoot cannot carry from the position into the count.
pub(crate) const CAPACITY_UNITS_MAX: u64 = 1 << (POSITION_BITS - 1);

const _: () = assert!(
    CAPACITY_UNITS_MAX + THREADS_MAX * FETCH_ADD_UNITS_MAX <= POSITION_MASK,
    "all threads overshooting at once must stay inside the position field"
);

/// A lock-free bump position over `0..capacity_units`.
#[derive(Debug)]
pub struct Cursor {
    /// Low 40 bits: position in units; high 24 bits: granted claims modulo 2^24. They agree at every
    /// instant because they share the word. Written by `claim`, `claim_aligned`, `lease` and `reset`.
    ///
    /// Relaxed throughout. Claims are exclusive because every writer but `reset` is a
    /// read-modify-write of this one word, and because nobody is granted anything between a crosser's
    /// addition and its swap. Nothing is published through the word: the memory behind a claim was
    /// zeroed before the cursor was shared.
    word: CachePadded<AtomicU64>,
    /// True implies that some claim ended past the fence or was refused. Set by `settle`, read by
    /// `claim`, cleared by `reset`. Relaxed: a late reader costs an overshoot, which step 3 of the
    /// protocol repairs.
    is_fenced: AtomicBool,
    /// Position and alignment are computed on addresses: `origin_units` is the address of position 0.
    origin_units: u64,
    capacity_units: u64,
    fence_units: u64,
    fetch_add_units_max: u64,
    /// Times the claim count carried out of the word. Written by the claimer whose claim carried;
    /// Relaxed, a statistic.
    count_carries: CachePadded<AtomicU64>,
}

/// Exclusive ownership of the units `start_units..start_units + units`.
///
/// Only [`Cursor`] makes claims, never two that overlap between two resets, and a claim is neither
/// `Copy` nor `Clone`: holding one proves that the range is the holder's alone.
#[derive(Debug, PartialEq, Eq)]
pub struct Claim {
    start_units: u64,
    units: u64,
}

/// Not enough units left for a claim.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub struct Exhausted {
    /// Units between the position and the capacity when the request was refused.
    pub left_units: u64,
}

/// What became of a `fetch_add` that did not simply succeed. It must be settled: an addition that is
/// forgotten leaves the position past the capacity.
#[must_use]
enum Attempt {
    /// The request is large, or the fence has been passed.
    NotMade,
    /// The word was `before` when the request was added to it.
    Added { before: u64 },
}

impl Claim {
    /// Returns the first unit of the range.
    #[inline]
    #[must_use]
    pub fn start_units(&self) -> u64 {
        self.start_units
    }

    /// Returns the length of the range.
    #[inline]
    #[must_use]
    pub fn units(&self) -> u64 {
        self.units
    }
}

impl Cursor {
    /// Returns a cursor over `capacity_units`, whose position 0 lies at address `origin_units`.
    ///
    /// # Panics
    ///
    /// Panics if the capacity exceeds 2^39 units.
    #[must_use]
    pub fn new(origin_units: u64, capacity_units: u64) -> Self {
        let fenced_units = capacity_units / FENCED_FRACTION;
        let fetch_add_units_max = (fenced_units / FETCH_ADDS_IN_FLIGHT).min(FETCH_ADD_UNITS_MAX);
        Self::with_fence(
            origin_units,
            capacity_units,
            capacity_units - fenced_units,
            fetch_add_units_max,
        )
    }

    /// Returns a cursor with an explicit fence, so that a model can reach every path in a few steps.
    ///
    /// # Panics
    ///
    /// Panics if the capacity exceeds 2^39 units, the fence the capacity, or `fetch_add_units_max`
    /// 2^16.
    #[must_use]
    pub fn with_fence(
        origin_units: u64,
        capacity_units: u64,
        fence_units: u64,
        fetch_add_units_max: u64,
    ) -> Self {
        assert!(
            capacity_units <= CAPACITY_UNITS_MAX,
            "capacity of {capacity_units} units"
        );
        assert!(
            fence_units <= capacity_units,
            "fence at {fence_units} of {capacity_units} units"
        );
        assert!(
            fetch_add_units_max <= FETCH_ADD_UNITS_MAX,
            "fetch_add of {fetch_add_units_max} units"
        );
        Self {
            word: CachePadded::new(AtomicU64::new(0)),
            is_fenced: AtomicBool::new(false),
            origin_units,
            capacity_units,
            fence_units,
            fetch_add_units_max,
            count_carries: CachePadded::new(AtomicU64::new(0)),
        }
    }

    /// Claims `units` consecutive units.
    ///
    /// # Errors
    ///
    /// [`Exhausted`] iff fewer than `units` were left at some instant during the call.
    #[inline]
    pub fn claim(&self, units: NonZeroU64) -> Result<Claim, Exhausted> {
        let units = units.get();
        // Two matches rather than one combinator: a cold result merged into the hot one would send
        // every claim through memory.
        match self.claim_by_addition(units) {
            Ok(claim) => Ok(claim),
            Err(attempt) => match self.settle(attempt, units) {
                Ok(claim) => Ok(claim),
                Err(exhausted) => Err(exhausted),
            },
        }
    }

    /// Claims `units` consecutive units whose first address is a multiple of `align_units`.
    ///
    /// # Errors
    ///
    /// [`Exhausted`] iff at some instant during the call the units left could not hold such a range.
    ///
    /// # Panics
    ///
    /// Panics if `align_units` is not a power of two.
    pub fn claim_aligned(&self, units: NonZeroU64, align_units: u64) -> Result<Claim, Exhausted> {
        assert!(
            align_units.is_power_of_two(),
            "alignment of {align_units} units"
        );
        self.claim_exact(units.get(), align_units, ONE_CLAIM)
    }

    /// Claims like [`claim`](Self::claim) without counting: the leaseholder counts what it hands out.
    ///
    /// # Errors
    ///
    /// [`Exhausted`] iff fewer than `units` were left at some instant during the call.
    pub fn lease(&self, units: NonZeroU64) -> Result<Claim, Exhausted> {
        self.claim_exact(units.get(), 1, 0)
    }

    /// Returns the units claimed so far, padding included; never more than the capacity.
    #[must_use]
    pub fn position_units(&self) -> u64 {
        (self.word.load(Ordering::Relaxed) & POSITION_MASK).min(self.capacity_units)
    }

    /// Returns the number of granted claims, leases excluded. Exact once no claim is in flight.
    #[must_use]
    pub fn claims(&self) -> u64 {
        let word = self.word.load(Ordering::Relaxed);
        let carries = self.count_carries.load(Ordering::Relaxed);
        (carries << (u64::BITS - POSITION_BITS)) + (word >> POSITION_BITS)
    }

    /// Returns the units between position 0 and the end.
    #[must_use]
    pub fn capacity_units(&self) -> u64 {
        self.capacity_units
    }

    /// Moves the position back to 0 and forgets the claims.
    ///
    /// Taking `&mut self` proves that no claim is in flight; whoever turned claims into something
    /// that lasts must tie it to a borrow of the cursor.
    pub fn reset(&mut self) {
        self.word.store(0, Ordering::Relaxed);
        self.is_fenced.store(false, Ordering::Relaxed);
        self.count_carries.store(0, Ordering::Relaxed);
    }

    /// Claims with one `fetch_add` where that is all it takes.
    #[inline]
    fn claim_by_addition(&self, units: u64) -> Result<Claim, Attempt> {
        if units > self.fetch_add_units_max || self.is_fenced.load(Ordering::Relaxed) {
            return Err(Attempt::NotMade);
        }
        let before = self.word.fetch_add(ONE_CLAIM + units, Ordering::Relaxed);
        let start_units = before & POSITION_MASK;
        if start_units + units <= self.fence_units && before < LAST_COUNT {
            return Ok(Claim { start_units, units });
        }
        Err(Attempt::Added { before })
    }

    /// Decides what an addition obtained that ended past the fence or carried out of the count, and
    /// claims by compare-exchange where none was made or it came too late.
    #[cold]
    fn settle(&self, attempt: Attempt, units: u64) -> Result<Claim, Exhausted> {
        let Attempt::Added { before } = attempt else {
            return self.claim_exact(units, 1, ONE_CLAIM);
        };
        let start_units = before & POSITION_MASK;
        if start_units + units <= self.capacity_units {
            if start_units + units > self.fence_units {
                self.is_fenced.store(true, Ordering::Relaxed);
            }
            self.note_carry(before);
            return Ok(Claim { start_units, units });
        }
        self.is_fenced.store(true, Ordering::Relaxed);
        if start_units <= self.capacity_units {
            // The crosser: the position passed the capacity with this very addition.
            self.word.swap(before, Ordering::Relaxed);
            let left_units = self.capacity_units - start_units;
            return Err(Exhausted { left_units });
        }
        self.claim_exact(units, 1, ONE_CLAIM)
    }

    /// Claims by compare-exchange, which never moves the position past the capacity.
    #[cold]
    fn claim_exact(&self, units: u64, align_units: u64, count: u64) -> Result<Claim, Exhausted> {
        let mut before = self.word.load(Ordering::Relaxed);
        loop {
            let position_units = before & POSITION_MASK;
            if position_units > self.capacity_units {
                // A crosser is between its addition and its swap.
                spin_loop();
                before = self.word.load(Ordering::Relaxed);
                continue;
            }
            let exhausted = Exhausted {
                left_units: self.capacity_units - position_units,
            };
            let (start_units, end_units) = self
                .place(position_units, units, align_units)
                .ok_or(exhausted)?;
            debug_assert!(end_units <= self.capacity_units);
            let after = (before & !POSITION_MASK).wrapping_add(count) | end_units;
            match self.word.compare_exchange_weak(
                before,
                after,
                Ordering::Relaxed,
                Ordering::Relaxed,
            ) {
                Ok(_) if count == 0 => return Ok(Claim { start_units, units }),
                Ok(_) => {
                    self.note_carry(before);
                    return Ok(Claim { start_units, units });
                }
                Err(current) => before = current,
            }
        }
    }

    /// Returns start and end of the first aligned range at or after `position_units`, if it fits.
    fn place(&self, position_units: u64, units: u64, align_units: u64) -> Option<(u64, u64)> {
        let address = self
            .origin_units
            .checked_add(position_units)?
            .checked_next_multiple_of(align_units)?;
        let start_units = address - self.origin_units;
        let end_units = start_units.checked_add(units)?;
        (end_units <= self.capacity_units).then_some((start_units, end_units))
    }

    /// Records that the claim granted on top of `before` carried out of the count field, if it did.
    fn note_carry(&self, before: u64) {
        if before >= LAST_COUNT {
            self.count_carries.fetch_add(1, Ordering::Relaxed);
        }
    }
}

#[cfg(test)]
#[cfg(not(loom))]
mod tests {
    use super::*;

    fn units(n: u64) -> NonZeroU64 {
        NonZeroU64::new(n).unwrap()
    }

    #[test]
    fn whole_capacity_is_claimable() {
        let cursor = Cursor::new(0, 1 << 20);
        assert_eq!(cursor.claim(units(1 << 20)).unwrap().start_units(), 0);
        assert_eq!(cursor.claim(units(1)), Err(Exhausted { left_units: 0 }));
    }

    #[test]
    fn small_claims_fill_the_capacity_without_a_gap() {
        let cursor = Cursor::new(0, 1 << 17);
        for expected in 0..1 << 17 {
            assert_eq!(cursor.claim(units(1)).unwrap().start_units(), expected);
        }
        assert_eq!(cursor.claim(units(1)), Err(Exhausted { left_units: 0 }));
        assert_eq!(cursor.position_units(), 1 << 17);
        assert_eq!(cursor.claims(), 1 << 17);
    }

    #[test]
    fn refused_fetch_add_leaves_position_and_count() {
        let cursor = Cursor::with_fence(0, 10, 10, 8);
        cursor.claim(units(7)).unwrap();
        assert_eq!(cursor.claim(units(8)), Err(Exhausted { left_units: 3 }));
        assert_eq!((cursor.position_units(), cursor.claims()), (7, 1));
        assert_eq!(cursor.claim(units(3)).unwrap().start_units(), 7);
    }

    #[test]
    fn racing_overshoots_lose_nothing() {
        // Each thread asks for ever smaller claims until not even one unit is left.
        let claim_all = |cursor: &Cursor| {
            let mut claimed = (0, 0);
            for size in [64, 17, 3, 1] {
                while let Ok(claim) = cursor.claim(units(size)) {
                    claimed = (claimed.0 + claim.units(), claimed.1 + 1);
                }
            }
            claimed
        };
        for _ in 0..200 {
            let cursor = Cursor::with_fence(0, 1000, 1000, 64);
            let claimed = std::thread::scope(|scope| {
                let threads: Vec<_> = (0..4).map(|_| scope.spawn(|| claim_all(&cursor))).collect();
                let claimed = threads.into_iter().map(|thread| thread.join().unwrap());
                claimed.fold((0, 0), |sum, one| (sum.0 + one.0, sum.1 + one.1))
            });
            assert_eq!(claimed, (1000, cursor.claims()));
            assert_eq!(cursor.position_units(), 1000);
        }
    }

    #[test]
    fn alignment_is_of_the_address() {
        let cursor = Cursor::new(3, 100);
        assert_eq!(cursor.claim_aligned(units(1), 8).unwrap().start_units(), 5);
        assert_eq!(cursor.claim_aligned(units(1), 8).unwrap().start_units(), 13);
        assert_eq!(cursor.position_units(), 14);
    }

    #[test]
    fn alignment_beyond_the_address_space_is_refused() {
        let cursor = Cursor::new(3, 100);
        assert_eq!(
            cursor.claim_aligned(units(1), 1 << 63),
            Err(Exhausted { left_units: 100 })
        );
        assert_eq!(
            cursor.claim_aligned(units(u64::MAX), 1),
            Err(Exhausted { left_units: 100 })
        );
    }

    #[test]
    fn count_survives_its_carry() {
        let cursor = Cursor::with_fence(0, CAPACITY_UNITS_MAX, CAPACITY_UNITS_MAX, 1);
        cursor.word.store(LAST_COUNT - ONE_CLAIM, Ordering::Relaxed);
        for _ in 0..3 {
            cursor.claim(units(1)).unwrap();
        }
        assert_eq!(
            (cursor.claims(), cursor.position_units()),
            ((1 << 24) + 1, 3)
        );
    }

    #[test]
    fn leases_are_not_counted() {
        let cursor = Cursor::new(0, 100);
        cursor.lease(units(10)).unwrap();
        cursor.claim(units(1)).unwrap();
        assert_eq!((cursor.claims(), cursor.position_units()), (1, 11));
    }

    #[test]
    fn reset_starts_over() {
        let mut cursor = Cursor::with_fence(0, 4, 2, 2);
        cursor.claim(units(2)).unwrap();
        cursor.claim(units(2)).unwrap();
        cursor.reset();
        assert_eq!((cursor.claims(), cursor.position_units()), (0, 0));
        assert_eq!(cursor.claim(units(2)).unwrap().start_units(), 0);
    }
}
