//! The native half of the Python package `mc_alloc`.
//!
//! Python programs import `mc_alloc`, whose files are in `python/mc_alloc`; it gets everything that
//! is not plain Python from the module `_native`, which is this crate. Each class wraps one type of the
//! crates below it and adds no rule of its own:
//!
//! ```text
//!  mc_alloc (Python)     Pool, SharedView, exceptions with numbers, types for checkers
//!        │
//!        ▼
//!  mc_alloc._native      offset     arena, pool       store, put, lease, clock
//!        │                  │            │                   │
//!        │                  │         memory ──> buffer      │      local: not in a child
//!        ▼                  ▼            ▼                   ▼
//!  crates below          mc_offset   mc_arena          mc_store, mc_segment
//! ```
//!
//! Whatever can wait, for memory, a disk, another thread or a long search, runs without the lock of the
//! interpreter. The calls of `OffsetAllocator` keep it, so that the lock inside an allocator is never
//! waited for. Every object remembers the process that made it: in a child that was forked since, its
//! calls are errors, and collecting it gives nothing back. Classes and exceptions are made once, so that
//! one interpreter of a process has the module.
//!
//! `unsafe` is in `buffer.rs`, which offers memory by the buffer protocol, and in `source.rs`, which
//! reads what other objects offer and makes bytes.

mod answers;
mod arena;
mod arguments;
mod buffer;
mod clock;
mod detached;
mod errors;
mod lease;
mod local;
mod memory;
mod offset;
mod pool;
mod put;
mod raw;
mod segments;
mod source;
mod stats;
mod store;
mod view;

/// What Python imports as `mc_alloc._native`.
#[pyo3::pymodule]
#[pyo3(name = "_native")]
mod native {
    use pyo3::prelude::*;

    #[pymodule_export]
    use crate::{
        arena::Arena,
        clock::ManualClock,
        lease::Lease,
        memory::Memory,
        offset::{Allocation, OffsetAllocator},
        pool::MappedPool,
        put::Put,
        store::Store,
        view::MappedView,
    };

    #[pymodule_init]
    fn init(module: &Bound<'_, PyModule>) -> PyResult<()> {
        crate::buffer::check_interpreter()?;
        module.add("Buffer", crate::buffer::class(module.py())?)?;
        module.add("__version__", env!("CARGO_PKG_VERSION"))
    }
}
