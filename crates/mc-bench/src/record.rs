//! What a run reports: the fields that its workload declares, typed where they are written and read.
//!
//! A workload declares a struct by `record!`: each field with its unit in the name, its
//! [`Role`], and its heading on a terminal. From it follow the document ([`Run`]), its columns, what a quick run
//! is compared by, and the reading back of stored documents, in which a field that is missing is an error.

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

/// A field that is not as declared.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum FieldError {
    /// It is not there.
    #[error("a run of {run} has no field \"{field}\"")]
    Missing {
        /// Workload and subject.
        run: String,
        /// Name of the field.
        field: &'static str,
    },
    /// It holds something else.
    #[error("in a run of {run}, \"{field}\" is {value}; expected is {expected}")]
    Kind {
        /// Workload and subject.
        run: String,
        /// Name of the field.
        field: &'static str,
        /// What is there, as JSON.
        value: String,
        /// What is declared.
        expected: &'static str,
    },
}

/// A part of a record: one field, or several of a record of their own.
pub trait Part: Sized {
    /// Appends the fields. A record within a record has names, roles and headings of its own.
    fn declare(field: Field, list: &mut Vec<Field>);

    /// Writes the fields.
    fn write(&self, name: &'static str, run: &mut Run);

    /// Reads the fields back.
    ///
    /// # Errors
    ///
    /// Returns the first field that is missing or of another kind.
    fn read(name: &'static str, run: &Run) -> Result<Self, FieldError>;
}

/// The value of one field.
pub trait Leaf: Sized {
    /// What it is called in an error.
    const KIND: &'static str;

    /// Returns it as JSON.
    fn to_json(&self) -> Value;

    /// Returns what JSON holds, if it is of this kind.
    fn of_json(value: &Value) -> Option<Self>;
}

/// Declares a record: a struct whose every field has a role, and a heading if it is shown on a terminal.
macro_rules! record {
    ($(#[$meta:meta])* $visibility:vis struct $Record:ident {
        $($(#[$doc:meta])* $role:ident $field:ident: $Type:ty $(= $heading:literal)?;)*
    }) => {
        $(#[$meta])*
        #[derive(Clone, Debug)]
        $visibility struct $Record {
            $($(#[$doc])* $visibility $field: $Type,)*
        }

        impl $crate::record::Part for $Record {
            fn declare(_: $crate::record::Field, list: &mut Vec<$crate::record::Field>) {
                $(<$Type as $crate::record::Part>::declare(
                    $crate::record::Field {
                        name: stringify!($field),
                        role: $crate::record::Role::$role,
                        heading: concat!($($heading)?),
                    },
                    list,
                );)*
            }

            fn write(&self, _: &'static str, run: &mut $crate::record::Run) {
                $($crate::record::Part::write(&self.$field, stringify!($field), run);)*
            }

            fn read(
                _: &'static str,
                run: &$crate::record::Run,
            ) -> Result<Self, $crate::record::FieldError> {
                Ok(Self {
                    $($field: $crate::record::Part::read(stringify!($field), run)?,)*
                })
            }
        }
    };
}

pub(crate) use record;

/// Returns the fields of a record, in order.
#[must_use]
pub fn fields<R: Part>() -> Vec<Field> {
    let mut list = Vec::new();
    let whole = Field {
        name: "",
        role: Role::Row,
        heading: "",
    };
    R::declare(whole, &mut list);
    list
}

/// Reads runs back as records.
///
/// # Errors
///
/// Returns the first field that is missing or of another kind.
pub fn records<R: Part>(runs: &[Run]) -> Result<Vec<R>, FieldError> {
    runs.iter().map(|run| R::read("", run)).collect()
}

impl Run {
    /// Returns the run of a workload that a record tells of.
    #[must_use]
    pub fn of(workload: &str, record: &impl Part) -> Self {
        let mut run = Self::default();
        run.set("workload", &workload.to_owned());
        record.write("", &mut run);
        run
    }

    /// Appends a field.
    ///
    /// # Panics
    ///
    /// Panics when the field is already there, or is a number that JSON cannot hold.
    pub fn set(&mut self, name: &str, value: &impl Leaf) {
        let before = self.0.insert(name.to_owned(), value.to_json());
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

impl<T: Leaf> Part for T {
    fn declare(field: Field, list: &mut Vec<Field>) {
        list.push(field);
    }

    fn write(&self, name: &'static str, run: &mut Run) {
        run.set(name, self);
    }

    fn read(name: &'static str, run: &Run) -> Result<Self, FieldError> {
        let Some(value) = run.value(name) else {
            let (run, field) = (run.title(), name);
            return Err(FieldError::Missing { run, field });
        };
        T::of_json(value).ok_or_else(|| FieldError::Kind {
            run: run.title(),
            field: name,
            value: value.to_string(),
            expected: T::KIND,
        })
    }
}

impl Leaf for u64 {
    const KIND: &'static str = "a count";

    fn to_json(&self) -> Value {
        (*self).into()
    }

    fn of_json(value: &Value) -> Option<Self> {
        value.as_u64()
    }
}

impl Leaf for f64 {
    const KIND: &'static str = "a number";

    fn to_json(&self) -> Value {
        assert!(self.is_finite(), "JSON has no {self}");
        (*self).into()
    }

    fn of_json(value: &Value) -> Option<Self> {
        value.as_f64()
    }
}

impl Leaf for String {
    const KIND: &'static str = "a text";

    fn to_json(&self) -> Value {
        self.as_str().into()
    }

    fn of_json(value: &Value) -> Option<Self> {
        value.as_str().map(str::to_owned)
    }
}

impl Leaf for Vec<f64> {
    const KIND: &'static str = "a list of numbers";

    fn to_json(&self) -> Value {
        self.as_slice().into()
    }

    fn of_json(value: &Value) -> Option<Self> {
        value.as_array()?.iter().map(Value::as_f64).collect()
    }
}

/// What a row may not have is there as null.
impl<T: Leaf> Leaf for Option<T> {
    const KIND: &'static str = T::KIND;

    fn to_json(&self) -> Value {
        self.as_ref().map_or(Value::Null, T::to_json)
    }

    fn of_json(value: &Value) -> Option<Self> {
        if value.is_null() {
            return Some(None);
        }
        T::of_json(value).map(Some)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    record! {
        /// A part.
        struct Inner {
            /// A time.
            Timed ns_per_op: f64 = "ns/op";
        }
    }

    record! {
        /// A record.
        struct Outer {
            /// A row.
            Row size: u64 = "size B";
            /// A part.
            Timed inner: Inner;
            /// What may be absent.
            Decided note: Option<String>;
        }
    }

    fn run() -> Run {
        let inner = Inner { ns_per_op: 2.5 };
        let (size, note) = (7, None);
        Run::of("sample", &Outer { size, inner, note })
    }

    #[test]
    fn parts_are_fields_of_the_whole_and_come_back() {
        let names: Vec<&str> = fields::<Outer>().iter().map(|field| field.name).collect();
        assert_eq!(names, ["size", "ns_per_op", "note"]);
        let text = serde_json::to_string(&run()).unwrap();
        assert_eq!(
            text,
            r#"{"workload":"sample","size":7,"ns_per_op":2.5,"note":null}"#
        );
        let again: Run = serde_json::from_str(&text).unwrap();
        let [outer] = records::<Outer>(&[again]).unwrap().try_into().unwrap();
        assert_eq!(
            (outer.size, outer.inner.ns_per_op, outer.note),
            (7, 2.5, None)
        );
    }

    #[test]
    fn what_is_missing_or_of_another_kind_is_named() {
        for (from, to, part) in [
            (
                "ns_per_op",
                "ns_per_operation",
                "has no field \"ns_per_op\"",
            ),
            ("\"note\":null", "\"else\":null", "has no field \"note\""),
            (
                "7",
                "\"seven\"",
                "\"size\" is \"seven\"; expected is a count",
            ),
        ] {
            let text = serde_json::to_string(&run()).unwrap().replace(from, to);
            let error = records::<Outer>(&[serde_json::from_str(&text).unwrap()]).unwrap_err();
            assert!(error.to_string().contains(part), "{error}");
        }
    }

    #[test]
    #[should_panic(expected = "given twice")]
    fn no_field_is_given_twice() {
        run().set("size", &7_u64);
    }
}
