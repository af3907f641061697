//! NIXL as the engine of mc-cluster.
//!
//! A node that has the engine registers its memory with a NIXL agent, and clients that have it write and
//! read that memory themselves: by RDMA, TCP or shared memory, whatever UCX finds between the two. The
//! calls of the node stay as they are; only the bytes take another way.
//!
//! ```text
//!   client: Direct<NixlReach> ── Reserve, Commit, Lookup, Memory (gRPC) ──> node
//!      │ staging: one pool, registered once                                   │ NixlEngine: its pool,
//!      └──────────── agent ═══════════ bytes (UCX) ═══════════ agent ─────────┘ registered once
//! ```
//!
//! The library, `libnixl_capi.so`, is opened when the program runs: put its directory into
//! `LD_LIBRARY_PATH`. UCX listens on every device unless `UCX_NET_DEVICES` names some, so that an agent
//! is only made where that is set; `lo` is for this host alone.
//!
//! ```no_run
//! use std::sync::Arc;
//!
//! use mc_cluster::{Client, ClientOptions, Members, Node, NodeOptions, client::Direct};
//! use mc_nixl::{NixlEngine, NixlOptions, NixlReach};
//!
//! # async fn example() -> Result<(), Box<dyn std::error::Error>> {
//! let mut options = NodeOptions::new("a", 64 << 30);
//! options.engine = Some(Arc::new(NixlEngine::new()?));
//! let node = Node::start(options).await?;
//!
//! let members = Members::parse(&format!("a={}", node.address()))?;
//! let direct = Direct::new(NixlReach::new(&NixlOptions::default())?);
//! let client = Client::with_transport(members, ClientOptions::default(), direct.clone());
//! client.put(b"prefix/1", vec![7; 3_274_752].into()).await?;
//! assert_eq!(direct.counts().direct, 1);
//! # Ok(())
//! # }
//! ```
//!
//! # Limits
//!
//! Whoever got the description of a memory from its node can write and read all of it, and NIXL neither
//! asks for a token nor encrypts: use it in networks that only hosts of the cluster reach. A client that is
//! stopped within a transfer for longer than the deadline of its put and 30 s more may, when it goes on,
//! write to space that is another's by then; the checksum makes a miss of what it hits.

mod agent;
mod node;
mod reach;
mod staging;
mod transfer;

pub use crate::{
    agent::NixlError,
    node::NixlEngine,
    reach::{NixlMemory, NixlOptions, NixlReach},
};

/// The name that nodes and clients know the engine by.
const NAME: &str = "nixl";
