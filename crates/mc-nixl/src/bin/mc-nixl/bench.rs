//! `mc-nixl bench`: a block by NIXL and by gRPC, beside raw TCP and a copy within memory.

use std::{
    error::Error,
    io::{BufRead, BufReader},
    process::{Child, Command, Stdio},
    thread,
    time::{Duration, Instant},
};

use bytes::Bytes;
use mc_cluster::{
    Client, ClientOptions, Members,
    client::{Direct, Streams, Transport},
};
use mc_nixl::{NixlOptions, NixlReach};

use crate::common::{
    baseline::{BLOCK_BYTES, copies, median, raw_tcp},
    console::tell,
};

/// How often each way takes its turn.
const ROUNDS: usize = 5;

const NODE_SIZE: &str = "512mb";

/// The times of a way in one direction and the other.
type Times = (Duration, Duration);

/// A node in a process of its own, killed at the end.
struct Served(Child);

impl Drop for Served {
    fn drop(&mut self) {
        let _ = self.0.kill();
        let _ = self.0.wait();
    }
}

pub(crate) async fn run(seconds: u64) -> Result<(), Box<dyn Error>> {
    let time = Duration::from_secs(seconds);
    let (_node, address) = start_node()?;
    let members = Members::parse(&format!("bench={address}"))?;
    let block: Vec<u8> = (0..=250).cycle().take(BLOCK_BYTES).collect();
    let block = Bytes::from(block);
    let direct = Direct::new(NixlReach::new(&NixlOptions::default())?);
    let clients = (
        Client::with_transport(members.clone(), ClientOptions::default(), direct.clone()),
        Client::with_transport(members, ClientOptions::default(), Streams),
    );
    let mut rounds: Vec<[Times; 3]> = Vec::new();
    for _ in 0..ROUNDS {
        let nixl = served(&clients.0, &block, time).await?;
        let grpc = served(&clients.1, &block, time).await?;
        rounds.push([nixl, grpc, raw_tcp(block.clone(), time)?]);
    }
    let counts = direct.counts();
    if counts.streamed + counts.failed > 0 {
        return Err(format!("not all went by NIXL: {counts:?}").into());
    }
    let processors = thread::available_parallelism().map_or(1, usize::from);
    let mut environment = std::env::vars_os()
        .filter(|(name, _)| name == "UCX_TLS" || name == "UCX_NET_DEVICES")
        .map(|(name, value)| format!("{}={}", name.display(), value.display()))
        .collect::<Vec<_>>();
    environment.sort();
    tell(&format!(
        "{BLOCK_BYTES} bytes, one node and one client on this host, {processors} processors, {}",
        environment.join(" ")
    ))?;
    tell("way  put  get  put and get, of raw TCP")?;
    for (way, name) in ["NIXL", "gRPC", "raw TCP"].into_iter().enumerate() {
        let put = median(rounds.iter().map(|round| round[way].0).collect());
        let get = median(rounds.iter().map(|round| round[way].1).collect());
        let sum = |times: Times| (times.0 + times.1).as_secs_f64();
        let mut shares: Vec<f64> = rounds
            .iter()
            .map(|round| sum(round[2]) / sum(round[way]))
            .collect();
        shares.sort_by(f64::total_cmp);
        tell(&format!(
            "{name}  {put:?} ({:.2} GB/s)  {get:?} ({:.2} GB/s)  {:.2} ({:.2} to {:.2})",
            rate(put),
            rate(get),
            shares[ROUNDS / 2],
            shares[0],
            shares[ROUNDS - 1]
        ))?;
    }
    let copy = copies(&block, time);
    tell(&format!("memcpy  {copy:?} ({:.2} GB/s)", rate(copy)))?;
    Ok(())
}

fn rate(time: Duration) -> f64 {
    BLOCK_BYTES as f64 / time.as_secs_f64() / 1e9
}

fn start_node() -> Result<(Served, String), Box<dyn Error>> {
    let mut command = Command::new(std::env::current_exe()?);
    command.args(["node", "--name", "bench", "--size", NODE_SIZE]);
    command.args(["--listen", "127.0.0.1:0"]);
    let mut node = Served(command.stdout(Stdio::piped()).spawn()?);
    let output = node.0.stdout.take().ok_or("the node has no output")?;
    let mut line = String::new();
    BufReader::new(output).read_line(&mut line)?;
    let address = line.trim().strip_prefix("listening on ");
    let address = address.ok_or_else(|| format!("the node said {line:?}"))?;
    Ok((node, address.to_owned()))
}

/// Returns the median times in which a block is put and read, its bytes compared.
async fn served<T: Transport>(
    client: &Client<T>,
    block: &Bytes,
    time: Duration,
) -> Result<Times, Box<dyn Error>> {
    let (client, block) = (client.clone(), block.clone());
    // On a thread of the runtime, as callers are that are tasks themselves.
    let served = tokio::spawn(async move {
        let (mut puts, mut gets) = (Vec::new(), Vec::new());
        let end = Instant::now() + time;
        while Instant::now() < end {
            let start = Instant::now();
            client.put(b"block", block.clone()).await?;
            puts.push(start.elapsed());
            let start = Instant::now();
            let read = client.get(b"block").await?.ok_or("the block is gone")?;
            gets.push(start.elapsed());
            if read != block {
                return Err("the block has other bytes".into());
            }
            client.remove(b"block").await?;
        }
        Ok::<_, Box<dyn Error + Send + Sync>>((median(puts), median(gets)))
    });
    Ok(served.await?.map_err(|error| error.to_string())?)
}
