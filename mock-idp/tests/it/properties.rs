//! Without faults every answer is conformant; and no bytes make the mock panic, hang or grow.

use std::time::Duration;

use proptest::prelude::*;
use proptest::test_runner::{Config, TestRunner};
use serde_json::Value;
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};

use crate::rig::{Rig, Seen, text};

#[derive(Debug, Clone)]
enum Step {
    Machine { scope: Option<String>, audience: Option<String> },
    Login { nonce: String, scope: String },
    Refresh,
    Introspect,
    Revoke,
    Userinfo,
    Rotate,
    Advance(u16),
}

fn step() -> impl Strategy<Value = Step> {
    let word = "[a-z]{1,8}( [a-z]{1,8}){0,2}";
    prop_oneof![
        (proptest::option::of(word), proptest::option::of("[ -~]{1,20}"))
            .prop_map(|(scope, audience)| Step::Machine { scope, audience }),
        ("[ -~]{1,20}", word)
            .prop_map(|(nonce, scope)| Step::Login { nonce, scope: format!("openid {scope}") }),
        Just(Step::Refresh),
        Just(Step::Introspect),
        Just(Step::Revoke),
        Just(Step::Userinfo),
        Just(Step::Rotate),
        (0u16..5000).prop_map(Step::Advance),
    ]
}

/// What every answer has in common.
fn conformant(seen: &Seen) {
    assert_eq!(seen.header("cache-control"), "no-store");
    if !(200..300).contains(&seen.status) {
        let body = seen.json();
        assert!([400, 401, 403].contains(&seen.status), "{}", seen.status);
        assert!(
            body["error"].as_str().is_some_and(|e| !e.is_empty()) && body["error_description"].is_string()
        );
    }
}

async fn good_tokens(rig: &Rig, seen: &Seen) -> Value {
    conformant(seen);
    assert_eq!(seen.status, 200, "{}", seen.text());
    let body = seen.json();
    assert_eq!((body["token_type"].as_str(), body["expires_in"].as_u64()), (Some("Bearer"), Some(3600)));
    // The tokens are judged by the issuer's clock, which the test has moved; signature and claims are there whatever it shows.
    for name in ["access_token", "id_token"] {
        if let Some(token) = body[name].as_str() {
            let header = jsonwebtoken::decode_header(token).unwrap();
            let keys: jsonwebtoken::jwk::JwkSet =
                serde_json::from_value(rig.get(&rig.idp.jwks_url()).await.json()).unwrap();
            let jwk = keys.find(header.kid.as_deref().unwrap()).unwrap();
            let mut validation = jsonwebtoken::Validation::new(header.alg);
            validation.validate_aud = false;
            validation.validate_exp = false;
            validation.set_issuer(&[rig.idp.issuer()]);
            let key = jsonwebtoken::DecodingKey::from_jwk(jwk).unwrap();
            let claims: Value = jsonwebtoken::decode(token, &key, &validation).unwrap().claims;
            assert!(claims["exp"].as_u64() > claims["iat"].as_u64() && claims["sub"].is_string());
        }
    }
    body
}

async fn run(rig: &Rig, steps: Vec<Step>) {
    let mut last: Option<Value> = None;
    for step in steps {
        match step {
            Step::Machine { scope, audience } => {
                let mut form = vec![("grant_type", "client_credentials")];
                form.extend(scope.as_deref().map(|s| ("scope", s)));
                form.extend(audience.as_deref().map(|a| ("audience", a)));
                good_tokens(rig, &rig.grant(&form).await).await;
            }
            Step::Login { nonce, scope } => {
                let code = rig.code(&[("nonce", &nonce), ("scope", &scope)]).await;
                let body = good_tokens(rig, &rig.redeem(&code).await).await;
                assert_eq!(
                    crate::rig::part(text(&body, "id_token"), 1)["nonce"].as_str(),
                    Some(nonce.as_str())
                );
                last = Some(body);
            }
            Step::Refresh => {
                if let Some(tokens) = last.take() {
                    let seen = rig
                        .grant(&[
                            ("grant_type", "refresh_token"),
                            ("refresh_token", text(&tokens, "refresh_token")),
                        ])
                        .await;
                    last = Some(good_tokens(rig, &seen).await);
                }
            }
            Step::Introspect => {
                if let Some(tokens) = &last {
                    let form = [("token", text(tokens, "access_token"))];
                    let seen = rig
                        .send(rig.http.post(rig.url("/introspect")).basic_auth("app", Some("s")).form(&form))
                        .await;
                    conformant(&seen);
                    assert!(seen.json()["active"].is_boolean());
                }
            }
            Step::Revoke => {
                if let Some(tokens) = last.take() {
                    let form = [("token", text(&tokens, "refresh_token"))];
                    let seen = rig
                        .send(rig.http.post(rig.url("/revoke")).basic_auth("app", Some("s")).form(&form))
                        .await;
                    assert_eq!(seen.status, 200);
                }
            }
            Step::Userinfo => {
                if let Some(tokens) = &last {
                    conformant(
                        &rig.send(
                            rig.http.get(rig.url("/userinfo")).bearer_auth(text(tokens, "access_token")),
                        )
                        .await,
                    );
                }
            }
            Step::Rotate => rig.idp.rotate_keys(),
            Step::Advance(seconds) => {
                rig.idp.change_clock(mock_idp::ClockChange {
                    advance: Some(f64::from(seconds)),
                    ..Default::default()
                });
            }
        }
    }
}

#[test]
fn without_faults_any_sequence_of_requests_gets_conformant_answers() {
    let runtime = tokio::runtime::Runtime::new().unwrap();
    let mut config = crate::rig::automatic();
    // New keys are cheap on this curve, and the property is not about the algorithm.
    config.token.alg = mock_idp::Alg::Es256;
    let rig = runtime.block_on(Rig::start(config));
    let mut runner = TestRunner::new(Config { cases: 48, failure_persistence: None, ..Config::default() });
    let steps = proptest::collection::vec(step(), 1..12);
    runner
        .run(&steps, |steps| {
            runtime.block_on(run(&rig, steps));
            Ok(())
        })
        .unwrap();
}

const PATHS: [&str; 13] = [
    "/oauth2/token",
    "/authorize",
    "/userinfo",
    "/introspect",
    "/revoke",
    "/device_authorization",
    "/device",
    "/par",
    "/register",
    "/endsession",
    "/_mock/faults",
    "/_mock/tokens/inspect",
    "/_mock/issuers",
];

/// Requests that are nearly right.
fn bytes() -> impl Strategy<Value = Vec<u8>> {
    let target = (proptest::sample::select(PATHS.to_vec()), "[ -~]{0,30}")
        .prop_map(|(path, more)| format!("{path}?{}", more.replace(' ', "%20")));
    let body = prop_oneof![
        proptest::collection::vec(any::<u8>(), 0..200),
        "(grant_type|code|token|client_assertion|assertion|request_uri|user_code|scope)=[ -~]{0,60}(&[a-z_]{1,12}=[ -~]{0,40}){0,4}".prop_map(String::into_bytes),
        r#"\{"(fault|with|path|token|claims|redirect_uris|jwks)": ?("[ -~&&[^"\\]]{0,20}"|\[\]|\{\}|-?[0-9]{1,30}|null)\}"#.prop_map(String::into_bytes),
    ];
    let kind = proptest::sample::select(vec![
        "application/x-www-form-urlencoded",
        "application/json",
        "text/plain",
        "",
    ]);
    let extra = prop_oneof![
        Just(String::new()),
        "[!-~]{0,60}".prop_map(|v| format!("authorization: Basic {v}\r\n")),
        "[A-Za-z0-9_-]{0,40}\\.[A-Za-z0-9_-]{0,40}\\.[A-Za-z0-9_-]{0,10}"
            .prop_map(|v| format!("dpop: {v}\r\nauthorization: DPoP {v}\r\n")),
    ];
    let request = (proptest::sample::select(vec!["GET", "POST", "PUT", "OPTIONS", "DELETE"]), target, kind, extra, body).prop_map(
        |(method, target, kind, extra, body)| {
            let head = format!(
                "{method} {target} HTTP/1.1\r\nhost: localhost\r\nconnection: close\r\n{extra}content-type: {kind}\r\ncontent-length: {}\r\n\r\n",
                body.len()
            );
            [head.into_bytes(), body].concat()
        },
    );
    prop_oneof![9 => request, 1 => proptest::collection::vec(any::<u8>(), 0..300)]
}

#[test]
fn no_bytes_make_it_panic_or_hang() {
    let runtime = tokio::runtime::Runtime::new().unwrap();
    let rig = runtime.block_on(Rig::plain());
    let address = rig.idp.origin().replace("http://", "");
    let mut runner = TestRunner::new(Config { cases: 1500, failure_persistence: None, ..Config::default() });
    runner
        .run(&bytes(), |bytes| {
            let answer = runtime.block_on(async {
                let exchange = async {
                    let mut stream = tokio::net::TcpStream::connect(&address).await.unwrap();
                    let _ = stream.write_all(&bytes).await;
                    let _ = stream.shutdown().await;
                    let mut answer = Vec::new();
                    let _ = stream.read_to_end(&mut answer).await;
                    answer
                };
                tokio::time::timeout(Duration::from_secs(5), exchange).await
            });
            let answer = answer.expect("it hangs");
            let text = String::from_utf8_lossy(&answer);
            // Nothing that comes from outside is our own mistake; a fault that the bytes set may be.
            prop_assert!(!text.starts_with("HTTP/1.1 500") || !rig.idp.faults().is_empty(), "{text}");
            rig.idp.set_faults(Vec::new());
            Ok(())
        })
        .unwrap();
    // A panic would have ended a connection without an answer, and this one with it.
    assert_eq!(runtime.block_on(rig.token()).status, 200);
}
