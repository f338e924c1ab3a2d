//! JWTs as authorization grants (RFC 7523 §2.1), also for on-behalf-of as Entra does it.

use serde_json::Value;

use super::{Granted, Renewal, audience, scope};
use crate::answer::OAuthError;
use crate::assertion;
use crate::client_auth::Authenticated;
use crate::service::Asked;
use crate::store::Grantee;

pub(super) fn grant(asked: &Asked<'_>, client: &Authenticated) -> Result<Granted, OAuthError> {
    let wrong = |text: &str| OAuthError::invalid_grant(format!("the assertion is refused: {text}"));
    let assertion =
        asked.call.param("assertion").ok_or_else(|| OAuthError::invalid_request("assertion is missing"))?;
    let claims = crate::jwt::unverified_claims(assertion).ok_or_else(|| wrong("it is no JWT"))?;
    let text = |name: &str| claims.get(name).and_then(Value::as_str);
    let sub = text("sub").ok_or_else(|| wrong("sub is missing"))?.to_owned();
    let iss = text("iss").ok_or_else(|| wrong("iss is missing"))?;
    assertion::timely(asked, &claims).map_err(wrong)?;
    // A token of ours is for the client that now acts on behalf of its user (on-behalf-of), not for us.
    if iss != asked.place.issuer {
        assertion::for_us(asked, &claims).map_err(wrong)?;
        genuine(asked, iss, assertion).map_err(wrong)?;
    }
    let grantee = Grantee {
        client_id: client.client_id.clone(),
        sub: Some(sub),
        scope: scope(asked, client)?,
        audience: audience(asked.call)?,
        ..Grantee::default()
    };
    Ok(Granted::new(grantee, Renewal::None))
}

/// The signature is right, if we know the keys of who signed: those of a registered client of that name.
fn genuine(asked: &Asked<'_>, iss: &str, token: &str) -> Result<(), &'static str> {
    let strict = matches!(asked.config.clients, crate::config::Clients::Registered(_));
    let header = jsonwebtoken::decode_header(token).map_err(|_| "it is no JWT with a known algorithm")?;
    match asked.issuer.client(asked.config, iss) {
        Some(client) if assertion::signed_by(token, client.jwks.as_ref(), &header) => Ok(()),
        Some(_) => Err("the signature is not its issuer's"),
        None if strict => Err("its issuer is not known"),
        None => Ok(()),
    }
}
