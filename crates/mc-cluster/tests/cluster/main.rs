//! Nodes and clients in one process. One program, as most of what is built is the same.
#![expect(clippy::unwrap_used, reason = "a failed set-up fails the test")]

mod common;
mod connections;
mod direct;
mod drain;
mod faults;
mod hedging;
mod hostile;
mod http;
mod restart;
mod serving;
mod slow;
#[cfg(feature = "tls")]
mod tls;
