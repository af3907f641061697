//! Objects in chunks, so that no task keeps its thread for long.

use tokio::task::yield_now;

/// Bytes that are copied or hashed before others have their turn: a fraction of
/// a millisecond.
const CHUNK_BYTES: usize = 1 << 20;

/// Returns offsets and lengths of the chunks of so many bytes.
pub(crate) fn chunks(bytes: u64) -> impl Iterator<Item = (u64, usize)> {
    (0..bytes).step_by(CHUNK_BYTES).map(move |offset| {
        let left = usize::try_from(bytes - offset).unwrap_or(usize::MAX);
        (offset, left.min(CHUNK_BYTES))
    })
}

/// Returns the CRC-32 of so many bytes, which are copied out from an offset on;
/// nothing if that fails.
pub(crate) async fn checksum(
    bytes: u64,
    copy: impl Fn(u64, &mut [u8]) -> Option<()>,
) -> Option<u32> {
    let mut chunk = Vec::new();
    let mut hasher = crc32fast::Hasher::new();
    for (offset, len) in chunks(bytes) {
        chunk.resize(len, 0);
        copy(offset, &mut chunk)?;
        hasher.update(&chunk);
        yield_now().await;
    }
    Some(hasher.finalize())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn chunks_cover_all_bytes_once() {
        for bytes in [0, 1, (1 << 20) - 1, 1 << 20, (1 << 20) + 1, 5 << 20] {
            let mut end = 0;
            for (offset, len) in chunks(bytes) {
                assert_eq!(offset, end);
                assert!(0 < len && len <= CHUNK_BYTES);
                end += len as u64;
            }
            assert_eq!(end, bytes);
        }
    }
}
