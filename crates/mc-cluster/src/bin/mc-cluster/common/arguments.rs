//! What the command lines of nodes and clients say.

use std::{
    error::Error,
    net::SocketAddr,
    path::PathBuf,
    time::{Duration, Instant},
};

use clap::{Args, builder::RangedU64ValueParser};
use mc_arena::{PagePolicy, size::parse_bytes};
use mc_cluster::{
    Client, ClientOptions, DrainOptions, Etcd, Members, NodeOptions,
    client::{Connection, Transport},
    members::EtcdError,
};
use tokio::time::sleep;

#[cfg(feature = "tls")]
use super::console::read;
use super::console::{describe, say, token};

#[derive(Debug, Args)]
pub(crate) struct NodeArguments {
    /// The name that clients know it by
    #[arg(long)]
    name: String,
    /// Bytes to serve, such as 64gb
    #[arg(long, value_parser = parse_bytes)]
    size: u64,
    /// Address for clients; port 0 is any free one
    #[arg(long, default_value = "127.0.0.1:7001", value_name = "ADDRESS")]
    listen: SocketAddr,
    /// Address for /metrics and /healthz; without it they are not served
    #[arg(long, value_name = "ADDRESS")]
    http: Option<SocketAddr>,
    /// Keep bytes and journal in this file and beside it, so that they outlive the process
    #[arg(long, value_name = "PATH")]
    file: Option<PathBuf>,
    /// Keep the journal in this directory; needed for a file on hugetlbfs, which takes no journal
    #[arg(long, value_name = "PATH", requires = "file")]
    journal: Option<PathBuf>,
    /// Use no huge pages
    #[arg(long)]
    small_pages: bool,
    /// Host and port to tell others, if not the address for clients
    #[arg(long, value_name = "HOST:PORT")]
    advertise: Option<String>,
    /// Seconds that an entry in etcd lasts after the node falls silent
    #[arg(long, default_value = "10", value_name = "SECONDS", value_parser = at_least_one::<u64>())]
    time_to_live: u64,
    /// Seconds that a put has at most until its commit
    #[arg(long, default_value = "60", value_name = "SECONDS", value_parser = at_least_one::<u64>())]
    put_deadline: u64,
    /// The nodes of the cluster, as clients know them: where objects go when this one stops; those of etcd
    /// if there is no list
    #[arg(long, value_name = "LIST")]
    members: Option<String>,
    /// Hosts that clients put each object to
    #[arg(long, default_value = "1", value_name = "N", value_parser = at_least_one::<usize>())]
    replicas: usize,
    /// Seconds that moving objects to other nodes may take when this one is told to stop; 0 moves none
    #[arg(long, default_value = "60", value_name = "SECONDS")]
    drain: u64,
    #[command(flatten)]
    etcd: EtcdArguments,
    #[command(flatten)]
    secrets: SecretArguments,
}

/// How long after a failure etcd is asked again.
const AGAIN: Duration = Duration::from_millis(250);

/// How a node leaves, as it was told when it was started.
#[derive(Clone, Debug)]
pub(crate) struct Leaving {
    members: Option<Members>,
    etcd: Option<Etcd>,
    replicas: usize,
    pub(crate) budget: Duration,
}

#[derive(Clone, Debug, Args)]
pub(crate) struct EtcdArguments {
    /// Address of etcd such as `http://127.0.0.1:2379`, repeatable
    #[arg(long, value_name = "URL")]
    etcd: Vec<String>,
    /// What the keys in etcd begin with
    #[arg(long, default_value = "/mc-cluster/", value_name = "TEXT")]
    etcd_prefix: String,
}

#[derive(Debug, Args)]
pub(crate) struct SecretArguments {
    /// File with the token of the cluster
    #[arg(long, value_name = "PATH")]
    token_file: Option<PathBuf>,
    /// Own certificate as PEM; encrypts
    #[cfg(feature = "tls")]
    #[arg(long, value_name = "PATH", requires = "tls_key")]
    tls_certificate: Option<PathBuf>,
    /// Key of the own certificate as PEM
    #[cfg(feature = "tls")]
    #[arg(long, value_name = "PATH", requires = "tls_certificate")]
    tls_key: Option<PathBuf>,
    /// Certificate of who signed those of the others as PEM; encrypts
    #[cfg(feature = "tls")]
    #[arg(long, value_name = "PATH")]
    tls_authority: Option<PathBuf>,
}

#[derive(Debug, Args)]
pub(crate) struct ClientArguments {
    /// The nodes, such as a=10.0.0.1:7001,b=10.0.0.2:7001*2; a weight follows the star
    #[arg(
        long,
        value_name = "LIST",
        required_unless_present = "etcd",
        conflicts_with = "etcd"
    )]
    members: Option<String>,
    /// Hosts that an object is put to
    #[arg(long, default_value = "1", value_name = "N", value_parser = at_least_one::<usize>())]
    replicas: usize,
    /// Ask another replica too after so many milliseconds
    #[arg(long, value_name = "MILLISECONDS")]
    hedge: Option<u64>,
    #[command(flatten)]
    etcd: EtcdArguments,
    #[command(flatten)]
    secrets: SecretArguments,
}

#[derive(Debug, Args)]
pub(crate) struct ObjectArguments {
    /// The key
    pub(crate) key: String,
    /// The file; standard input or output without it
    pub(crate) file: Option<PathBuf>,
    #[command(flatten)]
    pub(crate) client: ClientArguments,
}

pub(crate) fn at_least_one<T: TryFrom<u64>>() -> RangedU64ValueParser<T> {
    RangedU64ValueParser::new().range(1..)
}

/// Reads a list of members, which names at least one: with none, all calls would wait in vain.
fn members(list: &str) -> Result<Members, Box<dyn Error>> {
    let members = Members::parse(list)?;
    match members.now().is_empty() {
        true => Err(format!(
            "--members {list:?} has no member; write name=host:port or name=host:port*weight"
        )
        .into()),
        false => Ok(members),
    }
}

impl Leaving {
    /// Says whether objects are to be moved to other nodes.
    #[cfg(feature = "tls")]
    fn has_others(&self) -> bool {
        !self.budget.is_zero() && (self.members.is_some() || self.etcd.is_some())
    }

    /// Returns how objects are moved, if there is anywhere to move them to.
    pub(crate) async fn options(&self) -> Result<Option<DrainOptions>, Box<dyn Error>> {
        if self.budget.is_zero() {
            return Ok(None);
        }
        let start = Instant::now();
        let members = match (&self.members, &self.etcd) {
            (Some(members), _) => members.clone(),
            (None, Some(etcd)) => watch(etcd, self.budget).await?,
            (None, None) => return Ok(None),
        };
        let mut options = DrainOptions::new(members);
        options.budget = self.budget.saturating_sub(start.elapsed());
        options.replicas = self.replicas;
        Ok(Some(options))
    }
}

/// Reads the members from etcd, which may be away for a while: what they are not
/// found in time for is lost.
async fn watch(etcd: &Etcd, time: Duration) -> Result<Members, EtcdError> {
    let start = Instant::now();
    let mut is_told = false;
    loop {
        match Members::watch(etcd.clone()).await {
            Err(error) if start.elapsed() < time => {
                if !std::mem::replace(&mut is_told, true) {
                    let text = describe(&error);
                    say(&format!(
                        "looking for other nodes for {time:?} at most: {text}"
                    ));
                }
                sleep(AGAIN).await;
            }
            watched => return watched,
        }
    }
}

impl NodeArguments {
    pub(crate) fn leaving(&self) -> Result<Leaving, Box<dyn Error>> {
        let members = self.members.as_deref().map(members).transpose()?;
        let leaving = Leaving {
            members,
            etcd: self.etcd.clone().etcd(),
            replicas: self.replicas,
            budget: Duration::from_secs(self.drain),
        };
        #[cfg(feature = "tls")]
        if leaving.has_others() && self.secrets.knows_no_authority() {
            say(
                "no objects will be moved when this node stops: without --tls-authority it cannot verify the others",
            );
            return Ok(Leaving {
                budget: Duration::ZERO,
                ..leaving
            });
        }
        Ok(leaving)
    }

    pub(crate) fn options(self) -> Result<NodeOptions, Box<dyn Error>> {
        let time_to_live = Duration::from_secs(self.time_to_live);
        let mut options = NodeOptions::new(self.name, self.size);
        options.listen = self.listen;
        options.http = self.http;
        options.advertise = self.advertise;
        options.memory.file = self.file;
        options.memory.journal = self.journal;
        if self.small_pages {
            options.memory.pages = PagePolicy::Off;
        }
        options.limits.put_deadline_max = Duration::from_secs(self.put_deadline);
        options.token = token(self.secrets.token_file.as_deref())?;
        #[cfg(feature = "tls")]
        {
            options.tls = self.secrets.tls()?;
        }
        options.etcd = self.etcd.etcd().map(|mut etcd| {
            etcd.time_to_live = time_to_live;
            etcd
        });
        Ok(options)
    }
}

impl EtcdArguments {
    fn etcd(self) -> Option<Etcd> {
        if self.etcd.is_empty() {
            return None;
        }
        let mut etcd = Etcd::new(self.etcd);
        etcd.prefix = self.etcd_prefix;
        Some(etcd)
    }
}

#[cfg(feature = "tls")]
impl SecretArguments {
    /// Says whether connections are encrypted, and the other end of none can be
    /// verified.
    fn knows_no_authority(&self) -> bool {
        self.tls_certificate.is_some() && self.tls_authority.is_none()
    }

    fn tls(&self) -> Result<Option<mc_cluster::tls::Tls>, Box<dyn Error>> {
        let identity = match (&self.tls_certificate, &self.tls_key) {
            (Some(certificate), Some(key)) => Some((read(certificate)?, read(key)?)),
            _ => None,
        };
        let authority = self.tls_authority.as_deref().map(read).transpose()?;
        if identity.is_none() && authority.is_none() {
            return Ok(None);
        }
        let mut tls = mc_cluster::tls::Tls::default();
        tls.identity = identity;
        tls.authority = authority;
        Ok(Some(tls))
    }
}

impl ClientArguments {
    /// Returns a client whose bytes take a way.
    pub(crate) async fn client<T: Transport>(
        self,
        transport: T,
    ) -> Result<Client<T>, Box<dyn Error>> {
        let mut connection = Connection::default();
        connection.token = token(self.secrets.token_file.as_deref())?;
        #[cfg(feature = "tls")]
        {
            connection.tls = self.secrets.tls()?;
        }
        let mut options = ClientOptions::default();
        options.connection = connection;
        options.replicas = self.replicas;
        options.hedge = self.hedge.map(Duration::from_millis);
        let members = match (self.members, self.etcd.etcd()) {
            (Some(list), _) => members(&list)?,
            (None, Some(etcd)) => Members::watch(etcd).await?,
            (None, None) => return Err("either --members or --etcd is needed".into()),
        };
        Ok(Client::with_transport(members, options, transport))
    }
}
