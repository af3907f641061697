//! Memory that objects take, and what is given back when they have left.
//!
//! Counted is all anonymous memory that the process has resident, so that what the heap wastes
//! between objects counts, too. Memory that was freed before would be used again unseen: each subject
//! is measured in a process of its own. And what a subject frees shall not stay resident because the
//! heap keeps it at hand: it keeps little there.

use std::env;
use std::fs;
use std::process::Command;

use rand::SeedableRng;
use rand_xoshiro::Xoshiro256PlusPlus;
use serde::{Deserialize, Serialize};

use crate::workload::RequestError;

use super::NAME;
use super::plan::next_key;
use super::subject::Subject;

/// First argument by which the `mc-bench` command is told to measure one subject.
pub const COMMAND: &str = "store-memory";

/// What the kernel says about the memory of the process.
const ROLLUP: &str = "/proc/self/smaps_rollup";

/// The line of it that counts.
const ANONYMOUS: &str = "Anonymous:";

/// Tells glibc to keep no freed blocks by thread, which would hold the end of the heap, and no more than
/// 128 KiB of that end, which otherwise grows with the largest table that was freed.
const HEAP_SETTINGS: (&str, &str) = (
    "GLIBC_TUNABLES",
    "glibc.malloc.tcache_count=0:glibc.malloc.trim_threshold=131072",
);

/// What the keys are drawn from.
const SEED: u64 = 42;

/// Bytes of anonymous memory that a process has resident.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct MemoryUse {
    /// Objects that were stored.
    pub objects: u64,
    /// Before the first of them.
    pub empty_bytes: u64,
    /// With all of them.
    pub full_bytes: u64,
    /// After the last of them was removed.
    pub left_bytes: u64,
}

impl MemoryUse {
    /// Returns the bytes that one object takes, all in.
    #[must_use]
    pub fn bytes_per_object(&self) -> f64 {
        self.full_bytes.saturating_sub(self.empty_bytes) as f64 / self.objects as f64
    }

    /// Returns the share of what the objects took that was given back.
    #[must_use]
    pub fn given_back(&self) -> f64 {
        let taken = self.full_bytes.saturating_sub(self.empty_bytes).max(1);
        let given_back = self.full_bytes.saturating_sub(self.left_bytes);
        given_back as f64 / taken as f64
    }
}

/// Measures a subject in a process of its own.
pub(super) fn measure_apart(
    subject: &'static str,
    objects: u64,
) -> Result<MemoryUse, RequestError> {
    let failed = |reason: String| RequestError::Apart {
        workload: NAME,
        subject,
        reason,
    };
    let program = env::current_exe().map_err(|error| failed(error.to_string()))?;
    let output = Command::new(program)
        .args([COMMAND, subject, &objects.to_string()])
        .env(HEAP_SETTINGS.0, HEAP_SETTINGS.1)
        .output()
        .map_err(|error| failed(error.to_string()))?;
    serde_json::from_slice(&output.stdout).map_err(|error| failed(error.to_string()))
}

pub(super) fn measure<S: Subject>(objects: u64) -> MemoryUse {
    let capacity = usize::try_from(2 * objects).expect("an address for each object");
    // What a thread keeps from its first calls on would hold the end of a full heap.
    let first = S::new(1);
    first.put(&[0; 32]);
    first.remove(&[0; 32]);
    drop(first);
    let empty_bytes = resident_bytes();
    let subject = S::new(capacity);
    let each_key = |visit: &dyn Fn(&[u8; 32])| {
        let mut generator = Xoshiro256PlusPlus::seed_from_u64(SEED);
        (0..objects).for_each(|_| visit(&next_key(&mut generator)));
    };
    each_key(&|key| assert!(subject.put(key), "there is room for all"));
    let full_bytes = resident_bytes();
    each_key(&|key| subject.remove(key));
    let left_bytes = resident_bytes();
    drop(subject);
    MemoryUse {
        objects,
        empty_bytes,
        full_bytes,
        left_bytes,
    }
}

/// Returns the anonymous memory that this process has resident.
///
/// # Panics
///
/// Panics where the kernel does not tell; Linux does since 4.14.
fn resident_bytes() -> u64 {
    let text = fs::read_to_string(ROLLUP).expect("the kernel tells");
    anonymous_bytes(&text).expect("anonymous memory is among it")
}

fn anonymous_bytes(rollup: &str) -> Option<u64> {
    let line = rollup.lines().find(|line| line.starts_with(ANONYMOUS))?;
    let kibibytes: u64 = line.split_whitespace().nth(1)?.parse().ok()?;
    Some(kibibytes << 10)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn anonymous_memory_is_one_line_of_many() {
        let rollup = "55d0-7ffd ---p 00000000 00:00 0 [rollup]\nRss:  2048 kB\nAnonymous:     12 kB\nLazyFree: 0 kB\n";
        assert_eq!(anonymous_bytes(rollup), Some(12 << 10));
        assert_eq!(anonymous_bytes("Rss: 2048 kB\n"), None);
    }

    #[test]
    fn what_was_there_before_counts_for_nothing() {
        let memory = MemoryUse {
            objects: 100,
            empty_bytes: 5_000,
            full_bytes: 25_000,
            left_bytes: 7_000,
        };
        assert_eq!(memory.bytes_per_object(), 200.0);
        assert_eq!(memory.given_back(), 0.9);
    }
}
