//! A client of a cluster: keys to hosts, bytes to keys.

mod direct;
mod fetch;
mod hedge;
mod host;
mod hosts;
mod locate;
mod patience;
mod put;
mod reading;
mod route;
mod transport;
mod wanted;

use std::{
    sync::{
        Arc,
        atomic::{AtomicU64, Ordering},
    },
    time::Duration,
};

use bytes::Bytes;
use futures_util::future::join_all;
use thiserror::Error;
use tokio::{runtime::Handle, time::timeout};
use tonic::Status;

#[cfg(any(test, feature = "simulation"))]
pub(crate) use self::host::{Answer, Carrier};
pub use self::{
    direct::{Direct, DirectCounts},
    host::{Calls, Connection, Link},
    route::Route,
    transport::{Incoming, Outgoing, Space, Streams, Transport},
};
use self::{
    hosts::{Hosts, STAND_INS_MAX},
    patience::Patience,
    put::Copies,
};
use crate::{
    members::{Member, Members},
    standing::is_refusal,
    time::millis,
    wire::{
        Outcome, RemoveRequest, RemoveResponse, StatsRequest, StatsResponse, remove_request::Mode,
    },
};

/// How a client behaves.
///
/// More fields may come: begin with [`ClientOptions::default`].
#[derive(Clone, Debug)]
#[non_exhaustive]
pub struct ClientOptions {
    /// How nodes are reached.
    pub connection: Connection,
    /// Hosts that each object is put to, as long as there are as many.
    pub replicas: usize,
    /// Keys of one call to one host; no more than its limits allow.
    pub batch: usize,
    /// How long a put or a removal is tried.
    pub patience: Duration,
    /// How long one call may take, besides the time for its bytes.
    pub call_time: Duration,
    /// How long objects that are found have to stay.
    pub lease: Duration,
    /// How long former owners of keys are asked too, after the members that
    /// answer have changed, and how long the next owners are asked for what a host
    /// lacks that has begun to take puts.
    pub former_for: Duration,
    /// How long to wait for a host, besides the time for the bytes, before another
    /// replica is asked too; `None` never asks. Where hosts are seldom slow, this
    /// costs few calls, and saves the wait for a slow one.
    pub hedge: Option<Duration>,
    /// The most bytes of an object that is read.
    pub object_bytes_max: usize,
    /// Whether a put counts only when its host has compared the bytes that it has
    /// with their checksum. Readers compare them anyway.
    pub verify_puts: bool,
}

/// A client of a cluster. Clones share connections and counts; any number of
/// tasks use them.
#[derive(Debug)]
pub struct Client<T = Streams> {
    shared: Arc<Shared<T>>,
}

#[derive(Debug)]
struct Shared<T> {
    hosts: Arc<Hosts>,
    options: ClientOptions,
    transport: T,
    counts: Counts,
    /// The next seed of those who wait a random time. Any one will do, so
    /// `Relaxed`.
    seeds: AtomicU64,
}

/// What a client has done so far.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
#[non_exhaustive]
pub struct ClientCounts {
    /// Objects that were read.
    pub hits: u64,
    /// Keys that were asked for and not found.
    pub misses: u64,
    /// Objects that were read and had another checksum than at their commit;
    /// they count as not found.
    pub corrupt: u64,
    /// Calls that a host did not answer.
    pub unanswered: u64,
    /// Puts that were tried again.
    pub retried: u64,
    /// Objects that were found with a former owner and put to the present one.
    pub promoted: u64,
    /// Calls beside which another replica was asked, as they took long.
    pub hedged: u64,
    /// Of these, those where the other replica had all before the first answered.
    pub hedges_won: u64,
}

/// The same, written by any task.
#[derive(Debug, Default)]
struct Counts {
    hits: AtomicU64,
    misses: AtomicU64,
    corrupt: AtomicU64,
    unanswered: AtomicU64,
    retried: AtomicU64,
    promoted: AtomicU64,
    hedged: AtomicU64,
    hedges_won: AtomicU64,
}

/// Why something was not done.
#[derive(Clone, Debug, Error)]
#[non_exhaustive]
pub enum ClientError {
    /// An address is not host and port.
    #[error("{address:?} is not an address; use host:port")]
    Address {
        /// The address.
        address: String,
    },
    /// The certificates cannot be read.
    #[error("the certificates of the client cannot be used")]
    Certificates(#[source] Arc<tonic::transport::Error>),
    /// No member answers.
    #[error("no member of the cluster answers")]
    NoMember,
    /// A host refused the object.
    #[error("the object was refused: {}", reason(*outcome))]
    Refused {
        /// Why.
        outcome: Outcome,
    },
    /// A call to a host failed, or the host refused it.
    #[error("a call to {address} failed")]
    Call {
        /// The address of the host.
        address: String,
        /// What went wrong.
        source: Status,
    },
}

impl ClientError {
    fn call(member: &Member, source: Status) -> Self {
        let address = member.address.clone();
        Self::Call { address, source }
    }

    /// Says whether another try, or another host, may do better.
    pub(crate) fn is_passing(&self) -> bool {
        match self {
            Self::Call { source, .. } => host::is_passing(source),
            // Whoever puts the key may fail, what was late may be in time, and a host
            // that has failed takes no more puts.
            Self::Refused { outcome } => matches!(
                outcome,
                Outcome::InFlight
                    | Outcome::Expired
                    | Outcome::Unknown
                    | Outcome::Failed
                    | Outcome::Damaged
                    | Outcome::Unspecified
            ),
            // Members may come.
            Self::NoMember => true,
            Self::Address { .. } | Self::Certificates(_) => false,
        }
    }
}

/// Says why an object was refused.
fn reason(outcome: Outcome) -> &'static str {
    match outcome {
        Outcome::Exists => "its key is stored",
        Outcome::InFlight => "another put of its key has neither ended nor failed",
        Outcome::TooLarge => "it, or its key, is larger than the host allows",
        Outcome::NoRoom => "the host has no room for it, and nothing may leave",
        Outcome::Impossible => "it is empty, or more than the host has",
        Outcome::Unknown => "the host knows nothing of it",
        Outcome::Expired => "the deadline of the put has passed",
        Outcome::Leased => "it is being read",
        Outcome::Pinned => "it is pinned",
        Outcome::Failed => "the host cannot write its journal, or lost its memory",
        Outcome::Damaged => "its bytes have not the checksum that they should have",
        Outcome::Unspecified | Outcome::Done => outcome.as_str_name(),
    }
}

impl Default for ClientOptions {
    /// Returns one copy, batches of 256, ten seconds for a put, two for a call,
    /// leases of ten seconds, a minute for former owners, no hedging, and objects
    /// of at most a GiB.
    fn default() -> Self {
        Self {
            connection: Connection::default(),
            replicas: 1,
            batch: 256,
            patience: Duration::from_secs(10),
            call_time: Duration::from_secs(2),
            lease: Duration::from_secs(10),
            former_for: Duration::from_secs(60),
            hedge: None,
            object_bytes_max: 1 << 30,
            verify_puts: false,
        }
    }
}

impl Client {
    /// Makes a client that connects to members when it needs them.
    #[must_use]
    pub fn new(members: Members, options: ClientOptions) -> Self {
        Self::with_transport(members, options, Streams)
    }
}

impl<T: Transport> Client<T> {
    /// As [`new`](Client::new) with another way to move bytes.
    #[must_use]
    pub fn with_transport(members: Members, options: ClientOptions, transport: T) -> Self {
        let connection = options.connection.clone();
        let seeds = AtomicU64::new(connection.seed());
        let hosts = Arc::new(Hosts::new(members, connection, options.former_for));
        if let Ok(runtime) = Handle::try_current() {
            hosts.follow(&runtime);
        }
        let shared = Shared {
            hosts,
            options,
            transport,
            counts: Counts::default(),
            seeds,
        };
        Self {
            shared: Arc::new(shared),
        }
    }

    /// Puts an object; returns how many hosts have it now.
    ///
    /// An object that is stored already counts as put: objects of a key are
    /// alike.
    ///
    /// # Errors
    ///
    /// A [`ClientError`] if no host has it.
    pub async fn put(&self, key: &[u8], bytes: Bytes) -> Result<usize, ClientError> {
        let all = self
            .put_many(vec![(Bytes::copy_from_slice(key), bytes)])
            .await;
        all.into_iter().next().unwrap_or(Err(ClientError::NoMember))
    }

    /// Puts objects, one batch for each host; returns how each went, as
    /// [`put`](Self::put) does.
    pub async fn put_many(&self, objects: Vec<(Bytes, Bytes)>) -> Vec<Result<usize, ClientError>> {
        let copies = self.put_all(objects).await.into_iter();
        copies.map(|copies| Ok(copies?.hosts)).collect()
    }

    /// As [`put_many`](Self::put_many); says also whether an object is new.
    pub(crate) async fn put_all(
        &self,
        objects: Vec<(Bytes, Bytes)>,
    ) -> Vec<Result<Copies, ClientError>> {
        put::put_many(&self.shared, objects).await
    }

    /// Reads an object. A host that does not answer has none.
    ///
    /// # Errors
    ///
    /// A [`ClientError`] if hosts refuse to serve the client at all.
    pub async fn get(&self, key: &[u8]) -> Result<Option<Bytes>, ClientError> {
        let mut all = self.get_prefix(&[key]).await?;
        Ok(all.pop())
    }

    /// Reads the objects of the first keys, up to the first that is not stored:
    /// what is behind it in a prompt is of no use without it.
    ///
    /// # Errors
    ///
    /// As [`get`](Self::get).
    pub async fn get_prefix<K: AsRef<[u8]>>(&self, keys: &[K]) -> Result<Vec<Bytes>, ClientError> {
        let keys = keys.iter().map(|key| Bytes::copy_from_slice(key.as_ref()));
        fetch::get_prefix(&self.shared, keys.collect()).await
    }

    /// Removes an object from all hosts that may have it; returns whether one
    /// had. Those who are reading it may go on until their leases end.
    ///
    /// A host that does not answer keeps what it has.
    ///
    /// # Errors
    ///
    /// A [`ClientError`] if no host answered, or if one refused to remove what it
    /// has: it is pinned there, or the journal cannot be written.
    pub async fn remove(&self, key: &[u8]) -> Result<bool, ClientError> {
        let shared = &*self.shared;
        let routes = shared.hosts.routes();
        let owners = routes.owners(key, shared.options.replicas);
        let candidates = routes.candidates(key, shared.options.replicas);
        let key = Bytes::copy_from_slice(key);
        let remove_from = async |members: &[&Member]| {
            let calls = members.iter();
            join_all(calls.map(|member| shared.remove_from(member, &key, Mode::Detach))).await
        };
        let mut answers = remove_from(&candidates).await;
        let former_for = millis(shared.options.former_for);
        let is_settled = |answer: &RemoveResponse| {
            let settled = answer.settled_ms;
            settled.is_none_or(|time| time >= former_for)
        };
        if !answers.iter().flatten().all(is_settled) {
            let mut further = routes.owners(&key, shared.options.replicas + STAND_INS_MAX);
            further.retain(|member| candidates.iter().all(|asked| asked.name != member.name));
            answers.extend(remove_from(&further).await);
        }
        let had_it = |answer: &RemoveResponse| answer.outcomes().any(|it| it == Outcome::Done);
        if answers.iter().skip(owners.len()).flatten().any(had_it) {
            // From there it may have been put to an owner that said it had nothing.
            answers.extend(remove_from(&owners).await);
        }
        let mut answer = Err(ClientError::NoMember);
        for answered in answers {
            match answered {
                Ok(removed) => {
                    let mut had_it = matches!(answer, Ok(true));
                    for outcome in removed.outcomes() {
                        match outcome {
                            Outcome::Done => had_it = true,
                            Outcome::Unknown => {}
                            outcome => return Err(ClientError::Refused { outcome }),
                        }
                    }
                    answer = Ok(had_it);
                }
                Err(error) if answer.is_err() => answer = Err(error),
                Err(_) => {}
            }
        }
        answer
    }

    /// Asks every member how it is.
    pub async fn status(&self) -> Vec<(Member, Result<StatsResponse, ClientError>)> {
        let shared = &*self.shared;
        let members = shared.hosts.members();
        let calls = members.iter().map(async |member| {
            let ask = async move |mut calls: Calls| calls.stats(StatsRequest {}).await;
            (member.clone(), shared.call(member, 0, ask).await)
        });
        join_all(calls).await
    }

    /// Returns what the client has done so far.
    #[must_use]
    pub fn counts(&self) -> ClientCounts {
        let counts = &self.shared.counts;
        let read = |count: &AtomicU64| count.load(Ordering::Relaxed);
        ClientCounts {
            hits: read(&counts.hits),
            misses: read(&counts.misses),
            corrupt: read(&counts.corrupt),
            unanswered: read(&counts.unanswered),
            retried: read(&counts.retried),
            promoted: read(&counts.promoted),
            hedged: read(&counts.hedged),
            hedges_won: read(&counts.hedges_won),
        }
    }
}

impl<T> Clone for Client<T> {
    fn clone(&self) -> Self {
        Self {
            shared: Arc::clone(&self.shared),
        }
    }
}

impl<T> Shared<T> {
    /// Returns the time that a put has.
    fn patience(&self) -> Patience {
        let seed = self.seeds.fetch_add(1, Ordering::Relaxed);
        Patience::new(self.options.patience, seed)
    }

    /// Removes an object from one host.
    async fn remove_from(
        &self,
        member: &Member,
        key: &Bytes,
        mode: Mode,
    ) -> Result<RemoveResponse, ClientError> {
        let request = RemoveRequest {
            keys: vec![key.clone()],
            mode: mode.into(),
        };
        let remove = async move |mut calls: Calls| calls.remove(request).await;
        self.call(member, 0, remove).await
    }

    /// Makes one call to one host, which is left alone for a while if it does
    /// not answer. `bytes` of objects may take a time of their own.
    async fn call<A>(
        &self,
        member: &Member,
        bytes: usize,
        call: impl AsyncFnOnce(Calls) -> Result<tonic::Response<A>, Status>,
    ) -> Result<A, ClientError> {
        let calls = self.hosts.calls(member)?;
        let time = Patience::for_bytes(self.options.call_time, bytes);
        let answered = timeout(time, call(calls)).await;
        let answered =
            answered.unwrap_or_else(|_| Err(Status::deadline_exceeded("the host does not answer")));
        match answered {
            Ok(answer) => {
                self.hosts.note_answer(&member.name);
                Ok(answer.into_inner())
            }
            Err(status) => {
                if host::is_silence(&status) {
                    count(&self.counts.unanswered, 1);
                    self.hosts.note_failure(&member.name);
                } else if is_refusal(&status) {
                    self.hosts.note_refusal(&member.name);
                }
                Err(ClientError::call(member, status))
            }
        }
    }
}

fn count(sum: &AtomicU64, more: usize) {
    sum.fetch_add(more as u64, Ordering::Relaxed);
}
