//! What a command reads from files, and says to whoever runs it.

use std::{
    error::Error,
    fs,
    io::{self, Write},
    path::Path,
};

use mc_cluster::{ClientError, Token};

/// Returns an error with all of its causes.
pub(crate) fn describe(error: &(dyn Error + 'static)) -> String {
    let mut text = error.to_string();
    let mut cause = error.source();
    // A status shows its parts as a program has them; a person wants what it says.
    if let Some(ClientError::Call { source, .. }) = error.downcast_ref() {
        match source.message() {
            "" => add(&mut text, &source.code().to_string()),
            message => add(&mut text, message),
        }
        cause = source.source();
    }
    while let Some(error) = cause {
        add(&mut text, &error.to_string());
        cause = error.source();
    }
    text
}

/// Adds a cause, unless it says what the one before has said.
fn add(text: &mut String, cause: &str) {
    if !text.ends_with(cause) {
        text.push_str(": ");
        text.push_str(cause);
    }
}

/// Reads a file; an error names it.
pub(crate) fn read(file: &Path) -> Result<Vec<u8>, String> {
    fs::read(file).map_err(|error| format!("cannot read {}: {error}", file.display()))
}

/// Writes a line to standard error; a closed one is no reason to fail.
pub(crate) fn say(line: &str) {
    let _ = writeln!(io::stderr().lock(), "{line}");
}

/// Writes a line to standard output.
pub(crate) fn tell(line: &str) -> io::Result<()> {
    writeln!(io::stdout().lock(), "{line}")
}

/// Returns the token of the cluster that is in a file, if one is named.
pub(crate) fn token(file: Option<&Path>) -> Result<Option<Token>, Box<dyn Error>> {
    let Some(file) = file else {
        return Ok(None);
    };
    let token = Token::new(&String::from_utf8_lossy(&read(file)?));
    let token = token.map_err(|error| format!("in {}: {error}", file.display()))?;
    Ok(Some(token))
}
