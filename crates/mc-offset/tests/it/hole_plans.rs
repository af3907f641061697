//! Plans for making a hole, carried out and held against all there are.
//!
//! Claims: carrying a plan out, step by step, leaves the hole it names; it
//! stays within its budgets and adds up; nothing immovable moves and nothing is
//! evicted that may not be; no plan, of whichever moves and evictions, is better
//! where one is said to be optimal, nor better by more than is stated; a plan
//! without moves costs what the cheapest window does; where what is free is to be
//! kept together, it is, and nothing else changes; with many nodes, one move is
//! found without a search.
#![expect(clippy::unwrap_used, reason = "a failed set-up fails the test")]

use std::collections::{BTreeMap, BTreeSet};

use mc_offset::{
    Allocation, BlockCost, HoleOptions, HolePlan, OffsetAllocator, Optimality, Options, Preference,
};
use rand::{RngExt, SeedableRng};
use rand_xoshiro::Xoshiro256PlusPlus;

/// What a plan is compared by: cost of the evictions, then bytes moved.
type Price = (u128, u64);

/// An allocation of a small pool, and what may be done with it.
#[derive(Clone, Copy, Debug)]
struct Block {
    offset: u64,
    size: u64,
    can_move: bool,
    eviction: Option<u64>,
    /// Whether it may make room wherever it is.
    is_spare: bool,
}

impl Block {
    fn cost(&self) -> BlockCost {
        let cost = if self.can_move {
            BlockCost::movable()
        } else {
            BlockCost::IMMOVABLE
        };
        match self.eviction {
            Some(eviction) => cost.or_evictable(eviction),
            None => cost,
        }
    }
}

fn pool(capacity: u64, blocks: &[Block]) -> (OffsetAllocator, Vec<Allocation>) {
    let entries = blocks.iter().map(|block| (block.offset, block.size));
    OffsetAllocator::restore_from(Options::new(capacity), entries).unwrap()
}

fn plan(
    allocator: &OffsetAllocator,
    tokens: &[Allocation],
    blocks: &[Block],
    options: &HoleOptions,
) -> Option<HolePlan> {
    let spares: Vec<Allocation> = tokens
        .iter()
        .zip(blocks)
        .filter(|(_, block)| block.is_spare)
        .map(|(token, _)| *token)
        .collect();
    allocator.plan_hole_with_spares(options, &spares, |allocation| {
        let at = tokens.iter().position(|token| token == allocation);
        blocks[at.expect("it is one of the pool's")].cost()
    })
}

/// Carries a plan out and checks every step of it.
fn carry_out(
    allocator: &mut OffsetAllocator,
    tokens: &[Allocation],
    blocks: &[Block],
    options: &HoleOptions,
    plan: &HolePlan,
) {
    let block = |token: &Allocation| blocks[tokens.iter().position(|t| t == token).unwrap()];
    let mut cost = 0;
    for &victim in &plan.evictions {
        cost += u128::from(block(&victim).eviction.expect("it may be evicted"));
        allocator.free(victim).unwrap();
    }
    assert_eq!(plan.cost, cost);
    let mut current: BTreeMap<u64, Allocation> = BTreeMap::new();
    let mut moved_bytes = 0;
    for step in &plan.moves {
        assert!(block(&step.allocation).can_move, "it may be moved");
        let token = current.remove(&step.from).unwrap_or(step.allocation);
        assert_eq!(token.offset(), step.from);
        let moved = allocator.allocate_at(step.to, step.size()).unwrap();
        allocator.free(token).unwrap();
        current.insert(step.to, moved);
        moved_bytes += step.size();
        allocator.check_invariants();
    }
    assert_eq!(plan.moved_bytes, moved_bytes);
    assert!(moved_bytes <= options.moved_bytes_max);
    let window = &plan.window;
    assert!(window.start.is_multiple_of(options.align));
    assert_eq!(
        Some(window.end - window.start),
        allocator.charged_size(options.size)
    );
    let _ = allocator.allocate_at(window.start, options.size).unwrap();
}

/// Returns the price of the best of all plans, found by trying every sequence of
/// moves and evictions of single blocks.
fn best_price(capacity: u64, blocks: &[Block], options: &HoleOptions) -> Option<Price> {
    let start: Vec<Option<u64>> = blocks.iter().map(|block| Some(block.offset)).collect();
    let mut open = BTreeSet::from([((0_u128, 0_u64), start)]);
    let mut closed = BTreeSet::new();
    while let Some((price, places)) = open.pop_first() {
        if has_hole(capacity, blocks, &places, options) {
            return Some(price);
        }
        if !closed.insert(places.clone()) {
            continue;
        }
        for (at, block) in blocks.iter().enumerate() {
            if places[at].is_none() {
                continue;
            }
            if let Some(eviction) = block.eviction {
                let mut next = places.clone();
                next[at] = None;
                open.insert(((price.0 + u128::from(eviction), price.1), next));
            }
            let moved_bytes = price.1 + block.size;
            if !block.can_move || moved_bytes > options.moved_bytes_max {
                continue;
            }
            for to in 0..=capacity - block.size {
                if is_free(blocks, &places, to..to + block.size) {
                    let mut next = places.clone();
                    next[at] = Some(to);
                    open.insert(((price.0, moved_bytes), next));
                }
            }
        }
    }
    None
}

fn is_free(blocks: &[Block], places: &[Option<u64>], range: std::ops::Range<u64>) -> bool {
    let mut taken = blocks.iter().zip(places);
    taken.all(|(block, place)| {
        place.is_none_or(|at| at + block.size <= range.start || range.end <= at)
    })
}

fn has_hole(
    capacity: u64,
    blocks: &[Block],
    places: &[Option<u64>],
    options: &HoleOptions,
) -> bool {
    let starts = (0..capacity).step_by(usize::try_from(options.align).unwrap());
    let mut ranges = starts.map(|at| at..at + options.size);
    ranges.any(|range| range.end <= capacity && is_free(blocks, places, range))
}

/// Checks the plan for one pool; returns whether there is one and whether it was
/// found.
fn check(capacity: u64, blocks: &[Block], options: &HoleOptions) -> (bool, bool) {
    let (mut allocator, tokens) = pool(capacity, blocks);
    let found = plan(&allocator, &tokens, blocks, options);
    let best = best_price(capacity, blocks, options);
    let context = || format!("{options:?} in {capacity} bytes with {blocks:?}: {found:?}");
    if let Some(plan) = &found {
        let best = best.unwrap_or_else(|| panic!("a plan where none is: {}", context()));
        let price = (plan.cost, plan.moved_bytes);
        match plan.optimality {
            Optimality::Optimal => assert_eq!(price, best, "{}", context()),
            Optimality::Within { cost, moved_bytes } => {
                assert!(best.0 + cost >= price.0, "{best:?}: {}", context());
                let is_as_dear = best.0 == price.0;
                assert!(
                    !is_as_dear || best.1 + moved_bytes >= price.1,
                    "{best:?}: {}",
                    context()
                );
            }
            other => panic!("all nodes were visited: {other:?}"),
        }
        carry_out(&mut allocator, &tokens, blocks, options, plan);
    }
    (best.is_some(), found.is_some())
}

fn options(size: u64, align: u64, moved_bytes_max: u64) -> HoleOptions {
    HoleOptions {
        align,
        moved_bytes_max,
        ..HoleOptions::new(size)
    }
}

/// Returns all layouts of movable blocks of one to three bytes.
fn layouts(capacity: u64) -> Vec<Vec<Block>> {
    let mut all = vec![(0, Vec::new())];
    let mut done = Vec::new();
    while let Some((at, blocks)) = all.pop() {
        if at == capacity {
            done.push(blocks);
            continue;
        }
        all.push((at + 1, blocks.clone()));
        for size in 1..=3.min(capacity - at) {
            let mut more = blocks.clone();
            more.push(Block {
                offset: at,
                size,
                can_move: true,
                eviction: None,
                is_spare: false,
            });
            all.push((at + size, more));
        }
    }
    done.retain(|blocks| blocks.len() <= 4);
    done
}

#[test]
fn no_plan_by_moves_alone_is_better_on_any_layout_of_seven_bytes() {
    let (mut possible, mut found) = (0, 0);
    for blocks in layouts(7) {
        for size in 2..=5 {
            for moved_bytes_max in [1, 3, 7] {
                let (is_possible, is_found) = check(7, &blocks, &options(size, 1, moved_bytes_max));
                possible += u32::from(is_possible);
                found += u32::from(is_found);
            }
        }
    }
    assert!(
        f64::from(found) >= 0.95 * f64::from(possible),
        "{found} of {possible}"
    );
}

fn random_blocks(capacity: u64, rng: &mut Xoshiro256PlusPlus) -> Vec<Block> {
    let mut blocks = Vec::new();
    let mut at = 0;
    while at < capacity && blocks.len() < 5 {
        let size = rng.random_range(1..=4).min(capacity - at);
        if rng.random_ratio(2, 3) {
            blocks.push(Block {
                offset: at,
                size,
                can_move: rng.random_ratio(3, 4),
                eviction: rng.random_ratio(1, 2).then(|| rng.random_range(0..5)),
                is_spare: false,
            });
        }
        at += size;
    }
    blocks
}

#[test]
fn no_plan_is_better_than_stated_on_random_pools() {
    let mut rng = Xoshiro256PlusPlus::seed_from_u64(11);
    let (mut possible, mut found) = (0, 0);
    for _ in 0..3000 {
        let blocks = random_blocks(12, &mut rng);
        let size = rng.random_range(1..=8);
        let align = [1, 1, 2, 4][rng.random_range(0..4)];
        let moved_bytes_max = rng.random_range(0..10);
        let (is_possible, is_found) = check(12, &blocks, &options(size, align, moved_bytes_max));
        possible += u32::from(is_possible);
        found += u32::from(is_found);
    }
    assert!(
        f64::from(found) >= 0.95 * f64::from(possible),
        "{found} of {possible}"
    );
}

#[test]
fn spares_are_rooms_and_no_plan_with_them_is_better_than_stated() {
    let mut rng = Xoshiro256PlusPlus::seed_from_u64(14);
    let (mut possible, mut found) = (0, 0);
    for _ in 0..3000 {
        let mut blocks = random_blocks(12, &mut rng);
        for block in &mut blocks {
            if rng.random_ratio(1, 3) {
                *block = Block {
                    can_move: false,
                    eviction: Some(rng.random_range(0..3)),
                    is_spare: true,
                    ..*block
                };
            }
        }
        let size = rng.random_range(1..=10);
        let align = [1, 1, 2, 4][rng.random_range(0..4)];
        let moved_bytes_max = rng.random_range(0..10);
        let (is_possible, is_found) = check(12, &blocks, &options(size, align, moved_bytes_max));
        possible += u32::from(is_possible);
        found += u32::from(is_found);
    }
    assert!(
        f64::from(found) >= 0.95 * f64::from(possible),
        "{found} of {possible}"
    );
}

#[test]
fn a_plan_without_moves_costs_what_the_cheapest_window_does() {
    let mut rng = Xoshiro256PlusPlus::seed_from_u64(12);
    for _ in 0..500 {
        let blocks = random_blocks(30, &mut rng);
        let (mut allocator, tokens) = pool(30, &blocks);
        let size = rng.random_range(1..=15);
        let cost = |allocation: &Allocation| {
            blocks[tokens.iter().position(|token| token == allocation).unwrap()].eviction
        };
        let window = allocator.cheapest_window(size, 1, cost);
        let options = options(size, 1, 0);
        let found = plan(&allocator, &tokens, &blocks, &options);
        let costs = (
            found.as_ref().map(|plan| plan.cost),
            window.map(|window| window.cost),
        );
        assert_eq!(costs.0, costs.1);
        if let Some(plan) = found {
            assert_eq!(plan.optimality, Optimality::Optimal);
            carry_out(&mut allocator, &tokens, &blocks, &options, &plan);
        }
    }
}

#[test]
fn a_block_is_slid_by_way_of_the_hole_it_makes() {
    let block = |offset, size, can_move| Block {
        offset,
        size,
        can_move,
        eviction: None,
        is_spare: false,
    };
    // Five that may move lie across the middle, to where the hole has to begin;
    // to be out of its way they have to go where some of them are.
    let blocks = [block(0, 1, false), block(5, 5, true)];
    let (mut allocator, tokens) = pool(16, &blocks);
    assert!(plan(&allocator, &tokens, &blocks, &options(8, 8, 9)).is_none());
    let options = options(8, 8, 10);
    let found = plan(&allocator, &tokens, &blocks, &options).unwrap();
    assert_eq!((found.moves.len(), found.moved_bytes), (2, 10));
    carry_out(&mut allocator, &tokens, &blocks, &options, &found);
}

#[test]
fn large_pools_are_searched_around_their_largest_holes() {
    let mut rng = Xoshiro256PlusPlus::seed_from_u64(13);
    let mut allocator = OffsetAllocator::new(1 << 26).unwrap();
    let mut live = Vec::new();
    while let Ok(token) = allocator.allocate(rng.random_range(1000..=9000)) {
        live.push(token);
    }
    for _ in 0..live.len() / 5 {
        let token = live.swap_remove(rng.random_range(0..live.len()));
        allocator.free(token).unwrap();
    }
    let size = 60_000;
    assert!(allocator.allocate(size).is_err());
    let options = HoleOptions {
        moved_bytes_max: size,
        ..HoleOptions::new(size)
    };
    let mut asked = 0;
    let plan = allocator.plan_hole(&options, |_| {
        asked += 1;
        BlockCost::movable()
    });
    let plan = plan.expect("a fifth is free");
    assert_eq!(plan.optimality, Optimality::Unknown);
    assert!(asked <= 2 * options.nodes_visited_max, "{asked} asked");
    let weighed = allocator.weighed_for_plan(&options, &[]);
    assert!(weighed.is_sorted_by_key(Allocation::offset));
    assert!(weighed.len() <= options.nodes_visited_max as usize);
    let of_weighed = allocator.plan_hole(&options, |block| match weighed.contains(block) {
        true => BlockCost::movable(),
        false => BlockCost::IMMOVABLE,
    });
    assert!(of_weighed.is_some_and(|other| other.moved_bytes <= size));
    for step in &plan.moves {
        let _ = allocator.allocate_at(step.to, step.size()).unwrap();
        allocator.free(step.allocation).unwrap();
    }
    let _ = allocator.allocate_at(plan.window.start, size).unwrap();
    allocator.check_invariants();
}

/// What is free in a hole of so many bytes on average, for each free byte, when a plan is carried
/// out and the hole it makes is taken.
fn mean_hole(allocator: &OffsetAllocator) -> f64 {
    let holes = allocator.stretches().filter(|one| one.allocation.is_none());
    let (sum, squares) = holes.fold((0.0, 0.0), |(sum, squares), hole| {
        let bytes = hole.size as f64;
        (sum + bytes, squares + bytes * bytes)
    });
    if sum == 0.0 { 0.0 } else { squares / sum }
}

#[test]
fn plans_that_keep_holes_together_are_sound_and_leave_larger_holes() {
    let mut rng = Xoshiro256PlusPlus::seed_from_u64(15);
    let (mut found, mut larger, mut smaller) = (0, 0, 0);
    for _ in 0..3000 {
        let mut blocks = random_blocks(40, &mut rng);
        for block in &mut blocks {
            block.is_spare = block.eviction.is_some();
        }
        let size = rng.random_range(1..=20);
        let align = [1, 1, 2, 4][rng.random_range(0..4)];
        let cheap = options(size, align, rng.random_range(0..20));
        let together = HoleOptions {
            preference: Preference::Together { moved_percent: 10 },
            ..cheap
        };
        let after = |options: &HoleOptions| {
            let (mut allocator, tokens) = pool(40, &blocks);
            let plan = plan(&allocator, &tokens, &blocks, options)?;
            carry_out(&mut allocator, &tokens, &blocks, options, &plan);
            Some((plan, mean_hole(&allocator)))
        };
        let (Some((first, first_mean)), Some((second, second_mean))) =
            (after(&cheap), after(&together))
        else {
            assert_eq!(after(&cheap).is_some(), after(&together).is_some());
            continue;
        };
        found += 1;
        if first.cost == second.cost {
            larger += u32::from(second_mean > first_mean);
            smaller += u32::from(second_mean < first_mean - 1.0);
        }
    }
    assert!(found > 1000, "{found}");
    assert!(
        larger > 4 * smaller,
        "{larger} of {found} larger, {smaller} smaller"
    );
}

#[test]
fn every_way_to_clear_a_window_is_tried() {
    let block = |offset, size, can_move, eviction: Option<u64>| Block {
        offset,
        size,
        can_move,
        eviction,
        is_spare: eviction.is_some(),
    };
    // For 30 bytes, 20 of them beside 10 to clear: what is there moves to where 11 leave, not 19.
    let blocks = [
        block(20, 10, true, None),
        block(30, 19, false, Some(19)),
        block(49, 40, false, None),
        block(89, 11, false, Some(11)),
    ];
    let (mut allocator, tokens) = pool(100, &blocks);
    let options = HoleOptions {
        preference: Preference::Together { moved_percent: 0 },
        ..options(30, 1, 10)
    };
    let found = plan(&allocator, &tokens, &blocks, &options).unwrap();
    assert_eq!(found.evictions, [tokens[3]]);
    assert_eq!((found.moves[0].from, found.moves[0].to), (20, 89));
    assert_eq!((found.window.clone(), found.cost), (0..30, 11));
    carry_out(&mut allocator, &tokens, &blocks, &options, &found);
}

#[test]
fn among_many_nodes_a_neighbor_of_a_large_hole_moves_first() {
    let mut allocator = OffsetAllocator::new(40_000).unwrap();
    let mut tokens = Vec::new();
    // Holes of 10 and blocks of 10 in turns; one block is small and lies between two larger holes.
    for number in 0..1000 {
        let at = 40 * number;
        if number == 500 {
            tokens.push(allocator.allocate_at(at + 18, 4).unwrap());
            continue;
        }
        tokens.push(allocator.allocate_at(at, 30).unwrap());
    }
    let options = HoleOptions {
        nodes_visited_max: 64,
        ..options(35, 1, 30)
    };
    let mut asked = 0;
    let plan = allocator.plan_hole(&options, |_| {
        asked += 1;
        BlockCost::movable()
    });
    let plan = plan.unwrap();
    assert_eq!(
        (plan.moves.len(), plan.moves[0].from, asked),
        (1, 20_018, 1)
    );
    assert_eq!((plan.moved_bytes, plan.cost), (4, 0));
    for step in &plan.moves {
        let _moved = allocator.allocate_at(step.to, step.size()).unwrap();
        allocator.free(step.allocation).unwrap();
    }
    let hole = allocator.allocate_at(plan.window.start, options.size);
    assert_eq!(hole.unwrap().offset(), plan.window.start);
}

#[test]
fn what_may_move_to_no_alignment_neither_moves_nor_leaves() {
    let mut allocator = OffsetAllocator::new(40).unwrap();
    let [_low, high] = [(); 2].map(|()| allocator.allocate(10).unwrap());
    allocator.free(high).unwrap();
    for align in [0, 3, u64::MAX] {
        let cost = BlockCost::movable_to(align);
        let plan = allocator.plan_hole(&options(40, 1, 40), |_| cost);
        assert_eq!(plan, None, "{align}");
    }
}
