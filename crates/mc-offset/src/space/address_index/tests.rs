//! Lookups against a sorted map, and the shape of the tree.

use alloc::collections::BTreeMap;

use rand::{RngExt, SeedableRng};
use rand_xoshiro::Xoshiro256PlusPlus;

use super::*;

/// Returns an index of `holes` holes of five bytes, ten bytes apart.
fn comb(holes: u32) -> AddressIndex {
    let mut index = AddressIndex::new().unwrap();
    for hole in 0..holes {
        index.reserve(hole + 1).unwrap();
        index.insert(hole, 10 * u64::from(hole), 5);
    }
    index
}

#[test]
fn lookups_agree_with_a_sorted_map_under_random_changes() {
    let mut rng = Xoshiro256PlusPlus::seed_from_u64(7);
    let mut index = AddressIndex::new().unwrap();
    let mut model: BTreeMap<u64, (u32, u64)> = BTreeMap::new();
    let mut spare: Vec<u32> = (0..3000).collect();
    for turn in 0..20_000 {
        let is_emptying = turn / 4000 % 2 == 1;
        // Every hole lies in a cell of its own of 100 bytes.
        let cell = rng.random_range(0..5000) * 100;
        let (offset, size) = (cell + rng.random_range(0..40), rng.random_range(1..50));
        let in_cell = model
            .range(cell..cell + if is_emptying { 1000 } else { 100 })
            .next()
            .map(|(&at, &hole)| (at, hole));
        match in_cell {
            Some((at, (hole, _))) if is_emptying || rng.random_ratio(1, 2) => {
                index.remove(hole);
                model.remove(&at);
                spare.push(hole);
            }
            Some((at, (hole, _))) if at / 100 == cell / 100 => {
                index.reshape(hole, offset, size);
                model.remove(&at);
                model.insert(offset, (hole, size));
            }
            Some(_) => {}
            None => {
                let Some(hole) = spare.pop() else { continue };
                index.reserve(3000).unwrap();
                index.insert(hole, offset, size);
                model.insert(offset, (hole, size));
            }
        }
        if turn % 64 == 0 {
            let holes = model.iter().map(|(&at, &(hole, size))| (hole, at, size));
            index.check_invariants(holes);
        }
        check_lookups(&mut index, &model, &mut rng);
    }
}

fn check_lookups(
    index: &mut AddressIndex,
    model: &BTreeMap<u64, (u32, u64)>,
    rng: &mut Xoshiro256PlusPlus,
) {
    let wanted = rng.random_range(1..60);
    let mut fitting = model.values().filter(|&&(_, size)| size >= wanted);
    let (first, last) = (fitting.clone().next(), fitting.next_back());
    assert_eq!(index.first_fit(wanted), first.map(|&(hole, _)| hole));
    assert_eq!(index.last_fit(wanted), last.map(|&(hole, _)| hole));
    let largest = model.values().map(|&(_, size)| size).max();
    assert_eq!(index.largest(), largest.unwrap_or(0));
    let at = rng.random_range(0..500_000);
    let before = model.range(..=at).next_back();
    let found = before.map(|(_, &(hole, _))| hole);
    assert_eq!(index.at_or_before(at), found);
    if let Some((&at, &(hole, _))) = before {
        let mut earlier = model.range(..at).rev();
        let fitting = earlier.find(|&(_, &(_, size))| size >= wanted);
        let fitting = fitting.map(|(_, &(hole, _))| hole);
        assert_eq!(index.last_fit_before(hole, wanted), fitting);
    }
    let step = [8, 16, 24][rng.random_range(0..3)];
    let rooms = model
        .iter()
        .map(|(&at, &(hole, size))| (hole, room_in(at, size, step)));
    let first = rooms.clone().find(|&(_, room)| room >= wanted);
    let found = index.first_room(step, wanted).unwrap();
    assert_eq!(found, first.map(|(hole, _)| hole));
    for (step, is_every_offset) in [(step, false), (1, true)] {
        let rooms = model
            .iter()
            .map(|(&at, &(_, size))| room_in(at, size, step));
        let mut rooms: Vec<u64> = rooms.collect();
        rooms.sort_unstable_by(|a, b| b.cmp(a));
        rooms.truncate(50);
        let mut found = Vec::new();
        let mut take = |room, _| {
            found.push(room);
            if found.len() < 50 {
                ControlFlow::Continue(())
            } else {
                ControlFlow::Break(())
            }
        };
        index
            .largest_rooms(step, is_every_offset, &mut take)
            .unwrap();
        assert_eq!(found, rooms);
    }
}

#[test]
fn rooms_begin_at_multiples() {
    for (offset, size, step, expected) in [
        (0, 10, 8, 10),
        (1, 10, 8, 3),
        (8, 10, 8, 10),
        (1, 7, 8, 0),
        (7, 10, 24, 0),
        (20, 10, 24, 6),
        (u64::MAX - 9, 9, 1 << 63, 0),
    ] {
        assert_eq!(room_in(offset, size, step), expected, "{offset}");
    }
}

#[test]
fn a_hole_waits_for_others_until_they_are_too_many_or_something_else_comes() {
    type Change = fn(&mut AddressIndex);
    const FULL: u32 = 16;
    assert_eq!(FULL as usize, WAITING_MAX);
    let index = comb(FULL);
    assert_eq!(
        (index.waiting_len, index.node(index.root).len),
        (WAITING_MAX, 0)
    );
    assert_eq!(index.largest(), 5, "of those that wait");
    let changes: [(Change, u32); 4] = [
        (|index| index.insert(FULL, 10 * u64::from(FULL), 5), FULL),
        (|index| index.remove(0), FULL - 1),
        (|index| index.reshape(0, 0, 4), FULL),
        (|index| _ = index.last_fit(1), FULL),
    ];
    for (change, in_tree) in changes {
        let mut index = comb(FULL);
        index.reserve(FULL + 1).unwrap();
        change(&mut index);
        assert_eq!(index.node(index.root).len, in_tree);
    }
}

#[test]
fn idle_after_more_changes_without_a_lookup_than_holes() {
    for (holes, changes) in [(1, 64_u32), (100, 100)] {
        let mut index = comb(holes);
        for turn in 0..3 {
            let _ = index.last_fit(1);
            for change in 0..changes {
                assert!(!index.is_idle(), "turn {turn}, change {change}");
                index.reshape(0, 0, 1 + u64::from(change) % 5);
            }
            assert!(!index.is_idle());
            index.remove(0);
            assert!(index.is_idle());
            let _ = index.at_or_before(0);
            assert!(!index.is_idle(), "a lookup starts the count anew");
            index.insert(0, 0, 5);
        }
    }
}

#[test]
fn a_step_is_followed_until_it_is_idle() {
    let mut index = comb(100);
    assert_eq!(index.first_room(20, 6).unwrap(), None);
    for change in 0..=100 {
        assert_eq!(index.planes.len(), 1, "change {change}");
        index.reshape(0, 0, 5);
    }
    assert!(index.planes.is_empty());
}

#[test]
fn paths_are_short_in_whichever_order_holes_come_and_go() {
    // Nodes that are filled in order stay half full, with ten entries.
    let mut index = comb(1 << 15);
    assert!(index.levels <= 5, "{} levels", index.levels);
    for hole in (0..1 << 15).filter(|hole| hole % 64 != 0) {
        index.remove(hole);
    }
    assert!(index.levels <= 3, "{} levels", index.levels);
    for hole in (0..1 << 15).step_by(64) {
        index.remove(hole);
    }
    assert_eq!((index.levels, index.len), (1, 0));
    assert_eq!(index.vacant_len as usize + 1, index.nodes.len());
}

#[test]
#[should_panic(expected = "a hole is missing from the address index")]
fn a_missing_hole_is_noticed() {
    let index = comb(1);
    index.check_invariants([(0, 0, 5), (1, 20, 5)].into_iter());
}

#[test]
fn heap_bytes_are_those_of_the_tables() {
    let mut index = comb(100);
    let tables = |index: &AddressIndex| {
        index.nodes.capacity() * size_of::<TreeNode>() + 8 * index.lanes.capacity()
    };
    assert_eq!(index.heap_bytes(), tables(&index));
    let _ = index.first_room(64, 1).unwrap();
    assert!(index.heap_bytes() >= tables(&index) + 8 * index.nodes.len());
}
