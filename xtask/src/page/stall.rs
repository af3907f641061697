//! The section on what one thread makes another wait for: one table, a row per aggressor and number of
//! objects.

use crate::data::{Data, Run};
use crate::figures;

use super::Section;
use super::markdown::{Table, cell, grouped};

const WORKLOAD: &str = "stall";

pub(super) const SECTION: Section = Section {
    workload: WORKLOAD,
    text,
    figures: &[figures::STALL],
};

const INTRODUCTION: &str = "\
## What a thread waits for

One thread reads, puts and removes objects of its own and reads the clock around each call; another one
does its worst to the same store meanwhile. In the control it only computes, so that what is felt there
is the machine's: the scheduler's turns, interrupts, other work. Each row is of at least 0.1 s; up to
100,000 objects of three such rounds, of which the median of each figure counts. Times in microseconds.

| Aggressor | What it does |
|---|---|
| `skewed_put` | puts of 1 MiB into a full segment, between which tiny objects lie |
| `put_in_pieces` | a put in as many pieces as the options allow, where every other object has left |
| `refused_put_leased`, `refused_put_pinned` | puts into a full segment, all of it leased or pinned |
| `watermark` | puts that pass the high watermark of 95 % again and again, until 70 % are left |
| `snapshot` | asks for all keys |
| `unmount` | unmounts the segment that all objects are in, once |
| `mount` | mounts 1,000 segments, once |

**Waited** is the longest call less the time that one of the two threads was ready and had no core, which
other work on the machine takes. **Longest call** is the processor time of the longest call of the aggressor; all of `mount` is one.

";

fn text(data: &Data) -> String {
    let headings = [
        "Aggressor",
        "objects",
        "p99",
        "p99.9",
        "longest",
        "waited",
        "control p99.9",
        "control longest",
        "control waited",
        "longest call",
    ];
    let mut table = Table::new(&headings);
    for run in data.runs(WORKLOAD) {
        let micros = |field| cell(microseconds(run, field), |time| format!("{time:.1}"));
        let objects = run.count("objects").map(grouped);
        table.row(&[
            run.text("aggressor").unwrap_or("–").to_owned(),
            objects.unwrap_or_else(|| "–".to_owned()),
            micros("victim_p99_ns"),
            micros("victim_p999_ns"),
            micros("victim_max_ns"),
            micros("victim_wait_max_ns"),
            micros("control_p999_ns"),
            micros("control_max_ns"),
            micros("control_wait_max_ns"),
            micros("aggressor_cpu_ns"),
        ]);
    }
    format!("{INTRODUCTION}{}", table.finish())
}

fn microseconds(run: &Run, field: &str) -> Option<f64> {
    Some(run.number(field)? / 1e3)
}
