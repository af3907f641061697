//! Which of several claims on the same bytes hold: the later ones.

use std::{
    cmp::Reverse,
    collections::{BTreeMap, HashSet},
};

/// A claim of a place on a range of bytes. Small, as there are as many as objects.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Claim {
    pub(super) segment: u32,
    /// Whose it is: a place has all of its claims or none.
    pub(super) place: u32,
    pub(super) start: u64,
    /// Above `start`.
    pub(super) end: u64,
}

/// Returns a claim of each place that does not hold; `since` tells when a place was claimed.
///
/// Takes time O(n log n), however the claims overlap.
pub(super) fn losers(mut claims: Vec<Claim>, since: impl Fn(u32) -> u64) -> Vec<Claim> {
    claims.sort_unstable_by_key(|claim| (claim.segment, claim.start));
    let contested = contested(&claims);
    if contested.is_empty() {
        return Vec::new();
    }
    claims.retain(|claim| contested.contains(&claim.place));
    claims.sort_unstable_by_key(|claim| (Reverse(since(claim.place)), claim.place));
    let mut held = BTreeMap::new();
    let of_one_place = claims.chunk_by(|one, next| one.place == next.place);
    let losing = of_one_place.filter_map(|claims| take(&mut held, claims).err());
    losing.collect()
}

/// Returns the places of which a byte is claimed twice.
fn contested(claims: &[Claim]) -> HashSet<u32> {
    let mut contested = HashSet::new();
    let mut others = claims.iter();
    // The claim that reaches farthest among those that touch.
    let Some(mut reach) = others.next().copied() else {
        return contested;
    };
    for claim in others {
        if claim.segment == reach.segment && claim.start < reach.end {
            contested.extend([reach.place, claim.place]);
            if claim.end <= reach.end {
                continue;
            }
        }
        reach = *claim;
    }
    contested
}

/// Takes all ranges of a place, or none and returns one that is taken.
fn take(held: &mut BTreeMap<(u32, u64), u64>, claims: &[Claim]) -> Result<(), Claim> {
    for (index, claim) in claims.iter().enumerate() {
        if is_taken(held, claim) {
            for claim in &claims[..index] {
                held.remove(&(claim.segment, claim.start));
            }
            return Err(*claim);
        }
        held.insert((claim.segment, claim.start), claim.end);
    }
    Ok(())
}

/// Returns the claims of which a byte was claimed later by one of some others, which need not hold any
/// more.
///
/// Takes time O(n log n), however the claims overlap.
pub(super) fn overwritten(
    claims: &[Claim],
    mut others: Vec<Claim>,
    since: impl Fn(u32) -> u64,
) -> Vec<Claim> {
    if others.is_empty() {
        return Vec::new();
    }
    let latest_first = |claim: &Claim| Reverse(since(claim.place));
    others.sort_unstable_by_key(latest_first);
    let mut claims = claims.to_vec();
    claims.sort_unstable_by_key(latest_first);
    let mut others = others.into_iter().peekable();
    let mut later = BTreeMap::new();
    claims.retain(|claim| {
        while let Some(other) = others.next_if(|other| since(other.place) > since(claim.place)) {
            cover(&mut later, &other);
        }
        is_taken(&later, claim)
    });
    claims
}

/// Adds a range to others, which do not touch each other, before or after.
fn cover(ranges: &mut BTreeMap<(u32, u64), u64>, claim: &Claim) {
    let Claim {
        segment,
        mut start,
        mut end,
        ..
    } = *claim;
    while let Some((&(other_segment, other_start), &other_end)) =
        ranges.range(..=(segment, end)).next_back()
        && other_segment == segment
        && other_end >= start
    {
        ranges.remove(&(segment, other_start));
        start = start.min(other_start);
        end = end.max(other_end);
    }
    ranges.insert((segment, start), end);
}

/// Returns whether a byte is in one of some ranges, which share none.
fn is_taken(ranges: &BTreeMap<(u32, u64), u64>, claim: &Claim) -> bool {
    let before = ranges.range(..(claim.segment, claim.end)).next_back();
    before.is_some_and(|(&(segment, _), &end)| segment == claim.segment && end > claim.start)
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Claims as (segment, start, end, since), each of a place of its own.
    #[track_caller]
    fn check(claims: &[(u32, u64, u64, u64)], losing: &[u32]) {
        let numbered = (0..).zip(claims);
        let numbered = numbered.map(|(place, &(segment, start, end, _))| Claim {
            segment,
            place,
            start,
            end,
        });
        let since = |place: u32| claims[place as usize].3;
        let losers = losers(numbered.collect(), since);
        let mut found: Vec<u32> = losers.iter().map(|claim| claim.place).collect();
        found.sort_unstable();
        assert_eq!(found, losing);
    }

    #[test]
    fn the_later_claim_holds() {
        check(&[(0, 0, 10, 1), (0, 10, 20, 2), (1, 0, 10, 3)], &[]);
        check(&[(0, 0, 10, 1), (0, 9, 20, 2)], &[0]);
        check(&[(0, 0, 10, 2), (0, 9, 20, 1)], &[1]);
        check(&[(0, 0, 10, 1), (0, 0, 10, 1)], &[1]);
        // Where the one between loses, the ones on both sides do not touch.
        check(&[(0, 0, 10, 3), (0, 5, 25, 2), (0, 20, 30, 1)], &[1]);
        check(&[(0, 0, 100, 1), (0, 5, 10, 2), (0, 50, 60, 3)], &[0]);
        check(&[(0, 0, 100, 4), (0, 5, 10, 2), (0, 50, 60, 3)], &[1, 2]);
        // Two that hold may touch, whatever loses to each of them.
        let beside = [(0, 0, 10, 4), (0, 5, 8, 1), (0, 10, 20, 3), (0, 15, 16, 2)];
        check(&beside, &[1, 3]);
    }

    #[test]
    fn a_place_has_all_of_its_claims_or_none() {
        let claim = |start, end, place| Claim {
            segment: 0,
            place,
            start,
            end,
        };
        let claims = vec![
            claim(0, 10, 0),
            claim(20, 30, 0),
            claim(25, 26, 1),
            claim(5, 6, 2),
        ];
        let losers = losers(claims, |place| [2, 3, 1][place as usize]);
        let losing: Vec<u32> = losers.iter().map(|claim| claim.place).collect();
        assert_eq!(losing, [0], "what only the loser claimed is free again");
    }

    #[test]
    fn what_was_claimed_later_by_one_that_is_gone_does_not_hold() {
        let claim = |place, segment, start, end| Claim {
            segment,
            place,
            start,
            end,
        };
        // Places are claimed in the order of their numbers.
        let claims = [
            claim(0, 0, 0, 10),
            claim(1, 0, 40, 50),
            claim(2, 1, 0, 10),
            claim(7, 0, 10, 20),
            claim(8, 0, 0, 100),
        ];
        let gone = vec![
            claim(3, 0, 9, 11),
            claim(4, 0, 30, 35),
            claim(5, 0, 35, 41),
            claim(6, 0, 20, 36),
        ];
        let overwritten = overwritten(&claims, gone, u64::from);
        let mut places: Vec<u32> = overwritten.iter().map(|claim| claim.place).collect();
        places.sort_unstable();
        assert_eq!(places, [0, 1]);
    }

    #[test]
    fn no_order_of_claims_is_slow() {
        let nested = |first| {
            let claim = move |place| Claim {
                segment: 0,
                place,
                start: u64::from(place - first),
                end: u64::from(400_000 - (place - first)),
            };
            (first..first + 200_000).map(claim).collect::<Vec<_>>()
        };
        let start = std::time::Instant::now();
        assert_eq!(losers(nested(0), u64::from).len(), 199_999);
        let all = overwritten(&nested(0), nested(200_000), u64::from);
        assert_eq!(all.len(), 200_000);
        assert!(start.elapsed().as_secs() < 5, "{:?}", start.elapsed());
    }
}
