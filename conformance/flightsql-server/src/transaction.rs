//! Transactions and savepoints: a transaction works on a line of snapshots of its own, and commits it as a whole unless
//! another changed one of its tables (snapshot isolation, first committer wins).

use std::collections::BTreeSet;
use std::num::NonZeroUsize;
use std::sync::{Arc, Mutex, PoisonError};

use arrow_flight::sql::EndTransaction;
use lru::LruCache;
use tonic::Status;

use crate::database::Database;
use crate::ids::Ids;
use crate::snapshot::Snapshot;

/// So many may be open; the one unused for longest is rolled back for the next.
const OPEN: usize = 1024;

struct Transaction {
    principal: String,
    base: Arc<Snapshot>,
    now: Arc<Snapshot>,
    changed: BTreeSet<String>,
    savepoints: Vec<Savepoint>,
}

struct Savepoint {
    id: String,
    snapshot: Arc<Snapshot>,
    changed: BTreeSet<String>,
}

/// How a savepoint ends (FlightSql.proto, `ActionEndSavepointRequest.EndSavepoint`; arrow-flight does not export it).
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum EndSavepoint {
    Unspecified,
    Release,
    Rollback,
}

impl EndSavepoint {
    pub(crate) fn of(value: i32) -> Self {
        match value {
            1 => Self::Release,
            2 => Self::Rollback,
            _ => Self::Unspecified,
        }
    }
}

/// The open transactions of a server.
pub(crate) struct Transactions {
    open: Mutex<LruCache<String, Transaction>>,
    ids: Ids,
}

impl Transactions {
    pub(crate) fn new() -> Self {
        let open = LruCache::new(NonZeroUsize::new(OPEN).expect("not zero"));
        Self { open: Mutex::new(open), ids: Ids::new("tx") }
    }

    pub(crate) fn begin(&self, principal: &str, base: Arc<Snapshot>) -> String {
        let id = self.ids.next();
        let transaction = Transaction {
            principal: principal.to_owned(),
            now: base.clone(),
            base,
            changed: BTreeSet::new(),
            savepoints: Vec::new(),
        };
        self.open.lock().unwrap_or_else(PoisonError::into_inner).put(id.clone(), transaction);
        id
    }

    /// The tables as the transaction has them.
    pub(crate) fn snapshot(&self, principal: &str, id: &str) -> Result<Arc<Snapshot>, Status> {
        self.with(principal, id, |transaction| Ok(transaction.now.clone()))
    }

    /// Takes the next snapshot of a transaction, which was made from this one.
    pub(crate) fn advance(
        &self,
        principal: &str,
        id: &str,
        from: &Arc<Snapshot>,
        next: Arc<Snapshot>,
        changed: BTreeSet<String>,
    ) -> Result<(), Status> {
        self.with(principal, id, |transaction| {
            if !Arc::ptr_eq(&transaction.now, from) {
                return Err(Status::aborted(
                    "two changes at once in one transaction; make them one after the other",
                ));
            }
            transaction.now = next;
            transaction.changed.extend(changed);
            Ok(())
        })
    }

    pub(crate) fn end(
        &self,
        principal: &str,
        id: &str,
        how: EndTransaction,
        database: &Database,
    ) -> Result<(), Status> {
        self.with(principal, id, |_| Ok(()))?;
        let ended = self.open.lock().unwrap_or_else(PoisonError::into_inner).pop(id);
        let transaction = ended.ok_or_else(no_transaction)?;
        match how {
            EndTransaction::Unspecified => {
                Err(Status::invalid_argument("commit or roll back: the action says neither"))
            }
            EndTransaction::Rollback => Ok(()),
            EndTransaction::Commit => {
                match database.commit(&transaction.base, &transaction.now, &transaction.changed) {
                    true => Ok(()),
                    false => {
                        Err(Status::aborted("another changed the same table; the transaction is rolled back"))
                    }
                }
            }
        }
    }

    pub(crate) fn save(&self, principal: &str, id: &str) -> Result<String, Status> {
        // The savepoint's handle names its transaction, because the action to end it does not.
        let savepoint = format!("{id}/{}", self.ids.next());
        self.with(principal, id, |transaction| {
            transaction.savepoints.push(Savepoint {
                id: savepoint.clone(),
                snapshot: transaction.now.clone(),
                changed: transaction.changed.clone(),
            });
            Ok(savepoint)
        })
    }

    pub(crate) fn end_savepoint(
        &self,
        principal: &str,
        savepoint: &str,
        how: EndSavepoint,
    ) -> Result<(), Status> {
        let missing =
            || Status::not_found("there is no such savepoint; it may be released or its transaction ended");
        let (id, _) = savepoint.split_once('/').ok_or_else(missing)?;
        self.with(principal, id, |transaction| {
            let at = transaction.savepoints.iter().position(|s| s.id == savepoint).ok_or_else(missing)?;
            match how {
                EndSavepoint::Unspecified => {
                    return Err(Status::invalid_argument("release or roll back: the action says neither"));
                }
                EndSavepoint::Release => transaction.savepoints.truncate(at),
                EndSavepoint::Rollback => {
                    let kept = &transaction.savepoints[at];
                    transaction.now = kept.snapshot.clone();
                    transaction.changed = kept.changed.clone();
                    transaction.savepoints.truncate(at + 1);
                }
            }
            Ok(())
        })
    }

    fn with<T>(
        &self,
        principal: &str,
        id: &str,
        act: impl FnOnce(&mut Transaction) -> Result<T, Status>,
    ) -> Result<T, Status> {
        let mut open = self.open.lock().unwrap_or_else(PoisonError::into_inner);
        let own = open.get_mut(id).filter(|transaction| transaction.principal == principal);
        act(own.ok_or_else(no_transaction)?)
    }
}

fn no_transaction() -> Status {
    Status::not_found("there is no such transaction; it may have ended")
}
