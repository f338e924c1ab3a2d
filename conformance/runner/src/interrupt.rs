//! Ctrl-C and the signal by which CI systems end a job: both stop a run in good order.

use tokio::signal::unix::{SignalKind, signal};

/// Resolves when the user or the system asks us to stop. Without a handler the system ends us at once.
pub async fn interrupted() {
    let Ok(mut terminate) = signal(SignalKind::terminate()) else { return std::future::pending().await };
    tokio::select! {
        result = tokio::signal::ctrl_c() => if result.is_err() { std::future::pending().await },
        _ = terminate.recv() => {}
    }
}
