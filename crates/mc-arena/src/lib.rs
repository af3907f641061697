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
//!  a named file ── PoolOptions::file ──> Pool ── PoolBytes ──> ReadBytes, WriteBytes, DeviceBytes
//!                                                                     bytes that outlive the process
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
//! - [`Arena::allocate`] is one atomic addition for slices of at most 1/1024 of the arena and 4 MiB, and
//!   a compare-exchange, about twice as long, for larger ones: 1 MiB costs the addition in pools from
//!   1 GiB on. [`ThreadChunk::allocate`] needs no atomic. Neither takes a lock or makes a system call. A
//!   request that fits what is left is never refused, even while other threads are being refused.
//! - [`PagePolicy::Required`] never yields lesser pages. [`PagePolicy::Prefer`] steps down with one
//!   warning that says why, and [`Pool::tier`] tells what was obtained, as read back from the kernel.
//! - A pool is hidden from forked children and left out of core files. In a child, what a parent mapped
//!   is neither unmapped nor handed out: drops do nothing, allocations and claims are errors, and what
//!   lends references panics. A shared pool has one writer.
//! - A pool in a file keeps its bytes when its process ends, also by a kill, under the same
//!   [`Pool::epoch`]. One pool has the file at a time. A file that is cut short from outside is an
//!   error of the next claim; bytes that were lent before read as zero.
//! - A pool that is to be resident is refused before a limit of the machine or of a control group would
//!   have a process killed, also when several processes ask at once.
//! - Of the ranges that [`PoolBytes`] lends at one moment, none that is written shares a byte with
//!   another.
//! - A failed request for a pool leaves nothing mapped and says what to do.
//! - Events are logged at set-up and failure only; allocating logs nothing.
//!
//! # Limits
//!
//! Memory on 64-bit Linux from 4.14 on; elsewhere the crate compiles, and making a pool is
//! [`PoolError::Unsupported`]. What lies in the memory of this process is counted in `usize`: lengths,
//! ranges, alignments and sizes asked of an arena. What the system has, operators write and statistics
//! sum up is counted in `u64`. Memory is not given back one slice at a time: reset the arena, or place
//! objects in one large slice with an offset allocator. An arena covers at most 2^39 units of its
//! alignment (32 TiB at 64 bytes). Lazily populated reserved huge pages can raise SIGBUS when a cgroup
//! limit or a bound node runs out; eager population reports that as an error instead. A pool in a file
//! handles SIGBUS for its own addresses and passes the rest on to the handler before it. When more than
//! 16 threads pass the last 64th of an arena in the same instant, one of them may make the others wait
//! for a single swap.
//!
//! # How correctness is checked
//!
//! The cursor, the chunk hand-over and the publication of the process-wide arena are explored by loom
//! (`tests/loom.rs`); threads, forks, a second process, injected failures and the kernel's own account
//! of the mappings are exercised in `tests/`; two processes race for the memory of a control group, and
//! files are cut short under a pool. `unsafe` is confined to `mapping.rs`, the files below it, the
//! function that turns a claim into a slice, and the constructor for foreign memory.

#![cfg_attr(
    not(all(target_os = "linux", target_pointer_width = "64")),
    expect(dead_code, reason = "nothing is mapped there")
)]

mod arena;
pub mod budget;
pub mod buffers;
mod cgroup;
mod chunk;
pub mod config;
mod cursor;
mod discovery;
mod error;
pub mod hugepage;
mod numa;
mod options;
mod pages;
mod procfs;
mod publish;
pub mod size;
mod sync;
mod words;

/// What takes the kernel of Linux and addresses of 64 bits.
macro_rules! supported {
    ($($module:item)+) => {$(
        #[cfg(all(target_os = "linux", target_pointer_width = "64"))]
        $module
    )+};
}

supported! {
    mod bytes;
    mod mapping;
    mod memory;
    mod named;
    mod pool;
    mod populate;
    mod region;
    mod shared;
    mod tier;
    mod window;
}

/// The same types elsewhere, of which there are no values.
#[cfg(not(all(target_os = "linux", target_pointer_width = "64")))]
mod unsupported;
#[cfg(not(all(target_os = "linux", target_pointer_width = "64")))]
use crate::unsupported::{bytes, mapping, named, pool, shared};

pub use crate::{
    arena::{ALIGN_DEFAULT, Arena, ArenaError, ArenaStats, SliceError},
    buffers::{Buffer, BufferError},
    bytes::{DeviceBytes, PoolBytes, ReadBytes, WriteBytes},
    chunk::ThreadChunk,
    config::{ArenaConfig, ConfigError},
    discovery::SystemRoot,
    error::{PoolError, ReleaseError},
    mapping::{ClaimError, OtherProcess, Process},
    named::{Contents, FileError},
    numa::{NodeSegment, NumaPolicy},
    options::{Backing, MemoryLock, PoolOptions, Population},
    pages::{PagePolicy, PageSize, Tier},
    pool::{Pool, Residency},
    procfs::MissingLine,
    shared::{SharedView, ViewError},
    words::ParsePolicyError,
};

#[cfg(all(target_os = "linux", target_pointer_width = "64"))]
pub use crate::window::{FileWindow, WindowError};

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
