//! What the workload of stalls says about itself: a row per aggressor and number of objects.

use crate::number::{grouped, micros};
use crate::page::chart::{Axis, Chart, Drawing, Mark, Panel, Series, Unit};
use crate::page::markdown::{Table, glossary};
use crate::page::{Figure, Made, Page, Place, no_headlines};
use crate::record::{Document, records};

use super::{AGGRESSORS, Stall};

pub(super) const PAGE: Page = Page {
    heading: "What a thread waits for",
    models: "One thread reads, puts and removes objects of its own and reads the clock around each call; another one does \
             its worst to the same store meanwhile. In the control it only computes, so that what is felt there is the \
             machine's: the scheduler's turns, interrupts, other work. Both are pinned, each to a core of its own where \
             there are two; control and attack take turns. Each row is of three rounds of at least 0.1 s; the median of \
             each figure counts.\n\n\
             **Of gets** is the 99.9th percentile of the reads alone. **Waited** is the longest call less the time that one of the two threads was ready and had no core, which \
             other work on the machine takes. **Aggressor** is the processor time of its longest call; all of `mount` is \
             one. **Moved** is what its calls copied to make holes.",
    omits: "It does not model more than one aggressor at a time, nor a store that several threads attack.",
    result,
    tables,
    figures: &[Figure::new(
        Place::Results,
        "stall.svg",
        "The longest wait and the 99.9th percentile of a thread beside each aggressor",
        draw,
    )],
    headlines: no_headlines,
    across: None,
};

/// Returns the rows with the most objects.
fn largest(rows: &[Stall]) -> impl Iterator<Item = &Stall> {
    let most = rows.iter().map(|row| row.objects).max();
    rows.iter().filter(move |row| Some(row.objects) == most)
}

fn result(document: &Document) -> Made<Option<String>> {
    let rows: Vec<Stall> = records(&document.runs)?;
    let line = || {
        let get = largest(&rows).max_by_key(|row| row.victim_get_p999_ns)?;
        let longest = largest(&rows).max_by_key(|row| row.victim_get_max_ns)?;
        let worst = largest(&rows).max_by_key(|row| row.victim_wait_max_ns)?;
        Some(format!(
            "At {} objects 999 of 1,000 reads take at most {} µs, whatever another thread does; the longest read takes {} \
             µs, beside `{}`, and the longest wait of any call {} µs, beside `{}` ({} µs in its control).",
            grouped(worst.objects),
            micros(get.victim_get_p999_ns),
            micros(longest.victim_get_max_ns),
            longest.aggressor,
            micros(worst.victim_wait_max_ns),
            worst.aggressor,
            micros(worst.control_wait_max_ns),
        ))
    };
    Ok(line())
}

fn tables(document: &Document) -> Made<String> {
    let headings = "µs | objects | p99 | p99.9 | of gets | longest | waited | control p99.9 | longest | waited | \
                    aggressor | moved MiB";
    let rows: Vec<Stall> = records(&document.runs)?;
    let lines = rows.iter().map(|row| {
        let times = [
            row.victim_p99_ns,
            row.victim_p999_ns,
            row.victim_get_p999_ns,
            row.victim_max_ns,
            row.victim_wait_max_ns,
            row.control_p999_ns,
            row.control_max_ns,
            row.control_wait_max_ns,
            row.aggressor_cpu_ns,
        ];
        let mut cells = vec![row.aggressor.clone(), grouped(row.objects)];
        cells.extend(times.map(micros));
        cells.push(grouped(row.moved_bytes >> 20));
        cells
    });
    let table = Table::of(headings, lines);
    let entries = AGGRESSORS
        .iter()
        .map(|one| (one.name.to_owned(), one.summary.to_owned()));
    Ok(format!("{}\n{table}", glossary("Aggressor", entries)))
}

fn draw(document: &Document) -> Made<Drawing> {
    let rows: Vec<Stall> = records(&document.runs)?;
    let names: Vec<String> = largest(&rows).map(|row| row.aggressor.clone()).collect();
    let objects = largest(&rows).next().map_or(0, |row| row.objects);
    let series = |name: &str, time: fn(&Stall) -> u64| {
        let rows = (0_u32..).map(f64::from).zip(largest(&rows));
        let points = rows.map(|(row, stall)| (time(stall) as f64 / 1e3, row));
        Series::new(name, Mark::Points, points.collect())
    };
    let all = vec![
        series("control, 99.9 %", |row| row.control_p999_ns),
        series("control, longest wait", |row| row.control_wait_max_ns),
        series("99.9 % of the calls", |row| row.victim_p999_ns),
        series("longest wait", |row| row.victim_wait_max_ns),
    ];
    let panel = Panel::new(
        "",
        Axis::log("microseconds", Unit::Number),
        Axis::rows(names),
        all,
    );
    let title = format!(
        "Calls of a thread beside each aggressor, {} objects",
        grouped(objects)
    );
    Ok(Chart::drawing(&title, 1, vec![panel]))
}
