//! The memory of a node as its engine has registered it.

use std::time::Duration;

use bytes::Bytes;
use mc_arena::PoolBytes;

use crate::engine::{Engine, EngineError, RegisteredMemory};

/// How long after its deadline a write may still arrive that was begun before it: what retransmissions
/// and a process that was stopped for a moment take. The space of a put that was not ended by its client
/// stays taken for as long.
pub(crate) const LATE_MAX: Duration = Duration::from_secs(30);

/// The engine of a node that serves.
#[derive(Debug)]
pub(crate) struct Reachable {
    pub(crate) engine: String,
    registered: RegisteredMemory,
}

impl Reachable {
    pub(crate) fn new(engine: &dyn Engine, memory: PoolBytes) -> Result<Self, EngineError> {
        Ok(Self {
            engine: engine.name().to_owned(),
            registered: engine.register(memory)?,
        })
    }

    pub(crate) fn description(&self) -> Bytes {
        self.registered.description()
    }
}
