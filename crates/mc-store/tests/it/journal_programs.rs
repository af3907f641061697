//! Random programs of records, and random damage; see the program.

#[path = "programs/journal_bytes.rs"]
mod journal_bytes;

use std::{fs, path::Path};

use proptest::{collection::vec, prelude::any, proptest};

proptest! {
    #[test]
    fn what_is_read_is_what_was_written(bytes in vec(any::<u8>(), 0..400)) {
        journal_bytes::run(&bytes);
    }
}

/// Replays the bytes on which fuzzing builds, and on which a find is kept.
#[test]
fn what_is_read_is_what_was_written_on_the_corpus() {
    let corpus = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/corpus/journal_bytes");
    let mut files: Vec<_> = fs::read_dir(corpus)
        .unwrap()
        .map(|entry| entry.unwrap().path())
        .collect();
    files.sort();
    assert!(!files.is_empty(), "the corpus is missing");
    for file in files {
        eprintln!("{}", file.display());
        journal_bytes::run(&fs::read(file).unwrap());
    }
}
