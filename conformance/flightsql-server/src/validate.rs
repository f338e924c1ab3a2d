//! Validation of JWT access tokens (RFC 9068 §4, RFC 8725).

use std::sync::Arc;
use std::time::{SystemTime, UNIX_EPOCH};

use base64::Engine as _;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use jsonwebtoken::errors::ErrorKind;
use jsonwebtoken::{Algorithm, DecodingKey, Header, Validation, decode};
use serde::de::{MapAccess, SeqAccess, Visitor};
use serde::{Deserialize, Deserializer};
use serde_json::{Map, Value};

use crate::defect::{Defect, NOBODY, public_key_as_secret, signed_by_nobody};
use crate::jwks::{Key, KeyError, KeySet};
use crate::record::TokenState;
use crate::remembered::Good;

/// What is wrong with a token.
#[derive(Debug)]
pub(crate) enum Refusal {
    /// The token: UNAUTHENTICATED.
    Token(TokenState, &'static str),
    /// The issuer cannot be asked: UNAVAILABLE.
    Issuer(String),
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
    Some(((expires - now()?) * 1e3) as i64)
}

/// Seconds since 1970.
#[expect(clippy::disallowed_methods, reason = "a token is judged by the time of day")]
pub(crate) fn now() -> Option<f64> {
    Some(SystemTime::now().duration_since(UNIX_EPOCH).ok()?.as_secs_f64())
}

/// Whom a token is about.
#[derive(Debug, Clone, PartialEq)]
pub(crate) struct Identity {
    /// Its `sub`.
    pub(crate) principal: String,
    /// Other names of the same: mail address, login.
    pub(crate) names: Vec<String>,
    /// Its `exp`, in seconds since 1970.
    pub(crate) expires: Option<f64>,
}

/// A token that one of the issuers issued for us, and whom it is about.
pub(crate) async fn good(token: &str, issuers: &[KeySet]) -> Result<Good, Refusal> {
    let unknown = |why| Refusal::Token(TokenState::Unknown, why);
    let defect = issuers.first().and_then(KeySet::defect);
    let unverified = unverified(token, defect)?;
    let any_issuer = [Defect::NoIssuerCheck, Defect::AbsentClaimsAreFine].map(Some).contains(&defect);
    let says = unverified.claims.get("iss").and_then(Value::as_str);
    let own = issuers.iter().enumerate().filter(|(_, i)| {
        let is_its_own = says == Some(&i.trusted().issuer);
        is_its_own || (any_issuer && (says.is_none() || defect == Some(Defect::NoIssuerCheck)))
    });
    let mut last = unknown("the issuer is not trusted");
    for (issuer, set) in own {
        match by_issuer(token, &unverified, set).await {
            Ok((key, identity)) => {
                let Unverified { header, claims, .. } = unverified;
                let begins = claims.get("nbf").and_then(Value::as_f64);
                return Ok(Good { issuer, kid: header.kid, algorithm: header.alg, key, begins, identity });
            }
            Err(refusal) => last = refusal,
        }
    }
    Err(last)
}

/// Header and claims of a token that nobody has verified.
#[derive(Debug)]
pub(crate) struct Unverified {
    header: Header,
    claims: Map<String, Value>,
    /// The header as it is written.
    raw: Map<String, Value>,
}

/// Header and claims, if they can be those of an access token; nothing is verified yet.
pub(crate) fn unverified(token: &str, defect: Option<Defect>) -> Result<Unverified, Refusal> {
    let has = |this| Defect::is(defect, this);
    let malformed = Refusal::Token(TokenState::Malformed, "not a JWT");
    let unknown = |why| Refusal::Token(TokenState::Unknown, why);
    let mut parts = token.split('.');
    let (Some(header), Some(claims), Some(_), None) =
        (parts.next(), parts.next(), parts.next(), parts.next())
    else {
        return Err(malformed);
    };
    let object = |part: &str| {
        let bytes = URL_SAFE_NO_PAD.decode(part).ok()?;
        // RFC 8725 §2.4, RFC 7519 §4: a member that is there twice is read differently by different readers.
        if has(Defect::AcceptsDoubledMembers) {
            return serde_json::from_slice(&bytes).ok();
        }
        serde_json::from_slice::<UniqueMembers>(&bytes).ok().map(|unique| unique.0)
    };
    let (Some(raw), Some(claims)) = (object(header), object(claims)) else { return Err(malformed) };
    // RFC 7515 §4.1.11: no extension is understood here.
    if raw.contains_key("crit") && !has(Defect::IgnoresCrit) {
        return Err(unknown("`crit` is not understood"));
    }
    // RFC 8725 §3.10: keys come from the issuer, never from the token.
    let brought = ["jku", "jwk", "x5u", "x5c"].into_iter().find(|name| raw.contains_key(*name));
    let believes = has(Defect::FollowsJku) || has(Defect::UsesEmbeddedKey);
    if let Some(name) = brought.filter(|_| !believes) {
        tracing::debug!(name, "a token brings its own key");
        return Err(unknown("the token brings its own key"));
    }
    // RFC 9068 §4: an ID token must not pass for an access token. `JWT` is what most issuers write.
    let typ = raw.get("typ").map_or(Some("JWT"), Value::as_str).unwrap_or_default().to_ascii_lowercase();
    if !["at+jwt", "application/at+jwt", "jwt"].contains(&typ.as_str()) && !has(Defect::AcceptsAnyTyp) {
        return Err(unknown("`typ` is not that of an access token"));
    }
    let mut readable = raw.clone();
    if has(Defect::AcceptsAlgNone) && is_none(&raw) {
        readable.insert("alg".to_owned(), "RS256".into());
    }
    let header =
        serde_json::from_value(Value::Object(readable)).map_err(|_| unknown("the algorithm is not taken"))?;
    Ok(Unverified { header, claims, raw })
}

fn is_none(header: &Map<String, Value>) -> bool {
    header.get("alg").and_then(Value::as_str).is_some_and(|alg| alg.eq_ignore_ascii_case("none"))
}

#[derive(Debug, Deserialize)]
struct Claims {
    #[serde(default)]
    sub: String,
    email: Option<String>,
    preferred_username: Option<String>,
}

async fn by_issuer(
    token: &str,
    Unverified { header, claims, raw }: &Unverified,
    issuer: &KeySet,
) -> Result<(Arc<DecodingKey>, Identity), Refusal> {
    let unknown = |why| Refusal::Token(TokenState::Unknown, why);
    let trusted = issuer.trusted();
    let hmac = issuer.has(Defect::AcceptsHmacWithPublicKey) && header.alg == Algorithm::HS256;
    let unsigned = issuer.has(Defect::NoSignatureCheck)
        || (issuer.has(Defect::AcceptsAlgNone) && is_none(raw))
        || (issuer.has(Defect::OutageOpensTheDoor) && issuer.any_key().await.is_none());
    if !trusted.algorithms.contains(&header.alg) && !hmac && !unsigned {
        return Err(unknown("the algorithm is not taken"));
    }
    if issuer.has(Defect::WantsAScope) && !claims.contains_key("scope") {
        return Err(unknown("there is no scope"));
    }
    let first = claims.get("aud").and_then(|aud| aud.get(0)).and_then(Value::as_str);
    if issuer.has(Defect::FirstAudienceOnly) && first.is_some_and(|first| first != trusted.audience) {
        return Err(unknown("the token is for another audience"));
    }
    let nobody = || Arc::new(DecodingKey::from_secret(NOBODY));
    let (token, algorithm, decoding) = if unsigned {
        (signed_by_nobody(claims), Algorithm::HS256, nobody())
    } else if hmac {
        let secret = issuer.any_key().await.and_then(|key| public_key_as_secret(&key.decoding));
        (token.to_owned(), header.alg, Arc::new(secret.ok_or(unknown("there is no key"))?))
    } else {
        let key = key(header, raw, issuer).await?.decoding;
        if issuer.has(Defect::AcceptsDoubledMembers) && holds(token, &key, header.alg) {
            // The library takes no doubled members: the defect hands it the last of each.
            (signed_by_nobody(claims), Algorithm::HS256, nobody())
        } else {
            (token.to_owned(), header.alg, key)
        }
    };
    match decode::<Claims>(token, &decoding, &rules(algorithm, issuer)) {
        Ok(valid) if issuer.has(Defect::AsciiSubOnly) && !valid.claims.sub.is_ascii() => {
            Err(unknown("`sub` is not ASCII"))
        }
        Ok(valid) if !valid.claims.sub.is_empty() || issuer.has(Defect::AbsentClaimsAreFine) => {
            let Claims { sub, email, preferred_username } = valid.claims;
            let names = email.into_iter().chain(preferred_username).collect();
            let expires = claims.get("exp").and_then(Value::as_f64);
            Ok((decoding, Identity { principal: sub, names, expires }))
        }
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

/// The signature holds.
fn holds(token: &str, key: &DecodingKey, algorithm: Algorithm) -> bool {
    let parts = token.rsplit_once('.');
    parts.is_some_and(|(text, signature)| {
        jsonwebtoken::crypto::verify(signature, text.as_bytes(), key, algorithm).unwrap_or(false)
    })
}

/// The key that made the signature.
async fn key(header: &Header, raw: &Map<String, Value>, issuer: &KeySet) -> Result<Key, Refusal> {
    if issuer.has(Defect::FollowsJku)
        && let Some(url) = raw.get("jku").and_then(Value::as_str)
        && let Some(key) = issuer.key_from(url).await
    {
        return Ok(key);
    }
    if issuer.has(Defect::UsesEmbeddedKey)
        && let Some(key) = raw.get("jwk").and_then(Key::embedded)
    {
        return Ok(key);
    }
    match issuer.key(header.kid.as_deref(), header.alg).await {
        Ok(key) => Ok(key),
        Err(KeyError::Unknown) if issuer.has(Defect::UnknownKeyIdIsAnyKey) => {
            issuer.any_key().await.ok_or(Refusal::Token(TokenState::Unknown, "there is no key"))
        }
        Err(KeyError::Unknown) => Err(Refusal::Token(TokenState::Unknown, "the key is not the issuer's")),
        Err(KeyError::Unreachable(_)) if issuer.has(Defect::OutageIsUnauthenticated) => {
            Err(Refusal::Token(TokenState::Unknown, "the key is not known"))
        }
        Err(KeyError::Unreachable(why)) => Err(Refusal::Issuer(why)),
    }
}

/// What a token's claims must be.
fn rules(algorithm: Algorithm, issuer: &KeySet) -> Validation {
    let trusted = issuer.trusted();
    let mut rules = Validation::new(algorithm);
    let needed: &[&str] =
        if issuer.has(Defect::AbsentClaimsAreFine) { &[] } else { &["exp", "iss", "aud", "sub"] };
    rules.set_required_spec_claims(needed);
    if !issuer.has(Defect::NoIssuerCheck) {
        rules.set_issuer(&[&trusted.issuer]);
    }
    rules.set_audience(&[&trusted.audience]);
    rules.validate_aud = !issuer.has(Defect::NoAudienceCheck);
    rules.validate_exp = !issuer.has(Defect::NoExpiryCheck);
    let leeway = if issuer.has(Defect::GenerousLeeway) { 600 } else { trusted.leeway.as_secs() };
    rules.leeway = leeway;
    rules.validate_nbf = !issuer.has(Defect::NoNotBeforeCheck);
    rules
}

/// A JSON object in which each member is there once; so are those of objects within.
#[derive(Debug)]
struct UniqueMembers(Map<String, Value>);

impl<'de> Deserialize<'de> for UniqueMembers {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        match deserializer.deserialize_any(UniqueVisitor)? {
            Value::Object(members) => Ok(Self(members)),
            _ => Err(serde::de::Error::custom("not an object")),
        }
    }
}

struct UniqueValue(Value);

impl<'de> Deserialize<'de> for UniqueValue {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        deserializer.deserialize_any(UniqueVisitor).map(Self)
    }
}

struct UniqueVisitor;

impl<'de> Visitor<'de> for UniqueVisitor {
    type Value = Value;

    fn expecting(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("JSON")
    }

    fn visit_bool<E>(self, value: bool) -> Result<Value, E> {
        Ok(value.into())
    }

    fn visit_i64<E>(self, value: i64) -> Result<Value, E> {
        Ok(value.into())
    }

    fn visit_u64<E>(self, value: u64) -> Result<Value, E> {
        Ok(value.into())
    }

    fn visit_f64<E>(self, value: f64) -> Result<Value, E> {
        Ok(value.into())
    }

    fn visit_str<E>(self, value: &str) -> Result<Value, E> {
        Ok(value.into())
    }

    fn visit_unit<E>(self) -> Result<Value, E> {
        Ok(Value::Null)
    }

    fn visit_seq<A: SeqAccess<'de>>(self, mut items: A) -> Result<Value, A::Error> {
        let mut values = Vec::new();
        while let Some(UniqueValue(value)) = items.next_element()? {
            values.push(value);
        }
        Ok(Value::Array(values))
    }

    fn visit_map<A: MapAccess<'de>>(self, mut members: A) -> Result<Value, A::Error> {
        let mut map = Map::new();
        while let Some((name, UniqueValue(value))) = members.next_entry::<String, _>()? {
            if map.contains_key(&name) {
                return Err(serde::de::Error::custom("a member is there twice"));
            }
            map.insert(name, value);
        }
        Ok(Value::Object(map))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn members_are_unique_at_every_depth() {
        let is_good = |text: &str| serde_json::from_str::<UniqueMembers>(text).is_ok();
        assert!(is_good(r#"{"a":1,"b":[{"a":2.5},null,true,-3,"x"]}"#));
        assert!(!is_good(r#"{"a":1,"a":1}"#));
        assert!(!is_good(r#"{"b":[{"a":1,"\u0061":2}]}"#));
        assert!(!is_good("[]"));
    }
}
