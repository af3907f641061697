//! The calls to one node.

#[cfg(any(test, feature = "simulation", feature = "tls"))]
use std::sync::Arc;
use std::{
    fmt::Debug,
    pin::Pin,
    task::{Context, Poll},
    time::Duration,
};

use rand::Rng;
use tonic::{
    Code, Status,
    body::Body,
    codegen::{Service, StdError, http},
    service::interceptor::InterceptedService,
    transport::{Channel, Endpoint},
};

use crate::{
    client::ClientError,
    flow::{CONNECTION_WINDOW_BYTES, FRAME_BYTES, STREAM_WINDOW_BYTES},
    standing::is_refusal,
    token::{Show, Token},
    wire::node_client::NodeClient,
};

/// The calls of a node, over one connection that is made when it is used.
pub type Calls = NodeClient<Link>;

/// The way to a node that its calls take.
#[derive(Clone, Debug)]
pub struct Link(Way);

#[derive(Clone, Debug)]
enum Way {
    Connected(InterceptedService<Channel, Show>),
    #[cfg(any(test, feature = "simulation"))]
    Carried(Arc<dyn Carrier>, Arc<str>),
}

/// The answer to a call, when it is there.
pub(crate) type Answer =
    Pin<Box<dyn Future<Output = Result<http::Response<Body>, StdError>> + Send>>;

/// What takes calls to nodes where there are no connections: the network of a
/// simulation, which stands above clients and nodes.
#[cfg(any(test, feature = "simulation"))]
pub(crate) trait Carrier: Debug + Send + Sync {
    /// Takes a call to the node at an address.
    fn carry(&self, address: Arc<str>, request: http::Request<Body>) -> Answer;

    /// Returns a seed that is alike in every run, and differs between clients.
    fn seed(&self) -> u64;
}

/// How a node is reached.
///
/// More fields may come: begin with [`Connection::default`].
#[derive(Clone, Debug, Default)]
#[non_exhaustive]
pub struct Connection {
    /// What the nodes want to see.
    pub token: Option<Token>,
    /// Certificates, without which nothing is encrypted.
    #[cfg(feature = "tls")]
    pub tls: Option<crate::tls::Tls>,
    /// Takes all calls instead of connections.
    #[cfg(any(test, feature = "simulation"))]
    pub(crate) carrier: Option<Arc<dyn Carrier>>,
}

/// How long connecting may take. On one network it takes milliseconds.
const CONNECT_TIME: Duration = Duration::from_secs(1);

/// How often a silent connection is tried, and how long the answer may take.
const ALIVE_EVERY: Duration = Duration::from_secs(5);

/// Bytes of a message; nodes send less.
const MESSAGE_BYTES_MAX: usize = 16 << 20;

impl Connection {
    /// Returns the calls of the node at an address: host and port.
    ///
    /// # Errors
    ///
    /// [`ClientError::Address`] if it is not host and port, and
    /// [`ClientError::Certificates`].
    pub fn calls(&self, address: &str) -> Result<Calls, ClientError> {
        #[cfg(any(test, feature = "simulation"))]
        if let Some(link) = self.carried(address) {
            return Ok(NodeClient::new(link));
        }
        let not_an_address = || ClientError::Address {
            address: address.to_owned(),
        };
        let url = format!("{}://{address}", self.scheme());
        let endpoint = Endpoint::from_shared(url).map_err(|_| not_an_address())?;
        let endpoint = endpoint
            .connect_timeout(CONNECT_TIME)
            .tcp_nodelay(true)
            .initial_stream_window_size(STREAM_WINDOW_BYTES)
            .initial_connection_window_size(CONNECTION_WINDOW_BYTES)
            .max_frame_size(FRAME_BYTES)
            .http2_keep_alive_interval(ALIVE_EVERY)
            .keep_alive_timeout(ALIVE_EVERY);
        #[cfg(feature = "tls")]
        let endpoint = match &self.tls {
            Some(tls) => endpoint
                .tls_config(tls.client())
                .map_err(|error| ClientError::Certificates(Arc::new(error)))?,
            None => endpoint,
        };
        let channel = endpoint.connect_lazy();
        let shown = InterceptedService::new(channel, Show(self.token.clone()));
        let calls = NodeClient::new(Link(Way::Connected(shown)));
        Ok(calls
            .max_decoding_message_size(MESSAGE_BYTES_MAX)
            .max_encoding_message_size(MESSAGE_BYTES_MAX))
    }

    /// Returns the way to a node that its calls are carried on, if there are no
    /// connections.
    #[cfg(any(test, feature = "simulation"))]
    pub(crate) fn carried(&self, address: &str) -> Option<Link> {
        let carrier = Arc::clone(self.carrier.as_ref()?);
        Some(Link(Way::Carried(carrier, address.into())))
    }

    /// Returns a seed for waits that should differ from those of other clients.
    pub(super) fn seed(&self) -> u64 {
        #[cfg(any(test, feature = "simulation"))]
        if let Some(carrier) = &self.carrier {
            return carrier.seed();
        }
        rand::rng().next_u64()
    }

    fn scheme(&self) -> &'static str {
        #[cfg(feature = "tls")]
        if self.tls.is_some() {
            return "https";
        }
        "http"
    }
}

impl Service<http::Request<Body>> for Link {
    type Response = http::Response<Body>;
    type Error = StdError;
    type Future = Answer;

    fn poll_ready(&mut self, context: &mut Context<'_>) -> Poll<Result<(), StdError>> {
        match &mut self.0 {
            Way::Connected(channel) => channel.poll_ready(context).map_err(Into::into),
            #[cfg(any(test, feature = "simulation"))]
            Way::Carried(..) => Poll::Ready(Ok(())),
        }
    }

    fn call(&mut self, request: http::Request<Body>) -> Self::Future {
        match &mut self.0 {
            Way::Connected(channel) => {
                let answer = channel.call(request);
                Box::pin(async { Ok(answer.await?.map(Body::new)) })
            }
            #[cfg(any(test, feature = "simulation"))]
            Way::Carried(carrier, address) => carrier.carry(Arc::clone(address), request),
        }
    }
}

/// Says whether the host did not answer, rather than refuse.
pub(crate) fn is_silence(status: &Status) -> bool {
    let may_be = matches!(
        status.code(),
        Code::Unavailable
            | Code::DeadlineExceeded
            | Code::Cancelled
            | Code::Unknown
            | Code::Internal
    );
    may_be && !is_refusal(status)
}

/// Says whether a call may succeed later, or with another node.
pub(crate) fn is_passing(status: &Status) -> bool {
    is_silence(status)
        || is_refusal(status)
        || matches!(
            status.code(),
            Code::Aborted
                | Code::FailedPrecondition
                | Code::NotFound
                | Code::ResourceExhausted
                | Code::DataLoss
        )
}
