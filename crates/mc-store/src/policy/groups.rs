//! [`Groups`]: the policy of a store, and beside it the objects of each tenant and rank by themselves.
//!
//! As long as no object has a tenant or a rank of its own, there is the policy and nothing else. From
//! the first one on, every object is also in the order of its group, so that the next victim of a group
//! is found at once, however many objects of others the policy would name before. Within a group that
//! is the one used longest ago, a prompt's end before its beginning.

use std::collections::BTreeMap;
use std::ops::ControlFlow;

use super::table::Table;
use super::{Chained, Facts, Leaving, ObjectId, Parent, Policy, TailFirst};

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

/// A policy and the orders of groups.
#[derive(Debug)]
pub(crate) struct Groups {
    policy: Box<dyn Policy>,
    /// Empty iff all objects are of the group that is the default.
    groups: Vec<Group>,
    /// Places among the groups, by rank.
    by_key: BTreeMap<GroupKey, u32>,
    members: Table<Member>,
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
    is_hidden: bool,
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
        }
    }

    /// Returns whether there are groups beside the default one.
    pub(crate) fn has_several(&self) -> bool {
        !self.groups.is_empty()
    }

    /// Returns the groups that have objects, those of the lowest rank first.
    pub(crate) fn keys(&self) -> impl Iterator<Item = GroupKey> {
        let default = (!self.has_several()).then(GroupKey::default);
        let groups = self.by_key.iter().filter(|(_, place)| {
            let group = &self.groups[**place as usize];
            group.vacant.len() < group.objects.len()
        });
        default.into_iter().chain(groups.map(|(key, _)| *key))
    }

    pub(crate) fn key(&self, id: ObjectId) -> GroupKey {
        let member = self.members.get(id.0);
        member.map_or(GroupKey::default(), |member| {
            self.groups[member.group as usize].key
        })
    }

    /// Begins to have groups: `known` are the objects so far, all of the default one.
    pub(crate) fn begin(&mut self, known: impl Iterator<Item = ObjectId>) {
        let mut visible = Vec::new();
        self.policy.victims(&mut |id| {
            visible.push(id);
            ControlFlow::Continue(())
        });
        let group = self.place(GroupKey::default());
        for id in visible {
            self.join(id, group, &Facts::default());
        }
        for id in known {
            if self.members.get(id.0).is_none() {
                self.join(id, group, &Facts::default());
                self.hide_in_group(id);
            }
        }
    }

    pub(crate) fn insert(&mut self, id: ObjectId, facts: &Facts, key: GroupKey) {
        self.policy.insert(id, facts);
        if self.has_several() {
            let group = self.place(key);
            self.join(id, group, facts);
        }
    }

    /// Moves an object to another group, as the last one used of it.
    pub(crate) fn regroup(&mut self, id: ObjectId, key: GroupKey, key_hash: u64) {
        let Some(member) = self.members.get(id.0) else {
            return;
        };
        let before = &mut self.groups[member.group as usize];
        before.remove(member.local, key_hash, Leaving::Removed);
        let group = self.place(key);
        let facts = Facts {
            key_hash,
            ..Facts::default()
        };
        self.join(id, group, &facts);
        if member.is_hidden {
            self.hide_in_group(id);
        }
    }

    /// Takes note of uses, the earliest first.
    pub(crate) fn used_all(&mut self, ids: &[ObjectId]) {
        self.policy.used_all(ids);
        if !self.has_several() {
            return;
        }
        for id in ids {
            if let Some((group, member)) = self.member(*id) {
                group.order.used(ObjectId(member.local));
            }
        }
    }

    pub(crate) fn remove(&mut self, id: ObjectId, key_hash: u64, why: Leaving) {
        self.policy.remove(id, key_hash, why);
        if let Some((group, member)) = self.member(id) {
            group.remove(member.local, key_hash, why);
            self.members.remove(id.0);
        }
    }

    pub(crate) fn hide(&mut self, id: ObjectId) {
        self.policy.hide(id);
        self.hide_in_group(id);
    }

    pub(crate) fn show(&mut self, id: ObjectId) {
        self.policy.show(id);
        if let Some((group, member)) = self.member(id) {
            group.order.show(ObjectId(member.local));
            let is_hidden = false;
            self.members.insert(
                id.0,
                Member {
                    is_hidden,
                    ..member
                },
            );
        }
    }

    /// Visits the objects that may leave in the policy's order, with their groups.
    pub(crate) fn victims(&mut self, visit: &mut dyn FnMut(ObjectId, GroupKey) -> ControlFlow<()>) {
        let Self {
            policy,
            groups,
            members,
            ..
        } = self;
        policy.victims(&mut |id| {
            let member = members.get(id.0);
            let key = member.map(|member| groups[member.group as usize].key);
            visit(id, key.unwrap_or_default())
        });
    }

    /// Visits the objects of one group.
    pub(crate) fn victims_of(
        &mut self,
        key: GroupKey,
        visit: &mut dyn FnMut(ObjectId) -> ControlFlow<()>,
    ) {
        let place = self.by_key.get(&key);
        let Some(group) = place.and_then(|&place| self.groups.get_mut(place as usize)) else {
            return;
        };
        let objects = &group.objects;
        group
            .order
            .victims(&mut |local| visit(objects[local.0 as usize]));
    }

    pub(crate) fn worth(&self, id: ObjectId) -> f64 {
        self.policy.worth(id)
    }

    /// Returns the object before another in its prompt, if it is stored.
    pub(crate) fn parent(&self, id: ObjectId) -> Option<ObjectId> {
        self.policy.parent(id)
    }

    fn member(&mut self, id: ObjectId) -> Option<(&mut Group, Member)> {
        let member = self.members.get(id.0)?;
        Some((&mut self.groups[member.group as usize], member))
    }

    fn hide_in_group(&mut self, id: ObjectId) {
        if let Some((group, member)) = self.member(id) {
            group.order.hide(ObjectId(member.local));
            let is_hidden = true;
            self.members.insert(
                id.0,
                Member {
                    is_hidden,
                    ..member
                },
            );
        }
    }

    /// Returns the place of a group, which is made if it is new.
    fn place(&mut self, key: GroupKey) -> u32 {
        let groups = &mut self.groups;
        *self.by_key.entry(key).or_insert_with(|| {
            groups.push(Group::new(key));
            u32::try_from(groups.len() - 1).expect("no more groups than tenants and ranks")
        })
    }

    fn join(&mut self, id: ObjectId, place: u32, facts: &Facts) {
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
        let local = self.groups[place as usize].insert(id, &facts);
        let member = Member {
            group: place,
            local,
            is_hidden: false,
        };
        self.members.insert(id.0, member);
    }
}
