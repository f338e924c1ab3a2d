//! Each quirk of each profile, on the wire.

use mock_idp::file::File;
use serde_json::Value;

use crate::rig::{Rig, Seen, automatic, part, text};

struct Provider {
    rig: Rig,
    metadata: Value,
}

impl Provider {
    async fn start(profile: &str, path: &str) -> Self {
        let file = File::default().with_profile(Some(profile.to_owned()), Vec::new());
        let (mut config, _) = file.resolve(&automatic()).unwrap();
        config.login.interactive = false;
        let rig = Rig::start(config).await;
        let metadata = rig.get(&rig.url(&format!("{path}/.well-known/openid-configuration"))).await.json();
        Self { rig, metadata }
    }

    fn at(&self, member: &str) -> &str {
        text(&self.metadata, member)
    }

    async fn ask(&self, more: &[(&str, &str)]) -> Seen {
        let mut form = vec![("client_id", "app"), ("client_secret", "s")];
        if !more.iter().any(|(n, _)| *n == "grant_type") {
            form.push(("grant_type", "client_credentials"));
        }
        form.extend_from_slice(more);
        self.rig.send(self.rig.http.post(self.at("token_endpoint")).form(&form)).await
    }

    async fn login(&self, scope: &str) -> Value {
        let mut url = url::Url::parse(self.at("authorization_endpoint")).unwrap();
        url.query_pairs_mut().extend_pairs([
            ("client_id", "app"),
            ("redirect_uri", "http://localhost/cb"),
            ("response_type", "code"),
            ("scope", scope),
        ]);
        let code = self.rig.get(url.as_str()).await.location().remove("code").unwrap();
        let form =
            [("grant_type", "authorization_code"), ("code", &code), ("redirect_uri", "http://localhost/cb")];
        self.ask(&form).await.json()
    }

    /// The URL of a path, with the slash that the profile wants.
    fn is(&self, member: &str, path: &str) {
        assert_eq!(self.at(member), self.rig.url(path));
    }
}

fn claims(answer: &Value) -> Value {
    part(text(answer, "access_token"), 1)
}

#[tokio::test]
async fn auth0() {
    let p = Provider::start("auth0", "").await;
    p.is("issuer", "/");
    p.is("token_endpoint", "/oauth/token");
    assert!(p.metadata.get("introspection_endpoint").is_none());
    assert!(text(&p.ask(&[]).await.json(), "access_token").starts_with("at-"));
    let api = p.ask(&[("audience", "api")]).await.json();
    assert_eq!(api["expires_in"], 86400);
    assert_eq!(
        (claims(&api)["sub"].as_str(), claims(&api)["azp"].as_str()),
        (Some("app@clients"), Some("app"))
    );
    assert!(claims(&api).get("client_id").is_none());
    assert!(p.login("openid").await.get("refresh_token").is_none());
    assert!(p.login("openid offline_access").await.get("refresh_token").is_some());
    let refused = p
        .rig
        .send(p.rig.http.post(p.at("token_endpoint")).form(&[("grant_type", "client_credentials")]))
        .await;
    assert_eq!((refused.status, refused.json()["error"].as_str()), (401, Some("access_denied")));
}

#[tokio::test]
async fn entra() {
    let p = Provider::start("entra-v2", "/tenant/v2.0").await;
    p.is("issuer", "/tenant/v2.0");
    p.is("token_endpoint", "/tenant/oauth2/v2.0/token");
    assert!(p.metadata.get("registration_endpoint").is_none());
    let refused = p.ask(&[("scope", "api")]).await.json();
    assert!(refused["error_codes"][0].is_u64() && text(&refused, "error_description").starts_with("AADSTS"));
    let right = p.ask(&[("scope", "api://x/.default")]).await.json();
    assert_eq!((right["expires_in"].as_u64(), right["ext_expires_in"].as_u64()), (Some(3599), Some(3599)));
    let c = claims(&right);
    assert_eq!(
        (c["aud"].as_str(), c["tid"].as_str(), c["ver"].as_str()),
        (Some("api://x"), Some("tenant"), Some("2.0"))
    );
    assert_eq!(part(text(&right, "access_token"), 0)["nonce"], "only-graph-knows");
    let common = Provider::start("entra-v2", "/common/v2.0").await;
    common.is("issuer", "/{tenantid}/v2.0");
    let c = claims(&common.ask(&[("scope", "api://x/.default")]).await.json());
    assert_eq!(c["iss"], common.rig.url("/9122040d-6c67-4c5b-b112-36a304b66dad/v2.0"));

    let v1 = Provider::start("entra-v1", "/tenant").await;
    assert_eq!(v1.at("issuer"), "https://sts.windows.net/tenant/");
    let answer = v1.ask(&[]).await.json();
    assert_eq!(
        (answer["expires_in"].as_str(), claims(&answer)["appid"].as_str()),
        (Some("3599"), Some("app"))
    );
}

#[tokio::test]
async fn okta() {
    let p = Provider::start("okta-custom", "/oauth2/default").await;
    p.is("token_endpoint", "/oauth2/default/v1/token");
    assert_eq!(p.ask(&[]).await.json()["error"], "invalid_scope");
    let answer = p.ask(&[("scope", "a b")]).await.json();
    assert_eq!(
        (claims(&answer)["scp"].clone(), claims(&answer)["cid"].as_str()),
        (serde_json::json!(["a", "b"]), Some("app"))
    );
    let refused = p
        .rig
        .send(p.rig.http.post(p.at("token_endpoint")).form(&[("grant_type", "client_credentials")]))
        .await;
    assert_eq!(refused.json()["errorCode"], "invalid_client");

    let org = Provider::start("okta-org", "").await;
    let answer = org.login("openid").await;
    let kids = org.rig.get(org.at("jwks_uri")).await.text();
    let kid = |token: &str| text(&part(text(&answer, token), 0), "kid").to_owned();
    assert!(!kids.contains(&kid("access_token")) && kids.contains(&kid("id_token")));
}

#[tokio::test]
async fn google() {
    let p = Provider::start("google", "").await;
    let host = |url: &str| url::Url::parse(url).unwrap().host_str().unwrap().to_owned();
    assert_ne!(host(p.at("token_endpoint")), host(p.at("issuer")));
    assert_eq!(p.ask(&[]).await.json()["error"], "unsupported_grant_type");
    let (first, second) = (p.login("openid").await, p.login("openid").await);
    assert_eq!(first["expires_in"], 3599);
    assert!(text(&first, "access_token").starts_with("at-"));
    let iss = |answer: &Value| text(&part(text(answer, "id_token"), 1), "iss").to_owned();
    assert_eq!(format!("http://{}", iss(&first)), iss(&second));
}

#[tokio::test]
async fn keycloak_cognito_and_ping() {
    let p = Provider::start("keycloak", "/realms/demo").await;
    p.is("token_endpoint", "/realms/demo/protocol/openid-connect/token");
    let answer = p.ask(&[]).await.json();
    assert_eq!(
        (answer["expires_in"].as_u64(), answer["refresh_expires_in"].as_u64()),
        (Some(300), Some(1800))
    );
    assert_eq!(
        (claims(&answer)["aud"].as_str(), claims(&answer)["sub"].as_str()),
        (Some("account"), Some("service-account-app"))
    );

    let p = Provider::start("cognito", "/eu_Pool").await;
    let answer = p.login("openid email").await;
    let c = claims(&answer);
    assert!(c.get("aud").is_none() && c["token_use"] == "access" && c["client_id"] == "app");
    let info = p.rig.http.get(p.at("userinfo_endpoint")).bearer_auth(text(&answer, "access_token"));
    assert_eq!(p.rig.send(info).await.json()["email_verified"], "true");

    let p = Provider::start("ping", "").await;
    p.is("token_endpoint", "/as/token.oauth2");
    assert_eq!(p.ask(&[]).await.json()["expires_in"], 7199);
    assert!(p.ask(&[("grant_type", "x")]).await.json()["correlation_id"].is_string());
}

#[tokio::test]
async fn github_like() {
    let p = Provider::start("github-like", "").await;
    let refused = p.ask(&[("grant_type", "authorization_code"), ("code", "x")]).await;
    assert_eq!((refused.status, refused.json()["error"].as_str()), (200, Some("invalid_grant")));
    let mut url = url::Url::parse(p.at("authorization_endpoint")).unwrap();
    url.query_pairs_mut().extend_pairs([
        ("client_id", "app"),
        ("redirect_uri", "http://localhost/cb"),
        ("response_type", "code"),
    ]);
    let code = p.rig.get(url.as_str()).await.location().remove("code").unwrap();
    let seen = p
        .ask(&[
            ("grant_type", "authorization_code"),
            ("code", &code),
            ("redirect_uri", "http://localhost/cb"),
        ])
        .await;
    assert_eq!(seen.header("content-type"), "application/x-www-form-urlencoded");
    assert!(seen.text().starts_with("access_token=") && !seen.text().contains("expires_in"));
}
