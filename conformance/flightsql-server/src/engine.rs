//! The SQL engine: DataFusion over tables in memory, made once and shared by the servers of a process.

use std::num::NonZeroUsize;
use std::sync::{Arc, Mutex, PoisonError};

use arrow::array::{
    ArrayRef, BooleanArray, Float64Array, Int64Array, RecordBatch, StringArray, TimestampMillisecondArray,
};
use arrow::datatypes::SchemaRef;
use datafusion::catalog::{MemTable, TableProvider};
use datafusion::common::DataFusionError;
use datafusion::execution::SendableRecordBatchStream;
use datafusion::logical_expr::LogicalPlan;
use datafusion::prelude::{SQLOptions, SessionConfig, SessionContext};
use lru::LruCache;
use tonic::Status;

/// Name of the only catalog.
pub(crate) const CATALOG: &str = "flightcheck";
/// Name of its only schema.
pub(crate) const SCHEMA: &str = "public";
const LOG_ENTRIES: &str = include_str!("../../../fixtures/tables/log_entries.csv");
const METRICS: &str = include_str!("../../../fixtures/tables/metrics.csv");
/// So many plans are kept between GetFlightInfo and DoGet.
const PLANS: usize = 256;

/// SQL engine and tables. Cloning shares them.
#[derive(Clone)]
pub struct Engine {
    context: SessionContext,
    tables: Arc<Vec<(String, SchemaRef)>>,
    plans: Arc<Mutex<LruCache<String, LogicalPlan>>>,
}

impl Engine {
    /// With the demo tables `log_entries`, `metrics` and `wide`.
    pub fn demo() -> Self {
        let config = SessionConfig::new()
            .with_default_catalog_and_schema(CATALOG, SCHEMA)
            .with_target_partitions(1)
            .with_information_schema(false);
        let context = SessionContext::new_with_config(config);
        let mut tables = Vec::new();
        for (name, batch) in [("log_entries", log_entries()), ("metrics", metrics()), ("wide", wide())] {
            let schema = batch.schema();
            let table = MemTable::try_new(schema, vec![vec![batch]]).expect("the batch has its own schema");
            tables.push((name.to_owned(), table.schema()));
            context.register_table(name, Arc::new(table)).expect("the name is free");
        }
        let plans = LruCache::new(NonZeroUsize::new(PLANS).expect("not zero"));
        Self { context, tables: Arc::new(tables), plans: Arc::new(Mutex::new(plans)) }
    }

    /// Names and schemas of all tables.
    pub(crate) fn tables(&self) -> &[(String, SchemaRef)] {
        &self.tables
    }

    /// The schema of a query's result; its plan is kept for a while.
    pub(crate) async fn schema(&self, sql: &str) -> Result<SchemaRef, Status> {
        let plan = self.plan(sql).await?;
        let schema = Arc::new(plan.schema().as_arrow().clone());
        self.plans.lock().unwrap_or_else(PoisonError::into_inner).put(sql.to_owned(), plan);
        Ok(schema)
    }

    /// The result of a query, as it is made.
    pub(crate) async fn execute(&self, sql: &str) -> Result<SendableRecordBatchStream, Status> {
        let kept = self.plans.lock().unwrap_or_else(PoisonError::into_inner).pop(sql);
        let plan = match kept {
            Some(plan) => plan,
            None => self.plan(sql).await?,
        };
        let frame = self.context.execute_logical_plan(plan).await.map_err(refused)?;
        frame.execute_stream().await.map_err(refused)
    }

    async fn plan(&self, sql: &str) -> Result<LogicalPlan, Status> {
        let plan = self.context.state().create_logical_plan(sql).await.map_err(refused)?;
        // Queries only: no DDL, no DML, no COPY, no SET.
        let only_queries =
            SQLOptions::new().with_allow_ddl(false).with_allow_dml(false).with_allow_statements(false);
        only_queries.verify_plan(&plan).map_err(refused)?;
        Ok(plan)
    }
}

/// The caller's SQL is wrong; DataFusion's first line says how.
fn refused(error: DataFusionError) -> Status {
    let text = error.strip_backtrace();
    Status::invalid_argument(text.lines().next().unwrap_or("the query is wrong").to_owned())
}

/// Cells of a fixture: no quotes, no commas in cells.
fn cells(csv: &str) -> Vec<Vec<&str>> {
    csv.lines().skip(1).map(|line| line.split(',').collect()).collect()
}

fn batch(columns: Vec<(&str, ArrayRef)>) -> RecordBatch {
    RecordBatch::try_from_iter(columns).expect("columns of one length")
}

fn text(rows: &[Vec<&str>], at: usize) -> ArrayRef {
    Arc::new(StringArray::from_iter_values(rows.iter().map(|r| r[at])))
}

fn times(rows: &[Vec<&str>], at: usize) -> ArrayRef {
    let text = text(rows, at);
    let wanted =
        arrow::datatypes::DataType::Timestamp(arrow::datatypes::TimeUnit::Millisecond, Some("UTC".into()));
    arrow::compute::cast(&text, &wanted).expect("times in the fixture are RFC 3339")
}

fn log_entries() -> RecordBatch {
    let rows = cells(LOG_ENTRIES);
    batch(vec![
        ("time", times(&rows, 0)),
        ("level", text(&rows, 1)),
        ("target", text(&rows, 2)),
        ("msg", text(&rows, 3)),
        ("process_id", text(&rows, 4)),
    ])
}

fn metrics() -> RecordBatch {
    let rows = cells(METRICS);
    let values = rows.iter().map(|r| r[2].parse::<f64>().expect("values in the fixture are numbers"));
    batch(vec![
        ("time", times(&rows, 0)),
        ("name", text(&rows, 1)),
        ("value", Arc::new(Float64Array::from_iter_values(values))),
        ("unit", text(&rows, 3)),
    ])
}

/// Forty columns of five types, one hundred rows, a null in every seventh cell.
fn wide() -> RecordBatch {
    let rows = 0..100_i64;
    let cell = |row: i64, column: i64| ((row + column) % 7 != 0).then_some(row * 40 + column);
    let columns: Vec<(String, ArrayRef)> = (0..40)
        .map(|column| {
            let cells = rows.clone().map(|row| cell(row, column));
            let array: ArrayRef = match column % 5 {
                0 => Arc::new(Int64Array::from_iter(cells)),
                1 => Arc::new(Float64Array::from_iter(cells.map(|c| c.map(|n| n as f64 / 4.0)))),
                2 => Arc::new(StringArray::from_iter(cells.map(|c| c.map(|n| format!("text {n}"))))),
                3 => Arc::new(BooleanArray::from_iter(cells.map(|c| c.map(|n| n % 2 == 0)))),
                _ => Arc::new(TimestampMillisecondArray::from_iter(cells.map(|c| c.map(|n| n * 1000)))),
            };
            (format!("c{column:02}"), array)
        })
        .collect();
    RecordBatch::try_from_iter_with_nullable(columns.into_iter().map(|(n, a)| (n, a, true)))
        .expect("one length")
}
