//! What tenants have stored, and whose objects may leave for whom.

use std::sync::Arc;

use crate::{
    object::Object,
    policy::{GroupKey, ObjectId, Rank},
    stats::{Cause, Counted},
    tenants::Tenant,
};

/// What of the tenants' bytes is stored, by the number of the tenant. Changed
/// under the lock of the order, so that two who look for victims never take
/// more of a tenant than one may.
#[derive(Debug, Default)]
pub(crate) struct Ledger(Vec<Account>);

/// The objects of one tenant.
#[derive(Clone, Copy, Debug, Default)]
pub(crate) struct Account {
    pub(crate) guaranteed: u64,
    pub(crate) stored: Counted,
    pub(crate) evicted: Counted,
    /// Bytes of those that were claimed to make room and have not left.
    leaving_bytes: u64,
}

/// Whose objects may leave for a request.
#[derive(Clone, Debug)]
pub(crate) struct Rights {
    /// Number of the tenant whose request it is; 0 for none.
    pub(crate) tenant: u32,
    pub(crate) own: Own,
    /// Objects of higher ranks stay.
    pub(crate) rank_max: Rank,
    /// Tenants that have no more to give in this search.
    pub(crate) barred: Vec<u32>,
    /// What comes right before the one that is put. It stays, as what is before that.
    pub(crate) spared: Option<ObjectId>,
}

/// What of a tenant's own objects may leave for its request.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Own {
    /// None: it is below its guarantee, and others have borrowed from it.
    Stays,
    /// They may, as those of others.
    MayLeave,
    /// They alone, for its limit.
    Alone,
}

/// Why an object was not claimed.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Unclaimed {
    InUse,
    /// Its tenant is sure of it.
    Guaranteed {
        tenant: u32,
    },
}

/// The highest rank.
pub(crate) const RANK_MAX: Rank = Rank {
    is_kept: true,
    priority: i8::MAX,
};

impl Ledger {
    pub(crate) fn account(&self, tenant: u32) -> Account {
        let account = self.0.get(tenant as usize).copied();
        account.unwrap_or_default()
    }

    fn account_mut(&mut self, tenant: u32) -> &mut Account {
        let place = tenant as usize;
        if self.0.len() <= place {
            self.0.resize(place + 1, Account::default());
        }
        &mut self.0[place]
    }

    pub(crate) fn set_guaranteed(&mut self, tenant: &Tenant) {
        self.account_mut(tenant.number).guaranteed = tenant.quota().guaranteed;
    }

    pub(crate) fn add(&mut self, tenant: &Tenant, bytes: u64) {
        let account = self.account_mut(tenant.number);
        account.stored.objects += 1;
        account.stored.bytes += bytes;
    }

    /// Takes note of bytes that came to an object.
    pub(crate) fn grow(&mut self, tenant: &Tenant, bytes: u64) {
        self.account_mut(tenant.number).stored.bytes += bytes;
    }

    /// Takes note that an object has left.
    pub(crate) fn remove(&mut self, tenant: &Tenant, bytes: u64, cause: Cause) {
        let account = self.account_mut(tenant.number);
        account.stored.objects -= 1;
        account.stored.bytes -= bytes;
        if matches!(cause, Cause::OnDemand | Cause::Watermark) {
            account.evicted.add(bytes);
        }
        if matches!(cause, Cause::OnDemand | Cause::Watermark | Cause::Shrunk) {
            account.leaving_bytes = account.leaving_bytes.saturating_sub(bytes);
        }
    }

    /// Claims an object of a tenant for leaving, if it may be taken from it.
    pub(crate) fn claim(&mut self, tenant: &Tenant, bytes: u64, rights: &Rights) -> bool {
        let account = self.account_mut(tenant.number);
        let may_leave = rights.tenant == tenant.number || account.has_more_than_guaranteed();
        if may_leave {
            account.leaving_bytes += bytes;
        }
        may_leave
    }

    /// Lets an object stay that was claimed.
    pub(crate) fn spare(&mut self, tenant: &Tenant, bytes: u64) {
        let account = self.account_mut(tenant.number);
        account.leaving_bytes = account.leaving_bytes.saturating_sub(bytes);
    }
}

impl Account {
    fn has_more_than_guaranteed(self) -> bool {
        self.stored.bytes.saturating_sub(self.leaving_bytes) > self.guaranteed
    }
}

impl Rights {
    /// Returns the rights of whoever has no tenant, to whatever leaves first.
    pub(crate) fn of_nobody() -> Self {
        Self {
            tenant: 0,
            own: Own::MayLeave,
            rank_max: RANK_MAX,
            barred: Vec::new(),
            spared: None,
        }
    }

    /// Returns the rights of the tenant of an object, guaranteed or not.
    pub(crate) fn of_owner(object: &Object) -> Self {
        Self {
            tenant: tenant_of(object).map_or(0, |tenant| tenant.number),
            ..Self::of_nobody()
        }
    }

    /// Returns whether an object of a group may leave.
    pub(crate) fn allow(&self, key: GroupKey, ledger: &Ledger) -> bool {
        if key.rank > self.rank_max {
            return false;
        }
        if key.tenant == self.tenant && self.tenant != 0 {
            return self.own != Own::Stays;
        }
        let is_lent = || {
            let account = ledger.account(key.tenant);
            account.has_more_than_guaranteed() && !self.barred.contains(&key.tenant)
        };
        self.own != Own::Alone && (key.tenant == 0 || is_lent())
    }
}

/// Returns the tenant of an object.
pub(crate) fn tenant_of(object: &Object) -> Option<&Arc<Tenant>> {
    object.terms.hints.tenant.as_ref()
}
