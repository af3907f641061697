//! What a pool should be: [`PoolOptions`] and the choices it combines.
//!
//! `pool.rs` carries the options out.

use std::{fmt, num::NonZeroUsize, time::Duration};

use crate::{discovery::SystemRoot, error::PoolError, numa::NumaPolicy, pool::Pool};

/// Size of the huge pages to use.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum PageSize {
    /// The largest size that the system has enough free pages of and whose rounding adds at most a
    /// sixteenth.
    #[default]
    Auto,
    /// Pages of exactly this many bytes, such as 2 MiB, 32 MiB, 512 MiB or 1 GiB.
    Bytes(u64),
}

/// Which pages back a pool, and what may happen when they are not to be had.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum PagePolicy {
    /// Reserved huge pages or an error; never anything less.
    Required(PageSize),
    /// Reserved huge pages, else transparent ones, else base pages. Each step down is part of one
    /// warning that says why.
    Prefer(PageSize),
    /// Transparent huge pages, else base pages with a warning.
    Transparent,
    /// Base pages, also where the system would use transparent huge pages by itself.
    Off,
}

/// The pages a pool obtained, best first.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Tier {
    /// Reserved huge pages of this size.
    Hugetlb {
        /// Size of one page.
        page_bytes: u64,
    },
    /// Base pages that the kernel gathers into huge ones.
    Transparent,
    /// Base pages.
    Base,
}

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

/// Options of a [`Pool`], to be carried out by [`map`](Self::map).
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

    /// Sets where the files of the kernel are read from.
    pub fn system_root(self, root: SystemRoot) -> Self {
        Self { root, ..self }
    }

    /// Maps the pool.
    ///
    /// The length is `size_bytes` rounded up to whole pages of the tier obtained.
    ///
    /// # Errors
    ///
    /// A [`PoolError`] that says what to do. Nothing stays mapped then.
    pub fn map(&self) -> Result<Pool, PoolError> {
        Pool::map(self)
    }
}

impl Population {
    /// Eager, with a chosen number of workers and without a time limit.
    pub const EAGER: Self = Self::Eager {
        workers: None,
        time_limit: None,
    };
}

impl fmt::Display for Tier {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Hugetlb { page_bytes } => write!(f, "reserved huge pages of {page_bytes} bytes"),
            Self::Transparent => f.write_str("transparent huge pages"),
            Self::Base => f.write_str("base pages"),
        }
    }
}
