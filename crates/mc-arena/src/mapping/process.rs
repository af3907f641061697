//! Which process is this? The answer costs one load, so that every access can ask.
//!
//! Key types: [`Process`], which every owner of memory keeps, and [`OtherProcess`]. One page of the
//! process holds its number, and the kernel hands that page to children as zeros
//! (`MADV_WIPEONFORK`), however they were forked: a number that an owner remembers is then found to be
//! another's without a system call, a lock or a handler.

use std::{
    num::NonZeroUsize,
    process, ptr,
    sync::atomic::{AtomicPtr, AtomicU64, Ordering},
};

use nix::{
    errno::Errno,
    sys::mman::{self, MapFlags, MmapAdvise, ProtFlags},
};

use super::other_process::OtherProcess;

/// The page with the number of the process; null until the first owner is made.
///
/// Stored once, with `Release`, after the page is ready; read with `Acquire`.
static MARK: AtomicPtr<AtomicU64> = AtomicPtr::new(ptr::null_mut());

/// The number that this process or a child of it gets next. A child continues to count where its
/// parent was, so that it never has the number of a process that it descends from. Relaxed: it
/// orders nothing.
static NEXT: AtomicU64 = AtomicU64::new(1);

/// The process in which something was made.
///
/// In a child that was forked since, [`is_current`](Self::is_current) is false: what was mapped
/// before is not there, and other memory of the child may lie at its address.
#[derive(Clone, Copy, Debug)]
pub struct Process {
    /// Holds the number of whatever process reads it; 0 in a child that owns nothing yet.
    mark: &'static AtomicU64,
    number: u64,
    pid: u32,
}

impl Process {
    /// Returns the process that calls.
    ///
    /// # Errors
    ///
    /// The answer of the kernel if it has no page for the mark, or, before Linux 4.14, cannot keep a
    /// page from children.
    pub fn current() -> std::io::Result<Self> {
        Self::here().map_err(Into::into)
    }

    pub(crate) fn here() -> Result<Self, Errno> {
        let mark = mark()?;
        let mut number = mark.load(Ordering::Relaxed);
        if number == 0 {
            // A child that owns nothing yet. Of its threads, the first names the process for all.
            let fresh = NEXT.fetch_add(1, Ordering::Relaxed);
            let named = mark.compare_exchange(0, fresh, Ordering::Relaxed, Ordering::Relaxed);
            number = named.map_or_else(|named| named, |_| fresh);
        }
        Ok(Self {
            mark,
            number,
            pid: process::id(),
        })
    }

    /// Says whether this is still the same process, and not a child of it.
    #[inline]
    #[must_use]
    pub fn is_current(&self) -> bool {
        self.mark.load(Ordering::Relaxed) == self.number
    }

    /// Returns a number that neither a parent nor a child of this process has.
    pub(crate) fn number(&self) -> u64 {
        self.number
    }

    /// Refuses in a child.
    ///
    /// # Errors
    ///
    /// [`OtherProcess`] if this is not the process that the value was made in.
    #[inline]
    pub fn check(&self) -> Result<(), OtherProcess> {
        if self.is_current() {
            Ok(())
        } else {
            Err(self.other())
        }
    }

    /// Panics in a child, where a reference cannot be refused.
    #[inline]
    #[track_caller]
    pub(crate) fn assert_current(&self) {
        if !self.is_current() {
            panic_of_child(self.other());
        }
    }

    #[cold]
    pub(crate) fn other(&self) -> OtherProcess {
        OtherProcess {
            owner_pid: self.pid,
            this_pid: process::id(),
        }
    }
}

/// Returns the number of the process that calls; 0 if it owns nothing yet. Safe in a signal handler.
pub(super) fn number_now() -> u64 {
    let page = MARK.load(Ordering::Acquire);
    if page.is_null() {
        return 0;
    }
    // SAFETY: as in `mark`.
    unsafe { &*page }.load(Ordering::Relaxed)
}

#[cold]
#[track_caller]
fn panic_of_child(error: OtherProcess) -> ! {
    panic!("{error}")
}

/// Returns the mark, made by the first who asks.
fn mark() -> Result<&'static AtomicU64, Errno> {
    let page = MARK.load(Ordering::Acquire);
    let page = if page.is_null() { publish()? } else { page };
    // SAFETY: (1) the pointer is to the start of a page that `publish` mapped readable and writable and
    // that is never unmapped; (2) children have a page of zeros there, which is a valid number; (3) the
    // page is reached as an atomic only.
    Ok(unsafe { &*page })
}

/// Makes the page and publishes it, unless another thread was first.
#[cold]
fn publish() -> Result<*mut AtomicU64, Errno> {
    let len = NonZeroUsize::new(super::raw::base_page_bytes()).ok_or(Errno::EINVAL)?;
    let flags = MapFlags::MAP_PRIVATE;
    let access = ProtFlags::PROT_READ | ProtFlags::PROT_WRITE;
    // SAFETY: (1) the kernel chooses the address (`None`), so no existing mapping is touched.
    let page = unsafe { mman::mmap_anonymous(None, len, access, flags) }?;
    // SAFETY: (1) the page is the one just mapped; (2) the advice concerns children only.
    let advised = unsafe { mman::madvise(page, len.get(), MmapAdvise::MADV_WIPEONFORK) };
    let candidate = page.cast::<AtomicU64>().as_ptr();
    let published = advised.map(|()| {
        let none = ptr::null_mut();
        MARK.compare_exchange(none, candidate, Ordering::AcqRel, Ordering::Acquire)
            .map_or_else(|earlier| earlier, |_| candidate)
    });
    if published != Ok(candidate) {
        // SAFETY: (1) the page is the one mapped above, and nobody has seen its address.
        let unmapped = unsafe { mman::munmap(page, len.get()) };
        debug_assert_eq!(unmapped, Ok(()));
    }
    published
}
