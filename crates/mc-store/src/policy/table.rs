//! [`Table`]: a value for each object, in chunks that are given back.
//!
//! Object ids are small and dense, so that a position in a vector finds a value. The vector is cut
//! into chunks: growth moves nothing, and a chunk without values costs one pointer.

/// Values in a chunk.
const CHUNK: usize = 256;

/// A map from small, dense numbers to values.
#[derive(Debug)]
pub(super) struct Table<T> {
    chunks: Vec<Option<Box<Chunk<T>>>>,
    len: usize,
}

#[derive(Debug)]
struct Chunk<T> {
    values: [T; CHUNK],
    /// A bit is set iff the value at its position is there.
    present: [u64; CHUNK / 64],
    /// Values that are there; the chunk is given back when it reaches zero.
    len: usize,
}

impl<T> Chunk<T> {
    fn has(&self, at: usize) -> bool {
        self.present[at / 64] >> (at % 64) & 1 == 1
    }
}

impl<T: Copy + Default> Table<T> {
    pub(super) const fn new() -> Self {
        Self {
            chunks: Vec::new(),
            len: 0,
        }
    }

    pub(super) fn len(&self) -> usize {
        self.len
    }

    #[inline]
    pub(super) fn get(&self, at: u32) -> Option<T> {
        let at = at as usize;
        let chunk = self.chunks.get(at / CHUNK)?.as_ref()?;
        chunk.has(at % CHUNK).then(|| chunk.values[at % CHUNK])
    }

    #[inline]
    pub(super) fn get_mut(&mut self, at: u32) -> Option<&mut T> {
        let at = at as usize;
        let chunk = self.chunks.get_mut(at / CHUNK)?.as_mut()?;
        chunk.has(at % CHUNK).then(|| &mut chunk.values[at % CHUNK])
    }

    /// Returns what is at a position, without a look whether it is a value: any may be returned where
    /// there is none, but for positions far from all values.
    #[inline]
    pub(super) fn glance(&self, at: u32) -> Option<&T> {
        let at = at as usize;
        let chunk = self.chunks.get(at / CHUNK)?.as_ref()?;
        Some(&chunk.values[at % CHUNK])
    }

    /// Returns the value at a position that has one, without a look whether it has.
    ///
    /// # Panics
    ///
    /// Panics at a position far from all values; at others without a value, any may be returned.
    #[inline]
    pub(super) fn known(&self, at: u32) -> &T {
        let at = at as usize;
        let chunk = self.chunks.get(at / CHUNK).and_then(Option::as_ref);
        let chunk = chunk.expect("the value is there");
        debug_assert!(chunk.has(at % CHUNK), "{at} is not there");
        &chunk.values[at % CHUNK]
    }

    /// As [`known`](Self::known).
    #[inline]
    pub(super) fn known_mut(&mut self, at: u32) -> &mut T {
        let at = at as usize;
        let chunk = self.chunks.get_mut(at / CHUNK).and_then(Option::as_mut);
        let chunk = chunk.expect("the value is there");
        debug_assert!(chunk.has(at % CHUNK), "{at} is not there");
        &mut chunk.values[at % CHUNK]
    }

    /// Sets a value and returns the one that was there.
    pub(super) fn insert(&mut self, at: u32, value: T) -> Option<T> {
        let at = at as usize;
        if at / CHUNK >= self.chunks.len() {
            self.chunks.resize_with(at / CHUNK + 1, || None);
        }
        let chunk = self.chunks[at / CHUNK].get_or_insert_with(|| {
            Box::new(Chunk {
                values: [T::default(); CHUNK],
                present: [0; CHUNK / 64],
                len: 0,
            })
        });
        let at = at % CHUNK;
        let is_new = !chunk.has(at);
        let before = std::mem::replace(&mut chunk.values[at], value);
        chunk.present[at / 64] |= 1 << (at % 64);
        chunk.len += usize::from(is_new);
        self.len += usize::from(is_new);
        (!is_new).then_some(before)
    }

    /// Takes a value out, and gives all memory back with the last one.
    pub(super) fn remove(&mut self, at: u32) -> Option<T> {
        let before = self.take(at)?;
        if self.len == 0 {
            self.chunks = Vec::new();
        }
        Some(before)
    }

    /// Takes a value out that may come back soon, even if it is the only one.
    pub(super) fn take(&mut self, at: u32) -> Option<T> {
        let at = at as usize;
        let place = self.chunks.get_mut(at / CHUNK)?;
        let chunk = place.as_mut()?;
        let within = at % CHUNK;
        if !chunk.has(within) {
            return None;
        }
        let before = chunk.values[within];
        chunk.present[within / 64] &= !(1 << (within % 64));
        chunk.len -= 1;
        if chunk.len == 0 {
            *place = None;
        }
        self.len -= 1;
        Some(before)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn values_are_found_and_chunks_without_values_are_given_back() {
        let mut table = Table::new();
        for at in 0..1_000 {
            assert_eq!(table.insert(at, at * 2), None);
        }
        assert_eq!(table.insert(7, 1), Some(14));
        assert_eq!(
            (table.len(), table.get(7), table.get(1_000)),
            (1_000, Some(1), None)
        );
        for at in 0..256 {
            assert!(table.remove(at).is_some());
            assert_eq!(table.remove(at), None);
        }
        assert!(table.chunks[0].is_none() && table.chunks[1].is_some());
        for at in 256..1_000 {
            assert_eq!(table.remove(at), Some(at * 2));
        }
        assert_eq!((table.len(), table.chunks.capacity()), (0, 0));
    }
}
