//! Plays scenes of many nodes and clients, and says what they have shown.
//!
//! `cargo run --release --package mc-cluster --features simulation --example simulate -- SEEDS NODES OBJECTS`
#![expect(clippy::print_stdout, reason = "what it says is what it is for")]

use std::{env, process::ExitCode, time::Instant};

use mc_cluster::simulation::{ScenePlan, simulate};

fn main() -> ExitCode {
    let mut numbers = env::args()
        .skip(1)
        .map(|argument| argument.parse::<usize>());
    let mut next = |default| match numbers.next() {
        Some(Ok(number)) if number > 0 => Some(number),
        Some(_) => None,
        None => Some(default),
    };
    let (Some(seeds), Some(nodes), Some(objects)) = (next(100), next(1000), next(20_000)) else {
        println!("numbers above 0 are needed: seeds, nodes, objects");
        return ExitCode::FAILURE;
    };
    let mut broken = 0;
    for seed in 1..=seeds {
        let mut plan = ScenePlan::new(seed as u64);
        plan.nodes = nodes;
        plan.objects = objects;
        plan.sample = objects.div_ceil(10);
        plan.restarts = nodes.div_ceil(20);
        let start = Instant::now();
        let report = simulate(plan);
        broken += report.broken.len();
        println!(
            "seed {seed}, {:.1} s\n{report}",
            start.elapsed().as_secs_f64()
        );
    }
    println!("{seeds} scenes of {nodes} nodes and {objects} objects: {broken} promises broken");
    match broken {
        0 => ExitCode::SUCCESS,
        _ => ExitCode::FAILURE,
    }
}
