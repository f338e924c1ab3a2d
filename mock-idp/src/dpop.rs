//! Proof of possession (RFC 9449).

use jsonwebtoken::jwk::{Jwk, ThumbprintHash};
use jsonwebtoken::{Algorithm, DecodingKey};
use serde_json::{Map, Value};

use crate::answer::OAuthError;
use crate::assertion;
use crate::jwt::sha256;
use crate::service::Asked;

/// How old a proof may be, in seconds (§11.1).
const FRESH: f64 = 300.0;

const HEADER: http::HeaderName = http::HeaderName::from_static("dpop");
pub(crate) const NONCE: http::HeaderName = http::HeaderName::from_static("dpop-nonce");

/// Thumbprint of the key that the proof of a request was made with; `None` if it has no proof.
pub(crate) fn thumbprint(
    asked: &Asked<'_>,
    access_token: Option<&str>,
) -> Result<Option<String>, OAuthError> {
    let Some(proof) = asked.call.header(&HEADER) else { return Ok(None) };
    let wrong =
        |text: &str| OAuthError::new("invalid_dpop_proof", format!("the DPoP proof is refused: {text}"));
    if asked.call.headers.get_all(&HEADER).iter().count() > 1 {
        return Err(wrong("there is more than one"));
    }
    let (jwk, claims) = opened(&proof).map_err(wrong)?;
    let text = |name: &str| claims.get(name).and_then(Value::as_str);
    if text("htm") != Some(asked.call.method.as_str()) {
        return Err(wrong("htm is not the method of the request"));
    }
    let here = asked.place.url(asked.call.endpoint, asked.config);
    if text("htu").map(bare) != Some(bare(&here)) {
        return Err(wrong("htu is not the address of the request"));
    }
    let now = asked.issuer.clock.now();
    let leeway = asked.config.protocol.leeway.as_secs_f64();
    let issued = claims.get("iat").and_then(Value::as_f64).ok_or_else(|| wrong("iat is missing"))?;
    if issued > now + leeway || issued + FRESH + leeway < now {
        return Err(wrong("iat is too old or to come"));
    }
    let wanted = access_token.map(|t| sha256(t.as_bytes()));
    if wanted.is_some() && text("ath") != wanted.as_deref() {
        return Err(wrong("ath is not the hash of the access token"));
    }
    let jti = text("jti").ok_or_else(|| wrong("jti is missing"))?.to_owned();
    if asked.config.protocol.require_dpop_nonce && text("nonce") != Some(asked.host.dpop_nonce()) {
        let mut error = OAuthError::new("use_dpop_nonce", "the DPoP proof needs the nonce of this answer");
        error.headers.push((NONCE, asked.host.dpop_nonce().to_owned()));
        if access_token.is_some() {
            error.status = http::StatusCode::UNAUTHORIZED;
            error.challenge = Some("DPoP error=\"use_dpop_nonce\"".to_owned());
        }
        return Err(error);
    }
    if !asked.issuer.store().use_once(format!("dpop {jti}"), now + FRESH + leeway, now) {
        return Err(wrong("jti was used before"));
    }
    jwk.thumbprint(ThumbprintHash::SHA256).map(Some).map_err(|_| wrong("its key has no thumbprint"))
}

/// Key and claims of a proof with a right signature.
fn opened(proof: &str) -> Result<(Jwk, Map<String, Value>), &'static str> {
    let header = jsonwebtoken::decode_header(proof).map_err(|_| "it is no JWT with a known algorithm")?;
    if header.typ.as_deref() != Some("dpop+jwt") {
        return Err("typ is not dpop+jwt");
    }
    if matches!(header.alg, Algorithm::HS256 | Algorithm::HS384 | Algorithm::HS512) {
        return Err("its algorithm is symmetric");
    }
    let jwk = header.jwk.ok_or("its header has no jwk")?;
    let key = DecodingKey::from_jwk(&jwk).map_err(|_| "its key is not usable")?;
    let claims =
        assertion::verified(proof, &key, header.alg).ok_or("the signature is not that of its key")?;
    Ok((jwk, claims))
}

/// An address without query and fragment (§4.3).
fn bare(url: &str) -> &str {
    url.split(['?', '#']).next().unwrap_or_default()
}
