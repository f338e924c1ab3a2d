//! One operation: its command, GetFlightInfo, and DoGet for every endpoint.

use arrow::array::RecordBatch;
use arrow_flight::decode::FlightRecordBatchStream;
use arrow_flight::error::FlightError;
use arrow_flight::sql::{
    ActionClosePreparedStatementRequest, ActionCreatePreparedStatementRequest,
    ActionCreatePreparedStatementResult, Any, CommandGetSqlInfo, CommandGetTables,
    CommandPreparedStatementQuery, CommandStatementQuery, ProstMessageExt,
};
use arrow_flight::{Action, FlightDescriptor, FlightEndpoint, Ticket};
use futures::{StreamExt as _, TryStreamExt as _};
use prost::Message as _;
use tonic::Request;
use tonic::metadata::MetadataMap;

use super::Connection;
use crate::behaviour::{Behaviour, Defect, Variant};
use crate::config::Target;
use crate::failure::{Class, Failure};
use crate::log::Log;

/// What is asked of the server.
#[derive(Debug, Clone)]
pub(crate) enum Operation {
    Query {
        sql: String,
    },
    Health,
    Tables,
    Columns {
        table: String,
    },
    SqlInfo,
    /// A batch for an HTTP endpoint: no matter of Flight.
    Export {
        batch: String,
    },
}

impl Operation {
    /// It asks about the server, not for data.
    pub(crate) fn is_metadata(&self) -> bool {
        match self {
            Self::Tables | Self::Columns { .. } | Self::SqlInfo => true,
            Self::Query { .. } | Self::Health | Self::Export { .. } => false,
        }
    }
}

/// Which call of an operation a header is for.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Call {
    GetFlightInfo,
    Other,
}

/// An operation that failed, and whether its caller has already been given batches.
#[derive(Debug)]
pub(crate) struct Broken {
    pub(crate) failure: Failure,
    pub(crate) delivered: bool,
}

impl From<Failure> for Broken {
    fn from(failure: Failure) -> Self {
        Self { failure, delivered: false }
    }
}

/// Makes the headers of each call.
type Headers<'a> = &'a (dyn Fn(Call) -> Result<MetadataMap, Failure> + Send + Sync);

/// Runs the operation and reads all its endpoints.
pub(crate) async fn run(
    connection: &Connection,
    target: &Target,
    operation: &Operation,
    headers: Headers<'_>,
    behaviour: Behaviour,
    log: &Log,
) -> Result<Vec<RecordBatch>, Broken> {
    let calls = Calls { connection, target, headers, behaviour, log };
    match operation {
        Operation::Query { sql } => calls.statement(sql).await,
        Operation::Health => calls.statement("SELECT 1").await,
        // A query that gives no rows, and their columns.
        Operation::Columns { table } => {
            let quoted = table.replace('"', "\"\"");
            calls.statement(&format!("SELECT * FROM \"{quoted}\" WHERE false")).await
        }
        Operation::Tables => calls.command(CommandGetTables::default().as_any()).await,
        Operation::SqlInfo => calls.command(CommandGetSqlInfo::default().as_any()).await,
        Operation::Export { .. } => {
            Err(Failure::configuration("`uri` is of a Flight SQL server, which takes no batches").into())
        }
    }
}

struct Calls<'a> {
    connection: &'a Connection,
    target: &'a Target,
    headers: Headers<'a>,
    behaviour: Behaviour,
    log: &'a Log,
}

impl Calls<'_> {
    async fn statement(&self, sql: &str) -> Result<Vec<RecordBatch>, Broken> {
        if self.behaviour.is(Variant::PreparedStatements) {
            return self.prepared(sql).await;
        }
        let command = CommandStatementQuery { query: sql.to_owned(), transaction_id: None };
        self.command(command.as_any()).await
    }

    async fn prepared(&self, sql: &str) -> Result<Vec<RecordBatch>, Broken> {
        let create = ActionCreatePreparedStatementRequest { query: sql.to_owned(), transaction_id: None };
        let body = self.action("CreatePreparedStatement", create.as_any()).await?;
        let result = Any::decode(body)
            .ok()
            .and_then(|any| any.unpack::<ActionCreatePreparedStatementResult>().ok()?);
        let Some(ActionCreatePreparedStatementResult { prepared_statement_handle: handle, .. }) = result
        else {
            return Err(Failure::new(Class::Protocol, "the server's prepared statement is not one").into());
        };
        let command = CommandPreparedStatementQuery { prepared_statement_handle: handle.clone() };
        let batches = self.command(command.as_any()).await;
        let close = ActionClosePreparedStatementRequest { prepared_statement_handle: handle };
        // The rows are there or not; a handle that stays open is the server's to clean up.
        let _ = self.action("ClosePreparedStatement", close.as_any()).await;
        batches
    }

    /// The body of the action's first result; empty if there is none.
    async fn action(&self, name: &str, body: Any) -> Result<prost::bytes::Bytes, Failure> {
        let failed = |status| Failure::rpc(name, &status);
        let action = Action { r#type: name.to_owned(), body: body.encode_to_vec().into() };
        let mut results = self
            .connection
            .flight()
            .do_action(self.request(action, Call::Other)?)
            .await
            .map_err(failed)?
            .into_inner();
        let mut first = None;
        while let Some(result) = results.message().await.map_err(failed)? {
            first.get_or_insert(result.body);
        }
        Ok(first.unwrap_or_default())
    }

    async fn command(&self, command: Any) -> Result<Vec<RecordBatch>, Broken> {
        let descriptor = FlightDescriptor::new_cmd(command.encode_to_vec());
        let request = self.request(descriptor, Call::GetFlightInfo)?;
        let info = self.connection.flight().get_flight_info(request).await;
        let info = info.map_err(|status| self.failed("GetFlightInfo", &status))?;
        if self.behaviour.has(Defect::ShowsServerHeaders) {
            self.log.line(format!("debug: GetFlightInfo answered with {:?}", info.metadata()));
        }
        if self.behaviour.has(Defect::NeverReads) {
            return Err(Failure::new(Class::Protocol, "the result was not fetched").into());
        }
        let info = info.into_inner();
        let mut batches = Vec::new();
        for endpoint in info.endpoint {
            let fetched = self.endpoint(endpoint, &mut batches).await;
            if let Err(failure) = fetched {
                let delivered = !batches.is_empty();
                if self.behaviour.has(Defect::PartialSuccess) && delivered {
                    return Ok(batches);
                }
                return Err(Broken { failure, delivered });
            }
        }
        Ok(batches)
    }

    async fn endpoint(&self, endpoint: FlightEndpoint, read: &mut Vec<RecordBatch>) -> Result<(), Failure> {
        let elsewhere = match self.check_location(&endpoint) {
            Err(_) if self.behaviour.has(Defect::FollowsLocations) => {
                Some(self.connection.elsewhere(&endpoint.location[0].uri, self.behaviour)?)
            }
            checked => checked.map(|()| None)?,
        };
        let connection = elsewhere.as_ref().unwrap_or(self.connection);
        let ticket: Ticket = endpoint.ticket.unwrap_or_default();
        let failed = |status: &tonic::Status| self.failed("DoGet", status);
        let response = connection.flight().do_get(self.request(ticket, Call::Other)?).await;
        let messages = response.map_err(|status| failed(&status))?.into_inner();
        let mut batches = FlightRecordBatchStream::new_from_flight_data(messages.map_err(FlightError::from));
        while let Some(batch) = batches.next().await {
            let batch = batch.map_err(|error| match error {
                FlightError::Tonic(status) => failed(&status),
                other => Failure::new(Class::Protocol, format!("the stream cannot be read: {other}")),
            })?;
            read.push(batch);
        }
        Ok(())
    }

    /// Credentials go to the configured server only: an endpoint elsewhere is an error.
    fn check_location(&self, endpoint: &FlightEndpoint) -> Result<(), Failure> {
        let here = |uri: &str| {
            uri.starts_with("arrow-flight-reuse-connection:")
                || uri
                    .split_once("://")
                    .is_some_and(|(_, place)| place.trim_end_matches('/') == self.target.host_and_port)
        };
        let refused = self.behaviour.has(Defect::RefusesLocations);
        if endpoint.location.is_empty()
            || !refused && endpoint.location.iter().any(|location| here(&location.uri))
        {
            return Ok(());
        }
        let uri = &endpoint.location[0].uri;
        Err(Failure::new(
            Class::Protocol,
            format!("the result is at `{uri}`, which is not the configured server: not followed"),
        ))
    }

    fn failed(&self, what: &str, status: &tonic::Status) -> Failure {
        let mut failure = Failure::rpc(what, status);
        if self.behaviour.has(Defect::ShowsServerHeaders) {
            failure.message = format!("{} ({:?})", failure.message, status.metadata());
        }
        failure
    }

    fn request<T>(&self, message: T, call: Call) -> Result<Request<T>, Failure> {
        let mut request = Request::new(message);
        *request.metadata_mut() = (self.headers)(call)?;
        Ok(request)
    }
}
