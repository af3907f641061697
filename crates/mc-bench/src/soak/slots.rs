//! Slots of one size, claimed and given back by several threads.

use std::sync::atomic::{AtomicBool, Ordering};

use mc_offset::{SlotAllocator, SlotFreeError, SlotIndex};
use rand::RngExt;

use super::{Generator, Layer, on_threads};

pub(super) const LAYER: Layer = Layer { name: "slots", run };

/// Operations of one thread in a round.
const STEPS: u64 = 10_000;

fn run(generator: &mut Generator) -> u64 {
    let threads = generator.random_range(1..=4);
    let slots_log2 = generator.random_range(1..=16);
    let slots = generator.random_range(1..=1_u32 << slots_log2);
    let allocator = SlotAllocator::new(4096, slots).expect("valid layout");
    // Set by whoever holds the slot. Swaps are `AcqRel`, so that a slot given back is clear for the next.
    let held: Vec<AtomicBool> = (0..slots).map(|_| AtomicBool::new(false)).collect();
    on_threads(0..threads, generator, |_, generator| {
        work(&allocator, &held, generator);
    });
    assert_eq!(allocator.free_count(), slots, "slots are lost");
    allocator.check_invariants();
    let all = (0..slots).map_while(|_| allocator.allocate().ok()).count();
    assert_eq!(all as u64, u64::from(slots), "a free slot was refused");
    assert!(allocator.allocate().is_err(), "more slots than there are");
    STEPS * threads
}

fn work(allocator: &SlotAllocator, held: &[AtomicBool], generator: &mut Generator) {
    let flag = |slot: SlotIndex| &held[slot.as_u32() as usize];
    let mut mine: Vec<SlotIndex> = Vec::new();
    for _ in 0..STEPS {
        if generator.random_ratio(3, 5) {
            if let Ok(slot) = allocator.allocate() {
                assert!(
                    !flag(slot).swap(true, Ordering::AcqRel),
                    "{slot:?} given twice"
                );
                mine.push(slot);
            }
        } else if !mine.is_empty() {
            let slot = mine.swap_remove(generator.random_range(0..mine.len()));
            assert!(
                flag(slot).swap(false, Ordering::AcqRel),
                "{slot:?} was not held"
            );
            assert_eq!(allocator.free(slot), Ok(()));
        }
    }
    for slot in mine {
        flag(slot).store(false, Ordering::Release);
        assert_eq!(allocator.free(slot), Ok(()));
    }
    let refused = allocator.free(SlotIndex::new(allocator.capacity()));
    assert!(matches!(refused, Err(SlotFreeError::OutOfRange { .. })));
}
