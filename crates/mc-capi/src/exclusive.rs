//! Handles of values that one call at a time uses, and that the last call takes away.

use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use crate::{fault::Fault, kind::Kind, shelves::Shelves};

/// All values of one kind, each behind a lock of its own.
pub(crate) struct Exclusive<T> {
    kind: Kind,
    values: Shelves<Arc<Mutex<Option<T>>>>,
}

impl<T> Exclusive<T> {
    pub(crate) const fn new(kind: Kind) -> Self {
        let values = Shelves::new(kind);
        Self { kind, values }
    }

    /// Keeps a value and returns the id that names it until it is [taken](Self::take).
    pub(crate) fn insert(&self, value: T) -> Result<u64, Fault> {
        self.values.insert(Arc::new(Mutex::new(Some(value))))
    }

    /// Calls `operate` with the value that `id` names, beside which nobody else uses it.
    pub(crate) fn with<R>(
        &self,
        id: u64,
        operate: impl FnOnce(&mut T) -> Result<R, Fault>,
    ) -> Result<R, Fault> {
        let shared = self.values.get(id)?;
        let mut value = lock(&shared);
        // It may have been taken while this call waited.
        match &mut *value {
            Some(value) => operate(value),
            None => Err(self.stale(id)),
        }
    }

    /// Makes `id` name nothing any more, waits for whoever uses the value, and returns it.
    pub(crate) fn take(&self, id: u64) -> Result<T, Fault> {
        let shared = self.values.take(id)?;
        let value = lock(&shared).take();
        value.ok_or_else(|| self.stale(id))
    }

    fn stale(&self, id: u64) -> Fault {
        let kind = self.kind;
        Fault::StaleHandle { kind, id }
    }
}

fn lock<T>(value: &Mutex<Option<T>>) -> MutexGuard<'_, Option<T>> {
    value.lock().unwrap_or_else(PoisonError::into_inner)
}
