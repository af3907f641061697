//! Where keys are: lookups on all hosts at once, and the leases that they bring.

use std::{collections::BTreeMap, sync::Arc, time::Duration};

use bytes::Bytes;
use futures_util::future::join_all;
use tokio::runtime::Handle;
use tonic::Status;

use super::{
    ClientError, Shared, count,
    hedge::{Second, hedge},
    host::Calls,
    transport::{Since, Space, Transport},
    wanted::{Found, Wanted},
};
use crate::{
    members::Member,
    time::millis,
    wire::{LookupRequest, LookupResponse, ReleaseRequest, lookup_response},
};

/// Leases that were taken. They are given back when this is dropped; if a host
/// does not hear of it, they end by themselves.
pub(super) struct Leases<T: Transport> {
    shared: Arc<Shared<T>>,
    /// By the host and its life that granted them.
    taken: BTreeMap<(String, u64), (Member, Vec<u64>)>,
}

/// Keys by the host that is asked for them.
type ByHost<'a> = BTreeMap<&'a str, (&'a Member, Vec<usize>)>;

/// What one host answered for keys.
pub(super) struct LookedUp<'a, T: Transport> {
    member: &'a Member,
    indices: Vec<usize>,
    /// One for each batch, up to the first that ended early.
    answers: Answers,
    /// Before the first was asked for.
    since: Since,
    /// Whether keys behind one that is missing were answered for.
    all_keys: bool,
    /// Those that the answers grant, so that they are given back whatever becomes
    /// of the answers.
    leases: Leases<T>,
}

type Answers = Vec<Result<LookupResponse, ClientError>>;

/// Asks for keys until each is found, or nobody is left who may have it.
pub(super) async fn locate<T: Transport>(
    shared: &Arc<Shared<T>>,
    wanted: &mut [Wanted<'_>],
    leases: &mut Leases<T>,
) -> Result<(), ClientError> {
    loop {
        // What is behind a key that is missing is of no use.
        let missing = wanted.iter().position(Wanted::is_missing);
        let indices = 0..missing.unwrap_or(wanted.len());
        let groups = by_host(indices, |index| wanted[index].to_ask());
        if groups.is_empty() {
            return Ok(());
        }
        let groups = groups.into_values();
        let lookups = groups.map(|(member, keys)| lookup_hedged(shared, member, keys, wanted));
        for looked_up in join_all(lookups).await.into_iter().flatten() {
            note(looked_up, wanted, leases)?;
        }
    }
}

/// Groups keys by the host that is to be asked for them, if there is one.
pub(super) fn by_host<'a>(
    indices: impl IntoIterator<Item = usize>,
    host: impl Fn(usize) -> Option<&'a Member>,
) -> ByHost<'a> {
    let mut groups = ByHost::new();
    for index in indices {
        if let Some(member) = host(index) {
            let group = groups.entry(&member.name).or_insert((member, Vec::new()));
            group.1.push(index);
        }
    }
    groups
}

/// Looks keys up on one host, and on their other owners if that takes longer
/// than the options want.
async fn lookup_hedged<'a, T: Transport>(
    shared: &Arc<Shared<T>>,
    member: &'a Member,
    indices: Vec<usize>,
    wanted: &[Wanted<'a>],
) -> Vec<LookedUp<'a, T>> {
    let others = by_host(indices.iter().copied(), |index| wanted[index].other_owner());
    let Some(delay) = shared.options.hedge.filter(|_| !others.is_empty()) else {
        return vec![lookup(shared, member, indices, wanted).await];
    };
    let keys = indices.len();
    let first = async { vec![lookup(shared, member, indices, wanted).await] };
    let second = async {
        count(&shared.counts.hedged, 1);
        let others = others.into_values();
        join_all(others.map(|(other, keys)| lookup(shared, other, keys, wanted))).await
    };
    let has_all =
        |all: &Vec<LookedUp<'_, T>>| all.iter().map(LookedUp::found).sum::<usize>() == keys;
    let mut hedged = hedge(delay, first, second, &has_all).await;
    if hedged.second == Second::Won {
        count(&shared.counts.hedges_won, 1);
    }
    if hedged.results.iter().any(&has_all) {
        // What became of the others does not matter, were it a refusal.
        hedged.results.retain(has_all);
    }
    hedged.results.into_iter().flatten().collect()
}

/// Looks keys up on one host, in batches, until one ends early. It does so in a task
/// of its own: if nobody waits for the answers any more, it is still noted whether
/// there are any, and leases are given back.
pub(super) async fn lookup<'a, T: Transport>(
    shared: &Arc<Shared<T>>,
    member: &'a Member,
    indices: Vec<usize>,
    wanted: &[Wanted<'a>],
) -> LookedUp<'a, T> {
    let all_keys = wants_all_keys(wanted);
    let requests = requests(shared, &indices, wanted, all_keys);
    let since = Since::now();
    let (owned, host) = (Arc::clone(shared), member.clone());
    let asked = tokio::spawn(async move {
        let answers = ask(&owned, &host, requests).await;
        let mut leases = Leases::new(&owned);
        let granted = answers.iter().flatten();
        granted.for_each(|answer| leases.add(&host, answer));
        (answers, leases)
    });
    // It ends without answers where the runtime does.
    let answered = asked.await;
    let (answers, leases) = answered.unwrap_or_else(|_| (Vec::new(), Leases::new(shared)));
    LookedUp {
        all_keys,
        answers,
        since,
        leases,
        member,
        indices,
    }
}

/// Says whether keys are wanted behind one that a host lacks: only where no other
/// host may have it, its absence ends the prefix.
fn wants_all_keys(wanted: &[Wanted<'_>]) -> bool {
    let mut wanted = wanted.iter();
    wanted.any(|one| one.has_many_candidates() || one.is_from_former())
}

fn requests<T>(
    shared: &Shared<T>,
    indices: &[usize],
    wanted: &[Wanted<'_>],
    all_keys: bool,
) -> Vec<LookupRequest> {
    let batches = indices.chunks(shared.options.batch.max(1));
    let requests = batches.map(|batch| LookupRequest {
        keys: batch
            .iter()
            .map(|&index| wanted[index].key.clone())
            .collect::<Vec<Bytes>>(),
        lease_ms: millis(shared.options.lease).max(1),
        all_keys,
    });
    requests.collect()
}

async fn ask<T>(shared: &Shared<T>, member: &Member, requests: Vec<LookupRequest>) -> Answers {
    let mut answers = Vec::new();
    for request in requests {
        let keys = request.keys.len();
        let look = async move |mut calls: Calls| calls.lookup(request).await;
        let answer = shared.call(member, 0, look).await;
        let answer = answer.and_then(|answer| match check_answer(&answer, keys) {
            Ok(()) => Ok(answer),
            Err(status) => Err(ClientError::call(member, status)),
        });
        let is_whole = |answer: &LookupResponse| answer.objects.len() == keys;
        let goes_on = answer.as_ref().is_ok_and(is_whole);
        answers.push(answer);
        if !goes_on {
            break;
        }
    }
    answers
}

/// Refuses an answer with objects of keys that were not asked for: they would be
/// taken for those of the next batch.
fn check_answer(answer: &LookupResponse, keys: usize) -> Result<(), Status> {
    let objects = answer.objects.len();
    match objects <= keys {
        true => Ok(()),
        false => Err(Status::data_loss(format!(
            "the host answered with {objects} objects for {keys} keys"
        ))),
    }
}

/// Takes note of what a host has and lacks.
fn note<T: Transport>(
    looked_up: LookedUp<'_, T>,
    wanted: &mut [Wanted<'_>],
    leases: &mut Leases<T>,
) -> Result<(), ClientError> {
    let member = looked_up.member;
    let is_settled = looked_up.is_settled();
    for (index, found) in looked_up.into_found(leases)? {
        match found {
            Some(found) => wanted[index].note_found(member, found),
            None => {
                wanted[index].note_missing(member);
                if !is_settled {
                    wanted[index].seek_further();
                }
            }
        }
    }
    Ok(())
}

impl<'a, T: Transport> LookedUp<'a, T> {
    pub(super) fn member(&self) -> &'a Member {
        self.member
    }

    /// Returns how many of the keys the host has.
    fn found(&self) -> usize {
        let answers = self.answers.iter().flatten();
        let objects = answers.flat_map(|answer| &answer.objects);
        objects.filter(|object| !object.is_missing).count()
    }

    /// Says whether the host has all that was put under its keys since others had
    /// them, as far as that is still looked for.
    fn is_settled(&self) -> bool {
        let former_for = millis(self.leases.shared.options.former_for);
        let mut answers = self.answers.iter().flatten();
        answers.all(|answer| answer.settled_ms.is_none_or(|time| time >= former_for))
    }

    /// Returns where each key is, if the host has it; leases are kept with the
    /// others. Of a host that is not settled, keys that it did not answer for are
    /// left out: another may have the one before them.
    pub(super) fn into_found(
        self,
        leases: &mut Leases<T>,
    ) -> Result<Vec<(usize, Option<Found>)>, ClientError> {
        let bytes_max = leases.shared.options.object_bytes_max;
        let is_silent = self.answers.iter().any(Result::is_err);
        let behind = match self.is_settled() || self.all_keys || is_silent {
            true => usize::MAX,
            false => 1,
        };
        leases.extend(self.leases);
        let since = self.since;
        let mut keys = self.indices.into_iter();
        let mut all = Vec::with_capacity(keys.len());
        for answer in self.answers {
            let answer = match answer {
                Err(error) if !error.is_passing() => return Err(error),
                Err(_) => break,
                Ok(answer) => answer,
            };
            let granted = Duration::from_millis(answer.granted_ms);
            let space = Space::new(answer.life, answer.epoch, usize::MAX, since, granted);
            for ((number, object), index) in (0..).zip(answer.objects).zip(&mut keys) {
                let found = found(object, number, answer.lease, space);
                let is_small = |found: &Found| found.bytes <= bytes_max;
                all.push((index, found.filter(is_small)));
            }
        }
        all.extend(keys.take(behind).map(|index| (index, None)));
        Ok(all)
    }
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

impl<T: Transport> Leases<T> {
    pub(super) fn new(shared: &Arc<Shared<T>>) -> Self {
        Self {
            shared: Arc::clone(shared),
            taken: BTreeMap::new(),
        }
    }

    fn add(&mut self, member: &Member, answer: &LookupResponse) {
        if answer.lease != 0 {
            let place = (member.name.clone(), answer.life);
            let taken = self.taken.entry(place);
            let taken = taken.or_insert_with(|| (member.clone(), Vec::new()));
            taken.1.push(answer.lease);
        }
    }

    /// Takes over what others took.
    pub(super) fn extend(&mut self, mut other: Self) {
        for (place, (member, leases)) in std::mem::take(&mut other.taken) {
            let taken = self.taken.entry(place).or_insert((member, Vec::new()));
            taken.1.extend(leases);
        }
    }
}

impl<T: Transport> Drop for Leases<T> {
    fn drop(&mut self) {
        // Without a runtime there is nobody left to tell the hosts.
        let Ok(runtime) = Handle::try_current() else {
            return;
        };
        for ((_, life), (member, leases)) in std::mem::take(&mut self.taken) {
            let shared = Arc::clone(&self.shared);
            runtime.spawn(async move {
                for leases in leases.chunks(shared.options.batch.max(1)) {
                    let leases = leases.to_vec();
                    let request = ReleaseRequest { leases, life };
                    let release = async move |mut calls: Calls| calls.release(request).await;
                    let _ = shared.call(&member, 0, release).await;
                }
            });
        }
    }
}
