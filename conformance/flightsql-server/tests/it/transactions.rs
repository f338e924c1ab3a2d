//! Transactions and savepoints.

use arrow_flight::sql::EndTransaction;
use prost::bytes::Bytes;

use crate::site::{Client, Site, rows, table};

async fn run(client: &mut Client, sql: &str, transaction: &Bytes) {
    client.execute_update(sql.to_owned(), Some(transaction.clone())).await.unwrap();
}

async fn count(client: &mut Client, transaction: Option<Bytes>) -> String {
    let info = client.execute("SELECT count(*) FROM t".to_owned(), transaction).await.unwrap();
    table(&rows(client, info).await)
}

async fn with_table(site: &Site) -> Client {
    let mut client = site.client().await;
    client.execute_update("CREATE TABLE t (id BIGINT)".to_owned(), None).await.unwrap();
    client
}

#[tokio::test]
async fn a_transaction_is_seen_by_others_when_it_is_committed() {
    let site = Site::start().await;
    let client = &mut with_table(&site).await;
    let transaction = client.begin_transaction().await.unwrap();
    run(client, "INSERT INTO t VALUES (1)", &transaction).await;
    run(client, "INSERT INTO t VALUES (2)", &transaction).await;
    assert_eq!(count(client, Some(transaction.clone())).await, "2");
    assert_eq!(count(client, None).await, "0");
    client.end_transaction(transaction.clone(), EndTransaction::Commit).await.unwrap();
    assert_eq!(count(client, None).await, "2");
    assert!(client.end_transaction(transaction, EndTransaction::Commit).await.is_err());
}

#[tokio::test]
async fn a_rolled_back_transaction_leaves_nothing() {
    let site = Site::start().await;
    let client = &mut with_table(&site).await;
    let transaction = client.begin_transaction().await.unwrap();
    run(client, "INSERT INTO t VALUES (1)", &transaction).await;
    client.end_transaction(transaction, EndTransaction::Rollback).await.unwrap();
    assert_eq!(count(client, None).await, "0");
}

#[tokio::test]
async fn the_first_to_commit_wins() {
    let site = Site::start().await;
    let client = &mut with_table(&site).await;
    let (one, two) = (client.begin_transaction().await.unwrap(), client.begin_transaction().await.unwrap());
    run(client, "INSERT INTO t VALUES (1)", &one).await;
    run(client, "INSERT INTO t VALUES (2)", &two).await;
    client.end_transaction(one, EndTransaction::Commit).await.unwrap();
    let lost = client.end_transaction(two, EndTransaction::Commit).await.unwrap_err();
    assert!(lost.to_string().contains("rolled back"), "{lost}");
    assert_eq!(count(client, None).await, "1");
}

#[tokio::test]
async fn writers_at_once_lose_nothing() {
    let site = Site::start().await;
    let mut client = with_table(&site).await;
    let writers = (0..12).map(|n| {
        let mut client = client.clone();
        async move { client.execute_update(format!("INSERT INTO t VALUES ({n})"), None).await }
    });
    for written in futures::future::join_all(writers).await {
        assert_eq!(written.unwrap(), 1);
    }
    assert_eq!(count(&mut client, None).await, "12");
}
