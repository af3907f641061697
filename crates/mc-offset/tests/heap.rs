//! A heap that ends, anywhere in any operation.
//!
//! Claims: wherever the heap ends, decoding and restoring return an error and
//! keep nothing; decoding takes no more than the bytes of the entries, and
//! nothing at all for a count that they do not bear out. An operation of an
//! allocator that finds no heap for its tables says so and changes nothing,
//! and succeeds once there is some. The shared handle refuses in the same way,
//! and slots never ask for heap. Shared allocators that are dropped leave the
//! next one all the heap that they took, and less than 1 KiB each in all; an
//! idle one takes at most 16 KiB, and one that all has left little more.

use std::alloc::System;

use cap::Cap;
use mc_offset::{
    AllocError, Allocation, Fit, FreeError, OffsetAllocator, Options, PlaceError, ResizeError,
    RestoreError, SharedAllocator, SlotAllocator, Snapshot, SnapshotError,
};
use rand::{RngExt, SeedableRng};
use rand_xoshiro::Xoshiro256PlusPlus;

/// The limit holds for all threads, so that this file does without the test
/// harness, which has some of its own.
#[global_allocator]
static HEAP: Cap<System> = Cap::new(System, usize::MAX);

/// Runs `operate` on a heap of `bytes` more than are in use.
fn with_heap<R>(bytes: usize, operate: impl FnOnce() -> R) -> R {
    let limited = HEAP.set_limit(HEAP.allocated() + bytes);
    let result = operate();
    let lifted = HEAP.set_limit(usize::MAX);
    limited
        .and(lifted)
        .expect("the limit is above what is in use");
    result
}

const OBJECTS: u64 = 2000;
const OPTIONS: Options = Options::new(100 * OBJECTS);

/// Returns entries with a gap after each, the last one first.
fn entries() -> impl Iterator<Item = (u64, u64)> {
    (0..OBJECTS).rev().map(|i| (100 * i, 90))
}

fn decoding_takes_the_bytes_of_the_entries_and_no_more() {
    let (allocator, _) = OffsetAllocator::restore_from(OPTIONS, entries()).expect("disjoint");
    let bytes = allocator.snapshot().encode();
    let entry_bytes = entries().count() * 16;
    assert!(with_heap(entry_bytes, || Snapshot::decode(&bytes)).is_ok());
    for heap_bytes in [0, entry_bytes - 1] {
        let refused = with_heap(heap_bytes, || Snapshot::decode(&bytes));
        assert_eq!(refused, Err(SnapshotError::OutOfMemory));
    }
    for count in [OBJECTS + 1, u64::MAX] {
        let mut forged = bytes.clone();
        forged[40..48].copy_from_slice(&count.to_le_bytes());
        let refused = with_heap(0, || Snapshot::decode(&forged));
        assert!(matches!(refused, Err(SnapshotError::WrongLength { .. })));
    }
}

fn restoring_keeps_nothing_wherever_the_heap_ends() {
    let in_use = HEAP.allocated();
    let mut refusals = 0;
    for heap_bytes in (0..).step_by(4096) {
        let restored = with_heap(heap_bytes, || {
            OffsetAllocator::restore_from(OPTIONS, entries())
        });
        match restored {
            Ok(_) => break,
            Err(error) => assert_eq!(error, RestoreError::OutOfMemory),
        }
        assert_eq!(HEAP.allocated(), in_use);
        refusals += 1;
    }
    assert!(refusals > 40, "only {refusals} ends of the heap were met");
}

/// Runs `operate` on ever larger rests of a heap until it does not run out,
/// and checks that nothing had changed whenever it did. Returns the outcome
/// and the number of times.
fn wherever_the_heap_ends<R>(
    allocator: &mut OffsetAllocator,
    is_out_of_memory: impl Fn(&R) -> bool,
    mut operate: impl FnMut(&mut OffsetAllocator) -> R,
) -> (R, u32) {
    let before = allocator.snapshot();
    let live: Vec<Allocation> = allocator.allocations().collect();
    let mut refusals = 0;
    let mut heap_bytes = 0;
    loop {
        let outcome = with_heap(heap_bytes, || operate(allocator));
        if !is_out_of_memory(&outcome) {
            return (outcome, refusals);
        }
        refusals += 1;
        heap_bytes = (2 * heap_bytes).max(64);
        allocator.check_invariants();
        assert_eq!(allocator.snapshot(), before);
        assert!(live.iter().all(|&token| allocator.is_live(token)));
    }
}

/// Grows and shrinks an allocator to `objects` live ones, every operation on a
/// heap that may end anywhere; returns how often each kind met the end.
fn refusals_of_a_program(options: Options, objects: u64, seed: u64) -> [u32; 4] {
    let mut rng = Xoshiro256PlusPlus::seed_from_u64(seed);
    let mut allocator = OffsetAllocator::with_options(options).expect("valid options");
    let mut live: Vec<Allocation> = Vec::new();
    let mut met = [0; 4];
    for step in 0..3 * objects {
        let wants_free = step / objects == 1 || rng.random_ratio(1, 4);
        let size = rng.random_range(1..100) * options.granule;
        match rng.random_range(0..8) {
            _ if wants_free && !live.is_empty() => {
                let token = live.swap_remove(rng.random_range(0..live.len()));
                let is_refused = |freed: &_| *freed == Err(FreeError::OutOfMemory);
                let (freed, refusals) =
                    wherever_the_heap_ends(&mut allocator, is_refused, |core| core.free(token));
                freed.expect("it is live");
                met[1] += refusals;
            }
            0 => {
                let offset = rng.random_range(0..options.capacity / options.granule);
                let is_refused = |placed: &_| {
                    matches!(placed, Err(PlaceError::Refused(AllocError::OutOfMemory)))
                };
                let (placed, refusals) =
                    wherever_the_heap_ends(&mut allocator, is_refused, |core| {
                        core.allocate_at(offset * options.granule, size)
                    });
                live.extend(placed);
                met[2] += refusals;
            }
            1 if !live.is_empty() => {
                let at = rng.random_range(0..live.len());
                let token = live[at];
                let is_refused = |resized: &_| {
                    matches!(resized, Err(ResizeError::Refused(FreeError::OutOfMemory)))
                };
                let (resized, refusals) =
                    wherever_the_heap_ends(&mut allocator, is_refused, |core| {
                        core.resize_in_place(token, size)
                    });
                live[at] = resized.unwrap_or(token);
                met[3] += refusals;
            }
            _ => {
                let is_refused = |outcome: &_| matches!(outcome, Err(AllocError::OutOfMemory));
                let (allocated, refusals) =
                    wherever_the_heap_ends(&mut allocator, is_refused, |core| core.allocate(size));
                live.extend(allocated);
                met[0] += refusals;
            }
        }
    }
    met
}

fn operations_change_nothing_wherever_the_heap_ends() {
    let mut met = [0; 4];
    for fit in [Fit::BinExact, Fit::BinCeil, Fit::GOOD, Fit::Adaptive] {
        let options = Options {
            fit,
            granule: 16,
            ..Options::new(16 * 200_000)
        };
        let refusals = refusals_of_a_program(options, OBJECTS, 7);
        for (sum, refusals) in met.iter_mut().zip(refusals) {
            *sum += refusals;
        }
    }
    let [allocate, free, place, resize] = met;
    for (operation, refusals) in [
        ("allocating", allocate),
        ("freeing", free),
        ("placing", place),
        ("resizing", resize),
    ] {
        assert!(refusals > 0, "{operation} never met the end of the heap");
    }
}

fn shared_handles_are_refused_and_freed_on_a_full_heap() {
    let shared = SharedAllocator::with_options(OPTIONS).expect("valid options");
    // The first call of a thread numbers it, which takes heap once.
    drop(shared.allocate(100));
    let mut handles = Vec::with_capacity(usize::try_from(OBJECTS).expect("few"));
    let refused = with_heap(0, || {
        loop {
            match shared.allocate(100) {
                Ok(handle) => handles.push(handle),
                Err(error) => break error,
            }
        }
    });
    assert_eq!(refused, AllocError::OutOfMemory);
    let live = handles.len() as u64;
    shared.inspect(OffsetAllocator::check_invariants);
    assert_eq!(shared.report().live_bytes, 100 * live);
    handles.push(shared.allocate(100).expect("the heap has room again"));
    drop(handles);
    assert_eq!(shared.report().free_bytes, OPTIONS.capacity);
    shared.inspect(OffsetAllocator::check_invariants);
}

fn memory_is_reported_as_the_heap_gave_it() {
    let in_use = HEAP.allocated();
    let mut allocator = OffsetAllocator::new(OPTIONS.capacity).expect("valid options");
    let check = |allocator: &OffsetAllocator| {
        assert_eq!(allocator.report().metadata_bytes, HEAP.allocated() - in_use);
    };
    check(&allocator);
    for offset in (0..OBJECTS).map(|object| 100 * object) {
        // Looking for a place by its offset makes an index of the holes.
        let _ = allocator.allocate_at(offset, 50).expect("it is free");
    }
    check(&allocator);
    for align in [64, 4096] {
        // So does looking for one that is aligned, and what is found is kept up for each alignment.
        let _ = allocator.allocate_aligned(60, align);
        check(&allocator);
    }
    drop(allocator);
    for slots in [1, 10_000, 1 << 20] {
        let slots = SlotAllocator::new(4096, slots).expect("valid layout");
        let heap_bytes = HEAP.allocated() - in_use;
        assert_eq!(slots.metadata_bytes(), heap_bytes + size_of_val(&slots));
    }
}

fn slots_never_ask_for_heap() {
    const SLOTS: u32 = 10_000;
    let slots = SlotAllocator::new(4096, SLOTS).expect("valid layout");
    let mut live = Vec::with_capacity(SLOTS as usize);
    with_heap(0, || {
        for _ in 0..2 {
            live.extend((0..SLOTS).map_while(|_| slots.allocate().ok()));
            assert_eq!(live.len(), SLOTS as usize);
            assert!(slots.allocate().is_err());
            for slot in live.drain(..) {
                assert_eq!(slots.free(slot), Ok(()));
                assert_eq!(slots.allocate_at(slot), Ok(()));
                assert_eq!(slots.free(slot), Ok(()));
            }
        }
    });
    assert_eq!(slots.free_count(), SLOTS);
}

fn allocators_that_come_and_go_take_the_heap_of_one() {
    let come_and_go = || {
        let allocator = SharedAllocator::with_options(OPTIONS).expect("there is heap");
        let kept = allocator.allocate(90).expect("the range is empty");
        let objects: Vec<_> = (1..OBJECTS)
            .map(|_| allocator.allocate(90).expect("all fit"))
            .collect();
        let freed = allocator.allocate(10).expect("some are left").into_token();
        assert_eq!(allocator.free(freed), Ok(()));
        let _token = allocator.allocate(10).expect("some are left").into_token();
        drop(objects);
        drop(allocator);
        drop(kept);
    };
    come_and_go();
    let after_one = HEAP.allocated();
    for _ in 0..100 {
        come_and_go();
    }
    assert_eq!(HEAP.allocated(), after_one);
}

/// Makes an allocator, uses it as a store does, and drops it with what it holds.
fn use_an_allocator() {
    let allocator = SharedAllocator::new(1 << 40).expect("there is heap");
    let objects: Vec<_> = (0..300)
        .map(|object| allocator.allocate(4096 + object % 3).expect("all fit"))
        .collect();
    drop(objects);
    drop(allocator.allocate(4096));
}

fn a_dropped_allocator_leaves_less_than_a_kib() {
    const COUNT: usize = 3000;
    let before = HEAP.allocated();
    use_an_allocator();
    assert!(HEAP.allocated() - before < 1024, "one leaves too much");
    for _ in 0..COUNT {
        use_an_allocator();
    }
    assert!(HEAP.allocated() - before < 1024, "one after the other");
    let allocators: Vec<_> = (0..COUNT)
        .map(|_| {
            let allocator = SharedAllocator::new(1 << 40).expect("there is heap");
            for _ in 0..3 {
                drop(allocator.allocate(4096).expect("all is free"));
            }
            allocator
        })
        .collect();
    drop(allocators);
    let left = HEAP.allocated() - before;
    assert!(
        left < COUNT * 1024,
        "{left} bytes are left of {COUNT} at a time"
    );
    for _ in 0..COUNT {
        use_an_allocator();
    }
    assert!(HEAP.allocated() - before <= left, "the next ones use them");
}

fn allocators_in_use_leave_no_list_of_idle_ones() {
    // More than were ever idle at once.
    const COUNT: usize = 7000;
    let make = || {
        let made = (0..COUNT).map(|_| SharedAllocator::new(1 << 40).expect("there is heap"));
        made.collect::<Vec<_>>()
    };
    let made = make();
    let in_use = HEAP.allocated();
    drop(made);
    let again = make();
    assert!(
        HEAP.allocated() <= in_use,
        "{} bytes",
        HEAP.allocated() - in_use
    );
    drop(again);
}

fn an_idle_allocator_takes_at_most_16_kib() {
    const COUNT: usize = 100;
    let before = HEAP.allocated();
    let made: Vec<_> = (0..COUNT)
        .map(|_| SharedAllocator::new(1 << 40).expect("there is heap"))
        .collect();
    let taken = HEAP.allocated() - before;
    assert!(taken <= COUNT * 16 * 1024, "{} bytes each", taken / COUNT);
    drop(made);
}

/// Blocks of one size go to magazines, which must not hold the tables of all that
/// have left.
fn an_allocator_whose_handles_are_gone_keeps_little() {
    const COUNT: usize = 100_000;
    let allocator = SharedAllocator::new(COUNT as u64 * 100).expect("there is heap");
    drop((allocator.allocate(100), allocator.allocate(100)));
    let mut handles = Vec::with_capacity(COUNT);
    let before = HEAP.allocated();
    handles.extend((0..COUNT).map(|_| allocator.allocate(100).expect("there is room")));
    let taken = HEAP.allocated() - before;
    assert!(taken > COUNT * 24, "{taken} bytes");
    let half = handles.split_off(COUNT / 2);
    // Joined: what the thread keeps for itself goes after its closure returns.
    let other = std::thread::spawn(move || drop(half));
    other.join().expect("dropping does not panic");
    handles.clear();
    let left = HEAP.allocated().saturating_sub(before);
    assert!(left < 64 * 1024, "{left} bytes of {taken} are left");
}

#[cfg(target_os = "linux")]
fn resident_bytes() -> usize {
    let statm = std::fs::read_to_string("/proc/self/statm").expect("it is there on Linux");
    let pages = statm
        .split(' ')
        .nth(1)
        .and_then(|pages| pages.parse::<usize>().ok());
    pages.expect("the second number") * 4096
}

/// What the heap keeps of freed memory is not the allocators': hence a mebibyte.
#[cfg(target_os = "linux")]
fn allocators_that_come_and_go_leave_nothing_resident() {
    use_an_allocator();
    let before = resident_bytes();
    for _ in 0..3000 {
        use_an_allocator();
    }
    let after = resident_bytes();
    assert!(
        after < before + (1 << 20),
        "{before} bytes before and {after} after"
    );
}

fn main() {
    // First, so that no idle core of another test serves here.
    an_idle_allocator_takes_at_most_16_kib();
    a_dropped_allocator_leaves_less_than_a_kib();
    allocators_in_use_leave_no_list_of_idle_ones();
    #[cfg(target_os = "linux")]
    allocators_that_come_and_go_leave_nothing_resident();
    decoding_takes_the_bytes_of_the_entries_and_no_more();
    restoring_keeps_nothing_wherever_the_heap_ends();
    operations_change_nothing_wherever_the_heap_ends();
    shared_handles_are_refused_and_freed_on_a_full_heap();
    memory_is_reported_as_the_heap_gave_it();
    slots_never_ask_for_heap();
    an_allocator_whose_handles_are_gone_keeps_little();
    allocators_that_come_and_go_take_the_heap_of_one();
}
