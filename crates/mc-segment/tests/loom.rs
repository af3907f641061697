//! Models of an unmount against accesses, explored by loom.
//!
//! Run with `RUSTFLAGS="--cfg loom" cargo test -p mc-segment --release --test loom`.
//!
//! Claims, one test each:
//!
//! 1. Who closes the gate and finds nobody inside has the memory alone, and sees what was written.
//! 2. An access is refused or holds back a replacement that wants nobody inside; never neither.
//! 3. Who waits for the last access is woken by it, whoever is the last.
//! 4. The explorer can tell: an access that checks once and claims nothing is caught.
#![cfg(test)]
#![cfg(loom)]

use std::time::Duration;

use loom::{
    cell::UnsafeCell,
    sync::{
        Arc,
        atomic::{AtomicBool, Ordering},
    },
    thread,
};
use mc_segment::model::Gate;

/// A segment's memory behind its gate; loom reports two threads in it without an order.
struct Segment {
    gate: Gate,
    memory: UnsafeCell<u8>,
}

impl Segment {
    fn new() -> Arc<Self> {
        Arc::new(Self {
            gate: Gate::new(),
            memory: UnsafeCell::new(0),
        })
    }

    /// Writes as a buffer does; returns whether it was let in.
    fn write(&self) -> bool {
        let Some(_access) = self.gate.enter() else {
            return false;
        };
        self.memory.with_mut(|_| ());
        true
    }

    /// Uses the memory as another segment's.
    fn use_as_another(&self) {
        self.memory.with_mut(|_| ());
    }
}

/// Runs two threads that write once each, and `unmount`.
fn beside_writers(writers: usize, unmount: impl Fn(&Segment) + Send + Sync + 'static) {
    let unmount = std::sync::Arc::new(unmount);
    loom::model(move || {
        let segment = Segment::new();
        // Two writers at once would be a mistake of the test, not of the gate.
        let turn = Arc::new(loom::sync::Mutex::new(()));
        let threads: Vec<_> = (0..writers)
            .map(|_| {
                let (segment, turn) = (Arc::clone(&segment), Arc::clone(&turn));
                thread::spawn(move || {
                    let _turn = turn.lock().unwrap();
                    segment.write()
                })
            })
            .collect();
        unmount(&segment);
        for thread in threads {
            thread.join().unwrap();
        }
        assert_eq!(segment.gate.accesses(), 0);
    });
}

#[test]
fn the_memory_is_alone_once_nobody_is_inside_a_closed_gate() {
    for writers in [1, 2] {
        beside_writers(writers, |segment| {
            segment.gate.close();
            if segment.gate.accesses() == 0 {
                segment.use_as_another();
            }
            assert!(!segment.write(), "nobody is let in any more");
        });
    }
}

#[test]
fn a_replacement_is_held_back_or_has_the_memory_alone() {
    for writers in [1, 2] {
        beside_writers(writers, |segment| match segment.gate.close_if_idle() {
            Ok(()) => {
                segment.use_as_another();
                assert!(!segment.write());
            }
            Err(accesses) => assert_eq!(accesses, 1),
        });
    }
}

#[test]
fn who_waits_is_woken_by_the_last_access() {
    for writers in [1, 2] {
        beside_writers(writers, |segment| {
            segment.gate.close();
            segment.gate.wait(Duration::from_secs(3600));
            assert_eq!(segment.gate.accesses(), 0);
            segment.use_as_another();
        });
    }
}

#[test]
#[should_panic(expected = "Causality violation")]
fn an_access_without_a_claim_is_caught() {
    loom::model(|| {
        let segment = Segment::new();
        let is_closed = Arc::new(AtomicBool::new(false));
        let writer = {
            let (segment, is_closed) = (Arc::clone(&segment), Arc::clone(&is_closed));
            thread::spawn(move || {
                if !is_closed.load(Ordering::SeqCst) {
                    segment.memory.with_mut(|_| ());
                }
            })
        };
        is_closed.store(true, Ordering::SeqCst);
        segment.use_as_another();
        writer.join().unwrap();
    });
}
