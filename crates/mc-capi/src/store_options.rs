//! Options of a store, as numbers that C can give.

#![expect(
    unsafe_code,
    reason = "exported functions have symbols of their own names, and functions of the caller are called"
)]

use std::{ffi::c_void, ptr, sync::Arc, time::Duration};

use mc_segment::{PlacedBuffer, SegmentPoolOptions, Strategy};
use mc_store::{
    Clock, Compaction, Copier, CopyFailed, Eviction, PolicyKind, StoreOptions, Watermarks,
    journal::{Durability, JournalOptions},
};

use crate::{
    arguments::{seconds, struct_bytes},
    descriptor::{Description, Told},
    fault::Fault,
};

/// Of several orders the one that would have had the most hits of late, as a sample of the keys tells.
pub const MC_POLICY_AUTO: u32 = 0;
/// The least recently used object leaves first.
pub const MC_POLICY_LRU: u32 = 1;
/// As the least recently used, but ends of prompts leave before their beginnings.
pub const MC_POLICY_TAIL_FIRST: u32 = 2;
/// New objects leave soon, unless they are used again.
pub const MC_POLICY_S3_FIFO: u32 = 3;
/// Uses, cost and bytes are weighed.
pub const MC_POLICY_GDSF: u32 = 4;
/// The object that is expected to have the fewest uses for its bytes leaves first.
pub const MC_POLICY_REUSE_AGE: u32 = 5;

/// The oldest where their places make the hole, otherwise the neighbors that are worth least together.
pub const MC_EVICT_WINDOW: u32 = 0;
/// All in the policy's order until a hole appears.
pub const MC_EVICT_IN_ORDER: u32 = 1;

/// Of two segments at random, the one with the greater share of free bytes.
pub const MC_STRATEGY_CAPACITY_WEIGHTED: u32 = 0;
/// Any segment, with equal chances.
pub const MC_STRATEGY_RANDOM: u32 = 1;
/// Of six at random, the one with the greatest share of free bytes.
pub const MC_STRATEGY_FREE_RATIO_FIRST: u32 = 2;
/// Those of the writer's host first.
pub const MC_STRATEGY_LOCAL_FIRST: u32 = 3;
/// The one whose largest hole is the least that fits.
pub const MC_STRATEGY_BEST_HOLE: u32 = 4;

/// What is written down survives the end of the process.
pub const MC_DURABLE_PROCESS: u32 = 0;
/// What is written down survives a power failure; every put waits for the disk.
pub const MC_DURABLE_POWER: u32 = 1;

/// The policies in the order of their constants.
const POLICIES: [PolicyKind; 6] = [
    PolicyKind::Auto,
    PolicyKind::Lru,
    PolicyKind::TailFirst,
    PolicyKind::S3Fifo,
    PolicyKind::Gdsf,
    PolicyKind::ReuseAge,
];

/// The strategies in the order of their constants.
const STRATEGIES: [Strategy; 5] = [
    Strategy::CapacityWeighted,
    Strategy::Random,
    Strategy::FreeRatioFirst,
    Strategy::LocalFirst,
    Strategy::BestHole,
];

/// A function that copies `bytes` bytes of a replica, from the byte `offset` of it on, to the same offset
/// of another place; `true` once readers of the new place find them there. What the descriptors point to
/// is valid during the call.
///
/// It is called without a lock. It must not throw.
pub type CopyCallback = Option<
    unsafe extern "C" fn(
        context: *mut c_void,
        from: *const Description,
        to: *const Description,
        offset: u64,
        bytes: u64,
    ) -> bool,
>;

/// A `CopyCallback` that is there.
type CopyFunction =
    unsafe extern "C" fn(*mut c_void, *const Description, *const Description, u64, u64) -> bool;

/// A function that tells the time in nanoseconds since some fixed moment, as where a test turns the
/// clock by hand. Steps back count for nothing. It must not throw.
pub type ClockCallback = Option<unsafe extern "C" fn(context: *mut c_void) -> u64>;

/// Limits and rules of a store.
///
/// `mc_store_options_default` fills in all fields.
#[derive(Clone, Copy, Debug)]
#[repr(C)]
pub struct ObjectStoreOptions {
    /// The library's: what `mc_store_options_default` wrote.
    pub struct_bytes: usize,
    /// One of the `MC_POLICY_` constants: who is worth least.
    pub policy: u32,
    /// One of the `MC_EVICT_` constants: how the policy's order becomes a hole.
    pub eviction: u32,
    /// One of the `MC_STRATEGY_` constants: which segment is given an object.
    pub strategy: u32,
    /// One of the `MC_DURABLE_` constants, for stores with a directory.
    pub durability: u32,
    /// 1 to take a checksum of each object's bytes at its commit and compare it where they are read, 0
    /// not to.
    pub has_checksums: u32,
    /// The most pieces of one part of an object, at least 1.
    pub extents_max: u32,
    /// When puts make the live bytes exceed this percentage of the memory, objects leave until
    /// `low_percent` is reached; 0 in both to wait until there is no room.
    pub high_percent: u32,
    /// Below `high_percent`.
    pub low_percent: u32,
    /// The most that `keep_until_seconds` of puts keeps, as a percentage of the memory.
    pub keep_percent: u32,
    /// Must be 0.
    pub reserved: u32,
    /// What the random choices of strategies follow from.
    pub seed: u64,
    /// The most bytes of one replica of an object.
    pub object_bytes_max: u64,
    /// The most bytes of a key.
    pub key_bytes_max: u64,
    /// The most blocks that the search for one hole looks at.
    pub search_blocks_max: u64,
    /// Bytes that a put may move for each that it stores, so that less leaves; 0 moves nothing.
    pub moved_per_placed: f64,
    /// The most bytes that one put may move.
    pub moved_bytes_max: u64,
    /// The longest time of a timed lease.
    pub lease_max_seconds: f64,
    /// The time that a put has until its commit, unless it says so itself.
    pub put_deadline_seconds: f64,
    /// How long after its deadline the space of a put stays taken, as its writer may not know.
    pub put_margin_seconds: f64,
    /// Bytes of each file of the journal.
    pub journal_file_bytes: u64,
    /// The least bytes of records after which the journal is compacted.
    pub journal_compact_bytes: u64,
    /// Copies what moves in memory that this process does not have; null leaves it where it is. Any
    /// thread that uses the store may call it, several at once.
    pub copy: CopyCallback,
    /// The first argument of `copy`.
    pub copy_context: *mut c_void,
    /// The time that leases and deadlines are counted in; null is that of the system. Any thread that
    /// uses the store may call it.
    pub clock: ClockCallback,
    /// The argument of `clock`.
    pub clock_context: *mut c_void,
}

/// Returns the defaults, which are those of the Rust crate `mc-store`: the policy that tries several, no
/// moves, no watermarks, leases of up to an hour, ten minutes for a put.
///
/// Any thread may call this.
#[unsafe(no_mangle)]
pub extern "C" fn mc_store_options_default() -> ObjectStoreOptions {
    let store = StoreOptions::default();
    ObjectStoreOptions {
        struct_bytes: size_of::<ObjectStoreOptions>(),
        policy: MC_POLICY_AUTO,
        eviction: MC_EVICT_WINDOW,
        strategy: MC_STRATEGY_CAPACITY_WEIGHTED,
        durability: MC_DURABLE_PROCESS,
        has_checksums: u32::from(store.has_checksums),
        extents_max: store.extents_max,
        high_percent: 0,
        low_percent: 0,
        keep_percent: store.keep_percent.into(),
        reserved: 0,
        seed: SegmentPoolOptions::default().seed,
        object_bytes_max: store.object_bytes_max,
        key_bytes_max: store.key_bytes_max as u64,
        search_blocks_max: store.search_blocks_max as u64,
        moved_per_placed: store.compaction.moved_per_placed,
        moved_bytes_max: Compaction::moving(1.0).bytes_per_call_max,
        lease_max_seconds: store.lease_max.as_secs_f64(),
        put_deadline_seconds: store.put_deadline.as_secs_f64(),
        put_margin_seconds: store.put_margin.as_secs_f64(),
        journal_file_bytes: store.journal.file_bytes as u64,
        journal_compact_bytes: store.journal.compact_bytes,
        copy: None,
        copy_context: ptr::null_mut(),
        clock: None,
        clock_context: ptr::null_mut(),
    }
}

impl ObjectStoreOptions {
    /// Returns how segments are chosen, which checks the number; before it, that these are options of this
    /// library.
    pub(crate) fn pool(&self) -> Result<SegmentPoolOptions, Fault> {
        struct_bytes::<Self>(self.struct_bytes)?;
        let accepted = "one of the MC_STRATEGY_ constants";
        Ok(SegmentPoolOptions {
            strategy: choice(&STRATEGIES, "strategy", self.strategy, accepted)?,
            seed: self.seed,
        })
    }

    /// Returns the options as a store takes them, which checks the numbers; [`pool`](Self::pool) has checked
    /// whose options they are.
    ///
    /// # Safety
    ///
    /// Any thread may call `copy` and `clock` with their contexts, for as long as a store with these
    /// options is there.
    pub(crate) unsafe fn store(&self) -> Result<StoreOptions, Fault> {
        if self.reserved != 0 {
            return Err(Fault::option("reserved", self.reserved, "0"));
        }
        let policies = "one of the MC_POLICY_ constants";
        let evictions = [Eviction::Window, Eviction::InOrder];
        let one_of_evictions = "one of the MC_EVICT_ constants";
        let compaction = Compaction {
            moved_per_placed: self.moved_per_placed,
            bytes_per_call_max: self.moved_bytes_max,
        };
        let mut options = StoreOptions {
            object_bytes_max: self.object_bytes_max,
            key_bytes_max: size("key_bytes_max", self.key_bytes_max)?,
            extents_max: self.extents_max,
            policy: choice(&POLICIES, "policy", self.policy, policies)?,
            eviction: choice(&evictions, "eviction", self.eviction, one_of_evictions)?,
            compaction,
            watermarks: self.watermarks()?,
            keep_percent: percent("keep_percent", self.keep_percent)?,
            lease_max: seconds(self.lease_max_seconds, "lease_max_seconds")?,
            put_deadline: seconds(self.put_deadline_seconds, "put_deadline_seconds")?,
            put_margin: seconds(self.put_margin_seconds, "put_margin_seconds")?,
            search_blocks_max: size("search_blocks_max", self.search_blocks_max)?,
            journal: self.journal()?,
            has_checksums: choice(
                &[false, true],
                "has_checksums",
                self.has_checksums,
                "0 or 1",
            )?,
            ..StoreOptions::default()
        };
        if let Some(copy) = self.copy {
            let context = Context(self.copy_context);
            options.copier = Some(Arc::new(ForeignCopier { copy, context }));
        }
        if let Some(read) = self.clock {
            let context = Context(self.clock_context);
            // SAFETY: any thread may call the function with this context: the caller's clause.
            let time = move || Duration::from_nanos(unsafe { read(context.get()) });
            options.clock = Clock::new(time);
        }
        Ok(options)
    }

    fn watermarks(&self) -> Result<Option<Watermarks>, Fault> {
        if (self.high_percent, self.low_percent) == (0, 0) {
            return Ok(None);
        }
        Ok(Some(Watermarks {
            high_percent: percent("high_percent", self.high_percent)?,
            low_percent: percent("low_percent", self.low_percent)?,
        }))
    }

    fn journal(&self) -> Result<JournalOptions, Fault> {
        let durabilities = [Durability::Process, Durability::Power];
        let accepted = "one of the MC_DURABLE_ constants";
        Ok(JournalOptions {
            durability: choice(&durabilities, "durability", self.durability, accepted)?,
            file_bytes: size("journal_file_bytes", self.journal_file_bytes)?,
            compact_bytes: self.journal_compact_bytes,
        })
    }
}

/// Returns what a constant stands for: its place in a list.
pub(crate) fn choice<T: Copy>(
    of: &[T],
    option: &'static str,
    value: u32,
    accepted: &'static str,
) -> Result<T, Fault> {
    let chosen = usize::try_from(value).ok().and_then(|at| of.get(at));
    chosen
        .copied()
        .ok_or_else(|| Fault::option(option, value, accepted))
}

fn percent(option: &'static str, value: u32) -> Result<u8, Fault> {
    u8::try_from(value).map_err(|_| Fault::option(option, value, "at most 100"))
}

fn size(option: &'static str, value: u64) -> Result<usize, Fault> {
    usize::try_from(value).map_err(|_| Fault::option(option, value, "what fits the address space"))
}

/// An argument of a function of the caller.
#[derive(Clone, Copy, Debug)]
struct Context(*mut c_void);

impl Context {
    fn get(self) -> *mut c_void {
        self.0
    }
}

// SAFETY: whoever makes a store with it vouches for calls with it by any thread, and the library does
// nothing else with it.
unsafe impl Send for Context {}
// SAFETY: as above.
unsafe impl Sync for Context {}

/// Copies by a function of the caller.
#[derive(Debug)]
struct ForeignCopier {
    copy: CopyFunction,
    context: Context,
}

impl Copier for ForeignCopier {
    fn copy(
        &self,
        from: &PlacedBuffer,
        to: &mut PlacedBuffer,
        offset: u64,
        len: u64,
    ) -> Result<(), CopyFailed> {
        // SAFETY: any thread may call the function with this context: the clause of whoever made the
        // options.
        unsafe { copy_by(self.copy, self.context.get(), from, to, offset, len) }
    }
}

/// Copies bytes of a replica by a function of the caller.
///
/// # Safety
///
/// `copy` may be called with `context`.
pub(crate) unsafe fn copy_by(
    copy: CopyFunction,
    context: *mut c_void,
    from: &PlacedBuffer,
    to: &PlacedBuffer,
    offset: u64,
    bytes: u64,
) -> Result<(), CopyFailed> {
    let [from, to] = [from, to].map(|buffer| Told::new(&buffer.descriptor()));
    // SAFETY: (1) the caller's clause; (2) both descriptors live through the call.
    let is_done = unsafe { copy(context, from.as_ptr(), to.as_ptr(), offset, bytes) };
    if is_done { Ok(()) } else { Err(CopyFailed) }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::declared;

    #[test]
    fn constants_stand_for_what_they_are_named_after() {
        for (number, policy) in (0..).zip(POLICIES) {
            declared::assert_named("MC_POLICY_", &policy, number);
        }
        for (number, strategy) in (0..).zip(STRATEGIES) {
            declared::assert_named("MC_STRATEGY_", &strategy, number);
        }
        assert!(PolicyKind::ALL.iter().all(|one| POLICIES.contains(one)));
        assert!(Strategy::ALL.iter().all(|one| STRATEGIES.contains(one)));
        assert_eq!(declared::count("MC_POLICY_"), POLICIES.len());
        assert_eq!(declared::count("MC_STRATEGY_"), STRATEGIES.len());
    }

    #[test]
    fn defaults_are_those_of_the_store() {
        // SAFETY: there are no functions in the defaults.
        let options = unsafe { mc_store_options_default().store() }.unwrap();
        let expected = StoreOptions::default();
        // What moves only says how much where it moves at all.
        let compaction = Compaction {
            bytes_per_call_max: expected.compaction.bytes_per_call_max,
            ..options.compaction
        };
        let options = StoreOptions {
            compaction,
            ..options
        };
        assert_eq!(format!("{options:?}"), format!("{expected:?}"));
        let pool = mc_store_options_default().pool().unwrap();
        assert_eq!(pool, SegmentPoolOptions::default());
    }
}
