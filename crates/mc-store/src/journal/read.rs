//! Reading files into a fold, and noting what is missing from them.

use std::{
    fs::File,
    io::{self, Read},
    path::{Path, PathBuf},
};

use super::{
    damage::Damage,
    error::OpenError,
    frame::{Piece, Pieces, frame_bytes},
    record::{self, MAGIC, Record, Unreadable, VERSION},
    recover::Fold,
    recovered::Recovered,
    writer::SNAPSHOT_NUMBER,
};

/// The files of a journal as they are read, in order.
#[derive(Debug)]
pub(super) struct Reader {
    pub(super) fold: Fold,
    /// The sequence that the next record should have.
    next: u64,
}

/// What a file turned out to be.
#[derive(Debug, Default)]
pub(super) struct Contents {
    /// What the first record says a snapshot covers, if it is whole: a sequence, and the number of the
    /// first journal file that it does not.
    pub(super) covered: Option<(u64, u32)>,
    /// Bytes of what was written behind the first record, damaged or not; 0 of a file
    /// that has nothing else. Those that are only reserved are none of them.
    pub(super) written_bytes: u64,
    has_end: bool,
}

impl Reader {
    pub(super) fn new() -> Self {
        let fold = Fold::default();
        Self { fold, next: 1 }
    }

    /// Returns the sequence of the last record.
    pub(super) fn sequence(&self) -> u64 {
        self.next.saturating_sub(1)
    }

    /// Reads a file that was written in one go, and starts over with what it covers.
    pub(super) fn snapshot(
        &mut self,
        source: impl Read,
        path: &Path,
    ) -> Result<Contents, OpenError> {
        let contents = self.file(source, path, SNAPSHOT_NUMBER)?;
        if !contents.has_end {
            let file = path.to_owned();
            self.fold.note(Damage::End { file });
        }
        // Where the first record is damaged, the last one before the journal is not known, and what
        // the journal begins with is not missing.
        self.next = contents
            .covered
            .map_or(0, |(sequence, _)| sequence.saturating_add(1));
        Ok(contents)
    }

    /// Reads the journal file with this number.
    pub(super) fn file(
        &mut self,
        source: impl Read,
        path: &Path,
        number: u32,
    ) -> Result<Contents, OpenError> {
        let mut contents = Contents::default();
        let mut pieces = Pieces::new(source, number);
        loop {
            let offset = pieces.offset();
            let piece = pieces.next().map_err(|source| OpenError::Io {
                path: path.to_owned(),
                source,
            })?;
            match piece {
                None => return Ok(contents),
                Some(Piece::Frame { sequence, payload }) => {
                    if sequence > 0 {
                        contents.written_bytes += frame_bytes(payload.len()) as u64;
                        self.count(sequence, path, offset);
                    }
                    self.take(payload, path, offset, &mut contents)?;
                }
                Some(Piece::Unfinished { .. }) if number != SNAPSHOT_NUMBER => {}
                Some(Piece::Damage { offset, bytes } | Piece::Unfinished { offset, bytes }) => {
                    contents.written_bytes += bytes;
                    self.fold.note(Damage::Bytes {
                        file: path.to_owned(),
                        offset,
                        bytes,
                    });
                }
            }
        }
    }

    /// Compares a sequence with the one before.
    fn count(&mut self, sequence: u64, path: &Path, offset: u64) {
        if self.next > 0 && sequence > self.next {
            self.fold.note(Damage::Records {
                file: path.to_owned(),
                offset,
                records: sequence - self.next,
            });
        }
        self.next = self.next.max(sequence.saturating_add(1));
    }

    fn take(
        &mut self,
        payload: &[u8],
        path: &Path,
        offset: u64,
        contents: &mut Contents,
    ) -> Result<(), OpenError> {
        match record::decode(payload) {
            Ok(Record::Head(head)) if head.magic == MAGIC => {
                if head.version != VERSION {
                    return Err(OpenError::Version {
                        path: path.to_owned(),
                        found: head.version,
                    });
                }
                contents.covered = Some((head.sequence, head.first_file));
            }
            Ok(Record::End { .. }) => contents.has_end = true,
            Ok(record) => self.fold.apply(record),
            Err(Unreadable::UnknownKind) => self.fold.skip(),
            Err(Unreadable::Malformed) => self.fold.note(Damage::Malformed {
                file: path.to_owned(),
                offset,
            }),
        }
        Ok(())
    }
}

/// Reads the records of a [`Writer`](super::Writer).
///
/// # Errors
///
/// An [`OpenError`], if the source cannot be read or is of another version. Damage is none.
pub fn read(source: impl Read) -> Result<Recovered, OpenError> {
    let mut reader = Reader::new();
    reader.snapshot(source, &PathBuf::new())?;
    Ok(reader.fold.finish())
}

/// Reads a [`SavedFile`](super::SavedFile).
///
/// # Errors
///
/// An [`OpenError`], if the file cannot be read or is of another version. Damage is none.
pub fn read_file(path: &Path) -> Result<Recovered, OpenError> {
    let mut reader = Reader::new();
    reader.snapshot(open(path)?, path)?;
    Ok(reader.fold.finish())
}

pub(super) fn open(path: &Path) -> Result<File, OpenError> {
    let opened: io::Result<File> = File::open(path);
    opened.map_err(|source| OpenError::Io {
        path: path.to_owned(),
        source,
    })
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::journal::{
        frame::{FileTag, Payload},
        record::Head,
    };

    /// Frames with these payloads, as a newer version might write them.
    fn file(payloads: &[Vec<u8>]) -> Vec<u8> {
        let frame = |(sequence, payload): (u64, &Vec<u8>)| {
            let framed = Payload::new(payload).expect("it is short");
            let header = framed.header(FileTag::new(77, SNAPSHOT_NUMBER), sequence);
            let mut frame = [&header[..], payload].concat();
            frame.resize(framed.frame_bytes(), 0);
            frame
        };
        (0..).zip(payloads).flat_map(frame).collect()
    }

    fn encode(record: &Record<'_>) -> Vec<u8> {
        record::encode(record, &mut [], &mut Vec::new()).to_vec()
    }

    fn head(version: u8) -> Vec<u8> {
        encode(&Record::Head(Head {
            magic: MAGIC,
            version,
            sequence: 0,
            first_file: 0,
        }))
    }

    #[test]
    fn kinds_and_fields_of_a_newer_version_are_skipped() {
        let unknown_kind = vec![0xff, 0x7f, 1, 2, 3];
        let mut more_fields = encode(&Record::Options(b"options"));
        more_fields.extend([9; 40]);
        let end = encode(&Record::End { records: 2 });
        let recovered = read(&file(&[head(VERSION), unknown_kind, more_fields, end])[..]).unwrap();
        assert_eq!(recovered.unknown_records, 1);
        assert_eq!(recovered.options.as_deref(), Some(&b"options"[..]));
        assert_eq!(recovered.damage, []);
    }

    #[test]
    fn a_file_of_another_version_is_refused() {
        let error = read(&file(&[head(VERSION + 1)])[..]).unwrap_err();
        let found = VERSION + 1;
        assert!(matches!(error, OpenError::Version { found: version, .. } if version == found));
    }

    #[test]
    fn the_head_of_another_kind_of_file_says_nothing() {
        let foreign = encode(&Record::Head(Head {
            magic: b"of others",
            version: VERSION + 1,
            sequence: 9,
            first_file: 9,
        }));
        let end = encode(&Record::End { records: 1 });
        let (mut reader, bytes) = (Reader::new(), file(&[foreign, end]));
        let contents = reader.snapshot(&bytes[..], Path::new("")).unwrap();
        assert_eq!(contents.covered, None);
    }

    #[test]
    fn records_that_make_no_sense_are_damage() {
        let mut short = encode(&Record::Options(b"options"));
        short.truncate(4);
        let end = encode(&Record::End { records: 1 });
        let recovered = read(&file(&[head(VERSION), short, end])[..]).unwrap();
        assert!(matches!(recovered.damage[..], [Damage::Malformed { .. }]));
    }
}
