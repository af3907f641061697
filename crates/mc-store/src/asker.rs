//! Whose space is looked for, and to whom it is charged.

use std::sync::Arc;

use mc_segment::PlaceRequest;

use crate::{
    error::PutError,
    ledger::Own,
    policy::ObjectId,
    tenants::{Charge, Tenant},
};

/// Whose space is looked for.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Asker<'a> {
    tenant: Option<&'a Arc<Tenant>>,
    charging: Charging,
    behind: Behind<'a>,
}

/// What is stored of the prompt before that which is put.
#[derive(Clone, Copy, Debug, Default)]
pub(crate) enum Behind<'a> {
    #[default]
    Nothing,
    /// What has this key, if it is stored.
    Key(&'a [u8]),
    Object(ObjectId),
}

/// Whether a tenant has more bytes with what is placed.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Charging {
    More,
    /// It takes the place of what is charged.
    Same,
}

impl<'a> Asker<'a> {
    /// Returns one who wants more than before.
    pub(crate) fn of_more(tenant: Option<&'a Arc<Tenant>>) -> Self {
        Self {
            tenant,
            charging: Charging::More,
            behind: Behind::Nothing,
        }
    }

    /// As [`of_more`](Self::of_more) for what comes behind something in a prompt.
    pub(crate) fn of_next(tenant: Option<&'a Arc<Tenant>>, behind: Behind<'a>) -> Self {
        Self {
            behind,
            ..Self::of_more(tenant)
        }
    }

    /// Returns one who wants other space than before.
    pub(crate) fn of_move(tenant: Option<&'a Arc<Tenant>>) -> Self {
        Self {
            charging: Charging::Same,
            ..Self::of_more(tenant)
        }
    }

    pub(crate) fn behind(self) -> Behind<'a> {
        self.behind
    }

    /// Returns the number of the tenant; 0 for none.
    pub(crate) fn number(self) -> u32 {
        self.tenant.map_or(0, |tenant| tenant.number)
    }

    /// Charges all replicas of a request; returns by how much that is beyond the
    /// tenant's limit if it is.
    pub(crate) fn charge(self, request: &PlaceRequest<'_>) -> Result<Charge, u64> {
        let Some(tenant) = self.tenant.filter(|_| self.charging == Charging::More) else {
            return Ok(Charge::default());
        };
        let bytes = replicas_bytes(request);
        match tenant.charge(bytes) {
            true => Ok(Charge::of(tenant, bytes)),
            false => Err(tenant.shortage(bytes)),
        }
    }

    /// As [`charge`](Self::charge) for as many of the replicas as the limit allows, and
    /// which are asked for from then on; those that must be if it allows none of that.
    pub(crate) fn charge_most(self, request: &mut PlaceRequest<'_>) -> Result<Charge, u64> {
        let least = request.replicas.least().max(1);
        loop {
            let count = request.replicas.count;
            match self.charge(request) {
                Err(shortage) if count > least => {
                    let beyond = shortage.div_ceil(request.size.max(1));
                    let beyond = u32::try_from(beyond).unwrap_or(u32::MAX);
                    request.replicas.count = count.saturating_sub(beyond).max(least);
                }
                charged => return charged,
            }
        }
    }

    /// Returns the refusal of a request that is beyond the tenant's limit.
    pub(crate) fn refuse(self, request: &PlaceRequest<'_>) -> PutError {
        let tenant = self.tenant.expect("nobody else has a limit");
        tenant.refuse(replicas_bytes(request))
    }

    pub(crate) fn could_charge(self, request: &PlaceRequest<'_>) -> bool {
        let bytes = replicas_bytes(request);
        self.tenant.is_none_or(|tenant| tenant.could_charge(bytes))
    }

    /// Returns which of its own objects may leave, at first and then.
    pub(crate) fn owns(self) -> &'static [Own] {
        match self.tenant {
            Some(tenant) if tenant.is_within_guarantee() => &[Own::Stays, Own::MayLeave],
            Some(_) | None => &[Own::MayLeave],
        }
    }
}

fn replicas_bytes(request: &PlaceRequest<'_>) -> u64 {
    let count = u64::from(request.replicas.count);
    request.size.saturating_mul(count)
}
