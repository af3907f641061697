//! Space in a segment that is named, at an address that is named, and where
//! descriptors say that it is.

use std::sync::Arc;

use mc_offset::{Handle, PlaceError as OffsetError};

use super::{Mounting, SegmentPool, registry::Admission};
use crate::{
    buffer::PlacedBuffer,
    descriptor::{BufferDescriptor, Extent},
    error::{AdoptCause, AdoptError, ExactError, MountWithError, SegmentField},
    id::SegmentId,
    mounted::Mounted,
    pieces::Pieces,
    segment::Segment,
    state::SegmentState,
};

impl SegmentPool {
    /// Places `size` bytes in one piece in a segment that is open to placement,
    /// at an address that is a multiple of `align`, a power of two.
    ///
    /// # Errors
    ///
    /// An [`ExactError`]; nothing changes.
    pub fn place_in(
        &self,
        id: SegmentId,
        size: u64,
        align: u64,
    ) -> Result<PlacedBuffer, ExactError> {
        let mounted = self.mounted(id).ok_or(ExactError::NotMounted { id })?;
        if !align.is_power_of_two() {
            return Err(mc_offset::AllocError::AlignNotPowerOfTwo { align }.into());
        }
        if size <= mounted.largest_chunk() && !mounted.could_take(size, align) {
            return Err(ExactError::Misaligned { id, align });
        }
        loop {
            let pieces = mounted.allocate(size, align, 1)?;
            if let Some(buffer) = PlacedBuffer::placed(&mounted, pieces) {
                return Ok(buffer);
            }
            // Where it is, it was opened meanwhile.
            self.check_open(&mounted, SegmentState::is_placeable)?;
        }
    }

    /// Places `size` bytes at exactly `address` in a segment that is open to
    /// placement.
    ///
    /// # Errors
    ///
    /// An [`ExactError`], with the first piece of another buffer that is in the
    /// way; nothing changes.
    pub fn place_at(
        &self,
        id: SegmentId,
        address: u64,
        size: u64,
    ) -> Result<PlacedBuffer, ExactError> {
        let mounted = self.mounted(id).ok_or(ExactError::NotMounted { id })?;
        loop {
            let handle = occupy(&mounted, Extent { address, size })?;
            if let Some(buffer) = PlacedBuffer::placed(&mounted, Pieces::One(handle)) {
                return Ok(buffer);
            }
            self.check_open(&mounted, SegmentState::is_placeable)?;
        }
    }

    /// Takes over buffers that descriptors tell of, after a restart or from
    /// another process; returns them in the order of the descriptors.
    ///
    /// Descriptors may come in any order, and their segments may be in any
    /// state that is readable. Adopt before anything else is placed, or what is
    /// placed may be in the way.
    ///
    /// # Errors
    ///
    /// An [`AdoptError`] that tells the position and the cause; none is adopted
    /// then.
    pub fn adopt(&self, descriptors: &[BufferDescriptor]) -> Result<Vec<PlacedBuffer>, AdoptError> {
        adopt_all(descriptors, |descriptor| {
            let id = descriptor.segment;
            let mounted = self.mounted(id).ok_or(ExactError::NotMounted { id })?;
            self.adopt_into(&mounted, descriptor)
        })
    }

    /// Mounts a segment and takes over the buffers that descriptors tell of,
    /// before anything else can be placed in it; for a segment that comes back
    /// to a pool in use.
    ///
    /// Returns what mounting did beside the buffers, in the order of the
    /// descriptors. An older epoch is replaced as by [`mount`](Self::mount).
    ///
    /// # Errors
    ///
    /// A [`MountWithError`]; the pool is as it was before.
    pub fn mount_with(
        &self,
        segment: Segment,
        descriptors: &[BufferDescriptor],
    ) -> Result<(Mounting, Vec<PlacedBuffer>), MountWithError> {
        let id = segment.info.id;
        if let Admission::Mounted(_) = self.registry().admit(&segment.info)? {
            return Err(MountWithError::AlreadyMounted { id });
        }
        let mounted = Arc::new(Mounted::new(segment, &self.shared.commons)?);
        let buffers = adopt_all(descriptors, |descriptor| match descriptor.segment {
            segment if segment == id => self.adopt_into(&mounted, descriptor),
            id => Err(AdoptCause::OtherSegment { id }),
        })?;
        let mut registry = self.registry();
        match registry.admit(mounted.info())? {
            Admission::Mounted(_) => Err(MountWithError::AlreadyMounted { id }),
            admission => {
                let mounting = self.install(&mut registry, mounted, &admission)?;
                Ok((mounting, buffers))
            }
        }
    }

    fn adopt_into(
        &self,
        mounted: &Arc<Mounted>,
        descriptor: &BufferDescriptor,
    ) -> Result<PlacedBuffer, AdoptCause> {
        check_descriptor(mounted, descriptor)?;
        let extents = descriptor.extents.iter();
        let handles: Result<Vec<_>, _> = extents.map(|&extent| occupy(mounted, extent)).collect();
        let pieces = Pieces::from_vec(handles?).ok_or(AdoptCause::NoExtents)?;
        let buffer = PlacedBuffer::adopted(mounted, pieces);
        // A drained segment was found empty, and has to stay so.
        self.check_open(mounted, |state| {
            state.is_readable() && state != SegmentState::Drained
        })?;
        Ok(buffer)
    }

    /// Checks a state after space was taken. A change comes either before this, and
    /// is seen here, or after, and finds what was adopted.
    fn check_open(
        &self,
        mounted: &Mounted,
        is_open: impl Fn(SegmentState) -> bool,
    ) -> Result<(), ExactError> {
        let registry = self.registry();
        let state = mounted.state();
        drop(registry);
        if is_open(state) {
            return Ok(());
        }
        let id = mounted.info().id;
        Err(ExactError::NotOpen { id, state })
    }
}

/// Adopts all descriptors, or names the first that does not fit.
fn adopt_all(
    descriptors: &[BufferDescriptor],
    adopt: impl Fn(&BufferDescriptor) -> Result<PlacedBuffer, AdoptCause>,
) -> Result<Vec<PlacedBuffer>, AdoptError> {
    let adopt =
        |(position, descriptor)| adopt(descriptor).map_err(|cause| AdoptError { position, cause });
    descriptors.iter().enumerate().map(adopt).collect()
}

/// Checks what can be known before space is taken.
fn check_descriptor(mounted: &Mounted, descriptor: &BufferDescriptor) -> Result<(), AdoptCause> {
    let (info, id) = (mounted.info(), descriptor.segment);
    if descriptor.epoch != info.epoch {
        return Err(AdoptCause::OtherEpoch {
            id,
            epoch: descriptor.epoch,
            mounted_epoch: info.epoch,
        });
    }
    if descriptor.endpoint != info.endpoint {
        let field = SegmentField::Endpoint;
        return Err(AdoptCause::Differs { id, field });
    }
    if descriptor.protocol != info.protocol {
        let field = SegmentField::Protocol;
        return Err(AdoptCause::Differs { id, field });
    }
    let (address, size) = (descriptor.address, descriptor.size);
    let extents = &descriptor.extents;
    let Some(first) = extents.first() else {
        return Err(AdoptCause::NoExtents);
    };
    if first.address != address {
        return Err(AdoptCause::AddressMismatch {
            address,
            extent_address: first.address,
        });
    }
    let extent_bytes: u128 = extents.iter().map(|extent| u128::from(extent.size)).sum();
    if extent_bytes != u128::from(size) {
        return Err(AdoptCause::SizeMismatch { size, extent_bytes });
    }
    let home = |address| mounted.chunk_of(address).map(|chunk| chunk.number);
    let is_elsewhere = |extent: &&Extent| home(extent.address) != home(address);
    match extents.iter().find(is_elsewhere) {
        None => Ok(()),
        Some(other) => Err(AdoptCause::Scattered {
            address,
            other_address: other.address,
        }),
    }
}

/// Takes exactly the bytes of an extent.
fn occupy(mounted: &Mounted, extent: Extent) -> Result<Handle, ExactError> {
    let Extent { address, size } = extent;
    let info = mounted.info();
    let out_of_segment = ExactError::OutOfSegment {
        id: info.id,
        address,
        size,
        base: info.base,
        segment_size: mounted.capacity(),
    };
    let chunk = mounted.chunk_of(address).ok_or(out_of_segment)?;
    match address.checked_add(size) {
        Some(end) if end <= chunk.end() => {}
        Some(end) if end <= info.base + mounted.capacity() => {
            return Err(ExactError::Straddles {
                address,
                size,
                border: chunk.end(),
            });
        }
        _ => return Err(out_of_segment),
    }
    let placed = chunk.allocator.allocate_at(address - chunk.base, size);
    placed.map_err(|error| match error {
        OffsetError::Occupied { by } => ExactError::Occupied {
            address,
            size,
            other_address: chunk.base + by.offset(),
            other_size: by.size(),
        },
        OffsetError::OffGranule { granule_bytes, .. } => ExactError::OffGranule {
            address,
            granule_bytes,
        },
        OffsetError::Refused(refusal) => ExactError::Refused(refusal),
        // Only the charge can pass the end, as the bytes do not.
        _ => out_of_segment,
    })
}
