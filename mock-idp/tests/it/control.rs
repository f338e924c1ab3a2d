//! The control API.

use std::time::Duration;

use mock_idp::{Admin, Config, MockIdp, Secret, StartError, Surroundings};
use serde_json::{Value, json};

use crate::rig::{Rig, Seen, automatic, client, part, text};

async fn post(rig: &Rig, path: &str, body: Value) -> Seen {
    rig.send(rig.http.post(rig.url(&format!("/_mock/{path}"))).json(&body)).await
}

async fn get(rig: &Rig, path: &str) -> Seen {
    rig.get(&rig.url(&format!("/_mock/{path}"))).await
}

#[tokio::test]
async fn a_fault_is_set_seen_hit_and_removed() {
    let rig = Rig::plain().await;
    let set = post(&rig, "faults", json!({ "fault": "P02", "client": "app", "times": 2 })).await;
    assert_eq!(
        (set.status, set.json()["fault"].as_str(), set.json()["left"].as_u64()),
        (201, Some("invalid-client"), Some(2))
    );
    assert_eq!(rig.token().await.status, 401);
    let id = text(&set.json(), "id").to_owned();
    assert_eq!(get(&rig, "faults").await.json()[0]["hits"], 1);
    let removed = rig.send(rig.http.delete(rig.url(&format!("/_mock/faults/{id}")))).await;
    assert_eq!((removed.status, rig.token().await.status), (200, 200));
    let unknown = post(&rig, "faults", json!({ "fault": "expird-token" })).await;
    assert!(
        unknown.status == 400 && unknown.text().contains("did you mean `expired-token`"),
        "{}",
        unknown.text()
    );
    let tls = post(&rig, "faults", json!({ "fault": "tls-expired" })).await;
    assert!(tls.status == 400 && tls.text().contains("--tls"), "{}", tls.text());
}

#[tokio::test]
async fn clock_keys_and_tokens_are_controlled() {
    let rig = Rig::plain().await;
    let clock = post(&rig, "clock", json!({ "freeze_at": 5000 })).await.json();
    assert_eq!(clock, json!({ "now": 5000.0, "offset": clock["offset"], "frozen": true }));
    assert_eq!(part(text(&rig.token().await.json(), "access_token"), 1)["iat"], 5000);
    post(&rig, "clock", json!({ "reset": true })).await;
    let keys = post(&rig, "keys", json!({ "action": "rotate" })).await.json();
    assert_eq!(keys.as_array().map(Vec::len), Some(2));
    let minted =
        post(&rig, "tokens", json!({ "claims": { "sub": "eve", "jti": null }, "header": { "typ": "x" } }))
            .await;
    let token = text(&minted.json(), "token").to_owned();
    let claims = rig.verified(&token).await.unwrap();
    assert!(claims["sub"] == "eve" && !claims.contains_key("jti") && part(&token, 0)["typ"] == "x");
    let seen = post(&rig, "tokens/inspect", json!({ "token": token })).await.json();
    assert_eq!(
        (seen["claims"]["sub"].as_str(), seen["signed_by"]["kid"].as_str()),
        (Some("eve"), Some("rs256-2"))
    );
    let access = text(&rig.token().await.json(), "access_token").to_owned();
    assert_eq!(post(&rig, "tokens/revoke", json!({ "token": access })).await.json()["revoked"], 1);
    assert_eq!(
        post(&rig, "tokens/inspect", json!({ "token": access })).await.json()["issued"]["revoked"],
        true
    );
}

#[tokio::test]
async fn a_throw_away_issuer_has_settings_of_its_own_and_goes() {
    let rig = Rig::plain().await;
    let settings = json!({ "profile": "auth0", "token": { "lifetime": 7 } });
    let made = post(&rig, "issuers", json!({ "settings": settings, "lifetime": 60 })).await;
    assert_eq!(made.status, 201, "{}", made.text());
    let token_url = text(&made.json(), "token").to_owned();
    assert!(token_url.ends_with("/oauth/token"));
    let form = [("grant_type", "client_credentials"), ("audience", "api")];
    let seen = rig.send(rig.http.post(&token_url).basic_auth("app", Some("s")).form(&form)).await.json();
    assert_eq!(
        (seen["expires_in"].as_u64(), part(text(&seen, "access_token"), 1)["sub"].as_str()),
        (Some(7), Some("app@clients"))
    );
    let path = text(&made.json(), "path").to_owned();
    let gone = rig.send(rig.http.delete(rig.url(&format!("/_mock/issuers?path={path}")))).await;
    assert_eq!(gone.status, 200);
    assert_eq!(rig.send(rig.http.post(&token_url).form(&form)).await.status, 404);
    let wrong = post(&rig, "issuers", json!({ "settings": { "tokn": {} } })).await;
    assert!(wrong.status == 400 && wrong.text().contains("did you mean `token`"), "{}", wrong.text());
}

#[tokio::test]
async fn the_record_is_listed_taken_streamed_and_tells_no_secrets() {
    let rig = Rig::plain().await;
    let mut stream = rig.http.get(rig.url("/_mock/record/stream")).send().await.unwrap();
    assert!(stream.chunk().await.unwrap().is_some());
    let waiting = post(&rig, "record/take", json!({ "filter": { "endpoint": "token" }, "wait": 5 }));
    let (taken, token) = tokio::join!(waiting, rig.token());
    let access = text(&token.json(), "access_token").to_owned();
    assert_eq!(
        (taken.json()["client"].as_str(), taken.json()["client_auth"].as_str()),
        (Some("app"), Some("basic"))
    );
    assert!(!taken.text().contains(&access));
    let mut events = String::new();
    while !events.contains("data: ") || !events.ends_with("\n\n") {
        events += std::str::from_utf8(&stream.chunk().await.unwrap().unwrap()).unwrap();
    }
    assert!(
        events.contains("event: exchange") && events.contains("/oauth2/token") && !events.contains(&access)
    );
    assert_eq!(post(&rig, "record/take", json!({ "filter": { "endpoint": "token" } })).await.status, 204);
    rig.token().await;
    assert!(get(&rig, "record?endpoint=token&reveal=true").await.text().contains("Basic "));
    rig.send(rig.http.delete(rig.url("/_mock/record"))).await;
    assert_eq!(get(&rig, "record").await.json(), json!([]));
    assert!(
        get(&rig, "metrics")
            .await
            .text()
            .contains("mock_idp_requests_total{endpoint=\"token\",status=\"200\"} 2")
    );
}

#[tokio::test]
async fn a_reset_leaves_nothing() {
    let rig = Rig::plain().await;
    rig.get(&rig.url("/made/jwks")).await;
    let tokens = rig.login().await;
    rig.fault("server-error", None);
    assert_eq!(post(&rig, "reset", json!({})).await.status, 204);
    let status = get(&rig, "status").await.json();
    assert_eq!((status["faults"].as_u64(), status["issuers"].as_array().map(Vec::len)), (Some(0), Some(1)));
    let refresh = [("grant_type", "refresh_token"), ("refresh_token", text(&tokens, "refresh_token"))];
    assert_eq!(rig.grant(&refresh).await.status, 400);
}

#[tokio::test]
async fn pages_of_the_web_and_strangers_do_not_control_it() {
    let rig = Rig::plain().await;
    let url = rig.url("/_mock/reset");
    let cross = rig.send(rig.http.post(&url).header("origin", "https://evil.example")).await;
    assert_eq!(cross.status, 403);
    let rebound = rig.send(rig.http.post(&url).header("host", "evil.example")).await;
    assert_eq!(rebound.status, 403);
    let mut config = automatic();
    config.admin = Admin::Token(Secret::new("let-me-in"));
    let guarded = Rig::start(config).await;
    let refused = get(&guarded, "status").await;
    assert_eq!((refused.status, refused.header("www-authenticate").is_empty()), (401, false));
    let let_in = guarded.http.get(guarded.url("/_mock/status")).bearer_auth("let-me-in");
    assert_eq!(guarded.send(let_in).await.status, 200);
    assert_eq!(get(&guarded, "").await.status, 200, "the page itself asks for the token");
}

#[tokio::test]
async fn a_mock_that_others_can_reach_needs_a_token() {
    let config = Config { host: "0.0.0.0".to_owned(), ..Config::default() };
    let error = MockIdp::start(config).await.err().unwrap();
    assert!(matches!(error, StartError::Unguarded { .. }), "{error}");
}

#[tokio::test]
async fn a_separate_admin_port_sees_everything() {
    let mut config = automatic();
    config.admin = Admin::Token(Secret::new("t"));
    let surroundings = Surroundings { admin_port: Some(0), ..Surroundings::default() };
    let idp = MockIdp::start_with(config, surroundings).await.unwrap();
    let rig = Rig { idp, http: client() };
    rig.token().await;
    let record = rig.get(&format!("{}/record", rig.idp.admin_url())).await.json();
    assert_eq!(record.as_array().map(Vec::len), Some(1));
    assert_eq!(rig.get(&rig.url("/_mock/record")).await.status, 401);
}

#[tokio::test]
async fn stopping_lets_an_answer_go_out() {
    let rig = Rig::plain().await;
    rig.fault("delay", Some(json!({ "ms": 300 })));
    let asked = tokio::spawn(rig.token_request().send());
    while rig.idp.faults()[0].hits == 0 {
        tokio::task::yield_now().await;
    }
    let url = rig.idp.token_url();
    rig.idp.stop(Duration::from_secs(5)).await;
    assert_eq!(asked.await.unwrap().unwrap().status(), 200);
    assert!(client().get(&url).send().await.is_err());
}
