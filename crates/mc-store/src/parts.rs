//! The parts of an object: how they lie in the space of a replica.
//!
//! ```text
//!  replica   │ part 0 │pad│ part 1  │pad│ part 2 │      each part begins at a multiple of the alignment
//!  object    │ part 0 │ part 1  │ part 2 │              what is read, written and summed up
//! ```
//!
//! One placement holds all parts. So an object of several parts is reserved,
//! moved, evicted and lost exactly as one of a single part, and never half.

use std::{iter::FusedIterator, ops::Range};

use mc_segment::{BufferDescriptor, BytesError, Extent, PlacedBuffer};

use crate::error::PutError;

/// Where the parts of an object are in the space of a replica.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Parts<'a> {
    /// Bytes of each part; none stand for one part that has all bytes.
    sizes: &'a [u64],
    align: u64,
    /// Bytes of a replica.
    placed: u64,
}

/// The parts of an object as ranges in the space of a replica.
#[derive(Clone, Debug)]
pub(crate) struct Spans<'a> {
    parts: Parts<'a>,
    /// The next part, and the end of the one before it.
    next: usize,
    end: u64,
}

/// Returns the bytes of a replica that holds all parts.
pub(crate) fn placed_bytes(sizes: &[u64], align: u64) -> Result<u64, PutError> {
    let mut end = 0_u64;
    for (part, &size) in sizes.iter().enumerate() {
        if size == 0 {
            return Err(PutError::EmptyPart { part });
        }
        let start = end.checked_next_multiple_of(align);
        let sum = start.and_then(|start| start.checked_add(size));
        end = sum.ok_or(PutError::PartsTooLarge { parts: sizes.len() })?;
    }
    Ok(end)
}

impl<'a> Parts<'a> {
    pub(crate) fn new(sizes: &'a [u64], align: u64, placed: u64) -> Self {
        Self {
            sizes,
            align,
            placed,
        }
    }

    /// Returns whether the parts take exactly the bytes of a replica.
    pub(crate) fn fill(&self) -> bool {
        self.sizes.is_empty() || placed_bytes(self.sizes, self.align) == Ok(self.placed)
    }

    /// Returns the bytes of all parts.
    pub(crate) fn useful_size(self) -> u64 {
        match self.sizes {
            [] => self.placed,
            // No more than the bytes of a replica, so that nothing overflows.
            sizes => sizes.iter().sum(),
        }
    }

    /// Returns the bytes of each part.
    pub(crate) fn sizes(self) -> impl ExactSizeIterator<Item = u64> + 'a {
        self.spans().map(|span| span.end - span.start)
    }

    pub(crate) fn spans(self) -> Spans<'a> {
        Spans {
            parts: self,
            next: 0,
            end: 0,
        }
    }

    /// Returns where in a replica some bytes of the object are: pairs of an
    /// offset and the bytes that are there, counted from `offset` on.
    pub(crate) fn pieces(
        self,
        offset: u64,
        len: usize,
    ) -> Result<impl Iterator<Item = (u64, Range<usize>)> + 'a, BytesError> {
        let size = self.useful_size();
        let wanted = offset.checked_add(len as u64).filter(|&end| end <= size);
        let end = wanted.ok_or(BytesError::OutOfBuffer {
            offset,
            len: len as u64,
            size,
        })?;
        let mut before = 0;
        Ok(self.spans().filter_map(move |span| {
            let start = before;
            before += span.end - span.start;
            let (from, to) = (offset.max(start), end.min(before));
            // Within the slice that is copied, so that both are offsets in memory.
            let within = |at: u64| usize::try_from(at - offset).unwrap_or(usize::MAX);
            (from < to).then(|| (span.start + (from - start), within(from)..within(to)))
        }))
    }

    /// Returns where each part of a replica is.
    pub(crate) fn describe(self, replica: &PlacedBuffer) -> Vec<BufferDescriptor> {
        let whole = replica.descriptor();
        if self.sizes.is_empty() {
            return vec![whole];
        }
        self.spans().map(|span| describe(&whole, span)).collect()
    }
}

/// Returns the descriptor of a part of a buffer.
fn describe(whole: &BufferDescriptor, span: Range<u64>) -> BufferDescriptor {
    let mut extents = Vec::new();
    let mut before = 0;
    for extent in &whole.extents {
        let start = before;
        before += extent.size;
        let (from, to) = (span.start.max(start), span.end.min(before));
        if from < to {
            extents.push(Extent {
                address: extent.address + (from - start),
                size: to - from,
            });
        }
    }
    BufferDescriptor {
        segment: whole.segment,
        epoch: whole.epoch,
        address: extents.first().map_or(0, |extent| extent.address),
        size: span.end - span.start,
        protocol: whole.protocol.clone(),
        endpoint: whole.endpoint.clone(),
        extents,
    }
}

impl Iterator for Spans<'_> {
    type Item = Range<u64>;

    fn next(&mut self) -> Option<Range<u64>> {
        let Parts {
            sizes,
            align,
            placed,
        } = self.parts;
        let span = match sizes {
            [] if self.next == 0 => 0..placed,
            sizes => {
                let size = sizes.get(self.next)?;
                // As it was placed, it does not overflow.
                let start = self.end.next_multiple_of(align);
                start..start + size
            }
        };
        self.next += 1;
        self.end = span.end;
        Some(span)
    }

    fn size_hint(&self) -> (usize, Option<usize>) {
        let left = self.parts.sizes.len().max(1) - self.next;
        (left, Some(left))
    }
}

impl ExactSizeIterator for Spans<'_> {}
impl FusedIterator for Spans<'_> {}

#[cfg(test)]
mod tests {
    use super::*;

    #[track_caller]
    fn check(sizes: &[u64], align: u64, spans: &[Range<u64>]) {
        let placed = placed_bytes(sizes, align).unwrap();
        let parts = Parts::new(sizes, align, placed);
        assert!(parts.fill());
        assert_eq!(parts.spans().len(), spans.len());
        assert_eq!(parts.spans().collect::<Vec<_>>(), spans);
        assert_eq!(placed, spans.last().unwrap().end);
    }

    #[test]
    fn parts_begin_at_multiples_of_the_alignment() {
        check(&[5], 4, std::slice::from_ref(&(0..5)));
        check(&[5, 7, 1], 1, &[0..5, 5..12, 12..13]);
        check(&[5, 8, 1], 4, &[0..5, 8..16, 16..17]);
    }

    #[test]
    fn bytes_of_the_object_skip_what_is_between_parts() {
        let parts = Parts::new(&[5, 8, 1], 4, 17);
        let pieces = |offset, len| parts.pieces(offset, len).map(Iterator::collect::<Vec<_>>);
        assert_eq!(
            pieces(0, 14).unwrap(),
            [(0, 0..5), (8, 5..13), (16, 13..14)]
        );
        assert_eq!(pieces(4, 2).unwrap(), [(4, 0..1), (8, 1..2)]);
        assert_eq!(pieces(14, 0).unwrap(), []);
        assert!(matches!(
            pieces(14, 1).unwrap_err(),
            BytesError::OutOfBuffer { size: 14, .. }
        ));
    }

    #[test]
    fn parts_that_make_no_sense_are_refused() {
        let refusal = |sizes| placed_bytes(sizes, 1).unwrap_err();
        assert_eq!(refusal(&[1, 0]), PutError::EmptyPart { part: 1 });
        assert_eq!(
            refusal(&[1, u64::MAX]),
            PutError::PartsTooLarge { parts: 2 }
        );
        assert_eq!(
            placed_bytes(&[u64::MAX - 5, 1], 1 << 40),
            Err(PutError::PartsTooLarge { parts: 2 })
        );
    }
}
