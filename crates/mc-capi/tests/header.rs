//! The checked-in header is what the crate gives.
//!
//! After a change of the interface the test fails once, and leaves the header
//! as it has to be.

use std::{
    fs,
    path::{Path, PathBuf},
};

/// The files that export something, in the order of the header.
const SOURCES: [&str; 31] = [
    "version.rs",
    "status.rs",
    "figures.rs",
    "call.rs",
    "log.rs",
    "arena_options.rs",
    "arena.rs",
    "buffers.rs",
    "offset_options.rs",
    "offset.rs",
    "offset_report.rs",
    "offset_restore.rs",
    "owned.rs",
    "slots.rs",
    "pool.rs",
    "key.rs",
    "segment_options.rs",
    "descriptor.rs",
    "store_options.rs",
    "store.rs",
    "store_keys.rs",
    "store_replicas.rs",
    "store_segments.rs",
    "store_idle.rs",
    "store_put.rs",
    "store_in_flight.rs",
    "store_place.rs",
    "store_chain.rs",
    "store_lease.rs",
    "store_events.rs",
    "store_stats.rs",
];

fn crate_dir() -> &'static Path {
    Path::new(env!("CARGO_MANIFEST_DIR"))
}

fn header_path() -> PathBuf {
    crate_dir().join("include/mc_alloc.h")
}

fn generate() -> String {
    let config = cbindgen::Config::from_file(crate_dir().join("cbindgen.toml"))
        .expect("cbindgen.toml is read");
    let builder = cbindgen::Builder::new().with_config(config);
    let builder = SOURCES.iter().fold(builder, |builder, source| {
        builder.with_src(crate_dir().join("src").join(source))
    });
    let mut header = Vec::new();
    builder
        .generate()
        .expect("the sources are understood")
        .write(&mut header);
    String::from_utf8(header).expect("the header is text")
}

#[test]
fn checked_in_header_is_current() {
    let checked_in = fs::read_to_string(header_path()).unwrap_or_default();
    let generated = generate();
    if generated != checked_in {
        let mut lines = generated.lines().zip(checked_in.lines());
        let differing = lines.find(|(generated, checked_in)| generated != checked_in);
        fs::write(header_path(), &generated).unwrap();
        panic!(
            "include/mc_alloc.h was not what the crate gives, first at {differing:?}; it is now"
        );
    }
}

#[test]
fn every_exported_function_is_declared() {
    let header = generate();
    let sources = SOURCES.map(|source| fs::read_to_string(crate_dir().join("src").join(source)));
    let mut exported = 0;
    for source in sources {
        for line in source
            .unwrap()
            .lines()
            .filter(|line| line.contains("extern \"C\" fn "))
        {
            let (_, name) = line.split_once("fn ").unwrap();
            let (name, _) = name.split_once('(').unwrap();
            assert!(
                header.contains(&format!("{name}(")),
                "{name} is not declared"
            );
            exported += 1;
        }
    }
    let symbols = fs::read_dir(crate_dir().join("src")).unwrap().map(|file| {
        let text = fs::read_to_string(file.unwrap().path()).unwrap();
        text.matches("#[unsafe(no_mangle)]").count()
    });
    assert_eq!(
        exported,
        symbols.sum::<usize>(),
        "a file is missing in SOURCES"
    );
}
