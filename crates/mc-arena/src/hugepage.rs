//! Discovery of huge pages and the pre-flight: will a pool of N bytes fit, and if not, what makes it.
//!
//! Key types: [`HugepageInventory`], read once from the kernel's files under a [`SystemRoot`], and
//! [`Shortage`], which carries the [`Remedy`] to print. Parsing is in `procfs.rs`; `pool.rs` and
//! `budget.rs` ask the questions.

use std::{
    fmt, fs,
    path::{Path, PathBuf},
};

use crate::procfs::{self, HugetlbCgroup, MissingLine};

/// The directory under which `proc` and `sys` are read, `/` unless said otherwise.
///
/// Another directory serves containers that mount the host's files elsewhere, and tests.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct SystemRoot(PathBuf);

/// Pages of one size on one node, or on all of them.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct PageCounts {
    /// Pages that exist.
    pub total_pages: u64,
    /// Pages that back nothing yet, promised ones included.
    pub free_pages: u64,
    /// Free pages promised to existing mappings. The kernel counts them for all nodes together only.
    pub reserved_pages: u64,
    /// Pages of `total_pages` beyond the configured number.
    pub surplus_pages: u64,
}

/// One huge page size that the system offers.
#[derive(Clone, Debug, PartialEq, Eq)]
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
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct HugepageInventory {
    /// The size used when a mapping names none; `None` if meminfo does not say.
    pub default_page_bytes: Option<u64>,
    /// The sizes offered, ascending.
    pub pools: Vec<HugepagePool>,
}

/// Why a request for huge pages cannot be met.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum Shortage {
    /// The kernel offers no reserved huge pages at all.
    #[error("the kernel offers no huge pages; boot one with hugetlbfs, or turn huge pages off")]
    NotOffered,
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
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
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

impl SystemRoot {
    /// Returns the root whose `proc` and `sys` lie under `directory`.
    #[must_use]
    pub fn at(directory: impl Into<PathBuf>) -> Self {
        Self(directory.into())
    }

    /// Returns the path of a file given by its absolute path on the running system.
    pub(crate) fn path(&self, absolute: &str) -> PathBuf {
        self.0.join(absolute.trim_start_matches('/'))
    }

    /// Returns the text of a file, empty if it cannot be read: what it lacks is then reported.
    pub(crate) fn text(&self, absolute: &str) -> String {
        fs::read_to_string(self.path(absolute)).unwrap_or_default()
    }

    fn number(&self, directory: &Path, name: &str) -> u64 {
        fs::read_to_string(directory.join(name))
            .ok()
            .and_then(|text| text.trim().parse().ok())
            .unwrap_or(0)
    }
}

impl Default for SystemRoot {
    fn default() -> Self {
        Self::at("/")
    }
}

impl PageCounts {
    /// Returns the pages that a new mapping can have.
    #[must_use]
    pub fn available_pages(&self) -> u64 {
        self.free_pages.saturating_sub(self.reserved_pages)
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

impl HugepageInventory {
    /// Reads what the system under `root` offers. Files that are absent count as "none".
    #[must_use]
    pub fn read(root: &SystemRoot) -> Self {
        let mut pools: Vec<_> = page_directories(&root.path("/sys/kernel/mm/hugepages"))
            .into_iter()
            .map(|(page_bytes, directory)| HugepagePool {
                page_bytes,
                counts: read_counts(root, &directory),
                nodes: read_nodes(root, page_bytes),
                cgroup_left_bytes: read_cgroup_left_bytes(root, page_bytes),
            })
            .collect();
        pools.sort_unstable_by_key(|pool| pool.page_bytes);
        Self {
            default_page_bytes: default_page_bytes(&root.text("/proc/meminfo")).ok(),
            pools,
        }
    }

    /// Returns the pool of pages of one size.
    #[must_use]
    pub fn pool(&self, page_bytes: u64) -> Option<&HugepagePool> {
        self.pools.iter().find(|pool| pool.page_bytes == page_bytes)
    }

    /// Chooses a page size for `bytes` when none was asked for.
    ///
    /// The largest size that fits and whose rounding adds at most a sixteenth; failing that, the
    /// default size, so that a refusal speaks of the size people know.
    ///
    /// # Errors
    ///
    /// [`Shortage::NotOffered`] if the system has no huge page size at all.
    pub fn choose_page_bytes(&self, bytes: u64, nodes: &[u32]) -> Result<u64, Shortage> {
        let is_tight = |page_bytes: u64| {
            bytes
                .checked_next_multiple_of(page_bytes)
                .is_some_and(|rounded| rounded - bytes <= bytes / 16)
        };
        let fitting = self
            .pools
            .iter()
            .rev()
            .map(|pool| pool.page_bytes)
            .find(|&page_bytes| {
                is_tight(page_bytes) && self.preflight(bytes, page_bytes, nodes).is_ok()
            });
        let default = self
            .default_page_bytes
            .filter(|&page_bytes| self.pool(page_bytes).is_some());
        let smallest = self.pools.first().map(|pool| pool.page_bytes);
        fitting.or(default).or(smallest).ok_or(Shortage::NotOffered)
    }

    /// Says whether `bytes`, rounded up to whole pages, fit into the huge pages of `nodes` (anywhere
    /// if `nodes` is empty) at this moment.
    ///
    /// # Errors
    ///
    /// A [`Shortage`] that says what is missing and which command provides it.
    pub fn preflight(&self, bytes: u64, page_bytes: u64, nodes: &[u32]) -> Result<(), Shortage> {
        if self.pools.is_empty() {
            return Err(Shortage::NotOffered);
        }
        let Some(pool) = self.pool(page_bytes) else {
            let offered_bytes = self.pools.iter().map(|pool| pool.page_bytes).collect();
            return Err(Shortage::SizeNotOffered {
                page_bytes,
                offered_bytes,
            });
        };
        let asked_pages = bytes.div_ceil(page_bytes);
        let left_pages = pool.available_pages(nodes);
        if asked_pages > left_pages {
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
                let page_name = procfs::cgroup_page_name(page_bytes);
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

/// Returns the huge page size used when a mapping names none.
pub(crate) fn default_page_bytes(meminfo: &str) -> Result<u64, MissingLine> {
    procfs::meminfo_bytes(meminfo, "Hugepagesize")
}

/// Returns the page size that a sysfs directory name such as `hugepages-2048kB` stands for.
fn page_bytes_of_directory(name: &str) -> Option<u64> {
    let kib: u64 = name
        .strip_prefix("hugepages-")?
        .strip_suffix("kB")?
        .parse()
        .ok()?;
    kib.checked_mul(1024)
        .filter(|bytes| bytes.is_power_of_two())
}

fn page_directories(parent: &Path) -> Vec<(u64, PathBuf)> {
    let entries = fs::read_dir(parent).into_iter().flatten().flatten();
    entries
        .filter_map(|entry| {
            Some((
                page_bytes_of_directory(entry.file_name().to_str()?)?,
                entry.path(),
            ))
        })
        .collect()
}

fn read_counts(root: &SystemRoot, directory: &Path) -> PageCounts {
    PageCounts {
        total_pages: root.number(directory, "nr_hugepages"),
        free_pages: root.number(directory, "free_hugepages"),
        reserved_pages: root.number(directory, "resv_hugepages"),
        surplus_pages: root.number(directory, "surplus_hugepages"),
    }
}

fn read_nodes(root: &SystemRoot, page_bytes: u64) -> Vec<(u32, PageCounts)> {
    let online =
        procfs::number_list(&root.text("/sys/devices/system/node/online")).unwrap_or_default();
    let kib = page_bytes >> 10;
    online
        .into_iter()
        .map(|node| {
            let directory =
                format!("/sys/devices/system/node/node{node}/hugepages/hugepages-{kib}kB");
            (node, read_counts(root, &root.path(&directory)))
        })
        .collect()
}

/// Returns the least that any hugetlb cgroup from this process's own up to the root still allows.
fn read_cgroup_left_bytes(root: &SystemRoot, page_bytes: u64) -> Option<u64> {
    let cgroups = procfs::hugetlb_cgroups(
        &root.text("/proc/self/cgroup"),
        &root.text("/proc/self/mountinfo"),
    );
    let page_name = procfs::cgroup_page_name(page_bytes);
    // The `rsvd` pair counts what a mapping reserves, the other what it touches; either can refuse.
    cgroups
        .iter()
        .flat_map(|cgroup| {
            let (mount, path, files) = match cgroup {
                HugetlbCgroup::V2 { mount, path } => (
                    mount,
                    path,
                    [["max", "current"], ["rsvd.max", "rsvd.current"]],
                ),
                HugetlbCgroup::V1 { mount, path } => (
                    mount,
                    path,
                    [
                        ["limit_in_bytes", "usage_in_bytes"],
                        ["rsvd.limit_in_bytes", "rsvd.usage_in_bytes"],
                    ],
                ),
            };
            Path::new(path)
                .ancestors()
                .flat_map(|directory| {
                    let prefix = format!("{mount}/{}/hugetlb.{page_name}.", directory.display());
                    files.map(|[limit, usage]| {
                        let text = |name| root.text(&format!("{prefix}{name}"));
                        procfs::cgroup_left_bytes(&text(limit), &text(usage))
                    })
                })
                .collect::<Vec<_>>()
        })
        .flatten()
        .min()
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
            surplus_pages: 0,
        };
        let on_node = |free_pages| PageCounts {
            total_pages: 8,
            free_pages,
            reserved_pages: 0,
            surplus_pages: 0,
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
    }

    #[test]
    fn directory_names_are_page_sizes() {
        assert_eq!(page_bytes_of_directory("hugepages-2048kB"), Some(2 * MIB));
        assert_eq!(
            page_bytes_of_directory("hugepages-524288kB"),
            Some(512 * MIB)
        );
        for name in [
            "hugepages-kB",
            "hugepages-2048MB",
            "2048kB",
            "hugepages-3kB",
        ] {
            assert_eq!(page_bytes_of_directory(name), None, "{name}");
        }
    }

    #[test]
    fn a_system_tree_is_read_whole() {
        let directory = tempfile::tempdir().unwrap();
        let write = |path: &str, text: &str| {
            let path = directory.path().join(path);
            fs::create_dir_all(path.parent().unwrap()).unwrap();
            fs::write(path, text).unwrap();
        };
        write("proc/meminfo", "Hugepagesize:       2048 kB\n");
        write("proc/self/cgroup", "0::/pod/job\n");
        write(
            "proc/self/mountinfo",
            "24 1 0:22 / /sys/fs/cgroup rw - cgroup2 cgroup2 rw\n",
        );
        write("sys/fs/cgroup/pod/job/hugetlb.2MB.max", "max\n");
        write("sys/fs/cgroup/pod/hugetlb.2MB.max", "6291456\n");
        write("sys/fs/cgroup/pod/hugetlb.2MB.current", "2097152\n");
        for parent in [
            "sys/kernel/mm/hugepages",
            "sys/devices/system/node/node0/hugepages",
        ] {
            write(&format!("{parent}/hugepages-2048kB/nr_hugepages"), "8\n");
            write(&format!("{parent}/hugepages-2048kB/free_hugepages"), "6\n");
        }
        write(
            "sys/kernel/mm/hugepages/hugepages-2048kB/resv_hugepages",
            "1\n",
        );
        write("sys/devices/system/node/online", "0\n");

        let inventory = HugepageInventory::read(&SystemRoot::at(directory.path()));
        assert_eq!(inventory.default_page_bytes, Some(2 * MIB));
        let pool = inventory.pool(2 * MIB).unwrap();
        assert_eq!(
            (pool.available_pages(&[]), pool.available_pages(&[0])),
            (5, 5)
        );
        assert_eq!(
            pool.cgroup_left_bytes,
            Some(4 * MIB),
            "the parent's limit is the lower one"
        );
    }
}
