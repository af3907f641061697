//! Bytes that tell whose they are.

/// The fewest bytes of a pattern.
pub(crate) const PATTERN_MIN: u64 = 16;

/// Returns the bytes of an object: its number, its version, and a stream that
/// follows from both.
pub(crate) fn pattern(number: u64, version: u64, size: u64) -> Vec<u8> {
    let mut word = number.wrapping_mul(0x9E37_79B9_7F4A_7C15) ^ version;
    let stream = std::iter::repeat_with(|| {
        word = word.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1);
        word.to_be_bytes()
    });
    let words = [number.to_be_bytes(), version.to_be_bytes()];
    let bytes = words.into_iter().chain(stream).flatten();
    bytes.take(usize::try_from(size).unwrap()).collect()
}

/// Returns the number and the version whose pattern some bytes are.
#[track_caller]
pub(crate) fn owner(bytes: &[u8]) -> (u64, u64) {
    let word = |at: usize| u64::from_be_bytes(bytes[at..at + 8].try_into().unwrap());
    let (number, version) = (word(0), word(8));
    let expected = pattern(number, version, bytes.len() as u64);
    let place = bytes.iter().zip(&expected).position(|(a, b)| a != b);
    assert_eq!(
        place, None,
        "bytes of {number}, version {version}, are another's"
    );
    (number, version)
}
