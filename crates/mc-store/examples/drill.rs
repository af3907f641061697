//! Kills a process that uses a store, again and again, opens the store each time, and compares every
//! object with what the process said before it ended: `drill [KILLS] [SEED]`.
//!
//! The process puts, gets, evicts, moves, compacts and checks; it tells each step before and after on its output.
//! So what is stored is known but for the step that it was in. In half of its lives it keeps to what fits,
//! so that nothing may be missing; in the others the put that it was in may have evicted.
#![expect(
    clippy::print_stdout,
    reason = "the steps and the outcome are its output"
)]

use std::{
    collections::{BTreeMap, BTreeSet},
    env,
    error::Error,
    fs::File,
    io::{BufRead as _, BufReader},
    path::{Path, PathBuf},
    process::{Command, Stdio},
    thread,
    time::{Duration, Instant},
};

use mc_segment::{
    Memory, PlacedBuffer, Replicas, Segment, SegmentId, SegmentInfo, SegmentPool,
    SegmentPoolOptions, SegmentState,
};
use mc_store::{
    Compaction, EventKind, Events, ObjectStore, PutError, PutRequest, Removal, StoreOptions,
    copy_bytes, journal::JournalOptions,
};
use rand::RngExt as _;
use rand_xoshiro::{Xoshiro256PlusPlus, rand_core::SeedableRng as _};

type Outcome<T> = Result<T, Box<dyn Error>>;

const SEGMENTS: u64 = 3;
const SEGMENT_BYTES: u64 = 512 << 10;
const KEYS: u64 = 400;
const OBJECT_BYTES_MAX: u64 = 16 << 10;

/// The most bytes that are stored in a life in which nothing may be evicted: much less than there are, so
/// that pieces always fit.
const QUIET_BYTES: u64 = SEGMENTS * SEGMENT_BYTES / 4;

/// The most bytes that one call may evict: what it places, around its place, and a step to a watermark.
const EVICTED_BYTES_MAX: u64 = 16 * OBJECT_BYTES_MAX;

/// The longest life.
const LIFE: Duration = Duration::from_millis(150);

/// Bytes that a file is read in.
const WORD: usize = 8;

fn main() -> Outcome<()> {
    let arguments: Vec<String> = env::args().skip(1).collect();
    let number = |index: usize, default: u64| match arguments.get(index) {
        Some(text) => text.parse().map_err(|_| format!("{text} is no number")),
        None => Ok(default),
    };
    if arguments.first().is_some_and(|first| first == "live") {
        let directory = arguments.get(1).ok_or("a directory is missing")?;
        return live(Path::new(directory), number(2, 0)?, number(3, 0)?);
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
fn open(directory: &Path) -> Outcome<ObjectStore> {
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

/// An object as it should be.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
struct Stored {
    version: u64,
    size: u64,
}

impl Stored {
    /// Returns the bytes of the object, which no other object and no other version has.
    fn contents(self, key: u64) -> Vec<u8> {
        let size = usize::try_from(self.size).unwrap_or(usize::MAX);
        let mut random = Xoshiro256PlusPlus::seed_from_u64(key << 40 ^ self.version);
        let words = size.div_ceil(WORD);
        let mut bytes: Vec<u8> = (0..words)
            .flat_map(|_| random.random::<u64>().to_le_bytes())
            .collect();
        bytes.truncate(size);
        bytes
    }

    /// Says whether all readable replicas of an object have these bytes.
    fn is_whole<'a>(self, key: u64, replicas: impl Iterator<Item = &'a PlacedBuffer>) -> bool {
        let expected = self.contents(key);
        let mut count = 0;
        let whole = replicas
            .filter(|replica| replica.is_readable())
            .all(|replica| {
                count += 1;
                let mut bytes = vec![0; expected.len()];
                replica.size() == self.size
                    && replica.read_at(0, &mut bytes).is_ok()
                    && bytes == expected
            });
        whole && count > 0
    }
}

/// A step of a life, as it is told: before it is done, and what came of it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Told {
    /// A put begins.
    Put(u64, Stored),
    /// The put that began is committed.
    Committed,
    /// A removal begins.
    Remove(u64),
    /// Something begins that may move objects, and evict others on the way.
    Move,
    /// An object left.
    Left(u64),
    Pinned(u64),
    Unpinned(u64),
    /// What began is over.
    Done,
}

impl Told {
    fn to_line(self) -> String {
        match self {
            Self::Put(key, Stored { version, size }) => format!("put {key} {version} {size}"),
            Self::Committed => "committed".to_owned(),
            Self::Remove(key) => format!("remove {key}"),
            Self::Move => "move".to_owned(),
            Self::Left(key) => format!("left {key}"),
            Self::Pinned(key) => format!("pinned {key}"),
            Self::Unpinned(key) => format!("unpinned {key}"),
            Self::Done => "done".to_owned(),
        }
    }

    fn from_line(line: &str) -> Option<Self> {
        let mut words = line.split(' ');
        let word = words.next()?;
        let mut number = || words.next()?.parse().ok();
        Some(match word {
            "put" => {
                let (key, version, size) = (number()?, number()?, number()?);
                Self::Put(key, Stored { version, size })
            }
            "committed" => Self::Committed,
            "remove" => Self::Remove(number()?),
            "move" => Self::Move,
            "left" => Self::Left(number()?),
            "pinned" => Self::Pinned(number()?),
            "unpinned" => Self::Unpinned(number()?),
            "done" => Self::Done,
            _ => return None,
        })
    }
}

/// A process that uses the store until it is killed.
struct Life {
    store: ObjectStore,
    events: Events,
    random: Xoshiro256PlusPlus,
    is_quiet: bool,
    /// What it has stored itself.
    objects: BTreeMap<u64, Stored>,
    versions: std::ops::RangeFrom<u64>,
}

fn live(directory: &Path, seed: u64, life: u64) -> Outcome<()> {
    let store = open(directory)?;
    let mut life = Life {
        events: store.events(1 << 16),
        store,
        random: Xoshiro256PlusPlus::seed_from_u64(seed << 32 ^ life),
        is_quiet: life.is_multiple_of(2),
        objects: BTreeMap::new(),
        // No two lives have a version in common.
        versions: life << 32..,
    };
    life.open_segments()?;
    if life.is_quiet {
        life.make_room();
    }
    loop {
        life.step()?;
    }
}

impl Life {
    fn step(&mut self) -> Outcome<()> {
        let key = self.random.random_range(0..KEYS);
        match self.random.random_range(0..100) {
            0..45 => self.put(key)?,
            45..70 => self.check(key)?,
            70..78 => self.remove(key),
            78..82 => self.abandon(key),
            82..88 => self.pin(key),
            88..92 => drop(
                self.store
                    .get_for(&key.to_be_bytes(), Duration::from_millis(5)),
            ),
            92..94 => self.add_replica(key)?,
            94..96 => self.compact(),
            _ => self.empty_a_segment()?,
        }
        Ok(())
    }

    /// Opens the segments again that the life before was just emptying.
    fn open_segments(&self) -> Outcome<()> {
        for number in 1..=SEGMENTS {
            self.store.pool().resume(SegmentId(number.into()))?;
        }
        Ok(())
    }

    /// Removes what a life has left that filled the store.
    fn make_room(&mut self) {
        for key in 0..KEYS {
            if self.store.stats().live_bytes <= QUIET_BYTES {
                return;
            }
            self.remove(key);
        }
    }

    fn tell(&mut self, told: Told) {
        println!("{}", told.to_line());
    }

    /// Tells which objects left, and that the step is over.
    fn done(&mut self) {
        for event in self.events.drain() {
            if let (EventKind::Left(_), Ok(key)) = (event.kind, event.key[..].try_into()) {
                let key = u64::from_be_bytes(key);
                self.objects.remove(&key);
                self.tell(Told::Left(key));
            }
        }
        self.tell(Told::Done);
    }

    fn put(&mut self, key: u64) -> Outcome<()> {
        let size = self.random.random_range(1..=OBJECT_BYTES_MAX);
        if self.is_quiet && self.store.stats().live_bytes + 2 * size > QUIET_BYTES {
            self.remove(key);
            return Ok(());
        }
        let version = self.versions.next().ok_or("versions have run out")?;
        let stored = Stored { version, size };
        let request = PutRequest {
            align: 1 << self.random.random_range(0..7),
            max_extents: self.random.random_range(1..3),
            replicas: Replicas::exact(self.random.random_range(1..3)),
            ..PutRequest::new(size)
        };
        self.tell(Told::Put(key, stored));
        match self.store.put(&key.to_be_bytes(), &request) {
            Ok(mut put) => {
                let contents = stored.contents(key);
                for replica in put.replicas_mut().iter_mut() {
                    replica.write_at(0, &contents)?;
                }
                put.commit()?;
                self.objects.insert(key, stored);
                self.tell(Told::Committed);
            }
            Err(PutError::Exists) => {}
            Err(error) if self.is_quiet => return Err(error.into()),
            Err(_) => {}
        }
        self.done();
        Ok(())
    }

    /// Checks an object that this life has stored; those of others are checked when it has ended.
    fn check(&mut self, key: u64) -> Outcome<()> {
        let Some(lease) = self.store.get(&key.to_be_bytes()) else {
            return match self.objects.contains_key(&key) {
                true => Err(format!("object {key} is lost while the process lives").into()),
                false => Ok(()),
            };
        };
        match self.objects.get(&key) {
            Some(stored) if !stored.is_whole(key, lease.replicas()) => {
                Err(format!("object {key} has other bytes while the process lives").into())
            }
            Some(_) | None => Ok(()),
        }
    }

    fn remove(&mut self, key: u64) {
        self.tell(Told::Remove(key));
        // A refusal is told by nothing having left.
        let _ = self.store.remove(&key.to_be_bytes(), Removal::IfIdle);
        self.done();
    }

    /// Writes a part of an object and gives it up.
    fn abandon(&mut self, key: u64) {
        if self.is_quiet && self.store.stats().live_bytes + OBJECT_BYTES_MAX > QUIET_BYTES {
            return;
        }
        self.tell(Told::Move);
        if let Ok(mut put) = self
            .store
            .put(&key.to_be_bytes(), &PutRequest::new(OBJECT_BYTES_MAX))
        {
            for replica in put.replicas_mut().iter_mut() {
                let _ = replica.write_at(0, &[0x5a; 1000]);
            }
        }
        self.done();
    }

    fn pin(&mut self, key: u64) {
        // Few are pinned, and for a short time, so that there is always something that may leave.
        let key = key % 8;
        if self.random.random() && self.store.pin(&key.to_be_bytes()) {
            self.tell(Told::Pinned(key));
        } else {
            self.tell(Told::Unpinned(key));
            self.store.unpin(&key.to_be_bytes());
        }
    }

    fn add_replica(&mut self, key: u64) -> Outcome<()> {
        if !self.is_quiet {
            self.tell(Told::Move);
            let _ = self.store.add_replica(&key.to_be_bytes(), copy_bytes)?;
            self.done();
        }
        Ok(())
    }

    /// Moves objects together, so that one is in the middle of a move when the process is killed.
    fn compact(&mut self) {
        self.tell(Told::Move);
        self.store.compact(SEGMENT_BYTES);
        self.done();
    }

    /// Moves everything out of a segment, and opens it again.
    fn empty_a_segment(&mut self) -> Outcome<()> {
        let id = SegmentId(self.random.random_range(1..=SEGMENTS).into());
        self.tell(Told::Move);
        if self.store.pool().state(id) == Some(SegmentState::Ok) {
            self.store.pool().drain(id)?;
        }
        self.store.move_out(id, copy_bytes)?;
        self.store.pool().resume(id)?;
        self.done();
        Ok(())
    }
}

/// What the processes said so far.
#[derive(Default)]
struct Ledger {
    objects: BTreeMap<u64, Stored>,
    pinned: BTreeSet<u64>,
    /// The step that is not over.
    begun: Option<Told>,
    /// Objects that left without being removed.
    evicted: u64,
}

/// What was found after all kills.
#[derive(Default)]
struct Found {
    checked: u64,
    /// Missing, where the put that was not over may have evicted them.
    evicted_by_put: u64,
    /// Missing, where the segment that was being emptied may have taken their places.
    evicted_by_move: u64,
    opening: Duration,
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
        let reader = thread::spawn(move || -> Vec<Told> {
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
        told.into_iter().for_each(|told| ledger.note(told));
        let start = Instant::now();
        let store = open(directory.path())?;
        found.opening = found.opening.max(start.elapsed());
        let is_quiet = life.is_multiple_of(2);
        ledger
            .compare(&store, is_quiet, &mut found)
            .map_err(|error| format!("life {life} of seed {seed}: {error}"))?;
    }
    println!(
        "{kills} kills: {} objects were there with their bytes, none was lost and none had others; {} had \
         been evicted; {} may have been by the put that was hit, and {} by the move; the store was open \
         again within {:?}",
        found.checked, ledger.evicted, found.evicted_by_put, found.evicted_by_move, found.opening
    );
    Ok(())
}

impl Ledger {
    fn note(&mut self, told: Told) {
        match told {
            Told::Put(..) | Told::Remove(_) | Told::Move => self.begun = Some(told),
            Told::Committed => {
                if let Some(Told::Put(key, stored)) = self.begun {
                    self.objects.insert(key, stored);
                }
            }
            Told::Left(key) => {
                self.evicted += u64::from(!matches!(self.begun, Some(Told::Remove(_))));
                self.objects.remove(&key);
                self.pinned.remove(&key);
            }
            Told::Pinned(key) => drop(self.pinned.insert(key)),
            Told::Unpinned(key) => drop(self.pinned.remove(&key)),
            Told::Done => self.begun = None,
        }
    }

    /// Compares a store with what was told, and goes on from what there is.
    fn compare(&mut self, store: &ObjectStore, is_quiet: bool, found: &mut Found) -> Outcome<()> {
        store.check_invariants();
        let begun = self.begun.take();
        let is_begun = |key: u64| match begun {
            Some(Told::Put(begun, _) | Told::Remove(begun)) => begun == key,
            _ => false,
        };
        let may_evict = !is_quiet && matches!(begun, Some(Told::Put(..) | Told::Move));
        let mut evicted_bytes = 0;
        let keys: Vec<u64> = self.objects.keys().copied().collect();
        for key in keys {
            let stored = self.objects[&key];
            match store.get(&key.to_be_bytes()) {
                Some(lease) if stored.is_whole(key, lease.replicas()) => found.checked += 1,
                Some(_) => return Err(format!("object {key} has other bytes").into()),
                None if is_begun(key) && matches!(begun, Some(Told::Remove(_))) => {
                    self.objects.remove(&key);
                }
                None if may_evict && !self.pinned.contains(&key) => {
                    evicted_bytes += stored.size;
                    match begun {
                        Some(Told::Put(..)) => found.evicted_by_put += 1,
                        _ => found.evicted_by_move += 1,
                    }
                    self.objects.remove(&key);
                }
                None => return Err(format!("object {key} is lost; {begun:?}").into()),
            }
        }
        if evicted_bytes > EVICTED_BYTES_MAX {
            return Err(format!("{evicted_bytes} bytes are lost during {begun:?}").into());
        }
        for key in store.keys() {
            let number = u64::from_be_bytes(key[..].try_into()?);
            match begun {
                _ if self.objects.contains_key(&number) => {}
                // It was committed, and not yet told.
                Some(Told::Put(begun, stored)) if begun == number => {
                    let lease = store.get(&key).ok_or("an object that is there is not")?;
                    if !stored.is_whole(number, lease.replicas()) {
                        return Err(format!("object {number} has other bytes").into());
                    }
                    self.objects.insert(number, stored);
                }
                _ => return Err(format!("object {number} has left and is back").into()),
            }
        }
        Ok(())
    }
}
