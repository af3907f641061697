//! What happens when a file behind a mapping is cut short by somebody else.
//!
//! The kernel answers a touch of bytes that a file has no more with SIGBUS, which ends the process.
//! A [`Watch`] puts zeros there instead and notes it, so that the touch is harmless and whoever lends
//! the bytes can refuse them from then on. All other causes of the signal, broken memory among them, go
//! to whatever handled it before.

use std::{
    ffi::c_void,
    num::NonZeroUsize,
    ops::Range,
    ptr,
    sync::{
        OnceLock,
        atomic::{AtomicBool, AtomicU64, AtomicUsize, Ordering},
    },
};

use nix::{
    errno::Errno,
    libc,
    sys::mman::{self, MapFlags, ProtFlags},
};

use super::process::{self, Process};

/// Mappings watched at once: a pool over a file needs two.
const SLOTS: usize = 512;

static WATCHED: [Slot; SLOTS] = [const { Slot::vacant() }; SLOTS];

/// What handled the signal before.
static EARLIER: OnceLock<libc::sigaction> = OnceLock::new();

/// A mapping that the handler of the signal may put zeros into.
struct Slot {
    /// The number of the process that watches, 0 iff the slot is vacant, [`Slot::TAKEN`] while it is
    /// being filled and after its mapping has gone. Stored with `Release` after the other fields; read with `Acquire` by the handler.
    process: AtomicU64,
    /// First address. Relaxed, as `process` orders it; the same for the next two.
    start: AtomicUsize,
    len: AtomicUsize,
    page_bytes: AtomicUsize,
    /// True implies that bytes were touched which the file did not have. Set by the handler, Relaxed:
    /// the thread that touched them is the one that asks.
    is_torn: AtomicBool,
}

/// The watch over one mapping. It ends with the mapping, which [`end`](Self::end)s it; what it saw can
/// be asked for as long as the value lives.
#[derive(Debug)]
pub(crate) struct Watch {
    slot: usize,
    process: Process,
}

impl Slot {
    /// No process has this number: they are counted from 1.
    const TAKEN: u64 = u64::MAX;

    const fn vacant() -> Self {
        Self {
            process: AtomicU64::new(0),
            start: AtomicUsize::new(0),
            len: AtomicUsize::new(0),
            page_bytes: AtomicUsize::new(0),
            is_torn: AtomicBool::new(false),
        }
    }

    /// Takes the slot for a process, unless another mapping of the same process has it.
    fn take(&self, number: u64) -> bool {
        let before = self.process.load(Ordering::Relaxed);
        // What a parent watched is no concern of a child.
        let is_vacant = before != number && before != Self::TAKEN;
        let (success, failure) = (Ordering::Acquire, Ordering::Relaxed);
        is_vacant
            && self
                .process
                .compare_exchange(before, Self::TAKEN, success, failure)
                .is_ok()
    }

    fn holds(&self, number: u64, address: usize) -> bool {
        self.process.load(Ordering::Acquire) == number
            && address
                .checked_sub(self.start.load(Ordering::Relaxed))
                .is_some_and(|offset| offset < self.len.load(Ordering::Relaxed))
    }
}

impl Watch {
    /// Watches a mapping that is backed in pages of `page_bytes`.
    ///
    /// `EMFILE` means that 256 files are watched already.
    pub(super) fn over(
        addresses: &Range<usize>,
        page_bytes: usize,
        process: &Process,
    ) -> Result<Self, Errno> {
        install()?;
        let number = process.number();
        let slot = WATCHED.iter().position(|slot| slot.take(number));
        let slot = slot.ok_or(Errno::EMFILE)?;
        let taken = &WATCHED[slot];
        taken.start.store(addresses.start, Ordering::Relaxed);
        taken.len.store(addresses.len(), Ordering::Relaxed);
        taken.page_bytes.store(page_bytes, Ordering::Relaxed);
        taken.is_torn.store(false, Ordering::Relaxed);
        taken.process.store(number, Ordering::Release);
        let process = *process;
        Ok(Self { slot, process })
    }

    /// Says whether bytes were touched that the file did not have any more.
    pub(crate) fn is_torn(&self) -> bool {
        WATCHED[self.slot].is_torn.load(Ordering::Relaxed)
    }

    /// Stops watching: to be called before the mapping is unmapped, by the process that has it.
    pub(super) fn end(&self) {
        WATCHED[self.slot]
            .process
            .store(Slot::TAKEN, Ordering::Release);
    }
}

impl Drop for Watch {
    fn drop(&mut self) {
        // In a child, the slot may be a mapping's of its own by now.
        if self.process.is_current() {
            WATCHED[self.slot].process.store(0, Ordering::Release);
        }
    }
}

/// Makes this file handle SIGBUS, once per process.
fn install() -> Result<(), Errno> {
    static IS_INSTALLED: AtomicBool = AtomicBool::new(false);
    if IS_INSTALLED.swap(true, Ordering::AcqRel) {
        return Ok(());
    }
    let handler: extern "C" fn(libc::c_int, *mut libc::siginfo_t, *mut c_void) = on_bus_error;
    let empty = libc::sigaction {
        sa_sigaction: libc::SIG_DFL,
        // SAFETY: (1) a signal set is plain numbers, for which zeros are the empty set.
        sa_mask: unsafe { std::mem::zeroed() },
        sa_flags: 0,
        sa_restorer: None,
    };
    let action = libc::sigaction {
        sa_sigaction: handler as *const () as usize,
        sa_flags: libc::SA_SIGINFO | libc::SA_ONSTACK | libc::SA_NODEFER,
        ..empty
    };
    let mut earlier = empty;
    // SAFETY: (1) both structures live throughout the call; (2) the handler has the signature that
    // `SA_SIGINFO` promises and does only what signal-safety(7) allows: atomics and `mmap`.
    let status = unsafe { libc::sigaction(libc::SIGBUS, &raw const action, &raw mut earlier) };
    if let Err(errno) = Errno::result(status) {
        IS_INSTALLED.store(false, Ordering::Release);
        return Err(errno);
    }
    // Nobody else sets it: this ran once.
    let _ = EARLIER.set(earlier);
    Ok(())
}

extern "C" fn on_bus_error(signal: libc::c_int, info: *mut libc::siginfo_t, context: *mut c_void) {
    let errno = Errno::last_raw();
    // SAFETY: (1) the kernel passes a valid structure to a handler with `SA_SIGINFO` (sigaction(2)).
    let info_ref = unsafe { &*info };
    // SAFETY: (1) SIGBUS carries an address (sigaction(2), "si_addr").
    let address = unsafe { info_ref.si_addr() }.addr();
    let is_patched = info_ref.si_code == libc::BUS_ADRERR && patch(address);
    Errno::set_raw(errno);
    if !is_patched {
        pass_on(signal, info, context);
    }
}

/// Puts zeros where a watched mapping has lost its file; false if no mapping of ours is concerned.
fn patch(address: usize) -> bool {
    let number = process::number_now();
    let is_concerned = |slot: &&Slot| number != 0 && slot.holds(number, address);
    let Some(slot) = WATCHED.iter().find(is_concerned) else {
        return false;
    };
    let page_bytes = slot.page_bytes.load(Ordering::Relaxed);
    let page = NonZeroUsize::new(address & !(page_bytes - 1));
    let (Some(page), Some(len)) = (page, NonZeroUsize::new(page_bytes)) else {
        return false;
    };
    slot.is_torn.store(true, Ordering::Relaxed);
    let access = ProtFlags::PROT_READ | ProtFlags::PROT_WRITE;
    let flags = MapFlags::MAP_PRIVATE | MapFlags::MAP_FIXED | MapFlags::MAP_NORESERVE;
    // SAFETY: (1) the page lies in a mapping that is watched, hence mapped and of this process (`Watch`
    // is dropped before the mapping is unmapped), so `MAP_FIXED` replaces nothing of anyone else's;
    // (2) the page had no bytes to lose: the kernel has just refused to touch it; (3) zeros are
    // initialised bytes for every slice that covers them.
    unsafe { mman::mmap_anonymous(Some(page), len, access, flags) }.is_ok()
}

/// Does what would have been done without this file.
fn pass_on(signal: libc::c_int, info: *mut libc::siginfo_t, context: *mut c_void) {
    let handler = EARLIER
        .get()
        .map_or(libc::SIG_DFL, |earlier| earlier.sa_sigaction);
    let has_info = EARLIER
        .get()
        .is_some_and(|earlier| earlier.sa_flags & libc::SA_SIGINFO != 0);
    if handler == libc::SIG_DFL || handler == libc::SIG_IGN {
        // Returning repeats the access, which then ends the process as it would have done.
        // SAFETY: (1) `signal` takes no pointer here.
        unsafe { libc::signal(signal, libc::SIG_DFL) };
        return;
    }
    let handler = ptr::with_exposed_provenance::<()>(handler);
    if has_info {
        type WithInfo = extern "C" fn(libc::c_int, *mut libc::siginfo_t, *mut c_void);
        // SAFETY: (1) whoever set the handler with `SA_SIGINFO` promised this signature (sigaction(2)).
        let handler = unsafe { std::mem::transmute::<*const (), WithInfo>(handler) };
        handler(signal, info, context);
    } else {
        // SAFETY: (1) a handler without `SA_SIGINFO` takes the number alone (sigaction(2)).
        let handler =
            unsafe { std::mem::transmute::<*const (), extern "C" fn(libc::c_int)>(handler) };
        handler(signal);
    }
}
