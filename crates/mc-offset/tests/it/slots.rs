//! What `SlotAllocator` promises, on one thread against a set of indices and on eight against flags.

#![cfg(not(loom))]
#![expect(clippy::unwrap_used, reason = "helpers fail a test by panicking, too")]

use std::collections::BTreeSet;
use std::sync::atomic::{AtomicBool, AtomicU32, Ordering};
use std::thread;

use mc_offset::{
    SlotAllocAtError, SlotAllocError, SlotAllocator, SlotFreeError, SlotIndex, SlotLayoutError,
};
use rand::{RngExt, SeedableRng};
use rand_xoshiro::Xoshiro256PlusPlus;

/// Sizes around the ends of a word, of a word of words, of a shard and of a level.
const EDGE_SLOTS: [u32; 11] = [
    1,
    63,
    64,
    65,
    4096,
    4097,
    32_768,
    32_769,
    262_144,
    262_145,
    1 << 20,
];

fn allocator(slots: u32) -> SlotAllocator {
    SlotAllocator::new(1, slots).unwrap()
}

fn all_slots(allocator: &SlotAllocator) -> impl Iterator<Item = SlotIndex> + use<> {
    (0..allocator.capacity()).map(SlotIndex::new)
}

#[test]
fn every_slot_is_handed_out_once_and_then_requests_are_refused() {
    for slots in EDGE_SLOTS {
        let allocator = allocator(slots);
        let handed_out: BTreeSet<_> = (0..slots)
            .map(|_| allocator.allocate().expect("a slot is free"))
            .collect();
        assert!(
            handed_out.into_iter().eq(all_slots(&allocator)),
            "{slots} slots"
        );
        let refusal = SlotAllocError::Exhausted {
            slot_bytes: 1,
            slots,
        };
        assert_eq!(allocator.allocate(), Err(refusal));
        assert_eq!(allocator.live_count(), slots);
        allocator.check_invariants();
    }
}

#[test]
fn one_slot_freed_anywhere_is_the_next_handed_out() {
    for slots in EDGE_SLOTS {
        let allocator = allocator(slots);
        while allocator.allocate().is_ok() {}
        for index in [0, slots / 3, slots / 2, slots - 1] {
            let slot = SlotIndex::new(index);
            allocator.free(slot).unwrap();
            assert_eq!(allocator.allocate(), Ok(slot), "{slots} slots");
            allocator.allocate().unwrap_err();
        }
        allocator.check_invariants();
    }
}

#[test]
fn slots_freed_in_any_order_are_all_handed_out_again() {
    let mut random = Xoshiro256PlusPlus::seed_from_u64(7);
    for slots in EDGE_SLOTS {
        let allocator = allocator(slots);
        while allocator.allocate().is_ok() {}
        let freed: BTreeSet<_> = (0..slots / 2 + 1)
            .map(|_| SlotIndex::new(random.random_range(0..slots)))
            .collect();
        for &slot in &freed {
            allocator.free(slot).unwrap();
        }
        allocator.check_invariants();
        let again: BTreeSet<_> = freed
            .iter()
            .map(|_| allocator.allocate().unwrap())
            .collect();
        assert_eq!(again, freed, "{slots} slots");
        allocator.allocate().unwrap_err();
        allocator.check_invariants();
    }
}

#[test]
fn double_free_is_refused_and_changes_nothing() {
    let allocator = allocator(100);
    let slot = allocator.allocate().unwrap();
    let index = slot.as_u32();
    allocator.free(slot).unwrap();
    assert_eq!(allocator.free(slot), Err(SlotFreeError::NotLive { index }));
    let never_live = SlotIndex::new(99);
    assert_eq!(
        allocator.free(never_live),
        Err(SlotFreeError::NotLive { index: 99 })
    );
    assert_eq!(allocator.free_count(), 100);
    allocator.check_invariants();
}

#[test]
fn index_beyond_the_last_slot_is_refused_by_every_operation() {
    let allocator = allocator(65);
    for index in [65, 127, 128, u32::MAX] {
        let slot = SlotIndex::new(index);
        assert_eq!(
            allocator.free(slot),
            Err(SlotFreeError::OutOfRange { index, slots: 65 })
        );
        let refusal = SlotAllocAtError::OutOfRange { index, slots: 65 };
        assert_eq!(allocator.allocate_at(slot), Err(refusal));
        assert!(!allocator.is_live(slot));
    }
    allocator.check_invariants();
}

#[test]
#[should_panic(expected = "slot 65 of an allocator of 65 slots")]
fn offset_of_a_foreign_slot_panics() {
    let _ = allocator(65).offset_of(SlotIndex::new(65));
}

#[test]
fn allocate_at_takes_the_slot_unless_it_is_live() {
    for slots in EDGE_SLOTS {
        let allocator = allocator(slots);
        let last = SlotIndex::new(slots - 1);
        allocator.allocate_at(last).unwrap();
        assert!(allocator.is_live(last));
        let refusal = SlotAllocAtError::Live { index: slots - 1 };
        assert_eq!(allocator.allocate_at(last), Err(refusal));
        assert_eq!(allocator.live_count(), 1);
        let others = (1..slots).map(|_| allocator.allocate().unwrap());
        assert!(
            !others.into_iter().any(|slot| slot == last),
            "{slots} slots"
        );
        allocator.check_invariants();
    }
}

#[test]
fn live_slots_come_in_address_order() {
    let allocator = allocator(4097);
    let reserved = [4096, 0, 63, 64, 65, 4095, 127].map(SlotIndex::new);
    for slot in reserved {
        allocator.allocate_at(slot).unwrap();
    }
    let in_order: BTreeSet<_> = reserved.into();
    assert!(allocator.live_slots().eq(in_order));
}

#[test]
fn offsets_and_slots_convert_back() {
    let allocator = SlotAllocator::new(658_432, 1000).unwrap();
    for index in [0, 1, 63, 64, 999] {
        let slot = SlotIndex::new(index);
        let offset = allocator.offset_of(slot);
        assert_eq!(offset, u64::from(index) * 658_432);
        assert_eq!(allocator.slot_at(offset), Some(slot));
        assert_eq!(allocator.slot_at(offset + 658_431), Some(slot));
    }
    assert_eq!(allocator.capacity_bytes(), 658_432_000);
    assert_eq!(allocator.slot_at(658_432_000), None);
    assert_eq!(allocator.slot_at(u64::MAX), None);
}

#[test]
fn layout_that_makes_no_sense_is_refused() {
    #[track_caller]
    fn check(made: Result<SlotAllocator, SlotLayoutError>, refusal: SlotLayoutError) {
        assert_eq!(made.map(|allocator| allocator.capacity()), Err(refusal));
    }
    let (slot_bytes, range_bytes) = (4096, 4095);
    check(SlotAllocator::new(0, 1), SlotLayoutError::ZeroSlotBytes);
    check(
        SlotAllocator::filling(..1, 0),
        SlotLayoutError::ZeroSlotBytes,
    );
    let none = SlotLayoutError::NoSlots {
        slot_bytes,
        range_bytes: 0,
    };
    check(SlotAllocator::new(slot_bytes, 0), none);
    let none = SlotLayoutError::NoSlots {
        slot_bytes,
        range_bytes,
    };
    check(SlotAllocator::filling(..range_bytes, slot_bytes), none);
    let slot_bytes = 1 << 63;
    check(
        SlotAllocator::new(slot_bytes, 2),
        SlotLayoutError::RangeTooLong {
            slot_bytes,
            slots: 2,
        },
    );
    check(
        SlotAllocator::filling(..1 << 32, 1),
        SlotLayoutError::TooManySlots {
            slot_bytes: 1,
            slots: 1 << 32,
            slots_max: u32::MAX,
        },
    );
}

#[test]
fn an_allocator_has_the_slots_that_it_was_asked_for() {
    let allocator = SlotAllocator::new(4096, 1000).unwrap();
    assert_eq!((allocator.slot_bytes(), allocator.capacity()), (4096, 1000));
    assert_eq!(allocator.capacity_bytes(), 4_096_000);
    allocator.allocate().unwrap();
    assert_eq!(
        format!("{allocator:?}"),
        "SlotAllocator { slot_bytes: 4096, capacity: 1000, live_count: 1, .. }"
    );
}

#[test]
fn filling_leaves_out_the_end_that_makes_no_slot() {
    let allocator = SlotAllocator::filling(..u64::MAX, 1 << 40).unwrap();
    assert_eq!(allocator.capacity(), (1 << 24) - 1);
    assert_eq!(allocator.capacity_bytes(), u64::MAX - ((1 << 40) - 1));
}

#[test]
fn metadata_takes_less_than_a_fifth_of_a_byte_a_slot() {
    let slots = 1 << 24;
    let bytes = allocator(slots).metadata_bytes();
    assert!(
        bytes * 5 <= slots as usize,
        "{bytes} bytes for {slots} slots"
    );
    assert!(bytes * 8 >= slots as usize, "each slot has a bit");
}

#[test]
fn a_slot_freed_in_a_full_allocator_is_known_on_every_level() {
    // Enough for two levels of summaries above the bits.
    let slots = 1 << 24;
    let allocator = allocator(slots);
    while allocator.allocate().is_ok() {}
    for index in [0, 12_345_678, slots - 1] {
        let slot = SlotIndex::new(index);
        assert_eq!(allocator.free(slot), Ok(()));
        allocator.check_invariants();
        assert_eq!(allocator.allocate(), Ok(slot));
    }
}

/// Runs a random program against a set of live indices.
fn check_against_set(slots: u32, steps: u32, seed: u64) {
    let mut random = Xoshiro256PlusPlus::seed_from_u64(seed);
    let allocator = allocator(slots);
    let mut live = BTreeSet::new();
    // The program leans towards filling, then towards emptying, and so on.
    let mut allocate_percent = 60;
    for step in 0..steps {
        let context = format!("seed {seed}, {slots} slots, step {step}");
        let any = SlotIndex::new(random.random_range(0..slots));
        match random.random_range(0..100) {
            dice if dice < allocate_percent => match allocator.allocate() {
                Ok(slot) => assert!(live.insert(slot), "{context}: {slot:?} handed out twice"),
                Err(_) => {
                    assert_eq!(live.len(), slots as usize, "{context}: refused");
                    allocate_percent = 30;
                }
            },
            90.. => {
                let made_live = allocator.allocate_at(any).is_ok();
                assert_eq!(
                    made_live,
                    live.insert(any),
                    "{context}: allocate_at {any:?}"
                );
            }
            _ => {
                let freed = allocator.free(any).is_ok();
                assert_eq!(freed, live.remove(&any), "{context}: free {any:?}");
            }
        }
        if live.is_empty() {
            allocate_percent = 60;
        }
        assert_eq!(allocator.live_count() as usize, live.len(), "{context}");
        assert_eq!(
            allocator.is_live(any),
            live.contains(&any),
            "{context}: {any:?}"
        );
        if slots <= 4097 {
            allocator.check_invariants();
        }
    }
    assert!(
        allocator.live_slots().eq(live),
        "seed {seed}, {slots} slots"
    );
    allocator.check_invariants();
}

#[test]
fn random_programs_agree_with_a_set_of_indices() {
    for seed in 0..4 {
        for slots in EDGE_SLOTS {
            check_against_set(slots, 3000, seed);
        }
    }
}

/// One flag a slot, set while some thread owns it.
struct Owned(Vec<AtomicBool>);

impl Owned {
    fn new(slots: u32) -> Self {
        Self((0..slots).map(|_| AtomicBool::new(false)).collect())
    }

    /// Sets or clears the flag, which must have been the other way.
    fn change(&self, slot: SlotIndex, owned: bool) {
        let before = self.0[slot.as_u32() as usize].swap(owned, Ordering::Relaxed);
        assert_ne!(before, owned, "{slot:?} has two owners");
    }
}

/// Allocates and frees at random, with at most `held_max` slots at once, and returns those it holds.
fn hammer(
    allocator: &SlotAllocator,
    owned: &Owned,
    held_max: usize,
    seed: u64,
    refused: &AtomicU32,
) -> Vec<SlotIndex> {
    let mut random = Xoshiro256PlusPlus::seed_from_u64(seed);
    let mut held: Vec<SlotIndex> = Vec::new();
    for _ in 0..20_000 {
        if held.len() < held_max && random.random_bool(0.6) {
            match allocator.allocate() {
                Ok(slot) => {
                    owned.change(slot, true);
                    held.push(slot);
                }
                Err(_) => _ = refused.fetch_add(1, Ordering::Relaxed),
            }
        } else if !held.is_empty() {
            let slot = held.swap_remove(random.random_range(0..held.len()));
            owned.change(slot, false);
            allocator.free(slot).unwrap();
        }
    }
    held
}

/// Lets eight threads hammer one allocator, checks that nothing is lost, and returns the refusals.
fn hammer_with_eight_threads(slots: u32, held_max: usize) -> u32 {
    let allocator = allocator(slots);
    let owned = Owned::new(slots);
    let refused = AtomicU32::new(0);
    let held: Vec<SlotIndex> = thread::scope(|scope| {
        let threads: Vec<_> = (0..8)
            .map(|seed| {
                let (allocator, owned, refused) = (&allocator, &owned, &refused);
                scope.spawn(move || hammer(allocator, owned, held_max, seed, refused))
            })
            .collect();
        threads
            .into_iter()
            .flat_map(|thread| thread.join().unwrap())
            .collect()
    });
    allocator.check_invariants();
    assert_eq!(allocator.live_count() as usize, held.len());
    let held: BTreeSet<_> = held.into_iter().collect();
    assert!(
        allocator.live_slots().eq(held.iter().copied()),
        "held and live slots differ"
    );
    for _ in held.len()..slots as usize {
        owned.change(allocator.allocate().unwrap(), true);
    }
    allocator.allocate().unwrap_err();
    refused.into_inner()
}

#[test]
fn eight_threads_on_a_full_allocator_neither_share_nor_lose_a_slot() {
    for slots in [1, 65, 4097] {
        assert_ne!(
            hammer_with_eight_threads(slots, slots as usize),
            0,
            "{slots} slots: no refusal"
        );
    }
}

#[test]
fn eight_threads_that_need_no_more_than_there_is_are_never_refused() {
    for held_max in [1, 8, 64] {
        let slots = 8 * u32::try_from(held_max).unwrap();
        assert_eq!(
            hammer_with_eight_threads(slots, held_max),
            0,
            "{slots} slots"
        );
    }
}

#[test]
fn free_slots_that_move_between_regions_are_never_missed() {
    // Each of eight threads puts a slot back before it asks for one, so one is free for it at any
    // moment, though it may be in another region at every look.
    let slots = 262_144;
    let allocator = allocator(slots);
    while allocator.allocate().is_ok() {}
    thread::scope(|scope| {
        for thread in 0..8 {
            let allocator = &allocator;
            scope.spawn(move || {
                let mut random = Xoshiro256PlusPlus::seed_from_u64(u64::from(thread));
                let mut mine = SlotIndex::new(thread * (slots / 8));
                for _ in 0..20_000 {
                    allocator.free(mine).unwrap();
                    if random.random_bool(0.1) {
                        thread::yield_now();
                    }
                    mine = allocator
                        .allocate()
                        .expect("one slot is free for each request");
                }
            });
        }
    });
    allocator.check_invariants();
    assert_eq!(allocator.free_count(), 0);
}
