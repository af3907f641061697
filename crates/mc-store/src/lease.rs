//! What a store hands out: objects that stay while they are held.

use std::{fmt, sync::Arc};

use mc_segment::{BufferDescriptor, PlacedBuffer};

/// An object as it is stored.
pub(super) struct Object {
    pub(super) key: Arc<[u8]>,
    pub(super) size: u64,
    /// The replicas, at least one.
    pub(super) buffers: Vec<PlacedBuffer>,
}

/// An object of a store, which neither evicts nor removes it while it is held.
///
/// Clones hold the same object.
#[derive(Clone)]
#[must_use = "the object may be evicted as soon as the lease is dropped"]
pub struct Lease {
    object: Arc<Object>,
}

impl Lease {
    pub(super) fn new(object: &Arc<Object>) -> Self {
        Self {
            object: Arc::clone(object),
        }
    }

    /// Returns the key.
    #[must_use]
    pub fn key(&self) -> &[u8] {
        &self.object.key
    }

    /// Returns the bytes of one replica.
    #[must_use]
    pub fn size(&self) -> u64 {
        self.object.size
    }

    /// Returns the replicas, at least one. Those whose segment is being
    /// unmounted are not [readable](PlacedBuffer::is_readable).
    pub fn replicas(&self) -> &[PlacedBuffer] {
        &self.object.buffers
    }

    /// Returns where the readable replicas are, for readers elsewhere.
    #[must_use]
    pub fn descriptors(&self) -> Vec<BufferDescriptor> {
        let readable = self.object.buffers.iter();
        let readable = readable.filter(|buffer| buffer.is_readable());
        readable.map(PlacedBuffer::descriptor).collect()
    }
}

impl Object {
    pub(super) fn is_readable(&self) -> bool {
        self.buffers.iter().any(PlacedBuffer::is_readable)
    }
}

impl fmt::Debug for Object {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Object")
            .field("key", &self.key.escape_ascii().to_string())
            .field("buffers", &self.buffers)
            .finish()
    }
}

impl fmt::Debug for Lease {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_tuple("Lease").field(&self.object).finish()
    }
}
