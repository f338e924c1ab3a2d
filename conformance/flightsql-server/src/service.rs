//! Flight SQL: what each command answers. Who may ask was decided before.

use std::sync::Arc;

use arrow::array::RecordBatch;
use arrow::datatypes::{DataType, Field, Schema, SchemaRef};
use arrow::ipc::writer::IpcWriteOptions;
use arrow_flight::encode::FlightDataEncoderBuilder;
use arrow_flight::error::FlightError;
use arrow_flight::flight_service_server::FlightService;
use arrow_flight::sql::metadata::{SqlInfoData, XdbcTypeInfoData};
use arrow_flight::sql::server::FlightSqlService;
use arrow_flight::sql::{
    ActionClosePreparedStatementRequest, ActionCreatePreparedStatementRequest,
    ActionCreatePreparedStatementResult, CommandGetCatalogs, CommandGetCrossReference, CommandGetDbSchemas,
    CommandGetExportedKeys, CommandGetImportedKeys, CommandGetPrimaryKeys, CommandGetSqlInfo,
    CommandGetTableTypes, CommandGetTables, CommandGetXdbcTypeInfo, CommandPreparedStatementQuery,
    CommandStatementQuery, ProstMessageExt, SqlInfo, TicketStatementQuery,
};
use arrow_flight::{Action, FlightDescriptor, FlightEndpoint, FlightInfo, IpcMessage, SchemaAsIpc, Ticket};
use futures::{StreamExt as _, TryStreamExt as _};
use prost::Message as _;
use tonic::{Request, Response, Status};

use crate::engine::{CATALOG, Engine, SCHEMA};
use crate::metadata;

/// Flight SQL over an engine.
pub(crate) struct Sql {
    engine: Engine,
    info: SqlInfoData,
    types: XdbcTypeInfoData,
}

type DoGet = <Sql as FlightService>::DoGetStream;
type Answer<T> = Result<Response<T>, Status>;

impl Sql {
    pub(crate) fn new(engine: Engine) -> Self {
        Self { engine, info: metadata::sql_info(), types: metadata::xdbc_types() }
    }

    async fn run(&self, sql: &str) -> Answer<DoGet> {
        let batches = self.engine.execute(sql).await?;
        let schema = batches.schema();
        let batches = batches.map_err(|e| FlightError::Tonic(Box::new(Status::internal(e.to_string()))));
        let stream = FlightDataEncoderBuilder::new().with_schema(schema).build(batches).map_err(Status::from);
        Ok(Response::new(stream.boxed()))
    }
}

/// One endpoint, without a location: the same connection.
fn info(schema: &Schema, ticket: Vec<u8>, descriptor: FlightDescriptor) -> Answer<FlightInfo> {
    let endpoint = FlightEndpoint::new().with_ticket(Ticket::new(ticket));
    let info = FlightInfo::new()
        .try_with_schema(schema)
        .map_err(|e| Status::internal(e.to_string()))?
        .with_endpoint(endpoint)
        .with_descriptor(descriptor)
        .with_total_records(-1)
        .with_total_bytes(-1);
    Ok(Response::new(info))
}

fn batch(schema: SchemaRef, batch: arrow_flight::error::Result<RecordBatch>) -> Answer<DoGet> {
    let stream = FlightDataEncoderBuilder::new()
        .with_schema(schema)
        .build(futures::stream::once(async { batch }))
        .map_err(Status::from);
    Ok(Response::new(stream.boxed()))
}

fn empty(schema: SchemaRef) -> Answer<DoGet> {
    batch(schema.clone(), Ok(RecordBatch::new_empty(schema)))
}

/// Handles of this server are the SQL text itself: nothing has to be kept.
fn sql_of(handle: &[u8]) -> Result<&str, Status> {
    std::str::from_utf8(handle).map_err(|_| Status::invalid_argument("the handle is not one of this server"))
}

/// Schema of GetPrimaryKeys, as the specification has it.
fn primary_keys() -> SchemaRef {
    Arc::new(Schema::new(vec![
        Field::new("catalog_name", DataType::Utf8, true),
        Field::new("db_schema_name", DataType::Utf8, true),
        Field::new("table_name", DataType::Utf8, false),
        Field::new("column_name", DataType::Utf8, false),
        Field::new("key_sequence", DataType::Int32, false),
        Field::new("key_name", DataType::Utf8, true),
    ]))
}

/// Schema of the three commands about foreign keys, as the specification has it.
fn foreign_keys() -> SchemaRef {
    let text = |name: &str, nullable| Field::new(name, DataType::Utf8, nullable);
    Arc::new(Schema::new(vec![
        text("pk_catalog_name", true),
        text("pk_db_schema_name", true),
        text("pk_table_name", false),
        text("pk_column_name", false),
        text("fk_catalog_name", true),
        text("fk_db_schema_name", true),
        text("fk_table_name", false),
        text("fk_column_name", false),
        Field::new("key_sequence", DataType::Int32, false),
        text("fk_key_name", true),
        text("pk_key_name", true),
        Field::new("update_rule", DataType::UInt8, false),
        Field::new("delete_rule", DataType::UInt8, false),
    ]))
}

#[tonic::async_trait]
impl FlightSqlService for Sql {
    type FlightService = Self;

    async fn get_flight_info_statement(
        &self,
        query: CommandStatementQuery,
        request: Request<FlightDescriptor>,
    ) -> Answer<FlightInfo> {
        let schema = self.engine.schema(&query.query).await?;
        let ticket = TicketStatementQuery { statement_handle: query.query.into() };
        info(&schema, ticket.as_any().encode_to_vec(), request.into_inner())
    }

    async fn get_flight_info_prepared_statement(
        &self,
        query: CommandPreparedStatementQuery,
        request: Request<FlightDescriptor>,
    ) -> Answer<FlightInfo> {
        let schema = self.engine.schema(sql_of(&query.prepared_statement_handle)?).await?;
        info(&schema, query.as_any().encode_to_vec(), request.into_inner())
    }

    async fn get_flight_info_catalogs(
        &self,
        query: CommandGetCatalogs,
        request: Request<FlightDescriptor>,
    ) -> Answer<FlightInfo> {
        let ticket = query.as_any().encode_to_vec();
        info(&query.into_builder().schema(), ticket, request.into_inner())
    }

    async fn get_flight_info_schemas(
        &self,
        query: CommandGetDbSchemas,
        request: Request<FlightDescriptor>,
    ) -> Answer<FlightInfo> {
        let ticket = query.as_any().encode_to_vec();
        info(&query.into_builder().schema(), ticket, request.into_inner())
    }

    async fn get_flight_info_tables(
        &self,
        query: CommandGetTables,
        request: Request<FlightDescriptor>,
    ) -> Answer<FlightInfo> {
        let ticket = query.as_any().encode_to_vec();
        info(&query.into_builder().schema(), ticket, request.into_inner())
    }

    async fn get_flight_info_table_types(
        &self,
        query: CommandGetTableTypes,
        request: Request<FlightDescriptor>,
    ) -> Answer<FlightInfo> {
        let ticket = query.as_any().encode_to_vec();
        info(&query.into_builder().schema(), ticket, request.into_inner())
    }

    async fn get_flight_info_sql_info(
        &self,
        query: CommandGetSqlInfo,
        request: Request<FlightDescriptor>,
    ) -> Answer<FlightInfo> {
        let ticket = query.as_any().encode_to_vec();
        info(&query.into_builder(&self.info).schema(), ticket, request.into_inner())
    }

    async fn get_flight_info_primary_keys(
        &self,
        query: CommandGetPrimaryKeys,
        request: Request<FlightDescriptor>,
    ) -> Answer<FlightInfo> {
        info(&primary_keys(), query.as_any().encode_to_vec(), request.into_inner())
    }

    async fn get_flight_info_exported_keys(
        &self,
        query: CommandGetExportedKeys,
        request: Request<FlightDescriptor>,
    ) -> Answer<FlightInfo> {
        info(&foreign_keys(), query.as_any().encode_to_vec(), request.into_inner())
    }

    async fn get_flight_info_imported_keys(
        &self,
        query: CommandGetImportedKeys,
        request: Request<FlightDescriptor>,
    ) -> Answer<FlightInfo> {
        info(&foreign_keys(), query.as_any().encode_to_vec(), request.into_inner())
    }

    async fn get_flight_info_cross_reference(
        &self,
        query: CommandGetCrossReference,
        request: Request<FlightDescriptor>,
    ) -> Answer<FlightInfo> {
        info(&foreign_keys(), query.as_any().encode_to_vec(), request.into_inner())
    }

    async fn get_flight_info_xdbc_type_info(
        &self,
        query: CommandGetXdbcTypeInfo,
        request: Request<FlightDescriptor>,
    ) -> Answer<FlightInfo> {
        let ticket = query.as_any().encode_to_vec();
        info(&query.into_builder(&self.types).schema(), ticket, request.into_inner())
    }

    async fn do_get_statement(&self, ticket: TicketStatementQuery, _: Request<Ticket>) -> Answer<DoGet> {
        self.run(sql_of(&ticket.statement_handle)?).await
    }

    async fn do_get_prepared_statement(
        &self,
        query: CommandPreparedStatementQuery,
        _: Request<Ticket>,
    ) -> Answer<DoGet> {
        self.run(sql_of(&query.prepared_statement_handle)?).await
    }

    async fn do_get_catalogs(&self, query: CommandGetCatalogs, _: Request<Ticket>) -> Answer<DoGet> {
        let mut builder = query.into_builder();
        builder.append(CATALOG);
        batch(builder.schema(), builder.build())
    }

    async fn do_get_schemas(&self, query: CommandGetDbSchemas, _: Request<Ticket>) -> Answer<DoGet> {
        let mut builder = query.into_builder();
        builder.append(CATALOG, SCHEMA);
        batch(builder.schema(), builder.build())
    }

    async fn do_get_tables(&self, query: CommandGetTables, _: Request<Ticket>) -> Answer<DoGet> {
        let mut builder = query.into_builder();
        for (name, schema) in self.engine.tables() {
            builder.append(CATALOG, SCHEMA, name, "TABLE", schema).map_err(Status::from)?;
        }
        batch(builder.schema(), builder.build())
    }

    async fn do_get_table_types(&self, query: CommandGetTableTypes, _: Request<Ticket>) -> Answer<DoGet> {
        let mut builder = query.into_builder();
        builder.append("TABLE");
        batch(builder.schema(), builder.build())
    }

    async fn do_get_sql_info(&self, query: CommandGetSqlInfo, _: Request<Ticket>) -> Answer<DoGet> {
        let builder = query.into_builder(&self.info);
        batch(builder.schema(), builder.build())
    }

    async fn do_get_primary_keys(&self, _: CommandGetPrimaryKeys, _: Request<Ticket>) -> Answer<DoGet> {
        empty(primary_keys())
    }

    async fn do_get_exported_keys(&self, _: CommandGetExportedKeys, _: Request<Ticket>) -> Answer<DoGet> {
        empty(foreign_keys())
    }

    async fn do_get_imported_keys(&self, _: CommandGetImportedKeys, _: Request<Ticket>) -> Answer<DoGet> {
        empty(foreign_keys())
    }

    async fn do_get_cross_reference(&self, _: CommandGetCrossReference, _: Request<Ticket>) -> Answer<DoGet> {
        empty(foreign_keys())
    }

    async fn do_get_xdbc_type_info(
        &self,
        query: CommandGetXdbcTypeInfo,
        _: Request<Ticket>,
    ) -> Answer<DoGet> {
        let builder = query.into_builder(&self.types);
        batch(builder.schema(), builder.build())
    }

    async fn do_action_create_prepared_statement(
        &self,
        query: ActionCreatePreparedStatementRequest,
        _: Request<Action>,
    ) -> Result<ActionCreatePreparedStatementResult, Status> {
        let schema = self.engine.schema(&query.query).await?;
        let bytes = |schema: &Schema| {
            let message: IpcMessage = SchemaAsIpc::new(schema, &IpcWriteOptions::default())
                .try_into()
                .map_err(|e: arrow::error::ArrowError| Status::internal(e.to_string()))?;
            Ok::<_, Status>(message.0)
        };
        Ok(ActionCreatePreparedStatementResult {
            prepared_statement_handle: query.query.into(),
            dataset_schema: bytes(&schema)?,
            parameter_schema: bytes(&Schema::empty())?,
        })
    }

    async fn do_action_close_prepared_statement(
        &self,
        _: ActionClosePreparedStatementRequest,
        _: Request<Action>,
    ) -> Result<(), Status> {
        Ok(())
    }

    async fn register_sql_info(&self, _: i32, _: &SqlInfo) {}
}
