//! `mc-cluster node`: serves until a signal comes.

use std::error::Error;

use futures_util::future::select;
use mc_cluster::Node;
use tokio::signal::unix::{SignalKind, signal};

use crate::{arguments::NodeArguments, say, tell};

pub(crate) async fn run(arguments: NodeArguments) -> Result<(), Box<dyn Error>> {
    // Before anything else, so that a signal that comes early is not lost.
    let mut terminate = signal(SignalKind::terminate())?;
    let mut interrupt = signal(SignalKind::interrupt())?;
    let node = Node::start(arguments.options()?).await?;
    // Who started it may want to know the port; nobody has to read it.
    let _ = tell(&format!("listening on {}", node.address()));
    if let Some(http) = node.http_address() {
        let _ = tell(&format!("figures on http://{http}/metrics"));
    }
    let (terminate, interrupt) = (Box::pin(terminate.recv()), Box::pin(interrupt.recv()));
    select(terminate, interrupt).await;
    say("stopping");
    node.stop().await;
    Ok(())
}
