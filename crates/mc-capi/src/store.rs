//! Object stores: made, opened and destroyed.

#![expect(
    unsafe_code,
    reason = "exported functions have symbols of their own names, and keys are the caller's"
)]

use std::{
    ffi::{c_char, c_void},
    mem::MaybeUninit,
    path::Path,
};

use mc_arena::Process;
use mc_segment::{MountError, SegmentPool};
use mc_store::{ObjectStore, Quota};

use crate::{
    arguments,
    call::{ask, run},
    descriptor::c_text,
    fault::Fault,
    key::{KeyVisitor, tell_keys},
    kind::Kind,
    raw::{self, required},
    registry::Registry,
    segment_options::{Described, SegmentNumber, SegmentTerms, nanoseconds_now},
    status::Status,
    store_options::ObjectStoreOptions,
};

static STORES: Registry<OpenStore> = Registry::new(Kind::Store);

/// Stands for no limit.
pub const MC_NO_LIMIT: u64 = u64::MAX;

/// Names an object store. A value with `id` 0 names none.
///
/// Copies name the same store; `mc_store_destroy` makes all of them stale.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
#[repr(C)]
pub struct StoreHandle {
    /// A number that names nothing else in this process, ever.
    pub id: u64,
}

/// A function that is told texts, one with each call. They are valid during the call. It must not throw.
pub type TextVisitor = Option<unsafe extern "C" fn(context: *mut c_void, text: *const c_char)>;

/// What a handle stands for.
struct OpenStore {
    process: Process,
    store: ObjectStore,
    /// Keys of objects that the directory had and whose bytes are gone.
    lost: Vec<Box<[u8]>>,
    /// What of the directory could not be used, in words.
    damage: Vec<String>,
}

/// Makes a store without objects and without segments, which `mc_store_mount` adds.
///
/// The caller owns the handle and ends it with `mc_store_destroy`. Any thread may call this. Fails with
/// `MC_STATUS_INVALID_ARGUMENT` for options that no store can have.
///
/// # Safety
///
/// Any thread may call `copy` and `clock` of the options with their contexts, until the store is
/// destroyed and its last put is over.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn mc_store_create(
    options: Option<&ObjectStoreOptions>,
    out: Option<&mut MaybeUninit<StoreHandle>>,
) -> Status {
    run(|| {
        let (options, out) = (required(options, "options")?, required(out, "out")?);
        let pool = SegmentPool::new(options.pool()?);
        // SAFETY: the caller's clause.
        let store = ObjectStore::new(pool, unsafe { options.store() }?)?;
        let open = OpenStore {
            process: Process::current().map_err(Fault::Process)?,
            store,
            lost: Vec::new(),
            damage: Vec::new(),
        };
        open.register(out)
    })
}

/// Opens the store of a directory, or begins one, with `segment_count` segments, which are mounted.
///
/// Whatever is put, removed, moved or pinned is written to the directory before it counts. After the end
/// of the process, at any instant, opening the directory again brings back every object that was
/// committed and has not left, if its segment is among those that are passed, with the epoch that it had:
/// a segment of a pool in a file has it by itself. A segment that the directory knows and that is not
/// passed is gone; `mc_store_lost` tells the keys of the objects that went with it.
///
/// The caller owns the handle and ends it with `mc_store_destroy`. Any thread may call this. Fails with
/// `MC_STATUS_BUSY` for a directory that is open, `MC_STATUS_SYSTEM` for one that cannot be read or made,
/// `MC_STATUS_INVALID_STATE` for one of another version, and as `mc_store_create` and `mc_store_mount`.
///
/// # Safety
///
/// As `mc_store_create` and `mc_store_mount`; `directory` is a text that ends with a zero byte, and
/// `segment_count` segments begin at `segments`; nobody writes them during the call.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn mc_store_open(
    options: Option<&ObjectStoreOptions>,
    directory: *const c_char,
    segments: *const SegmentTerms,
    segment_count: usize,
    out: Option<&mut MaybeUninit<StoreHandle>>,
) -> Status {
    run(|| {
        let (options, out) = (required(options, "options")?, required(out, "out")?);
        // SAFETY: the caller's clause.
        let directory = unsafe { arguments::text_or_null(directory, "directory") }?;
        let directory = required(directory, "directory")?;
        // SAFETY: the caller's clause.
        let segments = unsafe { raw::array(segments, segment_count, "segments") }?;
        let now = nanoseconds_now();
        // SAFETY: the caller's clause.
        let described = |terms: &SegmentTerms| unsafe { terms.described(now) };
        let segments = segments.iter().map(described);
        let segments: Vec<Described> = segments.collect::<Result<_, _>>()?;
        let pool = options.pool()?;
        // What does not go together is refused before the directory is touched.
        let rehearsal = SegmentPool::new(pool);
        for segment in &segments {
            match rehearsal.mount(segment.segment()) {
                Ok(_) => {}
                // Another store has the memory: if it has the directory, too, that is what is told.
                Err(MountError::SharedMemory { other, .. }) if rehearsal.info(other).is_none() => {}
                Err(error) => return Err(error.into()),
            }
        }
        // It would keep the memory from the store.
        drop(rehearsal);
        // SAFETY: the caller's clause.
        let options = unsafe { options.store() }?;
        let opened = ObjectStore::open(
            Path::new(directory),
            SegmentPool::new(pool),
            options,
            |info| {
                let mut passed = segments.iter();
                let found = passed.find(|segment| segment.id() == info.id);
                found.map(|segment| segment.segment_after(info.epoch))
            },
        )?;
        let mounted = opened.store.pool();
        for segment in &segments {
            // Those that the directory knew are mounted already.
            if mounted.state(segment.id()).is_none() {
                mounted.mount(segment.segment())?;
            }
        }
        let damage = opened.damage.iter().map(ToString::to_string);
        let open = OpenStore {
            process: Process::current().map_err(Fault::Process)?,
            damage: damage.collect(),
            store: opened.store,
            lost: opened.lost,
        };
        open.register(out)
    })
}

/// Ends a store; its handle is stale from then on. What was in a directory stays there, and may be
/// opened again once the last put is over.
///
/// Any thread may call this at any time: calls in progress finish first. Leases that outlive the store
/// keep their objects; puts can be ended. Fails with `MC_STATUS_STALE_HANDLE`, and with
/// `MC_STATUS_OTHER_PROCESS` in a child for a store of its parent.
#[unsafe(no_mangle)]
pub extern "C" fn mc_store_destroy(store: StoreHandle) -> Status {
    run(|| {
        // Before the lock of the registry, which a thread that a child does not have may hold for ever.
        store.with(|_| Ok(()))?;
        STORES.remove(store.id)
    })
}

/// Tells `visit` the keys of the objects that the directory had and whose bytes are gone.
///
/// Any thread may call this. Fails with `MC_STATUS_STALE_HANDLE` or `MC_STATUS_OTHER_PROCESS`.
///
/// # Safety
///
/// `visit` may be called with `context`.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn mc_store_lost(
    store: StoreHandle,
    visit: KeyVisitor,
    context: *mut c_void,
) -> Status {
    run(|| {
        required(visit, "visit")?;
        store.with_open(|open| {
            // SAFETY: the caller's clause.
            unsafe { tell_keys(&open.lost, visit, context) };
            Ok(())
        })
    })
}

/// Tells `visit` what of the directory could not be used, in words; nothing if it was as it was left.
///
/// Any thread may call this. Fails with `MC_STATUS_STALE_HANDLE` or `MC_STATUS_OTHER_PROCESS`.
///
/// # Safety
///
/// `visit` may be called with `context`.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn mc_store_damage(
    store: StoreHandle,
    visit: TextVisitor,
    context: *mut c_void,
) -> Status {
    run(|| {
        let visit = required(visit, "visit")?;
        store.with_open(|open| {
            for text in &open.damage {
                let text = c_text(text);
                // SAFETY: the caller's clause; the text lives through the call.
                unsafe { visit(context, text.as_ptr()) };
            }
            Ok(())
        })
    })
}

/// Returns when all that was written to the directory survives a power failure.
///
/// Any thread may call this. Fails with `MC_STATUS_JOURNAL`, from when on nothing is stored, and as
/// `mc_store_lost`.
#[unsafe(no_mangle)]
pub extern "C" fn mc_store_sync(store: StoreHandle) -> Status {
    run(|| store.with(|store| Ok(store.sync()?)))
}

/// Returns the time of the store in seconds, for `keep_until_seconds`: that of its clock, or since it was
/// made; 0 for a stale handle. Any thread may call this.
#[unsafe(no_mangle)]
pub extern "C" fn mc_store_now(store: StoreHandle) -> f64 {
    ask(|| store.with(|store| Ok(store.now().as_secs_f64())))
}

/// Sets how many bytes a tenant is guaranteed, and how many it may have, or `MC_NO_LIMIT`.
///
/// Objects of others never take what is guaranteed. What the tenant does not use is lent, and comes back
/// when it puts. All guarantees together are at most the bytes of the segments, so mount them before.
///
/// Any thread may call this. Fails with `MC_STATUS_INVALID_ARGUMENT` for bytes that cannot be granted,
/// `MC_STATUS_JOURNAL`, and with `MC_STATUS_STALE_HANDLE` or `MC_STATUS_OTHER_PROCESS`; nothing changed
/// then.
///
/// # Safety
///
/// `name` is a text that ends with a zero byte, and nobody writes it during the call.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn mc_store_tenant(
    store: StoreHandle,
    name: *const c_char,
    guaranteed_bytes: u64,
    bytes_max: u64,
) -> Status {
    run(|| {
        // SAFETY: the caller's clause.
        let name = unsafe { arguments::text_or_null(name, "name") }?;
        let name = required(name, "name")?;
        let quota = Quota {
            guaranteed: guaranteed_bytes,
            most: (bytes_max != MC_NO_LIMIT).then_some(bytes_max),
        };
        store.with(|store| Ok(store.tenant(name, quota)?))
    })
}

/// Checks that all tables of the store agree, while no other call runs: an aid for tests, in time linear
/// in the objects.
///
/// Fails with `MC_STATUS_INTERNAL` if they do not, which no calls can bring about, and with
/// `MC_STATUS_STALE_HANDLE` or `MC_STATUS_OTHER_PROCESS`.
#[unsafe(no_mangle)]
pub extern "C" fn mc_store_check_invariants(store: StoreHandle) -> Status {
    run(|| {
        store.with(|store| {
            store.check_invariants();
            Ok(())
        })
    })
}

impl StoreHandle {
    /// Calls `operate` with the store, unless this is a child of its process.
    #[inline]
    pub(crate) fn with<R>(
        self,
        operate: impl FnOnce(&ObjectStore) -> Result<R, Fault>,
    ) -> Result<R, Fault> {
        self.with_open(|open| operate(&open.store))
    }

    /// Returns the epoch of memory that ends with the process, where none is given. A store that does not
    /// end takes that of the segment which is mounted, so that mounting it again loses nothing.
    pub(crate) fn fleeting_epoch(self, id: SegmentNumber) -> Result<u64, Fault> {
        self.with(|store| {
            let mounted = store.pool().info(id.id());
            Ok(match store.directory() {
                Some(_) => mounted.map_or_else(nanoseconds_now, |info| info.epoch),
                None => 0,
            })
        })
    }

    #[inline]
    fn with_open<R>(
        self,
        operate: impl FnOnce(&OpenStore) -> Result<R, Fault>,
    ) -> Result<R, Fault> {
        STORES.with(self.id, |open| {
            open.process.check()?;
            operate(open)
        })
    }
}

impl OpenStore {
    fn register(self, out: &mut MaybeUninit<StoreHandle>) -> Result<(), Fault> {
        let id = STORES.insert(self)?;
        out.write(StoreHandle { id });
        Ok(())
    }
}
