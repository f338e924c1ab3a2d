//! Token exchange (RFC 8693).

use serde_json::{Value, json};

use super::{Granted, Renewal, audience, scope};
use crate::answer::OAuthError;
use crate::client_auth::Authenticated;
use crate::config::Clients;
use crate::service::Asked;
use crate::store::Grantee;

const TYPE: &str = "urn:ietf:params:oauth:token-type:";

pub(super) fn grant(asked: &Asked<'_>, client: &Authenticated) -> Result<Granted, OAuthError> {
    let call = asked.call;
    let missing = |name: &str| OAuthError::invalid_request(format!("{name} is missing"));
    let subject = call.param("subject_token").ok_or_else(|| missing("subject_token"))?;
    let kind = call.param("subject_token_type").ok_or_else(|| missing("subject_token_type"))?;
    known_type(kind)?;
    let wanted =
        call.param("requested_token_type").map_or("access_token", |t| t.strip_prefix(TYPE).unwrap_or(t));
    let audience = audience(call)?;
    let mut grantee = whose(asked, subject)?;
    grantee.client_id.clone_from(&client.client_id);
    if let Some(scope) = scope(asked, client)? {
        grantee.scope = Some(scope);
    }
    grantee.audience = audience;
    grantee.confirmation = None;
    if let Some(actor) = call.param("actor_token") {
        known_type(call.param("actor_token_type").ok_or_else(|| missing("actor_token_type"))?)?;
        let actor = whose(asked, actor)?;
        grantee.actor = Some(json!({ "sub": actor.sub.unwrap_or(actor.client_id) }));
    }
    let (refresh, only_id_token) = match wanted {
        "access_token" | "jwt" => (Renewal::None, false),
        "id_token" => (Renewal::None, true),
        "refresh_token" => (Renewal::New, false),
        other => {
            return Err(OAuthError::invalid_request(format!(
                "requested_token_type `{other}` is not supported"
            )));
        }
    };
    let mut granted = Granted::new(grantee, refresh);
    granted.only_id_token = only_id_token;
    let issued = if wanted == "refresh_token" { "access_token" } else { wanted };
    granted.extra.push(("issued_token_type", Value::from(format!("{TYPE}{issued}"))));
    Ok(granted)
}

fn known_type(kind: &str) -> Result<(), OAuthError> {
    let known = ["access_token", "id_token", "jwt", "refresh_token"];
    match kind.strip_prefix(TYPE) {
        Some(name) if known.contains(&name) => Ok(()),
        _ => Err(OAuthError::invalid_request(format!("token type `{kind}` is not supported"))),
    }
}

/// Whom a token is about: one of ours, or, unless clients are registered, any JWT.
fn whose(asked: &Asked<'_>, token: &str) -> Result<Grantee, OAuthError> {
    let now = asked.issuer.clock.now();
    let wrong = |text: &str| OAuthError::invalid_request(format!("the token is refused: {text}"));
    {
        let store = asked.issuer.store();
        if let Some(known) = store.tokens.get(token) {
            let active = !known.issued.revoked && known.issued.expires as f64 > now;
            let sub = known.claims()["sub"].as_str().map(str::to_owned);
            let grantee = Grantee { sub, ..known.grantee.clone() };
            return if active { Ok(grantee) } else { Err(wrong("it is revoked or has expired")) };
        }
        if let Some(known) = store.refresh.get(token) {
            let active = !known.revoked && !known.spent && known.expires > now;
            return if active {
                Ok(known.grantee.clone())
            } else {
                Err(wrong("it is revoked or has expired"))
            };
        }
    }
    let claims = crate::jwt::unverified_claims(token).ok_or_else(|| wrong("it is not known, and no JWT"))?;
    let is_ours = claims.get("iss").and_then(Value::as_str) == Some(asked.place.issuer.as_str());
    if !is_ours && matches!(asked.config.clients, Clients::Registered(_)) {
        return Err(wrong("its issuer is not trusted"));
    }
    if claims.get("exp").and_then(Value::as_f64).is_some_and(|exp| exp < now) {
        return Err(wrong("it has expired"));
    }
    let sub = claims.get("sub").and_then(Value::as_str).ok_or_else(|| wrong("it has no sub"))?;
    let scope = claims.get("scope").and_then(Value::as_str).map(str::to_owned);
    Ok(Grantee { sub: Some(sub.to_owned()), scope, ..Grantee::default() })
}
