//! What a handle is made of.

use core::num::NonZeroU64;

use super::frame_id::FrameId;
use crate::allocation::Allocation;

/// An allocation, and what it returns to. It frees nothing by itself.
#[repr(C)]
pub(super) struct Held {
    offset: u64,
    size: u64,
    serial: NonZeroU64,
    node: u32,
    /// `None` once the allocation has returned.
    frame: Option<FrameId>,
}

impl Held {
    #[inline]
    pub(super) fn new(allocation: Allocation, frame: Option<FrameId>) -> Self {
        Self {
            offset: allocation.offset(),
            size: allocation.size(),
            serial: allocation.nonzero_serial(),
            node: allocation.node(),
            frame,
        }
    }

    #[inline]
    pub(super) fn offset(&self) -> u64 {
        self.offset
    }

    #[inline]
    pub(super) fn size(&self) -> u64 {
        self.size
    }

    #[inline]
    pub(super) fn frame(&self) -> Option<FrameId> {
        self.frame
    }

    /// Takes what the allocation returns to away, so that it returns once.
    #[inline]
    pub(super) fn take_frame(&mut self) -> Option<FrameId> {
        self.frame.take()
    }

    #[inline]
    pub(super) fn allocation(&self) -> Allocation {
        Allocation::new(self.offset, self.size, self.serial.get(), self.node)
    }
}
