//! Bytes that are mapped for as long as somebody holds them.

use std::{any::Any, ptr::NonNull, sync::Arc};

use mc_arena::Process;
use pyo3::{prelude::*, pyclass};

use crate::errors;

/// A range of bytes and what keeps it mapped.
///
/// It has no methods: a `Buffer` is made of it, which offers the bytes.
#[pyclass(frozen, module = "mc_alloc._native")]
#[derive(Debug)]
pub(crate) struct Memory {
    start: usize,
    size: usize,
    process: Process,
    /// Keeps the bytes mapped; in a child it does nothing when it is dropped.
    _keeper: Arc<dyn Any + Send + Sync>,
}

impl Memory {
    pub(crate) fn new(
        start: NonNull<u8>,
        size: usize,
        process: Process,
        keeper: Arc<dyn Any + Send + Sync>,
    ) -> Self {
        Self {
            start: start.as_ptr().expose_provenance(),
            size,
            process,
            _keeper: keeper,
        }
    }

    /// Returns the address of the first byte.
    pub(crate) fn address(&self) -> usize {
        self.start
    }

    /// Returns how many bytes there are.
    pub(crate) fn size(&self) -> usize {
        self.size
    }

    /// Refuses in a child, where the bytes are not mapped.
    pub(crate) fn check(&self) -> PyResult<()> {
        self.process.check().map_err(errors::other_process)
    }
}
