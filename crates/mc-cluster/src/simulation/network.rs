//! Calls between clients and nodes of a scene: delayed, cut off and forgotten.

use std::{
    collections::{HashMap, HashSet},
    fmt,
    future::pending,
    io,
    sync::Arc,
    time::Duration,
};

use parking_lot::Mutex;
use rand::{RngExt, SeedableRng, rngs::StdRng};
use tokio::time::{Instant, sleep};
use tonic::{
    body::Body,
    codegen::{Service, StdError, http},
};

use super::witness::Watched;
use crate::{
    client::{Answer, Carrier},
    time::passed_in_scene,
    wire::node_server::NodeServer,
};

pub(super) type Server = NodeServer<Watched>;

/// All that lies between clients and nodes.
#[derive(Clone)]
pub(super) struct Network(Arc<Mutex<State>>);

struct State {
    random: StdRng,
    hosts: HashMap<String, Host>,
    /// Sides and addresses between which nothing passes.
    cut: HashSet<(usize, String)>,
    /// What the way to a host takes, if it is slow.
    slow: HashMap<String, Duration>,
    calls: u64,
    digest: u64,
    /// When a call went to a host that is silent.
    last_in_vain: Option<Instant>,
}

#[derive(Clone)]
pub(super) enum Host {
    Serving(Server),
    /// The machine is there, and no process listens.
    Refusing,
    /// The machine is gone.
    Silent,
}

/// A client's end of the network.
#[derive(Clone, Debug)]
pub(super) struct Side {
    network: Network,
    number: usize,
}

/// A client's way to one host.
struct Wire {
    side: Side,
    address: Arc<str>,
}

/// What the way there takes, in milliseconds.
const DELAY_MS: std::ops::RangeInclusive<u64> = 1..=2;

impl Network {
    pub(super) fn new(seed: u64) -> Self {
        Self(Arc::new(Mutex::new(State {
            random: StdRng::seed_from_u64(seed),
            hosts: HashMap::new(),
            cut: HashSet::new(),
            slow: HashMap::new(),
            calls: 0,
            digest: seed,
            last_in_vain: None,
        })))
    }

    pub(super) fn side(&self, number: usize) -> Side {
        Side {
            network: self.clone(),
            number,
        }
    }

    pub(super) fn set(&self, address: &str, host: Host) {
        self.0.lock().hosts.insert(address.to_owned(), host);
    }

    pub(super) fn cut(&self, side: usize, address: &str) {
        self.0.lock().cut.insert((side, address.to_owned()));
    }

    pub(super) fn slow_down(&self, address: &str, delay: Duration) {
        self.0.lock().slow.insert(address.to_owned(), delay);
    }

    /// Ends all cuts, and makes no host slow.
    pub(super) fn heal(&self) {
        let mut state = self.0.lock();
        state.cut.clear();
        state.slow.clear();
    }

    pub(super) fn calls(&self) -> u64 {
        self.0.lock().calls
    }

    pub(super) fn digest(&self) -> u64 {
        self.0.lock().digest
    }

    /// Returns when a call last went to a silent host, and forgets it.
    pub(super) fn take_last_in_vain(&self) -> Option<Instant> {
        self.0.lock().last_in_vain.take()
    }
}

impl State {
    /// Returns what one way takes.
    fn delay(&mut self, address: &str) -> Duration {
        let usual = Duration::from_millis(self.random.random_range(DELAY_MS));
        usual + self.slow.get(address).copied().unwrap_or_default()
    }

    /// Puts what happens into the digest.
    fn note(&mut self, what: &[&[u8]]) {
        let time = passed_in_scene().unwrap_or_default().as_micros();
        let parts = what.iter().copied().flatten();
        let digest = parts.fold(self.digest ^ mixed(time), |digest, &byte| {
            (digest ^ u64::from(byte)).wrapping_mul(0x0100_0000_01b3)
        });
        self.digest = digest;
    }
}

fn mixed(time: u128) -> u64 {
    u64::try_from(time)
        .unwrap_or(u64::MAX)
        .wrapping_mul(0x9e37_79b9_7f4a_7c15)
}

impl Carrier for Side {
    fn carry(&self, address: Arc<str>, request: http::Request<Body>) -> Answer {
        let wire = Wire {
            side: self.clone(),
            address,
        };
        Box::pin(wire.call(request))
    }

    fn seed(&self) -> u64 {
        self.number as u64
    }
}

impl Wire {
    /// Takes a call to its host, and the answer back.
    async fn call(self, request: http::Request<Body>) -> Result<http::Response<Body>, StdError> {
        let Side { network, number } = &self.side;
        let there = {
            let mut state = network.0.lock();
            state.calls += 1;
            let side = number.to_le_bytes();
            let path = request.uri().path().as_bytes();
            state.note(&[&side, self.address.as_bytes(), path]);
            state.delay(&self.address)
        };
        sleep(there).await;
        let mut server = self.host().await?;
        let answer = server.call(request).await;
        let back = network.0.lock().delay(&self.address);
        sleep(back).await;
        self.host().await?;
        network
            .0
            .lock()
            .note(&[self.address.as_bytes(), b"answered"]);
        match answer {
            Ok(answer) => Ok(answer),
            Err(never) => match never {},
        }
    }

    /// Returns what serves; waits for ever if nothing gets there.
    async fn host(&self) -> Result<Server, StdError> {
        let place = (self.side.number, self.address.as_ref().to_owned());
        let host = {
            let mut state = self.side.network.0.lock();
            let is_cut = state.cut.contains(&place);
            let host = state.hosts.get(&place.1).cloned();
            if matches!(host, Some(Host::Silent)) {
                state.last_in_vain = Some(Instant::now());
            }
            host.filter(|_| !is_cut)
        };
        match host {
            Some(Host::Serving(server)) => Ok(server),
            Some(Host::Refusing) => Err(io::Error::from(io::ErrorKind::ConnectionRefused).into()),
            Some(Host::Silent) | None => pending().await,
        }
    }
}

impl fmt::Debug for Network {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Network")
    }
}
