//! The first page of a file that holds a pool: what it says, as bytes. Pure.
//!
//! ```text
//!  0        8        12     16       24       32         40        56     60
//!  │ magic  │ version│ crc  │ length │ epoch  │ page     │ boot id │ state│
//!  └─────── fixed ──────────┴─────────── under the checksum ─────────────┘   little-endian
//! ```

/// Bytes of the header at the start of its page.
pub(super) const HEADER_BYTES: usize = 60;

const MAGIC: [u8; 8] = *b"mc-pool\0";
const VERSION: u32 = 1;
/// Where the bytes under the checksum begin.
const BODY: usize = 16;

/// What is known of the bytes behind a header.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum State {
    /// A process has them open, or had when it died: they are what it wrote, unless the system went
    /// down with it.
    Open,
    /// All of them were written back before the last process closed the file.
    Closed,
    /// They are being made, or some of them were lost.
    Void,
}

/// The header of a file.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Header {
    /// Bytes of the pool, which begin after the first page.
    pub(super) pool_bytes: u64,
    /// Incarnation of the bytes.
    pub(super) epoch: u64,
    /// Bytes of the first page, and of every other.
    pub(super) page_bytes: u64,
    /// Names the start of the system that last opened the file; `None` if it has no name.
    pub(super) boot: Option<u128>,
    pub(super) state: State,
}

/// What the first bytes of a file are.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Found {
    /// Zeros only.
    Blank,
    Header(Header),
    /// The header of a pool whose checksum is wrong.
    Damaged,
    /// The header of a pool in another format.
    Version(u32),
    /// Something else.
    Other,
}

impl Header {
    /// Returns the bytes that [`read`] understands.
    pub(super) fn to_bytes(self) -> [u8; HEADER_BYTES] {
        let state: u32 = match self.state {
            State::Open => 0,
            State::Closed => 1,
            State::Void => 2,
        };
        let mut bytes = [0; HEADER_BYTES];
        bytes[..8].copy_from_slice(&MAGIC);
        bytes[8..12].copy_from_slice(&VERSION.to_le_bytes());
        bytes[16..24].copy_from_slice(&self.pool_bytes.to_le_bytes());
        bytes[24..32].copy_from_slice(&self.epoch.to_le_bytes());
        bytes[32..40].copy_from_slice(&self.page_bytes.to_le_bytes());
        bytes[40..56].copy_from_slice(&self.boot.unwrap_or(0).to_le_bytes());
        bytes[56..60].copy_from_slice(&state.to_le_bytes());
        let checksum = crc32fast::hash(&bytes[BODY..]);
        bytes[12..16].copy_from_slice(&checksum.to_le_bytes());
        bytes
    }

    /// Says whether the bytes behind the header are still those of its epoch, in a file of the right
    /// length, on a system that has been up since `boot`.
    pub(super) fn is_trusted(&self, boot: Option<u128>) -> bool {
        match self.state {
            State::Open => boot.is_some() && self.boot == boot,
            State::Closed => true,
            State::Void => false,
        }
    }
}

/// Returns what the first bytes of a file are, which may be fewer than a header has.
pub(super) fn read(bytes: &[u8]) -> Found {
    if bytes.iter().all(|&byte| byte == 0) {
        return Found::Blank;
    }
    if !bytes.starts_with(&MAGIC) {
        return Found::Other;
    }
    let Some(bytes) = bytes.first_chunk::<HEADER_BYTES>() else {
        return Found::Damaged;
    };
    let version = u32::from_le_bytes(field(bytes, 8));
    if version != VERSION {
        return Found::Version(version);
    }
    if u32::from_le_bytes(field(bytes, 12)) != crc32fast::hash(&bytes[BODY..]) {
        return Found::Damaged;
    }
    let state = match u32::from_le_bytes(field(bytes, 56)) {
        0 => State::Open,
        1 => State::Closed,
        _ => State::Void,
    };
    let boot = u128::from_le_bytes(field(bytes, 40));
    Found::Header(Header {
        pool_bytes: u64::from_le_bytes(field(bytes, 16)),
        epoch: u64::from_le_bytes(field(bytes, 24)),
        page_bytes: u64::from_le_bytes(field(bytes, 32)),
        boot: (boot != 0).then_some(boot),
        state,
    })
}

fn field<const N: usize>(bytes: &[u8; HEADER_BYTES], at: usize) -> [u8; N] {
    let mut field = [0; N];
    field.copy_from_slice(&bytes[at..at + N]);
    field
}

#[cfg(test)]
#[cfg(not(loom))]
mod tests {
    use super::*;

    const HEADER: Header = Header {
        pool_bytes: 1 << 30,
        epoch: 77,
        page_bytes: 4096,
        boot: Some(5),
        state: State::Open,
    };

    #[test]
    fn a_header_is_read_as_written() {
        for state in [State::Open, State::Closed, State::Void] {
            for boot in [None, Some(u128::MAX)] {
                let header = Header {
                    state,
                    boot,
                    ..HEADER
                };
                assert_eq!(read(&header.to_bytes()), Found::Header(header));
            }
        }
    }

    #[test]
    fn every_changed_bit_is_noticed() {
        let bytes = HEADER.to_bytes();
        for bit in 0..HEADER_BYTES * 8 {
            let mut changed = bytes;
            changed[bit / 8] ^= 1 << (bit % 8);
            let found = read(&changed);
            let expected = match bit / 64 {
                0 => Found::Other,
                _ if bit < 96 => Found::Version(VERSION ^ 1 << (bit - 64)),
                _ => Found::Damaged,
            };
            assert_eq!(found, expected, "bit {bit}");
        }
    }

    #[test]
    fn what_is_no_header_is_told_apart() {
        assert_eq!(read(&[]), Found::Blank);
        assert_eq!(read(&[0; 4096]), Found::Blank);
        assert_eq!(read(b"#!/bin/sh\n"), Found::Other);
        assert_eq!(read(&HEADER.to_bytes()[..40]), Found::Damaged);
    }

    #[test]
    fn bytes_are_trusted_until_the_system_or_the_file_fails() {
        let trusted = |state, boot| Header { state, ..HEADER }.is_trusted(boot);
        assert!(trusted(State::Open, Some(5)));
        assert!(!trusted(State::Open, Some(6)), "the system went down");
        assert!(!trusted(State::Open, None));
        assert!(trusted(State::Closed, Some(6)));
        assert!(!trusted(State::Void, Some(5)));
    }
}
