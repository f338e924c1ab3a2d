//! Concurrent callers share one piece of work and its result.

use std::future::Future;
use std::sync::{Mutex, PoisonError};

use futures::FutureExt as _;
use futures::future::{BoxFuture, Shared};
use tokio::task::AbortHandle;

use crate::failure::{Class, Failure};

type Outcome<T> = Result<T, Failure>;

/// Work that runs at most once at a time. It goes on when a caller gives up, and ends with its owner.
pub(crate) struct SingleFlight<T: Clone>(Mutex<Option<Running<T>>>);

struct Running<T: Clone> {
    result: Shared<BoxFuture<'static, Outcome<T>>>,
    task: AbortHandle,
}

impl<T: Clone + Send + Sync + 'static> SingleFlight<T> {
    pub(crate) fn new() -> Self {
        Self(Mutex::new(None))
    }

    /// Joins what runs, or starts `work`. A finished result is not kept: whoever comes later starts anew.
    pub(crate) fn run<F>(&self, work: impl FnOnce() -> F) -> Shared<BoxFuture<'static, Outcome<T>>>
    where
        F: Future<Output = Outcome<T>> + Send + 'static,
    {
        let mut running = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        if let Some(running) = running.as_ref().filter(|running| !running.task.is_finished()) {
            return running.result.clone();
        }
        let task = tokio::spawn(work());
        let abort = task.abort_handle();
        let result = task
            .map(|ended| {
                ended.unwrap_or_else(|error| {
                    Err(Failure::new(Class::Token, format!("the client is closing: {error}")))
                })
            })
            .boxed()
            .shared();
        *running = Some(Running { result: result.clone(), task: abort });
        result
    }
}

impl<T: Clone> Drop for SingleFlight<T> {
    fn drop(&mut self) {
        if let Some(running) = self.0.get_mut().unwrap_or_else(PoisonError::into_inner) {
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
        let flight = SingleFlight::<usize>::new();
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
        let flight = SingleFlight::<()>::new();
        let (sender, receiver) = tokio::sync::oneshot::channel();
        drop(flight.run(|| async move {
            let _ = sender.send(());
            Ok(())
        }));
        receiver.await.expect("the work ran without a caller");
    }
}
