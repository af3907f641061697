//! Objects of a node that stops, on their way to others.

use std::{
    fmt,
    sync::atomic::{AtomicU64, Ordering},
    time::Duration,
};

use bytes::Bytes;
use futures_util::{StreamExt, stream};
use mc_store::Lease;
use tokio::{task::yield_now, time::timeout};

use super::{Shared, chunks::chunks};
use crate::{
    client::{Client, ClientOptions, Connection},
    groups::groups,
    members::Members,
};

/// How a node's objects are moved to others.
///
/// More fields may come: begin with [`DrainOptions::new`].
#[derive(Clone, Debug)]
#[non_exhaustive]
pub struct DrainOptions {
    /// The members of the cluster. Objects go to the owners of their keys among
    /// them; the node itself, known by its name, is left out.
    pub members: Members,
    /// How long it may take.
    pub budget: Duration,
    /// Hosts that clients put each object to. Those that have it get no bytes.
    pub replicas: usize,
}

/// What became of the objects of a node that stops.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
#[non_exhaustive]
pub struct Drained {
    /// Objects that another node has now, or had before.
    pub moved_objects: u64,
    /// Their bytes.
    pub moved_bytes: u64,
    /// Objects that no other node took, or whose bytes were damaged: their
    /// copies here are lost with the memory.
    pub lost_objects: u64,
    /// Their bytes.
    pub lost_bytes: u64,
    /// Objects whose turn has not come, or has not ended: lost as well if it
    /// never does.
    pub left_objects: u64,
    /// Their bytes.
    pub left_bytes: u64,
}

/// The same, while it goes on. Figures, so `Relaxed`.
#[derive(Debug, Default)]
pub(crate) struct Progress {
    moved: Sum,
    lost: Sum,
    left: Sum,
}

#[derive(Debug, Default)]
struct Sum {
    objects: AtomicU64,
    bytes: AtomicU64,
}

/// What is moved with one batch, at most; an object may have more bytes.
const BATCH_OBJECTS: usize = 64;
const BATCH_BYTES: u64 = 8 << 20;

/// How long a batch is tried before others have their turn: some of its keys may
/// be those of puts whose clients are gone.
const PATIENCE: Duration = Duration::from_secs(1);

/// Batches under way: while one is written, the next is read.
const BATCHES: usize = 3;

impl DrainOptions {
    /// Returns a minute, and one copy of each object.
    #[must_use]
    pub fn new(members: Members) -> Self {
        Self {
            members,
            budget: Duration::from_secs(60),
            replicas: 1,
        }
    }
}

impl fmt::Display for Drained {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(
            f,
            "{} objects of {} bytes moved, {} objects of {} bytes lost",
            self.moved_objects,
            self.moved_bytes,
            self.lost_objects + self.left_objects,
            self.lost_bytes + self.left_bytes
        )
    }
}

/// Puts the objects of a node that takes no puts any more to others, until that
/// is done or the time is over.
pub(crate) async fn drain(shared: &Shared, connection: Connection, options: DrainOptions) {
    shared.drained.begin();
    // What was told to be stored is there when those commits have ended.
    drop(shared.commits.write());
    let leases = shared.store.leases_by_use();
    for lease in &leases {
        shared.drained.left.add(lease.size());
    }
    let members = options.members.without(&shared.name);
    if members.now().is_empty() {
        return;
    }
    let client_options = ClientOptions {
        connection,
        replicas: options.replicas.max(1),
        // The others accept as much as this one.
        batch: shared.limits.batch_max,
        patience: options.budget.min(PATIENCE),
        verify_puts: true,
        ..ClientOptions::default()
    };
    let client = Client::new(members, client_options);
    // What is not done by then is counted as left.
    let _ = timeout(options.budget, move_all(shared, &client, leases)).await;
}

/// Moves objects, and again those that no host could take for now, behind all
/// others.
async fn move_all(shared: &Shared, client: &Client, mut leases: Vec<Lease>) {
    while !leases.is_empty() {
        let batches = groups(leases, BATCH_OBJECTS, BATCH_BYTES, Lease::size);
        let again = stream::iter(batches)
            .map(|batch| move_batch(shared, client, batch))
            .buffer_unordered(BATCHES);
        leases = again.concat().await;
    }
}

/// Moves some objects; returns those that have to be tried again.
async fn move_batch(shared: &Shared, client: &Client, batch: Vec<Lease>) -> Vec<Lease> {
    let drained = &shared.drained;
    let (mut objects, mut moving, mut again) = (Vec::new(), Vec::new(), Vec::new());
    for lease in batch {
        let size = lease.size();
        if !shared.store.exists(lease.key()) {
            // Somebody removed it.
            drained.left.take(size);
            continue;
        }
        match read(&lease).await {
            Some(bytes) => {
                objects.push((Bytes::copy_from_slice(lease.key()), bytes));
                moving.push(lease);
            }
            None => drained.lose(size),
        }
    }
    let moved = client.put_all(objects).await;
    for (lease, moved) in moving.into_iter().zip(moved) {
        let (key, size) = (lease.key(), lease.size());
        let is_stored = shared.store.exists(key);
        match moved {
            Ok(_) if is_stored => drained.move_on(size),
            Err(error) if is_stored && error.is_passing() => again.push(lease),
            Err(_) if is_stored => drained.lose(size),
            // Somebody removed it, and may have asked the others before it was there. What they
            // had before is another's.
            moved => {
                drained.left.take(size);
                if moved.is_ok_and(|copies| copies.is_new) {
                    let _ = client.remove(key).await;
                }
            }
        }
    }
    again
}

/// Copies an object out, unless its bytes are not those that were committed.
async fn read(lease: &Lease) -> Option<Bytes> {
    let mut bytes = vec![0; usize::try_from(lease.size()).ok()?];
    let mut hasher = crc32fast::Hasher::new();
    for (offset, len) in chunks(lease.size()) {
        let start = usize::try_from(offset).ok()?;
        let chunk = &mut bytes[start..start + len];
        lease.read_at(offset, chunk).ok()?;
        hasher.update(chunk);
        yield_now().await;
    }
    let found = hasher.finalize();
    let is_whole = lease.checksum().is_none_or(|checksum| checksum == found);
    is_whole.then(|| bytes.into())
}

impl Progress {
    pub(crate) fn now(&self) -> Drained {
        let read = |sum: &Sum| {
            let objects = sum.objects.load(Ordering::Relaxed);
            (objects, sum.bytes.load(Ordering::Relaxed))
        };
        let (moved, lost, left) = (read(&self.moved), read(&self.lost), read(&self.left));
        Drained {
            moved_objects: moved.0,
            moved_bytes: moved.1,
            lost_objects: lost.0,
            lost_bytes: lost.1,
            left_objects: left.0,
            left_bytes: left.1,
        }
    }

    /// Forgets what became of objects when they were moved before.
    fn begin(&self) {
        for sum in [&self.moved, &self.lost, &self.left] {
            sum.objects.store(0, Ordering::Relaxed);
            sum.bytes.store(0, Ordering::Relaxed);
        }
    }

    fn move_on(&self, bytes: u64) {
        self.left.take(bytes);
        self.moved.add(bytes);
    }

    fn lose(&self, bytes: u64) {
        self.left.take(bytes);
        self.lost.add(bytes);
    }
}

impl Sum {
    fn add(&self, bytes: u64) {
        self.objects.fetch_add(1, Ordering::Relaxed);
        self.bytes.fetch_add(bytes, Ordering::Relaxed);
    }

    fn take(&self, bytes: u64) {
        self.objects.fetch_sub(1, Ordering::Relaxed);
        self.bytes.fetch_sub(bytes, Ordering::Relaxed);
    }
}
