//! Pages: how large, which ones may back a pool, and which ones do.

use std::fmt;

/// Size of the huge pages to use.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum PageSize {
    /// The largest size that the system has enough free pages of and to which rounding adds at most a
    /// sixteenth.
    #[default]
    Auto,
    /// Pages of exactly this many bytes, such as 2 MiB, 32 MiB, 512 MiB or 1 GiB.
    Bytes(u64),
}

/// Which pages back a pool, and what may happen when they are not to be had.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum PagePolicy {
    /// Reserved huge pages or an error; never anything less.
    Required(PageSize),
    /// Reserved huge pages of this size, or of the largest that suits the pool, else of smaller ones, else
    /// transparent ones, else base pages. Pages that the size would have to be rounded up to by more than
    /// a sixteenth are passed over. Each step down is part of one warning that says why.
    Prefer(PageSize),
    /// Transparent huge pages, else base pages with a warning.
    Transparent,
    /// Base pages, also where the system would use transparent huge pages by itself.
    Off,
}

/// The pages a pool obtained, best first.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Tier {
    /// Reserved huge pages of this size.
    Hugetlb {
        /// Size of one page.
        page_bytes: u64,
    },
    /// Base pages that the kernel gathers into huge ones.
    Transparent,
    /// Base pages.
    Base,
    /// Memory that was taken over, in whatever pages its owner has it.
    Foreign,
}

/// Says whether rounding `bytes` up to pages of `page_bytes` adds at most a sixteenth.
pub(crate) fn is_tight(bytes: u64, page_bytes: u64) -> bool {
    bytes
        .checked_next_multiple_of(page_bytes)
        .is_some_and(|rounded| rounded - bytes <= bytes / 16)
}

impl PagePolicy {
    /// Says whether a pool of this policy may lie in pages that it cannot choose.
    pub(crate) fn admits(self, tier: Tier) -> bool {
        match (self, tier) {
            (Self::Required(PageSize::Bytes(wanted)), Tier::Hugetlb { page_bytes }) => {
                wanted == page_bytes
            }
            (Self::Required(_), tier) => matches!(tier, Tier::Hugetlb { .. }),
            (Self::Off, tier) => !matches!(tier, Tier::Hugetlb { .. }),
            (Self::Prefer(_) | Self::Transparent, _) => true,
        }
    }
}

impl fmt::Display for Tier {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Hugetlb { page_bytes } => write!(f, "reserved huge pages of {page_bytes} bytes"),
            Self::Transparent => f.write_str("transparent huge pages"),
            Self::Base => f.write_str("base pages"),
            Self::Foreign => f.write_str("memory of another owner"),
        }
    }
}
