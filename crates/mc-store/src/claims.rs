//! Who has a claim on an object: its leases, its pin, and the one who evicts it.
//!
//! One word decides between a reader and an evictor, so that neither waits for
//! the other: a lease counts itself in and looks whether the object is
//! leaving; an evictor turns the word from "nobody" to "leaving" in one step.

#![cfg_attr(
    not(loom),
    expect(
        unreachable_pub,
        reason = "exported under cfg(loom), to the models in tests/loom.rs"
    )
)]

use crate::sync::atomic::{AtomicU32, Ordering};

/// The object is being evicted or removed: new leases fail.
const LEAVING: u32 = 1 << 31;

/// The object is pinned.
const PINNED: u32 = 1 << 30;

/// The policy does not offer the object, as it was in use when it was its turn;
/// whoever ends the last claim has to show it again.
const HIDDEN: u32 = 1 << 29;

/// The leases that are held.
const LEASES: u32 = HIDDEN - 1;

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
    /// Somebody else lets it go.
    Leaving,
}

/// A lease of an object that was leaving.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Refused {
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
            is_to_be_shown: self.end_lease(),
        })
    }

    /// Counts another lease of somebody who has one.
    #[inline]
    pub fn lease_again(&self) {
        let before = self.0.fetch_add(1, Ordering::AcqRel);
        debug_assert!(before & LEASES > 0, "a lease is held");
    }

    /// Counts a lease out; returns whether the object is to be shown again.
    #[inline]
    #[must_use]
    pub fn end_lease(&self) -> bool {
        let before = self.0.fetch_sub(1, Ordering::AcqRel);
        debug_assert!(before & LEASES > 0, "a lease is held");
        before & !PINNED == HIDDEN | 1
    }

    /// Takes the object for leaving if nobody has a claim on it.
    pub fn leave(&self) -> Result<(), Claim> {
        self.take(|word| word)
    }

    /// Takes the object for leaving its place, which a pin does not forbid.
    pub fn leave_place(&self) -> Result<(), Claim> {
        self.take(|word| word & !PINNED)
    }

    /// Takes the object for leaving though it is leased, unless it is pinned.
    pub fn leave_leases(&self) -> Result<(), Claim> {
        self.take(|word| word & !LEASES)
    }

    fn take(&self, that_matters: impl Fn(u32) -> u32) -> Result<(), Claim> {
        let mut seen = self.0.load(Ordering::Acquire);
        loop {
            if let Some(claim) = claim(that_matters(seen)) {
                return Err(claim);
            }
            let next = seen | LEAVING;
            match self
                .0
                .compare_exchange_weak(seen, next, Ordering::AcqRel, Ordering::Acquire)
            {
                Ok(_) => return Ok(()),
                Err(now) => seen = now,
            }
        }
    }

    /// Takes the object for leaving whoever has a claim on it, unless somebody
    /// has taken it.
    pub fn leave_now(&self) -> Result<(), Claim> {
        match self.0.fetch_or(LEAVING, Ordering::AcqRel) & LEAVING {
            0 => Ok(()),
            _ => Err(Claim::Leaving),
        }
    }

    /// Lets an object stay that was taken for leaving.
    pub fn stay(&self) {
        self.0.fetch_and(!LEAVING, Ordering::AcqRel);
    }

    /// Returns what stands in the way of letting the object go.
    #[inline]
    pub fn claim(&self) -> Option<Claim> {
        claim(self.0.load(Ordering::Acquire))
    }

    /// Returns whether somebody lets the object go.
    pub fn is_leaving(&self) -> bool {
        self.0.load(Ordering::Acquire) & LEAVING != 0
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
    pub fn set_pinned(&self, is_pinned: bool) -> Result<bool, Claim> {
        let next = |word| match is_pinned {
            true => word | PINNED,
            false => word & !PINNED,
        };
        let stays = |word| (word & LEAVING == 0).then(|| next(word));
        self.0
            .fetch_update(Ordering::AcqRel, Ordering::Acquire, stays)
            .map(|before| next(before) != before)
            .map_err(|_| Claim::Leaving)
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
    if word & LEAVING != 0 {
        Some(Claim::Leaving)
    } else if word & PINNED != 0 {
        Some(Claim::Pinned)
    } else if word & LEASES != 0 {
        Some(Claim::Leased)
    } else {
        None
    }
}
