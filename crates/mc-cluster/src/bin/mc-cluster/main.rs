//! The command `mc-cluster`: a node, and a client for the command line.

mod arguments;
mod bench;
mod drill;
mod node;
mod objects;
mod process;

use std::{
    error::Error,
    fs,
    io::{self, Write},
    path::Path,
    process::ExitCode,
};

use clap::Parser;

use self::arguments::Command;

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

/// Returns an error with all of its causes.
fn describe(error: &dyn Error) -> String {
    let mut text = error.to_string();
    let mut cause = error.source();
    while let Some(error) = cause {
        text.push_str(": ");
        text.push_str(&error.to_string());
        cause = error.source();
    }
    text
}

/// Reads a file; an error names it.
fn read(file: &Path) -> Result<Vec<u8>, String> {
    fs::read(file).map_err(|error| format!("cannot read {}: {error}", file.display()))
}

/// Writes a line to standard error; a closed one is no reason to fail.
fn say(line: &str) {
    let _ = writeln!(io::stderr().lock(), "{line}");
}

/// Writes a line to standard output.
fn tell(line: &str) -> io::Result<()> {
    writeln!(io::stdout().lock(), "{line}")
}
