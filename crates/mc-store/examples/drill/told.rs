//! What a process says of what it does with its objects.

use mc_segment::PlacedBuffer;
use rand::RngExt as _;
use rand_xoshiro::{Xoshiro256PlusPlus, rand_core::SeedableRng as _};

/// Bytes that are drawn at a time.
const WORD: usize = 8;

/// An object as it should be.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Stored {
    pub(crate) version: u64,
    pub(crate) size: u64,
}

impl Stored {
    /// Returns the bytes of the object, which no other object and no other version has.
    pub(crate) fn contents(self, key: u64) -> Vec<u8> {
        let size = usize::try_from(self.size).unwrap_or(usize::MAX);
        let mut random = Xoshiro256PlusPlus::seed_from_u64(key << 40 ^ self.version);
        let words = size.div_ceil(WORD);
        let mut bytes: Vec<u8> = (0..words)
            .flat_map(|_| random.random::<u64>().to_le_bytes())
            .collect();
        bytes.truncate(size);
        bytes
    }

    /// Says whether all readable replicas of an object have these bytes.
    pub(crate) fn is_whole<'a>(
        self,
        key: u64,
        replicas: impl Iterator<Item = &'a PlacedBuffer>,
    ) -> bool {
        let expected = self.contents(key);
        let mut count = 0;
        let whole = replicas
            .filter(|replica| replica.is_readable())
            .all(|replica| {
                count += 1;
                let mut bytes = vec![0; expected.len()];
                replica.size() == self.size
                    && replica.read_at(0, &mut bytes).is_ok()
                    && bytes == expected
            });
        whole && count > 0
    }
}

/// A step of a life, as it is told: before it is done, and what came of it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Told {
    /// A put begins.
    Put(u64, Stored),
    /// The put that began is committed.
    Committed,
    /// A removal begins.
    Remove(u64),
    /// Something begins that may move objects, and evict others on the way.
    Move,
    /// An object left.
    Left(u64),
    Pinned(u64),
    Unpinned(u64),
    /// What began is over.
    Done,
}

impl Told {
    pub(crate) fn to_line(self, thread: u64) -> String {
        let step = match self {
            Self::Put(key, Stored { version, size }) => format!("put {key} {version} {size}"),
            Self::Committed => "committed".to_owned(),
            Self::Remove(key) => format!("remove {key}"),
            Self::Move => "move".to_owned(),
            Self::Left(key) => format!("left {key}"),
            Self::Pinned(key) => format!("pinned {key}"),
            Self::Unpinned(key) => format!("unpinned {key}"),
            Self::Done => "done".to_owned(),
        };
        format!("{thread} {step}")
    }

    /// Returns the thread that told it, too.
    pub(crate) fn from_line(line: &str) -> Option<(u64, Self)> {
        let mut words = line.split(' ');
        let thread = words.next()?.parse().ok()?;
        let word = words.next()?;
        let mut number = || words.next()?.parse().ok();
        let told = match word {
            "put" => {
                let (key, version, size) = (number()?, number()?, number()?);
                Self::Put(key, Stored { version, size })
            }
            "committed" => Self::Committed,
            "remove" => Self::Remove(number()?),
            "move" => Self::Move,
            "left" => Self::Left(number()?),
            "pinned" => Self::Pinned(number()?),
            "unpinned" => Self::Unpinned(number()?),
            "done" => Self::Done,
            _ => return None,
        };
        Some((thread, told))
    }
}
