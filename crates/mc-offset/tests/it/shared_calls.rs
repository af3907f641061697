//! What the shared allocator offers beside allocating: callbacks, windows, plans, resizing, and an end
//! that moves.
#![cfg(all(feature = "std", not(loom)))]

use std::{
    sync::mpsc::{self, RecvTimeoutError},
    thread,
    time::Duration,
};

use mc_offset::{
    AllocError, Allocation, BlockCost, CapacityError, FreeError, Handle, HoleOptions,
    OffsetAllocator, Options, ResizeError, SharedAllocator,
};

#[test]
fn a_callback_that_uses_the_allocator_panics_and_harms_nothing() {
    let allocator = SharedAllocator::new(1000).unwrap();
    let held = allocator.allocate(100).unwrap();
    let uses: [fn(&SharedAllocator); 4] = [
        |allocator| assert_eq!(allocator.largest_hole(), 900),
        |allocator| drop(allocator.allocate(1)),
        |allocator| drop(allocator.allocate_batch(&[1])),
        |allocator| allocator.inspect(|_| ()),
    ];
    for nested in uses {
        let panics = std::panic::catch_unwind(|| allocator.inspect(|_| nested(&allocator)));
        let message = *panics.unwrap_err().downcast::<String>().unwrap();
        assert!(message.contains("callback"), "{message}");
        allocator.inspect(OffsetAllocator::check_invariants);
        assert_eq!(allocator.report().live_bytes, 100);
    }
    // Another allocator may be used.
    let other = SharedAllocator::new(1000).unwrap();
    assert!(allocator.inspect(|_| other.allocate(1).is_ok()));
    drop(held);
}

#[test]
fn other_threads_wait_for_a_callback_and_are_served_then() {
    let allocator = SharedAllocator::new(1000).unwrap();
    let other = allocator.clone();
    let (sender, receiver) = mpsc::channel();
    let waited = allocator.inspect(|_| {
        thread::spawn(move || sender.send(other.allocate(100).unwrap()));
        receiver.recv_timeout(Duration::from_millis(100))
    });
    assert!(matches!(waited, Err(RecvTimeoutError::Timeout)));
    assert_eq!(receiver.recv().unwrap().offset(), 0);
}

#[test]
fn handles_dropped_in_a_callback_are_freed_after_it() {
    let allocator = SharedAllocator::new(10_000).unwrap();
    let allocate = |size| allocator.allocate(size).unwrap();
    let mut handles: Vec<Handle> = (100..110).map(allocate).collect();
    let before = allocator.report();
    let during = allocator.inspect(|core| {
        drop(handles.pop());
        allocator.free_batch(handles.drain(5..));
        core.report()
    });
    assert_eq!(during, before);
    assert_eq!(allocator.report().allocation_count, 5);
    let panics = std::panic::catch_unwind(std::panic::AssertUnwindSafe(|| {
        allocator.cheapest_window(10_000, 1, |_| panic!("{:?} is dropped", handles.pop()))
    }));
    assert!(panics.is_err());
    assert_eq!(allocator.report().allocation_count, 4);
    allocator.inspect(OffsetAllocator::check_invariants);
}

#[test]
fn a_handle_that_a_callback_gives_up_in_vain_is_freed() {
    let allocator = SharedAllocator::new(1000).unwrap();
    let mut held = Some(allocator.allocate(100).unwrap());
    let panics = std::panic::catch_unwind(std::panic::AssertUnwindSafe(|| {
        allocator.inspect(|_| held.take().map(Handle::into_token))
    }));
    assert!(panics.is_err());
    assert_eq!(allocator.report().free_bytes, 1000);
    allocator.inspect(OffsetAllocator::check_invariants);
}

#[test]
fn candidates_are_listed_before_anything_is_locked() {
    let allocator = SharedAllocator::new(1000).unwrap();
    let handles: Vec<Handle> = (0..10).map(|_| allocator.allocate(100).unwrap()).collect();
    let owned = |handle: &Handle| allocator.inspect(|core| core.is_live(handle.allocation()));
    // Each is asked for by a look at the allocator, and those that are not wanted are dropped.
    let candidates = handles.into_iter().filter(owned).map(|handle| {
        let candidate = handle.allocation();
        if candidate.offset() < 500 {
            handle.into_token()
        } else {
            candidate
        }
    });
    let window = allocator.cheapest_window_near(candidates, 500, 1, |_| None);
    assert_eq!(
        window.map(|window| (window.offset, window.size)),
        Some((500, 500))
    );
}

#[test]
fn a_window_is_freed_by_handles_and_tokens() {
    let allocator = SharedAllocator::new(1000).unwrap();
    let mut handles: Vec<Handle> = (0..10).map(|_| allocator.allocate(100).unwrap()).collect();
    let token = handles.remove(4).into_token();
    let pinned = handles.remove(0).allocation();
    let cost = |victim: &Allocation| {
        (*victim != pinned).then_some(if (300..600).contains(&victim.offset()) {
            1
        } else {
            100
        })
    };
    let window = allocator.cheapest_window(300, 1, cost).unwrap();
    assert_eq!((window.offset, window.victims.len()), (300, 3));
    let near = allocator.cheapest_window_near([token], 300, 1, cost);
    assert_eq!(near.as_ref(), Some(&window));
    let mut take = |victim: &Allocation| {
        let at = handles
            .iter()
            .position(|handle| handle.allocation() == *victim)?;
        Some(handles.remove(at))
    };
    assert_eq!(allocator.free_victims(&window.victims, &mut take), 3);
    assert_eq!(allocator.largest_hole(), 300);
    assert_eq!(
        allocator.free_victims(&window.victims, take),
        0,
        "they are gone"
    );
    assert_eq!(allocator.allocate(300).unwrap().offset(), 300);
}

#[test]
fn a_shared_allocator_answers_what_the_plain_one_does() {
    let options = Options {
        granule: 64,
        ..Options::new(6400)
    };
    let allocator = SharedAllocator::with_options(options).unwrap();
    assert_eq!(allocator.options(), options);
    assert_eq!(
        [0, 1, 65, 6401].map(|size| allocator.charged_size(size)),
        [None, Some(64), Some(128), None]
    );
    for _ in 0..3 {
        drop(allocator.allocate(640).unwrap());
    }
    assert!(allocator.recent_free_bytes() < 6400, "one is kept back");
    assert_eq!(
        (allocator.largest_hole(), allocator.free_bytes()),
        (6400, 6400)
    );
}

#[test]
fn a_handle_is_resized_in_its_place() {
    let allocator = SharedAllocator::new(1000).unwrap();
    let mut handle = allocator.allocate(100).unwrap();
    let behind = allocator.allocate_at(400, 100).unwrap();
    allocator.resize_in_place(&mut handle, 400).unwrap();
    assert_eq!((handle.offset(), handle.size()), (0, 400));
    let no_room = ResizeError::NoRoom {
        asked: 401,
        available: 400,
    };
    assert_eq!(allocator.resize_in_place(&mut handle, 401), Err(no_room));
    let other = SharedAllocator::new(1000).unwrap();
    let foreign = other.resize_in_place(&mut handle, 10);
    assert!(matches!(
        foreign,
        Err(ResizeError::Refused(FreeError::NotLive { .. }))
    ));
    assert_eq!(handle.size(), 400);
    drop(behind);
    allocator.resize_in_place(&mut handle, 1000).unwrap();
    drop(handle);
    assert_eq!(allocator.report().free_bytes, 1000);
    allocator.inspect(OffsetAllocator::check_invariants);
}

#[test]
fn the_end_of_a_shared_range_moves_for_all_clones() {
    let allocator = SharedAllocator::new(1000).unwrap();
    let clone = allocator.clone();
    // A block that is kept back is not in the way.
    let low = allocator.allocate(500).unwrap();
    for _ in 0..3 {
        drop(allocator.allocate(300).unwrap());
    }
    assert_eq!(allocator.recent_free_bytes(), 200);
    clone.shrink(600).unwrap();
    assert_eq!((allocator.capacity(), allocator.free_bytes()), (600, 100));
    let in_the_way = CapacityError::Occupied {
        asked: 499,
        by: low.allocation(),
    };
    assert_eq!(allocator.shrink(499), Err(in_the_way));
    assert_eq!(allocator.highest_end(), 500);
    assert!(allocator.allocate(101).is_err());
    allocator.grow(2000).unwrap();
    assert_eq!(clone.allocate(1500).unwrap().offset(), 500);
    allocator.set_base(u64::MAX - 1999).unwrap();
    let past = CapacityError::PastAddressSpace {
        asked: 2001,
        base: u64::MAX - 1999,
    };
    assert_eq!(clone.grow(2001), Err(past));
    assert_eq!(clone.capacity(), 2000);
    allocator.inspect(OffsetAllocator::check_invariants);
}

#[test]
fn a_plan_makes_a_hole_by_moves_of_handles() {
    let allocator = SharedAllocator::new(100).unwrap();
    let mut handles: Vec<Option<Handle>> = (0..10).map(|_| allocator.allocate(10).ok()).collect();
    for gone in [1, 3, 4, 8] {
        handles[gone] = None;
    }
    let options = HoleOptions {
        moved_bytes_max: 10,
        ..HoleOptions::new(30)
    };
    let plan = allocator
        .plan_hole(&options, |_| BlockCost::movable())
        .unwrap();
    assert_eq!(plan.moved_bytes, 10, "the block between two holes");
    for step in &plan.moves {
        let moved = allocator.allocate_at(step.to, step.size()).unwrap();
        let place = handles.iter_mut().find(|handle| {
            handle
                .as_ref()
                .is_some_and(|handle| handle.allocation() == step.allocation)
        });
        Handle::free_all(place.unwrap().replace(moved));
    }
    let start = plan.window.start;
    assert_eq!(allocator.allocate_at(start, 30).unwrap().offset(), start);
}

#[test]
fn a_plan_with_spares_lets_one_go_elsewhere_for_what_moves() {
    let allocator = SharedAllocator::new(100).unwrap();
    let blocks = [(); 10].map(|()| allocator.allocate(10).unwrap().into_token());
    let spares = [blocks[0], blocks[5]];
    // Of the two at the front, one may leave, and one may move.
    let cost = |block: &Allocation| match block.offset() {
        0 | 50 => BlockCost::evictable(1),
        10 => BlockCost::movable(),
        _ => BlockCost::IMMOVABLE,
    };
    let options = HoleOptions {
        moved_bytes_max: 10,
        ..HoleOptions::new(20)
    };
    assert_eq!(allocator.plan_hole(&options, cost), None);
    let plan = allocator
        .plan_hole_with_spares(&options, &spares, cost)
        .unwrap();
    assert_eq!(plan.window, 0..20);
    let moves: Vec<_> = plan
        .moves
        .iter()
        .map(|step| (step.allocation.offset(), step.to))
        .collect();
    assert_eq!(moves, [(10, 50)]);
    let mut gone = plan.evictions;
    gone.sort_unstable_by_key(Allocation::offset);
    assert_eq!(gone, spares);
}

#[test]
fn the_end_moves_over_handles_that_are_given_up_for_it() {
    let allocator = SharedAllocator::new(1000).unwrap();
    let mut handles = [(); 4].map(|()| allocator.allocate(200).unwrap());
    handles.sort_unstable_by_key(Handle::offset);
    let [low, in_the_way, high, higher] = handles;
    let mut freed = vec![higher, high];
    let occupied = CapacityError::Occupied {
        asked: 300,
        by: in_the_way.allocation(),
    };
    assert_eq!(allocator.shrink_with(300, &mut freed), Err(occupied));
    assert_eq!((freed.len(), allocator.capacity()), (2, 1000));
    allocator.shrink_with(400, &mut freed).unwrap();
    assert!(freed.is_empty());
    assert_eq!((allocator.capacity(), allocator.free_bytes()), (400, 0));
    drop((low, in_the_way));
    allocator.inspect(OffsetAllocator::check_invariants);
}

#[test]
#[should_panic(expected = "another allocator's handle")]
fn the_end_moves_over_no_handle_of_another_allocator() {
    let [one, other] = [(); 2].map(|()| SharedAllocator::new(1000).unwrap());
    let _ = one.shrink_with(500, &mut vec![other.allocate(1000).unwrap()]);
}

#[test]
fn a_shrinking_that_no_range_has_is_told_as_such_whatever_is_in_the_way() {
    let options = Options {
        granule: 100,
        ..Options::new(1000)
    };
    let allocator = SharedAllocator::with_options(options).unwrap();
    let _in_the_way = allocator.allocate(1000).unwrap();
    for asked in [0, 50] {
        let refused = CapacityError::NotGranular {
            asked,
            granule_bytes: 100,
        };
        assert_eq!(allocator.shrink(asked), Err(refused));
        assert_eq!(allocator.shrink_with(asked, &mut vec![]), Err(refused));
    }
}

#[test]
fn at_the_limit_every_size_is_refused_for_the_limit() {
    let options = Options {
        max_allocations: Some(2),
        ..Options::new(100)
    };
    let allocator = SharedAllocator::with_options(options).unwrap();
    let _held = [(); 2].map(|()| allocator.allocate(40).unwrap());
    let limit = AllocError::LimitReached { limit: 2 };
    for size in [1, 20, 21, 100] {
        assert_eq!(allocator.allocate(size).unwrap_err(), limit, "{size}");
        let aligned = allocator.allocate_aligned(size, 2);
        assert_eq!(aligned.unwrap_err(), limit, "{size} aligned");
    }
}
