//! Random programs of all calls on one thread, beside a shadow that knows which
//! object must be there and which bytes it has.
#![expect(clippy::unwrap_used, reason = "a failed set-up fails the test")]

mod refusals;
mod segments;

use std::{collections::BTreeSet, time::Duration};

use crate::common::{
    objects::{EVICTIONS, Hand, key, number_of, numbers, placed_bytes},
    pattern::{PATTERN_MIN, owner, pattern},
    pool,
    shadow::{Known, Pieces, Shadow, places},
};
use mc_segment::{ReplicaPolicy, Replicas, SegmentId, Strategy};
use mc_store::{
    Cause, CommitError, Compaction, Events, Eviction, Lease, ObjectStore, PolicyKind, Put,
    PutError, PutRequest, Quota, Removal, RemoveError, ShrinkError, StoreOptions, Watermarks,
    copy_bytes,
};
use rand::{RngExt, SeedableRng};
use rand_xoshiro::Xoshiro256PlusPlus;

const SIZES: [u64; 4] = [100_000, 70_000, 150_000, 40_000];
const NUMBERS: u64 = 200;
const MARGIN_SECONDS: u64 = 10;

/// A tenant that is sure of some bytes, and one that has a limit.
const SURE: &str = "sure";
const LIMITED: &str = "limited";
const LIMITED_MOST: u64 = 80_000;

/// A put that is not committed.
struct Flight {
    number: u64,
    version: u64,
    size: u64,
    parts: usize,
    ends_at: u64,
    /// None if it was forgotten.
    put: Option<Put>,
}

/// A lease that is held.
struct Held {
    lease: Lease,
    number: u64,
    known: Known,
}

/// A program and what it knows.
struct Program {
    store: ObjectStore,
    options: StoreOptions,
    events: Events,
    hand: Hand,
    random: Xoshiro256PlusPlus,
    shadow: Shadow,
    in_flight: Vec<Flight>,
    held: Vec<Held>,
    pinned: BTreeSet<u64>,
    closed: BTreeSet<u128>,
    seconds: u64,
    /// Until then there may be timed leases, or space of late puts.
    busy_until: u64,
    versions: u64,
    /// What the tenant that is sure of something is sure of.
    guaranteed: u64,
}

impl Program {
    fn new(options: &StoreOptions, strategy: Strategy, seed: u64) -> Self {
        let hand = Hand::default();
        let options = StoreOptions {
            put_margin: Duration::from_secs(MARGIN_SECONDS),
            ..hand.with(options.clone())
        };
        let store = ObjectStore::new(pool(strategy, seed), options.clone()).unwrap();
        let events = store.events(1 << 16);
        let mut program = Self {
            store,
            options,
            events,
            hand,
            random: Xoshiro256PlusPlus::seed_from_u64(seed),
            shadow: Shadow::default(),
            in_flight: Vec::new(),
            held: Vec::new(),
            pinned: BTreeSet::new(),
            closed: BTreeSet::new(),
            seconds: 0,
            busy_until: 0,
            versions: 0,
            guaranteed: 0,
        };
        (1..=4).for_each(|id| program.mount(id));
        let quota = Quota {
            guaranteed: 0,
            most: Some(LIMITED_MOST),
        };
        program.store.tenant(LIMITED, quota).unwrap();
        program
    }

    fn step(&mut self) {
        match self.random.random_range(0..62) {
            0..16 => self.put(),
            16..26 => self.end_put(),
            26..34 => self.get(),
            34..38 => {
                let left = self.random.random_range(0..=self.held.len());
                self.held.truncate(left);
            }
            38..41 => self.get_for(),
            41 => self.get_many(),
            42..44 => self.read(),
            44..48 => self.remove(),
            48..50 => self.pin(),
            50 => self.end_lease(),
            51 => self.move_out(),
            52 => self.close_or_open(),
            53 => self.lose(),
            54..56 => self.add_replica(),
            56 => self.look(),
            57 => self.set_quotas(),
            58 => self.compact(),
            59 => self.shrink(),
            _ => self.pass(),
        }
        let evicted = self.follow();
        assert!(evicted.is_empty(), "only puts, commits and moves evict");
    }

    /// Gives tenants other quotas.
    fn set_quotas(&mut self) {
        self.guaranteed = [0, 20_000, 60_000][self.random.random_range(0..3)];
        let quota = Quota {
            guaranteed: self.guaranteed,
            most: None,
        };
        self.store.tenant(SURE, quota).unwrap();
    }

    /// Returns the stored bytes of the tenant that is sure of some.
    fn sure_bytes(&self) -> u64 {
        let tenants = self.store.stats().tenants;
        tenants.get(SURE).map_or(0, |tenant| tenant.stored.bytes)
    }

    /// Checks that a put of somebody else has taken from a tenant no object
    /// while it had no more than it is sure of.
    fn check_quotas(&self, request: &PutRequest<'_>, before: u64) {
        let tenants = self.store.stats().tenants;
        assert!(tenants[LIMITED].used_bytes <= LIMITED_MOST);
        if request.tenant != Some(SURE) && before <= self.guaranteed {
            assert_eq!(self.sure_bytes(), before);
        }
    }

    /// Follows what was told, and checks the store.
    #[track_caller]
    fn follow(&mut self) -> Vec<(u64, Known, Cause)> {
        let evicted = self.shadow.follow(&self.events.drain());
        for (number, known, _) in &evicted {
            assert!(!self.pinned.contains(number), "{number} is pinned");
            let mut held = self.held.iter();
            let is_held =
                held.any(|held| held.number == *number && held.known.version == known.version);
            assert!(!is_held, "{number} is leased");
        }
        self.store.check_invariants();
        let expected: BTreeSet<u64> = self.shadow.numbers().collect();
        assert_eq!(numbers(&self.store), expected);
        self.pinned
            .retain(|&number| self.shadow.alive(number).is_some());
        evicted
    }

    fn number(&mut self) -> u64 {
        self.random.random_range(0..NUMBERS)
    }

    fn put(&mut self) {
        let number = self.number();
        let excluded = [SegmentId(self.random.random_range(1..=4))];
        let preferred = [SegmentId(self.random.random_range(1..=4))];
        let count = self.random.random_range(1..=2);
        let ends_in = self.random.random_range(1..100);
        let size = match self.random.random_range(0..12) {
            0 => self.random.random_range(PATTERN_MIN..=70_000),
            _ => self.random.random_range(PATTERN_MIN..=5_000),
        };
        let parts = self.parts_of(size);
        let keep_for = Duration::from_secs(self.random.random_range(0..30));
        let request = PutRequest {
            tenant: [None, Some(SURE), Some(LIMITED)][self.random.random_range(0..3)],
            priority: self.random.random_range(-1..=1),
            keep_until: (self.random.random_range(0..4) == 0).then(|| self.store.now() + keep_for),
            replicas: Replicas {
                count,
                policy: match self.random.random_range(0..4) {
                    0 => ReplicaPolicy::BestEffort,
                    _ => ReplicaPolicy::Exact,
                },
            },
            max_extents: self.random.random_range(1..=3),
            align: 1 << self.random.random_range(0..8),
            excluded: &excluded[..self.random.random_range(0..=1)],
            preferred: &preferred[..self.random.random_range(0..=1)],
            host: ["", "host-0"][self.random.random_range(0..2)],
            deadline: Some(Duration::from_secs(ends_in)),
            ..match self.random.random_range(0..2) {
                0 => PutRequest::new(size),
                _ => PutRequest::of_parts(&parts),
            }
        };
        let sure_before = self.sure_bytes();
        let moved_before = self.store.stats().moved.bytes;
        let put = self.store.put(&key(number), &request);
        let moved = self.store.stats().moved.bytes - moved_before;
        // Before each part there may be bytes that align it.
        let placed_max = u64::from(count) * (size + parts.len() as u64 * request.align);
        let budget = self.options.compaction.moved_per_placed * placed_max as f64;
        assert!(moved as f64 <= budget, "{moved} of {budget} bytes");
        let evicted = self.follow();
        self.check_quotas(&request, sure_before);
        match put {
            Ok(put) => {
                self.check_victims(&evicted, &request);
                self.begin(number, (size, request.parts), ends_in, put);
            }
            Err(error) => {
                assert!(
                    evicted.is_empty(),
                    "{error} and {evicted:?} for {request:?}"
                );
                self.check_refusal(number, error);
            }
        }
    }

    /// Cuts an object into up to four parts.
    fn parts_of(&mut self, size: u64) -> Vec<u64> {
        let mut ends: Vec<u64> = (0..3).map(|_| self.random.random_range(0..=size)).collect();
        ends.extend([0, size]);
        ends.sort_unstable();
        ends.dedup();
        ends.windows(2).map(|ends| ends[1] - ends[0]).collect()
    }

    /// Writes the bytes of a put.
    fn begin(&mut self, number: u64, (size, parts): (u64, &[u64]), ends_in: u64, mut put: Put) {
        self.versions += 1;
        let bytes = pattern(number, self.versions, size);
        put.write(0, &bytes).unwrap();
        let parts = parts.len().max(1);
        assert_eq!(put.descriptors().len(), parts * put.replicas().len());
        let is_lost = self.random.random_range(0..30) == 0;
        if is_lost {
            let ends_at = self.seconds + ends_in + MARGIN_SECONDS;
            self.busy_until = self.busy_until.max(ends_at);
        }
        let ends_at = self.seconds + ends_in;
        let put = match is_lost {
            true => {
                #[expect(clippy::mem_forget, reason = "so a caller may lose it")]
                std::mem::forget(put);
                None
            }
            false => Some(put),
        };
        self.in_flight.push(Flight {
            number,
            version: self.versions,
            size,
            parts,
            ends_at,
            put,
        });
    }

    fn end_put(&mut self) {
        if self.in_flight.is_empty() {
            return;
        }
        let place = self.random.random_range(0..self.in_flight.len());
        if self.in_flight[place].put.is_none() && self.seconds < self.in_flight[place].ends_at {
            return;
        }
        let flight = self.in_flight.swap_remove(place);
        let is_late = self.seconds >= flight.ends_at;
        if is_late {
            let freed_at = flight.ends_at + MARGIN_SECONDS;
            self.busy_until = self.busy_until.max(freed_at);
        }
        let Some(put) = flight.put else {
            return;
        };
        if self.random.random_range(0..8) == 0 {
            drop(put);
            return;
        }
        let known = Known {
            version: flight.version,
            size: flight.size,
            places: places(&put.descriptors(), flight.parts),
        };
        let expected = match (is_late, self.shadow.is_alive(&known)) {
            (true, _) => Err(CommitError::Expired),
            (false, false) => Err(CommitError::Unreadable),
            (false, true) => Ok(()),
        };
        self.shadow.coming.insert(flight.number, known);
        let committed = put.commit();
        self.shadow_of_commit(flight.number, expected, committed);
    }

    fn shadow_of_commit(
        &mut self,
        number: u64,
        expected: Result<(), CommitError>,
        committed: Result<(), CommitError>,
    ) {
        assert_eq!(committed, expected);
        if committed.is_err() {
            self.shadow.coming.remove(&number);
        }
        let evicted = self.follow();
        assert!(
            evicted
                .iter()
                .all(|(_, _, cause)| *cause == Cause::Watermark)
        );
        assert!(evicted.is_empty() || self.options.watermarks.is_some());
    }

    #[track_caller]
    fn check_lease(&self, number: u64, lease: Option<&Lease>) {
        let known = self.shadow.alive(number);
        assert_eq!(lease.is_some(), known.is_some(), "{number}");
        if let (Some(lease), Some(known)) = (lease, known) {
            let bytes = lease.read().unwrap();
            assert_eq!(owner(&bytes), (number, known.version));
            assert_eq!((lease.size(), bytes.len() as u64), (known.size, known.size));
            let alive = known.places.iter();
            let alive = alive.filter(|(id, epoch)| self.shadow.epochs.get(id) == Some(epoch));
            let mut expected: Vec<_> = alive.copied().collect();
            let mut found = places(&lease.descriptors(), lease.parts().len());
            expected.sort_unstable();
            found.sort_unstable();
            assert_eq!(found, expected, "{number}");
        }
    }

    fn get(&mut self) {
        let number = self.number();
        let lease = self.store.get(&key(number));
        self.check_lease(number, lease.as_ref());
        if let Some(lease) = lease
            && self.held.len() < 12
        {
            let known = self.shadow.alive(number).unwrap().clone();
            self.held.push(Held {
                lease,
                number,
                known,
            });
        }
    }

    fn get_for(&mut self) {
        let number = self.number();
        let time = self.random.random_range(0..20);
        let lease = self.store.get_for(&key(number), Duration::from_secs(time));
        self.check_lease(number, lease.as_ref());
        self.busy_until = self.busy_until.max(self.seconds + time);
    }

    fn get_many(&mut self) {
        let first = self.number();
        let asked: Vec<u64> = (first..first + 5).collect();
        let keys: Vec<_> = asked.iter().map(|&number| key(number)).collect();
        let leases = self.store.get_many(&keys);
        let is_alive = |&&number: &&u64| self.shadow.alive(number).is_some();
        assert_eq!(leases.len(), asked.iter().take_while(is_alive).count());
        for (&number, lease) in asked.iter().zip(&leases) {
            self.check_lease(number, Some(lease));
        }
    }

    fn read(&mut self) {
        let number = self.number();
        let bytes = self.store.read(&key(number)).unwrap();
        let known = self.shadow.alive(number);
        let found = bytes.map(|bytes| owner(&bytes));
        assert_eq!(found, known.map(|known| (number, known.version)));
    }

    fn remove(&mut self) {
        let number = self.number();
        let removal = match self.random.random_range(0..4) {
            0 => Removal::Detach,
            1 => Removal::Now,
            _ => Removal::IfIdle,
        };
        let is_alive = self.shadow.alive(number).is_some();
        let is_pinned = self.pinned.contains(&number);
        let removed = match self.random.random_range(0..2) {
            0 => self.store.remove(&key(number), removal),
            _ => self.store.remove_many(&[key(number)], removal).remove(0),
        };
        match removed {
            Ok(()) => assert!(is_alive && (removal == Removal::Now || !is_pinned)),
            Err(RemoveError::NotStored) => assert!(!is_alive),
            Err(RemoveError::Pinned) => assert!(is_pinned && removal != Removal::Now),
            Err(RemoveError::Leased) => {
                let is_held = self.held.iter().any(|held| held.number == number);
                assert!(removal == Removal::IfIdle);
                assert!(is_held || self.seconds < self.busy_until);
            }
            Err(other) => panic!("{other}"),
        }
    }

    fn pin(&mut self) {
        let number = self.number();
        let is_alive = self.shadow.alive(number).is_some();
        if self.pinned.len() < 5 && self.random.random_range(0..2) == 0 {
            assert_eq!(self.store.pin(&key(number)), is_alive);
            if is_alive {
                self.pinned.insert(number);
            }
        } else {
            for number in std::mem::take(&mut self.pinned) {
                assert!(self.store.unpin(&key(number)));
            }
            assert_eq!(self.store.unpin(&key(number)), is_alive);
        }
        assert_eq!(self.store.stats().pinned, self.pinned.len() as u64);
    }

    fn end_lease(&mut self) {
        for number in 0..NUMBERS {
            if self.store.end_lease(&key(number)) {
                assert!(self.seconds < self.busy_until);
            }
        }
        // Late puts may still have space.
    }

    fn look(&mut self) {
        let stats = self.store.stats();
        self.follow();
        assert_eq!(stats.objects, self.shadow.numbers().count() as u64);
        let dead: BTreeSet<u64> = {
            let dead = self.store.drop_unreadable();
            dead.iter().map(|key| number_of(key)).collect()
        };
        assert!(dead.is_empty(), "stats have dropped them");
        for under in self.store.under_replicated() {
            let known = self.shadow.alive(number_of(&under.key)).unwrap();
            let alive = known.places.iter();
            let alive = alive.filter(|(id, epoch)| self.shadow.epochs.get(id) == Some(epoch));
            assert_eq!(alive.count(), under.readable as usize);
        }
        let listed: BTreeSet<u64> = {
            let listed = self.store.in_flight();
            listed.iter().map(|put| number_of(&put.key)).collect()
        };
        let in_flight = self.in_flight.iter();
        let in_flight = in_flight.filter(|put| self.seconds < put.ends_at);
        let expected: BTreeSet<u64> = in_flight.map(|put| put.number).collect();
        assert_eq!(listed, expected);
        self.check_bytes();
    }

    fn pass(&mut self) {
        let seconds = self.random.random_range(0..6);
        self.hand.pass_seconds(seconds);
        self.seconds += seconds;
    }

    /// Checks that every object has its bytes, and none those of another.
    fn check_bytes(&self) {
        let mut pieces = Pieces::default();
        let mut leases = Vec::new();
        for number in 0..NUMBERS {
            let lease = self.store.get(&key(number));
            self.check_lease(number, lease.as_ref());
            if let (Some(lease), Some(known)) = (&lease, self.shadow.alive(number)) {
                pieces.add(number, known.version, &lease.descriptors());
            }
            leases.extend(lease);
        }
        for held in &self.held {
            pieces.add(held.number, held.known.version, &held.lease.descriptors());
            match held.lease.read() {
                Ok(bytes) => assert_eq!(owner(&bytes), (held.number, held.known.version)),
                Err(_) => assert!(!self.shadow.is_alive(&held.known)),
            }
        }
        for flight in &self.in_flight {
            if let Some(put) = &flight.put {
                pieces.add(flight.number, flight.version, &put.descriptors());
            }
        }
        pieces.check();
    }

    /// Ends all that is in use; everything can leave then.
    fn end(mut self) {
        self.check_bytes();
        self.held.clear();
        self.in_flight.clear();
        for id in std::mem::take(&mut self.closed) {
            self.store.pool().resume(SegmentId(id)).unwrap();
        }
        self.hand.pass_seconds(10_000);
        for number in numbers(&self.store) {
            self.store.unpin(&key(number));
            let removed = self.store.remove(&key(number), Removal::IfIdle);
            assert_eq!(removed, Ok(()), "{number}");
        }
        let stats = self.store.stats();
        assert_eq!(
            (stats.objects, stats.live_bytes, stats.in_flight),
            (0, 0, 0)
        );
        assert_eq!((stats.lingering, stats.pinned), (0, 0));
        assert_eq!(placed_bytes(self.store.pool()), 0);
        self.store.check_invariants();
    }
}

/// Runs programs of one policy with each strategy.
fn run_programs(watermarks: Option<Watermarks>, compaction: Compaction, steps: u32) {
    for (seed, policy) in (0..).zip(PolicyKind::ALL) {
        for eviction in EVICTIONS {
            for (more, strategy) in (0..).zip(Strategy::ALL) {
                let options = StoreOptions {
                    policy,
                    eviction,
                    watermarks,
                    compaction,
                    has_checksums: more % 2 == 0,
                    ..StoreOptions::default()
                };
                let mut program = Program::new(&options, strategy, seed << 8 | more);
                (0..steps).for_each(|_| program.step());
                program.end();
            }
        }
    }
}

#[test]
fn random_programs_lose_nothing_and_mix_nothing_up() {
    run_programs(None, Compaction::OFF, 2_000);
}

#[test]
fn random_programs_with_watermarks_lose_nothing_and_mix_nothing_up() {
    let watermarks = Some(Watermarks {
        high_percent: 80,
        low_percent: 60,
    });
    run_programs(watermarks, Compaction::default(), 1_000);
}

#[test]
fn random_programs_that_move_lose_nothing_and_mix_nothing_up() {
    run_programs(None, Compaction::moving(2.0), 1_000);
}
