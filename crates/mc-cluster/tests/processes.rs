//! Nodes, clients and etcd as processes that are killed and frozen: the drill of the
//! command, in short.
#![expect(clippy::unwrap_used, reason = "a failed set-up fails the test")]
#![expect(clippy::print_stderr, reason = "says what did not run")]

mod process;

use std::{
    fs,
    io::{BufRead, Read, Write},
    net::TcpStream,
    path::{Path, PathBuf},
    process::{Command, Stdio},
    time::{Duration, Instant},
};

use mc_cluster::{Client, ClientOptions, Members};
use nix::sys::signal::Signal;
use tempfile::TempDir;

use self::process::{PROGRAM, Process, addresses};

impl Process {
    /// Starts a node and waits until it listens.
    fn node(arguments: &[&str]) -> Self {
        Self::node_by(&mut Command::new(PROGRAM), arguments)
    }

    /// As [`node`](Self::node), by a command that runs the program.
    fn node_by(command: &mut Command, arguments: &[&str]) -> Self {
        command.args(["node", "--size", "16mb", "--small-pages"]);
        Self::saying("listening on ", command.args(arguments))
    }

    /// Stops all threads; each goes on until it sees the signal.
    fn freeze(&self) {
        self.signal(Signal::SIGSTOP);
        let tasks = format!("/proc/{}/task", self.0.id());
        let is_stopped = || {
            fs::read_dir(&tasks).unwrap().all(|task| {
                let stat = fs::read_to_string(task.unwrap().path().join("stat"));
                // What comes after the name in parentheses is the state.
                stat.is_ok_and(|stat| stat.contains(") T "))
            })
        };
        let start = Instant::now();
        while !is_stopped() {
            assert!(start.elapsed() < Duration::from_secs(10), "it goes on");
            std::thread::sleep(Duration::from_millis(1));
        }
    }
}

/// Runs the drill; it fails where a promise is broken.
fn drill(kills: u32, etcd: Option<&Path>) {
    let mut command = Command::new(PROGRAM);
    command.args(["drill", "--kills", &kills.to_string()]);
    if let Some(etcd) = etcd {
        command.arg("--etcd-program").arg(etcd);
    }
    let output = command.output().unwrap();
    let text = String::from_utf8_lossy(&output.stdout);
    let errors = String::from_utf8_lossy(&output.stderr);
    assert!(output.status.success(), "{text}\n{errors}");
    assert!(text.contains(" 0  objects with wrong bytes"), "{text}");
}

#[test]
fn promises_hold_where_nodes_and_clients_are_killed_and_frozen() {
    drill(8, None);
}

/// Returns the program of etcd, or says what does not run without it.
fn etcd_for(test: &str) -> Option<PathBuf> {
    let mut places = ["/usr/bin/etcd", "/usr/local/bin/etcd"]
        .map(PathBuf::from)
        .into_iter();
    let etcd = places.find(|place| fs::exists(place).unwrap());
    if etcd.is_none() {
        eprintln!("{test} does not run: there is no etcd in /usr/bin");
    }
    etcd
}

#[test]
fn promises_hold_where_etcd_is_killed_and_frozen() {
    if let Some(etcd) = etcd_for("the drill with etcd") {
        drill(6, Some(&etcd));
    }
}

/// An etcd in a directory of its own.
struct Etcd {
    process: Process,
    _directory: TempDir,
    address: String,
}

/// The key of node a, as etcd's calls in JSON want it: base64 of `/mc-cluster/members/a`.
const KEY_OF_A: &str = "L21jLWNsdXN0ZXIvbWVtYmVycy9h";

impl Etcd {
    fn start(program: &Path) -> Self {
        let directory = tempfile::tempdir().unwrap();
        let [address, peers] = addresses();
        let mut command = Command::new(program);
        command.arg("--data-dir").arg(directory.path());
        let clients = format!("http://{address}");
        command.args(["--listen-client-urls", &clients]);
        command.args(["--advertise-client-urls", &clients]);
        command.args(["--listen-peer-urls", &format!("http://{peers}")]);
        let process = Process(command.stderr(Stdio::null()).spawn().unwrap());
        let start = Instant::now();
        while TcpStream::connect(&address).is_err() {
            assert!(start.elapsed() < Duration::from_secs(20), "no etcd");
            std::thread::sleep(Duration::from_millis(20));
        }
        Self {
            process,
            _directory: directory,
            address,
        }
    }

    /// Makes a call as somebody by hand would.
    fn call(&self, call: &str, request: &str) {
        let mut stream = TcpStream::connect(&self.address).unwrap();
        let bytes = request.len();
        let head = format!("POST /v3/kv/{call} HTTP/1.1\r\nHost: etcd\r\nConnection: close");
        write!(stream, "{head}\r\nContent-Length: {bytes}\r\n\r\n{request}").unwrap();
        let mut answer = String::new();
        stream.read_to_string(&mut answer).unwrap();
        assert!(answer.starts_with("HTTP/1.1 200 "), "{answer}");
    }

    fn delete(&self) {
        self.call("deleterange", &format!(r#"{{"key":"{KEY_OF_A}"}}"#));
    }
}

/// Waits until the status that members report has a node that takes puts, or does not.
#[track_caller]
fn wait_until(members: [&str; 2], takes_puts: bool) {
    let start = Instant::now();
    loop {
        let status = Command::new(PROGRAM).arg("status").args(members).output();
        let status = String::from_utf8(status.unwrap().stdout).unwrap();
        let line = status.lines().find(|line| line.starts_with("a  "));
        if line.is_some_and(|line| line.ends_with(&format!("  {takes_puts}"))) {
            return;
        }
        let waited = start.elapsed();
        assert!(waited < Duration::from_secs(10), "{status}");
        std::thread::sleep(Duration::from_millis(50));
    }
}

#[test]
fn a_node_whose_entry_is_deleted_or_written_over_by_hand_enters_again_when_its_name_is_free() {
    let Some(program) = etcd_for("a test of entries in etcd") else {
        return;
    };
    let etcd = Etcd::start(&program);
    let url = format!("http://{}", etcd.address);
    let [address] = addresses();
    let in_etcd = ["--etcd", &url];
    let name = ["--name", "a", "--listen", &address, "--time-to-live", "2"];
    let _node = Process::node(&[&name[..], &in_etcd].concat());
    wait_until(in_etcd, true);
    etcd.delete();
    wait_until(in_etcd, true);
    // What somebody else has written is not the entry of this node, which takes no puts then.
    etcd.call("put", &format!(r#"{{"key":"{KEY_OF_A}","value":"eA=="}}"#));
    let list = format!("a={address}");
    wait_until(["--members", &list], false);
    etcd.delete();
    wait_until(in_etcd, true);
}

#[test]
fn objects_go_from_command_to_command() {
    let directory = tempfile::tempdir().unwrap();
    let [address] = addresses();
    let mut node = Process::node(&["--name", "a", "--listen", &address]);
    let members = format!("a={address}");
    let run = |arguments: &[&str]| {
        let mut command = Command::new(PROGRAM);
        let command = command.args(arguments).args(["--members", &members]);
        command.output().unwrap()
    };
    let (from, to) = (directory.path().join("from"), directory.path().join("to"));
    fs::write(&from, "bytes of a file").unwrap();
    let put = run(&["put", "key", from.to_str().unwrap()]);
    assert!(put.status.success(), "{put:?}");
    let got = run(&["get", "key", to.to_str().unwrap()]);
    assert!(got.status.success(), "{got:?}");
    assert_eq!(fs::read_to_string(to).unwrap(), "bytes of a file");
    assert_eq!(run(&["get", "key"]).stdout, b"bytes of a file");
    let missing = run(&["get", "other"]);
    assert!(!missing.status.success() && missing.stdout.is_empty());
    let status = run(&["status"]);
    assert!(status.status.success(), "{status:?}");
    assert!(String::from_utf8_lossy(&status.stdout).contains("\na  127.0.0.1:"));
    // A stop that was asked for is no failure.
    node.signal(Signal::SIGTERM);
    node.end();
    assert!(!run(&["status"]).status.success());
}

#[test]
fn a_node_that_cannot_enter_itself_in_etcd_says_why() {
    let Some(program) = etcd_for("a test of names in etcd") else {
        return;
    };
    let etcd = Etcd::start(&program);
    let url = format!("http://{}", etcd.address);
    let place = ["--name", "a", "--listen", "127.0.0.1:0", "--etcd", &url];
    let first = Process::node(&[&place[..], &["--time-to-live", "2"]].concat());
    wait_until(["--etcd", &url], true);
    let mut second = Process::node(&place);
    let mut told = String::new();
    let mut errors = second.errors();
    errors.read_line(&mut told).unwrap();
    assert_eq!(
        told,
        "not entered in etcd: the name \"a\" is another's until its entry ends\n"
    );
    drop(first);
    told.clear();
    errors.read_line(&mut told).unwrap();
    assert_eq!(told, "entered in etcd\n");
}

#[test]
fn a_node_that_stops_while_etcd_is_away_waits_to_know_the_others() {
    let Some(program) = etcd_for("a test of a drain without etcd") else {
        return;
    };
    let etcd = Etcd::start(&program);
    let url = format!("http://{}", etcd.address);
    let start = |name| Process::node(&["--name", name, "--listen", "127.0.0.1:0", "--etcd", &url]);
    let mut first = start("b");
    let put = Command::new(PROGRAM)
        .args(["put", "key", "/proc/self/comm", "--etcd", &url])
        .status();
    assert!(put.unwrap().success());
    let _second = start("a");
    wait_until(["--etcd", &url], true);
    etcd.process.freeze();
    first.signal(Signal::SIGTERM);
    std::thread::sleep(Duration::from_secs(3));
    etcd.process.signal(Signal::SIGCONT);
    let told = first.end();
    assert!(told.contains("1 objects of 11 bytes moved"), "{told}");
}

#[test]
fn options_that_make_no_sense_are_refused_by_their_value() {
    for arguments in [
        &["get", "key", "--members", "a=h:1", "--replicas", "0"][..],
        &["bench", "--seconds", "0"],
        &["drill", "--kills", "0"],
        &["node", "--name", "a", "--size", "1mb", "--replicas", "0"],
        &[
            "node",
            "--name",
            "a",
            "--size",
            "1mb",
            "--put-deadline",
            "0",
        ],
        &[
            "node",
            "--name",
            "a",
            "--size",
            "1mb",
            "--time-to-live",
            "0",
        ],
    ] {
        let refused = Command::new(PROGRAM).args(arguments).output().unwrap();
        let told = String::from_utf8(refused.stderr).unwrap();
        assert!(told.contains("invalid value '0'"), "{arguments:?}: {told}");
    }
    let node = |name| {
        let node = ["node", "--size", "1mb", "--listen", "127.0.0.1:0", "--name"];
        Command::new(PROGRAM).args(node).arg(name).output().unwrap()
    };
    for (name, part) in [
        ("", "name of a node is empty"),
        ("a,b", "\"a,b\" is no name"),
        ("a=b", "\"a=b\" is no name"),
        (" a", "\" a\" is no name"),
    ] {
        let told = String::from_utf8(node(name).stderr).unwrap();
        assert!(told.contains(part), "{told}");
    }
}

#[test]
fn a_list_without_members_is_refused() {
    for command in [
        "put key /dev/null",
        "get key",
        "status",
        "node --name a --size 1mb --listen 127.0.0.1:0",
    ] {
        for list in ["", " , "] {
            let arguments = command.split(' ').chain(["--members", list]);
            let refused = Command::new(PROGRAM).args(arguments).output().unwrap();
            let told = String::from_utf8(refused.stderr).unwrap();
            assert!(!refused.status.success(), "{command}");
            assert!(
                told.contains(&format!("--members {list:?} has no member")),
                "{told}"
            );
        }
    }
}

/// Starts three nodes that know each other, and puts objects to them; returns
/// how many there are on the first.
fn three(addresses: &[String; 3], members: &str, objects: usize) -> ([Process; 3], usize) {
    let mut names = ["a", "b", "c"].iter();
    let nodes = addresses.each_ref().map(|address| {
        let name = names.next().unwrap();
        let place = ["--name", name, "--listen", address, "--members", members];
        Process::node(&place)
    });
    for n in 0..objects {
        let mut put = Command::new(PROGRAM);
        put.args(["put", &format!("key {n}"), "--members", members]);
        let mut put = put
            .stdin(Stdio::piped())
            .stdout(Stdio::null())
            .spawn()
            .unwrap();
        let mut bytes = put.stdin.take().unwrap();
        write!(bytes, "bytes of {n}").unwrap();
        drop(bytes);
        assert!(put.wait().unwrap().success());
    }
    let status = Command::new(PROGRAM)
        .args(["status", "--members", members])
        .output();
    let status = String::from_utf8(status.unwrap().stdout).unwrap();
    let first = status.lines().find(|line| line.starts_with("a  ")).unwrap();
    let on_first = first.split("  ").nth(2).unwrap().parse().unwrap();
    (nodes, on_first)
}

#[test]
fn a_node_that_is_told_to_stop_leaves_its_objects_to_the_others() {
    let addresses = addresses();
    let [a, b, c] = &addresses;
    let members = format!("a={a},b={b},c={c}");
    let ([mut first, _b, _c], moved) = three(&addresses, &members, 24);
    assert!(moved > 0);
    first.signal(Signal::SIGTERM);
    let told = first.end();
    assert!(told.contains(&format!("{moved} objects of ")), "{told}");
    assert!(told.contains(" 0 objects of 0 bytes lost"), "{told}");
    for n in 0..24 {
        let key = format!("key {n}");
        let got = Command::new(PROGRAM)
            .args(["get", &key, "--members", &members])
            .output();
        let got = got.unwrap();
        assert_eq!(got.stdout, format!("bytes of {n}").as_bytes(), "{got:?}");
    }
}

#[test]
fn a_second_signal_ends_a_drain_at_once() {
    let addresses = addresses();
    let [a, b, c] = &addresses;
    let members = format!("a={a},b={b},c={c}");
    let ([mut first, second, third], left) = three(&addresses, &members, 12);
    assert!(left > 0);
    for frozen in [&second, &third] {
        frozen.freeze();
    }
    let start = Instant::now();
    first.signal(Signal::SIGTERM);
    std::thread::sleep(Duration::from_millis(500));
    assert!(first.0.try_wait().unwrap().is_none(), "it still tries");
    first.signal(Signal::SIGTERM);
    let told = first.end();
    assert!(start.elapsed() < Duration::from_secs(5), "{told}");
    assert!(told.contains(&format!(" {left} objects of ")), "{told}");
    assert!(told.contains(" bytes lost"), "{told}");
}

#[test]
fn a_node_without_others_stops_in_time_and_says_what_is_lost() {
    let [address] = addresses();
    let members = format!("a={address}");
    let place = ["--name", "a", "--listen", &address, "--members", &members];
    let mut node = Process::node(&place);
    let put = Command::new(PROGRAM)
        .args(["put", "key", "/proc/self/comm", "--members", &members])
        .status();
    assert!(put.unwrap().success());
    node.signal(Signal::SIGTERM);
    let told = node.end();
    assert!(!told.contains("the time is over"), "{told}");
    assert!(told.contains("no other node"), "{told}");
    assert!(told.contains(" 1 objects of "), "{told}");
}

#[cfg(feature = "tls")]
#[test]
fn a_node_that_cannot_verify_others_says_so_when_it_starts() {
    let [address] = addresses();
    let of_node = |file| {
        let directory = concat!(env!("CARGO_MANIFEST_DIR"), "/tests/cluster/certificates/");
        format!("{directory}{file}")
    };
    let (certificate, key) = (of_node("node.pem"), of_node("node.key.pem"));
    let tls = ["--tls-certificate", &certificate, "--tls-key", &key];
    let place = [
        "--name",
        "a",
        "--listen",
        &address,
        "--members",
        "b=127.0.0.1:1",
    ];
    let mut node = Process::node(&[&place[..], &tls, &["--drain", "3"]].concat());
    node.signal(Signal::SIGTERM);
    let told = node.end();
    assert!(told.contains("without --tls-authority"), "{told}");
    assert!(!told.contains("moving objects"), "{told}");
}

#[test]
fn connections_leave_files_for_the_journal() {
    let directory = tempfile::tempdir().unwrap();
    let file = directory.path().join("memory");
    let [address] = addresses();
    let mut limited = Command::new("sh");
    limited.args(["-c", r#"ulimit -n 128; exec "$0" "$@""#, PROGRAM]);
    let place = ["--name", "a", "--listen", &address, "--file"];
    let place = [&place[..], &[file.to_str().unwrap()]].concat();
    let _node = Process::node_by(&mut limited, &place);
    let members = Members::parse(&format!("a={address}")).unwrap();
    let runtime = tokio::runtime::Runtime::new().unwrap();
    runtime.block_on(async {
        let client = Client::new(members, ClientOptions::default());
        client.put(b"key", vec![7; 10].into()).await.unwrap();
        let _connections: Vec<_> = (0..200).map(|_| TcpStream::connect(&address)).collect();
        tokio::time::sleep(Duration::from_millis(300)).await;
        // Long keys, so that the journal soon needs another file.
        let object = |n| (format!("{n:04000}").into(), vec![7; 10].into());
        for copies in client.put_many((0..600).map(object).collect()).await {
            assert_eq!(copies.unwrap(), 1);
        }
    });
}
