//! What a pool should be: [`PoolOptions`] and the choices it combines.
//!
//! `pool.rs` carries the options out, with `PoolOptions::map`.

use std::{
    num::NonZeroUsize,
    path::{Path, PathBuf},
    time::Duration,
};

use crate::{
    discovery::SystemRoot,
    numa::NumaPolicy,
    pages::{PagePolicy, PageSize},
};

/// When a pool gets its memory.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Population {
    /// While it is mapped, by several threads.
    Eager {
        /// Threads that populate; `None` chooses one per 64 MiB, at most one per CPU and 16.
        workers: Option<NonZeroUsize>,
        /// Time after which mapping the pool fails; `None` waits as long as it takes. Looked at
        /// between steps of 16 MiB.
        time_limit: Option<Duration>,
    },
    /// At the first touch of each page. Reserved huge pages that run out then raise SIGBUS.
    Lazy,
}

/// Who can see the memory of a pool.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Backing {
    /// This process.
    #[default]
    Private,
    /// Every process that receives the descriptor of the pool, for reading.
    Shared,
}

/// Whether the memory of a pool may leave main memory.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum MemoryLock {
    /// It may be swapped. Reserved huge pages never are.
    #[default]
    Swappable,
    /// It stays; taking the lock populates what is not populated yet.
    Locked,
}

/// Options of a [`Pool`](crate::Pool), to be carried out by [`map`](Self::map).
///
/// Every pool is hidden from children ([`fork(2)`] without a copy) and left out of core files.
///
/// [`fork(2)`]: https://man7.org/linux/man-pages/man2/fork.2.html
///
/// # Examples
///
/// ```
/// use mc_arena::{PagePolicy, PageSize, PoolOptions};
///
/// let pool = PoolOptions::new(8 << 20).pages(PagePolicy::Prefer(PageSize::Auto)).map()?;
/// println!("{} bytes in {}", pool.len(), pool.tier());
/// # Ok::<(), mc_arena::PoolError>(())
/// ```
#[derive(Clone, Debug, PartialEq, Eq)]
#[must_use]
pub struct PoolOptions {
    pub(crate) size_bytes: u64,
    pub(crate) pages: PagePolicy,
    pub(crate) population: Population,
    pub(crate) numa: NumaPolicy,
    pub(crate) backing: Backing,
    pub(crate) lock: MemoryLock,
    pub(crate) align: usize,
    pub(crate) file: Option<PathBuf>,
    pub(crate) root: SystemRoot,
}

impl PoolOptions {
    /// Returns the options of a private pool of at least `size_bytes`, preferring huge pages, eagerly
    /// populated, placed by the system.
    pub fn new(size_bytes: u64) -> Self {
        Self {
            size_bytes,
            pages: PagePolicy::Prefer(PageSize::Auto),
            population: Population::EAGER,
            numa: NumaPolicy::System,
            backing: Backing::Private,
            lock: MemoryLock::Swappable,
            align: 1,
            file: None,
            root: SystemRoot::default(),
        }
    }

    /// Sets which pages back the pool.
    pub fn pages(self, pages: PagePolicy) -> Self {
        Self { pages, ..self }
    }

    /// Sets when the pool gets its memory.
    pub fn population(self, population: Population) -> Self {
        Self { population, ..self }
    }

    /// Sets the NUMA nodes the pool lies on.
    pub fn numa(self, numa: NumaPolicy) -> Self {
        Self { numa, ..self }
    }

    /// Sets who can see the memory.
    pub fn backing(self, backing: Backing) -> Self {
        Self { backing, ..self }
    }

    /// Sets whether the memory is locked.
    pub fn lock(self, lock: MemoryLock) -> Self {
        Self { lock, ..self }
    }

    /// Sets what the address of the pool is a multiple of, in bytes; a page at least.
    pub fn align(self, align: usize) -> Self {
        Self { align, ..self }
    }

    /// Puts the pool into a file, so that its bytes outlive the process: in tmpfs, in hugetlbfs, on a
    /// disk, or a DAX device.
    ///
    /// The file is made if it is not there, and found again otherwise, with the bytes that the last
    /// process left, also one that was killed; [`Pool::epoch`](crate::Pool::epoch) and
    /// [`Pool::contents`](crate::Pool::contents) tell which. It is locked against other pools until this
    /// one is dropped or its process ends, and takes one page more than the pool, for a header. The file
    /// system decides the pages: [`PagePolicy::Required`] accepts hugetlbfs of that size only,
    /// [`PagePolicy::Off`] anything but hugetlbfs. A new file gets all of its blocks at once, even if it
    /// is populated lazily; one that was found is never populated, so that it opens at once whatever its
    /// size. [`backing`](Self::backing) has no effect.
    pub fn file(self, path: impl AsRef<Path>) -> Self {
        let file = Some(path.as_ref().to_owned());
        Self { file, ..self }
    }

    /// Says whether all of the memory is to be there when the pool is mapped: a lock asks for that too.
    pub(crate) fn is_resident(&self) -> bool {
        self.population != Population::Lazy || self.lock == MemoryLock::Locked
    }

    /// Sets where the files of the kernel are read from.
    pub fn system_root(self, root: SystemRoot) -> Self {
        Self { root, ..self }
    }
}

impl Population {
    /// Eager, with a chosen number of workers and without a time limit.
    pub const EAGER: Self = Self::Eager {
        workers: None,
        time_limit: None,
    };
}
