//! The client's end: memory of nodes, written and read through staged buffers.

use std::{
    collections::HashMap,
    fmt,
    ops::Range,
    sync::{
        Arc,
        atomic::{AtomicBool, AtomicU64, Ordering},
    },
    time::Duration,
};

use bytes::Bytes;
use mc_cluster::engine::{EngineError, Reach, ReachError};
use nixl_sys::XferOp;
use parking_lot::Mutex;
use prost::Message;
use tokio::{task::spawn_blocking, time::Instant};

use crate::{
    NAME,
    agent::{NixlError, Registered, check_library},
    node::Description,
    staging::{Staged, Staging},
    transfer::{Lingering, Parts},
};

/// How a client uses NIXL.
#[derive(Clone, Debug)]
#[non_exhaustive]
pub struct NixlOptions {
    /// Bytes of the buffers, which are registered once. Objects of more than a quarter of it go as
    /// streams.
    pub buffer_bytes: u64,
}

/// Writes and reads memory that nodes have registered with [`NixlEngine`](crate::NixlEngine).
pub struct NixlReach {
    shared: Arc<Shared>,
}

/// Memory of one life of a node, as an agent of this process knows it.
pub struct NixlMemory {
    shared: Arc<Shared>,
    /// Of the node's agent.
    name: String,
    /// Which of the times that this agent was loaded.
    number: u64,
    /// Where the memory is in the process of the node.
    address: u64,
    bytes: u64,
}

/// Requests end before the agent, and the agent before the memory.
struct Shared {
    lingering: Lingering,
    registered: Registered,
    staging: Staging,
    /// The agents that are loaded, and by whom. Held for loading, which connects.
    loaded: Mutex<HashMap<String, u64>>,
    /// Of the next one that is loaded; only its being another counts, so `Relaxed`.
    number: AtomicU64,
}

/// Bytes of one request; more follow it.
const WINDOW_BYTES: usize = 8 << 20;

/// How long the first byte may take that is read from a memory to see that it is reached.
const PROBE_TIME: Duration = Duration::from_secs(2);

impl Default for NixlOptions {
    /// Returns buffers of 256 MiB.
    fn default() -> Self {
        Self {
            buffer_bytes: 256 << 20,
        }
    }
}

impl NixlReach {
    /// Makes an agent for a client and registers its buffers.
    ///
    /// # Errors
    ///
    /// A [`NixlError`].
    pub fn new(options: &NixlOptions) -> Result<Self, NixlError> {
        check_library()?;
        let staging = Staging::new(options.buffer_bytes)?;
        let shared = Shared {
            lingering: Lingering::default(),
            registered: Registered::new(staging.memory())?,
            staging,
            loaded: Mutex::default(),
            number: AtomicU64::new(0),
        };
        Ok(Self {
            shared: Arc::new(shared),
        })
    }

    /// Returns how many transfers were given up and have not ended, or ended with an error a moment ago;
    /// their buffers stay taken.
    #[must_use]
    pub fn lingering(&self) -> usize {
        let shared = &*self.shared;
        shared.lingering.sweep(&shared.registered.agent);
        shared.lingering.len()
    }
}

impl Reach for NixlReach {
    type Memory = NixlMemory;

    fn name(&self) -> &str {
        NAME
    }

    async fn connect(&self, description: Bytes) -> Result<NixlMemory, EngineError> {
        let description = Description::decode(description)?;
        let shared = Arc::clone(&self.shared);
        spawn_blocking(move || {
            let memory = Shared::load(&shared, description)?;
            let never = AtomicBool::new(false);
            let first = 0..1;
            memory.read(&[vec![first]], Instant::now() + PROBE_TIME, &never)?;
            Ok(memory)
        })
        .await?
    }

    async fn write(
        &self,
        memory: &Arc<NixlMemory>,
        objects: Vec<(Vec<Range<u64>>, Bytes)>,
        until: Instant,
    ) -> Result<(), ReachError> {
        attended(memory, move |memory, abandoned| {
            memory.write(objects, until, abandoned)
        })
        .await
    }

    async fn read(
        &self,
        memory: &Arc<NixlMemory>,
        objects: Vec<Vec<Range<u64>>>,
        until: Instant,
    ) -> Result<Vec<Bytes>, ReachError> {
        attended(memory, move |memory, abandoned| {
            memory.read(&objects, until, abandoned)
        })
        .await
    }
}

/// Runs a transfer on a thread that may wait, and tells it when nobody waits for it.
async fn attended<T: Send + 'static>(
    memory: &Arc<NixlMemory>,
    transfer: impl FnOnce(&NixlMemory, &AtomicBool) -> Result<T, ReachError> + Send + 'static,
) -> Result<T, ReachError> {
    let (memory, attending) = (Arc::clone(memory), Attending::default());
    let abandoned = Arc::clone(&attending.0);
    let done = spawn_blocking(move || transfer(&memory, &abandoned)).await;
    // It is over, whatever it ended with.
    drop(attending);
    done.map_err(|error| ReachError::Failed(error.into()))?
}

/// Waits for a transfer as long as it exists.
#[derive(Default)]
struct Attending(Arc<AtomicBool>);

impl Drop for Attending {
    fn drop(&mut self) {
        self.0.store(true, Ordering::Relaxed);
    }
}

impl Shared {
    /// Connects to the memory of a description.
    fn load(shared: &Arc<Self>, description: Description) -> Result<NixlMemory, EngineError> {
        let Description {
            metadata,
            agent: name,
            address,
            bytes,
        } = description;
        let agent = &shared.registered.agent;
        let number = shared.number.fetch_add(1, Ordering::Relaxed);
        let mut loaded = shared.loaded.lock();
        if loaded.remove(&name).is_some() {
            // The connection of before may be broken.
            agent.invalidate_remote_md(&name)?;
        }
        let found = agent.load_remote_md(&metadata)?;
        if found != name {
            agent.invalidate_remote_md(&found)?;
            return Err(format!("the metadata are of agent {found}, not of {name}").into());
        }
        loaded.insert(name.clone(), number);
        drop(loaded);
        Ok(NixlMemory {
            shared: Arc::clone(shared),
            name,
            number,
            address,
            bytes,
        })
    }
}

impl NixlMemory {
    /// Writes objects, as many bytes at a time as a window has.
    fn write(
        &self,
        objects: Vec<(Vec<Range<u64>>, Bytes)>,
        until: Instant,
        abandoned: &AtomicBool,
    ) -> Result<(), ReachError> {
        let shared = &*self.shared;
        let mut has_begun = false;
        for window in windows(objects, WINDOW_BYTES.min(shared.staging.share())) {
            let (places, pieces): (Vec<_>, Vec<_>) = window.into_iter().unzip();
            let write = || {
                let staged = self.staged(|staging| staging.filled(&pieces))?;
                let mut here = staged.address();
                let mut pairs = Vec::with_capacity(places.len());
                for place in &places {
                    let there = self.place(place)?;
                    let next = here + pieces[pairs.len()].len();
                    pairs.push((here, there));
                    here = next;
                }
                self.run(XferOp::Write, pairs, vec![staged], until, abandoned)
            };
            match write() {
                Ok(_) => has_begun = true,
                Err(ReachError::NotBegun(error)) if has_begun => {
                    return Err(ReachError::Failed(error));
                }
                Err(error) => return Err(error),
            }
        }
        Ok(())
    }

    /// Reads objects, each into a buffer of its own.
    fn read(
        &self,
        objects: &[Vec<Range<u64>>],
        until: Instant,
        abandoned: &AtomicBool,
    ) -> Result<Vec<Bytes>, ReachError> {
        let shared = &*self.shared;
        let bytes_of = |ranges: &[Range<u64>]| -> u64 {
            ranges.iter().map(|range| range.end - range.start).sum()
        };
        let share = shared.staging.share();
        let mut read = Vec::with_capacity(objects.len());
        let mut rest = objects;
        while !rest.is_empty() {
            let (mut staged, mut pairs, mut bytes) = (Vec::new(), Vec::new(), 0);
            while let Some((ranges, behind)) = rest.split_first() {
                let size = usize::try_from(bytes_of(ranges)).map_err(|_| no_room())?;
                if size > share {
                    return Err(no_room());
                }
                if bytes > 0 && bytes + size > WINDOW_BYTES.min(share) {
                    break;
                }
                let place = self.staged(|staging| staging.place(size))?;
                let mut here = place.address();
                for range in ranges {
                    let there = self.place(range)?;
                    let next =
                        here + usize::try_from(there.end - there.start).map_err(|_| no_room())?;
                    pairs.push((here, there));
                    here = next;
                }
                staged.push(place);
                bytes += size;
                rest = behind;
            }
            let arrived = self.run(XferOp::Read, pairs, staged, until, abandoned)?;
            for staged in arrived {
                read.push(shared.staging.land(staged).ok_or_else(no_room)?);
            }
        }
        Ok(read)
    }

    /// Takes buffers, from requests that lingered and have ended if no others are free.
    fn staged(&self, take: impl Fn(&Staging) -> Option<Staged>) -> Result<Staged, ReachError> {
        let shared = &*self.shared;
        let taken = take(&shared.staging).or_else(|| {
            shared.lingering.sweep(&shared.registered.agent);
            take(&shared.staging)
        });
        taken.ok_or_else(no_room)
    }

    fn run(
        &self,
        operation: XferOp,
        pairs: Vec<(usize, Range<u64>)>,
        staged: Vec<Staged>,
        until: Instant,
        abandoned: &AtomicBool,
    ) -> Result<Vec<Staged>, ReachError> {
        let shared = &*self.shared;
        let agent = &shared.registered.agent;
        shared.lingering.sweep(agent);
        let parts = Parts {
            agent,
            remote: &self.name,
            operation,
            pairs,
            staged,
        };
        parts.run(&shared.lingering, until, abandoned)
    }

    /// Returns where a range is in the process of the node.
    fn place(&self, range: &Range<u64>) -> Result<Range<u64>, ReachError> {
        let at = |offset: u64| {
            let is_within = offset <= self.bytes;
            is_within
                .then(|| self.address.checked_add(offset))
                .flatten()
        };
        match (at(range.start), at(range.end)) {
            (Some(start), Some(end)) if start < end => Ok(start..end),
            _ => Err(ReachError::NotBegun(
                format!("{range:?} is no part of {} bytes", self.bytes).into(),
            )),
        }
    }
}

/// Cuts objects into pieces, and puts as many of them together as a request moves.
fn windows(
    objects: Vec<(Vec<Range<u64>>, Bytes)>,
    window_bytes: usize,
) -> Vec<Vec<(Range<u64>, Bytes)>> {
    let mut windows = Vec::new();
    let (mut window, mut bytes) = (Vec::new(), 0);
    for (ranges, mut object) in objects {
        for mut range in ranges {
            while range.start < range.end {
                if bytes == window_bytes {
                    windows.push(std::mem::take(&mut window));
                    bytes = 0;
                }
                let left = usize::try_from(range.end - range.start).unwrap_or(usize::MAX);
                let len = left.min(window_bytes - bytes).min(object.len());
                if len == 0 {
                    break;
                }
                let piece = object.split_to(len);
                let end = range.start + len as u64;
                window.push((range.start..end, piece));
                range.start = end;
                bytes += len;
            }
        }
    }
    windows.push(window);
    windows.retain(|window| !window.is_empty());
    windows
}

fn no_room() -> ReachError {
    ReachError::NotBegun("no buffer is free for so many bytes".into())
}

impl Drop for NixlMemory {
    fn drop(&mut self) {
        let shared = &*self.shared;
        let mut loaded = shared.loaded.lock();
        if loaded.get(&self.name) == Some(&self.number) {
            loaded.remove(&self.name);
            // If that fails, it ends with the agent.
            let _ = shared.registered.agent.invalidate_remote_md(&self.name);
        }
    }
}

impl fmt::Debug for NixlReach {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("NixlReach")
            .field("agent", &self.shared.registered.name)
            .finish_non_exhaustive()
    }
}

impl fmt::Debug for NixlMemory {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("NixlMemory")
            .field("agent", &self.name)
            .field("bytes", &self.bytes)
            .finish_non_exhaustive()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn windows_have_all_bytes_in_their_order_and_no_more_than_fit() {
        let object: Bytes = (0..100).collect::<Vec<u8>>().into();
        let short = 0..5;
        let objects = vec![
            (vec![1000..1030, 2000..2070], object.clone()),
            (vec![short], object.slice(..5)),
        ];
        let windows = windows(objects, 40);
        let sizes: Vec<usize> = windows
            .iter()
            .map(|window| window.iter().map(|(_, piece)| piece.len()).sum())
            .collect();
        assert_eq!(sizes, [40, 40, 25]);
        let mut at_last = Vec::new();
        for (range, piece) in windows.into_iter().flatten() {
            assert_eq!(range.end - range.start, piece.len() as u64);
            at_last.extend(range.zip(piece));
        }
        let expected = (1000..1030).chain(2000..2070).zip(0..100);
        let expected: Vec<_> = expected.chain((0..5).zip(0..5)).collect();
        assert_eq!(at_last, expected);
    }
}
