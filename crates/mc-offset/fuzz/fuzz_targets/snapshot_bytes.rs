//! Bytes as an encoded snapshot; see the program.
#![no_main]

#[path = "../../tests/it/programs/snapshot_bytes.rs"]
mod snapshot_bytes;

libfuzzer_sys::fuzz_target!(|bytes: &[u8]| snapshot_bytes::run(bytes));
