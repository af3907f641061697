//! The parts of an allocator that handles refer to, and who gets them next.
//!
//! A handle may outlive its allocator, so something has to tell whether the
//! allocator is still there. A count of references would be written by every
//! allocation and every free, which costs as much as the placing itself.
//! Instead these parts stay for the rest of the process: when an allocator and
//! all of its handles are gone, they serve the next one.

use alloc::{boxed::Box, vec::Vec};
use core::mem::ManuallyDrop;
#[cfg(not(loom))]
use std::sync::{Mutex, PoisonError};

use super::{
    HOME_COUNT,
    home::Home,
    home_id::{self, HomeId},
    locked::{Core, State, settle_free},
};
use crate::allocator::OffsetAllocator;

/// One core and its homes.
#[derive(Clone, Copy)]
pub(super) struct Frame {
    pub(super) core: &'static Core,
    pub(super) homes: &'static [Home; HOME_COUNT],
}

/// Frames that no handle refers to.
#[cfg(not(loom))]
static IDLE: Mutex<Vec<Frame>> = Mutex::new(Vec::new());

impl Frame {
    /// Gives an allocator a frame, if there is one that is idle, and a new one
    /// otherwise.
    pub(super) fn around(allocator: OffsetAllocator) -> Self {
        match take_idle() {
            Some(frame) => {
                frame.core.open(allocator);
                frame
            }
            None => home_id::register(|number| Self::new(number, allocator)),
        }
    }

    fn new(number: usize, allocator: OffsetAllocator) -> Self {
        let core: &'static Core = Box::leak(Box::new(Core::new(allocator)));
        // Made one by one: all of them are too much for some stacks.
        let home = |flag| Home::new(HomeId::new(number, flag), flag, core);
        let homes: Vec<Home> = (0..HOME_COUNT).map(home).collect();
        let homes: &'static [Home] = homes.leak();
        Self {
            core,
            homes: homes.try_into().expect("as many as there are flags"),
        }
    }

    /// Ends the allocator, of which nothing but handles may be left.
    pub(super) fn close(self) {
        let mut state = self.core.lock();
        for home in self.homes {
            // Never dropped, so that the magazine stays occupied: what is freed
            // from here on goes to the core.
            let drain = ManuallyDrop::new(home.magazine.drain());
            for block in drain.blocks() {
                settle_free(state.allocator.free(block));
            }
            drain.finish(&self.core.flags, home.flag);
        }
        self.core.close();
        state.closing = Some(self);
        Self::retire(&mut state);
    }

    /// Makes the frame of a closed allocator idle if no handle is left.
    #[cold]
    pub(super) fn retire(state: &mut State) {
        if !state.has_handles()
            && let Some(frame) = state.closing.take()
        {
            // Gives back what tokens still hold; without heap for the empty
            // tables, the next allocator does.
            let _ = state.allocator.reset();
            for home in frame.homes {
                home.magazine.reopen();
            }
            put_idle(frame);
        }
    }
}

#[cfg(not(loom))]
fn take_idle() -> Option<Frame> {
    IDLE.lock().unwrap_or_else(PoisonError::into_inner).pop()
}

#[cfg(not(loom))]
fn put_idle(frame: Frame) {
    let mut idle = IDLE.lock().unwrap_or_else(PoisonError::into_inner);
    // Without room in the list the frame is lost, which is what it would be
    // without a list.
    if idle.try_reserve(1).is_ok() {
        idle.push(frame);
    }
}

/// What one execution of a model leaves is of no use to the next.
#[cfg(loom)]
fn take_idle() -> Option<Frame> {
    None
}

#[cfg(loom)]
fn put_idle(_: Frame) {}
