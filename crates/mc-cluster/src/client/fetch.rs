//! Reading objects: where the keys are, then the bytes, all hosts at once.

use std::{collections::BTreeMap, sync::Arc};

use bytes::Bytes;
use futures_util::future::{join_all, try_join_all};
use tonic::Response;

use super::{
    ClientError, Shared, count,
    host::Calls,
    hosts::Routes,
    patience::Patience,
    put::{Checked, put_batch},
    transport::{Incoming, Space, Transport},
};
use crate::{
    members::Member,
    time::millis,
    wire::{
        Extent, LookupRequest, LookupResponse, Outcome, ReleaseRequest, RemoveRequest,
        lookup_response, remove_request::Mode,
    },
};

/// How often the rest of the keys is sought, each time because a host fell
/// silent meanwhile.
const PASSES_MAX: usize = 3;

/// A key on its way to its bytes.
struct Wanted<'a> {
    key: Bytes,
    /// Who may have it; those up to `asked` have not.
    candidates: Vec<&'a Member>,
    asked: usize,
    state: State,
}

enum State {
    /// The next candidate has to be asked, if there is one.
    Sought,
    /// A candidate has it.
    Found(Found),
    Read(Bytes),
}

/// Where an object is.
struct Found {
    space: Space,
    lease: u64,
    object: u32,
    bytes: usize,
    checksum: Option<u32>,
    /// Taken by the call that reads them.
    extents: Vec<Extent>,
}

/// Leases that were taken, by the host and its life that granted them, to be
/// given back.
type Leases<'a> = BTreeMap<(&'a str, u64), (&'a Member, Vec<u64>)>;

/// Keys by the host that is asked for them next.
type ByHost<'a> = BTreeMap<&'a str, (&'a Member, Vec<usize>)>;

/// What is read with one call.
struct LeaseRead<'a> {
    member: &'a Member,
    space: Space,
    lease: u64,
    indices: Vec<usize>,
    objects: Vec<Incoming>,
}

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
    let wanted = keys.iter().map(|key| Wanted {
        candidates: routes.candidates(key, shared.options.replicas),
        key: key.clone(),
        asked: 0,
        state: State::Sought,
    });
    let mut wanted: Vec<_> = wanted.collect();
    let mut leases = Leases::new();
    let read = read_prefix(shared, &mut wanted, &mut leases).await;
    release(shared, leases);
    wanted.truncate(read?);
    for one in &wanted {
        promote(shared, one);
    }
    Ok(wanted.into_iter().filter_map(Wanted::into_bytes).collect())
}

/// Reads the objects of the first keys; returns how many.
async fn read_prefix<'a, T: Transport>(
    shared: &Arc<Shared<T>>,
    wanted: &mut [Wanted<'a>],
    leases: &mut Leases<'a>,
) -> Result<usize, ClientError> {
    loop {
        locate(shared, wanted, leases).await?;
        let end = wanted.iter().position(Wanted::is_missing);
        let end = end.unwrap_or(wanted.len());
        if read_found(shared, &mut wanted[..end]).await? {
            return Ok(end);
        }
        // Another candidate may have what could not be read.
    }
}

/// Asks for keys until each is found, or nobody is left who may have it.
async fn locate<'a, T: Transport>(
    shared: &Shared<T>,
    wanted: &mut [Wanted<'a>],
    leases: &mut Leases<'a>,
) -> Result<(), ClientError> {
    loop {
        let mut by_host = ByHost::new();
        for (index, one) in wanted.iter().enumerate() {
            if one.is_missing() {
                // What is behind it is of no use.
                break;
            }
            if let (State::Sought, Some(member)) = (&one.state, one.candidate()) {
                let host = by_host.entry(&member.name).or_insert((member, Vec::new()));
                host.1.push(index);
            }
        }
        if by_host.is_empty() {
            return Ok(());
        }
        // Only where no other host may have a key, its absence ends the prefix.
        let all_keys = wanted.iter().any(|one| one.candidates.len() > 1);
        let hosts = by_host.into_values();
        let hosts = hosts.map(|(member, keys)| lookup(shared, member, keys, wanted, all_keys));
        for (member, keys, answers) in join_all(hosts).await {
            let mut keys = keys.into_iter();
            for answer in answers {
                let answer = match answer {
                    Err(error) if !error.is_passing() => return Err(error),
                    Err(_) => break,
                    Ok(answer) => answer,
                };
                if answer.lease != 0 {
                    let kept = leases.entry((&member.name, answer.life));
                    let kept = kept.or_insert((member, Vec::new()));
                    kept.1.push(answer.lease);
                }
                let space = Space::new(answer.life, answer.epoch, usize::MAX);
                for (number, object) in (0..).zip(answer.objects) {
                    let Some(index) = keys.next() else {
                        break;
                    };
                    let found = found(object, number, answer.lease, space);
                    let is_small = |found: &Found| found.bytes <= shared.options.object_bytes_max;
                    wanted[index].note(found.filter(is_small));
                }
            }
            keys.for_each(|index| wanted[index].note(None));
        }
    }
}

/// Looks keys up on one host, in batches, until one ends early.
async fn lookup<'a, T: Transport>(
    shared: &Shared<T>,
    member: &'a Member,
    indices: Vec<usize>,
    wanted: &[Wanted<'a>],
    all_keys: bool,
) -> (
    &'a Member,
    Vec<usize>,
    Vec<Result<LookupResponse, ClientError>>,
) {
    let mut answers = Vec::new();
    for batch in indices.chunks(shared.options.batch.max(1)) {
        let keys = batch.iter().map(|&index| wanted[index].key.clone());
        let request = LookupRequest {
            keys: keys.collect(),
            lease_ms: millis(shared.options.lease).max(1),
            all_keys,
        };
        let look = async move |mut calls: Calls| calls.lookup(request).await;
        let answer = shared.call(member, 0, look).await;
        let is_whole = |answer: &LookupResponse| answer.objects.len() >= batch.len();
        let goes_on = answer.as_ref().is_ok_and(is_whole);
        answers.push(answer);
        if !goes_on {
            break;
        }
    }
    (member, indices, answers)
}

fn found(object: lookup_response::Object, number: u32, lease: u64, space: Space) -> Option<Found> {
    if object.is_missing || lease == 0 {
        return None;
    }
    Some(Found {
        space,
        lease,
        object: number,
        bytes: usize::try_from(object.bytes).ok()?,
        checksum: object.checksum,
        extents: object.extents,
    })
}

/// Reads what was found and not read; returns whether all of it could be read.
async fn read_found<T: Transport>(
    shared: &Arc<Shared<T>>,
    wanted: &mut [Wanted<'_>],
) -> Result<bool, ClientError> {
    // The next life of a host gives the same numbers again.
    let mut by_lease: BTreeMap<(&str, u64, u64), LeaseRead<'_>> = BTreeMap::new();
    for (index, one) in wanted.iter_mut().enumerate() {
        let candidate = one.candidate();
        if let (State::Found(found), Some(member)) = (&mut one.state, candidate) {
            let (space, lease) = (found.space, found.lease);
            let place = (member.name.as_str(), space.life, lease);
            let reading = by_lease.entry(place).or_insert_with(|| LeaseRead {
                member,
                space,
                lease,
                indices: Vec::new(),
                objects: Vec::new(),
            });
            let extents = std::mem::take(&mut found.extents);
            let object = Incoming::new(found.object, extents, found.bytes);
            reading.indices.push(index);
            reading.objects.push(object);
        }
    }
    let reads = by_lease.into_values();
    let reads = reads.map(|reading| read_lease(shared, reading));
    let mut is_whole = true;
    for (indices, read) in try_join_all(reads).await? {
        let mut read = read.into_iter();
        for index in indices {
            let one = &mut wanted[index];
            match read.next() {
                Some(bytes) if one.fits(&bytes) => one.state = State::Read(bytes),
                read => {
                    is_whole = false;
                    if read.is_some() {
                        count(&shared.counts.corrupt, 1);
                        report_damage(shared, one);
                    }
                    one.note(None);
                }
            }
        }
    }
    Ok(is_whole)
}

/// Reads objects of one lease; none of them if that fails for now.
async fn read_lease<T: Transport>(
    shared: &Shared<T>,
    reading: LeaseRead<'_>,
) -> Result<(Vec<usize>, Vec<Bytes>), ClientError> {
    let LeaseRead {
        member,
        space,
        lease,
        indices,
        objects,
    } = reading;
    let bytes = objects.iter().map(|object| object.bytes).sum();
    let read = async |calls| {
        let read = shared.transport.read(calls, &space, lease, objects).await;
        read.map(Response::new)
    };
    match shared.call(member, bytes, read).await {
        Ok(read) => Ok((indices, read)),
        Err(error) if error.is_passing() => Ok((indices, Vec::new())),
        Err(error) => Err(error),
    }
}

/// Has a host look at an object whose bytes came with another checksum; it drops
/// the object if they are so in its memory.
fn report_damage<T: Transport>(shared: &Arc<Shared<T>>, one: &Wanted<'_>) {
    let Some(member) = one.candidate().cloned() else {
        return;
    };
    let request = RemoveRequest {
        keys: vec![one.key.clone()],
        mode: Mode::IfDamaged.into(),
    };
    let shared = Arc::clone(shared);
    tokio::spawn(async move {
        let remove = async move |mut calls: Calls| calls.remove(request).await;
        let _ = shared.call(&member, 0, remove).await;
    });
}

/// Gives leases back. If a host does not hear of it, they end by themselves.
fn release<T: Transport>(shared: &Arc<Shared<T>>, leases: Leases<'_>) {
    for ((_, life), (member, leases)) in leases {
        let (shared, member) = (Arc::clone(shared), member.clone());
        let request = ReleaseRequest { leases, life };
        tokio::spawn(async move {
            let release = async move |mut calls: Calls| calls.release(request).await;
            let _ = shared.call(&member, 0, release).await;
        });
    }
}

/// Puts what a former owner had to the present one, which is asked first.
fn promote<T: Transport>(shared: &Arc<Shared<T>>, one: &Wanted<'_>) {
    // The owners come before those of former times.
    let has_owner = one.asked < shared.options.replicas;
    let (false, Some(&owner), State::Read(bytes)) = (has_owner, one.candidates.first(), &one.state)
    else {
        return;
    };
    let object = Checked {
        key: one.key.clone(),
        bytes: bytes.clone(),
        checksum: crc32fast::hash(bytes),
    };
    let (shared, owner) = (Arc::clone(shared), owner.clone());
    tokio::spawn(async move {
        let patience = Patience::new(shared.options.patience);
        let put = put_batch(&shared, &owner, &[object], &patience).await;
        if put.is_ok_and(|outcomes| outcomes == [Outcome::Done]) {
            count(&shared.counts.promoted, 1);
        }
    });
}

impl<'a> Wanted<'a> {
    /// Returns who is asked next, or has it.
    fn candidate(&self) -> Option<&'a Member> {
        self.candidates.get(self.asked).copied()
    }

    fn is_missing(&self) -> bool {
        matches!(self.state, State::Sought) && self.asked >= self.candidates.len()
    }

    /// Takes note of what a candidate answered.
    fn note(&mut self, found: Option<Found>) {
        self.state = match found {
            Some(found) => State::Found(found),
            None => {
                self.asked += 1;
                State::Sought
            }
        };
    }

    /// Says whether bytes are those that were committed.
    fn fits(&self, bytes: &Bytes) -> bool {
        let State::Found(found) = &self.state else {
            return false;
        };
        let checksum = found.checksum;
        bytes.len() == found.bytes && checksum.is_none_or(|sum| sum == crc32fast::hash(bytes))
    }

    fn into_bytes(self) -> Option<Bytes> {
        match self.state {
            State::Read(bytes) => Some(bytes),
            _ => None,
        }
    }
}
