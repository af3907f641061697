//! Who may leave for a put, and when one may be refused.

use super::*;

impl Program {
    /// Checks that those who left for a put made room for it.
    pub(super) fn check_victims(&self, evicted: &[(u64, Known, Cause)], request: &PutRequest<'_>) {
        let is_usable = |&(id, epoch): &(u128, u64)| {
            self.shadow.epochs.get(&id) == Some(&epoch)
                && !self.closed.contains(&id)
                && !request.excluded.contains(&SegmentId(id))
        };
        if request.tenant == Some(LIMITED) {
            // Its own leave for the limit, wherever they are.
            return;
        }
        for (number, known, cause) in evicted {
            assert_eq!(*cause, Cause::OnDemand);
            assert!(known.places.iter().any(is_usable), "{number} left in vain");
        }
        if self.options.eviction != Eviction::Window {
            return;
        }
        // Each was in one of as many segments as replicas were asked for.
        let is_enough = |ids: &[u128]| {
            evicted.iter().all(|(_, known, _)| {
                let mut usable = known.places.iter().filter(|place| is_usable(place));
                usable.any(|(id, _)| ids.contains(id))
            })
        };
        let pairs = (1..=4).flat_map(|a| (1..=4).map(move |b| [a, b]));
        let mut sets = pairs.filter(|[a, b]| request.replicas.count > 1 || a == b);
        assert!(sets.any(|ids| is_enough(&ids)), "{evicted:?} left");
    }

    pub(super) fn check_refusal(&self, number: u64, error: PutError) {
        let mut in_flight = self.in_flight.iter();
        match error {
            PutError::Exists => assert!(self.shadow.alive(number).is_some()),
            PutError::InFlight => assert!(
                in_flight.any(|put| put.number == number && self.seconds < put.ends_at),
                "{number} is not in flight"
            ),
            PutError::NoRoom { .. } => {
                let is_busy = self.seconds < self.busy_until;
                let is_used = !self.held.is_empty() || !self.pinned.is_empty();
                let is_put = in_flight.next().is_some();
                let is_sure = self.guaranteed > 0;
                assert!(
                    is_busy || is_used || is_put || is_sure,
                    "in vain: {error:?}"
                );
            }
            PutError::QuotaExceeded {
                ref tenant,
                used,
                most,
                asked,
                ..
            } => {
                assert_eq!((&**tenant, most), (LIMITED, LIMITED_MOST));
                assert!(used <= most && used + asked > most);
                let is_used = !self.held.is_empty() || !self.pinned.is_empty();
                let is_busy = self.seconds < self.busy_until || in_flight.next().is_some();
                assert!(is_used || is_busy || asked > most, "in vain: {error:?}");
            }
            PutError::Place(_) => assert!(!self.closed.is_empty() || self.in_use_of_names(error)),
            other => panic!("{other}"),
        }
    }

    /// Returns whether the segments are too small or too few for a request.
    fn in_use_of_names(&self, error: PutError) -> bool {
        use mc_segment::PlacementError::{NoSegment, TooFewNames};
        match error {
            PutError::Place(NoSegment { asked, .. } | TooFewNames { asked, .. }) => asked > 40_000,
            _ => false,
        }
    }
}
