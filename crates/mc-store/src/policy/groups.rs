//! [`Groups`]: the policy of a store, and beside it the objects of each tenant and rank by themselves.
//!
//! As long as no object has a tenant or a rank of its own, there is the policy and nothing else. From
//! the first one on, every object is also in the order of its group, so that the next victim of a group
//! is found at once, however many objects of others the policy would name before. Within a group that
//! is the one used longest ago, a prompt's end before its beginning.
//!
//! Objects that were there before join when they are used, hidden or shown, each by itself, so that no
//! call pays for all. Until then they are older than whatever is in a group: the policy names them. Where
//! it names too many others first, those leave that are worth least of some of them.

use std::collections::BTreeMap;
use std::ops::ControlFlow;

use smallvec::SmallVec;

use super::table::Table;
use super::{Chained, Facts, Leaving, ObjectId, Parent, Policy, TailFirst};
use crate::id_set::IdSet;

/// How soon an object leaves: those of a lower rank before others, whatever the policy says.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) struct Rank {
    /// It is kept for some time.
    pub(crate) is_kept: bool,
    pub(crate) priority: i8,
}

/// Which objects are of one group. Ordered by rank first.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) struct GroupKey {
    pub(crate) rank: Rank,
    /// The number of the tenant; 0 for none.
    pub(crate) tenant: u32,
}

/// Objects that have not joined which are weighed against each other at once.
const OTHERS_AT_ONCE: usize = 64;

/// A policy and the orders of groups.
#[derive(Debug)]
pub(crate) struct Groups {
    policy: Box<dyn Policy>,
    /// Empty iff all objects are of the group that is the default.
    groups: Vec<Group>,
    /// Places among the groups, by rank.
    by_key: BTreeMap<GroupKey, u32>,
    members: Table<Member>,
    /// All objects, members or not.
    len: usize,
    hidden: IdSet,
    /// Once there are groups, those that are no members and not hidden: ever fewer.
    others: IdSet,
    /// No other has a smaller id.
    others_from: ObjectId,
}

#[derive(Debug)]
struct Group {
    key: GroupKey,
    order: Chained<TailFirst>,
    /// The objects by the small numbers that the order knows them by.
    objects: Vec<ObjectId>,
    vacant: Vec<u32>,
}

/// Where an object is among the groups.
#[derive(Clone, Copy, Debug, Default)]
struct Member {
    group: u32,
    local: u32,
}

impl Group {
    fn new(key: GroupKey) -> Self {
        Self {
            key,
            order: Chained::new(TailFirst::new()),
            objects: Vec::new(),
            vacant: Vec::new(),
        }
    }

    fn insert(&mut self, id: ObjectId, facts: &Facts) -> u32 {
        let local = self.vacant.pop().unwrap_or_else(|| {
            self.objects.push(id);
            u32::try_from(self.objects.len() - 1).expect("no more than ids")
        });
        self.objects[local as usize] = id;
        self.order.insert(ObjectId(local), facts);
        local
    }

    fn remove(&mut self, local: u32, key_hash: u64, why: Leaving) {
        self.order.remove(ObjectId(local), key_hash, why);
        self.vacant.push(local);
        if self.vacant.len() == self.objects.len() {
            *self = Self::new(self.key);
        }
    }
}

impl Groups {
    pub(crate) fn new(policy: Box<dyn Policy>) -> Self {
        Self {
            policy,
            groups: Vec::new(),
            by_key: BTreeMap::new(),
            members: Table::new(),
            len: 0,
            hidden: IdSet::default(),
            others: IdSet::default(),
            others_from: ObjectId(0),
        }
    }

    /// Returns whether there are groups beside the default one.
    pub(crate) fn has_several(&self) -> bool {
        !self.groups.is_empty()
    }

    /// Returns the groups that have objects, those of the lowest rank first.
    pub(crate) fn keys(&self) -> impl Iterator<Item = GroupKey> {
        let default = (!self.has_several()).then(GroupKey::default);
        let has_others = self.len > self.members.len();
        let groups = self.by_key.iter().filter(move |(key, place)| {
            let group = &self.groups[**place as usize];
            let has_members = group.vacant.len() < group.objects.len();
            has_members || has_others && **key == GroupKey::default()
        });
        default.into_iter().chain(groups.map(|(key, _)| *key))
    }

    pub(crate) fn key(&self, id: ObjectId) -> GroupKey {
        let member = self.members.get(id.0);
        member.map_or(GroupKey::default(), |member| {
            self.groups[member.group as usize].key
        })
    }

    /// Begins to have groups; all objects so far, which are `known`, are of the default one.
    pub(crate) fn begin(&mut self, known: &IdSet) {
        self.place(GroupKey::default());
        self.others = known.without(&self.hidden);
    }

    pub(crate) fn insert(&mut self, id: ObjectId, facts: &Facts, key: GroupKey) {
        self.policy.insert(id, facts);
        self.len += 1;
        if self.has_several() {
            self.join(id, facts, key);
        }
    }

    /// Moves an object to another group, as the last one used of it.
    pub(crate) fn regroup(&mut self, id: ObjectId, key: GroupKey, key_hash: u64) {
        if let Some(member) = self.members.get(id.0) {
            let before = &mut self.groups[member.group as usize];
            before.remove(member.local, key_hash, Leaving::Removed);
        }
        let facts = Facts {
            key_hash,
            ..Facts::default()
        };
        self.join(id, &facts, key);
    }

    /// Takes note of uses, the earliest first.
    pub(crate) fn used_all(&mut self, ids: &[ObjectId]) {
        self.policy.used_all(ids);
        for id in ids {
            if let Some((order, local)) = self.in_group(*id) {
                order.used(local);
            }
        }
    }

    pub(crate) fn remove(&mut self, id: ObjectId, key_hash: u64, why: Leaving) {
        self.policy.remove(id, key_hash, why);
        self.len -= 1;
        self.hidden.remove(id);
        self.others.remove(id);
        if self.len == 0 {
            (self.hidden, self.others) = Default::default();
        }
        if let Some(member) = self.members.remove(id.0) {
            self.groups[member.group as usize].remove(member.local, key_hash, why);
        }
    }

    pub(crate) fn hide(&mut self, id: ObjectId) {
        self.policy.hide(id);
        self.hidden.insert(id);
        if let Some((order, local)) = self.in_group(id) {
            order.hide(local);
        }
    }

    pub(crate) fn show(&mut self, id: ObjectId) {
        self.policy.show(id);
        self.hidden.remove(id);
        if let Some((order, local)) = self.in_group(id) {
            order.show(local);
        }
    }

    /// Visits the objects that may leave in the policy's order, with their groups, and whether they stay
    /// because of one that is spared.
    pub(crate) fn victims(
        &mut self,
        spared: Option<ObjectId>,
        visit: &mut dyn FnMut(ObjectId, GroupKey, bool) -> ControlFlow<()>,
    ) {
        let Self {
            policy,
            groups,
            members,
            ..
        } = self;
        let mut visit = |id: ObjectId, stays| {
            let member = members.get(id.0);
            let key = member.map(|member| groups[member.group as usize].key);
            visit(id, key.unwrap_or_default(), stays)
        };
        match spared {
            Some(spared) => policy.victims_beside(spared, &mut visit),
            None => policy.victims(&mut |id| visit(id, false)),
        }
    }

    /// Visits the objects of one group, and says whether they stay because of one that is spared.
    pub(crate) fn victims_of(
        &mut self,
        key: GroupKey,
        spared: Option<ObjectId>,
        visit: &mut dyn FnMut(ObjectId, bool) -> ControlFlow<()>,
    ) {
        let visit_other = &mut |id| visit(id, Some(id) == spared);
        if key == GroupKey::default() && self.visit_others(visit_other).is_break() {
            return;
        }
        let Some(&place) = self.by_key.get(&key) else {
            return;
        };
        let spared = spared.and_then(|id| self.members.get(id.0));
        let spared = spared.filter(|member| member.group == place);
        let Group { order, objects, .. } = &mut self.groups[place as usize];
        let mut visit = |local: ObjectId, stays| visit(objects[local.0 as usize], stays);
        match spared {
            Some(spared) => order.victims_beside(ObjectId(spared.local), &mut visit),
            None => order.victims(&mut |local| visit(local, false)),
        }
    }

    /// Visits some of those that have not joined, the least worth first.
    fn visit_others(
        &mut self,
        visit: &mut dyn FnMut(ObjectId) -> ControlFlow<()>,
    ) -> ControlFlow<()> {
        if self.others.is_empty() {
            return ControlFlow::Continue(());
        }
        let all = self.others.iter_from(self.others_from);
        let weighed = all.map(|id| (self.policy.worth(id), id));
        let mut some: Vec<_> = weighed.take(OTHERS_AT_ONCE).collect();
        // What is passed over here is passed over once, as none is added.
        self.others_from = some.first().map_or(self.others_from, |(_, id)| *id);
        some.sort_by(|(a, _), (b, _)| a.total_cmp(b));
        some.into_iter().try_for_each(|(_, id)| visit(id))
    }

    pub(crate) fn worth(&self, id: ObjectId) -> f64 {
        self.policy.worth(id)
    }

    /// Returns the object before another in its prompt, if it is stored.
    pub(crate) fn parent(&self, id: ObjectId) -> Option<ObjectId> {
        self.policy.parent(id)
    }

    /// Returns some of the objects behind another in their prompts.
    pub(crate) fn children(&self, id: ObjectId, count_max: usize) -> SmallVec<[ObjectId; 2]> {
        let mut some = SmallVec::new();
        self.policy.children(id, &mut |child| {
            some.push(child);
            match some.len() < count_max {
                true => ControlFlow::Continue(()),
                false => ControlFlow::Break(()),
            }
        });
        some
    }

    /// Returns the order of an object's group, if there are several, and what the order knows the object
    /// by.
    fn in_group(&mut self, id: ObjectId) -> Option<(&mut Chained<TailFirst>, ObjectId)> {
        if !self.has_several() {
            return None;
        }
        let member = self.members.get(id.0);
        let member =
            member.unwrap_or_else(|| self.join(id, &Facts::default(), GroupKey::default()));
        let order = &mut self.groups[member.group as usize].order;
        Some((order, ObjectId(member.local)))
    }

    /// Returns the place of a group, which is made if it is new.
    fn place(&mut self, key: GroupKey) -> u32 {
        let groups = &mut self.groups;
        *self.by_key.entry(key).or_insert_with(|| {
            groups.push(Group::new(key));
            u32::try_from(groups.len() - 1).expect("no more groups than tenants and ranks")
        })
    }

    /// Makes an object the last one used of a group.
    fn join(&mut self, id: ObjectId, facts: &Facts, key: GroupKey) -> Member {
        let place = self.place(key);
        let parent = match facts.parent {
            Parent::Stored(parent) => self.members.get(parent.0),
            Parent::None | Parent::Gone(_) => None,
        };
        // What comes before in another group is no part of this order.
        let parent = parent.filter(|parent| parent.group == place);
        let parent = parent.map_or(Parent::None, |parent| {
            Parent::Stored(ObjectId(parent.local))
        });
        let facts = Facts { parent, ..*facts };
        let group = &mut self.groups[place as usize];
        let local = group.insert(id, &facts);
        if self.hidden.has(id) {
            group.order.hide(ObjectId(local));
        }
        let group = place;
        let member = Member { group, local };
        self.members.insert(id.0, member);
        self.others.remove(id);
        member
    }
}
