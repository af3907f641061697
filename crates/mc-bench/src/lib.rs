//! Workloads and subjects for measuring allocators.
