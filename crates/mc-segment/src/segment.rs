//! What a segment is: its name, where it can be reached, and its memory.

use std::collections::BTreeMap;

use mc_offset::{Fit, Options};
use serde::{Deserialize, Serialize};

use crate::{
    growing::{Growing, UnknownFields},
    id::SegmentId,
    memory::Memory,
    registration::RegistrationLimit,
};

/// A range of memory that objects are placed in, local or remote.
#[derive(Debug)]
pub struct Segment {
    pub(crate) info: SegmentInfo,
    pub(crate) memory: Memory,
}

/// What is known about a segment without its memory.
///
/// Mounting a segment again compares every field but the attributes and the
/// fields that are not known, and so does `==`. Fields that a newer version has
/// written are read, and written again.
#[derive(Clone, Debug, Serialize, Deserialize)]
#[serde(from = "Growing<Fields>", into = "Growing<Fields>")]
pub struct SegmentInfo {
    /// The identity.
    pub id: SegmentId,
    /// The incarnation of the memory, which its owner counts up each time that
    /// the bytes in it are lost; 0 if that is not known.
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
    /// Whatever else its owner says about it: bytes by name, kept and not looked
    /// at. Where a segment is mounted again, those of the first time stay.
    pub attributes: BTreeMap<String, Vec<u8>>,
    /// Fields of a newer version; none in a segment that is made here.
    pub unknown: UnknownFields,
}

/// The fields of a segment as they are serialized.
#[derive(Clone, Debug, Serialize, Deserialize)]
struct Fields {
    id: SegmentId,
    #[serde(default)]
    epoch: u64,
    name: String,
    host: String,
    endpoint: String,
    protocol: String,
    base: u64,
    size: u64,
    options: Growing<SegmentOptions>,
    #[serde(default)]
    attributes: BTreeMap<String, Vec<u8>>,
}

/// How objects are placed inside a segment.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct SegmentOptions {
    /// Sizes are rounded up to multiples of so many bytes, and places begin at
    /// such multiples from the base on: any number from 1 on that divides the
    /// size, and the base too if it is a power of two.
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
            attributes: BTreeMap::new(),
            unknown: UnknownFields::default(),
        }
    }

    /// Returns the bytes that a request of `size` takes from the holes of the
    /// segment: `size` rounded up as the options say, or `None` if that is more than
    /// it has, whatever its registrations have.
    ///
    /// # Panics
    ///
    /// May panic for options that no segment can be mounted with.
    #[must_use]
    pub fn charged_size(&self, size: u64) -> Option<u64> {
        self.allocator_options().charged_size(size)
    }

    /// Returns how many bytes a hole must have, from its first multiple of `align`
    /// on, for a request of `size` bytes to be sure of a place; `None` if no hole of
    /// the segment can, whatever its registrations have. `align` is a power of two.
    ///
    /// # Panics
    ///
    /// May panic for options that no segment can be mounted with, and if `align`
    /// is no power of two.
    #[must_use]
    pub fn hole_size(&self, size: u64, align: u64) -> Option<u64> {
        self.allocator_options().hole_size(size, align)
    }

    /// Returns the bytes, from the start of a registration on, at whose multiples
    /// a request with an alignment may begin: those of `align`, a power of two,
    /// and of the granule.
    ///
    /// # Panics
    ///
    /// May panic if `align` is no power of two.
    #[must_use]
    pub fn step(&self, align: u64) -> u64 {
        self.allocator_options().step(align)
    }

    /// Returns how many of `bytes` in a hole, from a multiple of `step` on, a piece
    /// of a buffer may take if another piece follows it; [`step`](Self::step) tells
    /// the step.
    ///
    /// # Panics
    ///
    /// Panics if `step` is 0, and may for options that no segment can be mounted
    /// with.
    #[must_use]
    pub fn largest_extent(&self, bytes: u64, step: u64) -> u64 {
        self.allocator_options().largest_extent(bytes, step)
    }

    fn allocator_options(&self) -> Options {
        Options {
            granule: self.options.granule,
            fit: self.options.fit,
            ..Options::new(self.size)
        }
    }
}

impl PartialEq for SegmentInfo {
    fn eq(&self, other: &Self) -> bool {
        let Self {
            id,
            epoch,
            name,
            host,
            endpoint,
            protocol,
            base,
            size,
            options,
            attributes: _,
            unknown: _,
        } = self;
        (id, epoch, base, size, options)
            == (
                &other.id,
                &other.epoch,
                &other.base,
                &other.size,
                &other.options,
            )
            && [name, host, endpoint, protocol]
                == [&other.name, &other.host, &other.endpoint, &other.protocol]
    }
}

impl Eq for SegmentInfo {}

impl From<Growing<Fields>> for SegmentInfo {
    fn from(Growing { known, mut unknown }: Growing<Fields>) -> Self {
        unknown.put_nested("options", known.options.unknown);
        Self {
            id: known.id,
            epoch: known.epoch,
            name: known.name,
            host: known.host,
            endpoint: known.endpoint,
            protocol: known.protocol,
            base: known.base,
            size: known.size,
            options: known.options.known,
            attributes: known.attributes,
            unknown,
        }
    }
}

impl From<SegmentInfo> for Growing<Fields> {
    fn from(mut info: SegmentInfo) -> Self {
        let options = Growing {
            known: info.options,
            unknown: info.unknown.take_nested("options"),
        };
        let known = Fields {
            id: info.id,
            epoch: info.epoch,
            name: info.name,
            host: info.host,
            endpoint: info.endpoint,
            protocol: info.protocol,
            base: info.base,
            size: info.size,
            options,
            attributes: info.attributes,
        };
        Self {
            known,
            unknown: info.unknown,
        }
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
