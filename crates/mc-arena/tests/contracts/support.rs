//! What several contracts need: reading this process's mappings, reserving huge pages, a log to inspect.

use std::{
    cell::RefCell,
    fs::{self, File},
    ops::Range,
    panic::{self, AssertUnwindSafe},
    path::PathBuf,
    sync::Once,
    thread,
    time::{Duration, Instant},
};

use mc_arena::{SystemRoot, hugepage::HugepageInventory};
use nix::{
    fcntl::{Flock, FlockArg},
    sys::wait::{WaitStatus, waitpid},
    unistd::{ForkResult, fork},
};

pub(crate) const MIB: usize = 1 << 20;

/// Name of the variable that turns "did not run" into a failure.
const REQUIRE_VARIABLE: &str = "MC_REQUIRE_HUGEPAGE_TESTS";
const NR_HUGEPAGES: &str = "/sys/kernel/mm/hugepages/hugepages-2048kB/nr_hugepages";
const LOCK_FILE: &str = "mc-arena-hugepage-tests.lock";

/// Says whether this process maps `address`.
pub(crate) fn is_mapped(address: usize) -> bool {
    mappings().iter().any(|mapping| mapping.contains(&address))
}

/// Says whether this process keeps a mapping of `bytes`, or a little longer for alignment: what
/// another test has mapped beside it may look like one for a moment.
pub(crate) fn is_any_mapping_of(bytes: usize) -> bool {
    let is_it = |mapping: &Range<usize>| (bytes..=bytes + 4 * MIB).contains(&mapping.len());
    !happens(10, || !mappings().iter().any(is_it))
}

/// Waits until something is so; returns whether it is within some seconds.
fn happens(seconds: u64, is_so: impl Fn() -> bool) -> bool {
    let deadline = Instant::now() + Duration::from_secs(seconds);
    while !is_so() {
        if Instant::now() > deadline {
            return false;
        }
        thread::sleep(Duration::from_millis(1));
    }
    true
}

/// Returns the address space of this process in bytes, mapped or reserved.
pub(crate) fn mapped_bytes() -> usize {
    mappings().iter().map(Range::len).sum()
}

fn mappings() -> Vec<Range<usize>> {
    let maps = fs::read_to_string("/proc/self/maps").unwrap();
    let bound = |text| usize::from_str_radix(text, 16).unwrap();
    maps.lines()
        .map(|line| {
            let (start, end) = line
                .split_whitespace()
                .next()
                .unwrap()
                .split_once('-')
                .unwrap();
            bound(start)..bound(end)
        })
        .collect()
}

/// Returns the exit code of a child that runs `body`.
#[expect(
    unsafe_code,
    reason = "what a child inherits shows only in a forked child"
)]
pub(crate) fn exit_code_of_child(body: impl FnOnce() -> i32) -> i32 {
    // SAFETY: (1) the child runs `body` and leaves by `_exit`: it only reads files and allocates, which
    // glibc's own fork handlers keep usable in the child of a threaded process (malloc(3), fork(3)).
    match unsafe { fork() }.unwrap() {
        ForkResult::Parent { child } => match waitpid(child, None).unwrap() {
            WaitStatus::Exited(_, code) => code,
            status => panic!("child ended with {status:?}"),
        },
        ForkResult::Child => {
            // A panic that unwinds would run the tests of the parent a second time.
            let code = panic::catch_unwind(AssertUnwindSafe(body)).unwrap_or(101);
            // SAFETY: (1) `_exit` takes no pointer and runs no handlers of the parent.
            unsafe { nix::libc::_exit(code) }
        }
    }
}

/// Huge pages of 2 MiB reserved for one test; given back when dropped.
///
/// A file lock keeps tests of all processes from counting each other's pages.
pub(crate) struct ReservedPages {
    pages_before: u64,
    _lock: Flock<File>,
}

impl ReservedPages {
    /// Makes exactly `pages` pages available, or says in one line that the test did not run.
    pub(crate) fn reserve(pages: u64) -> Option<Self> {
        let reserved = Self::try_reserve(pages);
        if reserved.is_none() {
            println!("did not run: no permission, or no memory, for {pages} huge pages of 2 MiB");
            assert!(
                !is_required(),
                "{REQUIRE_VARIABLE} is set, so this test has to run"
            );
        }
        reserved
    }

    fn try_reserve(pages: u64) -> Option<Self> {
        let file = File::options()
            .create(true)
            .append(true)
            .open(std::env::temp_dir().join(LOCK_FILE))
            .ok()?;
        let lock = Flock::lock(file, FlockArg::LockExclusive).ok()?;
        let pages_before: u64 = fs::read_to_string(NR_HUGEPAGES).ok()?.trim().parse().ok()?;
        let in_use = || pages_before - available_pages();
        // A child of another test may hold some for a moment, and others for good.
        happens(1, || in_use() == 0);
        let in_use = in_use();
        fs::write(NR_HUGEPAGES, (in_use + pages).to_string()).ok()?;
        let reserved = Self {
            pages_before,
            _lock: lock,
        };
        (available_pages() == pages).then_some(reserved)
    }
}

impl Drop for ReservedPages {
    fn drop(&mut self) {
        fs::write(NR_HUGEPAGES, self.pages_before.to_string()).unwrap();
    }
}

/// Waits until `pages` are available: a forked child of another test may hold a memory file for a moment.
#[track_caller]
pub(crate) fn check_given_back(pages: u64) {
    let are_back = happens(10, || available_pages() == pages);
    assert!(are_back, "{} of {pages} given back", available_pages());
}

/// Returns the pages of 2 MiB that a new mapping can have.
pub(crate) fn available_pages() -> u64 {
    let inventory = HugepageInventory::read(&SystemRoot::default());
    inventory
        .pool(2 << 20)
        .map_or(0, |pool| pool.counts.available_pages())
}

#[expect(
    clippy::disallowed_methods,
    reason = "a switch of the test run, not of the library"
)]
fn is_required() -> bool {
    std::env::var_os(REQUIRE_VARIABLE).is_some_and(|value| value == "1")
}

/// A copy of the system's files that a test may take lines out of.
pub(crate) struct FakeRoot {
    directory: tempfile::TempDir,
}

impl FakeRoot {
    /// Copies what a pool reads.
    pub(crate) fn new() -> Self {
        let root = Self {
            directory: tempfile::tempdir().unwrap(),
        };
        for path in [
            "/proc/meminfo",
            "/proc/self/smaps",
            "/sys/devices/system/node/online",
        ] {
            root.write(path, &fs::read_to_string(path).unwrap());
        }
        root
    }

    /// Returns where the copy of an absolute path lies.
    pub(crate) fn path(&self, path: &str) -> PathBuf {
        self.directory.path().join(path.trim_start_matches('/'))
    }

    /// Replaces one file.
    pub(crate) fn write(&self, path: &str, text: &str) {
        let path = self.path(path);
        fs::create_dir_all(path.parent().unwrap()).unwrap();
        fs::write(path, text).unwrap();
    }

    /// Returns the root to give to a pool.
    pub(crate) fn root(&self) -> SystemRoot {
        SystemRoot::at(self.directory.path())
    }
}

thread_local! {
    /// Warnings of this thread while it collects them.
    static WARNINGS: RefCell<Option<Vec<String>>> = const { RefCell::new(None) };
}

/// Returns what `run` returns and the warnings that it logs on the current thread.
///
/// One subscriber serves all threads: those set per thread race for the state of a log statement.
pub(crate) fn warnings<T>(run: impl FnOnce() -> T) -> (T, Vec<String>) {
    static INSTALL: Once = Once::new();
    INSTALL.call_once(|| tracing::subscriber::set_global_default(Log).unwrap());
    WARNINGS.set(Some(Vec::new()));
    let result = run();
    (result, WARNINGS.take().unwrap())
}

/// Keeps events of level warning and above for the thread that logs them.
struct Log;

struct Text(String);

impl tracing::field::Visit for Text {
    fn record_debug(&mut self, field: &tracing::field::Field, value: &dyn std::fmt::Debug) {
        self.0 += &format!("{field}={value:?} ");
    }
}

impl tracing::Subscriber for Log {
    fn enabled(&self, metadata: &tracing::Metadata<'_>) -> bool {
        *metadata.level() <= tracing::Level::WARN
    }

    fn new_span(&self, _: &tracing::span::Attributes<'_>) -> tracing::span::Id {
        tracing::span::Id::from_u64(1)
    }

    fn record(&self, _: &tracing::span::Id, _: &tracing::span::Record<'_>) {}

    fn record_follows_from(&self, _: &tracing::span::Id, _: &tracing::span::Id) {}

    fn event(&self, event: &tracing::Event<'_>) {
        let mut text = Text(String::new());
        event.record(&mut text);
        WARNINGS
            .with_borrow_mut(|warnings| warnings.as_mut().map(|warnings| warnings.push(text.0)));
    }

    fn enter(&self, _: &tracing::span::Id) {}

    fn exit(&self, _: &tracing::span::Id) {}
}
