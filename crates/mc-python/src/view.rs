//! Shared pools of another process, to be read.

use std::{fs::File, path::PathBuf};

use mc_arena::SharedView;
use pyo3::{prelude::*, pyclass, types::PyBytes};

use crate::{errors, local::Local};

/// A mapping of the shared pool of another process.
#[pyclass(frozen, module = "mc_alloc._native")]
#[derive(Debug)]
pub(crate) struct MappedView {
    view: Local<SharedView>,
}

#[pymethods]
impl MappedView {
    #[new]
    /// Maps the pool behind a file, such as `/proc/self/fd/5`.
    fn new(py: Python<'_>, path: PathBuf) -> PyResult<Self> {
        let view = py.detach(|| {
            let file = File::open(path)?;
            Ok(SharedView::open(file))
        });
        let view = view.map_err(|error: std::io::Error| PyErr::from(error))?;
        let view = view.map_err(|error| errors::error(&error))?;
        Ok(Self {
            view: Local::new(view)?,
        })
    }

    #[getter]
    fn size(&self) -> PyResult<usize> {
        Ok(self.view.get()?.len())
    }

    /// Copies bytes out.
    fn read<'py>(
        &self,
        py: Python<'py>,
        offset: usize,
        size: usize,
    ) -> PyResult<Bound<'py, PyBytes>> {
        let view = self.view.get()?;
        let len = view.len();
        if offset.checked_add(size).is_none_or(|end| end > len) {
            return Err(errors::invalid(format!(
                "{size} bytes at {offset} are not in a view of {len}"
            )));
        }
        let bytes = py.detach(|| {
            let mut bytes = vec![0; size];
            view.read_at(offset, &mut bytes);
            bytes
        });
        Ok(PyBytes::new(py, &bytes))
    }
}
