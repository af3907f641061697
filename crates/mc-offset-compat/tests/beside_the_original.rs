//! The same programs on this crate and on the original.
//!
//! - In the same state, whatever the original serves is served here, and what
//!   fits is served; the reports agree.
//! - In any state, a request is refused here only if no free region has its
//!   size or the limit is reached.
//! - Blocks of one allocator never overlap, under either crate.
//! - At most `max_allocs` − 2 blocks are live, under either crate; here
//!   exactly so many can be, whatever the free regions.
//! - Under random programs that keep the range full, more is live here.

mod common;

use rand::{RngExt, SeedableRng};
use rand_xoshiro::Xoshiro256PlusPlus;

use common::{Checked, Interface};

/// A limit that no program here reaches.
const PLENTY: u32 = 60_000;

/// The sizes of a program's requests.
#[derive(Clone, Copy, Debug)]
enum Sizes {
    /// Any up to the largest.
    Uniform(u32),
    /// Every magnitude alike up to the largest.
    LogUniform(u32),
    /// Two in turn, neither the size of a bin.
    Pair(u32, u32),
    /// Powers of two and their neighbors, zero included.
    Edges(u32),
}

impl Sizes {
    fn draw(self, rng: &mut Xoshiro256PlusPlus) -> u32 {
        match self {
            Self::Uniform(max) => rng.random_range(1..=max),
            Self::LogUniform(max) => (rng.random_range(1..=max) >> rng.random_range(0..20)).max(1),
            Self::Pair(one, other) => [one, other][rng.random_range(0..2)],
            Self::Edges(max) => {
                let power = 1 << rng.random_range(0..=max.ilog2());
                power + rng.random_range(0..3) - 1
            }
        }
    }
}

/// Makes the same layout in both: pieces one behind the other, some of them
/// freed again. Returns what is live.
fn same_layout<A: Interface, B: Interface>(
    ours: &mut Checked<A>,
    theirs: &mut Checked<B>,
    sizes: Sizes,
    rng: &mut Xoshiro256PlusPlus,
) -> Vec<(A::Block, B::Block)> {
    let mut live = Vec::new();
    for _ in 0..2_000 {
        let size = sizes.draw(rng).max(1);
        let Some(block) = theirs.allocate(size) else {
            break;
        };
        let ours = ours.allocate(size).expect("the original served it");
        assert_eq!(A::offset(ours), B::offset(block));
        live.push((ours, block));
    }
    let kept = live.len() / 2;
    while live.len() > kept {
        let (mine, block) = live.swap_remove(rng.random_range(0..live.len()));
        ours.free(mine);
        theirs.free(block);
    }
    assert_eq!(ours.gaps(), theirs.gaps());
    live
}

/// Compares both crates in one state after the other, each the same for both.
fn compare_states<A: Interface, B: Interface>(size: u32, sizes: Sizes, seed: u64) {
    let mut rng = Xoshiro256PlusPlus::seed_from_u64(seed);
    let mut ours = Checked::<A>::new(size, PLENTY);
    let mut theirs = Checked::<B>::new(size, PLENTY);
    let live = same_layout(&mut ours, &mut theirs, sizes, &mut rng);
    let gaps = ours.gaps();
    let largest = ours.largest_gap();
    compare_reports(&ours, &theirs);
    let edges = gaps.iter().flat_map(|&gap| [gap - 1, gap, gap + 1]);
    let drawn = (0..200).map(|_| sizes.draw(&mut rng)).collect::<Vec<_>>();
    for request in edges.chain(drawn).chain([0, size, u32::MAX]) {
        let mine = ours.allocator.allocate(request);
        let block = theirs.allocator.allocate(request);
        let context = format!("{request} units of at most {largest}, {sizes:?}, seed {seed}");
        assert_eq!(mine.is_some(), request <= largest, "{context}");
        assert!(mine.is_some() || block.is_none(), "{context}");
        if let Some(mine) = mine {
            assert_eq!(ours.allocator.allocation_size(mine), request);
            ours.allocator.free(mine);
        }
        if let Some(block) = block {
            theirs.allocator.free(block);
        }
    }
    for (mine, block) in live {
        ours.free(mine);
        theirs.free(block);
    }
    assert_eq!(ours.allocator.report(), (size, size));
    compare_reports(&ours, &theirs);
}

/// Compares the reports of the same state. The original rounds the largest
/// region down to the size of a bin.
fn compare_reports<A: Interface, B: Interface>(ours: &Checked<A>, theirs: &Checked<B>) {
    let (free, largest) = ours.allocator.report();
    let (free_there, largest_there) = theirs.allocator.report();
    assert_eq!(free, free_there);
    assert_eq!(free, ours.gaps().iter().sum::<u32>());
    assert_eq!(largest, ours.largest_gap());
    let regions = ours.allocator.report_full();
    assert_eq!(regions, theirs.allocator.report_full());
    let bins = regions[..240].iter().rev();
    let floor = bins.map(|&(size, _)| size).find(|&size| size <= largest);
    assert_eq!(floor, Some(largest_there));
}

#[test]
fn in_the_same_state_whatever_the_original_serves_is_served() {
    type Ours = offset_allocator::Allocator;
    type Theirs = original::Allocator;
    for seed in 0..20 {
        compare_states::<Ours, Theirs>(1_000_003, Sizes::Uniform(5_000), seed);
        compare_states::<Ours, Theirs>(1 << 31, Sizes::LogUniform(1 << 26), seed);
        compare_states::<Ours, Theirs>(15 << 28, Sizes::Edges(1 << 24), seed);
        compare_states::<Ours, Theirs>(1 << 20, Sizes::Pair(3_275, 659), seed);
        compare_states::<offset_allocator::Allocator<u16>, original::Allocator<u16>>(
            65_535,
            Sizes::Uniform(300),
            seed,
        );
    }
}

/// What came of one program on one crate.
#[derive(Default)]
struct Outcome {
    /// Sum over all steps of the units live.
    live_units: u64,
    refused: u32,
}

/// Runs a program that stores one object after another and frees a random one
/// whenever it is refused, with `reset` now and then.
fn churn<A: Interface>(
    size: u32,
    max_allocs: u32,
    sizes: Sizes,
    seed: u64,
    check_refusal: impl Fn(&Checked<A>, u32, usize),
) -> Outcome {
    let mut rng = Xoshiro256PlusPlus::seed_from_u64(seed);
    let mut victims = Xoshiro256PlusPlus::seed_from_u64(!seed);
    let mut checked = Checked::<A>::new(size, max_allocs);
    let mut live = Vec::new();
    let mut outcome = Outcome::default();
    for step in 1..=3_000 {
        let request = sizes.draw(&mut rng).max(1);
        loop {
            if let Some(block) = checked.allocate(request) {
                live.push(block);
                break;
            }
            check_refusal(&checked, request, live.len());
            outcome.refused += 1;
            if live.is_empty() {
                break;
            }
            checked.free(live.swap_remove(victims.random_range(0..live.len())));
        }
        assert!(live.len() <= max_allocs as usize - 2);
        assert_eq!(checked.live_blocks(), live.len());
        outcome.live_units += u64::from(checked.live_units);
        if step % 1_000 == 0 {
            checked.reset();
            live.clear();
            assert_eq!(checked.allocator.report().0, size);
        }
    }
    outcome
}

fn churn_ours(size: u32, max_allocs: u32, sizes: Sizes, seed: u64) -> Outcome {
    churn::<offset_allocator::Allocator>(size, max_allocs, sizes, seed, |ours, request, live| {
        let is_full = live == max_allocs as usize - 2;
        assert!(
            is_full || ours.largest_gap() < request,
            "{request} units refused with {live} blocks, {sizes:?}, seed {seed}"
        );
        let exact = (size - ours.live_units, ours.largest_gap());
        let report = if is_full { (0, 0) } else { exact };
        assert_eq!(ours.allocator.report(), report);
    })
}

fn churn_original(size: u32, max_allocs: u32, sizes: Sizes, seed: u64) -> Outcome {
    churn::<original::Allocator>(size, max_allocs, sizes, seed, |_, _, _| ())
}

#[test]
fn nothing_that_fits_is_refused_and_more_is_live() {
    let programs = [
        (1_000_003, Sizes::Uniform(20_000)),
        (2_000_000_000, Sizes::LogUniform(1 << 28)),
        (1 << 20, Sizes::Pair(13_000, 2_600)),
        (1 << 20, Sizes::Pair(9_001, 9_001)),
        (1_000_000, Sizes::Edges(1 << 16)),
    ];
    for (size, sizes) in programs {
        let (mut ours, mut theirs) = (Outcome::default(), Outcome::default());
        for seed in 0..10 {
            for (sum, one) in [
                (&mut ours, churn_ours(size, PLENTY, sizes, seed)),
                (&mut theirs, churn_original(size, PLENTY, sizes, seed)),
            ] {
                sum.live_units += one.live_units;
                sum.refused += one.refused;
            }
        }
        assert!(ours.refused > 1_000, "{sizes:?} hardly fills the range");
        assert!(
            ours.live_units > theirs.live_units,
            "{sizes:?}: {} units live, {} under the original",
            ours.live_units,
            theirs.live_units
        );
    }
}

#[test]
fn the_limit_holds_and_is_reached_whatever_the_free_regions() {
    for max_allocs in [3, 4, 17, 100] {
        for seed in 0..10 {
            let sizes = Sizes::Uniform(1_000);
            churn_ours(1 << 20, max_allocs, sizes, seed);
            churn_original(1 << 20, max_allocs, sizes, seed);
        }
    }
}

#[test]
fn stale_blocks_panic_after_a_reset_under_both() {
    fn check<A: Interface>() {
        let mut allocator = A::with_max_allocs(1_000, 100);
        let block = allocator.allocate(10).unwrap();
        allocator.reset();
        let free = std::panic::AssertUnwindSafe(|| allocator.free(block));
        assert!(std::panic::catch_unwind(free).is_err());
    }
    check::<offset_allocator::Allocator>();
    check::<original::Allocator>();
}

#[test]
fn minimal_sizes_are_those_of_the_original() {
    let mut rng = Xoshiro256PlusPlus::seed_from_u64(1);
    let any = std::iter::repeat_with(|| rng.random::<u32>() >> rng.random_range(0..32));
    for size in (0..5_000).chain(any.take(10_000)).chain([15 << 28]) {
        let ours = offset_allocator::ext::min_allocator_size(size);
        if size <= 15 << 28 {
            let theirs = original::ext::min_allocator_size(size);
            assert_eq!(ours, theirs, "{size} units");
        } else {
            assert_eq!(ours, size);
        }
    }
}
