//! The integers of offsets and limits.

use core::fmt::{Debug, Display};

use nonmax::{NonMaxU16, NonMaxU32};

/// The type that holds the offsets of an [`Allocator`](crate::Allocator) and
/// could number its allocations: `u32` unless named, or `u16`.
///
/// Under `u16` at most 65,531 allocations can be live, and offsets beyond
/// 65,535 are cut to their low 16 bits.
pub trait NodeIndex: Clone + Copy + Default {
    /// The same integers without [`MAX`](Self::MAX).
    type NonMax: NodeIndexNonMax + TryFrom<Self> + Into<Self>;

    /// The largest value of the type.
    const MAX: u32;

    /// Returns `val` in this type, its high bits cut off.
    fn from_u32(val: u32) -> Self;

    /// Returns the value as a machine word.
    fn to_usize(self) -> usize;
}

/// A [`NodeIndex`] that cannot be its type's largest value, such as
/// [`NonMaxU32`] for `u32`.
pub trait NodeIndexNonMax: Clone + Copy + PartialEq + Default + Debug + Display {
    /// Returns the value as a machine word.
    fn to_usize(self) -> usize;
}

impl NodeIndex for u32 {
    type NonMax = NonMaxU32;
    const MAX: u32 = Self::MAX;

    #[inline]
    fn from_u32(val: u32) -> Self {
        val
    }

    #[inline]
    fn to_usize(self) -> usize {
        self as usize
    }
}

impl NodeIndex for u16 {
    type NonMax = NonMaxU16;
    const MAX: u32 = Self::MAX as u32;

    #[inline]
    #[expect(
        clippy::cast_possible_truncation,
        reason = "the high bits are documented as cut off"
    )]
    fn from_u32(val: u32) -> Self {
        val as Self
    }

    #[inline]
    fn to_usize(self) -> usize {
        self.into()
    }
}

impl NodeIndexNonMax for NonMaxU32 {
    #[inline]
    fn to_usize(self) -> usize {
        self.get() as usize
    }
}

impl NodeIndexNonMax for NonMaxU16 {
    #[inline]
    fn to_usize(self) -> usize {
        self.get().into()
    }
}
