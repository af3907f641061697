//! Reading what the system offers: sysfs, meminfo and the cgroup of this process, under one root.
//!
//! The parsing is in `procfs.rs`, the questions asked of the result are in `hugepage.rs`.

use std::{
    fs,
    path::{Path, PathBuf},
};

use crate::{
    cgroup::{self, Hierarchy},
    hugepage::{HugepageInventory, HugepagePool, PageCounts},
    procfs::{self, MissingLine},
};

/// The directory under which `proc` and `sys` are read, `/` unless said otherwise.
///
/// Another directory serves containers that mount the host's files elsewhere, and tests.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct SystemRoot(PathBuf);

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

    /// Returns the text of a file, empty if it cannot be read: what it lacks is then reported. Names of
    /// files in it may be any bytes.
    pub(crate) fn text(&self, absolute: &str) -> String {
        String::from_utf8_lossy(&fs::read(self.path(absolute)).unwrap_or_default()).into_owned()
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
        overcommit_pages: root.number(directory, "nr_overcommit_hugepages"),
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
    let groups = cgroup::groups_of(
        "hugetlb",
        &root.text("/proc/self/cgroup"),
        &root.text("/proc/self/mountinfo"),
    );
    let page_name = cgroup::page_name(page_bytes);
    // The `rsvd` pair counts what a mapping reserves, the other what it touches; either can refuse.
    let mut least = None;
    for group in &groups {
        let files = match group.hierarchy {
            Hierarchy::Unified => [["max", "current"], ["rsvd.max", "rsvd.current"]],
            Hierarchy::Older => [
                ["limit_in_bytes", "usage_in_bytes"],
                ["rsvd.limit_in_bytes", "rsvd.usage_in_bytes"],
            ],
        };
        for directory in group.directories() {
            let text = |name| root.text(&format!("{directory}/hugetlb.{page_name}.{name}"));
            for [limit, usage] in files {
                let left_bytes = cgroup::left_bytes(&text(limit), &text(usage));
                least = [least, left_bytes].into_iter().flatten().min();
            }
        }
    }
    least
}

#[cfg(test)]
#[cfg(not(loom))]
mod tests {
    use super::*;

    const MIB: u64 = 1 << 20;

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
