//! Huge pages on offer and the pre-flight: will a pool of N bytes fit, and if not, what makes it.
//!
//! Key types: [`HugepageInventory`], which `discovery.rs` reads from the kernel's files, and [`Shortage`],
//! which carries the [`Remedy`] to print. `tier.rs` and `budget.rs` ask the questions.

use std::fmt;

use crate::{cgroup, pages};

/// Pages of one size on one node, or on all of them.
#[cfg_attr(feature = "serde", derive(serde::Serialize, serde::Deserialize))]
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
#[non_exhaustive]
pub struct PageCounts {
    /// Pages that exist.
    pub total_pages: u64,
    /// Pages that back nothing yet, promised ones included.
    pub free_pages: u64,
    /// Free pages promised to existing mappings. The kernel counts them for all nodes together only.
    pub reserved_pages: u64,
    /// Pages of `total_pages` beyond the configured number.
    pub surplus_pages: u64,
    /// Pages that the kernel may add on demand, those of `surplus_pages` included. Known for all nodes
    /// together only.
    pub overcommit_pages: u64,
}

/// One huge page size that the system offers.
#[cfg_attr(feature = "serde", derive(serde::Serialize, serde::Deserialize))]
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub struct HugepagePool {
    /// Size of one page.
    pub page_bytes: u64,
    /// Pages on all nodes.
    pub counts: PageCounts,
    /// Pages per node: number of the node and its counts, in ascending order.
    pub nodes: Vec<(u32, PageCounts)>,
    /// Bytes that the hugetlb cgroup still allows this process; `None` without a limit.
    pub cgroup_left_bytes: Option<u64>,
}

/// The huge pages of a system, as they were when it was read.
#[cfg_attr(feature = "serde", derive(serde::Serialize, serde::Deserialize))]
#[derive(Clone, Debug, Default, PartialEq, Eq)]
#[non_exhaustive]
pub struct HugepageInventory {
    /// The size used when a mapping names none; `None` if meminfo does not say.
    pub default_page_bytes: Option<u64>,
    /// The sizes offered, ascending.
    pub pools: Vec<HugepagePool>,
}

/// Why a request for huge pages cannot be met.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum Shortage {
    /// The kernel offers no reserved huge pages at all.
    #[error("the kernel offers no huge pages; boot one with hugetlbfs, or turn huge pages off")]
    NotOffered,
    /// Of the sizes offered, rounding up to any would add more than a sixteenth.
    #[error(
        "{asked_bytes} bytes rounded up to huge pages of any of {offered_bytes:?} bytes grow by more than a \
         sixteenth; name the size to have it all the same, or turn huge pages off"
    )]
    NoneSuits {
        /// Bytes asked for.
        asked_bytes: u64,
        /// The sizes that exist.
        offered_bytes: Vec<u64>,
    },
    /// The kernel offers huge pages, but not of this size.
    #[error("huge pages of {page_bytes} bytes are not offered, only of {offered_bytes:?}")]
    SizeNotOffered {
        /// The size asked for.
        page_bytes: u64,
        /// The sizes that exist.
        offered_bytes: Vec<u64>,
    },
    /// Too few pages are free and not promised to others.
    #[error(
        "{asked_pages} huge pages of {page_bytes} bytes asked for, {left_pages} are neither in use \
         nor reserved; run `{remedy}`"
    )]
    TooFewPages {
        /// Size of one page.
        page_bytes: u64,
        /// Pages the request needs.
        asked_pages: u64,
        /// Pages free minus reserved.
        left_pages: u64,
        /// What makes the request fit.
        remedy: Remedy,
    },
    /// The cgroup of this process does not allow as many.
    #[error(
        "{asked_bytes} bytes of huge pages asked for, the hugetlb cgroup allows {left_bytes} more; \
         raise its hugetlb.{page_name}.max (limit_in_bytes in the older hierarchy)"
    )]
    CgroupLimit {
        /// Bytes the request needs.
        asked_bytes: u64,
        /// Bytes left under the limit.
        left_bytes: u64,
        /// The controller's name for the page size.
        page_name: String,
    },
}

/// The command that gives the system enough huge pages. Prints as the line to run.
#[cfg_attr(feature = "serde", derive(serde::Serialize, serde::Deserialize))]
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub struct Remedy {
    /// Size of one page.
    pub page_bytes: u64,
    /// Pages to configure in all, those that exist included.
    pub configured_pages: u64,
    /// The node to configure them on; `None` for any.
    pub node: Option<u32>,
    /// Where the pages are configured: `sysctl` knows the default size only.
    pub is_default_size: bool,
}

impl PageCounts {
    /// Returns the pages that a new mapping can have.
    #[must_use]
    pub fn available_pages(&self) -> u64 {
        self.free_pages.saturating_sub(self.reserved_pages)
    }

    /// Returns the pages that the kernel may still add when a mapping asks for them.
    #[must_use]
    pub fn on_demand_pages(&self) -> u64 {
        self.overcommit_pages.saturating_sub(self.surplus_pages)
    }

    /// Returns the pages that the configuration asked for, without the surplus.
    #[must_use]
    pub fn configured_pages(&self) -> u64 {
        self.total_pages.saturating_sub(self.surplus_pages)
    }
}

impl HugepagePool {
    /// Returns the pages that a new mapping can have on `nodes`, or anywhere if `nodes` is empty.
    ///
    /// Reserved pages are known for all nodes together; they are assumed to be where the request
    /// wants to go, so the answer is never too high.
    #[must_use]
    pub fn available_pages(&self, nodes: &[u32]) -> u64 {
        if nodes.is_empty() {
            return self.counts.available_pages();
        }
        let free_pages: u64 = self
            .nodes
            .iter()
            .filter(|(node, _)| nodes.contains(node))
            .map(|(_, counts)| counts.free_pages)
            .sum();
        free_pages.saturating_sub(self.counts.reserved_pages)
    }
}

impl HugepagePool {
    /// Returns the pages that a mapping on `nodes` can have, those included that the kernel adds on
    /// demand.
    #[must_use]
    pub fn obtainable_pages(&self, nodes: &[u32]) -> u64 {
        let on_demand_pages = self.counts.on_demand_pages();
        self.available_pages(nodes).saturating_add(on_demand_pages)
    }
}

impl HugepageInventory {
    /// Returns the pool of pages of one size.
    #[must_use]
    pub fn pool(&self, page_bytes: u64) -> Option<&HugepagePool> {
        self.pools.iter().find(|pool| pool.page_bytes == page_bytes)
    }

    /// Returns the sizes offered, ascending.
    pub(crate) fn offered_bytes(&self) -> Vec<u64> {
        self.pools.iter().map(|pool| pool.page_bytes).collect()
    }

    /// Chooses a page size for `bytes` when none was asked for.
    ///
    /// The largest size that fits and to which rounding adds at most a sixteenth. If none fits, the
    /// default size or else the smallest of those that are tight, so that a refusal speaks of a size that
    /// would serve.
    ///
    /// # Errors
    ///
    /// [`Shortage::NotOffered`] if the system has no huge page size at all, [`Shortage::NoneSuits`] if
    /// all are too large.
    pub fn choose_page_bytes(&self, bytes: u64, nodes: &[u32]) -> Result<u64, Shortage> {
        let offered_bytes = self.offered_bytes();
        if offered_bytes.is_empty() {
            return Err(Shortage::NotOffered);
        }
        let tight = || {
            let sizes = offered_bytes.iter().copied();
            sizes.filter(|&page_bytes| pages::is_tight(bytes, page_bytes))
        };
        let fits = |&page_bytes: &u64| self.preflight(bytes, page_bytes, nodes).is_ok();
        let default = || tight().find(|&page_bytes| self.default_page_bytes == Some(page_bytes));
        tight()
            .rev()
            .find(fits)
            .or_else(default)
            .or_else(|| tight().next())
            .ok_or_else(|| Shortage::NoneSuits {
                asked_bytes: bytes,
                offered_bytes: offered_bytes.clone(),
            })
    }

    /// Says whether `bytes`, rounded up to whole pages, fit into the huge pages of `nodes` (anywhere
    /// if `nodes` is empty) at this moment, with the pages that the kernel adds on demand.
    ///
    /// # Errors
    ///
    /// A [`Shortage`] that says what is missing and which command provides it.
    pub fn preflight(&self, bytes: u64, page_bytes: u64, nodes: &[u32]) -> Result<(), Shortage> {
        if self.pools.is_empty() {
            return Err(Shortage::NotOffered);
        }
        let Some(pool) = self.pool(page_bytes) else {
            let offered_bytes = self.offered_bytes();
            return Err(Shortage::SizeNotOffered {
                page_bytes,
                offered_bytes,
            });
        };
        let asked_pages = bytes.div_ceil(page_bytes);
        let left_pages = pool.available_pages(nodes);
        if asked_pages > pool.obtainable_pages(nodes) {
            let remedy = self.remedy(pool, asked_pages - left_pages, nodes);
            return Err(Shortage::TooFewPages {
                page_bytes,
                asked_pages,
                left_pages,
                remedy,
            });
        }
        let asked_bytes = asked_pages.saturating_mul(page_bytes);
        match pool.cgroup_left_bytes {
            Some(left_bytes) if asked_bytes > left_bytes => {
                let page_name = cgroup::page_name(page_bytes);
                Err(Shortage::CgroupLimit {
                    asked_bytes,
                    left_bytes,
                    page_name,
                })
            }
            _ => Ok(()),
        }
    }

    fn remedy(&self, pool: &HugepagePool, missing_pages: u64, nodes: &[u32]) -> Remedy {
        let node = match nodes {
            [node] => Some(*node),
            _ => None,
        };
        let counts = node
            .and_then(|node| pool.nodes.iter().find(|(number, _)| *number == node))
            .map_or(pool.counts, |(_, counts)| *counts);
        Remedy {
            page_bytes: pool.page_bytes,
            configured_pages: counts.configured_pages().saturating_add(missing_pages),
            node,
            is_default_size: self.default_page_bytes == Some(pool.page_bytes),
        }
    }
}

impl fmt::Display for Remedy {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let (pages, kib) = (self.configured_pages, self.page_bytes >> 10);
        match self.node {
            None if self.is_default_size => write!(f, "sysctl -w vm.nr_hugepages={pages}"),
            None => write!(
                f,
                "echo {pages} > /sys/kernel/mm/hugepages/hugepages-{kib}kB/nr_hugepages"
            ),
            Some(node) => write!(
                f,
                "echo {pages} > /sys/devices/system/node/node{node}/hugepages/hugepages-{kib}kB/nr_hugepages"
            ),
        }
    }
}

#[cfg(test)]
#[cfg(not(loom))]
mod tests {
    use super::*;

    const MIB: u64 = 1 << 20;

    fn inventory(
        free_pages: u64,
        reserved_pages: u64,
        cgroup_left_bytes: Option<u64>,
    ) -> HugepageInventory {
        let counts = PageCounts {
            total_pages: 16,
            free_pages,
            reserved_pages,
            ..PageCounts::default()
        };
        let on_node = |free_pages| PageCounts {
            total_pages: 8,
            free_pages,
            reserved_pages: 0,
            ..PageCounts::default()
        };
        let nodes = vec![
            (0, on_node(free_pages / 2)),
            (1, on_node(free_pages - free_pages / 2)),
        ];
        HugepageInventory {
            default_page_bytes: Some(2 * MIB),
            pools: vec![
                HugepagePool {
                    page_bytes: 2 * MIB,
                    counts,
                    nodes,
                    cgroup_left_bytes,
                },
                HugepagePool {
                    page_bytes: 1024 * MIB,
                    counts: PageCounts::default(),
                    nodes: vec![],
                    cgroup_left_bytes: None,
                },
            ],
        }
    }

    #[test]
    fn reserved_pages_are_not_available() {
        assert_eq!(
            inventory(10, 4, None).preflight(12 * MIB, 2 * MIB, &[]),
            Ok(())
        );
        let shortage = inventory(10, 4, None)
            .preflight(14 * MIB, 2 * MIB, &[])
            .unwrap_err();
        assert!(
            matches!(
                shortage,
                Shortage::TooFewPages {
                    asked_pages: 7,
                    left_pages: 6,
                    ..
                }
            ),
            "{shortage:?}"
        );
        assert!(
            shortage
                .to_string()
                .ends_with("run `sysctl -w vm.nr_hugepages=17`"),
            "{shortage}"
        );
    }

    #[test]
    fn pages_added_on_demand_count_for_a_pool() {
        let mut inventory = inventory(1, 0, None);
        inventory.pools[0].counts.overcommit_pages = 3;
        assert_eq!(inventory.preflight(8 * MIB, 2 * MIB, &[]), Ok(()));
        inventory.pools[0].counts.surplus_pages = 1;
        assert!(inventory.preflight(8 * MIB, 2 * MIB, &[]).is_err());
    }

    #[test]
    fn other_sizes_and_nodes_have_their_own_remedy() {
        let shortage = inventory(0, 0, None)
            .preflight(1, 1024 * MIB, &[])
            .unwrap_err();
        assert!(
            shortage
                .to_string()
                .contains("echo 1 > /sys/kernel/mm/hugepages/hugepages-1048576kB/nr_hugepages")
        );
        let shortage = inventory(4, 0, None)
            .preflight(6 * MIB, 2 * MIB, &[1])
            .unwrap_err();
        assert!(
            shortage
                .to_string()
                .contains("echo 9 > /sys/devices/system/node/node1/hugepages/hugepages-2048kB")
        );
    }

    #[test]
    fn cgroup_limit_is_a_shortage_of_its_own() {
        let shortage = inventory(16, 0, Some(4 * MIB))
            .preflight(6 * MIB, 2 * MIB, &[])
            .unwrap_err();
        assert!(matches!(
            shortage,
            Shortage::CgroupLimit {
                asked_bytes: 0x60_0000,
                left_bytes: 0x40_0000,
                ..
            }
        ));
        assert!(
            shortage.to_string().contains("hugetlb.2MB.max"),
            "{shortage}"
        );
    }

    #[test]
    fn unknown_sizes_name_the_offered_ones() {
        let shortage = inventory(16, 0, None)
            .preflight(1, 512 * MIB, &[])
            .unwrap_err();
        assert!(
            shortage.to_string().contains("[2097152, 1073741824]"),
            "{shortage}"
        );
        assert_eq!(
            HugepageInventory::default().preflight(1, 2 * MIB, &[]),
            Err(Shortage::NotOffered)
        );
        assert_eq!(
            HugepageInventory::default().choose_page_bytes(1, &[]),
            Err(Shortage::NotOffered)
        );
    }

    #[test]
    fn automatic_size_is_the_largest_that_fits_tightly() {
        let mut inventory = inventory(16, 0, None);
        assert_eq!(inventory.choose_page_bytes(32 * MIB, &[]), Ok(2 * MIB));
        inventory.pools[1].counts = PageCounts {
            total_pages: 4,
            free_pages: 4,
            ..PageCounts::default()
        };
        assert_eq!(inventory.choose_page_bytes(2048 * MIB, &[]), Ok(1024 * MIB));
        assert_eq!(
            inventory.choose_page_bytes(1100 * MIB, &[]),
            Ok(2 * MIB),
            "rounding would add 948 MiB"
        );
        assert_eq!(inventory.choose_page_bytes(64 * MIB, &[]), Ok(2 * MIB));
        inventory.pools.remove(0);
        let refused = inventory.choose_page_bytes(64 * MIB, &[]).unwrap_err();
        assert!(refused.to_string().contains("[1073741824]"), "{refused}");
    }
}
