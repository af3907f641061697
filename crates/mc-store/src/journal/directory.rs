//! The files of a journal: their names, who may touch them, and how one is replaced whole.

use std::{
    fs::{self, File, Permissions, TryLockError},
    io::{self, Read as _, Write as _},
    os::unix::fs::PermissionsExt as _,
    path::{Path, PathBuf},
};

use tempfile::NamedTempFile;

use super::error::OpenError;
use crate::process::Process;

const LOCK: &str = "lock";
const SNAPSHOT: &str = "snapshot";
const JOURNAL: &str = "journal-";
const TEMPORARY: &str = ".mcstore-";

/// Links in a row that are followed, as by the kernel.
const LINKS_MAX: usize = 40;

/// A directory that no other process has open.
#[derive(Debug)]
pub(super) struct Directory {
    path: PathBuf,
    /// The kernel lets go of the lock when the last process that has the file open ends.
    lock: File,
    process: Process,
}

impl Directory {
    /// Makes the directory if there is none, and locks it.
    pub(super) fn open(path: &Path) -> Result<Self, OpenError> {
        let failed = |path: &Path| {
            let path = path.to_owned();
            move |source| OpenError::Io { path, source }
        };
        fs::create_dir_all(path).map_err(failed(path))?;
        let lock_path = path.join(LOCK);
        let mut options = File::options();
        let options = options.read(true).write(true).create(true).truncate(false);
        let mut lock = options.open(&lock_path).map_err(failed(&lock_path))?;
        match lock.try_lock() {
            Ok(()) => {}
            Err(TryLockError::WouldBlock) => {
                let mut process = String::new();
                // Who it is helps, and nothing depends on it.
                let _ = lock.read_to_string(&mut process);
                return Err(OpenError::InUse {
                    path: path.to_owned(),
                    process: process.trim().parse().ok(),
                });
            }
            Err(TryLockError::Error(source)) => return Err(failed(&lock_path)(source)),
        }
        lock.set_len(0)
            .and_then(|()| writeln!(lock, "{}", std::process::id()))
            .map_err(failed(&lock_path))?;
        remove_temporaries(path);
        Ok(Self {
            path: path.to_owned(),
            lock,
            process: Process::current(),
        })
    }

    /// Returns whether this process opened it; a child has a copy that is not its own.
    pub(super) fn is_ours(&self) -> bool {
        self.process.is_current()
    }

    /// Makes it what a child has of one; returns what the parent has the lock by.
    #[cfg(test)]
    pub(super) fn become_a_copy(&mut self) -> File {
        self.process = Process::other();
        self.lock.try_clone().unwrap()
    }

    pub(super) fn path(&self) -> &Path {
        &self.path
    }

    pub(super) fn snapshot(&self) -> PathBuf {
        self.path.join(SNAPSHOT)
    }

    pub(super) fn journal(&self, number: u32) -> PathBuf {
        self.path.join(format!("{JOURNAL}{number:08x}"))
    }

    /// Returns the numbers of the journal files in order.
    pub(super) fn journals(&self) -> io::Result<Vec<u32>> {
        let mut numbers = Vec::new();
        for entry in fs::read_dir(&self.path)? {
            let name = entry?.file_name();
            let digits = name.to_str().and_then(|name| name.strip_prefix(JOURNAL));
            let digits = digits.filter(|digits| digits.len() == 8);
            numbers.extend(digits.and_then(|digits| u32::from_str_radix(digits, 16).ok()));
        }
        numbers.sort_unstable();
        Ok(numbers)
    }

    /// Makes the names of new files survive a power failure.
    pub(super) fn sync(&self) -> io::Result<()> {
        sync_directory(&self.path)
    }
}

impl Drop for Directory {
    fn drop(&mut self) {
        // Closing alone is not enough while another thread starts a process, which has the file open
        // until it runs its program.
        if self.is_ours() {
            let _ = self.lock.unlock();
        }
    }
}

/// A file that is being written, and gets its name when it is whole.
#[derive(Debug)]
pub(super) struct NewFile {
    temporary: NamedTempFile,
    target: PathBuf,
}

impl NewFile {
    /// Begins a file that will have this name, or that of what a symbolic link there points to, and the
    /// mode of the file that it replaces.
    pub(super) fn create(path: &Path) -> io::Result<Self> {
        let target = follow(path)?;
        let directory = parent(&target);
        remove_temporaries(directory);
        let temporary = tempfile::Builder::new()
            .prefix(TEMPORARY)
            // Less what the umask takes, as for every new file.
            .permissions(Permissions::from_mode(0o666))
            .tempfile_in(directory)?;
        // Tells others that the file is in use, for as long as this process lives.
        temporary.as_file().lock()?;
        match fs::metadata(&target) {
            Ok(replaced) => temporary
                .as_file()
                .set_permissions(replaced.permissions())?,
            Err(error) if error.kind() == io::ErrorKind::NotFound => {}
            Err(error) => return Err(error),
        }
        Ok(Self { temporary, target })
    }

    /// Gives the file its name once its bytes are on the disk, and then the name, too.
    pub(super) fn persist(self) -> io::Result<()> {
        self.temporary.as_file().sync_all()?;
        self.temporary.persist(&self.target)?;
        sync_directory(parent(&self.target))
    }
}

impl io::Write for NewFile {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        self.temporary.as_file_mut().write(bytes)
    }

    fn flush(&mut self) -> io::Result<()> {
        self.temporary.as_file_mut().flush()
    }
}

/// Returns what a path stands for when its symbolic links are followed, whether it exists or not.
fn follow(path: &Path) -> io::Result<PathBuf> {
    let mut path = path.to_owned();
    for _ in 0..LINKS_MAX {
        match fs::read_link(&path) {
            Ok(next) => path = parent(&path).join(next),
            // No link, or nothing at all.
            Err(_) => return Ok(path),
        }
    }
    let kind = io::ErrorKind::InvalidInput;
    Err(io::Error::new(kind, "symbolic links lead in a circle"))
}

fn parent(path: &Path) -> &Path {
    match path.parent() {
        Some(parent) if !parent.as_os_str().is_empty() => parent,
        _ => Path::new("."),
    }
}

fn sync_directory(path: &Path) -> io::Result<()> {
    File::open(path)?.sync_all()
}

/// Removes the files of processes that ended before they had named them.
///
/// One that cannot be removed is left; it costs its space only.
fn remove_temporaries(directory: &Path) {
    for entry in fs::read_dir(directory).into_iter().flatten().flatten() {
        let is_ours = |name: &str| name.starts_with(TEMPORARY);
        if !entry.file_name().to_str().is_some_and(is_ours) {
            continue;
        }
        let is_unused = File::open(entry.path()).is_ok_and(|file| file.try_lock().is_ok());
        if is_unused {
            let _ = fs::remove_file(entry.path());
        }
    }
}

#[cfg(test)]
mod tests {
    use std::os::unix::fs::symlink;

    use super::*;

    fn write(path: &Path, bytes: &[u8]) -> io::Result<()> {
        let mut file = NewFile::create(path)?;
        file.write_all(bytes)?;
        file.persist()
    }

    fn mode(path: &Path) -> u32 {
        fs::metadata(path).unwrap().permissions().mode() & 0o7777
    }

    #[test]
    fn the_new_file_takes_the_place_of_the_old_and_nothing_else_is_left() {
        let directory = tempfile::tempdir().unwrap();
        let path = directory.path().join("store");
        for bytes in [&b"old and longer"[..], b"new"] {
            write(&path, bytes).unwrap();
            assert_eq!(fs::read(&path).unwrap(), bytes);
        }
        assert_eq!(fs::read_dir(&directory).unwrap().count(), 1);
    }

    #[test]
    fn a_file_that_cannot_be_written_stays_as_it_is() {
        let directory = tempfile::tempdir().unwrap();
        let path = directory.path().join("store");
        // A directory that is not empty cannot be replaced by a file.
        fs::create_dir_all(path.join("inner")).unwrap();
        assert!(write(&path, b"new").is_err());
        assert!(path.join("inner").is_dir());
        assert_eq!(fs::read_dir(&directory).unwrap().count(), 1);
    }

    #[test]
    fn links_are_followed_and_modes_stay() {
        let directory = tempfile::tempdir().unwrap();
        let there = directory.path().join("there");
        fs::create_dir(&there).unwrap();
        let (link, target) = (directory.path().join("link"), there.join("target"));
        symlink("middle", &link).unwrap();
        symlink("there/target", directory.path().join("middle")).unwrap();
        write(&link, b"first, through a link to nothing").unwrap();
        fs::set_permissions(&target, Permissions::from_mode(0o640)).unwrap();
        write(&link, b"second").unwrap();
        assert_eq!(fs::read(&target).unwrap(), b"second");
        assert_eq!(mode(&target), 0o640);
        assert!(fs::symlink_metadata(&link).unwrap().is_symlink());
        assert_eq!(fs::read_dir(&there).unwrap().count(), 1);
        symlink("loop", directory.path().join("loop")).unwrap();
        assert!(write(&directory.path().join("loop"), b"").is_err());
    }

    #[test]
    fn a_new_file_has_the_mode_of_every_new_file() {
        let directory = tempfile::tempdir().unwrap();
        let [ours, other] = ["ours", "other"].map(|name| directory.path().join(name));
        write(&ours, b"").unwrap();
        fs::write(&other, b"").unwrap();
        assert_eq!(mode(&ours), mode(&other));
    }

    #[test]
    fn temporary_files_of_the_dead_go_and_those_of_the_living_stay() {
        let directory = tempfile::tempdir().unwrap();
        let dead = directory.path().join(format!("{TEMPORARY}dead"));
        fs::write(&dead, b"half").unwrap();
        let other = directory.path().join("other");
        fs::write(&other, b"other").unwrap();
        let living = NewFile::create(&directory.path().join("store")).unwrap();
        write(&directory.path().join("store"), b"another").unwrap();
        assert!(!dead.exists());
        assert!(other.exists());
        living.persist().unwrap();
        assert_eq!(fs::read(directory.path().join("store")).unwrap(), b"");
    }

    #[test]
    fn a_directory_is_opened_once() {
        let directory = tempfile::tempdir().unwrap();
        let path = directory.path().join("made/on the way");
        let first = Directory::open(&path).unwrap();
        let error = Directory::open(&path).unwrap_err();
        let process = Some(std::process::id());
        assert!(matches!(error, OpenError::InUse { process: held, .. } if held == process));
        assert!(error.to_string().contains("by process"), "{error}");
        drop(first);
        Directory::open(&path).unwrap();
    }

    #[test]
    fn a_directory_is_free_again_although_a_process_has_inherited_its_lock() {
        let directory = tempfile::tempdir().unwrap();
        let first = Directory::open(directory.path()).unwrap();
        // As a process has it that was started and does not run its program yet.
        let inherited = first.lock.try_clone().unwrap();
        drop(first);
        Directory::open(directory.path()).unwrap();
        drop(inherited);
    }
}
