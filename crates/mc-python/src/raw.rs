//! The part of the buffer protocol that `PyO3` leaves out for Python before 3.11.
//!
//! The struct and the functions are the same since Python 3.0, and part of the stable interface since
//! 3.11; the slot is read by every Python from 3.9 on.

use std::{
    ffi::{c_char, c_int, c_void},
    ptr,
};

use pyo3::ffi::{Py_ssize_t, PyObject};

/// Asks for the bytes in one piece, to be read.
pub(crate) const SIMPLE: c_int = 0;
/// Asks for bytes that may be written.
pub(crate) const WRITABLE: c_int = 1;

/// The slot of a type for the function that lends.
pub(crate) const GET_BUFFER: c_int = 1;

/// `Py_buffer`: what one object has lent to another.
#[repr(C)]
#[derive(Debug)]
pub(crate) struct RawView {
    pub(crate) start: *mut c_void,
    /// Who has lent; a reference that the view owns.
    pub(crate) lender: *mut PyObject,
    pub(crate) len: Py_ssize_t,
    item_size: Py_ssize_t,
    is_readonly: c_int,
    dimensions: c_int,
    format: *mut c_char,
    shape: *mut Py_ssize_t,
    strides: *mut Py_ssize_t,
    suboffsets: *mut Py_ssize_t,
    internal: *mut c_void,
}

impl RawView {
    pub(crate) const fn empty() -> Self {
        Self {
            start: ptr::null_mut(),
            lender: ptr::null_mut(),
            len: 0,
            item_size: 0,
            is_readonly: 0,
            dimensions: 0,
            format: ptr::null_mut(),
            shape: ptr::null_mut(),
            strides: ptr::null_mut(),
            suboffsets: ptr::null_mut(),
            internal: ptr::null_mut(),
        }
    }
}

#[expect(unsafe_code, reason = "functions of Python")]
unsafe extern "C" {
    pub(crate) fn PyObject_GetBuffer(
        lender: *mut PyObject,
        view: *mut RawView,
        flags: c_int,
    ) -> c_int;
    pub(crate) fn PyBuffer_Release(view: *mut RawView);
    pub(crate) fn PyBuffer_FillInfo(
        view: *mut RawView,
        lender: *mut PyObject,
        start: *mut c_void,
        len: Py_ssize_t,
        is_readonly: c_int,
        flags: c_int,
    ) -> c_int;
}
