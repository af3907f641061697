//! Why a request was not served.

use crate::{error::PlaceError, mounted::Mounted, request::Request, table::Table};

/// Says why too few replicas were placed.
#[cold]
pub(super) fn refusal(table: &Table, request: &Request<'_>, placed: usize) -> PlaceError {
    let (asked, align, required) = (request.size, request.align, request.replicas.least());
    let is_open = |mounted: &Mounted| !request.excluded.contains(&mounted.info().id);
    let open: Vec<_> = table
        .entries
        .iter()
        .filter(|entry| is_open(&entry.mounted))
        .collect();
    let able: Vec<_> = open
        .iter()
        .filter(|entry| entry.could_take(asked, align))
        .collect();
    if able.is_empty() {
        return PlaceError::NoSegment {
            asked,
            align,
            segments: open.len(),
            largest_bytes: open
                .iter()
                .map(|entry| entry.mounted.largest_chunk())
                .max()
                .unwrap_or(0),
        };
    }
    let mut names: Vec<_> = able.iter().map(|entry| entry.name).collect();
    names.sort_unstable();
    names.dedup();
    if names.len() < required as usize {
        return PlaceError::TooFewNames {
            asked,
            required,
            names: names.len(),
        };
    }
    let holes = able.iter().map(|entry| entry.recent_largest_hole());
    let free = able.iter().map(|entry| entry.recent_free_bytes());
    PlaceError::NoSpace {
        asked,
        required,
        placed: u32::try_from(placed).unwrap_or(u32::MAX),
        segments: able.len(),
        free_bytes: free.sum(),
        largest_hole: holes.max().unwrap_or(0),
    }
}
