//! Pages: how large, which ones may back a pool, and which ones do.

use std::{fmt, str::FromStr};

use crate::{
    size::{ExactBytes, parse_bytes},
    words::{self, ParsePolicyError},
};

/// Size of the huge pages to use.
#[cfg_attr(feature = "serde", derive(serde::Serialize, serde::Deserialize))]
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
#[non_exhaustive]
pub enum PageSize {
    /// The largest size that the system has enough free pages of and to which rounding adds at most a
    /// sixteenth.
    #[default]
    Auto,
    /// Pages of exactly this many bytes, such as 2 MiB, 32 MiB, 512 MiB or 1 GiB.
    Bytes(u64),
}

/// Which pages back a pool, and what may happen when they are not to be had.
#[cfg_attr(feature = "serde", derive(serde::Serialize, serde::Deserialize))]
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[non_exhaustive]
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
#[cfg_attr(feature = "serde", derive(serde::Serialize, serde::Deserialize))]
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[non_exhaustive]
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

const SIZES_ACCEPTED: &str = "auto, or a size that is a power of two, such as 2Mi or 1Gi";
const POLICIES_ACCEPTED: &str = "prefer, required, prefer:SIZE, required:SIZE, transparent or off";

/// Reads `auto`, or a size of [`crate::size`] that is a power of two.
impl FromStr for PageSize {
    type Err = ParsePolicyError;

    fn from_str(text: &str) -> Result<Self, Self::Err> {
        if text.trim().eq_ignore_ascii_case("auto") {
            return Ok(Self::Auto);
        }
        let bytes = parse_bytes(text)
            .ok()
            .filter(|bytes| bytes.is_power_of_two());
        bytes
            .map(Self::Bytes)
            .ok_or_else(|| ParsePolicyError::new(text, SIZES_ACCEPTED))
    }
}

/// Reads `prefer` or `required`, both optionally with a colon and a page size, `transparent` or `off`.
impl FromStr for PagePolicy {
    type Err = ParsePolicyError;

    fn from_str(text: &str) -> Result<Self, Self::Err> {
        let (word, size) = words::split(text);
        let refused = || ParsePolicyError::new(text, POLICIES_ACCEPTED);
        let page_size = || size.map_or(Ok(PageSize::Auto), str::parse);
        match (word.as_str(), size) {
            ("prefer", _) => page_size().map(Self::Prefer),
            ("required", _) => page_size().map(Self::Required),
            ("transparent", None) => Ok(Self::Transparent),
            ("off", None) => Ok(Self::Off),
            _ => Err(refused()),
        }
        .map_err(|_| refused())
    }
}

impl fmt::Display for PageSize {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match *self {
            Self::Auto => f.write_str("auto"),
            Self::Bytes(bytes) => ExactBytes(bytes).fmt(f),
        }
    }
}

impl fmt::Display for PagePolicy {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match *self {
            Self::Required(PageSize::Auto) => f.write_str("required"),
            Self::Required(size) => write!(f, "required:{size}"),
            Self::Prefer(PageSize::Auto) => f.write_str("prefer"),
            Self::Prefer(size) => write!(f, "prefer:{size}"),
            Self::Transparent => f.write_str("transparent"),
            Self::Off => f.write_str("off"),
        }
    }
}

#[cfg(test)]
#[cfg(not(loom))]
mod tests {
    use super::*;

    #[test]
    fn policies_are_read_as_they_are_printed() {
        let two_mib = PageSize::Bytes(2 << 20);
        for (policy, text) in [
            (PagePolicy::Required(PageSize::Auto), "required"),
            (PagePolicy::Required(two_mib), "required:2MiB"),
            (PagePolicy::Prefer(PageSize::Auto), "prefer"),
            (PagePolicy::Prefer(PageSize::Bytes(1 << 30)), "prefer:1GiB"),
            (PagePolicy::Transparent, "transparent"),
            (PagePolicy::Off, "off"),
        ] {
            assert_eq!(policy.to_string(), text);
            assert_eq!(text.parse(), Ok(policy));
        }
        assert_eq!(" Prefer : 2Mi ".parse(), Ok(PagePolicy::Prefer(two_mib)));
        assert_eq!(
            "required:auto".parse(),
            Ok(PagePolicy::Required(PageSize::Auto))
        );
    }

    #[test]
    fn other_words_are_refused_by_name() {
        for text in [
            "",
            "huge",
            "off:2Mi",
            "prefer:3Mi",
            "prefer:",
            "required:huge",
        ] {
            let error = text.parse::<PagePolicy>().unwrap_err();
            assert_eq!((&*error.value, error.accepted), (text, POLICIES_ACCEPTED));
        }
        assert!("3Mi".parse::<PageSize>().is_err());
    }

    #[test]
    fn rounding_is_tight_up_to_a_sixteenth() {
        assert!(is_tight(16 << 20, 1 << 20));
        assert!(is_tight((16 << 20) - 1, 1 << 20));
        assert!(is_tight((15 << 20) + (1 << 18), 1 << 20));
        assert!(!is_tight((8 << 20) + 1, 1 << 20));
        assert!(!is_tight(u64::MAX, 1 << 20));
    }
}
