//! Engines that write and read the memory of a node without asking it: RDMA, or shared memory.
//!
//! An engine has an end at each node, [`Engine`], and one at each client, [`Reach`]. What one tells the
//! other of a memory goes through the service of the node, as bytes that nobody else looks into.

use std::{any::Any, fmt, ops::Range, sync::Arc};

use bytes::Bytes;
use mc_arena::PoolBytes;
use thiserror::Error;
use tokio::time::Instant;

/// An engine's end at a node: it makes memory reachable for clients.
///
/// The other end is [`Reach`].
pub trait Engine: fmt::Debug + Send + Sync + 'static {
    /// Returns the name that both ends have.
    fn name(&self) -> &str;

    /// Makes all of a memory reachable, once.
    ///
    /// Clients write to space that the node has given them until the deadline, and read what it has
    /// leased to them. The node has no slice of it while they write.
    ///
    /// # Errors
    ///
    /// Whatever keeps the engine from it; the node is not started then.
    fn register(&self, memory: PoolBytes) -> Result<RegisteredMemory, EngineError>;
}

/// Why an engine did not do something.
pub type EngineError = Box<dyn std::error::Error + Send + Sync>;

/// Memory that is reachable until this is dropped.
pub struct RegisteredMemory {
    description: Bytes,
    _held: Box<dyn Any + Send + Sync>,
}

/// An engine's end at a client: it writes and reads memory that nodes have
/// registered with [`Engine`].
///
/// Its futures may be dropped at any time. What is under way then may go on, but
/// not with bytes of others: buffers stay taken until it has ended.
pub trait Reach: Send + Sync + 'static {
    /// Memory of one life of a node.
    type Memory: Send + Sync + 'static;

    /// Returns the name that both ends have.
    fn name(&self) -> &str;

    /// Connects to memory by what its node says of it, and finds out whether it
    /// can be reached.
    fn connect(
        &self,
        description: Bytes,
    ) -> impl Future<Output = Result<Self::Memory, EngineError>> + Send;

    /// Writes objects to ranges of addresses, as long together as each of them.
    /// Returns when all bytes have arrived; begins nothing after `until`.
    fn write(
        &self,
        memory: &Arc<Self::Memory>,
        objects: Vec<(Vec<Range<u64>>, Bytes)>,
        until: Instant,
    ) -> impl Future<Output = Result<(), ReachError>> + Send;

    /// Reads objects, each from ranges of addresses; begins nothing after `until`.
    fn read(
        &self,
        memory: &Arc<Self::Memory>,
        objects: Vec<Vec<Range<u64>>>,
        until: Instant,
    ) -> impl Future<Output = Result<Vec<Bytes>, ReachError>> + Send;
}

/// Why bytes were not moved.
#[derive(Debug, Error)]
pub enum ReachError {
    /// No byte was, and none will be: there is no room for so many, say.
    #[error("the engine has not begun")]
    NotBegun(#[source] EngineError),
    /// Some may have been, and some may still be.
    #[error("the engine failed")]
    Failed(#[source] EngineError),
}

impl RegisteredMemory {
    /// Returns a registration that ends with `held`, which has to keep the memory for as long. Clients
    /// that the node serves are told the description.
    pub fn new(description: impl Into<Bytes>, held: impl Any + Send + Sync) -> Self {
        Self {
            description: description.into(),
            _held: Box::new(held),
        }
    }

    pub(crate) fn description(&self) -> Bytes {
        self.description.clone()
    }
}

impl fmt::Debug for RegisteredMemory {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let bytes = self.description.len();
        f.debug_struct("RegisteredMemory")
            .field("description_bytes", &bytes)
            .finish_non_exhaustive()
    }
}
