//! The measured data, read back from the documents that `mc-bench` wrote.

use std::fs;
use std::path::Path;

use anyhow::{Context, ensure};
use mc_bench::machine::Machine;
use mc_bench::record::SCHEMA;
use mc_bench::workload::WORKLOADS;
use serde::Deserialize;

/// Everything measured, one document per workload, in the order of the table of workloads.
#[derive(Debug, Default)]
pub(crate) struct Data {
    pub(crate) documents: Vec<Document>,
}

/// What one call of `mc-bench` wrote.
#[derive(Debug, Deserialize)]
pub(crate) struct Document {
    #[serde(skip)]
    pub(crate) workload: &'static str,
    schema: u32,
    pub(crate) machine: Machine,
    pub(crate) runs: Vec<Run>,
    pub(crate) skipped: Vec<Skipped>,
}

/// A subject that a workload left out.
#[derive(Debug, Deserialize)]
pub(crate) struct Skipped {
    pub(crate) subject: String,
    pub(crate) reason: String,
}

/// One subject's result on one row.
#[derive(Debug, Deserialize)]
#[serde(transparent)]
pub(crate) struct Run(serde_json::Map<String, serde_json::Value>);

impl Data {
    /// Reads the documents of a directory; a workload without one is not in the data.
    pub(crate) fn read(directory: &Path) -> anyhow::Result<Self> {
        let mut documents = Vec::new();
        for workload in WORKLOADS {
            let path = directory.join(workload.name).with_extension("json");
            if path.exists() {
                let text = fs::read_to_string(&path)?;
                let document = Document::parse(workload.name, &text);
                documents.push(document.with_context(|| format!("in {}", path.display()))?);
            }
        }
        ensure!(!documents.is_empty(), "no data in {}", directory.display());
        Ok(Self { documents })
    }

    pub(crate) fn document(&self, workload: &str) -> Option<&Document> {
        self.documents
            .iter()
            .find(|document| document.workload == workload)
    }

    /// Returns the run of a subject in a workload of one row.
    pub(crate) fn run(&self, workload: &str, subject: &str) -> Option<&Run> {
        self.runs(workload)
            .find(|run| run.text("subject") == Some(subject))
    }

    /// Returns the run of a subject on the row of a size.
    pub(crate) fn sized_run(&self, workload: &str, subject: &str, bytes: u64) -> Option<&Run> {
        self.runs(workload).find(|run| {
            run.text("subject") == Some(subject) && run.count("alloc_size") == Some(bytes)
        })
    }

    /// Returns the run of a subject on the row that these counts distinguish.
    pub(crate) fn run_where(
        &self,
        workload: &str,
        subject: &str,
        counts: &[(&str, u64)],
    ) -> Option<&Run> {
        self.runs(workload).find(|run| {
            let is_equal = |(field, count): &(&str, u64)| run.count(field) == Some(*count);
            run.text("subject") == Some(subject) && counts.iter().all(is_equal)
        })
    }

    pub(crate) fn runs(&self, workload: &str) -> impl Iterator<Item = &Run> {
        self.document(workload)
            .into_iter()
            .flat_map(|document| &document.runs)
    }

    /// Returns the subjects of a workload in the order of their first run.
    pub(crate) fn subjects(&self, workload: &str) -> Vec<&str> {
        let mut subjects = Vec::new();
        for subject in self.runs(workload).filter_map(|run| run.text("subject")) {
            if !subjects.contains(&subject) {
                subjects.push(subject);
            }
        }
        subjects
    }
}

impl Document {
    pub(crate) fn parse(workload: &'static str, text: &str) -> anyhow::Result<Self> {
        let document: Self = serde_json::from_str(text)?;
        let schema = document.schema;
        ensure!(
            schema == SCHEMA,
            "schema {schema} where {SCHEMA} is expected"
        );
        Ok(Self {
            workload,
            ..document
        })
    }
}

impl Run {
    pub(crate) fn fields(&self) -> impl Iterator<Item = (&String, &serde_json::Value)> {
        self.0.iter()
    }

    pub(crate) fn value(&self, field: &str) -> Option<&serde_json::Value> {
        self.0.get(field)
    }

    pub(crate) fn text(&self, field: &str) -> Option<&str> {
        self.0.get(field)?.as_str()
    }

    pub(crate) fn count(&self, field: &str) -> Option<u64> {
        self.0.get(field)?.as_u64()
    }

    pub(crate) fn number(&self, field: &str) -> Option<f64> {
        self.0.get(field)?.as_f64()
    }

    pub(crate) fn list(&self, field: &str) -> Vec<f64> {
        let list = self.0.get(field).and_then(serde_json::Value::as_array);
        list.into_iter()
            .flatten()
            .filter_map(serde_json::Value::as_f64)
            .collect()
    }
}
