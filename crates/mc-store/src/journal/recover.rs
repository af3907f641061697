//! What a store was, folded from the records of its life.
//!
//! Each record says how something is from then on, whatever was before. So records that are read twice,
//! or that tell of something that a snapshot already has, do no harm: the last one about a key holds.
//! What segments have become decides at the end only, and so do bytes that two objects claim; both take
//! one pass, whatever the records were.

use std::{
    collections::{BTreeMap, HashMap},
    hash::BuildHasher as _,
    mem,
    time::Duration,
};

use hashbrown::{DefaultHashBuilder, HashTable};
use mc_segment::SegmentId;
use smallvec::SmallVec;

use super::{
    damage::Damage,
    record::{self, ObjectRecord, Place, Record, Reservation, SavedHints, SavedTerms, Spot},
    recovered::{
        Mounted, Recovered, RecoveredHints, RecoveredObject, RecoveredPut, RecoveredSegment,
        RecoveredTenant, RecoveredTerms, SegmentHistory,
    },
    settle,
};

/// Bytes that the record of an object has in a file, more or less.
const OBJECT_BYTES_USUAL: u64 = 112;

/// Objects that room is made for before they are seen, whatever the length of a file.
const OBJECTS_EXPECTED_MAX: usize = 1 << 22;

/// Replicas of an object that a move is looked for among. No store makes more.
const REPLICAS_SEARCHED: usize = 256;

/// Terms that are remembered, so that objects share them.
const TERMS_RECENT: usize = 8;

/// Records so far, and what follows from them.
#[derive(Debug, Default)]
pub(super) struct Fold {
    recovered: Recovered,
    /// Records so far.
    now: u64,
    segments: HashMap<SegmentId, SegmentHistory>,
    tenants: BTreeMap<Box<str>, RecoveredTenant>,
    /// Objects in the order of storing; without places where one was removed or stored again.
    objects: Vec<RecoveredObject>,
    /// Indexes into `objects` by key, with the hash of the key.
    by_key: HashTable<(u64, usize)>,
    /// Seeded anew for each fold, so that no file can be made for it.
    hasher: DefaultHashBuilder,
    puts: HashMap<u64, RecoveredPut>,
    /// Places that were left after damage was met, and since when they were taken. Who had
    /// them before seems to have them again where the damage hit the record of his leaving.
    left: Vec<(Place, u64)>,
    /// Indexes of terms, the last one used first.
    terms_recent: Vec<usize>,
}

impl Fold {
    /// Makes room for as many objects as fit in a file of so many bytes.
    pub(super) fn expect_bytes(&mut self, bytes: u64) {
        let objects = bytes / OBJECT_BYTES_USUAL;
        let objects = usize::try_from(objects).unwrap_or(usize::MAX);
        let objects = objects.min(OBJECTS_EXPECTED_MAX);
        self.objects.reserve(objects);
        self.by_key.reserve(objects, |&(hash, _)| hash);
    }

    /// Takes the next record into account.
    #[inline]
    pub(super) fn apply(&mut self, record: Record<'_>) {
        self.now += 1;
        match record {
            Record::Head(_) | Record::End { .. } => {}
            Record::Options(bytes) => self.recovered.options = Some(bytes.into()),
            Record::Mounted { segment, document } => self.mount(segment, document),
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
                if let Some(put) = self.puts.remove(&put) {
                    self.leave(put.places.into_iter().map(|place| (place, put.since)));
                }
            }
            Record::Removed { key, .. } => {
                let hash = self.hasher.hash_one(key);
                self.forget(hash, key);
            }
            Record::Moved { key, from, place } => self.relocate(key, from, place),
            Record::Pinned { key, is_pinned } => {
                if let Some(object) = self.object(key) {
                    object.is_pinned = is_pinned;
                }
            }
            Record::Tenant {
                name,
                guaranteed,
                most,
            } => {
                let name: Box<str> = name.into();
                let tenant = RecoveredTenant {
                    name: name.clone(),
                    guaranteed,
                    most,
                };
                self.tenants.insert(name, tenant);
            }
            Record::Leased { key, until } => {
                if let Some(object) = self.object(key) {
                    // Records of several threads may be in another order than their leases.
                    object.leased_until = match until {
                        Duration::ZERO => until,
                        _ => until.max(object.leased_until),
                    };
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

    fn mount(&mut self, segment: SegmentId, document: &[u8]) {
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
        history.mounted = Some(Mounted { since, document });
    }

    fn count_put(&mut self, put: u64) {
        let next = put.saturating_add(1);
        self.recovered.put_next = self.recovered.put_next.max(next);
    }

    fn reserve(&mut self, reservation: &Reservation<'_>) {
        self.count_put(reservation.put);
        if let Some(object) = self.object(reservation.key)
            && object.places == reservation.places
        {
            // It was detached, and its space is kept for who reads it. That it was removed is told next.
            self.forget(self.hasher.hash_one(reservation.key), reservation.key);
        }
        let put = RecoveredPut {
            put: reservation.put,
            key: reservation.key.into(),
            deadline: reservation.deadline,
            places: reservation.places.clone(),
            since: self.now,
        };
        self.puts.insert(put.put, put);
    }

    #[inline]
    fn commit(&mut self, object: ObjectRecord<'_>) {
        if object.put != 0 {
            self.count_put(object.put);
            self.puts.remove(&object.put);
        }
        let hash = self.hasher.hash_one(object.key);
        self.forget(hash, object.key);
        let index = self.objects.len();
        self.by_key
            .insert_unique(hash, (hash, index), |&(hash, _)| hash);
        let terms = self.share(&object.terms);
        self.objects.push(RecoveredObject {
            key: object.key.into(),
            parts: object.parts,
            terms,
            since: SmallVec::from_elem(self.now, object.places.len()),
            places: object.places,
            checksum: object.checksum,
            is_pinned: object.is_pinned,
            leased_until: object.leased_until,
            hints: RecoveredHints::of(&object.hints),
        });
    }

    /// Puts a replica in the place of the one that begins at `from`.
    ///
    /// A snapshot may have the replica there already, or where it is moved later; or an earlier move
    /// may be damaged. So what cannot be found is one more, until a record says where it is.
    fn relocate(&mut self, key: &[u8], from: Option<Spot>, place: Place) {
        let now = self.now;
        let Some(object) = self.object(key) else {
            return;
        };
        let (places, since) = (&mut object.places, &mut object.since);
        let searched = &places[..places.len().min(REPLICAS_SEARCHED)];
        let old = searched
            .iter()
            .position(|old| from.is_some() && old.spot() == from);
        let there = searched.iter().position(|there| *there == place);
        let mut left = None;
        match (old, there) {
            (Some(old), None) => {
                let before = mem::replace(&mut places[old], place);
                left = Some((before, mem::replace(&mut since[old], now)));
            }
            (None, None) if places.len() < REPLICAS_SEARCHED => {
                places.push(place);
                since.push(now);
            }
            (None, None) => {}
            (old, Some(there)) => {
                since[there] = now;
                if let Some(old) = old.filter(|old| *old != there) {
                    left = Some((places.remove(old), since.remove(old)));
                }
            }
        }
        self.leave(left);
    }

    /// Remembers places that somebody had, if a record that came before is missing.
    fn leave(&mut self, places: impl IntoIterator<Item = (Place, u64)>) {
        if !self.recovered.damage.is_empty() {
            self.left.extend(places);
        }
    }

    /// Returns the index of terms, which are kept once if they were used of late.
    fn share(&mut self, terms: &SavedTerms<'_>) -> usize {
        let (known, recent) = (&mut self.recovered.terms, &mut self.terms_recent);
        if let Some(found) = recent.iter().position(|&index| known[index].is(terms)) {
            recent[..=found].rotate_right(1);
        } else {
            recent.truncate(TERMS_RECENT - 1);
            recent.insert(0, known.len());
            known.push(RecoveredTerms::from(terms));
        }
        recent[0]
    }

    fn object(&mut self, key: &[u8]) -> Option<&mut RecoveredObject> {
        let hash = self.hasher.hash_one(key);
        let objects = &self.objects;
        let is_it = |&(other, index): &(u64, usize)| other == hash && *objects[index].key == *key;
        let &(_, index) = self.by_key.find(hash, is_it)?;
        Some(&mut self.objects[index])
    }

    /// Drops the object of a key, if there is one.
    fn forget(&mut self, hash: u64, key: &[u8]) {
        let objects = &self.objects;
        let is_it = |&(other, index): &(u64, usize)| other == hash && *objects[index].key == *key;
        if let Ok(found) = self.by_key.find_entry(hash, is_it) {
            let ((_, index), _) = found.remove();
            let object = &mut self.objects[index];
            object.key = Box::default();
            let (places, since) = (mem::take(&mut object.places), mem::take(&mut object.since));
            self.leave(places.into_iter().zip(since));
        }
    }

    /// Returns what has become of all.
    pub(super) fn finish(self) -> Recovered {
        let Self {
            mut recovered,
            segments,
            tenants,
            objects,
            by_key,
            puts,
            left,
            ..
        } = self;
        drop(by_key);
        recovered.tenants = tenants.into_values().collect();
        recovered.objects = objects;
        // One that was stored without a place is no object either.
        recovered.objects.retain(|object| !object.places.is_empty());
        recovered.reservations = puts.into_values().collect();
        recovered.reservations.sort_unstable_by_key(|put| put.since);
        recovered.put_next = recovered.put_next.max(1);
        settle::settle(&mut recovered, &segments, &left);
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
        Some(RecoveredSegment { info, state })
    });
    whole.collect()
}

impl RecoveredHints {
    fn of(hints: &SavedHints<'_>) -> Option<Box<Self>> {
        let hint = || Self {
            tenant: hints.tenant.map(Box::from),
            priority: hints.priority,
            keep_until: hints.keep_until,
            cost: hints.cost,
        };
        (*hints != SavedHints::default()).then(|| Box::new(hint()))
    }
}

impl RecoveredTerms {
    fn is(&self, terms: &SavedTerms<'_>) -> bool {
        self.align == terms.align
            && self.max_extents == terms.max_extents
            && self.replicas == terms.replicas
            && self.replicas_least == terms.replicas_least
            // Where both are empty, as is usual, comparing bytes at no address costs more than all else.
            && self.host.len() == terms.host.len()
            && (terms.host.is_empty() || *self.host == *terms.host)
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
