//! The arena and population sections of a small set of data.

use crate::data::Data;

use super::tests::document;
use super::{render, sections};

fn arena(subject: &str, threads: u32, ns_per_op: f64) -> String {
    format!(
        r#"{{"workload": "arena", "subject": "{subject}", "alloc_size": 64, "threads": {threads},
        "ops": 10, "ns_per_op": {ns_per_op}, "ops_per_second": 250000000.0,
        "tier": "transparent"}}"#
    )
}

fn population(subject: &str, tier: &str, workers: u32, milliseconds: f64) -> String {
    format!(
        r#"{{"workload": "populate", "subject": "{subject}", "bytes": 1073741824,
        "workers": {workers}, "tier": "{tier}", "milliseconds": {milliseconds}}}"#
    )
}

fn data() -> Data {
    let arena = [arena("arena", 1, 2.25), arena("arena", 2, 8.5)];
    let populate = [
        population("base", "base", 1, 340.0),
        population("base", "base", 2, 170.0),
        population("transparent", "base", 1, 350.0),
    ];
    let skipped = r#"{"subject": "hugetlb", "reason": "of a reason"}"#;
    Data {
        documents: vec![
            document("arena", &arena.join(","), ""),
            document("populate", &populate.join(","), skipped),
        ],
    }
}

#[test]
fn arena_times_stand_below_the_published_ones() {
    let page = render(&data());
    let claim = page.find("| *published claim* | about 50 | – |");
    let measured = page.find("| *published allocator, measured* | 6.5 | 41–58 |");
    let ours = page.find("| arena | 2.2 | 8.5 |");
    assert!(
        claim.is_some() && claim < measured && measured < ours,
        "{page}"
    );
    assert!(page.contains("| 64 | 250 |"), "{page}");
}

#[test]
fn populations_show_the_pages_obtained_and_the_ratio_of_times() {
    let page = render(&data());
    assert!(page.contains("| base | 340 | 170 | 2.00 |"), "{page}");
    assert!(page.contains("| base | 350 | – | – |"), "{page}");
    assert!(page.contains("Not measured here: `hugetlb`, because of a reason."));
}

#[test]
fn figures_are_drawn_from_incomplete_data() {
    let data = data();
    for figure in sections(&data).flat_map(|section| section.figures) {
        let svg = (figure.draw)(&data).unwrap();
        assert!(svg.trim_end().ends_with("</svg>"), "{}", figure.file);
    }
}
