//! The contracts of the crate towards its users, the kernel and other processes, one file each.
#![cfg(test)]
#![cfg(not(loom))]

mod arena;
mod buffers;
mod bytes;
mod environment;
mod faults;
mod foreign;
mod fork;
mod hugetlb;
mod memory;
mod named;
mod pool;
mod process;
mod support;
mod unmade;
