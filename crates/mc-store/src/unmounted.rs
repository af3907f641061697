//! What became of objects whose segment was unmounted.

/// What an unmount did to the objects of a segment.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
#[non_exhaustive]
pub struct Unmounted {
    /// Keys of the objects whose last replica was in the segment.
    pub lost: Vec<Box<[u8]>>,
    /// Keys of the objects that have fewer replicas than were asked for now.
    pub survivors: Vec<UnderReplicated>,
}

/// An object with fewer readable replicas than its put asked for.
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub struct UnderReplicated {
    /// The key.
    pub key: Box<[u8]>,
    /// Replicas that can be read.
    pub readable: u32,
    /// Replicas that were asked for.
    pub wanted: u32,
}

/// An unmount that has begun.
#[derive(Debug, Default)]
pub(crate) struct Unmounting {
    /// Keys of the objects that it cost.
    pub(crate) lost: Vec<Box<[u8]>>,
    /// All that it cost are among them: what is lost from then on, others cost.
    pub(crate) has_lost_all: bool,
}

impl Unmounting {
    /// Takes note that nobody can read an object of the segment any more.
    pub(crate) fn note_lost(&mut self, key: &[u8]) {
        if !self.has_lost_all {
            self.lost.push(key.into());
        }
    }
}
