//! The generated documents: the page of results, the appendix of tables, the figures, and the tables within other
//! documents. All follow from the data and from what the workloads declare.

mod blocks;
mod text;

use std::fs;
use std::path::PathBuf;

use anyhow::Context;
use mc_bench::page::across::{self, Across};
use mc_bench::page::{Figure, Place};

use crate::data::Data;
use crate::workspace::{relative, root, say};
use crate::{figures, links};

/// Names of page and appendix within their directory.
const RESULTS: &str = "allocator-performance.md";
const TABLES: &str = "allocator-tables.md";

/// The figure over all workloads that place objects.
const ACROSS: &str = "mean-utilization.svg";
const ACROSS_CAPTION: &str = "Mean utilization of the subjects by workload";

/// Regenerates what the data under a directory feed; other documents belong to those in `docs`.
pub(crate) fn regenerate(out: Option<PathBuf>) -> anyhow::Result<()> {
    let docs = root().join("docs");
    let directory = out.unwrap_or_else(|| docs.clone());
    let data = Data::read(&directory.join("data"))?;
    if directory == docs {
        data.check_complete()?;
    }
    for (name, text) in generated(&data)? {
        let path = directory.join(&name);
        fs::create_dir_all(path.parent().unwrap_or(&directory))?;
        fs::write(&path, text).with_context(|| format!("cannot write {name}"))?;
    }
    say(&format!("wrote {}", relative(&directory.join(RESULTS))));
    if directory == docs {
        for (path, _, replaced) in blocks::documents(&data)? {
            fs::write(path, replaced)?;
        }
    }
    Ok(())
}

/// Returns the generated files that are not what the data in `docs` give.
pub(crate) fn stale_files() -> anyhow::Result<Vec<String>> {
    let docs = root().join("docs");
    let data = Data::read(&docs.join("data"))?;
    data.check_complete()?;
    let mut stale = Vec::new();
    for (name, text) in generated(&data)? {
        let path = docs.join(&name);
        if fs::read_to_string(&path).ok().as_deref() != Some(&text) {
            stale.push(relative(&path));
        }
    }
    for (path, text, replaced) in blocks::documents(&data)? {
        if text != replaced {
            stale.push(relative(&path));
        }
    }
    Ok(stale)
}

/// Returns name and text of each file that is generated as a whole.
fn generated(data: &Data) -> anyhow::Result<Vec<(String, String)>> {
    let across = across(data)?;
    let figure = figures::svg(&across::drawing(&across))?;
    let mut files = vec![
        (RESULTS.to_owned(), results(data)?),
        (TABLES.to_owned(), tables(data, &across)?),
        (format!("figures/{ACROSS}"), figure),
    ];
    for (workload, document) in &data.documents {
        for figure in workload.page.figures {
            let drawing = (figure.draw)(document)?;
            let svg = figures::svg(&drawing).with_context(|| figure.file)?;
            files.push((format!("figures/{}", figure.file), svg));
        }
    }
    Ok(files)
}

/// Returns what the workloads that place objects bring to the comparison.
fn across(data: &Data) -> anyhow::Result<Vec<Across>> {
    let documents = data.documents.iter();
    let compared =
        documents.filter_map(|(workload, document)| Some((workload.page.across?)(document)));
    compared.collect::<Result<_, _>>().map_err(Into::into)
}

/// Returns the page: for each workload what came out, with the figures that show most.
fn results(data: &Data) -> anyhow::Result<String> {
    let mut page = format!(
        "{}{}\n![{ACROSS_CAPTION}](figures/{ACROSS})\n",
        text::OPENING,
        blocks::headline(data)?
    );
    for (workload, document) in &data.documents {
        let heading = workload.page.heading;
        page.push_str(&format!("\n## {heading}\n\n"));
        if let Some(result) = (workload.page.result)(document)? {
            page.push_str(&format!("{result}\n"));
        }
        page.push_str(&format!(
            "[Method and tables]({TABLES}#{})\n",
            links::slug(heading)
        ));
        page.push_str(&shown(workload.page.figures, Place::Results));
    }
    page.push_str(text::REPRODUCE);
    Ok(page)
}

/// Returns the appendix: conditions, and for each workload what it models, all tables and the other figures.
fn tables(data: &Data, compared: &[Across]) -> anyhow::Result<String> {
    let mut page = format!("{}{}", text::introduction(data), across::table(compared));
    page.push_str(text::LEGEND);
    for (workload, document) in &data.documents {
        let declared = &workload.page;
        page.push_str(&format!("\n## {}\n\n", declared.heading));
        for paragraph in declared.models.split("\n\n").chain([declared.omits]) {
            page.push_str(&format!("{paragraph}\n\n"));
        }
        page.push_str(&(declared.tables)(document)?);
        page.push_str(&shown(declared.figures, Place::Tables));
        for skipped in &document.skipped {
            let (subject, reason) = (&skipped.subject, &skipped.reason);
            page.push_str(&format!(
                "\nNot measured here: `{subject}`, because {reason}.\n"
            ));
        }
    }
    Ok(page)
}

fn shown(figures: &[Figure], place: Place) -> String {
    let shown = figures.iter().filter(|figure| figure.place == place);
    shown
        .map(|figure| format!("\n![{}](figures/{})\n", figure.caption, figure.file))
        .collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    /// The data that are shipped.
    fn data() -> Data {
        Data::read(&root().join("docs/data")).unwrap()
    }

    #[test]
    fn every_workload_has_a_section_of_results_and_one_of_tables() {
        let data = data();
        let files = generated(&data).unwrap();
        let text = |name: &str| &files.iter().find(|(file, _)| file == name).unwrap().1;
        for (workload, _) in &data.documents {
            let heading = format!("\n## {}\n", workload.page.heading);
            for file in [RESULTS, TABLES] {
                assert!(text(file).contains(&heading), "{heading} is not in {file}");
            }
        }
        let again = generated(&data).unwrap();
        assert!(files == again, "the documents are not deterministic");
    }

    #[test]
    fn a_workload_without_rows_leaves_dashes_and_figures_without_points() {
        let mut data = data();
        for (_, document) in &mut data.documents {
            document.runs.truncate(1);
        }
        for (name, text) in generated(&data).unwrap() {
            let is_whole = !name.ends_with(".svg") || text.trim_end().ends_with("</svg>");
            assert!(is_whole && !text.contains("NaN"), "{name}");
        }
    }
}
