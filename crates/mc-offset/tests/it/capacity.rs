//! Changes of the capacity, held against the map.

use mc_offset::CapacityError;

use crate::common::Shadowed;

impl Shadowed {
    /// Moves the end of the range and checks the outcome against the last live
    /// range.
    pub(crate) fn set_capacity(&mut self, capacity: u64) {
        let old = self.allocator.capacity();
        let granule_bytes = self.allocator.options().granule;
        let last = self.live.last_key_value();
        let last = last.map(|(&offset, &(charged, token))| (offset + charged, token));
        let asked = capacity;
        let expected = match last {
            _ if asked == 0 || !asked.is_multiple_of(granule_bytes) => {
                Err(CapacityError::NotGranular {
                    asked,
                    granule_bytes,
                })
            }
            Some((end, by)) if end > asked => Err(CapacityError::Occupied { asked, by }),
            Some(_) | None => Ok(()),
        };
        let outcome = match capacity > old {
            true => self.allocator.grow(capacity),
            false => self.allocator.shrink(capacity),
        };
        assert_eq!(outcome, expected, "from {old} to {capacity}");
        let now = if outcome.is_ok() { capacity } else { old };
        assert_eq!(self.allocator.capacity(), now);
    }
}
