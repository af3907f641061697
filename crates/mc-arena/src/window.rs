//! A file that is written through memory: what was copied in survives the process.
//!
//! Key type: [`FileWindow`]. It is for logs: a copy costs no system call, and the kernel has the bytes as
//! soon as it is done, so that they are in the file whatever becomes of the process.

use std::{
    fs::File,
    io,
    num::NonZeroUsize,
    os::fd::AsFd,
    sync::atomic::{Ordering, compiler_fence},
};

use nix::{errno::Errno, fcntl::posix_fallocate};

use crate::mapping::{Advice, Mapping, base_page_bytes};

/// Why a file could not be mapped for writing.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum WindowError {
    /// The file system has no room, or cannot promise any.
    #[error("{len_bytes} bytes could not be reserved for the file")]
    Reserve {
        /// Bytes asked for.
        len_bytes: usize,
        /// What the kernel answered.
        source: io::Error,
    },
    /// The kernel refused the mapping.
    #[error("mapping {len_bytes} bytes of the file was refused")]
    Map {
        /// Bytes asked for.
        len_bytes: usize,
        /// What the kernel answered.
        source: io::Error,
    },
}

/// The first bytes of a file, to be written without system calls.
///
/// It lends no references, as other processes may have the file, and is left out of children that are
/// forked. The file must not be cut short while the window is there: the process would be ended when it
/// writes behind the cut. Dropping the window neither closes nor syncs the file.
///
/// # Examples
///
/// ```
/// use std::{fs::File, num::NonZeroUsize};
/// use mc_arena::FileWindow;
///
/// let path = std::env::temp_dir().join(format!("window-{}", std::process::id()));
/// let file = File::options().read(true).write(true).create_new(true).open(&path)?;
/// let mut window = FileWindow::new(&file, NonZeroUsize::new(4096).expect("it is not zero"))?;
/// window.write_at(100, b"kept");
/// assert_eq!(&std::fs::read(&path)?[100..104], b"kept");
/// # std::fs::remove_file(&path)?;
/// # Ok::<(), Box<dyn std::error::Error>>(())
/// ```
#[derive(Debug)]
pub struct FileWindow {
    /// Whole pages; the file has at least `len` bytes of them.
    mapping: Mapping,
    len: usize,
}

impl FileWindow {
    /// Reserves blocks for the first `len_bytes` of a file, which is open for reading and writing, and
    /// maps them, pages and all. A shorter file is made so long, with zeros.
    ///
    /// A full disk is an error here, so that it is none later.
    ///
    /// # Errors
    ///
    /// A [`WindowError`].
    pub fn new(file: &File, len_bytes: NonZeroUsize) -> Result<Self, WindowError> {
        let len_bytes = len_bytes.get();
        let reserve = |errno: Errno| WindowError::Reserve {
            len_bytes,
            source: errno.into(),
        };
        let map = |errno: Errno| WindowError::Map {
            len_bytes,
            source: errno.into(),
        };
        let file_len = i64::try_from(len_bytes).map_err(|_| reserve(Errno::EFBIG))?;
        loop {
            match posix_fallocate(file, 0, file_len) {
                Err(Errno::EINTR) => {}
                reserved => break reserved.map_err(reserve)?,
            }
        }
        let page_bytes = base_page_bytes();
        let mapped = len_bytes.checked_next_multiple_of(page_bytes);
        let mapped = mapped.and_then(NonZeroUsize::new);
        let mapped = mapped.ok_or_else(|| map(Errno::ENOMEM))?;
        let mapping = Mapping::shared(file.as_fd(), 0, mapped, page_bytes).map_err(map)?;
        mapping.advise(Advice::DontFork).map_err(map)?;
        match mapping.extent().populate(0..mapping.len()) {
            // Before Linux 5.14 the first copy to each page does it.
            Ok(()) | Err(Errno::EINVAL) => {}
            Err(errno) => return Err(map(errno)),
        }
        Ok(Self {
            mapping,
            len: len_bytes,
        })
    }

    /// Returns the length in bytes.
    #[must_use]
    #[expect(clippy::len_without_is_empty, reason = "a window is never empty")]
    pub fn len(&self) -> usize {
        self.len
    }

    /// Copies bytes to `offset` bytes into the file.
    ///
    /// Bytes of calls that returned are in the file before those of later calls, as far as the process
    /// can end; a power failure may keep any of them unless the file was synced since.
    ///
    /// # Panics
    ///
    /// Panics if the bytes do not all lie inside the window, and in a child that was forked since.
    #[inline]
    #[track_caller]
    pub fn write_at(&mut self, offset: usize, from: &[u8]) {
        // Otherwise the compiler might put the stores of two calls in another order.
        compiler_fence(Ordering::Release);
        let end = offset.checked_add(from.len());
        let is_inside = end.is_some_and(|end| end <= self.len);
        assert!(
            is_inside && self.mapping.write_at(offset, from),
            "{} bytes at {offset} of a window of {} bytes",
            from.len(),
            self.len
        );
    }
}
