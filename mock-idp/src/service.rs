//! The endpoints as an HTTP service, and what a fault makes of their answers.

use std::sync::Arc;
use std::sync::atomic::Ordering;
use std::time::Duration;

use axum::body::{Body, Bytes};
use axum::extract::Request;
use axum::response::Response;
use axum::routing::any;
use axum::{Extension, Router};
use futures::StreamExt as _;
use http::{HeaderName, HeaderValue, StatusCode, header};
use serde_json::Value;

use crate::fault::{Endpoint, FaultKind, Stall};
use crate::issuer::State;
use crate::listener::Peer;
use crate::record::Record;
use crate::{discovery, token};

/// Appended to the issuer (OpenID Connect Discovery 1.0 §4).
pub(crate) const OPENID_CONFIGURATION: &str = "/.well-known/openid-configuration";
/// Put before the issuer's path (RFC 8414 §3.1).
const OAUTH_METADATA: &str = "/.well-known/oauth-authorization-server";
pub(crate) const TOKEN: &str = "/oauth2/token";
pub(crate) const JWKS: &str = "/jwks";
pub(crate) const INTROSPECT: &str = "/introspect";

/// What clients see.
pub(crate) fn front(state: &Arc<State>) -> Router {
    let path = &state.config.path;
    let with = |handler: fn(Arc<State>, Peer, Request) -> Answer| {
        let state = state.clone();
        any(move |Extension(peer): Extension<Peer>, request: Request| {
            peer.requests.fetch_add(1, Ordering::Relaxed);
            handler(state, peer, request)
        })
    };
    Router::new()
        .route(
            &format!("{path}{OPENID_CONFIGURATION}"),
            with(|s, p, r| Box::pin(document(s, p, r, Endpoint::Discovery))),
        )
        .route(
            &format!("{OAUTH_METADATA}{path}"),
            with(|s, p, r| Box::pin(document(s, p, r, Endpoint::Discovery))),
        )
        .route(&format!("{path}{JWKS}"), with(|s, p, r| Box::pin(document(s, p, r, Endpoint::Jwks))))
        .route(&format!("{path}{TOKEN}"), with(|s, p, r| Box::pin(token::answer(s, p, r))))
        .route(&format!("{path}{INTROSPECT}"), with(|s, _, r| Box::pin(token::introspect(s, r))))
        .fallback_service(with(|s, p, r| Box::pin(document(s, p, r, Endpoint::Other))))
}

/// What resource servers see: never faulty, never recorded.
pub(crate) fn back(state: &Arc<State>) -> Router {
    let (documents, keys, tokens) = (state.clone(), state.clone(), state.clone());
    Router::new()
        .route(
            OPENID_CONFIGURATION,
            any(async move || json(StatusCode::OK, &discovery::back_channel(&documents))),
        )
        .route(JWKS, any(async move || json(StatusCode::OK, &discovery::key_set(&keys))))
        .route(INTROSPECT, any(async move |request: Request| token::introspect(tokens, request).await))
}

type Answer = std::pin::Pin<Box<dyn Future<Output = Response> + Send>>;

/// Answers with a document, or with nothing at an address that is no endpoint.
async fn document(state: Arc<State>, peer: Peer, request: Request, endpoint: Endpoint) -> Response {
    let method = request.method().to_string();
    let path =
        request.uri().path_and_query().map_or_else(|| request.uri().path().to_owned(), ToString::to_string);
    let right = match endpoint {
        Endpoint::Discovery => json(StatusCode::OK, &discovery::document(&state)),
        Endpoint::Jwks => json(StatusCode::OK, &discovery::key_set(&state)),
        Endpoint::Token | Endpoint::Other | Endpoint::Any => {
            text(StatusCode::NOT_FOUND, "no endpoint is here\n")
        }
    };
    let right = if matches!(request.method().as_str(), "GET" | "HEAD") || endpoint == Endpoint::Other {
        right
    } else {
        text(StatusCode::METHOD_NOT_ALLOWED, "only GET is answered here\n")
    };
    let record = |status| {
        (state.config.recorder)(Record::Request {
            issuer: state.config.name.clone(),
            endpoint,
            method: method.clone(),
            path: path.clone(),
            peer_port: peer.port,
            status,
        });
    };
    let fault = if endpoint == Endpoint::Other { None } else { state.faults.hit(endpoint) };
    distorted(right, fault, &format!("{method} {path}"), |response| {
        record(response.map(|r| r.status().as_u16()));
    })
    .await
}

/// The answer that a fault makes of the right one. `tell` learns it (or that there is none) before it is sent.
pub(crate) async fn distorted(
    right: Response,
    fault: Option<FaultKind>,
    request: &str,
    tell: impl FnOnce(Option<&Response>),
) -> Response {
    let response = match fault {
        None => right,
        Some(FaultKind::Stall(Stall::AcceptThenSilence | Stall::SynBlackhole)) => {
            tell(None);
            return std::future::pending().await;
        }
        Some(FaultKind::Stall(how @ (Stall::HeadersThenSilence | Stall::OneBytePerSecond))) => {
            tell(None);
            return stalled_body(right, how).await;
        }
        Some(FaultKind::Respond { status, headers, body }) => respond(status, &headers, body),
        Some(FaultKind::Redirect { status, location }) => {
            respond(status, &[("location".into(), location)], String::new())
        }
        Some(FaultKind::Patch(patch)) => patched(right, &patch).await,
        Some(FaultKind::Echo { status }) => {
            let status = StatusCode::from_u16(status).unwrap_or(StatusCode::BAD_REQUEST);
            let description = format!("the request was: {request}");
            json(status, &serde_json::json!({ "error": "invalid_request", "error_description": description }))
        }
        Some(FaultKind::Delay(time)) => {
            tokio::time::sleep(time).await;
            right
        }
        // These are about the connection: no request gets this far.
        Some(FaultKind::Refused | FaultKind::Reset) => right,
    };
    tell(Some(&response));
    response
}

async fn stalled_body(right: Response, how: Stall) -> Response {
    let (mut parts, body) = right.into_parts();
    let whole = axum::body::to_bytes(body, usize::MAX).await.unwrap_or_default();
    parts.headers.insert(header::CONTENT_LENGTH, HeaderValue::from(whole.len()));
    let body = match how {
        Stall::OneBytePerSecond => {
            let bytes = futures::stream::iter(whole).then(|byte| async move {
                tokio::time::sleep(Duration::from_secs(1)).await;
                Ok::<_, std::convert::Infallible>(Bytes::from(vec![byte]))
            });
            Body::from_stream(bytes)
        }
        Stall::HeadersThenSilence | Stall::AcceptThenSilence | Stall::SynBlackhole => {
            Body::from_stream(futures::stream::pending::<Result<Bytes, std::convert::Infallible>>())
        }
    };
    Response::from_parts(parts, body)
}

async fn patched(right: Response, patch: &Value) -> Response {
    let (mut parts, body) = right.into_parts();
    let whole = axum::body::to_bytes(body, usize::MAX).await.unwrap_or_default();
    let Ok(mut document) = serde_json::from_slice::<Value>(&whole) else {
        return Response::from_parts(parts, Body::from(whole));
    };
    json_patch::merge(&mut document, patch);
    parts.headers.remove(header::CONTENT_LENGTH);
    Response::from_parts(parts, Body::from(document.to_string()))
}

fn respond(status: u16, headers: &[(String, String)], body: String) -> Response {
    let mut response = Response::new(Body::from(body));
    *response.status_mut() = StatusCode::from_u16(status).unwrap_or(StatusCode::INTERNAL_SERVER_ERROR);
    for (name, value) in headers {
        if let (Ok(name), Ok(value)) = (HeaderName::try_from(name), HeaderValue::try_from(value)) {
            response.headers_mut().append(name, value);
        }
    }
    response
}

/// A JSON answer.
pub(crate) fn json(status: StatusCode, value: &Value) -> Response {
    let mut response = Response::new(Body::from(value.to_string()));
    *response.status_mut() = status;
    response.headers_mut().insert(header::CONTENT_TYPE, HeaderValue::from_static("application/json"));
    response
}

fn text(status: StatusCode, text: &'static str) -> Response {
    let mut response = Response::new(Body::from(text));
    *response.status_mut() = status;
    response.headers_mut().insert(header::CONTENT_TYPE, HeaderValue::from_static("text/plain"));
    response
}
