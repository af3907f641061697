//! The states of a mounted segment and the one table of what may follow what.

use std::fmt;

use serde::{Deserialize, Serialize};

/// What a mounted segment is for.
///
/// | from | mount | suspend | drain | finish drain | resume | unmount gracefully | begin unmount | finish unmount |
/// |---|---|---|---|---|---|---|---|---|
/// | absent | ok | refused | refused | refused | refused | refused | refused | refused |
/// | ok | stays | suspended | draining | refused | stays | gracefully unmounting | unmounting | refused |
/// | suspended | stays | stays | draining | refused | ok | gracefully unmounting | unmounting | refused |
/// | draining | stays | suspended | stays | drained | ok | gracefully unmounting | unmounting | refused |
/// | drained | stays | suspended | stays | stays | ok | gracefully unmounting | unmounting | refused |
/// | gracefully unmounting | refused | refused | refused | refused | refused | stays | unmounting | refused |
/// | unmounting | refused | refused | refused | refused | refused | refused | refused | absent |
///
/// `finish drain` also requires that nothing is placed in the segment any more,
/// and `finish unmount` that no access to its bytes is under way. `mount` is
/// that of the epoch that is mounted: a newer one replaces the segment whatever
/// its state.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
#[repr(u8)]
#[non_exhaustive]
pub enum SegmentState {
    /// Readable, and open to placement.
    Ok,
    /// Readable if nothing better is: its host answers slowly, say. Nothing new
    /// is placed, and nothing is moved away.
    Suspended,
    /// Readable; its objects are being moved away and nothing new is placed.
    Draining,
    /// Empty after draining.
    Drained,
    /// Readable until it is unmounted; nothing new is placed.
    GracefullyUnmounting,
    /// Its buffers are invalid; its address range is taken until the unmount
    /// is finished.
    Unmounting,
}

/// What is done to a segment as a whole.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
#[repr(u8)]
#[non_exhaustive]
pub enum Transition {
    /// Mounting it, or mounting it again with the same fields.
    Mount,
    /// Closing it to placement while its objects stay, to be read last.
    Suspend,
    /// Closing it to placement so that its objects can be moved away.
    Drain,
    /// Stating that nothing is left in it.
    FinishDrain,
    /// Opening it to placement again.
    Resume,
    /// Closing it to placement for good while its buffers stay readable.
    UnmountGracefully,
    /// Making its buffers invalid.
    BeginUnmount,
    /// Forgetting it.
    FinishUnmount,
}

/// What a transition does.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum Step {
    /// The segment is in this state afterwards.
    To(SegmentState),
    /// The segment is forgotten.
    Forget,
    /// The call succeeds and nothing changes.
    Stay,
    /// The call fails and nothing changes.
    Refuse,
}

use SegmentState::{Drained, Draining, GracefullyUnmounting, Ok, Suspended, Unmounting};
use Step::{Forget, Refuse, Stay, To};

/// The table in the documentation of [`SegmentState`]: a row per state, an
/// absent segment first, and a column per [`Transition`].
const STEPS: [[Step; Transition::ALL.len()]; 1 + SegmentState::ALL.len()] = {
    const GRACEFUL: Step = To(GracefullyUnmounting);
    const UNMOUNT: Step = To(Unmounting);
    const SUSPEND: Step = To(Suspended);
    #[rustfmt::skip]
    const ROWS: [[Step; Transition::ALL.len()]; 1 + SegmentState::ALL.len()] = [
        [To(Ok), Refuse, Refuse, Refuse, Refuse, Refuse, Refuse, Refuse],
        [Stay, SUSPEND, To(Draining), Refuse, Stay, GRACEFUL, UNMOUNT, Refuse],
        [Stay, Stay, To(Draining), Refuse, To(Ok), GRACEFUL, UNMOUNT, Refuse],
        [Stay, SUSPEND, Stay, To(Drained), To(Ok), GRACEFUL, UNMOUNT, Refuse],
        [Stay, SUSPEND, Stay, Stay, To(Ok), GRACEFUL, UNMOUNT, Refuse],
        [Refuse, Refuse, Refuse, Refuse, Refuse, Stay, UNMOUNT, Refuse],
        [Refuse, Refuse, Refuse, Refuse, Refuse, Refuse, Refuse, Forget],
    ];
    ROWS
};

impl SegmentState {
    /// All states, in the order of the table.
    pub const ALL: [Self; 6] = [
        Ok,
        Suspended,
        Draining,
        Drained,
        GracefullyUnmounting,
        Unmounting,
    ];

    /// Returns what a transition does to a segment in the state `from`;
    /// `None` is a segment that is not mounted.
    #[must_use]
    pub const fn step(from: Option<Self>, transition: Transition) -> Step {
        let row = match from {
            None => 0,
            Some(state) => 1 + state as usize,
        };
        STEPS[row][transition as usize]
    }

    /// Returns whether buffers in the segment may be read and adopted.
    #[must_use]
    pub const fn is_readable(self) -> bool {
        !matches!(self, Unmounting)
    }

    /// Returns whether a replica elsewhere is to be read rather than one in the
    /// segment.
    #[must_use]
    pub const fn is_read_last(self) -> bool {
        matches!(self, Suspended)
    }

    /// Returns whether new buffers are placed in the segment.
    #[must_use]
    pub const fn is_placeable(self) -> bool {
        matches!(self, Ok)
    }

    /// Returns the state of a number, which [`Self::ALL`] indexes.
    pub(crate) const fn from_index(index: u8) -> Self {
        Self::ALL[index as usize]
    }
}

impl Transition {
    /// All transitions, in the order of the table.
    pub const ALL: [Self; 8] = [
        Self::Mount,
        Self::Suspend,
        Self::Drain,
        Self::FinishDrain,
        Self::Resume,
        Self::UnmountGracefully,
        Self::BeginUnmount,
        Self::FinishUnmount,
    ];
}

impl fmt::Display for SegmentState {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Ok => "ok",
            Suspended => "suspended",
            Draining => "draining",
            Drained => "drained",
            GracefullyUnmounting => "gracefully unmounting",
            Unmounting => "unmounting",
        })
    }
}

impl fmt::Display for Transition {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Mount => "mount",
            Self::Suspend => "suspend",
            Self::Drain => "drain",
            Self::FinishDrain => "finish drain",
            Self::Resume => "resume",
            Self::UnmountGracefully => "unmount gracefully",
            Self::BeginUnmount => "begin unmount",
            Self::FinishUnmount => "finish unmount",
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn name(from: Option<SegmentState>) -> String {
        from.map_or_else(|| "absent".to_owned(), |state| state.to_string())
    }

    fn table() -> String {
        let header: Vec<_> = Transition::ALL.iter().map(ToString::to_string).collect();
        let mut table = format!("/// | from | {} |\n/// |---", header.join(" | "));
        table += &"|---".repeat(Transition::ALL.len());
        table += "|\n";
        let rows = [None].into_iter().chain(SegmentState::ALL.map(Some));
        for from in rows {
            let cells =
                Transition::ALL.map(|transition| match SegmentState::step(from, transition) {
                    To(state) => state.to_string(),
                    Forget => name(None),
                    Stay => "stays".to_owned(),
                    Refuse => "refused".to_owned(),
                });
            table += &format!("/// | {} | {} |\n", name(from), cells.join(" | "));
        }
        table
    }

    #[test]
    fn the_documentation_prints_the_table() {
        assert!(
            include_str!("state.rs").contains(&table()),
            "the documentation of SegmentState should be\n{}",
            table()
        );
    }

    #[test]
    fn numbers_of_states_are_their_places() {
        for (index, state) in SegmentState::ALL.into_iter().enumerate() {
            assert_eq!(state as usize, index);
            assert_eq!(SegmentState::from_index(state as u8), state);
        }
        for (index, transition) in Transition::ALL.into_iter().enumerate() {
            assert_eq!(transition as usize, index);
        }
    }
}
