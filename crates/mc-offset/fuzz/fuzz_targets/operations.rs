//! Streams of operations against the oracle; see the program.
#![no_main]

#[path = "../../tests/it/common/mod.rs"]
mod common;
#[path = "../../tests/it/programs/operations.rs"]
mod operations;
#[path = "../../tests/it/placing.rs"]
mod placing;

libfuzzer_sys::fuzz_target!(|bytes: &[u8]| operations::run(bytes));
