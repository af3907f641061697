//! Damaged journals: what is hit is lost and named, and nothing else is lost.

use std::{fs, time::Duration};

use crate::common::journal::{
    SEGMENT, SMALL, append, commit, commit_numbers, filled, journal_files, keys, mount, mount_in,
    open, place, small_file,
};
use mc_store::journal::{
    Damage, Journal, JournalOptions, Lost, Record, Recovered, Reservation, read,
};

/// The objects of the small file, in order; the first one's frame is the third.
const KEYS: [&[u8]; 3] = [b"a", b"b", b"c"];
const FIRST_FRAME: usize = 2;

#[test]
fn a_changed_bit_costs_one_object_at_most() {
    let (bytes, starts) = small_file();
    for bit in 0..8 * bytes.len() {
        let mut changed = bytes.clone();
        changed[bit / 8] ^= 1 << (bit % 8);
        let recovered = read(&changed[..]).unwrap();
        if recovered.damage.is_empty() {
            assert_eq!(keys(&recovered), KEYS, "bit {bit} belongs to no record");
            continue;
        }
        let hit = starts.partition_point(|&start| start <= bit / 8) - 1;
        let mut expected = KEYS.to_vec();
        if let Some(object) = hit.checked_sub(FIRST_FRAME).filter(|object| *object < 3) {
            expected.remove(object);
        }
        assert_eq!(keys(&recovered), expected, "bit {bit}");
        let is_hit = |damage: &Damage| match damage {
            Damage::Bytes { offset, bytes, .. } => {
                let range = *offset..offset + bytes;
                range.contains(&(bit as u64 / 8)) && range.end <= starts[hit + 1] as u64
            }
            _ => false,
        };
        let damage = &recovered.damage;
        assert!(damage.iter().any(is_hit), "bit {bit}: {damage:?}");
    }
}

#[test]
fn a_file_cut_anywhere_gives_what_is_before_the_cut() {
    let (bytes, starts) = small_file();
    for len in 0..bytes.len() {
        let recovered = read(&bytes[..len]).unwrap();
        let objects = |frames: usize| frames.saturating_sub(FIRST_FRAME).min(3);
        let whole = starts.iter().skip(1).filter(|&&end| end <= len).count();
        // Only the last bytes of a frame may be padding.
        let nearly_whole = starts.iter().skip(1).filter(|&&end| end < len + 8).count();
        let kept = recovered.objects.len();
        assert!(objects(whole) <= kept, "cut at {len}");
        assert!(kept <= objects(nearly_whole), "cut at {len}");
        let is_named = !recovered.damage.is_empty();
        assert!(is_named || len + 8 > bytes.len(), "cut at {len}");
    }
}

#[test]
fn bytes_that_are_put_in_or_taken_out_cost_what_is_beside_them() {
    let (bytes, _) = small_file();
    for at in 0..bytes.len() {
        let mut longer = bytes.clone();
        longer.insert(at, 0x5a);
        let mut shorter = bytes.clone();
        shorter.remove(at);
        for changed in [longer, shorter] {
            let recovered = read(&changed[..]).unwrap();
            let (kept, damage) = (recovered.objects.len(), &recovered.damage);
            // The length of the frame that is hit may reach into the next one.
            assert!(kept >= 1, "{at}: {damage:?}");
            assert!(kept == 3 || !damage.is_empty(), "{at}");
        }
    }
}

#[test]
fn a_changed_byte_of_a_journal_costs_one_object_at_most() {
    let directory = tempfile::tempdir().unwrap();
    let options = JournalOptions {
        file_bytes: 512,
        ..SMALL
    };
    let (journal, _) = Journal::open(directory.path(), &options).unwrap();
    mount(&journal);
    commit_numbers(&journal, 0..6);
    drop(journal);
    let files = journal_files(directory.path());
    assert!(files.len() > 1);
    for file in files {
        let bytes = fs::read(&file).unwrap();
        for byte in (0..bytes.len()).step_by(3) {
            let mut changed = bytes.clone();
            changed[byte] ^= 1 << (byte % 8);
            fs::write(&file, &changed).unwrap();
            let recovered = open(directory.path()).1;
            let (kept, damage) = (recovered.objects.len(), &recovered.damage);
            assert!(kept >= 5, "byte {byte} of {}: {damage:?}", file.display());
            assert!(kept == 6 || !damage.is_empty(), "byte {byte}");
        }
        fs::write(&file, &bytes).unwrap();
    }
}

#[test]
fn the_unfinished_record_of_a_process_that_ended_is_no_damage() {
    let directory = tempfile::tempdir().unwrap();
    let (journal, _) = open(directory.path());
    mount(&journal);
    append(&journal, &commit(b"a", 0));
    drop(journal);
    let file = &journal_files(directory.path())[0];
    let whole = fs::read(file).unwrap();
    let recovered_with = |tail: &[u8]| {
        fs::write(file, [&whole[..], tail].concat()).unwrap();
        open(directory.path()).1
    };
    let unfinished = [&[0; 8][..], &[0x5a; 40], &[0; 16]].concat();
    assert_eq!(recovered_with(&unfinished).damage, []);
    let damaged = [&[0x5a; 48][..], &[0; 16]].concat();
    let Recovered {
        damage, objects, ..
    } = recovered_with(&damaged);
    let [Damage::Bytes { offset, bytes, .. }] = damage[..] else {
        panic!("{damage:?}")
    };
    assert_eq!((offset, bytes), (whole.len() as u64, 48));
    assert_eq!(objects.len(), 1);
}

#[test]
fn a_page_that_never_reached_the_disk_costs_its_records() {
    let directory = tempfile::tempdir().unwrap();
    let options = JournalOptions {
        file_bytes: 1 << 16,
        ..SMALL
    };
    let (journal, _) = Journal::open(directory.path(), &options).unwrap();
    mount(&journal);
    commit_numbers(&journal, 0..200);
    drop(journal);
    let file = &journal_files(directory.path())[0];
    let mut bytes = fs::read(file).unwrap();
    bytes[8192..12288].fill(0);
    fs::write(file, &bytes).unwrap();
    let recovered = open(directory.path()).1;
    let [
        Damage::Bytes { offset, bytes, .. },
        Damage::Records { records, .. },
    ] = recovered.damage[..]
    else {
        panic!("{:?}", recovered.damage)
    };
    assert!(offset <= 8192 && 12288 <= offset + bytes && bytes < 4096 + 400);
    assert_eq!(recovered.objects.len() as u64, 200 - records);
}

#[test]
fn a_journal_file_that_is_missing_is_named_with_its_records() {
    let directory = tempfile::tempdir().unwrap();
    let journal = filled(directory.path(), 0..300);
    drop(journal);
    let files = journal_files(directory.path());
    fs::remove_file(&files[2]).unwrap();
    let recovered = open(directory.path()).1;
    let [Damage::Records { file, records, .. }] = &recovered.damage[..] else {
        panic!("{:?}", recovered.damage)
    };
    assert_eq!(file, &files[3]);
    assert_eq!(recovered.objects.len() as u64, 300 - records);
}

#[test]
fn a_file_of_a_later_life_that_is_missing_is_named_with_its_records() {
    let directory = tempfile::tempdir().unwrap();
    let journal = filled(directory.path(), 0..300);
    drop(journal);
    let first_life = journal_files(directory.path()).len();
    let (journal, _) = open(directory.path());
    commit_numbers(&journal, 300..450);
    drop(journal);
    let files = journal_files(directory.path());
    fs::remove_file(&files[first_life + 1]).unwrap();
    let recovered = open(directory.path()).1;
    let [Damage::Records { file, records, .. }] = &recovered.damage[..] else {
        panic!("{:?}", recovered.damage)
    };
    assert_eq!(file, &files[first_life + 2]);
    assert_eq!(recovered.objects.len() as u64, 450 - records);
}

#[test]
fn a_snapshot_that_is_missing_is_missed() {
    let directory = tempfile::tempdir().unwrap();
    let (journal, _) = open(directory.path());
    mount(&journal);
    let mut compaction = journal.begin_compaction().unwrap();
    mount_in(&mut compaction);
    compaction.finish().unwrap();
    append(&journal, &commit(b"a", 0));
    drop(journal);
    fs::remove_file(directory.path().join("snapshot")).unwrap();
    let damage = open(directory.path()).1.damage;
    let [Damage::Records { records, .. }, Damage::Object { .. }] = damage[..] else {
        panic!("{damage:?}")
    };
    assert_eq!(records, 2, "the segment is told of twice");
}

#[test]
fn a_snapshot_with_a_damaged_beginning_loses_nothing() {
    let directory = tempfile::tempdir().unwrap();
    let (journal, _) = open(directory.path());
    mount(&journal);
    append(&journal, &commit(b"before", 0));
    let mut compaction = journal.begin_compaction().unwrap();
    mount_in(&mut compaction);
    compaction.write(&commit(b"before", 0)).unwrap();
    compaction.finish().unwrap();
    append(&journal, &commit(b"after", 100));
    drop(journal);
    let snapshot = directory.path().join("snapshot");
    let whole = fs::read(&snapshot).unwrap();
    for byte in 0..32 {
        let mut changed = whole.clone();
        changed[byte] ^= 0x10;
        fs::write(&snapshot, &changed).unwrap();
        let recovered = open(directory.path()).1;
        assert_eq!(keys(&recovered), [&b"before"[..], b"after"], "byte {byte}");
        let damage = recovered.damage;
        let is_the_beginning = matches!(damage[..], [Damage::Bytes { offset: 0, .. }]);
        assert!(is_the_beginning, "byte {byte}: {damage:?}");
    }
}

/// A process may end before it has removed the files that a snapshot covers.
#[test]
fn files_that_a_snapshot_covers_are_not_read_though_its_beginning_is_damaged() {
    let directory = tempfile::tempdir().unwrap();
    let (journal, _) = open(directory.path());
    mount(&journal);
    append(&journal, &commit(b"removed", 0));
    let first = &journal_files(directory.path())[0];
    let stale = fs::read(first).unwrap();
    let removed = Record::Removed {
        key: b"removed",
        cause: 0,
    };
    append(&journal, &removed);
    let mut compaction = journal.begin_compaction().unwrap();
    mount_in(&mut compaction);
    // In the place of the one that was removed.
    compaction.write(&commit(b"new", 0)).unwrap();
    compaction.finish().unwrap();
    drop(journal);
    let snapshot = directory.path().join("snapshot");
    let mut changed = fs::read(&snapshot).unwrap();
    changed[20] ^= 1;
    fs::write(&snapshot, &changed).unwrap();
    fs::write(first, &stale).unwrap();
    let recovered = open(directory.path()).1;
    assert_eq!(keys(&recovered), [b"new"], "{:?}", recovered.damage);
}

/// What each of these records was hit by, an object that was removed seems to be there; its
/// bytes are another's by then, who may have gone, too.
#[test]
fn an_object_whose_removal_is_damaged_is_not_there_with_the_bytes_of_another() {
    let at = |offset| place(SEGMENT, 1, &[(offset, 100)]);
    let other = |record: &Record<'_>| format!("{record:?}");
    let removed = |key| Record::Removed { key, cause: 0 };
    let reserved = Record::Reserved(Reservation {
        put: 7,
        key: b"other",
        deadline: Duration::ZERO,
        places: [at(50)].into_iter().collect(),
    });
    let moved = Record::Moved {
        key: b"other",
        from: at(50).spot(),
        place: at(500),
    };
    let lives = [
        vec![commit(b"other", 50), removed(b"other")],
        vec![commit(b"other", 50), commit(b"other", 500)],
        vec![commit(b"other", 50), moved],
        vec![reserved, Record::Aborted { put: 7 }],
        // One that reaches less far has the place afterwards.
        vec![
            commit(b"other", 50),
            removed(b"other"),
            commit(b"last", 120),
        ],
    ];
    for life in lives {
        let directory = tempfile::tempdir().unwrap();
        let (journal, _) = open(directory.path());
        mount(&journal);
        append(&journal, &commit(b"stays", 900));
        append(&journal, &commit(b"removed", 0));
        let file = &journal_files(directory.path())[0];
        let before = fs::read(file).unwrap();
        append(&journal, &removed(b"removed"));
        let after = fs::read(file).unwrap();
        life.iter().for_each(|record| append(&journal, record));
        drop(journal);
        let whole = fs::read(file).unwrap();
        let names = |recovered: &Recovered| {
            let names = keys(recovered).into_iter().map(<[u8]>::to_vec);
            names.collect::<Vec<_>>()
        };
        let expected = names(&open(directory.path()).1);
        let hit = before.iter().zip(&after).position(|(a, b)| a != b).unwrap();
        let mut changed = whole.clone();
        changed[hit] ^= 2;
        fs::write(file, &changed).unwrap();
        let recovered = open(directory.path()).1;
        let life: Vec<_> = life.iter().map(other).collect();
        assert_eq!(names(&recovered), expected, "{life:?}");
        let is_named = |damage: &Damage| matches!(damage, Damage::Object { key, cause: Lost::Overwritten(_) } if **key == *b"removed");
        assert!(recovered.damage.iter().any(is_named), "{life:?}");
    }
}

#[test]
fn what_is_repeated_at_the_end_is_counted_among_the_records() {
    let (bytes, starts) = small_file();
    // The segment is told of once more behind the last object.
    let [repeated, end] = [starts[5], bytes.len()];
    let mut changed = bytes.clone();
    changed[repeated + 40] ^= 1;
    let damage = read(&changed[..]).unwrap().damage;
    let [
        Damage::Bytes { offset, bytes, .. },
        Damage::Records {
            offset: behind,
            records,
            ..
        },
    ] = damage[..]
    else {
        panic!("{damage:?}")
    };
    let frame_bytes = (starts[2] - starts[1]) as u64;
    assert_eq!((offset, records), (repeated as u64, 1));
    assert_eq!(behind, offset + frame_bytes, "the record that shows it");
    assert!(bytes <= frame_bytes && behind < end as u64);
}

#[test]
fn an_unfinished_record_of_a_file_that_is_written_in_one_go_is_damage() {
    let (bytes, starts) = small_file();
    let written = &bytes[..starts[5]];
    let unfinished = [written, &[0; 8], &[0x5a; 40]].concat();
    let recovered = read(&unfinished[..]).unwrap();
    assert_eq!(keys(&recovered), KEYS);
    let [Damage::Bytes { offset, bytes, .. }, Damage::End { .. }] = recovered.damage[..] else {
        panic!("{:?}", recovered.damage)
    };
    assert_eq!((offset, bytes), (written.len() as u64, 48));
}
