//! The token of an allocation, and the serials that make each one unique.

use core::{
    num::NonZeroU64,
    sync::atomic::{AtomicU64, Ordering},
};

use crate::nodes::FIRST_SERIAL;

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

    #[inline]
    pub(crate) const fn serial(&self) -> u64 {
        self.serial.get()
    }

    #[inline]
    pub(crate) const fn node(&self) -> u32 {
        self.node
    }
}

/// Serials taken from the process at a time. The space of 2^64 lasts for
/// 2^44 leases.
const LEASE_LEN: u64 = 1 << 20;

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
        if self.next == self.end {
            self.lease();
        }
        let serial = self.next;
        self.next += 1;
        serial
    }

    #[cold]
    fn lease(&mut self) {
        self.next = NEXT_LEASE.fetch_add(LEASE_LEN, Ordering::Relaxed);
        self.end = self.next + LEASE_LEN;
    }
}
