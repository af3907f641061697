//! What a store was, folded from the records of its life.
//!
//! Each record says how something is from then on, whatever was before. So records that are read twice,
//! or that tell of something that a snapshot already has, do no harm: the last one about a key holds.
//! What segments have become decides at the end only, and so do bytes that two objects claim; both take
//! one pass, whatever the records were.

use std::{
    collections::HashMap,
    hash::{BuildHasher as _, RandomState},
    sync::Arc,
    time::Duration,
};

use hashbrown::HashTable;
use mc_segment::{SegmentId, SegmentInfo, SegmentState};
use smallvec::SmallVec;

use super::{
    damage::Damage,
    record::{self, ObjectRecord, Place, Places, Record, Reservation, SavedTerms},
    settle,
};

/// A store as it was when the last record was written.
#[derive(Debug, Default)]
#[non_exhaustive]
pub struct Recovered {
    /// The options of the store, as it encodes them.
    pub options: Option<Box<[u8]>>,
    /// The segments that were mounted, in the order of mounting.
    pub segments: Vec<RecoveredSegment>,
    /// The objects, those first that were stored first. No two share a byte.
    pub objects: Vec<RecoveredObject>,
    /// Puts that were neither committed nor given up. Their writers may still
    /// write, so that their space must stay taken until a margin after their
    /// deadline.
    pub reservations: Vec<RecoveredPut>,
    /// The first number that no put has had.
    pub put_next: u64,
    /// Records of kinds that a newer version writes, which were skipped.
    pub unknown_records: u64,
    /// What is missing; nothing if all is whole.
    pub damage: Vec<Damage>,
}

/// A segment that was mounted.
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub struct RecoveredSegment {
    /// What is known about it.
    pub info: SegmentInfo,
    /// The incarnation of its memory.
    pub epoch: u64,
    /// Its state.
    pub state: SegmentState,
}

/// An object that was stored.
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub struct RecoveredObject {
    /// The key.
    pub key: Box<[u8]>,
    /// Bytes of each part.
    pub parts: SmallVec<[u64; 1]>,
    /// What binds later moves; equal ones are shared.
    pub terms: Arc<RecoveredTerms>,
    /// Where each replica is, at least one.
    pub places: Places,
    /// Checksum of the bytes.
    pub checksum: Option<u32>,
    /// Whether it is pinned.
    pub is_pinned: bool,
    /// The end of its timed lease, since 1970; zero if it has none.
    pub leased_until: Duration,
    /// The records before the one that gave each replica its place.
    pub(super) since: SmallVec<[u64; 1]>,
}

/// A put that was in flight.
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub struct RecoveredPut {
    /// Its number.
    pub put: u64,
    /// The key.
    pub key: Box<[u8]>,
    /// When it has to be committed, since 1970.
    pub deadline: Duration,
    /// The space of each replica, at least one.
    pub places: Places,
    /// The records before the one that took the space.
    pub(super) since: u64,
}

/// What of a request for space binds every later move.
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub struct RecoveredTerms {
    /// Power of two at whose multiples the addresses of all pieces are.
    pub align: u64,
    /// Pieces that a replica may be in.
    pub max_extents: u32,
    /// Copies that are wanted.
    pub replicas: u32,
    /// Copies that will do.
    pub replicas_least: u32,
    /// The host of the writer; empty if it is not known.
    pub host: Box<str>,
    /// Segments that must not be used.
    pub excluded: Box<[SegmentId]>,
}

/// Terms that are remembered, so that objects share them.
const TERMS_RECENT: usize = 8;

/// Records so far, and what follows from them.
#[derive(Debug, Default)]
pub(super) struct Fold {
    recovered: Recovered,
    /// Records so far.
    now: u64,
    segments: HashMap<SegmentId, SegmentHistory>,
    /// Objects in the order of storing; `None` where one was removed or stored again.
    objects: Vec<Option<RecoveredObject>>,
    /// Indexes into `objects` by key.
    by_key: HashTable<usize>,
    hasher: RandomState,
    puts: HashMap<u64, RecoveredPut>,
    terms: Vec<Arc<RecoveredTerms>>,
}

/// What is known about a segment.
#[derive(Debug)]
pub(super) struct SegmentHistory {
    /// `None` if it is not mounted any more.
    pub(super) mounted: Option<Mounted>,
    /// Records before the one that unmounted it last: all places of before are void.
    pub(super) void_before: u64,
}

#[derive(Debug)]
pub(super) struct Mounted {
    pub(super) epoch: u64,
    /// Records before the one that mounted it.
    since: u64,
    /// `None` if the document cannot be read.
    pub(super) document: Option<(SegmentInfo, SegmentState)>,
}

impl Fold {
    /// Takes the next record into account.
    pub(super) fn apply(&mut self, record: Record<'_>) {
        self.now += 1;
        match record {
            Record::Head(_) | Record::End { .. } => {}
            Record::Options(bytes) => self.recovered.options = Some(bytes.into()),
            Record::Mounted {
                segment,
                epoch,
                document,
            } => self.mount(segment, epoch, document),
            Record::Unmounted { segment } => {
                let void_before = self.now;
                let gone = SegmentHistory {
                    mounted: None,
                    void_before,
                };
                self.segments.insert(segment, gone);
            }
            Record::Reserved(reservation) => self.reserve(&reservation),
            Record::Committed(object) => self.commit(object),
            Record::Aborted { put } => {
                self.count_put(put);
                self.puts.remove(&put);
            }
            Record::Removed { key, .. } => {
                if let Some(index) = self.take_key(key) {
                    self.objects[index] = None;
                }
            }
            Record::Moved {
                key,
                replica,
                place,
            } => self.relocate(key, replica, place),
            Record::Pinned { key, is_pinned } => {
                if let Some(object) = self.object(key) {
                    object.is_pinned = is_pinned;
                }
            }
            Record::Leased { key, until } => {
                if let Some(object) = self.object(key) {
                    object.leased_until = until;
                }
            }
        }
    }

    /// Notes what is missing.
    pub(super) fn note(&mut self, damage: Damage) {
        self.recovered.damage.push(damage);
    }

    /// Counts a record that a newer version wrote.
    pub(super) fn skip(&mut self) {
        self.recovered.unknown_records += 1;
    }

    fn mount(&mut self, segment: SegmentId, epoch: u64, document: &[u8]) {
        let since = self.now;
        let document = record::decode_segment(document).filter(|(info, _)| info.id == segment);
        let history = self.segments.entry(segment).or_insert(SegmentHistory {
            mounted: None,
            void_before: 0,
        });
        // Another state of the same segment leaves its place in the order.
        let since = history
            .mounted
            .as_ref()
            .map_or(since, |before| before.since);
        history.mounted = Some(Mounted {
            epoch,
            since,
            document,
        });
    }

    fn count_put(&mut self, put: u64) {
        let next = put.saturating_add(1);
        self.recovered.put_next = self.recovered.put_next.max(next);
    }

    fn reserve(&mut self, reservation: &Reservation<'_>) {
        self.count_put(reservation.put);
        let put = RecoveredPut {
            put: reservation.put,
            key: reservation.key.into(),
            deadline: reservation.deadline,
            places: reservation.places.clone(),
            since: self.now,
        };
        self.puts.insert(put.put, put);
    }

    fn commit(&mut self, object: ObjectRecord<'_>) {
        if object.put != 0 {
            self.count_put(object.put);
            self.puts.remove(&object.put);
        }
        if let Some(index) = self.take_key(object.key) {
            self.objects[index] = None;
        }
        let index = self.objects.len();
        let recovered = RecoveredObject {
            key: object.key.into(),
            parts: object.parts,
            terms: self.share(&object.terms),
            since: SmallVec::from_elem(self.now, object.places.len()),
            places: object.places,
            checksum: object.checksum,
            is_pinned: object.is_pinned,
            leased_until: object.leased_until,
        };
        self.objects.push(Some(recovered));
        let hash = self.hasher.hash_one(object.key);
        let (objects, hasher) = (&self.objects, &self.hasher);
        let rehash = |&index: &usize| {
            objects[index]
                .as_ref()
                .map_or(0, |o| hasher.hash_one(&*o.key))
        };
        self.by_key.insert_unique(hash, index, rehash);
    }

    fn relocate(&mut self, key: &[u8], replica: u32, place: Place) {
        let now = self.now;
        let Some(object) = self.object(key) else {
            return;
        };
        let replica = replica as usize;
        if replica < object.places.len() {
            object.places[replica] = place;
            object.since[replica] = now;
        } else if replica == object.places.len() {
            object.places.push(place);
            object.since.push(now);
        }
    }

    fn share(&mut self, terms: &SavedTerms<'_>) -> Arc<RecoveredTerms> {
        if let Some(found) = self.terms.iter().position(|known| known.is(terms)) {
            self.terms[..=found].rotate_right(1);
        } else {
            self.terms.truncate(TERMS_RECENT - 1);
            self.terms.insert(0, Arc::new(RecoveredTerms::from(terms)));
        }
        Arc::clone(&self.terms[0])
    }

    fn object(&mut self, key: &[u8]) -> Option<&mut RecoveredObject> {
        let hash = self.hasher.hash_one(key);
        let objects = &self.objects;
        let is_it = |&index: &usize| objects[index].as_ref().is_some_and(|o| *o.key == *key);
        let index = *self.by_key.find(hash, is_it)?;
        self.objects[index].as_mut()
    }

    /// Takes a key out of the index; returns which object had it.
    fn take_key(&mut self, key: &[u8]) -> Option<usize> {
        let hash = self.hasher.hash_one(key);
        let objects = &self.objects;
        let is_it = |&index: &usize| objects[index].as_ref().is_some_and(|o| *o.key == *key);
        let found = self.by_key.find_entry(hash, is_it).ok()?;
        Some(found.remove().0)
    }

    /// Returns what has become of all.
    pub(super) fn finish(self) -> Recovered {
        let Self {
            mut recovered,
            segments,
            objects,
            by_key,
            puts,
            ..
        } = self;
        drop(by_key);
        recovered.objects = objects.into_iter().flatten().collect();
        recovered.reservations = puts.into_values().collect();
        recovered.reservations.sort_unstable_by_key(|put| put.since);
        recovered.put_next = recovered.put_next.max(1);
        settle::settle(&mut recovered, &segments);
        recovered.segments = segments_in_order(segments);
        recovered
    }
}

fn segments_in_order(segments: HashMap<SegmentId, SegmentHistory>) -> Vec<RecoveredSegment> {
    let mounted = segments.into_values().filter_map(|history| history.mounted);
    let mut mounted: Vec<_> = mounted.collect();
    mounted.sort_unstable_by_key(|mounted| mounted.since);
    let whole = mounted.into_iter().filter_map(|mounted| {
        let (info, state) = mounted.document?;
        Some(RecoveredSegment {
            info,
            epoch: mounted.epoch,
            state,
        })
    });
    whole.collect()
}

impl RecoveredTerms {
    fn is(&self, terms: &SavedTerms<'_>) -> bool {
        self.align == terms.align
            && self.max_extents == terms.max_extents
            && self.replicas == terms.replicas
            && self.replicas_least == terms.replicas_least
            && *self.host == *terms.host
            && *self.excluded == *terms.excluded
    }
}

impl From<&SavedTerms<'_>> for RecoveredTerms {
    fn from(terms: &SavedTerms<'_>) -> Self {
        Self {
            align: terms.align,
            max_extents: terms.max_extents,
            replicas: terms.replicas,
            replicas_least: terms.replicas_least,
            host: terms.host.into(),
            excluded: terms.excluded.as_slice().into(),
        }
    }
}
