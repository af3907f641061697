//! What a store is made with.

use serde::{Deserialize, Serialize};

use super::{clock::Clock, error::StoreOptionsError, evict::Eviction};

/// Limits and rules of a store.
#[derive(Clone, Debug)]
pub struct StoreOptions {
    /// The most bytes of one replica of an object.
    pub object_bytes_max: u64,
    /// The most bytes of a key.
    pub key_bytes_max: usize,
    /// Who leaves when a put finds no room.
    pub eviction: Eviction,
    /// When objects leave before there is no room.
    pub watermarks: Option<Watermarks>,
    /// The time that leases and ages are counted in.
    pub clock: Clock,
}

/// Shares of the bytes of the segments open to placement.
///
/// When a put makes the live bytes exceed the high share, the oldest objects
/// leave until no more than the low share is left.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Watermarks {
    /// Above the low one, at most 100.
    pub high_percent: u8,
    /// Below the high one.
    pub low_percent: u8,
}

impl Default for StoreOptions {
    /// Returns no limit on objects, keys of up to 4096 bytes, eviction by
    /// windows, no watermarks, and the clock of the system.
    fn default() -> Self {
        Self {
            object_bytes_max: u64::MAX,
            key_bytes_max: 4096,
            eviction: Eviction::default(),
            watermarks: None,
            clock: Clock::default(),
        }
    }
}

impl StoreOptions {
    pub(super) fn validate(&self) -> Result<(), StoreOptionsError> {
        match self.watermarks {
            Some(Watermarks {
                high_percent,
                low_percent,
            }) if low_percent >= high_percent || high_percent > 100 => {
                Err(StoreOptionsError::Watermarks {
                    low_percent,
                    high_percent,
                })
            }
            Some(_) | None => Ok(()),
        }
    }
}
