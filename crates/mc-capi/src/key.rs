//! Keys of objects, as C passes and is told them.

#![expect(unsafe_code, reason = "keys are arrays of the caller")]

use std::ffi::c_void;

use crate::{fault::Fault, raw};

/// The bytes that name an object. They are copied where they are kept.
#[derive(Clone, Copy, Debug)]
#[repr(C)]
pub struct Key {
    /// First byte; may be null if there are none.
    pub start: *const c_void,
    /// How many bytes there are.
    pub bytes: usize,
}

/// A function that is told keys, one with each call. They are valid during the call.
///
/// It is called by the thread that passed it, without a lock, and may use the library. It must not
/// throw.
pub type KeyVisitor = Option<unsafe extern "C" fn(context: *mut c_void, key: Key)>;

impl Key {
    /// Returns the bytes.
    ///
    /// # Safety
    ///
    /// Unless `bytes` is 0, so many begin at `start`, and nobody writes them during `'a`.
    pub(crate) unsafe fn get<'a>(self, argument: &'static str) -> Result<&'a [u8], Fault> {
        // SAFETY: the caller's clause.
        unsafe { raw::array(self.start.cast(), self.bytes, argument) }
    }

    /// Returns the bytes, or `None` if they begin at null.
    ///
    /// # Safety
    ///
    /// As [`get`](Self::get).
    pub(crate) unsafe fn get_if_any<'a>(
        self,
        argument: &'static str,
    ) -> Result<Option<&'a [u8]>, Fault> {
        if self.start.is_null() && self.bytes == 0 {
            return Ok(None);
        }
        // SAFETY: the caller's clause.
        unsafe { self.get(argument) }.map(Some)
    }

    pub(crate) fn of(bytes: &[u8]) -> Self {
        Self {
            start: bytes.as_ptr().cast(),
            bytes: bytes.len(),
        }
    }
}

/// Tells keys to a function of the caller, if there is one.
///
/// # Safety
///
/// `visit` may be called with `context`.
pub(crate) unsafe fn tell_keys(keys: &[Box<[u8]>], visit: KeyVisitor, context: *mut c_void) {
    let Some(visit) = visit else {
        return;
    };
    for key in keys {
        // SAFETY: the caller's clause.
        unsafe { visit(context, Key::of(key)) };
    }
}
