//! The objects of a prompt, stored by one call with the bytes of those that were missing.

use mc_segment::SegmentPool;
use mc_store::{CommitError, ObjectStore, PutError, PutRequest, WriteError};
use pyo3::{PyErr, PyResult};

use crate::errors;

/// Why a chain was not stored.
pub(super) enum Refused {
    Put(PutError),
    Commit(CommitError),
    Write(WriteError),
}

impl Refused {
    pub(super) fn exception(self, pool: &SegmentPool) -> PyErr {
        match self {
            // No refusal of a chain is about one key: what is stored or being put is none.
            Self::Put(error) => errors::put(error, &[], pool),
            Self::Commit(error) => errors::commit(error),
            Self::Write(error) => errors::write(error),
        }
    }
}

/// Refuses a list that has not one element for each key.
pub(super) fn check_len(list: &str, len: usize, keys: usize) -> PyResult<()> {
    if len == keys {
        return Ok(());
    }
    Err(errors::invalid(format!(
        "{len} {list} for {keys} keys; one for each is needed"
    )))
}

/// Refuses bytes that their object has no room for, before others leave for it.
pub(super) fn check_sizes(bytes: &[&[u8]], sizes: &[u64]) -> PyResult<()> {
    let mut all = bytes.iter().map(|bytes| bytes.len()).zip(sizes);
    match all.position(|(len, size)| len as u64 > *size) {
        None => Ok(()),
        Some(at) => Err(errors::invalid(format!(
            "buffer {at} has {} bytes for an object of {}; no more are accepted",
            bytes[at].len(),
            sizes[at]
        ))),
    }
}

/// Stores a chain, and writes the bytes of what was missing; returns how many of its objects are stored.
pub(super) fn put(
    store: &ObjectStore,
    chain: &[(&[u8], PutRequest<'_>)],
    bytes: Option<&[&[u8]]>,
) -> Result<usize, Refused> {
    let mut reserved = store.put_many(chain);
    match reserved.refusal() {
        // There is no more room, or another one is at it.
        None | Some(PutError::NoRoom { .. } | PutError::InFlight) => {}
        Some(refusal) => return Err(Refused::Put(refusal.clone())),
    }
    if let Some(bytes) = bytes {
        let keys = chain.iter().map(|(key, _)| *key);
        let mut missing = keys.zip(bytes);
        for put in reserved.puts_mut() {
            // Those that are missing are in the order of the chain.
            let own = missing.find(|(key, _)| *key == put.key());
            let (_, bytes) = own.expect("a put is one of the chain");
            put.write(0, bytes).map_err(Refused::Write)?;
        }
    }
    reserved.commit().map_err(Refused::Commit)
}
