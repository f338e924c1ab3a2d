//! What clients put: rows of a bulk ingest, and values of parameters.

use std::panic::AssertUnwindSafe;

use arrow::array::RecordBatch;
use arrow::datatypes::SchemaRef;
use arrow_flight::FlightData;
use arrow_flight::decode::FlightRecordBatchStream;
use arrow_flight::error::FlightError;
use arrow_flight::sql::server::PeekableFlightDataStream;
use arrow_flight::sql::{CommandStatementIngest, TableExistsOption, TableNotExistOption};
use datafusion::common::ParamValues;
use datafusion::common::metadata::ScalarAndMetadata;
use futures::stream::BoxStream;
use futures::{FutureExt as _, Stream, StreamExt as _, TryStreamExt as _, stream};
use tonic::{Request, Status};

use crate::engine::{CATALOG, SCHEMA, Tables};
use crate::parameters;
use crate::request::Noted;

/// So many bytes of parameters may be bound at once.
const PARAMETERS: usize = 64 << 20;

/// What a bulk ingest does with its table.
pub(crate) struct Target {
    /// The rows that it has stay.
    pub(crate) keep: bool,
}

/// # Errors
/// If the table must not be there and is, or the other way round; for temporary tables and foreign schemas.
pub(crate) fn target(command: &CommandStatementIngest, tables: &Tables) -> Result<Target, Status> {
    if command.temporary {
        return Err(Status::unimplemented("temporary tables are not supported; leave `temporary` out"));
    }
    let foreign = command.catalog.as_deref().is_some_and(|c| c != CATALOG)
        || command.schema.as_deref().is_some_and(|s| s != SCHEMA);
    if foreign {
        return Err(Status::not_found(format!("tables can only be made in {CATALOG}.{SCHEMA}")));
    }
    let name = &command.table;
    if name.is_empty() {
        return Err(Status::invalid_argument("the ingest names no table"));
    }
    let options = command.table_definition_options.ok_or_else(|| {
        Status::invalid_argument("the ingest does not say what to do if the table exists, or does not")
    })?;
    if !tables.contains_key(name) {
        return match options.if_not_exist() {
            TableNotExistOption::Create => Ok(Target { keep: false }),
            TableNotExistOption::Fail => Err(Status::not_found(format!("there is no table `{name}`"))),
            TableNotExistOption::Unspecified => {
                Err(Status::invalid_argument("the ingest does not say what to do if there is no such table"))
            }
        };
    }
    match options.if_exists() {
        TableExistsOption::Append => Ok(Target { keep: true }),
        TableExistsOption::Replace => {
            crate::snapshot::changeable(&tables[name], name)?;
            Ok(Target { keep: false })
        }
        TableExistsOption::Fail => Err(Status::already_exists(format!("the table `{name}` exists"))),
        TableExistsOption::Unspecified => {
            Err(Status::invalid_argument("the ingest does not say what to do if the table exists"))
        }
    }
}

/// The schema, and the rows as they come.
pub(crate) async fn rows(
    request: Request<PeekableFlightDataStream>,
) -> Result<(SchemaRef, BoxStream<'static, Result<RecordBatch, Status>>), Status> {
    let mut batches = decoded(request);
    // The schema is known with the first rows; a stream may have none.
    let first = batches.next().await?;
    let schema = batches.0.schema().cloned().ok_or_else(|| Status::invalid_argument("no schema was put"))?;
    let others = stream::try_unfold(batches, async |mut batches| {
        Ok::<_, Status>(batches.next().await?.map(|batch| (batch, batches)))
    });
    Ok((schema, stream::iter(first.map(Ok)).chain(others).boxed()))
}

/// One set of values for each row. None at all if nothing was bound.
pub(crate) async fn parameters(
    request: Request<PeekableFlightDataStream>,
) -> Result<Vec<ParamValues>, Status> {
    decoded(request).parameters().await
}

fn decoded(request: Request<PeekableFlightDataStream>) -> Batches {
    let noted = request.extensions().get::<Noted>().cloned().unwrap_or_default();
    // A message without a header is the command alone: arrow-go and the Rust client send one before the schema, or
    // nothing else.
    let counted = request.into_inner().inspect_ok(move |data| noted.count(data));
    Batches::read(counted.try_filter(|data| std::future::ready(!data.data_header.is_empty())))
}

/// Rows out of messages of Arrow's IPC format.
pub(crate) struct Batches(FlightRecordBatchStream);

impl Batches {
    pub(crate) fn read(messages: impl Stream<Item = Result<FlightData, Status>> + Send + 'static) -> Self {
        let messages = messages.map_err(|status| FlightError::Tonic(Box::new(status)));
        Self(FlightRecordBatchStream::new_from_flight_data(messages))
    }

    /// # Errors
    /// INVALID_ARGUMENT for messages that are not what the format says; what the stream of messages ended with.
    pub(crate) async fn next(&mut self) -> Result<Option<RecordBatch>, Status> {
        // arrow-ipc 59 panics over buffers that reach beyond the message's body. It is not used again after that.
        let next = AssertUnwindSafe(self.0.try_next()).catch_unwind().await;
        match next {
            Ok(Ok(batch)) => Ok(batch),
            Ok(Err(FlightError::Tonic(status))) => Err(*status),
            Ok(Err(other)) => Err(Status::invalid_argument(format!("the rows cannot be read: {other}"))),
            Err(_) => Err(Status::invalid_argument(
                "the rows cannot be read: a message's header does not fit its body",
            )),
        }
    }

    /// One set of values for each row.
    pub(crate) async fn parameters(mut self) -> Result<Vec<ParamValues>, Status> {
        let (mut bound, mut bytes) = (Vec::new(), 0_usize);
        while let Some(batch) = self.next().await? {
            // A row without columns, or of nulls, takes no memory in the message, but as a set of values it does.
            let sets = (batch.num_columns() + 1).saturating_mul(size_of::<ScalarAndMetadata>());
            bytes = bytes.saturating_add(batch.get_array_memory_size());
            bytes = bytes.saturating_add(batch.num_rows().saturating_mul(sets));
            if bytes > PARAMETERS {
                return Err(Status::resource_exhausted("too many parameters at once; use bulk ingest"));
            }
            bound.push(batch);
        }
        parameters::rows(&bound)
    }
}
