//! The record: listed, taken, cleared, streamed.

use std::convert::Infallible;
use std::time::Duration;

use axum::body::{Body, Bytes};
use axum::response::Response;
use futures::stream;
use http::{HeaderValue, StatusCode, header};
use schemars::JsonSchema;
use serde::Deserialize;
use serde_json::Value;
use tokio::sync::broadcast::error::RecvError;

use super::{Order, Outcome, Refused, ok};
use crate::answer::Answer;
use crate::log::{Exchange, Filter, Kept};

/// A waiting request is answered after this at the latest, in seconds.
const LONGEST: f64 = 300.0;
/// Something is sent on a quiet stream after this.
const HEARTBEAT: Duration = Duration::from_secs(15);

fn shown(kept: &Kept, reveal: bool) -> Exchange {
    let exchange = kept.whole();
    if reveal { exchange } else { exchange.redacted() }
}

fn filter(order: &Order<'_>) -> Result<Filter, Refused> {
    let text = |name: &str| order.param(name).map(str::to_owned);
    let endpoint = match order.param("endpoint") {
        Some(name) => Some(
            serde_json::from_value(Value::from(name))
                .map_err(|_| Refused::bad(format!("`{name}` is no endpoint")))?,
        ),
        None => None,
    };
    let after = match order.param("after") {
        Some(n) => Some(n.parse().map_err(|_| Refused::bad("`after` has to be the number of an exchange"))?),
        None => None,
    };
    Ok(Filter { issuer: text("issuer"), endpoint, client: text("client"), grant: text("grant"), after })
}

pub(super) fn list(order: &Order<'_>) -> Outcome {
    let reveal = order.flag("reveal");
    let all = order.host.log.list(&filter(order)?);
    ok(&all.iter().map(|e| shown(e, reveal)).collect::<Vec<_>>())
}

pub(super) fn clear(order: &Order<'_>) -> Outcome {
    order.host.log.clear();
    Ok(Answer::empty(StatusCode::NO_CONTENT))
}

/// Which exchange to take out of the record.
#[derive(Debug, Default, Deserialize, JsonSchema)]
#[serde(default, deny_unknown_fields)]
pub(crate) struct TakeOrder {
    /// The oldest that fits.
    filter: Filter,
    /// Seconds to wait for it; not at all if absent.
    wait: f64,
    /// With secrets and tokens.
    reveal: bool,
}

pub(super) async fn take(order: &Order<'_>) -> Outcome {
    let wanted: TakeOrder = order.json()?;
    let wait = Duration::try_from_secs_f64(wanted.wait.min(LONGEST))
        .map_err(|_| Refused::bad("`wait` has to be a number of seconds, 0 or more"))?;
    match order.host.log.take(&wanted.filter, wait).await {
        Some(kept) => ok(&shown(&kept, wanted.reveal)),
        None => Ok(Answer::empty(StatusCode::NO_CONTENT)),
    }
}

/// Exchanges from now on, as server-sent events.
pub(super) fn stream(order: &Order<'_>) -> Response {
    let reveal = order.flag("reveal");
    let live = order.host.log.follow();
    let events = stream::unfold((live, true), move |(mut live, first)| async move {
        if first {
            return Some((Ok::<_, Infallible>(Bytes::from_static(b": here you are\n\n")), (live, false)));
        }
        let text = match tokio::time::timeout(HEARTBEAT, live.recv()).await {
            Ok(Ok(kept)) => {
                let json = serde_json::to_string(&shown(&kept, reveal)).unwrap_or_default();
                format!("id: {}\nevent: exchange\ndata: {json}\n\n", kept.exchange.id)
            }
            Ok(Err(RecvError::Lagged(missed))) => format!("event: missed\ndata: {missed}\n\n"),
            Ok(Err(RecvError::Closed)) => return None,
            Err(_) => ": still here\n\n".to_owned(),
        };
        Some((Ok(Bytes::from(text)), (live, false)))
    });
    let mut response = Response::new(Body::from_stream(events));
    let headers = response.headers_mut();
    headers.insert(header::CONTENT_TYPE, HeaderValue::from_static("text/event-stream"));
    headers.insert(header::CACHE_CONTROL, HeaderValue::from_static("no-store"));
    response
}
