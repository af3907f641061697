//! How long threads were ready and had no core: what the machine, not the store, made them wait for.

use std::fs::File;
use std::os::unix::fs::FileExt;
use std::time::Duration;

use nix::unistd::{Pid, gettid};

/// Bytes of the kernel's three numbers at most: time on a core, time without one, turns.
const TEXT_BYTES_MAX: usize = 64;

/// Some threads of this process, and what was read of them last.
///
/// Where the kernel does not count, nobody is ever delayed.
#[derive(Debug)]
pub(super) struct Delays {
    threads: Vec<(File, Duration)>,
}

/// Returns the calling thread.
pub(super) fn this_thread() -> Pid {
    gettid()
}

impl Delays {
    pub(super) fn of(threads: &[Pid]) -> Self {
        let open = |thread: &Pid| File::open(format!("/proc/self/task/{thread}/schedstat"));
        let files = threads.iter().filter_map(|thread| open(thread).ok());
        let mut delays = Self {
            threads: files.map(|file| (file, Duration::ZERO)).collect(),
        };
        delays.take();
        delays
    }

    /// Returns how long the threads together were delayed since the last call, or since they became
    /// known.
    pub(super) fn take(&mut self) -> Duration {
        let take = |(file, before): &mut (File, Duration)| {
            let now = read(file).unwrap_or(*before);
            now.saturating_sub(std::mem::replace(before, now))
        };
        self.threads.iter_mut().map(take).sum()
    }
}

fn read(file: &File) -> Option<Duration> {
    let mut text = [0; TEXT_BYTES_MAX];
    let length = file.read_at(&mut text, 0).ok()?;
    parse(str::from_utf8(&text[..length]).ok()?)
}

fn parse(schedstat: &str) -> Option<Duration> {
    let without_core_ns = schedstat.split_whitespace().nth(1)?.parse().ok()?;
    Some(Duration::from_nanos(without_core_ns))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_second_number_counts() {
        assert_eq!(parse("81 674337 1\n"), Some(Duration::from_nanos(674_337)));
        assert_eq!(parse("81\n"), None);
    }

    #[test]
    fn what_was_before_does_not_count() {
        let begun = std::time::Instant::now();
        let mut delays = Delays::of(&[this_thread()]);
        assert!(delays.take() <= begun.elapsed());
    }
}
