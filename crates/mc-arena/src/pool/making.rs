//! Making a pool: walking down the tiers that the page policy allows, and the steps of each attempt
//! (pre-flight, map, advise, bind, populate, lock, verify). A failed attempt leaves nothing mapped,
//! because the half-made [`Mapping`] is dropped.

use std::{
    path::Path,
    sync::{Arc, atomic::AtomicBool},
    time::Duration,
};

use nix::sched::CpuSet;

use crate::{
    error::PoolError,
    mapping::{Advice, Extent, Mapping, base_page_bytes},
    memory::Admission,
    named::{Contents, LockedFile},
    numa::{NodeSegment, NumaPolicy},
    options::{Backing, MemoryLock, PoolOptions, Population},
    pages::Tier,
    populate::{self, Method, Plan, PopulateError, Progress},
    region::Region,
    shared::MemoryFile,
    tier,
};

use super::{Pool, PoolFile};

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
        let options = &PoolOptions {
            numa: options.numa.effective(&options.root)?,
            ..options.clone()
        };
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
                admission = Some(Admission::of(
                    &options.root,
                    len.get() as u64,
                    options.time_limit(),
                )?);
            }
            match &mut admission {
                Some(admission) => admission.admit(step_bytes, || false),
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

    pub(super) fn over(
        mapping: Mapping,
        tier: Tier,
        page_bytes: usize,
        options: &PoolOptions,
    ) -> Self {
        Self {
            file: None,
            mapping,
            tier,
            page_bytes,
            population: options.population,
            progress: None,
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

    fn place_and_populate(
        &mut self,
        options: &PoolOptions,
        admission: Option<Admission>,
    ) -> Result<(), PoolError> {
        let granule_bytes = self.granule_bytes(options);
        let regions = options.numa.regions(self.len(), granule_bytes);
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
        if !options.is_resident() {
            return Ok(());
        }
        let workers = match options.population {
            Population::Eager { workers, .. } | Population::Background { workers } => workers,
            Population::Lazy => None,
        };
        let time_limit = options.time_limit();
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
        let is_background = matches!(options.population, Population::Background { .. });
        let is_advised = plan.method == Method::Advise;
        if is_background && is_advised && options.lock == MemoryLock::Swappable {
            return self.populate_beside(regions, plan);
        }
        let populated = populate::populate(&mut self.mapping, &regions, plan);
        populated.map_err(|error| not_populated(error, self.len(), self.tier, time_limit))
    }

    /// Starts the population on a thread of its own.
    fn populate_beside(
        &mut self,
        regions: Vec<(Region, Option<CpuSet>)>,
        plan: Plan,
    ) -> Result<(), PoolError> {
        let progress = Arc::new(Progress::default());
        self.progress = Some(Arc::clone(&progress));
        let (len, tier) = (self.len(), self.tier);
        let work = move |extent: &Extent, is_over: &AtomicBool| {
            let populated =
                populate::background::populate(extent, is_over, &regions, plan, &progress);
            progress.end(populated.map_err(|error| not_populated(error, len, tier, None)));
        };
        self.mapping
            .work_beside(work)
            .map_err(|source| PoolError::Worker { worker: 0, source })
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
        let is_eager = options.is_resident() && self.progress.is_none();
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

/// Returns why a pool was not populated.
pub(super) fn not_populated(
    error: PopulateError,
    len: usize,
    tier: Tier,
    time_limit: Option<Duration>,
) -> PoolError {
    let asked_bytes = len as u64;
    match error {
        PopulateError::Refused(error) => *error,
        PopulateError::Spawn { worker, source } => PoolError::Worker { worker, source },
        PopulateError::Fault(errno) => PoolError::Populate {
            asked_bytes,
            tier,
            source: errno.into(),
        },
        PopulateError::TimeUp { populated_bytes } => PoolError::TimeLimit {
            populated_bytes,
            asked_bytes,
            limit: time_limit.unwrap_or_default(),
        },
    }
}

/// Returns an error with its cause, on one line.
fn describe(error: &PoolError) -> String {
    match std::error::Error::source(error) {
        Some(source) => format!("{error}: {source}"),
        None => error.to_string(),
    }
}
