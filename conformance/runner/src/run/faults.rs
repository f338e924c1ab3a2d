//! From a scenario's words to the faults of issuer and server.

use std::collections::BTreeMap;
use std::time::Duration;

use flightsql_server as flight;
use mock_idp as idp;
use scenario_model::scenario::{
    AnswerMoment, Code, Endpoint, FlightMethod, Issuer, IssuerFault, Rendezvous, ServerFault, StallHow,
    TlsTrouble,
};
use serde_json::{Map, Value};

/// A patch value that removes a member, because TOML has no `null`.
const ABSENT: &str = "<absent>";

/// The faults of an issuer, its stall first.
pub fn of_issuer(settings: &Issuer, elsewhere: &str) -> Vec<idp::Fault> {
    let stall = settings.stall.map(|stall| idp::Fault {
        endpoint: endpoint(stall.endpoint),
        kind: idp::FaultKind::Stall(match stall.how {
            StallHow::AcceptThenSilence => idp::Stall::AcceptThenSilence,
            StallHow::HeadersThenSilence => idp::Stall::HeadersThenSilence,
            StallHow::OneBytePerSecond => idp::Stall::OneBytePerSecond,
            StallHow::SynBlackhole => idp::Stall::SynBlackhole,
        }),
        after: 0,
        times: None,
        scope: idp::Scope::default(),
    });
    let others = settings.fault.iter().map(|fault| idp::Fault {
        endpoint: endpoint(fault.endpoint),
        kind: kind(fault, elsewhere),
        after: fault.after,
        times: fault.times,
        scope: idp::Scope::default(),
    });
    stall.into_iter().chain(others).collect()
}

fn endpoint(endpoint: Endpoint) -> idp::Endpoint {
    match endpoint {
        Endpoint::Discovery => idp::Endpoint::Discovery,
        Endpoint::Token => idp::Endpoint::Token,
    }
}

fn kind(fault: &IssuerFault, elsewhere: &str) -> idp::FaultKind {
    if fault.refused {
        idp::FaultKind::Refused
    } else if fault.reset {
        idp::FaultKind::Reset
    } else if let Some(status) = fault.redirect {
        idp::FaultKind::Redirect { status, location: format!("{}/moved", elsewhere.trim_end_matches('/')) }
    } else if let Some(status) = fault.echo {
        idp::FaultKind::Echo { status }
    } else if let Some(trouble) = fault.tls {
        idp::FaultKind::Tls(tls_fault(trouble).expect("the loader lets only troubles of issuers through"))
    } else if let Some(patch) = &fault.patch {
        idp::FaultKind::Patch(patch_of(patch, elsewhere))
    } else {
        idp::FaultKind::Respond {
            status: fault.status.expect("the loader lets only whole faults through"),
            headers: fault.headers.iter().map(|(k, v)| (k.clone(), v.clone())).collect(),
            body: fault.body.clone().unwrap_or_default(),
        }
    }
}

/// The fault of an issuer; none for what only a server has.
pub fn tls_fault(trouble: TlsTrouble) -> Option<idp::TlsFault> {
    Some(match trouble {
        TlsTrouble::UnknownCa => idp::TlsFault::UnknownCa,
        TlsTrouble::SelfSigned => idp::TlsFault::SelfSigned,
        TlsTrouble::WrongName => idp::TlsFault::WrongName,
        TlsTrouble::Expired => idp::TlsFault::Expired,
        TlsTrouble::NotYetValid => idp::TlsFault::NotYetValid,
        TlsTrouble::OldVersion => idp::TlsFault::OldVersion,
        TlsTrouble::Missing => idp::TlsFault::Missing,
        TlsTrouble::Unexpected => return None,
    })
}

fn patch_of(patch: &BTreeMap<String, Value>, elsewhere: &str) -> Value {
    let members = patch.iter().map(|(name, value)| {
        let value = match value.as_str() {
            Some(ABSENT) => Value::Null,
            Some("<elsewhere>") => Value::from(elsewhere),
            _ => value.clone(),
        };
        (name.clone(), value)
    });
    Value::Object(members.collect::<Map<_, _>>())
}

/// The faults of a server: on statement queries only, so that what a client does at connect is not hit.
pub fn of_server(faults: &[ServerFault]) -> Vec<flight::Fault> {
    let one = |fault: &ServerFault| flight::Fault {
        method: Some(method(fault.rpc)),
        kind: flight::FaultKind::Status {
            code: match fault.code {
                Code::Unauthenticated => flight::Code::Unauthenticated,
                Code::PermissionDenied => flight::Code::PermissionDenied,
                Code::Unavailable => flight::Code::Unavailable,
                Code::Internal => flight::Code::Internal,
            },
            message: "refused by the scenario".to_owned(),
            at: match fault.at {
                AnswerMoment::BeforeSchema => flight::Moment::BeforeSchema,
                AnswerMoment::AfterSchema => flight::Moment::AfterSchema,
                AnswerMoment::MidStream => flight::Moment::MidStream,
            },
        },
        after: fault.after,
        times: fault.times,
        only_statements: fault.rpc != FlightMethod::Handshake,
        command: None,
        credential: None,
        principal: None,
    };
    faults.iter().map(one).collect()
}

/// Headers of every answer.
pub fn headers(headers: &BTreeMap<String, String>, canary: &str) -> Option<flight::Fault> {
    let filled = headers.iter().map(|(name, value)| (name.clone(), value.replace("{canary}", canary)));
    (!headers.is_empty()).then(|| flight::Fault::new(flight::FaultKind::Headers(filled.collect())))
}

/// Callers that wait for each other.
pub fn rendezvous(rendezvous: &Rendezvous) -> flight::Rendezvous {
    flight::Rendezvous {
        method: method(rendezvous.rpc),
        parties: rendezvous.parties as usize,
        wait: Duration::from_secs_f64(rendezvous.wait.0),
    }
}

fn method(method: FlightMethod) -> flight::Method {
    match method {
        FlightMethod::GetFlightInfo => flight::Method::GetFlightInfo,
        FlightMethod::DoGet => flight::Method::DoGet,
        FlightMethod::Handshake => flight::Method::Handshake,
    }
}
