//! Kills a process that uses a store, again and again, opens the store each time, and compares every
//! object with what the process said before it ended: `drill [KILLS] [SEED]`.
//!
//! The process puts, gets, evicts, moves, compacts, shrinks and checks; it tells each step before and after on its
//! output. So what is stored is known but for the step that it was in. In half of its lives it keeps to what fits,
//! so that nothing may be missing; in the others the put that it was in may have evicted. Every other life has two
//! threads with keys of their own: what one stored, the other may evict at any time.
#![expect(
    clippy::print_stdout,
    reason = "the steps and the outcome are its output"
)]

mod ledger;
mod life;
mod told;

use std::{
    env,
    error::Error,
    fs::File,
    io::{BufRead as _, BufReader},
    path::{Path, PathBuf},
    process::{Command, Stdio},
    thread,
    time::{Duration, Instant},
};

use mc_segment::{Memory, Segment, SegmentId, SegmentInfo, SegmentPool, SegmentPoolOptions};
use mc_store::{Compaction, ObjectStore, PolicyKind, StoreOptions, journal::JournalOptions};
use rand::RngExt as _;
use rand_xoshiro::{Xoshiro256PlusPlus, rand_core::SeedableRng as _};

use self::{
    ledger::{Found, Ledger},
    told::Told,
};

type Outcome<T> = Result<T, Box<dyn Error>>;

const SEGMENTS: u64 = 3;
const SEGMENT_BYTES: u64 = 512 << 10;
const OBJECT_BYTES_MAX: u64 = 16 << 10;

/// The longest life.
const LIFE: Duration = Duration::from_millis(150);

fn main() -> Outcome<()> {
    let arguments: Vec<String> = env::args().skip(1).collect();
    let number = |index: usize, default: u64| match arguments.get(index) {
        Some(text) => text.parse().map_err(|_| format!("{text} is no number")),
        None => Ok(default),
    };
    if arguments.first().is_some_and(|first| first == "live") {
        let directory = arguments.get(1).ok_or("a directory is missing")?;
        return life::live(Path::new(directory), number(2, 0)?, number(3, 0)?);
    }
    drill(number(0, 20)?, number(1, 1)?)
}

/// Where the files are: in memory, where the system has such a place.
fn parent() -> PathBuf {
    let shared = Path::new("/dev/shm");
    if shared.is_dir() {
        shared.to_owned()
    } else {
        env::temp_dir()
    }
}

/// Opens the store, whose first life also mounts the segments.
fn open(directory: &Path, policy: PolicyKind) -> Outcome<ObjectStore> {
    let reopen = |info: &SegmentInfo| {
        let file = memory_file(directory, info.id).ok()?;
        Some(Segment::local(info.clone(), Memory::file(file)))
    };
    let pool = SegmentPool::new(SegmentPoolOptions::default());
    let options = StoreOptions {
        journal: JournalOptions {
            file_bytes: 32 << 10,
            compact_bytes: 128 << 10,
            ..JournalOptions::default()
        },
        policy,
        // What killed processes were putting does not fill the store.
        put_deadline: Duration::from_secs(1),
        put_margin: Duration::ZERO,
        compaction: Compaction::moving(2.0),
        ..StoreOptions::default()
    };
    let opened = ObjectStore::open(&directory.join("store"), pool.clone(), options, reopen)?;
    if !opened.damage.is_empty() || !opened.lost.is_empty() {
        return Err(format!("damage: {:?}; lost: {:?}", opened.damage, opened.lost).into());
    }
    for number in 1..=SEGMENTS {
        let id = SegmentId(number.into());
        if pool.state(id).is_none() {
            let base = number << 32;
            let info = SegmentInfo::new(id, format!("segment-{number}"), base, SEGMENT_BYTES);
            let file = memory_file(directory, id)?;
            pool.mount(Segment::local(info, Memory::file(file)))?;
        }
    }
    Ok(opened.store)
}

fn memory_file(directory: &Path, id: SegmentId) -> std::io::Result<File> {
    let mut options = File::options();
    let options = options.read(true).write(true).create(true).truncate(false);
    let file = options.open(directory.join(format!("memory-{id}")))?;
    file.set_len(SEGMENT_BYTES)?;
    Ok(file)
}

fn drill(kills: u64, seed: u64) -> Outcome<()> {
    let directory = tempfile::tempdir_in(parent())?;
    let mut random = Xoshiro256PlusPlus::seed_from_u64(seed);
    let (mut ledger, mut found) = (Ledger::default(), Found::default());
    for life in 0..kills {
        let mut child = Command::new(env::current_exe()?)
            .args(["live".as_ref(), directory.path().as_os_str()])
            .args([seed.to_string(), life.to_string()])
            .stdout(Stdio::piped())
            .spawn()?;
        let output = child.stdout.take().ok_or("the child has no output")?;
        let reader = thread::spawn(move || -> Vec<_> {
            let lines = BufReader::new(output).lines().map_while(Result::ok);
            lines.filter_map(|line| Told::from_line(&line)).collect()
        });
        thread::sleep(LIFE.mul_f64(random.random()));
        child.kill()?;
        let status = child.wait()?;
        let told = reader.join().map_err(|_| "reading what was told failed")?;
        if status.code().is_some() {
            return Err(format!("life {life} of seed {seed} ended by itself: {status}").into());
        }
        for (thread, told) in told {
            ledger.note(thread, told);
        }
        let start = Instant::now();
        let store = open(directory.path(), PolicyKind::default())?;
        found.opening = found.opening.max(start.elapsed());
        ledger
            .compare(&store, life, &mut found)
            .map_err(|error| format!("life {life} of seed {seed}: {error}"))?;
    }
    println!(
        "{kills} kills: {} objects were there with their bytes, none was lost and none had others; {} had \
         been evicted; {} may have been by the put that was hit, {} by the move, and {} by another thread; the \
         store was open again within {:?}",
        found.checked,
        ledger.evicted,
        found.evicted_by_put,
        found.evicted_by_move,
        found.evicted_by_others,
        found.opening
    );
    Ok(())
}
