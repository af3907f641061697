//! Contract about memory limits: a pool that is to be resident is refused before the kernel would kill
//! somebody for it, also when several processes ask at once.

use std::{
    fs,
    io::{BufRead, BufReader, Read, Write},
    num::NonZeroUsize,
    path::{Path, PathBuf},
    process::{Child, ChildStdout, Command, Stdio},
};

use mc_arena::{
    Backing, MemoryLock, PagePolicy, PageSize, PoolError, PoolOptions, Population, SystemRoot,
};

use crate::support::{FakeRoot, MIB, is_any_mapping_of};

/// A root whose process is in a group that may take 32 MiB more.
fn limited() -> FakeRoot {
    let root = FakeRoot::new();
    root.write("/proc/self/cgroup", "0::/pod\n");
    root.write(
        "/proc/self/mountinfo",
        "24 1 0:22 / /cg rw - cgroup2 cgroup2 rw\n",
    );
    root.write("/cg/pod/memory.max", "67108864\n");
    root.write("/cg/pod/memory.current", "45088768\n");
    root.write(
        "/cg/pod/memory.stat",
        "active_file 8388608\ninactive_file 3145728\n",
    );
    root
}

/// What the group above leaves: its limit less what is used and cannot be taken back.
const ROOM_BYTES: u64 = 67_108_864 - (45_088_768 - 11_534_336);

#[track_caller]
fn check_refused(options: &PoolOptions, bytes: usize) {
    let error = options.map().unwrap_err();
    let PoolError::ExceedsMemory {
        available_bytes,
        limited_by,
        ..
    } = &error
    else {
        panic!("{error:?}")
    };
    assert_eq!(*available_bytes, ROOM_BYTES);
    assert!(limited_by.ends_with("cg/pod/memory.max"), "{limited_by:?}");
    let text = error.to_string();
    assert!(
        text.contains("memory.max") && text.contains(&ROOM_BYTES.to_string()),
        "{text}"
    );
    assert!(!is_any_mapping_of(bytes));
}

#[test]
fn a_pool_beyond_the_limit_of_its_group_is_refused() {
    let root = limited();
    let options = |bytes: usize| PoolOptions::new(bytes as u64).system_root(root.root());
    let len = 246 * MIB;
    for pages in [
        PagePolicy::Off,
        PagePolicy::Prefer(PageSize::Auto),
        PagePolicy::Transparent,
    ] {
        check_refused(&options(len).pages(pages), len);
        check_refused(&options(len).pages(pages).backing(Backing::Shared), len);
    }
    // A lock makes a lazy pool resident as well.
    let lazy = options(len)
        .pages(PagePolicy::Off)
        .population(Population::Lazy);
    check_refused(&lazy.clone().lock(MemoryLock::Locked), len);
    lazy.map().unwrap();
    let fitting = usize::try_from(ROOM_BYTES).unwrap();
    options(fitting).pages(PagePolicy::Off).map().unwrap();
    check_refused(&options(fitting + 1).pages(PagePolicy::Off), fitting);
}

#[test]
fn a_file_in_main_memory_counts_too() {
    let Ok(directory) = tempfile::tempdir_in("/dev/shm") else {
        println!("did not run: there is no /dev/shm");
        return;
    };
    let root = limited();
    let path = directory.path().join("pool");
    let options = PoolOptions::new(256 << 20)
        .pages(PagePolicy::Off)
        .population(Population::Lazy)
        .system_root(root.root())
        .file(&path);
    check_refused(&options, 256 * MIB);
    assert!(!path.exists());
}

/// A control group of the test's own, with its limit.
struct Group {
    directory: PathBuf,
    limit_file: &'static str,
}

impl Group {
    /// Makes a group beside the one of this process, in whichever hierarchy limits memory.
    fn new(limit_bytes: usize) -> Option<Self> {
        let name = format!("mc-arena-test-{}", std::process::id());
        for (mount, limit_file) in [
            ("/sys/fs/cgroup/memory", "memory.limit_in_bytes"),
            ("/sys/fs/cgroup", "memory.max"),
        ] {
            let directory = Path::new(mount).join(&name);
            if fs::create_dir(&directory).is_err() {
                continue;
            }
            let group = Self {
                directory,
                limit_file,
            };
            let limit = limit_bytes.to_string();
            if fs::write(group.directory.join(limit_file), limit).is_ok() {
                return Some(group);
            }
        }
        None
    }

    fn kills(&self) -> u64 {
        let events = ["memory.events", "memory.oom_control"]
            .map(|name| fs::read_to_string(self.directory.join(name)).unwrap_or_default());
        let of_line = |line: &str| line.strip_prefix("oom_kill ")?.trim().parse().ok();
        events.concat().lines().find_map(of_line).unwrap()
    }
}

impl Drop for Group {
    fn drop(&mut self) {
        // Fails while a process is in it, as after a failed check.
        let _ = fs::remove_dir(&self.directory);
    }
}

const GROUP_VARIABLE: &str = "MC_TEST_CGROUP";
const BYTES_VARIABLE: &str = "MC_TEST_BYTES";

/// A process in the group that maps a pool when told to.
struct Claimant {
    process: Child,
    said: BufReader<ChildStdout>,
}

impl Claimant {
    fn start(group: &Group, bytes: usize) -> Self {
        let mut process = Command::new(std::env::current_exe().unwrap())
            .args(["--ignored", "--exact", "memory::claimant", "--nocapture"])
            .env(GROUP_VARIABLE, &group.directory)
            .env(BYTES_VARIABLE, bytes.to_string())
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .spawn()
            .unwrap();
        let said = BufReader::new(process.stdout.take().unwrap());
        let mut claimant = Self { process, said };
        claimant.answer("ready");
        claimant
    }

    fn tell(&mut self) {
        self.process
            .stdin
            .as_mut()
            .unwrap()
            .write_all(b"\n")
            .unwrap();
    }

    /// Returns the rest of the line with a word; panics if the process ends before.
    fn answer(&mut self, word: &str) -> String {
        loop {
            let mut line = String::new();
            assert!(
                self.said.read_line(&mut line).unwrap() > 0,
                "the process has ended"
            );
            if let Some((_, rest)) = line.split_once(&format!("{word}: ")) {
                return rest.trim().to_owned();
            }
        }
    }
}

impl Drop for Claimant {
    fn drop(&mut self) {
        drop(self.process.stdin.take());
        let status = self.process.wait().unwrap();
        assert!(std::thread::panicking() || status.success(), "{status}");
    }
}

#[test]
#[ignore = "runs in the processes that two_that_ask_at_once_do_not_overrun_together starts"]
#[expect(
    clippy::disallowed_methods,
    reason = "how the first process says what to do"
)]
fn claimant() {
    let group = PathBuf::from(std::env::var_os(GROUP_VARIABLE).unwrap());
    let bytes: u64 = std::env::var(BYTES_VARIABLE).unwrap().parse().unwrap();
    fs::write(group.join("cgroup.procs"), std::process::id().to_string()).unwrap();
    println!("ready: {bytes}");
    std::io::stdin().read_exact(&mut [0]).unwrap();
    let population = Population::Eager {
        workers: NonZeroUsize::new(2),
        time_limit: None,
    };
    let pool = PoolOptions::new(bytes)
        .pages(PagePolicy::Off)
        .population(population)
        .map();
    match &pool {
        Ok(pool) => println!("outcome: got {}", pool.len()),
        Err(error) => println!("outcome: {error}"),
    }
    std::io::stdin().read_to_end(&mut Vec::new()).unwrap();
}

#[test]
fn two_that_ask_at_once_do_not_overrun_together() {
    const LIMIT_BYTES: usize = 256 * MIB;
    for round in 0..3 {
        let Some(group) = Group::new(LIMIT_BYTES) else {
            println!("did not run: no permission to make a control group");
            return;
        };
        println!(
            "limited by {}",
            group.directory.join(group.limit_file).display()
        );
        // Together one and a half times what is there.
        let bytes = LIMIT_BYTES / 4 * 3;
        let mut claimants = [
            Claimant::start(&group, bytes),
            Claimant::start(&group, bytes),
        ];
        for claimant in &mut claimants {
            claimant.tell();
        }
        let mut outcomes = claimants
            .each_mut()
            .map(|claimant| claimant.answer("outcome"));
        outcomes.sort_unstable_by_key(|outcome| !outcome.starts_with("got"));
        assert_eq!(
            outcomes[0],
            format!("got {bytes}"),
            "round {round}: {outcomes:?}"
        );
        assert!(
            outcomes[1].contains(group.limit_file),
            "round {round}: {outcomes:?}"
        );
        assert_eq!(group.kills(), 0);
        drop(claimants);
    }
}

#[test]
fn the_limits_of_this_system_are_readable() {
    // Whatever they are, a page fits.
    let options = PoolOptions::new(4096).system_root(SystemRoot::default());
    options.pages(PagePolicy::Off).map().unwrap();
}
