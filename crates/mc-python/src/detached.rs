//! Values whose drop may take long.

use std::ops::{Deref, DerefMut};

use pyo3::Python;

/// A value that is dropped without the lock of the interpreter: unmapping a pool takes a while, and so
/// does closing a directory.
#[derive(Debug)]
pub(crate) struct Detached<T: Send> {
    /// `None` only while it is dropped or taken out.
    value: Option<T>,
}

impl<T: Send> Detached<T> {
    pub(crate) fn new(value: T) -> Self {
        Self { value: Some(value) }
    }

    pub(crate) fn into_inner(mut self) -> T {
        self.value.take().expect("it is taken once")
    }
}

impl<T: Send> Deref for Detached<T> {
    type Target = T;

    #[inline]
    fn deref(&self) -> &T {
        self.value.as_ref().expect("it is taken by the last use")
    }
}

impl<T: Send> DerefMut for Detached<T> {
    #[inline]
    fn deref_mut(&mut self) -> &mut T {
        self.value.as_mut().expect("it is taken by the last use")
    }
}

impl<T: Send> Drop for Detached<T> {
    fn drop(&mut self) {
        if let Some(value) = self.value.take() {
            let mut value = Some(value);
            // An interpreter that is ending has no lock any more: then it is dropped below.
            let _ = Python::try_attach(|py| py.detach(|| drop(value.take())));
            drop(value);
        }
    }
}
