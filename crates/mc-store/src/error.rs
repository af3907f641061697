//! Why a store refuses.

use thiserror::Error;

use mc_segment::PlaceError;

/// Why an object was not put; nothing has changed but what was evicted in vain.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Error)]
#[non_exhaustive]
pub enum PutError {
    /// The key is stored.
    #[error("the key is stored")]
    Exists,
    /// Another put of the key is neither committed nor dropped.
    #[error("the key is being put")]
    InFlight,
    /// The object is larger than the options allow.
    #[error("an object of {size} bytes is larger than the {object_bytes_max} that are allowed")]
    ObjectTooLarge {
        /// Bytes of the object.
        size: u64,
        /// The most that the options allow.
        object_bytes_max: u64,
    },
    /// The key is longer than the options allow.
    #[error("a key of {key_bytes} bytes is longer than the {key_bytes_max} that are allowed")]
    KeyTooLong {
        /// Bytes of the key.
        key_bytes: usize,
        /// The most that the options allow.
        key_bytes_max: usize,
    },
    /// There is no room, even after evicting, or the request makes no sense.
    #[error("the object cannot be placed")]
    Place(#[from] PlaceError),
}

/// Why an object was not removed; nothing has changed.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Error)]
#[non_exhaustive]
pub enum RemoveError {
    /// No object is stored under the key.
    #[error("the key is not stored")]
    NotStored,
    /// The object is pinned.
    #[error("the object is pinned")]
    Pinned,
    /// A lease of the object is held or has not expired.
    #[error("the object is leased")]
    Leased,
}

/// Why options make no store.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Error)]
#[non_exhaustive]
pub enum StoreOptionsError {
    /// The watermarks are not in order.
    #[error(
        "watermarks of {low_percent} and {high_percent} percent; the low one must be below the high one, and that at most 100"
    )]
    Watermarks {
        /// The low one.
        low_percent: u8,
        /// The high one.
        high_percent: u8,
    },
}
