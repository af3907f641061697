//! [`Inflation`]: how merit fades under [`Ranking::Merit`](super::classes::Ranking::Merit).

use std::collections::VecDeque;

/// Points that are kept.
const POINTS_MAX: usize = 256;

/// Points in as much time as a victim was stored for, about. Four such times are kept.
const POINTS_PER_LIFE: u64 = 64;

/// The highest merit with which an object has left, by time.
///
/// What an object's last use was worth is added to it, so that an object of little merit stays for a
/// while and one of much merit not for ever. It is known at some points, and taken to rise in a straight
/// line from one to the next; that takes no memory for each object.
#[derive(Debug)]
pub(super) struct Inflation {
    /// Ticks and what it was then; both rise.
    points: VecDeque<(u64, f64)>,
    now: f64,
}

impl Inflation {
    pub(super) fn new() -> Self {
        // At once: a list that grows while objects come would lie between them.
        let mut points = VecDeque::with_capacity(POINTS_MAX + 1);
        points.push_back((0, 0.0));
        Self { points, now: 0.0 }
    }

    pub(super) fn now(&self) -> f64 {
        self.now
    }

    /// Returns what it was at a tick. Before the first point that is kept it is as there.
    pub(super) fn at(&self, tick: u64) -> f64 {
        let later = self.points.partition_point(|point| point.0 <= tick);
        let earlier = later.checked_sub(1).map(|at| self.points[at]);
        match (earlier, self.points.get(later)) {
            (Some((from, low)), Some((to, high))) => {
                low + (high - low) * (tick - from) as f64 / (to - from) as f64
            }
            (Some((from, low)), None) if tick == from => low,
            (Some(_), None) => self.now,
            (None, _) => self.points.front().map_or(self.now, |point| point.1),
        }
    }

    /// Notes that an object left that was so old and had such merit.
    pub(super) fn raise(&mut self, now: u64, age: u64, merit: f64) {
        if merit <= self.now {
            return;
        }
        self.now = merit;
        let last = self.points.back().map_or(0, |point| point.0);
        if now > last + age / POINTS_PER_LIFE {
            self.points.push_back((now, merit));
            if self.points.len() > POINTS_MAX {
                self.points.pop_front();
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn it_rises_in_straight_lines_and_never_falls() {
        let mut inflation = Inflation::new();
        inflation.raise(10, 0, 4.0);
        inflation.raise(20, 0, 3.0);
        inflation.raise(30, 0, 5.0);
        let at = [0, 5, 10, 20, 30, 31].map(|tick| inflation.at(tick));
        assert_eq!(at, [0.0, 2.0, 4.0, 4.5, 5.0, 5.0]);
        assert_eq!(inflation.now(), 5.0);
    }

    #[test]
    fn points_are_as_far_apart_as_objects_are_old() {
        let mut inflation = Inflation::new();
        for tick in 1..=100_000_u32 {
            inflation.raise(tick.into(), 6_400, f64::from(tick));
        }
        assert_eq!(inflation.points.len(), POINTS_MAX);
        // One in 101 ticks.
        let oldest = inflation.points[0].0;
        assert!((74_000..75_000).contains(&oldest), "{oldest}");
        for tick in oldest..=100_000 {
            assert!((inflation.at(tick) - tick as f64).abs() < 102.0, "{tick}");
        }
        assert_eq!(inflation.at(0), oldest as f64);
    }
}
