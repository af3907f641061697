//! Contract towards forked children: what a parent mapped is neither lent nor unmapped there, and what the
//! child maps at the same addresses is its own.
//!
//! Every child first puts memory of its own where the parent's was, which is what an allocator or another
//! library of the child would sooner or later do.

use std::{
    mem,
    num::{NonZeroU64, NonZeroUsize},
    ops::Range,
    sync::atomic::{AtomicUsize, Ordering},
    thread,
};

use mc_arena::{
    Arena, ArenaConfig, ArenaError, Backing, BufferError, ClaimError, FileWindow, PagePolicy,
    PageSize, Pool, PoolBytes, PoolError, PoolOptions, Population, SharedView, SliceError,
    ViewError, buffers::Buffers, config::ArenaMode,
};
use nix::sys::mman::{MapFlags, ProtFlags, mmap_anonymous};

use crate::support::{MIB, ReservedPages, exit_code_of_child, is_mapped};

const OWN_BYTE: u8 = 0x5a;

fn pool() -> Pool {
    PoolOptions::new(MIB as u64)
        .pages(PagePolicy::Off)
        .map()
        .unwrap()
}

/// Memory that a child has where its parent's was.
struct ChildsOwn(&'static mut [u8]);

impl ChildsOwn {
    #[expect(unsafe_code, reason = "a child maps what it likes")]
    fn at(addresses: Range<usize>) -> Self {
        assert!(!is_mapped(addresses.start), "the child inherited the pool");
        let (start, len) = (addresses.start, addresses.len());
        let flags = MapFlags::MAP_PRIVATE | MapFlags::MAP_FIXED_NOREPLACE;
        let access = ProtFlags::PROT_READ | ProtFlags::PROT_WRITE;
        // SAFETY: (1) `MAP_FIXED_NOREPLACE` replaces nothing; (2) nobody else knows of the mapping.
        let own = unsafe {
            let own = mmap_anonymous(
                NonZeroUsize::new(start),
                NonZeroUsize::new(len).unwrap(),
                access,
                flags,
            );
            std::slice::from_raw_parts_mut(own.unwrap().cast::<u8>().as_ptr(), len)
        };
        assert_eq!(own.as_ptr().addr(), start);
        own.fill(OWN_BYTE);
        Self(own)
    }

    /// Asks the kernel, and looks at every byte.
    fn check(&self) {
        assert!(
            is_mapped(self.0.as_ptr().addr()),
            "the child's own mapping is gone"
        );
        assert!(
            self.0.iter().all(|&byte| byte == OWN_BYTE),
            "it was written to"
        );
    }
}

/// Runs `body` in a child that has its own memory at `addresses`, and looks at that memory afterwards.
#[track_caller]
fn in_child(addresses: Range<usize>, body: impl FnOnce()) {
    let code = exit_code_of_child(|| {
        let own = ChildsOwn::at(addresses);
        body();
        own.check();
        0
    });
    assert_eq!(code, 0, "see the panic of the child above");
}

fn addresses(pool: &Pool) -> Range<usize> {
    let start = pool.as_ptr().addr();
    start..start + pool.len()
}

#[test]
fn dropping_in_a_child_unmaps_nothing() {
    let pool = pool();
    let range = addresses(&pool);
    let slot = std::sync::Mutex::new(Some(pool));
    in_child(range.clone(), || drop(slot.lock().unwrap().take()));
    assert!(is_mapped(range.start), "the parent keeps its pool");
}

#[test]
fn an_arena_hands_nothing_to_a_child() {
    let arena = Arena::new(pool()).unwrap();
    let mut chunk = arena.thread_chunk(4096).unwrap();
    chunk.allocate(64).unwrap();
    in_child(addresses(arena.pool()), || {
        let expected = nix::unistd::getppid().as_raw().unsigned_abs();
        for refused in [
            arena.allocate(64).map(|_| ()),
            arena.allocate_aligned(64, 4096).map(|_| ()),
            chunk.allocate(64).map(|_| ()),
            chunk.allocate(8192).map(|_| ()),
            arena.thread_chunk(64).unwrap().allocate(64).map(|_| ()),
        ] {
            let Err(SliceError::OtherProcess(other)) = refused else {
                panic!("{refused:?}")
            };
            assert_eq!(
                (other.owner_pid, other.this_pid),
                (expected, std::process::id())
            );
        }
        assert!(
            !arena.owns(arena.pool().as_ptr()),
            "the child's own memory lies there"
        );
    });
    assert_eq!(arena.allocate(64).unwrap().len(), 64);
    assert_eq!(chunk.allocate(64).unwrap().len(), 64);
}

#[test]
fn a_reset_in_a_child_touches_nothing() {
    for population in [Population::EAGER, Population::Lazy] {
        let options = PoolOptions::new(MIB as u64).pages(PagePolicy::Off);
        let mut arena = Arena::new(options.population(population).map().unwrap()).unwrap();
        arena.allocate(MIB).unwrap().fill(1);
        in_child(addresses(arena.pool()), || {
            arena.reset();
            drop(mem::replace(&mut arena, Arena::new(pool()).unwrap()));
        });
        assert!(
            arena.allocate(1).is_err(),
            "the reset was the child's alone"
        );
    }
}

#[test]
fn bytes_are_not_lent_in_a_child() {
    let bytes = PoolBytes::new(pool());
    let reader = bytes.read(0..10).unwrap();
    let mut guards = Some((
        bytes.read(0..10).unwrap(),
        bytes.write(10..20).unwrap(),
        bytes.lend_to_device(20..30).unwrap(),
    ));
    in_child(addresses(bytes.pool()), || {
        for refused in [
            bytes.read(40..50).map(drop),
            bytes.write(40..50).map(drop),
            bytes.lend_to_device(40..50).map(drop),
            bytes.pool().check(),
        ] {
            assert!(
                matches!(refused, Err(ClaimError::OtherProcess(_))),
                "{refused:?}"
            );
        }
        let error = bytes.pool().read_residency().unwrap_err();
        assert!(matches!(error, PoolError::OtherProcess(_)), "{error}");
        let seen = std::panic::catch_unwind(std::panic::AssertUnwindSafe(|| reader[0]));
        assert!(
            seen.is_err(),
            "a guard of the parent shows the child's own bytes"
        );
        drop(guards.take());
    });
    assert!(guards.is_some() && bytes.read(10..11).is_err() && bytes.read(20..21).is_err());
    assert!(bytes.write(0..1).is_err(), "the parent keeps its claims");
}

#[test]
fn a_pool_cannot_become_an_arena_in_a_child() {
    let mut pool = Some(pool());
    let range = addresses(pool.as_ref().unwrap());
    in_child(range, || {
        let error = Arena::new(pool.take().unwrap()).unwrap_err();
        assert!(matches!(error, ArenaError::OtherProcess(_)), "{error}");
    });
}

#[test]
fn a_child_maps_pools_of_its_own() {
    let parents = pool();
    in_child(addresses(&parents), || {
        let arena = Arena::new(pool()).unwrap();
        arena.allocate(MIB).unwrap().fill(3);
        // And so does a child of the child.
        let code = exit_code_of_child(|| {
            assert!(arena.allocate(1).is_err());
            drop(arena);
            let own = Arena::new(pool()).unwrap();
            own.allocate(MIB).unwrap().fill(4);
            0
        });
        assert_eq!(code, 0);
    });
}

#[test]
fn direct_buffers_of_a_parent_are_left_alone() {
    let buffers = Buffers::new(|| Ok(ArenaConfig::default()));
    let mut buffer = Some(buffers.allocate(MIB, 4096).unwrap());
    let start = buffer.as_ref().unwrap().as_ptr().addr();
    in_child(start..start + MIB, || {
        let buffer = buffer.take().unwrap();
        assert!(buffer.check().is_err());
        drop(buffer);
        // Nothing of the parent's is in the way of a mapping of the child's own.
        buffers.allocate(4096, 64).unwrap().fill(1);
    });
    assert!(is_mapped(start));
}

#[test]
fn an_arena_of_buffers_is_an_error_in_a_child() {
    let buffers = Buffers::new(|| {
        let arena = ArenaMode::Enabled {
            pool_bytes: NonZeroU64::new(MIB as u64).unwrap(),
        };
        let config = ArenaConfig::default().arena(arena);
        Ok(config.arena_pages(PagePolicy::Off))
    });
    let buffer = buffers.allocate(MIB / 2, 64).unwrap();
    let start = buffer.as_ptr().addr();
    assert!(buffer.is_from_arena());
    in_child(start..start + MIB, || {
        let error = buffers.allocate(64, 64).unwrap_err();
        let is_said = matches!(error, BufferError::Request(SliceError::OtherProcess(_)));
        assert!(is_said && error.to_string().contains("forked"), "{error}");
        assert!(!buffers.owns(std::ptr::without_provenance(start)));
    });
    buffers.allocate(64, 64).unwrap().fill(1);
}

#[test]
fn reserved_huge_pages_stay_with_the_parent() {
    let Some(_reserved) = ReservedPages::reserve(1) else {
        return;
    };
    let options = PoolOptions::new(2 << 20).pages(PagePolicy::Required(PageSize::Bytes(2 << 20)));
    let slot = std::sync::Mutex::new(Some(options.map().unwrap()));
    let range = addresses(slot.lock().unwrap().as_ref().unwrap());
    in_child(range.clone(), || drop(slot.lock().unwrap().take()));
    assert!(is_mapped(range.start));
}

#[test]
fn children_forked_while_threads_look_whose_a_pool_is_do_not_wait() {
    let shared = || {
        let options = PoolOptions::new(4096).pages(PagePolicy::Off);
        options.backing(Backing::Shared).map().unwrap()
    };
    let parents = shared();
    let descriptor = parents.descriptor().unwrap();
    let is_over = AtomicUsize::new(0);
    thread::scope(|scope| {
        for _ in 0..2 {
            scope.spawn(|| {
                while is_over.load(Ordering::Relaxed) == 0 {
                    assert!(SharedView::open(descriptor).is_err());
                }
            });
        }
        let forks = scope.spawn(|| {
            for _ in 0..300 {
                let code = exit_code_of_child(|| {
                    // A wait for ever is to end.
                    nix::unistd::alarm::set(10);
                    let own = shared();
                    let refused = SharedView::open(own.descriptor().unwrap());
                    let is_refused = matches!(refused, Err(ViewError::OwnPool));
                    i32::from(!is_refused || SharedView::open(descriptor).is_err())
                });
                assert_eq!(code, 0);
            }
        });
        let ended = forks.join();
        is_over.store(1, Ordering::Relaxed);
        ended.unwrap();
    });
}

#[test]
fn a_window_is_not_written_in_a_child() {
    let file = tempfile::tempfile().unwrap();
    let mut window = FileWindow::new(&file, NonZeroUsize::new(4096).unwrap()).unwrap();
    let code = exit_code_of_child(|| {
        let written = std::panic::catch_unwind(std::panic::AssertUnwindSafe(|| {
            window.write_at(0, b"from a child");
        }));
        i32::from(written.is_ok())
    });
    assert_eq!(code, 0);
    window.write_at(0, b"parent");
    let mut read = [0; 6];
    std::os::unix::fs::FileExt::read_exact_at(&file, &mut read, 0).unwrap();
    assert_eq!(&read, b"parent");
}

#[test]
fn children_forked_beside_busy_threads_do_not_wait_for_them() {
    static LENT: AtomicUsize = AtomicUsize::new(0);
    let bytes = PoolBytes::new(pool());
    let is_over = AtomicUsize::new(0);
    thread::scope(|scope| {
        for thread in 0..2 {
            let (bytes, is_over) = (&bytes, &is_over);
            scope.spawn(move || {
                while is_over.load(Ordering::Relaxed) == 0 {
                    drop(bytes.read(thread * 64..thread * 64 + 64));
                    LENT.fetch_add(1, Ordering::Relaxed);
                }
            });
        }
        for _ in 0..50 {
            // The lock of the claims may be held at this moment, by a thread that the child lacks.
            let code = exit_code_of_child(|| i32::from(bytes.read(0..1).is_ok()));
            assert_eq!(code, 0);
        }
        is_over.store(1, Ordering::Relaxed);
    });
    assert!(LENT.load(Ordering::Relaxed) > 0);
}

#[test]
fn children_forked_while_threads_set_buffers_up_in_vain_do_not_wait() {
    let buffers = Buffers::new(|| ArenaConfig::from_variables(|_| Some("in vain".into())));
    let is_over = AtomicUsize::new(0);
    thread::scope(|scope| {
        for _ in 0..2 {
            scope.spawn(|| {
                while is_over.load(Ordering::Relaxed) == 0 {
                    assert!(buffers.allocate(64, 64).is_err());
                }
            });
        }
        let forks = scope.spawn(|| {
            for _ in 0..500 {
                let code = exit_code_of_child(|| {
                    // A wait for ever is to end.
                    nix::unistd::alarm::set(10);
                    match buffers.allocate(64, 64) {
                        Err(BufferError::Config(_) | BufferError::ParentWasSettingUp) => 0,
                        _ => 1,
                    }
                });
                assert_eq!(code, 0);
            }
        });
        let ended = forks.join();
        is_over.store(1, Ordering::Relaxed);
        ended.unwrap();
    });
}

#[test]
fn a_child_sets_buffers_up_though_a_callback_of_its_parent_panicked() {
    static ASKED: AtomicUsize = AtomicUsize::new(0);
    let buffers = Buffers::new(|| {
        if ASKED.fetch_add(1, Ordering::Relaxed) == 0 {
            // Not told, as the heap that a backtrace takes would look like a mapping to other tests.
            std::panic::resume_unwind(Box::new("the first time"));
        }
        Ok(ArenaConfig::default())
    });
    let panics = std::panic::catch_unwind(std::panic::AssertUnwindSafe(|| {
        buffers.allocate(64, 64).is_ok()
    }));
    assert!(panics.is_err());
    let code = exit_code_of_child(|| i32::from(buffers.allocate(64, 64).is_err()));
    assert_eq!(code, 0);
    buffers.allocate(64, 64).unwrap();
}
