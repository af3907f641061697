//! Progress on standard error, when that is a terminal.

use indicatif::{ProgressBar, ProgressDrawTarget, ProgressStyle};
use mc_bench::row::Step;

/// A bar that is redrawn between runs only: a thread that redraws it would share the cores with
/// what is measured.
pub(crate) struct Progress(ProgressBar);

impl Progress {
    pub(crate) fn new() -> Self {
        // The default target draws nothing when standard error is not a terminal.
        let bar = ProgressBar::with_draw_target(None, ProgressDrawTarget::stderr());
        let style = ProgressStyle::with_template("{prefix} {bar:30} {pos}/{len} {elapsed} {msg}");
        bar.set_style(style.expect("the template is well-formed"));
        Self(bar)
    }

    pub(crate) fn show(&mut self, step: Step<'_>) {
        let Step { label, subject, .. } = step;
        self.0.set_prefix(label.workload);
        self.0.set_length(label.rows as u64);
        self.0.set_position(label.index as u64);
        let (row, round) = (label.row, step.round + 1);
        self.0
            .set_message(format!("{row}: {subject}, round {round}"));
    }

    pub(crate) fn finish(&mut self) {
        self.0.finish_and_clear();
    }
}
