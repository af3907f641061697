//! What the clones of a store share, and the steps that several calls are made of.

use std::{
    collections::HashMap,
    ops::Deref,
    sync::atomic::{AtomicBool, AtomicU64, Ordering},
    thread,
};

use mc_segment::SegmentPool;
use parking_lot::Mutex;

use crate::{
    book::Book,
    claims::{Away, Claim},
    clock::{Moment, Stopwatch, Tick},
    events::{Event, EventKind, Listeners},
    hints::{Hints, KeepTerms},
    index::{Hashed, Index, Shard, Taken},
    ledger::{Rights, Unclaimed, tenant_of},
    limbo::{Kept, KeptSpace, Limbo},
    object::Object,
    options::{StoreOptions, share},
    order::{Order, Ranks},
    passed_over::PassedOver,
    pending::Pending,
    request::{PutRequest, TermsTable},
    room::Claimers,
    stats::Cause,
    tenants::Tenants,
    unmounted::Unmounting,
};

/// The parts of a store, each with locks of its own.
///
/// Locks are taken in this order: that of unmounts, that of the order, that of one
/// shard of the index, that of one segment. Those of limbo, terms, tenants and listeners are
/// taken last and alone.
#[derive(Debug)]
pub(crate) struct Shared {
    pub(crate) pool: SegmentPool,
    pub(crate) options: StoreOptions,
    pub(crate) watch: Stopwatch,
    pub(crate) index: Index,
    pub(crate) order: Order,
    pub(crate) terms: TermsTable,
    pub(crate) tenants: Tenants,
    pub(crate) limbo: Limbo,
    pub(crate) claimers: Claimers,
    pub(crate) listeners: Listeners,
    /// What is written down, if anything is.
    pub(crate) book: Option<Book>,
    pub(crate) counts: Counts,
    /// The huge object that others leave for. Taken last and alone.
    pub(crate) passed_over: Mutex<PassedOver>,
    /// Unmounts that have begun, by the number of the mount. Held to begin one, while
    /// the registry of the pool is waited for, and to claim what nobody can read.
    pub(crate) unmounting: Mutex<HashMap<u64, Unmounting>>,
    /// No put in flight has an earlier deadline, a [`Moment`]: a hint, so
    /// `Relaxed`.
    pub(crate) deadline_min: AtomicU64,
    /// The changes of the pool up to which unreadable objects were dropped: a
    /// hint, so `Relaxed`.
    pub(crate) swept_changes: AtomicU64,
    /// Whether the high watermark was passed and the low one is not reached: a
    /// hint, so `Relaxed`.
    pub(crate) is_above_watermark: AtomicBool,
}

/// What is counted where no lock is held: sums, so `Relaxed`.
#[derive(Debug, Default)]
pub(crate) struct Counts {
    pub(crate) abandoned: AtomicU64,
    pub(crate) expired: AtomicU64,
    pub(crate) key_taken: AtomicU64,
    pub(crate) too_large: AtomicU64,
    pub(crate) no_space: AtomicU64,
    pub(crate) quota: AtomicU64,
    pub(crate) impossible: AtomicU64,
    pub(crate) journal: AtomicU64,
    pub(crate) placed_bytes_on_demand: AtomicU64,
    /// Uses that are no reads which found their object: by puts of chains, and of bytes
    /// that are damaged.
    pub(crate) uses_without_hit: AtomicU64,
}

/// How an object is claimed: [`Object::mark`] for a plan, [`Object::leave`] alone.
pub(crate) type Take = fn(&Object, Moment) -> Result<(), Claim>;

/// Counts one more.
pub(crate) fn count(sum: &AtomicU64) {
    sum.fetch_add(1, Ordering::Relaxed);
}

impl Shared {
    #[inline]
    pub(crate) fn now(&self) -> Moment {
        self.watch.now()
    }

    /// Returns the moment of a use, which is told in [`Tick`]s, or of a put, whose
    /// deadline may be some milliseconds late.
    #[inline]
    pub(crate) fn now_coarsely(&self) -> Moment {
        self.watch.now_coarsely()
    }

    /// Claims an object that is to be evicted for somebody with some rights, by
    /// `take`.
    pub(crate) fn claim(
        &self,
        object: &Object,
        rights: &Rights,
        now: Moment,
        take: Take,
    ) -> Result<(), Unclaimed> {
        match tenant_of(object) {
            None => take(object, now).map_err(|_| Unclaimed::InUse),
            Some(_) => self.order.lock().claim(object, rights, now, take),
        }
    }

    /// Returns what a request says of when its object leaves.
    pub(crate) fn hints(&self, request: &PutRequest<'_>) -> Hints {
        let until = request.keep_until.map(|until| self.watch.moment(until));
        Hints {
            tenant: request.tenant.map(|name| self.tenants.of(name)),
            priority: request.priority,
            keep_until: until.unwrap_or_default(),
        }
    }

    /// Returns until when an object is kept that is stored now, and how much may be.
    pub(crate) fn keep_terms(&self, hints: &Hints, now: Moment) -> KeepTerms {
        let is_kept = hints.keep_until > now;
        KeepTerms {
            until: if is_kept {
                hints.keep_until
            } else {
                Moment::default()
            },
            bytes_max: match is_kept || self.order.has_groups() {
                true => share(self.pool.placeable_bytes(), self.options.keep_percent),
                false => 0,
            },
        }
    }

    /// Returns what `look` says of the object of a key; drops the object if nobody
    /// can read it.
    pub(crate) fn find<T>(
        &self,
        key: Hashed<'_>,
        now: Moment,
        look: impl Fn(&Object) -> T,
    ) -> Option<T> {
        self.look_up(key, now, |object| match object.claims.away() {
            None => Ok(look(object)),
            Some(away) => Err(away),
        })
    }

    /// Returns what `take` takes of the object of a key; drops the object if nobody
    /// can read it. While it is decided whether the object leaves, this yields.
    ///
    /// It is looked at under the lock of its shard: a move, after which it is
    /// another one, comes before or after that.
    #[inline]
    pub(crate) fn look_up<T>(
        &self,
        key: Hashed<'_>,
        now: Moment,
        take: impl Fn(&Object) -> Result<T, Away>,
    ) -> Option<T> {
        loop {
            match self.look_up_in(self.index.read(key), key, now, &take) {
                Ok(taken) => return Some(taken),
                Err(Away::Gone) => return None,
                Err(Away::Undecided) => thread::yield_now(),
            }
        }
    }

    /// As [`look_up`](Self::look_up), but nobody else looks at the same time.
    pub(crate) fn look_up_alone<T>(
        &self,
        key: Hashed<'_>,
        now: Moment,
        take: impl Fn(&Object) -> Result<T, Away>,
    ) -> Option<T> {
        loop {
            match self.look_up_in(self.index.write(key), key, now, &take) {
                Ok(taken) => return Some(taken),
                Err(Away::Gone) => return None,
                Err(Away::Undecided) => thread::yield_now(),
            }
        }
    }

    #[inline]
    fn look_up_in<T>(
        &self,
        shard: impl Deref<Target = Shard>,
        key: Hashed<'_>,
        now: Moment,
        take: impl Fn(&Object) -> Result<T, Away>,
    ) -> Result<T, Away> {
        let dead = {
            let shard = shard;
            let object = shard.stored(key).ok_or(Away::Gone)?;
            if object.is_readable() {
                return take(object);
            }
            object.clone()
        };
        self.drop_dead(dead, now);
        Err(Away::Gone)
    }

    /// Drops an object none of whose replicas can be read; returns whether this
    /// call did.
    #[cold]
    pub(crate) fn drop_dead(&self, object: Object, now: Moment) -> bool {
        {
            // Over both, so that an unmount that does not find the object finds it noted.
            let mut unmounting = self.unmounting.lock();
            if object.claims.remove_now().is_err() {
                return false;
            }
            for replica in object.replicas() {
                if let Some(unmounting) = unmounting.get_mut(&replica.mount_number()) {
                    unmounting.note_lost(object.key());
                }
            }
        }
        self.let_go([object], Cause::Unreadable, now);
        true
    }

    /// Takes an object that was claimed out of index and order; its space is
    /// free when the caller and the last lease let go of it.
    pub(crate) fn take_out(&self, ranks: &mut Ranks, object: &Object, cause: Cause, now: Moment) {
        let taken = {
            let mut shard = self.index.write_at(object.id);
            if let Some(book) = &self.book {
                // If it is not written, nothing is put any more, so that its
                // bytes stay what the journal says they are.
                let _ = book.left(object, cause);
            }
            shard.take(object.id)
        };
        debug_assert!(
            matches!(&taken, Taken::Stored(stored) if stored.is_same(object)),
            "whoever has claimed an object finds it"
        );
        ranks.remove(object, cause, Tick::from(now));
        if let Some(tenant) = tenant_of(object) {
            tenant.release(object.bytes());
        }
        self.listeners.tell(|| Event {
            key: object.key().into(),
            bytes: object.bytes(),
            kind: EventKind::Left(cause),
        });
    }

    /// Ends the puts whose deadlines have passed; returns whether there were
    /// any whose space is free now.
    pub(crate) fn end_late_puts(&self, now: Moment) -> bool {
        if now.0 < self.deadline_min.load(Ordering::Relaxed) {
            return false;
        }
        self.deadline_min.store(u64::MAX, Ordering::Relaxed);
        let mut has_freed = false;
        for pending in self.index.in_flight() {
            if now >= pending.deadline() {
                has_freed |= self.end_late_put(&pending, now);
            }
            if self.index.is_in_flight(&pending) {
                self.note_deadline(pending.deadline());
            }
        }
        has_freed
    }

    /// Takes note of the deadline of a put.
    pub(crate) fn note_deadline(&self, deadline: Moment) {
        // Most deadlines are later than others, and nothing is written.
        if deadline.0 < self.deadline_min.load(Ordering::Relaxed) {
            self.deadline_min.fetch_min(deadline.0, Ordering::Relaxed);
        }
    }

    pub(crate) fn end_late_put(&self, pending: &Pending, now: Moment) -> bool {
        let mut shard = self.index.write_at(pending.id);
        let Some(space) = pending.expire(now) else {
            return false;
        };
        shard.take(pending.id);
        count(&self.counts.expired);
        let until = pending.deadline().after(self.options.put_margin);
        let kept = Kept {
            space: KeptSpace::Put(space.buffers),
            number: pending.number(),
        };
        if until > now {
            // Under the lock of the shard, so that a compaction of the journal
            // finds the space here or there.
            self.limbo.keep(until, kept);
            return false;
        }
        drop(shard);
        self.give_back(kept);
        true
    }

    /// Gives space back whose time has come; returns whether there was any.
    pub(crate) fn sweep(&self, now: Moment) -> bool {
        let due = self.limbo.due(now);
        let has_some = !due.is_empty();
        for kept in due {
            self.give_back(kept);
        }
        has_some
    }

    /// Frees space that was kept, after it was written down that it is free.
    fn give_back(&self, kept: Kept) {
        if let Some(book) = &self.book {
            book.aborted(kept.number);
        }
        drop(kept);
    }
}
