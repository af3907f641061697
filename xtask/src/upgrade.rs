//! `cargo xtask upgrade`: nodes and clients of an older revision beside those of this one.
//!
//! The older command is built in a worktree of git, which is gone afterwards. Everything goes by the command
//! lines of both: what one puts, the other reads; what a node moves when it stops goes to one of the other, and
//! what it leaves in a file the other finds there.

use std::io::{BufRead, BufReader, Read};
use std::net::{SocketAddr, TcpListener};
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};

use anyhow::{Context, bail, ensure};
use xshell::{Shell, cmd};

use crate::workspace::{cargo, metadata, root, say};

/// Where the worktree is, and what is built of it.
const OUT: &str = "target/upgrade";

/// What nodes and clients say to each other.
const INTERFACE: &str = "crates/mc-cluster/proto/mc_cluster.proto";

/// Objects of each scene: enough that both of two nodes get some.
const OBJECTS: usize = 24;

/// Every eighth object has as many bytes as a block, which go in several messages; the others a few.
const BLOCK_BYTES: usize = 3_274_752;

/// The command of a revision.
struct Program {
    path: PathBuf,
    age: &'static str,
}

/// A worktree of git that goes at the end.
struct Worktree<'a> {
    shell: &'a Shell,
    path: PathBuf,
}

/// A node that is killed at the end.
struct Node(Child);

/// Runs nodes and clients of a revision beside those of this one. Without a revision that is named, it is
/// one line if there is none to be had.
pub(crate) fn run(shell: &Shell, from: Option<&str>) -> anyhow::Result<()> {
    let revision = match from {
        Some(revision) => revision.to_owned(),
        None => match older(shell) {
            Ok(revision) => revision,
            Err(reason) => {
                say(&format!("the upgrade does not run: {reason:#}"));
                return Ok(());
            }
        },
    };
    let commit = commit(shell, &revision)?;
    let described = cmd!(shell, "git log -1 --oneline {commit}")
        .quiet()
        .read()?;
    say(&format!("old is {described}"));
    let old = {
        let worktree = Worktree::new(shell, &commit)?;
        let target = root().join(OUT).join("build");
        build(shell, &worktree.path, &target, "old")?
    };
    let target = PathBuf::from(metadata()?.target_directory);
    let new = build(shell, &root(), &target, "new")?;
    for (node, client) in [(&old, &new), (&new, &old)] {
        alone(shell, node, client)?;
    }
    for (stays, leaves) in [(&new, &old), (&old, &new)] {
        mixed(shell, stays, leaves)?;
    }
    for (before, after) in [(&old, &new), (&new, &old)] {
        in_place(shell, before, after)?;
    }
    Ok(())
}

/// Returns the last tag before this commit, or else the newest revision with another interface.
fn older(shell: &Shell) -> anyhow::Result<String> {
    let tag = cmd!(shell, "git describe --tags --abbrev=0 HEAD^").quiet();
    if let Ok(tag) = tag.ignore_stderr().read() {
        return Ok(tag);
    }
    let now = shell.read_file(INTERFACE)?;
    let commits = cmd!(shell, "git log --format=%H -- {INTERFACE}").quiet();
    let commits = commits.ignore_stderr().read();
    for commit in commits.context("there is no git repository")?.lines() {
        let file = format!("{commit}^:{INTERFACE}");
        let before = cmd!(shell, "git show {file}").quiet().ignore_stderr();
        if let Ok(before) = before.read()
            && without_comments(&before) != without_comments(&now)
        {
            return Ok(format!("{commit}^"));
        }
    }
    bail!("git has no tag, and no revision with another {INTERFACE}; a shallow clone has neither")
}

fn commit(shell: &Shell, revision: &str) -> anyhow::Result<String> {
    let peeled = format!("{revision}^{{commit}}");
    let commit = cmd!(
        shell,
        "git rev-parse --verify --quiet --end-of-options {peeled}"
    )
    .quiet();
    let commit = commit.ignore_stderr().read().ok();
    commit.with_context(|| {
        format!("git has no revision {revision:?}; name a commit, a tag or a branch that it has")
    })
}

/// Returns what a file of the interface says on the wire.
fn without_comments(text: &str) -> Vec<&str> {
    let lines = text.lines().map(str::trim);
    let lines = lines.filter(|line| !line.is_empty() && !line.starts_with("//"));
    lines.collect()
}

/// Builds the command of a worktree. Cargo tells the packages of two worktrees apart by directories alone, so each has
/// a target of its own.
fn build(
    shell: &Shell,
    worktree: &Path,
    target: &Path,
    age: &'static str,
) -> anyhow::Result<Program> {
    let _directory = shell.push_dir(worktree);
    let _target = shell.push_env("CARGO_TARGET_DIR", target);
    let command = "--package mc-cluster --bin mc-cluster";
    cargo(shell, &format!("build --locked --quiet {command}"))?;
    let path = target.join("debug/mc-cluster");
    Ok(Program { path, age })
}

/// One node, and a client of the other revision.
fn alone(shell: &Shell, node: &Program, client: &Program) -> anyhow::Result<()> {
    let [address] = addresses()?;
    let members = format!("a={address}");
    let _node = node.start("a", address, &members, None)?;
    for object in 0..OBJECTS {
        client.put(shell, object, &members)?;
    }
    for reader in [client, node] {
        reader.read_all(shell, &members)?;
    }
    let stored = client.objects_of(shell, "a", &members)?;
    ensure!(stored == OBJECTS, "the node has {stored} objects");
    let (node, client) = (node.age, client.age);
    say(&format!(
        "{node} node, {client} client: {OBJECTS} objects put, read and right"
    ));
    Ok(())
}

/// Two nodes, one of which leaves its objects to the other, and clients of both revisions.
fn mixed(shell: &Shell, stays: &Program, leaves: &Program) -> anyhow::Result<()> {
    let [stay, leave] = addresses()?;
    let (alone, members) = (format!("a={stay}"), format!("a={stay},b={leave}"));
    let _stays = stays.start("a", stay, &members, None)?;
    let leaving = leaves.start("b", leave, &members, None)?;
    let clients = [stays, leaves];
    for object in 0..OBJECTS {
        clients[object % 2].put(shell, object, &members)?;
    }
    for client in clients {
        client.read_all(shell, &members)?;
    }
    let moved = stays.objects_of(shell, "b", &members)?;
    ensure!(moved > 0, "the node that leaves has no objects");
    let told = leaving.end()?;
    let has_all = told.contains(" 0 objects of 0 bytes lost");
    ensure!(has_all, "the node that left said: {told}");
    let stored = leaves.objects_of(shell, "a", &alone)?;
    ensure!(
        stored == OBJECTS,
        "the node that stays has {stored} objects"
    );
    for client in clients {
        client.read_all(shell, &members)?;
    }
    let (stays, leaves) = (stays.age, leaves.age);
    say(&format!(
        "{leaves} and {stays} node, clients of both: {OBJECTS} objects read and right, also after the {leaves} node \
         left its {moved} to the {stays} one"
    ));
    Ok(())
}

/// A node whose memory is in a file, and one of the other revision that goes on with it.
fn in_place(shell: &Shell, before: &Program, after: &Program) -> anyhow::Result<()> {
    let directory = shell.create_temp_dir()?;
    let file = directory.path().join("memory");
    let [address] = addresses()?;
    let members = format!("a={address}");
    let node = before.start("a", address, &members, Some(&file))?;
    for object in 0..OBJECTS {
        before.put(shell, object, &members)?;
    }
    node.end()?;
    let _node = after.start("a", address, &members, Some(&file))?;
    after.read_all(shell, &members)?;
    let (before, after) = (before.age, after.age);
    say(&format!(
        "{after} node on the file of the {before} one: {OBJECTS} objects read and right"
    ));
    Ok(())
}

impl Program {
    /// Starts a node; one with a file leaves its objects there when it stops, and others to the members.
    fn start(
        &self,
        name: &str,
        address: SocketAddr,
        members: &str,
        file: Option<&Path>,
    ) -> anyhow::Result<Node> {
        let mut command = Command::new(&self.path);
        command.args(["node", "--name", name, "--size", "64mb", "--small-pages"]);
        command.args(["--listen", &address.to_string(), "--members", members]);
        if let Some(file) = file {
            command.arg("--file").arg(file).args(["--drain", "0"]);
        }
        let command = command.stdout(Stdio::piped()).stderr(Stdio::piped());
        let mut node = Node(command.spawn()?);
        let mut line = String::new();
        let output = node.0.stdout.as_mut().context("no output")?;
        BufReader::new(output).read_line(&mut line)?;
        let listens = line.starts_with("listening on ");
        ensure!(listens, "the {} node does not listen: {line:?}", self.age);
        Ok(node)
    }

    fn put(&self, shell: &Shell, object: usize, members: &str) -> anyhow::Result<()> {
        let (path, key) = (&self.path, key(object));
        let put = cmd!(shell, "{path} put {key} --members {members}").quiet();
        let put = put.stdin(contents(object)).ignore_stdout().run();
        put.with_context(|| format!("the {} client cannot put {object}", self.age))
    }

    /// Reads every object, and compares its bytes.
    fn read_all(&self, shell: &Shell, members: &str) -> anyhow::Result<()> {
        let path = &self.path;
        for object in 0..OBJECTS {
            let key = key(object);
            let get = cmd!(shell, "{path} get {key} --members {members}").quiet();
            let got = get.output();
            let got = got.with_context(|| format!("the {} client lacks {object}", self.age))?;
            let is_right = got.stdout == contents(object);
            ensure!(is_right, "the {} client reads {object} wrongly", self.age);
        }
        Ok(())
    }

    /// Returns how many objects a node says it has.
    fn objects_of(&self, shell: &Shell, name: &str, members: &str) -> anyhow::Result<usize> {
        let path = &self.path;
        let status = cmd!(shell, "{path} status --members {members}").quiet();
        let status = status.read()?;
        let mut rows = status.lines().map(|line| line.split("  "));
        let row = rows.find(|row| row.clone().next() == Some(name));
        let objects = row.and_then(|mut row| row.nth(2));
        let objects = objects.with_context(|| format!("no objects of {name} in {status:?}"))?;
        Ok(objects.parse()?)
    }
}

impl Node {
    /// Tells it to stop, and returns what it said of its objects.
    fn end(mut self) -> anyhow::Result<String> {
        let id = self.0.id().to_string();
        let told = Command::new("kill").args(["-TERM", &id]).status()?;
        ensure!(told.success(), "the node cannot be told to stop");
        let mut said = String::new();
        let errors = self.0.stderr.as_mut().context("no errors")?;
        errors.read_to_string(&mut said)?;
        ensure!(self.0.wait()?.success(), "the node failed: {said}");
        Ok(said)
    }
}

impl Drop for Node {
    fn drop(&mut self) {
        let _ = self.0.kill();
        let _ = self.0.wait();
    }
}

impl<'a> Worktree<'a> {
    fn new(shell: &'a Shell, commit: &str) -> anyhow::Result<Self> {
        let path = root().join(OUT).join("worktree");
        let worktree = Self { shell, path };
        // One that was killed has left its own.
        worktree.remove();
        let path = &worktree.path;
        let add = cmd!(shell, "git worktree add --quiet --detach {path} {commit}");
        add.quiet().run()?;
        Ok(worktree)
    }

    fn remove(&self) {
        let path = &self.path;
        let remove = cmd!(self.shell, "git worktree remove --force {path}");
        // If it is not there, there is nothing to be removed.
        let _ = remove.quiet().ignore_stderr().run();
    }
}

impl Drop for Worktree<'_> {
    fn drop(&mut self) {
        self.remove();
    }
}

fn key(object: usize) -> String {
    format!("object {object}")
}

/// Returns bytes that tell an object from the others.
fn contents(object: usize) -> Vec<u8> {
    let len = match object % 8 {
        0 => BLOCK_BYTES,
        _ => 1 + object * 997,
    };
    let mut word = object as u64 + 1;
    let bytes = (0..len).map(|_| {
        word = word.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1);
        word.to_be_bytes()[0]
    });
    bytes.collect()
}

/// Returns addresses that nobody has at the moment.
fn addresses<const N: usize>() -> anyhow::Result<[SocketAddr; N]> {
    let mut listeners = Vec::new();
    let mut addresses = [SocketAddr::from(([127, 0, 0, 1], 0)); N];
    for address in &mut addresses {
        let listener = TcpListener::bind(*address)?;
        *address = listener.local_addr()?;
        listeners.push(listener);
    }
    Ok(addresses)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn comments_are_not_what_is_said_on_the_wire() {
        let said = "// What.\nmessage A {\n  // Why.\n  uint64 b = 1;\n\n}\n";
        let expected = ["message A {", "uint64 b = 1;", "}"];
        assert_eq!(without_comments(said), expected);
    }
}
