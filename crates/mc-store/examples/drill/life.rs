//! A process that uses the store until it is killed.

use std::{
    collections::BTreeMap,
    io::{self, Write as _},
    path::Path,
    process, thread,
    time::Duration,
};

use mc_segment::{Replicas, SegmentId, SegmentState};
use mc_store::{
    EventKind, Events, ObjectStore, PolicyKind, PutError, PutRequest, Quota, Removal, copy_bytes,
};
use rand::RngExt as _;
use rand_xoshiro::{Xoshiro256PlusPlus, rand_core::SeedableRng as _};

use crate::{
    OBJECT_BYTES_MAX, Outcome, SEGMENT_BYTES, SEGMENTS, open,
    told::{Stored, Told},
};

/// Keys of one thread.
const KEYS: u64 = 200;

/// Threads of every other pair of lives.
const THREADS: u64 = 2;

/// The most bytes that are stored in a life in which nothing may be evicted: much less than there are, so
/// that pieces always fit.
const QUIET_BYTES: u64 = SEGMENTS * SEGMENT_BYTES / 4;

/// Milliseconds that it may take until all are told that an object left.
const EVENT_PAUSES_MAX: u32 = 1000;

/// Who the objects are of; the first one has a limit in lives that evict.
const TENANTS: [&str; 2] = ["tenant-0", "tenant-1"];

/// A thread that uses the store until its process is killed.
struct Life {
    thread: u64,
    store: ObjectStore,
    events: Events,
    random: Xoshiro256PlusPlus,
    is_quiet: bool,
    /// Whether no other thread runs, so that all keys are this one's.
    is_alone: bool,
    /// What it has stored itself.
    objects: BTreeMap<u64, Stored>,
    versions: std::ops::RangeFrom<u64>,
}

/// Says whether a life keeps to what fits.
pub(crate) fn is_quiet(life: u64) -> bool {
    life.is_multiple_of(2)
}

/// Says how many threads a life has.
pub(crate) fn threads(life: u64) -> u64 {
    if life % 4 < 2 { 1 } else { THREADS }
}

pub(crate) fn live(directory: &Path, seed: u64, life: u64) -> Outcome<()> {
    let policies = PolicyKind::ALL;
    let policy = policies[usize::try_from(life)? % policies.len()];
    let store = open(directory, policy)?;
    for number in 1..=SEGMENTS {
        // The life before was just emptying it.
        store.pool().resume(SegmentId(number.into()))?;
    }
    let quota = Quota {
        guaranteed: SEGMENT_BYTES / 4,
        most: (!is_quiet(life)).then_some(SEGMENT_BYTES),
    };
    store.tenant(TENANTS[0], quota)?;
    let mut lives = (0..threads(life)).map(|thread| Life {
        thread,
        events: store.events(1 << 16),
        store: store.clone(),
        random: Xoshiro256PlusPlus::seed_from_u64(seed << 32 ^ life << 1 ^ thread),
        is_quiet: is_quiet(life),
        is_alone: threads(life) == 1,
        objects: BTreeMap::new(),
        // No two threads have a version in common.
        versions: (life * THREADS + thread) << 32..,
    });
    let mut first = lives.next().ok_or("a process has a thread")?;
    if first.is_quiet {
        first.is_alone = true;
        first.make_room();
        first.is_alone = threads(life) == 1;
    }
    for mut other in lives.collect::<Vec<_>>() {
        thread::spawn(move || {
            let ended = other.run();
            let _ = writeln!(io::stderr(), "thread {}: {ended:?}", other.thread);
            process::exit(1);
        });
    }
    first.run()
}

impl Life {
    fn run(&mut self) -> Outcome<()> {
        loop {
            self.step()?;
        }
    }

    fn step(&mut self) -> Outcome<()> {
        let key = self.thread * KEYS + self.random.random_range(0..KEYS);
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
            94 => self.compact(),
            95 if self.thread == 0 => self.shrink_and_grow()?,
            96.. if self.thread == 0 => self.empty_a_segment()?,
            _ => {}
        }
        Ok(())
    }

    /// Removes what a life has left that filled the store.
    fn make_room(&mut self) {
        for key in 0..THREADS * KEYS {
            if self.store.stats().live_bytes <= QUIET_BYTES {
                return;
            }
            self.remove(key);
        }
    }

    fn tell(&mut self, told: Told) {
        println!("{}", told.to_line(self.thread));
    }

    /// Tells what became of objects of this thread; `begun` is the one that it puts.
    fn tell_events(&mut self, begun: Option<Stored>) {
        for event in self.events.drain() {
            let Ok(key) = event.key[..].try_into().map(u64::from_be_bytes) else {
                continue;
            };
            match (event.kind, begun) {
                _ if !self.is_alone && key / KEYS != self.thread => {}
                (EventKind::Committed, Some(stored)) => {
                    self.objects.insert(key, stored);
                    self.tell(Told::Committed);
                }
                (EventKind::Left(_), _) => {
                    self.objects.remove(&key);
                    self.tell(Told::Left(key));
                }
                _ => {}
            }
        }
    }

    /// Tells what left, and that the step is over.
    fn done(&mut self) {
        self.tell_events(None);
        self.tell(Told::Done);
    }

    fn put(&mut self, key: u64) -> Outcome<()> {
        let size = self.random.random_range(1..=OBJECT_BYTES_MAX);
        if self.is_quiet && self.store.stats().live_bytes + 2 * size > QUIET_BYTES {
            self.remove(key);
            return Ok(());
        }
        let parent = self.random.random_range(0..KEYS).to_be_bytes();
        let version = self.versions.next().ok_or("versions have run out")?;
        let stored = Stored { version, size };
        let request = PutRequest {
            align: 1 << self.random.random_range(0..7),
            max_extents: self.random.random_range(1..3),
            replicas: Replicas::exact(self.random.random_range(1..3)),
            parent: self.random.random::<bool>().then_some(&parent),
            tenant: TENANTS.get(self.random.random_range(0..3)).copied(),
            priority: self.random.random_range(-1..=1),
            cost: Duration::from_micros(self.random.random_range(0..3)),
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
                self.tell_events(Some(stored));
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
            for _ in 0..EVENT_PAUSES_MAX {
                self.tell_events(None);
                if !self.objects.contains_key(&key) {
                    return Ok(());
                }
                // Another thread is about to tell that it left.
                thread::sleep(Duration::from_millis(1));
            }
            return Err(format!("object {key} is lost while the process lives").into());
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
        let removals = [Removal::IfIdle, Removal::Detach];
        let removal = removals[self.random.random_range(0..2)];
        let _ = self.store.remove(&key.to_be_bytes(), removal);
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
        let key = key - key % KEYS + key % 8;
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

    /// Moves what lies at the end of a segment, or lets it leave, and gives the segment its end back.
    fn shrink_and_grow(&mut self) -> Outcome<()> {
        if !self.is_quiet {
            let id = SegmentId(self.random.random_range(1..=SEGMENTS).into());
            self.tell(Told::Move);
            // Something may be leased there.
            let shrunk = self.store.shrink(id, SEGMENT_BYTES - 2 * OBJECT_BYTES_MAX);
            if shrunk.is_ok() {
                self.store.grow(id, SEGMENT_BYTES)?;
            }
            self.done();
        }
        Ok(())
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
