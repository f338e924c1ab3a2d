//! From a request to an answer: whose endpoint it is, what it says, what faults make of it, and the record.

use std::path::{Component, Path};
use std::sync::Arc;
use std::sync::atomic::Ordering;
use std::time::{Duration, Instant};

use axum::body::{Body, Bytes};
use axum::response::Response;
use http::request::Parts;
use http::{Method, Request, StatusCode, header};
use http_body_util::BodyExt as _;

use crate::answer::{Answer, OAuthError};
use crate::call::{BODY_LIMIT, BODY_TOO_LONG, Call, Peer};
use crate::clock::true_time;
use crate::config::{Admin, Config, ErrorStyle};
use crate::endpoint::Endpoint;
use crate::fault::distort::{self, Delivery, Here};
use crate::fault::{Hits, Moment, catalogue};
use crate::host::Host;
use crate::issuer::Issuer;
use crate::log::{Exchange, Kept, header_lines};
use crate::place::{Place, by_another_name};
use crate::record::{Record, TokenRequest};
use crate::secret::Secret;
use crate::{
    admin, authorization, device, discovery, end_session, introspection, pushed, registration, revocation,
    token, userinfo,
};

/// A body has to be here by then.
const BODY_TIME: Duration = Duration::from_secs(60);

/// So much of a body that is too long is read and thrown away.
const MOST_DISCARDED: usize = 16 * 1024 * 1024;

/// What a listener is for.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Role {
    /// For clients: faulty if asked, recorded.
    Front,
    /// For resource servers: never faulty, never recorded.
    Back,
    /// For whoever controls the mock.
    Admin,
}

/// A request and everything that is known when it is answered.
pub(crate) struct Asked<'a> {
    pub(crate) host: &'a Host,
    pub(crate) issuer: &'a Issuer,
    pub(crate) config: &'a Config,
    pub(crate) place: &'a Place,
    pub(crate) call: &'a Call,
    pub(crate) hits: &'a Hits,
}

impl Asked<'_> {
    /// An error in the issuer's words.
    pub(crate) fn refusal(&self, error: &OAuthError) -> Answer {
        error.answer(self.config.token.errors, self.issuer.clock.seconds())
    }
}

/// Answers a request; `None` closes the connection without an answer.
pub(crate) async fn serve(
    host: Arc<Host>,
    role: Role,
    peer: Peer,
    request: Request<Body>,
) -> Option<Response> {
    peer.requests.fetch_add(1, Ordering::Relaxed);
    let arrived = Instant::now();
    let (parts, body) = request.into_parts();
    let path = parts.uri.path();
    let is_admin = path == "/_mock" || path.starts_with("/_mock/");
    let admin = host.template().admin.clone();
    if is_admin && (role == Role::Admin || (role == Role::Front && admin != Admin::Off)) {
        let body = read(body).await;
        return Some(admin::answer(host, &admin, &peer, &parts, body).await);
    }
    if path == "/healthz" && admin != Admin::Off {
        return Some(Answer::text(StatusCode::OK, "ok\n").into_response());
    }
    if role == Role::Admin && path == "/" {
        return Some(Answer::redirect(StatusCode::SEE_OTHER, "/_mock/").into_response());
    }
    if let Some(name) = path.strip_prefix("/static/")
        && let Some(folder) = &host.template().static_files
    {
        return Some(static_file(folder, name).await.into_response());
    }
    let read = read(body).await;
    let (body, too_long) = (read.clone().unwrap_or_default(), read.is_none());
    if path.starts_with("/_elsewhere") && admin != Admin::Off {
        let call = Call::new(Endpoint::Elsewhere, parts, body, too_long, peer);
        let answer = elsewhere(&host, &call);
        let (status, hits) = (Some(answer.status), &Hits::default());
        Exchanged { host: &host, issuer: None, call: &call, answer: &answer, status, hits, arrived }.note();
        return Some(answer.into_response());
    }
    match host.route(path) {
        Some((issuer, endpoint)) => {
            let call = Call::new(endpoint, parts, body, too_long, peer);
            at_issuer(&host, role, &issuer, &call, arrived).await
        }
        None => {
            let call = Call::new(Endpoint::Other, parts, body, too_long, peer);
            Some(nowhere(&host, role, &call, arrived))
        }
    }
}

/// Answers at a path that is no endpoint's.
fn nowhere(host: &Host, role: Role, call: &Call, arrived: Instant) -> Response {
    let has_page = host.template().admin != Admin::Off;
    let answer = if call.path == "/" && call.method == Method::GET && has_page {
        Answer::redirect(StatusCode::SEE_OTHER, "/_mock/")
    } else {
        Answer::text(StatusCode::NOT_FOUND, "no endpoint is here\n")
    };
    if role == Role::Front {
        let (status, hits) = (Some(answer.status), &Hits::default());
        let exchanged = Exchanged { host, issuer: None, call, answer: &answer, status, hits, arrived };
        exchanged.tell(&host.home(), StoodIn::No);
        exchanged.note();
    }
    answer.into_response()
}

/// A file for an own login page; nothing outside of its folder.
async fn static_file(folder: &Path, name: &str) -> Answer {
    let missing = || Answer::text(StatusCode::NOT_FOUND, "no such file\n");
    let name = percent_encoding::percent_decode_str(name).decode_utf8_lossy().into_owned();
    let plain = Path::new(&name).components().all(|c| matches!(c, Component::Normal(_)));
    if name.is_empty() || !plain {
        return missing();
    }
    let Ok(bytes) = tokio::fs::read(folder.join(&name)).await else { return missing() };
    let kind = match Path::new(&name).extension().and_then(|e| e.to_str()) {
        Some("css") => "text/css; charset=utf-8",
        Some("js") => "text/javascript; charset=utf-8",
        Some("html") => "text/html; charset=utf-8",
        Some("svg") => "image/svg+xml",
        Some("png") => "image/png",
        Some("jpg" | "jpeg") => "image/jpeg",
        Some("woff2") => "font/woff2",
        _ => "application/octet-stream",
    };
    Answer::typed(StatusCode::OK, kind, bytes)
}

/// The body, unless it is too long or does not come.
async fn read(body: Body) -> Option<Bytes> {
    tokio::time::timeout(BODY_TIME, within_limit(body)).await.ok()?
}

/// What is too long is read to its end all the same, within reason: who is still writing would not see the answer.
async fn within_limit(mut body: Body) -> Option<Bytes> {
    let (mut whole, mut length) = (Vec::new(), 0_usize);
    while let Some(frame) = body.frame().await {
        let Ok(data) = frame.ok()?.into_data() else { continue };
        length = length.saturating_add(data.len());
        if length > MOST_DISCARDED {
            return None;
        }
        if length <= BODY_LIMIT {
            whole.extend_from_slice(&data);
        }
    }
    (length <= BODY_LIMIT).then(|| whole.into())
}

async fn at_issuer(
    host: &Arc<Host>,
    role: Role,
    issuer: &Arc<Issuer>,
    call: &Call,
    arrived: Instant,
) -> Option<Response> {
    let config = issuer.config();
    let place = host.place(issuer, &config, call.named_host.as_deref());
    if role == Role::Back {
        let asked = Asked { host, issuer, config: &config, place: &place, call, hits: &Hits::default() };
        return Some(back_channel(&asked).await.into_response());
    }
    if call.method == Method::OPTIONS && call.headers.contains_key(header::ORIGIN) {
        return Some(preflight(call).into_response());
    }
    let client = call.claimed_client();
    let hits = host.faults.hit(&Moment {
        endpoint: call.endpoint,
        issuer: &issuer.root,
        client: client.as_deref(),
        grant: call.param("grant_type"),
        now: issuer.clock.now(),
    });
    for hit in &hits.0 {
        (config.recorder)(Record::Fault {
            issuer: host.label(issuer),
            endpoint: call.endpoint,
            fault: catalogue::name_of(&hit.kind),
            peer_port: call.peer.port,
        });
    }
    let asked = Asked { host, issuer, config: &config, place: &place, call, hits: &hits };
    let instead = if hits.0.is_empty() { None } else { stand_in(&asked) };
    let stood_in = if instead.is_some() { StoodIn::Yes } else { StoodIn::No };
    let mut answer = match instead {
        Some(answer) => answer,
        None => right_answer(&asked).await,
    };
    allow_origin(call, &mut answer);
    let delivery = distort::distort(&hits, &mut answer, call);
    for hit in &hits.0 {
        if let Some((barrier, at_most)) = &hit.barrier {
            barrier.wait(*at_most).await;
        }
        if let crate::fault::FaultKind::Delay { ms, jitter_ms } = hit.kind {
            let jitter = hit.random.checked_rem(jitter_ms.saturating_add(1)).unwrap_or(0);
            tokio::time::sleep(Duration::from_millis(ms.saturating_add(jitter))).await;
        }
    }
    let status = match delivery {
        Delivery::Silence | Delivery::Close | Delivery::Stalled(_) => None,
        Delivery::Whole
        | Delivery::Slow(_)
        | Delivery::SlowBody(_)
        | Delivery::Reset(_)
        | Delivery::Truncated(_)
        | Delivery::Endless => Some(answer.status),
    };
    let exchanged =
        Exchanged { host, issuer: Some(issuer), call, answer: &answer, status, hits: &hits, arrived };
    exchanged.tell(issuer, stood_in);
    exchanged.note();
    distort::deliver(answer, delivery, call).await
}

/// A fault's answer instead of the endpoint's.
fn stand_in(asked: &Asked<'_>) -> Option<Answer> {
    let own = asked.place.url(asked.call.endpoint, asked.config);
    let origin = origin_of(&own).to_owned();
    let here = Here { other_origin: by_another_name(&origin), origin, now: asked.issuer.clock.now() };
    distort::replaced(asked.hits, asked.call, &here)
}

async fn right_answer(asked: &Asked<'_>) -> Answer {
    if asked.call.too_long {
        let mut error = OAuthError::invalid_request(BODY_TOO_LONG);
        error.status = StatusCode::PAYLOAD_TOO_LARGE;
        return asked.refusal(&error);
    }
    match asked.call.endpoint {
        Endpoint::Discovery => only_get(asked, discovery::document),
        Endpoint::Jwks if is_get(asked.call) => discovery::key_set(asked).await,
        Endpoint::Jwks => OAuthError::only("GET").answer(ErrorStyle::Standard, 0),
        Endpoint::Token => token::answer(asked).await,
        Endpoint::Authorization => authorization::answer(asked).await,
        Endpoint::Userinfo => userinfo::answer(asked),
        Endpoint::Introspection => introspection::answer(asked),
        Endpoint::Revocation => revocation::answer(asked),
        Endpoint::DeviceAuthorization => device::authorize(asked),
        Endpoint::DeviceVerification => device::page(asked),
        Endpoint::PushedAuthorization => pushed::answer(asked),
        Endpoint::Registration => registration::answer(asked),
        Endpoint::EndSession => end_session::answer(asked),
        Endpoint::Elsewhere | Endpoint::Other | Endpoint::Any => {
            Answer::text(StatusCode::NOT_FOUND, "no endpoint is here\n")
        }
    }
}

fn is_get(call: &Call) -> bool {
    matches!(call.method, Method::GET | Method::HEAD)
}

fn only_get(asked: &Asked<'_>, answer: fn(&Asked<'_>) -> Answer) -> Answer {
    if is_get(asked.call) { answer(asked) } else { OAuthError::only("GET").answer(ErrorStyle::Standard, 0) }
}

/// What resource servers see: discovery, key set and introspection, always whole.
async fn back_channel(asked: &Asked<'_>) -> Answer {
    match asked.call.endpoint {
        Endpoint::Discovery => discovery::back_channel(asked),
        Endpoint::Jwks => discovery::key_set(asked).await,
        Endpoint::Introspection => introspection::trusted(asked),
        _ => Answer::text(StatusCode::NOT_FOUND, "only discovery, key set and introspection are here\n"),
    }
}

fn origin_of(url: &str) -> &str {
    let after_scheme = url.find("://").map_or(0, |at| at + 3);
    url[after_scheme..].find('/').map_or(url, |at| &url[..after_scheme + at])
}

/// Pages of other origins may call what they can (Fetch standard, CORS); only the pages are a browser's own business.
fn allow_origin(call: &Call, answer: &mut Answer) {
    if call.headers.contains_key(header::ORIGIN) && !call.endpoint.is_front() {
        answer.set(header::ACCESS_CONTROL_ALLOW_ORIGIN, "*");
        answer.set(header::ACCESS_CONTROL_EXPOSE_HEADERS, "www-authenticate, dpop-nonce, retry-after");
    }
}

fn preflight(call: &Call) -> Answer {
    let mut answer = Answer::empty(StatusCode::NO_CONTENT);
    allow_origin(call, &mut answer);
    answer.set(header::ACCESS_CONTROL_ALLOW_METHODS, "GET, POST, PUT, DELETE");
    answer.set(header::ACCESS_CONTROL_ALLOW_HEADERS, "authorization, content-type, dpop");
    answer.set(header::ACCESS_CONTROL_MAX_AGE, "600");
    answer
}

/// Where redirects of faults lead: it takes everything and answers with something like a token.
fn elsewhere(host: &Host, call: &Call) -> Answer {
    let config = host.home().config();
    if call.path.ends_with("/jwks.json") {
        let key = config.keys.key(config.token.alg, crate::key_pool::STRANGER);
        return Answer::json(StatusCode::OK, &serde_json::json!({ "keys": [key.jwk("stranger")] }));
    }
    if call.path.ends_with("/certificate.pem") {
        let key = config.keys.key(config.token.alg, crate::key_pool::STRANGER);
        let pem = key.certificate_pem().unwrap_or_default();
        return Answer::typed(StatusCode::OK, "application/pem-certificate-chain", pem);
    }
    let token = serde_json::json!({ "access_token": "a-token-of-elsewhere", "token_type": "Bearer", "expires_in": 3600 });
    Answer::json(StatusCode::OK, &token).not_stored()
}

/// A request, its answer, and what there is to say about them.
struct Exchanged<'a> {
    host: &'a Host,
    issuer: Option<&'a Issuer>,
    call: &'a Call,
    answer: &'a Answer,
    /// The status that goes out; none if nothing does, or not all of it.
    status: Option<StatusCode>,
    hits: &'a Hits,
    arrived: Instant,
}

impl Exchanged<'_> {
    /// Tells the one who embeds us. `stood_in`: the answer is a fault's, not the endpoint's.
    fn tell(&self, issuer: &Issuer, stood_in: StoodIn) {
        let (call, answer) = (self.call, self.answer);
        let status = self.status.map(|s| s.as_u16());
        let faults = self.hits.0.iter().map(|hit| catalogue::name_of(&hit.kind)).collect();
        let record = if call.endpoint == Endpoint::Token {
            let param = |name: &str| call.params.iter().find(|(n, _)| n == name).map(|(_, v)| v.clone());
            Record::Token(Box::new(TokenRequest {
                issuer: self.host.label(issuer),
                method: call.method.to_string(),
                path: call.path.clone(),
                query: call.query.clone(),
                content_type: call.header(&header::CONTENT_TYPE),
                basic: call.basic.clone(),
                post: call.post.clone(),
                params: call.params.iter().map(|(name, value)| (name.clone(), shown(name, value))).collect(),
                grant_type: param("grant_type"),
                scope: param("scope"),
                audience: param("audience"),
                status,
                error: answer.error.clone().filter(|_| stood_in == StoodIn::No),
                granted: answer.granted.clone().filter(|_| status == Some(200)),
                faults,
                arrived: self.arrived,
                peer_port: call.peer.port,
            }))
        } else {
            Record::Request {
                issuer: self.host.label(issuer),
                endpoint: call.endpoint,
                method: call.method.to_string(),
                path: call.target(),
                peer_port: call.peer.port,
                status,
                authorization: call.header(&header::AUTHORIZATION).map(Secret::new),
                faults,
            }
        };
        (issuer.config().recorder)(record);
    }

    /// Puts it into the record, the metrics and the log.
    fn note(&self) {
        let Exchanged { host, issuer, call, answer, hits, .. } = self;
        let took = self.arrived.elapsed();
        let faults: Vec<String> =
            hits.0.iter().map(|h| format!("{} {}", h.id, catalogue::name_of(&h.kind))).collect();
        for hit in &hits.0 {
            host.metrics.fault(catalogue::name_of(&hit.kind));
        }
        let status = self.status.map(|s| s.as_u16());
        let endpoint = call.endpoint.as_str();
        host.metrics.request(endpoint, status, took.as_secs_f64());
        let exchange = Exchange {
            id: 0,
            at: true_time() - took.as_secs_f64(),
            took_ms: took.as_secs_f64() * 1000.0,
            issuer: issuer.map(|i| if i.root.is_empty() { "/".to_owned() } else { i.root.clone() }),
            endpoint: endpoint.to_owned(),
            method: call.method.to_string(),
            path: call.target(),
            request_headers: Vec::new(),
            request_body: String::from_utf8_lossy(&call.body).into_owned(),
            client: answer.client.clone().or_else(|| call.claimed_client()),
            client_auth: call.method_of_authentication().to_owned(),
            grant: call.param("grant_type").map(str::to_owned),
            peer_port: call.peer.port,
            status,
            error: answer.error.clone(),
            response_headers: Vec::new(),
            response_body: String::from_utf8_lossy(&answer.body).into_owned(),
            faults,
        };
        let hit = (!exchange.faults.is_empty()).then(|| exchange.faults.join(", "));
        let auth = Some(exchange.client_auth.as_str()).filter(|a| *a != "none");
        tracing::info!(
            target: "mock_idp",
            status,
            ms = (exchange.took_ms * 10.0).round() / 10.0,
            issuer = exchange.issuer.as_deref(),
            endpoint,
            client = exchange.client.as_deref(),
            auth,
            grant = exchange.grant.as_deref(),
            error = exchange.error.as_deref(),
            faults = hit.as_deref(),
            "{} {}",
            exchange.method,
            call.path,
        );
        let (request_headers, response_headers) =
            (header_lines(&call.headers), header_lines(&answer.headers));
        host.log.add(Kept { exchange, request_headers, response_headers });
    }
}

/// Whether a fault's answer stands instead of the endpoint's.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum StoodIn {
    Yes,
    No,
}

/// Parameters whose value is not recorded.
const SECRET_PARAMS: [&str; 4] = ["client_secret", "client_assertion", "password", "refresh_token"];

fn shown(name: &str, value: &str) -> String {
    if SECRET_PARAMS.contains(&name) && !value.is_empty() {
        "[redacted]".to_owned()
    } else {
        value.to_owned()
    }
}

/// The origin that a redirect leads to recorded a request: the embedding program is told with credentials and all.
pub(crate) fn elsewhere_record(name: &str, parts: &Parts, body: &Bytes) -> Record {
    let authorization = parts.headers.get(header::AUTHORIZATION);
    Record::Elsewhere {
        issuer: name.to_owned(),
        method: parts.method.to_string(),
        path: parts.uri.to_string(),
        authorization: authorization.map(|a| Secret::new(String::from_utf8_lossy(a.as_bytes()))),
        body: Secret::new(String::from_utf8_lossy(body)),
    }
}
