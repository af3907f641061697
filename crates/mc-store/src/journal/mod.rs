//! The life of a store on a disk: a snapshot, and a journal of what happened since.
//!
//! ```text
//!  directory   lock   snapshot   journal-0000002a   journal-0000002b   …
//!                        │              └──── files of records, in order ────┘
//!                        └ covers all files before the first that is there
//! ```
//!
//! A record is in the file, as far as a process can end, as soon as [`Journal::append`] returns: files
//! are reserved, mapped and written by copies, so that a record costs no system call. What a power
//! failure must not take is synced by [`Journal::settle`].
//!
//! A compaction replaces snapshot and older files by a new snapshot. It begins with a new journal file,
//! and then the store writes its state in as many slices as it likes, while appends go on: what a slice
//! tells of may also be told of by the new file, and the last record about a key holds. So a slice has
//! to be written under what orders the records of its keys, and nothing else has to stand still.
//!
//! The files of this module: `frame` has the bytes, `record` what they say, `recover` what it adds up to.

mod damage;
mod directory;
mod error;
mod frame;
mod log;
mod overlap;
mod read;
mod record;
mod recover;
mod recovered;
mod settle;
mod writer;

use std::{
    fs::{self, File},
    io,
    path::Path,
    sync::{
        Arc, Mutex, MutexGuard, PoisonError,
        atomic::{AtomicBool, Ordering},
    },
};

use self::{directory::Directory, frame::Payload, log::LogFile, read::Reader};

pub use self::{
    damage::{Damage, Lost},
    error::{JournalError, OpenError},
    read::{read, read_file},
    record::{
        Head, ObjectRecord, Place, Places, Record, Reservation, SavedHints, SavedTerms, Spot,
        encode_segment,
    },
    recovered::{
        Recovered, RecoveredHints, RecoveredObject, RecoveredPut, RecoveredSegment,
        RecoveredTenant, RecoveredTerms,
    },
    writer::{SavedFile, Writer},
};

/// How a journal is kept.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct JournalOptions {
    /// What a record survives once it is settled.
    pub durability: Durability,
    /// Bytes of each file, but for records that are longer.
    pub file_bytes: usize,
    /// The least bytes of records after which a compaction is worth while; it
    /// never is before there are as many as in the snapshot.
    pub compact_bytes: u64,
}

/// What a record survives.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
#[non_exhaustive]
pub enum Durability {
    /// The end of the process, at any instant.
    #[default]
    Process,
    /// A power failure, too. Settling waits for the disk, together with all
    /// who settle at that time.
    Power,
}

/// A place in a journal: that of a record that was appended.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub struct Position(u64);

/// The journal of one store, in a directory that no other process has open.
#[derive(Debug)]
pub struct Journal {
    directory: Directory,
    options: JournalOptions,
    /// Held for the copy of a record, and for a new file where none was ready.
    log: Mutex<Log>,
    /// Held while a file is made; taken under `log`, never before it.
    spare: Mutex<Spare>,
    /// Held while files are synced; `log` is taken under it.
    synced: Mutex<Synced>,
    /// Set when a file is begun, cleared when a compaction is done. Relaxed: nothing is read because
    /// of it.
    wants_compaction: AtomicBool,
    /// True iff a [`Compaction`] is there. Acquire and release, so that the next one finds what the
    /// one before has left.
    is_compacting: AtomicBool,
}

/// Where records go.
#[derive(Debug)]
struct Log {
    current: LogFile,
    /// Of the last record.
    sequence: u64,
    /// Bytes of records since the snapshot.
    bytes: u64,
    snapshot_bytes: u64,
    /// Set for good when a record could not be written.
    error: Option<JournalError>,
}

/// The file that is next.
#[derive(Debug)]
struct Spare {
    number: u32,
    /// `None` if it is not made yet.
    file: Option<LogFile>,
}

/// What is on the disk.
#[derive(Debug)]
struct Synced {
    sequence: u64,
    /// The file of the record with this sequence.
    file: u32,
}

/// A compaction that goes on; dropped before it is finished, it leaves all as it was.
#[derive(Debug)]
pub struct Compaction<'a> {
    journal: &'a Journal,
    /// `None` once it was finished.
    file: Option<SavedFile>,
    first_file: u32,
    /// Of records that the snapshot covers.
    bytes: u64,
}

impl Default for JournalOptions {
    /// Returns files of 1 MiB that survive the process, and compaction from 64 MiB on.
    fn default() -> Self {
        Self {
            durability: Durability::Process,
            file_bytes: 1 << 20,
            compact_bytes: 64 << 20,
        }
    }
}

impl Journal {
    /// Opens a directory, which is made if there is none, and reads what is in it.
    ///
    /// Files of processes that ended while they wrote them are removed. Damage
    /// stops nothing; it is told in what is recovered. Takes time linear in the
    /// files, but for sorting what was recovered.
    ///
    /// # Errors
    ///
    /// An [`OpenError`].
    pub fn open(path: &Path, options: &JournalOptions) -> Result<(Self, Recovered), OpenError> {
        let directory = Directory::open(path)?;
        let mut reader = Reader::new();
        let (mut first_file, mut snapshot_bytes) = (0, 0);
        let snapshot = directory.snapshot();
        match File::open(&snapshot) {
            Ok(file) => {
                snapshot_bytes = file.metadata().map_or(0, |metadata| metadata.len());
                reader.fold.expect_bytes(snapshot_bytes);
                let contents = reader.snapshot(file, &snapshot)?;
                first_file = contents.covered.map_or(0, |(_, first)| first);
            }
            Err(error) if error.kind() == io::ErrorKind::NotFound => {}
            Err(source) => {
                let path = snapshot;
                return Err(OpenError::Io { path, source });
            }
        }
        let (number, bytes) = read_journals(&directory, first_file, &mut reader)?;
        let sequence = reader.sequence();
        let log = Log {
            current: begin_file(&directory, number, options.file_bytes)?,
            sequence,
            bytes,
            snapshot_bytes,
            error: None,
        };
        let journal = Self {
            wants_compaction: AtomicBool::new(log.is_worth_compacting(options)),
            directory,
            options: *options,
            log: Mutex::new(log),
            spare: Mutex::new(Spare {
                number: number + 1,
                file: None,
            }),
            // Nobody knows what is on the disk of what was written before.
            synced: Mutex::new(Synced {
                sequence: 0,
                file: first_file,
            }),
            is_compacting: AtomicBool::new(false),
        };
        Ok((journal, reader.fold.finish()))
    }

    /// Returns the directory.
    #[must_use]
    pub fn path(&self) -> &Path {
        self.directory.path()
    }

    /// Writes a record behind all others.
    ///
    /// When this returns it is in the file whatever becomes of the process, and
    /// it precedes all records that are appended later. About once in thousands
    /// of records the call also makes a file.
    ///
    /// # Errors
    ///
    /// A [`JournalError`]. After one of the system no record is written any
    /// more, and all calls return it.
    pub fn append(&self, record: &Record<'_>) -> Result<Position, JournalError> {
        let (mut buffer, mut spill) = ([0; record::BUFFER_BYTES], Vec::new());
        let bytes = record::encode(record, &mut buffer, &mut spill);
        let payload = Payload::new(bytes).ok_or(JournalError::TooLong {
            record_bytes: bytes.len(),
        })?;
        let mut log = self.log();
        if record.is_vital() {
            // Adjacent to the other one, so that it says the same at every moment.
            self.append_frame(&mut log, payload)?;
        }
        let position = self.append_frame(&mut log, payload)?;
        let is_half_full = log.current.is_half_full();
        drop(log);
        if is_half_full {
            self.prepare_next_file();
        }
        Ok(position)
    }

    fn append_frame(&self, log: &mut Log, payload: Payload<'_>) -> Result<Position, JournalError> {
        if let Some(error) = &log.error {
            return Err(error.clone());
        }
        if !log.current.has_room_for(payload)
            && let Err(error) = self.begin_next_file(log, payload.frame_bytes())
        {
            log.error = Some(error.clone());
            return Err(error);
        }
        log.sequence += 1;
        log.current.append(payload, log.sequence);
        log.bytes += payload.frame_bytes() as u64;
        Ok(Position(log.sequence))
    }

    /// Returns when a record, and all before it, survive what the options say:
    /// at once, but for [`Durability::Power`].
    ///
    /// # Errors
    ///
    /// A [`JournalError`], as of [`append`](Self::append).
    pub fn settle(&self, position: Position) -> Result<(), JournalError> {
        match self.options.durability {
            Durability::Process => Ok(()),
            Durability::Power => self.sync_to(position.0),
        }
    }

    /// As [`settle`](Self::settle), of all records that were appended.
    ///
    /// # Errors
    ///
    /// A [`JournalError`], as of [`append`](Self::append).
    pub fn settle_all(&self) -> Result<(), JournalError> {
        match self.options.durability {
            Durability::Process => Ok(()),
            Durability::Power => self.sync(),
        }
    }

    /// Returns when all records that were appended survive a power failure.
    ///
    /// # Errors
    ///
    /// A [`JournalError`], as of [`append`](Self::append).
    pub fn sync(&self) -> Result<(), JournalError> {
        let sequence = self.log().sequence;
        self.sync_to(sequence)
    }

    /// Returns whether a compaction is worth while.
    #[inline]
    #[must_use]
    pub fn wants_compaction(&self) -> bool {
        self.wants_compaction.load(Ordering::Relaxed)
    }

    /// Begins a compaction: the store writes what it holds and finishes it.
    ///
    /// What was appended before has to be told of by what is written from now
    /// on, in as many slices as the store likes; what is appended meanwhile is
    /// kept anyway.
    ///
    /// # Errors
    ///
    /// A [`JournalError`].
    pub fn begin_compaction(&self) -> Result<Compaction<'_>, JournalError> {
        if self.is_compacting.swap(true, Ordering::Acquire) {
            return Err(JournalError::Compacting);
        }
        let mut compaction = Compaction {
            journal: self,
            file: None,
            first_file: 0,
            bytes: 0,
        };
        let mut log = self.log();
        if let Some(error) = &log.error {
            return Err(error.clone());
        }
        self.begin_next_file(&mut log, 0)?;
        compaction.first_file = log.current.number();
        compaction.bytes = log.bytes;
        let sequence = log.sequence;
        drop(log);
        let snapshot = self.directory.snapshot();
        let file = SavedFile::behind(&snapshot, sequence, compaction.first_file)?;
        compaction.file = Some(file);
        Ok(compaction)
    }

    /// Goes on in the next file, which has room for a frame of so many bytes; if there
    /// is none, nothing has changed.
    fn begin_next_file(&self, log: &mut Log, frame_bytes: usize) -> Result<(), JournalError> {
        let mut spare = self.spare();
        let number = spare.number;
        // A spare has room for every frame that is not longer than its options say.
        let made = match spare.file.take() {
            Some(file) if frame_bytes <= self.options.file_bytes => Ok(file),
            other => {
                drop(other.map(|file| fs::remove_file(file.path())));
                let room_bytes = self.options.file_bytes.max(frame_bytes);
                begin_file(&self.directory, number, room_bytes)
            }
        };
        log.current = made?;
        spare.number = number.saturating_add(1);
        drop(spare);
        let is_wanted = log.is_worth_compacting(&self.options);
        self.wants_compaction.store(is_wanted, Ordering::Relaxed);
        Ok(())
    }

    /// Makes the next file, unless it is made or being made. If that fails, it
    /// is tried again when the file is needed.
    fn prepare_next_file(&self) {
        let Ok(mut spare) = self.spare.try_lock() else {
            return;
        };
        if spare.file.is_none() {
            spare.file = begin_file(&self.directory, spare.number, self.options.file_bytes).ok();
        }
    }

    fn sync_to(&self, sequence: u64) -> Result<(), JournalError> {
        // Those who come meanwhile wait here, and find it done.
        let mut synced = self.synced.lock().unwrap_or_else(PoisonError::into_inner);
        if sequence <= synced.sequence {
            return Ok(());
        }
        let log = self.log();
        if let Some(error) = &log.error {
            return Err(error.clone());
        }
        let (sequence, number) = (log.sequence, log.current.number());
        let current = Arc::clone(log.current.file());
        drop(log);
        let sync = || {
            for number in synced.file..number {
                match File::open(self.directory.journal(number)) {
                    Ok(file) => file.sync_data()?,
                    // A snapshot has taken its place, and is on the disk.
                    Err(error) if error.kind() == io::ErrorKind::NotFound => {}
                    Err(error) => return Err(error),
                }
            }
            current.sync_data()?;
            self.directory.sync()
        };
        if let Err(error) = sync() {
            let error = JournalError::at("sync", self.path())(error);
            // What the kernel could not write it may have forgotten.
            self.log().error = Some(error.clone());
            return Err(error);
        }
        (synced.sequence, synced.file) = (sequence, number);
        Ok(())
    }

    /// Returns whether all records that were appended survive a power failure.
    #[cfg(test)]
    pub(crate) fn is_synced(&self) -> bool {
        let synced = self.synced.lock().unwrap_or_else(PoisonError::into_inner);
        synced.sequence == self.log().sequence
    }

    fn log(&self) -> MutexGuard<'_, Log> {
        self.log.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn spare(&self) -> MutexGuard<'_, Spare> {
        self.spare.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Drop for Journal {
    /// In a child that was forked it does nothing: the files are the parent's.
    fn drop(&mut self) {
        if !self.directory.is_ours() {
            return;
        }
        if let Some(spare) = self.spare().file.take() {
            let _ = fs::remove_file(spare.path());
        }
        self.log().current.trim();
    }
}

impl Compaction<'_> {
    /// Writes a part of what the store holds.
    ///
    /// # Errors
    ///
    /// A [`JournalError`], after which the compaction should be dropped.
    pub fn write(&mut self, record: &Record<'_>) -> Result<(), JournalError> {
        match &mut self.file {
            Some(file) => file.write(record),
            None => Ok(()),
        }
    }

    /// Puts the new snapshot in the place of the old one and of the files that
    /// it covers.
    ///
    /// It waits for the disk, whatever the options say.
    ///
    /// # Errors
    ///
    /// A [`JournalError`]. Either snapshot tells of the same store, together
    /// with the files that are there.
    pub fn finish(mut self) -> Result<(), JournalError> {
        let Some(file) = self.file.take() else {
            return Ok(());
        };
        let snapshot_bytes = file.finish()?;
        let journal = self.journal;
        let mut log = journal.log();
        log.snapshot_bytes = snapshot_bytes;
        log.bytes -= self.bytes;
        let is_wanted = log.is_worth_compacting(&journal.options);
        journal.wants_compaction.store(is_wanted, Ordering::Relaxed);
        drop(log);
        // One that stays is read in vain, or removed when the directory is opened.
        let numbers = journal.directory.journals().unwrap_or_default();
        for number in numbers
            .into_iter()
            .filter(|&number| number < self.first_file)
        {
            let _ = fs::remove_file(journal.directory.journal(number));
        }
        Ok(())
    }
}

impl Drop for Compaction<'_> {
    fn drop(&mut self) {
        self.journal.is_compacting.store(false, Ordering::Release);
    }
}

impl Log {
    fn is_worth_compacting(&self, options: &JournalOptions) -> bool {
        self.bytes > options.compact_bytes.max(self.snapshot_bytes)
    }
}

/// Reads the journal files from a number on and removes the others; returns the number of the next
/// file and the bytes of the records in those that were read.
fn read_journals(
    directory: &Directory,
    first_file: u32,
    reader: &mut Reader,
) -> Result<(u32, u64), OpenError> {
    let numbers = directory.journals().map_err(|source| OpenError::Io {
        path: directory.path().to_owned(),
        source,
    })?;
    let (mut unread, mut bytes) = (Vec::new(), 0);
    for &number in &numbers {
        let path = directory.journal(number);
        if number < first_file {
            unread.push(path);
            continue;
        }
        let file = read::open(&path)?;
        match reader.file(file, &path, number)?.written_bytes {
            0 => unread.push(path),
            written => bytes += written,
        }
    }
    // Where one stays, nothing is wrong but its place on the disk.
    unread.iter().for_each(|path| drop(fs::remove_file(path)));
    let last = numbers.last().copied().unwrap_or(0);
    Ok((last.max(first_file).saturating_add(1), bytes))
}

fn begin_file(
    directory: &Directory,
    number: u32,
    room_bytes: usize,
) -> Result<LogFile, JournalError> {
    let head = writer::head(0, number);
    let (mut buffer, mut spill) = ([0; record::BUFFER_BYTES], Vec::new());
    let bytes = record::encode(&head, &mut buffer, &mut spill);
    let head = Payload::new(bytes).ok_or(JournalError::TooLong {
        record_bytes: bytes.len(),
    })?;
    LogFile::create(directory.journal(number), number, head, room_bytes)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn records_are_on_the_disk_once_they_are_settled_where_power_may_fail() {
        for durability in [Durability::Process, Durability::Power] {
            let directory = tempfile::tempdir().unwrap();
            let options = JournalOptions {
                durability,
                ..JournalOptions::default()
            };
            let (journal, _) = Journal::open(directory.path(), &options).unwrap();
            let is_on_the_disk = durability == Durability::Power;
            let record = Record::Aborted { put: 1 };
            let first = journal.append(&record).unwrap();
            assert!(!journal.is_synced());
            journal.settle(first).unwrap();
            assert_eq!(journal.is_synced(), is_on_the_disk);
            journal.append(&record).unwrap();
            assert!(!journal.is_synced());
            journal.settle_all().unwrap();
            assert_eq!(journal.is_synced(), is_on_the_disk);
            journal.sync().unwrap();
            assert!(journal.is_synced(), "whatever the options say");
        }
    }

    #[test]
    fn a_child_that_drops_its_copy_leaves_files_and_lock_to_the_parent() {
        let kept = tempfile::tempdir().unwrap();
        let files = || {
            let entries = fs::read_dir(kept.path()).unwrap();
            let mut files: Vec<_> = entries
                .map(|entry| {
                    let entry = entry.unwrap();
                    (entry.file_name(), entry.metadata().unwrap().len())
                })
                .collect();
            files.sort();
            files
        };
        let options = JournalOptions::default();
        let (mut journal, _) = Journal::open(kept.path(), &options).unwrap();
        journal.append(&Record::Aborted { put: 1 }).unwrap();
        let before = files();
        let parent = journal.directory.become_a_copy();
        drop(journal);
        assert_eq!(files(), before);
        let refused = Journal::open(kept.path(), &options).map(|_| ());
        assert!(
            matches!(refused, Err(OpenError::InUse { .. })),
            "{refused:?}"
        );
        drop(parent);
        Journal::open(kept.path(), &options).unwrap();
    }
}
