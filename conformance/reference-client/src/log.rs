//! The client's log: a few lines, already redacted.

use tokio::sync::mpsc;

/// Where log lines go; never blocks, and never fails: a reader that has gone is no error of ours.
#[derive(Debug, Clone)]
pub(crate) struct Log(mpsc::UnboundedSender<String>);

impl Log {
    /// A log, and the other end from which its lines are written.
    pub(crate) fn new() -> (Self, mpsc::UnboundedReceiver<String>) {
        let (sender, receiver) = mpsc::unbounded_channel();
        (Self(sender), receiver)
    }

    /// Writes one line.
    pub(crate) fn line(&self, text: impl Into<String>) {
        let _ = self.0.send(text.into());
    }
}
