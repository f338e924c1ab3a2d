//! Introspection (RFC 7662).

use http::StatusCode;
use serde_json::{Value, json};

use crate::answer::{Answer, OAuthError};
use crate::client_auth;
use crate::service::Asked;
use crate::token::well_formed;
use crate::userinfo::active;

/// Answers a client or a resource server that says who it is (§2.1).
pub(crate) fn answer(asked: &Asked<'_>) -> Answer {
    match permitted(asked).and_then(|client| Ok((client, about(asked)?))) {
        Ok((client, body)) => {
            let mut answer = Answer::json(StatusCode::OK, &body).not_stored();
            answer.client = client;
            answer
        }
        Err(error) => asked.refusal(&error),
    }
}

/// Answers on the back channel, where everybody is trusted.
pub(crate) fn trusted(asked: &Asked<'_>) -> Answer {
    match about(asked) {
        Ok(body) => Answer::json(StatusCode::OK, &body).not_stored(),
        Err(error) => asked.refusal(&error),
    }
}

/// A client's credentials, or an access token of ours.
fn permitted(asked: &Asked<'_>) -> Result<Option<String>, OAuthError> {
    well_formed(asked.call)?;
    if let Some((scheme, token)) = asked.call.presented_token() {
        let known = active(asked, &token);
        return match known {
            Some(stored) => Ok(Some(stored.grantee.client_id)),
            None => Err(OAuthError::invalid_token(
                &scheme,
                "the access token is not known, revoked or has expired",
            )),
        };
    }
    client_auth::authenticate(asked).map(|client| Some(client.client_id))
}

fn about(asked: &Asked<'_>) -> Result<Value, OAuthError> {
    let token = asked.call.param("token").ok_or_else(|| OAuthError::invalid_request("token is missing"))?;
    if let Some(stored) = active(asked, token) {
        let mut body = stored.claims();
        body["active"] = true.into();
        let is_dpop = matches!(stored.grantee.confirmation, Some(("jkt", _)));
        body["token_type"] = if is_dpop { "DPoP" } else { "Bearer" }.into();
        if let Some(scope) = stored.grantee.scope {
            body["scope"] = scope.into();
        }
        if let Some(Value::String(name)) = stored.grantee.user_claims.get("preferred_username") {
            body["username"] = name.clone().into();
        }
        return Ok(body);
    }
    let now = asked.issuer.clock.now();
    let store = asked.issuer.store();
    let refresh = store.refresh.get(token).filter(|r| !r.revoked && !r.spent && r.expires > now);
    Ok(match refresh {
        Some(r) => json!({
            "active": true, "iss": asked.place.issuer, "client_id": r.grantee.client_id, "sub": r.grantee.sub,
            "scope": r.grantee.scope, "exp": r.expires as u64, "token_type": "refresh_token",
        }),
        // §2.2: nothing is told about a token that is no good.
        None => json!({ "active": false }),
    })
}
