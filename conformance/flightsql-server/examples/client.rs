//! Drives a server with the Rust client of arrow-flight, for `clients/run.py`: a line of JSON for each command.

use std::env::var;
use std::io::Write as _;

use arrow_flight::decode::FlightRecordBatchStream;
use arrow_flight::sql::client::FlightSqlServiceClient;
use arrow_flight::sql::{
    CommandGetCrossReference, CommandGetDbSchemas, CommandGetExportedKeys, CommandGetImportedKeys,
    CommandGetPrimaryKeys, CommandGetTables, CommandGetXdbcTypeInfo, EndTransaction, SqlInfo,
};
use arrow_flight::{FlightInfo, Ticket};
use futures::TryStreamExt as _;
use serde_json::json;
use tonic::transport::{Channel, Endpoint};

type Client = FlightSqlServiceClient<Channel>;
type Failure = Box<dyn std::error::Error>;

#[tokio::main(flavor = "current_thread")]
async fn main() -> Result<(), Failure> {
    let endpoint = Endpoint::from_shared(format!("http://{}:{}", var("HOST")?, var("PORT")?))?;
    let mut by_token = Client::new(endpoint.connect().await?);
    by_token.set_token(var("TOKEN")?);
    drive("Rust arrow-flight, token", &mut by_token).await;
    let mut by_password = Client::new(endpoint.connect().await?);
    let logged_in = by_password.handshake(&var("USER_NAME")?, &var("PASSWORD")?).await;
    // It keeps the token of a Handshake that is in the header only if it is told to.
    if let Ok(payload) = &logged_in
        && by_password.token().is_none()
    {
        by_password.set_token(String::from_utf8_lossy(payload).into_owned());
    }
    tell("Rust arrow-flight, password", "password", logged_in.map(drop).map_err(Into::into));
    tell("Rust arrow-flight, password", "query", query(&mut by_password).await);
    Ok(())
}

fn tell(client: &str, command: &str, result: Result<(), Failure>) {
    let note = result.as_ref().err().map(ToString::to_string).unwrap_or_default();
    let result = if result.is_ok() { "ok" } else { "fail" };
    let line = json!({ "client": client, "command": command, "result": result, "note": note });
    writeln!(std::io::stdout().lock(), "{line}").expect("stdout is open");
}

fn expect<T: PartialEq + std::fmt::Debug>(got: T, wanted: T) -> Result<(), Failure> {
    if got == wanted { Ok(()) } else { Err(format!("{got:?} is not {wanted:?}").into()) }
}

async fn rows(client: &mut Client, info: FlightInfo) -> Result<usize, Failure> {
    let mut rows = 0;
    for endpoint in info.endpoint {
        let ticket: Ticket = endpoint.ticket.ok_or("an endpoint has no ticket")?;
        let batches: FlightRecordBatchStream = client.do_get(ticket).await?;
        rows += batches.try_fold(0, |sum, batch| async move { Ok(sum + batch.num_rows()) }).await?;
    }
    Ok(rows)
}

async fn query(client: &mut Client) -> Result<(), Failure> {
    let info = client.execute("SELECT 1 AS one, 'text' AS t".to_owned(), None).await?;
    expect(rows(client, info).await?, 1)
}

async fn update(client: &mut Client) -> Result<(), Failure> {
    client
        .execute_update("CREATE OR REPLACE TABLE r1 (id BIGINT, PRIMARY KEY (id))".to_owned(), None)
        .await?;
    expect(client.execute_update("INSERT INTO r1 VALUES (1), (2)".to_owned(), None).await?, 2)
}

async fn prepared(client: &mut Client) -> Result<(), Failure> {
    let mut statement = client.prepare("SELECT * FROM r1".to_owned(), None).await?;
    let info = statement.execute().await?;
    expect(rows(client, info).await?, 2)?;
    Ok(statement.close().await?)
}

async fn transaction(client: &mut Client) -> Result<(), Failure> {
    let transaction = client.begin_transaction().await?;
    client.execute_update("INSERT INTO r1 VALUES (3)".to_owned(), Some(transaction.clone())).await?;
    client.end_transaction(transaction, EndTransaction::Rollback).await?;
    let info = client.execute("SELECT * FROM r1".to_owned(), None).await?;
    expect(rows(client, info).await?, 2)
}

async fn keys(client: &mut Client, which: &str) -> Result<(), Failure> {
    let table = "r1".to_owned();
    let (info, wanted) = match which {
        "primary keys" => {
            (client.get_primary_keys(CommandGetPrimaryKeys { table, ..Default::default() }).await?, 1)
        }
        "exported keys" => {
            (client.get_exported_keys(CommandGetExportedKeys { table, ..Default::default() }).await?, 0)
        }
        "imported keys" => {
            (client.get_imported_keys(CommandGetImportedKeys { table, ..Default::default() }).await?, 0)
        }
        _ => {
            let both = CommandGetCrossReference {
                pk_table: table.clone(),
                fk_table: table,
                ..CommandGetCrossReference::default()
            };
            (client.get_cross_reference(both).await?, 0)
        }
    };
    expect(rows(client, info).await?, wanted)
}

async fn metadata(client: &mut Client, which: &str) -> Result<(), Failure> {
    let (info, least) = match which {
        "catalogs" => (client.get_catalogs().await?, 1),
        "schemas" => (client.get_db_schemas(CommandGetDbSchemas::default()).await?, 1),
        "tables" => {
            let pattern = Some("r%".to_owned());
            let wanted = CommandGetTables { table_name_filter_pattern: pattern, ..Default::default() };
            (client.get_tables(wanted).await?, 1)
        }
        "table types" => (client.get_table_types().await?, 1),
        "types" => (client.get_xdbc_type_info(CommandGetXdbcTypeInfo::default()).await?, 5),
        _ => (client.get_sql_info(vec![SqlInfo::FlightSqlServerName]).await?, 1),
    };
    let found = rows(client, info).await?;
    if found >= least { Ok(()) } else { Err(format!("{found} rows, at least {least} expected").into()) }
}

async fn drive(name: &str, client: &mut Client) {
    tell(name, "query", query(client).await);
    tell(name, "update", update(client).await);
    tell(name, "prepared", prepared(client).await);
    tell(name, "transaction", transaction(client).await);
    for which in ["primary keys", "exported keys", "imported keys", "cross reference"] {
        tell(name, which, keys(client, which).await);
    }
    for which in ["catalogs", "schemas", "tables", "table types", "types", "SqlInfo"] {
        tell(name, which, metadata(client, which).await);
    }
}
