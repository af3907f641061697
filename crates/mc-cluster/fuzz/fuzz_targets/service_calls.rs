//! Bytes as calls to a node; see the program.
#![no_main]

#[path = "../../tests/programs/service_calls.rs"]
mod service_calls;

libfuzzer_sys::fuzz_target!(|bytes: &[u8]| service_calls::run(bytes));
