//! Callers that wait until so many are inside at once: the way to show a race.

use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::Duration;

use tokio::sync::watch;

use crate::fault::Method;

/// Who waits for whom.
#[derive(Debug, Clone)]
pub struct Rendezvous {
    /// Callers of this method with a statement.
    pub method: Method,
    /// How many must be inside.
    pub parties: usize,
    /// How long they wait.
    pub wait: Duration,
}

/// The place where callers meet, once.
#[derive(Debug)]
pub(crate) struct Meeting {
    plan: Rendezvous,
    arrived: AtomicUsize,
    met: watch::Sender<bool>,
}

impl Meeting {
    pub(crate) fn new(plan: Rendezvous) -> Self {
        Self { plan, arrived: AtomicUsize::new(0), met: watch::channel(false).0 }
    }

    /// Waits with the others; true for the one that completes the number.
    pub(crate) async fn join(&self, method: Method) -> Option<usize> {
        if method != self.plan.method || *self.met.borrow() {
            return None;
        }
        let mut met = self.met.subscribe();
        if self.arrived.fetch_add(1, Ordering::SeqCst) + 1 == self.plan.parties {
            self.met.send_replace(true);
            return Some(self.plan.parties);
        }
        let _ = tokio::time::timeout(self.plan.wait, met.wait_for(|met| *met)).await;
        None
    }
}
