//! Objects in stores, for tests: keys are numbers.

use std::{
    collections::BTreeSet,
    fmt::Debug,
    sync::{
        Arc,
        atomic::{AtomicU64, Ordering},
        mpsc,
    },
    thread,
    time::Duration,
};

use mc_segment::{SegmentId, SegmentPool, Strategy};
use mc_store::{
    Clock, Event, EventKind, Eviction, ObjectStore, PolicyKind, PutError, PutRequest, StoreOptions,
};

/// All ways from an order to a hole.
pub(crate) const EVICTIONS: [Eviction; 2] = [Eviction::Window, Eviction::InOrder];

/// Returns options of each way and policy.
pub(crate) fn all_options() -> impl Iterator<Item = StoreOptions> {
    EVICTIONS.into_iter().flat_map(|eviction| {
        PolicyKind::ALL.into_iter().map(move |policy| StoreOptions {
            eviction,
            policy,
            ..StoreOptions::default()
        })
    })
}

/// Returns a store over remote segments with the ids from 1 on.
pub(crate) fn store_of(sizes: &[u64], options: StoreOptions) -> ObjectStore {
    let pool = super::pool(Strategy::Random, 1);
    super::mount_sizes(&pool, sizes);
    ObjectStore::new(pool, options).unwrap()
}

/// Returns a store over segments of memory of this process.
pub(crate) fn local_store_of(sizes: &[u64], options: StoreOptions) -> ObjectStore {
    let pool = super::pool(Strategy::Random, 1);
    super::mount_local(&pool, sizes);
    ObjectStore::new(pool, options).unwrap()
}

/// Returns the key of a number.
pub(crate) fn key(number: u64) -> [u8; 8] {
    number.to_be_bytes()
}

/// Puts an object of one piece anywhere and commits it.
#[track_caller]
pub(crate) fn put(store: &ObjectStore, number: u64, size: u64) {
    put_as(store, number, &PutRequest::new(size)).unwrap();
}

/// Puts an object of one piece in one segment and commits it.
#[track_caller]
pub(crate) fn put_in(store: &ObjectStore, id: u128, number: u64, size: u64) {
    let preferred = [SegmentId(id)];
    let request = PutRequest {
        preferred: &preferred,
        ..PutRequest::new(size)
    };
    let put = store.put(&key(number), &request).unwrap();
    assert_eq!(put.descriptors()[0].segment.0, id, "{number} is elsewhere");
    put.commit().unwrap();
}

/// Puts an object and commits it.
pub(crate) fn put_as(
    store: &ObjectStore,
    number: u64,
    request: &PutRequest<'_>,
) -> Result<(), PutError> {
    let put = store.put(&key(number), request)?;
    put.commit().unwrap();
    Ok(())
}

/// Returns why a put is refused.
#[track_caller]
pub(crate) fn refusal(store: &ObjectStore, number: u64, request: &PutRequest<'_>) -> PutError {
    store.put(&key(number), request).map(drop).unwrap_err()
}

/// Returns the numbers of the objects that are stored.
pub(crate) fn numbers(store: &ObjectStore) -> BTreeSet<u64> {
    let keys = store.keys();
    keys.iter().map(|key| number_of(key)).collect()
}

/// Returns the number of a key.
pub(crate) fn number_of(key: &[u8]) -> u64 {
    u64::from_be_bytes(key.try_into().unwrap())
}

/// Returns the ids of the segments of the readable replicas of an object; that
/// is a use of it.
#[track_caller]
pub(crate) fn segments_of(store: &ObjectStore, number: u64) -> Vec<u128> {
    let lease = store.get(&key(number)).unwrap();
    let descriptors = lease.descriptors();
    descriptors.iter().map(|place| place.segment.0).collect()
}

/// Returns the numbers of the objects that left, in the order of leaving, and
/// forgets all events so far.
pub(crate) fn left(events: &mc_store::Events) -> Vec<u64> {
    let is_left = |event: &&Event| matches!(event.kind, EventKind::Left(_));
    let events = events.drain();
    let left = events.iter().filter(is_left);
    left.map(|event| number_of(&event.key)).collect()
}

/// Checks that the bytes that are taken in a pool are those of the objects.
#[track_caller]
pub(crate) fn assert_all_space_is_of_objects(store: &ObjectStore) {
    store.check_invariants();
    let (live, placed) = (store.stats().live_bytes, placed_bytes(store.pool()));
    assert_eq!(live, placed, "bytes of objects and bytes taken");
}

/// As [`assert_all_space_is_of_objects`] where replicas may be lost; all objects
/// are used.
#[track_caller]
pub(crate) fn assert_all_space_is_of_replicas(store: &ObjectStore) {
    store.check_invariants();
    let leases = numbers(store)
        .into_iter()
        .filter_map(|number| store.get(&key(number)));
    let places = leases.flat_map(|lease| lease.descriptors());
    let pieces = places.flat_map(|place| place.extents);
    let bytes: u64 = pieces.map(|piece| piece.size).sum();
    assert_eq!(
        bytes,
        placed_bytes(store.pool()),
        "bytes of replicas and bytes taken"
    );
}

/// Returns the bytes that are taken in all segments of a pool.
pub(crate) fn placed_bytes(pool: &SegmentPool) -> u64 {
    pool.stats().total.live_bytes
}

/// A clock that is set by hand.
#[derive(Clone, Debug, Default)]
pub(crate) struct Hand(Arc<AtomicU64>);

impl Hand {
    pub(crate) fn clock(&self) -> Clock {
        let millis = Arc::clone(&self.0);
        Clock::new(move || Duration::from_millis(millis.load(Ordering::Relaxed)))
    }

    /// Returns the default options with this clock.
    pub(crate) fn options(&self) -> StoreOptions {
        self.with(StoreOptions::default())
    }

    /// Returns other options with this clock.
    pub(crate) fn with(&self, options: StoreOptions) -> StoreOptions {
        StoreOptions {
            clock: self.clock(),
            ..options
        }
    }

    pub(crate) fn pass(&self, time: Duration) {
        let millis = u64::try_from(time.as_millis()).unwrap();
        self.0.fetch_add(millis, Ordering::Relaxed);
    }

    pub(crate) fn pass_seconds(&self, seconds: u64) {
        self.pass(Duration::from_secs(seconds));
    }
}

/// Runs something on a thread of its own and fails if it does not end.
#[track_caller]
pub(crate) fn ends<T: Debug + Send + 'static>(
    name: &str,
    run: impl FnOnce() -> T + Send + 'static,
) -> T {
    let (sender, receiver) = mpsc::channel();
    let thread = thread::spawn(move || sender.send(run()).unwrap());
    match receiver.recv_timeout(Duration::from_secs(120)) {
        Ok(result) => {
            thread.join().unwrap();
            result
        }
        Err(mpsc::RecvTimeoutError::Timeout) => panic!("{name} waits for ever"),
        Err(mpsc::RecvTimeoutError::Disconnected) => panic!("{name} has panicked"),
    }
}
