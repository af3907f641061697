//! The allocators as their users call them, and long programs of calls.

mod capacity;
mod churned;
mod common;
mod corpus;
mod edges;
mod exhaustive;
mod hole_plans;
mod kept_back;
mod model;
mod neighbors;
mod order;
mod placing;
mod programs;
mod published;
mod report;
mod restore;
mod shared;
mod shared_calls;
mod slots;
mod snapshot;
mod threads;
mod windows;
