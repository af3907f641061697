//! What the arena workload measures: bump allocators over a pool, and allocators asked per call.
//!
//! [`SUBJECTS`] is the one table. A new subject is a type that implements [`Hand`] and one entry.

use std::alloc::Layout;
use std::hint::black_box;
use std::mem::MaybeUninit;

use bumpalo::Bump;
use mc_arena::{ALIGN_DEFAULT, Arena, ThreadChunk};
use memmap2::MmapMut;

use crate::timing::Took;

use super::burst::{Burst, Hand};

/// Part of the pool that no burst reaches: its last 64th.
const POOL_TAIL_DIVISOR: usize = 64;

/// Chunks in a pool. Four threads strand a chunk each at most, which the tail of the pool makes up
/// for.
const POOL_CHUNKS: usize = 256;

const _: () = assert!(
    super::THREADS[super::THREADS.len() - 1] * POOL_TAIL_DIVISOR <= POOL_CHUNKS,
    "the tail of the pool must hold a chunk per thread"
);

/// Calls of a burst that ask the kernel, each of which takes microseconds: the shortest burst takes milliseconds.
const CALLS_OF_KERNEL: usize = 5_000;

/// One row of the subject table.
#[derive(Clone, Copy, Debug)]
pub(super) struct Entry {
    /// Name on the command line and in every output.
    pub(super) name: &'static str,
    /// One line for `mc-bench list` and for the page.
    pub(super) summary: &'static str,
    /// Where its memory comes from.
    pub(super) supply: Supply,
    /// Runs a burst on it and returns its time.
    pub(super) run: fn(&Burst, &mut Arena) -> Took,
}

/// Where the memory of a subject comes from, which decides how many allocations a burst has.
#[derive(Clone, Copy, Debug)]
pub(super) enum Supply {
    /// From the pool: what it holds without its tail, divided among the threads.
    Pool,
    /// From as much memory of its own.
    Own,
    /// From the system, which gets each back at once: this many per thread.
    Calls(usize),
}

/// Every subject, in the order of the output.
pub(super) const SUBJECTS: &[Entry] = &[
    Entry {
        name: "arena",
        summary: "mc-arena: one arena, shared by the threads",
        supply: Supply::Pool,
        run: |burst, arena| {
            arena.reset();
            let time = burst.run(|| Shared(arena));
            check_counts(arena, burst);
            time
        },
    },
    Entry {
        name: "thread-chunk",
        summary: "mc-arena: the same arena, leased by each thread a 256th of the pool at a time",
        supply: Supply::Pool,
        run: |burst, arena| {
            arena.reset();
            let chunk_bytes = chunk_bytes(arena, burst.size_bytes);
            let time = burst.run(|| {
                let chunk = arena.thread_chunk(chunk_bytes);
                Chunk(chunk.expect("the size of a chunk is valid"))
            });
            check_counts(arena, burst);
            time
        },
    },
    Entry {
        name: "mmap",
        summary: "a private anonymous mapping per call, unmapped before the next; not populated",
        supply: Supply::Calls(CALLS_OF_KERNEL),
        run: |burst, _| burst.run(|| Mapping),
    },
    Entry {
        name: HUGEPAGE_RS,
        summary: "crate hugepage-rs 0.1: a reserved huge page per call, unmapped before the next",
        supply: Supply::Calls(CALLS_OF_KERNEL),
        run: |burst, _| burst.run(|| HugePage),
    },
    Entry {
        name: "malloc",
        summary: "the system allocator: a block per call, freed before the next",
        supply: Supply::Calls(500_000),
        run: |burst, _| burst.run(|| Heap),
    },
    Entry {
        name: "bumpalo",
        summary: "crate bumpalo 3: a bump allocator per thread, aligned as the arena is",
        supply: Supply::Own,
        run: |burst, _| {
            let slice_bytes = burst.size_bytes.next_multiple_of(ALIGN_DEFAULT);
            burst.run(|| Unshared(Bump::with_capacity(slice_bytes * burst.ops)))
        },
    },
];

/// Name of the subject that needs a reserved huge page per thread.
pub(crate) const HUGEPAGE_RS: &str = "hugepage-rs";

/// Returns the bytes of the pool that a burst takes.
pub(super) fn burst_bytes(arena: &Arena) -> usize {
    let pool_bytes = arena.pool().len();
    pool_bytes - pool_bytes / POOL_TAIL_DIVISOR
}

/// Returns the size of a chunk: whole slices only, so that none is wasted at its end.
fn chunk_bytes(arena: &Arena, size_bytes: usize) -> usize {
    let slice_bytes = size_bytes.next_multiple_of(arena.align());
    let slices = arena.pool().len() / POOL_CHUNKS / slice_bytes;
    slice_bytes * slices.max(1)
}

/// Panics unless the arena has handed out exactly what the burst asked for.
fn check_counts(arena: &Arena, burst: &Burst) {
    let stats = arena.stats();
    assert_eq!(stats.refusals, 0, "a burst fits its pool");
    assert_eq!(stats.allocations, (burst.threads * burst.ops) as u64);
}

struct Shared<'a>(&'a Arena);

impl Hand for Shared<'_> {
    #[inline]
    fn allocate(&mut self, size_bytes: usize) -> *const u8 {
        let slice = self.0.allocate(size_bytes);
        slice.expect("a burst fits its pool").as_ptr()
    }
}

struct Chunk<'a>(ThreadChunk<'a>);

impl Hand for Chunk<'_> {
    #[inline]
    fn allocate(&mut self, size_bytes: usize) -> *const u8 {
        let slice = self.0.allocate(size_bytes);
        slice.expect("a burst fits its pool").as_ptr()
    }
}

struct Mapping;

impl Hand for Mapping {
    #[inline]
    fn allocate(&mut self, size_bytes: usize) -> *const u8 {
        let mapping = MmapMut::map_anon(size_bytes);
        mapping.expect("the system maps a few pages").as_ptr()
    }
}

/// The crate maps whole huge pages, so one small type stands for every size up to a page. It is not
/// initialised, so the page is not touched.
struct HugePage;

impl Hand for HugePage {
    #[inline]
    fn allocate(&mut self, _size_bytes: usize) -> *const u8 {
        let page = hugepage_rs::Box::new(MaybeUninit::<[u8; ALIGN_DEFAULT]>::uninit());
        page.as_ptr().cast()
    }
}

struct Heap;

impl Hand for Heap {
    #[inline]
    fn allocate(&mut self, size_bytes: usize) -> *const u8 {
        let block = Vec::<u8>::with_capacity(size_bytes);
        // Seen before it is freed, or the compiler would remove the pair.
        black_box(block.as_ptr())
    }
}

struct Unshared(Bump);

impl Hand for Unshared {
    #[inline]
    fn allocate(&mut self, size_bytes: usize) -> *const u8 {
        let layout = Layout::from_size_align(size_bytes, ALIGN_DEFAULT);
        let block = self
            .0
            .alloc_layout(layout.expect("the size is at most 2 MiB"));
        block.as_ptr()
    }
}
