//! Values that belong to the process that made them.

use std::mem;

use mc_arena::Process;
use pyo3::PyResult;

use crate::errors;

/// A value that is neither used nor dropped in a child that was forked since it was made.
///
/// A lock inside may be held by a thread that the child does not have, and a thread that is to be
/// joined does not exist there: so the child leaves the value as it is.
#[derive(Debug)]
pub(crate) struct Local<T> {
    process: Process,
    /// `None` only while it is dropped.
    value: Option<T>,
}

impl<T> Local<T> {
    pub(crate) fn new(value: T) -> PyResult<Self> {
        Ok(Self::of(errors::this_process()?, value))
    }

    pub(crate) fn of(process: Process, value: T) -> Self {
        Self {
            process,
            value: Some(value),
        }
    }

    /// Returns the value, unless this is a child.
    #[inline]
    pub(crate) fn get(&self) -> PyResult<&T> {
        self.process.check().map_err(errors::other_process)?;
        Ok(self.value.as_ref().expect("it is taken by the drop alone"))
    }

    #[inline]
    pub(crate) fn get_mut(&mut self) -> PyResult<&mut T> {
        self.process.check().map_err(errors::other_process)?;
        Ok(self.value.as_mut().expect("it is taken by the drop alone"))
    }

    #[inline]
    pub(crate) fn process(&self) -> Process {
        self.process
    }
}

impl<T> Drop for Local<T> {
    #[expect(
        clippy::mem_forget,
        reason = "in a child, dropping may wait for threads that only the parent has"
    )]
    #[inline]
    fn drop(&mut self) {
        if !self.process.is_current() {
            mem::forget(self.value.take());
        }
    }
}
