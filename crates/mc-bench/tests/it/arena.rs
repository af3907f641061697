//! The workloads of mc-arena at smoke size: every row is there, with the documented fields.

use mc_bench::record::Run;
use mc_bench::workload::{Effort, Request, Selection, arena, by_name, populate, select};

use super::{number, run};

/// Runs what this machine has the memory for, with enough allocations for several chunks of a thread.
fn smoke(name: &str, sizes: &[u64]) -> Vec<Run> {
    let request = selection(name).requests.swap_remove(0).1;
    let request = Request {
        sizes: sizes.to_vec(),
        ops: Some(5_000),
        ..request
    };
    run(name, request)
}

fn selection(name: &str) -> Selection {
    let request = Request {
        effort: Effort::Quick,
        ..Request::default()
    };
    let workload = by_name(name).expect("the workload is in the table");
    select(&[workload], &[], &request).expect("the smoke request is valid")
}

fn rows_of<'a>(runs: &'a [Run], subject: &str) -> Vec<&'a Run> {
    let is_of = |run: &&Run| run.text("subject") == Some(subject);
    runs.iter().filter(is_of).collect()
}

#[test]
fn arena_measures_every_size_with_every_number_of_threads() {
    let runs = smoke("arena", &arena::SIZES_BYTES);
    for subject in ["arena", "thread-chunk", "mmap", "malloc", "bumpalo"] {
        let rows = rows_of(&runs, subject);
        let of_size = |bytes| arena::THREADS.map(|threads| (bytes as f64, threads as f64));
        let expected = arena::SIZES_BYTES.into_iter().flat_map(of_size);
        let measured = rows.iter();
        let measured = measured.map(|run| (number(run, "alloc_size"), number(run, "threads")));
        assert!(measured.eq(expected), "{subject}");
    }
}

#[test]
fn arena_tells_the_same_time_per_allocation_and_per_second() {
    for run in smoke("arena", &[100]) {
        let [threads, ops, ns_per_op, ops_per_second] =
            ["threads", "ops", "ns_per_op", "ops_per_second"].map(|name| number(&run, name));
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
            assert_eq!(number(run, "workers"), workers.get() as f64);
            assert!(number(run, "bytes") > 0.0 && number(run, "milliseconds") > 0.0);
        }
    }
    let mut base = rows_of(&runs, "base").into_iter();
    assert!(base.all(|run| run.text("tier") == Some("base")));
}

#[test]
fn subjects_that_need_reserved_huge_pages_run_or_are_left_out() {
    for (name, subject) in [("arena", "hugepage-rs"), ("populate", "hugetlb")] {
        let Selection { requests, skipped } = selection(name);
        let left_out = skipped.iter().find(|left_out| left_out.subject == subject);
        let is_run = requests[0].1.subjects.contains(&subject);
        assert_ne!(is_run, left_out.is_some());
        if let Some(left_out) = left_out {
            println!("{subject} did not run: {}", left_out.reason);
        }
    }
}
