//! The page of a small set of data.

use crate::data::{Data, Document};

use super::{headline, render, sections};

const MACHINE: &str = r#"{"cpu": "C", "cores": 2, "kernel": "K", "transparent_hugepages": "never",
    "rustc": "R", "commit": "abc"}"#;

pub(super) fn document(workload: &'static str, runs: &str, skipped: &str) -> Document {
    let text = format!(
        r#"{{"schema": 1, "machine": {MACHINE}, "runs": [{runs}], "skipped": [{skipped}]}}"#
    );
    Document::parse(workload, &text).unwrap()
}

fn data() -> Data {
    let uniform = |subject: &str, min: f64| {
        format!(
            r#"{{"workload": "uniform", "subject": "{subject}", "alloc_size": 145, "seed": 7,
            "utilization_min": {min}, "utilization_mean": {min}, "utilization_bound": 0.75,
            "ns_per_op": 50.0, "harness_ns_per_op": 10.0}}"#
        )
    };
    let random = r#"{"workload": "random", "subject": "good-fit", "ops": 1000, "seed": 7,
        "utilization_min": 0.5, "utilization_p99": 0.6, "utilization_p90": 0.7,
        "utilization_p50": 0.8, "utilization_max": 0.95, "utilization_mean": 0.79,
        "utilization_curve": [0.5, 0.95], "ns_per_op": 40.0, "harness_ns_per_op": 9.5}"#;
    let threads = [1, 2].map(|threads| {
        format!(
            r#"{{"workload": "concurrency", "subject": "shared", "scenario": "churn", "seed": 7,
            "threads": {threads}, "ops_per_second": 1.25e7, "p50_ns": 50, "p99_ns": 1000,
            "p999_ns": 2000}}"#
        )
    });
    let threads = threads.join(",");
    let rows = [
        uniform("good-fit", 0.75),
        uniform("oracle", 0.75),
        uniform("bin-ceil", 0.5),
    ];
    let bimodal = r#"{"workload": "bimodal", "subject": "adaptive", "ops": 9, "seed": 7,
        "utilization_mean": 0.97, "refused": 3, "ns_per_op": 40.0,
        "occupancy_small": [0.0, 0.01], "occupancy_large": [1.0, 0.5]}"#;
    let evict = r#"{"workload": "evict", "subject": "lru", "victim": "lru", "seed": 7,
        "utilization_min": 0.5, "utilization_p50": 0.8, "utilization_mean": 0.87,
        "evicted_bytes_per_stored_byte": 1.0, "victim_age_mean": 56.04, "ns_per_op": 200.0}"#;
    let compact = r#"{"workload": "compact", "subject": "mc-store", "sizes": "random", "budget": 0.5,
        "seed": 7, "utilization_min": 0.5, "utilization_p50": 0.8, "utilization_mean": 0.96,
        "moved_bytes_per_stored_byte": 0.125, "evicted_bytes_per_stored_byte": 1.0, "refused": 0,
        "ns_per_op": 200.0}"#;
    let replay = |subject: &str, eviction: &str, share: f64, rate: f64| {
        format!(
            r#"{{"workload": "replay", "subject": "{subject}", "layout": "mixed",
            "eviction": "{eviction}", "capacity_share": {share}, "token_hit_rate": {rate},
            "belady_hit_rate": 0.5, "refused": 0, "evicted_bytes_per_placed_byte": 1.25,
            "ns_per_op": 900.0}}"#
        )
    };
    let replays = [
        replay("published", "lru", 0.1, 0.3),
        replay("default", "window", 0.05, 0.2),
        replay("default", "window", 0.1, 0.4),
    ];
    let store = r#"{"workload": "store", "subject": "mc-store", "scenario": "get_or_put", "seed": 7,
        "threads": 16, "ops_per_second": 2.5e6, "cpu_ns_per_op": 812.0, "p50_ns": 500,
        "p99_ns": 1000, "p999_ns": 2000, "hit_rate": 0.5, "memory_objects": 1000000,
        "bytes_per_object": 219.6, "given_back": 0.934}"#;
    let stall = r#"{"workload": "stall", "subject": "mc-store", "aggressor": "unmount", "seed": 7,
        "objects": 10000, "victim_p99_ns": 900, "victim_p999_ns": 1500, "victim_max_ns": 4100000,
        "victim_wait_max_ns": 12500,
        "control_p999_ns": 1450, "control_max_ns": 4000000}"#;
    let skipped = r#"{"subject": "range-alloc", "reason": "of a reason"}"#;
    Data {
        documents: vec![
            document("uniform", &rows.join(","), ""),
            document("random", random, skipped),
            document("bimodal", bimodal, ""),
            document("evict", evict, ""),
            document("compact", compact, ""),
            document("replay", &replays.join(","), ""),
            document("concurrency", &threads, ""),
            document("store", store, ""),
            document("stall", stall, ""),
        ],
    }
}

#[test]
fn page_holds_the_sections_that_have_data() {
    let page = render(&data());
    assert!(page.contains("## Uniform sizes") && page.contains("## Random sizes"));
    assert!(!page.contains("## Paired sizes"));
}

#[test]
fn measured_and_published_figures_stand_in_one_row() {
    let page = render(&data());
    let is_row = |line: &&str| line.starts_with("| 145 |");
    let rows: Vec<&str> = page.lines().filter(is_row).collect();
    let utilization = "| 145 | 0.750000 | 0.667789 / 0.700907 | 0.906249 | 0.750000 | 0.500000 |";
    assert_eq!(
        rows,
        [utilization, "| 145 | 572 | 372 | 50.0 | 50.0 | 10.0 |"]
    );
    assert!(page.contains("| *published before* | 0.569255 | 0.712076 |"));
    assert!(page.contains("| good-fit | 0.500000 | 0.600000 |"));
}

#[test]
fn budgets_stand_beside_what_they_move() {
    let page = render(&data());
    assert!(
        page.contains("| random | 0.5 | 0.500000 | 0.800000 | 0.960000 | 0.1250 | 1.0000 | 0 |")
    );
}

#[test]
fn sizes_without_data_have_empty_cells() {
    assert!(render(&data()).contains("| 49 | – | 0.692229 / 0.753062 | 0.942308 | – | – |"));
}

#[test]
fn threads_stand_in_a_table_per_scenario() {
    let page = render(&data());
    assert!(page.contains("### A large live set") && !page.contains("### A mix"));
    assert!(page.contains("| shared | 2 | 12.5 | 50 | 1,000 | 2,000 |"));
}

#[test]
fn what_is_left_out_is_named_with_its_reason() {
    let page = render(&data());
    assert!(page.contains("Not measured here: `range-alloc`, because of a reason."));
}

#[test]
fn victims_stand_with_what_they_keep_and_their_age() {
    let page = render(&data());
    let row = "| lru | 0.500000 | 0.800000 | 0.870000 | 1.0000 | 56.04 | 200 |";
    assert!(page.contains(row));
}

#[test]
fn hit_rates_stand_with_the_capacity_that_they_save() {
    let page = render(&data());
    assert!(page.contains("### Blocks of two models") && !page.contains("### Blocks of 512"));
    assert!(page.contains("| 10 % | 0.300000 | – | 0.400000 | – | 0.500000 | 25.0 % |"));
    assert!(page.contains("| mixed | published, lru | 1.2500 | – | 0 | – | 900 |"));
}

#[test]
fn the_store_stands_with_its_memory_and_its_scenarios() {
    let page = render(&data());
    assert!(page.contains("| 1,000,000 | 220 | 93 % |"));
    assert!(page.contains("### Reads of twice what fits") && !page.contains("### Reads that hit"));
    assert!(page.contains("| mc-store | 16 | 2.50 | 812 | 500 | 1,000 | 2,000 | 50 % |"));
}

#[test]
fn waits_stand_beside_the_control() {
    let row = "| unmount | 10,000 | 0.9 | 1.5 | 4100.0 | 12.5 | 1.4 | 4000.0 | – | – |";
    assert!(render(&data()).contains(row));
}

#[test]
fn refused_requests_are_counted() {
    let row = "| adaptive | – | – | – | – | – | 0.970000 | 9 | 3 | 40.0 | – |";
    assert!(render(&data()).contains(row));
}

#[test]
fn figures_are_drawn_from_incomplete_data() {
    let data = data();
    for figure in sections(&data).flat_map(|section| section.figures) {
        let svg = (figure.draw)(&data).unwrap();
        assert!(
            svg.starts_with("<svg") && svg.trim_end().ends_with("</svg>"),
            "{}",
            figure.file
        );
        assert_eq!(
            svg,
            (figure.draw)(&data).unwrap(),
            "{} is not deterministic",
            figure.file
        );
    }
}

#[test]
fn headline_replaces_what_stands_between_the_markers() {
    let readme = "top\n<!-- headline:begin -->\nformer text\n<!-- headline:end -->\nbottom\n";
    let replaced = headline::replace(readme, &data()).unwrap();
    assert!(replaced.starts_with("top\n<!-- headline:begin -->\n|  | Published design |"));
    assert!(replaced.contains("| Utilization: random sizes, 1 KiB to 64 MiB | – | – | – | – |"));
    assert!(replaced.ends_with("<!-- headline:end -->\nbottom\n"));
    assert!(!replaced.contains("former text"));
    assert_eq!(headline::replace(&replaced, &data()).unwrap(), replaced);
    assert_eq!(headline::replace("no markers", &data()), None);
}
