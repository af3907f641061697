//! The thread-safe allocator: handles, refusals, threads.
#![cfg(all(feature = "std", not(loom)))]

use std::{sync::Barrier, thread};

use mc_offset::{
    AllocError, Allocation, FreeError, Handle, OffsetAllocator, Options, OptionsError, PlaceError,
    SharedAllocator,
};

#[test]
fn handles_free_on_drop_and_outlive_the_allocator() {
    let allocator = SharedAllocator::new(1000).unwrap();
    let first = allocator.allocate(400).unwrap();
    let second = allocator.allocate_aligned(100, 512).unwrap();
    assert_eq!((first.offset(), second.offset()), (0, 512));
    assert_eq!((first.size(), second.size()), (400, 100));
    drop(first);
    assert_eq!(allocator.report().live_bytes, 100);
    drop(allocator);
    assert_eq!(second.offset(), 512);
    drop(second);
}

#[test]
fn what_outlives_an_allocator_is_nothing_to_the_next() {
    let earlier = SharedAllocator::new(1000).unwrap();
    let mut handles: Vec<Handle> = (0..10).map(|_| earlier.allocate(100).unwrap()).collect();
    let token = handles.pop().unwrap().into_token();
    drop(handles.split_off(5));
    drop(earlier);

    let one = SharedAllocator::new(300).unwrap();
    let full = [(); 3].map(|()| one.allocate(100).unwrap());
    drop(handles);
    assert_eq!(one.report().live_bytes, 300);

    // The parts of the first are idle now; the second gets them.
    let other = SharedAllocator::new(200).unwrap();
    assert_eq!(other.capacity(), 200);
    assert!(matches!(other.free(token), Err(FreeError::NotLive { .. })));
    let offsets = [(); 2].map(|()| other.allocate(100).unwrap().into_token().offset());
    assert_eq!(offsets, [0, 100]);
    assert!(other.allocate(1).is_err());
    drop(full);
    assert_eq!(one.report().free_bytes, 300);
    other.inspect(OffsetAllocator::check_invariants);
}

#[test]
fn a_handle_outlives_its_allocator_whatever_tokens_were_freed() {
    let earlier = SharedAllocator::new(1000).unwrap();
    let token = earlier.allocate(100).unwrap().into_token();
    earlier.free(token).unwrap();
    let held = earlier.allocate(100).unwrap();
    drop(earlier);
    // Whoever comes next has other parts: those of the first are in use.
    let next = SharedAllocator::new(100).unwrap();
    let object = next.allocate(100).unwrap();
    drop(held);
    assert_eq!(next.report().live_bytes, 100);
    assert!(next.allocate(1).is_err());
    drop(object);
    assert_eq!(next.report().free_bytes, 100);
    next.inspect(OffsetAllocator::check_invariants);
}

#[test]
fn an_allocator_decides_like_the_one_before_it() {
    let run = || {
        let allocator = SharedAllocator::new(40_000).unwrap();
        let allocate = |size| allocator.allocate(size).unwrap();
        // More sizes than a thread keeps blocks of, each often enough, and
        // near to each other, so that the newest hole of any may be taken.
        let kept: Vec<Handle> = [1024, 1028, 1032, 1036, 1040]
            .into_iter()
            .flat_map(|size| [(); 4].map(|()| allocate(size)))
            .collect();
        let (freed, live): (Vec<_>, Vec<_>) = kept
            .into_iter()
            .enumerate()
            .partition(|(at, _)| at % 2 == 0);
        freed.into_iter().rev().for_each(drop);
        // This size is in no hole, so that what the thread keeps is merged.
        assert!(allocator.allocate(30_000).is_err());
        let refilled = [1025; 6].map(allocate);
        let offsets = refilled.iter().map(Handle::offset).collect::<Vec<_>>();
        drop(live);
        offsets
    };
    let first = run();
    for _ in 0..5 {
        assert_eq!(run(), first);
    }
}

#[test]
fn refusals_say_whether_evicting_can_help() {
    let allocator = SharedAllocator::new(1000).unwrap();
    assert_eq!(allocator.allocate(0).unwrap_err(), AllocError::ZeroSize);
    let too_large = AllocError::TooLarge {
        asked: 1001,
        capacity: 1000,
    };
    assert_eq!(allocator.allocate(1001).unwrap_err(), too_large);
    let _most = allocator.allocate(990).unwrap();
    let no_hole = AllocError::NoHole {
        asked: 11,
        free: 10,
        largest_hole: 10,
    };
    assert_eq!(allocator.allocate(11).unwrap_err(), no_hole);
}

#[test]
fn freeing_after_the_limit_was_reached_makes_the_space_available_at_once() {
    // The sequence on which a hint that is not raised by every free goes
    // wrong: the limit is reached, a large block is freed, then two small
    // neighbors. Both the large hole and the limit allow the next request.
    let options = Options {
        max_allocations: Some(7),
        ..Options::new(64 << 10)
    };
    let allocator = SharedAllocator::with_options(options).unwrap();
    let large = allocator.allocate(16 << 10).unwrap();
    let mut small: Vec<_> = (0..6)
        .map(|_| allocator.allocate(1 << 10).unwrap())
        .collect();
    let limit = AllocError::LimitReached { limit: 7 };
    assert_eq!(allocator.allocate(1 << 10).unwrap_err(), limit);
    drop(large);
    drop(small.drain(..2));
    let report = allocator.report();
    assert!(allocator.largest_hole_bound() >= report.largest_hole);
    assert_eq!(report.largest_hole, 42 << 10);
    let _a = allocator.allocate(8 << 10).unwrap();
    let _b = allocator.allocate(16 << 10).unwrap();
}

#[test]
fn the_bound_covers_the_largest_hole_in_every_state() {
    let allocator = SharedAllocator::new(100_000).unwrap();
    let mut live = Vec::new();
    for step in 0..20_000_usize {
        let size = 1 + (step as u64).wrapping_mul(2_654_435_761) % 3000;
        let largest = allocator.report().largest_hole;
        assert!(allocator.largest_hole_bound() >= largest);
        match allocator.allocate(size) {
            Ok(handle) => live.push(handle),
            Err(_) => {
                assert!(
                    size > largest,
                    "{size} bytes refused with a hole of {largest}"
                );
                drop(live.swap_remove(step * 7 % live.len()));
            }
        }
    }
}

#[test]
fn threads_never_share_a_byte_and_give_all_back() {
    const THREADS: usize = 8;
    let allocator = SharedAllocator::new(1 << 16).unwrap();
    let start = Barrier::new(THREADS);
    thread::scope(|scope| {
        for thread in 0..THREADS {
            let (allocator, start) = (&allocator, &start);
            scope.spawn(move || {
                start.wait();
                let mut live = Vec::new();
                for step in 0..5_000 {
                    let size = 1 + ((step * 31 + thread * 17) % 500) as u64;
                    match allocator.allocate(size) {
                        Ok(handle) => live.push(handle),
                        Err(_) => drop(live.drain(..live.len() / 2)),
                    }
                }
            });
        }
        check_disjoint_while_running(&allocator);
    });
    allocator.inspect(OffsetAllocator::check_invariants);
    assert_eq!(allocator.report().free_bytes, 1 << 16);
}

/// Looks at the ranges while the threads run: they are disjoint at any time.
fn check_disjoint_while_running(allocator: &SharedAllocator) {
    for _ in 0..100 {
        allocator.inspect(|core| {
            let mut end = 0;
            for allocation in core.allocations() {
                assert!(allocation.offset() >= end);
                end = allocation.offset() + allocation.size();
            }
        });
    }
}

#[test]
fn handles_are_freed_by_other_threads() {
    let allocator = SharedAllocator::new(1 << 20).unwrap();
    let (sender, receiver) = std::sync::mpsc::sync_channel(16);
    thread::scope(|scope| {
        scope.spawn(|| receiver.into_iter().for_each(drop));
        let sender = sender;
        for _ in 0..10_000 {
            sender.send(allocator.allocate(4096).unwrap()).unwrap();
        }
    });
    assert_eq!(allocator.report().free_bytes, 1 << 20);
}

#[test]
fn exact_offsets_and_pieces_take_blocks_that_threads_keep_back() {
    let allocator = SharedAllocator::new(1000).unwrap();
    // A size that comes again is kept back when it is freed.
    for _ in 0..4 {
        drop(allocator.allocate(300).unwrap());
    }
    let exact = allocator.allocate_at(100, 300).unwrap();
    assert_eq!((exact.offset(), exact.size()), (100, 300));
    let in_the_way = allocator.allocate_at(399, 10).unwrap_err();
    assert!(matches!(in_the_way, PlaceError::Occupied { by } if by.offset() == 100));
    let pieces = allocator.allocate_extents(700, 2, 1).unwrap();
    assert_eq!(pieces.iter().map(Handle::size).sum::<u64>(), 700);
    drop((exact, pieces));
    allocator.inspect(OffsetAllocator::check_invariants);
    assert_eq!(allocator.report().free_bytes, 1000);
}

#[test]
fn restored_handles_own_their_allocations() {
    let before = SharedAllocator::new(1 << 20).unwrap();
    let held: Vec<_> = (1..100).map(|size| before.allocate(size)).collect();
    let snapshot = before.inspect(OffsetAllocator::snapshot);
    let (after, handles) = SharedAllocator::restore(&snapshot).unwrap();
    assert_eq!(after.inspect(OffsetAllocator::snapshot), snapshot);
    assert_eq!(after.recent_free_bytes(), after.report().free_bytes);
    assert_eq!(after.recent_largest_hole(), after.report().largest_hole);
    let offsets: Vec<u64> = handles.iter().map(Handle::offset).collect();
    let expected: Vec<u64> = snapshot.entries().map(|(offset, _)| offset).collect();
    assert_eq!(offsets, expected);
    drop(handles);
    assert_eq!(after.report().free_bytes, 1 << 20);
    drop(held);
}

#[test]
fn tokens_are_freed_once_and_never_stand_for_a_handle() {
    let allocator = SharedAllocator::new(1000).unwrap();
    let other = SharedAllocator::new(1000).unwrap();
    let token = allocator.allocate(300).unwrap().into_token();
    let not_live = FreeError::NotLive {
        offset: token.offset(),
        size: 300,
    };
    assert_eq!(other.free(token), Err(not_live));
    assert_eq!(allocator.report().live_bytes, 300);
    assert_eq!(allocator.free(token), Ok(()));
    assert_eq!(allocator.free(token), Err(not_live));

    let handle = allocator.allocate(300).unwrap();
    let seen = allocator.inspect(|core| core.allocations().next()).unwrap();
    assert!(allocator.free(seen).is_err(), "the handle owns it");
    drop(handle);
    assert_eq!(allocator.report().free_bytes, 1000);
}

#[test]
fn raw_tokens_come_back_unless_one_or_two_bits_of_them_changed() {
    let allocator = SharedAllocator::new(1 << 40).unwrap();
    let _below = allocator.allocate(77).unwrap();
    let token = allocator.allocate((1 << 33) + 5).unwrap().into_token();
    let raw = token.to_raw();
    assert_eq!(Allocation::from_raw(raw), Some(token));
    let flip = |raw: &mut [u64; 4], bit: usize| raw[bit / 64] ^= 1 << (bit % 64);
    for one in 0..256 {
        let mut changed = raw;
        flip(&mut changed, one);
        assert_eq!(Allocation::from_raw(changed), None, "bit {one}");
        for other in 0..one {
            let mut changed = changed;
            flip(&mut changed, other);
            assert_eq!(Allocation::from_raw(changed), None, "bits {one}, {other}");
        }
    }
    assert_eq!(Allocation::from_raw([0; 4]), None);
    assert_eq!(allocator.free(token), Ok(()));
}

/// A pool in which threads keep freed blocks of 100 bytes back.
fn accustomed_to_100_bytes() -> SharedAllocator {
    let allocator = SharedAllocator::new(1_000_000).expect("valid options");
    drop(allocator.allocate(100).expect("all is free"));
    // The size comes again, and is kept from then on.
    assert_eq!(allocator.recent_free_bytes(), 1_000_000);
    drop(allocator.allocate(100).expect("all is free"));
    assert_eq!(allocator.recent_free_bytes(), 999_900);
    allocator
}

#[test]
fn blocks_of_a_size_that_comes_again_are_kept_back_up_to_64_and_half_of_them_given_up() {
    let allocator = accustomed_to_100_bytes();
    let handles: Vec<Handle> = (0..70).map(|_| allocator.allocate(100).unwrap()).collect();
    assert_eq!(allocator.recent_free_bytes(), 993_000);
    let mut handles = handles.into_iter();
    handles.by_ref().take(64).for_each(drop);
    assert_eq!(allocator.recent_free_bytes(), 993_000);
    drop(handles.next());
    assert_eq!(allocator.recent_free_bytes(), 996_200);
    drop(handles);
    assert_eq!(allocator.recent_free_bytes(), 996_200);
    assert_eq!(allocator.report().free_bytes, 1_000_000);
    assert_eq!(
        allocator.recent_free_bytes(),
        1_000_000,
        "a report merges all"
    );
}

#[test]
fn the_block_kept_last_is_taken_first_if_it_is_aligned() {
    let allocator = accustomed_to_100_bytes();
    let handles: Vec<Handle> = (0..10).map(|_| allocator.allocate(100).unwrap()).collect();
    let offsets: Vec<u64> = handles.iter().map(Handle::offset).collect();
    drop(handles);
    let aligned = allocator.allocate_aligned(100, 8).unwrap();
    let last_aligned = offsets.iter().rev().find(|&&offset| offset % 8 == 0);
    assert_eq!(Some(&aligned.offset()), last_aligned);
    let others: Vec<Handle> = (0..9).map(|_| allocator.allocate(100).unwrap()).collect();
    let mut taken: Vec<u64> = others.iter().map(Handle::offset).collect();
    assert_eq!(taken.first(), offsets.last());
    taken.push(aligned.offset());
    taken.sort_unstable();
    assert_eq!(taken, offsets, "all come from what was kept");
}

#[test]
fn four_sizes_are_kept_and_a_fifth_takes_the_place_of_the_first() {
    let allocator = SharedAllocator::new(1_000_000).unwrap();
    let keep = |size| {
        for _ in 0..2 {
            drop(allocator.allocate(size).unwrap());
        }
        1_000_000 - allocator.recent_free_bytes()
    };
    assert_eq!([100, 200, 300, 400].map(keep), [100, 300, 600, 1000]);
    assert_eq!(keep(500), 1400);
    assert_eq!(keep(200), 1400, "it is kept already");
}

#[test]
fn a_shared_allocator_prints_its_report() {
    let allocator = SharedAllocator::new(1000).unwrap();
    let report = allocator.report();
    let expected = format!("SharedAllocator {{ report: {report:?} }}");
    assert_eq!(format!("{allocator:?}"), expected);
}

#[test]
fn a_handle_prints_its_allocation() {
    let handle = SharedAllocator::new(1000).unwrap().allocate(10).unwrap();
    let expected = format!("{:?}", handle.allocation());
    assert!(expected.contains("size: 10"));
    assert_eq!(format!("{handle:?}"), expected);
}

#[test]
fn a_handle_tells_whether_its_allocator_is_alive() {
    let allocator = SharedAllocator::new(1000).unwrap();
    let clone = allocator.clone();
    let handle = allocator.allocate(10).unwrap();
    drop(allocator);
    assert!(handle.is_allocator_alive(), "a clone names it");
    drop(clone);
    assert!(!handle.is_allocator_alive());
    drop(handle);
    // Perhaps made of the same parts.
    let next = SharedAllocator::new(1000).unwrap();
    assert!(next.allocate(10).unwrap().is_allocator_alive());
}

#[test]
fn an_address_counts_from_the_base_of_the_allocator() {
    let allocator = SharedAllocator::new(1000).unwrap();
    assert_eq!(allocator.base(), 0);
    let clone = allocator.clone();
    allocator.set_base(1 << 40).unwrap();
    assert_eq!(clone.base(), 1 << 40);
    assert_eq!(allocator.base(), 1 << 40);
    let [first, second] = [600, 400].map(|size| allocator.allocate(size).unwrap());
    assert_eq!((first.offset(), first.address()), (0, 1 << 40));
    drop((allocator, clone, first));
    let expected = (1 << 40) + 600;
    assert_eq!(second.address(), expected, "of an allocator that is gone");
    drop(second);
    // Perhaps made of the same parts.
    assert_eq!(SharedAllocator::new(1000).unwrap().base(), 0);
}

#[test]
fn a_base_beyond_which_addresses_end_is_refused() {
    let allocator = SharedAllocator::new(1000).unwrap();
    let highest = u64::MAX - 999;
    allocator.set_base(highest).unwrap();
    let last = allocator.allocate(1000).unwrap();
    assert_eq!(last.address(), highest);
    let expected = OptionsError::BaseTooHigh {
        base: highest + 1,
        capacity: 1000,
    };
    assert_eq!(allocator.set_base(highest + 1).unwrap_err(), expected);
    assert_eq!(last.address(), highest, "nothing has changed");
}

/// More than have their place from the start on.
#[test]
fn each_of_many_handles_returns_to_its_own_allocator() {
    let allocators: Vec<_> = (1..=700)
        .map(|size| SharedAllocator::new(size).unwrap())
        .collect();
    let handles: Vec<_> = allocators
        .iter()
        .map(|allocator| allocator.allocate(allocator.capacity()).unwrap())
        .collect();
    for (allocator, handle) in allocators.iter().zip(handles).rev() {
        assert!(handle.is_allocator_alive());
        assert_eq!(allocator.report().free_bytes, 0);
        let size = handle.size();
        drop(handle);
        assert_eq!(allocator.report().free_bytes, size);
    }
}

#[test]
fn an_iterator_of_a_batch_may_drop_skip_and_use_what_it_likes() {
    let allocator = SharedAllocator::new(1_000_000).unwrap();
    let fill = || -> Vec<Handle> {
        (1..=100)
            .map(|size| allocator.allocate(size).unwrap())
            .collect()
    };
    allocator.free_batch(fill().into_iter().take(50));
    assert_eq!(allocator.report().allocation_count, 0);
    allocator.free_batch(fill().into_iter().skip(50));
    allocator.free_batch(fill().into_iter().filter(|handle| handle.size() % 2 == 0));
    allocator.free_batch(fill().into_iter().inspect(|_| drop(allocator.allocate(7))));
    let panics = std::panic::catch_unwind(|| {
        allocator.free_batch(
            fill()
                .into_iter()
                .inspect(|handle| assert!(handle.size() < 60)),
        );
    });
    assert!(panics.is_err());
    let report = allocator.report();
    assert_eq!((report.allocation_count, report.free_bytes), (0, 1_000_000));
}

#[test]
fn handles_of_several_allocators_are_freed_together() {
    let allocators = [(); 5].map(|()| SharedAllocator::new(1000).unwrap());
    let mut handles = Vec::new();
    for size in 1..=10 {
        handles.extend(
            allocators
                .iter()
                .map(|allocator| allocator.allocate(size).unwrap()),
        );
    }
    let [first, rest @ ..] = allocators;
    drop(first);
    Handle::free_all(handles);
    for allocator in &rest {
        assert_eq!(allocator.recent_free_bytes(), 1000);
    }
    // The first is done for, and its parts serve the next one.
    assert_eq!(SharedAllocator::new(300).unwrap().report().free_bytes, 300);
    Handle::free_all([]);
}

#[test]
fn handles_and_clones_tell_whose_they_are() {
    let [one, other] = [(); 2].map(|()| SharedAllocator::new(1000).unwrap());
    let [first, second] = [one.allocate(10), one.clone().allocate(10)].map(Result::unwrap);
    let foreign = other.allocate(10).unwrap();
    assert!(first.ptr_eq(&second) && !first.ptr_eq(&foreign));
    assert!(one.owns(&second) && !one.owns(&foreign));
    assert!(one.ptr_eq(&one.clone()) && !one.ptr_eq(&other));
}
