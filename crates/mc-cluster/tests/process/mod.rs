//! Processes of the command, for the tests that start some.

use std::{
    io::{BufRead, BufReader, Read},
    net::TcpListener,
    process::{Child, ChildStderr, Command, Stdio},
};

use nix::{
    sys::signal::{Signal, kill},
    unistd::Pid,
};

pub(crate) const PROGRAM: &str = env!("CARGO_BIN_EXE_mc-cluster");

/// A process that is killed if the test ends before it.
pub(crate) struct Process(pub(crate) Child);

impl Process {
    /// Starts a command and waits for its first line, which begins with some words.
    pub(crate) fn saying(words: &str, command: &mut Command) -> Self {
        let command = command.stdout(Stdio::piped()).stderr(Stdio::piped());
        let mut process = Self(command.spawn().unwrap());
        let mut line = String::new();
        let output = process.0.stdout.as_mut().unwrap();
        BufReader::new(output).read_line(&mut line).unwrap();
        assert!(line.starts_with(words), "{line}");
        process
    }

    pub(crate) fn errors(&mut self) -> BufReader<ChildStderr> {
        BufReader::new(self.0.stderr.take().unwrap())
    }

    pub(crate) fn signal(&self, signal: Signal) {
        kill(Pid::from_raw(self.0.id().try_into().unwrap()), signal).unwrap();
    }

    /// Waits for a good end, and returns what the process complained about.
    pub(crate) fn end(&mut self) -> String {
        let mut text = String::new();
        self.errors().read_to_string(&mut text).unwrap();
        assert!(self.0.wait().unwrap().success(), "{text}");
        text
    }
}

impl Drop for Process {
    fn drop(&mut self) {
        let _ = self.0.kill();
        let _ = self.0.wait();
    }
}

/// Returns addresses that nobody has at the moment.
pub(crate) fn addresses<const N: usize>() -> [String; N] {
    let bind = |()| TcpListener::bind("127.0.0.1:0").unwrap();
    let listeners = [(); N].map(bind);
    listeners.map(|listener| listener.local_addr().unwrap().to_string())
}
