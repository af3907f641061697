//! The store of this workspace and caches, behind one trait.

use std::hint::black_box;

use mc_segment::BufferDescriptor;
use mc_store::{ObjectStore, PutError, PutRequest, Removal, StoreOptions};

use crate::workload::remote;

use super::plan::Key;

/// Bytes of every object. Nothing is written: the segment is another host's.
const OBJECT_BYTES: u64 = 4 << 10;

/// What the caches hold for a key: as many bytes as a [`BufferDescriptor`], without its heap.
type Value = [u64; size_of::<BufferDescriptor>().div_ceil(size_of::<u64>())];

const VALUE: Value = [1; size_of::<BufferDescriptor>().div_ceil(size_of::<u64>())];

/// Objects under keys that several threads read and write.
pub(super) trait Subject: Send + Sync + Sized {
    /// Makes one without objects that has room for `capacity`.
    fn new(capacity: usize) -> Self;

    /// Looks a key up and takes what is there; returns whether there was anything.
    fn get(&self, key: &Key) -> bool;

    /// Stores an object, letting another go if there is no room; returns whether somebody has
    /// stored it.
    fn put(&self, key: &Key) -> bool;

    fn remove(&self, key: &Key);

    /// Looks keys up to the first that is not there; returns how many were.
    fn get_many(&self, keys: &[Key]) -> usize {
        keys.iter().take_while(|key| self.get(key)).count()
    }
}

impl Subject for ObjectStore {
    fn new(capacity: usize) -> Self {
        let pool = remote::pool(capacity as u64 * OBJECT_BYTES);
        Self::new(pool, StoreOptions::default()).expect("the default options are valid")
    }

    #[inline]
    fn get(&self, key: &Key) -> bool {
        black_box(self.get(key)).is_some()
    }

    #[inline]
    fn put(&self, key: &Key) -> bool {
        match self.put(key, &PutRequest::new(OBJECT_BYTES)) {
            Ok(put) => put.commit().is_ok(),
            Err(PutError::Exists | PutError::InFlight) => true,
            Err(_) => false,
        }
    }

    fn remove(&self, key: &Key) {
        // Another thread may hold or have removed it.
        let _ = self.remove(key, Removal::IfIdle);
    }

    #[inline]
    fn get_many(&self, keys: &[Key]) -> usize {
        black_box(self.get_many(keys)).len()
    }
}

pub(super) type Moka = moka::sync::Cache<Box<[u8]>, Value>;

impl Subject for Moka {
    fn new(capacity: usize) -> Self {
        Self::new(capacity as u64)
    }

    #[inline]
    fn get(&self, key: &Key) -> bool {
        black_box(self.get(key.as_slice())).is_some()
    }

    #[inline]
    fn put(&self, key: &Key) -> bool {
        self.insert(key.as_slice().into(), VALUE);
        true
    }

    fn remove(&self, key: &Key) {
        self.invalidate(key.as_slice());
    }
}

pub(super) type QuickCache = quick_cache::sync::Cache<Box<[u8]>, Value>;

impl Subject for QuickCache {
    fn new(capacity: usize) -> Self {
        Self::new(capacity)
    }

    #[inline]
    fn get(&self, key: &Key) -> bool {
        black_box(self.get(key.as_slice())).is_some()
    }

    #[inline]
    fn put(&self, key: &Key) -> bool {
        self.insert(key.as_slice().into(), VALUE);
        true
    }

    fn remove(&self, key: &Key) {
        self.remove(key.as_slice());
    }
}

pub(super) type Foyer = foyer_memory::Cache<Box<[u8]>, Value>;

impl Subject for Foyer {
    fn new(capacity: usize) -> Self {
        foyer_memory::CacheBuilder::new(capacity).build()
    }

    #[inline]
    fn get(&self, key: &Key) -> bool {
        black_box(self.get(key.as_slice())).is_some()
    }

    #[inline]
    fn put(&self, key: &Key) -> bool {
        self.insert(key.as_slice().into(), VALUE);
        true
    }

    fn remove(&self, key: &Key) {
        self.remove(key.as_slice());
    }
}
