//! What a store hands out: objects that stay while they are held.

use std::fmt;

use mc_segment::{BufferDescriptor, PlacedBuffer};

use crate::{error::ReadError, object::Object};

/// An object of a store, which neither evicts, moves nor removes it while it is
/// held.
///
/// Clones hold the same object.
#[must_use = "the object may be evicted as soon as the lease is dropped"]
pub struct Lease {
    object: Object,
}

impl Lease {
    /// Takes a lease, unless the object is leaving.
    #[inline]
    pub(crate) fn take(object: &Object) -> Option<Self> {
        match object.claims.lease() {
            Ok(()) => Some(Self {
                object: object.clone(),
            }),
            Err(refused) => {
                if refused.is_to_be_shown {
                    object.terms.returned.push(object.id);
                }
                None
            }
        }
    }

    #[inline]
    pub(crate) fn object(&self) -> &Object {
        &self.object
    }

    /// Returns the key.
    #[must_use]
    pub fn key(&self) -> &[u8] {
        self.object.key()
    }

    /// Returns the bytes of one replica.
    #[must_use]
    pub fn size(&self) -> u64 {
        self.object.size()
    }

    /// Returns the CRC-32 of the bytes, if one was taken at the commit or said by
    /// the writer.
    #[must_use]
    pub fn checksum(&self) -> Option<u32> {
        self.object.checksum()
    }

    /// Returns the replicas, at least one. Those whose segment is being
    /// unmounted are not [readable](PlacedBuffer::is_readable).
    pub fn replicas(&self) -> impl ExactSizeIterator<Item = &PlacedBuffer> {
        self.object.replicas()
    }

    /// Returns where the readable replicas are, for readers elsewhere.
    #[must_use]
    pub fn descriptors(&self) -> Vec<BufferDescriptor> {
        let readable = self.replicas();
        let readable = readable.filter(|replica| replica.is_readable());
        readable.map(PlacedBuffer::descriptor).collect()
    }

    /// Copies the bytes of the object out, from the first replica that this
    /// process can read.
    ///
    /// If a checksum was taken at the commit, it is compared. To have an object
    /// whose bytes are damaged dropped at once, use
    /// [`ObjectStore::read`](crate::ObjectStore::read).
    ///
    /// # Errors
    ///
    /// A [`ReadError`].
    pub fn read(&self) -> Result<Vec<u8>, ReadError> {
        self.object.read()
    }
}

impl Clone for Lease {
    fn clone(&self) -> Self {
        self.object.claims.lease_again();
        Self {
            object: self.object.clone(),
        }
    }
}

impl Drop for Lease {
    #[inline]
    fn drop(&mut self) {
        if self.object.claims.end_lease() {
            self.object.terms.returned.push(self.object.id);
        }
    }
}

impl fmt::Debug for Lease {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_tuple("Lease").field(&self.object).finish()
    }
}
