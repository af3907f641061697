//! A store that survives a restart: two segments, objects with real bytes, eviction, a drained
//! segment, and a snapshot that the next run starts from.
//!
//! ```text
//! cargo run --example store -p mc-segment -- DIRECTORY
//! ```
//!
//! Without a directory the example uses a temporary one and plays both runs. The memory segment is a
//! pool that the environment describes, such as `MC_MMAP_ARENA_POOL_SIZE=64MiB`, see
//! `mc_arena::config`; the other one is a file in the directory.

use std::{
    error::Error,
    fs::{File, OpenOptions},
    path::Path,
};

use mc_arena::{
    ArenaConfig, PagePolicy, PageSize, PoolBytes, PoolOptions as MemoryOptions, config::ArenaMode,
};
use mc_segment::{Memory, PoolOptions, Request, Segment, SegmentId, SegmentInfo, SegmentPool};
use mc_store::{Lease, ObjectStore, Restored, StoreOptions, copy_bytes};

const IN_MEMORY: SegmentId = SegmentId(1);
const IN_FILE: SegmentId = SegmentId(2);
const FILE_BYTES: u64 = 24 << 20;
/// A page of keys and values, and the page of the index that belongs to it.
const PAGE_BYTES: u64 = 3_274_752;
const INDEX_BYTES: u64 = 658_432;

pub(crate) type Outcome<T> = Result<T, Box<dyn Error>>;

#[expect(clippy::print_stdout, reason = "an example shows what it found")]
pub(crate) fn main() -> Outcome<()> {
    if let Some(directory) = std::env::args_os().nth(1) {
        let directory = Path::new(&directory);
        return if directory.join("snapshot").exists() {
            second_run(directory)
        } else {
            first_run(directory)
        };
    }
    let directory = tempfile::tempdir()?;
    first_run(directory.path())?;
    println!("\n-- restart --\n");
    second_run(directory.path())
}

/// Fills a store, empties the segment that does not outlive the process, and saves the rest.
#[expect(clippy::print_stdout, reason = "an example shows what it found")]
fn first_run(directory: &Path) -> Outcome<()> {
    let pool = SegmentPool::new(PoolOptions::default());
    let memory = memory_from_environment()?;
    let memory_bytes = memory.len() as u64;
    let in_memory = SegmentInfo::new(IN_MEMORY, "memory", 1 << 40, memory_bytes);
    pool.mount(Segment::local(in_memory, Memory::pool(memory)))?;
    let in_file = SegmentInfo {
        endpoint: "file".to_owned(),
        ..SegmentInfo::new(IN_FILE, "file", 0, FILE_BYTES)
    };
    pool.mount(Segment::local(
        in_file,
        Memory::file(segment_file(directory)?),
    ))?;
    let store = ObjectStore::new(pool, StoreOptions::default())?;

    // Twice as much as there is room for: the pages used longest ago leave.
    let pages = 2 * (memory_bytes + FILE_BYTES) / (PAGE_BYTES + INDEX_BYTES);
    for page in 0..pages {
        for (part, size) in [("kv", PAGE_BYTES), ("index", INDEX_BYTES)] {
            let key = format!("{page}/{part}");
            let mut put = store.put(key.as_bytes(), &Request::new(size))?;
            put.replicas_mut()[0].write_at(0, &contents(&key, size))?;
            put.commit();
        }
    }
    let stats = store.stats();
    println!(
        "put {} objects, {} of them are stored",
        stats.committed, stats.objects
    );
    println!(
        "evicted {} bytes for {} placed",
        stats.on_demand.bytes, stats.placed_bytes_on_demand
    );

    // A lease keeps an object where it is while it is read.
    let newest = format!("{}/kv", pages - 1);
    check(
        &store
            .get(newest.as_bytes())
            .ok_or("the newest page is gone")?,
    )?;

    // What is in memory would not survive the process.
    store.pool().drain(IN_MEMORY)?;
    let moved = store.move_out(IN_MEMORY, copy_bytes)?;
    store.pool().finish_drain(IN_MEMORY)?;
    store.pool().begin_unmount(IN_MEMORY)?;
    store.pool().finish_unmount(IN_MEMORY)?;
    println!(
        "drained: {} bytes moved, {} objects left behind",
        moved.bytes, moved.left
    );

    store.save(&directory.join("snapshot"))?;
    println!("saved {} objects", store.stats().objects);
    Ok(())
}

/// Starts from the snapshot and reads every object.
#[expect(clippy::print_stdout, reason = "an example shows what it found")]
fn second_run(directory: &Path) -> Outcome<()> {
    let file = segment_file(directory)?;
    let memory = |_: &SegmentInfo| {
        let file = file.try_clone();
        file.map_or(Memory::Remote, Memory::file)
    };
    let Restored { store, dropped } =
        ObjectStore::load(&directory.join("snapshot"), |saved| saved, memory)?;
    for what in &dropped {
        println!("dropped: {what:?}");
    }
    let mut checked = 0;
    for page in 0..1_000 {
        for part in ["kv", "index"] {
            if let Some(lease) = store.get(format!("{page}/{part}").as_bytes()) {
                check(&lease)?;
                checked += 1;
            }
        }
    }
    println!(
        "restored {} objects, checked {checked}",
        store.stats().objects
    );
    Ok(())
}

fn memory_from_environment() -> Outcome<PoolBytes> {
    let config = ArenaConfig::from_env()?;
    let options = match config.arena {
        ArenaMode::Enabled { pool_bytes } => {
            MemoryOptions::new(pool_bytes.get()).pages(config.arena_pages)
        }
        _ => MemoryOptions::new(16 << 20).pages(PagePolicy::Prefer(PageSize::Auto)),
    };
    Ok(PoolBytes::new(options.map()?))
}

fn segment_file(directory: &Path) -> Outcome<File> {
    let mut options = OpenOptions::new();
    options.read(true).write(true).create(true).truncate(false);
    let file = options.open(directory.join("segment"))?;
    file.set_len(FILE_BYTES)?;
    Ok(file)
}

/// Returns bytes that differ from key to key.
fn contents(key: &str, size: u64) -> Vec<u8> {
    let bytes = key.bytes().cycle().zip(0_u8..=250);
    let period: Vec<u8> = bytes.map(|(key, index)| key ^ index).collect();
    let bytes = period.iter().copied().cycle();
    bytes
        .take(usize::try_from(size).unwrap_or(usize::MAX))
        .collect()
}

/// Compares all bytes of an object with those that were written.
fn check(lease: &Lease) -> Outcome<()> {
    let key = std::str::from_utf8(lease.key())?;
    let mut bytes = vec![0; usize::try_from(lease.size())?];
    lease.replicas()[0].read_at(0, &mut bytes)?;
    if bytes == contents(key, lease.size()) {
        return Ok(());
    }
    Err(format!("the bytes of {key} are not what was written").into())
}
