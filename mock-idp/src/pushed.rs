//! Pushed authorization requests (RFC 9126).

use http::StatusCode;
use serde_json::json;

use crate::answer::{Answer, OAuthError};
use crate::client_auth;
use crate::issuer::random;
use crate::service::Asked;
use crate::store::Pushed;
use crate::token::well_formed;

/// How long a request stays, in seconds.
const LIFETIME: u64 = 90;
const URN: &str = "urn:ietf:params:oauth:request_uri:";
/// What authenticates the client, and is no part of the request.
const CREDENTIALS: [&str; 3] = ["client_secret", "client_assertion", "client_assertion_type"];

pub(crate) fn answer(asked: &Asked<'_>) -> Answer {
    match push(asked) {
        Ok((client_id, uri)) => {
            let body = json!({ "request_uri": uri, "expires_in": LIFETIME });
            let mut answer = Answer::json(StatusCode::CREATED, &body).not_stored();
            answer.client = Some(client_id);
            answer
        }
        Err(error) => asked.refusal(&error),
    }
}

fn push(asked: &Asked<'_>) -> Result<(String, String), OAuthError> {
    well_formed(asked.call)?;
    let client = client_auth::authenticate(asked)?;
    if asked.call.param("request_uri").is_some() {
        return Err(OAuthError::invalid_request("request_uri cannot be pushed"));
    }
    let proven = crate::dpop::thumbprint(asked, None)?;
    let mut params: Vec<(String, String)> =
        asked.call.params.iter().filter(|(n, _)| !CREDENTIALS.contains(&n.as_str())).cloned().collect();
    if !params.iter().any(|(n, _)| n == "client_id") {
        params.push(("client_id".to_owned(), client.client_id.clone()));
    }
    if let Some(jkt) = proven {
        let named = asked.call.param("dpop_jkt");
        if named.is_some_and(|n| n != jkt) {
            return Err(OAuthError::new("invalid_dpop_proof", "dpop_jkt is another key"));
        }
        if named.is_none() {
            params.push(("dpop_jkt".to_owned(), jkt));
        }
    }
    let uri = format!("{URN}{}", random());
    let expires = asked.issuer.clock.now() + LIFETIME as f64;
    let pushed = Pushed { client_id: client.client_id.clone(), params, expires };
    asked.issuer.store().pushed.insert(uri.clone(), pushed);
    Ok((client.client_id, uri))
}

/// The request that was pushed under an address.
pub(crate) fn params(
    asked: &Asked<'_>,
    uri: &str,
    client_id: &str,
) -> Result<Vec<(String, String)>, OAuthError> {
    let now = asked.issuer.clock.now();
    let store = asked.issuer.store();
    let pushed = store.pushed.get(uri).filter(|p| p.client_id == client_id && p.expires >= now);
    pushed.map(|p| p.params.clone()).ok_or_else(|| {
        OAuthError::new(
            "invalid_request_uri",
            "request_uri is not known, is another client's, or has expired",
        )
    })
}
