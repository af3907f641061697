//! Where etcd is, and the calls to it.

use std::time::Duration;

use thiserror::Error;
use tokio::time::timeout;
use tonic::{
    Response, Status,
    transport::{Channel, Endpoint},
};

/// Where members are kept in etcd.
///
/// More fields may come: begin with [`Etcd::new`].
#[derive(Clone, Debug)]
#[non_exhaustive]
pub struct Etcd {
    /// Addresses such as `http://127.0.0.1:2379`; whichever answers is used.
    pub endpoints: Vec<String>,
    /// What all keys begin with: clusters with other ones share nothing.
    pub prefix: String,
    /// How long a node that says nothing stays a member, in whole seconds. etcd
    /// may grant more.
    pub time_to_live: Duration,
}

/// Why etcd did not do what was asked.
#[derive(Debug, Error)]
#[non_exhaustive]
pub enum EtcdError {
    /// There is no address, or one is no URL of `http`: nothing is encrypted.
    #[error(
        "{endpoints:?} is no list of addresses of etcd; use URLs such as http://127.0.0.1:2379"
    )]
    Endpoints {
        /// The addresses.
        endpoints: Vec<String>,
    },
    /// It cannot be reached, or refused.
    #[error("etcd did not answer as it should")]
    Call(#[from] Status),
    /// A stream ended.
    #[error("etcd ended the stream")]
    Ended,
    /// It does not grant leases.
    #[error("etcd granted no lease")]
    NotGranted,
    /// Another node has the name, or an earlier life of this one.
    #[error("the name {name:?} is another's until its entry ends")]
    Name {
        /// The name.
        name: String,
    },
}

/// The longest that one call may take.
pub(super) const CALL_TIME: Duration = Duration::from_secs(2);

/// Bytes of an answer: the entries of as many members as anybody has.
pub(super) const ANSWER_BYTES_MAX: usize = 64 << 20;

/// How long after a failure the next try is.
pub(super) const PAUSE: Duration = Duration::from_millis(250);

impl Etcd {
    /// Returns the keys below `/mc-cluster/`, and ten seconds to live.
    #[must_use]
    pub fn new(endpoints: Vec<String>) -> Self {
        Self {
            endpoints,
            prefix: "/mc-cluster/".to_owned(),
            time_to_live: Duration::from_secs(10),
        }
    }

    /// Returns a channel that connects when it is used.
    pub(crate) fn channel(&self) -> Result<Channel, EtcdError> {
        let endpoint = |address: &String| {
            let endpoint = Endpoint::from_shared(address.clone()).ok()?;
            (endpoint.uri().scheme_str() == Some("http")).then_some(endpoint)
        };
        let endpoints: Option<Vec<_>> = self.endpoints.iter().map(endpoint).collect();
        match endpoints {
            Some(endpoints) if !endpoints.is_empty() => {
                let endpoints = endpoints.into_iter().map(|endpoint| {
                    endpoint
                        .connect_timeout(CALL_TIME)
                        .http2_keep_alive_interval(CALL_TIME)
                        .keep_alive_timeout(CALL_TIME)
                        .keep_alive_while_idle(true)
                });
                Ok(Channel::balance_list(endpoints))
            }
            _ => Err(EtcdError::Endpoints {
                endpoints: self.endpoints.clone(),
            }),
        }
    }

    pub(super) fn key(&self, name: &str) -> Vec<u8> {
        format!("{}members/{name}", self.prefix).into_bytes()
    }

    /// Returns the range of the keys of all members.
    pub(super) fn range(&self) -> (Vec<u8>, Vec<u8>) {
        // '0' is what comes behind '/'.
        let bound = |last| format!("{}members{last}", self.prefix).into_bytes();
        (bound('/'), bound('0'))
    }
}

/// Waits for an answer as long as a call may take.
pub(super) async fn within_time<T>(
    call: impl Future<Output = Result<Response<T>, Status>>,
) -> Result<T, EtcdError> {
    let answered = timeout(CALL_TIME, call).await;
    let answered = answered.map_err(|_| Status::deadline_exceeded("etcd does not answer"))?;
    Ok(answered?.into_inner())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test]
    async fn what_is_no_address_of_etcd_is_refused_by_its_name() {
        let good = "http://127.0.0.1:2379".to_owned();
        let channel = |endpoints: Vec<String>| Etcd::new(endpoints).channel();
        assert!(channel(vec![good.clone(), "http://etcd:2379/".to_owned()]).is_ok());
        assert!(channel(Vec::new()).is_err());
        for address in [
            "",
            "etcd",
            "127.0.0.1:2379",
            "http://",
            "http://h h:1",
            "ftp://h:1",
            // Nothing encrypts the calls.
            "https://127.0.0.1:2379",
        ] {
            let refused = channel(vec![good.clone(), address.to_owned()]).unwrap_err();
            assert!(refused.to_string().contains(&format!("{address:?}")));
        }
    }
}
