//! A store whose journal takes no records any more, or not one: what it says holds after a restart.

use std::{fs, path::PathBuf};

use mc_segment::SegmentId;
use mc_store::{
    CommitError, ObjectStore, PutError, PutRequest, Removal, StoreOptions, copy_bytes,
    journal::{Durability, JournalOptions},
};

use super::{SEGMENT_BYTES, check, mount, open, open_with, put};

/// A directory in which a store cannot write on: the names of its next files are taken.
struct Stopped {
    names: Vec<PathBuf>,
}

impl Stopped {
    fn new(store: &ObjectStore) -> Self {
        let directory = store.directory().unwrap().to_owned();
        let names = (0..100).map(|number| directory.join(format!("journal-{number:08x}")));
        let names: Vec<_> = names.filter(|name| !name.exists()).collect();
        for name in &names {
            fs::write(name, "of others").unwrap();
        }
        let stopped = Self { names };
        while store.journal_error().is_none() {
            let put = store.put(b"of no interest", &PutRequest::new(1));
            drop(put);
        }
        let refused = || store.stats().refused.journal;
        let before = refused();
        let put = store.put(b"of no interest", &PutRequest::new(1));
        assert_eq!(put.unwrap_err(), PutError::Journal);
        assert_eq!(refused(), before + 1);
        stopped
    }

    fn end(self) {
        self.names
            .iter()
            .for_each(|name| fs::remove_file(name).unwrap());
    }
}

/// What has left may be there again later, as nobody could write down that it has: its bytes stay
/// what they are.
#[test]
fn nothing_moves_once_the_journal_has_stopped() {
    let options = StoreOptions {
        journal: JournalOptions {
            file_bytes: 2_048,
            ..JournalOptions::default()
        },
        ..StoreOptions::default()
    };
    type Move = fn(&ObjectStore);
    let moves: [Move; 4] = [
        |store| drop(store.move_out(SegmentId(2), copy_bytes)),
        |store| drop(store.add_replica(b"other", copy_bytes)),
        |store| {
            let _ = store.shrink(SegmentId(2), 1);
        },
        |store| {
            store.compact(u64::MAX);
        },
    ];
    for carry_out in moves {
        let directory = tempfile::tempdir().unwrap();
        let at = directory.path();
        let store = open_with(at, options.clone()).store;
        mount(&store, at, 1..=2);
        let [first, second] = [[SegmentId(1)], [SegmentId(2)]];
        let in_one = |preferred| PutRequest {
            preferred,
            ..PutRequest::new(SEGMENT_BYTES / 4)
        };
        put(&store, b"removed", &in_one(&first)).unwrap();
        put(&store, b"gap", &in_one(&second)).unwrap();
        put(&store, b"other", &in_one(&second)).unwrap();
        let stopped = Stopped::new(&store);
        for key in [&b"removed"[..], b"gap"] {
            store.remove(key, Removal::IfIdle).unwrap();
        }
        carry_out(&store);
        assert!(store.exists(b"other"));
        drop(store);
        stopped.end();
        let store = open_with(at, options.clone()).store;
        for key in [&b"removed"[..], b"gap", b"other"] {
            check(&store, key, SEGMENT_BYTES / 4);
        }
    }
}

#[test]
fn an_object_whose_commit_cannot_be_kept_is_not_stored() {
    let directory = tempfile::tempdir().unwrap();
    let at = directory.path();
    let options = StoreOptions {
        journal: JournalOptions {
            durability: Durability::Power,
            ..JournalOptions::default()
        },
        ..StoreOptions::default()
    };
    let store = open_with(at, options).store;
    mount(&store, at, 1..=1);
    let put = store.put(b"key", &PutRequest::new(100)).unwrap();
    // The directory cannot be synced any more.
    fs::rename(at.join("store"), at.join("elsewhere")).unwrap();
    assert_eq!(put.commit(), Err(CommitError::Journal));
    assert!(!store.exists(b"key"));
    store.check_invariants();
    assert_eq!(store.pool().stats().total.live_bytes, 0);
}

#[test]
fn the_space_of_a_put_whose_commit_is_too_long_to_write_is_free_after_a_restart() {
    let directory = tempfile::tempdir().unwrap();
    let at = directory.path();
    let store = open(at);
    mount(&store, at, 1..=1);
    let host = "h".repeat(17 << 20);
    let request = PutRequest {
        host: &host,
        ..PutRequest::new(SEGMENT_BYTES)
    };
    let long = store.put(b"long", &request).unwrap();
    assert_eq!(long.commit(), Err(CommitError::Journal));
    assert!(store.journal_error().is_none(), "others are written");
    drop(store);
    put(&open(at), b"key", &PutRequest::new(SEGMENT_BYTES)).unwrap();
}
