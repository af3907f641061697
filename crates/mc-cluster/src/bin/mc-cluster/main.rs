//! The command `mc-cluster`: a node, and a client for the command line.

mod arguments;
mod baseline;
mod bench;
mod console;
mod drill;
mod node;
mod objects;
mod process;

use std::{error::Error, process::ExitCode};

use clap::Parser;

use self::{
    arguments::Command,
    console::{describe, say},
};

fn main() -> ExitCode {
    let command = Command::parse();
    let runtime = tokio::runtime::Builder::new_multi_thread()
        .enable_all()
        .build();
    let done = match runtime {
        Ok(runtime) => runtime.block_on(run(command)),
        Err(error) => Err(error.into()),
    };
    match done {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            say(&describe(&*error));
            ExitCode::FAILURE
        }
    }
}

async fn run(command: Command) -> Result<(), Box<dyn Error>> {
    match command {
        Command::Node(options) => node::run(options).await,
        Command::Put(options) => objects::put(options).await,
        Command::Get(options) => objects::get(options).await,
        Command::Status(options) => objects::status(options).await,
        Command::Bench(options) => bench::run(options).await,
        Command::Drill(options) => drill::run(options).await,
        Command::Attempt { address, key, step } => drill::attempt(&address, &key, &step).await,
    }
}
