//! Bytes that other objects offer by the buffer protocol: what is written to the store, and where it
//! is read to; and objects of bytes that were read.

#![expect(
    unsafe_code,
    reason = "the buffer protocol is the only way to bytes of other objects"
)]

use std::{marker::PhantomData, ptr, slice};

use pyo3::{
    ffi,
    prelude::*,
    types::{PyBytes, PyString},
};

use crate::raw::{self, RawView};

/// The bytes of an object, which keeps them where they are until this is dropped.
///
/// They may change meanwhile, as those of any buffer in Python: what is copied of them is then a mixture.
#[derive(Debug)]
pub(crate) struct Source<'py> {
    view: RawView,
    /// Dropped by a thread that is attached.
    _python: PhantomData<Bound<'py, PyAny>>,
}

impl<'py> Source<'py> {
    /// Returns the bytes of an object, to be read.
    pub(crate) fn of(object: &Bound<'py, PyAny>) -> PyResult<Self> {
        Self::with(object, raw::SIMPLE)
    }

    /// Returns the bytes of an object, to be written.
    pub(crate) fn writable(object: &Bound<'py, PyAny>) -> PyResult<Self> {
        Self::with(object, raw::SIMPLE | raw::WRITABLE)
    }

    fn with(object: &Bound<'py, PyAny>, flags: i32) -> PyResult<Self> {
        let mut view = RawView::empty();
        // SAFETY: (1) the object is alive and this thread attached, as `object` says; (2) the view is
        // ours and is filled or left as it is.
        let status = unsafe { raw::PyObject_GetBuffer(object.as_ptr(), &raw mut view, flags) };
        if status != 0 {
            return Err(PyErr::fetch(object.py()));
        }
        Ok(Self {
            view,
            _python: PhantomData,
        })
    }

    pub(crate) fn bytes(&self) -> &[u8] {
        let len = self.len();
        if len == 0 {
            return &[];
        }
        // SAFETY: (1) the lender keeps `len` bytes from `start` on in place until the view is released,
        // which the drop does; (2) a length is never negative and the bytes are one piece, as a request
        // without strides demands.
        unsafe { slice::from_raw_parts(self.view.start.cast(), len) }
    }

    pub(crate) fn bytes_mut(&mut self) -> &mut [u8] {
        let len = self.len();
        if len == 0 {
            return &mut [];
        }
        // SAFETY: (1) as in `bytes`; (2) whoever asks for a slice to write has asked for a writable view.
        unsafe { slice::from_raw_parts_mut(self.view.start.cast(), len) }
    }

    pub(crate) fn len(&self) -> usize {
        usize::try_from(self.view.len).unwrap_or(0)
    }
}

impl Drop for Source<'_> {
    fn drop(&mut self) {
        // SAFETY: (1) the view was filled and is released once; (2) this thread is attached, as the
        // lifetime says.
        unsafe { raw::PyBuffer_Release(&raw mut self.view) };
    }
}

/// Copies bytes into an object of Python, without the lock of the interpreter.
pub(crate) fn copied<'py>(py: Python<'py>, bytes: &[u8]) -> PyResult<Bound<'py, PyBytes>> {
    let len = bytes.len().cast_signed();
    // SAFETY: (1) this thread is attached; (2) null asks for bytes that are written later; (3) no slice is
    // longer than a signed number says.
    let made = unsafe { ffi::PyBytes_FromStringAndSize(ptr::null(), len) };
    // SAFETY: (1) a new reference, or null with an exception set.
    let made = unsafe { Bound::from_owned_ptr_or_err(py, made) }?.cast_into::<PyBytes>()?;
    // SAFETY: (1) the object is of bytes.
    let start = unsafe { ffi::PyBytes_AsString(made.as_ptr()) };
    let start = start.expose_provenance();
    py.detach(|| {
        let start = ptr::with_exposed_provenance_mut(start);
        // SAFETY: (1) so many bytes begin there, as they were made above; (2) nobody else has the object
        // before this returns; (3) they are not those of the slice, which were there before.
        unsafe { ptr::copy_nonoverlapping(bytes.as_ptr(), start, bytes.len()) };
    });
    Ok(made)
}

/// Key of an object: bytes, or text as UTF-8.
pub(crate) enum Key<'py> {
    Bytes(Bound<'py, PyBytes>),
    Other(Vec<u8>),
}

impl<'py> Key<'py> {
    #[inline]
    pub(crate) fn of(object: &Bound<'py, PyAny>) -> PyResult<Self> {
        match object.cast::<PyBytes>() {
            Ok(bytes) => Ok(Self::Bytes(bytes.clone())),
            Err(_) => Self::other(object),
        }
    }

    #[cold]
    fn other(object: &Bound<'py, PyAny>) -> PyResult<Self> {
        Ok(Self::Other(match object.cast::<PyString>() {
            Ok(text) => text.to_cow()?.as_bytes().to_vec(),
            Err(_) => Source::of(object)?.bytes().to_vec(),
        }))
    }
}

impl AsRef<[u8]> for Key<'_> {
    #[inline]
    fn as_ref(&self) -> &[u8] {
        match self {
            Self::Bytes(bytes) => bytes.as_bytes(),
            Self::Other(bytes) => bytes,
        }
    }
}
