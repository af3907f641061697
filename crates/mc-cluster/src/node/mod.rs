//! A node: memory of this host, a store over it, and its service.

mod ages;
mod chunks;
mod connections;
mod drain;
mod http;
mod leases;
mod memory;
mod notice;
mod outcome;
mod puts;
mod reachable;
mod reading;
mod service;
mod socket;
mod timed;

use std::{
    fmt, io,
    net::SocketAddr,
    path::PathBuf,
    sync::{Arc, OnceLock},
    time::Duration,
};

use mc_store::{Clock, ObjectStore};
use parking_lot::RwLock;
use rand::Rng;
use thiserror::Error;
use tokio::{
    net::TcpListener,
    sync::{Semaphore, watch},
    task::{JoinHandle, JoinSet},
    time,
};
use tonic::{service::interceptor::InterceptedService, transport::Server};

pub(crate) use self::drain::drain;
pub(crate) use self::service::Service;
use self::{
    connections::{Connections, HTTP_MAX},
    drain::Progress,
    http::Figures,
    leases::Leases,
    memory::Writers,
    puts::Puts,
    reachable::Reachable,
    socket::Taken,
};
pub use self::{
    drain::{DrainOptions, Drained},
    memory::NodeMemory,
    notice::Notice,
};
use crate::{
    client::Connection,
    engine::{Engine, EngineError},
    flow::{CONNECTION_WINDOW_BYTES, FRAME_BYTES, STREAM_WINDOW_BYTES},
    limits::Limits,
    members::{Etcd, EtcdError, Member, Registration},
    standing::{Moment, Standing},
    token::{Token, Want},
    wire::node_server::NodeServer,
};

/// What a node is started with.
///
/// More fields may come: begin with [`NodeOptions::new`].
#[derive(Clone, Debug)]
#[non_exhaustive]
pub struct NodeOptions {
    /// The name, by which clients know that it is the same host again.
    pub name: String,
    /// Where it listens to clients and other nodes. Whoever can reach a node
    /// without a token can read, put and remove.
    pub listen: SocketAddr,
    /// Where `/metrics` and `/healthz` are served, if anywhere.
    pub http: Option<SocketAddr>,
    /// What it serves.
    pub memory: NodeMemory,
    /// What clients have to show.
    pub token: Option<Token>,
    /// What it accepts.
    pub limits: Limits,
    /// Where it announces itself; nowhere if clients have a list of members.
    pub etcd: Option<Etcd>,
    /// Where others reach it, as host and port; where it listens by default.
    pub advertise: Option<String>,
    /// Moves bytes between its memory and clients that have the other end of it;
    /// without one they go through the node. It asks for no token and encrypts
    /// nothing unless it says so.
    pub engine: Option<Arc<dyn Engine>>,
    /// Certificates, without which nothing is encrypted.
    #[cfg(feature = "tls")]
    pub tls: Option<crate::tls::Tls>,
}

/// A node that is serving until it is stopped or dropped.
#[derive(Debug)]
pub struct Node {
    shared: Arc<Shared>,
    address: SocketAddr,
    http: Option<SocketAddr>,
    stop: watch::Sender<bool>,
    servers: JoinSet<()>,
    sweeper: JoinHandle<()>,
    registration: Option<Registration>,
    /// How it reaches other nodes: they want to see what it wants to see.
    connection: Connection,
}

/// Why a node was not started.
#[derive(Debug, Error)]
#[non_exhaustive]
pub enum NodeError {
    /// There is no memory as asked for.
    #[error("the memory of the node cannot be mapped")]
    Memory(#[from] mc_arena::PoolError),
    /// The memory cannot be a segment.
    #[error("the memory of the node cannot be mounted")]
    Mount(#[from] mc_segment::MountError),
    /// The engine does not take the memory.
    #[error("the memory of the node cannot be registered with its engine")]
    Engine(#[source] EngineError),
    /// The store cannot be made.
    #[error("the store of the node cannot be made")]
    Store(#[from] mc_store::StoreOptionsError),
    /// The store of the file cannot be opened.
    #[error("the store of the node's file cannot be opened")]
    Open(#[from] mc_store::StoreOpenError),
    /// The directory of the journal cannot be made.
    #[error("the directory of the journal, {}, cannot be made", directory.display())]
    Directory {
        /// The directory.
        directory: PathBuf,
        /// Why.
        source: io::Error,
    },
    /// The directory of the journal is on hugetlbfs, whose files take no writes.
    #[error(
        "hugetlbfs takes no journal, and {} is there; name a directory elsewhere",
        directory.display()
    )]
    NoJournal {
        /// The directory.
        directory: PathBuf,
    },
    /// Nobody could name the node.
    #[error("the name of a node is empty; it needs one of its own")]
    Name,
    /// No list of members could have the name.
    #[error(
        "{name:?} is no name of a node; one without commas and equals signs, and blanks around it, is accepted"
    )]
    NameOfNoList {
        /// The name.
        name: String,
    },
    /// The address cannot be listened on.
    #[error("cannot listen on {address}")]
    Listen {
        /// The address.
        address: SocketAddr,
        /// Why.
        source: io::Error,
    },
    /// Nobody would reach the node at the address that it is to announce, or
    /// everybody would reach himself.
    #[error("{address:?} cannot be announced; advertise host:port as others reach the node")]
    Advertise {
        /// The address.
        address: String,
    },
    /// The node cannot announce itself.
    #[error("the node cannot become a member")]
    Member(#[from] EtcdError),
    /// Connections are to be encrypted, and there is no own certificate.
    #[error("a node that encrypts needs a certificate and its key")]
    NoIdentity,
    /// The certificates cannot be read, or do not fit their key.
    #[error("the certificates of the node cannot be used")]
    Certificates(#[source] tonic::transport::Error),
}

/// What the calls of a node share.
pub(crate) struct Shared {
    name: String,
    /// Of this process: numbers of puts and leases mean nothing to another.
    life: u64,
    /// Of the bytes of the memory.
    epoch: u64,
    capacity_bytes: u64,
    /// Ends before the store, which has the memory.
    reachable: Option<Reachable>,
    store: ObjectStore,
    puts: Puts,
    leases: Leases,
    limits: Limits,
    standing: Arc<Standing>,
    /// Held for reading from the last look at the standing to the end of a
    /// commit, which waits for nothing: who has it alone sees all objects that
    /// were told to be stored.
    commits: RwLock<()>,
    /// Held by whoever drops an object that is damaged.
    damaged: Arc<Semaphore>,
    drained: Progress,
    notices: Vec<Notice>,
    /// Made when they are first asked for.
    figures: OnceLock<Figures>,
}

/// How often what is late is looked for.
const SWEEP_EVERY: Duration = Duration::from_millis(100);

/// How much longer than its deadline a put is known here than to the store,
/// which ends it first and keeps its space for the margin.
const GRACE: Duration = Duration::from_millis(200);

/// How long calls under way may take when the node stops.
const STOP_TIME: Duration = Duration::from_secs(5);

/// How often it is looked whether they have.
const STOP_LOOK: Duration = Duration::from_millis(5);

impl NodeOptions {
    /// Returns options of a node on any free port of the loopback interface,
    /// without HTTP, token and etcd, with the default limits.
    #[must_use]
    pub fn new(name: impl Into<String>, bytes: u64) -> Self {
        Self {
            name: name.into(),
            listen: SocketAddr::from(([127, 0, 0, 1], 0)),
            http: None,
            memory: NodeMemory::new(bytes),
            token: None,
            limits: Limits::default(),
            etcd: None,
            advertise: None,
            engine: None,
            #[cfg(feature = "tls")]
            tls: None,
        }
    }
}

impl Node {
    /// Maps the memory, opens the store, and serves on the runtime of the
    /// caller.
    ///
    /// # Errors
    ///
    /// A [`NodeError`].
    pub async fn start(options: NodeOptions) -> Result<Self, NodeError> {
        if options.name.is_empty() {
            return Err(NodeError::Name);
        }
        if options.name.contains([',', '=']) || options.name.trim() != options.name {
            return Err(NodeError::NameOfNoList { name: options.name });
        }
        let etcd = options.etcd.as_ref().map(Etcd::channel).transpose()?;
        let standing = Arc::new(Standing::new(match etcd {
            Some(_) => Moment::NEVER,
            None => Moment::FOR_EVER,
        }));
        let taken = Taken::new(options.listen)?;
        let address = taken.address();
        let advertise = options.advertise.clone();
        let is_announced = etcd.is_some() || advertise.is_some();
        let advertise = advertise.unwrap_or_else(|| address.to_string());
        if is_announced && !Member::new("", &*advertise).is_reachable() {
            return Err(NodeError::Advertise { address: advertise });
        }
        let http = options.http.map(Taken::new).transpose()?;
        let http_address = http.as_ref().map(Taken::address);
        let life = rand::rng().next_u64();
        let shared = Shared::open(&options, Arc::clone(&standing), life, Clock::system())?;
        let shared = Arc::new(shared);
        let connection = Connection {
            token: options.token.clone(),
            #[cfg(feature = "tls")]
            tls: options.tls.clone(),
            ..Connection::default()
        };
        let (stop, stopped) = watch::channel(false);
        let mut servers = JoinSet::new();
        let listener = taken.listen()?;
        serve(&shared, listener, &options, stopped.clone(), &mut servers)?;
        if let Some(http) = http {
            let router = http::router(&shared);
            let connections =
                Connections::new(http.listen()?, silence_max(&shared.limits), HTTP_MAX);
            let served = axum::serve(connections, router).with_graceful_shutdown(wait(stopped));
            servers.spawn(async move {
                // It ends when it is told to.
                let _ = served.await;
            });
        }
        let registration = options.etcd.zip(etcd).map(|(etcd, channel)| {
            let member = Member {
                weight: shared.capacity_bytes as f64 / f64::from(1 << 30),
                ..Member::new(options.name, advertise)
            };
            Registration::start(&etcd, channel, &member, standing)
        });
        Ok(Self {
            sweeper: tokio::spawn(sweep(Arc::clone(&shared), SWEEP_EVERY)),
            shared,
            address,
            http: http_address,
            stop,
            servers,
            registration,
            connection,
        })
    }

    /// Returns where it listens to clients.
    #[must_use]
    pub fn address(&self) -> SocketAddr {
        self.address
    }

    /// Returns where it serves `/metrics` and `/healthz`.
    #[must_use]
    pub fn http_address(&self) -> Option<SocketAddr> {
        self.http
    }

    /// Returns whether it takes puts: not before it is a member, nor when that
    /// is not sure any more, nor when its journal cannot be written.
    #[must_use]
    pub fn takes_puts(&self) -> bool {
        self.shared.takes_puts()
    }

    /// Waits until it has entered itself in etcd, or cannot: because another has
    /// its name, say. It goes on to try. Each time it is told once; without etcd, and
    /// once it [drains](Self::drain), there is nothing to tell.
    ///
    /// # Errors
    ///
    /// Why it is not entered.
    pub async fn next_entry(&mut self) -> Result<(), Arc<EtcdError>> {
        match &mut self.registration {
            Some(registration) => registration.next_entry().await,
            None => std::future::pending().await,
        }
    }

    /// Returns what was not as it was asked for, or as it was left, when the node was started.
    #[must_use]
    pub fn notices(&self) -> &[Notice] {
        &self.shared.notices
    }

    /// Returns its store.
    #[must_use]
    pub fn store(&self) -> &ObjectStore {
        &self.shared.store
    }

    /// Takes no puts any more, is no member any more, and puts its objects to
    /// other nodes, the one that was used last first. They count as moved when
    /// these have compared them with their checksums.
    ///
    /// Clients find them there as the present owners of their keys. Reads go on
    /// here until the node is [stopped](Self::stop), and so does what other calls
    /// ask. To end a drain before its time, drop what is returned here;
    /// [`drained`](Self::drained) says how far it came.
    pub async fn drain(&mut self, options: DrainOptions) -> Drained {
        self.leave().await;
        drain(&self.shared, self.connection.clone(), options).await;
        self.drained()
    }

    /// Returns what became so far of the objects that are moved.
    #[must_use]
    pub fn drained(&self) -> Drained {
        self.shared.drained.now()
    }

    /// Stops: takes no puts any more, is no member any more, lets the calls
    /// under way end, for five seconds at most, and lets go of the memory.
    pub async fn stop(mut self) {
        self.leave().await;
        // There is always a receiver, or nobody is left to be told.
        let _ = self.stop.send(true);
        self.sweeper.abort();
        let ended = async {
            while self.servers.join_next().await.is_some() {}
            // Whoever has a part of the node drops it at the end of a call.
            while Arc::strong_count(&self.shared) > 1 {
                time::sleep(STOP_LOOK).await;
            }
        };
        let _ = time::timeout(STOP_TIME, ended).await;
    }

    async fn leave(&mut self) {
        if let Some(registration) = self.registration.take() {
            registration.end().await;
        }
        self.shared.standing.set(Moment::NEVER);
    }
}

impl Drop for Node {
    fn drop(&mut self) {
        self.sweeper.abort();
    }
}

impl Shared {
    /// Maps the memory and opens the store.
    pub(crate) fn open(
        options: &NodeOptions,
        standing: Arc<Standing>,
        life: u64,
        clock: Clock,
    ) -> Result<Self, NodeError> {
        let limits = &options.limits;
        let engine = options.engine.as_deref();
        let writers = engine.map_or(Writers::Node, |_| Writers::Clients);
        let opened = options.memory.open(&options.name, limits, writers, clock)?;
        let reachable = engine.map(|engine| Reachable::new(engine, opened.memory.clone()));
        let reachable = reachable.transpose().map_err(NodeError::Engine)?;
        let lent = reachable.is_some().then_some(opened.memory);
        Ok(Self {
            name: options.name.clone(),
            life,
            epoch: opened.epoch,
            capacity_bytes: opened.bytes,
            reachable,
            store: opened.store,
            puts: Puts::new(limits.puts_max, lent),
            leases: Leases::new(limits.leased_max),
            limits: limits.clone(),
            standing,
            commits: RwLock::default(),
            damaged: Arc::new(Semaphore::new(1)),
            drained: Progress::default(),
            notices: opened.notices,
            figures: OnceLock::new(),
        })
    }

    pub(crate) fn takes_puts(&self) -> bool {
        self.standing.takes_puts() && self.store.journal_error().is_none()
    }

    /// Returns for how long puts were taken without a break; nothing if they are
    /// not.
    fn settled(&self) -> Duration {
        match self.takes_puts() {
            true => self.standing.settled(),
            false => Duration::ZERO,
        }
    }

    #[cfg(any(test, feature = "simulation"))]
    pub(crate) fn store(&self) -> &ObjectStore {
        &self.store
    }

    /// Returns how many puts and leases clients have.
    #[cfg(any(test, feature = "simulation"))]
    pub(crate) fn held(&self) -> (usize, usize) {
        (self.puts.len(), self.leases.len())
    }

    #[cfg(any(test, feature = "simulation"))]
    pub(crate) fn drained(&self) -> Drained {
        self.drained.now()
    }
}

impl fmt::Debug for Shared {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Node")
            .field("name", &self.name)
            .field("life", &self.life)
            .field("epoch", &self.epoch)
            .finish_non_exhaustive()
    }
}

fn serve(
    shared: &Arc<Shared>,
    listener: TcpListener,
    options: &NodeOptions,
    stopped: watch::Receiver<bool>,
    servers: &mut JoinSet<()>,
) -> Result<(), NodeError> {
    let limits = &options.limits;
    let service = NodeServer::new(Service::new(shared))
        .max_decoding_message_size(limits.message_bytes_max)
        .max_encoding_message_size(limits.message_bytes_max);
    let service = InterceptedService::new(service, Want(options.token.clone()));
    let call_max = limits.put_deadline_max.saturating_add(limits.pause_max);
    let mut server = Server::builder()
        .timeout(call_max)
        .initial_stream_window_size(STREAM_WINDOW_BYTES)
        .initial_connection_window_size(CONNECTION_WINDOW_BYTES)
        .max_frame_size(FRAME_BYTES)
        .max_concurrent_streams(limits.streams_max)
        .concurrency_limit_per_connection(limits.streams_max as usize)
        .http2_keepalive_interval(Some(limits.pause_max))
        .http2_keepalive_timeout(Some(limits.pause_max));
    #[cfg(feature = "tls")]
    if let Some(tls) = &options.tls {
        let config = tls.server().ok_or(NodeError::NoIdentity)?;
        server = server.tls_config(config).map_err(NodeError::Certificates)?;
    }
    let connections = Connections::new(listener, silence_max(limits), usize::MAX).into_stream();
    let served = server
        .add_service(service)
        .serve_with_incoming_shutdown(connections, wait(stopped));
    servers.spawn(async move {
        // It ends when it is told to; what fails is one connection.
        let _ = served.await;
    });
    Ok(())
}

/// Returns how long nothing may come over a connection: until a ping is due, and
/// its answer.
fn silence_max(limits: &Limits) -> Duration {
    limits.pause_max.saturating_mul(2)
}

/// Waits until the node is told to stop, or is dropped.
async fn wait(mut stopped: watch::Receiver<bool>) {
    let _ = stopped.wait_for(|&stopped| stopped).await;
}

/// Gives back what clients have left behind.
pub(crate) async fn sweep(shared: Arc<Shared>, every: Duration) {
    let mut ticks = time::interval(every);
    ticks.set_missed_tick_behavior(time::MissedTickBehavior::Delay);
    loop {
        ticks.tick().await;
        let now = time::Instant::now();
        // Ends late puts, and lets go of what has lingered long enough.
        let _ = shared.store.stats();
        if let Some(graceful) = now.checked_sub(GRACE) {
            shared.puts.end_late(graceful);
        }
        shared.leases.end_late(now);
    }
}
