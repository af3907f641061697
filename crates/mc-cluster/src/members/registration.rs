//! A node's entry among the members, under a lease of etcd.

use std::{sync::Arc, time::Duration};

use tokio::{
    sync::{mpsc, watch},
    task::JoinHandle,
    time::sleep,
};
use tokio_stream::wrappers::ReceiverStream;
use tonic::{Response, Streaming, transport::Channel};

use super::{
    Member,
    etcd::{Etcd, EtcdError, PAUSE, within_time},
    interface::{
        Compare, KeyValue, LeaseGrantRequest, LeaseKeepAliveRequest, LeaseKeepAliveResponse,
        LeaseRevokeRequest, PutRequest, RangeRequest, RequestOp, TxnRequest,
        compare::{CompareResult, CompareTarget, TargetUnion},
        kv_client::KvClient,
        lease_client::LeaseClient,
        request_op::Request as Operation,
    },
};
use crate::standing::{Moment, Standing};

/// A node's entry, renewed until this is ended or dropped.
///
/// The node stands from the moment at which a renewal was *sent*, for nine
/// tenths of the time that was granted, so that nobody else can have the name
/// while the node takes puts.
#[derive(Debug)]
pub(crate) struct Registration {
    client: Client,
    renewal: JoinHandle<()>,
    standing: Arc<Standing>,
    lease: Arc<parking_lot::Mutex<Option<i64>>>,
    entry: watch::Receiver<Entry>,
}

/// How it stands with an entry.
type Entry = Option<Result<(), Arc<EtcdError>>>;

#[derive(Clone, Debug)]
struct Client {
    leases: LeaseClient<Channel>,
    keys: KvClient<Channel>,
}

/// A lease that was granted.
struct Granted {
    id: i64,
    time: Duration,
    /// When it was asked for.
    sent: Moment,
}

impl Registration {
    /// Begins to register a node, and to renew that. The node stands as soon as
    /// nobody else has its name.
    pub(crate) fn start(
        etcd: &Etcd,
        channel: Channel,
        member: &Member,
        standing: Arc<Standing>,
    ) -> Self {
        let client = Client {
            leases: LeaseClient::new(channel.clone()),
            keys: KvClient::new(channel),
        };
        let lease = Arc::default();
        let (entry, told) = watch::channel(None);
        let life = Life {
            client: client.clone(),
            name: member.name.clone(),
            key: etcd.key(&member.name),
            value: serde_json::to_vec(member).unwrap_or_default(),
            time_to_live: etcd.time_to_live,
            standing: Arc::clone(&standing),
            lease: Arc::clone(&lease),
            entry,
        };
        Self {
            client,
            renewal: tokio::spawn(life.renew()),
            standing,
            lease,
            entry: told,
        }
    }

    /// Waits for another change of how it stands with the entry.
    pub(crate) async fn next_entry(&mut self) -> Result<(), Arc<EtcdError>> {
        if self.entry.changed().await.is_ok()
            && let Some(entry) = self.entry.borrow_and_update().clone()
        {
            return entry;
        }
        std::future::pending().await
    }

    /// Gives the entry up at once, if etcd can be reached.
    pub(crate) async fn end(mut self) {
        self.renewal.abort();
        // Until the task has ended, it may renew the standing.
        let _ = (&mut self.renewal).await;
        self.standing.set(Moment::NEVER);
        let lease = self.lease.lock().take();
        if let Some(id) = lease {
            self.client.revoke(id).await;
        }
    }
}

impl Drop for Registration {
    fn drop(&mut self) {
        self.renewal.abort();
    }
}

impl Client {
    /// Ends a lease. If etcd does not hear of it, the lease ends by itself.
    async fn revoke(&mut self, id: i64) {
        let revoked = self.leases.lease_revoke(LeaseRevokeRequest { id });
        let _ = within_time(revoked).await;
    }
}

/// A stream of renewals, on which each request has one answer.
struct Renewals {
    requests: mpsc::Sender<LeaseKeepAliveRequest>,
    answers: Streaming<LeaseKeepAliveResponse>,
}

/// What the task that renews an entry knows.
struct Life {
    client: Client,
    name: String,
    key: Vec<u8>,
    value: Vec<u8>,
    time_to_live: Duration,
    standing: Arc<Standing>,
    lease: Arc<parking_lot::Mutex<Option<i64>>>,
    entry: watch::Sender<Entry>,
}

impl Life {
    async fn renew(mut self) {
        loop {
            match self.register().await {
                Ok(granted) => {
                    self.tell(Ok(()));
                    // It returns when the lease or the entry is over, or nearly.
                    self.keep_alive(granted).await;
                }
                Err(error) => self.tell(Err(error)),
            }
            sleep(PAUSE).await;
        }
    }

    /// Tells how it stands with the entry, if that is another way than before.
    fn tell(&self, entry: Result<(), EtcdError>) {
        let entry = entry.map_err(Arc::new);
        self.entry.send_if_modified(|told| {
            let text =
                |entry: &Result<(), Arc<EtcdError>>| entry.as_ref().err().map(ToString::to_string);
            let is_new = told.as_ref().map(text) != Some(text(&entry));
            *told = Some(entry);
            is_new
        });
    }

    /// Gets a lease, and enters the node under it if its name is free.
    async fn register(&mut self) -> Result<Granted, EtcdError> {
        let granted = self.grant().await?;
        *self.lease.lock() = Some(granted.id);
        let entered = self.enter(granted.id).await;
        if let Ok(true) = entered {
            self.standing.renewed(granted.sent, granted.time);
            return Ok(granted);
        }
        // An earlier life has the name until its lease ends.
        self.client.revoke(granted.id).await;
        *self.lease.lock() = None;
        let name = self.name.clone();
        entered.and(Err(EtcdError::Name { name }))
    }

    async fn grant(&mut self) -> Result<Granted, EtcdError> {
        let sent = Moment::now();
        // etcd counts whole seconds.
        let seconds = self.time_to_live.as_secs().max(1);
        let request = LeaseGrantRequest {
            ttl: i64::try_from(seconds).unwrap_or(i64::MAX),
        };
        let granted = within_time(self.client.leases.lease_grant(request)).await?;
        // What is granted counts, not what was asked for.
        let time = seconds_granted(granted.ttl).ok_or(EtcdError::NotGranted)?;
        Ok(Granted {
            id: granted.id,
            time,
            sent,
        })
    }

    async fn enter(&mut self, lease: i64) -> Result<bool, EtcdError> {
        let is_free = Compare {
            result: CompareResult::Equal.into(),
            target: CompareTarget::Create.into(),
            key: self.key.clone(),
            target_union: Some(TargetUnion::CreateRevision(0)),
        };
        let put = PutRequest {
            key: self.key.clone(),
            value: self.value.clone(),
            lease,
        };
        let transaction = TxnRequest {
            compare: vec![is_free],
            success: vec![RequestOp {
                request: Some(Operation::RequestPut(put)),
            }],
        };
        let done = within_time(self.client.keys.txn(transaction)).await?;
        Ok(done.succeeded)
    }

    /// Renews a lease until it is over, or the entry is not that of this life any
    /// more: somebody has deleted it, or written another.
    async fn keep_alive(&mut self, granted: Granted) {
        let mut end = granted.sent.after(granted.time);
        let mut pause = granted.time / 3;
        let mut renewals = None;
        loop {
            sleep(pause).await;
            let sent = Moment::now();
            if sent >= end {
                break;
            }
            match self.renew_once(&mut renewals, granted.id).await {
                Ok(Some(time)) => {
                    end = sent.after(time);
                    pause = time / 3;
                    match self.is_entered(granted.id).await {
                        Ok(true) => self.standing.renewed(sent, time),
                        Ok(false) => break,
                        Err(_) => pause = PAUSE,
                    }
                }
                Ok(None) => break,
                Err(_) => {
                    // Answers that come late belong to no later request.
                    renewals = None;
                    pause = PAUSE;
                }
            }
        }
        self.standing.set(Moment::NEVER);
        // With it goes what is left of the entry, so that the name is free.
        self.client.revoke(granted.id).await;
    }

    /// Says whether the entry is still the one that was made under a lease.
    async fn is_entered(&mut self, lease: i64) -> Result<bool, EtcdError> {
        let request = RangeRequest {
            key: self.key.clone(),
            ..RangeRequest::default()
        };
        let found = within_time(self.client.keys.range(request)).await?;
        let is_own = |entry: &KeyValue| entry.lease == lease && entry.value == self.value;
        Ok(found.kvs.first().is_some_and(is_own))
    }

    /// Returns for how long a lease is renewed, or nothing if it is over.
    async fn renew_once(
        &mut self,
        renewals: &mut Option<Renewals>,
        id: i64,
    ) -> Result<Option<Duration>, EtcdError> {
        let request = LeaseKeepAliveRequest { id };
        let answers = match renewals {
            Some(renewals) => {
                let sent = renewals.requests.try_send(request);
                sent.map_err(|_| EtcdError::Ended)?;
                &mut renewals.answers
            }
            None => {
                // etcd says nothing before it has a request.
                let (requests, stream) = mpsc::channel(1);
                requests.try_send(request).map_err(|_| EtcdError::Ended)?;
                let stream = ReceiverStream::new(stream);
                let answers = within_time(self.client.leases.lease_keep_alive(stream)).await?;
                &mut renewals.insert(Renewals { requests, answers }).answers
            }
        };
        let answer = within_time(async { answers.message().await.map(Response::new) }).await?;
        let answer = answer.ok_or(EtcdError::Ended)?;
        Ok(seconds_granted(answer.ttl))
    }
}

fn seconds_granted(seconds: i64) -> Option<Duration> {
    let seconds = u64::try_from(seconds).ok().filter(|&seconds| seconds > 0);
    seconds.map(Duration::from_secs)
}
