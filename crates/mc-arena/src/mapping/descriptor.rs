//! Files that belong to one process: children that are forked close their copies at once.
//!
//! A lock on a file lasts as long as any copy of its descriptor, unless it is given up in so many words.
//! Without this file, a child that outlives a parent that was killed would keep the lock of a pool that
//! it cannot even see.

use std::{
    fs::File,
    mem::ManuallyDrop,
    os::fd::{AsFd, AsRawFd, BorrowedFd},
    sync::atomic::{AtomicBool, AtomicI32, Ordering},
};

use nix::{errno::Errno, libc};

use super::process::Process;

const NONE: i32 = -1;

/// The descriptors to close in a child. Written by their owners, emptied by a child that is alone with
/// itself; Relaxed, as each entry stands for itself and `fork` orders the rest.
static OWN: [AtomicI32; 256] = [const { AtomicI32::new(NONE) }; 256];

/// A file that no child of its process keeps open. Its lock, if it has one, ends when it is dropped,
/// whatever copies of the descriptor there are.
///
/// The 257th and later ones of a process are kept by children until those end or start a program.
#[derive(Debug)]
pub(crate) struct OwnFile {
    /// Open iff the process is the one that made it.
    file: ManuallyDrop<File>,
    process: Process,
    slot: Option<usize>,
}

impl OwnFile {
    pub(crate) fn new(file: File) -> Result<Self, Errno> {
        let process = Process::here()?;
        close_in_children()?;
        let number = file.as_raw_fd();
        let take = |slot: &AtomicI32| {
            slot.compare_exchange(NONE, number, Ordering::Relaxed, Ordering::Relaxed)
                .is_ok()
        };
        let slot = OWN.iter().position(take);
        Ok(Self {
            file: ManuallyDrop::new(file),
            process,
            slot,
        })
    }

    /// Returns the file, which is open in its own process only.
    pub(crate) fn file(&self) -> &File {
        &self.file
    }

    /// Returns the process that has the file.
    pub(crate) fn process(&self) -> &Process {
        &self.process
    }
}

impl AsFd for OwnFile {
    fn as_fd(&self) -> BorrowedFd<'_> {
        self.file.as_fd()
    }
}

impl Drop for OwnFile {
    fn drop(&mut self) {
        // In a child it was closed, and its number may name something else by now.
        if self.process.is_current() {
            if let Some(slot) = self.slot {
                OWN[slot].store(NONE, Ordering::Relaxed);
            }
            // A child that has just been forked may hold a copy for a moment. What is not locked cannot
            // fail to be unlocked.
            let _ = self.file.unlock();
            // SAFETY: (1) dropped here only, and a value is dropped once.
            unsafe { ManuallyDrop::drop(&mut self.file) };
        }
    }
}

fn close_in_children() -> Result<(), Errno> {
    static IS_INSTALLED: AtomicBool = AtomicBool::new(false);
    if IS_INSTALLED.swap(true, Ordering::AcqRel) {
        return Ok(());
    }
    // SAFETY: (1) the handler has no arguments and may run in the child of a threaded process: it
    // touches atomics and closes descriptors (signal-safety(7)).
    let status = unsafe { libc::pthread_atfork(None, None, Some(close_all)) };
    if status != 0 {
        IS_INSTALLED.store(false, Ordering::Release);
        return Err(Errno::from_raw(status));
    }
    Ok(())
}

unsafe extern "C" fn close_all() {
    for slot in &OWN {
        let number = slot.swap(NONE, Ordering::Relaxed);
        if number != NONE {
            // SAFETY: (1) the number names the child's copy of a descriptor whose owner, a value of the
            // parent, does not touch it in the child.
            unsafe { libc::close(number) };
        }
    }
}
