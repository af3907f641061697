//! One row of a table: every subject through the same plan, at the same time of day.
//!
//! The subjects of a row take turns, so that a slow minute of the machine slows all of them and
//! the ratios between them stay. A row whose round is short is run three times; a longer one once, and
//! the parts of its timed section stand for repeats. The median time counts, beside half of what lies
//! between the fastest and the slowest. The decisions of a subject must be the same in every round.
//!
//! Beside every time stands the harness's own: the time of the [`ORACLE`] on the same row. The
//! oracle places nothing and only compares two numbers, but it refuses when the pool is full, so it
//! goes through the same pushes, victims, removals and samples as an allocator does.

use std::time::{Duration, Instant};

use crate::churn::{Checksum, Outcome, Plan};
use crate::pin;
use crate::subject::ORACLE;
use crate::subject::entries::{self, Entry};
use crate::timing::{Timing, Took};

/// Time of a round, warm-ups included, up to which it is repeated.
const SHORT_ROUND: Duration = Duration::from_secs(2);

/// One row: a plan and who runs it.
#[derive(Clone, Copy, Debug)]
pub struct Row<'a> {
    /// Where the row stands.
    pub label: Label<'a>,
    /// What every subject runs.
    pub plan: &'a Plan,
    /// Names of the subjects, from the table of subjects.
    pub subjects: &'a [&'static str],
    /// Rounds to run at most.
    pub repeats_max: usize,
}

/// Where a row stands in its workload, for whoever watches.
#[derive(Clone, Copy, Debug)]
pub struct Label<'a> {
    /// Workload the row belongs to.
    pub workload: &'static str,
    /// What distinguishes the row from the others of the workload.
    pub row: &'a str,
    /// Rows before this one.
    pub index: usize,
    /// Rows of the workload.
    pub rows: usize,
}

/// What is about to run, told before each subject of each round.
#[derive(Clone, Copy, Debug)]
pub struct Step<'a> {
    /// The row.
    pub label: Label<'a>,
    /// The subject.
    pub subject: &'static str,
    /// Rounds of the row that are complete.
    pub round: usize,
}

/// Whoever watches a run.
pub type Observer<'a> = &'a mut dyn FnMut(Step<'_>);

/// A subject's result on one row.
#[derive(Clone, Debug)]
pub struct Measured {
    /// Name of the subject.
    pub subject: &'static str,
    /// Outcome of the first round.
    pub outcome: Outcome,
    /// Times of a timed request.
    pub time: Timing,
    /// Wall time of the oracle on the same row.
    pub harness_ns_per_op: f64,
}

impl<'a> Label<'a> {
    /// Labels one row of a workload.
    #[must_use]
    pub const fn new(workload: &'static str, row: &'a str, index: usize, rows: usize) -> Self {
        Self {
            workload,
            row,
            index,
            rows,
        }
    }

    /// Returns what is about to run: a subject, in the round after so many.
    #[must_use]
    pub const fn step(self, subject: &'static str, round: usize) -> Step<'a> {
        Step {
            label: self,
            subject,
            round,
        }
    }

    /// Runs every lane in every round, so that a slow minute of the machine slows all of them; returns what each lane
    /// gave.
    pub(crate) fn in_turns<L, R>(
        self,
        lanes: &[L],
        name: impl Fn(&L) -> &'static str,
        rounds: usize,
        observer: Observer<'_>,
        mut run: impl FnMut(&L) -> R,
    ) -> Vec<Vec<R>> {
        let mut results: Vec<Vec<R>> = lanes.iter().map(|_| Vec::new()).collect();
        for round in 0..rounds {
            for (lane, results) in lanes.iter().zip(&mut results) {
                observer(self.step(name(lane), round));
                results.push(run(lane));
            }
        }
        results
    }
}

impl Row<'_> {
    /// Runs every subject through the plan and returns their results in the order of the table.
    ///
    /// # Panics
    ///
    /// Panics when a subject decides differently in two rounds of the same plan.
    pub fn measure(&self, observer: Observer<'_>) -> Vec<Measured> {
        let _pinned = pin::to_one_core();
        let mut lanes: Vec<Lane> = self.subjects.iter().map(|name| Lane::new(name)).collect();
        if !self.subjects.contains(&ORACLE) {
            lanes.push(Lane::new(ORACLE));
        }
        for round in 0..self.repeats_max {
            let start = Instant::now();
            for lane in &mut lanes {
                observer(self.label.step(lane.entry.name, round));
                lane.run(self.plan);
            }
            if start.elapsed() > SHORT_ROUND {
                break;
            }
        }
        summarize(lanes, self.subjects)
    }
}

/// One subject's rounds.
struct Lane {
    entry: &'static Entry,
    first: Option<Outcome>,
    rounds: Vec<Vec<Took>>,
}

impl Lane {
    fn new(name: &str) -> Self {
        let entry = entries::by_name(name).expect("requests name subjects of the table");
        Self {
            entry,
            first: None,
            rounds: Vec::new(),
        }
    }

    fn run(&mut self, plan: &Plan) {
        let outcome = (self.entry.churn)(plan);
        self.rounds.push(outcome.took.clone());
        let first = self.first.get_or_insert_with(|| outcome.clone());
        let name = self.entry.name;
        assert_eq!(
            first.checksum, outcome.checksum,
            "{name} decided differently this time"
        );
    }
}

fn summarize(lanes: Vec<Lane>, subjects: &[&'static str]) -> Vec<Measured> {
    let oracle = lanes.iter().find(|lane| lane.entry.name == ORACLE);
    let harness = oracle.map(|lane| timing(lane.rounds.iter()));
    let harness_ns_per_op = harness.expect("every row runs the oracle").ns_per_op;
    let mut requested = lanes;
    requested.retain(|lane| subjects.contains(&lane.entry.name));
    let measured = requested.into_iter().map(|lane| Measured {
        subject: lane.entry.name,
        time: timing(lane.rounds.iter()),
        harness_ns_per_op,
        outcome: lane.first.expect("every lane ran at least once"),
    });
    measured.collect()
}

/// Panics unless all rounds of a subject have the checksum of the first.
pub(crate) fn check_agreement(subject: &str, mut rounds: impl Iterator<Item = Checksum>) {
    let first = rounds.next();
    let agree = rounds.all(|checksum| Some(checksum) == first);
    assert!(agree, "{subject} decided differently this time");
}

/// Returns the times of rounds, or those of the parts of the only one.
pub(crate) fn timing<'a>(mut rounds: impl ExactSizeIterator<Item = &'a Vec<Took>>) -> Timing {
    match rounds.len() {
        1 => Timing::of(rounds.next().expect("there is one")),
        _ => Timing::of(&rounds.map(|parts| whole(parts)).collect::<Vec<_>>()),
    }
}

fn whole(parts: &[Took]) -> Took {
    let mut whole = parts[0];
    parts[1..].iter().for_each(|part| whole.add(*part));
    whole
}
