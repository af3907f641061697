//! `cargo xtask dist`: headers, libraries, README and licences as programs in C and C++ need them, and a
//! software bill of materials.

use std::path::{Path, PathBuf};

use anyhow::{Context, ensure};
use xshell::{Shell, TempDir, cmd};

use crate::sbom;
use crate::workspace::{cargo, has_tool, relative, root, say};

const CRATE: &str = "crates/mc-capi";

/// What a program outside the repository compiles; it prints the version.
const OUTSIDER: &str = r#"#include <mc_alloc.hpp>
#include <mc_store.hpp>
#include <cstdio>
int main() {
  const auto allocator = mc::OffsetAllocator::create(0, 1000);
  auto store = mc::Store::create();
  if (!store || store->get("key").status() != MC_STATUS_NOT_STORED) return 1;
  return allocator->allocate(1000) ? std::puts(mc_version()) < 0 : 1;
}
"#;

/// How the program is found by cmake.
const OUTSIDER_CMAKE: &str = "cmake_minimum_required(VERSION 3.13)
project(outsider CXX)
set(CMAKE_CXX_STANDARD 17)
find_package(mc_alloc CONFIG REQUIRED)
add_executable(outsider outsider.cpp)
target_link_libraries(outsider PRIVATE mc_alloc::mc_alloc)
";

/// Finds the rest of the tree from its own place.
const CMAKE_CONFIG: &str = r#"# Offers mc_alloc::mc_alloc, the shared library, and mc_alloc::static.
get_filename_component(_mc_alloc_prefix "${CMAKE_CURRENT_LIST_DIR}/../../.." ABSOLUTE)
find_package(Threads QUIET)

if(NOT TARGET mc_alloc::mc_alloc)
  add_library(mc_alloc::mc_alloc SHARED IMPORTED)
  set_target_properties(mc_alloc::mc_alloc PROPERTIES
    IMPORTED_LOCATION "${_mc_alloc_prefix}/lib/libmc_alloc.so"
    INTERFACE_INCLUDE_DIRECTORIES "${_mc_alloc_prefix}/include")
  add_library(mc_alloc::static STATIC IMPORTED)
  set_target_properties(mc_alloc::static PROPERTIES
    IMPORTED_LOCATION "${_mc_alloc_prefix}/lib/libmc_alloc.a"
    INTERFACE_LINK_LIBRARIES "pthread;dl;m"
    INTERFACE_INCLUDE_DIRECTORIES "${_mc_alloc_prefix}/include")
endif()

unset(_mc_alloc_prefix)
"#;

pub(crate) fn run(shell: &Shell) -> anyhow::Result<()> {
    let dist = assemble(shell)?;
    say(&format!("assembled {}", relative(&dist)));
    Ok(())
}

/// Assembles the tree and returns where it is.
fn assemble(shell: &Shell) -> anyhow::Result<PathBuf> {
    let library = "--release --package mc-capi --target-dir target";
    cargo(shell, &format!("build --locked --quiet {library}"))?;
    let dist = root().join("target/dist");
    shell.remove_path(&dist)?;
    let copy = |from: &str, to: &str| -> anyhow::Result<()> {
        shell.create_dir(dist.join(to))?;
        Ok(shell.copy_file(from, dist.join(to))?)
    };
    for header in ["mc_alloc.h", "mc_alloc.hpp", "mc_store.hpp"] {
        copy(&format!("{CRATE}/include/{header}"), "include")?;
    }
    copy("target/release/libmc_alloc.a", "lib")?;
    link_shared(shell, &dist.join("lib"))?;
    for document in ["README.md", "LICENSE-MIT", "LICENSE-APACHE"] {
        copy(&format!("{CRATE}/{document}"), "share/doc/mc_alloc")?;
    }
    let parts = sbom::of_package(shell, "mc-capi")?;
    shell.write_file(dist.join("share/doc/mc_alloc/mc_alloc.cdx.json"), parts)?;
    let version = env!("CARGO_PKG_VERSION");
    shell.write_file(dist.join("lib/pkgconfig/mc_alloc.pc"), pkg_config(version))?;
    let cmake = |file: &str| dist.join("lib/cmake/mc_alloc").join(file);
    shell.write_file(cmake("mc_alloc-config.cmake"), CMAKE_CONFIG)?;
    shell.write_file(
        cmake("mc_alloc-config-version.cmake"),
        cmake_version(version),
    )?;
    Ok(dist)
}

/// Makes the shared library of the static one, as cargo does not name it: with a SONAME and versions of
/// symbols, so that a loader refuses a library that a program was not built for. Before 1.0 the minor
/// version is what stays compatible.
fn link_shared(shell: &Shell, lib: &Path) -> anyhow::Result<()> {
    let version = env!("CARGO_PKG_VERSION");
    let (compatible, _) = version.rsplit_once('.').context("a version has a patch")?;
    let script = shell.create_temp_dir()?;
    let script = script.path().join("symbols");
    let symbols = format!("MC_ALLOC_{compatible} {{ global: mc_*; local: *; }};\n");
    shell.write_file(&script, symbols)?;
    let archive = lib.join("libmc_alloc.a");
    let archive = archive.to_str().context("a path is text")?;
    let library = lib.join(format!("libmc_alloc.so.{version}"));
    let soname = format!("libmc_alloc.so.{compatible}");
    let script = script.display();
    let names = format!("-Wl,-soname,{soname},--version-script={script},--gc-sections");
    let whole = ["-Wl,--whole-archive", archive, "-Wl,--no-whole-archive"];
    let link = cmd!(shell, "cc -shared -o {library} {whole...} {names}");
    link.args(["-lpthread", "-ldl", "-lm"]).quiet().run()?;
    for name in [soname.as_str(), "libmc_alloc.so"] {
        let target = library.file_name().context("a library has a name")?;
        std::os::unix::fs::symlink(target, lib.join(name))?;
    }
    Ok(())
}

/// Assembles the tree and builds a program outside the repository against it, in each way that the
/// system has.
pub(crate) fn check(shell: &Shell, has_cpp: bool) -> anyhow::Result<()> {
    let dist = assemble(shell)?;
    if !has_cpp {
        return Ok(());
    }
    let outside = shell.create_temp_dir()?;
    let moved = outside.path().join("moved");
    cmd!(shell, "cp -R {dist} {moved}").quiet().run()?;
    let source = outside.path().join("outsider.cpp");
    shell.write_file(&source, OUTSIDER)?;
    let program = outside.path().join("outsider");
    let (include, lib) = (moved.join("include"), moved.join("lib"));
    let compile = cmd!(shell, "c++ -std=c++17 {source} -o {program} -I {include}");
    compile
        .arg("-L")
        .arg(&lib)
        .arg("-lmc_alloc")
        .quiet()
        .run()?;
    expect_version(shell, &program, &lib)?;
    if has_tool(shell, "pkg-config", "programs that ask pkg-config") {
        check_pkg_config(shell, &source, &program, &lib)?;
    }
    if has_tool(shell, "cmake", "programs that are built by cmake") {
        check_cmake(shell, &outside, &moved)?;
    }
    Ok(())
}

fn check_pkg_config(
    shell: &Shell,
    source: &Path,
    program: &Path,
    lib: &Path,
) -> anyhow::Result<()> {
    let _path = shell.push_env("PKG_CONFIG_PATH", lib.join("pkgconfig"));
    for linking in [None, Some("--static")] {
        let flags = cmd!(shell, "pkg-config --cflags --libs {linking...} mc_alloc").quiet();
        let flags = flags.read()?;
        let flags = flags.split_whitespace();
        let compile = cmd!(shell, "c++ -std=c++17 {source} -o {program} {flags...}");
        compile.quiet().run()?;
        expect_version(shell, program, lib)?;
    }
    Ok(())
}

fn check_cmake(shell: &Shell, outside: &TempDir, moved: &Path) -> anyhow::Result<()> {
    let source = outside.path();
    shell.write_file(source.join("CMakeLists.txt"), OUTSIDER_CMAKE)?;
    let build = source.join("build");
    let configure = cmd!(
        shell,
        "cmake -S {source} -B {build} -DCMAKE_PREFIX_PATH={moved}"
    );
    configure.quiet().ignore_stdout().run()?;
    let make = cmd!(shell, "cmake --build {build}");
    make.quiet().ignore_stdout().run()?;
    expect_version(shell, &build.join("outsider"), &moved.join("lib"))
}

fn expect_version(shell: &Shell, program: &Path, lib: &Path) -> anyhow::Result<()> {
    let _path = shell.push_env("LD_LIBRARY_PATH", lib);
    let version = cmd!(shell, "{program}").quiet().read();
    let version = version.context("a program outside the repository does not run")?;
    let is_ours = version == env!("CARGO_PKG_VERSION");
    ensure!(is_ours, "the library says that it is {version}");
    Ok(())
}

fn pkg_config(version: &str) -> String {
    format!(
        "prefix=${{pcfiledir}}/../..

Name: mc_alloc
Description: Arena, offset allocator and object store for KV caches
Version: {version}
Cflags: -I${{prefix}}/include
Libs: -L${{prefix}}/lib -lmc_alloc
Libs.private: -lpthread -ldl -lm
"
    )
}

/// Accepts requests for the same minor version, which is what stays compatible before 1.0.
fn cmake_version(version: &str) -> String {
    format!(
        "set(PACKAGE_VERSION \"{version}\")
string(REGEX MATCH \"^[0-9]+\\\\.[0-9]+\" _mc_alloc_minor \"${{PACKAGE_VERSION}}\")
string(REGEX MATCH \"^[0-9]+\\\\.[0-9]+\" _mc_alloc_asked \"${{PACKAGE_FIND_VERSION}}.0\")
if(_mc_alloc_minor STREQUAL _mc_alloc_asked AND NOT PACKAGE_FIND_VERSION VERSION_GREATER PACKAGE_VERSION)
  set(PACKAGE_VERSION_COMPATIBLE TRUE)
endif()
if(PACKAGE_FIND_VERSION VERSION_EQUAL PACKAGE_VERSION)
  set(PACKAGE_VERSION_EXACT TRUE)
endif()
"
    )
}
