//! Flight SQL: which command does what. Who may ask was decided before.

use std::sync::Arc;

use arrow::array::RecordBatch;
use arrow::datatypes::{Schema, SchemaRef};
use arrow::error::ArrowError;
use arrow::ipc::writer::IpcWriteOptions;
use arrow_flight::flight_service_server::FlightService;
use arrow_flight::sql::server::{DoPutError, FlightSqlService, PeekableFlightDataStream};
use arrow_flight::sql::{
    ActionBeginSavepointRequest, ActionBeginSavepointResult, ActionBeginTransactionRequest,
    ActionBeginTransactionResult, ActionCancelQueryRequest, ActionCancelQueryResult,
    ActionClosePreparedStatementRequest, ActionCreatePreparedStatementRequest,
    ActionCreatePreparedStatementResult, ActionCreatePreparedSubstraitPlanRequest, ActionEndSavepointRequest,
    ActionEndTransactionRequest, Any, Command, CommandGetCatalogs, CommandGetCrossReference,
    CommandGetDbSchemas, CommandGetExportedKeys, CommandGetImportedKeys, CommandGetPrimaryKeys,
    CommandGetSqlInfo, CommandGetTableTypes, CommandGetTables, CommandGetXdbcTypeInfo,
    CommandPreparedStatementQuery, CommandPreparedStatementUpdate, CommandStatementIngest,
    CommandStatementQuery, CommandStatementSubstraitPlan, CommandStatementUpdate,
    DoPutPreparedStatementResult, ProstMessageExt, SqlInfo, TicketStatementQuery,
};
use arrow_flight::{Action, ActionType, FlightDescriptor, FlightInfo, IpcMessage, SchemaAsIpc, Ticket};
use bytes::Bytes;
use futures::{StreamExt as _, stream};
use prost::Message as _;
use tonic::{Request, Response, Status};

use crate::actions;
use crate::engine::{CATALOG, SCHEMA};
use crate::error::failed;
use crate::handle::Handle;
use crate::metadata;
use crate::parameters;
use crate::put;
use crate::query::{Answer, Caller, Purpose, Sql, Wanted, encoded};
use crate::request::{Asked, Noted};
use crate::snapshot::Statement;
use crate::statements::Prepared;
use crate::transaction::EndSavepoint;

type DoGet = <Sql as FlightService>::DoGetStream;

fn caller<T>(request: &Request<T>) -> Result<Caller, Status> {
    request.extensions().get::<Caller>().cloned().ok_or_else(|| Status::internal("the gate was passed by"))
}

/// A statement is run unless only its schema was asked for.
fn purpose<T>(request: &Request<T>) -> Purpose {
    request.extensions().get::<Purpose>().copied().unwrap_or(Purpose::Run)
}

/// Notes what a DoPut turned out to be: its command comes with its first message.
fn note<T>(request: &Request<T>, command: &str, sql: Option<String>) {
    if let Some(noted) = request.extensions().get::<Noted>() {
        noted.set(Asked { command: Some(command.to_owned()), sql });
    }
}

fn batch(schema: SchemaRef, batch: arrow_flight::error::Result<RecordBatch>) -> Answer<DoGet> {
    let batch = batch.map_err(failed)?;
    Ok(Response::new(encoded(schema, stream::iter([Ok(batch)]).boxed())))
}

fn empty(schema: SchemaRef) -> Answer<DoGet> {
    batch(schema.clone(), Ok(RecordBatch::new_empty(schema)))
}

/// A handle or an id of a transaction, as text.
fn id(bytes: &Bytes) -> Result<String, Status> {
    let text = String::from_utf8(bytes.to_vec());
    text.map_err(|_| {
        Status::not_found("there is no such transaction or savepoint; ids of this server are text")
    })
}

fn transaction(id_bytes: Option<&Bytes>) -> Result<Option<String>, Status> {
    id_bytes.filter(|bytes| !bytes.is_empty()).map(id).transpose()
}

fn schema_bytes(schema: &Schema) -> Result<Bytes, Status> {
    let message: IpcMessage = SchemaAsIpc::new(schema, &IpcWriteOptions::default())
        .try_into()
        .map_err(|e: ArrowError| failed(e))?;
    Ok(message.0)
}

fn substrait<T>() -> Result<T, Status> {
    Err(Status::unimplemented("Substrait plans are not supported, as SqlInfo 5 says; send SQL"))
}

#[tonic::async_trait]
impl FlightSqlService for Sql {
    type FlightService = Self;

    async fn get_flight_info_statement(
        &self,
        query: CommandStatementQuery,
        request: Request<FlightDescriptor>,
    ) -> Answer<FlightInfo> {
        let transaction = transaction(query.transaction_id.as_ref())?;
        let purpose = purpose(&request);
        let wanted = Wanted { sql: query.query, transaction, parameters: Arc::default(), purpose };
        let (schema, statement_handle) = self.promise(&caller(&request)?, wanted).await?;
        let ticket = TicketStatementQuery { statement_handle };
        self.info(&schema, ticket.as_any().encode_to_vec().into(), request.into_inner())
    }

    async fn get_flight_info_prepared_statement(
        &self,
        query: CommandPreparedStatementQuery,
        request: Request<FlightDescriptor>,
    ) -> Answer<FlightInfo> {
        let caller = caller(&request)?;
        let prepared = self.prepared(&caller, &query.prepared_statement_handle)?;
        let wanted = Wanted { purpose: purpose(&request), ..prepared };
        let (schema, prepared_statement_handle) = self.promise(&caller, wanted).await?;
        let ticket = CommandPreparedStatementQuery { prepared_statement_handle };
        self.info(&schema, ticket.as_any().encode_to_vec().into(), request.into_inner())
    }

    async fn get_flight_info_substrait_plan(
        &self,
        _: CommandStatementSubstraitPlan,
        _: Request<FlightDescriptor>,
    ) -> Answer<FlightInfo> {
        substrait()
    }

    async fn get_flight_info_catalogs(
        &self,
        query: CommandGetCatalogs,
        request: Request<FlightDescriptor>,
    ) -> Answer<FlightInfo> {
        let ticket = query.as_any().encode_to_vec();
        self.info(&query.into_builder().schema(), ticket.into(), request.into_inner())
    }

    async fn get_flight_info_schemas(
        &self,
        query: CommandGetDbSchemas,
        request: Request<FlightDescriptor>,
    ) -> Answer<FlightInfo> {
        let ticket = query.as_any().encode_to_vec();
        self.info(&query.into_builder().schema(), ticket.into(), request.into_inner())
    }

    async fn get_flight_info_tables(
        &self,
        query: CommandGetTables,
        request: Request<FlightDescriptor>,
    ) -> Answer<FlightInfo> {
        let ticket = query.as_any().encode_to_vec();
        self.info(&query.into_builder().schema(), ticket.into(), request.into_inner())
    }

    async fn get_flight_info_table_types(
        &self,
        query: CommandGetTableTypes,
        request: Request<FlightDescriptor>,
    ) -> Answer<FlightInfo> {
        let ticket = query.as_any().encode_to_vec();
        self.info(&query.into_builder().schema(), ticket.into(), request.into_inner())
    }

    async fn get_flight_info_sql_info(
        &self,
        query: CommandGetSqlInfo,
        request: Request<FlightDescriptor>,
    ) -> Answer<FlightInfo> {
        let ticket = query.as_any().encode_to_vec();
        self.info(&query.into_builder(&self.facts.info).schema(), ticket.into(), request.into_inner())
    }

    async fn get_flight_info_primary_keys(
        &self,
        query: CommandGetPrimaryKeys,
        request: Request<FlightDescriptor>,
    ) -> Answer<FlightInfo> {
        let ticket = query.as_any().encode_to_vec();
        self.info(&metadata::primary_keys_schema(), ticket.into(), request.into_inner())
    }

    async fn get_flight_info_exported_keys(
        &self,
        query: CommandGetExportedKeys,
        request: Request<FlightDescriptor>,
    ) -> Answer<FlightInfo> {
        let ticket = query.as_any().encode_to_vec();
        self.info(&metadata::foreign_keys_schema(), ticket.into(), request.into_inner())
    }

    async fn get_flight_info_imported_keys(
        &self,
        query: CommandGetImportedKeys,
        request: Request<FlightDescriptor>,
    ) -> Answer<FlightInfo> {
        let ticket = query.as_any().encode_to_vec();
        self.info(&metadata::foreign_keys_schema(), ticket.into(), request.into_inner())
    }

    async fn get_flight_info_cross_reference(
        &self,
        query: CommandGetCrossReference,
        request: Request<FlightDescriptor>,
    ) -> Answer<FlightInfo> {
        let ticket = query.as_any().encode_to_vec();
        self.info(&metadata::foreign_keys_schema(), ticket.into(), request.into_inner())
    }

    async fn get_flight_info_xdbc_type_info(
        &self,
        query: CommandGetXdbcTypeInfo,
        request: Request<FlightDescriptor>,
    ) -> Answer<FlightInfo> {
        let ticket = query.as_any().encode_to_vec();
        self.info(&query.into_builder(&self.facts.types).schema(), ticket.into(), request.into_inner())
    }

    async fn get_flight_info_fallback(
        &self,
        command: Command,
        _: Request<FlightDescriptor>,
    ) -> Answer<FlightInfo> {
        let name = command.into_any().type_url;
        Err(Status::invalid_argument(format!("`{name}` has no FlightInfo; it belongs into another call")))
    }

    async fn do_get_statement(
        &self,
        ticket: TicketStatementQuery,
        request: Request<Ticket>,
    ) -> Answer<DoGet> {
        self.read(&caller(&request)?, &ticket.statement_handle).await
    }

    async fn do_get_prepared_statement(
        &self,
        query: CommandPreparedStatementQuery,
        request: Request<Ticket>,
    ) -> Answer<DoGet> {
        self.read(&caller(&request)?, &query.prepared_statement_handle).await
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
        for (name, schema) in self.database.snapshot().schemas() {
            builder.append(CATALOG, SCHEMA, name, "TABLE", &schema).map_err(failed)?;
        }
        batch(builder.schema(), builder.build())
    }

    async fn do_get_table_types(&self, query: CommandGetTableTypes, _: Request<Ticket>) -> Answer<DoGet> {
        let mut builder = query.into_builder();
        builder.append("TABLE");
        batch(builder.schema(), builder.build())
    }

    async fn do_get_sql_info(&self, query: CommandGetSqlInfo, _: Request<Ticket>) -> Answer<DoGet> {
        let builder = query.into_builder(&self.facts.info);
        batch(builder.schema(), builder.build())
    }

    async fn do_get_primary_keys(&self, query: CommandGetPrimaryKeys, _: Request<Ticket>) -> Answer<DoGet> {
        let here = query.catalog.as_deref().is_none_or(|c| c == CATALOG)
            && query.db_schema.as_deref().is_none_or(|s| s == SCHEMA);
        match self.database.snapshot().tables().get(&query.table).filter(|_| here) {
            Some(table) => batch(
                metadata::primary_keys_schema(),
                Ok(metadata::primary_keys(&query.table, table.as_ref())),
            ),
            None => empty(metadata::primary_keys_schema()),
        }
    }

    async fn do_get_exported_keys(&self, _: CommandGetExportedKeys, _: Request<Ticket>) -> Answer<DoGet> {
        empty(metadata::foreign_keys_schema())
    }

    async fn do_get_imported_keys(&self, _: CommandGetImportedKeys, _: Request<Ticket>) -> Answer<DoGet> {
        empty(metadata::foreign_keys_schema())
    }

    async fn do_get_cross_reference(&self, _: CommandGetCrossReference, _: Request<Ticket>) -> Answer<DoGet> {
        empty(metadata::foreign_keys_schema())
    }

    async fn do_get_xdbc_type_info(
        &self,
        query: CommandGetXdbcTypeInfo,
        _: Request<Ticket>,
    ) -> Answer<DoGet> {
        let builder = query.into_builder(&self.facts.types);
        batch(builder.schema(), builder.build())
    }

    async fn do_get_fallback(&self, _: Request<Ticket>, message: Any) -> Answer<DoGet> {
        let name = message.type_url;
        Err(Status::invalid_argument(format!("`{name}` is no ticket; take one from a FlightInfo")))
    }

    async fn do_put_fallback(
        &self,
        _: Request<PeekableFlightDataStream>,
        message: Any,
    ) -> Answer<<Self as FlightService>::DoPutStream> {
        let name = message.type_url;
        Err(Status::invalid_argument(format!("`{name}` takes no data; it belongs into another call")))
    }

    async fn do_put_error_callback(
        &self,
        _: Request<PeekableFlightDataStream>,
        error: DoPutError,
    ) -> Answer<<Self as FlightService>::DoPutStream> {
        Err(Status::invalid_argument(match error {
            DoPutError::MissingCommand => "nothing was put",
            DoPutError::MissingFlightDescriptor => "the first message names no command",
        }))
    }

    async fn do_put_statement_update(
        &self,
        command: CommandStatementUpdate,
        request: Request<PeekableFlightDataStream>,
    ) -> Result<i64, Status> {
        note(&request, "StatementUpdate", Some(command.query.clone()));
        let transaction = transaction(command.transaction_id.as_ref())?;
        self.update(&caller(&request)?, &command.query, transaction.as_deref(), &[]).await
    }

    async fn do_put_statement_ingest(
        &self,
        command: CommandStatementIngest,
        request: Request<PeekableFlightDataStream>,
    ) -> Result<i64, Status> {
        note(&request, "StatementIngest", None);
        let caller = caller(&request)?;
        let transaction = transaction(command.transaction_id.as_ref())?;
        let tables = self.tables(&caller, transaction.as_deref())?;
        let target = put::target(&command, tables.tables())?;
        let (schema, rows) = put::rows(request).await?;
        self.ingest(&caller, &command.table, target.keep, transaction.as_deref(), schema, rows).await
    }

    async fn do_put_prepared_statement_query(
        &self,
        query: CommandPreparedStatementQuery,
        request: Request<PeekableFlightDataStream>,
    ) -> Result<DoPutPreparedStatementResult, Status> {
        let caller = caller(&request)?;
        let handle = Handle::decode(&query.prepared_statement_handle)?;
        note(&request, "PreparedStatementQuery", Some(handle.sql.clone()));
        let bound = Arc::new(put::parameters(request).await?);
        let prepared = handle.id.ok_or_else(|| Status::not_found("the statement is not prepared"))?;
        self.prepared.change(&caller.principal, &prepared, |statement| statement.parameters = bound)?;
        let prepared_statement_handle = Some(query.prepared_statement_handle);
        Ok(DoPutPreparedStatementResult { prepared_statement_handle })
    }

    async fn do_put_prepared_statement_update(
        &self,
        command: CommandPreparedStatementUpdate,
        request: Request<PeekableFlightDataStream>,
    ) -> Result<i64, Status> {
        let caller = caller(&request)?;
        let wanted = self.prepared(&caller, &command.prepared_statement_handle)?;
        note(&request, "PreparedStatementUpdate", Some(wanted.sql.clone()));
        let bound = put::parameters(request).await?;
        // Some clients bind first, in a call of its own, and send no rows with the update.
        let bound = if bound.is_empty() { wanted.parameters.to_vec() } else { bound };
        self.update(&caller, &wanted.sql, wanted.transaction.as_deref(), &bound).await
    }

    async fn do_put_substrait_plan(
        &self,
        _: CommandStatementSubstraitPlan,
        _: Request<PeekableFlightDataStream>,
    ) -> Result<i64, Status> {
        substrait()
    }

    async fn list_custom_actions(&self) -> Option<Vec<Result<ActionType, Status>>> {
        Some(actions::listed())
    }

    async fn do_action_fallback(
        &self,
        request: Request<Action>,
    ) -> Answer<<Self as FlightService>::DoActionStream> {
        let answer = self.act(&caller(&request)?, request).await?;
        let (metadata, stream, extensions) = answer.into_parts();
        Ok(Response::from_parts(metadata, stream.boxed(), extensions))
    }

    async fn do_action_create_prepared_statement(
        &self,
        query: ActionCreatePreparedStatementRequest,
        request: Request<Action>,
    ) -> Result<ActionCreatePreparedStatementResult, Status> {
        let caller = caller(&request)?;
        let transaction = transaction(query.transaction_id.as_ref())?;
        let sql = parameters::numbered(&query.query);
        let (dataset, plan) = match self.tables(&caller, transaction.as_deref())?.plan(&sql).await? {
            Statement::Query(plan) => (plan.schema().as_arrow().clone(), plan),
            Statement::Change(plan, _) => (Schema::empty(), plan),
        };
        let parameter_schema = schema_bytes(parameters::schema(&plan)?.as_ref())?;
        let prepared = Prepared {
            principal: caller.principal,
            sql: query.query.clone(),
            transaction,
            parameters: Arc::default(),
        };
        let handle = Handle { sql: query.query, id: Some(self.prepared.keep(prepared)) };
        Ok(ActionCreatePreparedStatementResult {
            prepared_statement_handle: handle.encode(),
            dataset_schema: schema_bytes(&dataset)?,
            parameter_schema,
        })
    }

    async fn do_action_close_prepared_statement(
        &self,
        query: ActionClosePreparedStatementRequest,
        request: Request<Action>,
    ) -> Result<(), Status> {
        let caller = caller(&request)?;
        if let Some(id) = Handle::decode(&query.prepared_statement_handle)?.id {
            self.prepared.remove(&caller.principal, &id);
        }
        Ok(())
    }

    async fn do_action_create_prepared_substrait_plan(
        &self,
        _: ActionCreatePreparedSubstraitPlanRequest,
        _: Request<Action>,
    ) -> Result<ActionCreatePreparedStatementResult, Status> {
        substrait()
    }

    async fn do_action_begin_transaction(
        &self,
        _: ActionBeginTransactionRequest,
        request: Request<Action>,
    ) -> Result<ActionBeginTransactionResult, Status> {
        let id = self.transactions.begin(&caller(&request)?.principal, self.database.snapshot());
        Ok(ActionBeginTransactionResult { transaction_id: id.into() })
    }

    async fn do_action_end_transaction(
        &self,
        query: ActionEndTransactionRequest,
        request: Request<Action>,
    ) -> Result<(), Status> {
        let principal = caller(&request)?.principal;
        self.transactions.end(&principal, &id(&query.transaction_id)?, query.action(), &self.database)
    }

    async fn do_action_begin_savepoint(
        &self,
        query: ActionBeginSavepointRequest,
        request: Request<Action>,
    ) -> Result<ActionBeginSavepointResult, Status> {
        let savepoint = self.transactions.save(&caller(&request)?.principal, &id(&query.transaction_id)?)?;
        Ok(ActionBeginSavepointResult { savepoint_id: savepoint.into() })
    }

    async fn do_action_end_savepoint(
        &self,
        query: ActionEndSavepointRequest,
        request: Request<Action>,
    ) -> Result<(), Status> {
        let principal = caller(&request)?.principal;
        self.transactions.end_savepoint(&principal, &id(&query.savepoint_id)?, EndSavepoint::of(query.action))
    }

    async fn do_action_cancel_query(
        &self,
        query: ActionCancelQueryRequest,
        request: Request<Action>,
    ) -> Result<ActionCancelQueryResult, Status> {
        let info = FlightInfo::decode(query.info)
            .map_err(|error| Status::invalid_argument(format!("the FlightInfo cannot be read: {error}")))?;
        // `CancelResult` has the values of the newer `CancelStatus`; arrow-flight does not export it.
        let result = self.cancel(&caller(&request)?, &info) as i32;
        Ok(ActionCancelQueryResult { result })
    }

    async fn register_sql_info(&self, _: i32, _: &SqlInfo) {}
}
