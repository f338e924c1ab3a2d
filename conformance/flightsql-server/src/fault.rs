//! Ways in which a server misbehaves on purpose.

use std::sync::{Mutex, PoisonError};
use std::time::Duration;

use tonic::{Code, Status};

/// A gRPC method that a fault or a rendezvous may be about.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Method {
    /// `Handshake`.
    Handshake,
    /// `GetFlightInfo`.
    GetFlightInfo,
    /// `DoGet`.
    DoGet,
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
            "DoAction" => Self::DoAction,
            _ => Self::Other,
        }
    }
}

/// One way to misbehave.
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

/// What a fault makes of a call.
pub(crate) enum Effect {
    Refuse(Status),
    BreakAfter { messages: usize, status: Status },
    Silence,
    Delay(Duration),
}

/// The faults of a server, with how often each has been met.
#[derive(Debug, Default)]
pub(crate) struct Faults(Mutex<Vec<(Fault, u32)>>);

impl Faults {
    pub(crate) fn replace(&self, faults: Vec<Fault>) {
        *self.0.lock().unwrap_or_else(PoisonError::into_inner) = faults.into_iter().map(|f| (f, 0)).collect();
    }

    /// What hits this call, if anything.
    pub(crate) fn hit(&self, method: Method, is_statement: bool) -> Option<Effect> {
        let mut faults = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        let mut found = None;
        for (fault, met) in faults.iter_mut() {
            if fault.method.is_some_and(|m| m != method) || (fault.only_statements && !is_statement) {
                continue;
            }
            let nth = *met;
            *met += 1;
            let within = nth >= fault.after && fault.times.is_none_or(|times| nth < fault.after + times);
            if found.is_none() && within {
                found = Some(effect(&fault.kind));
            }
        }
        found
    }
}

fn effect(kind: &FaultKind) -> Effect {
    match kind {
        FaultKind::Silence => Effect::Silence,
        FaultKind::Delay(time) => Effect::Delay(*time),
        FaultKind::Status { code, message, at } => {
            let status = Status::new(*code, message.clone());
            match at {
                Moment::BeforeSchema => Effect::Refuse(status),
                Moment::AfterSchema => Effect::BreakAfter { messages: 1, status },
                Moment::MidStream => Effect::BreakAfter { messages: 2, status },
            }
        }
    }
}
