//! Plays scenes of many nodes and clients, and says what they have shown.
//!
//! `cargo run --release --package mc-cluster --features simulation --example simulate -- SEEDS NODES OBJECTS FIRST`
#![expect(clippy::print_stdout, reason = "what it says is what it is for")]

use std::{
    env,
    process::{Command, ExitCode},
    time::Instant,
};

use mc_cluster::simulation::{ScenePlan, simulate};

/// Objects that are read to see what is there, at most.
const SAMPLE_MAX: usize = 2000;

fn main() -> ExitCode {
    let mut numbers = env::args()
        .skip(1)
        .map(|argument| argument.parse::<usize>());
    let mut next = |default| match numbers.next() {
        Some(Ok(number)) if number > 0 => Some(number),
        Some(_) => None,
        None => Some(default),
    };
    let numbers = [100, 1000, 20_000, 1].map(&mut next);
    let [Some(seeds), Some(nodes), Some(objects), Some(first)] = numbers else {
        println!("numbers above 0 are needed: seeds, nodes, objects, the first seed");
        return ExitCode::FAILURE;
    };
    if seeds == 1 {
        return match play(first, nodes, objects) {
            true => ExitCode::SUCCESS,
            false => ExitCode::FAILURE,
        };
    }
    let mut broken = 0;
    for seed in first..first + seeds {
        // What a scene leaves of the heap would slow down those behind it.
        let numbers = [1, nodes, objects, seed].map(|number| number.to_string());
        let played = env::current_exe().and_then(|it| Command::new(it).args(numbers).status());
        broken += usize::from(!played.is_ok_and(|status| status.success()));
    }
    println!("{seeds} scenes of {nodes} nodes and {objects} objects: {broken} broke promises");
    match broken {
        0 => ExitCode::SUCCESS,
        _ => ExitCode::FAILURE,
    }
}

/// Plays the scene of a seed, and says what it has shown; returns whether all
/// promises were kept.
fn play(seed: usize, nodes: usize, objects: usize) -> bool {
    let mut plan = ScenePlan::new(seed as u64);
    plan.nodes = nodes;
    plan.objects = objects;
    plan.sample = objects.div_ceil(10).min(SAMPLE_MAX);
    plan.restarts = nodes.div_ceil(100);
    let start = Instant::now();
    let report = simulate(plan);
    println!(
        "seed {seed}, {:.1} s\n{report}",
        start.elapsed().as_secs_f64()
    );
    report.broken.is_empty()
}
