//! Rebuilding an allocator from a list of what lies where.
//!
//! The entries are checked one by one, sorted by offset, and then laid out in
//! a single pass that writes the nodes and, for the gaps, the holes. No hole
//! is searched for, so the list may describe any state of any fit.

use alloc::vec::Vec;
use core::fmt;

use crate::{
    allocation::{Allocation, Serials},
    allocator::OffsetAllocator,
    error::RestoreError,
    holes::Holes,
    nodes::{ANCHOR, Chain},
    options::Options,
    parked::Parked,
    slab::{NIL, SlabFull},
    trend::Trend,
};

/// An entry of a list to restore from, as a [`RestoreError`] names it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct RestoreEntry {
    /// Place in the list, from 0.
    pub position: usize,
    /// Offset of the first byte.
    pub offset: u64,
    /// Bytes asked for.
    pub size: u64,
}

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

impl fmt::Display for RestoreEntry {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self {
            position,
            offset,
            size,
        } = self;
        write!(f, "entry {position} ({size} bytes at offset {offset})")
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
        let mut serials = Serials::new();
        let mut tokens = admit(&options, entries, &mut serials)?;
        let order = address_order(&tokens)?;

        let mut tables = Tables::new(&options)?;
        let mut sweep = Sweep::default();
        let (mut live_bytes, mut charged_bytes) = (0, 0);
        for (_, position) in order {
            let token = tokens[position];
            let entry = entry(position, &token);
            let charge = options.charge(entry.size);
            let gap = sweep.pass(entry, charge)?;
            tables.push_hole(gap, entry.offset)?;
            tokens[position] = tables.push_allocation(&token)?;
            live_bytes += entry.size;
            charged_bytes += charge;
        }
        tables.push_hole(sweep.end, options.capacity)?;

        let Tables { chain, holes } = tables;
        let allocator = Self {
            options,
            chain,
            holes,
            parked: Parked::NONE,
            sizes_repeat: true,
            serials,
            trend: Trend::new(),
            live_bytes,
            charged_bytes,
        };
        Ok((allocator, tokens))
    }
}

/// Checks each entry by itself and makes its token, which has no node yet.
fn admit(
    options: &Options,
    entries: impl IntoIterator<Item = (u64, u64)>,
    serials: &mut Serials,
) -> Result<Vec<Allocation>, RestoreError> {
    let entries = entries.into_iter();
    let mut tokens = Vec::new();
    tokens.try_reserve(entries.size_hint().0)?;
    for (offset, size) in entries {
        let token = Allocation::new(offset, size, serials.issue(), NIL);
        entry(tokens.len(), &token).charge(options)?;
        tokens.try_reserve(1)?;
        tokens.push(token);
    }
    Ok(tokens)
}

fn entry(position: usize, token: &Allocation) -> RestoreEntry {
    RestoreEntry {
        position,
        offset: token.offset(),
        size: token.size(),
    }
}

/// Returns offset and position of every token, the lowest offset first.
fn address_order(tokens: &[Allocation]) -> Result<Vec<(u64, usize)>, RestoreError> {
    let mut order = Vec::new();
    order.try_reserve_exact(tokens.len())?;
    let keys = tokens.iter().enumerate();
    order.extend(keys.map(|(position, token)| (token.offset(), position)));
    order.sort_unstable();
    Ok(order)
}

/// The tables of an allocator as far as they are laid out.
struct Tables {
    chain: Chain,
    holes: Holes,
}

impl Tables {
    fn new(options: &Options) -> Result<Self, SlabFull> {
        Ok(Self {
            chain: Chain::new()?,
            holes: Holes::new(options.fit.scale(), options.capacity)?,
        })
    }

    /// Appends the node of an allocation and returns the token that knows it.
    fn push_allocation(&mut self, token: &Allocation) -> Result<Allocation, SlabFull> {
        let (size, serial) = (token.size(), token.serial());
        self.chain.reserve(1)?;
        let node = self.chain.insert_allocation(ANCHOR, size, serial);
        Ok(Allocation::new(token.offset(), size, serial, node))
    }

    /// Appends a hole of the bytes `start..end`, if there are any.
    fn push_hole(&mut self, start: u64, end: u64) -> Result<(), SlabFull> {
        if start == end {
            return Ok(());
        }
        self.chain.reserve(1)?;
        self.holes.reserve_one()?;
        let node = self.chain.insert_before(ANCHOR);
        let hole = self.holes.insert(start, end - start, node);
        self.chain.set_hole(node, hole);
        Ok(())
    }
}
