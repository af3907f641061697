//! Sharing a pool with other processes: the sealed memory file behind it and the view they map.
//!
//! Key types: `MemoryFile`, owned by the pool, and [`SharedView`]. The file is sealed so that its
//! length is fixed and no further writable mapping of it can be made: the pool stays the only writer,
//! which is what makes its exclusive slices exclusive.

use std::{
    fs, io,
    num::NonZeroUsize,
    os::fd::{AsFd, BorrowedFd, OwnedFd},
};

use nix::{
    errno::Errno,
    fcntl::{FcntlArg, SealFlag, fcntl},
    sys::{
        memfd::{MFdFlags, memfd_create},
        stat::{self, FileStat, fstat},
    },
    unistd::ftruncate,
};

use crate::{error::PoolError, mapping::ReadOnlyMapping, pages::Tier, procfs};

/// Seals of a pool's file: fixed length, no new writers, no further seals.
const SEALS: SealFlag = SealFlag::F_SEAL_SHRINK
    .union(SealFlag::F_SEAL_GROW)
    .union(SealFlag::F_SEAL_FUTURE_WRITE)
    .union(SealFlag::F_SEAL_SEAL);

/// Where the bits of a page size start in the flags of `memfd_create`.
const MFD_HUGE_SHIFT: u32 = 26;

/// The memory file behind a shared pool.
#[derive(Debug)]
pub(crate) struct MemoryFile {
    descriptor: OwnedFd,
    len: NonZeroUsize,
}

impl MemoryFile {
    /// Makes a file of `len` bytes in the pages of `tier`.
    pub(crate) fn create(len: NonZeroUsize, tier: Tier) -> Result<Self, PoolError> {
        let failed = |step| {
            move |errno: Errno| PoolError::MemoryFile {
                asked_bytes: len.get() as u64,
                step,
                source: errno.into(),
            }
        };
        let mut flags = MFdFlags::MFD_CLOEXEC | MFdFlags::MFD_ALLOW_SEALING;
        if let Tier::Hugetlb { page_bytes } = tier {
            let size = page_bytes.trailing_zeros() << MFD_HUGE_SHIFT;
            flags |= MFdFlags::MFD_HUGETLB | MFdFlags::from_bits_retain(size);
        }
        let asked_bytes = len.get() as u64;
        let refused = |errno: Errno| PoolError::Map {
            asked_bytes,
            tier,
            source: errno.into(),
        };
        let descriptor = memfd_create("mc-arena", flags).map_err(refused)?;
        let file_len = i64::try_from(len.get()).map_err(|_| failed("ftruncate")(Errno::EFBIG))?;
        ftruncate(&descriptor, file_len).map_err(failed("ftruncate"))?;
        Ok(Self { descriptor, len })
    }

    /// Seals the file, once it is mapped.
    pub(crate) fn seal(&mut self) -> Result<(), PoolError> {
        fcntl(&self.descriptor, FcntlArg::F_ADD_SEALS(SEALS))
            .map(drop)
            .map_err(|errno| PoolError::MemoryFile {
                asked_bytes: self.len.get() as u64,
                step: "sealing",
                source: errno.into(),
            })
    }
}

impl AsFd for MemoryFile {
    fn as_fd(&self) -> BorrowedFd<'_> {
        self.descriptor.as_fd()
    }
}

/// Why a descriptor could not be mapped as a view of another process's pool.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum ViewError {
    /// Not a memory file, or one that is not sealed as a pool's is.
    #[error(
        "the descriptor is not a sealed memory file of a pool; pass the one that Pool::descriptor returns"
    )]
    NotAPool,
    /// The pool belongs to this very process, whose slices the view would alias.
    #[error("the pool belongs to this process; use its slices instead of a view")]
    OwnPool,
    /// Whether the pool belongs to this process cannot be found out.
    #[error("/proc/self/maps, which tells whose pool it is, cannot be read; mount /proc")]
    Unverifiable {
        /// What the kernel answered.
        source: io::Error,
    },
    /// The kernel refused the mapping.
    #[error("mapping a view of {len} bytes refused; check the address-space limit (ulimit -v)")]
    Map {
        /// Length of the file.
        len: u64,
        /// What the kernel answered.
        source: io::Error,
    },
}

/// A read-only view of a shared pool that another process owns.
///
/// It copies bytes out and lends no references, because the owner may write at any moment: a copy
/// taken meanwhile may mix old and new bytes. Agree on a message outside the pool for what is
/// complete. The view stays valid after the owner has gone.
#[derive(Debug)]
pub struct SharedView {
    mapping: ReadOnlyMapping,
}

impl SharedView {
    /// Maps the pool behind `descriptor`, which may be closed afterwards.
    ///
    /// # Errors
    ///
    /// [`ViewError::NotAPool`] unless the file carries the seals of a pool, [`ViewError::OwnPool`] in
    /// the process that owns it, [`ViewError::Unverifiable`] where that cannot be found out,
    /// [`ViewError::Map`] if the kernel refuses.
    pub fn open(descriptor: impl AsFd) -> Result<Self, ViewError> {
        let descriptor = descriptor.as_fd();
        let seals = fcntl(descriptor, FcntlArg::F_GET_SEALS).map_err(|_| ViewError::NotAPool)?;
        if !SealFlag::from_bits_retain(seals).contains(SEALS) {
            return Err(ViewError::NotAPool);
        }
        let status = fstat(descriptor).map_err(|_| ViewError::NotAPool)?;
        if is_own(&status).map_err(|source| ViewError::Unverifiable { source })? {
            return Err(ViewError::OwnPool);
        }
        let len = usize::try_from(status.st_size).ok();
        let len = len.and_then(NonZeroUsize::new).ok_or(ViewError::NotAPool)?;
        let mapping = ReadOnlyMapping::new(descriptor, len).map_err(|errno| ViewError::Map {
            len: len.get() as u64,
            source: errno.into(),
        })?;
        Ok(Self { mapping })
    }

    /// Returns the length in bytes.
    #[must_use]
    #[expect(clippy::len_without_is_empty, reason = "a view is never empty")]
    pub fn len(&self) -> usize {
        self.mapping.len()
    }

    /// Returns the address of the first byte, for registration with devices.
    #[must_use]
    pub fn as_ptr(&self) -> *const u8 {
        self.mapping.as_ptr()
    }

    /// Copies `into.len()` bytes, starting `offset` bytes into the pool.
    ///
    /// # Panics
    ///
    /// Panics if the bytes do not all lie inside the pool.
    pub fn read_at(&self, offset: usize, into: &mut [u8]) {
        let is_inside = self.mapping.read_at(offset, into);
        assert!(
            is_inside,
            "{} bytes at {offset} of a view of {} bytes",
            into.len(),
            self.len()
        );
    }
}

/// Says whether this process has a file mapped for writing, which only the owner of a pool has.
///
/// The kernel is asked, as a list of the process would need a lock, which a thread may hold at the moment
/// of a fork.
fn is_own(status: &FileStat) -> io::Result<bool> {
    let device = (stat::major(status.st_dev), stat::minor(status.st_dev));
    // Names of files in it may be any bytes.
    let maps = String::from_utf8_lossy(&fs::read("/proc/self/maps")?).into_owned();
    Ok(procfs::maps_has_writable(&maps, device, status.st_ino))
}
