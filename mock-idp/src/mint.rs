//! Tokens of any claims, right or wrong: for whoever tests a resource server.

use serde_json::{Map, Value, json};

use crate::fault::{FaultKind, Hits, Which};
use crate::host::Host;
use crate::issuer::random;
use crate::jwt::Mint;

/// A token that is minted without a request for it. The default is one that every resource server takes.
#[derive(Debug, Clone, PartialEq, Default)]
pub struct TokenOrder {
    /// A merge patch (RFC 7396) of the usual claims: `iss`, `sub`, `client_id`, `aud`, `iat`, `exp`, `jti`.
    pub claims: Map<String, Value>,
    /// A merge patch of the usual header: `typ`, `alg`, `kid`; the last word.
    pub header: Map<String, Value>,
    /// Seconds from now to its `exp`, below zero for one that has expired; the issuer's lifetime if absent.
    pub expires_in: Option<i64>,
    /// Seconds from now to its `nbf`; none if absent.
    pub valid_in: Option<i64>,
    /// What else is wrong with it: faults of tokens (T01 to T24 of the catalogue).
    pub faults: Vec<FaultKind>,
    /// A member that is in it once more, before the right one.
    pub twice: Option<Twice>,
}

/// A member that is there twice.
#[derive(Debug, Clone, PartialEq)]
pub struct Twice {
    /// Where.
    pub part: TokenPart,
    /// Its name.
    pub member: String,
    /// Its first value.
    pub value: Value,
}

/// A part of a JWT.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum TokenPart {
    /// The JOSE header.
    Header,
    /// The claims.
    Claims,
}

/// Mints a token of the issuer at home.
pub(crate) async fn mint(host: &Host, order: &TokenOrder) -> String {
    let issuer = host.home();
    let config = issuer.config();
    let place = host.place(&issuer, &config, None);
    let now = i64::try_from(issuer.clock.seconds()).unwrap_or(i64::MAX);
    let lifetime = i64::try_from(config.token.lifetime.as_secs()).unwrap_or(i64::MAX);
    let expires = now.saturating_add(order.expires_in.unwrap_or(lifetime));
    let mut claims = json!({ "iss": place.issuer, "sub": "somebody", "client_id": "somebody",
        "aud": config.token.audience, "iat": now.min(expires.saturating_sub(1)), "exp": expires, "jti": random() });
    if let Some(valid_in) = order.valid_in {
        claims["nbf"] = now.saturating_add(valid_in).into();
    }
    json_patch::merge(&mut claims, &Value::Object(order.claims.clone()));
    let claims = claims.as_object().cloned().unwrap_or_default();
    let header = |patch| FaultKind::JwtHeader { token: Which::Access, patch };
    let typ = header(json!({ "typ": "at+jwt" }));
    let kinds = std::iter::once(typ)
        .chain(order.faults.iter().cloned())
        .chain(std::iter::once(header(Value::Object(order.header.clone()))));
    let hits = Hits::of(kinds);
    let mint = Mint { host, issuer: &issuer, config: &config, place: &place, hits: &hits, params: &[] };
    mint.signed_as_ordered(claims, order.twice.clone()).await
}
