//! A place where answers wait for each other: the way to show a stampede or a race.

use std::sync::atomic::{AtomicU32, Ordering};
use std::time::Duration;

use tokio::sync::watch;

/// Lets nobody through until enough are there, or until it is opened.
#[derive(Debug)]
pub(crate) struct Barrier {
    parties: Option<u32>,
    waiting: AtomicU32,
    /// Counts how often it was opened.
    opened: watch::Sender<u64>,
}

impl Barrier {
    pub(crate) fn new(parties: Option<u32>) -> Self {
        Self { parties, waiting: AtomicU32::new(0), opened: watch::Sender::new(0) }
    }

    /// How many wait.
    pub(crate) fn waiting(&self) -> u32 {
        self.waiting.load(Ordering::SeqCst)
    }

    /// Lets all go that wait now.
    pub(crate) fn open(&self) -> u32 {
        let freed = self.waiting();
        self.opened.send_modify(|times| *times += 1);
        freed
    }

    /// Waits to be let go, at most so long.
    pub(crate) async fn wait(&self, at_most: Duration) {
        let mut opened = self.opened.subscribe();
        let place = Place::take(&self.waiting);
        if self.parties.is_some_and(|parties| place.number >= parties) {
            self.open();
            return;
        }
        let _ = tokio::time::timeout(at_most, opened.changed()).await;
    }
}

/// A place in the queue: given back even if the one who waits is cut off.
struct Place<'b> {
    waiting: &'b AtomicU32,
    number: u32,
}

impl<'b> Place<'b> {
    fn take(waiting: &'b AtomicU32) -> Self {
        let number = waiting.fetch_add(1, Ordering::SeqCst) + 1;
        Self { waiting, number }
    }
}

impl Drop for Place<'_> {
    fn drop(&mut self) {
        self.waiting.fetch_sub(1, Ordering::SeqCst);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test]
    async fn parties_let_each_other_go() {
        let barrier = Barrier::new(Some(2));
        let long = Duration::from_secs(60);
        tokio::join!(barrier.wait(long), barrier.wait(long));
        assert_eq!(barrier.waiting(), 0);
    }
}
