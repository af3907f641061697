//! The class `Store`.

mod chain;
mod opening;

use std::path::PathBuf;

use mc_segment::{
    PlacedBuffer, Replicas, SegmentId, SegmentInfo, SegmentPool, SegmentPoolOptions,
    TransitionError,
};
use mc_store::{ObjectStore, PutRequest, Quota, StoreOptions, copy_bytes};
use pyo3::{
    prelude::*,
    pyclass,
    types::{PyDict, PyList},
};

use self::opening::{Opening, Ready};
use crate::{
    answers, arguments,
    clock::ManualClock,
    detached::Detached,
    errors,
    lease::Lease,
    local::Local,
    put::Put,
    segments::{self, Described},
    source::{Key, Source},
    stats,
};

/// Objects under keys in segments of memory, here or on other hosts.
///
/// Keys are bytes; text stands for its UTF-8. When there is no room, objects that are neither pinned nor
/// leased leave.
///
/// `policy` says who leaves first: auto, lru, tail-first, s3-fifo, gdsf or reuse-age. `compaction` is how
/// many bytes a put may move for each that it stores, so that less leaves. `high` and `low`
/// are shares of the memory: above the one, objects leave until the other is reached. `lease_max` is the
/// longest time of a timed lease in seconds. With a `directory`, what is stored is there again after the
/// process has ended, however it did: mount the segments with their memory, then use the store. `clock`
/// is a `ManualClock`, or the time of the system. `strategy` chooses among segments: random,
/// free-ratio-first, local-first, capacity-weighted or best-hole.
///
/// >>> import mc_alloc
/// >>> store = mc_alloc.Store()
/// >>> pool = mc_alloc.Pool(1 << 20, pages='off')
/// >>> store.mount(1, pool.size, name='here', memory=pool)
/// 'mounted'
/// >>> with store.put(b'prefix/1', 5) as put:
/// ...     put.write(b'value')
/// 5
/// >>> store.get(b'prefix/1').read()
/// b'value'
/// >>> store.get(b'prefix/2') is None
/// True
#[pyclass(frozen, module = "mc_alloc")]
#[derive(Debug)]
pub(crate) struct Store {
    opening: Local<Detached<Opening>>,
}

#[pymethods]
impl Store {
    #[new]
    #[pyo3(signature = (policy="auto", compaction=0.0, high=None, low=None, lease_max=None, directory=None,
        clock=None, *, strategy=None))]
    #[expect(
        clippy::too_many_arguments,
        reason = "each is a keyword argument of its own in Python"
    )]
    fn new(
        policy: &str,
        compaction: f64,
        high: Option<f64>,
        low: Option<f64>,
        lease_max: Option<f64>,
        directory: Option<PathBuf>,
        clock: Option<&ManualClock>,
        strategy: Option<&str>,
    ) -> PyResult<Self> {
        let mut options = StoreOptions {
            compaction: arguments::compaction(compaction)?,
            policy: arguments::policy(policy)?,
            watermarks: arguments::watermarks(high, low)?,
            ..StoreOptions::default()
        };
        if let Some(most) = lease_max {
            options.lease_max = arguments::seconds("lease_max", most)?;
        }
        if let Some(clock) = clock {
            options.clock = clock.clock();
        }
        let mut pool = SegmentPoolOptions::default();
        if let Some(strategy) = strategy {
            pool.strategy = strategy.parse().map_err(errors::refused)?;
        }
        Ok(Self {
            opening: Local::new(Detached::new(Opening::new(pool, options, directory)?))?,
        })
    }

    /// Adds a segment of `size` bytes: of a Pool, whose bytes the store reads and writes, or of another host.
    ///
    /// `id` is a number of up to 128 bits. Descriptors count from `base`. Two replicas are never in
    /// segments of one name; without one, each segment has its own. An `epoch` above that of a segment
    /// mounted under the id replaces it. `endpoint` is where a transport reaches the segment by
    /// `protocol`; without one, it is made of name and id. Returns mounted, already-mounted or replaced.
    #[pyo3(signature = (id, size, name="", host="", base=0, epoch=0, memory=None, *, endpoint=None,
        protocol="tcp"))]
    #[expect(
        clippy::too_many_arguments,
        reason = "each is a keyword argument of its own in Python"
    )]
    fn mount(
        &self,
        py: Python<'_>,
        #[pyo3(from_py_with = arguments::whole)] id: u128,
        #[pyo3(from_py_with = arguments::whole)] size: u64,
        name: &str,
        host: &str,
        #[pyo3(from_py_with = arguments::whole)] base: u64,
        #[pyo3(from_py_with = arguments::whole)] epoch: u64,
        memory: Option<&Bound<'_, PyAny>>,
        endpoint: Option<&str>,
        protocol: &str,
    ) -> PyResult<&'static str> {
        let opening = self.opening.get()?;
        let id = SegmentId(id);
        let own = format!("{:x}", id.0);
        let (name, own) = match name {
            "" => (own.clone(), own),
            name => (name.to_owned(), format!("{name}/{own}")),
        };
        let mut info = SegmentInfo::new(id, name, base, size);
        host.clone_into(&mut info.host);
        info.epoch = epoch;
        // Ranges on one endpoint must not overlap, and segments may count from the same base.
        info.endpoint = endpoint.map_or(own, str::to_owned);
        protocol.clone_into(&mut info.protocol);
        let described = Described::new(info, memory)?;
        let mounting = py.detach(|| opening.mount(described));
        mounting.map(segments::mounting).map_err(errors::mount)
    }

    /// Returns a Put: space for an object, for which others leave if need be.
    ///
    /// `size_or_parts` is a number of bytes or, for an object of several parts that are all stored or none,
    /// a list of them. `align` is a power of two: each part begins at a multiple of it. `extents` is how many
    /// pieces a replica may be in, `replicas` how many there are, `host` that of the writer, `parent` the key
    /// of what comes before in a prompt. After `deadline` seconds without a commit, key and space come back.
    ///
    /// `tenant` is whose object it is. Objects of a lower `priority`, from -128 to 127, leave before those of
    /// a higher one. Until `keep_until`, on the clock of `now`, the object leaves only if nothing else can.
    /// `cost` is the time in seconds to compute it again, which the policies auto, gdsf and reuse-age weigh.
    ///
    /// Raises `Exists`, `NoSpace` if all that may leave does not make room, or `QuotaExceeded`.
    #[pyo3(signature = (key, size_or_parts, align=1, extents=1, replicas=1, host="", parent=None, tenant=None,
        keep_until=None, deadline=None, *, priority=0, cost=0.0))]
    #[expect(
        clippy::too_many_arguments,
        reason = "each is a keyword argument of its own in Python"
    )]
    fn put(
        &self,
        py: Python<'_>,
        key: &Bound<'_, PyAny>,
        size_or_parts: &Bound<'_, PyAny>,
        #[pyo3(from_py_with = arguments::whole)] align: u64,
        #[pyo3(from_py_with = arguments::whole)] extents: u32,
        #[pyo3(from_py_with = arguments::whole)] replicas: u32,
        host: &str,
        parent: Option<&Bound<'_, PyAny>>,
        tenant: Option<&str>,
        keep_until: Option<f64>,
        deadline: Option<f64>,
        #[pyo3(from_py_with = arguments::whole)] priority: i8,
        cost: f64,
    ) -> PyResult<Put> {
        let store = self.store(py)?;
        let parts = arguments::parts(size_or_parts)?;
        let (key, parent) = (Key::of(key)?, parent.map(Key::of).transpose()?);
        let deadline = deadline.map(|time| arguments::seconds("deadline", time));
        let keep_until = keep_until.map(|time| arguments::seconds("keep_until", time));
        let request = PutRequest {
            align,
            max_extents: extents,
            replicas: Replicas::exact(replicas),
            host,
            parent: parent.as_ref().map(AsRef::as_ref),
            deadline: deadline.transpose()?,
            tenant,
            priority,
            keep_until: keep_until.transpose()?,
            cost: arguments::seconds("cost", cost)?,
            ..PutRequest::of_parts(&parts)
        };
        let key = key.as_ref();
        let put = py.detach(|| store.put(key, &request));
        let put = put.map_err(|error| errors::put(error, key, store.pool()))?;
        let size = parts.iter().sum();
        Ok(Put::new(put, size, self.opening.process()))
    }

    /// Stores what is missing of the objects of a prompt, as many from its front as fit; returns how many
    /// are stored.
    ///
    /// `sizes` is one number for all or one for each. `parent` is the key before the first. With `data`,
    /// one buffer for each key, the bytes of those that were missing are written.
    #[pyo3(signature = (keys, sizes, align=1, parent=None, data=None))]
    fn put_many(
        &self,
        py: Python<'_>,
        keys: &Bound<'_, PyAny>,
        sizes: &Bound<'_, PyAny>,
        #[pyo3(from_py_with = arguments::whole)] align: u64,
        parent: Option<&Bound<'_, PyAny>>,
        data: Option<&Bound<'_, PyAny>>,
    ) -> PyResult<usize> {
        let store = self.store(py)?;
        let keys = arguments::list(keys, |key| Key::of(&key))?;
        let sizes = arguments::sizes(sizes, keys.len())?;
        let parent = parent.map(Key::of).transpose()?;
        let sources = data.map(|data| arguments::list(data, |bytes| Source::of(&bytes)));
        let sources = sources.transpose()?;
        let bytes: Option<Vec<&[u8]>> = sources
            .as_ref()
            .map(|sources| sources.iter().map(Source::bytes).collect());
        chain::check_len("sizes", sizes.len(), keys.len())?;
        if let Some(bytes) = &bytes {
            chain::check_len("buffers", bytes.len(), keys.len())?;
            chain::check_sizes(bytes, &sizes)?;
        }
        let request = |size| PutRequest {
            align,
            parent: parent.as_ref().map(AsRef::as_ref),
            ..PutRequest::new(size)
        };
        let requests = sizes.into_iter().map(request);
        let chain: Vec<_> = keys.iter().map(AsRef::as_ref).zip(requests).collect();
        py.detach(|| chain::put(store, &chain, bytes.as_deref()))
            .map_err(|refused| refused.exception(store.pool()))
    }

    /// Returns a Lease of an object, or None if it is not stored.
    ///
    /// With `lease`, it also stays for so many seconds, at most `lease_max`, for readers elsewhere.
    #[pyo3(signature = (key, lease=0.0))]
    fn get(&self, py: Python<'_>, key: &Bound<'_, PyAny>, lease: f64) -> PyResult<Option<Lease>> {
        let store = self.store(py)?;
        let key = Key::of(key)?;
        let key = key.as_ref();
        let time = arguments::seconds("lease", lease)?;
        let held = py.detach(|| match time.is_zero() {
            true => store.get(key),
            false => store.get_for(key, time),
        });
        Ok(held.map(|held| Lease::new(held, self.opening.process())))
    }

    /// Returns leases of the objects of the first keys, up to the first that is not stored.
    fn get_many<'py>(
        &self,
        py: Python<'py>,
        keys: &Bound<'py, PyAny>,
    ) -> PyResult<Bound<'py, PyList>> {
        let store = self.store(py)?;
        let owned = arguments::list(keys, |key| Key::of(&key))?;
        let slices: Vec<&[u8]> = owned.iter().map(AsRef::as_ref).collect();
        let held = py.detach(|| store.get_many(&slices));
        let process = self.opening.process();
        let leases = held
            .into_iter()
            .map(|held| Bound::new(py, Lease::new(held, process)));
        PyList::new(py, leases.collect::<PyResult<Vec<_>>>()?)
    }

    /// Returns whether an object is stored under a key, without counting as a use.
    fn exists(&self, py: Python<'_>, key: &Bound<'_, PyAny>) -> PyResult<bool> {
        self.with_key(py, key, ObjectStore::exists)
    }

    /// Removes an object; returns whether it was stored.
    ///
    /// `mode` is if-idle, which raises Leased or Pinned for an object in use; detach, which frees the key
    /// at once and the bytes when the last lease ends; or now, which removes it whoever uses it.
    #[pyo3(signature = (key, mode="if-idle"))]
    fn remove(&self, py: Python<'_>, key: &Bound<'_, PyAny>, mode: &str) -> PyResult<bool> {
        let store = self.store(py)?;
        let removal = arguments::removal(mode)?;
        let key = Key::of(key)?;
        let key = key.as_ref();
        match py.detach(|| store.remove(key, removal)) {
            Ok(()) => Ok(true),
            Err(error) => errors::remove(error, key).map_or(Ok(false), Err),
        }
    }

    /// Keeps an object from leaving until it is unpinned; returns whether it is stored.
    fn pin(&self, py: Python<'_>, key: &Bound<'_, PyAny>) -> PyResult<bool> {
        self.with_key(py, key, ObjectStore::pin)
    }

    /// Lets a pinned object leave again; returns whether it is stored.
    fn unpin(&self, py: Python<'_>, key: &Bound<'_, PyAny>) -> PyResult<bool> {
        self.with_key(py, key, ObjectStore::unpin)
    }

    /// Returns the keys of all objects, in no order.
    fn keys<'py>(&self, py: Python<'py>) -> PyResult<Bound<'py, PyList>> {
        let store = self.store(py)?;
        answers::keys(py, &py.detach(|| store.keys()))
    }

    /// Closes a segment to placement, so that its objects can be moved out.
    fn drain(
        &self,
        py: Python<'_>,
        #[pyo3(from_py_with = arguments::whole)] id: u128,
    ) -> PyResult<()> {
        self.with_segment(py, id, SegmentPool::drain)
    }

    /// States that a draining segment is empty. Raises Error if it is not.
    fn finish_drain(
        &self,
        py: Python<'_>,
        #[pyo3(from_py_with = arguments::whole)] id: u128,
    ) -> PyResult<()> {
        self.with_segment(py, id, SegmentPool::finish_drain)
    }

    /// Closes a segment to placement while its objects stay and are read where nothing else is.
    fn suspend(
        &self,
        py: Python<'_>,
        #[pyo3(from_py_with = arguments::whole)] id: u128,
    ) -> PyResult<()> {
        self.with_segment(py, id, SegmentPool::suspend)
    }

    /// Opens a suspended, draining or drained segment to placement again.
    fn resume(
        &self,
        py: Python<'_>,
        #[pyo3(from_py_with = arguments::whole)] id: u128,
    ) -> PyResult<()> {
        self.with_segment(py, id, SegmentPool::resume)
    }

    /// Returns the state of a segment in a word, or None if it is not mounted.
    fn state(
        &self,
        py: Python<'_>,
        #[pyo3(from_py_with = arguments::whole)] id: u128,
    ) -> PyResult<Option<String>> {
        let store = self.store(py)?;
        let state = py.detach(|| store.pool().state(SegmentId(id)));
        Ok(state.map(segments::state))
    }

    /// Unmounts a segment. Returns the keys of the objects that are lost with it, and those that have fewer
    /// replicas than were asked for now: a dict of `lost` and `survivors`. Where it is busy, a second call
    /// ends the unmount and returns both.
    fn unmount<'py>(
        &self,
        py: Python<'py>,
        #[pyo3(from_py_with = arguments::whole)] id: u128,
    ) -> PyResult<Bound<'py, PyDict>> {
        let store = self.store(py)?;
        let unmounted = py.detach(|| store.unmount(SegmentId(id)));
        answers::unmounted(py, &unmounted.map_err(errors::error)?)
    }

    /// Moves the replicas in a segment to others, where others leave if need be. Returns a dict of
    /// `replicas`, `bytes`, and `left`: the keys of those that stay.
    ///
    /// The bytes are copied in this process, or by `copy`, which gets two descriptors: from and to. Raises
    /// Unreadable without it for a segment of another host, and Error for one that is not mounted.
    #[pyo3(signature = (id, copy=None))]
    fn move_out<'py>(
        &self,
        py: Python<'py>,
        #[pyo3(from_py_with = arguments::whole)] id: u128,
        #[pyo3(from_py_with = arguments::function_if_any)] copy: Option<Py<PyAny>>,
    ) -> PyResult<Bound<'py, PyDict>> {
        let store = self.store(py)?;
        let (id, copy) = (SegmentId(id), copy.as_ref());
        let moved = py.detach(|| {
            if store.pool().state(id).is_none() {
                return Err(errors::error(TransitionError::NotMounted { id }));
            }
            store.move_out(id, |from, to| copy_replica(copy, from, to))
        });
        answers::moved(py, &moved?)
    }

    /// Adds a replica to an object in a segment of another name, where others leave if need be; returns
    /// whether the object is stored.
    ///
    /// The bytes are copied as by `move_out`. Raises `NoSpace` if all that may leave does not make room or no
    /// segment of another name could take it, `QuotaExceeded`, and `Error` if it is leased or was removed or
    /// moved meanwhile; the object is as it was then.
    #[pyo3(signature = (key, copy=None))]
    fn add_replica(
        &self,
        py: Python<'_>,
        key: &Bound<'_, PyAny>,
        #[pyo3(from_py_with = arguments::function_if_any)] copy: Option<Py<PyAny>>,
    ) -> PyResult<bool> {
        let store = self.store(py)?;
        let key = Key::of(key)?;
        let key = key.as_ref();
        let copy = copy.as_ref();
        let added =
            py.detach(|| store.add_replica(key, |from, to| copy_replica(copy, from, to)))?;
        match added {
            Ok(()) => Ok(true),
            Err(error) => errors::add_replica(error, key, store.pool()).map_or(Ok(false), Err),
        }
    }

    /// Returns the objects that can be read and have fewer replicas than were asked for: a dict of `key`,
    /// `readable` and `wanted` for each.
    fn under_replicated<'py>(&self, py: Python<'py>) -> PyResult<Bound<'py, PyList>> {
        let store = self.store(py)?;
        answers::under_replicated(py, &py.detach(|| store.under_replicated()))
    }

    /// Drops the objects none of whose segments is readable any more; returns their keys.
    fn drop_unreadable<'py>(&self, py: Python<'py>) -> PyResult<Bound<'py, PyList>> {
        let store = self.store(py)?;
        answers::keys(py, &py.detach(|| store.drop_unreadable()))
    }

    /// Makes larger holes ahead of need by moving at most so many bytes; nobody leaves. Returns the bytes
    /// that were copied.
    fn compact(
        &self,
        py: Python<'_>,
        #[pyo3(from_py_with = arguments::whole)] budget_bytes: u64,
    ) -> PyResult<u64> {
        let store = self.store(py)?;
        Ok(py.detach(|| store.compact(budget_bytes)).bytes)
    }

    /// Leaves a segment `size` bytes: what lies behind moves, and where there is too little room, objects
    /// leave. The pages of a Pool go back to the system. Returns a dict of what that took.
    fn shrink<'py>(
        &self,
        py: Python<'py>,
        #[pyo3(from_py_with = arguments::whole)] id: u128,
        #[pyo3(from_py_with = arguments::whole)] size: u64,
    ) -> PyResult<Bound<'py, PyDict>> {
        let store = self.store(py)?;
        let shrunk = py.detach(|| store.shrink(SegmentId(id), size));
        answers::shrunk(py, &shrunk.map_err(errors::error)?)
    }

    /// Gives a segment that shrank `size` bytes again, at most those that it was mounted with.
    fn grow(
        &self,
        py: Python<'_>,
        #[pyo3(from_py_with = arguments::whole)] id: u128,
        #[pyo3(from_py_with = arguments::whole)] size: u64,
    ) -> PyResult<()> {
        let store = self.store(py)?;
        py.detach(|| store.grow(SegmentId(id), size))
            .map_err(errors::error)
    }

    /// Says how many bytes a tenant is sure of, and how many it may have. Mount the segments before.
    ///
    /// What it is sure of nobody else's objects take; what it does not use is lent, and comes back when it
    /// puts. All guarantees together are at most the bytes of the segments, or `InvalidArgument` is raised.
    /// A put beyond `most` lets the tenant's own objects leave, or raises `QuotaExceeded`.
    #[pyo3(signature = (name, guaranteed=0, most=None))]
    fn tenant(
        &self,
        py: Python<'_>,
        name: &str,
        #[pyo3(from_py_with = arguments::whole)] guaranteed: u64,
        #[pyo3(from_py_with = arguments::whole_if_any)] most: Option<u64>,
    ) -> PyResult<()> {
        let store = self.store(py)?;
        let quota = Quota { guaranteed, most };
        py.detach(|| store.tenant(name, quota))
            .map_err(errors::tenant)
    }

    /// Returns the time of the store in seconds: that of its clock, or since it was made.
    fn now(&self, py: Python<'_>) -> PyResult<f64> {
        Ok(self.store(py)?.now().as_secs_f64())
    }

    /// Returns what the store holds and has done so far: a flat dict of numbers, such as `objects`, `hits`, and
    /// `on_demand_objects`, which left for a put. Those of a tenant begin with `tenants_` and its name, as
    /// `tenants_a_used_bytes`.
    fn stats<'py>(&self, py: Python<'py>) -> PyResult<Bound<'py, PyDict>> {
        stats::dict(py, self.store(py)?)
    }

    /// Returns when all that was written to the directory survives a power failure.
    fn sync(&self, py: Python<'_>) -> PyResult<()> {
        let store = self.store(py)?;
        py.detach(|| store.sync()).map_err(errors::error)
    }

    /// Checks that all tables agree, while no other call runs: an aid for tests.
    fn check_invariants(&self, py: Python<'_>) -> PyResult<()> {
        let store = self.store(py)?;
        py.detach(|| store.check_invariants());
        Ok(())
    }

    /// Keys of objects that the directory had and whose bytes are gone.
    #[getter]
    fn lost<'py>(&self, py: Python<'py>) -> PyResult<Bound<'py, PyList>> {
        answers::keys(py, &self.ready(py)?.lost)
    }

    /// What of the directory could not be used, in words.
    #[getter]
    fn damage(&self, py: Python<'_>) -> PyResult<Vec<String>> {
        Ok(self.ready(py)?.damage.clone())
    }
}

impl Store {
    #[inline]
    fn store(&self, py: Python<'_>) -> PyResult<&ObjectStore> {
        Ok(&self.ready(py)?.store)
    }

    /// Returns the store and what it did not find again. It is opened first if it has a directory.
    #[inline]
    fn ready(&self, py: Python<'_>) -> PyResult<&Ready> {
        let opening = self.opening.get()?;
        match opening.opened() {
            Some(ready) => Ok(ready),
            None => py.detach(|| opening.open()),
        }
    }

    fn with_key<T: Send>(
        &self,
        py: Python<'_>,
        key: &Bound<'_, PyAny>,
        call: impl FnOnce(&ObjectStore, &[u8]) -> T + Send,
    ) -> PyResult<T> {
        let store = self.store(py)?;
        let key = Key::of(key)?;
        let key = key.as_ref();
        Ok(py.detach(|| call(store, key)))
    }

    fn with_segment(
        &self,
        py: Python<'_>,
        id: u128,
        call: impl FnOnce(&SegmentPool, SegmentId) -> Result<(), TransitionError> + Send,
    ) -> PyResult<()> {
        let store = self.store(py)?;
        py.detach(|| call(store.pool(), SegmentId(id)))
            .map_err(errors::error)
    }
}

/// Copies the bytes of a replica by a function of Python, or in this process if there is none.
fn copy_replica(
    copy: Option<&Py<PyAny>>,
    from: &PlacedBuffer,
    to: &mut PlacedBuffer,
) -> PyResult<()> {
    let Some(copy) = copy else {
        return copy_bytes(from, to).map_err(errors::bytes);
    };
    Python::attach(|py| {
        let both = answers::descriptors(py, &[from.descriptor(), to.descriptor()])?;
        copy.call1(py, (both.get_item(0)?, both.get_item(1)?))?;
        Ok(())
    })
}
