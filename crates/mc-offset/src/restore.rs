//! Rebuilding an allocator from a list of what lies where.
//!
//! The entries are checked one by one, sorted by offset, and then laid out in
//! a single pass that writes the nodes and, for the gaps, the holes. No hole
//! is searched for, so the list may describe any state of any fit.

use alloc::vec::Vec;

use crate::{
    allocation::{Allocation, FIRST_SERIAL},
    allocator::OffsetAllocator,
    error::{RestoreEntry, RestoreError},
    options::Options,
    slab::NIL,
    space::Draft,
};

impl RestoreEntry {
    /// Returns the charge of the entry if it is possible by itself.
    pub(crate) fn charge(self, options: &Options) -> Result<u64, RestoreError> {
        let Options {
            capacity, granule, ..
        } = *options;
        if let Some(limit) = options.max_allocations
            && self.position as u64 >= u64::from(limit)
        {
            return Err(RestoreError::LimitReached { entry: self, limit });
        }
        if self.size == 0 {
            return Err(RestoreError::ZeroSize { entry: self });
        }
        if !self.offset.is_multiple_of(granule) {
            return Err(RestoreError::OffGranule {
                entry: self,
                granule_bytes: granule,
            });
        }
        options
            .charged_size(self.size)
            .filter(|charge| self.offset <= capacity - charge)
            .ok_or(RestoreError::BeyondCapacity {
                entry: self,
                capacity,
            })
    }
}

/// A walk over entries in address order that lets no two overlap.
#[derive(Debug, Default)]
pub(crate) struct Sweep {
    last: Option<RestoreEntry>,
    /// Offset behind the charge of `last`.
    end: u64,
}

impl Sweep {
    /// Passes the next entry and returns the offset at which the gap before
    /// it begins, which is the entry's own if there is none.
    pub(crate) fn pass(&mut self, entry: RestoreEntry, charge: u64) -> Result<u64, RestoreError> {
        let gap = self.end;
        if let Some(other) = self.last
            && entry.offset < gap
        {
            return Err(RestoreError::Overlap {
                entry,
                other,
                other_end: gap,
            });
        }
        self.last = Some(entry);
        self.end = entry.offset + charge;
        Ok(gap)
    }
}

impl OffsetAllocator {
    /// Makes an allocator in which every `(offset, size)` of `entries` is an
    /// allocation and the rest is free.
    ///
    /// The entries may come in any order; `size` is what was asked for, from
    /// which the options determine the charge. The tokens are those of the
    /// entries, in the order of the entries. Takes the time of sorting.
    ///
    /// # Errors
    ///
    /// A [`RestoreError`] that names the entry at fault. Of several, it names
    /// the first of the list that is not possible by itself; if all are, the
    /// overlap with the lowest offset.
    ///
    /// # Examples
    ///
    /// ```
    /// use mc_offset::{FreeRange, OffsetAllocator, Options};
    ///
    /// let objects = [(700, 300), (0, 600)];
    /// let (mut allocator, tokens) = OffsetAllocator::restore_from(Options::new(1000), objects)?;
    /// assert!(allocator.holes().eq([FreeRange { offset: 600, size: 100 }]));
    /// allocator.free(tokens[0])?;
    /// assert_eq!(allocator.largest_hole(), 400);
    ///
    /// let objects = [(700, 300), (0, 701)];
    /// let error = OffsetAllocator::restore_from(Options::new(1000), objects).unwrap_err();
    /// assert_eq!(
    ///     error.to_string(),
    ///     "entry 0 (300 bytes at offset 700) begins before offset 701, \
    ///      where entry 1 (701 bytes at offset 0) ends",
    /// );
    /// # Ok::<(), Box<dyn std::error::Error>>(())
    /// ```
    pub fn restore_from(
        options: Options,
        entries: impl IntoIterator<Item = (u64, u64)>,
    ) -> Result<(Self, Vec<Allocation>), RestoreError> {
        options.validate()?;
        let entries = admit(&options, entries)?;
        let order = address_order(&entries)?;
        let mut tokens = Vec::new();
        tokens.try_reserve_exact(entries.len())?;
        // Each is replaced by the one that knows its node.
        let unplaced =
            |entry: &RestoreEntry| Allocation::new(entry.offset, entry.size, FIRST_SERIAL, NIL);
        tokens.extend(entries.iter().map(unplaced));

        let mut draft = Draft::new(options)?;
        let mut sweep = Sweep::default();
        for (_, position) in order {
            let entry = entries[position];
            let gap = sweep.pass(entry, options.charge(entry.size))?;
            draft.push_hole(gap, entry.offset)?;
            tokens[position] = draft.push_allocation(entry.offset, entry.size)?;
        }
        draft.push_hole(sweep.end, options.capacity)?;
        Ok((Self::with_space(draft.finish()), tokens))
    }
}

/// Checks each entry by itself.
fn admit(
    options: &Options,
    entries: impl IntoIterator<Item = (u64, u64)>,
) -> Result<Vec<RestoreEntry>, RestoreError> {
    let entries = entries.into_iter();
    let mut admitted = Vec::new();
    admitted.try_reserve(entries.size_hint().0)?;
    for (position, (offset, size)) in entries.enumerate() {
        let entry = RestoreEntry {
            position,
            offset,
            size,
        };
        entry.charge(options)?;
        admitted.try_reserve(1)?;
        admitted.push(entry);
    }
    Ok(admitted)
}

/// Returns offset and position of every entry, the lowest offset first.
fn address_order(entries: &[RestoreEntry]) -> Result<Vec<(u64, usize)>, RestoreError> {
    let mut order = Vec::new();
    order.try_reserve_exact(entries.len())?;
    let keys = entries.iter().map(|entry| (entry.offset, entry.position));
    order.extend(keys);
    order.sort_unstable();
    Ok(order)
}
