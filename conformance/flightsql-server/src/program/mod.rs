//! The program around the server: arguments, certificates, record and query log, an orderly end.

mod args;
mod log;
mod options;
mod tls;

use std::io::Write as _;
use std::net::SocketAddr;
use std::path::PathBuf;
use std::sync::Arc;
use std::time::SystemTime;

use flightsql_server::{
    Clock, Config, Engine, FlightSqlServer, Http2, Limits, StartError, TableError, WaysIn,
};

pub use args::Args;

/// Why the program ends without having served.
#[derive(Debug, thiserror::Error)]
pub enum ProgramError {
    /// An argument that makes no sense.
    #[error("{0}")]
    Usage(String),
    /// A table.
    #[error(transparent)]
    Table(#[from] TableError),
    /// A file of certificates or keys, or of the record.
    #[error("cannot use `{}`: {reason}", path.display())]
    File {
        /// The file.
        path: PathBuf,
        /// What is wrong.
        reason: String,
    },
    /// The port.
    #[error(transparent)]
    Start(#[from] StartError),
}

impl ProgramError {
    /// 2: the operator must change the arguments; 3: the system did not do its part.
    pub fn exit_code(&self) -> u8 {
        match self {
            Self::Usage(_) | Self::Table(_) | Self::File { .. } => 2,
            Self::Start(_) => 3,
        }
    }
}

/// Talks to the operator.
#[expect(clippy::print_stderr, reason = "the one place where the program talks")]
pub fn say(text: &str) {
    eprintln!("{text}");
}

/// Serves until it is asked to stop.
///
/// # Errors
/// If it cannot start.
pub async fn run(args: Args) -> Result<(), ProgramError> {
    let ways_in = ways_in(&args)?;
    let tls = tls::server_config(&args)?;
    let engine = engine(&args).await?;
    let recorder = log::recorder(args.record.as_deref(), args.quiet)?;
    let config = Config {
        listeners: vec!["main".to_owned()],
        tls,
        ways_in,
        locations: args.location.clone(),
        http2: Http2 {
            stream_window: args.stream_window.unwrap_or(Http2::default().stream_window),
            ..Http2::default()
        },
        issuer_tls: issuer_tls(),
        faults: args.fault.iter().map(|fault| options::fault(fault)).collect::<Result<_, _>>()?,
        ..Config::new(engine, recorder)
    };
    serve(config, args.listen, args.plaintext).await
}

/// Certificates come from `SSL_CERT_FILE`, as with other programs, or from the system.
fn issuer_tls() -> Arc<rustls::ClientConfig> {
    match std::env::var_os("SSL_CERT_FILE").and_then(|path| std::fs::read(path).ok()) {
        Some(pem) => flightsql_server::issuer_tls::trust_pem(&pem),
        None => flightsql_server::issuer_tls::trust_the_system(),
    }
}

async fn serve(config: Config, listen: SocketAddr, plaintext: bool) -> Result<(), ProgramError> {
    let server = FlightSqlServer::start_at(config, listen).await?;
    let port = server.port("main").expect("the listener was asked for");
    let scheme = if plaintext { "grpc" } else { "grpc+tls" };
    let address = SocketAddr::new(listen.ip(), port);
    // Data for whoever started us: where we are.
    let mut out = std::io::stdout();
    let _ = writeln!(out, "{scheme}://{address}").and_then(|()| out.flush());
    stop_asked().await;
    say("stopping: calls under way have ten seconds");
    server.drain().await;
    Ok(())
}

async fn stop_asked() {
    use tokio::signal::unix::{SignalKind, signal};
    let mut terminate = signal(SignalKind::terminate()).expect("signals can be waited for");
    tokio::select! {
        _ = tokio::signal::ctrl_c() => {}
        _ = terminate.recv() => {}
    }
}

fn ways_in(args: &Args) -> Result<WaysIn, ProgramError> {
    let ways = WaysIn {
        anonymous: args.anonymous,
        basic: args.user.iter().map(|user| options::user(user)).collect::<Result<_, _>>()?,
        basic_in_calls: true,
        static_tokens: args.token.iter().map(flightsql_server::Secret::new).collect(),
        handshake: args.handshake.into(),
        certificates: args.client_ca.is_some(),
        attribution: args.attribution.into(),
        oauth: args
            .issuer
            .iter()
            .map(|issuer| options::issuer(issuer))
            .collect::<Result<Vec<_>, _>>()?
            .into_iter()
            .flatten()
            .collect(),
    };
    let none = !ways.anonymous
        && ways.basic.is_empty()
        && ways.static_tokens.is_empty()
        && ways.oauth.is_empty()
        && !ways.certificates;
    if none {
        let ways = "--anonymous, --user, --token, --issuer or --client-ca";
        return Err(ProgramError::Usage(format!("nobody could come in; choose at least one of {ways}")));
    }
    Ok(ways)
}

async fn engine(args: &Args) -> Result<Engine, ProgramError> {
    let limits = Limits {
        query_memory: args.query_memory << 20,
        table_memory: args.table_memory << 20,
        partitions: args.threads_per_query,
    };
    let mut engine = Engine::new(limits);
    if args.demo || args.tables.is_empty() {
        #[expect(clippy::disallowed_methods, reason = "demo tables move with the time of day")]
        let clock: Clock = Arc::new(SystemTime::now);
        engine = engine.with_moving_tables(args.seed, &clock);
    }
    for table in &args.tables {
        let (name, path) = options::table(table)?;
        engine = engine.with_files(&name, &path).await?;
    }
    Ok(engine)
}
