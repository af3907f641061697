//! Replays the checked-in bytes on which fuzzing builds, and on which a find
//! is kept.

use std::{fs, io, path::Path};

use crate::programs::{operations, snapshot_bytes};

/// Runs every file of a corpus; the last name printed is that of a failure.
#[expect(clippy::print_stderr, reason = "a panic does not name the file")]
fn replay(corpus: &str, run: fn(&[u8])) -> io::Result<()> {
    let root = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/corpus");
    let mut files = fs::read_dir(root.join(corpus))?.collect::<io::Result<Vec<_>>>()?;
    files.sort_by_key(fs::DirEntry::path);
    assert!(!files.is_empty(), "the corpus {corpus} is missing");
    for file in files {
        eprintln!("{}", file.path().display());
        run(&fs::read(file.path())?);
    }
    Ok(())
}

#[test]
fn operations_agree_with_the_oracle_on_the_corpus() -> io::Result<()> {
    replay("operations", operations::run)
}

#[test]
fn snapshot_bytes_are_read_or_refused_on_the_corpus() -> io::Result<()> {
    replay("snapshot_bytes", snapshot_bytes::run)
}
