//! `cargo xtask report`: a report of the shipped trace, and a browser that looks at it.

use std::fs;
use std::path::Path;

use anyhow::{Context, ensure};
use xshell::{Shell, cmd};

use crate::bench;
use crate::workspace::{answers, relative, root, say};

/// Where report and pictures are.
const OUT: &str = "target/report";

/// What the browser is called, on one system or another.
const BROWSERS: [&str; 3] = ["chromium", "chromium-browser", "google-chrome"];

/// Collects what goes wrong from the first script on.
const WATCH: &str = r#"<script>
const faults = [];
addEventListener("error", (event) => faults.push(event.message));
addEventListener("securitypolicyviolation", (event) => faults.push(event.violatedDirective));
</script>"#;

/// Uses the page as a reader would, and writes down what did not follow.
const USE: &str = r##"<script>
const expect = (claim, holds) => { if (!holds) faults.push(claim); };
const seen = () => [at("map").toDataURL(), at("charts").innerHTML, at("now").textContent];
const chosen = () => document.querySelector("tr.chosen").dataset.run;
const atEnd = seen();
at("moment").value = 0;
at("moment").dispatchEvent(new Event("input", { bubbles: true }));
seen().forEach((part, index) => expect(`part ${index} follows the slider`, part !== atEnd[index]));
const rows = () => at("rows").children.length;
const all = rows();
const filter = document.querySelector("#filters select");
filter.value = filter.options[1].value;
filter.dispatchEvent(new Event("change", { bubbles: true }));
expect("a filter leaves some rows", rows() > 0 && rows() < all);
at("rows").lastElementChild.firstElementChild.click();
expect("a row chooses a run", chosen() === at("rows").lastElementChild.dataset.run && at("name").textContent !== "");
filter.value = "";
filter.dispatchEvent(new Event("change", { bubbles: true }));
expect("a filter is taken back", rows() === all);
const order = () => [...at("rows").children].map((row) => row.dataset.run).join();
const before = order();
[...at("head").children].find((heading) => heading.dataset.field === "token_hit_rate").click();
expect("a heading sorts", order() !== before && at("head").textContent.includes("▲"));
document.body.dataset.faults = JSON.stringify(faults);
</script>"##;

/// What the page says of itself after it was used without a fault.
const NO_FAULTS: &str = r#"data-faults="[]""#;

/// Writes the report of the shipped trace, and lets a browser use it and take its picture in both color
/// schemes, where there is one.
pub(crate) fn run(shell: &Shell) -> anyhow::Result<()> {
    let out = root().join(OUT);
    shell.remove_path(&out)?;
    shell.create_dir(&out)?;
    let report = out.join("report.html");
    let command = bench::build(shell)?;
    let row = ["--capacity-percent", "5", "--layout", "blocks"];
    let write = cmd!(shell, "{command} report --quick {row...} --out {report}");
    write.quiet().ignore_stderr().run()?;
    let Some(browser) = browser(shell) else {
        say("the report is not looked at: there is no chromium");
        return Ok(());
    };
    check_use(shell, browser, &report)?;
    let [light, dark] = [("light", 1), ("dark", 0)].map(|(scheme, number)| {
        let picture = out.join(scheme).with_extension("png");
        take_picture(shell, browser, &report, &picture, number).map(|()| picture)
    });
    let (light, dark) = (light?, dark?);
    let differ = fs::read(&light)? != fs::read(&dark)?;
    ensure!(differ, "the report looks the same in both color schemes");
    for file in [report, light, dark] {
        say(&relative(&file));
    }
    Ok(())
}

fn browser(shell: &Shell) -> Option<&'static str> {
    let is_here = |browser: &&str| answers(shell, &format!("{browser} --version"));
    BROWSERS.into_iter().find(is_here)
}

/// Has a browser use a copy of the report.
fn check_use(shell: &Shell, browser: &str, report: &Path) -> anyhow::Result<()> {
    let page = fs::read_to_string(report)?;
    let (head, body) = page.split_once("<body>").context("a page has a body")?;
    let (body, end) = body.split_once("</body>").context("a page has a body")?;
    let used = report.with_file_name("used.html");
    let text = format!("{head}<body>{WATCH}{body}{USE}</body>{end}");
    fs::write(&used, text)?;
    let dom = browse(shell, browser, &used, &["--dump-dom".to_owned()])?;
    let found = dom.split("data-faults=").nth(1).unwrap_or("nothing");
    let found: String = found.chars().take(300).collect();
    ensure!(dom.contains(NO_FAULTS), "the report in a browser: {found}");
    Ok(())
}

fn take_picture(
    shell: &Shell,
    browser: &str,
    report: &Path,
    picture: &Path,
    scheme: u8,
) -> anyhow::Result<()> {
    let options = [
        format!("--blink-settings=preferredColorScheme={scheme}"),
        "--window-size=1250,1500".to_owned(),
        format!("--screenshot={}", picture.display()),
    ];
    browse(shell, browser, report, &options).map(drop)
}

/// Opens a page and returns what the browser writes, if nothing reached the console of the page.
fn browse(shell: &Shell, browser: &str, page: &Path, options: &[String]) -> anyhow::Result<String> {
    let fixed = [
        "--headless=new",
        // Nothing but files of this machine is opened, and root may not have a sandbox.
        "--no-sandbox",
        "--disable-gpu",
        "--hide-scrollbars",
        "--enable-logging=stderr",
        "--virtual-time-budget=10000",
    ];
    let url = format!("file://{}", page.display());
    let open = cmd!(shell, "{browser} {fixed...} {options...} {url}").quiet();
    let output = open.output()?;
    let log = String::from_utf8_lossy(&output.stderr);
    let console = log.lines().filter(|line| line.contains("CONSOLE"));
    let said: Vec<&str> = console.collect();
    ensure!(said.is_empty(), "the console says {}", said.join("\n"));
    Ok(String::from_utf8(output.stdout)?)
}
