//! The policy and what it is told, under one lock.
//!
//! The lock guards the policy, the figures of who came and left, and the list
//! of objects that wait for a timed lease to end. A shard's lock may be taken
//! while it is held, and the lock of a segment for one look at a place; nothing
//! else is waited for. The most work under it is [`SLICE`] objects; and once for
//! each, those before one that is stored with a higher rank.

mod aside;
mod candidates;
mod lifting;

use std::{
    collections::BTreeSet,
    num::NonZeroU64,
    ops::ControlFlow,
    sync::{
        Arc,
        atomic::{AtomicBool, Ordering::Relaxed},
    },
};

use mc_segment::SegmentPool;
use parking_lot::{Mutex, MutexGuard};
use smallvec::{SmallVec, smallvec};

use self::aside::Aside;
pub(crate) use self::candidates::{ASIDE_AT_ONCE, Candidates, VISITS_MAX};
use crate::{
    claims::Claim,
    clock::{Moment, Tick},
    deadlines::Deadlines,
    hints::{KeepTerms, Keeping},
    id_set::IdSet,
    index::Index,
    ledger::{Ledger, Rights, Unclaimed, tenant_of},
    object::Object,
    policy::{Facts, GroupKey, Groups, Leaving, ObjectId, Parent, Policy, Rank},
    returned::Returned,
    shared::Take,
    stats::{Cause, Figures},
    uses::{STRIPE_LEN, Use, Uses, own_stripe},
};

/// Objects that are looked at, or let go, while the lock is held once.
pub(crate) const SLICE: usize = 64;

/// How much more an object that is kept is worth where neighbors are weighed.
const KEPT_FACTOR: f64 = 4096.0;

/// The order in which objects leave.
#[derive(Debug)]
pub(crate) struct Order {
    uses: Uses,
    /// Hidden objects whose last lease has ended.
    returned: Arc<Returned>,
    /// Set for good with the first object of a tenant or rank: a hint, so
    /// `Relaxed`.
    has_groups: Arc<AtomicBool>,
    /// Held by the one who lets objects go for a watermark, so that nobody counts
    /// once more what is on its way out. Nobody waits for it.
    evicting: Mutex<()>,
    state: Mutex<Ranks>,
}

/// What the lock guards.
#[derive(Debug)]
pub(crate) struct Ranks {
    groups: Groups,
    has_groups: Arc<AtomicBool>,
    pub(crate) ledger: Ledger,
    keeping: Keeping,
    /// The ids that the policy knows.
    known: IdSet,
    /// Hidden objects by the end of their timed leases.
    asleep: Deadlines<()>,
    /// Hidden objects that nobody uses and none of whose segments was open to placement,
    /// by how many changes of the pool there were before one might be, and how many of
    /// those are known.
    closed: Deadlines<()>,
    pool_changes: Moment,
    /// Hidden objects that were used after they were set aside.
    to_look_at: BTreeSet<ObjectId>,
    /// Hidden objects whose places requests could not use, though nobody uses them.
    aside: Aside,
    /// Objects that the policy knows and does not offer.
    hidden: u64,
    pub(crate) figures: Figures,
}

impl Order {
    pub(crate) fn new(policy: Box<dyn Policy>) -> Self {
        let has_groups = Arc::default();
        Self {
            uses: Uses::new(),
            returned: Arc::default(),
            has_groups: Arc::clone(&has_groups),
            evicting: Mutex::default(),
            state: Mutex::new(Ranks {
                groups: Groups::new(policy),
                has_groups,
                ledger: Ledger::default(),
                keeping: Keeping::default(),
                known: IdSet::default(),
                asleep: Deadlines::default(),
                closed: Deadlines::default(),
                pool_changes: Moment::default(),
                to_look_at: BTreeSet::new(),
                aside: Aside::default(),
                hidden: 0,
                figures: Figures::default(),
            }),
        }
    }

    /// Notes that an object was used.
    #[inline]
    pub(crate) fn note_use(&self, object: &Object, now: Tick) {
        let used = Use {
            id: object.id,
            gap: object.note_use(now),
        };
        let stripe = own_stripe();
        if self.uses.note(stripe, used.word())
            && let Some(mut ranks) = self.state.try_lock()
        {
            self.uses.take(stripe, |words| ranks.note_uses(words));
        }
    }

    #[inline]
    pub(crate) fn note_miss(&self) {
        self.uses.note_miss(own_stripe());
    }

    /// Returns where the end of the last lease of a hidden object is told.
    pub(crate) fn returned(&self) -> Arc<Returned> {
        Arc::clone(&self.returned)
    }

    /// Checks that the policy knows the objects of an index and no others.
    ///
    /// # Panics
    ///
    /// Panics if it does not.
    pub(crate) fn check_invariants(&self, index: &Index) {
        let ranks = self.lock();
        let (mut objects, mut hidden, mut pinned) = (0, 0, 0);
        let (mut bytes, mut useful_bytes) = (0, 0);
        index.for_each_object(|object| {
            assert!(ranks.known.has(object.id), "{object:?} is not known");
            objects += 1;
            hidden += u64::from(object.claims.is_hidden());
            pinned += u64::from(object.claims.is_pinned());
            bytes += object.bytes();
            useful_bytes += object.useful_bytes();
        });
        for id in ranks.aside.ids() {
            let object = index.object(id).expect("what was set aside is stored");
            assert!(object.claims.is_hidden(), "{object:?} is offered");
        }
        let known = ranks.known.iter_from(ObjectId(0)).count() as u64;
        assert_eq!(known, objects, "objects that the policy knows");
        assert_eq!(ranks.hidden, hidden, "objects that it does not offer");
        let figures = &ranks.figures;
        assert_eq!(
            (figures.pinned, figures.live_bytes, figures.useful_bytes),
            (pinned, bytes, useful_bytes),
            "sums"
        );
        let mut offered = 0;
        let mut ranks = ranks;
        ranks.groups.victims(None, &mut |id, _, _| {
            let object = index.object(id).expect("an offered object is stored");
            assert!(!object.claims.is_hidden(), "{object:?} is hidden");
            offered += 1;
            ControlFlow::Continue(())
        });
        assert_eq!(offered, objects - hidden, "objects that it offers");
    }

    /// Returns the reads that found their object, and those that did not.
    pub(crate) fn reads(&self) -> (u64, u64) {
        self.uses.reads()
    }

    /// Returns whether some object has had a tenant or rank.
    pub(crate) fn has_groups(&self) -> bool {
        self.has_groups.load(Relaxed)
    }

    /// Returns the ranks that objects have, the lowest first.
    pub(crate) fn ranks(&self) -> SmallVec<[Rank; 4]> {
        if self.has_groups() {
            return self.lock().ranks();
        }
        smallvec![Rank::default()]
    }

    /// Begins to let objects go for a watermark, unless somebody does.
    pub(crate) fn begin_evicting(&self) -> Option<MutexGuard<'_, ()>> {
        self.evicting.try_lock()
    }

    /// Locks the order; the policy knows what this thread has used.
    pub(crate) fn lock(&self) -> MutexGuard<'_, Ranks> {
        let mut ranks = self.state.lock();
        self.uses.take(own_stripe(), |words| ranks.note_uses(words));
        ranks
    }

    /// As [`lock`](Self::lock), when nothing counts as kept whose time is over.
    pub(crate) fn lock_to_keep(&self, index: &Index, now: Moment) -> MutexGuard<'_, Ranks> {
        loop {
            let mut ranks = self.lock();
            ranks.end_keeping(index, now);
            if !ranks.keeping.has_due(now) {
                return ranks;
            }
        }
    }

    /// As [`lock_settled`](Self::lock_settled), when all is offered again that
    /// is not in use any more.
    pub(crate) fn lock_all_settled(
        &self,
        pool: &SegmentPool,
        index: &Index,
        now: Moment,
    ) -> MutexGuard<'_, Ranks> {
        loop {
            let ranks = self.lock_settled(pool, index, now);
            if self.is_settled(&ranks, now) {
                return ranks;
            }
        }
    }

    /// Returns whether nothing hidden waits for being looked at.
    pub(crate) fn is_settled(&self, ranks: &Ranks, now: Moment) -> bool {
        !ranks.asleep.has_due(now)
            && !ranks.has_opened()
            && ranks.to_look_at.is_empty()
            && self.returned.is_empty()
            && !ranks.keeping.has_due(now)
    }

    /// Locks the order; the policy knows what all threads have used, and offers
    /// again what was hidden and is not in use any more, some at a time.
    pub(crate) fn lock_settled(
        &self,
        pool: &SegmentPool,
        index: &Index,
        now: Moment,
    ) -> MutexGuard<'_, Ranks> {
        let mut ranks = self.state.lock();
        self.uses.take_all(|words| ranks.note_uses(words));
        ranks.look_at_closed(pool, index, now);
        ranks.end_keeping(index, now);
        for id in self.returned.take(SLICE) {
            ranks.look_again(index, id, now);
        }
        for _ in 0..SLICE {
            let Some((id, ())) = ranks.asleep.next_due(now) else {
                break;
            };
            ranks.look_again(index, id, now);
        }
        ranks
    }
}

impl Ranks {
    /// Adds an object, as the last one used.
    pub(crate) fn insert(
        &mut self,
        index: &Index,
        object: &Object,
        parent: Parent,
        keeping: KeepTerms,
    ) {
        let facts = Facts {
            bytes: object.bytes(),
            key_hash: object.key_hash(),
            parent,
            root_hash: object.lineage().root_hash,
            depth: object.lineage().depth,
            cost: object.cost(),
        };
        let hints = &object.terms.hints;
        let key = GroupKey {
            rank: Rank {
                is_kept: false,
                priority: hints.priority,
            },
            tenant: hints.tenant.as_ref().map_or(0, |tenant| tenant.number),
        };
        if (key != GroupKey::default() || hints.keep_until > Moment::default())
            && !self.groups.has_several()
        {
            self.groups.begin(&self.known);
            self.has_groups.store(true, Relaxed);
        }
        self.groups.insert(object.id, &facts, key);
        self.known.insert(object.id);
        if let Some(tenant) = tenant_of(object) {
            self.ledger.add(tenant, facts.bytes);
        }
        self.figures.live_bytes += facts.bytes;
        self.figures.useful_bytes += object.useful_bytes();
        self.figures.committed += 1;
        self.figures.committed_bytes += facts.bytes;
        self.lift(index, object, keeping);
    }

    /// Takes note that an object has left the index.
    pub(crate) fn remove(&mut self, object: &Object, cause: Cause, now: Tick) {
        let bytes = object.bytes();
        let why = match cause {
            Cause::OnDemand | Cause::Watermark => Leaving::Evicted,
            _ => Leaving::Removed,
        };
        self.groups.remove(object.id, object.key_hash(), why);
        self.keeping.forget(object.id);
        self.aside.forget(object.id);
        self.closed.forget(object.id);
        if let Some(tenant) = tenant_of(object) {
            self.ledger.remove(tenant, bytes, cause);
        }
        self.known.remove(object.id);
        if self.known.is_empty() {
            self.known = IdSet::default();
        }
        if object.claims.is_hidden() {
            self.hidden -= u64::from(object.claims.show());
        }
        self.asleep.forget(object.id);
        self.figures.pinned -= u64::from(object.claims.is_pinned());
        self.figures.live_bytes -= bytes;
        self.figures.useful_bytes -= object.useful_bytes();
        self.figures
            .count_left(cause, bytes, now.since(object.committed), object.idle(now));
    }

    fn ranks(&self) -> SmallVec<[Rank; 4]> {
        let mut ranks: SmallVec<_> = self.groups.keys().map(|key| key.rank).collect();
        ranks.dedup();
        ranks
    }

    /// Returns whether an object may leave for somebody.
    pub(crate) fn allows(&self, rights: &Rights, id: ObjectId) -> bool {
        rights.allow(self.groups.key(id), &self.ledger)
    }

    /// Claims an object that is to be evicted for somebody with some rights, by
    /// `take`.
    pub(crate) fn claim(
        &mut self,
        object: &Object,
        rights: &Rights,
        now: Moment,
        take: Take,
    ) -> Result<(), Unclaimed> {
        let Some(tenant) = tenant_of(object) else {
            return take(object, now).map_err(|_| Unclaimed::InUse);
        };
        if !self.ledger.claim(tenant, object.bytes(), rights) {
            let tenant = tenant.number;
            return Err(Unclaimed::Guaranteed { tenant });
        }
        take(object, now).map_err(|_| {
            self.ledger.spare(tenant, object.bytes());
            Unclaimed::InUse
        })
    }

    /// Returns what is lost with each byte of an object; more for one that is worth
    /// more.
    pub(crate) fn worth_by_byte(&self, id: ObjectId) -> f64 {
        if !self.known.has(id) {
            return f64::INFINITY;
        }
        let kept = match self.groups.key(id).rank.is_kept {
            true => KEPT_FACTOR,
            false => 1.0,
        };
        self.groups.worth(id) * kept
    }

    /// Returns the object before another in its prompt, if both are stored.
    pub(crate) fn parent(&self, id: ObjectId) -> Option<ObjectId> {
        self.known.has(id).then(|| self.groups.parent(id))?
    }

    /// Returns how many objects are not offered as they are in use.
    pub(crate) fn in_use(&self) -> u64 {
        self.hidden - (self.aside.len() + self.closed.len()) as u64
    }

    /// As [`hide`](Self::hide), unless the object has left or moved, so that its
    /// id may be another's.
    pub(crate) fn hide_if_stored(&mut self, index: &Index, object: &Object, now: Moment) {
        let stored = index.object(object.id);
        if stored.is_some_and(|stored| stored.is_same(object)) {
            self.hide(object, now);
        }
    }

    /// Stops offering an object that is in use.
    pub(crate) fn hide(&mut self, object: &Object, now: Moment) {
        if self.begin_to_hide(object) || self.aside.forget(object.id) {
            // The last lease may have ended before the mark was set.
            self.look_at(object, now);
        }
    }

    /// Returns whether an object is not hidden before this call.
    fn begin_to_hide(&mut self, object: &Object) -> bool {
        if !self.known.has(object.id) || object.claims.is_hidden() {
            return false;
        }
        object.claims.hide();
        self.groups.hide(object.id);
        self.hidden += 1;
        true
    }

    /// Offers an object again if it is hidden and not in use.
    pub(crate) fn look_again(&mut self, index: &Index, id: ObjectId, now: Moment) {
        if let Some(object) = index.object(id) {
            self.look_at(&object, now);
        }
    }

    /// Looks again at some of those that were set aside and used since, and of those
    /// in closed segments, if segments may have been opened since.
    fn look_at_closed(&mut self, pool: &SegmentPool, index: &Index, now: Moment) {
        self.pool_changes = Moment(pool.changes());
        for _ in 0..SLICE {
            let opened = self.closed.next_due(self.pool_changes).map(|(id, ())| id);
            let Some(id) = opened.or_else(|| self.to_look_at.pop_last()) else {
                break;
            };
            self.look_again(index, id, now);
        }
    }

    /// Returns whether some closed segment may be open by now.
    fn has_opened(&self) -> bool {
        self.closed.has_due(self.pool_changes)
    }

    fn look_at(&mut self, object: &Object, now: Moment) {
        if !object.claims.look() {
            return;
        }
        self.aside.forget(object.id);
        self.closed.forget(object.id);
        match object.claims.claim() {
            None if !object.is_placeable() => {
                let next_change = Moment(self.pool_changes.0 + 1);
                self.closed.set(object.id, next_change, ());
            }
            // Whoever ends the claim says so.
            Some(Claim::Leased | Claim::Pinned | Claim::Leaving) => {}
            None if now < object.leased_until() => {
                self.asleep.set(object.id, object.leased_until(), ());
            }
            None => {
                if object.claims.show() {
                    self.groups.show(object.id);
                    self.hidden -= 1;
                }
            }
        }
    }

    /// Counts an object as used now if it has not left; returns whether it has
    /// not.
    pub(crate) fn used_now(&mut self, id: ObjectId) -> bool {
        let is_known = self.known.has(id);
        if is_known {
            self.groups.used_all(&[id]);
            self.end_aside(id);
        }
        is_known
    }

    /// Takes note of uses, the earliest first.
    fn note_uses(&mut self, words: &[NonZeroU64]) {
        let mut ids = SmallVec::<[_; STRIPE_LEN]>::new();
        for Use { id, gap } in words.iter().map(|word| Use::of_word(*word)) {
            if self.known.has(id) {
                self.figures.reuse_gap.add(gap);
                ids.push(id);
            }
        }
        self.groups.used_all(&ids);
        if self.aside.len() > 0 {
            ids.into_iter().for_each(|id| self.end_aside(id));
        }
    }

    /// Has an object looked at again that was set aside, as it is none of the first
    /// any more.
    fn end_aside(&mut self, id: ObjectId) {
        if self.aside.forget(id) {
            self.to_look_at.insert(id);
        }
    }

    /// Takes note that an object was pinned or unpinned. Unpinned, it counts as
    /// used.
    pub(crate) fn note_pin(&mut self, object: &Object, is_pinned: bool, now: Moment) {
        if !self.known.has(object.id) {
            return;
        }
        if is_pinned {
            self.figures.pinned += 1;
            self.hide(object, now);
        } else {
            self.figures.pinned -= 1;
            self.groups.used_all(&[object.id]);
            self.look_at(object, now);
        }
    }
}
