//! The class `Put`.

use std::sync::{Mutex, MutexGuard, PoisonError};

use mc_store::{Put as Pending, WriteError};
use pyo3::{
    prelude::*,
    pyclass,
    types::{PyBytes, PyList, PyTuple},
};

use crate::{answers, arguments, detached::Detached, errors, local::Local, source::Source};

/// Space for an object that is being written.
///
/// In a `with` block, it is committed at the end, or given back if the block raises. Collected without a
/// commit, it is given back too.
#[pyclass(frozen, module = "mc_alloc")]
#[derive(Debug)]
pub(crate) struct Put {
    pending: Local<Mutex<Writing>>,
    size: u64,
}

#[derive(Debug)]
struct Writing {
    /// `None` once it is committed or given back.
    put: Option<Detached<Pending>>,
    /// Where the next write begins.
    position: u64,
}

#[pymethods]
impl Put {
    /// The key.
    #[getter]
    fn key<'py>(&self, py: Python<'py>) -> PyResult<Bound<'py, PyBytes>> {
        let writing = self.lock(py)?;
        Ok(PyBytes::new(py, writing.put()?.key()))
    }

    /// Bytes of the object.
    #[getter]
    fn size(&self) -> u64 {
        self.size
    }

    /// Where the replicas are, for writers elsewhere: a list of dicts, one for each part of each. Empty if
    /// the deadline has passed.
    #[getter]
    fn descriptors<'py>(&self, py: Python<'py>) -> PyResult<Bound<'py, PyList>> {
        let descriptors = self.lock(py)?.put()?.descriptors();
        answers::descriptors(py, &descriptors)
    }

    /// Writes bytes to every replica, behind those written before, or at `offset`; returns how many. The
    /// bytes of the parts follow one another.
    ///
    /// Raises Unreadable if a replica is not in memory of this process.
    #[pyo3(signature = (data, offset=None))]
    fn write(
        &self,
        py: Python<'_>,
        data: &Bound<'_, PyAny>,
        #[pyo3(from_py_with = arguments::whole_if_any)] offset: Option<u64>,
    ) -> PyResult<usize> {
        let source = Source::of(data)?;
        let bytes = source.bytes();
        let pending = self.pending.get()?;
        py.detach(|| {
            let mut writing = pending.lock().unwrap_or_else(PoisonError::into_inner);
            let offset = offset.unwrap_or(writing.position);
            let put = writing.put.as_mut().ok_or(Refused::Over)?;
            put.write(offset, bytes).map_err(Refused::Write)?;
            writing.position = offset + bytes.len() as u64;
            Ok(())
        })
        .map_err(Refused::exception)?;
        Ok(bytes.len())
    }

    /// Makes the object readable. Raises Error if the deadline has passed.
    fn commit(&self, py: Python<'_>) -> PyResult<()> {
        let put = self.lock(py)?.put.take();
        let put = put.ok_or_else(|| Refused::Over.exception())?;
        let put = put.into_inner();
        py.detach(|| put.commit()).map_err(errors::commit)
    }

    /// Gives space and key back; does nothing once the put is over.
    fn abort(&self, py: Python<'_>) -> PyResult<()> {
        let put = self.lock(py)?.put.take();
        drop(put);
        Ok(())
    }

    fn __enter__(slf: PyRef<'_, Self>) -> PyRef<'_, Self> {
        slf
    }

    #[pyo3(signature = (kind, *_how))]
    fn __exit__(
        &self,
        py: Python<'_>,
        kind: &Bound<'_, PyAny>,
        _how: &Bound<'_, PyTuple>,
    ) -> PyResult<()> {
        if !kind.is_none() {
            return self.abort(py);
        }
        let is_over = self.lock(py)?.put.is_none();
        if is_over { Ok(()) } else { self.commit(py) }
    }
}

impl Put {
    pub(crate) fn new(put: Pending, size: u64, process: mc_arena::Process) -> Self {
        let writing = Writing {
            put: Some(Detached::new(put)),
            position: 0,
        };
        Self {
            pending: Local::of(process, Mutex::new(writing)),
            size,
        }
    }

    /// Locks the put. A thread that writes has it for long, so the lock of the interpreter is not held
    /// meanwhile.
    fn lock(&self, py: Python<'_>) -> PyResult<MutexGuard<'_, Writing>> {
        let pending = self.pending.get()?;
        if let Ok(writing) = pending.try_lock() {
            return Ok(writing);
        }
        // The guard cannot change threads: it is taken again, now with little to wait for.
        py.detach(|| drop(pending.lock()));
        Ok(pending.lock().unwrap_or_else(PoisonError::into_inner))
    }
}

impl Writing {
    fn put(&self) -> PyResult<&Pending> {
        match &self.put {
            Some(put) => Ok(put),
            None => Err(Refused::Over.exception()),
        }
    }
}

/// Why bytes were not written.
enum Refused {
    Over,
    Write(WriteError),
}

impl Refused {
    fn exception(self) -> PyErr {
        match self {
            Self::Over => errors::message("the put is committed or given back"),
            Self::Write(error) => errors::write(error),
        }
    }
}
