//! The class `Arena`.

use std::{ptr::NonNull, sync::Arc};

use mc_arena::Arena as Slices;
use pyo3::{prelude::*, pyclass, types::PyDict};

use crate::{
    arguments, buffer,
    detached::Detached,
    errors,
    memory::Memory,
    pool::{self, MappedPool},
};

/// Hands out a pool from its start to its end.
///
/// Buffers are zeroed and disjoint, and nothing is given back one by one: the memory is unmapped when
/// the arena and all its buffers are gone.
///
/// `Arena(size)` maps a pool of that many bytes, with the same `pages` and `populate` as a Pool;
/// `Arena(pool)` takes one over.
///
/// >>> import mc_alloc
/// >>> arena = mc_alloc.Arena(1 << 20, pages='off')
/// >>> first, second = arena.allocate(100), arena.allocate(100, align=4096)
/// >>> second.address % 4096, bytes(first) == bytes(100)
/// (0, True)
/// >>> arena.allocate(1 << 21)
/// Traceback (most recent call last):
/// ...
/// mc_alloc.NoSpace: no room for 2097152 bytes: 1044352 are free, the largest hole has 1044352
#[pyclass(frozen, module = "mc_alloc")]
#[derive(Debug)]
pub(crate) struct Arena {
    slices: Arc<Detached<Slices>>,
}

#[pymethods]
impl Arena {
    #[new]
    #[pyo3(signature = (pool_or_size, *, pages="prefer", populate="eager"))]
    fn new(
        py: Python<'_>,
        pool_or_size: &Bound<'_, PyAny>,
        pages: &str,
        populate: &str,
    ) -> PyResult<Self> {
        if let Some(mapped) = MappedPool::behind(pool_or_size) {
            if (pages, populate) != ("prefer", "eager") {
                return Err(errors::invalid(
                    "pages and populate are for an arena that maps its own pool; say them to the Pool",
                ));
            }
            let slices = mapped.get().arena()?;
            return Ok(Self { slices });
        }
        let options = pool::options(arguments::whole(pool_or_size)?, pages, populate)?;
        let pool = py.detach(|| options.map()).map_err(errors::pool)?;
        let slices = Detached::new(Slices::new(pool).map_err(errors::error)?);
        let slices = Arc::new(slices);
        Ok(Self { slices })
    }

    /// Returns `n` zeroed bytes as a Buffer, at an address that is a multiple of `align`, a power of
    /// two.
    ///
    /// Raises `NoSpace` if less is left.
    #[pyo3(signature = (n, align=64))]
    fn allocate<'py>(
        &self,
        py: Python<'py>,
        #[pyo3(from_py_with = arguments::whole)] n: usize,
        #[pyo3(from_py_with = arguments::whole)] align: usize,
    ) -> PyResult<Bound<'py, PyAny>> {
        let slices = &self.slices;
        let slice = slices.allocate_aligned(n, align).map_err(errors::slice)?;
        let start = NonNull::from(slice).cast();
        let process = *slices.pool().process();
        let memory = Memory::new(start, n, process, Arc::<Detached<Slices>>::clone(slices));
        buffer::of(py, memory)
    }

    /// Address of the pool.
    #[getter]
    fn address(&self) -> usize {
        self.slices.pool().as_ptr().addr()
    }

    /// Bytes of the pool.
    #[getter]
    fn size(&self) -> usize {
        self.slices.pool().len()
    }

    /// The pages that the pool obtained, in words.
    #[getter]
    fn tier(&self) -> String {
        self.slices.pool().tier().to_string()
    }

    /// Returns what has been handed out: a dict of numbers.
    fn stats<'py>(&self, py: Python<'py>) -> PyResult<Bound<'py, PyDict>> {
        let stats = self.slices.stats();
        let dict = PyDict::new(py);
        dict.set_item("capacity_bytes", stats.capacity_bytes)?;
        dict.set_item("reserved_bytes", stats.reserved_bytes)?;
        dict.set_item("allocations", stats.allocations)?;
        dict.set_item("refusals", stats.refusals)?;
        Ok(dict)
    }
}
