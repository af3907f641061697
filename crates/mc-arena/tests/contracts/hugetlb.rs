//! Contract of reserved huge pages: obtained, verified, given back, and never replaced when required.
//!
//! Tests that need pages reserve them when they may; otherwise they say in one line that they did not
//! run, which `MC_REQUIRE_HUGEPAGE_TESTS=1` turns into a failure.

use mc_arena::{
    Arena, Backing, MemoryLock, NumaPolicy, PagePolicy, PageSize, PoolError, PoolOptions,
    Population, Tier, hugepage::Shortage,
};

use crate::support::{MIB, ReservedPages, available_pages, check_given_back, warnings};

const PAGE_BYTES: u64 = 2 << 20;
const TWO_MIB: PageSize = PageSize::Bytes(PAGE_BYTES);
const HUGETLB: Tier = Tier::Hugetlb {
    page_bytes: PAGE_BYTES,
};

fn required(bytes: usize) -> PoolOptions {
    PoolOptions::new(bytes as u64).pages(PagePolicy::Required(TWO_MIB))
}

#[track_caller]
fn check_obtained(options: &PoolOptions, pages: u64) {
    let Some(_reserved) = ReservedPages::reserve(pages) else {
        return;
    };
    let pool = options.map().unwrap();
    assert_eq!(pool.tier(), HUGETLB);
    assert_eq!(pool.as_ptr().addr() % (2 * MIB), 0);
    let residency = pool.residency().unwrap();
    assert_eq!(residency.kernel_page_bytes, PAGE_BYTES);
    assert_eq!(residency.resident_bytes, pool.len() as u64);
    assert_eq!(
        residency.node_bytes.values().sum::<u64>(),
        pool.len() as u64
    );
    assert_eq!(available_pages(), pages - pool.len() as u64 / PAGE_BYTES);
    drop(pool);
    check_given_back(pages);
}

#[test]
fn private_pool_is_rounded_to_whole_pages() {
    check_obtained(&required(3 * MIB), 4);
}

#[test]
fn shared_pool_uses_reserved_pages() {
    check_obtained(&required(4 * MIB).backing(Backing::Shared), 4);
}

#[test]
fn aligned_pool_uses_reserved_pages() {
    check_obtained(&required(2 * MIB).align(8 * MIB), 2);
}

#[test]
fn locked_pool_on_a_node_uses_reserved_pages() {
    let options = required(4 * MIB)
        .numa(NumaPolicy::Bind(vec![0]))
        .lock(MemoryLock::Locked);
    check_obtained(&options, 2);
    check_obtained(&required(4 * MIB).numa(NumaPolicy::Segmented(vec![0])), 2);
}

#[test]
fn automatic_size_finds_the_reserved_pages() {
    check_obtained(
        &PoolOptions::new(4 << 20).pages(PagePolicy::Prefer(PageSize::Auto)),
        2,
    );
}

#[test]
fn lazy_pool_reserves_without_residing() {
    let Some(_reserved) = ReservedPages::reserve(2) else {
        return;
    };
    let pool = required(4 * MIB)
        .population(Population::Lazy)
        .map()
        .unwrap();
    assert_eq!(
        (pool.tier(), pool.residency().unwrap().resident_bytes),
        (HUGETLB, 0)
    );
    assert_eq!(available_pages(), 0, "the kernel has promised the pages");
    let mut arena = Arena::new(pool).unwrap();
    arena.allocate(4 * MIB).unwrap().fill(7);
    arena.reset();
    assert!(
        arena
            .allocate(4 * MIB)
            .unwrap()
            .iter()
            .all(|&byte| byte == 0)
    );
}

#[test]
fn required_pages_that_are_missing_are_an_error_with_the_remedy() {
    let Some(_reserved) = ReservedPages::reserve(1) else {
        return;
    };
    let error = required(6 * MIB).map().unwrap_err();
    let PoolError::Hugepages(Shortage::TooFewPages {
        asked_pages,
        left_pages,
        remedy,
        ..
    }) = &error
    else {
        panic!("{error:?}")
    };
    assert_eq!((*asked_pages, *left_pages), (3, 1));
    assert!(
        error.to_string().contains(&format!(
            "sysctl -w vm.nr_hugepages={}",
            remedy.configured_pages
        )),
        "{error}"
    );
    check_given_back(1);
}

#[test]
fn preferred_pages_that_are_missing_degrade_with_one_warning() {
    let Some(_reserved) = ReservedPages::reserve(1) else {
        return;
    };
    let (pool, warnings) = warnings(|| {
        PoolOptions::new(8 << 20)
            .pages(PagePolicy::Prefer(TWO_MIB))
            .map()
            .unwrap()
    });
    assert_ne!(pool.tier(), HUGETLB);
    assert_eq!(warnings.len(), 1, "{warnings:?}");
    assert!(
        warnings[0].contains("4 huge pages of 2097152 bytes asked for, 1 are"),
        "{warnings:?}"
    );
    assert!(!pool.degradations().is_empty());
}
