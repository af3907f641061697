//! Why a request was not served.

use std::sync::Arc;

use crate::{error::PlacementError, mounted::Mounted, request::PlaceRequest, table::Table};

/// Says why too few replicas were placed.
///
/// Reads a few numbers of each segment once, under its lock if it has a limit of
/// allocations; only where several replicas are demanded, it also collects their
/// names.
#[cold]
pub(super) fn refusal(table: &Table, request: &PlaceRequest<'_>, placed: usize) -> PlacementError {
    let (asked, align, required) = (request.size, request.align, request.replicas.least());
    let is_open = |mounted: &&Arc<Mounted>| !request.excluded.contains(&mounted.info().id);
    let open = || table.rows.iter().filter(is_open);
    // A published fit rounds up, past the end of an empty segment too.
    let needed = |mounted: &Mounted| mounted.info().hole_size(asked, 1).unwrap_or(u64::MAX);
    let able = || {
        let able = open().filter(|mounted| mounted.could_take(asked, align));
        able.filter(|one| request.max_extents > 1 || needed(one) <= one.largest_chunk())
    };
    let (mut segments, mut free_bytes, mut largest_hole) = (0, 0_u64, 0);
    for mounted in able() {
        segments += 1;
        for chunk in mounted.chunks() {
            free_bytes = free_bytes.saturating_add(chunk.allocator.recent_free_bytes());
            if mounted.hole_below_limit(chunk).is_none() {
                largest_hole = largest_hole.max(chunk.allocator.recent_largest_hole());
            }
        }
    }
    if segments == 0 {
        let largest = open().map(|mounted| mounted.largest_chunk()).max();
        return PlacementError::NoSegment {
            asked,
            align,
            segments: open().count(),
            largest_bytes: largest.unwrap_or(0),
        };
    }
    let names = names_left(able(), request);
    if names < required as usize {
        return PlacementError::TooFewNames {
            asked,
            required,
            names,
        };
    }
    PlacementError::NoSpace {
        asked,
        required,
        placed: u32::try_from(placed).unwrap_or(u32::MAX),
        segments,
        free_bytes,
        largest_hole,
    }
}

/// Returns the names of some segments under which a replica might be placed,
/// or 1 if there are several and no more is needed.
fn names_left<'a>(
    able: impl Iterator<Item = &'a Arc<Mounted>>,
    request: &PlaceRequest<'_>,
) -> usize {
    let beside = request.beside;
    if beside.is_empty() && request.replicas.least() == 1 {
        return 1;
    }
    let is_taken = |name: &Arc<str>| {
        let mut taken = beside.iter().map(|buffer| buffer.mounted().name());
        taken.any(|taken| Arc::ptr_eq(taken, name))
    };
    let names = able.map(|mounted| mounted.name());
    let mut names: Vec<*const u8> = names
        .filter(|name| !is_taken(name))
        .map(|name| Arc::as_ptr(name).cast())
        .collect();
    names.sort_unstable();
    names.dedup();
    names.len()
}
