//! Claims on ranges of bytes, checked while the program runs: many readers or
//! one writer of each byte.
//!
//! Key type: [`Claims`], which knows no memory. `mapping/shared_bytes.rs` lends
//! the bytes of a range for as long as it is claimed.

use std::{
    collections::BTreeMap,
    ops::Range,
    sync::{Mutex, MutexGuard, PoisonError},
};

/// How a range is claimed.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Access {
    /// Along with other readers.
    Read,
    /// Alone.
    Write,
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
}

/// The ranges that are claimed.
#[derive(Debug, Default)]
pub(crate) struct Claims {
    /// Disjoint pieces, none empty, by their first byte. A byte is in a piece
    /// iff it is claimed. Every claim is the union of adjacent pieces; a
    /// writer's claim is one piece.
    pieces: Mutex<BTreeMap<usize, Piece>>,
}

/// Bytes with the same users.
#[derive(Clone, Copy, Debug)]
struct Piece {
    end: usize,
    /// Readers, or `None` if there is one writer.
    readers: Option<usize>,
}

type Pieces = BTreeMap<usize, Piece>;

impl Claims {
    /// Claims a range that does not run backwards; an empty one is always to be
    /// had.
    ///
    /// Takes O(log n) for n claims, and as much again for each piece in the
    /// range.
    pub(crate) fn claim(&self, range: &Range<usize>, access: Access) -> Result<(), ClaimError> {
        let mut pieces = self.lock();
        let is_in_the_way = |piece: &Piece| access == Access::Write || piece.readers.is_none();
        let mut touched = overlapping(&pieces, range);
        if let Some((start, piece)) = touched.find(|(_, piece)| is_in_the_way(piece)) {
            let (asked, user) = (range.clone(), start..piece.end);
            return Err(match access {
                Access::Read => ClaimError::BeingWritten {
                    asked,
                    writer: user,
                },
                Access::Write => ClaimError::InUse { asked, user },
            });
        }
        drop(touched);
        if range.is_empty() {
            return Ok(());
        }
        match access {
            Access::Read => add_reader(&mut pieces, range),
            Access::Write => {
                let writer = Piece {
                    end: range.end,
                    readers: None,
                };
                pieces.insert(range.start, writer);
            }
        }
        Ok(())
    }

    /// Gives up a range that was claimed and not given up since.
    pub(crate) fn release(&self, range: &Range<usize>) {
        let mut pieces = self.lock();
        let claimed: Vec<_> = overlapping(&pieces, range)
            .map(|(start, _)| start)
            .collect();
        for start in claimed {
            let readers = pieces
                .get_mut(&start)
                .and_then(|piece| piece.readers.as_mut());
            match readers {
                Some(readers) if *readers > 1 => *readers -= 1,
                // The last reader, or the writer.
                _ => {
                    pieces.remove(&start);
                }
            }
        }
    }

    fn lock(&self) -> MutexGuard<'_, Pieces> {
        // Nothing in this file panics between two changes that belong together.
        self.pieces.lock().unwrap_or_else(PoisonError::into_inner)
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
        let readers = piece.readers.map(|readers| readers + 1);
        pieces.insert(start, Piece { readers, ..piece });
        unclaimed = piece.end;
    }
    insert_reader(pieces, unclaimed..range.end);
}

fn insert_reader(pieces: &mut Pieces, range: Range<usize>) {
    if !range.is_empty() {
        let piece = Piece {
            end: range.end,
            readers: Some(1),
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
mod tests {
    use proptest::prelude::*;

    use super::*;

    #[test]
    fn refusals_name_both_ranges() {
        let claims = Claims::default();
        claims.claim(&(10..20), Access::Write).unwrap();
        let text = |range, access| claims.claim(&range, access).unwrap_err().to_string();
        assert_eq!(
            text(15..30, Access::Read),
            "bytes 15..30 cannot be read while 10..20 are being written"
        );
        claims.claim(&(20..40), Access::Read).unwrap();
        assert_eq!(
            text(39..50, Access::Write),
            "bytes 39..50 cannot be written while 20..40 are in use"
        );
    }

    proptest! {
        /// A claim is had iff no byte of it is in the way of it, and nothing is
        /// left when all are given up.
        #[test]
        fn claims_are_as_if_every_byte_had_a_lock(
            steps in prop::collection::vec((0..40_usize, 0..12_usize, 0..4_u8), 1..100),
        ) {
            let claims = Claims::default();
            let mut held: Vec<(Range<usize>, Access)> = Vec::new();
            for (start, len, kind) in steps {
                let access = match kind {
                    0 => Access::Write,
                    1 | 2 => Access::Read,
                    _ if held.is_empty() => continue,
                    _ => {
                        let (range, _) = held.swap_remove(start % held.len());
                        claims.release(&range);
                        continue;
                    }
                };
                let range = start..start + len;
                let is_in_the_way = |(other, held): &(Range<usize>, Access)| {
                    let shared = range.start.max(other.start)..range.end.min(other.end);
                    !shared.is_empty() && (access == Access::Write || *held == Access::Write)
                };
                let is_free = !held.iter().any(is_in_the_way);
                prop_assert_eq!(claims.claim(&range, access).is_ok(), is_free);
                if is_free {
                    held.push((range, access));
                }
            }
            for (range, _) in held {
                claims.release(&range);
            }
            prop_assert!(claims.lock().is_empty());
        }
    }
}
