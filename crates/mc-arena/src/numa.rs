//! Placement over NUMA nodes: which range of a pool belongs to which node, and who populates it.
//!
//! Key types: [`NumaPolicy`] and [`NodeSegment`]. The plan is pure arithmetic; `mapping.rs` makes the
//! system call.

use std::{fmt, ops::Range, str::FromStr};

use nix::sched::CpuSet;

use crate::{
    discovery::SystemRoot,
    error::PoolError,
    mapping::{BindMode, Mapping, NodeMask},
    procfs,
    words::{self, ParsePolicyError},
};

/// The NUMA nodes that a pool lies on.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
#[non_exhaustive]
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
#[non_exhaustive]
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

const POLICIES_ACCEPTED: &str = "system, bind:NODES, interleave:NODES, segmented:NODES with nodes such as 0-2,5, or prefer:NODE";

/// Reads `system`; `bind`, `interleave` or `segmented` with a colon and nodes such as `0-2,5`; or
/// `prefer` with a colon and one node.
impl FromStr for NumaPolicy {
    type Err = ParsePolicyError;

    fn from_str(text: &str) -> Result<Self, Self::Err> {
        let (word, list) = words::split(text);
        let nodes = list.and_then(procfs::number_list);
        match (word.as_str(), nodes.as_deref()) {
            ("system", None) if list.is_none() => Ok(Self::System),
            ("prefer", Some(&[node])) => Ok(Self::Prefer(node)),
            ("bind", Some(nodes @ [_, ..])) => Ok(Self::Bind(nodes.to_vec())),
            ("interleave", Some(nodes @ [_, ..])) => Ok(Self::Interleave(nodes.to_vec())),
            ("segmented", Some(nodes @ [_, ..])) => Ok(Self::Segmented(nodes.to_vec())),
            _ => Err(ParsePolicyError::new(text, POLICIES_ACCEPTED)),
        }
    }
}

impl fmt::Display for NumaPolicy {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let word = match self {
            Self::System => return f.write_str("system"),
            Self::Bind(_) => "bind",
            Self::Prefer(_) => "prefer",
            Self::Interleave(_) => "interleave",
            Self::Segmented(_) => "segmented",
        };
        let nodes: Vec<String> = self.nodes().iter().map(u32::to_string).collect();
        write!(f, "{word}:{}", nodes.join(","))
    }
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

    #[test]
    fn policies_are_read_as_they_are_printed() {
        for policy in [
            NumaPolicy::System,
            NumaPolicy::Bind(vec![0, 1]),
            NumaPolicy::Prefer(3),
            NumaPolicy::Interleave(vec![2]),
            NumaPolicy::Segmented(vec![5, 0]),
        ] {
            assert_eq!(policy.to_string().parse(), Ok(policy));
        }
        assert_eq!("bind:0-2".parse(), Ok(NumaPolicy::Bind(vec![0, 1, 2])));
        for text in [
            "",
            "bind",
            "bind:",
            "prefer:0,1",
            "prefer:x",
            "system:0",
            "near:0",
        ] {
            assert!(text.parse::<NumaPolicy>().is_err(), "{text:?}");
        }
    }
}
