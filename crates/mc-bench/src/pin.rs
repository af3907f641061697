//! Keeps measuring threads on one core each.
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

/// Pins the calling thread for good to one of the cores it may run on, chosen by a number that
/// counts threads, or does nothing where that fails.
pub(crate) fn to_core_in_turn(number: usize) {
    let this_thread = Pid::from_raw(0);
    let Ok(allowed) = sched_getaffinity(this_thread) else {
        return;
    };
    let is_allowed = |&core: &usize| allowed.is_set(core) == Ok(true);
    let cores: Vec<usize> = (0..CpuSet::count()).filter(is_allowed).collect();
    let mut only = CpuSet::new();
    if !cores.is_empty() && only.set(cores[number % cores.len()]).is_ok() {
        // Refused, the thread stays where the system lets it run.
        let _ = sched_setaffinity(this_thread, &only);
    }
}

impl Drop for Pinned {
    fn drop(&mut self) {
        // The cores were allowed a moment ago; if they no longer are, staying pinned is harmless.
        let _ = sched_setaffinity(Pid::from_raw(0), &self.0);
    }
}
