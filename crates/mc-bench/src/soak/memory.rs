//! Memory of the kernel: pools of every kind on ordinary pages, slices that threads write, buffers.

use std::num::{NonZeroU64, NonZeroUsize};

use mc_arena::buffers::Buffers;
use mc_arena::config::ArenaMode;
use mc_arena::{Arena, ArenaConfig, Backing, PagePolicy, PoolOptions, Population};
use rand::RngExt;

use super::{Generator, Layer, on_threads};

pub(super) const LAYER: Layer = Layer {
    name: "memory",
    run,
};

/// Requests of one thread in a round.
const STEPS: u64 = 500;

/// Size of the arena behind the buffers.
const BUFFER_POOL_BYTES: NonZeroU64 = NonZeroU64::new(256 << 10).expect("not zero");

fn run(generator: &mut Generator) -> u64 {
    let pool = options(generator).map().expect("a few MiB can be had");
    let mut arena = Arena::new(pool).expect("a pool serves as an arena");
    let threads = generator.random_range(1..=4);
    for _ in 0..2 {
        let written = write_slices(&arena, threads, generator);
        let stats = arena.stats();
        assert!(written <= stats.reserved_bytes, "{written} of {stats:?}");
        assert!(
            stats.reserved_bytes <= arena.pool().len() as u64,
            "{stats:?}"
        );
        arena.reset();
    }
    let whole = arena
        .allocate(arena.pool().len())
        .expect("nothing is reserved");
    assert!(whole.iter().all(|&byte| byte == 0), "a reset left bytes");
    pass_buffers(threads, generator);
    3 * STEPS * threads
}

fn options(generator: &mut Generator) -> PoolOptions {
    let bytes = generator.random_range(1..=8 << 20);
    let pages = [PagePolicy::Off, PagePolicy::Transparent];
    let backings = [Backing::Private, Backing::Shared];
    let populations = [
        Population::Lazy,
        Population::Eager {
            workers: NonZeroUsize::new(generator.random_range(1..=4)),
            time_limit: None,
        },
    ];
    PoolOptions::new(bytes)
        .pages(pages[generator.random_range(0..2)])
        .backing(backings[generator.random_range(0..2)])
        .population(populations[generator.random_range(0..2)])
}

/// Fills an arena from several threads and returns the bytes written; each slice comes zeroed and keeps
/// what its thread wrote until all are done.
fn write_slices(arena: &Arena, threads: u64, generator: &mut Generator) -> u64 {
    let slices = on_threads(1..=threads, generator, |mark, generator| {
        slices_of(arena, mark, generator)
    });
    let slices = || slices.iter().flatten();
    for (mark, slice) in slices() {
        assert!(slice.iter().all(|byte| byte == mark), "slices overlap");
    }
    slices().map(|(_, slice)| slice.len() as u64).sum()
}

/// Takes and marks slices, from the arena or from a chunk of it.
fn slices_of<'a>(
    arena: &'a Arena,
    mark: u64,
    generator: &mut Generator,
) -> Vec<(u8, &'a mut [u8])> {
    let mark = u8::try_from(mark).expect("few threads");
    let mut chunk = arena.thread_chunk(32 << 10).ok();
    let mut slices = Vec::new();
    for _ in 0..STEPS {
        let size_log2 = generator.random_range(1..=15);
        let size = generator.random_range(1..=1_usize << size_log2);
        let align = 1 << generator.random_range(0..=12);
        let slice = match &mut chunk {
            Some(chunk) if generator.random() => chunk.allocate(size),
            _ => arena.allocate_aligned(size, align).inspect(|slice| {
                assert!(slice.as_ptr().addr().is_multiple_of(align), "not aligned");
            }),
        };
        if let Ok(slice) = slice {
            assert_eq!(slice.len(), size);
            assert!(slice.iter().all(|&byte| byte == 0), "not zeroed");
            slice.fill(mark);
            slices.push((mark, slice));
        }
    }
    slices
}

/// Makes, writes and drops buffers on several threads.
fn pass_buffers(threads: u64, generator: &mut Generator) {
    let buffers = Buffers::new(|| {
        let arena = ArenaMode::Enabled {
            pool_bytes: BUFFER_POOL_BYTES,
        };
        Ok(ArenaConfig::default()
            .arena(arena)
            .arena_pages(PagePolicy::Off))
    });
    on_threads(0..threads, generator, |_, generator| {
        let mut kept = Vec::new();
        for _ in 0..STEPS {
            let size = generator.random_range(1..=1 << 14);
            let mut buffer = buffers.allocate(size, 64).expect("a few KiB can be had");
            assert!(buffer.iter().all(|&byte| byte == 0), "not zeroed");
            buffer.fill(1);
            if generator.random() {
                kept.push(buffer);
            }
            kept.truncate(20);
        }
    });
    let stats = buffers.stats();
    let served = stats.direct_buffers + stats.arena.map_or(0, |arena| arena.allocations);
    assert_eq!(served, STEPS * threads, "{stats:?}");
}
