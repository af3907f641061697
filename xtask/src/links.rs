//! Relative links of the documents: each leads to a file, and to a heading where it names one.

use std::fs;
use std::path::Path;

use crate::workspace::root;

/// Returns a fault per relative link of a document that leads nowhere.
pub(crate) fn faults(path: &Path, text: &str) -> Vec<String> {
    let directory = root().join(path.parent().unwrap_or(Path::new("")));
    let is_dead = |target: &&str| {
        let (file, anchor) = target.split_once('#').unwrap_or((target, ""));
        let linked = directory.join(file);
        if file.is_empty() {
            return !has_heading(text, anchor);
        }
        if !anchor.is_empty() && file.ends_with(".md") {
            let linked = fs::read_to_string(&linked);
            return !linked.is_ok_and(|text| has_heading(&text, anchor));
        }
        !linked.exists()
    };
    let relative = targets(text).filter(|target| !target.contains("://"));
    let dead = relative.filter(is_dead);
    dead.map(|target| format!("{}: dead link {target}", path.display()))
        .collect()
}

/// Returns the targets of the inline links of a Markdown text. A target has no space; what has one is
/// a lambda in C++.
fn targets(text: &str) -> impl Iterator<Item = &str> {
    text.split("](")
        .skip(1)
        .filter_map(|rest| rest.split_once(')'))
        .map(|(target, _)| target)
        .filter(|target| !target.contains(' '))
}

fn has_heading(text: &str, anchor: &str) -> bool {
    let mut headings = text.lines().filter(|line| line.starts_with('#'));
    headings.any(|heading| slug(heading.trim_start_matches('#')) == anchor)
}

/// Returns the anchor that a renderer gives a heading: in small letters, spaces as hyphens, without other
/// punctuation.
pub(crate) fn slug(heading: &str) -> String {
    let kept = |character: &char| character.is_alphanumeric() || " -_".contains(*character);
    let lower = heading.trim().to_lowercase();
    let slug: String = lower.chars().filter(kept).collect();
    slug.replace(' ', "-")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[track_caller]
    fn check(path: &str, text: &str, expected: &[&str]) {
        assert_eq!(faults(Path::new(path), text), expected);
    }

    #[test]
    fn links_that_lead_nowhere_are_faults() {
        let text =
            "# Here, or there?\n[m](Cargo.toml), [w](https://example.org/x), [s](#here-or-there)\n";
        check("a.md", text, &[]);
        check("a.md", "# Here\n[s](#there)\n", &["a.md: dead link #there"]);
        check(
            "docs/a.md",
            "![f](figures/no-such-figure.svg)\n",
            &["docs/a.md: dead link figures/no-such-figure.svg"],
        );
    }

    #[test]
    fn headings_of_other_documents_are_looked_up() {
        check("a.md", "[r](docs/ARCHITECTURE.md#the-house)\n", &[]);
        check(
            "docs/a.md",
            "[r](ARCHITECTURE.md#no-such-heading)\n",
            &["docs/a.md: dead link ARCHITECTURE.md#no-such-heading"],
        );
    }
}
