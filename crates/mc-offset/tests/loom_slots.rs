//! `SlotAllocator` under every schedule of two or three threads, on a bitmap of two bits a word.
//!
//! Claims:
//! - no slot is handed out twice, by requests for any slot or for one of them;
//! - none is lost: when the threads are done, all that is not live can be allocated;
//! - no request is refused while a slot stays free, nor while free slots move between shards;
//! - a search that clears advice never hides a slot that is freed meanwhile, on any level;
//! - a slot freed by two threads at once is taken back once;
//! - what the last owner did with a slot is seen by the next.
//!
//! With two bits a word and two words a shard, 4 slots are one shard of two levels, 5 slots a shard
//! of four and one of one, and 9 slots two shards of three levels.

#![cfg(loom)]
#![expect(clippy::unwrap_used, reason = "helpers fail a test by panicking, too")]

use loom::sync::Arc;
use loom::sync::atomic::{AtomicU32, Ordering};
use loom::thread;
use mc_offset::{SlotAllocAtError, SlotAllocator, SlotFreeError, SlotIndex};

/// Makes an allocator of `slots` slots of which those in `free` are free.
fn with_free(slots: u32, free: &[u32]) -> Arc<SlotAllocator> {
    let allocator = SlotAllocator::new(1, slots).unwrap();
    for index in (0..slots).filter(|index| !free.contains(index)) {
        allocator.allocate_at(SlotIndex::new(index)).unwrap();
    }
    Arc::new(allocator)
}

/// Runs `claim` under the schedules of at most `preemptions` preemptions, where all are too many.
fn check_preempted(preemptions: usize, claim: impl Fn() + Sync + Send + 'static) {
    let mut model = loom::model::Builder::new();
    model.preemption_bound = Some(preemptions);
    model.check(claim);
}

/// Checks that the allocator at rest agrees with itself and hands out each free slot once.
#[track_caller]
fn check_conservation(allocator: &SlotAllocator) {
    allocator.check_invariants();
    let live = allocator.live_slots().count();
    assert_eq!(allocator.live_count() as usize, live, "live slots");
    for _ in live..allocator.capacity() as usize {
        allocator.allocate().unwrap();
    }
    allocator.allocate().unwrap_err();
    assert_eq!(
        allocator.live_slots().count(),
        allocator.capacity() as usize,
        "all slots live"
    );
    allocator.check_invariants();
}

#[test]
fn requests_at_once_get_different_slots() {
    loom::model(|| {
        let allocator = with_free(4, &[1, 2]);
        let other = Arc::clone(&allocator);
        let thread = thread::spawn(move || other.allocate().unwrap());
        let mine = allocator.allocate().unwrap();
        assert_ne!(mine, thread.join().unwrap());
        check_conservation(&allocator);
    });
}

#[test]
fn one_free_slot_satisfies_one_of_two_requests() {
    loom::model(|| {
        let allocator = with_free(5, &[4]);
        let other = Arc::clone(&allocator);
        let thread = thread::spawn(move || other.allocate().is_ok());
        let mine = allocator.allocate().is_ok();
        assert!(
            mine != thread.join().unwrap(),
            "the slot went to both or to nobody"
        );
        check_conservation(&allocator);
    });
}

#[test]
fn threads_that_need_no_more_than_there_is_are_never_refused() {
    check_preempted(3, || {
        let allocator = with_free(4, &[0, 3]);
        let other = Arc::clone(&allocator);
        let thread = thread::spawn(move || {
            let slot = other.allocate().unwrap();
            other.free(slot).unwrap();
            other.allocate().unwrap();
        });
        let slot = allocator.allocate().unwrap();
        allocator.free(slot).unwrap();
        thread.join().unwrap();
        check_conservation(&allocator);
    });
}

#[test]
fn no_refusal_while_the_free_slot_moves_to_a_shard_already_read() {
    loom::model(|| {
        let allocator = with_free(5, &[4]);
        let other = Arc::clone(&allocator);
        let thread = thread::spawn(move || {
            other.free(SlotIndex::new(0)).unwrap();
            let _either = other.allocate_at(SlotIndex::new(4));
        });
        allocator.allocate().unwrap();
        thread.join().unwrap();
        check_conservation(&allocator);
    });
}

#[test]
fn no_refusal_while_the_free_slot_moves_to_a_shard_not_yet_read() {
    loom::model(|| {
        let allocator = with_free(5, &[0]);
        let other = Arc::clone(&allocator);
        let thread = thread::spawn(move || {
            other.free(SlotIndex::new(4)).unwrap();
            let _either = other.allocate_at(SlotIndex::new(0));
        });
        allocator.allocate().unwrap();
        thread.join().unwrap();
        check_conservation(&allocator);
    });
}

#[test]
fn refusal_only_if_nothing_was_put_back_before_the_call() {
    loom::model(|| {
        let allocator = with_free(5, &[]);
        let freed = Arc::new(AtomicU32::new(0));
        let (other, done) = (Arc::clone(&allocator), Arc::clone(&freed));
        let thread = thread::spawn(move || {
            other.free(SlotIndex::new(4)).unwrap();
            done.store(1, Ordering::Release);
        });
        let must_succeed = freed.load(Ordering::Acquire) == 1;
        assert!(
            allocator.allocate().is_ok() || !must_succeed,
            "refused beside a free slot"
        );
        thread.join().unwrap();
        check_conservation(&allocator);
    });
}

#[test]
fn search_that_clears_advice_hides_no_slot_on_two_levels() {
    loom::model(|| {
        // The search comes through word 0, which looks empty until slot 0 is back.
        let allocator = with_free(4, &[3]);
        let other = Arc::clone(&allocator);
        let thread = thread::spawn(move || other.free(SlotIndex::new(0)).unwrap());
        allocator.allocate().unwrap();
        thread.join().unwrap();
        check_conservation(&allocator);
    });
}

#[test]
fn search_that_clears_advice_hides_no_slot_on_three_levels() {
    check_preempted(3, || {
        // The search empties the word above words 0 and 1, and the bit above that.
        let allocator = with_free(9, &[7]);
        let other = Arc::clone(&allocator);
        let thread = thread::spawn(move || {
            other.free(SlotIndex::new(0)).unwrap();
            other.free(SlotIndex::new(2)).unwrap();
        });
        allocator.allocate().unwrap();
        thread.join().unwrap();
        check_conservation(&allocator);
    });
}

#[test]
fn two_searches_and_a_free_leave_the_advice_complete() {
    check_preempted(2, || {
        let allocator = with_free(9, &[5, 7]);
        let searches: Vec<_> = (0..2)
            .map(|_| {
                let other = Arc::clone(&allocator);
                thread::spawn(move || other.allocate().unwrap())
            })
            .collect();
        allocator.free(SlotIndex::new(0)).unwrap();
        for search in searches {
            search.join().unwrap();
        }
        check_conservation(&allocator);
    });
}

#[test]
fn slot_freed_twice_at_once_is_taken_back_once() {
    loom::model(|| {
        let allocator = with_free(4, &[1]);
        let slot = SlotIndex::new(2);
        let other = Arc::clone(&allocator);
        let thread = thread::spawn(move || other.free(slot));
        let mine = allocator.free(slot);
        let theirs = thread.join().unwrap();
        assert!(
            mine.is_ok() != theirs.is_ok(),
            "taken back by both or by nobody"
        );
        assert_eq!(mine.and(theirs), Err(SlotFreeError::NotLive { index: 2 }));
        assert_eq!(allocator.free_count(), 2);
        check_conservation(&allocator);
    });
}

#[test]
fn request_for_one_slot_and_for_any_get_different_slots() {
    loom::model(|| {
        let allocator = with_free(4, &[2, 3]);
        let other = Arc::clone(&allocator);
        let slot = SlotIndex::new(2);
        let thread = thread::spawn(move || other.allocate_at(slot));
        let mine = allocator.allocate().unwrap();
        match thread.join().unwrap() {
            Ok(()) => assert_ne!(mine, slot),
            Err(error) => assert_eq!(error, SlotAllocAtError::Live { index: 2 }),
        }
        check_conservation(&allocator);
    });
}

#[test]
fn next_owner_sees_what_the_last_one_did() {
    loom::model(|| {
        let allocator = with_free(2, &[1]);
        // Relaxed throughout: only the allocator orders the two.
        let content = Arc::new(AtomicU32::new(0));
        let (other, written) = (Arc::clone(&allocator), Arc::clone(&content));
        let thread = thread::spawn(move || {
            written.store(1, Ordering::Relaxed);
            other.free(SlotIndex::new(0)).unwrap();
        });
        if allocator.allocate().unwrap() == SlotIndex::new(0) {
            assert_eq!(content.load(Ordering::Relaxed), 1);
        }
        thread.join().unwrap();
        check_conservation(&allocator);
    });
}
