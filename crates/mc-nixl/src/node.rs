//! The node's end: its memory, registered once.

use mc_arena::PoolBytes;
use mc_cluster::engine::{Engine, EngineError, RegisteredMemory};
use prost::Message;

use crate::{
    NAME,
    agent::{NixlError, Registered, check_library},
};

/// Registers memory of nodes with NIXL.
#[derive(Debug)]
#[non_exhaustive]
pub struct NixlEngine;

/// What a client needs to know of a memory. Fields are only ever added.
#[derive(Clone, PartialEq, Message)]
pub(crate) struct Description {
    /// What NIXL tells of the agent.
    #[prost(bytes = "bytes", tag = "1")]
    pub(crate) metadata: bytes::Bytes,
    /// The agent's name.
    #[prost(string, tag = "2")]
    pub(crate) agent: String,
    /// The address of the first byte in the process of the node.
    #[prost(fixed64, tag = "3")]
    pub(crate) address: u64,
    #[prost(uint64, tag = "4")]
    pub(crate) bytes: u64,
}

impl NixlEngine {
    /// Makes an engine for nodes of this process.
    ///
    /// # Errors
    ///
    /// [`NixlError::NoLibrary`] and [`NixlError::NoDevices`].
    pub fn new() -> Result<Self, NixlError> {
        check_library()?;
        Ok(Self)
    }
}

impl Engine for NixlEngine {
    fn name(&self) -> &str {
        NAME
    }

    fn register(&self, memory: PoolBytes) -> Result<RegisteredMemory, EngineError> {
        let (address, bytes) = (memory.pool().as_ptr() as u64, memory.len() as u64);
        let registered = Registered::new(memory)?;
        let description = Description {
            metadata: registered.agent.get_local_md()?.into(),
            agent: registered.name.clone(),
            address,
            bytes,
        };
        Ok(RegisteredMemory::new(
            description.encode_to_vec(),
            registered,
        ))
    }
}
