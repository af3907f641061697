//! C interface of [`mc_arena`], [`mc_offset`] and [`mc_store`], for programs in C, C++, Python and
//! whatever else calls C.
//!
//! # Problem
//!
//! KV-cache stores are C++ and Python outside. They need the arena, the offset allocator and the store
//! above them in one library that they link or load, and they must not be able to corrupt it with a
//! stale handle.
//!
//! # Model
//!
//! ```text
//! include/mc_alloc.hpp   RAII classes, C++17          yours: C, ctypes, …
//! include/mc_store.hpp
//!          │                                                │
//!          ▼                                                ▼
//! include/mc_alloc.h     mc_offset_allocate(mc_offset{id}, size, &token) -> mc_status
//!          │
//!          ▼
//! registry, shelves      id ──> value, or an error: never a pointer that is followed
//!          │
//!          ▼
//! mc_arena, mc_offset,   the error they return ──> status, and a message for the thread
//! mc_store
//! ```
//!
//! `mc_alloc.h` is generated from this crate and checked in; all headers are meant to be read.
//!
//! # Guarantees
//!
//! - A handle is a number. One that is zero, was destroyed, or is of another kind is an error, also
//!   while another thread destroys it: a call in progress keeps what it uses. The exception is
//!   `mc_owned_allocate`, whose caller has to own the allocator.
//! - A token that was freed, belongs to another allocator, or had a bit changed is an error and
//!   changes nothing.
//! - A null pointer where a value is needed is an error. Nothing is allocated before all pointers
//!   have been looked at.
//! - No panic leaves the library: it becomes `MC_STATUS_INTERNAL`.
//! - Every function may be called from any thread.
//!
//! # Limits
//!
//! - Pointers that are neither null nor valid cannot be told apart from valid ones.
//! - `mc_owned` must not be copied, only moved: it exists for classes that free
//!   themselves and trades the check for the speed of a handle in Rust.
//! - Pools, puts and leases keep objects in place, not addresses: bytes that are read through a pointer
//!   while their segment is unmounted, or after a lease was released, are nobody's.
//! - What an arena handed out dangles once the arena is destroyed, as memory does in C.
//!
//! # How correctness is checked
//!
//! The programs of `tests/native` are compiled by `cargo xtask native`, which is part of
//! `cargo xtask ci`, with the system's compilers. They run under the address, undefined-behaviour and
//! thread sanitizers and under valgrind, as far as the machine has them. Those with threads run under
//! helgrind too, with a library whose atomics `helgrind.c` explains to it. `sequences.cpp` makes seeded
//! random calls in any order, with stale, foreign and damaged handles and tokens and null pointers,
//! against a map of what must be live; `store_model.cpp` does so with a store and the bytes in it.
//! `store_restart.cpp` kills a process that puts, and opens its store. `tests/header.rs` compares the checked-in header with what
//! cbindgen generates.

mod arena;
mod arena_options;
mod arguments;
mod buffers;
mod call;
#[cfg(test)]
mod declared;
mod descriptor;
mod exclusive;
mod fault;
mod figures;
mod key;
mod kind;
mod log;
mod offset;
mod offset_options;
mod offset_report;
mod offset_restore;
mod owned;
mod pool;
mod raw;
mod registry;
mod segment_options;
mod shelves;
mod slots;
mod status;
mod store;
mod store_chain;
mod store_events;
mod store_fault;
mod store_idle;
mod store_in_flight;
mod store_keys;
mod store_lease;
mod store_options;
mod store_place;
mod store_put;
mod store_replicas;
mod store_segments;
mod store_stats;
mod version;

pub use self::{
    arena::*, arena_options::*, buffers::*, call::*, descriptor::*, figures::*, key::*, log::*,
    offset::*, offset_options::*, offset_report::*, offset_restore::*, owned::*, pool::*,
    segment_options::*, slots::*, status::*, store::*, store_chain::*, store_events::*,
    store_idle::*, store_in_flight::*, store_keys::*, store_lease::*, store_options::*,
    store_place::*, store_put::*, store_replicas::*, store_segments::*, store_stats::*, version::*,
};
