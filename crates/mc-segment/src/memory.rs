//! The bytes behind a segment, as far as this process has them.

/// The bytes behind a segment.
#[derive(Clone, Debug)]
#[non_exhaustive]
pub enum Memory {
    /// Of another host: placed in, never touched.
    Remote,
}

impl Memory {
    /// Returns the bytes that there are, if they are within reach.
    pub(crate) fn len(&self) -> Option<u64> {
        match self {
            Self::Remote => None,
        }
    }
}
