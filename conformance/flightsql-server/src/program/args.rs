//! The command line.

use std::net::SocketAddr;
use std::path::PathBuf;

use clap::{Parser, ValueEnum};
use flightsql_server::{Attribution, HandshakeAnswer};

/// A Flight SQL server for tests: real SQL over your files or over demo tables, strict about who comes in, and able to
/// fail on request. It prints its address to stdout once it listens.
#[derive(Debug, Parser)]
#[command(version, after_help = EXAMPLES)]
pub struct Args {
    /// Tables: [NAME=]PATH of a .csv, .json, .jsonl, .ndjson or .parquet file, or of a folder of such files.
    /// Without any there are the demo tables `log_entries` and `metrics`, which end now.
    #[arg(value_name = "TABLE")]
    pub tables: Vec<String>,
    /// Where to listen; port 0 takes a free one.
    #[arg(long, value_name = "ADDRESS:PORT", default_value = "127.0.0.1:31337")]
    pub listen: SocketAddr,
    /// The demo tables besides those that were given.
    #[arg(long)]
    pub demo: bool,
    /// Another seed makes other demo rows.
    #[arg(long, default_value_t = 1)]
    pub seed: u64,

    /// No TLS.
    #[arg(long, help_heading = "TLS", conflicts_with_all = ["cert", "key", "write_ca", "client_ca"])]
    pub plaintext: bool,
    /// Certificate chain (PEM).
    #[arg(long, value_name = "FILE", help_heading = "TLS", requires = "key")]
    pub cert: Option<PathBuf>,
    /// Its private key (PEM).
    #[arg(long, value_name = "FILE", help_heading = "TLS", requires = "cert")]
    pub key: Option<PathBuf>,
    /// Make a CA that lives as long as the server, and write its certificate here for clients to trust.
    #[arg(long, value_name = "FILE", help_heading = "TLS", conflicts_with = "cert")]
    pub write_ca: Option<PathBuf>,
    /// More names for the certificate of the throw-away CA, besides localhost and its addresses.
    #[arg(long, value_name = "NAME", help_heading = "TLS", requires = "write_ca")]
    pub host: Vec<String>,
    /// Clients may come in with a certificate of this CA (PEM): mTLS.
    #[arg(long, value_name = "FILE", help_heading = "TLS")]
    pub client_ca: Option<PathBuf>,

    /// Serve callers without credentials.
    #[arg(long, help_heading = "Ways in")]
    pub anonymous: bool,
    /// A user with a password, for Handshake.
    #[arg(
        long,
        value_name = "NAME:PASSWORD",
        help_heading = "Ways in",
        env = "FLIGHTSQL_USERS",
        value_delimiter = ',',
        hide_env_values = true
    )]
    pub user: Vec<String>,
    /// A fixed bearer token.
    #[arg(
        long,
        value_name = "TOKEN",
        help_heading = "Ways in",
        env = "FLIGHTSQL_TOKENS",
        value_delimiter = ',',
        hide_env_values = true
    )]
    pub token: Vec<String>,
    /// An OpenID issuer: URL,audience=AUD[,audience=AUD]..[,algorithm=RS256]..[,leeway=SECONDS][,discovery=URL].
    /// May be given several times. Private CAs of issuers come from `SSL_CERT_FILE`.
    #[arg(long, value_name = "URL,audience=AUD[,..]", help_heading = "Ways in")]
    pub issuer: Vec<String>,
    /// Where a Handshake's token goes.
    #[arg(long, value_enum, default_value = "header", help_heading = "Ways in")]
    pub handshake: HandshakeWord,
    /// What is done if `x-user-id` or `x-user-email` name another than the token.
    #[arg(long, value_enum, default_value = "log-only", help_heading = "Ways in")]
    pub attribution: AttributionWord,

    /// Misbehave: kind=KIND[,method=M][,command=C][,principal=P][,token=T][,after=N][,times=N][,at=MOMENT][,..].
    /// Kinds: status (code=, message=), silence, delay (ms=), slow (ms=), stall, reset, disconnect, go-away, header
    /// (name=, value= or bytes=), no-token, wrong-token (value=). Moments: before-schema, after-schema, mid-stream.
    #[arg(long, value_name = "kind=KIND[,..]", help_heading = "Faults")]
    pub fault: Vec<String>,
    /// Say that results are there, `arrow-flight-reuse-connection://?` for instance.
    #[arg(long, value_name = "URI", help_heading = "Faults")]
    pub location: Vec<String>,
    /// Bytes that a client may send in one stream before it must wait; tiny ones make an upload crawl.
    #[arg(long, value_name = "BYTES", help_heading = "Faults", value_parser = clap::value_parser!(u32).range(1..=0x7fff_ffff))]
    pub stream_window: Option<u32>,

    /// Misjudge callers in this way: what proves that a suite for servers can fail.
    #[arg(long, value_name = "NAME", help_heading = "Faults", hide = true)]
    pub defect: Option<flightsql_server::Defect>,

    /// Append every connection, call, fault and end to this file, one JSON object a line; `-` for stdout.
    #[arg(long, value_name = "FILE", help_heading = "Record")]
    pub record: Option<PathBuf>,
    /// No query log on stderr.
    #[arg(long, short, help_heading = "Record")]
    pub quiet: bool,

    /// MiB that all queries may take for sorts, joins and groups before they spill to disk.
    #[arg(long, value_name = "MIB", default_value_t = 256, help_heading = "Limits")]
    pub query_memory: usize,
    /// MiB that the tables of clients may take.
    #[arg(long, value_name = "MIB", default_value_t = 1024, help_heading = "Limits")]
    pub table_memory: usize,
    /// Threads that one query may use.
    #[arg(long, value_name = "N", default_value_t = 1, help_heading = "Limits")]
    pub threads_per_query: usize,
}

const EXAMPLES: &str = "Examples:
  flightsql-server --anonymous --plaintext
  flightsql-server --write-ca ca.pem --user ann:secret sales=data/sales/ prices.csv
  flightsql-server --write-ca ca.pem --issuer https://issuer.example,audience=api,leeway=30
  flightsql-server --anonymous --plaintext --fault kind=status,method=DoGet,code=UNAVAILABLE,at=mid-stream,times=1";

/// Where a Handshake's token goes.
#[derive(Debug, Clone, Copy, ValueEnum)]
pub enum HandshakeWord {
    /// Header `authorization`, and a message besides.
    Header,
    /// Trailer `authorization`.
    Trailer,
    /// A message.
    Payload,
}

impl From<HandshakeWord> for HandshakeAnswer {
    fn from(word: HandshakeWord) -> Self {
        match word {
            HandshakeWord::Header => Self::Header,
            HandshakeWord::Trailer => Self::Trailer,
            HandshakeWord::Payload => Self::Payload,
        }
    }
}

/// What is done about attribution headers.
#[derive(Debug, Clone, Copy, ValueEnum)]
pub enum AttributionWord {
    /// They are recorded.
    LogOnly,
    /// PERMISSION_DENIED.
    RefuseMismatch,
}

impl From<AttributionWord> for Attribution {
    fn from(word: AttributionWord) -> Self {
        match word {
            AttributionWord::LogOnly => Self::LogOnly,
            AttributionWord::RefuseMismatch => Self::RefuseMismatch,
        }
    }
}
