//! What a journal is told comes back in every detail, and what makes no sense is named.

use std::{fs, os::unix::fs::symlink};

use crate::common::journal::{
    SEGMENT, SMALL, append, commit_numbers, document, journal_files, kill_and_open, mount, object,
    open, terms,
};
use mc_segment::SegmentId;
use mc_store::journal::{
    Damage, Journal, ObjectRecord, OpenError, Record, RecoveredTerms, SavedTerms,
};

/// Terms of which each differs from the first in one thing.
fn alike() -> Vec<SavedTerms<'static>> {
    let mut all = vec![terms(); 8];
    all[1].align = 8192;
    all[2].max_extents = 3;
    all[3].replicas = 3;
    all[4].replicas_least = 2;
    all[5].host = "tsoh";
    all[6].host = "";
    all[7].excluded = vec![SegmentId(8)];
    all
}

fn is(found: &RecoveredTerms, told: &SavedTerms<'_>) -> bool {
    let numbers = |align, max_extents, replicas, replicas_least| {
        (align, u64::from(max_extents), replicas, replicas_least)
    };
    numbers(
        found.align,
        found.max_extents,
        found.replicas,
        found.replicas_least,
    ) == numbers(
        told.align,
        told.max_extents,
        told.replicas,
        told.replicas_least,
    ) && *found.host == *told.host
        && *found.excluded == *told.excluded
}

#[test]
fn terms_that_differ_in_one_thing_come_back_as_they_were() {
    let directory = tempfile::tempdir().unwrap();
    let (journal, _) = open(directory.path());
    mount(&journal);
    let all = alike();
    // Each several times, next to all others.
    let order = (0..all.len()).flat_map(|one| (0..all.len()).flat_map(move |other| [one, other]));
    let order: Vec<usize> = order.collect();
    for (number, &which) in (0_u64..).zip(&order) {
        let key = number.to_be_bytes();
        let record = ObjectRecord {
            terms: all[which].clone(),
            ..object(&key, 100 * number)
        };
        append(&journal, &Record::Committed(record));
    }
    let recovered = kill_and_open(&journal);
    assert_eq!(recovered.objects.len(), order.len());
    for (object, &which) in recovered.objects.iter().zip(&order) {
        let found = &recovered.terms[object.terms];
        assert!(is(found, &all[which]), "{found:?} for {:?}", all[which]);
    }
    // So few are remembered that none is stored twice.
    assert_eq!(recovered.terms.len(), all.len());
}

#[test]
fn a_segment_that_nobody_can_read_is_named() {
    let of_another = document(SegmentId(5), 1);
    for unreadable in [&b"no document"[..], &of_another] {
        let directory = tempfile::tempdir().unwrap();
        let (journal, _) = open(directory.path());
        let mounted = Record::Mounted {
            segment: SEGMENT,
            document: unreadable,
        };
        append(&journal, &mounted);
        let recovered = kill_and_open(&journal);
        assert_eq!(recovered.damage, [Damage::Segment { segment: SEGMENT }]);
        assert!(recovered.segments.is_empty());
        // Once it is mounted again, nothing is missing.
        mount(&journal);
        let recovered = kill_and_open(&journal);
        assert_eq!(recovered.damage, []);
        assert_eq!(recovered.segments.len(), 1);
    }
}

#[test]
fn no_two_files_have_one_id() {
    // What another file has left on a disk is so told from what was written to this one.
    let mut ids = Vec::new();
    for _ in 0..4 {
        let directory = tempfile::tempdir().unwrap();
        let (journal, _) = open(directory.path());
        mount(&journal);
        commit_numbers(&journal, 0..100);
        for file in journal_files(directory.path()) {
            ids.push(fs::read(file).unwrap()[..8].to_vec());
        }
    }
    let count = ids.len();
    assert!(count >= 8, "{count} files");
    ids.sort();
    ids.dedup();
    assert_eq!(ids.len(), count);
}

#[test]
fn a_snapshot_that_cannot_be_opened_is_an_error_and_not_an_empty_store() {
    let directory = tempfile::tempdir().unwrap();
    drop(open(directory.path()));
    let snapshot = directory.path().join("snapshot");
    // A name that leads to itself: there is something, and nobody can read it.
    symlink(&snapshot, &snapshot).unwrap();
    let refused = Journal::open(directory.path(), &SMALL).unwrap_err();
    assert!(matches!(refused, OpenError::Io { path, .. } if path == snapshot));
}
