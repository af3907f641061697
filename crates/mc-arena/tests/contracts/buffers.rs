//! Contract of the process-wide buffers: arena first, mappings of their own otherwise, set up once.

use std::{
    num::NonZeroU64,
    sync::atomic::{AtomicUsize, Ordering},
};

use mc_arena::{
    ArenaConfig, BufferError, ConfigError, PagePolicy, PageSize, SliceError,
    buffers::{self, Buffers},
    config::{ArenaMode, POOL_SIZE_VARIABLE},
};

use crate::support::{MIB, ReservedPages, is_mapped, warnings};

#[expect(
    clippy::unnecessary_wraps,
    reason = "the signature of a configuration source"
)]
fn small_arena() -> Result<ArenaConfig, ConfigError> {
    Ok(ArenaConfig::default()
        .arena(ArenaMode::Enabled {
            pool_bytes: NonZeroU64::new(MIB as u64).unwrap(),
        })
        .arena_pages(PagePolicy::Off))
}

#[test]
fn arena_serves_until_it_is_full() {
    let buffers = Buffers::new(small_arena);
    let mut first = buffers.allocate(MIB / 2, 4096).unwrap();
    first.fill(1);
    assert!(first.is_from_arena() && buffers.owns(first.as_ptr()));
    let second = buffers.allocate(MIB, 1).unwrap();
    assert!(!second.is_from_arena() && !buffers.owns(second.as_ptr()));
    assert!(second.iter().all(|&byte| byte == 0));
    drop(first);
    let stats = buffers.stats();
    assert_eq!(
        (
            stats.arena_fallbacks,
            stats.direct_buffers,
            stats.arena_drops
        ),
        (1, 1, 1)
    );
    assert_eq!(
        stats.arena.unwrap().reserved_bytes,
        MIB as u64 / 2,
        "a drop gives nothing back to the arena"
    );
}

#[test]
fn first_three_fallbacks_are_warned_of() {
    let buffers = Buffers::new(small_arena);
    let ((), warnings) = warnings(|| {
        for _ in 0..5 {
            buffers.allocate(2 * MIB, 64).unwrap();
        }
    });
    assert_eq!((warnings.len(), buffers.stats().arena_fallbacks), (3, 5));
    assert!(
        warnings[0].contains("2097152 bytes aligned to 64 asked for, 1048576 are left"),
        "{warnings:?}"
    );
}

#[test]
fn direct_buffers_are_aligned_writable_and_unmapped() {
    let buffers = Buffers::new(|| Ok(ArenaConfig::default()));
    for (size, align) in [(1, 1), (5000, 64), (MIB, 4096), (3 * MIB + 1, 2 * MIB)] {
        let mut buffer = buffers.allocate(size, align).unwrap();
        assert_eq!((buffer.len(), buffer.as_ptr().addr() % align), (size, 0));
        buffer.fill(9);
        let address = buffer.as_ptr().addr();
        assert!(is_mapped(address));
        drop(buffer);
    }
    assert_eq!(buffers.stats().direct_buffers, 4);
    assert_eq!(buffers.stats().arena, None);
}

#[test]
fn impossible_requests_are_refused() {
    let buffers = Buffers::new(small_arena);
    assert!(matches!(
        buffers.allocate(0, 1),
        Err(BufferError::Request(SliceError::ZeroSize))
    ));
    assert!(matches!(
        buffers.allocate(1, 3),
        Err(BufferError::Request(SliceError::InvalidAlign { align: 3 }))
    ));
    assert!(matches!(
        buffers.allocate(usize::MAX, 1),
        Err(BufferError::Request(SliceError::Overflow { .. }))
    ));
    assert!(matches!(
        buffers.allocate(1 << 50, 1),
        Err(BufferError::Direct { .. })
    ));
}

#[test]
fn failed_set_up_is_tried_again() {
    static CALLS: AtomicUsize = AtomicUsize::new(0);
    let buffers = Buffers::new(|| match CALLS.fetch_add(1, Ordering::Relaxed) {
        0 => ArenaConfig::from_variables(|name| {
            (name == POOL_SIZE_VARIABLE).then(|| "8 gigs".into())
        }),
        1 => Ok(ArenaConfig::default().arena(ArenaMode::Enabled {
            pool_bytes: NonZeroU64::new(1 << 50).unwrap(),
        })),
        _ => small_arena(),
    });
    let error = buffers.allocate(64, 64).unwrap_err();
    assert!(
        matches!(error, BufferError::Config(_)) && error.to_string().contains("8 gigs"),
        "{error}"
    );
    assert!(matches!(
        buffers.allocate(64, 64),
        Err(BufferError::ArenaPool(_))
    ));
    assert!(buffers.allocate(64, 64).unwrap().is_from_arena());
    assert!(buffers.allocate(64, 64).unwrap().is_from_arena());
    assert_eq!(
        CALLS.load(Ordering::Relaxed),
        3,
        "a set-up that worked is kept"
    );
}

#[test]
fn process_buffers_are_shared_by_all_threads() {
    let buffer = buffers::allocate(4096, 4096).unwrap();
    let address = buffer.as_ptr().addr();
    let moved = std::thread::spawn(move || buffer.as_ptr().addr())
        .join()
        .unwrap();
    assert_eq!(address, moved);
    assert_eq!(buffers::stats().arena_fallbacks, 0);
    assert!(!buffers::is_arena_address(std::ptr::null()));
}

#[test]
fn buffers_over_nodes_lose_no_byte() {
    let buffers = Buffers::new(small_arena);
    for size in [1, 3 * 4096 + 1, 5 * MIB + 7] {
        let mut buffer = buffers.allocate_over_nodes(size, 4096, &[0]).unwrap();
        assert_eq!((buffer.len(), buffer.as_ptr().addr() % 4096), (size, 0));
        buffer.fill(3);
        let [segment] = buffer.segments() else {
            panic!("{:?}", buffer.segments())
        };
        assert_eq!((segment.node, segment.range.start), (0, 0));
        assert!(segment.range.end >= size);
        assert!(!buffer.is_from_arena());
    }
    let refused = buffers.allocate_over_nodes(4096, 64, &[1023]).unwrap_err();
    assert!(matches!(refused, BufferError::Direct { .. }), "{refused}");
    assert!(buffers.allocate_over_nodes(4096, 64, &[]).is_err());
}

#[test]
fn demanded_huge_pages_of_a_small_buffer_are_the_smallest() {
    let Some(_reserved) = ReservedPages::reserve(1) else {
        return;
    };
    let buffers = Buffers::new(|| {
        let required = PagePolicy::Required(PageSize::Auto);
        Ok(ArenaConfig::default().direct_pages(required))
    });
    buffers.allocate(100, 64).unwrap().fill(1);
}
