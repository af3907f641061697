//! The class `Lease`.

use std::sync::{Mutex, MutexGuard, PoisonError};

use mc_store::Lease as Held;
use pyo3::{
    prelude::*,
    pyclass,
    types::{PyBytes, PyList, PyTuple},
};

use crate::{
    answers, errors,
    local::Local,
    source::{self, Source},
};

/// An object of a store that stays where it is until this is released or collected.
///
/// In a `with` block, it is released at the end.
#[pyclass(frozen, module = "mc_alloc")]
#[derive(Debug)]
pub(crate) struct Lease {
    /// `None` once it is released. Locked for as long as it takes to clone it or to take it.
    held: Local<Mutex<Option<Held>>>,
}

#[pymethods]
impl Lease {
    /// The key.
    #[getter]
    fn key<'py>(&self, py: Python<'py>) -> PyResult<Bound<'py, PyBytes>> {
        Ok(PyBytes::new(py, self.held()?.key()))
    }

    /// Bytes of the object.
    #[getter]
    fn size(&self) -> PyResult<u64> {
        Ok(self.held()?.size())
    }

    /// Bytes of each part.
    #[getter]
    fn parts(&self) -> PyResult<Vec<u64>> {
        Ok(self.held()?.parts().collect())
    }

    /// Where the readable replicas are: a list of dicts, one for each part of each.
    #[getter]
    fn descriptors<'py>(&self, py: Python<'py>) -> PyResult<Bound<'py, PyList>> {
        answers::descriptors(py, &self.held()?.descriptors())
    }

    /// Returns a copy of the bytes, the parts one after another. Raises Unreadable if no replica is in memory of this process.
    fn read<'py>(&self, py: Python<'py>) -> PyResult<Bound<'py, PyBytes>> {
        let held = self.held()?;
        let bytes = py.detach(|| held.read()).map_err(errors::read)?;
        source::copied(py, &bytes)
    }

    /// Copies the bytes to the front of a writable buffer, such as a `numpy` array; returns how many.
    ///
    /// Raises Unreadable if no replica is in memory of this process.
    fn readinto(&self, py: Python<'_>, buffer: &Bound<'_, PyAny>) -> PyResult<usize> {
        let held = self.held()?;
        let mut into = Source::writable(buffer)?;
        let (size, len) = (held.size(), into.len());
        let size = usize::try_from(size).ok().filter(|&size| size <= len);
        let size = size.ok_or_else(|| {
            errors::invalid(format!(
                "a buffer of {len} bytes for an object of {}",
                held.size()
            ))
        })?;
        let bytes = &mut into.bytes_mut()[..size];
        py.detach(|| held.read_at(0, bytes)).map_err(errors::read)?;
        Ok(size)
    }

    /// Ends the lease; a second time it does nothing. A time that was asked for goes on.
    fn release(&self, py: Python<'_>) -> PyResult<()> {
        let held = self.lock()?.take();
        py.detach(|| drop(held));
        Ok(())
    }

    fn __enter__(slf: PyRef<'_, Self>) -> PyRef<'_, Self> {
        slf
    }

    #[pyo3(signature = (*_how))]
    fn __exit__(&self, py: Python<'_>, _how: &Bound<'_, PyTuple>) -> PyResult<()> {
        self.release(py)
    }
}

impl Lease {
    pub(crate) fn new(held: Held, process: mc_arena::Process) -> Self {
        Self {
            held: Local::of(process, Mutex::new(Some(held))),
        }
    }

    fn lock(&self) -> PyResult<MutexGuard<'_, Option<Held>>> {
        let held = self.held.get()?.lock();
        Ok(held.unwrap_or_else(PoisonError::into_inner))
    }

    /// Returns a lease beside this one, so that a release meanwhile ends neither early.
    fn held(&self) -> PyResult<Held> {
        let held = self.lock()?.clone();
        held.ok_or_else(|| errors::message("the lease is released"))
    }
}
