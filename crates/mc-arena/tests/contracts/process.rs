//! Contract towards other processes: children do not see a pool, and a second process reads a shared
//! one through its descriptor.

use std::{
    ffi::OsStr,
    os::{
        fd::{AsRawFd, FromRawFd, OwnedFd},
        unix::ffi::OsStrExt,
    },
    process::Command,
};

use mc_arena::{Arena, Backing, PagePolicy, PoolOptions, Population, SharedView, ViewError};
use nix::fcntl::{FcntlArg, FdFlag, fcntl};

use crate::support::{MIB, exit_code_of_child, is_mapped};

/// Holds the number of the descriptor that the second process inherits.
const DESCRIPTOR_VARIABLE: &str = "MC_TEST_DESCRIPTOR";

fn shared_pool() -> mc_arena::Pool {
    PoolOptions::new(MIB as u64)
        .pages(PagePolicy::Off)
        .backing(Backing::Shared)
        .map()
        .unwrap()
}

#[test]
fn child_does_not_see_a_pool() {
    let private = PoolOptions::new(MIB as u64)
        .pages(PagePolicy::Off)
        .map()
        .unwrap();
    let shared = shared_pool();
    for (pool, kind) in [(&private, "private"), (&shared, "shared")] {
        let address = pool.as_ptr().addr();
        assert!(is_mapped(address));
        assert_eq!(
            exit_code_of_child(|| i32::from(is_mapped(address))),
            0,
            "child of a {kind} pool"
        );
        assert!(is_mapped(address), "the parent keeps it");
    }
}

#[test]
fn second_process_sees_the_bytes() {
    let arena = Arena::new(shared_pool()).unwrap();
    arena.allocate(64).unwrap().fill(1);
    arena.allocate(5).unwrap().copy_from_slice(b"hello");
    let descriptor = arena.pool().descriptor().unwrap();
    let inherited = fcntl(descriptor, FcntlArg::F_DUPFD(3)).unwrap();
    let output = Command::new(std::env::current_exe().unwrap())
        .args([
            "--ignored",
            "--exact",
            "process::second_process",
            "--nocapture",
        ])
        .env(DESCRIPTOR_VARIABLE, inherited.to_string())
        .output()
        .unwrap();
    drop(owned(inherited));
    let stdout = String::from_utf8_lossy(&output.stdout);
    assert!(
        output.status.success() && stdout.contains("read hello"),
        "{output:?}"
    );
}

#[test]
#[ignore = "runs in the process that second_process_sees_the_bytes starts"]
#[expect(
    clippy::disallowed_methods,
    reason = "how the first process names the descriptor"
)]
fn second_process() {
    let descriptor = owned(std::env::var(DESCRIPTOR_VARIABLE).unwrap().parse().unwrap());
    let view = SharedView::open(&descriptor).unwrap();
    drop(descriptor);
    assert_eq!(view.len(), MIB);
    let mut bytes = [0; 70];
    view.read_at(0, &mut bytes);
    assert!(bytes[..64].iter().all(|&byte| byte == 1));
    println!("read {}", String::from_utf8_lossy(&bytes[64..69]));
}

#[test]
fn a_process_cannot_view_its_own_pool() {
    let pool = shared_pool();
    assert!(matches!(
        SharedView::open(pool.descriptor().unwrap()),
        Err(ViewError::OwnPool)
    ));
}

/// In a child, as others look through the names of what this process maps.
#[test]
fn a_mapped_file_whose_name_is_no_text_hides_no_pool() {
    let directory = tempfile::tempdir().unwrap();
    let path = directory.path().join(OsStr::from_bytes(b"\xff"));
    let options = PoolOptions::new(4096)
        .pages(PagePolicy::Off)
        .population(Population::Lazy);
    let code = exit_code_of_child(|| {
        let named = options.clone().file(&path).map().unwrap();
        let shared = options.clone().backing(Backing::Shared).map().unwrap();
        let view = SharedView::open(shared.descriptor().unwrap());
        let is_read = named.read_residency().is_ok() && shared.read_residency().is_ok();
        i32::from(!is_read) + 2 * i32::from(!matches!(view, Err(ViewError::OwnPool)))
    });
    assert_eq!(code, 0);
}

#[test]
fn only_sealed_memory_files_are_viewed() {
    let file = tempfile::tempfile().unwrap();
    assert!(matches!(SharedView::open(&file), Err(ViewError::NotAPool)));
}

#[test]
fn descriptor_admits_no_second_writer() {
    let pool = shared_pool();
    let descriptor = pool.descriptor().unwrap();
    assert_eq!(
        nix::unistd::write(descriptor, b"x"),
        Err(nix::errno::Errno::EPERM)
    );
    assert_eq!(
        nix::unistd::ftruncate(descriptor, 0),
        Err(nix::errno::Errno::EPERM)
    );
    let flags = FdFlag::from_bits_retain(fcntl(descriptor, FcntlArg::F_GETFD).unwrap());
    assert!(
        flags.contains(FdFlag::FD_CLOEXEC),
        "programs that are started do not inherit it"
    );
    assert!(descriptor.as_raw_fd() > 2);
}

#[expect(
    unsafe_code,
    reason = "a descriptor that crosses a process boundary arrives as a number"
)]
fn owned(descriptor: i32) -> OwnedFd {
    // SAFETY: (1) the number was made by `F_DUPFD` for this purpose and has no other owner.
    unsafe { OwnedFd::from_raw_fd(descriptor) }
}
