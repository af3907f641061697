//! What a pool begins with.

/// What a pool holds when it is made.
#[cfg_attr(feature = "serde", derive(serde::Serialize, serde::Deserialize))]
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum Contents {
    /// Zeros.
    Zeroed,
    /// The bytes that an earlier pool left in the same file.
    Kept,
    /// Whatever the owner of the memory left there.
    Foreign,
}
