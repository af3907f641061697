//! A store before and after its directory is read.
//!
//! Without a directory it is there at once. With one, the segments have to be known before: they are
//! collected until the first call that needs the store, which reads the directory.

use std::{
    path::PathBuf,
    sync::{Mutex, MutexGuard, OnceLock, PoisonError},
};

use mc_segment::{MountError, Mounting, SegmentPool, SegmentPoolOptions};
use mc_store::{ObjectStore, StoreOptions};
use pyo3::PyResult;

use crate::{errors, segments::Described};

/// A store that is there or will be.
#[derive(Debug)]
pub(crate) struct Opening {
    store: OnceLock<Ready>,
    /// What the store will be made of, `None` once it is there. Locked while it is opened, by threads
    /// that do not have the lock of the interpreter.
    waiting: Mutex<Option<Waiting>>,
}

#[derive(Debug)]
struct Ready {
    store: ObjectStore,
    missing: Missing,
    has_directory: bool,
}

/// What was in the directory and is not in the store.
#[derive(Debug, Default)]
pub(crate) struct Missing {
    pub(crate) lost: Vec<Box<[u8]>>,
    pub(crate) damage: Vec<String>,
}

#[derive(Debug)]
struct Waiting {
    directory: PathBuf,
    pool: SegmentPoolOptions,
    options: StoreOptions,
    segments: Vec<Described>,
    /// Has the segments mounted, so that what does not go together is refused at once.
    rehearsal: SegmentPool,
}

impl Opening {
    pub(crate) fn new(
        pool: SegmentPoolOptions,
        options: StoreOptions,
        directory: Option<PathBuf>,
    ) -> PyResult<Self> {
        // Made in any case, to refuse options that make no store.
        let store = ObjectStore::new(SegmentPool::new(pool), options.clone());
        let store = store.map_err(|error| errors::invalid(error.to_string()))?;
        let Some(directory) = directory else {
            let ready = Ready {
                store,
                missing: Missing::default(),
                has_directory: false,
            };
            return Ok(Self {
                store: OnceLock::from(ready),
                waiting: Mutex::new(None),
            });
        };
        let waiting = Waiting {
            directory,
            pool,
            options,
            segments: Vec::new(),
            rehearsal: SegmentPool::new(pool),
        };
        Ok(Self {
            store: OnceLock::new(),
            waiting: Mutex::new(Some(waiting)),
        })
    }

    /// Returns the store if it is there.
    #[inline]
    pub(crate) fn opened(&self) -> Option<&ObjectStore> {
        self.store.get().map(|ready| &ready.store)
    }

    pub(crate) fn has_directory(&self) -> bool {
        self.store.get().is_none_or(|ready| ready.has_directory)
    }

    /// Returns what was not found again; of a store that is there.
    pub(crate) fn missing(&self) -> &Missing {
        static NOTHING: Missing = Missing {
            lost: Vec::new(),
            damage: Vec::new(),
        };
        self.store.get().map_or(&NOTHING, |ready| &ready.missing)
    }

    /// Mounts a segment, or keeps it for the opening.
    pub(crate) fn mount(&self, described: Described) -> Result<Mounting, MountError> {
        let mut waiting = self.lock();
        let Some(waiting) = &mut *waiting else {
            let ready = self.store.get().expect("a store waits or is there");
            return ready.store.pool().mount(described.segment());
        };
        let mounting = waiting.rehearsal.mount(described.segment())?;
        waiting
            .segments
            .retain(|other| other.id() != described.id());
        waiting.segments.push(described);
        Ok(mounting)
    }

    /// Reads the directory, unless another thread was first.
    pub(crate) fn open(&self) -> PyResult<&ObjectStore> {
        let mut waiting = self.lock();
        if let Some(store) = self.opened() {
            return Ok(store);
        }
        let made_of = waiting.as_ref().expect("a store waits or is there");
        let pool = SegmentPool::new(made_of.pool);
        let options = made_of.options.clone();
        let opened = ObjectStore::open(&made_of.directory, pool, options, |info| {
            let mut segments = made_of.segments.iter();
            let found = segments.find(|segment| segment.id() == info.id);
            found.map(Described::segment)
        });
        let opened = opened.map_err(|error| errors::error(&error))?;
        for segment in &made_of.segments {
            // Those that the directory knew are mounted already.
            let mounting = opened.store.pool().mount(segment.segment());
            mounting.map_err(errors::mount)?;
        }
        let damage = opened.damage.iter().map(ToString::to_string);
        let missing = Missing {
            damage: damage.collect(),
            lost: opened.lost,
        };
        *waiting = None;
        let ready = self.store.get_or_init(|| Ready {
            store: opened.store,
            missing,
            has_directory: true,
        });
        Ok(&ready.store)
    }

    fn lock(&self) -> MutexGuard<'_, Option<Waiting>> {
        self.waiting.lock().unwrap_or_else(PoisonError::into_inner)
    }
}
