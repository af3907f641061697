//! The part of an allocator that handles refer to, and who gets it next.
//!
//! A handle may outlive its allocator, so something has to tell whether the
//! allocator is still there. A count of references would be written by every
//! allocation and every free, which costs as much as the placing itself.
//! Instead the core, without its tables, stays for the rest of the process:
//! when an allocator and all of its handles are gone, it serves the next one.

use alloc::{boxed::Box, sync::Arc};
use std::sync::{Mutex, OnceLock, PoisonError};

use super::{
    frame_id::{FrameId, NUMBER_BITS},
    locked::{Core, take_idle},
    magazine::Magazines,
    seat,
};
use crate::allocator::OffsetAllocator;

/// Frames whose place is always there: all that most processes have. Each
/// chunk has as many as all before it.
const FIRST_BITS: u32 = 6;
const FIRST_LEN: usize = 1 << FIRST_BITS;
const CHUNK_COUNT: usize = (NUMBER_BITS - FIRST_BITS) as usize;

/// The frames of the process, which stay once they are made.
static FRAMES: Frames = Frames::new();

/// What stays of an allocator: its core, its number, and a place in the list.
const BYTES_LEFT: usize = size_of::<Core>() + 4 * size_of::<&Core>();
const _: () = assert!(BYTES_LEFT < 1024, "less than a KiB stays of an allocator");

/// Gives an allocator a core, one that is idle if there is any.
pub(super) fn around(allocator: OffsetAllocator) -> (&'static Core, Arc<Magazines>) {
    let core = take_idle().unwrap_or_else(|| register(Core::new));
    (core, core.open(allocator))
}

/// Ends an allocator, of which nothing but handles may be left.
pub(super) fn close(core: &'static Core) {
    seat::stand_up(core.id);
    let mut state = core.lock();
    core.close(&mut state);
    core.retire(&mut state);
}

/// Returns the core of a frame.
#[inline]
pub(super) fn core_of(id: FrameId) -> &'static Core {
    FRAMES.get(id.number())
}

/// Makes a core, which is told its number, and gives it that number for good.
fn register(make: impl FnOnce(FrameId) -> Core) -> &'static Core {
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
