//! The measured data, read back from the documents that `mc-bench` wrote.

use std::fs;
use std::path::Path;

use anyhow::{Context, ensure};
use mc_bench::record::{Document, Field, Role, Run, SCHEMA};
use mc_bench::workload::{WORKLOADS, Workload, by_name};

/// Everything measured, one document per workload, in the order of the table of workloads.
#[derive(Debug, Default)]
pub(crate) struct Data {
    pub(crate) documents: Vec<(&'static Workload, Document)>,
}

impl Data {
    /// Reads the documents of a directory; a workload without one is not in the data.
    pub(crate) fn read(directory: &Path) -> anyhow::Result<Self> {
        let mut documents = Vec::new();
        for workload in WORKLOADS {
            let path = directory.join(workload.name).with_extension("json");
            if path.exists() {
                let text = fs::read_to_string(&path)?;
                let document = parse(&text).and_then(|document| {
                    check_fields(workload, &document.runs)?;
                    Ok(document)
                });
                let document = document.with_context(|| format!("in {}", path.display()))?;
                documents.push((workload, document));
            }
        }
        ensure!(!documents.is_empty(), "no data in {}", directory.display());
        Ok(Self { documents })
    }

    /// Fails, naming it, if a workload has no document.
    pub(crate) fn check_complete(&self) -> anyhow::Result<()> {
        let mut missing: Vec<&str> = WORKLOADS.iter().map(|workload| workload.name).collect();
        missing.retain(|name| self.documents.iter().all(|(one, _)| one.name != *name));
        ensure!(
            missing.is_empty(),
            "no data of {}; `cargo xtask bench --workload {}` measures it",
            missing.join(", "),
            missing[0]
        );
        Ok(())
    }
}

/// Parses what one call of `mc-bench` wrote.
pub(crate) fn parse(text: &str) -> anyhow::Result<Document> {
    let document: Document = serde_json::from_str(text)?;
    let schema = document.schema;
    let is_ours = schema == SCHEMA;
    ensure!(is_ours, "schema {schema} where {SCHEMA} is expected");
    Ok(document)
}

/// Fails unless every run has every field that its workload declares.
fn check_fields(workload: &Workload, runs: &[Run]) -> anyhow::Result<()> {
    let declared = (workload.fields)();
    for run in runs {
        for field in &declared {
            let subject = run.text("subject").unwrap_or("an unnamed subject");
            ensure!(
                run.value(field.name).is_some(),
                "a run of {} {subject} has no field \"{}\"",
                workload.name,
                field.name
            );
        }
    }
    Ok(())
}

/// Names workload, subject and row of a run.
pub(crate) fn key(run: &Run) -> String {
    let name = run.text("workload").unwrap_or_default();
    let mut key = format!("{name} {}", run.text("subject").unwrap_or_default());
    let declared = by_name(name).map_or_else(Vec::new, |known| (known.fields)());
    let is_row = |field: &&Field| field.role == Role::Row && field.name != "subject";
    for field in declared.iter().filter(is_row) {
        match run.value(field.name) {
            Some(value) if !value.is_null() => key += &format!(" {}={value}", field.name),
            _ => {}
        }
    }
    key
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_renamed_field_is_named_with_its_file() {
        let stored = crate::workspace::root().join("docs/data/evict.json");
        let text = fs::read_to_string(stored).unwrap();
        let directory = std::env::temp_dir().join(format!("xtask-data-{}", std::process::id()));
        fs::create_dir_all(&directory).unwrap();
        let file = directory.join("evict.json");
        fs::write(&file, &text).unwrap();
        let whole = Data::read(&directory).unwrap();
        let missing = whole.check_complete().unwrap_err().to_string();
        assert!(missing.contains("no data of uniform"), "{missing}");
        let renamed = text.replacen("\"utilization_mean\"", "\"utilization\"", 1);
        fs::write(&file, renamed).unwrap();
        let error = format!("{:#}", Data::read(&directory).unwrap_err());
        fs::remove_dir_all(&directory).unwrap();
        for part in ["evict.json", "no field \"utilization_mean\""] {
            assert!(error.contains(part), "{error}");
        }
    }
}
