//! What every file below `mapping.rs` needs of the kernel.

use std::ptr::NonNull;

use nix::{libc, sys::mman};

/// Size of the pages the kernel maps unless asked for others, in bytes.
pub(crate) fn base_page_bytes() -> usize {
    // SAFETY: (1) `sysconf` takes no pointer and has no precondition (sysconf(3)).
    let bytes = unsafe { libc::sysconf(libc::_SC_PAGESIZE) };
    usize::try_from(bytes)
        .ok()
        .filter(|bytes| bytes.is_power_of_two())
        .unwrap_or(4096)
}

/// Unmaps a range; a failure leaves it mapped, which is a leak and not an error to act on.
///
/// # Safety
///
/// The `len` bytes from `start` on are mapped, and nothing uses them any more.
pub(super) unsafe fn unmap(start: NonNull<u8>, len: usize) {
    // SAFETY: (1) the caller's clause: nothing uses the range any more.
    let unmapped = unsafe { mman::munmap(start.cast(), len) };
    debug_assert_eq!(unmapped, Ok(()), "unmapping {len} bytes at {start:p}");
}
