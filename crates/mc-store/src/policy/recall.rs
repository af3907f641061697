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

/// Buckets that are taken, copied and given back together.
const PAGE: usize = 64;

type Page = [u64; PAGE];

/// Pages that are given back at once.
const SLICE: usize = 64;

/// A table of the keys that left last, two to four for each object that is stored.
///
/// A bucket holds the four latest of its keys and forgets the oldest. No key is stored, so that a few
/// are mistaken for others; what is remembered only ranks objects.
///
/// The table doubles, as a key's bucket is given by the low bits of a part of its hash, and both halves
/// are what the one was before. They are so page by page, when one of the two is written: whoever has
/// doubled it waits for one page.
#[derive(Debug)]
pub(super) struct Recall {
    /// A power of two.
    buckets: usize,
    /// A page that is not there is as the one whose number is without the highest bit; the first one
    /// is there.
    pages: Vec<Option<Box<Page>>>,
    /// Pages that are not there.
    absent: usize,
    /// Pages that the table has become too small for.
    left_over: Vec<Option<Box<Page>>>,
    /// The key that left last and its uses. It is written down when the next one is looked up or
    /// leaves: memory is waited for once then, and not for each of them.
    last: Option<(u64, u8)>,
}

impl Recall {
    pub(super) fn new() -> Self {
        Self {
            buckets: BUCKETS_MIN,
            pages: vec![Some(Box::new([0; PAGE]))],
            absent: 0,
            left_over: Vec::new(),
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
            let bucket = &mut self.page_mut(at / PAGE)[at % PAGE];
            *bucket = *bucket << 16 | entry;
        }
    }

    /// Returns the uses of a key that has left not long ago.
    pub(super) fn uses(&mut self, hash: u64) -> Option<u8> {
        self.write_last();
        let at = self.bucket(hash);
        let mut bucket = self.page(at / PAGE)[at % PAGE];
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
        (hash >> 32) as usize & (self.buckets - 1)
    }

    fn page(&self, mut number: usize) -> &Page {
        loop {
            match &self.pages[number] {
                Some(page) => return page,
                None => number &= !(1 << number.ilog2()),
            }
        }
    }

    fn page_mut(&mut self, number: usize) -> &mut Page {
        if self.absent > 0 {
            self.make(number, number);
            // Those that are as this one is now.
            let mut bit = (number + 1).next_power_of_two();
            while number + bit < self.pages.len() {
                self.make(number + bit, number);
                bit *= 2;
            }
        }
        self.pages[number].as_mut().expect("it was made")
    }

    /// Makes a page as another one is, unless it is there.
    fn make(&mut self, number: usize, like: usize) {
        if self.pages[number].is_none() {
            self.pages[number] = Some(Box::new(*self.page(like)));
            self.absent -= 1;
        }
    }

    /// Doubles or halves the table when the number of objects has.
    fn resize(&mut self, stored: usize) {
        if stored > self.buckets {
            if self.buckets < PAGE {
                let buckets = self.buckets;
                self.page_mut(0).copy_within(..buckets, buckets);
            } else {
                self.absent += self.pages.len();
                self.pages.resize_with(2 * self.pages.len(), || None);
            }
            self.buckets *= 2;
        } else if stored < self.buckets / 4 && self.buckets > BUCKETS_MIN {
            self.buckets /= 2;
            if self.buckets >= PAGE {
                let mut upper = self.pages.split_off(self.buckets / PAGE);
                self.absent -= upper.iter().filter(|page| page.is_none()).count();
                self.left_over.append(&mut upper);
                self.pages.shrink_to_fit();
            }
        }
        let rest = self.left_over.len().saturating_sub(SLICE);
        self.left_over.truncate(rest);
        if rest == 0 {
            self.left_over = Vec::new();
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
        assert_eq!((recall.buckets, recall.pages.len()), (16_384, 256));
        assert_eq!(recall.uses(mix(99)), Some(0));
        for key in 0..100 {
            recall.remember(mix(key), 0, 0);
        }
        assert_eq!((recall.buckets, recall.pages.len()), (BUCKETS_MIN, 1));
        assert_eq!((recall.absent, recall.left_over.len()), (0, 0));
    }

    #[test]
    fn a_table_that_doubles_page_by_page_is_as_one_that_does_so_at_once() {
        let (mut recall, mut plain) = (Recall::new(), vec![0_u64; BUCKETS_MIN]);
        let mut key = 0;
        for stored in [10, 5_000, 40, 700, 90_000, 20_000, 3_000, 100_000, 0] {
            for step in 0..3_000_u64 {
                key += 1;
                let hash = mix(key);
                // As the table is before, so often that what was copied late would show.
                let asked = mix(key - mix(key) % 2_000.min(key));
                let bucket = plain[(asked >> 32) as usize & (plain.len() - 1)];
                let entries = (0..WAYS).map(|way| bucket >> (16 * way) & 0xffff);
                let mut found = entries.filter(|entry| entry >> 4 == fingerprint(asked));
                let uses = found.next().map(|entry| entry.to_le_bytes()[0] & USES_MAX);
                assert_eq!(recall.uses(asked), uses, "{step} at {stored}");
                recall.remember(hash, (step % 16).to_le_bytes()[0], stored);
                if stored > plain.len() {
                    plain.extend_from_within(..);
                } else if stored < plain.len() / 4 && plain.len() > BUCKETS_MIN {
                    plain.truncate(plain.len() / 2);
                }
                let at = (hash >> 32) as usize & (plain.len() - 1);
                plain[at] = plain[at] << 16 | fingerprint(hash) << 4 | (step % 16);
            }
            assert_eq!(recall.buckets, plain.len());
        }
    }
}
