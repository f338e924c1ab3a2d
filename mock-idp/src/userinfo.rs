//! Userinfo (OpenID Connect Core 1.0 §5.3), for bearer and DPoP tokens (RFC 6750, RFC 9449 §7).

use http::{Method, StatusCode, header};
use serde_json::Value;

use crate::answer::{Answer, OAuthError};
use crate::dpop;
use crate::jwt::Mint;
use crate::service::Asked;
use crate::store::StoredToken;

pub(crate) fn answer(asked: &Asked<'_>) -> Answer {
    if !matches!(asked.call.method, Method::GET | Method::HEAD | Method::POST) {
        return OAuthError::only("GET, POST").answer(Default::default(), 0);
    }
    match about(asked) {
        Ok((client, body)) => {
            let mut answer = Answer::json(StatusCode::OK, &body).not_stored();
            answer.client = Some(client);
            answer
        }
        Err(error) => error.answer(Default::default(), 0),
    }
}

fn about(asked: &Asked<'_>) -> Result<(String, Value), OAuthError> {
    let in_form = (asked.call.method == Method::POST).then(|| asked.call.param("access_token")).flatten();
    let presented = asked.call.presented_token().or_else(|| Some(("bearer".to_owned(), in_form?.to_owned())));
    let Some((scheme, token)) = presented else {
        // RFC 6750 §3.1: no error code for who did not even try.
        let mut error = OAuthError::new("invalid_request", "an access token is missing");
        error.status = StatusCode::UNAUTHORIZED;
        error.challenge = Some("Bearer realm=\"userinfo\"".to_owned());
        return Err(error);
    };
    let stored = active(asked, &token).ok_or_else(|| {
        OAuthError::invalid_token(&scheme, "the access token is not known, revoked or has expired")
    })?;
    bound(asked, &scheme, &token, &stored)?;
    let grantee = &stored.grantee;
    if !grantee.has_scope("openid") {
        let mut error = OAuthError::new("insufficient_scope", "the access token lacks the scope openid");
        error.challenge = Some(r#"Bearer error="insufficient_scope", scope="openid""#.to_owned());
        return Err(error);
    }
    let mint = Mint {
        host: asked.host,
        issuer: asked.issuer,
        config: asked.config,
        place: asked.place,
        hits: asked.hits,
        params: &[],
    };
    // The very `sub` of the ID token (§5.3.2).
    let sub = mint.sub(grantee);
    let mut body = serde_json::json!({ "sub": sub });
    for (name, value) in &grantee.user_claims {
        body[name.as_str()] = value.clone();
    }
    mint.patched(&mut body, &asked.config.token.userinfo_claims, grantee, &sub);
    Ok((grantee.client_id.clone(), body))
}

/// A token that was issued here and is good.
pub(crate) fn active(asked: &Asked<'_>, token: &str) -> Option<StoredToken> {
    let now = asked.issuer.clock.now();
    let stored = asked.issuer.store().tokens.get(token).cloned();
    stored.filter(|t| !t.issued.revoked && t.issued.expires as f64 > now)
}

/// A bound token comes with the proof that it is bound to (RFC 9449 §7.1, RFC 8705 §3).
fn bound(asked: &Asked<'_>, scheme: &str, token: &str, stored: &StoredToken) -> Result<(), OAuthError> {
    match &stored.grantee.confirmation {
        Some(("jkt", thumbprint)) => {
            let proven = if scheme == "dpop" { dpop::thumbprint(asked, Some(token))? } else { None };
            if proven.as_ref() == Some(thumbprint) {
                return Ok(());
            }
            Err(OAuthError::invalid_token("dpop", "the access token is bound to a key that was not proved"))
        }
        Some((_, thumbprint)) => {
            let presented = asked.call.peer.certificate.as_ref().map(|der| crate::jwt::sha256(der));
            if presented.as_ref() == Some(thumbprint) {
                return Ok(());
            }
            Err(OAuthError::invalid_token(scheme, "the access token is bound to another certificate"))
        }
        None if asked.call.headers.get(header::AUTHORIZATION).is_some() && scheme == "dpop" => {
            Err(OAuthError::invalid_token("dpop", "the access token is a bearer token"))
        }
        None => Ok(()),
    }
}
