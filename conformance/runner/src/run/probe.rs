//! The runner as the client of a server under test: mints tokens, right and wrong, calls, records what came back.

use std::collections::BTreeMap;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use arrow_flight::decode::FlightRecordBatchStream;
use arrow_flight::error::FlightError;
use arrow_flight::flight_service_client::FlightServiceClient;
use arrow_flight::sql::{
    ActionCreatePreparedStatementRequest, CommandStatementQuery, CommandStatementUpdate, ProstMessageExt,
};
use arrow_flight::{Action, Empty, FlightData, FlightDescriptor, FlightInfo};
use futures::future::join_all;
use futures::{StreamExt as _, TryStreamExt as _};
use mock_idp as idp;
use prost::Message as _;
use scenario_model::call::{Authorization, Call, CallToken, ServerRpc, TokenFault, TokenPart};
use scenario_model::event::{Fact, ProbeAnswer, Reply, Said, StepBegin, StepEnd, WorldChange};
use scenario_model::load::ResolvedCheck;
use scenario_model::manifest::ServerUnderTest;
use scenario_model::plan::Permutation;
use scenario_model::scenario::{Op, Scenario, Step};
use serde_json::{Map, Value};
use tokio::sync::watch;
use tokio::time::Instant;
use tonic::metadata::{Ascii, AsciiMetadataKey, MetadataMap, MetadataValue};
use tonic::transport::{Certificate, Channel, ClientTlsConfig, Endpoint};
use tonic::{Request, Status};

use crate::canary::CanaryMaker;
use crate::marker;
use crate::recorder::Recorder;
use crate::run::permutation::Bench;
use crate::run::server::{Server, ServerLaunch};
use crate::run::steps::{Mark, bound, said, wait_for_moment};
use crate::run::world::{World, WorldSpec};

/// A server that does not even take the connection.
const CONNECT: Duration = Duration::from_secs(10);

/// Runs a permutation against a server under test.
///
/// # Errors
/// Our own trouble. A server that does not start is none: it has no evidence then.
pub async fn drive<S>(
    bench: &Bench,
    launch: &ServerLaunch,
    permutation: &Permutation,
    recorder: &Arc<Recorder>,
    starting: S,
) -> Result<(), String> {
    let scenario = permutation.scenario();
    let world = start_world(bench, launch, scenario, recorder).await?;
    let server = Server::start(launch, &bench.shared, &world, recorder).await;
    drop(starting);
    if let Ok(server) = server {
        let prober = Prober::new(bench, &server, &world, recorder)?;
        prober.play(scenario, &permutation.combination.checks).await;
        drop(prober);
        server.finish(recorder).await;
    }
    world.stop().await;
    Ok(())
}

/// Starts the server once and tells why it does not work, if it does not.
///
/// # Errors
/// What the operator must put right.
pub async fn greet(bench: &Bench, launch: &ServerLaunch) -> Result<(), String> {
    let recorder = Recorder::new();
    let world = start_world(bench, launch, &Scenario::for_servers(), &recorder).await?;
    let server = Server::start(launch, &bench.shared, &world, &recorder).await;
    let problem = match server {
        Ok(server) => {
            server.finish(&recorder).await;
            None
        }
        Err(why) => Some(why),
    };
    world.stop().await;
    match problem {
        None => Ok(()),
        Some(why) => {
            let events = recorder.finish();
            let log = events.iter().rev().filter_map(|e| match &e.fact {
                Fact::SubjectStderr(text) => Some(text.text.clone()),
                _ => None,
            });
            Err(log.skip(1).take(1).fold(why, |why, line| format!("{why}; the last line of its log: {line}")))
        }
    }
}

async fn start_world(
    bench: &Bench,
    launch: &ServerLaunch,
    scenario: &Scenario,
    recorder: &Arc<Recorder>,
) -> Result<World, String> {
    let mut spec = WorldSpec::of_server(scenario);
    // Our own server, in our own process, is not given the throw-away CA.
    if matches!(launch, ServerLaunch::Inside(_)) {
        spec.issuers
            .values_mut()
            .for_each(|(issuer, _)| issuer.scheme = scenario_model::scenario::Scheme::Http);
    }
    let mut maker = CanaryMaker::new(bench.seed);
    World::start(&bench.shared, &spec, recorder, &mut maker).await.map_err(|e| e.to_string())
}

struct Prober<'a> {
    settings: ServerUnderTest,
    channel: Channel,
    world: &'a World,
    recorder: &'a Arc<Recorder>,
    /// The first token of each step.
    tokens: Mutex<BTreeMap<String, String>>,
}

impl<'a> Prober<'a> {
    fn new(
        bench: &Bench,
        server: &Server,
        world: &'a World,
        recorder: &'a Arc<Recorder>,
    ) -> Result<Self, String> {
        let settings = bench.manifest.server.clone().ok_or("the manifest has no `[server]`")?;
        let wrong = |e: tonic::transport::Error| format!("no client for `{}`: {e}", server.url);
        let mut endpoint = Endpoint::from_shared(server.url.clone()).map_err(wrong)?.connect_timeout(CONNECT);
        if server.url.starts_with("https:") {
            let ca = Certificate::from_pem(&bench.shared.ca_file.text);
            endpoint = endpoint.tls_config(ClientTlsConfig::new().ca_certificate(ca)).map_err(wrong)?;
        }
        let channel = endpoint.connect_lazy();
        Ok(Self { settings, channel, world, recorder, tokens: Mutex::default() })
    }

    async fn play(&self, scenario: &Scenario, checks: &[ResolvedCheck]) {
        let marks: BTreeMap<&str, (Mark, Mark)> = scenario
            .step
            .iter()
            .map(|s| (s.id.as_str(), (watch::channel(None).0, watch::channel(None).0)))
            .collect();
        let steps = scenario.step.iter().enumerate().map(|(nth, step)| {
            let before = nth.checked_sub(1).map(|n| scenario.step[n].id.as_str());
            let marks = &marks;
            async move {
                wait_for_moment(step, before, marks, self.world.awaited_lifetime()).await;
                let (begin, end) = &marks[step.id.as_str()];
                begin.send_replace(Some(Instant::now()));
                self.step(step, bound(step, checks)).await;
                end.send_replace(Some(Instant::now()));
            }
        });
        join_all(steps).await;
    }

    async fn step(&self, step: &Step, limit: Duration) {
        if step.op == Op::World {
            self.world.change(&step.set);
            let set = serde_json::to_value(&step.set).expect("plain data");
            self.recorder.record(Fact::WorldChange(WorldChange { step: step.id.clone(), set: said(set) }));
            return;
        }
        let session = String::new();
        self.recorder.record(Fact::StepBegin(StepBegin {
            step: step.id.clone(),
            op: "call".to_owned(),
            session: session.clone(),
            calls: step.parallel,
        }));
        let calls = (0..step.parallel).map(|n| self.one(step, n, limit));
        let replies = join_all(calls).await;
        let leak = false;
        self.recorder.record(Fact::StepEnd(StepEnd { step: step.id.clone(), session, leak, replies }));
    }

    async fn one(&self, step: &Step, n: u32, limit: Duration) -> Reply {
        let call = numbered(step.call.clone().unwrap_or_default(), n);
        let marker = marker::make(&step.id, n, None);
        let authorization = self.authorization(step, &call).await;
        let began = Instant::now();
        let answer = tokio::time::timeout(limit, self.call(&call, &authorization)).await;
        let took = began.elapsed();
        let Answered { method, outcome } = answer.unwrap_or(Answered { method: "none", outcome: Err(None) });
        let silent = outcome.as_ref().err().is_some_and(Option::is_none);
        let (code, message, rows) = match &outcome {
            Ok(rows) => ("OK".to_owned(), None, *rows),
            Err(None) => ("NO-ANSWER".to_owned(), None, 0),
            Err(Some(status)) => (code_of(status), Some(self.world.canaries.scan(&said_by(status)).text), 0),
        };
        self.recorder.record(Fact::ProbeAnswer(ProbeAnswer {
            step: step.id.clone(),
            marker: marker.clone(),
            sent: in_words(&call),
            method: method.to_owned(),
            code,
            message: message.clone(),
            rows,
            took_ms: took.as_millis() as u64,
        }));
        let said = match outcome {
            Ok(_) => Said::Ok,
            Err(_) if silent => Said::Nothing,
            Err(_) => Said::Error,
        };
        let rows = (said == Said::Ok).then_some(rows);
        Reply { marker, said, message, rows, took_us: took.as_micros() as u64, leaks: Vec::new() }
    }

    /// The `authorization` values of a call: with its token, and with a good one for what leads there.
    async fn authorization(&self, step: &Step, call: &Call) -> Values {
        let scheme = call.scheme.as_deref().unwrap_or("Bearer");
        let token = self.token(&step.id, &call.token).await;
        let own = value(scheme, &token);
        let needs_good = call.rpc == ServerRpc::DoGet
            || matches!(call.authorization, Authorization::GoodFirst | Authorization::GoodLast);
        let good = match needs_good {
            true => value("Bearer", &self.token("", &CallToken::default()).await),
            false => own.clone(),
        };
        let values = match call.authorization {
            Authorization::One => vec![own],
            Authorization::None => Vec::new(),
            Authorization::Twice => vec![own.clone(), own],
            Authorization::GoodFirst => vec![good.clone(), own],
            Authorization::GoodLast => vec![own, good.clone()],
        };
        Values { values, good }
    }

    async fn token(&self, step: &str, wanted: &CallToken) -> String {
        let token = match (&wanted.raw, &wanted.of) {
            (Some(raw), _) => return raw.clone(),
            (None, Some(of)) => {
                let tokens = self.tokens.lock().unwrap_or_else(PoisonError::into_inner);
                return tokens.get(of).cloned().expect("the loader lets only earlier calls through");
            }
            (None, None) => self.world.main_issuer().mint(&self.order(wanted)).await,
        };
        self.world.canaries.add_token(&token);
        let mut tokens = self.tokens.lock().unwrap_or_else(PoisonError::into_inner);
        tokens.entry(step.to_owned()).or_insert_with(|| token.clone());
        token
    }

    fn order(&self, wanted: &CallToken) -> idp::TokenOrder {
        let leeway = if wanted.beyond_leeway { self.settings.leeway.0 } else { 0.0 };
        let elsewhere = self.world.elsewhere();
        let mut header = patch(&wanted.header, &elsewhere);
        let link = wanted.fault.and_then(|fault| match fault {
            TokenFault::Jku => Some(("jku", "/jwks.json")),
            TokenFault::X5u => Some(("x5u", "/certificate.pem")),
            TokenFault::StrangersKey
            | TokenFault::BrokenSignature
            | TokenFault::NoSignature
            | TokenFault::AlgNone
            | TokenFault::HmacWithPublicKey
            | TokenFault::EmbeddedKey
            | TokenFault::CriticalExtension => None,
        });
        if let Some((member, path)) = link {
            header.insert(member.to_owned(), format!("{elsewhere}{path}").into());
        }
        let mut claims = patch(&wanted.claims, &elsewhere);
        claims.extend(wanted.without.iter().map(|name| (name.clone(), Value::Null)));
        idp::TokenOrder {
            claims,
            header,
            expires_in: wanted.expires_in.map(|s| (s - leeway).floor() as i64),
            valid_in: wanted.valid_in.map(|s| (s + leeway).ceil() as i64),
            faults: wanted.fault.map(fault).into_iter().collect(),
            twice: wanted.twice.as_ref().map(|twice| idp::Twice {
                part: match twice.part {
                    TokenPart::Header => idp::TokenPart::Header,
                    TokenPart::Claims => idp::TokenPart::Claims,
                },
                member: twice.member.clone(),
                value: twice.value.clone(),
            }),
        }
    }

    async fn call(&self, call: &Call, authorization: &Values) -> Answered {
        let mut client = Client {
            flight: FlightServiceClient::new(self.channel.clone()),
            own: metadata(&authorization.values, &call.headers),
            sql: &self.settings.sql,
            method: "GetFlightInfo",
        };
        let outcome = match call.rpc {
            ServerRpc::Query => client.query().await,
            ServerRpc::DoGet => {
                let good = metadata(std::slice::from_ref(&authorization.good), &BTreeMap::new());
                client.do_get_with_a_good_ticket(good).await
            }
            ServerRpc::GetSchema => client.get_schema().await,
            ServerRpc::DoAction => client.do_action().await,
            ServerRpc::DoPut => client.do_put().await,
            ServerRpc::ListActions => client.list_actions().await,
        };
        Answered { method: client.method, outcome: outcome.map_err(Some) }
    }
}

struct Values {
    values: Vec<MetadataValue<Ascii>>,
    good: MetadataValue<Ascii>,
}

/// What came of a call: rows, an error, or nothing at all.
struct Answered {
    method: &'static str,
    outcome: Result<u64, Option<Status>>,
}

struct Client<'a> {
    flight: FlightServiceClient<Channel>,
    own: MetadataMap,
    sql: &'a str,
    method: &'static str,
}

impl Client<'_> {
    fn request<T>(&mut self, method: &'static str, message: T) -> Request<T> {
        self.method = method;
        let mut request = Request::new(message);
        *request.metadata_mut() = self.own.clone();
        request
    }

    fn descriptor(&self) -> FlightDescriptor {
        let command = CommandStatementQuery { query: self.sql.to_owned(), transaction_id: None };
        FlightDescriptor::new_cmd(command.as_any().encode_to_vec())
    }

    async fn query(&mut self) -> Result<u64, Status> {
        let descriptor = self.descriptor();
        let request = self.request("GetFlightInfo", descriptor);
        let info = self.flight.get_flight_info(request).await?.into_inner();
        self.read(info).await
    }

    async fn do_get_with_a_good_ticket(&mut self, good: MetadataMap) -> Result<u64, Status> {
        let mut request = Request::new(self.descriptor());
        *request.metadata_mut() = good;
        let info = self.flight.get_flight_info(request).await?.into_inner();
        self.read(info).await
    }

    async fn read(&mut self, info: FlightInfo) -> Result<u64, Status> {
        let mut rows = 0;
        for endpoint in info.endpoint {
            let ticket = endpoint.ticket.ok_or_else(|| Status::data_loss("an endpoint has no ticket"))?;
            let request = self.request("DoGet", ticket);
            let answer = self.flight.do_get(request).await?.into_inner();
            let mut batches = FlightRecordBatchStream::new_from_flight_data(
                answer.map_err(|e| FlightError::Tonic(e.into())),
            );
            while let Some(batch) = batches.next().await {
                rows += batch.map_err(Status::from)?.num_rows() as u64;
            }
        }
        Ok(rows)
    }

    async fn get_schema(&mut self) -> Result<u64, Status> {
        let descriptor = self.descriptor();
        let request = self.request("GetSchema", descriptor);
        self.flight.get_schema(request).await.map(|_| 0)
    }

    async fn do_action(&mut self) -> Result<u64, Status> {
        let wanted =
            ActionCreatePreparedStatementRequest { query: self.sql.to_owned(), transaction_id: None };
        let body = wanted.as_any().encode_to_vec().into();
        let action = Action { r#type: "CreatePreparedStatement".to_owned(), body };
        let request = self.request("DoAction", action);
        self.flight.do_action(request).await?.into_inner().try_collect::<Vec<_>>().await.map(|_| 0)
    }

    async fn do_put(&mut self) -> Result<u64, Status> {
        let command =
            CommandStatementUpdate { query: "this changes nothing".to_owned(), transaction_id: None };
        let descriptor = FlightDescriptor::new_cmd(command.as_any().encode_to_vec());
        let data = FlightData { flight_descriptor: Some(descriptor), ..FlightData::default() };
        let request = self.request("DoPut", futures::stream::iter([data]));
        self.flight.do_put(request).await?.into_inner().try_collect::<Vec<_>>().await.map(|_| 0)
    }

    async fn list_actions(&mut self) -> Result<u64, Status> {
        let request = self.request("ListActions", Empty {});
        self.flight.list_actions(request).await?.into_inner().try_collect::<Vec<_>>().await.map(|_| 0)
    }
}

fn metadata(values: &[MetadataValue<Ascii>], headers: &BTreeMap<String, String>) -> MetadataMap {
    let mut metadata = MetadataMap::new();
    for value in values {
        metadata.append("authorization", value.clone());
    }
    for (name, text) in headers {
        let name: AsciiMetadataKey = name.parse().expect("the loader lets only names of headers through");
        metadata.append(name, text.parse().expect("the loader lets only printable text through"));
    }
    metadata
}

fn value(scheme: &str, token: &str) -> MetadataValue<Ascii> {
    let text = format!("{scheme} {token}");
    text.trim().parse().expect("a token is printable")
}

/// The code that the server sent. What our own client makes of a broken connection is none.
fn code_of(status: &Status) -> String {
    use tonic::Code;
    if std::error::Error::source(status).is_some() {
        return "CONNECTION".to_owned();
    }
    match status.code() {
        Code::Ok => "OK",
        Code::Cancelled => "CANCELLED",
        Code::Unknown => "UNKNOWN",
        Code::InvalidArgument => "INVALID_ARGUMENT",
        Code::DeadlineExceeded => "DEADLINE_EXCEEDED",
        Code::NotFound => "NOT_FOUND",
        Code::AlreadyExists => "ALREADY_EXISTS",
        Code::PermissionDenied => "PERMISSION_DENIED",
        Code::ResourceExhausted => "RESOURCE_EXHAUSTED",
        Code::FailedPrecondition => "FAILED_PRECONDITION",
        Code::Aborted => "ABORTED",
        Code::OutOfRange => "OUT_OF_RANGE",
        Code::Unimplemented => "UNIMPLEMENTED",
        Code::Internal => "INTERNAL",
        Code::Unavailable => "UNAVAILABLE",
        Code::DataLoss => "DATA_LOSS",
        Code::Unauthenticated => "UNAUTHENTICATED",
    }
    .to_owned()
}

fn said_by(status: &Status) -> String {
    match std::error::Error::source(status) {
        Some(source) => format!("{}: {source}", status.message()),
        None => status.message().to_owned(),
    }
}

fn fault(fault: TokenFault) -> idp::FaultKind {
    let token = idp::Which::Access;
    match fault {
        TokenFault::StrangersKey => idp::FaultKind::WrongKey { token },
        TokenFault::BrokenSignature => idp::FaultKind::BrokenSignature { token },
        TokenFault::NoSignature => idp::FaultKind::StrippedSignature { token },
        TokenFault::AlgNone => idp::FaultKind::AlgNone { token },
        TokenFault::HmacWithPublicKey => idp::FaultKind::HmacWithPublicKey { token },
        TokenFault::Jku => idp::FaultKind::Jku { token },
        TokenFault::X5u => idp::FaultKind::X5u { token },
        TokenFault::EmbeddedKey => idp::FaultKind::EmbeddedJwk { token },
        TokenFault::CriticalExtension => idp::FaultKind::CriticalHeader { token },
    }
}

fn patch(members: &BTreeMap<String, Value>, elsewhere: &str) -> Map<String, Value> {
    let one = |value: &Value| match value.as_str() {
        Some("<absent>") => Value::Null,
        Some(text) => text.replace("<elsewhere>", elsewhere).into(),
        None => value.clone(),
    };
    members.iter().map(|(name, value)| (name.clone(), one(value))).collect()
}

/// The call with its number in it.
fn numbered(call: Call, n: u32) -> Call {
    let text = serde_json::to_string(&call).expect("plain data");
    if !text.contains("{n}") {
        return call;
    }
    serde_json::from_str(&text.replace("{n}", &n.to_string())).expect("a number needs no escape")
}

/// What is unusual about a call.
fn in_words(call: &Call) -> String {
    if *call == Call::default() {
        return "a good token".to_owned();
    }
    let usual = serde_json::to_value(Call::default()).expect("plain data");
    unusual(&serde_json::to_value(call).expect("plain data"), &usual).to_string()
}

fn unusual(value: &Value, usual: &Value) -> Value {
    match (value, usual) {
        (Value::Object(members), Value::Object(usual)) => members
            .iter()
            .filter(|(name, value)| usual.get(*name) != Some(value))
            .map(|(name, value)| (name.clone(), unusual(value, usual.get(name).unwrap_or(&Value::Null))))
            .collect::<Map<_, _>>()
            .into(),
        _ => value.clone(),
    }
}
