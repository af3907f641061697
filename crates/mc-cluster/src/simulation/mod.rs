//! Many nodes and clients in one thread, over a network and a clock of their own.
//!
//! Nodes, stores, leases, puts, drains, routes and clients are those of this
//! crate; calls are encoded and decoded as on the wire. Only what lies between
//! is another: a network that delays, cuts and forgets calls, a clock that jumps
//! to what is next, and a list of members with leases in the place of etcd. Of a
//! node's registration the rule until when it stands is real, and its calls to
//! etcd are not.
//!
//! [`simulate`] plays one scene: joins, deaths, partitions and slow links while
//! objects are put and read, then restarts one after another. An oracle looks at
//! every answer. A seed gives the same run each time.

mod lone;
mod network;
mod nodes;
mod registry;
mod scene;
mod witness;

use std::{fmt, time::Duration};

use tokio::{
    runtime::{Builder, Runtime},
    time::Instant,
};

pub use self::lone::{Answered, CallEnd, LoneNode};
use crate::time::set_scene_start;

/// How large a scene is.
///
/// More fields may come: begin with [`ScenePlan::new`].
#[derive(Clone, Copy, Debug)]
#[non_exhaustive]
pub struct ScenePlan {
    /// Of all that is random.
    pub seed: u64,
    /// Nodes at the beginning.
    pub nodes: usize,
    /// Clients, each with a view of the members of its own.
    pub clients: usize,
    /// Objects that are put at the beginning.
    pub objects: usize,
    /// Objects that are read to see what is there.
    pub sample: usize,
    /// Rounds of failures.
    pub rounds: usize,
    /// Nodes that are restarted one after another, with and without a drain.
    pub restarts: usize,
}

/// What a scene has shown.
#[derive(Clone, Debug, Default, PartialEq)]
#[non_exhaustive]
pub struct SceneReport {
    /// Promises that were broken; none, or the crate is wrong.
    pub broken: Vec<String>,
    /// Objects of the fullest node over the mean.
    pub load_max: f64,
    /// Objects of the emptiest node over the mean.
    pub load_min: f64,
    /// The largest share of keys that got another owner when one node joined.
    pub moved_by_join: f64,
    /// What that share would be if it was even.
    pub moved_evenly: f64,
    /// Calls for each object that was put, and each that was read, in batches.
    pub calls_per_put: f64,
    /// See `calls_per_put`.
    pub calls_per_get: f64,
    /// Shares of a sample that were found: at first, after joins, and after the
    /// rounds of failures.
    pub hits_at_first: f64,
    /// See `hits_at_first`.
    pub hits_after_joins: f64,
    /// See `hits_at_first`.
    pub hits_after_failures: f64,
    /// Of the objects of nodes that were restarted one after another, the share
    /// that was found: where they moved them away before, and where they did not.
    pub kept_with_drain: f64,
    /// See `kept_with_drain`.
    pub kept_without_drain: f64,
    /// What clients found of it that had started after the node was there again.
    pub kept_for_newcomers: f64,
    /// From the silent death of a node to the last call that waited for it.
    pub silent_for: Duration,
    /// All calls, and the time that has passed on the clock of the scene.
    pub calls: u64,
    /// See `calls`.
    pub time: Duration,
    /// Of all calls, their times and their ends: alike iff the runs were.
    pub digest: u64,
}

/// Plays a scene on this thread.
///
/// # Panics
///
/// Panics within a runtime of tokio, and if there is no memory for the nodes.
#[must_use]
pub fn simulate(plan: ScenePlan) -> SceneReport {
    let report = runtime().block_on(async {
        set_scene_start(Some(Instant::now()));
        scene::play(plan).await
    });
    set_scene_start(None);
    report
}

/// Returns a runtime of this thread, whose clock jumps to what is next.
fn runtime() -> Runtime {
    let runtime = Builder::new_current_thread()
        .enable_time()
        .start_paused(true)
        .build();
    runtime.expect("a runtime without input and output")
}

impl ScenePlan {
    /// Returns a scene of a thousand nodes and as many objects for each.
    #[must_use]
    pub fn new(seed: u64) -> Self {
        Self {
            seed,
            nodes: 1000,
            clients: 8,
            objects: 1_000_000,
            sample: 100_000,
            rounds: 5,
            restarts: 50,
        }
    }
}

impl fmt::Display for SceneReport {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        writeln!(f, "{} promises broken", self.broken.len())?;
        for broken in self.broken.iter().take(20) {
            writeln!(f, "  {broken}")?;
        }
        let Self {
            load_max, load_min, ..
        } = self;
        writeln!(
            f,
            "load: {load_max:.3} of the mean at most, {load_min:.3} at least"
        )?;
        let (moved, even) = (self.moved_by_join, self.moved_evenly);
        writeln!(f, "keys that a join moves: {moved:.5}, evenly {even:.5}")?;
        let (put, get) = (self.calls_per_put, self.calls_per_get);
        writeln!(f, "calls: {put:.2} for a put, {get:.2} for a get")?;
        let (first, joins, failures) = (
            self.hits_at_first,
            self.hits_after_joins,
            self.hits_after_failures,
        );
        writeln!(
            f,
            "hits: {first:.4} at first, {joins:.4} after joins, {failures:.4} after failures"
        )?;
        let (with, without) = (self.kept_with_drain, self.kept_without_drain);
        let newcomers = self.kept_for_newcomers;
        writeln!(
            f,
            "kept through restarts: {with:.4} with a drain, {newcomers:.4} for newcomers, {without:.4} without"
        )?;
        writeln!(
            f,
            "a silent host was waited for during {:?}",
            self.silent_for
        )?;
        write!(
            f,
            "{} calls in {:?}, digest {:x}",
            self.calls, self.time, self.digest
        )
    }
}

#[cfg(test)]
#[path = "../../tests/programs/service_calls.rs"]
mod service_calls;

#[cfg(test)]
mod tests {
    use std::{fs, path::Path};

    use super::*;

    fn small(seed: u64) -> ScenePlan {
        ScenePlan {
            nodes: 16,
            clients: 3,
            objects: 800,
            sample: 200,
            rounds: 2,
            restarts: 3,
            ..ScenePlan::new(seed)
        }
    }

    #[test]
    fn promises_hold_in_small_scenes() {
        for seed in 1..=2 {
            let report = simulate(small(seed));
            assert_eq!(report.broken, Vec::<String>::new(), "seed {seed}");
            assert_eq!(report.hits_at_first, 1.0);
            assert!(report.hits_after_joins > 0.999, "{report}");
            assert!(report.kept_with_drain > 0.99, "{report}");
            assert!(report.kept_for_newcomers > 0.99, "{report}");
            assert!(report.kept_without_drain < 0.9, "{report}");
            assert!(
                report.moved_by_join < report.moved_evenly + 0.01,
                "{report}"
            );
            // Until its entry ends, which lasts ten seconds, and a call behind that.
            assert!(report.silent_for < Duration::from_secs(15), "{report}");
        }
    }

    /// Inputs that reached something new when a fuzzer tried them.
    #[test]
    fn a_node_answers_as_it_was_told_whatever_the_calls_of_the_corpus() {
        let corpus = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/corpus/service_calls");
        let files = fs::read_dir(corpus).unwrap();
        let mut files: Vec<_> = files.map(|file| file.unwrap().path()).collect();
        files.sort();
        assert!(!files.is_empty(), "the corpus is missing");
        for file in files {
            println!("{}", file.display());
            service_calls::run(&fs::read(file).unwrap());
        }
    }

    #[test]
    fn a_seed_gives_the_same_run_each_time() {
        let plan = ScenePlan {
            objects: 200,
            sample: 60,
            rounds: 1,
            ..small(7)
        };
        let runs = [(); 2].map(|()| simulate(plan));
        assert_eq!(runs[0], runs[1]);
        let other = simulate(ScenePlan { seed: 8, ..plan });
        assert_ne!(runs[0].digest, other.digest);
    }
}
