//! What the control API and the endpoints refuse, and say why.

use mock_idp::{Admin, Config, MockIdp, Surroundings};
use serde_json::{Value, json};

use crate::rig::{Rig, Seen, client};

async fn post(rig: &Rig, path: &str, body: impl Into<reqwest::Body>) -> Seen {
    rig.send(rig.http.post(rig.url(&format!("/_mock/{path}"))).body(body)).await
}

/// It is refused in these words, and the mock goes on.
async fn refused(path: &str, body: &str, expected: &str) {
    let rig = Rig::plain().await;
    let seen = post(&rig, path, body.to_owned()).await;
    assert_eq!(seen.status, 400, "{body}: {}", seen.text());
    assert!(seen.text().contains(expected), "{body}: {}\nlacks {expected}", seen.text());
    assert_eq!(rig.token().await.status, 200, "{body}");
}

#[tokio::test]
async fn a_fault_with_a_number_out_of_range_is_refused_when_it_is_set() {
    for seconds in ["18446744073709551615", "999999999999"] {
        let body = format!(r#"{{"fault":"retry-after","with":{{"seconds":{seconds},"as_date":true}}}}"#);
        refused("faults", &body, "`seconds` has to be").await;
    }
    for status in [0, 99, 600, 65_535] {
        for fault in ["status", "respond", "echo", "redirect-loop"] {
            let body = json!({ "fault": fault, "with": { "status": status } }).to_string();
            refused("faults", &body, "`status` has to be from 100 to 599").await;
        }
    }
    let with = |fault: &str, with: Value| json!({ "fault": fault, "with": with }).to_string();
    refused("faults", &with("slow-body", json!({ "bytes_per_second": 0 })), "`bytes_per_second`").await;
    refused("faults", &with("truncate", json!({ "fraction": 2 })), "`fraction` has to be from 0 to 1").await;
    refused("faults", &with("long-token", json!({ "bytes": u32::MAX })), "`bytes`").await;
    refused("faults", &with("barrier", json!({ "parties": 0 })), "`parties` has to be 1 or more").await;
    refused("barriers", r#"{"parties":0}"#, "`parties` has to be 1 or more").await;
    refused("faults", r#"{"fault":"T01","times":0}"#, "`times` has to be 1 or more").await;
}

#[tokio::test]
async fn a_late_date_is_written_whatever_the_clock_shows() {
    let rig = Rig::plain().await;
    let at = json!({ "freeze_at": 253_402_300_000_u64 }).to_string();
    assert_eq!(post(&rig, "clock", at).await.status, 200);
    rig.fault("retry-after", Some(json!({ "seconds": 4_294_967_295_u64, "as_date": true })));
    let seen = rig.token().await;
    assert_eq!((seen.status, seen.header("retry-after")), (503, "Fri, 31 Dec 9999 23:59:59 GMT"));
}

#[tokio::test]
async fn a_clock_does_not_leave_the_years_that_can_be_written() {
    for change in ["advance\":1e30", "offset\":-1e30", "freeze_at\":1e300", "advance\":-1e11"] {
        refused("clock", &format!("{{\"{change}}}"), "1970 to 9999").await;
    }
}

#[tokio::test]
async fn a_word_or_header_that_is_none_is_refused_with_a_guess() {
    refused("faults", r#"{"fault":"T01","grant":"client_credential"}"#, "did you mean `client_credentials`")
        .await;
    refused("faults", r#"{"fault":"T01","after_event":{"endpoint":"token","grant":"x"}}"#, "no grant `x`")
        .await;
    let header = r#"{"fault":"headers","with":{"set":{"bad name":"x"}}}"#;
    refused("faults", header, "header `bad name` is no name of a header").await;
    let value = r#"{"fault":"respond","with":{"status":200,"headers":{"x-a":"a\nb"}}}"#;
    refused("faults", value, "header `x-a` has a value that no header may carry").await;
}

#[tokio::test]
async fn a_fault_that_is_not_named_is_missing() {
    for body in ["", " ", "{}", "[]", r#"["T01"]"#] {
        refused("faults", body, "`fault` is missing").await;
    }
    refused("clock", "[]", "has to be a JSON object").await;
}

#[tokio::test]
async fn a_short_word_for_a_grant_is_that_grant() {
    let rig = Rig::plain().await;
    let set = post(&rig, "faults", r#"{"fault":"T01","grant":"device_code"}"#).await;
    assert_eq!(set.json()["grant"], "urn:ietf:params:oauth:grant-type:device_code");
}

#[tokio::test]
async fn a_fault_of_connections_cannot_look_at_client_or_grant() {
    for fault in ["refused", "syn-blackhole", "silent", "reset"] {
        let client = json!({ "fault": fault, "client": "app" }).to_string();
        refused("faults", &client, "nobody knows a connection's `client`").await;
        let grant = json!({ "fault": fault, "grant": "refresh_token" }).to_string();
        refused("faults", &grant, "nobody knows a connection's `grant`").await;
    }
}

#[tokio::test]
async fn who_closes_the_only_port_is_warned_and_for_how_long() {
    let rig = Rig::plain().await;
    let set = post(&rig, "faults", r#"{"fault":"refused","lifetime":0.2}"#).await;
    let warning = set.json()["warning"].as_str().unwrap_or_default().to_owned();
    assert!(
        warning.contains("also closes `/_mock`") && warning.contains("for 0.2 seconds"),
        "{}",
        set.text()
    );
    let back = async {
        while rig.http.get(rig.url("/_mock/status")).send().await.is_err() {
            tokio::task::yield_now().await;
        }
    };
    tokio::time::timeout(crate::rig::LIMIT, back).await.expect("the port is open again");
    assert_eq!(post(&rig, "faults", r#"{"fault":"T01"}"#).await.json()["warning"], Value::Null);
    let surroundings = Surroundings { admin_port: Some(0), ..Surroundings::default() };
    let config = Config { admin: Admin::Open, ..Config::default() };
    let idp = MockIdp::start_with(config, surroundings).await.unwrap();
    let url = format!("{}/faults", idp.admin_url());
    let set: Value =
        client().post(url).body(r#"{"fault":"refused"}"#).send().await.unwrap().json().await.unwrap();
    assert_eq!((&set["fault"], &set["warning"]), (&json!("refused"), &Value::Null));
}

#[tokio::test]
async fn a_body_over_the_limit_is_said_to_be_too_long() {
    let rig = Rig::plain().await;
    let long = "x".repeat(300 * 1024);
    let control = post(&rig, "faults", long.clone()).await;
    assert_eq!((control.status, control.text().contains("body too long")), (413, true), "{}", control.text());
    for path in ["/register", "/oauth2/token", "/introspect"] {
        let form = "application/x-www-form-urlencoded";
        let request = rig.http.post(rig.url(path)).header("content-type", form);
        let seen = rig.send(request.body(long.clone())).await;
        assert_eq!(
            (seen.status, seen.text().contains("body too long")),
            (413, true),
            "{path}: {}",
            seen.text()
        );
    }
}
