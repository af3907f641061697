//! Shared pools of another process, to be read.

use std::{fs::File, io, path::PathBuf};

use mc_arena::SharedView;
use pyo3::{prelude::*, pyclass, types::PyBytes};

use crate::{arguments, errors, local::Local, source};

/// A mapping of the shared pool of another process.
#[pyclass(frozen, module = "mc_alloc._native")]
#[derive(Debug)]
pub(crate) struct MappedView {
    view: Local<SharedView>,
}

#[pymethods]
impl MappedView {
    /// Maps the pool behind a file, such as `/proc/self/fd/5`.
    #[new]
    fn new(py: Python<'_>, path: PathBuf) -> PyResult<Self> {
        let named =
            |error: io::Error| io::Error::new(error.kind(), format!("{}: {error}", path.display()));
        let view = py.detach(|| File::open(&path).map(SharedView::open));
        let view = view.map_err(named)?.map_err(errors::error)?;
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
        #[pyo3(from_py_with = arguments::whole)] offset: usize,
        #[pyo3(from_py_with = arguments::whole)] size: usize,
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
        source::copied(py, &bytes)
    }
}
