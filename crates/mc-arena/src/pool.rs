//! The pool: an owned mapping made from options, which knows what pages it really got.
//!
//! Key type: [`Pool`]. How it is made is in `pool/making.rs`, which has the fields in common with this
//! file: the mapping is that of the file if there is one, and what was obtained never changes later.

mod making;

use std::{
    collections::BTreeMap,
    num::NonZeroUsize,
    ops::Range,
    os::fd::{AsFd, BorrowedFd},
    ptr::NonNull,
    sync::Arc,
};

use crate::{
    discovery::SystemRoot,
    error::{PoolError, ReleaseError},
    mapping::{Access, ClaimError, ClaimedRange, Mapping, OwnedBytes, Process, base_page_bytes},
    memory::Admission,
    named::{Contents, NamedFile},
    numa::NodeSegment,
    options::{PoolOptions, Population},
    pages::Tier,
    populate::{self, Progress},
    procfs,
    shared::MemoryFile,
};

pub(crate) use self::making::Verification;

/// An owned region of memory: hidden from children, left out of core files, and zeroed unless it was
/// found in a file or taken over.
///
/// Dropping it unmaps exactly what was mapped. In a child that was forked since, the pool is not there:
/// dropping it does nothing, what can fail says so, and what lends references panics.
#[derive(Debug)]
pub struct Pool {
    /// Dropped before the mapping, which it writes back.
    file: Option<PoolFile>,
    mapping: Mapping,
    tier: Tier,
    page_bytes: usize,
    population: Population,
    /// How far the population in the background is, if there is one.
    progress: Option<Arc<Progress>>,
    residency: Option<Residency>,
    segments: Vec<NodeSegment>,
    degradations: Vec<PoolError>,
    root: SystemRoot,
}

/// The file behind a pool.
#[derive(Debug)]
enum PoolFile {
    /// Without a name, for whoever gets the descriptor.
    Memory(MemoryFile),
    /// With a name, for whoever comes later.
    Named(Box<NamedFile>),
}

/// What the kernel says about the memory behind a pool.
#[cfg_attr(feature = "serde", derive(serde::Serialize, serde::Deserialize))]
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub struct Residency {
    /// Size of the pages the kernel maps the pool with. Transparent huge pages count as base pages.
    pub kernel_page_bytes: u64,
    /// Bytes backed by memory.
    pub resident_bytes: u64,
    /// Bytes in huge pages, reserved or transparent.
    pub huge_bytes: u64,
    /// Bytes per NUMA node; empty if the kernel does not say.
    pub node_bytes: BTreeMap<u32, u64>,
}

impl Pool {
    /// Takes over memory that something else has mapped, such as pages pinned by CUDA, and drops `owner`
    /// last, when nothing of the pool is left.
    ///
    /// The pool advises the kernel of nothing: whether children see the memory is up to its owner. In a
    /// child, the owner is not dropped.
    ///
    /// # Errors
    ///
    /// [`PoolError::ZeroSize`], or [`PoolError::Process`]; `owner` is dropped then.
    ///
    /// # Examples
    ///
    /// ```
    /// use std::ptr::NonNull;
    ///
    /// use mc_arena::{Arena, Pool};
    ///
    /// // Stands for pages that a driver has pinned; dropping it gives them back to the driver.
    /// let mut pinned = vec![0_u8; 1 << 20];
    /// let base = NonNull::from(&mut pinned[..]).cast();
    /// // SAFETY: the bytes are those of the vector, which is the owner and is not touched any more.
    /// let pool = unsafe { Pool::from_foreign(base, 1 << 20, pinned) }?;
    /// let arena = Arena::new(pool)?;
    /// arena.allocate(4096)?.fill(1);
    /// drop(arena); // Last of all, the owner.
    /// # Ok::<(), Box<dyn std::error::Error>>(())
    /// ```
    ///
    /// # Safety
    ///
    /// Until `owner` is dropped, the `len` bytes from `base` on are mapped readable and writable and
    /// hold initialised bytes, and nobody else reads or writes them but through pointers that came from
    /// this pool; `len` is at most `isize::MAX`.
    #[expect(
        unsafe_code,
        reason = "nothing but the caller's word vouches for foreign memory"
    )]
    pub unsafe fn from_foreign(
        base: NonNull<u8>,
        len: usize,
        owner: impl Send + Sync + 'static,
    ) -> Result<Self, PoolError> {
        let owner: Box<dyn Send + Sync> = Box::new(owner);
        let len = NonZeroUsize::new(len).ok_or(PoolError::ZeroSize)?;
        debug_assert!(isize::try_from(len.get()).is_ok(), "{len} bytes");
        // SAFETY: (1) the caller's clauses are those of `Mapping::foreign`.
        let mapping = unsafe { Mapping::foreign(base, len, owner) };
        let mapping = mapping.map_err(|errno| PoolError::Process {
            source: errno.into(),
        })?;
        Ok(Self::over(
            mapping,
            Tier::Foreign,
            base_page_bytes(),
            &PoolOptions::new(len.get() as u64).population(Population::Lazy),
        ))
    }

    /// Returns the length in bytes, a multiple of the page size.
    #[must_use]
    #[expect(clippy::len_without_is_empty, reason = "a pool is never empty")]
    pub fn len(&self) -> usize {
        self.mapping.len()
    }

    /// Returns the address of the first byte, for registration with devices.
    #[inline]
    #[must_use]
    pub fn as_ptr(&self) -> *const u8 {
        self.mapping.as_ptr()
    }

    /// Returns the address of the first byte, for devices that write and for foreign code.
    ///
    /// Nobody else may have the bytes that are written through it: give devices their range with
    /// [`PoolBytes::lend_to_device`](crate::PoolBytes::lend_to_device), or the whole pool before it
    /// becomes an arena. What was registered with the address is unregistered before the pool is
    /// dropped.
    #[inline]
    #[must_use]
    pub fn as_mut_ptr(&self) -> *mut u8 {
        self.mapping.as_ptr()
    }

    /// Returns all bytes.
    ///
    /// # Panics
    ///
    /// Panics in a child that was forked since the pool was mapped.
    #[must_use]
    #[track_caller]
    pub fn as_mut_slice(&mut self) -> &mut [u8] {
        self.mapping.as_mut_slice()
    }

    /// Says whether an address lies inside the pool; none does in a child, which has no pool.
    #[inline]
    #[must_use]
    pub fn owns(&self, address: *const u8) -> bool {
        self.process().is_current() && self.mapping.addresses().contains(&address.addr())
    }

    /// Returns the process that has the pool.
    #[inline]
    #[must_use]
    pub fn process(&self) -> &Process {
        self.mapping.process()
    }

    /// Returns the incarnation of the bytes of a pool in a file; `None` for any other.
    ///
    /// It stays the same as long as the bytes are those that were last written, also by a process that
    /// was killed, and rises when they cannot be: for a new file, one that lost bytes, and one that was
    /// open when the system went down. Across files of one name it is the time of making in nanoseconds
    /// since 1970, which rises as far as the clock does.
    #[must_use]
    pub fn epoch(&self) -> Option<u64> {
        match &self.file {
            Some(PoolFile::Named(file)) => Some(file.epoch()),
            Some(PoolFile::Memory(_)) | None => None,
        }
    }

    /// Returns what the pool held when it was made.
    #[must_use]
    pub fn contents(&self) -> Contents {
        match &self.file {
            _ if self.tier == Tier::Foreign => Contents::Foreign,
            Some(PoolFile::Named(file)) => file.contents(),
            Some(PoolFile::Memory(_)) | None => Contents::Zeroed,
        }
    }

    /// Looks whether the bytes are there: in this process, and in the file if there is one.
    ///
    /// Costs a system call for a pool in a file. [`PoolBytes`](crate::PoolBytes) asks whenever it lends.
    ///
    /// # Errors
    ///
    /// [`ClaimError::Truncated`] once the file was cut short from outside, whose bytes read as zero from
    /// then on, or [`ClaimError::OtherProcess`].
    pub fn check(&self) -> Result<(), ClaimError> {
        self.process().check()?;
        match &self.file {
            Some(PoolFile::Named(file)) => file.check(),
            Some(PoolFile::Memory(_)) | None => Ok(()),
        }
    }

    /// Returns the pages obtained.
    #[must_use]
    pub fn tier(&self) -> Tier {
        self.tier
    }

    /// Returns the bytes of the pages that the length is a multiple of: reserved huge pages, or base
    /// pages, also those that the kernel gathers into transparent ones.
    ///
    /// A device that registers a part of the pool gets whole pages of this size. Addresses of them are
    /// multiples of it, but for foreign memory.
    #[must_use]
    pub fn page_bytes(&self) -> usize {
        self.page_bytes
    }

    /// Returns what the kernel said about the pool right after it was mapped.
    ///
    /// `None` for what is not looked up: the direct mappings behind [`crate::Buffer`], and pools in base
    /// pages, of which the kernel would count one by one what nothing can be less than. Ask for them
    /// with [`read_residency`](Self::read_residency).
    #[must_use]
    pub fn residency(&self) -> Option<&Residency> {
        self.residency.as_ref()
    }

    /// Returns how many bytes from the start on have their memory, as far as the population of the pool
    /// goes: all after an eager one, none before a lazy one, ever more during one in the background.
    #[must_use]
    pub fn ready_bytes(&self) -> usize {
        match (&self.progress, self.population) {
            (Some(progress), _) => progress.ready_bytes(),
            (None, Population::Lazy) => 0,
            (None, Population::Eager { .. } | Population::Background { .. }) => self.len(),
        }
    }

    /// Waits until the population in the background has ended; without one it returns at once.
    ///
    /// # Errors
    ///
    /// [`PoolError::Background`] with the reason why it ended early: the rest of the pool is populated at
    /// its first touch, as a lazy one is. [`PoolError::OtherProcess`] in a child.
    pub fn wait_populated(&self) -> Result<(), PoolError> {
        self.process().check()?;
        match &self.progress {
            Some(progress) => progress
                .wait()
                .map_err(|source| PoolError::Background { source }),
            None => Ok(()),
        }
    }

    /// Backs a range with memory now, in whole pages, keeping what it holds. What has its memory already
    /// costs little.
    ///
    /// # Errors
    ///
    /// [`PoolError::OutOfRange`]; [`PoolError::ExceedsMemory`] before the kernel would end a process for
    /// it; [`PoolError::Populate`], also on kernels before 5.14; [`PoolError::OtherProcess`] in a child.
    pub fn populate(&self, range: Range<usize>) -> Result<(), PoolError> {
        self.process().check()?;
        let len_bytes = self.len();
        if range.start > range.end || range.end > len_bytes {
            return Err(PoolError::OutOfRange {
                start: range.start,
                end: range.end,
                len_bytes,
            });
        }
        let page_bytes = self.page_bytes;
        let start = range.start - range.start % page_bytes;
        let end = range.end.next_multiple_of(page_bytes).min(len_bytes);
        // Reserved huge pages and the blocks of a file are taken already, foreign memory is its owner's.
        let is_named = matches!(self.file, Some(PoolFile::Named(_)));
        let takes_memory = !is_named && matches!(self.tier, Tier::Transparent | Tier::Base);
        populate::range(self.mapping.extent(), start..end, |missing_bytes| {
            takes_memory
                .then(|| Admission::of(&self.root, missing_bytes, None))
                .transpose()
        })
        .map_err(|error| making::not_populated(error, range.len(), self.tier, None))
    }

    /// Asks the kernel what backs the pool now.
    ///
    /// # Errors
    ///
    /// [`PoolError::Unverifiable`] if `/proc/self/smaps` is not readable or lacks the pool, and
    /// [`PoolError::OtherProcess`] in a child.
    pub fn read_residency(&self) -> Result<Residency, PoolError> {
        self.process().check()?;
        let addresses = self.mapping.addresses();
        let facts = procfs::smaps_range(&self.root.text("/proc/self/smaps"), &addresses)?;
        let huge_bytes = match self.tier {
            Tier::Hugetlb { .. } => facts.resident_bytes,
            Tier::Transparent | Tier::Base | Tier::Foreign => facts.transparent_bytes,
        };
        Ok(Residency {
            kernel_page_bytes: facts.kernel_page_bytes,
            resident_bytes: facts.resident_bytes,
            huge_bytes,
            node_bytes: procfs::numa_maps_range(
                &self.root.text("/proc/self/numa_maps"),
                &addresses,
                base_page_bytes() as u64,
            ),
        })
    }

    /// Returns the node of each part; empty unless the pool is segmented over nodes.
    #[must_use]
    pub fn segments(&self) -> &[NodeSegment] {
        &self.segments
    }

    /// Returns why each better tier was not to be had; empty if the pool got what was preferred.
    #[must_use]
    pub fn degradations(&self) -> &[PoolError] {
        &self.degradations
    }

    /// Returns the descriptor to hand to another process, if the pool is shared.
    ///
    /// That process maps it with [`crate::SharedView::open`].
    #[must_use]
    pub fn descriptor(&self) -> Option<BorrowedFd<'_>> {
        match &self.file {
            Some(PoolFile::Memory(file)) => Some(file.as_fd()),
            Some(PoolFile::Named(_)) | None => None,
        }
    }

    /// Claims a range of the bytes, which are looked for first.
    pub(crate) fn claim(
        &self,
        range: Range<usize>,
        access: Access,
    ) -> Result<ClaimedRange, ClaimError> {
        self.check()?;
        self.mapping.claim(range, access)
    }

    /// See [`Mapping::claimed_ptr`].
    pub(crate) fn claimed_ptr(&self, claimed: &ClaimedRange) -> *mut u8 {
        self.mapping.claimed_ptr(claimed)
    }

    /// See [`Mapping::claimed`].
    #[inline]
    pub(crate) fn claimed<'a>(&'a self, claimed: &'a ClaimedRange) -> &'a [u8] {
        self.mapping.claimed(claimed)
    }

    /// See [`Mapping::claimed_mut`].
    #[inline]
    pub(crate) fn claimed_mut<'a>(&'a self, claimed: &'a mut ClaimedRange) -> &'a mut [u8] {
        self.mapping.claimed_mut(claimed)
    }

    /// See [`Mapping::check_range`].
    pub(crate) fn check_range(&self, range: &Range<usize>) -> Result<(), ClaimError> {
        self.mapping.check_range(range)
    }

    /// Drops the pages of a claimed range, and their contents.
    pub(crate) fn release(&self, claimed: &ClaimedRange) -> Result<(), ReleaseError> {
        if self.tier == Tier::Foreign {
            return Err(ReleaseError::Foreign);
        }
        if let Some(PoolFile::Named(_)) = self.file {
            return Err(ReleaseError::Named);
        }
        let released = self.mapping.release(claimed, self.file.is_some());
        released.map_err(|errno| ReleaseError::System(errno.into()))
    }

    /// Gives up the pool for its bytes; for private pools.
    pub(crate) fn into_bytes(self) -> OwnedBytes {
        debug_assert!(
            self.file.is_none(),
            "the bytes of a shared pool have other readers"
        );
        OwnedBytes::new(self.mapping)
    }

    /// Makes the first `len` bytes zero again.
    ///
    /// A lazily populated private pool gives their memory back; any other keeps it and is overwritten.
    /// Does nothing in a child.
    pub(crate) fn zero_prefix(&mut self, len: usize) {
        if !self.process().is_current() {
            return;
        }
        let whole_pages = len.next_multiple_of(self.page_bytes).min(self.len());
        let is_owned = self.file.is_none() && self.tier != Tier::Foreign;
        let is_discardable = self.population == Population::Lazy && is_owned;
        // Kernels before 5.18 refuse to discard reserved huge pages; those are overwritten.
        if !is_discardable || self.mapping.discard(whole_pages).is_err() {
            self.mapping.as_mut_slice()[..len].fill(0);
        }
    }
}
