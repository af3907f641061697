//! Words and numbers of Python as options of the crates below; a refusal names what is accepted.

use std::{fmt::Display, time::Duration};

use mc_offset::Fit;
use mc_store::{Compaction, PolicyKind, PolicyKindError, Removal, Watermarks};
use pyo3::{
    exceptions::{PyMemoryError, PyOverflowError, PyTypeError},
    prelude::*,
    types::{PyByteArray, PyBytes, PyInt, PyString},
};

use crate::errors;

/// The numbers that a type has.
pub(crate) trait Whole: Display + Sized {
    const MIN: Self;
    const MAX: Self;
}

macro_rules! whole {
    ($($number:ty),+) => {$(
        impl Whole for $number {
            const MIN: Self = <$number>::MIN;
            const MAX: Self = <$number>::MAX;
        }
    )+};
}

whole!(i8, u32, u64, u128, usize);

/// Reads a whole number. One out of range is an `OverflowError`, as everywhere in Python, which says what
/// is accepted.
pub(crate) fn whole<T>(number: &Bound<'_, PyAny>) -> PyResult<T>
where
    T: Whole + for<'a, 'py> FromPyObject<'a, 'py, Error = PyErr>,
{
    number
        .extract()
        .or_else(|error: PyErr| match int_behind(number) {
            Some(int) => int.extract(),
            None => Err(error),
        })
        .map_err(
            |error: PyErr| match error.is_instance_of::<PyOverflowError>(number.py()) {
                true => PyOverflowError::new_err(format!(
                    "{} is out of range; whole numbers from {} to {} are accepted",
                    shown(number),
                    T::MIN,
                    T::MAX
                )),
                false => error,
            },
        )
}

/// Returns the int that an object of another class stands for: one of 128 bits is read of no other.
#[cold]
fn int_behind<'py>(number: &Bound<'py, PyAny>) -> Option<Bound<'py, PyInt>> {
    if number.is_instance_of::<PyInt>() {
        return None;
    }
    number.call_method0("__index__").ok()?.cast_into().ok()
}

/// Returns a number as text, which Python refuses to make of thousands of digits.
fn shown(number: &Bound<'_, PyAny>) -> String {
    match number.str() {
        Ok(text) => text.to_string(),
        Err(_) => "a number of thousands of digits".to_owned(),
    }
}

/// Reads a whole number, or nothing.
pub(crate) fn whole_if_any<T>(number: &Bound<'_, PyAny>) -> PyResult<Option<T>>
where
    T: Whole + for<'a, 'py> FromPyObject<'a, 'py, Error = PyErr>,
{
    (!number.is_none()).then(|| whole(number)).transpose()
}

/// Reads a function, or nothing.
pub(crate) fn function_if_any(object: &Bound<'_, PyAny>) -> PyResult<Option<Py<PyAny>>> {
    if object.is_none() || object.is_callable() {
        return Ok((!object.is_none()).then(|| object.clone().unbind()));
    }
    let kind = object.get_type();
    Err(PyTypeError::new_err(format!(
        "a {kind} where a function is needed"
    )))
}

/// Reads a time that is not negative.
pub(crate) fn seconds(name: &str, seconds: f64) -> PyResult<Duration> {
    Duration::try_from_secs_f64(seconds).map_err(|_| {
        errors::invalid(format!(
            "{name} is {seconds}; seconds from 0 to about 1.8e19 are accepted"
        ))
    })
}

pub(crate) fn fit(text: &str) -> PyResult<Fit> {
    let probes = text.strip_prefix("good:").map(str::parse);
    match (text, probes) {
        ("adaptive", _) => Ok(Fit::Adaptive),
        ("good", _) => Ok(Fit::GOOD),
        ("bin-exact", _) => Ok(Fit::BinExact),
        ("bin-ceil", _) => Ok(Fit::BinCeil),
        (_, Some(Ok(probes))) => Ok(Fit::Good { probes }),
        _ => Err(errors::invalid(format!(
            "no fit {text:?}; there are adaptive, good, good:PROBES, bin-exact and bin-ceil"
        ))),
    }
}

pub(crate) fn policy(text: &str) -> PyResult<PolicyKind> {
    text.parse()
        .map_err(|error: PolicyKindError| errors::invalid(error.to_string()))
}

pub(crate) fn removal(text: &str) -> PyResult<Removal> {
    match text {
        "if-idle" => Ok(Removal::IfIdle),
        "detach" => Ok(Removal::Detach),
        "now" => Ok(Removal::Now),
        _ => Err(errors::invalid(format!(
            "no mode {text:?}; there are if-idle, detach and now"
        ))),
    }
}

/// Reads the bytes that may be moved for each that is stored.
pub(crate) fn compaction(moved_per_placed: f64) -> PyResult<Compaction> {
    match moved_per_placed.is_finite() && moved_per_placed >= 0.0 {
        true => Ok(Compaction::moving(moved_per_placed)),
        false => Err(errors::invalid(format!(
            "compaction is {moved_per_placed}; bytes moved for each that is stored, from 0 on"
        ))),
    }
}

/// Reads two shares, which go together.
pub(crate) fn watermarks(high: Option<f64>, low: Option<f64>) -> PyResult<Option<Watermarks>> {
    match (high, low) {
        (None, None) => Ok(None),
        (Some(high), Some(low)) => Ok(Some(Watermarks {
            high_percent: percent("high", high)?,
            low_percent: percent("low", low)?,
        })),
        _ => Err(errors::invalid(
            "one of high and low alone; give both, or neither",
        )),
    }
}

/// Reads a share from 0 to 1, or a percentage above 1, and rounds it to a percent.
fn percent(name: &str, share: f64) -> PyResult<u8> {
    let percent = if share <= 1.0 { share * 100.0 } else { share };
    #[expect(
        clippy::cast_possible_truncation,
        clippy::cast_sign_loss,
        reason = "it is in the range of a percentage"
    )]
    match (0.0..=100.0).contains(&percent) {
        true => Ok(percent.round() as u8),
        false => Err(errors::invalid(format!(
            "{name} is {share}; shares from 0 to 1 or percentages up to 100 are accepted"
        ))),
    }
}

/// Reads the bytes of the parts of an object, or of its only one.
pub(crate) fn parts(size_or_parts: &Bound<'_, PyAny>) -> PyResult<Vec<u64>> {
    match sizes(size_or_parts, 1)? {
        parts if parts.is_empty() => Err(errors::invalid(
            "an object of no parts; at least 1 is needed",
        )),
        parts => Ok(parts),
    }
}

/// Reads a list of sizes, or the only one, of which `count` are made.
pub(crate) fn sizes(sizes: &Bound<'_, PyAny>, count: usize) -> PyResult<Vec<u64>> {
    // A number need not be an int: those of numpy are none.
    match sizes.is_instance_of::<PyInt>() || is_number(sizes)? {
        true => Ok(vec![whole(sizes)?; count]),
        false => sizes_of_list(sizes),
    }
}

/// Says whether an object is a number to Python, and no list of them.
fn is_number(object: &Bound<'_, PyAny>) -> PyResult<bool> {
    Ok(object.hasattr("__index__")? && !object.hasattr("__len__")?)
}

/// Reads a list of sizes.
pub(crate) fn sizes_of_list(sizes: &Bound<'_, PyAny>) -> PyResult<Vec<u64>> {
    list(sizes, |size| whole(&size))
}

/// Reads each element of a list, which may say that it has more than memory holds. A text is none, though
/// Python takes it for a list of its letters, nor are bytes, which it takes for numbers.
pub(crate) fn list<'py, T>(
    list: &Bound<'py, PyAny>,
    mut read: impl FnMut(Bound<'py, PyAny>) -> PyResult<T>,
) -> PyResult<Vec<T>> {
    if list.is_instance_of::<PyString>() {
        return Err(PyTypeError::new_err("a text where a list is needed"));
    }
    if list.is_instance_of::<PyBytes>() || list.is_instance_of::<PyByteArray>() {
        return Err(PyTypeError::new_err("bytes where a list is needed"));
    }
    let len = list.len().unwrap_or(0);
    let mut elements = Vec::new();
    elements.try_reserve(len).map_err(|_| {
        PyMemoryError::new_err(format!(
            "a list of {len} elements, which memory does not hold"
        ))
    })?;
    for element in list.try_iter()? {
        elements.push(read(element?)?);
    }
    Ok(elements)
}

/// Reads a list of offsets and sizes, each a tuple or a list of two.
pub(crate) fn pairs(pairs: &Bound<'_, PyAny>) -> PyResult<Vec<(u64, u64)>> {
    let mut entry = 0;
    list(pairs, |pair| {
        let numbers = match pair.extract::<(u64, u64)>() {
            Ok(numbers) => numbers,
            // It is a list, one of the numbers is out of range, or it is no pair.
            Err(_) => match list(&pair, Ok)?.as_slice() {
                [offset, size] => (whole(offset)?, whole(size)?),
                elements => {
                    return Err(errors::invalid(format!(
                        "entry {entry} has {} elements; an offset and a size are accepted",
                        elements.len()
                    )));
                }
            },
        };
        entry += 1;
        Ok(numbers)
    })
}
