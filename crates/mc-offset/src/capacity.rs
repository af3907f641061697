//! Moving the end of the range, while allocations live in it.

#[cfg(feature = "std")]
use crate::allocation::Allocation;
use crate::{
    allocator::OffsetAllocator,
    error::CapacityError,
    options::Options,
    space::{Content, Space},
};

impl OffsetAllocator {
    /// Returns the offset behind the last allocation, 0 if there is none: the
    /// bytes from there on are one hole, and [`shrink`](Self::shrink) can give
    /// them up. Takes constant time.
    pub fn highest_end(&self) -> u64 {
        match self.space().last_span() {
            Some(span) if span.content == Content::Free => span.offset,
            Some(span) => span.end(),
            None => 0,
        }
    }

    /// Moves the end of the range up to `capacity` bytes, a multiple of the
    /// granule, in O(log holes). Allocations stay as they are.
    ///
    /// # Errors
    ///
    /// A [`CapacityError`]; the range is as it was.
    ///
    /// # Examples
    ///
    /// ```
    /// use mc_offset::OffsetAllocator;
    ///
    /// let mut allocator = OffsetAllocator::new(1000)?;
    /// let _object = allocator.allocate(700)?;
    /// allocator.grow(2000)?;
    /// assert_eq!(allocator.allocate(1300)?.offset(), 700);
    /// # Ok::<(), Box<dyn std::error::Error>>(())
    /// ```
    pub fn grow(&mut self, capacity: u64) -> Result<(), CapacityError> {
        let old = self.capacity();
        check_granular(self.options(), capacity)?;
        if capacity < old {
            return Err(CapacityError::NotLarger {
                asked: capacity,
                capacity: old,
            });
        }
        let space = self.settled();
        if capacity > old {
            space.grow(capacity)?;
        }
        Ok(())
    }

    /// Moves the end of the range down to `capacity` bytes, a multiple of the
    /// granule, in O(log holes). Allocations stay as they are.
    ///
    /// # Errors
    ///
    /// [`Occupied`](CapacityError::Occupied) if an allocation reaches behind
    /// the new end, or another [`CapacityError`]; the range is as it was.
    ///
    /// # Examples
    ///
    /// ```
    /// use mc_offset::{CapacityError, OffsetAllocator};
    ///
    /// let mut allocator = OffsetAllocator::new(1000)?;
    /// let object = allocator.allocate(700)?;
    /// let in_the_way = CapacityError::Occupied { asked: 600, by: object };
    /// assert_eq!(allocator.shrink(600), Err(in_the_way));
    /// allocator.shrink(allocator.highest_end())?;
    /// assert_eq!(allocator.capacity(), 700);
    /// # Ok::<(), Box<dyn std::error::Error>>(())
    /// ```
    pub fn shrink(&mut self, capacity: u64) -> Result<(), CapacityError> {
        self.check_smaller(capacity)?;
        let old = self.capacity();
        let space = self.settled();
        let last = space.last_span().map(|span| match span.content {
            Content::Free => (span.offset, space.span_before(&span)),
            Content::Live(_) => (span.end(), Some(span)),
        });
        if let Some((used, Some(span))) = last
            && used > capacity
            && let Content::Live(by) = span.content
        {
            return Err(CapacityError::Occupied {
                asked: capacity,
                by,
            });
        }
        if capacity < old {
            space.shrink(capacity);
        }
        Ok(())
    }

    pub(crate) fn check_smaller(&self, capacity: u64) -> Result<(), CapacityError> {
        let old = self.capacity();
        check_granular(self.options(), capacity)?;
        if capacity > old {
            return Err(CapacityError::NotSmaller {
                asked: capacity,
                capacity: old,
            });
        }
        Ok(())
    }

    /// Returns the last allocation that reaches behind `capacity` bytes and is
    /// none of some others. Takes time linear in those behind.
    #[cfg(feature = "std")]
    pub(crate) fn last_behind(
        &mut self,
        capacity: u64,
        mut is_known: impl FnMut(&Allocation) -> bool,
    ) -> Option<Allocation> {
        let space = self.settled();
        let mut next = space.last_span();
        while let Some(span) = next
            && span.end() > capacity
        {
            match span.content {
                Content::Live(allocation) if !is_known(&allocation) => return Some(allocation),
                Content::Live(_) | Content::Free => next = space.span_before(&span),
            }
        }
        None
    }

    fn settled(&mut self) -> &mut Space {
        let space = self.space_mut();
        space.file_parked();
        space
    }
}

fn check_granular(options: &Options, capacity: u64) -> Result<(), CapacityError> {
    let granule_bytes = options.granule;
    if capacity == 0 || !capacity.is_multiple_of(granule_bytes) {
        return Err(CapacityError::NotGranular {
            asked: capacity,
            granule_bytes,
        });
    }
    Ok(())
}
