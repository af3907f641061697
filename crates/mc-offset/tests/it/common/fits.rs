//! The fits that tests run under, and what each rounds.

use mc_offset::{Fit, Options};

/// Every fit, the published ones first.
pub(crate) const FITS: [Fit; 6] = [
    Fit::BinExact,
    Fit::BinCeil,
    Fit::Good { probes: 1 },
    Fit::GOOD,
    Fit::Good { probes: 64 },
    Fit::Adaptive,
];

/// Returns the published bin size that is at most `size`, by arithmetic.
fn published_bin_floor(size: u64) -> u64 {
    if size <= 16 {
        return size;
    }
    let step = 1 << (size.ilog2() - 3);
    size / step * step
}

/// Returns the largest request that `bytes` free ones have room for.
pub(crate) fn largest_request(options: &Options, bytes: u64) -> u64 {
    match options.fit {
        Fit::BinCeil => published_bin_floor(bytes / options.granule) * options.granule,
        _ => bytes,
    }
}
