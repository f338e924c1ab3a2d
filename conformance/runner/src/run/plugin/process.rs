//! A plugin's process: started, connected to, drained, shut down.

use std::process::Stdio;
use std::sync::atomic::{AtomicI64, Ordering};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use hyper_util::rt::TokioIo;
use plugin_protocol::MAGIC_COOKIE;
use plugin_protocol::go_plugin::Empty;
use plugin_protocol::go_plugin::grpc_controller_client::GrpcControllerClient;
use plugin_protocol::go_plugin::grpc_stdio_client::GrpcStdioClient;
use scenario_model::event::SubjectExit;
use tokio::io::{AsyncRead, BufReader};
use tokio::net::UnixStream;
use tokio::sync::{OnceCell, watch};
use tokio::task::JoinHandle;
use tonic::transport::{Channel, Endpoint};
use tower::service_fn;

use crate::run::log::next_line;
use crate::run::plugin::handshake::{self, Address};
use crate::run::plugin::host::Host;
use crate::run::plugin::tenants::Tenants;
use crate::run::process::{Process, Program, StartError};
use crate::target::Target;

/// How long a plugin may take to close its connection once it was told to end.
const SHUTDOWN_LIMIT: Duration = Duration::from_secs(2);
/// How long our readers may take to see the end of its streams.
const DRAIN_LIMIT: Duration = Duration::from_secs(2);
/// Set by a host that wants what Grafana does not.
const NOT_SET: [&str; 4] =
    ["PLUGIN_MULTIPLEX_GRPC", "PLUGIN_CLIENT_CERT", "PLUGIN_MIN_PORT", "PLUGIN_MAX_PORT"];

/// What a plugin is started from.
#[derive(Debug, Clone)]
pub struct PluginProgram {
    program: Program,
    /// The id in its `plugin.json`.
    pub id: String,
    /// The version in its `plugin.json`.
    pub version: Option<String>,
    host: Option<Arc<Host>>,
}

impl PluginProgram {
    /// The executable of a target, with the environment that Grafana gives it.
    pub fn new(mut program: Program, target: &Target) -> Self {
        let (cookie, value) = MAGIC_COOKIE;
        program.env.push((cookie.to_owned(), value.to_owned()));
        program.env.push(("PLUGIN_PROTOCOL_VERSIONS".to_owned(), plugin_protocol::APP_PROTOCOL.to_string()));
        let (id, version) = match &target.plugin {
            Some(plugin) => (plugin.id.clone(), plugin.version.clone()),
            None => (target.manifest.name.clone(), target.manifest.version.clone()),
        };
        Self { program, id, version, host: None }
    }
}

impl PluginProgram {
    /// All subjects that are started from it are one process.
    pub fn shared(&self) -> Self {
        Self { host: Some(Arc::default()), ..self.clone() }
    }

    /// Each subject is a process of its own.
    pub fn alone(&self) -> Self {
        Self { host: None, ..self.clone() }
    }

    /// What the subjects share, if they do.
    pub fn host(&self) -> Option<&Arc<Host>> {
        self.host.as_ref()
    }
}

/// Whether a plugin can be asked.
#[derive(Debug, Clone)]
pub enum State {
    /// No handshake yet.
    Starting,
    /// It can.
    Ready(Channel),
    /// Its handshake is not one that Grafana could work with.
    Failed(String),
}

/// A running plugin.
#[derive(Debug)]
pub struct PluginProcess {
    /// What it was started from.
    pub program: PluginProgram,
    /// Whose it is.
    pub tenants: Arc<Tenants>,
    /// Whether it can be asked.
    pub state: watch::Receiver<State>,
    /// It has closed its stdout.
    pub gone: watch::Receiver<bool>,
    process: Mutex<Option<Process>>,
    ended: OnceCell<(SubjectExit, u32)>,
    readers: Mutex<Vec<JoinHandle<()>>>,
    next_id: AtomicI64,
    /// Its sockets; removed with it.
    _sockets: tempfile::TempDir,
}

impl PluginProcess {
    /// Starts a plugin; the handshake goes on by itself. Who has entered before misses no line.
    ///
    /// # Errors
    /// If it cannot be executed.
    pub fn start(program: &PluginProgram, tenants: Tenants) -> Result<Arc<Self>, StartError> {
        let sockets = tempfile::tempdir().map_err(StartError::Folder)?;
        let mut started = program.program.clone();
        started.env.push(("PLUGIN_UNIX_SOCKET_DIR".to_owned(), sockets.path().display().to_string()));
        started.without.extend(NOT_SET.map(str::to_owned));
        let (process, pipes) = started.spawn(Stdio::null())?;
        let tenants = Arc::new(tenants);
        let (state_sender, state) = watch::channel(State::Starting);
        let (gone_sender, gone) = watch::channel(false);
        let readers = vec![
            tokio::spawn(read_stdout(pipes.stdout, tenants.clone(), state_sender, gone_sender)),
            tokio::spawn(read_log(pipes.stderr, tenants.clone())),
        ];
        Ok(Arc::new(Self {
            program: program.clone(),
            tenants,
            state,
            gone,
            process: Mutex::new(Some(process)),
            ended: OnceCell::new(),
            readers: Mutex::new(readers),
            next_id: AtomicI64::new(1),
            _sockets: sockets,
        }))
    }

    /// An id that no other data source of this process has.
    pub fn fresh_id(&self) -> i64 {
        self.next_id.fetch_add(1, Ordering::Relaxed)
    }

    /// Tells it to end, waits, ends what is left over, once. How it ended and how many processes it left.
    pub async fn shut_down(&self, limit: Duration) -> (SubjectExit, u32) {
        self.ended.get_or_init(|| self.end(limit)).await.clone()
    }

    async fn end(&self, limit: Duration) -> (SubjectExit, u32) {
        let process = self.process.lock().unwrap_or_else(PoisonError::into_inner).take();
        let mut process = process.expect("it is ended once");
        let ended_before = *self.gone.borrow() || process.has_ended();
        let state = self.state.borrow().clone();
        let limit = match state {
            State::Ready(channel) if !ended_before => {
                let told = async { GrpcControllerClient::new(channel).shutdown(Empty {}).await.is_ok() };
                // The connection may break before the answer: how it ends is what counts.
                let _ = tokio::time::timeout(limit.min(SHUTDOWN_LIMIT), told).await;
                limit
            }
            State::Ready(_) => limit,
            // Who cannot be asked cannot be told; but who is about to end by itself may.
            State::Starting | State::Failed(_) if ended_before => limit,
            State::Starting | State::Failed(_) => Duration::ZERO,
        };
        let ended = process.end(limit).await;
        let left_over = process.living();
        process.kill();
        let readers = std::mem::take(&mut *self.readers.lock().unwrap_or_else(PoisonError::into_inner));
        for mut reader in readers {
            if tokio::time::timeout(DRAIN_LIMIT, &mut reader).await.is_err() {
                reader.abort();
            }
        }
        (ended.fact(!ended_before), left_over)
    }
}

impl Drop for PluginProcess {
    fn drop(&mut self) {
        if let Some(process) = self.process.get_mut().unwrap_or_else(PoisonError::into_inner) {
            process.kill();
        }
        self.readers.get_mut().unwrap_or_else(PoisonError::into_inner).iter().for_each(JoinHandle::abort);
    }
}

async fn read_stdout(
    stdout: impl AsyncRead + Unpin,
    tenants: Arc<Tenants>,
    state: watch::Sender<State>,
    gone: watch::Sender<bool>,
) {
    let mut reader = BufReader::new(stdout);
    if let Some(line) = next_line(&mut reader).await {
        let next = match handshake::read(&String::from_utf8_lossy(&line)) {
            Ok(address) => connect(address).await,
            Err(error) => State::Failed(error.to_string()),
        };
        if let State::Ready(channel) = &next {
            tokio::spawn(drain_stdio(channel.clone(), tenants.clone()));
        }
        state.send_replace(next);
        while let Some(line) = next_line(&mut reader).await {
            tenants.noise(&line, "after-handshake");
        }
    }
    gone.send_replace(true);
}

async fn connect(address: Address) -> State {
    let (name, connected) = match address {
        Address::Unix(path) => {
            let name = path.display().to_string();
            let connector = service_fn(move |_| {
                let path = path.clone();
                async move { Ok::<_, std::io::Error>(TokioIo::new(UnixStream::connect(path).await?)) }
            });
            (name, Endpoint::from_static("http://plugin").connect_with_connector(connector).await)
        }
        Address::Tcp(address) => match Endpoint::from_shared(format!("http://{address}")) {
            Ok(endpoint) => (address, endpoint.connect().await),
            Err(_) => {
                return State::Failed(format!("it says that it listens on `{address}`, which is no address"));
            }
        },
    };
    match connected {
        Ok(channel) => State::Ready(channel),
        Err(error) => {
            let cause =
                std::error::Error::source(&error).map_or_else(|| error.to_string(), ToString::to_string);
            State::Failed(format!(
                "it says that it listens on `{name}`, but cannot be reached there: {cause}"
            ))
        }
    }
}

/// After the handshake go-plugin sends the process's own standard streams over the connection; undrained they block it.
async fn drain_stdio(channel: Channel, tenants: Arc<Tenants>) {
    let Ok(stream) = GrpcStdioClient::new(channel).stream_stdio(()).await else { return };
    let mut stream = stream.into_inner();
    while let Ok(Some(chunk)) = stream.message().await {
        for line in chunk.data.split(|byte| *byte == b'\n').filter(|line| !line.is_empty()) {
            tenants.log(line);
        }
    }
}

async fn read_log(stderr: impl AsyncRead + Unpin, tenants: Arc<Tenants>) {
    let mut reader = BufReader::new(stderr);
    while let Some(line) = next_line(&mut reader).await {
        tenants.log(&line);
    }
}
