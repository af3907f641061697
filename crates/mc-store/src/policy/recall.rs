//! [`Recall`]: how often keys that have left were used, in two bytes a key.

/// Fingerprints in a bucket, which is one word.
const WAYS: usize = 4;

/// Bits of a fingerprint; four more count uses. A key that never left is mistaken for one that did with
/// a probability of 4 / 2^12.
const FINGERPRINT_BITS: u32 = 12;

/// Buckets that there are at least.
const BUCKETS_MIN: usize = 16;

/// The most uses that are counted.
pub(super) const USES_MAX: u8 = 15;

/// A table of the keys that left last, two to four for each object that is stored.
///
/// A bucket holds the four latest of its keys and forgets the oldest. No key is stored, so that a few
/// are mistaken for others; what is remembered only ranks objects.
#[derive(Debug)]
pub(super) struct Recall {
    /// A power of two.
    buckets: Vec<u64>,
    /// The key that left last and its uses. It is written down when the next one is looked up or
    /// leaves: memory is waited for once then, and not for each of them.
    last: Option<(u64, u8)>,
}

impl Recall {
    pub(super) fn new() -> Self {
        Self {
            buckets: vec![0; BUCKETS_MIN],
            last: None,
        }
    }

    /// Remembers a key that leaves, where `stored` objects stay.
    pub(super) fn remember(&mut self, hash: u64, uses: u8, stored: usize) {
        self.write_last();
        self.resize(stored);
        self.last = Some((hash, uses));
    }

    fn write_last(&mut self) {
        if let Some((hash, uses)) = self.last.take() {
            let at = self.bucket(hash);
            let entry = fingerprint(hash) << 4 | u64::from(uses.min(USES_MAX));
            self.buckets[at] = self.buckets[at] << 16 | entry;
        }
    }

    /// Returns the uses of a key that has left not long ago.
    pub(super) fn uses(&mut self, hash: u64) -> Option<u8> {
        self.write_last();
        let mut bucket = self.buckets[self.bucket(hash)];
        let wanted = fingerprint(hash);
        for _ in 0..WAYS {
            let entry = bucket & 0xffff;
            if entry >> 4 == wanted {
                return Some(entry.to_le_bytes()[0] & USES_MAX);
            }
            bucket >>= 16;
        }
        None
    }

    fn bucket(&self, hash: u64) -> usize {
        // The number of buckets is far below 2^32.
        (hash >> 32) as usize & (self.buckets.len() - 1)
    }

    /// Doubles or halves the table when the number of objects has. A key's bucket is given by the low
    /// bits of a part of its hash, so that it is found in both halves after doubling.
    fn resize(&mut self, stored: usize) {
        if stored > self.buckets.len() {
            self.buckets.extend_from_within(..);
        } else if stored < self.buckets.len() / 4 && self.buckets.len() > BUCKETS_MIN {
            self.buckets.truncate(self.buckets.len() / 2);
            self.buckets.shrink_to_fit();
        }
    }
}

/// Returns a fingerprint that is not zero, which an empty place has.
fn fingerprint(hash: u64) -> u64 {
    (hash & ((1 << FINGERPRINT_BITS) - 1)).max(1)
}

#[cfg(test)]
mod tests {
    use super::super::tests::mix;
    use super::*;

    #[test]
    fn keys_that_left_last_are_remembered_with_their_uses() {
        let mut recall = Recall::new();
        for key in 0..4_000_u64 {
            recall.remember(mix(key), (key % 20) as u8, 1_000);
        }
        let mut known = |keys: std::ops::Range<u64>| {
            let known = keys.filter(|key| recall.uses(mix(*key)) == Some((key % 20).min(15) as u8));
            known.count()
        };
        let lately = known(3_000..4_000);
        assert!(lately > 950, "{lately}");
        let never = known(10_000..14_000);
        assert!(never < 30, "{never}");
    }

    #[test]
    fn the_table_follows_the_number_of_objects() {
        let mut recall = Recall::new();
        for key in 0..100 {
            recall.remember(mix(key), 0, 10_000);
        }
        assert_eq!(recall.buckets.len(), 16_384);
        assert_eq!(recall.uses(mix(99)), Some(0));
        for key in 0..100 {
            recall.remember(mix(key), 0, 0);
        }
        assert_eq!(recall.buckets.len(), BUCKETS_MIN);
    }
}
