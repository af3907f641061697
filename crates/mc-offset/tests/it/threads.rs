//! Real threads on one shared allocator.
//!
//! Claims: bytes are never owned twice at a time; all come back; uniform sizes
//! reach the arithmetic limit with any number of threads; nothing that fits is
//! refused; dropping the allocator while threads use it is harmless.
#![cfg(all(feature = "std", not(loom)))]
#![expect(clippy::unwrap_used, reason = "a failed set-up fails the test")]

use std::{
    collections::BTreeMap,
    sync::{
        Barrier, Mutex,
        atomic::{AtomicBool, AtomicU64, Ordering},
    },
    thread,
    time::{Duration, Instant},
};

use mc_offset::{AllocError, Handle, OffsetAllocator, Options, SharedAllocator};
use rand::{RngExt, SeedableRng};
use rand_xoshiro::Xoshiro256PlusPlus;

/// One owner at a time for every cell of the range.
struct Owners {
    cells: Vec<AtomicU64>,
    cell_bytes: u64,
}

impl Owners {
    fn new(capacity: u64, cell_bytes: u64) -> Self {
        let cells = (0..capacity.div_ceil(cell_bytes))
            .map(|_| AtomicU64::new(0))
            .collect();
        Self { cells, cell_bytes }
    }

    /// The cells that lie wholly inside the handle's range.
    fn cells_of(&self, handle: &Handle) -> &[AtomicU64] {
        let first = handle.offset().div_ceil(self.cell_bytes);
        let end = (handle.offset() + handle.size()) / self.cell_bytes;
        let cell = |number: u64| usize::try_from(number).unwrap();
        &self.cells[cell(first)..cell(end.max(first))]
    }

    fn claim(&self, handle: &Handle, owner: u64) {
        for cell in self.cells_of(handle) {
            assert_eq!(
                cell.swap(owner, Ordering::AcqRel),
                0,
                "bytes are owned twice"
            );
        }
    }

    fn release(&self, handle: &Handle, owner: u64) {
        for cell in self.cells_of(handle) {
            assert_eq!(cell.swap(0, Ordering::AcqRel), owner, "bytes changed hands");
        }
    }
}

/// Runs sixteen threads of mixed operations for about `time`.
fn soak(options: Options, sizes: &[u64], seed: u64, time: Duration) {
    const THREADS: u64 = 16;
    let allocator = SharedAllocator::with_options(options).unwrap();
    let owners = Owners::new(options.capacity, 16);
    let mailbox: Mutex<Vec<(Handle, u64)>> = Mutex::new(Vec::new());
    let end = Instant::now() + time;
    thread::scope(|scope| {
        for owner in 1..=THREADS {
            let (allocator, owners, mailbox) = (allocator.clone(), &owners, &mailbox);
            scope.spawn(move || {
                let mut rng = Xoshiro256PlusPlus::seed_from_u64(seed ^ owner);
                let mut live: Vec<Handle> = Vec::new();
                while Instant::now() < end {
                    for _ in 0..64 {
                        let size = sizes[rng.random_range(0..sizes.len())];
                        match rng.random_range(0..8) {
                            0..4 => {
                                if let Ok(handle) = allocator.allocate(size) {
                                    owners.claim(&handle, owner);
                                    live.push(handle);
                                }
                            }
                            4 => {
                                for handle in
                                    allocator.allocate_batch(&[size; 3]).into_iter().flatten()
                                {
                                    owners.claim(&handle, owner);
                                    live.push(handle);
                                }
                            }
                            5 if !live.is_empty() => {
                                let handle = live.swap_remove(rng.random_range(0..live.len()));
                                mailbox.lock().unwrap().push((handle, owner));
                            }
                            6 => {
                                let taken = mailbox.lock().unwrap().pop();
                                if let Some((handle, sender)) = taken {
                                    owners.release(&handle, sender);
                                }
                            }
                            _ if !live.is_empty() => {
                                let handle = live.swap_remove(rng.random_range(0..live.len()));
                                owners.release(&handle, owner);
                            }
                            _ => {}
                        }
                    }
                }
                for handle in &live {
                    owners.release(handle, owner);
                }
                allocator.free_batch(live);
            });
        }
    });
    drop(mailbox);
    allocator.inspect(OffsetAllocator::check_invariants);
    let report = allocator.report();
    assert_eq!(
        (report.free_bytes, report.allocation_count),
        (options.capacity, 0)
    );
    assert_eq!(report.largest_hole, options.capacity);
}

#[test]
fn sixteen_threads_never_share_a_byte_and_give_all_back() {
    let time = Duration::from_millis(400);
    soak(Options::new(1 << 20), &[4096], 1, time);
    soak(Options::new(1 << 20), &[4096, 1000, 65_536, 24], 2, time);
    soak(
        Options {
            granule: 64,
            ..Options::new(1 << 18)
        },
        &[1, 100, 3000],
        3,
        time,
    );
    let limited = Options {
        max_allocations: Some(40),
        ..Options::new(1 << 20)
    };
    soak(limited, &[4096, 1000], 4, time);
}

/// What a thread did, with its place in the order of all threads: taken after
/// an allocation and before a free, so that no two owners of a byte can appear
/// to overlap unless they did.
#[derive(Clone, Copy)]
enum Event {
    Allocated { offset: u64, size: u64 },
    Freed { offset: u64 },
}

/// Runs a seeded program against the allocator and returns its events.
fn logged(allocator: &SharedAllocator, order: &AtomicU64, seed: u64) -> Vec<(u64, Event)> {
    let mut rng = Xoshiro256PlusPlus::seed_from_u64(seed);
    let mut log = Vec::new();
    let mut live: Vec<Handle> = Vec::new();
    for step in 0..20_000 {
        let is_ending = step >= 19_000;
        let size = [64, 1000, rng.random_range(1..5000)][rng.random_range(0..3)];
        let allocated = if is_ending {
            None
        } else {
            allocator.allocate(size).ok()
        };
        if let Some(handle) = allocated {
            let event = Event::Allocated {
                offset: handle.offset(),
                size,
            };
            log.push((order.fetch_add(1, Ordering::SeqCst), event));
            live.push(handle);
        } else if !live.is_empty() {
            let handle = live.swap_remove(rng.random_range(0..live.len()));
            let event = Event::Freed {
                offset: handle.offset(),
            };
            log.push((order.fetch_add(1, Ordering::SeqCst), event));
        }
    }
    for handle in live {
        let event = Event::Freed {
            offset: handle.offset(),
        };
        log.push((order.fetch_add(1, Ordering::SeqCst), event));
    }
    log
}

#[test]
fn the_merged_history_of_four_threads_has_no_overlap_and_conserves_bytes() {
    for seed in 0..4 {
        let capacity = 1 << 18;
        let allocator = SharedAllocator::new(capacity).unwrap();
        let order = AtomicU64::new(0);
        let mut history: Vec<(u64, Event)> = thread::scope(|scope| {
            let run = |thread: u64| logged(&allocator, &order, seed * 100 + thread);
            let threads: Vec<_> = (0..4)
                .map(|thread| scope.spawn(move || run(thread)))
                .collect();
            threads
                .into_iter()
                .flat_map(|thread| thread.join().unwrap())
                .collect()
        });
        history.sort_unstable_by_key(|&(at, _)| at);
        let mut live = BTreeMap::new();
        let mut live_bytes = 0;
        for (at, event) in history {
            match event {
                Event::Allocated { offset, size } => {
                    let below = live.range(..offset + size).next_back();
                    let is_free = below.is_none_or(|(&start, &bytes)| start + bytes <= offset);
                    assert!(is_free, "seed {seed}, event {at}: {size} bytes at {offset}");
                    live.insert(offset, size);
                    live_bytes += size;
                }
                Event::Freed { offset } => {
                    live_bytes -= live.remove(&offset).expect("only live objects are freed");
                }
            }
            assert!(live_bytes <= capacity, "seed {seed}, event {at}");
        }
        assert!(live.is_empty());
        assert_eq!(allocator.report().largest_hole, capacity);
    }
}

#[test]
fn uniform_sizes_reach_the_limit_at_every_refusal_of_four_threads() {
    const SIZE: u64 = 145;
    const CAPACITY: u64 = 1 << 16;
    const THREADS: u64 = 4;
    let limit = CAPACITY / SIZE;
    let allocator = SharedAllocator::new(CAPACITY).unwrap();
    // Counts a handle before it exists and until after it is gone, and while
    // it certainly exists.
    let (at_most, at_least) = (AtomicU64::new(0), AtomicU64::new(0));
    let start = Barrier::new(4);
    thread::scope(|scope| {
        for seed in 0..THREADS {
            let (allocator, at_most, at_least, start) = (&allocator, &at_most, &at_least, &start);
            scope.spawn(move || {
                let mut rng = Xoshiro256PlusPlus::seed_from_u64(seed);
                let mut live = Vec::new();
                start.wait();
                for _ in 0..50_000 {
                    at_most.fetch_add(1, Ordering::SeqCst);
                    if let Ok(handle) = allocator.allocate(SIZE) {
                        let exist = at_least.fetch_add(1, Ordering::SeqCst) + 1;
                        assert!(exist <= limit);
                        live.push(handle);
                        continue;
                    }
                    at_most.fetch_sub(1, Ordering::SeqCst);
                    // Others may be in the middle of a free or an allocation,
                    // one object each.
                    let possible = at_most.load(Ordering::SeqCst) + THREADS;
                    assert!(possible >= limit, "refused with {possible} of {limit} live");
                    if !live.is_empty() {
                        at_least.fetch_sub(1, Ordering::SeqCst);
                        drop(live.swap_remove(rng.random_range(0..live.len())));
                        at_most.fetch_sub(1, Ordering::SeqCst);
                    }
                }
                // Threads leave one after the other, each with its objects.
                at_least.fetch_sub(live.len() as u64, Ordering::SeqCst);
                allocator.free_batch(live);
            });
        }
    });
    assert_eq!(allocator.report().largest_hole, CAPACITY);
}

#[test]
fn a_full_pool_holds_exactly_what_arithmetic_allows_whoever_freed_it() {
    let allocator = SharedAllocator::new(10_000).unwrap();
    for _ in 0..20 {
        let mut handles: Vec<Handle> = (0..100).map(|_| allocator.allocate(100).unwrap()).collect();
        let full = AllocError::NoHole {
            asked: 100,
            free: 0,
            largest_hole: 0,
        };
        assert_eq!(allocator.allocate(100).unwrap_err(), full);
        // The halves come back through magazines of several threads.
        let rest = handles.split_off(50);
        thread::scope(|scope| {
            scope.spawn(|| drop(handles));
            scope.spawn(|| drop(rest));
        });
        let whole = allocator.allocate(10_000).unwrap();
        assert_eq!(whole.offset(), 0);
    }
}

#[test]
fn a_batch_is_all_or_nothing_and_foreign_handles_find_home() {
    let allocator = SharedAllocator::new(1000).unwrap();
    let other = SharedAllocator::new(1000).unwrap();
    assert!(allocator.allocate_batch(&[400, 400, 400]).is_err());
    assert_eq!(allocator.report().free_bytes, 1000);
    let mut handles = allocator.allocate_batch(&[400, 600]).unwrap();
    handles.extend(other.allocate(10));
    allocator.free_batch(handles);
    assert_eq!(allocator.report().free_bytes, 1000);
    assert_eq!(other.report().free_bytes, 1000);
}

#[test]
fn the_allocator_may_be_dropped_while_threads_hold_and_free() {
    for _ in 0..50 {
        let allocator = SharedAllocator::new(1 << 20).unwrap();
        let stop = AtomicBool::new(false);
        thread::scope(|scope| {
            for _ in 0..4 {
                let (allocator, stop) = (allocator.clone(), &stop);
                scope.spawn(move || {
                    let mut live: Vec<Handle> =
                        (0..10).map(|_| allocator.allocate(64).unwrap()).collect();
                    drop(allocator);
                    while !stop.load(Ordering::Relaxed) {
                        drop(live.pop());
                    }
                });
            }
            drop(allocator);
            stop.store(true, Ordering::Relaxed);
        });
    }
}
