//! Records that newer writers may add fields to: what a reader does not know it
//! keeps, and writes again.
//!
//! In formats that people read, such as JSON, an unknown field stands among the
//! others. In formats that do not describe themselves, such as postcard, the
//! fields that there are now come first, in their order, and whatever is added
//! later goes into a list of names and values behind them.

use std::{cell::Cell, collections::BTreeMap, fmt};

use serde::{
    Deserialize, Deserializer, Serialize, Serializer,
    de::{Error, MapAccess, SeqAccess, Visitor},
    ser::{SerializeMap, SerializeSeq},
};

/// Values inside one another at most, each of which takes stack when it is read
/// and dropped: as many as `serde_json` reads.
const DEPTH_MAX: u32 = 128;

thread_local! {
    /// How many values the thread is reading, one inside the other.
    static DEPTH: Cell<u32> = const { Cell::new(0) };
}

/// The fields of a record that this version does not know.
///
/// They take no part in comparisons.
#[derive(Clone, Debug, Default)]
pub struct UnknownFields(BTreeMap<String, Value>);

/// A record of known fields and of others.
#[derive(Clone, Debug)]
pub(crate) struct Growing<T> {
    pub(crate) known: T,
    pub(crate) unknown: UnknownFields,
}

/// The value of a field that is not known.
///
/// Derived for formats that do not describe themselves; [`Plain`] is for those
/// that do.
#[derive(Clone, Debug, Serialize, Deserialize)]
enum Value {
    Nothing,
    Bool(bool),
    Unsigned(u64),
    Signed(i64),
    Float(f64),
    Text(String),
    Bytes(Vec<u8>),
    #[serde(deserialize_with = "inside")]
    List(Vec<Value>),
    #[serde(deserialize_with = "inside")]
    Map(BTreeMap<String, Value>),
}

/// A value whose inside is being read.
struct Inside {
    depth_before: u32,
}

impl UnknownFields {
    /// Returns the names, in their order.
    pub fn names(&self) -> impl Iterator<Item = &str> {
        self.0.keys().map(String::as_str)
    }

    /// Keeps the unknown fields of a known field that is a record.
    pub(crate) fn put_nested(&mut self, name: &str, nested: Self) {
        if !nested.0.is_empty() {
            self.0.insert(name.to_owned(), Value::Map(nested.0));
        }
    }

    /// Returns what [`put_nested`](Self::put_nested) kept.
    pub(crate) fn take_nested(&mut self, name: &str) -> Self {
        match self.0.remove(name) {
            Some(Value::Map(nested)) => Self(nested),
            _ => Self::default(),
        }
    }
}

impl Inside {
    fn enter<E: Error>() -> Result<Self, E> {
        let depth_before = DEPTH.get();
        if depth_before == DEPTH_MAX {
            let refused = format!("more than {DEPTH_MAX} values inside one another");
            return Err(E::custom(refused));
        }
        DEPTH.set(depth_before + 1);
        Ok(Self { depth_before })
    }
}

impl Drop for Inside {
    fn drop(&mut self) {
        DEPTH.set(self.depth_before);
    }
}

/// Reads what is inside a value.
fn inside<'de, T: Deserialize<'de>, D: Deserializer<'de>>(deserializer: D) -> Result<T, D::Error> {
    let _inside = Inside::enter()?;
    T::deserialize(deserializer)
}

/// All fields side by side.
#[derive(Serialize)]
struct SideBySide<'a, T> {
    #[serde(flatten)]
    known: &'a T,
    #[serde(flatten)]
    unknown: PlainFields<&'a BTreeMap<String, Value>>,
}

#[derive(Deserialize)]
struct OwnedSideBySide<T> {
    #[serde(flatten)]
    known: T,
    // Last, so that it gets what is left.
    #[serde(flatten)]
    unknown: PlainFields<BTreeMap<String, Value>>,
}

impl<T: Serialize> Serialize for Growing<T> {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        let Self { known, unknown } = self;
        if serializer.is_human_readable() {
            let unknown = PlainFields(&unknown.0);
            SideBySide { known, unknown }.serialize(serializer)
        } else {
            (known, &unknown.0).serialize(serializer)
        }
    }
}

impl<'de, T: Deserialize<'de>> Deserialize<'de> for Growing<T> {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        let (known, unknown) = if deserializer.is_human_readable() {
            let OwnedSideBySide { known, unknown } = OwnedSideBySide::deserialize(deserializer)?;
            (known, unknown.0)
        } else {
            Deserialize::deserialize(deserializer)?
        };
        Ok(Self {
            known,
            unknown: UnknownFields(unknown),
        })
    }
}

/// Fields as a format that describes itself has them.
struct PlainFields<T>(T);

/// A value likewise.
struct Plain<T>(T);

impl Serialize for PlainFields<&BTreeMap<String, Value>> {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        let mut map = serializer.serialize_map(Some(self.0.len()))?;
        for (name, value) in self.0 {
            map.serialize_entry(name, &Plain(value))?;
        }
        map.end()
    }
}

impl<'de> Deserialize<'de> for PlainFields<BTreeMap<String, Value>> {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        let fields = BTreeMap::<String, Plain<Value>>::deserialize(deserializer)?;
        let fields = fields.into_iter();
        Ok(Self(
            fields.map(|(name, Plain(value))| (name, value)).collect(),
        ))
    }
}

impl Serialize for Plain<&Value> {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        match self.0 {
            Value::Nothing => serializer.serialize_unit(),
            Value::Bool(value) => serializer.serialize_bool(*value),
            Value::Unsigned(value) => serializer.serialize_u64(*value),
            Value::Signed(value) => serializer.serialize_i64(*value),
            Value::Float(value) => serializer.serialize_f64(*value),
            Value::Text(value) => serializer.serialize_str(value),
            Value::Bytes(value) => serializer.serialize_bytes(value),
            Value::List(values) => {
                let mut list = serializer.serialize_seq(Some(values.len()))?;
                for value in values {
                    list.serialize_element(&Plain(value))?;
                }
                list.end()
            }
            Value::Map(values) => PlainFields(values).serialize(serializer),
        }
    }
}

impl<'de> Deserialize<'de> for Plain<Value> {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        deserializer.deserialize_any(AnyValue).map(Plain)
    }
}

/// Reads whatever comes.
struct AnyValue;

impl<'de> Visitor<'de> for AnyValue {
    type Value = Value;

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("any value")
    }

    fn visit_unit<E>(self) -> Result<Value, E> {
        Ok(Value::Nothing)
    }

    fn visit_none<E>(self) -> Result<Value, E> {
        Ok(Value::Nothing)
    }

    fn visit_some<D: Deserializer<'de>>(self, deserializer: D) -> Result<Value, D::Error> {
        deserializer.deserialize_any(self)
    }

    fn visit_bool<E>(self, value: bool) -> Result<Value, E> {
        Ok(Value::Bool(value))
    }

    fn visit_u64<E>(self, value: u64) -> Result<Value, E> {
        Ok(Value::Unsigned(value))
    }

    fn visit_i64<E>(self, value: i64) -> Result<Value, E> {
        Ok(Value::Signed(value))
    }

    fn visit_f64<E>(self, value: f64) -> Result<Value, E> {
        Ok(Value::Float(value))
    }

    fn visit_str<E>(self, value: &str) -> Result<Value, E> {
        Ok(Value::Text(value.to_owned()))
    }

    fn visit_bytes<E>(self, value: &[u8]) -> Result<Value, E> {
        Ok(Value::Bytes(value.to_owned()))
    }

    fn visit_seq<A: SeqAccess<'de>>(self, mut values: A) -> Result<Value, A::Error> {
        let _inside = Inside::enter()?;
        let mut list = Vec::new();
        while let Some(Plain(value)) = values.next_element()? {
            list.push(value);
        }
        Ok(Value::List(list))
    }

    fn visit_map<A: MapAccess<'de>>(self, mut values: A) -> Result<Value, A::Error> {
        let _inside = Inside::enter()?;
        let mut map = BTreeMap::new();
        while let Some((name, Plain(value))) = values.next_entry()? {
            map.insert(name, value);
        }
        Ok(Value::Map(map))
    }
}
