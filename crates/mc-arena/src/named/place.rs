//! What kind of file a pool is to lie in: the pages that back it and the bytes it has.

use std::{os::fd::BorrowedFd, path::Path};

use nix::{
    errno::Errno,
    libc::off_t,
    sys::{
        stat::{self, FileStat, SFlag, fstat},
        statfs::{HUGETLBFS_MAGIC, TMPFS_MAGIC, fstatfs},
    },
    unistd::{Whence, lseek},
};

use crate::{discovery::SystemRoot, mapping::base_page_bytes};

/// Where the bytes of a file are kept.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Medium {
    /// Main memory that counts as the memory of whoever touches it.
    Memory,
    /// Reserved huge pages.
    Hugetlb,
    /// A disk, or memory behind a file system of its own.
    Storage,
    /// A device of a fixed length, mapped without a file system.
    Device {
        /// Bytes of the device.
        len_bytes: u64,
    },
}

/// A file, as far as a pool is concerned.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Place {
    pub(super) medium: Medium,
    /// Bytes of the pages that back it.
    pub(super) page_bytes: usize,
}

impl Place {
    /// Looks at an open file.
    pub(super) fn of(file: BorrowedFd<'_>, root: &SystemRoot) -> Result<Self, Errno> {
        let status = fstat(file)?;
        let kind = SFlag::from_bits_truncate(status.st_mode) & SFlag::S_IFMT;
        if kind == SFlag::S_IFCHR {
            let (len_bytes, page_bytes) = dax_device(&status, root).ok_or(Errno::ENODEV)?;
            let medium = Medium::Device { len_bytes };
            return Ok(Self { medium, page_bytes });
        }
        let page_bytes = base_page_bytes();
        if kind == SFlag::S_IFBLK {
            let end: off_t = lseek(file, 0, Whence::SeekEnd)?;
            let len_bytes = u64::try_from(end).map_err(|_| Errno::EOVERFLOW)?;
            let medium = Medium::Device { len_bytes };
            return Ok(Self { medium, page_bytes });
        }
        if kind != SFlag::S_IFREG {
            return Err(Errno::ENODEV);
        }
        let system = fstatfs(file)?;
        let place = |medium, page_bytes| Self { medium, page_bytes };
        Ok(match system.filesystem_type() {
            HUGETLBFS_MAGIC => {
                let page_bytes =
                    usize::try_from(system.block_size()).map_err(|_| Errno::EOVERFLOW)?;
                place(Medium::Hugetlb, page_bytes)
            }
            TMPFS_MAGIC => place(Medium::Memory, page_bytes),
            _ => place(Medium::Storage, page_bytes),
        })
    }
}

/// Returns the length and the page size of a character device that is a DAX device.
fn dax_device(status: &FileStat, root: &SystemRoot) -> Option<(u64, usize)> {
    let (major, minor) = (stat::major(status.st_rdev), stat::minor(status.st_rdev));
    let device = format!("/sys/dev/char/{major}:{minor}");
    let number = |name| {
        let path = Path::new(&device).join(name);
        root.text(path.to_str()?).trim().parse::<u64>().ok()
    };
    // Kernels before 5.8 keep the alignment one directory below.
    let align = number("align").or_else(|| number("device/align"))?;
    let len_bytes = number("size").filter(|&len| len > 0)?;
    let page_bytes = usize::try_from(align)
        .ok()
        .filter(|align| align.is_power_of_two())?;
    Some((len_bytes, page_bytes))
}

#[cfg(test)]
#[cfg(not(loom))]
mod tests {
    use std::{fs::File, os::fd::AsFd};

    use super::*;

    #[test]
    fn a_dax_device_says_how_long_it_is() {
        let directory = tempfile::tempdir().unwrap();
        let null = File::open("/dev/null").unwrap();
        let root = SystemRoot::at(directory.path());
        let refused = Place::of(null.as_fd(), &root);
        assert_eq!(
            refused,
            Err(Errno::ENODEV),
            "a terminal is no place for a pool"
        );

        // 1:3 is the device that stands in here.
        let device = directory.path().join("sys/dev/char/1:3");
        std::fs::create_dir_all(&device).unwrap();
        std::fs::write(device.join("size"), "17179869184\n").unwrap();
        std::fs::write(device.join("align"), "2097152\n").unwrap();
        let expected = Place {
            medium: Medium::Device {
                len_bytes: 16 << 30,
            },
            page_bytes: 2 << 20,
        };
        assert_eq!(Place::of(null.as_fd(), &root), Ok(expected));
    }

    #[test]
    fn directories_and_pipes_are_refused() {
        let directory = File::open("/").unwrap();
        let place = Place::of(directory.as_fd(), &SystemRoot::default());
        assert_eq!(place, Err(Errno::ENODEV));
    }
}
