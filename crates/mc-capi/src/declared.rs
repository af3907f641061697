//! What the header declares, for tests that compare it with Rust.

use serde::Serialize;
use serde_json::Value;

const HEADER: &str = include_str!("../include/mc_alloc.h");

/// Asserts that the constant that is named after a value has a number.
#[track_caller]
pub(crate) fn assert_named(prefix: &str, value: &impl Serialize, number: u32) {
    let Ok(Value::String(word)) = serde_json::to_value(value) else {
        panic!("{prefix} constants are named after words");
    };
    let name = format!("{prefix}{}", word.to_uppercase().replace('-', "_"));
    let line = format!("#define {name} {number}");
    assert!(HEADER.lines().any(|declared| declared == line), "{line}");
}

/// Returns how many constants begin so.
pub(crate) fn count(prefix: &str) -> usize {
    let start = format!("#define {prefix}");
    HEADER
        .lines()
        .filter(|line| line.starts_with(&start))
        .count()
}

/// Returns the names of the fields of a struct.
pub(crate) fn fields(of: &str) -> Vec<&'static str> {
    let (_, body) = HEADER
        .split_once(&format!("typedef struct {of} {{"))
        .expect("the header has the struct");
    let (body, _) = body.split_once('}').expect("a struct ends");
    let declarations = body.lines().map(str::trim);
    let declarations = declarations.filter(|line| line.ends_with(';') && !line.starts_with("//"));
    let names =
        declarations.filter_map(|line| line.trim_end_matches(';').rsplit([' ', '*']).next());
    names
        .map(|name| name.split('[').next().unwrap_or(name))
        .collect()
}

/// Returns the statuses with their numbers.
pub(crate) fn statuses() -> Vec<(&'static str, u32)> {
    let lines = HEADER.lines().map(str::trim);
    let lines = lines.filter(|line| line.starts_with("MC_STATUS_"));
    let parts = lines.filter_map(|line| line.trim_end_matches(',').split_once(" = "));
    parts
        .filter_map(|(name, number)| Some((name, number.parse().ok()?)))
        .collect()
}
