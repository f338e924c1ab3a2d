//! `JSON_CONFIG` of navikt/mock-oauth2-server, as it is.

use std::collections::BTreeMap;

use serde::Deserialize;
use serde_json::{Map, Value, json};

use super::{ConfigError, File, TlsFile};

/// Members by which the format is known.
const KNOWN_BY: [&str; 6] = [
    "interactiveLogin",
    "httpServer",
    "tokenCallbacks",
    "tokenProvider",
    "rotateRefreshToken",
    "loginPagePath",
];

#[derive(Debug, Default, Deserialize)]
#[serde(default, deny_unknown_fields, rename_all = "camelCase")]
pub(super) struct Navikt {
    interactive_login: bool,
    login_page_path: Option<String>,
    static_assets_path: Option<String>,
    rotate_refresh_token: bool,
    http_server: Value,
    token_callbacks: Vec<TokenCallback>,
    token_provider: TokenProvider,
}

#[derive(Debug, Default, Deserialize)]
#[serde(default, deny_unknown_fields, rename_all = "camelCase")]
struct TokenCallback {
    issuer_id: String,
    token_expiry: Option<u64>,
    request_mappings: Vec<RequestMapping>,
}

#[derive(Debug, Default, Deserialize)]
#[serde(default, deny_unknown_fields, rename_all = "camelCase")]
struct RequestMapping {
    request_param: String,
    #[serde(rename = "match")]
    matches: String,
    claims: Map<String, Value>,
    type_header: Option<String>,
}

#[derive(Debug, Default, Deserialize)]
#[serde(default, deny_unknown_fields, rename_all = "camelCase")]
struct TokenProvider {
    key_provider: KeyProvider,
    system_time: Option<String>,
}

#[derive(Debug, Default, Deserialize)]
#[serde(default, deny_unknown_fields, rename_all = "camelCase")]
struct KeyProvider {
    algorithm: Option<String>,
    initial_keys: Option<Value>,
}

/// Whether a document is of this format.
pub(super) fn is_one(value: &Value) -> bool {
    value.as_object().is_some_and(|o| KNOWN_BY.iter().any(|name| o.contains_key(*name)))
}

/// Our own settings for the same.
pub(super) fn file(name: &str, navikt: Navikt) -> Result<File, ConfigError> {
    let failed = |message: String| ConfigError::Content { name: name.to_owned(), message };
    let mut file = File::default();
    let page = match &navikt.login_page_path {
        Some(path) => Some(
            std::fs::read_to_string(path)
                .map_err(|source| ConfigError::Read { path: path.into(), source })?,
        ),
        None => None,
    };
    file.static_files = navikt.static_assets_path.clone().map(Into::into);
    if let Some(keys) = &navikt.token_provider.key_provider.initial_keys {
        // A JWK, or several, as JSON or as a text of JSON.
        let keys = keys.as_str().map_or_else(|| Ok(keys.clone()), serde_json::from_str);
        let keys: Value = keys.map_err(|e| failed(format!("tokenProvider.keyProvider.initialKeys: {e}")))?;
        file.signing_keys = match (keys.get("keys").and_then(Value::as_array), keys.as_array()) {
            (Some(set), _) => set.clone(),
            (None, Some(list)) => list.clone(),
            (None, None) => vec![keys],
        };
    }
    file.tls = tls(&navikt.http_server).map_err(failed)?;
    if let Some(time) = &navikt.token_provider.system_time {
        let at = humantime::parse_rfc3339_weak(time)
            .map_err(|e| failed(format!("tokenProvider.systemTime `{time}`: {e}")))?;
        file.frozen_at = Some(at.duration_since(std::time::UNIX_EPOCH).unwrap_or_default().as_secs_f64());
    }
    let mut issuer = json!({
        "paths": { "token": "/token" },
        "login": { "interactive": navikt.interactive_login },
        "protocol": { "rotate_refresh_tokens": navikt.rotate_refresh_token },
        "token": { "audience": "default" },
        "grants": ["client_credentials", "authorization_code", "refresh_token", "password", "device_code",
            "token-exchange", "jwt-bearer"],
    });
    if let Some(page) = page {
        issuer["login"]["page"] = page.into();
    }
    if let Some(alg) = &navikt.token_provider.key_provider.algorithm {
        if crate::config::Alg::from_name(alg).is_none() {
            return Err(failed(format!("tokenProvider.keyProvider.algorithm `{alg}` is not supported")));
        }
        issuer["token"]["alg"] = alg.clone().into();
    }
    let issuers = navikt.token_callbacks.iter().map(|c| (format!("/{}", c.issuer_id), settings(c)));
    file.written = (issuer, issuers.collect::<BTreeMap<_, _>>());
    Ok(file)
}

fn settings(callback: &TokenCallback) -> Value {
    let rules: Vec<Value> = callback
        .request_mappings
        .iter()
        .map(|m| {
            let header = m.type_header.as_ref().map_or_else(|| json!({}), |typ| json!({ "typ": typ }));
            json!({ "param": m.request_param, "matches": m.matches, "claims": m.claims, "header": header })
        })
        .collect();
    let lifetime = callback.token_expiry.unwrap_or(3600);
    json!({ "token": { "lifetime": lifetime, "id_lifetime": lifetime, "rules": rules } })
}

fn tls(server: &Value) -> Result<Option<TlsFile>, String> {
    match server.get("ssl") {
        None | Some(Value::Null) => Ok(None),
        Some(ssl) if ssl.get("keystoreFile").is_none_or(Value::is_null) => Ok(Some(TlsFile::default())),
        Some(_) => Err("httpServer.ssl.keystoreFile: key stores are not read; convert it to PEM and give \
                        --tls-certificate and --tls-key"
            .to_owned()),
    }
}
