//! What goes wrong with a store has a status of its own, and a message.
//!
//! - Every status that is a store's can be met by calls of the interface.
//! - A call that fails leaves its results and the store as they were.

#![expect(unsafe_code, reason = "calls the interface as a program in C does")]
#![expect(clippy::unwrap_used, reason = "a failed set-up fails the test")]

use std::{
    collections::BTreeSet,
    ffi::{CStr, CString, c_void},
    fs,
    mem::MaybeUninit,
    ptr,
    sync::atomic::{AtomicU64, Ordering},
};

use mc_alloc::*;

const SEGMENT_BYTES: u64 = 64 << 10;

/// Time that stands still until it is turned, in nanoseconds.
static CLOCK: AtomicU64 = AtomicU64::new(0);

unsafe extern "C" fn read_clock(_: *mut c_void) -> u64 {
    CLOCK.load(Ordering::Relaxed)
}

unsafe extern "C" fn fail_to_copy(
    _: *mut c_void,
    _: *const Description,
    _: *const Description,
    _: u64,
    _: u64,
) -> bool {
    false
}

fn key(text: &str) -> Key {
    Key {
        start: text.as_ptr().cast(),
        bytes: text.len(),
    }
}

fn id(low: u64) -> SegmentNumber {
    SegmentNumber { high: 0, low }
}

fn message() -> String {
    // SAFETY: (1) the pointer is to a C string; (2) no call fails before it is copied.
    let text = unsafe { CStr::from_ptr(mc_error_message()) };
    text.to_str().unwrap().to_owned()
}

/// Returns what a call writes if it succeeds.
fn made<T>(call: impl FnOnce(Option<&mut MaybeUninit<T>>) -> Status) -> Result<T, Status> {
    let mut out = MaybeUninit::uninit();
    match call(Some(&mut out)) {
        // SAFETY: a call that succeeds has written its result.
        Status::Ok => Ok(unsafe { out.assume_init() }),
        status => {
            assert!(!message().is_empty(), "{status:?}");
            Err(status)
        }
    }
}

fn pool() -> PoolHandle {
    let mut options = mc_arena_options_default(SEGMENT_BYTES);
    options.pages = MC_PAGES_OFF;
    // SAFETY: there are no nodes and no file.
    made(|out| unsafe { mc_pool_create(Some(&options), ptr::null(), out) }).unwrap()
}

fn segment(low: u64) -> SegmentTerms {
    let mut segment = mc_segment_options_default(id(low), low << 32, SEGMENT_BYTES);
    segment.memory = pool();
    segment
}

fn mount(store: StoreHandle, segment: &SegmentTerms) -> Status {
    // SAFETY: all texts are null.
    unsafe { mc_store_mount(store, Some(segment), None) }
}

fn store_with(options: &ObjectStoreOptions) -> StoreHandle {
    // SAFETY: the functions of the options take any argument.
    let store = made(|out| unsafe { mc_store_create(Some(options), out) }).unwrap();
    assert_eq!(mount(store, &segment(1)), Status::Ok);
    store
}

fn store() -> StoreHandle {
    store_with(&mc_store_options_default())
}

fn put_with(store: StoreHandle, name: &str, options: &PutTerms) -> Result<PutHandle, Status> {
    // SAFETY: the key is a text that lives through the call, the options point to such.
    made(|out| unsafe { mc_store_put(store, key(name), Some(options), out) })
}

fn put(store: StoreHandle, name: &str, size: u64) -> Result<(), Status> {
    let put = put_with(store, name, &mc_put_options_default(size))?;
    match mc_put_commit(put) {
        Status::Ok => Ok(()),
        status => Err(status),
    }
}

fn get(store: StoreHandle, name: &str) -> Result<LeaseHandle, Status> {
    // SAFETY: the key is a text that lives through the call.
    made(|out| unsafe { mc_store_get(store, key(name), out) })
}

fn remove(store: StoreHandle, name: &str) -> Status {
    // SAFETY: the key is a text that lives through the call.
    unsafe { mc_store_remove(store, key(name), MC_REMOVE_IF_IDLE) }
}

fn describe(store: StoreHandle) -> StoreReport {
    made(|out| mc_store_describe(store, out)).unwrap()
}

/// Meets each status once.
fn meet_all() -> Vec<Status> {
    let mut met = Vec::new();
    met.extend(meet_those_of_keys());
    met.extend(meet_those_of_limits());
    met.extend(meet_those_of_segments());
    met.extend(meet_those_of_time_and_bytes());
    met.push(meet_that_of_the_journal());
    met
}

fn meet_those_of_keys() -> Vec<Status> {
    let store = store();
    put(store, "k", 10).unwrap();
    let before = describe(store);
    let mut met = vec![
        put(store, "k", 10).unwrap_err(),
        get(store, "none").unwrap_err(),
        remove(store, "none"),
    ];
    let pending = put_with(store, "p", &mc_put_options_default(1)).unwrap();
    met.push(put(store, "p", 1).unwrap_err());
    assert_eq!(mc_put_abort(pending), Status::Ok);
    let lease = get(store, "k").unwrap();
    met.push(remove(store, "k"));
    assert_eq!(mc_lease_release(lease), Status::Ok);
    // SAFETY: the key is a text that lives through the call.
    assert_eq!(unsafe { mc_store_pin(store, key("k")) }, Status::Ok);
    met.push(remove(store, "k"));
    assert_eq!(
        met,
        [
            Status::Exists,
            Status::NotStored,
            Status::NotStored,
            Status::InFlight,
            Status::Leased,
            Status::Pinned
        ]
    );
    let after = describe(store);
    assert_eq!(
        (after.objects, after.live_bytes, after.removed),
        (before.objects, before.live_bytes, before.removed)
    );
    met
}

fn meet_those_of_limits() -> Vec<Status> {
    let store = store();
    let full = put_with(store, "all", &mc_put_options_default(SEGMENT_BYTES)).unwrap();
    let mut met = vec![
        put(store, "more", 1).unwrap_err(),
        put(store, "large", SEGMENT_BYTES + 1).unwrap_err(),
    ];
    let figures = made(|out| mc_error_figures(out)).unwrap();
    assert_eq!(figures.asked, SEGMENT_BYTES + 1);
    assert_eq!(mc_put_abort(full), Status::Ok);
    let name = c"tenant";
    // SAFETY: the name is a constant.
    let set = unsafe { mc_store_tenant(store, name.as_ptr(), 0, 100) };
    assert_eq!(set, Status::Ok);
    let mut options = mc_put_options_default(101);
    options.tenant = name.as_ptr();
    met.push(put_with(store, "t", &options).unwrap_err());
    let figures = made(|out| mc_error_figures(out)).unwrap();
    assert_eq!((figures.asked, figures.used, figures.most), (101, 0, 100));
    assert_eq!(
        met,
        [Status::NoSpace, Status::TooLarge, Status::QuotaExceeded]
    );
    met
}

fn meet_those_of_segments() -> Vec<Status> {
    let store = store();
    put(store, "k", 10).unwrap();
    let mut older = segment(2);
    older.epoch = 5;
    assert_eq!(mount(store, &older), Status::Ok);
    older.epoch = 4;
    let mut overlapping = segment(3);
    overlapping.base = older.base;
    overlapping.endpoint = c"2".as_ptr();
    let mut met = vec![
        mc_store_drain(store, id(9)),
        mc_store_finish_drain(store, id(1)),
        mount(store, &older),
        mount(store, &overlapping),
    ];
    let lease = get(store, "k").unwrap();
    assert_eq!(mc_store_drain(store, id(2)), Status::Ok);
    met.push(mc_store_shrink(store, id(1), 1, None));
    assert_eq!(mc_lease_release(lease), Status::Ok);
    assert_eq!(mc_store_resume(store, id(2)), Status::Ok);
    assert_eq!(mc_store_drain(store, id(1)), Status::Ok);
    let null = ptr::null_mut();
    // SAFETY: the function takes any argument.
    let moved =
        unsafe { mc_store_move_out(store, id(1), Some(fail_to_copy), null, None, null, None) };
    met.push(moved);
    assert_eq!(
        met,
        [
            Status::NotMounted,
            Status::WrongState,
            Status::WrongState,
            Status::Occupied,
            Status::Busy,
            Status::CopyFailed
        ]
    );
    met
}

fn meet_those_of_time_and_bytes() -> Vec<Status> {
    let mut options = mc_store_options_default();
    options.clock = Some(read_clock);
    let store = store_with(&options);
    let late = put_with(store, "late", &mc_put_options_default(1)).unwrap();
    CLOCK.fetch_add(700_000_000_000, Ordering::Relaxed);
    let mut met = vec![mc_put_commit(late)];

    let wrong = put_with(store, "wrong", &mc_put_options_default(1)).unwrap();
    assert_eq!(mc_put_set_checksum(wrong, 1), Status::Ok);
    assert_eq!(mc_put_commit(wrong), Status::Ok);
    let lease = get(store, "wrong").unwrap();
    let mut bytes = [0_u8; 8];
    let (start, room) = (bytes.as_mut_ptr().cast(), bytes.len());
    // SAFETY: there is room for so many bytes.
    met.push(made(|out| unsafe { mc_lease_read_all(lease, start, room, out) }).unwrap_err());
    let null = ptr::null_mut();
    // SAFETY: there is no function.
    let unmounted = unsafe { mc_store_unmount(store, id(1), None, null) };
    assert_eq!(unmounted, Status::Ok);
    // SAFETY: there is room for so many bytes.
    met.push(unsafe { mc_lease_read(lease, 0, start, 1) });
    assert_eq!(met, [Status::Expired, Status::Corrupt, Status::Unreadable]);
    met
}

/// Takes the directory of a store away, so that no further file can be made in it.
fn meet_that_of_the_journal() -> Status {
    let directory = tempfile::tempdir().unwrap();
    let inside = directory.path().join("store");
    let path = CString::new(inside.to_str().unwrap()).unwrap();
    let mut options = mc_store_options_default();
    options.journal_file_bytes = 4096;
    let segment = segment(1);
    // SAFETY: the path is a text that lives through the call, and one segment is passed.
    let store = made(|out| unsafe {
        mc_store_open(Some(&options), path.as_ptr(), &raw const segment, 1, out)
    });
    let store = store.unwrap();
    fs::remove_dir_all(&inside).unwrap();
    for number in 0..10_000 {
        let name = format!("key/{number}");
        match put(store, &name, 1) {
            Ok(()) => assert_eq!(remove(store, &name), Status::Ok),
            Err(status) => {
                assert_eq!(status, Status::Journal);
                assert_eq!(mc_store_sync(store), Status::Journal);
                return status;
            }
        }
    }
    panic!("10,000 puts fit into files that cannot be made");
}

#[test]
fn every_status_of_a_store_is_met() {
    let met: BTreeSet<u32> = meet_all().into_iter().map(|status| status as u32).collect();
    let own = Status::NotStored as u32..=Status::CopyFailed as u32;
    let missing: Vec<u32> = own.filter(|status| !met.contains(status)).collect();
    assert!(missing.is_empty(), "nobody has met {missing:?}");
}

#[test]
fn a_failed_call_writes_no_result() {
    let store = store();
    let mut out = MaybeUninit::new(LeaseHandle { id: 77 });
    // SAFETY: the key is a text that lives through the call.
    let status = unsafe { mc_store_get(store, key("none"), Some(&mut out)) };
    assert_eq!(status, Status::NotStored);
    // SAFETY: it was initialized above.
    assert_eq!(unsafe { out.assume_init() }.id, 77);
    assert_eq!(message(), "the key is not stored");
}

#[test]
fn options_of_another_version_are_told_before_their_fields_are_read() {
    let mut options = mc_store_options_default();
    options.struct_bytes = 8;
    options.strategy = 77;
    // SAFETY: there are no functions.
    let created = made(|out| unsafe { mc_store_create(Some(&options), out) });
    assert_eq!(created, Err(Status::InvalidArgument));
    assert!(message().starts_with("struct_bytes is 8;"), "{}", message());
    let directory = tempfile::tempdir().unwrap();
    let path = CString::new(directory.path().join("store").to_str().unwrap()).unwrap();
    // SAFETY: there are no functions and no segments, and the path ends with a zero byte.
    let open = |out: Option<&mut _>| unsafe {
        mc_store_open(Some(&options), path.as_ptr(), ptr::null(), 0, out)
    };
    assert_eq!(made(open), Err(Status::InvalidArgument));
    assert!(message().starts_with("struct_bytes is 8;"), "{}", message());
    assert!(!directory.path().join("store").exists());
}

#[test]
fn a_file_without_a_name_is_not_memory_that_ends_with_the_process() {
    let mut options = mc_arena_options_default(SEGMENT_BYTES);
    options.pages = MC_PAGES_OFF;
    // SAFETY: there are no nodes, and the path ends with a zero byte.
    let pool = made(|out| unsafe { mc_pool_create(Some(&options), c"".as_ptr(), out) });
    assert_eq!(pool, Err(Status::InvalidArgument));
    assert_eq!(
        message(),
        "argument file is empty; accepted is a path, or null for none"
    );
}

#[test]
fn mounting_a_segment_again_loses_nothing() {
    let directory = tempfile::tempdir().unwrap();
    let path = CString::new(directory.path().to_str().unwrap()).unwrap();
    let options = mc_store_options_default();
    let twice = [segment(1); 2];
    // SAFETY: the path is a text that lives through the call, and two segments are passed.
    let opened =
        made(|out| unsafe { mc_store_open(Some(&options), path.as_ptr(), twice.as_ptr(), 2, out) });
    let store = opened.unwrap();
    put(store, "k", 10).unwrap();
    // SAFETY: all texts are null.
    let mounting = made(|out| unsafe { mc_store_mount(store, Some(&twice[0]), out) });
    assert_eq!(mounting, Ok(MC_ALREADY_MOUNTED));
    assert!(get(store, "k").is_ok());
}

#[test]
fn nothing_moves_out_of_a_segment_that_is_not_mounted() {
    let store = store();
    let move_out = |low| {
        let null = ptr::null_mut();
        // SAFETY: there are no functions.
        unsafe { mc_store_move_out(store, id(low), None, null, None, null, None) }
    };
    assert_eq!(move_out(1), Status::Ok);
    assert_eq!(move_out(9), Status::NotMounted);
}

#[test]
fn a_segment_of_an_older_epoch_is_refused_where_a_directory_is_opened() {
    let directory = tempfile::tempdir().unwrap();
    let path = CString::new(directory.path().to_str().unwrap()).unwrap();
    let options = mc_store_options_default();
    let opened = |epoch| {
        let segment = SegmentTerms {
            epoch,
            ..segment(1)
        };
        // SAFETY: the path is a text that lives through the call, and one segment is passed.
        made(|out| unsafe {
            mc_store_open(Some(&options), path.as_ptr(), &raw const segment, 1, out)
        })
    };
    let store = opened(1 << 63).unwrap();
    put(store, "k", 10).unwrap();
    assert_eq!(mc_store_destroy(store), Status::Ok);
    assert_eq!(opened(5), Err(Status::WrongState));
    let store = opened(1 << 63).unwrap();
    assert!(get(store, "k").is_ok());
    assert_eq!(mc_store_destroy(store), Status::Ok);
    // Memory without a file is newer whatever the time is.
    let store = opened(0).unwrap();
    assert_eq!(get(store, "k"), Err(Status::NotStored));
    put(store, "k", 10).unwrap();
}
