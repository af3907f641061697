//! What asks a process to stop.

use std::{io, pin::pin};

use futures_util::future::select;
use tokio::signal::unix::{Signal, SignalKind, signal};

/// The signals that ask for an end, from now on.
pub(crate) struct Signals {
    terminate: Signal,
    interrupt: Signal,
}

impl Signals {
    pub(crate) fn new() -> io::Result<Self> {
        Ok(Self {
            terminate: signal(SignalKind::terminate())?,
            interrupt: signal(SignalKind::interrupt())?,
        })
    }

    pub(crate) async fn next(&mut self) {
        let (terminate, interrupt) = (self.terminate.recv(), self.interrupt.recv());
        select(pin!(terminate), pin!(interrupt)).await;
    }
}
