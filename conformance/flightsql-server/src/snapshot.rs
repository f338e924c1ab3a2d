//! The tables at one moment: never changed, only followed by another snapshot.

use std::sync::Arc;

use arrow::datatypes::SchemaRef;
use datafusion::catalog::memory::{MemoryCatalogProvider, MemoryCatalogProviderList, MemorySchemaProvider};
use datafusion::catalog::{
    CatalogProvider as _, CatalogProviderList as _, MemTable, SchemaProvider as _, TableProvider,
};
use datafusion::common::TableReference;
use datafusion::execution::SendableRecordBatchStream;
use datafusion::execution::session_state::SessionStateBuilder;
use datafusion::logical_expr::{DdlStatement, LogicalPlan, WriteOp};
use datafusion::prelude::{SQLOptions, SessionContext};
use futures::FutureExt as _;
use futures::future::BoxFuture;
use tonic::Status;

use crate::engine::{CATALOG, Engine, SCHEMA, Tables};
use crate::error::refused;

/// Tables, and DataFusion's view of them.
pub(crate) struct Snapshot {
    tables: Tables,
    context: SessionContext,
}

/// What a statement is about to do.
pub(crate) enum Statement {
    /// It reads.
    Query(Box<LogicalPlan>),
    /// It changes this table.
    Change(Box<LogicalPlan>, String),
}

impl Snapshot {
    pub(crate) fn new(engine: &Engine, tables: Tables) -> Self {
        let schema = MemorySchemaProvider::new();
        for (name, table) in &tables {
            schema.register_table(name.clone(), table.clone()).expect("the name is there once");
        }
        let catalog = MemoryCatalogProvider::new();
        catalog.register_schema(SCHEMA, Arc::new(schema)).expect("a catalog in memory takes every schema");
        let catalogs = MemoryCatalogProviderList::new();
        catalogs.register_catalog(CATALOG.to_owned(), Arc::new(catalog));
        let state = SessionStateBuilder::new_from_existing(engine.state().clone())
            .with_catalog_list(Arc::new(catalogs))
            .build();
        Self { tables, context: SessionContext::new_with_state(state) }
    }

    pub(crate) fn tables(&self) -> &Tables {
        &self.tables
    }

    pub(crate) fn context(&self) -> &SessionContext {
        &self.context
    }

    /// Name, schema of every table, in the order of names.
    pub(crate) fn schemas(&self) -> impl Iterator<Item = (&str, SchemaRef)> {
        self.tables.iter().map(|(name, table)| (name.as_str(), table.schema()))
    }

    /// Plans a statement and tells queries from changes; everything else is refused.
    /// (Boxed, like [`Snapshot::execute`]: the compiler takes a minute to look through DataFusion's futures again for
    /// each caller.)
    pub(crate) fn plan<'s>(&'s self, sql: &'s str) -> BoxFuture<'s, Result<Statement, Status>> {
        let planned = async move {
            let plan = self.context.state().create_logical_plan(sql).await.map_err(refused)?;
            if let Some(target) = target(&plan)? {
                return Ok(Statement::Change(Box::new(plan), target));
            }
            let only_queries =
                SQLOptions::new().with_allow_ddl(false).with_allow_dml(false).with_allow_statements(false);
            only_queries.verify_plan(&plan).map_err(refused)?;
            Ok(Statement::Query(Box::new(plan)))
        };
        planned.boxed()
    }

    /// Runs a plan; its rows come as they are made.
    pub(crate) fn execute(
        &self,
        plan: LogicalPlan,
    ) -> BoxFuture<'_, Result<SendableRecordBatchStream, Status>> {
        let executed = async move {
            let frame = self.context.execute_logical_plan(plan).await.map_err(refused)?;
            frame.execute_stream().await.map_err(refused)
        };
        executed.boxed()
    }
}

/// The table that a plan changes, if it is one that this server carries out.
fn target(plan: &LogicalPlan) -> Result<Option<String>, Status> {
    let unsupported = |what: &str| {
        Err(Status::unimplemented(format!(
            "{what} is not supported; of changes there are CREATE TABLE, DROP TABLE, INSERT, UPDATE and DELETE"
        )))
    };
    match plan {
        LogicalPlan::Dml(dml) => match &dml.op {
            WriteOp::Insert(_) | WriteOp::Delete | WriteOp::Update => own_name(&dml.table_name).map(Some),
            op => unsupported(op.name()),
        },
        LogicalPlan::Ddl(DdlStatement::CreateMemoryTable(create)) if create.temporary => {
            unsupported("a temporary table")
        }
        LogicalPlan::Ddl(DdlStatement::CreateMemoryTable(create)) => own_name(&create.name).map(Some),
        LogicalPlan::Ddl(DdlStatement::DropTable(drop)) => own_name(&drop.name).map(Some),
        LogicalPlan::Ddl(other) => unsupported(other.name()),
        LogicalPlan::Copy(_) => unsupported("COPY"),
        _ => Ok(None),
    }
}

/// The bare name of a table of the only schema.
pub(crate) fn own_name(table: &TableReference) -> Result<String, Status> {
    let foreign =
        table.catalog().is_some_and(|c| c != CATALOG) || table.schema().is_some_and(|s| s != SCHEMA);
    if foreign {
        return Err(Status::not_found(format!(
            "tables can only be changed in {CATALOG}.{SCHEMA}, not `{table}`"
        )));
    }
    Ok(table.table().to_owned())
}

/// The rows of a table in memory. What is read from files, or moves with the clock, cannot be changed.
pub(crate) fn changeable<'t>(table: &'t Arc<dyn TableProvider>, name: &str) -> Result<&'t MemTable, Status> {
    table.downcast_ref::<MemTable>().ok_or_else(|| {
        Status::failed_precondition(format!("the table `{name}` cannot be changed: it is read-only"))
    })
}
