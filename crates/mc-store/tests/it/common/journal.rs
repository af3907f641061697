//! Journals and records for tests.
#![expect(clippy::unwrap_used, reason = "a failed set-up fails the test")]

use std::{
    fs,
    ops::Range,
    path::{Path, PathBuf},
    time::Duration,
};

use mc_segment::{Extent, SegmentId, SegmentInfo, SegmentState};
use mc_store::journal::{
    Compaction, Durability, Journal, JournalOptions, ObjectRecord, Place, Record, Recovered,
    SavedHints, SavedTerms, Writer, encode_segment,
};
use tempfile::TempDir;

pub(crate) const SEGMENT: SegmentId = SegmentId(0x0123_4567_89ab_cdef_0123_4567_89ab_cdef);
pub(crate) const BASE: u64 = 1 << 40;
pub(crate) const SIZE: u64 = 1 << 30;

/// Small files, so that a test has many.
pub(crate) const SMALL: JournalOptions = JournalOptions {
    durability: Durability::Process,
    file_bytes: 4096,
    compact_bytes: 16 << 10,
};

pub(crate) fn info(segment: SegmentId, epoch: u64) -> SegmentInfo {
    SegmentInfo {
        epoch,
        ..SegmentInfo::new(segment, "segment", BASE, SIZE)
    }
}

pub(crate) fn document(segment: SegmentId, epoch: u64) -> Vec<u8> {
    encode_segment(&info(segment, epoch), SegmentState::Ok)
}

pub(crate) fn place(segment: SegmentId, epoch: u64, pieces: &[(u64, u64)]) -> Place {
    let extents = pieces.iter().map(|&(offset, size)| Extent {
        address: BASE + offset,
        size,
    });
    Place {
        segment,
        epoch,
        extents: extents.collect(),
    }
}

pub(crate) fn terms() -> SavedTerms<'static> {
    SavedTerms {
        align: 4096,
        max_extents: 2,
        replicas: 2,
        replicas_least: 1,
        host: "host",
        excluded: vec![SegmentId(7)],
    }
}

/// An object of one piece of 100 bytes in the segment of the tests.
pub(crate) fn object(key: &[u8], offset: u64) -> ObjectRecord<'_> {
    ObjectRecord {
        put: 0,
        key,
        parts: [100].into_iter().collect(),
        terms: terms(),
        places: [place(SEGMENT, 1, &[(offset, 100)])].into_iter().collect(),
        checksum: Some(17),
        is_pinned: false,
        leased_until: Duration::ZERO,
        hints: SavedHints::default(),
    }
}

pub(crate) fn commit(key: &[u8], offset: u64) -> Record<'_> {
    Record::Committed(object(key, offset))
}

pub(crate) fn mount(journal: &Journal) {
    mount_as(journal, SEGMENT, 1);
}

pub(crate) fn mount_as(journal: &Journal, segment: SegmentId, epoch: u64) {
    let document = document(segment, epoch);
    let mounted = Record::Mounted {
        segment,
        document: &document,
    };
    journal.append(&mounted).unwrap();
}

pub(crate) fn open(path: &Path) -> (Journal, Recovered) {
    Journal::open(path, &SMALL).unwrap()
}

/// Returns a copy of what a process would leave that ends now.
pub(crate) fn kill(journal: &Journal) -> TempDir {
    let copy = tempfile::tempdir().unwrap();
    for entry in fs::read_dir(journal.path()).unwrap() {
        let entry = entry.unwrap();
        fs::copy(entry.path(), copy.path().join(entry.file_name())).unwrap();
    }
    copy
}

/// Opens a copy of what a process would leave that ends now.
pub(crate) fn kill_and_open(journal: &Journal) -> Recovered {
    open(kill(journal).path()).1
}

pub(crate) fn append(journal: &Journal, record: &Record<'_>) {
    journal.append(record).unwrap();
}

/// Stores an object under each number, in a place of its own.
pub(crate) fn commit_numbers(journal: &Journal, numbers: Range<u64>) {
    for number in numbers {
        append(journal, &commit(&number.to_be_bytes(), 100 * number));
    }
}

/// Opens a journal, and stores an object under each number.
pub(crate) fn filled(directory: &Path, numbers: Range<u64>) -> Journal {
    let (journal, _) = open(directory);
    mount(&journal);
    commit_numbers(&journal, numbers);
    journal
}

/// Writes the segment of the tests, as the first record of a slice.
pub(crate) fn mount_in(compaction: &mut Compaction<'_>) {
    let document = document(SEGMENT, 1);
    let mounted = Record::Mounted {
        segment: SEGMENT,
        document: &document,
    };
    compaction.write(&mounted).unwrap();
}

pub(crate) fn keys(recovered: &Recovered) -> Vec<&[u8]> {
    recovered
        .objects
        .iter()
        .map(|object| &*object.key)
        .collect()
}

pub(crate) fn offset_of(recovered: &Recovered, key: &[u8]) -> Option<u64> {
    let object = recovered
        .objects
        .iter()
        .find(|object| *object.key == *key)?;
    Some(object.places[0].extents[0].address - BASE)
}

/// A file in memory with a segment and three objects, and where its frames begin.
pub(crate) fn small_file() -> (Vec<u8>, Vec<usize>) {
    let document = document(SEGMENT, 1);
    let mounted = Record::Mounted {
        segment: SEGMENT,
        document: &document,
    };
    let records = [
        mounted,
        commit(b"a", 0),
        commit(b"b", 100),
        commit(b"c", 200),
    ];
    let mut starts = vec![0];
    let mut writer = Writer::new(Vec::new()).unwrap();
    for record in &records {
        starts.push(usize::try_from(writer.bytes_written()).unwrap());
        writer.write(record).unwrap();
    }
    starts.push(usize::try_from(writer.bytes_written()).unwrap());
    let bytes = writer.finish().unwrap();
    starts.push(bytes.len());
    (bytes, starts)
}

/// Returns the journal files of a directory in order.
pub(crate) fn journal_files(path: &Path) -> Vec<PathBuf> {
    let entries = fs::read_dir(path)
        .unwrap()
        .map(|entry| entry.unwrap().path());
    let is_journal = |path: &PathBuf| {
        path.file_name()
            .unwrap()
            .to_str()
            .unwrap()
            .starts_with("journal-")
    };
    let mut files: Vec<_> = entries.filter(is_journal).collect();
    files.sort();
    files
}
