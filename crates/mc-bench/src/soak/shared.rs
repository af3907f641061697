//! The allocator of several threads: handles that are made, passed on and dropped anywhere.

use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::mpsc::{Receiver, Sender, channel};

use mc_offset::{Fit, Handle, OffsetAllocator, Options, SharedAllocator};
use rand::RngExt;

use super::{Generator, Layer, on_threads};

pub(super) const LAYER: Layer = Layer {
    name: "shared",
    run,
};

/// Operations of one thread in a round.
const STEPS: u64 = 4000;

/// Granules of the pool, each with a flag that says whether a handle covers it.
const GRANULES: u64 = 1 << 14;

const GRANULE_BYTES: u64 = 256;

/// One flag per granule, set by whoever owns it; threads that own the same find out.
///
/// Swaps are `AcqRel`, so that a granule given back by one thread is clear for the next owner.
struct Owners(Vec<AtomicBool>);

impl Owners {
    fn of<'a>(&'a self, handle: &Handle) -> &'a [AtomicBool] {
        let granule = |offset: u64| usize::try_from(offset / GRANULE_BYTES).expect("a small pool");
        let end = (handle.offset() + handle.size()).next_multiple_of(GRANULE_BYTES);
        &self.0[granule(handle.offset())..granule(end)]
    }

    fn take(&self, handle: &Handle) {
        for owned in self.of(handle) {
            assert!(!owned.swap(true, Ordering::AcqRel), "{handle:?} overlaps");
        }
    }

    fn give(&self, handle: Handle) {
        for owned in self.of(&handle) {
            assert!(
                owned.swap(false, Ordering::AcqRel),
                "{handle:?} was not owned"
            );
        }
        drop(handle);
    }
}

fn run(generator: &mut Generator) -> u64 {
    let threads = generator.random_range(2..=4);
    let fits = [Fit::BinCeil, Fit::GOOD, Fit::Adaptive];
    let options = Options {
        fit: fits[generator.random_range(0..fits.len())],
        granule: GRANULE_BYTES,
        ..Options::new(GRANULES * GRANULE_BYTES)
    };
    let allocator = SharedAllocator::with_options(options).expect("valid options");
    let owners = Owners((0..GRANULES).map(|_| AtomicBool::new(false)).collect());
    // Few sizes are served by the threads' own blocks, many by the core.
    let sizes = generator.random_range(1..=20);
    let (mut outboxes, inboxes): (Vec<_>, Vec<_>) = (0..threads).map(|_| channel()).unzip();
    // Every thread sends to the one after it.
    outboxes.rotate_left(1);
    let channels = inboxes.into_iter().zip(outboxes);
    let inboxes = on_threads(channels, generator, |(inbox, outbox), generator| {
        work(&allocator, &owners, sizes, (&inbox, &outbox), generator);
        inbox
    });
    let unread = inboxes.iter().flat_map(Receiver::try_iter);
    unread.for_each(|handle| owners.give(handle));
    let report = allocator.report();
    assert_eq!(report.free_bytes, allocator.capacity(), "bytes are lost");
    assert_eq!(report.hole_count, 1, "not all freed blocks were merged");
    allocator.inspect(OffsetAllocator::check_invariants);
    STEPS * threads
}

/// Makes, keeps, passes on and drops handles.
fn work(
    allocator: &SharedAllocator,
    owners: &Owners,
    sizes: u64,
    (inbox, outbox): (&Receiver<Handle>, &Sender<Handle>),
    generator: &mut Generator,
) {
    let mut handles: Vec<Handle> = Vec::new();
    for _ in 0..STEPS {
        let size = 700 * generator.random_range(1..=sizes);
        let at = generator.random_range(0..handles.len().max(1));
        match generator.random_range(0..8) {
            0..4 => {
                if let Ok(handle) = allocator.allocate(size) {
                    owners.take(&handle);
                    handles.push(handle);
                }
            }
            4 if !handles.is_empty() => {
                // If the next thread has panicked, the handle comes back with the error.
                if let Err(refused) = outbox.send(handles.swap_remove(at)) {
                    owners.give(refused.0);
                }
            }
            5 => inbox.try_iter().for_each(|handle| owners.give(handle)),
            _ if !handles.is_empty() => owners.give(handles.swap_remove(at)),
            _ => {}
        }
    }
    handles.into_iter().for_each(|handle| owners.give(handle));
}
