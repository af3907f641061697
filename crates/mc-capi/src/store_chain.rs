//! Putting the objects of a prompt in one go.

#![expect(
    unsafe_code,
    reason = "exported functions have symbols of their own names, and keys and bytes are the caller's"
)]

use std::{ffi::c_void, mem::MaybeUninit};

use mc_store::{Chain, Put, PutRequest};

use crate::{
    call::{ask, run},
    descriptor::{DescriptorVisitor, tell_descriptors},
    exclusive::Exclusive,
    fault::Fault,
    key::Key,
    kind::Kind,
    raw::{self, required},
    status::Status,
    store::StoreHandle,
    store_put::PutTerms,
};

static CHAINS: Exclusive<Members> = Exclusive::new(Kind::Chain);

/// Names the puts of a prompt. A value with `id` 0 names none.
///
/// Copies name the same; `mc_chain_commit` and `mc_chain_abort` make all of them stale.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
#[repr(C)]
pub struct ChainHandle {
    /// A number that names nothing else in this process, ever.
    pub id: u64,
}

/// One object of a prompt.
#[derive(Clone, Copy, Debug)]
#[repr(C)]
pub struct ChainItem {
    /// Its key.
    pub key: Key,
    /// Its bytes.
    pub size: u64,
}

/// What came of the objects of a prompt.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
#[repr(C)]
pub struct ChainReport {
    /// Objects from the first on that are stored or have space.
    pub count: u64,
    /// Of these, stored before.
    pub found: u64,
}

/// A chain, and which of its objects are to be written.
struct Members {
    chain: Chain,
    /// For each object its place among those that were missing, if it was.
    missing: Vec<Option<usize>>,
}

/// Finds space for the objects of a prompt that are missing, in the order of `items` and as many from
/// the front as fit; those that are there are used. Each is the child of the one before it, the first one
/// that of `parent` in the options; size and parts of the options count for nothing.
///
/// None of them leaves until the caller ends the chain with `mc_chain_commit` or `mc_chain_abort`.
/// `mc_chain_refusal` says why the object behind those was refused, if there is one. Any thread may call
/// this. Fails with `MC_STATUS_INVALID_ARGUMENT`, `MC_STATUS_STALE_HANDLE` or `MC_STATUS_OTHER_PROCESS`;
/// nothing changed then.
///
/// # Safety
///
/// As `mc_store_put`; `count` items begin at `items`.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn mc_store_put_many(
    store: StoreHandle,
    items: *const ChainItem,
    count: usize,
    options: Option<&PutTerms>,
    out: Option<&mut MaybeUninit<ChainHandle>>,
) -> Status {
    run(|| {
        let (options, out) = (required(options, "options")?, required(out, "out")?);
        // SAFETY: the caller's clause.
        let items = unsafe { raw::array(items, count, "items") }?;
        // SAFETY: the caller's clause.
        let borrowed = unsafe { options.borrow() }?;
        let prompt = items.iter().map(|item| {
            // SAFETY: the caller's clause.
            let key = unsafe { item.key.get("key") }?;
            let request = PutRequest {
                size: item.size,
                parts: &[],
                ..borrowed.request()
            };
            Ok((key, request))
        });
        let prompt: Vec<_> = prompt.collect::<Result<_, Fault>>()?;
        let chain = store.with(|store| Ok(store.put_many(&prompt)))?;
        let keys = prompt.iter().map(|(key, _)| *key);
        let members = Members::new(chain, keys);
        let id = CHAINS.insert(members)?;
        out.write(ChainHandle { id });
        Ok(())
    })
}

/// Tells how many objects of a prompt are stored or have space.
///
/// Any thread may call this. Fails with `MC_STATUS_STALE_HANDLE` or `MC_STATUS_OTHER_PROCESS`.
#[unsafe(no_mangle)]
pub extern "C" fn mc_chain_describe(
    chain: ChainHandle,
    out: Option<&mut MaybeUninit<ChainReport>>,
) -> Status {
    run(|| {
        let out = required(out, "out")?;
        out.write(chain.with(|members| {
            Ok(ChainReport {
                count: members.chain.len() as u64,
                found: members.chain.found().len() as u64,
            })
        })?);
        Ok(())
    })
}

/// Fails as `mc_store_put` would have for the object behind those of the chain; `MC_STATUS_OK` if there
/// is none.
///
/// Any thread may call this. Fails also with `MC_STATUS_STALE_HANDLE` or `MC_STATUS_OTHER_PROCESS`.
#[unsafe(no_mangle)]
pub extern "C" fn mc_chain_refusal(chain: ChainHandle) -> Status {
    run(|| {
        chain.with(|members| match members.chain.refusal() {
            Some(refusal) => Err(refusal.clone().into()),
            None => Ok(()),
        })
    })
}

/// Says whether the object of a place in the prompt, from 0 on, has space that is to be written; one that
/// is stored already, or was refused, has none. Any thread may call this.
#[unsafe(no_mangle)]
pub extern "C" fn mc_chain_is_missing(chain: ChainHandle, place: usize) -> bool {
    ask(|| chain.with(|members| Ok(members.put(place).is_ok())))
}

/// Tells `visit` where the replicas of the object of a place are; otherwise as `mc_put_descriptors`.
///
/// Fails with `MC_STATUS_EXISTS` for an object that was stored already, and with
/// `MC_STATUS_INVALID_ARGUMENT` for a place that is not in the chain.
///
/// # Safety
///
/// As `mc_put_descriptors`.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn mc_chain_descriptors(
    chain: ChainHandle,
    place: usize,
    visit: DescriptorVisitor,
    context: *mut c_void,
) -> Status {
    run(|| {
        let visit = required(visit, "visit")?;
        let descriptors = chain.with(|members| Ok(members.put(place)?.descriptors()))?;
        // SAFETY: the caller's clause.
        unsafe { tell_descriptors(&descriptors, visit, context) };
        Ok(())
    })
}

/// Copies bytes to every replica of the object of a place; otherwise as `mc_put_write`, and fails as
/// `mc_chain_descriptors`.
///
/// # Safety
///
/// As `mc_put_write`.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn mc_chain_write(
    chain: ChainHandle,
    place: usize,
    offset: u64,
    bytes: *const c_void,
    length: usize,
) -> Status {
    run(|| {
        // SAFETY: the caller's clause.
        let bytes = unsafe { raw::array(bytes.cast::<u8>(), length, "bytes") }?;
        chain.with(|members| Ok(members.put(place)?.write(offset, bytes)?))
    })
}

/// Makes the objects that were missing readable, in their order, and writes how many objects of the
/// prompt are stored to `stored`, unless that is null. The handle is stale from then on, whatever comes of
/// it.
///
/// Any thread may call this; it waits for writes in progress. Fails as `mc_put_commit`: the objects before
/// the first that fails are stored then, those behind it are not.
#[unsafe(no_mangle)]
pub extern "C" fn mc_chain_commit(
    chain: ChainHandle,
    stored: Option<&mut MaybeUninit<u64>>,
) -> Status {
    run(|| {
        let count = CHAINS.take(chain.id)?.chain.commit()?;
        if let Some(stored) = stored {
            stored.write(count as u64);
        }
        Ok(())
    })
}

/// Gives the space of the objects that were missing back. The handle is stale from then on.
///
/// Any thread may call this; it waits for writes in progress. Fails with `MC_STATUS_STALE_HANDLE` or
/// `MC_STATUS_OTHER_PROCESS`.
#[unsafe(no_mangle)]
pub extern "C" fn mc_chain_abort(chain: ChainHandle) -> Status {
    run(|| CHAINS.take(chain.id).map(drop))
}

impl ChainHandle {
    /// Calls `operate` with the chain, beside which nobody else uses it.
    fn with<R>(self, operate: impl FnOnce(&mut Members) -> Result<R, Fault>) -> Result<R, Fault> {
        CHAINS.with(self.id, operate)
    }
}

impl Members {
    fn new<'a>(mut chain: Chain, keys: impl Iterator<Item = &'a [u8]>) -> Self {
        let count = chain.len();
        // Both are in the order of the prompt, and no key is stored and being put at once.
        let mut puts = chain.puts_mut().iter().enumerate().peekable();
        let missing = keys.take(count);
        let missing = missing.map(|key| {
            let put = puts.next_if(|(_, put)| put.key() == key);
            put.map(|(place, _)| place)
        });
        let missing = missing.collect();
        Self { chain, missing }
    }

    /// Returns the space of the object of a place.
    fn put(&mut self, place: usize) -> Result<&mut Put, Fault> {
        let missing = self.missing.get(place).copied();
        let missing = missing.ok_or_else(|| {
            let accepted = "the place of an object that is stored or has space";
            Fault::option("place", place as u64, accepted)
        })?;
        let at = missing.ok_or(Fault::Exists)?;
        Ok(&mut self.chain.puts_mut()[at])
    }
}
