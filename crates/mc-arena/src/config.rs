//! Configuration of the process-wide arena; the only reader of the environment in the workspace.
//!
//! | variable | accepted | effect |
//! |---|---|---|
//! | `MC_MMAP_ARENA_POOL_SIZE` | a size; `0`, `false`, `no`, `off`, `disable` | asks for an arena of that size; without it there is none |
//! | `MC_DISABLE_MMAP_ARENA` | a switch | on: no arena, whatever else is set |
//! | `MC_STORE_USE_HUGEPAGE` | a switch | on: huge pages or an error; off: base pages; unset: the arena prefers huge pages, direct buffers use base pages |
//! | `MC_STORE_HUGEPAGE_SIZE` | a size, power of two | the huge page size; unset: chosen by what the system offers |
//!
//! Sizes and switches are those of [`crate::size`]. An empty variable counts as unset, and a value
//! that is not accepted is an error, never a default.

use std::{ffi::OsString, num::NonZeroU64};

use crate::{
    options::PoolOptions,
    pages::{PagePolicy, PageSize},
    size::{self, ParseBytesError},
};

/// Asks for an arena and gives its size.
pub const POOL_SIZE_VARIABLE: &str = "MC_MMAP_ARENA_POOL_SIZE";
/// Turns the arena off.
pub const DISABLE_VARIABLE: &str = "MC_DISABLE_MMAP_ARENA";
/// Demands or forbids huge pages.
pub const USE_HUGEPAGE_VARIABLE: &str = "MC_STORE_USE_HUGEPAGE";
/// Gives the huge page size.
pub const HUGEPAGE_SIZE_VARIABLE: &str = "MC_STORE_HUGEPAGE_SIZE";

const POOL_SIZE_ACCEPTED: &str = "0, false, no, off or disable for none, or a size: a decimal number with an \
     optional fraction and an optional unit such as 8gb, 8Gi or 1.5TiB (all powers of 1024)";
const HUGEPAGE_SIZE_ACCEPTED: &str =
    "a size that is a power of two of at least 4 KiB, such as 2MB, 512MiB or 1GB";
const HUGEPAGE_BYTES_MIN: u64 = 4096;

/// Characters of a refused value that an error repeats: enough to recognize it, few enough for a line.
const VALUE_CHARS_MAX: usize = 64;

/// How the process-wide arena and buffers are set up.
#[cfg_attr(feature = "serde", derive(serde::Serialize, serde::Deserialize))]
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub struct ArenaConfig {
    /// Whether there is an arena, and of what size.
    pub arena: ArenaMode,
    /// Pages of the arena.
    pub arena_pages: PagePolicy,
    /// Pages of buffers that do not come from the arena.
    pub direct_pages: PagePolicy,
}

/// Whether there is an arena.
#[cfg_attr(feature = "serde", derive(serde::Serialize, serde::Deserialize))]
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
#[non_exhaustive]
pub enum ArenaMode {
    /// Nobody asked for one.
    #[default]
    NotRequested,
    /// One was asked for and switched off.
    Disabled,
    /// One over a pool of this size.
    Enabled {
        /// Size of the pool.
        pool_bytes: NonZeroU64,
    },
}

/// A variable with a value that is not accepted.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("{variable}={value:?} is not accepted: use {accepted}")]
#[non_exhaustive]
pub struct ConfigError {
    /// Name of the variable.
    pub variable: &'static str,
    /// The first 64 characters of what it held, with what is not UTF-8 replaced.
    pub value: Box<str>,
    /// What it may hold.
    pub accepted: &'static str,
    /// Why the value is no size, where a size was expected.
    pub source: Option<ParseBytesError>,
}

impl Default for ArenaConfig {
    /// No arena; direct buffers in base pages.
    fn default() -> Self {
        Self {
            arena: ArenaMode::NotRequested,
            arena_pages: PagePolicy::Prefer(PageSize::Auto),
            direct_pages: PagePolicy::Off,
        }
    }
}

impl ArenaConfig {
    /// Sets whether there is an arena.
    #[must_use]
    pub fn arena(self, arena: ArenaMode) -> Self {
        Self { arena, ..self }
    }

    /// Sets the pages of the arena.
    #[must_use]
    pub fn arena_pages(self, arena_pages: PagePolicy) -> Self {
        Self {
            arena_pages,
            ..self
        }
    }

    /// Sets the pages of buffers that do not come from the arena.
    #[must_use]
    pub fn direct_pages(self, direct_pages: PagePolicy) -> Self {
        Self {
            direct_pages,
            ..self
        }
    }

    /// Returns the configuration that the environment of the process describes.
    ///
    /// # Errors
    ///
    /// [`ConfigError`] for the first variable that holds something not accepted.
    pub fn from_env() -> Result<Self, ConfigError> {
        Self::from_variables(read_environment)
    }

    /// Returns the options of the pool behind the arena, with the pages that are configured; `None` if
    /// nobody asked for an arena, or the operator switched it off.
    ///
    /// # Examples
    ///
    /// ```
    /// use mc_arena::{Arena, ArenaConfig};
    ///
    /// let arena = match ArenaConfig::from_env()?.pool_options() {
    ///     Some(options) => Some(Arena::new(options.map()?)?),
    ///     None => None,
    /// };
    /// # Ok::<(), Box<dyn std::error::Error>>(())
    /// ```
    #[must_use]
    pub fn pool_options(&self) -> Option<PoolOptions> {
        match self.arena {
            ArenaMode::NotRequested | ArenaMode::Disabled => None,
            ArenaMode::Enabled { pool_bytes } => {
                Some(PoolOptions::new(pool_bytes.get()).pages(self.arena_pages))
            }
        }
    }

    /// Returns the options of a buffer of `size_bytes` that does not come from the arena.
    pub fn direct_options(&self, size_bytes: u64) -> PoolOptions {
        PoolOptions::new(size_bytes).pages(self.direct_pages)
    }

    /// Returns the configuration that `variable` describes, called with each name once.
    ///
    /// # Errors
    ///
    /// [`ConfigError`] for the first variable that holds something not accepted.
    ///
    /// # Examples
    ///
    /// ```
    /// use mc_arena::config::{ArenaConfig, ArenaMode, POOL_SIZE_VARIABLE};
    ///
    /// let config = ArenaConfig::from_variables(|name| (name == POOL_SIZE_VARIABLE).then(|| "8gb".into()))?;
    /// assert!(matches!(config.arena, ArenaMode::Enabled { pool_bytes } if pool_bytes.get() == 8 << 30));
    /// # Ok::<(), mc_arena::ConfigError>(())
    /// ```
    pub fn from_variables(
        variable: impl Fn(&'static str) -> Option<OsString>,
    ) -> Result<Self, ConfigError> {
        let read = |name| Value::read(name, &variable);
        let pool_bytes = read(POOL_SIZE_VARIABLE)
            .map(|value| value.pool_bytes())
            .transpose()?
            .flatten();
        let is_disabled = read(DISABLE_VARIABLE)
            .map(|value| value.switch())
            .transpose()?
            .unwrap_or(false);
        let use_hugepage = read(USE_HUGEPAGE_VARIABLE)
            .map(|value| value.switch())
            .transpose()?;
        let page_size = read(HUGEPAGE_SIZE_VARIABLE)
            .map(|value| value.page_size())
            .transpose()?
            .unwrap_or_default();

        let arena = match pool_bytes {
            None => ArenaMode::NotRequested,
            Some(_) if is_disabled => ArenaMode::Disabled,
            Some(pool_bytes) => ArenaMode::Enabled { pool_bytes },
        };
        let (arena_pages, direct_pages) = match use_hugepage {
            Some(true) => (
                PagePolicy::Required(page_size),
                PagePolicy::Required(page_size),
            ),
            Some(false) => (PagePolicy::Off, PagePolicy::Off),
            None => (PagePolicy::Prefer(page_size), PagePolicy::Off),
        };
        Ok(Self {
            arena,
            arena_pages,
            direct_pages,
        })
    }
}

/// The text of one variable that is set and not empty.
struct Value {
    variable: &'static str,
    text: String,
}

impl Value {
    fn read(
        variable: &'static str,
        lookup: &impl Fn(&'static str) -> Option<OsString>,
    ) -> Option<Self> {
        let text = lookup(variable)?.to_string_lossy().into_owned();
        (!text.trim().is_empty()).then_some(Self { variable, text })
    }

    fn pool_bytes(&self) -> Result<Option<NonZeroU64>, ConfigError> {
        if size::parse_switch(&self.text) == Some(false) {
            return Ok(None);
        }
        match size::parse_bytes(&self.text) {
            Ok(bytes) => Ok(NonZeroU64::new(bytes)),
            Err(source) => Err(self.refuse(POOL_SIZE_ACCEPTED, Some(source))),
        }
    }

    fn switch(&self) -> Result<bool, ConfigError> {
        size::parse_switch(&self.text).ok_or_else(|| self.refuse(size::SWITCH_ACCEPTED, None))
    }

    fn page_size(&self) -> Result<PageSize, ConfigError> {
        match size::parse_bytes(&self.text) {
            Ok(bytes) if bytes.is_power_of_two() && bytes >= HUGEPAGE_BYTES_MIN => {
                Ok(PageSize::Bytes(bytes))
            }
            Ok(_) => Err(self.refuse(HUGEPAGE_SIZE_ACCEPTED, None)),
            Err(source) => Err(self.refuse(HUGEPAGE_SIZE_ACCEPTED, Some(source))),
        }
    }

    fn refuse(&self, accepted: &'static str, source: Option<ParseBytesError>) -> ConfigError {
        ConfigError {
            variable: self.variable,
            value: self.text.chars().take(VALUE_CHARS_MAX).collect(),
            accepted,
            source,
        }
    }
}

#[expect(
    clippy::disallowed_methods,
    reason = "this is the one place that reads the environment"
)]
fn read_environment(name: &'static str) -> Option<OsString> {
    std::env::var_os(name)
}

#[cfg(test)]
#[cfg(not(loom))]
mod tests {
    use super::*;

    fn config(variables: &[(&str, &str)]) -> Result<ArenaConfig, ConfigError> {
        ArenaConfig::from_variables(|name| {
            variables
                .iter()
                .find(|(variable, _)| *variable == name)
                .map(|(_, value)| value.into())
        })
    }

    fn enabled(pool_bytes: u64) -> ArenaMode {
        ArenaMode::Enabled {
            pool_bytes: NonZeroU64::new(pool_bytes).unwrap(),
        }
    }

    #[track_caller]
    fn check_refused(variable: &'static str, value: &str) {
        let error = config(
            &[(POOL_SIZE_VARIABLE, "1gb"), (variable, value)]
                [usize::from(variable == POOL_SIZE_VARIABLE)..],
        )
        .unwrap_err();
        assert_eq!((error.variable, &*error.value), (variable, value));
        let message = error.to_string();
        assert!(
            message.contains(variable) && message.contains(value) && message.contains("use "),
            "{message}"
        );
    }

    #[test]
    fn nothing_set_means_no_arena() {
        assert_eq!(config(&[]), Ok(ArenaConfig::default()));
        assert_eq!(
            config(&[(POOL_SIZE_VARIABLE, " "), (DISABLE_VARIABLE, "")]),
            Ok(ArenaConfig::default())
        );
    }

    #[test]
    fn a_size_asks_for_the_arena() {
        for (text, bytes) in [
            ("8gb", 8 << 30),
            ("20 GB", 20 << 30),
            ("16GiB", 16 << 30),
            ("1.5tb", 3 << 39),
            ("8Gi", 8 << 30),
            ("512Mi", 512 << 20),
            ("1.5Ti", 3 << 39),
            ("1048576", 1 << 20),
        ] {
            assert_eq!(
                config(&[(POOL_SIZE_VARIABLE, text)]).unwrap().arena,
                enabled(bytes),
                "{text}"
            );
        }
    }

    #[test]
    fn zero_and_off_words_mean_no_arena() {
        for text in ["0", "0gb", "false", "OFF", "no", "disable"] {
            assert_eq!(
                config(&[(POOL_SIZE_VARIABLE, text)]).unwrap().arena,
                ArenaMode::NotRequested,
                "{text}"
            );
        }
    }

    #[test]
    fn disabling_wins() {
        let variables = [(POOL_SIZE_VARIABLE, "8gb"), (DISABLE_VARIABLE, "yes")];
        assert_eq!(config(&variables).unwrap().arena, ArenaMode::Disabled);
        let variables = [(POOL_SIZE_VARIABLE, "8gb"), (DISABLE_VARIABLE, "0")];
        assert_eq!(config(&variables).unwrap().arena, enabled(8 << 30));
    }

    #[test]
    fn what_is_switched_off_has_no_options() {
        let options = |variables: &[_]| config(variables).unwrap().pool_options();
        assert_eq!(options(&[]), None);
        let size = (POOL_SIZE_VARIABLE, "8Gi");
        assert_eq!(options(&[size, (DISABLE_VARIABLE, "1")]), None);
        let expected = PoolOptions::new(8 << 30).pages(PagePolicy::Off);
        assert_eq!(
            options(&[size, (USE_HUGEPAGE_VARIABLE, "0")]),
            Some(expected)
        );
    }

    #[test]
    fn the_huge_page_switch_demands_or_forbids() {
        let pages = |variables: &[_]| {
            config(variables)
                .map(|config| (config.arena_pages, config.direct_pages))
                .unwrap()
        };
        let two_mib = PageSize::Bytes(2 << 20);
        assert_eq!(
            pages(&[
                (USE_HUGEPAGE_VARIABLE, "1"),
                (HUGEPAGE_SIZE_VARIABLE, "2MB")
            ]),
            (PagePolicy::Required(two_mib), PagePolicy::Required(two_mib))
        );
        assert_eq!(
            pages(&[(USE_HUGEPAGE_VARIABLE, "0")]),
            (PagePolicy::Off, PagePolicy::Off)
        );
        assert_eq!(
            pages(&[(HUGEPAGE_SIZE_VARIABLE, "1GiB")]),
            (
                PagePolicy::Prefer(PageSize::Bytes(1 << 30)),
                PagePolicy::Off
            )
        );
    }

    #[test]
    fn bad_values_name_variable_text_and_grammar() {
        for text in ["0x10", "inf", "-1gb", "true", "8 gigs"] {
            check_refused(POOL_SIZE_VARIABLE, text);
        }
        check_refused(DISABLE_VARIABLE, "maybe");
        check_refused(USE_HUGEPAGE_VARIABLE, "2");
        for text in ["3MB", "1kb", "big", "0"] {
            check_refused(HUGEPAGE_SIZE_VARIABLE, text);
        }
    }
}
