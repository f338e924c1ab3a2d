//! A large result beside a plain arrow-flight service and a raw tonic stream of the same bytes; what a token costs; memory.
//!
//! `cargo bench -p flightsql-server --bench stream` prints JSON. All three are served in this process and read by one client
//! that only counts bytes, in turns, best of three: the ratios are what counts. `-- --bytes N` for another size (1 GiB),
//! `--memory N` for the size of the result that memory is measured with (10 GiB), `--stream-beside http://HOST:PORT` for a server of
//! somebody else in the same turns: its tickets are the number of bytes. `--sql-beside` is one that answers `SELECT 1`, too.
//! `bench/run.py` starts both and calls this.

use std::io::Write as _;
use std::sync::Arc;
use std::time::{Duration, Instant};

use arrow::array::{Int64Array, RecordBatch};
use arrow_flight::encode::FlightDataEncoderBuilder;
use arrow_flight::error::FlightError;
use arrow_flight::flight_service_client::FlightServiceClient;
use arrow_flight::flight_service_server::{FlightService, FlightServiceServer};
use arrow_flight::sql::client::FlightSqlServiceClient;
use arrow_flight::{
    Action, ActionType, Criteria, Empty, FlightData, FlightDescriptor, FlightInfo, HandshakeRequest,
    HandshakeResponse, PollInfo, PutResult, SchemaResult, Ticket,
};
use clap::Parser as _;
use flightsql_server::{Algorithm, Config, Engine, FlightSqlServer, TrustedIssuer};
use futures::stream::{self, BoxStream};
use futures::{StreamExt as _, TryStreamExt as _};
use mock_idp::{Client, Clients, KeyPool, MockIdp, Scheme, Secret};
use serde_json::json;
use tokio::runtime::Runtime;
use tonic::transport::server::TcpIncoming;
use tonic::transport::{Channel, Endpoint, Server};
use tonic::{Request, Response, Status, Streaming};

/// Rows of a batch, as DataFusion makes them; a row has four columns of eight bytes.
const ROWS: usize = 8192;
const ROW: u64 = 32;

fn main() {
    let options = Options::parse();
    Runtime::new().expect("a runtime").block_on(measure(options));
}

#[derive(clap::Parser)]
struct Options {
    /// Bytes of the result that is read for throughput.
    #[arg(long, default_value_t = 1 << 30)]
    bytes: u64,
    /// Bytes of the result that is read for memory.
    #[arg(long, default_value_t = 10 << 30)]
    memory: u64,
    /// A server of somebody else whose tickets are numbers of bytes.
    #[arg(long)]
    stream_beside: Option<String>,
    /// A server of somebody else that speaks Flight SQL.
    #[arg(long)]
    sql_beside: Option<String>,
    /// Said by Cargo.
    #[arg(long, hide = true)]
    bench: bool,
}

async fn measure(options: Options) {
    let Options { bytes, memory, .. } = options;
    let issuer = issuer().await;
    let token = token_of(&issuer).await;
    let plain_token = "p".repeat(token.len());
    let server = server(&issuer, &plain_token).await;
    let mut ours = connect(&loopback(server.port("main").expect("it listens"))).await;
    let mut plain = connect(&loopback(plain_service().await)).await;
    let mut other = match &options.stream_beside {
        Some(url) => Some(connect(url).await),
        None => None,
    };
    let idle = resident_mib("VmRSS");
    let mut rates = [f64::MIN; 4];
    for _ in 0..3 {
        let turns = [
            count(&mut ours, &sql(bytes), bytes).await,
            count(&mut plain, &format!("encode {bytes}"), bytes).await,
            count(&mut plain, &format!("raw {bytes}"), bytes).await,
            match &mut other {
                Some(other) => count(other, &bytes.to_string(), bytes).await,
                None => f64::NAN,
            },
        ];
        for (best, rate) in rates.iter_mut().zip(turns) {
            *best = best.max(rate);
        }
    }
    let [mine, service, raw, other] = rates;
    let token_us = token_cost(&mut ours, &token, &plain_token).await;
    let address = loopback(server.port("main").expect("it listens"));
    let select_1 = match &options.sql_beside {
        Some(url) => select_1(&[&address, url]).await,
        None => select_1(&[&address]).await,
    };
    let before = resident_mib("VmRSS");
    count(&mut ours, &sql(memory), memory).await;
    let mut report = json!({
        "stream_mb_s": mine.round(), "plain_arrow_flight_mb_s": service.round(), "raw_tonic_mb_s": raw.round(),
        "of_plain_arrow_flight": hundredths(mine / service), "of_raw_tonic": hundredths(mine / raw),
        "select_1_ms": select_1[0],
        "token_us": hundredths(token_us),
        "memory_mib": { "streamed_gib": memory >> 30, "idle": before.round(), "most": resident_mib("VmHWM").round(),
            "at_start": idle.round() },
    });
    if options.stream_beside.is_some() {
        report["stream_beside_mb_s"] = other.round().into();
        report["of_stream_beside"] = hundredths(mine / other).into();
        report["raw_tonic_of_stream_beside"] = hundredths(raw / other).into();
    }
    if let Some(other) = select_1.get(1) {
        report["select_1_beside_ms"] = other.clone();
    }
    let mut out = std::io::stdout().lock();
    writeln!(out, "{report:#}").expect("stdout is open");
}

fn hundredths(number: f64) -> f64 {
    (number * 100.0).round() / 100.0
}

fn sql(bytes: u64) -> String {
    let sql = format!("SELECT value a, value b, value c, value d FROM generate_series(1, {})", bytes / ROW);
    json!({ "sql_query": sql }).to_string()
}

/// Megabytes a second of an answer that has at least so many bytes.
async fn count(client: &mut FlightServiceClient<Channel>, ticket: &str, at_least: u64) -> f64 {
    let began = Instant::now();
    let answer = client.do_get(Ticket::new(ticket.to_owned())).await.expect("it is served");
    let sum = answer.into_inner().try_fold(0, |sum, data| async move { Ok(sum + data.data_body.len()) });
    let bytes = sum.await.expect("the stream is whole");
    assert!(bytes as u64 >= at_least - at_least / 100, "{bytes} bytes came, not {at_least}");
    bytes as f64 / began.elapsed().as_secs_f64() / 1e6
}

/// p50 and p99 of `SELECT 1` (GetFlightInfo, then DoGet) of each server, in turns; milliseconds.
async fn select_1(urls: &[&str]) -> Vec<serde_json::Value> {
    let mut clients = Vec::new();
    for url in urls {
        clients.push((FlightSqlServiceClient::new_from_inner(connect(url).await), Vec::new()));
    }
    for nth in 0..2200 {
        for (client, took) in &mut clients {
            let began = Instant::now();
            let info = client.execute("SELECT 1".to_owned(), None).await.expect("it is planned");
            let ticket = info.endpoint.into_iter().next().and_then(|endpoint| endpoint.ticket);
            let rows = client.do_get(ticket.expect("a ticket")).await.expect("it is served");
            let batches: Vec<RecordBatch> = rows.try_collect().await.expect("the stream is whole");
            assert_eq!(batches.iter().map(RecordBatch::num_rows).sum::<usize>(), 1, "one row");
            if nth >= 200 {
                took.push(began.elapsed().as_secs_f64() * 1e3);
            }
        }
    }
    let percentiles = |took: Vec<f64>| {
        let took = sorted(took);
        let at = |percent: usize| hundredths(took[took.len() * percent / 100]);
        json!({ "p50": at(50), "p99": at(99) })
    };
    clients.into_iter().map(|(_, took)| percentiles(took)).collect()
}

fn sorted(mut list: Vec<f64>) -> Vec<f64> {
    list.sort_by(f64::total_cmp);
    list
}

/// Milliseconds that a small query takes in the middle of fifty with this token.
async fn with_token(client: &mut FlightServiceClient<Channel>, token: &str) -> f64 {
    let ticket = json!({ "sql_query": "SELECT 1" }).to_string();
    let mut took = Vec::new();
    for _ in 0..50 {
        let mut request = Request::new(Ticket::new(ticket.clone()));
        let value = format!("Bearer {token}").parse().expect("a header value");
        request.metadata_mut().insert("authorization", value);
        let began = Instant::now();
        let answer = client.do_get(request).await.expect("it is served").into_inner();
        answer.try_for_each(|_| async { Ok(()) }).await.expect("the stream is whole");
        took.push(began.elapsed().as_secs_f64() * 1e3);
    }
    sorted(took)[25]
}

/// Microseconds that a call with an access token takes longer than one with a static token of the same length, by the
/// medians of calls in turns: what the header itself costs on its way is the same for both.
async fn token_cost(client: &mut FlightServiceClient<Channel>, token: &str, plain: &str) -> f64 {
    let (mut with, mut without) = (Vec::new(), Vec::new());
    for _ in 0..40 {
        with.push(with_token(client, token).await);
        without.push(with_token(client, plain).await);
    }
    (sorted(with)[20] - sorted(without)[20]) * 1e3
}

async fn issuer() -> MockIdp {
    let mut config = mock_idp::Config::new(Arc::new(KeyPool::new()), Arc::new(drop));
    config.scheme = Scheme::Http;
    config.token.audience = "flight".to_owned();
    config.clients = Clients::Registered(vec![Client {
        id: "robot".into(),
        secret: Secret::new("secret"),
        ..Client::default()
    }]);
    MockIdp::start(config).await.expect("it starts")
}

async fn token_of(issuer: &MockIdp) -> String {
    let form = [("grant_type", "client_credentials"), ("client_id", "robot"), ("client_secret", "secret")];
    let provider = Arc::new(rustls::crypto::aws_lc_rs::default_provider());
    let tls = rustls::ClientConfig::builder_with_provider(provider)
        .with_safe_default_protocol_versions()
        .expect("the provider has them")
        .with_root_certificates(rustls::RootCertStore::empty())
        .with_no_client_auth();
    let http = reqwest::Client::builder().tls_backend_preconfigured(tls).build().expect("a client");
    let answer = http.post(issuer.token_url()).form(&form).send().await.expect("it answers");
    let answer: serde_json::Value = answer.json().await.expect("JSON");
    answer["access_token"].as_str().expect("a token").to_owned()
}

async fn server(issuer: &MockIdp, static_token: &str) -> FlightSqlServer {
    let mut config = Config::new(Engine::demo(), Arc::new(drop));
    config.ways_in.anonymous = true;
    config.ways_in.static_tokens = vec![flightsql_server::Secret::new(static_token)];
    config.ways_in.oauth = vec![TrustedIssuer {
        issuer: issuer.issuer(),
        discovery_url: issuer.discovery_url(),
        audience: "flight".to_owned(),
        algorithms: vec![Algorithm::RS256],
        leeway: Duration::ZERO,
    }];
    FlightSqlServer::start(config).await.expect("it starts")
}

fn loopback(port: u16) -> String {
    format!("http://127.0.0.1:{port}")
}

async fn connect(url: &str) -> FlightServiceClient<Channel> {
    let endpoint = Endpoint::from_shared(url.to_owned()).expect("a URL");
    // As large as the server's own, or the client is what is measured.
    let endpoint = endpoint.initial_stream_window_size(16 << 20).initial_connection_window_size(16 << 20);
    let channel = endpoint.connect().await.expect("it listens");
    FlightServiceClient::new(channel).max_decoding_message_size(usize::MAX)
}

fn resident_mib(field: &str) -> f64 {
    let status = std::fs::read_to_string("/proc/self/status").unwrap_or_default();
    let line = status.lines().find(|line| line.starts_with(field));
    let kib = line.and_then(|line| line.split_whitespace().nth(1)?.parse::<f64>().ok());
    kib.unwrap_or(f64::NAN) / 1024.0
}

async fn plain_service() -> u16 {
    let listener = tokio::net::TcpListener::bind("127.0.0.1:0").await.expect("a free port");
    let port = listener.local_addr().expect("it is bound").port();
    let service = FlightServiceServer::new(Plain);
    tokio::spawn(Server::builder().add_service(service).serve_with_incoming(TcpIncoming::from(listener)));
    port
}

/// Flight and nothing else: `encode N` encodes batches as arrow-flight does, `raw N` sends one message again and again.
struct Plain;

fn batch() -> RecordBatch {
    let column = || {
        let values = Int64Array::from_iter_values(0..ROWS as i64);
        Arc::new(values) as arrow::array::ArrayRef
    };
    let columns = ["a", "b", "c", "d"].map(|name| (name, column()));
    RecordBatch::try_from_iter(columns).expect("columns of one length")
}

type Answer<T> = Result<Response<T>, Status>;
type Stream<T> = BoxStream<'static, Result<T, Status>>;

fn nothing<T>() -> Answer<T> {
    Err(Status::unimplemented("only DoGet"))
}

#[tonic::async_trait]
impl FlightService for Plain {
    type HandshakeStream = Stream<HandshakeResponse>;
    type ListFlightsStream = Stream<FlightInfo>;
    type DoGetStream = Stream<FlightData>;
    type DoPutStream = Stream<PutResult>;
    type DoActionStream = Stream<arrow_flight::Result>;
    type ListActionsStream = Stream<ActionType>;
    type DoExchangeStream = Stream<FlightData>;

    async fn do_get(&self, request: Request<Ticket>) -> Answer<Self::DoGetStream> {
        let ticket = String::from_utf8_lossy(&request.get_ref().ticket).into_owned();
        let (how, bytes) = ticket.split_once(' ').ok_or_else(|| Status::invalid_argument("no size"))?;
        let bytes: u64 = bytes.parse().map_err(|_| Status::invalid_argument("no size"))?;
        let batches = usize::try_from(bytes / ROW).unwrap_or(usize::MAX).div_ceil(ROWS);
        let encoded = move |batches| {
            let source = stream::iter(std::iter::repeat_n(batch(), batches).map(Ok));
            FlightDataEncoderBuilder::new()
                .build(source)
                .map_err(|e: FlightError| Status::internal(e.to_string()))
        };
        if how == "encode" {
            return Ok(Response::new(encoded(batches).boxed()));
        }
        let mut messages: Vec<FlightData> = encoded(1).try_collect().await?;
        let last = messages.pop().ok_or_else(|| Status::internal("no message"))?;
        let all = messages.into_iter().chain(std::iter::repeat_n(last, batches));
        Ok(Response::new(stream::iter(all.map(Ok)).boxed()))
    }

    async fn handshake(&self, _: Request<Streaming<HandshakeRequest>>) -> Answer<Self::HandshakeStream> {
        nothing()
    }
    async fn list_flights(&self, _: Request<Criteria>) -> Answer<Self::ListFlightsStream> {
        nothing()
    }
    async fn get_flight_info(&self, _: Request<FlightDescriptor>) -> Answer<FlightInfo> {
        nothing()
    }
    async fn poll_flight_info(&self, _: Request<FlightDescriptor>) -> Answer<PollInfo> {
        nothing()
    }
    async fn get_schema(&self, _: Request<FlightDescriptor>) -> Answer<SchemaResult> {
        nothing()
    }
    async fn do_put(&self, _: Request<Streaming<FlightData>>) -> Answer<Self::DoPutStream> {
        nothing()
    }
    async fn do_action(&self, _: Request<Action>) -> Answer<Self::DoActionStream> {
        nothing()
    }
    async fn list_actions(&self, _: Request<Empty>) -> Answer<Self::ListActionsStream> {
        nothing()
    }
    async fn do_exchange(&self, _: Request<Streaming<FlightData>>) -> Answer<Self::DoExchangeStream> {
        nothing()
    }
}
