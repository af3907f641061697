//! Putting objects: a batch for each host, and again where that failed.

use std::{collections::BTreeMap, sync::Arc, time::Duration};

use bytes::Bytes;
use futures_util::future::join_all;
use tokio::runtime::Handle;
use tonic::Status;

use super::{
    ClientError, Shared, count,
    host::Calls,
    patience::Patience,
    transport::{Outgoing, Since, Space, Transport},
};
use crate::{
    groups::{CALL_BYTES, groups},
    members::Member,
    time::millis,
    wire::{
        AbortRequest, CommitRequest, CommitResponse, Outcome, ReserveRequest, ReserveResponse,
        commit_request, reserve_request, reserve_response,
    },
};

/// An object with its checksum.
#[derive(Clone, Debug)]
pub(super) struct Checked {
    pub(super) key: Bytes,
    pub(super) bytes: Bytes,
    pub(super) checksum: u32,
}

/// What hosts have of an object that was put.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Copies {
    pub(crate) hosts: usize,
    /// Whether one of them may have it from this put; otherwise all had it before.
    pub(crate) is_new: bool,
}

/// How an object went with all of its hosts, in one round.
#[derive(Default)]
struct Tally {
    copies: usize,
    is_new: bool,
    /// Whether another round may do better.
    is_passing: bool,
    error: Option<ClientError>,
}

pub(super) async fn put_many<T: Transport>(
    shared: &Arc<Shared<T>>,
    objects: Vec<(Bytes, Bytes)>,
) -> Vec<Result<Copies, ClientError>> {
    let checked = objects.into_iter().map(|(key, bytes)| Checked {
        checksum: crc32fast::hash(&bytes),
        key,
        bytes,
    });
    let objects: Vec<_> = checked.collect();
    let mut patience = shared.patience();
    let mut results: Vec<_> = objects.iter().map(|_| Err(ClientError::NoMember)).collect();
    let mut new = vec![false; objects.len()];
    let mut open: Vec<usize> = (0..objects.len()).collect();
    loop {
        let tallies = put_round(shared, &objects, &open, &patience).await;
        let mut again = Vec::new();
        for (&object, tally) in open.iter().zip(tallies) {
            if tally.is_passing {
                again.push(object);
            }
            new[object] |= tally.is_new;
            let has_more = results[object]
                .as_ref()
                .is_ok_and(|&copies| copies >= tally.copies);
            if has_more {
                continue;
            }
            let result = tally.result();
            // That nobody is left to ask says less than why the last one did not take it.
            if !matches!(result, Err(ClientError::NoMember)) {
                results[object] = result;
            }
        }
        open = again;
        if open.is_empty() || !patience.wait().await {
            let results = results.into_iter().zip(new);
            let copies = |(hosts, is_new): (Result<usize, _>, bool)| {
                hosts.map(|hosts| Copies { hosts, is_new })
            };
            return results.map(copies).collect();
        }
        count(&shared.counts.retried, open.len());
    }
}

/// Puts objects to their owners, all hosts at once.
async fn put_round<T: Transport>(
    shared: &Arc<Shared<T>>,
    objects: &[Checked],
    open: &[usize],
    patience: &Patience,
) -> Vec<Tally> {
    let routes = shared.hosts.routes();
    let mut by_host: BTreeMap<&str, (&Member, Vec<usize>)> = BTreeMap::new();
    let mut tallies: Vec<Tally> = Vec::new();
    for (place, &object) in open.iter().enumerate() {
        let owners = routes.owners(&objects[object].key, shared.options.replicas);
        let mut tally = Tally::default();
        if owners.is_empty() {
            tally.add(Err(ClientError::NoMember));
        }
        tallies.push(tally);
        for owner in owners {
            let batch = by_host.entry(&owner.name).or_insert((owner, Vec::new()));
            batch.1.push(place);
        }
    }
    let hosts = by_host.into_values().map(async |(member, places)| {
        let bytes_of = |&place: &usize| objects[open[place]].bytes.len() as u64;
        let mut outcomes = Vec::with_capacity(places.len());
        let mut failed: Option<ClientError> = None;
        for places in groups(places, shared.options.batch, CALL_BYTES, bytes_of) {
            let batch = places.iter().map(|&place| objects[open[place]].clone());
            let put = match failed.clone() {
                // What is behind it would fail as well, or take as long to.
                Some(error) => Err(error),
                None => put_batch(shared, member, &batch.collect::<Vec<_>>(), patience).await,
            };
            let outcome_of = |(number, place)| {
                let put = put.as_ref().map(|outcomes: &Vec<_>| outcomes[number]);
                (place, put.map_err(Clone::clone))
            };
            outcomes.extend(places.into_iter().enumerate().map(outcome_of));
            failed = put.err();
        }
        outcomes
    });
    for (place, outcome) in join_all(hosts).await.into_iter().flatten() {
        tallies[place].add(outcome);
    }
    tallies
}

/// Reserves, writes and commits objects on one host.
pub(super) async fn put_batch<T: Transport>(
    shared: &Arc<Shared<T>>,
    member: &Member,
    objects: &[Checked],
    patience: &Patience,
) -> Result<Vec<Outcome>, ClientError> {
    let items = objects.iter().map(|object| reserve_request::Item {
        key: object.key.clone(),
        bytes: object.bytes.len() as u64,
        ..Default::default()
    });
    let bytes = objects.iter().map(|object| object.bytes.len()).sum();
    // As long as the bytes may take at least, however little is left for other tries.
    let writing = Patience::for_bytes(shared.options.call_time, bytes);
    let deadline = patience.left().max(writing);
    let request = ReserveRequest {
        items: items.collect(),
        deadline_ms: millis(deadline),
    };
    let mut held = reserve(shared, member, request).await?;
    let fits = check_answer(held.items.len(), objects.len());
    fits.map_err(|status| ClientError::call(member, status))?;
    let written = fill(&mut held, objects).await;
    if written.is_ok() {
        held.end();
    }
    written
}

/// Has a host reserve space, in a task of its own: if nobody waits for the answer any
/// more, the space is given back when it is there.
async fn reserve<T: Transport>(
    shared: &Arc<Shared<T>>,
    member: &Member,
    request: ReserveRequest,
) -> Result<Held<T>, ClientError> {
    let since = Since::now();
    let (owned, host) = (Arc::clone(shared), member.clone());
    let reserved = tokio::spawn(async move {
        let reserve = async move |mut calls: Calls| calls.reserve(request).await;
        let reserved = owned.call(&host, 0, reserve).await?;
        Ok(Held::new(owned, host, since, reserved))
    });
    let ended = |_| ClientError::call(member, Status::cancelled("the runtime has ended"));
    reserved.await.map_err(ended)?
}

/// Writes and commits what was reserved.
async fn fill<T: Transport>(
    held: &mut Held<T>,
    objects: &[Checked],
) -> Result<Vec<Outcome>, ClientError> {
    let mut outcomes: Vec<_> = held.items.iter().map(|item| item.outcome()).collect();
    let is_done = |&place: &usize| outcomes[place] == Outcome::Done;
    let done: Vec<_> = (0..objects.len()).filter(is_done).collect();
    if done.is_empty() {
        return Ok(outcomes);
    }
    let outgoing = done.iter().map(|&place| {
        let item = &held.items[place];
        Outgoing::new(item.put, item.extents.clone(), objects[place].bytes.clone())
    });
    let outgoing: Vec<_> = outgoing.collect();
    let bytes = outgoing.iter().map(|object| object.bytes.len()).sum();
    held.is_written_to = true;
    let (shared, member, space) = (&held.shared, &held.member, &held.space);
    let write = async |calls| {
        let written = shared.transport.write(calls, space, outgoing).await;
        written.map(tonic::Response::new)
    };
    shared.call(member, bytes, write).await?;
    held.is_written_to = false;
    let items = done.iter().map(|&place| commit_request::Item {
        put: held.items[place].put,
        checksum: Some(objects[place].checksum),
        is_compared: shared.options.verify_puts,
    });
    let request = CommitRequest {
        items: items.collect(),
        life: space.life,
    };
    let commit = async move |mut calls: Calls| calls.commit(request).await;
    let compared = if shared.options.verify_puts { bytes } else { 0 };
    let committed = shared.call(member, compared, commit).await?;
    let committed = outcomes_of(&committed, done.len());
    let committed = committed.map_err(|status| ClientError::call(member, status))?;
    for (place, outcome) in done.into_iter().zip(committed) {
        outcomes[place] = outcome;
    }
    Ok(outcomes)
}

/// Returns one outcome for each put, those that a newer host knows included.
fn outcomes_of(committed: &CommitResponse, puts: usize) -> Result<Vec<Outcome>, Status> {
    check_answer(committed.outcomes.len(), puts)?;
    let known = |&outcome| Outcome::try_from(outcome).unwrap_or_default();
    Ok(committed.outcomes.iter().map(known).collect())
}

/// Refuses an answer that says less or more than was asked.
fn check_answer(answered: usize, asked: usize) -> Result<(), Status> {
    match answered == asked {
        true => Ok(()),
        false => Err(Status::data_loss(format!(
            "the host answered for {answered} objects of {asked}"
        ))),
    }
}

/// Space that is given back when this is dropped, unless somebody may still write
/// to it: its put failed, or nobody waits for it any more. If the host does not hear
/// of it, the deadline does the same.
struct Held<T: Transport> {
    shared: Arc<Shared<T>>,
    member: Member,
    space: Space,
    /// What the host answered for each object; none once the space is left to what
    /// was put.
    items: Vec<reserve_response::Item>,
    /// Whether a write was begun, and has not ended well.
    is_written_to: bool,
}

impl<T: Transport> Held<T> {
    fn new(
        shared: Arc<Shared<T>>,
        member: Member,
        since: Since,
        reserved: ReserveResponse,
    ) -> Self {
        let granted = Duration::from_millis(reserved.granted_ms);
        let chunk_bytes_max = usize::try_from(reserved.chunk_bytes_max).unwrap_or(usize::MAX);
        let (life, epoch) = (reserved.life, reserved.epoch);
        Self {
            shared,
            member,
            space: Space::new(life, epoch, chunk_bytes_max, since, granted),
            items: reserved.items,
            is_written_to: false,
        }
    }

    /// Leaves the space to what was put.
    fn end(mut self) {
        self.items.clear();
    }
}

impl<T: Transport> Drop for Held<T> {
    fn drop(&mut self) {
        let puts = self.items.iter().map(|item| item.put);
        let puts: Vec<_> = puts.filter(|&put| put != 0).collect();
        // Without a runtime there is nobody left to tell the host.
        let (false, Ok(runtime)) = (puts.is_empty(), Handle::try_current()) else {
            return;
        };
        if self.is_written_to && self.shared.transport.may_write_late(&self.space) {
            return;
        }
        let (shared, member) = (Arc::clone(&self.shared), self.member.clone());
        let life = self.space.life;
        runtime.spawn(async move {
            let request = AbortRequest { puts, life };
            let abort = async move |mut calls: Calls| calls.abort(request).await;
            let _ = shared.call(&member, 0, abort).await;
        });
    }
}

impl Tally {
    fn add(&mut self, outcome: Result<Outcome, ClientError>) {
        match outcome {
            Ok(outcome @ (Outcome::Done | Outcome::Exists)) => {
                self.copies += 1;
                self.is_new |= outcome == Outcome::Done;
            }
            Ok(outcome) => self.add(Err(ClientError::Refused { outcome })),
            Err(error) => {
                self.is_passing |= error.is_passing();
                // The answer to a commit may be what did not come.
                self.is_new |= matches!(error, ClientError::Call { .. });
                self.error = Some(error);
            }
        }
    }

    fn result(self) -> Result<usize, ClientError> {
        match self.copies {
            0 => Err(self.error.unwrap_or(ClientError::NoMember)),
            copies => Ok(copies),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn each_put_has_the_outcome_in_its_place_or_none_counts() {
        let committed = |outcomes: &[i32]| CommitResponse {
            outcomes: outcomes.into(),
        };
        let (done, failed) = (Outcome::Done, Outcome::Failed);
        // One that this version does not know shifts none of those behind it.
        let answer = committed(&[done.into(), 9999, failed.into()]);
        let expected = vec![done, Outcome::Unspecified, failed];
        assert_eq!(outcomes_of(&answer, 3).unwrap(), expected);
        for puts in [2, 4] {
            let refused = outcomes_of(&answer, puts).unwrap_err();
            assert!(
                refused.message().contains(&format!("3 objects of {puts}")),
                "{refused}"
            );
        }
    }
}
