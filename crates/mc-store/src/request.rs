//! What is asked of a put.

use std::{sync::Arc, time::Duration};

use mc_segment::{Replicas, SegmentId};
use parking_lot::Mutex;

use crate::{
    error::PutError,
    hints::Hints,
    parts::{Parts, placed_bytes},
    returned::Returned,
};

/// What an object needs: it is held for as long as the object lives, so that
/// whatever moves the object later obeys it.
///
/// More fields may come: begin with [`new`](Self::new).
///
/// ```
/// use mc_segment::Replicas;
/// use mc_store::PutRequest;
///
/// let request = PutRequest {
///     replicas: Replicas::exact(2),
///     align: 4096,
///     ..PutRequest::new(3_274_752)
/// };
/// assert_eq!(request.max_extents, 1);
/// ```
#[derive(Clone, Copy, Debug)]
pub struct PutRequest<'a> {
    /// Bytes of each replica, if it is of one part.
    pub size: u64,
    /// Bytes of each part, for an object of several parts; empty for one of
    /// [`size`](Self::size) bytes, which counts for nothing otherwise. All parts
    /// are stored or none is, each begins at a multiple of [`align`](Self::align),
    /// and they lie one after another in the replica.
    pub parts: &'a [u64],
    /// Power of two at whose multiples the addresses of all pieces and parts are.
    pub align: u64,
    /// Pieces that a replica may be in, at least 1; no more than
    /// [`StoreOptions::extents_max`](crate::StoreOptions::extents_max) are used.
    pub max_extents: u32,
    /// How many copies, and how many will do.
    pub replicas: Replicas,
    /// The writer's host, from which
    /// [`Strategy::LocalFirst`](mc_segment::Strategy::LocalFirst) starts; empty
    /// if it is not known.
    pub host: &'a str,
    /// The key of the object before this one in its prompt. An object is worth
    /// nothing while its parent is gone, and leaves before it; neither the parent nor
    /// what comes before it leaves for this one.
    pub parent: Option<&'a [u8]>,
    /// The tenant whose object it is, see [`Quota`](crate::Quota); one that is
    /// not known yet has no guarantee and no limit.
    pub tenant: Option<&'a str>,
    /// Objects of a lower one leave before those of a higher one, whatever the
    /// policy says. Those before the object in its prompt get it, too, if theirs
    /// is lower.
    pub priority: i8,
    /// A [time](crate::ObjectStore::now) of the store until which the object
    /// leaves only if nothing else can, nor those before it in its prompt. Counts
    /// for nothing beyond [`StoreOptions::keep_percent`](crate::StoreOptions::keep_percent).
    pub keep_until: Option<Duration>,
    /// The time to compute the object again; zero if it is not known. `Gdsf`,
    /// `ReuseAge` and `Auto` weigh it, to within half a percent; under the others
    /// it counts for nothing.
    pub cost: Duration,
    /// Segments to be tried first, in this order.
    pub preferred: &'a [SegmentId],
    /// Segments that must not be used, now or later.
    pub excluded: &'a [SegmentId],
    /// The time until the commit, to some milliseconds; `None` is
    /// [`StoreOptions::put_deadline`](crate::StoreOptions::put_deadline).
    pub deadline: Option<Duration>,
}

impl<'a> PutRequest<'a> {
    /// Returns a request for one copy of `size` bytes in one piece anywhere.
    #[must_use]
    pub const fn new(size: u64) -> Self {
        Self {
            size,
            parts: &[],
            align: 1,
            max_extents: 1,
            replicas: Replicas::exact(1),
            host: "",
            parent: None,
            tenant: None,
            priority: 0,
            keep_until: None,
            cost: Duration::ZERO,
            preferred: &[],
            excluded: &[],
            deadline: None,
        }
    }

    /// Returns a request for one copy of an object of several parts, all in one
    /// piece anywhere.
    ///
    /// ```
    /// use mc_store::PutRequest;
    ///
    /// // Keys and values, and the index of sparse attention beside them.
    /// let request = PutRequest::of_parts(&[3_274_752, 658_432]);
    /// assert_eq!(request.parts.len(), 2);
    /// ```
    #[must_use]
    pub const fn of_parts(parts: &'a [u64]) -> Self {
        Self {
            parts,
            ..Self::new(0)
        }
    }

    /// Returns the bytes of a replica that holds all parts of a self.
    pub(crate) fn placed_size(&self) -> Result<u64, PutError> {
        if self.parts.is_empty() {
            return Ok(self.size);
        }
        // Whoever places it refuses an alignment that makes no sense.
        let align = match self.align.is_power_of_two() {
            true => self.align,
            false => 1,
        };
        placed_bytes(self.parts, align)
    }

    /// Returns the bytes of each part, if there are several.
    fn several_parts(&self) -> &'a [u64] {
        match self.parts {
            [_] => &[],
            parts => parts,
        }
    }
}

/// What of a request binds every later move of the object.
#[derive(Debug)]
pub(crate) struct Terms {
    pub(crate) align: u64,
    /// Bytes of each part; none stand for one part that has all bytes.
    pub(crate) parts: Box<[u64]>,
    pub(crate) max_extents: u32,
    pub(crate) replicas: Replicas,
    pub(crate) host: Box<str>,
    pub(crate) excluded: Box<[SegmentId]>,
    pub(crate) hints: Hints,
    /// Where the end of the last lease is told, if the object is hidden.
    pub(crate) returned: Arc<Returned>,
}

impl Terms {
    fn new(request: &PutRequest<'_>, hints: Hints, returned: &Arc<Returned>) -> Self {
        Self {
            align: request.align,
            parts: request.several_parts().into(),
            max_extents: request.max_extents,
            replicas: request.replicas,
            host: request.host.into(),
            excluded: request.excluded.into(),
            hints,
            returned: Arc::clone(returned),
        }
    }

    /// Returns the parts of an object whose replicas take so many bytes.
    pub(crate) fn parts(&self, placed: u64) -> Parts<'_> {
        Parts::new(&self.parts, self.align, placed)
    }

    fn matches(&self, request: &PutRequest<'_>, hints: &Hints) -> bool {
        // One by one: most are empty, and `memcmp` of no bytes reads at an address
        // that is none, masked, which costs some processors a tenth of a microsecond.
        self.align == request.align
            && self.parts.iter().eq(request.several_parts())
            && self.max_extents == request.max_extents
            && self.replicas == request.replicas
            && self.host.bytes().eq(request.host.bytes())
            && self.excluded.iter().eq(request.excluded)
            && self.hints == *hints
    }
}

/// Terms that are alike are kept once: most objects of a store have the same.
#[derive(Debug)]
pub(crate) struct TermsTable {
    returned: Arc<Returned>,
    /// Those of late, the last one used first.
    recent: Mutex<Vec<Arc<Terms>>>,
}

/// Terms that are remembered. Objects with others have copies of their own.
const RECENT_MAX: usize = 8;

impl TermsTable {
    pub(crate) fn new(returned: Arc<Returned>) -> Self {
        Self {
            returned,
            recent: Mutex::default(),
        }
    }

    pub(crate) fn of(&self, request: &PutRequest<'_>, hints: Hints) -> Arc<Terms> {
        let mut recent = self.recent.lock();
        if let Some(place) = recent
            .iter()
            .position(|terms| terms.matches(request, &hints))
        {
            recent[..=place].rotate_right(1);
            return Arc::clone(&recent[0]);
        }
        let terms = Arc::new(Terms::new(request, hints, &self.returned));
        recent.truncate(RECENT_MAX - 1);
        recent.insert(0, Arc::clone(&terms));
        terms
    }
}
