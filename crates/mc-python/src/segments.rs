//! Segments as `Store.mount` describes them.

use std::time::{SystemTime, UNIX_EPOCH};

use mc_segment::{Memory, Mounting, Segment, SegmentId, SegmentInfo, SegmentState};
use pyo3::{exceptions::PyTypeError, prelude::*};

use crate::pool::MappedPool;

/// What a segment is made of, as often as it is needed.
#[derive(Clone, Debug)]
pub(crate) struct Described {
    info: SegmentInfo,
    memory: Option<Memory>,
}

/// Whether what a store holds outlives its process.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Restart {
    Forgets,
    Remembers,
}

impl Described {
    /// Describes a segment of a pool, or of another host.
    ///
    /// Where no epoch is given, that of the bytes of a file counts. Memory without a file forgets its
    /// bytes with the process, so that for a store that remembers each has an epoch of its own.
    pub(crate) fn new(
        mut info: SegmentInfo,
        pool: Option<&Bound<'_, PyAny>>,
        restart: Restart,
    ) -> PyResult<Self> {
        let Some(pool) = pool else {
            return Ok(Self { info, memory: None });
        };
        let mapped = MappedPool::behind(pool).ok_or_else(|| {
            let kind = pool.get_type();
            PyTypeError::new_err(format!("memory is of {kind}; a Pool is needed"))
        })?;
        let mapped = mapped.get();
        if info.epoch == 0 {
            info.epoch = match (mapped.bytes_epoch(), restart) {
                (Some(epoch), _) => epoch,
                (None, Restart::Remembers) => nanoseconds_now(),
                (None, Restart::Forgets) => 0,
            };
        }
        Ok(Self {
            info,
            memory: Some(Memory::pool(mapped.bytes()?)),
        })
    }

    pub(crate) fn segment(&self) -> Segment {
        let info = self.info.clone();
        match &self.memory {
            Some(memory) => Segment::local(info, memory.clone()),
            None => Segment::remote(info),
        }
    }

    pub(crate) fn id(&self) -> SegmentId {
        self.info.id
    }
}

/// Returns what a mount did, in a word.
pub(crate) fn mounting(mounting: Mounting) -> &'static str {
    match mounting {
        Mounting::AlreadyMounted(_) => "already-mounted",
        Mounting::Replaced(_) => "replaced",
        _ => "mounted",
    }
}

/// Returns a state in a word.
pub(crate) fn state(state: SegmentState) -> String {
    state.to_string().replace(' ', "-")
}

fn nanoseconds_now() -> u64 {
    let since = SystemTime::now().duration_since(UNIX_EPOCH);
    let nanoseconds = since.unwrap_or_default().as_nanos();
    u64::try_from(nanoseconds).unwrap_or(u64::MAX)
}
