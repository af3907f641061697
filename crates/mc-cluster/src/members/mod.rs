//! Which nodes there are: a fixed list, or what etcd says.

mod etcd;
mod fixed;
mod interface;
mod registration;
#[cfg(test)]
mod tests;
mod watching;

use std::{net::SocketAddr, sync::Arc};

use serde::{Deserialize, Serialize};
use tokio::{sync::watch, task::JoinHandle};
use tonic::codegen::http::uri::Authority;

pub(crate) use self::registration::Registration;
pub use self::{
    etcd::{Etcd, EtcdError},
    fixed::MembersError,
};

/// A node as others know it.
///
/// Fields that a newer version writes are skipped.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[non_exhaustive]
pub struct Member {
    /// The name.
    pub name: String,
    /// Where it is reached, as host and port.
    pub address: String,
    /// Its share of the keys, beside those of the others; memory in GiB where
    /// etcd says it.
    pub weight: f64,
}

/// The members as they are at the moment, and as they change.
///
/// Clones see the same.
#[derive(Clone, Debug)]
pub struct Members {
    list: watch::Receiver<Arc<[Member]>>,
    /// Keeps the task that follows changes.
    _follower: Option<Arc<Follower>>,
}

/// A task that ends when this is dropped.
#[derive(Debug)]
struct Follower(JoinHandle<()>);

impl Member {
    /// Makes a member of weight 1.
    #[must_use]
    pub fn new(name: impl Into<String>, address: impl Into<String>) -> Self {
        Self {
            name: name.into(),
            address: address.into(),
            weight: 1.0,
        }
    }

    /// Says whether keys can be shared out by its weight.
    fn has_weight(&self) -> bool {
        self.weight.is_finite() && self.weight > 0.0
    }

    /// Says whether its address is host and port.
    pub(crate) fn has_address(&self) -> bool {
        let address = self.address.parse::<Authority>();
        // Port 0 is any free one to who listens, and none to who calls.
        address.is_ok_and(|it| !it.host().is_empty() && it.port_u16().is_some_and(|port| port > 0))
    }

    /// Says whether others may reach it there: an address that each host takes for
    /// its own is none.
    pub(crate) fn is_reachable(&self) -> bool {
        let address = self.address.parse::<SocketAddr>();
        self.has_address() && !address.is_ok_and(|it| it.ip().is_unspecified())
    }
}

impl Members {
    /// Makes members that never change.
    ///
    /// # Errors
    ///
    /// A [`MembersError`] if two have one name or one address, or one has no weight.
    pub fn fixed(members: Vec<Member>) -> Result<Self, MembersError> {
        fixed::check(&members)?;
        let (_, list) = watch::channel(members.into());
        Ok(Self {
            list,
            _follower: None,
        })
    }

    /// Reads members from text such as `a=10.0.0.1:7001,b=10.0.0.2:7001*2`: names,
    /// addresses, and weights other than 1.
    ///
    /// # Errors
    ///
    /// A [`MembersError`].
    pub fn parse(text: &str) -> Result<Self, MembersError> {
        Self::fixed(fixed::parse(text)?)
    }

    /// Reads the members from etcd, and follows their changes as long as a clone
    /// of what is returned is held.
    ///
    /// While etcd cannot be reached, the members stay as they were.
    ///
    /// # Errors
    ///
    /// An [`EtcdError`] if they cannot be read.
    pub async fn watch(etcd: Etcd) -> Result<Self, EtcdError> {
        let (list, follower) = watching::follow(etcd).await?;
        Ok(Self {
            list,
            _follower: Some(Arc::new(Follower(follower))),
        })
    }

    /// Returns who tells of each change.
    pub(crate) fn changes(&self) -> watch::Receiver<Arc<[Member]>> {
        self.list.clone()
    }

    /// Returns the members of the moment without the one of a name.
    pub(crate) fn without(&self, name: &str) -> Self {
        let members = self.now();
        let others = members.iter().filter(|member| member.name != name);
        let (_, list) = watch::channel(others.cloned().collect());
        Self {
            list,
            _follower: None,
        }
    }

    /// Returns the same members, and who changes them.
    #[cfg(any(test, feature = "simulation"))]
    pub(crate) fn channel(&self) -> (watch::Sender<Arc<[Member]>>, Self) {
        let (sender, list) = watch::channel(self.now());
        let members = Self {
            list,
            _follower: None,
        };
        (sender, members)
    }

    /// Returns the members: those of a list in its order, those of etcd by name.
    #[must_use]
    pub fn now(&self) -> Arc<[Member]> {
        Arc::clone(&self.list.borrow())
    }
}

impl Drop for Follower {
    fn drop(&mut self) {
        self.0.abort();
    }
}
