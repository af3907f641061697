//! Records in a file, each with a checksum, so that damage costs no more than
//! the records that it hit.
//!
//! ```text
//! file  = magic (7 bytes), version (1), file id (8), frame*
//! frame = file id (8), length (u32), CRC-32 (u32), payload
//! ```
//!
//! Integers are little-endian. The checksum covers length and payload.
//! The file id differs from file to file, so that no payload can pass for a
//! frame: whoever chooses a key does not know it.

use std::ops::Range;

use thiserror::Error;

const MAGIC: [u8; 7] = *b"mcstore";

/// The version that is written, and the only one that is read.
pub(super) const VERSION: u8 = 1;

const ID_LEN: usize = 8;
const PRELUDE_LEN: usize = MAGIC.len() + 1 + ID_LEN;
const HEADER_LEN: usize = ID_LEN + 2 * 4;

/// Why bytes are no snapshot at all.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Error)]
#[non_exhaustive]
pub enum FormatError {
    /// Shorter than the beginning of every snapshot.
    #[error("{len_bytes} bytes are too few for a snapshot, which has at least {PRELUDE_LEN}")]
    TooShort {
        /// Bytes of the file.
        len_bytes: usize,
    },
    /// The first bytes are not those of a snapshot.
    #[error("not a snapshot of a store")]
    NotASnapshot,
    /// Written by another version of this format.
    #[error("version {found} of the format where {VERSION} is read")]
    UnknownVersion {
        /// The version of the file.
        found: u8,
    },
}

/// Frames as they are written one after the other.
#[derive(Debug)]
pub(super) struct FrameWriter {
    bytes: Vec<u8>,
    id: [u8; ID_LEN],
}

impl FrameWriter {
    /// Starts a file; `id` should be one that nobody can guess.
    pub(super) fn new(id: [u8; ID_LEN]) -> Self {
        let mut bytes = Vec::new();
        bytes.extend_from_slice(&MAGIC);
        bytes.push(VERSION);
        bytes.extend_from_slice(&id);
        Self { bytes, id }
    }

    /// Appends a frame.
    ///
    /// # Panics
    ///
    /// Panics if the payload has 2^32 bytes.
    pub(super) fn frame(&mut self, payload: &[u8]) {
        let len = u32::try_from(payload.len()).expect("a record has less than 4 GiB");
        let header = frame_header(self.id, len, payload);
        self.bytes.extend_from_slice(&header);
        self.bytes.extend_from_slice(payload);
    }

    pub(super) fn finish(self) -> Vec<u8> {
        self.bytes
    }
}

fn frame_header(id: [u8; ID_LEN], len: u32, payload: &[u8]) -> [u8; HEADER_LEN] {
    let mut header = [0; HEADER_LEN];
    let (head, crc) = header.split_at_mut(HEADER_LEN - 4);
    head[..ID_LEN].copy_from_slice(&id);
    head[ID_LEN..].copy_from_slice(&len.to_le_bytes());
    let mut hasher = crc32fast::Hasher::new();
    hasher.update(&head[ID_LEN..]);
    hasher.update(payload);
    crc.copy_from_slice(&hasher.finalize().to_le_bytes());
    header
}

/// What stands at a place of a file.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) enum Piece<'a> {
    /// The payload of a frame that is whole.
    Frame(&'a [u8]),
    /// Bytes of the file that belong to no whole frame.
    Damage(Range<usize>),
}

/// Returns the pieces of a file in order.
pub(super) fn pieces(bytes: &[u8]) -> Result<impl Iterator<Item = Piece<'_>>, FormatError> {
    let id = prelude(bytes)?;
    let mut at = PRELUDE_LEN;
    Ok(std::iter::from_fn(move || {
        if at == bytes.len() {
            return None;
        }
        let start = at;
        if let Some((piece, end)) = frame_at(bytes, at, id) {
            at = end;
            return Some(piece);
        }
        while at < bytes.len() && (at == start || frame_at(bytes, at, id).is_none()) {
            let next = bytes[at + 1..]
                .windows(ID_LEN)
                .position(|window| window == id);
            at = next.map_or(bytes.len(), |skipped| at + 1 + skipped);
        }
        Some(Piece::Damage(start..at))
    }))
}

fn prelude(bytes: &[u8]) -> Result<[u8; ID_LEN], FormatError> {
    let len_bytes = bytes.len();
    let (Some(magic), Some(&version), Some(id)) = (
        bytes.get(..MAGIC.len()),
        bytes.get(MAGIC.len()),
        bytes.get(MAGIC.len() + 1..PRELUDE_LEN),
    ) else {
        return Err(FormatError::TooShort { len_bytes });
    };
    if magic != MAGIC {
        return Err(FormatError::NotASnapshot);
    }
    if version != VERSION {
        return Err(FormatError::UnknownVersion { found: version });
    }
    id.try_into()
        .map_err(|_| FormatError::TooShort { len_bytes })
}

/// Returns the whole frame at a place and where it ends, if there is one.
fn frame_at(bytes: &[u8], at: usize, id: [u8; ID_LEN]) -> Option<(Piece<'_>, usize)> {
    let (header, rest) = bytes.get(at..)?.split_at_checked(HEADER_LEN)?;
    if header[..ID_LEN] != id {
        return None;
    }
    let len = header[ID_LEN..ID_LEN + 4].try_into();
    let len = u32::from_le_bytes(len.ok()?);
    let payload = rest.get(..usize::try_from(len).ok()?)?;
    let is_whole = header == frame_header(id, len, payload);
    let end = at + HEADER_LEN + payload.len();
    is_whole.then_some((Piece::Frame(payload), end))
}

#[cfg(test)]
mod tests {
    use super::*;

    const ID: [u8; ID_LEN] = *b"\x01\x02\x03\x04\x05\x06\x07\x08";

    fn file(payloads: &[&[u8]]) -> Vec<u8> {
        let mut writer = FrameWriter::new(ID);
        for payload in payloads {
            writer.frame(payload);
        }
        writer.finish()
    }

    /// Returns the payloads of the whole frames and the damaged bytes.
    fn read(bytes: &[u8]) -> Result<(Vec<&[u8]>, usize), FormatError> {
        let (mut payloads, mut damaged) = (Vec::new(), 0);
        for piece in pieces(bytes)? {
            match piece {
                Piece::Frame(payload) => payloads.push(payload),
                Piece::Damage(range) => damaged += range.len(),
            }
        }
        Ok((payloads, damaged))
    }

    const PAYLOADS: [&[u8]; 4] = [b"pool", b"", &ID, b"a longer record"];

    #[test]
    fn whole_files_have_all_frames() {
        let bytes = file(&PAYLOADS);
        assert_eq!(read(&bytes), Ok((PAYLOADS.to_vec(), 0)));
        assert_eq!(read(&file(&[])), Ok((vec![], 0)));
    }

    #[test]
    fn a_cut_costs_the_frames_behind_it_only() {
        let bytes = file(&PAYLOADS);
        let mut ends = vec![PRELUDE_LEN];
        ends.extend((1..=4).map(|count| file(&PAYLOADS[..count]).len()));
        for len in 0..bytes.len() {
            let expected = if len < PRELUDE_LEN {
                Err(FormatError::TooShort { len_bytes: len })
            } else {
                let whole = ends.partition_point(|end| *end <= len) - 1;
                Ok((PAYLOADS[..whole].to_vec(), len - ends[whole]))
            };
            assert_eq!(read(&bytes[..len]), expected, "cut at {len}");
        }
    }

    #[test]
    fn a_changed_bit_costs_one_frame_only() {
        let bytes = file(&PAYLOADS);
        for bit in 0..8 * bytes.len() {
            let mut changed = bytes.clone();
            changed[bit / 8] ^= 1 << (bit % 8);
            match read(&changed) {
                Ok((payloads, damaged)) if bit / 8 < PRELUDE_LEN => {
                    assert_eq!((payloads.len(), damaged), (0, bytes.len() - PRELUDE_LEN));
                }
                Ok((payloads, _)) => assert_eq!(payloads.len(), 3, "bit {bit}"),
                Err(error) => assert!(bit / 8 < MAGIC.len() + 1, "bit {bit}: {error}"),
            }
        }
    }

    #[test]
    fn other_files_are_told_apart() {
        assert_eq!(read(&[b'x'; 99]), Err(FormatError::NotASnapshot));
        let mut bytes = file(&PAYLOADS);
        bytes[MAGIC.len()] = 2;
        assert_eq!(read(&bytes), Err(FormatError::UnknownVersion { found: 2 }));
    }
}
