//! `cargo xtask native`: the programs in C, C++ and Python, compiled and run with what the system
//! has.
//!
//! rustup needs a C compiler for linking; everything else may be absent, and then one line says what
//! did not run.

use std::num::NonZeroUsize;
use std::path::{Path, PathBuf};
use std::sync::Mutex;
use std::thread;

use anyhow::{Context, ensure};
use xshell::{Shell, cmd};

use crate::dist;
use crate::workspace::{self, cargo, has_tool, relative, root, say};

/// Where programs are built.
const OUT: &str = "target/native";
const INCLUDE: &str = "crates/mc-capi/include";
const TESTS: &str = "crates/mc-capi/tests/native";
const GUIDE: &str = "docs/guides/using-from-cpp.md";

/// Suppresses what the thread sanitizer cannot know about a library that it did not compile.
const THREAD_SUPPRESSIONS: &str = "crates/mc-capi/tests/native/thread_sanitizer.txt";

/// Suppresses what valgrind takes for a use of bytes that nobody wrote, in a crate without unsafe code.
const VALGRIND_SUPPRESSIONS: &str = "crates/mc-capi/tests/native/valgrind.supp";

/// Tells helgrind what the atomics of the library order.
const HELGRIND_WRAPPERS: &str = "crates/mc-capi/tests/native/helgrind.c";

/// Where the library for helgrind is built.
const HELGRIND_TARGET: &str = "target/helgrind";

/// A way to build and run a program.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Way {
    Plain,
    /// The address and undefined-behaviour sanitizers.
    Address,
    /// The thread sanitizer.
    Thread,
    Valgrind,
    /// Valgrind's detector of races, on a library without optimization.
    Helgrind,
}

const SEQUENTIAL: &[Way] = &[Way::Plain, Way::Address, Way::Valgrind];
const THREADED: &[Way] = &[
    Way::Plain,
    Way::Address,
    Way::Thread,
    Way::Valgrind,
    Way::Helgrind,
];

/// The programs and the ways they are run.
const PROGRAMS: &[(&str, &[Way])] = &[
    ("crates/mc-capi/tests/native/interface.c", SEQUENTIAL),
    ("crates/mc-capi/tests/native/offset.cpp", SEQUENTIAL),
    ("crates/mc-capi/tests/native/arena.cpp", THREADED),
    ("crates/mc-capi/tests/native/buffers.cpp", SEQUENTIAL),
    // Valgrind does not know that mappings can be kept from children.
    (
        "crates/mc-capi/tests/native/fork.c",
        &[Way::Plain, Way::Address],
    ),
    ("crates/mc-capi/tests/native/sequences.cpp", SEQUENTIAL),
    ("crates/mc-capi/tests/native/threads.cpp", THREADED),
    ("crates/mc-capi/tests/native/store.c", SEQUENTIAL),
    ("crates/mc-capi/tests/native/store.cpp", SEQUENTIAL),
    ("crates/mc-capi/tests/native/store_model.cpp", SEQUENTIAL),
    ("crates/mc-capi/tests/native/store_restart.cpp", SEQUENTIAL),
    ("crates/mc-capi/tests/native/store_threads.cpp", THREADED),
    ("examples/c/segment.c", &[Way::Plain]),
    ("examples/cpp/object_store.cpp", &[Way::Plain, Way::Thread]),
];

pub(crate) fn run(shell: &Shell) -> anyhow::Result<()> {
    build_library(shell, "target")?;
    shell.create_dir(OUT)?;
    let guide = extract_guide(shell)?;
    let programs = PROGRAMS.iter();
    let programs = programs.map(|&(source, ways)| (PathBuf::from(source), ways));
    let guide = guide.into_iter().map(|path| (path, &[Way::Plain][..]));
    let programs = programs.chain(guide);
    let tools = Tools::find(shell)?;
    if tools.helgrind {
        build_library_for_helgrind(shell)?;
    }
    let runs =
        programs.flat_map(|(source, ways)| ways.iter().map(move |&way| (source.clone(), way)));
    run_programs(runs.filter(|(source, way)| tools.has(source, *way)))?;
    if tools.python {
        let library = Way::Plain.build_dir().join("libmc_alloc.so");
        for program in ["segment.py", "fork.py"] {
            let example = cmd!(shell, "python3 examples/python/{program} {library}");
            example.quiet().ignore_stdout().run()?;
        }
    }
    dist::check(shell, tools.cpp)
}

/// Builds the library with the profile of the tests: what `cargo test` built in the same directory is used
/// again, debug assertions included.
fn build_library(shell: &Shell, directory: &str) -> anyhow::Result<()> {
    let library = "--package mc-capi --profile test --target-dir";
    cargo(
        shell,
        &format!("build --locked --quiet {library} {directory}"),
    )
}

/// Builds the library so that methods of atomics are called, by names that say their types.
fn build_library_for_helgrind(shell: &Shell) -> anyhow::Result<()> {
    let _flags = shell.push_env("RUSTFLAGS", "-Csymbol-mangling-version=v0");
    let _level = shell.push_env("CARGO_PROFILE_TEST_OPT_LEVEL", "0");
    build_library(shell, HELGRIND_TARGET)
}

/// What the system has; for what it lacks a line was printed.
struct Tools {
    cpp: bool,
    python: bool,
    valgrind: bool,
    helgrind: bool,
    address: bool,
    thread: bool,
}

impl Tools {
    fn find(shell: &Shell) -> anyhow::Result<Self> {
        let cpp = has_tool(shell, "c++", "C++ programs");
        let empty = root().join(OUT).join("empty.c");
        shell.write_file(&empty, "int main(void) { return 0; }\n")?;
        let has_sanitizer = |way: Way, what: &str| {
            let works = build(shell, &empty, way)
                .and_then(|program| Ok(cmd!(shell, "{program}").quiet().run()?));
            if works.is_err() {
                let reason = "the compiler has no runtime for it";
                say(&format!("programs under {what} do not run: {reason}"));
            }
            works.is_ok()
        };
        let valgrind = has_tool(shell, "valgrind", "programs under valgrind and helgrind");
        Ok(Self {
            cpp,
            python: has_tool(shell, "python3", "examples in Python"),
            valgrind,
            helgrind: valgrind && has_helgrind(shell),
            address: has_sanitizer(Way::Address, "the address sanitizer"),
            thread: has_sanitizer(Way::Thread, "the thread sanitizer"),
        })
    }

    fn has(&self, source: &Path, way: Way) -> bool {
        let has_compiler = !is_cpp(source) || self.cpp;
        has_compiler
            && match way {
                Way::Plain => true,
                Way::Address => self.address,
                Way::Thread => self.thread,
                Way::Valgrind => self.valgrind,
                Way::Helgrind => self.helgrind,
            }
    }
}

/// Compiles the wrappers, and says so if they cannot be.
fn has_helgrind(shell: &Shell) -> bool {
    let object = root().join(OUT).join("helgrind.o");
    let compile = cmd!(
        shell,
        "cc -std=c11 -O1 -Wall -Wextra -Werror -c {HELGRIND_WRAPPERS} -o {object}"
    );
    let is_compiled = compile.quiet().ignore_stderr().run().is_ok();
    if !is_compiled {
        let reason = "its wrappers need x86-64 and valgrind/helgrind.h";
        say(&format!("programs under helgrind do not run: {reason}"));
    }
    is_compiled
}

impl Way {
    fn flags(self) -> &'static [&'static str] {
        match self {
            Self::Plain | Self::Valgrind => &["-O1"],
            Self::Helgrind => &["-O1", "target/native/helgrind.o"],
            Self::Address => &[
                "-O1",
                "-fsanitize=address,undefined",
                "-fno-sanitize-recover=all",
            ],
            Self::Thread => &["-O1", "-fsanitize=thread"],
        }
    }

    fn build_dir(self) -> PathBuf {
        let target = if self == Self::Helgrind {
            HELGRIND_TARGET
        } else {
            "target"
        };
        root().join(target).join("debug")
    }

    fn suffix(self) -> &'static str {
        match self {
            Self::Plain => "as it is",
            Self::Address => "under the address sanitizer",
            Self::Thread => "under the thread sanitizer",
            Self::Valgrind => "under valgrind",
            Self::Helgrind => "under helgrind",
        }
    }
}

/// Runs programs, as many at a time as there are processors; begins no more once one has failed.
fn run_programs(runs: impl Iterator<Item = (PathBuf, Way)> + Send) -> anyhow::Result<()> {
    let runs = Mutex::new(runs.fuse());
    let next = || runs.lock().expect("nobody panics with the lock").next();
    let work = || {
        let shell = &workspace::shell()?;
        while let Some((source, way)) = next() {
            let ran = run_program(shell, &source, way);
            if ran.is_err() {
                while next().is_some() {}
            }
            ran.with_context(|| format!("{} failed {}", source.display(), way.suffix()))?;
        }
        Ok(())
    };
    let workers = thread::available_parallelism().map_or(1, NonZeroUsize::get);
    thread::scope(|scope| {
        let workers: Vec<_> = (0..workers).map(|_| scope.spawn(work)).collect();
        let mut workers = workers.into_iter();
        workers.try_for_each(|worker| worker.join().expect("no worker panics"))
    })
}

fn run_program(shell: &Shell, source: &Path, way: Way) -> anyhow::Result<()> {
    let program = build(shell, source, way)?;
    let suppressions = root().join(THREAD_SUPPRESSIONS);
    let suppressions = format!("suppressions={}", suppressions.display());
    let _options = shell.push_env("TSAN_OPTIONS", suppressions);
    let known = root().join(VALGRIND_SUPPRESSIONS);
    let known = format!("--suppressions={}", known.display());
    let (runner, options): (&str, &[&str]) = match way {
        // What is only pointed at behind its reference counts counts as "possibly" lost there.
        Way::Valgrind => (
            "valgrind",
            &[
                "--quiet",
                "--error-exitcode=9",
                "--leak-check=full",
                "--show-leak-kinds=definite",
                "--errors-for-leak-kinds=definite",
                &known,
            ],
        ),
        // The other side of a race is named by where it last met a lock or an atomic.
        Way::Helgrind => (
            "valgrind",
            &[
                "--tool=helgrind",
                "--quiet",
                "--error-exitcode=9",
                "--history-level=approx",
            ],
        ),
        Way::Plain | Way::Address | Way::Thread => ("env", &[]),
    };
    // Valgrind is fifty times slower: random calls get fewer seeds, and threads make fewer calls.
    let fewer: &[&str] = match way {
        Way::Valgrind if source.ends_with("sequences.cpp") => &["3"],
        Way::Valgrind if source.ends_with("store_model.cpp") => &["1"],
        Way::Helgrind => &["100"],
        _ => &[],
    };
    let run = cmd!(shell, "{runner} {options...} {program} {fewer...}");
    let output = run.quiet().ignore_status().output()?;
    let said = String::from_utf8([output.stdout, output.stderr].concat())?;
    ensure!(output.status.success(), "{said}");
    Ok(())
}

/// Compiles a program against the library of the tests and returns its path.
fn build(shell: &Shell, source: &Path, way: Way) -> anyhow::Result<PathBuf> {
    const WARNINGS: [&str; 5] = ["-Wall", "-Wextra", "-Wpedantic", "-Wshadow", "-Werror"];
    let name = source.file_stem().context("a program has a name")?;
    let flags = way.flags();
    let name = format!("{}-{way:?}", name.to_string_lossy());
    let program = root().join(OUT).join(name);
    let link = link_flags(&way.build_dir());
    let (compiler, standard) = if is_cpp(source) {
        ("c++", "-std=c++17")
    } else {
        ("cc", "-std=c99")
    };
    let compile = cmd!(
        shell,
        "{compiler} {standard} -g {WARNINGS...} {flags...} {source}"
    );
    let compile = compile
        .args(["-I", INCLUDE, "-I", TESTS, "-o"])
        .arg(&program);
    compile.args(link).arg("-pthread").quiet().run()?;
    Ok(program)
}

/// Returns what links a program with the library in a directory and makes it load that one.
///
/// `cargo xtask` runs with cargo's own directories in `LD_LIBRARY_PATH`, where another build of the library
/// may lie; only a path written as `DT_RPATH` comes before them.
pub(crate) fn link_flags(library: &Path) -> [String; 4] {
    let library = library.display();
    [
        format!("-L{library}"),
        "-lmc_alloc".to_owned(),
        "-Wl,--disable-new-dtags".to_owned(),
        format!("-Wl,-rpath,{library}"),
    ]
}

fn is_cpp(source: &Path) -> bool {
    source.extension().is_some_and(|own| own == "cpp")
}

/// Writes the blocks of the guide as programs, each of which ends with the block that has `main`, and returns
/// their paths.
fn extract_guide(shell: &Shell) -> anyhow::Result<Vec<PathBuf>> {
    let guide = shell.read_file(GUIDE)?;
    let blocks = guide.split("```cpp\n").skip(1);
    let blocks = blocks.filter_map(|block| block.split("```").next());
    let mut paths = Vec::new();
    let mut program = String::new();
    for block in blocks {
        program.push_str(block);
        program.push('\n');
        if block.contains("int main()") {
            let name = format!("guide{}.cpp", paths.len() + 1);
            let path = root().join(OUT).join(name);
            shell.write_file(&path, std::mem::take(&mut program))?;
            paths.push(PathBuf::from(relative(&path)));
        }
    }
    ensure!(!paths.is_empty(), "{GUIDE} holds no program");
    let has_all = program.is_empty();
    ensure!(has_all, "the last block of {GUIDE} is part of no program");
    Ok(paths)
}
