//! An agent with UCX, and memory that it has registered.

use mc_arena::PoolBytes;
use nixl_sys::{
    Agent, AgentConfig, MemType, MemoryRegion, NixlDescriptor, RegistrationHandle, ThreadSync,
};
use rand::Rng;
use thiserror::Error;

/// Why NIXL cannot be used.
#[derive(Debug, Error)]
#[non_exhaustive]
pub enum NixlError {
    /// The library is not there, or cannot be loaded.
    #[error("libnixl_capi.so cannot be loaded; put its directory into LD_LIBRARY_PATH")]
    NoLibrary,
    /// It is not said on which devices UCX may listen.
    #[error(
        "UCX_NET_DEVICES is not set, and UCX would listen on every device; use lo for this host alone"
    )]
    NoDevices,
    /// The buffers cannot be mapped.
    #[error("no memory for {bytes} bytes of buffers")]
    Buffers {
        /// Bytes that were asked for.
        bytes: u64,
        /// Why.
        source: mc_arena::PoolError,
    },
    /// The size of the buffers is none.
    #[error("buffers of {bytes} bytes; at least 4096 are needed")]
    BufferBytes {
        /// Bytes that were asked for.
        bytes: u64,
    },
    /// NIXL refused something.
    #[error("NIXL cannot {what}")]
    Refused {
        /// What.
        what: &'static str,
        /// Why.
        source: nixl_sys::NixlError,
    },
}

/// Memory that an agent of its own has registered. It is let go of in this order.
#[derive(Debug)]
pub(crate) struct Registered {
    _registration: RegistrationHandle,
    pub(crate) agent: Agent,
    pub(crate) name: String,
    _region: Region,
}

/// All of a pool, as NIXL sees it.
#[derive(Debug)]
struct Region(PoolBytes);

/// How long its thread waits for an event before it looks around. With 0 it never waits, and takes a
/// processor for itself.
const IDLE_MICROS: u64 = 100_000;

/// Says that the library is there, and that UCX knows where to listen.
pub(crate) fn check_library() -> Result<(), NixlError> {
    // Any other call ends the process without it.
    if nixl_sys::is_stub() {
        return Err(NixlError::NoLibrary);
    }
    #[expect(
        clippy::disallowed_methods,
        reason = "the variable is of UCX, which reads it itself"
    )]
    let devices = std::env::var_os("UCX_NET_DEVICES");
    match devices {
        Some(devices) if !devices.is_empty() => Ok(()),
        _ => Err(NixlError::NoDevices),
    }
}

impl Registered {
    /// Makes an agent with UCX and has it register a memory.
    pub(crate) fn new(memory: PoolBytes) -> Result<Self, NixlError> {
        check_library()?;
        let refused = |what| move |source| NixlError::Refused { what, source };
        // Another in each process and for each memory.
        let name = format!("mc-{:016x}", rand::rng().next_u64());
        let config = AgentConfig {
            thread_sync: ThreadSync::Strict,
            pthr_delay_us: IDLE_MICROS,
            ..AgentConfig::default()
        };
        let agent = Agent::new_configured(&name, &config).map_err(refused("make an agent"))?;
        let plugin = agent.get_plugin_params("UCX");
        let (_, parameters) = plugin.map_err(refused("find its plugin for UCX"))?;
        agent
            .create_backend("UCX", &parameters)
            .map_err(refused("start UCX"))?;
        let region = Region(memory);
        let registration = agent
            .register_memory(&region, None)
            .map_err(refused("register the memory"))?;
        Ok(Self {
            _registration: registration,
            agent,
            name,
            _region: region,
        })
    }
}

impl MemoryRegion for Region {
    #[expect(unsafe_code, reason = "the trait declares it so; nothing is accessed")]
    unsafe fn as_ptr(&self) -> *const u8 {
        self.0.pool().as_ptr()
    }

    fn size(&self) -> usize {
        self.0.len()
    }
}

impl NixlDescriptor for Region {
    fn mem_type(&self) -> MemType {
        MemType::Dram
    }

    fn device_id(&self) -> u64 {
        0
    }
}
