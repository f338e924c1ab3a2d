//! Data to stdout and files, talk to stderr.

use std::io::{IsTerminal as _, Write as _};
use std::path::Path;

use scenario_model::junit::to_junit;
use scenario_model::report::Report;

use crate::operator::OperatorError;

/// Writes data to stdout. A reader that went away is no error of ours; a full disk ends the program with code 2, since
/// whoever reads the exit code must not take a lost report for one.
pub fn data(text: &str) {
    let mut stdout = std::io::stdout().lock();
    let written = stdout.write_all(text.as_bytes()).and_then(|()| stdout.flush());
    if let Err(error) = written
        && error.kind() != std::io::ErrorKind::BrokenPipe
    {
        talk(&format!("error: cannot write to stdout: {error}"));
        std::process::exit(2);
    }
}

/// Writes a line of talk to stderr.
pub fn talk(text: &str) {
    let _ = writeln!(std::io::stderr().lock(), "{text}");
}

/// Colours are wanted and make sense.
pub fn colour() -> bool {
    std::env::var_os("NO_COLOR").is_none_or(|v| v.is_empty()) && std::io::stdout().is_terminal()
}

/// The time of day, RFC 3339.
#[expect(clippy::disallowed_methods, reason = "the one place where a run learns when it was started")]
pub fn now() -> String {
    let now = time::OffsetDateTime::from(std::time::SystemTime::now());
    let whole = now.replace_nanosecond(0).unwrap_or(now);
    whole.format(&time::format_description::well_known::Rfc3339).unwrap_or_default()
}

/// Finds out before a long run, not after it, that a file cannot be written.
///
/// # Errors
/// The first path that cannot.
pub fn must_be_writable(paths: &[&Path]) -> Result<(), OperatorError> {
    for (nth, path) in paths.iter().enumerate() {
        if paths[..nth].contains(path) {
            let message = format!("`{}` is named for two outputs: one would be lost", path.display());
            return Err(OperatorError::Selection(message));
        }
    }
    for path in paths {
        std::fs::OpenOptions::new()
            .create(true)
            .append(true)
            .open(path)
            .map_err(|source| OperatorError::Write { path: path.to_path_buf(), source })?;
    }
    Ok(())
}

/// Writes the report in the forms that were asked for.
///
/// # Errors
/// A file that cannot be written.
pub fn write_reports(
    report: &Report,
    json: Option<&Path>,
    junit: Option<&Path>,
) -> Result<(), OperatorError> {
    if let Some(path) = json {
        let mut text = serde_json::to_string_pretty(report).expect("plain data");
        text.push('\n');
        write(path, &text)?;
    }
    if let Some(path) = junit {
        let text = to_junit(report).map_err(|e| OperatorError::Ours(format!("cannot write JUnit: {e}")))?;
        write(path, &text)?;
    }
    Ok(())
}

/// Writes a file.
///
/// # Errors
/// If it cannot be written.
pub fn write(path: &Path, text: &str) -> Result<(), OperatorError> {
    std::fs::write(path, text).map_err(|source| OperatorError::Write { path: path.to_owned(), source })
}
