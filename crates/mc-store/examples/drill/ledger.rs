//! What should be there, by what the processes said.

use std::{
    collections::{BTreeMap, BTreeSet},
    mem,
    time::Duration,
};

use mc_store::ObjectStore;

use crate::{
    OBJECT_BYTES_MAX, Outcome,
    life::{is_quiet, threads},
    told::{Stored, Told},
};

/// The most bytes that one call may evict: what it places, around its place, and a step to a watermark.
const EVICTED_BYTES_MAX: u64 = 16 * OBJECT_BYTES_MAX;

/// What the processes said so far.
#[derive(Default)]
pub(crate) struct Ledger {
    objects: BTreeMap<u64, Stored>,
    pinned: BTreeSet<u64>,
    /// The steps of threads that are not over.
    begun: BTreeMap<u64, Told>,
    /// Objects that left without being removed.
    pub(crate) evicted: u64,
}

/// What was found after all kills.
#[derive(Default)]
pub(crate) struct Found {
    pub(crate) checked: u64,
    /// Missing, where the put that was not over may have evicted them.
    pub(crate) evicted_by_put: u64,
    /// Missing, where the segment that was being emptied may have taken their places.
    pub(crate) evicted_by_move: u64,
    /// Missing, where another thread may have evicted them at any time.
    pub(crate) evicted_by_others: u64,
    pub(crate) opening: Duration,
}

impl Ledger {
    pub(crate) fn note(&mut self, thread: u64, told: Told) {
        let begun = self.begun.get(&thread).copied();
        match told {
            Told::Put(..) | Told::Remove(_) | Told::Move => drop(self.begun.insert(thread, told)),
            Told::Committed => {
                if let Some(Told::Put(key, stored)) = begun {
                    self.objects.insert(key, stored);
                }
            }
            Told::Left(key) => {
                self.evicted += u64::from(!matches!(begun, Some(Told::Remove(_))));
                self.objects.remove(&key);
                self.pinned.remove(&key);
            }
            Told::Pinned(key) => drop(self.pinned.insert(key)),
            Told::Unpinned(key) => drop(self.pinned.remove(&key)),
            Told::Done => drop(self.begun.remove(&thread)),
        }
    }

    /// Compares a store with what was told, and goes on from what there is.
    pub(crate) fn compare(
        &mut self,
        store: &ObjectStore,
        life: u64,
        found: &mut Found,
    ) -> Outcome<()> {
        store.check_invariants();
        let begun: Vec<Told> = mem::take(&mut self.begun).into_values().collect();
        let is_being_removed = |key| begun.contains(&Told::Remove(key));
        let is_alone = threads(life) == 1;
        let evicts = |told: &Told| matches!(told, Told::Put(..) | Told::Move);
        let may_evict = !is_quiet(life) && (!is_alone || begun.iter().any(evicts));
        let mut evicted_bytes = 0;
        let keys: Vec<u64> = self.objects.keys().copied().collect();
        for key in keys {
            let stored = self.objects[&key];
            match store.get(&key.to_be_bytes()) {
                Some(lease) if stored.is_whole(key, lease.replicas()) => found.checked += 1,
                Some(_) => return Err(format!("object {key} has other bytes").into()),
                None if is_being_removed(key) => drop(self.objects.remove(&key)),
                None if may_evict && !self.pinned.contains(&key) => {
                    evicted_bytes += stored.size;
                    match begun[..] {
                        [Told::Put(..)] => found.evicted_by_put += 1,
                        [_] => found.evicted_by_move += 1,
                        _ => found.evicted_by_others += 1,
                    }
                    self.objects.remove(&key);
                }
                None => return Err(format!("object {key} is lost; {begun:?}").into()),
            }
        }
        if is_alone && evicted_bytes > EVICTED_BYTES_MAX {
            return Err(format!("{evicted_bytes} bytes are lost during {begun:?}").into());
        }
        for key in store.keys() {
            let number = u64::from_be_bytes(key[..].try_into()?);
            if self.objects.contains_key(&number) {
                continue;
            }
            // It was committed, and not yet told.
            let begun = begun.iter().find_map(|told| match *told {
                Told::Put(begun, stored) if begun == number => Some(stored),
                _ => None,
            });
            let stored = begun.ok_or_else(|| format!("object {number} has left and is back"))?;
            let lease = store.get(&key).ok_or("an object that is there is not")?;
            if !stored.is_whole(number, lease.replicas()) {
                return Err(format!("object {number} has other bytes").into());
            }
            self.objects.insert(number, stored);
        }
        Ok(())
    }
}
