//! Statements: planned when they are described, run when they are read.

use std::collections::BTreeSet;
use std::sync::Arc;
use std::sync::atomic::Ordering;

use arrow::array::RecordBatch;
use arrow::datatypes::{Schema, SchemaRef};
use arrow_flight::encode::FlightDataEncoderBuilder;
use arrow_flight::error::FlightError;
use arrow_flight::{FlightData, FlightDescriptor, FlightEndpoint, FlightInfo, Ticket};
use bytes::Bytes;
use datafusion::common::ParamValues;
use datafusion::logical_expr::LogicalPlan;
use futures::future::BoxFuture;
use futures::stream::{self, BoxStream};
use futures::{StreamExt as _, TryStreamExt as _};
use tokio_util::sync::CancellationToken;
use tonic::{Response, Status};

use crate::database::Database;
use crate::engine::Engine;
use crate::error::{failed, refused};
use crate::handle::Handle;
use crate::metadata;
use crate::parameters;
use crate::session::Sessions;
use crate::snapshot::{Snapshot, Statement};
use crate::statements::{Kept, Prepared, Promise, Readers};
use crate::transaction::Transactions;

/// Flight SQL over the tables of one server.
pub(crate) struct Sql {
    pub(crate) database: Database,
    pub(crate) transactions: Transactions,
    pub(crate) prepared: Kept<Prepared>,
    pub(crate) promises: Kept<Promise>,
    pub(crate) sessions: Sessions,
    pub(crate) facts: metadata::Facts,
    /// Where endpoints say that results are.
    pub(crate) locations: Vec<String>,
}

/// Who calls.
#[derive(Debug, Clone)]
pub(crate) struct Caller {
    pub(crate) principal: String,
}

/// A statement as a client asks for it.
pub(crate) struct Wanted {
    pub(crate) sql: String,
    pub(crate) transaction: Option<String>,
    pub(crate) parameters: Arc<Vec<ParamValues>>,
}

pub(crate) type Messages = BoxStream<'static, Result<FlightData, Status>>;
pub(crate) type Answer<T> = Result<Response<T>, Status>;

impl Sql {
    pub(crate) fn new(engine: Engine, locations: Vec<String>) -> Self {
        Self {
            database: Database::new(engine),
            transactions: Transactions::new(),
            prepared: Kept::new("ps"),
            promises: Kept::new("tk"),
            sessions: Sessions::new(),
            facts: metadata::Facts::new(),
            locations,
        }
    }

    /// The tables that a statement sees.
    pub(crate) fn tables(&self, caller: &Caller, transaction: Option<&str>) -> Result<Arc<Snapshot>, Status> {
        match transaction {
            Some(id) => self.transactions.snapshot(&caller.principal, id),
            None => Ok(self.database.snapshot()),
        }
    }

    /// The schema of a statement's result, and a handle to read it with. Changes have no result: an empty schema, by
    /// which JDBC knows them.
    pub(crate) fn promise<'s>(
        &'s self,
        caller: &'s Caller,
        wanted: Wanted,
    ) -> BoxFuture<'s, Result<(SchemaRef, Bytes), Status>> {
        Box::pin(async move {
            let snapshot = self.tables(caller, wanted.transaction.as_deref())?;
            let sql = parameters::numbered(&wanted.sql);
            let (schema, plan) = match snapshot.plan(&sql).await? {
                Statement::Query(plan) => {
                    let schema = match wanted.parameters.first() {
                        Some(values) => {
                            let bound = plan.clone().replace_params_with_values(values).map_err(refused)?;
                            Arc::new(bound.schema().as_arrow().clone())
                        }
                        None => Arc::new(plan.schema().as_arrow().clone()),
                    };
                    (schema, Some((snapshot, Arc::new(*plan))))
                }
                Statement::Change(..) => (Arc::new(Schema::empty()), None),
            };
            let promise = Promise {
                principal: caller.principal.clone(),
                sql: wanted.sql.clone(),
                transaction: wanted.transaction,
                parameters: wanted.parameters,
                plan,
                cancel: CancellationToken::new(),
                readers: Arc::default(),
            };
            let id = self.promises.keep(promise);
            Ok((schema, Handle { sql: wanted.sql, id: Some(id) }.encode()))
        })
    }

    /// What a prepared statement's handle stands for: SQL and the values bound last.
    pub(crate) fn prepared(&self, caller: &Caller, handle: &[u8]) -> Result<Wanted, Status> {
        let handle = Handle::decode(handle)?;
        let Some(id) = handle.id else {
            return Ok(Wanted { sql: handle.sql, transaction: None, parameters: Arc::default() });
        };
        let prepared = self.prepared.get(&caller.principal, &id);
        let Prepared { sql, transaction, parameters, .. } = prepared
            .ok_or_else(|| Status::not_found("there is no such prepared statement; it may be closed"))?;
        Ok(Wanted { sql, transaction, parameters })
    }

    /// Reads a statement's result by its handle, of a ticket, a prepared statement or a client's own making.
    pub(crate) fn read<'s>(
        &'s self,
        caller: &'s Caller,
        handle: &'s [u8],
    ) -> BoxFuture<'s, Answer<Messages>> {
        Box::pin(async move {
            let decoded = Handle::decode(handle)?;
            let promise = decoded.id.as_ref().and_then(|id| self.promises.get(&caller.principal, id));
            let promise = match promise {
                Some(promise) => promise,
                None => {
                    // A ticket that was kept too long ago is still as good as its SQL.
                    let wanted = match decoded.id {
                        Some(id) if id.starts_with("tk-") => {
                            Wanted { sql: decoded.sql, transaction: None, parameters: Arc::default() }
                        }
                        _ => self.prepared(caller, handle)?,
                    };
                    Promise {
                        principal: caller.principal.clone(),
                        sql: wanted.sql,
                        transaction: wanted.transaction,
                        parameters: wanted.parameters,
                        plan: None,
                        cancel: CancellationToken::new(),
                        readers: Arc::default(),
                    }
                }
            };
            if promise.cancel.is_cancelled() {
                return Err(Status::cancelled("the query was cancelled"));
            }
            let reading = Reading::begin(&promise.readers);
            let (schema, rows) = self.run(caller, &promise).await?;
            let stopped = promise.cancel.clone();
            let rows = rows.take_until(promise.cancel.clone().cancelled_owned()).chain(
                stream::once(async move { stopped.is_cancelled() }).filter_map(async |stopped| {
                    stopped.then(|| Err(Status::cancelled("the query was cancelled")))
                }),
            );
            Ok(Response::new(encoded(schema, rows.inspect(move |_| _ = &reading).boxed())))
        })
    }

    async fn run(&self, caller: &Caller, promise: &Promise) -> Result<(SchemaRef, Rows), Status> {
        let sql = parameters::numbered(&promise.sql);
        let (snapshot, plan) = match &promise.plan {
            Some((snapshot, plan)) => (snapshot.clone(), plan.clone()),
            None => {
                let snapshot = self.tables(caller, promise.transaction.as_deref())?;
                match snapshot.plan(&sql).await? {
                    Statement::Query(plan) => (snapshot, Arc::new(*plan)),
                    Statement::Change(..) => {
                        if promise.readers.ended.load(Ordering::SeqCst) > 0 {
                            return Err(Status::failed_precondition(
                                "the change was made already; ask for a new ticket",
                            ));
                        }
                        self.update(
                            caller,
                            &promise.sql,
                            promise.transaction.as_deref(),
                            &promise.parameters,
                        )
                        .await?;
                        return Ok((Arc::new(Schema::empty()), stream::empty().boxed()));
                    }
                }
            }
        };
        let mut values = promise.parameters.iter();
        let (schema, first) = result(&snapshot, &plan, values.next()).await?;
        let rest: Vec<ParamValues> = values.cloned().collect();
        if rest.is_empty() {
            return Ok((schema, first));
        }
        // Each further row of parameters runs when the rows of the one before are read.
        let others = stream::iter(rest).then(move |values| {
            let (snapshot, plan) = (snapshot.clone(), plan.clone());
            async move { Ok::<_, Status>(result(&snapshot, &plan, Some(&values)).await?.1) }
        });
        Ok((schema, first.chain(others.try_flatten()).boxed()))
    }

    /// Carries out a change, in its transaction or at once.
    pub(crate) fn update<'s>(
        &'s self,
        caller: &'s Caller,
        sql: &'s str,
        transaction: Option<&'s str>,
        values: &'s [ParamValues],
    ) -> BoxFuture<'s, Result<i64, Status>> {
        Box::pin(async move {
            let sql = parameters::numbered(sql);
            let Some(id) = transaction else { return self.database.update(&sql, values).await };
            let base = self.transactions.snapshot(&caller.principal, id)?;
            let (next, changed, rows) = self.database.updated(&base, &sql, values).await?;
            self.transactions.advance(&caller.principal, id, &base, next, changed)?;
            Ok(rows)
        })
    }

    /// Puts rows into a table that is made if it is not there; `keep` says whether its old rows stay.
    pub(crate) fn ingest<'s>(
        &'s self,
        caller: &'s Caller,
        table: &'s str,
        keep: bool,
        transaction: Option<&'s str>,
        schema: SchemaRef,
        rows: BoxStream<'static, Result<RecordBatch, Status>>,
    ) -> BoxFuture<'s, Result<i64, Status>> {
        Box::pin(async move {
            let base = self.tables(caller, transaction)?;
            let (next, count) = self.database.appended(&base, table, keep, schema, rows).await?;
            let changed = BTreeSet::from([table.to_owned()]);
            match transaction {
                Some(id) => self.transactions.advance(&caller.principal, id, &base, next, changed)?,
                None if self.database.commit(&base, &next, &changed) => {}
                None => return Err(Status::aborted("another changed the same table; try again")),
            }
            Ok(count)
        })
    }

    /// One endpoint, at the configured places; none means this very connection.
    pub(crate) fn info(
        &self,
        schema: &Schema,
        ticket: Bytes,
        descriptor: FlightDescriptor,
    ) -> Answer<FlightInfo> {
        let endpoint = FlightEndpoint::new().with_ticket(Ticket::new(ticket));
        let endpoint = self.locations.iter().fold(endpoint, |e, location| e.with_location(location));
        let info = FlightInfo::new()
            .try_with_schema(schema)
            .map_err(failed)?
            .with_endpoint(endpoint)
            .with_descriptor(descriptor)
            .with_total_records(-1)
            .with_total_bytes(-1);
        Ok(Response::new(info))
    }
}

type Rows = BoxStream<'static, Result<RecordBatch, Status>>;

async fn result(
    snapshot: &Snapshot,
    plan: &LogicalPlan,
    values: Option<&ParamValues>,
) -> Result<(SchemaRef, Rows), Status> {
    let plan = match values {
        Some(values) => plan.clone().replace_params_with_values(values).map_err(refused)?,
        None => plan.clone(),
    };
    let rows = snapshot.execute(plan).await?;
    Ok((rows.schema(), rows.map_err(refused).boxed()))
}

/// Rows as Flight sends them: the schema first.
pub(crate) fn encoded(schema: SchemaRef, rows: Rows) -> Messages {
    let rows = rows.map_err(|status| FlightError::Tonic(Box::new(status)));
    FlightDataEncoderBuilder::new().with_schema(schema).build(rows).map_err(Status::from).boxed()
}

/// Counts a reader of a promise for as long as it lives.
struct Reading(Arc<Readers>);

impl Reading {
    fn begin(readers: &Arc<Readers>) -> Self {
        readers.now.fetch_add(1, Ordering::SeqCst);
        Self(readers.clone())
    }
}

impl Drop for Reading {
    fn drop(&mut self) {
        self.0.now.fetch_sub(1, Ordering::SeqCst);
        self.0.ended.fetch_add(1, Ordering::SeqCst);
    }
}
