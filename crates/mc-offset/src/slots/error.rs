//! Why a call on a [`SlotAllocator`](crate::SlotAllocator) was refused, one enum per operation.

use thiserror::Error;

/// Why a [`SlotAllocator`](crate::SlotAllocator) could not be made.
#[derive(Clone, Copy, Debug, Eq, Error, PartialEq)]
#[non_exhaustive]
pub enum SlotLayoutError {
    /// Slots of zero bytes would all lie at one offset.
    #[error("slots of 0 bytes; at least 1 is needed")]
    ZeroSlotBytes,
    /// There is no slot to hand out.
    #[error("no slot of {slot_bytes} bytes in a range of {range_bytes} bytes")]
    NoSlots {
        /// Size of one slot.
        slot_bytes: u64,
        /// Size of the range to divide.
        range_bytes: u64,
    },
    /// The range divides into more slots than an index can number.
    #[error("{slots} slots of {slot_bytes} bytes, more than {slots_max}")]
    TooManySlots {
        /// Size of one slot.
        slot_bytes: u64,
        /// Number of slots in the range.
        slots: u64,
        /// Largest number of slots.
        slots_max: u32,
    },
    /// The end of the last slot is not a 64-bit offset.
    #[error("{slots} slots of {slot_bytes} bytes end above 2^64 - 1")]
    RangeTooLong {
        /// Size of one slot.
        slot_bytes: u64,
        /// Number of slots.
        slots: u32,
    },
}

/// Why [`SlotAllocator::allocate`](crate::SlotAllocator::allocate) handed out no slot.
#[derive(Clone, Copy, Debug, Eq, Error, PartialEq)]
#[non_exhaustive]
pub enum SlotAllocError {
    /// At one moment during the call no slot was left.
    #[error("one slot of {slot_bytes} bytes asked, 0 of {slots} slots free")]
    Exhausted {
        /// Size of one slot.
        slot_bytes: u64,
        /// Number of slots, all of them live.
        slots: u32,
    },
}

/// Why [`SlotAllocator::allocate_at`](crate::SlotAllocator::allocate_at) did not hand out the slot.
#[derive(Clone, Copy, Debug, Eq, Error, PartialEq)]
#[non_exhaustive]
pub enum SlotAllocAtError {
    /// The allocator has no slot of this index.
    #[error("there is no slot {index}; the allocator has {slots} slots, from 0 on")]
    OutOfRange {
        /// Index asked for.
        index: u32,
        /// Number of slots.
        slots: u32,
    },
    /// The slot is live.
    #[error("slot {index} is live")]
    Live {
        /// Index asked for.
        index: u32,
    },
    /// Other calls in progress have been promised all the slots that are left around this one.
    #[error("slot {index} is promised to a call in progress")]
    Promised {
        /// Index asked for.
        index: u32,
    },
}

/// Why [`SlotAllocator::free`](crate::SlotAllocator::free) took no slot back.
#[derive(Clone, Copy, Debug, Eq, Error, PartialEq)]
#[non_exhaustive]
pub enum SlotFreeError {
    /// The allocator has no slot of this index.
    #[error("there is no slot {index}; the allocator has {slots} slots, from 0 on")]
    OutOfRange {
        /// Index given.
        index: u32,
        /// Number of slots.
        slots: u32,
    },
    /// The slot is free already.
    #[error("slot {index} is free already")]
    NotLive {
        /// Index given.
        index: u32,
    },
}
