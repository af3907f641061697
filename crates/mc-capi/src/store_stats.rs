//! What a store counts.

#![expect(
    unsafe_code,
    reason = "exported functions have symbols of their own names, and a function of the caller is called"
)]

use std::{
    ffi::{c_char, c_void},
    mem::MaybeUninit,
};

use mc_store::{Counted, StoreStats, TenantStats};

use crate::{
    call::run, descriptor::c_text, raw::required, status::Status, store::MC_NO_LIMIT,
    store::StoreHandle,
};

/// A number of objects or replicas and their bytes.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
#[repr(C)]
pub struct Amount {
    /// How many.
    pub objects: u64,
    /// Bytes of their replicas.
    pub bytes: u64,
}

/// Refused puts by cause.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
#[repr(C)]
pub struct RefusalReport {
    /// The key was stored or being put.
    pub key_taken: u64,
    /// The object or its key is larger than the options allow.
    pub too_large: u64,
    /// There is no room, and evicting what may go would not make it.
    pub no_space: u64,
    /// A tenant would have had more bytes than it may.
    pub quota: u64,
    /// No segment that is open could ever take the request, or it makes no sense.
    pub impossible: u64,
    /// The journal takes no more records.
    pub journal: u64,
}

/// Times by powers of two.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
#[repr(C)]
pub struct Times {
    /// How many times were below 2^i hundredths of a second and not counted before, for each i.
    pub counts: [u64; 32],
}

/// What a store holds and has done so far. The names of fields are those in Rust and Python.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
#[repr(C)]
pub struct StoreReport {
    /// Objects stored at the moment.
    pub objects: u64,
    /// Of these, pinned.
    pub pinned: u64,
    /// Puts that are neither committed nor given back.
    pub in_flight: u64,
    /// Detached or moved objects and late puts whose space is still taken.
    pub lingering: u64,
    /// Bytes that all replicas of the objects take.
    pub live_bytes: u64,
    /// Of these, without what lies between the parts of objects.
    pub useful_bytes: u64,
    /// Reads that found their object.
    pub hits: u64,
    /// Reads that did not.
    pub misses: u64,
    /// Puts that were committed.
    pub committed: u64,
    /// Bytes of their replicas.
    pub committed_bytes: u64,
    /// Puts that were given back.
    pub abandoned: u64,
    /// Puts whose deadline passed.
    pub expired: u64,
    /// Replicas that were moved or added.
    pub moved: Amount,
    /// Moves that were given up.
    pub moves_ended: Amount,
    /// Objects that the owner removed.
    pub removed: u64,
    /// Puts that were refused.
    pub refused: RefusalReport,
    /// Evictions to make room for a put.
    pub on_demand: Amount,
    /// Evictions because a watermark was passed.
    pub by_watermark: Amount,
    /// Evictions because a segment shrank.
    pub by_shrinking: Amount,
    /// Objects that were dropped because all of their segments went away.
    pub unreadable: Amount,
    /// Objects that were dropped because of their checksums.
    pub corrupt: Amount,
    /// Bytes placed by the puts that had to let objects go or move them.
    pub placed_bytes_on_demand: u64,
    /// From commit to leaving.
    pub lifetime: Times,
    /// From the last use to leaving by eviction.
    pub idle_before_eviction: Times,
    /// From one use of an object to the next.
    pub reuse_gap: Times,
    /// Bytes of all segments.
    pub capacity_bytes: u64,
    /// Bytes of all objects and puts in them, as they were asked for.
    pub placed_bytes: u64,
    /// Bytes in holes.
    pub free_bytes: u64,
    /// Bytes of the largest hole.
    pub largest_hole: u64,
}

/// What a tenant has, and what became of it.
#[derive(Clone, Copy, Debug)]
#[repr(C)]
pub struct TenantReport {
    /// Its name.
    pub name: *const c_char,
    /// Bytes that it is sure of.
    pub guaranteed_bytes: u64,
    /// The most bytes that it may have, or `MC_NO_LIMIT`.
    pub most_bytes: u64,
    /// Bytes that it has, of objects and puts.
    pub used_bytes: u64,
    /// Its objects.
    pub stored: Amount,
    /// Its objects that were evicted.
    pub evicted: Amount,
    /// Its puts that were refused because of its limit.
    pub refused: u64,
}

/// A function that is told tenants, one with each call. What `tenant` points to is valid during the call.
/// It is called without a lock, and may use the library. It must not throw.
pub type TenantVisitor =
    Option<unsafe extern "C" fn(context: *mut c_void, tenant: *const TenantReport)>;

/// Tells what the store holds and has done so far. If segments have changed since, objects that nobody
/// can read are dropped first, in time linear in the objects.
///
/// Any thread may call this. Fails with `MC_STATUS_STALE_HANDLE` or `MC_STATUS_OTHER_PROCESS`.
#[unsafe(no_mangle)]
pub extern "C" fn mc_store_describe(
    store: StoreHandle,
    out: Option<&mut MaybeUninit<StoreReport>>,
) -> Status {
    run(|| {
        let out = required(out, "out")?;
        out.write(store.with(|store| {
            let report = report(&store.stats());
            let space = store.pool().stats().total;
            Ok(StoreReport {
                capacity_bytes: space.capacity,
                placed_bytes: space.live_bytes,
                free_bytes: space.free_bytes,
                largest_hole: space.largest_hole,
                ..report
            })
        })?);
        Ok(())
    })
}

/// Tells `visit` the tenants that were named so far, in the order of their names.
///
/// Any thread may call this. Fails with `MC_STATUS_STALE_HANDLE` or `MC_STATUS_OTHER_PROCESS`.
///
/// # Safety
///
/// `visit` may be called with `context`.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn mc_store_tenants(
    store: StoreHandle,
    visit: TenantVisitor,
    context: *mut c_void,
) -> Status {
    run(|| {
        let visit = required(visit, "visit")?;
        for (name, stats) in store.with(|store| Ok(store.stats().tenants))? {
            let name = c_text(&name);
            let report = tenant_report(name.as_ptr(), &stats);
            // SAFETY: the caller's clause; the report and the name live through the call.
            unsafe { visit(context, &raw const report) };
        }
        Ok(())
    })
}

fn report(stats: &StoreStats) -> StoreReport {
    let refused = stats.refused;
    StoreReport {
        objects: stats.objects,
        pinned: stats.pinned,
        in_flight: stats.in_flight,
        lingering: stats.lingering,
        live_bytes: stats.live_bytes,
        useful_bytes: stats.useful_bytes,
        hits: stats.hits,
        misses: stats.misses,
        committed: stats.committed,
        committed_bytes: stats.committed_bytes,
        abandoned: stats.abandoned,
        expired: stats.expired,
        moved: Amount::of(stats.moved),
        moves_ended: Amount::of(stats.moves_ended),
        removed: stats.removed,
        refused: RefusalReport {
            key_taken: refused.key_taken,
            too_large: refused.too_large,
            no_space: refused.no_space,
            quota: refused.quota,
            impossible: refused.impossible,
            journal: refused.journal,
        },
        on_demand: Amount::of(stats.on_demand),
        by_watermark: Amount::of(stats.by_watermark),
        by_shrinking: Amount::of(stats.by_shrinking),
        unreadable: Amount::of(stats.unreadable),
        corrupt: Amount::of(stats.corrupt),
        placed_bytes_on_demand: stats.placed_bytes_on_demand,
        lifetime: Times {
            counts: stats.lifetime.counts,
        },
        idle_before_eviction: Times {
            counts: stats.idle_before_eviction.counts,
        },
        reuse_gap: Times {
            counts: stats.reuse_gap.counts,
        },
        ..StoreReport::default()
    }
}

fn tenant_report(name: *const c_char, stats: &TenantStats) -> TenantReport {
    TenantReport {
        name,
        guaranteed_bytes: stats.guaranteed_bytes,
        most_bytes: stats.most_bytes.unwrap_or(MC_NO_LIMIT),
        used_bytes: stats.used_bytes,
        stored: Amount::of(stats.stored),
        evicted: Amount::of(stats.evicted),
        refused: stats.refused,
    }
}

impl Amount {
    fn of(counted: Counted) -> Self {
        Self {
            objects: counted.objects,
            bytes: counted.bytes,
        }
    }
}

#[cfg(test)]
mod tests {
    use serde::Serialize;
    use serde_json::Value;

    use super::*;
    use crate::declared;

    /// Asserts that a struct of the header has all fields of one in Rust, but for `others`.
    #[track_caller]
    fn assert_covers(declared: &str, value: &impl Serialize, others: &[&str]) {
        let Ok(Value::Object(fields)) = serde_json::to_value(value) else {
            panic!("{declared} stands for a struct");
        };
        let known = declared::fields(declared);
        for name in fields
            .keys()
            .filter(|name| !others.contains(&name.as_str()))
        {
            assert!(known.contains(&name.as_str()), "{declared} has no {name}");
        }
    }

    #[test]
    fn everything_that_is_counted_is_told() {
        // Those have a function of their own.
        assert_covers("mc_store_report", &StoreStats::default(), &["tenants"]);
        assert_covers("mc_tenant_report", &TenantStats::default(), &[]);
        assert_covers("mc_refusal_report", &StoreStats::default().refused, &[]);
        assert_covers("mc_amount", &Counted::default(), &[]);
        assert_covers("mc_times", &StoreStats::default().lifetime, &[]);
    }
}
