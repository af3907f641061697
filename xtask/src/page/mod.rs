//! The generated page `allocator-performance.md`, its figures and the README's headline.
//!
//! [`SECTIONS`] is the one table of what the page contains. A new section is a file with a
//! `SECTION` constant and one line here; it appears as soon as its workload has data.

mod arena;
mod compaction;
mod concurrency;
mod conditions;
mod distribution;
mod eviction;
mod headline;
mod markdown;
mod population;
mod replay;
mod stall;
mod store;
mod strategies;
mod uniform;

use std::fs;
use std::path::{Path, PathBuf};

use anyhow::Context;

use crate::data::Data;
use crate::figures::Figure;
use crate::workspace::{relative, root, say};

/// Name of the page within its directory.
const FILE: &str = "allocator-performance.md";

/// One workload's part of the page.
pub(crate) struct Section {
    /// Workload that the section reports.
    pub(crate) workload: &'static str,
    /// Returns the text, heading included, without the figures.
    pub(crate) text: fn(&Data) -> String,
    /// Figures that follow the text.
    pub(crate) figures: &'static [Figure],
}

/// Every section, in the order of the page.
const SECTIONS: &[Section] = &[
    uniform::SECTION,
    distribution::RANDOM,
    distribution::PAIRED,
    distribution::PAGES,
    distribution::LOGUNIFORM,
    distribution::BIMODAL,
    eviction::SECTION,
    compaction::SECTION,
    replay::SECTION,
    concurrency::SECTION,
    arena::SECTION,
    population::SECTION,
    strategies::SECTION,
    store::SECTION,
    stall::SECTION,
];

/// Regenerates what the data under a directory feed; the headline belongs to those in `docs`.
pub(crate) fn regenerate(out: Option<PathBuf>) -> anyhow::Result<()> {
    let docs = root().join("docs");
    let directory = out.unwrap_or_else(|| docs.clone());
    write(&directory)?;
    say(&format!("wrote {}", relative(&directory.join(FILE))));
    if directory == docs {
        write_headline(&docs)
    } else {
        Ok(())
    }
}

/// Writes figures and page of the data under a directory.
fn write(directory: &Path) -> anyhow::Result<()> {
    let data = Data::read(&directory.join("data"))?;
    let figures = directory.join("figures");
    fs::create_dir_all(&figures)?;
    for figure in sections(&data).flat_map(|section| section.figures) {
        fs::write(figures.join(figure.file), (figure.draw)(&data)?)
            .with_context(|| format!("cannot write {}", figure.file))?;
    }
    fs::write(directory.join(FILE), render(&data))?;
    Ok(())
}

/// Replaces what stands between the markers of the README by the headline of the data.
fn write_headline(directory: &Path) -> anyhow::Result<()> {
    let data = Data::read(&directory.join("data"))?;
    let path = root().join("README.md");
    let readme = fs::read_to_string(&path).context("cannot read README.md")?;
    match headline::replace(&readme, &data) {
        Some(replaced) => fs::write(&path, replaced)?,
        None => say("README.md has no headline markers; it stays as it is"),
    }
    Ok(())
}

/// Returns whether page, figures and headline are what the data give.
pub(crate) fn stale_files(directory: &Path, readme: &str) -> anyhow::Result<Vec<String>> {
    let data = Data::read(&directory.join("data"))?;
    let mut stale = Vec::new();
    let mut expect = |name: &str, expected: &str| {
        if fs::read_to_string(directory.join(name)).ok().as_deref() != Some(expected) {
            stale.push(name.to_owned());
        }
    };
    expect(FILE, &render(&data));
    for figure in sections(&data).flat_map(|section| section.figures) {
        expect(&format!("figures/{}", figure.file), &(figure.draw)(&data)?);
    }
    if headline::replace(readme, &data).is_some_and(|replaced| replaced != readme) {
        stale.push("README.md".to_owned());
    }
    Ok(stale)
}

/// Returns the page of the data.
fn render(data: &Data) -> String {
    let mut page = conditions::introduction(data);
    for section in sections(data) {
        page.push('\n');
        page.push_str(&(section.text)(data));
        for Figure { file, caption, .. } in section.figures {
            page.push_str(&format!("\n![{caption}](figures/{file})\n"));
        }
        page.push_str(&conditions::left_out(data, section.workload));
    }
    page
}

fn sections(data: &Data) -> impl Iterator<Item = &'static Section> {
    SECTIONS
        .iter()
        .filter(|section| data.document(section.workload).is_some())
}

#[cfg(test)]
mod arena_tests;
#[cfg(test)]
mod tests;
