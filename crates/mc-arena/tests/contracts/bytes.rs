//! Ranges of a pool, lent to readers and writers.

use std::{
    sync::{
        Barrier,
        atomic::{AtomicU64, Ordering},
    },
    thread,
};

use mc_arena::{Backing, ClaimError, PagePolicy, PoolBytes, PoolOptions, ReleaseError};
use proptest::prelude::*;

fn bytes(backing: Backing) -> PoolBytes {
    let options = PoolOptions::new(1 << 16).pages(PagePolicy::Off);
    let options = options.backing(backing);
    PoolBytes::new(options.map().unwrap())
}

#[test]
fn what_is_written_is_read_and_the_rest_stays_zero() {
    for backing in [Backing::Private, Backing::Shared] {
        let bytes = bytes(backing);
        bytes.write(100..200).unwrap().fill(7);
        let all = bytes.read(0..bytes.len()).unwrap();
        assert!(all[..100].iter().all(|&byte| byte == 0));
        assert!(all[100..200].iter().all(|&byte| byte == 7));
        assert!(all[200..].iter().all(|&byte| byte == 0));
    }
}

#[test]
fn guards_keep_the_mapping_and_end_the_claim() {
    let bytes = bytes(Backing::Private);
    let writer = bytes.write(0..10).unwrap();
    assert_eq!(
        bytes.read(9..20).unwrap_err(),
        ClaimError::BeingWritten {
            asked: 9..20,
            writer: 0..10
        }
    );
    drop(writer);
    let reader = bytes.read(9..20).unwrap();
    assert_eq!(
        bytes.write(0..10).unwrap_err(),
        ClaimError::InUse {
            asked: 0..10,
            user: 9..20
        }
    );
    drop(bytes);
    assert_eq!(reader.len(), 11);
}

#[test]
fn ranges_outside_the_pool_are_refused() {
    let bytes = bytes(Backing::Private);
    let len_bytes = bytes.len();
    assert_eq!(
        bytes.read(10..len_bytes + 1).unwrap_err(),
        ClaimError::OutOfRange {
            start: 10,
            end: len_bytes + 1,
            len_bytes
        }
    );
    #[expect(clippy::reversed_empty_ranges, reason = "that is the point")]
    let backwards = bytes.write(20..10);
    assert!(matches!(
        backwards,
        Err(ClaimError::OutOfRange {
            start: 20,
            end: 10,
            ..
        })
    ));
    assert!(bytes.write(len_bytes..len_bytes).unwrap().is_empty());
}

#[test]
fn what_is_no_range_of_the_pool_is_not_released() {
    let bytes = bytes(Backing::Private);
    let len_bytes = bytes.len();
    bytes.write(0..len_bytes).unwrap().fill(3);
    #[expect(clippy::reversed_empty_ranges, reason = "that is the point")]
    let ranges = [
        usize::MAX - 10..2 * bytes.page_bytes(),
        usize::MAX..usize::MAX,
        20..10,
        0..len_bytes + 1,
        len_bytes + 5..len_bytes + 10,
    ];
    for range in ranges {
        let refused = bytes.release(range.clone());
        let Err(ReleaseError::InUse(ClaimError::OutOfRange { start, end, .. })) = refused else {
            panic!("{range:?}: {refused:?}")
        };
        assert_eq!(start..end, range);
    }
    assert!(
        bytes
            .read(0..len_bytes)
            .unwrap()
            .iter()
            .all(|&byte| byte == 3)
    );
    assert_eq!(bytes.release(len_bytes..len_bytes).unwrap(), 0);
}

#[test]
fn threads_never_see_half_of_a_write() {
    const LEN: usize = 64;
    let bytes = bytes(Backing::Private);
    let (writes, reads) = (AtomicU64::new(0), AtomicU64::new(0));
    let barrier = Barrier::new(4);
    let run = |thread: usize| {
        barrier.wait();
        for round in 0..20_000_usize {
            let start = (round * 37 + thread * 101) % 512;
            let range = start..start + LEN;
            if (round + thread).is_multiple_of(2) {
                if let Ok(mut lent) = bytes.write(range) {
                    let mark = u8::try_from(round % 251).unwrap();
                    lent.fill(mark);
                    assert!(lent.iter().all(|&byte| byte == mark));
                    writes.fetch_add(1, Ordering::Relaxed);
                }
            } else if let Ok(lent) = bytes.read(range) {
                let before = lent.to_vec();
                assert_eq!(*lent, before[..], "bytes changed while they were lent");
                reads.fetch_add(1, Ordering::Relaxed);
            }
        }
    };
    thread::scope(|scope| {
        for thread in 0..4 {
            scope.spawn(move || run(thread));
        }
    });
    assert!(writes.into_inner() > 1000);
    assert!(reads.into_inner() > 1000);
    assert_eq!(bytes.write(0..bytes.len()).unwrap().len(), bytes.len());
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(32))]

    #[test]
    fn disjoint_writers_leave_what_they_wrote(cuts in prop::collection::btree_set(1..4096_usize, 1..20)) {
        let bytes = bytes(Backing::Private);
        let cuts: Vec<_> = cuts.into_iter().collect();
        let mut writers: Vec<_> = cuts
            .windows(2)
            .map(|pair| bytes.write(pair[0]..pair[1]).unwrap())
            .collect();
        for (mark, writer) in (1..).zip(&mut writers) {
            writer.fill(mark);
        }
        drop(writers);
        for (mark, pair) in (1..).zip(cuts.windows(2)) {
            let read = bytes.read(pair[0]..pair[1]).unwrap();
            prop_assert!(read.iter().all(|&byte| byte == mark));
        }
    }
}
