//! Stall: what a thread waits for while another one does the worst it may to the same store.
//!
//! The *victim* reads, puts and removes objects of its own and reads the clock around each call. The
//! *aggressor* calls the store in one of the ways that [`aggressor`] lists, at 10³ to 10⁶ objects. In
//! the control, the other thread only computes: what the victim waits for then is the machine's.
//! Control and attack take turns; of each figure the median over the rounds counts, so that a moment
//! of the machine that hits one round does not.
//!
//! Both threads are pinned, each to a core of its own where there are two. Beside the longest call
//! stands the longest *wait*: the call less the time that one of the two threads was ready and had no
//! core, which other work on the machine takes from them.

mod aggressor;
mod delays;
mod duel;

use crate::record::Run;
use crate::row::{Label, Observer, Step};

use super::{Effort, Request, RequestError, Sizes, Workload};

use self::aggressor::{AGGRESSORS, Aggressor};
use self::duel::{Duel, Felt};

const NAME: &str = "stall";

const SUBJECT: &str = "mc-store";

/// Entry of the table of workloads.
pub(super) const WORKLOAD: Workload = Workload {
    name: NAME,
    summary: "a get or put while another thread does the worst it may: beside a thread that computes",
    subjects: &[SUBJECT],
    skipped: &[],
    sizes: Sizes::Fixed,
    run,
};

/// Objects of the aggressor, a row each, with the rounds of the row: filling a store takes longer
/// than the rounds.
const OBJECTS: [(usize, usize); 4] = [(1_000, 3), (10_000, 3), (100_000, 3), (1_000_000, 1)];

/// The most objects of a quick run.
const OBJECTS_QUICK: usize = 100_000;

fn run(request: &Request, observer: Observer<'_>) -> Result<Vec<Run>, RequestError> {
    let mut runs = Vec::new();
    for (index, aggressor) in AGGRESSORS.iter().enumerate() {
        let label = Label {
            workload: NAME,
            row: aggressor.name,
            index,
            rows: AGGRESSORS.len(),
        };
        for (objects, rounds) in OBJECTS {
            let (is_run, rounds) = match request.effort {
                Effort::Full => (true, rounds),
                Effort::Quick => (objects <= OBJECTS_QUICK, 1),
            };
            if !is_run {
                continue;
            }
            let mut row = Row::default();
            for round in 0..rounds {
                observer(Step {
                    label,
                    subject: SUBJECT,
                    round,
                });
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
        let ops: u64 = self.attacks.iter().map(|felt| felt.ops()).sum();
        let sum = |figure: fn(&Felt) -> u64| self.attacks.iter().map(figure).sum::<u64>() as f64;
        Run::new(NAME, SUBJECT)
            .with("aggressor", aggressor.name)
            .with("objects", objects as u64)
            .with("ops", ops)
            .with("seed", request.seed)
            .with("repeats", self.attacks.len() as u64)
            .with("ns_per_op", sum(Felt::nanoseconds) / ops as f64)
            .with("cpu_ns_per_op", sum(Felt::processor_ns) / ops as f64)
            .with("victim_p99_ns", attack(|felt| felt.at(0.99)))
            .with("victim_p999_ns", attack(|felt| felt.at(0.999)))
            .with("victim_max_ns", attack(Felt::max))
            .with("victim_get_max_ns", attack(|felt| felt.get_max_ns))
            .with("victim_wait_max_ns", attack(|felt| felt.wait_max_ns))
            .with("control_p99_ns", control(|felt| felt.at(0.99)))
            .with("control_p999_ns", control(|felt| felt.at(0.999)))
            .with("control_max_ns", control(Felt::max))
            .with("control_wait_max_ns", control(|felt| felt.wait_max_ns))
            .with("aggressor_calls", attack(|felt| felt.calls))
            .with("aggressor_cpu_ns", attack(|felt| felt.call_max_ns))
    }
}

/// Returns the median of a figure over rounds; of an even number the smaller of the middle two.
fn middle(rounds: &[Felt], figure: fn(&Felt) -> u64) -> u64 {
    let mut figures: Vec<u64> = rounds.iter().map(figure).collect();
    figures.sort_unstable();
    figures[(figures.len() - 1) / 2]
}
