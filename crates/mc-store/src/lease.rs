//! What a store hands out: objects that stay while they are held.

use std::fmt;

use mc_segment::{BufferDescriptor, PlacedBuffer};

use crate::{claims::Away, error::ReadError, object::Object};

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
    pub(crate) fn take(object: &Object) -> Result<Self, Away> {
        match object.claims.lease() {
            Ok(()) => Ok(Self {
                object: object.clone(),
            }),
            Err(refused) => {
                if refused.is_to_be_shown {
                    object.terms.returned.push(object.id);
                }
                Err(refused.why)
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

    /// Returns the bytes of the object: those of all its parts.
    #[must_use]
    pub fn size(&self) -> u64 {
        self.object.parts().useful_size()
    }

    /// Returns the bytes of each part; nearly always one.
    pub fn parts(&self) -> impl ExactSizeIterator<Item = u64> {
        self.object.parts().sizes()
    }

    /// Returns the CRC-32 of the bytes, if one was taken at the commit or said by
    /// the writer.
    #[must_use]
    pub fn checksum(&self) -> Option<u32> {
        self.object.checksum()
    }

    /// Returns the space of the replicas, at least one, with what lies between
    /// parts. Those whose segment is being unmounted are not
    /// [readable](PlacedBuffer::is_readable).
    pub fn replicas(&self) -> impl ExactSizeIterator<Item = &PlacedBuffer> {
        self.object.replicas()
    }

    /// Returns where the readable replicas are, for readers elsewhere: one
    /// descriptor for each [part](Self::parts) of each, those of one replica
    /// together.
    #[must_use]
    pub fn descriptors(&self) -> Vec<BufferDescriptor> {
        let readable = self.replicas();
        let readable = readable.filter(|replica| replica.is_readable());
        let parts = self.object.parts();
        readable
            .flat_map(|replica| parts.describe(replica))
            .collect()
    }

    /// Copies the bytes of the object out, its parts one after another, from
    /// the first replica that this process can read.
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

    /// Copies `into.len()` bytes of the object out, from its byte `offset` on,
    /// from the first replica that this process can read. No checksum is
    /// compared.
    ///
    /// # Errors
    ///
    /// A [`ReadError`]; some bytes may have been copied then.
    pub fn read_at(&self, offset: u64, into: &mut [u8]) -> Result<(), ReadError> {
        self.object.read_at(offset, into)
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
