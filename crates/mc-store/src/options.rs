//! What a store is made with.

use std::{fmt, str::FromStr, sync::Arc, time::Duration};

use serde::{Deserialize, Serialize};
use thiserror::Error;

use crate::{
    clock::Clock,
    compaction::{Compaction, NotABudget},
    copier::Copier,
    error::StoreOptionsError,
    journal::JournalOptions,
    policy::{Auto, Chained, Gdsf, Lru, Policy, ReuseAge, S3Fifo, TailFirst},
};

/// Limits and rules of a store.
///
/// More fields may come: begin with [`StoreOptions::default`] and change what
/// you need, as in `StoreOptions { has_checksums: true, ..Default::default() }`.
#[derive(Clone, Debug)]
pub struct StoreOptions {
    /// The most bytes of one replica of an object, all parts together.
    pub object_bytes_max: u64,
    /// The most bytes of a key, and of that of a parent.
    pub key_bytes_max: usize,
    /// The most pieces of one part, whatever a request allows.
    pub extents_max: u32,
    /// Who is worth least.
    pub policy: PolicyKind,
    /// How a policy's order becomes a hole.
    pub eviction: Eviction,
    /// How much a put may move so that less leaves.
    pub compaction: Compaction,
    /// Who copies what moves in memory that this process does not have; without
    /// one nothing moves there.
    pub copier: Option<Arc<dyn Copier>>,
    /// When objects leave before there is no room.
    pub watermarks: Option<Watermarks>,
    /// The most that is kept because of [`PutRequest::keep_until`], as a share of
    /// the bytes of the segments open to placement, at most 100. What comes
    /// beyond is as any other object.
    ///
    /// [`PutRequest::keep_until`]: crate::PutRequest::keep_until
    pub keep_percent: u8,
    /// The longest time that a timed lease lasts from the call that takes it.
    pub lease_max: Duration,
    /// The time that a put has until its commit, unless its request says so.
    pub put_deadline: Duration,
    /// How long after its deadline the space of a put stays taken, since a
    /// writer that does not know may still write.
    pub put_margin: Duration,
    /// The most blocks that the search for one hole looks at around old
    /// objects before it takes the first that will do, wherever it is.
    pub search_blocks_max: usize,
    /// How the journal of a store that is [opened](crate::ObjectStore::open) is
    /// kept; the others have none.
    pub journal: JournalOptions,
    /// Whether a checksum of each object's bytes is taken at its commit, where
    /// this process can read them, and compared when they are read.
    pub has_checksums: bool,
    /// The time that leases and ages are counted in.
    pub clock: Clock,
}

/// The policies that come with the crate.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
#[non_exhaustive]
pub enum PolicyKind {
    /// [`Lru`].
    Lru,
    /// [`TailFirst`].
    TailFirst,
    /// [`S3Fifo`].
    S3Fifo,
    /// [`Gdsf`].
    Gdsf,
    /// [`ReuseAge`].
    ReuseAge,
    /// [`Auto`].
    #[default]
    Auto,
}

/// Text that names no policy.
#[derive(Clone, Debug, PartialEq, Eq, Error)]
#[error("{name:?} is not a policy; use lru, tail-first, s3-fifo, gdsf, reuse-age or auto")]
pub struct PolicyKindError {
    /// The text.
    pub name: Box<str>,
}

impl PolicyKind {
    /// All policies that come with the crate.
    pub const ALL: [Self; 6] = [
        Self::Lru,
        Self::TailFirst,
        Self::S3Fifo,
        Self::Gdsf,
        Self::ReuseAge,
        Self::Auto,
    ];

    /// Returns the name, which [`FromStr`] takes.
    #[must_use]
    pub const fn name(self) -> &'static str {
        match self {
            Self::Lru => "lru",
            Self::TailFirst => "tail-first",
            Self::S3Fifo => "s3-fifo",
            Self::Gdsf => "gdsf",
            Self::ReuseAge => "reuse-age",
            Self::Auto => "auto",
        }
    }

    pub(crate) fn policy(self) -> Box<dyn Policy> {
        match self {
            Self::Lru => Box::new(Chained::new(Lru::default())),
            Self::TailFirst => Box::new(Chained::new(TailFirst::default())),
            Self::S3Fifo => Box::new(Chained::new(S3Fifo::default())),
            Self::Gdsf => Box::new(Chained::new(Gdsf::default())),
            Self::ReuseAge => Box::new(Chained::new(ReuseAge::default())),
            Self::Auto => Box::new(Chained::new(Auto::default())),
        }
    }
}

impl fmt::Display for PolicyKind {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.pad(self.name())
    }
}

impl FromStr for PolicyKind {
    type Err = PolicyKindError;

    fn from_str(text: &str) -> Result<Self, PolicyKindError> {
        let mut all = Self::ALL.into_iter();
        all.find(|policy| policy.name() == text)
            .ok_or_else(|| PolicyKindError { name: text.into() })
    }
}

/// How a policy's order becomes a hole.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[non_exhaustive]
pub enum Eviction {
    /// The oldest where their places alone make the hole, otherwise the
    /// neighbors that are worth least together: about the bytes of the request
    /// leave, whatever is stored.
    #[default]
    Window,
    /// All in the policy's order until a hole appears. A large object may
    /// empty the store.
    InOrder,
}

/// Shares of the bytes of the segments open to placement.
///
/// When a put makes the live bytes in them exceed the high share, objects
/// leave until no more than the low share is left, some with each put.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Watermarks {
    /// Above the low one, at most 100.
    pub high_percent: u8,
    /// Below the high one.
    pub low_percent: u8,
}

impl Default for StoreOptions {
    /// Returns no limit on objects, keys of up to 4096 bytes, at most 1024
    /// pieces, [`Auto`], no moves, no copier, no watermarks, a quarter kept, timed
    /// leases of at most an hour, ten minutes for a put and one more until its
    /// space is used again, 4096 blocks, a journal that survives the process, no
    /// checksums, and the clock of the system.
    fn default() -> Self {
        Self {
            object_bytes_max: u64::MAX,
            key_bytes_max: 4096,
            extents_max: 1024,
            policy: PolicyKind::default(),
            eviction: Eviction::default(),
            compaction: Compaction::default(),
            copier: None,
            watermarks: None,
            keep_percent: 25,
            lease_max: Duration::from_secs(60 * 60),
            put_deadline: Duration::from_secs(10 * 60),
            put_margin: Duration::from_secs(60),
            search_blocks_max: 4096,
            journal: JournalOptions::default(),
            has_checksums: false,
            clock: Clock::default(),
        }
    }
}

impl StoreOptions {
    pub(crate) fn validate(&self) -> Result<(), StoreOptionsError> {
        if let Some(Watermarks {
            high_percent,
            low_percent,
        }) = self.watermarks
            && (low_percent >= high_percent || high_percent > 100)
        {
            return Err(StoreOptionsError::Watermarks {
                low_percent,
                high_percent,
            });
        }
        if self.keep_percent > 100 {
            return Err(StoreOptionsError::Keep {
                keep_percent: self.keep_percent,
            });
        }
        if !self.compaction.is_valid() {
            let moved_per_placed = NotABudget(self.compaction.moved_per_placed);
            return Err(StoreOptionsError::Compaction { moved_per_placed });
        }
        if self.extents_max == 0 {
            return Err(StoreOptionsError::NoExtents);
        }
        Ok(())
    }
}

impl Watermarks {
    /// Returns the bytes above which eviction begins, of `capacity`.
    pub(crate) fn high_bytes(self, capacity: u64) -> u64 {
        share(capacity, self.high_percent)
    }

    /// Returns the bytes at which it ends.
    pub(crate) fn low_bytes(self, capacity: u64) -> u64 {
        share(capacity, self.low_percent)
    }
}

/// Returns a share of some bytes, in percent up to 100.
pub(crate) fn share(bytes: u64, percent: u8) -> u64 {
    // At most `bytes`, as shares are at most 100.
    u64::try_from(u128::from(bytes) * u128::from(percent) / 100).unwrap_or(u64::MAX)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_are_parsed_and_others_are_refused_with_those_accepted() {
        for policy in PolicyKind::ALL {
            assert_eq!(policy.to_string().parse(), Ok(policy));
        }
        let refused = "s3_fifo".parse::<PolicyKind>().unwrap_err().to_string();
        assert!(refused.contains("\"s3_fifo\""), "{refused}");
        for policy in PolicyKind::ALL {
            assert!(refused.contains(policy.name()), "{refused}");
        }
    }
}
