//! From a tier to a region: page sizes, pre-flight, the mapping itself and the advice it rests on.
//!
//! `pool.rs` decides which tiers to try and puts these steps in order.

use std::{alloc::Layout, num::NonZeroUsize, os::fd::AsFd};

use nix::errno::Errno;

use crate::{
    discovery::{self, SystemRoot},
    error::PoolError,
    hugepage::HugepageInventory,
    mapping::{Advice, Mapping, base_page_bytes},
    memory::Admission,
    numa::NumaPolicy,
    options::{Backing, PoolOptions},
    pages::{PageSize, Tier},
    shared::MemoryFile,
};

/// Size and alignment of transparent huge pages where the kernel does not say (x86-64, arm64 with
/// 4 KiB base pages).
const TRANSPARENT_PAGE_BYTES_FALLBACK: usize = 2 << 20;

impl PoolOptions {
    /// Resolves the page size of reserved huge pages.
    pub(crate) fn hugetlb_tier(&self, size: PageSize) -> Result<Tier, PoolError> {
        let page_bytes = match size {
            PageSize::Auto => HugepageInventory::read(&self.root)
                .choose_page_bytes(self.size_bytes, self.numa_nodes_bound())?,
            PageSize::Bytes(page_bytes) => page_bytes,
        };
        if !page_bytes.is_power_of_two() || page_bytes < base_page_bytes() as u64 {
            return Err(PoolError::InvalidPageSize { page_bytes });
        }
        Ok(Tier::Hugetlb { page_bytes })
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

    pub(crate) fn transparent_page_bytes(&self) -> usize {
        let text = self
            .root
            .text("/sys/kernel/mm/transparent_hugepage/hpage_pmd_size");
        let bytes = text
            .trim()
            .parse()
            .ok()
            .filter(|bytes: &usize| bytes.is_power_of_two());
        bytes.unwrap_or(TRANSPARENT_PAGE_BYTES_FALLBACK)
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
        Admission::of(&self.root, asked_bytes).map(Some)
    }

    pub(crate) fn map_region(
        &self,
        file: Option<&MemoryFile>,
        len: NonZeroUsize,
        tier: Tier,
        page_bytes: usize,
    ) -> Result<Mapping, PoolError> {
        let align = self.align.max(page_bytes);
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
