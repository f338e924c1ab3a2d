//! Dynamic registration (RFC 7591), and reading and deleting one's registration (RFC 7592).

use http::{Method, StatusCode};
use serde_json::{Map, Value, json};

use crate::answer::{Answer, OAuthError};
use crate::config::{Alg, Client, GrantKind};
use crate::endpoint::Endpoint;
use crate::issuer::{Issuer, random};
use crate::secret::Secret;
use crate::service::Asked;
use crate::store::Registered;

const METHODS: [&str; 7] = [
    "none",
    "client_secret_basic",
    "client_secret_post",
    "client_secret_jwt",
    "private_key_jwt",
    "tls_client_auth",
    "self_signed_tls_client_auth",
];

pub(crate) fn answer(asked: &Asked<'_>) -> Answer {
    let outcome = match asked.call.method {
        Method::POST => register(asked),
        Method::GET => managed(asked).map(|r| (StatusCode::OK, Value::Object(r.metadata))),
        Method::DELETE => managed(asked).map(|r| {
            asked.issuer.store().clients.remove(&r.client.id);
            (StatusCode::NO_CONTENT, Value::Null)
        }),
        _ => Err(OAuthError::only("GET, POST, DELETE")),
    };
    match outcome {
        Ok((StatusCode::NO_CONTENT, _)) => Answer::empty(StatusCode::NO_CONTENT).not_stored(),
        Ok((status, body)) => {
            let mut answer = Answer::json(status, &body).not_stored();
            answer.client = body["client_id"].as_str().map(str::to_owned);
            answer
        }
        Err(error) => error.answer(Default::default(), 0),
    }
}

fn wrong(text: String) -> OAuthError {
    OAuthError::new("invalid_client_metadata", text)
}

fn register(asked: &Asked<'_>) -> Result<(StatusCode, Value), OAuthError> {
    let mut metadata: Map<String, Value> = serde_json::from_slice(&asked.call.body)
        .map_err(|e| wrong(format!("the body must be a JSON object: {e}")))?;
    let client = client_of(asked, &metadata)?;
    let management = random();
    let here = asked.place.url(Endpoint::Registration, asked.config);
    let ours = json!({
        "client_id": client.id,
        "client_id_issued_at": asked.issuer.clock.seconds(),
        "token_endpoint_auth_method": client.token_endpoint_auth_method,
        "grant_types": client.grants.iter().map(|g| g.as_str()).collect::<Vec<_>>(),
        "response_types": ["code"],
        "registration_access_token": management,
        "registration_client_uri": format!("{here}?client_id={}", client.id),
    });
    metadata.extend(ours.as_object().cloned().unwrap_or_default());
    let secret = client.secret.expose().to_owned();
    if !secret.is_empty() {
        metadata.insert("client_secret".to_owned(), secret.into());
        metadata.insert("client_secret_expires_at".to_owned(), 0.into());
    }
    let id = client.id.clone();
    let registered = Registered { client, metadata: metadata.clone(), management };
    asked.issuer.store().clients.insert(id, registered);
    Ok((StatusCode::CREATED, Value::Object(metadata)))
}

/// The client that metadata describe (RFC 7591 §2).
fn client_of(asked: &Asked<'_>, metadata: &Map<String, Value>) -> Result<Client, OAuthError> {
    let text = |name: &str| metadata.get(name).and_then(Value::as_str).map(str::to_owned);
    let redirect_uris = texts(metadata, "redirect_uris").map_err(wrong)?;
    if let Some(uri) =
        redirect_uris.iter().find(|u| url::Url::parse(u).map_or(true, |u| u.fragment().is_some()))
    {
        let text = format!("`{uri}` is no absolute URI without a fragment");
        return Err(OAuthError::new("invalid_redirect_uri", text));
    }
    let method = text("token_endpoint_auth_method").unwrap_or_else(|| "client_secret_basic".to_owned());
    if !METHODS.contains(&method.as_str()) {
        return Err(wrong(format!("token_endpoint_auth_method `{method}` is not supported")));
    }
    if let Some(alg) = text("id_token_signed_response_alg")
        && !Alg::from_name(&alg).is_some_and(|a| Issuer::algs(asked.config).contains(&a))
    {
        return Err(wrong(format!("id_token_signed_response_alg `{alg}` is not supported")));
    }
    let mut grants = Vec::new();
    for name in texts(metadata, "grant_types").map_err(wrong)? {
        let known = GrantKind::from_wire(&name).filter(|g| asked.config.grants.contains(g));
        grants.push(known.ok_or_else(|| wrong(format!("grant type `{name}` is not supported")))?);
    }
    if grants.is_empty() {
        grants = vec![GrantKind::AuthorizationCode, GrantKind::RefreshToken];
    }
    if grants.contains(&GrantKind::AuthorizationCode) && redirect_uris.is_empty() {
        return Err(OAuthError::new("invalid_redirect_uri", "redirect_uris is missing"));
    }
    let secret = if method.starts_with("client_secret") { random() + &random() } else { String::new() };
    Ok(Client {
        id: format!("client-{}", random()),
        secret: Secret::new(secret),
        redirect_uris,
        post_logout_redirect_uris: texts(metadata, "post_logout_redirect_uris").map_err(wrong)?,
        grants,
        scopes: text("scope").map(|s| s.split(' ').map(str::to_owned).collect()).unwrap_or_default(),
        jwks: metadata.get("jwks").cloned(),
        certificate_thumbprint: None,
        tls_client_auth_subject_dn: text("tls_client_auth_subject_dn"),
        token_endpoint_auth_method: Some(method),
    })
}

/// A member that is a list of texts; empty if it is absent.
fn texts(metadata: &Map<String, Value>, name: &str) -> Result<Vec<String>, String> {
    let Some(value) = metadata.get(name) else { return Ok(Vec::new()) };
    let list =
        value.as_array().and_then(|a| a.iter().map(|v| v.as_str().map(str::to_owned)).collect::<Option<_>>());
    list.ok_or_else(|| format!("{name} must be a list of texts"))
}

/// The registration that an access token of RFC 7592 is for.
fn managed(asked: &Asked<'_>) -> Result<Registered, OAuthError> {
    let refused = || OAuthError::invalid_token("bearer", "no registration goes with this token");
    let (_, token) = asked.call.presented_token().ok_or_else(refused)?;
    let id = asked.call.query.as_deref().map(|q| crate::call::form(q.as_bytes())).unwrap_or_default();
    let id = id.into_iter().find(|(n, _)| n == "client_id").map(|(_, v)| v).ok_or_else(refused)?;
    let store = asked.issuer.store();
    store.clients.get(&id).filter(|r| r.management == token).cloned().ok_or_else(refused)
}
