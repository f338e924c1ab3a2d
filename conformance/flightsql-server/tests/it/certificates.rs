//! Certificates as a way in (mTLS): of the program, over real TLS.

use std::path::Path;

use arrow_flight::error::FlightError;
use arrow_flight::sql::client::FlightSqlServiceClient;
use rcgen::{
    BasicConstraints, CertificateParams, CertifiedIssuer, DnType, IsCa, KeyPair, SanType, date_time_ymd,
};
use tonic::Code;
use tonic::transport::{Certificate, ClientTlsConfig, Endpoint, Identity};

use crate::program::{program, started, terminated};

type Ca = CertifiedIssuer<'static, KeyPair>;

fn ca(name: &str) -> Ca {
    let mut params = CertificateParams::default();
    params.is_ca = IsCa::Ca(BasicConstraints::Unconstrained);
    params.distinguished_name.push(DnType::CommonName, name);
    CertifiedIssuer::self_signed(params, KeyPair::generate().unwrap()).unwrap()
}

/// Certificate and key in PEM form, of this CA, for this URI.
fn identity(ca: &Ca, uri: &str, change: impl FnOnce(&mut CertificateParams)) -> Identity {
    let mut params = CertificateParams::new(vec!["client.test".to_owned()]).unwrap();
    params.subject_alt_names.push(SanType::URI(uri.try_into().unwrap()));
    change(&mut params);
    let key = KeyPair::generate().unwrap();
    Identity::from_pem(params.signed_by(&key, ca).unwrap().pem(), key.serialize_pem())
}

/// The code of a query, or nothing if no connection comes about.
async fn asked(
    address: &str,
    trusted: &Path,
    identity: Option<Identity>,
    token: Option<&str>,
) -> Option<Code> {
    let mut tls =
        ClientTlsConfig::new().ca_certificate(Certificate::from_pem(std::fs::read(trusted).unwrap()));
    if let Some(identity) = identity {
        tls = tls.identity(identity);
    }
    let endpoint = Endpoint::from_shared(address.replace("grpc+tls://", "https://")).unwrap();
    let channel = endpoint.tls_config(tls).unwrap().connect().await.ok()?;
    let mut client = FlightSqlServiceClient::new(channel);
    if let Some(token) = token {
        client.set_token(token.to_owned());
    }
    match client.execute("SELECT 1".to_owned(), None).await {
        Ok(_) => Some(Code::Ok),
        Err(FlightError::Tonic(status)) if status.code() == Code::Unauthenticated => Some(status.code()),
        // With TLS 1.3 a client learns after the handshake that its certificate is not taken.
        Err(_) => None,
    }
}

#[tokio::test]
async fn a_certificate_of_the_named_ca_is_a_way_in_and_no_other_is() {
    let folder = tempfile::tempdir().unwrap();
    let path = |name: &str| folder.path().join(name);
    let (right, wrong) = (ca("right"), ca("wrong"));
    std::fs::write(path("clients.pem"), right.pem()).unwrap();
    let (child, address) = started(
        program()
            .args(["--token", "a-static-token", "--write-ca"])
            .arg(path("server.pem"))
            .arg("--client-ca")
            .arg(path("clients.pem"))
            .arg("--record")
            .arg(path("record.jsonl")),
    );
    let uri = "spiffe://flight.test/robot";
    let plain = |_: &mut CertificateParams| {};
    let over = |params: &mut CertificateParams| {
        params.not_before = date_time_ymd(2001, 1, 1);
        params.not_after = date_time_ymd(2002, 1, 1);
    };
    let not_yet = |params: &mut CertificateParams| params.not_before = date_time_ymd(2999, 1, 1);
    let served = Some(Code::Ok);
    for (what, identity, token, expected) in [
        ("right", Some(identity(&right, uri, plain)), None, served),
        ("none", None, None, Some(Code::Unauthenticated)),
        ("none, with a token", None, Some("a-static-token"), served),
        ("none, with a wrong token", None, Some("wrong"), Some(Code::Unauthenticated)),
        (
            "right, with a wrong token",
            Some(identity(&right, uri, plain)),
            Some("wrong"),
            Some(Code::Unauthenticated),
        ),
        ("of another CA", Some(identity(&wrong, uri, plain)), None, None),
        ("of another CA, with a token", Some(identity(&wrong, uri, plain)), Some("a-static-token"), None),
        ("expired", Some(identity(&right, uri, over)), None, None),
        ("not valid yet", Some(identity(&right, uri, not_yet)), None, None),
    ] {
        assert_eq!(asked(&address, &path("server.pem"), identity, token).await, expected, "{what}");
    }
    terminated(child).await;
    let record = std::fs::read_to_string(path("record.jsonl")).unwrap();
    let facts: Vec<serde_json::Value> =
        record.lines().map(|line| serde_json::from_str(line).unwrap()).collect();
    let principals: Vec<&str> = facts.iter().filter_map(|fact| fact["principal"].as_str()).collect();
    assert_eq!(principals, [uri, "static-token"]);
    // A client may try again.
    assert!(facts.iter().filter(|fact| fact["kind"] == "tls-failed").count() >= 4, "{record}");
}
