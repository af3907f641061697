//! Who leaves first: policies that rank objects by what they are worth.
//!
//! A [`Policy`] is told which objects there are, when they are used, and when they leave. It answers
//! two questions: which objects should leave next ([`Policy::victims`]), and what it costs to lose
//! one ([`Policy::worth`]). It knows ids and [`Facts`] only: no memory, no lock, no clock. Its time is
//! the number of uses and insertions, so that equal calls give equal answers.
//!
//! ```text
//!   store ──── insert, used, remove, hide, show ────► Chained ──► Lru, TailFirst, S3Fifo, Gdsf,
//!     ▲                                                  │        ReuseAge, Auto, or one of yours
//!     └── victims, worth ◄ children first, orphans before ┘
//! ```
//!
//! [`Chained`] stands before every policy and knows what a prompt is: an object whose parent has gone
//! can not be used, so it leaves first, and an object never leaves before its own children.

mod auto;
mod chained;
mod classes;
mod gdsf;
mod ghosts;
mod groups;
mod inflation;
mod lru;
mod queues;
mod recall;
mod reuse;
mod reuse_age;
mod s3_fifo;
mod sample;
mod shadow;
mod table;
mod tail_first;
#[cfg(test)]
mod tests;
mod tree;

use std::fmt::Debug;
use std::ops::ControlFlow;

pub use self::auto::Auto;
pub use self::chained::Chained;
pub use self::gdsf::Gdsf;
pub(crate) use self::groups::{GroupKey, Groups, Rank};
pub use self::lru::Lru;
pub use self::reuse_age::ReuseAge;
pub use self::s3_fifo::S3Fifo;
pub use self::tail_first::TailFirst;
pub(crate) use self::tree::DEPTH_SEEN;

/// Names an object to a policy: small, dense, and used again for another object after
/// [`Policy::remove`].
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct ObjectId(pub u32);

/// Returns a hash of a key that is the same on every machine and in every
/// release: FNV-1a of 64 bits (Fowler, Noll, Vo).
pub(crate) fn stable_hash(key: &[u8]) -> u64 {
    key.iter().fold(0xCBF2_9CE4_8422_2325, |hash, &byte| {
        (hash ^ u64::from(byte)).wrapping_mul(0x0100_0000_01B3)
    })
}

/// The object that comes before another in its prompt.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Parent {
    /// There is none: the object is useful alone.
    #[default]
    None,
    /// It is stored.
    Stored(ObjectId),
    /// It is not stored now; its hash of the key, by which it is known when it comes back.
    Gone(u64),
}

/// What a policy is told of an object when it is stored.
#[derive(Clone, Copy, Debug, Default, PartialEq)]
pub struct Facts {
    /// Bytes that it takes in the store, with all replicas.
    pub bytes: u64,
    /// A hash of its key that is the same whenever it is put again.
    pub key_hash: u64,
    /// What comes before it in its prompt.
    pub parent: Parent,
    /// The hash of the key of the first object of its prompt; its own without a parent.
    pub root_hash: u64,
    /// Objects before it in its prompt; 65,535 stands for more.
    pub depth: u32,
    /// Seconds to compute it again; 0 if nobody has told.
    pub cost: f32,
}

/// Why an object leaves.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Leaving {
    /// The store needed its place: it may be asked for again.
    Evicted,
    /// Its user removed it, or its memory was lost.
    Removed,
}

/// Decides who leaves.
///
/// Every call takes O(log n) time for n objects, amortised; [`victims`](Self::victims) takes that for
/// each object that it visits. The store makes all calls under one lock, so that one which asks the
/// store for anything would wait for itself. A policy that breaks other rules costs hits. One that
/// panics leaves wrong figures behind as well, and objects that never leave; nobody gets the bytes of
/// another by either.
pub trait Policy: Debug + Send {
    /// An object was stored.
    ///
    /// # Panics
    ///
    /// May panic if the id is in use, as may all other calls if it is not.
    fn insert(&mut self, id: ObjectId, facts: &Facts);

    /// An object was found by its key. The uses of a prompt arrive last object first.
    fn used(&mut self, id: ObjectId);

    /// As [`used`](Self::used) for each object, the earliest use first. The store tells uses in this way,
    /// some dozens at once, so that a policy can wait for memory once and not for each of them.
    fn used_all(&mut self, ids: &[ObjectId]) {
        ids.iter().for_each(|id| self.used(*id));
    }

    /// An object has left. The hash is that of its facts.
    fn remove(&mut self, id: ObjectId, key_hash: u64, why: Leaving);

    /// An object is leased or pinned: it is not a victim until it is shown again. Hiding a hidden
    /// object has no effect.
    fn hide(&mut self, id: ObjectId);

    /// A hidden object may leave again. It has the age that it had or, if it was used meanwhile, that
    /// of its last use. Showing a visible object has no effect.
    fn show(&mut self, id: ObjectId);

    /// Visits the objects that may leave, each once, those that should leave first before others,
    /// until the visitor breaks. Nobody leaves by this.
    fn victims(&mut self, visit: &mut dyn FnMut(ObjectId) -> ControlFlow<()>);

    /// As [`victims`](Self::victims), and says of each whether it stays: as the one that is spared or, as
    /// far as the policy knows prompts, as one before it. What is being stored behind them is of no use
    /// without them.
    fn victims_beside(
        &mut self,
        spared: ObjectId,
        visit: &mut dyn FnMut(ObjectId, bool) -> ControlFlow<()>,
    ) {
        self.victims(&mut |id| visit(id, id == spared));
    }

    /// Returns what is lost with an object, for each of its bytes. The figures of two objects of one
    /// policy can be compared and those of several victims added up, multiplied by their bytes.
    fn worth(&self, id: ObjectId) -> f64;

    /// Returns the object before one in its prompt, if the policy knows and it is stored. What an
    /// object is to be kept for, those before it are kept for, too.
    fn parent(&self, _id: ObjectId) -> Option<ObjectId> {
        None
    }

    /// Visits the objects right behind one in its prompts, as far as the policy knows.
    fn children(&self, _id: ObjectId, _visit: &mut dyn FnMut(ObjectId) -> ControlFlow<()>) {}
}
