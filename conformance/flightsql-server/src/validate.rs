//! Validation of JWT access tokens (RFC 9068 §4, RFC 8725).

use std::time::{SystemTime, UNIX_EPOCH};

use base64::Engine as _;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use jsonwebtoken::errors::ErrorKind;
use jsonwebtoken::{DecodingKey, Header, Validation, decode};
use serde::Deserialize;
use serde_json::Value;

use crate::jwks::{KeyError, KeySet};
use crate::record::TokenState;

/// What is wrong with a token.
#[derive(Debug)]
pub(crate) enum Refusal {
    /// The token: UNAUTHENTICATED.
    Token(TokenState, &'static str),
    /// The issuer cannot be asked: UNAVAILABLE.
    Issuer(String),
}

#[derive(Debug, Deserialize)]
struct Claims {
    sub: String,
}

/// A JWT has three parts.
pub(crate) fn looks_like_jwt(token: &str) -> bool {
    token.split('.').count() == 3
}

/// Milliseconds until `exp`, as the token says without any validation.
pub(crate) fn remaining_ms(token: &str) -> Option<i64> {
    let payload = token.split('.').nth(1).filter(|_| looks_like_jwt(token))?;
    let claims: Value = serde_json::from_slice(&URL_SAFE_NO_PAD.decode(payload).ok()?).ok()?;
    let expires = claims["exp"].as_f64()?;
    until(expires)
}

/// Milliseconds until a time in seconds since 1970.
pub(crate) fn until(expires: f64) -> Option<i64> {
    let now = SystemTime::now().duration_since(UNIX_EPOCH).ok()?.as_secs_f64();
    Some(((expires - now) * 1e3) as i64)
}

/// The subject of a token that one of the issuers issued for us.
pub(crate) async fn subject(token: &str, issuers: &[KeySet]) -> Result<String, Refusal> {
    let malformed = |why| Refusal::Token(TokenState::Malformed, why);
    let header =
        token.split('.').next().and_then(|h| URL_SAFE_NO_PAD.decode(h).ok()).ok_or(malformed("not a JWT"))?;
    let raw: Value = serde_json::from_slice(&header).map_err(|_| malformed("not a JWT"))?;
    // RFC 7515 §4.1.11: no extension is understood here.
    if raw.get("crit").is_some() {
        return Err(Refusal::Token(TokenState::Unknown, "`crit` is not understood"));
    }
    // RFC 9068 §4: an ID token must not pass for an access token. `JWT` is what most issuers write.
    let typ = raw["typ"].as_str().unwrap_or("JWT").to_ascii_lowercase();
    if !["at+jwt", "application/at+jwt", "jwt"].contains(&typ.as_str()) {
        return Err(Refusal::Token(TokenState::Unknown, "`typ` is not that of an access token"));
    }
    let header: Header = serde_json::from_value(raw)
        .map_err(|_| Refusal::Token(TokenState::Unknown, "the algorithm is not taken"))?;
    let payload = token.split('.').nth(1).and_then(|p| URL_SAFE_NO_PAD.decode(p).ok()).unwrap_or_default();
    let claims: Value = serde_json::from_slice(&payload).map_err(|_| malformed("not a JWT"))?;
    let own = issuers.iter().filter(|i| claims["iss"].as_str() == Some(&i.trusted().issuer));
    let mut last = Refusal::Token(TokenState::Unknown, "the issuer is not trusted");
    for issuer in own {
        match by_issuer(token, &header, issuer).await {
            Ok(subject) => return Ok(subject),
            Err(refusal) => last = refusal,
        }
    }
    Err(last)
}

async fn by_issuer(token: &str, header: &Header, issuer: &KeySet) -> Result<String, Refusal> {
    let unknown = |why| Refusal::Token(TokenState::Unknown, why);
    let trusted = issuer.trusted();
    if !trusted.algorithms.contains(&header.alg) {
        return Err(unknown("the algorithm is not taken"));
    }
    let jwk = match issuer.key(header.kid.as_deref()).await {
        Ok(jwk) => jwk,
        Err(KeyError::Unknown) => return Err(unknown("the key is not the issuer's")),
        Err(KeyError::Unreachable(why)) => return Err(Refusal::Issuer(why)),
    };
    let key = DecodingKey::from_jwk(&jwk).map_err(|_| unknown("the key is of no use"))?;
    let mut rules = Validation::new(header.alg);
    rules.set_required_spec_claims(&["exp", "iss", "aud", "sub"]);
    rules.set_issuer(&[&trusted.issuer]);
    rules.set_audience(&[&trusted.audience]);
    rules.leeway = trusted.leeway.as_secs();
    rules.validate_nbf = true;
    match decode::<Claims>(token, &key, &rules) {
        Ok(valid) if !valid.claims.sub.is_empty() => Ok(valid.claims.sub),
        Ok(_) => Err(unknown("`sub` is empty")),
        Err(error) => Err(match error.kind() {
            ErrorKind::ExpiredSignature => Refusal::Token(TokenState::Expired, "the token is expired"),
            ErrorKind::InvalidAudience => unknown("the token is for another audience"),
            ErrorKind::ImmatureSignature => unknown("the token is not valid yet"),
            ErrorKind::InvalidSignature => unknown("the signature is wrong"),
            ErrorKind::MissingRequiredClaim(_) => unknown("a claim is missing"),
            _ => unknown("the token is not valid"),
        }),
    }
}
