//! The allocator of one thread: every fit and every operation, against a map of ranges.

use std::collections::BTreeMap;

use mc_offset::{AllocError, Allocation, Fit, FreeError, OffsetAllocator, Options};
use rand::RngExt;

use super::{Generator, Layer};

pub(super) const LAYER: Layer = Layer {
    name: "offset",
    run,
};

/// Operations of one round.
const STEPS: u64 = 4000;

/// Operations between two looks at everything, which take as long as there are ranges.
const STEPS_PER_CHECK: u64 = 100;

/// An allocator and what it should hold.
struct Shadowed {
    allocator: OffsetAllocator,
    live: BTreeMap<u64, Allocation>,
    /// The token freed last, which nothing may accept again.
    stale: Option<Allocation>,
}

fn run(generator: &mut Generator) -> u64 {
    let options = options(generator);
    let allocator = OffsetAllocator::with_options(options).expect("drawn to be valid");
    let mut shadowed = Shadowed {
        allocator,
        live: BTreeMap::new(),
        stale: None,
    };
    // Small sizes first and last, so that tables grow and are given back.
    let largest_log2 = generator.random_range(0..=options.capacity.ilog2());
    for step in 0..STEPS {
        let is_growing = step / 1000 % 2 == 0;
        if generator.random_ratio(if is_growing { 1 } else { 3 }, 5) {
            shadowed.free_one(generator);
        } else {
            let log2 = generator.random_range(0..=largest_log2);
            let size = generator.random_range(1..=1_u64 << log2);
            shadowed.operate(size.min(options.capacity), generator);
        }
        if step % STEPS_PER_CHECK == 0 {
            shadowed.check();
        }
    }
    shadowed.survive_a_snapshot();
    while !shadowed.live.is_empty() {
        shadowed.free_one(generator);
    }
    shadowed.check();
    assert_eq!(shadowed.allocator.free_bytes(), options.capacity);
    assert_eq!(shadowed.allocator.hole_count(), 1);
    STEPS
}

fn options(generator: &mut Generator) -> Options {
    let fits = [
        Fit::BinExact,
        Fit::BinCeil,
        Fit::Good { probes: 1 },
        Fit::GOOD,
        Fit::Good { probes: 64 },
        Fit::Adaptive,
    ];
    let granule = 1 << generator.random_range(0..=12);
    let granules_log2 = generator.random_range(1..=50);
    let granules = generator.random_range(1..=1_u64 << granules_log2);
    let has_limit = generator.random_ratio(1, 8);
    let limit = generator.random_range(1..2000);
    Options {
        fit: fits[generator.random_range(0..fits.len())],
        granule,
        max_allocations: has_limit.then_some(limit),
        ..Options::new(granule * granules)
    }
}

impl Shadowed {
    fn operate(&mut self, size: u64, generator: &mut Generator) {
        let granule = self.allocator.options().granule;
        let granules = self.allocator.capacity() / granule;
        let align = 1 << generator.random_range(0..16);
        match generator.random_range(0..10) {
            0 => {
                let offset = generator.random_range(0..granules) * granule;
                if let Ok(token) = self.allocator.allocate_at(offset, size) {
                    assert_eq!(token.offset(), offset);
                    self.admit(token);
                }
            }
            1 => self.resize_one(size, generator),
            2 => {
                let pieces_max = generator.random_range(1..=8);
                if let Ok(object) = self.allocator.allocate_extents(size, pieces_max, align) {
                    let bytes: u64 = object.pieces().iter().map(Allocation::size).sum();
                    assert_eq!(bytes, size);
                    object.pieces().iter().for_each(|&piece| self.admit(piece));
                }
            }
            3 => self.evict_window(size, align),
            _ => match self.allocator.allocate_aligned(size, align) {
                Ok(token) => {
                    assert!(token.offset().is_multiple_of(align), "{token:?} at {align}");
                    self.admit(token);
                }
                Err(error) => self.check_refusal(error, size, align),
            },
        }
    }

    /// Takes in a new allocation, which overlaps no other.
    fn admit(&mut self, token: Allocation) {
        let (start, end) = (token.offset(), token.offset() + token.size());
        assert!(end <= self.allocator.capacity(), "{token:?} is outside");
        let before = self.live.range(..end).next_back();
        let is_free = before.is_none_or(|(_, other)| other.offset() + other.size() <= start);
        assert!(is_free, "{token:?} overlaps {before:?}");
        self.live.insert(start, token);
    }

    /// A fit that promises it refuses only what no hole can hold.
    fn check_refusal(&self, error: AllocError, size: u64, align: u64) {
        let options = self.allocator.options();
        let is_promised = !matches!(options.fit, Fit::BinExact | Fit::BinCeil);
        if let (AllocError::NoHole { .. }, true) = (error, is_promised) {
            let charge = u128::from(size.next_multiple_of(options.granule));
            let fits = self.allocator.holes().any(|hole| {
                let at = u128::from(hole.offset).next_multiple_of(align.into());
                at + charge <= u128::from(hole.offset) + u128::from(hole.size)
            });
            assert!(!fits, "{size} bytes at {align} refused though a hole fits");
        }
    }

    fn free_one(&mut self, generator: &mut Generator) {
        let Some(token) = self.pick(generator) else {
            return;
        };
        self.live.remove(&token.offset());
        assert_eq!(self.allocator.free(token), Ok(()));
        self.stale = Some(token);
    }

    fn resize_one(&mut self, size: u64, generator: &mut Generator) {
        let Some(old) = self.pick(generator) else {
            return;
        };
        if let Ok(new) = self.allocator.resize_in_place(old, size) {
            assert_eq!((new.offset(), new.size()), (old.offset(), size));
            self.live.remove(&old.offset());
            self.admit(new);
        }
    }

    /// Makes room by evicting the cheapest neighbors; the room is then really there.
    fn evict_window(&mut self, size: u64, align: u64) {
        let cost = |token: &Allocation| (!token.offset().is_multiple_of(7)).then_some(token.size());
        let Some(window) = self.allocator.cheapest_window(size, align, cost) else {
            return;
        };
        for victim in window.victims {
            assert!(cost(&victim).is_some(), "{victim:?} is pinned");
            assert_eq!(self.allocator.free(victim), Ok(()));
            assert_eq!(self.live.remove(&victim.offset()), Some(victim));
        }
        // At the limit of allocations nothing can be had, whatever is free.
        let limit = self.allocator.options().max_allocations;
        if limit.is_some_and(|limit| self.live.len() >= limit as usize) {
            return;
        }
        let largest = self.allocator.largest_hole();
        assert!(largest >= size, "{size} bytes made room for, {largest} are");
    }

    /// Returns a random live token.
    fn pick(&self, generator: &mut Generator) -> Option<Allocation> {
        let from = generator.random_range(0..self.allocator.capacity());
        let behind = self.live.range(from..).next();
        behind
            .or_else(|| self.live.first_key_value())
            .map(|(_, &token)| token)
    }

    fn check(&mut self) {
        self.allocator.check_invariants();
        let allocations = self.allocator.allocations();
        assert!(allocations.eq(self.live.values().copied()), "other tokens");
        let report = self.allocator.report();
        assert_eq!(report.charged_bytes + report.free_bytes, report.capacity);
        let live_bytes: u64 = self.live.values().map(Allocation::size).sum();
        assert_eq!(report.live_bytes, live_bytes);
        if let Some(stale) = self.stale {
            let refused = self.allocator.free(stale);
            assert!(
                matches!(refused, Err(FreeError::NotLive { .. })),
                "{stale:?} was freed twice"
            );
        }
    }

    /// Goes on with an allocator rebuilt from a snapshot.
    fn survive_a_snapshot(&mut self) {
        let bytes = self.allocator.snapshot().encode();
        let snapshot = mc_offset::Snapshot::decode(&bytes).expect("it was just encoded");
        let (allocator, tokens) = snapshot.restore().expect("it was just taken");
        let places = |token: &Allocation| (token.offset(), token.size());
        assert!(tokens.iter().map(places).eq(self.live.values().map(places)));
        self.allocator = allocator;
        self.live = tokens
            .into_iter()
            .map(|token| (token.offset(), token))
            .collect();
        self.check();
    }
}
