//! What handles are for.

/// What a handle is for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[repr(u8)]
pub(crate) enum Kind {
    /// An arena.
    Arena = 1,
    /// An offset allocator.
    Offset = 2,
    /// A slot allocator.
    Slots = 3,
    /// A pool of memory.
    Pool = 4,
    /// An object store.
    Store = 5,
    /// A put that is neither committed nor given back.
    Put = 6,
    /// The puts of a prompt.
    Chain = 7,
    /// A lease.
    Lease = 8,
    /// A queue of events.
    Events = 9,
    /// Space without a key.
    Placement = 10,
    /// A thread that compacts a store.
    IdleCompactor = 11,
}
