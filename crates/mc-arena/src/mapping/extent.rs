//! The addresses of a mapping, for those that bring its pages in, now or on a thread of their own.

use std::{
    ops::Range,
    ptr::NonNull,
    sync::{
        Arc,
        atomic::{AtomicBool, Ordering},
    },
    thread::{self, JoinHandle},
};

use nix::{
    errno::Errno,
    libc,
    sys::mman::{self, MmapAdvise},
};

/// Where a mapping lies. It is lent by the mapping, never longer than that is mapped.
#[derive(Debug)]
pub(crate) struct Extent {
    /// Start of `len` bytes that are mapped readable and writable while somebody has a reference.
    base: NonNull<u8>,
    len: usize,
}

// SAFETY: (1) an address and a number; what is done with them keeps the contents and is not tied to a
// thread.
unsafe impl Send for Extent {}
// SAFETY: (1) as for `Send`: nothing here reads or writes the bytes.
unsafe impl Sync for Extent {}

/// A thread that works on a mapping; it ends before the mapping does.
#[derive(Debug)]
pub(super) struct Worker {
    is_over: Arc<AtomicBool>,
    thread: JoinHandle<()>,
}

impl Extent {
    pub(super) fn new(base: NonNull<u8>, len: usize) -> Self {
        Self { base, len }
    }

    /// Returns the length in bytes.
    pub(crate) fn len(&self) -> usize {
        self.len
    }

    /// Backs `range` with memory now, reporting what a later touch would turn into SIGBUS.
    ///
    /// The contents stay as they are. `EINVAL` means that the kernel (before 5.14) has no
    /// `MADV_POPULATE_WRITE`.
    pub(crate) fn populate(&self, range: Range<usize>) -> Result<(), Errno> {
        self.check(&range);
        loop {
            let start = self.at(range.start).cast();
            // SAFETY: (1) the range is mapped (checked above, field `base`); (2) the advice faults
            // pages in as a write would and keeps their contents (madvise(2)).
            match unsafe { mman::madvise(start, range.len(), MmapAdvise::MADV_POPULATE_WRITE) } {
                Err(Errno::EINTR | Errno::EAGAIN) => {}
                result => return result,
            }
        }
    }

    /// Returns how many of the base pages in `range`, which consists of whole ones, have no memory yet.
    pub(crate) fn missing_pages(&self, range: Range<usize>) -> Result<usize, Errno> {
        self.check(&range);
        let mut states = vec![0_u8; range.len().div_ceil(super::raw::base_page_bytes())];
        let start = self.at(range.start).as_ptr().cast();
        // SAFETY: (1) the range is mapped (checked above, field `base`); (2) the kernel writes one byte
        // for each page of the range, of which there are as many as `states` has.
        let status = unsafe { libc::mincore(start, range.len(), states.as_mut_ptr()) };
        Errno::result(status)?;
        Ok(states.iter().filter(|&state| state & 1 == 0).count())
    }

    pub(super) fn at(&self, offset: usize) -> NonNull<u8> {
        self.base.map_addr(|address| address.saturating_add(offset))
    }

    #[track_caller]
    pub(super) fn check(&self, range: &Range<usize>) {
        assert!(range.start <= range.end, "range {range:?} runs backwards");
        assert!(
            range.end <= self.len,
            "range {range:?} of a mapping of {} bytes",
            self.len
        );
    }
}

impl Worker {
    /// Starts a thread that works on an extent until it is done or `is_over`.
    ///
    /// The caller keeps the extent mapped until [`end`](Self::end) has returned.
    pub(super) fn start(
        extent: Extent,
        work: impl FnOnce(&Extent, &AtomicBool) + Send + 'static,
    ) -> std::io::Result<Self> {
        let is_over = Arc::new(AtomicBool::new(false));
        let seen = Arc::clone(&is_over);
        let thread = thread::Builder::new()
            .name("mc-populate".to_owned())
            .spawn(move || work(&extent, &seen))?;
        Ok(Self { is_over, thread })
    }

    /// Lets the thread finish its step and waits for it.
    pub(super) fn end(self) {
        self.is_over.store(true, Ordering::Relaxed);
        // A panic there has been printed, and concerns nobody here.
        let _ = self.thread.join();
    }
}
