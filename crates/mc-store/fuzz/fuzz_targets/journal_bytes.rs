//! Bytes as records of a journal, and as damage to it; see the program.
#![no_main]

#[path = "../../tests/it/programs/journal_bytes.rs"]
mod journal_bytes;

libfuzzer_sys::fuzz_target!(|bytes: &[u8]| journal_bytes::run(bytes));
