//! A pool as plain data: its options, its segments with all their fields, and
//! the states that they are in.

use serde::{Deserialize, Serialize};

use crate::{
    growing::{Growing, UnknownFields},
    options::SegmentPoolOptions,
    segment::SegmentInfo,
    state::SegmentState,
};

/// The version of [`PoolSnapshot`] that is written and read.
pub const SNAPSHOT_VERSION: u32 = 1;

/// A pool without its memory and without its buffers, whose owners keep their
/// [descriptors](crate::BufferDescriptor).
///
/// # Examples
///
/// ```
/// use mc_segment::{
///     Memory, SegmentPoolOptions, PoolSnapshot, PlaceRequest, Segment, SegmentId, SegmentInfo, SegmentPool,
/// };
///
/// let pool = SegmentPool::new(SegmentPoolOptions::default());
/// pool.mount(Segment::remote(SegmentInfo::new(SegmentId(1), "node-1", 0, 1 << 20)))?;
/// let buffer = pool.place(&PlaceRequest::new(4096))?.remove(0);
/// let saved = (pool.snapshot(), [buffer.descriptor()]);
///
/// let restored = SegmentPool::restore(&saved.0, |_segment| Memory::Remote)?;
/// let buffers = restored.adopt(&saved.1)?;
/// assert_eq!(buffers[0].address(), buffer.address());
/// # Ok::<(), Box<dyn std::error::Error>>(())
/// ```
///
/// Fields that a newer version has written are read, and written again; `==`
/// does not look at them.
#[derive(Clone, Debug, Serialize, Deserialize)]
#[serde(from = "Growing<PoolFields>", into = "Growing<PoolFields>")]
pub struct PoolSnapshot {
    /// [`SNAPSHOT_VERSION`] of the program that took it.
    pub version: u32,
    /// What the pool was made with.
    pub options: SegmentPoolOptions,
    /// The segments in the order of their ids.
    pub segments: Vec<SegmentSnapshot>,
    /// Fields of a newer version; none in a snapshot that is taken here.
    pub unknown: UnknownFields,
}

/// A segment of a [`PoolSnapshot`].
#[derive(Clone, Debug, Serialize, Deserialize)]
#[serde(from = "Growing<SegmentFields>", into = "Growing<SegmentFields>")]
pub struct SegmentSnapshot {
    /// All fields of the segment.
    pub info: SegmentInfo,
    /// The state it was in.
    pub state: SegmentState,
    /// Fields of a newer version; none in a snapshot that is taken here.
    pub unknown: UnknownFields,
}

/// The fields of a snapshot as they are serialized.
#[derive(Clone, Debug, Serialize, Deserialize)]
struct PoolFields {
    version: u32,
    options: Growing<SegmentPoolOptions>,
    segments: Vec<SegmentSnapshot>,
}

/// Those of a segment in it.
#[derive(Clone, Debug, Serialize, Deserialize)]
struct SegmentFields {
    info: SegmentInfo,
    state: SegmentState,
}

impl PartialEq for PoolSnapshot {
    fn eq(&self, other: &Self) -> bool {
        let Self {
            version,
            options,
            segments,
            unknown: _,
        } = self;
        (version, options, segments) == (&other.version, &other.options, &other.segments)
    }
}

impl Eq for PoolSnapshot {}

impl PartialEq for SegmentSnapshot {
    fn eq(&self, other: &Self) -> bool {
        let Self {
            info,
            state,
            unknown: _,
        } = self;
        (info, state) == (&other.info, &other.state)
    }
}

impl Eq for SegmentSnapshot {}

impl From<Growing<PoolFields>> for PoolSnapshot {
    fn from(Growing { known, mut unknown }: Growing<PoolFields>) -> Self {
        unknown.put_nested("options", known.options.unknown);
        Self {
            version: known.version,
            options: known.options.known,
            segments: known.segments,
            unknown,
        }
    }
}

impl From<PoolSnapshot> for Growing<PoolFields> {
    fn from(mut snapshot: PoolSnapshot) -> Self {
        let options = Growing {
            known: snapshot.options,
            unknown: snapshot.unknown.take_nested("options"),
        };
        let known = PoolFields {
            version: snapshot.version,
            options,
            segments: snapshot.segments,
        };
        Self {
            known,
            unknown: snapshot.unknown,
        }
    }
}

impl From<Growing<SegmentFields>> for SegmentSnapshot {
    fn from(Growing { known, unknown }: Growing<SegmentFields>) -> Self {
        Self {
            info: known.info,
            state: known.state,
            unknown,
        }
    }
}

impl From<SegmentSnapshot> for Growing<SegmentFields> {
    fn from(snapshot: SegmentSnapshot) -> Self {
        Self {
            known: SegmentFields {
                info: snapshot.info,
                state: snapshot.state,
            },
            unknown: snapshot.unknown,
        }
    }
}
