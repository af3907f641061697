//! The examples of the repository's documents, compiled and run with the documentation tests of this
//! crate because it sees all the others.

#[doc = include_str!("../../../README.md")]
mod repository {}

#[doc = include_str!("../README.md")]
mod readme {}

#[doc = include_str!("../../../docs/guides/benchmarks.md")]
mod benchmarks {}

#[doc = include_str!("../../../docs/guides/choosing-a-fit.md")]
mod choosing_a_fit {}

#[doc = include_str!("../../../docs/guides/huge-pages.md")]
mod huge_pages {}

#[doc = include_str!("../../../docs/migrating-from-offset-allocator.md")]
mod migrating {}
