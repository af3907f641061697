//! Stall: what a thread waits for while another one does the worst it may to the same store.

mod aggressor;
mod delays;
mod duel;
mod report;
mod victim;

use crate::record::{Run, fields, record};
use crate::row::{Label, Observer};
use crate::subject::Described;
use crate::timing::Timing;

use super::{Request, RequestError, Sizes, Workload};

use self::aggressor::{AGGRESSORS, Aggressor};
use self::duel::{Duel, Felt};

const NAME: &str = "stall";

const SUBJECT: &str = "mc-store";

/// Entry of the table of workloads.
pub(super) const WORKLOAD: Workload = Workload {
    name: NAME,
    summary: "a get or put while another thread does the worst it may: beside a thread that computes",
    subjects: || {
        vec![Described::new(
            SUBJECT,
            "the store, read and written by two threads",
        )]
    },
    skipped: &[],
    sizes: Sizes::Fixed,
    is_seeded: false,
    needs_hugepages: false,
    times: &["mc-offset", "mc-segment", "mc-store"],
    fields: fields::<Stall>,
    page: report::PAGE,
    run,
};

record! {
    /// One aggressor at one number of objects; medians over the rounds.
    pub(super) struct Stall {
        Row subject: String; // Always the store.
        Row aggressor: String = "aggressor"; // What the other thread does.
        Row objects: u64 = "objects"; // Objects that are stored.
        Timed ops: u64; // Calls of the victim in all rounds.
        Decided seed: u64; // What its calls are drawn from.
        Timed victim_p99_ns: u64; // Of the victim beside the aggressor: 99 of 100 calls take at most so long.
        Timed victim_p999_ns: u64 = "p99.9 ns"; // 999 of 1,000.
        Timed victim_max_ns: u64 = "longest ns"; // The longest call.
        Timed victim_get_p999_ns: u64 = "get p99.9"; // Of its reads, 999 of 1,000.
        Timed victim_get_max_ns: u64; // The longest read.
        Timed victim_wait_max_ns: u64 = "waited ns"; // The longest call, less the time that one of the threads was ready and had no core.
        Timed control_p99_ns: u64; // The same beside a thread that only computes.
        Timed control_p999_ns: u64 = "control p99.9"; // 999 of 1,000.
        Timed control_max_ns: u64 = "control longest"; // The longest call.
        Timed control_wait_max_ns: u64; // Less the time without a core.
        Timed aggressor_calls: u64; // Calls of the aggressor.
        Timed aggressor_cpu_ns: u64; // Processor time of its longest call.
        Timed moved_bytes: u64; // Bytes that its calls moved.
        + time: Timing; // Time of a call.
    }
}

/// Objects of the aggressor, a row each.
const OBJECTS: [usize; 4] = [1_000, 10_000, 100_000, 1_000_000];

/// The most objects of a quick run.
const OBJECTS_QUICK: usize = 100_000;

fn run(request: &Request, observer: Observer<'_>) -> Result<Vec<Run>, RequestError> {
    let mut runs = Vec::new();
    for (index, aggressor) in AGGRESSORS.iter().enumerate() {
        let label = Label::new(NAME, aggressor.name, index, AGGRESSORS.len());
        for objects in OBJECTS {
            if objects > request.effort.choose(usize::MAX, OBJECTS_QUICK) {
                continue;
            }
            let mut row = Row::default();
            for round in 0..request.repeats_max() {
                observer(label.step(SUBJECT, round));
                row.run(aggressor, objects, request);
            }
            runs.push(row.record(aggressor, objects, request));
        }
    }
    Ok(runs)
}

/// The rounds of one aggressor at one number of objects.
#[derive(Default)]
struct Row {
    controls: Vec<Felt>,
    attacks: Vec<Felt>,
}

impl Row {
    fn run(&mut self, aggressor: &Aggressor, objects: usize, request: &Request) {
        let round = self.attacks.len() as u64;
        let attack = (aggressor.prepare)(objects);
        let duel = Duel::new(request.ops, request.seed.wrapping_add(round));
        self.controls.push(duel.control(&attack.store));
        self.attacks.push(duel.attack(attack));
    }

    fn record(&self, aggressor: &Aggressor, objects: usize, request: &Request) -> Run {
        let attack = |figure: fn(&Felt) -> u64| middle(&self.attacks, figure);
        let control = |figure: fn(&Felt) -> u64| middle(&self.controls, figure);
        let took: Vec<_> = self.attacks.iter().map(Felt::took).collect();
        let record = Stall {
            subject: SUBJECT.to_owned(),
            aggressor: aggressor.name.to_owned(),
            objects: objects as u64,
            ops: took.iter().map(|took| took.ops).sum(),
            seed: request.seed,
            time: Timing::of(&took),
            victim_p99_ns: attack(|felt| felt.at(0.99)),
            victim_p999_ns: attack(|felt| felt.at(0.999)),
            victim_max_ns: attack(Felt::max),
            victim_get_p999_ns: attack(|felt| felt.gets.value_at_quantile(0.999)),
            victim_get_max_ns: attack(|felt| felt.gets.max()),
            victim_wait_max_ns: attack(|felt| felt.wait_max_ns),
            control_p99_ns: control(|felt| felt.at(0.99)),
            control_p999_ns: control(|felt| felt.at(0.999)),
            control_max_ns: control(Felt::max),
            control_wait_max_ns: control(|felt| felt.wait_max_ns),
            aggressor_calls: attack(|felt| felt.calls),
            aggressor_cpu_ns: attack(|felt| felt.call_max_ns),
            moved_bytes: attack(|felt| felt.moved_bytes),
        };
        Run::of(NAME, &record)
    }
}

/// Returns the median of a figure over rounds; of an even number the smaller of the middle two.
fn middle(rounds: &[Felt], figure: fn(&Felt) -> u64) -> u64 {
    let mut figures: Vec<u64> = rounds.iter().map(figure).collect();
    figures.sort_unstable();
    figures[(figures.len() - 1) / 2]
}
