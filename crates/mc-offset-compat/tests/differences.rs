//! Where this crate succeeds or tells more, and the original does not: what
//! the crate's documentation lists, held against both.

use std::{
    panic::{AssertUnwindSafe, catch_unwind},
    time::{Duration, Instant},
};

type Ours = offset_allocator::Allocator;
type Original = original::Allocator;

/// Returns what a call panics with, if it does.
fn panic_message<R>(call: impl FnOnce() -> R) -> Option<String> {
    let payload = catch_unwind(AssertUnwindSafe(call)).err()?;
    let text = payload.downcast_ref::<&str>().map(ToString::to_string);
    text.or_else(|| payload.downcast_ref().cloned())
}

#[test]
fn a_request_that_fits_is_served() {
    let (mut ours, mut original) = (Ours::new(699_050), Original::new(699_050));
    assert!(original.allocate(664_908).is_none());
    assert_eq!(ours.allocate(664_908).unwrap().offset, 0);
    assert_eq!(ours.allocate(34_142).unwrap().offset, 664_908);
}

#[test]
fn requests_may_have_up_to_all_units_of_a_u32() {
    let (mut ours, mut original) = (Ours::new(u32::MAX), Original::new(u32::MAX));
    assert!(original.allocate((15 << 28) + 1).is_none());
    assert_eq!(ours.storage_report().largest_free_region, u32::MAX);
    assert!(ours.allocate(u32::MAX).is_some());
}

#[test]
fn free_regions_do_not_count_against_the_limit() {
    let mut ours = Ours::with_max_allocs(1000, 8);
    let mut original = Original::with_max_allocs(1000, 8);
    let blocks: Vec<_> = (0..6).map(|_| ours.allocate(10).unwrap()).collect();
    let others: Vec<_> = (0..6).map(|_| original.allocate(10).unwrap()).collect();
    ours.free(blocks[2]);
    original.free(others[2]);
    assert!(original.allocate(10).is_none());
    assert_eq!(original.storage_report().total_free_space, 0);
    assert_eq!(ours.storage_report().total_free_space, 950);
    assert_eq!(ours.allocate(10).unwrap().offset, 20);
}

#[test]
fn nothing_fits_even_where_nothing_is_free() {
    let (mut ours, mut original) = (Ours::new(10), Original::new(10));
    assert!(ours.allocate(10).is_some() && original.allocate(10).is_some());
    assert!(original.allocate(0).is_none());
    let empty = ours.allocate(0).unwrap();
    assert_eq!((empty.offset, ours.allocation_size(empty)), (0, 0));
    ours.free(empty);
}

#[test]
fn regions_without_units_are_not_counted() {
    let regions = original::Allocator::<u32>::new(0)
        .storage_report_full()
        .free_regions;
    assert_eq!(regions[0].count, 1);
    let regions = Ours::new(0).storage_report_full().free_regions;
    assert!(regions.iter().all(|region| region.count == 0));
}

#[test]
fn an_allocation_carries_its_proof() {
    assert_eq!(size_of::<original::Allocation>(), 8);
    assert_eq!(size_of::<offset_allocator::Allocation>(), 24);
}

#[test]
fn u16_has_a_default_limit() {
    assert!(panic_message(|| original::Allocator::<u16>::new(100)).is_some());
    let mut ours = offset_allocator::Allocator::<u16>::new(65_535);
    assert_eq!(std::iter::from_fn(|| ours.allocate(1)).count(), 65_531);
}

#[test]
fn the_largest_region_is_exact() {
    assert_eq!(
        Original::new(1000).storage_report().largest_free_region,
        960
    );
    assert_eq!(Ours::new(1000).storage_report().largest_free_region, 1000);
}

#[test]
fn a_stale_block_never_frees_another() {
    let (mut ours, mut original) = (Ours::new(1000), Original::new(1000));
    let stale = ours.allocate(10).unwrap();
    ours.free(stale);
    let next = ours.allocate(10).unwrap();
    let message = panic_message(|| ours.free(stale)).unwrap();
    assert_eq!(
        message,
        "the allocation at 0 was freed before, or is another allocator's"
    );
    assert_eq!(
        (ours.allocation_size(stale), ours.allocation_size(next)),
        (0, 10)
    );

    let stale = original.allocate(10).unwrap();
    let _behind = original.allocate(10).unwrap();
    original.free(stale);
    let next = original.allocate(10).unwrap();
    original.free(stale);
    assert!(panic_message(|| original.free(next)).is_some());
}

#[test]
fn a_block_of_another_allocator_panics() {
    let (mut ours, mut other) = (Ours::new(1000), Ours::new(1000));
    let foreign = other.allocate(20).unwrap();
    assert!(ours.allocate(10).is_some());
    let message = panic_message(|| ours.free(foreign)).unwrap();
    assert_eq!(
        message,
        "the allocation at 0 was freed before, or is another allocator's"
    );
    assert_eq!(ours.storage_report().total_free_space, 990);
}

#[test]
fn panics_of_limits_name_what_is_accepted() {
    let message = panic_message(|| Ours::with_max_allocs(1000, 1)).unwrap();
    assert_eq!(
        message,
        "max_allocs is 1; with this index type it can be 2 to 4294967293"
    );
}

/// Returns the least time of some calls of `storage_report` beside so many free
/// regions, whose sizes differ within a bin and of which the largest is gone.
fn report_time(regions: u32) -> Duration {
    let mut allocator = Ours::with_max_allocs(u32::MAX, 4 * regions);
    let blocks: Vec<_> = (0..2 * regions)
        .map(|block| allocator.allocate(8192 + block % 200).expect("all fit"))
        .collect();
    let _rest = allocator.allocate(allocator.storage_report().largest_free_region);
    let mut least = Duration::MAX;
    for block in blocks.into_iter().step_by(2) {
        allocator.free(block);
    }
    for _ in 0..300 {
        // The largest region goes and comes, so that nothing is known of it.
        let largest = allocator.storage_report().largest_free_region;
        let block = allocator.allocate(largest).expect("it fits");
        let start = Instant::now();
        let report = allocator.storage_report();
        least = least.min(start.elapsed());
        assert!(report.largest_free_region <= largest);
        allocator.free(block);
    }
    least
}

#[test]
fn a_storage_report_takes_as_long_whatever_lies_in_a_bin() {
    let [few, many] = [1_000, 64_000].map(report_time);
    // Reading all regions of the bin would take 64 times as long.
    assert!(
        many < 12 * few.max(Duration::from_nanos(50)),
        "{few:?}, {many:?}"
    );
}
