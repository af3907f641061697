//! The part of an allocator that handles refer to, and who gets it next.
//!
//! A handle may outlive its allocator, so something has to tell whether the
//! allocator is still there. A count of references would be written by every
//! allocation and every free, which costs as much as the placing itself.
//! Instead the core, without its tables, stays for the rest of the process:
//! when an allocator and all of its handles are gone, it serves the next one.

#[cfg(not(loom))]
use alloc::vec::Vec;
#[cfg(not(loom))]
use std::sync::{Mutex, PoisonError};

use super::{
    frame_id,
    locked::{Core, State},
    seat,
};
use crate::allocator::OffsetAllocator;

/// Cores that no handle refers to.
#[cfg(not(loom))]
static IDLE: Mutex<Vec<&'static Core>> = Mutex::new(Vec::new());

/// What stays of an allocator: its core, its number, and a place in the list.
const BYTES_LEFT: usize = size_of::<Core>() + 4 * size_of::<&Core>();
const _: () = assert!(BYTES_LEFT < 1024, "less than a KiB stays of an allocator");

/// Gives an allocator a core, one that is idle if there is any.
pub(super) fn around(allocator: OffsetAllocator) -> &'static Core {
    let core = take_idle().unwrap_or_else(|| frame_id::register(Core::new));
    core.open(allocator);
    core
}

/// Ends an allocator, of which nothing but handles may be left.
pub(super) fn close(core: &'static Core) {
    seat::stand_up(core.id);
    let mut state = core.lock();
    core.close(&mut state);
    retire(core, &mut state);
}

/// Makes the core of a closed allocator idle if no handle is left.
#[cold]
pub(super) fn retire(core: &'static Core, state: &mut State) {
    if state.is_closing() && !state.has_handles() {
        state.clear();
        put_idle(core);
    }
}

#[cfg(not(loom))]
fn take_idle() -> Option<&'static Core> {
    let mut idle = IDLE.lock().unwrap_or_else(PoisonError::into_inner);
    let core = idle.pop();
    if idle.len() < idle.capacity() / 4 {
        let kept = 2 * idle.len();
        idle.shrink_to(kept);
    }
    core
}

#[cfg(not(loom))]
fn put_idle(core: &'static Core) {
    let mut idle = IDLE.lock().unwrap_or_else(PoisonError::into_inner);
    // Without room in the list the core is lost, which is what it would be
    // without a list.
    if idle.try_reserve(1).is_ok() {
        idle.push(core);
    }
}

/// What one execution of a model leaves is of no use to the next.
#[cfg(loom)]
fn take_idle() -> Option<&'static Core> {
    None
}

#[cfg(loom)]
fn put_idle(_: &'static Core) {}
