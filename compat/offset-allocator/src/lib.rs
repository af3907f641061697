//! The crate [`mc-offset-compat`](compat) under the name of the one that it
//! stands in for, as `[patch.crates-io]` needs it.
//!
//! ```toml
//! [patch.crates-io]
//! offset-allocator = { path = "…/compat/offset-allocator" }
//! ```
#![no_std]
#![forbid(unsafe_code)]

pub use compat::*;
