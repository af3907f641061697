//! Subjects: the allocators under test, each behind the same small trait.
//!
//! A new subject is a file with a type that implements [`Subject`], and an entry of [`entries`].

mod buddy;
pub mod entries;
mod extents;
mod offset;
mod offset_allocator;
mod range_alloc;
mod reference;
mod shared;
mod slots;

pub use self::reference::Oracle;

/// An allocator as the timed loops see it.
///
/// The loops are generic over the subject, so that a call costs what the allocator costs.
pub trait Subject {
    /// What stands for one live object. The loops keep tokens in one vector, so a token's size
    /// decides how many cache lines picking a victim touches.
    type Token;

    /// Places an object and returns its token, or nothing when there is no room for it.
    fn allocate(&mut self, size_bytes: u64) -> Option<Self::Token>;

    /// Takes a live object back.
    fn free(&mut self, token: Self::Token);

    /// Returns where the object of a token lies and how many bytes were asked for.
    fn placement(&self, token: &Self::Token) -> Placement;

    /// Tells where every live object lies, in address order, as the allocator itself lists them;
    /// returns whether it can.
    fn visit(&self, _each: &mut dyn FnMut(Placement)) -> bool {
        false
    }
}

/// Where an object lies.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Placement {
    /// Distance of the first byte from the start of the pool.
    pub offset_bytes: u64,
    /// Requested size, before any rounding.
    pub size_bytes: u64,
}

/// What a subject is told about the pool it manages.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Pool {
    /// Managed bytes.
    pub capacity_bytes: u64,
    /// Smallest size that will be requested; bounds the number of live objects.
    pub smallest_bytes: u64,
}

impl Pool {
    /// Returns how many objects can be live at once.
    #[must_use]
    pub fn objects_max(&self) -> u64 {
        self.capacity_bytes / self.smallest_bytes
    }
}

/// A subject by its name.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Described {
    /// Name on the command line and in every output.
    pub name: &'static str,
    /// What it is, in one line.
    pub summary: &'static str,
}

impl Described {
    pub(crate) const fn new(name: &'static str, summary: &'static str) -> Self {
        Self { name, summary }
    }

    pub(crate) fn all(entries: impl Iterator<Item = (&'static str, &'static str)>) -> Vec<Self> {
        entries
            .map(|(name, summary)| Self::new(name, summary))
            .collect()
    }
}

/// Name of the reference that every row's harness cost and bound come from.
pub const ORACLE: &str = "oracle";

#[cfg(test)]
mod tests;
