//! Incarnations of a segment's memory: a newer one replaces what is mounted, an
//! older one is refused, and descriptors belong to one.

use crate::common::pool;
use mc_segment::{
    AdoptCause, BytesError, Memory, MountError, MountWithError, Mounting, PlaceRequest, Segment,
    SegmentId, SegmentInfo, SegmentPool, SegmentResizeError, SegmentState, Strategy,
};

const ID: SegmentId = SegmentId(1);

fn info(epoch: u64) -> SegmentInfo {
    SegmentInfo {
        epoch,
        ..crate::common::info(1, 1 << 16)
    }
}

fn mount(pool: &SegmentPool, info: SegmentInfo) -> Result<Mounting, MountError> {
    pool.mount(Segment::remote(info))
}

#[test]
fn a_newer_epoch_replaces_the_older_one_and_says_what_went() {
    let pool = pool(Strategy::Random, 1);
    mount(&pool, info(3)).unwrap();
    let held = pool.place_in(ID, 1000, 1).unwrap();
    assert_eq!((held.epoch(), held.descriptor().epoch), (3, 3));
    let Ok(Mounting::Replaced(replaced)) = mount(&pool, info(5)) else {
        panic!("the epoch is newer");
    };
    assert_eq!((replaced.epoch, replaced.placed_bytes), (3, 1000));
    assert_eq!(replaced.state, SegmentState::Ok);
    assert!(!held.is_readable() && !held.is_placeable());
    assert_eq!(held.state(), SegmentState::Unmounting);
    assert_eq!(held.segment().epoch, 3);

    // The new one is empty and takes what the pool is asked for.
    assert_eq!(pool.placed_bytes_in_placeable(), 0);
    assert_eq!(pool.placeable_bytes(), 1 << 16);
    let whole = pool.place(&PlaceRequest::new(1 << 16)).unwrap().remove(0);
    assert_eq!(whole.epoch(), 5);
    drop(held);
    assert_eq!(pool.placed_bytes_in_placeable(), 1 << 16);
    assert!(pool.place_in(ID, 1, 1).is_err());
    assert_eq!(pool.segments().len(), 1);
}

#[test]
fn an_older_epoch_is_refused_with_both_and_an_equal_one_is_found() {
    let pool = pool(Strategy::Random, 1);
    mount(&pool, info(3)).unwrap();
    let held = pool.place_in(ID, 1000, 1).unwrap();
    let refusal = mount(&pool, info(2)).unwrap_err();
    assert_eq!(
        refusal.to_string(),
        "segment 00000000000000000000000000000001 of epoch 2 is refused; epoch 3 is mounted"
    );
    let again = mount(&pool, info(3)).unwrap();
    assert_eq!(again, Mounting::AlreadyMounted(SegmentState::Ok));
    let with = pool.mount_with(Segment::remote(info(2)), &[]).unwrap_err();
    assert!(matches!(
        with,
        MountWithError::Mount(MountError::OlderEpoch { .. })
    ));
    assert!(held.is_readable());
}

#[test]
fn a_segment_of_any_state_is_replaced_and_may_have_changed_in_all_its_fields() {
    type Reach = fn(&SegmentPool);
    let states: [(&str, Reach); 6] = [
        ("ok", |_| {}),
        ("suspended", |pool| pool.suspend(ID).unwrap()),
        ("draining", |pool| pool.drain(ID).unwrap()),
        ("drained", |pool| {
            pool.drain(ID).unwrap();
            pool.finish_drain(ID).unwrap();
        }),
        ("gracefully unmounting", |pool| {
            pool.unmount_gracefully(ID).unwrap();
        }),
        ("unmounting", |pool| pool.begin_unmount(ID).unwrap()),
    ];
    for (name, reach) in states {
        let pool = pool(Strategy::LocalFirst, 1);
        mount(&pool, info(0)).unwrap();
        reach(&pool);
        let other = SegmentInfo {
            host: "elsewhere".to_owned(),
            endpoint: "elsewhere:1".to_owned(),
            base: 1 << 20,
            ..info(1)
        };
        let Ok(Mounting::Replaced(replaced)) = mount(&pool, other) else {
            panic!("{name}");
        };
        assert_eq!(replaced.state.to_string(), name);
        assert_eq!(pool.state(ID), Some(SegmentState::Ok));
        let request = PlaceRequest {
            host: "elsewhere",
            ..PlaceRequest::new(10)
        };
        assert_eq!(pool.place(&request).unwrap()[0].address(), 1 << 20);
    }
}

#[test]
fn a_newer_epoch_that_cannot_be_mounted_leaves_the_older_one_as_it_is() {
    let pool = pool(Strategy::Random, 1);
    mount(&pool, info(0)).unwrap();
    mount(&pool, crate::common::info(2, 1 << 16)).unwrap();
    let held = pool.place_in(ID, 10, 1).unwrap();
    let overlapping = SegmentInfo {
        base: 2 << 32,
        ..info(1)
    };
    assert!(matches!(
        mount(&pool, overlapping),
        Err(MountError::Overlap { .. })
    ));
    assert!(held.is_readable());
    assert_eq!(pool.snapshot().segments[0].info.epoch, 0);
}

#[test]
fn descriptors_of_another_epoch_are_not_adopted() {
    let first = pool(Strategy::Random, 1);
    mount(&first, info(3)).unwrap();
    let descriptor = first.place_in(ID, 1000, 1).unwrap().descriptor();
    for epoch in [2, 4] {
        let second = pool(Strategy::Random, 1);
        mount(&second, info(epoch)).unwrap();
        let refusal = second.adopt(std::slice::from_ref(&descriptor)).unwrap_err();
        let cause = AdoptCause::OtherEpoch {
            id: ID,
            epoch: 3,
            mounted_epoch: epoch,
        };
        assert_eq!(refusal.cause, cause);
        let third = pool(Strategy::Random, 1);
        let with = third.mount_with(
            Segment::remote(info(epoch)),
            std::slice::from_ref(&descriptor),
        );
        assert!(matches!(with, Err(MountWithError::Adopt(refusal)) if refusal.cause == cause));
    }
    let second = pool(Strategy::Random, 1);
    mount(&second, info(3)).unwrap();
    second.adopt(&[descriptor]).unwrap();
}

#[test]
fn a_newer_epoch_is_mounted_with_its_buffers() {
    let first = pool(Strategy::Random, 1);
    mount(&first, info(4)).unwrap();
    let descriptor = first.place_in(ID, 1000, 1).unwrap().descriptor();
    let pool = pool(Strategy::Random, 1);
    mount(&pool, info(3)).unwrap();
    let lost = pool.place_in(ID, 1 << 16, 1).unwrap();
    let with = pool.mount_with(Segment::remote(info(4)), &[descriptor]);
    let (mounting, buffers) = with.unwrap();
    assert!(matches!(mounting, Mounting::Replaced(replaced) if replaced.epoch == 3));
    assert!(buffers[0].is_readable() && !lost.is_readable());
    assert_eq!(pool.placed_bytes_in_placeable(), 1000);
}

#[test]
fn the_memory_of_the_older_epoch_is_used_by_the_newer_one_once_nobody_reads_it() {
    let map = mc_arena::PoolOptions::new(1 << 16).pages(mc_arena::PagePolicy::Off);
    let bytes = mc_arena::PoolBytes::new(map.map().unwrap());
    let pool = pool(Strategy::Random, 1);
    let segment = |epoch| Segment::local(info(epoch), Memory::pool(bytes.clone()));
    pool.mount(segment(0)).unwrap();
    let mut old = pool.place_in(ID, 100, 1).unwrap();
    let lent = old.bytes_mut(0).unwrap();
    assert_eq!(
        pool.mount(segment(1)),
        Err(MountError::Busy {
            id: ID,
            mounted_epoch: 0,
            accesses: 1
        })
    );
    drop(lent);
    assert!(old.is_readable(), "a refusal changes nothing");
    assert!(matches!(pool.mount(segment(1)), Ok(Mounting::Replaced(_))));
    let mut new = pool.place_in(ID, 100, 1).unwrap();
    assert_eq!(new.address(), old.address());
    new.write_at(0, &[7; 100]).unwrap();
    assert!(matches!(
        old.write_at(0, &[1]),
        Err(BytesError::Unmounted { .. })
    ));
    assert!(matches!(old.bytes(0), Err(BytesError::Unmounted { .. })));
    assert_eq!(new.bytes(0).unwrap()[..], [7; 100]);
}

#[test]
fn the_tail_of_a_segment_that_has_gone_is_not_given_up_for_another() {
    let pool = pool(Strategy::Random, 1);
    let not_mounted = Err(SegmentResizeError::NotMounted { id: ID });
    mount(&pool, info(3)).unwrap();
    let mut tail = pool.hold_tail(ID, 1 << 10).unwrap();
    mount(&pool, info(5)).unwrap();
    assert_eq!(pool.shrink(&mut tail), not_mounted);
    assert_eq!(pool.placeable_bytes(), 1 << 16);

    let mut tail = pool.hold_tail(ID, 1 << 10).unwrap();
    let other = crate::common::pool(Strategy::Random, 1);
    mount(&other, info(5)).unwrap();
    assert_eq!(other.shrink(&mut tail), not_mounted);
    pool.begin_unmount(ID).unwrap();
    pool.finish_unmount(ID).unwrap();
    assert_eq!(pool.shrink(&mut tail), not_mounted);
}
