//! `node`: serves until a signal comes, and then moves its objects to others.

use std::{
    convert::Infallible,
    error::Error,
    future::pending,
    pin::pin,
    sync::Arc,
    time::{Duration, Instant},
};

use futures_util::future::{Either, select};
use mc_cluster::{Node, engine::Engine};
use tokio::time::sleep;

use super::{
    arguments::{Leaving, NodeArguments},
    console::{describe, say, tell},
    signals::Signals,
};

/// How often it is looked whether the journal can be written.
const LOOK: Duration = Duration::from_millis(500);

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
    let mut signals = Signals::new()?;
    let leaving = arguments.leaving()?;
    let mut options = arguments.options()?;
    options.engine = engine;
    let mut node = Node::start(options).await?;
    // Who started it may want to know the port; nobody has to read it.
    let _ = tell(&format!("listening on {}", node.address()));
    if let Some(http) = node.http_address() {
        let _ = tell(&format!("figures on http://{http}/metrics"));
    }
    for notice in node.notices() {
        say(&notice.to_string());
    }
    {
        let store = node.store().clone();
        let why = move || store.journal_error().map(|error| describe(&error));
        let journal = pin!(tell_of_journal(why));
        let entries = pin!(tell_of_entries(&mut node));
        select(pin!(signals.next()), select(journal, entries)).await;
    }
    match drain(&mut node, &leaving, &mut signals).await {
        Stop::InTime => node.stop().await,
        Stop::AtOnce => drop(node),
    }
    Ok(())
}

/// Says how it stands with the entry in etcd, as often as that changes.
async fn tell_of_entries(node: &mut Node) -> Infallible {
    loop {
        match node.next_entry().await {
            Ok(()) => say("entered in etcd"),
            Err(error) => say(&format!("not entered in etcd: {}", describe(&*error))),
        }
    }
}

/// Says, once, why the journal cannot be written any more.
async fn tell_of_journal(why: impl Fn() -> Option<String>) -> Infallible {
    loop {
        if let Some(why) = why() {
            say(&format!("takes no puts any more: {why}"));
            return pending().await;
        }
        sleep(LOOK).await;
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
