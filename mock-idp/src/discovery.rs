//! The discovery document (OpenID Connect Discovery 1.0 §3, RFC 8414 §2) and the key set (RFC 7517 §5).

use http::{StatusCode, header};
use serde_json::{Value, json};

use crate::answer::Answer;
use crate::config::{ClientAuth, GrantKind};
use crate::endpoint::Endpoint;
use crate::fault::distort;
use crate::issuer::Issuer;
use crate::service::Asked;

/// Algorithms that clients may sign with.
const CLIENT_ALGS: [&str; 12] = [
    "RS256", "RS384", "RS512", "PS256", "PS384", "PS512", "ES256", "ES384", "EdDSA", "HS256", "HS384",
    "HS512",
];

/// What clients see.
pub(crate) fn document(asked: &Asked<'_>) -> Answer {
    Answer::json(StatusCode::OK, &metadata(asked))
}

fn metadata(asked: &Asked<'_>) -> Value {
    let config = asked.config;
    let url = |endpoint| asked.place.url(endpoint, config);
    let methods = methods(config.client_auth);
    let algs: Vec<&str> = Issuer::algs(config).into_iter().map(crate::config::Alg::as_str).collect();
    let grants: Vec<&str> = config.grants.iter().map(|g| g.as_str()).collect();
    let asymmetric = &CLIENT_ALGS[..9];
    let mut document = json!({
        "issuer": asked.place.published,
        "authorization_endpoint": url(Endpoint::Authorization),
        "token_endpoint": url(Endpoint::Token),
        "jwks_uri": url(Endpoint::Jwks),
        "userinfo_endpoint": url(Endpoint::Userinfo),
        "introspection_endpoint": url(Endpoint::Introspection),
        "revocation_endpoint": url(Endpoint::Revocation),
        "device_authorization_endpoint": url(Endpoint::DeviceAuthorization),
        "pushed_authorization_request_endpoint": url(Endpoint::PushedAuthorization),
        "registration_endpoint": url(Endpoint::Registration),
        "end_session_endpoint": url(Endpoint::EndSession),
        "grant_types_supported": grants,
        "response_types_supported": ["code"],
        "response_modes_supported": ["query", "fragment", "form_post"],
        "subject_types_supported": ["public"],
        "id_token_signing_alg_values_supported": algs,
        "token_endpoint_auth_methods_supported": methods,
        "token_endpoint_auth_signing_alg_values_supported": CLIENT_ALGS,
        "introspection_endpoint_auth_methods_supported": methods,
        "introspection_endpoint_auth_signing_alg_values_supported": CLIENT_ALGS,
        "revocation_endpoint_auth_methods_supported": methods,
        "revocation_endpoint_auth_signing_alg_values_supported": CLIENT_ALGS,
        "dpop_signing_alg_values_supported": asymmetric,
        "code_challenge_methods_supported": ["S256", "plain"],
        "scopes_supported": config.token.scopes.clone().unwrap_or_else(|| {
            ["openid", "profile", "email", "offline_access"].map(str::to_owned).to_vec()
        }),
        "claims_supported": ["iss", "sub", "aud", "exp", "iat", "jti", "client_id", "scope", "auth_time", "nonce",
            "acr", "sid", "name", "email", "email_verified", "preferred_username"],
        "claims_parameter_supported": false,
        "prompt_values_supported": ["none", "login", "consent", "select_account"],
        "request_parameter_supported": false,
        "request_uri_parameter_supported": false,
        "require_pushed_authorization_requests": config.protocol.require_par,
        "authorization_response_iss_parameter_supported": true,
        "tls_client_certificate_bound_access_tokens": asked.host.origins.scheme == "https",
    });
    if !config.grants.contains(&GrantKind::DeviceCode) {
        document.as_object_mut().map(|d| d.shift_remove("device_authorization_endpoint"));
    }
    json_patch::merge(&mut document, &config.discovery);
    document
}

fn methods(client_auth: ClientAuth) -> Vec<&'static str> {
    match client_auth {
        ClientAuth::Any => vec![
            "client_secret_basic",
            "client_secret_post",
            "client_secret_jwt",
            "private_key_jwt",
            "tls_client_auth",
            "self_signed_tls_client_auth",
            "none",
        ],
        ClientAuth::BasicOnly => vec!["client_secret_basic"],
        ClientAuth::PostOnly => vec!["client_secret_post"],
        ClientAuth::SecretJwtOnly => vec!["client_secret_jwt"],
        ClientAuth::PrivateKeyJwtOnly => vec!["private_key_jwt"],
        ClientAuth::MtlsOnly => vec!["tls_client_auth", "self_signed_tls_client_auth"],
    }
}

/// What resource servers see: the same issuer, but endpoints that are never faulty.
pub(crate) fn back_channel(asked: &Asked<'_>) -> Answer {
    let mut document = metadata(asked);
    for (member, endpoint) in
        [("jwks_uri", Endpoint::Jwks), ("introspection_endpoint", Endpoint::Introspection)]
    {
        // An issuer without introspection has none here either.
        if document.get(member).is_none() {
            continue;
        }
        let path = asked.config.paths.of(endpoint).unwrap_or_default();
        document[member] = format!("{}{}{path}", asked.host.back_channel, asked.issuer.root).into();
    }
    Answer::json(StatusCode::OK, &document)
}

/// The public keys, the newest first. Making an RSA key takes a while, so not on the runtime's threads.
pub(crate) async fn key_set(asked: &Asked<'_>) -> Answer {
    let algs = Issuer::algs(asked.config);
    let pool = asked.config.keys.clone();
    let wanted = asked.issuer.keys.published_ids(&algs);
    let hits = asked.hits.clone();
    let made = tokio::task::spawn_blocking(move || {
        let keys = wanted.iter().map(|(alg, kid, nth)| pool.key(*alg, *nth).jwk(kid)).collect();
        distort::key_set(&hits, &pool, keys)
    });
    let keys = made.await.expect("making keys does not panic");
    let mut answer = Answer::json(StatusCode::OK, &json!({ "keys": keys }));
    let age = asked.config.protocol.jwks_max_age.as_secs();
    answer.set(header::CACHE_CONTROL, &format!("public, max-age={age}"));
    answer
}
