//! What faults make of an answer on its way out.

use std::convert::Infallible;
use std::io::Write as _;
use std::time::Duration;

use axum::body::{Body, Bytes};
use axum::response::Response;
use futures::{StreamExt as _, stream};
use http::{HeaderName, HeaderValue, StatusCode, header};
use serde_json::{Map, Value, json};

use super::{FaultKind, Hits, Stall};
use crate::answer::{Answer, OAuthError};
use crate::call::Call;
use crate::config::Alg;
use crate::endpoint::Endpoint;
use crate::key_pool::{KeyPool, STRANGER};

/// Added to the address of a redirect within the origin, which is not redirected again.
const REDIRECTED: &str = "redirected=1";
/// So much of an endless document at a time.
const CHUNK: usize = 16 * 1024;
/// The last second of the year 9999: no later date can be written (RFC 9110 §5.6.7).
const LAST_SECOND: u64 = 253_402_300_799;
/// What was written reaches the other side before the connection ends.
const DELIVERY: Duration = Duration::from_millis(30);

/// Where the request was sent, for redirects.
pub(crate) struct Here {
    /// Scheme, host and port.
    pub(crate) origin: String,
    /// The same port by another name.
    pub(crate) other_origin: String,
    /// Seconds since 1970 on the issuer's clock.
    pub(crate) now: f64,
}

/// How an answer goes out.
#[derive(Debug, Clone, Copy, PartialEq)]
pub(crate) enum Delivery {
    Whole,
    Silence,
    Close,
    Stalled(Stall),
    Slow(u64),
    SlowBody(u64),
    Reset(f64),
    Truncated(f64),
    Endless,
}

/// An answer that stands instead of the right one: the endpoint is not asked, so that a code, for instance, stays unspent.
pub(crate) fn replaced(hits: &Hits, call: &Call, here: &Here) -> Option<Answer> {
    hits.kinds().find_map(|kind| replacement(kind, call, here))
}

fn replacement(kind: &FaultKind, call: &Call, here: &Here) -> Option<Answer> {
    let status_or = |status: u16, other| StatusCode::from_u16(status).unwrap_or(other);
    let redirect = |status: u16, location: &str| {
        Some(Answer::redirect(status_or(status, StatusCode::TEMPORARY_REDIRECT), location))
    };
    match kind {
        FaultKind::Respond { status, headers, body } => {
            let mut answer = Answer::empty(status_or(*status, StatusCode::INTERNAL_SERVER_ERROR));
            answer.body = Bytes::from(body.clone());
            changed(&mut answer, headers);
            Some(answer)
        }
        FaultKind::RetryAfter { status, seconds, as_date } => {
            let status = status_or(*status, StatusCode::SERVICE_UNAVAILABLE);
            let mut answer =
                Answer::json(status, &json!({ "error": "temporarily_unavailable" })).not_stored();
            let text = if *as_date { date_in(here.now, *seconds) } else { seconds.to_string() };
            answer.set(header::RETRY_AFTER, &text);
            Some(answer)
        }
        FaultKind::Redirect { status, location } => {
            let mut answer = Answer::empty(status_or(*status, StatusCode::TEMPORARY_REDIRECT));
            answer.set(header::LOCATION, location);
            Some(answer)
        }
        FaultKind::RedirectLoop { status } => redirect(*status, &call.target()),
        FaultKind::RedirectElsewhere { status } => {
            redirect(*status, &format!("{}/_elsewhere{}", here.other_origin, call.path))
        }
        FaultKind::RedirectSameOrigin { status } => {
            let again = call.query.as_deref().is_some_and(|q| q.contains(REDIRECTED));
            if again { None } else { redirect(*status, &format!("{}?{REDIRECTED}", call.path)) }
        }
        FaultKind::RedirectDowngrade { status } => {
            redirect(*status, &format!("{}{}", here.origin.replacen("https:", "http:", 1), call.target()))
        }
        FaultKind::Echo { status } => {
            let description = format!("the request was: {}", echo(call));
            let status = status_or(*status, StatusCode::BAD_REQUEST);
            let body = json!({ "error": "invalid_request", "error_description": description });
            Some(Answer::json(status, &body))
        }
        // At the authorization endpoint an error is told to the client by way of the browser.
        FaultKind::OauthError { .. } if call.endpoint == Endpoint::Authorization => None,
        FaultKind::OauthError { error, description, status } => {
            let text = description.clone().unwrap_or_else(|| "asked for by a fault".to_owned());
            let mut error = OAuthError::new(error.clone(), text);
            if let Some(status) = status.and_then(|s| StatusCode::from_u16(s).ok()) {
                error.status = status;
            }
            if error.code == "invalid_client" && call.basic.is_some() {
                error.challenge = Some("Basic realm=\"token\"".to_owned());
            }
            Some(error.answer(crate::config::ErrorStyle::Standard, here.now as u64))
        }
        FaultKind::ProviderError { style } => {
            let error = OAuthError::invalid_client("The client secret is not valid.");
            Some(error.answer(*style, here.now as u64))
        }
        FaultKind::BasicOnly if call.post.is_some() => Some(refused_method("client_secret_basic", here)),
        FaultKind::PostOnly if call.basic.is_some() => Some(refused_method("client_secret_post", here)),
        _ => None,
    }
}

fn refused_method(only: &str, here: &Here) -> Answer {
    OAuthError::invalid_client(format!("this issuer takes {only} only"))
        .answer(crate::config::ErrorStyle::Standard, here.now as u64)
}

/// Changes a right answer. The first fault that decides how it is delivered wins.
pub(crate) fn distort(hits: &Hits, answer: &mut Answer, call: &Call) -> Delivery {
    let mut delivery = Delivery::Whole;
    for kind in hits.kinds() {
        change_document(kind, answer, call.endpoint);
        let wanted = match kind {
            FaultKind::Stall(Stall::AcceptThenSilence | Stall::SynBlackhole) => Delivery::Silence,
            FaultKind::Stall(how) => Delivery::Stalled(*how),
            FaultKind::CloseWithoutAnswer => Delivery::Close,
            FaultKind::SlowHeaders { bytes_per_second } => Delivery::Slow(*bytes_per_second),
            FaultKind::SlowBody { bytes_per_second } => Delivery::SlowBody(*bytes_per_second),
            FaultKind::ResetMidBody { fraction } => Delivery::Reset(*fraction),
            FaultKind::Truncate { fraction } => Delivery::Truncated(*fraction),
            FaultKind::Endless => Delivery::Endless,
            _ => continue,
        };
        if delivery == Delivery::Whole {
            delivery = wanted;
        }
    }
    delivery
}

fn change_document(kind: &FaultKind, answer: &mut Answer, endpoint: Endpoint) {
    match kind {
        FaultKind::Patch(patch) => edit(answer, |document| json_patch::merge(document, patch)),
        FaultKind::Without { members } => edit(answer, |document| {
            if let Some(object) = document.as_object_mut() {
                members.iter().for_each(|m| {
                    object.shift_remove(m);
                });
            }
        }),
        FaultKind::WrongIssuer => edit(answer, |d| d["issuer"] = "https://another-issuer.example".into()),
        FaultKind::RawBody { body } => answer.body = Bytes::from(body.clone()),
        FaultKind::EmptyBody => answer.body = Bytes::new(),
        FaultKind::ContentType { content_type } => {
            answer.headers.remove(header::CONTENT_TYPE);
            if !content_type.is_empty() {
                answer.set(header::CONTENT_TYPE, content_type);
            }
        }
        FaultKind::CutDocument { fraction } => {
            answer.body = answer.body.slice(..part(&answer.body, *fraction))
        }
        FaultKind::DuplicateMembers => answer.body = Bytes::from(doubled(&answer.body)),
        FaultKind::ByteOrderMark => {
            answer.body = Bytes::from([b"\xEF\xBB\xBF", answer.body.as_ref()].concat())
        }
        FaultKind::Html => {
            answer.set(header::CONTENT_TYPE, "text/html; charset=utf-8");
            answer.body = Bytes::from_static(
                b"<!doctype html><html><head><title>Sign in to the network</title></head><body>Please accept.</body></html>",
            );
        }
        FaultKind::Gzip => gzip(answer),
        FaultKind::DeepNesting { depth } => {
            let depth = (*depth).min(1_000_000) as usize;
            answer.body = Bytes::from(format!("{}{}", "[".repeat(depth), "]".repeat(depth)));
        }
        FaultKind::Status { status } => {
            answer.status = StatusCode::from_u16(*status).unwrap_or(StatusCode::INTERNAL_SERVER_ERROR);
        }
        FaultKind::Headers { set, remove } => {
            remove.iter().filter_map(|n| HeaderName::try_from(n).ok()).for_each(|n| {
                answer.headers.remove(n);
            });
            changed(answer, set);
        }
        FaultKind::WrongUserinfoSub if endpoint == Endpoint::Userinfo => {
            edit(answer, |d| d["sub"] = "somebody-else".into());
        }
        FaultKind::ExpiresIn { value } => set_member(answer, "expires_in", value.clone()),
        FaultKind::TokenType { value } => set_member(answer, "token_type", value.clone().map(Value::from)),
        FaultKind::NoAccessToken => set_member(answer, "access_token", None),
        FaultKind::UnprintableToken => edit(answer, |d| {
            if let Some(token) = d["access_token"].as_str() {
                d["access_token"] = format!("{token}\u{1}\r\nx-injected: 1\u{7f}é").into();
            }
        }),
        _ => {}
    }
}

fn set_member(answer: &mut Answer, name: &str, value: Option<Value>) {
    edit(answer, |document| {
        let Some(object) = document.as_object_mut().filter(|o| o.contains_key("access_token")) else {
            return;
        };
        match value {
            Some(value) => {
                object.insert(name.to_owned(), value);
            }
            None => {
                object.shift_remove(name);
            }
        }
    });
}

/// Changes the JSON of an answer; what is no JSON stays as it is.
fn edit(answer: &mut Answer, change: impl FnOnce(&mut Value)) {
    if let Ok(mut document) = serde_json::from_slice::<Value>(&answer.body) {
        if document.is_object() {
            change(&mut document);
        }
        answer.body = Bytes::from(document.to_string());
    }
}

fn changed(answer: &mut Answer, headers: &[(String, String)]) {
    for (name, value) in headers {
        if let (Ok(name), Ok(value)) = (HeaderName::try_from(name), HeaderValue::try_from(value)) {
            answer.headers.insert(name, value);
        }
    }
}

fn doubled(body: &[u8]) -> String {
    let Ok(Value::Object(members)) = serde_json::from_slice::<Value>(body) else {
        return String::from_utf8_lossy(body).into_owned();
    };
    let wrong = members.keys().map(|name| format!("{}:\"wrong\"", Value::from(name.clone())));
    let right = members.iter().map(|(name, value)| format!("{}:{value}", Value::from(name.clone())));
    format!("{{{}}}", wrong.chain(right).collect::<Vec<_>>().join(","))
}

fn gzip(answer: &mut Answer) {
    let mut encoder = flate2::write::GzEncoder::new(Vec::new(), flate2::Compression::default());
    let written = encoder.write_all(&answer.body).and_then(|()| encoder.finish());
    if let Ok(bytes) = written {
        answer.body = Bytes::from(bytes);
        answer.set(header::CONTENT_ENCODING, "gzip");
    }
}

fn date_in(now: f64, seconds: u64) -> String {
    let after = (now.max(0.0) as u64).saturating_add(seconds).min(LAST_SECOND);
    let at = std::time::UNIX_EPOCH + Duration::from_secs(after);
    httpdate::fmt_http_date(at)
}

/// The whole request as an unkind issuer would repeat it.
fn echo(call: &Call) -> String {
    let decoded = call
        .basic
        .as_ref()
        .map(|b| format!(" (client {} secret {})", b.client_id, b.secret.expose()))
        .unwrap_or_default();
    let authorization = call.header(&header::AUTHORIZATION);
    let body = String::from_utf8_lossy(&call.body);
    format!(
        "{} {} authorization: {}{decoded} body: {body}",
        call.method,
        call.target(),
        authorization.as_deref().unwrap_or("none")
    )
}

/// How many bytes are a part of a body.
fn part(body: &[u8], fraction: f64) -> usize {
    let fraction = if fraction.is_finite() { fraction.clamp(0.0, 1.0) } else { 0.5 };
    ((body.len() as f64 * fraction) as usize).min(body.len())
}

/// The answer as it goes out; `None` closes the connection.
pub(crate) async fn deliver(answer: Answer, delivery: Delivery, call: &Call) -> Option<Response> {
    let whole = answer.body.clone();
    let length = HeaderValue::from(whole.len());
    let mut response = answer.into_response();
    if response.headers().get(header::CONTENT_LENGTH).is_some_and(|said| *said != length) {
        // A body of known length would contradict the header that a fault set; a stream does not know its own.
        let once = stream::once(std::future::ready(Ok::<_, Infallible>(whole.clone())));
        *response.body_mut() = Body::from_stream(once);
    }
    let body = match delivery {
        Delivery::Whole => return Some(response),
        Delivery::Silence => return std::future::pending().await,
        Delivery::Close => {
            // Over HTTP/2 an answer that is refused ends its stream alone; the connection goes, too.
            call.peer.wire.break_off();
            return None;
        }
        Delivery::Slow(rate) => {
            call.peer.wire.slow_down(rate);
            response.headers_mut().insert(header::CONNECTION, HeaderValue::from_static("close"));
            return Some(response);
        }
        Delivery::Endless => {
            let chunk = Bytes::from(vec![b' '; CHUNK]);
            let start = stream::once(async { Bytes::from_static(b"{\"keys\":[],") });
            let more = stream::repeat(chunk).then(|chunk| async move {
                tokio::time::sleep(Duration::from_millis(1)).await;
                chunk
            });
            *response.body_mut() = Body::from_stream(start.chain(more).map(Ok::<_, Infallible>));
            return Some(response);
        }
        Delivery::Stalled(Stall::OneBytePerSecond) => trickle(whole, 1),
        Delivery::Stalled(Stall::HeadersThenSilence | Stall::AcceptThenSilence | Stall::SynBlackhole) => {
            Body::from_stream(stream::pending::<Result<Bytes, Infallible>>())
        }
        Delivery::SlowBody(rate) => trickle(whole, rate),
        Delivery::Reset(fraction) => broken(whole, fraction, call, true),
        Delivery::Truncated(fraction) => broken(whole, fraction, call, false),
    };
    response.headers_mut().insert(header::CONTENT_LENGTH, length);
    *response.body_mut() = body;
    Some(response)
}

/// A body that comes at so many bytes a second.
fn trickle(whole: Bytes, rate: u64) -> Body {
    let size = usize::try_from(rate / 10).unwrap_or(usize::MAX).max(1);
    let pause = Duration::from_secs_f64(size as f64 / rate.max(1) as f64);
    let chunks: Vec<Bytes> = whole.chunks(size).map(Bytes::copy_from_slice).collect();
    Body::from_stream(stream::iter(chunks).then(move |chunk| async move {
        tokio::time::sleep(pause).await;
        Ok::<_, Infallible>(chunk)
    }))
}

/// A body that breaks off; with or without manners.
fn broken(whole: Bytes, fraction: f64, call: &Call, reset: bool) -> Body {
    let wire = call.peer.wire.clone();
    let first = whole.slice(..part(&whole, fraction));
    let end = stream::once(async move {
        tokio::time::sleep(DELIVERY).await;
        if reset {
            wire.end_with_reset();
        }
        wire.break_off();
        Err(std::io::Error::from(std::io::ErrorKind::ConnectionAborted))
    });
    Body::from_stream(stream::once(async move { Ok(first) }).chain(end))
}

/// Keys of a key set, as a fault wants them.
pub(crate) fn key_set(hits: &Hits, pool: &KeyPool, keys: Vec<Value>) -> Vec<Value> {
    let mut keys = keys;
    for kind in hits.kinds() {
        match kind {
            FaultKind::EmptyKeySet => keys.clear(),
            FaultKind::StaleKeySet if !keys.is_empty() => {
                keys.remove(0);
            }
            FaultKind::KeySetWithoutKids => keys.iter_mut().filter_map(Value::as_object_mut).for_each(|k| {
                k.shift_remove("kid");
            }),
            FaultKind::UnknownKeyTypes => {
                keys.insert(
                    0,
                    json!({ "kty": "LATTICE", "kid": "from-the-future", "alg": "XX999", "q": "AAAA" }),
                );
                keys.insert(
                    1,
                    json!({ "kty": "EC", "crv": "P-1", "kid": "no-such-curve", "x": "AA", "y": "AA" }),
                );
                keys.insert(2, Value::Object(Map::new()));
            }
            FaultKind::DuplicateKids => {
                let first = keys
                    .first()
                    .and_then(|k| Some((k["kid"].as_str()?.to_owned(), Alg::from_name(k["alg"].as_str()?)?)));
                if let Some((kid, alg)) = first {
                    keys.insert(0, pool.key(alg, STRANGER).jwk(&kid));
                }
            }
            _ => {}
        }
    }
    keys
}
