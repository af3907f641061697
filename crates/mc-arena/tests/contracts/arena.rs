//! Contract of the arena: disjoint, zeroed, aligned slices until it is full, then typed refusals.

use std::{sync::Barrier, thread};

use mc_arena::{Arena, ArenaError, PagePolicy, Pool, PoolOptions, Population, SliceError};

const MIB: usize = 1 << 20;

fn pool(bytes: usize) -> Pool {
    PoolOptions::new(bytes as u64)
        .pages(PagePolicy::Off)
        .map()
        .unwrap()
}

fn arena(bytes: usize) -> Arena {
    Arena::new(pool(bytes)).unwrap()
}

/// Exhausts an arena from 16 threads; `allocate` is called with a number unique to the thread.
fn exhaust(arena: &Arena, size: usize, use_chunks: bool) -> (u64, u64) {
    let start = Barrier::new(16);
    let per_thread = |thread: u8| {
        let mut chunk = arena.thread_chunk(4096).unwrap();
        let mut slices = Vec::new();
        start.wait();
        loop {
            assert!(arena.stats().reserved_bytes <= arena.stats().capacity_bytes);
            let allocated = if use_chunks {
                chunk.allocate(size)
            } else {
                arena.allocate(size)
            };
            let Ok(slice) = allocated else { break };
            assert!(slice.iter().all(|&byte| byte == 0), "fresh slices are zero");
            slice.fill(thread);
            slices.push(slice);
        }
        // Another thread's slice over one of these would have left its own number.
        assert!(
            slices
                .iter()
                .all(|slice| slice.iter().all(|&byte| byte == thread))
        );
        (
            slices.len() as u64,
            slices.iter().map(|slice| slice.len() as u64).sum::<u64>(),
        )
    };
    thread::scope(|scope| {
        let threads: Vec<_> = (1..=16)
            .map(|thread| scope.spawn(move || per_thread(thread)))
            .collect();
        threads
            .into_iter()
            .map(|thread| thread.join().unwrap())
            .fold((0, 0), |sum, one| (sum.0 + one.0, sum.1 + one.1))
    })
}

#[track_caller]
fn check_exhaustion(size: usize, use_chunks: bool) {
    let arena = arena(2 * MIB);
    let (slices, bytes) = exhaust(&arena, size, use_chunks);
    let stats = arena.stats();
    assert_eq!(stats.allocations, slices, "every slice is counted once");
    assert!(
        bytes <= stats.reserved_bytes && stats.reserved_bytes <= stats.capacity_bytes,
        "{stats:?}"
    );
    assert!(
        stats.capacity_bytes - stats.reserved_bytes < size.next_multiple_of(64) as u64,
        "nothing that fits is left"
    );
    assert_eq!(stats.refusals, 16, "each thread was refused once");
}

#[test]
fn sixteen_threads_exhaust_an_arena_without_overlap() {
    for size in [1, 64, 100, 4096, 5000] {
        check_exhaustion(size, false);
    }
}

#[test]
fn sixteen_chunks_exhaust_an_arena_without_overlap() {
    for size in [1, 64, 100, 5000] {
        check_exhaustion(size, true);
    }
}

#[test]
fn addresses_are_aligned_on_base_pages() {
    let arena = arena(16 * MIB);
    for align_log2 in 0..=21 {
        let align = 1 << align_log2;
        let slice = arena.allocate_aligned(3, align).unwrap();
        assert_eq!(slice.as_ptr().addr() % align, 0, "alignment {align}");
        assert!(arena.owns(slice.as_ptr()));
    }
    assert_eq!(arena.allocate(1).unwrap().as_ptr().addr() % 64, 0);
}

#[test]
fn arena_alignment_holds_for_every_slice() {
    let arena = Arena::with_align(pool(8 * MIB), MIB).unwrap();
    while let Ok(slice) = arena.allocate(1) {
        assert_eq!(slice.as_ptr().addr() % MIB, 0);
    }
    let stats = arena.stats();
    assert_eq!(stats.reserved_bytes, stats.capacity_bytes);
    assert!(stats.allocations >= 7, "{stats:?}");
}

#[test]
fn refusals_say_why() {
    let arena = arena(MIB);
    assert_eq!(arena.allocate(0).unwrap_err(), SliceError::ZeroSize);
    assert_eq!(
        arena.allocate_aligned(8, 100).unwrap_err(),
        SliceError::InvalidAlign { align: 100 }
    );
    assert_eq!(
        arena.allocate(usize::MAX).unwrap_err(),
        SliceError::Overflow {
            asked_bytes: usize::MAX
        }
    );
    arena.allocate(MIB - 128).unwrap();
    let full = SliceError::Full {
        asked_bytes: 129,
        align: 64,
        left_bytes: 128,
    };
    assert_eq!(arena.allocate(129).unwrap_err(), full);
    assert_eq!(
        full.to_string(),
        "129 bytes aligned to 64 asked for, 128 are left"
    );
    assert_eq!(
        arena.allocate(128).unwrap().len(),
        128,
        "a refusal takes nothing"
    );
    assert_eq!(arena.stats().refusals, 4);
}

#[test]
fn whole_pool_is_one_slice() {
    let arena = arena(MIB);
    let whole = arena.allocate(MIB).unwrap();
    assert_eq!(whole.as_ptr(), arena.pool().as_ptr());
    assert!(!arena.owns(whole.as_ptr_range().end));
    assert!(!arena.owns(std::ptr::null()));
}

#[test]
fn reset_makes_used_memory_zero_again() {
    for population in [Population::EAGER, Population::Lazy] {
        let pool = PoolOptions::new(MIB as u64)
            .pages(PagePolicy::Off)
            .population(population)
            .map()
            .unwrap();
        let mut arena = Arena::with_align(pool, 128).unwrap();
        arena.allocate(MIB / 2 + 1).unwrap().fill(0xff);
        arena.reset();
        assert_eq!(
            (arena.stats().reserved_bytes, arena.stats().allocations),
            (0, 0)
        );
        assert!(
            arena.allocate(MIB).unwrap().iter().all(|&byte| byte == 0),
            "{population:?}"
        );
    }
}

#[test]
fn chunk_larger_than_the_rest_falls_back_to_the_arena() {
    let arena = arena(8192);
    let mut chunk = arena.thread_chunk(1 << 20).unwrap();
    assert_eq!(chunk.allocate(100).unwrap().len(), 100);
    assert_eq!(chunk.left_bytes(), 0);
    assert_eq!(arena.stats().reserved_bytes, 128);
    assert_eq!(chunk.allocate(0).unwrap_err(), SliceError::ZeroSize);
    assert!(matches!(
        chunk.allocate(usize::MAX),
        Err(SliceError::Overflow { .. })
    ));
}

#[test]
fn chunk_moves_to_another_thread() {
    let arena = arena(MIB);
    let mut chunk = arena.thread_chunk(4096).unwrap();
    let first = chunk.allocate(64).unwrap();
    thread::scope(|scope| {
        scope.spawn(move || chunk.allocate(64).unwrap().fill(2));
    });
    assert!(first.iter().all(|&byte| byte == 0));
    assert_eq!(
        (arena.stats().allocations, arena.stats().reserved_bytes),
        (2, 4096)
    );
}

#[test]
fn pools_that_hold_no_aligned_address_are_refused() {
    assert_eq!(
        Arena::with_align(pool(4096), 48).unwrap_err(),
        ArenaError::InvalidAlign { align: 48 }
    );
    let error = Arena::with_align(pool(4096), 1 << 30).unwrap_err();
    assert_eq!(
        error,
        ArenaError::PoolTooSmall {
            pool_bytes: 4096,
            align: 1 << 30
        }
    );
}
