//! The classes `OffsetAllocator` and `Allocation`.

use mc_arena::Process;
use mc_offset::{Handle, Options, SharedAllocator};
use pyo3::{
    prelude::*,
    pyclass,
    types::{PyDict, PyList},
};

use crate::{arguments, errors, local::Local};

/// Places objects in a range of `capacity` bytes that it never touches.
///
/// `fit` is the rule by which a hole is chosen: adaptive, good, good:PROBES, bin-exact or bin-ceil.
/// Sizes are charged in multiples of `granule`; `max_allocations` limits how many are live at once.
///
/// >>> import mc_alloc
/// >>> allocator = mc_alloc.OffsetAllocator(1 << 20, base=1 << 40)
/// >>> page = allocator.allocate(524305)
/// >>> page.offset, page.address == 1 << 40, page.size
/// (0, True, 524305)
/// >>> allocator.allocate(600000)
/// Traceback (most recent call last):
/// ...
/// mc_alloc.NoSpace: no room for 600000 bytes: 524271 are free, the largest hole has 524271
/// >>> del page  # frees it
/// >>> allocator.report()['free_bytes'] == 1 << 20
/// True
#[pyclass(module = "mc_alloc")]
#[derive(Debug)]
pub(crate) struct OffsetAllocator {
    places: Local<SharedAllocator>,
    options: Options,
    base: u64,
}

/// An allocation of an `OffsetAllocator`, freed when it is collected.
///
/// It may outlive its allocator.
#[pyclass(module = "mc_alloc")]
#[derive(Debug)]
pub(crate) struct Allocation {
    /// `None` once it is freed.
    handle: Local<Option<Handle>>,
    offset: u64,
    size: u64,
    base: u64,
}

#[pymethods]
impl OffsetAllocator {
    #[new]
    #[pyo3(signature = (capacity, base=0, fit="adaptive", granule=1, max_allocations=None))]
    fn new(
        #[pyo3(from_py_with = arguments::whole)] capacity: u64,
        #[pyo3(from_py_with = arguments::whole)] base: u64,
        fit: &str,
        #[pyo3(from_py_with = arguments::whole)] granule: u64,
        #[pyo3(from_py_with = arguments::whole_if_any)] max_allocations: Option<u32>,
    ) -> PyResult<Self> {
        let options = Options {
            capacity,
            granule,
            fit: arguments::fit(fit)?,
            max_allocations,
        };
        let places = SharedAllocator::with_options(options).map_err(errors::refused)?;
        places.set_base(base).map_err(errors::refused)?;
        Ok(Self {
            places: Local::new(places)?,
            options,
            base,
        })
    }

    /// Returns an Allocation of `size` bytes at an offset that is a multiple of `align`, a power of two.
    ///
    /// Raises `NoSpace` with what was asked for, what is free and the largest hole.
    #[pyo3(signature = (size, align=1))]
    fn allocate(
        &self,
        #[pyo3(from_py_with = arguments::whole)] size: u64,
        #[pyo3(from_py_with = arguments::whole)] align: u64,
    ) -> PyResult<Allocation> {
        let places = self.places.get()?;
        let handle = match align {
            1 => places.allocate(size),
            align => places.allocate_aligned(size, align),
        };
        let handle = handle.map_err(|error| errors::allocate(error, size, || places.report()))?;
        Ok(self.allocation(handle))
    }

    /// Returns an Allocation for each of `sizes`, all or none.
    #[pyo3(signature = (sizes, align=1))]
    fn allocate_many<'py>(
        &self,
        py: Python<'py>,
        #[pyo3(from_py_with = arguments::sizes_of_list)] sizes: Vec<u64>,
        #[pyo3(from_py_with = arguments::whole)] align: u64,
    ) -> PyResult<Bound<'py, PyList>> {
        let places = self.places.get()?;
        let refused = |error, size| errors::allocate(error, size, || places.report());
        let handles = match align {
            1 => places.allocate_batch(&sizes).map_err(|error| {
                let asked = sizes.iter().copied().max().unwrap_or(0);
                refused(error, asked)
            })?,
            align => sizes
                .iter()
                .map(|&size| {
                    let handle = places.allocate_aligned(size, align);
                    handle.map_err(|error| refused(error, size))
                })
                .collect::<PyResult<_>>()?,
        };
        self.allocations(py, handles)
    }

    /// Frees allocations, of this allocator or others, at the cost of one lock.
    ///
    /// Raises Error if one is freed already; the others are freed all the same.
    fn free_many(&self, allocations: &Bound<'_, PyAny>) -> PyResult<()> {
        self.places.get()?;
        // All are looked at before the first is freed.
        let found = arguments::list(allocations, |allocation| {
            let allocation = allocation.cast_into::<Allocation>()?;
            allocation.borrow().handle.get()?;
            Ok(allocation)
        })?;
        let mut handles = Vec::with_capacity(found.len());
        let mut is_freed = false;
        for allocation in found {
            match allocation.borrow_mut().handle.get_mut()?.take() {
                Some(handle) => handles.push(handle),
                None => is_freed = true,
            }
        }
        Handle::free_all(handles);
        if is_freed {
            return Err(errors::message("an allocation was freed already"));
        }
        Ok(())
    }

    /// Returns an Allocation of the `size` bytes at exactly `offset`.
    ///
    /// Raises `Occupied`, a `NoSpace`, with the first allocation that is in the way.
    fn allocate_at(
        &self,
        #[pyo3(from_py_with = arguments::whole)] offset: u64,
        #[pyo3(from_py_with = arguments::whole)] size: u64,
    ) -> PyResult<Allocation> {
        let places = self.places.get()?;
        let handle = places.allocate_at(offset, size);
        let handle = handle.map_err(|error| errors::place(error, size, || places.report()))?;
        Ok(self.allocation(handle))
    }

    /// Makes every (offset, size) of the list `entries` an allocation, in an allocator that has none.
    ///
    /// Returns the allocations in the order of the entries. Raises `InvalidArgument`, which names
    /// the entry at fault; nothing has changed then.
    fn restore<'py>(
        slf: &Bound<'py, Self>,
        #[pyo3(from_py_with = arguments::pairs)] entries: Vec<(u64, u64)>,
    ) -> PyResult<Bound<'py, PyList>> {
        // Borrowed only now: a generator of entries may ask the allocator for its base.
        let mut own = slf.try_borrow_mut()?;
        let live = own.places.get()?.report().allocation_count;
        if live > 0 {
            return Err(errors::message(format!(
                "{live} allocations are live; an allocator is restored while it has none"
            )));
        }
        let restored = SharedAllocator::restore_from(own.options, entries.iter().copied());
        let (places, handles) = restored.map_err(errors::refused)?;
        places.set_base(own.base).map_err(errors::refused)?;
        *own.places.get_mut()? = places;
        drop(own);
        slf.try_borrow()?.allocations(slf.py(), handles)
    }

    /// Returns the state in numbers: a dict.
    fn report<'py>(&self, py: Python<'py>) -> PyResult<Bound<'py, PyDict>> {
        let report = self.places.get()?.report();
        let dict = PyDict::new(py);
        dict.set_item("capacity", report.capacity)?;
        dict.set_item("live_bytes", report.live_bytes)?;
        dict.set_item("charged_bytes", report.charged_bytes)?;
        dict.set_item("free_bytes", report.free_bytes)?;
        dict.set_item("largest_hole", report.largest_hole)?;
        dict.set_item("allocation_count", report.allocation_count)?;
        dict.set_item("hole_count", report.hole_count)?;
        dict.set_item("metadata_bytes", report.metadata_bytes)?;
        dict.set_item("utilization", report.utilization())?;
        dict.set_item("fragmentation", report.fragmentation())?;
        Ok(dict)
    }

    /// Rebuilds everything that the allocator derives and compares: an aid for tests.
    fn check_invariants(&self) -> PyResult<()> {
        let places = self.places.get()?;
        places.inspect(mc_offset::OffsetAllocator::check_invariants);
        Ok(())
    }

    /// Bytes of the range.
    #[getter]
    fn capacity(&self) -> u64 {
        self.options.capacity
    }

    /// Address of the range.
    #[getter]
    fn base(&self) -> u64 {
        self.base
    }

    fn __repr__(&self) -> String {
        let Self { options, base, .. } = self;
        format!(
            "OffsetAllocator(capacity={}, base={base:#x})",
            options.capacity
        )
    }
}

impl OffsetAllocator {
    #[inline]
    fn allocation(&self, handle: Handle) -> Allocation {
        Allocation::new(handle, self.places.process(), self.base)
    }

    fn allocations<'py>(
        &self,
        py: Python<'py>,
        handles: Vec<Handle>,
    ) -> PyResult<Bound<'py, PyList>> {
        let objects = handles
            .into_iter()
            .map(|handle| Bound::new(py, self.allocation(handle)));
        PyList::new(py, objects.collect::<PyResult<Vec<_>>>()?)
    }
}

#[pymethods]
impl Allocation {
    /// Offset of the first byte.
    #[getter]
    fn offset(&self) -> u64 {
        self.offset
    }

    /// Address of the first byte: the offset from the base of the allocator.
    #[getter]
    fn address(&self) -> u64 {
        self.base + self.offset
    }

    /// Bytes asked for.
    #[getter]
    fn size(&self) -> u64 {
        self.size
    }

    /// Whether it is freed.
    #[getter]
    fn is_free(&self) -> PyResult<bool> {
        Ok(self.handle.get()?.is_none())
    }

    /// Frees the allocation now. Raises Error if it is freed already.
    fn free(&mut self) -> PyResult<()> {
        match self.handle.get_mut()?.take() {
            Some(_) => Ok(()),
            None => Err(errors::message(format!(
                "the {} bytes at offset {} were freed already",
                self.size, self.offset
            ))),
        }
    }

    fn __repr__(&self) -> String {
        format!("Allocation(offset={}, size={})", self.offset, self.size)
    }
}

impl Allocation {
    #[inline]
    fn new(handle: Handle, process: Process, base: u64) -> Self {
        Self {
            offset: handle.offset(),
            size: handle.size(),
            base,
            handle: Local::of(process, Some(handle)),
        }
    }
}
