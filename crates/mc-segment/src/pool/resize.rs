//! Moving the end of a segment while others place in it.

use std::sync::{Arc, atomic::Ordering};

use super::SegmentPool;
pub use crate::tail::SegmentTail;
use crate::{error::SegmentResizeError, id::SegmentId, mounted::Mounted, tail};

impl SegmentPool {
    /// Begins to give up what a segment has behind `capacity` bytes, a multiple
    /// of its granule: what is free there is held, so that nothing is placed in
    /// it any more.
    ///
    /// Move or drop what is [in the way](SegmentTail::take_holes), then
    /// [`shrink`](Self::shrink). Takes the time of `take_holes`.
    ///
    /// # Errors
    ///
    /// [`NotMounted`](SegmentResizeError::NotMounted), [`Busy`](SegmentResizeError::Busy),
    /// [`NotSmaller`](SegmentResizeError::NotSmaller) or
    /// [`Capacity`](SegmentResizeError::Capacity); nothing has changed.
    ///
    /// # Examples
    ///
    /// ```
    /// use mc_segment::{Segment, SegmentId, SegmentInfo, SegmentPool, SegmentPoolOptions};
    ///
    /// let pool = SegmentPool::new(SegmentPoolOptions::default());
    /// let id = SegmentId(1);
    /// pool.mount(Segment::remote(SegmentInfo::new(id, "node-1", 0, 1000)))?;
    /// let _low = pool.place_in(id, 400, 1)?;
    /// let high = pool.place_in(id, 400, 1)?;
    ///
    /// let mut tail = pool.hold_tail(id, 500)?;
    /// assert_eq!(tail.take_holes()[0].address, high.address());
    /// assert!(pool.shrink(&mut tail).is_err(), "something is in the way");
    /// drop(high);
    /// assert!(tail.take_holes().is_empty());
    /// pool.shrink(&mut tail)?;
    /// drop(tail);
    /// assert_eq!(pool.placeable_bytes(), 500);
    /// pool.grow(id, 1000)?;
    /// assert_eq!(pool.placeable_bytes(), 1000);
    /// # Ok::<(), Box<dyn std::error::Error>>(())
    /// ```
    pub fn hold_tail(
        &self,
        id: SegmentId,
        capacity: u64,
    ) -> Result<SegmentTail, SegmentResizeError> {
        let mounted = self
            .mounted(id)
            .ok_or(SegmentResizeError::NotMounted { id })?;
        let mut tail = SegmentTail::new(mounted, capacity)?;
        tail.take_holes();
        Ok(tail)
    }

    /// Gives up a tail in which nothing is placed, and its pages where the
    /// memory is a pool's; returns the bytes of the pages.
    ///
    /// The segment has fewer bytes from then on, for placement, sums and
    /// shares; what it was mounted with stays what compares it with others, and
    /// is the most that it [grows](Self::grow) to. Snapshots of the pool have
    /// that size. Pages that are locked, or lent to a device, stay. Takes time
    /// linear in the pieces that are held, under the lock of each registration.
    ///
    /// # Errors
    ///
    /// [`NotMounted`](SegmentResizeError::NotMounted) if the pool has not the segment
    /// of the tail, or a newer epoch of it,
    /// [`Occupied`](SegmentResizeError::Occupied) if something is placed there, or
    /// [`Capacity`](SegmentResizeError::Capacity); the tail is held as before.
    pub fn shrink(&self, tail: &mut SegmentTail) -> Result<u64, SegmentResizeError> {
        let id = tail.segment_id();
        let mounted = self.mounted(id).filter(|mounted| tail.is_of(mounted));
        let mounted = mounted.ok_or(SegmentResizeError::NotMounted { id })?;
        tail.give_up()?;
        self.publish_capacity(&mounted);
        Ok(tail.release_memory())
    }

    /// Gives a segment that shrank `capacity` bytes, at most those that it was
    /// mounted with.
    ///
    /// # Errors
    ///
    /// A [`SegmentResizeError`]; the segment is what it was, unless the heap could not
    /// hold the tables of the larger one.
    pub fn grow(&self, id: SegmentId, capacity: u64) -> Result<(), SegmentResizeError> {
        let mounted = self
            .mounted(id)
            .ok_or(SegmentResizeError::NotMounted { id })?;
        if mounted.resizing.swap(true, Ordering::AcqRel) {
            return Err(SegmentResizeError::Busy { id });
        }
        let grown = grow(&mounted, capacity);
        mounted.resizing.store(false, Ordering::Release);
        self.publish_capacity(&mounted);
        grown
    }

    /// Makes the table follow the bytes of a segment.
    fn publish_capacity(&self, mounted: &Arc<Mounted>) {
        let _registry = self.registry();
        let table = self.shared.table.load();
        let is_open = table.contains(mounted);
        self.show(is_open.then(|| table.without(mounted).with(mounted)));
    }
}

fn grow(mounted: &Mounted, capacity: u64) -> Result<(), SegmentResizeError> {
    let (id, size, before) = (mounted.info().id, mounted.info().size, mounted.capacity());
    if capacity > size {
        return Err(SegmentResizeError::PastSize {
            id,
            asked: capacity,
            size,
        });
    }
    if capacity <= before {
        return Err(SegmentResizeError::NotLarger {
            id,
            asked: capacity,
            capacity: before,
        });
    }
    tail::check_granular(mounted, capacity)?;
    tail::grow(mounted, capacity).map_err(|source| SegmentResizeError::Capacity { id, source })
}
