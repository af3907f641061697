//! What a segment is: its identity, where it can be reached, and its memory.

use std::{fmt, str::FromStr};

use mc_offset::{Fit, Options};
use serde::{Deserialize, Deserializer, Serialize, Serializer, de};

use crate::{error::SegmentIdError, memory::Memory, registration::RegistrationLimit};

/// The identity of a segment, unique among all segments of a store.
///
/// Printed, parsed and serialized as 32 hexadecimal digits.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct SegmentId(pub u128);

/// A range of memory that objects are placed in, local or remote.
#[derive(Debug)]
pub struct Segment {
    pub(crate) info: SegmentInfo,
    pub(crate) memory: Memory,
}

/// What is known about a segment without its memory.
///
/// Mounting a segment again compares every field.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct SegmentInfo {
    /// The identity.
    pub id: SegmentId,
    /// The incarnation of the memory, which its owner counts up each time that
    /// the bytes in it are lost; 0 if that is not known.
    #[serde(default)]
    pub epoch: u64,
    /// The name; several segments may share one, and two replicas of an object
    /// are never placed under the same name.
    pub name: String,
    /// The host whose memory it is, for placement near a writer; empty if
    /// that is not known.
    pub host: String,
    /// Where a transport reaches the segment. Address ranges on one endpoint
    /// do not overlap.
    pub endpoint: String,
    /// How a transport reaches it, such as `tcp` or `rdma`.
    pub protocol: String,
    /// The address of the first byte, from which descriptors count. The base of
    /// a file is 0, unless several share an endpoint.
    pub base: u64,
    /// Length in bytes.
    pub size: u64,
    /// How objects are placed inside.
    pub options: SegmentOptions,
}

/// How objects are placed inside a segment.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct SegmentOptions {
    /// Bytes to whose multiples objects are charged and at whose multiples they
    /// are placed; a power of two that divides base and size.
    pub granule: u64,
    /// The rule by which an object is given a hole.
    pub fit: Fit,
    /// The most pieces of objects that may be live at once, in each
    /// registration chunk.
    pub max_allocations: Option<u32>,
    /// The most bytes that a device registers at once; no object straddles two
    /// registrations.
    pub registration: Option<RegistrationLimit>,
}

impl Segment {
    /// Makes a segment of another host's memory, which is never touched.
    #[must_use]
    pub fn remote(info: SegmentInfo) -> Self {
        Self {
            info,
            memory: Memory::Remote,
        }
    }

    /// Makes a segment of memory that this process reads and writes.
    #[must_use]
    pub fn local(info: SegmentInfo, memory: Memory) -> Self {
        Self { info, memory }
    }

    /// Returns what is known about the segment.
    #[must_use]
    pub fn info(&self) -> &SegmentInfo {
        &self.info
    }
}

impl SegmentInfo {
    /// Returns the defaults for `size` bytes from `base` on: no host and no
    /// endpoint, protocol `tcp`, default options.
    pub fn new(id: SegmentId, name: impl Into<String>, base: u64, size: u64) -> Self {
        Self {
            id,
            epoch: 0,
            name: name.into(),
            host: String::new(),
            endpoint: String::new(),
            protocol: "tcp".to_owned(),
            base,
            size,
            options: SegmentOptions::default(),
        }
    }

    /// Returns the bytes that a request of `size` takes from the holes of the
    /// segment: `size` rounded up as the options say, or `None` if no request
    /// can have it.
    ///
    /// # Panics
    ///
    /// May panic for options that no segment can be mounted with.
    #[must_use]
    pub fn charged_size(&self, size: u64) -> Option<u64> {
        let options = Options {
            granule: self.options.granule,
            fit: self.options.fit,
            ..Options::new(self.size)
        };
        options.charged_size(size)
    }
}

impl Default for SegmentOptions {
    /// Returns the options of [`mc_offset::Options::new`] and no registration
    /// limit.
    fn default() -> Self {
        Self {
            granule: 1,
            fit: Fit::default(),
            max_allocations: None,
            registration: None,
        }
    }
}

impl fmt::Display for SegmentId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{:032x}", self.0)
    }
}

impl FromStr for SegmentId {
    type Err = SegmentIdError;

    fn from_str(text: &str) -> Result<Self, SegmentIdError> {
        let is_whole = text.len() == 32 && text.bytes().all(|byte| byte.is_ascii_hexdigit());
        let number = is_whole.then(|| u128::from_str_radix(text, 16).ok());
        number.flatten().map(Self).ok_or(SegmentIdError {
            length_bytes: text.len(),
        })
    }
}

impl Serialize for SegmentId {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.collect_str(self)
    }
}

impl<'de> Deserialize<'de> for SegmentId {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        String::deserialize(deserializer)?
            .parse()
            .map_err(de::Error::custom)
    }
}
