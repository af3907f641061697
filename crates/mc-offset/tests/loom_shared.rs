//! The shared allocator under every interleaving of two threads.
//!
//! Claims:
//!
//! 1. No block is handed out twice, whichever magazine or hole it comes from.
//! 2. A request is never refused while something could serve it throughout the
//!    call: neither by the refusal without the lock nor by the one with it.
//! 3. What magazines hold is merged before a larger request is refused.
//! 4. Whatever was freed is there afterwards, to the byte.
#![cfg(all(loom, feature = "std"))]

use loom::thread;
use mc_offset::{Handle, Options, SharedAllocator};

/// An allocator of `blocks` blocks, and all of them, of a size that magazines
/// keep.
fn exhausted(blocks: u64) -> (SharedAllocator, Vec<Handle>) {
    let allocator = SharedAllocator::with_options(Options::new(blocks)).unwrap();
    for _ in 0..3 {
        drop(allocator.allocate(1));
    }
    let handles = (0..blocks)
        .map(|_| allocator.allocate(1).unwrap())
        .collect();
    (allocator, handles)
}

#[test]
fn who_frees_a_block_first_gets_one() {
    loom::model(|| {
        let (allocator, mut handles) = exhausted(2);
        let (mine, theirs) = (handles.pop().unwrap(), handles.pop().unwrap());
        let other = allocator.clone();
        let thread = thread::spawn(move || {
            drop(theirs);
            other.allocate(1).expect("this thread freed a block")
        });
        drop(mine);
        let mine = allocator.allocate(1).expect("this thread freed a block");
        let theirs = thread.join().unwrap();
        assert_ne!(mine.offset(), theirs.offset());
        drop((mine, theirs));
        assert_eq!(allocator.report().free_bytes, 2);
        allocator.inspect(mc_offset::OffsetAllocator::check_invariants);
    });
}

#[test]
fn a_request_is_served_while_there_is_always_a_block_somewhere() {
    loom::model(|| {
        let (allocator, mut handles) = exhausted(2);
        // One block is free from the start; the other thread frees the second
        // before it takes any.
        drop(handles.pop());
        let theirs = handles.pop().unwrap();
        let other = allocator.clone();
        let thread = thread::spawn(move || {
            drop(theirs);
            other
                .allocate(1)
                .expect("two are free and one is asked for")
        });
        let mine = allocator.allocate(1).expect("one is free throughout");
        assert_ne!(mine.offset(), thread.join().unwrap().offset());
    });
}

#[test]
fn a_request_is_served_while_a_block_moves_from_a_hole_to_a_magazine() {
    loom::model(|| {
        let (allocator, mut handles) = exhausted(2);
        // Merging turns the first block into a hole; the batch takes that one
        // while the second is kept back.
        drop(handles.pop());
        assert_eq!(allocator.report().free_bytes, 1);
        let theirs = handles.pop().unwrap();
        let other = allocator.clone();
        let thread = thread::spawn(move || {
            drop(theirs);
            other
                .allocate_batch(&[1])
                .expect("two are free and one is asked for")
        });
        let mine = allocator.allocate(1).expect("one is free throughout");
        assert_ne!(mine.offset(), thread.join().unwrap()[0].offset());
    });
}

#[test]
fn a_request_is_served_while_a_block_moves_from_a_magazine_to_a_hole() {
    loom::model(|| {
        let (allocator, handles) = exhausted(1);
        drop(handles);
        let other = allocator.clone();
        let thread = thread::spawn(move || other.report());
        let only = allocator.allocate(1).expect("the block is free throughout");
        drop(only);
        thread.join().unwrap();
    });
}

#[test]
fn a_larger_request_gets_what_magazines_hold() {
    loom::model(|| {
        let (allocator, mut handles) = exhausted(2);
        let (first, second) = (handles.pop().unwrap(), handles.pop().unwrap());
        let thread = thread::spawn(move || drop(first));
        drop(second);
        let early = allocator.allocate(2).is_ok();
        thread.join().unwrap();
        assert!(
            early || allocator.allocate(2).is_ok(),
            "both blocks are free"
        );
        assert_eq!(allocator.report().free_bytes, 2);
    });
}

#[test]
fn a_remote_free_races_with_an_allocation_of_its_size() {
    loom::model(|| {
        let (allocator, mut handles) = exhausted(1);
        let only = handles.pop().unwrap();
        let thread = thread::spawn(move || drop(only));
        let early = allocator.allocate(1);
        thread.join().unwrap();
        if early.is_err() {
            let late = allocator.allocate(1).expect("the block is free");
            assert_eq!(late.offset(), 0);
        }
    });
}

#[test]
fn a_full_shelf_is_half_emptied_while_another_thread_allocates() {
    loom::model(|| {
        let (allocator, mut handles) = exhausted(3);
        drop(handles.pop());
        // The second of them finds the shelf full, which has room for one.
        let thread = thread::spawn(move || handles.into_iter().for_each(drop));
        let mine = allocator.allocate(1).expect("one is free throughout");
        thread.join().unwrap();
        let others = [(); 2].map(|()| allocator.allocate(1).expect("three are free"));
        let mut offsets = [&mine, &others[0], &others[1]].map(Handle::offset);
        offsets.sort_unstable();
        assert_eq!(offsets, [0, 1, 2]);
    });
}

#[test]
fn what_another_thread_keeps_is_taken_over_once() {
    loom::model(|| {
        let (allocator, mut handles) = exhausted(2);
        let (first, second) = (handles.pop().unwrap(), handles.pop().unwrap());
        // Another thread keeps a block of the size.
        thread::spawn(move || drop(first)).join().unwrap();
        let other = allocator.clone();
        let thread = thread::spawn(move || {
            drop(second);
            other.allocate(1).expect("this thread freed a block")
        });
        let mine = allocator.allocate(1).expect("one is free throughout");
        let theirs = thread.join().unwrap();
        assert_ne!(mine.offset(), theirs.offset());
        drop((mine, theirs));
        assert_eq!(allocator.allocate(2).unwrap().offset(), 0);
    });
}

#[test]
fn a_handle_outlives_the_allocator() {
    loom::model(|| {
        let (allocator, mut handles) = exhausted(1);
        let only = handles.pop().unwrap();
        let thread = thread::spawn(move || drop(only));
        drop(allocator);
        thread.join().unwrap();
    });
}
