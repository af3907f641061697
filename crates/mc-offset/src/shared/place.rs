//! Shared allocations at given offsets, of other sizes, in pieces, and from a
//! list.

use alloc::vec::Vec;

use super::{Handle, SharedAllocator};
use crate::{
    allocation::Allocation,
    allocator::OffsetAllocator,
    error::{AllocError, FreeError, PlaceError, ResizeError, RestoreError},
    options::Options,
    snapshot::Snapshot,
};

impl SharedAllocator {
    /// Makes an allocator in which every `(offset, size)` of `entries` is an
    /// allocation and the rest is free; the handles are in the order of the
    /// entries.
    ///
    /// # Errors
    ///
    /// As [`OffsetAllocator::restore_from`].
    pub fn restore_from(
        options: Options,
        entries: impl IntoIterator<Item = (u64, u64)>,
    ) -> Result<(Self, Vec<Handle>), RestoreError> {
        OffsetAllocator::restore_from(options, entries).map(Self::with_allocations)
    }

    /// Makes an allocator in the state of a snapshot, which
    /// [`inspect`](Self::inspect)`(OffsetAllocator::snapshot)` takes; the
    /// handles are in address order.
    ///
    /// # Errors
    ///
    /// As [`Snapshot::restore`].
    pub fn restore(snapshot: &Snapshot) -> Result<(Self, Vec<Handle>), RestoreError> {
        snapshot.restore().map(Self::with_allocations)
    }

    /// Allocates `size` bytes at exactly `offset`.
    ///
    /// # Errors
    ///
    /// As [`OffsetAllocator::allocate_at`].
    pub fn allocate_at(&self, offset: u64, size: u64) -> Result<Handle, PlaceError> {
        let allocation = self.allocate_in_core(|core| core.allocate_at(offset, size))?;
        Ok(self.handle(allocation))
    }

    /// Changes the size of a handle's allocation without moving it.
    ///
    /// # Errors
    ///
    /// As [`OffsetAllocator::resize_in_place`], and
    /// [`NotLive`](FreeError::NotLive) within
    /// [`Refused`](ResizeError::Refused) for a handle of another allocator; the
    /// handle is as it was.
    pub fn resize_in_place(&self, handle: &mut Handle, size: u64) -> Result<(), ResizeError> {
        if !self.owns(handle) {
            return Err(FreeError::not_live(handle.allocation()).into());
        }
        let resized =
            self.allocate_in_core(|core| core.resize_in_place(handle.allocation(), size))?;
        handle.replace(resized);
        Ok(())
    }

    /// Allocates `size` bytes in at most `max_extents` pieces, each at a
    /// multiple of `align`; returns them in the order of the bytes.
    ///
    /// # Errors
    ///
    /// As [`OffsetAllocator::allocate_extents`].
    pub fn allocate_extents(
        &self,
        size: u64,
        max_extents: u32,
        align: u64,
    ) -> Result<Vec<Handle>, AllocError> {
        let extents =
            self.allocate_in_core(|core| core.allocate_extents(size, max_extents, align))?;
        Ok(self.handles(extents.pieces()))
    }

    fn with_allocations(
        (core, allocations): (OffsetAllocator, Vec<Allocation>),
    ) -> (Self, Vec<Handle>) {
        let allocator = Self::from_core(core);
        let handles = allocator.handles(&allocations);
        (allocator, handles)
    }
}
