//! What a store writes down, if it has a journal.
//!
//! A record is appended under the lock that orders the changes of its key: that
//! of its shard, for writing. A compaction reads objects under the same lock,
//! so that what it saw of a key is either told of by a later record, too, or is
//! how things are. That something has left is appended before its space can be
//! used again.

use std::{
    path::Path,
    sync::atomic::{AtomicBool, AtomicU64, Ordering},
    time::{Duration, SystemTime},
};

use mc_segment::{PlacedBuffer, SegmentInfo, SegmentPool, SegmentState};
use parking_lot::Mutex;

use crate::{
    clock::Moment,
    journal::{
        Journal, JournalError, ObjectRecord, Place, Places, Position, Record, Reservation,
        SavedHints, SavedTerms, encode_segment,
    },
    object::Object,
    pending::Pending,
    request::Terms,
    stats::Cause,
    tenants::Tenant,
};

/// The journal of a store and what it has been told.
#[derive(Debug)]
pub(crate) struct Book {
    journal: Journal,
    /// The number of the next put.
    put_next: AtomicU64,
    /// The time since 1970 at the first moment of the store.
    epoch: Duration,
    /// The segments as they were told of last. Held while the journal is told
    /// of changes; nothing is waited for but the pool's registry and the
    /// journal.
    told: Mutex<Told>,
    /// Set for good with the first record that could not be written. Nothing is
    /// stored any more then, so that no range gets other bytes than the journal
    /// says. A hint that the journal's own state backs, so `Relaxed`.
    has_failed: AtomicBool,
}

/// Segments that the journal knows of.
#[derive(Debug)]
struct Told {
    changes: Option<u64>,
    segments: Vec<(u64, SegmentInfo, SegmentState)>,
}

/// The journal took no record; see [`ObjectStore::journal_error`].
///
/// [`ObjectStore::journal_error`]: crate::ObjectStore::journal_error
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct NotWritten;

impl Book {
    pub(crate) fn new(journal: Journal, put_next: u64, now: Moment) -> Self {
        let since_1970 = SystemTime::now().duration_since(SystemTime::UNIX_EPOCH);
        let passed = now.since(Moment::default());
        Self {
            journal,
            put_next: AtomicU64::new(put_next),
            epoch: since_1970.unwrap_or_default().saturating_sub(passed),
            told: Mutex::new(Told {
                changes: None,
                segments: Vec::new(),
            }),
            has_failed: AtomicBool::new(false),
        }
    }

    pub(crate) fn path(&self) -> &Path {
        self.journal.path()
    }

    pub(crate) fn journal(&self) -> &Journal {
        &self.journal
    }

    /// Returns the number of a new put.
    pub(crate) fn next_put(&self) -> u64 {
        // The read-modify-write alone makes numbers unique.
        self.put_next.fetch_add(1, Ordering::Relaxed)
    }

    /// Returns an error if a record could not be written.
    pub(crate) fn check(&self) -> Result<(), NotWritten> {
        match self.has_failed.load(Ordering::Relaxed) {
            true => Err(NotWritten),
            false => Ok(()),
        }
    }

    /// Returns the time since 1970 of a moment.
    pub(crate) fn wall_time(&self, moment: Moment) -> Duration {
        self.epoch.saturating_add(moment.since(Moment::default()))
    }

    /// Returns the moment of a time since 1970.
    pub(crate) fn moment(&self, since_1970: Duration) -> Moment {
        Moment::default().after(since_1970.saturating_sub(self.epoch))
    }

    /// Tells of the space that a put has got.
    pub(crate) fn reserved(
        &self,
        pool: &SegmentPool,
        pending: &Pending,
        space: &[PlacedBuffer],
    ) -> Result<Position, NotWritten> {
        self.tell_segments(pool)?;
        let places = places(space);
        let position = self.append(&self.reservation(pending, places.clone()))?;
        pending.set_told(places);
        Ok(position)
    }

    fn reservation<'a>(&self, pending: &'a Pending, places: Places) -> Record<'a> {
        Record::Reserved(Reservation {
            put: pending.number(),
            key: pending.key(),
            deadline: self.wall_time(pending.deadline()),
            places,
        })
    }

    /// Tells that the space of a put, or one that was reserved for another
    /// reason, is free.
    pub(crate) fn aborted(&self, put: u64) {
        // If it cannot be written, the space stays taken after a restart.
        let _ = self.append(&Record::Aborted { put });
    }

    /// Tells that an object is stored.
    pub(crate) fn committed(&self, put: u64, object: &Object) -> Result<Position, NotWritten> {
        self.append(&self.record(put, object))
    }

    /// Tells that an object has left.
    pub(crate) fn left(&self, object: &Object, cause: Cause) -> Result<Position, NotWritten> {
        self.append(&Record::Removed {
            key: object.key(),
            cause: cause as u8,
        })
    }

    /// Tells that the space of an object that nobody can find any more stays
    /// taken until a time; returns the number under which it is given back.
    pub(crate) fn detached(&self, object: &Object, until: Moment) -> Result<u64, NotWritten> {
        let put = self.next_put();
        self.append(&Record::Reserved(Reservation {
            put,
            key: object.key(),
            deadline: self.wall_time(until),
            places: places(object.replicas()),
        }))?;
        Ok(put)
    }

    /// Tells of a replica that is elsewhere now, or is new.
    pub(crate) fn moved(
        &self,
        pool: &SegmentPool,
        key: &[u8],
        from: Option<&PlacedBuffer>,
        to: &PlacedBuffer,
    ) -> Result<Position, NotWritten> {
        self.tell_segments(pool)?;
        self.append(&Record::Moved {
            key,
            from: from.and_then(|from| place_of(from).spot()),
            place: place_of(to),
        })
    }

    pub(crate) fn pinned(&self, key: &[u8], is_pinned: bool) -> Result<Position, NotWritten> {
        self.append(&Record::Pinned { key, is_pinned })
    }

    pub(crate) fn leased(&self, key: &[u8], until: Moment) -> Result<Position, NotWritten> {
        let until = self.wall_time(until);
        self.append(&Record::Leased { key, until })
    }

    pub(crate) fn lease_ended(&self, key: &[u8]) -> Result<Position, NotWritten> {
        let until = Duration::ZERO;
        self.append(&Record::Leased { key, until })
    }

    /// Tells of the quota that a tenant has, and waits until that is kept.
    pub(crate) fn tenant(&self, tenant: &Tenant) -> Result<(), NotWritten> {
        // What is told last is the quota that was set last.
        let told = self.told.lock();
        let position = self.append(&tenant_record(tenant))?;
        drop(told);
        self.settle(position)
    }

    /// Tells that objects cannot be had again.
    pub(crate) fn tell_lost(&self, keys: &[Box<[u8]>]) {
        for key in keys {
            let cause = Cause::Unreadable as u8;
            // If it is not written, they are found to be lost once more.
            let _ = self.append(&Record::Removed { key, cause });
        }
    }

    /// Waits until a record survives what the options of the journal say.
    pub(crate) fn settle(&self, position: Position) -> Result<(), NotWritten> {
        self.journal
            .settle(position)
            .map_err(|error| self.failed(&error))
    }

    /// Waits until all that was told survives what the options of the journal
    /// say, as before bytes go where others were: who had the place has left it
    /// in the journal, too.
    pub(crate) fn settle_all(&self) -> Result<(), NotWritten> {
        self.journal
            .settle_all()
            .map_err(|error| self.failed(&error))
    }

    /// Returns the record of an object as it is.
    pub(crate) fn record<'a>(&self, put: u64, object: &'a Object) -> Record<'a> {
        Record::Committed(ObjectRecord {
            put,
            key: object.key(),
            parts: object.parts().sizes().collect(),
            terms: saved_terms(&object.terms),
            places: places(object.replicas()),
            checksum: object.checksum(),
            is_pinned: object.claims.is_pinned(),
            leased_until: match object.leased_until() {
                Moment(0) => Duration::ZERO,
                until => self.wall_time(until),
            },
            hints: self.saved_hints(object),
        })
    }

    fn saved_hints<'a>(&self, object: &'a Object) -> SavedHints<'a> {
        let hints = &object.terms.hints;
        SavedHints {
            tenant: hints.tenant.as_ref().map(|tenant| &*tenant.name),
            priority: hints.priority,
            keep_until: match hints.keep_until {
                Moment(0) => Duration::ZERO,
                until => self.wall_time(until),
            },
            cost: Duration::try_from_secs_f32(object.cost()).unwrap_or(Duration::MAX),
        }
    }

    /// Returns the record of a put, if its space was written down; also of one that is over: its end
    /// has a later record.
    pub(crate) fn pending_record<'a>(&self, pending: &'a Pending) -> Option<Record<'a>> {
        let places = pending.told()?.clone();
        Some(self.reservation(pending, places))
    }

    /// Tells of segments that came, went or changed since the last time.
    pub(crate) fn tell_segments(&self, pool: &SegmentPool) -> Result<(), NotWritten> {
        let changes = pool.changes();
        let mut told = self.told.lock();
        if told.changes == Some(changes) {
            return Ok(());
        }
        let now = segments(pool);
        let is_there = |number: &u64| now.iter().any(|(other, ..)| other == number);
        for (_, info, _) in told
            .segments
            .iter()
            .filter(|(number, ..)| !is_there(number))
        {
            self.append(&Record::Unmounted { segment: info.id })?;
        }
        for segment in now
            .iter()
            .filter(|segment| !told.segments.contains(segment))
        {
            let (_, info, state) = segment;
            self.append(&mounted(info, &encode_segment(info, *state)))?;
        }
        *told = Told {
            changes: Some(changes),
            segments: now,
        };
        Ok(())
    }

    /// Returns the segments that the journal knows of.
    pub(crate) fn told_segments(&self) -> Vec<(u64, SegmentInfo, SegmentState)> {
        self.told.lock().segments.clone()
    }

    /// Takes the segments of a pool as told of, as they were read from the
    /// journal.
    pub(crate) fn know_segments(&self, segments: Vec<(u64, SegmentInfo, SegmentState)>) {
        self.told.lock().segments = segments;
    }

    fn append(&self, record: &Record<'_>) -> Result<Position, NotWritten> {
        self.journal
            .append(record)
            .map_err(|error| self.failed(&error))
    }

    fn failed(&self, error: &JournalError) -> NotWritten {
        // One record that is too long says nothing about the others.
        if !matches!(error, JournalError::TooLong { .. }) {
            self.has_failed.store(true, Ordering::Relaxed);
        }
        NotWritten
    }
}

/// Returns the segments of a pool with the numbers of their mounts.
pub(crate) fn segments(pool: &SegmentPool) -> Vec<(u64, SegmentInfo, SegmentState)> {
    let views = pool.segments();
    let known = views.iter().filter_map(|view| {
        let info = pool.info(view.id)?;
        Some((view.mount_number, info, view.state))
    });
    known.collect()
}

/// Returns the record of a segment, whose document is given.
pub(crate) fn mounted<'a>(info: &SegmentInfo, document: &'a [u8]) -> Record<'a> {
    Record::Mounted {
        segment: info.id,
        document,
    }
}

/// Returns the record of the quota of a tenant.
pub(crate) fn tenant_record(tenant: &Tenant) -> Record<'_> {
    let quota = tenant.quota();
    Record::Tenant {
        name: &tenant.name,
        guaranteed: quota.guaranteed,
        most: quota.most,
    }
}

pub(crate) fn places<'a>(buffers: impl IntoIterator<Item = &'a PlacedBuffer>) -> Places {
    buffers.into_iter().map(place_of).collect()
}

fn place_of(buffer: &PlacedBuffer) -> Place {
    Place {
        segment: buffer.segment_id(),
        epoch: buffer.epoch(),
        extents: buffer.extents().collect(),
    }
}

fn saved_terms(terms: &Terms) -> SavedTerms<'_> {
    SavedTerms {
        align: terms.align,
        max_extents: terms.max_extents,
        replicas: terms.replicas.count,
        replicas_least: terms.replicas.least(),
        host: &terms.host,
        excluded: terms.excluded.to_vec(),
    }
}
