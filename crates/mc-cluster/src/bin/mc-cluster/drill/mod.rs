//! `mc-cluster drill`: nodes, clients and etcd are killed and frozen at every step
//! of a put and a get, and what was promised is looked at each time.

mod attempt;
mod processes;
mod round;
mod witness;

use std::{error::Error, path::PathBuf, time::Duration};

use clap::Args;
use rand::{RngExt, SeedableRng, rngs::StdRng};

use self::{
    attempt::STEPS,
    processes::Cluster,
    round::{Fault, Victim},
    witness::Witness,
};
use crate::common::{arguments::at_least_one, console::tell};

pub(crate) use self::attempt::run as attempt;

/// The argument that makes the command one attempt: what follows are the address
/// of a node, a key, and the step to wait at.
pub(crate) const ATTEMPT: &str = "drill-attempt";

#[derive(Debug, Args)]
pub(crate) struct DrillArguments {
    /// How often something is killed or frozen
    #[arg(long, default_value = "200", value_name = "N", value_parser = at_least_one::<u32>())]
    kills: u32,
    /// Seed of keys and victims
    #[arg(long, default_value = "1", value_name = "N")]
    seed: u64,
    /// Program of etcd; without it the nodes are a fixed list
    #[arg(long, value_name = "PATH")]
    etcd_program: Option<PathBuf>,
}

/// Until when an uncommitted put has to be forgotten, with its margin and the
/// time for a look.
const FORGOTTEN_AFTER: Duration = Duration::from_millis(3500);

pub(crate) async fn run(arguments: DrillArguments) -> Result<(), Box<dyn Error>> {
    let mut cluster = Cluster::start(arguments.etcd_program).await?;
    let mut random = StdRng::seed_from_u64(arguments.seed);
    let mut witness = Witness::default();
    let with = match cluster.has_etcd() {
        true => "etcd",
        false => "a fixed list of members",
    };
    tell(&format!("three nodes with {with}, seed {}", arguments.seed))?;
    for kill in 0..arguments.kills {
        let fault = fault(kill, &cluster, &mut random);
        round::run(&mut cluster, &mut witness, fault, &mut random).await?;
    }
    tokio::time::sleep(FORGOTTEN_AFTER).await;
    witness.look_for_leaks(&cluster).await?;
    witness.report(arguments.kills)
}

/// Takes turns, so that every step meets every victim and both ends.
fn fault(kill: u32, cluster: &Cluster, random: &mut StdRng) -> Fault {
    let victims: &[Victim] = match cluster.has_etcd() {
        true => &[Victim::Node, Victim::Client, Victim::Etcd],
        false => &[Victim::Node, Victim::Client],
    };
    let turn = kill as usize;
    Fault {
        victim: victims[turn % victims.len()],
        step: turn / victims.len() % STEPS,
        is_frozen: (turn / victims.len() / STEPS + turn) % 2 == 1,
        node: random.random_range(0..processes::NODES),
    }
}
