//! The memory of a node, and the store over it.

use std::{
    path::{Path, PathBuf},
    time::{SystemTime, UNIX_EPOCH},
};

use mc_arena::{PagePolicy, PoolBytes, PoolOptions};
use mc_segment::{
    Memory, Segment, SegmentId, SegmentInfo, SegmentOptions, SegmentPool, SegmentPoolOptions,
};
use mc_store::{Clock, ObjectStore, StoreOptions};
use nix::sys::statfs::{HUGETLBFS_MAGIC, statfs};

use super::{NodeError, Notice, reachable::LATE_MAX};
use crate::limits::Limits;

/// What memory a node serves.
///
/// More fields may come: begin with [`NodeMemory::new`].
#[derive(Clone, Debug)]
#[non_exhaustive]
pub struct NodeMemory {
    /// Bytes.
    pub bytes: u64,
    /// Which pages it is in.
    pub pages: PagePolicy,
    /// A file on tmpfs, hugetlbfs, a disk or a DAX device that the bytes are
    /// in, so that they outlive the process.
    pub file: Option<PathBuf>,
    /// The directory of the journal of a store whose bytes are in a file. If
    /// none is named it is beside the file, named as it with `.journal` behind.
    /// hugetlbfs cannot have it: nothing can be written to a file there.
    pub journal: Option<PathBuf>,
}

/// The one segment of a node.
const SEGMENT: SegmentId = SegmentId(1);

/// To whose multiples objects are placed: a line of the cache.
const GRANULE: u64 = 64;

/// A store over the memory of a node, and which incarnation of it that is.
pub(crate) struct Opened {
    pub(crate) store: ObjectStore,
    pub(crate) epoch: u64,
    pub(crate) bytes: u64,
    pub(crate) memory: PoolBytes,
    pub(crate) notices: Vec<Notice>,
}

/// Who writes to the memory of a node.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Writers {
    /// The node, which checks each write.
    Node,
    /// Clients as well, by an engine.
    Clients,
}

impl NodeMemory {
    /// Returns private memory in huge pages, if there are any.
    #[must_use]
    pub fn new(bytes: u64) -> Self {
        Self {
            bytes,
            pages: PagePolicy::Prefer(mc_arena::PageSize::Auto),
            file: None,
            journal: None,
        }
    }

    pub(crate) fn open(
        &self,
        name: &str,
        limits: &Limits,
        writers: Writers,
        clock: Clock,
    ) -> Result<Opened, NodeError> {
        let journal = self.journal();
        if let Some(journal) = &journal {
            check_takes_writes(journal)?;
        }
        let mut options = PoolOptions::new(self.bytes).pages(self.pages);
        if let Some(file) = &self.file {
            options = options.file(file);
        }
        let pool = options.map()?;
        let mut notices = Vec::new();
        if !pool.degradations().is_empty() {
            let tier = pool.tier();
            notices.push(Notice::LesserPages { tier });
        }
        let epoch = pool.epoch().unwrap_or_else(epoch_now);
        let bytes = pool.len() as u64 / GRANULE * GRANULE;
        let info = SegmentInfo {
            epoch,
            options: SegmentOptions {
                granule: GRANULE,
                ..SegmentOptions::default()
            },
            ..SegmentInfo::new(SEGMENT, name, 0, bytes)
        };
        let memory = PoolBytes::new(pool);
        let segment = Segment::local(info, Memory::pool(memory.clone()));
        let put_margin = match writers {
            Writers::Node => limits.put_margin,
            Writers::Clients => limits.put_margin.max(LATE_MAX),
        };
        let options = StoreOptions {
            key_bytes_max: limits.key_bytes_max,
            object_bytes_max: limits.object_bytes_max,
            put_deadline: limits.put_deadline_max,
            put_margin,
            clock,
            ..StoreOptions::default()
        };
        let store = match journal {
            Some(journal) => open_store(&journal, segment, options, &mut notices)?,
            None => {
                let pool = SegmentPool::new(SegmentPoolOptions::default());
                pool.mount(segment)?;
                ObjectStore::new(pool, options)?
            }
        };
        Ok(Opened {
            store,
            epoch,
            bytes,
            memory,
            notices,
        })
    }

    /// Returns the directory of the journal, if there is one.
    fn journal(&self) -> Option<PathBuf> {
        let file = self.file.as_ref()?;
        Some(self.journal.clone().unwrap_or_else(|| {
            let mut journal = file.clone().into_os_string();
            journal.push(".journal");
            PathBuf::from(journal)
        }))
    }
}

/// Opens the store of a file.
fn open_store(
    journal: &Path,
    segment: Segment,
    options: StoreOptions,
    notices: &mut Vec<Notice>,
) -> Result<ObjectStore, NodeError> {
    let pool = SegmentPool::new(SegmentPoolOptions::default());
    let mut segment = Some(segment);
    std::fs::create_dir_all(journal).map_err(|source| NodeError::Directory {
        directory: journal.to_owned(),
        source,
    })?;
    let opened = ObjectStore::open(journal, pool, options, |_| segment.take())?;
    if let Some(segment) = segment {
        opened.store.pool().mount(segment)?;
    }
    notices.extend(opened.damage.into_iter().map(Notice::Damaged));
    let objects = opened.lost.len();
    if objects > 0 {
        notices.push(Notice::Lost { objects });
    }
    Ok(opened.store)
}

/// Refuses a directory where a journal cannot be, whether it is there already or not.
fn check_takes_writes(directory: &Path) -> Result<(), NodeError> {
    let place = directory.ancestors().find(|place| place.exists());
    // What cannot be looked at is told of by whoever opens it.
    let system = statfs(place.unwrap_or(Path::new(".")));
    match system.is_ok_and(|system| system.filesystem_type() == HUGETLBFS_MAGIC) {
        true => Err(NodeError::NoJournal {
            directory: directory.to_owned(),
        }),
        false => Ok(()),
    }
}

/// Returns an epoch above those of memory that was obtained before: the time, as
/// nothing of a life before this one is left to count from.
fn epoch_now() -> u64 {
    let since = SystemTime::now().duration_since(UNIX_EPOCH);
    let micros = since.map_or(0, |since| since.as_micros());
    u64::try_from(micros).unwrap_or(u64::MAX)
}
