//! Memory for a key-value cache store: one large mapping in huge pages, handed out by an atomic
//! addition.
//!
//! # Problem
//!
//! A KV-cache store keeps terabytes of attention keys and values in host memory and moves them with
//! devices that want the memory registered once, resident, in huge pages, near the right socket, and
//! out of sight of forked children. Mapping each buffer by itself costs system calls, page faults and
//! registrations; most allocators then write their own book-keeping into the memory they manage.
//!
//! # Model
//!
//! ```text
//!  PoolOptions ── map ──> Pool                            one mapping, tier reported and verified
//!                          │
//!                          ▼
//!                        Arena   |###|##|####|....................|   any thread, `&self`
//!                          │                 ^ cursor: one atomic word
//!                          ├── allocate(size) ────────> &mut [u8]     zeroed, lives as long as the arena
//!                          └── thread_chunk(bytes) ───> ThreadChunk   one lease, then no atomics
//!
//!  environment ── ArenaConfig ──> buffers::allocate ──> Buffer        arena first, else a mapping of its own
//! ```
//!
//! # Example
//!
//! ```
#![doc = include_str!("../examples/two_threads.rs")]
//! ```
//!
//! # Guarantees
//!
//! - Slices of an arena are disjoint, zeroed, and aligned to the *address* asked for; safe code cannot
//!   make two that overlap, nor keep one across [`Arena::reset`].
//! - [`Arena::allocate`] is one atomic addition and [`ThreadChunk::allocate`] none; neither takes a
//!   lock or makes a system call. A request that fits what is left is never refused, also while other
//!   threads are being refused.
//! - [`PagePolicy::Required`] never yields lesser pages. [`PagePolicy::Prefer`] steps down with one
//!   warning that says why, and [`Pool::tier`] tells what was obtained, as read back from the kernel.
//! - A pool is hidden from forked children and left out of core files. A shared pool has one writer.
//! - Of the ranges that [`PoolBytes`] lends at one moment, none that is written shares a byte with
//!   another.
//! - A failed request for a pool leaves nothing mapped and says what to do.
//! - Events are logged at set-up and failure only; allocating logs nothing.
//!
//! # Limits
//!
//! Linux on 64-bit machines. Memory is not given back one slice at a time: reset the arena, or place
//! objects in one large slice with an offset allocator. An arena covers at most 2^39 units of its
//! alignment (32 TiB at 64 bytes). Lazily populated reserved huge pages can raise SIGBUS when a cgroup
//! limit or a bound node runs out; eager population reports that as an error instead. When more than
//! 256 threads pass the last 64th of an arena in the same instant, one of them may make the others wait
//! for a single swap.
//!
//! # How correctness is checked
//!
//! The cursor, the chunk hand-over and the publication of the process-wide arena are explored by loom
//! (`tests/loom.rs`); threads, forks, a second process, injected failures and the kernel's own account
//! of the mappings are exercised in `tests/`. `unsafe` is confined to `mapping.rs`, the file below it,
//! and the function that turns a claim into a slice.

#[cfg(not(all(target_os = "linux", target_pointer_width = "64")))]
compile_error!("mc-arena relies on Linux system calls and 64-bit addresses");

mod arena;
pub mod budget;
pub mod buffers;
mod bytes;
mod cgroup;
mod chunk;
pub mod config;
mod cursor;
mod discovery;
mod error;
pub mod hugepage;
mod mapping;
mod memory;
mod named;
mod numa;
mod options;
mod pages;
mod pool;
mod populate;
mod procfs;
mod publish;
mod shared;
pub mod size;
mod sync;
mod tier;
mod window;

pub use crate::{
    arena::{ALIGN_DEFAULT, AllocError, Arena, ArenaError, ArenaStats},
    buffers::{Buffer, BufferError},
    bytes::{DeviceBytes, PoolBytes, ReadBytes, WriteBytes},
    chunk::ThreadChunk,
    config::{ArenaConfig, ConfigError},
    discovery::SystemRoot,
    error::PoolError,
    mapping::{ClaimError, OtherProcess, Process},
    named::{Contents, FileError},
    numa::{NodeSegment, NumaPolicy},
    options::{Backing, MemoryLock, PoolOptions, Population},
    pages::{PagePolicy, PageSize, Tier},
    pool::{Pool, Residency},
    procfs::MissingLine,
    shared::{SharedView, ViewError},
    window::{FileWindow, WindowError},
};

/// The lock-free parts by themselves, for `tests/loom.rs`.
#[cfg(loom)]
pub mod model {
    pub use crate::{
        cursor::{Claim, Cursor, Exhausted},
        publish::PublishOnce,
    };
}

/// The examples of the README, compiled and run with the other documentation tests.
#[cfg(doctest)]
#[doc = include_str!("../README.md")]
mod readme {}
