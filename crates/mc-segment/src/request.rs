//! What is asked of a pool.

use crate::{buffer::PlacedBuffer, error::PlacementError, id::SegmentId};

/// A request for space.
///
/// ```
/// use mc_segment::{Replicas, PlaceRequest};
///
/// let request = PlaceRequest {
///     replicas: Replicas::exact(2),
///     align: 4096,
///     ..PlaceRequest::new(3_274_752)
/// };
/// assert_eq!(request.max_extents, 1);
/// ```
#[derive(Clone, Copy, Debug)]
pub struct PlaceRequest<'a> {
    /// Bytes of each replica.
    pub size: u64,
    /// A power of two, in bytes: every piece begins at an address that is a
    /// multiple of it. A segment whose base is not is passed over.
    pub align: u64,
    /// Pieces that a replica may be in, at least 1. All lie in one segment and
    /// one registration.
    pub max_extents: u32,
    /// How many copies, and how few are enough.
    pub replicas: Replicas,
    /// Segments to be tried first, in this order; those that cannot serve are
    /// passed over, and so are those on a host that has a replica, as long as
    /// another host can take one.
    pub preferred: &'a [SegmentId],
    /// Segments that must not be used, preferred or not.
    pub excluded: &'a [SegmentId],
    /// Replicas that the object already has: the new ones go under
    /// none of their names, and to their hosts only if no other can take one.
    pub beside: &'a [&'a PlacedBuffer],
    /// The writer's host, from which [`Strategy::LocalFirst`] starts; empty if
    /// it is not known.
    ///
    /// [`Strategy::LocalFirst`]: crate::Strategy::LocalFirst
    pub host: &'a str,
    /// A hash of the object's key, by which [`Strategy::LocalFirst`] spreads
    /// objects over the segments of a host; `None` begins with the first.
    ///
    /// [`Strategy::LocalFirst`]: crate::Strategy::LocalFirst
    pub key_hash: Option<u64>,
}

/// How many replicas a request asks for, and when fewer are a success.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Replicas {
    /// Replicas asked for: each under a segment name of its own, and on a host
    /// of its own as long as another host can take it. A segment whose host is
    /// not known counts as on a host of its own.
    pub count: u32,
    /// When fewer are enough.
    pub policy: ReplicaPolicy,
}

/// When fewer replicas than asked for are a success.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum ReplicaPolicy {
    /// Never.
    Exact,
    /// If there are at least so many; from 1 to the count.
    AtLeast(u32),
    /// If there is at least one.
    BestEffort,
}

impl<'a> PlaceRequest<'a> {
    /// Returns a request for one copy of `size` bytes in one piece anywhere.
    #[must_use]
    pub const fn new(size: u64) -> Self {
        Self {
            size,
            align: 1,
            max_extents: 1,
            replicas: Replicas::exact(1),
            preferred: &[],
            excluded: &[],
            beside: &[],
            host: "",
            key_hash: None,
        }
    }

    /// Returns the request if it makes sense.
    #[inline]
    pub(crate) fn validate(&self) -> Result<(), PlacementError> {
        if self.size == 0 {
            return Err(PlacementError::ZeroSize);
        }
        if !self.align.is_power_of_two() {
            return Err(PlacementError::AlignNotPowerOfTwo { align: self.align });
        }
        if self.max_extents == 0 {
            return Err(PlacementError::ZeroExtents);
        }
        let (count, least) = (self.replicas.count, self.replicas.least());
        if count == 0 || least == 0 {
            return Err(PlacementError::ZeroReplicas);
        }
        if least > count {
            return Err(PlacementError::LeastAboveCount { least, count });
        }
        Ok(())
    }
}

impl Replicas {
    /// Returns a demand for all of `count` replicas.
    #[must_use]
    pub const fn exact(count: u32) -> Self {
        Self {
            count,
            policy: ReplicaPolicy::Exact,
        }
    }

    /// Returns the replicas without which a request fails.
    #[must_use]
    pub const fn least(&self) -> u32 {
        match self.policy {
            ReplicaPolicy::Exact => self.count,
            ReplicaPolicy::AtLeast(least) => least,
            ReplicaPolicy::BestEffort => 1,
        }
    }
}
