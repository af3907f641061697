//! What can go wrong when a pool is mapped: one cause per variant, with the numbers and the remedy.
//!
//! The other operations keep their errors beside them: [`crate::SliceError`] in `arena.rs`,
//! [`crate::ConfigError`] in `config.rs`, [`crate::BufferError`] in `buffers.rs`.

use std::{io, path::PathBuf, sync::Arc, time::Duration};

use crate::{
    hugepage::Shortage,
    mapping::{ClaimError, OtherProcess},
    named::FileError,
    pages::Tier,
    procfs::MissingLine,
};

/// Why the memory of a range was not given back; its bytes are what they were.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum ReleaseError {
    /// Somebody has some of the bytes.
    #[error("the bytes are in use")]
    InUse(#[from] ClaimError),
    /// The memory was taken over, and is its owner's to give back.
    #[error("foreign memory is given back by its owner")]
    Foreign,
    /// The pool is in a file with a name, which keeps all of its blocks: a hole in it could not be told
    /// from bytes that were lost.
    #[error("the pool is in a file, which keeps its blocks; remove the file to give them back")]
    Named,
    /// The system refused.
    #[error("the system does not take the pages back")]
    System(#[source] io::Error),
}

/// Why a pool could not be mapped. Nothing stays mapped behind any of these.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum PoolError {
    /// A pool of no bytes.
    #[error("a pool of zero bytes was asked for; give it a size")]
    ZeroSize,
    /// The size does not fit the address space once rounded up to whole pages.
    #[error(
        "{asked_bytes} bytes rounded up to pages of {page_bytes} exceed the address space; ask for less"
    )]
    SizeOverflow {
        /// Bytes asked for.
        asked_bytes: u64,
        /// Size of the pages.
        page_bytes: u64,
    },
    /// An alignment that is not a power of two.
    #[error("pool alignment {align} is not a power of two")]
    InvalidAlign {
        /// The alignment asked for, in bytes.
        align: usize,
    },
    /// A page size that is not a power of two of at least one base page.
    #[error(
        "{page_bytes} bytes is not a page size; use a power of two such as 2 MiB or 1 GiB, or the automatic choice"
    )]
    InvalidPageSize {
        /// The size asked for.
        page_bytes: u64,
    },
    /// A placement over no nodes at all.
    #[error("the NUMA policy names no node; name at least one")]
    NoNodes,
    /// A placement on a node that has processors and no memory.
    #[error("NUMA node {node} has no memory; nodes {with_memory:?} have")]
    NodeWithoutMemory {
        /// The node asked for.
        node: u32,
        /// The nodes that have memory.
        with_memory: Vec<u32>,
    },
    /// A placement on a node that the system does not have.
    #[error("NUMA node {node} is not online; nodes {online:?} are")]
    UnknownNode {
        /// The node asked for.
        node: u32,
        /// The nodes that exist.
        online: Vec<u32>,
    },
    /// The huge pages asked for are not there.
    #[error(transparent)]
    Hugepages(#[from] Shortage),
    /// A pool that is to be resident and that the machine, or the cgroup of the process, could not back
    /// with memory.
    #[error(
        "{asked_bytes} bytes asked for, {} leaves room for {available_bytes}; ask for less, raise \
         the limit, free memory, or populate lazily",
        limited_by.display()
    )]
    ExceedsMemory {
        /// Bytes asked for, or those still to be populated when others had taken the rest.
        asked_bytes: u64,
        /// Bytes that would fit.
        available_bytes: u64,
        /// The file with the least room: `/proc/meminfo`, or the limit of a cgroup.
        limited_by: PathBuf,
    },
    /// The kernel refused the mapping.
    #[error(
        "mapping {asked_bytes} bytes of {tier} refused; check the address-space limit (ulimit -v), \
         vm.overcommit_memory and vm.max_map_count, or ask for less"
    )]
    Map {
        /// Bytes asked for.
        asked_bytes: u64,
        /// Tier attempted.
        tier: Tier,
        /// What the kernel answered.
        source: io::Error,
    },
    /// The memory file of a shared pool could not be made, sized or sealed.
    #[error(
        "memory file of {asked_bytes} bytes refused at {step}; shared pools need Linux 5.1 and a file size limit (ulimit -f) above that"
    )]
    MemoryFile {
        /// Bytes asked for.
        asked_bytes: u64,
        /// The system call that failed.
        step: &'static str,
        /// What the kernel answered.
        source: io::Error,
    },
    /// The kernel refused an advice that the pool's guarantees rest on.
    #[error("advice {advice} refused; the pool would not keep its promise without it")]
    Advise {
        /// The advice, by the name of its constant.
        advice: &'static str,
        /// What the kernel answered.
        source: io::Error,
    },
    /// The kernel has no transparent huge pages to give.
    #[error(
        "transparent huge pages refused; the kernel lacks them, or the process has them disabled (PR_SET_THP_DISABLE)"
    )]
    Transparent {
        /// What the kernel answered.
        source: io::Error,
    },
    /// The pool is shorter than one transparent huge page.
    #[error("{asked_bytes} bytes asked for hold no transparent huge page, which has {page_bytes}")]
    TooSmall {
        /// Bytes asked for.
        asked_bytes: u64,
        /// Bytes of a transparent huge page.
        page_bytes: u64,
    },
    /// The kernel refused the memory policy.
    #[error(
        "memory policy for nodes {nodes:?} refused; check the cpuset of this process (Mems_allowed in /proc/self/status)"
    )]
    Bind {
        /// The nodes asked for.
        nodes: Vec<u32>,
        /// What the kernel answered.
        source: io::Error,
    },
    /// A population worker could not be started.
    #[error(
        "starting population worker {worker} failed; check the thread limit (ulimit -u) or give fewer workers"
    )]
    Worker {
        /// Number of the worker, from 0.
        worker: usize,
        /// What the system answered.
        source: io::Error,
    },
    /// Memory ran out while the pool was populated.
    #[error(
        "population of {asked_bytes} bytes of {tier} stopped; the node, the hugetlb pool or a cgroup limit ran out: ask for less or raise it"
    )]
    Populate {
        /// Bytes asked for.
        asked_bytes: u64,
        /// Tier attempted.
        tier: Tier,
        /// What the kernel answered.
        source: io::Error,
    },
    /// Population took longer than allowed.
    #[error(
        "population reached {populated_bytes} of {asked_bytes} bytes within {limit:?}; allow more time or workers, or populate lazily"
    )]
    TimeLimit {
        /// Bytes populated when the time was up.
        populated_bytes: u64,
        /// Bytes asked for.
        asked_bytes: u64,
        /// The time allowed.
        limit: Duration,
    },
    /// The pool could not be locked in memory.
    #[error(
        "locking {asked_bytes} bytes in memory refused; raise RLIMIT_MEMLOCK (ulimit -l) or give CAP_IPC_LOCK"
    )]
    Lock {
        /// Bytes asked for.
        asked_bytes: u64,
        /// What the kernel answered.
        source: io::Error,
    },
    /// The kernel granted the mapping but did not back it with the pages asked for.
    #[error(
        "{wanted} asked for, but the kernel maps pages of {kernel_page_bytes} bytes, {huge_bytes} bytes of them \
         in huge pages; check /sys/kernel/mm/transparent_hugepage/enabled and memory fragmentation"
    )]
    TierNotObtained {
        /// Tier attempted.
        wanted: Tier,
        /// Page size that smaps reports.
        kernel_page_bytes: u64,
        /// Bytes in huge pages that smaps reports.
        huge_bytes: u64,
    },
    /// A file of the kernel lacks what a check needs.
    #[error(transparent)]
    Unverifiable(#[from] MissingLine),
    /// The file that was to hold the pool cannot.
    #[error(transparent)]
    File(#[from] FileError),
    /// A range that is not in the pool.
    #[error("bytes {start}..{end} are not in a pool of {len_bytes}")]
    OutOfRange {
        /// First byte asked for.
        start: usize,
        /// The byte after the last one asked for.
        end: usize,
        /// Bytes of the pool.
        len_bytes: usize,
    },
    /// The population in the background ended before the pool was complete.
    #[error("the pool was not populated to its end; the rest comes at its first touch")]
    Background {
        /// Why it ended.
        source: Arc<PoolError>,
    },
    /// Pools cannot be mapped on this system.
    #[error(
        "memory pools need Linux on a 64-bit machine, this is {os} on {arch}; keep to heap memory here"
    )]
    Unsupported {
        /// The operating system.
        os: &'static str,
        /// The processor.
        arch: &'static str,
    },
    /// The kernel has no way to tell processes apart, so that children would not be safe.
    #[error("the kernel cannot tell this process from its children; Linux 4.14 and later can")]
    Process {
        /// What the kernel answered.
        source: io::Error,
    },
    /// The pool was mapped by a process that this one was forked from.
    #[error(transparent)]
    OtherProcess(#[from] OtherProcess),
}

impl PoolError {
    /// Says whether other pages might serve where the ones asked for did not.
    pub(crate) fn is_about_pages(&self) -> bool {
        match self {
            Self::Hugepages(_)
            | Self::Map { .. }
            | Self::Populate { .. }
            | Self::Transparent { .. }
            | Self::TooSmall { .. }
            | Self::TierNotObtained { .. } => true,
            Self::ZeroSize
            | Self::SizeOverflow { .. }
            | Self::InvalidAlign { .. }
            | Self::InvalidPageSize { .. }
            | Self::NoNodes
            | Self::UnknownNode { .. }
            | Self::NodeWithoutMemory { .. }
            | Self::ExceedsMemory { .. }
            | Self::MemoryFile { .. }
            | Self::Advise { .. }
            | Self::Bind { .. }
            | Self::Worker { .. }
            | Self::TimeLimit { .. }
            | Self::Lock { .. }
            | Self::File(_)
            | Self::OutOfRange { .. }
            | Self::Background { .. }
            | Self::Unsupported { .. }
            | Self::Process { .. }
            | Self::OtherProcess(_)
            | Self::Unverifiable(_) => false,
        }
    }
}
