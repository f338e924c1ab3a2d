//! The SQL engine: DataFusion's functions, memory and the tables that a server starts with. Made once, shared by the
//! servers of a process.

use std::collections::BTreeMap;
use std::path::Path;
use std::sync::Arc;
use std::time::SystemTime;

use datafusion::catalog::{MemTable, TableProvider};
use datafusion::execution::SessionState;
use datafusion::execution::memory_pool::FairSpillPool;
use datafusion::execution::runtime_env::RuntimeEnvBuilder;
use datafusion::execution::session_state::SessionStateBuilder;
use datafusion::prelude::SessionConfig;

use crate::demo;
use crate::files::{self, TableError};
use crate::moving::Moving;

/// Name of the only catalog.
pub(crate) const CATALOG: &str = "flightcheck";
/// Name of its only schema.
pub(crate) const SCHEMA: &str = "public";

/// Where the time comes from that moving tables end at.
pub type Clock = Arc<dyn Fn() -> SystemTime + Send + Sync>;

/// Tables by name.
pub(crate) type Tables = BTreeMap<String, Arc<dyn TableProvider>>;

/// SQL engine and the tables that a server starts with. Cloning shares them; what a server changes stays its own.
#[derive(Clone)]
pub struct Engine {
    state: SessionState,
    tables: Arc<Tables>,
    table_memory: usize,
}

/// How much an engine may use.
#[derive(Debug, Clone, Copy)]
pub struct Limits {
    /// Bytes for sorts, joins and groups of all queries at once; past it they spill to disk, or fail.
    pub query_memory: usize,
    /// Bytes for the tables that clients create.
    pub table_memory: usize,
    /// Threads that one query may use.
    pub partitions: usize,
}

impl Default for Limits {
    fn default() -> Self {
        Self { query_memory: 256 << 20, table_memory: 1 << 30, partitions: 1 }
    }
}

impl Engine {
    /// Without any table.
    pub fn new(limits: Limits) -> Self {
        let config = SessionConfig::new()
            .with_default_catalog_and_schema(CATALOG, SCHEMA)
            .with_create_default_catalog_and_schema(false)
            .with_target_partitions(limits.partitions.max(1))
            .with_information_schema(true)
            // Many clients cannot read views of texts.
            .set_bool("datafusion.sql_parser.map_string_types_to_utf8view", false)
            .set_bool("datafusion.execution.parquet.schema_force_view_types", false);
        let runtime = RuntimeEnvBuilder::new()
            .with_memory_pool(Arc::new(FairSpillPool::new(limits.query_memory)))
            .build_arc()
            .expect("a memory pool and the default disk manager need nothing");
        let state = SessionStateBuilder::new()
            .with_config(config)
            .with_runtime_env(runtime)
            .with_default_features()
            .build();
        Self { state, tables: Arc::default(), table_memory: limits.table_memory }
    }

    /// With the demo tables `log_entries`, `metrics` and `wide`, whose rows never change.
    pub fn demo() -> Self {
        let mut engine = Self::new(Limits::default());
        for (name, batch) in demo::tables() {
            let table = MemTable::try_new(batch.schema(), vec![vec![batch]]);
            engine.add(name, Arc::new(table.expect("the batch has its own schema")));
        }
        engine
    }

    /// Adds `log_entries` and `metrics` whose times move with the clock: always the last six hours. The same seed
    /// makes the same rows.
    #[must_use]
    pub fn with_moving_tables(mut self, seed: u64, clock: &Clock) -> Self {
        for table in Moving::all(seed, clock) {
            self.add(table.name(), Arc::new(table));
        }
        self
    }

    /// Adds a table that is read from a CSV, JSON-lines or Parquet file, or a folder of them.
    ///
    /// # Errors
    /// If there is no such file, or it is of another kind.
    pub async fn with_files(mut self, name: &str, path: &Path) -> Result<Self, TableError> {
        if self.tables.contains_key(name) {
            return Err(TableError::Twice { name: name.to_owned() });
        }
        let table = files::table(&self.state, name, path).await?;
        self.add(name, table);
        Ok(self)
    }

    fn add(&mut self, name: &str, table: Arc<dyn TableProvider>) {
        Arc::make_mut(&mut self.tables).insert(name.to_owned(), table);
    }

    pub(crate) fn tables(&self) -> &Tables {
        &self.tables
    }

    pub(crate) fn state(&self) -> &SessionState {
        &self.state
    }

    /// Bytes that the tables of clients may take.
    pub(crate) fn table_memory(&self) -> usize {
        self.table_memory
    }
}
