//! Freeing many handles at the cost of one lock.

use alloc::vec::Vec;

use super::{Handle, SharedAllocator, locked::settle_free};
use crate::allocation::Allocation;

impl Handle {
    /// Frees all `handles`, whichever allocators they are of, at the cost of
    /// one lock for each allocator.
    ///
    /// The bytes are free for any request at once: none of them are kept back
    /// for requests of the same size. The iterator is run to its end before
    /// anything is locked. Takes time in O(n log n) of the handles, and that
    /// of freeing each.
    ///
    /// # Examples
    ///
    /// ```
    /// use mc_offset::{Handle, SharedAllocator};
    ///
    /// let [one, other] = [SharedAllocator::new(100)?, SharedAllocator::new(100)?];
    /// Handle::free_all([one.allocate(60)?, other.allocate(30)?, one.allocate(40)?]);
    /// assert_eq!((one.recent_free_bytes(), other.recent_free_bytes()), (100, 100));
    /// # Ok::<(), Box<dyn std::error::Error>>(())
    /// ```
    pub fn free_all(handles: impl IntoIterator<Item = Self>) {
        let mut handles: Vec<Self> = handles.into_iter().collect();
        handles.sort_by_key(Self::frame);
        for group in handles.chunk_by_mut(|one, next| one.ptr_eq(next)) {
            free_of_one(group);
        }
    }
}

/// Frees handles of one allocator.
fn free_of_one(handles: &mut [Handle]) {
    let Some(core) = handles.first().and_then(Handle::core) else {
        return;
    };
    let Some(mut state) = core.lock_unless_called() else {
        // They are dropped one by one.
        return;
    };
    for handle in handles {
        settle_free(state.allocator().free(handle.allocation()));
        handle.defuse();
    }
    core.publish(state.allocator());
    core.retire(&mut state);
}

impl SharedAllocator {
    /// Frees all `handles` at the cost of one lock for each allocator that
    /// they are of: see [`Handle::free_all`].
    pub fn free_batch(&self, handles: impl IntoIterator<Item = Handle>) {
        Handle::free_all(handles);
    }

    /// Frees victims: those of a [`Window`](crate::Window), or the evictions of
    /// a [`HolePlan`](crate::HolePlan). Returns how many were freed.
    ///
    /// `take` is asked for the handle of each, without any lock, and returns
    /// `None` for one that is not to be freed, or is gone. Tokens of
    /// [`into_token`](Handle::into_token) among the victims are freed without
    /// being asked for. The hole is there at once if all are freed and no
    /// other thread takes it first.
    ///
    /// # Examples
    ///
    /// ```
    /// use mc_offset::SharedAllocator;
    ///
    /// let allocator = SharedAllocator::new(100)?;
    /// let mut blocks = (0..10).map(|_| allocator.allocate(10)).collect::<Result<Vec<_>, _>>()?;
    /// let window = allocator.cheapest_window(25, 1, |_| Some(1)).expect("nothing is pinned");
    /// let freed = allocator.free_victims(&window.victims, |victim| {
    ///     let place = blocks.iter().position(|block| block.allocation() == *victim)?;
    ///     Some(blocks.swap_remove(place))
    /// });
    /// assert_eq!((freed, blocks.len()), (3, 7));
    /// assert!(allocator.allocate(25).is_ok());
    /// # Ok::<(), Box<dyn std::error::Error>>(())
    /// ```
    pub fn free_victims(
        &self,
        victims: &[Allocation],
        mut take: impl FnMut(&Allocation) -> Option<Handle>,
    ) -> usize {
        let mut handles = Vec::new();
        let mut freed = 0;
        for victim in victims {
            if victim.is_loose() {
                freed += usize::from(self.free(*victim).is_ok());
            } else {
                handles.extend(take(victim));
            }
        }
        freed += handles.len();
        Handle::free_all(handles);
        freed
    }
}
