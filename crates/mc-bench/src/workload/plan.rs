//! Plan: what it takes to find the moves that make a hole, in segments of up to a million blocks.

use std::num::NonZeroU32;

use hdrhistogram::Histogram;
use mc_segment::{
    BlockCost, BlockPlan, BufferToken, HoleOptions, PlacedBuffer, Preference, SegmentPool,
};
use rand::RngExt;
use rand_xoshiro::Xoshiro256PlusPlus;

use crate::churn::{Checksum, sizes};
use crate::number::{grouped, micros};
use crate::page::markdown::Table;
use crate::page::{Made, Page, no_headlines};
use crate::pin;
use crate::probe::{histogram, nanoseconds, thread_time};
use crate::record::{Document, Run, fields, record, records};
use crate::row::{Label, Observer};
use crate::subject::Described;

use super::remote::{self, SEGMENT};
use super::{Request, Sizes, Workload, random};

/// Entry of the table of workloads.
pub(super) const WORKLOAD: Workload = Workload {
    name: "plan",
    summary: "the search for moves that make a hole, in segments of 10^3 to 10^6 blocks",
    subjects: || {
        vec![Described::new(
            SUBJECT,
            "a segment, as a store asks it for plans",
        )]
    },
    skipped: &[],
    sizes: Sizes::Fixed,
    is_seeded: true,
    needs_hugepages: false,
    times: &["mc-offset", "mc-segment"],
    fields: fields::<Plans>,
    page: Page {
        heading: "Planning moves",
        models: "A segment is filled with blocks of the sizes of `random`, half of them are replaced one after another, and \
                 requests follow, either drawn like the blocks or as large as sixteen of them. One that finds no hole is \
                 planned for as a store does that may move a byte for each that it stores: first nobody may leave, and if \
                 that is in vain any of 64 blocks chosen at random may. Each plan is carried out. *Looked at* are the \
                 blocks that the store is asked about, on average.",
        omits: "It does not model what the store does to find out whether a block is in use.",
        result,
        tables,
        figures: &[],
        headlines: no_headlines,
        across: None,
    },
    run: |request, observer| Ok(run(request, observer)),
};

record! {
    /// The plans for one kind of request, in a segment of one number of blocks.
    pub(super) struct Plans {
        Row subject: String; // Always the segment.
        Row blocks: u64 = "blocks"; // Blocks that fill the segment.
        Row request: String = "request"; // What is to be placed.
        Row leaving: u64 = "may leave"; // Blocks that may leave for it.
        Decided plans: u64 = "plans"; // Searches.
        Decided seed: u64; // What sizes, and who leaves, are drawn from.
        Decided found: u64 = "found"; // Searches that found a plan.
        Decided moves: u64 = "moves"; // Moves of all plans.
        Decided looked_at: f64 = "looked at"; // Blocks that a search asks about, on average.
        Decided checksum: String; // Digest of all plans.
        Timed cpu_p50_ns: u64 = "p50 ns"; // Processor time of a search: half of them take at most so long.
        Timed cpu_p99_ns: u64 = "p99 ns"; // 99 of 100.
        Timed cpu_p999_ns: u64 = "p99.9 ns"; // 999 of 1,000.
    }
}

const SUBJECT: &str = "mc-segment";

/// Blocks that fill a segment, and the most in a quick run.
const BLOCKS: [u64; 4] = [1_000, 10_000, 100_000, 1_000_000];
const BLOCKS_QUICK: u64 = 10_000;

/// Requests of a kind that are planned for.
const REQUESTS: u64 = 4_000;
const REQUESTS_QUICK: u64 = 200;

const BLOCK_BYTES_MEAN: u64 = 1 << 25;

/// What is to be placed: as the blocks are drawn, or of a size.
const KINDS: [(&str, Option<u64>); 2] = [
    ("as drawn", None),
    ("16 blocks", Some(16 * BLOCK_BYTES_MEAN)),
];

/// Who may leave when moves alone are not enough. Like the three numbers below, it is what mc-store does.
const LEAVING: usize = 64;
const NODES_VISITED: u64 = 256;
const NODES_OF_WINDOW_FACTOR: u64 = 8;
const MOVED_PERCENT: u32 = 10;

fn run(request: &Request, observer: Observer<'_>) -> Vec<Run> {
    let _pinned = pin::to_one_core();
    let blocks_max = request.effort.choose(u64::MAX, BLOCKS_QUICK);
    let requests = request.ops_or(REQUESTS, REQUESTS_QUICK);
    let mut runs = Vec::new();
    for (row, blocks) in (0..).zip(BLOCKS).filter(|row| row.1 <= blocks_max) {
        let label = format!("{} blocks", grouped(blocks));
        observer(Label::new(WORKLOAD.name, &label, row, BLOCKS.len()).step(SUBJECT, 0));
        let mut full = Full::new(blocks, request.seed);
        for (name, size) in KINDS {
            for (leaving, tally) in full.place(requests, size).iter().enumerate() {
                let leaving = leaving * LEAVING;
                let record = tally.record(blocks, name, leaving as u64, request.seed);
                runs.push(Run::of(WORKLOAD.name, &record));
            }
        }
    }
    runs
}

/// A full segment.
struct Full {
    pool: SegmentPool,
    generator: Xoshiro256PlusPlus,
    /// The buffers, each tagged with its place and one more.
    held: Vec<Option<PlacedBuffer>>,
    vacant: Vec<usize>,
    /// Of each place, whether its buffer may leave for the request at hand.
    may_leave: Vec<bool>,
}

/// What came of the searches of one kind.
struct Tally {
    times: Histogram<u64>,
    found: u64,
    moves: u64,
    looked_at: u64,
    checksum: Checksum,
}

impl Full {
    fn new(blocks: u64, seed: u64) -> Self {
        let mut full = Self {
            pool: remote::pool(blocks * BLOCK_BYTES_MEAN),
            generator: sizes(seed),
            held: Vec::new(),
            vacant: Vec::new(),
            may_leave: Vec::new(),
        };
        while full.hold_drawn() {}
        for _ in 0..blocks / 2 {
            while !full.hold_drawn() {
                let one = full.draw_one();
                full.release(one);
            }
        }
        full
    }

    fn hold_drawn(&mut self) -> bool {
        let size = random::draw(&mut self.generator);
        self.hold_new(size)
    }

    /// Places a buffer where there is a hole for it; returns whether there was.
    fn hold_new(&mut self, size: u64) -> bool {
        let placed = self.pool.place_in(SEGMENT, size, 1);
        placed.map(|buffer| self.hold(buffer)).is_ok()
    }

    fn hold(&mut self, buffer: PlacedBuffer) {
        let at = self.vacant.pop().unwrap_or_else(|| {
            self.held.push(None);
            self.may_leave.push(false);
            self.held.len() - 1
        });
        let tag = u32::try_from(at + 1).ok().and_then(NonZeroU32::new);
        buffer.set_owner(tag);
        self.held[at] = Some(buffer);
    }

    fn release(&mut self, at: usize) {
        self.held[at] = None;
        self.vacant.push(at);
    }

    /// Draws a place that has a buffer.
    fn draw_one(&mut self) -> usize {
        loop {
            let at = self.generator.random_range(0..self.held.len());
            if self.held[at].is_some() {
                return at;
            }
        }
    }

    /// Plans for so many requests, and returns the searches in which nobody may leave and those in which
    /// some may.
    fn place(&mut self, requests: u64, size: Option<u64>) -> [Tally; 2] {
        let mut tallies = [Tally::new(), Tally::new()];
        let mut planned = 0;
        while planned < requests {
            let size = size.unwrap_or_else(|| random::draw(&mut self.generator));
            if self.hold_new(size) {
                continue;
            }
            planned += 1;
            let spares: Vec<usize> = (0..LEAVING).map(|_| self.draw_one()).collect();
            let [alone, leaving] = &mut tallies;
            let is_placed =
                self.make_hole(size, &[], alone) || self.make_hole(size, &spares, leaving);
            while !is_placed && !self.hold_new(size) {
                let one = self.draw_one();
                self.release(one);
            }
        }
        tallies
    }

    /// Searches for a plan, and places a buffer as it says; returns whether there was one.
    fn make_hole(&mut self, size: u64, spares: &[usize], tally: &mut Tally) -> bool {
        spares.iter().for_each(|&at| self.may_leave[at] = true);
        let plan = self.search(size, spares, tally);
        spares.iter().for_each(|&at| self.may_leave[at] = false);
        let Some(plan) = plan else {
            return false;
        };
        tally.found += 1;
        tally.moves += plan.moves.len() as u64;
        tally.checksum.add(plan.window.start);
        tally.checksum.add(plan.moved_bytes);
        for block in &plan.evictions {
            self.release(place_of(block.owner));
        }
        for step in &plan.moves {
            let at = place_of(step.owner);
            let moved = self.pool.place_at(SEGMENT, step.to, step.size);
            let moved = moved.expect("nobody else places here");
            moved.set_owner(step.owner);
            self.held[at] = Some(moved);
        }
        let placed = self.pool.place_at(SEGMENT, plan.window.start, size);
        self.hold(placed.expect("the plan makes this hole"));
        true
    }

    fn search(&self, size: u64, spares: &[usize], tally: &mut Tally) -> Option<BlockPlan> {
        let nodes = NODES_VISITED + NODES_OF_WINDOW_FACTOR * (size / BLOCK_BYTES_MEAN);
        let options = HoleOptions {
            moved_bytes_max: size,
            nodes_visited_max: u32::try_from(nodes).unwrap_or(u32::MAX),
            preference: Preference::Together {
                moved_percent: MOVED_PERCENT,
            },
            ..HoleOptions::new(size)
        };
        let spares = spares.iter().filter_map(|&at| self.held[at].as_ref());
        let spares: Vec<BufferToken> = spares.map(PlacedBuffer::token).collect();
        let used = thread_time();
        let plan = self.pool.plan_hole(SEGMENT, &options, &spares, |blocks| {
            tally.looked_at += blocks.len() as u64;
            let costs = blocks.iter().map(|block| {
                let cost = BlockCost::movable();
                match self.may_leave[place_of(block.owner)] {
                    true => cost.or_evictable(block.size),
                    false => cost,
                }
            });
            costs.collect()
        });
        let time = thread_time() - used;
        tally.times.saturating_record(nanoseconds(time));
        plan
    }
}

fn place_of(owner: Option<NonZeroU32>) -> usize {
    owner.expect("every buffer is tagged").get() as usize - 1
}

impl Tally {
    fn new() -> Self {
        Self {
            times: histogram(),
            found: 0,
            moves: 0,
            looked_at: 0,
            checksum: Checksum::new(),
        }
    }

    fn record(&self, blocks: u64, request: &str, leaving: u64, seed: u64) -> Plans {
        let plans = self.times.len();
        Plans {
            subject: SUBJECT.to_owned(),
            blocks,
            request: request.to_owned(),
            leaving,
            plans,
            seed,
            found: self.found,
            moves: self.moves,
            looked_at: self.looked_at as f64 / plans.max(1) as f64,
            checksum: self.checksum.to_string(),
            cpu_p50_ns: self.times.value_at_quantile(0.5),
            cpu_p99_ns: self.times.value_at_quantile(0.99),
            cpu_p999_ns: self.times.value_at_quantile(0.999),
        }
    }
}

fn result(document: &Document) -> Made<Option<String>> {
    let rows: Vec<Plans> = records(&document.runs)?;
    let most = rows.iter().map(|row| row.blocks).max();
    let mut largest = rows.iter().filter(|row| Some(row.blocks) == most);
    let line = largest.next().map(|row| {
        let times = [row.cpu_p50_ns, row.cpu_p999_ns].map(micros);
        format!(
            "Among {} blocks, half of the searches for moves that make a hole, of the size of a block, take at most {} µs \
             of processor time, and 999 of 1,000 at most {} µs.",
            grouped(row.blocks),
            times[0],
            times[1],
        )
    });
    Ok(line)
}

fn tables(document: &Document) -> Made<String> {
    let headings =
        "Blocks | request | may leave | plans | found | moves | looked at | p50 µs | p99 | p99.9";
    let rows: Vec<Plans> = records(&document.runs)?;
    let lines = rows.iter().map(|row| {
        let counts = [row.leaving, row.plans, row.found, row.moves].map(grouped);
        let mut cells = vec![grouped(row.blocks), row.request.clone()];
        cells.extend(counts);
        cells.push(format!("{:.0}", row.looked_at));
        cells.extend([row.cpu_p50_ns, row.cpu_p99_ns, row.cpu_p999_ns].map(micros));
        cells
    });
    Ok(Table::of(headings, lines))
}
