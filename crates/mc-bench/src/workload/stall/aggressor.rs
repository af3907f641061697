//! The worst that a thread may do to a store: one row of [`AGGRESSORS`] each.
//!
//! Each prepares a store of so many objects and returns a call. All but the victim's objects are in
//! segments of their own, and the aggressor's puts stay out of the victim's segment, so that the two
//! share nothing but the store.

use std::hint::black_box;

use mc_arena::{PoolBytes, PoolOptions, Population};
use mc_segment::{Memory, Segment, SegmentId, SegmentInfo, SegmentPool, SegmentPoolOptions};
use mc_store::{
    Compaction, ObjectStore, Put, PutError, PutRequest, Removal, StoreOptions, Watermarks,
};

use super::victim::{OBJECT_BYTES, VICTIM, VICTIM_OBJECTS, replace, victim_key};

/// The segment of the aggressor.
const MAIN: SegmentId = SegmentId(2);

/// The first of many segments that are mounted, and their number.
const MOUNTED: u128 = 1_000;
const MOUNTS: u128 = 1_000;

/// Bytes between the bases of segments.
const SEGMENT_STRIDE: u64 = 1 << 40;

/// One way of being in the way.
pub(super) struct Aggressor {
    /// Name in every output.
    pub(super) name: &'static str,
    /// What it does.
    pub(super) summary: &'static str,
    /// Makes a store of so many objects, and what is done to it.
    pub(super) prepare: fn(usize) -> Attack,
}

/// A store, and what is done to it.
pub(super) struct Attack {
    pub(super) store: ObjectStore,
    /// Makes the call of a number, counted from 0; returns whether there is another one.
    pub(super) call: Box<Call>,
}

/// One call to a store.
type Call = dyn FnMut(&ObjectStore, u64) -> bool + Send;

/// Every aggressor, in the order of the output.
pub(super) const AGGRESSORS: &[Aggressor] = &[
    Aggressor {
        name: "skewed_put",
        summary: "puts of 1 MiB into a full segment, between which tiny objects lie",
        prepare: skewed_put,
    },
    Aggressor {
        name: "put_in_pieces",
        summary: "a put in as many pieces as the options allow, where every other object has left",
        prepare: put_in_pieces,
    },
    Aggressor {
        name: "put_that_moves",
        summary: "puts of 128 to 896 KiB into full memory, until one of them has moved something",
        prepare: put_that_moves,
    },
    Aggressor {
        name: "refused_put_leased",
        summary: "puts into a full segment, all of it leased",
        prepare: refused_put_leased,
    },
    Aggressor {
        name: "refused_put_pinned",
        summary: "puts into a full segment, all of it pinned",
        prepare: refused_put_pinned,
    },
    Aggressor {
        name: "first_tenant",
        summary: "puts the first object of a tenant into a full segment, once",
        prepare: first_tenant,
    },
    Aggressor {
        name: "watermark",
        summary: "puts that pass the high watermark of 95 % again and again, until 70 % are left",
        prepare: watermark,
    },
    Aggressor {
        name: "snapshot",
        summary: "asks for all keys",
        prepare: snapshot,
    },
    Aggressor {
        name: "unmount",
        summary: "unmounts the segment that all objects are in, once",
        prepare: unmount,
    },
    Aggressor {
        name: "mount",
        summary: "mounts 1,000 segments, once",
        prepare: mount,
    },
];

/// Objects of 1 MiB among many tiny ones, and what is tiny. The search for a window has to look past
/// all that lie between two large objects.
const GIANTS: usize = 256;
const GIANT_BYTES: u64 = 1 << 20;
const TINY_BYTES: u64 = 64;

/// Puts of a large object, and of as many tiny ones as lay between two, into a full segment.
fn skewed_put(objects: usize) -> Attack {
    let tiny_per_giant = (objects / GIANTS).max(1);
    let bytes = GIANTS as u64 * (GIANT_BYTES + tiny_per_giant as u64 * TINY_BYTES);
    let store = store(bytes, StoreOptions::default());
    let mut next = 0;
    let mut put_both = move |store: &ObjectStore| {
        for tiny in 0..=tiny_per_giant {
            let bytes = if tiny == 0 { GIANT_BYTES } else { TINY_BYTES };
            next += 1;
            commit(put(store, &key(next), bytes));
        }
    };
    (0..GIANTS).for_each(|_| put_both(&store));
    attack(store, move |store, _| {
        put_both(store);
        true
    })
}

/// The most pieces of one put.
const PIECES_MAX: usize = 50_000;

/// A put in as many pieces as the options allow, between objects of which every other has left.
fn put_in_pieces(objects: usize) -> Attack {
    let store = filled(objects, StoreOptions::default());
    for number in (0..objects as u64).step_by(2) {
        remove(&store, number);
    }
    let pieces = PIECES_MAX
        .min(store.options().extents_max as usize)
        .min(objects / 2);
    attack(store, move |store, number| {
        let request = PutRequest {
            max_extents: u32::MAX,
            ..request(pieces as u64 * OBJECT_BYTES)
        };
        let put = store.put(&key(objects as u64 + number), &request);
        drop(put.expect("there are as many holes"));
        true
    })
}

/// Sizes of objects that move, and the bytes that they fill.
const MOVING_BYTES: std::ops::Range<u64> = 1 << 17..7 << 17;
const MOVING_BYTES_ALL: u64 = 128 << 20;

/// Objects that move, about.
const MOVING: usize = 256;

/// Returns a size for the object of a number: all differ, so that hardly any takes the place of another.
fn moving_bytes(number: u64) -> u64 {
    let range = MOVING_BYTES.end - MOVING_BYTES.start;
    // The multiplier of Knuth's hashing: the sizes of numbers that follow one another lie far apart.
    MOVING_BYTES.start + number.wrapping_mul(2_654_435_769) % range
}

/// Puts that may move a byte for each that they store, until one of them does, into memory of this process that
/// is full: beside small objects, which are pinned, of large ones of different sizes, of which every other has left.
///
/// A call ends after [`MOVING`] puts also where none has moved.
fn put_that_moves(objects: usize) -> Attack {
    let small = objects.saturating_sub(MOVING) as u64;
    let options = StoreOptions {
        compaction: Compaction::moving(1.0),
        ..StoreOptions::default()
    };
    let pool = SegmentPool::new(SegmentPoolOptions::default());
    let bytes = MOVING_BYTES_ALL + small * TINY_BYTES;
    let populated = Population::Eager {
        workers: None,
        time_limit: None,
    };
    let memory = PoolOptions::new(bytes).population(populated).map();
    let memory = memory.expect("there is memory for it");
    mount_in(&pool, MAIN, bytes, Memory::pool(PoolBytes::new(memory)));
    let store = store_over(pool, options);
    let mut next = 0;
    let mut left = MOVING_BYTES_ALL;
    while let Some(rest) = left.checked_sub(moving_bytes(next)) {
        left = rest;
        commit(put(&store, &key(next), moving_bytes(next)));
        next += 1;
    }
    for number in u64::MAX - small..u64::MAX {
        commit(put(&store, &key(number), TINY_BYTES));
        assert!(store.pin(&key(number)), "it is stored");
    }
    for number in (0..next).step_by(2) {
        remove(&store, number);
    }
    attack(store, move |store, _| {
        let moved = store.stats().moved;
        for _ in 0..MOVING {
            commit(put(store, &key(next), moving_bytes(next)));
            next += 1;
            if store.stats().moved != moved {
                break;
            }
        }
        true
    })
}

/// A put into a full segment whose objects are all leased.
fn refused_put_leased(objects: usize) -> Attack {
    let store = filled(objects, StoreOptions::default());
    let leases: Vec<_> = (0..objects as u64)
        .map(|number| store.get(&key(number)))
        .collect();
    assert!(leases.iter().all(Option::is_some), "all objects are stored");
    attack(store, move |store, number| {
        black_box(&leases);
        refused_put(store, objects as u64 + number)
    })
}

/// A put into a full segment whose objects are all pinned.
fn refused_put_pinned(objects: usize) -> Attack {
    let store = filled(objects, StoreOptions::default());
    let pinned = (0..objects as u64).filter(|&number| store.pin(&key(number)));
    assert_eq!(pinned.count(), objects, "all objects are stored");
    attack(store, move |store, number| {
        refused_put(store, objects as u64 + number)
    })
}

fn refused_put(store: &ObjectStore, number: u64) -> bool {
    let put = put(store, &key(number), OBJECT_BYTES);
    assert!(put.is_err(), "nobody may leave");
    true
}

/// The first object of a tenant: from there on there are groups.
fn first_tenant(objects: usize) -> Attack {
    let store = filled(objects, StoreOptions::default());
    attack(store, move |store, number| {
        let request = PutRequest {
            tenant: Some("first"),
            ..request(OBJECT_BYTES)
        };
        commit(store.put(&key(objects as u64 + number), &request));
        false
    })
}

/// Puts that pass the high watermark again and again.
fn watermark(objects: usize) -> Attack {
    let watermarks = Watermarks {
        high_percent: 95,
        low_percent: 70,
    };
    let options = StoreOptions {
        watermarks: Some(watermarks),
        ..StoreOptions::default()
    };
    let store = filled(objects, options);
    attack(store, move |store, number| {
        commit(put(store, &key(objects as u64 + number), OBJECT_BYTES));
        true
    })
}

/// The keys of all objects.
fn snapshot(objects: usize) -> Attack {
    let store = filled(objects, StoreOptions::default());
    attack(store, |store, _| {
        black_box(store.keys());
        true
    })
}

/// The end of the segment that all objects are in.
fn unmount(objects: usize) -> Attack {
    let store = filled(objects, StoreOptions::default());
    attack(store, move |store, _| {
        let unmounted = store.unmount(MAIN);
        let unmounted = unmounted.expect("the segment is mounted");
        assert_eq!(unmounted.lost.len(), objects, "all had one replica");
        false
    })
}

/// Many new segments.
fn mount(objects: usize) -> Attack {
    let store = filled(objects, StoreOptions::default());
    attack(store, |store, _| {
        for id in MOUNTED..MOUNTED + MOUNTS {
            mount_one(store.pool(), SegmentId(id), OBJECT_BYTES);
        }
        false
    })
}

fn attack(
    store: ObjectStore,
    call: impl FnMut(&ObjectStore, u64) -> bool + Send + 'static,
) -> Attack {
    let call = Box::new(call);
    Attack { store, call }
}

/// Makes a store with so many objects in a segment that they fill.
fn filled(objects: usize, options: StoreOptions) -> ObjectStore {
    let store = store(objects as u64 * OBJECT_BYTES, options);
    for number in 0..objects as u64 {
        commit(put(&store, &key(number), OBJECT_BYTES));
    }
    store
}

/// Makes a store with an empty segment of so many bytes, and the victim's with its objects.
fn store(bytes: u64, options: StoreOptions) -> ObjectStore {
    let pool = SegmentPool::new(SegmentPoolOptions::default());
    mount_one(&pool, MAIN, bytes);
    store_over(pool, options)
}

/// Makes a store over a pool, with the victim's segment and objects.
fn store_over(pool: SegmentPool, options: StoreOptions) -> ObjectStore {
    mount_one(&pool, VICTIM, 2 * VICTIM_OBJECTS * OBJECT_BYTES);
    let store = ObjectStore::new(pool, options).expect("the watermarks are in order");
    (0..VICTIM_OBJECTS).for_each(|number| replace(&store, &victim_key(number)));
    store
}

fn mount_one(pool: &SegmentPool, id: SegmentId, bytes: u64) {
    mount_in(pool, id, bytes, Memory::Remote);
}

fn mount_in(pool: &SegmentPool, id: SegmentId, bytes: u64, memory: Memory) {
    let number = u64::try_from(id.0).expect("ids are small");
    let (name, base) = (format!("segment-{number}"), number * SEGMENT_STRIDE);
    let info = SegmentInfo::new(id, name, base, bytes);
    pool.mount(Segment::local(info, memory))
        .expect("no two segments have an id or an address in common");
}

fn put(store: &ObjectStore, key: &[u8], bytes: u64) -> Result<Put, PutError> {
    store.put(key, &request(bytes))
}

/// Returns what a put of the aggressor asks for.
fn request(bytes: u64) -> PutRequest<'static> {
    PutRequest {
        excluded: &[VICTIM],
        ..PutRequest::new(bytes)
    }
}

fn remove(store: &ObjectStore, number: u64) {
    store
        .remove(&key(number), Removal::IfIdle)
        .expect("it is stored and idle");
}

fn commit(put: Result<Put, PutError>) {
    let put = put.expect("there is room, or somebody may leave");
    put.commit()
        .expect("the put is seconds away from its deadline");
}

/// Returns a key of the aggressor.
fn key(number: u64) -> [u8; 32] {
    let mut key = [0xA5; 32];
    key[..8].copy_from_slice(&number.to_le_bytes());
    key
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn calls_end_although_the_victim_has_done_its_last_read() {
        let Attack { store, mut call } = put_that_moves(1_000);
        assert!((0..200).all(|number| call(&store, number)));
    }
}
