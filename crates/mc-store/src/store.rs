//! The store as its users see it: reading and removing objects.

use std::{
    fmt, mem,
    sync::{
        Arc,
        atomic::{AtomicBool, AtomicU64, Ordering},
    },
    thread,
    time::Duration,
};

use mc_segment::SegmentPool;

use crate::{
    book::NotWritten,
    claims::{Away, Claim},
    clock::{Moment, Stopwatch, Tick},
    error::{ReadError, RemoveError, StoreOptionsError, TenantError},
    events::{Events, Listeners},
    index::Index,
    keeper::Keeper,
    lease::Lease,
    ledger::Account,
    limbo::{Kept, KeptSpace, Limbo},
    object::{Object, Objects},
    options::StoreOptions,
    order::{Order, SLICE},
    policy::Policy,
    request::TermsTable,
    room::Claimers,
    shared::{Counts, Shared, count},
    stats::{Cause, Refusals, StoreStats, TenantStats},
    tenants::{Quota, Tenant, Tenants},
};

/// Objects under keys in the segments of a pool.
///
/// Clones name the same store; any number of threads use it. An object is put
/// in two steps, so that nobody reads what is not written, and never changes
/// afterwards. When there is no room, objects that are neither pinned nor
/// leased leave, see [`Eviction`](crate::Eviction).
///
/// # Examples
///
/// ```
/// use mc_segment::{SegmentPoolOptions, Segment, SegmentId, SegmentInfo, SegmentPool};
/// use mc_store::{ObjectStore, PutRequest, StoreOptions};
///
/// let pool = SegmentPool::new(SegmentPoolOptions::default());
/// let info = SegmentInfo::new(SegmentId(1), "node-1", 0x1_0000_0000, 64 << 20);
/// pool.mount(Segment::remote(info))?;
/// let store = ObjectStore::new(pool, StoreOptions::default())?;
///
/// let put = store.put(b"prefix/1", &PutRequest::new(3_274_752))?;
/// // Here the bytes are sent to where `put.descriptors()` say.
/// put.commit()?;
///
/// let lease = store.get(b"prefix/1").expect("it was committed");
/// assert_eq!(lease.descriptors()[0].address, 0x1_0000_0000);
/// # Ok::<(), Box<dyn std::error::Error>>(())
/// ```
#[derive(Clone)]
pub struct ObjectStore {
    pub(crate) shared: Arc<Shared>,
    #[expect(
        dead_code,
        reason = "compacts the journal until the last clone is dropped"
    )]
    pub(crate) keeper: Option<Arc<Keeper>>,
}

/// What of an object is removed when somebody uses it.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash)]
#[non_exhaustive]
pub enum Removal {
    /// Nothing: an object that is leased or pinned stays.
    #[default]
    IfIdle,
    /// The key, at once; its space is free when the last lease has ended. A
    /// pinned object stays.
    Detach,
    /// All of it, pinned or not. Leases that are held keep the bytes as long as
    /// they are; timed leases count for nothing.
    Now,
}

impl ObjectStore {
    /// Makes a store without objects over a pool, which may have other users.
    ///
    /// # Errors
    ///
    /// A [`StoreOptionsError`].
    pub fn new(pool: SegmentPool, options: StoreOptions) -> Result<Self, StoreOptionsError> {
        let policy = options.policy.policy();
        Self::with_policy(pool, options, policy)
    }

    /// As [`new`](Self::new) with a policy of your own instead of that of the
    /// options. Its calls are made under a lock: it must not call the store.
    ///
    /// # Errors
    ///
    /// A [`StoreOptionsError`].
    pub fn with_policy(
        pool: SegmentPool,
        options: StoreOptions,
        policy: Box<dyn Policy>,
    ) -> Result<Self, StoreOptionsError> {
        options.validate()?;
        let shared = Shared::new(pool, options, policy);
        Ok(Self {
            shared: Arc::new(shared),
            keeper: None,
        })
    }

    /// Returns the pool.
    #[must_use]
    pub fn pool(&self) -> &SegmentPool {
        &self.shared.pool
    }

    /// Returns what the store was made with.
    #[must_use]
    pub fn options(&self) -> &StoreOptions {
        &self.shared.options
    }

    /// Returns the object of a key, and notes that it was used.
    ///
    /// It stays where it is as long as the lease is held. An object none of
    /// whose segments is readable any more is dropped. Yields for the moment in
    /// which a put lets the object go, or not.
    #[inline]
    pub fn get(&self, key: &[u8]) -> Option<Lease> {
        self.shared
            .lease(key, self.shared.now_coarsely(), Lease::take)
    }

    /// As [`get`](Self::get); the object also stays for a time from now on,
    /// held or not, so that another process can read it: at most
    /// [`StoreOptions::lease_max`].
    ///
    /// A lease that lasts longer is not shortened.
    pub fn get_for(&self, key: &[u8], time: Duration) -> Option<Lease> {
        let shared = &*self.shared;
        let now = shared.now();
        let until = now.after(time.min(shared.options.lease_max));
        let take = |object: &Object| {
            let lease = Lease::take(object)?;
            if until > now {
                object.lease_until(until);
                if let Some(book) = &shared.book {
                    // If it is not written, nothing is put any more.
                    let _ = book.leased(key, until);
                }
            }
            Ok(lease)
        };
        shared.lease(key, now, take)
    }

    /// Returns leases of the objects of the first keys, up to the first that
    /// is not stored: what is behind it in a prompt is of no use without it.
    ///
    /// Notes the uses so that the last of them leaves first.
    pub fn get_many<K: AsRef<[u8]>>(&self, keys: &[K]) -> Vec<Lease> {
        self.shared.lease_prefix(keys)
    }

    /// Returns the bytes of an object, where this process can read them.
    ///
    /// An object whose bytes have not the checksum that was taken at its commit
    /// is dropped and counts as not stored. Its space stays taken as long as a
    /// timed lease lasts.
    ///
    /// # Errors
    ///
    /// A [`ReadError`] if no replica can be read here.
    pub fn read(&self, key: &[u8]) -> Result<Option<Vec<u8>>, ReadError> {
        let shared = &*self.shared;
        let now = shared.now();
        let Some(lease) = shared.lease(key, now, Lease::take) else {
            return Ok(None);
        };
        match lease.read() {
            Ok(bytes) => Ok(Some(bytes)),
            Err(ReadError::Checksum { .. }) => {
                let object = lease.object();
                let is_removed = {
                    // As one that is detached: others may read a replica that is whole.
                    let _shard = shared.index.write_at(object.id);
                    let removed = object.claims.remove_now();
                    removed.map(|()| self.keep_leased(object, now)).is_ok()
                };
                if is_removed {
                    shared.let_go([object.clone()], Cause::Corrupt, now);
                }
                count(&shared.counts.uses_without_hit);
                shared.order.note_miss();
                Ok(None)
            }
            Err(error) => Err(error),
        }
    }

    /// Returns whether an object is stored under a key; that is no use of it.
    #[must_use]
    pub fn exists(&self, key: &[u8]) -> bool {
        let shared = &*self.shared;
        let key = shared.index.hash(key);
        shared.find(key, shared.now_coarsely(), |_| ()).is_some()
    }

    /// Returns the keys of all objects, in no order. Takes time linear in the
    /// objects; no lock is held for long.
    #[must_use]
    pub fn keys(&self) -> Vec<Box<[u8]>> {
        let mut keys = Vec::new();
        self.shared.index.for_each_object(|object| {
            if object.is_readable() {
                keys.push(object.key().into());
            }
        });
        keys
    }

    /// Returns leases of all objects, the one that was used last first; of those
    /// used at one moment, what comes first in its prompt. That is no use of
    /// them.
    ///
    /// Takes time `n log n` in the objects, and some bytes for each; no lock is
    /// held for long.
    #[must_use]
    pub fn leases_by_use(&self) -> Vec<Lease> {
        let shared = &*self.shared;
        let mut leases = Vec::new();
        shared.index.for_each_object(|object| {
            if object.is_readable() {
                leases.extend(Lease::take(object));
            }
        });
        let now = Tick::from(shared.now());
        leases.sort_by_cached_key(|lease| {
            let object = lease.object();
            (object.idle_ticks(now), object.lineage().depth)
        });
        leases
    }

    /// Removes an object. While another call decides whether the object leaves,
    /// this one yields.
    ///
    /// # Errors
    ///
    /// A [`RemoveError`]; nothing has changed then.
    pub fn remove(&self, key: &[u8], removal: Removal) -> Result<(), RemoveError> {
        let now = self.shared.now();
        let mut leaving = Objects::new();
        self.take_to_remove(key, removal, now, &mut leaving)?;
        self.shared.let_go(leaving, Cause::Removed, now);
        Ok(())
    }

    /// Removes several objects; returns how each went.
    pub fn remove_many<K: AsRef<[u8]>>(
        &self,
        keys: &[K],
        removal: Removal,
    ) -> Vec<Result<(), RemoveError>> {
        let now = self.shared.now();
        let mut results = Vec::with_capacity(keys.len());
        for slice in keys.chunks(SLICE) {
            let mut leaving = Objects::new();
            results.extend(
                slice
                    .iter()
                    .map(|key| self.take_to_remove(key.as_ref(), removal, now, &mut leaving)),
            );
            self.shared.let_go(leaving, Cause::Removed, now);
        }
        results
    }

    /// Takes an object for leaving, as the way to remove it demands, and adds it to
    /// those that were taken before.
    fn take_to_remove(
        &self,
        key: &[u8],
        removal: Removal,
        now: Moment,
        leaving: &mut Objects,
    ) -> Result<(), RemoveError> {
        let shared = &*self.shared;
        let hashed = shared.index.hash(key);
        let take = |object: &Object| match removal {
            Removal::IfIdle => object.remove_idle(now),
            Removal::Detach => object
                .claims
                .remove_leased()
                .map(|()| self.keep_leased(object, now)),
            Removal::Now => object.claims.remove_now(),
        };
        let object = loop {
            let take = |object: &Object| Ok(take(object).map(|()| object.clone()));
            // Who is given a timed lease is given it before or after.
            let taken = shared.look_up_alone(hashed, now, take);
            match taken.ok_or(RemoveError::NotStored)? {
                Ok(object) => break object,
                Err(Claim::Leased) => return Err(RemoveError::Leased),
                Err(Claim::Pinned) => return Err(RemoveError::Pinned),
                Err(Claim::Leaving) => {
                    // Closed for a plan that comes to nothing, it would stay. Nobody
                    // waits for what this call has taken, or two could for each other.
                    shared.let_go(mem::take(leaving), Cause::Removed, now);
                    thread::yield_now();
                }
            }
        };
        leaving.push(object);
        Ok(())
    }

    /// Keeps the space of an object that is detached as long as its timed lease
    /// lasts. The caller has locked the shard, so that a compaction of the journal
    /// finds the space here or there.
    fn keep_leased(&self, object: &Object, now: Moment) {
        let shared = &*self.shared;
        let until = object.leased_until();
        if now < until {
            let book = shared.book.as_ref();
            let number = book.and_then(|book| book.detached(object, until).ok());
            let kept = Kept {
                space: KeptSpace::Object(object.clone()),
                number: number.unwrap_or_default(),
            };
            shared.limbo.keep(until, kept);
        }
    }

    /// Ends the timed lease of an object, whoever took it; returns whether there
    /// was one. Leases that are held stay.
    pub fn end_lease(&self, key: &[u8]) -> bool {
        let shared = &*self.shared;
        let now = shared.now();
        let hashed = shared.index.hash(key);
        let end = |object: &Object| {
            if let Some(away) = object.claims.away() {
                return Err(away);
            }
            let had_one = object.end_timed_lease(now);
            if let Some(book) = shared.book.as_ref().filter(|_| had_one) {
                // If it is not written, it ends by itself after a restart.
                let _ = book.lease_ended(key);
            }
            had_one.then_some(object.id).ok_or(Away::Gone)
        };
        let Some(id) = shared.look_up_alone(hashed, now, end) else {
            return false;
        };
        let mut ranks = shared.order.lock();
        ranks.look_again(&shared.index, id, now);
        true
    }

    /// Says what a tenant is sure of and what it may have, from now on; see
    /// [`PutRequest::tenant`](crate::PutRequest::tenant).
    ///
    /// While it has no more than its guarantee, none of its objects leaves for
    /// others. While it has less, its puts take the place of what others have
    /// beyond theirs, before its own objects leave. All guarantees together are
    /// at most the bytes of the segments that are open to placement; if segments
    /// leave later, they hold as far as there is memory. A limit below what the
    /// tenant has takes effect with its next put. In a store with a directory,
    /// quotas are kept.
    ///
    /// # Errors
    ///
    /// A [`TenantError`]; nothing has changed then.
    pub fn tenant(&self, name: &str, quota: Quota) -> Result<(), TenantError> {
        let shared = &*self.shared;
        let capacity = shared.pool.placeable_bytes();
        let tenant = shared.tenants.set(name, quota, capacity)?;
        shared.order.lock().ledger.set_guaranteed(&tenant);
        let told = shared.book.as_ref().map(|book| book.tenant(&tenant));
        told.unwrap_or(Ok(()))
            .map_err(|NotWritten| TenantError::Journal)
    }

    /// Returns the time on the clock of the store: what the clock shows, had it
    /// never been set back.
    #[must_use]
    pub fn now(&self) -> Duration {
        let shared = &*self.shared;
        shared.watch.reading(shared.now())
    }

    /// Returns a queue of what happens to objects from now on, which holds
    /// `capacity` events, at least 1.
    #[must_use]
    pub fn events(&self, capacity: usize) -> Events {
        self.shared.listeners.listen(capacity)
    }

    /// Returns what the store holds and has done so far.
    ///
    /// If segments have changed since, objects without a readable replica are
    /// dropped first, in time linear in the objects. No lock is held for long.
    #[must_use]
    pub fn stats(&self) -> StoreStats {
        let shared = &*self.shared;
        let now = shared.now();
        shared.sweep(now);
        shared.end_late_puts(now);
        if shared.swept_changes.load(Ordering::Relaxed) != shared.pool.changes() {
            shared.drop_unreadable();
        }
        shared.stats()
    }

    /// Checks that all tables of the store agree, while no other call runs. A
    /// test aid that takes time linear in the objects.
    ///
    /// # Panics
    ///
    /// Panics if they do not, which no sequence of calls can bring about.
    pub fn check_invariants(&self) {
        let shared = &*self.shared;
        shared.index.check_invariants();
        shared.order.check_invariants(&shared.index);
        for tenant in shared.tenants.all() {
            let stored = shared.order.lock().ledger.account(tenant.number).stored;
            let puts = shared.index.in_flight();
            let own = puts.iter().filter_map(|put| put.charged());
            let own = own.filter(|(number, _)| *number == tenant.number);
            let in_flight: u64 = own.map(|(_, bytes)| bytes).sum();
            let used = stored.bytes + in_flight;
            assert_eq!(tenant.used(), used, "bytes of {:?}", tenant.name);
        }
    }
}

impl Shared {
    pub(crate) fn new(pool: SegmentPool, options: StoreOptions, policy: Box<dyn Policy>) -> Self {
        let order = Order::new(policy);
        Self {
            swept_changes: AtomicU64::new(pool.changes()),
            passed_over: parking_lot::Mutex::default(),
            unmounting: parking_lot::Mutex::default(),
            index: Index::new(pool.options().seed),
            pool,
            watch: Stopwatch::new(options.clock.clone()),
            options,
            terms: TermsTable::new(order.returned()),
            tenants: Tenants::default(),
            order,
            limbo: Limbo::new(),
            claimers: Claimers::default(),
            listeners: Listeners::default(),
            book: None,
            counts: Counts::default(),
            deadline_min: AtomicU64::new(u64::MAX),
            is_above_watermark: AtomicBool::new(false),
        }
    }

    /// Takes a lease of the object of a key.
    #[inline]
    fn lease(
        &self,
        key: &[u8],
        now: Moment,
        take: impl Fn(&Object) -> Result<Lease, Away>,
    ) -> Option<Lease> {
        let lease = self.look_up(self.index.hash(key), now, take);
        match &lease {
            Some(lease) => self.order.note_use(lease.object(), Tick::from(now)),
            None => self.order.note_miss(),
        }
        lease
    }

    /// Takes a lease of the object of a key, dropping it if nobody can read it;
    /// that is no use.
    #[inline]
    pub(crate) fn lease_quietly(&self, key: &[u8], now: Moment) -> Option<Lease> {
        self.look_up(self.index.hash(key), now, Lease::take)
    }

    fn lease_prefix<K: AsRef<[u8]>>(&self, keys: &[K]) -> Vec<Lease> {
        let now = self.now_coarsely();
        let mut leases = Vec::new();
        for key in keys {
            let Some(lease) = self.lease_quietly(key.as_ref(), now) else {
                self.order.note_miss();
                break;
            };
            leases.push(lease);
        }
        for lease in leases.iter().rev() {
            self.order.note_use(lease.object(), Tick::from(now));
        }
        leases
    }

    fn stats(&self) -> StoreStats {
        let (hits, misses) = self.order.reads();
        let (objects, in_flight) = self.index.counts();
        let load = |sum: &AtomicU64| sum.load(Ordering::Relaxed);
        let counts = &self.counts;
        let tenants = self.tenants.all();
        let ranks = self.order.lock();
        let figures = &ranks.figures;
        let tenants = tenants.iter().map(|tenant| {
            let stats = tenant_stats(tenant, &ranks.ledger.account(tenant.number));
            (tenant.name.as_ref().to_owned(), stats)
        });
        let tenants = tenants.collect();
        StoreStats {
            objects,
            pinned: figures.pinned,
            in_flight,
            lingering: self.limbo.len() as u64,
            live_bytes: figures.live_bytes,
            useful_bytes: figures.useful_bytes,
            hits: hits.saturating_sub(load(&counts.uses_without_hit)),
            misses,
            committed: figures.committed,
            committed_bytes: figures.committed_bytes,
            abandoned: load(&counts.abandoned),
            expired: load(&counts.expired),
            moved: figures.moved,
            moves_ended: figures.moves_ended,
            removed: figures.removed,
            refused: Refusals {
                key_taken: load(&counts.key_taken),
                too_large: load(&counts.too_large),
                no_space: load(&counts.no_space),
                quota: load(&counts.quota),
                impossible: load(&counts.impossible),
                journal: load(&counts.journal),
            },
            on_demand: figures.on_demand,
            by_watermark: figures.by_watermark,
            by_shrinking: figures.by_shrinking,
            unreadable: figures.unreadable,
            corrupt: figures.corrupt,
            placed_bytes_on_demand: load(&counts.placed_bytes_on_demand),
            tenants,
            lifetime: figures.lifetime.clone(),
            idle_before_eviction: figures.idle.clone(),
            reuse_gap: figures.reuse_gap.clone(),
        }
    }
}

fn tenant_stats(tenant: &Tenant, account: &Account) -> TenantStats {
    let quota = tenant.quota();
    TenantStats {
        guaranteed_bytes: quota.guaranteed,
        most_bytes: quota.most,
        used_bytes: tenant.used(),
        stored: account.stored,
        evicted: account.evicted,
        refused: tenant.refused(),
    }
}

impl fmt::Debug for ObjectStore {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("ObjectStore")
            .field("pool", &self.shared.pool)
            .field("stats", &self.shared.stats())
            .finish_non_exhaustive()
    }
}
