//! Contract of a pool in a file: its bytes outlive the process, one pool has it at a time, its epoch tells
//! whether they are still the same, and nothing done to the file from outside ends the process.

use std::{
    fs::{self, File},
    io::{BufRead, BufReader, Read},
    os::unix::fs::FileExt,
    path::{Path, PathBuf},
    process::{Child, Command, Stdio},
    thread,
    time::{Duration, Instant},
};

use mc_arena::{
    Arena, ArenaError, ClaimError, Contents, FileError, PagePolicy, PageSize, Pool, PoolBytes,
    PoolError, PoolOptions, Population, Tier,
};
use nix::{
    sys::signal::{Signal, kill},
    unistd::Pid,
};

use crate::support::{FakeRoot, MIB, ReservedPages, exit_code_of_child};

const PATH_VARIABLE: &str = "MC_TEST_POOL_FILE";
pub(crate) const POOL_BYTES: usize = 8 * MIB;
/// The header has a page of its own.
pub(crate) const HEADER_BYTES: u64 = 4096;

/// Directories on file systems of different kinds: main memory, and whatever temporary files are on.
pub(crate) fn directories() -> Vec<tempfile::TempDir> {
    let shared_memory = Path::new("/dev/shm");
    let mut directories = vec![tempfile::tempdir().unwrap()];
    if shared_memory.is_dir() {
        directories.push(tempfile::tempdir_in(shared_memory).unwrap());
    }
    directories
}

pub(crate) fn options(path: &Path) -> PoolOptions {
    PoolOptions::new(POOL_BYTES as u64)
        .pages(PagePolicy::Off)
        .file(path)
}

pub(crate) fn bytes(pool: &Pool) -> u64 {
    pool.len() as u64
}

/// Returns what the file says in its way when it is not to be had.
#[track_caller]
pub(crate) fn refused(options: &PoolOptions) -> FileError {
    match options.map() {
        Err(PoolError::File(error)) => error,
        other => panic!("{other:?}"),
    }
}

#[test]
fn a_file_is_made_and_found_again() {
    for directory in directories() {
        let path = directory.path().join("pool");
        let mut pool = options(&path).map().unwrap();
        assert_eq!(
            (pool.contents(), pool.tier()),
            (Contents::Zeroed, Tier::Base)
        );
        assert_eq!((pool.len(), pool.page_bytes()), (POOL_BYTES, 4096));
        assert!(pool.as_mut_slice().iter().all(|&byte| byte == 0));
        assert_eq!(
            fs::metadata(&path).unwrap().len(),
            bytes(&pool) + HEADER_BYTES
        );
        pool.as_mut_slice()[MIB..MIB + 5].copy_from_slice(b"value");
        let epoch = pool.epoch().unwrap();
        assert!(epoch > 0);
        drop(pool);

        let pool = PoolBytes::new(options(&path).map().unwrap());
        assert_eq!(pool.pool().contents(), Contents::Kept);
        assert_eq!(pool.pool().epoch(), Some(epoch));
        assert_eq!(&*pool.read(MIB..MIB + 5).unwrap(), b"value");
    }
}

#[test]
fn a_pool_without_a_file_has_no_epoch() {
    let pool = PoolOptions::new(4096).pages(PagePolicy::Off).map().unwrap();
    assert_eq!((pool.epoch(), pool.contents()), (None, Contents::Zeroed));
}

#[test]
fn sizes_are_rounded_to_pages_and_must_be_those_of_the_file() {
    let directory = tempfile::tempdir().unwrap();
    let path = directory.path().join("pool");
    let pool = |bytes| PoolOptions::new(bytes).pages(PagePolicy::Off).file(&path);
    drop(pool(4097).map().unwrap());
    drop(pool(8192).map().unwrap());
    let error = refused(&pool(8193));
    let FileError::SizeDiffers {
        stored_bytes: 8192,
        asked_bytes: 12_288,
        ..
    } = error
    else {
        panic!("{error:?}")
    };
    assert_eq!(
        pool(8192).map().unwrap().contents(),
        Contents::Kept,
        "a refusal changes nothing"
    );
}

#[test]
fn a_second_pool_is_refused_until_the_first_is_gone() {
    for directory in directories() {
        let path = directory.path().join("pool");
        let first = options(&path).map().unwrap();
        assert!(matches!(refused(&options(&path)), FileError::InUse { .. }));
        // Through another name as well: the file is locked, not the name.
        let link = directory.path().join("link");
        fs::hard_link(&path, &link).unwrap();
        assert!(matches!(refused(&options(&link)), FileError::InUse { .. }));
        drop(first);
        assert_eq!(options(&link).map().unwrap().contents(), Contents::Kept);
    }
}

/// A process that has a pool and has written to it.
struct Holder {
    process: Child,
    epoch: u64,
}

impl Holder {
    fn start(path: &Path) -> Self {
        let mut process = Command::new(std::env::current_exe().unwrap())
            .args(["--ignored", "--exact", "named::holder", "--nocapture"])
            .env(PATH_VARIABLE, path)
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .spawn()
            .unwrap();
        let stdout = BufReader::new(process.stdout.take().unwrap());
        let mut lines = stdout.lines().map(|line| line.unwrap());
        let line = lines.find(|line| line.contains("epoch: ")).unwrap();
        let (_, epoch) = line.split_once("epoch: ").unwrap();
        let epoch = epoch.trim().parse().unwrap();
        Self { process, epoch }
    }

    fn kill(mut self) -> u64 {
        let pid = Pid::from_raw(self.process.id().try_into().unwrap());
        kill(pid, Signal::SIGKILL).unwrap();
        self.process.wait().unwrap();
        self.epoch
    }
}

#[test]
#[ignore = "runs in the processes that the other tests of this file start, and is killed"]
#[expect(
    clippy::disallowed_methods,
    reason = "how the first process names the file"
)]
fn holder() {
    let path = PathBuf::from(std::env::var_os(PATH_VARIABLE).unwrap());
    let mut pool = options(&path).map().unwrap();
    for (page, bytes) in pool.as_mut_slice().chunks_mut(4096).enumerate() {
        bytes.fill(u8::try_from(page % 251).unwrap());
    }
    // A child that outlives its parent must not keep the lock.
    let code = exit_code_of_child(|| i32::from(pool.check().is_ok()));
    assert_eq!(code, 0);
    println!("epoch: {}", pool.epoch().unwrap());
    std::io::stdin().read_to_end(&mut Vec::new()).unwrap();
}

#[track_caller]
fn check_bytes(pool: &Pool, bytes: &[u8]) {
    assert_eq!(pool.contents(), Contents::Kept);
    let is_right =
        |(page, bytes): (usize, &[u8])| bytes.iter().all(|&byte| usize::from(byte) == page % 251);
    assert!(bytes.chunks(4096).enumerate().all(is_right));
}

#[test]
fn bytes_and_epoch_outlive_a_killed_process() {
    for directory in directories() {
        let path = directory.path().join("pool");
        let holder = Holder::start(&path);
        assert!(matches!(refused(&options(&path)), FileError::InUse { .. }));
        let epoch = holder.kill();
        let pool = PoolBytes::new(options(&path).map().unwrap());
        assert_eq!(pool.pool().epoch(), Some(epoch));
        check_bytes(pool.pool(), &pool.read(0..POOL_BYTES).unwrap());
    }
}

#[test]
fn a_child_that_outlives_its_parent_does_not_keep_the_lock() {
    let directory = tempfile::tempdir().unwrap();
    let path = directory.path().join("pool");
    let pool = options(&path).map().unwrap();
    let (mut wait, ready) = std::io::pipe().unwrap();
    let (mut release, hold) = std::io::pipe().unwrap();
    thread::scope(|scope| {
        let child = scope.spawn(|| {
            exit_code_of_child(|| {
                std::io::Write::write_all(&mut &ready, b"x").unwrap();
                release.read_exact(&mut [0]).unwrap();
                0
            })
        });
        wait.read_exact(&mut [0]).unwrap();
        // The child lives, and its parent lets go of the pool.
        drop(pool);
        let reopened = options(&path).map();
        std::io::Write::write_all(&mut &hold, b"x").unwrap();
        assert_eq!(child.join().unwrap(), 0);
        assert_eq!(reopened.unwrap().contents(), Contents::Kept);
    });
}

#[track_caller]
fn check_epoch_rises(path: &Path, before: u64, what: &str) -> Pool {
    let mut pool = options(path).map().unwrap();
    assert!(pool.epoch().unwrap() > before, "{what}");
    assert_eq!(pool.contents(), Contents::Zeroed, "{what}");
    assert!(pool.as_mut_slice().iter().all(|&byte| byte == 0), "{what}");
    pool.as_mut_slice().fill(7);
    pool
}

#[test]
fn the_epoch_rises_when_the_bytes_cannot_be_the_same() {
    for directory in directories() {
        let path = directory.path().join("pool");
        let file = || File::options().read(true).write(true).open(&path).unwrap();
        let mut epoch = 0;
        let mut check = |what| {
            let pool = check_epoch_rises(&path, epoch, what);
            epoch = pool.epoch().unwrap();
        };
        check("a new file");
        fs::remove_file(&path).unwrap();
        check("a new file of the same name");
        file().set_len(0).unwrap();
        check("all bytes gone");
        file().set_len(100).unwrap();
        check("most of the header gone too");
        file().set_len(HEADER_BYTES + MIB as u64).unwrap();
        check("cut short");
        file().set_len(HEADER_BYTES + MIB as u64).unwrap();
        file().set_len(HEADER_BYTES + POOL_BYTES as u64).unwrap();
        check("cut short and made longer again");
        let mut byte = [0];
        file().read_exact_at(&mut byte, 30).unwrap();
        file().write_all_at(&[byte[0] ^ 1], 30).unwrap();
        check("a bit of the header flipped");
    }
}

#[test]
fn the_epoch_tells_what_the_system_kept_when_it_went_down() {
    let directory = tempfile::tempdir().unwrap();
    let path = directory.path().join("pool");
    let boot = |id: &str| {
        let root = FakeRoot::new();
        root.write("/proc/sys/kernel/random/boot_id", id);
        root
    };
    let first = boot("11111111-1111-1111-1111-111111111111\n");
    let second = boot("22222222-2222-2222-2222-222222222222\n");
    let mut pool = options(&path).system_root(first.root()).map().unwrap();
    pool.as_mut_slice().fill(9);
    let epoch = pool.epoch();
    drop(pool);
    // All was written back before.
    let pool = options(&path).system_root(second.root()).map().unwrap();
    assert_eq!((pool.epoch(), pool.contents()), (epoch, Contents::Kept));
    // Now the system goes down while a process has the file open.
    let copy = directory.path().join("copy");
    fs::copy(&path, &copy).unwrap();
    drop(pool);
    let kept = options(&copy).system_root(second.root()).map().unwrap();
    assert_eq!((kept.epoch(), kept.contents()), (epoch, Contents::Kept));
    drop(kept);
    let pool = options(&path).system_root(second.root()).map().unwrap();
    fs::copy(&path, &copy).unwrap();
    drop(pool);
    let lost = options(&copy).system_root(first.root()).map().unwrap();
    assert!(lost.epoch() > epoch && lost.contents() == Contents::Zeroed);
}

#[test]
fn a_file_cut_short_is_an_error_and_no_signal() {
    for directory in directories() {
        let path = directory.path().join("pool");
        let pool = PoolBytes::new(options(&path).map().unwrap());
        let epoch = pool.pool().epoch().unwrap();
        pool.write(0..POOL_BYTES).unwrap().fill(5);
        let mut before = pool.write(0..MIB).unwrap();
        let read_before = pool.read(MIB..2 * MIB).unwrap();

        let file = File::options().write(true).open(&path).unwrap();
        file.set_len(HEADER_BYTES + 4096).unwrap();
        let error = pool.read(4 * MIB..5 * MIB).unwrap_err();
        assert!(matches!(error, ClaimError::Truncated { .. }), "{error}");
        assert!(error.to_string().contains("cut short"), "{error}");
        assert!(pool.pool().check().is_err());
        // What was lent before reads as zero where there is nothing, also a page that was not touched.
        assert_eq!((before[0], before[MIB - 1]), (5, 0));
        before[MIB - 1] = 1;
        assert!(read_before.iter().all(|&byte| byte == 0));
        // It stays an error when the file has its length again.
        file.set_len(HEADER_BYTES + POOL_BYTES as u64).unwrap();
        assert!(matches!(pool.read(0..1), Err(ClaimError::Truncated { .. })));
        drop((before, read_before, pool));
        check_epoch_rises(&path, epoch, "the file was cut short while it was open");
    }
}

#[test]
fn a_file_cut_to_nothing_is_survived_too() {
    let directory = tempfile::tempdir().unwrap();
    let path = directory.path().join("pool");
    let mut pool = options(&path).population(Population::Lazy).map().unwrap();
    let epoch = pool.epoch().unwrap();
    File::options()
        .write(true)
        .open(&path)
        .unwrap()
        .set_len(0)
        .unwrap();
    assert!(pool.as_mut_slice().iter().all(|&byte| byte == 0));
    drop(pool);
    check_epoch_rises(&path, epoch, "nothing was left");
}

#[test]
fn another_bus_error_still_ends_the_process() {
    let directory = tempfile::tempdir().unwrap();
    let _pool = options(&directory.path().join("pool")).map().unwrap();
    let file = File::options()
        .read(true)
        .write(true)
        .create(true)
        .truncate(true)
        .open(directory.path().join("other"))
        .unwrap();
    let ended = bus_error(&file);
    assert_eq!(ended, Some(Signal::SIGBUS));
}

/// Returns the signal that ends a child which touches a mapping of an empty file.
#[expect(unsafe_code, reason = "the touch that is a bus error")]
fn bus_error(file: &File) -> Option<Signal> {
    use nix::sys::{
        mman::{MapFlags, ProtFlags, mmap},
        wait::{WaitStatus, waitpid},
    };
    let len = std::num::NonZeroUsize::new(4096).unwrap();
    // SAFETY: (1) the kernel chooses the address.
    let empty = unsafe {
        mmap(
            None,
            len,
            ProtFlags::PROT_READ,
            MapFlags::MAP_SHARED,
            file,
            0,
        )
    }
    .unwrap();
    // SAFETY: (1) the child reads one byte, which ends it, or leaves by `_exit`.
    match unsafe { nix::unistd::fork() }.unwrap() {
        nix::unistd::ForkResult::Child => {
            // SAFETY: (1) there is no byte: that is what the test is about. `_exit` runs no handlers.
            unsafe { nix::libc::_exit(i32::from(empty.cast::<u8>().as_ptr().read_volatile())) }
        }
        nix::unistd::ForkResult::Parent { child } => match waitpid(child, None).unwrap() {
            WaitStatus::Signaled(_, signal, _) => Some(signal),
            _ => None,
        },
    }
}

#[test]
fn what_is_no_pool_is_left_alone() {
    let directory = tempfile::tempdir().unwrap();
    let path = directory.path().join("letter");
    for text in [
        b"Dear reader, ".repeat(1000),
        b"x".to_vec(),
        vec![0; 10_000],
    ] {
        fs::write(&path, &text).unwrap();
        assert!(
            matches!(refused(&options(&path)), FileError::NotAPool { .. }),
            "{} bytes",
            text.len()
        );
        assert_eq!(fs::read(&path).unwrap(), text);
    }
    let error = refused(&options(directory.path()));
    assert!(matches!(error, FileError::Io { .. }), "{error:?}");
    let error = refused(&options(Path::new("/nowhere/pool")));
    assert!(error.to_string().contains("opening it"), "{error}");
    let error = refused(&options(Path::new("/dev/null")));
    assert!(error.to_string().contains("of its kind"), "{error}");
}

#[test]
fn another_format_is_named_and_left_alone() {
    let directory = tempfile::tempdir().unwrap();
    let path = directory.path().join("pool");
    drop(options(&path).map().unwrap());
    File::options()
        .write(true)
        .open(&path)
        .unwrap()
        .write_all_at(&[9], 8)
        .unwrap();
    let before = fs::read(&path).unwrap();
    assert!(matches!(
        refused(&options(&path)),
        FileError::Version { found: 9, .. }
    ));
    assert!(fs::read(&path).unwrap() == before);
}

#[test]
fn an_arena_does_not_hand_out_the_bytes_of_another_epoch() {
    let directory = tempfile::tempdir().unwrap();
    let path = directory.path().join("pool");
    let arena = Arena::new(options(&path).map().unwrap()).unwrap();
    arena.allocate(64).unwrap().fill(1);
    let epoch = arena.pool().epoch().unwrap();
    drop(arena);
    let error = Arena::new(options(&path).map().unwrap()).unwrap_err();
    assert_eq!(error, ArenaError::HoldsBytes { epoch });
}

#[test]
fn huge_pages_need_a_file_system_that_has_them() {
    let directory = tempfile::tempdir().unwrap();
    let path = directory.path().join("pool");
    let required = options(&path).pages(PagePolicy::Required(PageSize::Auto));
    assert!(matches!(
        refused(&required),
        FileError::Pages {
            page_bytes: 4096,
            ..
        }
    ));
}

/// A hugetlbfs of the test's own.
struct Hugetlbfs {
    directory: tempfile::TempDir,
}

impl Hugetlbfs {
    fn mount() -> Option<Self> {
        let directory = tempfile::tempdir().unwrap();
        let mounted = Command::new("mount")
            .args(["-t", "hugetlbfs", "-o", "pagesize=2M", "none"])
            .arg(directory.path())
            .stderr(Stdio::null())
            .status();
        let is_mounted = mounted.is_ok_and(|status| status.success());
        if !is_mounted {
            println!("did not run: no permission to mount hugetlbfs");
        }
        is_mounted.then_some(Self { directory })
    }
}

impl Drop for Hugetlbfs {
    fn drop(&mut self) {
        let _ = Command::new("umount").arg(self.directory.path()).status();
    }
}

#[test]
fn reserved_huge_pages_outlive_the_process() {
    let Some(_reserved) = ReservedPages::reserve(4) else {
        return;
    };
    let Some(mount) = Hugetlbfs::mount() else {
        return;
    };
    let path = mount.directory.path().join("pool");
    let required = PagePolicy::Required(PageSize::Bytes(2 << 20));
    let options = PoolOptions::new(5 << 20).pages(required).file(&path);
    let mut pool = options.map().unwrap();
    assert_eq!(
        pool.tier(),
        Tier::Hugetlb {
            page_bytes: 2 << 20
        }
    );
    assert_eq!((pool.len(), pool.page_bytes()), (6 * MIB, 2 * MIB));
    assert_eq!(pool.as_ptr().addr() % (2 * MIB), 0);
    pool.as_mut_slice()[5 * MIB] = 8;
    let epoch = pool.epoch();
    drop(pool);
    let pool = PoolBytes::new(options.map().unwrap());
    assert_eq!(pool.pool().epoch(), epoch);
    assert_eq!(pool.read(5 * MIB..5 * MIB + 1).unwrap()[0], 8);
    // Cut short, a page that was not touched yet is a bus error like any other.
    File::options()
        .write(true)
        .open(&path)
        .unwrap()
        .set_len(2 << 20)
        .unwrap();
    assert!(matches!(pool.read(0..1), Err(ClaimError::Truncated { .. })));
    drop(pool);
    assert!(options.map().unwrap().epoch() > epoch);
    fs::remove_file(&path).unwrap();
    let off = options.pages(PagePolicy::Off);
    assert!(matches!(
        refused(&off),
        FileError::Pages {
            page_bytes: 0x20_0000,
            ..
        }
    ));
}

#[test]
fn opening_a_large_file_again_takes_no_time() {
    let Some(directory) = directories().into_iter().nth(1) else {
        println!("did not run: there is no /dev/shm");
        return;
    };
    let path = directory.path().join("pool");
    let large = PoolOptions::new(256 << 20)
        .pages(PagePolicy::Off)
        .file(&path);
    let start = Instant::now();
    drop(large.map().unwrap());
    let made = start.elapsed();
    let start = Instant::now();
    let pool = PoolBytes::new(large.map().unwrap());
    assert_eq!(pool.read(0..1).unwrap()[0], 0);
    let opened = start.elapsed();
    assert!(
        opened < made / 4 + Duration::from_millis(5),
        "made in {made:?}, opened in {opened:?}"
    );
}
