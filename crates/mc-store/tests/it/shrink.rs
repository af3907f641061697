//! Segments that give up their ends and take them back.
//!
//! Claims: what fits the rest is kept, with its bytes; what does not leaves in the policy's order;
//! what is leased, pinned, in flight or somebody else's stays, and then nothing leaves; afterwards nothing
//! is placed behind the end, and the process does not have the pages any more; a segment
//! takes its end back; all of it while threads put and get; what a journal knows is found again.
#![expect(clippy::unwrap_used, reason = "a failed set-up fails the test")]

use std::{
    error::Error,
    fs,
    panic::{self, AssertUnwindSafe},
    path::Path,
    sync::atomic::{AtomicBool, AtomicU64, Ordering},
    thread,
};

use crate::common::{info, memory, mount_local, mount_sizes, objects::ends, pool};
use mc_segment::{
    Memory, RegistrationLimit, Segment, SegmentId, SegmentInfo, SegmentResizeError, Strategy,
};
use mc_store::{
    Cause, Compaction, EventKind, Lease, ObjectStore, PolicyKind, PutError, PutRequest, Removal,
    ShrinkError, StoreOptions,
};
use rand::{RngExt, SeedableRng};
use rand_xoshiro::Xoshiro256PlusPlus;

const SEGMENT: u64 = 1 << 20;
const OBJECT: u64 = SEGMENT / 16;
const ID: SegmentId = SegmentId(1);

fn options() -> StoreOptions {
    StoreOptions {
        policy: PolicyKind::Lru,
        compaction: Compaction::moving(1.0),
        ..StoreOptions::default()
    }
}

fn local(sizes: &[u64]) -> ObjectStore {
    let pool = pool(Strategy::default(), 1);
    mount_local(&pool, sizes);
    ObjectStore::new(pool, options()).unwrap()
}

fn contents(number: u64, size: u64) -> Vec<u8> {
    let mut random = Xoshiro256PlusPlus::seed_from_u64(number);
    (0..size).map(|_| random.random()).collect()
}

fn put(store: &ObjectStore, number: u64, size: u64) -> Result<(), PutError> {
    let mut put = store.put(&number.to_be_bytes(), &PutRequest::new(size))?;
    let bytes = contents(number, size);
    for replica in put.replicas_mut().iter_mut() {
        replica.write_at(0, &bytes).unwrap();
    }
    put.commit().unwrap();
    Ok(())
}

#[track_caller]
fn check(store: &ObjectStore, number: u64, size: u64) {
    let bytes = store.read(&number.to_be_bytes()).unwrap();
    assert!(
        bytes.as_ref() == Some(&contents(number, size)),
        "object {number} has other bytes, or none"
    );
}

/// Returns the numbers of the objects that are stored.
fn stored(store: &ObjectStore) -> Vec<u64> {
    let keys = store.keys().into_iter();
    let mut numbers: Vec<u64> = keys
        .map(|key| u64::from_be_bytes(key[..].try_into().unwrap()))
        .collect();
    numbers.sort_unstable();
    numbers
}

/// Asserts that every object lies before an end.
#[track_caller]
fn check_places(store: &ObjectStore, capacity: u64) {
    let end = info(1, SEGMENT).base + capacity;
    for key in store.keys() {
        // Where others put, it may have left.
        let lease = store.get(&key);
        for place in lease.iter().flat_map(Lease::descriptors) {
            let is_before = place.segment != ID || place.address + place.size <= end;
            assert!(is_before, "{place:?} is behind {end}");
        }
    }
}

/// Returns the bytes of memory behind the mapping that an address is in.
fn resident_bytes(address: usize) -> u64 {
    let maps = fs::read_to_string("/proc/self/smaps").unwrap();
    let mut is_here = false;
    for line in maps.lines() {
        let range = line.split(' ').next().and_then(|word| word.split_once('-'));
        let number = |text| usize::from_str_radix(text, 16).ok();
        if let Some((start, end)) = range
            && let (Some(start), Some(end)) = (number(start), number(end))
        {
            is_here = (start..end).contains(&address);
        } else if is_here && let Some(rest) = line.strip_prefix("Rss:") {
            let kib: u64 = rest.trim().trim_end_matches(" kB").parse().unwrap();
            return kib << 10;
        }
    }
    panic!("no mapping at {address:x}");
}

/// Returns a store that is full of objects, the first of which is 0, and the address of
/// its memory, all of whose pages are there.
fn full_store() -> (ObjectStore, usize) {
    let bytes = memory(SEGMENT);
    let address = bytes.pool().as_ptr().addr();
    bytes.write(0..1 << 20).unwrap().fill(1);
    let segments = pool(Strategy::default(), 1);
    let segment = Segment::local(info(1, SEGMENT), Memory::pool(bytes));
    segments.mount(segment).unwrap();
    let store = ObjectStore::new(segments, options()).unwrap();
    for number in 0..16 {
        put(&store, number, OBJECT).unwrap();
    }
    (store, address)
}

#[test]
fn what_fits_the_rest_moves_and_the_pages_are_the_systems() {
    let (store, address) = full_store();
    for number in (0..16_u64).step_by(2) {
        store.remove(&number.to_be_bytes(), Removal::Now).unwrap();
    }
    assert_eq!(resident_bytes(address), SEGMENT);
    let events = store.events(64);
    let shrunk = store.shrink(ID, SEGMENT / 2).unwrap();
    assert_eq!((shrunk.moved.objects, shrunk.evicted.objects), (4, 0));
    assert_eq!(shrunk.released_bytes, SEGMENT / 2);
    assert_eq!(resident_bytes(address), SEGMENT / 2);
    let told = events.drain();
    let is_move = |kind: &EventKind| matches!(kind, EventKind::MovedWithin { .. });
    assert_eq!(told.iter().filter(|event| is_move(&event.kind)).count(), 4);
    for number in (1..16).step_by(2) {
        check(&store, number, OBJECT);
    }
    check_places(&store, SEGMENT / 2);
    let free = store.pool().stats().total.free_bytes;
    assert_eq!((store.pool().placeable_bytes(), free), (SEGMENT / 2, 0));
    store.check_invariants();

    store.grow(ID, SEGMENT).unwrap();
    for number in 20..28 {
        put(&store, number, OBJECT).unwrap();
    }
    assert_eq!(store.stats().on_demand.objects, 0);
    for number in (1..16).step_by(2).chain(20..28) {
        check(&store, number, OBJECT);
    }
}

#[test]
fn memory_that_nobody_copies_to_takes_nothing() {
    let remote = || Segment::remote(info(2, 4 * SEGMENT));
    let (store, _) = full_store();
    store.pool().mount(remote()).unwrap();
    let shrunk = store.shrink(ID, SEGMENT / 2).unwrap();
    assert_eq!((shrunk.moved.objects, shrunk.evicted.objects), (8, 8));
    assert_eq!(stored(&store), (8..16).collect::<Vec<_>>());
    for number in 8..16 {
        check(&store, number, OBJECT);
    }

    let (store, _) = full_store();
    store.pool().mount(remote()).unwrap();
    let beside = Memory::pool(memory(SEGMENT));
    let beside = Segment::local(info(3, SEGMENT), beside);
    store.pool().mount(beside).unwrap();
    let shrunk = store.shrink(ID, SEGMENT / 2).unwrap();
    assert_eq!((shrunk.moved.objects, shrunk.evicted.objects), (8, 0));
    for number in 0..16 {
        check(&store, number, OBJECT);
    }
}

#[test]
fn holes_that_are_too_small_are_made_one_by_moves() {
    let store = local(&[SEGMENT]);
    // Holes of half an object between the first ones, and a large object at the end.
    let half = OBJECT / 2;
    for number in 0..20 {
        put(&store, number, half).unwrap();
    }
    put(&store, 100, 4 * OBJECT).unwrap();
    for number in (0..20_u64).step_by(2) {
        store.remove(&number.to_be_bytes(), Removal::Now).unwrap();
    }
    let capacity = 20 * half;
    let shrunk = store.shrink(ID, capacity).unwrap();
    assert_eq!(shrunk.evicted.objects, 0, "{shrunk:?}");
    for number in (1..20).step_by(2) {
        check(&store, number, half);
    }
    check(&store, 100, 4 * OBJECT);
    check_places(&store, capacity);
    store.check_invariants();
}

#[test]
fn what_does_not_fit_leaves_in_order() {
    let store = local(&[SEGMENT]);
    for number in 0..16 {
        put(&store, number, OBJECT).unwrap();
    }
    let events = store.events(64);
    let shrunk = store.shrink(ID, SEGMENT / 4).unwrap();
    // The last four were used last.
    assert_eq!(stored(&store), [12, 13, 14, 15]);
    assert_eq!(shrunk.evicted.objects, 12);
    assert_eq!(store.stats().by_shrinking, shrunk.evicted);
    let told = events.drain();
    let left = told
        .iter()
        .filter(|event| event.kind == EventKind::Left(Cause::Shrunk));
    assert_eq!(left.count(), 12);
    for number in 12..16 {
        check(&store, number, OBJECT);
    }
    check_places(&store, SEGMENT / 4);
}

#[test]
fn what_does_not_fit_leaves_in_order_behind_many_of_other_segments() {
    const SMALL: u64 = 64;
    const COUNT: u64 = 640;
    let store = local(&[SEGMENT, COUNT * SMALL]);
    for number in 100..100 + COUNT {
        let request = PutRequest {
            preferred: &[SegmentId(2)],
            ..PutRequest::new(SMALL)
        };
        let put = store.put(&u64::to_be_bytes(number), &request).unwrap();
        put.commit().unwrap();
    }
    for number in 0..16 {
        put(&store, number, OBJECT).unwrap();
    }
    let shrunk = store.shrink(ID, SEGMENT / 4).unwrap();
    // The last four were used last.
    let others = 100..100 + COUNT;
    let expected: Vec<u64> = (12..16).chain(others).collect();
    assert_eq!(stored(&store), expected);
    assert_eq!(shrunk.evicted.objects, 12);
    check_places(&store, SEGMENT / 4);
    store.check_invariants();
}

#[test]
fn of_a_segment_that_nobody_copies_what_lies_behind_the_end_leaves_and_nothing_else() {
    let segments = pool(Strategy::default(), 1);
    mount_sizes(&segments, &[SEGMENT]);
    let store = ObjectStore::new(segments, options()).unwrap();
    for number in 0..16_u64 {
        let put = store.put(&number.to_be_bytes(), &PutRequest::new(OBJECT));
        put.unwrap().commit().unwrap();
    }
    let end = info(1, SEGMENT).base + SEGMENT / 2;
    let is_before = |number: &u64| {
        let lease = store.get(&number.to_be_bytes()).unwrap();
        lease.descriptors()[0].address < end
    };
    let mut before: Vec<u64> = (0..16).filter(is_before).collect();
    // Room before the end is of no use without a copy.
    store
        .remove(&before.remove(0).to_be_bytes(), Removal::Now)
        .unwrap();
    let shrunk = store.shrink(ID, SEGMENT / 2).unwrap();
    assert_eq!((shrunk.evicted.objects, shrunk.moved.objects), (8, 0));
    assert_eq!(stored(&store), before);
}

#[test]
fn what_is_in_use_stays_and_nothing_leaves() {
    let store = local(&[SEGMENT]);
    for number in 0..14 {
        put(&store, number, OBJECT).unwrap();
    }
    let before = stored(&store);
    let at = |number: u64| store.get(&number.to_be_bytes()).unwrap().descriptors();
    let is_behind = |number: &u64| at(*number)[0].address >= info(1, SEGMENT).base + SEGMENT / 2;
    let behind: Vec<u64> = before.iter().copied().filter(is_behind).collect();
    let [leased, pinned] = [behind[0], behind[1]];
    let foreign = store.pool().place_in(ID, OBJECT / 2, 1).unwrap();
    let in_flight = store
        .put(b"in flight", &PutRequest::new(OBJECT / 4))
        .unwrap();
    let lease = store.get(&leased.to_be_bytes()).unwrap();
    store.pin(&pinned.to_be_bytes());
    let bytes = 2 * OBJECT + OBJECT / 2 + OBJECT / 4;
    let refused = store.shrink(ID, SEGMENT / 2);
    assert_eq!(refused, Err(ShrinkError::InTheWay { id: ID, bytes }));
    assert_eq!(stored(&store), before);
    assert_eq!(store.pool().placeable_bytes(), SEGMENT);
    drop((lease, in_flight, foreign));
    store.unpin(&pinned.to_be_bytes());
    for &number in &before {
        check(&store, number, OBJECT);
    }
    // The end is open again.
    put(&store, 50, OBJECT).unwrap();
    put(&store, 51, OBJECT).unwrap();
    assert_eq!(store.stats().on_demand.objects, 0);
    store.shrink(ID, SEGMENT / 2).unwrap();
    check_places(&store, SEGMENT / 2);
}

#[test]
fn ends_that_make_no_sense_are_refused() {
    let store = local(&[SEGMENT]);
    let refused = |capacity| match store.shrink(ID, capacity) {
        Err(ShrinkError::Resize(error)) => error,
        other => panic!("{other:?}"),
    };
    let capacity = SEGMENT;
    for asked in [0, SEGMENT, SEGMENT + 1] {
        let expected = SegmentResizeError::NotSmaller {
            id: ID,
            asked,
            capacity,
        };
        assert_eq!(refused(asked), expected);
    }
    let not_larger = SegmentResizeError::NotLarger {
        id: ID,
        asked: SEGMENT,
        capacity,
    };
    assert_eq!(store.grow(ID, SEGMENT), Err(not_larger));
    let past = SegmentResizeError::PastSize {
        id: ID,
        asked: SEGMENT + 1,
        size: SEGMENT,
    };
    assert_eq!(store.grow(ID, SEGMENT + 1), Err(past));
    let id = SegmentId(9);
    let unknown = ShrinkError::Resize(SegmentResizeError::NotMounted { id });
    assert_eq!(store.shrink(id, 1), Err(unknown));
    assert_eq!(store.pool().placeable_bytes(), SEGMENT);
}

#[test]
fn registrations_behind_the_end_are_given_up_and_come_back() {
    let segments = pool(Strategy::default(), 1);
    let mut four = info(1, SEGMENT);
    four.options.granule = 64;
    four.options.registration = Some(RegistrationLimit {
        max_bytes: SEGMENT / 4,
        align: 4096,
    });
    let bytes = Memory::pool(memory(SEGMENT));
    segments.mount(Segment::local(four, bytes)).unwrap();
    let store = ObjectStore::new(segments, options()).unwrap();
    for number in 0..14 {
        put(&store, number, OBJECT).unwrap();
    }
    for number in 0..8_u64 {
        store.remove(&number.to_be_bytes(), Removal::Now).unwrap();
    }
    let capacity = SEGMENT * 3 / 8 + 64;
    let shrunk = store.shrink(ID, capacity).unwrap();
    assert!(shrunk.moved.objects > 0);
    check_places(&store, capacity);
    for size in [1, 64, OBJECT] {
        for number in 100..200 {
            let _ = put(&store, number, size);
            check_places(&store, capacity);
            let _ = store.remove(&number.to_be_bytes(), Removal::Now);
        }
    }
    store.grow(ID, SEGMENT).unwrap();
    store.check_invariants();
    for key in store.keys() {
        store.remove(&key, Removal::Now).unwrap();
    }
    let total = store.pool().stats().total;
    assert_eq!((total.free_bytes, total.allocations), (SEGMENT, 0));
}

#[test]
fn ends_move_while_threads_put_and_get() {
    let store = local(&[SEGMENT, SEGMENT / 4]);
    let is_over = AtomicBool::new(false);
    let read = AtomicU64::new(0);
    let size = |number: u64| 1 + number.wrapping_mul(0x9E37_79B9) % (SEGMENT / 32);
    thread::scope(|scope| {
        for thread in 0..2 {
            let (store, is_over, read) = (&store, &is_over, &read);
            scope.spawn(move || {
                let mut random = Xoshiro256PlusPlus::seed_from_u64(thread);
                while !is_over.load(Ordering::Relaxed) {
                    let number = random.random_range(0..300);
                    if let Some(lease) = store.get(&u64::to_be_bytes(number)) {
                        let bytes = lease.read().unwrap();
                        assert!(bytes == contents(number, size(number)), "{number}");
                        read.fetch_add(1, Ordering::Relaxed);
                    } else {
                        let _ = put(store, number, size(number));
                    }
                }
            });
        }
        let rounds = panic::catch_unwind(AssertUnwindSafe(|| {
            resize_in_rounds(&store, &read);
        }));
        is_over.store(true, Ordering::Relaxed);
        if let Err(panic) = rounds {
            panic::resume_unwind(panic);
        }
    });
    store.check_invariants();
    for key in store.keys() {
        store.remove(&key, Removal::Now).unwrap();
    }
    let total = store.pool().stats().total;
    assert_eq!(total.free_bytes, SEGMENT + SEGMENT / 4, "space is missing");
}

/// Shrinks and grows a segment again and again while others read.
fn resize_in_rounds(store: &ObjectStore, read: &AtomicU64) {
    let mut resized = 0;
    for round in 0..20 {
        // On a machine with other work, threads begin late.
        let read_before = read.load(Ordering::Relaxed);
        while read.load(Ordering::Relaxed) == read_before {
            thread::yield_now();
        }
        let capacity = SEGMENT * (1 + round % 3) / 4;
        match store.shrink(ID, capacity) {
            Ok(_) => {
                resized += 1;
                check_places(store, capacity);
                store.grow(ID, SEGMENT).unwrap();
            }
            Err(error) => assert!(matches!(error, ShrinkError::InTheWay { .. }), "{error}"),
        }
    }
    assert!(resized > 10, "{resized} of 20");
}

#[test]
fn half_of_a_segment_under_load_is_given_back_and_nothing_that_fits_is_lost() {
    let (store, address) = full_store();
    let kept: Vec<u64> = (1..16).step_by(3).collect();
    for number in (0..16_u64).filter(|number| !kept.contains(number)) {
        store.remove(&number.to_be_bytes(), Removal::Now).unwrap();
    }
    let is_over = AtomicBool::new(false);
    let shrunk = thread::scope(|scope| {
        let (store, is_over, kept) = (&store, &is_over, &kept);
        let (began, begins) = std::sync::mpsc::channel();
        scope.spawn(move || {
            let mut random = Xoshiro256PlusPlus::seed_from_u64(3);
            for number in 1000.. {
                put(store, number, OBJECT / 16).unwrap();
                check(store, kept[random.random_range(0..kept.len())], OBJECT);
                check(store, number, OBJECT / 16);
                store.remove(&number.to_be_bytes(), Removal::Now).unwrap();
                let _ = began.send(());
                if is_over.load(Ordering::Relaxed) {
                    return;
                }
            }
        });
        begins.recv().unwrap();
        // Whoever reads at the moment may be in the way.
        let mut tries = (0..50).map(|_| store.shrink(ID, SEGMENT / 2));
        let shrunk = tries.find_map(Result::ok);
        is_over.store(true, Ordering::Relaxed);
        shrunk
    });
    let shrunk = shrunk.expect("nobody is in the way for long");
    assert_eq!((shrunk.evicted.objects, stored(&store)), (0, kept.clone()));
    assert!(shrunk.released_bytes >= SEGMENT / 2, "{shrunk:?}");
    assert!(resident_bytes(address) <= SEGMENT / 2);
    for number in kept {
        check(&store, number, OBJECT);
    }
    check_places(&store, SEGMENT / 2);
    store.check_invariants();
}

#[test]
fn a_store_that_is_opened_again_has_what_was_kept() {
    let directory = tempfile::tempdir().unwrap();
    let file = |info: &SegmentInfo| {
        let path = directory.path().join(format!("bytes-{}", info.id));
        let mut options = fs::File::options();
        options.read(true).write(true).create(true).truncate(false);
        let file = options.open(path).unwrap();
        file.set_len(SEGMENT).unwrap();
        Memory::file(file)
    };
    let open = |capacity: u64| {
        let again = |known: &SegmentInfo| {
            let memory = file(known);
            let info = SegmentInfo {
                size: capacity,
                ..known.clone()
            };
            Some(Segment::local(info, memory))
        };
        let path: &Path = &directory.path().join("store");
        let pool = pool(Strategy::default(), 1);
        ObjectStore::open(path, pool, options(), again).unwrap()
    };
    let store = open(SEGMENT).store;
    let known = info(1, SEGMENT);
    let memory = file(&known);
    store.pool().mount(Segment::local(known, memory)).unwrap();
    for number in 0..16 {
        put(&store, number, OBJECT).unwrap();
    }
    store.shrink(ID, SEGMENT / 2).unwrap();
    let kept = stored(&store);
    assert_eq!(kept.len(), 8);
    drop(store);
    let opened = open(SEGMENT / 2);
    assert_eq!((opened.damage, opened.lost), (vec![], vec![]));
    assert_eq!(stored(&opened.store), kept);
    for number in kept {
        check(&opened.store, number, OBJECT);
    }
}

#[test]
fn an_end_within_a_granule_is_refused() {
    const GRANULE: u64 = 4096;
    for registration in [None, Some(2 * GRANULE)] {
        let segments = pool(Strategy::default(), 1);
        let mut granular = info(1, 4 * GRANULE);
        granular.options.granule = GRANULE;
        granular.options.registration = registration.map(|max_bytes| RegistrationLimit {
            max_bytes,
            align: GRANULE,
        });
        let bytes = Memory::pool(memory(4 * GRANULE));
        segments.mount(Segment::local(granular, bytes)).unwrap();
        let store = ObjectStore::new(segments, options()).unwrap();
        for number in 0..4 {
            put(&store, number, GRANULE).unwrap();
        }
        // What is left could be placed across the end.
        store.remove(&0_u64.to_be_bytes(), Removal::IfIdle).unwrap();
        let asked = GRANULE + 188;
        let is_refused = |refused: SegmentResizeError| {
            let is_named = |source: &dyn Error| source.to_string().contains(&asked.to_string());
            matches!(refused, SegmentResizeError::Capacity { id: ID, source } if is_named(&source))
        };
        let (store, shrunk) = ends("shrink", move || (store.clone(), store.shrink(ID, asked)));
        assert!(matches!(shrunk, Err(ShrinkError::Resize(refused)) if is_refused(refused)));
        store.shrink(ID, GRANULE).unwrap();
        assert!(is_refused(store.grow(ID, asked).unwrap_err()));
        // What a registration behind the end keeps is not told.
        assert_eq!(store.pool().stats().total.capacity, GRANULE);
    }
}
