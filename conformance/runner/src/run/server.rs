//! A server under test: started for one permutation, asked where it listens, stopped.

use std::process::Stdio;
use std::sync::Arc;
use std::time::Duration;

use flightsql_server as flight;
use scenario_model::event::{Fact, SubjectExit, SubjectText};
use scenario_model::manifest::ServerUnderTest;
use tokio::io::{AsyncRead, BufReader};
use tokio::net::{TcpListener, TcpStream};
use tokio::task::JoinHandle;

use crate::canary::Canaries;
use crate::recorder::Recorder;
use crate::run::log::{Noise, next_line, read_log};
use crate::run::process::{Process, Program, record_end};
use crate::run::world::{AUDIENCE, Shared, World};

/// How long a server may take to stop after SIGTERM; after that it is killed.
const STOP_LIMIT: Duration = Duration::from_secs(12);
/// How often a port is tried.
const TRY: Duration = Duration::from_millis(20);

/// How to start a server under test.
#[derive(Debug, Clone)]
pub enum ServerLaunch {
    /// As a process of its own; its arguments and environment still have their placeholders.
    Process(Program, ServerUnderTest),
    /// The reference server, as a task of this process.
    Inside(Option<flight::Defect>),
}

/// A server under test that runs.
pub struct Server {
    /// `https://127.0.0.1:port`, or `http://`.
    pub url: String,
    body: Body,
}

enum Body {
    Process(Process, Vec<JoinHandle<()>>),
    Inside(flight::FlightSqlServer),
}

impl Server {
    /// Starts a server that trusts the issuer `main` of the world, and waits until it listens.
    ///
    /// # Errors
    /// Why it does not: the server's fault, in words.
    pub async fn start(
        launch: &ServerLaunch,
        shared: &Shared,
        world: &World,
        recorder: &Arc<Recorder>,
    ) -> Result<Self, String> {
        match launch {
            ServerLaunch::Process(program, settings) => {
                process(program, settings, shared, world, recorder).await
            }
            ServerLaunch::Inside(defect) => inside(*defect, shared, world).await,
        }
    }

    /// Asks it to stop, waits for that, ends what is left over, and records how it ended.
    pub async fn finish(self, recorder: &Recorder) {
        let clean = SubjectExit { code: Some(0), signal: None, asked: true, ended_by_us: false, clean: true };
        match self.body {
            Body::Inside(server) => {
                server.shutdown().await;
                record_end(recorder, clean, 0);
            }
            Body::Process(mut process, readers) => {
                let ended_before = process.has_ended();
                process.terminate();
                let ended = process.end(STOP_LIMIT).await;
                let processes = process.living();
                process.kill();
                for reader in readers {
                    let _ = tokio::time::timeout(Duration::from_secs(2), reader).await;
                }
                let exit = ended.fact(!ended_before);
                // Who has no handler for SIGTERM ends by it.
                let clean = exit.asked && (exit.code == Some(0) || exit.signal == Some(SIGTERM));
                record_end(recorder, SubjectExit { clean, ..exit }, processes);
            }
        }
    }
}

const SIGTERM: i32 = 15;

async fn inside(defect: Option<flight::Defect>, shared: &Shared, world: &World) -> Result<Server, String> {
    let mut config = flight::Config::new(shared.engine.clone(), Arc::new(|_| {}));
    let issuer = world.main_issuer();
    config.ways_in = flight::WaysIn {
        oauth: vec![flight::TrustedIssuer {
            issuer: issuer.issuer(),
            discovery_url: issuer.discovery_url(),
            audience: AUDIENCE.to_owned(),
            algorithms: vec![flight::Algorithm::RS256, flight::Algorithm::ES256],
            leeway: Duration::ZERO,
        }],
        defect,
        ..flight::WaysIn::default()
    };
    let server = flight::FlightSqlServer::start(config).await.map_err(|e| e.to_string())?;
    let port = server.port("main").expect("the listener was asked for");
    Ok(Server { url: format!("http://127.0.0.1:{port}"), body: Body::Inside(server) })
}

async fn process(
    program: &Program,
    settings: &ServerUnderTest,
    shared: &Shared,
    world: &World,
    recorder: &Arc<Recorder>,
) -> Result<Server, String> {
    let port = free_port().await.map_err(|e| format!("no port is free: {e}"))?;
    let fill = |text: &String| filled(text, shared, world, port);
    let program = Program {
        args: program.args.iter().map(fill).collect(),
        env: program.env.iter().map(|(name, value)| (name.clone(), fill(value))).collect(),
        ..program.clone()
    };
    let (mut process, pipes) = program.spawn(Stdio::null()).map_err(|e| e.to_string())?;
    let canaries: &Arc<Canaries> = &world.canaries;
    let log = tokio::spawn(read_log(pipes.stderr, Noise::new(recorder, canaries)));
    let mut stdout = BufReader::new(pipes.stdout);
    let limit = Duration::from_secs_f64(settings.start.0);
    let url = if settings.address == "stdout" {
        tokio::time::timeout(limit, told(&mut stdout)).await
    } else {
        let address = settings.address.replace("{port}", &port.to_string());
        tokio::time::timeout(limit, listening(&address, port, &mut process)).await
    };
    let url = match url {
        Ok(Ok(url)) => url,
        Ok(Err(why)) => return Err(failed(process, recorder, log, why).await),
        Err(_) => {
            let why = format!("it did not listen within {}", settings.start);
            return Err(failed(process, recorder, log, why).await);
        }
    };
    let rest = tokio::spawn(read_log(stdout, Noise::new(recorder, canaries)));
    Ok(Server { url, body: Body::Process(process, vec![log, rest]) })
}

/// A server that did not come up: its end is recorded, too.
async fn failed(mut process: Process, recorder: &Recorder, log: JoinHandle<()>, why: String) -> String {
    let ended_before = process.has_ended();
    process.kill();
    let ended = process.end(Duration::from_secs(5)).await;
    let _ = tokio::time::timeout(Duration::from_secs(2), log).await;
    recorder.record(Fact::SubjectStderr(SubjectText {
        text: format!("(the server did not start: {why})"),
        reason: "log".to_owned(),
        leak: false,
        leaks: Vec::new(),
        user: None,
    }));
    record_end(recorder, ended.fact(!ended_before), 0);
    why
}

fn filled(text: &str, shared: &Shared, world: &World, port: u16) -> String {
    let issuer = world.main_issuer();
    text.replace("{issuer}", &issuer.issuer())
        .replace("{discovery}", &issuer.discovery_url())
        .replace("{jwks}", &issuer.jwks_url())
        .replace("{audience}", AUDIENCE)
        .replace("{cert.pem}", &shared.leaf.cert)
        .replace("{key.pem}", &shared.leaf.key)
        .replace("{port}", &port.to_string())
}

async fn free_port() -> std::io::Result<u16> {
    let listener = TcpListener::bind(("127.0.0.1", 0)).await?;
    Ok(listener.local_addr()?.port())
}

async fn listening(address: &str, port: u16, process: &mut Process) -> Result<String, String> {
    loop {
        if process.has_ended() {
            return Err("it ended before it listened".to_owned());
        }
        if TcpStream::connect(("127.0.0.1", port)).await.is_ok() {
            return address_in(address).ok_or_else(|| format!("`{address}` is no address"));
        }
        tokio::time::sleep(TRY).await;
    }
}

/// The first address that it prints.
async fn told(stdout: &mut BufReader<impl AsyncRead + Unpin>) -> Result<String, String> {
    while let Some(line) = next_line(stdout).await {
        if let Some(url) = address_in(&String::from_utf8_lossy(&line)) {
            return Ok(url);
        }
    }
    Err("it closed its stdout without saying where it listens".to_owned())
}

/// The first address in a text, as a URL of HTTP/2.
fn address_in(text: &str) -> Option<String> {
    const SCHEMES: [(&str, &str); 5] = [
        ("grpc+tls://", "https"),
        ("grpc+tcp://", "http"),
        ("grpc://", "http"),
        ("https://", "https"),
        ("http://", "http"),
    ];
    let at = |scheme: &str| text.find(scheme).map(|at| at + scheme.len());
    let (scheme, from) = SCHEMES.iter().find_map(|(grpc, http)| Some((http, at(grpc)?)))?;
    let authority = text[from..].split(|c: char| c.is_whitespace() || "/\"',;)".contains(c)).next()?;
    let (host, port) = authority.rsplit_once(':')?;
    let port: u16 = port.parse().ok()?;
    // Who listens everywhere listens here.
    let host = if ["0.0.0.0", "[::]", "localhost"].contains(&host) { "127.0.0.1" } else { host };
    Some(format!("{scheme}://{host}:{port}"))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn check(text: &str, expected: Option<&str>) {
        assert_eq!(address_in(text).as_deref(), expected, "{text}");
    }

    #[test]
    fn an_address_is_found_in_what_servers_print() {
        check("grpc+tls://127.0.0.1:31337", Some("https://127.0.0.1:31337"));
        check("listening on grpc://0.0.0.0:5, ready", Some("http://127.0.0.1:5"));
        check("INFO Serving https://[::]:443/", Some("https://127.0.0.1:443"));
        check("port 5", None);
        check("grpc://nowhere", None);
    }
}
