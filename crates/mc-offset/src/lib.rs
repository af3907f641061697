//! Offset allocator that places objects in an address range it never touches.
#![no_std]
#![forbid(unsafe_code)]

extern crate alloc;
#[cfg(feature = "std")]
extern crate std;

mod slots;
mod sync;

pub use slots::{
    LiveSlots, SlotAllocAtError, SlotAllocError, SlotAllocator, SlotFreeError, SlotIndex,
    SlotLayoutError,
};
