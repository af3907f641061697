//! What the commands `mc-cluster` and `mc-nixl` have in common: options, and what they do with them.
//!
//! `mc-nixl`, a workspace of its own, compiles this directory as well.

pub(crate) mod arguments;
pub(crate) mod baseline;
pub(crate) mod console;
pub(crate) mod node;
pub(crate) mod objects;
pub(crate) mod signals;

use std::{error::Error, process::ExitCode};

use self::console::{describe, say};

/// Runs a command to its end, and says why if that is not a good one.
pub(crate) fn run(command: impl Future<Output = Result<(), Box<dyn Error>>>) -> ExitCode {
    let runtime = tokio::runtime::Builder::new_multi_thread()
        .enable_all()
        .build();
    let done = match runtime {
        Ok(runtime) => runtime.block_on(command),
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
