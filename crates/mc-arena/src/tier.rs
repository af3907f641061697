//! From a tier to a region: page sizes, pre-flight, the mapping itself and the advice it rests on.
//!
//! `pool.rs` decides which tiers to try and puts these steps in order.

use std::{alloc::Layout, num::NonZeroUsize, os::fd::AsFd};

use nix::errno::Errno;

use crate::{
    discovery::{self, SystemRoot},
    error::PoolError,
    hugepage::{HugepageInventory, Shortage},
    mapping::{Advice, Mapping, base_page_bytes},
    memory::Admission,
    numa::NumaPolicy,
    options::{Backing, PoolOptions},
    pages::{self, PagePolicy, PageSize, Tier},
    shared::MemoryFile,
};

/// The tiers to try for a pool, and why better ones are not tried.
#[derive(Debug)]
pub(crate) struct Walk {
    /// At least one, best first.
    pub(crate) tiers: Vec<Tier>,
    pub(crate) degradations: Vec<PoolError>,
}

/// The pages of a system.
struct SystemPages {
    base_bytes: u64,
    transparent_bytes: u64,
    hugepages: HugepageInventory,
}

impl SystemPages {
    /// Decides which pages may back a pool of `bytes` that cannot leave `nodes`.
    fn walk(&self, policy: PagePolicy, bytes: u64, nodes: &[u32]) -> Result<Walk, PoolError> {
        let mut walk = Walk {
            tiers: Vec::new(),
            degradations: Vec::new(),
        };
        match policy {
            PagePolicy::Required(size) => {
                let page_bytes = match size {
                    PageSize::Auto => self.hugepages.choose_page_bytes(bytes, nodes)?,
                    PageSize::Bytes(page_bytes) => self.check(page_bytes)?,
                };
                walk.tiers.push(Tier::Hugetlb { page_bytes });
                return Ok(walk);
            }
            PagePolicy::Prefer(size) => {
                let sizes = self.sizes(size)?;
                let tight = sizes.iter().filter(|&&page| pages::is_tight(bytes, page));
                walk.tiers
                    .extend(tight.map(|&page_bytes| Tier::Hugetlb { page_bytes }));
                if walk.tiers.is_empty() {
                    walk.degradations.push(self.none_suits(bytes).into());
                }
                self.add_transparent(bytes, &mut walk);
            }
            PagePolicy::Transparent => self.add_transparent(bytes, &mut walk),
            PagePolicy::Off => {}
        }
        walk.tiers.push(Tier::Base);
        Ok(walk)
    }

    /// Returns the sizes to try, the largest first.
    fn sizes(&self, size: PageSize) -> Result<Vec<u64>, PoolError> {
        let mut sizes = self.hugepages.offered_bytes();
        if let PageSize::Bytes(named) = size {
            self.check(named)?;
            sizes.retain(|&offered| offered < named);
            sizes.push(named);
        }
        sizes.reverse();
        Ok(sizes)
    }

    /// Tries transparent pages iff the pool is long enough for one of them.
    fn add_transparent(&self, asked_bytes: u64, walk: &mut Walk) {
        let page_bytes = self.transparent_bytes;
        if asked_bytes >= page_bytes {
            walk.tiers.push(Tier::Transparent);
        } else {
            walk.degradations.push(PoolError::TooSmall {
                asked_bytes,
                page_bytes,
            });
        }
    }

    fn none_suits(&self, asked_bytes: u64) -> Shortage {
        let offered_bytes = self.hugepages.offered_bytes();
        if offered_bytes.is_empty() {
            return Shortage::NotOffered;
        }
        Shortage::NoneSuits {
            asked_bytes,
            offered_bytes,
        }
    }

    /// Refuses what is no size of a huge page.
    fn check(&self, page_bytes: u64) -> Result<u64, PoolError> {
        if !page_bytes.is_power_of_two() || page_bytes < self.base_bytes {
            return Err(PoolError::InvalidPageSize { page_bytes });
        }
        Ok(page_bytes)
    }
}

/// Returns the size of transparent huge pages where the kernel does not say: what one table of the
/// lowest level covers, whose entries have 8 bytes and fill a base page.
fn transparent_bytes_usual(base_bytes: usize) -> usize {
    base_bytes.saturating_mul(base_bytes / 8)
}

impl PoolOptions {
    /// Decides which pages to try.
    pub(crate) fn walk(&self) -> Result<Walk, PoolError> {
        let system = SystemPages {
            base_bytes: base_page_bytes() as u64,
            transparent_bytes: self.transparent_page_bytes() as u64,
            hugepages: HugepageInventory::read(&self.root),
        };
        system.walk(self.pages, self.size_bytes, self.numa_nodes_bound())
    }

    /// Returns the nodes that the pool cannot leave.
    fn numa_nodes_bound(&self) -> &[u32] {
        match &self.numa {
            NumaPolicy::Bind(nodes) | NumaPolicy::Segmented(nodes) => nodes,
            _ => &[],
        }
    }

    pub(crate) fn len_in_pages(&self, page_bytes: usize) -> Result<NonZeroUsize, PoolError> {
        usize::try_from(self.size_bytes)
            .ok()
            .and_then(|bytes| bytes.checked_next_multiple_of(page_bytes))
            .filter(|&len| isize::try_from(len).is_ok())
            .and_then(NonZeroUsize::new)
            .ok_or(PoolError::SizeOverflow {
                asked_bytes: self.size_bytes,
                page_bytes: page_bytes as u64,
            })
    }

    /// Returns the size of transparent huge pages, which is also what their addresses are multiples of.
    pub(crate) fn transparent_page_bytes(&self) -> usize {
        let text = self
            .root
            .text("/sys/kernel/mm/transparent_hugepage/hpage_pmd_size");
        let bytes = text
            .trim()
            .parse()
            .ok()
            .filter(|bytes: &usize| bytes.is_power_of_two());
        bytes.unwrap_or_else(|| transparent_bytes_usual(base_page_bytes()))
    }

    /// Refuses what would fail half-way: fewer huge pages, or less memory, than the pool needs. Memory
    /// that is to be there from the beginning is to be taken by the admission.
    pub(crate) fn check_memory(
        &self,
        len: NonZeroUsize,
        tier: Tier,
    ) -> Result<Option<Admission>, PoolError> {
        let asked_bytes = len.get() as u64;
        if let Tier::Hugetlb { page_bytes } = tier {
            let inventory = HugepageInventory::read(&self.root);
            inventory.preflight(asked_bytes, page_bytes, self.numa_nodes_bound())?;
            if let NumaPolicy::Segmented(_) = self.numa {
                let page_bytes_usize = usize::try_from(page_bytes).unwrap_or(usize::MAX);
                for region in self.numa.regions(len.get(), page_bytes_usize) {
                    inventory.preflight(region.range.len() as u64, page_bytes, &region.nodes)?;
                }
            }
            return Ok(None);
        }
        if !self.is_resident() {
            return Ok(None);
        }
        Admission::of(&self.root, asked_bytes, self.time_limit()).map(Some)
    }

    pub(crate) fn map_region(
        &self,
        file: Option<&MemoryFile>,
        len: NonZeroUsize,
        tier: Tier,
        page_bytes: usize,
    ) -> Result<Mapping, PoolError> {
        let align = self.align.max(match tier {
            Tier::Transparent => self.transparent_page_bytes(),
            _ => page_bytes,
        });
        let mapped = match (file, tier) {
            (Some(file), _) => Mapping::shared(file.as_fd(), 0, len, align),
            (None, Tier::Hugetlb { .. }) => map_private_huge(len, page_bytes, align),
            (None, Tier::Transparent | Tier::Base | Tier::Foreign) => Mapping::private(len, align),
        };
        mapped.map_err(|source| PoolError::Map {
            asked_bytes: len.get() as u64,
            tier,
            source: source.into(),
        })
    }
}

/// Maps private reserved huge pages: through `hugepage_rs` where they have the default size and no
/// greater alignment, which is the case it serves, and by naming the size otherwise.
fn map_private_huge(len: NonZeroUsize, page_bytes: usize, align: usize) -> Result<Mapping, Errno> {
    // The crate reads the running system's meminfo and panics on what this refuses.
    let meminfo = SystemRoot::default().text("/proc/meminfo");
    let is_default = discovery::default_page_bytes(&meminfo) == Ok(page_bytes as u64);
    match Layout::from_size_align(len.get(), align) {
        Ok(layout) if is_default && align == page_bytes => Mapping::private_default_huge(layout),
        _ => Mapping::private_huge(len, page_bytes.trailing_zeros(), align),
    }
}

/// Gives the advice that every pool rests on and that of its tier.
pub(crate) fn advise(mapping: &Mapping, tier: Tier, backing: Backing) -> Result<(), PoolError> {
    for (advice, name) in [
        (Advice::DontFork, "MADV_DONTFORK"),
        (Advice::DontDump, "MADV_DONTDUMP"),
    ] {
        let refused = |errno: Errno| PoolError::Advise {
            advice: name,
            source: errno.into(),
        };
        mapping.advise(advice).map_err(refused)?;
    }
    match (tier, backing) {
        (Tier::Transparent, _) => {
            mapping
                .advise(Advice::TransparentHuge)
                .map_err(|errno| PoolError::Transparent {
                    source: errno.into(),
                })
        }
        (Tier::Base, Backing::Private) => {
            // Refused only by kernels without transparent huge pages, where it goes without saying.
            if let Err(errno) = mapping.advise(Advice::NeverHuge) {
                tracing::debug!(%errno, "the kernel has no transparent huge pages to turn off");
            }
            Ok(())
        }
        (Tier::Base, Backing::Shared) | (Tier::Hugetlb { .. } | Tier::Foreign, _) => Ok(()),
    }
}

#[cfg(test)]
#[cfg(not(loom))]
mod tests {
    use super::*;
    use crate::hugepage::{HugepagePool, PageCounts};

    const MIB: u64 = 1 << 20;

    /// A system that has four pages of each size.
    fn system(base_bytes: u64, transparent_bytes: u64, sizes: &[u64]) -> SystemPages {
        let counts = PageCounts {
            total_pages: 4,
            free_pages: 4,
            ..PageCounts::default()
        };
        let pool = |&page_bytes: &u64| HugepagePool {
            page_bytes,
            counts,
            nodes: Vec::new(),
            cgroup_left_bytes: None,
        };
        SystemPages {
            base_bytes,
            transparent_bytes,
            hugepages: HugepageInventory {
                default_page_bytes: sizes.first().copied(),
                pools: sizes.iter().map(pool).collect(),
            },
        }
    }

    fn x86() -> SystemPages {
        system(4096, 2 * MIB, &[2 * MIB, 1024 * MIB])
    }

    /// With base pages of 64 KiB, as distributions for servers are built.
    fn arm64() -> SystemPages {
        system(65536, 512 * MIB, &[2 * MIB, 512 * MIB, 16384 * MIB])
    }

    const PREFER: PagePolicy = PagePolicy::Prefer(PageSize::Auto);

    #[track_caller]
    fn check(system: &SystemPages, policy: PagePolicy, bytes: u64, tiers: &[Tier], reasons: usize) {
        let walk = system.walk(policy, bytes, &[]).unwrap();
        assert_eq!(walk.tiers, tiers, "{bytes} bytes");
        assert_eq!(walk.degradations.len(), reasons, "{:?}", walk.degradations);
    }

    fn huge(mib: u64) -> Tier {
        Tier::Hugetlb {
            page_bytes: mib * MIB,
        }
    }

    #[test]
    fn pages_are_tried_from_the_largest_that_suits_down() {
        use Tier::{Base, Transparent};
        check(
            &x86(),
            PREFER,
            2048 * MIB,
            &[huge(1024), huge(2), Transparent, Base],
            0,
        );
        check(&x86(), PREFER, 64 * MIB, &[huge(2), Transparent, Base], 0);
        check(&x86(), PREFER, 3 * MIB, &[Transparent, Base], 1);
        check(&x86(), PREFER, MIB, &[Base], 2);
        check(
            &x86(),
            PagePolicy::Transparent,
            3 * MIB,
            &[Transparent, Base],
            0,
        );
        check(&x86(), PagePolicy::Off, 2048 * MIB, &[Base], 0);
        let named = PagePolicy::Prefer(PageSize::Bytes(1024 * MIB));
        check(&x86(), named, 64 * MIB, &[huge(2), Transparent, Base], 0);
        let smaller = PagePolicy::Prefer(PageSize::Bytes(2 * MIB));
        check(
            &x86(),
            smaller,
            2048 * MIB,
            &[huge(2), Transparent, Base],
            0,
        );
    }

    #[test]
    fn large_pages_do_not_swallow_small_pools() {
        use Tier::{Base, Transparent};
        check(&arm64(), PREFER, 8 * MIB, &[huge(2), Base], 1);
        check(
            &arm64(),
            PREFER,
            1024 * MIB,
            &[huge(512), huge(2), Transparent, Base],
            0,
        );
        check(
            &arm64(),
            PREFER,
            1100 * MIB,
            &[huge(2), Transparent, Base],
            0,
        );
        let only_large = system(65536, 512 * MIB, &[512 * MIB]);
        check(&only_large, PREFER, 8 * MIB, &[Base], 2);
        let gigabytes = system(4096, 2 * MIB, &[1024 * MIB]);
        check(&gigabytes, PREFER, 64 * MIB, &[Transparent, Base], 1);
        let required = gigabytes.walk(PagePolicy::Required(PageSize::Auto), 64 * MIB, &[]);
        let refused = required.unwrap_err();
        assert!(
            matches!(refused, PoolError::Hugepages(Shortage::NoneSuits { .. })),
            "{refused}"
        );
        let named = PagePolicy::Required(PageSize::Bytes(1024 * MIB));
        check(&gigabytes, named, 64 * MIB, &[huge(1024)], 0);
    }

    #[test]
    fn sizes_below_a_base_page_are_refused() {
        for policy in [PagePolicy::Required, PagePolicy::Prefer] {
            for page_bytes in [0, 4096, 3 * MIB] {
                let refused = arm64().walk(policy(PageSize::Bytes(page_bytes)), MIB, &[]);
                let error = refused.unwrap_err();
                assert!(
                    matches!(error, PoolError::InvalidPageSize { .. }),
                    "{error}"
                );
            }
        }
    }

    #[test]
    fn transparent_pages_are_what_a_table_covers() {
        assert_eq!(transparent_bytes_usual(4096), 2 << 20);
        assert_eq!(transparent_bytes_usual(16384), 32 << 20);
        assert_eq!(transparent_bytes_usual(65536), 512 << 20);
    }
}
