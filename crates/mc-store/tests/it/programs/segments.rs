//! What happens to segments under a program: they are drained, closed, lost and made up for.

use mc_segment::{Fit, Memory, RegistrationLimit, Segment, SegmentInfo};

use super::*;
use crate::common::{info, memory};

impl Program {
    /// Mounts the next incarnation of a segment.
    pub(super) fn mount(&mut self, id: u128) {
        let size = SIZES[usize::try_from(id).unwrap() - 1];
        let epoch = self.shadow.epochs.get(&id).map_or(0, |epoch| epoch + 1);
        self.mount_epoch(id, size, epoch);
    }

    /// Mounts a segment whose options are those of no other.
    pub(super) fn mount_epoch(&mut self, id: u128, size: u64, epoch: u64) {
        let mut info = SegmentInfo {
            epoch,
            host: format!("host-{}", id % 2),
            ..info(id, size)
        };
        match id {
            1 if epoch % 2 == 1 => info.options.fit = Fit::BinExact,
            2 => info.options.granule = 7,
            3 => {
                info.options.registration = Some(RegistrationLimit {
                    max_bytes: 1 << 16,
                    align: 1 << 12,
                });
            }
            4 => {
                info.base += 64;
                info.options.fit = Fit::BinCeil;
            }
            _ => {}
        }
        if epoch % 3 == 2 {
            // Mostly there is room yet when they are used up.
            info.options.max_allocations = Some(8);
        }
        let segment = Segment::local(info, Memory::pool(memory(size)));
        self.store.pool().mount(segment).unwrap();
        self.shadow.epochs.insert(id, epoch);
        self.closed.remove(&id);
    }

    pub(super) fn move_out(&mut self) {
        let id = SegmentId(self.random.random_range(1..=4));
        if self.closed.contains(&id.0) {
            return;
        }
        self.store.pool().drain(id).unwrap();
        let inside = |known: &Known| {
            let epoch = self.shadow.epochs[&id.0];
            known.places.contains(&(id.0, epoch))
        };
        let were_inside = self.shadow.stored.values().filter(|known| inside(known));
        let were_inside = were_inside.count() as u64;
        let moved = self.store.move_out(id, copy_bytes).unwrap();
        let evicted = self.follow();
        assert!(
            evicted
                .iter()
                .all(|(_, _, cause)| *cause == Cause::OnDemand)
        );
        let left: BTreeSet<u64> = moved.left.iter().map(|key| number_of(key)).collect();
        assert!(
            left.iter()
                .all(|&number| self.shadow.alive(number).is_some())
        );
        let inside = |known: &Known| {
            let epoch = self.shadow.epochs[&id.0];
            known.places.contains(&(id.0, epoch))
        };
        let now_inside = self.shadow.stored.iter().filter(|(_, known)| inside(known));
        let now_inside: BTreeSet<u64> = now_inside.map(|(&number, _)| number).collect();
        assert!(now_inside.is_subset(&left), "{now_inside:?}, {left:?}");
        assert!(moved.replicas + left.len() as u64 <= were_inside);
        self.store.pool().resume(id).unwrap();
    }

    pub(super) fn close_or_open(&mut self) {
        let id = self.random.random_range(1..=4);
        if self.closed.remove(&id) {
            self.store.pool().resume(SegmentId(id)).unwrap();
        } else if self.closed.is_empty() {
            match self.random.random_range(0..2) {
                0 => self.store.pool().suspend(SegmentId(id)).unwrap(),
                _ => self.store.pool().drain(SegmentId(id)).unwrap(),
            }
            self.closed.insert(id);
        }
    }

    /// Loses a segment, which comes back with other memory.
    pub(super) fn lose(&mut self) {
        let id = self.random.random_range(1..=4);
        match self.random.random_range(0..3) {
            0 => {
                let before: BTreeSet<u64> = self.shadow.numbers().collect();
                let unmounted = self.store.unmount(SegmentId(id)).unwrap();
                let lost: BTreeSet<u64> = unmounted.lost.iter().map(|key| number_of(key)).collect();
                let epoch = self.shadow.epochs.remove(&id).unwrap();
                let after: BTreeSet<u64> = self.shadow.numbers().collect();
                let gone: BTreeSet<u64> = before.difference(&after).copied().collect();
                assert!(gone.is_subset(&lost), "{lost:?} for {gone:?}");
                assert!(lost.iter().all(|number| !after.contains(number)));
                self.follow();
                self.mount_epoch(id, SIZES[usize::try_from(id).unwrap() - 1], epoch + 1);
            }
            1 => {
                self.store.pool().begin_unmount(SegmentId(id)).unwrap();
                let epoch = self.shadow.epochs.remove(&id).unwrap();
                self.follow();
                self.store.pool().finish_unmount(SegmentId(id)).unwrap();
                self.follow();
                self.mount_epoch(id, SIZES[usize::try_from(id).unwrap() - 1], epoch + 1);
            }
            _ => self.mount(id),
        }
    }

    pub(super) fn add_replica(&mut self) {
        let number = self.number();
        let before = self.shadow.alive(number).cloned();
        let added = self.store.add_replica(&key(number), copy_bytes).unwrap();
        let evicted = self.follow();
        match added {
            Ok(()) => {
                let before = before.expect("it is not stored").places.len();
                let after = self.shadow.alive(number).expect("it is gone");
                assert!(after.places.len() >= before.min(2));
            }
            Err(mc_store::AddReplicaError::NotStored) => assert!(before.is_none()),
            Err(mc_store::AddReplicaError::NoRoom(_)) => assert!(evicted.is_empty()),
            Err(_) => assert!(before.is_some()),
        }
    }

    /// Moves objects together ahead of need.
    pub(super) fn compact(&mut self) {
        let budget = self.random.random_range(0..40_000);
        let before = self.store.stats().moved.bytes;
        let compacted = self.store.compact(budget);
        let moved = self.store.stats().moved.bytes - before;
        assert_eq!(moved, compacted.bytes, "no lease ended a move");
        assert!(moved <= budget, "{moved} of {budget} bytes");
        assert!(self.follow().is_empty(), "nobody leaves for order");
        self.check_bytes();
    }

    /// Takes the end of a segment away, and gives it back.
    pub(super) fn shrink(&mut self) {
        let id = self.random.random_range(1..=4);
        let size = SIZES[usize::try_from(id).unwrap() - 1];
        let granule = self
            .store
            .pool()
            .info(SegmentId(id))
            .unwrap()
            .options
            .granule;
        let capacity = granule * self.random.random_range(1..=size / granule);
        if self.random.random_range(0..8) > 0 {
            // What is in use is waited for, in vain: that takes its time.
            self.held.clear();
            self.in_flight.retain(|flight| flight.put.is_none());
            if self.seconds < self.busy_until || !self.in_flight.is_empty() {
                return;
            }
        }
        let shrunk = self.store.shrink(SegmentId(id), capacity);
        let evicted = self.follow();
        let is_shrunk = |&(_, _, cause): &(u64, Known, Cause)| cause == Cause::Shrunk;
        assert!(evicted.iter().all(is_shrunk), "{evicted:?}");
        match shrunk {
            Ok(shrunk) => assert_eq!(shrunk.evicted.objects, evicted.len() as u64),
            Err(ShrinkError::InTheWay { .. }) => {
                let is_busy = self.seconds < self.busy_until || !self.in_flight.is_empty();
                let is_used = !self.held.is_empty() || !self.pinned.is_empty();
                assert!(is_busy || is_used, "what is in the way?");
            }
            Err(error) => panic!("{error}"),
        }
        self.check_bytes();
        let pieces = self.store.keys().into_iter().filter_map(|key| {
            let lease = self.store.get(&key)?;
            let here = lease
                .descriptors()
                .into_iter()
                .filter(|at| at.segment.0 == id);
            here.flat_map(|at| at.extents)
                .map(|at| at.address + at.size)
                .max()
        });
        let end = pieces.max().unwrap_or(0);
        let base = self.store.pool().info(SegmentId(id)).unwrap().base;
        assert!(shrunk.is_err() || end <= base + capacity, "{end} is behind");
        let grown = self.store.grow(SegmentId(id), size);
        assert_eq!(grown.is_ok(), shrunk.is_ok() && capacity < size);
    }
}
