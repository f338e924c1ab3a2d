//! The tables of one server: snapshots that follow each other. A statement sees one snapshot; a change is made beside
//! it and takes its place if nobody changed the same table meanwhile.

use std::collections::BTreeSet;
use std::sync::{Arc, Mutex, PoisonError};

use arrow::array::RecordBatch;
use arrow::datatypes::SchemaRef;
use datafusion::catalog::{MemTable, TableProvider};
use datafusion::common::ParamValues;
use datafusion::logical_expr::dml::InsertOp;
use datafusion::logical_expr::logical_plan::CreateMemoryTable;
use datafusion::logical_expr::{DdlStatement, LogicalPlan, WriteOp};
use futures::future::BoxFuture;
use futures::{Stream, StreamExt as _, TryStreamExt as _};
use tonic::Status;

use crate::engine::{Engine, Tables};
use crate::error::refused;
use crate::snapshot::{Snapshot, Statement, changeable};

/// A change that loses the race for its table is made anew this often.
const ATTEMPTS: usize = 16;

/// The tables of one server.
pub(crate) struct Database {
    engine: Engine,
    current: Mutex<Arc<Snapshot>>,
}

/// What a change makes of a table: its new rows, or nothing.
struct Change {
    name: String,
    table: Option<Arc<dyn TableProvider>>,
    rows: i64,
}

/// The snapshot after a change, the tables that it touches, and how many rows.
type Updated = (Arc<Snapshot>, BTreeSet<String>, i64);

impl Database {
    pub(crate) fn new(engine: Engine) -> Self {
        let first = Snapshot::new(&engine, engine.tables().clone());
        Self { current: Mutex::new(Arc::new(first)), engine }
    }

    /// The tables as they are now.
    pub(crate) fn snapshot(&self) -> Arc<Snapshot> {
        self.current.lock().unwrap_or_else(PoisonError::into_inner).clone()
    }

    /// Carries out a change with each row of parameters, all or none; so many rows are changed.
    pub(crate) async fn update(&self, sql: &str, parameters: &[ParamValues]) -> Result<i64, Status> {
        for _ in 0..ATTEMPTS {
            let base = self.snapshot();
            let (next, changed, rows) = self.updated(&base, sql, parameters).await?;
            if self.commit(&base, &next, &changed) {
                return Ok(rows);
            }
        }
        Err(Status::aborted("others keep changing the same table; try again"))
    }

    /// The snapshot after a change, the tables that it touches, and how many rows.
    pub(crate) fn updated<'s>(
        &'s self,
        base: &'s Arc<Snapshot>,
        sql: &'s str,
        parameters: &'s [ParamValues],
    ) -> BoxFuture<'s, Result<Updated, Status>> {
        Box::pin(async move {
            let (mut snapshot, mut changed, mut rows) = (base.clone(), BTreeSet::new(), 0);
            let once = [ParamValues::List(Vec::new())];
            for values in if parameters.is_empty() { &once } else { parameters } {
                let change = self.change(&snapshot, sql, values).await?;
                rows = if change.rows < 0 { -1 } else { rows + change.rows };
                changed.insert(change.name.clone());
                snapshot = self.after(&snapshot, change);
            }
            Ok((snapshot, changed, rows))
        })
    }

    /// The snapshot with more rows in a table, which is made, or made anew, if the flag says so.
    pub(crate) async fn appended(
        &self,
        base: &Arc<Snapshot>,
        name: &str,
        keep: bool,
        schema: SchemaRef,
        rows: impl Stream<Item = Result<RecordBatch, Status>> + Unpin,
    ) -> Result<(Arc<Snapshot>, i64), Status> {
        let old = base.tables().get(name).filter(|_| keep);
        let old = old.map(|table| changeable(table, name)).transpose()?;
        let schema = old.map_or(schema, |table| table.schema());
        let (table, count) = self.grown(base, name, old, schema, rows).await?;
        let change = Change { name: name.to_owned(), table: Some(table), rows: count };
        Ok((self.after(base, change), count))
    }

    /// Makes the changes between two snapshots current, unless one of these tables was changed by another.
    pub(crate) fn commit(&self, base: &Snapshot, next: &Snapshot, changed: &BTreeSet<String>) -> bool {
        let mut current = self.current.lock().unwrap_or_else(PoisonError::into_inner);
        let same = |name: &String| match (current.tables().get(name), base.tables().get(name)) {
            (Some(now), Some(then)) => Arc::ptr_eq(now, then),
            (None, None) => true,
            (Some(_), None) | (None, Some(_)) => false,
        };
        if !changed.iter().all(same) {
            return false;
        }
        let mut tables = current.tables().clone();
        for name in changed {
            match next.tables().get(name) {
                Some(table) => tables.insert(name.clone(), table.clone()),
                None => tables.remove(name),
            };
        }
        *current = Arc::new(Snapshot::new(&self.engine, tables));
        true
    }

    fn after(&self, base: &Snapshot, change: Change) -> Arc<Snapshot> {
        let mut tables: Tables = base.tables().clone();
        match change.table {
            Some(table) => tables.insert(change.name, table),
            None => tables.remove(&change.name),
        };
        Arc::new(Snapshot::new(&self.engine, tables))
    }

    async fn change(&self, base: &Arc<Snapshot>, sql: &str, values: &ParamValues) -> Result<Change, Status> {
        let Statement::Change(plan, name) = base.plan(sql).await? else {
            return Err(Status::invalid_argument("the statement changes nothing; run it as a query"));
        };
        let plan = plan.replace_params_with_values(values).map_err(refused)?;
        let old = base.tables().get(&name);
        let (table, rows) = match plan {
            LogicalPlan::Ddl(DdlStatement::CreateMemoryTable(create)) => {
                return self.create(base, name, create).await;
            }
            LogicalPlan::Ddl(DdlStatement::DropTable(drop)) => {
                match old {
                    Some(table) => changeable(table, &name).map(|_| ())?,
                    None if drop.if_exists => {}
                    None => return Err(Status::not_found(format!("there is no table `{name}`"))),
                }
                (None, 0)
            }
            LogicalPlan::Dml(dml) => {
                let old = old.ok_or_else(|| Status::not_found(format!("there is no table `{name}`")))?;
                let old = changeable(old, &name)?;
                let (table, rows) = if let WriteOp::Insert(kind) = dml.op {
                    let kept = (kind == InsertOp::Append).then_some(old);
                    let rows = rows_of(base, Arc::unwrap_or_clone(dml.input)).await?;
                    self.grown(base, &name, kept, old.schema(), rows).await?
                } else {
                    self.rewritten(base, &name, old, sql, values).await?
                };
                (Some(table), rows)
            }
            other => return Err(Status::internal(format!("{} is no change", other.display()))),
        };
        Ok(Change { name, table, rows })
    }

    async fn create(
        &self,
        base: &Snapshot,
        name: String,
        create: CreateMemoryTable,
    ) -> Result<Change, Status> {
        if let Some(old) = base.tables().get(&name) {
            if create.if_not_exists {
                return Ok(Change { name, table: Some(old.clone()), rows: 0 });
            }
            if !create.or_replace {
                return Err(Status::already_exists(format!("the table `{name}` exists")));
            }
            changeable(old, &name)?;
        }
        let input = base.context().state().optimize(&create.input).map_err(refused)?;
        let schema = Arc::new(input.schema().as_arrow().clone());
        let empty = MemTable::try_new(schema.clone(), vec![vec![]])
            .map_err(refused)?
            .with_constraints(create.constraints)
            .with_column_defaults(create.column_defaults.into_iter().collect());
        let rows = rows_of(base, input).await?;
        let (table, rows) = self.grown(base, &name, Some(&empty), schema, rows).await?;
        Ok(Change { name, table: Some(table), rows })
    }

    /// UPDATE and DELETE: DataFusion does them in place, so they are done on a copy.
    async fn rewritten(
        &self,
        base: &Snapshot,
        name: &str,
        old: &MemTable,
        sql: &str,
        values: &ParamValues,
    ) -> Result<(Arc<dyn TableProvider>, i64), Status> {
        let copy: Arc<dyn TableProvider> = Arc::new(copied(old, kept_rows(old).await)?);
        let mut tables = base.tables().clone();
        tables.insert(name.to_owned(), copy.clone());
        let beside = Snapshot::new(&self.engine, tables);
        let Statement::Change(plan, _) = beside.plan(sql).await? else {
            return Err(Status::internal("a change became a query"));
        };
        let plan = plan.replace_params_with_values(values).map_err(refused)?;
        let counts: Vec<RecordBatch> = beside.execute(plan).await?.map_err(refused).try_collect().await?;
        let rows = counts.iter().flat_map(|batch| batch.columns().first().map(count_in)).sum();
        Ok((copy, rows))
    }

    /// A table with these rows after the old ones, within the memory for tables.
    async fn grown(
        &self,
        base: &Snapshot,
        name: &str,
        old: Option<&MemTable>,
        schema: SchemaRef,
        mut rows: impl Stream<Item = Result<RecordBatch, Status>> + Unpin,
    ) -> Result<(Arc<dyn TableProvider>, i64), Status> {
        let mut batches = match old {
            Some(old) => kept_rows(old).await,
            None => Vec::new(),
        };
        let mut left = self.engine.table_memory().saturating_sub(memory_of(base, name, &batches).await);
        let mut count = 0;
        while let Some(batch) = rows.next().await {
            let batch = fitted(&batch?, &schema)?;
            left = left.checked_sub(batch.get_array_memory_size()).ok_or_else(|| {
                Status::resource_exhausted(
                    "the tables take more memory than they may; drop some, or raise the limit",
                )
            })?;
            count += i64::try_from(batch.num_rows()).unwrap_or(i64::MAX);
            batches.push(batch);
        }
        let table = match old {
            Some(old) => copied(old, batches)?,
            None => MemTable::try_new(schema, vec![batches]).map_err(refused)?,
        };
        Ok((Arc::new(table), count))
    }
}

/// Another table with the same columns and rules.
fn copied(old: &MemTable, rows: Vec<RecordBatch>) -> Result<MemTable, Status> {
    let schema = old.schema();
    let defaults = schema.fields().iter().filter_map(|field| {
        old.get_column_default(field.name()).map(|value| (field.name().clone(), value.clone()))
    });
    let copy = MemTable::try_new(old.schema(), vec![rows])
        .map_err(refused)?
        .with_column_defaults(defaults.collect());
    Ok(match old.constraints() {
        Some(constraints) => copy.with_constraints(constraints.clone()),
        None => copy,
    })
}

async fn kept_rows(table: &MemTable) -> Vec<RecordBatch> {
    let mut rows = Vec::new();
    for partition in &table.batches {
        rows.extend(partition.read().await.iter().cloned());
    }
    rows
}

/// Bytes of all tables in memory, with these rows for one of them.
async fn memory_of(base: &Snapshot, name: &str, rows: &[RecordBatch]) -> usize {
    let mut bytes = rows.iter().map(RecordBatch::get_array_memory_size).sum();
    for table in
        base.tables().iter().filter(|(n, _)| *n != name).filter_map(|(_, t)| t.downcast_ref::<MemTable>())
    {
        bytes += kept_rows(table).await.iter().map(RecordBatch::get_array_memory_size).sum::<usize>();
    }
    bytes
}

async fn rows_of(
    base: &Snapshot,
    plan: LogicalPlan,
) -> Result<impl Stream<Item = Result<RecordBatch, Status>> + Unpin + use<>, Status> {
    Ok(base.execute(plan).await?.map_err(refused))
}

/// The rows as the table has them: column by column in order, or by name if the names are the same ones.
fn fitted(batch: &RecordBatch, schema: &SchemaRef) -> Result<RecordBatch, Status> {
    if batch.num_columns() != schema.fields().len() {
        let (given, wanted) = (batch.num_columns(), schema.fields().len());
        return Err(Status::invalid_argument(format!(
            "the rows have {given} columns, the table has {wanted}"
        )));
    }
    let by_name = schema.fields().iter().all(|field| batch.column_by_name(field.name()).is_some());
    let columns = schema.fields().iter().enumerate().map(|(nth, field)| {
        let column =
            batch.column_by_name(field.name()).filter(|_| by_name).unwrap_or_else(|| batch.column(nth));
        arrow::compute::cast(column, field.data_type())
            .map_err(|e| Status::invalid_argument(format!("column `{}`: {e}", field.name())))
    });
    let columns = columns.collect::<Result<Vec<_>, _>>()?;
    RecordBatch::try_new(schema.clone(), columns).map_err(|e| Status::invalid_argument(e.to_string()))
}

/// DataFusion's answer to a change: how many rows.
fn count_in(column: &arrow::array::ArrayRef) -> i64 {
    use arrow::array::AsArray as _;
    column
        .as_primitive_opt::<arrow::datatypes::UInt64Type>()
        .filter(|counts| !counts.is_empty())
        .map_or(0, |counts| i64::try_from(counts.value(0)).unwrap_or(i64::MAX))
}
