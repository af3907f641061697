//! What the frames of a snapshot hold.

use serde::{Deserialize, Serialize};

use super::super::{Eviction, StoreOptions, Watermarks, clock::Clock, lease::Object};
use mc_segment::{BufferDescriptor, PlacedBuffer, PoolSnapshot, SegmentPool, SegmentState};

/// The payload of a frame.
#[derive(Serialize, Deserialize)]
pub(super) enum Record {
    Header(Header),
    Object(SavedObject),
}

/// What is needed to restore anything.
#[derive(Clone, Serialize, Deserialize)]
pub(super) struct Header {
    pub(super) options: SavedOptions,
    pub(super) pool: PoolSnapshot,
    /// Number of the records of objects.
    pub(super) objects: u64,
}

/// The options of a store without its clock.
#[derive(Clone, Serialize, Deserialize)]
pub(super) struct SavedOptions {
    object_bytes_max: u64,
    key_bytes_max: u64,
    eviction: Eviction,
    watermarks: Option<Watermarks>,
}

/// An object and where its replicas are.
#[derive(Serialize, Deserialize)]
pub(super) struct SavedObject {
    pub(super) key: Vec<u8>,
    pub(super) size: u64,
    pub(super) is_pinned: bool,
    pub(super) replicas: Vec<BufferDescriptor>,
}

/// Returns the bytes of a record.
pub(super) fn encode(record: &Record) -> Vec<u8> {
    postcard::to_stdvec(record).expect("numbers, texts and lists can be written")
}

/// Reads a record that is all of a payload.
pub(super) fn decode(payload: &[u8]) -> Option<Record> {
    match postcard::take_from_bytes(payload) {
        Ok((record, [])) => Some(record),
        Ok(_) | Err(_) => None,
    }
}

impl Header {
    pub(super) fn new(options: &StoreOptions, pool: &SegmentPool, objects: usize) -> Self {
        let options = SavedOptions {
            object_bytes_max: options.object_bytes_max,
            key_bytes_max: options.key_bytes_max as u64,
            eviction: options.eviction,
            watermarks: options.watermarks,
        };
        Self {
            options,
            pool: pool.snapshot(),
            objects: objects as u64,
        }
    }
}

impl From<SavedOptions> for StoreOptions {
    fn from(saved: SavedOptions) -> Self {
        Self {
            object_bytes_max: saved.object_bytes_max,
            key_bytes_max: usize::try_from(saved.key_bytes_max).unwrap_or(usize::MAX),
            eviction: saved.eviction,
            watermarks: saved.watermarks,
            clock: Clock::system(),
        }
    }
}

impl SavedObject {
    /// Returns an object with its replicas, but for those in a segment whose id
    /// another one of the pool has got: their places are other objects'.
    pub(super) fn new(object: &Object, is_pinned: bool, pool: &SegmentPool) -> Self {
        let has_successor = |buffer: &PlacedBuffer| {
            let state = || pool.state(buffer.segment_id());
            !buffer.is_readable() && state().is_some_and(SegmentState::is_readable)
        };
        let own = object
            .buffers
            .iter()
            .filter(|buffer| !has_successor(buffer));
        Self {
            key: object.key.to_vec(),
            size: object.size,
            is_pinned,
            replicas: own.map(PlacedBuffer::descriptor).collect(),
        }
    }
}
