//! What the specifications ask for.

use aws_lc_rs::signature::KeyPair as _;
use base64::Engine as _;
use base64::engine::general_purpose::{STANDARD, URL_SAFE_NO_PAD};
use mock_idp::{Client, ClientAuth, Clients, ClockChange, Secret};
use serde_json::{Value, json};

use crate::rig::{Rig, Seen, automatic, part, text};

fn refused(seen: &Seen, status: u16, error: &str) {
    assert_eq!((seen.status, seen.json()["error"].as_str()), (status, Some(error)), "{}", seen.text());
    assert_eq!(seen.header("cache-control"), "no-store");
}

#[tokio::test]
async fn errors_of_the_token_endpoint_have_code_status_and_headers() {
    let rig = Rig::plain().await;
    let url = rig.idp.token_url();
    let get = rig.get(&url).await;
    assert_eq!((get.status, get.header("allow")), (405, "POST"));
    refused(
        &rig.send(rig.http.post(&url).json(&json!({ "grant_type": "client_credentials" }))).await,
        400,
        "invalid_request",
    );
    refused(&rig.grant(&[]).await, 400, "invalid_request");
    refused(&rig.grant(&[("grant_type", "magic")]).await, 400, "unsupported_grant_type");
    refused(
        &rig.grant(&[("grant_type", "password"), ("username", "u"), ("password", "p")]).await,
        400,
        "unsupported_grant_type",
    );
    refused(
        &rig.grant(&[("grant_type", "client_credentials"), ("scope", "a  b")]).await,
        400,
        "invalid_scope",
    );
    refused(
        &rig.grant(&[("grant_type", "client_credentials"), ("resource", "no-uri")]).await,
        400,
        "invalid_target",
    );
    refused(
        &rig.grant(&[("grant_type", "authorization_code"), ("code", "none")]).await,
        400,
        "invalid_grant",
    );
    refused(
        &rig.grant(&[("grant_type", "client_credentials"), ("scope", "a"), ("scope", "b")]).await,
        400,
        "invalid_request",
    );
    let anonymous = rig.http.post(&url).form(&[("grant_type", "client_credentials")]);
    refused(&rig.send(anonymous).await, 401, "invalid_client");
    let both = rig.token_request().form(&[
        ("grant_type", "client_credentials"),
        ("client_id", "app"),
        ("client_secret", "s"),
    ]);
    refused(&rig.send(both).await, 400, "invalid_request");
}

#[tokio::test]
async fn registered_clients_have_to_be_right() {
    let mut config = automatic();
    let client = |id: &str| Client { id: id.to_owned(), secret: Secret::new("right"), ..Client::default() };
    let web = Client { redirect_uris: vec!["http://localhost/cb".to_owned()], ..client("app") };
    config.clients = Clients::Registered(vec![web, client("other")]);
    let rig = Rig::start(config).await;
    let wrong = rig.token().await;
    refused(&wrong, 401, "invalid_client");
    assert!(wrong.header("www-authenticate").starts_with("Basic"));
    let right = rig
        .http
        .post(rig.idp.token_url())
        .basic_auth("app", Some("right"))
        .form(&[("grant_type", "client_credentials")]);
    assert_eq!(rig.send(right).await.status, 200);
    assert_eq!(rig.authorize(&[("client_id", "stranger")]).await.status, 400);
    let elsewhere = rig.authorize(&[("redirect_uri", "http://evil.example/")]).await;
    assert_eq!((elsewhere.status, elsewhere.header("location")), (400, ""));
    // A code of one client is no good for another.
    let code = rig.code(&[]).await;
    let form = [
        ("grant_type", "authorization_code"),
        ("code", code.as_str()),
        ("redirect_uri", "http://localhost/cb"),
    ];
    let other = rig.http.post(rig.idp.token_url()).basic_auth("other", Some("right")).form(&form);
    refused(&rig.send(other).await, 400, "invalid_grant");
}

#[tokio::test]
async fn a_code_is_good_once_and_its_replay_revokes_what_it_gave() {
    let rig = Rig::plain().await;
    let code = rig.code(&[]).await;
    let tokens = rig.redeem(&code).await.json();
    refused(&rig.redeem(&code).await, 400, "invalid_grant");
    let info = rig.http.get(rig.url("/userinfo")).bearer_auth(text(&tokens, "access_token"));
    let seen = rig.send(info).await;
    assert_eq!(seen.status, 401);
    assert!(seen.header("www-authenticate").contains("invalid_token"));
}

#[tokio::test]
async fn a_code_is_bound_to_verifier_address_and_time() {
    let rig = Rig::plain().await;
    let verifier = "v".repeat(43);
    let challenge =
        URL_SAFE_NO_PAD.encode(aws_lc_rs::digest::digest(&aws_lc_rs::digest::SHA256, verifier.as_bytes()));
    let pkce = [("code_challenge", challenge.as_str()), ("code_challenge_method", "S256")];
    let redeem = async |code: &str, more: &[(&str, &str)]| {
        let mut form = vec![
            ("grant_type", "authorization_code"),
            ("code", code),
            ("redirect_uri", "http://localhost/cb"),
        ];
        form.extend_from_slice(more);
        rig.grant(&form).await
    };
    refused(&redeem(&rig.code(&pkce).await, &[]).await, 400, "invalid_grant");
    refused(&redeem(&rig.code(&pkce).await, &[("code_verifier", "wrong")]).await, 400, "invalid_grant");
    assert_eq!(redeem(&rig.code(&pkce).await, &[("code_verifier", &verifier)]).await.status, 200);
    refused(&redeem(&rig.code(&[]).await, &[("code_verifier", &verifier)]).await, 400, "invalid_grant");
    let code = rig.code(&[]).await;
    refused(&rig.grant(&[("grant_type", "authorization_code"), ("code", &code)]).await, 400, "invalid_grant");
    let code = rig.code(&[]).await;
    rig.idp.change_clock(ClockChange { advance: Some(61.0), ..ClockChange::default() });
    refused(&rig.redeem(&code).await, 400, "invalid_grant");
}

#[tokio::test]
async fn a_refresh_token_rotates_and_its_replay_revokes_the_family() {
    let rig = Rig::plain().await;
    let first = rig.login().await;
    let refresh =
        async |token: &str| rig.grant(&[("grant_type", "refresh_token"), ("refresh_token", token)]).await;
    let second = refresh(text(&first, "refresh_token")).await.json();
    assert_ne!(first["refresh_token"], second["refresh_token"]);
    refused(&refresh(text(&first, "refresh_token")).await, 400, "invalid_grant");
    refused(&refresh(text(&second, "refresh_token")).await, 400, "invalid_grant");
    let narrower = rig.login().await;
    let wider = [
        ("grant_type", "refresh_token"),
        ("refresh_token", text(&narrower, "refresh_token")),
        ("scope", "openid admin"),
    ];
    refused(&rig.grant(&wider).await, 400, "invalid_scope");
}

#[tokio::test]
async fn the_clock_moves_issuing_and_validation_together() {
    let rig = Rig::plain().await;
    rig.idp.change_clock(ClockChange { freeze_at: Some(1_000_000.0), ..ClockChange::default() });
    let tokens = rig.login().await;
    assert_eq!(part(text(&tokens, "access_token"), 1)["iat"], 1_000_000);
    let info = || rig.http.get(rig.url("/userinfo")).bearer_auth(text(&tokens, "access_token"));
    assert_eq!(rig.send(info()).await.status, 200);
    rig.idp.change_clock(ClockChange { advance: Some(3601.0), ..ClockChange::default() });
    assert_eq!(rig.send(info()).await.status, 401);
    let renewed = rig
        .grant(&[("grant_type", "refresh_token"), ("refresh_token", text(&tokens, "refresh_token"))])
        .await;
    assert_eq!(part(text(&renewed.json(), "access_token"), 1)["iat"], 1_003_601);
}

#[tokio::test]
async fn a_device_polls_slows_down_and_is_connected_or_denied() {
    let rig = Rig::plain().await;
    let begin = || {
        rig.http
            .post(rig.url("/device_authorization"))
            .basic_auth("app", Some("s"))
            .form(&[("scope", "openid")])
    };
    let device = rig.send(begin()).await.json();
    let poll = async |device: &Value| {
        let kind = "urn:ietf:params:oauth:grant-type:device_code";
        rig.grant(&[("grant_type", kind), ("device_code", text(device, "device_code"))]).await
    };
    let wait =
        |seconds| rig.idp.change_clock(ClockChange { advance: Some(seconds), ..ClockChange::default() });
    refused(&poll(&device).await, 400, "authorization_pending");
    refused(&poll(&device).await, 400, "slow_down");
    wait(6.0);
    refused(&poll(&device).await, 400, "slow_down");
    wait(20.0);
    let confirm = |decision: &str, device: &Value| {
        let code = text(device, "user_code").to_lowercase();
        rig.http.post(rig.url("/device")).form(&[
            ("user_code", code.as_str()),
            ("username", "bob"),
            ("decision", decision),
        ])
    };
    rig.send(confirm("allow", &device)).await;
    let tokens = poll(&device).await.json();
    assert_eq!(part(text(&tokens, "id_token"), 1)["sub"], "bob");
    let denied = rig.send(begin()).await.json();
    rig.send(confirm("deny", &denied)).await;
    refused(&poll(&denied).await, 400, "access_denied");
    let late = rig.send(begin()).await.json();
    wait(601.0);
    refused(&poll(&late).await, 400, "expired_token");
}

#[tokio::test]
async fn tokens_are_exchanged_with_actor_and_audience() {
    let rig = Rig::plain().await;
    let user = rig.login().await;
    let machine = rig.token().await.json();
    let access = "urn:ietf:params:oauth:token-type:access_token";
    let exchange = async |more: &[(&str, &str)]| {
        let mut form = vec![
            ("grant_type", "urn:ietf:params:oauth:grant-type:token-exchange"),
            ("subject_token", text(&user, "access_token")),
            ("subject_token_type", access),
        ];
        form.extend_from_slice(more);
        rig.grant(&form).await
    };
    let seen = exchange(&[
        ("audience", "api"),
        ("actor_token", text(&machine, "access_token")),
        ("actor_token_type", access),
    ])
    .await
    .json();
    assert_eq!(seen["issued_token_type"], access);
    let claims = part(text(&seen, "access_token"), 1);
    assert_eq!(
        (&claims["sub"], &claims["aud"], &claims["act"]["sub"]),
        (&json!("alice"), &json!("api"), &json!("app"))
    );
    refused(&exchange(&[("requested_token_type", "urn:x")]).await, 400, "invalid_request");
    let id = exchange(&[("requested_token_type", "urn:ietf:params:oauth:token-type:id_token")]).await.json();
    assert_eq!(
        (id["token_type"].as_str(), part(text(&id, "access_token"), 1)["aud"].as_str()),
        (Some("N_A"), Some("app"))
    );
}

/// A key of a client, and what it signs.
struct ClientKey(aws_lc_rs::signature::EcdsaKeyPair);

impl ClientKey {
    fn new() -> Self {
        let curve = &aws_lc_rs::signature::ECDSA_P256_SHA256_FIXED_SIGNING;
        Self(aws_lc_rs::signature::EcdsaKeyPair::generate(curve).unwrap())
    }

    fn jwk(&self) -> Value {
        let point = self.0.public_key().as_ref();
        json!({ "kty": "EC", "crv": "P-256", "x": URL_SAFE_NO_PAD.encode(&point[1..33]), "y": URL_SAFE_NO_PAD.encode(&point[33..]) })
    }

    fn sign(&self, header: &Value, claims: &Value) -> String {
        let part = |v: &Value| URL_SAFE_NO_PAD.encode(v.to_string());
        let text = format!("{}.{}", part(header), part(claims));
        let signature = self.0.sign(&aws_lc_rs::rand::SystemRandom::new(), text.as_bytes()).unwrap();
        format!("{text}.{}", URL_SAFE_NO_PAD.encode(signature))
    }

    fn proof(&self, claims: &Value) -> String {
        self.sign(&json!({ "typ": "dpop+jwt", "alg": "ES256", "jwk": self.jwk() }), claims)
    }
}

#[expect(clippy::disallowed_methods, reason = "the issuer under test tells the true time, too")]
fn now() -> u64 {
    std::time::SystemTime::now().duration_since(std::time::UNIX_EPOCH).unwrap().as_secs()
}

#[tokio::test]
async fn dpop_binds_tokens_to_a_key() {
    let rig = Rig::plain().await;
    let key = ClientKey::new();
    let url = rig.idp.token_url();
    let proof = |htu: &str, htm: &str, jti: &str, more: Value| {
        let mut claims = json!({ "htu": htu, "htm": htm, "jti": jti, "iat": now() });
        claims.as_object_mut().unwrap().extend(more.as_object().cloned().unwrap());
        key.proof(&claims)
    };
    let code = rig.code(&[]).await;
    let form = [
        ("grant_type", "authorization_code"),
        ("code", code.as_str()),
        ("redirect_uri", "http://localhost/cb"),
    ];
    let redeem = rig
        .http
        .post(&url)
        .basic_auth("app", Some("s"))
        .form(&form)
        .header("dpop", proof(&url, "POST", "1", json!({})));
    let tokens = rig.send(redeem).await.json();
    assert_eq!(tokens["token_type"], "DPoP");
    let access = text(&tokens, "access_token");
    assert!(part(access, 1)["cnf"]["jkt"].is_string());
    let again = rig.token_request().header("dpop", proof(&url, "POST", "1", json!({})));
    refused(&rig.send(again).await, 400, "invalid_dpop_proof");
    let info = rig.url("/userinfo");
    let bearer = rig.http.get(&info).bearer_auth(access);
    assert_eq!(rig.send(bearer).await.status, 401);
    let ath =
        URL_SAFE_NO_PAD.encode(aws_lc_rs::digest::digest(&aws_lc_rs::digest::SHA256, access.as_bytes()));
    let with = |proof: String| {
        rig.http.get(&info).header("authorization", format!("DPoP {access}")).header("dpop", proof)
    };
    assert_eq!(rig.send(with(proof(&info, "GET", "2", json!({ "ath": ath })))).await.status, 200);
    assert_eq!(rig.send(with(proof(&info, "GET", "3", json!({ "ath": "wrong" })))).await.status, 400);
    // The refresh token of a confidential client is bound by its credentials, that of a public one by its key.
    let refresh = text(&tokens, "refresh_token").to_owned();
    let form = [("grant_type", "refresh_token"), ("refresh_token", refresh.as_str())];
    assert_eq!(rig.grant(&form).await.json()["token_type"], "Bearer");
    let code = rig.code(&[("client_id", "spa")]).await;
    let form = [
        ("grant_type", "authorization_code"),
        ("code", &code),
        ("redirect_uri", "http://localhost/cb"),
        ("client_id", "spa"),
    ];
    let redeem = rig.http.post(&url).form(&form).header("dpop", proof(&url, "POST", "4", json!({})));
    let tokens = rig.send(redeem).await.json();
    let form = [
        ("grant_type", "refresh_token"),
        ("refresh_token", text(&tokens, "refresh_token")),
        ("client_id", "spa"),
    ];
    refused(&rig.send(rig.http.post(&url).form(&form)).await, 400, "invalid_dpop_proof");
}

#[tokio::test]
async fn dpop_nonces_are_asked_for() {
    let mut config = automatic();
    config.protocol.require_dpop_nonce = true;
    let rig = Rig::start(config).await;
    let (key, url) = (ClientKey::new(), rig.idp.token_url());
    let first = key.proof(&json!({ "htu": url, "htm": "POST", "jti": "1", "iat": now() }));
    let seen = rig.send(rig.token_request().header("dpop", first)).await;
    refused(&seen, 400, "use_dpop_nonce");
    let nonce = seen.header("dpop-nonce");
    let second = key.proof(&json!({ "htu": url, "htm": "POST", "jti": "2", "iat": now(), "nonce": nonce }));
    assert_eq!(rig.send(rig.token_request().header("dpop", second)).await.json()["token_type"], "DPoP");
    // A code is not spent by the request that was told to come again.
    let code = rig.code(&[]).await;
    let redeem = |jti: &str, nonce: Option<&str>| {
        let proof =
            key.proof(&json!({ "htu": url, "htm": "POST", "jti": jti, "iat": now(), "nonce": nonce }));
        let form = [
            ("grant_type", "authorization_code"),
            ("code", code.as_str()),
            ("redirect_uri", "http://localhost/cb"),
        ];
        rig.http.post(&url).basic_auth("app", Some("s")).form(&form).header("dpop", proof)
    };
    refused(&rig.send(redeem("3", None)).await, 400, "use_dpop_nonce");
    assert_eq!(rig.send(redeem("4", Some(nonce))).await.status, 200);
}

#[tokio::test]
async fn clients_authenticate_with_jwts() {
    let key = ClientKey::new();
    let mut config = automatic();
    let signer =
        Client { id: "signer".into(), jwks: Some(json!({ "keys": [key.jwk()] })), ..Client::default() };
    let secret = Client {
        id: "hmac".into(),
        secret: Secret::new("a-long-shared-secret-of-32-bytes"),
        ..Client::default()
    };
    config.clients = Clients::Registered(vec![signer, secret]);
    let rig = Rig::start(config).await;
    let url = rig.idp.token_url();
    let claims =
        |id: &str, jti: &str| json!({ "iss": id, "sub": id, "aud": url, "exp": now() + 60, "jti": jti });
    let ask = async |assertion: &str| {
        let kind = "urn:ietf:params:oauth:client-assertion-type:jwt-bearer";
        let form = [
            ("grant_type", "client_credentials"),
            ("client_assertion_type", kind),
            ("client_assertion", assertion),
        ];
        rig.send(rig.http.post(&url).form(&form)).await
    };
    let right = key.sign(&json!({ "alg": "ES256" }), &claims("signer", "1"));
    assert_eq!(ask(&right).await.status, 200);
    refused(&ask(&right).await, 401, "invalid_client");
    let stranger = ClientKey::new().sign(&json!({ "alg": "ES256" }), &claims("signer", "2"));
    refused(&ask(&stranger).await, 401, "invalid_client");
    let encode = |secret: &[u8], jti| {
        let key = jsonwebtoken::EncodingKey::from_secret(secret);
        jsonwebtoken::encode(&jsonwebtoken::Header::default(), &claims("hmac", jti), &key).unwrap()
    };
    assert_eq!(ask(&encode(b"a-long-shared-secret-of-32-bytes", "3")).await.status, 200);
    refused(&ask(&encode(b"another-long-secret-of-32-bytes!", "4")).await, 401, "invalid_client");
}

#[tokio::test]
async fn clients_authenticate_with_certificates() {
    let rig = Rig::secure().await;
    let cert = rcgen::generate_simple_self_signed(["client".to_owned()]).unwrap();
    let pem = format!("{}{}", cert.cert.pem(), cert.signing_key.serialize_pem());
    let http = reqwest::Client::builder()
        .identity(reqwest::Identity::from_pem(pem.as_bytes()).unwrap())
        .tls_danger_accept_invalid_certs(true)
        .no_proxy()
        .build()
        .unwrap();
    let form = [("grant_type", "client_credentials"), ("client_id", "mtls")];
    let seen = rig.send(http.post(rig.idp.token_url()).form(&form)).await;
    let thumbprint =
        URL_SAFE_NO_PAD.encode(aws_lc_rs::digest::digest(&aws_lc_rs::digest::SHA256, cert.cert.der()));
    assert_eq!(part(text(&seen.json(), "access_token"), 1)["cnf"]["x5t#S256"], thumbprint);
    refused(&rig.send(rig.http.post(rig.idp.token_url()).form(&form)).await, 401, "invalid_client");

    // A certificate that is registered is the only one, and none stands for a secret.
    let mut config = automatic();
    let own = Client { id: "mtls".into(), certificate_thumbprint: Some(thumbprint), ..Client::default() };
    let another =
        Client { certificate_thumbprint: Some("x".into()), id: "another".into(), ..Client::default() };
    let secret = Client { id: "secret".into(), secret: Secret::new("s"), ..Client::default() };
    let signer = Client { id: "signer".into(), jwks: Some(json!({ "keys": [] })), ..Client::default() };
    config.clients = Clients::Registered(vec![own, another, secret, signer]);
    let rig = Rig::secure_with(config).await;
    for (id, status) in [("mtls", 200), ("another", 401), ("secret", 401), ("signer", 401)] {
        let form = [("grant_type", "client_credentials"), ("client_id", id)];
        assert_eq!(rig.send(http.post(rig.idp.token_url()).form(&form)).await.status, status, "{id}");
        let form = [("grant_type", "refresh_token"), ("refresh_token", "x"), ("client_id", id)];
        let without = rig.send(rig.http.post(rig.idp.token_url()).form(&form)).await;
        refused(&without, 401, "invalid_client");
    }
}

#[tokio::test]
async fn requests_are_pushed() {
    let mut config = automatic();
    config.protocol.require_par = true;
    let rig = Rig::start(config).await;
    assert_eq!(rig.authorize(&[]).await.location()["error"], "invalid_request");
    let form = [
        ("response_type", "code"),
        ("redirect_uri", "http://localhost/cb"),
        ("scope", "openid"),
        ("state", "pushed"),
    ];
    let pushed = rig.send(rig.http.post(rig.url("/par")).basic_auth("app", Some("s")).form(&form)).await;
    assert_eq!(pushed.status, 201);
    let uri = pushed.json()["request_uri"].as_str().unwrap().to_owned();
    let url = |uri: &str| format!("{}?client_id=app&request_uri={uri}", rig.url("/authorize"));
    let back = rig.get(&url(&uri)).await.location();
    assert_eq!(back["state"], "pushed");
    assert_eq!(rig.redeem(&back["code"]).await.status, 200);
    assert_eq!(rig.get(&url(&uri)).await.status, 400, "a pushed request is good once");
}

#[tokio::test]
async fn only_the_named_method_authenticates() {
    let mut config = automatic();
    config.client_auth = ClientAuth::PrivateKeyJwtOnly;
    let rig = Rig::start(config).await;
    refused(&rig.token().await, 401, "invalid_client");
    let methods =
        rig.get(&rig.idp.discovery_url()).await.json()["token_endpoint_auth_methods_supported"].clone();
    assert_eq!(methods, json!(["private_key_jwt"]));
}

#[tokio::test]
async fn the_session_ends_and_prompt_none_says_so() {
    let rig = Rig::start(mock_idp::Config::default()).await;
    let silent = rig.authorize(&[("prompt", "none")]).await.location();
    assert_eq!(silent["error"], "login_required");
    let page = rig.authorize(&[]).await;
    assert!(page.text().contains("<form"));
    let query = "client_id=app&redirect_uri=http://localhost/cb&response_type=code&state=s&scope=openid";
    let form = [("mock_idp_request", query), ("username", "dora"), ("claims", r#"{"groups": ["admins"]}"#)];
    let seen = rig.send(rig.http.post(rig.url("/authorize")).form(&form)).await;
    assert_eq!(seen.status, 303);
    let cookie = seen.header("set-cookie").split(';').next().unwrap().to_owned();
    let tokens = rig.redeem(&seen.location()["code"]).await.json();
    let claims = part(text(&tokens, "id_token"), 1);
    assert_eq!((&claims["sub"], &claims["groups"]), (&json!("dora"), &json!(["admins"])));
    let url = format!("{}?{query}&prompt=none", rig.url("/authorize"));
    let again = rig.send(rig.http.get(&url).header("cookie", &cookie)).await.location();
    assert!(again.contains_key("code"), "{again:?}");
    let out = format!(
        "{}?id_token_hint={}&post_logout_redirect_uri=http://localhost/bye&state=x",
        rig.url("/endsession"),
        text(&tokens, "id_token")
    );
    let bye = rig.send(rig.http.get(&out).header("cookie", &cookie)).await;
    assert_eq!(bye.header("location"), "http://localhost/bye?state=x");
    let gone = rig.send(rig.http.get(&url).header("cookie", &cookie)).await.location();
    assert_eq!(gone["error"], "login_required");
}

#[tokio::test]
async fn metadata_are_where_both_specifications_look() {
    let rig = Rig::plain().await;
    for path in [
        "/a/b/.well-known/openid-configuration",
        "/.well-known/oauth-authorization-server/a/b",
        "/.well-known/openid-configuration/a/b",
    ] {
        assert_eq!(rig.get(&rig.url(path)).await.json()["issuer"], rig.url("/a/b"), "{path}");
    }
}

#[tokio::test]
async fn a_basic_header_that_is_no_base64_is_an_unknown_client() {
    let rig = Rig::plain().await;
    let ask = |header: String| {
        rig.http
            .post(rig.idp.token_url())
            .header("authorization", header)
            .form(&[("grant_type", "client_credentials")])
    };
    refused(&rig.send(ask("Basic ???".to_owned())).await, 401, "invalid_client");
    refused(&rig.send(ask(format!("Basic {}", STANDARD.encode(":secret")))).await, 401, "invalid_client");
}

#[tokio::test]
async fn http_2_is_spoken_and_its_authority_is_the_host() {
    let mut config = automatic();
    config.follow_host = true;
    let rig = Rig::start(config).await;
    let http = reqwest::Client::builder().http2_prior_knowledge().no_proxy().build().unwrap();
    let url = rig.idp.discovery_url().replace("127.0.0.1", "localhost");
    let answer = http.get(&url).send().await.unwrap();
    assert_eq!(answer.version(), reqwest::Version::HTTP_2);
    let document: Value = answer.json().await.unwrap();
    assert!(text(&document, "issuer").starts_with("http://localhost:"));
}

#[tokio::test]
async fn responses_come_as_a_fragment_or_a_form() {
    let rig = Rig::plain().await;
    let fragment = rig.authorize(&[("response_mode", "fragment")]).await;
    assert!(fragment.header("location").starts_with("http://localhost/cb#code="));
    let form = rig.authorize(&[("response_mode", "form_post"), ("state", "\"><script>")]).await;
    assert!(
        form.text().contains("&quot;&gt;&lt;script&gt;")
            && form.text().contains("action=\"http://localhost/cb\"")
    );
}

#[tokio::test]
async fn front_channel_metadata_of_pages_are_guarded() {
    let rig = Rig::start(mock_idp::Config::default()).await;
    let page = rig.authorize(&[("login_hint", "\"><script>alert(1)</script>")]).await;
    assert!(!page.text().contains("<script>"));
    assert_eq!((page.header("x-frame-options"), page.header("cache-control")), ("DENY", "no-store"));
    for bad in ["javascript:alert(1)", "data:text/html,x", "/relative", "http://localhost/cb#fragment"] {
        let refused = rig.authorize(&[("redirect_uri", bad)]).await;
        assert_eq!((refused.status, refused.header("location")), (400, ""), "{bad}");
    }
}
