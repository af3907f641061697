//! Nodes, clients and etcd as processes that are killed and frozen: the drill of the
//! command, in short.
#![expect(clippy::unwrap_used, reason = "a failed set-up fails the test")]

use std::{
    fs,
    path::{Path, PathBuf},
    process::Command,
};

/// Runs the drill; it fails where a promise is broken.
fn drill(kills: u32, etcd: Option<&Path>) {
    let mut command = Command::new(env!("CARGO_BIN_EXE_mc-cluster"));
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

#[test]
fn promises_hold_where_etcd_is_killed_and_frozen() {
    let places = ["/usr/bin/etcd", "/usr/local/bin/etcd"].map(PathBuf::from);
    match places.iter().find(|place| fs::exists(place).unwrap()) {
        Some(etcd) => drill(6, Some(etcd)),
        None => eprintln!("the drill with etcd does not run: there is no etcd in /usr/bin"),
    }
}

#[test]
fn objects_go_from_command_to_command() {
    let program = env!("CARGO_BIN_EXE_mc-cluster");
    let directory = tempfile::tempdir().unwrap();
    let mut node = Command::new(program)
        .args(["node", "--name", "a", "--size", "16mb", "--small-pages"])
        .args(["--listen", "127.0.0.1:0"])
        .stdout(std::process::Stdio::piped())
        .spawn()
        .unwrap();
    let mut line = String::new();
    let output = node.stdout.take().unwrap();
    std::io::BufRead::read_line(&mut std::io::BufReader::new(output), &mut line).unwrap();
    let members = format!("a={}", line.trim().strip_prefix("listening on ").unwrap());
    let run = |arguments: &[&str]| {
        let mut command = Command::new(program);
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
    let id = nix::unistd::Pid::from_raw(i32::try_from(node.id()).unwrap());
    nix::sys::signal::kill(id, nix::sys::signal::Signal::SIGTERM).unwrap();
    assert!(node.wait().unwrap().success());
    assert!(!run(&["status"]).status.success());
}
