//! Registrations of a segment in a pool: their borders are borders of pages.
#![expect(clippy::unwrap_used, reason = "a failed set-up fails the test")]

use crate::common::pool;
use mc_arena::{PagePolicy, PoolBytes, PoolOptions};
use mc_offset::Fit;
use mc_segment::{
    AllocError, ExactError, Memory, MountError, RegistrationError, RegistrationLimit, Segment,
    SegmentId, SegmentInfo, Strategy,
};

/// Mounts a segment whose first byte is byte `start` of a pool.
fn mount(
    bytes: &PoolBytes,
    start: usize,
    base: u64,
    size: u64,
    limit: RegistrationLimit,
) -> Result<(), RegistrationError> {
    let mut info = SegmentInfo::new(SegmentId(1), "node", base, size);
    info.options.registration = Some(limit);
    let memory = Memory::Pool {
        bytes: bytes.clone(),
        start,
    };
    match pool(Strategy::Random, 1).mount(Segment::local(info, memory)) {
        Ok(_) => Ok(()),
        Err(MountError::Registration { source, .. }) => Err(source),
        Err(other) => panic!("{other}"),
    }
}

fn mapped(len: u64) -> (PoolBytes, u64) {
    let bytes = PoolBytes::new(PoolOptions::new(len).pages(PagePolicy::Off).map().unwrap());
    let page = bytes.pool().page_bytes() as u64;
    (bytes, page)
}

#[test]
fn a_limit_whose_borders_are_inside_pages_is_refused_and_the_nearest_named_one_is_not() {
    let (bytes, page) = mapped(64 * 1024);
    let size = bytes.len() as u64;
    for (max_bytes, align) in [
        (3 * page / 2, 512),
        (page + 1, 1),
        (5 * page - 1, page / 2),
        (page - 1, 1),
        (page / 2, page / 2),
    ] {
        let limit = RegistrationLimit { max_bytes, align };
        let refusal = mount(&bytes, 0, 1 << 40, size, limit).unwrap_err();
        let RegistrationError::BorderInPage {
            border,
            page_bytes,
            nearest_bytes,
        } = refusal
        else {
            panic!("{refusal}");
        };
        assert_eq!(page_bytes, page);
        assert!(!border.is_multiple_of(page));
        assert!(nearest_bytes.abs_diff(max_bytes) < page);
        let nearest = RegistrationLimit {
            max_bytes: nearest_bytes,
            align: page_bytes,
        };
        mount(&bytes, 0, 1 << 40, size, nearest).unwrap();
    }
}

#[test]
fn borders_between_pages_are_taken_whatever_the_limit_calls_them() {
    let (bytes, page) = mapped(64 * 1024);
    let size = bytes.len() as u64;
    for (max_bytes, align) in [
        (2 * page, page),
        (2 * page, 1),
        (3 * page, 512),
        (8 * size, 1),
    ] {
        mount(
            &bytes,
            0,
            1 << 40,
            size,
            RegistrationLimit { max_bytes, align },
        )
        .unwrap();
    }
    // The ends of a segment may be anywhere.
    let start = page + 7;
    let limit = RegistrationLimit {
        max_bytes: 2 * page,
        align: page,
    };
    mount(
        &bytes,
        usize::try_from(start).unwrap(),
        (1 << 40) + 7,
        size - start,
        limit,
    )
    .unwrap();
}

#[test]
fn a_base_out_of_step_with_the_pages_is_refused_and_the_nearest_named_one_is_not() {
    let (bytes, page) = mapped(64 * 1024);
    let limit = RegistrationLimit {
        max_bytes: 4 * page,
        align: page,
    };
    for (start, base) in [
        (0, (1 << 40) + 512),
        (0, (1 << 40) - 512),
        (512, 1 << 40),
        (0, 512),
    ] {
        let size = bytes.len() as u64 - start;
        let from = usize::try_from(start).unwrap();
        let refusal = mount(&bytes, from, base, size, limit).unwrap_err();
        let RegistrationError::BaseInPage {
            base: named,
            page_bytes,
            nearest_base,
            ..
        } = refusal
        else {
            panic!("{refusal}");
        };
        assert_eq!((named, page_bytes), (base, page));
        assert!(nearest_base.abs_diff(base) <= page / 2, "{nearest_base}");
        mount(&bytes, from, nearest_base, size, limit).unwrap();
    }
}

#[test]
fn only_memory_with_pages_is_asked_about_them() {
    let limit = RegistrationLimit {
        max_bytes: 3000,
        align: 8,
    };
    let mut info = SegmentInfo::new(SegmentId(1), "node", 4096, 10_000);
    info.options.registration = Some(limit);
    pool(Strategy::Random, 1)
        .mount(Segment::remote(info.clone()))
        .unwrap();
    let file = Memory::file(tempfile::tempfile().unwrap());
    pool(Strategy::Random, 1)
        .mount(Segment::local(info, file))
        .unwrap();
}

#[test]
fn a_segment_shrinks_again_and_drains_though_registrations_behind_the_end_keep_a_granule() {
    let id = SegmentId(1);
    let mut info = SegmentInfo::new(id, "node", 4096, 4 * 4096);
    info.options.registration = Some(RegistrationLimit {
        max_bytes: 4096,
        align: 4096,
    });
    let pool = pool(Strategy::Random, 1);
    pool.mount(Segment::remote(info)).unwrap();
    for registrations in [3, 1] {
        let mut tail = pool.hold_tail(id, registrations * 4096).unwrap();
        assert!(tail.take_holes().is_empty(), "{registrations}");
        pool.shrink(&mut tail).unwrap();
        // Nobody was given the granules.
        let space = pool.stats().total;
        assert_eq!(space.capacity, registrations * 4096);
        assert_eq!((space.live_bytes, space.allocations), (0, 0));
        assert_eq!(space.free_bytes, space.capacity);
    }
    // One that is given up in vain leaves them as they are.
    drop(pool.hold_tail(id, 2048).unwrap());
    let held = pool.place_in(id, 4096, 1).unwrap();
    assert!(pool.place_in(id, 1, 1).is_err());
    drop(held);
    pool.drain(id).unwrap();
    pool.finish_drain(id).unwrap();
    pool.grow(id, 4 * 4096).unwrap();
    pool.resume(id).unwrap();
    let all: Vec<_> = (0..4).map(|_| pool.place_in(id, 4096, 1)).collect();
    assert!(all.iter().all(Result::is_ok), "{all:?}");
}

#[test]
fn a_place_that_was_let_go_in_a_tail_is_held_to_the_end_of_its_granule() {
    let id = SegmentId(1);
    let mut info = SegmentInfo::new(id, "node", 0, 4096);
    info.options.granule = 256;
    let pool = pool(Strategy::Random, 1);
    pool.mount(Segment::remote(info)).unwrap();
    let stays = pool.place_at(id, 0, 2048).unwrap();
    // Of less than a granule, and of more than one.
    let behind = [100, 300, 256].map(|size| pool.place_in(id, size, 1).unwrap());
    let mut tail = pool.hold_tail(id, 2048).unwrap();
    assert_eq!(tail.take_holes().len(), 3);
    for buffer in behind {
        let place = buffer.extents().next().unwrap();
        drop(buffer);
        tail.take(place);
        assert!(pool.place_in(id, 1, 1).is_err(), "{place:?} is not held");
    }
    drop(stays);
    pool.shrink(&mut tail).unwrap();
}

#[test]
fn nothing_is_placed_in_a_tail_that_is_held_whatever_the_fit_rounds() {
    let id = SegmentId(1);
    let fits = [Fit::BinExact, Fit::BinCeil, Fit::GOOD, Fit::Adaptive];
    for (fit, granule) in fits.into_iter().flat_map(|fit| [(fit, 1), (fit, 12)]) {
        let mut info = SegmentInfo::new(id, "node", 0, 96_000);
        info.options.fit = fit;
        info.options.granule = granule;
        let pool = pool(Strategy::Random, 1);
        pool.mount(Segment::remote(info)).unwrap();
        let wall = pool.place_at(id, 60_000, 12).unwrap();
        let mut tail = pool.hold_tail(id, 30_000).unwrap();
        assert_eq!(tail.take_holes().len(), 1, "{fit:?}");
        drop(wall);
        assert!(tail.take_holes().is_empty(), "{fit:?}");
        let placed = std::iter::from_fn(|| pool.place_in(id, 1, 1).ok());
        let placed: Vec<_> = placed.map(|buffer| (buffer.address(), buffer)).collect();
        assert_eq!(placed.len() as u64, 30_000 / granule, "{fit:?}");
        assert!(placed.iter().all(|(address, _)| *address < 30_000));
        pool.shrink(&mut tail).unwrap();
    }
}

#[test]
fn an_alignment_that_is_none_is_refused_as_such_however_many_registrations_there_are() {
    let limit = RegistrationLimit {
        max_bytes: 4096,
        align: 4096,
    };
    for registration in [None, Some(limit)] {
        let mut info = SegmentInfo::new(SegmentId(1), "node", 4096, 8 * 4096);
        info.options.registration = registration;
        let pool = pool(Strategy::Random, 1);
        pool.mount(Segment::remote(info)).unwrap();
        for align in [0, 3, 4097, u64::MAX] {
            for size in [1, 4096, 8 * 4096, u64::MAX] {
                let refused = AllocError::AlignNotPowerOfTwo { align };
                let placed = pool.place_in(SegmentId(1), size, align).unwrap_err();
                assert!(
                    matches!(placed, ExactError::Refused(error) if error == refused),
                    "{size} bytes: {placed:?}"
                );
            }
        }
    }
}

#[test]
fn bytes_behind_the_end_of_a_segment_that_shrank_cross_no_border() {
    let pool = pool(Strategy::Random, 1);
    let id = SegmentId(1);
    let info = SegmentInfo::new(id, "node", 0, 8192);
    pool.mount(Segment::remote(info)).unwrap();
    pool.shrink(&mut pool.hold_tail(id, 4096).unwrap()).unwrap();
    for (address, size) in [(4095, 2), (4095, 4097), (4096, 1), (0, 8192)] {
        let refused = pool.place_at(id, address, size).unwrap_err();
        assert!(
            matches!(refused, ExactError::OutOfSegment { segment_size, .. } if segment_size == 4096),
            "{size} bytes at {address}: {refused}"
        );
    }
}
