//! A subject that speaks JSON lines over stdin and stdout: a process, or the reference client as a task.

use std::collections::BTreeMap;
use std::process::Stdio;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use reference_client::{Behaviour, End};
use rustix::process::Signal;
use serde_json::{Map, Value};
use tokio::io::{AsyncRead, AsyncWrite, AsyncWriteExt, BufReader};
use tokio::sync::{mpsc, oneshot, watch};
use tokio::task::JoinHandle;

use crate::canary::Canaries;
use crate::recorder::Recorder;
use crate::run::log::{LINE_LIMIT, Noise, next_line, read_log};
use crate::run::process::{Ended, Process, Program, StartError, record_end};
use crate::run::subject::{Answer, Reply};

/// A subject that has printed so much noise is ended.
const NOISE_LIMIT: u64 = 32 << 20;
/// Bytes that a pipe to a subject inside this process holds.
const PIPE: usize = 64 << 10;

#[derive(Debug, Default)]
struct Calls {
    waiting: BTreeMap<u64, oneshot::Sender<Reply>>,
    answered: Vec<u64>,
    next: u64,
    gone: bool,
}

/// What runs: a process, or a task.
#[derive(Debug)]
enum Body {
    Process(Process),
    Inside(JoinHandle<End>),
}

impl Body {
    fn has_ended(&mut self) -> bool {
        match self {
            Self::Process(process) => process.has_ended(),
            Self::Inside(task) => task.is_finished(),
        }
    }

    async fn end(&mut self, limit: Duration) -> Ended {
        match self {
            Self::Process(process) => process.end(limit).await,
            Self::Inside(task) => match tokio::time::timeout(limit, &mut *task).await {
                Ok(Ok(End::Finished | End::ExitedEarly)) => {
                    Ended { code: Some(0), signal: None, by_us: false }
                }
                Ok(Ok(End::Failed)) => Ended { code: Some(1), signal: None, by_us: false },
                Ok(Ok(End::Aborted) | Err(_)) => {
                    Ended { code: None, signal: Some(Signal::ABORT.as_raw()), by_us: false }
                }
                Ok(Ok(End::Segfaulted)) => {
                    Ended { code: None, signal: Some(Signal::SEGV.as_raw()), by_us: false }
                }
                Ok(Ok(End::Lingers)) | Err(_) => {
                    task.abort();
                    Ended { code: None, signal: Some(Signal::KILL.as_raw()), by_us: true }
                }
            },
        }
    }

    fn kill(&self) {
        match self {
            Self::Process(process) => process.kill(),
            Self::Inside(task) => task.abort(),
        }
    }

    fn living(&self) -> u32 {
        match self {
            Self::Process(process) => process.living(),
            Self::Inside(_) => 0,
        }
    }
}

/// A running subject that speaks JSON lines.
#[derive(Debug)]
pub struct Lines {
    body: Body,
    calls: Arc<Mutex<Calls>>,
    lines: mpsc::Sender<String>,
    writer: JoinHandle<()>,
    readers: Vec<JoinHandle<()>>,
    recorder: Arc<Recorder>,
    flooded: watch::Receiver<bool>,
}

impl Lines {
    /// Starts a process.
    ///
    /// # Errors
    /// If it cannot be executed.
    pub fn start(
        program: &Program,
        recorder: &Arc<Recorder>,
        canaries: &Arc<Canaries>,
    ) -> Result<Self, StartError> {
        let (process, pipes) = program.spawn(Stdio::piped())?;
        let stdin = pipes.stdin.expect("stdin is piped");
        Ok(Self::with(Body::Process(process), (stdin, pipes.stdout, pipes.stderr), recorder, canaries))
    }

    /// Starts the reference client as a task.
    pub fn inside(behaviour: Behaviour, recorder: &Arc<Recorder>, canaries: &Arc<Canaries>) -> Self {
        let (stdin, its_stdin) = tokio::io::duplex(PIPE);
        let (its_stdout, stdout) = tokio::io::duplex(PIPE);
        let (its_stderr, stderr) = tokio::io::duplex(PIPE);
        let work = reference_client::serve(its_stdin, its_stdout, its_stderr, behaviour);
        Self::with(Body::Inside(tokio::spawn(work)), (stdin, stdout, stderr), recorder, canaries)
    }

    fn with(
        body: Body,
        (stdin, stdout, stderr): (
            impl AsyncWrite + Send + Unpin + 'static,
            impl AsyncRead + Send + Unpin + 'static,
            impl AsyncRead + Send + Unpin + 'static,
        ),
        recorder: &Arc<Recorder>,
        canaries: &Arc<Canaries>,
    ) -> Self {
        let calls = Arc::new(Mutex::new(Calls::default()));
        let (lines, queue) = mpsc::channel(1024);
        let (flood, flooded) = watch::channel(false);
        let writer = tokio::spawn(write_lines(stdin, queue));
        let noise = Noise::new(recorder, canaries);
        let log = Noise::new(recorder, canaries);
        let readers = vec![
            tokio::spawn(read_replies(stdout, calls.clone(), noise, flood)),
            tokio::spawn(read_log(stderr, log)),
        ];
        Self { body, calls, lines, writer, readers, recorder: recorder.clone(), flooded }
    }

    /// Sends a request and waits for its reply, as long as the caller likes.
    pub async fn call(&self, mut request: Map<String, Value>) -> Reply {
        let (sender, receiver) = oneshot::channel();
        let gone = Reply { answer: Answer::Gone, leaks: Vec::new() };
        {
            let mut calls = self.calls.lock().unwrap_or_else(PoisonError::into_inner);
            if calls.gone {
                return gone;
            }
            calls.next += 1;
            let id = calls.next;
            calls.waiting.insert(id, sender);
            request.shift_insert(0, "id".to_owned(), Value::from(id));
        }
        if self.lines.send(Value::Object(request).to_string()).await.is_err() {
            return gone;
        }
        receiver.await.unwrap_or(gone)
    }

    /// The subject has closed its stdout or printed too much.
    pub fn is_gone(&self) -> bool {
        self.calls.lock().unwrap_or_else(PoisonError::into_inner).gone
    }

    /// Closes stdin, waits for the end, ends what is left over, and records all of it.
    pub async fn finish(mut self, limit: Duration) {
        let ended_before = self.is_gone() || self.body.has_ended();
        let flooded = *self.flooded.borrow();
        self.writer.abort();
        if flooded {
            self.body.kill();
        }
        let ended = self.body.end(limit).await;
        let ended_by_us = ended.by_us || flooded;
        let processes = self.body.living();
        self.body.kill();
        for reader in &mut self.readers {
            // A leftover process may hold the pipes open; it has just been ended.
            let _ = tokio::time::timeout(Duration::from_secs(2), reader).await;
        }
        let ended = Ended { by_us: ended_by_us, ..ended };
        record_end(&self.recorder, ended.fact(!ended_before), processes);
    }
}

impl Drop for Lines {
    fn drop(&mut self) {
        self.body.kill();
        self.writer.abort();
        self.readers.iter().for_each(JoinHandle::abort);
    }
}

async fn write_lines(mut stdin: impl AsyncWrite + Unpin, mut queue: mpsc::Receiver<String>) {
    while let Some(mut line) = queue.recv().await {
        line.push('\n');
        if stdin.write_all(line.as_bytes()).await.is_err() || stdin.flush().await.is_err() {
            return;
        }
    }
}

async fn read_replies(
    stdout: impl AsyncRead + Unpin,
    calls: Arc<Mutex<Calls>>,
    mut noise: Noise,
    flood: watch::Sender<bool>,
) {
    let mut reader = BufReader::new(stdout);
    while let Some(line) = next_line(&mut reader).await {
        let outcome = take_reply(&line, &calls, &noise.canaries);
        if let Err(reason) = outcome {
            noise.noise(&line, reason);
        }
        if noise.bytes > NOISE_LIMIT {
            let _ = flood.send(true);
            break;
        }
    }
    let mut calls = calls.lock().unwrap_or_else(PoisonError::into_inner);
    calls.gone = true;
    // Dropping the senders tells every waiting call.
    calls.waiting.clear();
}

fn take_reply(line: &[u8], calls: &Mutex<Calls>, canaries: &Canaries) -> Result<(), &'static str> {
    if line.len() as u64 >= LINE_LIMIT {
        return Err("too-long");
    }
    let text = String::from_utf8_lossy(line);
    let value: Value = serde_json::from_str(&text).map_err(|_| "not-json")?;
    let object = value.as_object().ok_or("not-an-object")?;
    let id = object.get("id").and_then(Value::as_u64).ok_or("unknown-id")?;
    let answer = match (object.get("ok"), object.get("error")) {
        (Some(Value::Object(ok)), None) => Answer::Ok(ok.clone()),
        (None, Some(Value::Object(error))) => match error.get("message").and_then(Value::as_str) {
            Some(message) => Answer::Error(canaries.scan(message).text),
            None => return Err("not-a-reply"),
        },
        _ => return Err("not-a-reply"),
    };
    let mut calls = calls.lock().unwrap_or_else(PoisonError::into_inner);
    if calls.answered.contains(&id) {
        return Err("second-reply");
    }
    let sender = calls.waiting.remove(&id).ok_or("unknown-id")?;
    calls.answered.push(id);
    // The whole line counts, not only the message: a secret in a result is out too.
    let _ = sender.send(Reply { answer, leaks: canaries.scan(&text).leaks });
    Ok(())
}
