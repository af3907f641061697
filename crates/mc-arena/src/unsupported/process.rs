//! Processes where none owns memory of this crate.

use std::{convert::Infallible, io};

use super::other_process::OtherProcess;

/// The process in which something was made: nothing is, here.
#[derive(Clone, Copy, Debug)]
pub struct Process(Infallible);

impl Process {
    /// Refuses.
    ///
    /// # Errors
    ///
    /// [`io::ErrorKind::Unsupported`].
    pub fn current() -> io::Result<Self> {
        let reason = "memory pools need Linux on a 64-bit machine";
        Err(io::Error::new(io::ErrorKind::Unsupported, reason))
    }

    /// There is none to ask.
    #[must_use]
    pub fn is_current(&self) -> bool {
        match self.0 {}
    }

    /// There is none to ask.
    ///
    /// # Errors
    ///
    /// None.
    pub fn check(&self) -> Result<(), OtherProcess> {
        match self.0 {}
    }

    pub(crate) fn number(&self) -> u64 {
        match self.0 {}
    }

    pub(crate) fn other(&self) -> OtherProcess {
        match self.0 {}
    }

    pub(crate) fn assert_current(&self) {
        match self.0 {}
    }
}
