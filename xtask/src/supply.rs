//! What the workspace depends on: every licence allowed, every package from the registry.
//!
//! The rules are those of `deny.toml`. Where cargo-deny is installed it checks them; building it takes longer
//! than all other checks, so that a machine with nothing but rustup gets the part that the metadata of cargo
//! answers: licences and sources. Advisories need the network and are left to `cargo deny check advisories`.

use std::fs;

use anyhow::{Context, ensure};
use cargo_metadata::Package;
use serde::Deserialize;
use spdx::{Expression, Licensee, ParseMode};
use xshell::{Shell, cmd};

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
    #[serde(default)]
    exceptions: Vec<LicenceException>,
}

/// Licences that one package may have besides.
#[derive(Debug, Deserialize)]
struct LicenceException {
    #[serde(rename = "crate")]
    package: String,
    allow: Vec<String>,
}

#[derive(Debug, Deserialize)]
#[serde(rename_all = "kebab-case")]
struct SourceRules {
    allow_registry: Vec<String>,
}

/// Fails if a dependency, direct or not, breaks a rule.
pub(crate) fn run(shell: &Shell) -> anyhow::Result<()> {
    let has_tool = cmd!(shell, "cargo deny --version").quiet();
    if has_tool.ignore_stdout().ignore_stderr().run().is_ok() {
        let checks = ["licenses", "bans", "sources"];
        cmd!(
            shell,
            "cargo deny --log-level error --offline --locked check {checks...}"
        )
        .run()?;
        return Ok(());
    }
    say("cargo-deny is not installed: of deny.toml only licences and sources are checked");
    check_metadata()
}

/// Checks what the metadata of cargo tells.
fn check_metadata() -> anyhow::Result<()> {
    let text = fs::read_to_string(root().join("deny.toml")).context("cannot read deny.toml")?;
    let rules: Rules = toml::from_str(&text).context("in deny.toml")?;
    let packages = metadata()?.packages;
    let mut faults = Vec::new();
    for package in &packages {
        faults.extend(licence_fault(package, &rules.licensees(&package.name)?));
        faults.extend(rules.source_fault(package));
    }
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
    /// Returns the licences that a package may have.
    fn licensees(&self, package: &str) -> anyhow::Result<Vec<Licensee>> {
        let exceptions = self.licenses.exceptions.iter();
        let exceptions = exceptions.filter(|exception| exception.package == package);
        let besides = exceptions.flat_map(|exception| &exception.allow);
        let allow = self.licenses.allow.iter();
        allow
            .chain(besides)
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
                exceptions: vec![LicenceException {
                    package: "other".to_owned(),
                    allow: vec!["MPL-2.0".to_owned()],
                }],
            },
            sources: SourceRules {
                allow_registry: vec!["https://registry.example".to_owned()],
            },
        }
    }

    #[track_caller]
    fn check_licence(license: Option<&str>, expected: Option<&str>) {
        let allowed = rules().licensees("sample").unwrap();
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
    fn an_exception_is_for_one_package() {
        check_licence(Some("MPL-2.0"), Some("sample is licensed as MPL-2.0"));
        let allowed = rules().licensees("other").unwrap();
        assert_eq!(
            licence_fault(&package(Some("MPL-2.0"), None), &allowed),
            None
        );
        assert_eq!(licence_fault(&package(Some("MIT"), None), &allowed), None);
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
