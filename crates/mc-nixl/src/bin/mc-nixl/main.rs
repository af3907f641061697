//! The command `mc-nixl`: what `mc-cluster` does, with bytes that go by NIXL.

mod bench;
#[path = "../../../../mc-cluster/src/bin/mc-cluster/common/mod.rs"]
mod common;

use std::{
    error::Error,
    ffi::OsString,
    os::unix::process::CommandExt,
    process::{Command as Process, ExitCode},
    sync::Arc,
};

use clap::Parser;
use mc_cluster::client::{Direct, Streams};
use mc_nixl::{NixlEngine, NixlError, NixlOptions, NixlReach};

use self::common::{
    arguments::{ClientArguments, NodeArguments, ObjectArguments, at_least_one},
    console::say,
    node, objects,
};

/// Serves and reads the memory of hosts by NIXL.
///
/// The library is sought in `LD_LIBRARY_PATH`, and UCX uses `UCX_NET_DEVICES`: lo unless that is set.
#[derive(Debug, Parser)]
#[command(name = "mc-nixl", version)]
enum Command {
    /// Serve memory of this host until a signal comes
    Node(NodeArguments),
    /// Put an object: a file, or standard input
    Put(ObjectArguments),
    /// Get an object, to a file or to standard output
    Get(ObjectArguments),
    /// Ask every member how it is
    Status(ClientArguments),
    /// Measure a block by NIXL and by gRPC against a node that is started for it
    Bench {
        /// Seconds for each measurement
        #[arg(long, default_value = "2", value_name = "SECONDS", value_parser = at_least_one::<u64>())]
        seconds: u64,
    },
}

const DEVICES: &str = "UCX_NET_DEVICES";

fn main() -> ExitCode {
    let command = Command::parse();
    common::run(async {
        set_devices()?;
        match command {
            Command::Node(options) => {
                let engine = Arc::new(NixlEngine::new()?);
                node::run(options, Some(engine)).await
            }
            Command::Put(options) => match direct()? {
                Some(direct) => {
                    objects::put(options, direct.clone()).await?;
                    say_way(&direct);
                    Ok(())
                }
                None => objects::put(options, Streams).await,
            },
            Command::Get(options) => match direct()? {
                Some(direct) => {
                    objects::get(options, direct.clone()).await?;
                    say_way(&direct);
                    Ok(())
                }
                None => objects::get(options, Streams).await,
            },
            Command::Status(options) => objects::status(options).await,
            Command::Bench { seconds } => bench::run(seconds).await,
        }
    })
}

/// Begins the process anew with the variable, unless it is set: UCX reads it when the library is loaded.
fn set_devices() -> Result<(), Box<dyn Error>> {
    if std::env::vars_os().any(|(name, _)| name == DEVICES) {
        return Ok(());
    }
    let mut again = Process::new(std::env::current_exe()?);
    let arguments: Vec<OsString> = std::env::args_os().skip(1).collect();
    Err(again.args(arguments).env(DEVICES, "lo").exec().into())
}

/// Returns the transport, or nothing, with a line that says so, where the library is not there.
fn direct() -> Result<Option<Direct<NixlReach>>, Box<dyn Error>> {
    match NixlReach::new(&NixlOptions::default()) {
        Ok(reach) => Ok(Some(Direct::new(reach))),
        Err(error @ NixlError::NoLibrary) => {
            say(&format!("the bytes go by gRPC: {error}"));
            Ok(None)
        }
        Err(error) => Err(error.into()),
    }
}

/// Says which way the bytes took, where it is not taken for an object.
fn say_way(direct: &Direct<NixlReach>) {
    let counts = direct.counts();
    let (direct, streamed) = (counts.direct, counts.streamed);
    say(&format!("{direct} objects by NIXL, {streamed} by gRPC"));
}
