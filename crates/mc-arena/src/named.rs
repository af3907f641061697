//! A pool in a file with a name: made or found again, locked, and told apart from its predecessors.
//!
//! Key types: [`NamedFile`], owned by the pool, and [`FileError`]. The file begins with a page for the
//! header (`named/header.rs`); the bytes of the pool follow. The order of steps keeps a file that is
//! cut off at any instant from being taken for something it is not: what is about to change is marked
//! as void first, and the header that vouches for the bytes is written last; one that vouches for all of
//! them whatever happens to the system is gone from the disk before the first of them changes. What a
//! making has taken is given back under the lock of the file, whatever fails.

mod contents;
mod error;
mod header;
mod place;

use std::{
    fs::{self, File, TryLockError},
    io,
    num::NonZeroUsize,
    ops::Range,
    os::{
        fd::{AsFd, BorrowedFd},
        unix::fs::{FileExt, MetadataExt, OpenOptionsExt},
    },
    path::{Path, PathBuf},
    sync::Arc,
    time::{SystemTime, UNIX_EPOCH},
};

use nix::{
    errno::Errno,
    fcntl::{FallocateFlags, fallocate},
    libc::off_t,
    sys::stat::{FileStat, fstat},
    unistd::{fdatasync, ftruncate},
};

use crate::{
    discovery::SystemRoot,
    mapping::{ClaimError, Mapping, OwnFile, Watch},
};

use self::{
    error::io_error,
    header::{Found, HEADER_BYTES, Header, State},
    place::{Medium, Place},
};

pub use self::{contents::Contents, error::FileError};

/// `stat` counts in these, whatever the file system does.
const BLOCK_BYTES: u64 = 512;
/// Bytes that are looked at to tell what a file is: all of the smallest page.
const FIRST_BYTES: usize = 4096;
/// Bytes of a device without a header that have to be zeros before a pool is made there: with them begins
/// whatever else a device may be, the arrays and file systems whose first page is blank included.
const DEVICE_FIRST_BYTES: usize = 1 << 20;
/// Room is made in steps of this size, between which the limits of memory are looked at.
const ROOM_STEP_BYTES: u64 = 64 << 20;

/// A locked file, open for as long as the pool over it.
#[derive(Debug)]
pub(crate) struct NamedFile {
    path: PathBuf,
    /// Before `file`, whose lock it needs when it is dropped.
    taken: Taken,
    header: Mapping,
    /// Over the header, and over the bytes of the pool once they are mapped.
    watches: Vec<Arc<Watch>>,
    file: OwnFile,
    place: Place,
    /// What the header says while the file is open.
    written: Header,
    contents: Contents,
}

/// A file that is open and locked, not yet looked into.
pub(crate) struct LockedFile {
    path: PathBuf,
    /// Before `file`, whose lock it needs when it is dropped.
    taken: Taken,
    file: OwnFile,
    place: Place,
}

/// What the making of a pool has taken of the file system. Dropping it gives that back, which is to
/// happen while the file is locked: afterwards the file may be another's.
#[derive(Debug)]
struct Taken {
    path: PathBuf,
    /// Device and inode: another file may have got the name.
    identity: (u64, u64),
    /// Bytes of the file that stay, 0 if it was made for the pool; `None` iff there is nothing to give
    /// back, because the pool is made or is not begun.
    kept_bytes: Option<u64>,
}

impl LockedFile {
    /// Opens a file, makes it if it is not there, and locks it.
    pub(crate) fn open(path: &Path, root: &SystemRoot) -> Result<Self, FileError> {
        let refused = |step| move |source| io_error(path, step, source);
        loop {
            // Should it go before it is opened, it is made anew and stays, empty, where nothing comes of it.
            let was_there = path.exists();
            let mut options = File::options();
            options.read(true).write(true).create(true).truncate(false);
            let file = options
                .mode(0o600)
                .open(path)
                .map_err(refused("opening it"))?;
            let file = OwnFile::new(file)
                .map_err(|errno| refused("keeping it from children")(errno.into()))?;
            match file.file().try_lock() {
                Ok(()) => {}
                Err(TryLockError::WouldBlock) => {
                    return Err(FileError::InUse { path: path.into() });
                }
                Err(TryLockError::Error(source)) => return Err(refused("locking it")(source)),
            }
            let opened = file.file().metadata().map_err(refused("looking at it"))?;
            // Between the two steps another process may have removed the file and made a new one.
            let taken = Taken {
                // Not the name of a link to it.
                path: fs::canonicalize(path).unwrap_or_else(|_| path.into()),
                identity: (opened.dev(), opened.ino()),
                kept_bytes: (!was_there && opened.is_file() && opened.len() == 0).then_some(0),
            };
            if taken.is_current() {
                let place = Place::of(file.as_fd(), root)
                    .map_err(|errno| refused("using a file of its kind")(errno.into()))?;
                let path = path.to_owned();
                return Ok(Self {
                    path,
                    taken,
                    file,
                    place,
                });
            }
        }
    }

    /// Returns the bytes of the pages behind the file.
    pub(crate) fn page_bytes(&self) -> usize {
        self.place.page_bytes
    }

    /// Says whether reserved huge pages are behind the file.
    pub(crate) fn is_hugetlb(&self) -> bool {
        self.place.medium == Medium::Hugetlb
    }

    /// Says whether the bytes of a new pool in the file count as memory of this process.
    pub(crate) fn is_memory(&self) -> bool {
        self.place.medium == Medium::Memory
    }

    /// Returns the error for pages that the policy excludes.
    pub(crate) fn refuse_pages(&self) -> FileError {
        FileError::Pages {
            path: self.path.clone(),
            page_bytes: self.place.page_bytes,
        }
    }

    /// Finds the pool of `len` bytes in the file, or prepares the file for a new one, which takes its
    /// bytes in steps that `admit` may refuse; a file that was made in vain is removed.
    pub(crate) fn into_pool<E: From<FileError>>(
        self,
        len: NonZeroUsize,
        root: &SystemRoot,
        admit: impl FnMut(u64) -> Result<(), E>,
    ) -> Result<NamedFile, E> {
        let boot = boot_id(root);
        let (before, is_whole) = self.look(len)?;
        let kept = before.filter(|header| is_whole && header.is_trusted(boot));
        let Some(kept) = kept else {
            let fresh = Header {
                pool_bytes: len.get() as u64,
                epoch: next_epoch(before),
                page_bytes: self.place.page_bytes as u64,
                boot,
                state: State::Void,
            };
            return self.make(fresh, admit);
        };
        let state = State::Open;
        let header = Header {
            boot,
            state,
            ..kept
        };
        let named = self.into_named(header, Contents::Kept)?;
        // Before the first byte changes: a system that goes down must not find that all were written back.
        if kept.state == State::Closed {
            let refused = |errno: Errno| io_error(&named.path, "writing its header", errno.into());
            fdatasync(&named.file).map_err(refused)?;
        }
        Ok(named)
    }

    /// Gives the file the length and the blocks of a new pool, all zeros.
    fn make<E: From<FileError>>(
        mut self,
        fresh: Header,
        mut admit: impl FnMut(u64) -> Result<(), E>,
    ) -> Result<NamedFile, E> {
        if let Medium::Device { .. } = self.place.medium {
            return Ok(self.into_named(fresh, Contents::Zeroed)?);
        }
        let (path, header_bytes) = (self.path.clone(), fresh.page_bytes);
        let total_bytes = fresh.pool_bytes.saturating_add(header_bytes);
        let room = |file: BorrowedFd<'_>, range: Range<u64>| {
            let made = check_free(file, total_bytes).and_then(|()| make_room(file, range));
            made.map_err(|errno| {
                io_error(
                    &path,
                    "making room in it (is its file system full?)",
                    errno.into(),
                )
            })
        };
        self.taken.kept_bytes.get_or_insert(header_bytes);
        // The header comes first: what was there before is void from here on.
        room(self.file.as_fd(), 0..header_bytes)?;
        let named = self.into_named(fresh, Contents::Zeroed)?;
        let mut reached = header_bytes;
        while reached < total_bytes {
            let end = total_bytes.min(reached + ROOM_STEP_BYTES.next_multiple_of(header_bytes));
            admit(end - reached)?;
            room(named.file.as_fd(), reached..end)?;
            reached = end;
        }
        Ok(named)
    }

    /// Maps the header page and writes `header` to it.
    fn into_named(self, header: Header, contents: Contents) -> Result<NamedFile, FileError> {
        let Self {
            path,
            file,
            place,
            taken,
        } = self;
        let open = || {
            let page = NonZeroUsize::new(place.page_bytes).ok_or(Errno::EINVAL)?;
            let mut mapping = Mapping::shared(file.as_fd(), 0, page, page.get())?;
            let watch = mapping.watch_truncation(page.get())?;
            mapping.hide()?;
            Ok((mapping, watch))
        };
        let refused = |errno: Errno| io_error(&path, "mapping its first page", errno.into());
        let (mapping, watch) = open().map_err(refused)?;
        let mut named = NamedFile {
            taken,
            header: mapping,
            watches: vec![watch],
            file,
            place,
            written: header,
            contents,
            path,
        };
        named.write_header(header);
        Ok(named)
    }

    /// Returns the header of a pool in the file, if there is one, and whether the file has all the
    /// bytes that it tells of.
    fn look(&self, len: NonZeroUsize) -> Result<(Option<Header>, bool), FileError> {
        let (found, is_whole) = match self.place.medium {
            Medium::Device { len_bytes } => self.look_at_device(len_bytes, len)?,
            _ => self.look_at_file()?,
        };
        let (path, asked_bytes) = (self.path.clone(), len.get() as u64);
        let page_bytes = self.place.page_bytes as u64;
        match found {
            Found::Header(header) if is_whole && header.pool_bytes != asked_bytes => {
                Err(FileError::SizeDiffers {
                    path,
                    stored_bytes: header.pool_bytes,
                    asked_bytes,
                })
            }
            Found::Header(header) if is_whole && header.page_bytes != page_bytes => {
                Err(FileError::PagesDiffer {
                    path,
                    stored_bytes: header.page_bytes,
                    page_bytes,
                })
            }
            Found::Header(header) => Ok((Some(header), is_whole)),
            Found::Blank | Found::Damaged => Ok((None, is_whole)),
            Found::Version(found) => Err(FileError::Version { path, found }),
            Found::Other => Err(FileError::NotAPool { path }),
        }
    }

    fn look_at_device(
        &self,
        device_bytes: u64,
        len: NonZeroUsize,
    ) -> Result<(Found, bool), FileError> {
        let needed_bytes = (len.get() as u64).saturating_add(self.place.page_bytes as u64);
        if device_bytes < needed_bytes {
            return Err(FileError::DeviceTooSmall {
                path: self.path.clone(),
                device_bytes,
                needed_bytes,
            });
        }
        // Character devices cannot be read, only mapped.
        let page_bytes = self.place.page_bytes;
        let first_bytes = DEVICE_FIRST_BYTES.min(len.get()).max(page_bytes);
        let first_bytes = NonZeroUsize::new(first_bytes).unwrap_or(NonZeroUsize::MIN);
        let mut first = Mapping::shared(self.file.as_fd(), 0, first_bytes, page_bytes)
            .map_err(|errno| io_error(&self.path, "mapping its first pages", errno.into()))?;
        let (page, rest) = first.as_mut_slice().split_at(page_bytes);
        let found = match header::read(page) {
            Found::Blank if rest.iter().any(|&byte| byte != 0) => Found::Other,
            found => found,
        };
        Ok((found, true))
    }

    fn look_at_file(&self) -> Result<(Found, bool), FileError> {
        let refused = |source| io_error(&self.path, "reading its header", source);
        let status = fstat(&self.file).map_err(|errno| refused(errno.into()))?;
        let file_bytes = u64::try_from(status.st_size).unwrap_or(0);
        let mut first = [0; FIRST_BYTES];
        let mut filled = 0;
        while filled < FIRST_BYTES {
            match self
                .file
                .file()
                .read_at(&mut first[filled..], filled as u64)
            {
                Ok(0) => break,
                Ok(more) => filled += more,
                Err(error) if error.kind() == io::ErrorKind::Interrupted => {}
                Err(error) => return Err(refused(error)),
            }
        }
        let found = header::read(&first[..filled]);
        // A making that was cut off leaves the page of the header; more, with bytes in it, is somebody's.
        let is_ours = file_bytes <= self.place.page_bytes as u64 || status.st_blocks == 0;
        if found == Found::Blank && !is_ours {
            return Ok((Found::Other, false));
        }
        let told_bytes = match found {
            Found::Header(header) => header.pool_bytes.saturating_add(header.page_bytes),
            _ => 0,
        };
        let is_whole = file_bytes == told_bytes && has_all_blocks(&status);
        Ok((found, is_whole))
    }
}

impl NamedFile {
    /// Maps the bytes of the pool, at a multiple of `align`.
    pub(crate) fn map(&mut self, align: usize) -> Result<Mapping, FileError> {
        let page_bytes = self.place.page_bytes;
        let map = || {
            let len = usize::try_from(self.written.pool_bytes).map_err(|_| Errno::EFBIG)?;
            let len = NonZeroUsize::new(len).ok_or(Errno::EINVAL)?;
            let file = self.file.as_fd();
            let mut mapping = Mapping::shared(file, page_bytes as u64, len, align.max(page_bytes))?;
            let watch = mapping.watch_truncation(page_bytes)?;
            Ok((mapping, watch))
        };
        let refused = |errno: Errno| io_error(&self.path, "mapping it", errno.into());
        let (mapping, watch) = map().map_err(refused)?;
        self.watches.push(watch);
        Ok(mapping)
    }

    /// Vouches for the bytes of a new pool, once they are what it begins with.
    pub(crate) fn vouch(&mut self, mapping: &mut Mapping) {
        if self.contents == Contents::Zeroed {
            if matches!(self.place.medium, Medium::Device { .. }) {
                mapping.as_mut_slice().fill(0);
            }
            self.write_header(Header {
                state: State::Open,
                ..self.written
            });
            self.taken.kept_bytes = None;
        }
    }

    /// Returns the incarnation of the bytes.
    pub(crate) fn epoch(&self) -> u64 {
        self.written.epoch
    }

    /// Returns what the pool holds as it is opened.
    pub(crate) fn contents(&self) -> Contents {
        self.contents
    }

    /// Refuses if the file has lost bytes since it was opened, and in a child.
    pub(crate) fn check(&self) -> Result<(), ClaimError> {
        self.file.process().check()?;
        let (file_bytes, needed_bytes) = (self.file_bytes(), self.needed_bytes());
        if file_bytes < needed_bytes {
            return Err(ClaimError::Truncated {
                file_bytes,
                needed_bytes,
            });
        }
        Ok(())
    }

    /// Returns the bytes that the file still has.
    fn file_bytes(&self) -> u64 {
        if self.watches.iter().any(|watch| watch.is_torn()) {
            return 0;
        }
        if let Medium::Device { .. } = self.place.medium {
            return self.needed_bytes();
        }
        match fstat(&self.file) {
            Ok(status) if has_all_blocks(&status) => u64::try_from(status.st_size).unwrap_or(0),
            // Cut short and made longer again: what lies behind is zeros.
            Ok(status) => u64::try_from(status.st_blocks).unwrap_or(0) * BLOCK_BYTES,
            Err(_) => 0,
        }
    }

    fn needed_bytes(&self) -> u64 {
        self.written.pool_bytes + self.written.page_bytes
    }

    fn write_header(&mut self, header: Header) {
        self.header.as_mut_slice()[..HEADER_BYTES].copy_from_slice(&header.to_bytes());
        self.written = header;
    }
}

impl Drop for NamedFile {
    /// Writes everything back and says so in the header, so that the bytes outlive the system too; a
    /// file that has lost bytes is marked instead.
    fn drop(&mut self) {
        if self.written.state != State::Open || self.file.process().check().is_err() {
            return;
        }
        let is_intact = self.check().is_ok();
        let is_written = is_intact && fdatasync(&self.file).is_ok();
        let state = match (is_intact, is_written) {
            (false, _) => State::Void,
            (true, false) => State::Open,
            (true, true) => State::Closed,
        };
        self.write_header(Header {
            state,
            ..self.written
        });
        // If it is not written back now, the header vouches for less than it could.
        if let Err(errno) = fdatasync(&self.file) {
            tracing::debug!(%errno, path = %self.path.display(), "a header was not written back");
        }
    }
}

impl Taken {
    /// Says whether the file still has its name.
    fn is_current(&self) -> bool {
        fs::metadata(&self.path).is_ok_and(|named| (named.dev(), named.ino()) == self.identity)
    }
}

impl Drop for Taken {
    fn drop(&mut self) {
        let given_back = match self.kept_bytes {
            Some(kept_bytes) if self.is_current() => {
                if kept_bytes == 0 {
                    fs::remove_file(&self.path)
                } else {
                    let file = File::options().write(true).open(&self.path);
                    file.and_then(|file| file.set_len(kept_bytes))
                }
            }
            _ => Ok(()),
        };
        if let Err(error) = given_back {
            tracing::warn!(%error, path = %self.path.display(), "the file of a pool that was not made is left behind");
        }
    }
}

/// Refuses what the file system has no room for before any of it is taken: step by step it would be full
/// for a moment, for everybody.
fn check_free(file: BorrowedFd<'_>, total_bytes: u64) -> Result<(), Errno> {
    let (status, system) = (fstat(file)?, nix::sys::statvfs::fstatvfs(file)?);
    let kept_bytes = u64::try_from(status.st_blocks).unwrap_or(0) * BLOCK_BYTES;
    let free_bytes = system.blocks_free().saturating_mul(system.fragment_size());
    // One without a limit says that it has no blocks.
    if system.blocks() > 0 && total_bytes.saturating_sub(kept_bytes) > free_bytes {
        return Err(Errno::ENOSPC);
    }
    Ok(())
}

/// Makes a file as long as the end of a range, and gives the range its blocks: a touch of a byte that
/// the file system has no room for would be a signal.
fn make_room(file: BorrowedFd<'_>, range: Range<u64>) -> Result<(), Errno> {
    let number = |bytes: u64| off_t::try_from(bytes).map_err(|_| Errno::EFBIG);
    let (start, end) = (number(range.start)?, number(range.end)?);
    ftruncate(file, end)?;
    loop {
        match fallocate(file, FallocateFlags::empty(), start, end - start) {
            Err(Errno::EINTR) => {}
            result => return result,
        }
    }
}

/// Says whether no byte of a file is a hole, which every file of a pool begins without.
fn has_all_blocks(status: &FileStat) -> bool {
    let kept_bytes = u64::try_from(status.st_blocks).unwrap_or(0) * BLOCK_BYTES;
    kept_bytes >= u64::try_from(status.st_size).unwrap_or(u64::MAX)
}

/// Returns an incarnation that no earlier one of this file had, as far as the clock goes forward.
fn next_epoch(before: Option<Header>) -> u64 {
    let since = SystemTime::now()
        .duration_since(UNIX_EPOCH)
        .unwrap_or_default();
    let now = u64::try_from(since.as_nanos()).unwrap_or(u64::MAX);
    let above = before.map_or(1, |header| header.epoch.saturating_add(1));
    now.max(above)
}

/// Returns what names the time since the system was started.
fn boot_id(root: &SystemRoot) -> Option<u128> {
    let text = root.text("/proc/sys/kernel/random/boot_id");
    let digits: String = text.trim().chars().filter(|&c| c != '-').collect();
    u128::from_str_radix(&digits, 16).ok().filter(|&id| id != 0)
}
