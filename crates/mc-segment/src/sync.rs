//! The synchronisation primitives of the gate, switched between std and loom,
//! so that the models in `tests/loom.rs` explore the very code that ships.

#[cfg(not(loom))]
pub(crate) use std::sync::{
    Condvar, Mutex, PoisonError,
    atomic::{AtomicU64, Ordering},
};

#[cfg(loom)]
pub(crate) use loom::sync::{
    Condvar, Mutex,
    atomic::{AtomicU64, Ordering},
};
#[cfg(loom)]
pub(crate) use std::sync::PoisonError;
