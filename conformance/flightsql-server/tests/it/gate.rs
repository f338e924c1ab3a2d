//! The gate: no call runs without credentials, Handshakes, faults.

use std::time::Duration;

use arrow_flight::flight_service_client::FlightServiceClient;
use arrow_flight::{Action, Criteria, Empty, FlightData, FlightDescriptor, HandshakeRequest, Ticket};
use flightsql_server::{
    Code as FaultCode, Fault, FaultKind, HandshakeAnswer, Http2, ListenerTls, Method, Moment, Record, Secret,
    WaysIn,
};
use futures::{TryStreamExt as _, stream};
use tokio::io::AsyncWriteExt as _;
use tonic::transport::Channel;
use tonic::{Code, Request, Status};

use crate::site::{Client, Site, rows, table, text};

#[tokio::test]
async fn no_call_runs_without_credentials() {
    let site = Site::start().await;
    let client = || async { FlightServiceClient::new(site.channel().await) };
    let drop_table = || FlightDescriptor::new_cmd(&b"\0"[..]);
    let answers: Vec<(&str, Result<(), Status>)> = vec![
        ("Handshake", client().await.handshake(stream::empty::<HandshakeRequest>()).await.map(|_| ())),
        ("ListFlights", client().await.list_flights(Criteria::default()).await.map(|_| ())),
        ("GetFlightInfo", client().await.get_flight_info(drop_table()).await.map(|_| ())),
        ("PollFlightInfo", client().await.poll_flight_info(drop_table()).await.map(|_| ())),
        ("GetSchema", client().await.get_schema(drop_table()).await.map(|_| ())),
        ("DoGet", client().await.do_get(Ticket::new("SELECT 1")).await.map(|_| ())),
        ("DoPut", client().await.do_put(stream::pending::<FlightData>()).await.map(|_| ())),
        ("DoExchange", client().await.do_exchange(stream::pending::<FlightData>()).await.map(|_| ())),
        ("DoAction", client().await.do_action(Action::default()).await.map(|_| ())),
        ("ListActions", client().await.list_actions(Empty {}).await.map(|_| ())),
    ];
    for (method, answer) in &answers {
        assert_eq!(answer.as_ref().unwrap_err().code(), Code::Unauthenticated, "{method}");
    }
    for record in site.records.all() {
        match record {
            Record::Rpc(rpc) => assert_eq!(rpc.refused.as_deref(), Some("UNAUTHENTICATED")),
            Record::StreamEnd(end) => assert_eq!((end.rows, end.code.as_str()), (0, "UNAUTHENTICATED")),
            Record::Contact { .. } | Record::TlsFailed { .. } => {}
            Record::Fault { .. } | Record::Rendezvous { .. } => panic!("a call got too far: {record:?}"),
        }
    }
}

async fn handshake_site(handshake: HandshakeAnswer) -> Site {
    Site::with(|config| {
        let basic = vec![("ann".to_owned(), Secret::new("p:w"))];
        config.ways_in =
            WaysIn { basic, handshake, static_tokens: vec![Secret::new("t")], ..WaysIn::default() };
    })
    .await
}

/// Header, payload and trailer of a Handshake that sends no message and leaves its stream open.
async fn handshake(site: &Site, authorization: &str) -> Result<[Option<String>; 3], Status> {
    let mut client = FlightServiceClient::new(site.channel().await);
    let mut request = Request::new(stream::pending::<HandshakeRequest>());
    request.metadata_mut().insert("authorization", authorization.parse().unwrap());
    let response = client.handshake(request).await?;
    let text = |metadata: &tonic::metadata::MetadataMap| {
        metadata.get("authorization").map(|value| value.to_str().unwrap().to_owned())
    };
    let header = text(response.metadata());
    let mut stream = response.into_inner();
    let payload = stream.message().await?.map(|message| String::from_utf8(message.payload.to_vec()).unwrap());
    let trailer = stream.trailers().await?.and_then(|trailers| text(&trailers));
    Ok([header, payload, trailer])
}

#[tokio::test]
async fn handshakes_answer_where_they_are_asked_to_and_wait_for_nothing() {
    for (answer, expected) in [
        (HandshakeAnswer::Header, [true, true, false]),
        (HandshakeAnswer::Trailer, [false, false, true]),
        (HandshakeAnswer::Payload, [false, true, false]),
    ] {
        let site = handshake_site(answer).await;
        for credential in ["Basic YW5uOnA6dw==", "Basic YW5uOnA6dw", "basic YW5uOnA6dw==", "Bearer t"] {
            let given = handshake(&site, credential).await.unwrap();
            assert_eq!([0, 1, 2].map(|nth| given[nth].is_some()), expected, "{answer:?} {credential}");
        }
        for credential in ["Basic YW5uOnh4", "Basic !!!", "Bearer x", "Basic"] {
            assert_eq!(
                handshake(&site, credential).await.unwrap_err().code(),
                Code::Unauthenticated,
                "{credential}"
            );
        }
    }
}

async fn with_fault(fault: Fault) -> (Site, Client) {
    let site = Site::with(|config| config.faults = vec![Fault { only_statements: true, ..fault }]).await;
    let client = site.client().await;
    (site, client)
}

fn on_do_get(kind: FaultKind) -> Fault {
    Fault { method: Some(Method::DoGet), ..Fault::new(kind) }
}

/// Rows that came, and how the stream ended.
async fn read(client: &mut Client) -> (usize, Result<(), String>) {
    let info = client.execute("SELECT * FROM generate_series(1, 100000)".to_owned(), None).await.unwrap();
    let mut rows = 0;
    let end = async {
        let mut stream =
            client.do_get(info.endpoint[0].ticket.clone().unwrap()).await.map_err(|e| e.to_string())?;
        while let Some(batch) = stream.try_next().await.map_err(|e| e.to_string())? {
            rows += batch.num_rows();
        }
        Ok(())
    };
    let end = tokio::time::timeout(Duration::from_secs(5), end)
        .await
        .unwrap_or_else(|_| Err("nothing more".into()));
    (rows, end)
}

#[tokio::test]
async fn streams_break_where_they_are_told_to() {
    use Moment::{AfterSchema, BeforeSchema, MidStream};
    let status = |at| FaultKind::Status { code: FaultCode::DataLoss, message: "on purpose".into(), at };
    for (kind, has_rows, said) in [
        (status(BeforeSchema), false, "on purpose"),
        (status(AfterSchema), false, "on purpose"),
        (status(MidStream), true, "on purpose"),
        (FaultKind::Reset(BeforeSchema), false, "h2 protocol error"),
        (FaultKind::Reset(MidStream), true, "h2 protocol error"),
        (FaultKind::Disconnect(AfterSchema), false, ""),
    ] {
        let (_site, mut client) = with_fault(on_do_get(kind.clone())).await;
        let (rows, end) = read(&mut client).await;
        assert_eq!(rows > 0, has_rows, "{kind:?}: {rows} rows");
        let end = end.expect_err("the stream breaks");
        assert!(end.contains(said) && !end.contains("nothing more"), "{kind:?}: {end}");
    }
}

#[tokio::test]
async fn a_stalled_stream_stays_open() {
    let (_site, mut client) = with_fault(on_do_get(FaultKind::Stall(Moment::MidStream))).await;
    let (rows, end) = read(&mut client).await;
    assert!(rows > 0);
    assert_eq!(end.unwrap_err(), "nothing more");
}

#[tokio::test]
async fn a_slow_stream_is_whole() {
    let (_site, mut client) = with_fault(on_do_get(FaultKind::Slow(Duration::from_millis(20)))).await;
    let started = std::time::Instant::now();
    assert_eq!(read(&mut client).await, (100_000, Ok(())));
    assert!(started.elapsed() > Duration::from_millis(100));
}

#[tokio::test]
async fn a_fault_ends_after_its_times() {
    let kind =
        FaultKind::Status { code: FaultCode::Unavailable, message: "once".into(), at: Moment::BeforeSchema };
    let (site, mut client) = with_fault(Fault { after: 1, times: Some(1), ..on_do_get(kind) }).await;
    let ends = [
        read(&mut client).await.1.is_ok(),
        read(&mut client).await.1.is_ok(),
        read(&mut client).await.1.is_ok(),
    ];
    assert_eq!(ends, [true, false, true]);
    // The record says which call met it.
    let records = site.records.all();
    let calls: Vec<u64> = records
        .iter()
        .filter_map(|record| match record {
            Record::Rpc(rpc) if rpc.method == "DoGet" => Some(rpc.id),
            _ => None,
        })
        .collect();
    let met: Vec<(u64, &str)> = records
        .iter()
        .filter_map(|record| match record {
            Record::Fault { rpc, fault, .. } => Some((*rpc, *fault)),
            _ => None,
        })
        .collect();
    assert_eq!(met, [(calls[1], "status")]);
}

#[tokio::test]
async fn go_away_answers_and_sends_the_client_elsewhere() {
    let fault = Fault { times: Some(1), ..on_do_get(FaultKind::GoAway) };
    let (site, mut client) = with_fault(fault).await;
    assert_eq!(read(&mut client).await, (100_000, Ok(())));
    // tonic connects again by itself.
    assert_eq!(read(&mut client).await, (100_000, Ok(())));
    let contacts = site.records.all().iter().filter(|r| matches!(r, Record::Contact { .. })).count();
    assert_eq!(contacts, 2);
}

#[tokio::test]
async fn answers_carry_headers_that_nobody_asked_for() {
    let extra = vec![
        ("authorization".to_owned(), "Bearer evil".to_owned()),
        ("x-large".to_owned(), "x".repeat(6000)),
    ];
    let site = Site::with(|config| config.faults = vec![Fault::new(FaultKind::Headers(extra))]).await;
    let mut client = FlightServiceClient::new(site.channel().await);
    let mut request = Request::new(Empty {});
    request.metadata_mut().insert("authorization", "Bearer a-static-token".parse().unwrap());
    let answer = client.list_actions(request).await.unwrap();
    assert_eq!(answer.metadata().get("authorization").unwrap(), "Bearer evil");
    assert_eq!(answer.metadata().get("x-large").unwrap().len(), 6000);
}

#[tokio::test]
async fn handshakes_can_give_nothing_or_the_wrong_token() {
    let site = handshake_site(HandshakeAnswer::Header).await;
    site.server.set_faults(vec![Fault::new(FaultKind::NoToken)]);
    assert_eq!(handshake(&site, "Bearer t").await.unwrap(), [None, None, None]);
    site.server.set_faults(vec![Fault::new(FaultKind::WrongToken(Secret::new("x")))]);
    assert_eq!(handshake(&site, "Bearer t").await.unwrap()[0].as_deref(), Some("Bearer x"));
}

#[tokio::test]
async fn tiny_windows_make_an_upload_slow_and_not_wrong() {
    let site = Site::with(|config| config.http2 = Http2 { stream_window: 16, ..Http2::default() }).await;
    let mut client = site.client().await;
    let info = client.execute(format!("SELECT length('{}')", "x".repeat(2000)), None).await.unwrap();
    assert_eq!(table(&rows(&mut client, info).await), "2000");
}

#[tokio::test]
async fn large_request_headers_pass() {
    let site = Site::with(|config| config.ways_in.anonymous = true).await;
    let channel: Channel = site.channel().await;
    let mut request = Request::new(Empty {});
    request.metadata_mut().insert("x-groups", "g".repeat(15_000).parse().unwrap());
    FlightServiceClient::new(channel).list_actions(request).await.unwrap();
    let Some(Record::Rpc(rpc)) = site.records.all().into_iter().find(|r| matches!(r, Record::Rpc(_))) else {
        panic!()
    };
    assert!(rpc.headers.iter().any(|(name, values)| name == "x-groups" && values[0].len() == 15_000));
}

#[tokio::test]
async fn a_listener_says_where_its_results_are() {
    let site = Site::start().await;
    site.server.set_locations("main", vec!["grpc+tls://elsewhere:1".to_owned()]);
    let info = site.client().await.execute("SELECT 1".to_owned(), None).await.unwrap();
    let uris: Vec<&str> = info.endpoint[0].location.iter().map(|l| l.uri.as_str()).collect();
    assert_eq!(uris, ["grpc+tls://elsewhere:1"]);
}

#[tokio::test]
async fn a_listener_without_tls_tells_who_began_it() {
    let missing = || [("main".to_owned(), ListenerTls::Missing)].into();
    let site = Site::with(|config| config.other_tls = missing()).await;
    let port = site.server.port("main").unwrap();
    let mut stream = tokio::net::TcpStream::connect(("127.0.0.1", port)).await.unwrap();
    // The head of a ClientHello.
    stream.write_all(&[0x16, 3, 1, 0, 5]).await.unwrap();
    site.records.wait_for(|r| matches!(r, Record::TlsFailed { .. }).then_some(())).await;
    assert_eq!(text(&mut site.client().await, "SELECT 1").await, "1");
}
