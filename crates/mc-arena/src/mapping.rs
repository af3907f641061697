//! The owned region: every system call of this crate that takes a memory address.
//!
//! Key types: [`Mapping`], read/write and exclusively owned, and [`ReadOnlyMapping`], a view of
//! memory that another process owns. Both remember the length they have to unmap, and a `Mapping` the
//! process that made it: in a child it neither lends bytes nor unmaps any. The layer above,
//! `pool.rs`, decides what to map; this file checks bounds before it touches a pointer and knows no
//! policy. Below it lie the number of the process, the claims on ranges, memory policies, and what
//! happens when a file behind a mapping is cut short.
#![expect(
    unsafe_code,
    reason = "mapping, advising and unmapping memory are raw system calls"
)]

mod claims;
mod descriptor;
mod extent;
mod other_process;
mod policy;
mod process;
mod raw;
mod truncation;
mod view;
mod window;

use std::{
    alloc::Layout,
    ffi::c_void,
    fmt,
    mem::ManuallyDrop,
    num::NonZeroUsize,
    ops::Range,
    os::fd::BorrowedFd,
    ptr::NonNull,
    slice,
    sync::{Arc, atomic::AtomicBool},
};

use nix::{
    errno::Errno,
    libc,
    sys::mman::{self, MapFlags, MmapAdvise, ProtFlags},
};

use self::{claims::Claims, extent::Worker, raw::unmap};

pub use self::{claims::ClaimError, other_process::OtherProcess, process::Process};
pub(crate) use self::{
    claims::{Access, ClaimedRange},
    descriptor::OwnFile,
    extent::Extent,
    policy::{BindMode, NodeMask},
    raw::base_page_bytes,
    truncation::Watch,
    view::ReadOnlyMapping,
};

const READ_WRITE: ProtFlags = ProtFlags::PROT_READ.union(ProtFlags::PROT_WRITE);

/// An exclusively owned, readable and writable mapping.
///
/// Dropping it unmaps it, with the length it was mapped with, in the process that mapped it; in a child
/// it does nothing.
#[derive(Debug)]
pub(crate) struct Mapping {
    /// The region. In `process`, its bytes are mapped readable and writable, belong to this value alone
    /// and hold initialised bytes (the kernel zeroes what it maps, or they are those of a file).
    extent: Extent,
    process: Process,
    claims: Claims,
    /// Set iff a file is behind the mapping that others may cut short.
    watch: Option<Arc<Watch>>,
    /// A thread that uses the extent; ended before the region is unmapped.
    worker: Option<Worker>,
    release: Release,
}

/// How a mapping is given back.
enum Release {
    /// The bytes after the region are mapped without access: no two mappings touch, so the kernel
    /// does not report them as one.
    Munmap { guard_bytes: usize },
    /// Obtained from `hugepage_rs::alloc` with this layout.
    HugepageRs(Layout),
    /// Whoever has the memory; taken out once, when the mapping is dropped by its own process.
    Owner(ManuallyDrop<Box<dyn Send + Sync>>),
}

impl fmt::Debug for Release {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Munmap { .. } => "Munmap",
            Self::HugepageRs(_) => "HugepageRs",
            Self::Owner(_) => "Owner",
        })
    }
}

/// Advice that concerns a whole mapping and never changes what it holds.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Advice {
    /// `MADV_DONTFORK`: children do not inherit the mapping.
    DontFork,
    /// `MADV_DONTDUMP`: core files leave the mapping out.
    DontDump,
    /// `MADV_HUGEPAGE`: back the mapping with transparent huge pages.
    TransparentHuge,
    /// `MADV_NOHUGEPAGE`: never back the mapping with transparent huge pages.
    NeverHuge,
    /// `MADV_COLLAPSE`: gather the pages of the mapping into transparent huge pages now.
    Collapse,
}

// SAFETY: (1) the region is owned by the value alone (field `extent`), and a mapping is not tied to the
// thread that made it; an owner of its memory is `Send` itself.
unsafe impl Send for Mapping {}
// SAFETY: (1) `&Mapping` gives addresses and system calls that keep the contents; reading or writing
// the bytes takes `&mut Mapping`, or a claim that proves that its range has one writer or readers only.
unsafe impl Sync for Mapping {}

impl Mapping {
    /// Maps zeroed private memory in base pages, its address a multiple of `align`.
    pub(crate) fn private(len: NonZeroUsize, align: usize) -> Result<Self, Errno> {
        Self::map_aligned(len, align, |address| {
            let flags = MapFlags::MAP_PRIVATE | MapFlags::MAP_FIXED_NOREPLACE;
            // SAFETY: (1) `MAP_FIXED_NOREPLACE` replaces nothing.
            unsafe { mman::mmap_anonymous(Some(address), len, READ_WRITE, flags) }
        })
    }

    /// Maps zeroed private memory in reserved huge pages of 2^`page_log2` bytes, its address a multiple
    /// of `align`, which must be at least a page.
    ///
    /// The kernel refuses lengths that are not a multiple of the page.
    pub(crate) fn private_huge(
        len: NonZeroUsize,
        page_log2: u32,
        align: usize,
    ) -> Result<Self, Errno> {
        let size_flag = MapFlags::map_hugetlb_with_size_log2(page_log2).ok_or(Errno::EINVAL)?;
        Self::map_aligned(len, align, |address| {
            let flags = MapFlags::MAP_PRIVATE | MapFlags::MAP_FIXED_NOREPLACE | size_flag;
            // SAFETY: (1) `MAP_FIXED_NOREPLACE` replaces nothing.
            unsafe { mman::mmap_anonymous(Some(address), len, READ_WRITE, flags) }
        })
    }

    /// Maps zeroed private memory in reserved huge pages of the system's default size.
    ///
    /// `hugepage_rs` panics unless `/proc/meminfo` names that size; the caller has read it there and
    /// passes it as the alignment of `layout`, whose size is a multiple of it. The crate reports a
    /// failure as null; the reason is the errno that its `mmap` left behind.
    pub(crate) fn private_default_huge(layout: Layout) -> Result<Self, Errno> {
        if layout.size() == 0 || !layout.size().is_multiple_of(layout.align()) {
            return Err(Errno::EINVAL);
        }
        let process = Process::here()?;
        Errno::clear();
        // SAFETY: (1) the size of the layout is not zero, checked above.
        let base = unsafe { hugepage_rs::alloc(layout) };
        let base = NonNull::new(base).ok_or_else(|| match Errno::last() {
            Errno::UnknownErrno => Errno::EINVAL,
            errno => errno,
        })?;
        let release = Release::HugepageRs(layout);
        Ok(Self::owned(base, layout.size(), process, release))
    }

    /// Takes over memory that is mapped already, and with it every way to reach it.
    ///
    /// # Safety
    ///
    /// See [`Pool::from_foreign`](crate::Pool::from_foreign).
    pub(crate) unsafe fn foreign(
        base: NonNull<u8>,
        len: NonZeroUsize,
        owner: Box<dyn Send + Sync>,
    ) -> Result<Self, Errno> {
        let process = Process::here()?;
        let release = Release::Owner(ManuallyDrop::new(owner));
        Ok(Self::owned(base, len.get(), process, release))
    }

    fn owned(base: NonNull<u8>, len: usize, process: Process, release: Release) -> Self {
        Self {
            extent: Extent::new(base, len),
            process,
            claims: Claims::new(process),
            watch: None,
            worker: None,
            release,
        }
    }

    /// Maps `len` bytes of a file from `start` on, shared, their address a multiple of `align`.
    pub(crate) fn shared(
        file: BorrowedFd<'_>,
        start: u64,
        len: NonZeroUsize,
        align: usize,
    ) -> Result<Self, Errno> {
        let start = libc::off_t::try_from(start).map_err(|_| Errno::EOVERFLOW)?;
        Self::map_aligned(len, align, |address| {
            let flags = MapFlags::MAP_SHARED | MapFlags::MAP_FIXED_NOREPLACE;
            // SAFETY: (1) `MAP_FIXED_NOREPLACE` replaces nothing.
            unsafe { mman::mmap(Some(address), len, READ_WRITE, flags, file, start) }
        })
    }

    /// Finds address space for `len` bytes at a multiple of `align` and lets `map` fill it.
    fn map_aligned(
        len: NonZeroUsize,
        align: usize,
        map: impl Fn(NonZeroUsize) -> Result<NonNull<c_void>, Errno>,
    ) -> Result<Self, Errno> {
        loop {
            match Self::map_where_free(len, align, &map) {
                // Another thread was quicker to map something there.
                Err(Errno::EEXIST) => {}
                mapped => return mapped,
            }
        }
    }

    /// Reserves address space, and gives all but its end up to `map`.
    ///
    /// Mapping over the reservation would be shorter and wrong: where that fails, the kernel may have
    /// unmapped what was there, and to unmap it again could hit what another thread has mapped since.
    fn map_where_free(
        len: NonZeroUsize,
        align: usize,
        map: impl Fn(NonZeroUsize) -> Result<NonNull<c_void>, Errno>,
    ) -> Result<Self, Errno> {
        debug_assert!(align.is_power_of_two() && align >= base_page_bytes());
        let process = Process::here()?;
        let reserved_len = len.checked_add(align).ok_or(Errno::ENOMEM)?;
        let flags = MapFlags::MAP_PRIVATE | MapFlags::MAP_NORESERVE;
        // SAFETY: (1) the kernel chooses the address (`None`), so no existing mapping is touched.
        let reserved =
            unsafe { mman::mmap_anonymous(None, reserved_len, ProtFlags::PROT_NONE, flags) }?;
        let start = reserved.cast::<u8>();
        // Inside the reservation, which is longer by `align`.
        let head_len = start.addr().get().wrapping_neg() & (align - 1);
        let given_up_len = head_len + len.get();
        // SAFETY: (1) these bytes open the reservation made above, and nobody uses them.
        unsafe { unmap(start, given_up_len) };
        let behind = Extent::new(start, 0).at(given_up_len);
        let guard_bytes = reserved_len.get() - given_up_len;
        // Covers what is left of the reservation until there is a mapping before it.
        let mut owned = Self::owned(behind, 0, process, Release::Munmap { guard_bytes });

        let base = Extent::new(start, 0).at(head_len);
        let mapped = map(base.addr())?;
        if mapped.addr() != base.addr() {
            // Kernels before 4.17 take the address for a wish.
            // SAFETY: (1) the mapping is the one just made, and nobody uses it.
            unsafe { unmap(mapped.cast(), len.get()) };
            return Err(Errno::EEXIST);
        }
        // The head is shorter than `align` by a page at least, which leaves the guard to the tail.
        owned.extent = Extent::new(mapped.cast(), len.get());
        let kept_bytes = base_page_bytes();
        owned.release = Release::Munmap {
            guard_bytes: kept_bytes,
        };
        if guard_bytes > kept_bytes {
            let tail = owned.extent.at(len.get() + kept_bytes);
            // SAFETY: (1) these bytes close the reservation made above, and `owned` has just stopped
            // covering them.
            unsafe { unmap(tail, guard_bytes - kept_bytes) };
        }
        Ok(owned)
    }

    /// Makes what a shortened file leaves without bytes read as zero, in pages of `page_bytes`, instead
    /// of ending the process; the watch tells from then on.
    pub(crate) fn watch_truncation(&mut self, page_bytes: usize) -> Result<Arc<Watch>, Errno> {
        let watch = Watch::over(&self.addresses(), page_bytes, &self.process)?;
        Ok(Arc::clone(self.watch.insert(Arc::new(watch))))
    }

    /// Keeps the mapping out of children and core files.
    pub(crate) fn hide(&self) -> Result<(), Errno> {
        self.advise(Advice::DontFork)?;
        self.advise(Advice::DontDump)
    }

    /// Returns the process that made the mapping.
    #[inline]
    pub(crate) fn process(&self) -> &Process {
        &self.process
    }

    /// Returns the address of the first byte.
    #[inline]
    pub(crate) fn as_ptr(&self) -> *mut u8 {
        self.base().as_ptr()
    }

    /// Returns the mapped length in bytes.
    #[inline]
    pub(crate) fn len(&self) -> usize {
        self.extent.len()
    }

    /// Returns the mapped addresses.
    pub(crate) fn addresses(&self) -> Range<usize> {
        let start = self.base().addr().get();
        start..start + self.len()
    }

    /// Claims a range for a reader, a writer or a device.
    pub(crate) fn claim(
        &self,
        range: Range<usize>,
        access: Access,
    ) -> Result<ClaimedRange, ClaimError> {
        self.check_range(&range)?;
        self.claims.claim(range, access)
    }

    /// Refuses a range that runs backwards or ends behind the last byte.
    pub(crate) fn check_range(&self, range: &Range<usize>) -> Result<(), ClaimError> {
        if range.start > range.end || range.end > self.len() {
            return Err(ClaimError::OutOfRange {
                start: range.start,
                end: range.end,
                len_bytes: self.len(),
            });
        }
        Ok(())
    }

    /// Returns the address of the first byte of a claimed range.
    #[inline]
    pub(crate) fn claimed_ptr(&self, claimed: &ClaimedRange) -> *mut u8 {
        assert!(self.claims.has(claimed), "a claim on another mapping");
        self.base().as_ptr().wrapping_add(claimed.range().start)
    }

    /// Returns the bytes of a range that is claimed by a reader or a writer.
    ///
    /// # Panics
    ///
    /// Panics in a child, and for a claim on another mapping or of a device.
    #[inline]
    pub(crate) fn claimed<'a>(&'a self, claimed: &'a ClaimedRange) -> &'a [u8] {
        claimed.assert_current();
        assert!(
            claimed.access() != Access::Device,
            "a device may write to these bytes"
        );
        let start = self.claimed_ptr(claimed);
        // SAFETY: (1) the range lies in this mapping, which `claim` checked and `claimed_ptr` that it
        // is this one; it is mapped and initialised in this process, checked above (field `extent`);
        // (2) whoever reaches a mapping by claims reaches it by claims only (`bytes.rs` owns the pool);
        // (3) the claim excludes writers and devices until it is dropped, which the borrow outlasts,
        // or is a writer's own, whose exclusive slices borrow it mutably; the lock of the claims
        // orders what writers before have stored.
        unsafe { slice::from_raw_parts(start, claimed.range().len()) }
    }

    /// Returns the bytes of a range that is claimed by a writer.
    ///
    /// # Panics
    ///
    /// Panics in a child, and for any other claim.
    #[inline]
    pub(crate) fn claimed_mut<'a>(&'a self, claimed: &'a mut ClaimedRange) -> &'a mut [u8] {
        claimed.assert_current();
        assert!(claimed.access() == Access::Write, "only writers write");
        let start = self.claimed_ptr(claimed);
        // SAFETY: (1) and (2) as for `claimed`; (3) the claim excludes every other one that shares a
        // byte, and the mutable borrow of the claim every other slice of this one.
        unsafe { slice::from_raw_parts_mut(start, claimed.range().len()) }
    }

    /// Returns the bytes, for as long as nobody else can reach them.
    ///
    /// # Panics
    ///
    /// Panics in a child.
    #[track_caller]
    pub(crate) fn as_mut_slice(&mut self) -> &mut [u8] {
        self.process.assert_current();
        // SAFETY: (1) field `extent`: the bytes are mapped in this process (checked above), initialised
        // and this value's alone; (2) the borrow of `self` keeps every other access out while the slice lives.
        unsafe { slice::from_raw_parts_mut(self.base().as_ptr(), self.len()) }
    }

    /// Gives advice about the whole mapping.
    pub(crate) fn advise(&self, advice: Advice) -> Result<(), Errno> {
        let advice = match advice {
            Advice::DontFork => MmapAdvise::MADV_DONTFORK,
            Advice::DontDump => MmapAdvise::MADV_DONTDUMP,
            Advice::TransparentHuge => MmapAdvise::MADV_HUGEPAGE,
            Advice::NeverHuge => MmapAdvise::MADV_NOHUGEPAGE,
            Advice::Collapse => return self.collapse(),
        };
        // SAFETY: (1) the range is this mapping's own (field `extent`); (2) each of these advices keeps
        // the contents (madvise(2)).
        unsafe { mman::madvise(self.base().cast(), self.len(), advice) }
    }

    /// Returns the addresses, for bringing pages in.
    pub(crate) fn extent(&self) -> &Extent {
        &self.extent
    }

    /// Lets a thread work on the addresses until it is done, or told that the mapping is about to go.
    pub(crate) fn work_beside(
        &mut self,
        work: impl FnOnce(&Extent, &AtomicBool) + Send + 'static,
    ) -> std::io::Result<()> {
        debug_assert!(self.worker.is_none(), "one thread at a time");
        let extent = Extent::new(self.base(), self.len());
        self.worker = Some(Worker::start(extent, work)?);
        Ok(())
    }

    /// Drops the pages of the first `len` bytes; private anonymous memory then reads as zero again.
    pub(crate) fn discard(&mut self, len: usize) -> Result<(), Errno> {
        self.extent.check(&(0..len));
        // SAFETY: (1) the range is this mapping's own (checked above, field `base`); (2) nobody else
        // can hold a reference into it (`&mut self`); (3) it reads as initialised bytes afterwards.
        unsafe { mman::madvise(self.base().cast(), len, MmapAdvise::MADV_DONTNEED) }
    }

    /// Drops the pages of a range that is claimed by a writer, and what they hold: of a file, too, if
    /// one is behind them. They read as zero again.
    ///
    /// # Panics
    ///
    /// Panics in a child, and for any other claim.
    pub(crate) fn release(&self, claimed: &ClaimedRange, has_file: bool) -> Result<(), Errno> {
        claimed.assert_current();
        assert!(claimed.access() == Access::Write, "only writers write");
        let start = self.extent.at(claimed.range().start);
        assert!(self.claims.has(claimed), "a claim on another mapping");
        let advice = match has_file {
            true => MmapAdvise::MADV_REMOVE,
            false => MmapAdvise::MADV_DONTNEED,
        };
        // SAFETY: (1) the range is this mapping's own (`claim` checked the bounds, `has` the mapping);
        // (2) nobody has a reference into it, as the claim is a writer's and excludes all others;
        // (3) it reads as initialised bytes afterwards, zeroes.
        unsafe { mman::madvise(start.cast(), claimed.range().len(), advice) }
    }

    /// Keeps the whole mapping in memory.
    pub(crate) fn lock(&self) -> Result<(), Errno> {
        // SAFETY: (1) the range is this mapping's own (field `extent`); locking keeps the contents.
        unsafe { mman::mlock(self.base().cast(), self.len()) }
    }

    /// Sets the memory policy of `range`, for pages that are not yet populated.
    pub(crate) fn bind(
        &self,
        range: Range<usize>,
        mode: BindMode,
        nodes: &NodeMask,
    ) -> Result<(), Errno> {
        self.extent.check(&range);
        // The kernel reads one bit less than it is told (mbind(2), "maxnode").
        let max_node = NodeMask::WORDS * NodeMask::WORD_BITS + 1;
        let start = self.extent.at(range.start);
        // SAFETY: (1) the range is this mapping's own (checked above, field `base`); (2) the mask
        // outlives the call and holds the `max_node - 1` bits that the kernel reads; (3) a memory
        // policy keeps the contents.
        let status = unsafe {
            libc::syscall(
                libc::SYS_mbind,
                start.as_ptr(),
                range.len(),
                mode.number(),
                nodes.words.as_ptr(),
                max_node,
                0,
            )
        };
        Errno::result(status).map(drop)
    }

    fn collapse(&self) -> Result<(), Errno> {
        // SAFETY: (1) the range is this mapping's own (field `extent`); (2) `MADV_COLLAPSE` moves the
        // pages behind the addresses and keeps their contents (madvise(2)). nix has no name for it.
        let status =
            unsafe { libc::madvise(self.base().as_ptr().cast(), self.len(), libc::MADV_COLLAPSE) };
        Errno::result(status).map(drop)
    }

    fn base(&self) -> NonNull<u8> {
        self.extent.at(0)
    }
}

impl Drop for Mapping {
    fn drop(&mut self) {
        if !self.process.is_current() {
            // What lies at these addresses is the child's own; the owner of foreign memory and the
            // thread stay with the parent.
            let _ = ManuallyDrop::new(self.worker.take());
            return;
        }
        // So that nothing of the next mapping at these addresses is taken for this one.
        if let Some(worker) = self.worker.take() {
            worker.end();
        }
        if let Some(watch) = &self.watch {
            watch.end();
        }
        let (base, len) = (self.base(), self.len());
        match &mut self.release {
            Release::Munmap { guard_bytes } => {
                let len = len + *guard_bytes;
                // SAFETY: (1) the region and its guard are this value's own (field `extent`, variant)
                // and die with it.
                unsafe { unmap(base, len) };
            }
            Release::HugepageRs(layout) => {
                // SAFETY: (1) the region came from `hugepage_rs::alloc` with this layout (variant) and
                // dies with this value.
                unsafe { hugepage_rs::dealloc(base.as_ptr(), *layout) };
            }
            Release::Owner(owner) => {
                // SAFETY: (1) the owner is taken out here only, and a value is dropped once.
                unsafe { ManuallyDrop::drop(owner) };
            }
        }
    }
}

/// Private memory with a single owner, readable and writable as plain bytes.
///
/// Unlike a [`Mapping`] behind an arena, nothing else can hold a part of it.
#[derive(Debug)]
pub(crate) struct OwnedBytes(Mapping);

impl OwnedBytes {
    /// Takes over a mapping, and with it every way to reach its bytes.
    pub(crate) fn new(mapping: Mapping) -> Self {
        Self(mapping)
    }

    #[track_caller]
    pub(crate) fn as_slice(&self) -> &[u8] {
        self.0.process.assert_current();
        // SAFETY: (1) field `extent` of the mapping: mapped in this process (checked above), initialised,
        // this value's alone; (2) bytes
        // behind an `OwnedBytes` are written through `as_mut_slice` only, which takes `&mut self`.
        unsafe { slice::from_raw_parts(self.0.as_ptr(), self.0.len()) }
    }

    #[track_caller]
    pub(crate) fn as_mut_slice(&mut self) -> &mut [u8] {
        self.0.as_mut_slice()
    }
}
