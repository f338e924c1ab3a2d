//! The token endpoint (RFC 6749 §3.2) with the client credentials grant (§4.4), and introspection (RFC 7662).

use std::sync::{Arc, PoisonError};
use std::time::Instant;

use axum::extract::Request;
use axum::response::Response;
use http::{HeaderMap, HeaderValue, StatusCode, header};
use serde_json::{Value, json};

use crate::access_token;
use crate::client_auth::{authenticate, basic, post};
use crate::issuer::State;
use crate::listener::Peer;
use crate::record::{IssuedToken, Record, TokenRequest};
use crate::service::{distorted, json};

/// Bodies longer than this are refused.
const BODY_LIMIT: usize = 64 * 1024;
/// Parameters whose value is not recorded.
const SECRET_PARAMS: [&str; 4] = ["client_secret", "client_assertion", "password", "refresh_token"];

/// What is wrong with a token request (RFC 6749 §5.2).
struct OauthError {
    status: StatusCode,
    error: &'static str,
    description: &'static str,
}

fn bad(error: &'static str, description: &'static str) -> OauthError {
    OauthError { status: StatusCode::BAD_REQUEST, error, description }
}

/// Answers a token request.
pub(crate) async fn answer(state: Arc<State>, peer: Peer, request: Request) -> Response {
    let (parts, body) = request.into_parts();
    let arrived = Instant::now();
    let whole = axum::body::to_bytes(body, BODY_LIMIT).await;
    let text = whole.as_ref().map(|b| String::from_utf8_lossy(b).into_owned()).unwrap_or_default();
    let params: Vec<(String, String)> = serde_urlencoded::from_str(&text).unwrap_or_default();
    let value = |name: &str| params.iter().find(|(n, _)| n == name).map(|(_, v)| v.clone());
    let authorization = text_of(&parts.headers, &header::AUTHORIZATION);
    let mut seen = TokenRequest {
        issuer: state.config.name.clone(),
        method: parts.method.to_string(),
        path: parts.uri.path().to_owned(),
        query: parts.uri.query().map(str::to_owned),
        content_type: text_of(&parts.headers, &header::CONTENT_TYPE),
        basic: authorization.as_deref().and_then(basic),
        post: post(&params),
        grant_type: value("grant_type"),
        scope: value("scope"),
        audience: value("audience"),
        status: None,
        error: None,
        granted: None,
        arrived,
        peer_port: peer.port,
        params: params.iter().map(|(name, value)| (name.clone(), shown(name, value))).collect(),
    };
    let result = if whole.is_err() {
        Err(bad("invalid_request", "the body is too long"))
    } else {
        grant(&state, &seen, &params)
    };
    let right = match &result {
        Ok(granted) => success(granted, seen.scope.as_deref()),
        Err(error) => refusal(error, seen.basic.is_some()),
    };
    let echoed = echo(&parts.method, &parts.uri, authorization.as_deref(), seen.basic.as_ref(), &text);
    let fault = state.faults.hit(crate::fault::Endpoint::Token);
    let distortion = fault.is_some();
    let recorder = state.config.recorder.clone();
    distorted(right, fault, &echoed, move |response| {
        seen.status = response.map(|r| r.status().as_u16());
        match result {
            Ok(granted) if seen.status == Some(200) => seen.granted = Some(granted),
            Ok(_) => {}
            Err(error) if !distortion => seen.error = Some(error.error.to_owned()),
            Err(_) => {}
        }
        recorder(Record::Token(Box::new(seen)));
    })
    .await
}

fn text_of(headers: &HeaderMap, name: &http::HeaderName) -> Option<String> {
    headers.get(name).map(|v| String::from_utf8_lossy(v.as_bytes()).into_owned())
}

fn shown(name: &str, value: &str) -> String {
    if SECRET_PARAMS.contains(&name) && !value.is_empty() {
        "[redacted]".to_owned()
    } else {
        value.to_owned()
    }
}

fn grant(state: &State, seen: &TokenRequest, params: &[(String, String)]) -> Result<IssuedToken, OauthError> {
    let form = seen.content_type.as_deref().is_some_and(|c| {
        c.split(';')
            .next()
            .unwrap_or_default()
            .trim()
            .eq_ignore_ascii_case("application/x-www-form-urlencoded")
    });
    if seen.method != "POST" {
        return Err(OauthError {
            status: StatusCode::METHOD_NOT_ALLOWED,
            ..bad("invalid_request", "only POST is answered here")
        });
    }
    if !form {
        return Err(bad("invalid_request", "the body must be application/x-www-form-urlencoded"));
    }
    let twice =
        params.iter().enumerate().any(|(nth, (name, _))| params[..nth].iter().any(|(n, _)| n == name));
    if twice {
        return Err(bad("invalid_request", "a parameter is there twice"));
    }
    let client = authenticate(&state.config, seen.basic.as_ref(), seen.post.as_ref()).map_err(|refused| {
        let status = if refused.error == "invalid_client" {
            StatusCode::UNAUTHORIZED
        } else {
            StatusCode::BAD_REQUEST
        };
        OauthError { status, error: refused.error, description: refused.description }
    })?;
    match seen.grant_type.as_deref() {
        Some("client_credentials") => {}
        Some(_) => return Err(bad("unsupported_grant_type", "only client_credentials is supported")),
        None => return Err(bad("invalid_request", "grant_type is missing")),
    }
    let config = &state.config.token;
    let scope = seen.scope.as_deref().filter(|s| !s.is_empty());
    let audience = seen.audience.as_deref().filter(|a| !a.is_empty());
    if config.require_scope && scope.is_none() {
        return Err(bad("invalid_scope", "scope is missing"));
    }
    if config.require_audience && audience.is_none() {
        return Err(bad("invalid_request", "audience is missing"));
    }
    let known = |s: &str| config.scopes.as_ref().is_none_or(|all| all.iter().any(|known| known == s));
    if scope.is_some_and(|s| !s.split(' ').all(known)) {
        return Err(bad("invalid_scope", "a scope is not known"));
    }
    Ok(access_token::issue(state, &client.client_id, audience, scope))
}

fn success(granted: &IssuedToken, scope: Option<&str>) -> Response {
    let mut body = json!({
        "access_token": granted.token.expose(), "token_type": "Bearer", "expires_in": granted.lifetime.as_secs(),
    });
    if let Some(scope) = scope {
        body["scope"] = scope.into();
    }
    not_stored(json(StatusCode::OK, &body))
}

fn refusal(error: &OauthError, by_header: bool) -> Response {
    let body = json!({ "error": error.error, "error_description": error.description });
    let mut response = not_stored(json(error.status, &body));
    if error.status == StatusCode::UNAUTHORIZED && by_header {
        response
            .headers_mut()
            .insert(header::WWW_AUTHENTICATE, HeaderValue::from_static("Basic realm=\"token\""));
    }
    if error.status == StatusCode::METHOD_NOT_ALLOWED {
        response.headers_mut().insert(header::ALLOW, HeaderValue::from_static("POST"));
    }
    response
}

/// RFC 6749 §5.1.
fn not_stored(mut response: Response) -> Response {
    response.headers_mut().insert(header::CACHE_CONTROL, HeaderValue::from_static("no-store"));
    response.headers_mut().insert(header::PRAGMA, HeaderValue::from_static("no-cache"));
    response
}

/// The whole request as an unkind issuer would repeat it.
fn echo(
    method: &http::Method,
    uri: &http::Uri,
    authorization: Option<&str>,
    basic: Option<&crate::record::Presented>,
    body: &str,
) -> String {
    let decoded =
        basic.map(|b| format!(" (client {} secret {})", b.client_id, b.secret.expose())).unwrap_or_default();
    format!("{method} {uri} authorization: {}{decoded} body: {body}", authorization.unwrap_or("none"))
}

/// Answers an introspection request.
pub(crate) async fn introspect(state: Arc<State>, request: Request) -> Response {
    let body = axum::body::to_bytes(request.into_body(), BODY_LIMIT).await.unwrap_or_default();
    let params: Vec<(String, String)> = serde_urlencoded::from_bytes(&body).unwrap_or_default();
    let token = params.iter().find(|(name, _)| name == "token").map(|(_, value)| value.clone());
    let known =
        token.and_then(|t| state.tokens.lock().unwrap_or_else(PoisonError::into_inner).get(&t).cloned());
    let active = known.filter(|t| !t.revoked && (t.expires as f64) > access_token::now());
    let answer: Value = match active {
        Some(token) => json!({
            "active": true, "client_id": token.client_id, "sub": token.client_id, "token_type": "Bearer",
            "iss": state.urls.issuer, "aud": state.config.token.audience, "exp": token.expires, "jti": token.id,
        }),
        None => json!({ "active": false }),
    };
    not_stored(json(StatusCode::OK, &answer))
}
