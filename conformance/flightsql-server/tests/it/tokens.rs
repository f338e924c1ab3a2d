//! Tokens: every way to be wrong, rotation, outage. RFC 9068, RFC 8725.

use arrow_flight::sql::client::FlightSqlServiceClient;
use flightsql_server::{Attribution, Record, TokenState, WaysIn};
use proptest::prelude::*;
use rcgen::{KeyPair, PublicKeyData as _};
use serde_json::{Value, json};
use tonic::{Code, Request, Status};

use crate::issuer::{Issuer, Mood, hmac, jwk, now, signed, signed_text};
use crate::site::Site;

async fn site(issuer: &Issuer) -> Site {
    Site::with(|config| config.ways_in = WaysIn { oauth: vec![issuer.trusted()], ..WaysIn::default() }).await
}

/// What a call with these headers is answered.
async fn call(site: &Site, headers: &[(&'static str, String)]) -> Result<(), Status> {
    let mut client = arrow_flight::flight_service_client::FlightServiceClient::new(site.channel().await);
    let mut request = Request::new(arrow_flight::Empty {});
    for (name, value) in headers {
        request.metadata_mut().append(*name, value.parse().unwrap());
    }
    client.list_actions(request).await.map(|_| ())
}

async fn bearer(site: &Site, token: &str) -> Result<(), Status> {
    call(site, &[("authorization", format!("Bearer {token}"))]).await
}

fn header() -> Value {
    json!({ "alg": "ES256", "typ": "at+jwt", "kid": "one" })
}

fn with(mut object: Value, name: &str, value: Value) -> Value {
    match value {
        Value::Null => drop(object.as_object_mut().unwrap().remove(name)),
        value => object[name] = value,
    }
    object
}

/// Name and token of everything that must be refused.
fn wrong_tokens(issuer: &Issuer) -> Vec<(&'static str, String)> {
    let key = &issuer.key;
    let claims = || issuer.claims();
    let claim = |name, value| signed(&header(), &with(claims(), name, value), key);
    let head = |name, value| signed(&with(header(), name, value), &claims(), key);
    let stranger = KeyPair::generate().unwrap();
    let none = issuer.token().rsplit_once('.').unwrap().0.replacen(
        issuer.token().split('.').next().unwrap(),
        &base64_of(r#"{"alg":"none","typ":"at+jwt"}"#),
        1,
    );
    let double = |text: &str| text.trim_end_matches('}').to_owned();
    vec![
        ("expired", claim("exp", json!(now() - 10))),
        ("expired long ago", claim("exp", json!(1))),
        ("not yet valid", claim("nbf", json!(now() + 600))),
        ("exp is text", claim("exp", json!((now() + 600).to_string()))),
        ("exp missing", claim("exp", Value::Null)),
        ("aud wrong", claim("aud", json!("another"))),
        ("aud list without us", claim("aud", json!(["a", "b"]))),
        ("aud missing", claim("aud", Value::Null)),
        ("aud is a number", claim("aud", json!(7))),
        ("iss wrong", claim("iss", json!("https://another.example"))),
        ("iss with a slash more", claim("iss", json!(format!("{}/", issuer.url)))),
        ("iss missing", claim("iss", Value::Null)),
        ("sub missing", claim("sub", Value::Null)),
        ("sub empty", claim("sub", json!(""))),
        ("sub is a number", claim("sub", json!(5))),
        ("typ of an ID token", head("typ", json!("id+jwt"))),
        ("typ of a logout token", head("typ", json!("logout+jwt"))),
        ("typ is a number", head("typ", json!(1))),
        ("crit unknown", with_crit(issuer)),
        ("jku", head("jku", json!("https://evil.example/keys"))),
        ("x5u", head("x5u", json!("https://evil.example/cert"))),
        ("x5c", head("x5c", json!(["AAAA"]))),
        ("embedded key", signed(&with(header(), "jwk", jwk("one", &stranger)), &claims(), &stranger)),
        ("another's signature", signed(&header(), &claims(), &stranger)),
        ("kid unknown", head("kid", json!("two"))),
        ("kid as a path", head("kid", json!("../../../../dev/null"))),
        ("kid as SQL", head("kid", json!("one' UNION SELECT 'x"))),
        ("kid is a number", head("kid", json!(1))),
        ("alg of another family", head("alg", json!("RS256"))),
        ("alg unknown", head("alg", json!("XX999"))),
        ("alg missing", head("alg", Value::Null)),
        ("alg none, no signature", format!("{none}.")),
        ("alg none, old signature", format!("{none}.{}", issuer.token().rsplit_once('.').unwrap().1)),
        ("HMAC with the public key", hmac(&claims(), "one", key.der_bytes())),
        ("HMAC with the JWK", hmac(&claims(), "one", jwk("one", key).to_string().as_bytes())),
        ("HMAC with nothing", hmac(&claims(), "one", b"")),
        ("no signature", format!("{}.", issuer.token().rsplit_once('.').unwrap().0)),
        ("four parts", format!("{}.AAAA", issuer.token())),
        ("two parts", issuer.token().rsplit_once('.').unwrap().0.to_owned()),
        ("padding", format!("{}=", issuer.token())),
        (
            "member twice in the claims",
            signed_text(
                &header().to_string(),
                &format!("{},\"sub\":\"eve\"}}", double(&claims().to_string())),
                key,
            ),
        ),
        (
            "member twice in the header",
            signed_text(
                &format!("{},\"kid\":\"one\"}}", double(&header().to_string())),
                &claims().to_string(),
                key,
            ),
        ),
        ("claims are a list", signed_text(&header().to_string(), "[]", key)),
        ("claims are no JSON", signed_text(&header().to_string(), "{", key)),
        ("opaque", "an-opaque-token".to_owned()),
        ("dots", "..".to_owned()),
    ]
}

fn with_crit(issuer: &Issuer) -> String {
    let header = with(with(header(), "crit", json!(["exp2"])), "exp2", json!(1));
    signed(&header, &issuer.claims(), &issuer.key)
}

fn base64_of(text: &str) -> String {
    use base64::Engine as _;
    base64::engine::general_purpose::URL_SAFE_NO_PAD.encode(text)
}

#[tokio::test]
async fn wrong_tokens_are_unauthenticated() {
    let issuer = Issuer::start().await;
    let site = site(&issuer).await;
    bearer(&site, &issuer.token()).await.unwrap();
    for (name, token) in wrong_tokens(&issuer) {
        let status = bearer(&site, &token).await.expect_err(name);
        assert_eq!(status.code(), Code::Unauthenticated, "{name}: {status}");
        assert!(!status.message().contains(&token), "{name}: the answer repeats the token");
    }
    bearer(&site, &issuer.token()).await.unwrap();
}

#[tokio::test]
async fn right_tokens_of_other_shapes_are_taken() {
    let issuer = Issuer::start().await;
    let site = site(&issuer).await;
    let claims = |name, value| with(issuer.claims(), name, value);
    for (name, header, claims) in [
        ("typ JWT", with(header(), "typ", json!("JWT")), issuer.claims()),
        ("typ application/at+jwt", with(header(), "typ", json!("application/at+jwt")), issuer.claims()),
        ("no typ", with(header(), "typ", Value::Null), issuer.claims()),
        ("no kid, one key", with(header(), "kid", Value::Null), issuer.claims()),
        ("aud list", header(), claims("aud", json!(["other", "flight"]))),
        ("sub in UTF-8", header(), claims("sub", json!("анна"))),
        ("more claims", header(), claims("groups", json!(vec!["a-group-with-a-long-name"; 1500]))),
    ] {
        bearer(&site, &signed(&header, &claims, &issuer.key)).await.expect(name);
    }
    for scheme in ["bearer", "BEARER", "Bearer"] {
        call(&site, &[("authorization", format!("{scheme} {}", issuer.token()))]).await.unwrap();
    }
}

#[tokio::test]
async fn two_authorization_values_are_refused_and_both_recorded() {
    let issuer = Issuer::start().await;
    let site = site(&issuer).await;
    let value = || ("authorization", format!("Bearer {}", issuer.token()));
    let status = call(&site, &[value(), value()]).await.unwrap_err();
    assert_eq!(status.code(), Code::Unauthenticated);
    let Some(Record::Rpc(rpc)) = site.records.all().into_iter().find(|r| matches!(r, Record::Rpc(_))) else {
        panic!()
    };
    let states: Vec<TokenState> = rpc.authorization.iter().map(|presented| presented.state).collect();
    assert_eq!(states, [TokenState::Valid, TokenState::Valid]);
    assert_eq!(rpc.principal, None);
}

#[tokio::test]
async fn the_record_tells_by_how_much_a_token_is_expired() {
    let issuer = Issuer::start().await;
    let site = site(&issuer).await;
    let expired = signed(&header(), &with(issuer.claims(), "exp", json!(now() - 100)), &issuer.key);
    bearer(&site, &expired).await.unwrap_err();
    let Some(Record::Rpc(rpc)) = site.records.all().into_iter().find(|r| matches!(r, Record::Rpc(_))) else {
        panic!()
    };
    assert_eq!(rpc.authorization[0].state, TokenState::Expired);
    assert!((-110_000..=-100_000).contains(&rpc.remaining_ms.unwrap()), "{:?}", rpc.remaining_ms);
}

#[tokio::test]
async fn an_outage_is_unavailable_and_not_amplified() {
    let issuer = Issuer::start().await;
    let site = site(&issuer).await;
    issuer.set_mood(Mood::Broken);
    let token = issuer.token();
    let calls = (0..20).map(|_| bearer(&site, &token));
    for answer in futures::future::join_all(calls).await {
        assert_eq!(answer.unwrap_err().code(), Code::Unavailable);
    }
    assert_eq!(issuer.fetches(), 0, "discovery failed, so the keys were not asked for");
    issuer.set_mood(Mood::Well);
    // After a second's rest the issuer is asked again.
    let recovered = async { while bearer(&site, &token).await.is_err() {} };
    tokio::time::timeout(std::time::Duration::from_secs(10), recovered).await.unwrap();
}

#[tokio::test]
async fn a_silent_issuer_is_given_up() {
    let issuer = Issuer::start().await;
    let site = site(&issuer).await;
    issuer.set_mood(Mood::Silent);
    let started = std::time::Instant::now();
    assert_eq!(bearer(&site, &issuer.token()).await.unwrap_err().code(), Code::Unavailable);
    assert!(started.elapsed() < std::time::Duration::from_secs(8));
}

#[tokio::test]
async fn a_rotated_key_is_fetched_within_seconds_and_not_for_every_call() {
    let issuer = Issuer::start().await;
    let site = site(&issuer).await;
    bearer(&site, &issuer.token()).await.unwrap();
    let new = KeyPair::generate().unwrap();
    issuer.publish(vec![
        jwk("one", &issuer.key),
        jwk("two", &new),
        json!({ "kty": "unknown", "kid": "three" }),
    ]);
    let token = signed(&with(header(), "kid", json!("two")), &issuer.claims(), &new);
    let rotated = async { while bearer(&site, &token).await.is_err() {} };
    tokio::time::timeout(std::time::Duration::from_secs(10), rotated).await.unwrap();
    let before = issuer.fetches();
    for nth in 0..50 {
        let unknown = signed(&with(header(), "kid", json!(format!("x{nth}"))), &issuer.claims(), &new);
        bearer(&site, &unknown).await.unwrap_err();
    }
    assert!(issuer.fetches() - before <= 3, "{} fetches for fifty unknown keys", issuer.fetches() - before);
}

/// The same token again and again: taken until its time is over, or its key is not published any more.
#[tokio::test]
async fn a_token_that_was_taken_is_judged_again_each_time() {
    let issuer = Issuer::start().await;
    let site = site(&issuer).await;
    let short = signed(&header(), &with(issuer.claims(), "exp", json!(now() + 3)), &issuer.key);
    let long = issuer.token();
    for token in [&short, &long, &short, &long] {
        bearer(&site, token).await.unwrap();
    }
    let over = async { while bearer(&site, &short).await.is_ok() {} };
    tokio::time::timeout(std::time::Duration::from_secs(10), over).await.unwrap();
    bearer(&site, &long).await.unwrap();

    let new = KeyPair::generate().unwrap();
    issuer.publish(vec![jwk("two", &new)]);
    let of_the_new_key = signed(&with(header(), "kid", json!("two")), &issuer.claims(), &new);
    let withdrawn = async { while bearer(&site, &of_the_new_key).await.is_err() {} };
    tokio::time::timeout(std::time::Duration::from_secs(10), withdrawn).await.unwrap();
    assert_eq!(bearer(&site, &long).await.unwrap_err().code(), Code::Unauthenticated);

    // The old id with another key: what the old key has signed is not good any more.
    issuer.publish(vec![jwk("two", &KeyPair::generate().unwrap())]);
    let other = signed(&with(header(), "kid", json!("three")), &issuer.claims(), &new);
    let replaced = async {
        while bearer(&site, &of_the_new_key).await.is_ok() {
            bearer(&site, &other).await.unwrap_err();
        }
    };
    tokio::time::timeout(std::time::Duration::from_secs(10), replaced).await.unwrap();
}

#[tokio::test]
async fn headers_that_name_another_are_refused_if_so_asked() {
    let issuer = Issuer::start().await;
    let strict = Site::with(|config| {
        let attribution = Attribution::RefuseMismatch;
        config.ways_in = WaysIn { oauth: vec![issuer.trusted()], attribution, ..WaysIn::default() };
    })
    .await;
    let lenient = site(&issuer).await;
    let ann = signed(&header(), &with(issuer.claims(), "email", json!("ann@example.test")), &issuer.key);
    for (name, value, allowed) in [
        ("x-user-id", "ann", true),
        ("x-user-email", "ann@example.test", true),
        ("x-user-id", "bob", false),
        ("x-user-email", "bob@example.test", false),
    ] {
        let headers = [("authorization", format!("Bearer {ann}")), (name, value.to_owned())];
        let answer = call(&strict, &headers).await;
        assert_eq!(answer.is_ok(), allowed, "{name} {value}");
        assert!(answer.err().is_none_or(|status| status.code() == Code::PermissionDenied));
        call(&lenient, &headers).await.unwrap();
    }
}

#[test]
fn a_token_with_one_bit_changed_is_refused() {
    let runtime = tokio::runtime::Runtime::new().unwrap();
    let (issuer, site) = runtime.block_on(async {
        let issuer = Issuer::start().await;
        let site = site(&issuer).await;
        (issuer, site)
    });
    let token = issuer.token();
    let channel = runtime.block_on(site.channel());
    let bits = token.len() * 8;
    proptest!(ProptestConfig::with_cases(400), |(bit in 0..bits)| {
        let mut bytes = token.clone().into_bytes();
        bytes[bit / 8] ^= 1 << (bit % 8);
        // What is no header value cannot be sent at all.
        let value = [b"Bearer ", &bytes[..]].concat();
        if let Ok(value) = tonic::metadata::MetadataValue::try_from(value.as_slice()) {
            let mut request = Request::new(arrow_flight::Empty {});
            request.metadata_mut().insert("authorization", value);
            let mut client = arrow_flight::flight_service_client::FlightServiceClient::new(channel.clone());
            let answer = runtime.block_on(client.list_actions(request));
            prop_assert_eq!(answer.unwrap_err().code(), Code::Unauthenticated);
        }
    });
}

#[tokio::test]
async fn half_bad_tokens_and_half_aborted_streams_leave_nothing_behind() {
    let issuer = Issuer::start().await;
    let site = site(&issuer).await;
    // Twenty connections: on one alone a hundred half-read streams would leave each other no window.
    let channels = futures::future::join_all((0..20).map(|_| site.channel())).await;
    let good = issuer.token();
    let calls = (0..2000).map(|nth| {
        let mut client = FlightSqlServiceClient::new(channels[usize::try_from(nth).unwrap() % 20].clone());
        client.set_token(if nth % 2 == 0 { good.clone() } else { format!("bad-{nth}") });
        async move {
            let sql = format!("SELECT value + {nth} FROM generate_series(1, 1000000)");
            match client.execute(sql, None).await {
                Ok(info) => {
                    use futures::TryStreamExt as _;
                    let mut stream = client.do_get(info.endpoint[0].ticket.clone().unwrap()).await.unwrap();
                    let first = stream.try_next().await.unwrap().unwrap();
                    let values = first.column(0).as_any().downcast_ref::<arrow::array::Int64Array>().unwrap();
                    assert_eq!(values.value(0), nth + 1);
                    true
                }
                Err(_) => false,
            }
        }
    });
    use futures::StreamExt as _;
    let served = futures::stream::iter(calls).buffered(200).collect::<Vec<bool>>();
    let served =
        tokio::time::timeout(std::time::Duration::from_secs(60), served).await.expect("no call hangs");
    assert!(served.iter().enumerate().all(|(nth, served)| *served == (nth % 2 == 0)));
    // Every call that began has ended: nothing is left running.
    let all_ended = |records: &[Record]| {
        let begun = records.iter().filter(|r| matches!(r, Record::Rpc(_))).count();
        let ended = records.iter().filter(|r| matches!(r, Record::StreamEnd(_))).count();
        (begun == ended).then_some(())
    };
    site.records.wait_until(all_ended).await;
}
