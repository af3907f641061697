//! The set of ids against what was inserted and removed.

use super::*;

#[test]
fn a_set_holds_what_was_inserted_and_takes_nothing_when_it_is_empty() {
    let mut set = IdSet::default();
    let ids = [ObjectId(0), ObjectId(63), ObjectId(64), ObjectId(1000)];
    for id in ids.into_iter().rev().chain(ids) {
        set.insert(id);
    }
    assert!(set.iter().eq(ids));
    assert!(!set.has(ObjectId(1)) && !set.has(ObjectId(5000)));
    for id in ids {
        assert!(set.has(id));
        set.remove(id);
        set.remove(id);
    }
    assert_eq!((set.iter().count(), set.words.capacity()), (0, 0));
}
