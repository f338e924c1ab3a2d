//! The command line.

use std::path::PathBuf;

use clap::{Args, Parser, Subcommand, ValueEnum};

/// The port if nobody says so.
pub const PORT: u16 = 8080;

const TOUR: &str = "\
Five minutes with it:

  1. Start it. Any path is an issuer, any client is taken:
       mock-idp

  2. Get a token:
       curl -u app:secret -d grant_type=client_credentials http://localhost:8080/demo/oauth2/token

  3. Log in: give your client the issuer http://localhost:8080/demo (client id and secret as you like), and type
     any user name at the login page. Nothing at hand? http://localhost:8080/_mock/ has a link to try it.

  4. Break it. The next token is expired, once:
       curl http://localhost:8080/_mock/faults -d '{\"fault\": \"expired-token\"}'
     or answer three requests of one client with 503, or never answer one:
       curl http://localhost:8080/_mock/faults -d '{\"fault\": \"retry-after\", \"with\": {\"seconds\": 2}, \"client\": \"app\", \"times\": 3}'
       curl http://localhost:8080/_mock/faults -d '{\"fault\": \"hang\", \"lifetime\": 30}'
     All faults: mock-idp faults, or the switches at http://localhost:8080/_mock/

  5. See what your client did, live at http://localhost:8080/_mock/, or:
       curl 'http://localhost:8080/_mock/record?endpoint=token'

  Behave like a provider: mock-idp --profile auth0 (all: mock-idp profiles).
  For others than this machine: mock-idp --host 0.0.0.0 --admin-token ...";

/// An OpenID provider for tests, with faults on request.
#[derive(Debug, Parser)]
#[command(name = "mock-idp", version, after_help = TOUR, args_conflicts_with_subcommands = false)]
pub struct CommandLine {
    #[command(subcommand)]
    pub command: Option<Command>,
    #[command(flatten)]
    pub serve: Serve,
}

#[derive(Debug, Subcommand)]
pub enum Command {
    /// Ask a running mock whether it is well; the exit code says so
    Healthcheck {
        /// What to ask, if it is not the mock on the port above
        #[arg(long)]
        url: Option<String>,
    },
    /// List all faults
    Faults {
        /// As a document, with clauses and examples
        #[arg(long)]
        markdown: bool,
    },
    /// List all provider profiles and their quirks
    Profiles {
        /// As a document
        #[arg(long)]
        markdown: bool,
    },
    /// Print the OpenAPI document of the control API
    Openapi,
    /// Say whether the configuration is right, and start nothing
    Check,
}

#[derive(Debug, Args)]
pub struct Serve {
    /// Configuration file: TOML, YAML or JSON, also navikt's JSON_CONFIG; read again when it changes
    #[arg(long, short, env = "MOCK_IDP_CONFIG", global = true)]
    pub config: Option<PathBuf>,
    /// Port to listen on; 0 lets the system choose [default: 8080]
    #[arg(long, short, env = "MOCK_IDP_PORT", global = true)]
    pub port: Option<u16>,
    /// Address to listen on [default: 127.0.0.1]
    #[arg(long, env = "MOCK_IDP_HOST")]
    pub host: Option<String>,
    /// Behave like this provider
    #[arg(long, env = "MOCK_IDP_PROFILE")]
    pub profile: Option<String>,
    /// A quirk of the profile to leave out; may be repeated
    #[arg(long, value_name = "QUIRK")]
    pub without: Vec<String>,
    /// Take registered clients only (from the file, or by dynamic registration)
    #[arg(long, env = "MOCK_IDP_STRICT")]
    pub strict: bool,
    /// Speak TLS with a throw-away CA, to be had at /_mock/ca.pem
    #[arg(long, env = "MOCK_IDP_TLS")]
    pub tls: bool,
    /// A further name in the certificate of the throw-away CA; may be repeated
    #[arg(long, value_name = "NAME")]
    pub tls_name: Vec<String>,
    /// Write the certificate of the throw-away CA to this file
    #[arg(long, value_name = "FILE")]
    pub tls_ca_out: Option<PathBuf>,
    /// Certificate chain of your own, PEM
    #[arg(long, value_name = "FILE", requires = "tls_key", env = "MOCK_IDP_TLS_CERTIFICATE")]
    pub tls_certificate: Option<PathBuf>,
    /// Its private key, PEM
    #[arg(long, value_name = "FILE", requires = "tls_certificate", env = "MOCK_IDP_TLS_KEY")]
    pub tls_key: Option<PathBuf>,
    /// Who may control the mock if it listens for others than this machine
    #[arg(long, env = "MOCK_IDP_ADMIN_TOKEN", hide_env_values = true)]
    pub admin_token: Option<String>,
    /// Another port, on loopback, for /_mock; 0 lets the system choose
    #[arg(long, env = "MOCK_IDP_ADMIN_PORT")]
    pub admin_port: Option<u16>,
    /// Base URL in everything that is published, instead of the host that a request names
    #[arg(long, value_name = "URL", env = "MOCK_IDP_BASE_URL")]
    pub base_url: Option<String>,
    /// Base URL in what programs call (token endpoint, key set and the like), if it is another
    #[arg(long, value_name = "URL", env = "MOCK_IDP_BACK_CHANNEL_BASE_URL")]
    pub back_channel_base_url: Option<String>,
    /// How the log is written, on stderr
    #[arg(long, value_enum, default_value_t = LogFormat::Text, env = "MOCK_IDP_LOG_FORMAT")]
    pub log_format: LogFormat,
    /// What is logged: `info` shows each request, `warn` none
    #[arg(long, default_value = "info", env = "MOCK_IDP_LOG")]
    pub log: String,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
pub enum LogFormat {
    /// For people
    Text,
    /// For programs, an object a line
    Json,
}
