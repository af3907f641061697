//! One node that is called with bytes, as they come over the wire.

use std::{sync::Arc, time::Duration};

use bytes::{Buf, BufMut, Bytes};
use futures_util::{StreamExt, stream};
use tokio::{
    runtime::Runtime,
    time::{Instant, sleep, timeout},
};
use tonic::{
    Request, Status,
    client::Grpc,
    codec::{Codec, DecodeBuf, Decoder, EncodeBuf, Encoder},
    codegen::http::uri::PathAndQuery,
};

use super::{
    nodes::{ALL_ENDED, Nodes, address},
    runtime,
};
use crate::{
    client::{Connection, Link},
    limits::Limits,
    time::set_scene_start,
};

/// A node of a scene and one who calls it, with whatever bytes: for a fuzzer.
///
/// Its clock jumps while somebody waits, and its limits are so low that few calls
/// reach them.
#[derive(Debug)]
pub struct LoneNode {
    runtime: Runtime,
    nodes: Nodes,
    calls: Grpc<Link>,
}

/// How a call ends on the side of the caller.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum CallEnd {
    /// Behind the last message.
    Said,
    /// Never: the caller sends nothing any more, and says nothing of it.
    Silent,
}

/// What came back of a call: messages, and why it ended if that was no success.
#[derive(Clone, Debug)]
#[non_exhaustive]
pub struct Answered {
    /// As they are encoded.
    pub messages: Vec<Bytes>,
    /// The refusal.
    pub refusal: Option<Status>,
}

const NAME: &str = "lone";

/// When a caller gives up: longer than a stream may pause.
const PATIENCE: Duration = Duration::from_secs(30);

/// Messages as they are.
#[derive(Clone, Copy, Debug, Default)]
struct Plain;

impl LoneNode {
    /// Bytes of its memory.
    pub const BYTES: u64 = 16 << 10;

    /// Starts a node, which takes puts.
    ///
    /// # Panics
    ///
    /// Panics within a runtime of tokio, and if there is no memory.
    #[must_use]
    pub fn start() -> Self {
        let runtime = runtime();
        let (nodes, calls) = runtime.block_on(async {
            set_scene_start(Some(Instant::now()));
            let mut nodes = Nodes::new(1, Self::BYTES, Self::limits());
            nodes.start(NAME);
            // Until it is a member.
            sleep(Duration::from_secs(1)).await;
            let connection = Connection {
                carrier: Some(Arc::new(nodes.network.side(0))),
                ..Connection::default()
            };
            let link = connection.carried(&address(NAME)).expect("a carrier");
            (nodes, Grpc::new(link))
        });
        Self {
            runtime,
            nodes,
            calls,
        }
    }

    /// Returns what it accepts.
    #[must_use]
    pub fn limits() -> Limits {
        Limits {
            batch_max: 8,
            key_bytes_max: 16,
            message_bytes_max: 1024,
            chunk_bytes_max: 256,
            puts_max: 6,
            leased_max: 12,
            ..Limits::default()
        }
    }

    /// Makes one call of the service, by the name of its method. The caller gives
    /// up if there is no end of it in half a minute.
    ///
    /// # Panics
    ///
    /// Panics if the name cannot be a part of a path.
    pub fn call(&mut self, method: &str, messages: Vec<Bytes>, end: CallEnd) -> Answered {
        let path = format!("/mc.cluster.v1.Node/{method}");
        let path = PathAndQuery::try_from(path).expect("the name of a method");
        let calls = &mut self.calls;
        let called = async {
            let rest = match end {
                CallEnd::Said => stream::empty().left_stream(),
                CallEnd::Silent => stream::pending().right_stream(),
            };
            let request = Request::new(stream::iter(messages).chain(rest));
            let mut answered = Answered {
                messages: Vec::new(),
                refusal: None,
            };
            let mut stream = match calls.streaming(request, path, Plain).await {
                Ok(answer) => answer.into_inner(),
                Err(status) => {
                    answered.refusal = Some(status);
                    return answered;
                }
            };
            while let Some(message) = stream.next().await {
                match message {
                    Ok(message) => answered.messages.push(message),
                    Err(status) => answered.refusal = Some(status),
                }
            }
            answered
        };
        let answered = self
            .runtime
            .block_on(async { timeout(PATIENCE, called).await });
        answered.unwrap_or_else(|_| Answered {
            messages: Vec::new(),
            refusal: Some(Status::deadline_exceeded("the caller has given up")),
        })
    }

    /// Lets time pass.
    pub fn wait(&self, time: Duration) {
        self.runtime.block_on(async { sleep(time).await });
    }

    /// Cuts the node off from the list of members, or not any more.
    pub fn cut_off(&self, is_cut_off: bool) {
        self.nodes.cut_off(NAME, is_cut_off);
    }

    /// Waits until all that was granted has ended; returns the promises that were
    /// broken.
    #[must_use]
    pub fn end(self) -> Vec<String> {
        self.runtime.block_on(async {
            sleep(ALL_ENDED).await;
            self.nodes.check_leaks();
        });
        self.nodes.oracle.take_all()
    }
}

impl Drop for LoneNode {
    fn drop(&mut self) {
        set_scene_start(None);
    }
}

impl Codec for Plain {
    type Encode = Bytes;
    type Decode = Bytes;
    type Encoder = Self;
    type Decoder = Self;

    fn encoder(&mut self) -> Self {
        Self
    }

    fn decoder(&mut self) -> Self {
        Self
    }
}

impl Encoder for Plain {
    type Item = Bytes;
    type Error = Status;

    fn encode(&mut self, message: Bytes, into: &mut EncodeBuf<'_>) -> Result<(), Status> {
        into.put(message);
        Ok(())
    }
}

impl Decoder for Plain {
    type Item = Bytes;
    type Error = Status;

    fn decode(&mut self, from: &mut DecodeBuf<'_>) -> Result<Option<Bytes>, Status> {
        Ok(Some(from.copy_to_bytes(from.remaining())))
    }
}
