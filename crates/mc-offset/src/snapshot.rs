//! The state of an allocator as a value, and that value as bytes.
//!
//! A snapshot holds the options and the live allocations, nothing that is
//! derived from them: tables are rebuilt by `restore.rs`. The format is the
//! table at [`Snapshot`].

use alloc::vec::Vec;

use crate::{
    allocation::Allocation,
    allocator::OffsetAllocator,
    error::{RestoreEntry, RestoreError, SnapshotError},
    fit::Fit,
    options::Options,
    restore::Sweep,
};

const MAGIC: [u8; 8] = *b"mcoffset";
const VERSION: u32 = 1;

/// Mark, version, fit with parameter, limit, then capacity, granule, count.
const HEADER_BYTES: usize = MAGIC.len() + 4 * size_of::<u32>() + 3 * size_of::<u64>();
/// Offset and size.
const ENTRY_BYTES: usize = 2 * size_of::<u64>();
const CHECKSUM_BYTES: usize = size_of::<u32>();

/// The limit of an allocator that has none; options refuse a limit of 0.
const NO_LIMIT: u32 = 0;

/// The options of an allocator and its live allocations in address order.
///
/// Every snapshot can be restored: its allocations fit its options. To restore
/// it under others, as another fit, give its [`entries`](Self::entries) to
/// [`OffsetAllocator::restore_from`].
///
/// # Format
///
/// [`encode`](Self::encode) writes 52 bytes and 16 more per allocation, all
/// numbers little-endian:
///
/// | field | bytes | meaning |
/// |---|---|---|
/// | mark | 8 | `mcoffset` in ASCII |
/// | version | 4 | 1 |
/// | fit | 4 | 0 `BinExact`, 1 `BinCeil`, 2 `Good`, 3 `Adaptive` |
/// | fit parameter | 4 | the probes of `Good`; 0 for the others |
/// | limit | 4 | most live allocations; 0 for no limit |
/// | capacity | 8 | bytes of the address range |
/// | granule | 8 | bytes |
/// | count | 8 | allocations that follow |
/// | offset, size | 8 + 8 each | the allocations by ascending offset, with the size asked for |
/// | checksum | 4 | CRC-32 (IEEE 802.3) of all bytes before |
///
/// The length follows from the count, so that no cut and no appended byte
/// passes. The checksum finds every damage within four consecutive bytes, and
/// all but one in 2^32 of any other. Equal snapshots have equal bytes, and no
/// other bytes decode to them.
///
/// # Examples
///
/// ```
/// use mc_offset::{OffsetAllocator, Snapshot};
///
/// let mut allocator = OffsetAllocator::new(1 << 20)?;
/// let object = allocator.allocate(1000)?;
/// let bytes = allocator.snapshot().encode();
///
/// let (mut restored, tokens) = Snapshot::decode(&bytes)?.restore()?;
/// assert_eq!(tokens[0].offset(), object.offset());
/// assert!(restored.free(object).is_err(), "tokens are not carried over");
/// restored.free(tokens[0])?;
/// # Ok::<(), Box<dyn std::error::Error>>(())
/// ```
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Snapshot {
    /// Valid.
    options: Options,
    /// Offset and requested size, in address order; what the options charge
    /// for them is disjoint and inside the capacity.
    entries: Vec<(u64, u64)>,
}

impl OffsetAllocator {
    /// Returns the options and the live allocations as a value, in time linear
    /// in the number of nodes.
    pub fn snapshot(&self) -> Snapshot {
        let mut entries = Vec::with_capacity(self.allocation_count() as usize);
        let live = self.allocations();
        entries.extend(live.map(|allocation| (allocation.offset(), allocation.size())));
        Snapshot {
            options: *self.options(),
            entries,
        }
    }
}

impl Snapshot {
    /// Returns the options of the allocator.
    pub fn options(&self) -> &Options {
        &self.options
    }

    /// Returns offset and requested size of every allocation, in address
    /// order.
    pub fn entries(&self) -> impl ExactSizeIterator<Item = (u64, u64)> + '_ {
        self.entries.iter().copied()
    }

    /// Makes an allocator in this state, with tokens in address order.
    ///
    /// It has the same allocations and holes. Which of several equal holes it
    /// takes next may differ, as that depends on when they became holes.
    ///
    /// # Errors
    ///
    /// [`RestoreError::OutOfMemory`].
    pub fn restore(&self) -> Result<(OffsetAllocator, Vec<Allocation>), RestoreError> {
        OffsetAllocator::restore_from(self.options, self.entries())
    }

    /// Returns the bytes from which [`decode`](Self::decode) makes an equal
    /// snapshot.
    pub fn encode(&self) -> Vec<u8> {
        let Options {
            capacity,
            granule,
            fit,
            max_allocations,
        } = self.options;
        let (fit, fit_parameter) = fit.to_code();
        let limit = max_allocations.unwrap_or(NO_LIMIT);
        let length = HEADER_BYTES + self.entries.len() * ENTRY_BYTES + CHECKSUM_BYTES;
        let mut bytes = Vec::with_capacity(length);
        bytes.extend(MAGIC);
        for field in [VERSION, fit, fit_parameter, limit] {
            bytes.extend(field.to_le_bytes());
        }
        for field in [capacity, granule, self.entries.len() as u64] {
            bytes.extend(field.to_le_bytes());
        }
        for &(offset, size) in &self.entries {
            bytes.extend(offset.to_le_bytes());
            bytes.extend(size.to_le_bytes());
        }
        bytes.extend(crc32fast::hash(&bytes).to_le_bytes());
        debug_assert_eq!(bytes.len(), length);
        bytes
    }

    /// Reads what [`encode`](Self::encode) wrote.
    ///
    /// Reserves no more memory than `bytes` has, and that only once mark,
    /// version, length and checksum are right.
    ///
    /// # Errors
    ///
    /// A [`SnapshotError`] for all bytes that are not exactly the encoding of
    /// a snapshot.
    pub fn decode(bytes: &[u8]) -> Result<Self, SnapshotError> {
        let (header, entries) = unseal(bytes)?;
        let options = header.options()?;
        let entries = read_entries(&options, entries)?;
        Ok(Self { options, entries })
    }
}

/// The fields of the header behind mark and version, not yet checked.
struct Header {
    fit: u32,
    fit_parameter: u32,
    limit: u32,
    capacity: u64,
    granule: u64,
    count: u64,
}

impl Header {
    /// Takes the fields off the front; `None` if they are cut.
    fn take(bytes: &mut &[u8]) -> Option<Self> {
        Some(Self {
            fit: take_u32(bytes)?,
            fit_parameter: take_u32(bytes)?,
            limit: take_u32(bytes)?,
            capacity: take_u64(bytes)?,
            granule: take_u64(bytes)?,
            count: take_u64(bytes)?,
        })
    }

    /// Returns the bytes of the whole snapshot.
    fn snapshot_bytes(&self) -> u64 {
        let frame = (HEADER_BYTES + CHECKSUM_BYTES) as u64;
        self.count
            .saturating_mul(ENTRY_BYTES as u64)
            .saturating_add(frame)
    }

    fn options(&self) -> Result<Options, SnapshotError> {
        let fit = Fit::from_code(self.fit, self.fit_parameter);
        let options = Options {
            capacity: self.capacity,
            granule: self.granule,
            fit: fit.ok_or(SnapshotError::UnknownFit {
                code: self.fit,
                parameter: self.fit_parameter,
            })?,
            max_allocations: (self.limit != NO_LIMIT).then_some(self.limit),
        };
        options.validate().map_err(RestoreError::from)?;
        Ok(options)
    }
}

/// Checks that `bytes` are a whole and undamaged snapshot; returns its header
/// and the bytes of its entries.
fn unseal(bytes: &[u8]) -> Result<(Header, &[u8]), SnapshotError> {
    let wrong_length = |expected_bytes| SnapshotError::WrongLength {
        expected_bytes,
        actual_bytes: bytes.len() as u64,
    };
    let cut = || wrong_length((HEADER_BYTES + CHECKSUM_BYTES) as u64);
    let (magic, mut rest) = bytes.split_first_chunk().ok_or_else(cut)?;
    if *magic != MAGIC {
        return Err(SnapshotError::NotSnapshot);
    }
    let version = take_u32(&mut rest).ok_or_else(cut)?;
    if version != VERSION {
        return Err(SnapshotError::UnknownVersion {
            version,
            supported: VERSION,
        });
    }
    let header = Header::take(&mut rest).ok_or_else(cut)?;
    if header.snapshot_bytes() != bytes.len() as u64 {
        return Err(wrong_length(header.snapshot_bytes()));
    }
    let (covered, checksum) = bytes.split_last_chunk().ok_or_else(cut)?;
    let (stored, computed) = (u32::from_le_bytes(*checksum), crc32fast::hash(covered));
    if stored != computed {
        return Err(SnapshotError::Checksum { stored, computed });
    }
    Ok((header, &covered[HEADER_BYTES..]))
}

/// Reads the entries and checks what is promised of them.
fn read_entries(options: &Options, mut bytes: &[u8]) -> Result<Vec<(u64, u64)>, SnapshotError> {
    let mut entries: Vec<(u64, u64)> = Vec::new();
    let reserved = entries.try_reserve_exact(bytes.len() / ENTRY_BYTES);
    reserved.map_err(|_| SnapshotError::OutOfMemory)?;
    let mut sweep = Sweep::default();
    while let (Some(offset), Some(size)) = (take_u64(&mut bytes), take_u64(&mut bytes)) {
        let entry = RestoreEntry {
            position: entries.len(),
            offset,
            size,
        };
        if let Some(&(offset_before, _)) = entries.last()
            && offset < offset_before
        {
            return Err(SnapshotError::Unsorted {
                entry,
                offset_before,
            });
        }
        sweep.pass(entry, entry.charge(options)?)?;
        entries.push((offset, size));
    }
    Ok(entries)
}

/// Takes the next number off the front.
fn take_u32(bytes: &mut &[u8]) -> Option<u32> {
    let (field, rest) = bytes.split_first_chunk()?;
    *bytes = rest;
    Some(u32::from_le_bytes(*field))
}

/// Takes the next number off the front.
fn take_u64(bytes: &mut &[u8]) -> Option<u64> {
    let (field, rest) = bytes.split_first_chunk()?;
    *bytes = rest;
    Some(u64::from_le_bytes(*field))
}
