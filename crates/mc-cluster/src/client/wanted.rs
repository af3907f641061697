//! A key on its way to its bytes.

use bytes::Bytes;

use super::{
    hosts::{Routes, STAND_INS_MAX},
    transport::Space,
};
use crate::{members::Member, wire::Extent};

pub(super) struct Wanted<'a> {
    pub(super) key: Bytes,
    /// Who should have it.
    pub(super) owner: Option<&'a Member>,
    /// Who may have it, and was not found to lack it: the first one is asked
    /// next, or has it.
    candidates: Vec<Candidate<'a>>,
    routes: &'a Routes,
    /// How many of the members, in the order in which they own the key, are or
    /// were candidates; and how many may become candidates.
    ranks: usize,
    ranks_max: usize,
    state: State,
}

#[derive(Clone, Copy)]
struct Candidate<'a> {
    member: &'a Member,
    is_owner: bool,
}

enum State {
    /// A candidate has to be asked, if there is one.
    Sought,
    /// The first candidate has it.
    Found(Found),
    /// It came from the first candidate.
    Read(Bytes),
}

/// Where an object is.
pub(super) struct Found {
    pub(super) space: Space,
    pub(super) lease: u64,
    pub(super) object: u32,
    pub(super) bytes: usize,
    pub(super) checksum: Option<u32>,
    pub(super) extents: Vec<Extent>,
}

impl<'a> Wanted<'a> {
    pub(super) fn new(key: Bytes, routes: &'a Routes, replicas: usize) -> Self {
        let owners = replicas.min(routes.len());
        let candidates = routes.candidates(&key, replicas).into_iter().enumerate();
        let candidates = candidates.map(|(place, member)| Candidate {
            member,
            is_owner: place < owners,
        });
        let candidates: Vec<_> = candidates.collect();
        Self {
            key,
            owner: candidates.first().map(|first| first.member),
            candidates,
            routes,
            ranks: owners,
            ranks_max: replicas + STAND_INS_MAX,
            state: State::Sought,
        }
    }

    /// Returns who is asked next, or has it.
    pub(super) fn candidate(&self) -> Option<&'a Member> {
        self.candidates.first().map(|first| first.member)
    }

    /// Returns who is asked next if it is not known where the object is.
    pub(super) fn to_ask(&self) -> Option<&'a Member> {
        match self.state {
            State::Sought => self.candidate(),
            State::Found(_) | State::Read(_) => None,
        }
    }

    /// Returns another owner, who may have it as well.
    pub(super) fn other_owner(&self) -> Option<&'a Member> {
        let second = self.candidates.get(1)?;
        second.is_owner.then_some(second.member)
    }

    pub(super) fn has_many_candidates(&self) -> bool {
        self.candidates.len() > 1
    }

    pub(super) fn is_missing(&self) -> bool {
        matches!(self.state, State::Sought) && self.candidates.is_empty()
    }

    /// Says whether the object came from a host that is no owner any more.
    pub(super) fn is_from_former(&self) -> bool {
        self.candidates.first().is_some_and(|first| !first.is_owner)
    }

    /// Takes note that a member has the object, unless another was before it.
    pub(super) fn note_found(&mut self, member: &Member, found: Found) {
        if matches!(self.state, State::Sought) {
            self.put_first(member);
            self.state = State::Found(found);
        }
    }

    /// Takes note of the bytes that came from a member.
    pub(super) fn note_read(&mut self, member: &Member, bytes: Bytes) {
        self.put_first(member);
        self.state = State::Read(bytes);
    }

    /// Takes note that a member has no object, or no good one.
    pub(super) fn note_missing(&mut self, member: &Member) {
        self.candidates
            .retain(|candidate| candidate.member.name != member.name);
    }

    /// Makes the next owner a candidate as well: a member that should have the
    /// object has taken over its keys a short while ago.
    pub(super) fn seek_further(&mut self) {
        if self.ranks == self.ranks_max {
            return;
        }
        self.ranks += 1;
        let ranked = self.routes.owners(&self.key, self.ranks);
        let Some(&next) = ranked.get(self.ranks - 1) else {
            return;
        };
        let mut candidates = self.candidates.iter();
        if candidates.all(|candidate| candidate.member.name != next.name) {
            self.candidates.push(Candidate {
                member: next,
                is_owner: false,
            });
        }
    }

    /// Takes out where the object is, so that it is sought again unless it is
    /// read.
    pub(super) fn take_found(&mut self) -> Option<Found> {
        match std::mem::replace(&mut self.state, State::Sought) {
            State::Found(found) => Some(found),
            state => {
                self.state = state;
                None
            }
        }
    }

    pub(super) fn read(&self) -> Option<&Bytes> {
        match &self.state {
            State::Read(bytes) => Some(bytes),
            State::Sought | State::Found(_) => None,
        }
    }

    pub(super) fn into_bytes(self) -> Option<Bytes> {
        match self.state {
            State::Read(bytes) => Some(bytes),
            State::Sought | State::Found(_) => None,
        }
    }

    fn put_first(&mut self, member: &Member) {
        let mut candidates = self.candidates.iter();
        let place = candidates.position(|candidate| candidate.member.name == member.name);
        if let Some(place) = place {
            self.candidates[..=place].rotate_right(1);
        }
    }
}

impl Found {
    /// Says whether bytes are those that were committed.
    pub(super) fn fits(&self, bytes: &Bytes) -> bool {
        let is_right = |sum| sum == crc32fast::hash(bytes);
        bytes.len() == self.bytes && self.checksum.is_none_or(is_right)
    }
}
