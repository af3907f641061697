//! Fills a pool in a file, kills the process that filled it, and opens the store again:
//! `reopen [MIB] [DIRECTORY]`.
//!
//! The directory should be on the file system in question; by default it is where memory is shared, whose
//! bytes outlive a process.
#![expect(clippy::print_stdout, reason = "it prints what it measured")]

use std::{
    env,
    error::Error,
    os::unix::process::ExitStatusExt as _,
    path::{Path, PathBuf},
    process::Command,
    time::Instant,
};

use mc_arena::{PoolBytes, PoolOptions};
use mc_segment::{Memory, Segment, SegmentId, SegmentInfo, SegmentPool, SegmentPoolOptions};
use mc_store::{ObjectStore, PutError, PutRequest, StoreOptions};
use nix::{
    sys::signal::{Signal, kill},
    unistd::Pid,
};

type Outcome<T> = Result<T, Box<dyn Error>>;

/// The keys and values of 32 tokens of a model with 70 layers.
const OBJECT_BYTES: u64 = 3_274_752;

/// The argument of the process that fills the pool.
const FILL: &str = "--fill";

fn main() -> Outcome<()> {
    let arguments: Vec<String> = env::args().skip(1).collect();
    let mebibytes = arguments.first().map_or(Ok(1024), |text| text.parse())?;
    let shared = Path::new("/dev/shm");
    let parent = match arguments.get(1) {
        Some(parent) => PathBuf::from(parent),
        None if shared.is_dir() => shared.to_owned(),
        None => env::temp_dir(),
    };
    if arguments.get(2).is_some_and(|argument| argument == FILL) {
        return fill(&parent, mebibytes);
    }
    let directory = tempfile::tempdir_in(parent)?;
    let killed = Command::new(env::current_exe()?)
        .arg(mebibytes.to_string())
        .arg(directory.path())
        .arg(FILL)
        .status()?;
    if killed.signal() != Some(Signal::SIGKILL as i32) {
        return Err(format!("the process that fills the pool ended with {killed}").into());
    }
    reopen(directory.path(), mebibytes)
}

/// Opens the store over the pool, both as they were left.
fn open(directory: &Path, mebibytes: u64) -> Outcome<ObjectStore> {
    std::fs::create_dir_all(directory.join("journal"))?;
    let options = PoolOptions::new(mebibytes << 20).file(directory.join("pool"));
    let memory = options.map()?;
    let info = SegmentInfo {
        epoch: memory.epoch().ok_or("the pool is in no file")?,
        ..SegmentInfo::new(SegmentId(1), "segment", 0, memory.len() as u64)
    };
    let mut segment = Some(Segment::local(info, Memory::pool(PoolBytes::new(memory))));
    let options = StoreOptions {
        has_checksums: true,
        ..StoreOptions::default()
    };
    let pool = SegmentPool::new(SegmentPoolOptions::default());
    let journal = directory.join("journal");
    let opened = ObjectStore::open(&journal, pool, options, |_| segment.take())?;
    if let Some(segment) = segment {
        opened.store.pool().mount(segment)?;
    }
    Ok(opened.store)
}

/// Puts objects until one would have to leave, and dies.
fn fill(directory: &Path, mebibytes: u64) -> Outcome<()> {
    let store = open(directory, mebibytes)?;
    let request = PutRequest::new(OBJECT_BYTES);
    for number in 0.. {
        let mut put = match store.put(&key(number), &request) {
            Ok(put) => put,
            Err(PutError::NoRoom { .. }) => break,
            Err(error) => return Err(error.into()),
        };
        for replica in put.replicas_mut().iter_mut() {
            replica.write_at(0, &contents(number))?;
        }
        put.commit()?;
        // So that none leaves for another.
        if !store.pin(&key(number)) {
            return Err("an object is gone as soon as it was put".into());
        }
    }
    kill(Pid::this(), Signal::SIGKILL)?;
    Err("the process outlived its end".into())
}

fn reopen(directory: &Path, mebibytes: u64) -> Outcome<()> {
    let start = Instant::now();
    let store = open(directory, mebibytes)?;
    let opened = start.elapsed();
    let first = store.get(&key(0)).ok_or("the first object is missing")?;
    if *first.read()? != *contents(0) {
        return Err("the first object has other bytes".into());
    }
    let read = start.elapsed();
    let (mut objects, mut wrong) = (0, 0);
    while let Some(lease) = store.get(&key(objects)) {
        wrong += u64::from(*lease.read()? != *contents(objects));
        objects += 1;
    }
    println!(
        "{objects} objects of {OBJECT_BYTES} bytes: opened after {opened:?}, the first read and verified \
         after {read:?}; {} are stored, {wrong} have wrong bytes",
        store.stats().objects
    );
    match (wrong, store.stats().objects == objects) {
        (0, true) => Ok(()),
        _ => Err("objects are wrong or missing".into()),
    }
}

fn key(number: u64) -> [u8; 8] {
    number.to_be_bytes()
}

/// Returns the bytes of an object, which no other object has.
fn contents(number: u64) -> Vec<u8> {
    let words = (number << 32..).take((OBJECT_BYTES / 8) as usize);
    words.flat_map(u64::to_le_bytes).collect()
}
