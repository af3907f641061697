//! Where a thread finds its magazines: a few allocators by number.
//!
//! A magazine belongs to its allocator, which lists it under the lock. A
//! thread that frees into one keeps a reference in one of its seats, so that it
//! need not ask for it. A seat that another allocator of the thread takes over
//! costs a look into the list when the first one is used again.

use alloc::sync::Arc;
use core::cell::RefCell;

use super::{
    frame_id::FrameId,
    held::Held,
    magazine::{Magazines, Put},
    thread::thread_number,
};

/// Allocators whose magazines a thread finds at once, if their numbers differ
/// in the low bits.
#[cfg(not(loom))]
const SEAT_COUNT: usize = 16;
#[cfg(loom)]
const SEAT_COUNT: usize = 1;

/// A thread's magazine of one allocator.
struct Seat {
    frame: FrameId,
    /// Of the thread.
    number: usize,
    magazines: Arc<Magazines>,
}

#[cfg(not(loom))]
std::thread_local! {
    static SEATS: RefCell<[Option<Seat>; SEAT_COUNT]> =
        const { RefCell::new([const { None }; SEAT_COUNT]) };
}

#[cfg(loom)]
loom::thread_local! {
    static SEATS: RefCell<[Option<Seat>; SEAT_COUNT]> = RefCell::new([const { None }; SEAT_COUNT]);
}

/// Puts the block of a handle into the thread's magazine, if the thread has it
/// at hand; one that is ending has none.
// Never, and by reference, as in `Core::free`: dropping a handle saves no
// registers then, and what it frees is not copied on the way.
#[inline(never)]
pub(super) fn put(frame: FrameId, held: &Held) -> Put {
    let put = SEATS.try_with(|seats| match &seats.borrow()[frame.number() % SEAT_COUNT] {
        Some(seat) if seat.frame == frame => seat.magazines.get(seat.number).put(held.allocation()),
        _ => Put::Declined,
    });
    put.unwrap_or(Put::Declined)
}

/// Gives the thread's seat for an allocator to its magazines.
#[cold]
pub(super) fn sit_down(frame: FrameId, magazines: &Arc<Magazines>) {
    change_seat(frame, |seat| match seat {
        Some(seat) if Arc::ptr_eq(&seat.magazines, magazines) => None,
        _ => seat.replace(Seat {
            frame,
            number: thread_number(),
            magazines: Arc::clone(magazines),
        }),
    });
}

/// Gives up the thread's seat of an allocator, if it has one.
pub(super) fn stand_up(frame: FrameId) {
    change_seat(frame, |seat| seat.take_if(|seat| seat.frame == frame));
}

fn change_seat(frame: FrameId, change: impl FnOnce(&mut Option<Seat>) -> Option<Seat>) {
    // What was there is dropped after the seats are given back: it may be the
    // last reference.
    let before =
        SEATS.try_with(|seats| change(&mut seats.borrow_mut()[frame.number() % SEAT_COUNT]));
    drop(before);
}
