//! A store before and after its directory is read.
//!
//! Without a directory it is there at once. With one, the segments have to be known before: they are
//! collected until the first call that needs the store, which reads the directory.

use std::{
    path::{self, PathBuf},
    sync::{Mutex, MutexGuard, OnceLock, PoisonError},
};

use mc_segment::{MountError, Mounting, SegmentPool, SegmentPoolOptions};
use mc_store::{ObjectStore, StoreOptions};
use pyo3::PyResult;

use crate::{errors, segments::Described};

/// A store that is there or will be.
#[derive(Debug)]
pub(super) struct Opening {
    store: OnceLock<Ready>,
    /// What the store will be made of, `None` once it is there. Locked while it is opened, by threads
    /// that do not have the lock of the interpreter.
    waiting: Mutex<Option<Waiting>>,
}

/// A store that is there.
#[derive(Debug)]
pub(super) struct Ready {
    pub(super) store: ObjectStore,
    /// Keys of objects that the directory had and whose bytes are gone.
    pub(super) lost: Vec<Box<[u8]>>,
    /// What of the directory could not be used, in words.
    pub(super) damage: Vec<String>,
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
    pub(super) fn new(
        pool: SegmentPoolOptions,
        options: StoreOptions,
        directory: Option<PathBuf>,
    ) -> PyResult<Self> {
        // Made in any case, to refuse options that make no store.
        let store = ObjectStore::new(SegmentPool::new(pool), options.clone());
        let store = store.map_err(errors::refused)?;
        let Some(directory) = directory else {
            let ready = Ready {
                store,
                lost: Vec::new(),
                damage: Vec::new(),
            };
            return Ok(Self {
                store: OnceLock::from(ready),
                waiting: Mutex::new(None),
            });
        };
        let waiting = Waiting {
            // It is read later, when the process may have gone elsewhere.
            directory: path::absolute(directory).map_err(errors::refused)?,
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
    pub(super) fn opened(&self) -> Option<&Ready> {
        self.store.get()
    }

    /// Mounts a segment, or keeps it for the opening.
    pub(super) fn mount(&self, described: Described) -> Result<Mounting, MountError> {
        let mut waiting = self.lock();
        let Some(waiting) = &mut *waiting else {
            let store = &self.opened().expect("a store waits or is there").store;
            let described = match store.directory() {
                Some(_) => outlived(described, store.pool()),
                None => described,
            };
            return store.pool().mount(described.segment());
        };
        let described = outlived(described, &waiting.rehearsal);
        let mounting = waiting.rehearsal.mount(described.segment())?;
        // One that is mounted keeps the memory that it has.
        if !matches!(mounting, Mounting::AlreadyMounted(_)) {
            waiting
                .segments
                .retain(|other| other.id() != described.id());
            waiting.segments.push(described);
        }
        Ok(mounting)
    }

    /// Reads the directory, unless another thread was first.
    pub(super) fn open(&self) -> PyResult<&Ready> {
        let mut waiting = self.lock();
        if let Some(ready) = self.opened() {
            return Ok(ready);
        }
        let made_of = waiting.as_mut().expect("a store waits or is there");
        // The rehearsal would keep the memory from the store.
        made_of.rehearsal = SegmentPool::new(made_of.pool);
        match made_of.open() {
            Ok(ready) => {
                *waiting = None;
                Ok(self.store.get_or_init(|| ready))
            }
            Err(error) => {
                for segment in &made_of.segments {
                    // As it was before, unless another store has the memory by now.
                    let _ = made_of.rehearsal.mount(segment.segment());
                }
                Err(error)
            }
        }
    }

    fn lock(&self) -> MutexGuard<'_, Option<Waiting>> {
        self.waiting.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Waiting {
    fn open(&self) -> PyResult<Ready> {
        let pool = SegmentPool::new(self.pool);
        let options = self.options.clone();
        let opened = ObjectStore::open(&self.directory, pool, options, |info| {
            let mut segments = self.segments.iter();
            let found = segments.find(|segment| segment.id() == info.id);
            found.map(|segment| segment.segment_after(info.epoch))
        });
        let opened = opened.map_err(errors::error)?;
        let pool = opened.store.pool();
        for segment in &self.segments {
            // Those that the directory knew are mounted already.
            if pool.state(segment.id()).is_none() {
                pool.mount(segment.segment()).map_err(errors::mount)?;
            }
        }
        let damage = opened.damage.iter().map(ToString::to_string);
        Ok(Ready {
            damage: damage.collect(),
            store: opened.store,
            lost: opened.lost,
        })
    }
}

/// Gives a segment of a store with a directory its epoch, beside those that are mounted.
fn outlived(described: Described, pool: &SegmentPool) -> Described {
    let mounted = pool.info(described.id());
    described.outlived(mounted.map(|info| info.epoch))
}
