//! Who has a claim on an object: its leases, its pin, and the one who evicts it.
//!
//! One word decides between a reader and an evictor: a lease counts itself in and
//! looks whether the object is leaving; an evictor turns the word from "nobody" to
//! "leaving" in one step. A plan takes two, as all of its victims leave or none:
//!
//! ```text
//!            mark               close              decide
//!   nobody ────────► marked ────────────► closed ────────► leaving
//!      ▲                │                    │
//!      └────────────────┴──────── stay ──────┘
//! ```
//!
//! Readers, pins and removals come before a mark: closing fails then. Whoever finds
//! an object closed looks again, as it may stay; that takes some instructions of
//! the one who has closed it.

#![cfg_attr(
    not(loom),
    expect(
        unreachable_pub,
        reason = "exported under cfg(loom), to the models in tests/loom.rs"
    )
)]

use crate::sync::atomic::{AtomicU32, Ordering};

/// The object is being evicted or removed: new leases fail. It may stay if it is
/// marked, too.
const LEAVING: u32 = 1 << 31;

/// The object is pinned.
const PINNED: u32 = 1 << 30;

/// The policy does not offer the object, as it was in use when it was its turn;
/// whoever ends the last claim has to show it again.
const HIDDEN: u32 = 1 << 29;

/// Somebody has the object in mind who will let it go, or stay: nobody else has it
/// in mind.
const MARKED: u32 = 1 << 28;

/// That the object is to be shown again was told, and nobody has looked since.
const TOLD: u32 = 1 << 27;

/// The leases that are held.
const LEASES: u32 = TOLD - 1;

/// The claims on one object.
///
/// Changes are `AcqRel`, so that what the last holder did, such as prolonging a
/// timed lease, is seen by whoever finds no holder left.
#[derive(Debug)]
pub struct Claims(AtomicU32);

/// What stands in the way of letting an object go.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Claim {
    /// A lease is held.
    Leased,
    /// It is pinned.
    Pinned,
    /// Somebody else lets it go, or may.
    Leaving,
}

/// Why an object is not to be had.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Away {
    /// It has left, or will.
    Gone,
    /// It is closed.
    Undecided,
}

/// A lease of an object that was leaving.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Refused {
    pub why: Away,
    /// Whether the object is to be shown again, as when a lease ends.
    pub is_to_be_shown: bool,
}

impl Claims {
    /// Returns the claims on an object that nobody uses.
    pub fn new() -> Self {
        Self(AtomicU32::new(0))
    }

    /// Returns the claims on the object that follows this one after a move:
    /// nobody leases it.
    pub fn after_move(&self) -> Self {
        let word = self.0.load(Ordering::Acquire);
        Self(AtomicU32::new(word & (PINNED | HIDDEN)))
    }

    /// Counts a lease in, if the object stays for it.
    #[inline]
    pub fn lease(&self) -> Result<(), Refused> {
        let before = self.0.fetch_add(1, Ordering::AcqRel);
        debug_assert!(before & LEASES < LEASES, "leases are counted");
        if before & LEAVING == 0 {
            return Ok(());
        }
        // Whoever let the object stay meanwhile may have seen this as a lease
        // whose end is told.
        Err(Refused {
            why: away(before).unwrap_or(Away::Gone),
            is_to_be_shown: self.end_lease(),
        })
    }

    /// Counts another lease of somebody who has one.
    #[inline]
    pub fn lease_again(&self) {
        let before = self.0.fetch_add(1, Ordering::AcqRel);
        debug_assert!(before & LEASES > 0, "a lease is held");
    }

    /// Counts a lease out; returns whether that the object is to be shown again has
    /// to be told.
    #[inline]
    #[must_use]
    pub fn end_lease(&self) -> bool {
        let before = self.0.fetch_sub(1, Ordering::AcqRel);
        debug_assert!(before & LEASES > 0, "a lease is held");
        before & !PINNED == HIDDEN | 1 && self.begin_to_tell()
    }

    /// Returns whether nobody has told since [`look`](Self::look).
    #[cold]
    fn begin_to_tell(&self) -> bool {
        self.0.fetch_or(TOLD, Ordering::AcqRel) & TOLD == 0
    }

    /// Takes note that what was told is looked at; returns whether the object is
    /// hidden. Look at [`claim`](Self::claim) afterwards: who ends a lease from
    /// here on tells again.
    pub fn look(&self) -> bool {
        self.0.fetch_and(!TOLD, Ordering::AcqRel) & HIDDEN != 0
    }

    /// Marks the object if nobody has a claim on it.
    pub fn mark(&self) -> Result<(), Claim> {
        self.step(|word| claim(word).map_or(Ok(word | MARKED), Err))
    }

    /// Closes the object that the caller has marked, if nobody else has a claim on
    /// it.
    pub fn close_marked(&self) -> Result<(), Claim> {
        self.step(|word| claim(word & !MARKED).map_or(Ok(word | LEAVING), Err))
    }

    /// Marks and closes the object if nobody has a claim on it.
    pub fn close(&self) -> Result<(), Claim> {
        self.step(|word| claim(word).map_or(Ok(word | MARKED | LEAVING), Err))
    }

    /// As [`close`](Self::close), for the one who gives the object another place,
    /// which a pin does not forbid.
    pub fn close_place(&self) -> Result<(), Claim> {
        self.step(|word| claim(word & !PINNED).map_or(Ok(word | MARKED | LEAVING), Err))
    }

    /// Lets the object leave that the caller has closed.
    pub fn decide(&self) {
        self.0.fetch_and(!MARKED, Ordering::AcqRel);
    }

    /// Lets the object stay that the caller has marked or closed, unless somebody
    /// has removed it since.
    pub fn stay(&self) {
        let _ = self.step(|word| match word & MARKED {
            0 => Err(Claim::Leaving),
            _ => Ok(word & !(MARKED | LEAVING)),
        });
    }

    /// Removes the object if nobody leases or pins it.
    pub fn remove_idle(&self) -> Result<(), Claim> {
        self.remove(|word| word)
    }

    /// Removes the object though it is leased, unless it is pinned.
    pub fn remove_leased(&self) -> Result<(), Claim> {
        self.remove(|word| word & !LEASES)
    }

    /// Removes the object whoever has a claim on it, unless it is leaving.
    pub fn remove_now(&self) -> Result<(), Claim> {
        self.remove(|word| word & LEAVING)
    }

    fn remove(&self, that_matters: impl Fn(u32) -> u32) -> Result<(), Claim> {
        self.step(|word| match claim(that_matters(word & !MARKED)) {
            None => Ok(word & !MARKED | LEAVING),
            Some(claim) => Err(claim),
        })
    }

    /// Turns the word into the next one, if there is one.
    fn step(&self, next: impl Fn(u32) -> Result<u32, Claim>) -> Result<(), Claim> {
        let mut seen = self.0.load(Ordering::Acquire);
        loop {
            let next = next(seen)?;
            match self
                .0
                .compare_exchange_weak(seen, next, Ordering::AcqRel, Ordering::Acquire)
            {
                Ok(_) => return Ok(()),
                Err(now) => seen = now,
            }
        }
    }

    /// Returns what stands in the way of letting the object go.
    #[inline]
    pub fn claim(&self) -> Option<Claim> {
        claim(self.0.load(Ordering::Acquire))
    }

    /// Returns why the object is not to be had, if it is not.
    #[inline]
    pub fn away(&self) -> Option<Away> {
        away(self.0.load(Ordering::Acquire))
    }

    /// Returns whether the object is pinned.
    pub fn is_pinned(&self) -> bool {
        self.0.load(Ordering::Acquire) & PINNED != 0
    }

    /// Returns whether the policy does not offer the object.
    pub fn is_hidden(&self) -> bool {
        self.0.load(Ordering::Acquire) & HIDDEN != 0
    }

    /// Pins or unpins, unless the object is leaving; returns whether that is a
    /// change.
    pub fn set_pinned(&self, is_pinned: bool) -> Result<bool, Away> {
        let next = |word| match is_pinned {
            true => word | PINNED,
            false => word & !PINNED,
        };
        let stays = |word| (word & LEAVING == 0).then(|| next(word));
        self.0
            .fetch_update(Ordering::AcqRel, Ordering::Acquire, stays)
            .map(|before| next(before) != before)
            .map_err(|word| away(word).unwrap_or(Away::Gone))
    }

    /// Marks the object as hidden. From here on the end of the last lease is
    /// told; look at [`claim`](Self::claim) afterwards, as it may have ended.
    pub fn hide(&self) {
        self.0.fetch_or(HIDDEN, Ordering::AcqRel);
    }

    /// Marks the object as shown; returns whether it was hidden.
    pub fn show(&self) -> bool {
        self.0.fetch_and(!HIDDEN, Ordering::AcqRel) & HIDDEN != 0
    }
}

fn claim(word: u32) -> Option<Claim> {
    if word & (LEAVING | MARKED) != 0 {
        Some(Claim::Leaving)
    } else if word & PINNED != 0 {
        Some(Claim::Pinned)
    } else if word & LEASES != 0 {
        Some(Claim::Leased)
    } else {
        None
    }
}

fn away(word: u32) -> Option<Away> {
    match (word & LEAVING, word & MARKED) {
        (0, _) => None,
        (_, 0) => Some(Away::Gone),
        _ => Some(Away::Undecided),
    }
}

#[cfg(all(test, not(loom)))]
mod tests {
    use super::*;

    #[test]
    fn the_end_of_the_last_lease_of_a_hidden_object_is_told_once_until_somebody_looks() {
        for is_pinned in [false, true] {
            let claims = Claims::new();
            claims.set_pinned(is_pinned).unwrap();
            let lease = || claims.lease().map_err(|refused| refused.why).unwrap();
            lease();
            assert!(!claims.end_lease(), "it is not hidden");
            assert!(!claims.look());
            claims.hide();
            lease();
            claims.lease_again();
            assert!(!claims.end_lease(), "one is left");
            assert!(claims.end_lease());
            lease();
            assert!(!claims.end_lease(), "it was told");
            assert!(claims.look());
            lease();
            assert!(claims.end_lease(), "somebody has looked since");
            assert!(claims.show() && !claims.show());
            assert!(!claims.look());
        }
    }

    #[test]
    fn an_object_that_is_marked_leaves_only_if_nobody_came_meanwhile() {
        let claims = Claims::new();
        claims.mark().unwrap();
        assert_eq!(claims.claim(), Some(Claim::Leaving));
        assert_eq!(claims.mark(), Err(Claim::Leaving), "another has it in mind");
        assert_eq!(claims.away(), None, "it can be read");
        claims.lease().map_err(|refused| refused.why).unwrap();
        assert_eq!(claims.close_marked(), Err(Claim::Leased));
        assert!(!claims.end_lease());
        assert_eq!(claims.set_pinned(true), Ok(true));
        assert_eq!(claims.set_pinned(true), Ok(false), "it was pinned already");
        assert_eq!(claims.close_marked(), Err(Claim::Pinned));
        assert_eq!(claims.set_pinned(false), Ok(true));
        claims.close_marked().unwrap();
        assert_eq!(claims.away(), Some(Away::Undecided));
        assert!(claims.lease().is_err());
        claims.stay();
        assert_eq!((claims.claim(), claims.away()), (None, None));
        claims.close().unwrap();
        claims.decide();
        assert_eq!(claims.away(), Some(Away::Gone));
        claims.stay();
        assert_eq!(claims.away(), Some(Away::Gone), "it was decided");
    }

    #[test]
    fn what_stands_in_the_way_of_leaving_depends_on_who_asks() {
        type Ask = fn(&Claims) -> Result<(), Claim>;
        let (leased, pinned) = (Err(Claim::Leased), Err(Claim::Pinned));
        // Of an object that is leased, and of one that is pinned.
        let cases: [(Ask, _, _); 5] = [
            (Claims::close, leased, pinned),
            (Claims::close_place, leased, Ok(())),
            (Claims::remove_idle, leased, pinned),
            (Claims::remove_leased, Ok(()), pinned),
            (Claims::remove_now, Ok(()), Ok(())),
        ];
        for (ask, of_leased, of_pinned) in cases {
            let claims = Claims::new();
            claims.lease().map_err(|refused| refused.why).unwrap();
            assert_eq!(ask(&claims), of_leased);
            assert_eq!(claims.away().is_some(), of_leased.is_ok());
            let claims = Claims::new();
            claims.set_pinned(true).unwrap();
            assert_eq!(ask(&claims), of_pinned);
            assert_eq!(claims.away().is_some(), of_pinned.is_ok());
            let claims = Claims::new();
            assert_eq!(ask(&claims), Ok(()));
            assert_eq!(ask(&claims), Err(Claim::Leaving));
        }
    }
}
