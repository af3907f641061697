//! What a pool should be: [`PoolOptions`] and the choices it combines.
//!
//! `pool.rs` carries the options out, with `PoolOptions::map`.

use std::{
    fmt,
    num::NonZeroUsize,
    path::{Path, PathBuf},
    str::FromStr,
    time::Duration,
};

use crate::{
    discovery::SystemRoot,
    numa::NumaPolicy,
    pages::{PagePolicy, PageSize},
    words::{self, ParsePolicyError},
};

/// When a pool gets its memory.
#[cfg_attr(feature = "serde", derive(serde::Serialize, serde::Deserialize))]
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum Population {
    /// While it is mapped, by several threads.
    Eager {
        /// Threads that populate; `None` chooses one per 64 MiB, at most one per CPU and 16. More than
        /// 1024 are not started.
        workers: Option<NonZeroUsize>,
        /// Time after which mapping the pool fails; `None` waits as long as it takes. Looked at
        /// between steps of 16 MiB, and while other processes that are short of memory have their turn.
        time_limit: Option<Duration>,
    },
    /// By threads of its own while the pool is in use already, from its start on;
    /// [`Pool::ready_bytes`](crate::Pool::ready_bytes) tells how far they have come, and
    /// [`Pool::wait_populated`](crate::Pool::wait_populated) waits for them. What is touched earlier gets
    /// its page at that moment. Kernels before 5.14, and a lock, populate the pool while it is mapped.
    Background {
        /// Threads that populate; `None` chooses as for an eager population.
        workers: Option<NonZeroUsize>,
    },
    /// At the first touch of each page. Reserved huge pages that run out then raise SIGBUS.
    Lazy,
}

/// Who can see the memory of a pool.
#[cfg_attr(feature = "serde", derive(serde::Serialize, serde::Deserialize))]
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
#[non_exhaustive]
pub enum Backing {
    /// This process.
    #[default]
    Private,
    /// Every process that receives the descriptor of the pool, for reading.
    Shared,
}

/// Whether the memory of a pool may leave main memory.
#[cfg_attr(feature = "serde", derive(serde::Serialize, serde::Deserialize))]
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
#[non_exhaustive]
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
    /// size. A file that was made in vain is removed, and one that was there before gives up what it has
    /// taken. [`backing`](Self::backing) has no effect. A process has at most 256 pools in files at once.
    pub fn file(self, path: impl AsRef<Path>) -> Self {
        let file = Some(path.as_ref().to_owned());
        Self { file, ..self }
    }

    /// Says whether all of the memory is to be there when the pool is mapped: a lock asks for that too.
    pub(crate) fn is_resident(&self) -> bool {
        self.population != Population::Lazy || self.lock == MemoryLock::Locked
    }

    /// Returns the time after which mapping the pool fails.
    pub(crate) fn time_limit(&self) -> Option<Duration> {
        match self.population {
            Population::Eager { time_limit, .. } => time_limit,
            Population::Background { .. } | Population::Lazy => None,
        }
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

const POPULATIONS_ACCEPTED: &str = "eager, background, both optionally with :WORKERS, or lazy";

/// Reads `eager` or `background`, both optionally with a colon and a number of workers, or `lazy`.
impl FromStr for Population {
    type Err = ParsePolicyError;

    fn from_str(text: &str) -> Result<Self, Self::Err> {
        let (word, count) = words::split(text);
        let workers = count.map(str::parse::<NonZeroUsize>).transpose();
        match (word.as_str(), workers) {
            ("eager", Ok(workers)) => Ok(Self::Eager {
                workers,
                time_limit: None,
            }),
            ("background", Ok(workers)) => Ok(Self::Background { workers }),
            ("lazy", Ok(None)) => Ok(Self::Lazy),
            _ => Err(ParsePolicyError::new(text, POPULATIONS_ACCEPTED)),
        }
    }
}

/// Prints what [`FromStr`] reads; a time limit has no word.
impl fmt::Display for Population {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let (word, workers) = match self {
            Self::Eager { workers, .. } => ("eager", workers),
            Self::Background { workers } => ("background", workers),
            Self::Lazy => ("lazy", &None),
        };
        match workers {
            Some(workers) => write!(f, "{word}:{workers}"),
            None => f.write_str(word),
        }
    }
}

/// Reads `private` or `shared`.
impl FromStr for Backing {
    type Err = ParsePolicyError;

    fn from_str(text: &str) -> Result<Self, Self::Err> {
        match words::split(text) {
            (word, None) if word == "private" => Ok(Self::Private),
            (word, None) if word == "shared" => Ok(Self::Shared),
            _ => Err(ParsePolicyError::new(text, "private or shared")),
        }
    }
}

impl fmt::Display for Backing {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Private => "private",
            Self::Shared => "shared",
        })
    }
}

/// Reads `swappable` or `locked`.
impl FromStr for MemoryLock {
    type Err = ParsePolicyError;

    fn from_str(text: &str) -> Result<Self, Self::Err> {
        match words::split(text) {
            (word, None) if word == "swappable" => Ok(Self::Swappable),
            (word, None) if word == "locked" => Ok(Self::Locked),
            _ => Err(ParsePolicyError::new(text, "swappable or locked")),
        }
    }
}

impl fmt::Display for MemoryLock {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Swappable => "swappable",
            Self::Locked => "locked",
        })
    }
}

#[cfg(test)]
#[cfg(not(loom))]
mod tests {
    use super::*;

    #[test]
    fn policies_are_read_as_they_are_printed() {
        let workers = NonZeroUsize::new(3);
        let eager = |workers| Population::Eager {
            workers,
            time_limit: None,
        };
        for (population, text) in [
            (eager(None), "eager"),
            (eager(workers), "eager:3"),
            (Population::Background { workers: None }, "background"),
            (Population::Background { workers }, "background:3"),
            (Population::Lazy, "lazy"),
        ] {
            assert_eq!(population.to_string(), text);
            assert_eq!(text.parse(), Ok(population));
        }
        for backing in [Backing::Private, Backing::Shared] {
            assert_eq!(backing.to_string().parse(), Ok(backing));
        }
        for lock in [MemoryLock::Swappable, MemoryLock::Locked] {
            assert_eq!(lock.to_string().parse(), Ok(lock));
        }
    }

    #[test]
    fn other_words_are_refused_by_name() {
        for text in ["", "eager:0", "lazy:1", "soon"] {
            let error = text.parse::<Population>().unwrap_err();
            assert_eq!(
                (&*error.value, error.accepted),
                (text, POPULATIONS_ACCEPTED)
            );
        }
        assert!("public".parse::<Backing>().is_err());
        assert!("on".parse::<MemoryLock>().is_err());
    }
}
