//! Starting, reloading and stopping the mock.

use std::collections::HashMap;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::Duration;

use clap::CommandFactory as _;
use mock_idp::did_you_mean;
use mock_idp::file::{self, ConfigError, File, Format, TlsFile};
use mock_idp::{Admin, Config, MockIdp, Scheme, Secret, Surroundings, tls};
use notify::Watcher as _;
use rustls::pki_types::pem::PemObject as _;
use rustls::pki_types::{CertificateDer, PrivateKeyDer};
use tokio::signal::unix::{Signal, SignalKind, signal};
use tokio::sync::mpsc;
use tracing_subscriber::EnvFilter;

use crate::cli::{CommandLine, LogFormat, PORT, Serve};
use crate::output;

/// Answers that are under way may take so long when the mock stops.
const STOPPING: Duration = Duration::from_secs(5);
/// Writing a file makes several events.
const SETTLING: Duration = Duration::from_millis(100);

/// Why the program ends.
pub struct Failure {
    pub message: String,
    /// The operator's mistake, not the machine's.
    pub usage: bool,
}

impl Failure {
    pub fn plain(message: String) -> Self {
        Self { message, usage: false }
    }

    fn usage(message: impl ToString) -> Self {
        Self { message: message.to_string(), usage: true }
    }
}

/// What was asked for, from file, environment and flags.
struct Wanted {
    file: File,
    path: Option<PathBuf>,
}

impl Wanted {
    fn read(serve: &Serve) -> Result<Self, ConfigError> {
        let variable = |name: &str| std::env::var(name).ok().filter(|v| !v.is_empty());
        // The names that navikt/mock-oauth2-server has; ours come first.
        let foreign_path = variable("JSON_CONFIG_PATH").map(PathBuf::from);
        let path =
            serve.config.clone().or_else(|| foreign_path.filter(|_| variable("JSON_CONFIG").is_none()));
        let mut file = match (&path, variable("JSON_CONFIG")) {
            (Some(path), _) => File::read(path)?,
            (None, Some(text)) => File::parse("JSON_CONFIG", &text, Format::Json)?,
            (None, None) => File::default(),
        };
        let is_foreign = variable("JSON_CONFIG").is_some() || variable("JSON_CONFIG_PATH").is_some();
        // `PORT` alone is anybody's.
        let names: &[&str] = if is_foreign { &["SERVER_PORT", "PORT"] } else { &["SERVER_PORT"] };
        if let Some((name, port)) = names.iter().find_map(|name| Some((*name, variable(name)?))) {
            let port = port_in(name, &port)?;
            file.port = file.port.or(Some(port));
        }
        file.host = file.host.or_else(|| variable("SERVER_HOSTNAME"));
        file = file.with_profile(serve.profile.clone(), serve.without.clone());
        if serve.strict {
            file = file.strict();
        }
        file.port = serve.port.or(file.port).or(Some(PORT));
        file.host = serve.host.clone().or(file.host);
        file.admin_port = serve.admin_port.or(file.admin_port);
        // An empty one guards nothing: it is none.
        let guards = |token: &String| !token.trim().is_empty();
        file.admin_token = serve.admin_token.clone().filter(guards).or(file.admin_token).filter(guards);
        file.base_url = serve.base_url.clone().or(file.base_url);
        file.back_channel_base_url = serve.back_channel_base_url.clone().or(file.back_channel_base_url);
        if serve.tls || !serve.tls_name.is_empty() {
            file.tls.get_or_insert_default().names.extend(serve.tls_name.clone());
        }
        if serve.tls_certificate.is_some() {
            let names = Vec::new();
            file.tls = Some(TlsFile {
                certificate: serve.tls_certificate.clone(),
                key: serve.tls_key.clone(),
                names,
            });
        }
        Ok(Self { file, path })
    }

    fn resolve(&self, base: &Config) -> Result<(Config, HashMap<String, Config>), ConfigError> {
        let (mut home, mut issuers) = self.file.resolve(base)?;
        let admin = match &self.file.admin_token {
            Some(token) => Admin::Token(Secret::new(token.clone())),
            None => Admin::Open,
        };
        home.admin.clone_from(&admin);
        issuers.values_mut().for_each(|i| i.admin.clone_from(&admin));
        Ok((home, issuers))
    }

    /// All that a start needs, ports apart; what is named in it is there.
    fn prepare(&self, base: &Config) -> Result<(Config, Surroundings), Failure> {
        let (mut config, issuers) = self.resolve(base).map_err(Failure::usage)?;
        config.host = address_of(&config.host)?;
        let ca = secure(self.file.tls.as_ref(), &mut config)?;
        if let Some(folder) = config.static_files.as_ref().filter(|f| !f.is_dir()) {
            return Err(Failure::usage(format!("`static_files`: `{}` is no folder", folder.display())));
        }
        Ok((config, Surroundings { issuers, admin_port: self.file.admin_port, ca }))
    }
}

/// The port that a variable of navikt's names.
fn port_in(name: &str, text: &str) -> Result<u16, ConfigError> {
    let message = || format!("`{text}` is no port: a number from 0 to 65535");
    text.trim().parse().map_err(|_| ConfigError::Content { name: name.to_owned(), message: message() })
}

/// What is set like a setting of ours and is none.
fn unknown_variables() -> Vec<String> {
    let command = CommandLine::command();
    let known: Vec<&str> =
        command.get_arguments().filter_map(|a| a.get_env()).filter_map(std::ffi::OsStr::to_str).collect();
    let set = std::env::vars_os().filter_map(|(name, _)| name.into_string().ok());
    let strange = set.filter(|n| n.starts_with("MOCK_IDP_") && !known.contains(&n.as_str()));
    strange
        // The tests of this repository have it.
        .filter(|name| name != "MOCK_IDP_REQUIRE_BROWSER")
        .map(|n| {
            format!("`{n}` is no variable of mock-idp{}", did_you_mean::among(&n, known.iter().copied()))
        })
        .collect()
}

/// A bare word in `--log` is a level; anything longer is for `EnvFilter` to judge.
fn check_log(log: &str) -> Result<(), Failure> {
    const LEVELS: [&str; 6] = ["off", "error", "warn", "info", "debug", "trace"];
    let words = log.split(',').map(str::trim).filter(|w| !w.is_empty() && !w.contains(['=', '[']));
    for word in words {
        if !LEVELS.contains(&word.to_ascii_lowercase().as_str()) {
            let hint = did_you_mean::among(word, LEVELS);
            return Err(Failure::usage(format!(
                "--log `{word}` is no level{hint} (known: {})",
                LEVELS.join(", ")
            )));
        }
    }
    Ok(())
}

/// Says whether the configuration is right.
pub fn check(serve: &Serve) -> Result<(), Failure> {
    check_log(&serve.log)?;
    unknown_variables().iter().for_each(|told| output::say(told));
    let wanted = Wanted::read(serve).map_err(Failure::usage)?;
    let (config, surroundings) = wanted.prepare(&file::base())?;
    MockIdp::check(&config, &surroundings).map_err(Failure::usage)?;
    output::print("the configuration is right\n")
}

/// Serves until it is told to stop.
pub fn serve(serve: &Serve) -> Result<(), Failure> {
    start_log(serve)?;
    let runtime = tokio::runtime::Builder::new_multi_thread()
        .enable_all()
        .build()
        .map_err(|e| Failure::plain(format!("cannot start: {e}")))?;
    let outcome = runtime.block_on(async {
        let base = file::base();
        let wanted = Wanted::read(serve).map_err(Failure::usage)?;
        let (config, surroundings) = wanted.prepare(&base)?;
        if let (Some(path), Some(ca)) = (&serve.tls_ca_out, &surroundings.ca) {
            std::fs::write(path, ca.ca_pem())
                .map_err(|e| Failure::usage(format!("cannot write `{}`: {e}", path.display())))?;
        }
        let scheme = config.scheme.clone();
        let idp = MockIdp::start_with(config, surroundings).await.map_err(Failure::usage)?;
        unknown_variables().iter().for_each(|told| tracing::warn!("{told}"));
        for ignored in &wanted.file.ignored {
            tracing::warn!("not done here: {ignored}");
        }
        if let Some(at) = wanted.file.frozen_at {
            idp.freeze_all_at(at);
        }
        // Before anybody is told that it is ready, and may send one.
        let mut signals = Signals::new()?;
        greet(&idp);
        until_stopped(&idp, serve, &base, &scheme, wanted.path.as_deref(), &mut signals).await;
        tracing::info!("stopping; once more ends it at once");
        tokio::select! {
            () = idp.stop(STOPPING) => Ok(()),
            () = signals.end() => Err(Failure::plain("ended before all answers were out".to_owned())),
        }
    });
    // Work that blocks (a new key) would be waited for otherwise.
    runtime.shutdown_background();
    outcome
}

/// The signals that the program listens to.
struct Signals {
    interrupt: Signal,
    terminate: Signal,
    hangup: Signal,
}

impl Signals {
    fn new() -> Result<Self, Failure> {
        let (interrupt, terminate) = (heard(SignalKind::interrupt())?, heard(SignalKind::terminate())?);
        Ok(Self { interrupt, terminate, hangup: heard(SignalKind::hangup())? })
    }

    /// Waits for one that ends the program.
    async fn end(&mut self) {
        ended(&mut self.interrupt, &mut self.terminate).await;
    }
}

async fn ended(interrupt: &mut Signal, terminate: &mut Signal) {
    tokio::select! {
        _ = interrupt.recv() => {}
        _ = terminate.recv() => {}
    }
}

fn heard(kind: SignalKind) -> Result<Signal, Failure> {
    signal(kind).map_err(|e| Failure::plain(format!("cannot wait for signals: {e}")))
}

fn start_log(serve: &Serve) -> Result<(), Failure> {
    check_log(&serve.log)?;
    let filter =
        EnvFilter::try_new(&serve.log).map_err(|e| Failure::usage(format!("--log `{}`: {e}", serve.log)))?;
    let colour =
        std::io::IsTerminal::is_terminal(&std::io::stderr()) && std::env::var_os("NO_COLOR").is_none();
    let log =
        tracing_subscriber::fmt().with_env_filter(filter).with_writer(output::Unbreakable).with_ansi(colour);
    match serve.log_format {
        LogFormat::Text => log.with_target(false).compact().init(),
        LogFormat::Json => log.json().flatten_event(true).init(),
    }
    Ok(())
}

/// Data to stdout: where it is, for who started it with `--port 0`.
fn greet(idp: &MockIdp) {
    let discovery = idp.example_discovery_url().replace("//127.0.0.1:", "//localhost:");
    let control = idp.admin_url().replace("//127.0.0.1:", "//localhost:");
    let issuer = discovery.trim_end_matches("/.well-known/openid-configuration");
    // A profile may want its issuers to end in a certain way; a file may have one path alone.
    let which = match issuer.split_once("/demo") {
        None => String::new(),
        Some((_, "")) => "  (any path is one)".to_owned(),
        Some((_, end)) => format!("  (any path before {end} is one)"),
    };
    let text = format!(
        "mock-idp is ready\n  an issuer   {issuer}{which}\n  discovery   {discovery}\n  control     {control}/\n"
    );
    if let Err(failure) = output::print(&text) {
        tracing::warn!("{}", failure.message);
    }
}

/// The address of a host name; what is published is another matter (`--base-url`).
fn address_of(host: &str) -> Result<String, Failure> {
    let name = host.trim_matches(['[', ']']);
    if name.parse::<std::net::IpAddr>().is_ok() {
        return Ok(name.to_owned());
    }
    let mut addresses = std::net::ToSocketAddrs::to_socket_addrs(&(name, 0)).into_iter().flatten();
    let first = addresses.find(std::net::SocketAddr::is_ipv4).or_else(|| addresses.next());
    let unknown = || {
        Failure::usage(format!(
            "`{host}` is no address of this machine: --host is where to listen; what is published is said by --base-url"
        ))
    };
    first.map(|a| a.ip().to_string()).ok_or_else(unknown)
}

/// The certificate that was asked for.
fn secure(wanted: Option<&TlsFile>, config: &mut Config) -> Result<Option<Arc<tls::ThrowAwayCa>>, Failure> {
    const ALPN: [&[u8]; 2] = [b"h2", b"http/1.1"];
    let Some(wanted) = wanted else { return Ok(None) };
    let (Some(certificate), Some(key)) = (&wanted.certificate, &wanted.key) else {
        if wanted.certificate.is_some() || wanted.key.is_some() {
            return Err(Failure::usage(
                "tls needs both `certificate` and `key`, or neither for a throw-away CA",
            ));
        }
        let ca = Arc::new(tls::ThrowAwayCa::for_names(&wanted.names));
        config.scheme = Scheme::Https(ca.server_config_for_mtls(&ALPN));
        return Ok(Some(ca));
    };
    let unreadable = |path: &Path, e: &dyn std::fmt::Display| {
        Failure::usage(format!("cannot use `{}`: {e}", path.display()))
    };
    let chain = CertificateDer::pem_file_iter(certificate)
        .and_then(Iterator::collect::<Result<Vec<_>, _>>)
        .map_err(|e| unreadable(certificate, &e))?;
    let private = PrivateKeyDer::from_pem_file(key).map_err(|e| unreadable(key, &e))?;
    let server = tls::from_parts(chain, private, &ALPN).map_err(|e| unreadable(certificate, &e))?;
    config.scheme = Scheme::Https(Arc::new(server));
    Ok(None)
}

/// Reloads the file when it changes, and returns when a signal says so.
async fn until_stopped(
    idp: &MockIdp,
    serve: &Serve,
    base: &Config,
    scheme: &Scheme,
    path: Option<&Path>,
    signals: &mut Signals,
) {
    let Signals { interrupt, terminate, hangup } = signals;
    let mut told_of_no_file = false;
    let (tell, mut changes) = mpsc::channel(1);
    let _watcher = path.and_then(|p| watch(p, tell.clone()));
    loop {
        tokio::select! {
            () = ended(interrupt, terminate) => return,
            _ = hangup.recv() => {
                if path.is_none() {
                    if std::mem::replace(&mut told_of_no_file, true) {
                        tracing::debug!("still no configuration file");
                    } else {
                        tracing::warn!("there is no configuration file to read again: start with `--config`");
                    }
                    continue;
                }
            }
            Some(()) = changes.recv() => {
                tokio::time::sleep(SETTLING).await;
                while changes.try_recv().is_ok() {}
            }
        }
        reload(idp, serve, base, scheme);
    }
}

/// Watches the folder of a file: editors put a new file in the place of the old.
fn watch(path: &Path, tell: mpsc::Sender<()>) -> Option<notify::RecommendedWatcher> {
    let name = path.file_name()?.to_owned();
    let folder = path.parent().filter(|p| !p.as_os_str().is_empty()).unwrap_or(Path::new(".")).to_owned();
    let handler = move |event: notify::Result<notify::Event>| {
        let about =
            |e: &notify::Event| !e.kind.is_access() && e.paths.iter().any(|p| p.file_name() == Some(&name));
        if event.is_ok_and(|e| about(&e)) {
            // Full means that a change is waiting already.
            let _ = tell.try_send(());
        }
    };
    let mut watcher = notify::recommended_watcher(handler).ok()?;
    match watcher.watch(&folder, notify::RecursiveMode::NonRecursive) {
        Ok(()) => Some(watcher),
        Err(error) => {
            tracing::warn!("`{}` is not watched ({error}); send SIGHUP to reload it", path.display());
            None
        }
    }
}

/// New settings; what is running goes on, and a file that is wrong changes nothing.
fn reload(idp: &MockIdp, serve: &Serve, base: &Config, scheme: &Scheme) {
    let resolved = Wanted::read(serve).and_then(|wanted| wanted.resolve(base));
    match resolved {
        Ok((mut home, mut issuers)) => {
            home.scheme.clone_from(scheme);
            issuers.values_mut().for_each(|i| i.scheme.clone_from(scheme));
            idp.reconfigure(home, issuers);
            tracing::info!("the configuration is reloaded; port, TLS and faults stay as they were");
        }
        Err(error) => tracing::error!("the configuration stays as it was: {error}"),
    }
}
