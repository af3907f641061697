//! Putting an object: space first, the key when the bytes are there.

use std::{
    hash::{DefaultHasher, Hash as _, Hasher as _},
    sync::Arc,
};

use super::{ObjectStore, error::PutError, evict::Effort, lease::Object, objects::KeyState};
use mc_segment::{PlaceError, PlacedBuffer, Request};

/// Space for an object that is being written.
///
/// [`commit`](Self::commit) makes it readable; dropped without, it gives the
/// space and the key back. It is never evicted.
#[derive(Debug)]
#[must_use = "dropping the put gives its space back"]
pub struct Put {
    store: ObjectStore,
    key: Arc<[u8]>,
    size: u64,
    buffers: Vec<PlacedBuffer>,
    is_committed: bool,
}

impl ObjectStore {
    /// Finds space for an object, evicting others if there is no room.
    ///
    /// A request without a `key_hash` gets that of the key.
    ///
    /// # Errors
    ///
    /// A [`PutError`]. [`PlaceError::NoSpace`] means that evicting all that may
    /// go would not make room.
    pub fn put(&self, key: &[u8], request: &Request<'_>) -> Result<Put, PutError> {
        let key: Arc<[u8]> = self.admit(key, request.size)?;
        let request = Request {
            key_hash: request.key_hash.or_else(|| Some(hash(&key))),
            ..*request
        };
        // From here on a drop gives the key back.
        let mut put = Put {
            store: self.clone(),
            key,
            size: request.size,
            buffers: Vec::new(),
            is_committed: false,
        };
        put.buffers = self.place(&request)?;
        Ok(put)
    }

    /// Checks the limits and reserves the key.
    fn admit(&self, key: &[u8], size: u64) -> Result<Arc<[u8]>, PutError> {
        let options = &self.shared.options;
        let mut state = self.state();
        let (key_bytes, key_bytes_max) = (key.len(), options.key_bytes_max);
        if key_bytes > key_bytes_max {
            state.stats.refused.too_large += 1;
            return Err(PutError::KeyTooLong {
                key_bytes,
                key_bytes_max,
            });
        }
        let object_bytes_max = options.object_bytes_max;
        if size > object_bytes_max {
            state.stats.refused.too_large += 1;
            return Err(PutError::ObjectTooLarge {
                size,
                object_bytes_max,
            });
        }
        let taken = match state.objects.key_state(key) {
            KeyState::Free => {
                let key: Arc<[u8]> = key.into();
                state.objects.begin_put(Arc::clone(&key));
                return Ok(key);
            }
            KeyState::InFlight => PutError::InFlight,
            KeyState::Stored => PutError::Exists,
        };
        state.stats.refused.key_taken += 1;
        Err(taken)
    }

    pub(super) fn place(&self, request: &Request<'_>) -> Result<Vec<PlacedBuffer>, PlaceError> {
        let mut effort = Effort::default();
        let placed = loop {
            match self.shared.pool.place(request) {
                Err(PlaceError::NoSpace { .. }) if self.evict_for(request, &mut effort) => {}
                placed => break placed,
            }
        };
        let mut state = self.state();
        match &placed {
            Ok(buffers) if effort.bytes > 0 => {
                state.stats.placed_bytes_on_demand += bytes(buffers);
            }
            Ok(_) => {}
            Err(PlaceError::NoSpace { .. }) => state.stats.refused.no_space += 1,
            Err(_) => state.stats.refused.impossible += 1,
        }
        placed
    }
}

impl Put {
    /// Returns the key.
    #[must_use]
    pub fn key(&self) -> &[u8] {
        &self.key
    }

    /// Returns the space of each replica.
    pub fn replicas(&self) -> &[PlacedBuffer] {
        &self.buffers
    }

    /// Returns the space of each replica, for writing.
    pub fn replicas_mut(&mut self) -> &mut [PlacedBuffer] {
        &mut self.buffers
    }

    /// Makes the object readable under its key.
    pub fn commit(mut self) {
        let buffers = std::mem::take(&mut self.buffers);
        self.is_committed = true;
        let mut state = self.store.state();
        let time = state.time();
        state.stats.committed += 1;
        state.stats.committed_bytes += bytes(&buffers);
        let object = Object {
            key: Arc::clone(&self.key),
            size: self.size,
            buffers,
        };
        state.objects.commit_put(object, time);
        self.store.evict_to_watermark(&mut state);
    }
}

impl Drop for Put {
    fn drop(&mut self) {
        // After a commit the key is stored, or even removed and put again.
        if !self.is_committed {
            let mut state = self.store.state();
            state.objects.abandon_put(&self.key);
            // A put that was refused has no space to give back.
            state.stats.abandoned += u64::from(!self.buffers.is_empty());
        }
    }
}

fn bytes(buffers: &[PlacedBuffer]) -> u64 {
    buffers.iter().map(PlacedBuffer::size).sum()
}

fn hash(key: &[u8]) -> u64 {
    let mut hasher = DefaultHasher::new();
    key.hash(&mut hasher);
    hasher.finish()
}
