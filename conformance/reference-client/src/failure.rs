//! Why an operation failed, as the caller is told.

use std::future::Future;
use std::time::Duration;

/// An error for the caller. The message has no secrets once it has passed the session's redactor.
#[derive(Debug, Clone, thiserror::Error)]
#[error("{message}")]
pub(crate) struct Failure {
    pub(crate) class: Class,
    pub(crate) message: String,
    /// A call broke off without a code of the server's.
    pub(crate) broke_off: bool,
}

/// Who or what failed: it becomes the reply's `code`.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Class {
    /// The request is not one of the protocol.
    Protocol,
    Configuration,
    Discovery,
    Token,
    Handshake,
    Timeout,
    /// The server's own status.
    Rpc(tonic::Code),
}

impl Class {
    /// The word in the reply.
    pub(crate) fn code(self) -> &'static str {
        match self {
            Self::Protocol => "protocol",
            Self::Configuration => "configuration",
            Self::Discovery => "discovery",
            Self::Token => "token",
            Self::Handshake => "handshake",
            Self::Timeout => "timeout",
            Self::Rpc(code) => rpc_code(code),
        }
    }
}

impl Failure {
    pub(crate) fn new(class: Class, message: impl Into<String>) -> Self {
        Self { class, message: message.into(), broke_off: false }
    }

    pub(crate) fn configuration(message: impl Into<String>) -> Self {
        Self::new(Class::Configuration, message)
    }

    /// The server's answer, with what was asked of it.
    pub(crate) fn rpc(what: &str, status: &tonic::Status) -> Self {
        let code = status.code();
        let mut causes = String::new();
        let mut source = std::error::Error::source(status);
        while let Some(cause) = source {
            causes = format!("{causes}: {cause}");
            source = cause.source();
        }
        let message = format!("{what} failed: {}: {}{causes}", rpc_code(code), status.message());
        Self { class: Class::Rpc(code), message, broke_off: !causes.is_empty() }
    }

    /// Whether the server knows the caller and says no.
    pub(crate) fn is_forbidden(&self) -> bool {
        self.class == Class::Rpc(tonic::Code::PermissionDenied)
    }

    /// Whether the server refused the credentials.
    pub(crate) fn is_unauthenticated(&self) -> bool {
        self.class == Class::Rpc(tonic::Code::Unauthenticated)
    }
}

/// Runs `work` for at most `limit`; `what` names it in the error.
pub(crate) async fn within<T>(
    limit: Option<Duration>,
    what: &str,
    work: impl Future<Output = Result<T, Failure>>,
) -> Result<T, Failure> {
    let Some(limit) = limit else { return work.await };
    match tokio::time::timeout(limit, work).await {
        Ok(result) => result,
        Err(_) => Err(Failure::new(
            Class::Timeout,
            format!("{what} timed out: no complete answer within {} s", limit.as_secs()),
        )),
    }
}

fn rpc_code(code: tonic::Code) -> &'static str {
    match code {
        tonic::Code::Ok => "ok",
        tonic::Code::Cancelled => "cancelled",
        tonic::Code::Unknown => "unknown",
        tonic::Code::InvalidArgument => "invalid_argument",
        tonic::Code::DeadlineExceeded => "deadline_exceeded",
        tonic::Code::NotFound => "not_found",
        tonic::Code::AlreadyExists => "already_exists",
        tonic::Code::PermissionDenied => "permission_denied",
        tonic::Code::ResourceExhausted => "resource_exhausted",
        tonic::Code::FailedPrecondition => "failed_precondition",
        tonic::Code::Aborted => "aborted",
        tonic::Code::OutOfRange => "out_of_range",
        tonic::Code::Unimplemented => "unimplemented",
        tonic::Code::Internal => "internal",
        tonic::Code::Unavailable => "unavailable",
        tonic::Code::DataLoss => "data_loss",
        tonic::Code::Unauthenticated => "unauthenticated",
    }
}
