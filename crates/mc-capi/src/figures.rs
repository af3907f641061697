//! The numbers of a refusal.

/// The numbers of a refusal; 0 where it has none.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
#[repr(C)]
pub struct Figures {
    /// Bytes asked for.
    pub asked: u64,
    /// Bytes in holes.
    pub free: u64,
    /// Bytes of the largest hole, or a few more.
    pub largest_hole: u64,
    /// Bytes that the tenant has, where it was refused for its limit.
    pub used: u64,
    /// The most bytes that it may have.
    pub most: u64,
}
