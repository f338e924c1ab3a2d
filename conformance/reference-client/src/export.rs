//! One batch to an HTTP endpoint, as an exporter of telemetry sends it.

use std::time::Duration;

use reqwest::header::{self, HeaderMap};
use reqwest::{Client, StatusCode};
use tonic::Code;
use url::Url;

use crate::behaviour::{Behaviour, Defect};
use crate::failure::{Class, Failure};
use crate::http;

/// The endpoint may ask for a pause of at most so long; a longer one is an error.
const LONGEST_PAUSE: Duration = Duration::from_secs(10);
/// How often the defect `hammers-endpoint` repeats a batch.
const BLOWS: u32 = 10;

/// Sends a batch; once more, after the pause that the endpoint asks for (RFC 9110 §10.2.3).
pub(crate) async fn send(
    client: &Client,
    to: &Url,
    headers: HeaderMap,
    batch: &str,
    behaviour: Behaviour,
) -> Result<(), Failure> {
    let mut repeats = if behaviour.has(Defect::HammersEndpoint) { BLOWS } else { 1 };
    loop {
        let body = serde_json::json!({ "batch": batch }).to_string();
        let request = client.post(to.clone()).headers(headers.clone());
        let request = request.header(header::CONTENT_TYPE, "application/json").body(body);
        let answer = http::send(request, behaviour).await;
        let answer = answer.map_err(|e| http::no_answer(e, Class::Rpc(Code::Unavailable), "the export"))?;
        let status = answer.status();
        if status.is_success() {
            return Ok(());
        }
        match pause(status, answer.headers()) {
            Some(pause) if repeats > 0 => {
                repeats -= 1;
                if !behaviour.has(Defect::HammersEndpoint) {
                    tokio::time::sleep(pause).await;
                }
            }
            _ => return Err(refused(status)),
        }
    }
}

/// The pause that an endpoint asks for which does not take anything now.
fn pause(status: StatusCode, headers: &HeaderMap) -> Option<Duration> {
    let busy = matches!(status, StatusCode::TOO_MANY_REQUESTS | StatusCode::SERVICE_UNAVAILABLE);
    let seconds = headers.get(header::RETRY_AFTER).filter(|_| busy)?.to_str().ok()?.trim().parse().ok()?;
    Some(Duration::from_secs(seconds)).filter(|pause| *pause <= LONGEST_PAUSE)
}

fn refused(status: StatusCode) -> Failure {
    let code = match status {
        StatusCode::UNAUTHORIZED => Code::Unauthenticated,
        StatusCode::FORBIDDEN => Code::PermissionDenied,
        _ => Code::Unavailable,
    };
    let class = Class::Rpc(code);
    Failure::new(class, format!("the export failed: {}: the endpoint answered {status}", class.code()))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_pause_is_kept_if_it_is_asked_for_and_not_too_long() {
        let headers = |value: &'static str| {
            HeaderMap::from_iter([(header::RETRY_AFTER, header::HeaderValue::from_static(value))])
        };
        let busy = StatusCode::SERVICE_UNAVAILABLE;
        assert_eq!(pause(busy, &headers("2")), Some(Duration::from_secs(2)));
        assert_eq!(pause(busy, &headers("11")), None);
        assert_eq!(pause(busy, &headers("soon")), None);
        assert_eq!(pause(busy, &HeaderMap::new()), None);
        assert_eq!(pause(StatusCode::UNAUTHORIZED, &headers("2")), None);
    }
}
