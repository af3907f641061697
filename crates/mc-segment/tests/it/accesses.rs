//! Accesses against an unmount: it waits for those that have begun, refuses new
//! ones, and what is mounted next is never written by an old buffer.
#![expect(clippy::unwrap_used, reason = "a failed set-up fails the test")]

use std::{
    fs::File,
    sync::{
        Arc,
        atomic::{AtomicBool, AtomicU64, Ordering},
    },
    thread,
    time::{Duration, Instant},
};

use crate::common::{info, pool};
use mc_arena::{PagePolicy, PoolBytes, PoolOptions};
use mc_segment::{
    BytesError, Memory, Segment, SegmentId, SegmentInfo, SegmentPool, Strategy, TransitionError,
};

const ID: SegmentId = SegmentId(1);
const SIZE: u64 = SIZE_BYTES as u64;
const SIZE_BYTES: usize = 4096;

fn pool_memory() -> Memory {
    let mapped = PoolOptions::new(SIZE).pages(PagePolicy::Off).map();
    Memory::pool(PoolBytes::new(mapped.unwrap()))
}

fn local(memory: Memory) -> SegmentPool {
    let pool = pool(Strategy::Random, 0);
    pool.mount(Segment::local(info(1, SIZE), memory)).unwrap();
    pool
}

#[test]
fn an_unmount_is_finished_only_when_nothing_is_lent() {
    let pool = local(pool_memory());
    let [mut a, b] = [(); 2].map(|()| pool.place_in(ID, 100, 1).unwrap());
    let (written, read) = (a.bytes_mut(0).unwrap(), b.bytes(0).unwrap());
    pool.begin_unmount(ID).unwrap();
    let busy = |accesses| Err(TransitionError::Busy { id: ID, accesses });
    assert_eq!(pool.finish_unmount(ID), busy(2));
    assert_eq!(
        pool.finish_unmount(ID).unwrap_err().to_string(),
        "segment 00000000000000000000000000000001 is still read or written by 2 accesses"
    );
    assert!(matches!(
        b.read_at(0, &mut [0]),
        Err(BytesError::Unmounted { .. })
    ));
    assert!(matches!(b.bytes(0), Err(BytesError::Unmounted { .. })));
    drop(written);
    assert_eq!(pool.finish_unmount(ID), busy(1));
    assert_eq!(
        pool.finish_unmount_within(ID, Duration::from_millis(1)),
        busy(1)
    );
    drop(read);
    assert_eq!(pool.finish_unmount(ID), Ok(()));
    drop((a, b));
}

#[test]
fn a_failed_access_holds_nothing_back() {
    let pool = pool(Strategy::Random, 0);
    pool.mount(Segment::remote(info(1, SIZE))).unwrap();
    let mut buffer = pool.place_in(ID, 100, 1).unwrap();
    assert!(buffer.read_at(0, &mut [0]).is_err());
    assert!(buffer.write_at(0, &[0]).is_err());
    assert!(buffer.bytes(0).is_err());
    assert!(buffer.bytes_mut(7).is_err());
    pool.begin_unmount(ID).unwrap();
    pool.finish_unmount(ID).unwrap();
}

#[test]
fn who_waits_for_an_unmount_is_woken_by_the_last_access() {
    let pool = local(pool_memory());
    let buffer = pool.place_in(ID, 100, 1).unwrap();
    let lent = buffer.bytes(0).unwrap();
    pool.begin_unmount(ID).unwrap();
    let begun = Instant::now();
    thread::scope(|scope| {
        let waiting = scope.spawn(|| pool.finish_unmount_within(ID, Duration::from_secs(60)));
        thread::sleep(Duration::from_millis(20));
        // Others use the pool meanwhile.
        assert_eq!(pool.segments().len(), 1);
        drop(lent);
        assert_eq!(waiting.join().unwrap(), Ok(()));
    });
    assert!(begun.elapsed() < Duration::from_secs(30));
    assert_eq!(
        pool.finish_unmount_within(ID, Duration::ZERO),
        Err(TransitionError::NotMounted { id: ID })
    );
}

#[test]
fn waiting_does_not_begin_an_unmount() {
    let pool = local(pool_memory());
    let begun = Instant::now();
    let refused = pool.finish_unmount_within(ID, Duration::from_secs(60));
    assert!(matches!(refused, Err(TransitionError::Refused { .. })));
    assert!(begun.elapsed() < Duration::from_secs(30));
}

/// Writers keep writing the number of their segment while one segment after
/// another is mounted over the same file: each finds its own bytes alone.
#[test]
fn no_late_write_reaches_what_the_next_segment_places() {
    let file = Arc::new(tempfile::tempfile().unwrap());
    file.set_len(SIZE).unwrap();
    let pool = pool(Strategy::Random, 0);
    let (refused, written) = (AtomicU64::new(0), AtomicU64::new(0));
    let begun = Instant::now();
    let mut rounds = 0;
    while begun.elapsed() < Duration::from_millis(700) {
        rounds += 1;
        let id = SegmentId(rounds);
        pool.mount(Segment::local(info_over(rounds), memory_of(&file)))
            .unwrap();
        let mark = u8::try_from(rounds % 251).unwrap();
        let mut held = pool.place_in(id, SIZE, 1).unwrap();
        let is_begun = AtomicBool::new(false);
        thread::scope(|scope| {
            scope.spawn(|| {
                while held.write_at(0, &[mark; SIZE_BYTES]).is_ok() {
                    written.fetch_add(1, Ordering::Relaxed);
                    is_begun.store(true, Ordering::Relaxed);
                }
            });
            while !is_begun.load(Ordering::Relaxed) {
                thread::yield_now();
            }
            pool.begin_unmount(id).unwrap();
            while let Err(error) = pool.finish_unmount(id) {
                assert!(matches!(error, TransitionError::Busy { .. }));
                refused.fetch_add(1, Ordering::Relaxed);
            }
            // From here on the old writer may still try.
            let next = SegmentId(u128::MAX);
            let over = SegmentInfo {
                id: next,
                ..info_over(rounds)
            };
            pool.mount(Segment::local(over, memory_of(&file))).unwrap();
            let mut other = pool.place_in(next, SIZE, 1).unwrap();
            other.write_at(0, &[0; SIZE_BYTES]).unwrap();
            thread::yield_now();
            let mut read = [9; SIZE_BYTES];
            other.read_at(0, &mut read).unwrap();
            assert_eq!(read, [0; SIZE_BYTES]);
            drop(other);
            pool.begin_unmount(next).unwrap();
            pool.finish_unmount_within(next, Duration::from_secs(10))
                .unwrap();
        });
    }
    assert!(written.into_inner() > 0);
    println!(
        "{rounds} segments, {} unmounts held back",
        refused.into_inner()
    );
}

fn info_over(round: u128) -> SegmentInfo {
    SegmentInfo::new(SegmentId(round), format!("segment-{round}"), 0, SIZE)
}

fn memory_of(file: &Arc<File>) -> Memory {
    Memory::File {
        file: Arc::clone(file),
        start: 0,
    }
}
