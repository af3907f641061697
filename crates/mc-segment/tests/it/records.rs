//! Infos and snapshots as records: attributes come back, and so does whatever a
//! newer writer has added, in formats that describe themselves and in those
//! that do not.
#![expect(clippy::unwrap_used, reason = "a failed set-up fails the test")]

use crate::common::{info, pool};
use mc_segment::{
    Memory, Mounting, PoolSnapshot, Segment, SegmentId, SegmentInfo, SegmentPool, SegmentState,
    Strategy,
};
use serde_json::{Value, json};

/// Returns an info as a newer writer has written it.
fn newer_info() -> Value {
    let mut written = serde_json::to_value(info(1, 4096)).unwrap();
    written["lease_seconds"] = json!(30);
    written["zones"] =
        json!({"rack": "b-7", "weights": [0.5, -3, null, true, 18_446_744_073_709_551_615_u64]});
    written["options"]["slab_bytes"] = json!(65_536);
    written
}

#[test]
fn an_info_of_a_newer_writer_is_read_and_written_again() {
    let written = newer_info();
    let read: SegmentInfo = serde_json::from_value(written.clone()).unwrap();
    assert_eq!(
        read,
        info(1, 4096),
        "fields that are not known are not compared"
    );
    assert_eq!(
        read.unknown.names().collect::<Vec<_>>(),
        ["lease_seconds", "options", "zones"]
    );
    assert_eq!(serde_json::to_value(&read).unwrap(), written);

    // Through a format that does not describe itself, and back.
    let packed = postcard::to_stdvec(&read).unwrap();
    let unpacked: SegmentInfo = postcard::from_bytes(&packed).unwrap();
    assert_eq!(unpacked, read);
    assert_eq!(serde_json::to_value(&unpacked).unwrap(), written);
    assert_eq!(postcard::to_stdvec(&unpacked).unwrap(), packed);
}

#[test]
fn a_snapshot_of_a_newer_writer_is_read_and_written_again() {
    let first = pool(Strategy::Random, 3);
    first.mount(Segment::remote(info(1, 4096))).unwrap();
    let mut written = serde_json::to_value(first.snapshot()).unwrap();
    written["taken_at"] = json!("noon");
    written["options"]["spares"] = json!([1, 2]);
    written["segments"][0]["since"] = json!(17);
    written["segments"][0]["info"] = newer_info();
    let read: PoolSnapshot = serde_json::from_value(written.clone()).unwrap();
    assert_eq!(read, first.snapshot());
    assert_eq!(serde_json::to_value(&read).unwrap(), written);
    let packed = postcard::to_stdvec(&read).unwrap();
    let unpacked: PoolSnapshot = postcard::from_bytes(&packed).unwrap();
    assert_eq!(serde_json::to_value(&unpacked).unwrap(), written);

    // The segments keep theirs in a pool.
    let restored = SegmentPool::restore(&read, |_| Memory::Remote).unwrap();
    let again = serde_json::to_value(restored.snapshot()).unwrap();
    assert_eq!(again["segments"][0]["info"], newer_info());
}

#[test]
fn an_info_of_an_older_writer_has_defaults() {
    let mut written = serde_json::to_value(info(1, 4096)).unwrap();
    written.as_object_mut().unwrap().remove("epoch");
    written.as_object_mut().unwrap().remove("attributes");
    let read: SegmentInfo = serde_json::from_value(written).unwrap();
    assert_eq!((read.epoch, read.attributes.len()), (0, 0));
    assert_eq!(read.unknown.names().count(), 0);
}

#[test]
fn what_is_missing_or_of_another_kind_is_an_error() {
    for (field, value) in [
        ("size", json!("many")),
        ("options", json!(7)),
        ("id", json!("1")),
    ] {
        let mut written = newer_info();
        written[field] = value;
        assert!(
            serde_json::from_value::<SegmentInfo>(written.clone()).is_err(),
            "{field}"
        );
        written.as_object_mut().unwrap().remove(field);
        assert!(
            serde_json::from_value::<SegmentInfo>(written).is_err(),
            "no {field}"
        );
    }
}

#[test]
fn attributes_come_back_and_are_not_compared() {
    let mut with = info(1, 4096);
    with.attributes
        .insert("rkey".to_owned(), Vec::from([0, 255, 7]));
    assert_eq!(with, info(1, 4096));
    let pool = pool(Strategy::Random, 3);
    pool.mount(Segment::remote(with.clone())).unwrap();
    let again = pool.mount(Segment::remote(info(1, 4096))).unwrap();
    assert_eq!(again, Mounting::AlreadyMounted(SegmentState::Ok));
    let placed = pool.place_in(SegmentId(1), 10, 1).unwrap();
    assert_eq!(placed.segment().attributes, with.attributes);

    let snapshot = pool.snapshot();
    let json = serde_json::to_string(&snapshot).unwrap();
    let packed = postcard::to_stdvec(&snapshot).unwrap();
    for read in [
        serde_json::from_str::<PoolSnapshot>(&json).unwrap(),
        postcard::from_bytes(&packed).unwrap(),
    ] {
        assert_eq!(read.segments[0].info.attributes, with.attributes);
    }
}

#[test]
fn values_a_hundred_deep_inside_one_another_are_read_and_far_deeper_ones_refused() {
    let plain = postcard::to_stdvec(&info(1, 4096)).unwrap();
    // The number of unknown fields comes last; one gets a name and lists of one value each.
    let nested = |depth: usize| {
        let (&none, known) = plain.split_last().unwrap();
        assert_eq!(none, 0);
        let mut packed = [known, &[1, 1, b'x']].concat();
        packed.extend([LIST, 1].repeat(depth));
        packed.push(NOTHING);
        postcard::from_bytes::<SegmentInfo>(&packed)
    };
    let json = |depth: usize| {
        let mut written = serde_json::to_string(&info(1, 4096)).unwrap();
        let (open, close) = ("[".repeat(depth), "]".repeat(depth));
        written.insert_str(1, &format!("\"x\":{open}{close},"));
        serde_json::from_str::<SegmentInfo>(&written)
    };
    for (depth, is_read) in [(1, true), (100, true), (129, false), (1_000_000, false)] {
        assert_eq!(json(depth).is_ok(), is_read, "{depth} in JSON");
        let read = nested(depth);
        assert_eq!(read.is_ok(), is_read, "{depth}: {:?}", read.err());
    }
}

/// How postcard numbers the kinds of values.
const NOTHING: u8 = 0;
const LIST: u8 = 7;
