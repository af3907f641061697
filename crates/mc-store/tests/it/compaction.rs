//! Moves that make holes.
//!
//! Claims: what is read has its own bytes, whatever moved; no put moves more than its budget, and
//! all together no more than the sum; nothing that is leased, pinned or somebody else's moves; who
//! leaves is next in order where moves suffice; a copier that fails or panics at any slice leaves
//! the object where it was, and the put finds room otherwise; memory of others is left alone
//! without a copier; the beginning of a prompt never leaves before its end for a better fit; a
//! thread that works in idle time keeps to its rate, is still while others put, and ends when told.
#![expect(clippy::unwrap_used, reason = "a failed set-up fails the test")]

use std::{
    collections::BTreeMap,
    sync::{
        Arc,
        atomic::{AtomicBool, AtomicU64, Ordering},
    },
    thread,
    time::{Duration, Instant},
};

use crate::common::{memory, mount_local, mount_sizes, pool};
use mc_segment::{Memory, PlacedBuffer, Segment, SegmentId, SegmentInfo, Strategy};
use mc_store::{
    Compaction, Copier, CopyFailed, EventKind, Eviction, NotABudget, ObjectStore, PutError,
    PutRequest, Quota, Removal, StoreOptions, StoreOptionsError,
};
use rand::{RngExt, SeedableRng};
use rand_xoshiro::Xoshiro256PlusPlus;

const SEGMENT: u64 = 1 << 20;

fn options(moved_per_placed: f64) -> StoreOptions {
    StoreOptions {
        compaction: Compaction {
            moved_per_placed,
            bytes_per_call_max: u64::MAX,
        },
        ..StoreOptions::default()
    }
}

fn local(sizes: &[u64], options: StoreOptions) -> ObjectStore {
    let pool = pool(Strategy::default(), 1);
    mount_local(&pool, sizes);
    ObjectStore::new(pool, options).unwrap()
}

fn contents(number: u64, size: u64) -> Vec<u8> {
    let mut random = Xoshiro256PlusPlus::seed_from_u64(number);
    (0..size).map(|_| random.random()).collect()
}

fn put(store: &ObjectStore, number: u64, size: u64) -> Result<(), PutError> {
    put_for(store, number, size, None)
}

fn put_for(
    store: &ObjectStore,
    number: u64,
    size: u64,
    tenant: Option<&str>,
) -> Result<(), PutError> {
    let request = PutRequest {
        tenant,
        ..PutRequest::new(size)
    };
    let mut put = store.put(&number.to_be_bytes(), &request)?;
    for replica in put.replicas_mut().iter_mut() {
        if replica.is_local() {
            replica.write_at(0, &contents(number, size)).unwrap();
        }
    }
    put.commit().unwrap();
    Ok(())
}

/// Fills a segment with objects of a tenth and removes every other one: half is free, in five holes.
fn comb(store: &ObjectStore) {
    for number in 0..10 {
        put(store, number, SEGMENT / 10).unwrap();
    }
    for number in (0..10_u64).step_by(2) {
        store
            .remove(&number.to_be_bytes(), Removal::IfIdle)
            .unwrap();
    }
}

#[track_caller]
fn check(store: &ObjectStore, number: u64, size: u64) {
    let bytes = store.read(&number.to_be_bytes()).unwrap();
    assert!(
        bytes.as_ref() == Some(&contents(number, size)),
        "object {number} has other bytes, or none"
    );
}

#[test]
fn a_hole_is_made_of_what_is_free_and_nobody_leaves() {
    let store = local(&[SEGMENT], options(1.0));
    comb(&store);
    let events = store.events(64);
    put(&store, 100, SEGMENT * 3 / 10).unwrap();
    let stats = store.stats();
    assert_eq!(stats.on_demand.objects, 0);
    assert!(stats.moved.bytes > 0 && stats.moved.bytes <= SEGMENT * 3 / 10);
    let moved = |kind: &EventKind| matches!(kind, EventKind::MovedWithin { .. });
    let told = events
        .drain()
        .into_iter()
        .filter(|event| moved(&event.kind));
    assert_eq!(told.count() as u64, stats.moved.objects);
    for number in (1..10).step_by(2) {
        check(&store, number, SEGMENT / 10);
    }
    check(&store, 100, SEGMENT * 3 / 10);
    store.check_invariants();
}

#[test]
fn without_a_budget_or_a_copier_nothing_moves() {
    let off = local(&[SEGMENT], options(0.0));
    let remote = {
        let pool = pool(Strategy::default(), 1);
        mount_sizes(&pool, &[SEGMENT]);
        ObjectStore::new(pool, options(1.0)).unwrap()
    };
    for store in [off, remote] {
        comb(&store);
        put(&store, 100, SEGMENT * 3 / 10).unwrap();
        let stats = store.stats();
        assert_eq!((stats.moved.objects, stats.moves_ended.objects), (0, 0));
        assert!(stats.on_demand.objects > 0);
    }
}

#[test]
fn what_is_used_pinned_or_not_the_stores_stays_where_it_is() {
    let store = local(&[SEGMENT], options(10.0));
    comb(&store);
    let foreign = store
        .pool()
        .place_in(SegmentId(1), SEGMENT / 20, 1)
        .unwrap();
    let leased = store.get(&1_u64.to_be_bytes()).unwrap();
    let timed = store
        .get_for(&3_u64.to_be_bytes(), Duration::from_secs(60))
        .unwrap();
    let timed_at = timed.descriptors();
    drop(timed);
    store.pin(&5_u64.to_be_bytes());
    let pinned_at = store.get(&5_u64.to_be_bytes()).unwrap().descriptors();
    let (leased_at, foreign_at) = (leased.descriptors(), foreign.address());
    let _ = put(&store, 100, SEGMENT * 3 / 10);
    assert_eq!(leased.descriptors(), leased_at);
    assert_eq!(foreign.address(), foreign_at);
    let lease = |number: u64| store.get(&number.to_be_bytes()).unwrap();
    assert_eq!(lease(1).descriptors(), leased_at);
    assert_eq!(lease(3).descriptors(), timed_at);
    assert_eq!(lease(5).descriptors(), pinned_at);
    for number in [1, 3, 5] {
        check(&store, number, SEGMENT / 10);
    }
}

#[test]
fn what_may_not_leave_is_moved_all_the_same() {
    let store = local(&[SEGMENT], options(1.0));
    let guaranteed = Quota {
        guaranteed: SEGMENT / 2,
        most: None,
    };
    store.tenant("owner", guaranteed).unwrap();
    for number in 0..10 {
        let tenant = (number % 2 == 1).then_some("owner");
        put_for(&store, number, SEGMENT / 10, tenant).unwrap();
    }
    for number in (0..10_u64).step_by(2) {
        store
            .remove(&number.to_be_bytes(), Removal::IfIdle)
            .unwrap();
    }
    put(&store, 100, SEGMENT * 3 / 10).unwrap();
    assert_eq!(store.stats().on_demand.objects, 0);
    for number in (1..10).step_by(2) {
        check(&store, number, SEGMENT / 10);
    }
}

#[test]
fn a_hole_is_made_in_the_emptiest_segment_wherever_the_next_in_order_are() {
    let size = SEGMENT / 10;
    let store = local(&[10 * size; 6], options(1.0));
    // What is guaranteed may move and not leave: the next in order are all in the five full ones.
    let guaranteed = Quota {
        guaranteed: 5 * size,
        most: None,
    };
    store.tenant("owner", guaranteed).unwrap();
    for number in 0..60_u64 {
        let request = PutRequest {
            preferred: &[SegmentId(1 + u128::from(number) / 10)],
            tenant: (number > 50 && number % 2 == 1).then_some("owner"),
            ..PutRequest::new(size)
        };
        let put = store.put(&number.to_be_bytes(), &request).unwrap();
        put.commit().unwrap();
    }
    for number in (50..60_u64).step_by(2) {
        store
            .remove(&number.to_be_bytes(), Removal::IfIdle)
            .unwrap();
    }
    put(&store, 100, 3 * size).unwrap();
    let stats = store.stats();
    assert_eq!(stats.on_demand.objects, 0, "{stats:?}");
    assert!(stats.moved.objects > 0);
}

#[test]
fn a_hole_in_one_of_two_segments_with_the_same_addresses_costs_the_other_nothing() {
    let size = SEGMENT / 10;
    let pool = pool(Strategy::default(), 1);
    for id in [1, 2] {
        let mut info = SegmentInfo::new(SegmentId(id), format!("node-{id}"), 0, 10 * size);
        info.endpoint.clone_from(&info.name);
        let memory = Memory::pool(memory(10 * size));
        pool.mount(Segment::local(info, memory)).unwrap();
    }
    let store = ObjectStore::new(pool, options(1.0)).unwrap();
    for number in 0..20_u64 {
        let request = PutRequest {
            preferred: &[SegmentId(1 + u128::from(number % 2))],
            ..PutRequest::new(size)
        };
        let put = store.put(&number.to_be_bytes(), &request).unwrap();
        put.commit().unwrap();
    }
    put(&store, 100, 3 * size).unwrap();
    let is_gone = |number: &u64| !store.exists(&number.to_be_bytes());
    let mut gone = [0, 1].map(|first| (first..20).step_by(2).filter(is_gone).count());
    gone.sort_unstable();
    assert_eq!(gone, [0, 3]);
}

#[test]
fn idle_compaction_makes_holes_ahead_within_its_budget() {
    let size = SEGMENT / 10;
    let store = local(&[SEGMENT], options(0.0));
    comb(&store);
    assert_eq!(store.compact(size - 1).bytes, 0);
    let compacted = store.compact(2 * size);
    assert!(compacted.moves > 0 && compacted.bytes <= 2 * size);
    let rest = store.compact(u64::MAX);
    assert_eq!(store.stats().moved.objects, compacted.moves + rest.moves);
    put(&store, 100, 4 * size).unwrap();
    assert_eq!(store.stats().on_demand.objects, 0);
    for number in (1..10).step_by(2) {
        check(&store, number, size);
    }
    assert_eq!(store.compact(u64::MAX).bytes, 0);
    store.check_invariants();
}

#[test]
fn options_that_make_no_budget_are_refused() {
    for nonsense in [-0.5, f64::INFINITY] {
        let refused = ObjectStore::new(pool(Strategy::default(), 1), options(nonsense));
        let expected = StoreOptionsError::Compaction {
            moved_per_placed: NotABudget(nonsense),
        };
        assert_eq!(refused.err(), Some(expected));
    }
}

#[test]
fn objects_keep_their_bytes_and_puts_their_budgets() {
    for (budget, eviction) in [
        (0.25, Eviction::Window),
        (1.0, Eviction::Window),
        (4.0, Eviction::Window),
        (1.0, Eviction::InOrder),
    ] {
        let options = StoreOptions {
            eviction,
            ..options(budget)
        };
        let store = local(&[SEGMENT, SEGMENT / 2], options);
        let mut random = Xoshiro256PlusPlus::seed_from_u64(budget.to_bits());
        let mut sizes = BTreeMap::new();
        let mut leases = Vec::new();
        let mut placed = 0;
        for number in 0..1500 {
            let size = random.random_range(1..=SEGMENT / 8);
            let before = store.stats().moved.bytes;
            if put(&store, number, size).is_ok() {
                sizes.insert(number, size);
                placed += size;
            }
            let moved = store.stats().moved.bytes - before;
            assert!(moved as f64 <= budget * size as f64, "{moved} for {size}");
            let pool = store.pool();
            let free = pool.stats().total.free_bytes;
            let taken = pool.placed_bytes_in_placeable();
            assert_eq!(free + taken, SEGMENT + SEGMENT / 2, "at {number}");
            let other = random.random_range(0..=number);
            if let Some(lease) = store.get(&other.to_be_bytes()) {
                assert_eq!(lease.read().unwrap(), contents(other, sizes[&other]));
                leases.push((other, lease.descriptors(), lease));
            }
            if leases.len() > 3 {
                let (other, at, lease) = leases.remove(0);
                assert_eq!(lease.descriptors(), at);
                assert_eq!(lease.read().unwrap(), contents(other, sizes[&other]));
            }
        }
        drop(leases);
        let stats = store.stats();
        assert!(stats.moved.objects > 0, "{stats:?}");
        assert!(stats.moved.bytes as f64 <= budget * placed as f64);
        store.check_invariants();
        for key in store.keys() {
            let number = u64::from_be_bytes(key[..].try_into().unwrap());
            check(&store, number, sizes[&number]);
        }
        for key in store.keys() {
            store.remove(&key, Removal::IfIdle).unwrap();
        }
        let free = store.pool().stats().total.free_bytes;
        assert_eq!(free, SEGMENT + SEGMENT / 2, "space is missing");
    }
}

/// Goes wrong at one slice, or copies nothing.
#[derive(Debug)]
struct Faulty {
    slices_left: AtomicU64,
    panics: bool,
}

impl Copier for Faulty {
    fn copy(
        &self,
        _from: &PlacedBuffer,
        _to: &mut PlacedBuffer,
        _offset: u64,
        _len: u64,
    ) -> Result<(), CopyFailed> {
        let left = self.slices_left.load(Ordering::Relaxed);
        if left == 0 {
            assert!(!self.panics, "the copier panics");
            return Err(CopyFailed);
        }
        self.slices_left.store(left - 1, Ordering::Relaxed);
        Ok(())
    }

    fn slice_bytes(&self) -> u64 {
        SEGMENT / 40
    }
}

#[test]
fn a_copier_that_fails_or_panics_leaves_the_old() {
    for panics in [false, true] {
        for slices in 0..10 {
            let copier = Faulty {
                slices_left: AtomicU64::new(slices),
                panics,
            };
            let options = StoreOptions {
                copier: Some(Arc::new(copier)),
                ..options(4.0)
            };
            let pool = pool(Strategy::default(), 1);
            mount_sizes(&pool, &[SEGMENT]);
            let store = ObjectStore::new(pool, options).unwrap();
            comb(&store);
            let at = |number: u64| store.get(&number.to_be_bytes()).map(|it| it.descriptors());
            let before: Vec<_> = (0..10).map(at).collect();
            put(&store, 100, SEGMENT * 2 / 5).unwrap();
            let stats = store.stats();
            assert_eq!(stats.moves_ended.objects > 0, stats.on_demand.objects > 0);
            // Each whole move takes four slices.
            assert!(stats.moved.objects <= slices / 4, "{stats:?}");
            let changed = (0..10).filter(|&number| {
                let now = at(number);
                now.is_some() && now != before[usize::try_from(number).unwrap()]
            });
            // What had moved may have left in the end.
            assert!(changed.count() as u64 <= stats.moved.objects);
            store.check_invariants();
        }
    }
}

/// Takes a lease of the object while it is copied.
#[derive(Debug, Default)]
struct Interrupting {
    /// Taken out again in the end: a store and its copier that own each other stay for ever.
    store: std::sync::Mutex<Option<ObjectStore>>,
    leases: std::sync::Mutex<Vec<mc_store::Lease>>,
}

impl Copier for Interrupting {
    fn copy(
        &self,
        from: &PlacedBuffer,
        _to: &mut PlacedBuffer,
        _offset: u64,
        _len: u64,
    ) -> Result<(), CopyFailed> {
        let store = self.store.lock().unwrap().clone().unwrap();
        for key in store.keys() {
            let lease = store.get(&key).unwrap();
            if lease.descriptors()[0].address == from.address() {
                self.leases.lock().unwrap().push(lease);
            }
        }
        Ok(())
    }
}

#[test]
fn a_lease_that_is_taken_while_a_copy_runs_reads_the_old_and_ends_the_move() {
    let copier = Arc::new(Interrupting::default());
    let options = StoreOptions {
        copier: Some(Arc::clone(&copier) as Arc<dyn Copier>),
        ..options(4.0)
    };
    let pool = pool(Strategy::default(), 1);
    mount_sizes(&pool, &[SEGMENT]);
    let store = ObjectStore::new(pool, options).unwrap();
    *copier.store.lock().unwrap() = Some(store.clone());
    comb(&store);
    let _ = put(&store, 100, SEGMENT * 2 / 5);
    let stats = store.stats();
    assert_eq!(stats.moved.objects, 0);
    assert!(stats.moves_ended.objects > 0);
    let leases = std::mem::take(&mut *copier.leases.lock().unwrap());
    assert!(!leases.is_empty());
    for lease in leases {
        let now = store.get(lease.key()).unwrap();
        assert_eq!(lease.descriptors(), now.descriptors());
    }
    copier.store.lock().unwrap().take();
}

#[test]
fn threads_that_read_find_every_object_whole_while_puts_move() {
    let store = local(&[SEGMENT], options(4.0));
    let is_over = AtomicBool::new(false);
    let size = |number: u64| 1 + number.wrapping_mul(0x9E37_79B9) % (SEGMENT / 16);
    thread::scope(|scope| {
        let readers: Vec<_> = (0..2)
            .map(|thread| {
                let (store, is_over) = (&store, &is_over);
                scope.spawn(move || {
                    let mut random = Xoshiro256PlusPlus::seed_from_u64(thread);
                    let mut read = 0_u64;
                    while !is_over.load(Ordering::Relaxed) {
                        let number = random.random_range(0..2000);
                        if let Some(lease) = store.get(&u64::to_be_bytes(number)) {
                            let bytes = lease.read().unwrap();
                            assert!(bytes == contents(number, size(number)), "{number}");
                            read += 1;
                        }
                    }
                    read
                })
            })
            .collect();
        for number in 0..2000 {
            // A reader may hold what would have to go.
            let _ = put(&store, number, size(number));
        }
        is_over.store(true, Ordering::Relaxed);
        let read: u64 = readers
            .into_iter()
            .map(|reader| reader.join().unwrap())
            .sum();
        assert!(read > 0);
    });
    assert!(store.stats().moved.objects > 0);
    store.check_invariants();
}

#[test]
fn the_end_of_a_prompt_leaves_before_its_beginning_however_well_that_would_fit() {
    for first in 0..6_u64 {
        let store = local(&[SEGMENT], options(4.0));
        // Prompts of three objects; in one of them, the first has just the size that is wanted.
        for prompt in 0..13_u64 {
            let mut parent = None;
            for depth in 0..3_u64 {
                let size = match (prompt == first, depth) {
                    (true, 0) => SEGMENT / 32,
                    _ => SEGMENT / 42 + 10 * prompt,
                };
                let key = (10 * prompt + depth).to_be_bytes();
                let request = PutRequest {
                    parent: parent.as_ref().map(|parent: &[u8; 8]| &parent[..]),
                    ..PutRequest::new(size)
                };
                store.put(&key, &request).unwrap().commit().unwrap();
                parent = Some(key);
            }
        }
        for number in 1000..1003 {
            put(&store, number, SEGMENT / 32).unwrap();
        }
        let is_stored = |number: u64| store.exists(&number.to_be_bytes());
        assert!(
            (0..13).any(|prompt| !is_stored(10 * prompt + 2)),
            "somebody left"
        );
        for prompt in 0..13 {
            for depth in 1..3 {
                let number = 10 * prompt + depth;
                assert!(
                    !is_stored(number) || is_stored(number - 1),
                    "{number} is of no use"
                );
            }
        }
        store.check_invariants();
    }
}

#[test]
fn a_thread_makes_holes_in_idle_time_within_its_rate_and_ends() {
    let size = SEGMENT / 10;
    let store = local(&[SEGMENT], options(0.0));
    comb(&store);
    let rate = 4 * size;
    let begun = Instant::now();
    let compactor = store.compact_when_idle(rate).unwrap();
    let is_whole = || store.pool().segments()[0].largest_hole >= 4 * size;
    while !is_whole() {
        assert!(begun.elapsed() < Duration::from_secs(60), "nothing is done");
        thread::sleep(Duration::from_millis(5));
        let moved = store.stats().moved.bytes as f64;
        // What is allowed before the first look counts, too.
        let allowed = rate as f64 * (begun.elapsed().as_secs_f64() + 0.1);
        assert!(moved <= allowed, "{moved} of {allowed}");
    }
    assert_eq!(store.stats().on_demand.objects, 0);
    for number in (1..10).step_by(2) {
        check(&store, number, size);
    }
    drop(compactor);
    for number in (1..6_u64).step_by(2) {
        store
            .remove(&number.to_be_bytes(), Removal::IfIdle)
            .unwrap();
    }
    let before = store.stats().moved;
    thread::sleep(Duration::from_millis(200));
    assert_eq!(store.stats().moved, before, "it has ended");
    store.check_invariants();
}

#[test]
fn the_thread_is_still_while_others_put() {
    // On a machine with other work, the thread that puts may be away between two looks.
    assert!((0..20).any(|_| moves_while_others_put() == 0));
}

/// Returns how many objects the thread moves in 400 ms of steady puts.
fn moves_while_others_put() -> u64 {
    let store = local(&[SEGMENT], options(0.0));
    comb(&store);
    let is_over = AtomicBool::new(false);
    thread::scope(|scope| {
        scope.spawn(|| {
            for number in 1000..u64::MAX {
                if is_over.load(Ordering::Relaxed) {
                    return;
                }
                let key = number.to_be_bytes();
                let put = store.put(&key, &PutRequest::new(8)).unwrap();
                put.commit().unwrap();
                store.remove(&key, Removal::Now).unwrap();
            }
        });
        let begun = store.stats().committed;
        while store.stats().committed < begun + 10 {
            thread::yield_now();
        }
        let compactor = store.compact_when_idle(SEGMENT).unwrap();
        thread::sleep(Duration::from_millis(400));
        drop(compactor);
        is_over.store(true, Ordering::Relaxed);
    });
    store.stats().moved.objects
}
