//! One fault, and the work around it.

use std::{
    error::Error,
    time::{Duration, Instant},
};

use bytes::Bytes;
use mc_cluster::{
    client::Calls,
    wire::{
        AbortRequest, CommitRequest, LookupRequest, Outcome, ReleaseRequest, RemoveRequest,
        ReserveRequest, ReserveResponse, commit_request, remove_request::Mode, reserve_request,
        reserve_response,
    },
};
use nix::sys::signal::Signal;
use rand::{Rng, RngExt, rngs::StdRng};
use tokio::time::{sleep, timeout};
use tonic::{Code, Status};

use super::{
    attempt::{self, AT_STEP, RIGHT, Read, WRONG, contents, perform},
    processes::{Cluster, NODES, PUT_DEADLINE, start_attempt},
    witness::Witness,
};

/// What happens, when, and to whom.
#[derive(Clone, Copy, Debug)]
pub(super) struct Fault {
    pub(super) victim: Victim,
    /// Between which steps of a put and a get.
    pub(super) step: usize,
    /// Whether it is stopped for longer than anything is granted, or killed.
    pub(super) is_frozen: bool,
    /// The node that is killed, or that the attempt is made with.
    pub(super) node: usize,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Victim {
    Node,
    Client,
    Etcd,
}

/// Longer than puts, leases and entries in etcd last.
const FROZEN_FOR: Duration = Duration::from_millis(2600);

/// The longest that one attempt may take, the freeze included.
const ATTEMPT_TIME: Duration = Duration::from_secs(10);

/// Puts that are reserved beside the attempt, to see where they are.
const HELD: usize = 12;

/// Objects from which on users remove as many as they put.
const OBJECTS_MAX: usize = 100;

pub(super) async fn run(
    cluster: &mut Cluster,
    witness: &mut Witness,
    fault: Fault,
    random: &mut StdRng,
) -> Result<(), Box<dyn Error>> {
    work(cluster, witness, random).await?;
    hold_ranges(cluster, witness, fault.node, random).await?;
    let key = format!("attempt {}", random.next_u64());
    match fault.victim {
        Victim::Client => fault_of_client(cluster, witness, fault, &key).await?,
        Victim::Node | Victim::Etcd => fault_of_server(cluster, witness, fault, &key).await?,
    }
    for node in 0..NODES {
        cluster.wait_for(node).await?;
        remove(&mut cluster.calls(node), &[Bytes::from(key.clone())]).await?;
    }
    // In the file, what was in flight at the kill is still somebody's.
    hold_ranges(cluster, witness, fault.node, random).await?;
    witness.look_at_all(cluster).await
}

/// Puts, gets and removes objects as users do.
async fn work(
    cluster: &Cluster,
    witness: &mut Witness,
    random: &mut StdRng,
) -> Result<(), Box<dyn Error>> {
    let mut added = Vec::new();
    for _ in 0..6 {
        let key = format!("object {}", random.next_u64());
        let size = random.random_range(1..60_000);
        let bytes = contents(key.as_bytes(), size);
        added.push((key, size, bytes));
    }
    let objects = added.iter();
    let objects = objects.map(|(key, _, bytes)| (Bytes::from(key.clone()), bytes.clone()));
    let put = cluster.client.put_many(objects.collect()).await;
    for ((key, size, _), put) in added.iter().zip(put) {
        if put.is_ok() {
            witness.put(cluster, key, *size).await;
        }
    }
    for _ in 0..6 {
        let Some(key) = witness.some_key(random.random_range(0..1000)) else {
            break;
        };
        if let Some(bytes) = cluster.client.get(key.as_bytes()).await? {
            witness.check_bytes(&key, &bytes);
        }
        if random.random_range(0..3) == 0 || witness.objects() > OBJECTS_MAX {
            // It may have it no more; where it is left is not looked at again.
            let _ = cluster.client.remove(key.as_bytes()).await;
            witness.removed(&key);
        }
    }
    Ok(())
}

/// Has ranges of one node in flight, leased and detached at once, and looks that
/// each is one's only. Some stay in flight, for their deadline to end.
///
/// On a busy machine a node may be no member for a moment, and refuse.
async fn hold_ranges(
    cluster: &Cluster,
    witness: &mut Witness,
    node: usize,
    random: &mut StdRng,
) -> Result<(), Status> {
    let held = try_hold_ranges(cluster.calls(node), witness, node, random).await;
    held.or_else(|status| match status.code() {
        Code::Unavailable => Ok(()),
        _ => Err(status),
    })
}

async fn try_hold_ranges(
    mut calls: Calls,
    witness: &mut Witness,
    node: usize,
    random: &mut StdRng,
) -> Result<(), Status> {
    let (keys, first) = reserve(&mut calls, witness, node, random).await?;
    let (committed, aborted) = first.items.split_at(HELD / 2);
    let items = committed.iter().map(|item| commit_request::Item {
        put: item.put,
        checksum: None,
        ..Default::default()
    });
    let request = CommitRequest {
        items: items.collect(),
        life: first.life,
    };
    calls.commit(request).await?;
    let keys = &keys[..HELD / 2];
    let lease = leased(&mut calls, keys).await?;
    remove(&mut calls, keys).await?;
    let aborted = &aborted[HELD / 4..];
    for item in aborted {
        witness.take_back(node, &item.extents);
    }
    let request = AbortRequest {
        puts: aborted.iter().map(|item| item.put).collect(),
        life: first.life,
    };
    calls.abort(request).await?;
    // What is leased has no key any more, and still is nobody else's.
    let second = reserve(&mut calls, witness, node, random).await;
    for item in committed {
        witness.take_back(node, &item.extents);
    }
    let request = ReleaseRequest {
        leases: vec![lease],
        life: first.life,
    };
    calls.release(request).await?;
    second.map(drop)
}

async fn reserve(
    calls: &mut Calls,
    witness: &mut Witness,
    node: usize,
    random: &mut StdRng,
) -> Result<(Vec<Bytes>, ReserveResponse), Status> {
    let key = |_| Bytes::from(format!("held {}", random.next_u64()));
    let keys: Vec<Bytes> = (0..HELD).map(key).collect();
    let items = keys.iter().map(|key| reserve_request::Item {
        key: key.clone(),
        bytes: random.random_range(1..100_000),
        ..Default::default()
    });
    let request = ReserveRequest {
        items: items.collect(),
        deadline_ms: 0,
    };
    // The node counts from later on.
    let until = Instant::now() + PUT_DEADLINE;
    let reserved = calls.reserve(request).await?.into_inner();
    for item in &reserved.items {
        witness.give(node, reserved.epoch, &item.extents, until);
    }
    Ok((keys, reserved))
}

async fn remove(calls: &mut Calls, keys: &[Bytes]) -> Result<(), Status> {
    let request = RemoveRequest {
        keys: keys.to_vec(),
        mode: Mode::Detach.into(),
    };
    calls.remove(request).await?;
    Ok(())
}

async fn leased(calls: &mut Calls, keys: &[Bytes]) -> Result<u64, Status> {
    let request = LookupRequest {
        keys: keys.to_vec(),
        lease_ms: 60_000,
        all_keys: false,
    };
    Ok(calls.lookup(request).await?.into_inner().lease)
}

/// Kills or freezes a client at its step.
async fn fault_of_client(
    cluster: &Cluster,
    witness: &mut Witness,
    fault: Fault,
    key: &str,
) -> Result<(), Box<dyn Error>> {
    let mut client = start_attempt(&cluster.address(fault.node), key, fault.step)?;
    while client.line().ok_or("a client ended before its step")? != AT_STEP {}
    if !fault.is_frozen {
        return client.kill();
    }
    client.signal(Signal::SIGSTOP)?;
    sleep(FROZEN_FOR).await;
    client.signal(Signal::SIGCONT)?;
    // Whatever it does now is late: it may be refused, and reads nothing wrong.
    match client.line().as_deref() {
        Some(WRONG) => witness.wrong_bytes += 1,
        Some(RIGHT | attempt::NONE) => {}
        said => return Err(format!("a client said {said:?}").into()),
    }
    Ok(())
}

/// Kills or freezes a node or etcd while an attempt is made.
async fn fault_of_server(
    cluster: &mut Cluster,
    witness: &mut Witness,
    fault: Fault,
    key: &str,
) -> Result<(), Box<dyn Error>> {
    let calls = cluster.calls(fault.node);
    let mut failed = None;
    let attempt = perform(calls, key.as_bytes(), async |step| {
        if step == fault.step {
            failed = strike(cluster, witness, fault).await.err();
        }
    });
    let read = timeout(ATTEMPT_TIME, attempt).await;
    if let Some(error) = failed {
        return Err(error);
    }
    if let Ok(Ok(Read::Wrong)) = read {
        witness.wrong_bytes += 1;
    }
    Ok(())
}

async fn strike(
    cluster: &mut Cluster,
    witness: &mut Witness,
    fault: Fault,
) -> Result<(), Box<dyn Error>> {
    match (fault.victim, fault.is_frozen) {
        (Victim::Node, false) => {
            witness.killed(fault.node);
            cluster.kill_node(fault.node)
        }
        (Victim::Node, true) => {
            cluster.node(fault.node).signal(Signal::SIGSTOP)?;
            sleep(FROZEN_FOR).await;
            cluster.node(fault.node).signal(Signal::SIGCONT)?;
            Ok(())
        }
        (_, false) => cluster.kill_etcd(),
        (_, true) => {
            let Some(etcd) = cluster.etcd() else {
                return Ok(());
            };
            etcd.signal(Signal::SIGSTOP)?;
            sleep(FROZEN_FOR).await;
            let taken = take_late(cluster, fault.node).await;
            if let Some(etcd) = cluster.etcd() {
                etcd.signal(Signal::SIGCONT)?;
            }
            witness.accepted_late += u64::from(taken);
            Ok(())
        }
    }
}

/// Returns whether a node takes puts that cannot know whether it is a member.
async fn take_late(cluster: &Cluster, node: usize) -> bool {
    let mut calls = cluster.calls(node);
    let request = ReserveRequest {
        items: vec![reserve_request::Item {
            key: Bytes::from_static(b"late"),
            bytes: 1,
            ..Default::default()
        }],
        deadline_ms: 1,
    };
    let reserved = calls.reserve(request).await;
    let is_taken = |item: &reserve_response::Item| item.outcome() == Outcome::Done;
    reserved.is_ok_and(|reserved| reserved.into_inner().items.iter().any(is_taken))
}
