//! The program: tables from files, the record, an orderly end, clear errors.

use std::io::{BufRead as _, BufReader};
use std::path::Path;
use std::process::{Child, Command, Stdio};

use arrow_flight::sql::client::FlightSqlServiceClient;
use tonic::transport::Endpoint;

use crate::site::text;

pub fn program() -> Command {
    let mut command = Command::new(env!("CARGO_BIN_EXE_flightsql-server"));
    command.args(["--listen", "127.0.0.1:0", "--quiet"]).stdout(Stdio::piped()).stderr(Stdio::piped());
    command
}

/// The program and the address that it prints.
pub fn started(command: &mut Command) -> (Child, String) {
    let mut child = command.spawn().unwrap();
    let mut line = String::new();
    BufReader::new(child.stdout.take().unwrap()).read_line(&mut line).unwrap();
    (child, line.trim().to_owned())
}

#[tokio::test]
async fn files_and_folders_are_tables_and_calls_are_recorded() {
    let folder = tempfile::tempdir().unwrap();
    let path = |name: &str| folder.path().join(name);
    std::fs::write(path("prices.csv"), "item,price\na,1.5\nb,2.5\n").unwrap();
    std::fs::create_dir(path("events")).unwrap();
    std::fs::write(path("events/one.jsonl"), "{\"n\":1}\n").unwrap();
    std::fs::write(path("events/two.jsonl"), "{\"n\":2}\n").unwrap();
    write_parquet(&path("p.parquet")).await;
    let record = path("record.jsonl");
    let (child, address) = started(
        program()
            .args(["--plaintext", "--anonymous", "--record"])
            .arg(&record)
            .arg(path("prices.csv"))
            .arg(path("events"))
            .arg(format!("other={}", path("p.parquet").display())),
    );
    let address = address.replace("grpc://", "http://");
    let channel = Endpoint::from_shared(address).unwrap().connect().await.unwrap();
    let mut client = FlightSqlServiceClient::new(channel);
    assert_eq!(text(&mut client, "SELECT sum(price) FROM prices").await, "4.0");
    assert_eq!(text(&mut client, "SELECT sum(n) FROM events").await, "3");
    assert_eq!(text(&mut client, "SELECT text FROM other").await, "hello");
    let refused =
        client.execute_update("INSERT INTO prices VALUES ('c', 1)".to_owned(), None).await.unwrap_err();
    assert!(refused.to_string().contains("read-only"), "{refused}");
    drop(client);
    terminated(child).await;
    let lines = std::fs::read_to_string(&record).unwrap();
    let calls: Vec<serde_json::Value> =
        lines.lines().map(|line| serde_json::from_str(line).unwrap()).collect();
    let query =
        calls.iter().find(|c| c["sql"] == "SELECT sum(price) FROM prices" && c["kind"] == "stream-end");
    assert_eq!(query.unwrap()["code"], "OK");
}

async fn write_parquet(path: &Path) {
    use datafusion::dataframe::DataFrameWriteOptions;
    let frame = datafusion::prelude::SessionContext::new().sql("SELECT 'hello' AS text").await.unwrap();
    frame.write_parquet(path.to_str().unwrap(), DataFrameWriteOptions::new(), None).await.unwrap();
}

/// Asks the program to end, and waits until it has. Connections of this process close meanwhile.
pub async fn terminated(mut child: Child) {
    let asked = Command::new("kill").arg(child.id().to_string()).status().unwrap();
    assert!(asked.success());
    let status = tokio::task::spawn_blocking(move || child.wait()).await.unwrap().unwrap();
    assert!(status.success(), "{status}");
}

#[test]
fn wrong_arguments_are_named() {
    let taken = std::net::TcpListener::bind("127.0.0.1:0").unwrap();
    let port = taken.local_addr().unwrap().to_string();
    for (arguments, code, said) in [
        (&["--plaintext"][..], 2, "nobody could come in"),
        (&["--anonymous"], 2, "say how the server shows who it is"),
        (&["--anonymous", "--plaintext", "missing.csv"], 2, "cannot read `missing.csv`"),
        (&["--anonymous", "--plaintext", "Cargo.toml"], 2, "cannot tell what `Cargo.toml` holds"),
        (&["--plaintext", "--issuer", "ftp://x,audience=a"], 2, "neither https nor http"),
        (&["--anonymous", "--cert", "/no/cert", "--key", "/no/key"], 2, "cannot use `/no/cert`"),
        (&["--anonymous", "--plaintext", "--fault", "kind=odd"], 2, "`odd` is not known here"),
        (&["--anonymous", "--plaintext", "--listen", &port], 3, "cannot listen on"),
    ] {
        let mut command = Command::new(env!("CARGO_BIN_EXE_flightsql-server"));
        let output = command.args(arguments).output().unwrap();
        let error = String::from_utf8(output.stderr).unwrap();
        assert!(error.contains(said), "{error}");
        assert_eq!(output.status.code(), Some(code), "{error}");
    }
}
