//! From what issuer and server recorded to events: names for sessions and tokens, no secrets.

use std::collections::BTreeMap;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Instant;

use flightsql_server as flight;
use mock_idp as idp;
use scenario_model::event::{
    ElsewhereRequest, Fact, IssuerClosed, IssuerContact, IssuerRequest, IssuerToken, IssuerTrouble,
    ResourceRequest, ServerContact, ServerRendezvous, ServerRpc, ServerStreamEnd, ServerTrouble,
};

use scenario_model::scenario::Auth;

use crate::canary::Canaries;
use crate::marker;
use crate::recorder::Recorder;

/// The header whose values are in the events; servers know nothing of it.
const CUSTOM_HEADER: &str = "x-flightcheck";

/// What is known about an issuer.
#[derive(Debug, Clone)]
pub struct IssuerNotes {
    /// The session that alone uses it.
    pub only_session: Option<String>,
    /// Where its discovery document is, by the specification.
    pub discovery_path: String,
    /// It has no TLS.
    pub plaintext: bool,
}

/// What is known about a session.
#[derive(Debug, Clone)]
pub struct SessionNotes {
    /// Its issuer.
    pub issuer: String,
    /// Its method.
    pub auth: Auth,
    /// Its client id.
    pub client_id: String,
    /// The secret that the client was given.
    pub client_secret: String,
    /// The configured scope.
    pub scope: Option<String>,
    /// The configured audience.
    pub audience: Option<String>,
    /// Static token and password.
    pub own_credentials: Vec<String>,
}

/// What is known about the server.
#[derive(Debug, Clone, Copy, Default)]
pub struct ServerNotes {
    /// It has no TLS.
    pub plaintext: bool,
}

/// Turns records into events of one trace.
pub struct Translator {
    recorder: Arc<Recorder>,
    canaries: Arc<Canaries>,
    notes: Mutex<Notes>,
}

#[derive(Default)]
struct Notes {
    issuers: BTreeMap<String, IssuerNotes>,
    sessions: BTreeMap<String, SessionNotes>,
    server: ServerNotes,
    /// What of a user's own credentials comes with requests.
    forwarded: Vec<String>,
    tokens: BTreeMap<String, Issued>,
}

/// What is known about a token.
#[derive(Debug, Clone)]
struct Issued {
    label: String,
    /// The sessions that it was issued to: more than one if they have the same settings.
    owners: Vec<String>,
    /// When it expires.
    until: Instant,
    /// The protected endpoint takes it no more.
    refused: bool,
}

impl Issued {
    fn is_foreign_to(&self, session: &str) -> bool {
        !self.owners.is_empty() && !self.owners.iter().any(|owner| owner == session)
    }
}

impl Notes {
    /// The sessions with the client id that was presented, if any: only those with all that was sent, where there are some.
    fn sessions_of(&self, presented: &idp::Presented, request: &idp::TokenRequest) -> Option<Vec<String>> {
        let same_client = |s: &SessionNotes| s.client_id == presented.client_id && s.issuer == request.issuer;
        let same_settings = |s: &SessionNotes| {
            s.client_secret == presented.secret.expose()
                && s.scope == request.scope
                && s.audience == request.audience
        };
        let clients: Vec<_> = self.sessions.iter().filter(|(_, s)| same_client(s)).collect();
        let exact: Vec<String> =
            clients.iter().filter(|(_, s)| same_settings(s)).map(|(id, _)| (*id).clone()).collect();
        let first = clients.first().map(|(id, _)| vec![(*id).clone()]);
        if exact.is_empty() { first } else { Some(exact) }
    }
}

impl Translator {
    /// For this trace.
    pub fn new(recorder: Arc<Recorder>, canaries: Arc<Canaries>) -> Self {
        Self { recorder, canaries, notes: Mutex::default() }
    }

    /// Makes a session known.
    pub fn add_session(&self, id: &str, notes: SessionNotes) {
        self.notes().sessions.insert(id.to_owned(), notes);
    }

    /// Makes an issuer known.
    pub fn add_issuer(&self, name: &str, notes: IssuerNotes) {
        self.notes().issuers.insert(name.to_owned(), notes);
    }

    /// Makes the server known.
    pub fn add_server(&self, notes: ServerNotes) {
        self.notes().server = notes;
    }

    /// Makes a user's own credentials known.
    pub fn add_forwarded(&self, credentials: Vec<String>) {
        self.notes().forwarded = credentials;
    }

    fn notes(&self) -> std::sync::MutexGuard<'_, Notes> {
        self.notes.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn only_session(&self, issuer: &str) -> Option<String> {
        self.notes().issuers.get(issuer).and_then(|i| i.only_session.clone())
    }

    fn redacted(&self, text: &str) -> String {
        self.canaries.scan(text).text
    }

    /// Records what an issuer, or the origin elsewhere, saw.
    pub fn issuer(&self, record: &idp::Record) {
        let fact = match record {
            idp::Record::Contact { issuer, endpoint, via, .. } => Fact::IssuerContact(IssuerContact {
                session: self.only_session(issuer),
                issuer: issuer.clone(),
                endpoint: endpoint.as_str().to_owned(),
                via: via.as_str().to_owned(),
                tls: "none".to_owned(),
                reason: None,
            }),
            idp::Record::TlsFailed { issuer, endpoint, reason, .. } => Fact::IssuerContact(IssuerContact {
                session: self.only_session(issuer),
                issuer: issuer.clone(),
                endpoint: endpoint.as_str().to_owned(),
                via: idp::Via::Accept.as_str().to_owned(),
                tls: "failed".to_owned(),
                reason: Some(reason.clone()),
            }),
            idp::Record::Request {
                issuer, endpoint, method, path, status, authorization, faults, ..
            } => {
                let expected = self.notes().issuers.get(issuer).is_some_and(|i| i.discovery_path == *path);
                let request = IssuerRequest {
                    session: self.only_session(issuer),
                    issuer: issuer.clone(),
                    method: method.clone(),
                    path: self.redacted(path),
                    expected_path: expected,
                    status: *status,
                    credential: authorization.is_some() || self.canaries.found_in(path),
                    faulted: !faults.is_empty(),
                };
                match endpoint {
                    idp::Endpoint::Discovery => Fact::IssuerDiscovery(request),
                    idp::Endpoint::Jwks => Fact::IssuerJwks(request),
                    _ => Fact::IssuerOther(request),
                }
            }
            idp::Record::Token(request) => Fact::IssuerToken(self.token(request)),
            idp::Record::Fault { issuer, endpoint, fault, .. } => Fact::IssuerFault(IssuerTrouble {
                session: self.only_session(issuer),
                issuer: issuer.clone(),
                endpoint: endpoint.as_str().to_owned(),
                fault: fault.clone(),
            }),
            idp::Record::Closed { issuer, endpoint, by, requests, .. } => Fact::IssuerClosed(IssuerClosed {
                issuer: issuer.clone(),
                endpoint: endpoint.as_str().to_owned(),
                by: by.as_str().to_owned(),
                requests: *requests,
            }),
            idp::Record::Elsewhere { method, path, authorization, body, .. } => {
                let header = authorization.as_ref().map(|a| a.expose()).unwrap_or_default();
                let credential = !header.is_empty()
                    || self.canaries.found_in(header)
                    || self.canaries.found_in(body.expose())
                    || self.canaries.found_in(path);
                Fact::ElsewhereRequest(ElsewhereRequest {
                    method: method.clone(),
                    path: self.redacted(path),
                    credential,
                    protocol: "http".to_owned(),
                })
            }
        };
        self.recorder.record(fact);
    }

    fn token(&self, request: &idp::TokenRequest) -> IssuerToken {
        let only = self.only_session(&request.issuer);
        let presented: Vec<&idp::Presented> = request.basic.iter().chain(&request.post).collect();
        let mut notes = self.notes();
        let by_id = presented.iter().find_map(|p| notes.sessions_of(p, request));
        let owners = by_id.unwrap_or_else(|| only.into_iter().collect());
        let session = owners.first().cloned();
        let known = session.as_ref().and_then(|id| notes.sessions.get(id)).cloned();
        let matching = known.as_ref().is_some_and(|s| {
            !presented.is_empty()
                && presented
                    .iter()
                    .all(|p| p.client_id == s.client_id && p.secret.expose() == s.client_secret)
        });
        let label = request.granted.as_ref().map(|granted| {
            let label = format!("t{}", notes.tokens.len() + 1);
            self.canaries.add_token(granted.token.expose());
            let until = Instant::now() + granted.lifetime;
            let issued = Issued { label: label.clone(), owners: owners.clone(), until, refused: false };
            notes.tokens.insert(granted.token.expose().to_owned(), issued);
            label
        });
        drop(notes);
        let url = format!("{}?{}", request.path, request.query.as_deref().unwrap_or_default());
        let client_auth = match (&request.basic, &request.post) {
            (Some(_), Some(_)) => "basic+post",
            (Some(_), None) => "basic",
            (None, Some(_)) => "post",
            (None, None) => "none",
        };
        IssuerToken {
            issuer: request.issuer.clone(),
            session,
            method: request.method.clone(),
            path: self.redacted(url.trim_end_matches('?')),
            secret_in_url: self.canaries.found_in(&url),
            form: request.content_type.as_deref().is_some_and(|c| {
                c.split(';')
                    .next()
                    .unwrap_or_default()
                    .trim()
                    .eq_ignore_ascii_case("application/x-www-form-urlencoded")
            }),
            grant_type: request.grant_type.clone(),
            scope: request.scope.clone(),
            audience: request.audience.clone(),
            scope_as_configured: known.as_ref().is_some_and(|s| s.scope == request.scope),
            audience_as_configured: known.as_ref().is_some_and(|s| s.audience == request.audience),
            client_auth: client_auth.to_owned(),
            client_auth_methods: presented.len() as u32,
            credentials_match: matching,
            params: request.params.iter().map(|(name, _)| self.redacted(name)).collect(),
            empty_param: request.params.iter().any(|(_, value)| value.is_empty()),
            status: request.status,
            error: request.error.clone(),
            token: label,
            lifetime_s: request.granted.as_ref().map(|g| g.lifetime.as_secs()),
            faulted: !request.faults.is_empty(),
        }
    }

    /// Records what the Flight SQL server saw.
    pub fn server(&self, record: &flight::Record) {
        let fact = match record {
            flight::Record::Contact { listener, .. } => {
                let tls = if self.notes().server.plaintext { "plaintext" } else { "accepted" };
                Fact::ServerContact(ServerContact {
                    session: listener.clone(),
                    tls: tls.to_owned(),
                    reason: None,
                })
            }
            flight::Record::TlsFailed { listener, reason, .. } => Fact::ServerContact(ServerContact {
                session: listener.clone(),
                tls: "failed".to_owned(),
                reason: Some(reason.clone()),
            }),
            flight::Record::Rpc(rpc) => Fact::ServerRpc(self.rpc(rpc)),
            flight::Record::StreamEnd(end) => Fact::ServerStreamEnd(ServerStreamEnd {
                rpc: end.rpc,
                session: end.listener.clone(),
                method: end.method.clone(),
                command: end.command.clone(),
                marker: end.sql.as_deref().and_then(marker::find).map(|(marker, _)| marker),
                rows: end.rows,
                bytes: end.bytes,
                code: end.code.clone(),
                aborted: end.aborted_by_peer,
            }),
            flight::Record::Fault { rpc, listener, method, fault } => Fact::ServerFault(ServerTrouble {
                rpc: *rpc,
                session: listener.clone(),
                method: method.clone(),
                fault: (*fault).to_owned(),
            }),
            flight::Record::Rendezvous { method, parties } => {
                Fact::ServerRendezvous(ServerRendezvous { method: method.clone(), parties: *parties as u32 })
            }
        };
        self.recorder.record(fact);
    }

    /// Tokens that were issued so far are refused at the protected endpoint from now on.
    pub fn refuse_tokens_issued_so_far(&self) {
        self.notes().tokens.values_mut().for_each(|issued| issued.refused = true);
    }

    /// What is known of a request to the protected endpoint; its status is not decided yet.
    pub fn resource(&self, session: &str, parts: &http::request::Parts, body: &str) -> ResourceRequest {
        let values: Vec<&str> = parts
            .headers
            .get_all(http::header::AUTHORIZATION)
            .iter()
            .filter_map(|v| v.to_str().ok())
            .collect();
        let first = values.first().map(|value| value.split_once(' ').unwrap_or((value, "")));
        let notes = self.notes();
        let known = first.and_then(|(scheme, token)| {
            let is_bearer = scheme.eq_ignore_ascii_case("bearer");
            notes.tokens.get(token.trim()).filter(|_| is_bearer).cloned()
        });
        drop(notes);
        let remaining = known.as_ref().map(|known| {
            let left = known.until.saturating_duration_since(Instant::now()).as_millis() as i64;
            left - Instant::now().saturating_duration_since(known.until).as_millis() as i64
        });
        let state = match (&known, remaining) {
            (None, _) if values.is_empty() => "none",
            (None, _) => "unknown",
            (Some(known), _) if known.refused => "refused",
            (Some(_), Some(left)) if left <= 0 => "expired",
            (Some(_), _) => "valid",
        };
        ResourceRequest {
            session: session.to_owned(),
            method: parts.method.to_string(),
            path: self.redacted(&parts.uri.to_string()),
            marker: marker::find(body).map(|(marker, _)| marker),
            authorization_values: values.len() as u32,
            scheme: first.map_or("none", |(scheme, _)| scheme).to_owned(),
            token_state: state.to_owned(),
            foreign: known.as_ref().is_some_and(|known| known.is_foreign_to(session)),
            token: known.map(|known| known.label),
            remaining_ms: remaining,
            status: 0,
        }
    }

    /// Records what the protected endpoint saw and answered.
    pub fn resource_answered(&self, request: ResourceRequest) {
        self.recorder.record(Fact::ResourceRequest(request));
    }

    /// Records what a Flight server that nobody configured saw.
    pub fn flight_elsewhere(&self, record: &flight::Record) {
        if let flight::Record::Rpc(rpc) = record {
            self.recorder.record(Fact::ElsewhereRequest(ElsewhereRequest {
                method: "POST".to_owned(),
                path: format!("/arrow.flight.protocol.FlightService/{}", rpc.method),
                credential: !rpc.authorization.is_empty(),
                protocol: "flight".to_owned(),
            }));
        }
    }

    fn rpc(&self, rpc: &flight::Rpc) -> ServerRpc {
        let values = &rpc.authorization;
        let first = values.first();
        let notes = self.notes();
        let known = first.and_then(|p| notes.tokens.get(p.credential.expose()).cloned());
        let foreign = known.as_ref().is_some_and(|known| known.is_foreign_to(&rpc.listener))
            || first.is_some_and(|p| {
                let strangers = notes.sessions.iter().filter(|(id, _)| **id != rpc.listener);
                strangers.flat_map(|(_, s)| &s.own_credentials).any(|c| c == p.credential.expose())
            });
        let chosen = notes.sessions.get(&rpc.listener).map(|session| session.auth);
        let forwarded = forwarded_headers(rpc, &notes.forwarded);
        drop(notes);
        let custom: Vec<&String> = rpc
            .headers
            .iter()
            .filter(|(name, _)| name == CUSTOM_HEADER)
            .flat_map(|(_, values)| values)
            .collect();
        let header = |name: &str| {
            rpc.attribution
                .iter()
                .find(|(n, _)| n == name)
                .map_or(&[] as &[String], |(_, values)| values.as_slice())
        };
        let one = |name: &str| header(name).first().map(|v| decoded(v));
        let found = rpc.sql.as_deref().and_then(marker::find);
        let meant_for = match &found {
            Some((_, Some(_))) => "somebody",
            Some((_, None)) => "nobody",
            None => "unknown",
        };
        let meant = found.as_ref().and_then(|(_, user)| user.as_deref());
        let schemes: Vec<&str> = values.iter().map(|p| p.scheme.as_str()).collect();
        ServerRpc {
            rpc: rpc.id,
            session: rpc.listener.clone(),
            method: rpc.method.clone(),
            command: rpc.command.clone(),
            marker: found.as_ref().map(|(marker, _)| marker.clone()),
            meant_for: meant_for.to_owned(),
            marker_email: meant.map(marker::email),
            marker_name: meant.map(marker::name),
            marker_user: meant.map(str::to_owned),
            authorization_values: values.len() as u32,
            scheme: if schemes.is_empty() { "none".to_owned() } else { schemes.join("+") },
            token_state: first.map_or("none", |p| state(p.state)).to_owned(),
            token: known.map(|known| known.label),
            foreign,
            remaining_ms: rpc.remaining_ms,
            has_user: !header("x-user-id").is_empty(),
            user: one("x-user-id"),
            user_values: header("x-user-id").len() as u32,
            user_email: one("x-user-email"),
            user_name: one("x-user-name"),
            org: one("x-org-id"),
            client_type: one("x-client-type"),
            attribution_headers: ["x-user-id", "x-user-email", "x-user-name", "x-org-id"]
                .iter()
                .map(|name| header(name).len() as u32)
                .sum(),
            principal: rpc.principal.as_deref().map(|p| self.redacted(p)),
            refused: rpc.refused.clone(),
            as_chosen: chosen == method(first.map(|p| p.state)),
            custom: custom.first().map(|value| self.redacted(value)),
            custom_values: custom.len() as u32,
            client_type_values: header("x-client-type").len() as u32,
            most_values: rpc.attribution.iter().map(|(_, values)| values.len() as u32).max().unwrap_or(0),
            forwarded_headers: forwarded,
        }
    }
}

/// How many values of headers hold one of these.
fn forwarded_headers(rpc: &flight::Rpc, credentials: &[String]) -> u32 {
    let plain = rpc.headers.iter().flat_map(|(_, values)| values.iter().map(String::as_str));
    let secret = rpc.authorization.iter().map(|p| p.credential.expose());
    let values = plain.chain(secret).chain(rpc.cookies.iter().map(flight::Secret::expose));
    values.filter(|value| credentials.iter().any(|c| value.contains(c.as_str()))).count() as u32
}

fn state(state: flight::TokenState) -> &'static str {
    use flight::TokenState as S;
    match state {
        S::Valid => "valid",
        S::Expired => "expired",
        S::Refused => "refused",
        S::Unknown => "unknown",
        S::Malformed => "malformed",
        S::StaticValid => "static",
        S::SessionValid => "session",
        S::BasicValid => "basic",
        S::BasicInvalid => "unknown",
    }
}

/// The method to which a credential belongs, if it is one of the world's.
fn method(state: Option<flight::TokenState>) -> Option<Auth> {
    use flight::TokenState as S;
    match state {
        None => Some(Auth::None),
        Some(S::Valid | S::Expired | S::Refused) => Some(Auth::Oauth),
        Some(S::StaticValid) => Some(Auth::Token),
        Some(S::SessionValid | S::BasicValid) => Some(Auth::Basic),
        Some(S::Unknown | S::Malformed | S::BasicInvalid) => None,
    }
}

fn decoded(value: &str) -> String {
    percent_encoding::percent_decode_str(value).decode_utf8_lossy().into_owned()
}
