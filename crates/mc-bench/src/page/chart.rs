//! Figures as data: what is drawn where. How it looks is up to whoever draws it.

/// What a figure shows.
#[derive(Clone, Debug)]
pub enum Drawing {
    /// Panels with axes.
    Chart(Chart),
    /// A pool at several moments: what is to be said of it, and what its cells are, in address order.
    Pools(Vec<(String, Vec<Cell>)>),
}

/// What most of a cell of a pool is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Cell {
    /// Nobody's.
    Free,
    /// Of objects that stay where they are.
    Stays,
    /// Of objects that move.
    Moves,
    /// Of the object that all this is done for.
    Placed,
}

impl Cell {
    /// Every kind, with its letter in documents and its name.
    pub const ALL: [(Self, char, &str); 4] = [
        (Self::Free, '.', "free"),
        (Self::Stays, 's', "stays"),
        (Self::Moves, 'm', "moves"),
        (Self::Placed, 'p', "the new object"),
    ];
}

/// Panels below a title.
#[derive(Clone, Debug)]
pub struct Chart {
    /// What is shown, and its unit where all panels share it.
    pub title: String,
    /// Panels, row by row.
    pub panels: Vec<Panel>,
    /// Panels of a row.
    pub columns: usize,
}

/// Two axes and what is between them.
#[derive(Clone, Debug)]
pub struct Panel {
    /// What tells it from the other panels; empty for the only one.
    pub title: String,
    /// The axis below.
    pub x: Axis,
    /// The axis to the left.
    pub y: Axis,
    /// What is drawn, the last on top.
    pub series: Vec<Series>,
    /// A vertical line at a place, and what it says.
    pub rule: Option<(f64, String)>,
}

/// One axis.
#[derive(Clone, Debug)]
pub struct Axis {
    /// What it counts, and the unit.
    pub label: &'static str,
    /// How values lie on it.
    pub scale: Scale,
    /// How values are written.
    pub unit: Unit,
    /// Its ends, unless values lie beyond them; what is not given follows from the data.
    pub ends: (Option<f64>, Option<f64>),
}

/// How values lie on an axis.
#[derive(Clone, Debug)]
pub enum Scale {
    /// In proportion.
    Linear,
    /// By their logarithm.
    Log,
    /// One name below the other: value n lies in the middle of row n.
    Rows(Vec<String>),
}

/// How values are written.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Unit {
    /// As numbers.
    Number,
    /// As sizes in bytes.
    Bytes,
}

/// Points of one name, which decides colour and marker in every figure.
#[derive(Clone, Debug)]
pub struct Series {
    /// Who it is.
    pub name: String,
    /// What stands beside it.
    pub label: String,
    /// How it is drawn.
    pub mark: Mark,
    /// Where.
    pub points: Vec<(f64, f64)>,
}

/// How points are drawn.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Mark {
    /// As markers on a line.
    Line,
    /// As a dashed line that nobody can cross.
    Bound,
    /// As markers.
    Points,
}

impl Axis {
    /// Returns an axis of numbers.
    #[must_use]
    pub fn linear(label: &'static str, from: f64, to: Option<f64>) -> Self {
        Self {
            label,
            scale: Scale::Linear,
            unit: Unit::Number,
            ends: (Some(from), to),
        }
    }

    /// Returns a logarithmic axis over its data.
    #[must_use]
    pub fn log(label: &'static str, unit: Unit) -> Self {
        Self {
            label,
            scale: Scale::Log,
            unit,
            ends: (None, None),
        }
    }

    /// Returns an axis of names.
    #[must_use]
    pub fn rows(names: Vec<String>) -> Self {
        Self {
            label: "",
            scale: Scale::Rows(names),
            unit: Unit::Number,
            ends: (None, None),
        }
    }
}

impl Series {
    /// Returns points whose name stands beside them.
    #[must_use]
    pub fn new(name: &str, mark: Mark, points: Vec<(f64, f64)>) -> Self {
        Self {
            name: name.to_owned(),
            label: name.to_owned(),
            mark,
            points,
        }
    }

    /// Says something else beside it.
    #[must_use]
    pub fn labelled(self, label: &str) -> Self {
        Self {
            label: label.to_owned(),
            ..self
        }
    }
}

impl Panel {
    /// Returns a panel.
    #[must_use]
    pub fn new(title: &str, x: Axis, y: Axis, series: Vec<Series>) -> Self {
        Self {
            title: title.to_owned(),
            x,
            y,
            series,
            rule: None,
        }
    }
}

impl Chart {
    /// Returns panels side by side as a drawing.
    #[must_use]
    pub fn drawing(title: &str, columns: usize, panels: Vec<Panel>) -> Drawing {
        Drawing::Chart(Self {
            title: title.to_owned(),
            panels,
            columns,
        })
    }
}
