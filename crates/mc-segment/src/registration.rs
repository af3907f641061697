//! Cutting a range of memory into parts that a device registers.
//!
//! Devices limit what one registration may cover, and a transfer may not cross
//! from one registration into the next. A range is therefore cut where the
//! pages are, and objects are placed within the parts.

use std::ops::Range;

use serde::{Deserialize, Serialize};
use thiserror::Error;

/// Parts of a range at most: each has an allocator of its own.
const CHUNKS_MAX: u64 = 1 << 16;

/// What a device accepts as one registration.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct RegistrationLimit {
    /// The most bytes of one registration; at least `align`.
    pub max_bytes: u64,
    /// Chunks are cut at addresses that are multiples of this power of two,
    /// such as the page size.
    pub align: u64,
}

/// Why a range could not be cut into registrations.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Error)]
#[non_exhaustive]
pub enum RegistrationError {
    /// The alignment is not a power of two.
    #[error("the alignment of {align} bytes is not a power of two")]
    AlignNotPowerOfTwo {
        /// The alignment asked for, in bytes.
        align: u64,
    },
    /// A registration could not reach from one border to the next.
    #[error("a registration limit of {max_bytes} bytes is below the alignment of {align}")]
    LimitBelowAlign {
        /// The limit asked for.
        max_bytes: u64,
        /// The alignment asked for, in bytes.
        align: u64,
    },
    /// The range has no bytes.
    #[error("0 bytes at {base} to register; at least 1 is needed")]
    ZeroSize {
        /// Address of the range.
        base: u64,
    },
    /// The range passes the end of the address space.
    #[error("{size} bytes at {base} pass the end of the address space")]
    Overflow {
        /// Address of the range.
        base: u64,
        /// Its bytes.
        size: u64,
    },
    /// A border would be inside a page, half of which no device registers.
    #[error(
        "the border at {border} is inside a page of {page_bytes} bytes; a limit of {nearest_bytes} bytes, cut at multiples of a page, has none there"
    )]
    BorderInPage {
        /// Address of the first such border.
        border: u64,
        /// Bytes of a page of the memory.
        page_bytes: u64,
        /// The limit nearest to the one asked for that can be kept with
        /// `page_bytes` as its alignment.
        nearest_bytes: u64,
    },
    /// Addresses that are multiples of a page are inside pages of the memory.
    #[error(
        "the base {base} is {offset} bytes into a page of {page_bytes} bytes, so no border can be at the end of one; the nearest base that allows it is {nearest_base}"
    )]
    BaseInPage {
        /// First address of the segment.
        base: u64,
        /// By how many bytes addresses and pages are out of step.
        offset: u64,
        /// Bytes of a page of the memory.
        page_bytes: u64,
        /// The nearest base that is not out of step.
        nearest_base: u64,
    },
    /// The limit cuts the range into too many parts.
    #[error("{chunks} registrations, more than {chunks_max}; raise the limit of one")]
    TooManyChunks {
        /// The least number of parts.
        chunks: u64,
        /// The most that a range is cut into.
        chunks_max: u64,
    },
}

/// Returns the fewest address ranges that cover the `size` bytes from `base`
/// on, none larger than the limit, cut at multiples of its alignment.
///
/// Every byte is in exactly one of them, and they are in address order. Only
/// the ends of the whole range may be unaligned.
///
/// # Errors
///
/// A [`RegistrationError`] with the values at fault; nothing is ever cut off.
///
/// # Examples
///
/// ```
/// use mc_segment::{RegistrationLimit, registration_chunks};
///
/// let limit = RegistrationLimit { max_bytes: 1000, align: 256 };
/// let chunks = registration_chunks(100, 2000, limit)?;
/// assert_eq!(chunks, [100..1024, 1024..1792, 1792..2100]);
/// # Ok::<(), mc_segment::RegistrationError>(())
/// ```
pub fn registration_chunks(
    base: u64,
    size: u64,
    limit: RegistrationLimit,
) -> Result<Vec<Range<u64>>, RegistrationError> {
    let RegistrationLimit { max_bytes, align } = limit;
    if !align.is_power_of_two() {
        return Err(RegistrationError::AlignNotPowerOfTwo { align });
    }
    if max_bytes < align {
        return Err(RegistrationError::LimitBelowAlign { max_bytes, align });
    }
    if size == 0 {
        return Err(RegistrationError::ZeroSize { base });
    }
    let Some(end) = base.checked_add(size) else {
        return Err(RegistrationError::Overflow { base, size });
    };
    // Every part but the first and the last has this many bytes.
    let whole_bytes = max_bytes & !(align - 1);
    let chunks_least = size / whole_bytes;
    if chunks_least > CHUNKS_MAX {
        return Err(RegistrationError::TooManyChunks {
            chunks: chunks_least,
            chunks_max: CHUNKS_MAX,
        });
    }
    let mut chunks = Vec::new();
    let mut start = base;
    while start < end {
        // As `max_bytes` is at least `align`, the border is behind `start`.
        let border = match start.checked_add(max_bytes) {
            Some(reach) if reach < end => reach & !(align - 1),
            _ => end,
        };
        chunks.push(start..border);
        start = border;
    }
    Ok(chunks)
}

/// Checks that no border between two registrations is inside a page of the
/// memory, whose first page begins `start` bytes before the segment.
pub(crate) fn check_pages(
    ranges: &[Range<u64>],
    limit: RegistrationLimit,
    start: u64,
    page_bytes: u64,
) -> Result<(), RegistrationError> {
    let Some(base) = ranges.first().map(|range| range.start) else {
        return Ok(());
    };
    // Wraps around where the segment begins further into the memory than the
    // addresses; what is left of a page is the same.
    let into_page = |address: u64| address.wrapping_sub(base).wrapping_add(start) % page_bytes;
    let borders = || ranges.iter().skip(1).map(|range| range.start);
    let Some(border) = borders().find(|&border| into_page(border) != 0) else {
        return Ok(());
    };
    // A page has a power of two bytes, so that wrapping around does no harm.
    let offset = into_page(0);
    if offset == 0 {
        let pages = (limit.max_bytes / page_bytes).max(1);
        return Err(RegistrationError::BorderInPage {
            border,
            page_bytes,
            nearest_bytes: pages * page_bytes,
        });
    }
    Err(RegistrationError::BaseInPage {
        base,
        offset,
        page_bytes,
        nearest_base: nearest_in_step(base, offset, page_bytes),
    })
}

/// Returns the base nearest to one that is out of step by `offset` bytes: those
/// with the same position in a page as the start of the segment.
fn nearest_in_step(base: u64, offset: u64, page_bytes: u64) -> u64 {
    let above = base.saturating_add(offset);
    let below = base.checked_sub(page_bytes - offset);
    match below {
        Some(below) if page_bytes - offset < offset => below,
        _ => above,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[track_caller]
    fn refused(base: u64, size: u64, max_bytes: u64, align: u64) -> RegistrationError {
        registration_chunks(base, size, RegistrationLimit { max_bytes, align }).unwrap_err()
    }

    #[test]
    fn refusals_name_the_values() {
        let text = |error: RegistrationError| error.to_string();
        assert_eq!(
            text(refused(0, 1, 4096, 100)),
            "the alignment of 100 bytes is not a power of two"
        );
        assert_eq!(
            text(refused(0, 1, 100, 4096)),
            "a registration limit of 100 bytes is below the alignment of 4096"
        );
        assert_eq!(
            text(refused(7, 0, 4096, 4096)),
            "0 bytes at 7 to register; at least 1 is needed"
        );
        assert_eq!(
            text(refused(u64::MAX, 2, 4096, 4096)),
            "2 bytes at 18446744073709551615 pass the end of the address space"
        );
        assert_eq!(
            text(refused(0, 1 << 40, 4096, 4096)),
            "268435456 registrations, more than 65536; raise the limit of one"
        );
    }
}
