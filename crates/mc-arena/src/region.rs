//! Regions of a mapping: which range belongs to which NUMA nodes, and who populates it.
//!
//! The plan is pure arithmetic; `mapping.rs` makes the system call.

use std::ops::Range;

use nix::sched::CpuSet;

use crate::{
    discovery::SystemRoot,
    error::PoolError,
    mapping::{BindMode, Mapping, NodeMask},
    numa::NumaPolicy,
    procfs,
};

/// A part of a mapping under one memory policy, and the CPUs whose threads should populate it.
#[derive(Debug)]
pub(crate) struct Region {
    pub(crate) range: Range<usize>,
    /// Nodes the region is tied to; empty if the system places it.
    pub(crate) nodes: Vec<u32>,
    mode: Option<BindMode>,
}

impl NumaPolicy {
    /// Divides a mapping of `len` bytes into regions of whole pages.
    pub(crate) fn regions(&self, len: usize, page_bytes: usize) -> Vec<Region> {
        let whole = |mode| {
            vec![Region {
                range: 0..len,
                nodes: self.nodes().to_vec(),
                mode,
            }]
        };
        match self {
            Self::System => whole(None),
            Self::Bind(_) => whole(Some(BindMode::Bind)),
            Self::Prefer(_) => whole(Some(BindMode::Prefer)),
            Self::Interleave(_) => whole(Some(BindMode::Interleave)),
            Self::Segmented(nodes) => split_pages(&(0..len), page_bytes, nodes.len())
                .into_iter()
                .zip(nodes)
                .map(|(range, &node)| Region {
                    range,
                    nodes: vec![node],
                    mode: Some(BindMode::Bind),
                })
                .collect(),
        }
    }
}

impl Region {
    /// Returns the part of the region within a range; `None` if there is none.
    pub(crate) fn within(&self, range: Range<usize>) -> Option<Self> {
        let range = self.range.start.max(range.start)..self.range.end.min(range.end);
        (!range.is_empty()).then(|| Self {
            range,
            nodes: self.nodes.clone(),
            mode: self.mode,
        })
    }

    /// Applies the memory policy of the region to a mapping that is not populated yet.
    pub(crate) fn bind(&self, mapping: &Mapping) -> Result<(), PoolError> {
        let Some(mode) = self.mode else { return Ok(()) };
        let mut mask = NodeMask::default();
        for &node in &self.nodes {
            if !mask.insert(node) {
                return Err(PoolError::UnknownNode {
                    node,
                    online: Vec::new(),
                });
            }
        }
        mapping
            .bind(self.range.clone(), mode, &mask)
            .map_err(|source| PoolError::Bind {
                nodes: self.nodes.clone(),
                source: source.into(),
            })
    }

    /// Returns the CPUs of the region's nodes; `None` if the system places it or the nodes have none.
    pub(crate) fn cpus(&self, root: &SystemRoot) -> Option<CpuSet> {
        let mut cpus = CpuSet::new();
        let mut is_empty = true;
        for node in &self.nodes {
            let list = root.text(&format!("/sys/devices/system/node/node{node}/cpulist"));
            for cpu in procfs::number_list(&list).unwrap_or_default() {
                is_empty &= cpus.set(cpu as usize).is_err();
            }
        }
        (!is_empty).then_some(cpus)
    }
}

/// Divides `range` into at most `parts` ranges of whole pages that differ by at most one page.
///
/// The longer ranges come first, nothing is lost, and no range is empty.
pub(crate) fn split_pages(
    range: &Range<usize>,
    page_bytes: usize,
    parts: usize,
) -> Vec<Range<usize>> {
    let pages = range.len().div_ceil(page_bytes);
    let parts = parts.min(pages);
    let mut start = range.start;
    (0..parts)
        .map(|part| {
            let part_pages = pages / parts + usize::from(part < pages % parts);
            let end = (start + part_pages * page_bytes).min(range.end);
            std::mem::replace(&mut start, end)..end
        })
        .collect()
}

#[cfg(test)]
#[cfg(not(loom))]
mod tests {
    use super::*;

    #[track_caller]
    fn check_split(
        range: Range<usize>,
        page_bytes: usize,
        parts: usize,
        expected: &[Range<usize>],
    ) {
        assert_eq!(split_pages(&range, page_bytes, parts), expected);
    }

    #[test]
    fn remainders_go_to_the_first_parts() {
        check_split(0..100, 10, 3, &[0..40, 40..70, 70..100]);
        check_split(50..110, 10, 2, &[50..80, 80..110]);
        check_split(0..20, 10, 5, &[0..10, 10..20]);
        check_split(0..25, 10, 2, &[0..20, 20..25]);
        check_split(0..0, 10, 2, &[]);
    }

    #[test]
    fn segments_cover_the_pool_without_loss() {
        let regions = NumaPolicy::Segmented(vec![1, 0, 3]).regions(7 * 4096, 4096);
        let ranges: Vec<_> = regions
            .iter()
            .map(|region| (region.nodes[0], region.range.clone()))
            .collect();
        assert_eq!(
            ranges,
            [(1, 0..12288), (0, 12288..20480), (3, 20480..28672)]
        );
    }

    #[test]
    fn memory_without_processors_is_populated_from_anywhere() {
        let directory = tempfile::tempdir().unwrap();
        let nodes = directory.path().join("sys/devices/system/node");
        for (node, cpus) in [("node0", "0\n"), ("node3", "\n")] {
            std::fs::create_dir_all(nodes.join(node)).unwrap();
            std::fs::write(nodes.join(node).join("cpulist"), cpus).unwrap();
        }
        let root = SystemRoot::at(directory.path());
        let regions = NumaPolicy::Segmented(vec![0, 3]).regions(8192, 4096);
        let has_cpus: Vec<_> = regions
            .iter()
            .map(|region| region.cpus(&root).is_some())
            .collect();
        assert_eq!(has_cpus, [true, false]);
    }
}
