//! `cargo xtask bench --check`: a quick run, held against the one stored in `docs/data/quick.json`.
//!
//! What an allocator decides follows from the seed, on every machine: its figures have to be the stored
//! ones to the last digit, and `cargo xtask ci` compares them. Times differ from machine to machine, so
//! they are compared as shares of the time that `bin-ceil` takes in the same run.

use std::collections::BTreeMap;
use std::fs;
use std::path::{Path, PathBuf};

use anyhow::{Context, ensure};
use mc_bench::record::{Document, Role, Run, SCHEMA};
use mc_bench::stats::geometric_mean;
use mc_bench::workload::{WORKLOADS, by_name};
use serde_json::Value;
use xshell::{Shell, cmd};

use crate::data::{key, parse};
use crate::workspace::{root, say};

/// The subject whose time the others are divided by.
const TIME_UNIT: &str = "bin-ceil";

/// How much larger than the stored one a subject's share of time may be: rows of a quick run are measured
/// once, and two runs beside other work were seen to differ by a factor of 1.6.
const TIME_TOLERANCE: f64 = 2.0;

/// Runs in each of which a subject has to be too slow: other work slows whatever it happens to meet.
const TIME_RUNS: u32 = 3;

/// The time that is compared.
const TIME_FIELD: &str = "ns_per_op";

/// The subject whose places, and so the checksum over them, do not follow from the seed: which region of
/// slots a thread begins at depends on where its stack lies.
const PLACES_BY_STACK: &str = "slots";

/// What a check compares.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Compared {
    /// What follows from the seed.
    Decisions,
    /// That, and the shares of time.
    DecisionsAndTimes,
}

/// Runs every seeded workload and fails, naming each difference, unless it is as stored.
pub(crate) fn check(shell: &Shell, command: &Path, compared: Compared) -> anyhow::Result<()> {
    let stored = read_stored()?;
    let mut faults = Vec::new();
    for workload in seeded() {
        let measured = measure(shell, command, workload)?;
        let stored = of_workload(&stored.runs, workload);
        let decided = of_workload(&measured.runs, workload);
        faults.extend(decision_faults(&stored, &decided));
        if compared == Compared::DecisionsAndTimes {
            let slow = confirmed_time_faults(shell, command, workload, &stored, &measured)?;
            faults.extend(slow);
        }
    }
    faults.iter().for_each(|fault| say(fault));
    ensure!(
        faults.is_empty(),
        "{} differences from {}; if they are meant, run `cargo xtask bench`, or `cargo xtask bench --accept` for this file alone",
        faults.len(),
        stored_path().display()
    );
    Ok(())
}

/// Returns the faults of time that a workload has in each of several runs, the first of them `measured`.
fn confirmed_time_faults(
    shell: &Shell,
    command: &Path,
    workload: &'static str,
    stored: &BTreeMap<String, &Run>,
    measured: &Document,
) -> anyhow::Result<Vec<String>> {
    let faults_in =
        |document: &Document| time_faults(workload, stored, &of_workload(&document.runs, workload));
    let mut faults = faults_in(measured);
    for _ in 1..TIME_RUNS {
        if !faults.is_empty() {
            let again = faults_in(&measure(shell, command, workload)?);
            faults.retain(|subject, _| again.contains_key(subject));
        }
    }
    Ok(faults.into_values().collect())
}

/// Measures the seeded ones among `workloads` and stores them in place of the former runs.
pub(crate) fn store(shell: &Shell, command: &Path, workloads: &[&str]) -> anyhow::Result<()> {
    let mut documents = BTreeMap::new();
    let mut machine = None;
    for workload in seeded() {
        if workloads.contains(&workload) {
            let measured = measure(shell, command, workload)?;
            machine = Some(measured.machine);
            documents.insert(workload, measured.runs);
        }
    }
    let Some(machine) = machine else {
        return Ok(());
    };
    let mut former = if stored_path().exists() {
        read_stored()?.runs
    } else {
        Vec::new()
    };
    let mut runs = Vec::new();
    for workload in seeded() {
        let is_of = |run: &mut Run| run.text("workload") == Some(workload);
        let kept = former.extract_if(.., is_of).collect();
        runs.extend(documents.remove(workload).unwrap_or(kept));
    }
    let lines: Vec<String> = runs
        .iter()
        .map(|run| serde_json::to_string(&kept_fields(run).collect::<serde_json::Map<_, _>>()))
        .collect::<Result<_, _>>()?;
    let machine = serde_json::to_string(&machine)?;
    let text = format!(
        "{{\"schema\": {SCHEMA}, \"machine\": {machine}, \"skipped\": [],\n \"runs\": [\n  {}\n ]}}\n",
        lines.join(",\n  ")
    );
    fs::write(stored_path(), text).context("cannot write docs/data/quick.json")
}

fn seeded() -> impl Iterator<Item = &'static str> {
    let seeded = WORKLOADS.iter().filter(|workload| workload.is_seeded);
    seeded.map(|workload| workload.name)
}

fn stored_path() -> PathBuf {
    root().join("docs/data/quick.json")
}

fn read_stored() -> anyhow::Result<Document> {
    let text = fs::read_to_string(stored_path())
        .context("cannot read docs/data/quick.json; `cargo xtask bench --accept` writes it")?;
    parse(&text).context("in docs/data/quick.json")
}

fn measure(shell: &Shell, command: &Path, workload: &'static str) -> anyhow::Result<Document> {
    let text = cmd!(shell, "{command} {workload} --quick --format json").read()?;
    parse(&text)
}

/// Returns the runs of a workload by subject and row.
fn of_workload<'a>(runs: &'a [Run], workload: &str) -> BTreeMap<String, &'a Run> {
    let runs = runs.iter();
    let runs = runs.filter(|run| run.text("workload") == Some(workload));
    runs.map(|run| (key(run), run)).collect()
}

/// Returns what is stored of a run: the fields that name it and those that follow from the seed, but for curves, and
/// the time that is compared.
fn kept_fields(run: &Run) -> impl Iterator<Item = (String, Value)> {
    let workload = run.text("workload").and_then(by_name);
    let declared = workload.map_or_else(Vec::new, |workload| (workload.fields)());
    let is_kept = move |field: &str, value: &Value| {
        let declared = declared.iter().find(|known| known.name == field);
        let is_decided = declared.is_none_or(|known| known.role != Role::Timed);
        !value.is_array() && !value.is_null() && (is_decided || field == TIME_FIELD)
    };
    let kept = run.fields();
    let kept = kept.filter(move |(field, value)| is_kept(field, value));
    kept.map(|(field, value)| (field.to_owned(), value.clone()))
}

/// Returns a fault per field that follows from the seed and is not as stored, and per run that only one
/// side has.
fn decision_faults(
    stored: &BTreeMap<String, &Run>,
    measured: &BTreeMap<String, &Run>,
) -> Vec<String> {
    let mut faults = Vec::new();
    for (key, run) in measured {
        let Some(stored) = stored.get(key) else {
            faults.push(format!("{key}: not stored"));
            continue;
        };
        let places_by_stack = run.text("subject") == Some(PLACES_BY_STACK);
        let decisions = kept_fields(run)
            .filter(|(field, _)| field != TIME_FIELD)
            .filter(|(field, _)| !(places_by_stack && field == "checksum"));
        for (field, value) in decisions {
            if stored.value(&field) != Some(&value) {
                let stored = stored.value(&field);
                let stored = stored.map_or("nothing".to_owned(), Value::to_string);
                faults.push(format!("{key}: {field} is {value}, stored {stored}"));
            }
        }
    }
    let missing = stored.keys().filter(|key| !measured.contains_key(*key));
    faults.extend(missing.map(|key| format!("{key}: stored, but no longer measured")));
    faults
}

/// Returns a fault by subject that takes a larger share of the time than stored, beyond the tolerance.
fn time_faults(
    workload: &str,
    stored: &BTreeMap<String, &Run>,
    measured: &BTreeMap<String, &Run>,
) -> BTreeMap<String, String> {
    let (stored, measured) = (time_shares(stored), time_shares(measured));
    let is_slower = |(subject, share): &(&String, &f64)| {
        let stored = stored.get(*subject);
        stored.is_some_and(|stored| **share > stored * TIME_TOLERANCE)
    };
    let slower = measured.iter().filter(is_slower);
    slower
        .map(|(subject, share)| {
            let stored = stored[subject];
            let fault = format!(
                "{workload} {subject}: takes {share:.2} of the time of {TIME_UNIT}, stored {stored:.2}, \
                 tolerance {TIME_TOLERANCE}"
            );
            (subject.clone(), fault)
        })
        .collect()
}

/// Returns each subject's time over that of `bin-ceil`, the geometric mean over the rows of both; nothing
/// for workloads that do not run it.
fn time_shares(runs: &BTreeMap<String, &Run>) -> BTreeMap<String, f64> {
    let mut shares: BTreeMap<String, Vec<f64>> = BTreeMap::new();
    for run in runs.values() {
        let subject = run.text("subject").unwrap_or_default();
        let unit = key(run).replace(&format!(" {subject}"), &format!(" {TIME_UNIT}"));
        let time = |run: &Run| run.number(TIME_FIELD);
        let unit_time = runs.get(&unit).and_then(|unit| time(unit));
        if let (Some(time), Some(unit_time)) = (time(run), unit_time) {
            let share = time / unit_time;
            shares.entry(subject.to_owned()).or_default().push(share);
        }
    }
    let mean = |(subject, shares): (_, Vec<f64>)| Some((subject, geometric_mean(shares)?));
    shares.into_iter().filter_map(mean).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn runs(lines: &[(&str, u64, f64, f64)]) -> Vec<Run> {
        let run = |&(subject, alloc_size, utilization_mean, ns_per_op): &(&str, u64, f64, f64)| {
            let run = serde_json::json!({
                "workload": "uniform", "subject": subject, "alloc_size": alloc_size,
                "utilization_mean": utilization_mean, "ns_per_op": ns_per_op,
                "harness_ns_per_op": 1.0, "utilization_curve": [0.5],
            });
            serde_json::from_value(run).expect("a run is a map")
        };
        lines.iter().map(run).collect()
    }

    #[track_caller]
    fn check_decisions(stored: &[Run], measured: &[Run], expected: &[&str]) {
        let keyed = |runs| of_workload(runs, "uniform");
        assert_eq!(decision_faults(&keyed(stored), &keyed(measured)), expected);
    }

    #[test]
    fn one_digit_of_utilization_is_a_fault_and_time_is_none() {
        let stored = runs(&[("good-fit", 32, 0.875, 10.0), ("good-fit", 64, 1.0, 10.0)]);
        check_decisions(&stored, &stored, &[]);
        let slower = runs(&[("good-fit", 32, 0.875, 99.0), ("good-fit", 64, 1.0, 10.0)]);
        check_decisions(&stored, &slower, &[]);
        let less = runs(&[("good-fit", 32, 0.874_9, 10.0), ("good-fit", 64, 1.0, 10.0)]);
        let fault = "uniform good-fit alloc_size=32: utilization_mean is 0.8749, stored 0.875";
        check_decisions(&stored, &less, &[fault]);
    }

    #[test]
    fn checksums_of_slots_are_not_compared() {
        let run = |subject: &str, checksum: &str| {
            let run = serde_json::json!({
                "workload": "uniform", "subject": subject, "checksum": checksum,
            });
            vec![serde_json::from_value(run).expect("a run is a map")]
        };
        check_decisions(&run("slots", "a"), &run("slots", "b"), &[]);
        let fault = "uniform shared: checksum is \"b\", stored \"a\"";
        check_decisions(&run("shared", "a"), &run("shared", "b"), &[fault]);
    }

    #[test]
    fn rows_that_only_one_side_has_are_faults() {
        let [one, two] = [32, 64].map(|size| runs(&[("good-fit", size, 1.0, 10.0)]));
        check_decisions(
            &one,
            &two,
            &[
                "uniform good-fit alloc_size=64: not stored",
                "uniform good-fit alloc_size=32: stored, but no longer measured",
            ],
        );
    }

    #[test]
    fn time_counts_as_a_share_of_bin_ceil() {
        let stored = runs(&[("bin-ceil", 32, 1.0, 10.0), ("good-fit", 32, 1.0, 5.0)]);
        let faults = |lines| {
            let measured = runs(lines);
            let keyed = |runs| of_workload(runs, "uniform");
            time_faults("uniform", &keyed(&stored), &keyed(&measured))
        };
        // A machine that is ten times slower for both.
        assert!(faults(&[("bin-ceil", 32, 1.0, 100.0), ("good-fit", 32, 1.0, 99.0)]).is_empty());
        let faults = faults(&[("bin-ceil", 32, 1.0, 10.0), ("good-fit", 32, 1.0, 11.0)]);
        assert_eq!(
            faults.into_values().collect::<Vec<_>>(),
            ["uniform good-fit: takes 1.10 of the time of bin-ceil, stored 0.50, tolerance 2"]
        );
    }

    #[test]
    fn curves_and_other_times_are_not_stored() {
        let runs = runs(&[("good-fit", 32, 1.0, 10.0)]);
        let kept: Vec<String> = kept_fields(&runs[0]).map(|(field, _)| field).collect();
        let expected = "workload subject alloc_size utilization_mean ns_per_op";
        assert_eq!(kept.join(" "), expected);
    }
}
