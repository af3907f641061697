//! Axes: where values lie, and which of them are named.

use mc_bench::number::grouped;
use mc_bench::page::chart::{Axis, Scale, Unit};
use plotters::coord::ranged1d::{DefaultFormatting, KeyPointHint, Ranged};

/// About as many names as an axis has.
const TICKS: f64 = 6.0;

/// Distinct values up to which each is named on a logarithmic axis.
const NAMED_MAX: usize = 5;

/// An axis with its data: places on it are linear.
#[derive(Clone, Debug)]
pub(super) struct Laid<'a> {
    axis: &'a Axis,
    /// First and last place.
    pub(super) range: std::ops::Range<f64>,
    /// Places with a name.
    pub(super) ticks: Vec<f64>,
}

impl<'a> Laid<'a> {
    pub(super) fn out(axis: &'a Axis, values: &[f64]) -> Self {
        let least = values.iter().copied().fold(f64::MAX, f64::min);
        let most = values.iter().copied().fold(f64::MIN, f64::max);
        let (from, to) = axis.ends;
        // Without data any range will do.
        let (least, most) = if least <= most {
            (least, most)
        } else {
            (from.unwrap_or(1.0), to.unwrap_or(10.0))
        };
        let (range, ticks) = match &axis.scale {
            Scale::Rows(names) => (0.0..names.len().max(1) as f64, Vec::new()),
            Scale::Linear => {
                // No value is left out because an end was chosen before it was measured.
                let from = from.map_or(least, |from| from.min(least));
                let to = to.map_or(most + (most - from).abs() * 0.08, |to| to.max(most));
                let to = to.max(from + 1e-9);
                (from..to, linear_ticks(from, to))
            }
            Scale::Log => {
                let from = from.unwrap_or(least / 1.3).max(f64::MIN_POSITIVE);
                let to = to.unwrap_or(most * 1.3).max(from * 1.01);
                let ticks = log_ticks(from, to, axis.unit, values);
                let places = ticks.into_iter().map(f64::log10);
                (from.log10()..to.log10(), places.collect())
            }
        };
        Self { axis, range, ticks }
    }

    /// Returns where a value lies, if it lies on the axis.
    pub(super) fn place(&self, value: f64) -> Option<f64> {
        let place = match &self.axis.scale {
            Scale::Linear => value,
            Scale::Log => value.log10(),
            Scale::Rows(names) => names.len() as f64 - 0.5 - value,
        };
        let slack = (self.range.end - self.range.start) * 1e-9;
        (self.range.start - slack..=self.range.end + slack)
            .contains(&place)
            .then_some(place)
    }

    /// Returns the name of a place.
    pub(super) fn name(&self, place: f64) -> String {
        let value = match self.axis.scale {
            Scale::Log => 10_f64.powf(place),
            Scale::Linear | Scale::Rows(_) => place,
        };
        match self.axis.unit {
            Unit::Bytes => bytes(value),
            Unit::Number => number(value),
        }
    }
}

impl Ranged for Laid<'_> {
    type FormatOption = DefaultFormatting;
    type ValueType = f64;

    fn map(&self, place: &f64, (first, last): (i32, i32)) -> i32 {
        let share = (place - self.range.start) / (self.range.end - self.range.start);
        #[expect(
            clippy::cast_possible_truncation,
            reason = "places lie on the axis, which has few pixels"
        )]
        let pixels = (f64::from(last - first) * share).round() as i32;
        first + pixels
    }

    fn key_points<Hint: KeyPointHint>(&self, _: Hint) -> Vec<f64> {
        self.ticks.clone()
    }

    fn range(&self) -> std::ops::Range<f64> {
        self.range.clone()
    }
}

/// Returns multiples of 1, 2 or 5 times a power of ten.
fn linear_ticks(from: f64, to: f64) -> Vec<f64> {
    let rough = (to - from) / TICKS;
    let power = 10_f64.powf(rough.log10().floor());
    let factors = [1.0, 2.0, 5.0, 10.0].into_iter();
    let step = factors
        .map(|factor| factor * power)
        .find(|step| *step >= rough);
    let step = step.unwrap_or(rough);
    let first = (from / step - 1e-9).ceil();
    let ticks = (0_u32..20).map(|index| (first + f64::from(index)) * step);
    ticks.take_while(|tick| *tick <= to + step * 1e-6).collect()
}

/// Returns the values themselves if they are few; otherwise powers of four for bytes, decades for a long range, and
/// 1, 2, 5 for a short one.
fn log_ticks(from: f64, to: f64, unit: Unit, values: &[f64]) -> Vec<f64> {
    let mut distinct = values.to_vec();
    distinct.sort_by(f64::total_cmp);
    distinct.dedup();
    let is_long = to / from > 3e3;
    let all: Vec<f64> = match unit {
        _ if distinct.len() <= NAMED_MAX => distinct,
        Unit::Bytes => (0..20).map(|power| 32.0 * 16_f64.powi(power)).collect(),
        Unit::Number => {
            let factors: &[f64] = if is_long { &[1.0] } else { &[1.0, 2.0, 5.0] };
            let decade = |power| {
                factors
                    .iter()
                    .map(move |factor| factor * 10_f64.powi(power))
            };
            (-3..10).flat_map(decade).collect()
        }
    };
    all.into_iter()
        .filter(|tick| (from..=to).contains(tick))
        .collect()
}

/// Returns a number without the noise of its last bits.
fn number(value: f64) -> String {
    if value >= 1_000.0 {
        #[expect(
            clippy::cast_possible_truncation,
            clippy::cast_sign_loss,
            reason = "positive, and far below 2^63"
        )]
        let whole = value.round() as u64;
        return grouped(whole);
    }
    let text = format!("{value:.3}");
    text.trim_end_matches('0').trim_end_matches('.').to_owned()
}

/// Returns a size: `32 B`, `1 KiB`, `32 MiB`.
fn bytes(value: f64) -> String {
    let units = ["B", "KiB", "MiB", "GiB", "TiB"];
    let mut size = value.round();
    let mut unit = 0;
    while size >= 1024.0 && unit + 1 < units.len() {
        size /= 1024.0;
        unit += 1;
    }
    format!("{} {}", number(size), units[unit])
}

#[cfg(test)]
mod tests {
    use super::*;

    #[track_caller]
    fn check(axis: &Axis, values: &[f64], expected: &[&str]) {
        let laid = Laid::out(axis, values);
        let names: Vec<String> = laid.ticks.iter().map(|tick| laid.name(*tick)).collect();
        assert_eq!(names, expected);
        let outside = laid
            .ticks
            .iter()
            .find(|tick| !(laid.range.start..=laid.range.end).contains(*tick));
        assert_eq!(outside, None, "a tick off the axis");
    }

    #[test]
    fn ticks_are_round_and_few() {
        check(
            &Axis::linear("", 0.5, Some(1.0)),
            &[],
            &["0.5", "0.6", "0.7", "0.8", "0.9", "1"],
        );
        check(
            &Axis::linear("", 0.0, None),
            &[30.0],
            &["0", "10", "20", "30"],
        );
        check(
            &Axis::linear("", 0.0, Some(1.0)),
            &[-2.0, 3.0],
            &["-2", "-1", "0", "1", "2", "3"],
        );
        check(
            &Axis::log("", Unit::Number),
            &[1.0, 2.0, 16.0],
            &["1", "2", "16"],
        );
        let many = [1.0, 3.0, 7.0, 90.0, 1e3, 9e3];
        check(
            &Axis::log("", Unit::Number),
            &many,
            &["1", "10", "100", "1,000", "10,000"],
        );
        check(
            &Axis::log("", Unit::Bytes),
            &[64.0, 2e6],
            &["64 B", "1.907 MiB"],
        );
    }
}
