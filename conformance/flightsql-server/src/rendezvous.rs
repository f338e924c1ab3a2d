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
    inside: AtomicUsize,
    met: watch::Sender<bool>,
}

impl Meeting {
    pub(crate) fn new(plan: Rendezvous) -> Self {
        Self { plan, inside: AtomicUsize::new(0), met: watch::channel(false).0 }
    }

    /// Waits with the others; true for the one that completes the number.
    pub(crate) async fn join(&self, method: Method) -> Option<usize> {
        if method != self.plan.method || *self.met.borrow() {
            return None;
        }
        let mut met = self.met.subscribe();
        // Who has waited in vain, or has gone, is not inside any more.
        let parties = self.inside.fetch_add(1, Ordering::SeqCst) + 1;
        let _inside = Inside(&self.inside);
        if parties == self.plan.parties {
            self.met.send_replace(true);
            return Some(self.plan.parties);
        }
        let _ = tokio::time::timeout(self.plan.wait, met.wait_for(|met| *met)).await;
        None
    }
}

/// One caller inside, until it is dropped.
struct Inside<'m>(&'m AtomicUsize);

impl Drop for Inside<'_> {
    fn drop(&mut self) {
        self.0.fetch_sub(1, Ordering::SeqCst);
    }
}

#[cfg(test)]
mod tests {
    use futures::FutureExt as _;

    use super::*;

    fn of_two(wait: Duration) -> Meeting {
        Meeting::new(Rendezvous { method: Method::DoGet, parties: 2, wait })
    }

    #[tokio::test]
    async fn two_meet_that_are_inside_at_once() {
        let meeting = of_two(Duration::from_secs(600));
        let (first, second) = tokio::join!(meeting.join(Method::DoGet), meeting.join(Method::DoGet));
        assert_eq!((first, second), (None, Some(2)));
    }

    #[tokio::test]
    async fn nobody_meets_whoever_has_left() {
        let meeting = of_two(Duration::ZERO);
        for _ in 0..3 {
            assert_eq!(meeting.join(Method::DoGet).await, None);
        }
        let meeting = of_two(Duration::from_secs(600));
        assert_eq!(meeting.join(Method::DoGet).now_or_never(), None, "it waits, and is gone");
        assert_eq!(meeting.join(Method::DoGet).now_or_never(), None);
    }
}
