//! Every cell of the transition table, through the methods of the pool.
#![expect(clippy::unwrap_used, reason = "a failed set-up fails the test")]

use mc_segment::{
    Memory, MountError, Mounting, PlacedBuffer, Segment, SegmentId, SegmentInfo, SegmentPool,
    SegmentPoolOptions, SegmentState, Step, Transition, TransitionError,
};

const ID: SegmentId = SegmentId(7);

fn segment() -> Segment {
    Segment::remote(SegmentInfo::new(ID, "node", 1 << 20, 1 << 20))
}

/// Returns a pool whose segment is in a state, reached by the shortest way.
fn pool_in(state: Option<SegmentState>) -> SegmentPool {
    let pool = SegmentPool::new(SegmentPoolOptions::default());
    let Some(state) = state else { return pool };
    pool.mount(segment()).unwrap();
    match state {
        SegmentState::Ok => {}
        SegmentState::Suspended => pool.suspend(ID).unwrap(),
        SegmentState::Draining => pool.drain(ID).unwrap(),
        SegmentState::Drained => {
            pool.drain(ID).unwrap();
            pool.finish_drain(ID).unwrap();
        }
        SegmentState::GracefullyUnmounting => pool.unmount_gracefully(ID).unwrap(),
        SegmentState::Unmounting => pool.begin_unmount(ID).unwrap(),
        other => panic!("no way to {other} is known"),
    }
    assert_eq!(pool.state(ID), Some(state));
    pool
}

/// Calls the method of a transition; tells whether it succeeded.
fn attempt(pool: &SegmentPool, transition: Transition) -> Result<(), String> {
    let text = |error: TransitionError| error.to_string();
    match transition {
        Transition::Mount => match pool.mount(segment()) {
            Ok(_) => Ok(()),
            Err(error) => Err(error.to_string()),
        },
        Transition::Suspend => pool.suspend(ID).map_err(text),
        Transition::Drain => pool.drain(ID).map_err(text),
        Transition::FinishDrain => pool.finish_drain(ID).map_err(text),
        Transition::Resume => pool.resume(ID).map_err(text),
        Transition::UnmountGracefully => pool.unmount_gracefully(ID).map_err(text),
        Transition::BeginUnmount => pool.begin_unmount(ID).map_err(text),
        Transition::FinishUnmount => pool.finish_unmount(ID).map_err(text),
        other => panic!("{other} has no method"),
    }
}

#[test]
fn every_cell_does_what_the_table_says() {
    for from in [None].into_iter().chain(SegmentState::ALL.map(Some)) {
        for transition in Transition::ALL {
            let pool = pool_in(from);
            let outcome = attempt(&pool, transition);
            let expected = match SegmentState::step(from, transition) {
                Step::To(state) => Ok(Some(state)),
                Step::Stay => Ok(from),
                Step::Forget => Ok(None),
                Step::Refuse => Err(from),
                other => panic!("{other:?} is not known"),
            };
            let cell = format!("{from:?}, {transition:?}: {outcome:?}");
            assert_eq!(outcome.is_ok(), expected.is_ok(), "{cell}");
            let (Ok(after) | Err(after)) = expected;
            assert_eq!(pool.state(ID), after, "{cell}");
        }
    }
}

#[test]
fn refusals_name_segment_state_and_transition() {
    let pool = pool_in(Some(SegmentState::Unmounting));
    assert_eq!(
        pool.drain(ID).unwrap_err().to_string(),
        "segment 00000000000000000000000000000007 is unmounting, which does not allow to drain"
    );
    assert_eq!(
        pool.mount(segment()).unwrap_err(),
        MountError::Leaving {
            id: ID,
            state: SegmentState::Unmounting
        }
    );
    let id = SegmentId(8);
    assert_eq!(pool.drain(id), Err(TransitionError::NotMounted { id }));
}

#[test]
fn only_an_open_segment_takes_buffers_and_only_a_readable_one_has_them() {
    for state in SegmentState::ALL {
        let pool = pool_in(Some(SegmentState::Ok));
        let held = (state != SegmentState::Drained).then(|| pool.place_in(ID, 100, 1).unwrap());
        drop(pool.place_in(ID, 10, 1).unwrap());
        match state {
            SegmentState::Ok => {}
            SegmentState::Suspended => pool.suspend(ID).unwrap(),
            SegmentState::Draining => pool.drain(ID).unwrap(),
            SegmentState::Drained => {
                pool.drain(ID).unwrap();
                pool.finish_drain(ID).unwrap();
            }
            SegmentState::GracefullyUnmounting => pool.unmount_gracefully(ID).unwrap(),
            SegmentState::Unmounting => pool.begin_unmount(ID).unwrap(),
            other => panic!("no way to {other} is known"),
        }
        let is_open = state == SegmentState::Ok;
        assert_eq!(pool.place_in(ID, 1, 1).is_ok(), is_open, "{state}");
        assert_eq!(
            pool.place_at(ID, (1 << 20) + 500, 1).is_ok(),
            is_open,
            "{state}"
        );
        let request = mc_segment::PlaceRequest::new(1);
        assert_eq!(pool.place(&request).is_ok(), is_open, "{state}");
        let is_readable = held.as_ref().is_none_or(PlacedBuffer::is_readable);
        assert_eq!(is_readable, state != SegmentState::Unmounting, "{state}");
    }
}

#[test]
fn a_suspended_segment_keeps_its_buffers_and_is_read_last() {
    let pool = pool_in(Some(SegmentState::Ok));
    let held = pool.place_in(ID, 100, 1).unwrap();
    let descriptor = held.descriptor();
    pool.suspend(ID).unwrap();
    assert!(held.is_readable() && !held.is_placeable());
    assert!(held.state().is_read_last());
    // Whoever restarts meanwhile gets its buffers back.
    let restored = SegmentPool::restore(&pool.snapshot(), |_| Memory::Remote).unwrap();
    assert_eq!(restored.state(ID), Some(SegmentState::Suspended));
    restored.adopt(&[descriptor]).unwrap();
    pool.resume(ID).unwrap();
    assert!(held.is_placeable() && !held.state().is_read_last());
    drop(pool.place_in(ID, 100, 1).unwrap());
}

#[test]
fn a_drain_is_finished_only_when_the_segment_is_empty() {
    let pool = pool_in(None);
    pool.mount(segment()).unwrap();
    let held = pool.place_in(ID, 100, 1).unwrap();
    pool.drain(ID).unwrap();
    assert_eq!(
        pool.finish_drain(ID),
        Err(TransitionError::NotEmpty {
            id: ID,
            live_bytes: 100,
            allocations: 1
        })
    );
    assert_eq!(pool.state(ID), Some(SegmentState::Draining));
    drop(held);
    assert_eq!(pool.finish_drain(ID), Ok(()));
}

#[test]
fn a_drain_is_finished_while_the_end_is_held_in_which_nothing_is_placed() {
    let pool = pool_in(None);
    pool.mount(segment()).unwrap();
    let held = pool.place_in(ID, 100, 1).unwrap();
    let _tail = pool.hold_tail(ID, 1 << 10).unwrap();
    pool.drain(ID).unwrap();
    let error = pool.finish_drain(ID).unwrap_err();
    let live_bytes = |error| match error {
        TransitionError::NotEmpty { live_bytes, .. } => Some(live_bytes),
        _ => None,
    };
    assert_eq!(live_bytes(error), Some(100));
    drop(held);
    assert_eq!(pool.finish_drain(ID), Ok(()));
}

#[test]
fn a_segment_can_be_mounted_anew_once_it_is_forgotten() {
    let pool = pool_in(Some(SegmentState::Ok));
    let stale = pool.place_in(ID, 1 << 20, 1).unwrap();
    pool.begin_unmount(ID).unwrap();
    assert!(!stale.is_readable());
    pool.finish_unmount(ID).unwrap();
    assert_eq!(pool.mount(segment()), Ok(Mounting::Mounted));
    // The new segment is empty, and the old buffer is none of its business.
    let fresh = pool.place_in(ID, 1 << 20, 1).unwrap();
    drop(stale);
    assert!(pool.place_in(ID, 1, 1).is_err());
    assert!(fresh.is_readable());
}
