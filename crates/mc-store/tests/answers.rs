//! What a call says is true although others move, evict or pin meanwhile.
#![expect(clippy::unwrap_used, reason = "a failed set-up fails the test")]

mod common;

use std::{
    sync::atomic::{AtomicBool, AtomicU64, Ordering},
    thread,
    time::{Duration, Instant},
};

use common::objects::{key, local_store_of, put, store_of};
use mc_segment::SegmentId;
use mc_store::{
    ObjectStore, Put, PutError, PutRequest, Removal, RemoveError, StoreOptions, copy_bytes,
};

/// Long enough for thousands of calls that meet.
const TIME: Duration = Duration::from_millis(250);

const FIRST: SegmentId = SegmentId(1);
const SECOND: SegmentId = SegmentId(2);

const SIZE: u64 = 64;

/// Calls two functions again and again, each on a thread, until the time is over or one
/// panics.
fn together(mut one: impl FnMut() + Send, mut other: impl FnMut() + Send) {
    let is_over = AtomicBool::new(false);
    let start = Instant::now();
    let repeat = |call: &mut (dyn FnMut() + Send)| {
        let ending = Ending(&is_over);
        while start.elapsed() < TIME && !is_over.load(Ordering::Relaxed) {
            call();
        }
        drop(ending);
    };
    thread::scope(|scope| {
        scope.spawn(|| repeat(&mut other));
        repeat(&mut one);
    });
}

/// Ends the other thread too.
struct Ending<'a>(&'a AtomicBool);

impl Drop for Ending<'_> {
    fn drop(&mut self) {
        self.0.store(true, Ordering::Relaxed);
    }
}

/// Moves what is in each of two segments to the other.
fn move_about(store: &ObjectStore) {
    for segment in [FIRST, SECOND] {
        store.move_out(segment, copy_bytes).unwrap();
    }
}

fn two_segments() -> ObjectStore {
    local_store_of(&[1 << 16; 2], StoreOptions::default())
}

#[test]
fn an_object_that_is_moved_is_there() {
    let store = two_segments();
    put(&store, 1, SIZE);
    let look = || {
        assert!(store.exists(&key(1)));
        assert!(store.pin(&key(1)));
        assert!(store.unpin(&key(1)));
        assert!(store.get(&key(1)).is_some());
    };
    together(look, || move_about(&store));
    assert!(store.stats().moved.objects > 10, "{:?}", store.stats());
}

#[test]
fn an_object_that_gets_a_replica_is_there() {
    let store = two_segments();
    // Odd while the object is stored.
    let changes = AtomicU64::new(0);
    let add = || {
        put(&store, 1, SIZE);
        changes.fetch_add(1, Ordering::AcqRel);
        assert_eq!(store.add_replica(&key(1), copy_bytes).unwrap(), Ok(()));
        changes.fetch_add(1, Ordering::AcqRel);
        store.remove(&key(1), Removal::Now).unwrap();
    };
    let look = || {
        let before = changes.load(Ordering::Acquire);
        let is_there = store.exists(&key(1));
        let is_same = changes.load(Ordering::Acquire) == before;
        assert!(is_there || !is_same || before.is_multiple_of(2));
    };
    together(look, add);
    assert!(changes.into_inner() > 10);
}

#[test]
fn an_object_that_is_moved_can_be_removed() {
    for removal in [Removal::Now, Removal::Detach] {
        let store = two_segments();
        let replace = || {
            put(&store, 1, SIZE);
            thread::yield_now();
            assert_eq!(store.remove(&key(1), removal), Ok(()));
        };
        together(replace, || move_about(&store));
    }
}

#[test]
fn what_is_pinned_is_not_evicted() {
    let store = store_of(&[2 * SIZE], StoreOptions::default());
    let pin = || {
        for number in 0..4 {
            if store.pin(&key(number)) {
                assert!(store.exists(&key(number)), "{number} was pinned");
                assert!(store.unpin(&key(number)), "{number} was pinned");
            }
        }
    };
    let mut number = 0;
    let evict = || {
        number = (number + 1) % 4;
        match store.put(&key(number), &PutRequest::new(SIZE)) {
            Ok(put) => put.commit().unwrap(),
            Err(error) => assert_eq!(error, PutError::Exists),
        }
    };
    together(pin, evict);
    assert!(store.stats().on_demand.objects > 10);
}

#[test]
fn keys_of_several_removals_cross() {
    let store = store_of(&[1 << 16], StoreOptions::default());
    let ahead = [1, 2, 1, 3, 2].map(key);
    let mut back = ahead;
    back.reverse();
    let remove = |keys: &[[u8; 8]]| {
        for number in 1..=3 {
            // The other thread may have put it.
            let put = store.put(&key(number), &PutRequest::new(SIZE));
            let _ = put.map(Put::commit);
        }
        for result in store.remove_many(keys, Removal::IfIdle) {
            assert!(
                matches!(result, Ok(()) | Err(RemoveError::NotStored)),
                "{result:?}"
            );
        }
    };
    together(|| remove(&ahead), || remove(&back));
    assert!(store.stats().removed > 10);
}
