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
    /// Whether the bytes end with the process and no epoch was given for them.
    is_fleeting: bool,
}

impl Described {
    /// Describes a segment of a pool, or of another host. Where no epoch is given, that of the bytes of a
    /// file counts.
    pub(crate) fn new(mut info: SegmentInfo, pool: Option<&Bound<'_, PyAny>>) -> PyResult<Self> {
        let Some(pool) = pool else {
            return Ok(Self {
                info,
                memory: None,
                is_fleeting: false,
            });
        };
        let mapped = MappedPool::behind(pool).ok_or_else(|| {
            let kind = pool.get_type();
            PyTypeError::new_err(format!("memory is of {kind}; a Pool is needed"))
        })?;
        let mapped = mapped.get();
        let is_fleeting = info.epoch == 0 && mapped.bytes_epoch().is_none();
        if let (0, Some(epoch)) = (info.epoch, mapped.bytes_epoch()) {
            info.epoch = epoch;
        }
        Ok(Self {
            info,
            memory: Some(Memory::pool(mapped.bytes()?)),
            is_fleeting,
        })
    }

    /// Gives bytes that end with the process an epoch for a store that does not, where none was given: that
    /// of the segment which is mounted under the id, so that mounting it again loses nothing, or one of
    /// their own.
    pub(crate) fn outlived(mut self, mounted_epoch: Option<u64>) -> Self {
        if self.is_fleeting {
            self.info.epoch = mounted_epoch.unwrap_or_else(nanoseconds_now);
        }
        self
    }

    pub(crate) fn segment(&self) -> Segment {
        let info = self.info.clone();
        match &self.memory {
            Some(memory) => Segment::local(info, memory.clone()),
            None => Segment::remote(info),
        }
    }

    /// Returns the segment for a store that had one of an epoch in its directory: fleeting bytes are newer, even
    /// where the clock was set back.
    pub(crate) fn segment_after(&self, epoch: u64) -> Segment {
        let mut newer = self.clone();
        if let (true, Some(next)) = (self.is_fleeting, epoch.checked_add(1)) {
            newer.info.epoch = newer.info.epoch.max(next);
        }
        newer.segment()
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
