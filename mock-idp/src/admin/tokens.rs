//! Tokens: minted, revoked, inspected.

use schemars::JsonSchema;
use serde::Deserialize;
use serde_json::{Map, Value, json};

use super::{Order, Outcome, Refused, created, ok};
use crate::assertion;
use crate::config::Config;
use crate::fault::Hits;
use crate::issuer::{Issuer, random};
use crate::jwt::{Mint, unverified_claims};
use crate::place::Place;

/// A token of any claims.
#[derive(Debug, Default, Deserialize, JsonSchema)]
#[serde(default, deny_unknown_fields)]
pub(crate) struct MintOrder {
    /// Path of the issuer; the one at home if absent.
    issuer: Option<String>,
    /// Claims beside the usual `iss`, `iat`, `exp` and `jti`, or instead of them; `null` removes one.
    claims: Map<String, Value>,
    /// Members of the header.
    header: Map<String, Value>,
    /// Seconds that it lives; the issuer's lifetime if absent.
    lifetime: Option<u64>,
}

fn mint_of<'a>(
    order: &'a Order<'_>,
    issuer: &'a Issuer,
    config: &'a Config,
    place: &'a Place,
    hits: &'a Hits,
) -> Mint<'a> {
    Mint { host: order.host, issuer, config, place, hits, params: &[] }
}

pub(super) async fn mint(order: &Order<'_>) -> Outcome {
    let wanted: MintOrder = order.json()?;
    let issuer = order.issuer(wanted.issuer.as_deref())?;
    let config = issuer.config();
    let place = order.host.place(&issuer, &config, order.named.as_deref());
    let now = issuer.clock.seconds();
    let lifetime = wanted.lifetime.unwrap_or(config.token.lifetime.as_secs());
    let mut claims = json!({ "iss": place.issuer, "sub": "somebody", "aud": config.token.audience, "iat": now,
        "exp": now.saturating_add(lifetime), "jti": random() });
    json_patch::merge(&mut claims, &Value::Object(wanted.claims));
    let claims = claims.as_object().cloned().unwrap_or_default();
    let hits = Hits::default();
    let mint = mint_of(order, &issuer, &config, &place, &hits);
    let token = mint.signed(claims.clone(), wanted.header).await;
    created(&json!({ "token": token, "claims": claims }))
}

/// Which tokens are no good any more.
#[derive(Debug, Default, Deserialize, JsonSchema)]
#[serde(default, deny_unknown_fields)]
pub(crate) struct RevokeOrder {
    /// Path of the issuer; the one at home if absent.
    issuer: Option<String>,
    /// This token; all if absent.
    token: Option<String>,
    /// All tokens of this client.
    client: Option<String>,
}

pub(super) fn revoke(order: &Order<'_>) -> Outcome {
    let wanted: RevokeOrder = order.json()?;
    let issuer = order.issuer(wanted.issuer.as_deref())?;
    let mut store = issuer.store();
    let mut revoked = 0;
    let fits = |client: &str| wanted.client.as_deref().is_none_or(|c| c == client);
    match &wanted.token {
        Some(token) => {
            if let Some(known) = store.tokens.get_mut(token) {
                known.issued.revoked = true;
                revoked += 1;
            } else if let Some(known) = store.refresh.get_mut(token) {
                known.revoked = true;
                revoked += 1;
            } else {
                return Err(Refused::unknown("the token is not known to this issuer"));
            }
        }
        None => {
            for token in store.tokens.values_mut().filter(|t| fits(&t.grantee.client_id)) {
                token.issued.revoked = true;
                revoked += 1;
            }
            for token in store.refresh.values_mut().filter(|t| fits(&t.grantee.client_id)) {
                token.revoked = true;
                revoked += 1;
            }
        }
    }
    ok(&json!({ "revoked": revoked }))
}

/// A token to look into.
#[derive(Debug, Default, Deserialize, JsonSchema)]
#[serde(default, deny_unknown_fields)]
pub(crate) struct InspectOrder {
    /// The token.
    token: String,
}

/// What is in a token, and which of our issuers signed it. Nothing is fetched from anywhere.
pub(super) async fn inspect(order: &Order<'_>) -> Outcome {
    let wanted: InspectOrder = order.json()?;
    let token = wanted.token.trim().to_owned();
    let known = order.host.all().into_iter().find(|i| i.store().tokens.get(&token).is_some());
    let status = known.as_ref().and_then(|i| {
        let stored = i.store().tokens.get(&token).cloned()?;
        let expired = stored.issued.expires as f64 <= i.clock.now();
        Some(json!({ "issuer": i.root, "client": stored.grantee.client_id, "revoked": stored.issued.revoked,
            "expired": expired, "claims": stored.claims() }))
    });
    let header = jwt_header(&token);
    let claims = unverified_claims(&token);
    if header.is_none() && status.is_none() {
        return Err(Refused::bad("this is no JWT, and no token that was issued here"));
    }
    let signer = signer(order, &token).await;
    ok(&json!({ "header": header, "claims": claims, "signed_by": signer, "issued": status }))
}

fn jwt_header(token: &str) -> Option<Map<String, Value>> {
    use base64::Engine as _;
    let header = base64::engine::general_purpose::URL_SAFE_NO_PAD.decode(token.split('.').next()?).ok()?;
    serde_json::from_slice(&header).ok()
}

/// Issuer and `kid` of the published key that made the signature.
async fn signer(order: &Order<'_>, token: &str) -> Option<Value> {
    let header = jsonwebtoken::decode_header(token).ok()?;
    for issuer in order.host.all() {
        let config = issuer.config();
        let wanted = issuer.keys.published_ids(&Issuer::algs(&config));
        let fits = |kid: &str| header.kid.as_deref().is_none_or(|k| k == kid);
        for (alg, kid, nth) in wanted.into_iter().filter(|(_, kid, _)| fits(kid)) {
            let pool = config.keys.clone();
            let jwk = tokio::task::spawn_blocking(move || pool.key(alg, nth).jwk(&kid)).await.ok()?;
            let key: jsonwebtoken::jwk::Jwk = serde_json::from_value(jwk).ok()?;
            let decoding = jsonwebtoken::DecodingKey::from_jwk(&key).ok()?;
            if assertion::verified(token, &decoding, header.alg).is_some() {
                return Some(json!({ "issuer": issuer.root, "kid": key.common.key_id }));
            }
        }
    }
    None
}
