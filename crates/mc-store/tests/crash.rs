//! Saving a store when the kernel refuses a step of it, and when the process
//! ends in one: the file is the old one or the new one, and whole.
//!
//! Each step runs in a process of its own, where a filter of the kernel hits
//! exactly its system call.
#![expect(clippy::unwrap_used, reason = "a failed set-up fails the test")]

mod common;

use std::{
    collections::BTreeMap,
    env,
    ffi::OsString,
    fs::{self, File},
    os::{fd::AsRawFd, unix::process::ExitStatusExt},
    path::Path,
    process::{Command, ExitStatus},
};

use common::{mount_sizes, pool};
use mc_segment::{Memory, Request, Strategy};
use mc_store::{ObjectStore, StoreOptions};
use nix::{
    libc,
    sys::resource::{Resource, setrlimit},
};
use seccompiler::{
    BpfProgram, SeccompAction, SeccompCmpArgLen::Dword, SeccompCmpOp, SeccompCondition,
    SeccompFilter, SeccompRule,
};

/// Steps of a save, in their order.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd)]
enum Step {
    Create,
    Write,
    SyncFile,
    Rename,
    OpenDirectory,
    SyncDirectory,
}

const STEPS: [Step; 6] = [
    Step::Create,
    Step::Write,
    Step::SyncFile,
    Step::Rename,
    Step::OpenDirectory,
    Step::SyncDirectory,
];

/// Tell the child the file, the place of the step in [`STEPS`], and what
/// happens there.
const VARIABLES: [&str; 3] = ["MC_TEST_FILE", "MC_TEST_STEP", "MC_TEST_FATE"];

/// What happens at a step.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Fate {
    /// The system call is refused as on a full disk.
    Refused,
    /// The process ends before the system call does anything.
    Killed,
}

const OBJECTS_OLD: u32 = 3;
const OBJECTS_NEW: u32 = 500;

/// A store whose file tells by the number of its objects which one it is.
fn store(objects: u32) -> ObjectStore {
    let pool = pool(Strategy::Random, 1);
    mount_sizes(&pool, &[1 << 20]);
    let store = ObjectStore::new(pool, StoreOptions::default()).unwrap();
    for number in 0..objects {
        let put = store.put(&number.to_be_bytes(), &Request::new(100));
        put.unwrap().commit();
    }
    store
}

/// Returns the objects of a file, which is whole; none if there is no file.
#[track_caller]
fn load(path: &Path) -> Option<u64> {
    if !path.exists() {
        return None;
    }
    let restored = ObjectStore::load(path, |saved| saved, |_| Memory::Remote).unwrap();
    assert!(restored.is_whole(), "{:?}", restored.dropped);
    Some(restored.store.stats().objects)
}

#[test]
fn a_refused_step_leaves_the_old_file_or_the_new_one() {
    for step in STEPS {
        check(step, Fate::Refused);
    }
}

#[test]
fn a_process_that_ends_in_a_step_leaves_the_old_file_or_the_new_one() {
    for step in STEPS {
        check(step, Fate::Killed);
    }
}

/// Saves in a child with and without a file to be replaced, and looks at what
/// is there then.
fn check(step: Step, fate: Fate) {
    for old in [None, Some(OBJECTS_OLD)] {
        let directory = tempfile::tempdir().unwrap();
        let path = directory.path().join("store");
        if let Some(objects) = old {
            store(objects).save(&path).unwrap();
        }
        let status = save_in_a_child(&path, step, fate);
        match fate {
            Fate::Refused => assert!(status.success(), "{step:?}: {status}"),
            // By its signal one sees that the step was there to be hit.
            Fate::Killed => assert_eq!(status.signal(), Some(libc::SIGSYS), "{step:?}: {status}"),
        }

        let is_renamed = step > Step::Rename;
        let expected = if is_renamed { Some(OBJECTS_NEW) } else { old };
        assert_eq!(load(&path), expected.map(u64::from), "{step:?} {fate:?}");
        let is_left = fate == Fate::Killed && !is_renamed && step > Step::Create;
        assert_eq!(
            temporary_files(directory.path()),
            usize::from(is_left),
            "{step:?} {fate:?}"
        );

        store(OBJECTS_NEW + 1).save(&path).unwrap();
        assert_eq!(load(&path), Some(u64::from(OBJECTS_NEW + 1)), "{step:?}");
    }
}

/// Counts the files beside the store, which all have the documented name.
fn temporary_files(directory: &Path) -> usize {
    let names = fs::read_dir(directory).unwrap();
    let names = names.map(|entry| entry.unwrap().file_name());
    let others: Vec<OsString> = names.filter(|name| name != "store").collect();
    let is_named = |name: &OsString| name.to_str().unwrap().starts_with(".mcstore-");
    assert!(others.iter().all(is_named), "{others:?}");
    others.len()
}

fn save_in_a_child(path: &Path, step: Step, fate: Fate) -> ExitStatus {
    let place = STEPS.iter().position(|&one| one == step).unwrap();
    let values: [OsString; 3] = [
        path.into(),
        place.to_string().into(),
        format!("{fate:?}").into(),
    ];
    Command::new(env::current_exe().unwrap())
        .args(["--ignored", "--exact", "child_that_saves"])
        .envs(VARIABLES.into_iter().zip(values))
        .output()
        .unwrap()
        .status
}

#[test]
#[ignore = "runs in the processes that the other tests of this file start"]
#[expect(
    clippy::disallowed_methods,
    reason = "how the first process tells what is to happen"
)]
fn child_that_saves() {
    let [path, place, fate] = VARIABLES.map(|name| env::var(name).unwrap());
    let path = Path::new(&path);
    let step = STEPS[place.parse::<usize>().unwrap()];
    let store = store(OBJECTS_NEW);
    // The descriptor that is opened next gets this number again.
    let temporary = File::open("/dev/null").unwrap().as_raw_fd();
    if fate == format!("{:?}", Fate::Killed) {
        setrlimit(Resource::RLIMIT_CORE, 0, 0).unwrap();
        hit(step, temporary, SeccompAction::KillProcess);
    } else {
        hit(step, temporary, refusal(libc::ENOSPC));
    }
    let error = store.save(path).unwrap_err();
    assert!(
        error.to_string().contains(path.to_str().unwrap()),
        "{error}"
    );
}

fn refusal(errno: i32) -> SeccompAction {
    SeccompAction::Errno(errno.unsigned_abs())
}

/// Lets the kernel do this to the system call of a step on this thread;
/// `temporary` is the descriptor of the file that is written.
fn hit(step: Step, temporary: i32, action: SeccompAction) {
    let temporary = u64::from(temporary.unsigned_abs());
    let create = u64::from(libc::O_CREAT.unsigned_abs());
    let flags = |value| (2, SeccompCmpOp::MaskedEq(create), value);
    match step {
        Step::Create => filter(&[libc::SYS_openat], flags(create), action),
        Step::Write => filter(&[libc::SYS_write], (0, SeccompCmpOp::Eq, temporary), action),
        Step::SyncFile => filter(&[libc::SYS_fsync], (0, SeccompCmpOp::Eq, temporary), action),
        Step::Rename => filter(RENAMES, (0, SeccompCmpOp::Ge, 0), action),
        Step::OpenDirectory => filter(&[libc::SYS_openat], flags(0), action),
        Step::SyncDirectory => {
            // As the temporary file stays open, the directory gets another descriptor.
            filter(
                &[libc::SYS_close],
                (0, SeccompCmpOp::Eq, temporary),
                refusal(libc::EIO),
            );
            filter(&[libc::SYS_fsync], (0, SeccompCmpOp::Ne, temporary), action);
        }
    }
}

#[cfg(target_arch = "x86_64")]
const RENAMES: &[i64] = &[libc::SYS_rename, libc::SYS_renameat, libc::SYS_renameat2];
#[cfg(not(target_arch = "x86_64"))]
const RENAMES: &[i64] = &[libc::SYS_renameat, libc::SYS_renameat2];

/// Does `action` to those of the system calls whose argument at an index
/// compares so.
fn filter(calls: &[i64], argument: (u8, SeccompCmpOp, u64), action: SeccompAction) {
    let (index, operator, value) = argument;
    let condition = SeccompCondition::new(index, Dword, operator, value).unwrap();
    let rule = SeccompRule::new(vec![condition]).unwrap();
    let rules: BTreeMap<_, _> = calls
        .iter()
        .map(|&call| (call, vec![rule.clone()]))
        .collect();
    let architecture = env::consts::ARCH.try_into().unwrap();
    let filter = SeccompFilter::new(rules, SeccompAction::Allow, action, architecture);
    let program: BpfProgram = filter.unwrap().try_into().unwrap();
    seccompiler::apply_filter(&program).unwrap();
}
