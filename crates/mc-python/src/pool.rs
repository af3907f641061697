//! Pools as Python holds them: mapped once, then given to an arena or to segments.

use std::{
    mem,
    os::fd::AsRawFd,
    path::PathBuf,
    ptr::NonNull,
    sync::{Arc, Mutex, MutexGuard, PoisonError},
};

use mc_arena::{
    Arena, Backing, Contents, PagePolicy, Pool, PoolBytes, PoolOptions, Population, Process,
};
use pyo3::{prelude::*, pyclass};

use crate::{arguments, detached::Detached, errors, memory::Memory};

/// The mapping behind a `Pool`.
#[pyclass(frozen, module = "mc_alloc._native")]
#[derive(Debug)]
pub(crate) struct MappedPool {
    facts: Facts,
    holding: Arc<Holding>,
}

/// What stays the same, whoever has the pool.
#[derive(Debug)]
struct Facts {
    start: usize,
    size: usize,
    page_bytes: usize,
    tier: String,
    epoch: Option<u64>,
    is_kept: bool,
    descriptor: Option<i32>,
    process: Process,
}

/// Who has the pool: nobody, an arena, or segments. It is given away once.
#[derive(Debug)]
struct Holding(Mutex<Holder>);

#[derive(Debug)]
enum Holder {
    Nobody(Detached<Box<Pool>>),
    Arena(
        #[expect(dead_code, reason = "keeps the bytes for views of the pool")] Arc<Detached<Arena>>,
    ),
    Segments(Detached<PoolBytes>),
    /// An arena was refused and the pool unmapped.
    Gone,
}

#[pymethods]
impl MappedPool {
    #[new]
    #[pyo3(signature = (size, pages, file, populate, shared))]
    fn new(
        py: Python<'_>,
        #[pyo3(from_py_with = arguments::whole)] size: u64,
        pages: &str,
        file: Option<PathBuf>,
        populate: &str,
        shared: bool,
    ) -> PyResult<Self> {
        let options = options(size, pages, populate)?;
        let options = match (file, shared) {
            (Some(_), true) => {
                return Err(errors::invalid(
                    "a pool is shared by its descriptor or kept in a file, not both",
                ));
            }
            (Some(file), false) => options.file(file),
            (None, true) => options.backing(Backing::Shared),
            (None, false) => options,
        };
        let pool = py.detach(|| options.map()).map_err(errors::pool)?;
        Ok(Self {
            facts: Facts {
                start: pool.as_mut_ptr().expose_provenance(),
                size: pool.len(),
                page_bytes: pool.page_bytes(),
                tier: pool.tier().to_string(),
                epoch: pool.epoch(),
                is_kept: pool.contents() == Contents::Kept,
                descriptor: pool.descriptor().map(|descriptor| descriptor.as_raw_fd()),
                process: *pool.process(),
            },
            holding: Arc::new(Holding(Mutex::new(Holder::Nobody(Detached::new(
                Box::new(pool),
            ))))),
        })
    }

    /// Returns the bytes, of which a Buffer is made.
    fn memory(&self) -> PyResult<Memory> {
        self.check()?;
        let start = std::ptr::with_exposed_provenance_mut(self.facts.start);
        let start = NonNull::new(start).ok_or_else(|| errors::message("the pool is not mapped"))?;
        let keeper: Arc<Holding> = Arc::clone(&self.holding);
        Ok(Memory::new(
            start,
            self.facts.size,
            self.facts.process,
            keeper,
        ))
    }

    #[getter]
    fn tier(&self) -> &str {
        &self.facts.tier
    }

    #[getter]
    fn page_bytes(&self) -> usize {
        self.facts.page_bytes
    }

    #[getter]
    fn epoch(&self) -> Option<u64> {
        self.facts.epoch
    }

    /// Whether the bytes are those that an earlier pool has left in the file.
    #[getter]
    fn is_kept(&self) -> bool {
        self.facts.is_kept
    }

    #[getter]
    fn descriptor(&self) -> PyResult<Option<i32>> {
        self.check()?;
        Ok(self.facts.descriptor)
    }
}

impl MappedPool {
    /// Returns what is behind a `Pool`, or `None` for any other object.
    pub(crate) fn behind<'py>(object: &Bound<'py, PyAny>) -> Option<Bound<'py, Self>> {
        object.getattr("_mapped").ok()?.cast_into().ok()
    }

    /// Returns the incarnation of the bytes, if they are in a file.
    pub(crate) fn bytes_epoch(&self) -> Option<u64> {
        self.facts.epoch
    }

    /// Gives the pool to an arena.
    pub(crate) fn arena(&self) -> PyResult<Arc<Detached<Arena>>> {
        self.check()?;
        let mut holder = self.holding.lock();
        if let Holder::Nobody(pool) = &*holder
            && pool.contents() == Contents::Kept
        {
            return Err(errors::message(format!(
                "the file behind the pool holds the bytes of epoch {}, and an arena begins with zeros: \
                 mount the pool, or remove the file to begin anew",
                pool.epoch().unwrap_or_default()
            )));
        }
        let arena = Arena::new(holder.take()?).map_err(errors::error)?;
        let arena = Arc::new(Detached::new(arena));
        *holder = Holder::Arena(Arc::clone(&arena));
        Ok(arena)
    }

    /// Gives the pool to segments, any number of them.
    pub(crate) fn bytes(&self) -> PyResult<PoolBytes> {
        self.check()?;
        let mut holder = self.holding.lock();
        if let Holder::Segments(bytes) = &*holder {
            return Ok(PoolBytes::clone(bytes));
        }
        let bytes = PoolBytes::new(holder.take()?);
        *holder = Holder::Segments(Detached::new(bytes.clone()));
        Ok(bytes)
    }

    fn check(&self) -> PyResult<()> {
        self.facts.process.check().map_err(errors::other_process)
    }
}

impl Holding {
    /// Locks the holder: for a few moves of pointers, and only by threads that hold the lock of the
    /// interpreter.
    fn lock(&self) -> MutexGuard<'_, Holder> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Holder {
    /// Takes the pool, unless somebody has it.
    fn take(&mut self) -> PyResult<Pool> {
        let (unchanged, refusal) = match mem::replace(self, Self::Gone) {
            Self::Nobody(pool) => return Ok(*pool.into_inner()),
            arena @ Self::Arena(_) => (arena, "the pool belongs to an arena"),
            segments @ Self::Segments(_) => (segments, "the pool belongs to segments of a store"),
            Self::Gone => (
                Self::Gone,
                "the pool was unmapped when it could not become an arena",
            ),
        };
        *self = unchanged;
        Err(errors::message(refusal))
    }
}

/// Returns the options of a pool in the words of `mc_arena`.
pub(crate) fn options(size: u64, pages: &str, populate: &str) -> PyResult<PoolOptions> {
    let pages: PagePolicy = pages.parse().map_err(errors::refused)?;
    let population: Population = populate.parse().map_err(errors::refused)?;
    Ok(PoolOptions::new(size).pages(pages).population(population))
}
