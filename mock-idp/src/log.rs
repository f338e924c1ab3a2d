//! The record of every exchange: listed, taken, waited for, streamed.

use std::collections::VecDeque;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};
use tokio::sync::broadcast;

use crate::endpoint::Endpoint;

/// So many exchanges are kept.
const MOST: usize = 5_000;
/// So much of a body is kept.
const BODY: usize = 16 * 1024;
/// So many may be behind on the stream before they miss some.
const BEHIND: usize = 1024;

/// A request and its answer.
#[derive(Debug, Clone, Default, Serialize, JsonSchema)]
pub struct Exchange {
    /// Its number.
    pub id: u64,
    /// When it came, in true seconds since 1970.
    pub at: f64,
    /// How long the answer took, in milliseconds.
    pub took_ms: f64,
    /// Path of the issuer, `/` for the one without; absent if there is none.
    pub issuer: Option<String>,
    /// What was asked for.
    pub endpoint: String,
    /// The HTTP method.
    pub method: String,
    /// Path and query as on the wire.
    pub path: String,
    /// Headers of the request, in order.
    pub request_headers: Vec<(String, String)>,
    /// Body of the request.
    pub request_body: String,
    /// The client that it says it is from.
    pub client: Option<String>,
    /// How it authenticates: `basic`, `post`, `assertion`, `certificate`, `none`.
    pub client_auth: String,
    /// `grant_type`.
    pub grant: Option<String>,
    /// The other side's port: requests on one connection have the same.
    pub peer_port: u16,
    /// Status of the answer; absent if none is given.
    pub status: Option<u16>,
    /// `error` of the answer.
    pub error: Option<String>,
    /// Headers of the answer.
    pub response_headers: Vec<(String, String)>,
    /// Body of the answer, as it would be if it were delivered whole.
    pub response_body: String,
    /// Ids and names of the faults that hit it.
    pub faults: Vec<String>,
}

/// An exchange as it is kept: headers as one text each, because thousands are kept and few are looked at.
#[derive(Debug)]
pub(crate) struct Kept {
    /// Without headers.
    pub(crate) exchange: Exchange,
    pub(crate) request_headers: String,
    pub(crate) response_headers: String,
}

impl Kept {
    /// The exchange with its headers.
    pub(crate) fn whole(&self) -> Exchange {
        let pairs = |text: &str| text.lines().filter_map(|l| l.split_once(": ")).map(owned).collect();
        let owned_headers = (pairs(&self.request_headers), pairs(&self.response_headers));
        Exchange {
            request_headers: owned_headers.0,
            response_headers: owned_headers.1,
            ..self.exchange.clone()
        }
    }
}

fn owned((name, value): (&str, &str)) -> (String, String) {
    (name.to_owned(), value.to_owned())
}

/// Headers as lines.
pub(crate) fn header_lines(headers: &http::HeaderMap) -> String {
    let mut text = String::with_capacity(256);
    for (name, value) in headers {
        text.push_str(name.as_str());
        text.push_str(": ");
        text.push_str(&String::from_utf8_lossy(value.as_bytes()));
        text.push('\n');
    }
    text
}

/// Which exchanges.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(default, deny_unknown_fields)]
pub struct Filter {
    /// Of this issuer (`/` for the one without a path).
    pub issuer: Option<String>,
    /// At this endpoint.
    pub endpoint: Option<Endpoint>,
    /// From this client.
    pub client: Option<String>,
    /// With this grant.
    pub grant: Option<String>,
    /// With a number above this.
    pub after: Option<u64>,
}

impl Filter {
    fn fits(&self, exchange: &Exchange) -> bool {
        let same = |wanted: &Option<String>, is: &Option<String>| wanted.is_none() || wanted == is;
        let issuer = self.issuer.as_deref().map(|i| i.trim_end_matches('/'));
        issuer
            .is_none_or(|wanted| exchange.issuer.as_deref().map(|i| i.trim_end_matches('/')) == Some(wanted))
            && self.endpoint.is_none_or(|e| exchange.endpoint == e.as_str())
            && same(&self.client, &exchange.client)
            && same(&self.grant, &exchange.grant)
            && self.after.is_none_or(|after| exchange.id > after)
    }
}

/// The exchanges of a process.
pub(crate) struct Log {
    kept: Mutex<(VecDeque<Arc<Kept>>, u64)>,
    live: broadcast::Sender<Arc<Kept>>,
}

impl Default for Log {
    fn default() -> Self {
        Self { kept: Mutex::default(), live: broadcast::Sender::new(BEHIND) }
    }
}

impl Log {
    fn lock(&self) -> MutexGuard<'_, (VecDeque<Arc<Kept>>, u64)> {
        self.kept.lock().unwrap_or_else(PoisonError::into_inner)
    }

    pub(crate) fn add(&self, mut new: Kept) {
        shorten(&mut new.exchange.request_body);
        shorten(&mut new.exchange.response_body);
        let mut kept = self.lock();
        kept.1 += 1;
        new.exchange.id = kept.1;
        let new = Arc::new(new);
        kept.0.push_back(new.clone());
        let oldest = if kept.0.len() > MOST { kept.0.pop_front() } else { None };
        drop(kept);
        drop(oldest);
        let _ = self.live.send(new);
    }

    pub(crate) fn list(&self, filter: &Filter) -> Vec<Arc<Kept>> {
        self.lock().0.iter().filter(|k| filter.fits(&k.exchange)).cloned().collect()
    }

    pub(crate) fn clear(&self) {
        self.lock().0.clear();
    }

    /// Takes the oldest that fits out of the record, waiting for it if need be.
    pub(crate) async fn take(&self, filter: &Filter, at_most: Duration) -> Option<Arc<Kept>> {
        let mut live = self.live.subscribe();
        let found = async {
            loop {
                if let Some(exchange) = self.take_now(filter) {
                    return exchange;
                }
                let _ = live.recv().await;
            }
        };
        tokio::time::timeout(at_most, found).await.ok()
    }

    fn take_now(&self, filter: &Filter) -> Option<Arc<Kept>> {
        let mut kept = self.lock();
        let at = kept.0.iter().position(|k| filter.fits(&k.exchange))?;
        kept.0.remove(at)
    }

    /// Exchanges from now on.
    pub(crate) fn follow(&self) -> broadcast::Receiver<Arc<Kept>> {
        self.live.subscribe()
    }
}

fn shorten(body: &mut String) {
    if body.len() > BODY {
        let mut end = BODY;
        while !body.is_char_boundary(end) {
            end -= 1;
        }
        body.truncate(end);
        body.push('…');
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn exchange(client: &str) -> Exchange {
        Exchange { client: Some(client.to_owned()), ..Exchange::default() }
    }

    fn kept(client: &str) -> Kept {
        Kept {
            exchange: exchange(client),
            request_headers: "a: b: c\n".to_owned(),
            response_headers: String::new(),
        }
    }

    #[test]
    fn the_oldest_exchanges_go_and_long_bodies_are_cut() {
        let log = Log::default();
        for _ in 0..MOST + 3 {
            log.add(kept("a"));
        }
        let mut long = kept("long");
        long.exchange.request_body = "é".repeat(BODY);
        log.add(long);
        let all = log.list(&Filter::default());
        assert_eq!((all.len(), all[0].exchange.id), (MOST, 5));
        assert!(all[MOST - 1].exchange.request_body.len() <= BODY + 4);
    }

    #[test]
    fn headers_are_kept_whole() {
        assert_eq!(kept("a").whole().request_headers, [("a".to_owned(), "b: c".to_owned())]);
    }

    #[tokio::test]
    async fn an_exchange_is_taken_once_and_waited_for() {
        let log = Log::default();
        log.add(kept("a"));
        let filter = Filter { client: Some("b".to_owned()), ..Filter::default() };
        let (taken, ()) =
            tokio::join!(log.take(&filter, Duration::from_secs(5)), async { log.add(kept("b")) });
        assert_eq!(taken.and_then(|t| t.exchange.client.clone()).as_deref(), Some("b"));
        assert!(log.take(&filter, Duration::ZERO).await.is_none());
        assert_eq!(log.list(&Filter::default()).len(), 1);
    }
}
