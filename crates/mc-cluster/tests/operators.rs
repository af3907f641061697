//! What the command tells whoever runs it: what is not as it was asked for, and what has gone wrong since.
#![expect(clippy::unwrap_used, reason = "a failed set-up fails the test")]
#![expect(clippy::print_stderr, reason = "says what did not run")]

mod process;

use std::{
    fs,
    io::{BufRead, Read},
    path::Path,
    process::{Command, Stdio},
    thread,
    time::{Duration, Instant},
};

use nix::sys::signal::Signal;
use tempfile::TempDir;

use self::process::{PROGRAM, Process, addresses};

impl Process {
    /// Starts a node of 16 MiB and waits until it listens.
    fn node(address: &str, arguments: &[&str]) -> Self {
        let mut command = Command::new(PROGRAM);
        command.args(["node", "--name", "a", "--size", "16mb", "--listen", address]);
        Self::saying("listening on ", command.args(arguments))
    }

    /// Has a node stop; returns what it complained about.
    fn stop(&mut self) -> String {
        self.signal(Signal::SIGTERM);
        self.end()
    }
}

/// Puts an object of a few bytes; returns what went wrong, if anything.
fn put(address: &str, key: &str) -> Result<(), String> {
    let members = format!("a={address}");
    let put = Command::new(PROGRAM)
        .args(["put", key, "/proc/self/comm", "--members", &members])
        .output()
        .unwrap();
    match put.status.success() {
        true => Ok(()),
        false => Err(String::from_utf8(put.stderr).unwrap()),
    }
}

#[test]
fn a_node_says_which_pages_it_got_if_there_are_no_huge_ones() {
    let mut node = Process::node("127.0.0.1:0", &[]);
    let smaps = fs::read_to_string(format!("/proc/{}/smaps", node.0.id())).unwrap();
    let mut sizes = smaps
        .lines()
        .filter_map(|line| line.strip_prefix("KernelPageSize:"));
    let has_huge_pages = sizes.any(|size| size.trim() != "4 kB");
    let told = node.stop();
    let is_told = told.contains("not in the reserved huge pages that were preferred");
    assert_ne!(is_told, has_huge_pages, "{told}");
    let told = Process::node("127.0.0.1:0", &["--small-pages"]).stop();
    assert_eq!(told, "stopping\n");
}

#[test]
fn a_node_says_what_of_its_file_is_not_there_again() {
    let directory = tempfile::tempdir().unwrap();
    let file = directory.path().join("memory");
    let ([address], path) = (addresses(), file.to_str().unwrap());
    let start = || Process::node(&address, &["--small-pages", "--file", path]);
    let mut node = start();
    for key in ["1", "2", "3"] {
        put(&address, key).unwrap();
    }
    assert_eq!(node.stop(), "stopping\n");
    assert_eq!(start().stop(), "stopping\n", "all of it is there");
    damage_records(&directory.path().join("memory.journal"));
    let told = start().stop();
    assert!(told.contains("of the journal: "), "{told}");
    assert!(told.contains("are damaged"), "{told}");
    // As after a restart of the machine, on tmpfs.
    let mut node = start();
    put(&address, "4").unwrap();
    node.stop();
    fs::remove_file(&file).unwrap();
    let told = start().stop();
    assert!(told.contains("objects are lost with the memory"), "{told}");
}

#[test]
fn a_journal_may_be_elsewhere_than_the_file() {
    let directory = tempfile::tempdir().unwrap();
    is_there_after_a_restart(&directory.path().join("memory"), &["--small-pages"]);
    assert!(!directory.path().join("memory.journal").exists());
}

#[test]
fn a_file_on_huge_pages_has_its_journal_elsewhere() {
    let Some(mount) = Hugetlbfs::mount() else {
        return;
    };
    let file = mount.0.path().join("memory");
    let node = ["node", "--name", "a", "--size", "16mb", "--file"];
    let refused = Command::new(PROGRAM)
        .args(node)
        .arg(&file)
        .output()
        .unwrap();
    let told = String::from_utf8(refused.stderr).unwrap();
    assert!(told.contains("hugetlbfs takes no journal"), "{told}");
    assert!(told.contains("memory.journal"), "{told}");
    assert_eq!(fs::read_dir(mount.0.path()).unwrap().count(), 0);
    let meminfo = fs::read_to_string("/proc/meminfo").unwrap();
    let number = |name| {
        let mut lines = meminfo.lines().filter_map(|line| line.strip_prefix(name));
        let number = lines.next().and_then(|number| number.trim().parse().ok());
        number.unwrap_or(0_u64)
    };
    // 16 MiB, and a page for the header.
    if number("HugePages_Free:") < 9 + number("HugePages_Rsvd:") {
        eprintln!("a restart on huge pages does not run: fewer than 9 are reserved and free");
        return;
    }
    is_there_after_a_restart(&file, &[]);
}

/// Puts an object to a node with a journal apart from its file, and gets it from the next one.
fn is_there_after_a_restart(file: &Path, arguments: &[&str]) {
    let directory = tempfile::tempdir().unwrap();
    let journal = directory.path().join("of/the/node");
    let [address] = addresses();
    let place = ["--file", file.to_str().unwrap()];
    let place = [&place[..], &["--journal", journal.to_str().unwrap()]].concat();
    let start = || Process::node(&address, &[&place[..], arguments].concat());
    let mut node = start();
    put(&address, "key").unwrap();
    assert_eq!(node.stop(), "stopping\n");
    assert!(journal.exists());
    let mut node = start();
    let members = format!("a={address}");
    let get = ["get", "key", "--members", &members];
    let got = Command::new(PROGRAM).args(get).output().unwrap();
    assert!(got.status.success() && !got.stdout.is_empty(), "{got:?}");
    assert_eq!(node.stop(), "stopping\n");
}

/// A hugetlbfs of the test's own.
struct Hugetlbfs(TempDir);

impl Hugetlbfs {
    fn mount() -> Option<Self> {
        let directory = tempfile::tempdir().unwrap();
        let mut mount = Command::new("mount");
        mount.args(["-t", "hugetlbfs", "-o", "pagesize=2M", "none"]);
        let mounted = mount.arg(directory.path()).stderr(Stdio::null()).status();
        let is_mounted = mounted.is_ok_and(|status| status.success());
        if !is_mounted {
            eprintln!("a test on hugetlbfs does not run: it cannot be mounted");
        }
        is_mounted.then_some(Self(directory))
    }
}

impl Drop for Hugetlbfs {
    fn drop(&mut self) {
        let _ = Command::new("umount").arg(self.0.path()).status();
    }
}

/// Changes a byte within the last records of the files of a journal.
fn damage_records(journal: &Path) {
    for file in fs::read_dir(journal).unwrap() {
        let file = file.unwrap().path();
        let mut bytes = fs::read(&file).unwrap();
        let Some(last) = bytes.iter().rposition(|&byte| byte != 0) else {
            continue;
        };
        if last > 100 {
            bytes[last - 20] ^= 1;
            fs::write(file, bytes).unwrap();
        }
    }
}

#[test]
fn a_node_that_cannot_write_its_journal_says_why_and_clients_are_told_that_it_takes_no_puts() {
    let directory = tempfile::tempdir().unwrap();
    let file = directory.path().join("memory");
    let [address] = addresses();
    let arguments = ["--small-pages", "--file", file.to_str().unwrap()];
    let mut node = Process::node(&address, &arguments);
    fs::remove_dir_all(directory.path().join("memory.journal")).unwrap();
    // Long keys, so that the journal soon needs another file.
    let refused = (0..600).find_map(|n| put(&address, &format!("{n:04000}")).err());
    let mut told = String::new();
    node.errors().read_line(&mut told).unwrap();
    assert!(told.starts_with("takes no puts any more: "), "{told}");
    assert!(told.contains("No such file or directory"), "{told}");
    let refused = refused.unwrap();
    assert!(!refused.contains("no member"), "{refused}");
    let again = put(&address, "key").unwrap_err();
    assert!(again.contains("takes no puts"), "{again}");
}

#[test]
fn what_failed_is_told_in_words() {
    let [address] = addresses();
    let told = put(&address, "key").unwrap_err();
    let expected = format!("a call to {address} failed: tcp connect error: ");
    assert!(told.starts_with(&expected), "{told}");
    assert!(
        told.ends_with("Connection refused (os error 111)\n"),
        "{told}"
    );
    assert!(!told.contains("tonic"), "{told}");
}

#[test]
fn a_drill_that_is_told_to_stop_leaves_nothing_behind() {
    for signal in [Signal::SIGTERM, Signal::SIGINT] {
        let directory = tempfile::tempdir().unwrap();
        let mut command = Command::new(PROGRAM);
        command.args(["drill", "--kills", "1000"]);
        command.env("TMPDIR", directory.path());
        let mut drill = Process::saying("three nodes", &mut command);
        let children = children_of(drill.0.id());
        assert!(children.len() >= 3, "{children:?}");
        drill.signal(signal);
        let mut told = String::new();
        drill.errors().read_to_string(&mut told).unwrap();
        assert!(!drill.0.wait().unwrap().success());
        assert_eq!(told, "told to stop\n");
        let start = Instant::now();
        while children
            .iter()
            .any(|id| Path::new(&format!("/proc/{id}")).exists())
        {
            assert!(start.elapsed() < Duration::from_secs(5), "{children:?}");
            thread::sleep(Duration::from_millis(10));
        }
        assert_eq!(fs::read_dir(directory.path()).unwrap().count(), 0);
    }
}

fn children_of(parent: u32) -> Vec<String> {
    let tasks = fs::read_dir(format!("/proc/{parent}/task")).unwrap();
    let children = tasks.map(|task| fs::read_to_string(task.unwrap().path().join("children")));
    let children: Vec<String> = children.map(Result::unwrap).collect();
    let ids = children.iter().flat_map(|ids| ids.split_whitespace());
    ids.map(str::to_owned).collect()
}
