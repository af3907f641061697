//! What a call says is true although others move, evict or pin meanwhile.
#![expect(clippy::unwrap_used, reason = "a failed set-up fails the test")]

use std::{
    convert::Infallible,
    hint,
    sync::{
        Arc, Mutex,
        atomic::{AtomicBool, AtomicU64, Ordering},
    },
    thread,
    time::{Duration, Instant},
};

use crate::common::objects::{Hand, key, local_store_of, put, put_in, segments_of, store_of};
use mc_segment::{PlacedBuffer, SegmentId};
use mc_store::{
    Compaction, Copier, CopyFailed, Lease, ObjectStore, PolicyKind, Put, PutError, PutRequest,
    Removal, RemoveError, StoreOptions, copy_bytes,
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

/// Calls two functions [`together`] until both have met often enough.
fn together_until(
    has_met: impl Fn() -> bool,
    mut one: impl FnMut() + Send,
    mut other: impl FnMut() + Send,
) {
    let begun = Instant::now();
    while !has_met() {
        assert!(begun.elapsed() < 240 * TIME, "they hardly ever meet");
        together(&mut one, &mut other);
    }
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
    let has_moved = || store.stats().moved.objects > 10;
    together_until(has_moved, look, || move_about(&store));
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
    together_until(|| changes.load(Ordering::Relaxed) > 10, look, add);
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
    together_until(|| store.stats().on_demand.objects > 10, pin, evict);
}

#[test]
fn who_stays_as_another_of_a_plan_is_read_is_there() {
    let store = store_of(&[2 * SIZE], StoreOptions::default());
    let fill = || (0..2).for_each(|number| put(&store, number, SIZE));
    fill();
    let refused = AtomicU64::new(0);
    let replace_both = || match store.put(&key(2), &PutRequest::new(2 * SIZE)) {
        Ok(put) => {
            put.commit().unwrap();
            store.remove(&key(2), Removal::Now).unwrap();
            fill();
        }
        Err(error) => {
            assert!(matches!(error, PutError::NoRoom { .. }), "{error}");
            refused.fetch_add(1, Ordering::Relaxed);
        }
    };
    // Both leave for the large one or neither, and the second one is there after the first.
    let read_both = || {
        if let Some(second) = store.get(&key(1)) {
            assert!(store.exists(&key(0)), "the second is leased");
            assert!(store.get(&key(0)).is_some(), "the second is leased");
            drop(second);
        }
    };
    let has_met = || store.stats().on_demand.objects > 10 && refused.load(Ordering::Relaxed) > 10;
    together_until(has_met, replace_both, read_both);
    store.check_invariants();
}

/// Asks for an object that is to leave while another is copied.
#[derive(Debug, Default)]
struct Asking {
    /// Taken out again in the end: a store and its copier that own each other stay for ever.
    store: Mutex<Option<ObjectStore>>,
    leases: Mutex<Vec<Lease>>,
    keeps_leases: bool,
    copies: AtomicU64,
}

impl Copier for Asking {
    fn copy(
        &self,
        _from: &PlacedBuffer,
        _to: &mut PlacedBuffer,
        _offset: u64,
        _len: u64,
    ) -> Result<(), CopyFailed> {
        if self.copies.fetch_add(1, Ordering::Relaxed) > 0 {
            return Ok(());
        }
        let store = self.store.lock().unwrap().clone().unwrap();
        assert!(store.exists(&key(0)));
        let lease = store.get(&key(0)).unwrap();
        if self.keeps_leases {
            self.leases.lock().unwrap().push(lease);
        }
        Ok(())
    }
}

#[test]
fn who_is_to_leave_is_there_while_another_is_copied() {
    for keeps_leases in [false, true] {
        let copier = Arc::new(Asking {
            keeps_leases,
            ..Asking::default()
        });
        let options = StoreOptions {
            copier: Some(Arc::clone(&copier) as Arc<dyn Copier>),
            compaction: Compaction {
                moved_per_placed: 4.0,
                bytes_per_call_max: u64::MAX,
            },
            policy: PolicyKind::Lru,
            ..StoreOptions::default()
        };
        let store = store_of(&[32 * SIZE], options);
        *copier.store.lock().unwrap() = Some(store.clone());
        (0..32).for_each(|number| put(&store, number, SIZE));
        // The first one is the oldest. If it leaves and its neighbor goes where another was, there
        // is a hole for two.
        store.remove(&key(16), Removal::Now).unwrap();
        put(&store, 32, 2 * SIZE);
        assert!(copier.copies.load(Ordering::Relaxed) > 0);
        assert_eq!(store.exists(&key(0)), keeps_leases);
        assert_eq!(store.stats().on_demand.objects, 1);
        store.check_invariants();
        copier.leases.lock().unwrap().clear();
        copier.store.lock().unwrap().take();
    }
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

#[test]
fn an_object_stays_where_it_is_if_the_segment_that_it_moves_to_goes() {
    let store = local_store_of(&[1_000, 1_000], StoreOptions::default());
    let [from, to] = [1, 2].map(SegmentId);
    put_in(&store, 1, 7, 100);
    store.pool().drain(from).unwrap();
    let mut lost = Vec::new();
    let Ok(moved) = store.move_out(from, |_, _| {
        store.pool().begin_unmount(to).unwrap();
        lost = store.drop_unreadable();
        Ok::<(), Infallible>(())
    });
    assert!(store.exists(&key(7)), "{moved:?}, and lost are {lost:?}");
    assert_eq!(segments_of(&store, 7), [1]);
    assert_eq!(moved.left.len(), 1);
}

#[test]
fn whoever_is_given_a_timed_lease_keeps_the_space_though_the_object_is_detached_meanwhile() {
    const ROUNDS: u64 = 10_000;
    let hand = Hand::default();
    let store = store_of(&[1 << 20], hand.options());
    let arrived = AtomicU64::new(0);
    let ready = |at: u64| {
        arrived.fetch_add(1, Ordering::SeqCst);
        let mut looks = 0;
        while arrived.load(Ordering::SeqCst) < 2 * at {
            looks += 1;
            // The other thread may have no core.
            if looks % 10_000 == 0 {
                thread::yield_now();
            }
        }
    };
    let minute = Duration::from_secs(60);
    let mut without = Vec::new();
    thread::scope(|scope| {
        let getter = scope.spawn(|| {
            let mut leased = Vec::new();
            for number in 0..ROUNDS {
                ready(2 * number + 1);
                leased.push(store.get_for(&key(number), minute).is_some());
                ready(2 * number + 2);
            }
            leased
        });
        let mut kept = Vec::new();
        for number in 0..ROUNDS {
            put(&store, number, 8);
            ready(2 * number + 1);
            (0..number % 64).for_each(|_| hint::spin_loop());
            store.remove(&key(number), Removal::Detach).unwrap();
            ready(2 * number + 2);
            kept.push(store.stats().lingering == 1);
            hand.pass_seconds(120);
            let _ = store.stats();
        }
        for (number, (leased, kept)) in getter.join().unwrap().into_iter().zip(kept).enumerate() {
            if leased && !kept {
                without.push(number);
            }
        }
    });
    assert!(without.is_empty(), "leased without space: {without:?}");
}
