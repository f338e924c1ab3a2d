//! Ways in which an issuer misbehaves on purpose. A fault is the only thing wrong with an answer.

use std::sync::{Mutex, PoisonError};
use std::time::Duration;

use serde::Serialize;
use serde_json::Value;

/// What a fault, a listener or a request is about.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize)]
#[serde(rename_all = "kebab-case")]
pub enum Endpoint {
    /// The discovery document.
    Discovery,
    /// The key set.
    Jwks,
    /// The token endpoint.
    Token,
    /// No endpoint.
    Other,
    /// All of them.
    Any,
}

impl Endpoint {
    /// Its word in records.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Discovery => "discovery",
            Self::Jwks => "jwks",
            Self::Token => "token",
            Self::Other => "other",
            Self::Any => "any",
        }
    }
}

/// One way to misbehave.
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
}

/// How to misbehave.
#[derive(Debug, Clone)]
pub enum FaultKind {
    /// Never get done.
    Stall(Stall),
    /// Nothing listens, but the port stays ours.
    Refused,
    /// The connection is accepted and reset.
    Reset,
    /// This answer instead of the right one.
    Respond {
        /// The status.
        status: u16,
        /// Headers, `Retry-After` for instance.
        headers: Vec<(String, String)>,
        /// The body.
        body: String,
    },
    /// A redirect.
    Redirect {
        /// The status.
        status: u16,
        /// Where to.
        location: String,
    },
    /// A merge patch (RFC 7396) of the right JSON answer.
    Patch(Value),
    /// An error whose description repeats the request, credentials and all.
    Echo {
        /// The status.
        status: u16,
    },
    /// The right answer, later.
    Delay(Duration),
}

/// How an endpoint never gets done.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Stall {
    /// The request is read and never answered.
    AcceptThenSilence,
    /// Status and headers come, the body does not.
    HeadersThenSilence,
    /// Of the true body a byte comes each second.
    OneBytePerSecond,
    /// The TCP handshake is not answered.
    SynBlackhole,
}

/// What a listener does with connections.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Gate {
    Open,
    Refused,
    Reset,
    Blackhole,
}

/// The faults of an issuer, with how often each has been met.
#[derive(Debug, Default)]
pub(crate) struct Faults(Mutex<Vec<(Fault, u32)>>);

impl Faults {
    pub(crate) fn replace(&self, faults: Vec<Fault>) {
        *self.0.lock().unwrap_or_else(PoisonError::into_inner) = faults.into_iter().map(|f| (f, 0)).collect();
    }

    /// The fault that hits this request, if any; each that is about the endpoint counts it.
    pub(crate) fn hit(&self, endpoint: Endpoint) -> Option<FaultKind> {
        let mut faults = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        let mut found = None;
        for (fault, met) in
            faults.iter_mut().filter(|(f, _)| f.endpoint == endpoint || f.endpoint == Endpoint::Any)
        {
            let nth = *met;
            *met += 1;
            let within = nth >= fault.after && fault.times.is_none_or(|times| nth < fault.after + times);
            if found.is_none() && within && gate_of(&fault.kind).is_none() {
                found = Some(fault.kind.clone());
            }
        }
        found
    }

    /// What a listener for this endpoint does; a listener for all does what any fault of a connection asks.
    pub(crate) fn gate(&self, listener: Endpoint) -> Gate {
        let faults = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        let about =
            |f: &Fault| listener == Endpoint::Any || f.endpoint == Endpoint::Any || f.endpoint == listener;
        faults.iter().filter(|(f, _)| about(f)).find_map(|(f, _)| gate_of(&f.kind)).unwrap_or(Gate::Open)
    }
}

fn gate_of(kind: &FaultKind) -> Option<Gate> {
    match kind {
        FaultKind::Refused => Some(Gate::Refused),
        FaultKind::Reset => Some(Gate::Reset),
        FaultKind::Stall(Stall::SynBlackhole) => Some(Gate::Blackhole),
        FaultKind::Stall(Stall::AcceptThenSilence | Stall::HeadersThenSilence | Stall::OneBytePerSecond)
        | FaultKind::Respond { .. }
        | FaultKind::Redirect { .. }
        | FaultKind::Patch(_)
        | FaultKind::Echo { .. }
        | FaultKind::Delay(_) => None,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_fault_hits_after_and_for_so_many_requests() {
        let faults = Faults::default();
        let fault = |after, times| Fault {
            endpoint: Endpoint::Token,
            kind: FaultKind::Echo { status: 400 },
            after,
            times,
        };
        faults.replace(vec![fault(1, Some(2))]);
        let hits: Vec<bool> = (0..5).map(|_| faults.hit(Endpoint::Token).is_some()).collect();
        assert_eq!(hits, [false, true, true, false, false]);
        assert!(faults.hit(Endpoint::Discovery).is_none());
    }

    #[test]
    fn a_fault_of_the_connection_closes_only_its_own_gate() {
        let faults = Faults::default();
        faults.replace(vec![Fault {
            endpoint: Endpoint::Token,
            kind: FaultKind::Refused,
            after: 0,
            times: None,
        }]);
        assert_eq!(faults.gate(Endpoint::Token), Gate::Refused);
        assert_eq!(faults.gate(Endpoint::Discovery), Gate::Open);
        assert_eq!(faults.gate(Endpoint::Any), Gate::Refused);
    }
}
