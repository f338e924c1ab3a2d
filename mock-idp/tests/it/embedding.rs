//! As the runner embeds it: one strict issuer, ports of their own, a recorder that is told of everything.

use std::sync::{Arc, Mutex};
use std::time::Duration;

use mock_idp::{
    Client, Clients, Config, Endpoint, Fault, FaultKind, KeyPool, Listeners, MockIdp, Party, Record, Secret,
    Stall, Via,
};

use crate::rig::{client, text};

type Records = Arc<Mutex<Vec<Record>>>;

async fn start(change: impl FnOnce(&mut Config)) -> (MockIdp, Records) {
    let records = Records::default();
    let kept = records.clone();
    let mut config = Config::new(Arc::new(KeyPool::new()), Arc::new(move |r| kept.lock().unwrap().push(r)));
    let app = Client { id: "app".into(), secret: Secret::new("s"), ..Client::default() };
    config.clients = Clients::Registered(vec![app]);
    config.path = "/tenant/v2.0".into();
    config.token.alg = mock_idp::Alg::Es256;
    change(&mut config);
    (MockIdp::start(config).await.unwrap(), records)
}

async fn ask(idp: &MockIdp, secret: &str) -> reqwest::Result<reqwest::Response> {
    let form = [("grant_type", "client_credentials"), ("scope", "a")];
    client().post(idp.token_url()).basic_auth("app", Some(secret)).form(&form).send().await
}

#[tokio::test]
async fn everything_is_told_in_order_and_secrets_are_not_printed() {
    let (idp, records) = start(|c| c.trailing_slash = true).await;
    assert!(idp.issuer().ends_with("/tenant/v2.0/"));
    let token = ask(&idp, "s").await.unwrap().json::<serde_json::Value>().await.unwrap();
    let token = text(&token, "access_token").to_owned();
    ask(&idp, "wrong").await.unwrap();
    client().get(format!("{}/nowhere", idp.origin())).send().await.unwrap();
    // The client's connections end with it; their end is told, too.
    let told = async {
        loop {
            let closed =
                records.lock().unwrap().iter().filter(|r| matches!(r, Record::Closed { .. })).count();
            if closed == 3 {
                return;
            }
            tokio::task::yield_now().await;
        }
    };
    tokio::time::timeout(Duration::from_secs(5), told).await.unwrap();
    let records = records.lock().unwrap();
    assert!(matches!(&records[0], Record::Contact { issuer, via: Via::Accept, .. } if issuer == "main"));
    let tokens: Vec<_> = records
        .iter()
        .filter_map(|r| match r {
            Record::Token(t) => Some(t),
            _ => None,
        })
        .collect();
    assert_eq!((tokens[0].status, tokens[0].scope.as_deref()), (Some(200), Some("a")));
    assert_eq!(tokens[0].granted.as_ref().unwrap().token.expose(), token);
    assert_eq!((tokens[1].status, tokens[1].error.as_deref()), (Some(401), Some("invalid_client")));
    let other =
        |r: &&Record| matches!(r, Record::Request { endpoint: Endpoint::Other, status: Some(404), .. });
    assert_eq!(records.iter().filter(other).count(), 1);
    let ended = |r: &&Record| matches!(r, Record::Closed { by: Party::Peer, requests: 1, .. });
    assert_eq!(records.iter().filter(ended).count(), 3);
    let printed = format!("{records:?}");
    assert!(!printed.contains(&token) && printed.contains("[redacted]"));
}

#[tokio::test]
async fn no_other_path_is_an_issuer_and_nobody_controls_it() {
    let (idp, _) = start(|_| {}).await;
    for path in ["/other/jwks", "/jwks", "/_mock/status", "/healthz", "/register"] {
        let status = client().get(format!("{}{path}", idp.origin())).send().await.unwrap().status();
        assert_eq!(status, 404, "{path}");
    }
}

#[tokio::test]
async fn one_port_is_dead_and_the_others_are_well() {
    let (idp, records) = start(|c| c.listeners = Listeners::PerEndpoint).await;
    let port = |url: &str| url::Url::parse(url).unwrap().port().unwrap();
    let ports = [idp.discovery_url(), idp.token_url(), idp.jwks_url()].map(|u| port(&u));
    assert!(ports[0] != ports[1] && ports[1] != ports[2] && ports[0] != ports[2]);
    idp.set_faults(vec![Fault::always(Endpoint::Token, FaultKind::Stall(Stall::SynBlackhole))]);
    assert_eq!(client().get(idp.discovery_url()).send().await.unwrap().status(), 200);
    let attempt = tokio::time::timeout(Duration::from_millis(500), ask(&idp, "s")).await;
    assert!(attempt.is_err(), "the handshake is answered");
    let seen = |r: &Record| matches!(r, Record::Contact { endpoint: Endpoint::Token, via: Via::Syn, .. });
    assert!(records.lock().unwrap().iter().any(seen), "nobody saw the attempt");
    idp.set_faults(Vec::new());
    let again = async { while ask(&idp, "s").await.is_err() {} };
    tokio::time::timeout(Duration::from_secs(10), again).await.unwrap();
    idp.shutdown().await;
    // What filled the queue of the dead port were connections of our own.
    let idle = |r: &Record| matches!(r, Record::Closed { endpoint: Endpoint::Token, requests: 0, .. });
    assert!(!records.lock().unwrap().iter().any(idle), "a connection without a request is told");
}

#[tokio::test]
async fn resource_servers_have_a_healthy_listener_that_tells_nothing() {
    let (idp, records) =
        start(|c| c.faults = vec![Fault::always(Endpoint::Any, FaultKind::Status { status: 500 })]).await;
    let base = idp.back_channel();
    let get =
        async |url: &str| client().get(url).send().await.unwrap().json::<serde_json::Value>().await.unwrap();
    let document = get(&format!("{base}/.well-known/openid-configuration")).await;
    assert_eq!(document["issuer"], idp.issuer());
    let keys = get(text(&document, "jwks_uri")).await;
    assert_eq!(keys["keys"].as_array().map(Vec::len), Some(1));
    idp.set_faults(Vec::new());
    let token = ask(&idp, "s").await.unwrap().json::<serde_json::Value>().await.unwrap();
    let token = text(&token, "access_token").to_owned();
    let about = async || {
        let request = client().post(text(&document, "introspection_endpoint")).form(&[("token", &token)]);
        request.send().await.unwrap().json::<serde_json::Value>().await.unwrap()
    };
    assert_eq!((&about().await["active"], idp.known_token(&token).unwrap().revoked), (&true.into(), false));
    idp.revoke_tokens();
    assert_eq!(about().await, serde_json::json!({ "active": false }));
    let requests = |r: &&Record| matches!(r, Record::Request { .. });
    assert_eq!(records.lock().unwrap().iter().filter(requests).count(), 0);
    idp.shutdown().await;
}

#[tokio::test]
async fn a_request_is_told_with_the_faults_that_it_met() {
    let delay = FaultKind::delay(Duration::from_millis(1));
    let (idp, records) = start(|c| c.faults = vec![Fault::always(Endpoint::Token, delay)]).await;
    let get = || async { client().get(idp.jwks_url()).send().await.unwrap().bytes().await.unwrap() };
    get().await;
    ask(&idp, "s").await.unwrap();
    idp.set_faults(Vec::new());
    ask(&idp, "s").await.unwrap();
    let records = records.lock().unwrap();
    let met: Vec<Vec<&str>> = records
        .iter()
        .filter_map(|record| match record {
            Record::Token(request) => Some(request.faults.iter().map(String::as_str).collect()),
            Record::Request { faults, .. } => Some(faults.iter().map(String::as_str).collect()),
            _ => None,
        })
        .collect();
    assert_eq!(met, [vec![], vec!["delay"], vec![]]);
}

#[tokio::test]
async fn hanging_up_closes_kept_connections_and_takes_new_ones() {
    let (idp, records) = start(|_| {}).await;
    let http = client();
    let get = || async { http.get(idp.jwks_url()).send().await.unwrap().bytes().await.unwrap() };
    get().await;
    idp.hang_up();
    let closed = async {
        while !records.lock().unwrap().iter().any(|r| matches!(r, Record::Closed { by: Party::Us, .. })) {
            tokio::task::yield_now().await;
        }
    };
    tokio::time::timeout(Duration::from_secs(5), closed).await.unwrap();
    get().await;
    let contacts = records.lock().unwrap().iter().filter(|r| matches!(r, Record::Contact { .. })).count();
    assert_eq!(contacts, 2);
}
