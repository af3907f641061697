//! The pool: an owned mapping made from [`PoolOptions`], which knows what pages it really got.
//!
//! [`Pool::map`] walks down the tiers that the page policy allows; each attempt runs the same steps
//! (pre-flight, map, advise, bind, populate, lock, verify), and a failed one leaves nothing mapped
//! because the half-made [`Mapping`] is dropped.

use std::{
    collections::BTreeMap,
    num::NonZeroUsize,
    ops::Range,
    os::fd::{AsFd, BorrowedFd},
    path::Path,
    ptr::NonNull,
};

use crate::{
    discovery::SystemRoot,
    error::PoolError,
    mapping::{
        Access, Advice, ClaimError, ClaimedRange, Mapping, OwnedBytes, Process, base_page_bytes,
    },
    memory::Admission,
    named::{Contents, LockedFile, NamedFile},
    numa::{NodeSegment, NumaPolicy, Region},
    options::{Backing, MemoryLock, PoolOptions, Population},
    pages::Tier,
    populate::{self, Method, Plan, PopulateError},
    procfs,
    shared::MemoryFile,
    tier,
};

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
#[derive(Clone, Debug, PartialEq, Eq)]
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

/// Whether a new pool reads back from smaps what it got.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Verification {
    Full,
    /// For the many small mappings behind direct buffers, which name their page size explicitly.
    Skipped,
}

impl PoolOptions {
    /// Maps the pool.
    ///
    /// The length is the size rounded up to whole pages of the tier obtained.
    ///
    /// # Errors
    ///
    /// A [`PoolError`] that says what to do. Nothing stays mapped then.
    pub fn map(&self) -> Result<Pool, PoolError> {
        let pool = Pool::map_tiers(self, Verification::Full)?;
        tracing::info!(
            bytes = pool.len(),
            tier = %pool.tier,
            address = ?pool.as_ptr(),
            huge_bytes = pool.residency.as_ref().map(|residency| residency.huge_bytes),
            "memory pool mapped"
        );
        Ok(pool)
    }
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

    /// Maps a pool without an event and, if asked, without reading smaps.
    pub(crate) fn map_tiers(
        options: &PoolOptions,
        verification: Verification,
    ) -> Result<Self, PoolError> {
        if options.size_bytes == 0 {
            return Err(PoolError::ZeroSize);
        }
        if !options.align.is_power_of_two() {
            return Err(PoolError::InvalidAlign {
                align: options.align,
            });
        }
        if let Some(path) = &options.file {
            return Self::map_file(options, path);
        }
        let walk = options.walk()?;
        Self::map_first(options, &walk.tiers, verification, walk.degradations)
    }

    /// Maps the first tier that can be had; steps down only for reasons that concern the pages.
    fn map_first(
        options: &PoolOptions,
        attempts: &[Tier],
        verification: Verification,
        mut degradations: Vec<PoolError>,
    ) -> Result<Self, PoolError> {
        let Some((last, others)) = attempts.split_last() else {
            unreachable!("a walk ends with a tier")
        };
        let mut obtained = None;
        for &tier in others {
            match Self::map_tier(options, tier, verification) {
                Ok(pool) => {
                    obtained = Some(pool);
                    break;
                }
                Err(error) if error.is_about_pages() => degradations.push(error),
                Err(error) => return Err(error),
            }
        }
        let mut pool = match obtained {
            Some(pool) => pool,
            None => Self::map_tier(options, *last, verification)?,
        };
        if !degradations.is_empty() {
            let reasons: Vec<_> = degradations.iter().map(describe).collect();
            tracing::warn!(tier = %pool.tier, because = reasons.join("; "), "memory pool got lesser pages than preferred");
        }
        pool.degradations = degradations;
        Ok(pool)
    }

    fn map_tier(
        options: &PoolOptions,
        tier: Tier,
        verification: Verification,
    ) -> Result<Self, PoolError> {
        let page_bytes = match tier {
            Tier::Hugetlb { page_bytes } => usize::try_from(page_bytes).unwrap_or(usize::MAX),
            // Transparent pages fill what they can; the rest of the pool is in base pages.
            Tier::Transparent | Tier::Base | Tier::Foreign => base_page_bytes(),
        };
        let len = options.len_in_pages(page_bytes)?;
        let admission = options.check_memory(len, tier)?;

        let file = match options.backing {
            Backing::Private => None,
            Backing::Shared => Some(MemoryFile::create(len, tier)?),
        };
        let mapping = options.map_region(file.as_ref(), len, tier, page_bytes)?;
        tier::advise(&mapping, tier, options.backing)?;
        let mut pool = Self::over(mapping, tier, page_bytes, options);
        pool.file = file.map(PoolFile::Memory);
        pool.place_and_populate(options, admission)?;
        pool.lock(options)?;
        if let Some(PoolFile::Memory(file)) = &mut pool.file {
            file.seal()?;
        }
        // Base pages are the least there is, and a population that did not fail has left all of them
        // resident: there is nothing to find out from a walk over every one of them.
        if verification == Verification::Full && tier != Tier::Base {
            pool.verify(options)?;
        }
        Ok(pool)
    }

    /// Maps the pool in a file, which decides the pages.
    fn map_file(options: &PoolOptions, path: &Path) -> Result<Self, PoolError> {
        let file = LockedFile::open(path, &options.root)?;
        let page_bytes = file.page_bytes();
        let tier = if file.is_hugetlb() {
            let page_bytes = page_bytes as u64;
            Tier::Hugetlb { page_bytes }
        } else {
            Tier::Base
        };
        if !options.pages.admits(tier) {
            return Err(file.refuse_pages().into());
        }
        let len = options.len_in_pages(page_bytes)?;
        let is_memory = file.is_memory();
        let mut admission = None;
        let admit = |step_bytes| {
            if is_memory && admission.is_none() {
                admission = Some(Admission::of(&options.root, len.get() as u64)?);
            }
            match &mut admission {
                Some(admission) => admission.admit(step_bytes),
                None => Ok(()),
            }
        };
        let mut file = file.into_pool(len, &options.root, admit)?;
        let mapping = file.map(options.align)?;
        mapping.hide().map_err(|errno| PoolError::Advise {
            advice: "MADV_DONTFORK and MADV_DONTDUMP",
            source: errno.into(),
        })?;
        let mut pool = Self::over(mapping, tier, page_bytes, options);
        if file.contents() == Contents::Zeroed {
            // The file has its memory already.
            pool.place_and_populate(options, None)?;
        }
        pool.lock(options)?;
        file.vouch(&mut pool.mapping);
        pool.file = Some(PoolFile::Named(Box::new(file)));
        Ok(pool)
    }

    fn over(mapping: Mapping, tier: Tier, page_bytes: usize, options: &PoolOptions) -> Self {
        Self {
            file: None,
            mapping,
            tier,
            page_bytes,
            population: options.population,
            residency: None,
            segments: Vec::new(),
            degradations: Vec::new(),
            root: options.root.clone(),
        }
    }

    fn lock(&self, options: &PoolOptions) -> Result<(), PoolError> {
        if options.lock == MemoryLock::Swappable {
            return Ok(());
        }
        self.mapping.lock().map_err(|errno| PoolError::Lock {
            asked_bytes: self.len() as u64,
            source: errno.into(),
        })
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

    fn place_and_populate(
        &mut self,
        options: &PoolOptions,
        admission: Option<Admission>,
    ) -> Result<(), PoolError> {
        let granule_bytes = self.granule_bytes(options);
        let numa = options.numa.effective(&options.root)?;
        let regions = numa.regions(self.len(), granule_bytes);
        for region in &regions {
            region.bind(&self.mapping)?;
        }
        if let NumaPolicy::Segmented(_) = numa {
            let segment = |region: &Region| NodeSegment {
                node: region.nodes[0],
                range: region.range.clone(),
            };
            self.segments = regions.iter().map(segment).collect();
        }
        if !options.is_resident() {
            return Ok(());
        }
        let (workers, time_limit) = match options.population {
            Population::Eager {
                workers,
                time_limit,
            } => (workers, time_limit),
            Population::Lazy => (None, None),
        };
        let plan = Plan {
            page_bytes: self.page_bytes,
            granule_bytes,
            workers: workers.unwrap_or_else(|| populate::workers_auto(self.len())),
            time_limit,
            method: Method::detect(&self.mapping),
            admission,
        };
        let regions: Vec<_> = regions
            .into_iter()
            .map(|region| {
                let cpus = region.cpus(&options.root);
                (region, cpus)
            })
            .collect();
        let asked_bytes = self.len() as u64;
        populate::populate(&mut self.mapping, &regions, plan).map_err(|error| match error {
            PopulateError::Refused(error) => *error,
            PopulateError::Spawn { worker, source } => PoolError::Worker { worker, source },
            PopulateError::Fault(errno) => PoolError::Populate {
                asked_bytes,
                tier: self.tier,
                source: errno.into(),
            },
            PopulateError::TimeUp { populated_bytes } => PoolError::TimeLimit {
                populated_bytes,
                asked_bytes,
                limit: time_limit.unwrap_or_default(),
            },
        })
    }

    /// Returns the bytes that lie on one node and are populated at once.
    fn granule_bytes(&self, options: &PoolOptions) -> usize {
        match self.tier {
            Tier::Transparent => options.transparent_page_bytes(),
            _ => self.page_bytes,
        }
    }

    /// Reads back what the kernel granted; a tier that was not obtained is an error.
    fn verify(&mut self, options: &PoolOptions) -> Result<(), PoolError> {
        let is_eager = options.is_resident();
        let mut residency = self.read_residency()?;
        let len = self.len() as u64;
        let huge_bytes_most = len - len % self.granule_bytes(options) as u64;
        if self.tier == Tier::Transparent && is_eager && residency.huge_bytes < huge_bytes_most {
            // Gathers what the faults could not, whatever the mode in sysfs; Linux 6.1 and later.
            if let Err(errno) = self.mapping.advise(Advice::Collapse) {
                tracing::debug!(%errno, "collapsing into transparent huge pages was refused");
            }
            residency = self.read_residency()?;
        }
        let is_obtained = match self.tier {
            Tier::Hugetlb { page_bytes } => {
                residency.kernel_page_bytes == page_bytes
                    && (!is_eager || residency.resident_bytes == len)
            }
            Tier::Transparent => !is_eager || residency.huge_bytes > 0,
            Tier::Base | Tier::Foreign => unreachable!("these are not verified"),
        };
        if !is_obtained {
            return Err(PoolError::TierNotObtained {
                wanted: self.tier,
                kernel_page_bytes: residency.kernel_page_bytes,
                huge_bytes: residency.huge_bytes,
            });
        }
        if is_eager && residency.huge_bytes < huge_bytes_most {
            tracing::warn!(
                bytes = len,
                huge_bytes = residency.huge_bytes,
                "part of the memory pool is in base pages"
            );
        }
        self.residency = Some(residency);
        Ok(())
    }
}

/// Returns an error with its cause, on one line.
fn describe(error: &PoolError) -> String {
    match std::error::Error::source(error) {
        Some(source) => format!("{error}: {source}"),
        None => error.to_string(),
    }
}
