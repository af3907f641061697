//! What a store has when its directory is opened again.
#![expect(clippy::unwrap_used, reason = "a failed set-up fails the test")]

mod stops;

use std::{
    collections::BTreeSet,
    fs::{File, OpenOptions},
    path::Path,
    sync::{
        Arc,
        atomic::{AtomicU64, Ordering},
    },
    time::{Duration, Instant},
};

use crate::common::{info, pool};
use mc_segment::{
    Memory, MountError, Replicas, Segment, SegmentField, SegmentId, SegmentInfo, Strategy,
};
use mc_store::{
    AddReplicaError, Clock, ObjectStore, Opened, PutError, PutRequest, Removal, RemoveError,
    StoreOpenError, StoreOptions, copy_bytes,
    journal::{Durability, JournalOptions},
};

const SEGMENT_BYTES: u64 = 64 << 10;

/// Returns the memory of a segment: a file in the directory.
fn memory(directory: &Path, id: SegmentId) -> Memory {
    let mut options = OpenOptions::new();
    options.read(true).write(true).create(true).truncate(false);
    let file: File = options.open(directory.join(format!("bytes-{id}"))).unwrap();
    file.set_len(SEGMENT_BYTES).unwrap();
    Memory::file(file)
}

fn segment(directory: &Path, info: &SegmentInfo) -> Segment {
    Segment::local(info.clone(), memory(directory, info.id))
}

fn open_with(directory: &Path, options: StoreOptions) -> Opened {
    let again = |info: &SegmentInfo| Some(segment(directory, info));
    ObjectStore::open(
        &directory.join("store"),
        pool(Strategy::Random, 1),
        options,
        again,
    )
    .unwrap()
}

/// Opens a store that has to be whole.
fn open(directory: &Path) -> ObjectStore {
    let opened = open_with(directory, StoreOptions::default());
    assert_eq!(opened.damage, []);
    assert!(opened.lost.is_empty(), "{:?}", opened.lost);
    opened.store
}

fn mount(store: &ObjectStore, directory: &Path, ids: std::ops::RangeInclusive<u128>) {
    for id in ids {
        let segment = segment(directory, &info(id, SEGMENT_BYTES));
        store.pool().mount(segment).unwrap();
    }
}

fn put(store: &ObjectStore, key: &[u8], request: &PutRequest<'_>) -> Result<(), PutError> {
    let mut put = store.put(key, request)?;
    let bytes = contents(key, request.size);
    for replica in put.replicas_mut().iter_mut() {
        replica.write_at(0, &bytes).unwrap();
    }
    put.commit().unwrap();
    Ok(())
}

fn contents(key: &[u8], size: u64) -> Vec<u8> {
    key.iter()
        .copied()
        .cycle()
        .take(usize::try_from(size).unwrap())
        .collect()
}

#[track_caller]
fn check(store: &ObjectStore, key: &[u8], size: u64) {
    let bytes = store.read(key).unwrap();
    assert_eq!(bytes, Some(contents(key, size)), "{}", key.escape_ascii());
}

#[test]
fn committed_objects_are_there_with_their_bytes_and_others_are_not() {
    let directory = tempfile::tempdir().unwrap();
    let at = directory.path();
    let store = open(at);
    mount(&store, at, 1..=3);
    let pair = PutRequest {
        replicas: Replicas::exact(2),
        align: 64,
        max_extents: 2,
        ..PutRequest::new(700)
    };
    for number in 0..200_u32 {
        put(&store, &number.to_le_bytes(), &pair).unwrap();
    }
    let kept: Vec<u32> = (0..200_u32)
        .filter(|n| store.exists(&n.to_le_bytes()))
        .collect();
    assert!(
        store.stats().on_demand.objects > 0 && kept.len() > 50,
        "it was full"
    );
    let removed = kept[0].to_le_bytes();
    store.remove(&removed, Removal::IfIdle).unwrap();
    let pinned = kept[1].to_le_bytes();
    assert!(store.pin(&pinned));
    store.pool().drain(SegmentId(1)).unwrap();
    store.move_out(SegmentId(1), copy_bytes).unwrap();
    let dropped = store.put(b"dropped", &pair).unwrap();
    drop(dropped);
    let lost = store.put(b"lost", &PutRequest::new(100)).unwrap();
    let kept: Vec<u32> = (0..200_u32)
        .filter(|n| store.exists(&n.to_le_bytes()))
        .collect();
    // The process ends here: nothing is told to the store any more.
    let places: Vec<_> = kept
        .iter()
        .map(|n| store.get(&n.to_le_bytes()).unwrap().descriptors())
        .collect();
    copy_of_directory(&store, at);
    // What the files were when the process ended is in another directory.
    let store = {
        drop((store, lost));
        open(&at.join("copy"))
    };
    store.check_invariants();
    for (number, places) in kept.iter().zip(places) {
        let key = number.to_le_bytes();
        check(&store, &key, 700);
        assert_eq!(store.get(&key).unwrap().descriptors(), places);
    }
    assert_eq!(store.stats().objects, kept.len() as u64);
    assert_eq!(
        store.remove(&pinned, Removal::IfIdle),
        Err(RemoveError::Pinned)
    );
    assert!(!store.exists(b"lost") && !store.exists(b"dropped") && !store.exists(&removed));
    assert_eq!(store.stats().lingering, 1, "the space of the lost put");
}

/// Copies all files, as they are for whoever opens them after a crash.
fn copy_of_directory(store: &ObjectStore, at: &Path) {
    let from = store.directory().unwrap();
    let to = at.join("copy").join("store");
    std::fs::create_dir_all(&to).unwrap();
    for entry in std::fs::read_dir(from).unwrap() {
        let entry = entry.unwrap();
        std::fs::copy(entry.path(), to.join(entry.file_name())).unwrap();
    }
    for entry in std::fs::read_dir(at).unwrap() {
        let entry = entry.unwrap();
        if entry.file_type().unwrap().is_file() {
            std::fs::copy(entry.path(), at.join("copy").join(entry.file_name())).unwrap();
        }
    }
}

#[test]
fn a_range_of_a_put_in_flight_is_not_handed_out_until_its_margin_has_passed() {
    let directory = tempfile::tempdir().unwrap();
    let at = directory.path();
    let seconds = Arc::new(AtomicU64::new(0));
    let shown = Arc::clone(&seconds);
    let options = StoreOptions {
        clock: Clock::new(move || Duration::from_secs(shown.load(Ordering::Relaxed))),
        put_deadline: Duration::from_secs(100),
        put_margin: Duration::from_secs(50),
        ..StoreOptions::default()
    };
    let first = open_with(at, options.clone()).store;
    mount(&first, at, 1..=1);
    let whole = PutRequest::new(SEGMENT_BYTES);
    let lost = first.put(b"lost", &whole).unwrap();
    copy_of_directory(&first, at);
    drop(lost);
    let second = open_with(&at.join("copy"), options).store;
    let refusal = second.put(b"other", &PutRequest::new(1)).unwrap_err();
    assert!(matches!(refusal, PutError::NoRoom { .. }), "{refusal}");
    seconds.store(148, Ordering::Relaxed);
    assert!(second.put(b"other", &PutRequest::new(1)).is_err());
    seconds.store(151, Ordering::Relaxed);
    put(&second, b"other", &whole).unwrap();
}

#[test]
fn a_newer_epoch_brings_back_none_of_the_objects() {
    let directory = tempfile::tempdir().unwrap();
    let at = directory.path();
    let store = open(at);
    mount(&store, at, 1..=2);
    let pair = PutRequest {
        replicas: Replicas::exact(2),
        ..PutRequest::new(100)
    };
    put(&store, b"pair", &pair).unwrap();
    let only = PutRequest {
        preferred: &[SegmentId(1)],
        ..PutRequest::new(100)
    };
    put(&store, b"only", &only).unwrap();
    drop(store);
    let again = |info: &SegmentInfo| {
        let mut info = info.clone();
        info.epoch += u64::from(info.id == SegmentId(1));
        Some(segment(at, &info))
    };
    let opened = ObjectStore::open(
        &at.join("store"),
        pool(Strategy::Random, 1),
        StoreOptions::default(),
        again,
    )
    .unwrap();
    assert_eq!(opened.lost, [Box::from(&b"only"[..])]);
    check(&opened.store, b"pair", 100);
    assert_eq!(opened.store.under_replicated().len(), 1);
    drop(opened);
    // It is so again, with nothing to say about it.
    let store = open(at);
    assert!(!store.exists(b"only") && store.exists(b"pair"));
}

#[test]
fn compactions_keep_what_there_is() {
    let directory = tempfile::tempdir().unwrap();
    let at = directory.path();
    let options = StoreOptions {
        journal: JournalOptions {
            file_bytes: 16 << 10,
            compact_bytes: 32 << 10,
            durability: Durability::Process,
        },
        ..StoreOptions::default()
    };
    let store = open_with(at, options.clone()).store;
    mount(&store, at, 1..=2);
    for round in 0..30_u32 {
        for number in 0..100_u32 {
            let key = (round * 50 + number).to_le_bytes();
            match put(&store, &key, &PutRequest::new(1000)) {
                Ok(()) | Err(PutError::Exists) => {}
                Err(error) => panic!("{error}"),
            }
        }
    }
    let deadline = Instant::now() + Duration::from_secs(10);
    while !store.directory().unwrap().join("snapshot").exists() {
        assert!(Instant::now() < deadline, "no compaction came");
        std::thread::sleep(Duration::from_millis(10));
    }
    let mut keys = store.keys();
    keys.sort();
    drop(store);
    let opened = open_with(at, options);
    assert_eq!(opened.damage, []);
    let mut again = opened.store.keys();
    again.sort();
    assert_eq!(again, keys);
    for key in &keys {
        check(&opened.store, key, 1000);
    }
}

#[test]
fn a_compaction_waits_for_nobody_who_writes_and_knows_what_he_has() {
    let directory = tempfile::tempdir().unwrap();
    let at = directory.path();
    let options = StoreOptions {
        journal: JournalOptions {
            file_bytes: 4_096,
            compact_bytes: 1,
            ..JournalOptions::default()
        },
        ..StoreOptions::default()
    };
    let store = open_with(at, options.clone()).store;
    mount(&store, at, 1..=1);
    let mut large = store
        .put(b"large", &PutRequest::new(SEGMENT_BYTES / 2))
        .unwrap();
    let mut written = large.replicas_mut();
    let deadline = Instant::now() + Duration::from_secs(10);
    let mut number = 0_u32;
    while !store.directory().unwrap().join("snapshot").exists() {
        assert!(Instant::now() < deadline, "no compaction came");
        put(&store, &number.to_le_bytes(), &PutRequest::new(1_000)).unwrap();
        number += 1;
    }
    // Another compaction may be under way, and takes files away.
    let files = || {
        let entries = std::fs::read_dir(store.directory().unwrap()).unwrap();
        entries
            .map(|entry| entry.unwrap().file_name())
            .collect::<BTreeSet<_>>()
    };
    let mut before = BTreeSet::new();
    while before != files() {
        before = files();
        std::thread::sleep(Duration::from_millis(300));
    }
    copy_of_directory(&store, at);
    let again = open_with(&at.join("copy"), options).store;
    let all = PutRequest::new(SEGMENT_BYTES);
    assert!(again.put(b"all", &all).is_err(), "the range is taken");
    put(&again, b"half", &PutRequest::new(SEGMENT_BYTES / 2)).unwrap();
    written[0].write_at(0, b"bytes").unwrap();
}

#[test]
fn bytes_that_are_not_those_of_the_commit_are_a_miss_and_an_event() {
    let directory = tempfile::tempdir().unwrap();
    let at = directory.path();
    let options = StoreOptions {
        has_checksums: true,
        ..StoreOptions::default()
    };
    let store = open_with(at, options.clone()).store;
    mount(&store, at, 1..=1);
    put(&store, b"key", &PutRequest::new(5000)).unwrap();
    check(&store, b"key", 5000);
    let address = store.get(b"key").unwrap().descriptors()[0].address;
    drop(store);
    let offset = address - info(1, SEGMENT_BYTES).base + 77;
    let file = OpenOptions::new()
        .write(true)
        .open(at.join(format!("bytes-{}", SegmentId(1))));
    std::os::unix::fs::FileExt::write_at(&file.unwrap(), b"!", offset).unwrap();
    let store = open_with(at, options).store;
    let events = store.events(8);
    assert_eq!(store.read(b"key").unwrap(), None);
    assert!(!store.exists(b"key"));
    assert_eq!(events.drain().len(), 1);
    assert_eq!(store.stats().corrupt.objects, 1);
}

#[test]
fn a_put_that_ends_while_room_is_made_reserves_nothing() {
    let directory = tempfile::tempdir().unwrap();
    let at = directory.path();
    let store = open(at);
    mount(&store, at, 1..=1);
    put(&store, b"old", &PutRequest::new(SEGMENT_BYTES)).unwrap();
    let request = PutRequest {
        deadline: Some(Duration::ZERO),
        ..PutRequest::new(SEGMENT_BYTES)
    };
    // Looking for room ends puts whose deadlines have passed, this one among them.
    let late = store.put(b"late", &request).unwrap();
    assert!(late.descriptors().is_empty());
    // As if the process ended here, with the put.
    let journal = at.join("store");
    let copy = tempfile::tempdir().unwrap();
    std::fs::create_dir(copy.path().join("store")).unwrap();
    for file in std::fs::read_dir(journal).unwrap() {
        let file = file.unwrap();
        std::fs::copy(
            file.path(),
            copy.path().join("store").join(file.file_name()),
        )
        .unwrap();
    }
    let again = open(copy.path());
    put(&again, b"new", &PutRequest::new(SEGMENT_BYTES)).unwrap();
}

/// A compaction reads every object. If it held them, puts would let one after another go and find no place
/// free.
#[test]
fn compactions_keep_no_place_from_being_free() {
    const OBJECTS: u64 = 2_000;
    let directory = tempfile::tempdir().unwrap();
    let options = StoreOptions {
        journal: JournalOptions {
            compact_bytes: 1,
            file_bytes: 4_096,
            ..JournalOptions::default()
        },
        ..StoreOptions::default()
    };
    let store = open_with(directory.path(), options).store;
    let remote = Segment::remote(info(1, 100 * OBJECTS));
    store.pool().mount(remote).unwrap();
    let begun = Instant::now();
    let mut number = 0_u64;
    while begun.elapsed() < Duration::from_secs(1) {
        let put = store.put(&number.to_le_bytes(), &PutRequest::new(100));
        put.unwrap().commit().unwrap();
        number += 1;
    }
    let evicted = store.stats().on_demand.objects;
    let needed = number.saturating_sub(OBJECTS);
    assert!(needed > OBJECTS, "{number} puts are too few");
    // The one object that is being written is held for that long.
    assert!(evicted <= needed + 20, "{evicted} for {needed}");
}

#[test]
fn a_replica_that_was_not_added_is_not_there_later() {
    let directory = tempfile::tempdir().unwrap();
    let at = directory.path();
    let store = open(at);
    mount(&store, at, 1..=2);
    put(&store, b"one", &PutRequest::new(700)).unwrap();
    let places = store.get(b"one").unwrap().descriptors();
    let added = store.add_replica(b"one", |_, _| {
        // Whoever is about to add another one looks at the object.
        let added = store.add_replica(b"one", copy_bytes).unwrap();
        assert_eq!(added, Err(AddReplicaError::Changed));
        Err(())
    });
    assert_eq!(added, Err(()));
    drop(store);
    let store = open(at);
    assert_eq!(store.get(b"one").unwrap().descriptors(), places);
    check(&store, b"one", 700);
}

#[test]
fn of_several_timed_leases_the_longest_lasts_after_a_restart() {
    let directory = tempfile::tempdir().unwrap();
    let at = directory.path();
    let seconds = Arc::new(AtomicU64::new(0));
    let shown = Arc::clone(&seconds);
    let options = StoreOptions {
        clock: Clock::new(move || Duration::from_secs(shown.load(Ordering::Relaxed))),
        ..StoreOptions::default()
    };
    let store = open_with(at, options.clone()).store;
    mount(&store, at, 1..=1);
    let names = [&b"held"[..], b"ended", b"again"];
    for key in names {
        put(&store, key, &PutRequest::new(100)).unwrap();
        for time in [1_000, 10] {
            drop(store.get_for(key, Duration::from_secs(time)));
        }
    }
    assert!(store.end_lease(b"ended") && store.end_lease(b"again"));
    drop(store.get_for(b"again", Duration::from_secs(50)));
    drop(store);
    let store = open_with(at, options).store;
    for (now, are_leased) in [
        (20, [true, false, true]),
        (60, [true, false, false]),
        (1_001, [false; 3]),
    ] {
        seconds.store(now, Ordering::Relaxed);
        for (key, is_leased) in names.iter().zip(are_leased) {
            let removed = store.remove(key, Removal::IfIdle);
            assert_eq!(removed == Err(RemoveError::Leased), is_leased, "at {now}");
        }
    }
}

#[test]
fn segments_are_in_the_states_that_they_were_in() {
    let directory = tempfile::tempdir().unwrap();
    let at = directory.path();
    let store = open(at);
    mount(&store, at, 1..=3);
    let [resumed, drained] = [1, 2].map(SegmentId);
    store.pool().suspend(resumed).unwrap();
    put(&store, b"key", &PutRequest::new(700)).unwrap();
    store.pool().resume(resumed).unwrap();
    store.pool().drain(drained).unwrap();
    let states = |store: &ObjectStore| {
        let segments = store.pool().segments();
        segments.iter().map(|view| view.state).collect::<Vec<_>>()
    };
    let before = states(&store);
    drop(store);
    assert_eq!(states(&open(at)), before);
}

#[test]
fn what_was_unmounted_stays_so_though_its_memory_comes_back() {
    let directory = tempfile::tempdir().unwrap();
    let at = directory.path();
    let store = open(at);
    mount(&store, at, 1..=2);
    let both = [SegmentId(1), SegmentId(2)];
    let pair = PutRequest {
        replicas: Replicas::exact(2),
        preferred: &both,
        ..PutRequest::new(700)
    };
    put(&store, b"pair", &pair).unwrap();
    let survivors = store.unmount(SegmentId(1)).unwrap().survivors;
    assert_eq!(survivors.len(), 1);
    // The memory is somebody else's now.
    std::fs::write(at.join(format!("bytes-{}", SegmentId(1))), [b'x'; 700]).unwrap();
    drop(store);
    let store = open(at);
    check(&store, b"pair", 700);
    assert_eq!(store.under_replicated().len(), 1);
    assert_eq!(store.pool().state(SegmentId(1)), None);
}

#[test]
fn a_segment_whose_bytes_are_at_other_addresses_is_refused() {
    let directory = tempfile::tempdir().unwrap();
    let at = directory.path();
    let store = open(at);
    mount(&store, at, 1..=1);
    for number in 0..40_u8 {
        put(&store, &[number], &PutRequest::new(1_000)).unwrap();
    }
    drop(store);
    let open_at = |base_more, epoch_more| {
        let again = |info: &SegmentInfo| {
            let mut info = info.clone();
            info.base += base_more;
            info.epoch += epoch_more;
            Some(segment(at, &info))
        };
        let pool = pool(Strategy::Random, 1);
        ObjectStore::open(&at.join("store"), pool, StoreOptions::default(), again)
    };
    let refused = open_at(2_000, 0).unwrap_err();
    let StoreOpenError::Mount { id, source } = &refused else {
        panic!("{refused}");
    };
    let field = SegmentField::Base;
    assert_eq!(*source, MountError::Differs { id: *id, field });
    // Nothing was lost by that.
    let store = open(at);
    for number in 0..40_u8 {
        check(&store, &[number], 1_000);
    }
    drop(store);
    assert_eq!(open_at(2_000, 1).unwrap().lost.len(), 40);
}

#[test]
fn an_older_epoch_is_refused_and_loses_nothing() {
    let directory = tempfile::tempdir().unwrap();
    let at = directory.path();
    let of_epoch = |epoch| {
        let info = SegmentInfo {
            epoch,
            ..info(1, SEGMENT_BYTES)
        };
        segment(at, &info)
    };
    let store = open(at);
    store.pool().mount(of_epoch(5)).unwrap();
    put(&store, b"key", &PutRequest::new(700)).unwrap();
    drop(store);
    let pool = pool(Strategy::Random, 1);
    let inside = at.join("store");
    let older = |_: &SegmentInfo| Some(of_epoch(4));
    let refusal = ObjectStore::open(&inside, pool, StoreOptions::default(), older).unwrap_err();
    let StoreOpenError::Mount { id, source } = refusal else {
        panic!("{refusal}");
    };
    let mounted_epoch = 5;
    let expected = MountError::OlderEpoch {
        id,
        epoch: 4,
        mounted_epoch,
    };
    assert_eq!(source, expected);
    check(&open(at), b"key", 700);
}
