//! What a record costs, and reading a million objects again: `journal [DIRECTORY]`.
//!
//! The directory should be on the file system in question; by default it is where temporary files are.
#![expect(clippy::print_stdout, reason = "it prints what it measured")]

use std::{
    error::Error,
    path::PathBuf,
    time::{Duration, Instant},
};

use mc_segment::{Extent, SegmentId, SegmentInfo, SegmentState};
use mc_store::journal::{
    Journal, JournalOptions, ObjectRecord, Place, Record, Reservation, SavedHints, SavedTerms,
    encode_segment,
};
use nix::sys::{
    resource::{UsageWho, getrusage},
    time::TimeValLike as _,
};

const OBJECTS: u64 = 1_000_000;
const OBJECT_BYTES: u64 = 4096;
const BASE: u64 = 1 << 40;
const SEGMENT: SegmentId = SegmentId(0x0123_4567_89ab_cdef_0123_4567_89ab_cdef);

fn main() -> Result<(), Box<dyn Error>> {
    let parent = std::env::args_os()
        .nth(1)
        .map_or_else(std::env::temp_dir, PathBuf::from);
    let directory = tempfile::tempdir_in(parent)?;
    let options = JournalOptions::default();
    let (journal, _) = Journal::open(directory.path(), &options)?;
    mount(|record| Ok(journal.append(record).map(drop)?))?;
    let mut nanoseconds = Vec::new();
    for number in 0..OBJECTS {
        let key = key(number);
        let reserved = Record::Reserved(Reservation {
            put: number + 1,
            key: &key,
            deadline: Duration::from_secs(1_800_000_000),
            places: [place(number)].into_iter().collect(),
        });
        let committed = Record::Committed(object(&key, number));
        for record in [reserved, committed] {
            let start = Instant::now();
            journal.append(&record)?;
            nanoseconds.push(start.elapsed().as_nanos());
        }
    }
    nanoseconds.sort_unstable();
    let at = |permille: usize| nanoseconds[(nanoseconds.len() - 1) * permille / 1000];
    println!(
        "a record: p50 {} ns, p99 {} ns, p99.9 {} ns, max {} ns",
        at(500),
        at(990),
        at(999),
        at(1000)
    );
    report("the journal", directory.path(), journal)?;

    let (journal, _) = Journal::open(directory.path(), &options)?;
    let mut compaction = journal.begin_compaction()?;
    let start = Instant::now();
    mount(|record| Ok(compaction.write(record)?))?;
    for number in 0..OBJECTS {
        compaction.write(&Record::Committed(object(&key(number), number)))?;
    }
    compaction.finish()?;
    println!(
        "a snapshot of {OBJECTS} objects is written in {:?}",
        start.elapsed()
    );
    report("the snapshot", directory.path(), journal)?;
    Ok(())
}

fn report(what: &str, directory: &std::path::Path, journal: Journal) -> Result<(), Box<dyn Error>> {
    drop(journal);
    let mut bytes = 0;
    for entry in std::fs::read_dir(directory)? {
        bytes += entry?.metadata()?.len();
    }
    let (start, start_cpu) = (Instant::now(), cpu_time()?);
    let (_journal, recovered) = Journal::open(directory, &JournalOptions::default())?;
    println!(
        "{what}: {} objects of {bytes} bytes are read in {:?}, {:?} of it on the processor; damage {:?}",
        recovered.objects.len(),
        start.elapsed(),
        cpu_time()? - start_cpu,
        recovered.damage
    );
    Ok(())
}

fn cpu_time() -> Result<Duration, Box<dyn Error>> {
    let usage = getrusage(UsageWho::RUSAGE_SELF)?;
    let micros = [usage.user_time(), usage.system_time()].map(|time| time.num_microseconds());
    Ok(Duration::from_micros(u64::try_from(micros[0] + micros[1])?))
}

fn mount(
    write: impl FnOnce(&Record<'_>) -> Result<(), Box<dyn Error>>,
) -> Result<(), Box<dyn Error>> {
    let info = SegmentInfo {
        epoch: 1,
        ..SegmentInfo::new(SEGMENT, "segment", BASE, OBJECTS * OBJECT_BYTES)
    };
    let document = encode_segment(&info, SegmentState::Ok);
    write(&Record::Mounted {
        segment: SEGMENT,
        document: &document,
    })
}

fn key(number: u64) -> [u8; 32] {
    let mut key = [0x2a; 32];
    key[..8].copy_from_slice(&number.wrapping_mul(0x9e37_79b9_7f4a_7c15).to_be_bytes());
    key
}

fn place(number: u64) -> Place {
    // Neighbors in time are none in the segment.
    let slot = number.wrapping_mul(7_919) % OBJECTS;
    let extent = Extent {
        address: BASE + slot * OBJECT_BYTES,
        size: OBJECT_BYTES,
    };
    Place {
        segment: SEGMENT,
        epoch: 1,
        extents: [extent].into_iter().collect(),
    }
}

fn object(key: &[u8], number: u64) -> ObjectRecord<'_> {
    ObjectRecord {
        put: number + 1,
        key,
        parts: [OBJECT_BYTES].into_iter().collect(),
        terms: SavedTerms {
            align: 1,
            max_extents: 1,
            replicas: 1,
            replicas_least: 1,
            host: "",
            excluded: Vec::new(),
        },
        places: [place(number)].into_iter().collect(),
        checksum: None,
        is_pinned: false,
        leased_until: Duration::ZERO,
        hints: SavedHints::default(),
    }
}
