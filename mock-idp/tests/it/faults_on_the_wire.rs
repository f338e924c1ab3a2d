//! Every fault of the catalogue, seen by a client; and that it is gone afterwards.

use std::time::{Duration, Instant};

use mock_idp::fault::catalogue::{self, Entry};
use mock_idp::{Endpoint, Fault, FaultKind, Filter};
use serde_json::{Value, json};
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};

use crate::rig::{Rig, Seen, part, text};

/// A stall is one after this.
const STALLED: Duration = Duration::from_millis(400);

async fn check(prefix: &str) {
    for entry in catalogue::ALL.iter().filter(|e| e.number.starts_with(prefix)) {
        let shown = async {
            match prefix {
                "D" => document(entry).await,
                "H" => http(entry).await,
                "C" => connection(entry).await,
                "P" => protocol(entry).await,
                "T" => token(entry).await,
                _ => key(entry).await,
            }
        };
        let shown = tokio::time::timeout(Duration::from_secs(30), shown).await;
        assert!(shown == Ok(true), "{} {} does not show on the wire", entry.number, entry.name);
    }
}

#[tokio::test]
async fn faults_of_documents_show() {
    check("D").await;
}

#[tokio::test]
async fn faults_of_http_show() {
    check("H").await;
}

#[tokio::test]
async fn faults_of_connections_show() {
    check("C").await;
}

#[tokio::test]
async fn faults_of_the_protocol_show() {
    check("P").await;
}

#[tokio::test]
async fn faults_of_tokens_show() {
    check("T").await;
}

#[tokio::test]
async fn faults_of_keys_show() {
    check("K").await;
}

fn example(entry: &Entry) -> Option<Value> {
    entry.example.map(|e| serde_json::from_str(e).unwrap())
}

async fn ask(rig: &Rig, endpoint: Endpoint) -> Result<Seen, reqwest::Error> {
    let request = match endpoint {
        Endpoint::Discovery => rig.http.get(rig.idp.discovery_url()),
        Endpoint::Jwks => rig.http.get(rig.idp.jwks_url()),
        _ => rig.token_request(),
    };
    rig.try_send(request).await
}

/// The same request before and with a fault, and once more, when all has to be as before.
async fn document(entry: &Entry) -> bool {
    let rig = Rig::plain().await;
    let right = ask(&rig, entry.endpoint).await.unwrap();
    rig.fault(entry.name, example(entry));
    if entry.name == "endless" {
        let mut answer = rig.http.get(rig.idp.jwks_url()).send().await.unwrap();
        let mut read = 0;
        while read < 200_000 {
            read += answer.chunk().await.unwrap().unwrap().len();
        }
        return true;
    }
    let seen = ask(&rig, entry.endpoint).await.unwrap();
    let again = ask(&rig, entry.endpoint).await.unwrap();
    assert_eq!((again.status, again.header("content-type")), (right.status, right.header("content-type")));
    let is_json = serde_json::from_slice::<Value>(&seen.bytes).is_ok();
    match entry.name {
        "patch" => seen.json().get("jwks_uri").is_none() && seen.json()["issuer"] == right.json()["issuer"],
        "without" => seen.json().get("token_endpoint").is_none() && seen.json().get("jwks_uri").is_some(),
        "raw-body" => seen.text() == "not json" && seen.status == 200,
        "content-type" => seen.header("content-type") == "text/plain" && seen.bytes == right.bytes,
        "cut-document" => !is_json && seen.bytes.len() == right.bytes.len() / 2,
        "duplicate-members" => seen.text().matches("\"issuer\":").count() == 2,
        "byte-order-mark" => seen.bytes.starts_with(b"\xEF\xBB\xBF") && seen.bytes[3..] == right.bytes,
        "html" => seen.status == 200 && seen.header("content-type").starts_with("text/html"),
        "gzip" => seen.header("content-encoding") == "gzip" && seen.bytes.starts_with(&[0x1f, 0x8b]),
        "empty-body" => seen.status == 200 && seen.bytes.is_empty(),
        "deep-nesting" => seen.bytes.len() == 20_000 && seen.text().starts_with("[[[["),
        "wrong-issuer" => text(&seen.json(), "issuer") == "https://another-issuer.example",
        other => panic!("no test shows `{other}`"),
    }
}

async fn http(entry: &Entry) -> bool {
    let secure = entry.name == "redirect-downgrade";
    let rig = if secure { Rig::secure().await } else { Rig::plain().await };
    let right = ask(&rig, entry.endpoint).await.unwrap();
    if entry.name == "barrier" {
        return barrier(&rig).await;
    }
    rig.fault(entry.name, example(entry));
    let stalls = ["hang", "headers-then-silence", "one-byte-per-second"];
    if stalls.contains(&entry.name) {
        let stalled = tokio::time::timeout(STALLED, ask(&rig, entry.endpoint)).await.is_err();
        let healthy = ask(&rig, entry.endpoint).await.is_ok_and(|s| s.status == 200);
        return stalled && healthy;
    }
    let began = Instant::now();
    let seen = ask(&rig, entry.endpoint).await;
    let took = began.elapsed();
    let again = ask(&rig, entry.endpoint).await.unwrap();
    assert_eq!(again.status, 200, "{}", entry.name);
    let shown = match (&seen, entry.name) {
        (Ok(s), "respond") => {
            s.status == 500 && s.header("x-request-id") == "1" && s.text() == "out of order"
        }
        (Ok(s), "status") => s.status == 500 && s.json().get("access_token").is_some(),
        (Ok(s), "headers") => s.header("cache-control") == "max-age=1" && s.header("content-type").is_empty(),
        (Ok(s), "retry-after") => s.status == 503 && s.header("retry-after") == "2",
        (Ok(s), "redirect") => s.status == 307 && s.header("location") == "https://elsewhere.example/",
        (Ok(s), "redirect-same-origin") => {
            let to = rig.get(&rig.url(s.header("location"))).await;
            s.status == 307 && to.bytes == right.bytes
        }
        (Ok(s), "redirect-elsewhere") => {
            let to = rig.send(rig.http.post(s.header("location")).body("client_secret=s")).await;
            let seen_there =
                rig.idp.exchanges(&Filter { endpoint: Some(Endpoint::Elsewhere), ..Filter::default() });
            s.header("location").contains("//localhost:") && to.status == 200 && seen_there.len() == 1
        }
        (Ok(s), "redirect-loop") => {
            s.status == 302 && rig.idp.discovery_url().ends_with(s.header("location"))
        }
        (Ok(s), "redirect-downgrade") => s.header("location").starts_with("http://"),
        (Ok(s), "echo") => s.status == 400 && s.text().contains("client app secret secret"),
        (Ok(s), "delay") => s.status == 200 && took >= Duration::from_millis(200),
        (Ok(s), "slow-headers") => s.status == 200 && took >= Duration::from_secs(2),
        (Ok(s), "slow-body") => s.bytes == right.bytes && took >= Duration::from_secs(1),
        (Err(_), "close-without-answer") => true,
        (Err(e), "reset-mid-body" | "truncate") => e.is_body() || e.is_decode(),
        (seen, other) => panic!("no test shows `{other}`: {seen:?}"),
    };
    shown && ends_as_said(entry).await
}

/// How a connection ends is seen below HTTP: a reset is one, and a cut-off is none.
async fn ends_as_said(entry: &Entry) -> bool {
    let reset = match entry.name {
        "reset-mid-body" => true,
        "truncate" | "close-without-answer" => false,
        _ => return true,
    };
    let rig = Rig::plain().await;
    rig.token().await;
    rig.fault(entry.name, example(entry));
    let (bytes, end) = raw_token_request(&rig).await;
    let has_body = bytes.windows(4).any(|w| w == b"\r\n\r\n");
    let expected =
        if reset { end.is_err_and(|k| k == std::io::ErrorKind::ConnectionReset) } else { end.is_ok() };
    expected && has_body == (entry.name != "close-without-answer")
}

async fn raw_token_request(rig: &Rig) -> (Vec<u8>, Result<(), std::io::ErrorKind>) {
    let address = rig.idp.origin().replace("http://", "");
    let mut stream = tokio::net::TcpStream::connect(&address).await.unwrap();
    let form = "grant_type=client_credentials&client_id=app&client_secret=secret";
    let request = format!(
        "POST /oauth2/token HTTP/1.1\r\nhost: {address}\r\ncontent-type: application/x-www-form-urlencoded\r\ncontent-length: {}\r\n\r\n{form}",
        form.len()
    );
    stream.write_all(request.as_bytes()).await.unwrap();
    let mut bytes = Vec::new();
    let end = stream.read_to_end(&mut bytes).await;
    (bytes, end.map(|_| ()).map_err(|e| e.kind()))
}

/// Two let each other go; a third waits until it is released.
async fn barrier(rig: &Rig) -> bool {
    let id = rig.fault("barrier", Some(json!({ "parties": 2 })));
    let (one, two) = tokio::join!(rig.token(), rig.token());
    assert_eq!((one.status, two.status), (200, 200));
    let waiting = || rig.idp.faults().iter().find(|f| f.id == id).and_then(|f| f.waiting);
    let third = rig.token();
    let release = async {
        while waiting() != Some(1) {
            tokio::task::yield_now().await;
        }
        rig.idp.release_barrier(&id)
    };
    let (third, released) = tokio::join!(third, release);
    third.status == 200 && released == Some(1)
}

async fn connection(entry: &Entry) -> bool {
    let rig = Rig::secure().await;
    assert_eq!(ask(&rig, Endpoint::Discovery).await.unwrap().status, 200);
    let id = rig.fault(entry.name, None);
    let seen = tokio::time::timeout(STALLED, ask(&rig, Endpoint::Discovery)).await;
    let shown = match entry.name {
        "refused" => {
            // The gate closes in a task of its own: connections are refused once it has.
            let mut refused = matches!(&seen, Ok(Err(e)) if e.is_connect());
            for _ in 0..100 {
                refused = refused || ask(&rig, Endpoint::Discovery).await.is_err_and(|e| e.is_connect());
            }
            refused
        }
        "syn-blackhole" => tokio::time::timeout(STALLED, ask(&rig, Endpoint::Discovery)).await.is_err(),
        "silent" | "tls-stalled-handshake" => seen.is_err(),
        "reset" => matches!(&seen, Ok(Err(e)) if e.is_connect() || e.is_request()),
        "tls-self-signed" => says(&seen, &["UnknownIssuer"]),
        "tls-expired" => says(&seen, &["Expired"]),
        "tls-wrong-name" => says(&seen, &["NotValidForName"]),
        "tls-unknown-ca" => says(&seen, &["UnknownIssuer"]),
        "tls-not-yet-valid" => says(&seen, &["NotValidYet"]),
        "tls-missing" => says(&seen, &["InvalidContentType"]),
        "tls-old-version" => matches!(&seen, Ok(Err(_))),
        other => panic!("no test shows `{other}`"),
    };
    rig.idp.remove_fault(&id);
    let mut healed = false;
    for _ in 0..200 {
        let again = tokio::time::timeout(Duration::from_secs(3), ask(&rig, Endpoint::Discovery)).await;
        healed = again.is_ok_and(|a| a.is_ok_and(|s| s.status == 200));
        if healed {
            break;
        }
    }
    shown && healed
}

fn says(seen: &Result<Result<Seen, reqwest::Error>, tokio::time::error::Elapsed>, words: &[&str]) -> bool {
    let Ok(Err(error)) = seen else { return false };
    let text = format!("{error:?}");
    let said = words.iter().any(|w| text.contains(w));
    assert!(said, "{text}");
    said
}

async fn protocol(entry: &Entry) -> bool {
    let rig = Rig::plain().await;
    let preset: Option<Value> = entry.preset.map(|p| serde_json::from_str(p).unwrap());
    if let Some(preset) = &preset
        && entry.endpoint == Endpoint::Authorization
    {
        rig.fault(entry.name, None);
        let refused = rig.authorize(&[]).await.location();
        let again = rig.authorize(&[]).await.location();
        return refused["error"] == text(preset, "error")
            && refused["state"] == "the-state"
            && again.contains_key("code");
    }
    if entry.kind == "oauth-error" {
        rig.fault(entry.name, example(entry));
        let seen = rig.token().await;
        let error = preset.as_ref().map_or("invalid_grant", |p| text(p, "error")).to_owned();
        let status = preset.and_then(|p| p["status"].as_u64()).unwrap_or(if error == "invalid_client" {
            401
        } else {
            400
        });
        assert_eq!(seen.header("cache-control"), "no-store");
        let challenged = error != "invalid_client" || seen.header("www-authenticate").starts_with("Basic");
        return seen.json()["error"] == error
            && u64::from(seen.status) == status
            && challenged
            && rig.token().await.status == 200;
    }
    match entry.name {
        "provider-error" => {
            rig.fault(entry.name, example(entry));
            rig.token().await.json()["error_codes"][0].is_u64()
        }
        "basic-only" => {
            rig.fault(entry.name, None);
            let form = [("grant_type", "client_credentials"), ("client_id", "app"), ("client_secret", "s")];
            rig.send(rig.http.post(rig.idp.token_url()).form(&form)).await.status == 401
        }
        "post-only" => {
            rig.fault(entry.name, None);
            rig.token().await.status == 401
        }
        "wrong-state" | "no-state" | "wrong-iss-parameter" | "no-iss-parameter" => {
            rig.fault(entry.name, None);
            let wrong = rig.authorize(&[]).await.location();
            let right = rig.authorize(&[]).await.location();
            assert_eq!(
                (right["state"].as_str(), right["iss"].as_str()),
                ("the-state", rig.idp.issuer().as_str())
            );
            match entry.name {
                "wrong-state" => wrong["state"] != "the-state",
                "no-state" => !wrong.contains_key("state"),
                "wrong-iss-parameter" => wrong["iss"] != rig.idp.issuer(),
                _ => !wrong.contains_key("iss"),
            }
        }
        "wrong-userinfo-sub" => {
            let access = rig.login().await;
            rig.fault(entry.name, None);
            let request = || rig.http.get(rig.url("/userinfo")).bearer_auth(text(&access, "access_token"));
            let wrong = rig.send(request()).await.json();
            wrong["sub"] == "somebody-else" && rig.send(request()).await.json()["sub"] == "alice"
        }
        "code-replay-accepted" => {
            let code = rig.code(&[]).await;
            let first = rig.redeem(&code).await.status;
            rig.fault(entry.name, None);
            first == 200 && rig.redeem(&code).await.status == 200 && rig.redeem(&code).await.status == 400
        }
        "refresh-replay-accepted" => {
            let tokens = rig.login().await;
            let refresh =
                [("grant_type", "refresh_token"), ("refresh_token", text(&tokens, "refresh_token"))];
            let first = rig.grant(&refresh).await.status;
            rig.fault(entry.name, None);
            first == 200 && rig.grant(&refresh).await.status == 200 && rig.grant(&refresh).await.status == 400
        }
        "pkce-ignored" => {
            let challenge =
                [("code_challenge", "a".repeat(43)), ("code_challenge_method", "S256".to_owned())];
            let challenge: Vec<(&str, &str)> = challenge.iter().map(|(n, v)| (*n, v.as_str())).collect();
            let code = rig.code(&challenge).await;
            rig.fault(entry.name, None);
            rig.redeem(&code).await.status == 200
        }
        _ => protocol_of_login(&rig, entry).await,
    }
}

async fn protocol_of_login(rig: &Rig, entry: &Entry) -> bool {
    rig.fault(entry.name, None);
    let wrong = rig.login().await;
    let right = rig.login().await;
    let claims = |answer: &Value| part(text(answer, "id_token"), 1);
    assert_eq!(claims(&right)["nonce"], "the-nonce");
    match entry.name {
        "no-refresh-token" => wrong.get("refresh_token").is_none() && right.get("refresh_token").is_some(),
        "reduced-scope" => wrong["scope"] == "openid" && right["scope"] == "openid profile email",
        "wrong-nonce" => claims(&wrong)["nonce"] != "the-nonce" && claims(&wrong)["nonce"].is_string(),
        "no-nonce" => claims(&wrong).get("nonce").is_none(),
        "wrong-at-hash" => {
            claims(&wrong)["at_hash"].is_string()
                && claims(&wrong)["at_hash"] != hash_of(text(&wrong, "access_token"))
                && claims(&right)["at_hash"] == hash_of(text(&right, "access_token"))
        }
        "no-id-token" => wrong.get("id_token").is_none() && wrong.get("access_token").is_some(),
        other => panic!("no test shows `{other}`"),
    }
}

fn hash_of(token: &str) -> String {
    use base64::Engine as _;
    let hash = aws_lc_rs::digest::digest(&aws_lc_rs::digest::SHA256, token.as_bytes());
    base64::engine::general_purpose::URL_SAFE_NO_PAD.encode(&hash.as_ref()[..16])
}

async fn token(entry: &Entry) -> bool {
    let rig = Rig::plain().await;
    rig.fault(entry.name, example(entry));
    let wrong = rig.login().await;
    let right = rig.login().await;
    for name in ["access_token", "id_token"] {
        rig.verified(text(&right, name)).await.unwrap();
    }
    let which = if entry.example.is_some_and(|e| e.contains("access")) { "access_token" } else { "id_token" };
    let token = wrong[which].as_str().unwrap_or_default().to_owned();
    let verdict = rig.verified(&token).await;
    let header = || part(&token, 0);
    let claims = || part(&token, 1);
    let refused = |why: &str| verdict.as_ref().is_err_and(|e| e.contains(why));
    match entry.name {
        "expired-token" => {
            refused("ExpiredSignature") && rig.verified(text(&wrong, "access_token")).await.is_err()
        }
        "future-token" => refused("ImmatureSignature"),
        "wrong-key" => {
            refused("InvalidSignature") && header()["kid"] == part(text(&right, "id_token"), 0)["kid"]
        }
        "unknown-kid" => refused("not in the key set"),
        "no-kid" => refused("no kid"),
        "alg-none" => header()["alg"] == "none" && token.ends_with('.'),
        "hmac-with-public-key" => header()["alg"] == "HS256" && verdict.is_err(),
        // Who follows the address finds the key that signed.
        "jku" => {
            let keys = rig.get(text(&header(), "jku")).await.json();
            let key: jsonwebtoken::jwk::Jwk = serde_json::from_value(keys["keys"][0].clone()).unwrap();
            signed_by(&token, &jsonwebtoken::DecodingKey::from_jwk(&key).unwrap())
                && refused("not in the key set")
        }
        "x5u" => {
            let pem = rig.get(text(&header(), "x5u")).await.bytes;
            let (_, pem) = x509_parser::pem::parse_x509_pem(&pem).unwrap();
            let key = pem.parse_x509().unwrap().public_key().subject_public_key.data.to_vec();
            signed_by(&token, &jsonwebtoken::DecodingKey::from_rsa_der(&key)) && refused("not in the key set")
        }
        "embedded-jwk" => header()["jwk"]["kty"] == "RSA" && refused("not in the key set"),
        "critical-header" => header()["crit"].is_array(),
        "stripped-signature" => token.ends_with('.') && header()["alg"] == "RS256",
        "broken-signature" => refused("InvalidSignature"),
        "wrong-iss" => claims()["iss"] == "https://another-issuer.example" && verdict.is_ok(),
        "wrong-aud" => claims()["aud"] == "https://another-audience.example" && verdict.is_ok(),
        "claims" => claims().get("sub").is_none(),
        "jwt-header" => header()["typ"] == "JWT" && verdict.is_ok(),
        "not-a-jwt" => token == "this-is-no-jwt",
        "expires-in" => wrong["expires_in"] == "3600" && right["expires_in"] == 3600,
        "token-type" => wrong["token_type"] == "mac" && right["token_type"] == "Bearer",
        "unprintable-token" => text(&wrong, "access_token").contains('\u{1}'),
        "long-token" => {
            let long = text(&wrong, "access_token");
            long.len() >= 16_384 && rig.verified(long).await.is_ok()
        }
        "no-access-token" => wrong.get("access_token").is_none() && wrong.get("token_type").is_some(),
        "id-token-as-access-token" => wrong["access_token"] == wrong["id_token"],
        other => panic!("no test shows `{other}`"),
    }
}

/// Whether a key made the signature, whoever's it is.
fn signed_by(token: &str, key: &jsonwebtoken::DecodingKey) -> bool {
    let (message, signature) = token.rsplit_once('.').unwrap();
    jsonwebtoken::crypto::verify(signature, message.as_bytes(), key, jsonwebtoken::Algorithm::RS256).unwrap()
}

async fn key(entry: &Entry) -> bool {
    let rig = Rig::plain().await;
    let before = rig.get(&rig.idp.jwks_url()).await.json();
    let first_kid = text(&before["keys"][0], "kid").to_owned();
    rig.fault(entry.name, None);
    if entry.endpoint == Endpoint::Jwks {
        if entry.name == "stale-key-set" {
            rig.idp.rotate_keys();
        }
        let seen = rig.get(&rig.idp.jwks_url()).await.json();
        let keys = seen["keys"].as_array().unwrap();
        let again = rig.get(&rig.idp.jwks_url()).await.json();
        let whole =
            again["keys"].as_array().unwrap().iter().all(|k| k["kid"].is_string() && k["kty"] == "RSA");
        return whole
            && match entry.name {
                "stale-key-set" => keys.len() == 1 && keys[0]["kid"] == *first_kid,
                "empty-key-set" => keys.is_empty(),
                "key-set-without-kids" => keys.len() == 1 && keys[0].get("kid").is_none(),
                "unknown-key-types" => keys.len() == 4 && keys[3]["kid"] == *first_kid,
                "duplicate-kids" => {
                    keys.len() == 2 && keys[0]["kid"] == keys[1]["kid"] && keys[0]["n"] != keys[1]["n"]
                }
                other => panic!("no test shows `{other}`"),
            };
    }
    let token = text(&rig.token().await.json(), "access_token").to_owned();
    let kid = part(&token, 0)["kid"].clone();
    let now = rig.get(&rig.idp.jwks_url()).await.json();
    match entry.name {
        "rotate-before-signing" => kid != *first_kid && rig.verified(&token).await.is_ok(),
        "same-kid-new-key" => {
            kid == *first_kid
                && now["keys"][0]["n"] != before["keys"][0]["n"]
                && rig.verified(&token).await.is_ok()
        }
        "withdrawn-key" => rig.verified(&token).await.is_err_and(|e| e.contains("not in the key set")),
        other => panic!("no test shows `{other}`"),
    }
}

#[tokio::test]
async fn faults_are_composed() {
    let rig = Rig::plain().await;
    rig.fault("delay", Some(json!({ "ms": 100 })));
    rig.fault("expires-in", Some(json!({ "value": -1 })));
    let set = vec![("x-extra".to_owned(), "1".to_owned())];
    rig.idp.add_fault(Fault::once(Endpoint::Token, FaultKind::Headers { set, remove: Vec::new() }));
    let began = Instant::now();
    let seen = rig.token().await;
    assert_eq!((seen.json()["expires_in"].as_i64(), seen.header("x-extra")), (Some(-1), "1"));
    assert!(began.elapsed() >= Duration::from_millis(100));
    let record = rig.idp.exchanges(&Filter::default());
    assert_eq!(record.last().unwrap().faults.len(), 3);
}

#[tokio::test]
async fn a_content_length_may_be_wrong_in_either_direction() {
    let rig = Rig::plain().await;
    let set = |length: &str| FaultKind::Headers {
        set: vec![("content-length".to_owned(), length.to_owned())],
        remove: Vec::new(),
    };
    rig.idp.add_fault(Fault::once(Endpoint::Token, set("5")));
    assert_eq!(rig.token().await.bytes.len(), 5);
    rig.idp.add_fault(Fault::once(Endpoint::Token, set("50000")));
    assert!(rig.try_send(rig.token_request()).await.is_err());
    let body = FaultKind::Respond {
        status: 200,
        headers: vec![("content-length".into(), "9".into())],
        body: "x".into(),
    };
    rig.idp.add_fault(Fault::once(Endpoint::Token, body));
    assert!(rig.try_send(rig.token_request()).await.is_err());
    assert_eq!(rig.token().await.status, 200);
}

#[tokio::test]
async fn a_fault_that_replaces_an_answer_spends_no_code() {
    let rig = Rig::plain().await;
    let code = rig.code(&[]).await;
    rig.fault("server-error", None);
    assert_eq!(rig.redeem(&code).await.status, 500);
    assert_eq!(rig.redeem(&code).await.status, 200);
}

#[tokio::test]
async fn a_fault_dies_with_its_lifetime_and_follows_the_issuers_clock() {
    let rig = Rig::plain().await;
    let mut fault = Fault::always(Endpoint::Token, FaultKind::Status { status: 500 });
    fault.scope.starts_in = Some(Duration::from_secs(3600));
    rig.idp.add_fault(fault);
    assert_eq!(rig.token().await.status, 200);
    rig.idp.change_clock(mock_idp::ClockChange { advance: Some(3601.0), ..Default::default() });
    assert_eq!(rig.token().await.status, 500);
    let mut mortal = Fault::always(Endpoint::Jwks, FaultKind::Status { status: 500 });
    mortal.scope.lifetime = Some(Duration::ZERO);
    rig.idp.add_fault(mortal);
    assert_eq!(rig.get(&rig.idp.jwks_url()).await.status, 200);
}
