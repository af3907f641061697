//! What a run reports: named fields in a fixed order, so that every workload brings its own.

use serde::ser::{Serialize, SerializeMap, Serializer};

use crate::machine::Machine;

/// Version of the document's layout.
pub const SCHEMA: u32 = 1;

/// Everything one call of the command measured.
#[derive(Clone, Debug, serde::Serialize)]
pub struct Document {
    /// Always [`SCHEMA`].
    pub schema: u32,
    /// What it was measured on.
    pub machine: Machine,
    /// One record per workload, row and subject.
    pub runs: Vec<Run>,
    /// Pairs of workload and subject that were left out.
    pub skipped: Vec<SkippedRun>,
}

/// A subject that a workload left out.
#[derive(Clone, Debug, PartialEq, Eq, serde::Serialize)]
pub struct SkippedRun {
    /// Name of the workload.
    pub workload: &'static str,
    /// Name of the subject.
    pub subject: &'static str,
    /// Why it was left out.
    pub reason: String,
}

/// One subject's result on one row of a workload.
#[derive(Clone, Debug, PartialEq)]
pub struct Run {
    fields: Vec<(&'static str, Value)>,
}

/// The value of a field.
#[derive(Clone, Debug, PartialEq, serde::Serialize)]
#[serde(untagged)]
pub enum Value {
    /// A name or a digest.
    Text(String),
    /// A count or a number of bytes.
    Count(u64),
    /// A ratio, a mean or a time; finite.
    Real(f64),
    /// A curve; only in the JSON document.
    List(Vec<f64>),
}

impl Run {
    /// Creates the record of a subject under a workload.
    #[must_use]
    pub fn new(workload: &'static str, subject: &str) -> Self {
        let fields = vec![("workload", workload.into()), ("subject", subject.into())];
        Self { fields }
    }

    /// Appends a field.
    ///
    /// # Panics
    ///
    /// Panics when the field is already there, or is a number that JSON cannot hold.
    #[must_use]
    pub fn with(mut self, name: &'static str, value: impl Into<Value>) -> Self {
        let value = value.into();
        assert!(self.value(name).is_none(), "field {name} is given twice");
        if let Value::Real(number) = value {
            assert!(number.is_finite(), "field {name} is {number}");
        }
        self.fields.push((name, value));
        self
    }

    /// Returns the fields in order.
    pub fn fields(&self) -> impl Iterator<Item = (&'static str, &Value)> {
        self.fields.iter().map(|(name, value)| (*name, value))
    }

    /// Returns the value of a field.
    #[must_use]
    pub fn value(&self, name: &str) -> Option<&Value> {
        self.fields
            .iter()
            .find(|(known, _)| *known == name)
            .map(|(_, value)| value)
    }

    /// Returns the value of a numeric field.
    #[must_use]
    pub fn number(&self, name: &str) -> Option<f64> {
        match self.value(name)? {
            Value::Real(number) => Some(*number),
            Value::Count(count) => Some(*count as f64),
            Value::Text(_) | Value::List(_) => None,
        }
    }

    /// Returns the value of a text field.
    #[must_use]
    pub fn text(&self, name: &str) -> Option<&str> {
        match self.value(name)? {
            Value::Text(text) => Some(text),
            Value::Count(_) | Value::Real(_) | Value::List(_) => None,
        }
    }
}

impl Serialize for Run {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        let mut map = serializer.serialize_map(Some(self.fields.len()))?;
        for (name, value) in self.fields() {
            map.serialize_entry(name, value)?;
        }
        map.end()
    }
}

impl From<&str> for Value {
    fn from(text: &str) -> Self {
        Self::Text(text.to_owned())
    }
}

impl From<String> for Value {
    fn from(text: String) -> Self {
        Self::Text(text)
    }
}

impl From<u64> for Value {
    fn from(count: u64) -> Self {
        Self::Count(count)
    }
}

impl From<f64> for Value {
    fn from(number: f64) -> Self {
        Self::Real(number)
    }
}

impl From<Vec<f64>> for Value {
    fn from(list: Vec<f64>) -> Self {
        Self::List(list)
    }
}
