//! The bytes of objects, where this process can read them.

use mc_segment::{BytesError, PlacedBuffer};

use crate::{error::ReadError, object::Object};

/// Bytes that are copied at once.
const PART_BYTES: usize = 1 << 20;

impl Object {
    /// Copies the bytes out of the first replica that can be read.
    pub(crate) fn read(&self) -> Result<Vec<u8>, ReadError> {
        let mut refusal = None;
        for replica in self.replicas() {
            match read_replica(replica, self.checksum()) {
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
}

fn read_replica(replica: &PlacedBuffer, expected: Option<u32>) -> Result<Vec<u8>, ReadError> {
    let mut bytes = Vec::new();
    for (offset, len) in parts(replica.size()) {
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
pub(crate) fn checksum(replicas: &[PlacedBuffer]) -> Option<u32> {
    replicas
        .iter()
        .find_map(|replica| replica_checksum(replica).ok())
}

fn replica_checksum(replica: &PlacedBuffer) -> Result<u32, BytesError> {
    let mut hasher = crc32fast::Hasher::new();
    let mut bytes = Vec::new();
    for (offset, len) in parts(replica.size()) {
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
    for (offset, len) in parts(from.size()) {
        bytes.resize(len, 0);
        from.read_at(offset, &mut bytes)?;
        to.write_at(offset, &bytes)?;
    }
    Ok(())
}

/// Returns offsets and lengths of the parts in which bytes are copied, so that
/// the memory for it stays small.
fn parts(size: u64) -> impl Iterator<Item = (u64, usize)> {
    (0..size).step_by(PART_BYTES).map(move |offset| {
        let left = usize::try_from(size - offset).unwrap_or(usize::MAX);
        (offset, left.min(PART_BYTES))
    })
}
