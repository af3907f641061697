//! What the libraries for C and C++ are made of, as a `CycloneDX` document.
//!
//! Of the packages in it, cargo tells names, versions, licences and who needs whom, for this target and with the
//! features that are built; `Cargo.lock` adds the checksum of each archive. The same sources give the same bytes.

use std::collections::{BTreeMap, BTreeSet};
use std::fs;

use anyhow::{Context, ensure};
use serde::Deserialize;
use serde_json::{Value, json};
use xshell::{Shell, cmd};

use crate::workspace::root;

/// A line of `cargo tree`: depth, name and version, licence, features left out.
const LINE: &str = "|{p}|{l}|{r}";

/// One package of the tree.
#[derive(Debug, Default, PartialEq, Eq)]
struct Component {
    licence: String,
    repository: String,
    needs: BTreeSet<Id>,
}

/// Name and version.
type Id = (String, String);

#[derive(Deserialize)]
struct Lock {
    package: Vec<Locked>,
}

/// A package of `Cargo.lock`; members of the workspace have no checksum.
#[derive(Deserialize)]
struct Locked {
    name: String,
    version: String,
    checksum: Option<String>,
}

/// Returns the document for what a release build of `package` links.
pub(crate) fn of_package(shell: &Shell, package: &str) -> anyhow::Result<String> {
    let options = ["--edges", "normal", "--prefix", "depth", "--no-dedupe"];
    let tree = cmd!(shell, "cargo tree --locked --quiet --package {package}");
    let tree = tree.args(options).args(["--format", LINE]).quiet().read()?;
    let (main, components) = read_tree(&tree)?;
    let lock = fs::read_to_string(root().join("Cargo.lock")).context("cannot read Cargo.lock")?;
    let lock: Lock = toml::from_str(&lock).context("in Cargo.lock")?;
    let document = document(&main, &components, &checksums(lock))?;
    Ok(format!("{}\n", serde_json::to_string_pretty(&document)?))
}

fn checksums(lock: Lock) -> BTreeMap<Id, String> {
    let packages = lock.package.into_iter();
    packages
        .filter_map(|package| Some(((package.name, package.version), package.checksum?)))
        .collect()
}

/// Returns the package at the root and all packages, each with those one level below it.
fn read_tree(tree: &str) -> anyhow::Result<(Id, BTreeMap<Id, Component>)> {
    let mut components: BTreeMap<Id, Component> = BTreeMap::new();
    let mut path: Vec<Id> = Vec::new();
    for line in tree.lines() {
        let fields: Vec<&str> = line.splitn(4, '|').collect();
        let [depth, package, licence, repository] = fields[..] else {
            anyhow::bail!("cargo tree writes {line:?}");
        };
        let mut words = package.split(' ');
        let name = words.next().unwrap_or_default().to_owned();
        let version = words.next().and_then(|word| word.strip_prefix('v'));
        let version = version.with_context(|| format!("{line:?} has no version"))?;
        let id = (name, version.to_owned());
        path.truncate(depth.parse()?);
        if let Some(above) = path.last().and_then(|above| components.get_mut(above)) {
            above.needs.insert(id.clone());
        }
        let component = components.entry(id.clone()).or_default();
        licence.clone_into(&mut component.licence);
        repository.clone_into(&mut component.repository);
        path.push(id);
    }
    let main = path.into_iter().next();
    let main = main.context("cargo tree lists nothing")?;
    Ok((main, components))
}

fn document(
    main: &Id,
    components: &BTreeMap<Id, Component>,
    checksums: &BTreeMap<Id, String>,
) -> anyhow::Result<Value> {
    let mut listed = Vec::new();
    let mut dependencies = Vec::new();
    for (id, component) in components {
        let needs: Vec<String> = component.needs.iter().map(reference).collect();
        dependencies.push(json!({ "ref": reference(id), "dependsOn": needs }));
        if id != main {
            listed.push(described(id, component, checksums)?);
        }
    }
    Ok(json!({
        "$schema": "http://cyclonedx.org/schema/bom-1.5.schema.json",
        "bomFormat": "CycloneDX",
        "specVersion": "1.5",
        "version": 1,
        "metadata": { "component": described(main, &components[main], checksums)? },
        "components": listed,
        "dependencies": dependencies,
    }))
}

fn described(
    id: &Id,
    component: &Component,
    checksums: &BTreeMap<Id, String>,
) -> anyhow::Result<Value> {
    let (name, version) = id;
    let has_licence = !component.licence.is_empty();
    ensure!(has_licence, "{name} {version} states no licence");
    let mut described = json!({
        "type": "library",
        "bom-ref": reference(id),
        "name": name,
        "version": version,
        "purl": reference(id),
        // "MIT/Apache-2.0" is how old packages write "or".
        "licenses": [{ "expression": component.licence.replace('/', " OR ") }],
    });
    if let Some(checksum) = checksums.get(id) {
        described["hashes"] = json!([{ "alg": "SHA-256", "content": checksum }]);
    }
    if !component.repository.is_empty() {
        described["externalReferences"] = json!([{ "type": "vcs", "url": component.repository }]);
    }
    Ok(described)
}

/// Returns the package URL, which is also what refers to the package in the document.
///
/// Of what versions may contain, only the plus sign has a meaning of its own there.
fn reference((name, version): &Id) -> String {
    format!("pkg:cargo/{name}@{}", version.replace('+', "%2B"))
}

#[cfg(test)]
mod tests {
    use super::*;

    const TREE: &str = "0|top v1.0.0 (/here)|MIT|\n1|left v2.0.0+a|MIT/Apache-2.0|https://left\n\
                        2|deep v0.1.0 (proc-macro)|ISC|\n1|deep v0.1.0 (proc-macro)|ISC|\n";

    fn id(name: &str, version: &str) -> Id {
        (name.to_owned(), version.to_owned())
    }

    #[test]
    fn the_document_has_every_package_once_and_who_needs_whom() {
        let (main, components) = read_tree(TREE).unwrap();
        let checksums = BTreeMap::from([(id("left", "2.0.0+a"), "ab".to_owned())]);
        let document = document(&main, &components, &checksums).unwrap();
        let names: Vec<&Value> = document["components"].as_array().unwrap().iter().collect();
        assert_eq!(names.len(), 2);
        assert_eq!(names[0]["name"], "deep");
        assert_eq!(names[1]["purl"], "pkg:cargo/left@2.0.0%2Ba");
        assert_eq!(names[1]["licenses"][0]["expression"], "MIT OR Apache-2.0");
        assert_eq!(names[1]["hashes"][0]["content"], "ab");
        assert_eq!(document["metadata"]["component"]["name"], "top");
        let needs = json!(["pkg:cargo/deep@0.1.0", "pkg:cargo/left@2.0.0%2Ba"]);
        assert_eq!(document["dependencies"][2]["dependsOn"], needs);
        assert_eq!(
            document["dependencies"][1]["dependsOn"],
            json!(["pkg:cargo/deep@0.1.0"])
        );
    }

    #[test]
    fn a_package_without_a_licence_and_a_line_of_another_form_are_errors() {
        assert!(read_tree("0|top|MIT|\n").is_err());
        assert!(read_tree("top v1.0.0\n").is_err());
        let (main, components) = read_tree("0|top v1.0.0||\n").unwrap();
        assert!(document(&main, &components, &BTreeMap::new()).is_err());
    }
}
