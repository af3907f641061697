//! `cargo xtask native`: the programs in C, C++ and Python, compiled and run with what the system
//! has.
//!
//! rustup needs a C compiler for linking; everything else may be absent, and then one line says what
//! did not run.

use std::path::{Path, PathBuf};

use anyhow::{Context, ensure};
use xshell::{Shell, cmd};

use crate::dist;
use crate::tool::has_tool;
use crate::workspace::{relative, root, say};

/// Where programs are built.
const OUT: &str = "target/native";
const INCLUDE: &str = "crates/mc-capi/include";
const TESTS: &str = "crates/mc-capi/tests/native";
const GUIDE: &str = "docs/guides/using-from-cpp.md";

/// Suppresses what the thread sanitizer cannot know about a library that it did not compile.
const THREAD_SUPPRESSIONS: &str = "crates/mc-capi/tests/native/thread_sanitizer.txt";

/// Suppresses what valgrind takes for a use of bytes that nobody wrote, in a crate without unsafe code.
const VALGRIND_SUPPRESSIONS: &str = "crates/mc-capi/tests/native/valgrind.supp";

/// A way to build and run a program.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Way {
    Plain,
    /// The address and undefined-behaviour sanitizers.
    Address,
    /// The thread sanitizer.
    Thread,
    Valgrind,
}

/// A program and the ways it is run.
struct Program {
    source: &'static str,
    ways: &'static [Way],
}

const SEQUENTIAL: &[Way] = &[Way::Plain, Way::Address, Way::Valgrind];
const THREADED: &[Way] = &[Way::Plain, Way::Address, Way::Thread, Way::Valgrind];

const PROGRAMS: &[Program] = &[
    Program {
        source: "crates/mc-capi/tests/native/interface.c",
        ways: SEQUENTIAL,
    },
    Program {
        source: "crates/mc-capi/tests/native/offset.cpp",
        ways: SEQUENTIAL,
    },
    Program {
        source: "crates/mc-capi/tests/native/arena.cpp",
        ways: THREADED,
    },
    Program {
        source: "crates/mc-capi/tests/native/buffers.cpp",
        ways: SEQUENTIAL,
    },
    Program {
        source: "crates/mc-capi/tests/native/fork.c",
        // Valgrind does not know that mappings can be kept from children.
        ways: &[Way::Plain, Way::Address],
    },
    Program {
        source: "crates/mc-capi/tests/native/sequences.cpp",
        ways: SEQUENTIAL,
    },
    Program {
        source: "crates/mc-capi/tests/native/threads.cpp",
        ways: THREADED,
    },
    Program {
        source: "crates/mc-capi/tests/native/store.c",
        ways: SEQUENTIAL,
    },
    Program {
        source: "crates/mc-capi/tests/native/store.cpp",
        ways: SEQUENTIAL,
    },
    Program {
        source: "crates/mc-capi/tests/native/store_model.cpp",
        ways: SEQUENTIAL,
    },
    Program {
        source: "crates/mc-capi/tests/native/store_restart.cpp",
        ways: SEQUENTIAL,
    },
    Program {
        source: "crates/mc-capi/tests/native/store_threads.cpp",
        ways: THREADED,
    },
    Program {
        source: "examples/c/segment.c",
        ways: &[Way::Plain],
    },
    Program {
        source: "examples/cpp/object_store.cpp",
        ways: &[Way::Plain, Way::Thread],
    },
];

pub(crate) fn run(shell: &Shell) -> anyhow::Result<()> {
    // The profile of the tests: what `cargo test` built is used again, debug assertions included.
    cmd!(
        shell,
        "cargo build --locked --quiet --package mc-capi --profile test --target-dir target"
    )
    .run()?;
    shell.create_dir(OUT)?;
    let guide = extract_guide(shell)?;
    let programs = PROGRAMS
        .iter()
        .map(|program| (PathBuf::from(program.source), program.ways));
    let guide = guide.into_iter().map(|path| (path, &[Way::Plain][..]));
    let programs = programs.chain(guide);
    let tools = Tools::find(shell)?;
    for (source, ways) in programs {
        for &way in ways {
            if tools.has(&source, way) {
                run_program(shell, &source, way)
                    .with_context(|| format!("{} failed {}", source.display(), way.suffix()))?;
            }
        }
    }
    if tools.python {
        let library = library_dir().join("libmc_alloc.so");
        for program in ["segment.py", "fork.py"] {
            cmd!(shell, "python3 examples/python/{program} {library}")
                .quiet()
                .ignore_stdout()
                .run()?;
        }
    }
    dist::check(shell, tools.cpp)
}

fn library_dir() -> PathBuf {
    root().join("target/debug")
}

/// What the system has; for what it lacks a line was printed.
struct Tools {
    cpp: bool,
    python: bool,
    valgrind: bool,
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
                say(&format!(
                    "programs under {what} do not run: the compiler has no runtime for it"
                ));
            }
            works.is_ok()
        };
        Ok(Self {
            cpp,
            python: has_tool(shell, "python3", "examples in Python"),
            valgrind: has_tool(shell, "valgrind", "programs under valgrind"),
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
            }
    }
}

impl Way {
    fn flags(self) -> &'static [&'static str] {
        match self {
            Self::Plain | Self::Valgrind => &["-O1"],
            Self::Address => &[
                "-O1",
                "-fsanitize=address,undefined",
                "-fno-sanitize-recover=all",
            ],
            Self::Thread => &["-O1", "-fsanitize=thread"],
        }
    }

    fn suffix(self) -> &'static str {
        match self {
            Self::Plain => "as it is",
            Self::Address => "under the address sanitizer",
            Self::Thread => "under the thread sanitizer",
            Self::Valgrind => "under valgrind",
        }
    }
}

fn run_program(shell: &Shell, source: &Path, way: Way) -> anyhow::Result<()> {
    let program = build(shell, source, way)?;
    let suppressions = root().join(THREAD_SUPPRESSIONS);
    let _options = shell.push_env(
        "TSAN_OPTIONS",
        format!("suppressions={}", suppressions.display()),
    );
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
        Way::Plain | Way::Address | Way::Thread => ("env", &[]),
    };
    // Valgrind is fifty times slower: random calls get fewer seeds.
    let seeds: &[&str] = match way {
        Way::Valgrind if source.ends_with("sequences.cpp") => &["3"],
        Way::Valgrind if source.ends_with("store_model.cpp") => &["1"],
        _ => &[],
    };
    let output = cmd!(shell, "{runner} {options...} {program} {seeds...}")
        .quiet()
        .ignore_status()
        .output()?;
    ensure!(
        output.status.success(),
        "{}{}",
        String::from_utf8_lossy(&output.stdout),
        String::from_utf8_lossy(&output.stderr)
    );
    Ok(())
}

/// Compiles a program against the library of the tests and returns its path.
fn build(shell: &Shell, source: &Path, way: Way) -> anyhow::Result<PathBuf> {
    const WARNINGS: [&str; 5] = ["-Wall", "-Wextra", "-Wpedantic", "-Wshadow", "-Werror"];
    let name = source.file_stem().context("a program has a name")?;
    let flags = way.flags();
    let name = format!("{}-{}", name.to_string_lossy(), flags.concat());
    let program = root().join(OUT).join(name);
    let link = link_flags(&library_dir());
    let (compiler, standard) = if is_cpp(source) {
        ("c++", "-std=c++17")
    } else {
        ("cc", "-std=c99")
    };
    cmd!(
        shell,
        "{compiler} {standard} -g {WARNINGS...} {flags...} -I {INCLUDE} -I {TESTS} {source} -o {program}
         {link...} -pthread"
    )
    .quiet()
    .run()?;
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
    source
        .extension()
        .is_some_and(|extension| extension == "cpp")
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
            let path = root()
                .join(OUT)
                .join(format!("guide{}.cpp", paths.len() + 1));
            shell.write_file(&path, std::mem::take(&mut program))?;
            paths.push(PathBuf::from(relative(&path)));
        }
    }
    ensure!(!paths.is_empty(), "{GUIDE} holds no program");
    ensure!(
        program.is_empty(),
        "the last block of {GUIDE} is part of no program"
    );
    Ok(paths)
}
