//! The journal by itself: everything comes back, in order, once, and a compaction changes nothing.

use std::{
    fs,
    os::unix::fs::symlink,
    path::Path,
    sync::atomic::{AtomicU64, Ordering},
    thread,
    time::Duration,
};

use crate::common::journal::{
    SEGMENT, SIZE, SMALL, append, commit, commit_numbers, document, filled, info, journal_files,
    keys, kill, kill_and_open, mount, mount_as, mount_in, object, offset_of, open, place,
};
use mc_segment::{SegmentId, SegmentState};
use mc_store::journal::{
    Damage, Durability, Journal, JournalError, JournalOptions, Lost, ObjectRecord, OpenError,
    Place, Places, Record, Reservation, SavedFile, Writer, read_file,
};

/// A put of one replica in two pieces.
fn reservation(put: u64, key: &[u8], offset: u64) -> Reservation<'_> {
    Reservation {
        put,
        key,
        deadline: Duration::from_secs(9),
        places: one(place(SEGMENT, 1, &[(offset, 50), (offset + 70, 50)])),
    }
}

fn one(place: Place) -> Places {
    [place].into_iter().collect()
}

#[test]
fn objects_come_back_in_the_order_of_commits() {
    let directory = tempfile::tempdir().unwrap();
    let (journal, empty) = open(directory.path());
    assert!(empty.objects.is_empty() && empty.damage.is_empty() && empty.segments.is_empty());
    append(&journal, &Record::Options(b"options"));
    mount(&journal);
    for (key, offset) in [(&b"b"[..], 600), (b"a", 700), (b"gone", 800), (b"b", 900)] {
        append(&journal, &commit(key, offset));
    }
    let removed = Record::Removed {
        key: b"gone",
        cause: 3,
    };
    append(&journal, &removed);

    let recovered = kill_and_open(&journal);
    assert_eq!(recovered.damage, []);
    assert_eq!(recovered.options.as_deref(), Some(&b"options"[..]));
    let [segment] = &recovered.segments[..] else {
        panic!("{:?}", recovered.segments)
    };
    assert_eq!(segment.info, info(SEGMENT, 1));
    assert_eq!(segment.state, SegmentState::Ok);
    assert_eq!(keys(&recovered), [&b"a"[..], b"b"]);
    assert_eq!(offset_of(&recovered, b"b"), Some(900), "the later one");
    let a = &recovered.objects[0];
    assert_eq!((&a.parts[..], a.checksum), (&[100][..], Some(17)));
    assert_eq!((a.is_pinned, a.leased_until), (false, Duration::ZERO));
    let terms = &recovered.terms[a.terms];
    assert_eq!((terms.align, terms.max_extents), (4096, 2));
    assert_eq!((terms.replicas, terms.replicas_least), (2, 1));
    assert_eq!(
        (&*terms.host, &*terms.excluded),
        ("host", &[SegmentId(7)][..])
    );
}

#[test]
fn puts_in_flight_come_back_and_others_do_not() {
    let directory = tempfile::tempdir().unwrap();
    let (journal, empty) = open(directory.path());
    assert_eq!(empty.put_next, 1);
    mount(&journal);
    for (put, key) in [(1, &b"stored"[..]), (2, b"given up"), (3, b"in flight")] {
        append(
            &journal,
            &Record::Reserved(reservation(put, key, 200 * put)),
        );
    }
    let committed = ObjectRecord {
        put: 1,
        places: reservation(1, b"stored", 200).places,
        ..object(b"stored", 0)
    };
    append(&journal, &Record::Committed(committed));
    append(&journal, &Record::Aborted { put: 2 });

    let recovered = kill_and_open(&journal);
    assert_eq!(recovered.damage, []);
    assert_eq!(keys(&recovered), [b"stored"]);
    assert_eq!(
        recovered.objects[0].places,
        reservation(1, b"stored", 200).places
    );
    let [put] = &recovered.reservations[..] else {
        panic!("{:?}", recovered.reservations)
    };
    assert_eq!((put.put, &*put.key), (3, &b"in flight"[..]));
    assert_eq!(put.deadline, Duration::from_secs(9));
    assert_eq!(put.places, reservation(3, b"in flight", 600).places);
    assert_eq!(recovered.put_next, 4);
}

#[test]
fn an_object_whose_space_was_just_kept_for_its_readers_is_gone_and_no_damage() {
    let directory = tempfile::tempdir().unwrap();
    let (journal, _) = open(directory.path());
    mount(&journal);
    let kept = |key| Reservation {
        places: object(key, 0).places,
        ..reservation(2, key, 0)
    };
    // Killed before the removal was written, too.
    append(&journal, &commit(b"detached", 0));
    append(&journal, &Record::Reserved(kept(b"detached")));
    let recovered = kill_and_open(&journal);
    assert_eq!(recovered.damage, []);
    assert_eq!(keys(&recovered), [b""; 0]);
    assert_eq!(recovered.reservations.len(), 1);
}

#[test]
fn leases_pins_and_moves_come_back() {
    let directory = tempfile::tempdir().unwrap();
    let (journal, _) = open(directory.path());
    mount(&journal);
    append(&journal, &commit(b"a", 0));
    let until = Duration::new(5, 6);
    append(&journal, &Record::Leased { key: b"a", until });
    for is_pinned in [true, false, true] {
        let pinned = Record::Pinned {
            key: b"a",
            is_pinned,
        };
        append(&journal, &pinned);
    }
    // To elsewhere, to a second replica, that one to elsewhere, and what is known already.
    let at = |offset| place(SEGMENT, 1, &[(offset, 100)]);
    for (from, to) in [
        (Some(0), 1000),
        (None, 1100),
        (Some(1100), 1200),
        (Some(0), 1000),
        (None, 1200),
    ] {
        let moved = Record::Moved {
            key: b"a",
            from: from.and_then(|offset| at(offset).spot()),
            place: at(to),
        };
        append(&journal, &moved);
    }
    let recovered = kill_and_open(&journal);
    assert_eq!(recovered.damage, []);
    let a = &recovered.objects[0];
    assert_eq!((a.is_pinned, a.leased_until), (true, until));
    let places = [1000, 1200].map(|offset| place(SEGMENT, 1, &[(offset, 100)]));
    assert_eq!(&a.places[..], places);
}

#[test]
fn of_several_leases_the_longest_comes_back_until_all_are_ended() {
    let directory = tempfile::tempdir().unwrap();
    let (journal, _) = open(directory.path());
    mount(&journal);
    append(&journal, &commit(b"a", 0));
    for (until, expected) in [(5, 5), (9, 9), (7, 9), (0, 0), (3, 3)] {
        let until = Duration::from_secs(until);
        append(&journal, &Record::Leased { key: b"a", until });
        let found = kill_and_open(&journal).objects[0].leased_until;
        assert_eq!(found, Duration::from_secs(expected), "after {until:?}");
    }
}

#[test]
fn lives_follow_each_other_in_one_directory() {
    let directory = tempfile::tempdir().unwrap();
    for life in 0..20 {
        let (journal, recovered) = open(directory.path());
        assert_eq!(recovered.damage, [], "life {life}");
        assert_eq!(recovered.objects.len() as u64, 3 * life);
        if life == 0 {
            mount(&journal);
        }
        commit_numbers(&journal, 3 * life..3 * life + 3);
    }
    let (_journal, recovered) = open(directory.path());
    let numbers: Vec<_> = (0..60_u64).map(u64::to_be_bytes).collect();
    assert_eq!(keys(&recovered), numbers);
}

#[test]
fn lives_without_records_leave_no_files() {
    let directory = tempfile::tempdir().unwrap();
    for _ in 0..10 {
        drop(open(directory.path()));
    }
    let files = fs::read_dir(directory.path()).unwrap().count();
    assert!(files <= 2, "{files} instead of the lock and one file");
}

#[test]
fn a_second_opening_is_refused_until_the_first_is_closed() {
    let directory = tempfile::tempdir().unwrap();
    let (journal, _) = open(directory.path());
    let error = Journal::open(directory.path(), &SMALL).unwrap_err();
    assert!(matches!(error, OpenError::InUse { .. }), "{error}");
    drop(journal);
    open(directory.path());
}

#[test]
fn a_directory_behind_a_symbolic_link_is_opened() {
    let directory = tempfile::tempdir().unwrap();
    let [there, link] = ["there", "link"].map(|name| directory.path().join(name));
    fs::create_dir(&there).unwrap();
    symlink(&there, &link).unwrap();
    let (journal, _) = open(&link);
    mount(&journal);
    assert!(Journal::open(&there, &SMALL).is_err(), "it is the same");
    drop(journal);
    assert_eq!(open(&there).1.segments.len(), 1);
}

#[test]
fn unmounting_voids_what_was_there_and_nothing_later() {
    let directory = tempfile::tempdir().unwrap();
    let (journal, _) = open(directory.path());
    let put_at = |key, places: Places| {
        let object = ObjectRecord {
            places,
            ..object(key, 0)
        };
        append(&journal, &Record::Committed(object));
    };
    mount(&journal);
    put_at(b"before", one(place(SEGMENT, 1, &[(0, 10)])));
    append(&journal, &Record::Unmounted { segment: SEGMENT });
    mount(&journal);
    put_at(b"after", one(place(SEGMENT, 1, &[(50, 10)])));
    mount_as(&journal, SegmentId(2), 1);
    let there = place(SegmentId(2), 1, &[(0, 10)]);
    let two = [place(SEGMENT, 1, &[(200, 10)]), there.clone()];
    put_at(b"two", two.into_iter().collect());
    let recovered = kill_and_open(&journal);
    assert_eq!(keys(&recovered), [&b"after"[..], b"two"]);

    mount_as(&journal, SEGMENT, 2);
    put_at(b"newer", one(place(SEGMENT, 2, &[(0, 10)])));
    let recovered = kill_and_open(&journal);
    assert_eq!(recovered.damage, [], "what was replaced is no loss");
    assert_eq!(keys(&recovered), [&b"two"[..], b"newer"]);
    assert_eq!(recovered.objects[0].places, one(there));
    assert_eq!(recovered.segments.len(), 2);
}

#[test]
fn places_that_cannot_be_are_lost_and_named() {
    let directory = tempfile::tempdir().unwrap();
    let (journal, _) = open(directory.path());
    mount(&journal);
    let at = |key, place: Place| {
        let object = ObjectRecord {
            places: one(place),
            ..object(key, 0)
        };
        append(&journal, &Record::Committed(object));
    };
    let here = |pieces: &[(u64, u64)]| place(SEGMENT, 1, pieces);
    at(b"unknown", place(SegmentId(5), 1, &[(0, 1)]));
    at(b"newer", place(SEGMENT, 2, &[(0, 1)]));
    at(b"outside", here(&[(SIZE - 1, 2)]));
    at(b"around", here(&[(0, u64::MAX)]));
    at(b"empty", here(&[(0, 0)]));
    at(b"nowhere", here(&[]));
    at(b"twice", here(&[(500, 10), (505, 10)]));
    at(b"first", here(&[(1000, 10)]));
    at(b"second", here(&[(1009, 1)]));
    at(b"last byte", here(&[(SIZE - 1, 1)]));
    append(&journal, &Record::Reserved(reservation(1, b"late", 2000)));
    at(b"over it", here(&[(2000, 1)]));

    let recovered = kill_and_open(&journal);
    assert_eq!(keys(&recovered), [&b"second"[..], b"last byte", b"over it"]);
    assert!(recovered.reservations.is_empty());
    let lost = |key: &[u8], cause| Damage::Object {
        key: key.into(),
        cause,
    };
    let outside = Lost::OutOfSegment(SEGMENT);
    let overwritten = Lost::Overwritten(SEGMENT);
    let late = Damage::Place {
        key: b"late".as_slice().into(),
        cause: overwritten,
    };
    let expected = [
        lost(b"unknown", Lost::UnknownSegment(SegmentId(5))),
        lost(b"newer", Lost::UnknownSegment(SEGMENT)),
        lost(b"outside", outside),
        lost(b"around", outside),
        lost(b"empty", outside),
        lost(b"nowhere", outside),
        lost(b"twice", overwritten),
        lost(b"first", overwritten),
        late,
    ];
    assert_eq!(recovered.damage, expected);
}

#[test]
fn a_compaction_is_worth_while_when_there_are_enough_records() {
    let directory = tempfile::tempdir().unwrap();
    let journal = filled(directory.path(), 0..50);
    assert!(!journal.wants_compaction());
    commit_numbers(&journal, 50..400);
    assert!(journal.wants_compaction());
    let files = || fs::read_dir(directory.path()).unwrap().count();
    let files_before = files();
    let mut compaction = journal.begin_compaction().unwrap();
    mount_in(&mut compaction);
    for number in 0..400_u64 {
        let key = number.to_be_bytes();
        compaction.write(&commit(&key, 100 * number)).unwrap();
    }
    compaction.finish().unwrap();
    assert!(!journal.wants_compaction());
    assert!(files() < files_before);
    commit_numbers(&journal, 0..200);
    assert!(
        !journal.wants_compaction(),
        "the snapshot is longer than the journal"
    );
    let recovered = kill_and_open(&journal);
    assert_eq!((recovered.objects.len(), recovered.damage), (400, vec![]));
}

#[test]
fn a_journal_that_is_opened_knows_whether_a_compaction_is_worth_while() {
    let directory = tempfile::tempdir().unwrap();
    let journal = filled(directory.path(), 0..400);
    let mut written = Writer::new(Vec::new()).unwrap();
    let head_bytes = written.bytes_written();
    let document = document(SEGMENT, 1);
    let mounted = Record::Mounted {
        segment: SEGMENT,
        document: &document,
    };
    // A segment is written twice, whoever writes it once.
    written.write(&mounted).unwrap();
    let mounted_bytes = written.bytes_written() - head_bytes;
    for number in 0..400_u64 {
        let key = number.to_be_bytes();
        written.write(&commit(&key, 100 * number)).unwrap();
    }
    let bytes = written.bytes_written() - head_bytes + mounted_bytes;
    let killed = kill(&journal);
    drop(journal);
    let reserved = |path: &Path| {
        let files = journal_files(path).into_iter();
        let bytes = files.map(|file| fs::metadata(file).unwrap().len());
        bytes.sum::<u64>()
    };
    assert!(reserved(killed.path()) > reserved(directory.path()));
    for path in [directory.path(), killed.path()] {
        for (compact_bytes, is_wanted) in [(bytes, false), (bytes - 1, true)] {
            let options = JournalOptions {
                compact_bytes,
                ..SMALL
            };
            let (journal, _) = Journal::open(path, &options).unwrap();
            assert_eq!(journal.wants_compaction(), is_wanted, "{compact_bytes}");
        }
    }
}

#[test]
fn the_next_file_is_made_once_half_of_one_is_full() {
    let directory = tempfile::tempdir().unwrap();
    let (journal, _) = open(directory.path());
    let record = commit(b"key", 0);
    let (mut bytes, mut frame_bytes) = (0, 0);
    while bytes + frame_bytes <= SMALL.file_bytes / 2 {
        let files = journal_files(directory.path()).len();
        assert_eq!(files, 1, "{bytes} bytes of {}", SMALL.file_bytes);
        append(&journal, &record);
        let mut written = Writer::new(Vec::new()).unwrap();
        let head_bytes = written.bytes_written();
        written.write(&record).unwrap();
        frame_bytes = usize::try_from(written.bytes_written() - head_bytes).unwrap();
        bytes += frame_bytes;
    }
    append(&journal, &record);
    assert_eq!(journal_files(directory.path()).len(), 2);
}

#[test]
fn what_is_appended_beside_a_compaction_counts_for_the_next_one() {
    let directory = tempfile::tempdir().unwrap();
    let journal = filled(directory.path(), 0..400);
    let mut compaction = journal.begin_compaction().unwrap();
    mount_in(&mut compaction);
    commit_numbers(&journal, 0..400);
    compaction.finish().unwrap();
    assert!(journal.wants_compaction(), "as much as before");
}

#[test]
fn a_journal_stops_where_an_earlier_file_cannot_be_synced() {
    let directory = tempfile::tempdir().unwrap();
    let journal = filled(directory.path(), 0..100);
    let first = &journal_files(directory.path())[0];
    fs::remove_file(first).unwrap();
    // A name that leads to itself: there is something, and nobody can open it.
    symlink(first, first).unwrap();
    let refused = journal.sync().unwrap_err();
    assert!(matches!(refused, JournalError::Io { step: "sync", .. }));
    let refused = journal.append(&commit(b"key", 0)).unwrap_err();
    assert!(matches!(refused, JournalError::Io { step: "sync", .. }));
}

#[test]
fn a_compaction_that_finds_no_file_leaves_the_journal_as_it_was() {
    let directory = tempfile::tempdir().unwrap();
    let (journal, _) = open(directory.path());
    mount(&journal);
    let next = directory.path().join("journal-00000002");
    fs::write(&next, "of others").unwrap();
    let refused = journal.begin_compaction().unwrap_err();
    assert!(matches!(refused, JournalError::Io { step: "make", .. }));
    append(&journal, &commit(b"a", 0));
    fs::remove_file(&next).unwrap();
    let mut compaction = journal.begin_compaction().unwrap();
    mount_in(&mut compaction);
    compaction.write(&commit(b"a", 0)).unwrap();
    compaction.finish().unwrap();
    assert_eq!(keys(&kill_and_open(&journal)), [b"a"]);
}

#[test]
fn compaction_goes_on_beside_appends() {
    let directory = tempfile::tempdir().unwrap();
    let journal = filled(directory.path(), 0..100);
    let mut compaction = journal.begin_compaction().unwrap();
    let second = journal.begin_compaction();
    assert!(matches!(second, Err(JournalError::Compacting)));
    mount_in(&mut compaction);
    for number in 0..50_u64 {
        let key = number.to_be_bytes();
        compaction.write(&commit(&key, 100 * number)).unwrap();
    }
    // What a slice has told of is removed, and its place given to another.
    let key = 0_u64.to_be_bytes();
    append(
        &journal,
        &Record::Removed {
            key: &key,
            cause: 0,
        },
    );
    append(&journal, &commit(b"new", 0));
    // What a slice is yet to tell of is moved.
    let key = 99_u64.to_be_bytes();
    let moved = Record::Moved {
        key: &key,
        from: place(SEGMENT, 1, &[(9900, 100)]).spot(),
        place: place(SEGMENT, 1, &[(20_000, 100)]),
    };
    append(&journal, &moved);
    for number in 50..100_u64 {
        let offset = if number == 99 { 20_000 } else { 100 * number };
        let key = number.to_be_bytes();
        compaction.write(&commit(&key, offset)).unwrap();
    }
    compaction.write(&commit(b"new", 0)).unwrap();
    let before = kill_and_open(&journal);
    compaction.finish().unwrap();
    append(&journal, &commit(b"newest", 30_000));

    let after = kill_and_open(&journal);
    for recovered in [&before, &after] {
        assert_eq!(recovered.damage, []);
        assert_eq!(offset_of(recovered, &0_u64.to_be_bytes()), None);
        assert_eq!(offset_of(recovered, &99_u64.to_be_bytes()), Some(20_000));
        assert_eq!(offset_of(recovered, b"new"), Some(0));
    }
    assert_eq!((before.objects.len(), after.objects.len()), (100, 101));
    assert_eq!(keys(&after).last(), Some(&&b"newest"[..]));

    drop(journal.begin_compaction().unwrap());
    let again = kill_and_open(&journal);
    assert_eq!(again.damage, [], "one that is given up changes nothing");
    assert_eq!(again.objects, after.objects);
}

#[test]
fn records_longer_than_a_file_are_kept_and_too_long_ones_refused() {
    let directory = tempfile::tempdir().unwrap();
    let (journal, _) = open(directory.path());
    let long = vec![7; 100_000];
    append(&journal, &Record::Options(&long));
    let too_long = vec![7; 17 << 20];
    let error = journal.append(&Record::Options(&too_long)).unwrap_err();
    assert!(
        matches!(error, JournalError::TooLong { record_bytes } if record_bytes > 17 << 20),
        "{error}"
    );
    mount(&journal);
    let recovered = kill_and_open(&journal);
    assert_eq!(recovered.damage, []);
    assert_eq!(recovered.options.as_deref(), Some(&long[..]));
    assert_eq!(recovered.segments.len(), 1);
}

#[test]
fn threads_append_whole_records_in_some_order() {
    for durability in [Durability::Process, Durability::Power] {
        let directory = tempfile::tempdir().unwrap();
        let options = JournalOptions {
            durability,
            ..SMALL
        };
        let (journal, _) = Journal::open(directory.path(), &options).unwrap();
        mount(&journal);
        let written = AtomicU64::new(0);
        let write = |thread: u64| {
            for number in 200 * thread..200 * (thread + 1) {
                let record_key = number.to_be_bytes();
                let record = commit(&record_key, 100 * number);
                let position = journal.append(&record).unwrap();
                if number % 50 == 0 {
                    journal.settle(position).unwrap();
                }
                written.fetch_add(1, Ordering::Relaxed);
            }
        };
        thread::scope(|scope| {
            for thread in 0..4 {
                scope.spawn(move || write(thread));
            }
        });
        journal.sync().unwrap();
        let recovered = kill_and_open(&journal);
        assert_eq!(recovered.damage, []);
        assert_eq!(recovered.objects.len() as u64, written.into_inner());
        let number = |key: &[u8]| u64::from_be_bytes(*key.first_chunk().unwrap());
        let numbers: Vec<_> = keys(&recovered).into_iter().map(number).collect();
        for thread in 0..4 {
            let own = numbers.iter().filter(|&&number| number / 200 == thread);
            assert!(own.is_sorted(), "what a thread wrote is in its order");
        }
    }
}

#[test]
fn a_store_is_saved_in_a_file_of_its_own() {
    let directory = tempfile::tempdir().unwrap();
    let path = directory.path().join("saved");
    assert!(matches!(read_file(&path), Err(OpenError::Io { .. })));
    let document = document(SEGMENT, 1);
    let mounted = Record::Mounted {
        segment: SEGMENT,
        document: &document,
    };
    let mut lengths = Vec::new();
    for objects in [3, 2] {
        let mut file = SavedFile::create(&path).unwrap();
        file.write(&mounted).unwrap();
        for number in 0..objects {
            let key = [number];
            file.write(&commit(&key, 100 * u64::from(number))).unwrap();
        }
        lengths.push(file.finish().unwrap());
        let recovered = read_file(&path).unwrap();
        assert_eq!(recovered.objects.len(), usize::from(objects));
        assert_eq!(recovered.damage, []);
        assert_eq!(fs::metadata(&path).unwrap().len(), *lengths.last().unwrap());
    }
    drop(SavedFile::create(&path).unwrap());
    assert_eq!(fs::read_dir(directory.path()).unwrap().count(), 1);
    let error = SavedFile::create(&directory.path().join("absent/saved")).unwrap_err();
    assert!(error.to_string().contains("absent/saved"), "{error}");
}
