//! The control API under `/_mock`: faults, clocks, keys, issuers, tokens, the record.

mod control;
mod guard;
pub mod openapi;
mod record;
mod tokens;

use std::sync::Arc;

use axum::body::Bytes;
use axum::response::Response;
use http::request::Parts;
use http::{Method, StatusCode, header};
use serde::Serialize;
use serde::de::DeserializeOwned;
use serde_json::{Value, json};

use crate::answer::Answer;
use crate::call::{BODY_TOO_LONG, Peer, form, host_of};
use crate::config::Admin;
use crate::host::Host;
use crate::issuer::Issuer;

const PAGE: &str = include_str!("../page/control.html");

/// What is wrong with a request to the control API.
pub(crate) struct Refused {
    status: StatusCode,
    message: String,
}

impl Refused {
    fn bad(message: impl Into<String>) -> Self {
        Self { status: StatusCode::BAD_REQUEST, message: message.into() }
    }

    fn unknown(message: impl Into<String>) -> Self {
        Self { status: StatusCode::NOT_FOUND, message: message.into() }
    }
}

/// A request to the control API.
pub(crate) struct Order<'a> {
    pub(crate) host: &'a Arc<Host>,
    pub(crate) query: Vec<(String, String)>,
    pub(crate) body: &'a Bytes,
    /// The host that the request named.
    pub(crate) named: Option<String>,
    /// It came by a port that no fault closes.
    pub(crate) by_admin_port: bool,
}

impl Order<'_> {
    /// A parameter of the query.
    fn param(&self, name: &str) -> Option<&str> {
        self.query.iter().find(|(n, _)| n == name).map(|(_, v)| v.as_str())
    }

    fn flag(&self, name: &str) -> bool {
        matches!(self.param(name), Some("true" | "1" | ""))
    }

    /// The body is a list, which our types would take for an object without names.
    fn has_list(&self) -> bool {
        self.body.trim_ascii_start().starts_with(b"[")
    }

    /// The JSON of the body; an empty one is an empty object.
    fn json<T: DeserializeOwned>(&self) -> Result<T, Refused> {
        if self.has_list() {
            return Err(Refused::bad("the body has to be a JSON object"));
        }
        let text: &[u8] = if self.body.trim_ascii().is_empty() { b"{}" } else { self.body };
        let mut json = serde_json::Deserializer::from_slice(text);
        serde_path_to_error::deserialize(&mut json)
            .map_err(|e| Refused::bad(crate::file::with_guess(&e.to_string())))
    }

    /// The issuer of a path; the one at home if none is named.
    fn issuer(&self, named: Option<&str>) -> Result<Arc<Issuer>, Refused> {
        let Some(path) = named else { return Ok(self.host.home()) };
        let root = path.trim_end_matches('/');
        self.host.issuer_or_made(root).ok_or_else(|| Refused::unknown(format!("there is no issuer `{path}`")))
    }
}

type Outcome = Result<Answer, Refused>;

fn ok(value: &impl Serialize) -> Outcome {
    let value = serde_json::to_value(value).map_err(|e| Refused::bad(e.to_string()))?;
    Ok(Answer::json(StatusCode::OK, &value).not_stored())
}

fn created(value: &Value) -> Outcome {
    Ok(Answer::json(StatusCode::CREATED, value).not_stored())
}

/// Answers a request to the control API.
pub(crate) async fn answer(
    host: Arc<Host>,
    admin: &Admin,
    peer: &Peer,
    parts: &Parts,
    body: Option<Bytes>,
) -> Response {
    let path = parts.uri.path().trim_start_matches("/_mock").trim_matches('/');
    if path.is_empty() && parts.method == Method::GET {
        return page(parts);
    }
    if let Err(refused) = guard::admit(admin, peer, parts) {
        return refusal(&refused);
    }
    let Some(body) = body else {
        let message = BODY_TOO_LONG.to_owned();
        return refusal(&Refused { status: StatusCode::PAYLOAD_TOO_LARGE, message });
    };
    let query = form(parts.uri.query().unwrap_or_default().as_bytes());
    let named = host_of(&parts.headers, &parts.uri).filter(|_| !peer.by_admin_port);
    let order = Order { host: &host, query, body: &body, named, by_admin_port: peer.by_admin_port };
    if (&parts.method, path) == (&Method::GET, "record/stream") {
        return record::stream(&order);
    }
    let segments: Vec<&str> = path.split('/').collect();
    match dispatch(&order, &parts.method, &segments).await {
        Ok(answer) => answer.into_response(),
        Err(refused) => refusal(&refused),
    }
}

async fn dispatch(order: &Order<'_>, method: &Method, path: &[&str]) -> Outcome {
    match (method.as_str(), path) {
        ("GET", ["openapi.json"]) => ok(&openapi::document()),
        ("GET", ["status"]) => control::status(order),
        ("GET", ["faults", "catalogue"]) => ok(&*crate::fault::catalogue::ALL),
        ("GET", ["faults"]) => ok(&order.host.faults.list()),
        ("POST", ["faults"]) => control::set_fault(order),
        ("DELETE", ["faults"]) => control::clear_faults(order),
        ("DELETE", ["faults", id]) => control::remove_fault(order, id),
        ("POST", ["faults", id, "release"]) => control::release(order, id),
        ("POST", ["barriers"]) => control::set_barrier(order),
        ("GET", ["clock"]) => ok(&order.issuer(order.param("issuer"))?.clock.reading()),
        ("POST", ["clock"]) => control::change_clock(order),
        ("GET", ["keys"]) => control::keys(order),
        ("POST", ["keys"]) => control::change_keys(order),
        ("GET", ["issuers"]) => control::issuers(order),
        ("POST", ["issuers"]) => control::throw_away(order),
        ("DELETE", ["issuers"]) => control::remove_issuer(order),
        ("GET", ["profiles"]) => control::profiles(),
        ("POST", ["tokens"]) => tokens::mint(order).await,
        ("POST", ["tokens", "revoke"]) => tokens::revoke(order),
        ("POST", ["tokens", "inspect"]) => tokens::inspect(order).await,
        ("GET", ["record"]) => record::list(order),
        ("DELETE", ["record"]) => record::clear(order),
        ("POST", ["record", "take"]) => record::take(order).await,
        ("POST", ["reset"]) => control::reset(order),
        ("GET", ["metrics"]) => {
            let text = order.host.metrics.text();
            Ok(Answer::typed(
                StatusCode::OK,
                "application/openmetrics-text; version=1.0.0; charset=utf-8",
                text,
            ))
        }
        ("GET", ["ca.pem"]) => match &order.host.ca_pem {
            Some(pem) => Ok(Answer::typed(StatusCode::OK, "application/x-pem-file", pem.clone())),
            None => Err(Refused::unknown("there is no throw-away CA: start with `--tls`")),
        },
        (_, known) => Err(unknown(method, known)),
    }
}

/// Not found, or found with another method.
fn unknown(method: &Method, path: &[&str]) -> Refused {
    let methods = openapi::methods_of(path);
    if methods.is_empty() {
        return Refused::unknown("nothing is here; `GET /_mock/openapi.json` tells what is");
    }
    let status = StatusCode::METHOD_NOT_ALLOWED;
    Refused { status, message: format!("{method} does not go here; {} does", methods.join(", ")) }
}

fn refusal(refused: &Refused) -> Response {
    let mut answer = Answer::json(refused.status, &json!({ "error": refused.message })).not_stored();
    if refused.status == StatusCode::UNAUTHORIZED {
        answer.set(header::WWW_AUTHENTICATE, "Bearer realm=\"mock-idp\"");
    }
    answer.into_response()
}

/// The page: it holds nothing that needs a token, and asks for one before it shows anything.
fn page(parts: &Parts) -> Response {
    if !parts.uri.path().ends_with('/') {
        return Answer::redirect(StatusCode::PERMANENT_REDIRECT, "/_mock/").into_response();
    }
    let mut answer = Answer::html(StatusCode::OK, PAGE.to_owned());
    answer.set(
        header::CONTENT_SECURITY_POLICY,
        "default-src 'none'; style-src 'unsafe-inline'; script-src 'unsafe-inline'; connect-src 'self'; frame-ancestors 'none'",
    );
    answer.into_response()
}
