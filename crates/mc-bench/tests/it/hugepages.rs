//! The budget on the command line: verdicts, exit status, the line to run, refused arguments.
//!
//! Every budget names what is available, so that none depends on the machine.

use std::process::Output;

use serde_json::Value;

/// Two ranks with 32 MiB of caches and segments, 40 MiB with arenas.
const RANKS: &str =
    "--tp-size 2 --hicache-size 10mb --global-segment-size 6MiB --arena-pool-size 4m";

fn hugepages(arguments: &str) -> Output {
    super::output(&format!("hugepages {arguments}"))
}

#[track_caller]
fn check(available: &str, verdict: &str, status: i32, pages_to_configure: Option<u64>) {
    let arguments = format!("{RANKS} --available-hugetlb {available}");
    let output = hugepages(&arguments);
    let text = String::from_utf8(output.stdout).expect("answers are UTF-8");
    assert_eq!(output.status.code(), Some(status), "{text}");
    assert!(output.stderr.is_empty());
    assert!(text.starts_with(&format!("{verdict}: ")), "{text}");
    // The line names either the setting of sysctl or, where 2 MiB is not the default, its file.
    let line = text.lines().find(|line| line.contains("nr_hugepages"));
    assert_eq!(line.is_some(), pages_to_configure.is_some(), "{text}");
    if let (Some(line), Some(pages)) = (line, pages_to_configure) {
        assert!(line.contains(&pages.to_string()), "{line}");
    }

    let document = hugepages(&format!("{arguments} --format json"));
    assert_eq!(document.status.code(), Some(status));
    let document: Value = serde_json::from_slice(&document.stdout).expect("the document is JSON");
    assert_eq!(document["verdict"], verdict);
    assert_eq!(document["exit_code"], status);
    assert_eq!(document["remedy"].as_str(), line);
    assert_eq!(document["baseline_bytes"], 32 << 20);
    assert_eq!(document["clean_bytes"], 40 << 20);
}

#[test]
fn verdict_and_status_follow_from_what_is_available() {
    check("30mb", "insufficient_for_baseline", 2, Some(20));
    check("32mb", "baseline_fits_arena_may_fallback", 1, Some(20));
    check("38mb", "baseline_fits_arena_may_fallback", 1, Some(20));
    check("40mb", "clean_arena_budget_available", 0, None);
    check("1tb", "clean_arena_budget_available", 0, None);
}

#[test]
fn nothing_is_known_about_a_page_size_that_no_machine_has() {
    let output = hugepages(&format!("{RANKS} --hugepage-size 8tb"));
    let text = String::from_utf8(output.stdout).unwrap();
    assert_eq!(output.status.code(), Some(0));
    let is_unknown = text.starts_with("planning_only: ") && text.contains("unknown");
    assert!(is_unknown, "{text}");
}

#[test]
fn without_an_arena_the_baseline_is_all_there_is() {
    let output =
        hugepages("--tp-size 1 --hicache-size 3mb --global-segment-size 0 --available-hugetlb 4mb");
    assert_eq!(output.status.code(), Some(0));
}

#[track_caller]
fn refuses(arguments: &str, parts: &[&str]) {
    super::refuses(&format!("hugepages {arguments}"), 64, parts);
}

#[test]
fn bad_values_end_with_one_line_that_names_the_argument() {
    let sizes = "--hicache-size 1g --global-segment-size 1g";
    for ranks in ["0", "-1", "two", "1.5"] {
        refuses(&format!("--tp-size {ranks} {sizes}"), &["--tp-size", ranks]);
    }
    for size in ["-1", "1xb", "0x10", "inf"] {
        let arguments = format!("--tp-size 1 --hicache-size {size} --global-segment-size 1g");
        refuses(&arguments, &["--hicache-size", size, "8gb"]);
    }
    refuses(
        &format!("--tp-size 1 {sizes} --hugepage-size 3mb"),
        &["--hugepage-size", "power of two"],
    );
    refuses(
        &format!("--tp-size 1 {sizes} --available-hugetlb many"),
        &["--available-hugetlb"],
    );
    refuses("--tp-size 1 --hicache-size 1g", &["--global-segment-size"]);
    refuses(
        &format!("--tp-size 1 {sizes} --format csv"),
        &["csv", "table", "json"],
    );
    refuses(&format!("--tp-size 1 {sizes} --ranks 2"), &["--ranks"]);
    refuses("", &["--tp-size"]);
}
