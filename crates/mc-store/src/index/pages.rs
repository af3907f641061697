//! [`Pages`]: values by hash, found in one cache line, in tables that grow a page at a time.
//!
//! A page is a small hash table with open addressing. Its groups are cache lines:
//! six values, and 16 bits of the hash of each. A page that is full gets an eighth
//! more of them. Pages are split one by one, in the order of their numbers, as
//! values come (linear hashing). They are joined in the reverse order, once a
//! quarter of the values is left. So no call moves more than the values of two
//! pages, however many there are, and what goes takes no memory.

/// Values in a group.
const LANES: usize = 6;

/// Values per page above which a page is split, on average. A page that is next
/// has up to twice as many as one that has been split.
const PAGE_MAX: usize = 192;

/// Values per page below which two are joined, on average.
const PAGE_MIN: usize = 48;

/// Pages at most: more are not told apart by a hash.
const PAGES_MAX: usize = 1 << 16;

/// 32 bits of a hash: which page, and which group in it.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(super) struct Code(u32);

/// Values by their codes, which several may share.
#[derive(Debug)]
pub(super) struct Pages<T> {
    /// None until there is a value.
    pages: Vec<Page<T>>,
    len: usize,
}

#[derive(Debug)]
struct Page<T> {
    groups: Box<[Group<T>]>,
    len: usize,
}

/// Some values, and what tells where to look for others.
#[derive(Debug)]
#[repr(align(64))]
struct Group<T> {
    values: [Option<T>; LANES],
    /// Those of the values; of no meaning where there is none.
    tags: [u16; LANES],
    /// Values further on that would be here, or were passed on from before, if
    /// there had been room: a look that finds none of them ends here.
    passed: u16,
}

/// Where a value is in a page.
#[derive(Clone, Copy)]
struct Place {
    group: usize,
    lane: usize,
}

impl Code {
    #[expect(clippy::cast_possible_truncation, reason = "the half is what is meant")]
    pub(super) fn of_hash(hash: u64) -> Self {
        Self(hash as u32)
    }

    pub(super) fn number(self) -> u32 {
        self.0
    }

    /// Returns the code as a hash with something in the upper bits: a multiple of
    /// 2^64 divided by the golden ratio.
    pub(super) fn hash(self) -> u64 {
        u64::from(self.0).wrapping_mul(0x9E37_79B9_7F4A_7C15)
    }

    /// Returns the bits that choose a group, and tell values of one group apart.
    #[expect(clippy::cast_possible_truncation, reason = "the half is what is meant")]
    fn tag(self) -> u16 {
        self.0 as u16
    }

    /// Returns the page, of so many; the first if there is none yet.
    fn page(self, pages: usize) -> usize {
        let bits = (self.0 >> 16) as usize;
        let span = pages.next_power_of_two();
        let page = bits & (span - 1);
        // The upper half of the span is there as far as pages have been split.
        if page < pages {
            page
        } else {
            page & ((span - 1) / 2)
        }
    }
}

impl<T> Default for Group<T> {
    fn default() -> Self {
        Self {
            values: [const { None }; LANES],
            tags: [0; LANES],
            passed: 0,
        }
    }
}

impl<T> Group<T> {
    /// Returns a bit for each lane with a tag.
    #[inline]
    fn lanes_with(&self, tag: u16) -> u32 {
        let lanes = self.tags.iter().enumerate();
        lanes.fold(0, |found, (lane, other)| {
            found | u32::from(*other == tag) << lane
        })
    }
}

impl<T> Default for Page<T> {
    fn default() -> Self {
        Self::for_values(0)
    }
}

impl<T> Page<T> {
    /// Returns a page with room for so many values, and few more.
    fn for_values(len: usize) -> Self {
        let groups = (len * 8).div_ceil(LANES * 7);
        Self {
            groups: (0..groups).map(|_| Group::default()).collect(),
            len: 0,
        }
    }

    /// Returns how many values may be in so many groups: beyond, many would be
    /// far from where a look begins.
    fn room(&self) -> usize {
        self.groups.len() * LANES * 7 / 8
    }

    /// Returns the groups from the one where a look for a tag begins on.
    #[inline]
    fn path(&self, tag: u16) -> impl Iterator<Item = usize> + use<T> {
        let groups = self.groups.len();
        let home = (usize::from(tag) * groups) >> u16::BITS;
        (home..groups).chain(0..home)
    }

    #[inline]
    fn place(&self, tag: u16, is_it: impl Fn(&T) -> bool) -> Option<Place> {
        for number in self.path(tag) {
            let group = &self.groups[number];
            let mut lanes = group.lanes_with(tag);
            while lanes != 0 {
                let lane = lanes.trailing_zeros() as usize;
                if group.values[lane].as_ref().is_some_and(&is_it) {
                    return Some(Place {
                        group: number,
                        lane,
                    });
                }
                lanes &= lanes - 1;
            }
            if group.passed == 0 {
                break;
            }
        }
        None
    }

    /// Adds a value, for which there is room.
    fn add(&mut self, tag: u16, value: T) {
        for group in self.path(tag) {
            let group = &mut self.groups[group];
            if let Some(lane) = group.values.iter().position(Option::is_none) {
                group.values[lane] = Some(value);
                group.tags[lane] = tag;
                self.len += 1;
                return;
            }
            group.passed += 1;
        }
        unreachable!("a page with room has a group with room");
    }

    fn take(&mut self, tag: u16, place: Place) -> Option<T> {
        for group in self.path(tag).take_while(|group| *group != place.group) {
            self.groups[group].passed -= 1;
        }
        let value = self.groups[place.group].values[place.lane].take();
        self.len -= usize::from(value.is_some());
        value
    }

    /// Takes all values out, with their tags.
    fn drain(&mut self) -> impl Iterator<Item = (u16, T)> + use<T> {
        let groups = std::mem::take(self).groups;
        groups.into_iter().flat_map(|Group { values, tags, .. }| {
            let values = tags.into_iter().zip(values);
            values.filter_map(|(tag, value)| Some((tag, value?)))
        })
    }

    /// Moves the values to a page with room for so many.
    fn resize(&mut self, len: usize) {
        let mut page = Self::for_values(len);
        self.drain().for_each(|(tag, value)| page.add(tag, value));
        *self = page;
    }
}

impl<T> Default for Pages<T> {
    fn default() -> Self {
        Self {
            pages: Vec::new(),
            len: 0,
        }
    }
}

impl<T> Pages<T> {
    pub(super) fn len(&self) -> usize {
        self.len
    }

    #[inline]
    pub(super) fn find(&self, code: Code, is_it: impl Fn(&T) -> bool) -> Option<&T> {
        let page = self.pages.get(code.page(self.pages.len()))?;
        let Place { group, lane } = page.place(code.tag(), is_it)?;
        page.groups[group].values[lane].as_ref()
    }

    /// Adds a value. `code_of` is asked for the codes of values that are there.
    pub(super) fn insert(&mut self, code: Code, value: T, code_of: impl Fn(&T) -> Code) {
        if self.pages.is_empty() {
            self.pages.push(Page::default());
        }
        let number = code.page(self.pages.len());
        let page = &mut self.pages[number];
        if page.len == page.room() {
            page.resize(page.len + page.len / 8 + 1);
        }
        page.add(code.tag(), value);
        self.len += 1;
        if self.len > self.pages.len() * PAGE_MAX && self.pages.len() < PAGES_MAX {
            self.split(code_of);
        }
    }

    /// Puts another value with the same code in the place of one, if it is there.
    pub(super) fn replace(
        &mut self,
        code: Code,
        is_it: impl Fn(&T) -> bool,
        next: impl FnOnce(T) -> T,
    ) {
        let number = code.page(self.pages.len());
        if let Some(page) = self.pages.get_mut(number)
            && let Some(Place { group, lane }) = page.place(code.tag(), is_it)
        {
            let value = &mut page.groups[group].values[lane];
            *value = value.take().map(next);
        }
    }

    /// Takes a value out.
    pub(super) fn remove(&mut self, code: Code, is_it: impl Fn(&T) -> bool) -> Option<T> {
        let number = code.page(self.pages.len());
        let page = self.pages.get_mut(number)?;
        let place = page.place(code.tag(), is_it)?;
        let value = page.take(code.tag(), place);
        self.len -= usize::from(value.is_some());
        if self.len < self.pages.len() * PAGE_MIN && self.pages.len() > 1 {
            self.join();
        }
        value
    }

    /// Splits the page whose turn it is.
    fn split(&mut self, code_of: impl Fn(&T) -> Code) {
        let added = self.pages.len();
        // The one that shares all bits of its number with the new one but the
        // highest.
        let old = added & !(1 << added.ilog2());
        let values: Vec<_> = self.pages[old].drain().collect();
        let pages = added + 1;
        let (staying, leaving): (Vec<_>, Vec<_>) = values
            .into_iter()
            .partition(|(_, value)| code_of(value).page(pages) == old);
        self.pages.push(Page::default());
        for (number, values) in [(old, staying), (added, leaving)] {
            let page = &mut self.pages[number];
            *page = Page::for_values(values.len() + values.len() / 16 + 1);
            values
                .into_iter()
                .for_each(|(tag, value)| page.add(tag, value));
        }
    }

    /// Joins the page that was split last with the one that it came from, if that
    /// has room. Memory that was taken here could hold the end of a heap that is
    /// empty otherwise.
    fn join(&mut self) {
        let last = self.pages.len() - 1;
        let (pages, added) = self.pages.split_at_mut(last);
        let (old, added) = (&mut pages[last & !(1 << last.ilog2())], &mut added[0]);
        if old.len + added.len <= old.room() {
            added.drain().for_each(|(tag, value)| old.add(tag, value));
            self.pages.pop();
        }
    }

    /// Checks that every value is where a look for it ends, and that nothing else
    /// is counted.
    ///
    /// # Panics
    ///
    /// Panics if not.
    pub(super) fn check_invariants(&self, code_of: impl Fn(&T) -> Code) {
        let mut len = 0;
        for (number, page) in self.pages.iter().enumerate() {
            let mut passed = vec![0; page.groups.len()];
            let mut page_len = 0;
            for (at, group) in page.groups.iter().enumerate() {
                for (value, tag) in group.values.iter().zip(group.tags) {
                    let Some(value) = value else { continue };
                    let code = code_of(value);
                    assert_eq!(code.tag(), tag, "tag in page {number}");
                    assert_eq!(code.page(self.pages.len()), number, "page of {code:?}");
                    let before = page.path(tag).take_while(|group| *group != at);
                    before.for_each(|group| passed[group] += 1);
                    page_len += 1;
                }
            }
            let counted: Vec<_> = page.groups.iter().map(|group| group.passed).collect();
            assert_eq!(counted, passed, "values passed on in page {number}");
            assert_eq!(page.len, page_len, "values of page {number}");
            assert!(page.len <= page.room(), "room of page {number}");
            len += page_len;
        }
        assert_eq!(self.len, len, "values");
    }
}

#[cfg(test)]
mod tests {
    use std::{cell::Cell, collections::HashSet, num::NonZeroU64};

    use rand::{RngExt, SeedableRng};
    use rand_xoshiro::Xoshiro256PlusPlus;

    use super::*;

    /// A value that knows its code: 32 bits of it and 32 that tell it from others.
    type Value = NonZeroU64;

    fn code_of(value: &Value) -> Code {
        Code::of_hash(value.get() >> 32)
    }

    fn value(code: u32, number: u32) -> Value {
        NonZeroU64::new(u64::from(code) << 32 | u64::from(number + 1)).expect("not zero")
    }

    #[test]
    fn a_group_with_pointers_is_a_cache_line() {
        assert_eq!(size_of::<Group<Box<u32>>>(), 64);
    }

    #[test]
    fn values_are_found_whatever_came_and_went() {
        // Codes of all bits, of few pages and few groups, and equal ones.
        for mask in [u32::MAX, 0x0003_FFFF, 0xFFFF_0007, 0x0001_0000, 0] {
            let mut pages = Pages::default();
            let mut present = HashSet::new();
            let mut all = Vec::new();
            let mut random = Xoshiro256PlusPlus::seed_from_u64(16);
            for step in 0..40_000_u32 {
                let is_growing = step / 5_000 % 2 == 0;
                let code = random.random::<u32>() & mask;
                // Equal codes make a look linear: few of them.
                let may_grow = mask.count_ones() > 8 || all.len() < 300;
                if may_grow && random.random_bool(if is_growing { 0.75 } else { 0.25 }) {
                    let new = value(code, step);
                    pages.insert(code_of(&new), new, code_of);
                    all.push(new);
                    present.insert(new);
                } else if !all.is_empty() {
                    let old = all.swap_remove(random.random_range(0..all.len()));
                    present.remove(&old);
                    assert_eq!(pages.remove(code_of(&old), |v| *v == old), Some(old));
                    assert_eq!(pages.remove(code_of(&old), |v| *v == old), None);
                    assert_eq!(pages.find(code_of(&old), |v| *v == old), None);
                }
                if step % 1_000 == 0 {
                    pages.check_invariants(code_of);
                    assert_eq!(pages.len(), present.len());
                    for value in &present {
                        let found = pages.find(code_of(value), |other| other == value);
                        assert_eq!(found, Some(value));
                    }
                }
            }
            for value in all {
                assert_eq!(pages.remove(code_of(&value), |v| *v == value), Some(value));
            }
            pages.check_invariants(code_of);
            assert_eq!(pages.pages.len(), 1, "pages are joined again");
        }
    }

    #[test]
    fn a_value_takes_the_place_of_another() {
        let mut pages = Pages::default();
        let [old, new] = [value(7, 1), value(7, 2)];
        pages.insert(code_of(&old), old, code_of);
        pages.replace(code_of(&old), |v| *v == old, |_| new);
        pages.replace(
            code_of(&old),
            |v| *v == old,
            |_| unreachable!("it has gone"),
        );
        assert_eq!(pages.find(code_of(&old), |v| *v == new), Some(&new));
        assert_eq!(pages.len(), 1);
        pages.check_invariants(code_of);
    }

    #[test]
    fn no_insertion_moves_more_than_a_page_and_memory_follows_the_values() {
        let mut pages = Pages::default();
        let mut random = Xoshiro256PlusPlus::seed_from_u64(17);
        for number in 1..=200_000 {
            let new = value(random.random(), number);
            let asked = Cell::new(0);
            pages.insert(code_of(&new), new, |value| {
                asked.set(asked.get() + 1);
                code_of(value)
            });
            assert!(asked.get() <= 3 * PAGE_MAX, "{} at {number}", asked.get());
            if number % 1_000 == 0 && number >= 10_000 {
                let groups: usize = pages.pages.iter().map(|page| page.groups.len()).sum();
                let bytes = groups * size_of::<Group<Value>>();
                let each = bytes as f64 / f64::from(number);
                assert!((12.0..14.5).contains(&each), "{each} bytes at {number}");
            }
        }
    }
}
