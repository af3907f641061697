//! Numbers for frames. A store keeps a handle for every object, and looks at
//! them in no order: so a handle has a number of 32 bits for its frame, where
//! an address would make it a fourth larger.

use core::num::NonZeroU32;

/// Bits that a number may have.
pub(super) const NUMBER_BITS: u32 = 31;

/// Names one of the frames of the process.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(super) struct FrameId(NonZeroU32);

impl FrameId {
    pub(super) fn new(number: usize) -> Self {
        let id = u32::try_from(number + 1)
            .ok()
            .filter(|id| id >> NUMBER_BITS == 0);
        Self(
            id.and_then(NonZeroU32::new)
                .expect("no memory holds so many frames"),
        )
    }

    #[inline]
    pub(super) fn number(self) -> usize {
        self.0.get() as usize - 1
    }
}
