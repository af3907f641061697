//! Models of claims on an object and of the buffers of uses, explored by loom.
//!
//! Run with `RUSTFLAGS="--cfg loom" cargo test -p mc-store --release --test loom`.
//!
//! Claims, one test each:
//!
//! 1. Who lets an object go has it alone; a reader is let in before or refused.
//! 2. The end of the last lease of a hidden object is told, or seen by who hides it.
//! 3. So it is when a lease was refused because the object was leaving, and it stays, and whenever
//!    what was told is looked at.
//! 4. Of several who let an object go one succeeds.
//! 5. A use that nobody disturbs is told, once, in its order; one that is disturbed at most once.
//! 6. A lease that is taken while a copy runs reads the old place and ends the move, and one that
//!    comes when the object has moved reads the new one: never a place that is free, nor half a copy.
//! 7. Of the victims of a plan all leave or none; if none, a reader finds each, whenever it comes.
//! 8. Who removes an object that a plan has marked has it alone.
//! 9. The explorer can tell: a reader that looks first and counts then is caught.
#![cfg(test)]
#![cfg(loom)]
#![expect(clippy::unwrap_used, reason = "a failed set-up fails the test")]

use std::num::NonZeroU64;

use loom::{
    cell::UnsafeCell,
    sync::{
        Arc, Mutex,
        atomic::{AtomicBool, AtomicU8, AtomicU32, Ordering},
    },
    thread,
};
use mc_store::model::{Away, Claims, Uses};

/// An object's bytes behind its claims; loom reports two threads in them
/// without an order.
struct Object {
    claims: Claims,
    bytes: UnsafeCell<u8>,
    told: AtomicU32,
}

impl Object {
    fn new() -> Arc<Self> {
        Arc::new(Self {
            claims: Claims::new(),
            bytes: UnsafeCell::new(0),
            told: AtomicU32::new(0),
        })
    }

    fn tell(&self, is_to_be_shown: bool) {
        if is_to_be_shown {
            self.told.fetch_add(1, Ordering::SeqCst);
        }
    }

    /// Reads under a lease; returns whether there was one.
    fn read(&self) -> bool {
        match self.claims.lease() {
            Ok(()) => {
                self.bytes.with(|_| ());
                self.tell(self.claims.end_lease());
                true
            }
            Err(refused) => {
                self.tell(refused.is_to_be_shown);
                false
            }
        }
    }

    /// Reads as soon as it is decided whether the object leaves; returns whether it
    /// stayed.
    fn read_or_miss(&self) -> bool {
        loop {
            match self.claims.lease() {
                Ok(()) => {
                    self.bytes.with(|_| ());
                    self.tell(self.claims.end_lease());
                    return true;
                }
                Err(refused) if refused.why == Away::Gone => return false,
                Err(_) => thread::yield_now(),
            }
        }
    }

    /// Gives the bytes to another, if nobody reads them.
    fn let_go(&self) -> bool {
        let is_free = self.claims.close().is_ok();
        if is_free {
            self.claims.decide();
            self.bytes.with_mut(|_| ());
        }
        is_free
    }
}

#[test]
fn who_lets_an_object_go_has_it_alone() {
    for readers in [1, 2] {
        loom::model(move || {
            let object = Object::new();
            let threads: Vec<_> = (0..readers)
                .map(|_| {
                    let object = Arc::clone(&object);
                    thread::spawn(move || object.read())
                })
                .collect();
            let is_free = object.let_go();
            let read = threads.into_iter().map(|thread| thread.join().unwrap());
            let all_read = read.fold(true, |all, one| all && one);
            assert!(is_free || all_read, "somebody gave way for nobody");
            assert!(!is_free || !object.read(), "nobody is let in any more");
        });
    }
}

#[test]
fn the_end_of_the_last_lease_of_a_hidden_object_is_told() {
    for leases in [1, 2] {
        loom::model(move || {
            let object = Object::new();
            for _ in 0..leases {
                object.claims.lease().unwrap();
            }
            let threads: Vec<_> = (0..leases)
                .map(|_| {
                    let object = Arc::clone(&object);
                    thread::spawn(move || object.tell(object.claims.end_lease()))
                })
                .collect();
            object.claims.hide();
            let is_seen = object.claims.look() && object.claims.claim().is_none();
            for thread in threads {
                thread.join().unwrap();
            }
            let told = object.told.load(Ordering::SeqCst);
            assert!(is_seen || told > 0, "it is hidden for ever");
            assert!(object.claims.show());
        });
    }
}

#[test]
fn an_object_that_stays_is_shown_again_whoever_was_refused() {
    for readers in [1, 2] {
        loom::model(move || {
            let object = Object::new();
            object.claims.close().unwrap();
            object.claims.hide();
            let threads: Vec<_> = (0..readers)
                .map(|_| {
                    let object = Arc::clone(&object);
                    thread::spawn(move || object.read())
                })
                .collect();
            object.claims.stay();
            let is_seen = object.claims.look() && object.claims.claim().is_none();
            for thread in threads {
                thread.join().unwrap();
            }
            let told = object.told.load(Ordering::SeqCst);
            assert!(is_seen || told > 0, "it is hidden for ever");
        });
    }
}

#[test]
fn a_hidden_object_is_seen_in_the_end_however_often_it_is_read() {
    loom::model(|| {
        let object = Object::new();
        object.claims.hide();
        let look = |object: &Object| object.claims.look() && object.claims.claim().is_none();
        let threads: Vec<_> = (0..2)
            .map(|_| {
                let object = Arc::clone(&object);
                thread::spawn(move || object.read())
            })
            .collect();
        let is_seen = look(&object);
        for thread in threads {
            assert!(thread.join().unwrap());
        }
        let told = object.told.load(Ordering::SeqCst);
        assert!(
            is_seen || told > 0 && look(&object),
            "it is hidden for ever"
        );
        assert!(told <= 2);
    });
}

#[test]
fn of_several_who_let_an_object_go_one_succeeds() {
    loom::model(|| {
        let object = Object::new();
        let other = Arc::clone(&object);
        let thread = thread::spawn(move || other.claims.remove_now().is_ok());
        let mine = object.claims.remove_idle().is_ok();
        assert!(mine != thread.join().unwrap());
    });
}

#[test]
fn a_pin_holds_an_object_that_is_not_leaving() {
    loom::model(|| {
        let object = Object::new();
        let other = Arc::clone(&object);
        let thread = thread::spawn(move || other.let_go());
        let is_pinned = object.claims.set_pinned(true).is_ok();
        assert!(is_pinned != thread.join().unwrap());
    });
}

#[test]
fn a_lease_does_not_keep_an_object_from_being_detached_but_a_pin_does() {
    loom::model(|| {
        let object = Object::new();
        object.claims.lease().unwrap();
        let other = Arc::clone(&object);
        let thread = thread::spawn(move || other.claims.remove_leased().is_ok());
        let is_pinned = object.claims.set_pinned(true).is_ok();
        assert!(is_pinned != thread.join().unwrap());
        assert!(!object.claims.end_lease());
    });
}

#[test]
fn uses_are_told_once_and_in_order() {
    for taken in [0, 1] {
        loom::model(move || {
            let uses = Arc::new(Uses::new());
            let other = Arc::clone(&uses);
            let thread = thread::spawn(move || {
                let mut told = Vec::new();
                other.take(taken, |used| {
                    told.extend(used.iter().map(|word| word.get()))
                });
                told
            });
            for used in [1, 2] {
                assert!(!uses.note(0, NonZeroU64::new(used).unwrap()));
            }
            let mut told = thread.join().unwrap();
            uses.take(0, |used| told.extend(used.iter().map(|word| word.get())));
            assert!(told.is_sorted() && told.len() <= 2, "{told:?}");
            assert_eq!(uses.reads(), (2, 0));
            if taken != 0 {
                assert_eq!(told, [1, 2], "nobody was in the way");
            }
        });
    }
}

/// A place for a byte; loom reports two threads in it without an order, one of which writes.
struct Place {
    access: UnsafeCell<()>,
    byte: AtomicU8,
}

impl Place {
    fn new(byte: u8) -> Self {
        Self {
            access: UnsafeCell::new(()),
            byte: AtomicU8::new(byte),
        }
    }

    fn read(&self) -> u8 {
        self.access.with(|_| self.byte.load(Ordering::Relaxed))
    }

    fn write(&self, byte: u8) {
        self.access
            .with_mut(|_| self.byte.store(byte, Ordering::Relaxed));
    }
}

/// An object that moves from one place to another, in a slot that is read and replaced under a
/// lock, as that of a shard.
struct Moving {
    slot: Mutex<(usize, Arc<Claims>)>,
    places: [Place; 2],
}

const BYTES: u8 = 7;
const FREED: u8 = 0;

impl Moving {
    fn new() -> Arc<Self> {
        Arc::new(Self {
            slot: Mutex::new((0, Arc::new(Claims::new()))),
            places: [Place::new(BYTES), Place::new(FREED)],
        })
    }

    /// Reads the object under a lease; returns where it was.
    fn read(&self) -> usize {
        let (place, claims) = {
            let slot = self.slot.lock().unwrap();
            slot.1.lease().expect("it is somewhere at any time");
            (slot.0, Arc::clone(&slot.1))
        };
        assert_eq!(self.places[place].read(), BYTES, "in place {place}");
        let _ = claims.end_lease();
        place
    }

    /// Copies if nobody uses the object, switches if nobody has begun to, and frees the old place;
    /// returns whether it got there.
    fn relocate(&self) -> bool {
        let claims = Arc::clone(&self.slot.lock().unwrap().1);
        if claims.claim().is_some() {
            return false;
        }
        self.places[1].write(self.places[0].read());
        {
            let mut slot = self.slot.lock().unwrap();
            if claims.close().is_err() {
                return false;
            }
            *slot = (1, Arc::new(claims.after_move()));
        }
        self.places[0].write(FREED);
        true
    }
}

#[test]
fn a_lease_while_a_copy_runs_reads_the_old_place_and_ends_the_move() {
    // All schedules with one reader; with two, those with a few switches, as all take too long.
    for (readers, preemption_bound) in [(1, None), (2, Some(2))] {
        let mut explorer = loom::model::Builder::new();
        explorer.preemption_bound = preemption_bound;
        explorer.check(move || {
            let moving = Moving::new();
            let threads: Vec<_> = (0..readers)
                .map(|_| {
                    let moving = Arc::clone(&moving);
                    thread::spawn(move || moving.read())
                })
                .collect();
            let is_moved = moving.relocate();
            for thread in threads {
                let place = thread.join().unwrap();
                assert!(is_moved || place == 0, "it was where it is");
            }
            assert_eq!(moving.read(), usize::from(is_moved));
        });
    }
}

/// Lets all leave or none, as a plan does; returns whether they did.
fn carry_out(victims: &[Arc<Object>]) -> bool {
    let is_marked = |object: &Arc<Object>| object.claims.mark().is_ok();
    let marked = victims
        .iter()
        .take_while(|object| is_marked(object))
        .count();
    let is_closed = |object: &Arc<Object>| object.claims.close_marked().is_ok();
    let leave = marked == victims.len() && victims.iter().all(is_closed);
    for object in &victims[..marked] {
        if leave {
            object.claims.decide();
            object.bytes.with_mut(|_| ());
        } else {
            object.claims.stay();
        }
    }
    leave
}

#[test]
fn the_victims_of_a_plan_leave_or_a_reader_finds_each() {
    let mut explorer = loom::model::Builder::new();
    explorer.preemption_bound = Some(3);
    explorer.check(|| {
        let objects = [Object::new(), Object::new()];
        let others = objects.clone();
        let reader = thread::spawn(move || others.map(|object| object.read_or_miss()));
        let leave = carry_out(&objects);
        let found = reader.join().unwrap();
        assert!(leave || found == [true, true], "{found:?}");
        let are_there = objects.map(|object| object.read_or_miss());
        assert_eq!(are_there, [!leave; 2]);
    });
}

#[test]
fn who_removes_a_marked_object_has_it_alone() {
    loom::model(|| {
        let objects = [Object::new(), Object::new()];
        let other = Arc::clone(&objects[1]);
        let remover = thread::spawn(move || {
            let is_removed = other.claims.remove_idle().is_ok();
            if is_removed {
                other.bytes.with_mut(|_| ());
            }
            is_removed
        });
        let leave = carry_out(&objects);
        let is_removed = remover.join().unwrap();
        assert!(leave != is_removed);
        let are_there = objects.map(|object| object.read_or_miss());
        assert_eq!(are_there, [!leave, false]);
    });
}

#[test]
#[should_panic(expected = "Causality violation")]
fn a_reader_that_looks_first_and_counts_then_is_caught() {
    loom::model(|| {
        let object = Object::new();
        let is_leaving = Arc::new(AtomicBool::new(false));
        let reader = {
            let (object, is_leaving) = (Arc::clone(&object), Arc::clone(&is_leaving));
            thread::spawn(move || {
                if !is_leaving.load(Ordering::SeqCst) {
                    object.bytes.with(|_| ());
                }
            })
        };
        is_leaving.store(true, Ordering::SeqCst);
        object.bytes.with_mut(|_| ());
        reader.join().unwrap();
    });
}
