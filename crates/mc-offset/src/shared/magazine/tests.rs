//! The claims of `magazine`, each by itself.

use alloc::{boxed::Box, collections::BTreeSet, vec::Vec};

use super::*;

/// The flag of the magazines below.
const OWN: usize = 3;

fn block(size: u64, node: u32) -> Allocation {
    Allocation::new(u64::from(node) * size, size, 4, node)
}

fn flags() -> &'static Flags {
    let flags = Box::leak(Box::new(Flags::new()));
    flags.set_keeping(true);
    flags
}

/// Returns a magazine with a shelf for each of the sizes.
fn with_shelves(sizes: &[u64]) -> Magazine {
    let magazine = Magazine::new(flags(), OWN);
    for &size in sizes {
        magazine.adopt(size, |blocks| assert_eq!(blocks.count(), 0));
    }
    magazine
}

fn kept(magazine: &Magazine) -> (u64, u64) {
    let kept = magazine.most_kept(|size| size).unwrap();
    (kept.blocks, kept.bytes)
}

#[test]
fn a_magazine_counts_what_it_keeps() {
    let magazine = with_shelves(&[10, 20]);
    assert_eq!(kept(&magazine), (0, 0));
    for (node, size) in [(1, 10), (2, 10), (3, 20)] {
        assert_eq!(magazine.put(block(size, node)), Put::Kept);
    }
    assert_eq!(kept(&magazine), (3, 40));
    let before = magazine.puts();
    assert_eq!(magazine.take(10, 1), Some(block(10, 2)));
    assert_eq!(magazine.take(20, 1), Some(block(20, 3)));
    assert_eq!(magazine.puts(), before);
    assert_eq!(kept(&magazine), (1, 10));
    assert_eq!(magazine.put(block(20, 3)), Put::Kept);
    assert_ne!(magazine.puts(), before);
}

#[test]
fn a_magazine_that_is_empty_says_what_was_put_in() {
    let magazine = with_shelves(&[10, 20]);
    assert_eq!(magazine.puts_if_empty(), magazine.puts());
    for (node, size) in [(1, 10), (2, 20)] {
        assert_eq!(magazine.put(block(size, node)), Put::Kept);
        assert_eq!(magazine.puts_if_empty(), None);
        assert_eq!(magazine.take(size, 1), Some(block(size, node)));
        assert_ne!(magazine.puts(), None);
        assert_eq!(magazine.puts_if_empty(), magazine.puts());
    }
    let drain = magazine.drain();
    assert_eq!(magazine.puts_if_empty(), None, "it is occupied");
    drop(drain);
}

#[test]
fn a_drain_meets_every_block_and_lowers_the_flag() {
    let magazine = with_shelves(&[10, 20]);
    let blocks = [block(10, 1), block(10, 2), block(20, 3)];
    for block in blocks {
        assert_eq!(magazine.put(block), Put::Kept);
    }
    assert_eq!(
        magazine.flags.snapshot().raised().collect::<Vec<_>>(),
        [OWN]
    );
    let drain = magazine.drain();
    assert_eq!(drain.blocks().collect::<Vec<_>>(), blocks);
    assert_eq!(magazine.take(10, 1), None, "it is occupied");
    assert_eq!(magazine.put(block(20, 4)), Put::Declined, "it is occupied");
    assert_eq!(magazine.most_kept(|size| size), None, "it is occupied");
    drain.finish();
    drop(drain);
    assert!(magazine.flags.snapshot().is_clear());
    assert_eq!(kept(&magazine), (0, 0));
    assert_eq!(magazine.take(10, 1), None);
    assert_eq!(magazine.put(block(20, 4)), Put::Kept);
    magazine.drain().finish_for_good();
    assert!(magazine.flags.snapshot().is_clear());
    assert_eq!(magazine.put(block(20, 4)), Put::Declined);
}

#[test]
fn nothing_is_kept_while_nothing_should_be() {
    let magazine = with_shelves(&[10]);
    magazine.flags.set_keeping(false);
    assert_eq!(magazine.put(block(10, 1)), Put::Declined);
    magazine.flags.set_keeping(true);
    assert_eq!(magazine.put(block(10, 1)), Put::Kept);
}

#[test]
fn a_full_shelf_gives_back_what_it_has_kept_longest() {
    let magazine = with_shelves(&[10]);
    let blocks: Vec<_> = (1..).take(SHELF_LEN).map(|node| block(10, node)).collect();
    for &block in &blocks {
        assert_eq!(magazine.put(block), Put::Kept);
    }
    let last = block(10, 1000);
    assert_eq!(magazine.put(last), Put::Full);
    let mut freed = Vec::new();
    magazine.spill(last, |block| freed.push(block));
    assert_eq!(freed, blocks[..SPILL_LEN]);
    let rest = blocks[SPILL_LEN..].iter().chain([&last]);
    assert!(magazine.drain().blocks().eq(rest.copied()));
}

#[test]
fn a_magazine_takes_over_what_another_keeps_of_a_size() {
    let [one, other] = [(); 2].map(|()| with_shelves(&[10, 20]));
    for (node, size) in [(1, 10), (2, 20), (3, 10)] {
        assert_eq!(other.put(block(size, node)), Put::Kept);
    }
    one.take_over(&other, 30);
    assert_eq!(kept(&one), (0, 0));
    one.take_over(&other, 10);
    assert_eq!((kept(&one), kept(&other)), ((2, 20), (1, 20)));
    assert_eq!(one.flags.snapshot().raised().collect::<Vec<_>>(), [OWN]);
    let drain = other.drain();
    one.take_over(&other, 20);
    drop(drain);
    assert_eq!(kept(&one), (2, 20), "it was occupied");
}

#[test]
fn sizes_with_one_mark_have_a_shelf_each() {
    // The mark of a shelf without a size is among them.
    let alike = || (1..).filter(|&size| mark(size) == mark(0)).take(SIZES);
    let magazine = with_shelves(&alike().collect::<Vec<_>>());
    for size in alike() {
        assert_eq!(magazine.put(block(size, 1)), Put::Kept, "{size} bytes");
    }
    for count in 1..=2 {
        let magazine = with_shelves(&alike().take(count).collect::<Vec<_>>());
        for (at, size) in alike().enumerate() {
            assert_eq!(magazine.is_for(size), at < count, "{size} bytes");
        }
    }
}

#[test]
fn marks_of_sizes_at_common_steps_mostly_differ() {
    for step in [1, 100, 4096, 1 << 20] {
        let marks: BTreeSet<u64> = (1..=64).map(|number| mark(number * step)).collect();
        assert!(marks.iter().all(|mark| mark.is_power_of_two()));
        assert!(marks.len() > 32, "{} marks of 64 sizes", marks.len());
    }
}
