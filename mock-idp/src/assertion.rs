//! JWTs that clients sign: to authenticate (RFC 7523 §2.2, OpenID Connect Core §9), as a grant (§2.1), or as a proof (RFC 9449).

use jsonwebtoken::jwk::{Jwk, JwkSet};
use jsonwebtoken::{Algorithm, DecodingKey, Validation};
use serde_json::{Map, Value};

use crate::answer::OAuthError;
use crate::config::{Client, ClientAuth};
use crate::endpoint::Endpoint;
use crate::service::Asked;

/// How long the id of an assertion is remembered if it never expires.
const REMEMBERED: f64 = 3600.0;

/// The claims of a JWT whose signature this key made.
pub(crate) fn verified(token: &str, key: &DecodingKey, alg: Algorithm) -> Option<Map<String, Value>> {
    let mut validation = Validation::new(alg);
    // Times are checked against the issuer's clock, which may not be the machine's.
    validation.validate_exp = false;
    validation.validate_nbf = false;
    validation.validate_aud = false;
    validation.required_spec_claims.clear();
    jsonwebtoken::decode(token, key, &validation).ok().map(|data| data.claims)
}

/// The client that an assertion is from.
pub(crate) fn client_of(
    asked: &Asked<'_>,
    assertion: &str,
    lookup: &dyn Fn(&str) -> Result<Option<Client>, OAuthError>,
) -> Result<String, OAuthError> {
    let wrong = |text: &str| OAuthError::invalid_client(format!("client_assertion: {text}"));
    let header =
        jsonwebtoken::decode_header(assertion).map_err(|_| wrong("it is no JWT with a known algorithm"))?;
    let claims = crate::jwt::unverified_claims(assertion).ok_or_else(|| wrong("it is no JWT"))?;
    let text = |name: &str| claims.get(name).and_then(Value::as_str);
    let (iss, sub) = (text("iss"), text("sub"));
    let client_id =
        sub.filter(|_| iss == sub).ok_or_else(|| wrong("iss and sub must both be the client"))?.to_owned();
    if asked.call.param("client_id").is_some_and(|named| named != client_id) {
        return Err(wrong("sub is not client_id"));
    }
    let is_hmac = matches!(header.alg, Algorithm::HS256 | Algorithm::HS384 | Algorithm::HS512);
    match asked.config.client_auth {
        ClientAuth::SecretJwtOnly if !is_hmac => {
            return Err(wrong("this issuer takes client_secret_jwt only"));
        }
        ClientAuth::PrivateKeyJwtOnly if is_hmac => {
            return Err(wrong("this issuer takes private_key_jwt only"));
        }
        _ => {}
    }
    if let Some(client) = lookup(&client_id)? {
        let genuine = if is_hmac {
            !client.secret.expose().is_empty()
                && verified(
                    assertion,
                    &DecodingKey::from_secret(client.secret.expose().as_bytes()),
                    header.alg,
                )
                .is_some()
        } else {
            signed_by(assertion, client.jwks.as_ref(), &header)
        };
        if !genuine {
            return Err(wrong("the signature is not the client's"));
        }
    }
    timely(asked, &claims).map_err(wrong)?;
    for_us(asked, &claims).map_err(wrong)?;
    used_once(asked, &client_id, &claims).map_err(wrong)?;
    Ok(client_id)
}

/// Whether one of these keys made the signature.
pub(crate) fn signed_by(token: &str, jwks: Option<&Value>, header: &jsonwebtoken::Header) -> bool {
    let set: Option<JwkSet> = jwks.and_then(|j| serde_json::from_value(j.clone()).ok());
    let fits =
        |jwk: &&Jwk| header.kid.is_none() || jwk.common.key_id.is_none() || jwk.common.key_id == header.kid;
    set.is_some_and(|set| {
        let mut keys = set.keys.iter().filter(fits).filter_map(|jwk| DecodingKey::from_jwk(jwk).ok());
        keys.any(|key| verified(token, &key, header.alg).is_some())
    })
}

/// `exp` is there and not over, `nbf` and `iat` are not to come.
pub(crate) fn timely(asked: &Asked<'_>, claims: &Map<String, Value>) -> Result<(), &'static str> {
    let now = asked.issuer.clock.now();
    let leeway = asked.config.protocol.leeway.as_secs_f64();
    let time = |name: &str| claims.get(name).and_then(Value::as_f64);
    let expires = time("exp").ok_or("exp is missing")?;
    if expires + leeway < now {
        return Err("exp is over");
    }
    if time("nbf").is_some_and(|t| t - leeway > now) || time("iat").is_some_and(|t| t - leeway > now) {
        return Err("nbf or iat is to come");
    }
    Ok(())
}

/// `aud` names the issuer, its token endpoint, or the endpoint that was called.
pub(crate) fn for_us(asked: &Asked<'_>, claims: &Map<String, Value>) -> Result<(), &'static str> {
    let place = asked.place;
    let ours = [
        place.issuer.clone(),
        place.url(Endpoint::Token, asked.config),
        place.url(asked.call.endpoint, asked.config),
    ];
    let named = |aud: &str| ours.iter().any(|o| o.trim_end_matches('/') == aud.trim_end_matches('/'));
    let right = match claims.get("aud") {
        Some(Value::String(aud)) => named(aud),
        Some(Value::Array(several)) => several.iter().filter_map(Value::as_str).any(named),
        _ => false,
    };
    if right { Ok(()) } else { Err("aud must be the issuer or its token endpoint") }
}

/// `jti`, if there is one, was not seen before.
fn used_once(asked: &Asked<'_>, client: &str, claims: &Map<String, Value>) -> Result<(), &'static str> {
    let Some(jti) = claims.get("jti").and_then(Value::as_str) else { return Ok(()) };
    let now = asked.issuer.clock.now();
    let until = claims.get("exp").and_then(Value::as_f64).unwrap_or(now + REMEMBERED);
    let fresh = asked.issuer.store().use_once(format!("assertion {client} {jti}"), until, now);
    if fresh { Ok(()) } else { Err("jti was used before") }
}
