//! Names of segments and hosts, each text once: two are equal iff they are one
//! and the same.

use std::{
    collections::HashSet,
    sync::{Arc, Mutex, PoisonError},
};

/// The names that the segments of a pool have.
#[derive(Debug, Default)]
pub(crate) struct Names(Mutex<Known>);

#[derive(Debug, Default)]
struct Known {
    texts: HashSet<Arc<str>>,
    /// Texts that there may be before those that nobody has are forgotten.
    len_max: usize,
}

/// Texts that are kept whether somebody has them or not.
const LEN_MIN: usize = 16;

impl Names {
    /// Returns the one that has a text.
    pub(crate) fn unique(&self, text: &str) -> Arc<str> {
        // Every change is one insertion or removal, so poison is no error.
        let mut known = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        if let Some(name) = known.texts.get(text) {
            return Arc::clone(name);
        }
        if known.texts.len() >= known.len_max {
            // The time is that of the insertions since the last time.
            known.texts.retain(|name| Arc::strong_count(name) > 1);
            known.texts.shrink_to(LEN_MIN);
            known.len_max = 2 * known.texts.len() + LEN_MIN;
        }
        let name = Arc::<str>::from(text);
        known.texts.insert(Arc::clone(&name));
        name
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn equal_texts_are_one_name_as_long_as_somebody_has_it() {
        let names = Names::default();
        let held: Vec<_> = (0..100).map(|at| names.unique(&at.to_string())).collect();
        for at in 0..10_000 {
            drop(names.unique(&at.to_string()));
        }
        for (at, name) in held.iter().enumerate() {
            assert!(Arc::ptr_eq(name, &names.unique(&at.to_string())));
        }
    }

    #[test]
    fn names_that_nobody_has_are_forgotten() {
        let names = Names::default();
        for at in 0..10_000 {
            drop(names.unique(&at.to_string()));
        }
        assert!(names.0.lock().unwrap().texts.len() <= 2 * LEN_MIN);
    }
}
