//! Numbers for Prometheus.

use std::borrow::Cow;
use std::sync::{Mutex, PoisonError};

use prometheus_client::encoding::EncodeLabelSet;
use prometheus_client::metrics::counter::Counter;
use prometheus_client::metrics::family::Family;
use prometheus_client::metrics::histogram::{Histogram, exponential_buckets};
use prometheus_client::registry::Registry;

#[derive(Debug, Clone, PartialEq, Eq, Hash, EncodeLabelSet)]
struct Request {
    endpoint: &'static str,
    status: Cow<'static, str>,
}

#[derive(Debug, Clone, PartialEq, Eq, Hash, EncodeLabelSet)]
struct Fault {
    fault: String,
}

/// What is counted.
pub(crate) struct Metrics {
    registry: Mutex<Registry>,
    requests: Family<Request, Counter>,
    faults: Family<Fault, Counter>,
    tokens: Counter,
    seconds: Histogram,
}

impl Default for Metrics {
    fn default() -> Self {
        let mut registry = Registry::with_prefix("mock_idp");
        let requests = Family::default();
        let faults = Family::default();
        let tokens = Counter::default();
        let seconds = Histogram::new(exponential_buckets(0.000_25, 2.0, 14));
        registry.register("requests", "Requests by endpoint and status", requests.clone());
        registry.register("faults", "Requests that a fault hit", faults.clone());
        registry.register("tokens_issued", "Access tokens issued", tokens.clone());
        registry.register("request_seconds", "Time to an answer", seconds.clone());
        Self { registry: Mutex::new(registry), requests, faults, tokens, seconds }
    }
}

impl Metrics {
    pub(crate) fn request(&self, endpoint: &'static str, status: Option<u16>, seconds: f64) {
        let status = match status {
            Some(200) => Cow::Borrowed("200"),
            Some(other) => Cow::Owned(other.to_string()),
            None => Cow::Borrowed("none"),
        };
        self.requests.get_or_create(&Request { endpoint, status }).inc();
        self.seconds.observe(seconds);
    }

    pub(crate) fn fault(&self, name: String) {
        self.faults.get_or_create(&Fault { fault: name }).inc();
    }

    pub(crate) fn token_issued(&self) {
        self.tokens.inc();
    }

    /// In the text format of OpenMetrics.
    pub(crate) fn text(&self) -> String {
        let mut text = String::new();
        let registry = self.registry.lock().unwrap_or_else(PoisonError::into_inner);
        // Writing to a string does not fail.
        let _ = prometheus_client::encoding::text::encode(&mut text, &registry);
        text
    }
}
