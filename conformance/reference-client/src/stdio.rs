//! The stdio protocol: a JSON object a line, a task for each request, replies in any order.

use std::collections::HashMap;
use std::sync::Arc;
use std::time::Duration;

use arrow::array::RecordBatch;
use serde::Deserialize;
use serde_json::{Map, Value, json};
use tokio::io::{AsyncBufReadExt as _, AsyncRead, AsyncWrite, AsyncWriteExt as _, BufReader};
use tokio::sync::mpsc;
use tokio::task::JoinSet;

use crate::attribution::User;
use crate::behaviour::{Behaviour, Defect};
use crate::client::Client;
use crate::failure::{Class, Failure};
use crate::flight::Operation;
use crate::log::Log;
use crate::session::Session;

/// What running requests get after the input has ended, and written lines after that.
const GRACE: Duration = Duration::from_secs(2);

/// How the client ended, or how its process must end if it has one of its own.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum End {
    /// The input ended and all is answered: exit status 0.
    Finished,
    /// All is answered, yet the exit status is 1.
    Failed,
    /// Exit status 0 in mid-work.
    ExitedEarly,
    /// The process aborts.
    Aborted,
    /// The process dies of SIGSEGV.
    Segfaulted,
    /// The process stays although its input has ended.
    Lingers,
}

/// Serves requests from `input` until it ends. Never ends the calling process: it returns how that should end.
pub async fn serve<R, W, L>(input: R, output: W, log: L, behaviour: Behaviour) -> End
where
    R: AsyncRead + Send + Unpin,
    W: AsyncWrite + Send + Unpin + 'static,
    L: AsyncWrite + Send + Unpin + 'static,
{
    let (replies, reply_lines) = mpsc::unbounded_channel();
    let (log_sender, log_lines) = Log::new();
    let mut writers = JoinSet::new();
    writers.spawn(write_lines(output, reply_lines));
    writers.spawn(write_lines(log, log_lines));
    let client = Arc::new(Client::new(behaviour, log_sender));
    let mut desk = Desk { client, replies, sessions: HashMap::new(), running: JoinSet::new() };
    let end = desk.read_all(input).await;
    desk.finish().await;
    drain(writers).await;
    end
}

struct Desk {
    client: Arc<Client>,
    replies: mpsc::UnboundedSender<String>,
    sessions: HashMap<String, Arc<Session>>,
    running: JoinSet<()>,
}

#[derive(Deserialize)]
struct Request {
    op: String,
    session: Option<String>,
    native: Option<Map<String, Value>>,
    sql: Option<String>,
    batch: Option<String>,
    user: Option<User>,
    timeout_ms: Option<u64>,
}

type Answer = Result<Value, Failure>;

impl Desk {
    async fn read_all(&mut self, input: impl AsyncRead + Send + Unpin) -> End {
        let mut input = BufReader::new(input);
        let mut line = Vec::new();
        loop {
            line.clear();
            match input.read_until(b'\n', &mut line).await {
                Ok(0) => break,
                Ok(_) if line.trim_ascii().is_empty() => continue,
                Ok(_) => {}
                Err(error) => {
                    self.client.log.line(format!("error: cannot read requests: {error}"));
                    break;
                }
            }
            if let Some(end) = self.line(&line) {
                return end;
            }
        }
        match self.client.behaviour.defect {
            Some(Defect::Lingers) => End::Lingers,
            Some(Defect::NonzeroExit) => End::Failed,
            _ => End::Finished,
        }
    }

    /// Takes one request; an end if a defect ends the process on it.
    fn line(&mut self, line: &[u8]) -> Option<End> {
        let Some((id, object)) = with_id(line) else {
            // The line may hold secrets: it is not repeated.
            self.client.log.line("error: a line is not a JSON object with an `id`, it is ignored");
            return None;
        };
        let works = object
            .get("op")
            .is_some_and(|op| op == "query" || op == "health" || op == "tables" || op == "export");
        match self.client.behaviour.defect {
            Some(Defect::Null) => {
                self.reply(&id, Err(Failure::new(Class::Protocol, "not implemented")));
                return None;
            }
            Some(Defect::Liar) => {
                self.reply(&id, Ok(json!({"name": "reference-client", "rows": 1})));
                return None;
            }
            Some(Defect::Silent) => return None,
            Some(Defect::Crash) if works => return Some(End::Aborted),
            Some(Defect::EarlyExit) if works => return Some(End::ExitedEarly),
            Some(Defect::Segv) if works => return Some(End::Segfaulted),
            _ => {}
        }
        if let Err(failure) = self.request(&id, object) {
            self.reply(&id, Err(failure));
        }
        None
    }

    fn request(&mut self, id: &Value, object: Value) -> Result<(), Failure> {
        let request: Request = serde_json::from_value(object).map_err(|error| {
            Failure::new(Class::Protocol, format!("the request is not understood: {error}"))
        })?;
        match request.op.as_str() {
            "hello" => {
                self.reply(id, Ok(json!({"name": "reference-client", "version": env!("CARGO_PKG_VERSION")})));
            }
            "open" => {
                let name = required(request.session, "session")?;
                if self.sessions.contains_key(&name)
                    && self.client.behaviour.has(Defect::FirstConfigurationStays)
                {
                    self.reply(id, Ok(json!({})));
                    return Ok(());
                }
                if self.sessions.contains_key(&name) {
                    return Err(Failure::new(Class::Protocol, format!("session `{name}` is already open")));
                }
                let session = Session::open(&self.client, required(request.native, "native")?)?;
                self.sessions.insert(name, Arc::new(session));
                self.reply(id, Ok(json!({})));
            }
            "query" => {
                let sql = required(request.sql.clone(), "sql")?;
                self.start(id, request, Operation::Query { sql })?;
            }
            "health" => self.start(id, request, Operation::Health)?,
            "tables" => self.start(id, request, Operation::Tables)?,
            "export" => {
                let batch = required(request.batch.clone(), "batch")?;
                self.start(id, request, Operation::Export { batch })?;
            }
            "close" => {
                let name = required(request.session, "session")?;
                if !self.client.behaviour.has(Defect::FirstConfigurationStays) {
                    self.sessions.remove(&name).ok_or_else(|| unknown_session(&name))?;
                }
                self.reply(id, Ok(json!({})));
            }
            other => {
                return Err(Failure::new(Class::Protocol, format!("unknown operation `{other}`")));
            }
        }
        Ok(())
    }

    fn start(&mut self, id: &Value, request: Request, operation: Operation) -> Result<(), Failure> {
        let name = required(request.session, "session")?;
        let (user, deadline) = (request.user, request.timeout_ms.map(Duration::from_millis));
        let session = Arc::clone(self.sessions.get(&name).ok_or_else(|| unknown_session(&name))?);
        let (id, replies, behaviour) = (id.clone(), self.replies.clone(), self.client.behaviour);
        while self.running.try_join_next().is_some() {}
        self.running.spawn(async move {
            let count = |batches: Vec<RecordBatch>| batches.iter().map(RecordBatch::num_rows).sum::<usize>();
            let answer =
                session.run(&operation, user, deadline).await.map(|read| json!({"rows": count(read)}));
            send(&replies, &id, answer, behaviour);
        });
        Ok(())
    }

    fn reply(&self, id: &Value, answer: Answer) {
        send(&self.replies, id, answer, self.client.behaviour);
    }

    async fn finish(mut self) {
        let running = &mut self.running;
        if self.client.behaviour.has(Defect::WaitsAtExit) {
            while running.join_next().await.is_some() {}
        }
        // What has not ended by now is dropped with the desk.
        let _ = tokio::time::timeout(GRACE, async { while running.join_next().await.is_some() {} }).await;
        self.running.shutdown().await;
    }
}

fn send(replies: &mpsc::UnboundedSender<String>, id: &Value, answer: Answer, behaviour: Behaviour) {
    let line = match answer {
        Ok(ok) => json!({"id": id, "ok": ok}).to_string(),
        Err(Failure { class, message, .. }) => {
            json!({"id": id, "error": {"message": message, "code": class.code()}}).to_string()
        }
    };
    // A reader that has gone ends the input too; there is nobody to tell.
    let put = |line: String| drop(replies.send(line));
    if behaviour.has(Defect::DuplicateReply) {
        put(line.clone());
    }
    if behaviour.has(Defect::UnknownId) {
        put(json!({"id": "nobody-asked", "ok": {}}).to_string());
    }
    if behaviour.has(Defect::Noise) {
        put("progress: 50 %".to_owned());
    }
    put(line);
}

fn with_id(line: &[u8]) -> Option<(Value, Value)> {
    let value: Value = serde_json::from_slice(line).ok()?;
    let id = value.as_object()?.get("id").filter(|id| id.is_number() || id.is_string())?.clone();
    Some((id, value))
}

fn required<T>(value: Option<T>, name: &str) -> Result<T, Failure> {
    value.ok_or_else(|| Failure::new(Class::Protocol, format!("the request has no `{name}`")))
}

fn unknown_session(name: &str) -> Failure {
    Failure::new(Class::Protocol, format!("session `{name}` is not open"))
}

pub(crate) async fn write_lines(
    mut output: impl AsyncWrite + Send + Unpin,
    mut lines: mpsc::UnboundedReceiver<String>,
) {
    while let Some(mut line) = lines.recv().await {
        line.push('\n');
        if output.write_all(line.as_bytes()).await.is_err() || output.flush().await.is_err() {
            return;
        }
    }
}

/// Lets the last lines out; a reader that takes nothing does not hold us.
async fn drain(mut writers: JoinSet<()>) {
    let _ = tokio::time::timeout(GRACE, async { while writers.join_next().await.is_some() {} }).await;
}
