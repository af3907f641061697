//! The `mc-bench` command: runs workloads and writes one document.
//!
//! Standard output carries the document and nothing else; progress, skipped subjects and errors go
//! to standard error. A command line that cannot be run ends with status 2 and one line.

mod args;
mod hugepages;
mod progress;
mod report;
mod soak;
mod store_memory;
mod trace;

use std::env;
use std::ffi::OsString;
use std::fmt;
use std::fs::{File, OpenOptions};
use std::io::{self, BufWriter, Write};
use std::path::Path;
use std::process::ExitCode;

use anyhow::Context;
use clap::Parser;
use mc_bench::machine::Machine;
use mc_bench::record::{Document, Run, SCHEMA};
use mc_bench::render::{self, Width};
use mc_bench::workload::store::memory::COMMAND;
use mc_bench::workload::{
    Request, RequestError, Selection, WORKLOADS, Workload, by_name, named, select,
};

use self::args::{Args, Format, one_line};
use self::hugepages::HUGEPAGES;
use self::progress::Progress;
use self::report::REPORT;
use self::soak::SOAK;
use self::trace::TRACE;

/// Status of a command line that cannot be run.
const STATUS_USAGE: u8 = 2;

/// First argument that asks for the tables instead of a run.
const LIST: &str = "list";

fn main() -> ExitCode {
    let mut words = env::args_os().skip(1);
    let status = match words.next() {
        Some(word) if word == HUGEPAGES => hugepages::run(words),
        Some(word) if word == SOAK => soak::run(words),
        Some(word) if word == COMMAND => store_memory::run(words),
        Some(word) if word == TRACE => trace::run(words),
        Some(word) if word == REPORT => report::run(words),
        _ => parse(env::args_os().skip(1), STATUS_USAGE).map(|args: Args| {
            if args.workload == LIST {
                list_alone()
            } else {
                status_of(dispatch(&args))
            }
        }),
    };
    status.unwrap_or_else(|status| status)
}

/// The status to end with; what ends a command early is the error.
type Status = Result<ExitCode, ExitCode>;

/// Tells what went wrong, if anything, and returns the status to end with.
fn status_of(result: anyhow::Result<()>) -> ExitCode {
    match result {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) if is_broken_pipe(&error) => ExitCode::SUCCESS,
        Err(error) if error.is::<RequestError>() => fail(&format!("{error:#}"), STATUS_USAGE),
        Err(error) => fail(&format!("{error:#}"), 1),
    }
}

fn dispatch(args: &Args) -> anyhow::Result<()> {
    let workloads = named(&args.workload)?;
    let selection = select(&workloads, &args.run.subjects, &args.run.request())?;
    let out_file = args.out.as_deref().map(open).transpose()?;
    let document = measure(&selection)?;
    match (out_file, &args.out) {
        (Some(file), Some(path)) => replace(path, file, |out| write(&document, args, out)),
        _ => write(&document, args, &mut BufWriter::new(io::stdout().lock())),
    }
}

/// Lists what there is, which no option changes.
fn list_alone() -> ExitCode {
    if env::args_os().count() > 2 {
        return fail(
            "list takes no options: it names workloads and subjects",
            STATUS_USAGE,
        );
    }
    status_of(list(&mut io::stdout().lock()).map_err(Into::into))
}

/// Runs what is selected and tells what is left out.
fn measure(selection: &Selection) -> anyhow::Result<Document> {
    let Selection { requests, skipped } = selection;
    let runs = run(requests)?;
    // Only now, because a request that cannot be run ends with one line.
    for left_out in skipped {
        let (workload, subject, reason) = (&left_out.workload, &left_out.subject, &left_out.reason);
        tell(&format!("skipped: {subject} on {workload}: {reason}"));
    }
    Ok(Document {
        schema: SCHEMA,
        machine: Machine::this(),
        runs,
        skipped: skipped.clone(),
    })
}

fn run(requests: &[(&Workload, Request)]) -> Result<Vec<Run>, RequestError> {
    let mut progress = Progress::new();
    let mut runs = Vec::new();
    for (workload, request) in requests {
        let measured = (workload.run)(request, &mut |step| progress.show(step))?;
        runs.extend(measured.into_iter().map(|mut run| {
            // Those that draw nothing do not say it themselves.
            if run.value("seed").is_none() {
                run.set("seed", request.seed);
            }
            run
        }));
    }
    progress.finish();
    Ok(runs)
}

/// Opens the output file before the first run, so that a wrong path costs no time. What it holds
/// stays until there is something to replace it.
fn open(path: &Path) -> anyhow::Result<File> {
    let mut options = OpenOptions::new();
    options.write(true).create(true).truncate(false);
    options
        .open(path)
        .with_context(|| format!("cannot write {}", path.display()))
}

/// Writes a document in place of what a file holds; a pipe or a device takes it behind that.
fn replace(
    path: &Path,
    file: File,
    write: impl FnOnce(&mut BufWriter<File>) -> anyhow::Result<()>,
) -> anyhow::Result<()> {
    let is_file = file.metadata().is_ok_and(|file| file.is_file());
    let emptied = if is_file { file.set_len(0) } else { Ok(()) };
    let written = emptied.map_err(Into::into);
    let written = written.and_then(|()| write(&mut BufWriter::new(file)));
    written.with_context(|| format!("cannot write {}", path.display()))
}

fn write(document: &Document, args: &Args, out: &mut impl Write) -> anyhow::Result<()> {
    let width = if args.wide {
        Width::Wide
    } else {
        Width::Screen
    };
    match args.format {
        Format::Table => render::table(document, width, out)?,
        Format::Json => render::json(document, out)?,
        Format::Csv => render::csv(document, out)?,
        Format::Markdown => render::markdown(document, width, out)?,
    }
    out.flush().map_err(Into::into)
}

/// Names workloads, and each subject once, with the workloads that leave it out.
fn list(out: &mut impl Write) -> io::Result<()> {
    writeln!(out, "workloads")?;
    for workload in WORKLOADS {
        writeln!(out, "  {:<18}{}", workload.name, workload.summary)?;
    }
    let mut sets: Vec<(Vec<&str>, Vec<_>)> = Vec::new();
    for workload in WORKLOADS {
        let subjects = (workload.subjects)();
        match sets.iter_mut().find(|(_, known)| *known == subjects) {
            Some((names, _)) => names.push(workload.name),
            None => sets.push((vec![workload.name], subjects)),
        }
    }
    for (names, subjects) in sets {
        writeln!(out, "\nsubjects of {}", names.join(", "))?;
        for subject in subjects {
            let leaves_out = |name: &&&str| {
                let workload = by_name(name);
                workload.is_some_and(|one| one.accepted().all(|known| known != subject.name))
            };
            let without: Vec<&str> = names.iter().filter(leaves_out).copied().collect();
            let without = match without.as_slice() {
                [] => String::new(),
                without => format!(" (not of {})", without.join(", ")),
            };
            writeln!(out, "  {:<18}{}{without}", subject.name, subject.summary)?;
        }
    }
    Ok(())
}

fn is_broken_pipe(error: &anyhow::Error) -> bool {
    let kind = error.downcast_ref::<io::Error>().map(io::Error::kind);
    kind == Some(io::ErrorKind::BrokenPipe)
}

/// Parses the words after the name of a command; otherwise prints what answers them and returns the
/// status to end with, which is `status_usage` if they are not accepted.
///
/// A negative number is a value, so that what is said names it.
fn parse<P: Parser>(
    words: impl Iterator<Item = OsString>,
    status_usage: u8,
) -> Result<P, ExitCode> {
    let command = P::command().no_binary_name(true);
    let command = command.mut_args(|option| {
        let has_value = option.get_action().takes_values();
        option.allow_negative_numbers(has_value)
    });
    let parsed = command.try_get_matches_from(words);
    parsed
        .and_then(|matches| P::from_arg_matches(&matches))
        .map_err(|answer| {
            if answer.use_stderr() {
                fail(&one_line(&answer), status_usage)
            } else {
                print(&answer, ExitCode::SUCCESS)
            }
        })
}

/// Writes a text and returns the status, which stands whether or not anyone reads the text.
fn print(text: &impl fmt::Display, status: ExitCode) -> ExitCode {
    match write!(io::stdout().lock(), "{text}") {
        Err(error) if error.kind() != io::ErrorKind::BrokenPipe => fail(&error.to_string(), 1),
        _ => status,
    }
}

fn fail(line: &str, status: u8) -> ExitCode {
    tell(&format!("error: {line}"));
    ExitCode::from(status)
}

/// Writes a line to standard error; a closed one is no reason to fail.
fn tell(line: &str) {
    let _ = writeln!(io::stderr().lock(), "{line}");
}
