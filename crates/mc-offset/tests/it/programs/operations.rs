//! Bytes as a stream of operations, against the oracle after each one.
//!
//! The first byte chooses the fit, the second the pool. Every step is a byte
//! with the code of an operation and as many bytes as its operands take; the
//! program ends where they do. A code without a meaning is skipped, so that
//! checked-in bytes keep theirs when operations are added.
#![expect(clippy::unwrap_used, reason = "a refusal where none is due is a find")]

use std::mem;

use mc_offset::{Allocation, OffsetAllocator, Options, Snapshot};

use crate::common::{FITS, Shadowed};

/// Capacities and granules in bytes.
const POOLS: [(u64, u64); 8] = [
    (1, 1),
    (8, 1),
    (1000, 1),
    (64 * 100, 64),
    (1 << 20, 4096),
    ((1 << 31) - 1, 1),
    ((1 << 40) + 12_345, 1),
    (u64::MAX, 1),
];

const ALLOCATE: u8 = 0;
const ALLOCATE_ALIGNED: u8 = 1;
const FREE: u8 = 2;
const FREE_STALE: u8 = 3;
const RESET: u8 = 4;
const RESTORE: u8 = 5;
const ALLOCATE_AT: u8 = 6;
const ALLOCATE_EXTENTS: u8 = 7;
const RESIZE: u8 = 8;
const EVICT_WINDOW: u8 = 9;

/// Runs the program that `bytes` spell.
///
/// # Panics
///
/// If the allocator and the oracle disagree.
pub(crate) fn run(bytes: &[u8]) {
    let mut operands = Operands(bytes);
    let (Some(fit), Some(pool)) = (operands.byte(), operands.byte()) else {
        return;
    };
    let (capacity, granule) = POOLS[usize::from(pool) % POOLS.len()];
    let options = Options {
        granule,
        fit: FITS[usize::from(fit) % FITS.len()],
        ..Options::new(capacity)
    };
    let mut state = State {
        shadowed: Shadowed::new(options),
        stale: None,
    };
    while let Some(()) = state.step(&mut operands) {
        state.shadowed.check();
    }
}

struct State {
    shadowed: Shadowed,
    /// A token that was live once.
    stale: Option<Allocation>,
}

impl State {
    /// Takes one operation off the front; `None` if the operands are cut.
    fn step(&mut self, operands: &mut Operands<'_>) -> Option<()> {
        match operands.byte()? {
            ALLOCATE => {
                let _ = self.shadowed.allocate(operands.size()?, 1);
            }
            ALLOCATE_ALIGNED => {
                let align = 1 << (operands.byte()? % 64);
                let _ = self.shadowed.allocate(operands.size()?, align);
            }
            FREE => self.free(operands.byte()?.into()),
            FREE_STALE => {
                let freed = self.stale.map(|token| self.shadowed.allocator.free(token));
                assert!(freed.is_none_or(|freed| freed.is_err()));
            }
            RESET => {
                self.shadowed.allocator.reset().unwrap();
                let live = mem::take(&mut self.shadowed.live);
                self.stale = live.into_values().next_back().map(|(_, token)| token);
            }
            RESTORE => self.restore(operands.byte()?.into()),
            ALLOCATE_AT => {
                let offset = operands.size()?;
                self.shadowed.allocate_at(offset, operands.size()?.max(1));
            }
            ALLOCATE_EXTENTS => {
                let max_extents = u32::from(operands.byte()? % 8) + 1;
                let align = 1 << (operands.byte()? % 16);
                self.shadowed
                    .allocate_extents(operands.size()?.max(1), max_extents, align);
            }
            RESIZE => {
                let rank = operands.byte()?.into();
                let size = operands.size()?.max(1);
                if let Some((offset, token)) = self.nth(rank) {
                    self.shadowed.resize(offset, size);
                    self.stale = Some(token).filter(|&old| !self.shadowed.allocator.is_live(old));
                }
            }
            EVICT_WINDOW => self.evict_window(operands.size()?),
            _ => {}
        }
        Some(())
    }

    /// Returns the `rank`th of the live allocations in address order.
    fn nth(&self, rank: usize) -> Option<(u64, Allocation)> {
        let live = &self.shadowed.live;
        let nth = live.iter().nth(rank % live.len().max(1));
        nth.map(|(&offset, &(_, token))| (offset, token))
    }

    fn free(&mut self, rank: usize) {
        if let Some((offset, token)) = self.nth(rank) {
            self.shadowed.free(offset);
            self.stale = Some(token);
        }
    }

    /// Evicts what makes room for `size` bytes, and finds the room there.
    fn evict_window(&mut self, size: u64) {
        let allocator = &self.shadowed.allocator;
        let Some(window) = allocator.cheapest_window(size, 1, |block| Some(block.size())) else {
            assert!(
                allocator.charged_size(size).is_none(),
                "no window for {size} bytes"
            );
            return;
        };
        for victim in window.victims {
            self.shadowed.free(victim.offset());
            self.stale = Some(victim);
        }
        let mut holes = self.shadowed.allocator.holes();
        let hole = holes.find(|hole| hole.offset == window.offset).unwrap();
        assert_eq!(hole.size, window.size);
    }

    /// Goes on with an allocator restored from the bytes of a snapshot, whose
    /// entries are given from the `first`th on.
    fn restore(&mut self, first: usize) {
        let bytes = self.shadowed.allocator.snapshot().encode();
        let snapshot = Snapshot::decode(&bytes).unwrap();
        let mut entries: Vec<(u64, u64)> = snapshot.entries().collect();
        let count = entries.len();
        entries.rotate_left(first % count.max(1));
        let restored = OffsetAllocator::restore_from(*snapshot.options(), entries.iter().copied());
        let (allocator, tokens) = restored.unwrap();
        self.shadowed.allocator = allocator;
        assert_eq!(tokens.len(), count);
        for (token, entry) in tokens.into_iter().zip(entries) {
            assert_eq!((token.offset(), token.size()), entry);
            let (_, live) = self.shadowed.live.get_mut(&token.offset()).unwrap();
            self.stale = Some(mem::replace(live, token));
        }
    }
}

/// The bytes that are not read yet.
struct Operands<'a>(&'a [u8]);

impl Operands<'_> {
    fn byte(&mut self) -> Option<u8> {
        let (&byte, rest) = self.0.split_first()?;
        self.0 = rest;
        Some(byte)
    }

    /// Returns two bytes shifted by a third: every magnitude up to 2^63.
    fn size(&mut self) -> Option<u64> {
        let shift = self.byte()? % 48;
        let leading = u16::from_le_bytes([self.byte()?, self.byte()?]);
        Some(u64::from(leading) << shift)
    }
}
