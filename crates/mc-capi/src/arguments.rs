//! Words and times of the caller, checked.

#![expect(
    unsafe_code,
    reason = "texts of the caller end where their zero byte is"
)]

use std::{
    ffi::{CStr, c_char},
    time::Duration,
};

use crate::fault::Fault;

/// Returns a text of the caller; null stands for an empty one.
///
/// # Safety
///
/// As [`text_or_null`].
pub(crate) unsafe fn text<'a>(
    start: *const c_char,
    argument: &'static str,
) -> Result<&'a str, Fault> {
    // SAFETY: the caller's clause.
    let text = unsafe { text_or_null(start, argument) };
    Ok(text?.unwrap_or(""))
}

/// Returns a text of the caller, or `None` for null.
///
/// # Safety
///
/// Unless `start` is null, a text that ends with a zero byte begins there, and nobody writes it during
/// `'a`.
pub(crate) unsafe fn text_or_null<'a>(
    start: *const c_char,
    argument: &'static str,
) -> Result<Option<&'a str>, Fault> {
    if start.is_null() {
        return Ok(None);
    }
    // SAFETY: not null: checked above; the rest is the caller's clause.
    let text = unsafe { CStr::from_ptr(start) };
    let text = text.to_str().map_err(|_| Fault::NotText { argument })?;
    Ok(Some(text))
}

/// Returns a time that is not negative.
pub(crate) fn seconds(value: f64, option: &'static str) -> Result<Duration, Fault> {
    Duration::try_from_secs_f64(value).map_err(|_| Fault::Seconds { option, value })
}

/// Returns a time, or nothing for 0.
pub(crate) fn seconds_if_any(value: f64, option: &'static str) -> Result<Option<Duration>, Fault> {
    let time = seconds(value, option)?;
    Ok((!time.is_zero()).then_some(time))
}

/// Checks that options were filled in by the function that gives their defaults, of the same library.
pub(crate) fn struct_bytes<T>(given: usize) -> Result<(), Fault> {
    if given == size_of::<T>() {
        return Ok(());
    }
    let accepted = "what the function that gives the defaults of this library wrote";
    Err(Fault::option("struct_bytes", given as u64, accepted))
}
