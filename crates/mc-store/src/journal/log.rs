//! One file of a journal as it is written: mapped, so that a record costs a copy and no system call.

use std::{
    fs::{self, File},
    hash::{BuildHasher as _, RandomState},
    io,
    num::NonZeroUsize,
    path::{Path, PathBuf},
    sync::Arc,
};

use mc_arena::FileWindow;

use super::{
    error::JournalError,
    frame::{FileTag, HEADER_BYTES, Payload},
};

/// Bytes at the beginning of a frame that are written last.
const FIRST_BYTES: usize = 8;

/// A file that is written from its beginning to its end, all of whose bytes are reserved.
#[derive(Debug)]
pub(super) struct LogFile {
    path: PathBuf,
    file: Arc<File>,
    window: FileWindow,
    tag: FileTag,
    number: u32,
    /// What is behind it is zeros.
    end: usize,
}

impl LogFile {
    /// Makes a file with `head` as its first frame, and room for others of `room_bytes` in all.
    pub(super) fn create(
        path: PathBuf,
        number: u32,
        head: Payload<'_>,
        room_bytes: usize,
    ) -> Result<Self, JournalError> {
        let mut options = File::options();
        let file = options.read(true).write(true).create_new(true).open(&path);
        let file = file.map_err(JournalError::at("make", &path))?;
        let bytes = NonZeroUsize::MIN.saturating_add(head.frame_bytes() + room_bytes - 1);
        let window = FileWindow::new(&file, bytes).map_err(|error| {
            // Without it the name would be taken.
            let _ = fs::remove_file(&path);
            JournalError::at("reserve", &path)(io::Error::other(error))
        })?;
        let mut log = Self {
            path,
            file: Arc::new(file),
            window,
            tag: FileTag::new(file_id(), number),
            number,
            end: 0,
        };
        log.append(head, 0);
        Ok(log)
    }

    pub(super) fn path(&self) -> &Path {
        &self.path
    }

    pub(super) fn number(&self) -> u32 {
        self.number
    }

    pub(super) fn file(&self) -> &Arc<File> {
        &self.file
    }

    pub(super) fn has_room_for(&self, payload: Payload<'_>) -> bool {
        payload.frame_bytes() <= self.window.len() - self.end
    }

    /// Returns whether most of the file is written.
    pub(super) fn is_half_full(&self) -> bool {
        self.end > self.window.len() / 2
    }

    /// Writes a frame, for which there is room; it is in the file when this returns.
    pub(super) fn append(&mut self, payload: Payload<'_>, sequence: u64) {
        let header = payload.header(self.tag, sequence);
        // A process that ends meanwhile leaves a frame that begins with zeros, which tells it from one
        // that was damaged.
        self.window
            .write_at(self.end + FIRST_BYTES, &header[FIRST_BYTES..]);
        self.window.write_at(self.end + HEADER_BYTES, payload.bytes);
        self.window.write_at(self.end, &header[..FIRST_BYTES]);
        self.end += payload.frame_bytes();
    }

    /// Gives up the space that no record has, after which no more can be appended; an error changes
    /// nothing that anyone reads.
    pub(super) fn trim(&mut self) {
        let _ = self.file.set_len(self.end as u64);
    }
}

/// Returns an id that no file had before, as far as anyone can tell.
pub(super) fn file_id() -> u64 {
    RandomState::new().hash_one(0)
}
