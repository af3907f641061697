//! Real bytes: in pools, in files, in pieces, and after an unmount.
#![expect(clippy::unwrap_used, reason = "a failed set-up fails the test")]

use std::sync::Arc;

use crate::common::{info, pool};
use mc_arena::{Backing, PagePolicy, PoolBytes, PoolOptions};
use mc_segment::{
    BytesError, Memory, MountError, PlaceRequest, PlacedBuffer, Segment, SegmentId, SegmentInfo,
    SegmentPool, Strategy,
};

fn pool_bytes(len: u64) -> PoolBytes {
    let pool = PoolOptions::new(len).pages(PagePolicy::Off).map();
    PoolBytes::new(pool.unwrap())
}

fn pattern(len: usize, seed: u8) -> Vec<u8> {
    (0..251)
        .cycle()
        .take(len)
        .map(|byte: u8| byte ^ seed)
        .collect()
}

/// A pool with one local segment of 4096 bytes.
fn local(memory: Memory) -> SegmentPool {
    let pool = pool(Strategy::Random, 0);
    pool.mount(Segment::local(info(1, 4096), memory)).unwrap();
    pool
}

fn place(pool: &SegmentPool, size: u64) -> PlacedBuffer {
    pool.place(&PlaceRequest::new(size)).unwrap().remove(0)
}

#[test]
fn two_segments_never_have_the_same_bytes() {
    let bytes = pool_bytes(1 << 16);
    let file = Arc::new(tempfile::tempfile().unwrap());
    let in_pool = |start| Memory::Pool {
        bytes: bytes.clone(),
        start,
    };
    let in_file = |start: usize| Memory::File {
        file: Arc::clone(&file),
        start: start as u64,
    };
    check_sharing(in_pool, Memory::pool(pool_bytes(1 << 16)));
    let other_file = tempfile::tempfile().unwrap();
    check_sharing(in_file, Memory::file(other_file));
}

#[track_caller]
fn check_sharing(memory: impl Fn(usize) -> Memory, elsewhere: Memory) {
    let pool = pool(Strategy::Random, 0);
    let mount = |id, memory| pool.mount(Segment::local(info(id, 4096), memory));
    mount(1, memory(8192)).unwrap();
    for start in [8192, 4097, 12_287] {
        let shared = MountError::SharedMemory {
            id: SegmentId(2),
            start: start as u64,
            size: 4096,
            other: SegmentId(1),
            other_start: 8192,
            other_size: 4096,
        };
        assert_eq!(mount(2, memory(start)), Err(shared));
    }
    mount(2, memory(4096)).unwrap();
    mount(3, memory(12_288)).unwrap();
    mount(4, elsewhere).unwrap();
    // The bytes are taken until the unmount is finished.
    pool.begin_unmount(SegmentId(1)).unwrap();
    assert!(mount(5, memory(8192)).is_err());
    pool.finish_unmount(SegmentId(1)).unwrap();
    mount(5, memory(8192)).unwrap();
}

#[test]
fn two_pools_do_not_have_the_same_bytes() {
    let bytes = pool_bytes(1 << 16);
    let mount = |pool: &SegmentPool, epoch| {
        let info = SegmentInfo {
            epoch,
            ..info(1, 4096)
        };
        pool.mount(Segment::local(info, Memory::pool(bytes.clone())))
    };
    let [first, second] = [0, 1].map(|seed| pool(Strategy::Random, seed));
    mount(&first, 0).unwrap();
    assert!(matches!(
        mount(&second, 0),
        Err(MountError::SharedMemory { .. })
    ));
    // Nor under a newer epoch: that is another incarnation of the first pool's alone.
    assert!(matches!(
        mount(&second, 1),
        Err(MountError::SharedMemory { .. })
    ));
    mount(&first, 1).unwrap();
    assert!(mount(&second, 2).is_err());
    let buffer = first.place(&PlaceRequest::new(10)).unwrap();
    drop(first);
    assert!(
        mount(&second, 2).is_err(),
        "a buffer is written without its pool, too"
    );
    drop(buffer);
    mount(&second, 2).unwrap();
}

#[test]
fn buffers_of_pools_and_files_keep_what_is_written() {
    let file = tempfile::tempfile().unwrap();
    file.set_len(5000).unwrap();
    let memories = [
        Memory::pool(pool_bytes(4096)),
        Memory::Pool {
            bytes: pool_bytes(8192),
            start: 4096,
        },
        Memory::file(file.try_clone().unwrap()),
        Memory::File {
            file: file.into(),
            start: 900,
        },
    ];
    for memory in memories {
        let pool = local(memory);
        let mut buffers: Vec<_> = (0..40).map(|_| place(&pool, 100)).collect();
        for (seed, buffer) in (0..).zip(&mut buffers) {
            buffer.write_at(0, &pattern(100, seed)).unwrap();
        }
        drop(buffers.swap_remove(7));
        let mut again = place(&pool, 100);
        again.write_at(10, &[1; 50]).unwrap();
        for (seed, buffer) in (0..).zip(&buffers) {
            let seed = if seed == 7 { 39 } else { seed };
            let mut part = [0; 60];
            buffer.read_at(40, &mut part).unwrap();
            assert_eq!(part, pattern(100, seed)[40..]);
        }
    }
}

#[test]
fn slices_are_the_bytes_of_the_pool() {
    let bytes = pool_bytes(8192);
    let pool = local(Memory::Pool {
        bytes: bytes.clone(),
        start: 1000,
    });
    let _first = place(&pool, 50);
    let mut buffer = place(&pool, 100);
    let offset = usize::try_from(buffer.address() - buffer.segment().base).unwrap();
    buffer
        .bytes_mut(0)
        .unwrap()
        .copy_from_slice(&pattern(100, 3));
    assert_eq!(
        bytes.read(1000 + offset..1100 + offset).unwrap()[..],
        pattern(100, 3)
    );
    assert_eq!(buffer.bytes(0).unwrap()[..], pattern(100, 3));
    // Another user of the pool is told who has the bytes.
    let lent = buffer.bytes(0).unwrap();
    assert!(bytes.write(0..bytes.len()).is_err());
    drop(lent);
    let _all = bytes.write(0..bytes.len()).unwrap();
    assert!(matches!(buffer.bytes(0), Err(BytesError::InUse(_))));
    let in_use = buffer.write_at(0, &[0]);
    assert!(matches!(in_use, Err(BytesError::InUse(_))));
}

#[test]
fn copies_go_on_from_one_piece_to_the_next() {
    let pool = local(Memory::pool(pool_bytes(4096)));
    let mut blocks: Vec<_> = (0..8).map(|_| place(&pool, 512)).collect();
    // Every second block is freed, so that nothing larger has one piece.
    let mut is_kept = [true, false].into_iter().cycle();
    blocks.retain(|_| is_kept.next() == Some(true));
    let request = PlaceRequest {
        max_extents: 4,
        ..PlaceRequest::new(1800)
    };
    let mut buffer = pool.place(&request).unwrap().remove(0);
    assert_eq!(buffer.extents().len(), 4);
    assert_eq!(buffer.size(), 1800);
    let written = pattern(1800, 9);
    buffer.write_at(0, &written).unwrap();
    buffer.write_at(500, &[42; 700]).unwrap();
    let mut read = vec![0; 1800];
    buffer.read_at(0, &mut read).unwrap();
    assert_eq!(read[..500], written[..500]);
    assert_eq!(read[500..1200], [42; 700]);
    assert_eq!(read[1200..], written[1200..]);
    let pieces: Vec<u8> = (0..4)
        .flat_map(|at| buffer.bytes(at).unwrap().to_vec())
        .collect();
    assert_eq!(pieces, read);
    assert!(matches!(
        buffer.bytes(4),
        Err(BytesError::NoExtent {
            extent: 4,
            extents: 4
        })
    ));
    for (offset, len) in [(1800, 1), (0, 1801), (u64::MAX, 2)] {
        let outside = buffer.read_at(offset, &mut vec![0; len]);
        assert!(matches!(
            outside,
            Err(BytesError::OutOfBuffer { size: 1800, .. })
        ));
    }
    buffer.read_at(1800, &mut []).unwrap();
}

#[test]
fn what_is_not_within_reach_is_an_error() {
    let id = SegmentId(1);
    let remote = pool(Strategy::Random, 0);
    remote.mount(Segment::remote(info(1, 4096))).unwrap();
    let mut buffer = place(&remote, 10);
    assert!(matches!(
        buffer.bytes(0),
        Err(BytesError::Remote { id: SegmentId(1) })
    ));
    assert!(matches!(
        buffer.write_at(0, &[1]),
        Err(BytesError::Remote { .. })
    ));

    let file = tempfile::tempfile().unwrap();
    let cut = local(Memory::file(file));
    let buffer = place(&cut, 10);
    assert!(matches!(buffer.bytes(0), Err(BytesError::NotMapped { .. })));
    let error = buffer.read_at(0, &mut [0; 10]).unwrap_err();
    assert!(
        matches!(error, BytesError::File { .. }),
        "the file is empty: {error}"
    );

    let short = pool(Strategy::Random, 0);
    let memory = Memory::Pool {
        bytes: pool_bytes(4096),
        start: 1,
    };
    assert_eq!(
        short.mount(Segment::local(info(1, 4096), memory)),
        Err(MountError::MemoryTooShort {
            id,
            size: 4096,
            memory_bytes: 4095
        })
    );
    assert!(short.segments().is_empty());
}

#[test]
fn an_unmount_invalidates_buffers_and_lets_go_of_the_memory() {
    // No other test has shared memory, whose mappings have a name.
    let options = PoolOptions::new(4096)
        .pages(PagePolicy::Off)
        .backing(Backing::Shared);
    let pool = local(Memory::pool(PoolBytes::new(options.map().unwrap())));
    let mut buffer = place(&pool, 100);
    buffer.write_at(0, &[5; 100]).unwrap();
    let id = SegmentId(1);
    pool.unmount_gracefully(id).unwrap();
    let lent = buffer.bytes(0).unwrap();
    assert_eq!(lent[..], [5; 100]);
    pool.begin_unmount(id).unwrap();
    assert_eq!(lent[..], [5; 100], "who has a slice keeps the memory");
    drop(lent);
    assert!(is_shared_memory_mapped());
    pool.finish_unmount(id).unwrap();
    assert!(!is_shared_memory_mapped(), "a buffer does not");
    assert!(matches!(buffer.bytes(0), Err(BytesError::Unmounted { .. })));
    assert!(matches!(
        buffer.write_at(0, &[1]),
        Err(BytesError::Unmounted { .. })
    ));
    drop(pool);
    assert_eq!(buffer.size(), 100);
}

#[test]
fn a_buffer_that_outlives_its_pool_keeps_its_bytes_until_it_is_dropped() {
    let bytes = pool_bytes(4096);
    let memory = || Memory::pool(bytes.clone());
    let first = local(memory());
    let mut buffer = place(&first, 100);
    drop(first);
    assert!(buffer.is_readable());
    buffer.write_at(0, &[5; 100]).unwrap();
    assert_eq!(buffer.bytes(0).unwrap()[..], [5; 100]);
    let next = pool(Strategy::Random, 0);
    let mount = || next.mount(Segment::local(info(2, 4096), memory()));
    assert!(matches!(mount(), Err(MountError::SharedMemory { .. })));
    drop(buffer);
    mount().unwrap();
}

fn is_shared_memory_mapped() -> bool {
    let maps = std::fs::read_to_string("/proc/self/maps").unwrap();
    maps.contains("memfd:mc-arena")
}
