//! Files written through memory: the bytes are in the file at once, nothing is written beside it, and
//! what cannot be had is an error at the start.
#![expect(clippy::unwrap_used, reason = "a failed set-up fails the test")]

use std::{fs::File, num::NonZeroUsize, os::unix::fs::FileExt};

use mc_arena::{FileWindow, WindowError};

fn len(bytes: usize) -> NonZeroUsize {
    NonZeroUsize::new(bytes).unwrap()
}

#[test]
fn bytes_are_in_the_file_as_soon_as_they_are_written() {
    let directory = tempfile::tempdir().unwrap();
    let path = directory.path().join("file");
    let mut options = File::options();
    let file = options.read(true).write(true).create_new(true);
    let file = file.open(&path).unwrap();
    let mut window = FileWindow::new(&file, len(10_000)).unwrap();
    assert_eq!(window.len(), 10_000);
    window.write_at(0, b"first");
    window.write_at(9_996, b"last");
    window.write_at(10_000, b"");
    let mut expected = vec![0; 10_000];
    expected[..5].copy_from_slice(b"first");
    expected[9_996..].copy_from_slice(b"last");
    assert_eq!(std::fs::read(&path).unwrap(), expected);
    drop((window, file));
    assert_eq!(std::fs::read(&path).unwrap(), expected);
}

#[test]
fn what_is_in_a_file_stays() {
    let file = tempfile::tempfile().unwrap();
    file.write_all_at(b"old bytes", 0).unwrap();
    let mut window = FileWindow::new(&file, len(4)).unwrap();
    window.write_at(0, b"new");
    let mut read = [0; 9];
    file.read_exact_at(&mut read, 0).unwrap();
    assert_eq!(&read, b"new bytes");
}

#[test]
#[should_panic(expected = "5 bytes at 96 of a window of 100 bytes")]
fn nothing_is_written_beside_the_window() {
    let file = tempfile::tempfile().unwrap();
    FileWindow::new(&file, len(100))
        .unwrap()
        .write_at(96, b"12345");
}

#[test]
#[should_panic(expected = "of a window of 100 bytes")]
fn an_offset_that_overflows_is_beside_the_window() {
    let file = tempfile::tempfile().unwrap();
    FileWindow::new(&file, len(100))
        .unwrap()
        .write_at(usize::MAX, b"1");
}

#[test]
fn room_that_no_disk_has_is_refused() {
    let file = tempfile::tempfile().unwrap();
    let error = FileWindow::new(&file, len(1 << 62)).unwrap_err();
    assert!(matches!(error, WindowError::Reserve { .. }), "{error:?}");
    assert!(error.to_string().contains("4611686018427387904"), "{error}");
}

#[test]
fn a_file_that_is_only_read_is_refused() {
    let directory = tempfile::tempdir().unwrap();
    let path = directory.path().join("file");
    std::fs::write(&path, [0; 100]).unwrap();
    assert!(FileWindow::new(&File::open(&path).unwrap(), len(100)).is_err());
}
