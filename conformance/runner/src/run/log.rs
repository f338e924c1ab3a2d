//! What a subject prints: redacted, cut, and kept in the record.

use std::sync::Arc;

use scenario_model::event::{Fact, SubjectText};
use tokio::io::{AsyncBufReadExt, AsyncRead, AsyncReadExt, BufReader};

use crate::canary::Canaries;
use crate::recorder::Recorder;

/// A line of stdout or stderr is cut here.
pub const LINE_LIMIT: u64 = 1 << 20;
/// So many noise or log lines are kept in the record; the rest is counted by its effect only.
const KEPT_LINES: u32 = 200;
/// So much of a log is looked at: who prints more must not keep us from the rest of the run.
const LOG_LIMIT: u64 = 32 << 20;
/// Text of a line in the record.
const KEPT_CHARS: usize = 2000;

/// Records lines that are no replies.
#[derive(Debug)]
pub struct Noise {
    /// The trace.
    pub recorder: Arc<Recorder>,
    /// What must not be in it.
    pub canaries: Arc<Canaries>,
    kept: u32,
    /// How much was printed.
    pub bytes: u64,
}

impl Noise {
    /// Nothing printed yet.
    pub fn new(recorder: &Arc<Recorder>, canaries: &Arc<Canaries>) -> Self {
        Self { recorder: recorder.clone(), canaries: canaries.clone(), kept: 0, bytes: 0 }
    }

    fn text(&mut self, line: &[u8], reason: &str) -> Option<SubjectText> {
        self.bytes += line.len() as u64;
        let line = String::from_utf8_lossy(line);
        let (scanned, user) = (self.canaries.scan(&line), self.canaries.user_in(&line));
        if self.kept >= KEPT_LINES && scanned.leaks.is_empty() && user.is_none() {
            return None;
        }
        self.kept += 1;
        Some(SubjectText {
            text: scanned.text.chars().take(KEPT_CHARS).collect(),
            reason: reason.to_owned(),
            leak: !scanned.leaks.is_empty(),
            leaks: scanned.leaks,
            user,
        })
    }

    /// Something on stdout that is no reply.
    pub fn noise(&mut self, line: &[u8], reason: &str) {
        if let Some(text) = self.text(line, reason) {
            self.recorder.record(Fact::SubjectNoise(text));
        }
    }

    /// A line of the subject's log.
    pub fn log(&mut self, line: &[u8]) {
        if self.bytes > LOG_LIMIT {
            return;
        }
        if self.bytes + line.len() as u64 > LOG_LIMIT {
            self.bytes = LOG_LIMIT + 1;
            self.recorder.record(Fact::SubjectStderr(SubjectText {
                text: format!("(more than {} MiB of log: the rest is not looked at)", LOG_LIMIT >> 20),
                reason: "log".to_owned(),
                leak: false,
                leaks: Vec::new(),
                user: None,
            }));
            return;
        }
        if let Some(text) = self.text(line, "log") {
            self.recorder.record(Fact::SubjectStderr(text));
        }
    }
}

/// Records a log to its end.
pub async fn read_log(stderr: impl AsyncRead + Unpin, mut log: Noise) {
    let mut reader = BufReader::new(stderr);
    while let Some(line) = next_line(&mut reader).await {
        log.log(&line);
    }
}

/// A line without its end, cut at the limit; `None` at the end of the stream.
pub async fn next_line(reader: &mut BufReader<impl AsyncRead + Unpin>) -> Option<Vec<u8>> {
    let mut line = Vec::new();
    match reader.take(LINE_LIMIT).read_until(b'\n', &mut line).await {
        Ok(0) | Err(_) => None,
        Ok(_) => {
            while line.last().is_some_and(|b| matches!(b, b'\n' | b'\r')) {
                line.pop();
            }
            Some(line)
        }
    }
}
