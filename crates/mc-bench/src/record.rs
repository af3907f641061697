//! What a run reports: the fields that its workload declares, typed where they are written and read.
//!
//! A workload declares a struct by `record!`: each field with its unit in the name, its
//! [`Role`], and its heading on a terminal. From it follow the document ([`Run`]), its columns, what a quick run
//! is compared by, and the reading back of stored documents, in which a field that is missing is an error.

use serde::de::{DeserializeOwned, Error};
use serde::{Deserialize, Serialize};
use serde_json::{Map, Value};

use crate::machine::Machine;

/// Version of the document's layout.
pub const SCHEMA: u32 = 1;

/// Everything one call of the command measured.
#[derive(Clone, Debug, Serialize, Deserialize)]
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
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct SkippedRun {
    /// Name of the workload.
    pub workload: String,
    /// Name of the subject.
    pub subject: String,
    /// Why it was left out.
    pub reason: String,
}

/// One subject's result on one row of a workload: fields by their names, in the order of the declaration.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
#[serde(transparent)]
pub struct Run(Map<String, Value>);

/// One field of a record.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Field {
    /// Name in the document; its last word is the unit.
    pub name: &'static str,
    /// What it is good for.
    pub role: Role,
    /// Heading on a terminal; empty for what only the wide table has.
    pub heading: &'static str,
}

/// What a field is good for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Role {
    /// It tells the rows of a workload apart.
    Row,
    /// It follows from row and seed, on every machine.
    Decided,
    /// It is a time, or follows from one.
    Timed,
}

/// A run that is not as its workload declares.
#[derive(Debug, thiserror::Error)]
#[error("a run of {run}")]
pub struct FieldError {
    /// Workload and subject.
    run: String,
    /// Which field, and what is wrong with it.
    source: serde_json::Error,
}

/// What is declared field by field.
pub trait Declared: Serialize + DeserializeOwned {
    /// Appends the fields, those of parts included.
    fn declare(list: &mut Vec<Field>);
}

/// Declares a record: a struct whose every field has a role, a heading if it is shown on a terminal, and a remark.
/// `+` marks a part, whose fields are fields of the whole.
macro_rules! record {
    ($(#[$meta:meta])* $visibility:vis struct $Record:ident {
        $(+ $head:ident: $Head:ty;)*
        $($(#[$note:meta])* $role:ident $field:ident: $Type:ty $(= $heading:literal)?;)+
        $(+ $tail:ident: $Tail:ty;)*
    }) => {
        $(#[$meta])*
        #[derive(Clone, Debug, serde::Serialize, serde::Deserialize)]
        $visibility struct $Record {
            $(#[serde(flatten)] $visibility $head: $Head,)*
            $($(#[$note])* $visibility $field: $Type,)+
            $(#[serde(flatten)] $visibility $tail: $Tail,)*
        }

        impl $crate::record::Declared for $Record {
            fn declare(list: &mut Vec<$crate::record::Field>) {
                $(<$Head as $crate::record::Declared>::declare(list);)*
                list.extend([$($crate::record::Field {
                    name: stringify!($field),
                    role: $crate::record::Role::$role,
                    heading: concat!($($heading)?),
                },)+]);
                $(<$Tail as $crate::record::Declared>::declare(list);)*
            }
        }
    };
}

pub(crate) use record;

/// Returns the fields of a record, in order.
#[must_use]
pub fn fields<R: Declared>() -> Vec<Field> {
    let mut list = Vec::new();
    R::declare(&mut list);
    list
}

/// Reads runs back as records.
///
/// # Errors
///
/// Returns the first run with a field that is missing or of another kind.
pub fn records<R: Declared>(runs: &[Run]) -> Result<Vec<R>, FieldError> {
    let declared = fields::<R>();
    let record = |run: &Run| {
        // To serde, a missing field that may be null is null.
        let missing = declared
            .iter()
            .find(|field| run.value(field.name).is_none());
        missing
            .map_or(Ok(()), |field| {
                Err(serde_json::Error::missing_field(field.name))
            })
            .and_then(|()| serde_json::from_value(Value::Object(run.0.clone())))
            .map_err(|source| FieldError {
                run: run.title(),
                source,
            })
    };
    runs.iter().map(record).collect()
}

impl Run {
    /// Returns the run of a workload that a record tells of.
    ///
    /// # Panics
    ///
    /// Panics when two parts have a field in common, or a number is one that JSON cannot hold.
    #[must_use]
    pub fn of<R: Declared>(workload: &str, record: &R) -> Self {
        let mut run = Self::default();
        run.set("workload", workload);
        let whole = serde_json::to_value(record).expect("a record is a map of JSON");
        let fields = whole.as_object().expect("a record is a map of JSON");
        fields
            .iter()
            .for_each(|(name, value)| run.set(name, value.clone()));
        let again = records::<R>(std::slice::from_ref(&run));
        again.expect("what is written can be read");
        run
    }

    /// Appends a field.
    ///
    /// # Panics
    ///
    /// Panics when the field is already there.
    pub fn set(&mut self, name: &str, value: impl Into<Value>) {
        let before = self.0.insert(name.to_owned(), value.into());
        assert!(before.is_none(), "field {name} is given twice");
    }

    /// Returns the fields in order.
    pub fn fields(&self) -> impl Iterator<Item = (&str, &Value)> {
        self.0.iter().map(|(name, value)| (name.as_str(), value))
    }

    /// Returns the value of a field.
    #[must_use]
    pub fn value(&self, name: &str) -> Option<&Value> {
        self.0.get(name)
    }

    /// Returns the value of a numeric field.
    #[must_use]
    pub fn number(&self, name: &str) -> Option<f64> {
        self.value(name)?.as_f64()
    }

    /// Returns the value of a text field.
    #[must_use]
    pub fn text(&self, name: &str) -> Option<&str> {
        self.value(name)?.as_str()
    }

    /// Returns workload and subject, for messages.
    fn title(&self) -> String {
        let text = |name| self.text(name).unwrap_or("unknown");
        format!("{} {}", text("workload"), text("subject"))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    record! {
        struct Inner {
            Timed ns_per_op: f64 = "ns/op";
        }
    }

    record! {
        struct Outer {
            + inner: Inner;
            Row size: u64 = "size B";
            Decided note: Option<String>;
        }
    }

    fn run() -> Run {
        let inner = Inner { ns_per_op: 2.5 };
        let (size, note) = (7, None);
        Run::of("sample", &Outer { inner, size, note })
    }

    #[test]
    fn parts_are_fields_of_the_whole_and_come_back() {
        let names: Vec<&str> = fields::<Outer>().iter().map(|field| field.name).collect();
        assert_eq!(names, ["ns_per_op", "size", "note"]);
        let text = serde_json::to_string(&run()).unwrap();
        let expected = r#"{"workload":"sample","ns_per_op":2.5,"size":7,"note":null}"#;
        assert_eq!(text, expected);
        let outer = &records::<Outer>(&[serde_json::from_str(&text).unwrap()]).unwrap()[0];
        assert_eq!((outer.size, outer.inner.ns_per_op), (7, 2.5));
    }

    #[test]
    fn what_is_missing_or_of_another_kind_is_named() {
        for (from, to, part) in [
            ("ns_per_op", "ns_per_operation", "missing field `ns_per_op`"),
            ("note", "notes", "missing field `note`"),
            ("7", "\"seven\"", "string \"seven\", expected u64"),
        ] {
            let text = serde_json::to_string(&run()).unwrap().replace(from, to);
            let error = records::<Outer>(&[serde_json::from_str(&text).unwrap()]).unwrap_err();
            assert!(error.source.to_string().contains(part), "{}", error.source);
        }
    }

    #[test]
    #[should_panic(expected = "given twice")]
    fn no_field_is_given_twice() {
        run().set("size", 7);
    }
}
