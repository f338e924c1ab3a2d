//! Queries: statements, prepared statements, tickets of others, cancel.

use arrow_flight::sql::{CommandStatementQuery, ProstMessageExt as _, TicketStatementQuery};
use arrow_flight::{
    Action, CancelFlightInfoRequest, CancelFlightInfoResult, CancelStatus, FlightDescriptor, Ticket,
};
use flightsql_server::Record;
use futures::TryStreamExt as _;
use prost::Message as _;
use tonic::Code;

use crate::site::{Site, rows, table, text};

#[tokio::test]
async fn grafana_users_sql_is_understood() {
    let site = Site::start().await;
    let client = &mut site.client().await;
    let binned = "SELECT date_bin(INTERVAL '30 minutes', time) AS t, count(*) AS n FROM log_entries GROUP BY 1 ORDER BY 1";
    assert_eq!(text(client, binned).await, "2026-01-01T00:00:00Z 120\n2026-01-01T00:30:00Z 80");
    let window = "SELECT name, value, avg(value) OVER (PARTITION BY name ORDER BY time ROWS 2 PRECEDING) FROM metrics LIMIT 3";
    assert_eq!(text(client, window).await.lines().count(), 3);
    assert_eq!(
        text(client, "SELECT now() > TIMESTAMP '2020-01-01' AND now() - INTERVAL '1 day' < now()").await,
        "true"
    );
    assert_eq!(
        text(client, "SELECT round(1.25, 1), power(2, 10), regexp_like('abc', 'b')").await,
        "1.3 1024.0 true"
    );
}

#[tokio::test]
async fn parameters_are_typed_and_bound() {
    let site = Site::start().await;
    let mut client = site.client().await;
    let sql = "SELECT count(*) FROM log_entries WHERE level = ? AND time >= ?".to_owned();
    let mut statement = client.prepare(sql, None).await.unwrap();
    let types: Vec<String> =
        statement.parameter_schema().unwrap().fields().iter().map(|f| f.data_type().to_string()).collect();
    assert_eq!(types, ["Utf8", "Timestamp(ms, \"UTC\")"]);
    let values = arrow::array::RecordBatch::try_from_iter([
        (
            "1",
            std::sync::Arc::new(arrow::array::StringArray::from(vec!["WARN", "NONE"]))
                as arrow::array::ArrayRef,
        ),
        ("2", std::sync::Arc::new(arrow::array::StringArray::from(vec!["2026-01-01T00:00:00Z"; 2]))),
    ]);
    statement.set_parameters(values.unwrap()).unwrap();
    let info = statement.execute().await.unwrap();
    // A row of results for each row of parameters.
    let counted = table(&rows(&mut client, info).await);
    assert_eq!(counted.lines().count(), 2);
    assert!(counted.ends_with("\n0"), "{counted}");
    statement.close().await.unwrap();
}

#[tokio::test]
async fn a_closed_statement_is_gone() {
    let site = Site::start().await;
    let mut client = site.client().await;
    let mut statement = client.prepare("SELECT 1".to_owned(), None).await.unwrap();
    let mut again = statement.clone();
    statement.execute().await.unwrap();
    statement.close().await.unwrap();
    assert!(again.execute().await.unwrap_err().to_string().contains("closed"));
}

#[tokio::test]
async fn sql_text_and_json_are_tickets() {
    let site = Site::start().await;
    let mut client = site.client().await;
    let sql = TicketStatementQuery { statement_handle: "SELECT 7".into() };
    let json = r#"{"database":"d","sql_query":"SELECT 7","query_type":"sql"}"#;
    for ticket in [sql.as_any().encode_to_vec(), json.into()] {
        let batches =
            client.do_get(Ticket::new(ticket)).await.unwrap().try_collect::<Vec<_>>().await.unwrap();
        assert_eq!(table(&batches), "7");
    }
    let asked: Vec<_> = site.records.all().into_iter().filter_map(sql_of).collect();
    assert_eq!(asked, ["SELECT 7", "SELECT 7"]);
}

fn sql_of(record: Record) -> Option<String> {
    match record {
        Record::Rpc(rpc) => rpc.sql,
        _ => None,
    }
}

#[tokio::test]
async fn poll_and_schema_answer_like_flight_info() {
    let site = Site::start().await;
    let mut client = site.client().await;
    let command = CommandStatementQuery { query: "SELECT 1 AS one".into(), transaction_id: None };
    let descriptor = || FlightDescriptor::new_cmd(command.as_any().encode_to_vec());
    let authorized = |descriptor| {
        let mut request = tonic::Request::new(descriptor);
        request.metadata_mut().insert("authorization", "Bearer a-static-token".parse().unwrap());
        request
    };
    let flight = client.inner_mut();
    let poll = flight.poll_flight_info(authorized(descriptor())).await.unwrap().into_inner();
    assert!(poll.flight_descriptor.is_none(), "there is nothing more to poll for");
    let info = poll.info.unwrap();
    let schema = flight.get_schema(authorized(descriptor())).await.unwrap().into_inner();
    assert_eq!(schema.schema, info.schema);
    assert_eq!(table(&rows(&mut client, info).await), "1");
}

/// Rows without end, nearly.
const LONG: &str = "SELECT a.value + b.value FROM generate_series(1, 100000) a, generate_series(1, 100000) b";

#[tokio::test]
async fn cancel_ends_a_running_stream_and_refuses_later_ones() {
    let site = Site::start().await;
    let mut client = site.client().await;
    let info = client.execute(LONG.to_owned(), None).await.unwrap();
    let ticket = info.endpoint[0].ticket.clone().unwrap();
    let mut stream = client.do_get(ticket.clone()).await.unwrap();
    assert!(stream.try_next().await.unwrap().is_some());
    let body = CancelFlightInfoRequest { info: Some(info.clone()) }.encode_to_vec();
    let action = Action { r#type: "CancelFlightInfo".into(), body: body.into() };
    let mut request = tonic::Request::new(action);
    request.metadata_mut().insert("authorization", "Bearer a-static-token".parse().unwrap());
    let mut results = client.inner_mut().do_action(request).await.unwrap().into_inner();
    let result = CancelFlightInfoResult::decode(results.message().await.unwrap().unwrap().body).unwrap();
    assert_eq!(result.status(), CancelStatus::Cancelled);
    let error = loop {
        match stream.try_next().await {
            Ok(Some(_)) => {}
            Ok(None) => panic!("the stream ended as if it were whole"),
            Err(error) => break error,
        }
    };
    assert!(error.to_string().contains("cancelled"), "{error}");
    assert!(client.do_get(ticket).await.is_err());
}

#[tokio::test]
async fn a_reset_stream_is_noticed() {
    let site = Site::start().await;
    let mut client = site.client().await;
    let info = client.execute(LONG.to_owned(), None).await.unwrap();
    let mut stream = client.do_get(info.endpoint[0].ticket.clone().unwrap()).await.unwrap();
    assert!(stream.try_next().await.unwrap().is_some());
    drop(stream);
    let aborted = |record: &Record| match record {
        Record::StreamEnd(end) if end.method == "DoGet" => Some(end.aborted_by_peer),
        _ => None,
    };
    assert!(site.records.wait_for(aborted).await);
}

#[tokio::test]
async fn wrong_sql_and_substrait_are_refused_with_a_reason() {
    let site = Site::start().await;
    let mut client = site.client().await;
    for (sql, code, reason) in [
        ("SELECT nothing FROM log_entries", Code::InvalidArgument, "No field named nothing"),
        ("SELEC 1", Code::InvalidArgument, "SELEC"),
        ("SELECT 1; SELECT 2", Code::Unimplemented, "single SQL statement"),
        ("COPY log_entries TO '/tmp/x.csv'", Code::Unimplemented, "COPY is not supported"),
        (
            "CREATE EXTERNAL TABLE x STORED AS CSV LOCATION '/etc/passwd'",
            Code::Unimplemented,
            "not supported",
        ),
        ("SET datafusion.execution.batch_size = 1", Code::InvalidArgument, "not supported"),
    ] {
        let error = client.execute(sql.to_owned(), None).await.unwrap_err();
        let arrow_flight::error::FlightError::Tonic(status) = flight_error(error) else { panic!("{sql}") };
        assert_eq!(status.code(), code, "{sql}: {status}");
        assert!(status.message().to_lowercase().contains(&reason.to_lowercase()), "{sql}: {status}");
    }
}

fn flight_error(error: impl Into<arrow_flight::error::FlightError>) -> arrow_flight::error::FlightError {
    error.into()
}
