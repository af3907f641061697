//! The bytes of objects, where this process can read them.

use std::ops::Range;

use mc_segment::{BytesError, PlacedBuffer};

use crate::{error::ReadError, object::Object, parts::Parts, request::Terms};

/// Bytes that are copied at once.
const CHUNK_BYTES: usize = 1 << 20;

impl Object {
    /// Copies the bytes out of the first replica that can be read.
    pub(crate) fn read(&self) -> Result<Vec<u8>, ReadError> {
        let mut refusal = None;
        for replica in self.replicas() {
            match read_replica(replica, self.parts(), self.checksum()) {
                Ok(bytes) => return Ok(bytes),
                // A checksum that differs says more than a segment far away.
                Err(error @ ReadError::Checksum { .. }) => refusal = Some(error),
                Err(error) => {
                    refusal.get_or_insert(error);
                }
            }
        }
        Err(refusal.expect("an object has a replica"))
    }

    /// Copies some of the bytes out of the first replica that can be read.
    pub(crate) fn read_at(&self, offset: u64, into: &mut [u8]) -> Result<(), ReadError> {
        let parts = self.parts();
        let mut read = |replica: &PlacedBuffer| -> Result<(), BytesError> {
            for (at, range) in parts.pieces(offset, into.len())? {
                replica.read_at(at, &mut into[range])?;
            }
            Ok(())
        };
        let mut first = None;
        for replica in self.replicas() {
            match read(replica) {
                Ok(()) => return Ok(()),
                Err(error) => first = first.or(Some(error)),
            }
        }
        Err(first.expect("an object has a replica").into())
    }
}

fn read_replica(
    replica: &PlacedBuffer,
    parts: Parts<'_>,
    expected: Option<u32>,
) -> Result<Vec<u8>, ReadError> {
    let mut bytes = Vec::new();
    for (offset, len) in chunks_of(parts) {
        let start = bytes.len();
        bytes.resize(start + len, 0);
        replica.read_at(offset, &mut bytes[start..])?;
    }
    match expected.filter(|&expected| crc32fast::hash(&bytes) != expected) {
        Some(expected) => Err(ReadError::Checksum {
            found: crc32fast::hash(&bytes),
            expected,
        }),
        None => Ok(bytes),
    }
}

/// Returns the checksum of the bytes of the first replica that can be read.
pub(crate) fn checksum(replicas: &[PlacedBuffer], terms: &Terms) -> Option<u32> {
    replicas.iter().find_map(|replica| {
        let parts = terms.parts(replica.size());
        replica_checksum(replica, parts).ok()
    })
}

fn replica_checksum(replica: &PlacedBuffer, parts: Parts<'_>) -> Result<u32, BytesError> {
    let mut hasher = crc32fast::Hasher::new();
    let mut bytes = Vec::new();
    for (offset, len) in chunks_of(parts) {
        bytes.resize(len, 0);
        replica.read_at(offset, &mut bytes)?;
        hasher.update(&bytes);
    }
    Ok(hasher.finalize())
}

/// Copies the bytes of a buffer to another of the same size, both in memory
/// that this process reads and writes.
///
/// # Errors
///
/// A [`BytesError`].
pub fn copy_bytes(from: &PlacedBuffer, to: &mut PlacedBuffer) -> Result<(), BytesError> {
    let mut bytes = Vec::new();
    for (offset, len) in chunks(0..from.size()) {
        bytes.resize(len, 0);
        from.read_at(offset, &mut bytes)?;
        to.write_at(offset, &bytes)?;
    }
    Ok(())
}

/// Returns the chunks of all parts of an object.
fn chunks_of(parts: Parts<'_>) -> impl Iterator<Item = (u64, usize)> {
    parts.spans().flat_map(chunks)
}

/// Returns offsets and lengths of the chunks in which bytes are copied, so that
/// the memory for it stays small.
fn chunks(span: Range<u64>) -> impl Iterator<Item = (u64, usize)> {
    let end = span.end;
    span.step_by(CHUNK_BYTES).map(move |offset| {
        let left = usize::try_from(end - offset).unwrap_or(usize::MAX);
        (offset, left.min(CHUNK_BYTES))
    })
}
