//! A journal whose process ends at any instant, or whose system calls are refused: every record whose
//! append returned is there, and none that was not appended.
//!
//! Each case runs in a process of its own, where a filter of the kernel hits exactly its system call, or
//! a signal ends it.
#![expect(clippy::unwrap_used, reason = "a failed set-up fails the test")]

use std::{
    collections::BTreeMap,
    env,
    ffi::OsString,
    io::{BufRead as _, BufReader, Write as _},
    os::unix::process::ExitStatusExt as _,
    path::Path,
    process::{Command, ExitStatus, Stdio},
    thread,
    time::Duration,
};

use crate::common::journal::{
    SMALL, append, commit, commit_numbers, journal_files, keys, mount, mount_in, open,
};
use mc_store::journal::{Damage, Durability, Journal, JournalError, JournalOptions, Record};
use nix::{
    libc,
    sys::resource::{Resource, setrlimit},
};
use seccompiler::{
    BpfProgram, SeccompAction, SeccompCmpArgLen::Dword, SeccompCmpOp, SeccompCondition,
    SeccompFilter, SeccompRule,
};

/// Tell the child the directory, the place of the step in [`STEPS`], and what happens there.
const VARIABLES: [&str; 3] = ["MC_TEST_DIRECTORY", "MC_TEST_STEP", "MC_TEST_FATE"];

/// What a journal asks of the kernel: for the next file, for a compaction, and for the disk.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Step {
    CreateFile,
    ReserveFile,
    MapFile,
    PopulateFile,
    CreateSnapshot,
    WriteSnapshot,
    SyncSnapshot,
    RenameSnapshot,
    RemoveFiles,
    SyncFile,
}

const STEPS: [Step; 10] = [
    Step::CreateFile,
    Step::ReserveFile,
    Step::MapFile,
    Step::PopulateFile,
    Step::CreateSnapshot,
    Step::WriteSnapshot,
    Step::SyncSnapshot,
    Step::RenameSnapshot,
    Step::RemoveFiles,
    Step::SyncFile,
];

/// What happens at a step.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Fate {
    /// The system call is refused as on a full disk.
    Refused,
    /// The process ends before the system call does anything.
    Killed,
}

/// Objects before the step; some of them are in a snapshot.
const BEFORE: u64 = 60;

impl Step {
    fn is_of_a_compaction(self) -> bool {
        use Step::{CreateSnapshot, RemoveFiles, RenameSnapshot, SyncSnapshot, WriteSnapshot};
        let of_a_compaction = [
            CreateSnapshot,
            WriteSnapshot,
            SyncSnapshot,
            RenameSnapshot,
            RemoveFiles,
        ];
        of_a_compaction.contains(&self)
    }
}

#[test]
fn a_refused_step_loses_nothing() {
    for step in STEPS {
        check(step, Fate::Refused);
    }
}

#[test]
fn a_process_that_ends_in_a_step_loses_nothing() {
    for step in STEPS {
        check(step, Fate::Killed);
    }
}

/// Runs a step in a child, and looks at what is there then.
fn check(step: Step, fate: Fate) {
    let directory = tempfile::tempdir().unwrap();
    let status = run_child(directory.path(), step, fate);
    match fate {
        Fate::Refused => assert!(status.success(), "{step:?}: {status}"),
        // By its signal one sees that the step was there to be hit.
        Fate::Killed => assert_eq!(status.signal(), Some(libc::SIGSYS), "{step:?}: {status}"),
    }
    for _ in 0..2 {
        let (journal, recovered) = open(directory.path());
        assert_eq!(recovered.damage, [], "{step:?} {fate:?}");
        let numbers: Vec<_> = (0..BEFORE).map(u64::to_be_bytes).collect();
        let found = keys(&recovered);
        assert!(
            found.len() >= numbers.len() && found[..numbers.len()] == numbers,
            "{step:?} {fate:?}: {found:?}"
        );
        let names = std::fs::read_dir(directory.path()).unwrap();
        let mut names = names.map(|entry| entry.unwrap().file_name());
        let is_temporary = |name: &OsString| name.to_str().unwrap().starts_with(".mcstore-");
        assert!(!names.any(|name| is_temporary(&name)), "{step:?} {fate:?}");
        append(&journal, &commit(b"later", 1 << 20));
        append(
            &journal,
            &Record::Removed {
                key: b"later",
                cause: 0,
            },
        );
    }
}

fn run_child(directory: &Path, step: Step, fate: Fate) -> ExitStatus {
    let place = STEPS.iter().position(|&one| one == step).unwrap();
    let values: [OsString; 3] = [
        directory.into(),
        place.to_string().into(),
        format!("{fate:?}").into(),
    ];
    Command::new(env::current_exe().unwrap())
        .args([
            "--ignored",
            "--exact",
            "journal_crash::child_whose_step_is_hit",
        ])
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
fn child_whose_step_is_hit() {
    let [directory, place, fate] = VARIABLES.map(|name| env::var(name).unwrap());
    let step = STEPS[place.parse::<usize>().unwrap()];
    let (journal, _) = open(Path::new(&directory));
    mount(&journal);
    commit_numbers(&journal, 0..BEFORE / 2);
    let mut compaction = journal.begin_compaction().unwrap();
    mount_in(&mut compaction);
    for number in 0..BEFORE / 2 {
        let key = number.to_be_bytes();
        compaction.write(&commit(&key, 100 * number)).unwrap();
    }
    compaction.finish().unwrap();
    commit_numbers(&journal, BEFORE / 2..BEFORE);

    let action = if fate == format!("{:?}", Fate::Killed) {
        setrlimit(Resource::RLIMIT_CORE, 0, 0).unwrap();
        SeccompAction::KillProcess
    } else {
        SeccompAction::Errno(libc::ENOSPC.unsigned_abs())
    };
    if step.is_of_a_compaction() {
        check_compaction(&journal, step, action);
    } else {
        check_appends(&journal, step, action);
    }
}

/// Compacts while a step fails: that is told, unless it is of no consequence, and appends go on.
fn check_compaction(journal: &Journal, step: Step, action: SeccompAction) {
    let compact = || -> Result<(), JournalError> {
        let mut compaction = journal.begin_compaction()?;
        if step != Step::CreateSnapshot {
            hit(step, action.clone());
        }
        mount_in(&mut compaction);
        for number in 0..BEFORE {
            let key = number.to_be_bytes();
            compaction.write(&commit(&key, 100 * number))?;
        }
        compaction.finish()
    };
    if step == Step::CreateSnapshot {
        // A compaction begins with a new file, which should be there before: files are made ahead.
        let files = journal_files(journal.path()).len();
        while journal_files(journal.path()).len() == files {
            append(journal, &commit(b"new", 1 << 21));
        }
        hit(step, action.clone());
    }
    let compacted = compact();
    assert_eq!(
        compacted.is_ok(),
        step == Step::RemoveFiles,
        "{compacted:?}"
    );
    append(journal, &commit(b"new", 1 << 21));
}

/// Appends, or syncs, until a step fails: that is told, and from then on nothing is written.
fn check_appends(journal: &Journal, step: Step, action: SeccompAction) {
    hit(step, action);
    let mut last = Ok(());
    for number in BEFORE..1_000 {
        let key = number.to_be_bytes();
        last = journal.append(&commit(&key, 100 * number)).map(drop);
        if step == Step::SyncFile {
            last = journal.sync();
        }
        if last.is_err() {
            break;
        }
    }
    assert!(matches!(last, Err(JournalError::Io { .. })), "{last:?}");
    let again = journal.append(&commit(b"more", 1 << 21));
    assert!(
        again.is_err(),
        "what follows a record that is missing is not written"
    );
}

/// Lets the kernel do this to the system call of a step on this thread.
fn hit(step: Step, action: SeccompAction) {
    let anything = (0, SeccompCmpOp::Ge, 0);
    let create = u64::from(libc::O_CREAT.unsigned_abs());
    let create = (2, SeccompCmpOp::MaskedEq(create), create);
    let shared = u64::from(libc::MAP_SHARED.unsigned_abs());
    let shared = (3, SeccompCmpOp::MaskedEq(shared), shared);
    let populate = u64::from(libc::MADV_POPULATE_WRITE.unsigned_abs());
    let populate = (2, SeccompCmpOp::Eq, populate);
    // Descriptors from 3 on, so that a test can still say that it failed.
    let files = (0, SeccompCmpOp::Ge, 3);
    match step {
        Step::CreateFile | Step::CreateSnapshot => filter(&[libc::SYS_openat], create, action),
        Step::ReserveFile => filter(&[libc::SYS_fallocate], anything, action),
        Step::MapFile => filter(&[libc::SYS_mmap], shared, action),
        Step::PopulateFile => filter(&[libc::SYS_madvise], populate, action),
        Step::WriteSnapshot => filter(&[libc::SYS_write], files, action),
        Step::SyncSnapshot => filter(&[libc::SYS_fsync], anything, action),
        Step::RenameSnapshot => filter(RENAMES, anything, action),
        Step::RemoveFiles => filter(UNLINKS, anything, action),
        Step::SyncFile => filter(&[libc::SYS_fdatasync], anything, action),
    }
}

#[cfg(target_arch = "x86_64")]
const RENAMES: &[i64] = &[libc::SYS_rename, libc::SYS_renameat, libc::SYS_renameat2];
#[cfg(not(target_arch = "x86_64"))]
const RENAMES: &[i64] = &[libc::SYS_renameat, libc::SYS_renameat2];
#[cfg(target_arch = "x86_64")]
const UNLINKS: &[i64] = &[libc::SYS_unlink, libc::SYS_unlinkat];
#[cfg(not(target_arch = "x86_64"))]
const UNLINKS: &[i64] = &[libc::SYS_unlinkat];

/// Does `action` to those of the system calls whose argument at an index compares so.
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

/// Instants at which a writing process is killed.
const KILLS: u64 = 25;

#[test]
fn a_writer_that_is_killed_at_any_instant_loses_nothing_that_it_was_told_is_there() {
    for kill in 0..KILLS {
        let directory = tempfile::tempdir().unwrap();
        let values: [OsString; 3] = [directory.path().into(), "0".into(), "none".into()];
        let mut child = Command::new(env::current_exe().unwrap())
            .args([
                "--ignored",
                "--exact",
                "--nocapture",
                "journal_crash::child_that_writes",
            ])
            .envs(VARIABLES.into_iter().zip(values))
            .stdout(Stdio::piped())
            .spawn()
            .unwrap();
        let output = child.stdout.take().unwrap();
        let reader = thread::spawn(move || {
            let lines = BufReader::new(output).lines().map_while(Result::ok);
            lines.filter_map(|line| line.parse::<u64>().ok()).last()
        });
        // Instants that differ in all orders of magnitude.
        thread::sleep(Duration::from_micros(5_000 + 7_919 * kill * (1 + kill % 4)));
        child.kill().unwrap();
        child.wait().unwrap();
        let told = reader.join().unwrap().unwrap_or(0);

        let recovered = open(directory.path()).1;
        let is_damage = |damage: &Damage| !matches!(damage, Damage::Object { .. });
        assert!(
            !recovered.damage.iter().any(is_damage),
            "{:?}",
            recovered.damage
        );
        let number = |key: &[u8]| u64::from_be_bytes(*key.first_chunk().unwrap());
        let numbers: Vec<_> = keys(&recovered).into_iter().map(number).collect();
        let last = numbers.last().copied().unwrap_or(0);
        assert!(last >= told, "kill {kill}: {last} of {told}");
        // Each object replaces the one that was 100 before.
        let first = numbers.first().copied().unwrap_or(0);
        let all: Vec<_> = (first..first + numbers.len() as u64).collect();
        assert_eq!(numbers, all, "kill {kill}");
        assert!(
            numbers.len() <= 101 && (last < 100 || numbers.len() >= 99),
            "{numbers:?}"
        );
    }
}

#[test]
#[ignore = "runs in the processes that the other tests of this file start"]
#[expect(
    clippy::disallowed_methods,
    reason = "how the first process tells where to write"
)]
fn child_that_writes() {
    let directory = env::var(VARIABLES[0]).unwrap();
    let options = JournalOptions {
        durability: Durability::Process,
        ..SMALL
    };
    let (journal, _) = Journal::open(Path::new(&directory), &options).unwrap();
    mount(&journal);
    let mut output = std::io::stdout();
    for number in 0_u64.. {
        let key = number.to_be_bytes();
        append(&journal, &commit(&key, 100 * (number % 1_000)));
        if let Some(before) = number.checked_sub(100) {
            let key = before.to_be_bytes();
            append(
                &journal,
                &Record::Removed {
                    key: &key,
                    cause: 0,
                },
            );
        }
        writeln!(output, "{number}").unwrap();
        if journal.wants_compaction() {
            let mut compaction = journal.begin_compaction().unwrap();
            mount_in(&mut compaction);
            for number in number.saturating_sub(99)..=number {
                let key = number.to_be_bytes();
                compaction
                    .write(&commit(&key, 100 * (number % 1_000)))
                    .unwrap();
            }
            compaction.finish().unwrap();
        }
    }
}
