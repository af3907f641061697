//! Contract of a pool in a file that cannot be made, found or given back: the error says why, the file is
//! what it was or gone, and no other pool and no later system is deceived.

use std::{
    fs::{self, File},
    path::{Path, PathBuf},
    process::Command,
    sync::atomic::{AtomicBool, Ordering},
    thread,
    time::{Duration, Instant},
};

use mc_arena::{
    Contents, FileError, NumaPolicy, PagePolicy, PageSize, PoolBytes, PoolError, PoolOptions,
    Population, ReleaseError,
};
use nix::sys::statfs::TMPFS_MAGIC;

use crate::{
    named::{HEADER_BYTES, POOL_BYTES, bytes, directories, options, refused},
    support::{MIB, exit_code_of_child, is_any_mapping_of},
};

#[test]
fn a_pool_that_was_not_made_leaves_no_file() {
    for directory in directories() {
        let path = directory.path().join("pool");
        let link = directory.path().join("link");
        std::os::unix::fs::symlink(&path, &link).unwrap();
        let required = options(&link).pages(PagePolicy::Required(PageSize::Auto));
        for (refused, error) in [
            (required, "page policy"),
            // No address space is aligned so coarsely.
            (options(&link).align(1 << 62), "mapping it"),
            (options(&link).numa(NumaPolicy::Bind(vec![4000])), "4000"),
        ] {
            let refused = refused.map().unwrap_err().to_string();
            assert!(refused.contains(error), "{refused}");
            assert!(!path.exists(), "{refused}");
            assert!(link.is_symlink(), "the link was there before");
        }
        // A file that was there before stays, and takes no more than it has to.
        drop(options(&path).map().unwrap());
        let file = File::options().write(true).open(&path).unwrap();
        file.set_len(HEADER_BYTES + 4096).unwrap();
        options(&path).align(1 << 62).map().unwrap_err();
        assert_eq!(fs::metadata(&path).unwrap().len(), HEADER_BYTES);
        assert_eq!(options(&path).map().unwrap().contents(), Contents::Zeroed);
    }
}

#[test]
fn an_empty_file_that_was_there_before_a_pool_was_not_made_stays() {
    for directory in directories() {
        let path = directory.path().join("pool");
        File::create(&path).unwrap();
        let required = options(&path).pages(PagePolicy::Required(PageSize::Auto));
        for refused in [required, too_large(&path), options(&path).align(1 << 62)] {
            refused.map().unwrap_err();
            assert!(path.exists(), "{refused:?}");
        }
        assert_eq!(options(&path).map().unwrap().contents(), Contents::Zeroed);
    }
}

/// In a child, as the files of all tests count.
#[test]
fn more_files_than_a_process_can_have_are_refused_as_such_and_not_for_want_of_room() {
    let directory = tempfile::tempdir().unwrap();
    let options = PoolOptions::new(4096)
        .pages(PagePolicy::Off)
        .population(Population::Lazy);
    let path = |number| directory.path().join(format!("{number}"));
    let made = |number| options.clone().file(path(number)).map();
    let code = exit_code_of_child(|| {
        let pools: Vec<_> = (0..256).map(|number| made(number).unwrap()).collect();
        let Err(PoolError::File(FileError::Io { source, .. })) = made(256) else {
            return 1;
        };
        drop(pools);
        let is_told = source.raw_os_error() == Some(nix::libc::EMFILE);
        i32::from(!is_told) + i32::from(path(256).exists() || made(256).is_err())
    });
    assert_eq!(code, 0);
}

/// More than any file system of a test machine has, less than a file may have.
const TOO_LARGE_BYTES: usize = 1 << 42;

fn too_large(path: &Path) -> PoolOptions {
    PoolOptions::new(TOO_LARGE_BYTES as u64)
        .pages(PagePolicy::Off)
        .population(Population::Lazy)
        .file(path)
}

#[test]
fn a_making_that_fails_takes_no_file_from_another_pool() {
    let directory = tempfile::tempdir().unwrap();
    let path = directory.path().join("pool");
    let too_large = too_large(&path);
    let is_over = AtomicBool::new(false);
    thread::scope(|scope| {
        let failing = scope.spawn(|| {
            while !is_over.load(Ordering::Relaxed) {
                too_large.map().unwrap_err();
            }
        });
        let start = Instant::now();
        let mut made = 0;
        while made < 60 && start.elapsed() < Duration::from_secs(5) {
            if let Ok(pool) = options(&path).population(Population::Lazy).map() {
                let metadata = fs::metadata(&path);
                let len = metadata
                    .map(|metadata| metadata.len())
                    .map_err(|error| error.kind());
                is_over.store(len != Ok(bytes(&pool) + HEADER_BYTES), Ordering::Relaxed);
                assert_eq!(
                    len,
                    Ok(bytes(&pool) + HEADER_BYTES),
                    "the file of a pool is gone"
                );
                fs::remove_file(&path).unwrap();
                made += 1;
            }
        }
        is_over.store(true, Ordering::Relaxed);
        failing.join().unwrap();
        assert!(made > 0);
    });
}

#[test]
fn a_header_that_vouches_for_all_bytes_is_gone_before_one_of_them_changes() {
    let directory = tempfile::tempdir().unwrap();
    let path = directory.path().join("pool");
    // Written back when it is dropped, and its header says so.
    drop(options(&path).map().unwrap());
    let pool = options(&path).map().unwrap();
    assert_eq!(pool.contents(), Contents::Kept);
    // Whatever the system keeps of the bytes from here on, it has kept that they are not vouched for.
    let smaps = fs::read_to_string("/proc/self/smaps").unwrap();
    let name = path.to_str().unwrap();
    let mut lines = smaps.lines();
    let header = lines.find(|line| line.contains(" 00000000 ") && line.ends_with(name));
    assert!(header.is_some(), "the header is mapped");
    let is_dirty = |line: &&str| {
        ["Shared_Dirty:", "Private_Dirty:"]
            .iter()
            .any(|name| line.starts_with(name))
    };
    let dirty: Vec<_> = lines.filter(is_dirty).take(2).collect();
    if nix::sys::statfs::statfs(&path).unwrap().filesystem_type() == TMPFS_MAGIC {
        println!("did not run: temporary files are in main memory, which writes nothing back");
    } else {
        let is_clean = dirty.iter().all(|line| line.ends_with(" 0 kB"));
        assert!(is_clean && dirty.len() == 2, "{dirty:?}");
    }
}

#[test]
fn pages_of_another_size_are_named_and_the_file_is_left_alone() {
    let directory = tempfile::tempdir().unwrap();
    let path = directory.path().join("pool");
    let options = PoolOptions::new(65_536).pages(PagePolicy::Off).file(&path);
    drop(options.map().unwrap());
    // As a system with pages of 64 KiB would have written it, with as many for the header.
    let mut bytes = fs::read(&path).unwrap();
    bytes[32..40].copy_from_slice(&65_536_u64.to_le_bytes());
    let checksum = crc32fast::hash(&bytes[16..60]);
    bytes[12..16].copy_from_slice(&checksum.to_le_bytes());
    bytes.resize(65_536 + 65_536, 7);
    fs::write(&path, &bytes).unwrap();
    let error = refused(&options);
    let FileError::PagesDiffer {
        stored_bytes: 65_536,
        page_bytes: 4096,
        ..
    } = error
    else {
        panic!("{error:?}")
    };
    assert!(fs::read(&path).unwrap() == bytes);
}

#[test]
fn a_file_keeps_its_blocks_and_its_bytes_when_memory_is_to_be_given_back() {
    for directory in directories() {
        let path = directory.path().join("pool");
        let pool = PoolBytes::new(options(&path).map().unwrap());
        let epoch = pool.pool().epoch();
        pool.write(0..POOL_BYTES).unwrap().fill(5);
        let refused = pool.release(0..MIB);
        assert!(matches!(refused, Err(ReleaseError::Named)), "{refused:?}");
        assert_eq!(pool.read(MIB..MIB + 1).unwrap()[0], 5);
        drop(pool);
        let pool = PoolBytes::new(options(&path).map().unwrap());
        assert_eq!(pool.pool().epoch(), epoch);
        assert!(
            pool.read(0..POOL_BYTES)
                .unwrap()
                .iter()
                .all(|&byte| byte == 5)
        );
    }
}

#[test]
fn a_file_that_has_no_room_is_removed_again() {
    let directory = tempfile::tempdir().unwrap();
    let path = directory.path().join("pool");
    let error = too_large(&path).map().unwrap_err();
    assert!(error.to_string().contains("making room"), "{error}");
    assert!(!path.exists() && !is_any_mapping_of(TOO_LARGE_BYTES));
}

/// A file as a block device, for as long as it lives.
struct BlockDevice(PathBuf);

impl BlockDevice {
    /// Returns `None`, and says so, where the system lets nobody make one.
    fn over(file: &Path) -> Option<Self> {
        let made = Command::new("losetup")
            .args(["--find", "--show"])
            .arg(file)
            .output();
        let name = match made {
            Ok(made) if made.status.success() => String::from_utf8(made.stdout).unwrap(),
            refused => {
                println!("not run, as there is no block device to be had: {refused:?}");
                return None;
            }
        };
        Some(Self(name.trim().into()))
    }
}

impl Drop for BlockDevice {
    fn drop(&mut self) {
        let _ = Command::new("losetup")
            .arg("--detach")
            .arg(&self.0)
            .status();
    }
}

#[test]
fn a_device_whose_first_page_is_blank_may_be_somebodys() {
    let directory = tempfile::tempdir().unwrap();
    let path = directory.path().join("disk");
    // Where arrays of disks, and file systems, say what they are.
    for at in [4096, 4 * 4096, 64 << 10, 256 << 10] {
        let mut disk = vec![0; POOL_BYTES + MIB];
        disk[at..at + 4].copy_from_slice(b"mine");
        fs::write(&path, &disk).unwrap();
        let Some(device) = BlockDevice::over(&path) else {
            return;
        };
        let error = refused(&options(&device.0));
        assert!(matches!(error, FileError::NotAPool { .. }), "{error:?}");
        drop(device);
        assert!(fs::read(&path).unwrap() == disk, "{at}");
    }
    fs::write(&path, vec![0; POOL_BYTES + MIB]).unwrap();
    let Some(device) = BlockDevice::over(&path) else {
        return;
    };
    for contents in [Contents::Zeroed, Contents::Kept] {
        let mut pool = options(&device.0).map().unwrap();
        assert_eq!(pool.contents(), contents);
        pool.as_mut_slice()[0] = 7;
    }
}
