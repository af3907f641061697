//! Freed blocks that threads keep back: which are, whose they are, and when the
//! allocator gets them.
//!
//! Claims: each thread has its own; a batch and what no free byte can help go
//! past them; nothing is kept while sizes do not repeat; a request that
//! nothing can serve is refused whoever has the lock.
#![cfg(all(feature = "std", not(loom)))]

use std::{
    sync::{Mutex, mpsc},
    thread,
    time::Duration,
};

use mc_offset::{
    AllocError, CapacityError, Handle, Options, PlaceError, ResizeError, SharedAllocator,
};

const CAPACITY: u64 = 1_000_000;

/// More than a thread ever waits to be run.
const PATIENCE: Duration = Duration::from_secs(30);

/// Returns an allocator of which the calling thread keeps one block of 100
/// bytes back.
fn with_one_kept() -> SharedAllocator {
    let options = Options {
        granule: 4,
        ..Options::new(CAPACITY)
    };
    let allocator = SharedAllocator::with_options(options).expect("valid options");
    for _ in 0..2 {
        drop(allocator.allocate(100).expect("all is free"));
    }
    assert_eq!(allocator.recent_free_bytes(), CAPACITY - 100);
    allocator
}

#[test]
fn a_thread_takes_no_block_that_another_keeps() {
    let allocator = with_one_kept();
    let other = allocator.clone();
    let handle = thread::spawn(move || other.allocate(100).unwrap());
    let theirs = handle.join().unwrap();
    assert_eq!(allocator.recent_free_bytes(), CAPACITY - 200);
    let ours = allocator.allocate(100).unwrap();
    assert_eq!(allocator.recent_free_bytes(), CAPACITY - 200);
    assert_eq!((ours.offset(), theirs.offset()), (0, 100));
}

#[test]
fn a_thread_that_only_frees_keeps_and_one_that_only_allocates_takes_it_all() {
    const ROUNDS: u64 = 50;
    let allocator = SharedAllocator::new(CAPACITY).unwrap();
    let (sender, receiver) = mpsc::channel::<Vec<Handle>>();
    let (done, finished) = mpsc::channel();
    thread::scope(|scope| {
        scope.spawn(move || {
            for handles in receiver {
                drop(handles);
                done.send(()).unwrap();
            }
        });
        let mut recent = Vec::new();
        for _ in 0..ROUNDS {
            let handles = (0..20).map(|_| allocator.allocate(100).unwrap());
            sender.send(handles.collect()).unwrap();
            finished.recv().unwrap();
            recent.push(allocator.recent_free_bytes());
        }
        drop(sender);
        // The core has seen nothing of it since the sizes were known.
        let last = recent[recent.len() - 1];
        assert!(
            recent[20..].iter().all(|&bytes| bytes == last),
            "{recent:?}"
        );
        assert!(last <= CAPACITY - 2000, "what was freed is kept");
    });
    assert_eq!(allocator.report().free_bytes, CAPACITY);
    allocator.inspect(mc_offset::OffsetAllocator::check_invariants);
}

#[test]
fn a_thread_keeps_what_it_frees_of_the_sizes_of_others_and_of_no_size_beside() {
    let allocator = SharedAllocator::new(CAPACITY).unwrap();
    // Two threads with a size each, both of which stay.
    let (done, is_done) = mpsc::channel::<()>();
    let is_done = Mutex::new(is_done);
    thread::scope(|scope| {
        let (sender, receiver) = mpsc::channel();
        let theirs = [100, 200].map(|size| {
            let (sender, allocator, is_done) = (sender.clone(), &allocator, &is_done);
            scope.spawn(move || {
                for _ in 0..2 {
                    drop(allocator.allocate(size).unwrap());
                }
                sender.send(allocator.allocate(size).unwrap()).unwrap();
                // Until the other end is dropped.
                let _ = is_done.lock().unwrap().recv();
            });
            receiver.recv().unwrap()
        });
        let beside = allocator.allocate(300).unwrap();
        let before = allocator.recent_free_bytes();
        drop(theirs);
        assert_eq!(allocator.recent_free_bytes(), before, "both are kept");
        drop(beside);
        assert_eq!(allocator.recent_free_bytes(), before + 300);
        drop(done);
    });
}

#[test]
fn a_refusal_leaves_kept_blocks_that_cannot_help() {
    let allocator = with_one_kept();
    let most = allocator.allocate(900_000).unwrap();
    let kept = allocator.recent_free_bytes();
    let refused = allocator.allocate(200_000).unwrap_err();
    let no_hole = AllocError::NoHole {
        asked: 200_000,
        free: 100_000,
        largest_hole: 100_000,
    };
    assert_eq!(refused, no_hole);
    assert_eq!(
        allocator.recent_free_bytes(),
        kept,
        "the block is kept still"
    );
    // The block lies before the large object, and the rest behind it.
    assert_eq!(allocator.largest_hole(), 99_900);
    drop(most);
}

#[test]
fn a_kept_block_between_two_holes_makes_one_with_both() {
    let allocator = SharedAllocator::new(300).unwrap();
    let [first, between, last] = [(); 3].map(|()| allocator.allocate(100).unwrap());
    drop(between);
    allocator.free_batch([first, last]);
    assert_eq!(allocator.recent_free_bytes(), 200, "one is kept back");
    assert_eq!(allocator.allocate(300).unwrap().offset(), 0);
}

#[test]
fn an_allocation_grows_over_a_kept_block_behind_it() {
    let allocator = SharedAllocator::new(1000).unwrap();
    for _ in 0..2 {
        drop(allocator.allocate(100).unwrap());
    }
    let [mut grown, behind] = [(); 2].map(|()| allocator.allocate(100).unwrap());
    assert_eq!((grown.offset(), behind.offset()), (0, 100));
    drop(behind);
    assert_eq!(allocator.recent_free_bytes(), 800, "one is kept back");
    allocator.resize_in_place(&mut grown, 1000).unwrap();
    assert_eq!((grown.size(), allocator.free_bytes()), (1000, 0));
}

#[test]
fn a_batch_is_freed_without_keeping_any_back() {
    let allocator = with_one_kept();
    let handles: Vec<Handle> = (0..5).map(|_| allocator.allocate(100).unwrap()).collect();
    allocator.free_batch(handles);
    assert_eq!(allocator.recent_free_bytes(), CAPACITY);
}

#[test]
fn what_no_free_byte_can_help_leaves_kept_blocks_where_they_are() {
    let allocator = with_one_kept();
    assert_eq!(allocator.allocate(0).unwrap_err(), AllocError::ZeroSize);
    let too_large = allocator.allocate(CAPACITY + 1).unwrap_err();
    assert!(matches!(too_large, AllocError::TooLarge { .. }));
    let off_granule = allocator.allocate_at(150, 50).unwrap_err();
    assert!(matches!(off_granule, PlaceError::OffGranule { .. }));
    let out_of_range = allocator.allocate_at(CAPACITY, 100).unwrap_err();
    assert!(matches!(out_of_range, PlaceError::OutOfRange { .. }));
    let not_larger = allocator.grow(CAPACITY / 2).unwrap_err();
    assert!(matches!(not_larger, CapacityError::NotLarger { .. }));
    let not_smaller = allocator.shrink(CAPACITY * 2).unwrap_err();
    assert!(matches!(not_smaller, CapacityError::NotSmaller { .. }));
    let mut other = allocator.allocate(200).unwrap();
    let no_size = allocator.resize_in_place(&mut other, 0).unwrap_err();
    assert_eq!(no_size, ResizeError::ZeroSize);
    allocator.free_batch([other]);
    assert_eq!(allocator.recent_free_bytes(), CAPACITY - 100);
    // One that freed bytes may help gets them all.
    assert!(allocator.allocate(CAPACITY).is_ok());
}

#[test]
fn nothing_is_kept_back_while_sizes_do_not_repeat() {
    let allocator = SharedAllocator::new(CAPACITY).unwrap();
    let [first, _second] = [100, 200].map(|size| allocator.allocate(size).unwrap());
    drop(first);
    // The freed block is cut up, so that sizes do not seem to repeat.
    let _part = allocator.allocate(50).unwrap();
    for _ in 0..4 {
        drop(allocator.allocate(30).unwrap());
        assert_eq!(allocator.recent_free_bytes(), CAPACITY - 250);
    }
    // The rest of it is used up, so that they do.
    for kept in [0, 50] {
        drop(allocator.allocate(50).unwrap());
        assert_eq!(allocator.recent_free_bytes(), CAPACITY - 250 - kept);
    }
}

#[test]
fn what_nothing_can_serve_is_refused_while_another_has_the_lock() {
    let allocator = SharedAllocator::new(1000).unwrap();
    let _most = allocator.allocate(990).unwrap();
    for asked in [11, 1000] {
        let (sender, receiver) = mpsc::channel();
        let other = allocator.clone();
        let refused = allocator.inspect(|_| {
            thread::spawn(move || sender.send(other.allocate(asked).err()));
            receiver.recv_timeout(PATIENCE)
        });
        let no_hole = AllocError::NoHole {
            asked,
            free: 10,
            largest_hole: 10,
        };
        assert_eq!(refused, Ok(Some(no_hole)));
    }
}

#[test]
fn what_a_thread_keeps_comes_and_goes_and_is_refused_without_the_lock() {
    let allocator = SharedAllocator::new(1000).unwrap();
    let other = allocator.clone();
    // More than a thread finds its magazines of at once, so that one gives its place up.
    let others = [(); 64].map(|()| SharedAllocator::new(1000).unwrap());
    let (ready, is_ready) = mpsc::channel();
    let (go_on, may_go_on) = mpsc::channel();
    let (sender, receiver) = mpsc::channel();
    let asking = thread::spawn(move || {
        for used in others.iter().chain([&other]) {
            for _ in 0..2 {
                drop(used.allocate(100).unwrap());
            }
        }
        let [most, block] = [900, 100].map(|size| other.allocate(size).unwrap());
        ready.send(()).unwrap();
        may_go_on.recv().unwrap();
        // The magazine is marked as one that may hold blocks, and is empty.
        drop(block);
        let block = other.allocate(100).unwrap();
        sender.send(other.allocate(101).err()).unwrap();
        drop((most, block));
    });
    is_ready.recv().unwrap();
    let refused = allocator.inspect(|_| {
        go_on.send(()).unwrap();
        receiver.recv_timeout(PATIENCE)
    });
    let no_hole = AllocError::NoHole {
        asked: 101,
        free: 0,
        largest_hole: 0,
    };
    assert_eq!(refused, Ok(Some(no_hole)));
    asking.join().unwrap();
}

/// Two threads that keep blocks of 100 bytes in `capacity` bytes, none of which is left to the caller:
/// returns the bytes that its next request takes from the core.
fn bytes_taken_by_one_request(capacity: u64) -> u64 {
    let allocator = SharedAllocator::new(capacity).expect("valid options");
    let keep_one = |allocator: &SharedAllocator| {
        for _ in 0..2 {
            drop(allocator.allocate(100).expect("there is room"));
        }
    };
    keep_one(&allocator);
    let other = allocator.clone();
    thread::spawn(move || keep_one(&other))
        .join()
        .expect("it does not panic");
    let _kept = [(); 2].map(|()| allocator.allocate(100).expect("there is room"));
    let before = allocator.recent_free_bytes();
    assert_eq!(before, capacity - 200, "what was kept is used up");
    let first = allocator.allocate(100).expect("there is room");
    let taken = before - allocator.recent_free_bytes();
    // What was taken in advance serves the next ones, from the lowest offset on.
    let next = (100..taken).step_by(100);
    let next = next.map(|_| allocator.allocate(100).expect("there is room"));
    let next: Vec<Handle> = next.collect();
    assert_eq!(allocator.recent_free_bytes(), before - taken);
    let offsets = next.iter().map(Handle::offset);
    assert!(offsets.eq((first.offset() + 100..).step_by(100).take(next.len())));
    taken
}

#[test]
fn a_thread_takes_sixteen_blocks_in_advance_unless_few_are_left() {
    assert_eq!(bytes_taken_by_one_request(CAPACITY), 1700);
    // The largest hole has room for 256 blocks behind the one that was asked for, or for less.
    let taken = [25_900, 25_899].map(bytes_taken_by_one_request);
    assert_eq!(taken, [1700, 100]);
}

#[test]
fn a_thread_keeps_blocks_while_many_more_are_live_however_many_were_before() {
    const COUNT: u64 = 100_000;
    let allocator = SharedAllocator::new(100 * COUNT).unwrap();
    let handles = (0..COUNT).map(|_| allocator.allocate(100).unwrap());
    let mut handles: Vec<Handle> = handles.collect();
    handles.truncate(1000);
    let kept = COUNT - 1000 - allocator.recent_free_bytes() / 100;
    // A full shelf gives half of its blocks back.
    assert!((33..=64).contains(&kept), "{kept}");
}
