//! The nodes of a scene: started, cut off, killed and stopped.

use std::{
    collections::BTreeMap,
    sync::{
        Arc,
        atomic::{AtomicBool, Ordering},
    },
    time::Duration,
};

use mc_arena::PagePolicy;
use mc_store::Clock;
use tokio::{
    task::JoinHandle,
    time::{Instant, sleep},
};

use super::{
    network::{Host, Network},
    registry::{Registry, TIME_TO_LIVE},
    witness::{Life, Oracle, Watched},
};
use crate::{
    client::Connection,
    limits::Limits,
    members::{Member, Members},
    node::{DrainOptions, NodeOptions, Service, Shared, drain, sweep},
    standing::{Moment, Standing},
    wire::node_server::NodeServer,
};

/// The nodes, and what is between them and their clients.
#[derive(Debug)]
pub(super) struct Nodes {
    pub(super) network: Network,
    pub(super) registry: Registry,
    pub(super) oracle: Oracle,
    running: BTreeMap<String, Running>,
    bytes: u64,
    /// Of each node.
    limits: Limits,
    lives: u64,
}

/// One life of a node.
#[derive(Debug)]
struct Running {
    life: u64,
    shared: Arc<Shared>,
    standing: Arc<Standing>,
    is_cut_off: Arc<AtomicBool>,
    tasks: [JoinHandle<()>; 2],
}

/// How long a put has until its commit, and its space behind that.
const PUT_DEADLINE: Duration = Duration::from_secs(8);
const PUT_MARGIN: Duration = Duration::from_secs(1);

/// The longest lease.
const LEASE_MAX: Duration = Duration::from_secs(10);

/// How often nodes look for what is late.
const SWEEP: Duration = Duration::from_secs(3);

/// How long a stop may take to move objects.
const DRAIN: Duration = Duration::from_secs(60);

/// By when all that anybody was granted has ended.
pub(super) const ALL_ENDED: Duration = Duration::from_secs(25);

/// What a call to the list of members takes, one way.
const TO_REGISTRY: Duration = Duration::from_millis(3);

/// When a call to it is tried again that failed.
const AGAIN: Duration = Duration::from_millis(250);

pub(super) fn address(name: &str) -> String {
    format!("{name}:7001")
}

impl Nodes {
    pub(super) fn new(seed: u64, bytes: u64, limits: Limits) -> Self {
        Self {
            network: Network::new(seed),
            registry: Registry::new(),
            oracle: Oracle::default(),
            running: BTreeMap::new(),
            bytes,
            limits: Limits {
                put_deadline_max: PUT_DEADLINE,
                put_margin: PUT_MARGIN,
                lease_max: LEASE_MAX,
                ..limits
            },
            lives: 0,
        }
    }

    pub(super) fn names(&self) -> Vec<String> {
        self.running.keys().cloned().collect()
    }

    /// Returns how many objects each node has.
    pub(super) fn objects(&self) -> Vec<u64> {
        let nodes = self.running.values();
        nodes
            .map(|node| node.shared.store().stats().objects)
            .collect()
    }

    pub(super) fn start(&mut self, name: &str) {
        self.lives += 1;
        let mut options = NodeOptions::new(name, self.bytes);
        options.memory.pages = PagePolicy::Off;
        options.limits = self.limits.clone();
        let standing = Arc::new(Standing::new(Moment::NEVER));
        let start = Instant::now();
        let clock = Clock::new(move || start.elapsed());
        let shared = Shared::open(&options, Arc::clone(&standing), self.lives, clock);
        let shared = Arc::new(shared.expect("memory of a node"));
        let life = Life {
            name: name.to_owned(),
            number: self.lives,
            registry: self.registry.clone(),
            oracle: self.oracle.clone(),
            margin: PUT_MARGIN,
            put_deadline_max: PUT_DEADLINE,
        };
        let server = NodeServer::new(Watched::new(Service::new(&shared), life));
        self.network.set(&address(name), Host::Serving(server));
        let is_cut_off = Arc::new(AtomicBool::new(false));
        let registered = stay_registered(
            self.registry.clone(),
            Member::new(name, address(name)),
            self.lives,
            Arc::clone(&standing),
            Arc::clone(&is_cut_off),
        );
        let running = Running {
            life: self.lives,
            tasks: [
                tokio::spawn(sweep(Arc::clone(&shared), SWEEP)),
                tokio::spawn(registered),
            ],
            shared,
            standing,
            is_cut_off,
        };
        self.running.insert(name.to_owned(), running);
    }

    /// Cuts a node off from the list of members, or not any more.
    pub(super) fn cut_off(&self, name: &str, is_cut_off: bool) {
        if let Some(node) = self.running.get(name) {
            node.is_cut_off.store(is_cut_off, Ordering::Relaxed);
        }
    }

    /// Ends a node at once; what it leaves behind may refuse calls, or not
    /// answer them.
    pub(super) fn kill(&mut self, name: &str, host: Host) {
        if let Some(node) = self.running.remove(name) {
            node.tasks.iter().for_each(JoinHandle::abort);
            self.network.set(&address(name), host);
        }
    }

    /// Tells a node to stop, and waits until it has; returns whether it has moved
    /// all of its objects, if it was to do so.
    pub(super) async fn stop(&mut self, name: &str, side: usize, drains: Drains) -> bool {
        let Some(node) = self.running.remove(name) else {
            return false;
        };
        node.tasks[1].abort();
        node.standing.set(Moment::NEVER);
        self.registry.revoke(name, node.life);
        if matches!(drains, Drains::Yes) {
            let members = self.registry.members().to_vec();
            let members = Members::fixed(members).expect("names of their own");
            let mut options = DrainOptions::new(members);
            options.budget = DRAIN;
            let connection = Connection {
                carrier: Some(Arc::new(self.network.side(side))),
                ..Connection::default()
            };
            drain(&node.shared, connection, options).await;
        }
        node.tasks[0].abort();
        self.network.set(&address(name), Host::Refusing);
        let drained = node.shared.drained();
        drained.lost_objects + drained.left_objects == 0
    }

    /// Looks for what was left behind, when all that was granted has ended.
    pub(super) fn check_leaks(&self) {
        for (name, node) in &self.running {
            let stats = node.shared.store().stats();
            let held = node.shared.held();
            let left = (held.0, held.1, stats.in_flight, stats.lingering);
            if left != (0, 0, 0, 0) {
                self.oracle.broken(format!(
                    "{name} still has puts, leases, reservations, late space: {left:?}"
                ));
            }
            node.shared.store().check_invariants();
        }
    }
}

/// Whether a node moves its objects before it stops.
#[derive(Clone, Copy, Debug)]
pub(super) enum Drains {
    Yes,
    No,
}

/// Enters a node, and renews that: what `members::registration` does with etcd.
async fn stay_registered(
    registry: Registry,
    member: Member,
    life: u64,
    standing: Arc<Standing>,
    is_cut_off: Arc<AtomicBool>,
) {
    let reaches = async || {
        sleep(TO_REGISTRY).await;
        !is_cut_off.load(Ordering::Relaxed)
    };
    let mut is_entered = false;
    loop {
        let asked = Moment::now();
        let mut is_granted = false;
        if reaches().await {
            is_granted = match is_entered {
                true => registry.renew(&member.name, life),
                false => registry.enter(&member, life),
            };
            if is_entered && !is_granted {
                standing.set(Moment::NEVER);
            }
            is_entered = is_granted;
        }
        // The answer may be lost as well.
        let pause = match is_granted && reaches().await {
            true => {
                standing.renewed(asked, TIME_TO_LIVE);
                TIME_TO_LIVE / 3
            }
            false => AGAIN,
        };
        sleep(pause).await;
    }
}
