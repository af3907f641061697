//! The pool: an owned mapping made from [`PoolOptions`], which knows what pages it really got.
//!
//! [`Pool::map`] walks down the tiers that the page policy allows; each attempt runs the same steps
//! (pre-flight, map, advise, bind, populate, lock, verify), and a failed one leaves nothing mapped
//! because the half-made [`Mapping`] is dropped.

use std::{
    collections::BTreeMap,
    os::fd::{AsFd, BorrowedFd},
};

use crate::{
    discovery::SystemRoot,
    error::PoolError,
    mapping::{Advice, Mapping, OwnedBytes, base_page_bytes},
    numa::{NodeSegment, NumaPolicy, Region},
    options::{Backing, MemoryLock, PagePolicy, PoolOptions, Population, Tier},
    populate::{self, Method, Plan, PopulateError},
    procfs,
    shared::MemoryFile,
    tier,
};

/// An owned region of memory: zeroed, hidden from children, left out of core files.
///
/// Dropping it unmaps exactly what was mapped.
#[derive(Debug)]
pub struct Pool {
    mapping: Mapping,
    file: Option<MemoryFile>,
    tier: Tier,
    page_bytes: usize,
    population: Population,
    residency: Option<Residency>,
    segments: Vec<NodeSegment>,
    degradations: Vec<PoolError>,
    root: SystemRoot,
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

impl Pool {
    /// Maps a pool; see [`PoolOptions::map`].
    pub(crate) fn map(options: &PoolOptions) -> Result<Self, PoolError> {
        let pool = Self::map_tiers(options, Verification::Full)?;
        tracing::info!(
            bytes = pool.len(),
            tier = %pool.tier,
            address = ?pool.as_ptr(),
            huge_bytes = pool.residency.as_ref().map(|residency| residency.huge_bytes),
            "memory pool mapped"
        );
        Ok(pool)
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
        options.numa.validate(&options.root)?;
        let attempts: &[Tier] = match options.pages {
            PagePolicy::Required(size) => &[options.hugetlb_tier(size)?],
            PagePolicy::Prefer(size) => match options.hugetlb_tier(size) {
                Ok(hugetlb) => &[hugetlb, Tier::Transparent, Tier::Base],
                Err(error) if error.is_about_pages() => {
                    return Self::map_first(
                        options,
                        &[Tier::Transparent, Tier::Base],
                        verification,
                        vec![error],
                    );
                }
                Err(error) => return Err(error),
            },
            PagePolicy::Transparent => &[Tier::Transparent, Tier::Base],
            PagePolicy::Off => &[Tier::Base],
        };
        Self::map_first(options, attempts, verification, Vec::new())
    }

    /// Maps the first tier that can be had; steps down only for reasons that concern the pages.
    fn map_first(
        options: &PoolOptions,
        attempts: &[Tier],
        verification: Verification,
        mut degradations: Vec<PoolError>,
    ) -> Result<Self, PoolError> {
        let Some((last, others)) = attempts.split_last() else {
            unreachable!("every policy allows a tier")
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
            Tier::Transparent => options.transparent_page_bytes(),
            Tier::Base => base_page_bytes(),
        };
        let len = options.len_in_pages(page_bytes)?;
        options.check_memory(len, tier)?;

        let file = match options.backing {
            Backing::Private => None,
            Backing::Shared => Some(MemoryFile::create(len, tier)?),
        };
        let mapping = options.map_region(file.as_ref(), len, tier, page_bytes)?;
        tier::advise(&mapping, tier, options.backing)?;
        let mut pool = Self {
            mapping,
            file,
            tier,
            page_bytes,
            population: options.population,
            residency: None,
            segments: Vec::new(),
            degradations: Vec::new(),
            root: options.root.clone(),
        };
        pool.place_and_populate(options)?;
        if options.lock == MemoryLock::Locked {
            let asked_bytes = len.get() as u64;
            pool.mapping.lock().map_err(|source| PoolError::Lock {
                asked_bytes,
                source,
            })?;
        }
        if let Some(file) = &mut pool.file {
            file.seal()?;
        }
        // Base pages are the least there is, and a population that did not fail has left all of them
        // resident: there is nothing to find out from a walk over every one of them.
        if verification == Verification::Full && tier != Tier::Base {
            pool.verify()?;
        }
        Ok(pool)
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

    /// Says whether an address lies inside the pool.
    #[inline]
    #[must_use]
    pub fn owns(&self, address: *const u8) -> bool {
        self.mapping.addresses().contains(&address.addr())
    }

    /// Returns the pages obtained.
    #[must_use]
    pub fn tier(&self) -> Tier {
        self.tier
    }

    /// Returns the size of the pages the length is a multiple of.
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
    /// [`PoolError::Unverifiable`] if `/proc/self/smaps` is not readable or lacks the pool.
    pub fn read_residency(&self) -> Result<Residency, PoolError> {
        let addresses = self.mapping.addresses();
        let facts = procfs::smaps_range(&self.root.text("/proc/self/smaps"), &addresses)?;
        let huge_bytes = match self.tier {
            Tier::Hugetlb { .. } => facts.resident_bytes,
            Tier::Transparent | Tier::Base => facts.transparent_bytes,
        };
        Ok(Residency {
            kernel_page_bytes: facts.kernel_page_bytes,
            resident_bytes: facts.resident_bytes,
            huge_bytes,
            node_bytes: procfs::numa_maps_range(
                &self.root.text("/proc/self/numa_maps"),
                &addresses,
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
        self.file.as_ref().map(AsFd::as_fd)
    }

    /// Returns the address of the first byte, for whoever can prove exclusive use of a part.
    #[inline]
    pub(crate) fn base(&self) -> *mut u8 {
        self.mapping.as_ptr()
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
    pub(crate) fn zero_prefix(&mut self, len: usize) {
        let whole_pages = len.next_multiple_of(self.page_bytes).min(self.len());
        let is_discardable = self.population == Population::Lazy && self.file.is_none();
        // Kernels before 5.18 refuse to discard reserved huge pages; those are overwritten.
        if !is_discardable || self.mapping.discard(whole_pages).is_err() {
            self.mapping.as_mut_slice()[..len].fill(0);
        }
    }

    fn place_and_populate(&mut self, options: &PoolOptions) -> Result<(), PoolError> {
        let regions = options.numa.regions(self.len(), self.page_bytes);
        for region in &regions {
            region.bind(&self.mapping)?;
        }
        if let NumaPolicy::Segmented(_) = options.numa {
            let segment = |region: &Region| NodeSegment {
                node: region.nodes[0],
                range: region.range.clone(),
            };
            self.segments = regions.iter().map(segment).collect();
        }
        let Population::Eager {
            workers,
            time_limit,
        } = options.population
        else {
            return Ok(());
        };
        let plan = Plan {
            page_bytes: self.page_bytes,
            workers: workers.unwrap_or_else(|| populate::workers_auto(self.len())),
            time_limit,
            method: Method::detect(&self.mapping),
        };
        let regions: Vec<_> = regions
            .into_iter()
            .map(|region| {
                let cpus = region.cpus(&options.root);
                (region, cpus)
            })
            .collect();
        let asked_bytes = self.len() as u64;
        populate::populate(&mut self.mapping, &regions, &plan).map_err(|error| match error {
            PopulateError::Spawn { worker, source } => PoolError::Worker { worker, source },
            PopulateError::Fault(source) => PoolError::Populate {
                asked_bytes,
                tier: self.tier,
                source,
            },
            PopulateError::TimeUp { populated_bytes } => PoolError::TimeLimit {
                populated_bytes,
                asked_bytes,
                limit: time_limit.unwrap_or_default(),
            },
        })
    }

    /// Reads back what the kernel granted; a tier that was not obtained is an error.
    fn verify(&mut self) -> Result<(), PoolError> {
        let is_eager = self.population != Population::Lazy;
        let mut residency = self.read_residency()?;
        let len = self.len() as u64;
        if self.tier == Tier::Transparent && is_eager && residency.huge_bytes < len {
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
            Tier::Base => unreachable!("base pages are not verified"),
        };
        if !is_obtained {
            return Err(PoolError::TierNotObtained {
                wanted: self.tier,
                kernel_page_bytes: residency.kernel_page_bytes,
                huge_bytes: residency.huge_bytes,
            });
        }
        if is_eager && residency.huge_bytes < len {
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
