//! Tenants: how many bytes each has, is sure of, and may have.
//!
//! A charge is one atomic subtraction on a cache line of the thread's own: each
//! tenant has its bytes in one sum and, for each stripe of threads, a credit
//! that is taken from the sum some charges at a time. So what is charged never
//! exceeds the limit, and threads do not wait for one another. Before a charge
//! is refused, the credits of all stripes are collected while no bytes are on
//! their way between the sum and a credit.

use std::{
    collections::HashMap,
    sync::{
        Arc,
        atomic::{AtomicU64, Ordering},
    },
};

use crossbeam_utils::CachePadded;
use parking_lot::RwLock;

use crate::{
    error::{PutError, TenantError},
    uses::{STRIPES, own_stripe},
};

/// What a tenant of a store is sure of, and what it may have.
///
/// Bytes are those of the replicas of its objects, lost ones included until another
/// takes their place, and of its puts that are neither committed nor dropped.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Quota {
    /// Bytes that nobody else's puts take from the tenant. What it does not use
    /// is lent to others, and comes back when it puts.
    pub guaranteed: u64,
    /// The most bytes that it ever has; `None` is no limit. A put beyond lets
    /// its own objects leave.
    pub most: Option<u64>,
}

/// One who has objects in a store.
#[derive(Debug)]
pub(crate) struct Tenant {
    pub(crate) name: Arc<str>,
    /// Its place among all, from 1 on; 0 stands for nobody.
    pub(crate) number: u32,
    /// The quota, and `u64::MAX` for no limit. Set rarely, read with every charge
    /// beyond the credit; no other memory goes with them, so `Relaxed`.
    guaranteed: AtomicU64,
    most: AtomicU64,
    /// Puts that were refused for its limit: a sum, so `Relaxed`.
    refused: AtomicU64,
    /// Bytes that are charged and those of all credits; never above `most` but
    /// by what was there before a limit. The read-modify-writes alone keep it
    /// so, and no memory is read because of it: `Relaxed`, as the credits.
    taken: CachePadded<AtomicU64>,
    /// Locked for reading while bytes are on their way between the sum and a
    /// credit, for some instructions. Nothing is waited for under it.
    moving: RwLock<()>,
    credits: Box<[CachePadded<AtomicU64>]>,
}

/// Charges that a stripe takes from the sum at once.
const BATCH: u64 = 16;

/// Bytes that are charged to a tenant until this is dropped.
#[derive(Debug, Default)]
pub(crate) struct Charge {
    tenant: Option<Arc<Tenant>>,
    bytes: u64,
}

impl Tenant {
    fn new(name: &str, number: u32) -> Self {
        Self {
            name: name.into(),
            number,
            guaranteed: AtomicU64::new(0),
            most: AtomicU64::new(u64::MAX),
            refused: AtomicU64::new(0),
            taken: CachePadded::default(),
            moving: RwLock::default(),
            credits: (0..STRIPES).map(|_| CachePadded::default()).collect(),
        }
    }

    pub(crate) fn quota(&self) -> Quota {
        let most = self.most.load(Ordering::Relaxed);
        Quota {
            guaranteed: self.guaranteed.load(Ordering::Relaxed),
            most: (most < u64::MAX).then_some(most),
        }
    }

    fn set_quota(&self, quota: Quota) {
        self.guaranteed.store(quota.guaranteed, Ordering::Relaxed);
        let most = quota.most.unwrap_or(u64::MAX);
        self.most.store(most, Ordering::Relaxed);
        // A credit that was taken below another limit counts for nothing.
        let _alone = self.moving.write();
        self.collect();
    }

    /// Returns the bytes that are charged: exact while nobody charges.
    pub(crate) fn used(&self) -> u64 {
        let credits = self.credits.iter();
        let credit: u64 = credits.map(|credit| credit.load(Ordering::Relaxed)).sum();
        self.taken.load(Ordering::Relaxed).saturating_sub(credit)
    }

    /// Returns how many puts were refused for the limit.
    pub(crate) fn refused(&self) -> u64 {
        self.refused.load(Ordering::Relaxed)
    }

    /// Returns whether no more is charged than what is guaranteed.
    pub(crate) fn is_within_guarantee(&self) -> bool {
        self.used() <= self.guaranteed.load(Ordering::Relaxed)
    }

    /// Charges some bytes, if the limit allows; otherwise nothing has changed.
    #[inline]
    pub(crate) fn charge(&self, bytes: u64) -> bool {
        let credit = &self.credits[own_stripe()];
        let less = |credit: u64| credit.checked_sub(bytes);
        credit
            .fetch_update(Ordering::Relaxed, Ordering::Relaxed, less)
            .is_ok()
            || self.charge_beyond_credit(bytes)
    }

    #[cold]
    fn charge_beyond_credit(&self, bytes: u64) -> bool {
        let several = bytes.saturating_mul(BATCH);
        let moving = self.moving.read();
        if self.take(several) {
            self.credits[own_stripe()].fetch_add(several - bytes, Ordering::Relaxed);
            return true;
        }
        drop(moving);
        if self.take(bytes) {
            return true;
        }
        let _alone = self.moving.write();
        self.collect();
        self.take(bytes)
    }

    fn take(&self, bytes: u64) -> bool {
        let most = self.most.load(Ordering::Relaxed);
        let more = |taken: u64| taken.checked_add(bytes).filter(|&sum| sum <= most);
        let taken = self
            .taken
            .fetch_update(Ordering::Relaxed, Ordering::Relaxed, more);
        taken.is_ok()
    }

    /// Gives the credits of all stripes back to the sum; the caller has locked
    /// `moving`.
    fn collect(&self) {
        for credit in &self.credits {
            let bytes = credit.swap(0, Ordering::Relaxed);
            self.taken.fetch_sub(bytes, Ordering::Relaxed);
        }
    }

    /// Charges bytes that are taken whatever the limit says.
    pub(crate) fn charge_anyway(&self, bytes: u64) {
        self.taken.fetch_add(bytes, Ordering::Relaxed);
    }

    /// Gives charged bytes back.
    #[inline]
    pub(crate) fn release(&self, bytes: u64) {
        let credit = &self.credits[own_stripe()];
        let before = credit.fetch_add(bytes, Ordering::Relaxed);
        if before > bytes.saturating_mul(BATCH) {
            let _moving = self.moving.read();
            let all = credit.swap(0, Ordering::Relaxed);
            self.taken.fetch_sub(all, Ordering::Relaxed);
        }
    }

    /// Returns by how much a charge is beyond the limit, at least 1.
    pub(crate) fn shortage(&self, bytes: u64) -> u64 {
        let most = self.most.load(Ordering::Relaxed);
        let sum = self.used().saturating_add(bytes);
        sum.saturating_sub(most).max(1)
    }

    /// Returns whether a charge could be allowed if nothing else was charged.
    pub(crate) fn could_charge(&self, bytes: u64) -> bool {
        bytes <= self.most.load(Ordering::Relaxed)
    }

    /// Counts a put that is refused for the limit.
    pub(crate) fn refuse(&self, asked: u64) -> PutError {
        self.refused.fetch_add(1, Ordering::Relaxed);
        let Quota { guaranteed, most } = self.quota();
        PutError::QuotaExceeded {
            tenant: Arc::clone(&self.name),
            asked,
            used: self.used(),
            guaranteed,
            most: most.unwrap_or(u64::MAX),
        }
    }
}

impl Charge {
    /// Takes over bytes that were charged.
    pub(crate) fn of(tenant: &Arc<Tenant>, bytes: u64) -> Self {
        Self {
            tenant: Some(Arc::clone(tenant)),
            bytes,
        }
    }

    /// Gives what is above some bytes back.
    pub(crate) fn reduce_to(&mut self, bytes: u64) {
        if let Some(tenant) = &self.tenant
            && bytes < self.bytes
        {
            tenant.release(self.bytes - bytes);
            self.bytes = bytes;
        }
    }

    /// Returns the number of the tenant and the bytes.
    pub(crate) fn of_tenant(&self) -> Option<(u32, u64)> {
        let tenant = self.tenant.as_ref()?;
        Some((tenant.number, self.bytes))
    }

    /// Leaves the bytes charged: they are those of an object from now on.
    pub(crate) fn keep(mut self) {
        self.tenant = None;
    }
}

impl Drop for Charge {
    fn drop(&mut self) {
        if let Some(tenant) = &self.tenant {
            tenant.release(self.bytes);
        }
    }
}

/// The tenants of a store.
#[derive(Debug, Default)]
pub(crate) struct Tenants {
    /// Locked for a look at a name, and for writing when one is new or a quota
    /// changes; nothing is waited for.
    all: RwLock<All>,
}

#[derive(Debug, Default)]
struct All {
    by_name: HashMap<Arc<str>, Arc<Tenant>>,
    in_order: Vec<Arc<Tenant>>,
}

impl All {
    fn of(&mut self, name: &str) -> Arc<Tenant> {
        if let Some(known) = self.by_name.get(name) {
            return Arc::clone(known);
        }
        let number = u32::try_from(self.in_order.len() + 1).expect("fewer than 2^32 tenants");
        let tenant = Arc::new(Tenant::new(name, number));
        self.by_name
            .insert(Arc::clone(&tenant.name), Arc::clone(&tenant));
        self.in_order.push(Arc::clone(&tenant));
        tenant
    }
}

impl Tenants {
    /// Returns the tenant of a name; one that is new has no guarantee and no
    /// limit.
    pub(crate) fn of(&self, name: &str) -> Arc<Tenant> {
        if let Some(known) = self.all.read().by_name.get(name) {
            return Arc::clone(known);
        }
        self.all.write().of(name)
    }

    /// Returns all tenants, those that were named first before others.
    pub(crate) fn all(&self) -> Vec<Arc<Tenant>> {
        self.all.read().in_order.clone()
    }

    /// Gives a tenant a quota, if all guarantees together are no more than the
    /// capacity; returns it.
    pub(crate) fn set(
        &self,
        name: &str,
        quota: Quota,
        capacity: u64,
    ) -> Result<Arc<Tenant>, TenantError> {
        let guaranteed = quota.guaranteed;
        if let Some(most) = quota.most.filter(|&most| most < guaranteed) {
            return Err(TenantError::MostBelowGuaranteed { guaranteed, most });
        }
        let mut all = self.all.write();
        let others = all.in_order.iter().filter(|other| *other.name != *name);
        let others: u64 = others.map(|other| other.quota().guaranteed).sum();
        // A tenant that is sure of nothing fits however little there is.
        if guaranteed > capacity.saturating_sub(others) && guaranteed > 0 {
            return Err(TenantError::Overcommitted {
                guaranteed,
                others,
                capacity,
            });
        }
        let tenant = all.of(name);
        tenant.set_quota(quota);
        Ok(tenant)
    }

    /// Gives a tenant the quota that it had before a restart.
    pub(crate) fn restore(&self, name: &str, quota: Quota) -> Arc<Tenant> {
        let tenant = self.of(name);
        tenant.set_quota(quota);
        tenant
    }
}

#[cfg(test)]
mod tests {
    use std::{thread, time::Instant};

    use super::*;

    fn tenant(most: u64) -> Tenant {
        let tenant = Tenant::new("a", 1);
        tenant.set_quota(Quota {
            guaranteed: 0,
            most: Some(most),
        });
        tenant
    }

    #[test]
    fn what_is_charged_never_exceeds_the_limit_and_reaches_it() {
        for most in [0, 1, 99, 100, 101, 5_000] {
            let tenant = tenant(most);
            let charged = (0..100).filter(|_| tenant.charge(10)).count() as u64;
            assert_eq!(charged, (most / 10).min(100), "limit {most}");
            assert_eq!(tenant.used(), charged * 10);
            (0..charged).for_each(|_| tenant.release(10));
            assert_eq!(tenant.used(), 0);
            assert!(tenant.charge(most));
            assert!(!tenant.charge(1));
        }
    }

    /// The least time of some calls, of several rounds.
    fn time(run: impl Fn()) -> f64 {
        let rounds = (0..20).map(|_| {
            let begun = Instant::now();
            (0..50_000).for_each(|_| run());
            begun.elapsed().as_secs_f64()
        });
        rounds.fold(f64::MAX, f64::min)
    }

    /// Optimised, a charge has more than half of the speed; the bound is what no
    /// busy machine misses.
    #[test]
    fn a_charge_costs_about_as_much_as_an_atomic_addition() {
        let tenant = tenant(u64::MAX - 1);
        let sum = CachePadded::new(AtomicU64::new(0));
        let charge = || {
            assert!(tenant.charge(3));
            tenant.release(3);
        };
        let addition = time(|| {
            sum.fetch_add(3, Ordering::Relaxed);
        });
        // A charge and what gives it back are two operations.
        let alone = time(charge) / 2.0;
        let together = thread::scope(|scope| {
            let other = scope.spawn(|| time(charge));
            time(charge).max(other.join().unwrap()) / 2.0
        });
        let (ratio, slowdown) = (addition / alone, together / alone);
        println!(
            "{ratio:.2} of the speed of an addition; beside another thread {slowdown:.2} of the time"
        );
        assert!(ratio > 0.05, "{ratio}");
    }

    #[test]
    fn credits_of_other_threads_are_collected_before_a_refusal() {
        let tenant = tenant(1_000);
        // Each thread leaves a credit behind.
        for _ in 0..4 {
            thread::scope(|scope| {
                scope.spawn(|| assert!(tenant.charge(10)));
            });
        }
        assert!(tenant.charge(960));
        assert!(!tenant.charge(1));
        assert_eq!((tenant.used(), tenant.shortage(5)), (1_000, 5));
    }

    #[test]
    fn nobody_is_refused_what_others_have_in_hand() {
        // There is room for all that two of four threads charge.
        const EACH: u64 = 40;
        let tenant = tenant(2 * EACH);
        let permits = AtomicU64::new(2);
        let one_less = |permits: u64| permits.checked_sub(1);
        let work = || {
            for round in 0..100_000 {
                while permits
                    .fetch_update(Ordering::AcqRel, Ordering::Relaxed, one_less)
                    .is_err()
                {
                    thread::yield_now();
                }
                let piece = [1, EACH, EACH / 8][round % 3];
                for _ in 0..EACH / piece {
                    assert!(tenant.charge(piece), "{piece} in round {round}");
                }
                (0..EACH / piece).for_each(|_| tenant.release(piece));
                permits.fetch_add(1, Ordering::AcqRel);
            }
        };
        thread::scope(|scope| {
            for _ in 0..4 {
                scope.spawn(work);
            }
        });
        assert_eq!(tenant.used(), 0);
    }

    #[test]
    fn threads_together_stay_below_the_limit_and_give_everything_back() {
        const MOST: u64 = 5_000;
        let tenant = tenant(MOST);
        let used = AtomicU64::new(0);
        let work = |seed: u64| {
            let mut held = Vec::new();
            for step in 0..20_000 {
                let bytes = 1 + (seed * 7 + step * 13) % 90;
                if held.len() < 40 && tenant.charge(bytes) {
                    let all = used.fetch_add(bytes, Ordering::SeqCst) + bytes;
                    assert!(all <= MOST, "{all}");
                    held.push(bytes);
                } else if let Some(bytes) = held.pop() {
                    used.fetch_sub(bytes, Ordering::SeqCst);
                    tenant.release(bytes);
                }
            }
            for bytes in held {
                used.fetch_sub(bytes, Ordering::SeqCst);
                tenant.release(bytes);
            }
        };
        thread::scope(|scope| {
            for seed in 0..4 {
                let work = &work;
                scope.spawn(move || work(seed));
            }
        });
        assert_eq!(tenant.used(), 0);
        assert!(tenant.charge(MOST) && !tenant.charge(1));
    }
}
