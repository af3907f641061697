//! An object as it is stored: one allocation with its key.

use std::{
    fmt,
    num::NonZeroUsize,
    sync::{
        Arc,
        atomic::{AtomicU32, AtomicU64, Ordering},
    },
};

use mc_segment::{PlacedBuffer, SegmentId};
use smallvec::SmallVec;
use triomphe::ThinArc;

use crate::{
    claims::{Claim, Claims},
    clock::{Moment, Tick},
    parts::Parts,
    pending::Buffers,
    policy::{ObjectId, stable_hash},
    request::Terms,
};

/// An object and its key. What it says of places never changes: a move makes
/// another one.
#[derive(Clone)]
pub(crate) struct Object(ThinArc<Record, u8>);

/// Objects that are looked for: often one, for which no memory is taken.
pub(crate) type Objects = SmallVec<[Object; 2]>;

/// A weak reference to an object that was seen. Unlike a clone, it does not keep
/// the place of one that has left since from being free.
/// [`Index::upgrade`](crate::index::Index::upgrade) looks the object up again.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct WeakObject {
    pub(crate) id: ObjectId,
    committed: Tick,
    /// Address of the record, which may be another's by now.
    record: NonZeroUsize,
}

/// Weak references to objects that are looked for.
pub(crate) type WeakObjects = SmallVec<[WeakObject; 2]>;

/// Lets go of objects; returns weak references to them.
pub(crate) fn downgraded(objects: Objects) -> WeakObjects {
    objects.iter().map(Object::downgrade).collect()
}

/// What a store knows about an object beside its key.
pub(crate) struct Record {
    /// Where it is in the index; no other stored object has the same.
    pub(crate) id: ObjectId,
    pub(crate) claims: Claims,
    /// A [`Moment`]: the object must not go before. Only ever later, unless
    /// its owner ends it. Prolonged while a lease is held, and read after the
    /// claims were found to be free, which orders the two; so `Relaxed`.
    leased_until: AtomicU64,
    /// [`Tick`]s of the commit and of the last use; figures only, so `Relaxed`.
    pub(crate) committed: Tick,
    used: AtomicU32,
    /// Of the bytes, if one was taken.
    checksum: u32,
    traits: Traits,
    root_hash: u64,
    pub(crate) terms: Arc<Terms>,
    pub(crate) replicas: Replicas,
}

// Atomics of loom are larger.
#[cfg(not(loom))]
const _: () = assert!(
    size_of::<Record>() <= 88,
    "with two counts and a key of 32 bytes a block of the heap that has 136"
);

/// Whether an object has a checksum, what it costs to compute it again, and its
/// depth, in one word.
///
/// The highest bit, the 15 below the sign of an `f32`, and 16.
#[derive(Clone, Copy)]
struct Traits(u32);

/// The replicas of an object; nearly always one.
pub(crate) enum Replicas {
    One(PlacedBuffer),
    /// Shared with the objects that follow this one when a replica is moved.
    Many(Box<[Arc<PlacedBuffer>]>),
}

/// The replicas of one object in their order.
#[derive(Clone, Debug)]
struct ReplicasIter<'a> {
    one: Option<&'a PlacedBuffer>,
    many: &'a [Arc<PlacedBuffer>],
}

/// Where in its prompt an object is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Lineage {
    /// Hash of the key of the first object of the prompt.
    pub(crate) root_hash: u64,
    /// Objects before it; [`DEPTH_MAX`] stands for more.
    pub(crate) depth: u32,
}

/// The depth that is told from others, at most.
const DEPTH_MAX: u32 = 0xFFFF;

impl Lineage {
    /// That of an object that nothing comes before.
    pub(crate) fn of_first(key_hash: u64) -> Self {
        Self {
            root_hash: key_hash,
            depth: 0,
        }
    }

    /// That of an object right after one with this lineage.
    pub(crate) fn next(self) -> Self {
        Self {
            depth: DEPTH_MAX.min(self.depth + 1),
            ..self
        }
    }
}

/// What a record is made of.
pub(crate) struct Contents {
    pub(crate) terms: Arc<Terms>,
    pub(crate) replicas: Buffers,
    pub(crate) checksum: Option<u32>,
    pub(crate) lineage: Lineage,
    pub(crate) cost: f32,
}

impl Traits {
    const HAS_CHECKSUM: u32 = 1 << 31;
    const COST: u32 = !(Self::HAS_CHECKSUM | DEPTH_MAX);

    fn new(has_checksum: bool, cost: f32, depth: u32) -> Self {
        let has_checksum = if has_checksum { Self::HAS_CHECKSUM } else { 0 };
        let nearest_cost = cost.to_bits() + DEPTH_MAX.div_ceil(2);
        Self(has_checksum | nearest_cost & Self::COST | depth & DEPTH_MAX)
    }

    fn has_checksum(self) -> bool {
        self.0 & Self::HAS_CHECKSUM != 0
    }

    fn cost(self) -> f32 {
        f32::from_bits(self.0 & Self::COST)
    }

    fn depth(self) -> u32 {
        self.0 & DEPTH_MAX
    }
}

impl Object {
    pub(crate) fn new(id: ObjectId, key: &[u8], contents: Contents, now: Moment) -> Self {
        let record = Record {
            id,
            claims: Claims::new(),
            leased_until: AtomicU64::new(0),
            committed: Tick::from(now),
            used: AtomicU32::new(Tick::from(now).0),
            checksum: contents.checksum.unwrap_or_default(),
            traits: Traits::new(
                contents.checksum.is_some(),
                contents.cost,
                contents.lineage.depth,
            ),
            root_hash: contents.lineage.root_hash,
            terms: contents.terms,
            replicas: contents.replicas.into(),
        };
        let object = Self(ThinArc::from_header_and_slice(record, key));
        object.claim_places();
        object
    }

    /// Makes the object that follows this one when its replicas change; it has
    /// the same id, pin, age and timed lease.
    pub(crate) fn with_replicas(&self, replicas: Replicas) -> Self {
        let record = Record {
            id: self.id,
            claims: self.claims.after_move(),
            leased_until: AtomicU64::new(self.leased_until.load(Ordering::Relaxed)),
            committed: self.committed,
            used: AtomicU32::new(self.used.load(Ordering::Relaxed)),
            checksum: self.checksum,
            traits: self.traits,
            root_hash: self.root_hash,
            terms: Arc::clone(&self.terms),
            replicas,
        };
        let object = Self(ThinArc::from_header_and_slice(record, self.key()));
        object.claim_places();
        object
    }

    /// Returns whether the replicas can become others: the only one, which has to
    /// stay, can be taken over only if nobody else looks at the object.
    ///
    /// Nobody begins to while the caller has taken the object out of the index.
    pub(crate) fn may_change(&self, replaced: Option<usize>) -> bool {
        let is_kept_only = replaced.is_none() && matches!(self.replicas, Replicas::One(_));
        !is_kept_only || self.0.with_arc(triomphe::Arc::is_unique)
    }

    /// Returns the replicas with a new one in the place of another, or beside
    /// the others.
    ///
    /// # Panics
    ///
    /// Panics if they [may not change](Self::may_change).
    pub(crate) fn replicas_with(&mut self, new: PlacedBuffer, replaced: Option<usize>) -> Replicas {
        match (&self.replicas, replaced) {
            (Replicas::One(_), Some(_)) => Replicas::One(new),
            (Replicas::One(_), None) => {
                let only = self.take_only_replica().expect("nobody else looks");
                Replicas::Many([only, new].map(Arc::new).into())
            }
            (Replicas::Many(old), _) => {
                let mut all: Vec<_> = old.to_vec();
                match replaced {
                    Some(place) => all[place] = Arc::new(new),
                    None => all.push(Arc::new(new)),
                }
                Replicas::Many(all.into())
            }
        }
    }

    /// Takes the only replica out if nobody else looks at the object.
    pub(crate) fn take_only_replica(&mut self) -> Option<PlacedBuffer> {
        self.0.with_arc_mut(|object| {
            let object = triomphe::Arc::get_mut(object)?;
            let replicas = &mut object.header_mut().replicas;
            match std::mem::replace(replicas, Replicas::Many(Box::default())) {
                Replicas::One(only) => Some(only),
                many => {
                    *replicas = many;
                    None
                }
            }
        })
    }

    /// Writes the id beside the places, for those who look at a segment.
    fn claim_places(&self) {
        for replica in self.replicas() {
            replica.set_owner(Some(self.id.owner()));
        }
    }

    #[inline]
    pub(crate) fn key(&self) -> &[u8] {
        &self.0.slice
    }

    #[inline]
    pub(crate) fn replicas(&self) -> impl ExactSizeIterator<Item = &PlacedBuffer> {
        let many = match &self.replicas {
            Replicas::One(_) => &[],
            Replicas::Many(many) => &many[..],
        };
        let one = match &self.replicas {
            Replicas::One(one) => Some(one),
            Replicas::Many(_) => None,
        };
        ReplicasIter { one, many }
    }

    /// Returns the bytes that one replica takes.
    pub(crate) fn size(&self) -> u64 {
        self.replicas().next().map_or(0, PlacedBuffer::size)
    }

    /// Returns where in its prompt the object is.
    pub(crate) fn lineage(&self) -> Lineage {
        Lineage {
            root_hash: self.root_hash,
            depth: self.traits.depth(),
        }
    }

    /// Returns the seconds to compute it again, as [`PutRequest`] rounds them; 0
    /// if nobody has told.
    ///
    /// [`PutRequest`]: crate::PutRequest
    pub(crate) fn cost(&self) -> f32 {
        self.traits.cost()
    }

    /// Returns the [`stable_hash`] of the key.
    pub(crate) fn key_hash(&self) -> u64 {
        match self.traits.depth() {
            0 => self.root_hash,
            _ => stable_hash(self.key()),
        }
    }

    /// Returns the parts, and how they lie in a replica.
    pub(crate) fn parts(&self) -> Parts<'_> {
        self.terms.parts(self.size())
    }

    /// Returns the bytes that all replicas take.
    pub(crate) fn bytes(&self) -> u64 {
        self.replicas().map(PlacedBuffer::size).sum()
    }

    /// Returns the bytes of all replicas without what lies between parts.
    pub(crate) fn useful_bytes(&self) -> u64 {
        self.parts().useful_size() * self.replicas().len() as u64
    }

    /// Returns whether some replica can be read: if not, the object does not
    /// exist.
    #[inline]
    pub(crate) fn is_readable(&self) -> bool {
        self.replicas().any(PlacedBuffer::is_readable)
    }

    /// Returns whether the place of some replica could serve another object.
    pub(crate) fn is_placeable(&self) -> bool {
        self.replicas().any(PlacedBuffer::is_placeable)
    }

    /// Returns whether a piece begins at an address of a segment.
    pub(crate) fn is_at(&self, id: SegmentId, address: u64) -> bool {
        self.replicas().any(|replica| {
            replica.segment_id() == id && replica.extents().any(|extent| extent.address == address)
        })
    }

    /// Returns whether a readable replica is in the segment with this id.
    pub(crate) fn is_in(&self, id: SegmentId) -> bool {
        self.replicas()
            .any(|replica| replica.segment_id() == id && replica.is_readable())
    }

    /// Returns the replicas that can be read, without the one at a place.
    pub(crate) fn readable_beside(&self, place: Option<usize>) -> Vec<&PlacedBuffer> {
        let others = self.replicas().enumerate();
        let others = others.filter(|&(other, buffer)| Some(other) != place && buffer.is_readable());
        others.map(|(_, buffer)| buffer).collect()
    }

    pub(crate) fn is_same(&self, other: &Self) -> bool {
        self.0.heap_ptr() == other.0.heap_ptr()
    }

    pub(crate) fn downgrade(&self) -> WeakObject {
        let address = NonZeroUsize::new(self.0.heap_ptr().addr());
        WeakObject {
            id: self.id,
            committed: self.committed,
            record: address.expect("a record is somewhere"),
        }
    }

    pub(crate) fn checksum(&self) -> Option<u32> {
        self.traits.has_checksum().then_some(self.checksum)
    }

    /// Returns what stands in the way of letting the object go.
    pub(crate) fn claim(&self, now: Moment) -> Option<Claim> {
        self.claims
            .claim()
            .or_else(|| self.is_leased_at(now).then_some(Claim::Leased))
    }

    /// Marks the object for a plan if nobody has a claim on it.
    pub(crate) fn mark(&self, now: Moment) -> Result<(), Claim> {
        if self.is_leased_at(now) {
            return Err(self.claims.claim().unwrap_or(Claim::Leased));
        }
        self.claims.mark()
    }

    /// Closes the object that the caller has marked, if nobody else has a claim on
    /// it. It may be closed if not: the caller lets it stay.
    pub(crate) fn close_marked(&self, now: Moment) -> Result<(), Claim> {
        self.claims.close_marked()?;
        match self.is_leased_at(now) {
            true => Err(Claim::Leased),
            false => Ok(()),
        }
    }

    /// Closes the object if nobody has a claim on it.
    pub(crate) fn close(&self, now: Moment) -> Result<(), Claim> {
        self.unless_leased(now, Claims::close)
    }

    /// As [`close`](Self::close), for the one who gives the object another place,
    /// which a pin does not forbid.
    pub(crate) fn close_place(&self, now: Moment) -> Result<(), Claim> {
        self.unless_leased(now, Claims::close_place)
    }

    /// Lets the object leave if nobody has a claim on it.
    pub(crate) fn leave(&self, now: Moment) -> Result<(), Claim> {
        self.close(now)?;
        self.claims.decide();
        Ok(())
    }

    /// Removes the object if nobody leases or pins it. The caller has locked the
    /// shard, so that nobody is given a timed lease meanwhile.
    pub(crate) fn remove_idle(&self, now: Moment) -> Result<(), Claim> {
        match self.is_leased_at(now) {
            true => Err(Claim::Leased),
            false => self.claims.remove_idle(),
        }
    }

    /// Closes the object unless a timed lease has not ended.
    fn unless_leased(
        &self,
        now: Moment,
        close: impl FnOnce(&Claims) -> Result<(), Claim>,
    ) -> Result<(), Claim> {
        if self.is_leased_at(now) {
            // Not closed for a moment, in which others would pass it over.
            return Err(self.claims.claim().unwrap_or(Claim::Leased));
        }
        close(&self.claims)?;
        if self.is_leased_at(now) {
            self.claims.stay();
            // Whoever passed it over meanwhile took it for leaving, and not for leased.
            if self.claims.is_hidden() {
                self.terms.returned.push(self.id);
            }
            return Err(Claim::Leased);
        }
        Ok(())
    }

    /// Returns whether a timed lease has not ended.
    fn is_leased_at(&self, now: Moment) -> bool {
        now < self.leased_until()
    }

    pub(crate) fn leased_until(&self) -> Moment {
        Moment(self.leased_until.load(Ordering::Relaxed))
    }

    /// Prolongs the timed lease; the caller holds a lease.
    pub(crate) fn lease_until(&self, until: Moment) {
        self.leased_until.fetch_max(until.0, Ordering::Relaxed);
    }

    /// Ends the timed lease; returns whether there was one.
    pub(crate) fn end_timed_lease(&self, now: Moment) -> bool {
        self.leased_until.swap(0, Ordering::Relaxed) > now.0
    }

    /// Notes a use; returns how long ago the last one was.
    #[inline]
    pub(crate) fn note_use(&self, now: Tick) -> Tick {
        let before = self.used.load(Ordering::Relaxed);
        self.used.store(now.0, Ordering::Relaxed);
        now.since(Tick(before))
    }

    /// Returns the ticks from the last use to a moment: fewer than none if that
    /// was before.
    pub(crate) fn idle_ticks(&self, now: Tick) -> i32 {
        let used = self.used.load(Ordering::Relaxed);
        now.0.wrapping_sub(used).cast_signed()
    }

    /// Returns how long ago the last use was.
    pub(crate) fn idle(&self, now: Tick) -> Tick {
        now.since(Tick(self.used.load(Ordering::Relaxed)))
    }
}

impl std::ops::Deref for Object {
    type Target = Record;

    #[inline]
    fn deref(&self) -> &Record {
        &self.0.header.header
    }
}

impl From<Buffers> for Replicas {
    fn from(mut buffers: Buffers) -> Self {
        match buffers.pop() {
            Some(only) if buffers.is_empty() => Self::One(only),
            last => {
                buffers.extend(last);
                Self::Many(buffers.into_iter().map(Arc::new).collect())
            }
        }
    }
}

impl<'a> Iterator for ReplicasIter<'a> {
    type Item = &'a PlacedBuffer;

    #[inline]
    fn next(&mut self) -> Option<&'a PlacedBuffer> {
        if let Some(one) = self.one.take() {
            return Some(one);
        }
        let (first, rest) = self.many.split_first()?;
        self.many = rest;
        Some(first)
    }

    fn size_hint(&self) -> (usize, Option<usize>) {
        let len = usize::from(self.one.is_some()) + self.many.len();
        (len, Some(len))
    }
}

impl ExactSizeIterator for ReplicasIter<'_> {}

impl fmt::Debug for Object {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Object")
            .field("key", &self.key().escape_ascii().to_string())
            .field("replicas", &self.replicas().collect::<Vec<_>>())
            .finish_non_exhaustive()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_shares_a_word_does_not_mix() {
        for has_checksum in [false, true] {
            for depth in [0, 1, DEPTH_MAX - 1, DEPTH_MAX] {
                for cost in [0.0, 0.005, 1.0, 3.0, 1_000.0, 1.8e19] {
                    let traits = Traits::new(has_checksum, cost, depth);
                    assert_eq!(traits.has_checksum(), has_checksum);
                    assert_eq!(traits.depth(), depth);
                    let error = (traits.cost() - cost).abs();
                    assert!(error <= cost * 0.005, "{} for {cost}", traits.cost());
                }
            }
        }
    }

    #[test]
    fn a_depth_that_is_too_large_to_tell_stays_where_it_is() {
        let deepest = Lineage {
            root_hash: 7,
            depth: DEPTH_MAX,
        };
        assert_eq!(deepest.next(), deepest);
        assert_eq!(Lineage::of_first(7).next().depth, 1);
    }
}
