//! [`Queues`]: objects in lists by age, from which some are hidden for a while.
//!
//! Each object has the *tick* of its last use. A list holds its objects by tick, so that the oldest
//! is found at once and a use moves an object in constant time. A hidden object is in no list. Shown
//! again it belongs where its tick says: near the new end, where it is after a short lease, it is
//! linked in after a few steps; otherwise it waits in an ordered set, and whoever walks a list sees
//! both as one.

use std::collections::BTreeSet;
use std::hint;
use std::ops::BitXor;

use super::ObjectId;
use super::table::Table;

/// No object.
const NONE: u32 = u32::MAX;

/// Objects that are passed on the way from the new end before the ordered set is taken instead.
const STEPS_MAX: usize = 16;

/// Bits of a tick in a packed entry: enough for 10⁶ uses a second in nine years.
const TICK_BITS: u32 = 48;

/// Lists of objects by age, with something that goes with each.
#[derive(Debug)]
pub(super) struct Queues<T = ()> {
    entries: Table<Entry<T>>,
    ends: Vec<Ends>,
    /// Objects that were shown too far from the new end: queue, tick, id.
    aside: BTreeSet<(u8, u64, u32)>,
    now: u64,
}

#[derive(Clone, Copy, Debug)]
struct Ends {
    oldest: u32,
    newest: u32,
}

/// What is known of an object: 16 bytes, and what goes with it.
#[derive(Clone, Copy, Debug, Default)]
struct Entry<T> {
    /// The neighbors, if the object is in a list.
    older: u32,
    newer: u32,
    /// Tick, queue and note.
    packed: Packed,
    content: T,
}

/// A tick, and below it seven bits of queue, two of place and seven of note.
#[derive(Clone, Copy, Debug, Default)]
struct Packed(u64);

/// Where an object is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Place {
    Listed,
    Aside,
    Hidden,
}

/// A position between two objects of a queue, from old to new.
///
/// It stays valid if objects that it has passed are moved or removed.
#[derive(Clone, Copy, Debug)]
pub(super) struct Cursor {
    queue: u8,
    listed: u32,
    aside: (u64, u32),
}

impl Packed {
    const fn new(tick: u64, queue: u8, place: Place, note: u8) -> Self {
        let place = match place {
            Place::Listed => 0,
            Place::Aside => 1,
            Place::Hidden => 2,
        };
        let low = (queue as u64) << 9 | place << 7 | note as u64;
        Self(tick << (64 - TICK_BITS) | low)
    }

    const fn tick(self) -> u64 {
        self.0 >> (64 - TICK_BITS)
    }

    const fn queue(self) -> u8 {
        (self.0 >> 9 & 0x7f) as u8
    }

    const fn place(self) -> Place {
        match self.0 >> 7 & 3 {
            0 => Place::Listed,
            1 => Place::Aside,
            _ => Place::Hidden,
        }
    }

    const fn note(self) -> u8 {
        (self.0 & 0x7f) as u8
    }
}

impl<T: Copy + Default> Queues<T> {
    /// The most queues.
    pub(super) const QUEUES_MAX: usize = 128;

    pub(super) fn new(queues: usize) -> Self {
        assert!(queues <= Self::QUEUES_MAX);
        let ends = Ends {
            oldest: NONE,
            newest: NONE,
        };
        Self {
            entries: Table::new(),
            ends: vec![ends; queues],
            aside: BTreeSet::new(),
            now: 0,
        }
    }

    pub(super) fn len(&self) -> usize {
        self.entries.len()
    }

    /// Returns the tick of the newest use.
    pub(super) fn now(&self) -> u64 {
        self.now
    }

    pub(super) fn tick(&self, id: ObjectId) -> u64 {
        self.entry(id.0).packed.tick()
    }

    pub(super) fn queue(&self, id: ObjectId) -> u8 {
        self.entry(id.0).packed.queue()
    }

    /// Returns the number below 128 that goes with an object.
    pub(super) fn note(&self, id: ObjectId) -> u8 {
        self.entry(id.0).packed.note()
    }

    pub(super) fn set_note(&mut self, id: ObjectId, note: u8) {
        let packed = &mut self.entry_mut(id.0).packed;
        *packed = Packed::new(packed.tick(), packed.queue(), packed.place(), note);
    }

    /// Returns what goes with an object.
    pub(super) fn content(&self, id: ObjectId) -> T {
        self.entry(id.0).content
    }

    /// Adds an object at the new end of a queue.
    pub(super) fn insert(&mut self, id: ObjectId, queue: u8, content: T) {
        self.now += 1;
        self.add(id, queue, self.now, content);
        self.link_below(id.0, queue, NONE);
    }

    /// Adds an object just behind another that is newer, as if it was used right before that one.
    pub(super) fn insert_behind(&mut self, id: ObjectId, newer: ObjectId, queue: u8, content: T) {
        // Time passes as with every insertion, although the object is older than that.
        self.now += 1;
        let before = self.entry(newer.0).packed;
        self.add(id, queue, before.tick(), content);
        if before.place() == Place::Listed && before.queue() == queue {
            self.link_below(id.0, queue, newer.0);
        } else {
            self.settle(id.0);
        }
    }

    /// Moves an object to the new end of a queue. A hidden one stays hidden.
    pub(super) fn renew(&mut self, id: ObjectId, queue: u8) {
        self.renew_with(id, |_, note, _| (queue, note));
    }

    /// Moves an object to the new end of a queue; which one, and the note, follow from its queue, its
    /// note and what goes with it. A hidden one stays hidden.
    #[inline]
    pub(super) fn renew_with(&mut self, id: ObjectId, next: impl FnOnce(u8, u8, T) -> (u8, u8)) {
        self.now += 1;
        let now = self.now;
        let entry = self.entry_mut(id.0);
        let before = *entry;
        let (place, queue_before) = (before.packed.place(), before.packed.queue());
        let (queue, note) = next(queue_before, before.packed.note(), before.content);
        let place_now = match place {
            Place::Hidden => Place::Hidden,
            Place::Listed | Place::Aside => Place::Listed,
        };
        entry.packed = Packed::new(now, queue, place_now, note);
        let is_newest = place == Place::Listed && before.newer == NONE && queue == queue_before;
        if is_newest || place == Place::Hidden {
            return;
        }
        self.unlink(id.0, before);
        let ends = &mut self.ends[usize::from(queue)];
        let older = std::mem::replace(&mut ends.newest, id.0);
        match older {
            NONE => ends.oldest = id.0,
            older => self.entry_mut(older).newer = id.0,
        }
        let entry = self.entry_mut(id.0);
        (entry.older, entry.newer) = (older, NONE);
    }

    /// Reads what is known of objects and of their neighbors, so that memory is waited for once and not
    /// for each of them when they are renewed.
    pub(super) fn touch(&self, ids: &[ObjectId]) {
        // A hidden object's neighbors may have gone.
        let entry = |neighbor| self.entries.glance(neighbor);
        let ticks = |neighbor| entry(neighbor).map_or(0, |entry| entry.packed.0);
        let known = ids.iter().map(|id| self.entry(id.0).packed.0);
        hint::black_box(known.fold(0, BitXor::bitxor));
        let neighbors = ids.iter().map(|id| self.entry(id.0));
        let neighbors = neighbors.map(|entry| ticks(entry.older) ^ ticks(entry.newer));
        hint::black_box(neighbors.fold(0, BitXor::bitxor));
    }

    pub(super) fn remove(&mut self, id: ObjectId) {
        let before = self.entries.remove(id.0);
        assert!(before.is_some(), "object {} is not here", id.0);
        self.unlink(id.0, before.unwrap_or_default());
    }

    pub(super) fn hide(&mut self, id: ObjectId) {
        self.unlink(id.0, self.entry(id.0));
        self.set_place(id.0, Place::Hidden);
    }

    pub(super) fn show(&mut self, id: ObjectId) {
        if self.entry(id.0).packed.place() == Place::Hidden {
            self.settle(id.0);
        }
    }

    /// Returns the tick of the oldest visible object of a queue.
    pub(super) fn oldest_tick(&self, queue: u8) -> Option<u64> {
        let mut cursor = self.cursor(queue);
        self.next(&mut cursor).map(|id| self.tick(id))
    }

    /// Lets time pass.
    pub(super) fn advance(&mut self, now: u64) {
        self.now = self.now.max(now);
    }

    /// Returns the newest object of a queue that was not shown again late.
    pub(super) fn newest(&self, queue: u8) -> Option<ObjectId> {
        let newest = self.ends[usize::from(queue)].newest;
        (newest != NONE).then_some(ObjectId(newest))
    }

    /// Returns the position before the oldest object.
    pub(super) fn cursor(&self, queue: u8) -> Cursor {
        Cursor {
            queue,
            listed: self.ends[usize::from(queue)].oldest,
            aside: (0, 0),
        }
    }

    /// Returns the object that the next step passes.
    pub(super) fn peek(&self, cursor: &Cursor) -> Option<ObjectId> {
        self.next(&mut { *cursor })
    }

    /// Passes the next object and returns it.
    pub(super) fn next(&self, cursor: &mut Cursor) -> Option<ObjectId> {
        let queue = cursor.queue;
        let aside = if self.aside.is_empty() {
            None
        } else {
            let from = (queue, cursor.aside.0, cursor.aside.1);
            let mut rest = self.aside.range(from..);
            rest.next().filter(|found| found.0 == queue)
        };
        let listed = self
            .entries
            .get(cursor.listed)
            .filter(|_| cursor.listed != NONE);
        let listed_tick = listed.map(|entry| entry.packed.tick());
        match aside {
            Some(&(_, tick, id)) if listed_tick.is_none_or(|listed| tick <= listed) => {
                cursor.aside = (tick, id + 1);
                Some(ObjectId(id))
            }
            _ => {
                let passed = cursor.listed;
                cursor.listed = listed?.newer;
                Some(ObjectId(passed))
            }
        }
    }

    /// Lets a cursor that has passed everything see an object that was moved to the new end since.
    pub(super) fn extend(&self, cursor: &mut Cursor, id: ObjectId) {
        if cursor.listed == NONE && self.entry(id.0).packed.place() == Place::Listed {
            cursor.listed = id.0;
        }
    }

    fn add(&mut self, id: ObjectId, queue: u8, tick: u64, content: T) {
        let entry = Entry {
            older: NONE,
            newer: NONE,
            packed: Packed::new(tick, queue, Place::Listed, 0),
            content,
        };
        let before = self.entries.insert(id.0, entry);
        assert!(before.is_none(), "object {} is already here", id.0);
    }

    /// Puts an object that is in no list where its tick says.
    fn settle(&mut self, id: u32) {
        let packed = self.entry(id).packed;
        let (queue, tick) = (packed.queue(), packed.tick());
        let mut newer = NONE;
        let mut older = self.ends[usize::from(queue)].newest;
        for _ in 0..STEPS_MAX {
            if older == NONE || self.entry(older).packed.tick() < tick {
                self.set_place(id, Place::Listed);
                self.link_below(id, queue, newer);
                return;
            }
            newer = older;
            older = self.entry(older).older;
        }
        self.set_place(id, Place::Aside);
        self.aside.insert((queue, tick, id));
    }

    /// Links an object in behind one that is newer, or at the new end.
    fn link_below(&mut self, id: u32, queue: u8, newer: u32) {
        let queue = usize::from(queue);
        let older = match newer {
            NONE => self.ends[queue].newest,
            newer => self.entry(newer).older,
        };
        let entry = self.entry_mut(id);
        (entry.older, entry.newer) = (older, newer);
        match older {
            NONE => self.ends[queue].oldest = id,
            older => self.entry_mut(older).newer = id,
        }
        match newer {
            NONE => self.ends[queue].newest = id,
            newer => self.entry_mut(newer).older = id,
        }
    }

    /// Takes an object out of its list or the set, where its entry says that it is.
    fn unlink(&mut self, id: u32, entry: Entry<T>) {
        let Entry {
            older,
            newer,
            packed,
            ..
        } = entry;
        let queue = usize::from(packed.queue());
        match packed.place() {
            Place::Hidden => return,
            Place::Aside => {
                self.aside.remove(&(packed.queue(), packed.tick(), id));
                return;
            }
            Place::Listed => {}
        }
        match older {
            NONE => self.ends[queue].oldest = newer,
            older => self.entry_mut(older).newer = newer,
        }
        match newer {
            NONE => self.ends[queue].newest = older,
            newer => self.entry_mut(newer).older = older,
        }
    }

    fn set_place(&mut self, id: u32, place: Place) {
        let packed = &mut self.entry_mut(id).packed;
        *packed = Packed::new(packed.tick(), packed.queue(), place, packed.note());
    }

    #[inline]
    fn entry(&self, id: u32) -> Entry<T> {
        *self.entries.known(id)
    }

    #[inline]
    fn entry_mut(&mut self, id: u32) -> &mut Entry<T> {
        self.entries.known_mut(id)
    }
}
