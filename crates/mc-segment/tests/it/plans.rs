//! Plans for holes in segments of more blocks than a plan looks at.

use crate::common::{info, pool};
use mc_segment::{
    Block, BlockCost, HoleOptions, PlaceRequest, PlacedBuffer, PlacementError, Segment, SegmentId,
    Strategy,
};

const ID: SegmentId = SegmentId(1);

#[test]
fn the_neighbors_of_who_may_leave_are_weighed_far_from_the_largest_hole() {
    let pool = pool(Strategy::Random, 1);
    pool.mount(Segment::remote(info(1, 100_050))).unwrap();
    let place = |_| pool.place_in(ID, 100, 1);
    let mut buffers: Vec<PlacedBuffer> = (0..1000).map(place).collect::<Result<_, _>>().unwrap();
    let small = pool.place_in(ID, 50, 1).unwrap();
    drop(buffers.remove(10));
    // The block that is freed last is kept for the next request.
    drop(small);
    let leaving = &buffers[700];
    let options = HoleOptions {
        moved_bytes_max: 100,
        ..HoleOptions::new(200)
    };
    let mut weighed = 0;
    let plan = pool.plan_hole(ID, &options, &[leaving.token()], |blocks| {
        weighed += blocks.len();
        assert!(blocks.is_sorted_by_key(|block| block.address));
        let cost = |address: u64| match address.abs_diff(leaving.address()) {
            0 => BlockCost::evictable(100),
            1..500 => BlockCost::movable(),
            _ => BlockCost::IMMOVABLE,
        };
        blocks.iter().map(|block| cost(block.address)).collect()
    });
    let plan = plan.expect("a neighbor moves into the hole");
    assert_eq!(
        (plan.moves.len(), plan.moved_bytes, plan.cost),
        (1, 100, 100)
    );
    assert_eq!(plan.evictions[0].address, leaving.address());
    assert!(
        weighed <= options.nodes_visited_max as usize,
        "{weighed} weighed"
    );
}

#[test]
fn the_token_of_a_buffer_that_is_gone_names_nothing() {
    let pool = pool(Strategy::Random, 1);
    pool.mount(Segment::remote(info(1, 500))).unwrap();
    let place = |_| pool.place_in(ID, 100, 1);
    let mut buffers: Vec<PlacedBuffer> = (0..5).map(place).collect::<Result<_, _>>().unwrap();
    drop(buffers.remove(4));
    let leaving = buffers.remove(0);
    let (token, address) = (leaving.token(), leaving.address());
    assert_eq!((token.segment_id(), token.size()), (ID, 100));
    assert!(token.extents().eq(leaving.extents()));

    // What is beside the hole goes where the first one is, if that leaves.
    let options = HoleOptions {
        moved_bytes_max: 100,
        ..HoleOptions::new(200)
    };
    let plan = || {
        pool.plan_hole(ID, &options, std::slice::from_ref(&token), |blocks| {
            let cost = |block: &Block| match block.address.abs_diff(address) {
                0 => BlockCost::evictable(1),
                300 => BlockCost::movable(),
                _ => BlockCost::IMMOVABLE,
            };
            blocks.iter().map(cost).collect()
        })
    };
    assert_eq!(plan().map(|plan| plan.evictions.len()), Some(1));
    drop(leaving);
    let _other = pool.place_at(ID, address, 100).unwrap();
    assert_eq!(plan(), None);
}

#[test]
fn no_move_makes_room_where_the_number_of_allocations_is_in_the_way() {
    let pool = pool(Strategy::Random, 1);
    let mut three = info(1, 1000);
    three.options.max_allocations = Some(3);
    pool.mount(Segment::remote(three)).unwrap();
    let place = |_| pool.place_in(ID, 200, 1);
    let mut buffers: Vec<PlacedBuffer> = (0..3).map(place).collect::<Result<_, _>>().unwrap();
    let plan = |size: u64| {
        let options = HoleOptions {
            moved_bytes_max: u64::MAX,
            ..HoleOptions::new(size)
        };
        let weigh = |blocks: &[Block]| vec![BlockCost::movable(); blocks.len()];
        pool.plan_hole(ID, &options, &[], weigh)
    };
    assert_eq!(buffers[0].hole_below_limit(), Some(400));
    assert!(pool.blocks(ID, None, 10).unwrap().is_at_limit);
    assert!(plan(300).is_none());
    let refused = pool.place(&PlaceRequest::new(300)).unwrap_err();
    let no_hole = matches!(
        refused,
        PlacementError::NoSpace {
            largest_hole: 0,
            ..
        }
    );
    assert!(no_hole, "{refused}");
    drop(buffers.remove(1));
    assert_eq!(buffers[0].hole_below_limit(), None);
    assert!(!pool.blocks(ID, None, 10).unwrap().is_at_limit);
    assert_eq!(plan(600).map(|plan| plan.moved_bytes), Some(200));
}
