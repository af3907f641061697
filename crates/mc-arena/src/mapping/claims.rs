//! Claims on ranges of bytes, checked while the program runs: many readers or
//! one writer of each byte.
//!
//! Key types: [`Claims`], which knows no memory, and [`ClaimedRange`]. A mapping
//! lends the bytes of a range for as long as it is claimed.

use std::{
    collections::BTreeMap,
    ops::Range,
    sync::{Arc, Mutex, MutexGuard, PoisonError},
};

use super::{other_process::OtherProcess, process::Process};

/// How a range is claimed.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Access {
    /// Along with other readers.
    Read,
    /// Alone.
    Write,
    /// By a device: alone, and without ever becoming a slice.
    Device,
}

/// Why a range was not claimed; nothing changed.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum ClaimError {
    /// The range runs backwards or ends behind the last byte.
    #[error("bytes {start}..{end} are not in a range of {len_bytes}")]
    OutOfRange {
        /// First byte asked for.
        start: usize,
        /// The byte after the last one asked for.
        end: usize,
        /// Bytes that there are.
        len_bytes: usize,
    },
    /// Bytes to be read are being written.
    #[error("bytes {}..{} cannot be read while {}..{} are being written", asked.start, asked.end, writer.start, writer.end)]
    BeingWritten {
        /// The range asked for.
        asked: Range<usize>,
        /// The range that a writer has.
        writer: Range<usize>,
    },
    /// Bytes to be written are being read or written.
    #[error("bytes {}..{} cannot be written while {}..{} are in use", asked.start, asked.end, user.start, user.end)]
    InUse {
        /// The range asked for.
        asked: Range<usize>,
        /// The range that a writer has, or the first part of it that has the
        /// same readers.
        user: Range<usize>,
    },
    /// A device may write to the bytes at any moment.
    #[error(
        "bytes {}..{} are out of reach while {}..{} are registered with a device",
        asked.start, asked.end, registered.start, registered.end
    )]
    OfDevice {
        /// The range asked for.
        asked: Range<usize>,
        /// The range that was registered.
        registered: Range<usize>,
    },
    /// The file behind the memory has lost bytes.
    #[error(
        "the file behind the pool has {file_bytes} of {needed_bytes} bytes: it was cut short from outside; \
         close the pool and open it anew"
    )]
    Truncated {
        /// Bytes that the file still has.
        file_bytes: u64,
        /// Bytes of the pool and its header.
        needed_bytes: u64,
    },
    /// The memory was mapped by a process that this one was forked from.
    #[error(transparent)]
    OtherProcess(#[from] OtherProcess),
}

/// The ranges of one memory that are claimed.
#[derive(Clone, Debug)]
pub(crate) struct Claims {
    table: Arc<Table>,
}

/// A range that is claimed until this value is dropped, which in a child does nothing.
#[derive(Debug)]
pub(crate) struct ClaimedRange {
    table: Arc<Table>,
    range: Range<usize>,
    access: Access,
}

#[derive(Debug)]
struct Table {
    process: Process,
    /// Disjoint pieces, none empty, by their first byte. A byte is in a piece
    /// iff it is claimed. Every claim is the union of adjacent pieces; a
    /// writer's claim is one piece.
    pieces: Mutex<BTreeMap<usize, Piece>>,
}

/// Bytes with the same users.
#[derive(Clone, Copy, Debug)]
struct Piece {
    end: usize,
    users: Users,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Users {
    /// This many, at least one.
    Readers(usize),
    Writer,
    Device,
}

type Pieces = BTreeMap<usize, Piece>;

impl Claims {
    /// Returns the claims on a memory of `process`: none.
    pub(crate) fn new(process: Process) -> Self {
        Self {
            table: Arc::new(Table {
                process,
                pieces: Mutex::default(),
            }),
        }
    }

    /// Claims a range that does not run backwards; an empty one is always to be
    /// had.
    ///
    /// Takes O(log n) for n claims, and as much again for each piece in the
    /// range.
    pub(crate) fn claim(
        &self,
        range: Range<usize>,
        access: Access,
    ) -> Result<ClaimedRange, ClaimError> {
        // Before the lock, which a thread that a child does not have may hold for ever.
        self.table.process.check()?;
        let mut pieces = self.table.lock();
        let touched = overlapping(&pieces, &range);
        for (start, piece) in touched {
            refuse_beside(&range, access, start, piece)?;
        }
        if !range.is_empty() {
            let end = range.end;
            let alone = match access {
                Access::Read => None,
                Access::Write => Some(Users::Writer),
                Access::Device => Some(Users::Device),
            };
            match alone {
                None => add_reader(&mut pieces, &range),
                Some(users) => drop(pieces.insert(range.start, Piece { end, users })),
            }
        }
        drop(pieces);
        Ok(ClaimedRange {
            table: Arc::clone(&self.table),
            range,
            access,
        })
    }

    /// Says whether a claim is one on this memory.
    #[inline]
    pub(crate) fn has(&self, claimed: &ClaimedRange) -> bool {
        Arc::ptr_eq(&self.table, &claimed.table)
    }
}

impl ClaimedRange {
    /// Returns the range, which does not run backwards.
    #[inline]
    pub(crate) fn range(&self) -> &Range<usize> {
        &self.range
    }

    /// Returns how the range is claimed.
    #[inline]
    pub(crate) fn access(&self) -> Access {
        self.access
    }

    /// Panics in a child.
    #[inline]
    #[track_caller]
    pub(crate) fn assert_current(&self) {
        self.table.process.assert_current();
    }
}

impl Drop for ClaimedRange {
    fn drop(&mut self) {
        if self.table.process.is_current() {
            release(&mut self.table.lock(), &self.range);
        }
    }
}

impl Table {
    fn lock(&self) -> MutexGuard<'_, Pieces> {
        // Nothing in this file panics between two changes that belong together.
        self.pieces.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// Refuses a claim that shares bytes with a piece which does not admit it.
fn refuse_beside(
    asked: &Range<usize>,
    access: Access,
    start: usize,
    piece: Piece,
) -> Result<(), ClaimError> {
    let (asked, taken) = (asked.clone(), start..piece.end);
    match (access, piece.users) {
        (Access::Read, Users::Readers(_)) => Ok(()),
        (_, Users::Device) => Err(ClaimError::OfDevice {
            asked,
            registered: taken,
        }),
        (Access::Read, Users::Writer) => Err(ClaimError::BeingWritten {
            asked,
            writer: taken,
        }),
        (Access::Write | Access::Device, _) => Err(ClaimError::InUse { asked, user: taken }),
    }
}

/// Gives up a range that was claimed and not given up since.
fn release(pieces: &mut Pieces, range: &Range<usize>) {
    let claimed: Vec<_> = overlapping(pieces, range).map(|(start, _)| start).collect();
    for start in claimed {
        match pieces.get_mut(&start).map(|piece| &mut piece.users) {
            Some(Users::Readers(readers)) if *readers > 1 => *readers -= 1,
            // The last reader, or who had it alone.
            _ => {
                pieces.remove(&start);
            }
        }
    }
}

/// Returns the pieces that share bytes with a range.
fn overlapping(pieces: &Pieces, range: &Range<usize>) -> impl Iterator<Item = (usize, Piece)> {
    // Pieces are disjoint, so of those that begin before the range only the
    // last can reach into it.
    let before = pieces.range(..range.start).next_back();
    let before = before.filter(|(_, piece)| piece.end > range.start && !range.is_empty());
    let within = pieces.range(range.clone());
    before
        .into_iter()
        .chain(within)
        .map(|(&start, &piece)| (start, piece))
}

/// Adds a reader to all bytes of a range that no writer has.
fn add_reader(pieces: &mut Pieces, range: &Range<usize>) {
    split_at(pieces, range.start);
    split_at(pieces, range.end);
    let shared: Vec<_> = overlapping(pieces, range).collect();
    let mut unclaimed = range.start;
    for (start, piece) in shared {
        insert_reader(pieces, unclaimed..start);
        if let Users::Readers(readers) = piece.users {
            let users = Users::Readers(readers + 1);
            pieces.insert(start, Piece { users, ..piece });
        }
        unclaimed = piece.end;
    }
    insert_reader(pieces, unclaimed..range.end);
}

fn insert_reader(pieces: &mut Pieces, range: Range<usize>) {
    if !range.is_empty() {
        let piece = Piece {
            end: range.end,
            users: Users::Readers(1),
        };
        pieces.insert(range.start, piece);
    }
}

/// Makes `border` the border of the piece that has bytes on both sides of it.
fn split_at(pieces: &mut Pieces, border: usize) {
    if let Some((_, piece)) = pieces.range_mut(..border).next_back()
        && piece.end > border
    {
        let upper = *piece;
        piece.end = border;
        pieces.insert(border, upper);
    }
}

#[cfg(test)]
#[cfg(not(loom))]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn claims() -> Claims {
        Claims::new(Process::here().unwrap())
    }

    #[test]
    fn refusals_name_both_ranges() {
        let claims = claims();
        let _writer = claims.claim(10..20, Access::Write).unwrap();
        let text = |range, access| claims.claim(range, access).unwrap_err().to_string();
        assert_eq!(
            text(15..30, Access::Read),
            "bytes 15..30 cannot be read while 10..20 are being written"
        );
        let _reader = claims.claim(20..40, Access::Read).unwrap();
        assert_eq!(
            text(39..50, Access::Write),
            "bytes 39..50 cannot be written while 20..40 are in use"
        );
        let _device = claims.claim(50..60, Access::Device).unwrap();
        assert_eq!(
            text(40..51, Access::Read),
            "bytes 40..51 are out of reach while 50..60 are registered with a device"
        );
    }

    proptest! {
        /// A claim is had iff no byte of it is in the way of it, and nothing is
        /// left when all are given up.
        #[test]
        fn claims_are_as_if_every_byte_had_a_lock(
            steps in prop::collection::vec((0..40_usize, 0..12_usize, 0..5_u8), 1..100),
        ) {
            let claims = claims();
            let mut held: Vec<ClaimedRange> = Vec::new();
            for (start, len, kind) in steps {
                let access = match kind {
                    0 => Access::Write,
                    1 | 2 => Access::Read,
                    3 => Access::Device,
                    _ if held.is_empty() => continue,
                    _ => {
                        held.swap_remove(start % held.len());
                        continue;
                    }
                };
                let range = start..start + len;
                let is_in_the_way = |held: &ClaimedRange| {
                    let shared = range.start.max(held.range.start)..range.end.min(held.range.end);
                    !shared.is_empty() && (access != Access::Read || held.access != Access::Read)
                };
                let is_free = !held.iter().any(is_in_the_way);
                let claimed = claims.claim(range, access);
                prop_assert_eq!(claimed.is_ok(), is_free);
                held.extend(claimed);
            }
            drop(held);
            prop_assert!(claims.table.lock().is_empty());
        }
    }
}
