//! Prepared statements and tickets: what the server keeps between the calls of a client. Bounded: what was unused for
//! longest goes first.

use std::num::NonZeroUsize;
use std::sync::{Arc, Mutex, PoisonError};

use datafusion::common::ParamValues;
use datafusion::logical_expr::LogicalPlan;
use lru::LruCache;
use tokio_util::sync::CancellationToken;
use tonic::Status;

use crate::ids::Ids;
use crate::snapshot::Snapshot;

/// So many of each are kept.
const KEPT: usize = 4096;

/// A prepared statement.
#[derive(Clone)]
pub(crate) struct Prepared {
    pub(crate) principal: String,
    pub(crate) sql: String,
    pub(crate) transaction: Option<String>,
    /// One set of values for each row that was bound.
    pub(crate) parameters: Arc<Vec<ParamValues>>,
}

/// A statement that was promised a result.
#[derive(Clone)]
pub(crate) struct Promise {
    pub(crate) principal: String,
    pub(crate) sql: String,
    pub(crate) transaction: Option<String>,
    pub(crate) parameters: Arc<Vec<ParamValues>>,
    /// It was a change, and is made: there is nothing to read.
    pub(crate) done: bool,
    /// The plan with the tables that it was made for.
    pub(crate) plan: Option<(Arc<Snapshot>, Arc<LogicalPlan>)>,
    /// Ends the streams of this ticket, and refuses later ones.
    pub(crate) cancel: CancellationToken,
    /// How often it has been read, and how many readers there are.
    pub(crate) readers: Arc<Readers>,
}

/// Who reads, and who has read.
#[derive(Debug, Default)]
pub(crate) struct Readers {
    pub(crate) now: std::sync::atomic::AtomicUsize,
    pub(crate) ended: std::sync::atomic::AtomicUsize,
}

/// Things by id, each of one principal.
pub(crate) struct Kept<T> {
    ids: Ids,
    things: Mutex<LruCache<String, T>>,
}

/// Whose it is.
pub(crate) trait Owned {
    /// The principal that may use it.
    fn owner(&self) -> &str;
}

impl Owned for Prepared {
    fn owner(&self) -> &str {
        &self.principal
    }
}

impl Owned for Promise {
    fn owner(&self) -> &str {
        &self.principal
    }
}

impl<T: Owned + Clone> Kept<T> {
    pub(crate) fn new(kind: &str) -> Self {
        let things = LruCache::new(NonZeroUsize::new(KEPT).expect("not zero"));
        Self { ids: Ids::new(kind), things: Mutex::new(things) }
    }

    pub(crate) fn keep(&self, thing: T) -> String {
        let id = self.ids.next();
        self.things.lock().unwrap_or_else(PoisonError::into_inner).put(id.clone(), thing);
        id
    }

    pub(crate) fn get(&self, principal: &str, id: &str) -> Option<T> {
        let mut things = self.things.lock().unwrap_or_else(PoisonError::into_inner);
        things.get(id).filter(|thing| thing.owner() == principal).cloned()
    }

    pub(crate) fn change(
        &self,
        principal: &str,
        id: &str,
        change: impl FnOnce(&mut T),
    ) -> Result<(), Status> {
        let mut things = self.things.lock().unwrap_or_else(PoisonError::into_inner);
        let thing = things.get_mut(id).filter(|thing| thing.owner() == principal);
        change(thing.ok_or_else(|| Status::not_found("there is no such statement; it may be closed"))?);
        Ok(())
    }

    pub(crate) fn remove(&self, principal: &str, id: &str) {
        let mut things = self.things.lock().unwrap_or_else(PoisonError::into_inner);
        if things.peek(id).is_some_and(|thing| thing.owner() == principal) {
            things.pop(id);
        }
    }
}
