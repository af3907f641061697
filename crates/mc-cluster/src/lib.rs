//! Hosts that serve the memory of a KV-cache store to each other.
//!
//! A [`Node`] owns memory of its host and a store over it, and places what goes
//! into it; a [`Client`] knows by rendezvous hashing which node a key belongs to,
//! and [`Members`] which nodes there are. Nobody is elected: a node that fails
//! takes its objects with it and nothing else.
//!
//! ```text
//!   client ── key → host ──> route, hosts ──> members: a list, or etcd
//!     │
//!     │  Reserve, Write, Commit      Lookup, Read, Release
//!     ▼
//!   node: service ── limits, life, standing ──> puts, leases ──> store ──> memory
//! ```
//!
//! # An object's way
//!
//! 1. `Reserve` finds space, and evicts for it; the put has a number and a
//!    deadline. 2. `Write` brings the bytes, `Commit` their checksum; from here on
//!    the object is found. 3. `Lookup` leases the objects of the first keys, `Read`
//!    streams their bytes under the lease, and `Release` ends it early.
//!
//! Numbers of puts and leases belong to one *life* of a node, a process, and are
//! refused by the next; extents belong to one *epoch*, the incarnation of the
//! memory.
//!
//! # Features
//!
//! `tls`: encrypted connections by rustls with ring, which is built by a C
//! compiler. `simulation`: many nodes and clients in one thread, for tests of
//! this crate.

#![forbid(unsafe_code)]

pub mod client;
pub mod engine;
mod flow;
mod groups;
mod limits;
pub mod members;
pub mod node;
#[cfg(any(test, feature = "simulation"))]
pub mod simulation;
mod standing;
mod time;
#[cfg(feature = "tls")]
pub mod tls;
mod token;
pub mod wire;

pub use crate::{
    client::{Client, ClientError, ClientOptions},
    limits::Limits,
    members::{Etcd, Member, Members},
    node::{DrainOptions, Drained, Node, NodeOptions},
    token::{Token, TokenError},
};

/// As programs of tests name this crate that a fuzzer runs as well.
#[cfg(test)]
extern crate self as mc_cluster;

/// The example of the guide, compiled with the other documentation tests.
#[cfg(doctest)]
#[doc = include_str!("../../../docs/guides/many-hosts.md")]
mod guide {}

/// The example of the README, compiled and run with the other documentation
/// tests.
#[cfg(doctest)]
#[doc = include_str!("../README.md")]
mod readme {}
