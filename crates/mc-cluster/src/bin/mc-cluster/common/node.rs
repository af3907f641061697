//! `node`: serves until a signal comes, and then moves its objects to others.

use std::{error::Error, pin::pin, sync::Arc, time::Instant};

use futures_util::future::{Either, select};
use mc_cluster::{Node, engine::Engine};
use tokio::signal::unix::{Signal, SignalKind, signal};

use super::{
    arguments::{Leaving, NodeArguments},
    console::{describe, say, tell},
};

/// What asks the process to stop.
struct Signals {
    terminate: Signal,
    interrupt: Signal,
}

/// Whether calls under way may end.
enum Stop {
    InTime,
    AtOnce,
}

/// Serves, with an engine if there is one that moves bytes past the node.
pub(crate) async fn run(
    arguments: NodeArguments,
    engine: Option<Arc<dyn Engine>>,
) -> Result<(), Box<dyn Error>> {
    // Before anything else, so that a signal that comes early is not lost.
    let mut signals = Signals {
        terminate: signal(SignalKind::terminate())?,
        interrupt: signal(SignalKind::interrupt())?,
    };
    let leaving = arguments.leaving()?;
    let mut options = arguments.options()?;
    options.engine = engine;
    let mut node = Node::start(options).await?;
    // Who started it may want to know the port; nobody has to read it.
    let _ = tell(&format!("listening on {}", node.address()));
    if let Some(http) = node.http_address() {
        let _ = tell(&format!("figures on http://{http}/metrics"));
    }
    wait(&mut node, &mut signals).await;
    match drain(&mut node, &leaving, &mut signals).await {
        Stop::InTime => node.stop().await,
        Stop::AtOnce => drop(node),
    }
    Ok(())
}

/// Waits for a signal, and says meanwhile how it stands with the entry in etcd.
async fn wait(node: &mut Node, signals: &mut Signals) {
    loop {
        match select(pin!(signals.next()), pin!(node.next_entry())).await {
            Either::Left(_) => return,
            Either::Right((Ok(()), _)) => say("entered in etcd"),
            Either::Right((Err(error), _)) => {
                say(&format!("not entered in etcd: {}", describe(&*error)));
            }
        }
    }
}

/// Moves objects away until that is done, its time is over, or another signal comes.
async fn drain(node: &mut Node, leaving: &Leaving, signals: &mut Signals) -> Stop {
    let start = Instant::now();
    let stop = {
        let moves = async {
            let options = match leaving.options().await {
                Ok(Some(options)) => options,
                Ok(None) => {
                    say("stopping");
                    return None;
                }
                Err(error) => {
                    say(&format!(
                        "stopping; no objects are moved: {}",
                        describe(&*error)
                    ));
                    return None;
                }
            };
            say(&format!("moving objects for {:?} at most", leaving.budget));
            Some(node.drain(options).await)
        };
        match select(pin!(moves), pin!(signals.next())).await {
            Either::Left((None, _)) => return Stop::InTime,
            Either::Left((Some(drained), _)) if drained.left_objects == 0 => Stop::InTime,
            Either::Left((Some(_), _)) if start.elapsed() < leaving.budget => {
                say("there is no other node");
                Stop::InTime
            }
            Either::Left((Some(_), _)) => {
                say("the time is over");
                Stop::AtOnce
            }
            Either::Right(((), _)) => {
                say("stopping at once");
                Stop::AtOnce
            }
        }
    };
    say(&node.drained().to_string());
    stop
}

impl Signals {
    async fn next(&mut self) {
        let (terminate, interrupt) = (self.terminate.recv(), self.interrupt.recv());
        select(pin!(terminate), pin!(interrupt)).await;
    }
}
