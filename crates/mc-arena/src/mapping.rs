//! The owned region: every system call of this crate that takes a memory address.
//!
//! Key types: [`Mapping`], read/write and exclusively owned, and [`ReadOnlyMapping`], a view of
//! memory that another process owns. Both remember the length they have to unmap. The layer above,
//! `pool.rs`, decides what to map; this file checks bounds before it touches a pointer and knows no
//! policy.
#![expect(
    unsafe_code,
    reason = "mapping, advising and unmapping memory are raw system calls"
)]

mod shared_bytes;
mod window;

use std::{
    alloc::Layout, ffi::c_void, num::NonZeroUsize, ops::Range, os::fd::BorrowedFd, ptr::NonNull,
    slice,
};

use nix::{
    errno::Errno,
    libc,
    sys::mman::{self, MapFlags, MmapAdvise, ProtFlags},
};

pub use self::shared_bytes::{PoolBytes, ReadBytes, WriteBytes};

const READ_WRITE: ProtFlags = ProtFlags::PROT_READ.union(ProtFlags::PROT_WRITE);

/// Size of the pages the kernel maps unless asked for others, in bytes.
pub(crate) fn base_page_bytes() -> usize {
    // SAFETY: (1) `sysconf` takes no pointer and has no precondition (sysconf(3)).
    let bytes = unsafe { libc::sysconf(libc::_SC_PAGESIZE) };
    usize::try_from(bytes)
        .ok()
        .filter(|bytes| bytes.is_power_of_two())
        .unwrap_or(4096)
}

/// An exclusively owned, readable and writable mapping.
///
/// Dropping it unmaps it, with the length it was mapped with.
#[derive(Debug)]
pub(crate) struct Mapping {
    /// Start of the region. The `len` bytes from here on are mapped readable and writable, belong to
    /// this value alone and hold initialised bytes (the kernel zeroes what it maps).
    base: NonNull<u8>,
    len: usize,
    release: Release,
}

/// How a mapping is given back.
#[derive(Debug)]
enum Release {
    Munmap,
    /// Obtained from `hugepage_rs::alloc` with this layout.
    HugepageRs(Layout),
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

/// Memory policy of a range, as `mbind(2)` takes it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum BindMode {
    Bind,
    Prefer,
    Interleave,
}

/// A set of NUMA nodes, in the layout that `mbind(2)` reads.
#[derive(Clone, Debug, Default)]
pub(crate) struct NodeMask {
    words: [libc::c_ulong; NodeMask::WORDS],
}

impl NodeMask {
    const WORD_BITS: usize = libc::c_ulong::BITS as usize;
    /// 1024 nodes, the most that Linux can be configured for.
    const WORDS: usize = 1024 / Self::WORD_BITS;

    /// Adds a node; returns false if no kernel has that many.
    pub(crate) fn insert(&mut self, node: u32) -> bool {
        let node = node as usize;
        let Some(word) = self.words.get_mut(node / Self::WORD_BITS) else {
            return false;
        };
        *word |= 1 << (node % Self::WORD_BITS);
        true
    }
}

// SAFETY: (1) the region is owned by the value alone (field `base`), and a mapping is not tied to the
// thread that made it.
unsafe impl Send for Mapping {}
// SAFETY: (1) `&Mapping` gives addresses and system calls that keep the contents; reading or writing
// the bytes takes `&mut Mapping`, or a claim that proves that its range has one writer or readers only.
unsafe impl Sync for Mapping {}

impl Mapping {
    /// Maps zeroed private memory in base pages, its address a multiple of `align`.
    pub(crate) fn private(len: NonZeroUsize, align: usize) -> Result<Self, Errno> {
        Self::map_aligned(len, align, |address| {
            let flags = MapFlags::MAP_PRIVATE | MapFlags::MAP_FIXED;
            // SAFETY: (1) `map_aligned` passes an address whose `len` bytes lie in a reservation of
            // its own, so `MAP_FIXED` replaces nothing of anyone else's.
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
            let flags = MapFlags::MAP_PRIVATE | MapFlags::MAP_FIXED | size_flag;
            // SAFETY: (1) as in `private`: `MAP_FIXED` replaces part of the caller's own reservation.
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
        Errno::clear();
        // SAFETY: (1) the size of the layout is not zero, checked above.
        let base = unsafe { hugepage_rs::alloc(layout) };
        let base = NonNull::new(base).ok_or_else(|| match Errno::last() {
            Errno::UnknownErrno => Errno::EINVAL,
            errno => errno,
        })?;
        Ok(Self {
            base,
            len: layout.size(),
            release: Release::HugepageRs(layout),
        })
    }

    /// Maps the first `len` bytes of a memory file, shared, its address a multiple of `align`.
    pub(crate) fn shared(
        file: BorrowedFd<'_>,
        len: NonZeroUsize,
        align: usize,
    ) -> Result<Self, Errno> {
        Self::map_aligned(len, align, |address| {
            let flags = MapFlags::MAP_SHARED | MapFlags::MAP_FIXED;
            // SAFETY: (1) as in `private`: `MAP_FIXED` replaces part of the caller's own reservation.
            unsafe { mman::mmap(Some(address), len, READ_WRITE, flags, file, 0) }
        })
    }

    /// Reserves address space for `len` bytes at a multiple of `align` and lets `map` fill it.
    fn map_aligned(
        len: NonZeroUsize,
        align: usize,
        map: impl FnOnce(NonZeroUsize) -> Result<NonNull<c_void>, Errno>,
    ) -> Result<Self, Errno> {
        debug_assert!(align.is_power_of_two());
        let reserved_len = len.checked_add(align).ok_or(Errno::ENOMEM)?;
        let flags = MapFlags::MAP_PRIVATE | MapFlags::MAP_NORESERVE;
        // SAFETY: (1) the kernel chooses the address (`None`), so no existing mapping is touched.
        let reserved =
            unsafe { mman::mmap_anonymous(None, reserved_len, ProtFlags::PROT_NONE, flags) }?;
        let mut reservation = Self {
            base: reserved.cast(),
            len: reserved_len.get(),
            release: Release::Munmap,
        };

        let start = reservation.base;
        let aligned = start
            .addr()
            .get()
            .checked_next_multiple_of(align)
            .and_then(NonZeroUsize::new);
        let base = map(aligned.ok_or(Errno::ENOMEM)?)?.cast();

        let head_len = base.addr().get() - start.addr().get();
        let tail_len = reserved_len.get() - head_len - len.get();
        reservation.base = base;
        reservation.len = len.get();
        if head_len > 0 {
            // SAFETY: (1) these bytes open the reservation made above, and `reservation` has just
            // stopped covering them.
            unsafe { unmap(start, head_len) };
        }
        if tail_len > 0 {
            let tail = reservation.at(len.get());
            // SAFETY: (1) these bytes close the reservation made above, and `reservation` has just
            // stopped covering them.
            unsafe { unmap(tail, tail_len) };
        }
        Ok(reservation)
    }

    /// Returns the address of the first byte.
    #[inline]
    pub(crate) fn as_ptr(&self) -> *mut u8 {
        self.base.as_ptr()
    }

    /// Returns the mapped length in bytes.
    #[inline]
    pub(crate) fn len(&self) -> usize {
        self.len
    }

    /// Returns the mapped addresses.
    pub(crate) fn addresses(&self) -> Range<usize> {
        let start = self.base.addr().get();
        start..start + self.len
    }

    /// Returns the bytes, for as long as nobody else can reach them.
    pub(crate) fn as_mut_slice(&mut self) -> &mut [u8] {
        // SAFETY: (1) field `base`: the bytes are mapped, initialised and this value's alone; (2) the
        // borrow of `self` keeps every other access out while the slice lives.
        unsafe { slice::from_raw_parts_mut(self.base.as_ptr(), self.len) }
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
        // SAFETY: (1) the range is this mapping's own (field `base`); (2) each of these advices keeps
        // the contents (madvise(2)).
        unsafe { mman::madvise(self.base.cast(), self.len, advice) }
    }

    /// Backs `range` with memory now, reporting what a later touch would turn into SIGBUS.
    ///
    /// The contents stay as they are. `EINVAL` means that the kernel (before 5.14) has no
    /// `MADV_POPULATE_WRITE`.
    pub(crate) fn populate(&self, range: Range<usize>) -> Result<(), Errno> {
        self.check(&range);
        loop {
            let start = self.at(range.start).cast();
            // SAFETY: (1) the range is this mapping's own (checked above, field `base`); (2) the
            // advice faults pages in as a write would and keeps their contents (madvise(2)).
            match unsafe { mman::madvise(start, range.len(), MmapAdvise::MADV_POPULATE_WRITE) } {
                Err(Errno::EINTR | Errno::EAGAIN) => {}
                result => return result,
            }
        }
    }

    /// Drops the pages of the first `len` bytes; private anonymous memory then reads as zero again.
    pub(crate) fn discard(&mut self, len: usize) -> Result<(), Errno> {
        self.check(&(0..len));
        // SAFETY: (1) the range is this mapping's own (checked above, field `base`); (2) nobody else
        // can hold a reference into it (`&mut self`); (3) it reads as initialised bytes afterwards.
        unsafe { mman::madvise(self.base.cast(), len, MmapAdvise::MADV_DONTNEED) }
    }

    /// Keeps the whole mapping in memory.
    pub(crate) fn lock(&self) -> Result<(), Errno> {
        // SAFETY: (1) the range is this mapping's own (field `base`); locking keeps the contents.
        unsafe { mman::mlock(self.base.cast(), self.len) }
    }

    /// Sets the memory policy of `range`, for pages that are not yet populated.
    pub(crate) fn bind(
        &self,
        range: Range<usize>,
        mode: BindMode,
        nodes: &NodeMask,
    ) -> Result<(), Errno> {
        self.check(&range);
        let mode = match mode {
            BindMode::Bind => libc::MPOL_BIND,
            BindMode::Prefer => libc::MPOL_PREFERRED,
            BindMode::Interleave => libc::MPOL_INTERLEAVE,
        };
        // The kernel reads one bit less than it is told (mbind(2), "maxnode").
        let max_node = NodeMask::WORDS * NodeMask::WORD_BITS + 1;
        let start = self.at(range.start);
        // SAFETY: (1) the range is this mapping's own (checked above, field `base`); (2) the mask
        // outlives the call and holds the `max_node - 1` bits that the kernel reads; (3) a memory
        // policy keeps the contents.
        let status = unsafe {
            libc::syscall(
                libc::SYS_mbind,
                start.as_ptr(),
                range.len(),
                mode,
                nodes.words.as_ptr(),
                max_node,
                0,
            )
        };
        Errno::result(status).map(drop)
    }

    fn collapse(&self) -> Result<(), Errno> {
        // SAFETY: (1) the range is this mapping's own (field `base`); (2) `MADV_COLLAPSE` moves the
        // pages behind the addresses and keeps their contents (madvise(2)). nix has no name for it.
        let status =
            unsafe { libc::madvise(self.base.as_ptr().cast(), self.len, libc::MADV_COLLAPSE) };
        Errno::result(status).map(drop)
    }

    fn at(&self, offset: usize) -> NonNull<u8> {
        self.base.map_addr(|address| address.saturating_add(offset))
    }

    #[track_caller]
    fn check(&self, range: &Range<usize>) {
        assert!(range.start <= range.end, "range {range:?} runs backwards");
        assert!(
            range.end <= self.len,
            "range {range:?} of a mapping of {} bytes",
            self.len
        );
    }
}

impl Drop for Mapping {
    fn drop(&mut self) {
        match self.release {
            Release::Munmap => {
                // SAFETY: (1) the region is this value's own (field `base`) and dies with it.
                unsafe { unmap(self.base, self.len) };
            }
            Release::HugepageRs(layout) => {
                // SAFETY: (1) the region came from `hugepage_rs::alloc` with this layout (variant) and
                // dies with this value.
                unsafe { hugepage_rs::dealloc(self.base.as_ptr(), layout) };
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

    pub(crate) fn as_slice(&self) -> &[u8] {
        // SAFETY: (1) field `base` of the mapping: mapped, initialised, this value's alone; (2) bytes
        // behind an `OwnedBytes` are written through `as_mut_slice` only, which takes `&mut self`.
        unsafe { slice::from_raw_parts(self.0.base.as_ptr(), self.0.len) }
    }

    pub(crate) fn as_mut_slice(&mut self) -> &mut [u8] {
        self.0.as_mut_slice()
    }
}

/// A read-only, shared view of memory that another process owns and writes.
///
/// It hands out copies and no references: the bytes may change at any moment.
#[derive(Debug)]
pub(crate) struct ReadOnlyMapping {
    /// Start of `len` bytes that are mapped readable for the life of this value.
    base: NonNull<u8>,
    len: usize,
}

// SAFETY: (1) the view is not tied to the thread that made it.
unsafe impl Send for ReadOnlyMapping {}
// SAFETY: (1) every access through `&self` only reads.
unsafe impl Sync for ReadOnlyMapping {}

impl ReadOnlyMapping {
    /// Maps the first `len` bytes of a memory file, which must be sealed against shrinking.
    pub(crate) fn new(file: BorrowedFd<'_>, len: NonZeroUsize) -> Result<Self, Errno> {
        // SAFETY: (1) the kernel chooses the address (`None`), so no existing mapping is touched.
        let base = unsafe {
            mman::mmap(
                None,
                len,
                ProtFlags::PROT_READ,
                MapFlags::MAP_SHARED,
                file,
                0,
            )
        }?;
        Ok(Self {
            base: base.cast(),
            len: len.get(),
        })
    }

    /// Returns the mapped length in bytes.
    pub(crate) fn len(&self) -> usize {
        self.len
    }

    /// Returns the address of the first byte.
    pub(crate) fn as_ptr(&self) -> *const u8 {
        self.base.as_ptr()
    }

    /// Copies `into.len()` bytes from `offset` on; returns false if they are not all inside.
    pub(crate) fn read_at(&self, offset: usize, into: &mut [u8]) -> bool {
        if offset
            .checked_add(into.len())
            .is_none_or(|end| end > self.len)
        {
            return false;
        }
        let from = self.base.as_ptr().wrapping_add(offset);
        // SAFETY: (1) the source lies inside the view (checked above) and stays readable (field
        // `base`, sealed length); (2) the target is a live exclusive slice of that length, so the two
        // do not overlap; (3) the writer is another process (`SharedView::open` refuses pools of this
        // one), whose stores the copy sees in some order, byte by byte.
        unsafe { from.copy_to_nonoverlapping(into.as_mut_ptr(), into.len()) };
        true
    }
}

impl Drop for ReadOnlyMapping {
    fn drop(&mut self) {
        // SAFETY: (1) the view is this value's own (field `base`) and dies with it.
        unsafe { unmap(self.base, self.len) };
    }
}

/// Unmaps a range; a failure leaves it mapped, which is a leak and not an error to act on.
///
/// # Safety
///
/// The `len` bytes from `start` on are mapped, and nothing uses them any more.
unsafe fn unmap(start: NonNull<u8>, len: usize) {
    // SAFETY: (1) the caller's clause: nothing uses the range any more.
    let unmapped = unsafe { mman::munmap(start.cast(), len) };
    debug_assert_eq!(unmapped, Ok(()), "unmapping {len} bytes at {start:p}");
}
