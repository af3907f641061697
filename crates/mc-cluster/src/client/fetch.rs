//! Reading the objects of the first keys: where they are, then the bytes.

use std::sync::Arc;

use bytes::Bytes;

use super::{
    ClientError, Shared, count,
    host::Calls,
    hosts::Routes,
    locate::{Leases, locate},
    put::{Checked, put_batch},
    reading::read_found,
    transport::Transport,
    wanted::Wanted,
};
use crate::{
    members::Member,
    wire::{LookupRequest, Outcome, remove_request::Mode},
};

/// How often the rest of the keys is sought, each time because a host fell
/// silent meanwhile.
const PASSES_MAX: usize = 3;

pub(super) async fn get_prefix<T: Transport>(
    shared: &Arc<Shared<T>>,
    keys: Vec<Bytes>,
) -> Result<Vec<Bytes>, ClientError> {
    let mut read = Vec::with_capacity(keys.len());
    for _ in 0..PASSES_MAX {
        let routes = shared.hosts.routes();
        read.extend(read_routed(shared, &routes, &keys[read.len()..]).await?);
        // Those who stand in for a host that fell silent may have the rest.
        if read.len() == keys.len() || !shared.hosts.have_changed(&routes) {
            break;
        }
    }
    count(&shared.counts.hits, read.len());
    count(&shared.counts.misses, keys.len() - read.len());
    Ok(read)
}

/// Reads the objects of the first keys from the hosts of routes.
async fn read_routed<T: Transport>(
    shared: &Arc<Shared<T>>,
    routes: &Routes,
    keys: &[Bytes],
) -> Result<Vec<Bytes>, ClientError> {
    let replicas = shared.options.replicas;
    let wanted = keys.iter();
    let wanted = wanted.map(|key| Wanted::new(key.clone(), routes, replicas));
    let mut wanted: Vec<_> = wanted.collect();
    let mut leases = Leases::new(shared);
    let read = read_prefix(shared, &mut wanted, &mut leases).await;
    drop(leases);
    wanted.truncate(read?);
    for one in &wanted {
        promote(shared, one);
    }
    Ok(wanted.into_iter().filter_map(Wanted::into_bytes).collect())
}

/// Reads the objects of the first keys; returns how many.
async fn read_prefix<T: Transport>(
    shared: &Arc<Shared<T>>,
    wanted: &mut [Wanted<'_>],
    leases: &mut Leases<T>,
) -> Result<usize, ClientError> {
    loop {
        locate(shared, wanted, leases).await?;
        let end = wanted.iter().position(Wanted::is_missing);
        let end = end.unwrap_or(wanted.len());
        if read_found(shared, &mut wanted[..end], leases).await? {
            return Ok(end);
        }
        // Another candidate may have what could not be read.
    }
}

/// Puts what a former owner had to the present one, which is asked first.
fn promote<T: Transport>(shared: &Arc<Shared<T>>, one: &Wanted<'_>) {
    let (true, Some(owner), Some(former), Some(bytes)) =
        (one.is_from_former(), one.owner, one.candidate(), one.read())
    else {
        return;
    };
    let key = one.key.clone();
    let object = Checked {
        key: key.clone(),
        bytes: bytes.clone(),
        checksum: crc32fast::hash(bytes),
    };
    let (shared, owner, former) = (Arc::clone(shared), owner.clone(), former.clone());
    tokio::spawn(async move {
        let patience = shared.patience();
        let put = put_batch(&shared, &owner, &[object], &patience).await;
        if put.is_ok_and(|outcomes| outcomes == [Outcome::Done]) {
            if is_gone(&shared, &former, &key).await {
                let _ = shared.remove_from(&owner, &key, Mode::Detach).await;
            } else {
                count(&shared.counts.promoted, 1);
            }
        }
    });
}

/// Says whether a host lacks what it had: whoever removed it may have asked others
/// before they were given it.
async fn is_gone<T>(shared: &Shared<T>, former: &Member, key: &Bytes) -> bool {
    let request = LookupRequest {
        keys: vec![key.clone()],
        lease_ms: 0,
        all_keys: false,
    };
    let look = async move |mut calls: Calls| calls.lookup(request).await;
    let found = shared.call(former, 0, look).await;
    found.is_ok_and(|found| found.objects.is_empty())
}
