//! Concurrent callers share one piece of work and its result.

use std::future::Future;
use std::sync::{Arc, Mutex, PoisonError, Weak};
use std::time::Duration;

use futures::FutureExt as _;
use futures::future::{BoxFuture, Shared};
use tokio::task::AbortHandle;
use tokio::time::Instant;

use crate::behaviour::{Behaviour, Defect};
use crate::failure::{Class, Failure};

type Outcome<T> = Result<T, Failure>;

/// Work that nobody waits for any more is joined by a newcomer for so long; after that it is taken to be stuck.
const STUCK: Duration = Duration::from_secs(1);

/// Work that runs at most once at a time. It goes on when a caller gives up, and ends with its owner. When all callers
/// have given up, a later one does not wait for what they gave up: it starts anew.
pub(crate) struct SingleFlight<T: Clone> {
    running: Mutex<Option<Running<T>>>,
    joins_abandoned: bool,
}

struct Running<T: Clone> {
    result: Shared<BoxFuture<'static, Outcome<T>>>,
    task: AbortHandle,
    since: Instant,
    /// Lives as long as somebody waits.
    waiting: Weak<()>,
}

impl<T: Clone + Send + Sync + 'static> SingleFlight<T> {
    pub(crate) fn new(behaviour: Behaviour) -> Self {
        Self { running: Mutex::new(None), joins_abandoned: behaviour.has(Defect::JoinsAbandoned) }
    }

    /// Joins what runs, or starts `work`. A finished result is not kept: whoever comes later starts anew.
    pub(crate) fn run<F, W>(&self, work: W) -> impl Future<Output = Outcome<T>> + use<T, F, W>
    where
        W: FnOnce() -> F,
        F: Future<Output = Outcome<T>> + Send + 'static,
    {
        let mut running = self.running.lock().unwrap_or_else(PoisonError::into_inner);
        let mut given_up = None;
        if let Some(running) = running.as_mut().filter(|running| !running.task.is_finished()) {
            let waiting = running.waiting.upgrade();
            if waiting.is_some() || self.joins_abandoned || running.since.elapsed() < STUCK {
                let waiting = waiting.unwrap_or_default();
                running.waiting = Arc::downgrade(&waiting);
                return waited_for(running.result.clone(), waiting);
            }
            running.task.abort();
            given_up = Some(running.task.clone());
        }
        let work = work();
        let task = tokio::spawn(async move {
            // What was given up lets go of all that it holds first.
            while given_up.as_ref().is_some_and(|task| !task.is_finished()) {
                tokio::task::yield_now().await;
            }
            work.await
        });
        let abort = task.abort_handle();
        let result = task
            .map(|ended| {
                ended.unwrap_or_else(|error| {
                    Err(Failure::new(Class::Token, format!("the client is closing: {error}")))
                })
            })
            .boxed()
            .shared();
        let waiting = Arc::default();
        *running = Some(Running {
            result: result.clone(),
            task: abort,
            since: Instant::now(),
            waiting: Arc::downgrade(&waiting),
        });
        waited_for(result, waiting)
    }
}

async fn waited_for<T: Clone>(
    result: Shared<BoxFuture<'static, Outcome<T>>>,
    waiting: Arc<()>,
) -> Outcome<T> {
    let outcome = result.await;
    drop(waiting);
    outcome
}

impl<T: Clone> Drop for SingleFlight<T> {
    fn drop(&mut self) {
        if let Some(running) = self.running.get_mut().unwrap_or_else(PoisonError::into_inner) {
            running.task.abort();
        }
    }
}

#[cfg(test)]
mod tests {
    use std::sync::Arc;
    use std::sync::atomic::{AtomicUsize, Ordering};

    use super::*;

    #[tokio::test]
    async fn concurrent_callers_share_one_run_and_its_error_and_a_later_one_starts_anew() {
        let runs = Arc::new(AtomicUsize::new(0));
        let flight = SingleFlight::<usize>::new(Behaviour::default());
        let work = || {
            let runs = Arc::clone(&runs);
            async move {
                let run = runs.fetch_add(1, Ordering::SeqCst);
                tokio::task::yield_now().await;
                if run == 0 { Err(Failure::configuration("the first fails")) } else { Ok(run) }
            }
        };
        let results = futures::future::join_all((0..8).map(|_| flight.run(work))).await;
        assert!(results.iter().all(Result::is_err), "all share the error");
        assert_eq!(runs.load(Ordering::SeqCst), 1);
        assert_eq!(flight.run(work).await.expect("the second run succeeds"), 1);
    }

    #[tokio::test]
    async fn the_work_goes_on_when_its_caller_gives_up() {
        let flight = SingleFlight::<()>::new(Behaviour::default());
        let (sender, receiver) = tokio::sync::oneshot::channel();
        drop(flight.run(|| async move {
            let _ = sender.send(());
            Ok(())
        }));
        receiver.await.expect("the work ran without a caller");
    }

    #[tokio::test]
    async fn work_that_all_have_given_up_and_that_is_stuck_is_not_waited_for() {
        let flight = SingleFlight::<u32>::new(Behaviour::default());
        let stuck = flight.run(std::future::pending);
        tokio::time::timeout(STUCK, stuck).await.expect_err("it is stuck");
        assert_eq!(flight.run(|| async { Ok(2) }).await.expect("a new run"), 2);
    }
}
