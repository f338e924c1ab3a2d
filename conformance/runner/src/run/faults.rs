//! From a scenario's words to the faults of issuer and server.

use std::collections::BTreeMap;
use std::time::Duration;

use flightsql_server as flight;
use mock_idp as idp;
use scenario_model::moment::Seconds;
use scenario_model::scenario::{
    AnswerFault, AnswerMoment, Breaks, BrokenConnection, Code, Endpoint, FlightMethod, HandshakeAnswer,
    Issuer, IssuerFault, Rendezvous, ServerFault, StallHow, TlsTrouble,
};
use serde_json::{Map, Value};

/// A patch value that removes a member, because TOML has no `null`.
const ABSENT: &str = "<absent>";

/// A text in a body or a patch that stands for the secret of the issuer's first session.
const SECRET: &str = "<secret>";

/// What the placeholders of faults stand for.
#[derive(Debug, Clone, Default)]
pub struct Filling {
    /// The published issuer.
    pub issuer: String,
    /// Another origin.
    pub elsewhere: String,
    /// Another origin, without TLS.
    pub plain_elsewhere: String,
    /// The secret of the issuer's first session.
    pub secret: String,
}

/// Some fault names the issuer, whose address is known only once it is started.
pub fn name_the_issuer(settings: &Issuer) -> bool {
    let patches = settings.fault.iter().filter_map(|fault| fault.patch.as_ref());
    patches
        .flat_map(BTreeMap::values)
        .any(|value| value.as_str().is_some_and(|text| text.contains("<issuer>")))
}

/// The faults of an issuer, its stall first.
pub fn of_issuer(settings: &Issuer, filling: &Filling) -> Vec<idp::Fault> {
    let stall = settings.stall.map(|stall| idp::Fault {
        endpoint: endpoint(stall.endpoint),
        kind: idp::FaultKind::Stall(stalled(stall.how)),
        after: 0,
        times: None,
        scope: idp::Scope::default(),
    });
    let others = settings.fault.iter().map(|fault| idp::Fault {
        endpoint: endpoint(fault.endpoint),
        kind: kind(fault, filling),
        after: fault.after,
        times: fault.times,
        scope: idp::Scope::default(),
    });
    stall.into_iter().chain(others).collect()
}

fn stalled(how: StallHow) -> idp::Stall {
    match how {
        StallHow::AcceptThenSilence => idp::Stall::AcceptThenSilence,
        StallHow::HeadersThenSilence => idp::Stall::HeadersThenSilence,
        StallHow::OneBytePerSecond => idp::Stall::OneBytePerSecond,
        StallHow::SynBlackhole => idp::Stall::SynBlackhole,
    }
}

fn endpoint(endpoint: Endpoint) -> idp::Endpoint {
    match endpoint {
        Endpoint::Discovery => idp::Endpoint::Discovery,
        Endpoint::Token => idp::Endpoint::Token,
        Endpoint::Jwks => idp::Endpoint::Jwks,
    }
}

fn kind(fault: &IssuerFault, filling: &Filling) -> idp::FaultKind {
    if fault.refused {
        idp::FaultKind::Refused
    } else if fault.reset {
        idp::FaultKind::Reset
    } else if let Some(status) = fault.redirect {
        let location = format!("{}/moved", filling.elsewhere.trim_end_matches('/'));
        idp::FaultKind::Redirect { status, location }
    } else if let Some(status) = fault.echo {
        idp::FaultKind::Echo { status }
    } else if let Some(trouble) = fault.tls {
        idp::FaultKind::Tls(tls_fault(trouble).expect("the loader lets only troubles of issuers through"))
    } else if let Some(patch) = &fault.patch {
        idp::FaultKind::Patch(patch_of(patch, filling))
    } else if let Some(status) = fault.redirect_within {
        idp::FaultKind::RedirectSameOrigin { status }
    } else if let Some(answer) = fault.answer {
        answer_of(answer)
    } else if let Some(content_type) = &fault.content_type {
        idp::FaultKind::ContentType { content_type: content_type.clone() }
    } else if let Some(status) = fault.but_status {
        idp::FaultKind::Status { status }
    } else if let Some(bytes) = fault.long_token {
        idp::FaultKind::LongToken { bytes }
    } else if let Some(connection) = fault.connection {
        match connection {
            BrokenConnection::Refused => idp::FaultKind::Refused,
            BrokenConnection::Reset => idp::FaultKind::Reset,
            BrokenConnection::TlsAborted => idp::FaultKind::Tls(idp::TlsFault::OldVersion),
            BrokenConnection::Unanswered => idp::FaultKind::CloseWithoutAnswer,
            BrokenConnection::CutShort => idp::FaultKind::Truncate { fraction: 0.5 },
        }
    } else if let Some(how) = fault.stall {
        idp::FaultKind::Stall(stalled(how))
    } else if let Some(delay) = fault.delay {
        idp::FaultKind::delay(Duration::from_secs_f64(delay.0))
    } else {
        idp::FaultKind::Respond {
            status: fault.status.expect("the loader lets only whole faults through"),
            headers: fault.headers.iter().map(|(k, v)| (k.clone(), v.clone())).collect(),
            body: fault.body.clone().unwrap_or_default().replace(SECRET, &filling.secret),
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

fn answer_of(answer: AnswerFault) -> idp::FaultKind {
    match answer {
        AnswerFault::Html => idp::FaultKind::Html,
        AnswerFault::Empty => idp::FaultKind::EmptyBody,
        AnswerFault::CutShort => idp::FaultKind::CutDocument { fraction: 0.5 },
        AnswerFault::DeeplyNested => idp::FaultKind::DeepNesting { depth: 10_000 },
        AnswerFault::Endless => idp::FaultKind::Endless,
        AnswerFault::Gzip => idp::FaultKind::Gzip,
        AnswerFault::ByteOrderMark => idp::FaultKind::ByteOrderMark,
        AnswerFault::DuplicateMembers => idp::FaultKind::DuplicateMembers,
        AnswerFault::Truncated => idp::FaultKind::Truncate { fraction: 0.5 },
        AnswerFault::ResetMidBody => idp::FaultKind::ResetMidBody { fraction: 0.5 },
        AnswerFault::ClosedUnanswered => idp::FaultKind::CloseWithoutAnswer,
    }
}

fn patch_of(patch: &BTreeMap<String, Value>, filling: &Filling) -> Value {
    let members = patch.iter().map(|(name, value)| {
        let value = match value.as_str() {
            Some(ABSENT) => Value::Null,
            Some(text) => Value::from(
                text.replace("<issuer>", &filling.issuer)
                    .replace("<elsewhere>", &filling.elsewhere)
                    .replace("<plain-elsewhere>", &filling.plain_elsewhere)
                    .replace(SECRET, &filling.secret),
            ),
            None => value.clone(),
        };
        (name.clone(), value)
    });
    Value::Object(members.collect::<Map<_, _>>())
}

/// The faults of a server: on statement queries only unless said, so that what a client does at connect is not hit.
pub fn of_server(faults: &[ServerFault]) -> Vec<flight::Fault> {
    let one = |fault: &ServerFault| flight::Fault {
        method: fault.rpc.map(method),
        kind: server_kind(fault),
        after: fault.after,
        times: fault.times,
        only_statements: fault.rpc != Some(FlightMethod::Handshake) && !fault.every_call,
        command: None,
        credential: None,
        principal: None,
        listener: fault.session.clone(),
    };
    faults.iter().map(one).collect()
}

/// Headers of every answer.
pub fn headers(headers: &BTreeMap<String, String>, canary: &str) -> Option<flight::Fault> {
    let filled = headers.iter().map(|(name, value)| (name.clone(), value.replace("{canary}", canary)));
    (!headers.is_empty()).then(|| flight::Fault::new(flight::FaultKind::Headers(filled.collect())))
}

fn server_kind(fault: &ServerFault) -> flight::FaultKind {
    let at = match fault.at {
        AnswerMoment::BeforeSchema => flight::Moment::BeforeSchema,
        AnswerMoment::AfterSchema => flight::Moment::AfterSchema,
        AnswerMoment::MidStream => flight::Moment::MidStream,
    };
    if let Some(breaks) = fault.breaks {
        return match breaks {
            Breaks::Silence => flight::FaultKind::Stall(at),
            Breaks::Reset => flight::FaultKind::Reset(at),
            Breaks::Disconnect => flight::FaultKind::Disconnect(at),
        };
    }
    let time = |seconds: Seconds| Duration::from_secs_f64(seconds.0);
    if let Some(delay) = fault.delay {
        return flight::FaultKind::Delay(time(delay));
    }
    if let Some(slow) = fault.slow {
        return flight::FaultKind::Slow(time(slow));
    }
    let code = match fault.code.expect("the loader lets only whole faults through") {
        Code::Unauthenticated => flight::Code::Unauthenticated,
        Code::PermissionDenied => flight::Code::PermissionDenied,
        Code::Unavailable => flight::Code::Unavailable,
        Code::Internal => flight::Code::Internal,
    };
    flight::FaultKind::Status { code, message: "refused by the scenario".to_owned(), at }
}

/// Where the server puts a Handshake's token, and what else it does to Handshakes.
pub fn handshake(answer: HandshakeAnswer) -> (flight::HandshakeAnswer, Option<flight::Fault>) {
    let fault =
        |kind| Some(flight::Fault { method: Some(flight::Method::Handshake), ..flight::Fault::new(kind) });
    match answer {
        HandshakeAnswer::Header => (flight::HandshakeAnswer::Header, None),
        HandshakeAnswer::Trailer => (flight::HandshakeAnswer::Trailer, None),
        HandshakeAnswer::Payload => (flight::HandshakeAnswer::Payload, None),
        HandshakeAnswer::WithoutToken => (flight::HandshakeAnswer::Header, fault(flight::FaultKind::NoToken)),
        HandshakeAnswer::Unimplemented => {
            let kind = flight::FaultKind::Status {
                code: flight::Code::Unimplemented,
                message: "this server has no Handshake".to_owned(),
                at: flight::Moment::BeforeSchema,
            };
            (flight::HandshakeAnswer::Header, fault(kind))
        }
    }
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
