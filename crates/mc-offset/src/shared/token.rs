//! Shared allocations without a handle: plain tokens, freed by hand.
//!
//! A handle may leave its block in a magazine, and the handle that takes it
//! out carries the same serial. So a token that can be copied must never be
//! freed that way: giving up a handle gives the allocation an odd serial, and
//! only tokens with odd serials are freed here, always in the core.

use super::{Handle, SharedAllocator};
use crate::{allocation::Allocation, error::FreeError};

impl Handle {
    /// Gives up the handle for a token that frees nothing when it is dropped,
    /// as interfaces to other languages need.
    ///
    /// [`SharedAllocator::free`] takes it. Takes the allocator's lock.
    ///
    /// # Panics
    ///
    /// In a callback of the same allocator, as [`SharedAllocator::inspect`] says.
    pub fn into_token(mut self) -> Allocation {
        let loose = self.allocation().loosened();
        if let Some(core) = self.core() {
            let mut state = core.lock();
            self.defuse();
            state.allocator().space_mut().replace_serial(loose);
            state.loose += 1;
            core.retire(&mut state);
        }
        loose
    }
}

impl SharedAllocator {
    /// Frees the allocation of a token that [`Handle::into_token`] returned.
    ///
    /// Takes the lock; the bytes are free for any request at once.
    ///
    /// # Errors
    ///
    /// [`NotLive`](FreeError::NotLive) if the token was freed before, is
    /// another allocator's, or belongs to a handle;
    /// [`OutOfMemory`](FreeError::OutOfMemory) if the heap cannot hold the
    /// record of a new hole, which leaves the allocation live.
    ///
    /// # Examples
    ///
    /// ```
    /// use mc_offset::SharedAllocator;
    ///
    /// let allocator = SharedAllocator::new(1 << 20)?;
    /// let token = allocator.allocate(4096)?.into_token();
    /// allocator.free(token)?;
    /// assert!(allocator.free(token).is_err(), "a second free is refused");
    /// # Ok::<(), Box<dyn std::error::Error>>(())
    /// ```
    pub fn free(&self, token: Allocation) -> Result<(), FreeError> {
        if token.is_loose() {
            let mut state = self.core.lock();
            state.allocator().free(token)?;
            state.loose -= 1;
            self.core.publish(state.allocator());
            Ok(())
        } else {
            Err(FreeError::not_live(token))
        }
    }
}
