//! `cargo xtask deploy`: the files that start nodes, and those that watch them.

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};

use anyhow::{Context, bail, ensure};
use xshell::{Shell, cmd};
use yaml_rust2::{Yaml, YamlLoader};

use crate::dashboard;
use crate::workspace::{answers, cargo, has_tool, metadata, say};

const UNIT: &str = "deploy/mc-cluster.service";
const UNIT_VALUES: &str = "deploy/node.env";
const COMPOSE: &str = "deploy/compose.yaml";
const KUBERNETES: &str = "deploy/kubernetes.yaml";

/// Where the unit has the program.
const PROGRAM: &str = "/usr/local/bin/mc-cluster";

/// How long calls under way may take once objects are moved.
const STOP_SECONDS: u64 = 5;

pub(crate) fn run(shell: &Shell) -> anyhow::Result<()> {
    let node = node(shell)?;
    check_unit(shell, &node).with_context(|| UNIT)?;
    check_compose(shell, &node).with_context(|| COMPOSE)?;
    check_kubernetes(shell, &node).with_context(|| KUBERNETES)?;
    dashboard::check(shell, &node)
}

/// Builds the command as the tests do, so that it is built once, and returns where it is.
fn node(shell: &Shell) -> anyhow::Result<PathBuf> {
    let command = "--package mc-cluster --all-features --bin mc-cluster";
    cargo(
        shell,
        &format!("build --locked --quiet --profile test {command}"),
    )?;
    let target = metadata()?.target_directory;
    Ok(target.join("debug/mc-cluster").into())
}

fn check_unit(shell: &Shell, node: &Path) -> anyhow::Result<()> {
    let unit = shell.read_file(UNIT)?;
    let value = |name: &str| {
        let mut lines = unit.lines().filter_map(|line| line.split_once('='));
        let found = lines.find(|(key, _)| *key == name);
        let value = found.map(|(_, value)| value);
        value.with_context(|| format!("no {name}"))
    };
    let start = value("ExecStart")?.strip_prefix(PROGRAM);
    let start = start.with_context(|| format!("does not start {PROGRAM}"))?;
    let values = shell.read_file(UNIT_VALUES)?;
    let values = values.lines().filter_map(|line| line.split_once('='));
    let values: BTreeMap<_, _> = values.collect();
    let arguments = start.split_whitespace().map(|argument| {
        let name = argument.strip_prefix("${");
        match name.and_then(|rest| rest.strip_suffix('}')) {
            Some(name) => values.get(name).map(ToString::to_string),
            None => Some(argument.to_owned()),
        }
        .with_context(|| format!("{argument} is not in {UNIT_VALUES}"))
    });
    let arguments: Vec<_> = arguments.collect::<anyhow::Result<_>>()?;
    check_arguments(shell, node, &arguments, value("TimeoutStopSec")?)?;
    if !has_tool(shell, "systemd-analyze", "checks of the unit") {
        return Ok(());
    }
    // It wants the program to be there.
    let directory = shell.create_temp_dir()?;
    let copy = directory.path().join("mc-cluster.service");
    let program = node.to_str();
    let program = program.context("the path of the command is no text")?;
    shell.write_file(&copy, unit.replace(PROGRAM, program))?;
    let verify = cmd!(shell, "systemd-analyze verify {copy}").quiet();
    let verified = verify.output()?;
    let said = String::from_utf8_lossy(&verified.stderr);
    let is_right = verified.status.success() && !said.contains("mc-cluster.service");
    ensure!(is_right, "{said}");
    Ok(())
}

fn check_compose(shell: &Shell, node: &Path) -> anyhow::Result<()> {
    let documents = parse(shell, COMPOSE)?;
    let services = documents[0]["services"].as_hash().context("no services")?;
    for service in services.values() {
        let common = &service["<<"];
        let arguments = texts(&service["command"])?;
        let grace = text(&common["stop_grace_period"])?;
        check_arguments(shell, node, &arguments, grace)?;
        let memory = bytes(text(&common["mem_limit"])?)?;
        let size = size(&arguments)?;
        ensure!(memory > size, "the limit is not above the size");
        let test = texts(&common["healthcheck"]["test"])?.join(" ");
        ensure!(test.contains("/healthz"), "no look at /healthz");
    }
    if !answers(shell, "docker compose version") {
        say("the compose file is parsed, and no more: there is no docker compose");
        return Ok(());
    }
    let config = cmd!(shell, "docker compose --file {COMPOSE} config --quiet");
    Ok(config.quiet().run()?)
}

fn check_kubernetes(shell: &Shell, node: &Path) -> anyhow::Result<()> {
    let documents = parse(shell, KUBERNETES)?;
    let mut sets = documents.iter();
    let set = sets.find(|document| document["kind"].as_str() == Some("StatefulSet"));
    let pod = &set.context("no StatefulSet")?["spec"]["template"]["spec"];
    let container = &pod["containers"][0];
    let values = BTreeMap::from([("$(NAME)", "a"), ("$(MEMBERS)", "a=h:1,b=h:2")]);
    let arguments = texts(&container["args"])?.into_iter().map(|argument| {
        let (option, value) = argument.split_once('=').unwrap_or((&argument, ""));
        match (values.get(value), value) {
            (Some(value), _) => format!("{option}={value}"),
            (None, "") => option.to_owned(),
            (None, value) => format!("{option}={value}"),
        }
    });
    let arguments: Vec<_> = arguments.collect();
    let grace = pod["terminationGracePeriodSeconds"].as_i64();
    let grace = grace.context("no terminationGracePeriodSeconds")?;
    check_arguments(shell, node, &arguments, &grace.to_string())?;
    let resources = &container["resources"];
    let asked = |kind: &str, what: &str| text(&resources[kind][what]).and_then(bytes);
    let pages = asked("limits", "hugepages-2Mi")?;
    let (requested, size) = (asked("requests", "hugepages-2Mi")?, size(&arguments)?);
    ensure!(pages == requested, "huge pages differ");
    ensure!(pages >= size, "the size is above the huge pages");
    asked("limits", "memory")?;
    let ready = &container["readinessProbe"]["httpGet"]["path"];
    ensure!(ready.as_str() == Some("/healthz"), "ready without /healthz");
    Ok(())
}

fn parse(shell: &Shell, file: &str) -> anyhow::Result<Vec<Yaml>> {
    let documents = YamlLoader::load_from_str(&shell.read_file(file)?)?;
    ensure!(!documents.is_empty(), "{file} is empty");
    Ok(documents)
}

/// Has the command read its arguments, and compares its budget with the time that it has.
fn check_arguments(
    shell: &Shell,
    node: &Path,
    arguments: &[String],
    grace: &str,
) -> anyhow::Result<()> {
    // It reads all that comes before, and then starts nothing.
    let read = cmd!(shell, "{node} {arguments...} --help").quiet();
    let read = read.output()?;
    let said = String::from_utf8_lossy(&read.stderr);
    ensure!(read.status.success(), "{said}");
    let drain: u64 = option(arguments, "--drain")?.parse()?;
    let grace: u64 = grace.trim_end_matches('s').parse()?;
    ensure!(
        grace >= drain + STOP_SECONDS,
        "it is killed after {grace} s, and moves objects for {drain} s"
    );
    Ok(())
}

/// Returns the value of an option, behind it or behind `=`.
fn option<'a>(arguments: &'a [String], name: &str) -> anyhow::Result<&'a str> {
    let mut arguments = arguments.iter();
    while let Some(argument) = arguments.next() {
        if argument == name {
            return arguments.next().map(String::as_str).context("no value");
        }
        let value = argument.strip_prefix(name);
        if let Some(value) = value.and_then(|rest| rest.strip_prefix('=')) {
            return Ok(value);
        }
    }
    bail!("no {name}")
}

fn size(arguments: &[String]) -> anyhow::Result<u64> {
    bytes(option(arguments, "--size")?)
}

/// Returns bytes such as `64gb`, `64Gi` or `1280m`.
fn bytes(text: &str) -> anyhow::Result<u64> {
    let split = text.find(|character: char| !character.is_ascii_digit());
    let (number, unit) = text.split_at(split.unwrap_or(text.len()));
    let shift = match unit {
        "Gi" | "gb" => 30,
        "Mi" | "m" => 20,
        unit => bail!("{unit} is no unit of bytes"),
    };
    Ok(number.parse::<u64>()? << shift)
}

fn text(yaml: &Yaml) -> anyhow::Result<&str> {
    yaml.as_str().with_context(|| format!("no text: {yaml:?}"))
}

fn texts(yaml: &Yaml) -> anyhow::Result<Vec<String>> {
    let all = yaml.as_vec();
    let all = all.with_context(|| format!("no list: {yaml:?}"))?;
    all.iter().map(|one| Ok(text(one)?.to_owned())).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn options_have_their_value_behind_them_or_behind_a_sign() {
        let arguments = ["node", "--size", "64gb", "--drain=60"].map(str::to_owned);
        assert_eq!(option(&arguments, "--size").unwrap(), "64gb");
        assert_eq!(option(&arguments, "--drain").unwrap(), "60");
        assert!(option(&arguments, "--dr").is_err());
        assert_eq!(bytes("64gb").unwrap(), bytes("64Gi").unwrap());
        assert_eq!(bytes("1280m").unwrap(), 1280 << 20);
        assert!(bytes("64").is_err() && bytes("x").is_err());
    }
}
