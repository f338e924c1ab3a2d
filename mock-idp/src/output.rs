//! Data to stdout, talk to stderr.

use std::io::{self, Write};

use tracing_subscriber::fmt::MakeWriter;

use crate::run::Failure;

/// Writes a text to stdout, all of it.
pub fn print(text: &str) -> Result<(), Failure> {
    let mut out = io::stdout();
    let written = out.write_all(text.as_bytes()).and_then(|()| out.flush());
    written.map_err(|e| Failure::plain(format!("the output could not be written: {e}")))
}

/// Writes a line to stderr; where nobody can be told, nothing can be said about it.
pub fn say(text: &str) {
    let _ = writeln!(io::stderr(), "mock-idp: {text}");
}

/// Stderr as the log sees it: a full disk or a reader that went away are no reason to stop answering.
#[derive(Debug, Clone, Copy)]
pub struct Unbreakable;

impl Write for Unbreakable {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        let _ = io::stderr().write_all(bytes);
        Ok(bytes.len())
    }

    fn flush(&mut self) -> io::Result<()> {
        let _ = io::stderr().flush();
        Ok(())
    }
}

impl MakeWriter<'_> for Unbreakable {
    type Writer = Self;

    fn make_writer(&self) -> Self {
        *self
    }
}
