//! The command `mc-cluster`: a node, and a client for the command line.

mod bench;
mod common;
mod drill;
mod process;

use std::{error::Error, pin::pin, process::ExitCode};

use clap::Parser;
use futures_util::future::{Either, select};
use mc_cluster::client::Streams;

use self::{
    bench::BenchArguments,
    common::{
        arguments::{ClientArguments, NodeArguments, ObjectArguments},
        node, objects,
        signals::Signals,
    },
    drill::{ATTEMPT, DrillArguments},
};

/// Serves the memory of hosts to each other.
#[derive(Debug, Parser)]
#[command(name = "mc-cluster", version)]
enum Command {
    /// Serve memory of this host until a signal comes
    Node(NodeArguments),
    /// Put an object: a file, or standard input
    Put(ObjectArguments),
    /// Get an object, to a file or to standard output
    Get(ObjectArguments),
    /// Ask every member how it is
    Status(ClientArguments),
    /// Measure placements, lookups and bytes against a node that is started for it
    Bench(BenchArguments),
    /// Start three nodes, kill and freeze them, clients and etcd, and look at what was promised
    Drill(DrillArguments),
    /// One client of a drill
    #[command(hide = true, name = ATTEMPT)]
    Attempt {
        /// Of a node
        address: String,
        /// Of the object
        key: String,
        /// The step to wait at
        step: String,
    },
}

fn main() -> ExitCode {
    let command = Command::parse();
    common::run(async {
        match command {
            Command::Node(options) => node::run(options, None).await,
            Command::Put(options) => objects::put(options, Streams).await,
            Command::Get(options) => objects::get(options, Streams).await,
            Command::Status(options) => objects::status(options).await,
            Command::Bench(options) => until_told(bench::run(options)).await,
            Command::Drill(options) => until_told(drill::run(options)).await,
            Command::Attempt { address, key, step } => drill::attempt(&address, &key, &step).await,
        }
    })
}

/// Runs work to its end, or until a signal comes: the processes and directories that it has go with it.
async fn until_told(
    work: impl Future<Output = Result<(), Box<dyn Error>>>,
) -> Result<(), Box<dyn Error>> {
    let mut signals = Signals::new()?;
    match select(pin!(work), pin!(signals.next())).await {
        Either::Left((done, _)) => done,
        Either::Right(_) => Err("told to stop".into()),
    }
}
