//! Placement over NUMA nodes: what is asked for, as words and as nodes.
//!
//! Key types: [`NumaPolicy`] and [`NodeSegment`]. Which range of a mapping belongs to which node is in
//! `region.rs`.

use std::{fmt, ops::Range, str::FromStr};

use crate::{
    discovery::SystemRoot,
    error::PoolError,
    procfs,
    words::{self, ParsePolicyError},
};

/// The NUMA nodes that a pool lies on.
#[cfg_attr(feature = "serde", derive(serde::Serialize, serde::Deserialize))]
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
#[cfg_attr(feature = "serde", derive(serde::Serialize, serde::Deserialize))]
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub struct NodeSegment {
    /// The node.
    pub node: u32,
    /// The part, in bytes from the start of the pool.
    pub range: Range<usize>,
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
            "NUMA node 7 is not online; nodes [0, 1] are"
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
                "NUMA node 1 has no memory; nodes [0, 2, 3] have"
            );
        }
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
