//! Placement over NUMA nodes: which range of a pool belongs to which node, and who populates it.
//!
//! Key types: [`NumaPolicy`] and [`NodeSegment`]. The plan is pure arithmetic; `mapping.rs` makes the
//! system call.

use std::ops::Range;

use nix::sched::CpuSet;

use crate::{
    discovery::SystemRoot,
    error::PoolError,
    mapping::{BindMode, Mapping, NodeMask},
    procfs,
};

/// The NUMA nodes that a pool lies on.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub enum NumaPolicy {
    /// As the policy of the process says.
    #[default]
    System,
    /// On these nodes only; population fails when they are full.
    Bind(Vec<u32>),
    /// On this node while it has memory, then elsewhere.
    Prefer(u32),
    /// Page by page in turn over these nodes.
    Interleave(Vec<u32>),
    /// One contiguous segment per node, in this order, each on its node only. Pages that do not
    /// divide go to the first segments, one each.
    Segmented(Vec<u32>),
}

/// A contiguous part of a pool that lies on one node.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct NodeSegment {
    /// The node.
    pub node: u32,
    /// The part, in bytes from the start of the pool.
    pub range: Range<usize>,
}

/// A part of a mapping under one memory policy, and the CPUs whose threads should populate it.
#[derive(Debug)]
pub(crate) struct Region {
    pub(crate) range: Range<usize>,
    /// Nodes the region is tied to; empty if the system places it.
    pub(crate) nodes: Vec<u32>,
    mode: Option<BindMode>,
}

impl NumaPolicy {
    /// Returns the nodes that the policy names.
    #[must_use]
    pub fn nodes(&self) -> &[u32] {
        match self {
            Self::System => &[],
            Self::Prefer(node) => std::slice::from_ref(node),
            Self::Bind(nodes) | Self::Interleave(nodes) | Self::Segmented(nodes) => nodes,
        }
    }

    /// Returns the policy as it can be carried out: nodes that do not exist are an error, and so are
    /// nodes without memory where memory is to be on each; elsewhere they are left out.
    pub(crate) fn effective(&self, root: &SystemRoot) -> Result<Self, PoolError> {
        if matches!(self, Self::System) {
            return Ok(Self::System);
        }
        let nodes = self.nodes();
        let &[first, ..] = nodes else {
            return Err(PoolError::NoNodes);
        };
        let list =
            |name| procfs::number_list(&root.text(&format!("/sys/devices/system/node/{name}")));
        let online = list("online").unwrap_or_default();
        if let Some(&node) = nodes.iter().find(|node| !online.contains(node)) {
            return Err(PoolError::UnknownNode { node, online });
        }
        // Kernels that do not say have no nodes without memory.
        let with_memory = list("has_memory").filter(|nodes| !nodes.is_empty());
        let with_memory = with_memory.unwrap_or(online);
        let (full, empty): (Vec<u32>, Vec<u32>) =
            nodes.iter().partition(|node| with_memory.contains(node));
        match self {
            Self::Prefer(_) if full.is_empty() => Ok(Self::System),
            Self::Segmented(_) if !empty.is_empty() => Err(PoolError::NodeWithoutMemory {
                node: empty[0],
                with_memory,
            }),
            _ if full.is_empty() => Err(PoolError::NodeWithoutMemory {
                node: first,
                with_memory,
            }),
            Self::Bind(_) => Ok(Self::Bind(full)),
            Self::Interleave(_) => Ok(Self::Interleave(full)),
            Self::System | Self::Prefer(_) | Self::Segmented(_) => Ok(self.clone()),
        }
    }

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
    fn nodes_that_do_not_exist_are_named() {
        let directory = tempfile::tempdir().unwrap();
        let nodes = directory.path().join("sys/devices/system/node");
        std::fs::create_dir_all(&nodes).unwrap();
        std::fs::write(nodes.join("online"), "0-1\n").unwrap();
        let root = SystemRoot::at(directory.path());
        let bind = NumaPolicy::Bind(vec![0, 1]);
        assert_eq!(bind.effective(&root).unwrap(), bind);
        let error = NumaPolicy::Interleave(vec![1, 7])
            .effective(&root)
            .unwrap_err();
        assert_eq!(
            error.to_string(),
            "NUMA node 7 is not online, only [0, 1] are"
        );
        assert!(matches!(
            NumaPolicy::Segmented(vec![]).effective(&root),
            Err(PoolError::NoNodes)
        ));
    }

    #[test]
    fn nodes_without_memory_or_processors_are_told_apart() {
        let directory = tempfile::tempdir().unwrap();
        let nodes = directory.path().join("sys/devices/system/node");
        for (path, text) in [
            ("online", "0-3\n"),
            ("has_memory", "0,2-3\n"),
            ("node0/cpulist", "0\n"),
            ("node3/cpulist", "\n"),
        ] {
            let path = nodes.join(path);
            std::fs::create_dir_all(path.parent().unwrap()).unwrap();
            std::fs::write(path, text).unwrap();
        }
        let root = SystemRoot::at(directory.path());
        let effective = |policy: NumaPolicy| policy.effective(&root);
        let left = effective(NumaPolicy::Interleave(vec![0, 1, 3])).unwrap();
        assert_eq!(left, NumaPolicy::Interleave(vec![0, 3]));
        assert_eq!(
            effective(NumaPolicy::Prefer(1)).unwrap(),
            NumaPolicy::System
        );
        for policy in [NumaPolicy::Bind(vec![1]), NumaPolicy::Segmented(vec![0, 1])] {
            let error = effective(policy).unwrap_err();
            assert_eq!(
                error.to_string(),
                "NUMA node 1 has no memory, only [0, 2, 3] have"
            );
        }
        // Memory without processors is populated from wherever there are some.
        let regions = NumaPolicy::Segmented(vec![0, 3]).regions(8192, 4096);
        let has_cpus: Vec<_> = regions
            .iter()
            .map(|region| region.cpus(&root).is_some())
            .collect();
        assert_eq!(has_cpus, [true, false]);
    }
}
