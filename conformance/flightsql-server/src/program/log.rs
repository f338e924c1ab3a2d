//! The record as JSON lines, and the query log that people read.

use std::fs::File;
use std::io::Write;
use std::path::Path;
use std::sync::{Arc, Mutex, PoisonError};

use flightsql_server::{Record, Recorder, Rpc, StreamEnd};
use time::OffsetDateTime;
use time::format_description::well_known::Rfc3339;

use super::{ProgramError, say};

/// Writes what the server tells.
pub fn recorder(record: Option<&Path>, quiet: bool) -> Result<Recorder, ProgramError> {
    let lines = record.map(open).transpose()?.map(Mutex::new);
    Ok(Arc::new(move |record: Record| {
        let now = OffsetDateTime::now_utc().format(&Rfc3339).expect("the clock shows a time of this era");
        if let Some(lines) = &lines {
            let mut line = serde_json::json!({ "time": now });
            if let (Some(line), Ok(serde_json::Value::Object(fields))) =
                (line.as_object_mut(), serde_json::to_value(&record))
            {
                line.extend(fields);
            }
            let mut lines = lines.lock().unwrap_or_else(PoisonError::into_inner);
            if let Err(error) = writeln!(lines, "{line}").and_then(|()| lines.flush()) {
                say(&format!("the record cannot be written: {error}"));
            }
        }
        if !quiet && let Some(text) = text(&record) {
            say(&format!("{now} {text}"));
        }
    }))
}

fn open(path: &Path) -> Result<Box<dyn Write + Send>, ProgramError> {
    if path.as_os_str() == "-" {
        return Ok(Box::new(std::io::stdout()));
    }
    let file = File::options().create(true).append(true).open(path);
    let file =
        file.map_err(|error| ProgramError::File { path: path.to_owned(), reason: error.to_string() })?;
    Ok(Box::new(file))
}

/// A line for people; nothing for what is of no interest.
fn text(record: &Record) -> Option<String> {
    match record {
        Record::Contact { .. } => None,
        Record::TlsFailed { peer_port, reason, .. } => Some(format!("port {peer_port}: no TLS: {reason}")),
        Record::Rpc(rpc) => Some(call(rpc)),
        Record::StreamEnd(end) => Some(ended(end)),
        Record::Fault { method, fault, .. } => Some(format!("{method} meets the fault {fault}")),
        Record::Rendezvous { method, parties } => Some(format!("{parties} callers met in {method}")),
    }
}

fn call(rpc: &Rpc) -> String {
    let who = rpc.principal.as_deref().unwrap_or("nobody");
    let command = rpc.command.as_deref().map(|c| format!(" {c}")).unwrap_or_default();
    let token = rpc.authorization.iter().map(|a| format!("{:?}", a.state)).collect::<Vec<_>>().join("+");
    let token = if token.is_empty() { "no token".to_owned() } else { token };
    let life = match rpc.remaining_ms {
        Some(ms) if ms < 0 => format!(", expired {:.1} s ago", -(ms as f64) / 1e3),
        Some(ms) => format!(", {:.0} s left", ms as f64 / 1e3),
        None => String::new(),
    };
    let refused = rpc.refused.as_deref().map(|code| format!(" -> {code}")).unwrap_or_default();
    let sql = rpc.sql.as_deref().map(|sql| format!(": {}", one_line(sql))).unwrap_or_default();
    format!("#{} {}{command} by {who} ({token}{life}){refused}{sql}", rpc.id, rpc.method)
}

fn ended(end: &StreamEnd) -> String {
    let by_peer = if end.aborted_by_peer { ", the client was gone" } else { "" };
    format!("#{} {} {} rows, {} bytes{by_peer}", end.rpc, end.code, end.rows, end.bytes)
}

/// SQL on one line, without what a terminal would obey.
fn one_line(sql: &str) -> String {
    let words = sql.split(|c: char| c.is_whitespace() || c.is_control()).filter(|word| !word.is_empty());
    words.collect::<Vec<_>>().join(" ")
}
