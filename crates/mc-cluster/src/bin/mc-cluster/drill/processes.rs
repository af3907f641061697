//! The processes of a drill: three nodes, and etcd if there is one.

use std::{
    error::Error,
    net::TcpListener,
    path::{Path, PathBuf},
    process::{Command, Stdio},
    time::{Duration, Instant},
};

use mc_cluster::{
    Client, ClientOptions, Etcd, Member, Members,
    client::{Calls, Connection},
    wire::{StatsRequest, StatsResponse},
};
use tokio::time::sleep;

use super::ATTEMPT;
use crate::process::Process;

pub(super) const NODES: usize = 3;

/// The node whose memory is a file, which outlives it.
pub(super) const NODE_OF_FILE: usize = 0;

const NAMES: [&str; NODES] = ["a", "b", "c"];

/// How long a put has until its commit.
pub(super) const PUT_DEADLINE: Duration = Duration::from_secs(1);

/// Seconds that an entry in etcd lasts; etcd grants no less than two.
const TIME_TO_LIVE: &str = "2";

/// How long a process may take to be there.
const START_TIME: Duration = Duration::from_secs(20);

pub(super) struct Cluster {
    nodes: Vec<Process>,
    ports: [u16; NODES],
    calls: Vec<Calls>,
    etcd: Option<(PathBuf, Process, u16)>,
    directory: tempfile::TempDir,
    pub(super) client: Client,
}

impl Cluster {
    /// Starts all of it, with etcd if its program is named.
    pub(super) async fn start(etcd: Option<PathBuf>) -> Result<Self, Box<dyn Error>> {
        let directory = tempfile::tempdir()?;
        let [a, b, c, d, e] = free_ports()?;
        let etcd = match etcd {
            Some(program) => {
                let process = start_etcd(&program, directory.path(), d, e)?;
                Some((program, process, d))
            }
            None => None,
        };
        let ports = [a, b, c];
        let nobody = Client::new(Members::fixed(Vec::new())?, ClientOptions::default());
        let mut cluster = Self {
            nodes: Vec::new(),
            calls: Vec::new(),
            ports,
            etcd,
            directory,
            client: nobody,
        };
        for node in 0..NODES {
            let process = cluster.start_node(node)?;
            cluster.nodes.push(process);
            let calls = Connection::default().calls(&cluster.address(node))?;
            cluster.calls.push(calls);
        }
        for node in 0..NODES {
            cluster.wait_for(node).await?;
        }
        let members = match &cluster.etcd {
            Some((_, _, port)) => Members::watch(etcd_at(*port)).await?,
            None => Members::fixed((0..NODES).map(|node| cluster.member(node)).collect())?,
        };
        let mut options = ClientOptions::default();
        options.call_time = Duration::from_millis(500);
        options.patience = Duration::from_secs(4);
        cluster.client = Client::new(members, options);
        Ok(cluster)
    }

    pub(super) fn has_etcd(&self) -> bool {
        self.etcd.is_some()
    }

    pub(super) fn address(&self, node: usize) -> String {
        format!("127.0.0.1:{}", self.ports[node])
    }

    /// Returns the calls of a node, whichever process it is.
    pub(super) fn calls(&self, node: usize) -> Calls {
        self.calls[node].clone()
    }

    pub(super) async fn stats(&self, node: usize) -> Result<StatsResponse, Box<dyn Error>> {
        let mut calls = self.calls(node);
        Ok(calls.stats(StatsRequest {}).await?.into_inner())
    }

    pub(super) fn node(&self, node: usize) -> &Process {
        &self.nodes[node]
    }

    pub(super) fn etcd(&self) -> Option<&Process> {
        self.etcd.as_ref().map(|(_, process, _)| process)
    }

    /// Kills a node and starts it again at the same address.
    pub(super) fn kill_node(&mut self, node: usize) -> Result<(), Box<dyn Error>> {
        self.nodes[node].kill()?;
        self.nodes[node] = self.start_node(node)?;
        Ok(())
    }

    /// Kills etcd and starts it again with what it had on disk.
    pub(super) fn kill_etcd(&mut self) -> Result<(), Box<dyn Error>> {
        let directory = self.directory.path().to_owned();
        if let Some((program, process, port)) = &mut self.etcd {
            process.kill()?;
            let [peers] = free_ports()?;
            *process = start_etcd(program, &directory, *port, peers)?;
        }
        Ok(())
    }

    /// Waits until a node takes puts.
    pub(super) async fn wait_for(&self, node: usize) -> Result<(), Box<dyn Error>> {
        let end = Instant::now() + START_TIME;
        loop {
            if self.stats(node).await.is_ok_and(|stats| stats.takes_puts) {
                return Ok(());
            }
            if Instant::now() > end {
                return Err(format!("node {} is not there", NAMES[node]).into());
            }
            sleep(Duration::from_millis(20)).await;
        }
    }

    fn member(&self, node: usize) -> Member {
        Member::new(NAMES[node], self.address(node))
    }

    fn start_node(&self, node: usize) -> Result<Process, Box<dyn Error>> {
        let mut command = Command::new(std::env::current_exe()?);
        command.args(["node", "--name", NAMES[node], "--size", "64mb"]);
        command.args(["--small-pages", "--listen", &self.address(node)]);
        command.args(["--put-deadline", &PUT_DEADLINE.as_secs().to_string()]);
        if node == NODE_OF_FILE {
            command
                .arg("--file")
                .arg(self.directory.path().join("memory"));
        }
        if let Some((_, _, port)) = &self.etcd {
            let url = format!("http://127.0.0.1:{port}");
            command.args(["--etcd", &url, "--time-to-live", TIME_TO_LIVE]);
        }
        start(&mut command)
    }
}

/// Starts one attempt of a client.
pub(super) fn start_attempt(
    address: &str,
    key: &str,
    step: usize,
) -> Result<Process, Box<dyn Error>> {
    let mut command = Command::new(std::env::current_exe()?);
    start(command.args([ATTEMPT, address, key, &step.to_string()]))
}

fn etcd_at(port: u16) -> Etcd {
    Etcd::new(vec![format!("http://127.0.0.1:{port}")])
}

fn start_etcd(
    program: &Path,
    directory: &Path,
    port: u16,
    peers: u16,
) -> Result<Process, Box<dyn Error>> {
    let clients = format!("http://127.0.0.1:{port}");
    let peers = format!("http://127.0.0.1:{peers}");
    let mut command = Command::new(program);
    command.arg("--data-dir").arg(directory.join("etcd"));
    command.args([
        "--listen-client-urls",
        &clients,
        "--advertise-client-urls",
        &clients,
    ]);
    command.args(["--listen-peer-urls", &peers]);
    start(&mut command)
}

/// Starts a process whose complaints are part of the drill.
fn start(command: &mut Command) -> Result<Process, Box<dyn Error>> {
    Process::start(command.stderr(Stdio::null()))
}

/// Returns ports that nobody has at the moment.
fn free_ports<const N: usize>() -> Result<[u16; N], Box<dyn Error>> {
    let mut listeners = Vec::new();
    let mut ports = [0; N];
    for port in &mut ports {
        let listener = TcpListener::bind("127.0.0.1:0")?;
        *port = listener.local_addr()?.port();
        listeners.push(listener);
    }
    Ok(ports)
}
