//! Ways in which a server misbehaves on purpose.

use std::sync::{Mutex, PoisonError};
use std::time::Duration;

use tonic::{Code, Status};

use crate::secret::Secret;

/// A gRPC method that a fault or a rendezvous may be about.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Method {
    /// `Handshake`.
    Handshake,
    /// `GetFlightInfo`.
    GetFlightInfo,
    /// `DoGet`.
    DoGet,
    /// `DoPut`.
    DoPut,
    /// `DoAction`.
    DoAction,
    /// Any other.
    Other,
}

impl Method {
    pub(crate) fn named(name: &str) -> Self {
        match name {
            "Handshake" => Self::Handshake,
            "GetFlightInfo" => Self::GetFlightInfo,
            "DoGet" => Self::DoGet,
            "DoPut" => Self::DoPut,
            "DoAction" => Self::DoAction,
            _ => Self::Other,
        }
    }
}

/// One way to misbehave, and on which calls. A call is hit if it is all of what the fault says.
#[derive(Debug, Clone)]
pub struct Fault {
    /// On which method; any if `None`.
    pub method: Option<Method>,
    /// How.
    pub kind: FaultKind,
    /// So many calls are answered well first.
    pub after: u32,
    /// So many calls are hit; `None` until the faults are replaced.
    pub times: Option<u32>,
    /// Only on statements with SQL, so that what a client asks at connect is not hit.
    pub only_statements: bool,
    /// Only on this command, `GetTables` for instance, as the record names it.
    pub command: Option<String>,
    /// Only on calls with this credential.
    pub credential: Option<Secret>,
    /// Only on calls of this principal.
    pub principal: Option<String>,
    /// Only on calls at the listener with this label.
    pub listener: Option<String>,
}

impl Fault {
    /// On every call.
    pub fn new(kind: FaultKind) -> Self {
        Self {
            method: None,
            kind,
            after: 0,
            times: None,
            only_statements: false,
            command: None,
            credential: None,
            principal: None,
            listener: None,
        }
    }
}

/// How to misbehave.
#[derive(Debug, Clone)]
pub enum FaultKind {
    /// End the call with a status.
    Status {
        /// The code.
        code: Code,
        /// The message.
        message: String,
        /// When.
        at: Moment,
    },
    /// Never answer.
    Silence,
    /// Answer later.
    Delay(Duration),
    /// Wait so long before each message of an answer.
    Slow(Duration),
    /// Send nothing more, and keep the stream open.
    Stall(Moment),
    /// Reset the stream: no status, no trailers.
    Reset(Moment),
    /// Close the connection.
    Disconnect(Moment),
    /// Answer well, and ask the client to use another connection from now on.
    GoAway,
    /// Add headers to the answer: large ones, an `authorization` that nobody asked for.
    Headers(Vec<(String, String)>),
    /// Answer a Handshake without the token.
    NoToken,
    /// Answer a Handshake with this token instead.
    WrongToken(Secret),
}

impl FaultKind {
    /// Its word in records.
    pub fn as_str(&self) -> &'static str {
        match self {
            Self::Status { .. } => "status",
            Self::Silence => "silence",
            Self::Delay(_) => "delay",
            Self::Slow(_) => "slow",
            Self::Stall(_) => "stall",
            Self::Reset(_) => "reset",
            Self::Disconnect(_) => "disconnect",
            Self::GoAway => "go-away",
            Self::Headers(_) => "headers",
            Self::NoToken => "no-token",
            Self::WrongToken(_) => "wrong-token",
        }
    }
}

/// A moment of a streamed answer.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Moment {
    /// Instead of an answer.
    BeforeSchema,
    /// After the schema.
    AfterSchema,
    /// After the first batch of rows.
    MidStream,
}

impl Moment {
    /// So many messages come before.
    fn messages(self) -> usize {
        match self {
            Self::BeforeSchema => 0,
            Self::AfterSchema => 1,
            Self::MidStream => 2,
        }
    }
}

/// What a call looks like to a fault.
pub(crate) struct Target<'c> {
    pub(crate) method: Method,
    pub(crate) is_statement: bool,
    pub(crate) command: Option<&'c str>,
    pub(crate) principal: &'c str,
    pub(crate) credentials: &'c [Secret],
    pub(crate) listener: &'c str,
}

/// How an answer breaks off.
#[derive(Debug, Clone)]
pub(crate) enum Break {
    Status(Status),
    Stall,
    Reset,
    Disconnect,
}

/// What the faults make of a call. Faults of different kinds add up; of one kind the first counts.
#[derive(Debug, Default)]
pub(crate) struct Effects {
    pub(crate) silence: bool,
    pub(crate) delay: Option<Duration>,
    pub(crate) slow: Option<Duration>,
    pub(crate) go_away: bool,
    pub(crate) headers: Vec<(String, String)>,
    /// After so many messages.
    pub(crate) breaks: Option<(usize, Break)>,
    /// What a Handshake gives instead of its token.
    pub(crate) token: Option<Option<Secret>>,
    /// The words of the faults that hit.
    pub(crate) met: Vec<&'static str>,
}

/// The faults of a server, with how often each has been met.
#[derive(Debug, Default)]
pub(crate) struct Faults(Mutex<Vec<(Fault, u32)>>);

impl Faults {
    pub(crate) fn replace(&self, faults: Vec<Fault>) {
        *self.0.lock().unwrap_or_else(PoisonError::into_inner) = faults.into_iter().map(|f| (f, 0)).collect();
    }

    /// What hits this call.
    pub(crate) fn hit(&self, call: &Target<'_>) -> Effects {
        let mut faults = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        let mut effects = Effects::default();
        for (fault, met) in faults.iter_mut().filter(|(fault, _)| is_about(fault, call)) {
            let nth = *met;
            *met += 1;
            if nth >= fault.after && fault.times.is_none_or(|times| nth < fault.after + times) {
                effects.met.push(fault.kind.as_str());
                add(&mut effects, &fault.kind);
            }
        }
        effects
    }
}

fn is_about(fault: &Fault, call: &Target<'_>) -> bool {
    fault.method.is_none_or(|method| method == call.method)
        && (call.is_statement || !fault.only_statements)
        && fault.command.as_deref().is_none_or(|command| call.command == Some(command))
        && fault.credential.as_ref().is_none_or(|credential| call.credentials.contains(credential))
        && fault.principal.as_deref().is_none_or(|principal| principal == call.principal)
        && fault.listener.as_deref().is_none_or(|listener| listener == call.listener)
}

fn add(effects: &mut Effects, kind: &FaultKind) {
    let mut breaks = |at: &Moment, how: Break| {
        effects.breaks.get_or_insert((at.messages(), how));
    };
    match kind {
        FaultKind::Status { code, message, at } => {
            breaks(at, Break::Status(Status::new(*code, message.clone())))
        }
        FaultKind::Stall(at) => breaks(at, Break::Stall),
        FaultKind::Reset(at) => breaks(at, Break::Reset),
        FaultKind::Disconnect(at) => breaks(at, Break::Disconnect),
        FaultKind::Silence => effects.silence = true,
        FaultKind::Delay(time) => _ = effects.delay.get_or_insert(*time),
        FaultKind::Slow(time) => _ = effects.slow.get_or_insert(*time),
        FaultKind::GoAway => effects.go_away = true,
        FaultKind::Headers(headers) => effects.headers.extend(headers.iter().cloned()),
        FaultKind::NoToken => _ = effects.token.get_or_insert(None),
        FaultKind::WrongToken(token) => _ = effects.token.get_or_insert_with(|| Some(token.clone())),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_fault_hits_the_calls_that_it_names_and_no_others() {
        let token = Secret::new("t");
        let credentials = [token.clone()];
        let call = Target {
            method: Method::DoGet,
            is_statement: true,
            command: Some("StatementQuery"),
            principal: "ann",
            credentials: &credentials,
            listener: "main",
        };
        let fault = || Fault { after: 1, times: Some(1), ..Fault::new(FaultKind::Silence) };
        let check = |fault: Fault, expected: [bool; 3]| {
            let faults = Faults::default();
            faults.replace(vec![fault]);
            assert_eq!([(); 3].map(|()| faults.hit(&call).silence), expected);
        };
        check(fault(), [false, true, false]);
        check(Fault { method: Some(Method::DoPut), ..fault() }, [false; 3]);
        check(
            Fault { credential: Some(token), command: Some("StatementQuery".into()), ..fault() },
            [false, true, false],
        );
        check(Fault { credential: Some(Secret::new("other")), ..fault() }, [false; 3]);
        check(Fault { principal: Some("bob".into()), ..fault() }, [false; 3]);
        check(Fault { listener: Some("main".into()), ..fault() }, [false, true, false]);
        check(Fault { listener: Some("other".into()), ..fault() }, [false; 3]);
    }
}
