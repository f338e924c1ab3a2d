//! What a caller is told: a gRPC code and a short text. What we alone need goes to the log.

use datafusion::error::DataFusionError;
use tonic::Status;

/// What DataFusion says of a caller's statement.
pub(crate) fn refused(error: DataFusionError) -> Status {
    let text = error.strip_backtrace();
    let first = text.lines().next().unwrap_or("the statement is wrong").to_owned();
    match error.find_root() {
        DataFusionError::ResourcesExhausted(_) => Status::resource_exhausted(first),
        DataFusionError::NotImplemented(_) => Status::unimplemented(first),
        DataFusionError::Internal(_) => {
            tracing::warn!(error = %text, "DataFusion failed");
            Status::internal("the engine failed; its log says why")
        }
        _ => Status::invalid_argument(first),
    }
}

/// A failure of ours while an answer was made.
pub(crate) fn failed(error: impl std::fmt::Display) -> Status {
    let text = error.to_string();
    tracing::warn!(error = %text, "an answer failed");
    Status::internal("the answer could not be made; the server's log says why")
}
