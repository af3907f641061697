//! Bimodal: small long-lived metadata between large payloads, and now and then one huge object.

use rand::RngExt;
use rand_xoshiro::Xoshiro256PlusPlus;

use crate::churn::{Classes, Eviction, Plan, Sampling, sizes};
use crate::page::{Page, no_headlines};
use crate::record::{Run, fields, record};
use crate::row::{Label, Observer};
use crate::subject::Pool;
use crate::subject::entries;

use super::placed::{self, Mixed};
use super::{ONE_SIZE_ONLY, Request, Sizes, Workload, mixed};

/// Entry of the table of workloads.
pub(super) const WORKLOAD: Workload = Workload {
    name: "bimodal",
    summary: "metadata of 256 B to 10 KB, payloads of 10.5 to 12.4 MiB, rarely 1.25 GiB; 4 GiB pool",
    subjects: entries::described,
    skipped: &[ONE_SIZE_ONLY],
    sizes: Sizes::Fixed,
    is_seeded: true,
    needs_hugepages: false,
    times: &["mc-offset", "mc-offset-compat"],
    fields: fields::<Bimodal>,
    page: Page {
        heading: "Bimodal sizes",
        models: "Metadata that live long between payloads that do not. A pool of 4 GiB takes payloads of 10.5 to \
                 12.4 MiB and metadata entries of 256 B to 10 KB in turns. 4,000 entries are kept and the oldest leaves \
                 when a new one comes, so that an entry outlives a payload about tenfold. Payloads leave when a request \
                 is refused, the one stored longest ago first. Every 2,000th request is one object of 1.25 GiB. It may \
                 evict payloads of as many bytes as it has itself; *refused* counts those for which that made no hole. \
                 25,000 requests precede the clock, 200,000 follow.\n\nThe oracle compacts, so it always has room for \
                 what has left. An allocator that cannot move what it placed needs the victims to be neighbors, which \
                 the oldest payloads are not: where no subject places a 1.25 GiB object, the eviction and not the fit is \
                 to blame.",
        omits: "It does not model that an entry leaves with its payload, nor that entries are read more often.",
        result: placed::result,
        tables: |document| placed::table(document, &[]),
        figures: &[],
        headlines: no_headlines,
        across: Some(|document| {
            placed::across("bimodal, 256 B to 1.25 GiB", document, [None, None])
        }),
    },
    run: |request, observer| Ok(run(request, observer)),
};

record! {
    /// One subject on sizes of two kinds.
    pub(super) struct Bimodal {
        + mixed: Mixed; // What every workload of several sizes reports.
        Decided requested_huge: u64; // Requests for 1.25 GiB.
        Decided refused_others: u64; // Other requests that were given up.
    }
}

/// Timed operations.
const OPS: u64 = 200_000;

/// Timed operations of a quick run.
const OPS_QUICK: u64 = 50_000;

/// Operations before the clock starts: the metadata are complete after 8,000 and turn over twice
/// more. Half a turn of the huge object beyond a whole number of them, so that a full run does not
/// end in the gap that it leaves.
const OPS_WARM_UP: u64 = 25_000;

/// Metadata sizes: 256 B and more, less than 10 KB.
pub(super) const METADATA_BYTES: std::ops::Range<u64> = 256..10_240;

/// Metadata entries that are kept.
pub(super) const METADATA_OBJECTS_MAX: usize = 4_000;

/// Payload sizes: 10.5 MiB and more, less than 12.4 MiB.
const PAYLOAD_BYTES: std::ops::Range<u64> = 11_010_048..13_002_342;

/// The huge object: 1.25 GiB.
pub(super) const HUGE_BYTES: u64 = 5 << 28;

/// Operations from one huge object to the next. Even, so that it takes the turn of an entry.
const HUGE_EVERY: u64 = 2_000;

pub(super) const POOL: Pool = Pool {
    capacity_bytes: 4 << 30,
    smallest_bytes: METADATA_BYTES.start,
};

fn run(request: &Request, observer: Observer<'_>) -> Vec<Run> {
    let plan = plan(request);
    let is_huge = |size: &&u64| **size == HUGE_BYTES;
    let huge = plan.timed.iter().filter(is_huge).count();
    let label = Label::new(WORKLOAD.name, "256 B to 1.25 GiB", 0, 1);
    let measured = mixed::measure(label, &plan, request, observer);
    let runs = measured.iter().map(|measured| {
        let outcome = &measured.outcome;
        let record = Bimodal {
            mixed: Mixed::of(measured, request, &plan),
            requested_huge: huge as u64,
            refused_others: outcome.refused_others,
        };
        placed::run(WORKLOAD.name, &record, outcome)
    });
    runs.collect()
}

fn plan(request: &Request) -> Plan {
    let (warm_up, timed) = draw(request.seed, request.ops_or(OPS, OPS_QUICK));
    Plan {
        pool: POOL,
        warm_up,
        timed,
        eviction: Eviction::Classes(Classes {
            small_bytes_max: METADATA_BYTES.end,
            small_objects_max: METADATA_OBJECTS_MAX,
            budgeted_bytes_min: HUGE_BYTES,
        }),
        sampling: Sampling::Operation,
        seed: request.seed,
        moments: request.moments,
    }
}

/// Draws the sizes of the warm-up and of the timed operations.
pub(super) fn draw(seed: u64, ops: u64) -> (Vec<u64>, Vec<u64>) {
    let mut generator = sizes(seed);
    let mut draw = |index| size_bytes(index, &mut generator);
    let warm_up = (0..OPS_WARM_UP).map(&mut draw).collect();
    let timed = (OPS_WARM_UP..OPS_WARM_UP + ops).map(&mut draw).collect();
    (warm_up, timed)
}

/// Returns the size of the operation of an index: payload and entry in turns.
fn size_bytes(index: u64, generator: &mut Xoshiro256PlusPlus) -> u64 {
    if index % HUGE_EVERY == HUGE_EVERY - 1 {
        HUGE_BYTES
    } else if index.is_multiple_of(2) {
        generator.random_range(PAYLOAD_BYTES)
    } else {
        generator.random_range(METADATA_BYTES)
    }
}
