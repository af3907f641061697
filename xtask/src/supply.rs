//! What the workspace depends on: every licence allowed, every package from the registry.
//!
//! The rules are those of `deny.toml`, which `cargo deny check` reads too. This check needs neither that
//! tool nor the network, so it is the same on every machine; advisories are left to the tool.

use std::fs;

use anyhow::{Context, ensure};
use cargo_metadata::Package;
use serde::Deserialize;
use spdx::{Expression, Licensee, ParseMode};

use crate::workspace::{metadata, root, say};

/// The parts of `deny.toml` that are checked here.
#[derive(Debug, Deserialize)]
struct Rules {
    licenses: LicenceRules,
    sources: SourceRules,
}

#[derive(Debug, Deserialize)]
struct LicenceRules {
    allow: Vec<String>,
}

#[derive(Debug, Deserialize)]
#[serde(rename_all = "kebab-case")]
struct SourceRules {
    allow_registry: Vec<String>,
}

/// Fails if a dependency, direct or not, breaks a rule.
pub(crate) fn run() -> anyhow::Result<()> {
    let text = fs::read_to_string(root().join("deny.toml")).context("cannot read deny.toml")?;
    let rules: Rules = toml::from_str(&text).context("in deny.toml")?;
    let allowed = rules.licensees()?;
    let packages = metadata()?.packages;
    let faults: Vec<String> = packages
        .iter()
        .flat_map(|package| {
            let source = rules.source_fault(package);
            licence_fault(package, &allowed).into_iter().chain(source)
        })
        .collect();
    for fault in &faults {
        say(fault);
    }
    ensure!(faults.is_empty(), "{} faults", faults.len());
    say(&format!(
        "{} packages, licences and sources allowed by deny.toml",
        packages.len()
    ));
    Ok(())
}

impl Rules {
    fn licensees(&self) -> anyhow::Result<Vec<Licensee>> {
        let allow = self.licenses.allow.iter();
        allow
            .map(|name| Licensee::parse(name).with_context(|| format!("deny.toml allows {name}")))
            .collect()
    }

    /// Says where a package comes from if it may not; members of the workspace come from nowhere.
    fn source_fault(&self, package: &Package) -> Option<String> {
        let source = &package.source.as_ref()?.repr;
        let registry = source.strip_prefix("registry+");
        let is_allowed = registry.is_some_and(|url| {
            let allowed = &self.sources.allow_registry;
            allowed.iter().any(|allowed| allowed == url)
        });
        (!is_allowed).then(|| format!("{} comes from {source}", package.name))
    }
}

/// Says what the licence of a package is if none of its choices is allowed.
fn licence_fault(package: &Package, allowed: &[Licensee]) -> Option<String> {
    let Some(licence) = &package.license else {
        return Some(format!("{} states no licence", package.name));
    };
    // "MIT/Apache-2.0" is how old packages write "or".
    let is_allowed = Expression::parse_mode(licence, ParseMode::LAX).is_ok_and(|expression| {
        expression.evaluate(|asked| allowed.iter().any(|licensee| licensee.satisfies(asked)))
    });
    (!is_allowed).then(|| format!("{} is licensed as {licence}", package.name))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn package(license: Option<&str>, source: Option<&str>) -> Package {
        let package = serde_json::json!({
            "name": "sample", "version": "1.0.0", "id": "sample", "license": license, "source": source,
            "dependencies": [], "targets": [], "features": {}, "manifest_path": "Cargo.toml",
        });
        serde_json::from_value(package).expect("the fields that cargo writes")
    }

    fn rules() -> Rules {
        Rules {
            licenses: LicenceRules {
                allow: vec!["MIT".to_owned(), "Unicode-3.0".to_owned()],
            },
            sources: SourceRules {
                allow_registry: vec!["https://registry.example".to_owned()],
            },
        }
    }

    #[track_caller]
    fn check_licence(license: Option<&str>, expected: Option<&str>) {
        let allowed = rules().licensees().unwrap();
        let fault = licence_fault(&package(license, None), &allowed);
        assert_eq!(fault.as_deref(), expected);
    }

    #[test]
    fn one_allowed_choice_suffices_and_every_part_is_needed() {
        check_licence(Some("MIT"), None);
        check_licence(Some("GPL-3.0-only OR MIT"), None);
        check_licence(Some("Unlicense/MIT"), None);
        check_licence(Some("MIT AND Unicode-3.0"), None);
        check_licence(
            Some("MIT AND GPL-3.0-only"),
            Some("sample is licensed as MIT AND GPL-3.0-only"),
        );
        check_licence(Some("my own"), Some("sample is licensed as my own"));
        check_licence(None, Some("sample states no licence"));
    }

    #[test]
    fn only_named_registries_and_the_workspace_are_sources() {
        let fault = |source| rules().source_fault(&package(Some("MIT"), source));
        assert_eq!(fault(None), None);
        assert_eq!(fault(Some("registry+https://registry.example")), None);
        for source in [
            "git+https://registry.example/sample",
            "registry+https://other.example",
        ] {
            assert_eq!(
                fault(Some(source)),
                Some(format!("sample comes from {source}"))
            );
        }
    }
}
