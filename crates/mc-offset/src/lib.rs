//! Offset allocator that places objects in an address range it never touches.
//!
//! # Problem
//!
//! A KV-cache store keeps attention keys and values in segments of host or
//! remote memory, in files, on devices. Objects come and go in any order, and
//! whatever the allocator cannot use is cache that is not there. The memory
//! may not even be mapped here, so all bookkeeping has to live outside it; and
//! objects that a network card may be reading cannot be moved behind its back.
//!
//! Allocators of the TLSF family do this in constant time but lose memory to
//! their bins of sizes: a hole is filed in the bin *below* its size, a request
//! looks from the bin *above* its own, and so a hole of exactly the right size
//! is invisible unless its size is a bin's. Rounding every request up to a bin
//! makes it visible again and costs up to a ninth of the memory. This crate
//! rounds nothing and looks at a few holes of the request's own bin first.
//!
//! # Model
//!
//! ```text
//! offset    0         300    400          700      800              2800
//!           ├──────────┼──────┼────────────┼────────┼────────────────┤
//! nodes     │ 300 live │ hole │  300 live  │100 live│      hole      │  in address order, each
//!           └──────────┴──┬───┴────────────┴────────┴───────┬────────┘  linked to its neighbors
//!                         │                                 │
//! holes             100 bytes at 300                2000 bytes at 800
//!                         │                                 │
//! bins      … 98‥99   100‥101   102‥103  …  1952‥1983  1984‥2015  …     lists, the newest first
//! leaf          0        1         0     …      0          1      …     a bit for each bin
//! top       0                1              0               1     …     a bit for 64 bins
//! ```
//!
//! Every byte belongs to one *node*, an allocation or a hole. A *bin* lists
//! the holes of one range of sizes: 32 bins to a doubling, or eight under the
//! published fits. Two bit scans find the next bin that has a hole.
//! [`Fit`] is the rule that picks a hole; freeing an allocation merges it with
//! the holes beside it. Where there are more than 256 holes, or that is asked
//! for, a tree has them by address, each subtree with its largest hole: for
//! what bins do not tell in a few looks.
//!
//! The literature on TLSF calls the two levels of the bitmap first and second
//! level, a bin a segregated list, and a hole a free block; its mapping for
//! insertion is rounding down to a bin, its mapping for search rounding up.
//!
//! # Example
//!
//! ```
//! use mc_offset::{AllocError, OffsetAllocator};
//!
//! let mut segment = OffsetAllocator::new(1 << 20)?;
//! let page = segment.allocate(524_305)?;
//! let index = segment.allocate_aligned(4_000, 4096)?;
//! assert_eq!((page.offset(), index.offset() % 4096), (0, 0));
//!
//! // The hole is found by a request of exactly its size.
//! segment.free(page)?;
//! let page = segment.allocate(524_305)?;
//! assert_eq!(page.offset(), 0);
//!
//! // A refusal tells whether evicting can help, and a window what to evict.
//! let refusal = segment.allocate(600_000);
//! assert!(matches!(refusal, Err(AllocError::NoHole { asked: 600_000, .. })));
//! let window = segment.cheapest_window(600_000, 1, |_| Some(1)).expect("nothing is pinned");
//! for victim in window.victims {
//!     segment.free(victim)?;
//! }
//! assert!(segment.allocate(600_000).is_ok());
//! println!("{}\n{}", segment.report(), segment.text_map(72));
//! # Ok::<(), Box<dyn std::error::Error>>(())
//! ```
//!
//! # Guarantees
//!
//! - Live allocations never overlap and never leave the range.
//! - A request that fits some hole succeeds, the whole capacity included,
//!   under [`Fit::Adaptive`] and [`Fit::Good`]. A refusal states the bytes
//!   asked for, the free bytes and the largest hole.
//! - An untouched range is filled from its low end under every fit: allocating
//!   the gaps and the objects of a layout in address order restores it. As long
//!   as a lower hole serves, the high end stays untouched. The one exception is
//!   [`Fit::Adaptive`] while sizes are in two groups, neither of them rare and
//!   the larger more than a hundred times the smaller: the smaller objects fill
//!   the range from its far end, away from the holes of the larger ones.
//! - The same calls give the same places, on every machine.
//! - Every byte of the capacity can be allocated, up to 2^64 − 1 bytes; only
//!   [`Fit::BinCeil`] and a granule above 1 charge more than was asked for.
//! - A token that was freed, or that another allocator gave, is an error and
//!   changes nothing. A refused request leaves all allocations and holes as
//!   they were.
//! - A limit of N allocations admits exactly N.
//! - There is no `unsafe` code, and without the feature `std` no dependency on
//!   `std`.
//!
//! | operation | time |
//! |---|---|
//! | [`allocate`](OffsetAllocator::allocate), [`free`](OffsetAllocator::free) | O(log holes) at worst; constant for up to 256 holes, but for small objects while sizes are widely spread, under [`Fit::Adaptive`] |
//! | [`allocate_aligned`](OffsetAllocator::allocate_aligned) | O(log holes), but for the first request of an alignment for which no hole has `size + align` bytes, which reads all holes |
//! | [`allocate_at`](OffsetAllocator::allocate_at), [`resize_in_place`](OffsetAllocator::resize_in_place) | O(log holes); the first refusal of `allocate_at` walks from the hole before to the allocation in the way, later ones over 64 allocations |
//! | [`allocate_extents`](OffsetAllocator::allocate_extents) | O(log holes) for each piece, or for each one allowed if it is refused; aligned as `allocate_aligned` |
//! | [`plan_hole`](OffsetAllocator::plan_hole), [`plan_hole_with_spares`](OffsetAllocator::plan_hole_with_spares) | linear in the nodes that it may visit |
//! | [`grow`](OffsetAllocator::grow), [`shrink`](OffsetAllocator::shrink) | O(log holes) |
//! | [`neighbors_from`](OffsetAllocator::neighbors_from), [`neighbors_below`](OffsetAllocator::neighbors_below), [`stretches`](OffsetAllocator::stretches) | constant for each step |
//! | [`report`](OffsetAllocator::report), [`largest_hole`](OffsetAllocator::largest_hole), [`highest_end`](OffsetAllocator::highest_end), [`expand`](OffsetAllocator::expand) | constant |
//! | [`cheapest_window`](OffsetAllocator::cheapest_window), [`snapshot`](OffsetAllocator::snapshot), [`histogram`](OffsetAllocator::histogram), [`text_map`](OffsetAllocator::text_map), [`holes`](OffsetAllocator::holes), [`allocations`](OffsetAllocator::allocations), [`check_invariants`](OffsetAllocator::check_invariants) | linear in nodes or holes |
//! | [`restore_from`](OffsetAllocator::restore_from) | that of sorting the entries |
//! | growing a full table, giving memory back | copies the table; paid for by the calls before |
//!
//! Memory is 24 bytes and a bit for each allocation and each hole, 32 bytes
//! more for each hole, and about 35 bytes more for each hole of an index; it
//! grows on demand and is given back. An idle allocator takes less than 16 KiB.
//!
//! For objects of one size, [`SlotAllocator`] takes 0.127 bytes per slot and
//! is lock-free.
//!
//! # Features
//!
//! - `std`: `SharedAllocator`, which threads share and whose handles free
//!   themselves. Sizes that a thread repeats take neither the lock nor a line
//!   that other threads write, whoever frees them, but for one look at the lock
//!   for some tens of blocks that change threads.
//! - `serde`: `Serialize` for [`Report`], [`Histogram`], [`BinUsage`],
//!   [`FreeRange`], [`Window`], [`Extents`] and [`Allocation`]; `Serialize` and
//!   `Deserialize` for [`Fit`].
//!
//! Neither is on by default. The crate needs `alloc` and 64-bit atomics.
//!
//! # Limits
//!
//! - Nothing moves by itself, so a pool of many different sizes does not fill
//!   up: uniform random sizes up to 1/32 of the pool leave 13 % of it in holes.
//!   [`allocate_extents`](OffsetAllocator::allocate_extents),
//!   [`plan_hole`](OffsetAllocator::plan_hole) and
//!   [`cheapest_window`](OffsetAllocator::cheapest_window) are the ways out.
//! - Allocations and holes together number at most 2^32 − 2.
//! - A token takes 32 bytes, because it carries offset, size and proof;
//!   [`CompactAllocation`] is one of 16 bytes for offsets below 2^32.
//! - A table that is full grows by an eighth, at least 256 entries; the
//!   request that makes it grow may copy it.
//! - [`OffsetAllocator`] takes `&mut self`.
//!
//! # How correctness is checked
//!
//! [`check_invariants`](OffsetAllocator::check_invariants) rebuilds whatever is
//! derived and compares. It runs after every step of seeded random programs
//! that are held against a map of ranges under every fit (`tests/model.rs`), of
//! all programs of four steps on pools of one to five and of eight bytes
//! (`tests/exhaustive.rs`), and of the fuzzer's corpus (`tests/corpus.rs`). Bin
//! arithmetic is checked by properties over all of `u64`, the published fits
//! against the crate `offset-allocator` offset by offset
//! (`tests/published.rs`), windows against an exhaustive search
//! (`tests/windows.rs`), plans against every sequence of moves and evictions
//! (`tests/hole_plans.rs`), the order of filling by rebuilding layouts
//! (`tests/order.rs`), bounds by counting steps at up to a million holes
//! (`src/bounds.rs`), restoring with heaps that end at any of their pages
//! (`tests/heap.rs`), and the lock-free protocols by loom
//! (`tests/loom_slots.rs`, `tests/loom_shared.rs`).
#![no_std]
#![forbid(unsafe_code)]

extern crate alloc;
#[cfg(feature = "std")]
extern crate std;

mod allocation;
mod allocator;
mod bins;
#[cfg(test)]
mod bounds;
mod capacity;
mod compact;
mod error;
mod extents;
mod fit;
mod hole_plan;
mod neighbors;
mod options;
mod place;
mod report;
mod restore;
mod search;
#[cfg(feature = "std")]
mod shared;
mod slab;
mod slots;
mod snapshot;
mod space;
mod steps;
mod sync;
mod trend;
mod window;

pub use allocation::Allocation;
pub use allocator::OffsetAllocator;
pub use bins::BinScale;
pub use compact::CompactAllocation;
pub use error::{
    AllocError, CapacityError, FreeError, OptionsError, PlaceError, ResizeError, RestoreEntry,
    RestoreError, SnapshotError,
};
pub use extents::Extents;
pub use fit::Fit;
pub use hole_plan::{BlockCost, HoleOptions, HolePlan, Move, Optimality, Preference};
pub use neighbors::Neighbor;
pub use options::Options;
pub use report::{BinUsage, FreeRange, Histogram, Report};
#[cfg(feature = "std")]
pub use shared::{Handle, SharedAllocator};
pub use slots::{
    LiveSlots, SlotAllocAtError, SlotAllocError, SlotAllocator, SlotFreeError, SlotIndex,
    SlotLayoutError,
};
pub use snapshot::Snapshot;
pub use window::Window;

/// The examples of the README, compiled and run with the other documentation
/// tests.
#[cfg(doctest)]
#[doc = include_str!("../README.md")]
mod readme {}
