//! Contract of a pool on ordinary pages: tier, population, placement, and what a failure leaves behind.

use std::{num::NonZeroUsize, process::Command, time::Duration};

use mc_arena::{
    Backing, MemoryLock, NumaPolicy, PagePolicy, PageSize, PoolError, PoolOptions, Population,
    Tier, hugepage::Shortage,
};
use nix::sys::resource::{Resource, setrlimit};

use crate::support::{FakeRoot, MIB, is_any_mapping_of, is_mapped, mapped_bytes, warnings};

/// More than any machine has, less than the address space.
const HUGE_POOL_BYTES: u64 = 1 << 42;

fn base(bytes: usize) -> PoolOptions {
    PoolOptions::new(bytes as u64).pages(PagePolicy::Off)
}

/// Returns the error of a pool of `bytes`, a size no other test uses, after checking that nothing of
/// it stays mapped.
#[track_caller]
fn refused(options: &PoolOptions, bytes: usize) -> PoolError {
    let error = options.map().unwrap_err();
    assert!(!is_any_mapping_of(bytes), "left mapped after: {error}");
    error
}

#[test]
fn base_pages_are_resident_and_unmapped_on_drop() {
    // No other test maps a size near this one; an address alone may be taken again at once.
    let len = 37 * MIB + 4096;
    let pool = base(37 * MIB + 1).map().unwrap();
    assert_eq!((pool.tier(), pool.len()), (Tier::Base, len));
    assert_eq!(pool.residency(), None, "not looked up without being asked");
    let residency = pool.read_residency().unwrap();
    assert_eq!(
        (residency.kernel_page_bytes, residency.huge_bytes),
        (4096, 0)
    );
    assert_eq!(residency.resident_bytes, pool.len() as u64);
    assert!(is_mapped(pool.as_ptr().addr()) && is_mapped(pool.as_ptr().addr() + len - 1));
    drop(pool);
    assert!(!is_any_mapping_of(len));
}

#[test]
fn lazy_pool_is_not_resident() {
    let options = base(4 * MIB).population(Population::Lazy);
    assert_eq!(
        options
            .map()
            .unwrap()
            .read_residency()
            .unwrap()
            .resident_bytes,
        0
    );
}

#[test]
fn transparent_pages_are_verified_whatever_the_backing() {
    for backing in [Backing::Private, Backing::Shared] {
        let options = PoolOptions::new(5 << 20)
            .pages(PagePolicy::Transparent)
            .backing(backing);
        let pool = options.map().unwrap();
        assert_eq!(pool.as_ptr().addr() % (2 * MIB), 0);
        match pool.tier() {
            Tier::Transparent => assert!(pool.residency().unwrap().huge_bytes > 0),
            Tier::Base => assert!(matches!(
                pool.degradations(),
                [PoolError::TierNotObtained { .. }]
            )),
            tier => panic!("{tier}"),
        }
    }
}

#[test]
fn any_number_of_workers_populates_everything() {
    for workers in [1, 2, 3, 7] {
        let population = Population::Eager {
            workers: NonZeroUsize::new(workers),
            time_limit: None,
        };
        let pool = base(5 * MIB).population(population).map().unwrap();
        assert_eq!(
            pool.read_residency().unwrap().resident_bytes,
            5 * MIB as u64,
            "{workers} workers"
        );
    }
}

#[test]
fn placement_is_what_the_kernel_reports() {
    let policies = [
        NumaPolicy::Bind(vec![0]),
        NumaPolicy::Prefer(0),
        NumaPolicy::Interleave(vec![0]),
        NumaPolicy::Segmented(vec![0]),
    ];
    for policy in policies {
        let pool = base(2 * MIB).numa(policy.clone()).map().unwrap();
        assert_eq!(
            pool.read_residency().unwrap().node_bytes.get(&0),
            Some(&(2 * MIB as u64)),
            "{policy:?}"
        );
        assert_eq!(
            pool.segments().len(),
            usize::from(matches!(policy, NumaPolicy::Segmented(_)))
        );
    }
}

#[test]
fn locked_pool_stays_resident() {
    let pool = base(MIB).lock(MemoryLock::Locked).map();
    match pool {
        Ok(pool) => assert_eq!(pool.read_residency().unwrap().resident_bytes, MIB as u64),
        Err(error) => assert!(error.to_string().contains("RLIMIT_MEMLOCK"), "{error}"),
    }
}

#[test]
fn pool_is_aligned_as_asked() {
    let pool = base(MIB).align(1 << 30).map().unwrap();
    assert_eq!(pool.as_ptr().addr() % (1 << 30), 0);
}

#[test]
fn alignment_leaves_no_address_space_reserved() {
    // An aligned start is cut from a longer reservation, whose two ends together are as long as the
    // alignment; of eight reservations, what either end leaves adds up to far more than other tests map.
    const ALIGN: usize = 1 << 40;
    const OTHERS: usize = ALIGN / 16;
    let before = mapped_bytes();
    let options = base(MIB).align(ALIGN).population(Population::Lazy);
    let pools = [(); 8].map(|()| options.map().unwrap());
    assert!(mapped_bytes() < before + OTHERS);
    drop(pools);
    assert!(mapped_bytes() < before + OTHERS);
}

#[test]
fn impossible_options_are_refused() {
    assert!(matches!(base(0).map(), Err(PoolError::ZeroSize)));
    assert!(matches!(
        base(usize::MAX).map(),
        Err(PoolError::SizeOverflow { .. })
    ));
    assert!(matches!(
        base(1).align(3).map(),
        Err(PoolError::InvalidAlign { align: 3 })
    ));
    assert!(matches!(
        base(1).numa(NumaPolicy::Bind(vec![])).map(),
        Err(PoolError::NoNodes)
    ));
    assert!(matches!(
        base(1).numa(NumaPolicy::Prefer(1023)).map(),
        Err(PoolError::UnknownNode { node: 1023, .. })
    ));
    let odd = PoolOptions::new(1).pages(PagePolicy::Required(PageSize::Bytes(3 << 20)));
    assert!(matches!(
        odd.map(),
        Err(PoolError::InvalidPageSize {
            page_bytes: 0x30_0000
        })
    ));
}

#[test]
fn system_without_huge_pages_refuses_required_ones() {
    let root = FakeRoot::new();
    for size in [PageSize::Auto, PageSize::Bytes(2 << 20)] {
        let options = PoolOptions::new(71 << 20)
            .pages(PagePolicy::Required(size))
            .system_root(root.root());
        let error = refused(&options, 71 * MIB);
        assert!(
            matches!(error, PoolError::Hugepages(Shortage::NotOffered)),
            "{error:?}"
        );
        assert!(error.to_string().contains("turn huge pages off"), "{error}");
    }
}

/// One mapping, at an address that no pool is ever given.
const SMAPS_WITHOUT_POOLS: &str = "\
00001000-00002000 rw-p 00000000 00:00 0
Size:                  4 kB
KernelPageSize:        4 kB
MMUPageSize:           4 kB
Rss:                   0 kB
";

#[test]
fn system_without_huge_pages_degrades_preferred_ones_with_one_warning() {
    let root = FakeRoot::new();
    let options = PoolOptions::new(4 << 20)
        .pages(PagePolicy::Prefer(PageSize::Auto))
        .system_root(root.root());
    // A copy of the real smaps will not do: where another test had a mapping when it was taken, the
    // new pool may lie.
    root.write("/proc/self/smaps", SMAPS_WITHOUT_POOLS);
    assert!(matches!(options.map(), Err(PoolError::Unverifiable(_))));
    std::fs::remove_file(root.path("/proc/self/smaps")).unwrap();
    std::os::unix::fs::symlink("/proc/self/smaps", root.path("/proc/self/smaps")).unwrap();
    let (pool, warnings) = warnings(|| options.map().unwrap());
    assert!(matches!(pool.tier(), Tier::Transparent | Tier::Base));
    assert_eq!(warnings.len(), 1, "{warnings:?}");
    assert!(
        warnings[0].contains("the kernel offers no huge pages"),
        "{warnings:?}"
    );
}

#[test]
fn pool_larger_than_memory_is_refused() {
    let options = PoolOptions::new(HUGE_POOL_BYTES).pages(PagePolicy::Off);
    let error = refused(&options, 1 << 42);
    assert!(
        matches!(
            error,
            PoolError::ExceedsMemory {
                asked_bytes: HUGE_POOL_BYTES,
                ..
            }
        ),
        "{error:?}"
    );
    assert!(error.to_string().contains("ask for less"), "{error}");
}

#[test]
fn pool_larger_than_the_address_space_is_refused_by_the_kernel() {
    let options = PoolOptions::new(1 << 48)
        .pages(PagePolicy::Off)
        .population(Population::Lazy);
    let error = refused(&options, 1 << 48);
    assert!(matches!(error, PoolError::Map { .. }), "{error:?}");
    assert!(error.to_string().contains("ulimit -v"), "{error}");
}

#[test]
fn address_space_limit_is_named_in_the_error() {
    let output = Command::new(std::env::current_exe().unwrap())
        .args([
            "--ignored",
            "--exact",
            "pool::limited_process",
            "--nocapture",
            "--test-threads=1",
        ])
        .output()
        .unwrap();
    // A name that matches no test would succeed as well.
    let ran = String::from_utf8_lossy(&output.stdout).contains("1 passed");
    assert!(output.status.success() && ran, "{output:?}");
}

#[test]
#[ignore = "lowers the limits of its process; address_space_limit_is_named_in_the_error starts it"]
fn limited_process() {
    let limit = 4 << 30;
    setrlimit(Resource::RLIMIT_AS, limit, limit).unwrap();
    for pages in [PagePolicy::Off, PagePolicy::Transparent] {
        let options = PoolOptions::new(8 << 30).pages(pages);
        let error = refused(&options, 8 << 30);
        assert!(matches!(error, PoolError::Map { .. }), "{error:?}");
        assert!(error.to_string().contains("ulimit -v"), "{error}");
    }
    let shared = PoolOptions::new(8 << 30)
        .pages(PagePolicy::Off)
        .backing(Backing::Shared);
    assert!(matches!(refused(&shared, 8 << 30), PoolError::Map { .. }));
}

#[test]
fn kernel_files_without_the_expected_lines_are_named() {
    let root = FakeRoot::new();
    root.write("/proc/meminfo", "MemTotal: 1 kB\n");
    let error = refused(&base(81 * MIB).system_root(root.root()), 81 * MIB);
    assert!(
        error
            .to_string()
            .contains("/proc/meminfo has no usable `MemAvailable` line"),
        "{error}"
    );

    let root = FakeRoot::new();
    root.write("/proc/self/smaps", "");
    let transparent = PoolOptions::new(92 << 20).pages(PagePolicy::Transparent);
    let error = refused(&transparent.system_root(root.root()), 92 * MIB);
    assert!(
        error.to_string().contains("/proc/self/smaps has no usable"),
        "{error}"
    );
}

#[test]
fn cgroup_limit_refuses_before_anything_is_mapped() {
    let root = FakeRoot::new();
    let pages = "/sys/kernel/mm/hugepages/hugepages-2048kB";
    root.write(&format!("{pages}/nr_hugepages"), "64\n");
    root.write(&format!("{pages}/free_hugepages"), "64\n");
    root.write("/proc/self/cgroup", "4:hugetlb:/pod\n");
    root.write(
        "/proc/self/mountinfo",
        "31 24 0:28 / /cg rw - cgroup cgroup rw,hugetlb\n",
    );
    root.write("/cg/pod/hugetlb.2MB.limit_in_bytes", "33554432\n");
    root.write("/cg/pod/hugetlb.2MB.usage_in_bytes", "0\n");
    let required = PagePolicy::Required(PageSize::Bytes(2 << 20));
    let error = refused(
        &PoolOptions::new(101 << 20)
            .pages(required)
            .system_root(root.root()),
        101 * MIB,
    );
    assert!(
        matches!(
            error,
            PoolError::Hugepages(Shortage::CgroupLimit {
                left_bytes: 0x200_0000,
                ..
            })
        ),
        "{error:?}"
    );
    assert!(error.to_string().contains("hugetlb.2MB.max"), "{error}");
}

#[test]
fn time_limit_that_passes_leaves_nothing_mapped() {
    let population = Population::Eager {
        workers: NonZeroUsize::new(1),
        time_limit: Some(Duration::ZERO),
    };
    // One step of population is 16 MiB, so a smaller pool is complete when the clock is looked at.
    assert!(base(MIB).population(population).map().is_ok());
    let error = refused(&base(131 * MIB).population(population), 131 * MIB);
    assert!(
        matches!(
            error,
            PoolError::TimeLimit {
                populated_bytes: 0x100_0000,
                ..
            }
        ),
        "{error:?}"
    );
}

#[test]
fn a_time_limit_beyond_all_clocks_is_none() {
    let population = Population::Eager {
        workers: None,
        time_limit: Some(Duration::MAX),
    };
    let pool = base(4096).population(population).map().unwrap();
    assert_eq!(pool.ready_bytes(), 4096);
}

#[test]
fn a_pool_is_used_while_it_is_populated() {
    // Two windows of the population, so that the first is ready before the second.
    const POOL_BYTES: usize = 320 * MIB;
    let population = Population::Background { workers: None };
    let mut pool = base(POOL_BYTES).population(population).map().unwrap();
    pool.as_mut_slice()[POOL_BYTES - 1] = 7;
    let mut before = 0;
    while pool.ready_bytes() < POOL_BYTES {
        assert!(pool.ready_bytes() >= before, "what is ready stays ready");
        before = pool.ready_bytes();
        std::thread::yield_now();
    }
    pool.wait_populated().unwrap();
    let residency = pool.read_residency().unwrap();
    assert_eq!(residency.resident_bytes, POOL_BYTES as u64);
    assert_eq!(
        pool.as_mut_slice()[POOL_BYTES - 1],
        7,
        "populating keeps what is there"
    );
}

#[test]
fn a_pool_that_is_dropped_while_it_is_populated_is_unmapped() {
    let len = 296 * MIB + 4096;
    let population = Population::Background {
        workers: NonZeroUsize::new(2),
    };
    let start = std::time::Instant::now();
    let pool = base(len).population(population).map().unwrap();
    assert!(pool.ready_bytes() < len || start.elapsed() > Duration::from_millis(20));
    drop(pool);
    assert!(!is_any_mapping_of(len));
}

#[test]
fn ready_bytes_are_those_of_the_population() {
    assert_eq!(base(MIB).map().unwrap().ready_bytes(), MIB);
    let lazy = base(MIB).population(Population::Lazy).map().unwrap();
    assert_eq!(lazy.ready_bytes(), 0);
    lazy.wait_populated().unwrap();
}

#[test]
fn a_range_is_populated_in_whole_pages() {
    let mut pool = base(4 * MIB).population(Population::Lazy).map().unwrap();
    pool.as_mut_slice()[MIB] = 9;
    pool.populate(MIB..MIB + 1).unwrap();
    assert_eq!(pool.read_residency().unwrap().resident_bytes, 4096);
    pool.populate(MIB - 1..2 * MIB + 1).unwrap();
    let expected = MIB as u64 + 2 * 4096;
    assert_eq!(pool.read_residency().unwrap().resident_bytes, expected);
    assert_eq!(pool.as_mut_slice()[MIB], 9);
    pool.populate(5..5).unwrap();
    for range in [0..4 * MIB + 1, MIB..4 * MIB + 4096] {
        let error = pool.populate(range).unwrap_err();
        assert!(matches!(error, PoolError::OutOfRange { .. }), "{error}");
    }
    pool.populate(0..4 * MIB).unwrap();
    assert_eq!(
        pool.read_residency().unwrap().resident_bytes,
        4 * MIB as u64
    );
}

#[test]
fn a_range_beyond_the_limits_is_not_populated() {
    let root = FakeRoot::new();
    let pool = base(4 * MIB)
        .population(Population::Lazy)
        .system_root(root.root())
        .map()
        .unwrap();
    pool.populate(0..MIB).unwrap();
    root.write("/proc/meminfo", "MemAvailable: 1024 kB\n");
    pool.populate(0..MIB).unwrap();
    let error = pool.populate(0..4 * MIB).unwrap_err();
    let PoolError::ExceedsMemory {
        asked_bytes,
        available_bytes,
        ..
    } = error
    else {
        panic!("{error}")
    };
    assert_eq!((asked_bytes, available_bytes), (3 * MIB as u64, MIB as u64));
}

#[test]
fn bytes_of_nodes_add_up_to_the_pool() {
    // Pools of one kind lie side by side; each counts its own bytes only.
    let pools = [3, 5, 7].map(|pages| base(pages * 4096).map().unwrap());
    for pool in &pools {
        let nodes = pool.read_residency().unwrap().node_bytes;
        assert_eq!(nodes.values().sum::<u64>(), pool.len() as u64);
    }
}

#[test]
fn transparent_pages_do_not_round_the_pool_up() {
    let pool = PoolOptions::new((2 << 20) + 1)
        .pages(PagePolicy::Transparent)
        .map()
        .unwrap();
    assert_eq!((pool.len(), pool.page_bytes()), (2 * MIB + 4096, 4096));
    let small = PoolOptions::new(1 << 20)
        .pages(PagePolicy::Transparent)
        .map()
        .unwrap();
    assert_eq!((small.tier(), small.len()), (Tier::Base, MIB));
    assert!(matches!(small.degradations(), [PoolError::TooSmall { .. }]));
}

#[cfg(feature = "serde")]
#[test]
fn policies_survive_being_written_down() {
    let policies = (
        PagePolicy::Prefer(PageSize::Bytes(2 << 20)),
        Population::Eager {
            workers: NonZeroUsize::new(3),
            time_limit: Some(Duration::from_secs(1)),
        },
        NumaPolicy::Segmented(vec![1, 0]),
        Backing::Shared,
        MemoryLock::Locked,
    );
    let text = serde_json::to_string(&policies).unwrap();
    assert_eq!(
        serde_json::from_str::<(PagePolicy, Population, NumaPolicy, Backing, MemoryLock)>(&text)
            .unwrap(),
        policies
    );
}

#[test]
fn more_workers_than_any_machine_has_populate_a_pool_too() {
    let workers = NonZeroUsize::new(usize::MAX);
    let time_limit = None;
    for population in [
        Population::Eager {
            workers,
            time_limit,
        },
        Population::Background { workers },
    ] {
        let options = PoolOptions::new(1 << 20).pages(PagePolicy::Off);
        let pool = options.population(population).map().unwrap();
        pool.wait_populated().unwrap();
        assert_eq!(pool.ready_bytes(), pool.len(), "{population}");
    }
}
