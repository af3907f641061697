//! Moving the objects of a segment elsewhere, so that it can be unmounted.

use std::sync::Arc;

use super::{ObjectStore, lease::Object};
use mc_segment::{BytesError, PlacedBuffer, Request, SegmentId};

/// Bytes that are copied at once.
const COPY_BYTES: usize = 1 << 20;

/// What moving the objects of a segment did.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
#[non_exhaustive]
pub struct Moved {
    /// Replicas that are elsewhere.
    pub replicas: u64,
    /// Their bytes.
    pub bytes: u64,
    /// Objects that still have a replica in the segment: there was no room
    /// elsewhere, or they are leased.
    pub left: u64,
}

impl ObjectStore {
    /// Moves the replicas that are in a segment to others, evicting there if
    /// need be, and copies their bytes with `copy`, whose first argument is the
    /// old place and whose second is the new one.
    ///
    /// [`copy_bytes`] is such a function for memory that this process reads and
    /// writes. [Drain](mc_segment::SegmentPool::drain) the segment before, so that
    /// nothing new is placed in it. Other threads use the store meanwhile. An
    /// object that is leased stays, as its reader knows the old place; call
    /// again when the lease is over.
    ///
    /// # Errors
    ///
    /// The first error of `copy`; that object and those after it are where they
    /// were.
    pub fn move_out<E>(
        &self,
        id: SegmentId,
        mut copy: impl FnMut(&PlacedBuffer, &mut PlacedBuffer) -> Result<(), E>,
    ) -> Result<Moved, E> {
        let mut moved = Moved::default();
        for key in self.keys_in(id) {
            let Some(object) = self.object(&key) else {
                continue;
            };
            let mut buffers = object.buffers.iter();
            let Some(old) = buffers.position(|buffer| is_inside(buffer, id)) else {
                continue;
            };
            let Some(mut new) = self.place_elsewhere(&object, id) else {
                moved.left += 1;
                continue;
            };
            copy(&object.buffers[old], &mut new)?;
            let bytes = new.size();
            if self.replace(object, old, new) {
                moved.replicas += 1;
                moved.bytes += bytes;
            } else {
                moved.left += u64::from(self.contains(&key));
            }
        }
        Ok(moved)
    }

    fn keys_in(&self, id: SegmentId) -> Vec<Arc<[u8]>> {
        let state = self.state();
        let objects = state.objects.all().map(|record| &record.object);
        let inside = objects.filter(|object| {
            let mut buffers = object.buffers.iter();
            buffers.any(|buffer| is_inside(buffer, id))
        });
        inside.map(|object| Arc::clone(&object.key)).collect()
    }

    fn object(&self, key: &[u8]) -> Option<Arc<Object>> {
        let state = self.state();
        let slot = state.objects.slot(key)?;
        Some(Arc::clone(&state.objects.record(slot).object))
    }

    /// Finds a place under a name that has no replica of the object.
    fn place_elsewhere(&self, object: &Object, id: SegmentId) -> Option<PlacedBuffer> {
        let taken: Vec<&str> = object
            .buffers
            .iter()
            .filter(|buffer| buffer.segment_id() != id)
            .map(|buffer| buffer.segment().name.as_str())
            .collect();
        let views = self.shared.pool.segments();
        let is_taken = |name: &str| taken.contains(&name);
        let excluded: Vec<SegmentId> = views
            .iter()
            .filter(|view| view.id == id || is_taken(&view.name))
            .map(|view| view.id)
            .collect();
        let request = Request {
            excluded: &excluded,
            ..Request::new(object.size)
        };
        let placed = self.place(&request).ok()?;
        placed.into_iter().next()
    }

    /// Gives an object a new replica for one of its old ones; returns whether
    /// that was possible.
    fn replace(&self, object: Arc<Object>, old: usize, new: PlacedBuffer) -> bool {
        let mut state = self.state();
        let time = state.time();
        let Some(slot) = state.objects.slot(&object.key) else {
            return false;
        };
        let is_same = Arc::ptr_eq(&state.objects.record(slot).object, &object);
        // A lease from here on would be someone else's.
        drop(object);
        is_same && !state.objects.record(slot).is_leased(time) && {
            state.objects.replace_buffer(slot, old, new);
            true
        }
    }
}

/// Returns whether a buffer is in the segment that is mounted under an id,
/// rather than in one that was.
fn is_inside(buffer: &PlacedBuffer, id: SegmentId) -> bool {
    buffer.segment_id() == id && buffer.is_readable()
}

/// Copies the bytes of a buffer to another of the same size, both in memory
/// that this process reads and writes.
///
/// # Errors
///
/// A [`BytesError`].
pub fn copy_bytes(from: &PlacedBuffer, to: &mut PlacedBuffer) -> Result<(), BytesError> {
    let mut part = vec![0; COPY_BYTES];
    let mut offset = 0;
    while offset < from.size() {
        let left = usize::try_from(from.size() - offset).unwrap_or(usize::MAX);
        let part = &mut part[..left.min(COPY_BYTES)];
        from.read_at(offset, part)?;
        to.write_at(offset, part)?;
        offset += part.len() as u64;
    }
    Ok(())
}
