//! The workloads of mc-arena at smoke size: every row is there, with the documented fields.

use mc_bench::record::Run;
use mc_bench::workload::{self, Effort, Request, Selection, arena, populate, select};

/// Enough allocations for several chunks of a thread.
const OPS: u64 = 5_000;

fn selection(name: &str, sizes: &[u64]) -> Selection {
    let request = Request {
        sizes: sizes.to_vec(),
        ops: Some(OPS),
        effort: Effort::Quick,
        ..Request::default()
    };
    let workload = workload::by_name(name).expect("the workload is in the table");
    select(&[workload], &[], &request).expect("the smoke request is valid")
}

/// Runs what this machine has the memory for.
fn smoke(name: &str, sizes: &[u64]) -> Vec<Run> {
    let (workload, request) = &selection(name, sizes).requests[0];
    (workload.run)(request, &mut |_| {}).expect("the machine has memory for a smoke run")
}

fn rows_of<'a>(runs: &'a [Run], subject: &str) -> Vec<&'a Run> {
    runs.iter()
        .filter(|run| run.text("subject") == Some(subject))
        .collect()
}

#[test]
fn arena_measures_every_size_with_every_number_of_threads() {
    let runs = smoke("arena", &arena::SIZES_BYTES);
    for subject in ["arena", "thread-chunk", "mmap", "malloc", "bumpalo"] {
        let rows = rows_of(&runs, subject);
        let expected = arena::SIZES_BYTES
            .iter()
            .flat_map(|&bytes| arena::THREADS.map(|threads| (bytes as f64, threads as f64)));
        let measured = rows.iter().map(|run| {
            (
                run.number("alloc_size").unwrap(),
                run.number("threads").unwrap(),
            )
        });
        assert!(measured.eq(expected), "{subject}");
    }
}

#[test]
fn arena_tells_the_same_time_per_allocation_and_per_second() {
    for run in smoke("arena", &[100]) {
        let [threads, ops, ns_per_op, ops_per_second] =
            ["threads", "ops", "ns_per_op", "ops_per_second"].map(|name| run.number(name).unwrap());
        let per_second = threads / ns_per_op * 1e9;
        assert!(ops >= 1.0 && ns_per_op > 0.0, "{run:?}");
        assert!((per_second / ops_per_second - 1.0).abs() < 1e-6, "{run:?}");
        let is_from_pool = ["arena", "thread-chunk"].contains(&run.text("subject").unwrap());
        assert_eq!(run.text("tier") != Some("untouched"), is_from_pool);
    }
}

#[test]
fn populate_measures_every_tier_with_every_number_of_workers() {
    let runs = smoke("populate", &[]);
    for subject in ["base", "transparent"] {
        let rows = rows_of(&runs, subject);
        assert_eq!(rows.len(), populate::WORKERS.len());
        for (run, workers) in rows.iter().zip(populate::WORKERS) {
            assert_eq!(run.number("workers"), Some(workers.get() as f64));
            assert!(run.number("bytes").unwrap() > 0.0);
            assert!(run.number("milliseconds").unwrap() > 0.0);
        }
    }
    assert!(
        rows_of(&runs, "base")
            .iter()
            .all(|run| run.text("tier") == Some("base"))
    );
}

#[test]
fn subjects_that_need_reserved_huge_pages_run_or_are_left_out() {
    for (name, subject) in [("arena", "hugepage-rs"), ("populate", "hugetlb")] {
        let Selection { requests, skipped } = selection(name, &[]);
        let left_out = skipped.iter().find(|left_out| left_out.subject == subject);
        assert_ne!(
            requests[0].1.subjects.contains(&subject),
            left_out.is_some()
        );
        if let Some(left_out) = left_out {
            println!("{subject} did not run: {}", left_out.reason);
        }
    }
}
