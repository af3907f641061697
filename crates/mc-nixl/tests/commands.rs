//! The command with the options that it has in common with `mc-cluster`, as processes.
//!
//! Without the library of NIXL, or without etcd, one line says that a test did not run, unless
//! `MC_REQUIRE_NIXL` is set: then the library has to be there.
#![expect(clippy::unwrap_used, reason = "a failed set-up fails the test")]
#![expect(clippy::print_stdout, reason = "says what did not run")]

use std::{
    fs,
    io::{BufRead, BufReader, Read, Write},
    net::{TcpListener, TcpStream},
    path::Path,
    process::{Child, ChildStdout, Command, Output, Stdio},
    thread::sleep,
    time::{Duration, Instant},
};

use mc_nixl::NixlEngine;

const PROGRAM: &str = env!("CARGO_BIN_EXE_mc-nixl");

const ETCD: &str = "/usr/bin/etcd";

/// A process that is killed if the test ends before it.
struct Process {
    child: Child,
    output: BufReader<ChildStdout>,
}

impl Process {
    fn start(command: &mut Command) -> Self {
        let mut child = command.stdout(Stdio::piped()).spawn().unwrap();
        let output = BufReader::new(child.stdout.take().unwrap());
        Self { child, output }
    }

    /// Waits for a line of its output, and returns what follows the words that it begins with.
    fn said(&mut self, words: &str) -> String {
        let mut line = String::new();
        self.output.read_line(&mut line).unwrap();
        let Some(rest) = line.trim_end().strip_prefix(words) else {
            self.child.kill().unwrap();
            panic!("{line:?}: {}", self.complaints());
        };
        rest.to_owned()
    }

    /// Asks it to stop, waits for a good end, and returns what it complained about.
    fn end(&mut self) -> String {
        let id = self.child.id().to_string();
        let sent = Command::new("kill").args(["-TERM", &id]).status();
        assert!(sent.unwrap().success());
        let text = self.complaints();
        assert!(self.child.wait().unwrap().success(), "{text}");
        text
    }

    fn complaints(&mut self) -> String {
        let mut text = String::new();
        let errors = self.child.stderr.as_mut().unwrap();
        errors.read_to_string(&mut text).unwrap();
        text
    }
}

impl Drop for Process {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

/// Says whether the library is there, or that a test does not run.
fn has_nixl() -> bool {
    let is_required = std::env::vars_os().any(|(name, _)| name == "MC_REQUIRE_NIXL");
    match NixlEngine::new() {
        Ok(_) => true,
        Err(error) => {
            assert!(!is_required, "{error}");
            println!("a test with NIXL did not run: {error}");
            false
        }
    }
}

/// Returns an address that nobody has at the moment.
fn address() -> String {
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    listener.local_addr().unwrap().to_string()
}

/// Starts etcd in a directory; returns its address once it is there.
fn start_etcd(directory: &Path) -> (Process, String) {
    let [clients, peers] = [(); 2].map(|()| format!("http://{}", address()));
    let mut command = Command::new(ETCD);
    command.arg("--data-dir").arg(directory.join("etcd"));
    command.args(["--listen-client-urls", &clients]);
    command.args(["--advertise-client-urls", &clients]);
    command.args(["--listen-peer-urls", &peers]);
    let etcd = Process::start(command.stderr(Stdio::null()));
    let end = Instant::now() + Duration::from_secs(20);
    while TcpStream::connect(&clients["http://".len()..]).is_err() {
        assert!(Instant::now() < end, "etcd is not there");
        sleep(Duration::from_millis(20));
    }
    (etcd, clients)
}

/// Starts a node, and returns the address for clients.
fn start_node(name: &str, options: &[&str]) -> (Process, String) {
    let mut command = Command::new(PROGRAM);
    command.args(["node", "--name", name, "--size", "16mb", "--small-pages"]);
    let mut node = Process::start(command.args(options).stderr(Stdio::piped()));
    let address = node.said("listening on ");
    (node, address)
}

/// Runs a command of a client to its end.
fn run(command: &str, arguments: &[&str], options: &[&str]) -> Output {
    let mut run = Command::new(PROGRAM);
    let run = run.arg(command).args(arguments).args(options);
    run.output().unwrap()
}

/// Runs a command of a client that has to end well, and returns its output.
#[track_caller]
fn done(command: &str, arguments: &[&str], options: &[&str]) -> Vec<u8> {
    let done = run(command, arguments, options);
    let complaints = String::from_utf8_lossy(&done.stderr);
    assert!(done.status.success(), "{command}: {complaints}");
    if command != "status" {
        assert!(
            complaints.contains("1 objects by NIXL, 0 by gRPC"),
            "{command}: {complaints}"
        );
    }
    done.stdout
}

/// Returns the first line and the body of what a node answers by HTTP.
fn asked(http: &str, path: &str) -> (String, String) {
    let mut stream = TcpStream::connect(http).unwrap();
    write!(
        stream,
        "GET {path} HTTP/1.1\r\nHost: a\r\nConnection: close\r\n\r\n"
    )
    .unwrap();
    let mut answer = BufReader::new(stream);
    let (mut line, mut rest) = (String::new(), String::new());
    answer.read_line(&mut line).unwrap();
    answer.read_to_string(&mut rest).unwrap();
    (line, rest)
}

/// Waits until every one of so many members takes puts.
fn wait_for(members: usize, options: &[&str]) {
    let end = Instant::now() + Duration::from_secs(20);
    loop {
        let status = run("status", &[], options);
        let text = String::from_utf8_lossy(&status.stdout);
        let ready = text.lines().filter(|line| line.ends_with("  true")).count();
        if status.status.success() && ready == members {
            return;
        }
        assert!(Instant::now() < end, "{status:?}");
        sleep(Duration::from_millis(50));
    }
}

/// Two nodes in etcd, one of which is told to stop.
fn objects_move_between_nodes_in_etcd(of_nodes: &[&str], of_clients: &[&str]) {
    let directory = tempfile::tempdir().unwrap();
    let (_etcd, etcd) = start_etcd(directory.path());
    let in_etcd = ["--etcd", &etcd];
    let place = ["--listen", "127.0.0.1:0", "--http", "127.0.0.1:0"];
    let of_nodes = [&place, &in_etcd[..], &["--time-to-live", "2"], of_nodes].concat();
    let (mut first, _) = start_node("a", &of_nodes);
    let http = first.said("figures on http://");
    let http = http.strip_suffix("/metrics").unwrap().to_owned();
    let (_second, _) = start_node("b", &of_nodes);
    let options = [&in_etcd[..], of_clients].concat();
    wait_for(2, &options);
    let file = directory.path().join("object");
    let keys: Vec<String> = (0..8).map(|key| format!("key {key}")).collect();
    for key in &keys {
        fs::write(&file, format!("bytes of {key}")).unwrap();
        let put = done("put", &[key, file.to_str().unwrap()], &options);
        assert_eq!(put, b"copies: 1\n");
    }
    let status = String::from_utf8(done("status", &[], &options)).unwrap();
    let of_first = status.lines().find(|line| line.starts_with("a  ")).unwrap();
    let moved: usize = of_first.split("  ").nth(2).unwrap().parse().unwrap();
    assert!(moved > 0, "{status}");
    let (health, _) = asked(&http, "/healthz");
    assert!(health.contains(" 200 "), "{health}");
    let (_, figures) = asked(&http, "/metrics");
    assert!(figures.contains("mc_store_useful_bytes"), "{figures}");
    let told = first.end();
    assert!(told.contains(&format!("{moved} objects of ")), "{told}");
    assert!(told.contains(" 0 objects of 0 bytes lost"), "{told}");
    for key in &keys {
        let got = done("get", &[key], &options);
        assert_eq!(got, format!("bytes of {key}").as_bytes());
    }
}

fn has_etcd() -> bool {
    let is_there = fs::exists(ETCD).unwrap();
    if !is_there {
        println!("a test with etcd did not run: there is no {ETCD}");
    }
    is_there
}

#[test]
fn a_node_in_etcd_leaves_its_objects_to_another_when_it_is_told_to_stop() {
    if has_nixl() && has_etcd() {
        let directory = tempfile::tempdir().unwrap();
        let token = directory.path().join("token");
        fs::write(&token, "a-token-of-these-tests").unwrap();
        let token = ["--token-file", token.to_str().unwrap()];
        objects_move_between_nodes_in_etcd(&token, &token);
    }
}

/// The certificates of the tests of `mc-cluster`.
#[cfg(feature = "tls")]
#[test]
fn nodes_and_clients_that_show_certificates_move_objects_and_serve_nobody_else() {
    if !(has_nixl() && has_etcd()) {
        return;
    }
    let certificates = concat!(
        env!("CARGO_MANIFEST_DIR"),
        "/../mc-cluster/tests/cluster/certificates"
    );
    let file = |name: &str| format!("{certificates}/{name}.pem");
    let of = |who: &str| {
        let options = [
            ("--tls-certificate", file(who)),
            ("--tls-key", file(&format!("{who}.key"))),
            ("--tls-authority", file("authority")),
        ];
        options
            .map(|(option, value)| [option.to_owned(), value])
            .concat()
    };
    let (node, client, other) = (of("node"), of("client"), of("other"));
    let [node, client, other] =
        [&node, &client, &other].map(|it| it.iter().map(|text| &**text).collect::<Vec<_>>());
    objects_move_between_nodes_in_etcd(&node, &client);
    let (_node, address) = start_node("a", &[&["--listen", "127.0.0.1:0"], &node[..]].concat());
    let members = format!("a={address}");
    for (secrets, is_served) in [(&client, true), (&other, false), (&Vec::new(), false)] {
        let options = [&["--members", &members], &secrets[..]].concat();
        let status = run("status", &[], &options);
        assert_eq!(status.status.success(), is_served, "{status:?}");
    }
}

#[test]
fn a_node_with_a_file_serves_its_objects_again_after_it_was_killed() {
    if !has_nixl() {
        return;
    }
    let directory = tempfile::tempdir().unwrap();
    let (memory, object) = (
        directory.path().join("memory"),
        directory.path().join("object"),
    );
    let listen = address();
    let options = ["--listen", &listen, "--file", memory.to_str().unwrap()];
    let members = format!("a={listen}");
    let members = ["--members", &members];
    fs::write(&object, "bytes that outlive the process").unwrap();
    let (node, _) = start_node("a", &options);
    done("put", &["key", object.to_str().unwrap()], &members);
    drop(node);
    let (_node, _) = start_node("a", &options);
    assert_eq!(
        done("get", &["key"], &members),
        b"bytes that outlive the process"
    );
}
