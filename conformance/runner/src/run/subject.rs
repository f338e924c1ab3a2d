//! A subject's process: JSON lines over stdin and stdout, in a process group of its own, which is ended.

use std::collections::BTreeMap;
use std::path::Path;
use std::process::Stdio;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use reference_client::{Behaviour, End};
use rustix::process::{Pid, Signal, kill_process_group};
use scenario_model::event::{Fact, SubjectExit, SubjectLeftover, SubjectText};
use scenario_model::manifest::Manifest;
use serde_json::{Map, Value};
use tokio::io::{AsyncBufReadExt, AsyncRead, AsyncReadExt, AsyncWrite, AsyncWriteExt, BufReader};
use tokio::process::{Child, Command};
use tokio::sync::{mpsc, oneshot, watch};
use tokio::task::JoinHandle;

use crate::canary::Canaries;
use crate::recorder::Recorder;
use crate::render::CaFile;

/// A line of stdout or stderr is cut here.
const LINE_LIMIT: u64 = 1 << 20;
/// So many noise or log lines are kept in the record; the rest is counted by its effect only.
const KEPT_LINES: u32 = 200;
/// A subject that has printed so much noise is ended.
const NOISE_LIMIT: u64 = 32 << 20;
/// Bytes that a pipe to a subject inside this process holds.
const PIPE: usize = 64 << 10;
/// Text of a line in the record.
const KEPT_CHARS: usize = 2000;

/// Why a subject could not be started.
#[derive(Debug, thiserror::Error)]
pub enum StartError {
    /// The program could not be executed.
    #[error("cannot start `{program}`: {source}{}", hint(.source, .program))]
    Spawn {
        /// The program as it was looked for.
        program: String,
        /// What the system said.
        source: std::io::Error,
    },
}

fn hint(error: &std::io::Error, program: &str) -> String {
    match error.kind() {
        std::io::ErrorKind::NotFound if program.contains('/') => {
            "; there is no such file: was the subject's set-up script run?".to_owned()
        }
        std::io::ErrorKind::NotFound => "; it is not on PATH".to_owned(),
        std::io::ErrorKind::PermissionDenied => format!("; try `chmod +x {program}`"),
        _ => String::new(),
    }
}

/// How to start a subject.
#[derive(Debug, Clone)]
pub enum Launch {
    /// As a process of its own.
    Process(Program),
    /// The reference client, as a task of this process.
    Inside(Behaviour),
}

/// What a process is started from.
#[derive(Debug, Clone)]
pub struct Program {
    program: String,
    args: Vec<String>,
    env: Vec<(String, String)>,
    folder: std::path::PathBuf,
}

impl Launch {
    /// From a manifest: `{self}` is this program, `{ca.pem}` the CA's file, a path with a slash is relative to the folder.
    pub fn new(manifest: &Manifest, folder: &Path, ca: &CaFile, more_args: &[String]) -> Self {
        let own = std::env::current_exe().map_or_else(|_| "flightcheck".into(), |p| p.display().to_string());
        let fill = |text: &String| ca.fill(&text.replace("{self}", &own));
        let folder = std::path::absolute(folder).unwrap_or_else(|_| folder.to_owned());
        let mut words: Vec<String> = manifest.command.iter().map(fill).collect();
        let mut program = if words.is_empty() { String::new() } else { words.remove(0) };
        if program.contains('/') && !Path::new(&program).is_absolute() {
            program = folder.join(&program).display().to_string();
        }
        words.extend_from_slice(more_args);
        let env = manifest.env.iter().chain(&manifest.trust.env).map(|(k, v)| (k.clone(), fill(v))).collect();
        Self::Process(Program { program, args: words, env, folder })
    }
}

/// A reply of a subject.
#[derive(Debug, Clone, PartialEq)]
pub enum Answer {
    /// `ok` with its members.
    Ok(Map<String, Value>),
    /// `error` with its message.
    Error(String),
    /// The subject is gone.
    Gone,
}

/// An answer with what it leaked.
#[derive(Debug, Clone, PartialEq)]
pub struct Reply {
    /// What was said, redacted.
    pub answer: Answer,
    /// Which secrets the line held.
    pub leaks: Vec<String>,
}

#[derive(Debug, Default)]
struct Calls {
    waiting: BTreeMap<u64, oneshot::Sender<Reply>>,
    answered: Vec<u64>,
    next: u64,
    gone: bool,
}

/// What runs: a process with its group, or a task.
#[derive(Debug)]
enum Body {
    Process { child: Box<Child>, group: Option<Pid> },
    Inside(JoinHandle<End>),
}

/// How a subject came to its end.
struct Ended {
    code: Option<i32>,
    signal: Option<i32>,
    by_us: bool,
}

impl Body {
    fn has_ended(&mut self) -> bool {
        match self {
            Self::Process { child, .. } => matches!(child.try_wait(), Ok(Some(_))),
            Self::Inside(task) => task.is_finished(),
        }
    }

    async fn end(&mut self, limit: Duration) -> Ended {
        match self {
            Self::Process { child, group } => {
                let status = tokio::time::timeout(limit, child.wait()).await.ok().and_then(Result::ok);
                let by_us = status.is_none();
                let status = match status {
                    Some(status) => Some(status),
                    None => {
                        kill_group(*group);
                        let killed = tokio::time::timeout(Duration::from_secs(5), child.wait()).await;
                        killed.ok().and_then(Result::ok)
                    }
                };
                let signal = status.and_then(|s| std::os::unix::process::ExitStatusExt::signal(&s));
                Ended { code: status.and_then(|s| s.code()), signal, by_us }
            }
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
            Self::Process { group, .. } => kill_group(*group),
            Self::Inside(task) => task.abort(),
        }
    }

    fn processes(&self) -> u32 {
        match self {
            Self::Process { group, .. } => group.map_or(0, processes_of),
            Self::Inside(_) => 0,
        }
    }
}

fn kill_group(group: Option<Pid>) {
    if let Some(group) = group {
        let _ = kill_process_group(group, Signal::KILL);
    }
}

/// A running subject.
#[derive(Debug)]
pub struct Subject {
    body: Body,
    calls: Arc<Mutex<Calls>>,
    lines: mpsc::Sender<String>,
    writer: JoinHandle<()>,
    readers: Vec<JoinHandle<()>>,
    recorder: Arc<Recorder>,
    flooded: watch::Receiver<bool>,
}

impl Subject {
    /// Starts a subject.
    ///
    /// # Errors
    /// If the program cannot be executed.
    pub fn start(
        launch: &Launch,
        recorder: &Arc<Recorder>,
        canaries: &Arc<Canaries>,
    ) -> Result<Self, StartError> {
        match launch {
            Launch::Process(program) => {
                let mut child = Command::new(&program.program)
                    .args(&program.args)
                    .envs(program.env.iter().map(|(k, v)| (k, v)))
                    .current_dir(&program.folder)
                    .stdin(Stdio::piped())
                    .stdout(Stdio::piped())
                    .stderr(Stdio::piped())
                    .process_group(0)
                    .kill_on_drop(true)
                    .spawn()
                    .map_err(|source| StartError::Spawn { program: program.program.clone(), source })?;
                let group = child.id().and_then(|id| Pid::from_raw(id as i32));
                let stdin = child.stdin.take().expect("stdin is piped");
                let stdout = child.stdout.take().expect("stdout is piped");
                let stderr = child.stderr.take().expect("stderr is piped");
                let body = Body::Process { child: Box::new(child), group };
                Ok(Self::with(body, (stdin, stdout, stderr), recorder, canaries))
            }
            Launch::Inside(behaviour) => {
                let (stdin, its_stdin) = tokio::io::duplex(PIPE);
                let (its_stdout, stdout) = tokio::io::duplex(PIPE);
                let (its_stderr, stderr) = tokio::io::duplex(PIPE);
                let work = reference_client::serve(its_stdin, its_stdout, its_stderr, *behaviour);
                let body = Body::Inside(tokio::spawn(work));
                Ok(Self::with(body, (stdin, stdout, stderr), recorder, canaries))
            }
        }
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
        let noise = Noise { recorder: recorder.clone(), canaries: canaries.clone(), kept: 0, bytes: 0 };
        let log = Noise { recorder: recorder.clone(), canaries: canaries.clone(), kept: 0, bytes: 0 };
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

    /// Waits until the subject answers, so that its start does not count in the time of its first step; whether it did.
    pub async fn ready(&self, limit: Duration) -> bool {
        let hello = Map::from_iter([("op".to_owned(), Value::from("hello"))]);
        tokio::time::timeout(limit, self.call(hello)).await.is_ok()
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
        let processes = self.body.processes();
        self.body.kill();
        for reader in &mut self.readers {
            // A leftover process may hold the pipes open; it has just been ended.
            let _ = tokio::time::timeout(Duration::from_secs(2), reader).await;
        }
        let Ended { code, signal, .. } = ended;
        let asked = !ended_before && !ended_by_us;
        self.recorder.record(Fact::SubjectExit(SubjectExit {
            code,
            signal,
            asked,
            ended_by_us,
            clean: asked && code == Some(0),
        }));
        if processes > 0 {
            self.recorder.record(Fact::SubjectLeftover(SubjectLeftover { processes }));
        }
    }
}

impl Drop for Subject {
    fn drop(&mut self) {
        self.body.kill();
        self.writer.abort();
        self.readers.iter().for_each(JoinHandle::abort);
    }
}

/// How many living processes a group has.
fn processes_of(group: Pid) -> u32 {
    let Ok(entries) = std::fs::read_dir("/proc") else { return 0 };
    let wanted = group.as_raw_nonzero().to_string();
    let stats = entries.flatten().filter_map(|e| std::fs::read_to_string(e.path().join("stat")).ok());
    let alive = stats.filter(|stat| {
        // After the name in brackets: state, parent, group.
        let mut fields = stat.rsplit(')').next().unwrap_or_default().split_whitespace();
        let state = fields.next();
        state != Some("Z") && state != Some("X") && fields.nth(1) == Some(&wanted)
    });
    alive.count() as u32
}

async fn write_lines(mut stdin: impl AsyncWrite + Unpin, mut queue: mpsc::Receiver<String>) {
    while let Some(mut line) = queue.recv().await {
        line.push('\n');
        if stdin.write_all(line.as_bytes()).await.is_err() || stdin.flush().await.is_err() {
            return;
        }
    }
}

/// Records lines that are no replies.
struct Noise {
    recorder: Arc<Recorder>,
    canaries: Arc<Canaries>,
    kept: u32,
    bytes: u64,
}

impl Noise {
    fn text(&mut self, line: &[u8], reason: &str) -> Option<SubjectText> {
        self.bytes += line.len() as u64;
        let scanned = self.canaries.scan(&String::from_utf8_lossy(line));
        if self.kept >= KEPT_LINES && scanned.leaks.is_empty() {
            return None;
        }
        self.kept += 1;
        Some(SubjectText {
            text: scanned.text.chars().take(KEPT_CHARS).collect(),
            reason: reason.to_owned(),
            leak: !scanned.leaks.is_empty(),
            leaks: scanned.leaks,
        })
    }

    fn noise(&mut self, line: &[u8], reason: &str) {
        if let Some(text) = self.text(line, reason) {
            self.recorder.record(Fact::SubjectNoise(text));
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

async fn read_log(stderr: impl AsyncRead + Unpin, mut log: Noise) {
    let mut reader = BufReader::new(stderr);
    while let Some(line) = next_line(&mut reader).await {
        if let Some(text) = log.text(&line, "log") {
            log.recorder.record(Fact::SubjectStderr(text));
        }
    }
}

/// A line without its end, cut at the limit; `None` at the end of the stream.
async fn next_line(reader: &mut BufReader<impl AsyncRead + Unpin>) -> Option<Vec<u8>> {
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
