//! Numbers for homes. A store keeps a handle for every object, and looks at
//! them in no order: so a handle has a number of 32 bits for its home, where an
//! address would make it a fourth larger.

use alloc::boxed::Box;
use core::num::NonZeroU32;
use std::sync::{Mutex, OnceLock, PoisonError};

use super::{HOME_COUNT, frame::Frame, handle::Handle, locked::Core};

/// Frames whose place is always there: all that most processes have. Each
/// chunk has as many as all before it.
const FIRST_BITS: u32 = 8;
const FIRST_LEN: usize = 1 << FIRST_BITS;
const NUMBER_BITS: u32 = 28;
const CHUNK_COUNT: usize = (NUMBER_BITS - FIRST_BITS) as usize;
const _: () = assert!(
    HOME_COUNT <= 1 << (u32::BITS - NUMBER_BITS),
    "every home has a number"
);

/// The frames of the process, which stay once they are made.
static FRAMES: Frames = Frames::new();

/// Names one of the homes of the process.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct HomeId(NonZeroU32);

impl HomeId {
    /// Names one of the homes of a frame, by their numbers.
    pub(super) fn new(frame: usize, home: usize) -> Self {
        let number = u32::try_from(frame * HOME_COUNT + home + 1).ok();
        Self(
            number
                .and_then(NonZeroU32::new)
                .expect("no memory holds so many frames"),
        )
    }

    /// Returns the core behind the home.
    #[inline]
    pub(super) fn core(self) -> &'static Core {
        self.frame().core
    }

    /// Keeps the block of a handle back for the next request of its size, or
    /// frees it.
    #[inline]
    pub(super) fn free(self, handle: &Handle) {
        let &Frame { core, homes } = self.frame();
        if !(core.sizes_repeat() && homes[self.number() % HOME_COUNT].keep(handle)) {
            core.free(handle);
        }
    }

    #[inline]
    fn frame(self) -> &'static Frame {
        FRAMES.get(self.number() / HOME_COUNT)
    }

    #[inline]
    fn number(self) -> usize {
        self.0.get() as usize - 1
    }
}

/// Makes a frame, which is told its number, and gives it that number for good.
pub(super) fn register(make: impl FnOnce(usize) -> Frame) -> Frame {
    FRAMES.push(make)
}

/// Frames by number; a place is written once.
struct Frames {
    first: [OnceLock<Frame>; FIRST_LEN],
    chunks: [OnceLock<Box<[OnceLock<Frame>]>>; CHUNK_COUNT],
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

    fn push(&self, make: impl FnOnce(usize) -> Frame) -> Frame {
        let mut len = self.len.lock().unwrap_or_else(PoisonError::into_inner);
        let place = self.first.get(*len).unwrap_or_else(|| {
            let (chunk, at) = place(*len);
            let chunk_len = FIRST_LEN << chunk;
            let new_chunk = || (0..chunk_len).map(|_| OnceLock::new()).collect();
            &self.chunks[chunk].get_or_init(new_chunk)[at]
        });
        let frame = *place.get_or_init(|| make(*len));
        *len += 1;
        frame
    }

    /// Returns the frame with a number.
    #[inline]
    fn get(&self, number: usize) -> &Frame {
        let frame = match self.first.get(number) {
            Some(frame) => frame.get(),
            None => self.get_later(number),
        };
        frame.expect("a handle's frame stays")
    }

    #[inline(never)]
    fn get_later(&self, number: usize) -> Option<&Frame> {
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
