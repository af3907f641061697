//! Contract when the kernel refuses: each system call of a pool fails in turn, really refused by a filter.
//!
//! Claims: the error names what was refused and what to do, or the pool does without and says so; nothing
//! stays mapped or open; the next attempt, without the filter, gets its pool.

use std::{
    collections::BTreeMap,
    fs,
    num::{NonZeroU64, NonZeroUsize},
    sync::atomic::{AtomicBool, Ordering},
    thread,
};

use mc_arena::{
    Arena, ArenaConfig, Backing, BufferError, MemoryLock, NumaPolicy, PagePolicy, PageSize,
    PoolError, PoolOptions, Population, Tier, buffers::Buffers, config::ArenaMode,
};
use nix::{
    libc,
    sys::mman::{self, MapFlags, MsFlags, ProtFlags},
};
use seccompiler::{
    BpfProgram, SeccompAction, SeccompCmpArgLen::Qword, SeccompCmpOp, SeccompCondition,
    SeccompFilter, SeccompRule,
};

use crate::support::{
    FakeRoot, MIB, available_pages, exit_code_of_child, is_any_mapping_of, is_mapped, warnings,
};

/// A system call, and the arguments that single one use of it out.
struct Call {
    number: i64,
    arguments: Vec<(u8, SeccompCmpOp, u64)>,
}

fn call(number: i64) -> Call {
    Call {
        number,
        arguments: Vec::new(),
    }
}

impl Call {
    /// Only calls whose argument at `index` is `value`.
    fn with(mut self, index: u8, value: u64) -> Self {
        self.arguments.push((index, SeccompCmpOp::Eq, value));
        self
    }

    /// Only calls whose argument at `index` has all bits of `flags`.
    fn with_flags(mut self, index: u8, flags: i32) -> Self {
        let flags = u64::from(flags.unsigned_abs());
        self.arguments
            .push((index, SeccompCmpOp::MaskedEq(flags), flags));
        self
    }

    /// Only calls about something; used where calls about nothing ask what the kernel can do.
    fn about_bytes(mut self) -> Self {
        self.arguments.push((1, SeccompCmpOp::Ne, 0));
        self
    }
}

/// `madvise` with this advice.
fn advice(advice: i32) -> Call {
    call(libc::SYS_madvise).with(2, u64::from(advice.unsigned_abs()))
}

/// Runs `body` on a thread of its own, to which, and to whose own threads, the kernel answers every call
/// of `refused` with `errno`.
fn without<T: Send>(refused: Vec<Call>, errno: i32, body: impl FnOnce() -> T + Send) -> T {
    let mut rules: BTreeMap<i64, Vec<SeccompRule>> = BTreeMap::new();
    for call in refused {
        let conditions = call.arguments.into_iter().map(|(index, operator, value)| {
            SeccompCondition::new(index, Qword, operator, value).unwrap()
        });
        let conditions: Vec<_> = conditions.collect();
        let of_number = rules.entry(call.number).or_default();
        if !conditions.is_empty() {
            of_number.push(SeccompRule::new(conditions).unwrap());
        }
    }
    let filter = SeccompFilter::new(
        rules,
        SeccompAction::Allow,
        SeccompAction::Errno(errno.unsigned_abs()),
        std::env::consts::ARCH.try_into().unwrap(),
    );
    let program: BpfProgram = filter.unwrap().try_into().unwrap();
    let filtered = move || {
        seccompiler::apply_filter(&program).unwrap();
        body()
    };
    thread::scope(|scope| scope.spawn(filtered).join())
        .unwrap_or_else(|panic| std::panic::resume_unwind(panic))
}

/// A pool that takes no memory before it is written to.
fn lazy(bytes: usize) -> PoolOptions {
    PoolOptions::new(bytes as u64)
        .pages(PagePolicy::Off)
        .population(Population::Lazy)
}

fn eager(bytes: usize, workers: usize) -> PoolOptions {
    lazy(bytes).population(Population::Eager {
        workers: NonZeroUsize::new(workers),
        time_limit: None,
    })
}

/// Says whether this process has a file of `bytes` open.
fn is_any_file_of(bytes: usize) -> bool {
    let descriptors = fs::read_dir("/proc/self/fd").unwrap();
    let len = |entry: std::io::Result<fs::DirEntry>| fs::metadata(entry.ok()?.path()).ok();
    descriptors
        .filter_map(len)
        .any(|metadata| metadata.len() == bytes as u64)
}

/// Returns the error of a pool of `bytes`, a size no other test uses, while `refused` is; checks that it
/// says `advised`, that nothing is left, and that the next attempt succeeds.
#[track_caller]
fn check_refused(
    options: &PoolOptions,
    bytes: usize,
    refused: Call,
    errno: i32,
    advised: &str,
) -> PoolError {
    let error = without(vec![refused], errno, || options.map().unwrap_err());
    assert!(error.to_string().contains(advised), "{error}");
    assert!(!is_any_mapping_of(bytes), "left mapped after: {error}");
    assert!(!is_any_file_of(bytes), "left open after: {error}");
    let pool = options.map().unwrap();
    let address = pool.as_ptr().addr();
    assert!(is_mapped(address));
    drop(pool);
    assert!(!is_any_mapping_of(bytes));
    error
}

#[test]
fn refused_mappings_leave_nothing_behind() {
    let len = 146 * MIB + 4096;
    // The reservation that an aligned start is cut from, and the mapping over part of it.
    for mapped_bytes in [len + 4096, len] {
        let mmap = call(libc::SYS_mmap).with(1, mapped_bytes as u64);
        let error = check_refused(&lazy(len), len, mmap, libc::ENOMEM, "vm.max_map_count");
        assert!(matches!(error, PoolError::Map { .. }), "{error:?}");
    }
}

#[test]
fn refused_advice_is_named() {
    let len = 156 * MIB + 4096;
    for (refused, name) in [
        (libc::MADV_DONTFORK, "MADV_DONTFORK"),
        (libc::MADV_DONTDUMP, "MADV_DONTDUMP"),
    ] {
        let error = check_refused(&lazy(len), len, advice(refused), libc::EINVAL, name);
        assert!(matches!(error, PoolError::Advise { .. }), "{error:?}");
    }
}

#[test]
fn refused_transparent_pages_degrade_with_a_warning() {
    let options = PoolOptions::new(12 << 20).pages(PagePolicy::Transparent);
    let refused = vec![advice(libc::MADV_HUGEPAGE)];
    let (pool, warnings) = without(refused, libc::EINVAL, || {
        warnings(|| options.map().unwrap())
    });
    assert_eq!(pool.tier(), Tier::Base);
    assert!(matches!(
        pool.degradations(),
        [PoolError::Transparent { .. }]
    ));
    assert!(warnings[0].contains("PR_SET_THP_DISABLE"), "{warnings:?}");
}

#[test]
fn base_pages_do_without_advice_about_huge_ones() {
    let refused = vec![advice(libc::MADV_NOHUGEPAGE)];
    let pool = without(refused, libc::EINVAL, || lazy(MIB).map().unwrap());
    assert_eq!(pool.tier(), Tier::Base);
}

#[test]
fn refused_population_leaves_nothing_behind() {
    let len = 166 * MIB + 4096;
    let populate = advice(libc::MADV_POPULATE_WRITE).about_bytes();
    let error = check_refused(&eager(len, 1), len, populate, libc::ENOMEM, "ask for less");
    assert!(matches!(error, PoolError::Populate { .. }), "{error:?}");
}

#[test]
fn kernels_without_populating_advice_get_every_page_touched() {
    let refused = vec![advice(libc::MADV_POPULATE_WRITE)];
    let pool = without(refused, libc::EINVAL, || eager(5 * MIB, 2).map().unwrap());
    let residency = pool.read_residency().unwrap();
    assert_eq!(residency.resident_bytes, 5 * MIB as u64);
}

#[test]
fn refused_threads_leave_nothing_behind() {
    let len = 176 * MIB + 4096;
    let options = eager(len, 3);
    let refused = vec![call(libc::SYS_clone), call(libc::SYS_clone3)];
    let error = without(refused, libc::EAGAIN, || options.map().unwrap_err());
    assert!(
        matches!(error, PoolError::Worker { worker: 0, .. }),
        "{error:?}"
    );
    assert!(error.to_string().contains("ulimit -u"), "{error}");
    assert!(!is_any_mapping_of(len));
}

#[test]
fn refused_cpus_are_no_reason_to_refuse_a_pool() {
    let refused = vec![call(libc::SYS_sched_setaffinity)];
    let options = eager(5 * MIB, 2);
    let pool = without(refused, libc::EPERM, || options.map().unwrap());
    let residency = pool.read_residency().unwrap();
    assert_eq!(residency.resident_bytes, 5 * MIB as u64);
}

#[test]
fn refused_memory_policies_name_the_nodes() {
    let len = 186 * MIB + 4096;
    for policy in [
        NumaPolicy::Bind(vec![0]),
        NumaPolicy::Prefer(0),
        NumaPolicy::Interleave(vec![0]),
        NumaPolicy::Segmented(vec![0]),
    ] {
        let options = lazy(len).numa(policy);
        let mbind = call(libc::SYS_mbind);
        let error = check_refused(&options, len, mbind, libc::EPERM, "Mems_allowed");
        let PoolError::Bind { nodes, .. } = &error else {
            panic!("{error:?}")
        };
        assert_eq!(*nodes, [0]);
    }
}

#[test]
fn refused_locking_leaves_nothing_behind() {
    let len = 226 * MIB + 4096;
    let options = lazy(len).lock(MemoryLock::Locked);
    let refused = vec![call(libc::SYS_mlock)];
    let error = without(refused, libc::ENOMEM, || options.map().unwrap_err());
    assert!(matches!(error, PoolError::Lock { .. }), "{error:?}");
    assert!(error.to_string().contains("RLIMIT_MEMLOCK"), "{error}");
    assert!(!is_any_mapping_of(len));
}

#[test]
fn refused_memory_files_are_neither_mapped_nor_left_open() {
    let len = 196 * MIB + 4096;
    let options = lazy(len).backing(Backing::Shared);
    let file_steps = [
        (call(libc::SYS_memfd_create), "refused"),
        (call(libc::SYS_ftruncate), "at ftruncate"),
        (
            call(libc::SYS_mmap).with(1, len as u64),
            "address-space limit",
        ),
        (
            call(libc::SYS_fcntl).with(1, u64::from(libc::F_ADD_SEALS.unsigned_abs())),
            "at sealing",
        ),
    ];
    for (refused, advised) in file_steps {
        let error = check_refused(&options, len, refused, libc::ENOMEM, advised);
        let is_named = matches!(error, PoolError::Map { .. } | PoolError::MemoryFile { .. });
        assert!(is_named, "{error:?}");
    }
}

/// A system that claims to have huge pages to give.
fn with_huge_pages() -> FakeRoot {
    let root = FakeRoot::new();
    let pages = "/sys/kernel/mm/hugepages/hugepages-2048kB";
    root.write(&format!("{pages}/nr_hugepages"), "1048576\n");
    root.write(&format!("{pages}/free_hugepages"), "1048576\n");
    root
}

#[test]
fn refused_huge_pages_are_an_error_where_required_and_a_degradation_where_preferred() {
    let root = with_huge_pages();
    let two_mib = PageSize::Bytes(2 << 20);
    let huge = || vec![call(libc::SYS_mmap).with_flags(3, libc::MAP_HUGETLB)];
    let required = PoolOptions::new(206 << 20)
        .pages(PagePolicy::Required(two_mib))
        .population(Population::Lazy)
        .system_root(root.root());
    let error = without(huge(), libc::ENOMEM, || required.map().unwrap_err());
    assert!(
        matches!(
            error,
            PoolError::Map {
                tier: Tier::Hugetlb { .. },
                ..
            }
        ),
        "{error:?}"
    );
    assert!(!is_any_mapping_of(206 * MIB));

    fs::remove_file(root.path("/proc/self/smaps")).unwrap();
    std::os::unix::fs::symlink("/proc/self/smaps", root.path("/proc/self/smaps")).unwrap();
    let preferred = PoolOptions::new(206 << 20)
        .pages(PagePolicy::Prefer(two_mib))
        .population(Population::Lazy)
        .system_root(root.root());
    let (pool, warnings) = without(huge(), libc::ENOMEM, || {
        warnings(|| preferred.map().unwrap())
    });
    assert!(matches!(pool.tier(), Tier::Transparent | Tier::Base));
    assert!(
        matches!(pool.degradations()[0], PoolError::Map { .. }),
        "{:?}",
        pool.degradations()
    );
    assert_eq!(warnings.len(), 1, "{warnings:?}");
}

#[test]
fn a_mapping_that_fails_unmaps_nothing_of_other_threads() {
    // Pages that are promised and not there: the kernel finds out when it has made room for the mapping.
    let root = with_huge_pages();
    let len = (usize::try_from(available_pages()).unwrap() + 512) * 2 * MIB;
    let options = PoolOptions::new(len as u64)
        .pages(PagePolicy::Required(PageSize::Bytes(2 << 20)))
        .population(Population::Lazy)
        .align(4 * MIB)
        .system_root(root.root());
    // In a child, as memory of other tests could be lost as well.
    let code = exit_code_of_child(|| {
        let is_over = AtomicBool::new(false);
        thread::scope(|scope| {
            let failing = scope.spawn(|| {
                let has_failed = (0..2000).all(|_| options.map().is_err());
                is_over.store(true, Ordering::Relaxed);
                has_failed
            });
            let mut is_kept = true;
            while is_kept && !is_over.load(Ordering::Relaxed) {
                is_kept = is_kept_for_a_while(len / 2);
            }
            if failing.join().unwrap() {
                i32::from(!is_kept)
            } else {
                2
            }
        })
    });
    assert_eq!(
        code, 0,
        "1: memory of another thread was unmapped; 2: there was a pool"
    );
}

/// Maps `len` bytes, and says whether they are still mapped a moment later.
#[expect(
    unsafe_code,
    reason = "the thread that a pool must leave alone maps memory"
)]
fn is_kept_for_a_while(len: usize) -> bool {
    let len = NonZeroUsize::new(len).unwrap();
    let flags = MapFlags::MAP_PRIVATE | MapFlags::MAP_NORESERVE;
    // SAFETY: (1) the kernel chooses the address.
    let own = unsafe { mman::mmap_anonymous(None, len, ProtFlags::PROT_NONE, flags) }.unwrap();
    for _ in 0..2000 {
        std::hint::spin_loop();
    }
    // SAFETY: (1) the kernel only looks whether the addresses are mapped.
    let is_kept = unsafe { mman::msync(own, len.get(), MsFlags::MS_ASYNC) }.is_ok();
    // SAFETY: (1) the mapping is this function's own, and not used any more.
    is_kept && unsafe { mman::munmap(own, len.get()) }.is_ok()
}

#[test]
fn reset_overwrites_what_the_kernel_does_not_discard() {
    let pool = lazy(MIB);
    let mut arena = Arena::new(pool.map().unwrap()).unwrap();
    arena.allocate(MIB / 2).unwrap().fill(7);
    let refused = vec![advice(libc::MADV_DONTNEED)];
    without(refused, libc::EINVAL, || arena.reset());
    assert!(arena.allocate(MIB).unwrap().iter().all(|&byte| byte == 0));
}

#[test]
fn process_wide_arena_is_set_up_once_the_kernel_allows_it() {
    const POOL_BYTES: usize = 216 * MIB;
    let buffers = Buffers::new(|| {
        Ok(ArenaConfig::default()
            .arena(ArenaMode::Enabled {
                pool_bytes: NonZeroU64::new(POOL_BYTES as u64).unwrap(),
            })
            .arena_pages(PagePolicy::Off))
    });
    let refused = || vec![call(libc::SYS_mmap).with(1, POOL_BYTES as u64)];
    for _ in 0..2 {
        let error = without(refused(), libc::ENOMEM, || {
            buffers.allocate(64, 64).unwrap_err()
        });
        assert!(matches!(error, BufferError::ArenaPool(_)), "{error:?}");
        assert!(
            error.to_string().contains("MC_DISABLE_MMAP_ARENA=1"),
            "{error}"
        );
        assert!(!is_any_mapping_of(POOL_BYTES));
    }
    let buffer = buffers.allocate(64, 64).unwrap();
    assert!(buffer.is_from_arena());
    // Set up, it needs the kernel no more.
    without(refused(), libc::ENOMEM, || {
        assert!(buffers.allocate(64, 64).unwrap().is_from_arena());
    });
    assert_eq!(buffers.stats().direct_buffers, 0);
}
