//! Keeps measuring threads on their cores.
//!
//! A thread that migrates starts with cold caches on its new core, which costs more than what is
//! measured. Where the system refuses, the run goes on unpinned.

use nix::sched::{CpuSet, sched_getaffinity, sched_setaffinity};
use nix::unistd::Pid;

/// The calling thread, as the system names it.
const THIS_THREAD: Pid = Pid::from_raw(0);

/// Restores the thread's cores when dropped.
pub(crate) struct Pinned(CpuSet);

/// Pins the calling thread to the last core it may run on, or does nothing where that fails.
///
/// The last, because the first is where interrupts tend to arrive.
pub(crate) fn to_one_core() -> Option<Pinned> {
    let allowed = sched_getaffinity(THIS_THREAD).ok()?;
    pin(last_first(&allowed).next()?)?;
    Some(Pinned(allowed))
}

/// Pins the calling thread until it ends: threads 0, 1, 2 … get the cores they may run on in turn,
/// the last core first.
pub(crate) fn in_turn(thread: usize) {
    let Ok(allowed) = sched_getaffinity(THIS_THREAD) else {
        return;
    };
    let cores: Vec<usize> = last_first(&allowed).collect();
    if let Some(&core) = cores.get(thread % cores.len().max(1)) {
        // A thread that was refused runs where the system puts it.
        let _ = pin(core);
    }
}

fn last_first(allowed: &CpuSet) -> impl Iterator<Item = usize> {
    (0..CpuSet::count())
        .rev()
        .filter(|&core| allowed.is_set(core) == Ok(true))
}

fn pin(core: usize) -> Option<()> {
    let mut only = CpuSet::new();
    only.set(core).ok()?;
    sched_setaffinity(THIS_THREAD, &only).ok()
}

impl Drop for Pinned {
    fn drop(&mut self) {
        // The cores were allowed a moment ago; if they no longer are, staying pinned is harmless.
        let _ = sched_setaffinity(THIS_THREAD, &self.0);
    }
}
