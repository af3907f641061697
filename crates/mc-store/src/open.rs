//! Opening a store from its directory: what was there is there again.

use std::{collections::HashMap, path::Path, sync::Arc};

use mc_segment::{
    MountError, PlacedBuffer, ReplicaPolicy, Segment, SegmentField, SegmentId, SegmentInfo,
    SegmentPool, SegmentState, TransitionError,
};
use smallvec::SmallVec;
use thiserror::Error;

use crate::{
    ObjectStore,
    book::Book,
    clock::Moment,
    error::StoreOptionsError,
    hints::Hints,
    journal::{
        self, Damage, Journal, JournalError, Place, Recovered, RecoveredObject, RecoveredPut,
        RecoveredSegment, RecoveredTenant, RecoveredTerms,
    },
    keeper::Keeper,
    ledger::tenant_of,
    limbo::{Kept, KeptSpace},
    object::{Contents, Lineage, Object},
    options::StoreOptions,
    pending::Buffers,
    policy::{Parent, stable_hash},
    request::PutRequest,
    shared::Shared,
    tenants::Quota,
};

/// A store that was opened, and what is missing from it.
#[derive(Debug)]
#[non_exhaustive]
pub struct Opened {
    /// The store.
    pub store: ObjectStore,
    /// What the directory should have had and has not, or has and cannot be
    /// used.
    pub damage: Vec<Damage>,
    /// Keys of objects all of whose segments are gone, or have forgotten their
    /// bytes.
    pub lost: Vec<Box<[u8]>>,
}

/// Why no store was opened; the directory is what it was.
#[derive(Debug, Error)]
#[non_exhaustive]
pub enum StoreOpenError {
    /// The directory cannot be read, or is in use.
    #[error("the directory of the store cannot be opened")]
    Journal(#[from] journal::OpenError),
    /// The options make no store.
    #[error("the options make no store")]
    Options(#[from] StoreOptionsError),
    /// A segment cannot be mounted again with what was passed for it.
    #[error("segment {id} cannot be mounted again")]
    Mount {
        /// The segment.
        id: SegmentId,
        /// Why.
        source: MountError,
    },
    /// A segment cannot be brought into the state that it was in.
    #[error("segment {id} cannot be brought into its state")]
    State {
        /// The segment.
        id: SegmentId,
        /// Why.
        source: TransitionError,
    },
}

/// Whose a place is, by position in the lists of what was recovered, and which
/// of the owner's replicas.
#[derive(Clone, Copy)]
enum Owner {
    Object(usize, usize),
    Put(usize, usize),
}

/// The places of one segment, and whose each is.
#[derive(Default)]
struct Inside<'a> {
    places: Vec<(Owner, &'a Place)>,
}

/// The buffers that were taken over, by owner.
struct TakenOver {
    objects: Vec<Replicas>,
    puts: Vec<Replicas>,
}

/// The replicas of one owner that were taken over, with their numbers.
type Replicas = SmallVec<[(usize, PlacedBuffer); 1]>;

impl ObjectStore {
    /// Opens the store of a directory over a pool that has no segments yet, or
    /// makes both new.
    ///
    /// From then on whatever is put, removed, moved or pinned is written to the
    /// journal in the directory before it counts, see
    /// [`StoreOptions::journal`]. After the end of the process, at any instant,
    /// opening the directory again brings back every object that was committed
    /// and has not left.
    ///
    /// `reopen` is asked for each segment that was mounted, and returns it with
    /// its memory: with the epoch and the base that it had if the bytes are those of
    /// before, with a newer epoch if they are not, or nothing if it is gone; an older
    /// epoch is refused. Space of puts
    /// that were in flight stays taken until their deadlines and the margin of
    /// the options have passed, as their writers may be alive.
    ///
    /// Takes time linear in the objects.
    ///
    /// # Errors
    ///
    /// A [`StoreOpenError`].
    pub fn open(
        directory: &Path,
        pool: SegmentPool,
        options: StoreOptions,
        mut reopen: impl FnMut(&SegmentInfo) -> Option<Segment>,
    ) -> Result<Opened, StoreOpenError> {
        options.validate()?;
        let (journal, recovered) = Journal::open(directory, &options.journal)?;
        let policy = options.policy.policy();
        let mut shared = Shared::new(pool, options, policy);
        let now = shared.now();
        shared.book = Some(Book::new(journal, recovered.put_next, now));
        let mut taken = TakenOver::of(&recovered);
        let mut told = Vec::new();
        {
            let mut inside = by_segment(&recovered);
            for segment in &recovered.segments {
                let places = inside.remove(&segment.info.id).unwrap_or_default();
                let number = match reopen(&segment.info) {
                    Some(reopened) => mount(&shared.pool, reopened, segment, places, &mut taken)?,
                    None => None,
                };
                // What is not as it was is told of as unmounted.
                let number = number.unwrap_or(u64::MAX);
                told.push((number, segment.info.clone(), segment.state));
            }
        }
        shared.restore_tenants(&recovered.tenants);
        let lost = shared.restore(&recovered.terms, recovered.objects, taken.objects, now);
        shared.keep_reservations(&recovered.reservations, taken.puts, now);
        let damage = recovered.damage;
        if let Some(book) = &shared.book {
            book.know_segments(told);
            book.tell_lost(&lost);
            // If it is not written, nothing is put.
            let _ = book.tell_segments(&shared.pool);
        }
        let shared = Arc::new(shared);
        let keeper = Some(Arc::new(Keeper::start(&shared)));
        let store = Self { shared, keeper };
        Ok(Opened {
            store,
            damage,
            lost,
        })
    }

    /// Returns the directory of the store, if it has one.
    #[must_use]
    pub fn directory(&self) -> Option<&Path> {
        self.shared.book.as_ref().map(Book::path)
    }

    /// Returns when all that was written survives a power failure.
    ///
    /// # Errors
    ///
    /// A [`JournalError`]; nothing is stored from then on.
    pub fn sync(&self) -> Result<(), JournalError> {
        let book = self.shared.book.as_ref();
        book.map_or(Ok(()), |book| book.journal().sync())
    }

    /// Returns why the journal takes no more records, if it does not.
    #[must_use]
    pub fn journal_error(&self) -> Option<JournalError> {
        let book = self.shared.book.as_ref()?;
        book.check().err()?;
        book.journal().sync().err()
    }
}

/// Sorts the places of objects and puts by segment.
fn by_segment(recovered: &Recovered) -> HashMap<SegmentId, Inside<'_>> {
    let mut inside: HashMap<SegmentId, Inside<'_>> = HashMap::new();
    let objects = recovered.objects.iter().map(|object| &object.places);
    let puts = recovered.reservations.iter().map(|put| &put.places);
    for (at, places) in objects.enumerate() {
        for (replica, place) in places.iter().enumerate() {
            let list = &mut inside.entry(place.segment).or_default().places;
            list.push((Owner::Object(at, replica), place));
        }
    }
    for (at, places) in puts.enumerate() {
        for (replica, place) in places.iter().enumerate() {
            let list = &mut inside.entry(place.segment).or_default().places;
            list.push((Owner::Put(at, replica), place));
        }
    }
    inside
}

impl TakenOver {
    fn of(recovered: &Recovered) -> Self {
        let (objects, puts) = (recovered.objects.len(), recovered.reservations.len());
        Self {
            objects: (0..objects).map(|_| Replicas::new()).collect(),
            puts: (0..puts).map(|_| Replicas::new()).collect(),
        }
    }

    fn add(&mut self, owner: Owner, buffer: PlacedBuffer) {
        match owner {
            Owner::Object(at, replica) => self.objects[at].push((replica, buffer)),
            Owner::Put(at, replica) => self.puts[at].push((replica, buffer)),
        }
    }
}

/// Returns the replicas of one owner in the order that they had.
fn in_order(mut replicas: Replicas) -> Buffers {
    replicas.sort_unstable_by_key(|(number, _)| *number);
    replicas.into_iter().map(|(_, buffer)| buffer).collect()
}

/// Mounts a segment, takes over what is in it, and brings it into its state;
/// returns the number of the mount if it is the same as before.
fn mount(
    pool: &SegmentPool,
    segment: Segment,
    before: &RecoveredSegment,
    inside: Inside<'_>,
    taken: &mut TakenOver,
) -> Result<Option<u64>, StoreOpenError> {
    let info = segment.info().clone();
    let id = info.id;
    let refused = |source| StoreOpenError::Mount { id, source };
    let is_same = (id, info.epoch) == (before.info.id, before.info.epoch);
    if is_same && info.base != before.info.base {
        // Its addresses would be those of other bytes.
        let field = SegmentField::Base;
        return Err(refused(MountError::Differs { id, field }));
    }
    if id == before.info.id && info.epoch < before.info.epoch {
        // As a mount refuses it: objects would be given up for what was there before them.
        return Err(refused(MountError::OlderEpoch {
            id,
            epoch: info.epoch,
            mounted_epoch: before.info.epoch,
        }));
    }
    pool.mount(segment).map_err(refused)?;
    if !is_same {
        return Ok(None);
    }
    let descriptors = inside.places.iter();
    let descriptors: Vec<_> = descriptors
        .map(|(_, place)| place.descriptor(&info))
        .collect();
    let owners = inside.places.iter().map(|&(owner, _)| owner);
    match pool.adopt(&descriptors) {
        Ok(buffers) => owners
            .zip(buffers)
            .for_each(|(owner, buffer)| taken.add(owner, buffer)),
        // Some place is not the segment's; the others are.
        Err(_) => {
            for (owner, descriptor) in owners.zip(&descriptors) {
                let adopted = pool.adopt(std::slice::from_ref(descriptor));
                let adopted = adopted.into_iter().flatten();
                adopted.for_each(|buffer| taken.add(owner, buffer));
            }
        }
    }
    bring_into(pool, id, before.state).map_err(|source| StoreOpenError::State { id, source })?;
    let views = pool.segments();
    let own = views.iter().find(|view| view.id == id);
    Ok(own.map(|view| view.mount_number))
}

/// Brings a segment that is open into the state that it was in.
fn bring_into(
    pool: &SegmentPool,
    id: SegmentId,
    state: SegmentState,
) -> Result<(), TransitionError> {
    match state {
        SegmentState::Ok => Ok(()),
        SegmentState::Suspended => pool.suspend(id),
        SegmentState::Draining => pool.drain(id),
        SegmentState::Drained => {
            pool.drain(id)?;
            pool.finish_drain(id)
        }
        SegmentState::GracefullyUnmounting => pool.unmount_gracefully(id),
        // Its objects were given up, and so are those of a state to come.
        _ => pool.begin_unmount(id),
    }
}

impl Shared {
    /// Gives tenants the quotas that they had.
    fn restore_tenants(&self, tenants: &[RecoveredTenant]) {
        for tenant in tenants {
            let quota = Quota {
                guaranteed: tenant.guaranteed,
                most: tenant.most,
            };
            let restored = self.tenants.restore(&tenant.name, quota);
            self.order.lock().ledger.set_guaranteed(&restored);
        }
    }

    /// Returns what was said of when an object leaves.
    fn restored_hints(&self, object: &RecoveredObject) -> Hints {
        let Some(saved) = &object.hints else {
            return Hints::default();
        };
        let tenant = saved.tenant.as_deref();
        let keep_until = self.book.as_ref().filter(|_| !saved.keep_until.is_zero());
        Hints {
            tenant: tenant.map(|name| self.tenants.of(name)),
            priority: saved.priority,
            keep_until: keep_until.map_or(Moment::default(), |book| book.moment(saved.keep_until)),
        }
    }

    /// Stores the objects that were recovered; returns the keys of those that
    /// have no replica left.
    fn restore(
        &self,
        terms: &[RecoveredTerms],
        objects: Vec<RecoveredObject>,
        buffers: Vec<Replicas>,
        now: Moment,
    ) -> Vec<Box<[u8]>> {
        let own_terms = |terms: &RecoveredTerms, parts: &[u64], hints: Hints| {
            let request = PutRequest {
                align: terms.align,
                parts,
                max_extents: terms.max_extents,
                replicas: mc_segment::Replicas {
                    count: terms.replicas,
                    policy: ReplicaPolicy::AtLeast(terms.replicas_least),
                },
                host: &terms.host,
                excluded: &terms.excluded,
                ..PutRequest::new(0)
            };
            self.terms.of(&request, hints)
        };
        let shared = terms.iter();
        let shared: Vec<_> = shared
            .map(|terms| own_terms(terms, &[], Hints::default()))
            .collect();
        let mut lost = Vec::new();
        for (object, buffers) in objects.into_iter().zip(buffers) {
            let hints = self.restored_hints(&object);
            let cost = object.hints.as_ref().map(|hints| hints.cost.as_secs_f32());
            let keeping = self.keep_terms(&hints, now);
            let terms = match &object.parts[..] {
                [] | [_] if object.hints.is_none() => Arc::clone(&shared[object.terms]),
                parts => own_terms(&terms[object.terms], parts, hints),
            };
            let replicas = in_order(buffers);
            let has_all = |replica: &PlacedBuffer| terms.parts(replica.size()).fill();
            if replicas.is_empty() || !replicas.iter().all(has_all) {
                lost.push(object.key);
                continue;
            }
            let contents = Contents {
                terms,
                replicas,
                checksum: object.checksum,
                lineage: Lineage::of_first(stable_hash(&object.key)),
                cost: cost.unwrap_or_default(),
            };
            let hashed = self.index.hash(&object.key);
            let mut ranks = self.order.lock();
            let stored = self
                .index
                .write(hashed)
                .insert(hashed, |id| Object::new(id, hashed.key, contents, now));
            if let Some(tenant) = tenant_of(&stored) {
                tenant.charge_anyway(stored.bytes());
            }
            ranks.insert(&self.index, &stored, Parent::None, keeping);
            if let Some(book) = &self.book
                && !object.leased_until.is_zero()
            {
                stored.lease_until(book.moment(object.leased_until));
            }
            if object.is_pinned && stored.claims.set_pinned(true) == Ok(true) {
                ranks.note_pin(&stored, true, now);
            }
        }
        lost
    }

    /// Keeps the space of puts that were in flight until their writers are
    /// surely gone.
    fn keep_reservations(&self, puts: &[RecoveredPut], buffers: Vec<Replicas>, now: Moment) {
        let Some(book) = &self.book else {
            return;
        };
        for (put, buffers) in puts.iter().zip(buffers) {
            let until = book.moment(put.deadline).after(self.options.put_margin);
            let kept = Kept {
                space: KeptSpace::Put(in_order(buffers)),
                number: put.put,
            };
            self.limbo.keep(until, kept);
        }
        self.sweep(now);
    }
}
