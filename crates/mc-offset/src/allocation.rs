//! The token of an allocation, and the serials that make each one unique.

use core::{
    num::NonZeroU64,
    sync::atomic::{AtomicU64, Ordering},
};

/// Serials below this one mark the states of nodes; allocations count up from
/// it.
pub(crate) const FIRST_SERIAL: u64 = 4;

/// One allocation of an [`OffsetAllocator`](crate::OffsetAllocator): where it
/// is, how much was asked for, and the proof that it is live.
///
/// A token is plain data. Copies of it name the same allocation, and freeing
/// any of them makes all of them stale. The serial inside is unique among all
/// allocators of the process, so that neither a stale token nor one of another
/// allocator is ever taken for a live one.
///
/// Serialized (feature `serde`), it is its offset and size: the proof is worth
/// nothing outside the process.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
#[cfg_attr(feature = "serde", derive(serde::Serialize))]
#[must_use = "dropping the token loses the only way to free the allocation"]
pub struct Allocation {
    offset: u64,
    size: u64,
    #[cfg_attr(feature = "serde", serde(skip))]
    serial: NonZeroU64,
    #[cfg_attr(feature = "serde", serde(skip))]
    node: u32,
}

impl Allocation {
    #[inline]
    pub(crate) fn new(offset: u64, size: u64, serial: u64, node: u32) -> Self {
        let serial = NonZeroU64::new(serial).expect("serials start above the state marks");
        Self {
            offset,
            size,
            serial,
            node,
        }
    }

    /// Returns the offset of the first byte.
    #[inline]
    pub const fn offset(&self) -> u64 {
        self.offset
    }

    /// Returns the bytes asked for, which the allocation has at least.
    #[inline]
    pub const fn size(&self) -> u64 {
        self.size
    }

    /// Returns the token as four numbers, for interfaces that cannot carry the
    /// type. [`from_raw`](Self::from_raw) is the way back.
    pub fn to_raw(self) -> [u64; 4] {
        let serial = self.serial.get();
        let check = check(self.offset, self.size, serial, self.node);
        [
            self.offset,
            self.size,
            serial,
            check << 32 | u64::from(self.node),
        ]
    }

    /// Returns the token that [`to_raw`](Self::to_raw) made these numbers of,
    /// or `None` if they were changed since: a check value over all of them
    /// misses one change in 2^32. It is no defence against forgery.
    #[expect(
        clippy::cast_possible_truncation,
        reason = "the high half is the check"
    )]
    pub fn from_raw([offset, size, serial, node_and_check]: [u64; 4]) -> Option<Self> {
        let node = node_and_check as u32;
        let is_whole =
            serial >= FIRST_SERIAL && check(offset, size, serial, node) == node_and_check >> 32;
        is_whole.then(|| Self::new(offset, size, serial, node))
    }

    #[inline]
    pub(crate) const fn serial(&self) -> u64 {
        self.serial.get()
    }

    #[cfg(feature = "std")]
    #[inline]
    pub(crate) const fn nonzero_serial(&self) -> NonZeroU64 {
        self.serial
    }

    /// Returns the number of the allocation's node in the tables of its
    /// allocator: no other live allocation has the same.
    #[inline]
    pub const fn node(&self) -> u32 {
        self.node
    }

    /// Returns whether no handle owns the allocation and its token may be
    /// copied.
    #[cfg(feature = "std")]
    pub(crate) const fn is_loose(&self) -> bool {
        !self.serial().is_multiple_of(SERIAL_STEP)
    }

    /// Returns the token that replaces this one when its handle is given up.
    #[cfg(feature = "std")]
    pub(crate) const fn loosened(self) -> Self {
        Self {
            serial: self.serial.saturating_add(1),
            ..self
        }
    }
}

/// Returns a value that differs for tokens that differ, but for one pair in
/// 2^32: each field is multiplied into the high bits in turn.
fn check(offset: u64, size: u64, serial: u64, node: u32) -> u64 {
    /// 2^64 divided by the golden ratio, which is odd: multiplying by it loses
    /// nothing and spreads every bit upwards.
    const GOLDEN: u64 = 0x9E37_79B9_7F4A_7C15;

    let mix = |mixed: u64, field: u64| {
        let mixed = (mixed ^ field).wrapping_mul(GOLDEN);
        mixed ^ mixed >> 32
    };
    [offset, size, serial, node.into()]
        .into_iter()
        .fold(GOLDEN, mix)
        >> 32
}

/// The part of the serials that one lease takes from the process. The space of
/// 2^64 lasts for 2^44 leases.
const LEASE_LEN: u64 = 1 << 20;

/// From one issued serial to the next: they are even, and the odd one above
/// each marks the same allocation after its handle was given up.
const SERIAL_STEP: u64 = 2;
const _: () = assert!(
    FIRST_SERIAL.is_multiple_of(SERIAL_STEP) && LEASE_LEN.is_multiple_of(SERIAL_STEP),
    "every issued serial is even"
);

/// The first serial of the next lease. Every allocator adds to it; the
/// read-modify-write alone makes leases disjoint, so `Relaxed` is enough.
static NEXT_LEASE: AtomicU64 = AtomicU64::new(FIRST_SERIAL);

/// The serials leased to one allocator.
#[derive(Debug)]
pub(crate) struct Serials {
    next: u64,
    end: u64,
}

impl Serials {
    pub(crate) const fn new() -> Self {
        Self { next: 0, end: 0 }
    }

    /// Returns a serial that no allocation of the process had before.
    #[inline]
    pub(crate) fn issue(&mut self) -> u64 {
        if !self.has_next() {
            self.lease();
        }
        let serial = self.next;
        self.next += SERIAL_STEP;
        serial
    }

    /// Returns the serial that was issued last.
    #[cfg(feature = "std")]
    #[inline]
    pub(crate) fn last(&self) -> u64 {
        self.next - SERIAL_STEP
    }

    /// Returns whether the next serial is leased.
    #[inline]
    pub(crate) fn has_next(&self) -> bool {
        self.next != self.end
    }

    #[cold]
    fn lease(&mut self) {
        self.next = NEXT_LEASE.fetch_add(LEASE_LEN, Ordering::Relaxed);
        self.end = self.next + LEASE_LEN;
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_lease_is_used_up_and_met_by_no_other() {
        let [mut one, mut other] = [Serials::new(), Serials::new()];
        let first = one.issue();
        let others = other.issue()..other.end;
        for number in 1..LEASE_LEN / SERIAL_STEP {
            assert_eq!(one.issue(), first + number * SERIAL_STEP);
        }
        let next = one.issue();
        assert!(next >= first + LEASE_LEN, "a lease of its own");
        assert!(!others.contains(&first) && !others.contains(&next));
    }
}
