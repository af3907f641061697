//! `mc-cluster bench`: what a node does in a second, beside the network and the
//! memory alone.

use std::{
    error::Error,
    process::Command,
    sync::atomic::{AtomicU64, Ordering},
    thread,
    time::{Duration, Instant},
};

use bytes::Bytes;
use clap::Args;
use futures_util::future::try_join_all;
use mc_cluster::{
    Client, ClientOptions, Members,
    client::{Calls, Connection},
    wire::{
        CommitRequest, LookupRequest, Outcome, ReleaseRequest, RemoveRequest, ReserveRequest,
        commit_request, remove_request::Mode, reserve_request,
    },
};
use tonic::Status;

use crate::{
    common::{
        arguments::at_least_one,
        baseline::{BLOCK_BYTES, copies, median, raw_tcp},
        console::tell,
    },
    process::Process,
};

#[derive(Debug, Args)]
pub(crate) struct BenchArguments {
    /// Seconds for each measurement
    #[arg(long, default_value = "2", value_name = "SECONDS", value_parser = at_least_one::<u64>())]
    seconds: u64,
}

/// Items of one call.
const BATCH: u64 = 64;

/// Bytes of an object that is only placed.
const PLACED_BYTES: u64 = 1024;

/// The objects that lookups ask for.
const LOOKED_UP: u64 = 1 << 16;

/// How often blocks are moved in each way, one way after the other.
const ROUNDS: usize = 5;

const NODE_SIZE: &str = "512mb";

pub(crate) async fn run(arguments: BenchArguments) -> Result<(), Box<dyn Error>> {
    let time = Duration::from_secs(arguments.seconds);
    let (_node, address) = start_node()?;
    tell(&format!(
        "one node and one client on this host, {} processors, times of {} s",
        thread::available_parallelism().map_or(1, usize::from),
        time.as_secs()
    ))?;
    for under_way in [1, 4] {
        let rate = placements(&address, time, under_way).await?;
        tell(&format!(
            "placements (reserve and commit, batches of {BATCH}, {under_way} under way): {rate:.0} /s"
        ))?;
    }
    for under_way in [1, 4] {
        for lease_ms in [0, 1000] {
            let rate = lookups(&address, time, under_way, lease_ms).await?;
            let kind = ["without a lease", "leased and released"][usize::from(lease_ms > 0)];
            tell(&format!(
                "lookups (batches of {BATCH}, {kind}, {under_way} under way): {rate:.0} keys/s"
            ))?;
        }
    }
    bytes(&address, time).await
}

fn start_node() -> Result<(Process, String), Box<dyn Error>> {
    let mut command = Command::new(std::env::current_exe()?);
    command.args(["node", "--name", "bench", "--size", NODE_SIZE]);
    let mut node = Process::start(command.args(["--listen", "127.0.0.1:0"]))?;
    let line = node.line().ok_or("the node has not started")?;
    let address = line.strip_prefix("listening on ");
    let address = address.ok_or_else(|| format!("the node said {line:?}"))?;
    Ok((node, address.to_owned()))
}

fn calls(address: &str) -> Result<Calls, Box<dyn Error>> {
    Ok(Connection::default().calls(address)?)
}

/// Runs calls that treat a batch each, so many at a time, and returns items per
/// second.
async fn rate(
    time: Duration,
    under_way: u64,
    batch: impl AsyncFn(u64) -> Result<(), Status>,
) -> Result<f64, Box<dyn Error>> {
    let (batch, next) = (&batch, &AtomicU64::new(0));
    let start = Instant::now();
    let tasks = (0..under_way).map(async |_| {
        while start.elapsed() < time {
            batch(next.fetch_add(1, Ordering::Relaxed)).await?;
        }
        Ok::<_, Status>(())
    });
    try_join_all(tasks).await?;
    let items = next.load(Ordering::Relaxed) * BATCH;
    Ok(items as f64 / start.elapsed().as_secs_f64())
}

fn key(number: u64) -> Bytes {
    // 32 bytes, as the hash of a prompt has.
    Bytes::from(format!("{number:032x}"))
}

async fn placements(address: &str, time: Duration, under_way: u64) -> Result<f64, Box<dyn Error>> {
    let calls = calls(address)?;
    rate(time, under_way, async |batch| {
        place(calls.clone(), under_way << 40, batch).await
    })
    .await
}

/// Places one batch of objects under keys that nobody else has.
async fn place(mut calls: Calls, series: u64, batch: u64) -> Result<(), Status> {
    let items = (0..BATCH).map(|item| reserve_request::Item {
        key: key(series + batch * BATCH + item),
        bytes: PLACED_BYTES,
        ..Default::default()
    });
    let request = ReserveRequest {
        items: items.collect(),
        deadline_ms: 0,
    };
    let reserved = calls.reserve(request).await?.into_inner();
    let items = reserved.items.iter().map(|item| commit_request::Item {
        put: item.put,
        checksum: Some(0),
        ..Default::default()
    });
    let request = CommitRequest {
        items: items.collect(),
        life: reserved.life,
    };
    let committed = calls.commit(request).await?.into_inner();
    match committed.outcomes().all(|outcome| outcome == Outcome::Done) {
        true => Ok(()),
        false => Err(Status::internal("an object was not placed")),
    }
}

async fn lookups(
    address: &str,
    time: Duration,
    under_way: u64,
    lease_ms: u64,
) -> Result<f64, Box<dyn Error>> {
    let calls = calls(address)?;
    let series = 1 << 50;
    for batch in 0..LOOKED_UP / BATCH {
        // Those of an earlier measurement are there.
        let _ = place(calls.clone(), series, batch).await;
    }
    rate(time, under_way, async |batch| {
        let mut calls = calls.clone();
        let first = series + batch * BATCH % LOOKED_UP;
        let request = LookupRequest {
            keys: (first..first + BATCH).map(key).collect(),
            lease_ms,
            all_keys: false,
        };
        let found = calls.lookup(request).await?.into_inner();
        if found.objects.len() as u64 != BATCH {
            return Err(Status::internal("an object was not found"));
        }
        if found.lease != 0 {
            let request = ReleaseRequest {
                leases: vec![found.lease],
                life: found.life,
            };
            calls.release(request).await?;
        }
        Ok(())
    })
    .await
}

/// Puts and gets blocks, beside the same bytes over TCP and within memory: in
/// rounds, so that each stands beside what the machine did at that time.
async fn bytes(address: &str, time: Duration) -> Result<(), Box<dyn Error>> {
    let block: Vec<u8> = (0_u32..)
        .map(|n| (n % 251) as u8)
        .take(BLOCK_BYTES)
        .collect();
    let block = Bytes::from(block);
    let mut rounds = Vec::new();
    for _ in 0..ROUNDS {
        // On a thread of the runtime, as callers are that are tasks themselves.
        let served = tokio::spawn(served(address.to_owned(), block.clone(), time));
        let (put, get) = served.await?.map_err(|error| error.to_string())?;
        let (sent, received) = raw_tcp(block.clone(), time)?;
        rounds.push([put, get, sent, received]);
    }
    let medians = [0, 1, 2, 3].map(|way| median(rounds.iter().map(|round| round[way]).collect()));
    let [put, get, sent, received] = medians;
    let rate = |time: Duration| BLOCK_BYTES as f64 / time.as_secs_f64() / 1e9;
    for (what, time) in [
        ("put", put),
        ("get", get),
        ("raw TCP, sent and acknowledged", sent),
        ("raw TCP, asked for and received", received),
        ("memcpy", copies(&block, time)),
    ] {
        let rate = rate(time);
        tell(&format!(
            "{BLOCK_BYTES} bytes, {what}: median {time:?}, {rate:.2} GB/s"
        ))?;
    }
    let share = |[put, get, sent, received]: &[Duration; 4]| {
        (*sent + *received).as_secs_f64() / (*put + *get).as_secs_f64()
    };
    let mut shares: Vec<_> = rounds.iter().map(share).collect();
    shares.sort_by(f64::total_cmp);
    tell(&format!(
        "put and get reach {:.2} of raw TCP, the median of {ROUNDS} rounds; {:.2} to {:.2}",
        shares[ROUNDS / 2],
        shares[0],
        shares[ROUNDS - 1]
    ))?;
    Ok(())
}

/// Returns the median times in which a block is put and read.
async fn served(
    address: String,
    block: Bytes,
    time: Duration,
) -> Result<(Duration, Duration), Box<dyn Error + Send + Sync>> {
    let client = Client::new(
        Members::parse(&format!("bench={address}"))?,
        ClientOptions::default(),
    );
    let (mut puts, mut gets) = (Vec::new(), Vec::new());
    let mut calls = Connection::default().calls(&address)?;
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
        let request = RemoveRequest {
            keys: vec![Bytes::from_static(b"block")],
            mode: Mode::Detach.into(),
        };
        calls.remove(request).await?;
    }
    Ok((median(puts), median(gets)))
}
