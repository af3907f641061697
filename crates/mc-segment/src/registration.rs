//! Cutting a range of memory into parts that a device registers.
//!
//! Devices limit what one registration may cover, and a transfer may not cross
//! from one registration into the next. A range is therefore cut where the
//! pages are, and objects are placed within the parts.

use std::ops::Range;

use serde::{Deserialize, Serialize};

use crate::error::RegistrationError;

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
        assert_eq!(text(refused(7, 0, 4096, 4096)), "no bytes at 7 to register");
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
