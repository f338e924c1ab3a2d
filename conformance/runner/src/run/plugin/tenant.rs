//! One permutation's part of a plugin: its data sources, its calls, its answers.

use std::collections::{BTreeMap, HashMap};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use plugin_protocol::pluginv2::data_client::DataClient;
use plugin_protocol::pluginv2::diagnostics_client::DiagnosticsClient;
use plugin_protocol::pluginv2::resource_client::ResourceClient;
use plugin_protocol::pluginv2::{
    CallResourceRequest, CheckHealthRequest, DataQuery, DataSourceInstanceSettings, PluginContext,
    QueryDataRequest, TimeRange, User,
};
use serde_json::{Map, Value, json};
use tonic::Status;
use tonic::transport::Channel;

use crate::canary::Canaries;
use crate::recorder::Recorder;
use crate::run::plugin::answer::{self, Read, ref_id};
use crate::run::plugin::process::{PluginProcess, PluginProgram, State};
use crate::run::plugin::settings::saved;
use crate::run::plugin::tenants::Tenants;
use crate::run::process::{StartError, record_end};
use crate::run::subject::{Answer, Reply};

/// Grafana's own limit of an answer.
const MESSAGE_LIMIT: usize = 16 << 20;
/// When a connection breaks, the end of the process is noticed within this time.
const NOTICE: Duration = Duration::from_millis(500);
/// The time range of queries, in milliseconds: an hour of 2023.
const RANGE: TimeRange = TimeRange { from_epoch_ms: 1_700_000_000_000, to_epoch_ms: 1_700_003_600_000 };

/// One permutation's part of a plugin's process.
#[derive(Debug)]
pub struct Tenant {
    process: Arc<PluginProcess>,
    key: u64,
    recorder: Arc<Recorder>,
    canaries: Arc<Canaries>,
    sources: Mutex<BTreeMap<String, DataSourceInstanceSettings>>,
    /// The id of each session's data source, and how often it was saved.
    saves: Mutex<BTreeMap<String, (i64, u32)>>,
}

const GONE: Reply = Reply { answer: Answer::Gone, leaks: Vec::new() };

/// Why there is no answer to read.
enum NoAnswer {
    Gone,
    Said(Read),
}

impl Tenant {
    /// Starts a plugin, or moves into the one that all share.
    ///
    /// # Errors
    /// If it cannot be executed.
    pub fn start(
        program: &PluginProgram,
        recorder: &Arc<Recorder>,
        canaries: &Arc<Canaries>,
    ) -> Result<Self, StartError> {
        let (process, key) = match program.host() {
            Some(host) => host.enter(program, recorder, canaries)?,
            None => {
                let tenants = Tenants::default();
                let key = tenants.enter(recorder, canaries);
                (PluginProcess::start(program, tenants)?, key)
            }
        };
        Ok(Self {
            process,
            key,
            recorder: recorder.clone(),
            canaries: canaries.clone(),
            sources: Mutex::default(),
            saves: Mutex::default(),
        })
    }

    /// Does what a request of the stdio protocol asks for, in Grafana's words.
    pub async fn call(&self, request: Map<String, Value>) -> Reply {
        let of = |name: &str| request.get(name).and_then(Value::as_str).unwrap_or_default();
        let session = of("session");
        let read = match of("op") {
            "query" => {
                self.queries(&request, std::slice::from_ref(&request)).await.map(|mut all| all.remove(0))
            }
            "hello" => self.channel().await.map(|_| self.hello()),
            "open" => Ok(self.open(session, request.get("native"))),
            // Grafana tells a plugin nothing when nobody asks any more.
            "close" => Ok(ok(Map::new())),
            op => self.ask(op, session, &request).await,
        };
        match read {
            Ok(read) | Err(NoAnswer::Said(read)) => self.reply(read),
            Err(NoAnswer::Gone) => GONE,
        }
    }

    /// Sends the `queries` of a request as one, and reads the answer to each.
    pub async fn call_together(&self, request: Map<String, Value>, queries: usize) -> Vec<Reply> {
        let asked = request.get("queries").and_then(Value::as_array).into_iter().flatten();
        let asked: Vec<Map<String, Value>> = asked.filter_map(Value::as_object).cloned().collect();
        match self.queries(&request, &asked).await {
            Ok(reads) => reads.into_iter().map(|read| self.reply(read)).collect(),
            Err(NoAnswer::Said(read)) => vec![self.reply(read); queries],
            Err(NoAnswer::Gone) => vec![GONE; queries],
        }
    }

    /// Ends the process and records how it went; one that is shared lives on, unless it has died under our hands.
    pub async fn finish(self, limit: Duration) {
        if self.process.program.host().is_some() && !*self.process.gone.borrow() {
            return;
        }
        let (exit, left_over) = self.process.shut_down(limit).await;
        record_end(&self.recorder, exit, left_over);
    }

    fn hello(&self) -> Read {
        let program = &self.process.program;
        let mut said = Map::new();
        said.insert("name".into(), program.id.as_str().into());
        if let Some(version) = &program.version {
            said.insert("version".into(), version.as_str().into());
        }
        ok(said)
    }

    /// Grafana tells a plugin nothing until it asks something of a data source. A session that is opened once more is the same
    /// data source with settings that were saved later.
    fn open(&self, session: &str, native: Option<&Value>) -> Read {
        let (id, saves) = self.save(session);
        let empty = Map::new();
        let settings = saved(id, saves, native.and_then(Value::as_object).unwrap_or(&empty));
        self.sources.lock().unwrap_or_else(PoisonError::into_inner).insert(session.to_owned(), settings);
        ok(Map::new())
    }

    fn save(&self, session: &str) -> (i64, u32) {
        let mut saves = self.saves.lock().unwrap_or_else(PoisonError::into_inner);
        let save = saves.entry(session.to_owned()).or_insert_with(|| {
            let id = self.process.fresh_id();
            self.process.tenants.owns(self.key, id);
            (id, 0)
        });
        save.1 += 1;
        *save
    }

    async fn channel(&self) -> Result<Channel, NoAnswer> {
        let (mut state, mut gone) = (self.process.state.clone(), self.process.gone.clone());
        let started = tokio::select! {
            biased;
            state = state.wait_for(|s| !matches!(s, State::Starting)) => state.ok().map(|s| s.clone()),
            _ = gone.wait_for(|gone| *gone) => None,
        };
        match started {
            Some(State::Ready(channel)) => Ok(channel),
            Some(State::Failed(problem)) => Err(NoAnswer::Said(Read::error(problem))),
            Some(State::Starting) | None => Err(NoAnswer::Gone),
        }
    }

    async fn ask(&self, op: &str, session: &str, request: &Map<String, Value>) -> Result<Read, NoAnswer> {
        let channel = self.channel().await?;
        let context = self.context(session, request.get("user"))?;
        let path = match op {
            "health" => return self.answered(health(channel, context, forwarded(request))).await,
            "tables" => "flightsql/tables",
            "columns" => "flightsql/columns?table=log_entries",
            "sql-info" => "flightsql/sql-info",
            other => return Ok(Read::error(format!("a plugin knows no operation `{other}`"))),
        };
        self.answered(resource(channel, context, path)).await
    }

    /// The answers to queries that are sent in one request.
    async fn queries(
        &self,
        request: &Map<String, Value>,
        queries: &[Map<String, Value>],
    ) -> Result<Vec<Read>, NoAnswer> {
        let channel = self.channel().await?;
        let session = request.get("session").and_then(Value::as_str).unwrap_or_default();
        let asked = QueryDataRequest {
            plugin_context: Some(self.context(session, request.get("user"))?),
            queries: queries.iter().enumerate().map(|(nth, query)| data_query(ref_id(nth), query)).collect(),
            headers: forwarded(request),
        };
        let asking = async {
            let mut client = DataClient::new(channel).max_decoding_message_size(MESSAGE_LIMIT);
            client.query_data(asked).await
        };
        let response = self.answered(asking).await?;
        Ok(answer::queries(response.get_ref(), queries.len()))
    }

    /// What a call of the plugin comes to, unless the plugin is gone.
    async fn answered<T>(&self, asked: impl Future<Output = Result<T, Status>>) -> Result<T, NoAnswer> {
        let mut gone = self.process.gone.clone();
        let answered = tokio::select! {
            biased;
            answered = asked => answered,
            _ = gone.wait_for(|gone| *gone) => return Err(NoAnswer::Gone),
        };
        match answered {
            Ok(answer) => Ok(answer),
            // What the plugin itself says has no source: this is a broken connection.
            Err(status) if std::error::Error::source(&status).is_some() => {
                match tokio::time::timeout(NOTICE, gone.wait_for(|gone| *gone)).await {
                    Ok(_) => Err(NoAnswer::Gone),
                    Err(_) => Err(NoAnswer::Said(said(&status))),
                }
            }
            Err(status) => Err(NoAnswer::Said(said(&status))),
        }
    }

    fn context(&self, session: &str, user: Option<&Value>) -> Result<PluginContext, NoAnswer> {
        let sources = self.sources.lock().unwrap_or_else(PoisonError::into_inner);
        let settings = sources.get(session).cloned();
        let settings = settings
            .ok_or_else(|| NoAnswer::Said(Read::error(format!("session `{session}` is not open"))))?;
        let program = &self.process.program;
        let of = |user: &Value, name: &str| user[name].as_str().unwrap_or_default().to_owned();
        Ok(PluginContext {
            org_id: 1,
            plugin_id: program.id.clone(),
            user: user.map(|user| User {
                login: of(user, "id"),
                name: of(user, "name"),
                email: of(user, "email"),
                role: "Viewer".to_owned(),
            }),
            data_source_instance_settings: Some(settings),
            plugin_version: program.version.clone().unwrap_or_default(),
            user_agent: "Grafana/12.0.0 (linux; amd64)".to_owned(),
            ..PluginContext::default()
        })
    }

    fn reply(&self, read: Read) -> Reply {
        if let Some(reason) = read.broken {
            self.process.tenants.noise_of(self.key, reason.as_bytes(), reason);
        }
        let leaks = self.canaries.scan(&read.whole).leaks;
        let answer = match read.answer {
            Answer::Error(message) => Answer::Error(self.canaries.scan(&message).text),
            Answer::Ok(_) | Answer::Gone => read.answer,
        };
        Reply { answer, leaks }
    }
}

impl Drop for Tenant {
    fn drop(&mut self) {
        self.process.tenants.leave(self.key);
    }
}

/// A query as Grafana's editor saves it.
fn data_query(ref_id: String, query: &Map<String, Value>) -> DataQuery {
    let sql = query.get("sql").cloned().unwrap_or_default();
    let (interval_ms, max_data_points) = (1000, 100);
    let mut text = json!({
        "refId": ref_id, "rawQuery": true, "rawEditor": true,
        "format": "table", "intervalMs": interval_ms, "maxDataPoints": max_data_points,
    });
    let fields = match query.get("query_field").and_then(Value::as_str) {
        None => json!({ "query": sql, "queryText": sql, "rawSql": sql }),
        Some("query") => json!({ "query": sql }),
        Some("query-text") => json!({ "queryText": sql }),
        Some(_) => json!({ "query": sql, "queryText": "SELECT 'what stood there before'" }),
    };
    text.as_object_mut().expect("an object").extend(fields.as_object().expect("an object").clone());
    DataQuery {
        ref_id,
        max_data_points,
        interval_ms,
        time_range: Some(RANGE),
        json: text.to_string().into_bytes(),
        query_type: String::new(),
    }
}

/// What of the user's own credentials comes along, as Grafana passes it on.
fn forwarded(request: &Map<String, Value>) -> HashMap<String, String> {
    let headers = request.get("user").and_then(|user| user["headers"].as_object());
    let text = |value: &Value| value.as_str().unwrap_or_default().to_owned();
    headers.into_iter().flatten().map(|(name, value)| (name.clone(), text(value))).collect()
}

async fn health(
    channel: Channel,
    context: PluginContext,
    headers: HashMap<String, String>,
) -> Result<Read, Status> {
    let request = CheckHealthRequest { plugin_context: Some(context), headers };
    let mut client = DiagnosticsClient::new(channel).max_decoding_message_size(MESSAGE_LIMIT);
    client.check_health(request).await.map(|response| answer::health(response.get_ref()))
}

async fn resource(channel: Channel, context: PluginContext, url: &str) -> Result<Read, Status> {
    let request = CallResourceRequest {
        plugin_context: Some(context),
        path: url.split('?').next().unwrap_or(url).to_owned(),
        method: "GET".to_owned(),
        url: url.to_owned(),
        ..Default::default()
    };
    let mut client = ResourceClient::new(channel).max_decoding_message_size(MESSAGE_LIMIT);
    let mut stream = client.call_resource(request).await?.into_inner();
    let mut parts = Vec::new();
    while let Some(part) = stream.message().await? {
        parts.push(part);
    }
    Ok(answer::resource(&parts))
}

fn ok(members: Map<String, Value>) -> Read {
    Read { answer: Answer::Ok(members), whole: String::new(), broken: None }
}

fn said(status: &Status) -> Read {
    Read::error(format!("gRPC {:?}: {}", status.code(), status.message()))
}
