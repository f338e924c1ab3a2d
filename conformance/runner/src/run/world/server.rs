//! The Flight SQL server of a world, as a scenario wants it.

use std::collections::BTreeMap;
use std::sync::Arc;
use std::time::Duration;

use flightsql_server as flight;
use mock_idp as idp;
use scenario_model::scenario::{Auth, Location, ServerName, Session, TlsTrouble, TlsVersion};

use super::{AUDIENCE, Mutation, Shared, WorldError, WorldSpec};
use crate::render::SessionFacts;
use crate::run::faults;
use crate::run::translate::{ServerNotes, Translator};

pub(super) async fn start_server(
    shared: &Shared,
    spec: &WorldSpec,
    facts: &BTreeMap<String, SessionFacts>,
    issuers: &BTreeMap<String, idp::MockIdp>,
    audiences: &BTreeMap<String, String>,
    translator: &Arc<Translator>,
    header_canary: &str,
) -> Result<flight::FlightSqlServer, WorldError> {
    let using = |wanted: Auth| {
        let uses = move |s: &Session| s.auth == wanted || s.also.contains(&wanted);
        spec.sessions.iter().filter(move |(s, _)| uses(s)).map(|(s, _)| &facts[&s.id])
    };
    let mut trusted = Vec::new();
    for (name, issuer) in issuers {
        let mut audiences: Vec<String> = vec![AUDIENCE.to_owned(), audiences[name].clone()];
        audiences.extend(spec.sessions.iter().filter_map(|(s, _)| s.oauth.audience.clone()));
        audiences.sort();
        audiences.dedup();
        for audience in audiences {
            trusted.push(flight::TrustedIssuer {
                issuer: issuer.issuer(),
                discovery_url: healthy_discovery(issuer),
                audience,
                algorithms: vec![flight::Algorithm::RS256, flight::Algorithm::ES256],
                leeway: Duration::ZERO,
            });
        }
    }
    let (handshake, more_faults) = faults::handshake(spec.server.handshake);
    let config = flight::Config {
        listeners: facts.keys().cloned().collect(),
        tls: (!spec.server.plaintext).then(|| match spec.server.tls_version {
            Some(version) => shared.ca.server_config_of(protocol(version), &[b"h2"]),
            None => shared.flight_tls.clone(),
        }),
        engine: shared.engine.clone(),
        ways_in: flight::WaysIn {
            anonymous: spec.server.anonymous || using(Auth::None).next().is_some(),
            basic: using(Auth::Basic)
                .map(|f| (f.username.clone(), flight::Secret::new(f.password.clone())))
                .collect(),
            static_tokens: using(Auth::Token).map(|f| flight::Secret::new(f.token.clone())).collect(),
            oauth: trusted,
            handshake,
            defect: Mutation::defect(shared.mutation),
            ..flight::WaysIn::default()
        },
        locations: Vec::new(),
        http2: flight::Http2::default(),
        faults: faults::headers(&spec.server.headers, header_canary)
            .into_iter()
            .chain(faults::of_server(&spec.server.fault))
            .chain(more_faults)
            .collect(),
        rendezvous: spec.server.rendezvous.as_ref().map(faults::rendezvous),
        issuer_tls: shared.issuer_tls.clone(),
        recorder: Mutation::server_recorder(shared.mutation, translator.clone()),
        other_tls: spec
            .server
            .tls
            .map(|trouble| other_tls(shared, trouble))
            .into_iter()
            .flat_map(|tls| on_main(spec).map(move |id| (id.to_owned(), tls.clone())))
            .collect(),
    };
    let notes = ServerNotes { plaintext: spec.server.plaintext };
    translator.add_server(notes);
    Ok(flight::FlightSqlServer::start(config).await?)
}

/// The sessions of the server `main`.
fn on_main(spec: &WorldSpec) -> impl Iterator<Item = &str> {
    spec.sessions.iter().filter(|(s, _)| s.server == ServerName::Main).map(|(s, _)| s.id.as_str())
}

fn other_tls(shared: &Shared, trouble: TlsTrouble) -> flight::ListenerTls {
    let Some(fault) = faults::tls_fault(trouble) else {
        return flight::ListenerTls::With(shared.flight_tls.clone());
    };
    match (fault, shared.ca.faulty(fault, &[b"h2"])) {
        (_, Some(config)) => flight::ListenerTls::With(config),
        (idp::TlsFault::OldVersion, None) => flight::ListenerTls::Answer(&idp::tls::OLD_SERVER_HELLO),
        (_, None) => flight::ListenerTls::Missing,
    }
}

pub(super) fn protocol(version: TlsVersion) -> &'static rustls::SupportedProtocolVersion {
    match version {
        TlsVersion::V12 => &rustls::version::TLS12,
        TlsVersion::V13 => &rustls::version::TLS13,
    }
}

/// Tells the server where its results are; starts the other server if that is where.
pub(super) async fn settle_locations(
    shared: &Shared,
    spec: &WorldSpec,
    server: &flight::FlightSqlServer,
    translator: &Arc<Translator>,
) -> Result<Option<flight::FlightSqlServer>, WorldError> {
    let Some(location) = spec.server.location else { return Ok(None) };
    let other = match location {
        Location::ReuseConnection | Location::OwnAddress => None,
        Location::OtherHost | Location::OwnAddressAsUser | Location::Plaintext => {
            let notes = translator.clone();
            let recorder = Arc::new(move |record: flight::Record| notes.flight_elsewhere(&record));
            let mut config = flight::Config::new(shared.engine.clone(), recorder);
            config.ways_in.anonymous = true;
            config.tls = (location != Location::Plaintext).then(|| shared.flight_tls.clone());
            Some(flight::FlightSqlServer::start(config).await?)
        }
    };
    let there = other.as_ref().and_then(|server| server.port("main")).unwrap_or_default();
    for session in on_main(spec) {
        let here = server.port(session).expect("a listener for each session");
        let own = if spec.server.plaintext { "grpc+tcp" } else { "grpc+tls" };
        let uri = match location {
            Location::ReuseConnection => "arrow-flight-reuse-connection://?".to_owned(),
            Location::OwnAddress => format!("{own}://127.0.0.1:{here}"),
            Location::OtherHost => format!("grpc+tls://localhost:{there}"),
            Location::OwnAddressAsUser => format!("grpc+tls://127.0.0.1:{here}@localhost:{there}"),
            Location::Plaintext => format!("grpc+tcp://127.0.0.1:{there}"),
        };
        server.set_locations(session, vec![uri]);
    }
    Ok(other)
}

/// The document where no fault reaches it.
fn healthy_discovery(issuer: &idp::MockIdp) -> String {
    let back = issuer.back_channel();
    let origin = back.strip_suffix(&path_of(&back)).unwrap_or(&back);
    format!("{origin}{}", path_of(&issuer.discovery_url()))
}

pub(super) fn path_of(url: &str) -> String {
    let after_scheme = url.split_once("://").map_or(url, |(_, rest)| rest);
    after_scheme.find('/').map_or("/", |at| &after_scheme[at..]).to_owned()
}
