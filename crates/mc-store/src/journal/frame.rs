//! Records in a file, each in a frame of its own, so that damage costs no more than what it hit.
//!
//! ```text
//! frame = file id (8), sequence (8), file number (4), payload length (4), CRC-32 of the payload (4),
//!         CRC-32 of these 28 bytes (4), payload, zeros up to a multiple of 8
//! ```
//!
//! Integers are little-endian. There is nothing else in a file, so that nothing is at its beginning
//! whose loss would be worse than elsewhere; a file that was longer than what was written ends in zeros.
//! The header has a checksum of its own: where it is whole, its length can be trusted, and each byte is
//! read once, whatever a file claims. The id differs from file to file, so that no payload can pass for
//! a frame: whoever chooses a key does not know it.

use std::io::{self, Read};

/// Bytes before each payload.
pub(super) const HEADER_BYTES: usize = 32;

/// The most bytes of a payload: a key, and descriptors of a hundred thousand pieces.
pub(super) const PAYLOAD_BYTES_MAX: usize = 16 << 20;

/// Frames begin at multiples of it, so that their first bytes are written by one store.
pub(super) const FRAME_ALIGN: usize = 8;

const ID_BYTES: usize = 8;
/// Where in a header the number of the file is.
const NUMBER: usize = 16;
const CHECKED_BYTES: usize = HEADER_BYTES - 4;

/// Bytes that are read at once.
const BLOCK_BYTES: usize = 256 << 10;

/// What all frames of one file have in common.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct FileTag {
    /// Its lowest byte is not zero, so that no frame begins with one.
    id: u64,
    number: u32,
}

/// What the header of a frame says of its payload.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
struct Header {
    tag: FileTag,
    sequence: u64,
    payload_bytes: u32,
    payload_crc: u32,
}

/// A payload that is about to be framed.
#[derive(Clone, Copy, Debug)]
pub(super) struct Payload<'a> {
    pub(super) bytes: &'a [u8],
    crc: u32,
}

impl FileTag {
    /// Returns the tag of a new file; `id` should be one that nobody can guess.
    pub(super) fn new(id: u64, number: u32) -> Self {
        Self { id: id | 1, number }
    }
}

impl<'a> Payload<'a> {
    /// Takes the checksum; `None` if there are too many bytes.
    pub(super) fn new(bytes: &'a [u8]) -> Option<Self> {
        let crc = crc32fast::hash(bytes);
        (bytes.len() <= PAYLOAD_BYTES_MAX).then_some(Self { bytes, crc })
    }

    /// Returns the bytes of the whole frame.
    pub(super) fn frame_bytes(self) -> usize {
        frame_bytes(self.bytes.len())
    }

    /// Returns what goes before the payload.
    pub(super) fn header(self, tag: FileTag, sequence: u64) -> [u8; HEADER_BYTES] {
        let header = Header {
            tag,
            sequence,
            payload_bytes: u32::try_from(self.bytes.len()).unwrap_or(u32::MAX),
            payload_crc: self.crc,
        };
        header.to_bytes()
    }
}

/// Returns the bytes of the frame of a payload.
pub(super) fn frame_bytes(payload_bytes: usize) -> usize {
    HEADER_BYTES + payload_bytes.next_multiple_of(FRAME_ALIGN)
}

impl Header {
    fn to_bytes(self) -> [u8; HEADER_BYTES] {
        let mut bytes = [0; HEADER_BYTES];
        bytes[..8].copy_from_slice(&self.tag.id.to_le_bytes());
        bytes[8..16].copy_from_slice(&self.sequence.to_le_bytes());
        bytes[NUMBER..20].copy_from_slice(&self.tag.number.to_le_bytes());
        bytes[20..24].copy_from_slice(&self.payload_bytes.to_le_bytes());
        bytes[24..28].copy_from_slice(&self.payload_crc.to_le_bytes());
        let crc = crc32fast::hash(&bytes[..CHECKED_BYTES]);
        bytes[28..].copy_from_slice(&crc.to_le_bytes());
        bytes
    }

    /// Reads a header that is whole.
    fn read(bytes: &[u8]) -> Option<Self> {
        let bytes = bytes.first_chunk::<HEADER_BYTES>()?;
        let four = |at: usize| u32::from_le_bytes([0, 1, 2, 3].map(|byte| bytes[at + byte]));
        let eight = |at: usize| u64::from(four(at)) | u64::from(four(at + 4)) << 32;
        let tag = FileTag {
            id: eight(0),
            number: four(NUMBER),
        };
        let is_whole = four(28) == crc32fast::hash(&bytes[..CHECKED_BYTES]);
        let header = Self {
            tag,
            sequence: eight(8),
            payload_bytes: four(20),
            payload_crc: four(24),
        };
        (is_whole && tag.id & 1 == 1).then_some(header)
    }
}

/// What stands at a place of a file.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) enum Piece<'a> {
    /// A frame that is whole.
    Frame { sequence: u64, payload: &'a [u8] },
    /// Bytes that belong to no whole frame.
    Damage { offset: u64, bytes: u64 },
    /// The last bytes of a file, of a frame that never got its first ones: whoever wrote it ended
    /// meanwhile, and was not told that it is there.
    Unfinished { offset: u64, bytes: u64 },
}

/// The pieces of a file in order; it takes time linear in the file, and memory of a frame.
#[derive(Debug)]
pub(super) struct Pieces<R> {
    source: R,
    number: u32,
    /// Known once a header was found that is whole.
    id: Option<u64>,
    /// Bytes that were read; those before `start` are done with.
    buffer: Vec<u8>,
    start: usize,
    /// Where in the file `buffer[start]` is.
    offset: u64,
    /// The source has no more than what is in the buffer.
    is_at_end: bool,
}

/// Where a frame, or what is none, ends in the buffer.
enum Step {
    Frame(Header),
    /// The header is whole, the payload is not.
    BadPayload(Header),
    NoFrame,
    End,
}

impl<R: Read> Pieces<R> {
    /// Returns the pieces of the file with this number.
    pub(super) fn new(source: R, number: u32) -> Self {
        Self {
            source,
            number,
            id: None,
            buffer: Vec::new(),
            start: 0,
            offset: 0,
            is_at_end: false,
        }
    }

    /// Returns where the next piece begins.
    pub(super) fn offset(&self) -> u64 {
        self.offset
    }

    /// Returns the next piece, unless only zeros are left.
    pub(super) fn next(&mut self) -> io::Result<Option<Piece<'_>>> {
        let damage_start = self.offset;
        // Behind the last byte of the damage that is not zero.
        let mut damage_end = damage_start;
        let mut is_unfinished = self.fill(ID_BYTES)? && self.bytes()[..ID_BYTES] == [0; ID_BYTES];
        loop {
            match self.step()? {
                Step::Frame(_) if self.offset > damage_start => {
                    return Ok(Some(damage(damage_start, self.offset)));
                }
                Step::Frame(header) => return Ok(Some(self.frame(header))),
                Step::BadPayload(header) => {
                    self.consume(frame_bytes(header.payload_bytes as usize));
                    damage_end = self.offset;
                    is_unfinished = false;
                }
                Step::NoFrame => damage_end = self.skip()?.max(damage_end),
                Step::End if damage_end == damage_start => return Ok(None),
                Step::End if is_unfinished => {
                    return Ok(Some(Piece::Unfinished {
                        offset: damage_start,
                        bytes: damage_end - damage_start,
                    }));
                }
                Step::End => return Ok(Some(damage(damage_start, damage_end))),
            }
        }
    }

    /// Looks at what is next.
    fn step(&mut self) -> io::Result<Step> {
        self.fill(HEADER_BYTES)?;
        if self.bytes().is_empty() {
            return Ok(Step::End);
        }
        let Some(header) = self.header() else {
            return Ok(Step::NoFrame);
        };
        let payload_bytes = header.payload_bytes as usize;
        if payload_bytes > PAYLOAD_BYTES_MAX || !self.fill(HEADER_BYTES + payload_bytes)? {
            return Ok(Step::NoFrame);
        }
        self.fill(frame_bytes(payload_bytes))?;
        let payload = &self.bytes()[HEADER_BYTES..HEADER_BYTES + payload_bytes];
        Ok(if crc32fast::hash(payload) == header.payload_crc {
            Step::Frame(header)
        } else {
            Step::BadPayload(header)
        })
    }

    /// Returns the header that is next, if it is one of this file.
    fn header(&mut self) -> Option<Header> {
        let header = Header::read(self.bytes())?;
        if header.tag.number != self.number {
            return None;
        }
        let id = *self.id.get_or_insert(header.tag.id);
        (header.tag.id == id).then_some(header)
    }

    /// Goes on to where the next frame may begin; returns the place behind the last byte on the way
    /// that is not zero.
    fn skip(&mut self) -> io::Result<u64> {
        let zeros = leading_zeros(self.bytes());
        if zeros > 0 {
            let before = self.offset;
            // A frame does not begin with a zero.
            self.consume(zeros);
            while self.fill(1)? {
                let zeros = leading_zeros(self.bytes());
                if zeros == 0 {
                    break;
                }
                self.consume(zeros);
            }
            return Ok(before);
        }
        let id = self.id.map(u64::to_le_bytes);
        self.fill(2 * HEADER_BYTES)?;
        let bytes = &self.bytes()[1..];
        let skipped = match id {
            Some(id) => bytes.windows(ID_BYTES).position(|window| window == id),
            None => {
                let number = self.number.to_le_bytes();
                bytes.windows(HEADER_BYTES).position(|window| {
                    window[NUMBER..][..number.len()] == number && Header::read(window).is_some()
                })
            }
        };
        // The last bytes in the buffer may be the first ones of a header.
        let kept = if self.is_at_end { 0 } else { HEADER_BYTES };
        let skipped = skipped.unwrap_or_else(|| bytes.len().saturating_sub(kept));
        let passed = &self.bytes()[..1 + skipped];
        let end = passed
            .iter()
            .rposition(|&byte| byte != 0)
            .map_or(0, |last| last + 1);
        let end = self.offset + end as u64;
        self.consume(1 + skipped);
        Ok(end)
    }

    fn frame(&mut self, header: Header) -> Piece<'_> {
        let start = self.start + HEADER_BYTES;
        let payload = start..start + header.payload_bytes as usize;
        self.consume(frame_bytes(header.payload_bytes as usize));
        Piece::Frame {
            sequence: header.sequence,
            payload: &self.buffer[payload],
        }
    }

    fn bytes(&self) -> &[u8] {
        &self.buffer[self.start..]
    }

    fn consume(&mut self, bytes: usize) {
        let bytes = bytes.min(self.buffer.len() - self.start);
        self.start += bytes;
        self.offset += bytes as u64;
    }

    /// Reads on until so many bytes are in the buffer; returns whether there are so many.
    fn fill(&mut self, bytes: usize) -> io::Result<bool> {
        while self.bytes().len() < bytes && !self.is_at_end {
            self.buffer.drain(..self.start);
            self.start = 0;
            let missing = (bytes - self.buffer.len()).max(BLOCK_BYTES) as u64;
            let read = self.source.by_ref().take(missing);
            self.is_at_end = { read }.read_to_end(&mut self.buffer)? == 0;
        }
        Ok(self.bytes().len() >= bytes)
    }
}

fn damage(start: u64, end: u64) -> Piece<'static> {
    Piece::Damage {
        offset: start,
        bytes: end - start,
    }
}

fn leading_zeros(bytes: &[u8]) -> usize {
    let whole = bytes.chunks_exact(64);
    let blocks = whole.take_while(|block| **block == [0; 64]).count();
    let rest = bytes[64 * blocks..].iter();
    64 * blocks + rest.take_while(|byte| **byte == 0).count()
}

#[cfg(test)]
mod tests {
    use super::*;

    /// A file of one frame, whose payload may be longer than any that is written.
    fn file(payload_bytes: usize) -> Vec<u8> {
        let bytes = vec![1; payload_bytes];
        let payload = Payload {
            crc: crc32fast::hash(&bytes),
            bytes: &bytes,
        };
        let header = payload.header(FileTag::new(7, 0), 1);
        [&header[..], &bytes].concat()
    }

    #[test]
    fn frames_are_read_up_to_the_longest_that_is_written() {
        let longest = file(PAYLOAD_BYTES_MAX);
        let mut pieces = Pieces::new(&longest[..], 0);
        let first = pieces.next().expect("bytes in memory are read");
        assert!(matches!(first, Some(Piece::Frame { sequence: 1, payload })
            if payload.len() == PAYLOAD_BYTES_MAX));
        let longer = file(PAYLOAD_BYTES_MAX + 1);
        let mut pieces = Pieces::new(&longer[..], 0);
        let first = pieces.next().expect("bytes in memory are read");
        let bytes = longer.len() as u64;
        assert_eq!(first, Some(Piece::Damage { offset: 0, bytes }));
    }
}
