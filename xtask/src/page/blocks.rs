//! Tables within documents that people write: what stands between `<!-- NAME:begin -->` and `<!-- NAME:end -->`.

use std::fs;
use std::path::PathBuf;

use anyhow::{Context, bail};
use mc_bench::page::across;
use mc_bench::page::markdown::Table;
use mc_bench::workload::WORKLOADS;

use crate::data::Data;
use crate::workspace::{relative, root};

use super::text;

/// Returns path, text and renewed text of every document that has tables.
pub(super) fn documents(data: &Data) -> anyhow::Result<Vec<(PathBuf, String, String)>> {
    let mut paths = vec![root().join("README.md")];
    for entry in fs::read_dir(root().join("docs/guides"))? {
        paths.push(entry?.path());
    }
    paths.sort();
    let mut documents = Vec::new();
    for path in paths {
        let text = fs::read_to_string(&path)?;
        let renewed = renewed(&text, |name| block(name, data));
        let renewed = renewed.with_context(|| format!("in {}", relative(&path)))?;
        if text.contains(BEGIN) {
            documents.push((path, text, renewed));
        }
    }
    Ok(documents)
}

const BEGIN: &str = ":begin -->\n";

/// Returns a text with what each pair of markers asks for.
fn renewed(text: &str, block: impl Fn(&str) -> anyhow::Result<String>) -> anyhow::Result<String> {
    let mut renewed = String::new();
    let mut rest = text;
    while let Some((before, after)) = rest.split_once(BEGIN) {
        let name = before.rsplit("<!-- ").next().unwrap_or_default();
        let end = format!("<!-- {name}:end -->");
        let Some((_, after)) = after.split_once(&end) else {
            bail!("no {end} follows {name}{}", BEGIN.trim_end());
        };
        renewed.push_str(&format!("{before}{BEGIN}{}{end}", block(name)?));
        rest = after;
    }
    renewed.push_str(rest);
    Ok(renewed)
}

/// Returns the table of a name.
fn block(name: &str, data: &Data) -> anyhow::Result<String> {
    let across = || super::across(data);
    Ok(match name {
        "headline" => headline(data)?,
        "fits" => across::fits(&across()?),
        "fit-times" => across::fit_times(&across()?),
        "workloads" => workloads(),
        _ => bail!(
            "no table is called \"{name}\"; there are headline, fits, fit-times and workloads"
        ),
    })
}

/// Returns the table of the README.
pub(super) fn headline(data: &Data) -> anyhow::Result<String> {
    let headings = " | Published design | In use today | These crates | Bound";
    let mut table = Table::new(headings);
    let mut lines = Vec::new();
    for (workload, document) in &data.documents {
        lines.extend((workload.page.headlines)(document)?);
    }
    lines.sort_by_key(|line| line.measure);
    for line in lines {
        let cells = line.cells;
        let cells = cells.map(|cell| cell.unwrap_or_else(|| "–".to_owned()));
        let title = format!("{:?}: {}", line.measure, line.title);
        table.row(&[&[title], &cells[..]].concat());
    }
    Ok(format!("{}{}", table.finish(), text::HEADLINE_LEGEND))
}

/// Returns the guide's table of workloads.
fn workloads() -> String {
    let lines = WORKLOADS.iter().map(|workload| {
        let (summary, omits) = (workload.summary, workload.page.omits);
        vec![
            format!("`{}`", workload.name),
            summary.to_owned(),
            omits.to_owned(),
        ]
    });
    Table::of("Workload | What it is | What it leaves out", lines).replace("---:", "---")
}

#[cfg(test)]
mod tests {
    use super::*;

    fn check(text: &str) -> anyhow::Result<String> {
        renewed(text, |name| match name {
            "known" => Ok("new\n".to_owned()),
            _ => bail!("no \"{name}\""),
        })
    }

    #[test]
    fn what_stands_between_markers_is_replaced() {
        let text = "top\n<!-- known:begin -->\nold\n<!-- known:end -->\nbottom\n";
        let renewed = check(text).unwrap();
        assert_eq!(renewed, text.replace("old", "new"));
        assert_eq!(check(&renewed).unwrap(), renewed);
        assert_eq!(check("no markers").unwrap(), "no markers");
    }

    #[test]
    fn markers_that_ask_for_nothing_known_or_do_not_end_are_errors() {
        let unknown = check("<!-- other:begin -->\n<!-- other:end -->").unwrap_err();
        assert!(unknown.to_string().contains("no \"other\""));
        let open = check("<!-- known:begin -->\nold\n").unwrap_err();
        assert!(open.to_string().contains("no <!-- known:end -->"), "{open}");
    }
}
