//! The pool: mounted segments, and space in those that are open.

mod blocks;
mod exact;
mod plans;
mod refusal;
mod registry;
mod resize;
mod restore;

use std::{
    fmt,
    sync::{
        Arc, Mutex, MutexGuard, PoisonError,
        atomic::{AtomicU64, Ordering},
    },
    time::Duration,
};

use arc_swap::ArcSwap;

use crate::{
    buffer::PlacedBuffer,
    draw::Draw,
    error::{MountError, PlacementError, TransitionError},
    id::SegmentId,
    mounted::{Commons, Mounted, is_greater_share},
    options::SegmentPoolOptions,
    placement::{Met, Search},
    request::PlaceRequest,
    segment::{Segment, SegmentInfo},
    state::{SegmentState, Step, Transition},
    stats::{PoolStats, RequestCounters, SegmentView},
    table::Table,
};

pub use self::resize::SegmentTail;
use self::{
    refusal::refusal,
    registry::{Admission, Registry, retire},
};

/// The segments of a store.
///
/// Clones name the same pool. Any number of threads place at once; changes of
/// the set of segments exclude one another. No placement waits for them, but one
/// that met a segment as it was closed and found no room elsewhere.
///
/// # Examples
///
/// ```
/// use mc_segment::{SegmentPoolOptions, PlaceRequest, Segment, SegmentId, SegmentInfo, SegmentPool};
///
/// let pool = SegmentPool::new(SegmentPoolOptions::default());
/// let info = SegmentInfo::new(SegmentId(1), "node-1", 0x1_0000_0000, 64 << 20);
/// pool.mount(Segment::remote(info))?;
/// let buffers = pool.place(&PlaceRequest::new(3_274_752))?;
/// assert_eq!(buffers[0].address(), 0x1_0000_0000);
/// # Ok::<(), Box<dyn std::error::Error>>(())
/// ```
#[derive(Clone)]
pub struct SegmentPool {
    shared: Arc<Shared>,
}

/// What mounting a segment did.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum Mounting {
    /// The segment is new and open to placement.
    Mounted,
    /// It was mounted with the same fields before, and stays in this state. The
    /// memory that was passed is dropped.
    AlreadyMounted(SegmentState),
    /// The segment is open to placement, empty, and its older epoch is gone.
    Replaced(Replaced),
}

/// An incarnation of a segment that gave way to a newer one: its buffers are
/// invalid, as their bytes are lost.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub struct Replaced {
    /// Its epoch.
    pub epoch: u64,
    /// The state it was in.
    pub state: SegmentState,
    /// Bytes of the buffers that were placed in it, as they were asked for.
    pub placed_bytes: u64,
}

struct Shared {
    options: SegmentPoolOptions,
    /// The segments that are open to placement. Replaced under the lock of
    /// `registry` only.
    table: ArcSwap<Table>,
    /// Held for changes of the set of segments and to look one up by its id;
    /// never while something is placed, an allocator is made or a segment's
    /// lock is held for longer than a report takes.
    registry: Mutex<Registry>,
    commons: Commons,
    /// How often a segment came, went or changed its state. Counted up under
    /// the lock of `registry`, after a state was stored and before the table is:
    /// who reads a new number with `Acquire` sees the states that it counts, and
    /// who finds a segment in the table reads a number that counts it.
    changes: AtomicU64,
    /// Requests so far; each takes the stream of random numbers of its number.
    /// The read-modify-write alone makes numbers unique, so `Relaxed`.
    tickets: AtomicU64,
    counters: RequestCounters,
}

impl SegmentPool {
    /// Makes a pool without segments.
    #[must_use]
    pub fn new(options: SegmentPoolOptions) -> Self {
        let shared = Shared {
            options,
            table: ArcSwap::from_pointee(Table::new()),
            registry: Mutex::default(),
            commons: Commons::default(),
            changes: AtomicU64::new(0),
            tickets: AtomicU64::new(0),
            counters: RequestCounters::default(),
        };
        Self {
            shared: Arc::new(shared),
        }
    }

    /// Returns what the pool was made with.
    #[must_use]
    pub fn options(&self) -> &SegmentPoolOptions {
        &self.shared.options
    }

    /// Adds a segment and opens it to placement, or finds it mounted with the
    /// same fields.
    ///
    /// A segment with an epoch above that of the one mounted under its id
    /// replaces it, whatever state that is in and whatever else has changed: the
    /// buffers of the older one are invalid from then on. Its own fields are as
    /// those of any new segment.
    ///
    /// Takes time logarithmic in the number of segments, but for the list of
    /// those that are open, some of which is copied; the allocator of the
    /// segment is made before anything is locked.
    ///
    /// # Errors
    ///
    /// A [`MountError`]; a segment that is mounted under the id, or shares
    /// addresses of the endpoint or bytes of the memory, is named in it. That
    /// two files or mappings show the same bytes is not found out.
    pub fn mount(&self, segment: Segment) -> Result<Mounting, MountError> {
        if let Admission::Mounted(state) = self.registry().admit(&segment.info)? {
            return Ok(Mounting::AlreadyMounted(state));
        }
        let mounted = Arc::new(Mounted::new(segment, &self.shared.commons)?);
        let mut registry = self.registry();
        match registry.admit(mounted.info())? {
            Admission::Mounted(state) => Ok(Mounting::AlreadyMounted(state)),
            admission => self.install(&mut registry, mounted, &admission),
        }
    }

    /// Closes a segment to placement while its buffers stay: they are to be
    /// read where no other replica is. [`resume`](Self::resume) opens it again.
    ///
    /// # Errors
    ///
    /// As the [table](SegmentState) says.
    pub fn suspend(&self, id: SegmentId) -> Result<(), TransitionError> {
        self.transition(id, Transition::Suspend)
    }

    /// Closes a segment to placement so that its objects can be moved away;
    /// they stay readable.
    ///
    /// # Errors
    ///
    /// As the [table](SegmentState) says.
    pub fn drain(&self, id: SegmentId) -> Result<(), TransitionError> {
        self.transition(id, Transition::Drain)
    }

    /// States that a draining segment is empty.
    ///
    /// # Errors
    ///
    /// [`TransitionError::NotEmpty`] if something is placed in it, or as the
    /// [table](SegmentState) says.
    pub fn finish_drain(&self, id: SegmentId) -> Result<(), TransitionError> {
        self.transition(id, Transition::FinishDrain)
    }

    /// Opens a suspended, draining or drained segment to placement again.
    ///
    /// # Errors
    ///
    /// As the [table](SegmentState) says.
    pub fn resume(&self, id: SegmentId) -> Result<(), TransitionError> {
        self.transition(id, Transition::Resume)
    }

    /// Closes a segment to placement for good; its buffers stay readable until
    /// [`begin_unmount`](Self::begin_unmount).
    ///
    /// # Errors
    ///
    /// As the [table](SegmentState) says.
    pub fn unmount_gracefully(&self, id: SegmentId) -> Result<(), TransitionError> {
        self.transition(id, Transition::UnmountGracefully)
    }

    /// Makes the buffers of a segment invalid. Its address range stays taken,
    /// so that readers elsewhere can be told before it is used otherwise.
    ///
    /// # Errors
    ///
    /// As the [table](SegmentState) says; of several callers one succeeds.
    pub fn begin_unmount(&self, id: SegmentId) -> Result<(), TransitionError> {
        self.transition(id, Transition::BeginUnmount)
    }

    /// Forgets a segment whose unmount has begun, and lets go of its memory.
    ///
    /// # Errors
    ///
    /// [`TransitionError::Busy`] while bytes of its buffers are read, written or
    /// lent, or as the [table](SegmentState) says.
    pub fn finish_unmount(&self, id: SegmentId) -> Result<(), TransitionError> {
        self.transition(id, Transition::FinishUnmount)
    }

    /// As [`finish_unmount`](Self::finish_unmount), and waits up to `timeout`
    /// for accesses that are under way. Others use the pool meanwhile.
    ///
    /// # Errors
    ///
    /// As [`finish_unmount`](Self::finish_unmount), at the end of the time.
    pub fn finish_unmount_within(
        &self,
        id: SegmentId,
        timeout: Duration,
    ) -> Result<(), TransitionError> {
        if let Some(mounted) = self.mounted(id)
            && mounted.state() == SegmentState::Unmounting
        {
            mounted.gate.wait(timeout);
        }
        self.finish_unmount(id)
    }

    /// Returns the state of a segment, if it is mounted.
    #[must_use]
    pub fn state(&self, id: SegmentId) -> Option<SegmentState> {
        // Under the lock, so that the state is one whose change is counted.
        self.registry().get(id).map(|mounted| mounted.state())
    }

    /// Returns what is known about a segment, if it is mounted.
    #[must_use]
    pub fn info(&self, id: SegmentId) -> Option<SegmentInfo> {
        self.mounted(id).map(|mounted| mounted.info().clone())
    }

    /// Returns all mounted segments in the order of their ids, whatever their
    /// states.
    ///
    /// Takes no segment's lock: the numbers of segments that are in use may be
    /// of slightly different moments.
    #[must_use]
    pub fn segments(&self) -> Vec<SegmentView> {
        self.all().iter().map(|mounted| mounted.view()).collect()
    }

    /// Places the replicas of an object.
    ///
    /// Takes no lock of the pool, unless it met a segment as it was closed and
    /// found no room elsewhere: it then waits for that change, and searches
    /// again. Returns at least as many buffers as the policy of the request
    /// demands, under distinct names.
    ///
    /// # Errors
    ///
    /// A [`PlacementError`]; [`NoSpace`](PlacementError::NoSpace) is the one that
    /// evicting helps against. Nothing is left allocated.
    #[inline]
    pub fn place(&self, request: &PlaceRequest<'_>) -> Result<Vec<PlacedBuffer>, PlacementError> {
        let shared = &*self.shared;
        if let Err(error) = request.validate() {
            return Err(shared.counters.count(error));
        }
        loop {
            let table = shared.table.load();
            let ticket = shared.tickets.fetch_add(1, Ordering::Relaxed);
            let draw = Draw::new(shared.options.seed, ticket);
            let search = Search::new(&table, request, draw);
            let (buffers, met) = search.place(shared.options.strategy);
            if buffers.len() == request.replicas.count as usize {
                return Ok(buffers);
            }
            if !self.has_changed(&table, met) {
                return self.settle_shortfall(&table, request, buffers);
            }
        }
    }

    /// Returns how often a segment came, went or changed its state: as long as
    /// the number is the same, so is what [`state`](Self::state) says of each.
    #[must_use]
    pub fn changes(&self) -> u64 {
        self.shared.changes.load(Ordering::Acquire)
    }

    /// Returns the bytes of all segments that are open to placement, or
    /// [`u64::MAX`] if there are more.
    #[must_use]
    pub fn placeable_bytes(&self) -> u64 {
        u64::try_from(self.shared.table.load().rows.bytes()).unwrap_or(u64::MAX)
    }

    /// Returns the bytes of all buffers that are alive in segments open to
    /// placement, as they were asked for.
    ///
    /// Reads a few numbers, however many segments there are. Exact when nothing
    /// is being placed or dropped, for sums below 2<sup>63</sup>.
    #[must_use]
    pub fn placed_bytes_in_placeable(&self) -> u64 {
        self.shared.commons.placed.bytes()
    }

    /// Returns whether other segments are open than a search went through. If it
    /// met a closed one, waits for whoever closed it to open another in its stead.
    #[cold]
    fn has_changed(&self, table: &Arc<Table>, met: Met) -> bool {
        if met == Met::ClosedOnes {
            drop(self.registry());
        }
        !Arc::ptr_eq(table, &self.shared.table.load())
    }

    /// Decides whether fewer replicas than asked for are a success.
    #[cold]
    fn settle_shortfall(
        &self,
        table: &Table,
        request: &PlaceRequest<'_>,
        buffers: Vec<PlacedBuffer>,
    ) -> Result<Vec<PlacedBuffer>, PlacementError> {
        let counters = &self.shared.counters;
        if buffers.len() < request.replicas.least() as usize {
            return Err(counters.count(refusal(table, request, buffers.len())));
        }
        counters.count_partial();
        Ok(buffers)
    }

    /// Returns the sums of the pool and of each segment, all freed blocks
    /// merged.
    ///
    /// Takes the locks of the segments one after the other, so the sums of
    /// segments in use are of slightly different moments.
    #[must_use]
    pub fn stats(&self) -> PoolStats {
        let mut stats = PoolStats {
            requests: self.shared.counters.read(),
            ..PoolStats::default()
        };
        for segment in self.all().iter().map(|mounted| mounted.stats()) {
            stats.total.add(&segment.space);
            stats.segments.push(segment);
        }
        stats
    }

    /// Marks a segment that is about to be opened as fresh if the open ones are
    /// fuller.
    fn mark_fresh(&self, mounted: &Mounted, open: &Table) {
        let open_bytes = u64::try_from(open.rows.bytes()).unwrap_or(u64::MAX);
        let pool = (self.placed_bytes_in_placeable(), open_bytes);
        if is_greater_share(pool, (mounted.placed.bytes(), mounted.capacity())) {
            mounted.freshen();
        }
    }

    /// Opens a segment to placement in the stead of the older incarnation, if
    /// there is one.
    fn install(
        &self,
        registry: &mut Registry,
        mounted: Arc<Mounted>,
        admission: &Admission,
    ) -> Result<Mounting, MountError> {
        registry.check_disjoint(&mounted)?;
        let table = self.shared.table.load();
        let without;
        let (mounting, others) = match admission {
            Admission::Newer(older) => {
                let replaced = retire(older, registry)?;
                without = table.without(older);
                (Mounting::Replaced(replaced), &without)
            }
            Admission::New | Admission::Mounted(_) => (Mounting::Mounted, &**table),
        };
        self.mark_fresh(&mounted, others);
        registry.insert(Arc::clone(&mounted));
        // In one step, so that one of the two is open to every placement.
        self.show(Some(others.with(&mounted)));
        Ok(mounting)
    }

    fn mounted(&self, id: SegmentId) -> Option<Arc<Mounted>> {
        self.registry().get(id).cloned()
    }

    /// Returns all segments in the order of their ids.
    fn all(&self) -> Vec<Arc<Mounted>> {
        self.registry().iter().cloned().collect()
    }

    fn transition(&self, id: SegmentId, transition: Transition) -> Result<(), TransitionError> {
        let mut registry = self.registry();
        let Some(mounted) = registry.get(id).cloned() else {
            return Err(TransitionError::NotMounted { id });
        };
        let state = mounted.state();
        match SegmentState::step(Some(state), transition) {
            Step::Stay => return Ok(()),
            Step::Refuse => {
                return Err(TransitionError::Refused {
                    id,
                    state,
                    transition,
                });
            }
            Step::To(next) => {
                if transition == Transition::FinishDrain {
                    check_empty(&mounted)?;
                }
                if next == SegmentState::Ok {
                    self.mark_fresh(&mounted, &self.shared.table.load());
                }
                mounted.set_state(next);
            }
            Step::Forget => {
                let accesses = mounted.gate.accesses();
                if accesses > 0 {
                    return Err(TransitionError::Busy { id, accesses });
                }
                registry.remove(id);
                mounted.release_memory();
            }
        }
        self.publish(&mounted);
        Ok(())
    }

    fn registry(&self) -> MutexGuard<'_, Registry> {
        // Every change is one insertion or removal, so poison is no error.
        let registry = self.shared.registry.lock();
        registry.unwrap_or_else(PoisonError::into_inner)
    }

    /// Makes the table follow the state of a segment; the caller holds the lock
    /// of the registry.
    fn publish(&self, mounted: &Arc<Mounted>) {
        let table = self.shared.table.load();
        let is_open = mounted.state().is_placeable();
        self.show(match (is_open, table.contains(mounted)) {
            (true, false) => Some(table.with(mounted)),
            (false, true) => Some(table.without(mounted)),
            (true, true) | (false, false) => None,
        });
    }

    /// Counts a change whose states are stored, and then stores the table, if it
    /// is another one; the caller holds the lock of the registry.
    fn show(&self, table: Option<Table>) {
        self.shared.changes.fetch_add(1, Ordering::Release);
        if let Some(table) = table {
            self.shared.table.store(Arc::new(table));
        }
    }
}

impl fmt::Debug for SegmentPool {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let all = self.all();
        let states = all
            .iter()
            .map(|mounted| (mounted.info().id, mounted.state()));
        f.debug_map().entries(states).finish()
    }
}

/// Looks at the bytes of buffers, as allocators also have what nobody was given:
/// space that a placement took when the segment was closed, or that is held at
/// the end. The caller holds the lock of the registry: a buffer that is adopted
/// is seen here, or given up for the state that follows.
fn check_empty(mounted: &Mounted) -> Result<(), TransitionError> {
    let live_bytes = mounted.placed.bytes();
    if live_bytes == 0 {
        return Ok(());
    }
    Err(TransitionError::NotEmpty {
        id: mounted.info().id,
        live_bytes,
        allocations: mounted.stats().space.allocations,
    })
}
