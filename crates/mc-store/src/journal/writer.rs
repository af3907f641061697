//! Files that are written in one go: the snapshot of a journal, or a store that is saved by itself.

use std::{
    collections::BTreeMap,
    io::{self, BufWriter, Write},
    path::{Path, PathBuf},
};

use mc_segment::SegmentId;

use super::{
    directory::NewFile,
    error::JournalError,
    frame::{FRAME_ALIGN, FileTag, Payload},
    log::file_id,
    record::{self, Head, MAGIC, Record, VERSION},
};

/// The number of every file that is none of a journal.
pub(super) const SNAPSHOT_NUMBER: u32 = 0;

/// Records that are written one after the other, with the first and the last that every file has.
#[derive(Debug)]
pub struct Writer<W> {
    to: W,
    tag: FileTag,
    /// Of the last frame; the first one has 0.
    sequence: u64,
    bytes: u64,
    /// What the first record says of the journal before this.
    covered: (u64, u32),
    /// What is repeated at the end, since much else is worth nothing without it: the options, and the
    /// segments that are mounted. The first record is, too: without it, older files might be read.
    vital: BTreeMap<Option<SegmentId>, Vec<u8>>,
}

/// A file that gets its name when it is finished; dropped before, it leaves nothing.
#[derive(Debug)]
pub struct SavedFile {
    path: PathBuf,
    writer: Writer<BufWriter<NewFile>>,
}

impl<W: Write> Writer<W> {
    /// Begins with the first record.
    ///
    /// # Errors
    ///
    /// What `to` says.
    pub fn new(to: W) -> io::Result<Self> {
        Self::behind(to, 0, 0)
    }

    /// Begins a snapshot of what was before the journal file `first_file`, whose last record had this
    /// sequence.
    pub(super) fn behind(to: W, sequence: u64, first_file: u32) -> io::Result<Self> {
        let mut writer = Self {
            to,
            tag: FileTag::new(file_id(), SNAPSHOT_NUMBER),
            sequence: 0,
            bytes: 0,
            covered: (sequence, first_file),
            vital: BTreeMap::new(),
        };
        writer.encode(&head(sequence, first_file))?;
        Ok(writer)
    }

    /// Writes a record.
    ///
    /// # Errors
    ///
    /// What the file says, or `InvalidInput` for a record that is longer than any may be.
    pub fn write(&mut self, record: &Record<'_>) -> io::Result<()> {
        self.sequence += 1;
        self.encode(record)
    }

    /// Returns the length of what was written so far.
    pub fn bytes_written(&self) -> u64 {
        self.bytes
    }

    /// Writes the last records, and returns what was written to.
    ///
    /// # Errors
    ///
    /// What the file says.
    pub fn finish(mut self) -> io::Result<W> {
        self.end()?;
        Ok(self.to)
    }

    fn end(&mut self) -> io::Result<()> {
        for payload in std::mem::take(&mut self.vital).into_values() {
            self.sequence += 1;
            self.frame(&payload)?;
        }
        if let (sequence, first_file @ 1..) = self.covered {
            self.write(&head(sequence, first_file))?;
        }
        let records = self.sequence;
        self.write(&Record::End { records })?;
        self.to.flush()
    }

    fn encode(&mut self, record: &Record<'_>) -> io::Result<()> {
        let (mut buffer, mut spill) = ([0; record::BUFFER_BYTES], Vec::new());
        let payload = record::encode(record, &mut buffer, &mut spill);
        match record {
            Record::Options(_) => drop(self.vital.insert(None, payload.to_vec())),
            Record::Mounted { segment, .. } => {
                self.vital.insert(Some(*segment), payload.to_vec());
            }
            Record::Unmounted { segment } => drop(self.vital.remove(&Some(*segment))),
            _ => {}
        }
        self.frame(payload)
    }

    fn frame(&mut self, payload: &[u8]) -> io::Result<()> {
        let too_long = |record_bytes| {
            let error = JournalError::TooLong { record_bytes };
            io::Error::new(io::ErrorKind::InvalidInput, error)
        };
        let payload = Payload::new(payload).ok_or_else(|| too_long(payload.len()))?;
        let bytes = payload.bytes;
        self.to
            .write_all(&payload.header(self.tag, self.sequence))?;
        self.to.write_all(bytes)?;
        let padding = bytes.len().next_multiple_of(FRAME_ALIGN) - bytes.len();
        self.to.write_all(&[0; FRAME_ALIGN][..padding])?;
        self.bytes += payload.frame_bytes() as u64;
        Ok(())
    }
}

impl SavedFile {
    /// Begins a file with this name, or in the place of what has it.
    ///
    /// Symbolic links are followed, and the mode of what is replaced stays.
    /// Whatever happens before [`finish`](Self::finish), the old file is there.
    ///
    /// # Errors
    ///
    /// A [`JournalError`].
    pub fn create(path: &Path) -> Result<Self, JournalError> {
        Self::behind(path, 0, 0)
    }

    pub(super) fn behind(
        path: &Path,
        sequence: u64,
        first_file: u32,
    ) -> Result<Self, JournalError> {
        let begin = || {
            let file = BufWriter::with_capacity(256 << 10, NewFile::create(path)?);
            Writer::behind(file, sequence, first_file)
        };
        let writer = begin().map_err(JournalError::at("make", path))?;
        let path = path.to_owned();
        Ok(Self { path, writer })
    }

    /// Writes a record.
    ///
    /// # Errors
    ///
    /// A [`JournalError`]. The file cannot be finished then.
    pub fn write(&mut self, record: &Record<'_>) -> Result<(), JournalError> {
        let written = self.writer.write(record);
        written.map_err(JournalError::at("write", &self.path))
    }

    /// Gives the file its name, once it is on the disk; returns its length.
    ///
    /// # Errors
    ///
    /// A [`JournalError`]. The file of that name is the old one or the new one.
    pub fn finish(self) -> Result<u64, JournalError> {
        let Self { path, mut writer } = self;
        let persist = || {
            writer.end()?;
            let bytes = writer.bytes;
            writer.to.into_inner()?.persist()?;
            Ok(bytes)
        };
        persist().map_err(JournalError::at("replace", &path))
    }
}

/// Returns the first record of a file.
pub(super) fn head(sequence: u64, first_file: u32) -> Record<'static> {
    Record::Head(Head {
        magic: MAGIC,
        version: VERSION,
        sequence,
        first_file,
    })
}
