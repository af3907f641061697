//! Options of an offset allocator, as numbers that C can give.

#![expect(
    unsafe_code,
    reason = "exported functions have symbols of their own names"
)]

use mc_offset::{Fit, Options};

use crate::fault::Fault;

/// The default rule of placement: good fit guided by the sizes of recent requests.
pub const MC_FIT_ADAPTIVE: u32 = 0;
/// Exact sizes and the tightest of a few holes; quicker where sizes are widely spread.
pub const MC_FIT_GOOD: u32 = 1;
/// The published allocator before its optimization: bins of sizes, exact sizes.
pub const MC_FIT_BIN_EXACT: u32 = 2;
/// The published allocator after its optimization: every request is charged as a bin size.
pub const MC_FIT_BIN_CEIL: u32 = 3;

/// What an offset allocator manages and how it chooses among holes.
///
/// `mc_offset_options_default` fills in all fields.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[repr(C)]
pub struct OffsetOptions {
    /// Address of the first byte of the range; added to offsets where addresses are returned. The
    /// memory is never touched and need not be this machine's.
    pub base: u64,
    /// Bytes of the range, a multiple of the granule, above 0.
    pub capacity: u64,
    /// Bytes to whose multiples requests are charged and placed; a power of two.
    pub granule: u64,
    /// One of the `MC_FIT_` constants.
    pub fit: u32,
    /// Holes that `MC_FIT_GOOD` looks at in a bin, at least 1; 0 for the other fits.
    pub probes: u32,
    /// The most allocations that may be live at once; 0 for no limit.
    pub max_allocations: u32,
    /// Must be 0.
    pub reserved: u32,
}

/// Returns the defaults for `capacity` bytes at `base`: byte granule, adaptive fit, no limit.
///
/// Any thread may call this.
#[unsafe(no_mangle)]
pub extern "C" fn mc_offset_options_default(base: u64, capacity: u64) -> OffsetOptions {
    OffsetOptions {
        base,
        capacity,
        granule: 1,
        fit: MC_FIT_ADAPTIVE,
        probes: 0,
        max_allocations: 0,
        reserved: 0,
    }
}

impl OffsetOptions {
    /// Returns the options as the allocator takes them, which checks the numbers.
    pub(crate) fn options(&self) -> Result<Options, Fault> {
        if self.reserved != 0 {
            return Err(Fault::option("reserved", self.reserved, "0"));
        }
        options(
            self.capacity,
            self.granule,
            self.fit,
            self.probes,
            self.max_allocations,
        )
    }
}

/// Returns the numbers of C as an allocator takes them.
pub(crate) fn options(
    capacity: u64,
    granule: u64,
    fit: u32,
    probes: u32,
    max_allocations: u32,
) -> Result<Options, Fault> {
    let refuse = |option, value: u32, accepted| Err(Fault::option(option, value, accepted));
    let rule = match fit {
        MC_FIT_ADAPTIVE => Fit::Adaptive,
        MC_FIT_GOOD => Fit::Good { probes },
        MC_FIT_BIN_EXACT => Fit::BinExact,
        MC_FIT_BIN_CEIL => Fit::BinCeil,
        fit => return refuse("fit", fit, "one of the MC_FIT_ constants"),
    };
    if fit != MC_FIT_GOOD && probes != 0 {
        return refuse("probes", probes, "0 unless the fit is MC_FIT_GOOD");
    }
    Ok(Options {
        capacity,
        granule,
        fit: rule,
        max_allocations: (max_allocations != 0).then_some(max_allocations),
    })
}
