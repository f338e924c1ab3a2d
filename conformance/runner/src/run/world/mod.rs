//! Issuers and server of one permutation: started from a scenario, changed by its steps, stopped when dropped.

mod issuer;
mod mutation;
mod server;

use std::collections::BTreeMap;
use std::sync::Arc;
use std::time::Duration;

use flightsql_server as flight;
use mock_idp as idp;
use scenario_model::call::SubjectKind;
use scenario_model::scenario::{Issuer, IssuerFault, IssuerName, Scenario, Session, WorldSet};

use crate::canary::{Canaries, CanaryMaker};
use crate::recorder::Recorder;
use crate::render::{CaFile, SessionFacts};
use crate::run::faults::{self, Filling};
use crate::run::resource::Resource;
use crate::run::translate::{IssuerNotes, SessionNotes, Translator};
use issuer::issuer_config;
pub use mutation::Mutation;
use server::{path_of, settle_locations, start_server};

/// What all worlds of a process share, because it costs time to make.
pub struct Shared {
    /// The throw-away CA.
    pub ca: Arc<idp::tls::ThrowAwayCa>,
    /// Its certificate, for subjects.
    pub ca_file: CaFile,
    /// Signing keys.
    pub keys: Arc<idp::KeyPool>,
    /// SQL engine and tables.
    pub engine: flight::Engine,
    /// A certificate of the CA, for servers under test.
    pub leaf: LeafFiles,
    /// What is wrong with each world on purpose.
    pub mutation: Option<Mutation>,
    idp_tls: Arc<rustls::ServerConfig>,
    flight_tls: Arc<rustls::ServerConfig>,
    /// The server asks issuers at their plain back channel.
    issuer_tls: Arc<rustls::ClientConfig>,
}

/// Where a certificate for 127.0.0.1 and its key are (PEM).
#[derive(Debug, Clone)]
pub struct LeafFiles {
    /// The chain: `{cert.pem}`.
    pub cert: String,
    /// The private key: `{key.pem}`.
    pub key: String,
}

impl Shared {
    /// Makes CA, keys and tables; the CA's certificate is written to `ca_path`, a server's certificate and key beside it.
    ///
    /// # Errors
    /// If the file cannot be written.
    pub fn new(ca_path: &std::path::Path) -> Result<Self, std::io::Error> {
        let ca = idp::tls::ThrowAwayCa::new();
        std::fs::write(ca_path, ca.ca_pem())?;
        let (cert, key) = (ca_path.with_extension("leaf.pem"), ca_path.with_extension("key.pem"));
        std::fs::write(&cert, ca.leaf_pem())?;
        std::fs::write(&key, ca.key_pem())?;
        let idp_tls = ca.server_config(&[b"h2", b"http/1.1"]);
        let flight_tls = ca.server_config(&[b"h2"]);
        Ok(Self {
            ca_file: CaFile { path: ca_path.display().to_string(), text: ca.ca_pem().to_owned() },
            ca: Arc::new(ca),
            keys: Arc::new(idp::KeyPool::new()),
            engine: flight::Engine::demo(),
            leaf: LeafFiles { cert: cert.display().to_string(), key: key.display().to_string() },
            mutation: None,
            idp_tls,
            flight_tls,
            issuer_tls: flight::issuer_tls::trust_nobody(),
        })
    }
}

/// What a world is made from: a scenario's, or the calibration's with an issuer for each lifetime.
#[derive(Clone)]
pub struct WorldSpec {
    /// Issuers by name.
    pub issuers: BTreeMap<String, (Issuer, u64)>,
    /// Sessions, each with the name of its issuer.
    pub sessions: Vec<(Session, String)>,
    /// The server.
    pub server: scenario_model::scenario::Server,
    /// The protected HTTP endpoint, where sessions send to one instead of to the server.
    pub resource: Option<scenario_model::scenario::Resource>,
}

impl WorldSpec {
    /// The world of a scenario, for a subject with this refresh skew.
    pub fn of(scenario: &Scenario, skew_upper: f64) -> Self {
        let mut sessions = scenario.session.clone();
        let plain_a = scenario.step.iter().any(|s| s.session == "a") && !sessions.iter().any(|s| s.id == "a");
        if plain_a || sessions.is_empty() {
            sessions.insert(0, Session::plain("a"));
        }
        let lifetime = |issuer: &Issuer| issuer.expires_in.map_or(3600, |l| l.resolve(skew_upper));
        let issuers = [IssuerName::Main, IssuerName::Healthy]
            .into_iter()
            .filter(|name| sessions.iter().any(|s| s.issuer == *name))
            .map(|name| match name {
                IssuerName::Main => {
                    let issuer = scenario.world.issuer.clone();
                    let seconds = lifetime(&issuer);
                    (name.as_str().to_owned(), (issuer, seconds))
                }
                IssuerName::Healthy => (name.as_str().to_owned(), (Issuer::default(), 3600)),
            })
            .collect();
        let sessions = sessions
            .into_iter()
            .map(|s| {
                let issuer = s.issuer.as_str().to_owned();
                (Session { oauth: s.oauth.at(&scenario.world.issuer), ..s }, issuer)
            })
            .collect();
        let resource = (scenario.subject == SubjectKind::HttpClient).then(|| scenario.world.resource.clone());
        Self { issuers, sessions, server: scenario.world.server.clone(), resource }
    }
}

impl WorldSpec {
    /// The world of a server under test: the issuer `main`, and nobody who uses it.
    pub fn of_server(scenario: &Scenario) -> Self {
        let issuer = scenario.world.issuer.clone();
        let lifetime = issuer.expires_in.map_or(3600, |lifetime| lifetime.resolve(0.0));
        let issuers = BTreeMap::from([(IssuerName::Main.as_str().to_owned(), (issuer, lifetime))]);
        Self { issuers, sessions: Vec::new(), server: scenario.world.server.clone(), resource: None }
    }
}

/// A running world.
pub struct World {
    issuers: BTreeMap<String, idp::MockIdp>,
    server: flight::FlightSqlServer,
    elsewhere: [idp::OtherOrigin; 2],
    flight_elsewhere: Option<flight::FlightSqlServer>,
    resource: Option<Resource>,
    translator: Arc<Translator>,
    /// The user's own token and cookie, which come with a request.
    pub forwarded: Forwarded,
    issuer_settings: BTreeMap<String, Issuer>,
    mutation: Option<Mutation>,
    main_secret: String,
    token_lifetime: Duration,
    /// What each session is given.
    pub sessions: BTreeMap<String, (Session, SessionFacts)>,
    /// Secrets of this world.
    pub canaries: Arc<Canaries>,
}

/// What of a user's own credentials comes with a request, as Grafana passes it on.
#[derive(Debug, Clone)]
pub struct Forwarded {
    /// A token of the user's own login.
    pub token: String,
    /// The value of a session cookie.
    pub cookie: String,
}

/// Why a world did not start: always our own trouble.
#[derive(Debug, thiserror::Error)]
pub enum WorldError {
    /// An issuer.
    #[error("the issuer did not start: {0}")]
    Issuer(#[from] idp::StartError),
    /// The server.
    #[error("the Flight SQL server did not start: {0}")]
    Server(#[from] flight::StartError),
    /// An issuer that is like a provider.
    #[error("the issuer cannot be like its profile: {0}")]
    Profile(#[from] idp::file::ConfigError),
}

/// No step waits longer for a token's expiry.
const LONGEST_WAIT: Duration = Duration::from_secs(20);

/// Appended to an issuer (OpenID Connect Discovery 1.0 §4).
const WELL_KNOWN: &str = "/.well-known/openid-configuration";

/// The audience that issuers put into tokens unless asked, and that the server wants.
pub const AUDIENCE: &str = "https://flight.example.test";

impl World {
    /// Starts issuers and server.
    ///
    /// # Errors
    /// If something cannot listen.
    pub async fn start(
        shared: &Shared,
        spec: &WorldSpec,
        recorder: &Arc<Recorder>,
        maker: &mut CanaryMaker,
    ) -> Result<Self, WorldError> {
        let mutated = shared.mutation.map(|mutation| mutation.of(spec.clone()));
        let spec = mutated.as_ref().unwrap_or(spec);
        let canaries = Arc::new(Canaries::default());
        let mut facts: BTreeMap<String, SessionFacts> = BTreeMap::new();
        for (session, _) in &spec.sessions {
            let like = session.client_of.as_ref().map(|id| &facts[id]);
            let new = secrets_for(session, like, maker, &canaries);
            facts.insert(session.id.clone(), new);
        }
        let forwarded = Forwarded { token: maker.make("fcu-"), cookie: maker.make("fcc-") };
        canaries.add("user_token", &forwarded.token);
        canaries.add("user_cookie", &forwarded.cookie);
        let header_canary = maker.make("fch-");
        canaries.add("server_header", &header_canary);
        let translator = Arc::new(Translator::new(recorder.clone(), canaries.clone()));
        translator.add_forwarded(vec![forwarded.token.clone(), forwarded.cookie.clone()]);
        for (session, issuer) in &spec.sessions {
            translator.add_session(&session.id, session_notes(session, issuer, &facts[&session.id]));
        }
        let recorder = || -> idp::Recorder {
            let notes = translator.clone();
            Arc::new(move |record| notes.issuer(&record))
        };
        let only_http = |(issuer, _): &(Issuer, u64)| issuer.scheme == scenario_model::scenario::Scheme::Http;
        // A server under test has the issuer's trust, and no session.
        let main_scheme = match spec.sessions.is_empty() && spec.issuers.values().all(only_http) {
            true => idp::Scheme::Http,
            false => idp::Scheme::Https(shared.idp_tls.clone()),
        };
        let (name, keys) = ("elsewhere".to_owned(), shared.keys.clone());
        let elsewhere = [
            idp::OtherOrigin::start_with_keys(main_scheme, name.clone(), recorder(), keys, idp::Alg::Rs256)
                .await?,
            idp::OtherOrigin::start(idp::Scheme::Http, name, recorder()).await?,
        ];
        let mut issuers = BTreeMap::new();
        let mut audiences = BTreeMap::new();
        for (name, (settings, lifetime)) in &spec.issuers {
            let config =
                issuer_config(shared, name, settings, *lifetime, spec, &facts, &translator, &elsewhere)?;
            audiences.insert(name.clone(), config.token.audience.clone());
            let slash = if config.trailing_slash { "/" } else { "" };
            let surroundings = idp::Surroundings { ca: Some(shared.ca.clone()), ..Default::default() };
            let plaintext = matches!(config.scheme, idp::Scheme::Http);
            let issuer = idp::MockIdp::start_with(config, surroundings).await?;
            let discovered = issuer.discovery_url();
            let base = discovered.strip_suffix(WELL_KNOWN).expect("discovery is at the well-known path");
            let configured = format!("{base}{slash}");
            if faults::name_the_issuer(settings) {
                let secret = first_secret(spec, name, &facts);
                issuer.set_faults(faults::of_issuer(settings, &filling(&elsewhere, &issuer, secret)));
            }
            if settings.clock_ahead != 0 {
                let offset = Some(f64::from(settings.clock_ahead));
                issuer.change_clock(idp::ClockChange { offset, ..idp::ClockChange::default() });
            }
            let using: Vec<&(Session, String)> = spec.sessions.iter().filter(|(_, i)| i == name).collect();
            translator.add_issuer(
                name,
                IssuerNotes {
                    only_session: (using.len() == 1).then(|| using[0].0.id.clone()),
                    discovery_path: path_of(&issuer.discovery_url()),
                    plaintext,
                },
            );
            for (session, _) in using {
                let facts = facts.get_mut(&session.id).expect("every session has facts");
                facts.issuer.clone_from(&configured);
                facts.token_url = issuer.token_url();
            }
            issuers.insert(name.clone(), issuer);
        }
        let server =
            start_server(shared, spec, &facts, &issuers, &audiences, &translator, &header_canary).await?;
        let flight_elsewhere = settle_locations(shared, spec, &server, &translator).await?;
        let resource = match &spec.resource {
            Some(settings) => {
                let scheme = idp::Scheme::Https(shared.idp_tls.clone());
                let sessions = spec.sessions.iter().map(|(session, _)| session.id.as_str());
                Some(Resource::start(&scheme, &settings.fault, sessions, &translator).await?)
            }
            None => None,
        };
        for (id, facts) in &mut facts {
            let port = resource.as_ref().map_or_else(|| server.port(id), |resource| resource.port(id));
            facts.server_port = port.expect("a listener for each session");
            facts.plaintext = spec.server.plaintext;
        }
        let sessions = spec
            .sessions
            .iter()
            .map(|(session, _)| (session.id.clone(), (session.clone(), facts[&session.id].clone())))
            .collect();
        let issuer_settings =
            spec.issuers.iter().map(|(name, (settings, _))| (name.clone(), settings.clone())).collect();
        let main = spec.issuers.get(IssuerName::Main.as_str()).or_else(|| spec.issuers.values().next());
        let token_lifetime = Duration::from_secs(main.map_or(3600, |(_, lifetime)| *lifetime));
        let main_secret = first_secret(spec, IssuerName::Main.as_str(), &facts);
        Ok(Self {
            issuers,
            server,
            elsewhere,
            flight_elsewhere,
            resource,
            translator,
            forwarded,
            issuer_settings,
            mutation: shared.mutation,
            main_secret,
            token_lifetime,
            sessions,
            canaries,
        })
    }

    /// Lifetime of the tokens of the issuer `main`, or of the only one, as far as a step waits for it: a subject with a
    /// long skew has renewed its token long before.
    pub fn awaited_lifetime(&self) -> Duration {
        self.token_lifetime.min(LONGEST_WAIT)
    }

    /// The issuer `main`.
    pub fn main_issuer(&self) -> &idp::MockIdp {
        &self.issuers[IssuerName::Main.as_str()]
    }

    /// Base URL of the origin that nobody configured.
    pub fn elsewhere(&self) -> String {
        self.elsewhere[0].url().trim_end_matches('/').to_owned()
    }

    /// Changes the world, at once.
    pub fn change(&self, set: &WorldSet) {
        if self.mutation.is_some_and(Mutation::stays_as_it_is) {
            return;
        }
        if set.refuse_tokens {
            self.server.refuse_tokens_issued_so_far();
            self.translator.refuse_tokens_issued_so_far();
        }
        if let Some(faults) = &set.server_fault {
            self.server.set_faults(faults::of_server(faults));
        }
        if let (Some(resource), Some(faults)) = (&self.resource, &set.resource_fault) {
            resource.set_faults(faults);
        }
        let Some(main) = self.issuers.get(IssuerName::Main.as_str()) else { return };
        let mut settings = self.issuer_settings[IssuerName::Main.as_str()].clone();
        let touched = set.stall.is_some() || set.fault.is_some() || set.issuer_fault.is_some();
        if set.stall.is_some() {
            settings.stall = None;
        }
        if set.fault.is_some() {
            settings.fault.clear();
        }
        if let Some(faults) = &set.issuer_fault {
            settings.fault.clone_from(faults);
        }
        if touched {
            main.set_faults(faults::of_issuer(
                &settings,
                &filling(&self.elsewhere, main, self.main_secret.clone()),
            ));
        }
        if set.rotate_keys {
            main.rotate_keys();
        }
        // A kept connection would never meet what is wrong with new ones.
        let of_connections = |fault: &IssuerFault| {
            fault.refused || fault.reset || fault.connection.is_some() || fault.tls.is_some()
        };
        if set.hang_up || set.issuer_fault.iter().flatten().any(of_connections) {
            main.hang_up();
        }
        if set.withdraw_keys {
            main.withdraw_old_keys();
        }
    }

    /// Stops everything and waits for it.
    pub async fn stop(self) {
        self.server.shutdown().await;
        if let Some(server) = self.flight_elsewhere {
            server.shutdown().await;
        }
        for issuer in self.issuers.into_values() {
            issuer.shutdown().await;
        }
    }
}

/// Secrets of a session; with `like` it is the same client as that one.
fn secrets_for(
    session: &Session,
    like: Option<&SessionFacts>,
    maker: &mut CanaryMaker,
    canaries: &Canaries,
) -> SessionFacts {
    let fill = |template: &Option<String>, canary: String| match template {
        Some(template) => template.replace("{canary}", &canary),
        None => canary,
    };
    let mut facts = SessionFacts {
        client_id: fill(&session.oauth.client_id, maker.make(&format!("fc-client-{}-", session.id))),
        client_secret: fill(&session.oauth.client_secret, maker.make("fcs-")),
        username: maker.make("fc-user-"),
        password: fill(&session.basic.password, maker.make("fcp-")),
        token: maker.make("fct-"),
        ..SessionFacts::default()
    };
    facts.registered_secret = match session.oauth.wrong_secret {
        true => format!("another-{}", facts.client_secret),
        false => facts.client_secret.clone(),
    };
    if let Some(like) = like {
        facts.client_id.clone_from(&like.client_id);
        facts.registered_secret.clone_from(&like.registered_secret);
        if !session.oauth.wrong_secret {
            facts.client_secret.clone_from(&like.registered_secret);
        }
    }
    canaries.add("client_secret", &facts.client_secret);
    canaries.add_basic("client_secret", &facts.client_id, &facts.client_secret);
    canaries.add("password", &facts.password);
    canaries.add_basic("password", &facts.username, &facts.password);
    canaries.add("token", &facts.token);
    facts
}

/// A blank setting is none.
fn set(setting: &Option<String>) -> Option<String> {
    setting.clone().filter(|text| !text.trim().is_empty())
}

/// What faults of an issuer may name, once it is started.
fn filling(elsewhere: &[idp::OtherOrigin; 2], issuer: &idp::MockIdp, secret: String) -> Filling {
    Filling { issuer: issuer.issuer(), ..early_filling(elsewhere, secret) }
}

/// The same while the issuer has no address yet.
fn early_filling([elsewhere, plain]: &[idp::OtherOrigin; 2], secret: String) -> Filling {
    Filling { issuer: String::new(), elsewhere: elsewhere.url(), plain_elsewhere: plain.url(), secret }
}

fn session_notes(session: &Session, issuer: &str, facts: &SessionFacts) -> SessionNotes {
    SessionNotes {
        issuer: issuer.to_owned(),
        auth: session.auth,
        client_id: facts.client_id.clone(),
        client_secret: facts.client_secret.clone(),
        scope: set(&session.oauth.scope),
        audience: set(&session.oauth.audience),
        own_credentials: vec![facts.token.clone(), facts.password.clone()],
    }
}

/// The client secret of the first session of an issuer.
fn first_secret(spec: &WorldSpec, issuer: &str, facts: &BTreeMap<String, SessionFacts>) -> String {
    let first = spec.sessions.iter().find(|(_, name)| name == issuer);
    first.map(|(session, _)| facts[&session.id].client_secret.clone()).unwrap_or_default()
}
