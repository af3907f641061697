//! Objects of several parts.
//!
//! Claims: all parts are there or none, whatever is refused, given up, evicted,
//! moved or cut off by the end of the process; descriptors name each part, at
//! the alignment that was asked for; bytes are those of the parts alone.
#![expect(clippy::unwrap_used, reason = "a failed set-up fails the test")]

use std::fs::OpenOptions;

use crate::common::{
    info, mount_local,
    objects::{assert_all_space_is_of_objects, key, local_store_of, placed_bytes, refusal},
    pattern::pattern,
    pool,
};
use mc_segment::{
    BufferDescriptor, Memory, PlacementError, Replicas, Segment, SegmentId, SegmentInfo, Strategy,
};
use mc_store::{
    ObjectStore, PutError, PutRequest, ReadError, Removal, StoreOptions, WriteError, copy_bytes,
};

const PAIR: [u64; 2] = [3_000, 700];

/// Puts an object whose bytes follow from its number.
#[track_caller]
fn put(store: &ObjectStore, number: u64, request: &PutRequest<'_>) -> Result<(), PutError> {
    let mut put = store.put(&key(number), request)?;
    let size = request.parts.iter().sum::<u64>();
    put.write(0, &pattern(number, 0, size)).unwrap();
    put.commit().unwrap();
    Ok(())
}

/// Checks that all parts of an object are there with their bytes.
#[track_caller]
fn check(store: &ObjectStore, number: u64, parts: &[u64], align: u64) -> Vec<BufferDescriptor> {
    let lease = store.get(&key(number)).unwrap();
    let size = parts.iter().sum::<u64>();
    assert_eq!(lease.parts().collect::<Vec<_>>(), parts);
    assert_eq!(lease.size(), size);
    let bytes = pattern(number, 0, size);
    assert_eq!(lease.read().unwrap(), bytes);
    let mut some = vec![0; 100];
    let offset = usize::try_from(parts[0]).unwrap() - 50;
    lease.read_at(offset as u64, &mut some).unwrap();
    assert_eq!(some, bytes[offset..offset + 100]);
    let places = lease.descriptors();
    assert_eq!(places.len(), parts.len() * lease.replicas().len());
    for (place, size) in places.iter().zip(parts.iter().cycle()) {
        let pieces = place.extents.iter().map(|extent| extent.size);
        assert_eq!((place.size, pieces.sum::<u64>()), (*size, *size));
        assert_eq!(place.address, place.extents[0].address);
        assert!(place.extents.iter().all(|at| at.address % align == 0));
    }
    places
}

#[test]
fn each_part_has_a_descriptor_at_the_alignment() {
    let store = local_store_of(&[40_000, 40_000], StoreOptions::default());
    let request = PutRequest {
        align: 512,
        replicas: Replicas::exact(2),
        ..PutRequest::of_parts(&PAIR)
    };
    put(&store, 1, &request).unwrap();
    let places = check(&store, 1, &PAIR, 512);
    assert_eq!(places[0].segment, places[1].segment);
    assert_ne!(places[0].segment, places[2].segment);
    assert_eq!(places[1].address, places[0].address + 3_072);
    let stats = store.stats();
    assert_eq!(
        (stats.live_bytes, stats.useful_bytes),
        (2 * 3_772, 2 * 3_700)
    );
    assert_all_space_is_of_objects(&store);
}

#[test]
fn parts_may_be_in_the_pieces_that_are_allowed() {
    for align in [1, 64] {
        let store = local_store_of(&[8_192], StoreOptions::default());
        // Holes of 2,048 bytes with pinned objects in between.
        for number in 10..14 {
            put(&store, number, &PutRequest::of_parts(&[2_000, 48])).unwrap();
        }
        for number in [11, 13] {
            assert!(store.pin(&key(number)));
        }
        let parts = [1_000, 2_000, 900];
        let request = PutRequest {
            align,
            max_extents: 2,
            ..PutRequest::of_parts(&parts)
        };
        put(&store, 1, &request).unwrap();
        let places = check(&store, 1, &parts, align);
        let pieces: Vec<_> = places.iter().map(|place| place.extents.len()).collect();
        assert_eq!(pieces, [1, 2, 1], "the middle part is in both holes");
        assert_all_space_is_of_objects(&store);
    }
}

#[test]
fn a_part_more_than_fits_stores_and_evicts_nothing() {
    let store = local_store_of(&[10_000], StoreOptions::default());
    for number in 0..2 {
        put(&store, number, &PutRequest::of_parts(&PAIR)).unwrap();
    }
    assert!(store.pin(&key(0)) && store.pin(&key(1)));
    let refused = refusal(&store, 2, &PutRequest::of_parts(&[1_000, 1_000, 1_000]));
    assert!(matches!(refused, PutError::NoRoom { .. }), "{refused}");
    assert_eq!(store.stats().objects, 2);
    assert!(store.unpin(&key(1)));
    let refused = refusal(&store, 2, &PutRequest::of_parts(&[1, 20_000]));
    assert!(matches!(refused, PutError::Place(_)), "{refused}");
    check(&store, 1, &PAIR, 1);
    // Evicted for a single byte too many, both parts leave.
    put(&store, 2, &PutRequest::of_parts(&[1_000, 1_000, 1_000])).unwrap();
    assert!(!store.exists(&key(1)));
    assert_eq!(store.stats().on_demand.bytes, 3_700);
    assert_all_space_is_of_objects(&store);
}

#[test]
fn a_put_that_is_given_up_leaves_nothing_of_any_part() {
    let store = local_store_of(&[10_000], StoreOptions::default());
    let mut given_up = store.put(&key(1), &PutRequest::of_parts(&PAIR)).unwrap();
    given_up.write(0, &[7; 3_500]).unwrap();
    let beyond = given_up.write(3_600, &[7; 101]).unwrap_err();
    assert!(matches!(beyond, WriteError::Bytes(_)), "{beyond}");
    drop(given_up);
    assert!(!store.exists(&key(1)));
    assert_eq!(placed_bytes(store.pool()), 0);
}

#[test]
fn parts_that_make_no_sense_are_refused() {
    let store = local_store_of(&[10_000], StoreOptions::default());
    let refused = |parts: &[u64]| refusal(&store, 1, &PutRequest::of_parts(parts));
    assert_eq!(refused(&[5, 0, 5]), PutError::EmptyPart { part: 1 });
    assert_eq!(
        refused(&[u64::MAX, 2]),
        PutError::PartsTooLarge { parts: 2 }
    );
    assert_eq!(refused(&[]), PutError::Place(PlacementError::ZeroSize));
    let odd = PutRequest {
        align: 3,
        ..PutRequest::of_parts(&PAIR)
    };
    assert!(matches!(refusal(&store, 1, &odd), PutError::Place(_)));
    let stats = store.stats();
    assert_eq!((stats.refused.impossible, stats.refused.too_large), (3, 1));
    assert_eq!(placed_bytes(store.pool()), 0);
}

#[test]
fn moved_and_added_replicas_have_all_parts() {
    let options = StoreOptions {
        has_checksums: true,
        ..StoreOptions::default()
    };
    let store = local_store_of(&[10_000, 10_000], options);
    let request = PutRequest {
        align: 256,
        preferred: &[SegmentId(1)],
        ..PutRequest::of_parts(&PAIR)
    };
    put(&store, 1, &request).unwrap();
    store.add_replica(&key(1), copy_bytes).unwrap().unwrap();
    assert_eq!(check(&store, 1, &PAIR, 256).len(), 4);
    mount_local(store.pool(), &[10_000; 3]);
    store.pool().drain(SegmentId(1)).unwrap();
    assert_eq!(
        store.move_out(SegmentId(1), copy_bytes).unwrap().replicas,
        1
    );
    let places = check(&store, 1, &PAIR, 256);
    assert!(places.iter().all(|place| place.segment != SegmentId(1)));
    assert_eq!(store.read(&key(1)).unwrap(), Some(pattern(1, 0, 3_700)));
}

#[test]
fn a_checksum_is_that_of_the_parts_alone() {
    let options = StoreOptions {
        has_checksums: true,
        ..StoreOptions::default()
    };
    let store = local_store_of(&[10_000], options);
    let request = PutRequest {
        align: 1_024,
        ..PutRequest::of_parts(&PAIR)
    };
    let mut begun = store.put(&key(1), &request).unwrap();
    let bytes = pattern(1, 0, 3_700);
    // Whatever is between the parts counts for nothing.
    begun.replicas_mut()[0].write_at(0, &[9; 3_772]).unwrap();
    begun.write(0, &bytes).unwrap();
    begun.commit().unwrap();
    let lease = store.get(&key(1)).unwrap();
    assert_eq!(lease.checksum(), Some(crc32(&bytes)));
    assert_eq!(lease.read().unwrap(), bytes);
    let beyond = lease.read_at(3_700, &mut [0]).unwrap_err();
    assert!(matches!(beyond, ReadError::Bytes(_)), "{beyond}");
}

fn crc32(bytes: &[u8]) -> u32 {
    crc32fast::hash(bytes)
}

#[test]
fn after_the_end_of_the_process_all_parts_are_there_or_none() {
    let directory = tempfile::tempdir().unwrap();
    let segment = |info: &SegmentInfo| {
        let mut options = OpenOptions::new();
        options.read(true).write(true).create(true).truncate(false);
        let file = options.open(directory.path().join("bytes")).unwrap();
        file.set_len(info.size).unwrap();
        Segment::local(info.clone(), Memory::file(file))
    };
    let open = |name| {
        let pool = pool(Strategy::Random, 1);
        let options = StoreOptions {
            has_checksums: true,
            ..StoreOptions::default()
        };
        let reopen = |info: &SegmentInfo| Some(segment(info));
        ObjectStore::open(&directory.path().join(name), pool, options, reopen).unwrap()
    };
    let store = open("store").store;
    store.pool().mount(segment(&info(1, 50_000))).unwrap();
    let request = PutRequest {
        align: 64,
        ..PutRequest::of_parts(&PAIR)
    };
    let sizes: Vec<[u64; 2]> = (0..8).map(|number| [3_000, 600 + number]).collect();
    for (number, parts) in (0..).zip(&sizes) {
        put(&store, number, &PutRequest { parts, ..request }).unwrap();
    }
    store.remove(&key(3), Removal::IfIdle).unwrap();
    let mut half = store.put(&key(9), &request).unwrap();
    half.write(0, &[1; 3_000]).unwrap();
    // What the files are when the process ends.
    std::fs::create_dir(directory.path().join("copy")).unwrap();
    for entry in std::fs::read_dir(directory.path().join("store")).unwrap() {
        let from = entry.unwrap().path();
        let copy = directory
            .path()
            .join("copy")
            .join(from.file_name().unwrap());
        std::fs::copy(&from, &copy).unwrap();
    }
    drop((half, store));
    for _ in 0..2 {
        let opened = open("copy");
        let store = opened.store;
        assert_eq!((opened.damage.len(), opened.lost.len()), (0, 0));
        for (number, parts) in (0..).zip(&sizes).filter(|(number, _)| *number != 3) {
            check(&store, number, parts, 64);
        }
        assert!(!store.exists(&key(3)) && !store.exists(&key(9)));
        assert_eq!(store.stats().lingering, 1, "the space of the half object");
        store.check_invariants();
    }
}

#[test]
fn an_object_of_one_part_is_as_any_other() {
    let store = local_store_of(&[40_000], StoreOptions::default());
    put(&store, 9, &PutRequest::of_parts(&[500])).unwrap();
    let lease = store.get(&key(9)).unwrap();
    assert_eq!((lease.size(), lease.parts().len()), (500, 1));
    assert_eq!(lease.descriptors().len(), 1);
}
