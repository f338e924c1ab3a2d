//! Together with the issuer of this project, over HTTP alone.

use std::sync::Arc;

use flightsql_server::{Algorithm, TrustedIssuer, WaysIn};
use mock_idp::{Client, Clients, Config, KeyPool, MockIdp, Scheme, Secret};

use crate::site::{Site, text};

#[tokio::test]
async fn tokens_of_mock_idp_are_taken() {
    let mut config = Config::new(Arc::new(KeyPool::new()), Arc::new(drop));
    config.scheme = Scheme::Http;
    config.token.audience = "flight".to_owned();
    config.clients = Clients::Registered(vec![Client {
        id: "robot".into(),
        secret: Secret::new("secret"),
        ..mock_idp::Client::default()
    }]);
    let issuer = MockIdp::start(config).await.unwrap();
    let form = [("grant_type", "client_credentials"), ("client_id", "robot"), ("client_secret", "secret")];
    let answer = reqwest::Client::builder()
        .tls_backend_preconfigured(no_tls())
        .build()
        .unwrap()
        .post(issuer.token_url())
        .form(&form)
        .send()
        .await
        .unwrap();
    let answer: serde_json::Value = answer.json().await.unwrap();
    let trusted = TrustedIssuer {
        issuer: issuer.issuer(),
        discovery_url: issuer.discovery_url(),
        audience: "flight".to_owned(),
        algorithms: vec![Algorithm::RS256, Algorithm::ES256],
        leeway: std::time::Duration::ZERO,
    };
    let site =
        Site::with(|config| config.ways_in = WaysIn { oauth: vec![trusted], ..WaysIn::default() }).await;
    let mut client = site.anonymous().await;
    client.set_token(answer["access_token"].as_str().unwrap().to_owned());
    assert_eq!(text(&mut client, "SELECT 1").await, "1");
}

/// The issuer speaks HTTP; reqwest wants to know a TLS provider all the same.
fn no_tls() -> rustls::ClientConfig {
    rustls::ClientConfig::builder_with_provider(Arc::new(rustls::crypto::aws_lc_rs::default_provider()))
        .with_safe_default_protocol_versions()
        .unwrap()
        .with_root_certificates(rustls::RootCertStore::empty())
        .with_no_client_auth()
}
