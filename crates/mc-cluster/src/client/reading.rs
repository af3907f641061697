//! The bytes of objects that were found, from all hosts at once.

use std::{collections::BTreeMap, sync::Arc};

use bytes::Bytes;
use futures_util::future::{join_all, try_join_all};
use tonic::{Code, Response};

use super::{
    ClientError, Shared, count,
    hedge::{Second, hedge},
    locate::{Leases, by_host, lookup},
    patience::Patience,
    transport::{Incoming, Transport},
    wanted::{Found, Wanted},
};
use crate::{
    groups::{CALL_BYTES, groups},
    members::Member,
    wire::remove_request::Mode,
};

/// What is read under one lease.
struct LeaseRead<'a> {
    member: &'a Member,
    objects: Vec<(usize, Found)>,
}

/// An object as it came from a host, or did not.
struct Got<'a> {
    index: usize,
    member: &'a Member,
    found: Found,
    bytes: Option<Bytes>,
    /// Whether its lease ended while those before it were read: the host may still
    /// have it.
    is_cut: bool,
}

/// What came with one try, and the leases that it took.
struct Try<'a, T: Transport> {
    got: Vec<Got<'a>>,
    leases: Leases<T>,
}

/// Reads what was found and not read; returns whether all of it could be read.
pub(super) async fn read_found<'a, T: Transport>(
    shared: &Arc<Shared<T>>,
    wanted: &mut [Wanted<'a>],
    leases: &mut Leases<T>,
) -> Result<bool, ClientError> {
    let mut found = Vec::new();
    for (index, one) in wanted.iter_mut().enumerate() {
        if let (Some(member), Some(place)) = (one.candidate(), one.take_found()) {
            found.push((member, index, place));
        }
    }
    let reads = by_lease(found).into_iter();
    let reads = reads.map(|reading| read_hedged(shared, reading, wanted));
    let mut is_whole = true;
    for tries in try_join_all(reads).await? {
        for one_try in tries {
            leases.extend(one_try.leases);
            for got in one_try.got {
                take(shared, got, wanted);
            }
        }
    }
    for one in wanted.iter() {
        is_whole &= one.read().is_some();
    }
    Ok(is_whole)
}

/// Takes the bytes of an object if they are those that were committed.
fn take<T: Transport>(shared: &Arc<Shared<T>>, got: Got<'_>, wanted: &mut [Wanted<'_>]) {
    let one = &mut wanted[got.index];
    match got.bytes {
        _ if one.read().is_some() => {}
        Some(bytes) if got.found.fits(&bytes) => one.note_read(got.member, bytes),
        None if got.is_cut => {}
        bytes => {
            if bytes.is_some() {
                count(&shared.counts.corrupt, 1);
                report_damage(shared, got.member, &one.key);
            }
            one.note_missing(got.member);
        }
    }
}

fn by_lease<'a>(found: Vec<(&'a Member, usize, Found)>) -> Vec<LeaseRead<'a>> {
    // The next life of a host gives the same numbers again.
    let mut groups: BTreeMap<(&str, u64, u64), LeaseRead<'_>> = BTreeMap::new();
    for (member, index, found) in found {
        let place = (member.name.as_str(), found.space.life, found.lease);
        let group = groups.entry(place).or_insert_with(|| LeaseRead {
            member,
            objects: Vec::new(),
        });
        group.objects.push((index, found));
    }
    groups.into_values().collect()
}

/// Reads objects of one lease, and from their other owners if that takes longer
/// than the options want.
async fn read_hedged<'a, T: Transport>(
    shared: &Arc<Shared<T>>,
    reading: LeaseRead<'a>,
    wanted: &[Wanted<'a>],
) -> Result<Vec<Try<'a, T>>, ClientError> {
    let indices: Vec<_> = reading.objects.iter().map(|(index, _)| *index).collect();
    let has_others = indices
        .iter()
        .any(|&index| wanted[index].other_owner().is_some());
    let Some(delay) = shared.options.hedge.filter(|_| has_others) else {
        return Ok(vec![read_first(shared, reading).await?]);
    };
    let delay = Patience::for_bytes(delay, reading.bytes());
    let objects = indices.len();
    let first = read_first(shared, reading);
    let second = async {
        count(&shared.counts.hedged, 1);
        read_elsewhere(shared, indices, wanted).await
    };
    let has_all = |read: &Result<Try<'_, T>, ClientError>| {
        let came = |got: &&Got<'_>| {
            got.bytes
                .as_ref()
                .is_some_and(|bytes| got.found.fits(bytes))
        };
        let objects_of = |read: &Try<'_, T>| read.got.iter().filter(came).count();
        read.as_ref().is_ok_and(|read| objects_of(read) == objects)
    };
    let mut hedged = hedge(delay, first, second, &has_all).await;
    if hedged.second == Second::Won {
        count(&shared.counts.hedges_won, 1);
    }
    if hedged.results.iter().any(has_all) {
        // The other host may refuse what it wants; what it sent counts.
        hedged.results.retain(Result::is_ok);
    }
    hedged.results.into_iter().collect()
}

/// Looks objects up on their other owners, and reads them there.
async fn read_elsewhere<'a, T: Transport>(
    shared: &Arc<Shared<T>>,
    indices: Vec<usize>,
    wanted: &[Wanted<'a>],
) -> Result<Try<'a, T>, ClientError> {
    let others = by_host(indices, |index| wanted[index].other_owner()).into_values();
    let lookups = others.map(|(member, keys)| lookup(shared, member, keys, wanted));
    let mut all = Try {
        got: Vec::new(),
        leases: Leases::new(shared),
    };
    let mut places = Vec::new();
    for looked_up in join_all(lookups).await {
        let member = looked_up.member();
        let found = looked_up.into_found(&mut all.leases)?;
        let found = found.into_iter();
        places.extend(found.filter_map(|(index, found)| Some((member, index, found?))));
    }
    let reads = by_lease(places).into_iter();
    for read in try_join_all(reads.map(|reading| read_lease(shared, reading))).await? {
        all.got.extend(read);
    }
    Ok(all)
}

/// Reads objects under the lease that was taken when they were found.
async fn read_first<'a, T: Transport>(
    shared: &Arc<Shared<T>>,
    reading: LeaseRead<'a>,
) -> Result<Try<'a, T>, ClientError> {
    Ok(Try {
        got: read_lease(shared, reading).await?,
        leases: Leases::new(shared),
    })
}

/// Reads objects of one lease, up to the first call that fails for now.
async fn read_lease<'a, T: Transport>(
    shared: &Shared<T>,
    reading: LeaseRead<'a>,
) -> Result<Vec<Got<'a>>, ClientError> {
    let LeaseRead { member, objects } = reading;
    let bytes_of = |(_, found): &(usize, Found)| found.bytes as u64;
    let mut all: Vec<Got<'_>> = Vec::with_capacity(objects.len());
    let (mut has_failed, mut is_cut) = (false, false);
    for mut objects in groups(objects, usize::MAX, CALL_BYTES, bytes_of) {
        let mut read = Vec::new();
        if !has_failed {
            match read_once(shared, member, &mut objects).await {
                Ok(bytes) => read = bytes,
                Err(error) if !error.is_passing() => return Err(error),
                Err(error) => {
                    has_failed = true;
                    is_cut = is_over(&error) && !all.is_empty();
                }
            }
        }
        let mut read = read.into_iter();
        let got = objects.into_iter().map(|(index, found)| Got {
            index,
            member,
            found,
            bytes: read.next(),
            is_cut,
        });
        all.extend(got);
    }
    Ok(all)
}

/// Reads objects of one lease with one call.
async fn read_once<T: Transport>(
    shared: &Shared<T>,
    member: &Member,
    objects: &mut [(usize, Found)],
) -> Result<Vec<Bytes>, ClientError> {
    let Some((space, lease)) = objects.first().map(|(_, it)| (it.space, it.lease)) else {
        return Ok(Vec::new());
    };
    let bytes = objects.iter().map(|(_, found)| found.bytes).sum();
    let incoming = objects.iter_mut().map(|(_, found)| {
        let extents = std::mem::take(&mut found.extents);
        Incoming::new(found.object, extents, found.bytes)
    });
    let incoming: Vec<_> = incoming.collect();
    let read = async |calls| {
        let read = shared.transport.read(calls, &space, lease, incoming).await;
        read.map(Response::new)
    };
    shared.call(member, bytes, read).await
}

/// Says whether a host has refused to read because the lease is over.
fn is_over(error: &ClientError) -> bool {
    matches!(error, ClientError::Call { source, .. } if source.code() == Code::NotFound)
}

/// Has a host look at an object whose bytes came with another checksum; it drops
/// the object if they are so in its memory.
fn report_damage<T: Transport>(shared: &Arc<Shared<T>>, member: &Member, key: &Bytes) {
    let (shared, member, key) = (Arc::clone(shared), member.clone(), key.clone());
    tokio::spawn(async move {
        let _ = shared.remove_from(&member, &key, Mode::IfDamaged).await;
    });
}

impl LeaseRead<'_> {
    fn bytes(&self) -> usize {
        self.objects.iter().map(|(_, found)| found.bytes).sum()
    }
}
