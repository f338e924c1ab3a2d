//! The discovery document (OpenID Connect Discovery 1.0 §3, RFC 8414 §2) and the key set (RFC 7517 §5).

use std::sync::atomic::Ordering;

use serde_json::{Value, json};

use crate::config::{Alg, ClientAuth};
use crate::issuer::State;
use crate::service::{INTROSPECT, JWKS};

/// What clients see.
pub(crate) fn document(state: &State) -> Value {
    let urls = &state.urls;
    let methods = match state.config.client_auth {
        ClientAuth::Any => json!(["client_secret_basic", "client_secret_post"]),
        ClientAuth::BasicOnly => json!(["client_secret_basic"]),
        ClientAuth::PostOnly => json!(["client_secret_post"]),
    };
    let alg = match state.config.token.alg {
        Alg::Rs256 => "RS256",
        Alg::Es256 => "ES256",
    };
    json!({
        "issuer": urls.issuer,
        "authorization_endpoint": format!("{}/authorize", urls.issuer.trim_end_matches('/')),
        "token_endpoint": urls.token,
        "jwks_uri": urls.jwks,
        "introspection_endpoint": urls.introspection,
        "grant_types_supported": ["client_credentials"],
        "response_types_supported": ["code"],
        "subject_types_supported": ["public"],
        "id_token_signing_alg_values_supported": [alg],
        "token_endpoint_auth_methods_supported": methods,
        "introspection_endpoint_auth_methods_supported": methods,
        "scopes_supported": state.config.token.scopes.clone().unwrap_or_else(|| vec!["openid".to_owned()]),
        "claims_supported": ["iss", "sub", "aud", "exp", "iat", "jti", "client_id", "scope"],
    })
}

/// What resource servers see: the same issuer, but endpoints that are never faulty.
pub(crate) fn back_channel(state: &State) -> Value {
    let mut document = document(state);
    document["jwks_uri"] = format!("{}{JWKS}", state.urls.back_channel).into();
    document["introspection_endpoint"] = format!("{}{INTROSPECT}", state.urls.back_channel).into();
    document
}

/// The public keys, the newest first.
pub(crate) fn key_set(state: &State) -> Value {
    let newest = state.newest_key.load(Ordering::SeqCst);
    let oldest = state.oldest_key.load(Ordering::SeqCst);
    let alg = state.config.token.alg;
    let keys: Vec<Value> = (oldest..=newest).rev().map(|nth| state.config.keys.key(alg, nth).jwk()).collect();
    json!({ "keys": keys })
}
