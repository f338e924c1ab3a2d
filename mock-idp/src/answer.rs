//! Answers as values, before a fault makes something else of them; and the protocol's errors.

use std::borrow::Cow;

use axum::body::{Body, Bytes};
use axum::response::Response;
use http::{HeaderMap, HeaderName, HeaderValue, StatusCode, header};
use serde_json::{Map, Value, json};

use crate::config::ErrorStyle;
use crate::record::IssuedToken;

/// What an endpoint says, and what is worth noting about it.
#[derive(Debug, Clone)]
pub(crate) struct Answer {
    pub(crate) status: StatusCode,
    pub(crate) headers: HeaderMap,
    pub(crate) body: Bytes,
    /// `error` of the protocol.
    pub(crate) error: Option<String>,
    /// The access token that is in it.
    pub(crate) granted: Option<IssuedToken>,
    /// The client that was authenticated.
    pub(crate) client: Option<String>,
}

impl Answer {
    pub(crate) fn empty(status: StatusCode) -> Self {
        Self {
            status,
            headers: HeaderMap::new(),
            body: Bytes::new(),
            error: None,
            granted: None,
            client: None,
        }
    }

    pub(crate) fn json(status: StatusCode, value: &Value) -> Self {
        Self::typed(status, "application/json", value.to_string())
    }

    pub(crate) fn html(status: StatusCode, page: String) -> Self {
        let mut answer = Self::typed(status, "text/html; charset=utf-8", page).not_stored();
        // A page of ours loads nothing and is framed by nobody.
        answer.set(header::X_FRAME_OPTIONS, "DENY");
        answer.set(header::X_CONTENT_TYPE_OPTIONS, "nosniff");
        answer.set(header::REFERRER_POLICY, "no-referrer");
        answer
    }

    pub(crate) fn text(status: StatusCode, text: impl Into<String>) -> Self {
        Self::typed(status, "text/plain; charset=utf-8", text.into())
    }

    pub(crate) fn typed(status: StatusCode, content_type: &'static str, body: impl Into<Bytes>) -> Self {
        let mut answer = Self::empty(status);
        answer.body = body.into();
        answer.headers.insert(header::CONTENT_TYPE, HeaderValue::from_static(content_type));
        answer
    }

    pub(crate) fn redirect(status: StatusCode, location: &str) -> Self {
        let mut answer = Self::empty(status).not_stored();
        answer.set(header::LOCATION, location);
        answer
    }

    /// RFC 6749 §5.1.
    pub(crate) fn not_stored(mut self) -> Self {
        self.headers.insert(header::CACHE_CONTROL, HeaderValue::from_static("no-store"));
        self.headers.insert(header::PRAGMA, HeaderValue::from_static("no-cache"));
        self
    }

    /// Sets a header; what no header may carry is left out.
    pub(crate) fn set(&mut self, name: HeaderName, value: &str) {
        if let Ok(value) = HeaderValue::from_str(value) {
            self.headers.insert(name, value);
        }
    }

    pub(crate) fn into_response(self) -> Response {
        let mut response = Response::new(Body::from(self.body));
        *response.status_mut() = self.status;
        *response.headers_mut() = self.headers;
        response
    }
}

/// What is wrong with a request, in the words of the protocol (RFC 6749 §5.2).
#[derive(Debug, Clone, PartialEq)]
pub(crate) struct OAuthError {
    pub(crate) status: StatusCode,
    pub(crate) code: Cow<'static, str>,
    pub(crate) description: String,
    /// `WWW-Authenticate`.
    pub(crate) challenge: Option<String>,
    /// Further headers.
    pub(crate) headers: Vec<(HeaderName, String)>,
}

impl OAuthError {
    pub(crate) fn new(code: impl Into<Cow<'static, str>>, description: impl Into<String>) -> Self {
        let code = code.into();
        Self {
            status: status_of(&code),
            code,
            description: description.into(),
            challenge: None,
            headers: Vec::new(),
        }
    }

    pub(crate) fn invalid_request(description: impl Into<String>) -> Self {
        Self::new("invalid_request", description)
    }

    pub(crate) fn invalid_grant(description: impl Into<String>) -> Self {
        Self::new("invalid_grant", description)
    }

    pub(crate) fn invalid_client(description: impl Into<String>) -> Self {
        Self::new("invalid_client", description)
    }

    /// RFC 6750 §3.1.
    pub(crate) fn invalid_token(scheme: &str, description: &str) -> Self {
        let scheme = if scheme == "dpop" { "DPoP" } else { "Bearer" };
        let mut error = Self::new("invalid_token", description);
        error.challenge =
            Some(format!(r#"{scheme} error="invalid_token", error_description="{description}""#));
        error
    }

    /// Not POST (RFC 6749 §3.2).
    pub(crate) fn only(method: &'static str) -> Self {
        let mut error = Self::invalid_request(format!("only {method} is answered here"));
        error.status = StatusCode::METHOD_NOT_ALLOWED;
        error.headers.push((header::ALLOW, method.to_owned()));
        error
    }

    /// The answer, as this provider writes it.
    pub(crate) fn answer(&self, style: ErrorStyle, now: u64) -> Answer {
        let (status, body) = self.styled(style, now);
        let mut answer = Answer::json(status, &body).not_stored();
        if let Some(challenge) = &self.challenge {
            answer.set(header::WWW_AUTHENTICATE, challenge);
        }
        for (name, value) in &self.headers {
            answer.set(name.clone(), value);
        }
        answer.error = Some(self.code.to_string());
        answer
    }

    fn styled(&self, style: ErrorStyle, now: u64) -> (StatusCode, Value) {
        let (code, text) = (self.code.as_ref(), self.description.as_str());
        let wrong_client = code == "invalid_client";
        let plain = |code: &str, text: &str| json!({ "error": code, "error_description": text });
        match style {
            ErrorStyle::Standard => (self.status, plain(code, text)),
            ErrorStyle::Auth0 if wrong_client => {
                (StatusCode::UNAUTHORIZED, plain("access_denied", "Unauthorized"))
            }
            ErrorStyle::Auth0 if code == "invalid_grant" => (StatusCode::FORBIDDEN, plain(code, text)),
            ErrorStyle::Auth0 => (self.status, plain(code, text)),
            ErrorStyle::Entra => (self.status, entra(code, text, now)),
            ErrorStyle::Okta
                if matches!(code, "invalid_client" | "invalid_request" | "unauthorized_client") =>
            {
                (
                    self.status,
                    json!({
                        "errorCode": code, "errorSummary": text, "errorLink": code,
                        "errorId": format!("oae{now}"), "errorCauses": [],
                    }),
                )
            }
            ErrorStyle::Okta => (self.status, plain(code, text)),
            ErrorStyle::Google if wrong_client => {
                (self.status, plain(code, "The OAuth client was not found."))
            }
            ErrorStyle::Google => (self.status, plain(code, text)),
            ErrorStyle::Keycloak if wrong_client => {
                (self.status, plain(code, "Invalid client or Invalid client credentials"))
            }
            ErrorStyle::Keycloak => (self.status, plain(code, text)),
            ErrorStyle::Cognito => (StatusCode::BAD_REQUEST, json!({ "error": code })),
            ErrorStyle::Ping => {
                let mut body = plain(code, text);
                body["correlation_id"] = format!("{now:x}-ping").into();
                (self.status, body)
            }
            ErrorStyle::Github => {
                let code = if wrong_client { "incorrect_client_credentials" } else { code };
                let mut body = plain(code, text);
                body["error_uri"] = "https://docs.github.com/apps/troubleshooting".into();
                (StatusCode::OK, body)
            }
        }
    }
}

/// The body of an error of Entra, with the number that belongs to it.
fn entra(code: &str, text: &str, now: u64) -> Value {
    let number = match code {
        "invalid_client" => 7_000_215,
        "invalid_grant" => 70_008,
        "unauthorized_client" => 700_016,
        "invalid_scope" => 70_011,
        "unsupported_grant_type" => 70_003,
        _ => 900_144,
    };
    let (trace, correlation) = (uuid_like(now), uuid_like(now.wrapping_add(1)));
    let stamp =
        humantime::format_rfc3339_seconds(std::time::UNIX_EPOCH + std::time::Duration::from_secs(now))
            .to_string()
            .replace('T', " ");
    json!({
        "error": code,
        "error_description": format!(
            "AADSTS{number}: {text} Trace ID: {trace} Correlation ID: {correlation} Timestamp: {stamp}"
        ),
        "error_codes": [number],
        "timestamp": stamp,
        "trace_id": trace,
        "correlation_id": correlation,
        "error_uri": format!("https://login.microsoftonline.com/error?code={number}"),
    })
}

fn uuid_like(seed: u64) -> String {
    let n = seed.wrapping_mul(0x9E37_79B9_7F4A_7C15);
    format!(
        "{:08x}-{:04x}-4{:03x}-8{:03x}-{:012x}",
        n >> 32,
        n & 0xffff,
        n & 0xfff,
        (n >> 12) & 0xfff,
        n & 0xffff_ffff_ffff
    )
}

/// The status of an error (RFC 6749 §5.2, RFC 6750 §3.1, RFC 7591 §3.2.2).
pub(crate) fn status_of(code: &str) -> StatusCode {
    match code {
        "invalid_client" | "invalid_token" => StatusCode::UNAUTHORIZED,
        "insufficient_scope" => StatusCode::FORBIDDEN,
        "server_error" => StatusCode::INTERNAL_SERVER_ERROR,
        "temporarily_unavailable" => StatusCode::SERVICE_UNAVAILABLE,
        _ => StatusCode::BAD_REQUEST,
    }
}

/// Fills `{name}` and navikt's `${name}` in all strings of a value; what is not known stays as it is.
pub(crate) fn filled(value: &Value, values: &[(&str, &str)]) -> Value {
    match value {
        Value::String(text) => Value::String(filled_text(text, values)),
        Value::Array(items) => Value::Array(items.iter().map(|v| filled(v, values)).collect()),
        Value::Object(members) => {
            let filled = members.iter().map(|(n, v)| (n.clone(), filled(v, values)));
            Value::Object(filled.collect::<Map<_, _>>())
        }
        Value::Null | Value::Bool(_) | Value::Number(_) => value.clone(),
    }
}

pub(crate) fn filled_text(text: &str, values: &[(&str, &str)]) -> String {
    if !text.contains('{') {
        return text.to_owned();
    }
    let mut filled = String::with_capacity(text.len());
    let mut rest = text;
    while let Some(at) = rest.find('{') {
        let found = rest[at + 1..].find('}').map(|end| (&rest[at + 1..at + 1 + end], at + end + 2));
        let known = found
            .and_then(|(name, end)| values.iter().find(|(n, _)| *n == name).map(|(_, value)| (*value, end)));
        match known {
            Some((value, end)) => {
                filled.push_str(rest[..at].strip_suffix('$').unwrap_or(&rest[..at]));
                filled.push_str(value);
                rest = &rest[end..];
            }
            None => {
                filled.push_str(&rest[..=at]);
                rest = &rest[at + 1..];
            }
        }
    }
    filled.push_str(rest);
    filled
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn templates_are_filled_and_what_is_unknown_stays() {
        let check = |text, expected: &str| {
            assert_eq!(filled_text(text, &[("client_id", "app"), ("clientId", "app")]), expected)
        };
        check("{client_id}@clients", "app@clients");
        check("${clientId}", "app");
        check("{unknown} {client_id", "{unknown} {client_id");
        check("{{client_id}}", "{app}");
    }

    #[test]
    fn an_unknown_client_is_401_and_in_the_providers_words() {
        let error = OAuthError::invalid_client("wrong secret");
        let check = |style, status: u16, member: &str, expected: &str| {
            let answer = error.answer(style, 1000);
            let body: Value = serde_json::from_slice(&answer.body).expect("JSON");
            assert_eq!(
                (answer.status.as_u16(), body[member].as_str()),
                (status, Some(expected)),
                "{style:?}"
            );
            assert_eq!(answer.headers[header::CACHE_CONTROL], "no-store");
        };
        check(ErrorStyle::Standard, 401, "error", "invalid_client");
        check(ErrorStyle::Auth0, 401, "error", "access_denied");
        check(ErrorStyle::Okta, 401, "errorCode", "invalid_client");
        check(ErrorStyle::Github, 200, "error", "incorrect_client_credentials");
    }
}
