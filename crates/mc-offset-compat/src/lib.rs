//! The interface of the crate `offset-allocator` 0.2 over [`mc_offset`].
//!
//! # Problem
//!
//! Programs that stand on `offset-allocator` lose memory to its bins of sizes:
//! a free region is filed in the bin *below* its size, a request looks from
//! the bin *above* its own, and so a region of exactly the right size is found
//! only if the size is a bin's. Objects of one size fill two thirds of a range.
//! This crate serves every request that some free region has room for, and
//! such a program moves to it by one line of its manifest:
//!
//! ```toml
//! [dependencies]
//! offset-allocator = { package = "mc-offset-compat", version = "0.2" }
//! ```
//!
//! Where another package depends on the original, `[patch.crates-io]` takes the
//! package of the original's name in `compat/offset-allocator`, which
//! re-exports this crate.
//!
//! # Model
//!
//! [`Allocator`] is an [`OffsetAllocator`](mc_offset::OffsetAllocator) under
//! good fit, a limit on live allocations, and `u32` in place of `u64`.
//! Whatever is public in `offset-allocator` is public here, with the same
//! signatures, fields and traits; what each item does is told at the item.
//!
//! ```
//! use offset_allocator::{Allocation, Allocator};
//!
//! // Units are what the program makes of them, such as vertices of a buffer.
//! let mut allocator: Allocator = Allocator::with_max_allocs(699_050, 1000);
//! let mesh: Allocation = allocator.allocate(664_908).expect("it fits");
//! assert_eq!(mesh.offset, 0);
//! assert_eq!(allocator.storage_report().largest_free_region, 34_142);
//! allocator.free(mesh);
//! ```
//!
//! # Differences
//!
//! A program that runs on `offset-allocator` finds more requests served, other
//! offsets once it has freed anything, and these:
//!
//! | | `offset-allocator` 0.2 | this crate |
//! |---|---|---|
//! | a request that fits a free region | may be refused unless its size is a bin's | served |
//! | largest request | 3.75 · 2^30 units | the size of the allocator |
//! | `max_allocs` = N | at most N − 2 allocations live, fewer by every free region but one | N − 2 allocations live |
//! | `max_allocs` of 1 | panics; without overflow checks admits one allocation of the whole range | panics |
//! | `Allocator::<u16>::new` | panics | admits 65,531 allocations |
//! | `allocate(0)` | at the start of a free region; refused if there is none | at offset 0; refused at the limit only |
//! | freeing twice | panics, or frees what was allocated in its place | panics |
//! | freeing another allocator's allocation | panics, or frees an allocation of this one | panics |
//! | `allocation_size` of one that is not live | any size | 0 |
//! | `largest_free_region` | rounded down to a bin | exact |
//! | `storage_report_full` counts | regions of 0 units too | regions that have units |
//! | `ext::min_allocator_size` above 3.75 · 2^30 | 0 | the size itself |
//! | memory | 32 bytes for each of `max_allocs`, when made | 24 bytes for each allocation or free region and 32 more for each of these, as they come and go |
//! | [`Allocation`] | 8 bytes, 4 under `u16` | 24 bytes; prints itself with `{:?}` |
//! | `log` events | several for each operation, at level debug | none |
//!
//! Reports while the limit is reached are zero under both.
//!
//! # Guarantees
//!
//! - Live allocations never overlap and never leave the range.
//! - A request that fits some free region succeeds, the whole range included,
//!   as long as the limit on allocations is not reached.
//! - In the same state, what `offset-allocator` serves is served.
//! - There is no `unsafe` code and no dependency on `std`.
//!
//! [`allocate`](Allocator::allocate) and [`free`](Allocator::free) take the
//! time of those of [`mc_offset`]: constant or O(log regions), but for a table
//! that grows. [`storage_report`](Allocator::storage_report) takes constant
//! time.
//!
//! # Limits
//!
//! - No allocator can promise to have room wherever another has: after the
//!   same program the free regions of the two lie elsewhere, and now and then
//!   the original has one that is larger.
//! - Offsets and sizes have 32 bits. New programs are better served by
//!   [`mc_offset`] itself, which has 64, alignment, errors that say why, and
//!   threads.
//!
//! # How correctness is checked
//!
//! What programs rely on is stamped as one text over this crate and the
//! original (`tests/behaviour.rs`), and so are names, signatures and traits
//! (`tests/interface.rs`). Both are put into the same states and asked the
//! same, and run through the same random programs against a map of ranges
//! (`tests/beside_the_original.rs`). What the table above says of results is
//! asserted in `tests/differences.rs`, of both but for foreign frees, a
//! `max_allocs` of 1 and `min_allocator_size` above 3.75 · 2^30, where it is
//! asserted of this crate. The example is built as a package of its own with
//! either line in its manifest, and so is a program that depends on the
//! original indirectly, with and without the patch (`tests/manifest.rs`).
#![no_std]
#![forbid(unsafe_code)]

mod allocator;
pub mod ext;
mod index;
mod report;

pub use allocator::{Allocation, Allocator};
pub use index::{NodeIndex, NodeIndexNonMax};
pub use report::{StorageReport, StorageReportFull, StorageReportFullRegion};

/// The examples of the README, compiled and run with the other documentation
/// tests.
#[cfg(doctest)]
#[doc = include_str!("../README.md")]
mod readme {}
