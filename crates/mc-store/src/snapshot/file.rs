//! Replacing a file so that a crash leaves the old one or the new one.

use std::{
    fs::File,
    io::{self, Write as _},
    path::Path,
};

/// Puts `bytes` in the place of the file, if there is one.
///
/// They are written to a temporary file beside it and reach the disk before it
/// takes the name; then the directory does.
pub(super) fn replace(path: &Path, bytes: &[u8]) -> io::Result<()> {
    let directory = match path.parent() {
        Some(parent) if !parent.as_os_str().is_empty() => parent,
        _ => Path::new("."),
    };
    let mut temporary = tempfile::Builder::new()
        .prefix(".mcstore-")
        .tempfile_in(directory)?;
    temporary.write_all(bytes)?;
    temporary.as_file().sync_all()?;
    temporary.persist(path)?;
    File::open(directory)?.sync_all()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_new_file_takes_the_place_of_the_old_and_nothing_else_is_left() {
        let directory = tempfile::tempdir().unwrap();
        let path = directory.path().join("store");
        for bytes in [&b"old and longer"[..], b"new"] {
            replace(&path, bytes).unwrap();
            assert_eq!(std::fs::read(&path).unwrap(), bytes);
        }
        assert_eq!(std::fs::read_dir(&directory).unwrap().count(), 1);
    }

    #[test]
    fn a_file_that_cannot_be_written_stays_as_it_is() {
        let directory = tempfile::tempdir().unwrap();
        let path = directory.path().join("store");
        // A directory that is not empty cannot be replaced by a file.
        std::fs::create_dir_all(path.join("inner")).unwrap();
        assert!(replace(&path, b"new").is_err());
        assert!(path.join("inner").is_dir());
        assert_eq!(std::fs::read_dir(&directory).unwrap().count(), 1);
    }
}
