//! Numbers for frames. A store keeps a handle for every object, and looks at
//! them in no order: so a handle has a number of 32 bits for its frame, where
//! an address would make it a fourth larger.

use alloc::boxed::Box;
use core::num::NonZeroU32;
use std::sync::{Mutex, OnceLock, PoisonError};

use super::locked::Core;

/// Frames whose place is always there: all that most processes have. Each
/// chunk has as many as all before it.
const FIRST_BITS: u32 = 6;
const FIRST_LEN: usize = 1 << FIRST_BITS;
const NUMBER_BITS: u32 = 31;
const CHUNK_COUNT: usize = (NUMBER_BITS - FIRST_BITS) as usize;

/// The frames of the process, which stay once they are made.
static FRAMES: Frames = Frames::new();

/// Names one of the frames of the process.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(super) struct FrameId(NonZeroU32);

impl FrameId {
    fn new(number: usize) -> Self {
        let id = u32::try_from(number + 1)
            .ok()
            .filter(|id| id >> NUMBER_BITS == 0);
        Self(
            id.and_then(NonZeroU32::new)
                .expect("no memory holds so many frames"),
        )
    }

    /// Returns the core of the frame.
    #[inline]
    pub(super) fn core(self) -> &'static Core {
        FRAMES.get(self.number())
    }

    #[inline]
    pub(super) fn number(self) -> usize {
        self.0.get() as usize - 1
    }
}

/// Makes a core, which is told its number, and gives it that number for good.
pub(super) fn register(make: impl FnOnce(FrameId) -> Core) -> &'static Core {
    FRAMES.push(make)
}

/// Frames by number; a place is written once.
struct Frames {
    first: [OnceLock<&'static Core>; FIRST_LEN],
    chunks: [OnceLock<Box<[OnceLock<&'static Core>]>>; CHUNK_COUNT],
    len: Mutex<usize>,
}

impl Frames {
    const fn new() -> Self {
        Self {
            first: [const { OnceLock::new() }; FIRST_LEN],
            chunks: [const { OnceLock::new() }; CHUNK_COUNT],
            len: Mutex::new(0),
        }
    }

    fn push(&self, make: impl FnOnce(FrameId) -> Core) -> &'static Core {
        let mut len = self.len.lock().unwrap_or_else(PoisonError::into_inner);
        let place = self.first.get(*len).unwrap_or_else(|| {
            let (chunk, at) = place(*len);
            let chunk_len = FIRST_LEN << chunk;
            let new_chunk = || (0..chunk_len).map(|_| OnceLock::new()).collect();
            &self.chunks[chunk].get_or_init(new_chunk)[at]
        });
        let core = place.get_or_init(|| Box::leak(Box::new(make(FrameId::new(*len)))));
        *len += 1;
        core
    }

    /// Returns the core with a number.
    #[inline]
    fn get(&self, number: usize) -> &'static Core {
        let core = match self.first.get(number) {
            Some(core) => core.get(),
            None => self.get_later(number),
        };
        core.expect("a handle's frame stays")
    }

    #[inline(never)]
    fn get_later(&self, number: usize) -> Option<&&'static Core> {
        let (chunk, at) = place(number);
        self.chunks[chunk].get()?[at].get()
    }
}

/// Returns the chunk of a number beyond the first, and the place in it.
fn place(number: usize) -> (usize, usize) {
    let bits = number.ilog2();
    ((bits - FIRST_BITS) as usize, number - (1 << bits))
}

#[cfg(all(test, not(loom)))]
mod tests {
    use super::*;

    #[test]
    fn every_number_beyond_the_first_has_one_place() {
        let places = (FIRST_LEN..FIRST_LEN << 4).map(place);
        let expected = (0..4).flat_map(|chunk| (0..FIRST_LEN << chunk).map(move |at| (chunk, at)));
        assert!(places.eq(expected));
        let last = place((1 << NUMBER_BITS) - 1);
        assert_eq!(last.0, CHUNK_COUNT - 1);
    }
}
