//! The atomics of the protocols between threads: those of loom where
//! its schedules are explored, otherwise those of the system.

#[cfg(loom)]
pub(crate) use loom::sync::atomic;
#[cfg(not(loom))]
pub(crate) use std::sync::atomic;
