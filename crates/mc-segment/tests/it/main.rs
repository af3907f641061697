//! Segments as their users call them.

mod accesses;
mod blocks;
mod bytes;
mod common;
mod epochs;
mod hosts;
mod metrics;
mod mounting;
mod placement;
mod plans;
mod programs;
mod records;
mod registrations;
mod scaling;
mod threads;
mod transitions;
