//! Pointers of the caller become references here: checked for null, and for nothing else that
//! cannot be checked.

#![expect(
    unsafe_code,
    reason = "arrays of the caller become slices in these functions"
)]

use std::{mem::MaybeUninit, ptr, slice};

use crate::fault::Fault;

/// Returns what an optional reference refers to, or the error that names the argument.
#[inline]
pub(crate) fn required<T>(reference: Option<T>, argument: &'static str) -> Result<T, Fault> {
    match reference {
        Some(reference) => Ok(reference),
        // Not `ok_or`: a fault that is made has to be dropped, on every call.
        None => Err(Fault::Null { argument }),
    }
}

/// Returns the `len` elements at `start`; null is accepted for none.
///
/// # Safety
///
/// Unless `start` is null or `len` is 0, `len` initialized elements begin at `start`, and nobody
/// writes them during `'a`.
pub(crate) unsafe fn array<'a, T>(
    start: *const T,
    len: usize,
    argument: &'static str,
) -> Result<&'a [T], Fault> {
    if len == 0 {
        return Ok(&[]);
    }
    check_start(start, argument)?;
    check_len::<T>(len, argument)?;
    // SAFETY: (1) not null, aligned, and not longer than a slice may be: checked above; (2)
    // initialized and not written: the caller's clause.
    Ok(unsafe { slice::from_raw_parts(start, len) })
}

/// Returns room for `len` elements at `start`; null is accepted for none.
///
/// # Safety
///
/// Unless `start` is null or `len` is 0, `len` elements begin at `start` that nobody else uses
/// during `'a`.
pub(crate) unsafe fn room<'a, T>(
    start: *mut T,
    len: usize,
    argument: &'static str,
) -> Result<&'a mut [MaybeUninit<T>], Fault> {
    if len == 0 {
        return Ok(&mut []);
    }
    check_start(start, argument)?;
    check_len::<T>(len, argument)?;
    // SAFETY: (1) not null, aligned, and not longer than a slice may be: checked above; (2) nothing
    // is assumed about the contents, which are `MaybeUninit`; (3) exclusive: the caller's clause.
    Ok(unsafe { slice::from_raw_parts_mut(start.cast(), len) })
}

/// Returns the `len` bytes at `start`, to be written; null is accepted for none.
///
/// # Safety
///
/// Unless `start` is null or `len` is 0, `len` bytes of a program in C begin at `start` that nobody else
/// uses during `'a`.
pub(crate) unsafe fn bytes_mut<'a>(
    start: *mut u8,
    len: usize,
    argument: &'static str,
) -> Result<&'a mut [u8], Fault> {
    // SAFETY: the caller's clause.
    let room = unsafe { room(start, len, argument) }?;
    // SAFETY: whatever is in memory that a program in C passes are bytes: it has no others.
    Ok(unsafe { &mut *(ptr::from_mut(room) as *mut [u8]) })
}

fn check_start<T>(start: *const T, argument: &'static str) -> Result<(), Fault> {
    if start.is_null() {
        return Err(Fault::Null { argument });
    }
    if !start.is_aligned() {
        return Err(Fault::Misaligned { argument });
    }
    Ok(())
}

/// Refuses lengths that no object in memory has.
fn check_len<T>(len: usize, option: &'static str) -> Result<(), Fault> {
    let bytes = len.checked_mul(size_of::<T>());
    if bytes.is_some_and(|bytes| isize::try_from(bytes).is_ok()) {
        return Ok(());
    }
    Err(Fault::option(
        option,
        len as u64,
        "an array that fits the address space",
    ))
}

/// Tells the number of elements, `needed`, and, if there is room for all of them, writes them.
pub(crate) fn fill<T>(
    room: &mut [MaybeUninit<T>],
    count: &mut MaybeUninit<usize>,
    needed: usize,
    elements: impl Iterator<Item = T>,
) -> Result<(), Fault> {
    count.write(needed);
    if room.len() < needed {
        return Err(Fault::ArrayTooShort {
            needed,
            given: room.len(),
        });
    }
    for (place, element) in room.iter_mut().zip(elements) {
        place.write(element);
    }
    Ok(())
}
