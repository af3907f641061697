//! Offset allocator that places objects in an address range it never touches.
#![no_std]
#![forbid(unsafe_code)]

extern crate alloc;
#[cfg(feature = "std")]
extern crate std;

mod address_index;
mod allocation;
mod allocator;
mod bin_map;
mod bins;
mod error;
mod extents;
mod holes;
mod nodes;
mod options;
mod place;
mod report;
mod restore;
mod search;
#[cfg(feature = "std")]
mod shared;
mod slab;
mod slots;
mod snapshot;
mod sync;
mod trend;
mod window;

pub use allocation::Allocation;
pub use allocator::OffsetAllocator;
pub use error::{
    AllocError, FreeError, OptionsError, PlaceError, ResizeError, RestoreError, SnapshotError,
};
pub use extents::Extents;
pub use options::{Fit, Options};
pub use report::{BinUsage, FreeRange, Report};
pub use restore::RestoreEntry;
#[cfg(feature = "std")]
pub use shared::{Handle, SharedAllocator};
pub use slots::{
    LiveSlots, SlotAllocAtError, SlotAllocError, SlotAllocator, SlotFreeError, SlotIndex,
    SlotLayoutError,
};
pub use snapshot::Snapshot;
pub use window::Window;
