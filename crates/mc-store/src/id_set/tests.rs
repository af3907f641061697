//! The set of ids against what was inserted and removed.

use super::*;

#[test]
fn a_set_holds_what_was_inserted_and_keeps_its_memory() {
    let mut set = IdSet::default();
    let ids = [ObjectId(0), ObjectId(63), ObjectId(64), ObjectId(1000)];
    for id in ids.into_iter().rev().chain(ids) {
        set.insert(id);
    }
    assert!(set.iter_from(ObjectId(0)).eq(ids));
    assert!(!set.has(ObjectId(1)) && !set.has(ObjectId(5000)));
    for id in ids {
        assert!(set.has(id));
        set.remove(id);
        set.remove(id);
    }
    assert!(set.is_empty() && set.iter_from(ObjectId(0)).next().is_none());
    assert_eq!(set.words.len(), 1000 / 64 + 1);
    set.insert(ObjectId(700));
    assert!(set.iter_from(ObjectId(690)).eq([ObjectId(700)]));
    assert_eq!(set.iter_from(ObjectId(5000)).count(), 0);
}

#[test]
fn a_set_without_another_has_what_only_it_has() {
    let of = |ids: &[u32]| {
        let mut set = IdSet::default();
        ids.iter().for_each(|id| set.insert(ObjectId(*id)));
        set
    };
    let some = of(&[1, 64, 300]);
    let left = some.without(&of(&[1, 2, 65]));
    assert!(left.iter_from(ObjectId(0)).eq([64, 300].map(ObjectId)));
    assert_eq!(left.len, 2);
    assert!(some.without(&of(&[1, 64, 300, 5_000])).is_empty());
}
