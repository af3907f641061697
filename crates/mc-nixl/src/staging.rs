//! Buffers of a client: one pool, registered once, in which bytes wait to be sent and arrive.

use bytes::Bytes;
use mc_arena::{DeviceBytes, PoolBytes, PoolOptions, ReadBytes};
use mc_offset::{Handle, SharedAllocator};

use crate::agent::NixlError;

/// The pool and the places in it.
#[derive(Debug)]
pub(crate) struct Staging {
    memory: PoolBytes,
    places: SharedAllocator,
}

/// A place, and bytes in it that the engine has. The bytes are given up first.
#[derive(Debug)]
pub(crate) struct Staged {
    lent: DeviceBytes,
    place: Handle,
}

/// Bytes that have arrived, where they are.
struct Landed {
    bytes: ReadBytes,
    _place: Handle,
}

/// The least bytes of the pool: a page.
const BYTES_MIN: u64 = 4096;

impl Staging {
    pub(crate) fn new(bytes: u64) -> Result<Self, NixlError> {
        if bytes < BYTES_MIN {
            return Err(NixlError::BufferBytes { bytes });
        }
        let pool = PoolOptions::new(bytes).map();
        let pool = pool.map_err(|source| NixlError::Buffers { bytes, source })?;
        let places = SharedAllocator::new(pool.len() as u64);
        Ok(Self {
            places: places.map_err(|_| NixlError::BufferBytes { bytes })?,
            memory: PoolBytes::new(pool),
        })
    }

    pub(crate) fn memory(&self) -> PoolBytes {
        self.memory.clone()
    }

    /// Returns how many bytes may be staged at once, so that something is left for others.
    pub(crate) fn share(&self) -> usize {
        self.memory.len() / 4
    }

    /// Returns a place for bytes that come in, if there is one.
    pub(crate) fn place(&self, bytes: usize) -> Option<Staged> {
        let place = self.places.allocate(bytes as u64).ok()?;
        let start = usize::try_from(place.offset()).ok()?;
        let lent = self.memory.lend_to_device(start..start + bytes).ok()?;
        Some(Staged { lent, place })
    }

    /// Returns a place with the bytes of pieces, one behind the other, if there is one.
    pub(crate) fn filled(&self, pieces: &[Bytes]) -> Option<Staged> {
        let bytes = pieces.iter().map(Bytes::len).sum::<usize>();
        let place = self.places.allocate(bytes as u64).ok()?;
        let start = usize::try_from(place.offset()).ok()?;
        let range = start..start + bytes;
        let mut into = self.memory.write(range.clone()).ok()?;
        let mut rest = &mut into[..];
        for piece in pieces {
            let (head, tail) = rest.split_at_mut(piece.len());
            head.copy_from_slice(piece);
            rest = tail;
        }
        drop(into);
        let lent = self.memory.lend_to_device(range).ok()?;
        Some(Staged { lent, place })
    }

    /// Returns the bytes that have arrived: where they are, as long as half of the pool is free, and
    /// otherwise a copy, so that those who keep them keep nobody else from reading.
    pub(crate) fn land(&self, staged: Staged) -> Option<Bytes> {
        let Staged { lent, place } = staged;
        let start = usize::try_from(place.offset()).ok()?;
        let range = start..start + lent.len();
        drop(lent);
        let bytes = self.memory.read(range).ok()?;
        if self.places.free_bytes() < self.places.capacity() / 2 {
            return Some(Bytes::copy_from_slice(&bytes));
        }
        Some(Bytes::from_owner(Landed {
            bytes,
            _place: place,
        }))
    }
}

impl Staged {
    pub(crate) fn address(&self) -> usize {
        self.lent.as_mut_ptr() as usize
    }
}

impl AsRef<[u8]> for Landed {
    fn as_ref(&self) -> &[u8] {
        &self.bytes
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn bytes_stay_where_they_arrived_until_half_of_the_pool_is_taken() {
        let staging = Staging::new(1 << 20).unwrap();
        let piece = Bytes::from(vec![7; 300_000]);
        let land = || {
            let staged = staging.filled(&[piece.clone(), piece.slice(..5)]).unwrap();
            assert_eq!(staged.lent.len(), 300_005);
            staging.land(staged).unwrap()
        };
        let first = land();
        assert!(staging.memory.pool().owns(first.as_ptr()));
        let second = land();
        assert!(!staging.memory.pool().owns(second.as_ptr()));
        assert_eq!(first, second);
        assert_eq!(first[..300_000], piece);
        drop(first);
        assert!(staging.memory.pool().owns(land().as_ptr()));
        assert_eq!(staging.places.free_bytes(), 1 << 20);
    }

    #[test]
    fn what_the_engine_has_is_nobody_elses() {
        let staging = Staging::new(1 << 20).unwrap();
        let staged = staging.place(1000).unwrap();
        assert!(staging.memory.read(0..1 << 20).is_err());
        assert!(staging.place(1 << 20).is_none());
        drop(staged);
        assert!(staging.place(1 << 20).is_some());
        assert!(Staging::new(10).is_err());
    }
}
