//! The object store over segments that come, are drained and go, used by several threads.
//!
//! What an object holds follows from its key and size, so that every thread can check every object.

mod segments;

use std::collections::HashMap;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;

use mc_segment::{
    PlacedBuffer, PlacementError, ReplicaPolicy, Replicas, SegmentId, SegmentPool,
    SegmentPoolOptions, Strategy,
};
use mc_store::{
    Clock, Compaction, Eviction, Lease, ObjectStore, PolicyKind, Put, PutError, PutRequest, Quota,
    Removal, RemoveError, StoreOptions, Watermarks,
};
use rand::{RngExt, SeedableRng};

use self::segments::Segments;
use super::{Generator, Layer, on_threads};

pub(super) const LAYER: Layer = Layer { name: "store", run };

/// Operations of one thread in a round.
const STEPS: u64 = 4000;

/// Keys of one thread, of which each is put again and again.
const KEYS: u64 = 200;

/// Who the objects are of.
const TENANTS: [&str; 2] = ["tenant-0", "tenant-1"];

/// The pins of one thread, few enough that the others find objects to evict.
const PINS_MAX: usize = 5;

/// A store and what is under it.
struct Round {
    store: ObjectStore,
    segments: Segments,
    /// Nanoseconds, sometimes set back.
    time: Arc<AtomicU64>,
    threads: u64,
    /// Whether objects are removed though somebody leases or pins them.
    removes_used: bool,
}

/// What one thread holds, which the store must keep.
#[derive(Default)]
struct Holder {
    in_flight: HashMap<u64, Put>,
    held: Vec<Lease>,
    pinned: Vec<u64>,
}

fn run(generator: &mut Generator) -> u64 {
    let round = Round::new(generator);
    on_threads(0..round.threads, generator, |thread, generator| {
        round.work(thread, generator);
    });
    round.check();
    round.empty();
    STEPS * round.threads
}

impl Round {
    fn new(generator: &mut Generator) -> Self {
        let strategies = Strategy::ALL;
        let pool = SegmentPool::new(SegmentPoolOptions {
            strategy: strategies[generator.random_range(0..strategies.len())],
            seed: generator.random(),
        });
        let segments = Segments::mount_some(&pool, generator);
        let time = Arc::new(AtomicU64::new(0));
        let clock = Arc::clone(&time);
        let watermarks = Watermarks {
            high_percent: 90,
            low_percent: 70,
        };
        let evictions = [Eviction::Window, Eviction::InOrder];
        let policies = PolicyKind::ALL;
        let options = StoreOptions {
            policy: policies[generator.random_range(0..policies.len())],
            eviction: evictions[generator.random_range(0..2)],
            compaction: Compaction {
                moved_per_placed: [0.0, 0.5, 4.0][generator.random_range(0..3)],
                ..Compaction::default()
            },
            watermarks: generator.random::<bool>().then_some(watermarks),
            // Relaxed, as no other memory is read because of it.
            clock: Clock::new(move || Duration::from_nanos(clock.load(Ordering::Relaxed))),
            ..StoreOptions::default()
        };
        let store = ObjectStore::new(pool, options).expect("valid options");
        for tenant in TENANTS {
            let guaranteed = generator.random_range(0..=1 << 16);
            let limit = guaranteed + generator.random_range(0..=1 << 18);
            let most = generator.random::<bool>().then_some(limit);
            // Segments may have less than is guaranteed.
            let _ = store.tenant(tenant, Quota { guaranteed, most });
        }
        Self {
            store,
            segments,
            time,
            threads: generator.random_range(1..=3),
            removes_used: generator.random(),
        }
    }

    fn work(&self, thread: u64, generator: &mut Generator) {
        let mut holder = Holder::default();
        for step in 0..STEPS {
            let own = generator.random_range(0..KEYS) * self.threads + thread;
            let any = generator.random_range(0..KEYS * self.threads);
            match generator.random_range(0..40) {
                0..12 => self.put(own, &mut holder, generator),
                12..18 => self.get(any, &mut holder, generator),
                18 => holder.held.clear(),
                19 if holder.pinned.len() < PINS_MAX => {
                    if !holder.pinned.contains(&own) && self.store.pin(&key(own)) {
                        holder.pinned.push(own);
                    }
                }
                20 => self.unpin(&mut holder),
                21..24 => self.remove(own, &holder),
                24..29 => holder.in_flight.drain().for_each(|(_, put)| commit(put)),
                29 => holder.in_flight.clear(),
                30 => {
                    // The second half of all times is for what still runs at the end.
                    let time = generator.random_range(0..u64::MAX / 2);
                    self.time.store(time, Ordering::Relaxed);
                }
                31 if generator.random_ratio(1, 4) => self.segments.disturb(&self.store, generator),
                32 => drop(self.store.compact(1 << generator.random_range(0..18))),
                33 if generator.random_ratio(1, 4) => self.segments.resize(&self.store, generator),
                34 => self.segments.replicate(&self.store, &key(any)),
                35 => drop(self.store.end_lease(&key(any))),
                36 | 37 => {
                    let keys: Vec<_> = (any..any + 4).map(key).collect();
                    let leases = self.store.get_many(&keys);
                    assert!(
                        keys.iter()
                            .zip(&leases)
                            .all(|(key, lease)| lease.key() == key)
                    );
                    leases.iter().for_each(|lease| self.check_bytes(lease));
                    holder.held.extend(leases.into_iter().skip(2));
                }
                38 | 39 if self.removes_used => self.remove_used(own, &mut holder, generator),
                _ => {
                    self.time.fetch_add(1, Ordering::Relaxed);
                }
            }
            if step % 16 == 0 {
                self.check_holder(&holder);
            }
        }
        self.check_holder(&holder);
        self.unpin(&mut holder);
    }

    fn put(&self, number: u64, holder: &mut Holder, generator: &mut Generator) {
        let size_log2 = generator.random_range(1..=16);
        let policies = [ReplicaPolicy::Exact, ReplicaPolicy::BestEffort];
        let parent = key(generator.random_range(0..KEYS * self.threads));
        let until = self.time.load(Ordering::Relaxed) + generator.random_range(0..1000);
        let excluded = SegmentId(generator.random_range(0..8));
        let request = PutRequest {
            parent: generator.random::<bool>().then_some(&parent),
            tenant: generator
                .random::<bool>()
                .then(|| TENANTS[generator.random_range(0..2)]),
            priority: generator.random_range(-1..=1),
            keep_until: generator
                .random::<bool>()
                .then_some(Duration::from_nanos(until)),
            cost: Duration::from_micros(generator.random_range(0..3)),
            excluded: &[excluded],
            align: 1 << generator.random_range(0..=12),
            max_extents: generator.random_range(1..=4),
            replicas: Replicas {
                count: generator.random_range(1..=3),
                policy: policies[generator.random_range(0..2)],
            },
            host: ["", "host-0", "host-1"][generator.random_range(0..3)],
            ..PutRequest::new(generator.random_range(1..=1 << size_log2))
        };
        match self.store.put(&key(number), &request) {
            Ok(mut put) => {
                let bytes = contents(number, request.size);
                for replica in put.replicas_mut().iter_mut() {
                    self.segments.write(replica, &bytes);
                }
                holder.in_flight.insert(number, put);
            }
            Err(PutError::InFlight) => assert!(holder.in_flight.contains_key(&number)),
            // Only its own thread puts an object; others may evict it meanwhile.
            Err(PutError::Exists) => assert!(!holder.in_flight.contains_key(&number)),
            // More than there is, in segments that are open, or names among them.
            Err(
                PutError::NoRoom { .. }
                | PutError::QuotaExceeded { .. }
                | PutError::Place(
                    PlacementError::NoSegment { .. } | PlacementError::TooFewNames { .. },
                ),
            ) => {}
            Err(error) => panic!("{error}"),
        }
    }

    fn get(&self, number: u64, holder: &mut Holder, generator: &mut Generator) {
        let lease = if generator.random() {
            self.store.get(&key(number))
        } else {
            let time = Duration::from_nanos(generator.random_range(0..1000));
            self.store.get_for(&key(number), time)
        };
        if let Some(lease) = lease {
            assert_eq!(lease.key(), key(number));
            self.check_bytes(&lease);
            if generator.random() {
                holder.held.push(lease);
            }
        }
    }

    fn remove(&self, number: u64, holder: &Holder) {
        match self.store.remove(&key(number), Removal::IfIdle) {
            Ok(()) => assert!(
                !holder.pinned.contains(&number) || self.segments.lose_objects,
                "{number} was pinned"
            ),
            Err(RemoveError::Pinned) => assert!(holder.pinned.contains(&number)),
            // Others may lease it, and have it evicted.
            Err(_) => {}
        }
    }

    /// Removes an object of this thread, whoever uses it.
    fn remove_used(&self, number: u64, holder: &mut Holder, generator: &mut Generator) {
        if generator.random() {
            let _ = self.store.remove(&key(number), Removal::Detach);
        } else {
            holder.pinned.retain(|&pinned| pinned != number);
            let _ = self.store.remove(&key(number), Removal::Now);
        }
    }

    fn unpin(&self, holder: &mut Holder) {
        for number in holder.pinned.drain(..) {
            let is_stored = self.store.unpin(&key(number));
            assert!(is_stored || self.segments.lose_objects);
        }
    }

    /// What is leased or pinned is there, unless its segments are gone; what is leased has its bytes.
    fn check_holder(&self, holder: &Holder) {
        for lease in &holder.held {
            let is_stored = self.store.exists(lease.key());
            let is_readable = lease.replicas().any(PlacedBuffer::is_readable);
            assert!(
                is_stored || !is_readable || self.removes_used,
                "{lease:?} is held and gone"
            );
            self.check_bytes(lease);
        }
        for &number in &holder.pinned {
            let is_stored = self.store.exists(&key(number));
            assert!(is_stored || self.segments.lose_objects, "{number} is gone");
        }
    }

    /// Every replica whose segment is there has the bytes of its key.
    fn check_bytes(&self, lease: &Lease) {
        let number = lease.key().try_into().map(u64::from_le_bytes);
        let expected = contents(number.expect("a key of this run"), lease.size());
        for replica in lease.replicas() {
            if let Some(bytes) = self.segments.read(replica) {
                assert!(bytes == expected, "{replica:?} was overwritten");
            }
        }
    }

    fn leases(&self) -> impl Iterator<Item = Lease> {
        let numbers = 0..KEYS * self.threads;
        numbers.filter_map(|number| self.store.get(&key(number)))
    }

    /// Checks everything while no other thread is there.
    fn check(&self) {
        self.store.check_invariants();
        self.store.drop_unreadable();
        let leases: Vec<Lease> = self.leases().collect();
        let mut pieces = Vec::new();
        for lease in &leases {
            self.check_bytes(lease);
            for place in lease.descriptors() {
                let extents = place.extents.iter();
                pieces.extend(extents.map(|piece| (place.segment, piece.address, piece.size)));
            }
        }
        pieces.sort_unstable();
        for pair in pieces.windows(2) {
            let ((id, address, size), (next_id, next, _)) = (pair[0], pair[1]);
            assert!(id != next_id || address + size <= next, "{pair:?} overlap");
        }
        assert_eq!(self.store.stats().objects, leases.len() as u64);
        let live_bytes: u64 = pieces.iter().map(|&(_, _, size)| size).sum();
        assert_eq!(self.store.pool().stats().total.live_bytes, live_bytes);
    }

    /// Takes out all objects; then every segment is one hole.
    fn empty(&self) {
        for number in 0..KEYS * self.threads {
            let _ = self.store.remove(&key(number), Removal::IfIdle);
        }
        // Timed leases of what was detached are over.
        self.time.store(u64::MAX, Ordering::Relaxed);
        let stats = self.store.stats();
        assert_eq!((stats.objects, stats.lingering), (0, 0));
        let pool = self.store.pool();
        let total = pool.stats().total;
        assert_eq!((total.live_bytes, total.free_bytes), (0, total.capacity));
    }
}

/// Commits a put; its deadline may have passed, as the time jumps, or its segments may be gone.
fn commit(put: Put) {
    let _ = put.commit();
}

fn key(number: u64) -> [u8; 8] {
    number.to_le_bytes()
}

/// Returns the bytes of an object.
fn contents(number: u64, size: u64) -> Vec<u8> {
    let mut bytes = vec![0; usize::try_from(size).expect("objects are small")];
    rand::Rng::fill_bytes(&mut Generator::seed_from_u64(number), &mut bytes);
    bytes
}
