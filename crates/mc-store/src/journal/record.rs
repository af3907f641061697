//! What the frames of a journal hold.
//!
//! A record is encoded by postcard: the number of its kind, then its fields. Readers skip kinds that
//! they do not know, and bytes behind the fields that they know; so a new field goes behind the others,
//! and a new kind behind the other kinds.

use std::time::Duration;

use mc_segment::{BufferDescriptor, Extent, SegmentId, SegmentInfo, SegmentState};
use serde::{Deserialize, Serialize};
use smallvec::SmallVec;

/// Something that happened in a store, or is so.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[non_exhaustive]
pub enum Record<'a> {
    /// The first of each file.
    #[serde(borrow)]
    Head(Head<'a>),
    /// The last of a file that was written in one go.
    End {
        /// Records between the first and this one.
        records: u64,
    },
    /// The options of the store, as it encodes them.
    Options(&'a [u8]),
    /// A segment is mounted, or has another state than before.
    Mounted {
        /// Its identity.
        #[serde(with = "number")]
        segment: SegmentId,
        /// What it is, see [`encode_segment`]. Places in an older incarnation of
        /// its memory are void.
        document: &'a [u8],
    },
    /// A segment is gone, and what was in it.
    Unmounted {
        /// Its identity.
        #[serde(with = "number")]
        segment: SegmentId,
    },
    /// Space is taken by a put that is not committed.
    Reserved(Reservation<'a>),
    /// An object is stored under its key, in the place of any that was.
    Committed(ObjectRecord<'a>),
    /// A put was given up, and its space is free.
    Aborted {
        /// Its number.
        put: u64,
    },
    /// No object is stored under the key any more.
    Removed {
        /// The key.
        key: &'a [u8],
        /// Why, as the store counts causes.
        cause: u8,
    },
    /// A replica of an object is elsewhere now, or is one more.
    Moved {
        /// The key.
        key: &'a [u8],
        /// Where the replica was; none if it is one more.
        from: Option<Spot>,
        /// Where it is.
        place: Place,
    },
    /// An object is pinned, or is not any more.
    Pinned {
        /// The key.
        key: &'a [u8],
        /// Which of both.
        is_pinned: bool,
    },
    /// An object has a timed lease, or none any more.
    Leased {
        /// The key.
        key: &'a [u8],
        /// The end of the lease, since 1970: the latest holds. Zero ends all that
        /// were told of.
        until: Duration,
    },
    /// A tenant has this quota from now on.
    Tenant {
        /// Its name.
        name: &'a str,
        /// Bytes that it is sure of.
        guaranteed: u64,
        /// The most bytes that it may have.
        most: Option<u64>,
    },
}

/// What a file is.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[non_exhaustive]
pub struct Head<'a> {
    /// Tells these files from others.
    pub(super) magic: &'a [u8],
    /// The version of the format; see [`VERSION`].
    pub(super) version: u8,
    /// In a snapshot: the sequence of the last record before it was begun, and
    /// the number of the first journal file that it does not cover.
    pub(super) sequence: u64,
    pub(super) first_file: u32,
}

/// Space that a put has.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Reservation<'a> {
    /// The number of the put, which no other put of the directory has.
    pub put: u64,
    /// The key.
    pub key: &'a [u8],
    /// When the put has to be committed, since 1970.
    pub deadline: Duration,
    /// The space of each replica.
    pub places: Places,
}

/// An object that is stored.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct ObjectRecord<'a> {
    /// The number of the put that is done with it; 0 if it has no reservation.
    pub put: u64,
    /// The key.
    pub key: &'a [u8],
    /// Bytes of each part.
    pub parts: SmallVec<[u64; 1]>,
    /// What binds later moves.
    #[serde(borrow)]
    pub terms: SavedTerms<'a>,
    /// Where each replica is.
    pub places: Places,
    /// Checksum of the bytes.
    pub checksum: Option<u32>,
    /// Whether it is pinned.
    pub is_pinned: bool,
    /// The end of its timed lease, since 1970; zero if it has none.
    pub leased_until: Duration,
    /// Whose it is, and what was said of its leaving. Behind the others, and only
    /// if there is something to say.
    #[serde(skip)]
    pub hints: SavedHints<'a>,
}

/// Whose an object is, and what its put has said of its leaving.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct SavedHints<'a> {
    /// The name of the tenant.
    pub tenant: Option<&'a str>,
    /// Lower ones leave first.
    pub priority: i8,
    /// Until when it is kept if that can be, since 1970; zero if it is not.
    pub keep_until: Duration,
    /// The time to compute it again; zero if it is not known.
    pub cost: Duration,
}

/// What of a request for space binds every later move.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct SavedTerms<'a> {
    /// Power of two at whose multiples the addresses of all pieces are.
    pub align: u64,
    /// Pieces that a replica may be in.
    pub max_extents: u32,
    /// Copies that are wanted.
    pub replicas: u32,
    /// Copies that will do.
    pub replicas_least: u32,
    /// The host of the writer; empty if it is not known.
    pub host: &'a str,
    /// Segments that must not be used.
    #[serde(with = "numbers")]
    pub excluded: Vec<SegmentId>,
}

/// Where the replicas of an object are; nearly always one.
pub type Places = SmallVec<[Place; 1]>;

/// Where one replica of an object is.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Place {
    /// The segment.
    #[serde(with = "number")]
    pub segment: SegmentId,
    /// The incarnation of the segment's memory.
    pub epoch: u64,
    /// The pieces in the order of the bytes.
    pub extents: SmallVec<[Extent; 1]>,
}

/// Where a replica begins, which tells it from all others that there are at a time.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Spot {
    /// The segment.
    #[serde(with = "number")]
    pub segment: SegmentId,
    /// The address of the first byte.
    pub address: u64,
}

/// The version that is written, and the only one that is read.
pub(super) const VERSION: u8 = 1;

pub(super) const MAGIC: &[u8] = b"mc-store";

/// Bytes that most records are shorter than.
pub(super) const BUFFER_BYTES: usize = 512;

/// Kinds of records that are known: the number of the last one.
const KIND_MAX: u32 = 12;

/// Why a payload is no record.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Unreadable {
    /// It is of a kind that a newer version writes.
    UnknownKind,
    /// The fields are not those of its kind.
    Malformed,
}

impl From<&BufferDescriptor> for Place {
    fn from(descriptor: &BufferDescriptor) -> Self {
        Self {
            segment: descriptor.segment,
            epoch: descriptor.epoch,
            extents: descriptor.extents.iter().copied().collect(),
        }
    }
}

impl Place {
    /// Returns where the place begins, unless it has no piece.
    #[must_use]
    pub fn spot(&self) -> Option<Spot> {
        let first = self.extents.first()?;
        Some(Spot {
            segment: self.segment,
            address: first.address,
        })
    }

    /// Returns the descriptor of the place, which is in this segment.
    #[must_use]
    pub fn descriptor(&self, info: &SegmentInfo) -> BufferDescriptor {
        BufferDescriptor {
            segment: self.segment,
            epoch: self.epoch,
            address: self.extents.first().map_or(0, |extent| extent.address),
            size: self.extents.iter().map(|extent| extent.size).sum(),
            protocol: info.protocol.clone(),
            endpoint: info.endpoint.clone(),
            extents: self.extents.to_vec(),
        }
    }
}

impl Record<'_> {
    /// Returns whether much else is worth nothing without the record, so that it is written twice.
    pub(super) fn is_vital(&self) -> bool {
        matches!(
            self,
            Self::Options(_) | Self::Mounted { .. } | Self::Unmounted { .. } | Self::Tenant { .. }
        )
    }

    /// Returns what goes behind the fields of the record, if anything does.
    fn hints(&self) -> Option<&SavedHints<'_>> {
        match self {
            Self::Committed(object) if object.hints != SavedHints::default() => Some(&object.hints),
            _ => None,
        }
    }
}

/// Encodes a record into a buffer, or into `spill` if it is longer.
pub(super) fn encode<'b>(
    record: &Record<'_>,
    buffer: &'b mut [u8],
    spill: &'b mut Vec<u8>,
) -> &'b [u8] {
    // The length is not known before, and most records fit.
    if let Ok(len) = encode_into(record, buffer) {
        return &buffer[..len];
    }
    *spill = postcard::to_stdvec(record).unwrap_or_default();
    if let Some(hints) = record.hints() {
        spill.extend(postcard::to_stdvec(hints).unwrap_or_default());
    }
    spill
}

fn encode_into(record: &Record<'_>, buffer: &mut [u8]) -> Result<usize, postcard::Error> {
    let len = postcard::to_slice(record, buffer)?.len();
    let more = match record.hints() {
        Some(hints) => postcard::to_slice(hints, &mut buffer[len..])?.len(),
        None => 0,
    };
    Ok(len + more)
}

/// Reads the record of a payload.
pub(super) fn decode(payload: &[u8]) -> Result<Record<'_>, Unreadable> {
    match postcard::take_from_bytes::<u32>(payload) {
        Ok((kind, _)) if kind > KIND_MAX => return Err(Unreadable::UnknownKind),
        Ok(_) | Err(_) => {}
    }
    let read = postcard::take_from_bytes(payload);
    let (mut record, rest) = read.map_err(|_| Unreadable::Malformed)?;
    if let Record::Committed(object) = &mut record
        && !rest.is_empty()
    {
        // Whatever a newer version has put there instead, the object is whole.
        let hints = postcard::take_from_bytes(rest);
        object.hints = hints.map(|(hints, _)| hints).unwrap_or_default();
    }
    Ok(record)
}

/// Returns the document of a segment for [`Record::Mounted`]: JSON, which keeps
/// the names of fields, so that those of another version can be told apart.
///
/// # Panics
///
/// Never: numbers and texts can be encoded.
#[must_use]
pub fn encode_segment(info: &SegmentInfo, state: SegmentState) -> Vec<u8> {
    serde_json::to_vec(&(state, info)).expect("numbers and texts can be encoded")
}

/// Reads the document of a segment.
pub(super) fn decode_segment(document: &[u8]) -> Option<(SegmentInfo, SegmentState)> {
    let (state, info) = serde_json::from_slice::<(SegmentState, SegmentInfo)>(document).ok()?;
    Some((info, state))
}

/// An identity as the bytes of its number: shorter than the digits that it is otherwise, and read and
/// written faster.
mod number {
    use serde::{Deserialize, Deserializer, Serializer, de};

    use super::SegmentId;

    pub(super) fn serialize<S: Serializer>(id: &SegmentId, to: S) -> Result<S::Ok, S::Error> {
        to.serialize_bytes(&id.0.to_le_bytes())
    }

    pub(super) fn deserialize<'de, D: Deserializer<'de>>(from: D) -> Result<SegmentId, D::Error> {
        let bytes = <&[u8]>::deserialize(from)?;
        let bytes = bytes.try_into().map_err(de::Error::custom)?;
        Ok(SegmentId(u128::from_le_bytes(bytes)))
    }
}

/// The same for several.
mod numbers {
    use serde::{Deserialize, Deserializer, Serializer};

    use super::SegmentId;

    pub(super) fn serialize<S: Serializer>(ids: &[SegmentId], to: S) -> Result<S::Ok, S::Error> {
        to.collect_seq(ids.iter().map(|id| id.0))
    }

    pub(super) fn deserialize<'de, D: Deserializer<'de>>(
        from: D,
    ) -> Result<Vec<SegmentId>, D::Error> {
        let numbers = Vec::<u128>::deserialize(from)?;
        Ok(numbers.into_iter().map(SegmentId).collect())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_last_kind_is_known() {
        let last = Record::Tenant {
            name: "",
            guaranteed: 0,
            most: None,
        };
        let bytes = encode(&last, &mut [], &mut Vec::new()).to_vec();
        assert_eq!(u32::from(bytes[0]), KIND_MAX);
    }

    fn object(hints: SavedHints<'_>) -> Record<'_> {
        Record::Committed(ObjectRecord {
            put: 7,
            key: b"key",
            parts: [5, 6].into_iter().collect(),
            terms: SavedTerms {
                align: 1,
                max_extents: 1,
                replicas: 1,
                replicas_least: 1,
                host: "",
                excluded: Vec::new(),
            },
            places: Places::new(),
            checksum: None,
            is_pinned: false,
            leased_until: Duration::ZERO,
            hints,
        })
    }

    #[test]
    fn hints_take_bytes_only_where_there_are_some_and_are_read_again() {
        let name = "t".repeat(BUFFER_BYTES);
        let encoded = |hints| {
            let mut buffer = [0; BUFFER_BYTES];
            encode(&object(hints), &mut buffer, &mut Vec::new()).to_vec()
        };
        let without = encoded(SavedHints::default());
        for tenant in [None, Some("a"), Some(&name[..])] {
            let hints = SavedHints {
                tenant,
                priority: -3,
                keep_until: Duration::from_secs(9),
                cost: Duration::from_millis(5),
            };
            let with = encoded(hints);
            // What reads no hints finds the same record.
            assert_eq!(with[..without.len()], without);
            assert_eq!(decode(&with), Ok(object(hints)));
        }
        assert_eq!(decode(&without), Ok(object(SavedHints::default())));
        let other = [&without[..], &[0xff; 3]].concat();
        assert_eq!(decode(&other), Ok(object(SavedHints::default())));
    }
}
