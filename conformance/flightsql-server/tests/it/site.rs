//! A server for one test, and clients for it.

use std::sync::{Arc, Mutex};
use std::time::Duration;

use arrow::array::RecordBatch;
use arrow::util::pretty::pretty_format_batches;
use arrow_flight::FlightInfo;
use arrow_flight::sql::client::FlightSqlServiceClient;
use flightsql_server::{Config, Engine, FlightSqlServer, Record, Secret, WaysIn};
use futures::TryStreamExt as _;
use tokio::sync::watch;
use tonic::transport::{Channel, Endpoint};

pub type Client = FlightSqlServiceClient<Channel>;

/// The static token that every site takes.
pub const TOKEN: &str = "a-static-token";

/// A server and what it recorded.
pub struct Site {
    pub server: FlightSqlServer,
    pub records: Arc<Records>,
}

/// Records, and a way to wait for one.
pub struct Records {
    all: Mutex<Vec<Record>>,
    count: watch::Sender<usize>,
}

impl Records {
    pub fn all(&self) -> Vec<Record> {
        self.all.lock().unwrap().clone()
    }

    /// Waits for a record like this.
    pub async fn wait_for<T>(&self, wanted: impl Fn(&Record) -> Option<T>) -> T {
        self.wait_until(|records| records.iter().find_map(&wanted)).await
    }

    /// Waits until the records are like this.
    pub async fn wait_until<T>(&self, wanted: impl Fn(&[Record]) -> Option<T>) -> T {
        let mut count = self.count.subscribe();
        let found = async {
            loop {
                count.borrow_and_update();
                if let Some(found) = wanted(&self.all.lock().unwrap()) {
                    return found;
                }
                count.changed().await.unwrap();
            }
        };
        tokio::time::timeout(Duration::from_secs(20), found).await.expect("the record comes")
    }
}

/// A configuration with a record, the demo tables and one static token.
pub fn config() -> (Config, Arc<Records>) {
    let records = Arc::new(Records { all: Mutex::default(), count: watch::channel(0).0 });
    let told = records.clone();
    let recorder = Arc::new(move |record| {
        told.all.lock().unwrap().push(record);
        told.count.send_modify(|count| *count += 1);
    });
    let mut config = Config::new(Engine::demo(), recorder);
    config.ways_in = WaysIn { static_tokens: vec![Secret::new(TOKEN)], ..WaysIn::default() };
    (config, records)
}

impl Site {
    pub async fn start() -> Self {
        Self::with(|_| {}).await
    }

    pub async fn with(change: impl FnOnce(&mut Config)) -> Self {
        let (mut config, records) = config();
        change(&mut config);
        Self { server: FlightSqlServer::start(config).await.unwrap(), records }
    }

    pub async fn channel(&self) -> Channel {
        let port = self.server.port("main").unwrap();
        Endpoint::from_shared(format!("http://127.0.0.1:{port}")).unwrap().connect().await.unwrap()
    }

    pub async fn anonymous(&self) -> Client {
        FlightSqlServiceClient::new(self.channel().await)
    }

    pub async fn client(&self) -> Client {
        let mut client = self.anonymous().await;
        client.set_token(TOKEN.to_owned());
        client
    }
}

/// All rows of a result.
pub async fn rows(client: &mut Client, info: FlightInfo) -> Vec<RecordBatch> {
    let ticket = info.endpoint[0].ticket.clone().unwrap();
    client.do_get(ticket).await.unwrap().try_collect().await.unwrap()
}

/// A query's rows as text, a line each, without the frame.
pub async fn text(client: &mut Client, sql: &str) -> String {
    let info = client.execute(sql.to_owned(), None).await.unwrap();
    table(&rows(client, info).await)
}

/// Rows as text, cells apart by one space.
pub fn table(rows: &[RecordBatch]) -> String {
    let framed = pretty_format_batches(rows).unwrap().to_string();
    let lines = framed.lines().filter(|line| line.starts_with('|')).skip(1);
    let cells =
        lines.map(|line| line.trim_matches('|').split('|').map(str::trim).collect::<Vec<_>>().join(" "));
    cells.collect::<Vec<_>>().join("\n")
}
