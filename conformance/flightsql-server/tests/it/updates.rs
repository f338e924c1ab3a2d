//! Changes: statements, prepared ones, bulk ingest.

use std::sync::Arc;

use arrow::array::{ArrayRef, Int64Array, NullArray, RecordBatch, StringArray};
use arrow_flight::encode::FlightDataEncoderBuilder;
use arrow_flight::sql::client::FlightSqlServiceClient;
use arrow_flight::sql::{
    CommandStatementIngest, ProstMessageExt as _, TableDefinitionOptions, TableExistsOption,
    TableNotExistOption,
};
use arrow_flight::{FlightData, FlightDescriptor};
use flightsql_server::{Code, Engine, Limits, Record};
use futures::{TryStreamExt as _, stream};
use prost::Message as _;
use tonic::transport::Channel;

use crate::site::{Site, TOKEN, text};

async fn run(client: &mut FlightSqlServiceClient<Channel>, sql: &str) -> i64 {
    client.execute_update(sql.to_owned(), None).await.unwrap()
}

#[tokio::test]
async fn tables_are_made_changed_and_dropped() {
    let site = Site::start().await;
    let client = &mut site.client().await;
    run(client, "CREATE TABLE t (id BIGINT NOT NULL, name VARCHAR DEFAULT 'none')").await;
    assert_eq!(run(client, "INSERT INTO t (id) VALUES (1), (2)").await, 2);
    assert_eq!(run(client, "INSERT INTO t VALUES (3, 'c')").await, 1);
    assert_eq!(run(client, "UPDATE t SET name = 'x' WHERE id < 3").await, 2);
    assert_eq!(run(client, "DELETE FROM t WHERE id = 1").await, 1);
    assert_eq!(text(client, "SELECT id, name FROM t ORDER BY id").await, "2 x\n3 c");
    run(client, "CREATE OR REPLACE TABLE t AS SELECT 9 AS nine").await;
    assert_eq!(text(client, "SELECT * FROM t").await, "9");
    run(client, "DROP TABLE t").await;
    assert!(client.execute("SELECT * FROM t".to_owned(), None).await.is_err());
    run(client, "DROP TABLE IF EXISTS t").await;
}

#[tokio::test]
async fn servers_of_one_engine_do_not_see_each_others_changes() {
    let engine = Engine::demo();
    let one = Site::with(|config| config.engine = engine.clone()).await;
    let other = Site::with(|config| config.engine = engine).await;
    run(&mut one.client().await, "DELETE FROM log_entries").await;
    assert_eq!(text(&mut one.client().await, "SELECT count(*) FROM log_entries").await, "0");
    assert_eq!(text(&mut other.client().await, "SELECT count(*) FROM log_entries").await, "200");
}

#[tokio::test]
async fn a_prepared_change_runs_once_for_each_row_of_parameters() {
    let site = Site::start().await;
    let mut client = site.client().await;
    run(&mut client, "CREATE TABLE t (id BIGINT, name VARCHAR)").await;
    let mut insert = client.prepare("INSERT INTO t VALUES (?, ?)".to_owned(), None).await.unwrap();
    assert_eq!(insert.dataset_schema().unwrap().fields().len(), 0);
    assert_eq!(insert.parameter_schema().unwrap().fields().len(), 2);
    insert.set_parameters(people(2)).unwrap();
    assert_eq!(insert.execute_update().await.unwrap(), 2);
    assert_eq!(text(&mut client, "SELECT * FROM t ORDER BY id").await, "0 person 0\n1 person 1");
}

fn people(count: i64) -> RecordBatch {
    let ids: ArrayRef = Arc::new(Int64Array::from_iter_values(0..count));
    let names: ArrayRef = Arc::new(StringArray::from_iter_values((0..count).map(|n| format!("person {n}"))));
    RecordBatch::try_from_iter([("id", ids), ("name", names)]).unwrap()
}

fn ingest(if_not_exist: TableNotExistOption, if_exists: TableExistsOption) -> CommandStatementIngest {
    CommandStatementIngest {
        table_definition_options: Some(TableDefinitionOptions {
            if_not_exist: if_not_exist as i32,
            if_exists: if_exists as i32,
        }),
        table: "people".into(),
        ..CommandStatementIngest::default()
    }
}

#[tokio::test]
async fn bulk_ingest_creates_appends_and_replaces() {
    use TableExistsOption as Exists;
    use TableNotExistOption as Missing;
    let site = Site::start().await;
    let client = &mut site.client().await;
    for (missing, exists, expected) in [
        (Missing::Fail, Exists::Append, None),
        (Missing::Create, Exists::Fail, Some("3")),
        (Missing::Create, Exists::Fail, None),
        (Missing::Fail, Exists::Append, Some("6")),
        (Missing::Create, Exists::Replace, Some("3")),
        (Missing::Create, Exists::Unspecified, None),
    ] {
        let rows = stream::iter([Ok(people(3))]);
        let done = client.execute_ingest(ingest(missing, exists), rows).await;
        assert_eq!(done.is_ok(), expected.is_some(), "{missing:?} {exists:?} {done:?}");
        if let Some(count) = expected {
            assert_eq!(text(client, "SELECT count(*) FROM people").await, count);
        }
    }
    // What was put is in the record.
    let puts = site.records.all().into_iter().filter_map(|record| match record {
        Record::StreamEnd(end) if end.command.as_deref() == Some("StatementIngest") => Some(end),
        _ => None,
    });
    let puts: Vec<(u64, bool, String)> =
        puts.map(|put| (put.rows, put.bytes > 0, put.code)).filter(|(_, _, code)| code == "OK").collect();
    assert_eq!(puts, vec![(3, true, "OK".to_owned()); 3]);
    let temporary = CommandStatementIngest { temporary: true, ..ingest(Missing::Create, Exists::Append) };
    let refused = client.execute_ingest(temporary, stream::iter([Ok(people(1))])).await.unwrap_err();
    assert!(refused.to_string().contains("temporary tables are not supported"), "{refused}");
}

#[tokio::test]
async fn tables_of_clients_stay_within_their_memory() {
    let site = Site::with(|config| {
        config.engine = Engine::new(Limits { table_memory: 1 << 20, ..Limits::default() });
    })
    .await;
    let client = &mut site.client().await;
    let endless = "CREATE TABLE big AS SELECT * FROM generate_series(1, 1000000000000)";
    let refused = client.execute_update(endless.to_owned(), None).await.unwrap_err();
    assert!(refused.to_string().contains("more memory than they may"), "{refused}");
}

#[tokio::test]
async fn rows_that_do_not_fit_their_header_are_refused_and_the_connection_stays() {
    let site = Site::start().await;
    let client = &mut site.client().await;
    let rows = FlightDataEncoderBuilder::new().build(stream::iter([Ok(people(3))]));
    let mut messages: Vec<FlightData> = rows.try_collect().await.unwrap();
    let command = ingest(TableNotExistOption::Create, TableExistsOption::Fail).as_any().encode_to_vec();
    messages[0].flight_descriptor = Some(FlightDescriptor::new_cmd(command));
    // The buffers of the batch reach beyond what came.
    messages[1].data_body = messages[1].data_body.slice(..8);
    let mut put = tonic::Request::new(stream::iter(messages));
    put.metadata_mut().insert("authorization", format!("Bearer {TOKEN}").parse().unwrap());
    let refused = client.inner_mut().do_put(put).await.unwrap_err();
    assert_eq!(refused.code(), Code::InvalidArgument, "{refused}");
    let end = site.records.wait_for(|record| match record {
        Record::StreamEnd(end) if end.method == "DoPut" => Some((end.code.clone(), end.aborted_by_peer)),
        _ => None,
    });
    assert_eq!(end.await, ("INVALID_ARGUMENT".to_owned(), false));
    assert_eq!(text(client, "SELECT 1").await, "1");
    let connections = site.records.all().into_iter().filter(|r| matches!(r, Record::Contact { .. })).count();
    assert_eq!(connections, 1);
}

#[tokio::test]
async fn so_many_rows_of_nothing_are_no_parameters() {
    let site = Site::start().await;
    let mut client = site.client().await;
    let mut select = client.prepare("SELECT ?".to_owned(), None).await.unwrap();
    let nulls: ArrayRef = Arc::new(NullArray::new(1 << 40));
    select.set_parameters(RecordBatch::try_from_iter([("$1", nulls)]).unwrap()).unwrap();
    let refused = select.execute().await.unwrap_err().to_string();
    assert!(refused.contains("too many parameters at once"), "{refused}");
}
