//! A store as a file: written in one piece, read back as far as it is whole.

mod file;
mod frames;
mod records;

use std::{
    hash::{BuildHasher as _, RandomState},
    io,
    path::{Path, PathBuf},
    sync::Arc,
    time::Duration,
};

use thiserror::Error;

use self::{
    frames::{FrameWriter, Piece},
    records::{Header, Record, SavedObject},
};
use super::{ObjectStore, StoreOptions, StoreOptionsError, lease::Object, objects::KeyState};
use mc_segment::{
    AdoptError, Memory, PlacedBuffer, RestoreError, SegmentId, SegmentInfo, SegmentPool,
};

pub use self::frames::FormatError;

/// Why a snapshot was not written; the file of that name is what it was.
#[derive(Debug, Error)]
#[error("cannot write {}", path.display())]
pub struct SaveError {
    /// The file.
    pub path: PathBuf,
    /// What the system says.
    pub source: io::Error,
}

/// Why nothing could be restored.
#[derive(Debug, Error)]
#[non_exhaustive]
pub enum LoadError {
    /// The file cannot be read.
    #[error("cannot read {}", path.display())]
    Read {
        /// The file.
        path: PathBuf,
        /// What the system says.
        source: io::Error,
    },
    /// The bytes are no snapshot.
    #[error("cannot restore a store")]
    Format(#[from] FormatError),
    /// Neither of the two records that tell of the segments is whole.
    #[error("the segments are lost: {damaged_bytes} of {len_bytes} bytes are damaged or missing")]
    SegmentsLost {
        /// Bytes that belong to no whole record.
        damaged_bytes: u64,
        /// Bytes in all.
        len_bytes: u64,
    },
    /// The segments cannot be had again with the memory that there is.
    #[error("the segments cannot be restored")]
    Pool(#[from] RestoreError),
    /// The options make no store.
    #[error("the options make no store")]
    Options(#[from] StoreOptionsError),
}

/// A store that was restored, and what is missing from it.
#[derive(Debug)]
pub struct Restored {
    /// The store.
    pub store: ObjectStore,
    /// What the snapshot should have had and did not, or had and cannot be
    /// used; nothing if it was whole.
    pub dropped: Vec<Dropped>,
}

/// Something that a restored store is missing.
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum Dropped {
    /// Bytes of the file that belong to no whole record.
    Damaged {
        /// Where they begin.
        offset: u64,
        /// How many they are.
        bytes: u64,
    },
    /// Objects whose records are damaged or missing.
    Objects {
        /// How many they are.
        count: u64,
    },
    /// A replica that has no place; the object is dropped with its last one.
    Replica {
        /// Key of the object.
        key: Box<[u8]>,
        /// The segment that it was in.
        segment: SegmentId,
        /// Why it has no place.
        cause: AdoptError,
    },
    /// An object under a key that another record has, too.
    Duplicate {
        /// The key.
        key: Box<[u8]>,
    },
}

impl ObjectStore {
    /// Returns the store as bytes: the options but the clock, the segments of
    /// the pool with their states, and the objects with replicas and pins in
    /// the order of their last use.
    ///
    /// Leases and puts in flight are not part of it, nor are counters; nobody
    /// may rely on a lease across a restart. The contents of the segments are
    /// not either: they stay where they are.
    ///
    /// # Panics
    ///
    /// Panics if an object has 4 GiB of key and descriptors.
    #[must_use]
    pub fn snapshot(&self) -> Vec<u8> {
        let state = self.state();
        let header = Header::new(&self.shared.options, &self.shared.pool, state.objects.len());
        let mut writer = FrameWriter::new(file_id());
        let header = records::encode(&Record::Header(header));
        writer.frame(&header);
        for record in state.objects.all() {
            let object = SavedObject::new(&record.object, record.is_pinned, &self.shared.pool);
            writer.frame(&records::encode(&Record::Object(object)));
        }
        // Nothing can be restored without it, so it is there twice.
        writer.frame(&header);
        writer.finish()
    }

    /// Writes a [`snapshot`](Self::snapshot) in the place of a file, if there
    /// is one: whatever happens meanwhile, the file is the old one or the new
    /// one.
    ///
    /// # Errors
    ///
    /// A [`SaveError`]. Files that begin with `.mcstore-` in the directory are
    /// left by processes that ended meanwhile and can be deleted.
    pub fn save(&self, path: &Path) -> Result<(), SaveError> {
        file::replace(path, &self.snapshot()).map_err(|source| SaveError {
            path: path.to_owned(),
            source,
        })
    }

    /// Restores a store from the bytes of a snapshot.
    ///
    /// `options` is given the options that were saved, with the clock of the
    /// system, and returns those to use; `memory` returns the memory of each
    /// segment. What is damaged or has no place is dropped and named.
    ///
    /// # Errors
    ///
    /// A [`LoadError`] if there is nothing to start from.
    pub fn restore(
        bytes: &[u8],
        options: impl FnOnce(StoreOptions) -> StoreOptions,
        memory: impl FnMut(&SegmentInfo) -> Memory,
    ) -> Result<Restored, LoadError> {
        let Contents {
            header,
            objects,
            mut dropped,
        } = Contents::read(bytes)?;
        let missing = header.objects.saturating_sub(objects.len() as u64);
        if missing > 0 {
            dropped.push(Dropped::Objects { count: missing });
        }
        let pool = SegmentPool::restore(&header.pool, memory)?;
        let store = Self::new(pool, options(header.options.into()))?;
        let mut state = store.state();
        for saved in objects {
            if state.objects.key_state(&saved.key) != KeyState::Free {
                let key = saved.key.into();
                dropped.push(Dropped::Duplicate { key });
                continue;
            }
            let buffers = adopt(&store.shared.pool, &saved, &mut dropped);
            if buffers.is_empty() {
                continue;
            }
            let object = Object {
                key: Arc::from(saved.key),
                size: saved.size,
                buffers,
            };
            let slot = state.objects.insert(object, Duration::ZERO);
            state.objects.set_pinned(slot, saved.is_pinned);
        }
        drop(state);
        Ok(Restored { store, dropped })
    }

    /// As [`restore`](Self::restore) from the bytes of a file.
    ///
    /// # Errors
    ///
    /// A [`LoadError`].
    pub fn load(
        path: &Path,
        options: impl FnOnce(StoreOptions) -> StoreOptions,
        memory: impl FnMut(&SegmentInfo) -> Memory,
    ) -> Result<Restored, LoadError> {
        let bytes = std::fs::read(path).map_err(|source| LoadError::Read {
            path: path.to_owned(),
            source,
        })?;
        Self::restore(&bytes, options, memory)
    }
}

impl Restored {
    /// Returns whether nothing is missing.
    #[must_use]
    pub fn is_whole(&self) -> bool {
        self.dropped.is_empty()
    }
}

/// What can be read of a snapshot.
struct Contents {
    header: Header,
    objects: Vec<SavedObject>,
    dropped: Vec<Dropped>,
}

impl Contents {
    fn read(bytes: &[u8]) -> Result<Self, LoadError> {
        let (mut header, mut objects, mut dropped) = (None, Vec::new(), Vec::new());
        let (mut headers, mut damaged_bytes) = (0, 0);
        for piece in frames::pieces(bytes)? {
            match piece {
                Piece::Frame(payload) => match records::decode(payload) {
                    Some(Record::Header(found)) => {
                        headers += 1;
                        header = Some(found);
                    }
                    Some(Record::Object(object)) => objects.push(object),
                    // Its checksum is right, so it counts as missing, not as
                    // damaged.
                    None => {}
                },
                Piece::Damage(range) => {
                    damaged_bytes += range.len() as u64;
                    dropped.push(Dropped::Damaged {
                        offset: range.start as u64,
                        bytes: range.len() as u64,
                    });
                }
            }
        }
        let len_bytes = bytes.len() as u64;
        let header = header.ok_or(LoadError::SegmentsLost {
            damaged_bytes,
            len_bytes,
        })?;
        if headers < 2 && dropped.is_empty() {
            // Cut exactly between two records.
            dropped.push(Dropped::Damaged {
                offset: len_bytes,
                bytes: 0,
            });
        }
        Ok(Self {
            header,
            objects,
            dropped,
        })
    }
}

/// Takes the places of an object's replicas; those that cannot be had are
/// dropped.
fn adopt(pool: &SegmentPool, saved: &SavedObject, dropped: &mut Vec<Dropped>) -> Vec<PlacedBuffer> {
    let mut buffers = Vec::with_capacity(saved.replicas.len());
    for descriptor in &saved.replicas {
        match pool.adopt(std::slice::from_ref(descriptor)) {
            Ok(adopted) => buffers.extend(adopted),
            Err(cause) => dropped.push(Dropped::Replica {
                key: saved.key.clone().into(),
                segment: descriptor.segment,
                cause,
            }),
        }
    }
    buffers
}

/// Returns an id that no file had before, as far as anyone can tell.
fn file_id() -> [u8; 8] {
    RandomState::new().hash_one(0).to_le_bytes()
}
