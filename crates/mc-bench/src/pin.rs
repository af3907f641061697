//! Keeps the measuring thread on one core.
//!
//! A thread that migrates starts with cold caches on its new core, which costs more than what is
//! measured. Where the system refuses, the run goes on unpinned.

use nix::sched::{CpuSet, sched_getaffinity, sched_setaffinity};
use nix::unistd::Pid;

/// Restores the thread's cores when dropped.
pub(crate) struct Pinned(CpuSet);

/// Pins the calling thread to the last core it may run on, or does nothing where that fails.
///
/// The last, because the first is where interrupts tend to arrive.
pub(crate) fn to_one_core() -> Option<Pinned> {
    let this_thread = Pid::from_raw(0);
    let allowed = sched_getaffinity(this_thread).ok()?;
    let last = (0..CpuSet::count())
        .rev()
        .find(|&core| allowed.is_set(core) == Ok(true))?;
    let mut only = CpuSet::new();
    only.set(last).ok()?;
    sched_setaffinity(this_thread, &only).ok()?;
    Some(Pinned(allowed))
}

impl Drop for Pinned {
    fn drop(&mut self) {
        // The cores were allowed a moment ago; if they no longer are, staying pinned is harmless.
        let _ = sched_setaffinity(Pid::from_raw(0), &self.0);
    }
}
