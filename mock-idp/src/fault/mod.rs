//! Ways in which an issuer misbehaves on purpose. A fault is the only thing wrong with an answer.

pub(crate) mod barrier;
mod bounds;
pub mod catalogue;
pub(crate) mod distort;
mod kind;
mod request;
mod standing;

use std::time::Duration;

use serde::Serialize;

pub use crate::endpoint::Endpoint;
pub use kind::{FaultKind, Stall, TlsFault, Which};
pub use request::{EventRequest, FaultRequest, FaultRequestError};
pub use standing::StandingFault;
pub(crate) use standing::{ConnectionFault, Faults, Gate, Hits, Moment};

/// One way to misbehave, and when.
#[derive(Debug, Clone)]
pub struct Fault {
    /// Where.
    pub endpoint: Endpoint,
    /// How.
    pub kind: FaultKind,
    /// So many requests are answered well first.
    pub after: u32,
    /// So many requests are hit; `None` until the faults are replaced.
    pub times: Option<u32>,
    /// Which requests.
    pub scope: Scope,
}

impl Fault {
    /// A fault that hits the next request to an endpoint, and no other.
    pub fn once(endpoint: Endpoint, kind: FaultKind) -> Self {
        Self { endpoint, kind, after: 0, times: Some(1), scope: Scope::default() }
    }

    /// A fault that hits every request to an endpoint.
    pub fn always(endpoint: Endpoint, kind: FaultKind) -> Self {
        Self { times: None, ..Self::once(endpoint, kind) }
    }
}

/// Which requests a fault is about; the default is all.
#[derive(Debug, Clone, Default, PartialEq)]
pub struct Scope {
    /// Of the issuer with this path.
    pub issuer: Option<String>,
    /// From this client.
    pub client: Option<String>,
    /// With this `grant_type`.
    pub grant: Option<String>,
    /// Only each n-th of them.
    pub every: Option<u32>,
    /// Each with this probability.
    pub probability: Option<f64>,
    /// Makes the probability the same in each run.
    pub seed: u64,
    /// Not before so much time has passed on the issuer's clock.
    pub starts_in: Option<Duration>,
    /// For so much time on the issuer's clock.
    pub lasts: Option<Duration>,
    /// Only once this has happened.
    pub after_event: Option<Event>,
    /// Only until this happens.
    pub before_event: Option<Event>,
    /// Gone after so much true time, so that a test that crashed leaves nothing behind.
    pub lifetime: Option<Duration>,
}

/// A request that turns a fault on or off.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct Event {
    /// Where.
    pub endpoint: Endpoint,
    /// With this `grant_type`, or any.
    pub grant: Option<String>,
}
