//! A put between its reservation and its commit.

use std::{
    ops::{Deref, DerefMut},
    sync::OnceLock,
    time::Duration,
};

use mc_segment::{BufferDescriptor, PlacedBuffer};
use parking_lot::{
    MappedRwLockReadGuard, MappedRwLockWriteGuard, RwLock, RwLockReadGuard, RwLockWriteGuard,
};
use smallvec::SmallVec;
use triomphe::ThinArc;

use crate::{clock::Moment, journal::Places, policy::ObjectId, tenants::Charge};

/// A put that is neither committed nor over, and its key. Shared by the one who
/// puts and the index, so that the store can take the space back from one who is
/// lost.
#[derive(Clone, Debug)]
pub(crate) struct Pending(ThinArc<Details, u8>);

/// What a store knows about a put beside its key.
#[derive(Debug)]
pub(crate) struct Details {
    pub(crate) id: ObjectId,
    /// Under which the journal knows the put, if there is one.
    number: u64,
    begun: Moment,
    deadline: Moment,
    /// Where its space is, once the journal knows it: to be read without waiting
    /// for those who use the space.
    told: OnceLock<Places>,
    /// Locked by whoever uses the space for as long as that takes. Those who
    /// take it back do not wait for them: they come again.
    space: RwLock<Space>,
}

/// The space of a put.
#[derive(Debug)]
enum Space {
    /// It is being looked for, or is held by the put.
    Held(Held),
    /// It was committed, given back or taken back.
    Over,
}

/// The space of each replica: nearly always one, for which no memory is taken.
pub(crate) type Buffers = SmallVec<[PlacedBuffer; 1]>;

/// Space that a put has, and to whom it is charged.
#[derive(Debug, Default)]
pub(crate) struct Held {
    pub(crate) buffers: Buffers,
    pub(crate) charge: Charge,
}

impl Held {
    /// Takes over space and what was charged for it, of which more may have been wanted.
    pub(crate) fn of(buffers: Buffers, charge: Charge) -> Self {
        let mut held = Self { buffers, charge };
        held.charge.reduce_to(held.bytes());
        held
    }

    /// Returns the bytes of all replicas.
    pub(crate) fn bytes(&self) -> u64 {
        self.buffers.iter().map(PlacedBuffer::size).sum()
    }
}

/// A put that is neither committed nor dropped.
#[derive(Clone, Debug)]
#[non_exhaustive]
pub struct InFlight {
    /// The key.
    pub key: Box<[u8]>,
    /// The time since the put.
    pub age: Duration,
    /// The time until its deadline; zero if that has passed.
    pub left: Duration,
    /// Where its replicas are; empty at a moment when they are written here.
    pub descriptors: Vec<BufferDescriptor>,
}

/// The space of a put, which is not taken back while this is held; empty if
/// the deadline has passed.
#[derive(Debug)]
pub struct PutSpace<'a>(MappedRwLockReadGuard<'a, [PlacedBuffer]>);

/// As [`PutSpace`], for writing.
#[derive(Debug)]
pub struct PutSpaceMut<'a>(MappedRwLockWriteGuard<'a, [PlacedBuffer]>);

impl Pending {
    pub(crate) fn new(
        key: &[u8],
        id: ObjectId,
        number: u64,
        begun: Moment,
        deadline: Moment,
    ) -> Self {
        let details = Details {
            id,
            number,
            begun,
            deadline,
            told: OnceLock::new(),
            space: RwLock::new(Space::Held(Held::default())),
        };
        Self(ThinArc::from_header_and_slice(details, key))
    }

    pub(crate) fn is_same(&self, other: &Self) -> bool {
        self.0.heap_ptr() == other.0.heap_ptr()
    }

    #[inline]
    pub(crate) fn key(&self) -> &[u8] {
        &self.0.slice
    }

    pub(crate) fn number(&self) -> u64 {
        self.number
    }

    pub(crate) fn deadline(&self) -> Moment {
        self.deadline
    }

    /// Returns where its space is, if that was written down.
    pub(crate) fn told(&self) -> Option<&Places> {
        self.told.get()
    }

    /// Remembers what the journal was told of its space.
    pub(crate) fn set_told(&self, places: Places) {
        let is_first = self.told.set(places).is_ok();
        debug_assert!(is_first, "space is found once");
    }

    /// Hands over the space that was found, unless the deadline has passed
    /// meanwhile and ended the put.
    pub(crate) fn hold(&self, held: Held) {
        let mut space = self.space.write();
        if let Space::Held(_) = *space {
            *space = Space::Held(held);
        }
    }

    /// Returns the tenant that is charged, by its number, and its bytes.
    pub(crate) fn charged(&self) -> Option<(u32, u64)> {
        match &*self.space.read() {
            Space::Held(held) => held.charge.of_tenant(),
            Space::Over => None,
        }
    }

    pub(crate) fn is_over(&self) -> bool {
        matches!(*self.space.read(), Space::Over)
    }

    pub(crate) fn space(&self) -> PutSpace<'_> {
        // Recursive, as one thread may look at it twice.
        let space = self.space.read_recursive();
        PutSpace(RwLockReadGuard::map(space, |space| match space {
            Space::Held(held) => &held.buffers[..],
            Space::Over => &[],
        }))
    }

    pub(crate) fn space_mut(&self) -> PutSpaceMut<'_> {
        PutSpaceMut(RwLockWriteGuard::map(
            self.space.write(),
            |space| match space {
                Space::Held(held) => &mut held.buffers[..],
                Space::Over => &mut [],
            },
        ))
    }

    /// Ends the put; returns its space unless it is over.
    pub(crate) fn end(&self) -> Option<Held> {
        match std::mem::replace(&mut *self.space.write(), Space::Over) {
            Space::Held(held) => Some(held),
            Space::Over => None,
        }
    }

    /// Ends the put if its deadline has passed and nobody is writing.
    pub(crate) fn expire(&self, now: Moment) -> Option<Held> {
        if now < self.deadline {
            return None;
        }
        let mut space = self.space.try_write()?;
        match std::mem::replace(&mut *space, Space::Over) {
            Space::Held(held) => Some(held),
            Space::Over => None,
        }
    }

    /// Returns what can be told of the put, unless it is over.
    pub(crate) fn describe(&self, now: Moment) -> Option<InFlight> {
        let space = self.space.try_read();
        let buffers = match space.as_deref() {
            Some(Space::Held(held)) => &held.buffers[..],
            Some(Space::Over) => return None,
            None => &[],
        };
        Some(InFlight {
            key: self.key().into(),
            age: now.since(self.begun),
            left: self.deadline.since(now),
            descriptors: buffers.iter().map(PlacedBuffer::descriptor).collect(),
        })
    }
}

impl Deref for Pending {
    type Target = Details;

    #[inline]
    fn deref(&self) -> &Details {
        &self.0.header.header
    }
}

impl Deref for PutSpace<'_> {
    type Target = [PlacedBuffer];

    fn deref(&self) -> &[PlacedBuffer] {
        &self.0
    }
}

impl Deref for PutSpaceMut<'_> {
    type Target = [PlacedBuffer];

    fn deref(&self) -> &[PlacedBuffer] {
        &self.0
    }
}

impl DerefMut for PutSpaceMut<'_> {
    fn deref_mut(&mut self) -> &mut [PlacedBuffer] {
        &mut self.0
    }
}
