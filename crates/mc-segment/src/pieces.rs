//! The pieces of a buffer: nearly always one, which then needs no memory of its
//! own.

use std::ops::Deref;

use mc_offset::Handle;

/// The pieces of one buffer in the order of its bytes; at least one.
#[derive(Debug)]
pub(crate) enum Pieces {
    One(Handle),
    Several(Box<[Handle]>),
}

const _: () = assert!(
    size_of::<Pieces>() == size_of::<Handle>(),
    "several pieces take no more of a buffer than one"
);

impl Pieces {
    /// Returns pieces in the order of the bytes, unless there are none.
    pub(crate) fn from_vec(mut handles: Vec<Handle>) -> Option<Self> {
        match handles.len() {
            0 => None,
            1 => handles.pop().map(Self::One),
            _ => Some(Self::Several(handles.into_boxed_slice())),
        }
    }

    /// Returns the bytes of all pieces.
    #[inline]
    pub(crate) fn size(&self) -> u64 {
        self.iter().map(Handle::size).sum()
    }

    /// Returns the first piece.
    #[inline]
    pub(crate) fn first(&self) -> &Handle {
        match self {
            Self::One(handle) => handle,
            Self::Several(handles) => &handles[0],
        }
    }
}

impl Deref for Pieces {
    type Target = [Handle];

    #[inline]
    fn deref(&self) -> &[Handle] {
        match self {
            Self::One(handle) => std::slice::from_ref(handle),
            Self::Several(handles) => handles,
        }
    }
}
