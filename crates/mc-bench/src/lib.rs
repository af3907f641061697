//! Workloads and subjects for measuring allocators.
//!
//! # Problem
//!
//! Two allocators can only be compared when they see the same requests, lose the same objects to
//! eviction and pay for the same bookkeeping. This crate fixes all three: a [`workload`] is a list
//! of request sizes and an eviction rule, a [`subject`] is an allocator behind one small trait, and
//! [`churn`](mod@churn) drives any subject through any workload with static dispatch.
//!
//! # Model
//!
//! ```text
//!  workload ── Plan { pool, warm-up sizes, timed sizes, eviction } ──┐
//!                                                                    ▼
//!  subject ── allocate / free ───────────────────────────────────► churn ──► Outcome
//!                                                                    │
//!  row: the subjects of one row in turns, median of the rounds ◄─────┘
//!   │
//!   └─► record: declared fields ──► render: table, JSON, CSV, Markdown
//!                             └──► page: text, tables, charts
//! ```
//!
//! Some workloads have no plan: [`workload::arena`] times single allocations from a pool of memory,
//! [`workload::populate`] the making of such a pool, [`workload::store`] threads that read and put
//! objects.
//!
//! Figures that were published for the same workloads are in [`published`], so that they can stand
//! beside the measured ones.
//!
//! # Example
//!
//! ```
//! use mc_bench::workload::{self, Effort, Request};
//!
//! let uniform = workload::by_name("uniform").unwrap();
//! let request = Request {
//!     subjects: vec!["oracle"],
//!     sizes: vec![33_554_449],
//!     ops: Some(1_000),
//!     effort: Effort::Quick,
//!     ..Request::default()
//! };
//! let runs = (uniform.run)(&request, &mut |_| {}).unwrap();
//! // 63 objects of this size fit into 2 GiB, and no allocator can do better.
//! assert_eq!(runs[0].number("utilization_min"), runs[0].number("utilization_bound"));
//! ```
//!
//! # Guarantees
//!
//! The same seed gives the same requests, the same victims and, for a deterministic subject, the
//! same checksum on every machine. Different seeds share nothing. Only the times vary.
//!
//! # Limits
//!
//! Time is measured per run, not per operation: a figure is the mean over all timed operations of a run,
//! evictions included, and the median over several runs. The harness's own share is beside it, see [`row`].

pub mod churn;
#[cfg(doctest)]
mod documents;
pub mod machine;
pub mod moments;
pub mod number;
pub mod page;
mod pin;
mod probe;
pub mod published;
pub mod record;
pub mod render;
pub mod report;
pub mod row;
pub mod soak;
pub mod stats;
pub mod subject;
pub mod timing;
pub mod trace;
pub mod workload;
