//! The dashboard against a Prometheus that scrapes a node.

use std::collections::BTreeSet;
use std::io::{BufRead, BufReader};
use std::net::TcpListener;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::thread::sleep;
use std::time::{Duration, Instant};

use anyhow::{Context, ensure};
use serde_json::Value;
use xshell::{Shell, cmd};

use crate::debian;
use crate::workspace::say;

const DASHBOARD: &str = "deploy/dashboard.json";
const PROMETHEUS: &str = "deploy/prometheus.yaml";
const ALERTS: &str = "deploy/alerts.yaml";

/// What the configuration has, and what it has here.
const INTERVAL: [&str; 2] = ["scrape_interval: 15s", "scrape_interval: 500ms"];
const TARGETS: &str = r#"["10.0.0.1:9001", "10.0.0.2:9001", "10.0.0.3:9001"]"#;

/// How long Prometheus may take until it has looked often enough.
const WAIT: Duration = Duration::from_secs(30);

/// A process that is killed at the end.
struct Process(Child);

/// Checks the configuration, has it scrape a node, and asks what the dashboard asks.
pub(crate) fn check(shell: &Shell, node: &Path) -> anyhow::Result<()> {
    let expressions = expressions(&serde_json::from_str(&shell.read_file(DASHBOARD)?)?);
    ensure!(!expressions.is_empty(), "{DASHBOARD} asks nothing");
    let programs = ["usr/bin/promtool", "usr/bin/prometheus"];
    let programs = programs.map(|program| debian::program(shell, "prometheus", program));
    let [Ok(promtool), Ok(prometheus)] = &programs else {
        let reason = programs.into_iter().find_map(Result::err);
        let reason = reason.context("no reason")?;
        say(&format!("the dashboard is not checked: {reason:#}"));
        return Ok(());
    };
    let check = cmd!(shell, "{promtool} check config {PROMETHEUS}");
    check.quiet().ignore_stdout().run()?;
    let (_node, figures) = start_node(shell, node)?;
    let directory = shell.create_temp_dir()?;
    let server = start_prometheus(shell, prometheus, directory.path(), &figures)?;
    let ask = |expression: &str| ask(shell, promtool, &server.1, expression);
    // Rates need two looks.
    let looks = r#"min(count_over_time(up{job="mc-cluster"}[1m])) >= 3"#;
    let end = Instant::now() + WAIT;
    while ask(looks).unwrap_or_default().is_empty() {
        let is_late = Instant::now() >= end;
        ensure!(!is_late, "Prometheus did not look within {WAIT:?}");
        sleep(Duration::from_millis(200));
    }
    let can_read = !ask("up == 1")?.is_empty();
    ensure!(can_read, "Prometheus cannot read the figures");
    for expression in &expressions {
        ensure!(!ask(expression)?.is_empty(), "nothing answers {expression}");
    }
    let alerts = shell.read_file(ALERTS)?;
    let alerts = alerts.lines();
    let alerts = alerts.filter_map(|line| line.trim().strip_prefix("expr: "));
    let asked = expressions.iter().map(String::as_str).chain(alerts);
    let names: BTreeSet<String> = asked.flat_map(series).collect();
    for name in &names {
        ensure!(!ask(name)?.is_empty(), "no node has {name}");
    }
    let (queries, series) = (expressions.len(), names.len());
    say(&format!(
        "{queries} queries of the dashboard and {series} series have answers"
    ));
    Ok(())
}

/// Returns the queries of all panels, for all nodes and the last minute.
fn expressions(dashboard: &Value) -> Vec<String> {
    let panels = dashboard["panels"].as_array().into_iter().flatten();
    let targets = panels.flat_map(|panel| panel["targets"].as_array().into_iter().flatten());
    let expressions = targets.filter_map(|target| target["expr"].as_str());
    let expressions = expressions.map(|expression| {
        let expression = expression.replace("$instance", ".+");
        expression.replace("$__rate_interval", "1m")
    });
    expressions.collect()
}

/// Returns the names of the series in a query.
fn series(expression: &str) -> impl Iterator<Item = String> {
    let is_part = |character: char| character.is_ascii_alphanumeric() || character == '_';
    let words = expression.split(move |character| !is_part(character));
    let names = words.filter(|word| word.starts_with("mc_"));
    names.map(str::to_owned)
}

/// Starts a node that has done some of everything; returns where its figures are.
fn start_node(shell: &Shell, node: &Path) -> anyhow::Result<(Process, String)> {
    let mut command = Command::new(node);
    command.args(["node", "--name", "a", "--size", "4mb", "--small-pages"]);
    command.args(["--listen", "127.0.0.1:0", "--http", "127.0.0.1:0"]);
    let mut process = Process(command.stdout(Stdio::piped()).spawn()?);
    let output = process.0.stdout.take().context("no output")?;
    let mut lines = BufReader::new(output).lines();
    let mut after = |beginning: &str| {
        let line = lines.next().context("the node did not start")??;
        let rest = line.strip_prefix(beginning).map(str::to_owned);
        rest.with_context(|| format!("the node said {line}"))
    };
    let members = format!("a={}", after("listening on ")?);
    let figures = after("figures on http://")?;
    let figures = figures.trim_end_matches("/metrics").to_owned();
    let object = "x".repeat(1 << 20);
    // More than there is room for, so that some leave.
    for key in ["1", "2", "3", "4", "5", "6"] {
        let put = cmd!(shell, "{node} put {key} --members {members}");
        put.stdin(&object).quiet().ignore_stdout().run()?;
    }
    let get = cmd!(shell, "{node} get 6 --members {members}");
    get.quiet().ignore_stdout().run()?;
    Ok((process, figures))
}

/// Starts Prometheus with the configuration for one node; returns where it answers.
fn start_prometheus(
    shell: &Shell,
    prometheus: &Path,
    directory: &Path,
    figures: &str,
) -> anyhow::Result<(Process, String)> {
    let configuration = shell.read_file(PROMETHEUS)?;
    for part in [INTERVAL[0], TARGETS] {
        ensure!(configuration.contains(part), "{PROMETHEUS} has no {part}");
    }
    let configuration = configuration.replace(INTERVAL[0], INTERVAL[1]);
    let configuration = configuration.replace(TARGETS, &format!(r#"["{figures}"]"#));
    let file = directory.join("prometheus.yaml");
    shell.write_file(&file, configuration)?;
    shell.copy_file(ALERTS, directory.join("alerts.yaml"))?;
    let address = TcpListener::bind("127.0.0.1:0")?.local_addr()?;
    let option = |name: &str, path: PathBuf| format!("--{name}={}", path.display());
    let mut command = Command::new(prometheus);
    command.arg(option("config.file", file));
    command.arg(option("storage.tsdb.path", directory.join("data")));
    command.arg(format!("--web.listen-address={address}"));
    command.stdout(Stdio::null()).stderr(Stdio::null());
    Ok((Process(command.spawn()?), format!("http://{address}")))
}

/// Returns what Prometheus answers: a series a line.
fn ask(shell: &Shell, promtool: &Path, server: &str, expression: &str) -> anyhow::Result<String> {
    let answer = cmd!(shell, "{promtool} query instant {server} {expression}");
    let answer = answer.quiet().ignore_stderr().read();
    answer.with_context(|| format!("no answer to {expression}"))
}

impl Drop for Process {
    fn drop(&mut self) {
        let _ = self.0.kill();
        let _ = self.0.wait();
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn series_are_the_names_in_a_query() {
        let query = r#"sum by (mode) (rate(mc_a_total{instance=~".+", cause="mc"}[1m])) / mc_b"#;
        let names: Vec<_> = series(query).collect();
        assert_eq!(names, ["mc_a_total", "mc_b"]);
    }
}
